"""The devices of a simulated wall: what a node's config.json and its world.json hold, from the site file.

`config.json` is what a node in the field has, in the node's integers (firmware/README.md); `world.json` and the track
are the truth that its virtual GNSS receiver, compass and presence sensors measure (firmware/unix/README.md).
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dronewall import wire
from dronewall.scenario import Drone, Duty, Node, Post, Scenario, SensorType

DECLINATION_DEG = -5.2  # at Jacksboro (World Magnetic Model); it cancels out, node and world carry the same
GNSS_SIGMA_M = 1.5  # horizontal, each axis: an ordinary receiver under an open sky
COMPASS_SIGMA_DEG = 1.0  # what calibration leaves
VALID_PERIODS = 3
_VALID_S = 86_400  # a report counts for a day at most (firmware/README.md, `valid_s`)
DRONE_PERIOD_S = 2
KEEPALIVE_S = 10
AWAKE_S = 10  # of a node that is woken by events, in each of its cycles: to join, report and listen
_PIR_PINS = (34, 32, 33, 13, 14, 18, 19, 27)  # firmware/board.py: `pir`, then what few nodes use
# driver: the bus and the file of firmware/unix/devices/ that speaks on it.
_DEVICES = {
    "acoustic": ("i2s", "inmp441"),
    "amg8833": ("i2c", "amg8833"),
    "detector": ("uart", "camera"),
    "ld2450": ("uart", "ld2450"),
    "radar": ("uart", "ttm"),
}
_POLE = (math.radians(80.65), math.radians(-72.68))  # geomagnetic pole, latitude and longitude (IGRF-13, 2020)

_WALKER_MPS = 1.4
_WALKER_UP_M = 0.9  # its middle
_WALK_M = 40.0  # how far out an intruder sets out, and how far behind the frontage he is out of sight
_PASS_M = 3.0  # beside the post
_EVERY_S = 120
_METRES = 6_371_000 * math.pi / 180  # in a degree of latitude

GroundHeight = Callable[[float, float], float]
"""Height of the ground AMSL [m] at latitude, longitude [degrees]."""

Track = Callable[[Drone], Sequence[Sequence[int]]]
"""A drone's flight: rows as in `Device.track`; none where it never flies."""


