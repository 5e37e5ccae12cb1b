"""The whole answer: a scenario and the reports of its sensors in, the line's coverage and its gaps out.

Planning, live and replay differ only in where the reports come from.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from dronewall import __version__, wire
from dronewall.engine.breach import Counted, Going, Guide, guide_of, summed
from dronewall.engine.detection import DetectionError, Environment, Rate, Target
from dronewall.engine.earth import Site
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import (
    KINDS,
    Crossing,
    Gap,
    Kind,
    Stations,
    gaps,
    stations,
    unknown,
    weakest,
    weakest_at_a_station,
)
from dronewall.engine.ground import Ground
from dronewall.engine.levels import LEVELS, Level, rates
from dronewall.engine.pool import CORES, Pool
from dronewall.engine.sensors import SensorState, State, assures, sensor_states
from dronewall.engine.stored import Stored, stored
from dronewall.engine.terrain import Terrain
from dronewall.scenario import Environment as EnvironmentSpec
from dronewall.scenario import Scenario
from dronewall.scenario import Target as TargetSpec

__all__ = [
    "Coverage",
    "TargetCoverage",
    "Wall",
    "Watcher",
    "cover",
    "digest_of",
    "environment_of",
    "gaps_of",
    "going_of",
    "listed",
    "rates_of",
    "target_of",
    "threshold_of",
    "windows_of",
]

Source = Literal["plan", "live", "recorded"]


@dataclass(frozen=True)
class TargetCoverage:
    """What the line sees of one target at one level (`levels`). look: float32 (north, east), probability of a look; nan
    where unknown. line_p: the threshold of a look. weakest: the way across the whole
    line on which somebody is detected least; bottleneck: the route whose highest rate is the least; route: the least
    exposed one; None where nobody can cross. field: of the rates; None where nobody kept
    it.
    """

    target: TargetSpec
    level: Level
    look: npt.NDArray[np.float32]
    stations: Stations
    line_p: float
    gaps: tuple[Gap, ...]
    weakest: Crossing | None = None
    bottleneck: Crossing | None = None
    route: Crossing | None = None
    field: Field | None = None

    @property
    def covered_share(self) -> float:
        """Share of the frontage that is known and where a look detects the target with at least the line threshold."""
        return float(((self.stations.line_p >= self.line_p) & ~self.stations.unknown).mean())

    @property
    def unknown_share(self) -> float:
        """Share of the frontage about which the terrain does not say all."""
        return float(self.stations.unknown.mean())

    @property
    def longest_gap(self) -> Gap | None:
        """The longest gap of any kind; None where there is none."""
        return max(self.gaps, key=lambda gap: gap.length, default=None)

    def gap_length(self, kind: Kind) -> float:
        """Metres of frontage in gaps of one kind."""
        return sum(gap.length for gap in self.gaps if gap.kind == kind)


@dataclass(frozen=True)
class Watcher:
    """A sensor that sees a target at a place: rate [1/s] and ceiling while it is awake, look: probability of a look."""

    target: str
    sensor: str
    rate: float
    ceiling: float
    look: float


@dataclass(frozen=True)
class Coverage:
    """The line's coverage at one time. Every figure in it is modelled, never observed.

    targets: one entry for each target and level, first all that is expected, then all that is assured. posts: east,
    north [site m] by name. digest: of all inputs (site file, terrain, reports). at_s: how long the plan has been
    running, where the reports are a plan's.
    """

    ground: Ground
    targets: tuple[TargetCoverage, ...]
    sensors: tuple[SensorState, ...]
    posts: dict[str, tuple[float, float]]
    at_unix_ms: int | None
    source: Source
    digest: str
    version: str
    at_s: float | None = None

    @property
    def scenario(self) -> Scenario:
        """The ground's."""
        return self.ground.scenario

    @property
    def site(self) -> Site:
        """The ground's."""
        return self.ground.site

    @property
    def frontage(self) -> Frontage:
        """The ground's."""
        return self.ground.frontage

    @property
    def terrain(self) -> Terrain:
        """The ground's."""
        return self.ground.terrain

    def at_level(self, level: Level) -> tuple[TargetCoverage, ...]:
        """The targets' entries of one level, in the site file's order."""
        return tuple(target for target in self.targets if target.level == level)

    def who(self, east: float, north: float, target: str | None = None, level: Level = "expected") -> list[Watcher]:
        """Which sensors see a place [site m]: for each target, or the one named, the likeliest to detect it first.

        Together they make what `look` says of the place's cell: each misses the target independently of the others.
        A place outside the terrain is seen by nobody.
        """
        row, col = (int(index) for index in self.terrain.cells(east, north))
        if row < 0:
            return []
        look_s = self.scenario.thresholds.look_s
        return [
            Watcher(one.target.name, watch.sensor, watch.rate, watch.ceiling, watch.look)
            for one in self.at_level(level)
            if one.field is not None and target in (None, one.target.name)
            for watch in one.field.who(row, col, look_s)
        ]


