"""What a plan promises: the reports that the nodes of the site file would send, and where its drones fly."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from dronewall import wire
from dronewall.engine.earth import Site, drop
from dronewall.engine.frustum import Frustum, frustum_of
from dronewall.engine.ground import Ground
from dronewall.engine.patrol import Airframe, PatrolError, Place, Plan, Sortie
from dronewall.engine.route import Route, orbit
from dronewall.scenario import DroneSensor, Duty, Scenario, Sensor, SensorType
from dronewall.scenario import Sortie as SortieSpec

Floats = npt.NDArray[np.float64]

_AWAKE = Duty()

PLANNED_POSITION_SIGMA_M = 1.0
"""What a plan takes for the standard error of a position, in each direction: a GNSS average, or a careful map [m]."""
PLANNED_MAST_SIGMA_M = 0.1
"""... of a sensor's height above the ground that it stands on [m]."""
PLANNED_AZIMUTH_SIGMA_DEG = {"survey": 0.5, "compass": 3.0}
"""... of an azimuth: sighted at installation over a known mark, or by a calibrated magnetic compass [degrees]."""
PLANNED_TILT_SIGMA_DEG = 0.5
"""... of elevation and roll: an accelerometer on a mast in the wind [degrees]."""


def _sorties(scenario: Scenario, site: Site) -> tuple[list[Sortie], list[str]]:
    """The sorties of a site file in site metres, and what is wrong with those that their drones cannot fly."""
    airframes = {drone.name: drone.airframe for drone in scenario.drones}
    posts = {post.name: post for post in scenario.posts}
    found: list[Sortie] = []
    wrong: list[str] = []
    for spec in scenario.sorties:
        name = airframes[spec.drones[0]]
        kind = scenario.airframes[name]
        launch = None
        if spec.launch is not None:
            east, north = site.to_site(posts[spec.launch].latitude_deg, posts[spec.launch].longitude_deg)
            launch = float(east), float(north)
        waypoints = np.stack(site.to_site(*np.array(spec.route_deg, dtype=np.float64).T), axis=-1)
        try:
            found.append(
                Sortie(
                    spec.name,
                    spec.drones,
                    Airframe(
                        name,
                        kind.speed_mps,
                        math.inf if kind.endurance_s is None else kind.endurance_s,
                        kind.reserve_s,
                        kind.turnaround_s,
                    ),
                    _route(spec, waypoints, launch),
                    launch,
                    spec.start_s,
                    spec.every_s,
                    spec.batteries,
                    spec.charge_s,
                )
            )
        except PatrolError as error:
            wrong.append(str(error))
    return found, wrong


def _route(spec: SortieSpec, waypoints: Floats, launch: tuple[float, float] | None) -> Route:
    if spec.pattern == "orbit":
        assert spec.radius_m is not None
        centre = float(waypoints[0, 0]), float(waypoints[0, 1])
        return orbit(centre, spec.radius_m, spec.direction != "counterclockwise", launch)
    return Route(waypoints, "once" if spec.pattern == "waypoints" else spec.pattern)


def plan_of(ground: Ground) -> Plan:
    """The plan of the site file's drones.

    Raises PatrolError, a line for each sortie that cannot be flown: too far for its endurance, take-offs too close to
    each other, ground or what stands on it above the flying height, or ground under its way that is not known.
    """
    sorties, wrong = _sorties(ground.scenario, ground.site)
    specs = {spec.name: spec for spec in ground.scenario.sorties}
    wrong += [
        f"sortie {sortie.name}: {words}" for sortie in sorties for words in _faults(ground, sortie, specs[sortie.name])
    ]
    if wrong:
        raise PatrolError("\n".join(wrong))
    return Plan(tuple(sorties))


