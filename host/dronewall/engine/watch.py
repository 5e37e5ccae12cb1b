"""A line as a search in space and time walks on it: one target, what watches it, and the slots of its time."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dronewall.engine.belt import Belt
from dronewall.engine.breach import Going, Guide, guide_of
from dronewall.engine.floor import PER_CELL, Edge, Footing
from dronewall.engine.moving import Summed
from dronewall.engine.timetable import Timetable, timetable

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

HASTE = 2e-4
"""Exposure that a crossing in the longest time allowed counts as more than one in no time: ways that are noticed alike
to this are told apart by the time that they take. Far below what a probability is told to; what costs are summed in (32
bits) would lose less.
"""

_STILL = 0.9
"""Standing still counts so much of that: rather still than to and fro."""


@dataclass(frozen=True)
class Watch:
    """What watches the belt's piece of the raster (north, east): the summed rates [1/s] of the fixed sensors and of the
    drones, for a target that moves, and for one that stands still.
    """

    fixed: Floats
    fixed_still: Floats
    moving: Summed
    moving_still: Summed


@dataclass(frozen=True)
class Line:
    """All that the searches of one line share: its belt, front and behind [m] deep, how the target gets on there, and
    what watches it; these as a search walks on them, start and end the ways in and out. longest: slots that a way may
    last; outsets: in which it may begin. haste: what a second counts. guide: to the best ways while no drone is there.
    """

    belt: Belt
    going: Going
    front: float
    behind: float
    watch: Watch
    ground: Footing
    start: Edge
    end: Edge
    moving: Timetable
    still: Timetable | None
    longest: int
    outsets: int
    haste: float
    guide: Guide

    @cached_property
    def cells_ahead(self) -> Bools:
        """Cells that lead to the frontage."""
        return self.open & (self.belt.offset >= 0.0)

    @cached_property
    def cells_behind(self) -> Bools:
        """Cells that lead from it."""
        return self.open & (self.belt.offset < 0.0)

    @cached_property
    def open(self) -> Bools:
        """Cells that somebody can enter."""
        return np.isfinite(self.ground.weight)

    @cached_property
    def by_chainage(self) -> tuple[Integers, Floats]:
        """Open cells, flat, and their chainages [m], rising."""
        cells = np.flatnonzero(self.open)
        chainage = self.belt.chainage.ravel()[cells].astype(np.float64)
        order = np.argsort(chainage, kind="stable")
        return cells[order], chainage[order]

    def between(self, low: float, high: float) -> Integers:
        """Open cells, flat, whose chainage is from low to high [m]."""
        cells, chainage = self.by_chainage
        return cells[np.searchsorted(chainage, low) : np.searchsorted(chainage, high, side="right")]

    def last(self, outsets: int) -> int:
        """Slots that a search lasts whose ways begin in so many."""
        return outsets - 1 + self.longest


def line_of(belt: Belt, going: Going, front: float, behind: float, watch: Watch, max_crossing: float) -> Line:
    """What a target meets who is to be across in max_crossing [s]. front, behind: the belt's depths [m]."""
    haste = HASTE / max_crossing
    seconds = going.seconds(belt.inside.shape)
    open_ = belt.inside & np.isfinite(seconds)
    seconds = np.where(open_, seconds, np.inf)
    weight = np.where(open_, watch.fixed * np.where(open_, seconds, 0.0), np.inf)
    told = seconds[open_]
    uniform = going.heights is None and not (told.size and told.min() < told.max())
    # Where cells differ the slots are those of the quickest, but for a few.
    typical = 1.0 / going.speed if not told.size else float(np.quantile(told, 0.05, method="lower"))
    slot = belt.cell * typical / PER_CELL
    ground = Footing(
        weight, seconds, watch.fixed_still + _STILL * haste, going.heights, belt.cell, slot, uniform, haste * slot
    )
    edges = []
    for cells, metres in ((belt.far, front - belt.offset), (belt.near, behind + belt.offset)):
        cost, time = np.full(weight.shape, np.inf), np.zeros(weight.shape)
        cells = cells & open_
        time[cells] = np.maximum(metres[cells], 0.0) * seconds[cells]
        cost[cells] = np.maximum(metres[cells], 0.0) * weight[cells]
        edges.append(Edge(cost, time))
    moving = timetable(watch.moving, belt.inside.size)
    same = watch.moving_still is watch.moving or (
        watch.moving_still.cells is watch.moving.cells and watch.moving_still.rates is watch.moving.rates
    )
    still = None if same else timetable(watch.moving_still, belt.inside.size)
    longest = int(max_crossing / slot + 1e-9)
    return Line(
        belt,
        going,
        front,
        behind,
        watch,
        ground,
        edges[0],
        edges[1],
        moving,
        still,
        longest,
        int(np.ceil(moving.cycle / slot - 1e-9)),
        haste,
        guide_of(belt, watch.fixed + haste, going, front, behind, route=False),
    )
