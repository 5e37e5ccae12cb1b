"""The whole answer over time: one cycle of the drones' plan in, where and when the line can be crossed out.

The fixed sensors are those of a coverage, as they are at its time; the drones are where the plan has them. Of a plan
without a cycle a horizon is looked at: nobody sets out after it, and the drones fly on.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial

import numpy as np

from dronewall import __version__
from dronewall.engine.breach import lane_paths
from dronewall.engine.field import node_of
from dronewall.engine.footprint import step_of
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import lane_pieces
from dronewall.engine.ground import Ground
from dronewall.engine.levels import LEVELS, Level
from dronewall.engine.models import moving_only
from dronewall.engine.moving import Moving, moving
from dronewall.engine.opening import Opening
from dronewall.engine.patrol import Plan, Sortie
from dronewall.engine.plan import airborne, plan_of
from dronewall.engine.schedule import Line, TargetCycle, TimedCrossing
from dronewall.engine.wall import Coverage, Source, TargetCoverage, gaps_of, going_of, target_of
from dronewall.scenario import Target as TargetSpec

__all__ = ["Cycle", "Lost", "Opening", "TargetCycle", "TimedCrossing", "Without", "cycle_of"]

_LONGEST_CROSSING = 3.0
"""A walker takes no longer than so many times what walking straight across takes, waiting included."""
_STEPS = (100, 20_000)
"""Steps of a cycle, at least where nobody asks for fewer, and at most."""
_LONGEST_STEP = 30.0
"""A step is no longer than this [s] ..."""
_SWEEP_STEPS = 8.0
"""... nor than such a part of a gimbal's sweep there and back, unless asked for."""
_PROBES = 97
"""Moments in the air at which the drones are asked how fast what they see moves."""
_SOON = 0.4
"""... from then until so much later [s]; what repeats itself does not do so in this time."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Without:
    """What a drone's loss makes of a target at a level: the knowing walker's least P with it and without it, nan where
    nobody can cross; open [m]: how much of the frontage is open, without waiting, on the mean over the times of setting
    out, likewise.
    """

    target: TargetSpec
    level: Level
    least: float
    least_without: float
    open: float
    open_without: float


@dataclass(frozen=True)
class Lost:
    """A drone lost for good, at the worst moment, at [s]: back [s] later the next one of its sortie is on station,
    None: never.
    """

    drone: str
    sortie: str
    at: float
    back: float | None
    targets: tuple[Without, ...]


@dataclass(frozen=True)
class Cycle:
    """The answers over one cycle of the plan, or over a horizon where it has none.

    length [s]; step [s] and steps: how it is cut; periodic: whether it begins anew after `length`. frusta (steps,): of
    the drones' sensors that are in the air in the middle of each step, by name. targets: as of `Coverage.targets`.
    silent: drones that do not count, for nobody hears of them. max_crossing [s], by target. source, at_unix_ms: of the
    coverage whose fixed sensors these are.
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
    silent: tuple[str, ...] = ()
    source: Source = "plan"
    at_unix_ms: int | None = None


def cycle_of(coverage: Coverage, progress: Progress | None = None, *, losses: bool = False) -> Cycle | None:
    """The answers over a cycle of the site file's plan, the fixed sensors as the coverage has them; None where no drone
    flies.

    A drone of which live or recorded reports tell nothing does not count. losses: also what each drone's loss does.
    progress(what, done, of all). Raises PatrolError where the plan cannot be flown, and DetectionError.
    """
    ground, scenario = coverage.ground, coverage.scenario
    plan = plan_of(ground)
    silent = _silent(coverage)
    flying = [drone for drone in plan.sortie_of if drone not in silent]
    if not flying:
        return None
    told: Progress = (lambda what, done, of: None) if progress is None else progress
    longest = {spec.name: scenario.patrol.max_crossing_s or _longest(ground, spec) for spec in scenario.targets}
    length = plan.cycle or scenario.patrol.horizon_s
    whole = length if plan.cycle is not None else length + max(longest.values())
    step, steps = _cut(ground, plan, length)
    frusta = tuple(
        {name: frustum for name, frustum in airborne(ground, plan, (k + 0.5) * step) if node_of(name) not in silent}
        for k in range(math.ceil(whole / step - 1e-9))
    )
    seen = moving(
        ground,
        frusta,
        step,
        plan.cycle is not None,
        [target_of(spec) for spec in scenario.targets],
        lambda done, of: told("what the drones see", done, of),
    )
    drones = {drone.name for drone in scenario.drones}
    lines = []
    for one in coverage.targets:
        name = one.target.name
        both = seen[list(longest).index(name)]
        lines.append(_line(coverage, one, both[LEVELS.index(one.level)], drones, length, steps, longest[name]))
    found = []
    for number, line in enumerate(lines):
        what = f"ways across in time, {number + 1} of {len(lines)}: stations"
        told(what, 0, len(line.stations.chainage))
        found.append(line.answer(partial(told, what)))
    lost = []
    for number, drone in enumerate(flying if losses else []):
        told("losses of drones", number, len(flying))
        lost.append(_loss(plan.sortie_of[drone], drone, lines, found))
    digest = hashlib.sha256(f"{coverage.digest}\n{sorted(silent)}\n{length} {step}".encode()).hexdigest()
    return Cycle(
        ground=ground,
        plan=plan,
        length=length,
        step=step,
        steps=steps,
        periodic=plan.cycle is not None,
        frusta=frusta[:steps],
        targets=tuple(found),
        losses=tuple(lost),
        max_crossing=longest,
        digest=digest,
        version=__version__,
        silent=tuple(sorted(silent)),
        source=coverage.source,
        at_unix_ms=coverage.at_unix_ms,
    )


