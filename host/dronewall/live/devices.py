"""The devices of a simulated wall: what a node's config.json and its world.json hold, from the site file.

`config.json` is what a node in the field has, in the node's integers (firmware/README.md); `world.json` and the track
are the truth that its virtual GNSS receiver, compass and presence sensors measure (firmware/unix/README.md).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dronewall import wire
from dronewall.scenario import Drone, Node, Post, Scenario, SensorType

DECLINATION_DEG = -5.2  # at Jacksboro (World Magnetic Model); it cancels out, node and world carry the same
GNSS_SIGMA_M = 1.5  # horizontal, each axis: an ordinary receiver under an open sky
COMPASS_SIGMA_DEG = 1.0  # what calibration leaves
VALID_PERIODS = 3
DRONE_PERIOD_S = 2
KEEPALIVE_S = 10
_PIR_PINS = (27, 32, 33, 13, 14, 18, 19, 23)  # free ones of firmware/board.py
# driver: the bus and the file of firmware/unix/devices/ that speaks on it.
_DEVICES = {
    "acoustic": ("i2s", "inmp441"),
    "amg8833": ("i2c", "amg8833"),
    "detector": ("uart", "camera"),
    "ld2450": ("uart", "ld2450"),
    "radar": ("uart", "ttm"),
}
_POLE = (math.radians(80.65), math.radians(-72.68))  # geomagnetic pole, latitude and longitude (IGRF-13, 2020)

GroundHeight = Callable[[float, float], float]
"""Height of the ground AMSL [m] at latitude, longitude [degrees]."""

Track = Callable[[Drone], Sequence[Sequence[int]]]
"""A drone's flight: rows as in `Device.track`; none where it never flies."""


@dataclass(frozen=True)
class Device:
    """A node to be: its name, what its config.json and its world.json hold, and its way through the world.

    `track` rows: t_ms, latitude_e7, longitude_e7, height_amsl_cm, azimuth_cdeg, elevation_cdeg, roll_cdeg of the board.
    """

    name: str
    config: dict[str, Any]
    world: dict[str, Any]
    track: list[tuple[int, ...]]


