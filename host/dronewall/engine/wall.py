"""The whole answer: a scenario and the reports of its sensors in, the line's coverage and its gaps out.

Planning, live and replay differ only in where the reports come from.
"""

import dataclasses
import hashlib
import itertools
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import msgspec
import numba
import numpy as np
import numpy.typing as npt

from dronewall import __version__, wire
from dronewall.engine.detection import DetectionError, Environment, Rate, Target, rate
from dronewall.engine.earth import Site, site_of
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum, frustum_of
from dronewall.engine.gaps import Gap, Kind, Stations, gaps, stations, unknown
from dronewall.engine.levels import LEVELS, Level, rates
from dronewall.engine.patrol import Route, times
from dronewall.engine.stored import Stored, stored
from dronewall.engine.terrain import Terrain, TerrainError, read
from dronewall.engine.terrain import check as check_terrain
from dronewall.scenario import Drone, DroneSensor, Duty, Scenario, Sensor
from dronewall.scenario import Environment as EnvironmentSpec
from dronewall.scenario import Target as TargetSpec

__all__ = [
    "Coverage",
    "Ground",
    "SensorState",
    "TargetCoverage",
    "Watcher",
    "assures",
    "check",
    "cover",
    "digest_of",
    "environment_of",
    "ground_of",
    "planned",
    "rate_of",
    "rates_of",
    "sensor_states",
    "target_of",
    "track",
]

State = Literal["planned", "heard", "suspect", "stale", "missing", "refused"]

_AWAKE = Duty()

PLANNED_POSITION_SIGMA_M = 1.0
"""What a plan takes for the standard error of a position, in each direction: a GNSS average, or a careful map [m]."""
PLANNED_MAST_SIGMA_M = 0.1
"""... of a sensor's height above the ground that it stands on [m]."""
PLANNED_AZIMUTH_SIGMA_DEG = {"survey": 0.5, "compass": 3.0}
"""... of an azimuth: sighted at installation over a known mark, or by a calibrated magnetic compass [degrees]."""
PLANNED_TILT_SIGMA_DEG = 0.5
"""... of elevation and roll: an accelerometer on a mast in the wind [degrees]."""
_FARTHEST_SENSOR = 100_000.0
_FARTHEST_MARGIN = 5000.0
"""Ground is read this far around the belt [m] and no farther, however far a sensor claims to see."""


@dataclass(frozen=True)
class Ground:
    """A scenario's frame, frontage and terrain: what stays when reports come and go."""

    scenario: Scenario
    site: Site
    frontage: Frontage
    terrain: Terrain


@dataclass(frozen=True)
class TargetCoverage:
    """What the line sees of one target at one level (`levels`). look: float32 (north, east), probability of a look; nan
    where unknown. field: of the rates; None where nobody kept it.
    """

    target: TargetSpec
    level: Level
    look: npt.NDArray[np.float32]
    stations: Stations
    gaps: tuple[Gap, ...]
    field: Field | None = None

    @property
    def covered_share(self) -> float:
        """Share of the frontage that is known and where a look detects the target with at least the line threshold."""
        open_or_dark = self.stations.unknown.copy()
        for gap in self.gaps:
            if gap.kind == "line":
                open_or_dark |= (self.stations.chainage > gap.start) & (self.stations.chainage < gap.end)
        return float(1.0 - open_or_dark.mean())

    @property
    def unknown_share(self) -> float:
        """Share of the frontage about which the terrain does not say all."""
        return float(self.stations.unknown.mean())

    @property
    def longest_gap(self) -> Gap | None:
        """The longest gap of either kind; None where there is none."""
        return max(self.gaps, key=lambda gap: gap.length, default=None)

    def gap_length(self, kind: Kind) -> float:
        """Metres of frontage in gaps of one kind."""
        return sum(gap.length for gap in self.gaps if gap.kind == kind)


