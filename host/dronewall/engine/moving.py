"""What the drones' sensors see of the belt, step by step: windows that come and go on a clock.

A step lasts `step` seconds, and the frusta of its middle stand for all of it. One cycle of a periodic plan is kept and
wraps round; of a plan without a cycle a horizon is kept, and before and after it no drone is known to be anywhere.
"""

import contextlib
import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.belt import Belt
from dronewall.engine.detection import DetectionError, Rate, Target
from dronewall.engine.frustum import Frustum
from dronewall.engine.ground import Ground
from dronewall.engine.levels import rates
from dronewall.engine.models import moving_only
from dronewall.engine.pool import CORES, Pool
from dronewall.engine.wall import environment_of

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_TOGETHER = 8
"""Frusta that a thread takes at a time: enough that handing them out costs nothing."""


@dataclass(frozen=True)
class Passes:
    """One moving sensor's detection of one target, over the cells of the belt's piece of the raster, step by step.

    first, last (steps,): the entries of step k are first[k] to last[k]; steps with the same frustum share theirs. Of
    the entries (m,): cells int32, row times columns plus column in the belt's piece, rising within a step; rates
    float32 [1/s] and ceilings float32 [0..1] while the sensor is awake; shares (draws, m) uint8 and weights (draws,)
    as of `detection.Draws`, both of no draws where the pose is taken as it is. duty: share of the time that the sensor
    is awake. moving_only: whether it sees nothing of a target that stands still.
    """

    sensor: str
    first: Integers
    last: Integers
    cells: npt.NDArray[np.int32]
    rates: npt.NDArray[np.float32]
    ceilings: npt.NDArray[np.float32]
    shares: npt.NDArray[np.uint8]
    weights: Floats
    duty: float
    moving_only: bool = False

    def looks(self, look_s: float) -> npt.NDArray[np.float32]:
        """Probability that a look of `look_s` seconds detects the target, of the entries (m,), as `Stored.glance`."""
        found = np.empty(len(self.cells), dtype=np.float32)
        _look(self.rates, self.ceilings, self.shares, self.weights, self.duty, look_s, found)
        return found


@dataclass(frozen=True)
class Moving:
    """What all moving sensors make of one target at one level: their passes by name, sorted.

    step [s], steps: step k lasts from k step to (k + 1) step. periodic: step 0 follows the last one. shape: rows and
    columns of the belt's piece of the raster. doubtful: its cells (north, east) of which one of the sensors cannot at
    some step say whether it sees them; None where there are none.
    """

    passes: tuple[Passes, ...]
    step: float
    steps: int
    periodic: bool
    shape: tuple[int, int]
    doubtful: Bools | None = None

    @property
    def length(self) -> float:
        """The cycle, or the horizon [s]."""
        return self.step * self.steps

    @property
    def nbytes(self) -> int:
        """Bytes that the entries take."""
        kept = (part for one in self.passes for part in (one.cells, one.rates, one.ceilings, one.shares))
        return sum(part.nbytes for part in kept)

    def at(self, clock: Floats) -> Integers:
        """The steps of times [s]; -1 outside a horizon."""
        steps = np.floor(np.asarray(clock) / self.step + 1e-9)
        if self.periodic:
            return np.asarray(steps % self.steps, dtype=np.int64)
        return np.asarray(np.where((steps >= 0) & (steps < self.steps), steps, -1), dtype=np.int64)


@dataclass(frozen=True)
class Summed:
    """The summed rate of the moving sensors, step by step, as the searches take it: entries of step k are first[k] to
    last[k] (steps,); cells int32 and rates float32 [1/s] (m,), every cell once in a step.
    """

    first: Integers
    last: Integers
    cells: npt.NDArray[np.int32]
    rates: npt.NDArray[np.float32]
    step: float
    periodic: bool


@dataclass(frozen=True)
class _Part:
    """What one frustum adds to the passes: cells, rates, ceilings and shares of one target at one level, the draws'
    weights, and the doubtful cells of the piece.
    """

    cells: npt.NDArray[np.int32]
    rates: npt.NDArray[np.float32]
    ceilings: npt.NDArray[np.float32]
    shares: npt.NDArray[np.uint8]
    weights: Floats
    doubtful: npt.NDArray[np.int32]


