"""What the HTML report shows of a Cycle: a player over the map, the charts of time, and the tables.

All that is read stands in the page itself; `cycle.js` only moves it.
"""

from __future__ import annotations

import base64
import json
import math
from html import escape
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dronewall.report import cycle as over
from dronewall.report import cycle_cells as cells_of
from dronewall.report.colours import LOOKS, ROUTE, probability_rgba
from dronewall.report.figures import figure, metres, percent, utc
from dronewall.report.html_charts import charts_of
from dronewall.report.html_map import Sheet, image

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle, TargetCycle
    from dronewall.engine.wall import Coverage

_NAMES = ("STYLE", "PLAYER", "MAP", "KEY", "ROW", "SECTION", "SCRIPT")
_CHANCES = 120
"""The script knows the chances for no more times of setting out than these, for fewer on a long line."""
_KEY = "".join(
    [
        '<ul class="key timedkey" aria-label="Legend of the moving map">',
        '<li><i class="swatch nowkey watched"></i>frontage, watched now</li>',
        '<li><i class="swatch nowkey open"></i>not watched now</li>',
        '<li><i class="swatch nowkey unknown"></i>unknown: no terrain</li>',
        '<li><i class="swatch nowkey look"></i>a drone&#x27;s field of view now</li>',
        '<li><i class="swatch nowkey walk"></i>way of who knows the schedule; ● himself</li>',
        '<li><b class="glyph">◆</b>drone in the air</li>',
        '<li><b class="glyph">○</b>post</li>',
        "</ul>\n",
    ]
)
_PHASES = {"ground": "g", "out": "o", "station": "s", "home": "h"}


def parts(coverage: Coverage, cycle: Cycle | None, sheet: Sheet) -> dict[str, str]:
    """What goes into the page's places, by their names; all of it empty where there is no cycle."""
    if cycle is None:
        return {f"CYCLE_{name}": "" for name in _NAMES}
    folder = resources(__package__)
    shown = _shown(coverage, cycle)
    style = folder.joinpath("cycle.css").read_text(encoding="utf-8")
    for name, colour in (("ROUTE", ROUTE), *((state.upper(), look.colour) for state, look in LOOKS.items())):
        style = style.replace(f"@@{name}@@", colour)
    found = (
        style,
        _player(cycle),
        _map(cycle, sheet, shown),
        _KEY,
        f'<div class="stillnote" aria-hidden="true">{escape(_still(coverage))}</div>'
        '<div class="row" id="nowrow"><span class="label">watched now</span><div id="nowcells"></div></div>\n',
        _section(coverage, cycle, sheet, shown),
        folder.joinpath("cycle.js").read_text(encoding="utf-8"),
    )
    return {f"CYCLE_{name}": text for name, text in zip(_NAMES, found, strict=True)}


def _shown(coverage: Coverage, cycle: Cycle) -> list[tuple[int, TargetCycle]]:
    """The cycle's targets with their numbers among the page's."""
    numbers = {(of.target.name, of.level): index for index, of in enumerate(coverage.targets)}
    found = [(numbers.get((of.target.name, of.level), -1), of) for of in cycle.targets]
    return [(index, of) for index, of in found if index >= 0]


def _player(cycle: Cycle) -> str:
    return (
        '<div class="bar noprint" id="player" role="group" aria-label="Time">'
        '<button type="button" id="play" aria-pressed="false" aria-label="Play">▶</button>'
        f'<input type="range" id="time" min="0" max="{cycle.steps - 1}" step="1" value="0" '
        f'aria-label="Time into {over.within(cycle)}" aria-valuetext="{over.moment(0.0)}">'
        f'<output id="clock" for="time">–:––</output><span class="faint">of {over.moment(cycle.length)}</span>'
        '<button type="button" id="untimed" aria-label="Back to the coverage" title="Back to the coverage" hidden>✕'
        "</button>"
        '<span id="doing" class="faint"></span></div>\n'
    )


