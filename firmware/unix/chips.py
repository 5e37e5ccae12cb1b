"""The chips on the reference board's I2C bus, register by register.

QMC5883L: QST data sheet 1.0, sections 7.2 and 9. ADXL345: Analog Devices data sheet rev. G, table 19 and after.
Both lie as firmware/README.md says: x forward, y left, z up.
"""

import math
import struct
import time

from world import world


class Chip:
    """A register file. `_measure` brings it up to date before a read; `_writable` registers take what is written."""

    def __init__(self, size):
        self._registers = bytearray(size)

    def write(self, register, data):
        for byte in data:
            self._set(register, byte)
            register += 1

    def read(self, register, into):
        self._measure(register)
        for i in range(len(into)):
            into[i] = self._registers[register + i]

    def _vector(self, register, limit, values):
        """Puts three numbers there, little-endian; True where one did not fit."""
        over = False
        for i, value in enumerate(values):
            over = over or abs(value) > limit
            struct.pack_into("<h", self._registers, register + 2 * i, int(round(max(-limit, min(limit, value)))))
        return over


class QMC5883L(Chip):
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
        self._registers[6] = 1 | self._vector(0, 32767, field) << 1


class ADXL345(Chip):
    """Three-axis accelerometer. Shows what holds it up: level and at rest +1 g on z."""

    _WHITE = 0.004  # [g] noise of one reading

    def __init__(self):
        super().__init__(0x3A)
        self._registers[0] = 0xE5  # device id
        self._registers[0x2C] = 10  # 100 Hz

    def _set(self, register, byte):
        if 0x1D <= register < 0x32:
            self._registers[register] = byte

    def _measure(self, register):
        measuring = self._registers[0x2D] & 8
        self._registers[0x30] = 0x82 if measuring else 2
        if register < 0x32 or not measuring:
            return
        layout = self._registers[0x31]
        shift = layout & 3  # 2, 4, 8 or 16 g
        scale, limit = (256, (512 << shift) - 1) if layout & 8 else (256 >> shift, 511)
        here = world()
        axes = here.axes()
        self._vector(0x32, limit, [scale * (axes[i][1] + here.lean[i] + self._WHITE * here.noise()) for i in range(3)])
