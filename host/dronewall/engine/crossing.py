"""Ways across the belt, piece by piece, and how likely somebody who takes one of them is detected.

The summed field steers the search for ways; every probability that is told is *audited* here, sensor by sensor:

    P = 1 - prod_i E[1 - c_i (1 - exp(-X_i))]

over sensor i's pose errors, with X_i its exposure along the way. Where its ceiling changes along the way the sensor is
taken to resolve the target in the pieces whose ceiling exceeds u, with u uniform in 0..1 and the same for the whole
way: what it cannot resolve at its best place it never will. Audited is never above what the summed field promises.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.field import Field
from dronewall.engine.stored import SIDE, UNIT, Stored

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_SURE = 65535.0
_ENOUGH = 40.0
"""An exposure with which 1 - exp(-X) is 1 in a float."""


@dataclass(frozen=True)
class Paths:
    """Ways across, one after the other: row and column of the cell of each piece (m, 2), -1 outside the raster, the
    seconds in it (m,), where each way ends in these (n,), and how many of its pieces lie before the frontage (n,).
    """

    cells: Integers
    seconds: Floats
    ends: Integers
    before: Integers

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def starts(self) -> Integers:
        """Where each way begins (n,)."""
        return np.concatenate((np.zeros(min(len(self.ends), 1), dtype=np.int64), self.ends[:-1]))

    def some(self, part: slice) -> "Paths":
        """Some of them."""
        first, last, _ = part.indices(len(self.ends))
        start = int(self.ends[first - 1]) if first > 0 else 0
        end = int(self.ends[last - 1]) if last > first else start
        return Paths(
            self.cells[start:end], self.seconds[start:end], self.ends[first:last] - start, self.before[first:last]
        )

    @property
    def durations(self) -> Floats:
        """Seconds that each way takes (n,), inf where it takes for ever."""
        ways = np.repeat(np.arange(len(self.ends)), self.ends - self.starts)
        return np.bincount(ways, self.seconds, len(self.ends)).astype(np.float64)


def audited(
    field: Field, paths: Paths, counting: Bools | None = None, *, names: Iterable[str] | None = None
) -> tuple[Floats, Floats]:
    """Probability of being detected on each way, and of being detected before it reaches the frontage: both (n,).

    counting (m,): the pieces in which anything is detected; left out, all. names: the sensors that count; left out,
    all of the field's.
    """
    missed, missed_before = np.ones(len(paths)), np.ones(len(paths))
    if not len(paths.seconds):
        return 1.0 - missed, 1.0 - missed_before
    boxes = _boxes(paths.cells, paths.ends)
    counted = np.zeros(0, dtype=np.bool_) if counting is None else counting
    low, high = boxes.min(axis=0), boxes.max(axis=0)
    for name in field if names is None else sorted(names):
        kept = field[name]
        (first_row, last_row), (first_col, last_col) = kept.reach
        if low[0] < last_row and high[1] >= first_row and low[2] < last_col and high[3] >= first_col:
            _miss(kept, paths, boxes, counted, missed, missed_before)
    return 1.0 - missed, 1.0 - missed_before


def warnings(field: Field, paths: Paths, counting: Bools | None = None) -> Floats:
    """Median of the time [s] from detection to the frontage, of those who take each way and are detected before they
    reach it (n,); nan where nobody is. It is the summed field's: half of them are detected before the moment at which
    its probability is half of what it is at the frontage.
    """
    rates = field.rates_at((paths.cells[:, 0], paths.cells[:, 1])) * UNIT
    if counting is not None:
        rates[~counting] = 0.0
    return np.asarray(_warnings(rates, paths.seconds, paths.ends, paths.before))


@njit(error_model="numpy")
def _warnings(rates, seconds, ends, before):
    found = np.full(ends.size, np.nan)
    start = 0
    for n in range(ends.size):
        begin, start = start, ends[n]
        whole, left = 0.0, 0.0
        for i in range(begin, begin + before[n]):
            whole += rates[i] * seconds[i]
            left += seconds[i]
        # 1 - exp(-half) is half of 1 - exp(-whole).
        half = -math.log1p(0.5 * math.expm1(-whole))
        for i in range(begin, begin + before[n]):
            if rates[i] * seconds[i] >= half and rates[i] > 0.0:
                found[n] = left - half / rates[i]
                break
            half -= rates[i] * seconds[i]
            left -= seconds[i]
    return found


def _miss(kept: Stored, paths: Paths, boxes: Integers, counting: Bools, missed: Floats, missed_before: Floats) -> None:
    """Multiplies what one sensor misses."""
    several = isinstance(kept.ceiling, np.ndarray)
    draws = kept.draws
    _miss_paths(
        paths.cells, paths.seconds, paths.ends, paths.before, boxes, counting, np.array(kept.reach),
        np.array(kept.first), kept.numbers, kept.rate, UNIT * kept.step,
        kept.ceiling if several else np.zeros(0, dtype=np.uint16), 0.0 if several else float(kept.ceiling),
        np.zeros((0, 0), dtype=np.uint8) if draws is None else draws.shares,
        np.zeros(0) if draws is None else draws.weights, kept.duty, missed, missed_before,
    )  # fmt: skip


@njit(error_model="numpy")
def _boxes(cells, ends):
    """First and last row and column of each way (n, 4)."""
    found = np.empty((ends.size, 4), np.int64)
    start = 0
    for n in range(ends.size):
        low_row, high_row, low_col, high_col = 1 << 40, -1, 1 << 40, -1
        for i in range(start, ends[n]):
            low_row, high_row = min(low_row, cells[i, 0]), max(high_row, cells[i, 0])
            low_col, high_col = min(low_col, cells[i, 1]), max(high_col, cells[i, 1])
        found[n, 0], found[n, 1], found[n, 2], found[n, 3] = low_row, high_row, low_col, high_col
        start = ends[n]
    return found


@njit(error_model="numpy")
def _miss_paths(
    cells, seconds, ends, before, boxes, counting, reach, first, numbers, rate, unit, ceiling, top, shares, weights,
    duty, missed, missed_before,
):  # fmt: skip
    size = 0
    start = 0
    for n in range(ends.size):
        size = max(size, ends[n] - start)
        start = ends[n]
    at, exposure, ceilings = np.empty(size, np.uintp), np.empty(size), np.empty(size)
    tops = np.empty(size)
    order = np.empty(size, np.int64)
    start = 0
    for n in range(ends.size):
        end = ends[n]
        begin, start = start, end
        if (
            boxes[n, 0] >= reach[0, 1]
            or boxes[n, 1] < reach[0, 0]
            or boxes[n, 2] >= reach[1, 1]
            or boxes[n, 3] < reach[1, 0]
        ):
            continue
        count, ahead = 0, 0
        for i in range(begin, end):
            row, col = cells[i, 0], cells[i, 1]
            if row < reach[0, 0] or row >= reach[0, 1] or col < reach[1, 0] or col >= reach[1, 1]:
                continue
            if counting.size > 0 and not counting[i]:
                continue
            number = numbers[row // SIDE - first[0], col // SIDE - first[1]]
            if number < 0:
                continue
            place = np.uintp((number * SIDE + row % SIDE) * SIDE + col % SIDE)
            if rate[place] == 0:
                continue
            at[count] = place
            exposure[count] = rate[place] * unit * seconds[i]
            ceilings[count] = ceiling[place] / _SURE if ceiling.size > 0 else top
            count += 1
            if i - begin < before[n]:
                ahead = count
        if count == 0:
            continue
        found, found_before = passages(exposure, ceilings, at, count, ahead, shares, weights, order, exposure, tops)
        missed[n] *= 1.0 - duty * found
        missed_before[n] *= 1.0 - duty * found_before


@njit(error_model="numpy")
def passages(exposure, ceilings, at, count, ahead, shares, weights, order, own, tops):
    """Probability along the first `count` pieces, whose values lie at `at`, and along the first `ahead`: averaged over
    the draws. order, own, tops: room for as many; own may be the exposure itself.
    """
    if weights.size == 0:
        whole = _passage(exposure, ceilings, order, count)
        return whole, whole if ahead == count else _passage(exposure, ceilings, order, ahead)
    for i in range(count):
        likely = 0.0
        for d in range(weights.size):
            likely += shares[d, at[i]] * (weights[d] / 255.0)
        own[i] = exposure[i] / likely if likely > 0.0 else 0.0
    found, found_before = 0.0, 0.0
    whole, part = 0.0, 0.0
    for d in range(weights.size):
        # Deep in its view a sensor sees alike under every draw.
        alike = d > 0
        for i in range(count):
            if d > 0 and shares[d, at[i]] == shares[d - 1, at[i]]:
                continue
            alike = False
            tops[i] = ceilings[i] * (shares[d, at[i]] / 255.0)
        if not alike:
            whole = _passage(own, tops, order, count)
            part = whole if ahead == count else _passage(own, tops, order, ahead)
        found += weights[d] * whole
        found_before += weights[d] * part
    return found, found_before


@njit(error_model="numpy")
def _passage(exposure, ceilings, order, count):
    """Probability along the first `count` pieces: the integral over u of 1 - exp(-sum of X where c > u)."""
    some = _falling(exposure, ceilings, order, count)
    found, total = 0.0, 0.0
    for i in range(some):
        one = order[i]
        total += exposure[one]
        if total > _ENOUGH:
            return found + ceilings[one]
        below = ceilings[order[i + 1]] if i + 1 < some else 0.0
        if ceilings[one] > below:
            found -= (ceilings[one] - below) * math.expm1(-total)
    return found


@njit(error_model="numpy")
def _falling(exposure, ceilings, order, count):
    """Puts the pieces in which anything is detected into `order`, by falling ceiling, and says how many there are.

    Along a way ceilings mostly rise up to one peak and then fall: two rows that are merged from there, and then put
    right piece by piece.
    """
    peak = 0
    for i in range(1, count):
        if ceilings[i] > ceilings[peak]:
            peak = i
    some, left, right = 0, peak - 1, peak
    while left >= 0 or right < count:
        if right >= count or (left >= 0 and ceilings[left] > ceilings[right]):
            one = left
            left -= 1
        else:
            one = right
            right += 1
        if ceilings[one] <= 0.0 or exposure[one] <= 0.0:
            continue
        place = some
        while place > 0 and ceilings[order[place - 1]] < ceilings[one]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = one
        some += 1
    return some
