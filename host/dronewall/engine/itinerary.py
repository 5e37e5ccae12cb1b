"""Ways with a clock: where a walker is when, and where he waits.

What a search finds in whole slots is told in the exact times that its pieces take. Where he waits he waits until the
slot that he means to go in, so that the error of whole slots does not add up past a wait.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.crossing import Paths
from dronewall.engine.exposure import CROSSED, LENGTHS, MOVES, SHARES, Cells, Ways, pace
from dronewall.engine.passage import Found
from dronewall.engine.watch import Line

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_NUMBER = np.full((7, 7), -1, dtype=np.int64)
_NUMBER[MOVES[:, 0] + 3, MOVES[:, 1] + 3] = np.arange(len(MOVES))
"""Of a move, by its rows and columns and 3."""


@dataclass(frozen=True)
class Timed:
    """Ways with a clock, none of any cells where there is none. ways: cells in the belt's piece, one after the other.
    paths: the same, piece by piece, in the raster; of these begins [s], when each begins, and waiting, whether it is
    standing still: both (m,). The first piece of a way begins at 0 <= outset < cycle.

    exposure (n,): what the summed rates add up to on these pieces at these times; searched (n,): what the search, in
    whole slots, took it for: nan where there is no way.
    """

    ways: Ways
    paths: Paths
    begins: Floats
    waiting: Bools
    exposure: Floats
    searched: Floats

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def outsets(self) -> Floats:
        """When each sets out [s] (n,), nan where there is no way."""
        starts, ends = self.paths.starts, self.paths.ends
        found = np.full(len(ends), np.nan)
        found[ends > starts] = self.begins[starts[ends > starts]]
        return found

    @property
    def waits(self) -> Floats:
        """Seconds that each stands still (n,)."""
        ways = np.repeat(np.arange(len(self)), self.paths.ends - self.paths.starts)
        return np.bincount(ways, np.where(self.waiting, self.paths.seconds, 0.0), len(self)).astype(np.float64)


def told(line: Line, found: list[Found | None]) -> Timed:
    """Ways piece by piece, in the exact times that these take."""
    belt = line.belt
    some = [way for way in found if way is not None]
    states = np.concatenate([way.states for way in some]) if some else np.zeros((0, 3), dtype=np.int64)
    sizes = np.array([0 if way is None else len(way.states) for way in found], dtype=np.int64)
    enters = np.array([0 if way is None else way.enters for way in found], dtype=np.int64)
    heights = np.zeros((0, 0)) if line.going.heights is None else line.going.heights
    cells, seconds, begins, waiting, ends, before, nodes, node_ends = _retold(
        states, np.cumsum(sizes), enters, line.ground.seconds, heights, belt.offset, line.front, line.behind, belt.cell,
        line.ground.slot, CROSSED, LENGTHS, SHARES,
    )  # fmt: skip
    exposure = _met(cells, seconds, begins, waiting, ends, line)
    empty = sizes == 0
    exposure[empty] = np.nan
    searched = np.array([np.nan if way is None else way.value for way in found])
    took = np.array([0.0 if way is None else way.lasts * line.ground.slot for way in found])
    paths = Paths(cells + np.array((belt.row, belt.col)), seconds, ends, before)
    return Timed(
        Ways(nodes, node_ends), paths, begins, waiting, exposure, np.maximum(searched - line.haste * took, 0.0)
    )


@njit(error_model="numpy")
def _retold(states, stops, enters, pace_of, heights, offset, front, behind, cell, slot, crossed, lengths, shares):
    """The pieces of ways over states, cell, seconds, beginning and whether it waits, where each way ends in these, and
    how many of its pieces come before the frontage; and the cells that it goes to, and where it ends in those.
    """
    most = states.shape[0] * crossed.shape[1] + 2 * stops.size
    cells, seconds, begins = np.empty((most, 2), np.int64), np.empty(most), np.empty(most)
    waiting, ends, before = np.zeros(most, np.bool_), np.empty(stops.size, np.int64), np.empty(stops.size, np.int64)
    nodes, node_ends = np.empty((states.shape[0], 2), np.int64), np.empty(stops.size, np.int64)
    length, count, start = 0, 0, 0
    for n in range(stops.size):
        begin = length
        if stops[n] > start:
            row, col = states[start, 0], states[start, 1]
            clock = (states[start, 2] - enters[n]) * slot
            cells[length] = states[start, :2]
            begins[length] = clock
            seconds[length] = max(front - offset[row, col], 0.0) * pace_of[row, col]
            clock += seconds[length]
            length += 1
            nodes[count] = states[start, :2]
            count += 1
            for i in range(start + 1, stops[n]):
                down, right = states[i, 0] - row, states[i, 1] - col
                if down == 0 and right == 0:
                    until = states[i, 2] * slot
                    if waiting[length - 1]:
                        seconds[length - 1] = until - begins[length - 1]
                        clock = until
                    elif until > clock:
                        cells[length] = states[i, :2]
                        begins[length], seconds[length], waiting[length] = clock, until - clock, True
                        clock = until
                        length += 1
                    continue
                m = _NUMBER[down + 3, right + 3]
                metres = lengths[m] * cell
                time = 1.0
                if heights.size > 0:
                    time = pace((heights[row + down, col + right] - heights[row, col]) / metres)
                for c in range(crossed.shape[1]):
                    if shares[m, c] > 0.0:
                        cells[length, 0], cells[length, 1] = row + crossed[m, c, 0], col + crossed[m, c, 1]
                        begins[length] = clock
                        seconds[length] = shares[m, c] * metres * time * pace_of[cells[length, 0], cells[length, 1]]
                        clock += seconds[length]
                        length += 1
                row, col = states[i, 0], states[i, 1]
                nodes[count] = states[i, :2]
                count += 1
            cells[length, 0], cells[length, 1] = row, col
            begins[length] = clock
            seconds[length] = max(behind + offset[row, col], 0.0) * pace_of[row, col]
            length += 1
        crossed_at = -1
        for i in range(begin, length):
            if crossed_at < 0 and offset[cells[i, 0], cells[i, 1]] < 0.0:
                crossed_at = i - begin
        before[n] = crossed_at if crossed_at >= 0 else length - begin
        ends[n], node_ends[n] = length, count
        start = stops[n]
    return (
        cells[:length].copy(), seconds[:length].copy(), begins[:length].copy(), waiting[:length].copy(), ends, before,
        nodes[:count].copy(), node_ends,
    )  # fmt: skip


def _met(cells: Cells, seconds: Floats, begins: Floats, waiting: Bools, ends: Integers, line: Line) -> Floats:
    """Exposure to summed rates on ways, piece by piece at its time (n,)."""
    rows, cols = cells.T
    found = np.where(waiting, line.watch.fixed_still[rows, cols], line.watch.fixed[rows, cols]) * seconds
    numbers = rows * line.watch.fixed.shape[1] + cols
    for kind, table in ((False, line.moving), (True, line.moving if line.still is None else line.still)):
        of = waiting == kind
        found[of] += table.met(numbers[of], begins[of], seconds[of])
    return (
        np.add.reduceat(np.append(found, 0.0), np.append(0, ends[:-1])) * (np.diff(ends, prepend=0) > 0)
        if len(ends)
        else np.zeros(0)
    )
