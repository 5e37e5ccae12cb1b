"""A Coverage as one HTML file that opens offline: map, ribbon, tables, and a script that ties them together.

All that is read stands in the page itself; the script in `report.html.in` only moves it. A content security
policy forbids every request.
"""

from __future__ import annotations

import json
import os
import re
from html import escape
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dronewall.report import figures, files, html_cycle, records, ribbon, trust
from dronewall.report.closing import NOBODY, closer_brief, closer_words, lie_words
from dronewall.report.colours import LOOKS, ROUTE, css_gradient
from dronewall.report.entries import entries, numbered
from dronewall.report.findings import NOTHING, Findings
from dronewall.report.html_map import Sheet, map_of

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle
    from dronewall.engine.gaps import Gap
    from dronewall.engine.wall import Coverage, TargetCoverage


def write_html(
    coverage: Coverage, path: str | os.PathLike[str], found: Findings = NOTHING, cycle: Cycle | None = None
) -> None:
    """Write the page of `page`; OutputError where `path` holds a file that is not ours."""
    files.write_text(path, page(coverage, found, cycle))


def page(coverage: Coverage, found: Findings = NOTHING, cycle: Cycle | None = None) -> str:
    """The report as the text of an HTML file; with a cycle of the drones' also what it is over time."""
    sheet = Sheet(coverage)
    timed = html_cycle.parts(coverage, cycle, sheet)
    parts = {
        "GENERATOR": escape(f"{files.MAKER} {coverage.version}"),
        "TITLE": escape(coverage.scenario.site.title or coverage.scenario.site.name),
        "SUBTITLE": escape(_subtitle(coverage)),
        "SENTENCE": escape(figures.sentence(coverage, found.worst_loss)),
        "CARDS": _cards(coverage),
        "SWITCH": _switch(coverage),
        "VIEWBOX": f"0 0 {sheet.width:.0f} {sheet.height:.0f}",
        "SHAPE": f"{sheet.width:.0f} / {sheet.height:.0f}",
        "MAP": map_of(coverage, sheet),
        "LOOK": f"{coverage.scenario.thresholds.look_s:g}",
        "GRADIENT": css_gradient(),
        "KEY": _key(),
        "LENGTH": f"{coverage.frontage.length:.0f}",
        "RIBBON": _ribbon(coverage, timed.pop("CYCLE_ROW")),
        "CLOSING": _closing(coverage, found),
        "GAPS": _gaps(coverage),
        "LOSSES": _losses(coverage, found),
        "TRUST": _trust(found),
        "SENSORS_PHRASE": escape(figures.sensors_phrase(coverage)),
        "SENSORS": _sensors(coverage),
        "PROVENANCE": _provenance(coverage),
        "DATA": _data(coverage, sheet),
        "ROUTE": ROUTE,
        **{state.upper(): look.colour for state, look in LOOKS.items()},
        **timed,
    }
    template = resources(__package__).joinpath("report.html.in").read_text(encoding="utf-8")
    # one pass, so that nothing in a name is taken for a place in the template
    return re.sub(r"@@([A-Z_]+)@@", lambda match: parts[match[1]], template)


def _subtitle(coverage: Coverage) -> str:
    when = figures.utc(coverage.at_unix_ms)
    said = [figures.metres(coverage.frontage.length) + " of frontage", figures.level(coverage)]
    if when:
        said.append(when.replace("T", " ").replace("Z", " UTC"))
    return " · ".join(said)


