"""What an autopilot's telemetry says of where its camera looks: MAVLink messages to the fields of a frustum report.

This file alone knows MAVLink's fields, units, frames and its values for "unknown". It needs no pymavlink: a message
is whatever has the fields, `get_type()`, `get_srcSystem()` and `get_srcComponent()`. It has no clock: every time is
an argument, milliseconds of the host's own monotonic clock. It only ever reads.

The definitions are those of MAVLink's common.xml (https://mavlink.io/en/messages/common.html), revision of pymavlink
2.4.50. The frames: x forward, y right, z down of the camera or of the body; x north, y east, z down of the earth.
Turned by yaw, pitch and roll in that order ("ZYX, intrinsic", ATTITUDE), all of them right-handed, so that

    azimuth = yaw       clockwise from true north
    elevation = pitch   up from the horizontal
    roll = roll         right side down

GIMBAL_DEVICE_ATTITUDE_STATUS (#285) gives the camera's attitude as q. With GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME
"they are relative to absolute North (earth frame)", with ..._YAW_IN_VEHICLE_FRAME "relative to the vehicle heading
(vehicle frame)", where the vehicle frame is the "earth frame rotated such that the x-axis is pointing forward":
level, so roll and pitch are from the horizon in both, and the body's own tilt does not come in. "If neither of these
flags are set, then (for backwards compatibility) it holds: If the flag GIMBAL_DEVICE_FLAGS_YAW_LOCK is set, then they
are relative to absolute North (earth frame), else they are relative to the vehicle heading (vehicle frame). Other
conditions of the flags are not allowed." With a frame flag, YAW_LOCK says how the gimbal is steered and nothing of
the frame.

The vehicle's heading is the autopilot's (ATTITUDE.yaw, or GLOBAL_POSITION_INT.hdg). The gimbal's own idea of it,
delta_yaw, stands in only where the autopilot has none; a delta_yaw of exactly 0 is what a sender that does not know
the field leaves there, and is not believed.

Not used: CAMERA_FOV_STATUS.q, whose frame common.xml does not say; and the lens and image positions beside it, which
come without an accuracy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dronewall import wire

Quaternion = tuple[float, float, float, float]
"""w, x, y, z, as MAVLink orders them."""

YAW_LOCK, YAW_IN_VEHICLE_FRAME, YAW_IN_EARTH_FRAME = 16, 32, 64  # GIMBAL_DEVICE_FLAGS
_RETRACT = 1
_BROKEN = {8: "encoder error", 64: "software error", 128: "communication error", 256: "calibration running"}
"""GIMBAL_DEVICE_ERROR_FLAGS under which the attitude that the gimbal tells is not to be believed; at a limit it is."""
_NO_AUTOPILOT = 8  # MAV_AUTOPILOT_INVALID
_GIMBAL = 26  # MAV_TYPE_GIMBAL
_STRANGERS = 20  # that there is a word of; anybody can invent ids
_NO_VEHICLES = frozenset((5, 6, 18, 26, 27, *range(30, 35), *range(36, 43), 44))
"""MAV_TYPEs that send heartbeats and fly nothing: antenna tracker, ground station, onboard computer, gimbal, ADS-B,
camera, charging station, FLARM, servo, Open Drone ID, battery, parachute, log, OSD, IMU, GPS, winch, illuminator."""
_HEADING_UNKNOWN = 0xFFFF
_DILUTION_UNKNOWN = 0xFFFF
_GNSS_3D = 3  # GPS_FIX_TYPE_3D_FIX
_RESTART_MS = 10_000  # an autopilot's time that goes back by more is a restart; by less, a datagram that came late

GIMBAL_WAIT_MS = 3000
"""So long after the first attitude nothing is said of a camera that a gimbal might carry: gimbals report at 5 Hz, and a
report with the mount in the gimbal's place would be wrong."""
UERE_M = 4.0
"""1 sigma of one range, as the firmware's GNSS driver takes it (firmware/sensors/gnss.py says whence)."""
POSITION_SIGMA_M = 5.0
"""1 sigma where the autopilot tells no accuracy at all, in each horizontal direction; of the height twice that.
Assumed."""
HEADING_SIGMA_DEG = 3.0
"""1 sigma of a calibrated magnetic compass, as a plan takes it (engine/plan.py)."""
GNSS_HEADING_SIGMA_DEG = 0.5
"""The least that is believed of a heading by two GNSS antennas, whatever it says: the mounting. Assumed."""
GIMBAL_TILT_SIGMA_DEG = 0.5
"""1 sigma of the elevation and roll of a stabilised gimbal. Assumed."""
BODY_TILT_SIGMA_DEG = 1.0
"""... of a camera that is fixed to the airframe: the attitude filter's error in turns and gusts. Assumed."""

