"""The AMG8833 thermal array, register by register: Panasonic "Grid-EYE (AMG88)".

An intruder is a body of 0.5 m by 1.7 m about its point, which hides so much of a pixel's ground as it covers. What
is how warm, and how fast the ground warms, is world.json's `thermal`.
"""

import math

from world import world

from devices.chip import Chip
from devices.scene import mount, seen

ADDRESS = 0x69
_PIXEL = math.radians(7.5)


def _covered(low, high, i):
    """How much of pixel `i` (0 to 7, from the left or the top) an extent of angles covers."""
    start = (i - 4) * _PIXEL
    return max(0, min(high, start + _PIXEL) - max(low, start)) / _PIXEL


class Device(Chip):
    """Pixel 1 at the top left. Nothing is measured until normal mode is set."""

    def __init__(self):
        super().__init__(256)
        self._registers[0] = 0x10  # sleeping

    def _set(self, register, byte):
        if register < 0x08:
            self._registers[register] = byte

    def _measure(self, register):
        if register < 0x80 or self._registers[0]:
            return
        here = world()
        told = here.told.get("thermal", {})
        air, body, drift = [told.get(*key) for key in (("air_ck", 1500), ("body_ck", 2800), ("drift_ck_s", 0))]
        ground = air + drift * here.elapsed() / 1000
        bodies = []
        for azimuth, elevation, distance, _, _ in seen(mount("amg8833"), 6600, 1000):
            wide, high = 25 / distance, 85 / distance
            bodies.append((azimuth - wide, azimuth + wide, -elevation - high, -elevation + high))
        for i in range(64):
            share = min(1, sum([_covered(b[0], b[1], i & 7) * _covered(b[2], b[3], i >> 3) for b in bodies]))
            value = int(round((ground + share * (body - ground) + 8 * here.noise()) / 25))
            self._registers[0x80 + 2 * i] = value & 0xFF
            self._registers[0x81 + 2 * i] = value >> 8 & 0x0F
