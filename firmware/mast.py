"""Whether the mast still stands as it stood when its sensors were surveyed.

A surveyed azimuth is true until somebody turns the mast. So compass and accelerometer are watched, though neither is
believed: what counts is how far they have *changed*. How they were is kept in the flash (`mast`) beside what the survey
said then: a restart, which the blow itself may bring, forgets nothing, and another survey begins anew.
"""

import json

import pose
from log import log
from micropython import const

_FILE = "mast"
# More than wind that leans on a mast, and than the drift of an ADXL345's zero over 60 kelvin (data sheet, rev. G, table
# 1: 0.4 mg a kelvin, 1.4 degrees); less than what takes a camera of 20 degrees off the horizon.
_TILT_CDEG = const(500)
# More than a magnetic storm (2 degrees) or a car that stops beside the mast; a sensor's own sigma is 1 to 3 degrees.
_TURN_CDEG = const(1500)
_LASTS_MS = const(5000)  # longer than a gust or a shove
_SETTLES_MS = const(30_000)  # nobody holds the mast any more


def off(was, up, azimuth):
    """(tilt, turn) [cdeg], neither negative, from `was`, (x, y, z, azimuth or None), to the vector `up` in the same
    axes and `azimuth` [cdeg] or None."""
    # Shifted so that the products stay small integers (30 bits).
    a = [value >> 4 for value in was[:3]]
    b = [value >> 4 for value in up]
    across = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    along = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    tilt = abs(pose.polar(along, pose.hypotenuse(*across))[1]) // 10_000
    if azimuth is None or was[3] is None:
        return tilt, 0
    return tilt, abs(pose.wrapped(azimuth - was[3], 18000))


class Mast:
    """`turned`: it has been turned or knocked over. Stays so until the node starts again and finds the mast as it was,
    or until there is another survey. `survey`: what must not have changed (plain data)."""

    def __init__(self, survey):
        self.turned = False
        self._survey = json.dumps(survey)
        self._was = None
        self._kept = False
        self._since = None
        try:
            with open(_FILE) as file:
                survey, was = json.load(file)
            if len(was) != 4 or [value for value in was if type(value) is not int]:
                raise ValueError
            if survey == self._survey:
                self._was, self._kept = was, True
        except OSError:
            pass
        except (ValueError, TypeError):
            log("mast", _FILE + " is damaged: begins anew")

    def step(self, up, azimuth, uptime):
        """Takes what holds the board up (a vector in its axes, smoothed) and its azimuth [cdeg] or None, at `uptime`
        [ms]."""
        if self._was is None:
            self._was = list(up) + [azimuth]
        tilt, turn = off(self._was, up, azimuth)
        if not self._kept:
            self._settle(tilt, turn, up, azimuth, uptime)
        elif tilt <= _TILT_CDEG and turn <= _TURN_CDEG:
            self._since = None
        elif self._since is None:
            self._since = uptime
        elif uptime - self._since >= _LASTS_MS and not self.turned:
            self.turned = True
            log("mast", "tilted by %d and turned by %d cdeg since the survey" % (tilt, turn))

    def _settle(self, tilt, turn, up, azimuth, uptime):
        if (
            self._since is None
            or 2 * tilt > _TILT_CDEG
            or 2 * turn > _TURN_CDEG
            or ((self._was[3] is None) != (azimuth is None))
        ):
            self._was, self._since = list(up) + [azimuth], uptime
        elif uptime - self._since >= _SETTLES_MS:
            self._kept, self._since = True, None
            if azimuth is None:
                return  # a compass that is silent now may speak after the next start
            try:
                with open(_FILE, "w") as file:
                    json.dump([self._survey, self._was], file)
            except OSError as error:
                log("mast", "not kept over a restart (%s)" % error)
