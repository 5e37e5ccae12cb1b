"""Time without an epoch: milliseconds since power-on, and UTC once somebody has told it.

`time.time()` counts from 2000 on the ESP32 and from 1970 on the unix port. Nothing here asks it: UTC comes
from the calendar date in the receiver's sentence, counted in days.
"""

import time

from micropython import const

# 2025-01-01: a receiver without an almanac says 1980, or a multiple of 1024 weeks off
_EARLIEST_MS = const(1_735_689_600_000)
_LATEST_MS = const(4_070_908_800_000)  # 2099-01-01: the wire ends with 2099, and the clock must run on

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


def unix_ms(year, month, day, milliseconds):
    """UTC in Unix milliseconds of a calendar date and the milliseconds of that day; ValueError where there is
    no such day.

    Days from the civil date: Fliegel and van Flandern, Comm. ACM 11 (1968) 657, in a year that begins in
    March.
    """
    if not (1 <= month <= 12 and 1 <= day <= 31 and 0 <= milliseconds <= 86_400_999):
        raise ValueError("no such date: %d-%d-%d" % (year, month, day))
    if month <= 2:
        year, month = year - 1, month + 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1
    return (days - 719_468) * 86_400_000 + milliseconds


class Clock:
    """UTC as last set. `source` is the wire's word for it: none, gnss."""

    def __init__(self):
        self.source = "none"
        self._offset = 0

    def set(self, time_unix_ms, uptime, source):
        """From now on `time_unix_ms` was at `uptime` [ms]; False, and nothing is set, where that is not
        in 2025 to 2098."""
        if not _EARLIEST_MS <= time_unix_ms < _LATEST_MS:
            return False
        self._offset = time_unix_ms - uptime
        self.source = source
        return True

    def at(self, uptime):
        """UTC [unix ms] at `uptime` [ms], or None while nobody has set the clock."""
        return None if self.source == "none" else uptime + self._offset
