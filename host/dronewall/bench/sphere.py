"""The picture of a calibration: a compass's readings on the sphere that was fitted to them, and what was not seen."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dronewall import __version__
from dronewall.bench.calibrate import Floats, Readings, fitted, parts, seen
from dronewall.report import files
from dronewall.report.colours import LOOKS

_INK, _FAINT, _SEEN, _MISSED = "#16202a", "#5b6670", LOOKS["covered"].colour, LOOKS["gap"].colour
_VIEWS = (("from the front left, above", 28.0, 45.0), ("from the back right, below", -28.0, 225.0))
_ENDS = {"front": (1, 0, 0), "back": (-1, 0, 0), "left": (0, 1, 0), "right": (0, -1, 0), "top": (0, 0, 1),
         "underside": (0, 0, -1)}  # fmt: skip
_STEPS = 7  # points along an edge of a cell


def write_png(readings: Readings, path: str | os.PathLike[str], dots_per_inch: int = 120) -> None:
    """Write the picture of `figure_of`; OutputError where `path` holds a file that is not ours."""
    with files.replacing(path) as draft:
        figure_of(readings).savefig(
            draft, dpi=dots_per_inch, format="png", metadata={"Software": f"{files.MAKER} {__version__}"}
        )


def figure_of(readings: Readings) -> Figure:
    """The sphere from two sides: cells that the field came from are blue, those that it did not are hatched, readings
    are dots, in front of the sphere alone; and how far each reading lies from it.
    """
    best, found = fitted(readings), seen(readings)
    figure = Figure(figsize=(10.0, 5.2), facecolor="white")
    field = readings.field
    if best is not None:
        centre, radius = np.array(best.hard_iron, dtype=np.float64), best.radius
    else:
        centre = (field.min(axis=0) + field.max(axis=0)) / 2.0
        radius = float(np.linalg.norm(field - centre, axis=1).mean()) or 1.0
    u = (field - centre) / radius
    hit = parts(u) if found.coverage else np.zeros((6, 3, 3), dtype=np.bool_)
    for i, (words, elevation, azimuth) in enumerate(_VIEWS):
        axes = figure.add_axes((0.01 + 0.33 * i, 0.10, 0.32, 0.68), label=f"view{i}")
        _draw(axes, u, hit, math.radians(elevation), math.radians(azimuth))
        axes.set_title(words, fontsize=9, color=_FAINT, y=-0.06)
    axes = figure.add_axes((0.75, 0.20, 0.22, 0.52), label="residuals")
    off = 100.0 * (np.linalg.norm(u, axis=1) - 1.0)
    axes.hist(off, bins=24, color=_SEEN, edgecolor="white", linewidth=0.4)
    axes.set_xlabel("off the sphere [% of its radius]", fontsize=9, color=_INK)
    axes.set_ylabel("readings", fontsize=9, color=_INK)
    axes.tick_params(labelsize=8, colors=_FAINT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    title = f"{found.number} readings, {100 * found.coverage:.0f} % of the sphere seen"
    figure.text(0.02, 0.93, title, fontsize=13, color=_INK, weight="bold")
    if best is None:
        text = "no fit yet"
    else:
        text = f"hard iron {list(best.hard_iron)} counts, field {best.radius:.0f} counts"
        text += f", residual {100 * best.residual:.1f} %"
        if best.azimuth_sigma is not None:
            text += f", azimuth ±{math.degrees(best.azimuth_sigma):.1f}° (1 sigma)"
    figure.text(0.02, 0.87, text, fontsize=9.5, color=_INK)
    note = "blue: the field came from there; hatched: it did not"
    if found.missing:
        note += f"; missing: {', '.join(found.missing)}"
    figure.text(0.02, 0.82, note, fontsize=9, color=_FAINT)
    return figure


def _draw(axes: Any, u: Floats, hit: Any, elevation: float, azimuth: float) -> None:
    """The half of the sphere that is seen from a direction: x forward, y left and z up of the board."""
    depth = np.array(
        [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    up = np.cross(depth, right)

    def flat(vectors: Floats) -> tuple[Floats, Floats]:
        return vectors @ right, vectors @ up

    circle = np.linspace(0.0, math.tau, 181)
    axes.fill(np.cos(circle), np.sin(circle), facecolor="#f4f6f8", edgecolor="none", zorder=0)
    for side in range(6):
        for first in range(3):
            for second in range(3):
                outline = _outline(side, first, second)
                if (outline @ depth).max() <= 0.0:
                    continue
                # What lies behind the edge is brought onto it.
                behind = outline @ depth < 0.0
                x, y = flat(outline)
                size = np.hypot(x, y)
                x, y = np.where(behind, x / size, x), np.where(behind, y / size, y)
                seen_here = bool(hit[side, first, second])
                axes.fill(
                    x, y, facecolor="#cfe3f4" if seen_here else "white", edgecolor="white" if seen_here else _MISSED,
                    hatch=None if seen_here else "////", linewidth=0.8 if seen_here else 0.3, zorder=1,
                    alpha=1.0 if seen_here else 0.75,
                )  # fmt: skip
    front = u @ depth > 0.0
    x, y = flat(u[front])
    axes.plot(x, y, ".", markersize=3.0, color=_SEEN, zorder=3)
    axes.plot(np.cos(circle), np.sin(circle), color=_FAINT, linewidth=0.9, zorder=4)
    for word, end in _ENDS.items():
        vector = np.array(end, dtype=np.float64)
        if vector @ depth > -0.05:
            x0, y0 = float(vector @ right), float(vector @ up)
            box = {
                "boxstyle": "round,pad=0.2",
                "facecolor": "white",
                "edgecolor": _FAINT,
                "linewidth": 0.5,
                "alpha": 0.9,
            }
            axes.text(x0, y0, word, fontsize=8, color=_INK, ha="center", va="center", zorder=5, bbox=box)
    axes.set_xlim(-1.15, 1.15)
    axes.set_ylim(-1.15, 1.15)
    axes.set_aspect("equal")
    axes.axis("off")


def _outline(side: int, first: int, second: int) -> Floats:
    """The edge of a cell of `calibrate.parts` as directions (n, 3)."""

    def edge(number: int) -> float:
        return (number / 3.0 - 0.5) * math.pi / 2.0

    steps = np.linspace(0.0, 1.0, _STEPS)
    a0, a1, b0, b1 = edge(first), edge(first + 1), edge(second), edge(second + 1)
    a = np.concatenate((a0 + (a1 - a0) * steps, np.full(_STEPS, a1), a1 + (a0 - a1) * steps, np.full(_STEPS, a0)))
    b = np.concatenate((np.full(_STEPS, b0), b0 + (b1 - b0) * steps, np.full(_STEPS, b1), b1 + (b0 - b1) * steps))
    axis = side // 2
    others = [i for i in range(3) if i != axis]
    out = np.empty((len(a), 3))
    out[:, axis] = -1.0 if side % 2 else 1.0
    out[:, others[0]], out[:, others[1]] = np.tan(a), np.tan(b)
    return out / np.linalg.norm(out, axis=1)[:, None]
