"""Which way every angle of a mounted node grows, and what turns its compass; the mounting drawing is drawn from it.

tests/test_mounting.py holds the directions against the firmware's own arithmetic (firmware/pose.py, servo.py).
"""

import math
from collections.abc import Sequence

import numpy as np

X, Y, Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)  # forward, left, up
RIGHT = (0, -1, 0)

VIEWS = {
    # what goes to the right and what goes up on the page
    "side": (X, Z),  # seen from the node's right
    "above": (RIGHT, X),
    "behind": (RIGHT, Z),
}
TURNS = {
    # a positive turn of 90 degrees takes the first direction to the second
    "azimuth": (X, RIGHT),
    "elevation": (X, Z),
    "roll": (Y, Z),
    "pan": (X, RIGHT),
    "tilt": (X, Z),
}

LEVEL_TESLA = 20e-6
"""The horizontal part of the Earth's field at 50 degrees north in Europe, rounded (IAGA, IGRF-14 [check])."""


def turned_by_a_mast(diameter: float, distance: float) -> float:
    """By how much [degree], at most, a steel mast turns the horizontal field at `distance` [mm] from its axis, in the
    middle of its length: asin(a^2 / r^2).

    A cylinder of infinite permeability in a field H across it adds a two-dimensional dipole, H a^2 / r^2, whose
    direction goes twice round (L. Landau, E. Lifshitz, "Electrodynamics of Continuous Media", section 8: a dielectric
    cylinder, epsilon without limit). The end of a steel mast, which is a pole, does far more; so does a mast that is a
    magnet itself.
    """
    return math.degrees(math.asin(min(1.0, (diameter / 2 / distance) ** 2)))


def turned_by_a_wire(ampere: float, distance: float) -> float:
    """By how much [degree], at most, one long straight wire does, at `distance` [mm]: atan of mu0 I / (2 pi r) over
    LEVEL_TESLA. Two wires, twisted, cancel each other.
    """
    return math.degrees(math.atan(2e-7 * ampere / (distance / 1000) / LEVEL_TESLA))


def north(azimuth_deg: float) -> tuple[float, float, float]:
    """The direction of north in a level board's axes whose x points to `azimuth_deg`, clockwise from north."""
    angle = math.radians(azimuth_deg)
    return math.cos(angle), math.sin(angle), 0.0


def on_page(view: str, vector: Sequence[float]) -> tuple[float, float]:
    """(right, up) of a vector of the board's frame in a view."""
    right, up = VIEWS[view]
    return float(np.dot(right, vector)), float(np.dot(up, vector))


def clockwise(view: str, turn: str) -> bool:
    """Whether a positive turn goes clockwise on the page."""
    (ax, ay), (bx, by) = (on_page(view, vector) for vector in TURNS[turn])
    return ax * by - ay * bx < 0
