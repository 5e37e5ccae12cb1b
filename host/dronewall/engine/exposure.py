"""Least-exposure routes over a grid: which way across is noticed least (Meguerdichian et al. 2001).

A walker goes from middle to middle of cells in 32 moves, straight lines to every cell up to three columns and rows away
that no shorter move points at. A move costs what each cell that it crosses costs per metre, times the metres in it:

            . . . X        the move (3, 2) crosses six cells; (1, 1) slips through the corner, so that two watched
            . X X .        cells that touch at a corner hold nobody up: the walker is 8-connected, a barrier must be
            X X . .        4-connected

With 8 moves the cheapest route is up to 8.2 % dearer than the best curve however fine the grid, with 16 2.8 %, with
these 32 1.3 % (longest detour of a direction between two neighbouring ones: 1/cos of half the angle between them; so
dear only where the direction is the worst everywhere).
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.int64]
"""(n, 2): row and column."""

MARGIN = 3
"""Cells around a grid that no walker can enter: no move reaches over them."""

_CROSSED = 6
"""Cells that a move crosses at most."""


def _moves() -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.int64], Floats]:
    """The moves (32, 2) row, column; their lengths (32,) [cells]; the cells that each crosses (32, 6, 2), from the
    first to the last, and the cells' shares of its length (32, 6), 0 where there are fewer.
    """
    steps = [(row, col) for row in range(-3, 4) for col in range(-3, 4) if math.gcd(row, col) == 1]
    crossed = np.zeros((len(steps), _CROSSED, 2), dtype=np.int64)
    shares = np.zeros((len(steps), _CROSSED))
    for move, (row, col) in enumerate(steps):
        # Where the move leaves a cell: half way between two rows or two columns.
        cuts = {0.0, 1.0}
        for span in (abs(row), abs(col)):
            cuts |= {(step + 0.5) / span for step in range(span)}
        marks = sorted(cuts)
        marks = [mark for last, mark in zip([-1.0, *marks], marks, strict=False) if mark - last > 1e-9]
        for place, (start, end) in enumerate(itertools.pairwise(marks)):
            middle = (start + end) / 2.0
            crossed[move, place] = round(row * middle), round(col * middle)
            shares[move, place] = end - start
    moves = np.array(steps, dtype=np.int64)
    return moves, np.hypot(moves[:, 0], moves[:, 1]), crossed, shares


MOVES, LENGTHS, CROSSED, SHARES = _moves()
COUNTS = (SHARES > 0.0).sum(axis=1)
"""Cells that each move crosses (32,)."""
_NUMBER = np.full((7, 7), -1, dtype=np.int64)
_NUMBER[MOVES[:, 0] + 3, MOVES[:, 1] + 3] = np.arange(len(MOVES))


@dataclass(frozen=True)
class Grid:
    """What it costs to walk: weight (north, east), cost per metre, inf where nobody can go; heights [m], with which a
    move's cost goes with the time that a walker needs on its slope (`pace`), None: the same on every slope; the edge
    of a cell [m].
    """

    weight: Floats
    cell: float
    heights: Floats | None = None


@dataclass(frozen=True)
class Ways:
    """Ways over a grid, one after the other: their cells (m, 2), and where each of them ends in these (n,)."""

    cells: Cells
    ends: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> Cells:
        return self.cells[self.ends[number - 1] if number else 0 : self.ends[number]]

    def without(self, left_out: npt.NDArray[np.bool_], origin: tuple[int, int] = (0, 0)) -> "Ways":
        """The same, counted from a cell `origin` before, of no cells where they are left out (n,)."""
        lengths = np.diff(self.ends, prepend=0)
        kept = self.cells[np.repeat(~left_out, lengths)] + np.array(origin)
        return Ways(kept, np.cumsum(np.where(left_out, 0, lengths)))


@dataclass(frozen=True)
class Search:
    """The cheapest ways from some cells to all others. All arrays (north, east).

    cost: of the way to a cell, inf where there is none; the ways follow from it (`repair.way`). starts: what it costs
    to begin at a cell, inf where none begins. reverse: the ways lead there and do not come from there.
    """

    cost: Floats
    starts: Floats
    reverse: bool


def search(grid: Grid, starts: Floats, *, reverse: bool = False, worst: bool = False) -> Search:
    """The cheapest ways from where `starts` (north, east) is finite, at that cost, to all cells.

    reverse: to there. worst: a way costs what its dearest cell costs per metre, not the sum of what all cost.
    """
    weight, heights = padded(grid.weight), padded_heights(grid)
    begins = padded(starts)
    first = np.flatnonzero(np.isfinite(begins) & np.isfinite(weight))
    paid = begins[first]
    if worst:
        paid = np.maximum(paid, weight[first])
    offsets, crossed = steps(grid)
    cost, move = np.full(weight.size, np.inf), np.full(weight.size, -1, dtype=np.int8)
    none, nobody = np.zeros(0), np.zeros(0, dtype=np.float32)
    grow(
        weight, first.astype(np.int64), paid, none, none, nobody, 0.0, 0.0, heights, -1.0 if reverse else 1.0,
        grid.cell, offsets, crossed, COUNTS, LENGTHS, SHARES, worst, cost, move,
        np.full(weight.size, -1, dtype=np.int32), np.zeros(0, dtype=np.int32),
    )  # fmt: skip
    return Search(inner(cost, grid), starts, reverse)


def detours(
    grid: Grid, toward: Search, cells: Cells, marks: npt.NDArray[np.float32], at: Floats, lateral: float
) -> Ways:
    """The cheapest ways between `cells` (n, 2) and where `toward` begins, each over cells only whose mark (north, east)
    is within `lateral` of its own, at (n,): each in the walker's order, of no cells where there is no way.

    A cell of `cells` may itself lie where nobody can go for the search: `grid` says what it costs to leave it.
    toward: the search over the same grid without that bound; what it found is what is at least left to pay (A*: Hart,
    Nilsson and Raphael 1968).
    """
    weight, heights = padded(grid.weight), padded_heights(grid)
    closed = padded(np.where(np.isfinite(toward.cost), grid.weight, np.inf))
    offsets, crossed = steps(grid)
    width = grid.weight.shape[1] + 2 * MARGIN
    flat = (cells[:, 0] + MARGIN) * width + cells[:, 1] + MARGIN
    found, ends = _detours(
        weight, closed, flat, padded(toward.starts), padded(toward.cost), padded(marks, np.nan), at, lateral,
        heights, 1.0 if toward.reverse else -1.0, grid.cell, offsets, crossed, COUNTS, LENGTHS, SHARES,
    )  # fmt: skip
    places = np.stack((found // width - MARGIN, found % width - MARGIN), axis=-1)
    return Ways(places, ends)


def pieces(grid: Grid, ways: Ways) -> tuple[Cells, Floats, Floats, npt.NDArray[np.int64]]:
    """The cells that a walker crosses on ways, in order (m, 2), the metres in each (m,), the time for them over that on
    the level (m,), and where each way ends in these. A way of one cell crosses none.
    """
    heights = np.zeros((0, 0)) if grid.heights is None else grid.heights
    cells, metres, times, ends = _pieces(
        ways.cells, ways.ends, heights, grid.cell, _NUMBER, CROSSED, COUNTS, LENGTHS, SHARES
    )
    return cells, metres, times, ends


def padded(values: npt.NDArray[Any], beyond: float = np.inf) -> npt.NDArray[Any]:
    """The grid with `MARGIN` cells around it, flat."""
    rows, cols = values.shape
    found = np.full((rows + 2 * MARGIN, cols + 2 * MARGIN), beyond, dtype=values.dtype)
    found[MARGIN:-MARGIN, MARGIN:-MARGIN] = values
    return found.ravel()


def inner(values: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
    """A padded grid's values without the cells around it (north, east)."""
    rows, cols = grid.weight.shape
    return values.reshape(rows + 2 * MARGIN, cols + 2 * MARGIN)[MARGIN:-MARGIN, MARGIN:-MARGIN]


