"""What a Coverage amounts to, in figures and in one sentence, and where every figure comes from."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dronewall.report import ribbon

if TYPE_CHECKING:
    from dronewall.engine.cycle import TargetCycle
    from dronewall.engine.gaps import Crossing, Gap
    from dronewall.engine.sensors import SensorState
    from dronewall.engine.wall import Coverage, Source, TargetCoverage

_SOUND = ("planned", "heard", "landed")
_OUT = ("missing", "refused", "landed")


def provenance(coverage: Coverage, target: TargetCoverage | TargetCycle | None = None) -> dict[str, Any]:
    """All that a figure depends on, flat, with unit-suffixed keys; with `target` also what it holds for."""
    scenario, terrain = coverage.scenario, coverage.terrain
    thresholds = scenario.thresholds
    found: dict[str, Any] = {
        "site": scenario.site.name,
        "source": coverage.source,
        "level": target.level if target is not None else levels(coverage),
        "confidence_per_sensor": thresholds.confidence if target is None or target.level == "assured" else None,
        "at_unix_ms": coverage.at_unix_ms,
        "at_utc": utc(coverage.at_unix_ms),
        "plan_s": coverage.at_s if plan_moment(coverage) else None,
        "line_p": thresholds.line_p,
        "lane_p": thresholds.lane_p,
        "look_s": thresholds.look_s,
        "k": thresholds.k,
        "count_p": thresholds.count_p if thresholds.k > 1 else None,
        "gap_min_m": thresholds.gap_min_m,
        "lateral_m": thresholds.lateral_m,
        "going_slope": scenario.going.slope,
        "going_cost": scenario.going.cost is not None,
        "going_impassable": scenario.going.impassable is not None,
        "belt_front_m": coverage.frontage.front,
        "belt_behind_m": coverage.frontage.behind,
        "posting_m": terrain.posting,
        "le90_m": terrain.le90,
        "cell_m": terrain.cell,
        "crs": crs_name(coverage),
        "input_hash": coverage.digest,
        "version": coverage.version,
    }
    if target is not None:
        wanted = target.target
        found |= {
            "target": wanted.name,
            "target_bottom_agl_m": wanted.height_agl_m[0],
            "target_top_agl_m": wanted.height_agl_m[1],
            "target_width_m": wanted.width_m,
            "speed_mps": wanted.speed_mps,
        }
    return {key: _plain(value) for key, value in found.items()}


def crs_name(coverage: Coverage) -> str:
    """The site's CRS as `EPSG:n`, or as WKT where it has no number."""
    site = coverage.site
    return f"EPSG:{site.epsg}" if site.epsg else str(site.crs.to_wkt())


def utc(unix_ms: int | None) -> str | None:
    """`2026-03-01T12:00:00Z` of milliseconds since 1970, None of None."""
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def figure(value: float | None, digits: int = 4) -> float | None:
    """A float rounded for output; None where it is None, nan or infinite (JSON knows neither)."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)


def percent(value: float | None) -> str:
    """`11 %` of 0.11; `unknown` of nan. Never rounds up to certainty nor down to none."""
    if value is None or not math.isfinite(value):
        return "unknown"
    if 0 < value < 0.005:
        return "< 1 %"
    if 0.995 <= value < 1:
        return "> 99 %"
    return f"{100 * value:.0f} %"


def metres(length: float) -> str:
    """`412 m` below 1 km, `8.1 km` from there on."""
    return f"{length:.0f} m" if round(length) < 1000 else f"{length / 1000:.1f} km"


def kilometres(chainage: float, digits: int = 2) -> str:
    """A chainage as people say it: `3.42`."""
    return f"{chainage / 1000:.{digits}f}"


def span(gap: Gap, between: str = "–") -> str:
    """From where to where a gap reaches, in km: `3.42–4.10`; to the metre where it is under 100 m."""
    digits = 2 if gap.length >= 100.0 else 3
    return kilometres(gap.start, digits) + between + kilometres(gap.end, digits)


def clock(seconds: float | None) -> str:
    """A time as people read it off a watch: `45 s`, from a minute on `6:19`; `none` of None."""
    if seconds is None or not math.isfinite(seconds):
        return "none"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02}"


def moment(seconds: float) -> str:
    """A time in the drones' plan: `0:45`, `12:30`, from an hour on `1:02:30`."""
    whole = round(seconds)
    sign, whole = ("-" if whole < 0 else ""), abs(whole)
    if whole < 3600:
        return f"{sign}{whole // 60}:{whole % 60:02}"
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def true_azimuth_deg(coverage: Coverage, sensor: SensorState) -> float:
    """The sensor's azimuth clockwise from true north [degrees, 0..360)."""
    frustum = sensor.frustum
    assert frustum is not None
    # grid azimuth = true azimuth - convergence (earth.py)
    return math.degrees(frustum.azimuth + coverage.site.convergence(frustum.east, frustum.north)) % 360.0


