"""How often a place is looked at: share of the time watched, the longest time unwatched, the time-average gap.

A place is watched at a step if what looks there at that moment would in a look of `look_s` detect with at least
`line_p`, and where k nodes are asked for, if that many of them count: the line's status, as `gaps.stations` has it,
with the drones where they are.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.breach import Counted
from dronewall.engine.field import Field
from dronewall.engine.ground import Ground
from dronewall.engine.moving import Moving
from dronewall.engine.together import add_nodes, entries, fixed_count, tally_of

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Revisit:
    """Of places (...,), cells (north, east) or stations (n,), over one cycle or horizon of length T [s].

    share: of T that the place is watched. longest: longest time unwatched [s], T where it never is. time_average: the
    time-average gap, sum of gap^2 / T [s], T where it is never watched. next_look: seconds from time 0 until it is
    watched, 0 where it is then, inf where it never is. nan where the ground is unknown, all of them.
    """

    share: Floats
    longest: Floats
    time_average: Floats
    next_look: Floats


@dataclass(frozen=True)
class Watched:
    """How often the cells of the belt's piece of the raster are watched (`cells`; nan outside the belt), and the
    frontage's stations (`stations`); at: at which steps each station is (n, steps).
    """

    cells: Revisit
    stations: Revisit
    at: Bools


def watched(ground: Ground, field: Field, moving: Moving) -> Watched:
    """How often places are watched by the fixed sensors of `field` and by the moving ones, by the site's thresholds.

    The intervals of a periodic plan wrap round; those of a horizon are cut at its ends.
    """
    thresholds, belt, terrain = ground.scenario.thresholds, ground.belt, ground.terrain
    counted = Counted(thresholds.k, thresholds.look_s, thresholds.count_p)
    told = entries(moving, field, belt, counted.look_s)
    missed = 1.0 - field.look(counted.look_s)[belt.slices].ravel().astype(np.float64)
    base = np.zeros(0, dtype=np.int32) if counted.k == 1 else fixed_count(field, belt, counted)
    rows, cols = terrain.cells(*ground.frontage.at(ground.frontage.stations(terrain.cell)))
    row, col = rows - belt.row, cols - belt.col
    there = (rows >= 0) & (row >= 0) & (row < belt.inside.shape[0]) & (col >= 0) & (col < belt.inside.shape[1])
    place = np.where(there, row * belt.inside.shape[1] + col, 0)
    # Several stations may stand in one cell: each cell has a row of its own, and those that nobody asks for have none.
    held, back = np.unique(place, return_inverse=True)
    row_of = np.full(belt.inside.size, -1, dtype=np.int64)
    row_of[held] = np.arange(len(held))
    bits = np.zeros((len(held), moving.steps), dtype=np.bool_)
    runs = np.zeros((5, belt.inside.size), dtype=np.int64)
    _walk(
        told.first, told.last, told.cells, told.values, told.nodes, told.own, told.missed, missed, base, counted.k,
        counted.count_p, thresholds.line_p, row_of, bits, *runs,
    )  # fmt: skip
    seen = np.zeros(belt.inside.size, dtype=np.bool_)
    seen[told.cells] = True
    dark = np.isnan(terrain.ground_amsl[belt.slices]) | ~belt.inside
    doubtful = field.doubtful()[belt.slices]
    if moving.doubtful is not None:
        doubtful |= moving.doubtful & (field.rates(belt.slices) == 0)
    dark |= doubtful & ~seen.reshape(dark.shape)
    at = bits[back.reshape(-1)] & there[:, None]
    return Watched(
        _revisit(runs.reshape(5, *dark.shape), moving.step, moving.steps, moving.periodic, dark),
        intervals(at, moving.step, moving.periodic, dark.ravel()[place] | ~there),
        at,
    )


def intervals(at: Bools, step: float, periodic: bool, dark: Bools | None = None) -> Revisit:
    """How often places are watched that are at these of some steps (n, steps), each of `step` seconds. dark (n,): of
    which nobody can say; left out, none.
    """
    runs = np.zeros((5, len(at)), dtype=np.int64)
    for number in range(at.shape[1]):
        _mark(np.flatnonzero(at[:, number]), number, *runs)
    return _revisit(runs, step, at.shape[1], periodic, np.zeros(len(at), dtype=np.bool_) if dark is None else dark)


def _revisit(runs: Integers, step: float, steps: int, periodic: bool, dark: Bools) -> Revisit:
    """What the runs between the steps at which places are watched come to. runs (5, ...): how many steps these are, the
    first and the last of them, the longest run between two and the sum of the runs' squares. dark: places of which
    nobody can say.
    """
    count, first, last, longest, squares = runs
    never = count == 0
    before, after = first, steps - 1 - last
    if periodic:
        before, after = before + after, np.zeros_like(after)
    longest = np.where(never, steps, np.maximum(longest, np.maximum(before, after)))
    squares = np.where(never, steps * steps, squares + before * before + after * after)

    def known(values: npt.NDArray[Any]) -> Floats:
        return np.asarray(np.where(dark, np.nan, values), dtype=np.float64)

    return Revisit(
        share=known(count / steps),
        longest=known(longest * step),
        time_average=known(squares * (step / steps)),
        next_look=known(np.where(never, np.inf, first * step)),
    )


@njit()
def _mark(
    cells: Integers, step: int, count: Integers, first: Integers, last: Integers, longest: Integers, squares: Integers
) -> None:
    """Tells places that they are watched at a step."""
    for cell in cells:
        if count[cell] == 0:
            first[cell] = step
        else:
            run = step - 1 - last[cell]
            longest[cell] = max(longest[cell], run)
            squares[cell] += run * run
        count[cell] += 1
        last[cell] = step


@njit()
def _walk(
    starts: Integers, ends: Integers, at: npt.NDArray[np.int32], looks: npt.NDArray[np.float32], nodes: Integers,
    own: Integers, own_missed: Floats, fixed: Floats, base: npt.NDArray[np.int32], k: int, count_p: float,
    line_p: float, row_of: Integers, bits: Bools, count: Integers, first: Integers, last: Integers, longest: Integers,
    squares: Integers,
) -> None:  # fmt: skip
    """Fills in the runs of all cells and the steps of those with a row, step by step; only cells that a moving sensor
    sees at a step are asked. fixed: what the fixed sensors miss there; base: how many of their nodes count, if asked.
    """
    steps = starts.shape[1]
    always = np.zeros(len(fixed), dtype=np.bool_)
    for cell in range(len(fixed)):
        if 1.0 - fixed[cell] >= line_p and (len(base) == 0 or base[cell] >= k):
            always[cell] = True
            count[cell], last[cell] = steps, steps - 1
            if row_of[cell] >= 0:
                bits[row_of[cell]] = True
    stamp, missed = np.full(len(fixed), -1, dtype=np.int64), np.ones(len(fixed))
    touched, counts = np.zeros(len(fixed), dtype=np.int64), np.zeros(len(fixed), dtype=np.int32)
    tally = tally_of(len(fixed))
    for step in range(steps):
        some = 0
        for p in range(starts.shape[0]):
            for i in range(starts[p, step], ends[p, step]):
                cell = at[i]
                if always[cell]:
                    continue
                if stamp[cell] != step:
                    stamp[cell], missed[cell] = step, fixed[cell]
                    if len(base) > 0:
                        counts[cell] = base[cell]
                    touched[some] = cell
                    some += 1
                missed[cell] *= 1.0 - looks[i]
        if len(base) > 0:
            add_nodes(starts, ends, step, at, looks, nodes, own, own_missed, count_p, tally, counts)
        kept = 0
        for i in range(some):
            cell = touched[i]
            if 1.0 - missed[cell] >= line_p and (len(base) == 0 or counts[cell] >= k):
                touched[kept] = cell
                kept += 1
                if row_of[cell] >= 0:
                    bits[row_of[cell], step] = True
        _mark(touched[:kept], step, count, first, last, longest, squares)
