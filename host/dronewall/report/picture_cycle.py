"""A Cycle as one picture for each target: chainage across, as in the ribbon, and time down.

Above, what share of the time a place is watched and the longest time that it is not; then who watches what when, with
the drones' ways; below, for each level, the chance of being detected of somebody who sets out then, without waiting.
"""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from dronewall.report import cycle as over
from dronewall.report import files, ribbon
from dronewall.report.colours import LOOKS, ROUTE, probability_rgba
from dronewall.report.figures import assurance, level, percent, posting
from dronewall.report.picture_labels import ALARM, FAINT, HALO, INK, plain, short
from dronewall.report.picture_straight import post_heads

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle, TargetCycle

_WIDTH, _LEFT, _RIGHT = 13.0, 1.35, 0.35  # inches; as the ribbon of `picture`
_HEAD, _FOOT, _APART = 0.72, 2.0, 0.14
_CURVE, _WATCHED, _CHANCES = 0.85, 2.1, 2.5
DASHES: tuple[Any, ...] = ((None, None), (5.0, 1.6), (1.4, 1.4), (7.0, 1.6, 1.4, 1.6), (3.0, 1.0, 1.0, 1.0, 1.0, 1.0))
"""Dash patterns of the drones' ways, in the order of their names."""


_RED, _GREEN, _BLUE, _ALPHA = (float(part) for part in probability_rgba(np.array([0.45]))[0])
_SEEN = (_RED, _GREEN, _BLUE, _ALPHA)


def write_chart(
    cycle: Cycle, path: str | os.PathLike[str], target: str | None = None, dots_per_inch: int = 130
) -> None:
    """Write the picture of `figure_of`; OutputError where `path` holds a file that is not ours."""
    title = f"{cycle.ground.scenario.site.name}: coverage over time"
    files.write_figure(figure_of(cycle, target), path, cycle.version, title, cycle.digest, dots_per_inch)


def figure_of(cycle: Cycle, target: str | None = None) -> Figure:
    """The picture of one target, named, the first where none is: axes "share", "longest", "watched", and "expected" and
    "assured" for the levels that there are.

    KeyError: no target of that name.
    """
    name = cycle.targets[0].target.name if target is None else target
    levels = [of for of in cycle.targets if of.target.name == name]
    if not levels:
        raise KeyError(
            f"no target {name}; there are {', '.join(dict.fromkeys(of.target.name for of in cycle.targets))}"
        )
    tall = [*(_CHANCES,) * len(levels), _WATCHED, _CURVE, _CURVE]
    height = _FOOT + sum(tall) + _APART * (len(tall) - 1) + 0.2 * len(levels) + _HEAD + 0.3
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    wide = _WIDTH - _LEFT - _RIGHT
    bottom = _FOOT
    placed = []
    for inches, label in zip(
        tall, [*(of.level for of in reversed(levels)), "watched", "longest", "share"], strict=True
    ):
        at = (_LEFT / _WIDTH, bottom / height, wide / _WIDTH, inches / height)
        placed.append(figure.add_axes(at, label=label))
        bottom += inches + _APART + (0.2 if label in ("expected", "assured") else 0.0)
    *chances, watched, longest, share = placed
    _share(share, cycle, levels)
    _longest(longest, cycle, levels)
    draw_watched(watched, cycle, levels[0])
    for axes, of in zip(reversed(chances), levels, strict=True):
        _chances(axes, cycle, of)
    for axes in placed[1:]:
        axes.set_xticklabels([])
    placed[0].set_xlabel("km along the frontage", size=8, color=FAINT, labelpad=1)
    _words(figure, cycle, levels, height)
    return figure


def _frame(axes: Axes, cycle: Cycle, label: str) -> None:
    """What all panels share: kilometres below, a name on the left."""
    length = cycle.ground.frontage.length
    ticks = ribbon.ticks(length, 20) / 1000.0
    axes.set_xlim(0.0, length / 1000.0)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], size=8, color=INK)
    axes.tick_params(length=2.5, color=FAINT)
    axes.text(
        -0.044, 0.5, label, transform=axes.transAxes, size=8, color=INK, ha="right", va="center", multialignment="right"
    )
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.6)


