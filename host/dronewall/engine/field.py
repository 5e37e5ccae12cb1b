"""The sum of all sensors' detection rates over the site, exact under adding and removing in any order.

The raster is cut into square tiles, and only those exist that a sensor touches: the sum and the sensors' windows take
memory for what is seen, not for the site.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.detection import Rate
from dronewall.engine.stored import (
    AREA,
    SIDE,
    UNIT,
    Bools,
    Cells,
    Floats,
    Indices,
    Integers,
    Stored,
    glance,
    stored,
)

__all__ = ["SIDE", "UNIT", "Field", "Stored", "Watch", "glance", "node_of", "stored"]

_TOGETHER = 2048
"""Tiles of which probabilities are held at a time: 16 MB."""


@dataclass(frozen=True)
class Watch:
    """What one sensor makes of one place: rate [1/s] and ceiling while it is awake, and the probability of a look."""

    sensor: str
    rate: float
    ceiling: float
    look: float


def node_of(sensor: str) -> str:
    """The node of a sensor: "P4" of "P4/cam"."""
    return sensor.split("/")[0]


class Field:
    """The sensors' windows by name, and their sum.

    `total` [UNIT] is the sum of the stored rates and `unsure` counts the sensors that cannot say whether they see a
    cell. What is subtracted is the stored window, never one computed again: a field after a million updates equals
    one made afresh. Names come sorted, whatever the order in which they were added.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._windows: dict[str, Stored] = {}
        # Which slot of the arrays below holds a tile of the raster; -1 where nobody touches it.
        self._slots = np.full((-(-shape[0] // SIDE), -(-shape[1] // SIDE)), -1, dtype=np.int32)
        self._free: list[int] = []
        self._tiles: Indices = np.zeros((0, 2), dtype=np.intp)
        self._touched = np.zeros(0, dtype=np.int64)
        self._total: Integers = np.zeros((0, AREA), dtype=np.int64)
        self._unsure: npt.NDArray[np.int32] | None = None

    def copy(self) -> "Field":
        """A field of its own with the same windows, which are shared."""
        other = Field(self.shape)
        other._windows = dict(self._windows)
        other._slots, other._free = self._slots.copy(), list(self._free)
        other._tiles, other._touched, other._total = self._tiles.copy(), self._touched.copy(), self._total.copy()
        other._unsure = None if self._unsure is None else self._unsure.copy()
        return other

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._windows))

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, name: str) -> Stored:
        return self._windows[name]

    @property
    def nbytes(self) -> int:
        """Bytes that the sum and the windows take."""
        unsure = 0 if self._unsure is None else self._unsure.nbytes
        return self._total.nbytes + unsure + sum(window.nbytes for window in self._windows.values())

    def add(self, name: str, window: Rate | Stored) -> None:
        """Adds a sensor's window, in place of the one it had."""
        kept = window if isinstance(window, Stored) else stored(window)
        if name in self._windows:
            self.remove(name)
        slots = self._slots_of(kept.tiles)
        self._touched[slots] += 1
        self._total[slots] += kept.units
        if kept.unknown is not None:
            if self._unsure is None:
                self._unsure = np.zeros(self._total.shape, dtype=np.int32)
            self._unsure[slots] += kept.unknown.reshape(-1, AREA)
        self._windows[name] = kept

    def remove(self, name: str) -> None:
        """Takes a sensor's window out again. Raises KeyError for a sensor that is not there."""
        kept = self._windows.pop(name)
        slots = self._slots[kept.tiles[:, 0], kept.tiles[:, 1]]
        self._total[slots] -= kept.units
        if kept.unknown is not None and self._unsure is not None:
            self._unsure[slots] -= kept.unknown.reshape(-1, AREA)
        self._touched[slots] -= 1
        # Nobody touches it any more, so its sum is 0 again, and it may serve another tile.
        left = slots[self._touched[slots] == 0]
        self._slots[self._tiles[left, 0], self._tiles[left, 1]] = -1
        self._free.extend(left.tolist())

    def scaled(self, factor: float) -> "Field":
        """A field of the same sensors with all rates times `factor`."""
        found = Field(self.shape)
        for name in self:
            found.add(name, self._windows[name].scaled(factor))
        return found

    @property
    def total(self) -> Integers:
        """The sum of the stored rates [UNIT], over the whole raster (north, east): made anew at each call."""
        return self.rates((slice(0, self.shape[0]), slice(0, self.shape[1])))

    @property
    def unsure(self) -> npt.NDArray[np.int32]:
        """How many sensors cannot say whether they see a cell, likewise."""
        whole = slice(0, self.shape[0]), slice(0, self.shape[1])
        if self._unsure is None:
            return np.zeros(self.shape, dtype=np.int32)
        return self._assembled(self._unsure, whole)

    def rates(self, slices: tuple[slice, slice]) -> Integers:
        """The sum of the stored rates [UNIT] over rows and columns of the raster."""
        return self._assembled(self._total, slices)

    def rates_at(self, cells: Cells) -> Integers:
        """The sum of the stored rates [UNIT] at cells of the raster; 0 outside it."""
        if not len(self._total):
            return np.zeros(np.shape(cells[0]), dtype=np.int64)
        inside = (cells[0] >= 0) & (cells[1] >= 0)
        slots = np.where(inside, self._slots[cells[0] // SIDE, cells[1] // SIDE], -1)
        found = self._total[slots, cells[0] % SIDE * SIDE + cells[1] % SIDE]
        return np.asarray(np.where(slots >= 0, found, 0))

    def doubtful(self) -> Bools:
        """Cells (north, east) that nobody sees and of which somebody cannot say whether he does."""
        if self._unsure is None:
            return np.zeros(self.shape, dtype=np.bool_)
        whole = slice(0, self.shape[0]), slice(0, self.shape[1])
        return self._assembled((self._unsure > 0) & (self._total == 0), whole)

    def doubtful_at(self, cells: Cells) -> Bools:
        """The same, at cells of the raster; False outside it."""
        if self._unsure is None:
            return np.zeros(np.shape(cells[0]), dtype=np.bool_)
        inside = (cells[0] >= 0) & (cells[1] >= 0)
        slots = np.where(inside, self._slots[cells[0] // SIDE, cells[1] // SIDE], -1)
        at = cells[0] % SIDE * SIDE + cells[1] % SIDE
        return np.asarray((slots >= 0) & (self._unsure[slots, at] > 0) & (self._total[slots, at] == 0))

    def near(self, cells: Cells) -> list[str]:
        """The sensors that may see one of the cells, by the boxes around them and around it."""
        if np.size(cells[0]) == 0:
            return []
        rows, cols = cells
        low_row, high_row, low_col, high_col = (int(end) for part in (rows, cols) for end in (part.min(), part.max()))
        found = []
        for name in self:
            (first_row, last_row), (first_col, last_col) = self._windows[name].reach
            if low_row < last_row and high_row >= first_row and low_col < last_col and high_col >= first_col:
                found.append(name)
        return found

    def glance(self, cells: Cells, look_s: float) -> Floats:
        """Probability that a look of `look_s` seconds detects the target, at cells of the raster."""
        missed = np.ones(np.shape(cells[0]))
        for name in self.near(cells):
            missed *= 1.0 - self._windows[name].glance(cells, look_s)
        return 1.0 - missed

    def count_at(self, cells: Cells, look_s: float, count_p: float) -> npt.NDArray[np.int32]:
        """How many nodes detect the target in a look with at least `count_p`, at cells of the raster.

        A node with two sensors counts once, with what both of them together detect.
        """
        count = np.zeros(np.shape(cells[0]), dtype=np.int32)
        for _, names in itertools.groupby(self.near(cells), node_of):
            missed = np.ones(count.shape)
            for name in names:
                missed *= 1.0 - self._windows[name].glance(cells, look_s)
            count += 1.0 - missed >= count_p
        return count

    def look(self, look_s: float) -> npt.NDArray[np.float32]:
        """Probability that a look of `look_s` seconds detects the target, per cell (north, east).

        1 - prod_i (1 - duty_i w_i min(c_i, 1 - exp(-rate_i look_s))) over the sensors i; w_i: probability that the
        cell is in i's view, rate_i: i's rate where it is.
        """
        found = np.zeros((len(self._total), AREA), dtype=np.float32)
        for first in range(0, len(found), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            missed = np.ones(found[part].shape)
            for slots, misses in self._nodes_misses(first, look_s):
                missed[slots - first] *= misses
            found[part] = 1.0 - missed
        return self._assembled(found, (slice(0, self.shape[0]), slice(0, self.shape[1])))

    def count(self, look_s: float, count_p: float) -> npt.NDArray[np.uint16]:
        """`count_at` for every cell (north, east)."""
        found = np.zeros((len(self._total), AREA), dtype=np.uint16)
        for first in range(0, len(found), _TOGETHER):
            for slots, misses in self._nodes_misses(first, look_s):
                found[slots] += 1.0 - misses >= count_p
        return self._assembled(found, (slice(0, self.shape[0]), slice(0, self.shape[1])))

    def who(self, row: int, col: int, look_s: float) -> list[Watch]:
        """The sensors that see a cell, the likeliest to detect the target first."""
        cell = np.array([row]), np.array([col])
        found = [Watch(name, *self._windows[name].watch(row, col, look_s)) for name in self.near(cell)]
        return sorted((one for one in found if one.rate > 0.0), key=lambda one: (-one.look, -one.rate, one.sensor))

    def _nodes_misses(self, first: int, look_s: float) -> Iterator[tuple[Indices, Floats]]:
        """For each node that touches the slots from `first` on: those it touches, and the probability that a look
        of its sensors misses the target there (slots, SIDE SIDE).
        """
        for _, names in itertools.groupby(self, node_of):
            parts = []
            for name in names:
                kept = self._windows[name]
                slots = self._slots[kept.tiles[:, 0], kept.tiles[:, 1]].astype(np.intp)
                here = np.flatnonzero((slots >= first) & (slots < first + _TOGETHER))
                if len(here):
                    parts.append((slots[here], 1.0 - kept.look(look_s, here)))
            if len(parts) == 1:
                yield parts[0]
            elif parts:
                touched = np.unique(np.concatenate([slots for slots, _ in parts]))
                missed = np.ones((len(touched), AREA))
                for slots, misses in parts:
                    missed[np.searchsorted(touched, slots)] *= misses
                yield touched, missed

    def _assembled(self, values: npt.NDArray[Any], slices: tuple[slice, slice]) -> npt.NDArray[Any]:
        """A piece of the raster from the tiles' values (slots, SIDE SIDE); 0 where there is no tile."""
        ranges = [range(*part.indices(size)) for part, size in zip(slices, self.shape, strict=True)]
        (row, col), (rows, cols) = (part.start // SIDE for part in ranges), (-(-part.stop // SIDE) for part in ranges)
        box = max(rows - row, 0), max(cols - col, 0)
        slots = self._slots[row:rows, col:cols]
        tile_rows, tile_cols = np.nonzero(slots >= 0)
        whole = np.zeros((box[0], SIDE, box[1], SIDE), dtype=values.dtype)
        whole[tile_rows, :, tile_cols, :] = values[slots[tile_rows, tile_cols]].reshape(-1, SIDE, SIDE)
        north, east = (slice(part.start % SIDE, part.start % SIDE + len(part)) for part in ranges)
        return whole.reshape(box[0] * SIDE, box[1] * SIDE)[north, east]

    def _slots_of(self, tiles: Indices) -> Indices:
        """The slots of tiles; those that had none get one."""
        slots = self._slots[tiles[:, 0], tiles[:, 1]].astype(np.intp)
        new = np.flatnonzero(slots < 0)
        if len(new) > len(self._free):
            # A quarter more than there are: rarely copied, and little of it empty.
            count = max(len(new) - len(self._free), len(self._total) // 4)
            self._free.extend(range(len(self._total), len(self._total) + count))
            self._total = _longer(self._total, count)
            self._tiles, self._touched = _longer(self._tiles, count), _longer(self._touched, count)
            if self._unsure is not None:
                self._unsure = _longer(self._unsure, count)
        if len(new):
            taken = self._free[-len(new) :]
            del self._free[-len(new) :]
            slots[new] = taken
            self._tiles[taken] = tiles[new]
            self._slots[tiles[new, 0], tiles[new, 1]] = taken
        return slots


def _longer(values: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """The values with `count` rows of 0 more."""
    return np.concatenate((values, np.zeros((count, *values.shape[1:]), dtype=values.dtype)))
