"""How likely somebody is detected on a way that takes time, while the drones that look come and go.

The same audit as `crossing`'s, sensor by sensor: a moving sensor's exposure along a way is that of the pieces during
which it looks at their cells, and what is wrong with its pose stays wrong for the whole crossing.
"""

import math
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.crossing import Paths, audited, passages
from dronewall.engine.field import Field
from dronewall.engine.moving import Moving, by_cell

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


def audited_at(
    field: Field,
    moving: Moving,
    paths: Paths,
    origin: tuple[int, int],
    clock: Floats,
    *,
    waiting: Bools | None = None,
    moving_only: AbstractSet[str] = frozenset(),
    counting: Bools | None = None,
) -> tuple[Floats, Floats]:
    """Probability of being detected on each way, and before it reaches the frontage: both (n,).

    field: the fixed sensors. origin: row and column of the raster at which the belt's piece begins. clock (m,): when
    each piece begins [s]. waiting (m,): pieces in which the target stands still, which the sensors named `moving_only`
    do not see. counting (m,): the pieces in which anything is detected; left out, all.
    """
    anywhere = np.ones(len(paths.seconds), dtype=np.bool_) if counting is None else counting
    going = anywhere if waiting is None else anywhere & ~waiting
    missed, missed_before = np.ones(len(paths)), np.ones(len(paths))
    blind = moving_only if waiting is not None and waiting.any() else frozenset()
    for names, some in ((set(field) - blind, counting), (set(field) & blind, going)):
        found, found_before = audited(field, paths, some, names=names)
        missed *= 1.0 - found
        missed_before *= 1.0 - found_before
    cells = _cells(paths, origin, moving.shape)
    for one in moving.passes:
        _miss_at(
            cells, paths.seconds, paths.ends, paths.before, clock, going if one.sensor in blind else anywhere,
            moving.step, moving.steps, moving.periodic, one.first, one.last, one.cells, one.rates, one.ceilings,
            one.shares, one.weights, one.duty, missed, missed_before,
        )  # fmt: skip
    return 1.0 - missed, 1.0 - missed_before


def audited_by_outset(
    field: Field, moving: Moving, paths: Paths, origin: tuple[int, int], clock: Floats, interval: float, count: int
) -> Floats:
    """Probability of being detected on each way by the time of setting out: (n, count), at 0, `interval`, 2 `interval`
    and so on [s]. clock (m,): when each piece begins, of one who sets out at 0 [s]. Otherwise as `audited_at`.
    """
    fixed, _ = audited(field, paths)
    missed = np.repeat(1.0 - fixed[:, None], count, axis=1)
    cells = _cells(paths, origin, moving.shape)
    size = moving.shape[0] * moving.shape[1]
    for one in moving.passes:
        starts, steps, entries = by_cell(one.first, one.last, one.cells, size)
        _miss_by_outset(
            cells, paths.seconds, paths.ends, clock, interval, moving.step, moving.steps, moving.periodic, starts,
            steps, entries, one.rates, one.ceilings, one.shares, one.weights, one.duty, missed,
        )  # fmt: skip
    return 1.0 - missed


def _cells(paths: Paths, origin: tuple[int, int], shape: tuple[int, int]) -> Integers:
    """The pieces' cells in the belt's piece, flat; -1 outside it."""
    row, col = paths.cells[:, 0] - origin[0], paths.cells[:, 1] - origin[1]
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    return np.where(inside, row * shape[1] + col, -1)