@dataclass(frozen=True)
class SensorState:
    """A sensor, whether it counts (planned, heard, suspect, stale) or not (missing, refused), and why not."""

    name: str
    post: str | None
    state: State
    note: str
    frustum: Frustum | None
    moving: bool


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
    north [site m] by name. digest: of all inputs (site file, terrain, reports).
    """

    scenario: Scenario
    site: Site
    frontage: Frontage
    terrain: Terrain
    targets: tuple[TargetCoverage, ...]
    sensors: tuple[SensorState, ...]
    posts: dict[str, tuple[float, float]]
    at_unix_ms: int | None
    source: Literal["plan", "live"]
    digest: str
    version: str

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


def check(scenario: Scenario) -> None:
    """Raises EarthError and TerrainError where `ground_of` would, as far as that needs no heights."""
    terrain = scenario.terrain
    check_terrain(terrain.ground, *_frame(scenario), terrain.surface, terrain.canopy)


def _frame(scenario: Scenario) -> tuple[Site, Frontage]:
    site = site_of(np.array(scenario.frontage.points_deg, dtype=np.float64), scenario.site.crs)
    points = np.stack(site.to_site(*np.array(scenario.frontage.points_deg, dtype=np.float64).T), axis=-1)
    frontage = Frontage(
        points, scenario.frontage.belt_front_m, scenario.frontage.belt_behind_m, scenario.frontage.threat == "left"
    )
    return site, frontage


def ground_of(scenario: Scenario) -> Ground:
    """The frame, frontage and terrain of a scenario. Raises EarthError and TerrainError."""
    site, frontage = _frame(scenario)
    terrain = read(
        scenario.terrain.ground,
        site,
        frontage,
        scenario.terrain.cell_m,
        margin=_margin(scenario, site, frontage),
        posting=scenario.terrain.posting_m,
        le90=scenario.terrain.le90_m,
        surface=scenario.terrain.surface,
        canopy=scenario.terrain.canopy,
        canopy_extinction=scenario.terrain.canopy_extinction_m,
    )
    return Ground(scenario, site, frontage, terrain)


def _margin(scenario: Scenario, site: Site, frontage: Frontage) -> float:
    """Metres around the belt that hold every post and route, as far as they can see into the belt."""
    places = [(post.latitude_deg, post.longitude_deg) for post in scenario.posts]
    places += [place for drone in scenario.drones for place in drone.route_deg]
    if not places:
        return 0.0
    east, north = site.to_site(*np.array(places, dtype=np.float64).T)
    chainage, _ = frontage.locate(east, north)
    on_east, on_north = frontage.at(chainage)
    away = np.hypot(east - on_east, north - on_north).max() - min(frontage.front, frontage.behind)
    return float(min(max(away + 10.0 * scenario.terrain.cell_m, 200.0), _FARTHEST_MARGIN))


def route_of(drone: Drone, site: Site) -> Route:
    """A drone's route in site metres."""
    waypoints = np.stack(site.to_site(*np.array(drone.route_deg, dtype=np.float64).T), axis=-1)
    return Route(waypoints, drone.repeat == "loop", drone.speed_mps, drone.start_s)


def track(ground: Ground, drone: Drone, longest: float = 5.0) -> list[tuple[float, float, float, float, float]]:
    """One cycle of a drone's flight: time [s], latitude, longitude [degrees], height AMSL [m], true azimuth of the
    course [degrees].

    Over unknown ground a height above ground cannot be held: the last known one is kept. Raises TerrainError where
    none is known.
    """
    route = route_of(drone, ground.site)
    flown = []
    amsl = math.nan
    for time in times(route, longest):
        east, north, azimuth = route.at(time)
        here = _flight_amsl(ground, drone, east, north)
        amsl = here if math.isfinite(here) else amsl
        latitude, longitude = ground.site.to_geodetic(east, north)
        true = math.degrees(azimuth + ground.site.convergence(east, north)) % 360.0
        flown.append((time, float(latitude), float(longitude), amsl, true))
    known = next((row[3] for row in flown if math.isfinite(row[3])), math.nan)
    if math.isnan(known):
        raise TerrainError(
            f"drone {drone.name}: the terrain knows no ground under its route; expected some, to hold "
            f"{drone.height_agl_m:g} m above it"
        )
    return [row if math.isfinite(row[3]) else (*row[:3], known, row[4]) for row in flown]