# sin(0.02 degree), as the firmware's pose.py: closer to the vertical a boresight has no azimuth of its own.
_VERTICAL = math.sin(math.radians(0.02))


class TelemetryError(ValueError):
    """A message that says what cannot be: which, which field, what came, what was expected."""


class Angles(NamedTuple):
    """Where something points [rad]: azimuth clockwise from true north (of a mount: from the nose), elevation up from
    the horizontal, roll right side down.
    """

    azimuth: float
    elevation: float
    roll: float


def quaternion_of(angles: Angles) -> Quaternion:
    """The rotation that turns (north, east, down) to (forward, right, down): yaw, then pitch, then roll, intrinsic."""
    sin_a, cos_a = math.sin(angles.azimuth / 2), math.cos(angles.azimuth / 2)
    sin_e, cos_e = math.sin(angles.elevation / 2), math.cos(angles.elevation / 2)
    sin_r, cos_r = math.sin(angles.roll / 2), math.cos(angles.roll / 2)
    return (
        cos_a * cos_e * cos_r + sin_a * sin_e * sin_r,
        cos_a * cos_e * sin_r - sin_a * sin_e * cos_r,
        cos_a * sin_e * cos_r + sin_a * cos_e * sin_r,
        sin_a * cos_e * cos_r - cos_a * sin_e * sin_r,
    )


def product(outer: Quaternion, inner: Quaternion) -> Quaternion:
    """`inner` as seen from the frame that `outer` is seen from (Hamilton)."""
    a, b, c, d = outer
    w, x, y, z = inner
    return (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    )


def boresight(quaternion: Quaternion) -> Angles:
    """Where the camera looks, of any multiple of a unit quaternion; azimuth from the x axis of the outer frame, in
    0 to 2 pi.

    Looking straight up or down, azimuth and roll turn about the same axis: roll is then 0 and the azimuth carries both,
    as on the node (firmware/pose.py): the top of the picture points there when it looks down, away from there when it
    looks up.
    """
    norm = math.sqrt(sum(part * part for part in quaternion))
    w, x, y, z = (part / norm for part in quaternion)
    # Columns of the rotation: forward, and of right and down what is needed (north, east, down).
    forward = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    right_down, down_down = 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    level = math.hypot(forward[0], forward[1])
    if level < _VERTICAL:
        up = (-2 * (x * z + w * y), -2 * (y * z - w * x))
        side = 1.0 if forward[2] > 0 else -1.0
        azimuth = math.atan2(side * up[1], side * up[0]) % math.tau
        return Angles(azimuth, -side * math.pi / 2, 0.0)
    azimuth = math.atan2(forward[1], forward[0]) % math.tau
    return Angles(azimuth, math.atan2(-forward[2], level), math.atan2(right_down, down_down))


def from_north(flags: int) -> bool:
    """Whether a gimbal's yaw is from north, by its GIMBAL_DEVICE_FLAGS; False: from the vehicle's heading. Raises
    TelemetryError where both are said.
    """
    north, vehicle = bool(flags & YAW_IN_EARTH_FRAME), bool(flags & YAW_IN_VEHICLE_FRAME)
    if north and vehicle:
        raise TelemetryError(
            f"GIMBAL_DEVICE_ATTITUDE_STATUS: flags: {flags} came, expected one frame for the yaw, not both"
        )
    return north or (not vehicle and bool(flags & YAW_LOCK))


@dataclass(frozen=True)
class _Heard:
    """A message and when it came."""

    message: Any
    at: int


class Pose(NamedTuple):
    """Where a sensor looks: the fields of a frustum report in the node's integers, and when the older of position and
    attitude came. Field of view and clock are among them where they are known.
    """

    fields: dict[str, Any]
    at: int
    newest: int
    """When the newer of them came."""


