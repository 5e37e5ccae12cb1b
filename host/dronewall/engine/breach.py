"""Where the line breaks: the best crossing at every station, and the weakest route of the whole line.

A crossing at a station comes from the belt's far edge, crosses the frontage once, in the station's cell, goes on to the
near edge, and stays within a lateral distance of the station. The weakest route is bound to no station and may cross
the frontage where and as often as it likes. Neither leaves through the belt's ends. The walker keeps to the middles of
cells (`exposure`); the way between an edge of the belt and the first or last of these middles is counted in that cell.
Where several ways are as good the one that takes less time is taken.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.belt import Belt
from dronewall.engine.crossing import Paths
from dronewall.engine.exposure import Cells, Grid, Search, Ways, detours, paces, pieces, search
from dronewall.engine.field import UNIT, Field
from dronewall.engine.repair import cheaper, way
from dronewall.engine.terrain import Terrain

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TIE = 1e-12
"""Rate [1/s] that decides between ways that are noticed alike: a thousandth of what rates are rounded to."""


@dataclass(frozen=True)
class Going:
    """How a target gets on over the belt's piece of the raster: speed [m/s] on level ground; slowness (north, east): by
    how much longer each cell takes, inf where it cannot go, None: nowhere; heights (north, east) [m]: with them its
    speed depends on the slope (`exposure.pace`), None: it does not.
    """

    speed: float
    slowness: Floats | None = None
    heights: Floats | None = None

    def over(self, belt: Belt, piece: Belt) -> "Going":
        """The same over a piece of the belt that it is given for."""
        rows, cols = piece.inside.shape
        row, col = piece.row - belt.row, piece.col - belt.col
        box = slice(row, row + rows), slice(col, col + cols)
        slowness, heights = (None if part is None else part[box] for part in (self.slowness, self.heights))
        return Going(self.speed, slowness, heights)

    def seconds(self, shape: tuple[int, ...]) -> Floats:
        """Seconds a metre on the level (north, east)."""
        slowness = np.ones(shape) if self.slowness is None else self.slowness
        return np.asarray(slowness / self.speed)


@dataclass(frozen=True)
class Counted:
    """Where detection counts: where at least k nodes each detect in a look of `look_s` seconds with `count_p`."""

    k: int
    look_s: float
    count_p: float


def summed(field: Field, belt: Belt, counted: Counted) -> Floats:
    """The summed rate [1/s] over the belt's piece of the raster (north, east), 0 where it does not count."""
    found = field.rates(belt.slices) * UNIT
    if counted.k > 1:
        rows, cols = np.nonzero(belt.inside)
        few = field.count_at((rows + belt.row, cols + belt.col), counted.look_s, counted.count_p) < counted.k
        found[rows[few], cols[few]] = 0.0
    return np.asarray(found)


def lane_paths(terrain: Terrain, belt: Belt, going: Going, lanes: Floats, pieces: int, front: float) -> Paths:
    """Straight lanes (n, 2, 2), from their far to their near ends, in `pieces` equal pieces each; where one meets
    ground on which nobody can go it takes for ever. front: the belt's depth before the frontage [m].
    """
    far, near = lanes[:, None, 0], lanes[:, None, 1]
    ends = far + (np.arange(pieces + 1) / pieces)[None, :, None] * (near - far)
    middles = (ends[:, :-1] + ends[:, 1:]) / 2.0
    rows, cols = terrain.cells(middles[..., 0], middles[..., 1])
    length = np.hypot(*(near - far)[:, 0].T)[:, None] / pieces
    seconds = np.broadcast_to(length / going.speed, rows.shape).copy()
    if going.slowness is not None:
        row, col = rows - belt.row, cols - belt.col
        inside = (row >= 0) & (row < belt.inside.shape[0]) & (col >= 0) & (col < belt.inside.shape[1])
        seconds[inside] *= going.slowness[row[inside], col[inside]]
        # From a cell to one that it touches at a corner alone a lane passes one of the two beside both, if only just.
        corner = inside[:, 1:] & inside[:, :-1] & (np.diff(row) != 0) & (np.diff(col) != 0)
        lane, at = np.nonzero(corner)
        one = going.slowness[row[lane, at], col[lane, at + 1]]
        other = going.slowness[row[lane, at + 1], col[lane, at]]
        shut = ~np.isfinite(one) & ~np.isfinite(other)
        seconds[lane[shut], at[shut]] = np.inf
    if going.heights is not None:
        heights = terrain.ground(ends[..., 0], ends[..., 1])
        seconds *= paces(np.diff(heights, axis=1) / length)
    depth = np.hypot(*(lanes[:, 0] - lanes[:, 1]).T)
    before = np.rint(np.minimum(front / np.maximum(depth, 1e-9), 1.0) * pieces).astype(np.int64)
    return Paths(
        np.stack((rows.ravel(), cols.ravel()), axis=-1), seconds.ravel(), (np.arange(len(lanes)) + 1) * pieces, before
    )


