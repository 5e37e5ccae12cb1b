"""The mean position of a post: which of its fixes are believed, and how accurate their mean is. Loaded where there is
no survey."""

import pose
from micropython import const

_SETTLED = const(10)  # fixes before a mean is trusted to call another fix a jump
# GNSS errors (ionosphere, multipath) keep for ten minutes: more fixes do not average them away
_DECORRELATION_S = const(600)
_FLOOR_CM = const(100)  # and what never averages away


class Average:
    """The mean position of a post that does not move, and which fixes it will not believe.

    The sums are kept as differences from the first fix, so that 180 degrees of longitude is a place like any
    other. `sigma_cm`, `height_sigma_cm`: 1 sigma of the mean; `suspect`: the last fix was a jump without a
    motion.
    """

    def __init__(self):
        self.count = 0
        self.suspect = False
        self._first = None  # latitude_e7, longitude_e7, height_cm
        self._sums = [0, 0, 0, 0, 0]  # differences of those three, sigma, height sigma
        self._since_s = 0
        self._seconds = 0

    def add(self, latitude_e7, longitude_e7, height_cm, sigma_cm, height_sigma_cm, uptime_s):
        """Takes one fix; False where it is a jump and was left out."""
        if self._first is None:
            self._first = (latitude_e7, longitude_e7, height_cm)
            self._since_s = uptime_s
        elif self.count >= _SETTLED:
            mean = self.position()
            self.suspect = pose.is_jump(latitude_e7, longitude_e7, mean, sigma_cm)
            if self.suspect:
                return False
        first, sums = self._first, self._sums
        sums[0] += latitude_e7 - first[0]
        sums[1] += pose.wrapped(longitude_e7 - first[1], 1_800_000_000)
        sums[2] += height_cm - first[2]
        sums[3] += sigma_cm
        sums[4] += height_sigma_cm
        self.count += 1
        self._seconds = uptime_s - self._since_s
        return True

    def position(self):
        """(latitude_e7, longitude_e7, height_cm), rounded; None before the first fix."""
        if not self.count:
            return None
        first, sums, half = self._first, self._sums, self.count // 2
        return (
            first[0] + (sums[0] + half) // self.count,
            pose.wrapped(first[1] + (sums[1] + half) // self.count, 1_800_000_000),
            first[2] + (sums[2] + half) // self.count,
        )

    @property
    def sigma_cm(self):
        """1 sigma of the mean on each horizontal axis [cm]; only after the first fix."""
        return self._shrunk(self._sums[3])

    @property
    def height_sigma_cm(self):
        """The same of the height."""
        return self._shrunk(self._sums[4])

    def _shrunk(self, total):
        """The mean of the sigmas over the root of the number of *independent* fixes, but not under the
        floor."""
        mean = total // self.count
        independent = 100 + 100 * self._seconds // _DECORRELATION_S
        shrunk = mean * 10 // pose.root(independent)
        return min(mean, max(_FLOOR_CM, shrunk))