class Telemetry:
    """The newest of what one vehicle tells. `system`: its MAVLink system id; None: the first vehicle that is heard.
    `valid_ms`: older than this nothing is believed.
    """

    def __init__(self, system: int | None = None, valid_ms: int = 5000) -> None:
        self.system = system
        self.autopilot: int | None = None
        """The autopilot's component id; None until its first heartbeat."""
        self.heard_at: int | None = None
        """When it was last heard."""
        self._valid = valid_ms
        self._others: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self._newest: dict[str, _Heard] = {}
        self._attitude_since: int | None = None
        self._has_gimbal = False
        self._boot_ms = 0
        self._sources: dict[str, tuple[int, int]] = {}

    def take(self, message: Any, now: int) -> list[str]:
        """Takes a message in; what there is to say of it, in words. Raises TelemetryError for one that cannot be; it
        changes nothing.
        """
        kind, system, component = message.get_type(), message.get_srcSystem(), message.get_srcComponent()
        if kind == "HEARTBEAT":
            return self._heartbeat(message, system, component, now)
        if self.autopilot is None or system != self.system:
            return []
        if kind in ("GLOBAL_POSITION_INT", "ATTITUDE", "SYSTEM_TIME", "GPS_RAW_INT"):
            # Gimbals and ground stations send some of these, too: theirs are not the vehicle's.
            return self._of_autopilot(kind, message, now) if component == self.autopilot else []
        if kind == "GIMBAL_DEVICE_ATTITUDE_STATUS":
            return self._of_part(kind, "gimbal", message, component, message.gimbal_device_id, now)
        if kind == "CAMERA_FOV_STATUS":
            return self._of_part(kind, "camera", message, component, message.camera_device_id, now)
        return []

    def _heartbeat(self, message: Any, system: int, component: int, now: int) -> list[str]:
        if message.type == _GIMBAL and system == self.system:
            self._has_gimbal = True
        if message.autopilot == _NO_AUTOPILOT or message.type in _NO_VEHICLES:
            return []
        if self.system is None:
            self.system = system
        if system != self.system:
            return self._once(f"system {system} is on the line, too, and is not listened to; --system chooses")
        if self.autopilot is None:
            self.autopilot = component
        if component == self.autopilot:
            self.heard_at = now
        return []

    def _once(self, words: str) -> list[str]:
        if words in self._others or len(self._others) >= _STRANGERS:
            return []
        self._others.add(words)
        return [words]

    def _of_autopilot(self, kind: str, message: Any, now: int) -> list[str]:
        _checked(kind, message)
        self.heard_at = now
        notes = []
        if kind != "GPS_RAW_INT":  # that has a clock of its own
            if message.time_boot_ms < self._boot_ms - _RESTART_MS:
                self._forget()
                notes = [f"the autopilot of system {self.system} has restarted"]
            self._boot_ms = max(self._boot_ms, message.time_boot_ms)
        self._keep(kind, message, now)
        if kind == "ATTITUDE" and self._attitude_since is None:
            self._attitude_since = now
        return notes

    def _of_part(self, kind: str, what: str, message: Any, component: int, device: int, now: int) -> list[str]:
        _checked(kind, message)
        source = self._sources.setdefault(kind, (component, device))
        if (component, device) != source:
            return self._once(
                f"a second {what} (component {component}, device {device}) is on the line and is not listened to"
            )
        self._keep(kind, message, now)
        return []

    def _keep(self, kind: str, message: Any, now: int) -> None:
        """The newest stays: a datagram that came late, or twice, says nothing new. A sender that leaves its time at 0
        is believed in the order in which it comes.
        """
        held = self._newest.get(kind)
        stamp = getattr(message, "time_boot_ms", 0)
        if (
            held is None
            or stamp == 0
            or stamp > held.message.time_boot_ms
            or stamp < held.message.time_boot_ms - _RESTART_MS
        ):
            self._newest[kind] = _Heard(message, now)

    def _fresh(self, kind: str, now: int) -> _Heard | None:
        held = self._newest.get(kind)
        return held if held is not None and now - held.at <= self._valid else None

    def pose(self, mount: Angles, now: int, camera: bool, gimbal: bool) -> tuple[Pose | None, str]:
        """Where a sensor looks; or None, and why that is not known.

        `mount`: where it looks from the nose of the level vehicle. `camera`: it is the one whose field of view the
        telemetry tells. `gimbal`: a gimbal may carry it; its word then takes the place of the mount, and once it has
        spoken its silence is no reason to believe in the mount again.
        """
        if self.heard_at is None:
            return None, "no heartbeat of a vehicle"
        if now - self.heard_at > self._valid:
            return None, "telemetry is silent"
        position, reason = self._position(now)
        if position is None:
            return None, reason
        found, reason = self._attitude(mount, now, gimbal)
        if found is None:
            return None, reason
        angles, by, fields = found
        fields |= self._placed(position, now)
        fields["elevation_cdeg"] = _cdeg(angles.elevation)
        fields["roll_cdeg"] = _cdeg(angles.roll)
        if fields["azimuth_source"] != "none":
            fields["azimuth_cdeg"] = _cdeg(angles.azimuth) % 36000
        older, newer = sorted((position, by), key=lambda heard: heard.at)
        if camera:
            fields |= self._field_of_view()
        fields |= self._clock(position, older)
        return Pose(fields, older.at, newer.at), ""

    def _position(self, now: int) -> tuple[_Heard | None, str]:
        position = self._fresh("GLOBAL_POSITION_INT", now)
        if position is None:
            return None, "no position (GLOBAL_POSITION_INT)"
        # What ArduPilot and PX4 say before they know.
        if position.message.lat == 0 and position.message.lon == 0:
            return None, "no position yet"
        receiver = self._fresh("GPS_RAW_INT", now)
        if receiver is not None and receiver.message.fix_type < _GNSS_3D:
            # The autopilot goes on by dead reckoning, and does not say how far it may be off.
            return None, "the GNSS receiver has no fix"
        return position, ""

    def _attitude(
        self, mount: Angles, now: int, gimbal: bool
    ) -> tuple[tuple[Angles, _Heard, dict[str, Any]] | None, str]:
        """Angles, the message that gives them, and how sure they are; or None and why not."""
        attitude = self._fresh("ATTITUDE", now)
        heading, sigma = self._heading(now)
        if gimbal and (self._has_gimbal or "GIMBAL_DEVICE_ATTITUDE_STATUS" in self._newest):
            held = self._fresh("GIMBAL_DEVICE_ATTITUDE_STATUS", now)
            if held is None:
                return None, "the gimbal is silent"
            message = held.message
            wrong = [words for bit, words in _BROKEN.items() if message.failure_flags & bit]
            if message.flags & _RETRACT:
                wrong.append("retracted")
            if wrong:
                return None, f"the gimbal does not watch: {', '.join(wrong)}"
            angles = boresight(_four(message.q))
            if from_north(message.flags):
                heading, sigma = 0.0, HEADING_SIGMA_DEG
            elif heading is None and _believed(message):
                heading, sigma = message.delta_yaw, HEADING_SIGMA_DEG
            turned = angles._replace(azimuth=(angles.azimuth + (heading or 0.0)) % math.tau)
            return (turned, held, _sureness(heading is not None, sigma, GIMBAL_TILT_SIGMA_DEG)), ""
        if attitude is None:
            return None, "no attitude (ATTITUDE)"
        if gimbal and self._attitude_since is not None and now - self._attitude_since < GIMBAL_WAIT_MS:
            return None, "not yet known whether a gimbal speaks"
        message = attitude.message
        body = quaternion_of(Angles(heading or 0.0, message.pitch, message.roll))
        angles = boresight(product(body, quaternion_of(mount)))
        return (angles, attitude, _sureness(heading is not None, sigma, BODY_TILT_SIGMA_DEG)), ""

    def _heading(self, now: int) -> tuple[float | None, float]:
        """The nose's azimuth [rad], None where the autopilot has none, and its sigma [degrees]."""
        position, attitude = self._fresh("GLOBAL_POSITION_INT", now), self._fresh("ATTITUDE", now)
        sigma = HEADING_SIGMA_DEG
        receiver = self._fresh("GPS_RAW_INT", now)
        if receiver is not None and receiver.message.yaw not in (0, 0xFFFF) and receiver.message.hdg_acc > 0:
            # Of its two meanings, heading and track, it is the heading's only where the receiver tells one.
            sigma = max(GNSS_HEADING_SIGMA_DEG, min(receiver.message.hdg_acc / 1e5, 180.0))
        if position is not None and position.message.hdg == _HEADING_UNKNOWN:
            return None, sigma
        if attitude is not None:
            return attitude.message.yaw, sigma
        return (math.radians(position.message.hdg / 100.0), sigma) if position is not None else (None, sigma)

    def _placed(self, position: _Heard, now: int) -> dict[str, Any]:
        message = position.message
        receiver = self._fresh("GPS_RAW_INT", now)
        sigma, height_sigma = _accuracy(receiver.message if receiver is not None else None)
        return {
            "position_source": "gnss",
            "latitude_e7": message.lat,
            "longitude_e7": message.lon,
            "height_amsl_cm": _tenth(message.alt),
            "position_sigma_cm": sigma,
            "height_sigma_cm": height_sigma,
            "velocity_east_cmps": message.vy,
            "velocity_north_cmps": message.vx,
            "velocity_up_cmps": -message.vz,
        }

    def _field_of_view(self) -> dict[str, Any]:
        """hfov and vfov as the camera told them last: what it zoomed to holds until it tells another."""
        held = self._newest.get("CAMERA_FOV_STATUS")
        if held is None:
            return {}
        told = {"hfov_cdeg": held.message.hfov, "vfov_cdeg": held.message.vfov}
        return {key: round(100.0 * value) for key, value in told.items() if math.isfinite(value) and value >= 0.1}

    def _clock(self, position: _Heard, older: _Heard) -> dict[str, Any]:
        """When the report was true, by the autopilot's clock; where that was never set, clock none.

        Only its position's time is the autopilot's: a gimbal has a boot of its own, and its difference is taken by when
        both came.
        """
        told = self._newest.get("SYSTEM_TIME")
        if told is None or told.message.time_unix_usec == 0:
            return {"clock": "none"}
        boot = told.message.time_unix_usec // 1000 - told.message.time_boot_ms
        at = boot + position.message.time_boot_ms + (older.at - position.at)
        least, most = _bounds("time_unix_ms")
        return {"clock": "gnss", "time_unix_ms": at} if least <= at <= most else {"clock": "none"}


