"""Who knows the drones' schedule, and who does not: two walkers who cross the line while drones come and go.

The one does not know it: he takes the way that is best against the drones' average, sets out at any time alike, and his
P is the mean over these times. The other knows it: he chooses when and where, within `lateral_m`, and may wait
(`spacetime`). He could do what the first one does at the best time, so his P is never above.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dronewall.engine.breach import Counted, Crossings, Going, crossings, guide_of, lane_paths, weakest_route
from dronewall.engine.breach import summed as fixed_rates
from dronewall.engine.crossing import Paths
from dronewall.engine.field import Field
from dronewall.engine.gaps import Stations, lane_pieces
from dronewall.engine.ground import Ground
from dronewall.engine.itinerary import Timed
from dronewall.engine.levels import Level
from dronewall.engine.moving import Moving, Summed, still
from dronewall.engine.opening import Opening, openings
from dronewall.engine.revisit import Revisit, watched
from dronewall.engine.spacetime import search
from dronewall.engine.timed import audited_at, audited_by_outset
from dronewall.engine.together import counting, mean_rates, summed
from dronewall.engine.wall import going_of
from dronewall.engine.watch import Watch
from dronewall.scenario import Target as TargetSpec

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_OUTSETS = 720
"""Times of setting out that are looked at, at most; and where k nodes are asked for, whom it takes long to count:"""
_OUTSETS_COUNTED = 60
_WORTH = 0.005
"""A station is searched for a better time where one might be detected less by so much."""
_SLACK = 1.02
"""Whole slots of time are so much off a way's own time, at most: as much longer than allowed may a crossing be."""
_TOGETHER = 400
"""Stations whose ways are looked at together."""


@dataclass(frozen=True)
class TimedCrossing:
    """A way across on a clock: east, north [site m] of its points (n,) and the time [s] at which the walker comes
    there; from sets_out to arrives [s], of which he waits `waits` [s]; chainage [m] where it first crosses the
    frontage. probability: of being detected, audited; before: of being detected before the frontage. Of one who knows
    no schedule both are means over the times of setting out, and the clock is that of one who sets out at 0.
    """

    east: Floats
    north: Floats
    clock: Floats
    sets_out: float
    arrives: float
    waits: float
    chainage: float
    probability: float
    before: float


@dataclass(frozen=True)
class TargetCycle:
    """What the line sees of one target at one level over a cycle (or horizon) of its drones.

    stations: the frontage's, of the fixed sensors alone. revisit: of the belt's cells (north, east) of its piece of the
    raster; station_revisit: of the stations (n,). watched (n, steps): whether a station is, at each step.

    outsets (m,): times of setting out [s]. crossing_p (n, m): probability of being detected on the station's best way
    for one who knows no schedule, setting out then, without waiting. unknowing_p (n,): its mean over the times.
    knowing_p (n,): the least for one who knows the schedule and chooses when, where within `lateral_m`, and when to
    wait; knowing_outset, knowing_waits (n,): when he sets out and how long he waits [s]. All nan where nobody can go.

    unknowing, knowing: the weakest of the whole line, each way with its P; None where nobody can cross. openings: by
    chainage.
    """

    target: TargetSpec
    level: Level
    stations: Stations
    revisit: Revisit
    station_revisit: Revisit
    watched: Bools
    outsets: Floats
    crossing_p: npt.NDArray[np.float32]
    unknowing_p: Floats
    knowing_p: Floats
    knowing_outset: Floats
    knowing_waits: Floats
    unknowing: TimedCrossing | None
    knowing: TimedCrossing | None
    openings: tuple[Opening, ...]


@dataclass(frozen=True)
class _Unknowing:
    """What somebody does who knows no schedule. chances (n, m): P of each station's best way by the time of setting
    out, nan where nobody can go; ways: these; route: the least exposed of the whole line, and its chances (m,).
    """

    chances: Floats
    ways: list[Paths]
    route: Paths | None
    route_chances: Floats


@dataclass(frozen=True)
class _Way:
    """One way: piece by piece, when each begins [s], whether it stands still; and its probability."""

    paths: Paths
    clock: Floats
    waiting: Bools
    probability: float


