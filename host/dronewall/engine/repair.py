"""Cheapest ways again after some cells became cheaper: only what that changes is searched, and the answer is the one
that a search of everything gives, bit for bit.

The least cost of a cell is the least over its neighbours of their least cost and the move from there; with costs that
only fall, improvements spread from the cells that changed (Ramalingam and Reps 1996).
"""

import math

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.exposure import (
    COUNTS,
    LENGTHS,
    MARGIN,
    SHARES,
    Cells,
    Grid,
    Search,
    grow,
    inner,
    pace,
    padded,
    padded_heights,
    steps,
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def cheaper(grid: Grid, before: Search, starts: Floats, changed: Bools) -> Search:
    """The search over `grid` that begins at `starts` (north, east), given the one from before. `changed` (north, east):
    all cells that cost less now, or cost less to begin at; none costs more.
    """
    changed = changed & np.isfinite(grid.weight)
    if not changed.any():
        return before
    weight, heights = padded(grid.weight), padded_heights(grid)
    offsets, crossed = steps(grid)
    cost, move = padded(before.cost), np.full(weight.size, -1, dtype=np.int8)
    near = padded(wider(changed), False)
    sign = -1.0 if before.reverse else 1.0
    first = np.flatnonzero(near & np.isfinite(weight))
    paid = _seeds(
        weight, first, padded(starts), cost, heights, sign, grid.cell, offsets, crossed, COUNTS,
        LENGTHS, SHARES,
    )  # fmt: skip
    lower = paid < cost[first]
    none, nobody = np.zeros(0), np.zeros(0, dtype=np.float32)
    grow(
        weight, first[lower], paid[lower], none, none, nobody, 0.0, 0.0, heights, sign, grid.cell, offsets, crossed,
        COUNTS, LENGTHS, SHARES, False, cost, move, np.full(weight.size, -1, dtype=np.int32),
        np.zeros(0, dtype=np.int32),
    )  # fmt: skip
    return Search(inner(cost, grid), starts, before.reverse)


def way(grid: Grid, found: Search, row: int, col: int) -> Cells:
    """The cells (n, 2) of the cheapest way to (row, col) in the walker's order, none where there is none; of equals
    always the same one, for it follows from the costs alone. Every cell must cost something (`breach.TIE`).
    """
    if not math.isfinite(found.cost[row, col]):
        return np.zeros((0, 2), dtype=np.int64)
    width = grid.weight.shape[1] + 2 * MARGIN
    offsets, crossed = steps(grid)
    cells = _traced(
        (row + MARGIN) * width + col + MARGIN, padded(grid.weight), padded(found.starts),
        padded(found.cost), padded_heights(grid), -1.0 if found.reverse else 1.0, grid.cell, offsets,
        crossed, COUNTS, LENGTHS, SHARES,
    )  # fmt: skip
    places = np.stack((cells // width - MARGIN, cells % width - MARGIN), axis=-1)
    return places if found.reverse else places[::-1]


def wider(cells: Bools, by: int = MARGIN) -> Bools:
    """All cells within `by` rows and columns of these; left out, as far as a move reaches."""
    found = cells.copy()
    for axis in (0, 1):
        along = found.swapaxes(0, axis)
        for _ in range(by):
            grown = along.copy()
            grown[1:] |= along[:-1]
            grown[:-1] |= along[1:]
            along = grown
        found = along.swapaxes(0, axis)
    return np.ascontiguousarray(found)


@njit(error_model="numpy")
def _arrival(there, m, weight, cost, heights, sign, cell, offsets, crossed, counts, lengths, shares):
    """What it costs to come to a cell by a move, summed in the order in which `exposure` sums."""
    at = there - offsets[m]
    if not cost[at] < np.inf:
        return np.inf
    length = lengths[m] * cell
    total = shares[m, 0] * (weight[at] + weight[there])
    for c in range(1, counts[m] - 1):
        total += shares[m, c] * weight[at + crossed[m, c]]
    total *= length
    if heights.size > 0:
        total *= pace(sign * (heights[there] - heights[at]) / length)
    return total + cost[at]


@njit(error_model="numpy")
def _seeds(weight, first, begins, cost, heights, sign, cell, offsets, crossed, counts, lengths, shares):
    """The least that some cells cost by one move from their neighbours as these are, if that is less than it was."""
    paid = np.empty(first.size)
    gentlest = pace(-0.05) if heights.size > 0 else 1.0
    for n in range(first.size):
        there = first[n]
        best = min(begins[there], cost[there])
        for m in range(offsets.size):
            at = there - offsets[m]
            # What the cells between the first and the last cost is rarely asked for.
            ends = shares[m, 0] * (weight[at] + weight[there]) * (lengths[m] * cell) * gentlest
            if not cost[at] + ends < best:
                continue
            total = _arrival(there, m, weight, cost, heights, sign, cell, offsets, crossed, counts, lengths, shares)
            best = min(best, total)
        paid[n] = best
    return paid


@njit(error_model="numpy")
def _traced(at, weight, begins, cost, heights, sign, cell, offsets, crossed, counts, lengths, shares):
    cells = np.empty(1024, np.int64)
    count = 0
    while at >= 0:
        if count == cells.size:
            cells = np.concatenate((cells, np.empty(cells.size, np.int64)))
        cells[count] = at
        count += 1
        before = -1
        if not begins[at] <= cost[at]:
            for m in range(offsets.size):
                there = at - offsets[m]
                if (
                    cost[there] < cost[at]
                    and _arrival(at, m, weight, cost, heights, sign, cell, offsets, crossed, counts, lengths, shares)
                    <= cost[at]
                ):
                    before = there
                    break
        at = before
    return cells[:count].copy()