def padded_heights(grid: Grid) -> Floats:
    """The grid's heights, padded; of no cells where it has none."""
    return np.zeros(0) if grid.heights is None else padded(grid.heights, 0.0)


def steps(grid: Grid) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The moves (32,) and the cells that each crosses (32, 6) as steps in the padded grid's memory."""
    width = grid.weight.shape[1] + 2 * MARGIN
    return MOVES[:, 0] * width + MOVES[:, 1], CROSSED[..., 0] * width + CROSSED[..., 1]


@njit()
def pace(slope: float) -> float:
    """Time on a slope (rise over run, uphill above 0) over time on the level: Tobler's hiking function (1993), in which
    speed falls as exp(-3.5 |slope + 0.05|); 1 where it is nan.
    """
    if math.isnan(slope):  # the ground is unknown
        return 1.0
    return math.exp(3.5 * (abs(slope + 0.05) - 0.05))


@njit()
def _paces(slopes, found):
    for i in range(slopes.size):
        found[i] = pace(slopes[i])


def paces(slopes: Floats) -> Floats:
    """`pace` of an array."""
    found = np.empty(slopes.size)
    _paces(np.ascontiguousarray(slopes).ravel(), found)
    return found.reshape(slopes.shape)


@njit(error_model="numpy")
def grow(
    weight, first, paid, left, ends, marks, mark, lateral, heights, sign, cell, offsets, crossed, counts, lengths,
    shares, worst, cost, move, place, touched,
):  # fmt: skip
    """Dijkstra's algorithm from the cells `first`, for which `paid` is paid already; all flat. Fills cost and move.

    With `left`, what is at least left to pay from each cell on, it is A*, keeps within `lateral` of `mark`, and ends
    where going on to a cell with a finite `ends` is cheapest. Returns that cell, -1 where there is none, and the number
    of cells that it looked at, listed in `touched`. place: -1; where a cell stands in the heap, -2 once it is settled.
    sign: -1.0 where the walker goes from a move's end to its start.
    """
    heap, key = np.empty(1024, np.int32), np.empty(1024)
    count, seen = 0, 0
    aimed = left.size > 0
    for n in range(first.size):
        at = first[n]
        if paid[n] < cost[at]:
            if place[at] < 0:
                if aimed:
                    touched[seen] = at
                    seen += 1
                if count == heap.size:
                    heap = np.concatenate((heap, np.empty(heap.size, np.int32)))
                    key = np.concatenate((key, np.empty(key.size)))
                place[at] = count
                count += 1
            cost[at] = paid[n]
            _lift(heap, key, place, place[at], at, paid[n])
    goal, best = -1, np.inf
    sloping = heights.size > 0
    gentlest = pace(-0.05) if sloping else 1.0
    while count > 0 and key[0] < best:
        at = heap[0]
        count -= 1
        place[at] = -2
        if count > 0:
            _sift(heap, key, place, count, heap[count], key[count])
        here, own = cost[at], weight[at]
        if aimed and here + ends[at] < best:
            goal, best = at, here + ends[at]
        for m in range(offsets.size):
            there = np.uintp(at + offsets[m])
            if place[there] == -2:
                continue
            known = cost[there]
            if worst:
                total = max(here, weight[there])
                if not total < known:
                    continue
                for c in range(1, counts[m] - 1):
                    total = max(total, weight[np.uintp(at + crossed[m, c])])
            else:
                length = lengths[m] * cell
                total = shares[m, 0] * (own + weight[there])
                # What the cells between the first and the last cost is rarely asked for.
                if not here + total * length * gentlest < known:
                    continue
                if aimed and not abs(marks[there] - mark) <= lateral:
                    continue
                for c in range(1, counts[m] - 1):
                    total += shares[m, c] * weight[np.uintp(at + crossed[m, c])]
                total *= length
                if sloping:
                    total *= pace(sign * (heights[there] - heights[at]) / length)
                total += here
            if total < known:
                cost[there], move[there] = total, m
                if place[there] < 0:
                    if aimed:
                        touched[seen] = there
                        seen += 1
                    if count == heap.size:
                        heap = np.concatenate((heap, np.empty(heap.size, np.int32)))
                        key = np.concatenate((key, np.empty(key.size)))
                    place[there] = count
                    count += 1
                # Of two equals the one nearer to its end comes first.
                rest = left[there] * (1.0 + 1e-9) if aimed else 0.0
                _lift(heap, key, place, place[there], there, total + rest)
    return goal, seen


