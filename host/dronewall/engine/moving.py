"""What the drones' sensors see of the belt, step by step: windows that come and go on a clock.

A step lasts `step` seconds, and the frusta of its middle stand for all of it. One cycle of a periodic plan is kept and
wraps round; of a plan without a cycle a horizon is kept, and before and after it no drone is known to be anywhere.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Passes:
    """One moving sensor's detection of one target, over the cells of the belt's piece of the raster, step by step.

    first, last (steps,): the entries of step k are first[k] to last[k]; steps with the same frustum share theirs. Of
    the entries (m,): cells int32, row times columns plus column in the belt's piece, rising within a step; rates
    float32 [1/s] and ceilings float32 [0..1] while the sensor is awake; shares (draws, m) uint8 and weights (draws,)
    as of `detection.Draws`, both of no draws where the pose is taken as it is. duty: share of the time that the sensor
    is awake.
    """

    sensor: str
    first: Integers
    last: Integers
    cells: npt.NDArray[np.int32]
    rates: npt.NDArray[np.float32]
    ceilings: npt.NDArray[np.float32]
    shares: npt.NDArray[np.uint8]
    weights: Floats
    duty: float


@dataclass(frozen=True)
class Moving:
    """What all moving sensors make of one target at one level: their passes by name, sorted.

    step [s], steps: step k lasts from k step to (k + 1) step. periodic: step 0 follows the last one. shape: rows and
    columns of the belt's piece of the raster.
    """

    passes: tuple[Passes, ...]
    step: float
    steps: int
    periodic: bool
    shape: tuple[int, int]


@dataclass(frozen=True)
class Summed:
    """The summed rate of the moving sensors, step by step, as the searches take it: entries of step k are first[k] to
    last[k] (steps,); cells int32 and rates float32 [1/s] (m,), every cell once in a step.
    """

    first: Integers
    last: Integers
    cells: npt.NDArray[np.int32]
    rates: npt.NDArray[np.float32]
    step: float
    periodic: bool