def cover(
    ground: Ground,
    reports: Iterable[wire.Report],
    at_unix_ms: int | None = None,
    *,
    source: Source = "plan",
    states: Mapping[str, tuple[State, str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
    told: Callable[[str, list[tuple[int, int]]], None] | None = None,
    at_s: float | None = None,
) -> Coverage:
    """The coverage that the latest reports give: birth and frustum reports, at most one frustum a sensor.

    states: what the live state says of sensors ("P4/cam"), with a note; those that are not named are `planned` or
    `heard`. Sensors that the site file names and nobody reported are `missing`, reports that make no frustum
    `refused`: both are listed and count nothing. progress: called with the number of windows done and of all. told:
    called with each sensor whose windows are done and their shapes (north, east), one for each target. at_s: how long
    the plan that the reports are of has been running.
    """
    wall = Wall(ground)
    wall.update(
        reports, default="planned" if source == "plan" else "heard", states=states, progress=progress, told=told
    )
    return dataclasses.replace(wall.coverage(at_unix_ms, source), at_s=at_s)


class Wall:
    """The sensors of a wall as they come, turn and go, and the coverage that they make at each time: the one that
    `cover` makes of the same reports, bit for bit. Only what has changed is computed again.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self._targets = [target_of(spec) for spec in ground.scenario.targets]
        self._fields: dict[Level, list[Field]] = {
            level: [Field(ground.terrain.shape) for _ in self._targets] for level in LEVELS
        }
        self._windows: dict[str, tuple[Frustum, list[tuple[Stored, Stored]] | DetectionError]] = {}
        self._assured: set[str] = set()
        self._made: dict[Level, list[TargetCoverage]] = {}
        self._sensors: list[SensorState] = []
        self._digest = ""

    def update(
        self,
        reports: Iterable[wire.Report],
        *,
        default: State = "heard",
        states: Mapping[str, tuple[State, str]] | None = None,
        progress: Callable[[int, int], None] | None = None,
        told: Callable[[str, list[tuple[int, int]]], None] | None = None,
    ) -> bool:
        """Takes in the latest reports, of all sensors, as `cover` does; whether the coverage is another one now.

        progress counts and told names only the sensors that are computed anew. What interrupts it leaves a wall that
        can be updated again.
        """
        reports = [report for report in reports if report.values is not None]
        sensors = sensor_states(self.ground, reports, default, states or {})
        counting = {sensor.name: sensor for sensor in sensors if sensor.frustum is not None}
        new = [
            sensor
            for name, sensor in counting.items()
            if name not in self._windows or self._windows[name][0] != sensor.frustum
        ]
        for name in [*(self._windows.keys() - counting.keys()), *(sensor.name for sensor in new)]:
            self._take_out(name)
        with contextlib.closing(windows_of(self.ground, new, self._targets)) as computed:
            for done, (sensor, windows) in enumerate(computed, 1):
                self._put_in(sensor, windows)
                if told is not None and not isinstance(windows, DetectionError):
                    told(sensor.name, [pair[0].shape for pair in windows])
                if progress is not None:
                    progress(done, len(new))
        for sensor in counting.values():
            self._assure(sensor)
        before = self._sensors, self._digest
        self._sensors = [self._judged(sensor) for sensor in sensors]
        self._digest = digest_of(self.ground, reports, states or {})
        return before != (self._sensors, self._digest)

    def coverage(self, at_unix_ms: int | None, source: Source) -> Coverage:
        """The coverage at this time; who sees a place (`Coverage.who`) it tells until the next update."""
        ground, scenario = self.ground, self.ground.scenario
        new = [
            (level, spec, field)
            for level in LEVELS
            if level not in self._made
            for spec, field in zip(scenario.targets, self._fields[level], strict=True)
        ]
        # Made once, here, and not by each thread.
        assert ground.belt is not None
        with contextlib.closing(Pool()) as pool:
            asked = [(level, pool.submit(_target_coverage, ground, spec, level, field)) for level, spec, field in new]
            made: dict[Level, list[TargetCoverage]] = {}
            for level, future in asked:
                made.setdefault(level, []).append(future.result())
        self._made |= made
        post_places = {
            post.name: tuple(float(part) for part in ground.site.to_site(post.latitude_deg, post.longitude_deg))
            for post in scenario.posts
        }
        return Coverage(
            ground=ground,
            targets=tuple(target for level in LEVELS for target in self._made[level]),
            sensors=tuple(self._sensors),
            posts={name: (place[0], place[1]) for name, place in post_places.items()},
            at_unix_ms=at_unix_ms,
            source=source,
            digest=self._digest,
            version=__version__,
        )

    def _judged(self, sensor: SensorState) -> SensorState:
        """The sensor, refused where no windows could be made of its frustum."""
        wrong = self._windows[sensor.name][1] if sensor.frustum is not None else None
        if isinstance(wrong, DetectionError):
            return dataclasses.replace(sensor, state="refused", note=str(wrong), frustum=None)
        return sensor

    def _put_in(self, sensor: SensorState, windows: list[tuple[Stored, Stored]] | DetectionError) -> None:
        assert sensor.frustum is not None
        self._windows[sensor.name] = sensor.frustum, windows
        if not isinstance(windows, DetectionError):
            self._made.pop("expected", None)
            for field, (mean, _) in zip(self._fields["expected"], windows, strict=True):
                field.add(sensor.name, mean)

    def _assure(self, sensor: SensorState) -> None:
        """Lets the sensor count at the assured level as far as its state lets it."""
        windows = self._windows[sensor.name][1]
        counts = assures(sensor) and not isinstance(windows, DetectionError)
        if counts == (sensor.name in self._assured) or isinstance(windows, DetectionError):
            return
        self._made.pop("assured", None)
        for field, (_, least) in zip(self._fields["assured"], windows, strict=True):
            if counts:
                field.add(sensor.name, least)
            else:
                field.remove(sensor.name)
        self._assured ^= {sensor.name}

    def _take_out(self, name: str) -> None:
        if name not in self._windows or isinstance(self._windows.pop(name)[1], DetectionError):
            return
        self._made.pop("expected", None)
        for field in self._fields["expected"]:
            field.remove(name)
        if name in self._assured:
            self._assured.remove(name)
            self._made.pop("assured", None)
            for field in self._fields["assured"]:
                field.remove(name)


def windows_of(
    ground: Ground, sensors: Sequence[SensorState], targets: Sequence[Target]
) -> Generator[tuple[SensorState, list[tuple[Stored, Stored]] | DetectionError]]:
    """Each sensor with its windows of each target (expected, assured), or with what is wrong with it; in their order.
    All of them count.

    They are computed on all cores: the kernels and numpy's loops hold no lock of Python's. However many sensors there
    are, only a few are under way: what is done is small, what is worked on is not. Once this is closed, sensors that
    wait are not begun.
    """

    def windows(frustum: Frustum) -> list[tuple[Stored, Stored]]:
        return [(stored(mean), stored(least)) for mean, least in rates_of(ground, frustum, targets)]

    # Once, here: all threads would begin by asking, and from Python 3.12 on each would make its own.
    ground.terrain.prepare()
    waiting = iter(sensors)
    running: deque[tuple[SensorState, Future[list[tuple[Stored, Stored]]]]] = deque()
    with contextlib.closing(Pool()) as pool:
        while True:
            for sensor in itertools.islice(waiting, 2 * CORES - len(running)):
                assert sensor.frustum is not None
                running.append((sensor, pool.submit(windows, sensor.frustum)))
            if not running:
                return
            sensor, future = running.popleft()
            try:
                found: list[tuple[Stored, Stored]] | DetectionError = future.result()
            except DetectionError as error:
                found = error
            yield sensor, found


def target_of(spec: TargetSpec) -> Target:
    """A target of the site file as the detection models take it."""
    return Target(
        spec.name,
        *spec.height_agl_m,
        spec.width_m,
        spec.speed_mps,
        spec.radar_cross_section_m2,
        spec.thermal_contrast_k,
        spec.source_level_db,
    )


def going_of(ground: Ground, spec: TargetSpec) -> Going:
    """How a target of the site file gets on over the belt: only one that goes on foot minds slope, cost and water."""
    on_foot = spec.height_agl_m[0] == 0.0 if spec.on_foot is None else spec.on_foot
    if not on_foot:
        return Going(spec.speed_mps)
    heights = ground.belt_heights if ground.scenario.going.slope == "tobler" else None
    return Going(spec.speed_mps, ground.belt_slowness, heights)


def environment_of(spec: EnvironmentSpec) -> Environment:
    """The site file's weather and light as the detection models take them."""
    return Environment(
        visibility=spec.visibility_m,
        night=spec.time == "night",
        infrared_visibility=spec.infrared_visibility_m,
        temperature=spec.temperature_c,
        humidity=spec.humidity,
        noise=spec.noise_db,
    )


def rates_of(ground: Ground, frustum: Frustum, targets: Sequence[Target]) -> list[tuple[Rate, Rate]]:
    """The expected and the assured detection of each target by a sensor, over this ground and in the site's weather.

    Raises DetectionError.
    """
    environment = environment_of(ground.scenario.environment)
    return rates(ground.terrain, frustum, targets, ground.scenario.thresholds.confidence, environment)


def _target_coverage(ground: Ground, spec: TargetSpec, level: Level, field: Field) -> TargetCoverage:
    thresholds, terrain, frontage = ground.scenario.thresholds, ground.terrain, ground.frontage
    look = field.look(thresholds.look_s)
    look[unknown(terrain, field)] = np.nan
    counted, going = Counted(thresholds.k, thresholds.look_s, thresholds.count_p), going_of(ground, spec)
    guide = guide_of(ground.belt, summed(field, ground.belt, counted), going, frontage.front, frontage.behind)
    at, found = gaps_of(ground, spec, level, field, guide)
    route, bottleneck = weakest(terrain, frontage, field, ground.belt, going, counted, guide)
    # The searches go by the summed field and the audit comes after them: of all that they found the least detected.
    crossing = weakest_at_a_station(terrain, frontage, ground.belt, going, guide, at)
    ways = [way for way in (route, bottleneck, crossing) if way is not None]
    least = min(ways, key=lambda way: way.probability, default=None)
    return TargetCoverage(spec, level, look, at, thresholds.line_p, found, least, bottleneck, route, field)


def gaps_of(
    ground: Ground, spec: TargetSpec, level: Level, field: Field, guide: Guide | None = None
) -> tuple[Stations, tuple[Gap, ...]]:
    """The frontage's stations and its gaps of all kinds, where that field is what the sensors make of the target.
    guide: the field's; left out, made here.
    """
    thresholds, terrain, frontage = ground.scenario.thresholds, ground.terrain, ground.frontage
    target, going = target_of(spec), going_of(ground, spec)
    at = stations(
        terrain,
        frontage,
        field,
        target,
        thresholds.look_s,
        thresholds.k,
        thresholds.count_p,
        lateral=thresholds.lateral_m,
        belt=ground.belt,
        going=going,
        guide=guide,
    )
    return at, tuple(gap for kind in KINDS for gap in listed(ground, at, kind, target.name, level))


def listed(
    ground: Ground, at: Stations, kind: Kind, target: str, level: Level, open_: npt.NDArray[np.bool_] | None = None
) -> tuple[Gap, ...]:
    """The gaps of one kind at stations of this ground that are long enough to be listed. open_: stations that count as
    open, and then gaps of any length; left out, those under the threshold.
    """
    chainages = {}
    for post in ground.scenario.posts:
        chainage, _ = ground.frontage.locate(*ground.site.to_site(post.latitude_deg, post.longitude_deg))
        chainages[post.name] = float(chainage)
    thresholds = ground.scenario.thresholds
    return gaps(
        at,
        kind,
        target,
        threshold_of(ground, kind),
        ground.frontage,
        chainages,
        shortest=thresholds.gap_min_m if open_ is None else 0.0,
        lateral=thresholds.lateral_m,
        posting=ground.terrain.posting,
        level=level,
        open_=open_,
    )


def threshold_of(ground: Ground, kind: Kind) -> float:
    """P under which a station is a gap of that kind."""
    thresholds = ground.scenario.thresholds
    return thresholds.line_p if kind == "line" else thresholds.lane_p


def digest_of(
    ground: Ground, reports: Sequence[wire.Report], states: Mapping[str, tuple[State, str]] = MappingProxyType({})
) -> str:
    """SHA-256 of all that the answer depends on: the site file, the terrain, the reports and how each sensor counts."""
    told = sorted(
        json.dumps([report.node, report.kind, report.sensor, report.values], sort_keys=True) for report in reports
    )
    told += sorted(json.dumps([name, state]) for name, (state, _) in states.items())
    terrain = ground.terrain
    # What is told of a model's heights may be another's: `--terrain` leaves it out.
    digest = hashlib.sha256(f"{ground.scenario.digest}\n{terrain.digest}\n{terrain.le90} {terrain.posting}\n".encode())
    for line in told:
        digest.update(line.encode())
    return digest.hexdigest()
