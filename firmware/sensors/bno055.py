"""Bosch BNO055 over UART: magnetometer, accelerometer and gyroscope that a processor of its own makes one of.

Written from Bosch Sensortec "BNO055 Data sheet", BST-BNO055-DS000-14, revision 1.4: UART protocol (section 4.7, 115200
baud 8N1), register map (4.2), operation modes (3.3), output data (3.6). Over I2C it stretches the clock longer than an
ESP32 waits, so PS1 is tied high (UART). Not tried on a chip.

    node: AA 01 register length             chip: BB length data..., or EE status
    node: AA 00 register length data...     chip: EE status (01: written)

There is no checksum. So every reading takes the registers 00 to 3D in one: chip id, data, calibration and mode come
together, and one that is not whole, not this chip's, or not 1 g long is passed over.

In mode NDOF the gravity vector (2E) is the fusion's, free of what shakes the mast, and the field (0E) has the chip's
own calibration taken off (3.6). Both are vectors in the axes printed on the chip: mounted as firmware/README.md says
they need no convention of angles, and the heading is worked out as it is for the other compass.
"""

from micropython import const

from sensors.qmc5883 import signed

_READ = b"\xaa\x01\x00\x3e"
_LENGTH = const(0x3E)
_CHIP_ID = const(0xA0)
_NDOF = const(0x0C)
_SET_MODE = b"\xaa\x00\x3d\x01"
_SET_OFFSET = b"\xaa\x00\x5b\x06"  # MAG_OFFSET: 1/16 uT, written in mode CONFIG only (3.11.4)
_SILENT = const(8)  # readings in a row that fail before the chip counts as silent; setting it up takes three


class Compass:
    """The chip as compass and as accelerometer. `field()` asks for the next reading and gives (x, y, z) [1/16 uT] of
    the one asked for before, None where there is none; `acceleration()` what came with it, (x, y, z) [cm/s2], level
    (0, 0, 981).

    `calibrated`: 0 to 3 as the chip says of its magnetometer; `errors`: readings that gave nothing (BUS_OVER_RUN and
    the like; the next one asks again). A chip that falls silent is an OSError, and one that has started again is set
    up again.
    """

    def __init__(self, uart, hard_iron=(0, 0, 0)):
        self._uart = uart
        self._offset = hard_iron
        self._told = False  # the offset
        self._answer = bytearray(128)
        self._gravity = None
        self._failed = 0
        self._asked = None
        self.calibrated = 0
        self.errors = 0

    def acceleration(self):
        return self._gravity

    def _ask(self, command):
        self._asked = command
        self._uart.write(command)

    def field(self):
        count = self._uart.readinto(self._answer) or 0
        self._gravity = None
        if self._asked is not _READ:
            # The answer to a setting is not waited for: the next reading shows what it did.
            self._ask(_READ)
            return None
        ask, field = _READ, None
        found = bytes(memoryview(self._answer)[:count])
        at = found.find(b"\xbb\x3e") + 2
        if at >= 2 and count >= at + _LENGTH and found[at] == _CHIP_ID:
            self.calibrated = found[at + 0x35] & 3
            mode = found[at + 0x3D] & 15
            if mode == _NDOF:
                field, gravity = _vector(found, at + 0x0E), _vector(found, at + 0x2E)
                # 1 g has a part of 566 cm/s2 at least along one axis; before the fusion has begun all is 0.
                if any(field) and 560 <= max([abs(part) for part in gravity]) <= 1000:
                    self._gravity = gravity
                else:
                    field = None
            elif mode:
                ask = _SET_MODE + b"\x00"
            elif self._told or not any(self._offset):
                self._told = False
                ask = _SET_MODE + b"\x0c"
            else:
                self._told = True
                ask = _SET_OFFSET + bytes([part >> i & 255 for part in self._offset for i in (0, 8)])
        self._ask(ask)
        if field is None:
            self.errors += 1
            self._failed += 1
            if self._failed >= _SILENT:
                raise OSError("no BNO055 on UART 2")
        else:
            self._failed = 0
        return field


def _vector(found, at):
    return [signed(found[i], found[i + 1]) for i in (at, at + 2, at + 4)]