def _time(axes: Axes, cycle: Cycle) -> None:
    """Time down."""
    ticks = over.time_ticks(cycle.length, 6)
    axes.set_ylim(cycle.length, 0.0)
    axes.set_yticks(ticks, [over.moment(tick) for tick in ticks], size=7.5, color=INK)


def _share(axes: Axes, cycle: Cycle, levels: list[TargetCycle]) -> None:
    blue = LOOKS["covered"].colour
    for of in levels:
        km, value = of.stations.chainage / 1000.0, of.station_revisit.share
        sure = of.level == "assured"
        axes.fill_between(km, 0, value, color=blue, alpha=0.4 if sure else 0.22, linewidth=0, step="mid")
        axes.plot(
            km,
            value,
            color=blue,
            linewidth=1.0 if sure else 1.5,
            drawstyle="steps-mid",
            linestyle=(0, (4, 1.6)) if sure else "-",
            label=of.level,
        )
    _unknown(axes, levels[0])
    axes.set_ylim(0.0, 1.02)
    axes.set_yticks([0.0, 0.5, 1.0], ["0", "50 %", "100 %"], size=7.5, color=FAINT)
    _frame(axes, cycle, "watched,\nshare of\nthe time")
    if len(levels) > 1:
        axes.legend(
            loc="lower right",
            fontsize=7,
            frameon=True,
            framealpha=0.85,
            edgecolor="none",
            ncols=2,
            borderpad=0.25,
            borderaxespad=0.3,
        )
    post_heads(axes, over.frame(cycle))


def _longest(axes: Axes, cycle: Cycle, levels: list[TargetCycle]) -> None:
    minutes = 60.0
    for of in levels:
        km, value = of.stations.chainage / 1000.0, of.station_revisit.longest / minutes
        sure = of.level == "assured"
        axes.plot(
            km,
            value,
            color=FAINT if sure else INK,
            linewidth=1.0 if sure else 1.3,
            drawstyle="steps-mid",
            linestyle=(0, (4, 1.6)) if sure else "-",
        )
    of = levels[0]
    for start, end in _runs(of, of.station_revisit.share == 0.0):
        axes.axvspan(start, end, facecolor=ALARM, alpha=0.16, hatch="////", edgecolor=ALARM, linewidth=0)
    _unknown(axes, of)
    axes.set_ylim(0.0, 1.04 * cycle.length / minutes)
    ticks = over.time_ticks(cycle.length, 3)
    axes.set_yticks(ticks / minutes, [over.moment(tick) for tick in ticks], size=7.5, color=FAINT)
    _frame(axes, cycle, "longest\ntime not\nwatched")


