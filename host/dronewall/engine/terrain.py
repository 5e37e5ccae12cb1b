"""The ground as a raster in site metres, and where it comes from. Row 0 is the southernmost row."""

import hashlib
import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


class TerrainError(ValueError):
    """An elevation model cannot carry the site."""


@dataclass(frozen=True)
class Terrain:
    """Ground heights in site metres.

    ground_amsl: float64 (north, east) [m], row 0 in the south, nan where unknown.
    cell: edge of a cell [m]. west, south: the outer corner of the first cell [site m].
    posting: spacing of the source's heights [m]. le90: vertical error, 90 % [m], nan where the source does not say.
    """

    ground_amsl: Floats
    cell: float
    west: float = 0.0
    south: float = 0.0
    posting: float = math.nan
    le90: float = math.nan
    digest: str = ""

    @classmethod
    def from_array(cls, ground_amsl: npt.ArrayLike, cell: float, west: float = 0.0, south: float = 0.0) -> "Terrain":
        """A terrain from heights (north, east) [m], row 0 in the south, with square cells of `cell` metres.

        The south-west corner of the first cell is (west, south), the site's origin unless given. Raises TerrainError.
        """
        heights = np.array(ground_amsl, dtype=np.float64, order="C")
        if heights.ndim != 2 or 0 in heights.shape:
            raise TerrainError(f"ground_amsl has shape {heights.shape}; expected (north, east)")
        if not (math.isfinite(cell) and cell > 0.0):
            raise TerrainError(f"cell is {cell}; expected metres above 0")
        heights[~np.isfinite(heights)] = np.nan
        heights.setflags(write=False)
        digest = hashlib.sha256(repr((heights.shape, cell, west, south)).encode() + heights.tobytes()).hexdigest()
        return cls(heights, float(cell), float(west), float(south), posting=float(cell), digest=digest)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells (north, east)."""
        return self.ground_amsl.shape[0], self.ground_amsl.shape[1]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge [site m]."""
        rows, cols = self.shape
        return self.west, self.west + cols * self.cell, self.south, self.south + rows * self.cell

    @cached_property
    def solid(self) -> Floats:
        """The ground with unknown cells at 1e30 m: nobody sees through what nobody knows. The ground itself where all is known."""
        unknown = np.isnan(self.ground_amsl)
        return np.where(unknown, 1e30, self.ground_amsl) if unknown.any() else self.ground_amsl

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
                height = self.ground_amsl[np.minimum(row + step_row, rows - 1), np.minimum(col + step_col, cols - 1)]
                total += np.where(weight > 0.0, weight * height, 0.0)
        return np.where(inside, total, np.nan)


@dataclass(frozen=True)
class _Source:
    """An opened elevation model: what rasterio's reproject needs, and what a person calls it."""

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
) -> Terrain:
    """The ground around a frontage: its belt and `margin` metres around, on square cells of `cell` metres of the
    site's CRS.

    `source` is a raster that rasterio can read, or JACKSBORO. Rasters in degrees are projected; finer ones are
    averaged, coarser ones interpolated (bilinear). Raises TerrainError where the file cannot be read, has no CRS,
    does not count in metres or degrees, or does not reach over the belt. Holes stay nan.
    """
    with _opening(source) as opened:
        return _read(opened, site, frontage, cell, margin, posting, le90 if le90 is not None else math.nan)


def check(source: str | Path, site: Site, frontage: Frontage) -> None:
    """Raises TerrainError where `read` would, the heights apart: they are not looked at."""
    import rasterio.crs

    with _opening(source) as opened:
        _refuse_uncovered(opened, rasterio.crs.CRS.from_wkt(site.crs.to_wkt()), site, frontage)


@contextmanager
def _opening(source: str | Path) -> Iterator["_Source"]:
    """The elevation model for as long as the block lasts. Raises TerrainError."""
    import rasterio
    import rasterio.errors

    if str(source) == JACKSBORO:
        yield _jacksboro()
        return
    path = Path(source)
    if not path.is_file():
        raise TerrainError(f"{path}: no such file; expected an elevation model such as a GeoTIFF")
    try:
        with rasterio.open(path) as dataset:
            yield _opened(dataset, str(path))
    except rasterio.errors.RasterioError as error:
        raise TerrainError(f"{path}: not a raster that can be read: {error}") from None


