"""How often a place is looked at: share of the time watched, the longest time unwatched, the time-average gap."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Revisit:
    """Of places (...,), cells (north, east) or stations (n,), over one cycle or horizon of length T [s].

    share: of T that the place is watched. longest: longest time unwatched [s], T where it never is. time_average: the
    time-average gap, sum of gap^2 / T [s], T where it is never watched. next_look: seconds from time 0 until it is
    watched, 0 where it is then, inf where it never is. nan where the ground is unknown, all of them.
    """

    share: Floats
    longest: Floats
    time_average: Floats
    next_look: Floats
