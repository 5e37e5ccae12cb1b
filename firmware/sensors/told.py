"""What was last told of each target, so that one that stands still does not flood the host."""

import pose
from micropython import const

_MOST = const(16)  # targets remembered


class Told:
    """One sensor's targets. `move_cdeg`: an azimuth that far from the one last told is news; `repeat_ms`: after that
    the same is news again."""

    def __init__(self, move_cdeg, repeat_ms):
        self._move_cdeg = move_cdeg
        self._repeat_ms = repeat_ms
        self._last = {}  # target: azimuth [cdeg], range [cm], uptime

    def news(self, target, azimuth_cdeg, range_cm, uptime):
        """Whether to tell of `target` (its number) now; an eighth of its range nearer or farther is news, too.
        `uptime` in ms."""
        last = self._last.get(target)
        if last and uptime - last[2] < self._repeat_ms:
            turned = abs(pose.wrapped(azimuth_cdeg - last[0], 18000))
            if turned <= self._move_cdeg and abs(range_cm - last[1]) * 8 <= last[1]:
                return False
        if not last and len(self._last) >= _MOST:
            self._last.clear()
        self._last[target] = (azimuth_cdeg, range_cm, uptime)
        return True


def options(section, move_cdeg):
    """A Told by the keys `move_cdeg` (with this default) and `repeat_s`."""
    move = section.integer("move_cdeg", 10, 18000, move_cdeg)
    return Told(move, (section.integer("repeat_s", 1, 600, 10) or 0) * 1000)
