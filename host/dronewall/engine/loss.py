"""What becomes of a line when sensors are lost: the same answers again, from only what the loss touched.

Removing a sensor is an exact subtraction from the field, and adding it again brings back the same field, bit for bit.
What is not touched keeps its value: a station whose cell, lane and way across meet no cell in which the loss changes
the rate or the doubt, and from which the way to either edge costs what it did. So the answer is the one that a whole
new solve gives, bit for bit.
"""

import contextlib
import dataclasses
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.belt import Belt
from dronewall.engine.breach import Counted, Going, Guide, guide_after, guide_of, summed, weakest_route
from dronewall.engine.detection import Target
from dronewall.engine.exposure import Ways
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.gaps import KINDS, Crossing, Kind, Stations, crossing_of, stations
from dronewall.engine.levels import Level
from dronewall.engine.repair import wider
from dronewall.engine.terrain import Terrain

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """One target at one level, as it is before anything is lost. at, weakest: what `gaps.stations` and `gaps.weakest`
    say of the field. line_p, lane_p: the thresholds of a look, and of lanes and breaches.

    Whoever asks what a loss does takes sensors out of the field for a while: one question at a time.
    """

    terrain: Terrain
    frontage: Frontage
    belt: Belt
    field: Field
    target: Target
    going: Going
    level: Level
    counted: Counted
    lateral: float
    line_p: float
    lane_p: float
    at: Stations
    weakest: Crossing | None

    @cached_property
    def guide(self) -> Guide:
        """What steers the searches before anything is lost."""
        rate = summed(self.field, self.belt, self.counted)
        return guide_of(self.belt, rate, self.going, self.frontage.front, self.frontage.behind)

    def threshold(self, kind: Kind) -> float:
        """The P below which a station is in a gap."""
        return self.line_p if kind == "line" else self.lane_p


Place = tuple[float, float]
"""A probability, and the chainage at which it is [m]."""


@dataclass(frozen=True)
class Loss:
    """What a line is without some sensors.

    opened: of each kind, the numbers of the stations that are in a gap now and were in none. metres: of each kind, how
    many of the frontage are in gaps now; every station counts, however short its gap. least: of the best crossings at
    all stations now; opening: at the opened ones, None where there is none. weakest: the weakest route now; None where
    nobody can cross. touched: the numbers of the stations that were looked at again. step: metres of a station.
    """

    opened: dict[Kind, Integers]
    metres: dict[Kind, float]
    least: Place
    opening: Place | None
    weakest: Crossing | None
    touched: Integers
    step: float

    def more(self, kind: Kind = "breach") -> float:
        """Metres of frontage that the loss puts into gaps."""
        return len(self.opened[kind]) * self.step

    @property
    def worst(self) -> Place:
        """The least P of all best crossings and of the weakest route."""
        if self.weakest is None:
            return self.least
        return min(self.least, (self.weakest.probability, self.weakest.chainage))

    def spans(self, kind: Kind = "breach") -> list[tuple[float, float]]:
        """The stretches that the loss opens, from start to end [m of chainage]."""
        runs = np.split(self.opened[kind], np.flatnonzero(np.diff(self.opened[kind]) > 1) + 1)
        return [(float(run[0] * self.step), float((run[-1] + 1) * self.step)) for run in runs if len(run)]


def without(line: Line, sensors: Iterable[str]) -> Loss:
    """The line without some sensors; those that it does not have change nothing."""
    touched, part, weakest = again(line, sensors)
    opened, metres = {}, {}
    for kind in KINDS:
        before, now = line.at.probability(kind), part.probability(kind)
        threshold = line.threshold(kind)
        opened[kind] = touched[(now < threshold) & ~(before[touched] < threshold)]
        count = np.count_nonzero(before < threshold)
        count += np.count_nonzero(now < threshold) - np.count_nonzero(before[touched] < threshold)
        metres[kind] = float(count * line.at.step)
    breach = line.at.breach_p.copy()
    breach[touched] = part.breach_p
    least, opening = (_least(line, breach, some) for some in (np.arange(len(breach)), opened["breach"]))
    assert least is not None
    return Loss(opened, metres, least, opening, weakest, touched, line.at.step)


def _least(line: Line, breach: Floats, some: Integers) -> Place | None:
    if not len(some):
        return None
    at = some[int(np.argmin(breach[some]))]
    return float(breach[at]), float(line.at.chainage[at])


def again(line: Line, sensors: Iterable[str]) -> tuple[Integers, Stations, Crossing | None]:
    """The numbers of the stations that the loss of some sensors touches, these stations without them, and the weakest
    route without them.
    """
    belt, frontage = line.belt, line.frontage
    before = line.guide  # made of the field with nothing lost, so not in the block
    with _gone(line, sensors) as changed:
        if not changed.any():
            none = np.zeros(0, dtype=np.int64)
            return none, _picked(line.at, none), line.weakest
        rate = summed(line.field, belt, line.counted)
        guide, repriced = guide_after(belt, before, rate, line.going, frontage.front, frontage.behind)
        touched = _touched(line, changed, repriced)
        part = _stations(line, guide, touched)
        routes = weakest_route(belt, guide, line.going, frontage.front, frontage.behind)
        weakest = crossing_of(line.terrain, frontage, line.field, belt, line.counted, guide, routes)
    return touched, part, weakest


