"""The ground as a raster in site metres, what stands on it, and where both come from. Row 0 is the southernmost row.

On the ground stand two layers, each optional: a *surface* (buildings) blocks where it is above the ground, a *canopy*
dims. Targets and masts stand on the ground whatever else stands there.
"""

import hashlib
import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.earth import Site
from dronewall.engine.frontage import Frontage

Floats = npt.NDArray[np.float64]

JACKSBORO = "dronewall:jacksboro"
"""The name of the elevation model that matplotlib ships: USGS, 3 arc-seconds, Jacksboro fault, Tennessee."""


_LOWEST, _HIGHEST = -500.0, 9000.0
"""The shore of the Dead Sea lies at -430 m, the top of Everest at 8849 m."""

_TALLEST = 100.0
"""Canopies end below this [m]; the codes of published rasters for water, snow and no data begin over it (GLAD's 101 to
103, 255).
"""

CANOPY_EXTINCTION = 20.0
"""Metres inside a canopy after which 1/e of all lines of sight are free; assumed. Hardwood in leaf (leaf area index 4.3
to 5.4, extinction coefficient .53 to .67: Vose et al. 1995, srs.fs.usda.gov/pubs/4724) of 25 m height makes 9 m; below
the crowns, or without leaves, it is more.
"""


BLOCK = 16
"""Squares along the edge of a block of `canopy_tops`; a power of 2."""

UNKNOWN = 1e30
"""Stands for unknown ground where kernels look for what blocks: higher than anything, and it stays on the horizon."""

_CANOPY_BOUNDS = (-5.0, _TALLEST)
"""A lidar's canopy heights scatter below the ground a little."""


_MOST_CELLS = 100_000_000
"""100 km of a belt 10 km wide at 3 m: some GB in all. More is cut into several sites."""


class TerrainError(ValueError):
    """An elevation model cannot carry the site."""


