"""The least cost of being in a cell at a time: the search in space and time, over cells and slots.

Time is cut into slots of a fifth of what a walker takes from a cell to the next, so that the 32 moves of `exposure`
last 5, 7, 11, 16 and 18 of them. The state (cell, t) is being in the middle of a cell after t slots. It is reached from
the cells that a move leads from, as many slots earlier as the move lasts; by waiting, from the same cell a slot
earlier; or by setting out. What each costs is pulled together, cell by cell, 16 at a time:

        t-18 .. t-11 .. t-7 . t-5 . . . t-1  t          no move is shorter than 5 slots: five slots of a row of
          o       o      o     o         o-->o          cells are done at once, while their costs are at hand

A move lasts a whole number of slots: its length is dithered from row to row, and where cells take differently long from
cell to cell, so that the error does not add up along a way. What fixed sensors cost goes by the metres in each crossed
cell, as in `exposure`; what moving ones do by the slots in it. The other way round, from where a way ends, time runs
backwards.

A row holds the cells from the first to the last that can be entered and three on both sides; so a belt at any angle
takes no more than it covers. Few slots are at hand at a time, and are found anew from snapshots where ways are asked
for; a way is traced by the very sums that made its costs.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import NoAlias, njit
from dronewall.engine.exposure import COUNTS, CROSSED, LENGTHS, MARGIN, MOVES, SHARES, pace
from dronewall.engine.moving import Summed

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

PER_CELL = 5
"""Slots that a straight move to the next cell lasts: with fewer, moves are told wrong by more than 2 %."""

_LANES = 16
_AT_ONCE = 8
"""Moves that are compared together."""

UNIT = 2.0**-20
"""What moving sensors add up to is counted in these: sums of whole numbers do not depend on where they begin, and a
weak pass is told as well after a strong one as before it."""

_AT_HAND = 128
"""Slots whose costs are at hand at a time."""

_MOST = 2000.0
"""Exposure that a move may add up to in these, in 32 bits."""

_GOLDEN, _PLASTIC = 0.6180339887498949, 0.7548776662466927
"""Multiples of these leave fractions that fall evenly, in one dimension and, with the square of the latter, in two
(Roberts 2018).
"""

_ORDER = np.argsort(LENGTHS, kind="stable")
_STEPS = MOVES[_ORDER]
_LENGTHS = LENGTHS[_ORDER]
_CROSSED = CROSSED[_ORDER]
_SHARES = SHARES[_ORDER]
_COUNTS = COUNTS[_ORDER]


def _lasting(rows: Integers, reverse: bool) -> Integers:
    """Slots (rows, 32) of the moves to rows, dithered from row to row, where all cells are alike."""
    middle = rows[:, None] + (0.5 if reverse else -0.5) * _STEPS[:, 0]
    dither = middle * _GOLDEN + 0.5 + np.arange(len(_STEPS)) * _PLASTIC
    lasts = np.floor(PER_CELL * _LENGTHS + 1e-9 + dither % 1.0 * (1.0 - 1e-9)).astype(np.int64)
    lasts[:, _LENGTHS == 1.0] = PER_CELL
    return np.asarray(lasts)


_UNTIL = np.zeros((32, 7), dtype=np.int64)
_UNTIL[:, 1:] = np.ceil(np.cumsum(_SHARES, axis=1) * 65536.0 - 1e-6)
"""When a move leaves each cell that it crosses, in 65536ths of its time, rounded up."""

_UNIT = np.float32(UNIT)

_vector = njit(error_model="numpy", pipeline_class=NoAlias)
_u = np.uintp
_L = np.uintp(_LANES)


@dataclass(frozen=True)
class Timetable:
    """What moving sensors do to each cell of the belt's piece: entries starts[c] to starts[c + 1] of cell c are the
    steps in which its rate [1/s] is not 0, rising.
    """

    starts: Integers
    steps: npt.NDArray[np.int32]
    rates: npt.NDArray[np.float32]
    step: float
    cycle: float
    periodic: bool

    def met(self, cells: Integers, begins: Floats, seconds: Floats) -> Floats:
        """Exposure in cells, flat, from `begins` on for so many seconds: all (n,)."""
        found = np.empty(len(cells))
        _met(self.starts, self.steps, self.rates, self.step, self.cycle, self.periodic, cells, begins, seconds, found)
        return found


@njit(error_model="numpy")
def _met(starts, steps, rates, step, cycle, periodic, cells, begins, seconds, found):
    for i in range(cells.size):
        found[i] = 0.0
        begin, end = begins[i], begins[i] + seconds[i]
        low, high = 0, 0
        if periodic:
            low, high = int(math.floor(begin / cycle)), int(math.floor(end / cycle))
        for turn in range(low, high + 1):
            for n in range(starts[cells[i]], starts[cells[i] + 1]):
                first = turn * cycle + steps[n] * step
                shared = min(end, first + step) - max(begin, first)
                if shared > 0.0:
                    found[i] += rates[n] * shared


def unseen(table: Timetable, cells: Integers, begins: Floats, seconds: Floats, slot: float, outsets: int) -> int:
    """The first of so many slots in which who sets out is in none of some cells, flat, while it is watched; -1 where
    there is none. begins, seconds: when he is in each, since he has set out.
    """
    blocked = _blocked(
        table.starts, table.steps, table.step, table.cycle, table.periodic, cells, begins, seconds, slot, outsets
    )
    free = np.flatnonzero(blocked[:-1] == 0)
    return int(free[0]) if len(free) else -1


@njit(error_model="numpy")
def _blocked(starts, steps, step, cycle, periodic, cells, begins, seconds, slot, outsets):
    found = np.zeros(outsets + 1, np.int64)
    for i in range(cells.size):
        for n in range(starts[cells[i]], starts[cells[i] + 1]):
            # He is there when it is watched if he sets out in this time.
            low, high = steps[n] * step - begins[i] - seconds[i], (steps[n] + 1) * step - begins[i]
            early, late = 0, 0
            if periodic:
                early, late = int(math.floor(low / cycle)), int(math.floor(high / cycle))
            for turn in range(early, late + 1):
                first = max(int(math.ceil((low - turn * cycle) / slot - 1e-9)), 0)
                last = min(int(math.floor((high - turn * cycle) / slot + 1e-9)), outsets - 1)
                if first <= last:
                    found[first] += 1
                    found[last + 1] -= 1
    return np.cumsum(found)


def passing(table: Timetable, cells: Integers, origin: float, slot: float, last: int) -> Floats:
    """Exposure in cells, flat, from `origin` [s] on until after each number of slots (n, last + 1)."""
    count = len(cells)
    found = np.zeros((count, last + 1))
    begins = np.asarray(origin + slot * np.arange(last), dtype=np.float64)
    for n in range(count):
        if table.starts[cells[n] + 1] > table.starts[cells[n]]:
            own = np.full(last, cells[n])
            found[n, 1:] = np.cumsum(table.met(own, begins, np.full(last, slot)))
    return found


def timetable(summed: Summed, cells: int) -> Timetable:
    """The same by cell. cells: how many the belt's piece has."""
    starts, steps, rates = _by_cell(summed.first, summed.last, summed.cells, summed.rates, cells)
    return Timetable(starts, steps, rates, summed.step, len(summed.first) * summed.step, summed.periodic)


