"""A Coverage as one picture to show somebody: the map above, the frontage laid out straight below.

matplotlib's objects are used directly, without pyplot: no display, no global state.
"""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from dronewall.report import files, ribbon, routes
from dronewall.report.colours import LOOKS, ROUTE, probability_rgba
from dronewall.report.entries import entries
from dronewall.report.figures import (
    assurance,
    assured,
    clock,
    kilometres,
    level,
    metres,
    number_of,
    percent,
    posting,
    sensors_phrase,
    sentence,
    span,
    troubled,
    troubles,
    utc,
)
from dronewall.report.findings import NOTHING, Findings
from dronewall.report.ground import window
from dronewall.report.picture_labels import ALARM, FAINT, INK, plain, short
from dronewall.report.picture_map import draw_map
from dronewall.report.picture_straight import draw_curve, draw_ribbon, ribbon_height

if TYPE_CHECKING:
    from dronewall.engine.wall import Coverage, TargetCoverage

_WIDTH = 13.0  # inches
_MAP_LEFT, _MAP_WIDTH = 0.3, 9.4
_SIDE_LEFT = 9.95
_FOOT = 1.36
_FLAT, _ROW_HEIGHT = 0.42, 2.9  # height / width under which the words go below the map, in a row so high


def write_png(
    coverage: Coverage, path: str | os.PathLike[str], found: Findings = NOTHING, dots_per_inch: int = 130
) -> None:
    """Write the picture of `figure_of`; OutputError where `path` holds a file that is not ours."""
    title = f"{coverage.scenario.site.name}: coverage and gaps"
    files.write_figure(figure_of(coverage, found), path, coverage.version, title, coverage.digest, dots_per_inch)


def figure_of(coverage: Coverage, found: Findings = NOTHING) -> Figure:
    """The picture: the first target on the map (axes "map"), every target in the ribbon (axes "ribbon").

    The words stand beside the map, or below it where the frontage is long and the map flat.
    """
    target = coverage.targets[0]
    box = window(coverage)
    shape = (box.north - box.south) / (box.east - box.west)
    flat = shape < _FLAT
    if not flat:
        shape = min(max(shape, 0.5), 0.95)
        box = window(coverage, shape)
    map_width = _WIDTH - 2 * _MAP_LEFT if flat else _MAP_WIDTH
    map_height = map_width * shape
    words = _ROW_HEIGHT if flat else 0.0
    straight_height, curve_height = ribbon_height(coverage) + 0.05, 1.0
    words_bottom = _FOOT + straight_height + curve_height + 0.62
    map_bottom = words_bottom + words
    height = map_bottom + map_height + 0.85
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")

    def axes(left: float, bottom: float, width: float, tall: float, label: str) -> Axes:
        return figure.add_axes((left / _WIDTH, bottom / height, width / _WIDTH, tall / height), label=label)

    def block(left: float, top: float, tall: float, width: float = _WIDTH - _SIDE_LEFT - 0.3) -> Axes:
        """Axes for words: one wide, inches downwards."""
        blank = axes(left, top - tall, width, tall, "words")
        blank.set_axis_off()
        blank.set(xlim=(0, 1), ylim=(tall, 0))
        return blank

    straight_left, straight_width = 1.35, _WIDTH - 1.35 - 0.35
    map_axes = axes(_MAP_LEFT, map_bottom, map_width, map_height, "map")
    curve_axes = axes(straight_left, _FOOT + straight_height + 0.06, straight_width, curve_height, "curve")
    ribbon_axes = axes(straight_left, _FOOT, straight_width, straight_height, "ribbon")
    _title(figure, coverage, height)
    _footer(figure, coverage, found, height)
    if flat:
        top = map_bottom - 0.2
        _totals(block(_MAP_LEFT, top, _ROW_HEIGHT - 0.4), coverage, target)
        _key(block(_MAP_LEFT + 4.2, top, _ROW_HEIGHT - 0.4), coverage)
        _gap_list(block(_WIDTH - 0.3 - 3.6, top, _ROW_HEIGHT - 0.4, 3.6), coverage)
    else:
        top = map_bottom + map_height
        top -= _totals(block(_SIDE_LEFT, top, 2.2), coverage, target) + 0.12
        top -= _key(block(_SIDE_LEFT, top, 2.6), coverage) + 0.12
        _gap_list(block(_SIDE_LEFT, top, max(top - map_bottom, 0.1)), coverage)
    draw_map(map_axes, coverage, target, box)
    draw_curve(curve_axes, coverage, target)
    draw_ribbon(ribbon_axes, coverage)
    return figure


# --- words around the map


