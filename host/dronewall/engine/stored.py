"""What a field keeps of one sensor's window, in little memory, and what that sensor makes of a place or a path.

Only the tiles of the raster exist in which the sensor sees something or cannot tell.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.detection import Draws, Rate

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]
Cells = tuple[Indices, Indices]

UNIT = 1e-9
"""Rates are kept as whole multiples of this [1/s]: integers add up the same in every order."""
SIDE = 32
"""Cells along the edge of a tile; small, so that the tiles along a wedge's edges are not mostly empty."""
AREA = SIDE * SIDE
_MOST = 2**32 - 1
_SURE = 65535


@dataclass(frozen=True)
class Stored:
    """A sensor's window as the field keeps it: the tiles in which it sees something or cannot tell, cell by cell, and
    its duty.

    shape: of the window (north, east). tiles (n, 2): row and column of each in the raster, in tiles. numbers: the tile
    at a place of the box around them whose first is `first`; -1 where there is none. The cells' values lie tile after
    tile, (n SIDE SIDE,): rate uint32 [step UNIT]; ceiling [1/65535], or the one that holds everywhere; unknown, None
    where all is known.

    step: 1 up to 4.29 /s, and for each doubling of the window's highest rate twice as much: rates are rounded to
    half a UNIT, and above that to a 2^32nd part of the highest. What is rounded is what is added and subtracted. A
    ceiling is rounded to 8e-6.

    How long the sensor's sleep lasts is not told: in the worst case longer than a look or a crossing, and then no
    more looking helps. So its probabilities are multiplied by its duty, not its rates.

    draws: where the rate is a mean over pose errors, what it is the mean of. A pose that is wrong stays wrong: the
    probabilities are averaged over the draws, not the rates, and so never exceed what the mean rate promises.
    """

    shape: tuple[int, int]
    tiles: Indices
    first: tuple[int, int]
    numbers: npt.NDArray[np.int32]
    rate: npt.NDArray[np.uint32]
    step: int
    ceiling: npt.NDArray[np.uint16] | float
    unknown: Bools | None
    duty: float
    draws: Draws | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that the values take."""
        kept = [self.rate, self.ceiling, self.unknown, None if self.draws is None else self.draws.shares]
        return sum(values.nbytes for values in kept if isinstance(values, np.ndarray))

    @property
    def units(self) -> Integers:
        """The rates [UNIT] (tiles, SIDE SIDE)."""
        return self.rate.reshape(-1, AREA).astype(np.int64) * self.step

    def scaled(self, factor: float) -> "Stored":
        """The window with all rates times `factor`, rounded as `stored` would round them."""
        rate, step = self.rate * (self.step * factor), 1
        while np.rint(rate.max(initial=0.0) / step) > _MOST:
            step *= 2
        return dataclasses.replace(self, rate=np.rint(rate / step).astype(np.uint32), step=step)

    def glance(self, cells: Cells, look_s: float) -> Floats:
        """Probability that a look of `look_s` seconds detects the target at cells of the raster."""
        found = np.zeros(np.shape(cells[0]))
        inside, at = self._positions(cells)
        found[inside] = self._look(at, look_s)
        return found

    def look(self, look_s: float, tiles: Indices) -> Floats:
        """Probability that a look of `look_s` seconds detects the target, over some of the tiles (tiles, SIDE SIDE)."""
        return self._look(tiles[:, None] * AREA + np.arange(AREA), look_s)

    def watch(self, row: int, col: int, look_s: float) -> tuple[float, float, float]:
        """Rate [1/s], ceiling and probability in a look at one cell."""
        inside, at = self._positions((np.array([row]), np.array([col])))
        if not inside[0]:
            return 0.0, 0.0, 0.0
        rate, ceiling, look = self._rate(at), self._ceiling(at), self._look(at, look_s)
        return float(rate[0]), float(ceiling[0]) if rate[0] > 0.0 else 0.0, float(look[0])

    @property
    def reach(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First row and the one after the last, and columns likewise, of the box around its tiles."""
        (row, col), (rows, cols) = self.first, self.numbers.shape
        return (row * SIDE, (row + rows) * SIDE), (col * SIDE, (col + cols) * SIDE)

    def _positions(self, cells: Cells) -> tuple[Bools, Indices]:
        """Which cells of the raster lie in a tile, and where the values of those that do are, in one row."""
        rows, cols = (np.asarray(part) for part in cells)
        i, j = rows // SIDE - self.first[0], cols // SIDE - self.first[1]
        inside = (i >= 0) & (i < self.numbers.shape[0]) & (j >= 0) & (j < self.numbers.shape[1])
        number = self.numbers[i[inside], j[inside]].astype(np.intp)
        there = number >= 0
        at = number * AREA + rows[inside] % SIDE * SIDE + cols[inside] % SIDE
        inside[inside] = there
        return inside, at[there]

    def _rate(self, at: Indices) -> Floats:
        return np.asarray(self.rate[at] * (UNIT * self.step))

    def _ceiling(self, at: Indices) -> Floats:
        if isinstance(self.ceiling, np.ndarray):
            return np.asarray(self.ceiling[at] / _SURE)
        return np.full(at.shape, self.ceiling)

    def _look(self, at: Indices, look_s: float) -> Floats:
        """`glance`; where the rate is a mean, of which the target is in view in a share `likely` of the cases,
        averaged over them.
        """
        rate, ceiling = self._rate(at), self._ceiling(at)
        if self.draws is None:
            return self.duty * glance(rate, ceiling, look_s)
        likely = self.draws.likely_at(at)
        full = np.divide(rate, likely, out=np.zeros_like(rate), where=likely > 0.0)
        return self.duty * likely * glance(full, ceiling, look_s)


