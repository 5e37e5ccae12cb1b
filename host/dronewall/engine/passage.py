"""The least-exposure ways over some cells of a line, set out for in part of the time: through stations, or anywhere.

A way through a station is one to it over what lies ahead, and one from it over what lies behind, searched backwards;
they meet there at the best time. The best way of a whole stretch is bound to no station.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.costs import Costs, Store
from dronewall.engine.exposure import Cells
from dronewall.engine.floor import Floor, floor_of
from dronewall.engine.timetable import passing
from dronewall.engine.watch import Line

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Window = tuple[int, int]
"""The first of some slots to set out in, and how many."""


@dataclass(frozen=True)
class Found:
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


class Through:
    """The searches to and from some stations, in part of the time to set out: their best ways there, and each's value.
    nodes: cells, flat, that they keep to. window: first and number of the slots to set out in.
    """

    def __init__(self, line: Line, nodes: Integers, cells: Cells, window: Window, store: Store) -> None:
        self._cells, self._first = cells, window[0]
        self._last = line.last(window[1])
        self._sides = []
        costs = []
        for name, through, reverse in (("ahead", line.cells_ahead, False), ("behind", line.cells_behind, True)):
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

    def ways(self, some: Integers) -> list[Found]:
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
            found.append(Found(float(self.values[n]), states, one[1], other[1]))
        return found


class Across:
    """The search across some stretch of the line for the one best way, bound to no station."""

    def __init__(self, line: Line, nodes: Integers, window: Window, store: Store, *, keep: bool) -> None:
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

    def way(self) -> Found:
        """The best way."""
        one = slice(self._one, self._one + 1)
        found, enters = self._side.ways(self._rows[one], self._cols[one], self._slots[one])[0]
        states = found[::-1].copy()
        states[:, 2] += self._first
        return Found(self.value, states, enters, int(self._leaves[self._one]))


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


def _floor(line: Line, nodes: Integers, through: Bools, ends: Cells, reverse: bool) -> tuple[Floor, Integers]:
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