@dataclass(frozen=True)
class Terrain:
    """Ground heights in site metres.

    ground_amsl: float64 (north, east) [m], row 0 in the south, nan where unknown.
    cell: edge of a cell [m]. west, south: the outer corner of the first cell [site m].
    posting: spacing of the source's heights [m]. le90: vertical error, 90 % [m], nan where the source does not say.
    surface_amsl, canopy_amsl: height of what blocks and of the canopy's top, shaped as the ground, the ground's own
    height where there is none and nowhere less; None where there is none at all. canopy_extinction: metres of canopy
    that leave 1/e of the light. slowness: by how much longer each cell takes on foot than open ground, shaped as the
    ground, inf where nobody can go (`going`); None: nowhere. notes: what is odd but usable about the sources.
    """

    ground_amsl: Floats
    cell: float
    west: float = 0.0
    south: float = 0.0
    posting: float = math.nan
    le90: float = math.nan
    digest: str = ""
    surface_amsl: Floats | None = None
    canopy_amsl: Floats | None = None
    canopy_extinction: float = CANOPY_EXTINCTION
    slowness: Floats | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def from_array(
        cls,
        ground_amsl: npt.ArrayLike,
        cell: float,
        west: float = 0.0,
        south: float = 0.0,
        *,
        surface_amsl: npt.ArrayLike | None = None,
        canopy_amsl: npt.ArrayLike | None = None,
        canopy_extinction: float = CANOPY_EXTINCTION,
    ) -> "Terrain":
        """A terrain from heights (north, east) [m], row 0 in the south, with square cells of `cell` metres.

        The south-west corner of the first cell is (west, south), the site's origin unless given. Surface and canopy
        are cut off at the ground: where they are under it, or nan, there is none. Raises TerrainError.
        """
        heights = np.array(ground_amsl, dtype=np.float64, order="C")
        if heights.ndim != 2 or 0 in heights.shape:
            raise TerrainError(f"ground_amsl has shape {heights.shape}; expected (north, east)")
        if not (math.isfinite(cell) and cell > 0.0):
            raise TerrainError(f"cell is {cell}; expected metres above 0")
        heights[~np.isfinite(heights)] = np.nan
        heights.setflags(write=False)
        if not (math.isfinite(canopy_extinction) and canopy_extinction > 0.0):
            raise TerrainError(f"canopy_extinction is {canopy_extinction}; expected metres above 0")
        surface = _standing("surface_amsl", surface_amsl, heights)
        canopy = _standing("canopy_amsl", canopy_amsl, heights)
        digest = hashlib.sha256(repr((heights.shape, cell, west, south)).encode() + heights.tobytes())
        _digest_layers(digest, surface, canopy, canopy_extinction)
        return cls(
            heights, float(cell), float(west), float(south), posting=float(cell), digest=digest.hexdigest(),
            surface_amsl=surface, canopy_amsl=canopy, canopy_extinction=float(canopy_extinction),
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int]:
        """Cells (north, east)."""
        return self.ground_amsl.shape[0], self.ground_amsl.shape[1]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge [site m]."""
        rows, cols = self.shape
        return self.west, self.west + cols * self.cell, self.south, self.south + rows * self.cell

    @property
    def blocks_amsl(self) -> Floats:
        """What blocks: the surface where there is one, else the ground; nan where unknown."""
        return self.ground_amsl if self.surface_amsl is None else self.surface_amsl

    @cached_property
    def solid(self) -> Floats:
        """What blocks, unknown cells at UNKNOWN: nobody sees through what nobody knows. No copy where all is known."""
        unknown = np.isnan(self.blocks_amsl)
        return np.where(unknown, UNKNOWN, self.blocks_amsl) if unknown.any() else self.blocks_amsl

    @cached_property
    def middle_amsl(self) -> float:
        """A whole height [m AMSL] half way between the lowest and the highest that blocks; 0 where none is known."""
        low, high = (float(reduced(self.blocks_amsl, axis=None)) for reduced in (np.fmin.reduce, np.fmax.reduce))
        return float(round((low + high) / 2.0)) if low <= high else 0.0

    @cached_property
    def relief(self) -> npt.NDArray[np.float32]:
        """What blocks over `middle_amsl` [m], unknown cells at UNKNOWN, as 32-bit floats: half the memory to read, good
        to 0.1 mm within 1000 m of it.
        """
        heights = np.empty(self.shape, dtype=np.float32)
        # Taken off in 64 bits, without a second array of these.
        np.subtract(self.blocks_amsl, self.middle_amsl, out=heights, casting="same_kind")
        heights[np.isnan(heights)] = UNKNOWN
        return heights

    @cached_property
    def canopy_tops(self) -> Floats:
        """The canopy's greatest height AMSL among the middles that bound each block of BLOCK x BLOCK squares between
        them, blocks (north, east); -inf where it has none.
        """
        tops = np.full(self.shape, -math.inf)
        if self.canopy_amsl is not None:
            np.copyto(tops, self.canopy_amsl, where=self.canopy_amsl > self.ground_amsl)
        for axis in (0, 1):
            starts = np.arange(0, tops.shape[axis], BLOCK)
            blocks = np.maximum.reduceat(tops, starts, axis=axis)
            # A block's last squares reach to the first middles of the next one.
            later = np.take(tops, starts[1:], axis=axis)
            inner = (slice(0, -1), slice(None)) if axis == 0 else (slice(None), slice(0, -1))
            blocks[inner] = np.maximum(blocks[inner], later)
            tops = blocks
        return tops

    def prepare(self) -> None:
        """Makes what every sensor asks for, so that threads need not make it at the same time."""
        _ = self.relief
        if self.canopy_amsl is not None:
            _ = self.canopy_tops

    @cached_property
    def centres(self) -> tuple[Floats, Floats]:
        """East of the columns' and north of the rows' middles [site m]."""
        rows, cols = self.shape
        east = self.west + (np.arange(cols, dtype=np.float64) + 0.5) * self.cell
        north = self.south + (np.arange(rows, dtype=np.float64) + 0.5) * self.cell
        return east, north

    def cells(self, east: npt.ArrayLike, north: npt.ArrayLike) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Row and column of the cells that hold points; -1, -1 outside."""
        row = np.floor((np.asarray(north, dtype=np.float64) - self.south) / self.cell)
        col = np.floor((np.asarray(east, dtype=np.float64) - self.west) / self.cell)
        inside = (row >= 0) & (row < self.shape[0]) & (col >= 0) & (col < self.shape[1])
        return np.where(inside, row, -1).astype(np.intp), np.where(inside, col, -1).astype(np.intp)

    def ground(self, east: npt.ArrayLike, north: npt.ArrayLike) -> Floats:
        """Ground height [m AMSL] at points, bilinear between the cells' middles, level over the outer half cells;
        nan where unknown.
        """
        return self.between(self.ground_amsl, east, north)

    def between(self, heights: Floats, east: npt.ArrayLike, north: npt.ArrayLike) -> Floats:
        """The same of another layer, shaped as the ground."""
        rows, cols = self.shape
        x = np.asarray((np.asarray(east, dtype=np.float64) - self.west) / self.cell - 0.5)
        y = np.asarray((np.asarray(north, dtype=np.float64) - self.south) / self.cell - 0.5)
        inside = (x >= -0.5) & (x <= cols - 0.5) & (y >= -0.5) & (y <= rows - 0.5)
        x, y = np.clip(x, 0.0, cols - 1.0), np.clip(y, 0.0, rows - 1.0)
        x, y = np.where(inside, x, 0.0), np.where(inside, y, 0.0)
        col, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
        right, above = x - col, y - row
        total = np.zeros(x.shape)
        for step_row, weight_row in ((0, 1.0 - above), (1, above)):
            for step_col, weight_col in ((0, 1.0 - right), (1, right)):
                weight = weight_row * weight_col
                height = heights[np.minimum(row + step_row, rows - 1), np.minimum(col + step_col, cols - 1)]
                total += np.where(weight > 0.0, weight * height, 0.0)
        return np.where(inside, total, np.nan)


