"""Which sensors see a place, as a table for the terminal and as JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dronewall.engine.models import moving_only
from dronewall.report.colours import LOOKS
from dronewall.report.figures import (
    assurance,
    assured,
    figure,
    level,
    number_of,
    percent,
    plan_moment,
    posting,
    provenance,
    utc,
)
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.wall import Coverage, TargetCoverage, Watcher

Place = tuple[float, float]


def as_json(coverage: Coverage, place: Place, target: str | None = None) -> dict[str, Any]:
    """All of it, ready for `json.dumps`: one entry for each target and level."""
    latitude, longitude = coverage.site.to_geodetic(*place)
    return {
        "dronewall": {"what": "who"} | provenance(coverage),
        "place": {
            "latitude_deg": figure(float(latitude), 7),
            "longitude_deg": figure(float(longitude), 7),
            "ground_amsl_m": figure(float(coverage.terrain.ground_amsl[_cell(coverage, place)]), 2),
        },
        "targets": [
            {
                "target": one.target.name,
                "level": one.level,
                "look_probability": None if _unknown(coverage, one, place) else figure(_together(watchers)),
                "look_still_probability": (
                    None if _unknown(coverage, one, place) else figure(_together(_of_still(coverage, watchers)))
                ),
                "unknown": _unknown(coverage, one, place),
                "nodes_counting": _nodes(coverage, one, place),
                "sensors": [
                    {
                        "sensor": watcher.sensor,
                        "rate_per_s": float(f"{watcher.rate:.4g}"),
                        "ceiling": figure(watcher.ceiling),
                        "look_probability": figure(watcher.look),
                        "look_still_probability": figure(still.look),
                    }
                    for watcher, still in zip(watchers, _of_still(coverage, watchers), strict=True)
                ],
            }
            for one in coverage.targets
            if target in (None, one.target.name)
            for watchers in [coverage.who(*place, one.target.name, one.level)]
        ],
    }


def report(coverage: Coverage, place: Place, target: str | None = None) -> RenderableType:
    """The sensors of each target, the likeliest to detect it first, and what they make together."""
    latitude, longitude = coverage.site.to_geodetic(*place)
    look_s = coverage.scenario.thresholds.look_s
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("target", "sensor"):
        table.add_column(name, overflow="fold")
    for name in ("rate", "ceiling", f"{look_s:g} s look", "still", "assured"):
        table.add_column(name, justify="right", no_wrap=True)
    sentences = []
    for one in coverage.at_level("expected"):
        if target not in (None, one.target.name):
            continue
        watchers = coverage.who(*place, one.target.name)
        sure = {watcher.sensor: watcher for watcher in coverage.who(*place, one.target.name, "assured")}
        for watcher, still in zip(watchers, _of_still(coverage, watchers), strict=True):
            least = sure.get(watcher.sensor)
            table.add_row(
                Text(clean(one.target.name)),
                Text(clean(watcher.sensor)),
                f"{watcher.rate:.2g} /s",
                percent(watcher.ceiling),
                percent(watcher.look),
                percent(still.look),
                percent(least.look if least is not None else 0.0),
            )
        sentences.append(_sentence(coverage, one, place, watchers))
    head = Text(f"{latitude:.5f},{longitude:.5f}", style="bold")
    head.append(f"  {plan_moment(coverage)}".rstrip(), style="not bold")
    shown: list[RenderableType] = [head]
    if table.row_count:
        shown.append(table)
    when = f", {utc(coverage.at_unix_ms)}" if coverage.at_unix_ms is not None else ""
    basis = (
        f"Modelled: {level(coverage)}{when}. "
        f"{assurance(coverage)}. Terrain posting {posting(coverage)}; "
        f"input {coverage.digest[:12]}; dronewall {coverage.version}."
    )
    return Group(*shown, Text(basis, style="dim"), Text(), *sentences)


def _sentence(coverage: Coverage, one: TargetCoverage, place: Place, watchers: list[Watcher]) -> Text:
    """What a target's sensors make together, in words."""
    thresholds = coverage.scenario.thresholds
    said = Text(f"{clean(one.target.name)}  ", style="bold")
    if _unknown(coverage, one, place):
        said.append("unknown", style=LOOKS["unknown"].terminal)
        return said.append(": the terrain does not say enough about this place", style="default")
    if not watchers:
        said.append("seen by nobody", style=LOOKS["gap"].terminal)
        return said
    together = _together(watchers)
    held = together >= thresholds.line_p and (thresholds.k == 1 or _nodes(coverage, one, place) >= thresholds.k)
    said.append(
        f"{percent(together)} in a look of {thresholds.look_s:g} s", style=LOOKS["covered" if held else "gap"].terminal
    )
    rest = f" by {number_of(len(watchers), 'sensor')}{' together' if len(watchers) > 1 else ''}"
    still = percent(_together(_of_still(coverage, watchers)))
    if still != percent(together):
        rest += f", {still} if it stands still"
    least = assured(coverage, one)
    if least is not None:
        rest += f", assured {percent(_together(coverage.who(*place, one.target.name, 'assured')))}"
    if thresholds.k > 1:
        counting = number_of(_nodes(coverage, one, place), "node")
        rest += f"; {counting} of the {thresholds.k} asked for with {thresholds.count_p:g} or more"
    return said.append(rest, style="default")


def _of_still(coverage: Coverage, watchers: list[Watcher]) -> list[Watcher]:
    """What the same sensors make of the target while it stands still."""
    models = {sensor.name: sensor.frustum.model for sensor in coverage.sensors if sensor.frustum is not None}
    return [
        dataclasses.replace(watcher, rate=0.0, ceiling=0.0, look=0.0)
        if moving_only(models[watcher.sensor])
        else watcher
        for watcher in watchers
    ]


def _together(watchers: list[Watcher]) -> float:
    """The probability that a look of all of them detects the target: they miss it independently."""
    return 1.0 - math.prod(1.0 - watcher.look for watcher in watchers)


def _cell(coverage: Coverage, place: Place) -> tuple[int, int]:
    row, col = coverage.terrain.cells(*place)
    return int(row), int(col)


def _unknown(coverage: Coverage, one: TargetCoverage, place: Place) -> bool:
    return math.isnan(one.look[_cell(coverage, place)])


def _nodes(coverage: Coverage, one: TargetCoverage, place: Place) -> int:
    """How many nodes detect the target there with at least the site's `count_p`."""
    nodes: dict[str, float] = {}
    for watcher in coverage.who(*place, one.target.name, one.level):
        node = watcher.sensor.split("/")[0]
        nodes[node] = nodes.get(node, 1.0) * (1.0 - watcher.look)
    return sum(1.0 - missed >= coverage.scenario.thresholds.count_p for missed in nodes.values())
