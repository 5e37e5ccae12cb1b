"""The sections of a site's radio links on one page, each with its Fresnel zone and where it is tightest.

matplotlib's objects are used directly, without pyplot: no display, no global state.
"""

from __future__ import annotations

import math
import os
import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dronewall import __version__
from dronewall.report import files
from dronewall.report import links as shown
from dronewall.report.colours import LOOKS
from dronewall.report.picture_labels import ALARM, FAINT, HALO, INK, plain
from dronewall.report.verdict import away, distance_text, height, round_step

if TYPE_CHECKING:
    from dronewall.engine.ground import Ground
    from dronewall.engine.links import Link, Radio

_GROUND, _GROUND_EDGE = "#d9d2c3", "#6d6250"
_CANOPY = "#cfe0c3"
_LEAST_TALL = 20.0  # metres of height that a section shows at least
_MOST = 40  # sections on a page; the worst ones are drawn


def write_png(
    ground: Ground, radio: Radio, links: tuple[Link, ...], path: str | os.PathLike[str], dots_per_inch: int = 120
) -> None:
    """Write the picture of `figure_of`; OutputError where `path` holds a file that is not ours."""
    title = f"{ground.scenario.site.name}: {shown.summary(links)}"
    files.write_figure(
        figure_of(ground, radio, links), path, __version__, title, shown.digest_of(ground), dots_per_inch
    )


def figure_of(ground: Ground, radio: Radio, links: tuple[Link, ...]) -> Figure:
    """A section for each link; of more than a page holds the ones with the least margin."""
    drawn = links
    if len(links) > _MOST:
        worst = sorted(links, key=lambda link: (not math.isnan(link.margin), link.margin))[:_MOST]
        drawn = tuple(link for link in links if link in worst)
    columns = 1 if len(drawn) == 1 else 2
    rows = math.ceil(len(drawn) / columns)
    wide, tall = 12.0, 4.6 if columns == 1 else 2.15
    top, bottom = 0.72, 0.62
    figure = Figure(figsize=(wide, rows * tall + top + bottom), facecolor="white")
    full = rows * tall + top + bottom
    site = ground.scenario.site
    left = 0.062 if columns == 2 else 0.07
    figure.text(left, 1.0 - 0.16 / full, plain(f"{site.title or site.name}: radio links"), size=14, weight="bold",
                va="top", color=INK)  # fmt: skip
    said = shown.summary(links) + (f" Drawn: the {_MOST} with the least margin." if len(drawn) < len(links) else "")
    said = said if columns > 1 else ""
    figure.text(left, 1.0 - 0.44 / full, plain(said), size=9.5, va="top", color=FAINT)
    for number, link in enumerate(drawn):
        row, column = divmod(number, columns)
        width = (1.0 - left - 0.02) / columns
        axes = figure.add_axes(
            (
                left + column * width,
                (bottom + (rows - 1 - row) * tall + 0.38) / full,
                width - (0.055 if columns == 2 else 0.01),
                (tall - (0.78 if columns == 2 else 0.98)) / full,
            ),
            label=shown.name(link),
        )
        _draw(axes, link, ground, columns == 1)
    curved = "The ground is raised by the earth's curve; heights are drawn taller than they are."
    basis = _wrapped(f"{curved} {shown.basis(ground, radio)}", 205)
    figure.text(left, 0.08 / full, basis, size=7, color=FAINT, va="bottom", linespacing=1.25)
    return figure


