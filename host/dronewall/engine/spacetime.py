"""Where and when the line breaks: the least-exposure ways of a walker who knows when the drones come, and may wait.

He sets out at any time of the cycle (`moving`), or of the horizon, crosses as `breach` says, and is across in the
longest time that he has, waiting included. The search (`passage`) is over cells and slots of time; what it finds is
told in exact times (`itinerary`). Of ways that are about as good he takes the quicker one (`watch.HASTE`).

Two bounds are left out of a search at first, since it finds many ways at once without them: how far aside the way at
a station may lead, and how long one may take. A way that keeps them is the best of all; where it does not, that station
is searched over narrower and narrower strips down to its own, and then by best first over shorter and shorter parts of
the cycle to set out in.
"""

import heapq
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, pairwise

import numpy as np
import numpy.typing as npt

from dronewall.engine.belt import Belt
from dronewall.engine.breach import Crossings, Going, crossings
from dronewall.engine.costs import Store
from dronewall.engine.exposure import Cells
from dronewall.engine.itinerary import Timed, told
from dronewall.engine.passage import Across, Found, Through, Window
from dronewall.engine.pool import CORES, Pool
from dronewall.engine.timetable import unseen
from dronewall.engine.watch import Line, Watch, line_of

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_TOGETHER = 12_000
"""Cells that stations are searched over together, about: their costs within the longest move stay in a core's cache."""

_NARROWER = (1.0, 0.5)
"""Stations that strayed are searched together again where they are no farther apart than these shares of the lateral
distance, one after the other."""


@dataclass(frozen=True)
class Knowing:
    """The best ways of one who knows when the drones come. stations: at each. route: the best of the whole line, which
    may cross the frontage where and as often as it likes, over a stretch of line of at most twice `margin` [m].
    strayed, overlong: how many had to be searched again, for leading too far aside, and for taking too long. slot [s].
    """

    stations: Timed
    route: Timed
    margin: float
    strayed: int
    overlong: int
    slot: float


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
    if until is not None and not until > 0.0:
        raise ValueError(f"setting out before {until} s; expected a time above 0 s")
    line = line_of(belt, going, front, behind, watch, max_crossing)
    if until is not None and until < line.moving.cycle:
        line = replace(line, outsets=min(line.outsets, max(1, int(np.ceil(until / line.ground.slot - 1e-9)))))
    static = partial(crossings, belt, line.guide, going, front, behind, lateral=lateral)
    own = np.asarray(stations, dtype=np.int64) - (belt.row, belt.col)
    depth = front + behind
    margin = max(lateral, depth / 2.0)
    stores: list[Store] = []
    parts = list(_parts(at, depth, lateral, belt.cell))
    spans = list(_spans(line, max(2.0 * margin, 2000.0))) if route else []
    found: list[Found | None] = [None] * len(at)
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
        told(line, found),
        told(line, [best]),
        margin,
        strayed,
        overlong,
        line.ground.slot,
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


def _spans(line: Line, length: float) -> Iterator[tuple[float, float]]:
    """Stretches of chainage, one after the other, over all open cells."""
    cells, chainage = line.by_chainage
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


def _part(
    line: Line,
    static: Callable[..., Crossings],
    own: Cells,
    at: Floats,
    lateral: float,
    part: slice,
    stores: list[Store],
) -> tuple[list[Found | None], int, int]:
    """The best ways at some stations, and how many strayed or took too long at first."""
    with _Taken(stores) as store:
        cells, marks = own[part], at[part]
        found = _unnoticed(line, static(stations=cells + np.array((line.belt.row, line.belt.col)), at=marks))
        open_ = line.open[cells[:, 0], cells[:, 1]] & np.array([way is None for way in found])
        if not open_.any():
            return found, 0, 0
        ways, strayed = _within(line, cells, marks, lateral, np.flatnonzero(open_), store)
        overlong = 0
        for n, way in ways.items():
            overlong += way.lasts > line.longest
            strip = line.between(marks[n] - lateral, marks[n] + lateral)
            found[n] = _in_time(line, way, partial(_alone, line, strip, cells[n : n + 1], store=store))
        return found, strayed, overlong