@njit()
def _by_cell(first, last, cells, rates, count):
    starts = np.zeros(count + 1, np.int64)
    for k in range(first.size):
        for i in range(first[k], last[k]):
            if rates[i] > 0.0:
                starts[cells[i] + 1] += 1
    for c in range(count):
        starts[c + 1] += starts[c]
    steps, found = np.empty(starts[count], np.int32), np.empty(starts[count], np.float32)
    place = starts[:-1].copy()
    for k in range(first.size):
        for i in range(first[k], last[k]):
            if rates[i] > 0.0:
                steps[place[cells[i]]], found[place[cells[i]]] = k, rates[i]
                place[cells[i]] += 1
    return starts, steps, found


@dataclass(frozen=True)
class Ground:
    """What a search walks on, all (north, east) over the belt's piece: weight, what a metre costs, inf where nobody
    goes; seconds a metre; lingering, what a second of standing still costs; heights [m] or None. cell: its edge [m].
    slot [s]. uniform: whether a move lasts as long everywhere. haste: what a slot of walking costs besides: by slots
    and not by time, or moves that are rounded up would be a cheap way to wait.
    """

    weight: Floats
    seconds: Floats
    lingering: Floats
    heights: Floats | None
    cell: float
    slot: float
    uniform: bool
    haste: float


@dataclass(frozen=True)
class Edge:
    """Where ways set out, or end: the way between a cell's middle and the belt's edge. All (north, east): cost, inf
    where there is none, and seconds.
    """

    cost: Floats
    seconds: Floats


@dataclass(frozen=True)
class Floor:
    """Some cells, laid out for a search: row r of the piece counts from `row`, and (r, c) lies at base[r] + c. Three
    rows more on both sides have cells that nobody enters. rows, cols (n,): of all cells that are entered or
    crossed.

    at, chunks, blocks (rows,): where a row's cells begin, and how many times 16 there are, in and before it. weight:
    what the moves to each cell cost, per 16 cells the 32 moves; shift (rows, 32): from a cell to where a move comes
    from; lasts (rows, 32): slots of a move. each, back: the same for each move and cell, and from where in memory it
    comes; none where all cells are alike. still: a slot of standing still.
    edges: where ways begin, with their rows' starts in these: cells, cost, and slots. window: slots that a move or a
    way in lasts at most; block: that none is shorter than.
    """

    row: int
    width: int
    reverse: bool
    rows: Integers
    cols: Integers
    size: int
    base: Integers
    at: Integers
    chunks: Integers
    blocks: Integers
    weight: npt.NDArray[np.float32]
    shift: Integers
    lasts: Integers
    back: npt.NDArray[np.int32]
    each: npt.NDArray[np.int32]
    still: npt.NDArray[np.float32]
    edges: tuple[Integers, Integers, npt.NDArray[np.float32], Integers]
    window: int
    block: int

    def places(self, rows: Integers, cols: Integers) -> Integers:
        """Where cells of the belt's piece lie."""
        return np.asarray(self.base[rows - self.row + MARGIN] + cols)