def _map(cycle: Cycle, sheet: Sheet, shown: list[tuple[int, TargetCycle]]) -> str:
    """What moves on the map, hidden until the script places it, over the share of the time that places are watched."""
    found = []
    for index, of in shown:
        picture = image(probability_rgba(_on_sheet(cycle, of, sheet)), sheet, 'class="shareimage"')
        found.append(f'<g class="timedonly" data-target="{index}"{" hidden" if index else ""}>{picture}</g>')
    runs = "".join(f'<path class="now {kind}"/>' for kind in ("case", "watched", "open", "unknown"))
    found.append(f'<g class="timedonly" id="nowline">{runs}</g>')
    sensors = {name for flying in cycle.frusta for name in flying}
    wedges = '<path class="flying" hidden/>' * len(sensors)
    found.append(f'<g class="timedonly" id="flying">{wedges}</g>')
    found.append('<g class="timedonly" id="walk"><path class="casing"/><path class="walkway"/></g>')
    for drone in over.tracks(cycle):
        inner = f'<path d="M0 -8L8 0L0 8L-8 0Z"/><text x="11" y="-7" font-style="italic">{escape(drone)}</text>'
        more = f'data-drone="{escape(drone)}" hidden'
        found.append(sheet.fix((sheet.box.west, sheet.box.south), "drone timedonly flyer", inner, more))
    walker = '<circle r="6.5"/>'
    found.append(sheet.fix((sheet.box.west, sheet.box.south), "walker timedonly", walker, 'id="walker" hidden'))
    return "".join(found)


def _on_sheet(cycle: Cycle, of: TargetCycle, sheet: Sheet) -> NDArray[np.float64]:
    """Share of the time watched over the sheet's part of the raster (north, east), nan outside the belt."""
    whole = np.full(cycle.ground.terrain.ground_amsl.shape, np.nan)
    whole[cycle.ground.belt.slices] = of.revisit.share
    step = max(1, math.ceil(max(whole[sheet.box.rows, sheet.box.columns].shape) / 1600))
    return np.asarray(whole[sheet.box.rows, sheet.box.columns][::step, ::step], dtype=np.float64)


def _section(coverage: Coverage, cycle: Cycle, sheet: Sheet, shown: list[tuple[int, TargetCycle]]) -> str:
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in over.verdict(cycle))
    notes = "".join(f'<p class="alarm note">{escape(note)}</p>' for note in over.notes(cycle))
    charts = "".join(
        f'<div data-target="{index}"{" hidden" if index else ""}>{charts_of(cycle, of)}</div>' for index, of in shown
    )
    return (
        f'<section id="overtime"><h2>Over time <span class="faint">{escape(over.whole(cycle))}</span></h2>'
        f'<div id="verdict">{said}{notes}</div>{charts}'
        f'<div class="two even"><div><h3>When it is open</h3><div class="scroll">{_openings(cycle, shown)}</div></div>'
        f'<div><h3>Who gets through</h3><div class="scroll">{_breach(cycle)}</div>'
        f'<h3>Watched</h3><div class="scroll">{_watched(cycle)}</div>'
        f'<h3>The drones</h3><div class="scroll">{_sorties(cycle)}{_flights(cycle)}</div>{_losses(cycle)}'
        f"</div></div>{_basis(cycle)}"
        f'<script type="application/json" id="cycle">{_data(coverage, cycle, sheet, shown)}</script></section>\n'
    )


# --- the tables


def _table(names: tuple[str, ...], rows: list[str], more: str = "") -> str:
    """A table; a name that begins with a blank heads figures."""
    head = "".join(
        f"<th{' class=' + chr(34) + 'n' + chr(34) if name[:1] == ' ' else ''}>{escape(name.strip())}</th>"
        for name in names
    )
    return f"<table{more}><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(*cells: str, more: str = "") -> str:
    """A row of texts; one that begins with a blank is a figure."""
    inner = "".join(
        f'<td class="n">{escape(cell[1:])}</td>' if cell[:1] == " " else f"<td>{escape(cell)}</td>" for cell in cells
    )
    return f"<tr{more}>{inner}</tr>"


