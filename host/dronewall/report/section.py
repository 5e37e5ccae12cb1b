"""The terrain between a sensor and a place as one picture: what is in the way, by how much, and where it looks.

matplotlib's objects are used directly, without pyplot: no display, no global state.
"""

from __future__ import annotations

import math
import os
import re
import textwrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Wedge

from dronewall import __version__
from dronewall.engine.detection import refraction_of
from dronewall.engine.earth import drop
from dronewall.engine.frustum import elevations, sweep
from dronewall.report import files, verdict
from dronewall.report.colours import LOOKS
from dronewall.report.picture_labels import ALARM, FAINT, HALO, INK, plain

if TYPE_CHECKING:
    from matplotlib.text import Annotation

    from dronewall.engine.reason import Reason, TargetReason

Floats = npt.NDArray[np.float64]

_WIDTH, _HEIGHT = 12.0, 5.6  # inches
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.75, 0.35, 1.02, 1.38
_DIAL = 1.05
_GROUND, _GROUND_EDGE = "#d9d2c3", "#6d6250"
_FIELD = "#dcebf7"
_CANOPY = "#cfe0c3"
_LEAST_TALL = 12.0  # metres of height that the picture shows at least


def write_png(
    reason: Reason, digest: str, path: str | os.PathLike[str], dots_per_inch: int = 130, when: str = "planned"
) -> None:
    """Write the picture of `figure_of`; OutputError where `path` holds a file that is not ours."""
    title = f"{reason.sensor.name}: {verdict.verdict(reason, reason.targets[0])}"
    files.write_figure(figure_of(reason, digest, when), path, __version__, title, digest, dots_per_inch)


def figure_of(reason: Reason, digest: str, when: str = "planned") -> Figure:
    """The section to the first of the reason's targets (axes "section"), and a dial of azimuths (axes "dial"). when:
    `figures.poses`.
    """
    one = reason.targets[0]
    figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor="white")
    axes = figure.add_axes(
        (
            _LEFT / _WIDTH,
            _BOTTOM / _HEIGHT,
            (_WIDTH - _LEFT - _RIGHT) / _WIDTH,
            (_HEIGHT - _BOTTOM - _TOP) / _HEIGHT,
        ),
        label="section",
    )
    _title(figure, reason, one)
    _footer(figure, reason, one, verdict.basis(reason, digest, when))
    frame = _frame(reason, one)
    axes.set(xlim=frame.across, ylim=frame.heights)
    _draw_field_of_view(axes, reason, one, frame)
    _draw_ground(axes, reason, one, frame)
    _draw_sight(axes, one)
    _draw_ends(axes, reason, one, frame)
    _draw_obstacle(axes, one, frame)
    _axis(axes, one, frame)
    _dial(figure, reason, one)
    return figure


class _Frame(NamedTuple):
    """What the picture shows: distances and heights [m], and how much taller heights are drawn than they are."""

    across: tuple[float, float]
    heights: tuple[float, float]
    exaggeration: float


def _frame(reason: Reason, one: TargetReason) -> _Frame:
    profile = one.profile
    length = max(profile.length, 1.0)
    known = profile.raised_amsl[np.isfinite(profile.raised_amsl)]
    ends = [end for end in (profile.eye_ground_amsl, profile.target_ground_amsl) if math.isfinite(end)]
    everything = [profile.eye[2], profile.target[2], *ends, *known]
    low, high = min(everything), max(everything)
    tall = max(high - low, _LEAST_TALL)
    if _mast_helps(reason, one):
        needed = profile.eye_ground_amsl + verdict.advised(one)
        high = max(high, needed if needed - high < 0.6 * tall else high)
        tall = max(high - low, _LEAST_TALL)
    low, high = low - 0.10 * tall, high + 0.26 * tall
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _BOTTOM - _TOP
    across = (-0.025 * length, 1.05 * length)
    # Never flatter than nature.
    natural = (across[1] - across[0]) * height / width
    if high - low > natural:
        middle, spare = sum(across) / 2.0, (high - low) * width / height / 2.0
        across = (middle - spare, middle + spare)
    exaggeration = ((across[1] - across[0]) / width) / ((high - low) / height)
    return _Frame(across, (low, high), exaggeration)