def opened(line: Line, sensors: Iterable[str], least: int = 0) -> int:
    """How many stations the loss of some sensors puts into breach gaps; 0 where these are not more than `least`.

    Only closed stations are looked at, over the piece of the belt that their crossings stay in: of crossings that are
    exposed alike `without`, which looks at the whole belt, may take another.
    """
    belt, frontage, lateral = line.belt, line.frontage, line.lateral
    with _gone(line, sensors) as changed:
        marks = belt.chainage[changed & belt.inside]
        if not len(marks):
            return 0
        first, last = float(marks.min()) - lateral, float(marks.max()) + lateral
        near = (line.at.chainage >= first - belt.cell) & (line.at.chainage <= last + belt.cell)
        closed = np.flatnonzero(near & (line.at.breach_p >= line.lane_p))
        if len(closed) <= least:
            return 0
        piece = belt.between(first - lateral - belt.cell, last + lateral + belt.cell)
        rate = summed(line.field, piece, line.counted)
        going = line.going.over(belt, piece)
        guide = guide_of(piece, rate, going, frontage.front, frontage.behind, route=False)
        part = _stations(dataclasses.replace(line, belt=piece, going=going), guide, closed)
        found = int(np.count_nonzero(part.breach_p < line.lane_p))
    return found if found > least else 0


def _stations(line: Line, guide: Guide, part: Integers) -> Stations:
    """Some stations as the field is now."""
    return stations(
        line.terrain, line.frontage, line.field, line.target, line.counted.look_s, line.counted.k, line.counted.count_p,
        lateral=line.lateral, belt=line.belt, going=line.going, guide=guide, part=part,
    )  # fmt: skip


def _picked(whole: Stations, numbers: Integers) -> Stations:
    """Some stations of all, without the cells of their ways."""
    found: dict[str, Any] = {}
    for each in dataclasses.fields(Stations):
        value = getattr(whole, each.name)
        if isinstance(value, np.ndarray):
            value = value[numbers]
        elif isinstance(value, Ways):
            value = Ways(np.zeros((0, 2), dtype=np.int64), np.zeros(len(numbers), dtype=np.int64))
        found[each.name] = value
    return Stations(**found)


@contextlib.contextmanager
def _gone(line: Line, sensors: Iterable[str]) -> Generator[Bools]:
    """The field without some sensors, inside the block: the cells of the belt's piece of the raster (north, east) in
    which that changes the rate or the doubt.
    """
    there = set(line.field)
    kept = {name: line.field[name] for name in sensors if name in there}
    before = [_looked(line, name) for name in kept]
    try:
        for name in kept:
            line.field.remove(name)
        changed = np.zeros(line.belt.inside.shape, dtype=np.bool_)
        for box, rates, doubtful in before:
            now, unsure = _in(line, box)
            changed[box] |= (now != rates) | (unsure != doubtful)
        yield changed
    finally:
        for name, window in kept.items():
            line.field.add(name, window)  # in its own place, were it still there


Box = tuple[slice, slice]


def _looked(line: Line, sensor: str) -> tuple[Box, Integers, Bools]:
    """Where in the belt's piece of the raster a sensor may see, and what the field says there."""
    shape, corner = line.belt.inside.shape, (line.belt.row, line.belt.col)
    rows, cols = (
        slice(min(max(first - low, 0), size), min(max(last - low, 0), size))
        for (first, last), low, size in zip(line.field[sensor].reach, corner, shape, strict=True)
    )
    return (rows, cols), *_in(line, (rows, cols))


def _in(line: Line, box: Box) -> tuple[Integers, Bools]:
    """Summed rates and doubt in a box of the belt's piece of the raster."""
    low = line.belt.row, line.belt.col
    rows, cols = (slice(part.start + first, part.stop + first) for part, first in zip(box, low, strict=True))
    places = np.meshgrid(np.arange(rows.start, rows.stop), np.arange(cols.start, cols.stop), indexing="ij")
    return line.field.rates((rows, cols)), line.field.doubtful_at((places[0], places[1]))


def _touched(line: Line, changed: Bools, repriced: Bools) -> Integers:
    """The numbers of the stations whose cell, lane or way across may meet a cell that changed (north, east), or one
    from which the way on costs something else.
    """
    at, terrain, corner = line.at, line.terrain, np.array((line.belt.row, line.belt.col))
    cells = np.argwhere(changed)
    low, high = cells.min(axis=0) + corner, cells.max(axis=0) + corner
    # Lanes, and with them the stations on them, by the boxes around them.
    ends = np.stack(terrain.cells(at.lane[..., 0], at.lane[..., 1]), axis=-1)
    outside = (ends < 0).any(axis=(1, 2))
    found = outside | ((ends.min(axis=1) <= high + 1) & (ends.max(axis=1) >= low - 1)).all(axis=1)
    # A move within `lateral` of a station may cross cells that lie a little beyond.
    marks = line.belt.chainage[wider(changed | repriced)].astype(np.float64)
    marks = marks[np.isfinite(marks)]
    slack = line.lateral + 1e-3
    first, after = np.searchsorted(at.chainage, marks - slack), np.searchsorted(at.chainage, marks + slack, "right")
    count = len(at.chainage) + 1
    covered = np.cumsum(np.bincount(first, minlength=count) - np.bincount(after, minlength=count))
    return np.flatnonzero(found | (covered[:-1] > 0))
