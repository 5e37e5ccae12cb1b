"""How somebody on foot gets on over the ground: a raster of what slows him down, and polygons that he cannot enter.

Both end in one layer, `Terrain.slowness`: by how much longer each cell takes than open ground, inf where nobody goes.
A walker goes straight from middle to middle of cells. A cell is impassable where a polygon holds its middle; and where
a polygon lies across the way between two middles, as a stream narrower than a cell does, the one of the two cells that
holds more of it is impassable as well. So no walker slips through a connected polygon, and none is widened:

    . . # | .        # middle in the polygon      the two # that touch at a corner are crossed by nobody where the
    . # o | .        o closes the corner          polygon runs on through the corner; where it does not, that corner
    # o . | .                                     is a ford
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.earth import Site
from dronewall.engine.frontage import Frontage
from dronewall.engine.terrain import Source, Terrain, TerrainError, opening, uncovered_parts

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rings = list[Floats]
"""A polygon's rings, the outer one first, (n, 2) each."""

QUICKEST, SLOWEST = 0.05, 1000.0
"""Nothing lets a walker be 20 times as quick; where he is a thousand times as slow he does not go."""

_FINE = 5
"""Squares along a cell's edge in which polygons are looked for; odd, so that one of them holds the cell's middle."""
_ROWS = 256
"""Rows of cells that are looked at together."""
_STRAIGHT = 0.02
"""A polygon's edges are straight in latitude and longitude [degrees]: longer ones are cut, and stay so to 0.1 m."""
_MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class Polygons:
    """The polygons of a file: the rings of each in longitude and latitude [degrees], and the file's digest."""

    name: str
    rings: tuple[Rings, ...]
    digest: str


def with_going(
    terrain: Terrain,
    site: Site,
    frontage: Frontage,
    cost: str | Path | None = None,
    impassable: str | Path | None = None,
) -> Terrain:
    """The terrain with its `slowness`; as it was where neither file is given.

    cost: a raster of how much longer a cell takes than open ground, brought to the cells by the nearest of its own;
    without data, and beyond its edge, 1. impassable: GeoJSON (RFC 7946) with polygons. Raises TerrainError where a file
    cannot be read or holds what cannot be meant, and for a raster that does not touch the belt.
    """
    if cost is None and impassable is None:
        return terrain
    notes = list(terrain.notes)
    digest = hashlib.sha256(terrain.digest.encode())
    slowness = np.ones(terrain.shape)
    if cost is not None:
        with opening(cost, "how much longer a cell takes, 1 on open ground") as opened:
            slowness = _costs(opened, terrain, site, frontage, notes)
        digest.update(b"cost" + opened.digest.encode())
    if impassable is not None:
        found = polygons_of(impassable)
        closed = covered(terrain, projected(found, terrain, site))
        digest.update(b"impassable" + found.digest.encode())
        share = _share(closed, terrain, frontage)
        if not share:
            notes.append(f"{found.name}: none of its {len(found.rings)} polygons lies on the belt")
        else:
            notes.append(f"{found.name}: nobody on foot goes on {max(share, 0.01):.0%} of the belt")
        slowness[closed] = math.inf
    slowness.setflags(write=False)
    return replace(terrain, slowness=slowness, notes=tuple(notes), digest=digest.hexdigest())


def check(site: Site, frontage: Frontage, cost: str | Path | None = None, impassable: str | Path | None = None) -> None:
    """Raises TerrainError where `with_going` would, the raster's values apart: they are not looked at."""
    if cost is not None:
        with opening(cost, "how much longer a cell takes, 1 on open ground") as opened:
            uncovered_parts(opened, site, frontage)
    if impassable is not None:
        polygons_of(impassable)


def _share(cells: Bools, terrain: Terrain, frontage: Frontage) -> float:
    """Share of the belt that lies on these cells (north, east), looked at once a cell along it and across."""
    stations = frontage.stations(terrain.cell)
    share = np.linspace(0.0, 1.0, max(2, int(frontage.depth / terrain.cell) + 1))[None, :, None]
    hit, count = 0, 0
    for first in range(0, len(stations), _ROWS):
        lanes = frontage.lanes(stations[first : first + _ROWS])
        points = lanes[:, None, 0] * (1.0 - share) + lanes[:, None, 1] * share
        rows, cols = terrain.cells(points[..., 0], points[..., 1])
        hit += int(cells[rows, cols][rows >= 0].sum())
        count += int((rows >= 0).sum())
    return hit / max(count, 1)


