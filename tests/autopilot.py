"""A drone's autopilot as the tests play it: MAVLink messages by pymavlink's own encoder, and a socket that sends them.

Angles are in degrees here, positions in degrees and metres; the encoder gets MAVLink's own units.
"""

import math
import socket
from typing import Any

from pymavlink.dialects.v20 import common

LATITUDE_E7, LONGITUDE_E7 = 366120013, -841550027  # by the demo's frontage; no 32-bit float holds them
QUADROTOR, ARDUPILOT = 2, 3


def multiplied(p: list[float], q: list[float]) -> list[float]:
    """The Hamilton product, from its table."""
    table = {"11": (1, "1"), "1i": (1, "i"), "1j": (1, "j"), "1k": (1, "k"), "i1": (1, "i"), "ii": (-1, "1"),
             "ij": (1, "k"), "ik": (-1, "j"), "j1": (1, "j"), "ji": (-1, "k"), "jj": (-1, "1"), "jk": (1, "i"),
             "k1": (1, "k"), "ki": (1, "j"), "kj": (-1, "i"), "kk": (-1, "1")}  # fmt: skip
    found = dict.fromkeys("1ijk", 0.0)
    for a, first in zip("1ijk", p, strict=True):
        for b, second in zip("1ijk", q, strict=True):
            sign, unit = table[a + b]
            found[unit] += sign * first * second
    return [found[unit] for unit in "1ijk"]


def turned(yaw_deg: float, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> list[float]:
    """The quaternion (w, x, y, z) of three turns in that order, each about one axis: cos(a/2), sin(a/2) of it."""
    found = [1.0, 0.0, 0.0, 0.0]
    for axis, angle in ((3, yaw_deg), (2, pitch_deg), (1, roll_deg)):
        one = [math.cos(math.radians(angle) / 2), 0.0, 0.0, 0.0]
        one[axis] = math.sin(math.radians(angle) / 2)
        found = multiplied(found, one)
    return found


class Autopilot:
    """Encodes what a vehicle says. `boot_ms` is its clock; move it on, or what follows is no news."""

    def __init__(self, system: int = 1, component: int = 1) -> None:
        self._encoder = common.MAVLink(None, srcSystem=system, srcComponent=component)
        self.boot_ms = 100_000

    def packed(self, message: Any) -> bytes:
        return bytes(message.pack(self._encoder))

    def heartbeat(self, kind: int = QUADROTOR, autopilot: int = ARDUPILOT) -> bytes:
        return self.packed(self._encoder.heartbeat_encode(kind, autopilot, 0, 0, 4))

    def position(self, hdg: int = 0, east: int = 0, north: int = 0, down: int = 0, **other: Any) -> bytes:
        values = {"lat": LATITUDE_E7, "lon": LONGITUDE_E7, "alt": 412_345, "relative_alt": 100_000, **other}
        return self.packed(
            self._encoder.global_position_int_encode(self.boot_ms, vx=north, vy=east, vz=down, hdg=hdg, **values)
        )

    def attitude(self, yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> bytes:
        roll, pitch, yaw = (math.radians(angle) for angle in (roll_deg, pitch_deg, yaw_deg))
        return self.packed(self._encoder.attitude_encode(self.boot_ms, roll, pitch, yaw, 0, 0, 0))

    def gimbal(
        self,
        q: list[float],
        flags: int,
        delta_yaw: float = math.nan,
        failure: int = 0,
        device: int = 0,
    ) -> bytes:
        nan = math.nan
        return self.packed(
            self._encoder.gimbal_device_attitude_status_encode(
                0, 0, self.boot_ms, flags, q, nan, nan, nan, failure, delta_yaw, nan, device
            )
        )

    def view(self, hfov_deg: float, vfov_deg: float) -> bytes:
        return self.packed(
            self._encoder.camera_fov_status_encode(self.boot_ms, 0, 0, 0, 0, 0, 0, [1, 0, 0, 0], hfov_deg, vfov_deg)
        )

    def clock(self, unix_ms: int) -> bytes:
        return self.packed(self._encoder.system_time_encode(1000 * unix_ms, self.boot_ms))

    def receiver(self, fix_type: int = 3, eph: int = 65535, epv: int = 65535, **other: Any) -> bytes:
        return self.packed(
            self._encoder.gps_raw_int_encode(
                0, fix_type, LATITUDE_E7, LONGITUDE_E7, 412_345, eph, epv, 0, 0, 9, **other
            )
        )


def messages(data: bytes) -> list[Any]:
    """What pymavlink reads in these bytes."""
    return common.MAVLink(None).parse_buffer(data) or []


class Radio:
    """A UDP socket that sends to a port of the loopback, and hears if anybody answers."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._socket.sendto(piece, self._address)

    def answers(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except (BlockingIOError, ConnectionRefusedError):
            return b""

    def close(self) -> None:
        self._socket.close()
