"""The line that is held: chainage along it, offset from it, and the belt on both sides."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frontage:
    """A polyline with a threat side and a belt.

    points (n, 2): east, north [site m]. front and behind: depth of the belt towards the threat and away from it [m].
    Raises ValueError for fewer than two points, the same one twice in a row, and a belt without depth.
    """

    points: Floats
    front: float
    behind: float
    threat_left: bool

    def __post_init__(self) -> None:
        shape = np.shape(self.points)
        if len(shape) != 2 or shape[0] < 2 or shape[1] != 2:
            raise ValueError(f"points have shape {shape}; expected (two or more, east and north)")
        steps = np.hypot(*np.diff(self.points, axis=0).T)
        if not (np.isfinite(steps) & (steps > 0.0)).all():
            raise ValueError(f"points {steps.min():g} m apart; expected each some way from the one before")
        if not (self.front >= 0.0 and self.behind >= 0.0 and 0.0 < self.depth < np.inf):
            raise ValueError(f"a belt {self.front} m in front and {self.behind} m behind; expected one with some depth")

    @cached_property
    def _chainages(self) -> Floats:
        steps = np.hypot(*np.diff(self.points, axis=0).T)
        return np.concatenate(([0.0], np.cumsum(steps)))

    @property
    def length(self) -> float:
        """Metres from the first point to the last."""
        return float(self._chainages[-1])

    @property
    def depth(self) -> float:
        """Metres across the belt."""
        return self.front + self.behind

    def at(self, chainage: npt.ArrayLike) -> tuple[Floats, Floats]:
        """East and north [m] of the points at chainages [m]; beyond the ends, the ends."""
        where = np.asarray(chainage, dtype=np.float64)
        return (
            np.interp(where, self._chainages, self.points[:, 0]),
            np.interp(where, self._chainages, self.points[:, 1]),
        )

    def normal(self, chainage: npt.ArrayLike) -> tuple[Floats, Floats]:
        """East and north parts of the unit vector towards the threat, square to the chord chainage +- the belt's depth.

        The chord, not the segment: at a bend the lanes fan out instead of jumping.

                    ^ normal
            ________|_________ chord from s - depth to s + depth
           /        s         \\
        """
        where = np.asarray(chainage, dtype=np.float64)
        east0, north0 = self.at(where - self.depth)
        east1, north1 = self.at(where + self.depth)
        east, north = east1 - east0, north1 - north0
        length = np.hypot(east, north)
        side = 1.0 if self.threat_left else -1.0
        return -side * north / length, side * east / length

    def near(self, east: float, north: float, reach: float) -> npt.NDArray[np.intp]:
        """The segments that come within `reach` metres of a point, by number."""
        start, along = self.points[:-1], np.diff(self.points, axis=0)
        away = np.array((east, north)) - start
        share = np.clip((away * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-300), 0.0, 1.0)
        return np.flatnonzero(np.hypot(*(away - share[:, None] * along).T) <= reach)

    def locate(
        self, east: npt.ArrayLike, north: npt.ArrayLike, segments: npt.NDArray[np.intp] | None = None
    ) -> tuple[Floats, Floats]:
        """Chainage and offset [m] of points: the nearest point of the frontage, ties to the smaller chainage.

        segments: the numbers of those that may be the nearest to one of the points; left out, all.

        The offset is positive towards the threat. Where the nearest point is a vertex, the side is that of the segment
        whose line is farther away, which is right for bends of either hand.
        """
        x, y = np.broadcast_arrays(np.asarray(east, dtype=np.float64), np.asarray(north, dtype=np.float64))
        nearest = np.full(x.shape, np.inf)
        chainage = np.zeros(x.shape)
        beside = np.zeros(x.shape)
        for number in range(len(self.points) - 1) if segments is None else segments:
            start, passed = self.points[number], self._chainages[number]
            along = self.points[number + 1] - start
            length = float(np.hypot(*along))
            unit = along / length
            foot = np.clip((x - start[0]) * unit[0] + (y - start[1]) * unit[1], 0.0, length)
            distance = np.hypot(x - start[0] - foot * unit[0], y - start[1] - foot * unit[1])
            left = unit[0] * (y - start[1]) - unit[1] * (x - start[0])
            tie = np.isclose(distance, nearest, rtol=1e-12, atol=1e-9)
            closer = (distance < nearest) & ~tie
            same_vertex = tie & np.isclose(chainage, passed + foot, rtol=0.0, atol=1e-6)
            chainage = np.where(closer, passed + foot, chainage)
            beside = np.where(closer | (same_vertex & (np.abs(left) > np.abs(beside))), left, beside)
            nearest = np.where(closer, distance, nearest)
        side = 1.0 if self.threat_left else -1.0
        return chainage, nearest * np.where(beside * side < 0.0, -1.0, 1.0)

    def stations(self, step: float) -> Floats:
        """Chainages [m] of the middles of equal pieces of the frontage, none longer than `step`."""
        count = max(1, int(np.ceil(self.length / step - 1e-9)))
        return np.asarray((np.arange(count) + 0.5) * (self.length / count), dtype=np.float64)

    def lanes(self, chainage: npt.ArrayLike) -> Floats:
        """The straight lanes through stations: (n, 2, 2), far end then near end, each east, north [m]."""
        where = np.asarray(chainage, dtype=np.float64)
        east, north = self.at(where)
        ahead_east, ahead_north = self.normal(where)
        far = np.stack((east + self.front * ahead_east, north + self.front * ahead_north), axis=-1)
        near = np.stack((east - self.behind * ahead_east, north - self.behind * ahead_north), axis=-1)
        return np.stack((far, near), axis=-2)

    def belt_outline(self) -> Floats:
        """The belt's outline as a closed ring (m, 2): the far edge, then the near edge backwards."""
        marks = np.unique(np.concatenate((np.linspace(0.0, self.length, 65), self._chainages)))
        lanes = self.lanes(marks)
        return np.concatenate((lanes[:, 0], lanes[::-1, 1], lanes[:1, 0]))
