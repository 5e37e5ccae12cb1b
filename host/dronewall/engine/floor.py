"""Cells to search over by slots of time, the moves between them, and the slots that these last.

Time is cut into slots of a fifth of what a walker takes from a cell to the next, so that the 32 moves of `exposure`
last 5, 7, 11, 16 and 18 of them. A move lasts a whole number of slots: its length is dithered from row to row, and
where cells take differently long from cell to cell, so that the error does not add up along a way. What fixed sensors
cost goes by the metres in each crossed cell, as in `exposure`.

A row holds the cells from the first to the last that can be entered and three on both sides; so a belt at any angle
takes no more than it covers.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.exposure import COUNTS, CROSSED, LENGTHS, MARGIN, MOVES, SHARES, pace

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

PER_CELL = 5
"""Slots that a straight move to the next cell lasts: with fewer, moves are told wrong by more than 2 %."""

LANES = 16
"""Cells of a row that are laid out, and searched, together."""

ORDER = np.argsort(LENGTHS, kind="stable")
"""The moves of `exposure` as they stand here: the shortest first."""

_GOLDEN, _PLASTIC = 0.6180339887498949, 0.7548776662466927
"""Multiples of these leave fractions that fall evenly, in one dimension and, with the square of the latter, in two
(Roberts 2018).
"""

_STEPS = MOVES[ORDER]
_LENGTHS = LENGTHS[ORDER]
_CROSSED = CROSSED[ORDER]
_SHARES = SHARES[ORDER]
_COUNTS = COUNTS[ORDER]


@dataclass(frozen=True)
class Footing:
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
    ground: Footing, through: Bools, rows: Integers, cols: Integers, ends: Bools, edge: Edge, longest: int, *,
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


def _lasting(rows: Integers, reverse: bool) -> Integers:
    """Slots (rows, 32) of the moves to rows, dithered from row to row, where all cells are alike."""
    middle = rows[:, None] + (0.5 if reverse else -0.5) * _STEPS[:, 0]
    dither = middle * _GOLDEN + 0.5 + np.arange(len(_STEPS)) * _PLASTIC
    lasts = np.floor(PER_CELL * _LENGTHS + 1e-9 + dither % 1.0 * (1.0 - 1e-9)).astype(np.int64)
    lasts[:, _LENGTHS == 1.0] = PER_CELL
    return np.asarray(lasts)


_UNTIL = np.zeros((32, 7), dtype=np.int64)


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
            chunks[r] = (high[r] - low[r] + LANES - 1) // LANES
    base, at, blocks = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64)
    spans = np.zeros(count + 1, np.int64)
    size, block = 0, 0
    for r in range(count):
        first, after = 1 << 40, -(1 << 40)
        for other in range(max(r - MARGIN, 0), min(r + MARGIN + 1, count)):
            if chunks[other] > 0:
                first = min(first, low[other] - MARGIN)
                after = max(after, low[other] + chunks[other] * LANES + MARGIN)
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
    found = np.full(total * count * LANES, np.inf, np.float32)
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
        first = (blocks[r] + inner // LANES) * count * LANES + inner % LANES
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
            k = first + m * LANES
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
