"""What was last told of each target, so that one that stands still does not flood the host."""

import pose
from micropython import const

_MOST = const(16)  # remembered


class Told:
    """What one sensor told. `move_cdeg`: an azimuth that far from the one last told is news; `repeat_ms`: after that
    the same is news again."""

    def __init__(self, move_cdeg, repeat_ms):
        self._move_cdeg = move_cdeg
        self._repeat_ms = repeat_ms
        self._last = []  # target, azimuth [cdeg], range [cm], uptime; the oldest first

    def news(self, target, azimuth_cdeg, range_cm, uptime):
        """Whether to tell of `target` now: the sensor's number for it, or None where it has none and only the place
        tells whether it is the same. An eighth of its range nearer or farther is news, too. `uptime` in ms."""
        for last in self._last:
            if (
                target in (None, last[0])
                and uptime - last[3] < self._repeat_ms
                and abs(pose.wrapped(azimuth_cdeg - last[1], 18000)) <= self._move_cdeg
                and abs(range_cm - last[2]) * 8 <= last[2]
            ):
                return False
        self._last = [last for last in self._last[1 - _MOST :] if target is None or last[0] != target]
        self._last.append((target, azimuth_cdeg, range_cm, uptime))
        return True


def options(section, move_cdeg):
    """A Told by the keys `move_cdeg` (with this default) and `repeat_s`."""
    move = section.integer("move_cdeg", 10, 18000, move_cdeg)
    return Told(move, (section.integer("repeat_s", 1, 600, 10) or 0) * 1000)