def _faults(ground: Ground, sortie: Sortie, spec: SortieSpec) -> Iterator[str]:
    """What is in the way of a sortie's flights, cell by cell along them, and the ground that its gimbals point at."""
    terrain = ground.terrain
    for phase, points in _ways(sortie, terrain.cell):
        east, north = points.T
        floor = terrain.ground(east, north)
        unknown = np.flatnonzero(np.isnan(floor))
        if len(unknown):
            first = points[unknown[0]]
            west, right, south, above = terrain.extent
            inside = west <= first[0] <= right and south <= first[1] <= above
            why = "the terrain does not know it" if inside else "it lies beyond the ground that was read"
            yield f"no known ground {phase} at {_where(ground.site, first)}: {why}; expected some all along"
            return
        top = floor
        if terrain.surface_amsl is not None:
            top = np.fmax(floor, terrain.between(terrain.surface_amsl, east, north))
        over = top - (floor + spec.height_agl_m if spec.height_agl_m is not None else spec.height_amsl_m or 0.0)
        worst = int(np.argmax(over))
        if over[worst] >= 0.0:
            flown = (
                f"{spec.height_amsl_m:g} m AMSL" if spec.height_amsl_m is not None else f"{spec.height_agl_m:g} m AGL"
            )
            what = "the ground" if top[worst] == floor[worst] else "what stands on the ground"
            yield (
                f"{what} rises to {top[worst]:.0f} m AMSL {phase} at {_where(ground.site, points[worst])}, "
                f"{over[worst]:.0f} m above the drone; expected it under the flying height of {flown}"
            )
            return
    for drone in ground.scenario.drones:
        for sensor in drone.sensors if drone.name in sortie.drones else ():
            if sensor.point_deg is not None and math.isnan(
                ground.terrain.ground(*ground.site.to_site(*sensor.point_deg))
            ):
                place = f"{sensor.point_deg[0]:.5f}, {sensor.point_deg[1]:.5f}"
                yield f"{drone.name}/{sensor.name} points at {place}, where the terrain knows no ground; expected some"


def _ways(sortie: Sortie, spacing: float) -> Iterator[tuple[str, Floats]]:
    """Points (n, 2) of site metres along what a flight of the sortie flies, no farther apart than that, by phase."""
    route = sortie.route
    farthest = min(sortie.on_station * sortie.speed, route.length)
    flown = np.unique(
        np.concatenate((np.arange(0.0, farthest, spacing), route.marks[route.marks < farthest], [farthest]))
    )
    station = np.stack([np.interp(flown, route.marks, route.path[:, axis]) for axis in (0, 1)], axis=-1)
    yield "along its route", station
    if sortie.forever or sortie.launch is None:
        return
    for phase, start, end in (
        ("on the way out", sortie.launch, route.at(0.0)[:2]),
        ("on the way home", route.at(sortie.on_station * sortie.speed)[:2], sortie.launch),
    ):
        count = max(2, math.ceil(math.dist(start, end) / spacing) + 1)
        yield phase, np.linspace(start, end, count)


def _where(site: Site, point: Floats) -> str:
    latitude, longitude = site.to_geodetic(float(point[0]), float(point[1]))
    return f"{latitude:.5f}, {longitude:.5f}"


def flight_amsl(ground: Ground, spec: SortieSpec, east: float, north: float) -> float:
    """How high a drone of the sortie flies there [m AMSL]; nan over unknown ground."""
    if spec.height_agl_m is None:
        assert spec.height_amsl_m is not None
        return spec.height_amsl_m
    return float(ground.terrain.ground(east, north)) + spec.height_agl_m


def airborne(ground: Ground, plan: Plan, time: float) -> list[tuple[str, Frustum]]:
    """The frusta of all sensors of the drones that are in the air at a time [s], by name, in the site file's order.

    They are to the last bit what `sensors.sensor_states` makes of the reports of `planned`: rounded to the wire's
    steps, in far less time.
    """
    scenario, site = ground.scenario, ground.site
    specs = {spec.name: spec for spec in scenario.sorties}
    found = []
    for drone in scenario.drones:
        place = plan.at(drone.name, time)
        if place is None:
            continue
        sortie = plan.sortie_of[drone.name]
        pose = _pose(ground, sortie, specs[sortie.name], place)
        for sensor in drone.sensors:
            kind = scenario.sensor_types[sensor.type]
            values = dict(_constant(kind, sensor))
            for name, value in {**pose, **_aim(ground, sortie, sensor, place, pose)}.items():
                values[name] = _rounded(name, value)
            report = wire.Report(scenario.site.name, drone.name, "frustum", sensor.name, values)
            frustum = frustum_of(report, _entry(kind), site)
            assert frustum.eye_amsl is not None
            floor = float(ground.terrain.ground(frustum.east, frustum.north))
            above = None if math.isnan(floor) else frustum.eye_amsl - floor
            found.append((frustum.name, dataclasses.replace(frustum, eye_agl=above)))
    return found