def _mast_helps(reason: Reason, one: TargetReason) -> bool:
    return one.exposed <= 0.0 and math.isfinite(one.mast_top) and not reason.sensor.moving


# --- words around the section


def _title(figure: Figure, reason: Reason, one: TargetReason) -> None:
    site = reason.ground.scenario.site
    left, top = _LEFT / _WIDTH, 1.0 - 0.16 / _HEIGHT
    said = plain(verdict.verdict(reason, one))
    sizes = ((15, 82, 1), (15, 78, 2), (13.5, 88, 2), (11.5, 104, 2))
    size, width, most = next((each for each in sizes if len(said) <= each[1] * each[2]), (11.5, 104, 3))
    # Lines of about one length: no word stands alone on the last.
    said = re.sub(r"(\d) (?=(m|cm|km|s|%)\b|%)", "\\1\N{NO-BREAK SPACE}", said)
    lines = textwrap.wrap(said, min(len(said) // most + 8, width), break_on_hyphens=False)
    colour = LOOKS[verdict.LOOK_OF[one.verdict]].colour
    figure.text(left, top, "\n".join(lines), size=size, weight="bold", color=colour, va="top", linespacing=1.2)
    what = f"{one.target.name}, {one.target.bottom_agl:g} to {one.target.top_agl:g} m above ground"
    below = (f"{site.title or site.name}  ·  target: {what}", verdict.heading(reason))
    figure.text(
        left,
        top - 0.62 / _HEIGHT,
        "\n".join(plain(line) for line in below),
        size=8.5,
        color=FAINT,
        va="top",
        linespacing=1.3,
    )


def _footer(figure: Figure, reason: Reason, one: TargetReason, basis: str) -> None:
    left = _LEFT / _WIDTH
    figures = (
        f"glimpse {verdict.percent(one.glimpse)}  ·  ceiling {verdict.percent(one.ceiling)}  ·  "
        f"look of {reason.ground.scenario.thresholds.look_s:g} s {verdict.percent(one.look)}"
    )
    if math.isfinite(one.exposed):
        size = one.target.top_agl - one.target.bottom_agl
        figures += f"  ·  in sight {verdict.height(one.exposed)} of {size:.1f} m  ·  "
        least = f"seen here from {verdict.height(one.least_agl, up=True)} above ground"
        figures += least if one.least_agl > 0.0 else "the ground itself is in sight"
    remarks = "; ".join(verdict.remarks(reason, one))
    figure.text(left, 0.40 / _HEIGHT, plain(figures), size=8.5, color=INK)
    if remarks:
        figure.text(left, 0.24 / _HEIGHT, plain(f"{remarks}."), size=8, color=ALARM)
    figure.text(left, 0.08 / _HEIGHT, plain(basis), size=7.5, color=FAINT)


def _axis(axes: Axes, one: TargetReason, frame: _Frame) -> None:
    length = max(one.profile.length, 1.0)
    step = verdict.round_step(length, 10)
    ticks = np.arange(0.0, length * (1 + 1e-9), step)
    axes.set_xticks(ticks, [verdict.distance_text(float(tick), length) for tick in ticks], size=8, color=INK)
    axes.tick_params(length=2.5, color=FAINT, labelsize=8, labelcolor=INK)
    axes.set_ylabel("m above sea level", size=8, color=FAINT)
    times = f"heights drawn {frame.exaggeration:.1f} times" if frame.exaggeration < 9.5 else ""
    times = times or f"heights drawn {frame.exaggeration:.0f} times"
    said = "true to scale" if frame.exaggeration < 1.05 else f"{times} as tall"
    bulge = np.nanmax(one.profile.raised_amsl - one.profile.ground_amsl, initial=0.0)
    if bulge >= 0.05:
        said += f"; ground raised by the earth's curve, by up to {verdict.height(float(bulge))}"
    axes.set_xlabel(f"distance from the sensor ({said})", size=8, color=FAINT, labelpad=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set(color=FAINT, linewidth=0.6)


# --- the section


def _ground(reason: Reason, one: TargetReason, frame: _Frame) -> tuple[Floats, Floats]:
    """Distances and raised heights from edge to edge of the picture; nan where unknown."""
    profile, terrain = one.profile, reason.ground.terrain
    step = terrain.cell / 2.0
    before = np.arange(-step, frame.across[0] - step, -step)[::-1]
    after = np.arange(profile.length + step, frame.across[1] + step, step)
    beyond = []
    for distance in (before, after):
        east, north = np.sin(reason.azimuth) * distance, np.cos(reason.azimuth) * distance
        ground = terrain.ground(profile.eye[0] + east, profile.eye[1] + north)
        # The same curve goes on under the horizontal beyond both ends.
        bend = refraction_of(reason.frustum)
        beyond.append(ground + distance * (profile.length - distance) * drop(1.0, bend))
    distance = np.concatenate((before, [0.0], profile.distance, [profile.length], after))
    ends = ([profile.eye_ground_amsl], profile.raised_amsl, [profile.target_ground_amsl])
    return distance, np.concatenate((beyond[0], *ends, beyond[1]))


def _draw_ground(axes: Axes, reason: Reason, one: TargetReason, frame: _Frame) -> None:
    distance, raised = _ground(reason, one, frame)
    low = frame.heights[0]
    unknown = np.isnan(raised)
    axes.fill_between(distance, low, raised, where=~unknown, facecolor=_GROUND, linewidth=0, zorder=2)
    axes.plot(distance, raised, color=_GROUND_EDGE, linewidth=1.1, zorder=3, label="ground")
    profile = one.profile
    if np.nanmax(profile.canopy, initial=0.0) > 0.0:
        foot = profile.raised_amsl - profile.surface
        axes.fill_between(profile.distance, foot, foot + profile.canopy, facecolor=_CANOPY, linewidth=0, zorder=1.5,
                          label="canopy")  # fmt: skip
    for start, end in _runs(unknown):
        # From the last height that is known to the first one after it.
        left, right = distance[max(start - 1, 0)], distance[min(end, len(distance) - 1)]
        axes.axvspan(left, right, facecolor="#e6e6e6", edgecolor=LOOKS["unknown"].colour, hatch="////", linewidth=0,
                     zorder=2.5, label="unknown")  # fmt: skip
        axes.text((left + right) / 2.0, low + 0.05 * (frame.heights[1] - low), "no ground height", size=8, color=INK,
                  ha="center", path_effects=HALO, zorder=6)  # fmt: skip


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and past-the-last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _draw_field_of_view(axes: Axes, reason: Reason, one: TargetReason, frame: _Frame) -> None:
    frustum, profile = reason.frustum, one.profile
    edges = elevations(frustum, reason.azimuth)
    if edges is None:
        return
    eye, right = profile.eye[2], frame.across[1]
    low, high = (min(max(edge, -1.5533), 1.5533) for edge in edges)  # 89 degrees: a vertical edge has no slope
    near = frustum.range_min * math.cos(high if abs(high) < abs(low) else low)
    far = min(frustum.range_max, right)
    across = np.linspace(0.0, far, 2)
    axes.fill_between(across, eye + across * math.tan(low), eye + across * math.tan(high), facecolor=_FIELD,
                      linewidth=0, zorder=1, label="field of view")  # fmt: skip
    for edge in (low, high):
        axes.plot(across, eye + across * math.tan(edge), color=LOOKS["covered"].colour, linewidth=0.7, alpha=0.6,
                  dashes=(5, 3), zorder=2.2)  # fmt: skip
    if far < right and far < profile.length * 1.02:
        axes.plot([far, far], [eye + far * math.tan(low), eye + far * math.tan(high)], linewidth=0.7, alpha=0.6,
                  color=LOOKS["covered"].colour, dashes=(5, 3), zorder=2.2)  # fmt: skip
        axes.annotate(f"sees to {verdict.away(far)}", (far, frame.heights[1]), (-4, -4), textcoords="offset points",
                      size=8, color=LOOKS["covered"].colour, ha="right", va="top", path_effects=HALO)  # fmt: skip
    if near > 0.02 * profile.length:
        axes.plot([near, near], [eye + near * math.tan(low), eye + near * math.tan(high)], linewidth=0.7, alpha=0.6,
                  color=LOOKS["covered"].colour, dashes=(5, 3), zorder=2.2)  # fmt: skip


def _draw_sight(axes: Axes, one: TargetReason) -> None:
    """The line of sight: blue as far as it is free, vermilion from the first obstacle on."""
    profile = one.profile
    eye, target = (0.0, profile.eye[2]), (profile.length, profile.target[2])
    blocked = np.flatnonzero(profile.clearance < 0.0)
    if not blocked.size:
        colour = LOOKS["covered"].colour if profile.known else LOOKS["unknown"].colour
        axes.plot(*zip(eye, target, strict=True), color=colour, linewidth=1.6, zorder=5, label="line of sight")
        return
    first = int(blocked[0])
    at = (float(profile.distance[first]), float(profile.line_amsl[first]))
    axes.plot(*zip(eye, at, strict=True), color=LOOKS["covered"].colour, linewidth=1.6, zorder=5, label="line of sight")
    axes.plot(*zip(at, target, strict=True), color=ALARM, linewidth=1.3, dashes=(3, 2), zorder=5, label="blocked")


def _draw_ends(axes: Axes, reason: Reason, one: TargetReason, frame: _Frame) -> None:
    profile, frustum = one.profile, reason.frustum
    eye = profile.eye[2]
    if math.isfinite(profile.eye_ground_amsl) and not reason.sensor.moving:
        axes.plot([0.0, 0.0], [profile.eye_ground_amsl, eye], color=INK, linewidth=2.2, zorder=6, clip_on=False)
    axes.plot([0.0], [eye], marker="D" if reason.sensor.moving else "o", markersize=7, markerfacecolor="white",
              markeredgecolor=INK, markeredgewidth=1.4, zorder=8, clip_on=False)  # fmt: skip
    above = f", {verdict.height(frustum.eye_agl)} up" if frustum.eye_agl is not None else ""
    falls = profile.target[2] <= eye
    _label(axes, f"{reason.sensor.name}{above}", (0.0, eye), (2, 9) if falls else (7, -15), "left")
    in_sight = math.isfinite(one.exposed) and one.exposed > 0.0
    dark = ALARM if profile.known else LOOKS["unknown"].colour
    foot = profile.target_ground_amsl if math.isfinite(profile.target_ground_amsl) else profile.target[2]
    bottom, top = foot + one.target.bottom_agl, profile.target[2]
    if math.isfinite(profile.target_ground_amsl):
        hidden = min(max(foot + one.least_agl, bottom), top) if math.isfinite(one.least_agl) else top
        for low, high, colour in ((bottom, hidden, dark), (hidden, top, LOOKS["covered"].colour)):
            if high > low:
                axes.plot([profile.length] * 2, [low, high], color=colour, linewidth=4.5, solid_capstyle="butt",
                          zorder=7, clip_on=False)  # fmt: skip
    axes.plot([profile.length], [top], marker="_", markersize=11, markeredgewidth=1.6, zorder=8, clip_on=False,
              color=LOOKS["covered"].colour if in_sight else dark)  # fmt: skip
    _label(
        axes,
        f"{one.target.name}, {one.target.top_agl:g} m",
        (profile.length, top),
        (6, -18) if falls else (6, 7),
        "right",
    )
    mast = verdict.advised(one)
    if _mast_helps(reason, one):
        needed = profile.eye_ground_amsl + mast
        if needed <= frame.heights[1]:
            axes.plot([0.0, profile.length], [needed, top], color=INK, linewidth=0.8, dashes=(1, 2), zorder=4.5)
            axes.plot([0.0, 0.0], [eye, needed], color=INK, linewidth=0.9, dashes=(1, 2), zorder=4.5)
            near_eye = (needed - eye) < 0.13 * (frame.heights[1] - frame.heights[0])
            _label(
                axes, f"a mast of {verdict.height(mast, up=True)}", (0.0, needed), (2, 21 if near_eye else 5), "left"
            )


def _draw_obstacle(axes: Axes, one: TargetReason, frame: _Frame) -> None:
    profile, at = one.profile, one.profile.tightest
    if at is None or (not profile.visible and profile.excess == 0.0):
        return
    distance, line, ground = (float(part[at]) for part in (profile.distance, profile.line_amsl, profile.raised_amsl))
    tall = frame.heights[1] - frame.heights[0]
    if profile.excess > 0.0:
        axes.plot([distance] * 2, [line, ground], color=ALARM, linewidth=2.0, zorder=6.5)
        axes.plot([distance], [ground], marker="v", markersize=7, color=ALARM, zorder=7, markeredgecolor="white",
                  markeredgewidth=0.7)  # fmt: skip
        said = f"{verdict.obstacle(profile, at)} at {verdict.away(distance)}\n{verdict.height(profile.excess)} too high"
        _callout(axes, said, (distance, ground), tall, frame, ALARM)
    elif one.exposed < one.target.top_agl - one.target.bottom_agl - 1e-6 and profile.horizon is not None:
        edge = profile.horizon
        where = float(profile.distance[edge])
        said = f"{verdict.obstacle(profile, edge)} at {verdict.away(where)}\nhides its lower part"
        _callout(axes, said, (where, float(profile.raised_amsl[edge])), tall, frame, ALARM)
    elif 0.05 < distance / profile.length < 0.93 and profile.least_clearance < 0.35 * tall:
        # Close to the ends the tightest place is the mast or the target itself.
        axes.plot([distance] * 2, [line, ground], color=INK, linewidth=0.9, dashes=(1, 1), zorder=6.5)
        said = f"tightest at {verdict.away(distance)}:\n{verdict.height(profile.least_clearance)} to spare"
        _callout(axes, said, (distance, line), tall, frame, INK)


def _callout(axes: Axes, text: str, at: tuple[float, float], tall: float, frame: _Frame, colour: str) -> None:
    """Words above a point, held inside the picture."""
    share = (at[0] - frame.across[0]) / (frame.across[1] - frame.across[0])
    align = "left" if share < 0.22 else "right" if share > 0.78 else "center"
    room = frame.heights[1] - at[1]
    up = 26 if room > 0.2 * tall else 12
    axes.annotate(
        "\n".join(plain(line) for line in text.split("\n")),
        at,
        ({"left": 14, "center": 0, "right": -14}[align], up),
        textcoords="offset points",
        size=8.5,
        weight="bold",
        color=colour,
        ha=align,
        va="bottom",
        zorder=9,
        path_effects=HALO,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4},
    )


def _label(axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], align: str) -> Annotation:
    return axes.annotate(plain(text), at, offset, textcoords="offset points", size=8.5, color=INK, ha=align,
                         va="bottom", path_effects=HALO, zorder=9, annotation_clip=False)  # fmt: skip


# --- the dial


def _dial(figure: Figure, reason: Reason, one: TargetReason) -> None:
    """Seen from above: the azimuths in the sensor's view, and where the place lies."""
    axes = figure.add_axes(
        (1.0 - (_DIAL + 0.2) / _WIDTH, 1.0 - (_DIAL + 0.16) / _HEIGHT, _DIAL / _WIDTH, _DIAL / _HEIGHT), label="dial"
    )
    axes.set_axis_off()
    axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal")
    centre, width = sweep(reason.frustum)
    # Grid azimuths, clockwise from north; the wedge's angles are counter-clockwise from east. North is true.
    turn = verdict.azimuth_deg(reason, 0.0)
    middle = 90.0 - math.degrees(centre) - turn
    half = math.degrees(width) / 2.0
    axes.add_patch(Wedge((0, 0), 1.0, 0, 360, facecolor="white", edgecolor=FAINT, linewidth=0.6))
    axes.add_patch(Wedge((0, 0), 1.0, middle - half, middle + half, facecolor=_FIELD, linewidth=0.8,
                         edgecolor=LOOKS["covered"].colour))  # fmt: skip
    angle = math.radians(verdict.azimuth_deg(reason, reason.azimuth))
    colour = ALARM if one.aside else LOOKS["covered"].colour
    axes.plot([0, 0.92 * math.sin(angle)], [0, 0.92 * math.cos(angle)], color=colour, linewidth=1.6)
    axes.plot([0.92 * math.sin(angle)], [0.92 * math.cos(angle)], marker="o", markersize=4, color=colour)
    axes.plot([0], [0], marker="o", markersize=4.5, markerfacecolor="white", markeredgecolor=INK)
    axes.text(0, 1.08, "N", size=7.5, color=FAINT, ha="center", va="bottom")