def _costs(opened: Source, terrain: Terrain, site: Site, frontage: Frontage, notes: list[str]) -> Floats:
    """The raster on the terrain's cells, 1 where it says nothing; adds to `notes` where it ends on the belt."""
    import rasterio.crs
    import rasterio.enums
    import rasterio.transform
    import rasterio.warp

    chainages, outside = uncovered_parts(opened, site, frontage)
    rows, cols = terrain.shape
    found = np.full((rows, cols), np.nan)
    north = site.origin_north + terrain.south + rows * terrain.cell
    rasterio.warp.reproject(
        opened.data,
        found,
        src_transform=opened.transform,
        src_crs=opened.crs,
        src_nodata=opened.nodata,
        dst_transform=rasterio.transform.from_origin(
            site.origin_east + terrain.west, north, terrain.cell, terrain.cell
        ),
        dst_crs=rasterio.crs.CRS.from_wkt(site.crs.to_wkt()),
        dst_nodata=np.nan,
        resampling=rasterio.enums.Resampling.nearest,
    )
    found = np.ascontiguousarray(found[::-1])
    wrong = np.argwhere((found < QUICKEST) | (found > SLOWEST))
    if len(wrong):
        row, col = wrong[0]
        columns, lines = terrain.centres
        latitude, longitude = site.to_geodetic(columns[col], lines[row])
        raise TerrainError(
            f"{opened.name}: says {found[row, col]:g} at latitude {latitude:.4f}, longitude {longitude:.4f} and in "
            f"{len(wrong) - 1} more cells; expected how much longer a cell takes than open ground, {QUICKEST:g} to "
            f"{SLOWEST:g}: where nobody can go belongs into going.impassable, and what stands for unknown must say so "
            "(gdal_edit.py -a_nodata VALUE)"
        )
    unknown = np.isnan(found)
    if outside.any():
        first, last = chainages[outside][[0, -1]] / 1000.0
        notes.append(
            f"{opened.name}: does not cover the whole belt between km {first:.2f} and km {last:.2f}; where it ends, "
            "the ground counts as open (1)"
        )
    elif share := _share(unknown, terrain, frontage):
        notes.append(f"{opened.name}: says nothing about {max(share, 0.01):.0%} of the belt; it counts as open (1)")
    found[unknown] = 1.0
    return found


def polygons_of(path: str | Path) -> Polygons:
    """The polygons of a GeoJSON file (RFC 7946): a FeatureCollection, a Feature or a geometry. Raises TerrainError."""
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TerrainError(f"{path}: {path.stat().st_size / 1e6:.0f} MB; expected at most {_MOST_BYTES >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise TerrainError(f"{path}: cannot be read ({error.strerror}); expected GeoJSON with polygons") from None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TerrainError(f"{path}: not JSON ({error}); expected GeoJSON with polygons") from None
    if not isinstance(document, dict):
        raise TerrainError(f"{path}: holds {_kind(document)}; expected GeoJSON: a FeatureCollection with polygons")
    frame = document.get("crs")
    if frame is not None and not any(name in json.dumps(frame) for name in ("CRS84", "4326")):
        raise TerrainError(
            f"{path}: its crs is {json.dumps(frame)[:80]}; expected longitude and latitude, WGS 84 (RFC 7946)"
        )
    rings = [each for where, geometry in _geometries(document, str(path)) for each in _polygons(geometry, where)]
    return Polygons(str(path), tuple(rings), hashlib.sha256(content).hexdigest())


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, dict):
        return f"a {value['type'][:40]}" if isinstance(value.get("type"), str) else "an object without a type"
    return {list: "a list", str: "a string", type(None): "null", bool: "a truth value"}.get(type(value), "a number")


