"""The fewest nodes whose loss opens a way across, by the summed field.

A set of nodes *opens* a line where without them the exposure of some route is under -ln(1 - p). With r losses allowed,
taking from every cell the r highest of its nodes' rates leaves no more than any r losses leave: where the cheapest
route still costs that much, no r losses open one. The nodes on the weakest route alone do not tell: a place that one
strong sensor watches opens when that one is lost, though it was never the weakest.

Branch and bound: cells through which no relaxed route is cheap enough drop out, and what is left falls apart into
pieces of the belt that are searched by themselves; in each the node that the relaxation takes most from on the cheapest
route is either lost or kept. No set of fewer nodes opens, so all of a set's nodes see the piece that they open: where
one of them does not the piece is left out.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.belt import Belt
from dronewall.engine.breach import TIE, Counted, Going
from dronewall.engine.exposure import Grid, Search, search
from dronewall.engine.field import UNIT, Field, node_of
from dronewall.engine.repair import way, wider

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Box = tuple[slice, slice]

MOST_SETS = 12
"""As many sets of the least number are named."""


class TimeUp(Exception):
    """There is no time left to go on."""


@dataclass(frozen=True)
class Fewest:
    """The least number of nodes whose loss opens a line lies from `low` to `high`; None: no loss opens it, for there is
    no way across. sets: of the least number, where it is known, at most a dozen of them. ended: the search for
    sets of up to `asked` nodes came to its end.
    """

    low: int
    high: int | None
    sets: tuple[frozenset[str], ...]
    asked: int
    ended: bool

    @property
    def exact(self) -> bool:
        """Whether the number is known."""
        return self.low == self.high


@dataclass(frozen=True)
class _Node:
    """Where in the belt's piece of the raster a node sees something, its rate there [UNIT], and where it counts."""

    box: Box
    rate: Integers
    counts: Bools