@dataclass(frozen=True)
class Crossings:
    """The best crossing at each station. ways: its cells in the belt's piece of the raster, none where nobody can cross
    there. paths: the same, piece by piece, in the raster. exposure (n,): what the summed field says of it.
    """

    ways: Ways
    paths: Paths
    exposure: Floats


@dataclass(frozen=True)
class Guide:
    """What steers the searches over the belt's piece of the raster (north, east). rate [1/s]: summed. weight: exposure
    a metre, inf where nobody goes. start, end: what it costs to come in over the far edge, and to leave over the near
    one. far, near: the cheapest ways from the far edge through the cells before the frontage, and to the near edge
    through those behind it. whole: from the far edge through the belt, None where nobody asks for routes.
    """

    rate: Floats
    weight: Floats
    start: Floats
    end: Floats
    far: Search
    near: Search
    whole: Search | None


def guide_of(belt: Belt, rate: Floats, going: Going, front: float, behind: float, *, route: bool = True) -> Guide:
    """The guide that a summed rate [1/s] (north, east) gives. front, behind: the belt's depths [m]."""
    weight = _weight(belt, rate, going)
    start, end = _edges(belt, weight, front, behind)
    ahead, back, through = (Grid(part, belt.cell, going.heights) for part in _parts(belt, weight))
    whole = search(through, start) if route else None
    return Guide(rate, weight, start, end, search(ahead, start), search(back, end, reverse=True), whole)


def guide_after(
    belt: Belt, before: Guide, rate: Floats, going: Going, front: float, behind: float
) -> tuple[Guide, Bools]:
    """`guide_of` a rate that is nowhere above that from before, bit for bit, and the cells (north, east) from which
    anything else has to be paid.
    """
    weight = _weight(belt, rate, going)
    start, end = _edges(belt, weight, front, behind)
    ahead, back, through = (Grid(part, belt.cell, going.heights) for part in _parts(belt, weight))
    lower = rate < before.rate
    far, near = cheaper(ahead, before.far, start, lower), cheaper(back, before.near, end, lower)
    whole = None if before.whole is None else cheaper(through, before.whole, start, lower)
    repriced = lower | (far.cost != before.far.cost) | (near.cost != before.near.cost)
    return Guide(rate, weight, start, end, far, near, whole), repriced


def _parts(belt: Belt, weight: Floats) -> tuple[Floats, Floats, Floats]:
    ahead = np.where(belt.inside & (belt.offset >= 0.0), weight, np.inf)
    return ahead, np.where(belt.inside & (belt.offset < 0.0), weight, np.inf), weight


def crossings(
    belt: Belt,
    guide: Guide,
    going: Going,
    front: float,
    behind: float,
    stations: Cells,
    at: Floats,
    lateral: float,
) -> Crossings:
    """The least-exposure crossings at `stations` (n, 2), row and column in the raster, chainages `at` (n,)."""
    own = stations - (belt.row, belt.col)
    grid = Grid(guide.weight, belt.cell, going.heights)
    sides = [detours(grid, toward, own, belt.chainage, at, lateral) for toward in (guide.far, guide.near)]
    return _crossings(belt, guide.rate, going, front, behind, _joined(*sides))


def retold(belt: Belt, guide: Guide, going: Going, front: float, behind: float, cells: Cells) -> Crossings:
    """One way over cells of the raster, piece by piece."""
    own = cells - (belt.row, belt.col)
    return _crossings(belt, guide.rate, going, front, behind, Ways(own, np.array([len(own)])))


def weakest_route(belt: Belt, guide: Guide, going: Going, front: float, behind: float) -> Crossings:
    """The one least-exposure route of all from the belt's far edge to its near edge; no cells where there is none. Of
    many that are alike the one that ends in the middle of the widest opening.
    """
    assert guide.whole is not None
    return _route(belt, guide.rate, going, guide.weight, guide.whole, guide.end, front, behind)


def bottleneck_route(belt: Belt, guide: Guide, going: Going, front: float, behind: float) -> Crossings:
    """Of the routes whose highest rate is the least that no route can avoid the least exposed."""
    rate = guide.rate
    free = np.where(np.isfinite(guide.weight), rate, np.inf)
    start, end = (np.where(edge, free, np.inf) for edge in (belt.far, belt.near))
    found = search(Grid(free, belt.cell, None), start, worst=True).cost
    most = float(np.maximum(found, end).min(initial=np.inf))
    weight = np.where(free <= most, guide.weight, np.inf)
    start, end = _edges(belt, weight, front, behind)
    least = search(Grid(weight, belt.cell, going.heights), start)
    return _route(belt, rate, going, weight, least, end, front, behind)


def _route(
    belt: Belt, rate: Floats, going: Going, weight: Floats, found: Search, end: Floats, front: float, behind: float
) -> Crossings:
    total = found.cost + end
    least = float(total.min(initial=np.inf))
    cells = np.zeros((0, 2), dtype=np.int64)
    if np.isfinite(least):
        # Alike: as exposed, and longer by no more than a twentieth of the belt's depth.
        alike = least + 0.05 * TIE * (front + behind) / going.speed
        cells = way(Grid(weight, belt.cell, going.heights), found, *_middle(belt, total <= alike))
    return _crossings(belt, rate, going, front, behind, Ways(cells, np.array([len(cells)])))


