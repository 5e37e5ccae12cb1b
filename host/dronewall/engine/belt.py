"""The belt as cells of the raster: which of them it holds, where along the frontage they lie, and its two edges."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dronewall.engine.frontage import Frontage
from dronewall.engine.terrain import Terrain

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_BLOCK = 64
"""Cells along the edge of a block that is asked at once for its place on the frontage."""


@dataclass(frozen=True)
class Belt:
    """A piece of the raster whose first cell is (row, col) and that holds the whole belt. All arrays (north, east).

    chainage, offset [m]: of the cells' middles, as `Frontage.locate` says; nan far away. inside: the cells whose
    middles lie in the belt, between the square ends of its first and last segment, and those that hold a station. far,
    near: the cells inside beyond whose side the belt ends, towards the threat and away from it.
    """

    row: int
    col: int
    chainage: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]
    inside: Bools
    far: Bools
    near: Bools
    cell: float

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the raster that the piece covers."""
        rows, cols = self.inside.shape
        return slice(self.row, self.row + rows), slice(self.col, self.col + cols)

    def between(self, start: float, end: float) -> "Belt":
        """The smallest piece of it that holds all cells inside whose chainage [m] is from start to end."""
        held = self.inside & (self.chainage >= start) & (self.chainage <= end)
        rows, cols = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
        if not len(rows):
            rows = cols = np.zeros(1, dtype=np.int64)
        part = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
        return Belt(
            row=self.row + int(rows[0]),
            col=self.col + int(cols[0]),
            chainage=self.chainage[part],
            offset=self.offset[part],
            inside=self.inside[part],
            far=self.far[part],
            near=self.near[part],
            cell=self.cell,
        )


def belt_of(frontage: Frontage, terrain: Terrain) -> Belt:
    """The belt of a frontage on a terrain's raster."""
    cell = terrain.cell
    reach = max(frontage.front, frontage.behind) + 2.0 * cell
    west, _, south, _ = terrain.extent
    rows, cols = terrain.shape
    low = (frontage.points.min(axis=0) - reach - (west, south)) / cell
    high = (frontage.points.max(axis=0) + reach - (west, south)) / cell
    first_col, first_row = (max(int(np.floor(end)), 0) for end in low)
    last_col = min(int(np.ceil(high[0])), cols)
    last_row = min(int(np.ceil(high[1])), rows)
    # A cell more on every side, on the raster or not: a belt that reaches to the raster's edge has an edge there, too.
    columns = west + (np.arange(first_col - 1, last_col + 1) + 0.5) * cell
    lines = south + (np.arange(first_row - 1, last_row + 1) + 0.5) * cell
    chainage = np.full((len(lines), len(columns)), np.nan, dtype=np.float32)
    offset = chainage.copy()
    ends = np.ones(chainage.shape, dtype=np.bool_)
    first, last = (np.diff(frontage.points[pair], axis=0)[0] for pair in (slice(0, 2), slice(-2, None)))
    for i in range(0, len(lines), _BLOCK):
        for j in range(0, len(columns), _BLOCK):
            piece = slice(i, i + _BLOCK), slice(j, j + _BLOCK)
            east, north = np.meshgrid(columns[piece[1]], lines[piece[0]])
            near = frontage.near(float(east.mean()), float(north.mean()), reach + 0.75 * _BLOCK * cell)
            if not len(near):
                continue
            at, aside = frontage.locate(east, north, near)
            chainage[piece], offset[piece] = at, aside
            # Square to the first and the last segment: the belt has no round ends.
            behind = (east - frontage.points[0, 0]) * first[0] + (north - frontage.points[0, 1]) * first[1] < -1e-9
            beyond = (east - frontage.points[-1, 0]) * last[0] + (north - frontage.points[-1, 1]) * last[1] > 1e-9
            ends[piece] = ((at <= 0.0) & behind) | ((at >= frontage.length) & beyond)
    with np.errstate(invalid="ignore"):
        inside = (offset <= frontage.front + 1e-6) & (offset >= -frontage.behind - 1e-6) & ~ends
        over = (offset > frontage.front + 1e-6) & ~ends
        under = (offset < -frontage.behind - 1e-6) & ~ends
    # Who crosses at a station is in its cell, wherever the middle of that lies: no side of the belt is too thin.
    east, north = frontage.at(frontage.stations(cell))
    row, col = (np.floor((place - edge) / cell).astype(np.intp) for place, edge in ((north, south), (east, west)))
    row, col = row - first_row + 1, col - first_col + 1
    held = (row >= 0) & (row < len(lines)) & (col >= 0) & (col < len(columns))
    inside[row[held], col[held]] = True
    over[row[held], col[held]] = under[row[held], col[held]] = False
    own = slice(1, -1), slice(1, -1)
    return Belt(
        row=first_row,
        col=first_col,
        chainage=chainage[own].copy(),
        offset=offset[own].copy(),
        inside=inside[own].copy(),
        far=(inside & _beside(over))[own].copy(),
        near=(inside & _beside(under))[own].copy(),
        cell=cell,
    )


def _beside(cells: Bools) -> Bools:
    """Cells with one of these at one of their four sides."""
    found = np.zeros_like(cells)
    found[1:] |= cells[:-1]
    found[:-1] |= cells[1:]
    found[:, 1:] |= cells[:, :-1]
    found[:, :-1] |= cells[:, 1:]
    return found
