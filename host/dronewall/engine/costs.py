"""The costs of all states of a search in space and time, and the ways to them, in little memory.

Few slots are at hand at a time, and are found anew from snapshots where ways are asked for.
"""

import math

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import NoAlias, njit
from dronewall.engine.exposure import MARGIN
from dronewall.engine.floor import Floor
from dronewall.engine.slots import UNIT, advance, trace
from dronewall.engine.timetable import Timetable

Integers = npt.NDArray[np.int64]

_AT_HAND = 128
"""Slots whose costs are at hand at a time."""

_MOST = 2000.0
"""Exposure that a move may add up to in the units of `slots`, in 32 bits."""


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
        advance(
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
                length, _, _, _, begun[n] = trace(
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


@njit(error_model="numpy", pipeline_class=NoAlias)
def _add(out, before):
    for i in range(out.size):
        out[i] = np.int32(out[i] + before[i])


@njit()
def _cumulated(found, size, lines):
    for n in range(1, lines):
        _add(found[n * size : (n + 1) * size], found[(n - 1) * size : n * size])
