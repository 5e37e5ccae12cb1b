"""Figures cell by cell as a GeoTIFF in the site's CRS: north up, float32, tiled and deflated, nan where unknown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dronewall.report import cycle as over
from dronewall.report import figures, files, ribbon

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle
    from dronewall.engine.ground import Ground
    from dronewall.engine.wall import Coverage


class _Band(NamedTuple):
    description: str
    values: NDArray[Any]
    tags: dict[str, object]


def write_geotiff(coverage: Coverage, path: str | os.PathLike[str]) -> None:
    """Write P_look, a band for every target and level; the band's description is the target's name, with the word
    `assured` where that is the level.

    OutputError where `path` holds a file that is not ours.
    """
    bands = [_Band(ribbon.name(of), of.look, figures.provenance(coverage, of)) for of in coverage.targets]
    look_s = coverage.scenario.thresholds.look_s
    title = f"{coverage.scenario.site.name}: probability to detect within {look_s:g} s, modelled"
    _write(coverage.ground, (0, 0), bands, title, figures.provenance(coverage), coverage.version, path)


def write_revisit(cycle: Cycle, path: str | os.PathLike[str]) -> None:
    """Write how often each cell of the belt is looked at (`revisit.Revisit`): for every target and level four bands,
    such as `walker assured, watched_share`, then longest_unwatched_s, time_average_gap_s and next_look_s, which is inf
    where it never is looked at.

    OutputError where `path` holds a file that is not ours.
    """
    bands = []
    for of in cycle.targets:
        columns = {
            "watched_share": of.revisit.share,
            "longest_unwatched_s": of.revisit.longest,
            "time_average_gap_s": of.revisit.time_average,
            "next_look_s": of.revisit.next_look,
        }
        told = over.provenance(cycle, of)
        bands += [_Band(f"{over.name(of)}, {name}", values, told) for name, values in columns.items()]
    belt = cycle.ground.belt
    title = f"{cycle.ground.scenario.site.name}: how often places are looked at over {over.whole(cycle)}, modelled"
    _write(cycle.ground, (belt.row, belt.col), bands, title, over.provenance(cycle), cycle.version, path)


def _write(
    ground: Ground,
    first: tuple[int, int],
    bands: Sequence[_Band],
    title: str,
    tags: dict[str, object],
    version: str,
    path: str | os.PathLike[str],
) -> None:
    """Write bands (north, east), row 0 in the south; first: the row and column of the ground's raster that they begin
    at.
    """
    import rasterio
    from rasterio.transform import from_origin

    terrain, site = ground.terrain, ground.site
    rows, columns = bands[0].values.shape
    west = site.origin_east + terrain.west + first[1] * terrain.cell
    top = site.origin_north + terrain.south + (first[0] + rows) * terrain.cell
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(bands),
        "height": rows,
        "width": columns,
        "crs": rasterio.CRS.from_user_input(site.crs),
        "transform": from_origin(west, top, terrain.cell, terrain.cell),
        "nodata": float("nan"),
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 3,
        "interleave": "band",
    }
    with files.replacing(path) as draft:
        with rasterio.open(draft, "w", **profile) as raster:
            raster.update_tags(
                TIFFTAG_SOFTWARE=f"{files.MAKER} {version}", TIFFTAG_IMAGEDESCRIPTION=title, **_tags(tags)
            )
            for number, band in enumerate(bands, start=1):
                # rasters begin in the north, the site's arrays in the south
                raster.write(np.asarray(band.values, dtype=np.float32)[::-1], number)
                raster.set_band_description(number, band.description)
                raster.update_tags(number, **_tags(band.tags))
        # GDAL does not say that the disk was full when it closed the file: what cannot be read again is no answer.
        with rasterio.open(draft) as written:
            for number in written.indexes:
                written.read(number)


def _tags(values: dict[str, object]) -> dict[str, str]:
    return {f"DRONEWALL_{key.upper()}": str(value) for key, value in values.items() if value is not None}