def _draw(axes: Axes, link: Link, ground: Ground, alone: bool) -> None:
    path, section = link.path, link.path.section
    colour = LOOKS[shown.LOOK_OF[link.verdict]].colour
    margin = "" if math.isnan(link.margin) else f", {link.margin:+.0f} dB".replace("-", "\N{MINUS SIGN}")
    title = plain(f"{shown.name(link)}, {away(path.slant)}: {link.verdict}{margin}")
    axes.set_title(title, size=12 if alone else 10, weight="bold", color=colour, loc="left", pad=36 if alone else 4)
    if alone:
        axes.text(0.0, 1.025, _wrapped(shown.words(link, ground), 160), transform=axes.transAxes, size=8.5, color=INK,
                  va="bottom", linespacing=1.25)  # fmt: skip
    if section.length < 1.0:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "on one mast", transform=axes.transAxes, size=9, color=FAINT, ha="center", va="center")
        return
    length = section.length
    known = section.raised_amsl[np.isfinite(section.raised_amsl)]
    canopy = section.canopy_amsl + section.bulge
    everything = [path.one_amsl, path.other_amsl, *known, *canopy[np.isfinite(canopy)]]
    zone = path.zone
    line = path.line_amsl
    low, high = min(everything), max(*everything, float((line + zone).max()))
    tall = max(high - low, _LEAST_TALL)
    low, high = low - 0.08 * tall, high + 0.16 * tall
    axes.set(xlim=(-0.02 * length, 1.02 * length), ylim=(low, high))
    distance, raised = section.distance, section.raised_amsl
    axes.fill_between(distance, low, canopy, where=canopy > raised, facecolor=_CANOPY, linewidth=0, zorder=1.5)
    axes.fill_between(distance, low, raised, where=~np.isnan(raised), facecolor=_GROUND, linewidth=0, zorder=3)
    axes.plot(distance, raised, color=_GROUND_EDGE, linewidth=1.0, zorder=3.5)
    if not section.known:
        axes.fill_between(distance, low, high, where=np.isnan(raised), facecolor="#e6e6e6", hatch="////", linewidth=0,
                          edgecolor=LOOKS["unknown"].colour, zorder=2.5)  # fmt: skip
    axes.fill_between(distance, line - zone, line + zone, facecolor=colour, alpha=0.22, linewidth=0, zorder=4)
    axes.plot(distance, line, color=colour, linewidth=1.3, zorder=5,
              dashes=(4, 2) if path.clearance < 0.0 else (None, None))  # fmt: skip
    # A label stands over its antenna, clear of a line that rises from there.
    rise = (path.other_amsl - path.one_amsl) / (high - low)
    for place, top, end, side, aside, up in (
        (0.0, path.one_amsl, link.one, "left", 4, 5 + 34 * min(max(rise, 0.0), 0.4)),
        (length, path.other_amsl, link.other, "right", -4, 5 + 34 * min(max(-rise, 0.0), 0.4)),
    ):
        axes.plot([place, place], [top - end.agl, top], color=INK, linewidth=2.0, zorder=6, clip_on=False)
        axes.plot([place], [top], marker="o", markersize=4.5, markerfacecolor="white", markeredgecolor=INK, zorder=7,
                  clip_on=False)  # fmt: skip
        axes.annotate(plain(f"{end.name}, {height(end.agl)}"), (place, top), (aside, up), textcoords="offset points",
                      size=8, color=INK, ha=side, va="bottom", path_effects=HALO, zorder=9)  # fmt: skip
    if path.tightest is not None and path.lacking > 0.0:
        at = float(distance[path.tightest])
        over = float(line[path.tightest])
        axes.plot([at, at], [over, over - path.clearance], color=ALARM, linewidth=1.8, zorder=6.5)
        axes.plot([at], [over - path.clearance], marker="v", markersize=6, color=ALARM, markeredgecolor="white",
                  markeredgewidth=0.6, zorder=7)  # fmt: skip
        words = f"{height(-path.clearance)} in the way" if path.clearance < 0.0 else f"{height(path.lacking)} lacking"
        highest = max(float(np.nanmax(raised[np.abs(distance - at) < 0.25 * length])), over)
        axes.annotate(words, (at, highest), (0, 5), textcoords="offset points", size=8, weight="bold", color=ALARM,
                      ha="left" if at < 0.2 * length else "right" if at > 0.8 * length else "center", va="bottom",
                      path_effects=HALO, zorder=9)  # fmt: skip
    step = round_step(length, 8)
    ticks = np.arange(0.0, length * (1 + 1e-9), step)
    axes.set_xticks(ticks, [distance_text(float(tick), length) for tick in ticks])
    axes.tick_params(length=2.5, color=FAINT, labelsize=7.5, labelcolor=INK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set_ylabel("m AMSL", size=7.5, color=FAINT, labelpad=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set(color=FAINT, linewidth=0.6)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(plain(line) for line in textwrap.wrap(text, width))
