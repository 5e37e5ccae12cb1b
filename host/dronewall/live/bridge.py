"""A drone's autopilot on the wall: what it tells of its pose becomes the reports of a node.

A bridge speaks for one drone of the site file as a node speaks for itself (firmware/link.py): a last will, a birth
with the sensors' limits and models, its state, and for each sensor where it looks. Its state is `ready` only while
there is something to report: before the telemetry comes, and while it is silent, it is `init`.

A node keeps its boot counter in flash; a bridge has none. Its `boot` is the day since 1970, its `session` and `seq`
begin with the time of that day, in tenths of a second and in hundredths: so they only ever grow, from one start to
the next, as long as the clock of this machine does, and nothing has to be stored. Where that clock goes back, the
state's rules for boards that forgot their counter hold (live/state.py).
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import msgspec
import paho.mqtt.client as mqtt

from dronewall import __version__, wire
from dronewall.interop.mavlink import Angles, Pose, Telemetry, TelemetryError
from dronewall.live.ingest import NOBODY, Account, client_of
from dronewall.live.telemetry_line import TelemetryLine
from dronewall.scenario import Drone, DroneSensor, Scenario, SensorType

VALID_S = 5
"""The least that a report is valid: some seconds, for what moves."""
_VALID_PERIODS = 3
_DAY_MS = 86_400_000
_SEQ = 1 << 24  # the wire's bound
_COUNTER = 1 << 20


class Numbers(NamedTuple):
    """Where a bridge begins to count: its boot, its first session, its first seq."""

    boot: int
    session: int
    seq: int


def numbers_at(unix_ms: int) -> Numbers:
    """The numbers of a bridge that starts then: later ones are greater."""
    day, time_of_day = divmod(max(0, unix_ms), _DAY_MS)
    return Numbers(day % _COUNTER, time_of_day // 100, time_of_day // 10)


def valid_s_of(rate: float) -> int:
    """How long a report is valid [s] at so many reports a second: three periods, and not under VALID_S."""
    return max(VALID_S, math.ceil(_VALID_PERIODS / rate))


def birth_of(scenario: Scenario, drone: Drone, rate: float, boot: int) -> dict[str, Any]:
    """The fields of the drone's birth message in the node's integers, its session left out."""
    keys = ("driver", "shape", "hfov_deg", "vfov_deg", "range_min_m", "range_max_m")
    sensors = []
    for sensor in drone.sensors:
        kind = scenario.sensor_types[sensor.type]
        model = msgspec.to_builtins(kind.model)
        sensors.append({"name": sensor.name, "model": model, **{key: getattr(kind, key) for key in keys}})
    values = {
        "firmware": f"dronewall {__version__}",
        "board": "MAVLink bridge",
        "boot": boot,
        "session": 0,
        "period_s": max(1, math.ceil(1.0 / rate)),
        "sensors": sensors,
    }
    fields: dict[str, Any] = wire.integers("birth", values)
    return fields


class Voice(Protocol):
    """Who is told the reports."""

    def state(self, ready: bool) -> None:
        """Takes note whether there is something to report."""

    def frustum(self, sensor: str, fields: Mapping[str, Any]) -> bool:
        """Whether a report went out. Raises WireError for one that the wire cannot say."""


class Printed:
    """A dry run: the reports are shown, one line each, topic and payload."""

    def __init__(self, wall: str, node: str, show: Callable[[str], None]) -> None:
        self._wall, self._node, self._show = wall, node, show

    def state(self, ready: bool) -> None:
        """Nothing: a dry run has no session."""

    def frustum(self, sensor: str, fields: Mapping[str, Any]) -> bool:
        """True; the report is shown."""
        topic = wire.topic(self._wall, self._node, "frustum", sensor)
        self._show(f"{topic} {wire.encode('frustum', dict(fields)).decode()}")
        return True


class NodeVoice:
    """A node's voice on a broker, for as long as the `with` block lasts. It comes back by itself when the link is lost,
    with a session and a will of its own.
    """

    def __init__(
        self,
        address: tuple[str, int],
        wall: str,
        node: str,
        birth: dict[str, Any],
        session: int,
        account: Account = NOBODY,
    ) -> None:
        self._address, self._wall, self._node = address, wall, node
        self._birth = birth
        self._session = session - 1
        self._ready = False
        self._lock = threading.Lock()
        self.refusal = ""
        """Why the broker lets us not in; "" where it does."""
        wire.encode("birth", {**birth, "session": session})  # a WireError is better said before the first connect
        client = client_of(account)
        client.on_pre_connect = self._before_connect
        client.on_connect = self._on_connect
        self._client = client

    @property
    def connected(self) -> bool:
        """Whether the link to the broker is up."""
        return self._client.is_connected()

    def state(self, ready: bool) -> None:
        """Says `ready` or `init`, when it is not what was said last."""
        with self._lock:
            if ready != self._ready:
                self._ready = ready
                self._say_state()

    def frustum(self, sensor: str, fields: Mapping[str, Any]) -> bool:
        """Whether the report went out: not while the link is down, it would be old when it is up again."""
        payload = wire.encode("frustum", dict(fields))
        if not self._client.is_connected():
            return False
        retained = wire.delivery("frustum")[0]
        topic = wire.topic(self._wall, self._node, "frustum", sensor)
        return self._client.publish(topic, payload, 0, retained).rc == mqtt.MQTT_ERR_SUCCESS

    def _topic(self, kind: str) -> str:
        topic: str = wire.topic(self._wall, self._node, kind)
        return topic

    def _state(self, state: str) -> bytes:
        fields = {"state": state, "boot": self._birth["boot"], "session": self._session}
        payload: bytes = wire.encode("state", fields)
        return payload

    def _say_state(self) -> None:
        if self._client.is_connected():
            self._client.publish(self._topic("state"), self._state("ready" if self._ready else "init"), 1, True)

    def _before_connect(self, client: mqtt.Client, _data: Any) -> None:
        with self._lock:
            # Counted before the attempt: one that seems to have failed may have left a will at the broker.
            self._session = (self._session + 1) % _COUNTER
            client.will_set(self._topic("state"), self._state("lost"), 1, True)

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            self.refusal = str(code)
            return
        self.refusal = ""
        with self._lock:
            birth = wire.encode("birth", {**self._birth, "session": self._session})
            client.publish(self._topic("birth"), birth, 1, True)
            self._say_state()

    def __enter__(self) -> "NodeVoice":
        self._client.connect_async(*self._address, keepalive=10)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client.is_connected():
            with contextlib.suppress(RuntimeError):  # the link went in between: the will says it
                farewell = self._client.publish(self._topic("state"), self._state("disconnected"), 1, True)
                farewell.wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()


class Bridge:
    """A drone's telemetry on its way to the wall.

    `camera`: the sensor whose field of view the telemetry tells; None: none. `gimbal`: a gimbal may carry that one. The
    others are fixed to the airframe. `note` is told what there is to say. `sent`, `unsent` (the link was down) and
    `unsaid` (the wire cannot say it) count reports, `line` the messages.
    """

    def __init__(
        self,
        scenario: Scenario,
        drone: Drone,
        line: TelemetryLine,
        voice: Voice,
        numbers: Numbers,
        *,
        camera: str | None,
        gimbal: bool = True,
        system: int | None = None,
        rate: float = 2.0,
        note: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.line = line
        self.sent = self.unsent = self.unsaid = 0
        self._drone, self._types = drone, scenario.sensor_types
        self._voice, self._note = voice, note
        self._boot, self._seq = numbers.boot, numbers.seq
        self._camera, self._gimbal = camera, gimbal
        self._period_ms = 1000.0 / rate
        self._valid_s = valid_s_of(rate)
        self.telemetry = Telemetry(system, 1000 * self._valid_s)
        self._started = _now_ms()
        self._begun = False
        self._reasons: dict[str, str] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self._told: set[str] = set()
        self._up = True

    def run(self, going: Callable[[], bool]) -> None:
        """Reads and reports for as long as `going()`."""
        due = float(_now_ms())
        while going():
            for message in self.line.read(min(0.1, max(0.0, (due - _now_ms()) / 1000.0))):
                self._take(message)
            self._watch_line()
            now = _now_ms()
            if now >= due:
                self.report(now)
                due = max(due + self._period_ms, float(now))

    def _take(self, message: Any) -> None:
        try:
            notes = self.telemetry.take(message, _now_ms())
        except TelemetryError as error:
            self.line.count_bad(str(error))
            return
        for words in notes:
            self._note(words)
        if not self._begun and self.telemetry.heard_at is not None:
            self._begun = True
            self._note(f"telemetry of system {self.telemetry.system} begins")

    def _watch_line(self) -> None:
        if self.line.up != self._up:
            self._up = self.line.up
            self._note(f"{self.line.endpoint}: {'open again' if self._up else self.line.reason}")

    def report(self, now: int) -> None:
        """Says of each sensor where it looks, when that is known and something of it is new."""
        looks = []
        for sensor in self._drone.sensors:
            mount = Angles(
                math.radians(sensor.azimuth_deg), math.radians(sensor.elevation_deg), math.radians(sensor.roll_deg)
            )
            camera = sensor.name == self._camera
            pose, reason = self.telemetry.pose(mount, now, camera, camera and self._gimbal)
            self._say_reason(sensor, reason)
            if pose is not None:
                looks.append((sensor, pose))
        self._voice.state(bool(looks))
        for sensor, pose in looks:
            if self._last.get(sensor.name) != (pose.at, pose.newest):
                self._last[sensor.name] = (pose.at, pose.newest)
                self._send(sensor, pose, now)

    def _say_reason(self, sensor: DroneSensor, reason: str) -> None:
        """A line when a sensor is reported no more, for another reason, or again; none before the telemetry begins."""
        if not self._begun or self._reasons.get(sensor.name) == reason:
            return
        self._reasons[sensor.name] = reason
        name = f"{self._drone.name}/{sensor.name}"
        self._note(f"{name} is not reported: {reason}" if reason else f"{name} is reported")

    def _send(self, sensor: DroneSensor, pose: Pose, now: int) -> None:
        self._seq = (self._seq + 1) % _SEQ
        kind = self._types[sensor.type]
        fields = _limits(kind) | pose.fields
        for key, most in _limits(kind).items():
            # A camera that tells more than its type can is told wrong, or its type is: what the site file says holds.
            if key in pose.fields and key in ("hfov_cdeg", "vfov_cdeg") and pose.fields[key] > most:
                fields[key] = most
                told = f"{key[:4]} of {pose.fields[key] / 100:g} degrees"
                self._once(f"{sensor.name}: {told} is over its type's {most / 100:g}, which holds")
        age_s = (now - pose.at) / 1000.0
        fields |= {
            "awake": "always",
            "duty_milli": 1000,
            # Without a clock the host counts from the arrival: what the pose is old by then is taken off.
            "valid_s": self._valid_s if fields["clock"] != "none" else max(1, round(self._valid_s - age_s)),
            "boot": self._boot,
            "seq": self._seq,
            "uptime_ms": max(0, pose.at - self._started),
        }
        try:
            if self._voice.frustum(sensor.name, fields):
                self.sent += 1
            else:
                self.unsent += 1
        except wire.WireError as error:
            self.unsaid += 1
            self._once(f"{sensor.name}: not reported: {error}")

    def _once(self, words: str) -> None:
        if words not in self._told and len(self._told) < 100:
            self._told.add(words)
            self._note(words)


def _limits(kind: SensorType) -> dict[str, Any]:
    """What the type says of a frustum, in the node's integers."""
    return {
        "shape": kind.shape,
        "hfov_cdeg": round(100 * kind.hfov_deg),
        "vfov_cdeg": round(100 * kind.vfov_deg),
        "range_min_cm": round(100 * kind.range_min_m),
        "range_max_cm": round(100 * kind.range_max_m),
    }


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
