"""What moving and fixed sensors make together, step by step: the sum of their rates, and how many nodes count."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.belt import Belt
from dronewall.engine.breach import Counted
from dronewall.engine.field import UNIT, Field, node_of
from dronewall.engine.moving import Moving, Summed

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Entries:
    """The entries of all passes in one row, as the kernels take them: of pass p and step k from first[p, k] to
    last[p, k]; cells and values (m,). nodes (n + 1,): where the passes of each node begin.

    own (n,): which of `missed` (some, cells of the piece) tells with what probability the fixed sensors of the same
    node miss the target; -1 where it has none.
    """

    first: Integers
    last: Integers
    cells: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    nodes: Integers
    own: Integers
    missed: Floats


def entries(moving: Moving, field: Field, belt: Belt, look_s: float | None) -> Entries:
    """The entries of all passes; values: the probability of a look of `look_s` seconds, or where that is None the
    rates [1/s].
    """
    passes = moving.passes
    starts = np.cumsum([0] + [len(one.cells) for one in passes])[:-1]
    names = [node_of(one.sensor) for one in passes]
    nodes = [index for index in range(len(names)) if index == 0 or names[index] != names[index - 1]]
    own = np.full(len(nodes), -1, dtype=np.int64)
    missed: list[Floats] = []
    cells = np.divmod(np.arange(belt.inside.size), belt.inside.shape[1])
    for number, index in enumerate(nodes):
        fixed = [name for name in field if node_of(name) == names[index]]
        if fixed and look_s is not None:
            own[number] = len(missed)
            miss = np.ones(belt.inside.size)
            for name in fixed:
                miss *= 1.0 - field[name].glance((cells[0] + belt.row, cells[1] + belt.col), look_s)
            missed.append(miss)
    values = [one.rates if look_s is None else one.looks(look_s) for one in passes]
    empty = np.zeros((0, moving.steps), dtype=np.int64)
    return Entries(
        first=np.stack([one.first + start for one, start in zip(passes, starts, strict=True)]) if passes else empty,
        last=np.stack([one.last + start for one, start in zip(passes, starts, strict=True)]) if passes else empty,
        cells=np.concatenate([one.cells for one in passes]) if passes else np.zeros(0, dtype=np.int32),
        values=np.concatenate(values) if passes else np.zeros(0, dtype=np.float32),
        nodes=np.array([*nodes, len(names)], dtype=np.int64),
        own=own,
        missed=np.stack(missed) if missed else np.zeros((0, belt.inside.size)),
    )


def fixed_count(field: Field, belt: Belt, counted: Counted) -> npt.NDArray[np.int32]:
    """How many nodes of the field count at the cells of the belt's piece, one after the other; 0 outside the belt."""
    found = np.zeros(belt.inside.shape, dtype=np.int32)
    rows, cols = np.nonzero(belt.inside)
    found[rows, cols] = field.count_at((rows + belt.row, cols + belt.col), counted.look_s, counted.count_p)
    return found.ravel()


def summed(moving: Moving, field: Field, belt: Belt, counted: Counted) -> Summed:
    """The moving sensors' summed rate, step by step, to go with `breach.summed` of the fixed ones' `field`.

    As in a field a duty makes no rate smaller: it is the probabilities that it dims. Where k nodes are asked for and
    the fixed ones alone are too few, what counts at a step is the rate of all sensors or, where with the moving ones
    there are still too few, nothing; so that the sum of both is the rate that counts.
    """
    told = entries(moving, field, belt, None)
    # Steps at which all sensors look alike are summed once.
    alike, back = np.unique(np.concatenate((told.first, told.last)), axis=1, return_inverse=True)
    back = back.reshape(-1)
    first, last = (np.ascontiguousarray(part) for part in np.split(alike, 2))
    most = int((last - first).sum())
    cells, values = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.float32)
    starts, ends = np.zeros(alike.shape[1], dtype=np.int64), np.zeros(alike.shape[1], dtype=np.int64)
    if counted.k == 1 or not most:
        looks, base, fixed = told.values, np.zeros(0, dtype=np.int32), np.zeros(0)
        nodes = told
    else:
        nodes = entries(moving, field, belt, counted.look_s)
        looks, base = nodes.values, fixed_count(field, belt, counted)
        fixed = np.asarray(field.rates(belt.slices).ravel() * UNIT, dtype=np.float64)
    count = _sum(
        first, last, told.cells, told.values, looks, nodes.nodes, nodes.own, nodes.missed, base, fixed, counted.k,
        counted.count_p, belt.inside.size, starts, ends, cells, values,
    )  # fmt: skip
    return Summed(starts[back], ends[back], cells[:count].copy(), values[:count].copy(), moving.step, moving.periodic)


def mean_rates(summed: Summed, shape: tuple[int, int]) -> Floats:
    """The summed rate's average [1/s] over the cycle or horizon (north, east), over a belt's piece of this shape."""
    times = np.zeros(len(summed.cells) + 1)
    np.add.at(times, summed.first, 1.0)
    np.add.at(times, summed.last, -1.0)
    weights = np.cumsum(times)[:-1] * summed.rates
    found = np.bincount(summed.cells, weights, shape[0] * shape[1])
    return np.asarray(found.reshape(shape) / len(summed.first), dtype=np.float64)


