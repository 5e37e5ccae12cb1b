"""A Coverage as GeoJSON (RFC 7946): longitude, latitude in WGS 84, right-hand rings, bbox.

Every feature has a `type` property to filter by: frontage, belt, gap, lane, crossing, route, station, post, sensor. All
figures that depend on the target, the thresholds and the terrain carry them along, so that one feature alone
still says what it means.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dronewall.report import figures, files, records, ribbon, routes
from dronewall.report.closing import closing_flat
from dronewall.report.entries import numbered
from dronewall.report.findings import NOTHING, Findings

if TYPE_CHECKING:
    from dronewall.engine.gaps import Gap
    from dronewall.engine.wall import Coverage, TargetCoverage

_MOST_STATIONS = 5000
_DIGITS = 7  # 1e-7 degree is a centimetre, as on the wire


def features(coverage: Coverage, told: Findings = NOTHING) -> dict[str, Any]:
    """The FeatureCollection: frontage, belt, gaps, the worst lane of every lane gap and the best crossing of every
    breach gap, the weakest route and the one with the least bottleneck, stations, sensors, posts.

    Stations are left out where they are more than 5000: the file is for looking at the gaps.
    """
    from dronewall.engine.frustum import outline

    frontage = coverage.frontage
    found = [
        feature(
            coverage,
            "frontage",
            "LineString",
            frontage.points,
            {"length_m": figures.figure(frontage.length, 2)} | figures.provenance(coverage),
        ),
        feature(
            coverage,
            "belt",
            "Polygon",
            frontage.belt_outline(),
            {"belt_front_m": frontage.front, "belt_behind_m": frontage.behind},
        ),
    ]
    for number, target, gap in numbered(coverage):
        record = records.gap_record(coverage, target, gap, number) | closing_flat(told, gap)
        place = ribbon.stretch(frontage, gap.start, gap.end)
        found.append(feature(coverage, "gap", "LineString", place, record))
        if gap.kind != "line":
            found.append(_way(coverage, target, gap, number))
    for target in coverage.targets:
        for which, route in routes.whole(target):
            record = records.route_record(coverage, target, which, route)
            found.append(feature(coverage, "route", "LineString", route.points, record))
    count = sum(len(target.stations.chainage) for target in coverage.targets)
    for target in coverage.targets if count <= _MOST_STATIONS else ():
        at = target.stations
        own = {key: value for key, value in figures.provenance(coverage, target).items() if key in _STATION_KEYS}
        for index, chainage in enumerate(at.chainage):
            values = {
                "chainage_m": figures.figure(chainage, 2),
                "line_probability": figures.figure(at.line_p[index]),
                "lane_probability": figures.figure(at.lane_p[index]),
                "lane_before_probability": figures.figure(at.lane_before[index]),
                "lane_warning_s": figures.figure(at.lane_warning[index], 1),
                "breach_probability": figures.figure(at.breach_p[index]),
                "breach_before_probability": figures.figure(at.breach_before[index]),
                "breach_warning_s": figures.figure(at.breach_warning[index], 1),
                "unknown": bool(at.unknown[index]),
                "lane_unknown": bool(at.lane_unknown[index]),
                "breach_unknown": bool(at.breach_unknown[index]),
            }
            found.append(feature(coverage, "station", "Point", [at.east[index], at.north[index]], values | own))
    for sensor in coverage.sensors:
        record = records.sensor_record(coverage, sensor)
        record |= {"input_hash": coverage.digest, "version": coverage.version}
        if sensor.frustum is not None:
            found.append(feature(coverage, "sensor", "Polygon", outline(sensor.frustum), record))
        else:
            # RFC 7946, 3.2: a feature without a place has a null geometry; the list of sensors stays complete
            found.append({"type": "Feature", "geometry": None, "properties": {"type": "sensor"} | record})
    for name, chainage in ribbon.post_chainages(coverage):
        found.append(
            feature(
                coverage,
                "post",
                "Point",
                coverage.posts[name],
                {"name": name, "chainage_m": figures.figure(chainage, 2)},
            )
        )
    collection: dict[str, Any] = {
        "type": "FeatureCollection",
        "name": f"{coverage.scenario.site.name} gaps",
        files.MAKER: figures.provenance(coverage),
    }
    boxes = [bounds(each["geometry"]) for each in found if each["geometry"] is not None]
    collection["bbox"] = [
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    ]
    collection["features"] = found
    return collection


def write_geojson(coverage: Coverage, path: str | os.PathLike[str], told: Findings = NOTHING) -> None:
    """Write `features`, one a line; OutputError where `path` holds a file that is not ours."""
    collection = features(coverage, told)
    lines = [json.dumps(feature, ensure_ascii=False, allow_nan=False) for feature in collection.pop("features")]
    head = json.dumps(collection, ensure_ascii=False, allow_nan=False)[:-1]
    files.write_text(path, f'{head}, "features": [\n' + ",\n".join(lines) + "\n]}\n")


_STATION_KEYS = (
    "target",
    "level",
    "look_s",
    "speed_mps",
    "line_p",
    "lane_p",
    "belt_front_m",
    "belt_behind_m",
    "posting_m",
    "input_hash",
    "version",
)


def _way(coverage: Coverage, target: TargetCoverage, gap: Gap, number: int) -> dict[str, Any]:
    """The lane, or the best crossing, at the station where a gap is weakest."""
    at = target.stations
    station = routes.weakest_station(target, gap)
    if gap.kind == "lane":
        kind, place = "lane", at.lane[station]
        before, warning, dark = at.lane_before, at.lane_warning, at.lane_unknown
    else:
        kind, place = "crossing", routes.crossing(coverage, target, station)
        before, warning, dark = at.breach_before, at.breach_warning, at.breach_unknown
    values = {
        "gap": gap.id,
        "number": number,
        "chainage_m": figures.figure(at.chainage[station], 2),
        "length_m": figures.figure(np.hypot(*np.diff(place, axis=0).T).sum(), 2),
        f"{gap.kind}_probability": figures.figure(at.probability(gap.kind)[station]),
        "before_probability": figures.figure(before[station]),
        "warning_s": figures.figure(warning[station], 1),
        "unknown": bool(dark[station]),
    }
    return feature(coverage, kind, "LineString", place, values | figures.provenance(coverage, target))


def feature(coverage: Coverage, kind: str, geometry: str, place: Any, properties: dict[str, Any]) -> dict[str, Any]:
    """A feature from site metres: (2,) for a Point, (n, 2) else; a Polygon's ring is closed and turned as the
    RFC wants.
    """
    points = np.atleast_2d(np.asarray(place, dtype=float))
    if geometry == "Polygon":
        points = _ring(points)
    latitude, longitude = coverage.site.to_geodetic(points[:, 0], points[:, 1])
    pairs = [[round(float(x), _DIGITS), round(float(y), _DIGITS)] for x, y in zip(longitude, latitude, strict=True)]
    coordinates: Any = pairs[0] if geometry == "Point" else [pairs] if geometry == "Polygon" else pairs
    return {
        "type": "Feature",
        "geometry": {"type": geometry, "coordinates": coordinates},
        "properties": {"type": kind} | properties,
    }


def _ring(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring closed, and counter-clockwise (RFC 7946, 3.1.6)."""
    if not np.array_equal(points[0], points[-1]):
        points = np.concatenate([points, points[:1]])
    east, north = points.T
    area = np.sum(east[:-1] * north[1:] - east[1:] * north[:-1])
    return points[::-1] if area < 0 else points


def bounds(geometry: dict[str, Any]) -> tuple[float, float, float, float]:
    pairs = geometry["coordinates"]
    if geometry["type"] == "Point":
        pairs = [pairs]
    elif geometry["type"] == "Polygon":
        pairs = pairs[0]
    x, y = zip(*pairs, strict=True)
    return min(x), min(y), max(x), max(y)
