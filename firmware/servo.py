"""A pan/tilt servo: which way it has to stand, where it stands while it moves, and which pulses say so.

It tells nothing back. Where it is follows from what it was told and from how fast it turns (the maker's seconds for
60 degrees; slower under load: `cdeg_per_s` is to be measured with the sensor on it). A pulse of 1 to 2 ms, fifty times
a second, sets the angle, the usual signal of hobby servos (e.g. TowerPro SG90, data sheet: 20 ms period, 1 to 2 ms).
Not tried on a real one.

    true direction = board's attitude x (pan clockwise, tilt up) x the sensor's mount
"""

import pose
from micropython import const

_MICRO = const(10_000)  # a centidegree in microdegrees
_ONE = const(1 << 24)  # length of a unit vector
_SLACK = const(50)  # [cdeg] a servo's own dead band: as close to a limit as that is the limit


def aim(board, mount, azimuth, elevation):
    """(pan, tilt) [cdeg] that make a sensor look towards (azimuth, elevation) [cdeg]; None where no pan and tilt
    do.

    `board`, `mount`: (azimuth, elevation, roll) [cdeg]. Of the two ways to look there the upright one.
    """
    x, y, z = pose.outward((_ONE, 0, 0), azimuth, elevation, 0)
    # As the servo's foot sees it: the board's attitude undone, last turn first.
    x, y = pose.turned(x, y, board[0] * _MICRO)
    x, z = pose.turned(x, z, -board[1] * _MICRO)
    y, z = pose.turned(y, z, -board[2] * _MICRO)
    # Tilt moves the mount's boresight in the plane of x and z, whose part there is `reach`: it must come to
    # that height. Pan does the rest.
    ahead, aside, above = pose.outward((_ONE, 0, 0), *mount)
    reach, raised = pose.polar(ahead, above)
    if abs(z) > reach + (_ONE >> 14):
        return None
    level = pose.root(max(0, reach * reach - z * z))
    tilt = pose.polar(level, z)[1] - raised
    pan = pose.polar(level, aside)[1] - pose.polar(x, y)[1]
    return [pose.wrapped((angle + _MICRO // 2) // _MICRO, 18000) for angle in (pan, tilt)]


class Servo:
    """`settings` as config.py reads them; `pulses`: for pan and tilt what takes the pulse's width [us], None for an
    axis that is not there. It begins at 0, or at the limit nearest to it."""

    def __init__(self, settings, pulses):
        self._settings = settings
        self._pulses = pulses
        self._to = [max(settings[i], min(0, settings[i + 1])) for i in (2, 4)]
        self._from = self._to
        # Nobody knows where it stood before: until it has had the time for the longest way it may be on it.
        self._lost = max(settings[3] - settings[2], settings[5] - settings[4])
        self._since = None
        self._begun = False

    def angles(self, uptime):
        """(pan, tilt, how far from there it may still be) [cdeg] at `uptime` [ms]."""
        if not self._begun:
            self._begun = True
            self._turn(self._to, uptime)
        if self._since is None:
            return self._to[0], self._to[1], 0
        gone = (uptime - self._since) * self._settings[8] // 1000
        left = max(0, self._lost - gone)
        out = []
        for i in (0, 1):
            way = self._to[i] - self._from[i]
            rest = max(0, abs(way) - gone)
            left = max(left, rest)
            out.append(self._to[i] - (rest if way > 0 else -rest))
        if not left:
            self._since = None
            self._lost = 0
        return out[0], out[1], left

    def _turn(self, to, uptime):
        least, most = self._settings[6:8]
        for i, pulse in enumerate(self._pulses):
            low, high = self._settings[2 + 2 * i : 4 + 2 * i]
            if pulse:
                pulse(least + (to[i] - low) * (most - least) // (high - low))
        self._to, self._since = to, uptime

    def turn(self, angles, uptime):
        """Turns to `angles`, (pan, tilt) [cdeg] or None; why it cannot (then it stays), or None."""
        limits = self._settings[2:6]
        if angles:
            to = [max(limits[2 * i], min(angles[i], limits[2 * i + 1])) for i in (0, 1)]
            if max(abs(to[0] - angles[0]), abs(to[1] - angles[1])) <= _SLACK:
                pan, tilt, left = self.angles(uptime)
                if self._lost:
                    # Still on its first way: the new one begins as far off as it may be now.
                    self._lost = left + max(abs(to[0] - pan), abs(to[1] - tilt))
                self._from = [pan, tilt]
                self._turn(to, uptime)
                return None
        came = "pan %d, tilt %d" % tuple(angles) if angles else "no pan and tilt"
        return came + ": the servo has pan %d to %d, tilt %d to %d cdeg" % tuple(limits)
