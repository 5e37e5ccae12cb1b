"""QST QMC5883L and QMC5883P magnetometers over I2C.

Written from QST "QMC5883L Datasheet 1.0" (registers: section 9) and "QMC5883P Datasheet Rev. C" (section 9).
Both are set to 8 gauss: a mast's own field must not overflow them, and 3000 counts a gauss are still 0.1
degree.
"""

from micropython import const

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
        self.hard_iron = hard_iron
        self._chip = None  # address, status register, first data register
        self.status = bytearray(1)
        self.data = bytearray(6)
        self.overflows = 0

    def _find(self):
        # Address, identity's register and value; setup, pairs of register and value; status and first data register.
        for address, register, expected, setup, *chip in (
            # soft reset; set/reset period; continuous, 50 Hz, 8 G, OSR 512
            (0x0D, 0x0D, 0xFF, b"\x0a\x80\x0b\x01\x09\x15", 0x06, 0x00),
            # soft reset; axes' signs; 8 G; normal, 50 Hz
            (0x2C, 0x00, 0x80, b"\x0b\x80\x29\x06\x0b\x08\x0a\xc5", 0x09, 0x01),
        ):
            try:
                self._i2c.readfrom_mem_into(address, register, self.status)
            except OSError:
                continue
            if self.status[0] == expected:
                for i in range(0, len(setup), 2):
                    self._i2c.writeto_mem(address, setup[i], setup[i + 1 : i + 2])
                self._chip = [address] + chip
                return
        raise OSError("no QMC5883L or QMC5883P on the bus")

    def field(self):
        if self._chip is None:
            self._find()
        address, status, data = self._chip
        try:
            self._i2c.readfrom_mem_into(address, status, self.status)
            if not self.status[0] & _READY:
                return None
            self._i2c.readfrom_mem_into(address, data, self.data)
        except OSError:
            self._chip = None
            raise
        if self.status[0] & _OVERFLOW:
            self.overflows += 1
            return None
        found, off = self.data, self.hard_iron
        return (
            signed(found[0], found[1]) - off[0],
            signed(found[2], found[3]) - off[1],
            signed(found[4], found[5]) - off[2],
        )
