"""The live state: the latest report of every sensor, and how much it still counts.

The only module that holds any. It has no clock: every time is an argument. The rules (DESIGN.md, "The wire"):

- Messages of one topic are ordered by (boot, seq), state by (boot, session): an older one never replaces a newer one,
  and what different topics say may come in any order.
- A report counts until its own time + `valid_s` (heard), is *stale* after that and *lost* after three times that.
  Without a clock the arrival counts, but retained is not fresh: such a report is stale when it comes.
- A will counts only for the current (boot, session), and a report that comes after it refutes it: rumqttd publishes the
  will of a new session when that takes over the old one's link.
- A position that jumps without motion is suspect: the sensor stays where it was.
"""

import math
from typing import Any, Literal, NamedTuple

from dronewall.engine.earth import RADIUS
from dronewall.wire import Report

Status = Literal["heard", "stale", "lost"]

LOST = 3  # times valid_s
JUMP_M = 15.0  # what a fixed post's position may move beyond its accuracy: multipath
JUMP_SIGMAS = 5.0
MOVING_JUMP_M = 50.0
NAMES = 1000  # nodes by whose names refused messages are counted; those of further names together
OTHERS = "(others)"


class SensorReport(NamedTuple):
    """What is known of a sensor: its name ("P4/cam"), latest report, its entry in the node's birth, how much it counts.

    `report.values` are in the units of the wire; a suspect position is already put back. `note` says in words why a
    sensor is not simply heard, or what is odd about it; "" when nothing is.
    """

    name: str
    report: Report
    birth: dict[str, Any] | None
    status: Status
    note: str
    suspect: bool


class NodeReport(NamedTuple):
    """What is known of a node. `alive`: one of its sensors is heard; `state`: "" when it never told any."""

    name: str
    state: str
    alive: bool
    birth: dict[str, Any] | None
    health: dict[str, Any] | None
    bad: int
    reason: str


class _Sensor:
    """A frustum topic: the latest report, when it came, and the position that is believed."""

    def __init__(self) -> None:
        self.report: Report | None = None
        self.order = (-1, -1)
        self.arrived = 0
        self.retained = False
        self.anchor: dict[str, Any] | None = None
        self.jump = 0.0  # [m] between the last position and the believed one, 0 when it is believed


class _Node:
    def __init__(self) -> None:
        self.state = ""
        self.order = (-1, -1)
        self.arrived = -1
        self.via = ""
        self.birth: dict[str, Any] | None = None
        self.birth_order = (-1, -1)
        self.health: dict[str, Any] | None = None
        self.health_order = (-1, -1)
        self.detections: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self.sensors: dict[str, _Sensor] = {}
        self.live = (-1, -1)  # boot and arrival of the last frustum or detection that was not retained
        self.bad = 0
        self.reason = ""

    def boot(self) -> int:
        """The latest start that any of its messages told of, -1 before the first."""
        return max([self.order[0], self.birth_order[0], *(sensor.order[0] for sensor in self.sensors.values())])


