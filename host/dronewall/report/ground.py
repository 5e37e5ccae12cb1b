"""The map's ground: which part of the terrain to show, its relief, and the coverage laid over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dronewall.engine.wall import Coverage

_SUN_AZIMUTH, _SUN_ELEVATION = np.radians(315.0), np.radians(45.0)


class Window(NamedTuple):
    """A part of the terrain: rows and columns, and its outer edges [site m]."""

    rows: slice
    columns: slice
    west: float
    east: float
    south: float
    north: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge [site m], as matplotlib wants them."""
        return self.west, self.east, self.south, self.north


def window(coverage: Coverage, shape: float | None = None) -> Window:
    """The terrain around belt, posts and sensors, with a margin of 6 % (at least 200 m), cut where the
    terrain ends.

    With `shape` (height / width) the shorter side is widened towards it as far as there is terrain.
    """
    places = [
        np.asarray(coverage.frontage.belt_outline(), dtype=float),
        np.asarray(coverage.frontage.points, dtype=float),
    ]
    places += [np.array([place], dtype=float) for place in coverage.posts.values()]
    places += [np.array([[s.frustum.east, s.frustum.north]]) for s in coverage.sensors if s.frustum is not None]
    everything = np.concatenate(places)
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = max(200.0, 0.06 * float((high - low).max()))
    low, high = low - margin, high + margin
    if shape is not None:
        width, height = high - low
        more = np.array([max(height / shape - width, 0.0), max(width * shape - height, 0.0)])
        low, high = low - more / 2, high + more / 2
    terrain = coverage.terrain
    rows, columns = terrain.ground_amsl.shape
    first = np.floor((low - (terrain.west, terrain.south)) / terrain.cell).astype(int)
    last = np.ceil((high - (terrain.west, terrain.south)) / terrain.cell).astype(int)
    first = np.clip(first, 0, (columns - 1, rows - 1))
    last = np.clip(last, first + 1, (columns, rows))
    west, south = (terrain.west, terrain.south) + first * terrain.cell
    east, north = (terrain.west, terrain.south) + last * terrain.cell
    return Window(
        slice(int(first[1]), int(last[1])),
        slice(int(first[0]), int(last[0])),
        float(west),
        float(east),
        float(south),
        float(north),
    )


def hillshade(height: NDArray[np.floating], cell: float) -> NDArray[np.float64]:
    """Brightness 0..1 of ground lit from the north-west, row 0 south; nan where unknown.

    Slopes are drawn twice as steep as they are where the ground is gentle, so that relief shows at all.
    """
    if min(height.shape) < 2:
        return np.where(np.isnan(height), np.nan, 0.8)
    up_north, up_east = np.gradient(np.asarray(height, dtype=float), cell)
    slope = np.nanmedian(np.hypot(up_north, up_east)) if np.isfinite(up_north).any() else 0.0
    factor = 1.0 if slope > 0.2 else 2.0
    up_north, up_east = factor * up_north, factor * up_east
    east, north = np.cos(_SUN_ELEVATION) * np.sin(_SUN_AZIMUTH), np.cos(_SUN_ELEVATION) * np.cos(_SUN_AZIMUTH)
    light = (np.sin(_SUN_ELEVATION) - up_east * east - up_north * north) / np.sqrt(1 + up_east**2 + up_north**2)
    # a cell beside unknown ground has no slope but has a height: lit as if flat
    light = np.where(np.isnan(light) & ~np.isnan(height), np.sin(_SUN_ELEVATION), light)
    return np.clip(light, 0.0, 1.0)


def relief_rgb(height: NDArray[np.floating], cell: float) -> NDArray[np.float64]:
    """The hillshade with a discreet tint by height, (..., 3) in 0..1: pale enough to draw on; near white
    where unknown.
    """
    shade = hillshade(height, cell)
    known = np.isfinite(height)
    rgb = np.full((*shade.shape, 3), 0.93)
    if known.any():
        low, high = float(height[known].min()), float(height[known].max())
        tint = ((height - low) / max(high - low, 1e-9))[known][:, None]
        # from a cool valley to a warm summit
        tone = (1.0 - tint) * np.array([0.90, 0.94, 0.90]) + tint * np.array([1.0, 0.985, 0.95])
        rgb[known] = np.clip((0.50 + 0.56 * shade[known])[:, None] * tone, 0.0, 1.0)
    return rgb


def unknown_stripes(unknown: NDArray[np.bool_], period: int = 8) -> NDArray[np.bool_]:
    """Diagonal stripes over unknown cells."""
    rows, columns = np.indices(unknown.shape)
    return np.asarray(unknown & ((rows + columns) % period < max(period // 4, 1)))
