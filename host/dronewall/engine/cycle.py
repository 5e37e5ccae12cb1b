"""The whole answer over time: one cycle of the drones' plan in, where and when the line can be crossed out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import Stations
from dronewall.engine.ground import Ground
from dronewall.engine.levels import Level
from dronewall.engine.patrol import Plan
from dronewall.engine.revisit import Revisit
from dronewall.scenario import Target as TargetSpec

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Opening:
    """Stretch of frontage, from start to end [m of chainage], that can be crossed at times, or always: where setting
    out at the right moment on the best way there, without waiting, is detected with less than the threshold.

    times: (from, to) [s] of setting out at which one of its stations is open, within the cycle and in order; one that
    wraps round the cycle's end has to > the cycle's length. open: their sum [s]. always: open at all times.
    probability_least: the least P on its stations at all times.
    """

    start: float
    end: float
    times: tuple[tuple[float, float], ...]
    open: float
    always: bool
    probability_least: float


@dataclass(frozen=True)
class TimedCrossing:
    """A way across on a clock: east, north [site m] of its points (n,) and the time [s] at which the walker comes
    there; from sets_out to arrives [s], of which he waits `waits` [s]; chainage [m] where it first crosses the frontage.
    probability: of being detected, audited; before: of being detected before the frontage.
    """

    east: Floats
    north: Floats
    clock: Floats
    sets_out: float
    arrives: float
    waits: float
    chainage: float
    probability: float
    before: float


@dataclass(frozen=True)
class TargetCycle:
    """What the line sees of one target at one level over a cycle (or horizon) of its drones.

    stations: the frontage's, with the fixed sensors and the drones' average. revisit: of the belt's cells (north, east)
    of its piece of the raster; station_revisit: of the stations (n,). watched (n, steps): whether a station is, at each
    step.

    outsets (m,): times of setting out [s]. crossing_p (n, m): probability of being detected on the station's best way
    for one who knows no schedule, setting out then, without waiting. unknowing_p (n,): its mean over the times.
    knowing_p (n,): the least for one who knows the schedule and chooses when, where within `lateral_m`, and when to
    wait; knowing_outset, knowing_waits (n,): when he sets out and how long he waits [s]. All nan where nobody can go.

    unknowing, knowing: the weakest of the whole line, each way with its P; None where nobody can cross. openings: by
    chainage.
    """

    target: TargetSpec
    level: Level
    stations: Stations
    revisit: Revisit
    station_revisit: Revisit
    watched: Bools
    outsets: Floats
    crossing_p: Floats
    unknowing_p: Floats
    knowing_p: Floats
    knowing_outset: Floats
    knowing_waits: Floats
    unknowing: TimedCrossing | None
    knowing: TimedCrossing | None
    openings: tuple[Opening, ...]


@dataclass(frozen=True)
class Lost:
    """A drone lost at the worst moment, at [s]: back [s] later the next one of its sortie is on station, None: never.
    targets: for each target and level the knowing walker's least P with it and without it.
    """

    drone: str
    sortie: str
    at: float
    back: float | None
    targets: tuple[tuple[TargetSpec, Level, float, float], ...]


@dataclass(frozen=True)
class Cycle:
    """The answers over one cycle of the plan, or over a horizon where it has none.

    length [s]; step [s] and steps: how it is cut; periodic: whether it begins anew after `length`. frusta (steps,): of
    the drones' sensors that are in the air in the middle of each step, by name. targets: as of `Coverage.targets`.
    """

    ground: Ground
    plan: Plan
    length: float
    step: float
    steps: int
    periodic: bool
    frusta: tuple[Mapping[str, Frustum], ...]
    targets: tuple[TargetCycle, ...]
    losses: tuple[Lost, ...]
    max_crossing: Mapping[str, float]
    digest: str
    version: str