class DeviceError(ValueError):
    """A node that a site describes and the reference board cannot be: which one, and why."""


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
    intruders: bool = False,
) -> list[Device]:
    """The scenario's nodes and drones, each with its config and its world.

    Posts measure their position (`position_source` "gnss") or are told it ("survey"); drones always measure theirs.
    `track` is needed when there are drones. One without a flight is no device: it stays in its box. Nodes have no
    gimbal: a drone's sensors are fixed to its nose. `intruders`: every two minutes somebody walks past each post.
    """
    start = start_unix_ms if start_unix_ms is not None else time.time_ns() // 1_000_000
    posts = {post.name: post for post in scenario.posts}
    found: list[Device] = []
    common = {
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
        for sensor in config["sensors"]:
            if sensor["driver"] == "pir":
                sensor["settle_s"] = 5  # its output means something from the start
        points = [tuple(int(number) for number in row) for row in path]
        found.append(Device(name, {**common, **config}, world, points))

    for node in scenario.nodes:
        post = posts[node.post]
        ground = ground_amsl(post.latitude_deg, post.longitude_deg)
        config = config_of(scenario, node.name, ground, position_source)
        add(node.name, config, _standing(node, post, ground), "hold")
        if intruders:
            found[-1].world["intruders"] = [_walker(scenario, post, node.mast_m, len(found))]
    for drone in scenario.drones:
        if track is None:
            raise ValueError(f"drone {drone.name}: no `track` to fly")
        flight = track(drone)
        if flight:
            add(drone.name, config_of(scenario, drone.name, 0.0), flight, "loop")
    return found


def config_of(
    scenario: Scenario,
    name: str,
    ground_amsl: float,
    position_source: str = "survey",
    pir_pins: Sequence[int] = _PIR_PINS,
) -> dict[str, Any]:
    """What the site file says of a node's config.json, or of a drone's; how it gets to its broker, and which way its
    compass is off, stand elsewhere.

    `ground_amsl`: the ground at its post [m], nan where nobody knows it. A node's position is its post's, or with
    `position_source` "gnss" what its receiver finds; a drone's always is. Its presence sensors are on the first of
    `pir_pins`. Raises DeviceError where these are too few, KeyError for a name that the scenario does not have.
    """
    drones = {drone.name: drone for drone in scenario.drones}
    if name in drones:
        config = _drone_config(scenario, drones[name])
    else:
        node = {node.name: node for node in scenario.nodes}[name]
        post = {post.name: post for post in scenario.posts}[node.post]
        config = _node_config(scenario, node, post, ground_amsl, position_source, pir_pins)
    return {"format": 1, "wall": scenario.site.name, "node": name, **config}


def _wired(name: str, sensors: Sequence[dict[str, Any]], board_cdeg: int) -> dict[str, Any]:
    """What stands on the buses of a board with these sensors, and where it looks, as its world says it."""
    world: dict[str, Any] = {}
    for sensor in sensors:
        device = _DEVICES.get(sensor["driver"])
        if device is None:
            continue
        bus, part = device
        if bus == "uart" and bus in world:
            raise DeviceError(
                f"node {name}: the board has one UART for a sensor, sensor {sensor['name']} is the second"
            )
        world[bus] = {"uart": {"1": "receiver", "2": part}, "i2c": ["qmc5883l", "adxl345", part], "i2s": part}[bus]
        turned = board_cdeg if sensor["azimuth_source"] == "survey" else 0
        world.setdefault("mounts", {})[part] = (sensor["azimuth_cdeg"] - turned) % 36000
    return world


def spread(scenario: Scenario, count: int) -> Scenario:
    """The scenario with `count` nodes. Fewer than it has: its first ones. More: its own, and copies of them one after
    the other with all their sensors, which stand evenly along the frontage on posts of their own; the first copy of
    node P4 is P4-2, at post P4-2.
    """
    nodes, posts = list(scenario.nodes[:count]), list(scenario.posts)
    copies = count - len(nodes)
    taken = {node.name for node in nodes} | {post.name for post in posts} | {drone.name for drone in scenario.drones}
    for number in range(copies if nodes else 0):
        origin, turn = scenario.nodes[number % len(scenario.nodes)], number // len(scenario.nodes) + 2
        name = f"{origin.name[:26]}-{turn}"
        while name in taken:
            turn += 1
            name = f"{origin.name[:26]}-{turn}"
        taken.add(name)
        latitude, longitude = _along(scenario.frontage.points_deg, (number + 0.5) / copies)
        posts.append(Post(name=name, latitude_deg=latitude, longitude_deg=longitude))
        nodes.append(msgspec.structs.replace(origin, name=name, post=name))
    return msgspec.structs.replace(scenario, nodes=tuple(nodes), posts=tuple(posts))


def _along(points: Sequence[tuple[float, float]], share: float) -> tuple[float, float]:
    """Latitude and longitude [degrees] at that share of a line's length."""
    lengths = [math.hypot(*_apart(one, other)) for one, other in itertools.pairwise(points)]
    left = share * sum(lengths)
    for (one, other), length in zip(itertools.pairwise(points), lengths, strict=True):
        if left <= length:
            part = left / length if length else 0.0
            return one[0] + part * (other[0] - one[0]), one[1] + part * (other[1] - one[1])
        left -= length
    return points[-1]


def _apart(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """(east, north) [m] from one place (latitude, longitude [degrees]) to another that is near: a plane."""
    north = (other[0] - one[0]) * _METRES
    return (other[1] - one[1]) * _METRES * math.cos(math.radians((one[0] + other[0]) / 2)), north


def _walker(scenario: Scenario, post: Post, mast_m: float, number: int) -> dict[str, Any]:
    """Somebody who walks straight across the frontage 3 m beside the post, from the threat's side, seen from the board
    on its mast: true axes, as firmware/unix/README.md says.

        threat    o  40 m out          across = the threat's side of the nearest piece of the frontage
                  :
        ----------:--P-----------> frontage (threat on the left)
                  v
    """
    here = (post.latitude_deg, post.longitude_deg)
    pieces = itertools.pairwise(scenario.frontage.points_deg)
    one, other = min(pieces, key=lambda piece: _off(here, piece))
    east, north = _apart(one, other)
    length = math.hypot(east, north) or 1.0
    along = (east / length, north / length)
    across = (-along[1], along[0]) if scenario.frontage.threat == "left" else (along[1], -along[0])
    up = _WALKER_UP_M - mast_m

    def at(offset: float) -> list[int]:
        return [round(100 * (offset * across[i] - _PASS_M * along[i])) for i in range(2)] + [round(100 * up)]

    takes_ms = round(2000 * _WALK_M / _WALKER_MPS)
    return {
        "start_ms": number * 7919 % (1000 * _EVERY_S),  # not at all posts at once
        "every_ms": 1000 * _EVERY_S,
        "points": [[0, *at(_WALK_M)], [takes_ms, *at(-_WALK_M)]],
        "kind": "person",
    }


def _off(here: tuple[float, float], piece: tuple[tuple[float, float], tuple[float, float]]) -> float:
    """Distance [m] of a place from a piece of the frontage."""
    east, north = _apart(*piece)
    x, y = _apart(piece[0], here)
    share = min(1.0, max(0.0, (x * east + y * north) / (east * east + north * north or 1.0)))
    return math.hypot(x - share * east, y - share * north)


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
    scenario: Scenario, node: Node, post: Post, ground_amsl: float, position_source: str, pir_pins: Sequence[int]
) -> dict[str, Any]:
    period = round(node.period_s)
    position: dict[str, Any] = {"source": position_source}
    if position_source == "survey":
        position |= {
            "latitude_e7": round(post.latitude_deg * 1e7),
            "longitude_e7": round(post.longitude_deg * 1e7),
            "height_amsl_cm": None if math.isnan(ground_amsl) else round(100 * (ground_amsl + node.mast_m)),
            "sigma_cm": 100,
        }
    power = power_of(node.duty)
    pins = iter(pir_pins)
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
        if power["asleep_s"] and (node.duty.awake == "duty" or entry["driver"] != "pir"):
            # The firmware makes its share from its own cycle; what has no pin to wake it sees when the node is awake.
            del entry["awake"], entry["duty_milli"]
        if entry["driver"] == "pir":
            pin = next(pins, None)
            if pin is None:
                raise DeviceError(f"node {node.name}: the board has pins for {len(pir_pins)} presence sensors")
            entry["pin"] = pin
        sensors.append(entry)
    return {
        "period_s": period,
        "valid_s": min(
            _VALID_S, VALID_PERIODS * max(period, power["asleep_s"] and power["awake_s"] + power["asleep_s"])
        ),
        "power": {key: value for key, value in power.items() if value},
        "moving": False,
        "position": position,
        "height_agl_cm": round(100 * node.mast_m),
        "sensors": sensors,
    }


def power_of(duty: Duty) -> dict[str, Any]:
    """The `power` of a node's config.json: its mode, and for one that sleeps by turns how long it is awake and asleep
    [s], else 0.
    """
    power: dict[str, Any] = {"mode": duty.sleep or "active", "awake_s": 0, "asleep_s": 0}
    if duty.cycle_s is not None:
        power["awake_s"] = (
            round(duty.share * duty.cycle_s) if duty.awake == "duty" else min(AWAKE_S, int(duty.cycle_s) - 1)
        )
        power["asleep_s"] = round(duty.cycle_s) - power["awake_s"]
    return power


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
