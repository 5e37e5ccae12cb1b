"""The line of sight as it is defined, slow and plain: what the engine is held against.

The straight line from the eye to the target point, against the terrain taken as linear along each line of the grid
through the cells' middles, at every crossing with both families of grid lines strictly between the ends; curvature
and refraction raise the terrain by d (D - d)(1 - k) / 2R. All in fractions where they can be, so that no rounding
of ours hides in it.
"""

import itertools
import math
from fractions import Fraction

RADIUS = 6_371_000


def clearance(ground, cell, eye, target, refraction=0.13):
    """The least height [m] of the line above the terrain between eye and target, inf where it crosses no grid line,
    nan where unknown.

    ground[row][col] with row 0 in the south and the origin at its south-west corner; eye and target: east, north,
    amsl.
    """
    x0, y0 = Fraction(eye[0]) / Fraction(cell) - Fraction(1, 2), Fraction(eye[1]) / Fraction(cell) - Fraction(1, 2)
    x1, y1 = (
        Fraction(target[0]) / Fraction(cell) - Fraction(1, 2),
        Fraction(target[1]) / Fraction(cell) - Fraction(1, 2),
    )
    dx, dy = x1 - x0, y1 - y0
    distance = math.hypot(target[0] - eye[0], target[1] - eye[1])
    least = math.inf
    crossings = []
    if dx:
        crossings += [(line - x0) / dx for line in _between(x0, x1)]
    if dy:
        crossings += [(line - y0) / dy for line in _between(y0, y1)]
    for share in crossings:
        height = _height(ground, x0 + share * dx, y0 + share * dy)
        if height is None:
            return math.nan
        raised = float(height) + float(share * (1 - share)) * distance**2 * (1 - refraction) / (2 * RADIUS)
        line = eye[2] + float(share) * (target[2] - eye[2])
        least = min(least, line - raised)
    return least


def _between(start, end):
    low, high = min(start, end), max(start, end)
    line = math.floor(low) + 1
    while line < high:
        yield line
        line += 1


def _height(ground, x, y):
    """Height on a grid line (x or y whole), linear along it; None where unknown or outside."""
    col, row = math.floor(x), math.floor(y)
    total = Fraction(0)
    for there_row, row_weight in ((row, 1 - (y - row)), (row + 1, y - row)):
        for there_col, col_weight in ((col, 1 - (x - col)), (col + 1, x - col)):
            weight = row_weight * col_weight
            if weight == 0:
                continue
            if not (0 <= there_row < len(ground) and 0 <= there_col < len(ground[0])):
                return None
            height = float(ground[there_row][there_col])
            if math.isnan(height):
                return None
            total += weight * Fraction(height)
    return total


def passage(exposure, ceiling):
    """One sensor's probability along a way, from the exposures X and ceilings c of its pieces.

    The sensor is able to resolve the target in the pieces whose ceiling exceeds u, with u uniform in 0..1 and the same
    for the whole way: the integral over u of 1 - exp(-sum of X where c > u).
    """
    edges = sorted({0.0, *(float(one) for one in ceiling)})
    found = 0.0
    for low, high in itertools.pairwise(edges):
        found += (high - low) * -math.expm1(-sum(x for x, c in zip(exposure, ceiling, strict=True) if c >= high))
    return found