def _flight_amsl(ground: Ground, drone: Drone, east: float, north: float) -> float:
    if drone.height_agl_m is None:
        assert drone.height_amsl_m is not None
        return drone.height_amsl_m
    return float(ground.terrain.ground(east, north)) + drone.height_agl_m


def planned(ground: Ground, time: float = 0.0) -> list[wire.Report]:
    """The reports that the nodes of the site file would send, drones where they are `time` seconds into their routes.

    They go through the wire's own encoding, so that a plan is rounded and bounded exactly as live reports are.
    """
    scenario, site = ground.scenario, ground.site
    posts = {post.name: post for post in scenario.posts}
    reports = []
    for node in scenario.nodes:
        post = posts[node.post]
        reports.append(_birth(scenario, node.name, node.sensors, node.period_s))
        place = {"latitude_deg": post.latitude_deg, "longitude_deg": post.longitude_deg, "height_agl_m": node.mast_m}
        reports += [
            _planned_frustum(scenario, node.name, sensor, place, sensor.azimuth_deg, node.duty)
            for sensor in node.sensors
        ]
    for drone in scenario.drones:
        route = route_of(drone, site)
        east, north, course = route.at(time)
        latitude, longitude = site.to_geodetic(east, north)
        amsl = _flight_amsl(ground, drone, east, north)
        reports.append(_birth(scenario, drone.name, drone.sensors, 1.0))
        if not math.isfinite(amsl):
            continue  # over ground that nobody knows it cannot be said how high it flies: its sensors are missing
        place = {"latitude_deg": float(latitude), "longitude_deg": float(longitude), "height_amsl_m": amsl}
        place["velocity_east_mps"] = drone.speed_mps * math.sin(course)
        place["velocity_north_mps"] = drone.speed_mps * math.cos(course)
        place["velocity_up_mps"] = 0.0
        nose = math.degrees(course + site.convergence(east, north))
        reports += [
            _planned_frustum(scenario, drone.name, sensor, place, nose + sensor.azimuth_deg) for sensor in drone.sensors
        ]
    return reports


def _through_the_wire(
    scenario: Scenario, node: str, kind: str, sensor: str | None, values: Mapping[str, object]
) -> wire.Report:
    topic = wire.topic(scenario.site.name, node, kind, sensor)
    report: wire.Report = wire.decode(topic, wire.encode(kind, wire.integers(kind, dict(values))))
    return report


def _birth(scenario: Scenario, node: str, sensors: Sequence[Sensor | DroneSensor], period: float) -> wire.Report:
    entries = []
    for sensor in sensors:
        kind = scenario.sensor_types[sensor.type]
        model = msgspec.to_builtins(kind.model)
        limits = ("driver", "shape", "hfov_deg", "vfov_deg", "range_min_m", "range_max_m")
        entries.append({"name": sensor.name, "model": model, **{name: getattr(kind, name) for name in limits}})
    values = {
        "firmware": "planned",
        "board": "planned",
        "boot": 0,
        "session": 0,
        "period_s": max(1, round(period)),
        "sensors": entries,
    }
    return _through_the_wire(scenario, node, "birth", None, values)


