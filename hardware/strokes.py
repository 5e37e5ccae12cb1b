"""What the mounting drawing is drawn with: axes, arcs of angles, fields of view, measures; all on matplotlib's axes."""

import math
from typing import Any

import numpy as np
from axes import TURNS, VIEWS, X, Y, Z, on_page
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle, Wedge

RED, GREEN, BLUE, ORANGE, VIOLET = "#c0392b", "#2e7d4f", "#2c5fa8", "#d98324", "#7d4fa0"
COLOURS = {X: RED, Y: GREEN, Z: BLUE}
Place = tuple[float, float]  # on the page


def arrow(axes: Axes, start: Place, end: Place, colour: str, width: float = 1.6) -> None:
    """An arrow on the page."""
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, lw=width, color=colour, shrinkA=0, shrinkB=0, zorder=8
        )
    )  # fmt: skip


def frame(axes: Axes, view: str, at: Place, size: float, names: bool = True) -> None:
    """The board's axes at a place on the page; the one towards the reader is a ring with a point, away a cross."""
    for name, vector in (("x forward", X), ("y left", Y), ("z up", Z)):
        right, up = on_page(view, vector)
        colour = COLOURS[vector]
        if right or up:
            arrow(axes, at, (at[0] + size * right, at[1] + size * up), colour, 2.0)
            if names:
                axes.text(
                    at[0] + 1.12 * size * right, at[1] + 1.12 * size * up, name,
                    color=colour, fontsize=9, weight="bold",
                    ha={1: "left", -1: "right", 0: "center"}[round(right)],
                    va={1: "bottom", -1: "top", 0: "center"}[round(up)],
                    zorder=9, bbox={"fc": "white", "ec": "none", "pad": 0.8, "alpha": 0.85},
                )  # fmt: skip
        else:
            axes.add_patch(Circle(at, size * 0.1, fc="white", ec=colour, lw=1.6, zorder=9))
            towards = np.dot(np.cross(*VIEWS[view]), vector) > 0
            axes.plot(*at, "." if towards else "x", color=colour, ms=5, zorder=10)


def turn(
    axes: Axes, view: str, turn: str, at: Place, radius: float, text: str, colour: str, **where: Any
) -> None:  # fmt: skip
    """An arc from the turn's first direction towards its second, 62 degrees long, with an arrow's head."""
    one, two = (np.array(on_page(view, vector)) for vector in TURNS[turn])
    angle = np.radians(np.linspace(4, 62, 30))
    path = np.array(at) + radius * (np.outer(np.cos(angle), one) + np.outer(np.sin(angle), two))
    axes.plot(*path[:-2].T, color=colour, lw=1.8, zorder=8)
    arrow(axes, tuple(path[-4]), tuple(path[-1]), colour, 1.8)
    x, y = where.pop("place", path[18] + 0.18 * radius * (path[18] - np.array(at)) / radius)
    axes.text(x, y, text, color=colour, fontsize=9.5, zorder=9, **{"ha": "left", "va": "bottom", **where})


def wedge(axes: Axes, at: Place, radius: float, middle: float, half: float, colour: str) -> None:
    """A field of view: `half` [degree] to both sides of `middle` (anticlockwise from the right)."""
    axes.add_patch(Wedge(at, radius, middle - half, middle + half, fc=colour, alpha=0.13, ec="none", zorder=1))
    for side in (-half, half):
        angle = math.radians(middle + side)
        axes.plot(
            [at[0], at[0] + radius * math.cos(angle)],
            [at[1], at[1] + radius * math.sin(angle)],
            color=colour,
            lw=0.8,
            zorder=1,
        )


def sheet(axes: Axes, at: Place, wide: float, tall: float, inside: str, edge: str, line: float, **more: Any) -> None:
    """A sheet, seen from its edge or its face: a rectangle from its lower left corner."""
    axes.add_patch(Rectangle(at, wide, tall, fc=inside, ec=edge, lw=line, **more))


def measure(axes: Axes, start: Place, end: Place, text: str, **where: Any) -> None:
    """A length, with an arrow at both ends."""
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "<->", "lw": 0.8, "color": "0.25", "shrinkA": 0, "shrinkB": 0}
    )
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    axes.text(
        x + where.pop("dx", 0),
        y + where.pop("dy", 0),
        text,
        fontsize=9,
        color="0.15",
        **{"ha": "center", "va": "bottom", **where},
    )


def panel(axes: Axes, title: str, x: Place, y: Place) -> None:
    """Makes axes a view: to scale, named, from `x` and `y` (least, most) [mm]."""
    axes.set_aspect("equal")
    axes.set_xlim(x)
    axes.set_ylim(y)
    axes.axis("off")
    axes.set_title(title, fontsize=11, loc="left", weight="bold")