@njit(error_model="numpy")
def _miss_at(
    cells, seconds, ends, before, clock, counting, step, steps, periodic, first, last, seen, rates, ceilings, shares,
    weights, duty, missed, missed_before,
):  # fmt: skip
    size = 256
    exposure, tops, own, scratch = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    hits, order = np.empty(size, np.int64), np.empty(size, np.int64)
    start = 0
    for n in range(ends.size):
        begin, start = start, ends[n]
        count, ahead = 0, 0
        for i in range(begin, ends[n]):
            cell, until = cells[i], clock[i] + seconds[i]
            if cell < 0 or not counting[i] or not math.isfinite(seconds[i]):
                continue
            k = int(math.floor(clock[i] / step))
            while k * step < until:
                low, high = max(clock[i], k * step), min(until, (k + 1) * step)
                at = k % steps if periodic else k
                k += 1
                if high <= low or at < 0 or at >= steps:
                    continue
                left, right = first[at], last[at]
                while left < right:
                    middle = (left + right) // 2
                    if seen[middle] < cell:
                        left = middle + 1
                    else:
                        right = middle
                if left == last[at] or seen[left] != cell:
                    continue
                if count == size:
                    size *= 2
                    exposure, tops = _longer(exposure), _longer(tops)
                    own, scratch = np.empty(size), np.empty(size)
                    hits, order = _longer(hits), np.empty(size, np.int64)
                exposure[count] = rates[left] * (high - low)
                tops[count] = ceilings[left]
                hits[count] = left
                count += 1
                if i - begin < before[n]:
                    ahead = count
        if count > 0:
            found, found_before = passages(exposure, tops, hits, count, ahead, shares, weights, order, own, scratch)
            missed[n] *= 1.0 - duty * found
            missed_before[n] *= 1.0 - duty * found_before


@njit()
def _longer(values):
    return np.concatenate((values, np.empty_like(values)))


@njit(error_model="numpy")
def _miss_by_outset(
    cells, seconds, ends, clock, interval, step, steps, periodic, starts, entry_steps, entries, rates, ceilings, shares,
    weights, duty, missed,
):  # fmt: skip
    outsets, cycle = missed.shape[1], step * steps
    size = 4096
    found_at, found, found_exposure = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    begins = np.empty(outsets + 1, np.int64)
    start = 0
    for n in range(ends.size):
        begin, start = start, ends[n]
        total = 0
        begins[:] = 0
        for i in range(begin, ends[n]):
            cell, length = cells[i], seconds[i]
            if cell < 0 or not math.isfinite(length):
                continue
            for e in range(starts[cell], starts[cell + 1]):
                # Seen from `enters` on for a step; of one who set out at 0 the piece lasts from clock[i].
                enters = entry_steps[e] * step - clock[i]
                turn = 0
                if periodic:
                    turn = int(math.floor((-step - enters) / cycle)) + 1
                while True:
                    low = enters + turn * cycle
                    # Setting out after low - length and before low + step, this is met.
                    m = max(int(math.floor((low - length) / interval)) + 1, 0)
                    if m >= outsets and low - length >= (outsets - 1) * interval:
                        break
                    while m < outsets and m * interval < low + step:
                        met = min(m * interval + length, low + step) - max(m * interval, low)
                        if met > 0.0:
                            if total == size:
                                size *= 2
                                found_at, found = _longer(found_at), _longer(found)
                                found_exposure = _longer(found_exposure)
                            found_at[total], found[total] = m, entries[e]
                            found_exposure[total] = met * rates[entries[e]]
                            begins[m + 1] += 1
                            total += 1
                        m += 1
                    if not periodic:
                        break
                    turn += 1
        if total == 0:
            continue
        most = 0
        for m in range(outsets):
            most = max(most, begins[m + 1])
            begins[m + 1] += begins[m]
        places = begins[:-1].copy()
        hits, exposure, tops = np.empty(total, np.int64), np.empty(total), np.empty(total)
        for h in range(total):
            place = places[found_at[h]]
            places[found_at[h]] += 1
            hits[place], exposure[place], tops[place] = found[h], found_exposure[h], ceilings[found[h]]
        order, own, scratch = np.empty(most, np.int64), np.empty(most), np.empty(most)
        for m in range(outsets):
            low, high = begins[m], begins[m + 1]
            if high > low:
                whole, _ = passages(
                    exposure[low:high], tops[low:high], hits[low:high], high - low, high - low, shares, weights, order,
                    own, scratch,
                )  # fmt: skip
                missed[n, m] *= 1.0 - duty * whole
