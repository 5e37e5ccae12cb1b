"""The frontage laid out straight under a picture's map: its chances as curves, its states as bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dronewall.report import ribbon
from dronewall.report.colours import LOOKS, ROUTE
from dronewall.report.entries import entries
from dronewall.report.figures import assured
from dronewall.report.picture_labels import ALARM, FAINT, INK, plain, short

if TYPE_CHECKING:
    from dronewall.engine.wall import Coverage, TargetCoverage

_HATCHES = {"unknown": "////", "weak": "..."}
_ROW, _SURE_ROW, _APART = 0.23, 0.14, 0.07  # inches


def draw_curve(axes: Axes, coverage: Coverage, target: TargetCoverage) -> None:
    """Detection probability along the frontage against its threshold."""
    chainage = np.asarray(target.stations.chainage) / 1000.0
    length = coverage.frontage.length / 1000.0
    line, lane, breach = (ribbon.probability(coverage, target, kind) for kind in ribbon.KINDS)
    level = ribbon.threshold(coverage, "breach")
    blue = LOOKS["covered"].colour
    axes.fill_between(chainage, 0, breach, color=blue, alpha=0.22, linewidth=0, step="mid")
    axes.plot(chainage, line, color=FAINT, linewidth=0.8, drawstyle="steps-mid", label="line")
    axes.plot(chainage, lane, color=INK, linewidth=1.0, linestyle=(0, (4, 1.6)), label="lane")
    axes.plot(chainage, breach, color=blue, linewidth=1.5, drawstyle="steps-mid", label="breach")
    sure = assured(coverage, target)
    if sure is not None:
        value = ribbon.probability(coverage, sure, "breach")
        axes.fill_between(chainage, 0, value, color=blue, alpha=0.4, linewidth=0, step="mid")
        axes.plot([], [], color=blue, alpha=0.5, linewidth=6, label="breach, assured")
    for run in ribbon.runs(coverage, target, "breach"):
        if run.state == "unknown":
            axes.axvspan(
                run.start / 1000,
                run.end / 1000,
                facecolor="#e6e6e6",
                edgecolor=LOOKS["unknown"].colour,
                hatch="////",
                linewidth=0,
            )
        elif run.state == "gap":
            axes.axvspan(run.start / 1000, run.end / 1000, facecolor=ALARM, alpha=0.16, linewidth=0)
    axes.axhline(level, color=ALARM, linewidth=0.9, linestyle=(0, (2, 2)))
    if ribbon.threshold(coverage, "line") != level:
        axes.axhline(ribbon.threshold(coverage, "line"), color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set(xlim=(0, length), ylim=(0, 1.02), xticks=[], yticks=[0, 0.5, 1])
    axes.set_yticklabels(["0", "50 %", "100 %"], size=7.5, color=FAINT)
    axes.tick_params(length=2, color=FAINT)
    axes.text(
        -0.058,
        0.5,
        plain(short(target.target.name, 14)) + "\nchance",
        transform=axes.transAxes,
        size=8,
        color=INK,
        ha="right",
        va="center",
        multialignment="right",
    )
    axes.legend(
        loc="lower right",
        fontsize=7,
        frameon=True,
        framealpha=0.85,
        edgecolor="none",
        ncols=4,
        handlelength=2.2,
        borderpad=0.25,
        borderaxespad=0.3,
    )
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.6)
    _heads(axes, coverage, target)


def post_heads(axes: Axes, coverage: Coverage) -> None:
    """The posts above the axes, in kilometres of chainage; no names that would touch."""
    length = coverage.frontage.length
    inches = axes.get_window_extent().width / axes.figure.get_dpi()
    end = -1.0
    for name, chainage in ribbon.post_chainages(coverage):
        middle = chainage / length * inches
        axes.plot(
            [chainage / 1000],
            [1.05],
            marker="v",
            markersize=4.5,
            color=INK,
            clip_on=False,
            transform=_above(axes),
        )
        half = 0.042 * len(name) + 0.03
        if middle - half > end:
            axes.text(
                chainage / 1000,
                1.12,
                plain(name),
                transform=_above(axes),
                size=8,
                ha="center",
                va="bottom",
                color=INK,
            )
            end = middle + half


def _heads(axes: Axes, coverage: Coverage, target: TargetCoverage) -> None:
    """Above the curve: the posts, and over them the numbers of the gaps; none that would touch."""
    post_heads(axes, coverage)
    length = coverage.frontage.length
    inches = axes.get_window_extent().width / axes.figure.get_dpi()
    end = -1.0
    for entry in sorted(entries(coverage, target), key=lambda entry: entry.gap.start):
        gap = entry.gap
        middle = (gap.start + gap.end) / 2 / length * inches
        if middle - 0.12 > end:
            axes.text(
                (gap.start + gap.end) / 2000,
                1.34,
                str(entry.number),
                transform=_above(axes),
                size=7,
                weight="bold",
                color="white",
                ha="center",
                va="center",
                bbox={"boxstyle": "circle,pad=0.22", "facecolor": ALARM, "edgecolor": "none"},
            )
            end = middle + 0.12


def _above(axes: Axes) -> Any:
    return axes.get_xaxis_transform()


def ribbon_height(coverage: Coverage) -> float:
    """How high the ribbon is drawn [inches]."""
    return _rows(coverage)[1]


def _rows(coverage: Coverage) -> tuple[list[float], float]:
    """The middle of each row from the top, and the height of all [inches]: levels stand apart, targets more so."""
    middles, y = [], 0.0
    rows = ribbon.rows(coverage)
    for row, (target, kind) in enumerate(rows):
        tall = _SURE_ROW if target.level == "assured" else _ROW
        if row and kind == ribbon.KINDS[0]:
            y += _APART if target.level == "assured" else 2.0 * _APART
        middles.append(y + tall / 2)
        y += tall
    return middles, y


def draw_ribbon(axes: Axes, coverage: Coverage) -> None:
    """A row per target, level and kind: gaps fill the row, the rest is a narrower band."""
    length = coverage.frontage.length / 1000.0
    names = []
    rows = ribbon.rows(coverage)
    middles, height = _rows(coverage)
    for y, (target, kind) in zip(middles, rows, strict=True):
        sure = target.level == "assured"
        first = kind == ribbon.KINDS[0]
        name = ("assured  " if sure else f"{short(target.target.name, 14)}  ") if first else ""
        names.append(plain(f"{name}{kind}"))
        for run in ribbon.runs(coverage, target, kind):
            look = LOOKS[run.state]
            full = run.state == "gap"
            tall = (0.86 if full else 0.5) * (_SURE_ROW if sure else _ROW)
            axes.add_patch(
                Rectangle(
                    (run.start / 1000, y - tall / 2),
                    (run.end - run.start) / 1000,
                    tall,
                    facecolor="#e6e6e6" if run.state == "unknown" else look.colour,
                    edgecolor=look.colour if run.state == "unknown" else "white" if run.state == "weak" else "none",
                    hatch=_HATCHES.get(run.state),
                    linewidth=0,
                    zorder=3 if full else 2,
                    label=f"{ribbon.name(target)} {kind} {run.state}",
                )
            )
            if full:
                # however short, a gap is at least a stroke wide
                axes.vlines(
                    (run.start + run.end) / 2000, y - tall / 2, y + tall / 2, color=look.colour, linewidth=1.2, zorder=3
                )
    for target in coverage.targets:
        if target.weakest is not None and target.level == "expected":
            at = rows.index((target, "breach"))
            axes.plot(
                target.weakest.chainage / 1000,
                middles[at] + _ROW / 2,
                marker="^",
                markersize=6,
                markerfacecolor=ROUTE,
                markeredgecolor="white",
                markeredgewidth=0.8,
                clip_on=False,
                zorder=5,
            )
    axes.set(xlim=(0, length), ylim=(height + 0.02, -0.02))
    axes.set_yticks(middles, names, size=8)
    for text, (target, _) in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_color(FAINT if target.level == "assured" else INK)
        if target.level == "assured":
            text.set_fontsize(7)
    ticks = ribbon.ticks(coverage.frontage.length, 20) / 1000.0
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], size=8, color=INK)
    axes.set_xlabel("km along the frontage", size=8, color=FAINT, labelpad=1)
    axes.tick_params(length=2.5, color=FAINT)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set(color=FAINT, linewidth=0.6)
