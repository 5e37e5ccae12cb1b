"""The ways across a line on a picture's map: the weakest route, and the one with the least bottleneck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from dronewall.report import routes
from dronewall.report.colours import ROUTE
from dronewall.report.figures import kilometres, percent
from dronewall.report.picture_labels import HALO, Labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dronewall.engine.wall import TargetCoverage

_WIDTHS: dict[routes.Which, float] = {"weakest": 2.6, "bottleneck": 1.3}


def draw_routes(axes: Axes, target: TargetCoverage) -> None:
    """Lines with a clear casing from the threat's side, an arrow at the near end; the weakest over the other."""
    for which, route in reversed(routes.whole(target)):
        width = _WIDTHS[which]
        casing = [withStroke(linewidth=width + 2.6, foreground="white")]
        axes.plot(
            *route.points.T,
            color=ROUTE,
            linewidth=width,
            dashes=(None, None) if which == "weakest" else (4.0, 1.5),
            solid_capstyle="round",
            path_effects=casing,
            zorder=7.2,
            label=f"{which} route",
        )
        near = route.points[-1]
        axes.add_patch(
            FancyArrowPatch(
                near - _ahead(route.points),
                near,
                arrowstyle="-|>",
                mutation_scale=7.0 + 3.0 * width,
                shrinkA=0.0,
                shrinkB=0.0,
                linewidth=0.0,
                facecolor=ROUTE,
                edgecolor="white",
                path_effects=[withStroke(linewidth=1.6, foreground="white")],
                zorder=7.3,
            )
        )


def label_routes(target: TargetCoverage, labels: Labels) -> None:
    """What each is and how likely it is seen, beside the end away from the threat; they are told to keep clear."""
    found = routes.whole(target)
    for _, route in found:
        labels.avoid(_spread(route.points), 3.0, 1.0)
    for which, route in found:
        labels.put(
            route.points[-1],
            f"{which} {percent(route.probability)}\nat km {kilometres(route.chainage)}",
            size=9 if which == "weakest" else 7.5,
            weight="bold",
            color=ROUTE,
            zorder=9.5,
            path_effects=HALO,
            linespacing=1.1,
        )


def _ahead(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The last metre of the way, or what there is of it."""
    last = np.diff(points, axis=0)
    last = last[np.hypot(*last.T) > 0.0][-1]
    return np.asarray(last / np.hypot(*last))


def _spread(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places along a way, some every twentieth of it."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    at = np.linspace(0.0, along[-1], 20)
    return np.stack([np.interp(at, along, part) for part in points.T], axis=-1)
