"""Where the drones are at a given time: pure, from the site file's routes and the time alone."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Route:
    """A drone's way over the ground, flown for ever: waypoints (n, 2) east, north [m], closed to a loop or flown
    back and forth.

    speed [m/s]; start [s]: how far into its cycle the drone is at time 0. Raises ValueError for fewer than two
    waypoints, the same one twice in a row, and a speed that is not above 0.
    """

    waypoints: Floats
    loop: bool
    speed: float
    start: float = 0.0

    def __post_init__(self) -> None:
        shape = np.shape(self.waypoints)
        if len(shape) != 2 or shape[0] < 2 or shape[1] != 2:
            raise ValueError(f"waypoints have shape {shape}; expected (two or more, east and north)")
        legs = np.diff(self.marks)
        if not (np.isfinite(legs) & (legs > 0.0)).all():
            raise ValueError(f"a leg of {legs.min():g} m; expected each waypoint some way from the one before")
        if not 0.0 < self.speed < math.inf:
            raise ValueError(f"speed is {self.speed}; expected metres per second above 0")
        if not math.isfinite(self.start):
            raise ValueError(f"start is {self.start}; expected seconds")

    @property
    def path(self) -> Floats:
        """One cycle's waypoints (m, 2), from the first back to the first."""
        if self.loop:
            return np.concatenate((self.waypoints, self.waypoints[:1]))
        return np.concatenate((self.waypoints, self.waypoints[-2::-1]))

    @property
    def marks(self) -> Floats:
        """Metres flown at each of the path's waypoints (m,)."""
        return np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(self.path, axis=0).T))))

    @property
    def cycle(self) -> float:
        """Seconds until the drone is where it was."""
        return float(self.marks[-1]) / self.speed

    def at(self, time: float) -> tuple[float, float, float]:
        """East, north [m] and azimuth of the course [rad, from grid north] at a time [s]."""
        path, marks = self.path, self.marks
        flown = ((time + self.start) * self.speed) % float(marks[-1])
        leg = min(int(np.searchsorted(marks, flown, side="right")) - 1, len(path) - 2)
        ahead = path[leg + 1] - path[leg]
        share = (flown - marks[leg]) / (marks[leg + 1] - marks[leg])
        east, north = path[leg] + share * ahead
        return float(east), float(north), math.atan2(ahead[0], ahead[1]) % math.tau


def times(route: Route, longest: float) -> Sequence[float]:
    """Times [s] of one cycle that include every waypoint and leave no more than `longest` seconds between two."""
    marks = (route.marks / route.speed - route.start) % route.cycle
    anchors = np.unique(np.concatenate(([0.0, route.cycle], marks)))
    pieces = [np.linspace(a, b, max(2, math.ceil((b - a) / longest) + 1))[:-1] for a, b in itertools.pairwise(anchors)]
    return [float(time) for time in np.concatenate((*pieces, [route.cycle]))]