def _opened(dataset: Any, name: str) -> _Source:
    import rasterio

    if dataset.crs is None:
        raise TerrainError(
            f"{name}: has no coordinate reference system; expected one, so that it lies where it belongs "
            "(gdal_edit.py -a_srs EPSG:… sets it)"
        )
    if dataset.transform.is_identity:
        raise TerrainError(
            f"{name}: is not georeferenced (no geotransform); expected an elevation model with its place on earth"
        )
    if not dataset.crs.is_geographic and not math.isclose(dataset.crs.linear_units_factor[1], 1.0, rel_tol=1e-9):
        raise TerrainError(
            f"{name}: counts in {dataset.crs.linear_units_factor[0]}; expected metres (or degrees): "
            "project it and its heights to metres first"
        )
    if dataset.count != 1:
        raise TerrainError(f"{name}: has {dataset.count} bands; expected one band of ground heights in metres")
    unit = (dataset.units[0] or "").strip().lower()
    if unit not in ("", "m", "metre", "metres", "meter", "meters"):
        raise TerrainError(f"{name}: heights are in {dataset.units[0]!r}; expected metres")
    if np.dtype(dataset.dtypes[0]).kind not in "iuf":
        raise TerrainError(f"{name}: holds {dataset.dtypes[0]} values; expected heights in metres")
    digest = hashlib.sha256()
    with open(dataset.name, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return _Source(
        name,
        rasterio.band(dataset, 1),
        dataset.transform,
        dataset.crs,
        dataset.shape,
        dataset.nodata,
        digest.hexdigest(),
    )


def _jacksboro() -> _Source:
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
    return _Source(JACKSBORO, heights, transform, crs, heights.shape, None, digest)


def _read(
    source: _Source, site: Site, frontage: Frontage, cell: float, margin: float, posting: float | None, le90: float
) -> Terrain:
    import rasterio.crs
    import rasterio.enums
    import rasterio.transform
    import rasterio.warp

    site_crs = rasterio.crs.CRS.from_wkt(site.crs.to_wkt())
    _refuse_uncovered(source, site_crs, site, frontage)
    corners = frontage.belt_outline()
    west, south = (np.floor((corners.min(axis=0) - margin) / cell) * cell).tolist()
    cols, rows = (np.ceil((corners.max(axis=0) + margin - (west, south)) / cell)).astype(int).tolist()
    top_left = rasterio.transform.from_origin(
        site.origin_east + west, site.origin_north + south + rows * cell, cell, cell
    )

    def projected(resampling: Any) -> Floats:
        out = np.full((rows, cols), np.nan, dtype=np.float64)
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

    spacing = _posting(source, site_crs, site, frontage)
    heights = projected(rasterio.enums.Resampling.bilinear)
    # Where several heights make one cell, one that means "unknown" without saying so would hide in their mean.
    methods = rasterio.enums.Resampling
    for extreme in (projected(methods.min), projected(methods.max)) if spacing < cell else (heights,):
        _refuse_implausible(source.name, extreme[::-1], site, west, south, cell)
    heights = np.ascontiguousarray(heights[::-1])
    heights[~np.isfinite(heights)] = np.nan
    heights.setflags(write=False)
    spacing = spacing if posting is None else posting
    digest = hashlib.sha256(
        f"{source.digest} {cell} {west} {south} {rows} {cols} {site.crs.to_wkt()}".encode()
    ).hexdigest()
    return Terrain(heights, cell, west, south, posting=spacing, le90=le90, digest=digest)


def _refuse_implausible(name: str, heights: Floats, site: Site, west: float, south: float, cell: float) -> None:
    """Raises TerrainError where a height is not one of this earth: then it stands for "unknown" and does not say so."""
    with np.errstate(invalid="ignore"):
        wrong = np.argwhere((heights < _LOWEST) | (heights > _HIGHEST))
    if len(wrong) == 0:
        return
    row, col = wrong[0]
    latitude, longitude = site.to_geodetic(west + (col + 0.5) * cell, south + (row + 0.5) * cell)
    raise TerrainError(
        f"{name}: holds a height of {heights[row, col]:g} m at latitude {latitude:.4f}, longitude {longitude:.4f} and {len(wrong)} "
        f"cells like it; expected {_LOWEST:g} to {_HIGHEST:g} m: if it stands for unknown ground, say so "
        "(gdal_edit.py -a_nodata VALUE)"
    )


def _refuse_uncovered(source: _Source, site_crs: Any, site: Site, frontage: Frontage) -> None:
    """Raises TerrainError where the belt leaves the raster, with the chainages at which it does."""
    import rasterio.warp

    chainages = np.linspace(0.0, frontage.length, max(2, int(frontage.length // 25.0) + 2))
    lanes = frontage.lanes(chainages)
    shares = np.linspace(0.0, 1.0, 5)[:, None, None]
    points = (lanes[None, :, 0] * (1.0 - shares) + lanes[None, :, 1] * shares).reshape(-1, 2)
    x, y = rasterio.warp.transform(
        site_crs, source.crs, (points[:, 0] + site.origin_east).tolist(), (points[:, 1] + site.origin_north).tolist()
    )
    col, row = _through(~source.transform, np.array(x), np.array(y))
    inside = (col >= 0.0) & (col <= source.shape[1]) & (row >= 0.0) & (row <= source.shape[0])
    outside = ~inside.reshape(5, -1).all(axis=0)
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
    )


def _through(affine: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """A point or arrays of points through an affine transform."""
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def _bounds(source: _Source) -> tuple[float, float, float, float]:
    rows, cols = source.shape
    corners = [_through(source.transform, *corner) for corner in ((0, 0), (cols, 0), (0, rows), (cols, rows))]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _posting(source: _Source, site_crs: Any, site: Site, frontage: Frontage) -> float:
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