def _silent(coverage: Coverage) -> Set[str]:
    """Drones of which live or recorded reports tell nothing."""
    if coverage.source == "plan":
        return set()
    heard = {node_of(sensor.name) for sensor in coverage.sensors if sensor.state not in ("missing", "refused")}
    return {drone.name for drone in coverage.scenario.drones} - heard


def _cut(ground: Ground, plan: Plan, length: float) -> tuple[float, int]:
    """The step [s], and how many make up the length."""
    asked = ground.scenario.patrol.step_s
    least, most = _STEPS
    if asked is None:
        sweeps = [
            sensor.sweep_s / _SWEEP_STEPS
            for drone in ground.scenario.drones
            for sensor in drone.sensors
            if drone.name in plan.sortie_of and sensor.sweep_s is not None
        ]
        asked = step_of(_pairs(ground, plan, length), _SOON, ground.terrain.cell)
        asked = min(asked, _LONGEST_STEP, length / least, *sweeps)
    steps = min(max(math.ceil(length / asked - 1e-9), 1), most)
    return length / steps, steps


def _longest(ground: Ground, spec: TargetSpec) -> float:
    """The longest time [s] that a crossing may take where the site file names none: three times what walking straight
    across takes at half of the stations, as far as it can be done.
    """
    frontage, terrain = ground.frontage, ground.terrain
    lanes = frontage.lanes(frontage.stations(terrain.cell))
    paths = lane_paths(
        terrain, ground.belt, going_of(ground, spec), lanes, lane_pieces(terrain, frontage), frontage.front
    )
    seconds = paths.durations[np.isfinite(paths.durations)]
    straight = frontage.depth / spec.speed_mps
    return _LONGEST_CROSSING * max(float(np.median(seconds)) if len(seconds) else straight, straight)


def _pairs(ground: Ground, plan: Plan, length: float) -> Iterator[tuple[Frustum, Frustum]]:
    """Sensors in the air, and the same a moment later, at moments all over the flights of a cycle."""
    spans = [(max(flight.takes_off, 0.0), min(flight.lands, length)) for flight in plan.flights(0.0, length)]
    ends = np.cumsum([end - start for start, end in spans])
    # Over a horizon it may be that nobody flies.
    for number in range(_PROBES if spans else 0):
        at = (number + 0.5) / _PROBES * ends[-1]
        flight = int(np.searchsorted(ends, at, side="right"))
        time = spans[flight][1] - (ends[flight] - at)
        later = dict(airborne(ground, plan, time + _SOON))
        for name, frustum in airborne(ground, plan, time):
            if name in later:
                yield frustum, later[name]


def _line(
    coverage: Coverage,
    one: TargetCoverage,
    seen: Moving,
    drones: Set[str],
    length: float,
    steps: int,
    longest: float,
) -> Line:
    """What a target meets at a level: the coverage's sensors without the drones', and what these see."""
    assert one.field is not None
    field = one.field.copy()
    for name in list(field):
        if node_of(name) in drones:
            field.remove(name)
    at, _ = gaps_of(coverage.ground, one.target, one.level, field)
    blind = {
        sensor.name for sensor in coverage.sensors if sensor.frustum is not None and moving_only(sensor.frustum.model)
    } | {passes.sensor for passes in seen.passes if passes.moving_only}
    return Line(coverage.ground, one.target, one.level, field, at, seen, length, steps, longest, frozenset(blind))


def _loss(sortie: Sortie, drone: str, lines: list[Line], found: list[TargetCycle]) -> Lost:
    """What becomes of the line without a drone. The worst moment to lose it is when it comes on station: the next one,
    a headway later, is never farther away.
    """
    at = 0.0 if sortie.forever else (sortie.take_off(drone) + sortie.out) % sortie.period
    back = sortie.headway if len(sortie.drones) > 1 else None
    told = []
    for line, before in zip(lines, found, strict=True):
        passes = tuple(one for one in line.moving.passes if node_of(one.sensor) != drone)
        without = dataclasses.replace(line, moving=dataclasses.replace(line.moving, passes=passes))
        least = math.nan if before.knowing is None else before.knowing.probability
        less, open_ = without.least()
        told.append(Without(line.target, line.level, least, less, line.open(before.crossing_p), open_))
    return Lost(drone, sortie.name, at, back, tuple(told))