def _middle(belt: Belt, cells: Bools) -> tuple[int, int]:
    """The cell in the middle of the widest of the stretches of frontage that some cells lie at."""
    rows, cols = np.nonzero(cells)
    order = np.argsort(belt.chainage[rows, cols], kind="stable")
    chainage = belt.chainage[rows, cols][order]
    cuts = np.flatnonzero(np.diff(chainage) > 3.0 * belt.cell) + 1
    starts, ends = np.concatenate(([0], cuts)), np.concatenate((cuts, [len(order)]))
    widest = int(np.argmax(chainage[ends - 1] - chainage[starts]))
    one = order[(starts[widest] + ends[widest] - 1) // 2]
    return int(rows[one]), int(cols[one])


def _weight(belt: Belt, rate: Floats, going: Going) -> Floats:
    """Exposure a metre (north, east); inf where nobody goes."""
    seconds = going.seconds(rate.shape)
    return np.where(belt.inside & np.isfinite(seconds), (rate + TIE) * seconds, np.inf)


def _edges(belt: Belt, weight: Floats, front: float, behind: float) -> tuple[Floats, Floats]:
    """What it costs to come from the far edge to the middle of a cell beside it, and from there to the near edge."""
    open_ = np.isfinite(weight)  # a closed cell on the very edge would cost inf times 0 m
    start, end = np.full(weight.shape, np.inf), np.full(weight.shape, np.inf)
    far, near = belt.far & open_, belt.near & open_
    start[far] = weight[far] * np.maximum(front - belt.offset[far], 0.0)
    end[near] = weight[near] * np.maximum(behind + belt.offset[near], 0.0)
    return start, end


def _joined(before: Ways, behind: Ways) -> Ways:
    """Ways to cells and ways from the same cells, one after the other; none where either is missing."""
    return Ways(*_join(before.cells, before.ends, behind.cells, behind.ends))


@njit()
def _join(before, before_ends, behind, behind_ends):
    cells = np.empty((before.shape[0] + behind.shape[0], 2), np.int64)
    ends = np.empty(before_ends.size, np.int64)
    length, start, first = 0, 0, 0
    for n in range(ends.size):
        if before_ends[n] > start and behind_ends[n] > first:
            for i in range(start, before_ends[n]):
                cells[length] = before[i]
                length += 1
            for i in range(first + 1, behind_ends[n]):
                cells[length] = behind[i]
                length += 1
        start, first = before_ends[n], behind_ends[n]
        ends[n] = length
    return cells[:length], ends


def _crossings(belt: Belt, rate: Floats, going: Going, front: float, behind: float, ways: Ways) -> Crossings:
    pace = going.seconds(rate.shape)
    cells, metres, times, ends = pieces(Grid(pace, belt.cell, going.heights), ways)
    found, seconds, stops, ahead, exposure = _passed(
        ways.cells, ways.ends, cells, metres, times, ends, pace, rate, belt.offset, front, behind
    )
    found += np.array((belt.row, belt.col))
    return Crossings(ways, Paths(found, seconds, stops, ahead), exposure)


@njit()
def _passed(ways, way_ends, cells, metres, times, ends, pace, rate, offset, front, behind):
    """The pieces of ways with the stretches between the belt's edges and their ends, the seconds in each, where each
    way ends, how many pieces come before the first cell behind the frontage, and the exposure of each.
    """
    count = ends.size
    found, seconds = np.empty((cells.shape[0] + 2 * count, 2), np.int64), np.empty(cells.shape[0] + 2 * count)
    stops, ahead, exposure = np.empty(count, np.int64), np.empty(count, np.int64), np.zeros(count)
    length, start, first = 0, 0, 0
    for n in range(count):
        begin = length
        if way_ends[n] > first:
            row, col = ways[first]
            found[length, 0], found[length, 1] = row, col
            seconds[length] = max(front - offset[row, col], 0.0) * pace[row, col]
            length += 1
            for i in range(start, ends[n]):
                found[length] = cells[i]
                seconds[length] = metres[i] * times[i] * pace[cells[i, 0], cells[i, 1]]
                length += 1
            row, col = ways[way_ends[n] - 1]
            found[length, 0], found[length, 1] = row, col
            seconds[length] = max(behind + offset[row, col], 0.0) * pace[row, col]
            length += 1
        crossed = -1
        for i in range(begin, length):
            row, col = found[i]
            if crossed < 0 and offset[row, col] < 0.0:
                crossed = i - begin
            exposure[n] += rate[row, col] * seconds[i]
        ahead[n] = crossed if crossed >= 0 else length - begin
        start, first = ends[n], way_ends[n]
        stops[n] = length
    return found[:length], seconds[:length], stops, ahead, exposure