def floor_of(
    ground: Ground, through: Bools, rows: Integers, cols: Integers, ends: Bools, edge: Edge, longest: int, *,
    reverse: bool,
) -> Floor:  # fmt: skip
    """The cells (n,), rows and columns of the belt's piece, laid out.

    through (north, east): cells that ways lead through. ends (n,): which of the n only take a way in; the others must
    be of `through`. edge: where ways begin. reverse: and lead there. longest: slots beyond which no move is of use.
    """
    low = int(rows.min())
    most = int(rows.max()) - low + 1
    heights = np.zeros((0, 0)) if ground.heights is None else ground.heights
    base, spans, at, chunks, blocks, size, shift, members = _laid(rows - low, cols, most, 1 if reverse else -1)
    lasts = _lasting(np.arange(most + 2 * MARGIN) + low - MARGIN, reverse)
    weight, back, each, still, quickest, slowest = _filled(
        ground.weight, ground.seconds, ground.lingering, heights, through, rows, cols, ends, low, base, at, blocks,
        size, shift, members, int(chunks.sum()), ground.cell, ground.slot, longest, reverse, ground.uniform,
        ground.haste, lasts, _STEPS, _CROSSED, _COUNTS, _LENGTHS, _SHARES,
    )  # fmt: skip
    beside = _beside(through, spans, base, low)
    extra = np.flatnonzero(ends)
    near_rows, near_cols = np.concatenate((beside, np.stack((rows[extra], cols[extra]), axis=-1))).T
    begins = np.isfinite(edge.cost[rows, cols]) & np.isfinite(ground.weight[rows, cols])
    order = np.flatnonzero(begins)
    order = order[np.argsort(rows[order], kind="stable")]
    row, col = rows[order], cols[order]
    slots = np.rint(edge.seconds[row, col] / ground.slot).astype(np.int64)
    paid = edge.cost[row, col] + ground.haste * slots
    starts = np.searchsorted(row - low + MARGIN, np.arange(most + 2 * MARGIN + 1))
    if ground.uniform:
        quickest, slowest = int(lasts.min()), int(lasts.max())
    return Floor(
        low, ground.weight.shape[1], reverse, near_rows.copy(), near_cols.copy(), size, base, at, chunks, blocks,
        weight, shift, lasts, back, each, still,
        (starts, base[row - low + MARGIN] + col, paid.astype(np.float32), slots),
        max(slowest, int(slots.max(initial=0))) + 1, max(1, min(quickest, PER_CELL)),
    )  # fmt: skip


@njit()
def _beside(through, spans, base, low):
    """Cells (n, 2) that ways lead through and that have a place on the floor, entered or only crossed."""
    found = np.empty((spans[-1], 2), np.int64)
    count = 0
    for r in range(base.size):
        row = r + low - MARGIN
        if 0 <= row < through.shape[0]:
            for place in range(spans[r], spans[r + 1]):
                col = place - base[r]
                if 0 <= col < through.shape[1] and through[row, col]:
                    found[count, 0], found[count, 1] = row, col
                    count += 1
    return found[:count]


@njit()
def _laid(rows, cols, most, sign):
    count = most + 2 * MARGIN
    low, high = np.full(count, 1 << 40), np.full(count, -(1 << 40))
    for i in range(rows.size):
        r = rows[i] + MARGIN
        low[r], high[r] = min(low[r], cols[i]), max(high[r], cols[i] + 1)
    chunks = np.zeros(count, np.int64)
    for r in range(count):
        if high[r] > low[r]:
            chunks[r] = (high[r] - low[r] + _LANES - 1) // _LANES
    base, at, blocks = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64)
    spans = np.zeros(count + 1, np.int64)
    size, block = 0, 0
    for r in range(count):
        first, after = 1 << 40, -(1 << 40)
        for other in range(max(r - MARGIN, 0), min(r + MARGIN + 1, count)):
            if chunks[other] > 0:
                first = min(first, low[other] - MARGIN)
                after = max(after, low[other] + chunks[other] * _LANES + MARGIN)
        if after > first:
            base[r] = size - first
            size += after - first
            at[r] = base[r] + low[r] if chunks[r] > 0 else 0
        spans[r + 1] = size
        blocks[r] = block
        block += chunks[r]
    shift = np.zeros((count, _STEPS.shape[0]), np.int64)
    for r in range(count):
        if chunks[r] > 0:
            for m in range(_STEPS.shape[0]):
                other = r + sign * _STEPS[m, 0]
                shift[r, m] = base[other] - base[r] + sign * _STEPS[m, 1]
    return base, spans, at, chunks, blocks, size, shift, np.zeros(size, np.uint8)


