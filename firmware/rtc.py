"""The 2,048 bytes that outlive every reset but a loss of power, in sections with a CRC32 each; nothing else asks for
them.

ESP32 data sheet v4.6, section 4.1.2: 8 KB of RTC slow memory. MicroPython gives 2,048 bytes of it
(`machine.RTC.memory`) and lets no reset clear them (ports/esp32/machine_rtc.c, RTC_NOINIT_ATTR). Bytes 0-127 are
`asleep.py`'s, 128-2047 `outbox.py`'s. Not tried on a chip.
"""

from binascii import crc32

from machine import RTC
from micropython import const

_SIZE = const(2048)

_memory = None


def section(start, size):
    """The bytes of a section behind its CRC32, to be changed where they lie (`seal` them then), and whether they are as
    they were sealed."""
    global _memory
    if _memory is None:
        # All of it stays in RAM: each write would make two new copies of it otherwise.
        found = RTC().memory()
        _memory = memoryview(bytearray(found if len(found) == _SIZE else _SIZE))
    data = _memory[start + 4 : start + size]
    return data, crc32(data) == int.from_bytes(_memory[start : start + 4], "little")


def seal(start, size):
    """Keeps a section as it is now."""
    _memory[start : start + 4] = crc32(_memory[start + 4 : start + size]).to_bytes(4, "little")
    RTC().memory(_memory)


def read(start, size):
    """The bytes that were written to the section of `size` bytes at `start`; None where its CRC32 is wrong."""
    data, whole = section(start, size)
    length = data[0] | data[1] << 8
    return bytes(data[2 : 2 + length]) if whole and length <= size - 6 else None


def write(start, size, data):
    """Puts at most `size` - 6 bytes into a section; ValueError where there are more."""
    length = len(data)
    if length > size - 6:
        raise ValueError("rtc: %d bytes, at most %d expected" % (length, size - 6))
    into, _ = section(start, size)
    into[:2] = length.to_bytes(2, "little")
    into[2 : 2 + length] = data
    seal(start, size)