def magnetic_field(latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """(dip [degrees, down positive], strength [nT]) of the earth's field: a centred dipole, good to some degrees.

    tan(dip) = 2 tan(geomagnetic latitude).
    """
    latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
    sine = math.sin(latitude) * math.sin(_POLE[0]) + math.cos(latitude) * math.cos(_POLE[0]) * math.cos(
        longitude - _POLE[1]
    )
    dip = math.atan2(2 * sine, math.sqrt(max(1e-12, 1 - sine * sine)))
    return math.degrees(dip), 29_900 * math.sqrt(1 + 3 * sine * sine)


def devices(
    scenario: Scenario,
    host: str,
    port: int,
    ground_amsl: GroundHeight,
    track: Track | None = None,
    *,
    user: str | None = None,
    password: str | None = None,
    position_source: str = "gnss",
    seed: int = 1,
    start_unix_ms: int | None = None,
) -> list[Device]:
    """The scenario's nodes and drones, each with its config and its world.

    Posts measure their position (`position_source` "gnss") or are told it ("survey"); drones always measure theirs.
    `track` is needed when there are drones. One without a flight is no device: it stays in its box. Nodes have no
    gimbal: a drone's sensors are fixed to its nose.
    """
    start = start_unix_ms if start_unix_ms is not None else time.time_ns() // 1_000_000
    posts = {post.name: post for post in scenario.posts}
    found: list[Device] = []
    common = {
        "format": 1,
        "wall": scenario.site.name,
        "wifi": [{"ssid": "simulated", "password": ""}],
        "mqtt": {"host": host, "port": port, "user": user, "password": password, "keepalive_s": KEEPALIVE_S},
        "declination_cdeg": round(100 * DECLINATION_DEG),
    }

    def add(name: str, config: dict[str, Any], path: Sequence[Sequence[int]], repeat: str) -> None:
        if not path:
            raise ValueError(f"{name}: a track without points")
        dip, strength = magnetic_field(path[0][1] / 1e7, path[0][2] / 1e7)
        world = {
            "start_unix_ms": start,
            "repeat": repeat,
            "declination_cdeg": common["declination_cdeg"],
            "field": {"dip_cdeg": round(100 * dip), "nanotesla": round(strength)},
            "gnss": {"sigma_cm": round(100 * GNSS_SIGMA_M), "fix_after_ms": 500, "baud": 9600},
            "compass": {"sigma_cdeg": round(100 * COMPASS_SIGMA_DEG)},
            "accelerometer": {"sigma_cdeg": 20},
            "pir": [
                # Intruders come at different times to different posts.
                {"pin": sensor["pin"], "every_ms": 20_000 + 1700 * len(found) % 7919, "high_ms": 2000}
                for sensor in config["sensors"]
                if "pin" in sensor
            ],
            "seed": seed * 1000 + len(found),
            **_wired(name, config["sensors"], path[0][4]),
        }
        points = [tuple(int(number) for number in row) for row in path]
        found.append(Device(name, {**common, "node": name, **config}, world, points))

    for node in scenario.nodes:
        post = posts[node.post]
        ground = ground_amsl(post.latitude_deg, post.longitude_deg)
        add(
            node.name,
            _node_config(scenario, node, post, ground, position_source),
            _standing(node, post, ground),
            "hold",
        )
    for drone in scenario.drones:
        if track is None:
            raise ValueError(f"drone {drone.name}: no `track` to fly")
        flight = track(drone)
        if flight:
            add(drone.name, _drone_config(scenario, drone), flight, "loop")
    return found


def _wired(name: str, sensors: Sequence[dict[str, Any]], board_cdeg: int) -> dict[str, Any]:
    """What stands on the buses of a board with these sensors, and where it looks, as its world says it."""
    world: dict[str, Any] = {}
    for sensor in sensors:
        device = _DEVICES.get(sensor["driver"])
        if device is None:
            continue
        bus, part = device
        if bus == "uart" and bus in world:
            raise ValueError(f"node {name}: the board has one UART for a sensor, sensor {sensor['name']} is the second")
        world[bus] = {"uart": {"1": "receiver", "2": part}, "i2c": ["qmc5883l", "adxl345", part], "i2s": part}[bus]
        turned = board_cdeg if sensor["azimuth_source"] == "survey" else 0
        world.setdefault("mounts", {})[part] = (sensor["azimuth_cdeg"] - turned) % 36000
    return world


def _standing(node: Node, post: Post, ground_amsl: float) -> list[list[int]]:
    """The truth of a node that stands still, level; its board looks where its first sensor looks."""
    return [
        [
            0,
            round(post.latitude_deg * 1e7),
            round(post.longitude_deg * 1e7),
            round(100 * (ground_amsl + node.mast_m)),
            round(100 * node.sensors[0].azimuth_deg) % 36000,
            0,
            0,
        ]
    ]


def _node_config(
    scenario: Scenario, node: Node, post: Post, ground_amsl: float, position_source: str
) -> dict[str, Any]:
    period = round(node.period_s)
    position: dict[str, Any] = {"source": position_source}
    if position_source == "survey":
        position |= {
            "latitude_e7": round(post.latitude_deg * 1e7),
            "longitude_e7": round(post.longitude_deg * 1e7),
            "height_amsl_cm": round(100 * (ground_amsl + node.mast_m)),
            "sigma_cm": 100,
        }
    pins = iter(_PIR_PINS)
    sensors = []
    for sensor in node.sensors:
        azimuth = sensor.azimuth_deg
        if sensor.azimuth_source == "compass":
            azimuth -= node.sensors[0].azimuth_deg
        entry = _sensor_config(sensor.name, scenario.sensor_types[sensor.type])
        entry |= {
            "azimuth_source": sensor.azimuth_source,
            "azimuth_cdeg": round(100 * azimuth) % 36000,
            "elevation_cdeg": round(100 * sensor.elevation_deg),
            "roll_cdeg": round(100 * sensor.roll_deg),
            "awake": node.duty.awake,
            "duty_milli": round(1000 * node.duty.share),
        }
        if entry["driver"] == "pir":
            pin = next(pins, None)
            if pin is None:
                raise ValueError(f"node {node.name}: the board has pins for {len(_PIR_PINS)} presence sensors")
            entry |= {"pin": pin, "settle_s": 5}
        sensors.append(entry)
    return {
        "period_s": period,
        "valid_s": VALID_PERIODS * period,
        "moving": False,
        "position": position,
        "height_agl_cm": round(100 * node.mast_m),
        "sensors": sensors,
    }


def _drone_config(scenario: Scenario, drone: Drone) -> dict[str, Any]:
    sensors = []
    for sensor in drone.sensors:
        entry = _sensor_config(sensor.name, scenario.sensor_types[sensor.type])
        # The drone's own compass says where its nose points; the sensors are mounted relative to it.
        entry |= {
            "azimuth_source": "compass",
            "azimuth_cdeg": round(100 * sensor.azimuth_deg) % 36000,
            "elevation_cdeg": round(100 * sensor.elevation_deg),
            "roll_cdeg": round(100 * sensor.roll_deg),
        }
        sensors.append(entry)
    return {
        "period_s": DRONE_PERIOD_S,
        "valid_s": VALID_PERIODS * DRONE_PERIOD_S,
        "moving": True,
        "position": {"source": "gnss"},
        "height_agl_cm": None,
        "sensors": sensors,
    }


def _sensor_config(name: str, kind: SensorType) -> dict[str, Any]:
    """What a sensor of that type is, in the node's integers, which wire.py makes from the birth's fields."""
    values = {
        "name": name,
        "driver": kind.driver,
        "shape": kind.shape,
        "hfov_deg": kind.hfov_deg,
        "vfov_deg": kind.vfov_deg,
        "range_min_m": kind.range_min_m,
        "range_max_m": kind.range_max_m,
        "model": msgspec.to_builtins(kind.model),
    }
    birth = {"firmware": "-", "board": "-", "boot": 0, "session": 0, "period_s": 1, "sensors": [values]}
    return dict(wire.integers("birth", birth)["sensors"][0])