@dataclass(frozen=True)
class Line:
    """A line as one target at one level meets it. field, stations: of the fixed sensors; moving: over the cycle, or
    over the horizon and the longest crossing more. length [s], steps: of the cycle or the horizon; longest [s]: that a
    crossing may take; moving_only: the sensors that see nothing of who stands still.
    """

    ground: Ground
    target: TargetSpec
    level: Level
    field: Field
    stations: Stations
    moving: Moving
    length: float
    steps: int
    longest: float
    moving_only: frozenset[str]

    @cached_property
    def _counted(self) -> Counted:
        thresholds = self.ground.scenario.thresholds
        return Counted(thresholds.k, thresholds.look_s, thresholds.count_p)

    @cached_property
    def _going(self) -> Going:
        return going_of(self.ground, self.target)

    @cached_property
    def _summed(self) -> Summed:
        return summed(self.moving, self.field, self.ground.belt, self._counted)

    @cached_property
    def _fixed(self) -> Floats:
        return fixed_rates(self.field, self.ground.belt, self._counted)

    @property
    def _origin(self) -> tuple[int, int]:
        return self.ground.belt.row, self.ground.belt.col

    @cached_property
    def outsets(self) -> Floats:
        """Times of setting out that are looked at [s]."""
        most = _OUTSETS if self._counted.k == 1 else _OUTSETS_COUNTED
        count = math.ceil(self.steps / math.ceil(self.steps / most))
        return np.arange(count, dtype=np.float64) * (self.length / count)

    def answer(self, progress: Callable[[int, int], None] | None = None) -> TargetCycle:
        """All that is told of it."""
        told = watched(self.ground, self.field, _until(self.moving, self.steps))
        other = self._unknowing()
        mean = other.chances.mean(axis=1)
        walker, best, outset, waits = self._knowing(other, progress)
        return TargetCycle(
            target=self.target,
            level=self.level,
            stations=self.stations,
            revisit=told.cells,
            station_revisit=told.stations,
            watched=told.at,
            outsets=self.outsets,
            crossing_p=other.chances.astype(np.float32),
            unknowing_p=mean,
            knowing_p=best,
            knowing_outset=outset,
            knowing_waits=waits,
            unknowing=self._told_unknowing(other, mean),
            knowing=walker,
            openings=openings(
                other.chances,
                self.ground.scenario.thresholds.lane_p,
                self.stations.step,
                self.length / len(self.outsets),
                self.moving.periodic,
            ),
        )

    def least(self) -> tuple[float, float]:
        """The knowing walker's least P of the whole line, nan where nobody can cross, and `open`."""
        other = self._unknowing()
        walker = self._knowing(other, None)[0]
        return math.nan if walker is None else walker.probability, self.open(other.chances)

    def open(self, chances: npt.NDArray[np.floating]) -> float:
        """Metres of frontage that are open, without waiting, on the mean over the times of setting out. chances (n, m):
        as of `TargetCycle.crossing_p`.
        """
        under = chances < self.ground.scenario.thresholds.lane_p
        return float(under.mean(axis=1).sum() * self.stations.step)

    # --- who does not know it

    def _unknowing(self) -> _Unknowing:
        ground, frontage, belt = self.ground, self.ground.frontage, self.ground.belt
        drones = self._summed
        drones = dataclasses.replace(drones, first=drones.first[: self.steps], last=drones.last[: self.steps])
        rate = self._fixed + mean_rates(drones, belt.inside.shape)
        guide = guide_of(belt, rate, self._going, frontage.front, frontage.behind)
        at = self.stations
        cells = np.stack(ground.terrain.cells(at.east, at.north), axis=-1)
        best = crossings(
            belt, guide, self._going, frontage.front, frontage.behind, cells, at.chainage,
            ground.scenario.thresholds.lateral_m,
        )  # fmt: skip
        pieces = lane_pieces(ground.terrain, frontage)
        found, ways = np.full((len(at.chainage), len(self.outsets)), np.nan), []
        for part in (slice(first, first + _TOGETHER) for first in range(0, len(at.chainage), _TOGETHER)):
            lanes = lane_paths(ground.terrain, belt, self._going, at.lane[part], pieces, frontage.front)
            routes = best.paths.some(part)
            straight, free = self._chances(lanes), self._chances(routes)
            # As `gaps.stations` has it: the straight lane is always one of the ways. A closed one is nan.
            lane_p, route_p = (np.where(np.isnan(of).any(axis=1), np.inf, of.mean(axis=1)) for of in (straight, free))
            lane_is_best = lane_p <= route_p
            found[part] = np.where(lane_is_best[:, None], straight, free)
            for number, lane in enumerate(lane_is_best.tolist()):
                ways.append((lanes if lane else routes).some(slice(number, number + 1)))
        route = _path(weakest_route(belt, guide, self._going, frontage.front, frontage.behind))
        chances = np.full(len(self.outsets), np.nan) if route is None else self._chances(route)[0]
        return _Unknowing(found, ways, route, chances)

    def _chances(self, paths: Paths) -> Floats:
        """P of ways by the time of setting out; nan where they cannot be gone, or not in the longest time."""
        closed = ~(paths.durations <= _SLACK * self.longest) | (paths.ends == paths.starts)
        paths = dataclasses.replace(paths, seconds=np.where(np.isfinite(paths.seconds), paths.seconds, 0.0))
        clock = _clock(paths)
        if self._counted.k == 1:
            interval = self.length / len(self.outsets)
            found = audited_by_outset(self.field, self.moving, paths, self._origin, clock, interval, len(self.outsets))
        else:
            columns = [self._audited(paths, clock + outset)[0] for outset in self.outsets]
            found = np.stack(columns, axis=-1)
        found[closed] = np.nan
        return found

    def _audited(self, paths: Paths, clock: Floats, waiting: Bools | None = None) -> tuple[Floats, Floats]:
        counts = None
        if self._counted.k > 1:
            counts = counting(self.field, self.moving, self.ground.belt, paths.cells, clock, self._counted)
        return audited_at(
            self.field, self.moving, paths, self._origin, clock, waiting=waiting, moving_only=self.moving_only,
            counting=counts,
        )  # fmt: skip

    def _told_unknowing(self, other: _Unknowing, mean: Floats) -> TimedCrossing | None:
        """The weakest way of the line for him. mean (n,): his P at each station."""
        several = [] if other.route is None else [(float(other.route_chances.mean()), other.route)]
        if np.isfinite(mean).any():
            station = int(np.nanargmin(mean))
            several.append((float(mean[station]), other.ways[station]))
        several = [one for one in several if math.isfinite(one[0])]
        if not several:
            return None
        probability, paths = min(several, key=lambda one: one[0])
        clock, ahead = _clock(paths), int(paths.before[0])
        # Somebody who is across as soon as he is at the frontage.
        half = Paths(paths.cells[:ahead], paths.seconds[:ahead], np.array([ahead]), np.array([ahead]))
        before = float(self._chances(half).mean()) if ahead else 0.0
        way = _Way(paths, clock, np.zeros(len(clock), dtype=np.bool_), probability)
        return self._timed(way, before)

    # --- who knows it

    def _knowing(
        self, other: _Unknowing, progress: Callable[[int, int], None] | None
    ) -> tuple[TimedCrossing | None, Floats, Floats, Floats]:
        """The weakest way of the line for him; of each station his P, when he sets out and how long he waits [s]."""
        chances = other.chances
        can = np.isfinite(chances[:, 0])
        # What the other one does, at the best time for it.
        first = np.argmin(np.where(np.isnan(chances), np.inf, chances), axis=1)
        best = np.where(can, chances[np.arange(len(first)), first], np.nan)
        outset, waits = np.where(can, self.outsets[first], np.nan), np.where(can, 0.0, np.nan)
        several: list[_Way] = []
        alike = [] if other.route is None else [(other.route_chances, other.route)]
        if can.any():
            station = int(np.nanargmin(best))
            alike.append((chances[station], other.ways[station]))
        for by_outset, paths in alike:
            if np.isfinite(by_outset[0]):
                one = int(np.argmin(by_outset))
                none = np.zeros(len(paths.seconds), dtype=np.bool_)
                several.append(_Way(paths, _clock(paths) + self.outsets[one], none, float(by_outset[one])))
        for numbers, timed in self._found(best, progress):
            audited = self._audited(timed.paths, timed.begins, timed.waiting)[0]
            audited[timed.paths.ends == timed.paths.starts] = np.inf
            if not np.isfinite(audited).any():
                continue
            if len(numbers):
                better = np.flatnonzero(np.isfinite(audited) & ~(audited >= best[numbers]))
                best[numbers[better]], outset[numbers[better]] = audited[better], timed.outsets[better]
                waits[numbers[better]] = timed.waits[better]
            one = int(np.argmin(audited))
            piece = slice(timed.paths.starts[one], timed.paths.ends[one])
            paths = timed.paths.some(slice(one, one + 1))
            several.append(_Way(paths, timed.begins[piece], timed.waiting[piece], float(audited[one])))
        if not several:
            return None, best, outset, waits
        way = min(several, key=lambda one: one.probability)
        before = float(self._audited(way.paths, way.clock, way.waiting)[1][0])
        return self._timed(way, before), best, outset, waits

    def _found(self, best: Floats, progress: Callable[[int, int], None] | None) -> Iterator[tuple[Integers, Timed]]:
        """The ways that waiting and another way might better: at some stations, whose numbers come with them, and
        across the whole line, which is no station.

        Drones only ever add to what the fixed sensors see: where a way is hardly likelier noticed than with these alone
        there is nothing to gain.
        """
        frontage, at = self.ground.frontage, self.stations
        # Where his ways at a station take too long a quicker one may be left.
        numbers = np.flatnonzero(np.where(np.isnan(best), 1.0, best) - at.breach_p > _WORTH)
        whole = bool(np.nanmin(best, initial=1.0) - at.breach_p.min() > _WORTH)
        if not len(numbers) and not whole:
            return
        cells = np.stack(self.ground.terrain.cells(at.east[numbers], at.north[numbers]), axis=-1)
        found = search(
            self.ground.belt, self._going, frontage.front, frontage.behind, self._watch, self.longest, cells,
            at.chainage[numbers], self.ground.scenario.thresholds.lateral_m, route=whole, until=self.length,
            progress=progress,
        )  # fmt: skip
        yield numbers, found.stations
        yield np.zeros(0, dtype=np.int64), found.route

    @property
    def _watch(self) -> Watch:
        if not self.moving_only:
            return Watch(self._fixed, self._fixed, self._summed, self._summed)
        quiet = self.field.copy()
        for name in self.moving_only & set(quiet):
            quiet.remove(name)
        belt = self.ground.belt
        # To the last bit what is left of a sum may be more than the sum.
        fixed = np.minimum(fixed_rates(quiet, belt, self._counted), self._fixed)
        return Watch(self._fixed, fixed, self._summed, summed(still(self.moving), quiet, belt, self._counted))

    # --- both

    def _timed(self, way: _Way, before: float) -> TimedCrossing:
        """A way as it is told: the middles of the cells that it passes, and when."""
        ground, paths = self.ground, way.paths
        columns, rows = ground.terrain.centres
        ends = way.clock + paths.seconds
        # A point a cell; the first and the last piece begin and end at the belt's edges.
        kept = np.concatenate(([True], (np.diff(paths.cells, axis=0) != 0).any(axis=1))) | way.waiting
        cells = paths.cells[kept]
        met = paths.cells[min(int(paths.before[0]), len(paths.cells) - 1)] - np.array(self._origin)
        return TimedCrossing(
            east=columns[cells[:, 1]],
            north=rows[cells[:, 0]],
            clock=way.clock[kept],
            sets_out=float(way.clock[0]),
            arrives=float(ends[-1]),
            waits=float(paths.seconds[way.waiting].sum()),
            chainage=float(ground.belt.chainage[met[0], met[1]]),
            probability=way.probability,
            before=before,
        )


def _path(routes: Crossings) -> Paths | None:
    return routes.paths if len(routes.ways.cells) else None


def _clock(paths: Paths) -> Floats:
    """When each piece begins [s], for one who sets out at 0."""
    begins = np.concatenate(([0.0], np.cumsum(paths.seconds)[:-1]))
    some = paths.ends > paths.starts
    return np.asarray(begins - np.repeat(begins[paths.starts[some]], (paths.ends - paths.starts)[some]))


def _until(moving: Moving, steps: int) -> Moving:
    """The first steps."""
    if moving.steps == steps:
        return moving
    passes = tuple(dataclasses.replace(one, first=one.first[:steps], last=one.last[:steps]) for one in moving.passes)
    return dataclasses.replace(moving, passes=passes, steps=steps)