def _openings(cycle: Cycle, shown: list[tuple[int, TargetCycle]]) -> str:
    rows = []
    for index, of in shown:
        for number, opening in enumerate(of.openings):
            more = f' data-opening="{number}" data-whose="{index}" tabindex="0"{" hidden" if index else ""}'
            span, often = over.opening_span(opening).removeprefix("km "), over.opening_often(cycle, opening)
            times = over.opening_times(cycle, opening, 1000)
            knows, does_not = (f" {percent(chance)}" for chance in over.opening_chances(of, opening))
            rows.append(_row(span, often, times, knows, does_not, "", more=more))
        if not of.openings:
            more = f' data-whose="{index}"{" hidden" if index else ""}'
            rows.append(_row("", "at no time", "", "", "", "", more=more))
    note = f'<p class="faint">{over.MEAN}</p>' if any(of.openings for _, of in shown) else ""
    return _table(("km", "open", "setting out", " who knows", " who does not", "now"), rows, ' id="openings"') + note


def _breach(cycle: Cycle) -> str:
    rows = [
        _row(over.name(of), *_figures(cells_of.knowing(of.knowing), cells_of.unknowing(of.unknowing)))
        for of in over.ordered(cycle)
    ]
    names = ("", " knows the schedule", " at km", " sets out", " waits", " before", " does not know it", " at km")
    return _table(names, rows, ' id="breach"')


def _figures(*cells: tuple[str, ...]) -> list[str]:
    """Cells that stand on the right."""
    return [f" {cell}" for some in cells for cell in some]


def _watched(cycle: Cycle) -> str:
    told = [cells_of.watched(cycle, of) for of in over.ordered(cycle)]
    rows = [_row(name, *_figures(tuple(rest))) for name, *rest in told]
    names = ("", " of frontage and time", " never", " longest not", " at km", " time-average gap")
    return _table(names, rows)


def _sorties(cycle: Cycle) -> str:
    told = [cells_of.sortie(sortie) for sortie in cycle.plan.sorties]
    rows = [_row(*cells[:3], *_figures(cells[3:])) for cells in told]
    names = ("sortie", "drones", "airframe", " a flight", " airframes", " batteries", " there", " nobody")
    return _table(names, rows) + f'<p class="faint">{cells_of.NEEDED}</p>'


def _flights(cycle: Cycle) -> str:
    told = [cells_of.flight(cycle, flight) for flight in over.timetable(cycle)]
    rows = [_row(name, *_figures(tuple(rest))) for name, *rest in told]
    names = ("flight", " takes off", " on station", " off station", " lands", " ready")
    later = any("+" in cell for cells in told for cell in cells[1:])
    note = f'<p class="faint">{cells_of.LATER}</p>' if later else ""
    return _table(names, rows, ' id="flights"') + note if rows else ""


def _losses(cycle: Cycle) -> str:
    if not cycle.losses:
        return ""
    rows = []
    for lost in cycle.losses:
        for one in lost.targets:
            who = one.target.name + (" assured" if one.level == "assured" else "")
            chances = f" {percent(one.least)} → {percent(one.least_without)}"
            open_ = f" {metres(one.open)} → {metres(one.open_without)}"
            rows.append(_row(lost.drone, over.moment(lost.at), over.loss_back(lost), who, chances, open_))
    names = ("lost", "at", "next on station", "target", " chance of who knows", " open, on the mean")
    return f'<h3>If a drone is lost at the worst moment</h3><div class="scroll">{_table(names, rows)}</div>'


def _basis(cycle: Cycle) -> str:
    thresholds = cycle.ground.scenario.thresholds
    longest = ", ".join(f"{name} {over.lasting(seconds)}" for name, seconds in cycle.max_crossing.items())
    said = (
        f"Open: detected with less than {over.threshold(cycle):g} on the best way within {thresholds.lateral_m:g} m "
        "without waiting. Who knows the schedule chooses when, where, and when to wait; at most so long across: "
        f"{longest}. Watched: a look of {thresholds.look_s:g} s detects with {thresholds.line_p:g} or more. On the "
        f"map, while time runs: share of the time that the belt is watched. Modelled, {over.steps_said(cycle)}."
    )
    return f'<p class="faint">{escape(said)}</p>'


# --- what the script needs