def _cards(coverage: Coverage) -> str:
    cards = []
    when = figures.plan_moment(coverage)
    for target in coverage.at_level("expected"):
        listed = ribbon.gaps(target, "breach")
        name = target.target.name
        sure = figures.assured(coverage, target)
        said = f"; {figures.percent(sure.covered_share)} assured" if sure is not None else ""
        cards.append((figures.percent(target.covered_share), f"covered, {name}{said}", ""))
        total = figures.metres(sum(gap.length for gap in listed))
        count = f"in {figures.number_of(len(listed), 'gap')}, {name}"
        cards.append((total if listed else "none", count if listed else f"gaps, {name}", "alarm" if listed else ""))
    unknown = max((target.unknown_share for target in coverage.targets), default=0.0)
    if unknown > 0:
        cards.append((figures.percent(unknown), "unknown: no terrain", ""))
    troubled = figures.troubled(coverage)
    heard = f"{len(figures.counted(coverage))}/{len(coverage.sensors)}"
    cards.append((heard, "sensors counted", "alarm" if troubled else ""))
    inner = "".join(
        f'<li><b class="{kind}">{escape(head)}</b><span>{escape(text)}</span></li>' for head, text, kind in cards
    )
    # Beside the cards, for they all are of this moment.
    at = f'<li class="when" title="{escape(when)}"><b>{escape(when.split(" of ")[0])}</b></li>' if when else ""
    return f'<ul class="cards">{at}{inner}</ul>'


def _switch(coverage: Coverage) -> str:
    return "".join(
        f'<label class="switch"><input type="radio" name="target" '
        f'value="{index}"{" checked" if index == 0 else ""}>'
        f"{escape(ribbon.name(target))}</label>"
        for index, target in enumerate(coverage.targets)
    )


def _key() -> str:
    def swatch(style: str, text: str) -> str:
        return f'<li><i class="swatch" style="{style}"></i>{escape(text)}</li>'

    weak, unknown = LOOKS["weak"].colour, LOOKS["unknown"].colour
    return "".join(
        [
            swatch(f"background:{LOOKS['covered'].colour}", "covered"),
            swatch(
                f"background:repeating-linear-gradient(90deg,{weak} 0 6px,transparent 6px 8px)",
                "weak: " + LOOKS["weak"].meaning,
            ),
            swatch(
                f"background:{LOOKS['gap'].colour};height:1rem",
                "gap: who crosses at his best is hardly seen; its number as in the table",
            ),
            swatch(
                f"height:.8rem;border:solid {LOOKS['gap'].colour};border-width:3px 0",
                "line gap only: who crosses there is seen all the same",
            ),
            swatch(f"background:{ROUTE};height:4px;vertical-align:4px", "weakest route of the line"),
            swatch(
                f"border-top:2px dashed {ROUTE};height:0;vertical-align:4px",
                "route with the least bottleneck; best crossing of the gap chosen",
            ),
            swatch(f"background:{LOOKS['gap'].colour};opacity:.25;height:1rem", "lane gap, across the belt"),
            swatch(
                f"background:repeating-linear-gradient(135deg,{unknown} 0 2px,#e6e6e6 2px 7px)",
                "unknown: no terrain",
            ),
            swatch("border-top:2px dashed currentColor;height:0;vertical-align:4px", "belt"),
            '<li><b style="display:inline-block;width:2.5rem;text-align:center">○</b>post</li>',
            '<li><b style="display:inline-block;width:2.5rem;text-align:center">◆</b>drone</li>',
        ]
    )


# --- the ribbon