def _sureness(known: bool, sigma_deg: float, tilt_sigma_deg: float) -> dict[str, Any]:
    fields: dict[str, Any] = {"azimuth_source": "none", "tilt_sigma_cdeg": round(100 * tilt_sigma_deg)}
    if known:
        fields |= {"azimuth_source": "compass", "azimuth_sigma_cdeg": round(100 * sigma_deg)}
    return fields


def _accuracy(receiver: Any) -> tuple[int, int]:
    """Sigmas of position and height [cm], at most what the wire takes: h_acc and v_acc; else from the dilution.

    A horizontal accuracy is that of the whole; along one axis it is at most that.
    """
    most = _bounds("position_sigma_cm")[1]
    flat, up = POSITION_SIGMA_M, 0.0
    if receiver is not None:
        if receiver.h_acc > 0:
            flat = receiver.h_acc / 1000.0
        elif 0 < receiver.eph < _DILUTION_UNKNOWN:
            flat = receiver.eph / 100.0 * UERE_M
        if receiver.v_acc > 0:
            up = receiver.v_acc / 1000.0
        elif 0 < receiver.epv < _DILUTION_UNKNOWN:
            up = receiver.epv / 100.0 * UERE_M
    flat_cm, up_cm = (max(1, min(math.ceil(100.0 * sigma), most)) for sigma in (flat, up or 2.0 * flat))
    return flat_cm, up_cm


