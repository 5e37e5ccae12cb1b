"""The live state: the latest report of every sensor, and how much it still counts.

The only module that holds any. It has no clock: every time is an argument. The rules (DESIGN.md, "The wire"):

- Messages of one topic are ordered by (boot, seq), state and birth by (boot, session): an older one never replaces a
  newer one that still counts, and what different topics say may come in any order. seq runs in a circle of 2**24:
  of two numbers the later is the one less than half a circle ahead (RFC 1982).
- An older report replaces a newer one only when that one is stale, by its own `valid_s`, while the older one is live
  (not retained) and not stale itself. So a board that was replaced, or forgot its counter, is heard again, and a
  forged boot or seq silences a sensor no longer than the `valid_s` that was forged with it.
- A node's *current* boot is the greatest that it told of. It begins again at a smaller one when everything that was
  said under the greater is stale and a live message other than a will says the smaller; then birth and state of that
  boot count, whatever came before, and a will of the boot that was given up counts no more. States and births have
  no `valid_s`: live ones hold GRACE_S, retained ones keep no live message out.
- At most NODES nodes, those that are planned beyond them, and SENSORS sensors of each are kept; reports of further ones
  are counted as refused. So no flood of invented names grows without end, or takes the place of a node that is planned.
- A report counts until its own time + `valid_s` (heard), is *stale* after that and *lost* after three times that.
  Without a clock the arrival counts, but retained is not fresh: such a report is stale when it comes.
- A will counts only for the current (boot, session), and a report that comes after it refutes it: rumqttd publishes the
  will of a new session when that takes over the old one's link.
- A position that jumps without motion is suspect: the sensor stays where it was.
"""

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from dronewall.engine.earth import RADIUS
from dronewall.wire import Report

Status = Literal["heard", "stale", "lost"]

LOST = 3  # times valid_s
JUMP_M = 15.0  # what a fixed post's position may move beyond its accuracy: multipath
JUMP_SIGMAS = 5.0
MOVING_JUMP_M = 50.0
NODES = 1000
SENSORS = 16  # frustum topics of one node, and as many detection topics; a birth lists 8, packed frusta count to 16
NAMES = 1000  # nodes by whose names refused messages are counted; those of further names together
OTHERS = "(others)"
BOOTS = 3  # of which the last birth and state are kept
GRACE_S = 60  # a node that told its state or birth has reported by then
SEQ = 1 << 24  # numbers of seq, the wire's bound


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
        self.boot = -1  # the current one, -1 before the first
        self.until = -1.0  # unix ms until which what was said under this boot counts
        self.former = -1  # the boot that was given up for this one
        self.said: dict[str, dict[int, tuple[Report, int, bool]]] = {}  # the last birth and state of some boots

    def rank(self, order: tuple[int, int]) -> tuple[bool, int, int]:
        """By which messages of one topic are compared: the current boot comes first."""
        return order[0] == self.boot, *order

    def boots(self) -> set[int]:
        """Those under which it said what is kept of it."""
        return {self.order[0], self.birth_order[0], *(sensor.order[0] for sensor in self.sensors.values())}

    def is_empty(self) -> bool:
        """Whether nothing is left that it said."""
        return not (self.sensors or self.detections or self.state or self.birth or self.health)


