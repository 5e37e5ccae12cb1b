"""The ADXL345 accelerometer, register by register: Analog Devices data sheet rev. G, table 19 and after.

It lies as firmware/README.md says: x forward, y left, z up.
"""

from world import world

from devices.chip import Chip

ADDRESS = 0x53


class Device(Chip):
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
