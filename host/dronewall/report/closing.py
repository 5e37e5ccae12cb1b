"""What would close a gap and what ground it lies on, in words and in figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dronewall.engine.reason import HIGHEST_MAST
from dronewall.report.figures import figure, percent
from dronewall.report.verdict import advised, angle, away, azimuth_deg, blocked, height, verdict
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.closing import Closer, Lie
    from dronewall.engine.gaps import Gap
    from dronewall.report.findings import Findings

NOBODY = "no sensor is near enough"
_LEAST_ANGLE = math.radians(0.05)  # what `angle` does not round to nothing


def closer_words(closer: Closer) -> str:
    """`P4/cam: outside its view: 12° left of it; turned to azimuth 31° it would be seen with 83 % in a look of 10 s`"""
    said = f"{clean(closer.sensor)}: {verdict(closer.reason, closer.target)}"
    level = closer.level_look
    if closer.miss == "seen" and math.isfinite(level) and percent(level) != percent(closer.look):
        said += f"; with the errors that its pose may have {percent(level)}"
    return said + _alone(closer)


def _alone(closer: Closer) -> str:
    """What one sensor that sees a place leaves to be wished where several have to."""
    k = closer.reason.ground.scenario.thresholds.k
    return f", but fewer than {k} nodes do" if k > 1 and closer.miss == "seen" else ""


def closer_brief(closer: Closer) -> str:
    """The same on one line: `P4/cam turned 12° left: 83 %`, `P5/cam reaches 140 m too short`,
    `P7/cam: the ridge at 412 m is 3.1 m too high, mast of 9.0 m`.
    """
    one, name = closer.target, clean(closer.sensor)
    turned = _turned(closer)
    who = f"{name} {turned}" if turned else name
    chance = percent(closer.look)
    if closer.miss == "angle":
        return f"{who}: {chance}"
    if closer.miss in ("range", "far"):
        off = "reaches {} too short" if one.beyond > 0.0 else "stands {} too near"
        said = f"{who} {off.format(away(closer.short) if closer.short >= 9.5 else height(closer.short))}"
        return f"{said}, and {blocked(one)}" if closer.miss == "far" else said
    if closer.miss == "hidden":
        return f"{who}: {blocked(one)}{_mast(closer)}"
    if closer.miss == "faint":
        return (f"{who}: only {chance}" if turned else f"{who} sees it with only {chance}") + _mast(closer)
    if closer.miss == "seen":
        level = percent(closer.level_look)
        errors = f", {level} with its errors" if level not in ("unknown", chance) else ""
        return f"{who} sees it with {chance}{errors}{_alone(closer)}"
    return f"{name}: no ground height at {away(one.profile.first_unknown)}"


def _turned(closer: Closer) -> str:
    """The least turn that brings the place into view: `turned 12° left and tilted 3.1° down`; empty where it is."""
    one, frustum = closer.target, closer.reason.frustum
    said = []
    if abs(one.aside) >= _LEAST_ANGLE:
        said.append(f"turned {angle(abs(one.aside))} {'left' if one.aside < 0.0 else 'right'}")
    tilt = one.above
    if math.isnan(tilt):
        # Nobody can say how far above the view a place beside it is; as in `closing`, the elevation to look at can.
        off = 0.0 if one.turned is None else one.turned.elevation - frustum.elevation
        tilt = math.copysign(max(abs(off) - frustum.vfov / 2.0, 0.0), off)
    # From the mast that sees over a ridge the elevation is another one.
    if abs(tilt) >= _LEAST_ANGLE and closer.miss != "hidden":
        said.append(f"tilted {angle(abs(tilt))} {'up' if tilt > 0.0 else 'down'}")
    if not said and one.turned is not None:
        said.append(f"turned to azimuth {azimuth_deg(closer.reason, one.turned.azimuth):.0f}°")
    return " and ".join(said)


def _mast(closer: Closer) -> str:
    """`, mast of 9 m`: from there the sensor notices the target, or has it in sight at least; whole metres."""
    one = closer.target
    high = one.mast_noticed
    if math.isnan(high) and closer.miss == "hidden":
        high = advised(one)
    if not math.isfinite(high):
        return ""
    if closer.reason.sensor.moving:
        return f", flying at {math.ceil(high)} m"
    return f", mast of {math.ceil(high)} m" if high <= HIGHEST_MAST else ", beyond any mast"


def lie_words(lie: Lie) -> str:
    """`310 to 335 m, slope 5.0° across it, 40 % wooded`"""
    if not math.isfinite(lie.lowest):
        return "unknown ground"
    low, high = round(lie.lowest), round(lie.highest)
    said = [f"{low} to {high} m" if low != high else f"{low} m"]
    said.append(f"slope {angle(lie.across)} across, {angle(lie.along)} along")
    shares = (("wooded", lie.wooded), ("built on", lie.built), ("impassable", lie.impassable), ("unknown", lie.unknown))
    said += [f"{percent(share)} {name}" for name, share in shares if share > 0.0]
    if lie.slowness > 1.05 or lie.slowness < 0.95:
        said.append(f"{lie.slowness:.1f} times as long on foot as open ground")
    return ", ".join(said)


def closer_json(closer: Closer) -> dict[str, Any]:
    """Ready for `json.dumps`: nan has become None. Azimuths from true north."""
    one, turned = closer.target, closer.target.turned
    return {
        "sensor": closer.sensor,
        "miss": closer.miss,
        "words": closer_words(closer),
        "brief": closer_brief(closer),
        "aside_deg": figure(math.degrees(closer.aside), 2),
        "short_m": figure(closer.short, 1),
        "excess_m": figure(one.profile.excess, 2) if closer.miss in ("hidden", "far") else 0.0,
        "mast_to_notice_m": figure(one.mast_noticed, 1),
        "mast_for_top_m": figure(one.mast_top, 2) if closer.miss == "hidden" else None,
        "azimuth_deg": None if turned is None else figure(azimuth_deg(closer.reason, turned.azimuth), 2),
        "elevation_deg": None if turned is None else figure(math.degrees(turned.elevation), 2),
        "look_probability": figure(closer.look),
        "level_look_probability": figure(closer.level_look),
    }


def closing_json(found: Findings, gap: Gap) -> dict[str, Any]:
    """The closers of a gap, the nearest first, and its ground; empty where nobody asked."""
    if gap.id not in found.closing:
        return {}
    near, ground = found.closing[gap.id]
    return {"closers": [closer_json(each) for each in near], "ground": lie_json(ground)}


def closing_flat(found: Findings, gap: Gap) -> dict[str, Any]:
    """The same of the nearest closer alone and without nesting, as maps want it: `closer_words`, `ground_words`..."""
    if gap.id not in found.closing:
        return {}
    near, ground = found.closing[gap.id]
    closer = closer_json(near[0]) if near else {"words": NOBODY, "brief": NOBODY}
    parts = {"closer": closer, "ground": lie_json(ground)}
    return {f"{part}_{key}": value for part, values in parts.items() for key, value in values.items()}


def lie_json(lie: Lie) -> dict[str, Any]:
    """The same of the ground."""
    return {
        "words": lie_words(lie),
        "lowest_amsl_m": figure(lie.lowest, 1),
        "highest_amsl_m": figure(lie.highest, 1),
        "slope_along_deg": figure(math.degrees(lie.along), 2),
        "slope_across_deg": figure(math.degrees(lie.across), 2),
        "wooded_share": figure(lie.wooded),
        "built_share": figure(lie.built),
        "impassable_share": figure(lie.impassable),
        "unknown_share": figure(lie.unknown),
        "slowness": figure(lie.slowness, 3),
    }