def _ribbon(coverage: Coverage, last: str) -> str:
    """The ribbon's rows, `last` after the others."""
    length = float(coverage.frontage.length)
    parts = [_heads(coverage)]
    for index, target in enumerate(coverage.targets):
        parts.append(
            f'<div class="curve" data-target="{index}"{" hidden" if index else ""}>{_curve(coverage, target)}</div>'
        )
    numbers = {(ribbon.name(which), gap.id): number for number, which, gap in numbered(coverage)}
    names = _names(coverage)
    for target, kind in ribbon.rows(coverage):
        sure = target.level == "assured"
        label = f"assured {kind}" if sure else f"{escape(target.target.name)} {kind}"
        cells = []
        for run in ribbon.runs(coverage, target, kind):
            if run.state in ("covered", "weak"):
                cells.append(_segment(run.start, run.end, length, run.state, LOOKS[run.state].word))
        for gap in ribbon.gaps(target, kind):
            number = numbers[ribbon.name(target), gap.id]
            if gap.unknown < 1:
                cells.append(
                    _segment(gap.start, gap.end, length, "gap", f"gap {number}, {kind}: {_gap_said(gap)}", number)
                )
        for run in ribbon.runs(coverage, target, kind):
            if run.state == "unknown":
                cells.append(_segment(run.start, run.end, length, "unknown", "unknown: no terrain"))
        if kind == "breach" and target.weakest is not None:
            at = 100 * target.weakest.chainage / length
            cells.append(f'<i class="weakest" style="left:{at:.3f}%" title="weakest route"></i>')
        shown = f'class="row{" sure" if sure else ""}" data-kind="{kind}" data-name="{names.index(target.target.name)}"'
        parts.append(f'<div {shown}><span class="label">{label}</span>{"".join(cells)}</div>')
    ticks = "".join(
        f'<span style="left:{100 * chainage / length:.3f}%">{chainage / 1000:g}{" km" if chainage == 0 else ""}</span>'
        for chainage in ribbon.ticks(length, 16)
    )
    return "\n".join([*parts, f'{last}<div class="axis">{ticks}</div>'])


def _names(coverage: Coverage) -> list[str]:
    return list(dict.fromkeys(target.target.name for target in coverage.targets))


def _segment(start: float, end: float, length: float, state: str, said: str, number: int | None = None) -> str:
    share = (end - start) / length
    link = f' data-gap="{number}"' if number else ""
    text = str(number) if number and share > 0.012 * len(str(number)) else ""
    return (
        f'<div class="seg {state}"{link} title="{escape(said)}" '
        f'style="left:{100 * start / length:.3f}%;width:{100 * share:.3f}%">{text}</div>'
    )


def _heads(coverage: Coverage) -> str:
    """Post names over their places, in two storeys where they would touch on a ribbon of 1000 pixels."""
    ends = [-99.0, -99.0]
    parts = []
    for name, chainage in ribbon.post_chainages(coverage):
        middle = 1000 * chainage / coverage.frontage.length
        half = 4 * len(name) + 3
        storey = next((i for i in (0, 1) if middle - half > ends[i]), None)
        text = escape(name) if storey is not None else ""
        if storey is not None:
            ends[storey] = middle + half
        kind = "up" if storey == 1 else ""
        parts.append(f'<span class="{kind}" style="left:{middle / 10:.3f}%" title="{escape(name)}">{text}</span>')
    flat = " flat" if ends[1] < 0.0 else ""
    return f'<div class="head{flat}">{"".join(parts)}</div>'


def _curve(coverage: Coverage, target: TargetCoverage) -> str:
    """Probabilities along the frontage, 0 to 100 on both axes."""
    count = len(target.stations.chainage)
    edges = np.linspace(0, 100, count + 1)
    drawn = {}
    for kind in ribbon.KINDS:
        pieces: list[str] = []
        area: list[str] = []
        value = ribbon.probability(coverage, target, kind)
        known = np.isfinite(value)
        for first, after in _stretches(known):
            steps = "".join(
                f"H{edges[i]:.2f}V{100 - 100 * value[i]:.1f}H{edges[i + 1]:.2f}" for i in range(first, after)
            )
            pieces.append(f"M{edges[first]:.2f} {100 - 100 * value[first]:.1f}{steps}")
            area.append(f"M{edges[first]:.2f} 100V{100 - 100 * value[first]:.1f}{steps}V100Z")
        drawn[kind] = ("".join(pieces), "".join(area))
    level = 100 - 100 * ribbon.threshold(coverage, "breach")
    return (
        f'<span class="label">{escape(ribbon.name(target))}<br><span class="faint"><b>━ breach</b><br>'
        "╌ lane &nbsp;─ line</span></span>"
        '<span class="tick" style="top:1px">100 %</span><span class="tick" style="bottom:1px">0 %</span>'
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="area" d="{drawn["breach"][1]}"/><line class="level" x1="0" x2="100" '
        f'y1="{level:.1f}" y2="{level:.1f}"/>'
        f'<path class="line" d="{drawn["line"][0]}"/><path class="lane" d="{drawn["lane"][0]}"/>'
        f'<path class="breach" d="{drawn["breach"][0]}"/></svg>'
    )


