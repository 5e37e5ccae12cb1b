"""Where and when the line breaks: the least-exposure ways of a walker who knows when the drones come, and may wait.

He sets out at any time of the cycle (`moving`), or of the horizon, crosses as `breach` says, and is across in the
longest time that he has, waiting included. The search (`slots`) is over cells and slots of time; what it finds is told
in the exact times that its pieces take, and where he waits he waits until the slot that he means to go in, so that the
error of whole slots does not add up past a wait. Of ways that are about as good he takes the quicker one: `HASTE`.

Three bounds are left out of a search at first, since it finds many ways at once without them: how far aside the way at
a station may lead, and how long one may take. A way that keeps them is the best of all; where it does not, that station
is searched alone in its strip, and then by best first over shorter and shorter parts of the cycle to set out in.
"""

import heapq
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count, pairwise

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.belt import Belt
from dronewall.engine.breach import Crossings, Going, Guide, crossings, guide_of
from dronewall.engine.crossing import Paths
from dronewall.engine.exposure import CROSSED, LENGTHS, MOVES, SHARES, Cells, Ways, pace
from dronewall.engine.moving import Summed
from dronewall.engine.pool import CORES, Pool
from dronewall.engine.slots import (
    PER_CELL,
    Costs,
    Edge,
    Floor,
    Ground,
    Store,
    Timetable,
    floor_of,
    passing,
    timetable,
    unseen,
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Window = tuple[int, int]
"""The first of some slots to set out in, and how many."""

HASTE = 2e-4
"""Exposure that a crossing in the longest time allowed counts as more than one in no time: ways that are noticed alike
to this are told apart by the time that they take. Far below what a probability is told to; what costs are summed in (32
bits) would lose less.
"""

_STILL = 0.9
"""Standing still counts so much of that: rather still than to and fro."""

_TOGETHER = 12_000
"""Cells that stations are searched over together, about: their costs within the longest move stay in a core's cache."""


@dataclass(frozen=True)
class Watch:
    """What watches the belt's piece of the raster (north, east): the summed rates [1/s] of the fixed sensors and of the
    drones, for a target that moves, and for one that stands still.
    """

    fixed: Floats
    fixed_still: Floats
    moving: Summed
    moving_still: Summed


@dataclass(frozen=True)
class Timed:
    """Ways with a clock, none of any cells where there is none. ways: cells in the belt's piece, one after the other.
    paths: the same, piece by piece, in the raster; of these begins [s], when each begins, and waiting, whether it is
    standing still: both (m,). The first piece of a way begins at 0 <= outset < cycle.

    exposure (n,): what the summed rates add up to on these pieces at these times; searched (n,): what the search, in
    whole slots, took it for: nan where there is no way.
    """

    ways: Ways
    paths: Paths
    begins: Floats
    waiting: Bools
    exposure: Floats
    searched: Floats

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def outsets(self) -> Floats:
        """When each sets out [s] (n,), nan where there is no way."""
        starts, ends = self.paths.starts, self.paths.ends
        found = np.full(len(ends), np.nan)
        found[ends > starts] = self.begins[starts[ends > starts]]
        return found

    @property
    def waits(self) -> Floats:
        """Seconds that each stands still (n,)."""
        ways = np.repeat(np.arange(len(self)), self.paths.ends - self.paths.starts)
        return np.bincount(ways, np.where(self.waiting, self.paths.seconds, 0.0), len(self)).astype(np.float64)


@dataclass(frozen=True)
class Knowing:
    """The best ways of one who knows when the drones come. stations: at each. route: the best of the whole line, which
    may cross the frontage where and as often as it likes, over a stretch of line of at most twice `margin` [m].
    strayed, overlong: how many had to be searched again alone, for leading too far aside, and for taking too long.
    slot [s].
    """

    stations: Timed
    route: Timed
    margin: float
    strayed: int
    overlong: int
    slot: float


@dataclass(frozen=True)
class _Found:
    """A way: value, what its search says it costs; states (m, 3), row and column in the belt's piece and slots since
    the clock's start; the slots of the ways in and out.
    """

    value: float
    states: Integers
    enters: int
    leaves: int

    @property
    def lasts(self) -> int:
        """Slots."""
        return int(self.states[-1, 2] + self.leaves - self.states[0, 2] + self.enters)


@dataclass(frozen=True)
class _Line:
    """All that the searches of one line share. guide: to the best ways while no drone is there. longest: slots that a
    way may last; outsets: in which it may begin.
    """

    belt: Belt
    ground: Ground
    start: Edge
    end: Edge
    moving: Timetable
    still: Timetable | None
    longest: int
    outsets: int
    haste: float
    guide: Guide

    @cached_property
    def ahead(self) -> Bools:
        """Cells that lead to the frontage."""
        return self.open & (self.belt.offset >= 0.0)

    @cached_property
    def behind(self) -> Bools:
        """Cells that lead from it."""
        return self.open & (self.belt.offset < 0.0)

    @cached_property
    def open(self) -> Bools:
        """Cells that somebody can enter."""
        return np.isfinite(self.ground.weight)

    @cached_property
    def _order(self) -> tuple[Integers, npt.NDArray[np.float64]]:
        cells = np.flatnonzero(self.open)
        chainage = self.belt.chainage.ravel()[cells].astype(np.float64)
        order = np.argsort(chainage, kind="stable")
        return cells[order], chainage[order]

    def between(self, low: float, high: float) -> Integers:
        """Open cells, flat, whose chainage is from low to high [m]."""
        cells, chainage = self._order
        return cells[np.searchsorted(chainage, low) : np.searchsorted(chainage, high, side="right")]

    def last(self, outsets: int) -> int:
        """Slots that a search lasts whose ways begin in so many."""
        return outsets - 1 + self.longest


def search(
    belt: Belt, going: Going, front: float, behind: float, watch: Watch, max_crossing: float, stations: Cells,
    at: Floats, lateral: float, *, route: bool = True, until: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Knowing:  # fmt: skip
    """The best ways across at `stations` (n, 2), row and column in the raster, chainages `at` (n,), none leading
    farther aside than `lateral` [m], and the best of the whole line; each across in max_crossing [s].

    front, behind: the belt's depths [m]. route: whether the latter is asked for. until [s]: he sets out before that,
    left out: at any time of the cycle. progress: called with the number of stations done and of all.
    Raises ValueError for shapes that do not fit and a time that is none.
    """
    for name, rates in (("fixed", watch.fixed), ("fixed_still", watch.fixed_still)):
        if rates.shape != belt.inside.shape:
            raise ValueError(f"{name} has shape {rates.shape}; expected the belt's {belt.inside.shape}")
    if not 0.0 < max_crossing < np.inf:
        raise ValueError(f"a longest crossing of {max_crossing} s; expected one above 0 s")
    line = _line(belt, going, front, behind, watch, max_crossing)
    if until is not None:
        line = replace(line, outsets=min(line.outsets, max(1, int(np.ceil(until / line.ground.slot - 1e-9)))))
    static = partial(crossings, belt, line.guide, going, front, behind, lateral=lateral)
    own = np.asarray(stations, dtype=np.int64) - (belt.row, belt.col)
    depth = front + behind
    margin = max(lateral, depth / 2.0)
    stores: list[Store] = []
    parts = list(_parts(at, depth, lateral, belt.cell))
    spans = list(_spans(line, max(2.0 * margin, 2000.0))) if route else []
    found: list[_Found | None] = [None] * len(at)
    strayed = overlong = 0
    done = 0
    with Pool() as pool:
        routes = [pool.submit(_span_value, line, span, margin, stores) for span in spans]
        jobs = {pool.submit(_part, line, static, own, at, lateral, part, stores): part for part in parts}
        try:
            for job in as_completed(jobs):
                part = jobs[job]
                ways, aside, late = job.result()
                found[part] = ways
                strayed, overlong = strayed + aside, overlong + late
                done += len(ways)
                if progress is not None:
                    progress(done, len(at))
            values = [job.result() for job in routes]
        except BaseException:
            pool.close()
            raise
    best = _route(line, spans, values, margin, stores) if route else None
    return Knowing(
        _told(line, going, front, behind, watch, found),
        _told(line, going, front, behind, watch, [best]),
        margin,
        strayed,
        overlong,
        line.ground.slot,
    )


def _line(belt: Belt, going: Going, front: float, behind: float, watch: Watch, max_crossing: float) -> _Line:
    haste = HASTE / max_crossing
    seconds = going.seconds(belt.inside.shape)
    open_ = belt.inside & np.isfinite(seconds)
    seconds = np.where(open_, seconds, np.inf)
    weight = np.where(open_, watch.fixed * np.where(open_, seconds, 0.0), np.inf)
    told = seconds[open_]
    uniform = going.heights is None and not (told.size and told.min() < told.max())
    # Where cells differ the slots are those of the quickest, but for a few.
    typical = 1.0 / going.speed if not told.size else float(np.quantile(told, 0.05, method="lower"))
    slot = belt.cell * typical / PER_CELL
    ground = Ground(
        weight, seconds, watch.fixed_still + _STILL * haste, going.heights, belt.cell, slot, uniform, haste * slot
    )
    edges = []
    for cells, metres in ((belt.far, front - belt.offset), (belt.near, behind + belt.offset)):
        cost, time = np.full(weight.shape, np.inf), np.zeros(weight.shape)
        cells = cells & open_
        time[cells] = np.maximum(metres[cells], 0.0) * seconds[cells]
        cost[cells] = np.maximum(metres[cells], 0.0) * weight[cells]
        edges.append(Edge(cost, time))
    moving = timetable(watch.moving, belt.inside.size)
    same = watch.moving_still is watch.moving or (
        watch.moving_still.cells is watch.moving.cells and watch.moving_still.rates is watch.moving.rates
    )
    still = None if same else timetable(watch.moving_still, belt.inside.size)
    longest = int(max_crossing / slot + 1e-9)
    return _Line(
        belt,
        ground,
        edges[0],
        edges[1],
        moving,
        still,
        longest,
        int(np.ceil(moving.cycle / slot - 1e-9)),
        haste,
        guide_of(belt, watch.fixed + haste, going, front, behind, route=False),
    )


def _parts(at: Floats, depth: float, lateral: float, cell: float) -> Iterator[slice]:
    """Stations that are searched together, so many that their margins do not weigh much."""
    if not len(at):
        return
    rows = max(depth / cell, 1.0)
    length = max(_TOGETHER / rows * cell - 2.0 * lateral, 2.0 * lateral, 10.0 * cell)
    pieces = max(1, round((at[-1] - at[0]) / length))
    if pieces > 1:
        pieces = -(-pieces // CORES) * CORES
    cuts = np.unique(np.linspace(0, len(at), min(pieces, len(at)) + 1).astype(int))
    for first, after in pairwise(cuts):
        yield slice(int(first), int(after))


def _spans(line: _Line, length: float) -> Iterator[tuple[float, float]]:
    """Stretches of chainage, one after the other, over all open cells."""
    cells, chainage = line._order
    if not len(cells):
        return
    low, high = chainage[0], chainage[-1]
    pieces = max(1, round((high - low) / length))
    if pieces > 1:
        pieces = -(-pieces // CORES) * CORES
    for n in range(pieces):
        yield low + (high - low) * n / pieces, low + (high - low) * (n + 1) / pieces


class _Taken:
    """A thread's memory, from those that lie ready."""

    def __init__(self, stores: list[Store]) -> None:
        self._stores = stores

    def __enter__(self) -> Store:
        try:
            self._store = self._stores.pop()
        except IndexError:
            self._store = Store()
        return self._store

    def __exit__(self, *_: object) -> None:
        self._stores.append(self._store)


def _floor(line: _Line, nodes: Integers, through: Bools, ends: Cells, reverse: bool) -> tuple[Floor, Integers]:
    """A floor over the cells `nodes`, flat, that `through` holds, and over the cells `ends` (n, 2), and its cells."""
    width = through.shape[1]
    inner = nodes[through.ravel()[nodes]]
    last = ends[:, 0] * width + ends[:, 1]
    extra = np.setdiff1d(last, inner)
    cells = np.concatenate((inner, extra))
    rows, cols = np.divmod(cells, width)
    only = np.arange(len(cells)) >= len(inner)
    edge = line.end if reverse else line.start
    return floor_of(line.ground, through, rows, cols, only, edge, line.longest, reverse=reverse), cells


class _Halves:
    """The searches to and from some stations, in part of the time to set out: their best ways there, and each's value.
    nodes: cells, flat, that they keep to. window: first and number of the slots to set out in.
    """

    def __init__(self, line: _Line, nodes: Integers, cells: Cells, window: tuple[int, int], store: Store) -> None:
        self._cells, self._first = cells, window[0]
        self._last = line.last(window[1])
        self._sides = []
        costs = []
        for name, through, reverse in (("ahead", line.ahead, False), ("behind", line.behind, True)):
            floor, _ = _floor(line, nodes, through, cells, reverse)
            side = Costs(
                floor, line.moving, line.still, window[0] * line.ground.slot, line.ground.slot, self._last,
                self._last + 1 if reverse else window[1], store, name,
            )  # fmt: skip
            costs.append(side.at(floor.places(cells[:, 0], cells[:, 1])))
            self._sides.append(side)
        whole = costs[0] + costs[1][:, ::-1]
        self._slots = whole.argmin(axis=1)
        self.values = whole[np.arange(len(cells)), self._slots].astype(np.float64)

    def ways(self, some: Integers) -> list[_Found]:
        """The best ways at some of the stations, by number."""
        rows, cols = self._cells[some].T
        slots = self._slots[some]
        before = self._sides[0].ways(rows, cols, slots)
        after = self._sides[1].ways(rows, cols, self._last - slots)
        found = []
        for n, (one, other) in zip(some, zip(before, after, strict=True), strict=True):
            back = other[0][1:].copy()
            back[:, 2] = self._last - back[:, 2]
            states = np.concatenate((one[0][::-1], back))
            states[:, 2] += self._first
            found.append(_Found(float(self.values[n]), states, one[1], other[1]))
        return found


def _part(
    line: _Line,
    static: Callable[..., Crossings],
    own: Cells,
    at: Floats,
    lateral: float,
    part: slice,
    stores: list[Store],
) -> tuple[list[_Found | None], int, int]:
    """The best ways at some stations, and how many strayed or took too long at first."""
    with _Taken(stores) as store:
        cells, marks = own[part], at[part]
        found = _unnoticed(line, static(stations=cells + np.array((line.belt.row, line.belt.col)), at=marks))
        open_ = line.open[cells[:, 0], cells[:, 1]] & np.array([way is None for way in found])
        if not open_.any():
            return found, 0, 0
        numbers = np.flatnonzero(open_)
        cells_left, marks_left = cells[numbers], marks[numbers]
        nodes = line.between(marks_left.min() - lateral, marks_left.max() + lateral)
        both = _Halves(line, nodes, cells_left, (0, line.outsets), store)
        finite = np.flatnonzero(np.isfinite(both.values))
        strayed = overlong = 0
        for n, first in zip(numbers[finite], both.ways(finite), strict=True):
            one, way = cells[n : n + 1], first
            if _strays(line, way, marks[n], lateral, cells[n]):
                strayed += 1
                strip = line.between(marks[n] - lateral, marks[n] + lateral)
                again = _alone(line, strip, one, (0, line.outsets), store=store)
                if again is None:
                    continue
                way = again
            overlong += way.lasts > line.longest
            strip = line.between(marks[n] - lateral, marks[n] + lateral)
            found[n] = _in_time(line, way, partial(_alone, line, strip, one, store=store))
        return found, strayed, overlong


def _unnoticed(line: _Line, static: Crossings) -> list[_Found | None]:
    """The best ways while no drone is there, where these can be gone without meeting one, which nothing can better."""
    found: list[_Found | None] = [None] * len(static.paths)
    slot, width = line.ground.slot, line.open.shape[1]
    rows, cols = (static.paths.cells - (line.belt.row, line.belt.col)).T
    for n, (first, after) in enumerate(zip(static.paths.starts, static.paths.ends, strict=True)):
        seconds = static.paths.seconds[first:after]
        lasts = float(seconds.sum())
        if after == first or lasts > line.longest * slot:
            continue
        clock = np.concatenate(([0.0], np.cumsum(seconds)))
        cells = rows[first:after] * width + cols[first:after]
        outset = unseen(line.moving, cells, clock[:-1], seconds, slot, line.outsets)
        if outset < 0:
            continue
        way = static.ways[n]
        states = np.concatenate((way, np.full((len(way), 1), outset)), axis=1)
        states[-1, 2] += round(lasts / slot)
        found[n] = _Found(float(static.exposure[n]), states, 0, 0)
    return found


def _strays(line: _Line, way: _Found, mark: float, lateral: float, station: Integers) -> bool:
    rows, cols = way.states[:, 0], way.states[:, 1]
    aside = np.abs(line.belt.chainage[rows, cols].astype(np.float64) - mark) > lateral
    return bool((aside & ((rows != station[0]) | (cols != station[1]))).any())


def _alone(line: _Line, nodes: Integers, cell: Cells, window: Window, *, store: Store) -> _Found | None:
    """The best way at one station over some cells, set out for in part of the time."""
    both = _Halves(line, nodes, cell, window, store)
    return both.ways(np.zeros(1, dtype=np.int64))[0] if np.isfinite(both.values[0]) else None


def _in_time(line: _Line, first: _Found, again: Callable[[Window], _Found | None]) -> _Found | None:
    """The best of all ways that take no too long, given the best of all, and what finds that for part of the time to
    set out: best first.
    """
    if first.lasts <= line.longest:
        return first
    number = count()
    heap = [(first.value, next(number), first, (0, line.outsets))]
    while heap:
        _, _, way, (begin, length) = heapq.heappop(heap)
        if way.lasts <= line.longest:
            return way
        # A window of one slot lasts no longer than a way may.
        half = length // 2
        for window in ((begin, half), (begin + half, length - half)):
            found = again(window)
            if found is not None:
                heapq.heappush(heap, (found.value, next(number), found, window))
    return None


class _Whole:
    """The search across some stretch of the line for the one best way, bound to no station."""

    def __init__(self, line: _Line, nodes: Integers, window: Window, store: Store, *, keep: bool) -> None:
        self._first, self.value = window[0], np.inf
        last = line.last(window[1])
        slot = line.ground.slot
        floor, own = _floor(line, nodes, line.open, np.zeros((0, 2), dtype=np.int64), False)
        rows, cols = np.divmod(own, line.open.shape[1])
        near = np.isfinite(line.end.cost[rows, cols])
        if not near.any():
            return
        self._side = Costs(
            floor, line.moving, line.still, window[0] * slot, slot, last, window[1], store, "whole",
            keep=keep,
        )  # fmt: skip
        self._rows, self._cols = rows[near], cols[near]
        costs = self._side.at(floor.places(self._rows, self._cols))
        self._leaves = np.rint(line.end.seconds[self._rows, self._cols] / slot).astype(np.int64)
        self._slots = _way_out(
            costs, passing(line.moving, own[near], window[0] * slot, slot, last),
            line.end.cost[self._rows, self._cols] + line.ground.haste * self._leaves, self._leaves,
        )  # fmt: skip
        values = costs[np.arange(len(self._slots)), self._slots].astype(np.float64)
        self._one = int(values.argmin())
        self.value = float(values[self._one])

    def way(self) -> _Found:
        """The best way."""
        one = slice(self._one, self._one + 1)
        found, enters = self._side.ways(self._rows[one], self._cols[one], self._slots[one])[0]
        states = found[::-1].copy()
        states[:, 2] += self._first
        return _Found(self.value, states, enters, int(self._leaves[self._one]))


@njit(error_model="numpy")
def _way_out(costs, seen, out, slots):
    """Adds to costs (n, slots) what the way out costs, and says after which slots each cell's whole way costs least.

    seen (n, slots): exposure to moving sensors since the start.
    """
    best = np.zeros(slots.size, np.int64)
    for n in range(slots.size):
        for t in range(costs.shape[1]):
            after = t + slots[n]
            costs[n, t] += out[n] + seen[n, after] - seen[n, t] if after < seen.shape[1] else np.inf
            if costs[n, t] < costs[n, best[n]]:
                best[n] = t
    return best


def _span_nodes(line: _Line, span: tuple[float, float], margin: float) -> Integers:
    return line.between(span[0] - margin, span[1] + margin)


def _span_value(line: _Line, span: tuple[float, float], margin: float, stores: list[Store]) -> float:
    """What the best way costs that lies over a stretch of chainage and the margin on both sides."""
    with _Taken(stores) as store:
        # Few slots at a time: nothing is traced, and what is at hand is quicker.
        return _Whole(line, _span_nodes(line, span, margin), (0, line.outsets), store, keep=False).value


def _route(
    line: _Line, spans: list[tuple[float, float]], values: list[float], margin: float, stores: list[Store]
) -> _Found | None:
    """The best way of all that is in time, given what the best over each stretch costs at least."""
    with _Taken(stores) as store:

        def again(nodes: Integers, window: Window) -> _Found | None:
            whole = _Whole(line, nodes, window, store, keep=True)
            return whole.way() if np.isfinite(whole.value) else None

        best: _Found | None = None
        for value, span in sorted(zip(values, spans, strict=True)):
            if not np.isfinite(value) or (best is not None and value >= best.value):
                break
            nodes = _span_nodes(line, span, margin)
            way = again(nodes, (0, line.outsets))
            if way is not None:
                way = _in_time(line, way, partial(again, nodes))
            if way is not None and (best is None or way.value < best.value):
                best = way
        return best


def _told(line: _Line, going: Going, front: float, behind: float, watch: Watch, found: list[_Found | None]) -> Timed:
    """Ways piece by piece, in the exact times that these take."""
    belt = line.belt
    some = [way for way in found if way is not None]
    states = np.concatenate([way.states for way in some]) if some else np.zeros((0, 3), dtype=np.int64)
    sizes = np.array([0 if way is None else len(way.states) for way in found], dtype=np.int64)
    enters = np.array([0 if way is None else way.enters for way in found], dtype=np.int64)
    heights = np.zeros((0, 0)) if going.heights is None else going.heights
    cells, seconds, begins, waiting, ends, before, nodes, node_ends = _retold(
        states, np.cumsum(sizes), enters, line.ground.seconds, heights, belt.offset, front, behind, belt.cell,
        line.ground.slot, CROSSED, LENGTHS, SHARES,
    )  # fmt: skip
    exposure = _met(cells, seconds, begins, waiting, ends, watch.fixed, watch.fixed_still, line.moving, line.still)
    empty = sizes == 0
    exposure[empty] = np.nan
    searched = np.array([np.nan if way is None else way.value for way in found])
    took = np.array([0.0 if way is None else way.lasts * line.ground.slot for way in found])
    paths = Paths(cells + np.array((belt.row, belt.col)), seconds, ends, before)
    return Timed(
        Ways(nodes, node_ends), paths, begins, waiting, exposure, np.maximum(searched - line.haste * took, 0.0)
    )


_NUMBER = np.full((7, 7), -1, dtype=np.int64)
_NUMBER[MOVES[:, 0] + 3, MOVES[:, 1] + 3] = np.arange(len(MOVES))


@njit(error_model="numpy")
def _retold(states, stops, enters, pace_of, heights, offset, front, behind, cell, slot, crossed, lengths, shares):
    """The pieces of ways over states, cell, seconds, beginning and whether it waits, where each way ends in these, and
    how many of its pieces come before the frontage; and the cells that it goes to, and where it ends in those.
    """
    most = states.shape[0] * crossed.shape[1] + 2 * stops.size
    cells, seconds, begins = np.empty((most, 2), np.int64), np.empty(most), np.empty(most)
    waiting, ends, before = np.zeros(most, np.bool_), np.empty(stops.size, np.int64), np.empty(stops.size, np.int64)
    nodes, node_ends = np.empty((states.shape[0], 2), np.int64), np.empty(stops.size, np.int64)
    length, count, start = 0, 0, 0
    for n in range(stops.size):
        begin = length
        if stops[n] > start:
            row, col = states[start, 0], states[start, 1]
            clock = (states[start, 2] - enters[n]) * slot
            cells[length] = states[start, :2]
            begins[length] = clock
            seconds[length] = max(front - offset[row, col], 0.0) * pace_of[row, col]
            clock += seconds[length]
            length += 1
            nodes[count] = states[start, :2]
            count += 1
            for i in range(start + 1, stops[n]):
                down, right = states[i, 0] - row, states[i, 1] - col
                if down == 0 and right == 0:
                    until = states[i, 2] * slot
                    if waiting[length - 1]:
                        seconds[length - 1] = until - begins[length - 1]
                        clock = until
                    elif until > clock:
                        cells[length] = states[i, :2]
                        begins[length], seconds[length], waiting[length] = clock, until - clock, True
                        clock = until
                        length += 1
                    continue
                m = _NUMBER[down + 3, right + 3]
                metres = lengths[m] * cell
                time = 1.0
                if heights.size > 0:
                    time = pace((heights[row + down, col + right] - heights[row, col]) / metres)
                for c in range(crossed.shape[1]):
                    if shares[m, c] > 0.0:
                        cells[length, 0], cells[length, 1] = row + crossed[m, c, 0], col + crossed[m, c, 1]
                        begins[length] = clock
                        seconds[length] = shares[m, c] * metres * time * pace_of[cells[length, 0], cells[length, 1]]
                        clock += seconds[length]
                        length += 1
                row, col = states[i, 0], states[i, 1]
                nodes[count] = states[i, :2]
                count += 1
            cells[length, 0], cells[length, 1] = row, col
            begins[length] = clock
            seconds[length] = max(behind + offset[row, col], 0.0) * pace_of[row, col]
            length += 1
        crossed_at = -1
        for i in range(begin, length):
            if crossed_at < 0 and offset[cells[i, 0], cells[i, 1]] < 0.0:
                crossed_at = i - begin
        before[n] = crossed_at if crossed_at >= 0 else length - begin
        ends[n], node_ends[n] = length, count
        start = stops[n]
    return (
        cells[:length].copy(), seconds[:length].copy(), begins[:length].copy(), waiting[:length].copy(), ends, before,
        nodes[:count].copy(), node_ends,
    )  # fmt: skip


def _met(
    cells: Cells, seconds: Floats, begins: Floats, waiting: Bools, ends: Integers, fixed: Floats, still: Floats,
    moving: Timetable, moving_still: Timetable | None,
) -> Floats:  # fmt: skip
    """Exposure to summed rates on ways, piece by piece at its time (n,)."""
    rows, cols = cells.T
    found = np.where(waiting, still[rows, cols], fixed[rows, cols]) * seconds
    numbers = rows * fixed.shape[1] + cols
    for kind, table in ((False, moving), (True, moving if moving_still is None else moving_still)):
        of = waiting == kind
        found[of] += table.met(numbers[of], begins[of], seconds[of])
    return (
        np.add.reduceat(np.append(found, 0.0), np.append(0, ends[:-1])) * (np.diff(ends, prepend=0) > 0)
        if len(ends)
        else np.zeros(0)
    )