def _standing(name: str, layer: npt.ArrayLike | None, ground: Floats) -> Floats | None:
    """A layer cut off at the ground, nan where that is unknown; None where it is nowhere above it."""
    if layer is None:
        return None
    given = np.asarray(layer, dtype=np.float64)
    if given.shape != ground.shape:
        raise TerrainError(f"{name} has shape {given.shape}; expected the ground's, {ground.shape}")
    if np.isposinf(given).any():
        raise TerrainError(f"{name} holds inf; expected heights, or nan where there is none")
    heights = np.where(given > ground, given, ground)
    if not (heights > ground).any():
        return None
    heights.setflags(write=False)
    return heights


def _digest_layers(digest: Any, surface: Floats | None, canopy: Floats | None, extinction: float) -> None:
    for name, layer in (("surface", surface), (f"canopy {extinction}", canopy)):
        if layer is not None:
            digest.update(name.encode() + layer.tobytes())


@dataclass(frozen=True)
class Source:
    """An opened raster: what rasterio's reproject needs, and what a person calls it."""

    name: str
    data: Any
    transform: Any
    crs: Any
    shape: tuple[int, int]
    nodata: float | None
    digest: str


def read(
    source: str | Path,
    site: Site,
    frontage: Frontage,
    cell: float,
    margin: float = 0.0,
    posting: float | None = None,
    le90: float | None = None,
    surface: str | Path | None = None,
    canopy: str | Path | None = None,
    canopy_extinction: float = CANOPY_EXTINCTION,
) -> Terrain:
    """The ground around a frontage: its belt and `margin` metres around, on square cells of `cell` metres of the
    site's CRS.

    `source` is a raster that rasterio can read, or JACKSBORO. Rasters in degrees are projected; finer ones are
    averaged, coarser ones interpolated (bilinear). Raises TerrainError where the file cannot be read, has no CRS,
    does not count in metres or degrees, or does not reach over the belt. Holes stay nan.

    `surface` holds heights AMSL, `canopy` its top's height above the ground; both are brought to the cells as the
    ground is, so that what is much thinner than a cell is lost in the mean. Nodata, and what lies beyond the raster's
    edge, mean that there is none; TerrainError where the raster does not touch the belt at all, or holds what cannot
    be meant.
    """
    with opening(source) as opened:
        terrain = _read(opened, site, frontage, cell, margin, posting, le90 if le90 is not None else math.nan)
    if surface is None and canopy is None:
        return terrain
    notes: list[str] = []
    digest = hashlib.sha256(terrain.digest.encode())
    ground = terrain.ground_amsl
    built, grown = None, None
    if surface is not None:
        with opening(surface) as opened:
            heights = _layer(opened, terrain, site, frontage, (_LOWEST, _HIGHEST), notes)
        _judge_surface(opened.name, heights, ground, notes)
        built = _standing(opened.name, heights, ground)
        digest.update(b"surface" + opened.digest.encode())
    if canopy is not None:
        with opening(canopy) as opened:
            heights = _layer(opened, terrain, site, frontage, _CANOPY_BOUNDS, notes)
        grown = _standing(opened.name, ground + heights, ground)
        digest.update(f"canopy {canopy_extinction}{opened.digest}".encode())
    return replace(
        terrain, surface_amsl=built, canopy_amsl=grown, canopy_extinction=canopy_extinction, notes=tuple(notes),
        digest=digest.hexdigest(),
    )  # fmt: skip


