"""Analog Devices ADXL345 accelerometer over I2C, for tilt.

Written from the data sheet, Rev. G, "Register Map" and "Register Definitions".
"""

from micropython import const

from sensors.qmc5883 import signed

_ADDRESS = const(0x53)  # SDO low
_DEVID = const(0x00)
_EXPECTED = const(0xE5)
_DATAX0 = const(0x32)


class Accelerometer:
    """`acceleration()` gives (x, y, z) in 1/256 g: x forward, y left, z up; level and at rest (0, 0, 256).

    `slow`: at 1.56 Hz, whose filter ends at 0.78 Hz, for a mast that sways: what sways faster than it is looked at
    (twice a second) would pass for a lean. Otherwise at 100 Hz. None before the first sample. A chip that does
    not answer, or is another, is an OSError; the next call sets it up again.
    """

    def __init__(self, i2c, slow=False):
        self._i2c = i2c
        self.rate = 0x04 if slow else 0x0A
        self.ready = False
        self.data = bytearray(6)

    def acceleration(self):
        data = self.data
        try:
            if not self.ready:
                self._i2c.readfrom_mem_into(_ADDRESS, _DEVID, memoryview(data)[:1])
                if data[0] != _EXPECTED:
                    raise OSError("no ADXL345 at 0x53")
                # DATA_FORMAT: full resolution, +-2 g, 256 counts a g; BW_RATE; POWER_CTL: measure
                for register, value in ((0x31, 0x08), (0x2C, self.rate), (0x2D, 0x08)):
                    self._i2c.writeto_mem(_ADDRESS, register, bytes([value]))
                self.ready = True
                return None
            self._i2c.readfrom_mem_into(_ADDRESS, _DATAX0, data)
        except OSError:
            self.ready = False
            raise
        if not any(data):
            return None  # it has not measured yet
        return signed(data[0], data[1]), signed(data[2], data[3]), signed(data[4], data[5])