class Nodes:
    """A line's nodes with their shares of the summed rate; what is lost is taken out of copies of these."""

    def __init__(
        self, field: Field, belt: Belt, counted: Counted, going: Going, front: float, behind: float, lane_p: float
    ) -> None:
        self.belt, self.going, self.k = belt, going, counted.k
        self.seconds = np.where(belt.inside, going.seconds(belt.inside.shape), np.inf)
        self.start, self.end = np.full(belt.inside.shape, np.inf), np.full(belt.inside.shape, np.inf)
        self.start[belt.far] = np.maximum(front - belt.offset[belt.far], 0.0)
        self.end[belt.near] = np.maximum(behind + belt.offset[belt.near], 0.0)
        self.most = -math.log1p(-lane_p)
        self.total = field.rates(belt.slices)
        self.count = np.zeros(belt.inside.shape, dtype=np.int32)
        self.nodes: dict[str, _Node] = {}
        sensors: dict[str, list[str]] = {}
        for name in field:
            sensors.setdefault(node_of(name), []).append(name)
        for node, names in sensors.items():
            found = self._node(field, names, counted)
            if found is not None:
                self.nodes[node] = found
                self.count[found.box] += found.counts

    def _node(self, field: Field, names: list[str], counted: Counted) -> _Node | None:
        alone = Field(field.shape)
        ends = []
        for name in names:
            alone.add(name, field[name])
            ends.append(field[name].reach)
        corner, shape = (self.belt.row, self.belt.col), self.belt.inside.shape
        rows, cols = (
            slice(
                min(max(min(each[axis][0] for each in ends) - corner[axis], 0), shape[axis]),
                min(max(max(each[axis][1] for each in ends) - corner[axis], 0), shape[axis]),
            )
            for axis in (0, 1)
        )
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return None
        whole = tuple(slice(part.start + low, part.stop + low) for part, low in zip((rows, cols), corner, strict=True))
        rate = alone.rates((whole[0], whole[1])) * self.belt.inside[rows, cols]
        if not rate.any():
            return None
        counts = np.zeros(rate.shape, dtype=np.bool_)
        if counted.k > 1:
            seen = np.nonzero(rate)
            at = seen[0] + whole[0].start, seen[1] + whole[1].start
            counts[seen] = alone.count_at(at, counted.look_s, counted.count_p) > 0
        return _Node((rows, cols), rate, counts)

    def relaxed(self, box: Box, lost: frozenset[str], kept: frozenset[str], left: int) -> Floats:
        """What the field is worth at least in a box of the piece when of the nodes that are neither lost nor kept
        `left` are lost, too [1/s].
        """
        rate, count = self.total[box].copy(), self.count[box].copy()
        top, spare = np.zeros((left, *rate.shape), dtype=np.int64), np.zeros(rate.shape, dtype=np.int32)
        for name, node in self.nodes.items():
            if name in kept:
                continue
            here, there = _overlap(box, node.box)
            if here is None:
                continue
            own = node.rate[there]
            if name in lost:
                rate[here] -= own
                count[here] -= node.counts[there]
                continue
            spare[here] += node.counts[there]
            for level in range(left):
                higher = top[level][here]
                top[level][here], own = np.maximum(higher, own), np.minimum(higher, own)
        worth = np.asarray((rate - top.sum(axis=0)) * UNIT)
        if self.k > 1:
            worth[count - np.minimum(spare, left) < self.k] = 0.0
        return worth

    def searched(self, rate: Floats, box: Box, free: Bools | None) -> tuple[Floats, Search, Floats]:
        """The weight of the cells in a box, the cheapest ways from the far edge over those that are free, and what the
        way from each to the near edge costs once it is reached.
        """
        weight = np.where(np.isfinite(self.seconds[box]), (rate + TIE) * self.seconds[box], np.inf)
        if free is not None:
            weight[~free] = np.inf
        start, end = (
            np.where(np.isfinite(edge[box]) & np.isfinite(weight), edge[box] * weight, np.inf)
            for edge in (self.start, self.end)
        )
        return weight, search(Grid(weight, self.belt.cell, self._heights(box)), start), end

    def _heights(self, box: Box) -> Floats | None:
        return None if self.going.heights is None else self.going.heights[box]

    def whole(self) -> Box:
        """All of the belt's piece."""
        rows, cols = self.belt.inside.shape
        return slice(0, rows), slice(0, cols)

    def cheapest(self, lost: frozenset[str], left: int) -> float:
        """What the cheapest route costs at least without some nodes and `left` more; inf where there is none."""
        _, found, end = self.searched(self.relaxed(self.whole(), lost, frozenset(), left), self.whole(), None)
        return float((found.cost + end).min(initial=np.inf))

    def opening(self, size: int, go_on: Callable[[], bool]) -> Iterator[frozenset[str]]:
        """The sets of `size` nodes that open the line, given that no fewer do. Raises TimeUp where `go_on` says no."""
        return self._opening(self.whole(), None, frozenset(), frozenset(), size, go_on)

    def _opening(
        self,
        box: Box,
        free: Bools | None,
        lost: frozenset[str],
        kept: frozenset[str],
        left: int,
        go_on: Callable[[], bool],
    ) -> Iterator[frozenset[str]]:
        if not go_on():
            raise TimeUp
        rate = self.relaxed(box, lost, kept, left)
        weight, found, end = self.searched(rate, box, free)
        total = found.cost + end
        if not total.min(initial=np.inf) < self.most:
            return
        if left == 0:
            yield lost
            return
        grid = Grid(weight, self.belt.cell, self._heights(box))
        back = search(grid, end, reverse=True)
        open_cells = found.cost + back.cost < self.most * (1.0 + 1e-9)
        pieces, spans = _pieces(wider(open_cells))
        for number, (low_row, high_row, low_col, high_col) in enumerate(spans.tolist(), 1):
            part = slice(low_row, high_row), slice(low_col, high_col)
            inner = pieces[part] == number
            there = (
                slice(low_row + box[0].start, high_row + box[0].start),
                slice(low_col + box[1].start, high_col + box[1].start),
            )
            if not all(self._sees(name, there, inner) for name in lost):
                continue
            least = np.where(inner, total[part], np.inf)
            if not least.min() < self.most:
                continue
            row, col = divmod(int(np.argmin(least)), least.shape[1])
            route = way(grid, found, row + low_row, col + low_col)
            undecided = [name for name in self.nodes if name not in lost | kept and self._sees(name, there, inner)]
            if not undecided:
                continue
            name = self._heaviest(box, route, lost | kept) or undecided[0]
            yield from self._opening(there, inner, lost | {name}, kept, left - 1, go_on)
            yield from self._opening(there, inner, lost, kept | {name}, left, go_on)

    def _sees(self, name: str, box: Box, cells: Bools) -> bool:
        here, there = _overlap(box, self.nodes[name].box)
        return here is not None and bool((self.nodes[name].rate[there] * cells[here]).any())

    def _heaviest(self, box: Box, route: Integers, decided: frozenset[str]) -> str | None:
        """The node, of those that nothing was decided about, that is worth most along a route in a box."""
        best, most = None, 0
        rows, cols = route[:, 0] + box[0].start, route[:, 1] + box[1].start
        for name, node in self.nodes.items():
            if name in decided:
                continue
            row, col = rows - node.box[0].start, cols - node.box[1].start
            inside = (row >= 0) & (col >= 0) & (row < node.rate.shape[0]) & (col < node.rate.shape[1])
            worth = int(node.rate[row[inside], col[inside]].sum())
            if worth > most:
                best, most = name, worth
        return best

    def greedy(self, go_on: Callable[[], bool]) -> frozenset[str] | None:
        """Some nodes whose loss opens the line, none of them needlessly; None where there is no way across."""
        lost: frozenset[str] = frozenset()
        while True:
            rate = self.relaxed(self.whole(), lost, frozenset(), 0)
            weight, found, end = self.searched(rate, self.whole(), None)
            total = found.cost + end
            if not np.isfinite(total).any():
                return None
            row, col = divmod(int(np.argmin(total)), total.shape[1])
            if total[row, col] < self.most:
                break
            grid = Grid(weight, self.belt.cell, self._heights(self.whole()))
            name = self._heaviest(self.whole(), way(grid, found, row, col), lost)
            if name is None:
                break
            lost |= {name}
        for name in sorted(lost):
            if go_on() and self.cheapest(lost - {name}, 0) < self.most:
                lost -= {name}
        return lost