def check(
    source: str | Path,
    site: Site,
    frontage: Frontage,
    surface: str | Path | None = None,
    canopy: str | Path | None = None,
) -> None:
    """Raises TerrainError where `read` would, the heights apart: they are not looked at."""
    import rasterio.crs

    site_crs = rasterio.crs.CRS.from_wkt(site.crs.to_wkt())
    with opening(source) as opened:
        _refuse_uncovered(opened, site_crs, site, frontage)
    for layer in (surface, canopy):
        if layer is not None:
            with opening(layer) as opened:
                uncovered_parts(opened, site, frontage)


@contextmanager
def opening(source: str | Path, meant: str = "ground heights in metres") -> Iterator["Source"]:
    """A raster, of what it is meant to hold, for as long as the block lasts. Raises TerrainError."""
    import rasterio
    import rasterio.errors

    if str(source) == JACKSBORO:
        yield _jacksboro()
        return
    path = Path(source)
    try:
        found = path.is_file()
    except OSError as error:  # a name that no file can have
        raise TerrainError(f"{path}: cannot be read ({error.strerror}); expected a raster of {meant}") from None
    if not found:
        raise TerrainError(f"{path}: no such file; expected a raster of {meant}, such as a GeoTIFF")
    try:
        with rasterio.open(path) as dataset:
            yield _opened(dataset, str(path), meant)
    except rasterio.errors.RasterioError as error:
        raise TerrainError(f"{path}: not a raster that can be read: {error}") from None


