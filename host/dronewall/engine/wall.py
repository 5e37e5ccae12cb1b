"""The whole answer: a scenario and the reports of its sensors in, the line's coverage and its gaps out.

Planning, live and replay differ only in where the reports come from.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from dronewall import __version__, wire
from dronewall.engine.detection import DetectionError, Rate, Target, rate
from dronewall.engine.earth import Site, site_of
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum, frustum_of
from dronewall.engine.gaps import Gap, Kind, Stations, gaps, stations, unknown
from dronewall.engine.patrol import Route, times
from dronewall.engine.terrain import Terrain, read
from dronewall.scenario import Drone, DroneSensor, Duty, Scenario, Sensor
from dronewall.scenario import Target as TargetSpec

__all__ = ["Coverage", "Ground", "SensorState", "TargetCoverage", "cover", "ground_of", "planned", "track"]

State = Literal["planned", "heard", "suspect", "stale", "missing", "refused"]

_AWAKE = Duty()
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
    """What the line sees of one target. look: float32 (north, east), probability of a look; nan where unknown."""

    target: TargetSpec
    look: npt.NDArray[np.float32]
    stations: Stations
    gaps: tuple[Gap, ...]

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
class Coverage:
    """The line's coverage at one time. Every figure in it is modelled, never observed.

    posts: east, north [site m] by name. digest: of all inputs (site file, terrain, reports). level `reported`:
    every sensor is taken to look where its report says, pose errors aside.
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
    level: str
    digest: str
    version: str


def ground_of(scenario: Scenario) -> Ground:
    """The frame, frontage and terrain of a scenario. Raises EarthError and TerrainError."""
    site = site_of(np.array(scenario.frontage.points_deg, dtype=np.float64), scenario.site.crs)
    points = np.stack(site.to_site(*np.array(scenario.frontage.points_deg, dtype=np.float64).T), axis=-1)
    frontage = Frontage(
        points, scenario.frontage.belt_front_m, scenario.frontage.belt_behind_m, scenario.frontage.threat == "left"
    )
    terrain = read(
        scenario.terrain.ground,
        site,
        frontage,
        scenario.terrain.cell_m,
        margin=_margin(scenario, site, frontage),
        posting=scenario.terrain.posting_m,
        le90=scenario.terrain.le90_m,
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

    Over unknown ground a height above ground cannot be held: the last known one is kept.
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
    return flown


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
        place = {"latitude_deg": float(latitude), "longitude_deg": float(longitude)}
        if math.isfinite(amsl):
            place["height_amsl_m"] = amsl
        place["velocity_east_mps"] = drone.speed_mps * math.sin(course)
        place["velocity_north_mps"] = drone.speed_mps * math.cos(course)
        place["velocity_up_mps"] = 0.0
        nose = math.degrees(course + site.convergence(east, north))
        reports.append(_birth(scenario, drone.name, drone.sensors, 1.0))
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
    values = {
        **place,
        "position_sigma_m": 0.0,
        "height_sigma_m": 0.0,
        "azimuth_deg": round(azimuth_deg, 2) % 360.0,
        "elevation_deg": sensor.elevation_deg,
        "roll_deg": sensor.roll_deg,
        "azimuth_sigma_deg": 0.0,
        "tilt_sigma_deg": 0.0,
        "shape": kind.shape,
        "hfov_deg": kind.hfov_deg,
        "vfov_deg": kind.vfov_deg,
        "range_min_m": kind.range_min_m,
        "range_max_m": kind.range_max_m,
        "position_source": "survey" if isinstance(sensor, Sensor) else "gnss",
        "azimuth_source": sensor.azimuth_source if isinstance(sensor, Sensor) else "compass",
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
) -> Coverage:
    """The coverage that the latest reports give: birth and frustum reports, at most one frustum a sensor.

    states: what the live state says of sensors ("P4/cam"), with a note; those that are not named are `planned` or
    `heard`. Sensors that the site file names and nobody reported are `missing`, reports that make no frustum
    `refused`: both are listed and count nothing. progress: called with the number of windows done and of all.
    """
    reports = [report for report in reports if report.values is not None]
    scenario, terrain = ground.scenario, ground.terrain
    default: State = "planned" if source == "plan" else "heard"
    sensors = _sensors(ground, reports, default, states or {})
    counting = [sensor.frustum for sensor in sensors if sensor.frustum is not None]
    visibility = scenario.environment.visibility_m
    targets = [
        Target(spec.name, spec.height_agl_m[0], spec.height_agl_m[1], spec.width_m, spec.speed_mps)
        for spec in scenario.targets
    ]
    fields = [Field(terrain.shape) for _ in targets]
    refused: dict[str, str] = {}
    jobs = [(index, frustum) for index in range(len(targets)) for frustum in counting]
    with ThreadPoolExecutor() as pool:
        running = {
            pool.submit(rate, terrain, frustum, targets[index], visibility): (index, frustum) for index, frustum in jobs
        }
        windows: dict[tuple[int, str], Rate] = {}
        for done, future in enumerate(as_completed(running), 1):
            index, frustum = running[future]
            try:
                windows[index, frustum.name] = future.result()
            except DetectionError as error:
                refused[frustum.name] = str(error)
            if progress is not None:
                progress(done, len(jobs))
    for index, frustum in jobs:
        if frustum.name not in refused:
            fields[index].add(frustum.name, windows[index, frustum.name])
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
            _target_coverage(ground, spec, target, field)
            for spec, target, field in zip(scenario.targets, targets, fields, strict=True)
        ),
        sensors=tuple(sensors),
        posts={name: (place[0], place[1]) for name, place in post_places.items()},
        at_unix_ms=at_unix_ms,
        source=source,
        level="reported",
        digest=_digest(ground, reports),
        version=__version__,
    )


def _sensors(
    ground: Ground, reports: Sequence[wire.Report], default: State, states: Mapping[str, tuple[State, str]]
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
        return None, f"its report has no {' and no '.join(missing)}"
    frustum = frustum_of(report, birth, ground.site)
    floor = float(ground.terrain.ground(frustum.east, frustum.north))
    if frustum.eye_agl is not None and not (frustum.moving and frustum.eye_amsl is not None):
        if math.isnan(floor):
            return None, "stands on ground that the terrain does not know"
        return dataclasses.replace(frustum, eye_amsl=floor + frustum.eye_agl), ""
    if frustum.eye_amsl is None:
        return None, "its report has no height"
    if math.isnan(floor):
        return frustum, "over ground that the terrain does not know"
    above = frustum.eye_amsl - floor
    return dataclasses.replace(frustum, eye_agl=above), f"{-above:.0f} m under the ground" if above < 0.0 else ""


def _target_coverage(ground: Ground, spec: TargetSpec, target: Target, field: Field) -> TargetCoverage:
    thresholds, terrain, frontage = ground.scenario.thresholds, ground.terrain, ground.frontage
    look = field.look(thresholds.look_s).astype(np.float32)
    look[unknown(terrain, field)] = np.nan
    at = stations(terrain, frontage, field, target, thresholds.look_s)
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
        )
    ]
    return TargetCoverage(spec, look, at, tuple(found))


def _digest(ground: Ground, reports: Sequence[wire.Report]) -> str:
    """SHA-256 of all that the answer depends on: the site file, the terrain and the reports."""
    told = sorted(
        json.dumps([report.node, report.kind, report.sensor, report.values], sort_keys=True) for report in reports
    )
    digest = hashlib.sha256(f"{ground.scenario.digest}\n{ground.terrain.digest}\n".encode())
    for line in told:
        digest.update(line.encode())
    return digest.hexdigest()