def _within(
    line: Line, cells: Cells, marks: Floats, lateral: float, numbers: Integers, store: Store
) -> tuple[dict[int, Found], int]:
    """The best ways at some stations, by number, none farther aside than `lateral`, and how many strayed at first.

    A way that stays within its station's own strip is the best there, over whatever wider strip it was found. So
    stations are searched together, those that stray again over narrower strips, and what is left of them alone.
    """
    found: dict[int, Found] = {}
    strayed = 0
    spans = [np.inf, *(lateral * share for share in _NARROWER), 0.0]
    for turn, span in enumerate(spans):
        left = []
        for group in _groups(marks, numbers, span):
            nodes = line.between(marks[group].min() - lateral, marks[group].max() + lateral)
            both = Through(line, nodes, cells[group], (0, line.outsets), store)
            finite = np.flatnonzero(np.isfinite(both.values))
            for n, way in zip(group[finite].tolist(), both.ways(finite), strict=True):
                if len(group) > 1 and _strays(line, way, marks[n], lateral, cells[n]):
                    left.append(n)
                else:
                    found[n] = way
        if turn == 0:
            strayed = len(left)
        numbers = np.array(left, dtype=np.int64)
    return found, strayed


def _groups(marks: Floats, numbers: Integers, span: float) -> Iterator[Integers]:
    """Stations, by number and rising, whose chainages are no farther apart than `span`; each alone where that is 0."""
    while len(numbers):
        last = marks[numbers[0]] + span
        after = max(1, int(np.searchsorted(marks[numbers], last, side="right"))) if span > 0.0 else 1
        yield numbers[:after]
        numbers = numbers[after:]


def _unnoticed(line: Line, static: Crossings) -> list[Found | None]:
    """The best ways while no drone is there, where these can be gone without meeting one, which nothing can better."""
    found: list[Found | None] = [None] * len(static.paths)
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
        found[n] = Found(float(static.exposure[n]), states, 0, 0)
    return found


def _strays(line: Line, way: Found, mark: float, lateral: float, station: Integers) -> bool:
    rows, cols = way.states[:, 0], way.states[:, 1]
    aside = np.abs(line.belt.chainage[rows, cols].astype(np.float64) - mark) > lateral
    return bool((aside & ((rows != station[0]) | (cols != station[1]))).any())


def _alone(line: Line, nodes: Integers, cell: Cells, window: Window, *, store: Store) -> Found | None:
    """The best way at one station over some cells, set out for in part of the time."""
    both = Through(line, nodes, cell, window, store)
    return both.ways(np.zeros(1, dtype=np.int64))[0] if np.isfinite(both.values[0]) else None


def _in_time(line: Line, first: Found, again: Callable[[Window], Found | None]) -> Found | None:
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


def _span_nodes(line: Line, span: tuple[float, float], margin: float) -> Integers:
    return line.between(span[0] - margin, span[1] + margin)


def _span_value(line: Line, span: tuple[float, float], margin: float, stores: list[Store]) -> float:
    """What the best way costs that lies over a stretch of chainage and the margin on both sides."""
    with _Taken(stores) as store:
        # Few slots at a time: nothing is traced, and what is at hand is quicker.
        return Across(line, _span_nodes(line, span, margin), (0, line.outsets), store, keep=False).value


def _route(
    line: Line, spans: list[tuple[float, float]], values: list[float], margin: float, stores: list[Store]
) -> Found | None:
    """The best way of all that is in time, given what the best over each stretch costs at least."""
    with _Taken(stores) as store:

        def again(nodes: Integers, window: Window) -> Found | None:
            whole = Across(line, nodes, window, store, keep=True)
            return whole.way() if np.isfinite(whole.value) else None

        best: Found | None = None
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
