"""What the losses of posts, nodes, access points and areas do to a line, for the terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dronewall.report.colours import LOOKS
from dronewall.report.figures import (
    assurance,
    figure,
    kilometres,
    level,
    metres,
    number_of,
    percent,
    posting,
    provenance,
)
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.fewest import Fewest
    from dronewall.engine.loss import Loss
    from dronewall.engine.resilience import Losses, Together, Unit
    from dronewall.engine.wall import Coverage

_SHOWN = 12
"""Rows of a table; JSON has all of them."""
_NAMED = 4
"""Single points of failure that get a sentence of their own."""


def as_json(coverage: Coverage, found: tuple[Losses, ...]) -> dict[str, Any]:
    """All of it, ready for `json.dumps`: one entry for each target and level."""
    return {
        "dronewall": {"what": "losses"} | provenance(coverage),
        "targets": [
            provenance(coverage, one.of)
            | {
                "resilience": {
                    "by": "summed field",
                    "least": one.fewest.low if one.fewest.exact else None,
                    "at_least": one.fewest.low,
                    "at_most": one.fewest.high,
                    "searched_to_the_end": one.fewest.ended,
                    "sets": [sorted(each) for each in one.fewest.sets],
                },
                "single": [_single(unit, loss) for unit, loss in one.single],
                "single_not_tried": one.unasked,
                "together": [_combination(each) for each in one.together],
                "together_not_tried": one.untried,
            }
            for one in found
        ],
    }


def _single(unit: Unit, loss: Loss) -> dict[str, Any]:
    probability, chainage = loss.worst
    return {
        "kind": unit.kind,
        "name": unit.name,
        "nodes": list(unit.nodes),
        "opens_m": {kind: figure(loss.more(kind), 1) for kind in loss.opened},
        "gaps_m": {kind: figure(length, 1) for kind, length in loss.metres.items()},
        "opened": [
            {"kind": kind, "start_m": figure(start, 1), "end_m": figure(end, 1)}
            for kind in loss.opened
            for start, end in loss.spans(kind)
        ],
        "least_probability": figure(probability),
        "least_chainage_m": figure(chainage, 1),
        "opened_probability": figure(loss.opening[0]) if loss.opening else None,
        "opened_chainage_m": figure(loss.opening[1], 1) if loss.opening else None,
    }


def _combination(each: Together) -> dict[str, Any]:
    return {
        "nodes": list(each.nodes),
        "opens_m": figure(each.metres, 1),
        "beyond_single_m": figure(each.beyond, 1),
        "opened_probability": figure(each.opening[0]) if each.opening else None,
        "opened_chainage_m": figure(each.opening[1], 1) if each.opening else None,
    }


def report(coverage: Coverage, found: tuple[Losses, ...]) -> RenderableType:
    """For each target and level: the units that hurt most, combinations, the resilience, what fails alone."""
    shown: list[RenderableType] = []
    for one in found:
        shown += [Text(f"{clean(one.of.target.name)}, {one.of.level}", style="bold"), _table(one)]
        if one.together:
            shown += [_combinations(one)]
        shown += [Text(each) for each in _sentences(one)] + [Text()]
    thresholds = coverage.scenario.thresholds
    basis = (
        f"A breach is where the best crossing within {thresholds.lateral_m:g} m of a station is detected with less "
        f"than {thresholds.lane_p:g}. Single losses and the combinations listed are audited sensor by sensor; the "
        "search for the fewest goes by the summed field. "
        f"Modelled: {level(coverage)}. {assurance(coverage)}. Terrain posting {posting(coverage)}; "
        f"input {coverage.digest[:12]}; dronewall {coverage.version}."
    )
    return Group(*shown, Text(basis, style="dim"))


def _headed(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in names:
        table.add_column(
            name,
            justify="left" if name in ("lost", "lost together", "at km") else "right",
            overflow="fold",
            no_wrap=name not in ("lost", "lost together"),
        )
    return table


def _table(one: Losses) -> RenderableType:
    table = _headed("lost", "nodes", "opens", "line", "lane", "at km", "least", "weakest")
    named = _names(one)
    for unit, loss in one.single[:_SHOWN]:
        more = loss.more()
        table.add_row(
            # With a blank a place that is too long for the column is broken between its figures.
            Text(named[unit].replace(",", ", ") if unit.kind == "area" else named[unit]),
            str(len(unit.nodes)),
            Text(metres(more), style=LOOKS["gap"].terminal if more > 0.0 else "default"),
            metres(loss.more("line")),
            metres(loss.more("lane")),
            Text(_spans(loss)),
            percent(loss.opening[0]) if loss.opening else "",
            percent(loss.worst[0]),
        )
    if not table.row_count:
        return Text("Nothing can be lost." if not one.unasked else "No time to try any loss.")
    left = len(one.single) - _SHOWN
    return Group(table, Text(f"... and {left} more that open no more than these", style="dim")) if left > 0 else table


def _combinations(one: Losses) -> RenderableType:
    table = _headed("lost together", "opens", "beyond each alone", "least", "at km")
    for each in one.together[:_SHOWN]:
        table.add_row(
            Text(clean(" + ".join(each.nodes))),
            Text(metres(each.metres), style=LOOKS["gap"].terminal),
            metres(each.beyond),
            percent(each.opening[0]) if each.opening else "",
            kilometres(each.opening[1]) if each.opening else "",
        )
    return table


def _sentences(one: Losses) -> list[str]:
    """The single points of failure and the resilience, in plain words."""
    target = clean(one.of.target.name)
    said = []
    single = [(unit, loss) for unit, loss in one.single if loss.opening is not None and unit.kind != "area"]
    named = _names(one)
    for unit, loss in single[:_NAMED]:
        assert loss.opening is not None
        probability, chainage = loss.opening
        said.append(
            f"{_subject(unit, named[unit])} is a single point of failure: losing it opens {metres(loss.more())} more "
            f"{_between(loss)}, and a {target} then crosses at km {kilometres(chainage)} with {percent(probability)} "
            "chance of being seen."
        )
    if len(single) > _NAMED:
        rest = ", ".join(named[unit] for unit, _ in single[_NAMED:])
        said.append(f"Single points of failure are also {rest}.")
    if not single and one.single and not one.unasked:
        said.append("No single point of failure: no single loss opens a breach gap.")
    said.append(_resilience(one.fewest, target))
    if one.unasked or one.untried:
        parts = [number_of(one.unasked, "single loss").replace("losss", "losses")] if one.unasked else []
        parts += [number_of(one.untried, "combination")] if one.untried else []
        said.append(f"Not tried for want of time: {' and '.join(parts)}; --time-limit gives more.")
    return said


def _resilience(fewest: Fewest, target: str) -> str:
    if fewest.high is None:
        return f"Resilience: nobody can cross here, whatever is lost ({target})."
    if fewest.exact and fewest.low == 0:
        return f"Resilience 0: a {target} gets through as it is, without any loss."
    nodes = number_of(fewest.low, "node")
    if fewest.exact:
        sets = [clean(" + ".join(sorted(each))) for each in fewest.sets[:3]]
        more = f" and {len(fewest.sets) - 3} or more others" if len(fewest.sets) > 3 else ""
        said = f"Resilience {fewest.low}, by the summed field: losing {nodes} lets a {target} through"
        return f"{said}: {'; '.join(sets)}{more}."
    if fewest.ended:
        return (
            f"Resilience: more than {fewest.low - 1}; from {fewest.low} to {fewest.high} nodes have to be lost before "
            f"a {target} gets through."
        )
    return (
        f"Resilience: not known for want of time; from {fewest.low} to {fewest.high} nodes have to be lost before a "
        f"{target} gets through."
    )


def _names(one: Losses) -> dict[Unit, str]:
    """What the units are called: by their names, and with their kinds where several have the same."""
    often = Counter(unit.name for unit, _ in one.single)
    return {unit: clean(unit.name if often[unit.name] == 1 else f"{unit.kind} {unit.name}") for unit, _ in one.single}


def _subject(unit: Unit, name: str) -> str:
    """A unit at the beginning of a sentence: `P4`, `Node P7`, `Access point A1 (9 nodes)`."""
    if unit.kind in ("access point", "gateway"):
        return f"{unit.kind.capitalize()} {clean(unit.name)} ({number_of(len(unit.nodes), 'node')})"
    return name if name == clean(unit.name) else name[0].upper() + name[1:]


def _spans(loss: Loss) -> str:
    """The longest stretch that it opens, and how many more there are: `3.19–5.01 +7`."""
    spans = sorted(loss.spans(), key=lambda span: span[0] - span[1])
    said = [f"{kilometres(start)}–{kilometres(end)}" for start, end in spans[:1]]
    return " ".join([*said, f"+{len(spans) - 1}"] if len(spans) > 1 else said)


def _between(loss: Loss) -> str:
    spans = loss.spans()
    start, end = spans[0][0], spans[-1][1]
    where = f"between km {kilometres(start)} and {kilometres(end)}"
    return where if len(spans) == 1 else f"in {len(spans)} places {where}"