def _title(figure: Figure, coverage: Coverage, height: float) -> None:
    site = coverage.scenario.site
    top = 1 - 0.16 / height
    name = site.title or site.name
    figure.text(_MAP_LEFT / _WIDTH, top, plain(name), size=17, weight="bold", color=INK, va="top")
    when = utc(coverage.at_unix_ms)
    target = coverage.targets[0].target
    said = [
        f"target on the map: {target.name}, {target.height_agl_m[0]:g} to {target.height_agl_m[1]:g} m above ground",
        level(coverage),
    ]
    if when:
        said.append(when.replace("T", " ").replace("Z", " UTC"))
    figure.text(_MAP_LEFT / _WIDTH, top - 0.36 / height, plain("  ·  ".join(said)), size=9.5, color=FAINT, va="top")


def _footer(figure: Figure, coverage: Coverage, found: Findings, height: float) -> None:
    lines = textwrap.wrap(plain(sentence(coverage, found.worst_loss)), 150, break_on_hyphens=False)
    lines = [*lines[:2], short(" ".join(lines[2:]), 150)]
    figure.text(
        _MAP_LEFT / _WIDTH,
        0.4 / height,
        "\n".join(lines),
        size=9.5,
        weight="bold",
        color=INK,
        linespacing=1.35,
    )
    thresholds, frontage = coverage.scenario.thresholds, coverage.frontage
    said = (
        f"dronewall {coverage.version}  ·  input {coverage.digest[:16]}  ·  modelled coverage, not "
        f"observed  ·  "
        f"gap: line P < {thresholds.line_p:g} in {thresholds.look_s:g} s, lane and breach P < {thresholds.lane_p:g} "
        f"at {coverage.targets[0].target.speed_mps:g} m/s  ·  belt {frontage.front:g} m ahead, "
        f"{frontage.behind:g} m behind  ·  "
        f"terrain posting {posting(coverage)}"
    )
    if coverage.at_level("assured"):
        figure.text(_MAP_LEFT / _WIDTH, 0.06 / height, plain(assurance(coverage)), size=7.5, color=FAINT)
    figure.text(_MAP_LEFT / _WIDTH, 0.18 / height, plain(said), size=7.5, color=FAINT)


def _totals(axes: Axes, coverage: Coverage, target: TargetCoverage) -> float:
    """Write the totals; what comes back is the height they take [inches]."""
    listed = ribbon.gaps(target, "breach")
    y = 0.02
    axes.text(0, y, percent(target.covered_share), size=27, weight="bold", color=LOOKS["covered"].colour, va="top")
    axes.text(0.42, y + 0.06, f"of {metres(coverage.frontage.length)}\ncovered", size=9.5, color=INK, va="top")
    y += 0.56
    total = sum(gap.length for gap in listed)
    if listed:
        axes.text(0, y, metres(total), size=17, weight="bold", color=ALARM, va="top")
        axes.text(
            0.42,
            y + 0.02,
            f"in {number_of(len(listed), 'gap')},\nlongest {metres(max(gap.length for gap in listed))}",
            size=9,
            color=INK,
            va="top",
        )
        y += 0.46
    if target.weakest is not None:
        axes.text(0, y, percent(target.weakest.probability), size=17, weight="bold", color=ROUTE, va="top")
        said = f"chance of being seen at the\nweakest crossing, km {kilometres(target.weakest.chainage)}"
        axes.text(0.42, y + 0.02, said, size=9, color=INK, va="top")
        y += 0.46
    sure = assured(coverage, target)
    if sure is not None:
        axes.text(0, y, f"{percent(sure.covered_share)} assured", size=11, weight="bold", color=INK, va="top")
        y += 0.25
    if target.unknown_share > 0:
        axes.text(0, y, f"{percent(target.unknown_share)} unknown (no terrain)", size=9, color=INK, va="top")
        y += 0.22
    axes.text(0, y, sensors_phrase(coverage), size=9, color=INK, va="top")
    y += 0.2
    if troubled(coverage):
        axes.text(0, y, plain(short(troubles(coverage), 46)), size=8, color=ALARM, va="top")
        y += 0.2
    for other in coverage.at_level("expected")[1:4]:
        opened = metres(other.gap_length("breach")) if ribbon.gaps(other, "breach") else "nothing"
        text = f"{other.target.name}: {percent(other.covered_share)} covered, {opened} open"
        axes.text(0, y, plain(short(text, 44)), size=9, color=INK, va="top")
        y += 0.2
    return y


