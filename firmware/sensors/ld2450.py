"""Hi-Link HLK-LD2450 radar (24 GHz, three targets, about 6 m, 60 degrees to each side) over a UART.

Written from Hi-Link "HLK-LD2450 Serial Communication Protocol" V1.03, sections "Radar data output protocol"
(30 bytes: AA FF 03 00, three targets of x, y, speed and resolution, 55 CC) and "Send command and ACK". Not tried
on a chip: whether its x grows to the right, as seen by the radar, is what `mirrored` is for.
"""

import pose
from log import once
from micropython import const

from sensors import serial, told

_BAUD = const(256_000)
_HEAD = b"\xaa\xff\x03\x00"
_SIZE = const(30)
_SILENT_MS = const(10_000)  # it sends ten frames a second, targets or not
# configuration begins; several targets; configuration ends
_SETUP = tuple(
    b"\xfd\xfc\xfb\xfa" + command + b"\x04\x03\x02\x01"
    for command in (b"\x04\x00\xff\x00\x01\x00", b"\x02\x00\x90\x00", b"\x02\x00\xfe\x00")
)
_SIGMA_CDEG = const(500)  # assumed: two antennas half a wave apart; the protocol says nothing of it


def options(section):
    """(hold [ms], mirrored, Told)"""
    section.claim("driver", "uart2", "sensor")
    return (
        section.integer("hold_ms", 0, 5000, 300),
        section.flag("mirrored", False),
        told.options(section, 500),
    )


class Frames:
    """Finds frames in bytes; `detected` is called for each target that is news. `bad`: frames without their end."""

    def __init__(self, settings, detected):
        self.bad = 0
        self._settings = settings
        self._detected = detected
        self._rest = b""
        self._since = [None] * 3  # when each target came

    def feed(self, chunk, uptime):
        """Takes bytes that arrived at `uptime` [ms]; how many whole frames they ended."""
        rest = self._rest + chunk
        good = 0
        while True:
            at = rest.find(_HEAD)
            rest = rest[at:] if at >= 0 else rest[-3:]
            if at < 0 or len(rest) < _SIZE:
                self._rest = rest
                return good
            if rest[28:30] == b"\x55\xcc":
                good += 1
                for i in range(3):
                    self._target(i, rest[4 + 8 * i : 10 + 8 * i], uptime)
                rest = rest[_SIZE:]
            else:
                self.bad += 1
                rest = rest[1:]

    def _target(self, i, data, uptime):
        # x, y [mm] and speed [cm/s]: the top bit is the sign, and set where it is positive.
        x, y, speed = ((data[k] | (data[k + 1] & 127) << 8) * (1 if data[k + 1] & 128 else -1) for k in (0, 2, 4))
        hold_ms, mirrored, told = self._settings
        if y <= 0:
            self._since[i] = None
            return
        if self._since[i] is None:
            self._since[i] = uptime
        distance, azimuth = pose.towards(y, -x if mirrored else x)
        distance //= 10
        if uptime - self._since[i] >= hold_ms and told.news(i, azimuth, distance, uptime):
            # What stands still may be a bush that it took for a target.
            self._detected(800 if speed else 600, azimuth, 0, _SIGMA_CDEG, distance)


async def watch(settings, detected, trouble):
    """Reads the radar for ever."""
    frames = Frames(settings, detected)
    await serial.listen(once("board").sensor_uart(2, _BAUD, True), frames, _SILENT_MS, trouble, _SETUP)
