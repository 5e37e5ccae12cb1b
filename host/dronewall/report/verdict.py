"""Why a sensor sees a place or not, in words, in figures, and as a section for the terminal.

Every line reads without colour and fits into 80 columns; a terminal that knows no Unicode gets ASCII glyphs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from dronewall import __version__
from dronewall.engine.reason import HIGHEST_MAST
from dronewall.report.colours import LOOKS, State
from dronewall.report.figures import figure, percent, utc
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.profile import Profile
    from dronewall.engine.reason import Reason, TargetReason, Verdict
    from dronewall.engine.wall import Source

LOOK_OF: dict[Verdict, State] = {
    "seen": "covered",
    "faint": "gap",
    "hidden": "gap",
    "outside": "gap",
    "unknown": "unknown",
}
"""How a verdict looks: like the frontage would in that state."""

_RIDGE = 1.0  # metres that the ground falls on both sides of what is called a ridge
_BUILT = 1.0  # metres by which the surface stands above the ground where something stands on it
_ROWS = 11


def away(distance: float) -> str:
    """`412 m`, from 1 km on `1.24 km`."""
    return f"{distance:.0f} m" if round(distance) < 1000 else f"{distance / 1000:.2f} km"


def height(metres: float, up: bool = False) -> str:
    """`3.1 m`, from 100 m on `143 m`, under 10 cm `4 cm`; with `up` rounded upwards: what must be reached at least."""
    if 0.0 < metres < 0.095:
        return f"{math.ceil(100.0 * metres)} cm"
    scale = 10.0 if metres < 99.95 else 1.0
    value = (math.ceil(round(metres * scale, 6)) if up else round(metres * scale)) / scale
    return f"{value:.1f} m" if scale > 1.0 else f"{value:.0f} m"


def angle(radians: float) -> str:
    """`23°`, under ten degrees `4.5°`."""
    degrees = math.degrees(radians)
    return f"{degrees:.0f}°" if abs(degrees) >= 9.95 else f"{degrees:.1f}°"


def azimuth_deg(reason: Reason, azimuth: float) -> float:
    """A grid azimuth [rad] at the sensor as degrees clockwise from true north."""
    # grid azimuth = true azimuth - convergence (earth.py)
    convergence = reason.ground.site.convergence(reason.frustum.east, reason.frustum.north)
    return math.degrees(azimuth + convergence) % 360.0


def obstacle(profile: Profile, at: int) -> str:
    """What stands at a crossing: `the ridge`, `the ground`, `the building or tree`, or `the curve of the earth`."""
    if not (profile.line_amsl < profile.ground_amsl).any() and profile.least_clearance < 0.0:
        return "the curve of the earth"
    here = profile.ground_amsl[at]
    if profile.surface[at] >= _BUILT:
        return "the building or tree"
    before = np.append(profile.ground_amsl[:at], profile.eye_ground_amsl)
    after = np.append(profile.ground_amsl[at + 1 :], profile.target_ground_amsl)
    falls = min(here - np.nanmin(side) if np.isfinite(side).any() else 0.0 for side in (before, after))
    return "the ridge" if falls >= _RIDGE else "the ground"


def verdict(reason: Reason, one: TargetReason) -> str:
    """Why the target is (not) seen, in one sentence without a full stop.

    `hidden: the ridge at 412 m is 3.1 m too high; a mast of 6.4 m would see its top, one of 8 m all of it`
    """
    if one.verdict == "outside":
        return f"outside its view: {_outside(reason, one)}"
    if one.verdict == "unknown":
        return f"unknown: {_unknown(one)}"
    if one.verdict == "hidden":
        return f"hidden: {_hidden(reason, one)}"
    said = f"{percent(one.look)} in a look of {reason.ground.scenario.thresholds.look_s:g} s at {away(one.slant)}"
    if one.verdict == "faint":
        said = f"faint: in its view and in sight, but noticed with only {said}"
        if math.isfinite(one.mast_noticed):
            said += f"; from a mast of {height(one.mast_noticed, up=True)} it would be noticed often enough"
    else:
        said = f"seen: {said}"
    if one.exposed < one.target.top_agl - one.target.bottom_agl - 1e-6:
        at = one.profile.horizon
        assert at is not None
        edge = f"{obstacle(one.profile, at)} at {away(float(one.profile.distance[at]))}"
        said += f"; only its upper {height(one.exposed)} is in sight, {edge} hides the rest"
    return said


def _tightest(one: TargetReason) -> float:
    at = one.profile.tightest
    return math.nan if at is None else float(one.profile.distance[at])


def blocked(one: TargetReason) -> str:
    """`the ridge at 412 m is 3.1 m too high`, of a target behind something."""
    at = one.profile.tightest
    assert at is not None
    where = away(float(one.profile.distance[at]))
    return f"{obstacle(one.profile, at)} at {where} is {height(one.profile.excess)} too high"


def _hidden(reason: Reason, one: TargetReason) -> str:
    return f"{blocked(one)}; {_raised(reason, one)}"


def _raised(reason: Reason, one: TargetReason) -> str:
    """What height of the sensor would see the target."""
    top, whole = one.mast_top, one.mast_all
    if not math.isfinite(top):
        return "no ground height under the sensor to count a mast from"
    what, rest = ("flying at {} above the ground", "at {}") if reason.sensor.moving else ("a mast of {}", "one of {}")
    if top > HIGHEST_MAST and not reason.sensor.moving:
        return f"a mast would have to be {height(top, up=True)}"
    mast = height(advised(one), up=True)
    if one.mast_noticed > 1.05 * one.mast_all:
        # A mast that shows it all shows it too faintly: a canopy, or the model's own reach.
        return f"{what.format(mast)} would have it in sight, {rest.format(height(one.mast_noticed, up=True))} notice it"
    if _small(one):
        return f"{what.format(mast)} would see it"
    said = f"{what.format(mast)} would see its top"
    return f"{said}, {rest.format(height(whole, up=True))} all of it" if whole <= 2.0 * HIGHEST_MAST else said


def _small(one: TargetReason) -> bool:
    """Whether it makes no difference to see the top of the target or all of it."""
    size = one.target.top_agl - one.target.bottom_agl
    return size < 1.0 or not one.mast_all - one.mast_top >= 0.05


def advised(one: TargetReason) -> float:
    """The height of the sensor above ground [m] that the verdict names first: sees the target's top, all of a small
    target.
    """
    return one.mast_all if _small(one) else one.mast_top


def _unknown(one: TargetReason) -> str:
    said = f"no ground height at {away(one.profile.first_unknown)}"
    if one.profile.least_clearance < 0.0:
        said += f"; whatever stands there, {blocked(one)}"
    return said


def _outside(reason: Reason, one: TargetReason) -> str:
    said = []
    if one.aside:
        said.append(f"{angle(abs(one.aside))} {'left' if one.aside < 0.0 else 'right'} of it")
    if one.above and math.isfinite(one.above):
        said.append(f"{angle(abs(one.above))} {'above' if one.above > 0.0 else 'below'} it")
    if one.beyond > 0.0:
        said.append(f"{away(one.slant)} away, and it sees to {away(reason.frustum.range_max)}")
    elif one.beyond < 0.0:
        said.append(f"{height(one.slant)} away, and it sees from {height(reason.frustum.range_min)}")
    where = " and ".join(said) or "beside it"
    return f"{where}; {_after_turning(reason, one)}" if one.turned is not None else where


def _after_turning(reason: Reason, one: TargetReason) -> str:
    turned, frustum = one.turned, reason.frustum
    assert turned is not None
    moved = []
    if turned.azimuth != frustum.azimuth:
        moved.append(f"turned to azimuth {azimuth_deg(reason, turned.azimuth):.0f}°")
    if turned.elevation != frustum.elevation:
        moved.append(f"tilted to elevation {_signed(turned.elevation)}")
    how = " and ".join(moved)
    if not one.profile.known:
        return f"{how} it would still be unknown: {_unknown(one)}"
    if one.exposed <= 0.0:
        return f"{how} it would still be hidden: {_hidden(reason, one)}"
    if turned.look <= 0.0:
        return f"{how} it would still not be noticed"
    seen = "seen with" if turned.look >= reason.ground.scenario.thresholds.line_p else "noticed with only"
    return f"{how} it would be {seen} {percent(turned.look)} in a look of {_look_s(reason):g} s"


def _look_s(reason: Reason) -> float:
    return reason.ground.scenario.thresholds.look_s


def _signed(radians: float) -> str:
    degrees = round(math.degrees(radians))
    return f"{degrees:+d}°".replace("-", "−") if degrees else "0°"


def remarks(reason: Reason, one: TargetReason) -> list[str]:
    """What a careful reader has to know besides: the terrain's error against the margin, sleep, the sensor's state."""
    said = []
    le90, margin = reason.ground.terrain.le90, _margin(reason, one.profile)
    if margin is not None and math.isnan(le90):
        said.append("the terrain does not say how large its vertical error is (terrain.le90_m)")
    elif margin is not None and margin < le90:
        said.append(f"not sure: {height(margin)} is less than the terrain's error, LE90 {le90:g} m")
    if one.clear < 0.995:
        said.append(f"the canopy on the way leaves {percent(one.clear)} of what it could receive")
    if percent(one.look_still) != percent(one.look):
        said.append(f"standing still it is noticed with {percent(one.look_still)} only")
    if {percent(one.look_expected), percent(one.look_assured)} != {percent(one.look)}:
        levels = f"expected {percent(one.look_expected)}, assured {percent(one.look_assured)}"
        said.append(f"with the errors that its pose may have: {levels}")
    if reason.frustum.duty < 1.0:
        said.append(f"awake {percent(reason.frustum.duty)} of the time: the look counts it")
    if reason.sensor.state not in ("planned", "heard") or reason.sensor.note:
        said.append(f"the sensor is {reason.sensor.state}" + (f": {reason.sensor.note}" if reason.sensor.note else ""))
    return said


def _margin(reason: Reason, profile: Profile) -> float | None:
    """By how much the terrain would have to be wrong for the line of sight to change [m]; None where it cannot be told.

    Ground within a posting of either end is off by as much as the end itself, and lifts it along: it counts only
    where it is what blocks.
    """
    if not profile.known:
        return None
    if profile.excess > 0.0:
        return profile.excess
    posting = reason.ground.terrain.posting
    posting = posting if math.isfinite(posting) else 0.0
    apart = (profile.distance > posting) & (profile.length - profile.distance > posting)
    return float(profile.clearance[apart].min()) if apart.any() else None


def heading(reason: Reason) -> str:
    """`P4/cam, 6 m above ground, looks at azimuth 156°; the place: 1.24 km away at azimuth 151°`"""
    frustum = reason.frustum
    above = f", {height(frustum.eye_agl)} above ground" if frustum.eye_agl is not None else ""
    return (
        f"{clean(reason.sensor.name)}{above}, looks at azimuth {azimuth_deg(reason, frustum.azimuth):.0f}°, elevation "
        f"{_signed(frustum.elevation)}; the place: {away(reason.distance)} away at azimuth "
        f"{azimuth_deg(reason, reason.azimuth):.0f}°"
    )


def basis(reason: Reason, digest: str, when: str = "planned") -> str:
    """What every figure depends on, in one line. when: `figures.poses`."""
    terrain = reason.ground.terrain
    posting = f"{terrain.posting:.0f} m" if math.isfinite(terrain.posting) else "not given"
    error = f"{terrain.le90:g} m" if math.isfinite(terrain.le90) else "not given"
    latitude, longitude = reason.ground.site.to_geodetic(*reason.place)
    return (
        f"Modelled, {when}, for the middle of the {terrain.cell:g} m cell, {latitude:.5f},{longitude:.5f}; terrain "
        f"posting {posting}, LE90 {error}; input {digest[:12]}; dronewall {__version__}."
    )


def as_json(reason: Reason, digest: str, source: Source = "plan", at_unix_ms: int | None = None) -> dict[str, Any]:
    """All of it, ready for `json.dumps`: nan has become None. source, at_unix_ms: where the reports came from, when."""
    frustum, ground = reason.frustum, reason.ground
    thresholds = ground.scenario.thresholds
    latitude, longitude = ground.site.to_geodetic(*reason.place)
    return {
        "dronewall": {
            "what": "why",
            "site": ground.scenario.site.name,
            "source": source,
            "at_unix_ms": at_unix_ms,
            "at_utc": utc(at_unix_ms),
            "level": "reported",
            "look_s": thresholds.look_s,
            "line_p": thresholds.line_p,
            "visibility_m": ground.scenario.environment.visibility_m,
            "cell_m": ground.terrain.cell,
            "posting_m": figure(ground.terrain.posting),
            "le90_m": figure(ground.terrain.le90),
            "input_hash": digest,
            "version": __version__,
        },
        "sensor": {
            "sensor": reason.sensor.name,
            "state": reason.sensor.state,
            "note": reason.sensor.note,
            "eye_amsl_m": figure(frustum.eye_amsl, 2),
            "eye_agl_m": figure(frustum.eye_agl, 2),
            "azimuth_deg": figure(azimuth_deg(reason, frustum.azimuth), 2),
            "elevation_deg": figure(math.degrees(frustum.elevation), 2),
        },
        "place": {
            "latitude_deg": figure(latitude, 7),
            "longitude_deg": figure(longitude, 7),
            "moved_to_cell_m": figure(math.dist(reason.asked, reason.place), 2),
            "azimuth_deg": figure(azimuth_deg(reason, reason.azimuth), 2),
            "distance_m": figure(reason.distance, 2),
        },
        "targets": [_target_json(reason, one) for one in reason.targets],
    }


def _target_json(reason: Reason, one: TargetReason) -> dict[str, Any]:
    profile, at = one.profile, one.profile.tightest
    blocking = None
    if at is not None:
        blocking = {
            "what": obstacle(profile, at).removeprefix("the "),
            "distance_m": figure(profile.distance[at], 2),
            "ground_amsl_m": figure(profile.ground_amsl[at], 2),
            "raised_amsl_m": figure(profile.raised_amsl[at], 2),
            "clearance_m": figure(profile.clearance[at], 3),
        }
    turned = None
    if one.turned is not None:
        turned = {
            "azimuth_deg": figure(azimuth_deg(reason, one.turned.azimuth), 2),
            "elevation_deg": figure(math.degrees(one.turned.elevation), 2),
            "look_probability": figure(one.turned.look),
        }
    return {
        "target": one.target.name,
        "verdict": one.verdict,
        "words": verdict(reason, one),
        "remarks": remarks(reason, one),
        "look_probability": figure(one.look),
        "look_still_probability": figure(one.look_still),
        "look_expected_probability": figure(one.look_expected),
        "look_assured_probability": figure(one.look_assured),
        "glimpse_probability": figure(one.glimpse),
        "rate_per_s": figure(one.rate, 9),
        "ceiling_probability": figure(one.ceiling),
        "slant_m": figure(one.slant, 2),
        "exposed_m": figure(one.exposed, 3),
        "canopy_transmittance": figure(one.clear),
        "seen_from_agl_m": figure(one.least_agl, 3),
        "mast_for_top_m": figure(one.mast_top, 3),
        "mast_for_all_m": figure(one.mast_all, 3),
        "mast_to_notice_m": figure(one.mast_noticed, 1),
        "aside_deg": figure(math.degrees(one.aside), 3),
        "above_deg": figure(math.degrees(one.above), 3),
        "beyond_m": figure(one.beyond, 2),
        "turned": turned,
        "tightest": blocking,
        "first_unknown_m": figure(profile.first_unknown, 2),
        "profile": {
            "distance_m": [figure(value, 2) for value in profile.distance],
            "ground_amsl_m": [figure(value, 2) for value in profile.ground_amsl],
            "raised_amsl_m": [figure(value, 2) for value in profile.raised_amsl],
            "line_amsl_m": [figure(value, 2) for value in profile.line_amsl],
            "surface_m": [figure(value, 2) for value in profile.surface],
            "canopy_m": [figure(value, 2) for value in profile.canopy],
        },
    }


# --- the terminal


def report(reason: Reason, digest: str, when: str = "planned", *, drawn: bool = True) -> RenderableType:
    """Everything in reading order: the section to the first target's top unless it is drawn elsewhere, the figures of
    all targets, their verdicts. when: `figures.poses`.
    """
    shown: list[RenderableType] = [Text(heading(reason), style="bold"), Text()]
    if drawn:
        shown += [Section(reason, reason.targets[0]), Text()]
    shown += [_figures(reason), Text(basis(reason, digest, when), style="dim"), Text()]
    several = len(reason.targets) > 1
    for one in reason.targets:
        word, _, rest = verdict(reason, one).partition(":")
        text = Text(f"{clean(one.target.name)}  " if several else "", style="bold")
        text.append(word, style=LOOKS[LOOK_OF[one.verdict]].terminal)
        text.append(f":{rest}", style="default")
        said = remarks(reason, one)
        if said:
            text.append(f" ({'; '.join(clean(remark) for remark in said)})", style="dim")
        shown.append(text)
    return Group(*shown)


def _figures(reason: Reason) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("target", "in sight", "seen from", "range", "glimpse", "ceiling", f"{_look_s(reason):g} s look"):
        table.add_column(name, justify="left" if name == "target" else "right", no_wrap=name != "target")
    for one in reason.targets:
        size = one.target.top_agl - one.target.bottom_agl
        table.add_row(
            Text(clean(one.target.name)),
            f"{height(one.exposed)} of {size:.1f} m" if math.isfinite(one.exposed) else "unknown",
            f"{height(one.least_agl, up=True)}" if math.isfinite(one.least_agl) else "unknown",
            away(one.slant),
            percent(one.glimpse),
            percent(one.ceiling),
            percent(one.look),
        )
    return table


class Section:
    """The terrain between sensor and place as rows of glyphs over the terminal's width, heights to the left."""

    def __init__(self, reason: Reason, one: TargetReason) -> None:
        self.reason = reason
        self.one = one

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        profile, plain = self.one.profile, options.ascii_only
        edge = 8
        count = max(min(options.max_width, 120) - edge - 1, 16)
        at, ground, line = _columns(profile, count)
        known = ground[np.isfinite(ground)]
        heights = [profile.eye[2], profile.target[2], *known]
        low, high = min(heights), max(heights)
        low -= 0.06 * max(high - low, 4.0)
        step = max(high - low, 4.0) / (_ROWS - 0.5)
        rows = [[(" ", "")] * count for _ in range(_ROWS)]
        steps = "#" if plain else "▁▂▃▄▅▆▇█"
        for column, top in enumerate(ground):
            if math.isnan(top):
                for row in rows:
                    row[column] = (LOOKS["unknown"].ascii, LOOKS["unknown"].terminal)
                continue
            filled = (top - low) / step
            for index in range(_ROWS):
                part = min(max(filled - index, 0.0), 1.0)
                glyph = steps[max(round(part * len(steps)), 1) - 1] if part * len(steps) >= 0.5 else " "
                rows[index][column] = (glyph, "dim" if glyph != " " else "")
        for column, value in enumerate(line):
            index = min(max(int((value - low) / step), 0), _ROWS - 1)
            under = value < ground[column]
            glyph = (LOOKS["gap"].ascii if plain else LOOKS["gap"].glyph) if under else ("." if plain else "·")
            if math.isfinite(ground[column]):
                rows[index][column] = (glyph, LOOKS["gap"].terminal if under else LOOKS["covered"].terminal)
        ends = ("E", "T") if plain else ("◉", "◆")
        for column, value, glyph in ((0, profile.eye[2], ends[0]), (count - 1, profile.target[2], ends[1])):
            rows[min(max(int((value - low) / step), 0), _ROWS - 1)][column] = (glyph, "bold")
        tightest = _tightest(self.one)
        if self.one.verdict == "hidden" and math.isfinite(tightest):
            column = int(np.abs(at - tightest).argmin())
            index = next((i for i in range(_ROWS) if rows[i][column][0] == " "), _ROWS - 1)
            rows[index][column] = ("v" if plain else "▾", LOOKS["gap"].terminal)
        for index in reversed(range(_ROWS)):
            label = f"{low + (index + 0.5) * step:.0f} m" if index % 3 == 1 else ""
            yield from _line(label, edge, rows[index])
        yield from _line("", edge, [(letter, "") for letter in _scale(profile.length, count)])
        told = (
            ("E sensor", "T target's top", ". line of sight")
            if plain
            else ("◉ sensor", "◆ target's top", "· line of sight")
        )
        across = profile.length / count
        # A glyph is about twice as tall as it is wide.
        times = 2.0 * across / step if step > 0.0 else 1.0
        key = f"{'   '.join(told)}   heights {'x' if plain else '×'}{times:.0f}" if times >= 1.5 else "   ".join(told)
        yield from _line("", edge, [(letter, "dim") for letter in key])