def stored(window: Rate) -> Stored:
    """A window as the field keeps it."""
    (rows, cols), cells = window.shape, window.cells
    step, peak = 1, float(window.rates.max(initial=0.0))
    while np.rint(peak / (UNIT * step)) > _MOST:
        step *= 2
    units = np.rint(window.rates / (UNIT * step)).astype(np.uint32)
    some = units > 0
    everything = bool(some.all())

    def kept(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Those of the cells whose rate is not rounded to 0."""
        return values if everything else values[..., some]

    units, cells = kept(units), kept(cells)
    top, left = window.row % SIDE, window.col % SIDE
    numbers = np.full((-(-(top + rows) // SIDE), -(-(left + cols) // SIDE)), -1, dtype=np.int32)
    doubts = np.flatnonzero(window.unknown)
    _touch(cells, cols, top, left, numbers)
    _touch(doubts, cols, top, left, numbers)
    tiles = np.argwhere(numbers >= 0)
    numbers[tiles[:, 0], tiles[:, 1]] = np.arange(len(tiles))
    at = np.empty(len(cells), dtype=np.intp)
    _locate(cells, cols, top, left, numbers, at)

    def spread(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The cells' values (..., cells) tile after tile."""
        whole = np.zeros((*values.shape[:-1], len(tiles) * AREA), dtype=values.dtype)
        _scatter(np.atleast_2d(values), at, np.atleast_2d(whole))
        return whole

    unknown = None
    if len(doubts):
        unknown = np.zeros(len(tiles) * AREA, dtype=np.bool_)
        there = np.empty(len(doubts), dtype=np.intp)
        _locate(doubts, cols, top, left, numbers, there)
        unknown[there] = True
    ceilings = kept(window.ceilings)
    ceiling: npt.NDArray[np.uint16] | float = float(ceilings[0]) if len(ceilings) else 0.0
    if len(ceilings) and (ceilings != ceilings[0]).any():
        ceiling = spread(np.rint(ceilings * _SURE).astype(np.uint16))
    draws = window.draws
    if draws is not None:
        draws = Draws(spread(kept(draws.shares)), draws.weights)
    first = window.row // SIDE, window.col // SIDE
    return Stored(
        shape=(rows, cols),
        tiles=tiles + first,
        first=first,
        numbers=numbers,
        rate=spread(units),
        step=step,
        ceiling=ceiling,
        unknown=unknown,
        duty=window.duty,
        draws=draws,
    )


@njit()
def _touch(cells: Indices, cols: int, top: int, left: int, numbers: npt.NDArray[np.int32]) -> None:
    """Marks the tiles that hold cells of a window `cols` wide whose first cell is (top, left) of the first tile."""
    for cell in cells:
        row = cell // cols
        numbers[(top + row) // SIDE, (left + cell - row * cols) // SIDE] = 0


@njit()
def _locate(cells: Indices, cols: int, top: int, left: int, numbers: npt.NDArray[np.int32], at: Indices) -> None:
    """Fills in where the cells' values lie, tile after tile."""
    for i in range(len(cells)):
        row = cells[i] // cols
        y, x = top + row, left + cells[i] - row * cols
        at[i] = numbers[y // SIDE, x // SIDE] * AREA + y % SIDE * SIDE + x % SIDE


@njit()
def _scatter(values: npt.NDArray[Any], at: Indices, whole: npt.NDArray[Any]) -> None:
    """Puts values (rows, cells) where they lie: at (cells,)."""
    for row in range(len(values)):
        for i in range(len(at)):
            whole[row, at[i]] = values[row, i]


def glance(rate: npt.ArrayLike, ceiling: npt.ArrayLike, look_s: float) -> Floats:
    """One sensor's probability in a look of `look_s` seconds at one place: min(ceiling, 1 - exp(-rate look_s))."""
    return np.asarray(np.minimum(ceiling, -np.expm1(-np.asarray(rate) * look_s)))