def moving(
    ground: Ground,
    frusta: Sequence[Mapping[str, Frustum]],
    step: float,
    periodic: bool,
    targets: Sequence[Target],
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[Moving, Moving]]:
    """What the moving sensors see of each target, expected and assured, as `levels.rates` tells it of one of them.

    frusta: of the sensors in the air in the middle of each step of `step` seconds, by name. Equal ones of a sensor are
    computed once, on all cores. Only cells inside the belt are kept. A sensor that sleeps by the clock (`awake` duty)
    assures nothing. progress: called with the number of frusta done and of all. Raises DetectionError, which names the
    sensor, also where its model, its duty or the draws of its heading change from one step to the next; ValueError
    where there is no step or it lasts no time.
    """
    if not frusta or not (math.isfinite(step) and step > 0.0):
        raise ValueError(f"{len(frusta)} steps of {step} s; expected one or more, each longer than 0 s")
    numbers: dict[str, dict[tuple[object, ...], int]] = {}
    different: dict[str, list[Frustum]] = {}
    which = {name: np.full(len(frusta), -1, dtype=np.int64) for name in sorted({name for at in frusta for name in at})}
    for number, at in enumerate(frusta):
        for name, frustum in at.items():
            known = numbers.setdefault(name, {})
            one = known.setdefault(_pose(frustum), len(known))
            which[name][number] = one
            if one == len(different.setdefault(name, [])):
                different[name].append(frustum)
            _check_alike(name, different[name][0], frustum)
    tasks = [
        (name, frusta_of[i : i + _TOGETHER])
        for name, frusta_of in sorted(different.items())
        for i in range(0, len(frusta_of), _TOGETHER)
    ]
    total, done = sum(map(len, different.values())), 0
    found: list[tuple[list[Passes], list[Passes]]] = [([], []) for _ in targets]
    doubts = [(np.zeros(ground.belt.inside.size, np.bool_), np.zeros(ground.belt.inside.size, np.bool_)) for _ in found]
    parts: list[list[tuple[_Part, _Part]]] = []
    for name, some in _computed(ground, tasks, targets):
        parts += some
        done += len(some)
        if progress is not None:
            progress(done, total)
        if len(parts) < len(different[name]):
            continue
        for index, level in itertools.product(range(len(targets)), (0, 1)):
            if level == 1 and different[name][0].awake == "duty":
                continue
            pieces = [part[index][level] for part in parts]
            found[index][level].append(_passes(name, different[name][0], which[name], pieces))
            for piece in pieces:
                doubts[index][level][piece.doubtful] = True
        parts = []
    shape = (ground.belt.inside.shape[0], ground.belt.inside.shape[1])

    def whole(index: int, level: int) -> Moving:
        doubt = doubts[index][level].reshape(shape) if doubts[index][level].any() else None
        return Moving(tuple(found[index][level]), step, len(frusta), periodic, shape, doubt)

    return [(whole(index, 0), whole(index, 1)) for index in range(len(targets))]


def _pose(frustum: Frustum) -> tuple[object, ...]:
    """What tells two frusta of a sensor apart: all but the model, which is one dictionary's contents at all steps."""
    return tuple(getattr(frustum, name) for name in _TELLING)


_TELLING = [field.name for field in dataclasses.fields(Frustum) if field.name != "model"]


def _check_alike(name: str, first: Frustum, frustum: Frustum) -> None:
    for key in ("model", "duty", "awake", "shape", "hfov", "azimuth_sigma"):
        if getattr(first, key) != getattr(frustum, key):
            raise DetectionError(
                f"{name}: its {key} changes from {getattr(first, key)} to {getattr(frustum, key)} on the way; "
                "expected the same at all steps"
            )


def _computed(
    ground: Ground, tasks: Sequence[tuple[str, Sequence[Frustum]]], targets: Sequence[Target]
) -> Iterator[tuple[str, list[list[tuple[_Part, _Part]]]]]:
    """The parts of each task's frusta, target by target, in the tasks' order; computed on all cores, a few ahead."""
    belt, environment = ground.belt, environment_of(ground.scenario.environment)
    asked = np.zeros(ground.terrain.shape, dtype=np.bool_)
    asked[belt.slices] = belt.inside
    ground.terrain.prepare()  # here, once: all threads would begin by making it

    def made(some: Sequence[Frustum]) -> list[list[tuple[_Part, _Part]]]:
        parts = []
        for frustum in some:
            if not _meets(ground, frustum):
                parts.append([(_NOTHING, _NOTHING)] * len(targets))
                continue
            confidence = ground.scenario.thresholds.confidence
            pairs = rates(ground.terrain, frustum, targets, confidence, environment, asked=asked)
            parts.append([(_part(mean, belt), _part(least, belt)) for mean, least in pairs])
        return parts

    waiting = iter(tasks)
    running: deque[tuple[str, Future[list[list[tuple[_Part, _Part]]]]]] = deque()
    with contextlib.closing(Pool()) as pool:
        while True:
            for name, some in itertools.islice(waiting, 4 * CORES - len(running)):
                running.append((name, pool.submit(made, some)))
            if not running:
                return
            name, future = running.popleft()
            yield name, future.result()


def _meets(ground: Ground, frustum: Frustum) -> bool:
    """Whether a frustum's range reaches the box around the belt; one that errs so far that it may be anywhere does."""
    belt, terrain = ground.belt, ground.terrain
    rows, cols = belt.inside.shape
    west, south = terrain.west + belt.col * terrain.cell, terrain.south + belt.row * terrain.cell
    aside = max(west - frustum.east, frustum.east - (west + cols * terrain.cell), 0.0)
    ahead = max(south - frustum.north, frustum.north - (south + rows * terrain.cell), 0.0)
    return math.hypot(aside, ahead) <= frustum.range_max + 4.0 * math.hypot(
        frustum.position_sigma, frustum.height_sigma
    )


_NOTHING = _Part(
    np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros((0, 0), np.uint8), np.zeros(0),
    np.zeros(0, np.int32),
)  # fmt: skip