def number_of(count: int, noun: str) -> str:
    """`1 line gap`, `3 line gaps`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def drone_places(coverage: Coverage) -> dict[str, tuple[float, float]]:
    """East and north [site m] of the drones that are known to be somewhere, by name."""
    return {
        sensor.name.split("/")[0]: (sensor.frustum.east, sensor.frustum.north)
        for sensor in coverage.sensors
        if sensor.moving and sensor.frustum is not None
    }


def notes(gap: Gap) -> list[str]:
    """What to know about a gap besides its figures, in words."""
    said = []
    if gap.unknown > 0:
        said.append("terrain unknown" if gap.unknown >= 1 else f"{percent(gap.unknown)} of it unknown")
    if gap.flank:
        said.append("flank")
    if gap.below_resolution:
        said.append("below resolution")
    return said


def counted(coverage: Coverage) -> list[SensorState]:
    """The sensors that the coverage counts."""
    return [sensor for sensor in coverage.sensors if sensor.state not in _OUT]


def troubled(coverage: Coverage) -> list[SensorState]:
    """The sensors that somebody should look after: missing, refused, stale or suspect."""
    return [sensor for sensor in coverage.sensors if sensor.state not in _SOUND]


def landed(coverage: Coverage) -> list[SensorState]:
    """The sensors of drones that are on the ground, as the plan has it."""
    return [sensor for sensor in coverage.sensors if sensor.state == "landed"]


def troubles(coverage: Coverage) -> str:
    """`P4/cam missing, P5/cam stale and 3 more`; empty where nothing is the matter."""
    found = troubled(coverage)
    said = ", ".join(f"{sensor.name} {sensor.state}" for sensor in found[:3])
    return said + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def levels(coverage: Coverage) -> str:
    """The levels that there are figures of: `expected, assured`."""
    return ", ".join(dict.fromkeys(target.level for target in coverage.targets))


def level(coverage: Coverage) -> str:
    """What the first figures are, and where the poses come from, in words."""
    when = plan_moment(coverage)
    return f"expected over the sensors' errors, {poses(coverage.source)}{f', {when}' if when else ''}"


def plan_moment(coverage: Coverage) -> str:
    """Which moment of the drones' plan it is: `at 11:40 of the drones' plan`; empty where no drone flies as planned."""
    if coverage.at_s is None or not any(sensor.moving for sensor in coverage.sensors):
        return ""
    return f"at {moment(coverage.at_s)} of the drones' plan"


def poses(source: Source, at_unix_ms: int | None = None) -> str:
    """Where poses come from, and of what time: `planned`, `recorded, 2026-03-01T12:00:00Z`."""
    said = "planned" if source == "plan" else source
    return said if at_unix_ms is None else f"{said}, {utc(at_unix_ms)}"


def assurance(coverage: Coverage) -> str:
    """What `assured` means here, in words."""
    confidence = coverage.scenario.thresholds.confidence
    return f"Assured: each sensor at its worst within its own {percent(confidence)} region of pose and terrain errors"


def assured(coverage: Coverage, target: TargetCoverage) -> TargetCoverage | None:
    """What is assured of the same target; None where that was not computed."""
    return next(
        (other for other in coverage.targets if other.level == "assured" and other.target.name == target.target.name),
        None,
    )


def at_once(coverage: Coverage) -> str:
    """How many nodes must see a place, in a sentence; nothing where one is enough."""
    thresholds = coverage.scenario.thresholds
    if thresholds.k == 1:
        return ""
    return (
        f"A place counts as seen where at least {thresholds.k} nodes each detect with {thresholds.count_p:g} in a look."
    )


def posting(coverage: Coverage) -> str:
    """The spacing of the terrain's heights, in words."""
    spacing = coverage.terrain.posting
    return f"{spacing:.0f} m" if math.isfinite(spacing) else "not given"


def sensors_phrase(coverage: Coverage) -> str:
    """`17 of 18 sensors heard`; for a plan, which hears nobody, `18 sensors planned` or `17 of 18 sensors count`."""
    total, heard = len(coverage.sensors), len(counted(coverage))
    if coverage.source == "plan" and heard == total:
        return f"{number_of(total, 'sensor')} planned"
    return f"{heard} of {number_of(total, 'sensor')} {'count' if coverage.source == 'plan' else 'heard'}"


def sentence(coverage: Coverage, worst_loss: tuple[str, float] | None = None) -> str:
    """What a tired person has to know: how much of the line is open, where it is weakest, who is silent.

    The gaps are the breach gaps: where somebody who picks his way gets through. worst_loss: `Findings.worst_loss`.
    """
    said = [_target_sentence(coverage, target) for target in coverage.at_level("expected")]
    when = plan_moment(coverage)
    if when and said:
        # A target's name keeps its letters.
        first = said[0] if len(said) > 1 else said[0][0].lower() + said[0][1:]
        said[0] = f"{when[0].upper()}{when[1:]}, {first}"
    # It holds for the first target, and stands beside what is said of that.
    said[1:1] = loss_said(worst_loss)
    unknown = max((target.unknown_share for target in coverage.targets), default=0.0)
    if unknown > 0:
        said.append(f"{metres(unknown * coverage.frontage.length)} unknown for want of terrain, and counted as open.")
    silent = troubled(coverage)
    if silent:
        said.append(f"{sensors_phrase(coverage)}; {troubles(coverage)}.")
    return " ".join(said)


def loss_said(worst_loss: tuple[str, float] | None) -> list[str]:
    """`Losing P4 opens 600 m more.`; nothing where no loss opens any."""
    if worst_loss is None or not worst_loss[1] > 0.0:
        return []
    return [f"Losing {worst_loss[0]} opens {metres(worst_loss[1])} more."]


def _target_sentence(coverage: Coverage, target: TargetCoverage) -> str:
    whole = metres(coverage.frontage.length)
    listed = ribbon.gaps(target, "breach")
    said = f"{target.target.name}: " if len(coverage.at_level("expected")) > 1 else ""
    if listed:
        said += f"{number_of(len(listed), 'gap')}, {metres(sum(gap.length for gap in listed))} of {whole}"
    else:
        least = coverage.scenario.thresholds.gap_min_m
        said += f"{'no' if said else 'No'} gap{f' of {metres(least)} or more' if least else ''} in {whole}"
    sure = assured(coverage, target)
    if sure is not None:
        said += f" (assured: {_open(coverage, sure)})"
    if target.weakest is None:
        return f"{said}."
    return f"{said}. {crossing_said(coverage, target.weakest)}."


def crossing_said(coverage: Coverage, way: Crossing) -> str:
    """`Weakest crossing at km 3.42: 11 % chance of being seen`; says where it is on the flank or nobody knows the
    ground.
    """
    lateral = coverage.scenario.thresholds.lateral_m
    flank = " (flank)" if min(way.chainage, coverage.frontage.length - way.chainage) < lateral else ""
    dark = ", over unknown ground" if way.unknown else ""
    where = f"km {kilometres(way.chainage)}{flank}"
    return f"Weakest crossing at {where}: {percent(way.probability)} chance of being seen{dark}"


def _open(coverage: Coverage, target: TargetCoverage) -> str:
    """How much of the line is open, in a few words."""
    total = sum(gap.length for gap in ribbon.gaps(target, "breach"))
    if total == 0.0:
        return "no gap"
    return "all of it open" if total >= coverage.frontage.length - 0.5 else f"{metres(total)} open"


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str | int) or value is None:
        return value
    return figure(float(value), 6)