def _planned_frustum(
    scenario: Scenario,
    node: str,
    sensor: Sensor | DroneSensor,
    place: Mapping[str, float],
    azimuth_deg: float,
    duty: Duty = _AWAKE,
) -> wire.Report:
    kind = scenario.sensor_types[sensor.type]
    source = sensor.azimuth_source if isinstance(sensor, Sensor) else "compass"
    values = {
        **place,
        "position_sigma_m": PLANNED_POSITION_SIGMA_M,
        "height_sigma_m": PLANNED_POSITION_SIGMA_M if "height_amsl_m" in place else PLANNED_MAST_SIGMA_M,
        "azimuth_deg": round(azimuth_deg, 2) % 360.0,
        "elevation_deg": sensor.elevation_deg,
        "roll_deg": sensor.roll_deg,
        "azimuth_sigma_deg": PLANNED_AZIMUTH_SIGMA_DEG[source],
        "tilt_sigma_deg": PLANNED_TILT_SIGMA_DEG,
        "shape": kind.shape,
        "hfov_deg": kind.hfov_deg,
        "vfov_deg": kind.vfov_deg,
        "range_min_m": kind.range_min_m,
        "range_max_m": kind.range_max_m,
        "position_source": "survey" if isinstance(sensor, Sensor) else "gnss",
        "azimuth_source": source,
        "awake": duty.awake,
        "duty": duty.share,
        "clock": "none",
        "seq": 0,
        "boot": 0,
        "valid_s": 86400,
    }
    return _through_the_wire(scenario, node, "frustum", sensor.name, values)


def cover(
    ground: Ground,
    reports: Iterable[wire.Report],
    at_unix_ms: int | None = None,
    *,
    source: Literal["plan", "live"] = "plan",
    states: Mapping[str, tuple[State, str]] | None = None,
    progress: Callable[[int, int], None] | None = None,
    told: Callable[[str, list[tuple[int, int]]], None] | None = None,
) -> Coverage:
    """The coverage that the latest reports give: birth and frustum reports, at most one frustum a sensor.

    states: what the live state says of sensors ("P4/cam"), with a note; those that are not named are `planned` or
    `heard`. Sensors that the site file names and nobody reported are `missing`, reports that make no frustum
    `refused`: both are listed and count nothing. progress: called with the number of windows done and of all. told:
    called with each sensor whose windows are done and their shapes (north, east), one for each target.
    """
    reports = [report for report in reports if report.values is not None]
    scenario, terrain = ground.scenario, ground.terrain
    default: State = "planned" if source == "plan" else "heard"
    sensors = sensor_states(ground, reports, default, states or {})
    counting = [sensor for sensor in sensors if sensor.frustum is not None]
    targets = [target_of(spec) for spec in scenario.targets]
    refused: dict[str, str] = {}
    fields: dict[Level, list[Field]] = {level: [Field(terrain.shape) for _ in targets] for level in LEVELS}
    for done, (sensor, windows) in enumerate(_side_by_side(ground, counting, targets), 1):
        if isinstance(windows, DetectionError):
            refused[sensor.name] = str(windows)
        else:
            for index, pair in enumerate(windows):
                for level, window in zip(LEVELS, pair, strict=True):
                    if level != "assured" or assures(sensor):
                        fields[level][index].add(sensor.name, window)
            if told is not None:
                told(sensor.name, [pair[0].shape for pair in windows])
        if progress is not None:
            progress(done, len(counting))
    sensors = [
        dataclasses.replace(sensor, state="refused", note=refused[sensor.name], frustum=None)
        if sensor.name in refused
        else sensor
        for sensor in sensors
    ]
    post_places = {
        post.name: tuple(float(part) for part in ground.site.to_site(post.latitude_deg, post.longitude_deg))
        for post in scenario.posts
    }
    return Coverage(
        scenario=scenario,
        site=ground.site,
        frontage=ground.frontage,
        terrain=terrain,
        targets=tuple(
            _target_coverage(ground, spec, target, level, field)
            for level in LEVELS
            for spec, target, field in zip(scenario.targets, targets, fields[level], strict=True)
        ),
        sensors=tuple(sensors),
        posts={name: (place[0], place[1]) for name, place in post_places.items()},
        at_unix_ms=at_unix_ms,
        source=source,
        digest=digest_of(ground, reports),
        version=__version__,
    )