def _part(rate: Rate, belt: Belt) -> _Part:
    """A sensor's window, of which only cells inside the belt are left."""

    def placed(window: Indices) -> tuple[npt.NDArray[np.int32], Indices]:
        """Of cells of the window, those in the belt by their place in its piece, and which they are."""
        places, which = np.empty(len(window), dtype=np.int32), np.empty(len(window), dtype=np.intp)
        count = _place(window, rate.shape[1], rate.row - belt.row, rate.col - belt.col, belt.inside, places, which)
        return places[:count], which[:count]

    cells, kept = placed(rate.cells)
    shares, weights = np.zeros((0, len(cells)), dtype=np.uint8), np.zeros(0)
    if rate.draws is not None:
        shares, weights = rate.draws.shares[:, kept], rate.draws.weights
    dark = np.flatnonzero(rate.unknown) if rate.unknown.any() else np.zeros(0, dtype=np.intp)
    return _Part(
        cells,
        rate.rates[kept].astype(np.float32),
        rate.ceilings[kept].astype(np.float32),
        shares,
        weights,
        placed(dark)[0],
    )


def _passes(name: str, frustum: Frustum, which: Integers, parts: Sequence[_Part]) -> Passes:
    """A sensor's passes: at step k it has the frustum with the number which[k], -1: none."""
    ends = np.cumsum([0] + [len(part.cells) for part in parts])
    there = which >= 0
    weights = next((part.weights for part in parts if len(part.cells)), np.zeros(0))
    for part in parts:
        if len(part.cells) and len(part.weights) != len(weights):
            raise DetectionError(
                f"{name}: {len(part.weights)} draws of its heading's error after {len(weights)}; expected the same "
                "field of view and errors at all steps"
            )
    shares = np.zeros((len(weights), ends[-1]), dtype=np.uint8)
    for part, start, end in zip(parts, ends, ends[1:], strict=False):
        if end > start:
            shares[:, start:end] = part.shares
    return Passes(
        sensor=name,
        first=np.where(there, ends[which], 0),
        last=np.where(there, ends[which + 1], 0),
        cells=np.concatenate([part.cells for part in parts]),
        rates=np.concatenate([part.rates for part in parts]),
        ceilings=np.concatenate([part.ceilings for part in parts]),
        shares=shares,
        weights=weights,
        duty=frustum.duty,
        moving_only=moving_only(frustum.model),
    )


def still(moving: Moving) -> Moving:
    """What the same sensors make of the target when it stands still: those that see only what moves see nothing."""
    return dataclasses.replace(moving, passes=tuple(one for one in moving.passes if not one.moving_only))


def by_cell(
    first: Integers, last: Integers, cells: npt.NDArray[np.int32], size: int
) -> tuple[Integers, Integers, Integers]:
    """The entries of all steps by cell: those of cell c are starts[c] to starts[c + 1] of (steps, entries), in the
    order of the steps. size: cells of the belt's piece.
    """
    starts = np.zeros(size + 1, dtype=np.int64)
    total = int((last - first).sum())
    steps, entries = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
    _sort_by_cell(first, last, cells, starts, steps, entries)
    return starts, steps, entries


@njit()
def _sort_by_cell(
    first: Integers, last: Integers, cells: npt.NDArray[np.int32], starts: Integers, steps: Integers, entries: Integers
) -> None:
    """Fills in starts, steps and entries."""
    for k in range(first.size):
        for e in range(first[k], last[k]):
            starts[cells[e] + 1] += 1
    for c in range(starts.size - 1):
        starts[c + 1] += starts[c]
    at = starts[:-1].copy()
    for k in range(first.size):
        for e in range(first[k], last[k]):
            place = at[cells[e]]
            at[cells[e]] += 1
            steps[place], entries[place] = k, e


@njit()
def _place(
    window: Indices, width: int, row: int, col: int, inside: Bools, places: npt.NDArray[np.int32], which: Indices
) -> int:
    """How many cells of a window `width` wide are inside the belt; fills in their places in its piece, and which they
    are. The window's first cell is (row, col) of the piece.
    """
    count = 0
    for i in range(len(window)):
        down = window[i] // width
        y, x = row + down, col + window[i] - down * width
        if 0 <= y < inside.shape[0] and 0 <= x < inside.shape[1] and inside[y, x]:
            places[count], which[count] = y * inside.shape[1] + x, i
            count += 1
    return count


@njit()
def _look(
    rates: npt.NDArray[np.float32], ceilings: npt.NDArray[np.float32], shares: npt.NDArray[np.uint8], weights: Floats,
    duty: float, look_s: float, found: npt.NDArray[np.float32],
) -> None:  # fmt: skip
    """Fills in each entry's probability of a look; where the rate is a mean, averaged over the draws."""
    for i in range(len(rates)):
        likely = 1.0
        if len(weights) > 0:
            likely = 0.0
            for d in range(len(weights)):
                likely += shares[d, i] * (weights[d] / 255.0)
        full = rates[i] / likely if likely > 0.0 else 0.0
        found[i] = duty * likely * min(float(ceilings[i]), -math.expm1(-full * look_s))
