"""QST QMC5883L and QMC5883P magnetometers over I2C.

Written from QST "QMC5883L Datasheet 1.0" (registers: section 9) and "QMC5883P Datasheet Rev. C" (section 9).
Both are set to 8 gauss: a mast's own field must not overflow them, and 3000 counts a gauss are still 0.1
degree.
"""

from micropython import const

_L = const(0x0D)
_L_CHIP = (_L, 0x06, 0x00)  # address, status register, first data register
# soft reset; set/reset period; continuous, 50 Hz, 8 G, OSR 512
_L_SETUP = ((0x0A, 0x80), (0x0B, 0x01), (0x09, 0x15))
_P = const(0x2C)
_P_CHIP = (_P, 0x09, 0x01)
# soft reset; axes' signs; 8 G; normal, 50 Hz
_P_SETUP = ((0x0B, 0x80), (0x29, 0x06), (0x0B, 0x08), (0x0A, 0xC5))

_READY = const(1)  # bits of the status, the same in both
_OVERFLOW = const(2)


def signed(low, high):
    """A two's complement number of 16 bits from its bytes."""
    value = low | high << 8
    return value - 65536 if value & 0x8000 else value


class Compass:
    """`field()` gives (x, y, z) in counts, hard iron taken off: x forward, y left, z up; None while there is
    nothing new.

    A chip that does not answer, or is neither of the two, is an OSError; the next call sets it up again.
    """

    calibrated = 3  # its offset does not change by itself

    def __init__(self, i2c, hard_iron=(0, 0, 0)):
        self._i2c = i2c
        self._hard_iron = hard_iron
        self._chip = None  # address, status register, first data register
        self._status = bytearray(1)
        self._data = bytearray(6)
        self.overflows = 0

    def _find(self):
        for address, register, expected, setup, chip in (
            (_L, 0x0D, 0xFF, _L_SETUP, _L_CHIP),
            (_P, 0x00, 0x80, _P_SETUP, _P_CHIP),
        ):
            try:
                self._i2c.readfrom_mem_into(address, register, self._status)
            except OSError:
                continue
            if self._status[0] == expected:
                for register, value in setup:
                    self._i2c.writeto_mem(address, register, bytes([value]))
                self._chip = chip
                return
        raise OSError("no QMC5883L or QMC5883P on the bus")

    def field(self):
        if self._chip is None:
            self._find()
        address, status, data = self._chip
        try:
            self._i2c.readfrom_mem_into(address, status, self._status)
            if not self._status[0] & _READY:
                return None
            self._i2c.readfrom_mem_into(address, data, self._data)
        except OSError:
            self._chip = None
            raise
        if self._status[0] & _OVERFLOW:
            self.overflows += 1
            return None
        found, off = self._data, self._hard_iron
        return (
            signed(found[0], found[1]) - off[0],
            signed(found[2], found[3]) - off[1],
            signed(found[4], found[5]) - off[2],
        )
