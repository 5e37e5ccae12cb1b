"""The frontage laid out straight under a picture's map: its chances as curves, its states as bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dronewall.report import ribbon
from dronewall.report.colours import LOOKS
from dronewall.report.figures import assured
from dronewall.report.picture_labels import ALARM, FAINT, INK, plain, short

if TYPE_CHECKING:
    from dronewall.engine.wall import Coverage, TargetCoverage

_HATCHES = {"unknown": "////", "weak": "..."}


def draw_curve(axes: Axes, coverage: Coverage, target: TargetCoverage) -> None:
    """Detection probability along the frontage against its threshold."""
    chainage = np.asarray(target.stations.chainage) / 1000.0
    length = coverage.frontage.length / 1000.0
    line, lane = (ribbon.probability(coverage, target, kind) for kind in ribbon.KINDS)
    level = ribbon.threshold(coverage, "line")
    axes.fill_between(chainage, 0, line, color=LOOKS["covered"].colour, alpha=0.22, linewidth=0, step="mid")
    axes.plot(chainage, line, color=LOOKS["covered"].colour, linewidth=1.3, drawstyle="steps-mid", label="line")
    axes.plot(chainage, lane, color=INK, linewidth=1.1, linestyle=(0, (4, 1.6)), label="lane")
    sure = assured(coverage, target)
    if sure is not None:
        value = ribbon.probability(coverage, sure, "line")
        axes.fill_between(chainage, 0, value, color=LOOKS["covered"].colour, alpha=0.4, linewidth=0, step="mid")
        axes.plot([], [], color=LOOKS["covered"].colour, alpha=0.5, linewidth=6, label="line, assured")
    for run in ribbon.runs(coverage, target, "line"):
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
    if ribbon.threshold(coverage, "lane") != level:
        axes.axhline(ribbon.threshold(coverage, "lane"), color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
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
        ncols=3,
        handlelength=2.2,
        borderpad=0.25,
        borderaxespad=0.3,
    )
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.6)
    _heads(axes, coverage, target)


def _heads(axes: Axes, coverage: Coverage, target: TargetCoverage) -> None:
    """Above the curve: the posts, and over them the numbers of the gaps; none that would touch."""
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
    end = -1.0
    for number, _, gap in ribbon.numbered(coverage, target, "line"):
        middle = (gap.start + gap.end) / 2 / length * inches
        if middle - 0.12 > end:
            axes.text(
                (gap.start + gap.end) / 2000,
                1.34,
                str(number),
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


def draw_ribbon(axes: Axes, coverage: Coverage) -> None:
    """A row per target, level and kind: gaps fill the row, the rest is a narrower band."""
    length = coverage.frontage.length / 1000.0
    names = []
    rows = ribbon.rows(coverage)
    for row, (target, kind) in enumerate(rows):
        sure = target.level == "assured"
        names.append(f"assured  {kind}" if sure else plain(f"{short(target.target.name, 14)}  {kind}"))
        for run in ribbon.runs(coverage, target, kind):
            look = LOOKS[run.state]
            full = run.state == "gap"
            tall = (0.86 if full else 0.5) * (0.7 if sure else 1.0)
            axes.add_patch(
                Rectangle(
                    (run.start / 1000, row - tall / 2),
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
                axes.plot([run.start / 1000, run.end / 1000], [row, row], color=ALARM, linewidth=14, alpha=0)
                axes.vlines(
                    (run.start + run.end) / 2000,
                    row - tall / 2,
                    row + tall / 2,
                    color=look.colour,
                    linewidth=1.2,
                    zorder=3,
                )
    axes.set(xlim=(0, length), ylim=(len(rows) - 0.45, -0.55))
    axes.set_yticks(range(len(rows)), names, size=8)
    for text, (target, _) in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_color(FAINT if target.level == "assured" else INK)
    ticks = ribbon.ticks(coverage.frontage.length, 20) / 1000.0
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], size=8, color=INK)
    axes.set_xlabel("km along the frontage", size=8, color=FAINT, labelpad=1)
    axes.tick_params(length=2.5, color=FAINT)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set(color=FAINT, linewidth=0.6)