@njit(error_model="numpy")
def _filled(
    weight, seconds, lingering, heights, through, rows, cols, ends, low, base, at, blocks, size, shift, members, total,
    cell, slot, longest, reverse, uniform, haste, alike, moves, crossed, counts, lengths, shares,
):  # fmt: skip
    count = moves.shape[0]
    found = np.full(total * count * _LANES, np.inf, np.float32)
    back = np.full(0 if uniform else found.size, -size, np.int32)
    each = np.ones(back.size, np.int32)
    still = np.full(size, np.inf, np.float32)
    quickest, slowest = longest, 1
    for i in range(rows.size):
        r = rows[i] - low + MARGIN
        place = base[r] + cols[i]
        members[place] = 2 if ends[i] else 1
        still[place] = lingering[rows[i], cols[i]] * slot
    sign = 1 if reverse else -1
    for i in range(rows.size):
        row, col = rows[i], cols[i]
        r = row - low + MARGIN
        place = base[r] + col
        own = weight[row, col]
        inner = place - at[r]
        first = (blocks[r] + inner // _LANES) * count * _LANES + inner % _LANES
        for m in range(count):
            if members[place + shift[r, m]] != 1:
                continue
            there_row, there_col = row + sign * moves[m, 0], col + sign * moves[m, 1]
            # Where the walker leaves.
            from_row, from_col = (row, col) if reverse else (there_row, there_col)
            total_cost = shares[m, 0] * (own + weight[there_row, there_col])
            time = shares[m, 0] * (seconds[row, col] + seconds[there_row, there_col])
            for c in range(1, counts[m] - 1):
                mid_row, mid_col = from_row + crossed[m, c, 0], from_col + crossed[m, c, 1]
                if not through[mid_row, mid_col]:
                    total_cost = np.inf
                    break
                total_cost += shares[m, c] * weight[mid_row, mid_col]
                time += shares[m, c] * seconds[mid_row, mid_col]
            length = lengths[m] * cell
            factor = length
            if heights.size > 0:
                rise = heights[there_row, there_col] - heights[row, col]
                factor *= pace((rise if reverse else -rise) / length)
            total_cost *= factor
            if not total_cost < np.inf:
                continue
            k = first + m * _LANES
            lasts = alike[r, m]
            if not uniform:
                dither = _PLASTIC * from_row + _PLASTIC * _PLASTIC * from_col + _GOLDEN * m
                lasts = max(1, int(math.floor(time * factor / slot + dither - math.floor(dither))))
                if lasts > longest:
                    continue
                quickest, slowest = min(quickest, lasts), max(slowest, lasts)
                back[k] = shift[r, m] - lasts * size
                each[k] = lasts
            found[k] = total_cost + haste * lasts
    return found, back, each, still, quickest, slowest


@_vector
def _quiet(out, at, chunks, costs, weight, first, now, shift, m):
    """Eight moves, each from a place as far off for all cells."""
    a, b, c, d = shift[m], shift[m + _u(1)], shift[m + _u(2)], shift[m + _u(3)]
    e, f, g, h = shift[m + _u(4)], shift[m + _u(5)], shift[m + _u(6)], shift[m + _u(7)]
    for q in range(chunks):
        for lane in range(_LANES):
            i = at + _u(q) * _L + _u(lane)
            j = now + i
            k = first + _u(q) * _u(32) * _L + _u(lane)
            v0 = costs[j + a] + weight[k]
            v1 = costs[j + b] + weight[k + _L]
            v2 = costs[j + c] + weight[k + _u(2) * _L]
            v3 = costs[j + d] + weight[k + _u(3) * _L]
            v4 = costs[j + e] + weight[k + _u(4) * _L]
            v5 = costs[j + f] + weight[k + _u(5) * _L]
            v6 = costs[j + g] + weight[k + _u(6) * _L]
            v7 = costs[j + h] + weight[k + _u(7) * _L]
            v0 = v1 if v1 < v0 else v0
            v2 = v3 if v3 < v2 else v2
            v4 = v5 if v5 < v4 else v4
            v6 = v7 if v7 < v6 else v6
            v0 = v2 if v2 < v0 else v0
            v4 = v6 if v6 < v4 else v4
            v0 = v4 if v4 < v0 else v0
            out[i] = v0 if v0 < out[i] else out[i]


@_vector
def _quiet_each(out, at, chunks, costs, weight, back, first, now):
    """The same, each from a place of its own."""
    for q in range(chunks):
        for lane in range(_LANES):
            i = at + _u(q) * _L + _u(lane)
            j = now + i
            k = first + _u(q) * _u(32) * _L + _u(lane)
            v0 = costs[j + _u(back[k])] + weight[k]
            v1 = costs[j + _u(back[k + _L])] + weight[k + _L]
            v2 = costs[j + _u(back[k + _u(2) * _L])] + weight[k + _u(2) * _L]
            v3 = costs[j + _u(back[k + _u(3) * _L])] + weight[k + _u(3) * _L]
            v4 = costs[j + _u(back[k + _u(4) * _L])] + weight[k + _u(4) * _L]
            v5 = costs[j + _u(back[k + _u(5) * _L])] + weight[k + _u(5) * _L]
            v6 = costs[j + _u(back[k + _u(6) * _L])] + weight[k + _u(6) * _L]
            v7 = costs[j + _u(back[k + _u(7) * _L])] + weight[k + _u(7) * _L]
            v0 = v1 if v1 < v0 else v0
            v2 = v3 if v3 < v2 else v2
            v4 = v5 if v5 < v4 else v4
            v6 = v7 if v7 < v6 else v6
            v0 = v2 if v2 < v0 else v0
            v4 = v6 if v6 < v4 else v4
            v0 = v4 if v4 < v0 else v0
            out[i] = v0 if v0 < out[i] else out[i]


@_vector
def _watched(out, at, chunks, costs, seen, weight, begin, now, there, met):
    """All moves, each as far off for all cells, while something moves: what one meets in each cell that it crosses is
    the difference of `seen` from when it enters it to when it leaves. One call for all: a call takes longer than what
    a move does to a row.
    """
    for m in range(there.size):
        first, shift, n = begin + _u(m) * _L, there[m], _u(12 * m)
        a, b, c, d = met[n], met[n + _u(1)], met[n + _u(2)], met[n + _u(3)]
        e, f, g, h = met[n + _u(4)], met[n + _u(5)], met[n + _u(6)], met[n + _u(7)]
        o, p, r, s = met[n + _u(8)], met[n + _u(9)], met[n + _u(10)], met[n + _u(11)]
        if _COUNTS[m] == 2:
            for q in range(chunks):
                for lane in range(_LANES):
                    i = at + _u(q) * _L + _u(lane)
                    j = now + i
                    more = np.int32(seen[j + a] - seen[j + b] + seen[j + c] - seen[j + d])
                    v = costs[j + shift] + weight[first + _u(q) * _u(32) * _L + _u(lane)] + np.float32(more) * _UNIT
                    out[i] = v if v < out[i] else out[i]
        elif _COUNTS[m] == 4:
            for q in range(chunks):
                for lane in range(_LANES):
                    i = at + _u(q) * _L + _u(lane)
                    j = now + i
                    more = np.int32(seen[j + a] - seen[j + b] + seen[j + c] - seen[j + d])
                    more = np.int32(more + seen[j + e] - seen[j + f] + seen[j + g] - seen[j + h])
                    v = costs[j + shift] + weight[first + _u(q) * _u(32) * _L + _u(lane)] + np.float32(more) * _UNIT
                    out[i] = v if v < out[i] else out[i]
        else:
            for q in range(chunks):
                for lane in range(_LANES):
                    i = at + _u(q) * _L + _u(lane)
                    j = now + i
                    more = np.int32(seen[j + a] - seen[j + b] + seen[j + c] - seen[j + d])
                    more = np.int32(more + seen[j + e] - seen[j + f] + seen[j + g] - seen[j + h])
                    more = np.int32(more + seen[j + o] - seen[j + p] + seen[j + r] - seen[j + s])
                    v = costs[j + shift] + weight[first + _u(q) * _u(32) * _L + _u(lane)] + np.float32(more) * _UNIT
                    out[i] = v if v < out[i] else out[i]


@njit(inline="always")
def _slots_until(lasts, share):
    """Whole slots after which a share, in 65536ths rounded up, of a move is done."""
    return (lasts * share + 32768) >> 16


@_vector
def _meet_each(met, at, chunks, seen, each, first, now, place, size, early, late, reverse, fresh):
    """Adds what moves that differ from cell to cell meet in one of the cells that they cross."""
    for q in range(chunks):
        for lane in range(_LANES):
            i = at + _u(q) * _L + _u(lane)
            lasts = np.int64(each[first + _u(q) * _u(32) * _L + _u(lane)])
            entered, left = _slots_until(lasts, early), _slots_until(lasts, late)
            low = -left if reverse else entered - lasts
            high = -entered if reverse else left - lasts
            j = now + i + place
            more = np.int32(seen[j + _u(high * size)] - seen[j + _u(low * size)])
            met[i] = more if fresh else np.int32(met[i] + more)


@_vector
def _watched_each(out, at, chunks, costs, met, weight, back, first, now):
    for q in range(chunks):
        for lane in range(_LANES):
            i = at + _u(q) * _L + _u(lane)
            k = first + _u(q) * _u(32) * _L + _u(lane)
            v = costs[now + i + _u(back[k])] + weight[k] + np.float32(met[i]) * _UNIT
            out[i] = v if v < out[i] else out[i]


@_vector
def _wait(out, at, chunks, before, still):
    for q in range(chunks):
        for lane in range(_LANES):
            i = at + _u(q) * _L + _u(lane)
            v = before[i] + still[i]
            out[i] = v if v < out[i] else out[i]


@_vector
def _wait_watched(out, at, chunks, before, still, seen, seen_before):
    for q in range(chunks):
        for lane in range(_LANES):
            i = at + _u(q) * _L + _u(lane)
            v = before[i] + still[i] + np.float32(np.int32(seen[i] - seen_before[i])) * np.float32(UNIT)
            out[i] = v if v < out[i] else out[i]


@njit(error_model="numpy")
def _advance(
    costs, seen, watched, touched, latest, size, at, chunks, blocks, weight, shift, lasts, back, each, still,
    edge_rows, edge_places, edge_costs, edge_slots, window, block, begin, end, outsets, base, reverse,
):  # fmt: skip
    """Costs of the states after begin to end - 1 slots; memory's first row is `window` slots before the first of these.

    seen: exposure to the moving sensors since some time, and watched: the same for who stands still, none where it is
    that, too. touched (slots, rows): where they change. outsets: slots in which ways may begin.
    """
    uniform = back.size == 0
    moves = lasts.shape[1]
    passing = touched.size > 0
    there, met, places = np.empty(moves, np.uintp), np.empty(moves * 12, np.uintp), np.empty(moves * 6, np.uintp)
    sums = np.empty(0 if uniform or not passing else size, np.int32)
    rows = at.size
    if passing:
        latest[:] = -(1 << 40)
        for n in range(window):
            for r in range(rows):
                if touched[n, r]:
                    latest[r] = begin - window + n
    for t0 in range(begin, end, block):
        t1 = min(t0 + block, end)
        if passing:
            for t in range(t0, t1):
                for r in range(rows):
                    if touched[t - begin + window, r]:
                        latest[r] = t
        costs[(t0 - begin + window) * size : (t1 - begin + window) * size] = np.inf
        for r in range(MARGIN, rows - MARGIN):
            if chunks[r] == 0:
                continue
            active = False
            if passing:
                for near in range(r - MARGIN, r + MARGIN + 1):
                    active |= latest[near] > t0 - window
            many, place, first = chunks[r], _u(at[r]), blocks[r] * moves * _LANES
            if uniform:
                for m in range(moves):
                    there[m] = _u(shift[r, m] - lasts[r, m] * size)
            if active:
                for m in range(moves):
                    for c in range(_COUNTS[m]):
                        row, col = _CROSSED[m, c, 0], _CROSSED[m, c, 1]
                        if not reverse:
                            row, col = row - _STEPS[m, 0], col - _STEPS[m, 1]
                        place_there = base[r + row] - base[r] + col
                        places[m * 6 + c] = _u(place_there)
                        late, early = (
                            _slots_until(lasts[r, m], _UNTIL[m, c + 1]),
                            _slots_until(lasts[r, m], _UNTIL[m, c]),
                        )
                        if reverse:
                            late, early = -early, -late
                        else:
                            late, early = late - lasts[r, m], early - lasts[r, m]
                        met[m * 12 + 2 * c] = _u(place_there + late * size)
                        met[m * 12 + 2 * c + 1] = _u(place_there + early * size)
            for t in range(t0, t1):
                row = (t - begin + window) * size
                out, before = costs[row : row + size], costs[row - size : row]
                for n in range(edge_rows[r], edge_rows[r + 1]):
                    if 0 <= t - edge_slots[n] < outsets:
                        i = edge_places[n]
                        out[i] = edge_costs[n]
                        if active:
                            came = np.int32(seen[row + i] - seen[row - edge_slots[n] * size + i])
                            out[i] += np.float32(came) * np.float32(UNIT)
                if uniform:
                    if active:
                        _watched(out, place, many, costs, seen, weight, _u(first), _u(row), there, met)
                    else:
                        for m in range(0, moves, _AT_ONCE):
                            _quiet(out, place, many, costs, weight, _u(first + m * _LANES), _u(row), there, _u(m))
                elif active:
                    for m in range(moves):
                        for c in range(_COUNTS[m]):
                            _meet_each(
                                sums, place, many, seen, each, _u(first + m * _LANES), _u(row), places[m * 6 + c], size,
                                _UNTIL[m, c], _UNTIL[m, c + 1], reverse, c == 0,
                            )  # fmt: skip
                        _watched_each(out, place, many, costs, sums, weight, back, _u(first + m * _LANES), _u(row))
                else:
                    for m in range(0, moves, _AT_ONCE):
                        _quiet_each(out, place, many, costs, weight, back, _u(first + m * _LANES), _u(row))
                if active:
                    gone = watched if watched.size > 0 else seen
                    _wait_watched(
                        out, place, many, before, still, gone[row : row + size], gone[row - size : row]
                    )  # fmt: skip
                else:
                    _wait(out, place, many, before, still)


@njit(error_model="numpy")
def _trace(
    row, col, slot, costs, seen, watched, passing, size, base, at, blocks, weight, shift, lasts, back, each,
    still, edge_rows, edge_places, edge_costs, edge_slots, window, begin, outsets, found, length, reverse,
):  # fmt: skip
    """Puts the states before (row, col) after `slot` into found (n, 3), as far as `begin`: the number of them, the last
    one's row, column and slot, and the slots of its way in once it has begun, -1 before, -2 where no sum fits.
    """
    moves = lasts.shape[1]
    while slot >= begin:
        r = row
        place = base[r] + col
        now = (slot - begin + window) * size
        cost = costs[now + place]
        for n in range(edge_rows[r], edge_rows[r + 1]):
            if edge_places[n] == place and 0 <= slot - edge_slots[n] < outsets:
                v = edge_costs[n]
                if passing:
                    v += np.float32(np.int32(seen[now + place] - seen[now - edge_slots[n] * size + place])) * _UNIT
                if v == cost:
                    return length, row, col, slot, edge_slots[n]
        # Rather still than to and fro, where that costs the same.
        v = costs[now - size + place] + still[place]
        if passing:
            gone = watched if watched.size > 0 else seen
            v = v + np.float32(np.int32(gone[now + place] - gone[now - size + place])) * _UNIT
        moved = v == cost
        if moved:
            slot -= 1
        inner = place - at[r]
        first = (blocks[r] + inner // _LANES) * moves * _LANES + inner % _LANES
        for m in range(0 if moved else moves):
            k = first + m * _LANES
            long = np.int64(each[k]) if back.size > 0 else lasts[r, m]
            there = shift[r, m] - long * size
            j = now + place
            v = costs[j + there] + weight[k]
            if not v < np.inf:
                continue
            if passing:
                more = np.int32(0)
                for c in range(_COUNTS[m]):
                    down, right = _CROSSED[m, c, 0], _CROSSED[m, c, 1]
                    if not reverse:
                        down, right = down - _STEPS[m, 0], right - _STEPS[m, 1]
                    late, early = _slots_until(long, _UNTIL[m, c + 1]), _slots_until(long, _UNTIL[m, c])
                    if reverse:
                        late, early = -early, -late
                    else:
                        late, early = late - long, early - long
                    i = j + base[r + down] - base[r] + right
                    more = np.int32(more + seen[i + late * size] - seen[i + early * size])
                v = v + np.float32(more) * _UNIT
            if v == cost:
                slot -= long
                row += _STEPS[m, 0] if reverse else -_STEPS[m, 0]
                col += _STEPS[m, 1] if reverse else -_STEPS[m, 1]
                moved = True
                break
        if not moved:
            return length, row, col, slot, -2
        found[length, 0], found[length, 1], found[length, 2] = row, col, slot
        length += 1
    return length, row, col, slot, -1


@njit(error_model="numpy")
def _timed(
    found, touched, starts, steps, rates, step, cycle, periodic, rows, cols, low, width, base, size, before, begin, end,
    last, origin, slot, most, reverse,
):  # fmt: skip
    """Adds up into found, from row to row, what moving sensors do from state to state, in units; False where nothing.

    Row n is the state after begin - before + n slots. last: slots of the whole search; origin: the clock at its start.
    """
    first_slot, after = max(begin - before, 0), end - 1
    if reverse:
        first_slot, after = last - after, last - max(begin - before, 0)
    early, late = origin + first_slot * slot, origin + after * slot
    low_turn, high_turn = 0, 0
    if periodic:
        low_turn, high_turn = int(math.floor(early / cycle)), int(math.floor(late / cycle))
    some = False
    for i in range(rows.size):
        number = rows[i] * width + cols[i]
        r = rows[i] - low + MARGIN
        place = base[r] + cols[i]
        if starts[number + 1] == starts[number]:
            continue
        for turn in range(low_turn, high_turn + 1):
            for n in range(starts[number], starts[number + 1]):
                x = (turn * cycle + steps[n] * step - origin) / slot
                y = (turn * cycle + (steps[n] + 1) * step - origin) / slot
                for s in range(max(int(math.floor(x)), first_slot), min(int(math.ceil(y)), after)):
                    share = min(y, s + 1.0) - max(x, float(s))
                    amount = int(min(rates[n] * slot, most) * share / UNIT + 0.5)
                    if amount <= 0:
                        continue
                    state = last - s if reverse else s + 1
                    line = state - begin + before
                    found[line * size + place] += np.int32(amount)
                    touched[line, r] = 1
                    some = True
    return some


@_vector
def _add(out, before):
    for i in range(out.size):
        out[i] = np.int32(out[i] + before[i])


@njit()
def _cumulated(found, size, lines):
    for n in range(1, lines):
        _add(found[n * size : (n + 1) * size], found[(n - 1) * size : n * size])


class Store:
    """Memory that one thread searches in, one search after the other."""

    def __init__(self) -> None:
        self._kept: dict[str, npt.NDArray[np.generic]] = {}

    def take(self, name: str, size: int, kind: type[np.generic]) -> npt.NDArray[np.generic]:
        """An array of that size, with whatever was in it."""
        kept = self._kept.get(name)
        if kept is None or kept.size < size or kept.dtype != kind:
            self._kept.pop(name, None)
            kept = self._kept[name] = np.empty(size, dtype=kind)
        return kept[:size]


class Costs:
    """The costs of all states over a floor, up to `last` slots, and the ways to them. The clock at the start of a
    search is `origin` [s], and ways begin in its first `outsets` slots; of a floor in reverse they end there, `last`
    slots later, and begin wherever they meet others.

    A few slots are at hand at a time, in a core's cache, and snapshots from which they are found anew for ways. keep:
    whether any will be asked for.
    """

    def __init__(
        self, floor: Floor, moving: Timetable, still: Timetable | None, origin: float,
        slot: float, last: int, outsets: int, store: Store, name: str, *, keep: bool = True,
    ) -> None:  # fmt: skip
        self._keep = keep
        self._floor = floor
        self._moving, self._still = moving, still
        self._origin, self._slot, self._last, self._outsets = origin, slot, last, outsets
        self._passing = any(
            table is not None and bool((table.starts[places + 1] > table.starts[places]).any())
            for places in (floor.rows * floor.width + floor.cols,)
            for table in (moving, still)
        )
        self._length = min(last + 1, max(_AT_HAND, 2 * floor.window))
        whole = (self._length + floor.window) * floor.size
        self._costs = store.take(name + "costs", whole, np.float32)
        self._seen = store.take(name + "seen", whole if self._passing else 0, np.int32)
        self._watched = store.take(name + "watched", whole if self._passing and still is not None else 0, np.int32)
        lines = self._length + floor.window if self._passing else 0
        self._touched = np.zeros((lines, len(floor.at)), dtype=np.uint8)
        self._latest = np.zeros(len(floor.at), dtype=np.int64)
        self._kept: list[npt.NDArray[np.generic]] = []
        self._held = -1

    def at(self, places: Integers) -> npt.NDArray[np.float32]:
        """Costs of cells by their places (n,) after each number of slots (n, last + 1)."""
        floor, window = self._floor, self._floor.window
        found = np.empty((len(places), self._last + 1), dtype=np.float32)
        self._costs[: window * floor.size] = np.inf
        for number, begin in enumerate(range(0, self._last + 1, self._length)):
            if number:
                tail = self._length * floor.size
                self._costs[: window * floor.size] = self._costs[tail : tail + window * floor.size].copy()
            if self._keep and self._last + 1 > self._length:
                self._kept.append(self._costs[: window * floor.size].copy())
            end = self._run(number)
            table = self._costs.reshape(-1, floor.size)[window : window + end - begin]
            found[:, begin:end] = table[:, places].T
        return found

    def _run(self, number: int) -> int:
        """Finds the costs of one part of the slots; where it ends."""
        floor = self._floor
        begin = number * self._length
        end = min(begin + self._length, self._last + 1)
        lines = end - begin + floor.window
        if self._passing:
            self._touched[:] = 0
            for array, table in ((self._seen, self._moving), (self._watched, self._still)):
                if array.size and table is not None:
                    array[: lines * floor.size] = 0
                    some = _timed(
                        array, self._touched, table.starts, table.steps, table.rates, table.step, table.cycle,
                        table.periodic, floor.rows, floor.cols, floor.row, floor.width, floor.base, floor.size,
                        floor.window, begin, end, self._last, self._origin, self._slot, _MOST / floor.window,
                        floor.reverse,
                    )  # fmt: skip
                    if some:
                        _cumulated(array, floor.size, lines)
        _advance(
            self._costs, self._seen, self._watched, self._touched, self._latest, floor.size, floor.at, floor.chunks,
            floor.blocks, floor.weight, floor.shift, floor.lasts, floor.back, floor.each, floor.still,
            *floor.edges, floor.window, floor.block, begin, end, self._outsets, floor.base, floor.reverse,
        )  # fmt: skip
        self._held = number
        return end

    def ways(self, rows: Integers, cols: Integers, slots: Integers) -> list[tuple[Integers, int]]:
        """The states that lead to each of some (n,): rows, columns, slots (m, 3), from it on, and the slots of the way
        between the edge and the last of them.
        """
        floor = self._floor
        found = [np.array([[row, col, slot]]) for row, col, slot in zip(rows, cols, slots, strict=True)]
        begun = np.full(len(found), -1)
        for number in range(self._last // self._length, -1, -1):
            begin = number * self._length
            here = [n for n in range(len(found)) if begun[n] < 0 and found[n][-1, 2] >= begin]
            if not here:
                continue
            if self._held != number:
                self._costs[: floor.window * floor.size] = self._kept[number]
                self._run(number)
            for n in here:
                row, col, slot = (int(value) for value in found[n][-1])
                states = np.empty((slot - begin + 1 + floor.window, 3), dtype=np.int64)
                length, _, _, _, begun[n] = _trace(
                    row - floor.row + MARGIN, col, slot, self._costs, self._seen, self._watched, self._passing,
                    floor.size, floor.base, floor.at, floor.blocks, floor.weight, floor.shift, floor.lasts,
                    floor.back, floor.each, floor.still, *floor.edges, floor.window, begin,
                    self._outsets, states, 0, floor.reverse,
                )  # fmt: skip
                assert begun[n] != -2, "a cost that no sum gives"
                states = states[:length]
                states[:, 0] += floor.row - MARGIN
                found[n] = np.concatenate((found[n], states))
        return list(zip(found, begun.tolist(), strict=True))