class State:
    """The latest of every topic of one wall; reports of other walls are left alone. `planned`: names of nodes that are
    kept however many others there are.
    """

    def __init__(self, wall: str, planned: Iterable[str] = ()) -> None:
        self.wall = wall
        self._planned = frozenset(planned)
        self._nodes: dict[str, _Node] = {}
        self._refused: dict[str, tuple[int, str]] = {}
        self.heard_unix_ms = 0
        """When the last frustum came that was not retained; 0 before the first."""

    def apply(self, report: Report, arrived_unix_ms: int, retained: bool = False) -> None:
        """Takes a report in. `retained`: the broker had kept it, so it may be of any age."""
        if report.wall != self.wall:
            return
        node = self._nodes.get(report.node)
        if report.values is None:
            if node is not None:
                _take_back(node, report.kind, report.sensor)
                if node.is_empty():
                    del self._nodes[report.node]
            return
        if node is None:
            if len(self._nodes) >= NODES and report.node not in self._planned:
                self.refuse(OTHERS, f"there are {NODES} nodes already")
                return
            node = self._nodes[report.node] = _Node()
        kept: dict[str, dict[str, Any]] = {"frustum": node.sensors, "detection": node.detections}
        sensors = kept.get(report.kind, {})
        if report.sensor not in sensors and len(sensors) >= SENSORS:
            self.refuse(report.node, f"it has {SENSORS} sensors already")
            return
        if report.kind == "frustum" and not retained:
            self.heard_unix_ms = max(self.heard_unix_ms, arrived_unix_ms)
        _begin(node, report, arrived_unix_ms, retained)
        _keep(node, report, arrived_unix_ms, retained)

    def refuse(self, node: str, reason: str) -> None:
        """Counts a message of this node that was none."""
        if node not in self._refused and len(self._refused) >= NAMES:
            node = OTHERS
        self._refused[node] = (self._refused.get(node, (0, ""))[0] + 1, reason)

    def bad(self) -> dict[str, tuple[int, str]]:
        """How many messages of each node were refused, and why the last one was; only nodes that have any."""
        return dict(sorted(self._refused.items()))

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
        found = []
        for name in sorted(self._nodes.keys() | self._refused.keys()):
            node, bad = self._nodes.get(name, _Node()), self._refused.get(name, (0, ""))
            found.append(NodeReport(name, node.state, name in heard, node.birth, node.health, *bad))
        return found

    def detections(self) -> dict[str, dict[str, Any]]:
        """The last detection of every sensor that ever had one, by the sensor's name."""
        return {
            f"{name}/{key}": values
            for name, node in sorted(self._nodes.items())
            for key, (_, values) in sorted(node.detections.items())
        }

    def _gateway(self, node: _Node, report: Report) -> _Node | None:
        return self._nodes.get(report.values.get("via", node.via))


def _take_back(node: _Node, kind: str, sensor: str | None) -> None:
    """Forgets what the broker keeps no more."""
    if kind == "frustum" and sensor is not None:
        node.sensors.pop(sensor, None)
    elif kind == "state":
        node.state, node.order, node.arrived, node.via = "", (-1, -1), -1, ""
    elif kind == "birth":
        node.birth, node.birth_order = None, (-1, -1)
    elif kind == "health":
        node.health, node.health_order = None, (-1, -1)
    node.said.pop(kind, None)
    if node.boot not in (boots := node.boots()):
        node.boot, node.until, node.former = max(boots), -1.0, -1


def _begin(node: _Node, report: Report, arrived: int, retained: bool) -> None:
    """Says which boot is the node's current one, now that this report has come."""
    values = report.values
    boot = values.get("boot", -1)
    will = report.kind == "state" and values["state"] in ("lost", "disconnected")
    if boot < 0 or (will and boot == node.former):
        return
    if boot > node.boot:
        node.boot, node.until = boot, -1.0
        if boot == node.former:
            node.former = -1
    elif boot < node.boot and not retained and not will and arrived > node.until:
        node.boot, node.until, node.former = boot, -1.0, node.boot
        for said in list(node.said.values()):
            if boot in said:
                _keep(node, *said[boot])
    if boot != node.boot or will:
        return
    if report.kind == "frustum":
        node.until = max(node.until, _until(values, arrived, retained))
    elif not retained:
        node.until = max(node.until, arrived + 1000 * GRACE_S)