def _bounds(name: str) -> tuple[int, int]:
    """The wire's for a field of a frustum, by its name on the node."""
    return next((row[4], row[5]) for row in wire.rows("frustum") if row[1] == name)


def _cdeg(angle: float) -> int:
    return round(100.0 * math.degrees(angle))


def _tenth(number: int) -> int:
    return (number + 5) // 10


def _four(parts: Sequence[float]) -> Quaternion:
    w, x, y, z = parts
    return w, x, y, z


def _believed(message: Any) -> bool:
    """Whether a gimbal's delta_yaw says something: "to be ignored" without a frame flag; NaN and 0 are no word."""
    framed = message.flags & (YAW_IN_VEHICLE_FRAME | YAW_IN_EARTH_FRAME)
    return bool(framed) and math.isfinite(message.delta_yaw) and message.delta_yaw != 0.0


def _checked(kind: str, message: Any) -> None:
    """Returns if the values can be; raises TelemetryError."""
    if kind == "GLOBAL_POSITION_INT":
        _within(kind, "lat", message.lat, -900_000_000, 900_000_000)
        _within(kind, "lon", message.lon, -1_800_000_000, 1_800_000_000)
        if message.hdg != _HEADING_UNKNOWN:
            _within(kind, "hdg", message.hdg, 0, 36_000)
        least, most = _bounds("height_amsl_cm")
        _within(kind, "alt", message.alt, 10 * least, 10 * most)
        for name in ("vx", "vy", "vz"):
            _within(kind, name, getattr(message, name), *_bounds("velocity_up_cmps"))
    elif kind == "ATTITUDE":
        for name in ("roll", "pitch", "yaw"):
            _within(kind, name, getattr(message, name), -math.tau, math.tau)
    elif kind == "GIMBAL_DEVICE_ATTITUDE_STATUS":
        from_north(message.flags)
        _within(kind, "q", math.sqrt(sum(part * part for part in message.q)), 0.9, 1.1, "a unit quaternion: length ")


def _within(kind: str, name: str, value: float, least: float, most: float, what: str = "") -> None:
    if not least <= value <= most:  # nan is not
        raise TelemetryError(f"{kind}: {name}: {value:.7g} came, expected {what}{least:.7g} to {most:.7g}")
