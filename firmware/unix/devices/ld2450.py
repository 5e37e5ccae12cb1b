"""The HLK-LD2450 radar on its UART: Hi-Link "Serial Communication Protocol" V1.03.

Three targets at most, 60 degrees to each side, 6 m; ten frames a second; commands are acknowledged while configuring.
"""

import math
import struct

from devices.scene import mount, seen
from devices.speaker import Speaker


def _signed(value):
    """The chip's own sign: the top bit is set where the number is positive."""
    value = int(round(value))
    return value | 0x8000 if value >= 0 else -value


class Device(Speaker):
    _BAUD = 256000
    _EVERY = 100

    def hear(self, data):
        # FD FC FB FA, length, command, value, 04 03 02 01; the answer sets the command's high byte to 1.
        if data[:4] == b"\xfd\xfc\xfb\xfa" and data[-4:] == b"\x04\x03\x02\x01":
            self.waiting += b"\xfd\xfc\xfb\xfa\x04\x00" + data[6:7] + b"\x01\x00\x00\x04\x03\x02\x01"

    def _say(self):
        frame = b"\xaa\xff\x03\x00"
        for azimuth, elevation, distance, speed, _ in seen(mount("ld2450"), 12000, 600)[:3]:
            level = 10 * distance * math.cos(elevation)
            x, y = level * math.sin(azimuth), level * math.cos(azimuth)
            frame += struct.pack("<4H", _signed(x), _signed(y), _signed(-speed if speed else 0), 360)
        return frame + bytes(28 - len(frame)) + b"\x55\xcc"