def _stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(first), int(after)) for first, after in zip(edges[::2], edges[1::2], strict=True)]


# --- tables


def _gap_said(gap: Gap) -> str:
    return f"km {figures.span(gap, ' to ')}, {figures.metres(gap.length)}"


def _gaps(coverage: Coverage) -> str:
    """A row per entry of the list: the gap that made it, and which kinds are open there."""
    rows = []
    owners = {id(target): index for index, target in enumerate(coverage.targets)}
    for entry in entries(coverage):
        gap, number = entry.gap, entry.number
        moves = gap.kind != "line"
        cells = [
            f'<td><button type="button" aria-label="Go to gap {number}">{number}</button></td>',
            f"<td>{figures.span(gap)}</td>",
            f'<td class="n">{figures.metres(gap.length)}</td>',
            f'<td class="n">{figures.kilometres(gap.weakest)}</td>',
            f'<td class="n">{figures.percent(gap.probability_least)}</td>',
            f'<td class="n">{figures.percent(gap.probability_mean)}</td>',
            f'<td class="n">{figures.percent(gap.before) if moves else ""}</td>',
            f'<td class="n">{figures.clock(gap.warning) if moves else ""}</td>',
            f"<td>{entry.kinds}</td>",
            f"<td>{escape(ribbon.name(entry.target))}</td>",
            f"<td>{escape(', '.join(gap.nearest_posts))}</td>",
            f"<td>{escape(', '.join(figures.notes(gap)))}</td>",
        ]
        rows.append(f'<tr data-gap="{number}" data-of="{owners[id(entry.target)]}">{"".join(cells)}</tr>')
    thresholds = coverage.scenario.thresholds
    rule = (
        f"Breach: the chance that somebody who picks the best way across within {thresholds.lateral_m:g} m is detected "
        f"is below {thresholds.lane_p:g}. Lane: the same for the straight way across the belt. Line: the chance that "
        f"a look of {thresholds.look_s:g} s at the frontage detects the target is below {thresholds.line_p:g}. "
        "Least, before and warning hold for the weakest place: the chance of being detected on the whole way, and "
        "before the frontage is reached, and the median time left to the frontage then. "
        f"{figures.at_once(coverage)} Chances are modelled."
    )
    names = ("at km", "least chance", "mean", "before", "warning")
    middle = "".join(f'<th class="n">{name}</th>' for name in names)
    return (
        f'<p class="faint">{escape(rule)}</p><table id="gaps"><thead><tr><th>gap</th><th>km</th>'
        f'<th class="n">length</th>{middle}<th>kinds</th><th>target</th><th>nearest posts</th><th>notes</th>'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _closing(coverage: Coverage, found: Findings) -> str:
    """For each entry of the list what would close it and the ground it lies on; the script shows the chosen one's."""
    cards = []
    for entry in entries(coverage):
        gap = entry.gap
        if gap.id not in found.closing:
            continue
        near, ground = found.closing[gap.id]
        items = [f'<li title="{escape(closer_words(each))}">{escape(closer_brief(each))}</li>' for each in near]
        what = "".join(items) or f"<li>{NOBODY}</li>"
        cards.append(
            f'<section class="closing" data-card="{entry.number}" hidden><h3>Gap {entry.number} <span class="faint">'
            f"{escape(_gap_said(gap))}</span></h3><p><b>What would close it:</b></p>"
            f"<ol>{what}</ol><p><b>Ground:</b> {escape(lie_words(ground))}</p></section>"
        )
    return "".join(cards)


def _losses(coverage: Coverage, found: Findings) -> str:
    said = figures.loss_said(found.worst_loss)
    if not said:
        return ""
    of = f"Breach gaps of the {coverage.targets[0].target.name}, as expected; "
    return (
        f'<h2>If a post is lost</h2><p id="loss">{escape(said[0])} <span class="faint">{escape(of)}'
        "<code>dronewall losses</code> ranks all losses.</span></p>"
    )


def _trust(found: Findings) -> str:
    if not found.trust:
        return ""
    lines = "".join(f"<li>{escape(said)}</li>" for said in trust.sentences(found.trust))
    return f'<h2>{escape(trust.HEADING.rstrip("."))}</h2><ul id="trust">{lines}</ul>'


def _sensors(coverage: Coverage) -> str:
    rows = []
    bad = figures.troubled(coverage)
    for index, sensor in enumerate(coverage.sensors):
        record = records.sensor_record(coverage, sensor)
        looks = "" if record["azimuth_deg"] is None else f"{record['azimuth_deg']:.0f}°"
        farthest = "" if record["range_max_m"] is None else figures.metres(record["range_max_m"])
        where = sensor.post or ("drone" if sensor.moving else "")
        glyph = "▲ " if sensor in bad else "● "
        rows.append(
            f'<tr data-sensor="{index}" tabindex="0"><td>{escape(sensor.name)}</td><td>{escape(where)}</td>'
            f'<td class="state{" bad" if sensor in bad else ""}">{glyph}{escape(sensor.state)}</td>'
            f'<td class="n">{looks}</td><td class="n">{farthest}</td><td>{escape(sensor.note)}</td></tr>'
        )
    return (
        '<table id="sensors"><thead><tr><th>sensor</th><th>post</th><th>state</th><th class="n">'
        'azimuth</th><th class="n">range</th>'
        f"<th>note</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _provenance(coverage: Coverage) -> str:
    rows = [(key, value) for key, value in figures.provenance(coverage).items() if value is not None]
    if coverage.at_level("assured"):
        rows.append(("assured", figures.assurance(coverage).removeprefix("Assured: ")))
    for target in coverage.at_level("expected"):
        wanted = target.target
        rows.append(
            (
                f"target {wanted.name}",
                f"{wanted.height_agl_m[0]:g} to {wanted.height_agl_m[1]:g} m above ground, "
                f"{wanted.width_m:g} m wide, {wanted.speed_mps:g} m/s",
            )
        )
    inner = "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in rows)
    return f'<p class="faint">Modelled coverage, never mixed with observed detections.</p><dl>{inner}</dl>'


def _data(coverage: Coverage, sheet: Sheet) -> str:
    """What the script needs, as JSON that cannot end its element."""
    frontage = coverage.frontage
    numbers: dict[int, list[dict[str, Any]]] = {}
    for number, target, gap in numbered(coverage):
        numbers.setdefault(id(target), []).append(
            {
                "number": number,
                "kind": gap.kind,
                "start": round(gap.start, 2),
                "end": round(gap.end, 2),
                "length": round(gap.length, 2),
                "weakest": figures.figure(gap.weakest, 2),
                "said": figures.metres(gap.length),
            }
        )
    data = {
        "width": round(sheet.width, 1),
        "height": round(sheet.height, 1),
        "length": round(float(frontage.length), 2),
        "reach": round(1.5 * max(frontage.front, frontage.behind, 100.0), 1),
        "points": [[round(float(x), 1), round(float(y), 1)] for x, y in sheet.points(frontage.points)],
        "chainages": [round(float(chainage), 2) for chainage in ribbon.vertices(frontage)],
        "posts": [{"name": name, "chainage": round(chainage, 1)} for name, chainage in ribbon.post_chainages(coverage)],
        "sensors": [records.sensor_said(coverage, index) for index in range(len(coverage.sensors))],
        "targets": [
            {
                "name": ribbon.name(target),
                "row": _names(coverage).index(target.target.name),
                "gaps": numbers.get(id(target), []),
                **{
                    kind: [figures.figure(value, 4) for value in ribbon.probability(coverage, target, kind)]
                    for kind in ribbon.KINDS
                },
                "before": [figures.figure(value, 4) for value in target.stations.breach_before],
                "warning": [figures.figure(value, 0) for value in target.stations.breach_warning],
            }
            for target in coverage.targets
        ],
    }
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