def _key(axes: Axes, coverage: Coverage) -> float:
    """Draw the scale of probability and the legend; what comes back is the height they take [inches]."""
    y, inches = 0.0, axes.get_ylim()[0]
    axes.text(0, y, f"chance to detect in {coverage.scenario.thresholds.look_s:g} s", size=8.5, color=INK, va="top")
    y += 0.18
    scale = np.linspace(0, 1, 200)[None, :]
    axes.imshow(np.full((1, 1), 0.82), extent=(0, 1, y + 0.16, y), cmap="gray", vmin=0, vmax=1, aspect="auto")
    axes.imshow(probability_rgba(scale), extent=(0, 1, y + 0.16, y), aspect="auto")
    axes.set_xlim(0, 1)
    axes.set_ylim(inches, 0)
    axes.add_patch(Rectangle((0, y), 1, 0.16, fill=False, edgecolor=FAINT, linewidth=0.5))
    for value in (0, 0.5, 1):
        axes.text(
            value,
            y + 0.2,
            f"{100 * value:.0f} %",
            size=7.5,
            color=INK,
            va="top",
            ha=("left", "center", "right")[int(value * 2)],
        )
    y += 0.42
    key = axes.legend(
        handles=_legend(coverage),
        loc="upper left",
        bbox_to_anchor=(0, 1 - y / inches),
        borderaxespad=0,
        frameon=False,
        fontsize=8,
        handlelength=2.4,
        borderpad=0,
        labelspacing=0.42,
        handletextpad=0.7,
    )
    return y + 0.19 * len(key.get_texts())


def _legend(coverage: Coverage) -> list[Any]:
    handles: list[Any] = [
        Line2D([], [], color=LOOKS["covered"].colour, linewidth=3.4, label="frontage, covered"),
        Line2D([], [], color=LOOKS["weak"].colour, linewidth=3.4, dashes=(2.2, 0.6), label="frontage, weak"),
        Line2D([], [], color=ALARM, linewidth=6, label="gap, with its number"),
    ]
    if any(entry.gap.kind == "line" for entry in entries(coverage, coverage.targets[0])):
        handles.append(
            Line2D(
                [],
                [],
                color="white",
                linewidth=2.4,
                path_effects=[withStroke(linewidth=5.5, foreground=ALARM)],
                label="line gap only",
            )
        )
    if coverage.targets[0].weakest is not None:
        handles.append(Line2D([], [], color=ROUTE, linewidth=2.6, marker="^", markersize=5, label="weakest route"))
    if len(routes.whole(coverage.targets[0])) > 1:
        handles.append(Line2D([], [], color=ROUTE, linewidth=1.3, dashes=(4.0, 1.5), label="least bottleneck"))
    if any(ribbon.gaps(target, "lane") for target in coverage.targets[:1]):
        handles.append(
            Patch(
                facecolor=ALARM,
                alpha=0.25,
                edgecolor=ALARM,
                linewidth=0.5,
                label="lane gap across the belt",
            )
        )
    if np.isnan(coverage.targets[0].look).any() or coverage.targets[0].unknown_share > 0:
        handles.append(Patch(facecolor="#d9d9d9", edgecolor=LOOKS["unknown"].colour, hatch="////", label="unknown"))
    handles += [
        Line2D([], [], color=INK, linewidth=0.9, dashes=(5, 3), label="belt"),
        Line2D([], [], color=INK, linewidth=0.8, alpha=0.7, label="field of view, to its range"),
        Line2D(
            [],
            [],
            color="white",
            marker="o",
            markersize=7,
            markeredgecolor=INK,
            markerfacecolor="white",
            label="post",
        ),
    ]
    if any(sensor.moving for sensor in coverage.sensors):
        handles.append(
            Line2D(
                [],
                [],
                color="white",
                marker="D",
                markersize=7,
                markeredgecolor="white",
                markerfacecolor=INK,
                label="drone",
            )
        )
    return handles


def _gap_list(axes: Axes, coverage: Coverage) -> None:
    """As many of the map's gaps as there is room for: those that somebody gets through, and the longest, kept."""
    y, inches = 0.0, axes.get_ylim()[0]
    listed = entries(coverage, coverage.targets[0])
    room = int((inches - y - 0.1) / 0.165) - 1
    if not listed or room < 2:
        return
    first = sorted(listed, key=lambda entry: (entry.gap.kind == "line", -entry.gap.length))
    shown = first[: room if len(listed) <= room else room - 1]
    columns = ((0.0, "gap", "left"), (0.12, "km", "left"), (0.6, "length", "right"), (0.8, "chance", "right"))
    for x, text, align in (*columns, (1.0, "warning", "right")):
        axes.text(x, y, text, size=7.5, color=FAINT, va="top", ha=align)
    for entry in sorted(shown, key=lambda entry: entry.number):
        gap = entry.gap
        y += 0.165
        axes.text(0, y, str(entry.number), size=8, weight="bold", color=ALARM, va="top")
        axes.text(0.12, y, span(gap), size=8, color=INK, va="top")
        axes.text(0.6, y, metres(gap.length), size=8, color=INK, va="top", ha="right")
        axes.text(0.8, y, percent(gap.probability_least), size=8, color=INK, va="top", ha="right")
        last = "line only" if gap.kind == "line" else clock(gap.warning)
        axes.text(1.0, y, last, size=8, color=FAINT if gap.kind == "line" else INK, va="top", ha="right")
    if len(shown) < len(listed):
        axes.text(0.12, y + 0.165, f"and {len(listed) - len(shown)} shorter", size=8, color=FAINT, va="top")
