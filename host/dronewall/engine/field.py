"""The sum of all sensors' detection rates over the site, exact under adding and removing in any order."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine.detection import Rate

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Cells = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

UNIT = 1e-9
"""Rates are kept as whole multiples of this [1/s]: integers add up the same in every order."""


@dataclass(frozen=True)
class Stored:
    """A sensor's window as the field keeps it: rate [UNIT], ceiling [0..1], unknown; each (north, east); and its
    duty.

    How long its sleep lasts is not told: in the worst case longer than a look or a crossing, and then no more
    looking helps. So its probabilities are multiplied by its duty, not its rates.
    """

    slices: tuple[slice, slice]
    rate: Integers
    ceiling: npt.NDArray[np.float32]
    unknown: npt.NDArray[np.bool_]
    duty: float

    def glance(self, cells: Cells, look_s: float) -> Floats:
        """Probability that a look of `look_s` seconds detects the target at cells of the raster."""
        rate, ceiling = self._take(cells)
        return self.duty * glance(rate, ceiling, look_s)

    def passage(self, cells: Cells, seconds: float) -> Floats:
        """Probability of detection along paths: rows and columns (paths, pieces) of the cells, `seconds` in each ->
        (paths,).
        """
        rate, ceiling = self._take(cells)
        found = np.zeros(rate.shape[0])
        watched = rate.any(axis=1)
        found[watched] = self.duty * passage(rate[watched] * seconds, ceiling[watched])
        return found

    def _take(self, cells: Cells) -> tuple[Floats, Floats]:
        """Rate [1/s] and ceiling at cells of the raster; 0 outside the window."""
        row, col = cells
        first_row, first_col = self.slices[0].start, self.slices[1].start
        i, j = row - first_row, col - first_col
        inside = (i >= 0) & (i < self.rate.shape[0]) & (j >= 0) & (j < self.rate.shape[1])
        i, j = np.where(inside, i, 0), np.where(inside, j, 0)
        if self.rate.size == 0:
            return np.zeros(row.shape), np.zeros(row.shape)
        return np.where(inside, self.rate[i, j] * UNIT, 0.0), np.where(inside, self.ceiling[i, j], 0.0)


class Field:
    """The sensors' windows by name, and their sum.

    `total` (north, east) int64 [UNIT] is the sum of the stored rates and `unsure` counts the sensors that cannot
    say whether they see a cell. What is subtracted is the stored window, never one computed again: a field after a
    million updates equals one made afresh.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.total: Integers = np.zeros(shape, dtype=np.int64)
        self.unsure: npt.NDArray[np.int32] = np.zeros(shape, dtype=np.int32)
        self._windows: dict[str, Stored] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._windows)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, name: str) -> Stored:
        return self._windows[name]

    def add(self, name: str, window: Rate) -> None:
        """Adds a sensor's window, in place of the one it had."""
        if name in self._windows:
            self.remove(name)
        stored = Stored(
            window.slices,
            np.rint(window.rate / UNIT).astype(np.int64),
            window.ceiling.astype(np.float32),
            window.unknown.copy(),
            window.duty,
        )
        self.total[stored.slices] += stored.rate
        self.unsure[stored.slices] += stored.unknown
        self._windows[name] = stored

    def remove(self, name: str) -> None:
        """Takes a sensor's window out again. Raises KeyError for a sensor that is not there."""
        stored = self._windows.pop(name)
        self.total[stored.slices] -= stored.rate
        self.unsure[stored.slices] -= stored.unknown

    def look(self, look_s: float) -> Floats:
        """Probability that a look of `look_s` seconds detects the target, per cell (north, east).

        1 - prod_i (1 - duty_i min(c_i, 1 - exp(-rate_i look_s))) over the sensors i.
        """
        missed = np.ones(self.total.shape)
        for stored in self._windows.values():
            missed[stored.slices] *= 1.0 - stored.duty * glance(stored.rate * UNIT, stored.ceiling, look_s)
        return 1.0 - missed


def glance(rate: npt.ArrayLike, ceiling: npt.ArrayLike, look_s: float) -> Floats:
    """One sensor's probability in a look of `look_s` seconds at one place: min(ceiling, 1 - exp(-rate look_s))."""
    return np.asarray(np.minimum(ceiling, -np.expm1(-np.asarray(rate) * look_s)))


def passage(exposure: npt.ArrayLike, ceiling: npt.ArrayLike) -> Floats:
    """One sensor's probability along paths: exposures X and ceilings c of their pieces, both (..., pieces) -> (...).

    The sensor is able to resolve the target in the pieces whose ceiling exceeds u, with u uniform in 0..1 and the
    same for the whole path: what it cannot resolve at its best place it never will. So P = integral over u of 1 -
    exp(-sum of X where c > u), c (1 - exp(-X)) for a constant ceiling, and never above 1 - exp(-sum X).
    """
    pieces, ceilings = np.broadcast_arrays(
        np.asarray(exposure, dtype=np.float64), np.asarray(ceiling, dtype=np.float64)
    )
    order = np.argsort(-ceilings, axis=-1, kind="stable")
    falling = np.take_along_axis(ceilings, order, axis=-1)
    reached = -np.expm1(-np.cumsum(np.take_along_axis(pieces, order, axis=-1), axis=-1))
    below = np.concatenate((falling[..., 1:], np.zeros((*falling.shape[:-1], 1))), axis=-1)
    return np.asarray(((falling - below) * reached).sum(axis=-1))
