"""The hard iron of a compass: the centre of the sphere on which its readings lie while the board is turned every way.

For the bench alone; a node never loads it. On the board's console:

    import calibration
    calibration.run(60)      # and turn the board in figures of eight, every side up once

The sphere is fitted by least squares to s = 2 c.p + k, with p a reading, s = |p|^2, c the centre and k = r^2 - |c|^2,
which is linear in c and k (e.g. T. Ozyagcilar, NXP AN4246, "Calibrating an eCompass in the Presence of Hard- and
Soft-Iron Interference"). All of it is integer: running sums, exact, of any length of run; no reading is kept.
"""

import json
import time

import pose

_LEAST = 100  # readings
# Of a whole sphere it is 1000, of a half one 630 (its spread across the cut is a quarter), of an eighth 145, and of a
# circle 0: less than this leaves one coordinate of the centre to the noise.
_COVERAGE_MILLI = 400
# Twice the noise of a QMC5883L with the soft iron of a board; more is a magnet or a car that moves near by.
_RESIDUAL_MILLI = 50
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _determinant(a, b, c):
    return a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])


def _rounded(number, by):
    return (2 * number + by) // (2 * by)


class Sphere:
    """Running sums of readings (x, y, z), any unit. `count`: how many."""

    def __init__(self):
        self.count = 0
        self._sums = [0] * 3
        self._squares = [0] * 6  # of _PAIRS
        self._s = self._ss = 0
        self._ps = [0] * 3

    def add(self, vector):
        self.count += 1
        s = sum([value * value for value in vector])
        self._s += s
        self._ss += s * s
        for i in range(3):
            self._sums[i] += vector[i]
            self._ps[i] += vector[i] * s
        for i, (a, b) in enumerate(_PAIRS):
            self._squares[i] += vector[a] * vector[b]

    def fit(self):
        """{"hard_iron": [x, y, z], "radius", "residual_milli", "coverage_milli", "samples"}: centre and radius in the
        unit of the readings, the rms distance from the sphere in thousandths of its radius, and how much of the sphere
        was seen (1000: all of it). ValueError says why a set of readings gives none."""
        n, sums = self.count, self._sums
        if n < _LEAST:
            raise ValueError("%d readings, at least %d expected" % (n, _LEAST))
        # n^2 times the covariances of p, and of p with s
        spread = [n * self._squares[i] - sums[a] * sums[b] for i, (a, b) in enumerate(_PAIRS)]
        xx, xy, xz, yy, yz, zz = spread
        rows = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
        right = [n * self._ps[i] - sums[i] * self._s for i in range(3)]
        whole = _determinant(*rows)
        if whole <= 0:
            raise ValueError("all readings lie in one plane: turn the board every way")
        # 2 c by Cramer's rule, each over `whole`
        twice = [_determinant(*[row[:i] + [right[j]] + row[i + 1 :] for j, row in enumerate(rows)]) for i in range(3)]
        centre = [_rounded(part, 2 * whole) for part in twice]
        # The mean of |p - c|^2, with c rounded: a quarter count of the radius at most.
        square = self._s - 2 * sum([centre[i] * sums[i] for i in range(3)]) + n * sum([part * part for part in centre])
        radius = pose.root(_rounded(square, n))
        if not radius:
            raise ValueError("all readings are one: is the board being turned?")
        # n^2 times the variance of s that is left; (s - fit) = 2 r times the distance from the sphere.
        left = n * self._ss - self._s * self._s - sum([twice[i] * right[i] for i in range(3)]) // whole
        residual = 1000 * pose.root(max(0, left)) // (2 * n * radius * radius)
        # The covariance's determinant against a whole sphere's, (r^2 / 3)^3: its cube root, in thousandths.
        share = 27 * 1_000_000_000 * whole // (n * radius) ** 6
        coverage = 0
        while (coverage + 1) ** 3 <= share:
            coverage += 1
        if coverage < _COVERAGE_MILLI:
            raise ValueError(
                "%d thousandths of the sphere seen, at least %d expected: turn the board every way"
                % (coverage, _COVERAGE_MILLI)
            )
        if residual > _RESIDUAL_MILLI:
            raise ValueError(
                "readings lie %d thousandths of the radius off the sphere, at most %d expected: iron near by?"
                % (residual, _RESIDUAL_MILLI)
            )
        if max([abs(part) for part in centre]) > 32767:
            raise ValueError("centre at %s: more than the chip measures" % centre)
        return {
            "hard_iron": centre,
            "radius": radius,
            "residual_milli": residual,
            "coverage_milli": coverage,
            "samples": n,
        }


def run(seconds, compass=None):
    """Reads the board's QMC5883 (or `compass`) for so many seconds and prints how it goes; the last line is one JSON
    object: what `Sphere.fit` gives and `patch`, the change of config.json; or `refused`, the reason. Nothing is stored.

    A BNO055 needs none of this: it learns by itself while it is turned.
    """
    if compass is None:
        import board
        from sensors.qmc5883 import Compass

        compass = Compass(board.i2c())
    sphere = Sphere()
    begun = told = time.ticks_ms()
    said = "no reading"
    while time.ticks_diff(time.ticks_ms(), begun) < seconds * 1000:
        try:
            vector = compass.field()
        except OSError as error:
            vector, said = None, str(error)
        if vector:
            sphere.add(vector)
        if time.ticks_diff(time.ticks_ms(), told) >= 5000:
            told = time.ticks_ms()
            print("%d readings" % sphere.count if sphere.count else said)
        time.sleep_ms(20)
    try:
        found = sphere.fit()
        found["patch"] = {"compass": {"hard_iron": found["hard_iron"]}}
    except ValueError as error:
        found = {"refused": str(error) if sphere.count else said, "samples": sphere.count}
    print(json.dumps(found))
