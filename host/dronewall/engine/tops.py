"""The highest samples of a canopy's top along a ray: how many lie above a line of sight, and the line below so many.

A ray's samples are slopes seen from the eye; `fan` marches the rays. Each keeps a falling list of fixed size, and of
what no longer fits only the number. A bundle of rays is a tuple:

    tops (rays x size, flat)    the lists, float32
    size                        entries of a list, of which the first `filled` count
    filled, count (rays,)       samples in the list, and all of them
    highest, lowest (rays,)     slopes of the top between which all samples lie
    extra, length (rays,)       what the first step counts on top [samples], and a sample's length [m]
"""

import math

import numpy as np

from dronewall.engine._jit import NoAlias, njit

PAD = 4
"""Entries that a copy of a list begins with, higher than anything: as many as are merged at once."""

NONE = -1e30
"""Stands for no canopy: lower than anything."""


_vector = njit(
    error_model="numpy", fastmath={"contract", "nsz", "arcp", "reassoc", "nnan"}, pipeline_class=NoAlias, _nrt=False
)
# Nothing is allocated in these, so nothing need be counted: counting who uses an array costs more than using it.
plain = njit(error_model="numpy", _nrt=False)
_f = np.float32
_u = np.uintp


@_vector
def _merge(tops, base, old, last, a, b, c, d):
    """Merges a >= b >= c >= d into the first `last` entries of the falling list at `base` of tops.

    `old` becomes its copy, moved by PAD entries that are higher than anything. Of two falling lists together the entry
    k is the greatest over i of what is the lesser of one's entry k - i and the other's entry i.
    """
    for k in range(last):
        old[k + _u(PAD)] = tops[base + k]
    for k in range(last):
        best = old[k + _u(4)]
        one = min(old[k + _u(3)], a)
        best = one if one > best else best
        one = min(old[k + _u(2)], b)
        best = one if one > best else best
        one = min(old[k + _u(1)], c)
        best = one if one > best else best
        one = min(old[k], d)
        best = one if one > best else best
        tops[base + k] = best


@_vector
def merge_one(tops, base, old, last, a):
    """The same for one."""
    for k in range(last):
        old[k + _u(PAD)] = tops[base + k]
    for k in range(last):
        one = min(old[k + _u(3)], a)
        best = old[k + _u(4)]
        tops[base + k] = one if one > best else best


@plain
def insert(tops, base, old, last, values, first):
    """Merges four values from the `first` on into a ray's list."""
    a, b, c, d = values[first], values[first + 1], values[first + 2], values[first + 3]
    a, b = max(a, b), min(a, b)
    c, d = max(c, d), min(c, d)
    a, c = max(a, c), min(a, c)
    b, d = max(b, d), min(b, d)
    b, c = max(b, c), min(b, c)
    _merge(tops, _u(base), old, _u(last), a, b, c, d)


@plain
def samples_under(bundle, ray, slope):
    """How many samples of a ray stand above a line of this slope, as a real number; as many as it keeps: dark."""
    tops, size, filled, count, highest, lowest = bundle[:6]
    if slope >= highest[ray] or count[ray] == 0:
        return 0.0
    base, kept = ray * size, filled[ray]
    low, high = 0, kept
    while low < high:
        middle = (low + high) >> 1
        if tops[base + middle] > slope:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        first = tops[base]
        return 0.5 * (highest[ray] - slope) / (highest[ray] - first) if highest[ray] > first else 0.5
    above = tops[base + low - 1]
    if low == kept:
        if count[ray] > size:
            return float(size)
        if slope <= lowest[ray] or above <= lowest[ray]:
            return float(kept)
        return kept - 0.5 + 0.5 * (above - slope) / (above - lowest[ray])
    return low - 0.5 + (above - slope) / (above - tops[base + low])


@plain
def slope_of(bundle, ray, samples):
    """The least slope of a line with at most so many samples of a ray above it: `samples_under` turned round."""
    tops, size, filled, count, highest, lowest = bundle[:6]
    if samples < 0.0:
        return math.inf
    if samples >= count[ray]:
        return -math.inf
    base = ray * size
    if samples <= 0.5:
        return highest[ray] + 2.0 * samples * (tops[base] - highest[ray])
    below = int(samples - 0.5)
    share = samples - 0.5 - below
    if below + 1 >= filled[ray]:
        above = tops[base + filled[ray] - 1]
        return above + 2.0 * share * (min(lowest[ray], above) - above)
    return tops[base + below] + share * (tops[base + below + 1] - tops[base + below])
