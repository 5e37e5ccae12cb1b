"""The queue of detections, and how it outlives a reset.

A ring of packed detections (`wire.pack`, 28 bytes) in the RTC memory (`rtc.py`), sealed after every change: a watchdog
gives no warning. 68 fit. What a former boot has left keeps its boot, its number and its time. A detection names its
sensor by its place in config.json; the CRC32 of the names tells whether they are still the same.
"""

import struct
from binascii import crc32

import rtc
import wire
from log import log
from micropython import const

_START = const(128)
_LENGTH = const(1920)
_HEAD = const("<IBBB")  # CRC32 of the names, slot of the oldest, how many, bytes of each
_FIRST = const(12)  # where the ring begins
MOST = const(68)  # (1920 - 4 of rtc.py - 12) / 28


class Outbox:
    """`names`: what the sensors' places mean, any text; `most` detections are kept. `drops`: how many were lost."""

    def __init__(self, names, most):
        self.count = self.drops = self._gone = self.at = 0
        self.most = most
        self._names = crc32(names.encode())
        self._bytes = wire.packed("detection")[1]
        self.slots = (_LENGTH - 4 - _FIRST) // self._bytes
        self._ring, whole = rtc.section(_START, _LENGTH)
        kept, at, count, size = struct.unpack_from(_HEAD, self._ring)
        if not whole:
            if any(self._ring):
                self.lost(1, "unreadable")  # as many as were in it; nobody knows
        elif kept != self._names or size != self._bytes or at >= self.slots or count > self.slots:
            if count:
                self.lost(count, "of another configuration")
        else:
            self.at, self.count = at, count
            if count > most:
                self.lost(count - most, "too many")
                self.at, self.count = (at + count - most) % self.slots, most
            if count:
                log("outbox", "%d of a former boot" % self.count)

    def lost(self, count, why):
        log("outbox", "%d lost, %s" % (count, why))
        self.drops += count

    def seal(self):
        struct.pack_into(_HEAD, self._ring, 0, self._names, self.at, self.count, self._bytes)
        rtc.seal(_START, _LENGTH)

    def _slot(self, i):
        start = _FIRST + (self.at + i) % self.slots * self._bytes
        return self._ring[start : start + self._bytes]

    def append(self, fields):
        """Puts a detection at the end, with its `sensor_index`; a full queue drops its oldest. WireError where it is
        none."""
        data = wire.pack("detection", fields)
        if self.count == self.most:
            self.drops += 1
            self.next()
        self._slot(self.count)[:] = data
        self.count += 1
        self.seal()

    def next(self):
        self.at = (self.at + 1) % self.slots
        self.count -= 1
        self._gone += 1

    def oldest(self):
        """(its number, the packed bytes) of the detection that has waited longest."""
        return self._gone, bytes(self._slot(0))

    def sent(self, number):
        """Takes the detection of that number out; one that a full queue dropped meanwhile was not lost after all."""
        if number == self._gone:
            self.next()
            self.seal()
        else:
            self.drops -= 1
