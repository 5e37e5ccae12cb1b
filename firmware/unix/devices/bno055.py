"""The BNO055 as its UART shows it, byte by byte: Bosch data sheet BST-BNO055-DS000-14, sections 3.3, 4.2 and 4.7.

It lies as firmware/README.md says: x forward, y left, z up. Like the real one it is busy now and then and says so
(BUS_OVER_RUN) instead of answering, starts in mode CONFIG, wants 20 ms between modes, and has no fusion at first.
"""

import math
import struct
import time

from world import world

_STARTS = 650  # [ms] from reset to CONFIG
_FUSES = 100  # [ms] until the first vectors in NDOF
_LEARNS = 500  # [ms] a step of the magnetometer's calibration, 0 to 3
_BUSY = 9  # one answer in so many is BUS_OVER_RUN
_WHITE = 0.3  # [uT] noise of one reading


class Device:
    """The chip behind one UART. `waiting` is what it has answered and was not read."""

    def __init__(self, baud, room):
        self.waiting = b""
        self._wrong = baud != 115200
        self._room = room
        self._heard = b""
        self._answers = 0
        self._reset()

    def _reset(self):
        self._registers = bytearray(0x80)
        self._registers[0] = 0xA0
        self._registers[0x3B] = 0x80  # UNIT_SEL
        self._since = time.ticks_ms()  # of the mode
        self._starts = self._since

    def run(self):
        """Nothing comes that was not asked for."""

    def hear(self, data):
        """Takes the node's bytes; answers where they make a command."""
        if self._wrong or time.ticks_diff(time.ticks_ms(), self._starts) < _STARTS:
            return
        self._heard += bytes(data)
        while self._heard:
            said = self._heard
            if said[0] != 0xAA:
                self._heard = said[1:]
                self._say(b"\xee\x06")  # WRONG_START_BYTE
                continue
            size = 4 + (said[3] if len(said) > 3 and said[1] == 0 else 0)
            if len(said) < size:
                return
            self._heard = said[size:]
            self._say(self._answer(said[1], said[2], said[3], said[4:size]))

    def _say(self, answer):
        self._answers += 1
        if self._answers % _BUSY == 0:
            answer = b"\xee\x07"
        self.waiting = (self.waiting + answer)[: self._room]

    def _answer(self, write, register, length, data):
        if not length:
            return b"\xee\x09"  # MIN_LENGTH_ERROR
        if length > 128:
            return b"\xee\x08"  # MAX_LENGTH_ERROR
        if register + length > len(self._registers):
            return b"\xee\x04"  # REGMAP_INVALID_ADDRESS
        if write:
            self._measure()
            return bytes([0xBB, length]) + bytes(self._registers[register : register + length])
        if register == 0x3F and data[0] & 0x20:
            self._reset()
            return b""
        if register < 0x3B or (register >= 0x55 and self._registers[0x3D]):
            return b"\xee\x05"  # REGMAP_WRITE_DISABLED
        self._registers[register : register + length] = data
        if register == 0x3D:
            self._since = time.ticks_ms()
        return b"\xee\x01"

    def _measure(self):
        registers = self._registers
        gone = time.ticks_diff(time.ticks_ms(), self._since)
        fuses = registers[0x3D] == 0x0C and gone > _FUSES
        registers[0x08:0x36] = bytes(0x2E)
        if not fuses:
            return
        here = world()
        cd, sd = math.cos(here.dip), math.sin(here.dip)
        axes = here.axes(here.deviation)
        field = [1600 * here.gauss * (axis[0] * cd - axis[1] * sd) + 16 * _WHITE * here.noise() for axis in axes]
        lean = here.lean
        for at, vector in (
            (0x0E, field),  # 16 a microtesla
            (0x2E, [981 * (axis[1] + lean[i]) for i, axis in enumerate(here.axes())]),  # 100 a m/s2
        ):
            struct.pack_into("<hhh", registers, at, *[int(round(value)) for value in vector])
        registers[0x35] = 0xFC | min(3, gone // _LEARNS)
