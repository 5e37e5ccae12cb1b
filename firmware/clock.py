"""Time without an epoch: ms since power-on, and UTC once somebody has told it.

`time.time()` counts from 2000 on the ESP32 and from 1970 on the unix port. Nothing here asks it: UTC comes
from the calendar date in the receiver's sentence, counted in days.
"""

import time

from micropython import const

# 2025-01-01: a receiver without an almanac says 1980, or a multiple of 1024 weeks off
_EARLIEST_MS = const(1_735_689_600_000)
_LATEST_MS = const(4_070_908_800_000)  # 2099-01-01: the wire ends with 2099, and the clock must run on
_RANKS = const(("none", "provisioned", "rtc", "ntp", "gnss"))
_MEASURED = const(3)  # ranks from here on know the time to a second
_JUMP_MS = const(2000)
_DRIFT = const(10_000)  # a crystal errs by 100 ppm at most
_FRESH_MS = const(3_600_000)
_SENTENCES = const(300)  # of a receiver (five minutes of them) until a jump is believed
_REPLIES = const(3)  # the same of a server

_last = None  # ticks when last asked
_uptime = 0


def uptime_ms():
    """Milliseconds since this was first asked. Right as long as it is asked once in six days (ticks wrap at
    2**30)."""
    global _last, _uptime
    now = time.ticks_ms()
    if _last is not None:
        _uptime += time.ticks_diff(now, _last)
    _last = now
    return _uptime


def advance(ms):
    """Says that `ms` have passed that the ticks did not count: a deep sleep."""
    global _uptime
    _uptime += ms


def unix_ms(year, month, day, ms):
    """UTC in Unix ms of a calendar date and the ms of that day; ValueError where there is
    no such day.

    Days from the civil date: Fliegel and van Flandern, Comm. ACM 11 (1968) 657, in a year that begins in
    March.
    """
    if not (1 <= month <= 12 and 1 <= day <= 31 and 0 <= ms <= 86_400_999):
        raise ValueError("no such date: %d-%d-%d" % (year, month, day))
    if month <= 2:
        year, month = year - 1, month + 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1
    return (days - 719_468) * 86_400_000 + ms


class Clock:
    """UTC as last set. `source` is the wire's word for what set it, in rising ranks: none, provisioned, rtc, ntp,
    gnss.

    A source is passed over while a better one was heard within the hour. A time that is over 2 s (and 100 ppm of the
    time that has passed) off what `ntp` or `gnss` has set is not believed until it has been said again and again: so a
    wrong one does no harm, and the first one may have been wrong.
    """

    def __init__(self):
        self.source = "none"
        self._offset = 0
        self._earliest = _EARLIEST_MS
        self._heard = 0  # uptime when the source was last heard
        self._doubt = (None, 0, 0)  # source, offset, how often

    def provision(self, earliest_unix_ms, uptime):
        """It is later than `earliest_unix_ms`: until somebody knows better, `at` says at least that."""
        self._earliest = max(_EARLIEST_MS, earliest_unix_ms)
        if self.source == "none":
            self.source, self._offset = "provisioned", earliest_unix_ms - uptime

    def fresh(self, uptime):
        """Whether `source` was heard within the hour before `uptime`."""
        return uptime - self._heard < _FRESH_MS

    def set(self, time_unix_ms, uptime, source):
        """`source` says that `time_unix_ms` was at `uptime` [ms]. True: so it is. False: a jump that is not believed.
        None: passed over, for it is before 2025 or what was provisioned, after 2098, or from a worse source."""
        if not self._earliest <= time_unix_ms < _LATEST_MS:
            return None
        offset = time_unix_ms - uptime
        known, rank = _RANKS.index(self.source), _RANKS.index(source)
        if rank < known and (rank < _MEASURED or self.fresh(uptime)):
            return None
        since = abs(uptime - self._heard)
        if known >= _MEASURED and abs(offset - self._offset) > _JUMP_MS + since // _DRIFT:
            who, told, count = self._doubt
            if who != source or abs(offset - told) > _JUMP_MS:
                told, count = offset, 0
            self._doubt = (source, told, count + 1)
            if count + 1 < (_SENTENCES if source == "gnss" else _REPLIES):
                return False
        self._doubt = (None, 0, 0)
        self._offset, self._heard, self.source = offset, uptime, source
        return True

    def at(self, uptime):
        """UTC [unix ms] at `uptime` [ms], a lower bound where `source` is provisioned; None while nobody has said
        anything."""
        return None if self.source == "none" else uptime + self._offset
