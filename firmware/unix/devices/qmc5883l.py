"""The QMC5883L magnetometer, register by register: QST data sheet 1.0, sections 7.2 and 9.

It lies as firmware/README.md says: x forward, y left, z up.
"""

import math
import time

from world import world

from devices.chip import Chip

ADDRESS = 0x0D


class Device(Chip):
    """Three-axis magnetometer. Data come only in continuous mode, at the chosen rate."""

    _WHITE = 0.0015  # [gauss] noise of one reading

    def __init__(self):
        super().__init__(14)
        self._registers[13] = 0xFF  # chip id
        self._taken = time.ticks_ms()

    def _set(self, register, byte):
        if register == 10 and byte & 0x80:
            self.__init__()
        elif 9 <= register <= 11:
            self._registers[register] = byte

    def read(self, register, into):
        super().read(register, into)
        if register < 6:
            self._registers[6] &= ~5  # reading the data clears "ready" and "skipped"

    def _measure(self, register):
        control = self._registers[9]
        now = time.ticks_ms()
        # Standby keeps what is there.
        if control & 3 != 1 or time.ticks_diff(now, self._taken) < (100, 20, 10, 5)[control >> 2 & 3]:
            return
        self._taken = now
        here = world()
        scale = here.gauss * (3000 if control & 0x30 else 12000)  # [counts] of the whole field, ranges of 8 G and 2 G
        white = self._WHITE / here.gauss
        cd, sd = math.cos(here.dip), math.sin(here.dip)
        field = [scale * (axis[0] * cd - axis[1] * sd + white * here.noise()) for axis in here.axes(here.deviation)]
        field = [part + iron * (1 if control & 0x30 else 4) for part, iron in zip(field, here.iron)]
        self._registers[6] = 1 | self._vector(0, 32767, field) << 1