def planned(ground: Ground, time: float = 0.0, plan: Plan | None = None) -> list[wire.Report]:
    """The reports that the nodes of the site file would send `time` seconds into the plan of its drones; one that is on
    the ground sends its birth alone.

    They go through the wire's own encoding, so that a plan is rounded and bounded exactly as live reports are. Raises
    PatrolError where no plan is given and the site file's cannot be flown.
    """
    scenario = ground.scenario
    posts = {post.name: post for post in scenario.posts}
    reports = []
    for node in scenario.nodes:
        post = posts[node.post]
        reports.append(_birth(scenario, node.name, node.sensors, node.period_s))
        place = {"latitude_deg": post.latitude_deg, "longitude_deg": post.longitude_deg, "height_agl_m": node.mast_m}
        for sensor in node.sensors:
            kind = scenario.sensor_types[sensor.type]
            values = {**_frustum_values(kind, sensor, node.duty), **place}
            values["azimuth_deg"] = round(sensor.azimuth_deg, 2) % 360.0
            reports.append(_through_the_wire(scenario, node.name, "frustum", sensor.name, values))
    if not scenario.drones:
        return reports
    plan = plan_of(ground) if plan is None else plan
    specs = {spec.name: spec for spec in scenario.sorties}
    for drone in scenario.drones:
        reports.append(_birth(scenario, drone.name, drone.sensors, 1.0))
        at = plan.at(drone.name, time)
        if at is None:
            continue
        sortie = plan.sortie_of[drone.name]
        pose = _pose(ground, sortie, specs[sortie.name], at)
        for mounted in drone.sensors:
            values = dict(_frustum_values(scenario.sensor_types[mounted.type], mounted))
            values |= {**pose, **_aim(ground, sortie, mounted, at, pose)}
            reports.append(_through_the_wire(scenario, drone.name, "frustum", mounted.name, values))
    return reports


def _pose(ground: Ground, sortie: Sortie, spec: SortieSpec, place: Place) -> dict[str, float]:
    """Where a drone is and how it moves, as its report has it; and `azimuth_deg` of its nose."""
    latitude, longitude = ground.site.to_geodetic(place.east, place.north)
    nose = place.course + ground.site.convergence(place.east, place.north)
    return {
        "latitude_deg": float(latitude),
        "longitude_deg": float(longitude),
        "height_amsl_m": flight_amsl(ground, spec, place.east, place.north),
        "azimuth_deg": math.degrees(nose),
        "velocity_east_mps": sortie.speed * math.sin(nose),
        "velocity_north_mps": sortie.speed * math.cos(nose),
        "velocity_up_mps": 0.0,
    }


def _aim(
    ground: Ground, sortie: Sortie, sensor: DroneSensor, place: Place, pose: Mapping[str, float]
) -> dict[str, float]:
    """Azimuth (true) and elevation of a drone's sensor [degrees]."""
    azimuth, elevation = pose["azimuth_deg"] + sensor.azimuth_deg, sensor.elevation_deg
    if sensor.gimbal == "point":
        assert sensor.point_deg is not None
        east, north = ground.site.to_site(*sensor.point_deg)
        away = math.hypot(east - place.east, north - place.north)
        below = pose["height_amsl_m"] - float(ground.terrain.ground(east, north)) + drop(away)
        elevation = -math.degrees(math.atan2(below, away))
        off = math.atan2(east - place.east, north - place.north) - place.course
        azimuth = pose["azimuth_deg"] + (math.degrees(off) if away > 0.0 else 0.0)
    elif sensor.gimbal == "sweep":
        assert sensor.sweep_deg is not None
        assert sensor.sweep_s is not None
        azimuth += sensor.sweep_deg / 2.0 * _triangle(place.flown / _sweep(sortie, sensor.sweep_s))
    return {"azimuth_deg": round(azimuth, 2) % 360.0, "elevation_deg": elevation}