def counting(field: Field, moving: Moving, belt: Belt, cells: Integers, clock: Floats, counted: Counted) -> Bools:
    """Whether at least k nodes count, moving ones included, at pieces of a path: cells of the raster (m, 2) and the
    times [s] at which somebody is there (m,).
    """
    at = cells[:, 0], cells[:, 1]
    count = field.count_at(at, counted.look_s, counted.count_p)
    rows, cols = cells[:, 0] - belt.row, cells[:, 1] - belt.col
    inside = (rows >= 0) & (rows < moving.shape[0]) & (cols >= 0) & (cols < moving.shape[1])
    place = np.where(inside, rows * moving.shape[1] + cols, -1)
    steps = moving.at(clock)
    for node, passes in itertools.groupby(moving.passes, lambda one: node_of(one.sensor)):
        alone = np.ones(len(cells))
        for name in field:
            if node_of(name) == node:
                alone *= 1.0 - field[name].glance(at, counted.look_s)
        missed = alone.copy()
        for one in passes:
            _dim(one.first, one.last, one.cells, one.looks(counted.look_s), place, steps, missed)
        count += (1.0 - missed >= counted.count_p).astype(np.int32) - (1.0 - alone >= counted.count_p)
    return np.asarray(count >= counted.k)


# --- kernels


@njit()
def _sum(
    first: Integers, last: Integers, at: npt.NDArray[np.int32], rates: npt.NDArray[np.float32],
    looks: npt.NDArray[np.float32], nodes: Integers, own: Integers, missed: Floats, base: npt.NDArray[np.int32],
    fixed: Floats, k: int, count_p: float, size: int, starts: Integers, ends: Integers, cells: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
) -> int:  # fmt: skip
    """How many entries the sum has; fills them in, and where those of each step begin and end.

    base, fixed (size,): how many fixed nodes count and what rate the fixed sensors have together, cell by cell.
    """
    stamp, slot = np.full(size, -1, dtype=np.int64), np.zeros(size, dtype=np.int64)
    counts, tally = np.zeros(size, dtype=np.int32), tally_of(size)
    count = 0
    for step in range(first.shape[1]):
        starts[step] = count
        for p in range(first.shape[0]):
            for i in range(first[p, step], last[p, step]):
                cell = at[i]
                if stamp[cell] != step:
                    stamp[cell], slot[cell] = step, count
                    cells[count], values[count] = cell, rates[i]
                    count += 1
                else:
                    values[slot[cell]] += rates[i]
        if len(base) > 0:
            some = count
            count = starts[step]
            for i in range(some - count):
                counts[cells[count + i]] = base[cells[count + i]]
            add_nodes(first, last, step, at, looks, nodes, own, missed, count_p, tally, counts)
            for i in range(starts[step], some):
                cell = cells[i]
                if counts[cell] < k:
                    continue
                cells[count] = cell
                values[count] = values[i] + (fixed[cell] if base[cell] < k else 0.0)
                count += 1
        ends[step] = count
    return count


Tally = tuple[Integers, Floats, Integers]


@njit()
def tally_of(size: int) -> Tally:
    """What `add_nodes` writes on, for a piece of so many cells."""
    return np.full(size, -1, dtype=np.int64), np.ones(size), np.zeros(size, dtype=np.int64)


@njit()
def add_nodes(
    first: Integers, last: Integers, step: int, at: npt.NDArray[np.int32], looks: npt.NDArray[np.float32],
    nodes: Integers, own: Integers, missed: Floats, count_p: float, tally: Tally, counts: npt.NDArray[np.int32],
) -> None:  # fmt: skip
    """Adds the moving nodes that count at a step to how many fixed ones do, cell by cell; with its fixed sensors' help
    if it has some, and not where these count without it.
    """
    stamp, miss, touched = tally
    for node in range(len(own)):
        mark = step * len(own) + node
        some = 0
        for p in range(nodes[node], nodes[node + 1]):
            for i in range(first[p, step], last[p, step]):
                cell = at[i]
                if stamp[cell] != mark:
                    stamp[cell] = mark
                    miss[cell] = missed[own[node], cell] if own[node] >= 0 else 1.0
                    touched[some] = cell
                    some += 1
                miss[cell] *= 1.0 - looks[i]
        for i in range(some):
            cell = touched[i]
            if 1.0 - miss[cell] >= count_p and not (own[node] >= 0 and 1.0 - missed[own[node], cell] >= count_p):
                counts[cell] += 1


@njit()
def _dim(
    first: Integers, last: Integers, cells: npt.NDArray[np.int32], looks: npt.NDArray[np.float32], place: Integers,
    steps: Integers, missed: Floats,
) -> None:  # fmt: skip
    """Multiplies what is missed at places (m,) at steps (m,) by what one sensor's pass there misses."""
    for i in range(len(place)):
        if place[i] < 0 or steps[i] < 0:
            continue
        low, high = first[steps[i]], last[steps[i]]
        while low < high:
            middle = (low + high) // 2
            if cells[middle] < place[i]:
                low = middle + 1
            else:
                high = middle
        if low < last[steps[i]] and cells[low] == place[i]:
            missed[i] *= 1.0 - looks[low]
