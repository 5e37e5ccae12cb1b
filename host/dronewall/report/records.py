"""A Coverage for machines: flat records with unit-suffixed keys, each with all that its figures depend on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dronewall.report import ribbon, routes, trust
from dronewall.report.closing import closing_json
from dronewall.report.cycle_records import cycle_records
from dronewall.report.entries import numbered
from dronewall.report.figures import counted, figure, provenance, sentence, troubled, true_azimuth_deg
from dronewall.report.findings import NOTHING, Findings

if TYPE_CHECKING:
    from dronewall.engine.gaps import Crossing, Gap
    from dronewall.engine.sensors import SensorState
    from dronewall.engine.wall import Coverage, TargetCoverage


def gap_record(coverage: Coverage, target: TargetCoverage, gap: Gap, number: int | None = None) -> dict[str, Any]:
    """One gap with all that its figures depend on, flat and ready for JSON. number: of its entry (`entries`)."""
    own = {
        "id": gap.id,
        "number": number,
        "kind": gap.kind,
        "chainage_from_m": figure(gap.start, 2),
        "chainage_to_m": figure(gap.end, 2),
        "length_m": figure(gap.length, 2),
        "probability_least": figure(gap.probability_least),
        "probability_mean": figure(gap.probability_mean),
        "weakest_chainage_m": figure(gap.weakest, 2),
        "before_probability": figure(gap.before),
        "warning_s": figure(gap.warning, 1),
        "threshold": figure(gap.threshold),
        "unknown_share": figure(gap.unknown),
        "flank": bool(gap.flank),
        "below_resolution": bool(gap.below_resolution),
        "nearest_posts": list(gap.nearest_posts),
    }
    return own | provenance(coverage, target)


def route_record(coverage: Coverage, target: TargetCoverage, which: routes.Which, route: Crossing) -> dict[str, Any]:
    """A route of the whole line with what becomes of those who take it, flat and ready for JSON."""
    own = {
        "route": which,
        "chainage_m": figure(route.chainage, 2),
        "length_m": figure(route.length, 2),
        "duration_s": figure(route.seconds, 1),
        "probability": figure(route.probability),
        "before_probability": figure(route.before),
        "warning_s": figure(route.warning, 1),
        "highest_rate_per_s": figure(route.worst, 9),
        "unknown": bool(route.unknown),
    }
    return own | provenance(coverage, target)


def sensor_record(coverage: Coverage, sensor: SensorState) -> dict[str, Any]:
    """One sensor's state and where it looks, flat and ready for JSON; None where no report says."""
    record: dict[str, Any] = {
        "sensor": sensor.name,
        "post": sensor.post,
        "state": sensor.state,
        "note": sensor.note,
        "moving": bool(sensor.moving),
    }
    frustum = sensor.frustum
    keys = (
        "latitude_deg",
        "longitude_deg",
        "position_sigma_m",
        "eye_amsl_m",
        "eye_agl_m",
        "height_sigma_m",
        "azimuth_deg",
        "azimuth_sigma_deg",
        "elevation_deg",
        "roll_deg",
        "tilt_sigma_deg",
        "shape",
        "hfov_deg",
        "vfov_deg",
        "range_min_m",
        "range_max_m",
    )
    if frustum is None:
        return record | dict.fromkeys(keys)
    latitude, longitude = coverage.site.to_geodetic(frustum.east, frustum.north)
    values = (
        figure(latitude, 7),
        figure(longitude, 7),
        figure(frustum.position_sigma, 2),
        figure(frustum.eye_amsl, 2),
        figure(frustum.eye_agl, 2),
        figure(frustum.height_sigma, 2),
        figure(true_azimuth_deg(coverage, sensor), 2),
        figure(math.degrees(frustum.azimuth_sigma), 2),
        figure(math.degrees(frustum.elevation), 2),
        figure(math.degrees(frustum.roll), 2),
        figure(math.degrees(frustum.tilt_sigma), 2),
        frustum.shape,
        figure(math.degrees(frustum.hfov), 2),
        figure(math.degrees(frustum.vfov), 2),
        figure(frustum.range_min, 2),
        figure(frustum.range_max, 2),
    )
    return record | dict(zip(keys, values, strict=True))