def _opened(dataset: Any, name: str, meant: str) -> Source:
    import rasterio

    if dataset.crs is None:
        raise TerrainError(
            f"{name}: has no coordinate reference system; expected one, so that it lies where it belongs "
            "(gdal_edit.py -a_srs EPSG:… sets it)"
        )
    if dataset.transform.is_identity:
        raise TerrainError(f"{name}: is not georeferenced (no geotransform); expected one with its place on earth")
    if abs(dataset.transform.determinant) < 1e-300:
        raise TerrainError(f"{name}: its geotransform {tuple(dataset.transform)[:6]} makes no cells; expected some")
    if not (dataset.crs.is_geographic or dataset.crs.is_projected):
        raise TerrainError(
            f"{name}: its coordinate reference system is neither projected nor in degrees of latitude and longitude"
        )
    if not dataset.crs.is_geographic and not math.isclose(dataset.crs.linear_units_factor[1], 1.0, rel_tol=1e-9):
        raise TerrainError(
            f"{name}: counts in {dataset.crs.linear_units_factor[0]}; expected metres (or degrees): "
            "project it and its heights to metres first"
        )
    if dataset.count != 1:
        raise TerrainError(f"{name}: has {dataset.count} bands; expected one band of {meant}")
    unit = (dataset.units[0] or "").strip().lower()
    if unit not in ("", "m", "metre", "metres", "meter", "meters"):
        raise TerrainError(f"{name}: heights are in {dataset.units[0]!r}; expected metres")
    if np.dtype(dataset.dtypes[0]).kind not in "iuf":
        raise TerrainError(f"{name}: holds {dataset.dtypes[0]} values; expected heights in metres")
    digest = hashlib.sha256()
    with open(dataset.name, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return Source(
        name,
        rasterio.band(dataset, 1),
        dataset.transform,
        dataset.crs,
        dataset.shape,
        dataset.nodata,
        digest.hexdigest(),
    )


def _jacksboro() -> Source:
    """The model in matplotlib's sample data. Its first row is the north, whatever its ymin and ymax say (they are
    swapped).
    """
    import rasterio.crs
    import rasterio.transform

    # Found, not imported: the file is all that is wanted of matplotlib.
    package = importlib.util.find_spec("matplotlib")
    path = Path(package.origin or "").parent / "mpl-data/sample_data/jacksboro_fault_dem.npz" if package else Path()
    if not path.is_file():
        raise TerrainError(
            f"{JACKSBORO}: matplotlib's sample data are not installed ({path}); name a raster of your own"
        )
    with np.load(path) as model:
        heights = model["elevation"].astype(np.float32)
        south, north = sorted((float(model["ymin"]), float(model["ymax"])))
        west, east = float(model["xmin"]), float(model["xmax"])
    transform = rasterio.transform.from_bounds(west, south, east, north, heights.shape[1], heights.shape[0])
    digest = hashlib.sha256(heights.tobytes()).hexdigest()
    crs = rasterio.crs.CRS.from_epsg(4326)
    return Source(JACKSBORO, heights, transform, crs, heights.shape, None, digest)


def _read(
    source: Source, site: Site, frontage: Frontage, cell: float, margin: float, posting: float | None, le90: float
) -> Terrain:
    import rasterio.crs

    site_crs = rasterio.crs.CRS.from_wkt(site.crs.to_wkt())
    _refuse_uncovered(source, site_crs, site, frontage)
    corners = frontage.belt_outline()
    west, south = (np.floor((corners.min(axis=0) - margin) / cell) * cell).tolist()
    cols, rows = (np.ceil((corners.max(axis=0) + margin - (west, south)) / cell)).astype(int).tolist()
    if cols * rows > _MOST_CELLS:
        raise TerrainError(
            f"{cols} x {rows} cells of {cell:g} m around the belt are {cols * rows * 8 / 1e9:.0f} GB of heights; "
            f"expected at most {_MOST_CELLS / 1e6:.0f} million cells: terrain.cell_m of "
            f"{cell * math.sqrt(cols * rows / _MOST_CELLS):.1f} or more, or a shorter frontage"
        )
    spacing = _posting(source, site_crs, site, frontage)
    heights = _projected(source, site, (rows, cols), west, south, cell, spacing, (_LOWEST, _HIGHEST))
    heights.setflags(write=False)
    spacing = spacing if posting is None else posting
    digest = hashlib.sha256(
        f"{source.digest} {cell} {west} {south} {rows} {cols} {site.crs.to_wkt()}".encode()
    ).hexdigest()
    return Terrain(heights, cell, west, south, posting=spacing, le90=le90, digest=digest)


def _projected(
    source: Source,
    site: Site,
    shape: tuple[int, int],
    west: float,
    south: float,
    cell: float,
    spacing: float,
    bounds: tuple[float, float],
) -> Floats:
    """The source's heights on the site's cells, row 0 in the south, nan where it has none."""
    import rasterio.crs
    import rasterio.enums
    import rasterio.transform
    import rasterio.warp

    site_crs = rasterio.crs.CRS.from_wkt(site.crs.to_wkt())
    top_left = rasterio.transform.from_origin(
        site.origin_east + west, site.origin_north + south + shape[0] * cell, cell, cell
    )

    def projected(resampling: Any) -> Floats:
        out = np.full(shape, np.nan, dtype=np.float64)
        rasterio.warp.reproject(
            source.data,
            out,
            src_transform=source.transform,
            src_crs=source.crs,
            src_nodata=source.nodata,
            dst_transform=top_left,
            dst_crs=site_crs,
            dst_nodata=np.nan,
            resampling=resampling,
        )
        return out

    heights = projected(rasterio.enums.Resampling.bilinear)
    # Where several heights make one cell, one that means "unknown" without saying so would hide in their mean.
    methods = rasterio.enums.Resampling
    for extreme in (projected(methods.min), projected(methods.max)) if spacing < cell else (heights,):
        _refuse_implausible(source.name, extreme[::-1], site, west, south, cell, bounds)
    heights = np.ascontiguousarray(heights[::-1])
    heights[~np.isfinite(heights)] = np.nan
    return heights


def _layer(
    source: Source, terrain: Terrain, site: Site, frontage: Frontage, bounds: tuple[float, float], notes: list[str]
) -> Floats:
    """A layer's heights on the terrain's cells, nan where it has none; adds to `notes` where it ends on the belt."""
    import rasterio.crs

    chainages, outside = uncovered_parts(source, site, frontage)
    if outside.any():
        first, last = chainages[outside][[0, -1]] / 1000.0
        notes.append(
            f"{source.name}: does not cover the whole belt between km {first:.2f} and km {last:.2f}; where it ends, "
            "nothing stands on the ground"
        )
    site_crs = rasterio.crs.CRS.from_wkt(site.crs.to_wkt())
    spacing = _posting(source, site_crs, site, frontage)
    return _projected(source, site, terrain.shape, terrain.west, terrain.south, terrain.cell, spacing, bounds)


def uncovered_parts(source: Source, site: Site, frontage: Frontage) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Chainages, and where a layer ends on the belt. Raises TerrainError where it is nowhere on it."""
    import rasterio.crs

    site_crs = rasterio.crs.CRS.from_wkt(site.crs.to_wkt())
    chainages, outside, anywhere = _uncovered(source, site_crs, site, frontage)
    if not anywhere:
        _refuse_uncovered(source, site_crs, site, frontage)
    return chainages, outside


def _judge_surface(name: str, surface: Floats, ground: Floats, notes: list[str]) -> None:
    """Raises TerrainError for a surface that lies mostly far under the ground; notes what is odd about another one."""
    above = surface - ground
    above = above[np.isfinite(above)]
    if above.size == 0:
        return
    middle = float(np.median(above))
    if middle < -5.0:
        raise TerrainError(
            f"{name}: lies {-middle:.0f} m under the ground (median); expected heights above sea level, as the "
            "ground's: heights above the ground must be added to it first"
        )
    under = float((above < -1.0).mean())
    if under > 0.01:
        notes.append(
            f"{name}: lies over 1 m under the ground in {under:.0%} of its cells, by up to {-above.min():.0f} m; there "
            "the ground counts"
        )
    if above.size > 0.9 * ground.size and np.quantile(above, 0.05) > 5.0:
        notes.append(f"{name}: hardly ever comes within 5 m of the ground; are both above the same sea level?")


def _refuse_implausible(
    name: str, heights: Floats, site: Site, west: float, south: float, cell: float, bounds: tuple[float, float]
) -> None:
    """Raises TerrainError where a height is not one of this earth: then it stands for "unknown" and does not say so."""
    lowest, highest = bounds
    with np.errstate(invalid="ignore"):
        wrong = np.argwhere((heights < lowest) | (heights > highest))
    if len(wrong) == 0:
        return
    row, col = wrong[0]
    meant = " above the ground (not above sea level)" if bounds == _CANOPY_BOUNDS else ""
    latitude, longitude = site.to_geodetic(west + (col + 0.5) * cell, south + (row + 0.5) * cell)
    raise TerrainError(
        f"{name}: holds a height of {heights[row, col]:g} m at latitude {latitude:.4f}, longitude {longitude:.4f} and "
        f"{len(wrong)} cells like it; expected {lowest:g} to {highest:g} m{meant}: if it stands for unknown, say so "
        "(gdal_edit.py -a_nodata VALUE)"
    )


def _uncovered(
    source: Source, site_crs: Any, site: Site, frontage: Frontage
) -> tuple[Floats, npt.NDArray[np.bool_], bool]:
    """Chainages, where the belt leaves the raster, and whether it is on it anywhere."""
    import rasterio.warp

    chainages = np.linspace(0.0, frontage.length, max(2, int(frontage.length // 25.0) + 2))
    lanes = frontage.lanes(chainages)
    shares = np.linspace(0.0, 1.0, 5)[:, None, None]
    points = (lanes[None, :, 0] * (1.0 - shares) + lanes[None, :, 1] * shares).reshape(-1, 2)
    x, y = rasterio.warp.transform(
        site_crs, source.crs, (points[:, 0] + site.origin_east).tolist(), (points[:, 1] + site.origin_north).tolist()
    )
    inside = _within(source, np.array(x), np.array(y))
    return chainages, np.asarray(~inside.reshape(5, -1).all(axis=0)), bool(inside.any())


def _within(source: Source, x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
    """Whether points in the raster's CRS lie on it."""
    if source.crs.is_geographic:
        # Longitudes may count from 0 to 360 in the file, or on beyond 180 or -180.
        left = _bounds(source)[0]
        x = left + (x - left) % 360.0
    col, row = _through(~source.transform, x, y)
    return np.asarray((col >= 0.0) & (col <= source.shape[1]) & (row >= 0.0) & (row <= source.shape[0]))


def _swapped(source: Source, site: Site, frontage: Frontage) -> bool:
    """Whether the frontage would lie on the raster if latitude and longitude were each the other."""
    import rasterio.warp

    latitudes, longitudes = site.to_geodetic(*frontage.points.T)
    if np.abs(longitudes).max() > 90.0:
        return False
    x, y = rasterio.warp.transform("EPSG:4326", source.crs, latitudes.tolist(), longitudes.tolist())
    return bool(_within(source, np.array(x), np.array(y)).all())


def _refuse_uncovered(source: Source, site_crs: Any, site: Site, frontage: Frontage) -> None:
    """Raises TerrainError where the belt leaves the raster, with the chainages at which it does."""
    import rasterio.warp

    chainages, outside, _ = _uncovered(source, site_crs, site, frontage)
    if not outside.any():
        return
    first, last = chainages[outside][[0, -1]]
    west, south, east, north = rasterio.warp.transform_bounds(source.crs, "EPSG:4326", *_bounds(source), densify_pts=21)
    where = "all along it" if outside.all() else f"between km {first / 1000.0:.2f} and km {last / 1000.0:.2f}"
    latitude, longitude = site.to_geodetic(*frontage.at(float(chainages[outside][0])))
    raise TerrainError(
        f"{source.name}: does not cover the belt {where} (there the frontage is at latitude {latitude:.4f}, "
        f"longitude {longitude:.4f}); "
        f"it reaches from latitude {south:.4f} to {north:.4f} and longitude {west:.4f} to {east:.4f}; "
        "expected the whole frontage and its belt"
        + ("; are latitude and longitude swapped?" if _swapped(source, site, frontage) else "")
    )


def _through(affine: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """A point or arrays of points through an affine transform."""
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def _bounds(source: Source) -> tuple[float, float, float, float]:
    rows, cols = source.shape
    corners = [_through(source.transform, *corner) for corner in ((0, 0), (cols, 0), (0, rows), (cols, rows))]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _posting(source: Source, site_crs: Any, site: Site, frontage: Frontage) -> float:
    """Metres between neighbouring source heights in the middle of the frontage: the wider of rows and columns."""
    import rasterio.warp

    east, north = frontage.at(frontage.length / 2.0)
    xs, ys = rasterio.warp.transform(
        site_crs, source.crs, [float(east) + site.origin_east], [float(north) + site.origin_north]
    )
    col, row = _through(~source.transform, xs[0], ys[0])
    nearby = [_through(source.transform, *place) for place in ((col, row), (col + 1.0, row), (col, row + 1.0))]
    easts, norths = rasterio.warp.transform(
        source.crs, site_crs, [place[0] for place in nearby], [place[1] for place in nearby]
    )
    steps = [math.hypot(easts[i] - easts[0], norths[i] - norths[0]) for i in (1, 2)]
    return round(max(steps), 3)
