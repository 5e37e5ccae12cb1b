"""Texts on a picture: names as they stand, and labels that keep clear of each other and of what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from dronewall.report.colours import LOOKS
from dronewall.talk import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, ALARM = "#16202a", "#5b6670", LOOKS["gap"].colour
HALO = [withStroke(linewidth=2.6, foreground="white", alpha=0.9)]


class _Box(NamedTuple):
    """Pixels, and how bad it is to cover them."""

    left: float
    right: float
    bottom: float
    top: float
    weight: float


class Labels:
    """Texts beside points of the map that keep clear of each other and of what is drawn."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        figure = axes.get_figure(root=True)
        assert figure is not None
        self.renderer = FigureCanvasAgg(figure).get_renderer()
        axes.apply_aspect()
        self.bounds = axes.get_window_extent(self.renderer)
        self.points = figure.dpi / 72.0
        self.taken: list[_Box] = []

    def avoid(self, places: NDArray[np.floating], radius: float, weight: float) -> None:
        """Keep labels off points of the map; radius [points]."""
        reach = radius * self.points
        for x, y in self.axes.transData.transform(np.atleast_2d(places)):
            self.taken.append(_Box(x - reach, x + reach, y - reach, y + reach, weight))

    def put(
        self,
        place: NDArray[np.floating],
        text: str,
        *,
        reluctant: bool = False,
        pad: float = 1.0,
        **style: Any,
    ) -> None:
        """Write `text` near `place`, where it covers least; a reluctant label rather stays away than cover
        another.
        """
        x, y = self.axes.transData.transform(place)
        if not self.bounds.contains(x, y):
            return
        at = (float(place[0]), float(place[1]))
        label = self.axes.annotate(text, at, (0, 0), textcoords="offset points", ha="center", va="center", **style)
        extent = label.get_window_extent(self.renderer)
        half_width = extent.width / 2 + pad * self.points
        half_height = extent.height / 2 + pad * self.points
        best, least = None, np.inf
        for ring, distance in enumerate((6.0, 12.0, 20.0, 30.0)):
            for angle in np.radians((45, 135, 315, 225, 0, 180, 90, 270)):
                dx = np.sign(round(np.cos(angle), 6)) * half_width + np.cos(angle) * distance * self.points
                dy = np.sign(round(np.sin(angle), 6)) * half_height + np.sin(angle) * distance * self.points
                box = _Box(x + dx - half_width, x + dx + half_width, y + dy - half_height, y + dy + half_height, 0.0)
                cost = self._cost(box) + 40.0 * ring
                if cost < least:
                    best, least, offset = box, cost, (dx / self.points, dy / self.points)
        if best is None or (reluctant and least > 200.0):
            label.remove()
            return
        label.set_position(offset)
        self.taken.append(best._replace(weight=6.0))
        if np.hypot(*offset) > 26 and not reluctant:
            self.axes.annotate(
                "",
                at,
                offset,
                textcoords="offset points",
                zorder=7,
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
            )

    def _cost(self, box: _Box) -> float:
        cost = 0.0
        for left, right, bottom, top, weight in self.taken:
            width = min(box.right, right) - max(box.left, left)
            tall = min(box.top, top) - max(box.bottom, bottom)
            if width > 0 and tall > 0:
                cost += weight * width * tall
        bounds = self.bounds
        outside = (
            max(bounds.x0 - box.left, 0)
            + max(box.right - bounds.x1, 0)
            + max(bounds.y0 - box.bottom, 0)
            + max(box.top - bounds.y1, 0)
        )
        return cost + 1000.0 * outside


def plain(text: str) -> str:
    """Text that matplotlib draws as it stands: a dollar sign would start a formula."""
    return clean(text).replace("$", r"\$")


def short(text: str, most: int) -> str:
    """`text`, cut to `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