def _side_by_side(
    ground: Ground, sensors: Sequence[SensorState], targets: Sequence[Target]
) -> Iterator[tuple[SensorState, list[tuple[Stored, Stored]] | DetectionError]]:
    """Each sensor with its windows of each target (expected, assured), or with what is wrong with it; in their order.

    They are computed on all cores: the kernels and numpy's loops hold no lock of Python's. However many sensors there
    are, only a few are under way: what is done is small, what is worked on is not.
    """

    def windows(frustum: Frustum) -> list[tuple[Stored, Stored]]:
        return [(stored(mean), stored(least)) for mean, least in rates_of(ground, frustum, targets)]

    cores = int(numba.config.NUMBA_NUM_THREADS)
    waiting = iter(sensors)
    running: deque[tuple[SensorState, Future[list[tuple[Stored, Stored]]]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        while True:
            for sensor in itertools.islice(waiting, 2 * cores - len(running)):
                assert sensor.frustum is not None
                running.append((sensor, pool.submit(windows, sensor.frustum)))
            if not running:
                return
            sensor, future = running.popleft()
            try:
                yield sensor, future.result()
            except DetectionError as error:
                yield sensor, error


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


def rate_of(ground: Ground, frustum: Frustum, target: Target) -> Rate:
    """The detection of a target by a sensor, over this ground and in the site's weather. Raises DetectionError."""
    return rate(ground.terrain, frustum, target, environment_of(ground.scenario.environment))


def rates_of(ground: Ground, frustum: Frustum, targets: Sequence[Target]) -> list[tuple[Rate, Rate]]:
    """The expected and the assured detection of each target by a sensor, likewise."""
    environment = environment_of(ground.scenario.environment)
    return rates(ground.terrain, frustum, targets, ground.scenario.thresholds.confidence, environment)


def assures(sensor: SensorState) -> bool:
    """Whether a sensor counts at the assured level: it counts at all, is not stale, and never sleeps by the clock."""
    return sensor.frustum is not None and sensor.state != "stale" and sensor.frustum.awake != "duty"


def sensor_states(
    ground: Ground,
    reports: Sequence[wire.Report],
    default: State = "planned",
    states: Mapping[str, tuple[State, str]] = MappingProxyType({}),
) -> list[SensorState]:
    """All sensors, first those of the site file in its order, then strangers; with a frustum where they count."""
    births = {
        (report.node, entry["name"]): entry
        for report in reports
        if report.kind == "birth"
        for entry in report.values["sensors"]
    }
    frusta = {f"{report.node}/{report.sensor}": report for report in reports if report.kind == "frustum"}
    scenario = ground.scenario
    expected: dict[str, str | None] = {}
    for node in scenario.nodes:
        expected |= {f"{node.name}/{sensor.name}": node.post for sensor in node.sensors}
    for drone in scenario.drones:
        expected |= {f"{drone.name}/{sensor.name}": None for sensor in drone.sensors}
    strangers = {name: None for name in frusta if name not in expected}
    moving = {drone.name for drone in scenario.drones}
    found = []
    for name, post in {**expected, **strangers}.items():
        state, note = states.get(name, (default, ""))
        report = frusta.get(name)
        if name in strangers:
            note = "; ".join(part for part in (note, "not in the site file") if part)
        frustum = None
        if report is None:
            state, note = "missing", note or "no report"
        elif state in ("missing", "refused"):
            note = note or "does not count"
        else:
            frustum, reason = _frustum(ground, report, births.get((report.node, report.sensor)))
            if frustum is None:
                state, note = "refused", reason
            elif reason:
                note = "; ".join(part for part in (note, reason) if part)
        found.append(SensorState(name, post, state, note, frustum, name.split("/")[0] in moving))
    return found


def _frustum(ground: Ground, report: wire.Report, birth: dict[str, object] | None) -> tuple[Frustum | None, str]:
    """The frustum with both heights of its eye, and a remark; None with the reason where it cannot be placed."""
    if birth is None:
        return None, "no birth message that describes it"
    missing = [key for key in ("latitude_deg", "longitude_deg", "azimuth_deg") if report.values.get(key) is None]
    if missing:
        words = {"azimuth_deg": "no azimuth yet (no compass reading)"}
        return None, ", ".join(dict.fromkeys(words.get(key, "no position yet (no GNSS fix)") for key in missing))
    frustum = frustum_of(report, birth, ground.site)
    if not (math.isfinite(frustum.east) and math.isfinite(frustum.north)):
        return None, "its report puts it off the map"
    east, north = ground.frontage.at(ground.frontage.locate(frustum.east, frustum.north)[0])
    away = math.hypot(frustum.east - float(east), frustum.north - float(north))
    if not away <= _FARTHEST_SENSOR:
        return None, f"its report puts it {away / 1000.0:.0f} km from the frontage"
    floor = float(ground.terrain.ground(frustum.east, frustum.north))
    if frustum.eye_agl is not None and not (frustum.moving and frustum.eye_amsl is not None):
        if math.isnan(floor):
            west, right, south, top = ground.terrain.extent
            if west <= frustum.east <= right and south <= frustum.north <= top:
                return None, "stands on ground that the terrain does not know"
            return None, f"stands {away / 1000.0:.1f} km from the frontage, beyond the ground that was read"
        # With both heights in the report its error is that of the height above sea level; the mast was measured.
        sigma = frustum.height_sigma if frustum.eye_amsl is None else PLANNED_MAST_SIGMA_M
        placed = dataclasses.replace(frustum, eye_amsl=floor + frustum.eye_agl, height_sigma=sigma)
        return placed, _under_surface(ground.terrain, placed)
    if frustum.eye_amsl is None:
        return None, "its report has no height"
    if math.isnan(floor):
        return frustum, "over ground that the terrain does not know"
    above = frustum.eye_amsl - floor
    remark = f"{-above:.0f} m under the ground" if above < 0.0 else _under_surface(ground.terrain, frustum)
    return dataclasses.replace(frustum, eye_agl=above), remark


def _under_surface(terrain: Terrain, frustum: Frustum) -> str:
    """A remark where the eye is inside what stands at its place: a mast counts from the ground, not from a roof."""
    if terrain.surface_amsl is None or frustum.eye_amsl is None:
        return ""
    top = float(terrain.between(terrain.surface_amsl, frustum.east, frustum.north))
    under = top - frustum.eye_amsl
    return f"{under:.0f} m under the surface there; its height counts from the ground" if under >= 1.0 else ""


def _target_coverage(ground: Ground, spec: TargetSpec, target: Target, level: Level, field: Field) -> TargetCoverage:
    thresholds, terrain, frontage = ground.scenario.thresholds, ground.terrain, ground.frontage
    look = field.look(thresholds.look_s)
    look[unknown(terrain, field)] = np.nan
    at = stations(terrain, frontage, field, target, thresholds.look_s, thresholds.k, thresholds.count_p)
    chainages = {}
    for post in ground.scenario.posts:
        chainage, _ = frontage.locate(*ground.site.to_site(post.latitude_deg, post.longitude_deg))
        chainages[post.name] = float(chainage)
    kinds: tuple[tuple[Kind, float], ...] = (("line", thresholds.line_p), ("lane", thresholds.lane_p))
    found = [
        gap
        for kind, threshold in kinds
        for gap in gaps(
            at,
            kind,
            spec.name,
            threshold,
            frontage,
            chainages,
            shortest=thresholds.gap_min_m,
            lateral=thresholds.lateral_m,
            posting=terrain.posting,
            level=level,
        )
    ]
    return TargetCoverage(spec, level, look, at, tuple(found), field)


def digest_of(ground: Ground, reports: Sequence[wire.Report]) -> str:
    """SHA-256 of all that the answer depends on: the site file, the terrain and the reports."""
    told = sorted(
        json.dumps([report.node, report.kind, report.sensor, report.values], sort_keys=True) for report in reports
    )
    digest = hashlib.sha256(f"{ground.scenario.digest}\n{ground.terrain.digest}\n".encode())
    for line in told:
        digest.update(line.encode())
    return digest.hexdigest()
