"""The terrains that all get, and what an eye sees there: the line of sight as it is defined, nothing left out."""

import math
from pathlib import Path
from typing import Any

import numba
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
SEED = 1
GRAZE = 1e-6
"""A clearance below this [m] is a graze: two exact marches may round it to either side."""


def fractal(size: int, cell: float = 5.0, seed: int = SEED) -> Any:
    """Hills (size, size) [m] whose amplitude falls with frequency^-2.3, 300 m high in the mean, 40 m of standard
    deviation.
    """
    random = np.random.default_rng(seed)
    square = np.fft.rfftfreq(size)[None, :] ** 2 + np.fft.fftfreq(size)[:, None] ** 2
    square[0, 0] = 1.0
    noise = random.normal(size=(size, size // 2 + 1)) + 1j * random.normal(size=(size, size // 2 + 1))
    hills = np.fft.irfft2(noise * square**-1.15, s=(size, size))
    return 300.0 + 40.0 * (hills - hills.mean()) / hills.std()


def jacksboro(size: int, cell: float = 5.0) -> Any:
    """The middle of matplotlib's elevation model (USGS, 3 arc-seconds), bilinear on `size` cells of `cell` metres."""
    from dronewall.engine.earth import site_of
    from dronewall.engine.frontage import Frontage
    from dronewall.engine.terrain import JACKSBORO, read

    site = site_of(np.array([[36.55, -84.24]]))
    east, north = site.to_site(36.55, -84.24)
    half = (size // 2) * cell
    middle = np.array([[east - half, north], [east + half, north]])
    found = read(JACKSBORO, site, Frontage(middle, half, half, True), cell).ground_amsl
    return np.ascontiguousarray(found[:size, :size])


def raster(path: Path) -> tuple[Any, float]:
    """A file's heights, row 0 in the south, and its cell [m]; holes get the lowest height, for all alike."""
    import rasterio

    with rasterio.open(path) as dataset:
        heights = dataset.read(1, masked=True).astype(np.float64)
        cell = float(dataset.transform.a)
    return np.ascontiguousarray(heights.filled(heights.min())[::-1]), cell


def clearances(ground: Any, cell: float, row: int, col: int, agl: float, target: float, reach: float, k: float) -> Any:
    """How far the line from the eye to the target clears the ground [m], for each cell of the raster: (north, east).

    Nan beyond the slant range. As soon as the ground stands a graze above the line the cell is hidden, and the figure
    is the one found there. inf at the eye's own cell and its neighbours.
    """
    found = np.full(ground.shape, math.nan)
    _march(ground, cell, row, col, ground[row, col] + agl, target, reach, (1.0 - k) / (2.0 * 6_371_000.0), found)
    return found


@numba.njit(parallel=True, cache=False)
def _march(ground, cell, row, col, eye, target, reach, bend, found):
    rows, cols = ground.shape
    for i in numba.prange(rows):
        for j in range(cols):
            dx, dy = j - col, i - row
            distance = cell * math.sqrt(dx * dx + dy * dy)
            top = ground[i, j] + target
            if distance * distance + (top - eye) ** 2 > reach * reach or distance > reach:
                continue
            least = math.inf
            for step in range(1, abs(dx)):
                share = step / abs(dx)
                across = row + share * dy
                low = math.floor(across)
                part = across - low
                line = col + (step if dx > 0 else -step)
                height = ground[low, line]
                if part > 0.0:
                    height = height * (1.0 - part) + ground[low + 1, line] * part
                height += share * (1.0 - share) * distance * distance * bend
                least = min(least, eye + share * (top - eye) - height)
                if least < -GRAZE:
                    break
            for step in range(1, abs(dy)):
                if least < -GRAZE:
                    break
                share = step / abs(dy)
                across = col + share * dx
                low = math.floor(across)
                part = across - low
                line = row + (step if dy > 0 else -step)
                height = ground[line, low]
                if part > 0.0:
                    height = height * (1.0 - part) + ground[line, low + 1] * part
                height += share * (1.0 - share) * distance * distance * bend
                least = min(least, eye + share * (top - eye) - height)
            found[i, j] = least
