"""What moving sensors expose, cell by cell and step by step.

`moving` tells what each step sees; here it stands by cell, so that a way across a few cells finds at once when these
are watched, and when none of them is.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.moving import Summed, by_cell

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


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
    starts, steps, entries = by_cell(summed.first, summed.last, summed.cells, cells)
    rates = summed.rates[entries]
    # Where too few nodes count a cell is there and its rate is 0.
    some = rates > 0.0
    starts = np.concatenate(([0], np.cumsum(some)))[starts]
    return Timetable(
        starts,
        steps[some].astype(np.int32),
        rates[some],
        summed.step,
        len(summed.first) * summed.step,
        summed.periodic,
    )
