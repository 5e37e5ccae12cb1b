"""Ways over the ground that are flown again and again: a drone's route, metre by metre, without any time."""

import bisect
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Pattern = Literal["loop", "shuttle", "once"]

_SAGITTA = 0.1
"""The polyline of an orbit strays from the circle by less than this [m] ..."""
_TURN = math.radians(1.0)
"""... and turns by no more than this at a corner [rad]."""


class PatrolError(ValueError):
    """A sortie that cannot be flown as it is described, and why."""


@dataclass(frozen=True)
class Route:
    """A way over the ground: waypoints (n, 2) east, north [m], closed to a loop, flown back and forth, or once.

    Raises PatrolError for fewer than two waypoints and the same one twice in a row.
    """

    waypoints: Floats
    pattern: Pattern = "loop"

    def __post_init__(self) -> None:
        shape = np.shape(self.waypoints)
        if len(shape) != 2 or shape[0] < 2 or shape[1] != 2:
            raise PatrolError(f"waypoints have shape {shape}; expected (two or more, east and north)")
        legs = np.diff(self.marks)
        if not (np.isfinite(legs) & (legs > 0.0)).all():
            raise PatrolError(f"a leg of {legs.min():g} m; expected each waypoint some way from the one before")

    @cached_property
    def path(self) -> Floats:
        """One round's waypoints (m, 2), from the first back to the first; of `once` the waypoints."""
        points = np.asarray(self.waypoints, dtype=np.float64)
        if self.pattern == "once":
            return points
        return np.concatenate((points, points[:1] if self.pattern == "loop" else points[-2::-1]))

    @cached_property
    def marks(self) -> Floats:
        """Metres flown at each of the path's waypoints (m,)."""
        return np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(self.path, axis=0).T))))

    @property
    def length(self) -> float:
        """Metres of one round."""
        return float(self.marks[-1])

    def at(self, flown: float) -> tuple[float, float, float]:
        """East, north [m] and azimuth of the course [rad, from grid north] after so many metres; `once` ends at its
        last waypoint.
        """
        marks, path = self._lists
        flown = min(max(flown, 0.0), marks[-1]) if self.pattern == "once" else flown % marks[-1]
        leg = min(bisect.bisect_right(marks, flown) - 1, len(path) - 2)
        (a_east, a_north), (b_east, b_north) = path[leg], path[leg + 1]
        share = (flown - marks[leg]) / (marks[leg + 1] - marks[leg])
        ahead = b_east - a_east, b_north - a_north
        return a_east + share * ahead[0], a_north + share * ahead[1], math.atan2(*ahead) % math.tau

    @cached_property
    def _lists(self) -> tuple[list[float], list[tuple[float, float]]]:
        return self.marks.tolist(), [(east, north) for east, north in self.path.tolist()]


def orbit(
    centre: tuple[float, float],
    radius: float,
    clockwise: bool = True,
    launch: tuple[float, float] | None = None,
) -> Route:
    """A circle about a point as a loop, from where it is nearest to the launch, else from its north.

    A polyline between points of the circle, some 0.1 m inside it at most, whose course turns by 1 degree at most.
    Raises PatrolError for a radius that is not above 0.
    """
    if not 0.0 < radius < math.inf:
        raise PatrolError(f"an orbit's radius is {radius:g} m; expected metres above 0")
    # The middle of a chord lies r (1 - cos(half its angle)) inside the circle.
    half = math.acos(max(0.0, 1.0 - _SAGITTA / radius))
    corners = math.ceil(math.pi / min(half, _TURN / 2.0))
    first = 0.0
    if launch is not None and math.dist(launch, centre) > 0.0:
        first = math.atan2(launch[0] - centre[0], launch[1] - centre[1])
    azimuths = first + (1.0 if clockwise else -1.0) * math.tau * np.arange(corners) / corners
    return Route(np.array(centre) + radius * np.stack((np.sin(azimuths), np.cos(azimuths)), axis=-1), "loop")


def farthest(route: Route, home: tuple[float, float], reach: float) -> float:
    """Metres along the route at which what was flown and the straight way home make up `reach` [m], at the latest; the
    whole route where it is flown once and that never happens.

        a --- m ---> b     On the leg from a, with d = a - home, u its direction and c = reach less what was flown at a:
         \\   |             m + |d + m u| = c  has one solution,  m = (c^2 - d^2) / (2 (d.u + c)).
        d  \\ | c - m
           home
    """
    points, marks = route.path - np.asarray(home), route.marks
    away = np.hypot(*points.T)
    repeats = route.pattern != "once"
    # Before this round the way home never counts, however far off.
    rounds = max(0, math.floor((reach - float(away.max())) / route.length)) if repeats else 0
    while True:
        flown = rounds * route.length + marks
        over = np.flatnonzero(flown + away > reach)
        if len(over):
            break
        if not repeats:
            return route.length
        rounds += 1
    end = int(over[0])
    if end == 0:  # rounding: this waypoint was the last one of the round before
        return max(0.0, float(flown[0]))
    leg = float(marks[end] - marks[end - 1])
    ahead = (points[end] - points[end - 1]) / leg
    left = reach - float(flown[end - 1])
    slope = 2.0 * (float(points[end - 1] @ ahead) + left)
    metres = (left**2 - float(away[end - 1]) ** 2) / slope if slope > 0.0 else leg
    return float(flown[end - 1]) + min(max(metres, 0.0), leg)