@njit()
def _pieces(cells):
    """The number of the piece that each cell is in (north, east), 0 where it is in none, and each piece's first row and
    the one after its last, and columns likewise (n, 4). Cells that touch at a side or a corner are in one piece.
    """
    rows, cols = cells.shape
    found, spans = np.zeros((rows, cols), np.int32), np.empty((16, 4), np.int64)
    stack = np.empty((rows * cols, 2), np.int32)
    count = 0
    for i in range(rows):
        for j in range(cols):
            if not cells[i, j] or found[i, j] > 0:
                continue
            if count == spans.shape[0]:
                spans = np.concatenate((spans, np.empty_like(spans)))
            spans[count] = np.array((i, i + 1, j, j + 1))
            count += 1
            found[i, j] = count
            stack[0, 0], stack[0, 1], high = i, j, 1
            while high > 0:
                high -= 1
                row, col = stack[high]
                span = spans[count - 1]
                span[1], span[2], span[3] = max(span[1], row + 1), min(span[2], col), max(span[3], col + 1)
                for r in range(max(row - 1, 0), min(row + 2, rows)):
                    for c in range(max(col - 1, 0), min(col + 2, cols)):
                        if cells[r, c] and found[r, c] == 0:
                            found[r, c] = count
                            stack[high, 0], stack[high, 1] = r, c
                            high += 1
    return found, spans[:count]


def _overlap(one: Box, other: Box) -> tuple[Box, Box] | tuple[None, None]:
    """What two boxes share, as seen from either; None twice where they share nothing."""
    spans = [
        (max(first.start, second.start), min(first.stop, second.stop)) for first, second in zip(one, other, strict=True)
    ]
    if any(start >= stop for start, stop in spans):
        return None, None
    here, there = (
        tuple(slice(start - part.start, stop - part.start) for (start, stop), part in zip(spans, box, strict=True))
        for box in (one, other)
    )
    return (here[0], here[1]), (there[0], there[1])


def fewest(nodes: Nodes, asked: int, go_on: Callable[[], bool]) -> Fewest:
    """The least number of nodes whose loss opens a line, exact up to `asked` where `go_on` never says no, with a lower
    and an upper bound beyond.
    """
    low = 0
    try:
        for size in range(asked + 1):
            if not go_on():
                raise TimeUp
            found = []
            for one in nodes.opening(size, go_on):
                if one not in found:
                    found.append(one)
                if len(found) == MOST_SETS:
                    break
            if found:
                return Fewest(size, size, tuple(found), asked, True)
            low = size + 1
        ended = True
    except TimeUp:
        ended = False
    some = nodes.greedy(go_on)
    if some is None:
        return Fewest(len(nodes.nodes) + 1, None, (), asked, True)
    while go_on() and low < len(some) and not nodes.cheapest(frozenset(), low) < nodes.most:
        low += 1
    sets = (some,) if low == len(some) else ()
    return Fewest(low, len(some), sets, asked, ended)
