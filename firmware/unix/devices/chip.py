"""What the chips on the I2C bus have in common: a register file."""

import struct


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