def _geometries(document: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Where each geometry stands, and itself."""
    kind = document.get("type")
    if kind == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise TerrainError(f"{name}: features: {_kind(features)}; expected a list of Features")
        for index, feature in enumerate(features):
            where = f"{name}: features[{index}]"
            if not isinstance(feature, dict) or feature.get("type") != "Feature":
                raise TerrainError(f"{where}: {_kind(feature)}; expected a Feature")
            if feature.get("geometry") is not None:  # a feature may lie nowhere
                yield f"{where}.geometry", feature["geometry"]
    elif kind == "Feature":
        if document.get("geometry") is not None:
            yield f"{name}: geometry", document["geometry"]
    else:
        yield name, document


def _polygons(geometry: Any, where: str) -> Iterator[Rings]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise TerrainError(f"{where}: {_kind(geometry)}; expected a Polygon or a MultiPolygon")
    parts = geometry.get("coordinates")
    for index, part in enumerate(parts if kind == "MultiPolygon" and isinstance(parts, list) else [parts]):
        at = f"{where}.coordinates[{index}]" if kind == "MultiPolygon" else f"{where}.coordinates"
        if not isinstance(part, list):
            raise TerrainError(f"{at}: {_kind(part)}; expected a list of rings")
        if part:
            yield [_ring(ring, f"{at}[{number}]") for number, ring in enumerate(part)]


def _ring(ring: Any, where: str) -> Floats:
    try:
        points = np.array([point[:2] for point in ring], dtype=np.float64)
    except (TypeError, ValueError, IndexError, KeyError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4 or not np.isfinite(points).all():
        raise TerrainError(f"{where}: not a ring; expected 4 or more positions [longitude, latitude], in degrees")
    if (points[0] != points[-1]).any():
        raise TerrainError(f"{where}: ends elsewhere than it begins; expected a closed ring (RFC 7946, 3.1.6)")
    worst = np.abs(points).max(axis=0)
    if worst[0] > 180.0 or worst[1] > 90.0:
        swapped = "; are latitude and longitude swapped?" if worst[0] <= 90.0 and worst[1] <= 180.0 else ""
        raise TerrainError(
            f"{where}: reaches to {points[np.abs(points).max(axis=1).argmax()].tolist()}; expected longitude and "
            f"latitude in degrees, WGS 84{swapped}"
        )
    return points


def projected(found: Polygons, terrain: Terrain, site: Site) -> list[Rings]:
    """The polygons that may touch the terrain, in site metres. Raises TerrainError where one reaches too far away."""
    west, east, south, north = terrain.extent
    edge = np.linspace(0.0, 1.0, 17)
    along_east, along_north = west + edge * (east - west), south + edge * (north - south)
    latitudes, longitudes = site.to_geodetic(
        np.concatenate((along_east, along_east, np.full(17, west), np.full(17, east))),
        np.concatenate((np.full(17, south), np.full(17, north), along_north, along_north)),
    )
    middle = float(longitudes[0])
    around = (longitudes - middle + 180.0) % 360.0 - 180.0
    kept = []
    for number, rings in enumerate(found.rings):
        outer = rings[0]
        aside = (outer[:, 0] - middle + 180.0) % 360.0 - 180.0
        apart = aside.min() > around.max() + 0.01 or aside.max() < around.min() - 0.01
        over = outer[:, 1].min() > latitudes.max() + 0.01 or outer[:, 1].max() < latitudes.min() - 0.01
        if over or (apart and np.ptp(aside) < 180.0):
            continue
        places = []
        for ring in rings:
            steps = np.maximum(np.ceil(np.abs(np.diff(ring, axis=0)).max(axis=1) / _STRAIGHT), 1.0)
            at = np.concatenate(([0.0], np.cumsum(steps)))
            cut = np.arange(at[-1] + 1.0)
            x, y = site.to_site(*(np.interp(cut, at, ring[:, axis]) for axis in (1, 0)))
            places.append(np.stack((x, y), axis=-1))
        if not all(np.isfinite(place).all() for place in places):
            raise TerrainError(
                f"{found.name}: polygon {number} reaches farther than the site's grid goes ({site.crs.name}); "
                "expected it cut to the surroundings of the frontage"
            )
        kept.append(places)
    return kept


def covered(terrain: Terrain, polygons: list[Rings]) -> Bools:
    """The cells (north, east) that polygons, in site metres, let nobody enter."""
    rows, cols = terrain.shape
    closed = np.zeros((rows, cols), dtype=np.bool_)
    shapes = [{"type": "Polygon", "coordinates": [ring.tolist() for ring in rings]} for rings in polygons]
    spans = [(rings[0][:, 1].min(), rings[0][:, 1].max()) for rings in polygons]
    for first in range(0, rows, _ROWS):
        # One row more, for the ways to it; the next piece sees what this one closed there.
        last = min(first + _ROWS + 1, rows)
        low, high = (terrain.south + row * terrain.cell for row in (first, last))
        some = [shape for shape, span in zip(shapes, spans, strict=True) if span[0] <= high and span[1] >= low]
        if some:
            closed[first:last] |= _closed(terrain, some, first, last, closed[first:last])
    return closed


def _closed(terrain: Terrain, shapes: list[dict[str, Any]], first: int, last: int, before: Bools) -> Bools:
    """The impassable cells of some rows. before: those of them that are closed already."""
    import rasterio.features
    import rasterio.transform

    rows, cols = last - first, terrain.shape[1]

    def burnt(times: int, touched: bool) -> Bools:
        edge = terrain.cell / times
        top_left = rasterio.transform.from_origin(terrain.west, terrain.south + last * terrain.cell, edge, edge)
        found = rasterio.features.rasterize(
            shapes, (rows * times, cols * times), transform=top_left, all_touched=touched, dtype=np.uint8
        )
        return np.asarray(found[::-1] != 0)

    closed = burnt(1, False) | before
    fine = burnt(_FINE, True)
    much = fine.reshape(rows, _FINE, cols, _FINE).sum(axis=(1, 3))
    half = _FINE // 2
    # Whether something lies between two middles: the squares on the straight way from one to the other.
    steps = np.arange(_FINE + 1)
    for up, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = slice(0, rows - up), slice(max(-right, 0), cols - max(right, 0))
        there = slice(up, rows), slice(max(right, 0), cols + min(right, 0))
        cut = np.zeros((rows - up, cols - abs(right)), dtype=np.bool_)
        for step in steps:
            row, col = half + step * up, half + step * right + _FINE * max(-right, 0)
            cut |= fine[row::_FINE, col::_FINE][: rows - up, : cols - abs(right)]
        cut &= ~closed[here] & ~closed[there]
        if up and right:
            # Where one of the cells beside the corner is open, the way round it is.
            beside = (slice(0, rows - 1), there[1]), (slice(1, rows), here[1])
            cut &= closed[beside[0]] & closed[beside[1]]
        more = much[here] >= much[there]
        closed[here] |= cut & more
        closed[there] |= cut & ~more
    return closed