def _sweep(sortie: Sortie, asked: float) -> float:
    """Seconds of a sweep: a drone that never lands makes a whole number of them in its round, or nothing would repeat
    itself.
    """
    return sortie.period / max(1, math.floor(sortie.period / asked)) if sortie.forever else asked


def _triangle(phase: float) -> float:
    """The triangular wave of period 1: 0 at 0, 1 at a quarter, -1 at three quarters."""
    return 1.0 - abs((phase + 0.25) % 1.0 * 4.0 - 2.0)


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
        entries.append({"name": sensor.name, "model": msgspec.to_builtins(kind.model), **_limits(kind)})
    values = {
        "firmware": "planned",
        "board": "planned",
        "boot": 0,
        "session": 0,
        "period_s": max(1, round(period)),
        "sensors": entries,
    }
    return _through_the_wire(scenario, node, "birth", None, values)


@functools.lru_cache(maxsize=4096)
def _entry(kind: SensorType) -> dict[str, object]:
    """A type of sensor as a birth message describes it, rounded as the wire does."""
    sensor = {"name": "sensor", "model": msgspec.to_builtins(kind.model), **_limits(kind)}
    birth = {"firmware": "-", "board": "-", "boot": 0, "session": 0, "period_s": 1, "sensors": [sensor]}
    decoded = wire.decode(wire.topic("wall", "node", "birth"), wire.encode("birth", wire.integers("birth", birth)))
    return dict(decoded.values["sensors"][0])


@functools.lru_cache(maxsize=4096)
def _constant(kind: SensorType, sensor: DroneSensor) -> Mapping[str, object]:
    """What every frustum report of a drone's sensor says alike, rounded as the wire does."""
    moving = dict.fromkeys(_MOVING, 0.0)
    values = wire.integers("frustum", {**_frustum_values(kind, sensor), **moving})
    decoded = wire.decode(wire.topic("wall", "node", "frustum", "sensor"), wire.encode("frustum", values))
    return {name: value for name, value in decoded.values.items() if name not in _MOVING}


_MOVING = (
    "latitude_deg",
    "longitude_deg",
    "height_amsl_m",
    "azimuth_deg",
    "elevation_deg",
    "velocity_east_mps",
    "velocity_north_mps",
    "velocity_up_mps",
)
"""What changes from one report of a drone's sensor to the next."""
_STEPS = {row[0]: row[3:6] for row in wire.rows("frustum") if row[0] in _MOVING}
"""Decimals, least and most of these on the wire."""


def _rounded(name: str, value: float) -> float:
    """A value of a frustum report as it comes out of the wire. Raises PatrolError where it does not fit in."""
    decimals, least, most = _STEPS[name]
    steps = round(value * 10**decimals)
    if not least <= steps <= most:
        raise PatrolError(f"{name} is {value:g}; expected {least / 10**decimals:g} to {most / 10**decimals:g}")
    return float(steps / 10**decimals)


def _limits(kind: SensorType) -> dict[str, object]:
    limits = ("driver", "shape", "hfov_deg", "vfov_deg", "range_min_m", "range_max_m")
    return {name: getattr(kind, name) for name in limits}


def _frustum_values(kind: SensorType, sensor: Sensor | DroneSensor, duty: Duty = _AWAKE) -> dict[str, object]:
    """What a planned frustum report says besides its place and azimuth."""
    fixed = isinstance(sensor, Sensor)
    source = sensor.azimuth_source if isinstance(sensor, Sensor) else "compass"
    return {
        "position_sigma_m": PLANNED_POSITION_SIGMA_M,
        "height_sigma_m": PLANNED_MAST_SIGMA_M if fixed else PLANNED_POSITION_SIGMA_M,
        "elevation_deg": sensor.elevation_deg,
        "roll_deg": sensor.roll_deg,
        "azimuth_sigma_deg": PLANNED_AZIMUTH_SIGMA_DEG[source],
        "tilt_sigma_deg": PLANNED_TILT_SIGMA_DEG,
        **{name: value for name, value in _limits(kind).items() if name != "driver"},
        "position_source": "survey" if fixed else "gnss",
        "azimuth_source": source,
        "awake": duty.awake,
        "duty": duty.share,
        "clock": "none",
        "seq": 0,
        "boot": 0,
        "valid_s": 86400,
    }