@njit(error_model="numpy")
def _detours(
    weight, closed, cells, ends, left, marks, at, lateral, heights, sign, cell, offsets, crossed, counts, lengths,
    shares,
):  # fmt: skip
    """The ways of all `cells` one after the other, flat, each from its cell on, and where each ends in that row."""
    cost, move = np.full(weight.size, np.inf), np.full(weight.size, -1, np.int8)
    place, touched = np.full(weight.size, -1, np.int32), np.empty(weight.size, np.int32)
    ways, stops = np.empty(4096, np.int64), np.empty(cells.size, np.int64)
    first, paid = np.empty(1, np.int64), np.zeros(1)
    length = 0
    for n in range(cells.size):
        begin = cells[n]
        open_there = closed[begin]
        closed[begin] = weight[begin]
        first[0] = begin
        goal, seen = grow(
            closed, first, paid, left, ends, marks, at[n], lateral, heights, sign, cell, offsets, crossed, counts,
            lengths, shares, False, cost, move, place, touched,
        )  # fmt: skip
        closed[begin] = open_there
        start = length
        while goal >= 0:
            if length == ways.size:
                ways = np.concatenate((ways, np.empty(ways.size, np.int64)))
            ways[length] = goal
            length += 1
            goal = goal - offsets[move[goal]] if move[goal] >= 0 else -1
        if sign > 0.0:  # found from its cell on, and walked so
            ways[start:length] = ways[start:length][::-1].copy()
        stops[n] = length
        for i in range(seen):
            cost[touched[i]], move[touched[i]], place[touched[i]] = np.inf, -1, -1
    return ways[:length], stops