def draw_watched(axes: Axes, cycle: Cycle, of: TargetCycle) -> None:
    """By time, blue where a station is watched and pale vermilion where it is not; the drones' ways over it."""
    length = cycle.ground.frontage.length
    shown = np.empty((*of.watched.T.shape, 4))
    shown[:] = (*_rgb(ALARM), 0.16)
    shown[of.watched.T] = _SEEN
    axes.imshow(shown, extent=(0.0, length / 1000.0, cycle.length, 0.0), aspect="auto", interpolation="nearest")
    for start, end in _runs(of, np.asarray(of.stations.unknown)):
        _hatched(axes, start, end)
    times = over.middles(cycle)
    for index, (drone, chainage) in enumerate(over.tracks(cycle).items()):
        km = chainage / 1000.0
        axes.plot(km, times, color=INK, linewidth=0.9, dashes=DASHES[index % len(DASHES)], label=drone)
        flying = np.flatnonzero(np.isfinite(km))
        if len(flying):
            # beside its way, a little after take-off
            at = flying[min(len(flying) // 12 + 1, len(flying) - 1)]
            axes.annotate(
                plain(drone),
                (float(km[at]), float(times[at])),
                (4, 0),
                textcoords="offset points",
                size=8,
                weight="bold",
                style="italic",
                color=INK,
                va="center",
                path_effects=HALO,
            )
    _time(axes, cycle)
    _frame(axes, cycle, f"watched,\n{of.level},\nby time")


def _chances(axes: Axes, cycle: Cycle, of: TargetCycle) -> None:
    """P of who sets out then, with what is open hatched."""
    km, length = of.stations.chainage / 1000.0, cycle.ground.frontage.length
    value = over.probability(cycle, of).T
    extent = (0.0, length / 1000.0, cycle.length, 0.0)
    axes.set_facecolor("#ededed")
    axes.imshow(probability_rgba(value), extent=extent, aspect="auto", interpolation="nearest")
    rows = (np.arange(len(of.outsets)) + 0.5) * cycle.length / len(of.outsets)
    shut = np.nan_to_num(value, nan=1.0)
    least = over.threshold(cycle)
    if min(shut.shape) > 1 and (shut < least).any():
        axes.contourf(km, rows, shut, levels=[-1.0, least], colors=[ALARM], alpha=0.12)
        hatched = axes.contourf(km, rows, shut, levels=[-1.0, least], colors="none", hatches=["///"])
        hatched.set_edgecolor((*_rgb(ALARM), 0.55))
        hatched.set_linewidth(0.0)
        if (shut >= least).any():
            axes.contour(km, rows, shut, levels=[least], colors=[ALARM], linewidths=1.1)
    for start, end in _runs(of, np.isnan(value).any(axis=0)):
        _hatched(axes, start, end)
    _time(axes, cycle)
    _frame(axes, cycle, f"chance,\n{of.level},\nby time of\nsetting out")
    for way, marker, words in ((of.unknowing, "D", "who does not know"), (of.knowing, "o", "who knows")):
        if way is None:
            continue
        clear = [withStroke(linewidth=3.0, foreground="white")]
        at = way.chainage / 1000.0
        right = at > 0.75 * length / 1000.0
        if marker == "D":
            axes.axvline(at, color=ROUTE, linewidth=1.2, dashes=(4.0, 1.5), path_effects=clear)
            # clear of the other's words
            knowing = of.knowing.sets_out / cycle.length if of.knowing is not None else 0.0
            spot = (0.06 if knowing > 0.5 else 0.94) * cycle.length
        else:
            spot = min(max(way.sets_out, 0.05 * cycle.length), 0.95 * cycle.length)
            axes.plot(
                [at],
                [way.sets_out],
                marker=marker,
                clip_on=False,
                markersize=8,
                markerfacecolor=ROUTE,
                markeredgecolor="white",
                markeredgewidth=1.3,
                zorder=6,
            )
        said = f"{words}: {percent(way.probability)}"
        if marker == "o" and round(way.waits):
            said += f", waits {over.moment(way.waits)}"
        axes.annotate(
            said,
            (at, spot),
            (-7 if right else 7, 0),
            textcoords="offset points",
            size=8,
            weight="bold",
            color=ROUTE,
            ha="right" if right else "left",
            va="center",
            path_effects=HALO,
            zorder=7,
        )


def _hatched(axes: Axes, start: float, end: float) -> None:
    look = LOOKS["unknown"]
    axes.axvspan(start, end, facecolor="#e6e6e6", edgecolor=look.colour, hatch="////", linewidth=0, zorder=3)


def _unknown(axes: Axes, of: TargetCycle) -> None:
    for start, end in _runs(of, np.asarray(of.stations.unknown)):
        _hatched(axes, start, end)


def _runs(of: TargetCycle, flags: Any) -> list[tuple[float, float]]:
    """Stretches [km] of the stations that are flagged."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags).astype(int), [0]])))
    step = of.stations.step
    return [
        (first * step / 1000.0, after * step / 1000.0) for first, after in zip(edges[::2], edges[1::2], strict=True)
    ]


# --- words


def _words(figure: Figure, cycle: Cycle, levels: list[TargetCycle], height: float) -> None:
    site, of = cycle.ground.scenario.site, levels[0]
    frame = over.frame(cycle)
    top = 1 - 0.16 / height
    left = 0.3 / _WIDTH
    figure.text(left, top, plain(site.title or site.name), size=17, weight="bold", color=INK, va="top")
    target = of.target
    said = (
        f"over {over.whole(cycle)}  ·  target: {target.name}, {target.height_agl_m[0]:g} to {target.height_agl_m[1]:g} "
        f"m above ground, {target.speed_mps:g} m/s  ·  {level(frame)}"
    )
    figure.text(left, top - 0.36 / height, plain(said), size=9.5, color=FAINT, va="top")
    _key(figure, cycle, of, height)
    name = target.name
    sentence = next(
        (said for each, said in zip(_expected(cycle), over.verdict(cycle), strict=True) if each.target.name == name), ""
    )
    lines = textwrap.wrap(plain(sentence), 150, break_on_hyphens=False)
    lines = [*lines[:2], short(" ".join(lines[2:]), 150)]
    figure.text(left, 0.44 / height, "\n".join(lines), size=9.5, weight="bold", color=INK, linespacing=1.35)
    thresholds, frontage = cycle.ground.scenario.thresholds, cycle.ground.frontage
    longest = over.lasting(cycle.max_crossing[name]) if name in cycle.max_crossing else "any time"
    basis = (
        f"dronewall {cycle.version}  ·  input {cycle.digest[:16]}  ·  modelled, not observed  ·  open: P < "
        f"{over.threshold(cycle):g} on the best way within {thresholds.lateral_m:g} m, {longest} across at most  ·  "
        f"watched: P ≥ {thresholds.line_p:g} in {thresholds.look_s:g} s  ·  belt {frontage.front:g} m ahead, "
        f"{frontage.behind:g} m behind  ·  {over.steps_said(cycle)}  ·  terrain posting {posting(frame)}"
    )
    figure.text(left, 0.2 / height, plain(basis), size=7.2, color=FAINT)
    last = [*over.notes(cycle), *([f"{assurance(frame)}."] if len(levels) > 1 else [])]
    if last:
        figure.text(left, 0.07 / height, plain(short("  ".join(last), 230)), size=7.2, color=FAINT)


def _expected(cycle: Cycle) -> list[TargetCycle]:
    """The targets that `over.verdict` tells of."""
    return [of for of in cycle.targets if of.level == "expected"] or list(cycle.targets)


def _key(figure: Figure, cycle: Cycle, of: TargetCycle, height: float) -> None:
    """The scale of probability and what the marks mean, between chart and sentence."""
    bottom = _FOOT - 0.68
    axes = figure.add_axes((_LEFT / _WIDTH, bottom / height, 2.0 / _WIDTH, 0.13 / height), label="key")
    axes.imshow(np.full((1, 1), 0.93), extent=(0, 1, 0, 1), cmap="gray", vmin=0, vmax=1, aspect="auto")
    axes.imshow(probability_rgba(np.linspace(0, 1, 200)[None, :]), extent=(0, 1, 0, 1), aspect="auto")
    axes.set(yticks=[])
    axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"], size=7)
    axes.tick_params(length=2, color=FAINT, pad=1)
    handles = [
        Patch(
            facecolor=(*_rgb(ALARM), 0.22),
            edgecolor=ALARM,
            hatch="////",
            linewidth=1.0,
            label=f"open, under {over.threshold(cycle):g}; never watched",
        ),
        Patch(facecolor=_SEEN, label="watched"),
        Patch(facecolor=(*_rgb(ALARM), 0.16), label="not watched"),
        Line2D([], [], color=INK, linewidth=1.3, label="a drone's way"),
        Line2D([], [], color="white", marker="o", markersize=8, markerfacecolor=ROUTE, label="best for who knows"),
        Line2D([], [], color=ROUTE, linewidth=1.2, dashes=(4.0, 1.5), label="weakest for who does not"),
    ]
    if np.asarray(of.stations.unknown).any():
        handles.append(Patch(facecolor="#e6e6e6", edgecolor=LOOKS["unknown"].colour, hatch="////", label="unknown"))
    figure.legend(
        handles=handles,
        loc="center left",
        ncols=len(handles),
        fontsize=7.5,
        frameon=False,
        handlelength=2.2,
        bbox_to_anchor=((_LEFT + 2.25) / _WIDTH, (bottom + 0.05) / height),
        columnspacing=1.3,
        borderaxespad=0.0,
    )


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)