class State:
    """The latest of every topic of one wall; reports of other walls are left alone."""

    def __init__(self, wall: str) -> None:
        self.wall = wall
        self._nodes: dict[str, _Node] = {}

    def apply(self, report: Report, arrived_unix_ms: int, retained: bool = False) -> None:
        """Takes a report in. `retained`: the broker had kept it, so it may be of any age."""
        if report.wall != self.wall:
            return
        node = self._nodes.setdefault(report.node, _Node())
        if report.kind in ("frustum", "detection") and report.values is not None and not retained:
            node.live = max(node.live, (report.values.get("boot", 0), arrived_unix_ms))
        if report.kind == "frustum":
            if report.values is None:
                node.sensors.pop(report.sensor, None)
            else:
                _look(node.sensors.setdefault(report.sensor, _Sensor()), report, arrived_unix_ms, retained)
        elif report.kind == "state":
            _tell(node, report.values, arrived_unix_ms, retained)
        elif report.kind == "birth":
            if report.values is None:
                node.birth, node.birth_order = None, (-1, -1)
            elif (order := (report.values["boot"], report.values["session"])) >= node.birth_order:
                node.birth, node.birth_order = report.values, order
        elif report.kind == "health":
            if report.values is None:
                node.health, node.health_order = None, (-1, -1)
            elif (order := (report.values.get("boot", 0), report.values["uptime_ms"])) >= node.health_order:
                node.health, node.health_order = report.values, order
        elif report.kind == "detection" and report.values is not None:
            order = (report.values.get("boot", 0), report.values["seq"])
            if report.sensor not in node.detections or order > node.detections[report.sensor][0]:
                node.detections[report.sensor] = (order, report.values)

    def refuse(self, node: str, reason: str) -> None:
        """Counts a message of this node that was none."""
        if node not in self._nodes and len(self._nodes) >= NAMES:
            node = OTHERS
        known = self._nodes.setdefault(node, _Node())
        known.bad += 1
        known.reason = reason

    def bad(self) -> dict[str, tuple[int, str]]:
        """How many messages of each node were refused, and why the last one was; only nodes that have any."""
        return {name: (node.bad, node.reason) for name, node in sorted(self._nodes.items()) if node.bad}

    def snapshot(self, at_unix_ms: int) -> list[SensorReport]:
        """Every sensor that has reported, by name, as it counts at that time."""
        return [
            _sensor_report(f"{name}/{key}", node, sensor, self._gateway(node, sensor.report), at_unix_ms)
            for name, node in sorted(self._nodes.items())
            for key, sensor in sorted(node.sensors.items())
            if sensor.report is not None
        ]

    def nodes(self, at_unix_ms: int) -> list[NodeReport]:
        """Every node that was heard of, by name. `ready` without a report that counts is not alive."""
        heard = {sensor.name.split("/")[0] for sensor in self.snapshot(at_unix_ms) if sensor.status == "heard"}
        return [
            NodeReport(name, node.state, name in heard, node.birth, node.health, node.bad, node.reason)
            for name, node in sorted(self._nodes.items())
        ]

    def detections(self) -> dict[str, dict[str, Any]]:
        """The last detection of every sensor that ever had one, by the sensor's name."""
        return {
            f"{name}/{key}": values
            for name, node in sorted(self._nodes.items())
            for key, (_, values) in sorted(node.detections.items())
        }

    def _gateway(self, node: _Node, report: Report) -> _Node | None:
        return self._nodes.get(report.values.get("via", node.via))


def _tell(node: _Node, values: dict[str, Any] | None, arrived: int, retained: bool) -> None:
    if values is None:
        node.state, node.order, node.arrived, node.via = "", (-1, -1), -1, ""
        return
    order = (values["boot"], values["session"])
    if order < node.order:
        return
    if order == node.order and values["state"] == node.state and retained:
        return  # the broker's copy of what is known: it did not happen just now
    node.state, node.order, node.arrived = values["state"], order, arrived
    node.via = values.get("via", "")


def _look(sensor: _Sensor, report: Report, arrived: int, retained: bool) -> None:
    """Takes a frustum in, unless it is older than what is there."""
    values = report.values
    order = (values["boot"], values["seq"])
    if order < sensor.order:
        return
    if order == sensor.order:
        # The same message again: the broker's copy says nothing new; the message itself says that it came just now.
        if retained or not sensor.retained:
            return
        sensor.arrived, sensor.retained = arrived, False
        return
    sensor.order, sensor.arrived, sensor.retained = order, arrived, retained
    sensor.jump = _jump(sensor.anchor, values)
    if sensor.jump:
        assert sensor.anchor is not None
        place = ("latitude_deg", "longitude_deg", "height_amsl_m", "position_sigma_m", "height_sigma_m")
        values = {key: value for key, value in values.items() if key not in place}
        values |= {key: sensor.anchor[key] for key in place if key in sensor.anchor}
        report = report._replace(values=values)
    elif values["position_source"] != "none" and (
        # Of a fixed post's positions the most accurate is believed, or a slow drag would take it anywhere.
        sensor.anchor is None
        or _moves(values)
        or values["position_source"] == "survey"
        or values["position_sigma_m"] < sensor.anchor["position_sigma_m"]
    ):
        sensor.anchor = values
    sensor.report = report


def _moves(values: dict[str, Any]) -> bool:
    return "velocity_east_mps" in values and "velocity_north_mps" in values