def _keep(node: _Node, report: Report, arrived: int, retained: bool) -> None:
    """Takes a report in, unless what is there comes later."""
    values, sensor = report.values, report.sensor
    if report.kind in ("state", "birth"):
        said = node.said.setdefault(report.kind, {})
        boot, session = values["boot"], values["session"]
        if boot not in said or session >= said[boot][0].values["session"]:
            said[boot] = (report, arrived, retained)
        if len(said) > BOOTS:
            del said[min(said, key=lambda boot: said[boot][1])]
    if report.kind == "frustum":
        assert sensor is not None
        _look(node.sensors.setdefault(sensor, _Sensor()), report, arrived, retained)
    elif report.kind == "state":
        _tell(node, values, arrived, retained)
    elif report.kind == "birth":
        order = (values["boot"], values["session"])
        if node.rank(order) >= node.rank(node.birth_order):
            node.birth, node.birth_order = values, order
    elif report.kind == "health":
        order = (values.get("boot", 0), values["uptime_ms"])
        if node.rank(order) >= node.rank(node.health_order):
            node.health, node.health_order = values, order
    elif report.kind == "detection":
        assert sensor is not None
        order = (values.get("boot", 0), values["seq"])
        old = node.detections[sensor][0] if sensor in node.detections else None
        if (
            old is None
            or (order[0] == old[0] and _follows(order[1], old[1]))
            or (order[0] != old[0] and node.rank(order) > node.rank(old))
        ):
            node.detections[sensor] = (order, values)
    if report.kind in ("frustum", "detection") and not retained:
        node.live = max(node.live, (values.get("boot", 0), arrived), key=node.rank)


def _follows(seq: int, last: int) -> bool:
    """Whether `seq` comes after `last`: serial number arithmetic, RFC 1982, section 3.2."""
    return 0 < (seq - last) % SEQ < SEQ // 2


def _tell(node: _Node, values: dict[str, Any], arrived: int, retained: bool) -> None:
    order = (values["boot"], values["session"])
    if node.rank(order) < node.rank(node.order):
        return
    if order == node.order and values["state"] == node.state and retained:
        return  # the broker's copy of what is known: it did not happen just now
    node.state, node.order, node.arrived = values["state"], order, arrived
    node.via = values.get("via", "")


def _look(sensor: _Sensor, report: Report, arrived: int, retained: bool) -> None:
    """Takes a frustum in, unless it is older than what is there."""
    values = report.values
    order = (values["boot"], values["seq"])
    if order == sensor.order:
        # The same message again: the broker's copy says nothing new; the message itself says that it came just now.
        if retained or not sensor.retained:
            return
        sensor.arrived, sensor.retained = arrived, False
        return
    if sensor.report is not None:
        boot, seq = sensor.order
        later = _follows(order[1], seq) if order[0] == boot else order[0] > boot
        ended = arrived > _until(sensor.report.values, sensor.arrived, sensor.retained)
        if not later and (retained or not ended or arrived > _until(values, arrived, retained)):
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


def _until(values: dict[str, Any], arrived: int, retained: bool) -> float:
    """Unix ms until which a frustum counts; 0 where it is retained and without a clock, of unknown age."""
    if not _clocked(values):
        return 0.0 if retained else arrived + 1000.0 * values["valid_s"]
    # A clock that runs ahead must not keep a sensor fresh.
    return min(values["time_unix_ms"], arrived) + 1000.0 * values["valid_s"]


def _clocked(values: dict[str, Any]) -> bool:
    return values["clock"] not in ("none", "provisioned") and "time_unix_ms" in values


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
    clocked = _clocked(values)
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
    if values["boot"] != node.boot and status == "heard":
        status = "stale"
        notes.append("from before the node's last restart")
    if clocked and values["time_unix_ms"] > sensor.arrived + valid:
        notes.append(f"its clock is {(values['time_unix_ms'] - sensor.arrived) / 1000:.0f} s ahead")
    if sensor.jump:
        notes.append(f"position jumped {sensor.jump:.0f} m without motion")
    elif values.get("suspect"):
        notes.append("the node itself holds its position, clock or survey suspect")
    suspect = bool(sensor.jump) or bool(values.get("suspect"))
    return SensorReport(name, report, _birth_entry(node, report.sensor), status, "; ".join(notes), suspect)


def _down(node: _Node) -> str:
    """Why the node does not watch any more, in words; "" while it does."""
    if node.state not in ("lost", "disconnected"):
        return ""
    if node.rank(node.live)[:2] >= node.rank(node.order)[:2] and node.live[1] > node.arrived:
        return ""
    return "the broker lost the node" if node.state == "lost" else "the node said goodbye"


def _birth_entry(node: _Node, sensor: str) -> dict[str, Any] | None:
    for entry in (node.birth or {}).get("sensors", ()):
        if entry["name"] == sensor:
            return dict(entry)
    return None
