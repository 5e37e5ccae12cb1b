"""A Coverage as a GeoTIFF in the site's CRS: a band of detection probability per target and level, nan unknown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from dronewall.report import figures, files, ribbon

if TYPE_CHECKING:
    from dronewall.engine.wall import Coverage


def write_geotiff(coverage: Coverage, path: str | os.PathLike[str]) -> None:
    """Write P_look of every target and level as float32, north up, tiled and deflated; the band's description is the
    target's name, with the word `assured` where that is the level.

    OutputError where `path` holds a file that is not ours.
    """
    import rasterio
    from rasterio.transform import from_origin

    terrain, site = coverage.terrain, coverage.site
    rows, columns = terrain.ground_amsl.shape
    top = site.origin_north + terrain.south + rows * terrain.cell
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(coverage.targets),
        "height": rows,
        "width": columns,
        "crs": rasterio.CRS.from_user_input(site.crs),
        "transform": from_origin(site.origin_east + terrain.west, top, terrain.cell, terrain.cell),
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
                TIFFTAG_SOFTWARE=f"{files.MAKER} {coverage.version}",
                TIFFTAG_IMAGEDESCRIPTION=f"{coverage.scenario.site.name}: probability to detect within "
                f"{coverage.scenario.thresholds.look_s:g} s, modelled",
                **_tags(figures.provenance(coverage)),
            )
            for band, target in enumerate(coverage.targets, start=1):
                # rasters begin in the north, the site's arrays in the south
                raster.write(np.asarray(target.look, dtype=np.float32)[::-1], band)
                raster.set_band_description(band, ribbon.name(target))
                raster.update_tags(band, **_tags(figures.provenance(coverage, target)))
        # GDAL does not say that the disk was full when it closed the file: what cannot be read again is no answer.
        with rasterio.open(draft) as written:
            for band in written.indexes:
                written.read(band)


def _tags(values: dict[str, object]) -> dict[str, str]:
    return {f"DRONEWALL_{key.upper()}": str(value) for key, value in values.items() if value is not None}