def _columns(profile: Profile, count: int) -> tuple[Any, Any, Any]:
    """Distance, raised ground and line of sight in the middle of each of `count` columns; nan where unknown.

    The highest ground of a column stands for it, or a ridge could fall between two columns.
    """
    distance = np.concatenate(([0.0], profile.distance, [profile.length]))
    raised = np.concatenate(([profile.eye_ground_amsl], profile.raised_amsl, [profile.target_ground_amsl]))
    at = (np.arange(count) + 0.5) * profile.length / count
    ground = np.interp(at, distance, raised)
    column = np.minimum((distance / max(profile.length, 1e-9) * count).astype(int), count - 1)
    for index, value in zip(column, raised, strict=True):
        ground[index] = math.nan if math.isnan(value) else max(ground[index], value)
    line = profile.eye[2] + at / max(profile.length, 1e-9) * (profile.target[2] - profile.eye[2])
    return at, ground, line


def _scale(length: float, count: int) -> str:
    """Round distances below the section: `0        200       400 m`."""
    step = round_step(length, max(count // 10, 1))
    letters = [" "] * (count + 8)
    end = 0
    for index in range(int(length / step * (1 + 1e-9)) + 1):
        text = distance_text(index * step, length)
        column = min(round(index * step / max(length, 1e-9) * count), count - 1)
        start = max(min(column - len(text) // 2, count - len(text)), 0)
        if start >= end:
            letters[start : start + len(text)] = text
            end = start + len(text) + 1
    return "".join(letters[:count])


def round_step(length: float, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten [m] that gives at most `most` steps."""
    least = max(length, 1.0) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= least * (1 - 1e-9))


def distance_text(distance: float, length: float) -> str:
    """A tick's label, in km where the whole is longer than 2 km."""
    if distance == 0.0:
        return "0"
    return f"{distance / 1000:g} km" if length > 2000.0 else f"{distance:g} m"


def _line(title: str, edge: int, cells: list[tuple[str, str]]) -> RenderResult:
    yield Segment(title.rjust(edge - 1)[: edge - 1] + " ")
    for letter, style in cells:
        yield Segment(letter, Style.parse(style) if style else None)
    yield Segment.line()