@njit(error_model="numpy")
def _pieces(cells, ends, heights, cell, numbers, crossed, counts, lengths, shares):
    most = cells.shape[0] * crossed.shape[1]
    found, metres, times = np.empty((most, 2), np.int64), np.empty(most), np.empty(most)
    stops = np.empty(ends.size, np.int64)
    length = 0
    for n in range(ends.size):
        for i in range(ends[n - 1] if n > 0 else 0, ends[n] - 1):
            row, col = cells[i, 0], cells[i, 1]
            m = numbers[cells[i + 1, 0] - row + 3, cells[i + 1, 1] - col + 3]
            time = 1.0
            if heights.size > 0:
                rise = heights[cells[i + 1, 0], cells[i + 1, 1]] - heights[row, col]
                time = pace(rise / (lengths[m] * cell))
            for c in range(counts[m]):
                found[length, 0], found[length, 1] = row + crossed[m, c, 0], col + crossed[m, c, 1]
                metres[length], times[length] = shares[m, c] * lengths[m] * cell, time
                length += 1
        stops[n] = length
    return found[:length], metres[:length], times[:length], stops


@njit(error_model="numpy")
def _lift(heap, key, place, at, one, value):
    """Puts a cell into the heap, four children a node, from place `at` upwards."""
    while at > 0:
        above = (at - 1) >> 2
        if key[above] <= value:
            break
        heap[at], key[at] = heap[above], key[above]
        place[heap[at]] = at
        at = above
    heap[at], key[at] = one, value
    place[one] = at


@njit(error_model="numpy")
def _sift(heap, key, place, count, one, value):
    """Puts a cell into the heap from its top downwards."""
    at = 0
    while True:
        child = 4 * at + 1
        if child >= count:
            break
        best = child
        for other in range(child + 1, min(child + 4, count)):
            if key[other] < key[best]:
                best = other
        if key[best] >= value:
            break
        heap[at], key[at] = heap[best], key[best]
        place[heap[at]] = at
        at = best
    heap[at], key[at] = one, value
    place[one] = at