def _still(coverage: Coverage) -> str:
    """Which moment the page's coverage is of, beside what moves: `at 0:00`, or when reports were taken."""
    if coverage.at_s is not None:
        return f"at {over.moment(coverage.at_s)}"
    when = utc(coverage.at_unix_ms)
    return f"as of {when.replace('T', ' ').replace('Z', ' UTC')}" if when else "without time"


def _data(coverage: Coverage, cycle: Cycle, sheet: Sheet, shown: list[tuple[int, TargetCycle]]) -> str:
    shapes: dict[tuple[float, ...], int] = {}
    data = {
        "length": figure(cycle.length, 3),
        "step": figure(cycle.step, 4),
        "steps": cycle.steps,
        "periodic": cycle.periodic,
        "still": _still(coverage),
        "sensors": _sensors(cycle, sheet, shapes),
        "shapes": [list(shape) for shape in shapes],
        "drones": {drone: _said(cycle, drone, phases) for drone, phases in over.phases(cycle).items()},
        "targets": {str(index): _target(cycle, of, sheet) for index, of in shown},
    }
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _said(cycle: Cycle, drone: str, phases: list[str]) -> dict[str, Any]:
    """A drone's phase at each step, a letter each, and its times of take-off."""
    starts = [flight.takes_off for flight in over.timetable(cycle) if flight.drone == drone]
    return {
        "phases": "".join(_PHASES[phase] for phase in phases),
        "starts": [figure(start, 1) for start in starts if math.isfinite(start)],
    }


def _sensors(cycle: Cycle, sheet: Sheet, shapes: dict[tuple[float, ...], int]) -> list[dict[str, Any]]:
    """Each moving sensor's place, azimuth and outline at each step; outlines are told once, for azimuth 0."""
    from dronewall.engine.frustum import outline

    names = sorted({name for flying in cycle.frusta for name in flying})
    found = []
    for name in names:
        told: list[Any] = []
        for flying in cycle.frusta:
            frustum = flying.get(name)
            if frustum is None:
                told.append(0)
                continue
            place = np.array([frustum.east, frustum.north])
            ahead = np.array([math.sin(frustum.azimuth), math.cos(frustum.azimuth)])
            right = np.array([ahead[1], -ahead[0]])
            ring = outline(frustum) - place
            flat = np.round(np.stack([ring @ right, -(ring @ ahead)], axis=-1)).ravel() + 0.0
            shape = shapes.setdefault(tuple(int(part) for part in flat), len(shapes))
            x, y = sheet.points(place)[0]
            told.append([round(float(x), 1), round(float(y), 1), round(math.degrees(frustum.azimuth)) % 360, shape])
        found.append({"name": name, "drone": name.split("/")[0], "at": told})
    return found


def _target(cycle: Cycle, of: TargetCycle, sheet: Sheet) -> dict[str, Any]:
    value = over.probability(cycle, of)
    rows = min(value.shape[1], max(_CHANCES * 1000 // len(value), 24), _CHANCES)
    picked = np.linspace(0, value.shape[1] - 1, rows).round().astype(int)
    chances = np.where(np.isnan(value), 255, np.round(250.0 * np.nan_to_num(value)))[:, picked].astype(np.uint8)
    way = of.knowing
    return {
        "count": len(of.watched),
        "watched": _packed(np.asarray(of.watched).T),
        "unknown": _packed(np.asarray(of.stations.unknown)[None, :]),
        "rows": len(picked),
        "chances": base64.b64encode(np.ascontiguousarray(chances.T).tobytes()).decode(),
        "openings": [
            {
                "from": figure(opening.start, 1),
                "to": figure(opening.end, 1),
                "always": opening.always,
                "times": [[figure(start, 2), figure(end, 2)] for start, end in opening.times],
            }
            for opening in of.openings
        ],
        "walk": None
        if way is None
        else {
            "points": [
                [round(float(x), 1), round(float(y), 1)]
                for x, y in sheet.points(np.stack([way.east, way.north], axis=-1))
            ],
            "clock": [figure(time, 1) for time in way.clock],
        },
    }


def _packed(flags: NDArray[np.bool_]) -> str:
    """Bits row by row, each row from a byte of its own, in base64."""
    return base64.b64encode(np.packbits(flags, axis=1).tobytes()).decode()