def sensor_said(coverage: Coverage, index: int) -> str:
    """One sensor in words."""
    record = sensor_record(coverage, coverage.sensors[index])
    said = f"{record['sensor']}: {record['state']}"
    if record["azimuth_deg"] is not None:
        said += (
            f", azimuth {record['azimuth_deg']:.0f}° true, elevation "
            f"{record['elevation_deg']:.0f}°, field {record['hfov_deg']:.0f}° x "
            f"{record['vfov_deg']:.0f}°, {record['range_min_m']:.0f} to {record['range_max_m']:.0f} m"
        )
    return said + (f" ({record['note']})" if record["note"] else "")


def target_record(coverage: Coverage, target: TargetCoverage) -> dict[str, Any]:
    """The totals of one target, with all that they depend on."""
    record: dict[str, Any] = {
        "frontage_m": figure(coverage.frontage.length, 2),
        "covered_share": figure(target.covered_share),
        "unknown_share": figure(target.unknown_share),
    }
    for kind in ribbon.KINDS:
        listed = ribbon.gaps(target, kind)
        longest = max(listed, key=lambda gap: gap.length, default=None)
        record[f"{kind}_gap_count"] = len(listed)
        record[f"{kind}_gap_total_m"] = figure(sum(gap.length for gap in listed), 2)
        record[f"{kind}_gap_longest_m"] = figure(longest.length, 2) if longest else 0.0
        record[f"{kind}_gap_longest_id"] = longest.id if longest else None
    return record | provenance(coverage, target)


def summary(coverage: Coverage, found: Findings = NOTHING) -> dict[str, Any]:
    """The totals per target and level, the sensors heard and missing, and the sentence."""
    worst = {} if found.worst_loss is None else {"worst_loss": _worst(coverage, *found.worst_loss)}
    return {
        "sentence": sentence(coverage, found.worst_loss),
        **worst,
        "targets": [target_record(coverage, target) for target in coverage.targets],
        "sensors_total": len(coverage.sensors),
        "sensors_heard": len(counted(coverage)),
        "sensors_troubled": [
            {"sensor": sensor.name, "state": sensor.state, "note": sensor.note} for sensor in troubled(coverage)
        ],
    }


def _worst(coverage: Coverage, name: str, metres: float) -> dict[str, Any]:
    """The loss that opens most against the first target, as expected."""
    return {"name": name, "opens_breach_m": figure(metres, 1), "target": coverage.targets[0].target.name}


def as_json(coverage: Coverage, found: Findings = NOTHING) -> dict[str, Any]:
    """Everything a machine may want, ready for `json.dumps`: summary, gaps, routes, sensors, posts, and where it was
    asked how far to trust that. nan has become None.
    """
    posts = []
    for name, chainage in ribbon.post_chainages(coverage):
        latitude, longitude = coverage.site.to_geodetic(*coverage.posts[name])
        posts.append(
            {
                "post": name,
                "chainage_m": figure(chainage, 2),
                "latitude_deg": figure(latitude, 7),
                "longitude_deg": figure(longitude, 7),
            }
        )
    return {
        "dronewall": provenance(coverage) | {"what": "coverage"},
        "summary": summary(coverage, found),
        "gaps": [
            gap_record(coverage, target, gap, number) | closing_json(found, gap)
            for number, target, gap in numbered(coverage)
        ],
        "routes": [
            route_record(coverage, target, which, route) | _line(coverage, route)
            for target in coverage.targets
            for which, route in routes.whole(target)
        ],
        "sensors": [sensor_record(coverage, sensor) for sensor in coverage.sensors],
        "posts": posts,
        **({"trust": trust.as_json(found.trust)} if found.trust else {}),
        **({"cycle": cycle_records(found.cycle)} if found.cycle is not None else {}),
    }


def _line(coverage: Coverage, route: Crossing) -> dict[str, Any]:
    """Where a route goes, from the threat's side."""
    latitude, longitude = coverage.site.to_geodetic(route.points[:, 0], route.points[:, 1])
    return {
        "latitude_deg": [figure(value, 7) for value in latitude],
        "longitude_deg": [figure(value, 7) for value in longitude],
    }
