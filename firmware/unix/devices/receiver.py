"""A GNSS receiver as its UART shows it: bursts of NMEA 0183 once a second, no faster than the baud rate.

It speaks like a u-blox receiver (protocol specification UBX-13003221): empty fields before the first fix, GST only once
`$PUBX,40,GST` has asked for it, the fix of a whole second sent a moment after that second. Its errors are those
of real receivers: they wander over minutes (first-order Gauss-Markov), so averaging does not make them vanish.
"""

import math
import time

from world import AMSL, LATITUDE, LONGITUDE, live, world

_MEMORY = 60000  # [ms] in which the error forgets itself
_METRE = math.degrees(1e7 / 6371000)  # [1e-7 degree]


def sentence(body):
    """`body` with "$", checksum and line end, in bytes."""
    check = 0
    for c in body.encode():
        check ^= c
    return ("$%s*%02X\r\n" % (body, check)).encode()


def _angle(e7, letters, width):
    minutes = int(round(abs(e7) * 0.6))  # [1e-5 minute]
    return "%0*d.%05d,%s" % (
        width,
        minutes // 6000000 * 100 + minutes // 100000 % 60,
        minutes % 100000,
        letters[e7 < 0],
    )


class Device:
    """The receiver behind one UART. `waiting` is what has arrived in the UART's buffer and was not read."""

    def __init__(self, baud, room):
        self.waiting = b""
        here = world()
        self._wrong = baud != here.gnss[2]
        self._room = room
        self._first = here.now() + here.gnss[1]
        self._delay = 60 + here.seed % 8 * 20  # receivers differ in when they begin to speak
        self._error = [here.noise() for _ in range(3)]
        self._second = 0
        self._since = 0
        self._burst = b""
        self._gst = False

    def hear(self, data):
        """Takes a sentence from the node; one with a wrong checksum is passed over."""
        words = bytes(data).decode().strip().split(",")
        # Message, then its rate on DDC and on UART 1.
        if words[:3] == ["$PUBX", "40", "GST"] and sentence(",".join(words)[1:-3]) == data:
            self._gst = words[4] != "0"

    def run(self):
        """Brings `waiting` up to now."""
        here = world()
        second = (here.now() - self._delay) // 1000
        if second != self._second:
            self._arrive(len(self._burst))
            keep = math.exp((self._second - second) * 1000 / _MEMORY)
            for i in range(3):
                self._error[i] = keep * self._error[i] + math.sqrt(1 - keep * keep) * here.noise()
            self._second, self._since = second, time.ticks_ms()
            self._burst = self._sentences(here, second * 1000)
        else:
            sent = time.ticks_diff(time.ticks_ms(), self._since) * here.gnss[2] // 10000  # ten bits a byte
            if sent < len(self._burst):
                # What has gone by is counted from the end, so that the burst need not be kept.
                self._since = time.ticks_add(self._since, sent * 10000 // here.gnss[2])
            self._arrive(sent)

    def _arrive(self, count):
        if not count or not self._burst:
            return
        piece, self._burst = self._burst[:count], self._burst[count:]
        if self._wrong:  # a wrong baud rate gives bytes, but not these
            piece = bytes([byte * 7 & 0xFF | 0x80 for byte in piece])
        self.waiting = (self.waiting + piece)[: self._room]  # a full buffer loses what comes last

    def _sentences(self, here, unix_ms):
        if unix_ms < self._first:
            out = sentence("GNRMC,,V,,,,,,,,,,N") + sentence("GNGGA,,,,,,0,00,99.99,,,,,,")
            return out + (sentence("GNGST,,,,,,,,") if self._gst else b"")
        sigma = here.gnss[0]
        told_ms = unix_ms + live("faults").get("clock_off_ms", 0)
        y, m, d, hh, mm, ss = time.gmtime(told_ms // 1000)[:6]
        clock = "%02d%02d%02d.00" % (hh, mm, ss)
        truth = here.truth(unix_ms)
        later = here.truth(unix_ms + 500)
        if later[0] < truth[0]:  # its track begins anew
            truth, later = here.truth(unix_ms - 500), truth
        parallel = max(1e-6, math.cos(math.radians(truth[LATITUDE] / 1e7)))
        north = (later[LATITUDE] - truth[LATITUDE]) / _METRE * 2  # [m/s]
        east = (later[LONGITUDE] - truth[LONGITUDE]) / _METRE * 2 * parallel
        speed = math.sqrt(north * north + east * east)
        course = "%.2f" % (math.degrees(math.atan2(east, north)) % 360) if speed > 0.3 else ""
        place = "%s,%s" % (
            _angle(truth[LATITUDE] + self._error[0] * sigma * _METRE, "NS", 4),
            _angle(truth[LONGITUDE] + self._error[1] * sigma * _METRE / parallel, "EW", 5),
        )
        out = sentence(
            "GNRMC,%s,A,%s,%.3f,%s,%02d%02d%02d,,,A" % (clock, place, speed / 0.514444, course, d, m, y % 100)
        )
        height = truth[AMSL] / 100 + self._error[2] * 1.5 * sigma
        out += sentence("GNGGA,%s,%s,1,09,1.01,%.1f,M,-30.0,M,," % (clock, place, height))
        if self._gst:
            out += sentence("GNGST,%s,%.1f,,,,%.1f,%.1f,%.1f" % (clock, 2 * sigma, sigma, sigma, 1.5 * sigma))
        return out