def _jump(anchor: dict[str, Any] | None, values: dict[str, Any]) -> float:
    """How far [m] a position lies from the believed one where no motion and no inaccuracy explains it, else 0."""
    if anchor is None or values["position_source"] == "none":
        return 0.0
    if values["position_source"] == "survey":  # a survey outranks everything
        return 0.0
    distance = _distance(anchor, values)
    allowed = JUMP_SIGMAS * math.hypot(anchor["position_sigma_m"], values["position_sigma_m"])
    if _moves(values) and _moves(anchor):
        seconds = _elapsed(anchor, values)
        if seconds is None:
            return 0.0
        speed = max(
            math.hypot(one["velocity_east_mps"], one["velocity_north_mps"], one.get("velocity_up_mps", 0.0))
            for one in (anchor, values)
        )
        # It may have been faster in between.
        allowed += MOVING_JUMP_M + 2 * speed * seconds
    else:
        allowed += JUMP_M
    return distance if distance > allowed else 0.0


def _elapsed(before: dict[str, Any], after: dict[str, Any]) -> float | None:
    """Seconds between two reports by the node's own clocks, None when they have none in common."""
    if before["boot"] == after["boot"] and "uptime_ms" in before and "uptime_ms" in after:
        return abs(after["uptime_ms"] - before["uptime_ms"]) / 1000
    if "time_unix_ms" in before and "time_unix_ms" in after:
        return abs(after["time_unix_ms"] - before["time_unix_ms"]) / 1000
    return None


def _distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    """[m] between two positions; haversine."""
    a, b = math.radians(one["latitude_deg"]), math.radians(other["latitude_deg"])
    half = math.radians(other["longitude_deg"] - one["longitude_deg"]) / 2
    chord = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(half) ** 2
    return 2 * RADIUS * math.asin(min(1.0, math.sqrt(chord)))


def _sensor_report(name: str, node: _Node, sensor: _Sensor, gateway: _Node | None, at: int) -> SensorReport:
    report = sensor.report
    assert report is not None
    values = report.values
    valid = 1000 * values["valid_s"]
    clocked = values["clock"] != "none" and "time_unix_ms" in values
    # A clock that runs ahead must not keep a sensor fresh.
    since = min(values["time_unix_ms"], sensor.arrived) if clocked else sensor.arrived
    age = at - since
    status: Status = "heard" if age <= valid else "stale" if age <= LOST * valid else "lost"
    notes = []
    if status != "heard":
        notes.append(f"last report {age / 1000:.0f} s old, valid for {values['valid_s']} s")
    elif not clocked and sensor.retained:
        status = "stale"
        notes.append("retained, and without a clock: of unknown age")
    down = _down(node)
    if down and status != "lost":
        status = "lost" if node.state == "disconnected" else "stale"
        notes.append(down)
    gone = gateway is not None and gateway.state in ("lost", "disconnected") and node.live[1] <= gateway.arrived
    if gone and status == "heard":
        status = "stale"
        notes.append("its gateway is gone")
    if values["boot"] < node.boot() and status == "heard":
        status = "stale"
        notes.append("from before the node's last restart")
    if clocked and values["time_unix_ms"] > sensor.arrived + valid:
        notes.append(f"its clock is {(values['time_unix_ms'] - sensor.arrived) / 1000:.0f} s ahead")
    if sensor.jump:
        notes.append(f"position jumped {sensor.jump:.0f} m without motion")
    elif values.get("suspect"):
        notes.append("the node itself holds its position or clock suspect")
    suspect = bool(sensor.jump) or bool(values.get("suspect"))
    return SensorReport(name, report, _birth_entry(node, report.sensor), status, "; ".join(notes), suspect)


def _down(node: _Node) -> str:
    """Why the node does not watch any more, in words; "" while it does."""
    if node.state not in ("lost", "disconnected"):
        return ""
    if node.live[0] >= node.order[0] and node.live[1] > node.arrived:
        return ""
    return "the broker lost the node" if node.state == "lost" else "the node said goodbye"


def _birth_entry(node: _Node, sensor: str) -> dict[str, Any] | None:
    for entry in (node.birth or {}).get("sensors", ()):
        if entry["name"] == sensor:
            return dict(entry)
    return None
