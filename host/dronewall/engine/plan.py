"""What a plan promises: the reports that the nodes of the site file would send, and where its drones fly."""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from dronewall import wire
from dronewall.engine.earth import Site
from dronewall.engine.ground import Ground
from dronewall.engine.patrol import Airframe, Plan, Route, Sortie
from dronewall.engine.terrain import TerrainError
from dronewall.scenario import Drone, DroneSensor, Duty, Scenario, Sensor

_AWAKE = Duty()

PLANNED_POSITION_SIGMA_M = 1.0
"""What a plan takes for the standard error of a position, in each direction: a GNSS average, or a careful map [m]."""
PLANNED_MAST_SIGMA_M = 0.1
"""... of a sensor's height above the ground that it stands on [m]."""
PLANNED_AZIMUTH_SIGMA_DEG = {"survey": 0.5, "compass": 3.0}
"""... of an azimuth: sighted at installation over a known mark, or by a calibrated magnetic compass [degrees]."""
PLANNED_TILT_SIGMA_DEG = 0.5
"""... of elevation and roll: an accelerometer on a mast in the wind [degrees]."""


def plan_of(ground: Ground) -> Plan:
    """The plan of the site file's drones. Raises PatrolError."""
    return Plan(tuple(sortie_of(drone, ground.site) for drone in ground.scenario.drones))


def sortie_of(drone: Drone, site: Site) -> Sortie:
    """A drone's route as a sortie in site metres."""
    waypoints = np.stack(site.to_site(*np.array(drone.route_deg, dtype=np.float64).T), axis=-1)
    route = Route(waypoints, "loop" if drone.repeat == "loop" else "shuttle")
    return Sortie(drone.name, (drone.name,), Airframe(drone.name, drone.speed_mps), route, start=drone.start_s)


def track(ground: Ground, drone: Drone, longest: float = 5.0) -> list[tuple[float, float, float, float, float]]:
    """One cycle of a drone's flight: time [s], latitude, longitude [degrees], height AMSL [m], true azimuth of the
    course [degrees].

    Over unknown ground a height above ground cannot be held: the last known one is kept. Raises TerrainError where
    none is known.
    """
    sortie = sortie_of(drone, ground.site)
    flown = []
    amsl = math.nan
    count = math.ceil(sortie.period / longest)
    for time in np.linspace(0.0, sortie.period, count + 1).tolist():
        place = sortie.place(sortie.flown(drone.name, time))
        assert place is not None
        east, north, azimuth = place.east, place.north, place.course
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
        sortie = sortie_of(drone, site)
        place_at = sortie.place(sortie.flown(drone.name, time))
        assert place_at is not None
        east, north, course = place_at.east, place_at.north, place_at.course
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
