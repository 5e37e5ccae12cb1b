"""What would close a gap and what ground it lies on, in words and in figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dronewall.report.figures import clean, figure, percent
from dronewall.report.verdict import angle, azimuth_deg, verdict

if TYPE_CHECKING:
    from dronewall.engine.closing import Closer, Lie


def closer_words(closer: Closer) -> str:
    """`P4/cam: outside its view: 12° left of it; turned to azimuth 31° it would be seen with 83 % in a look of 10 s`"""
    said = f"{clean(closer.sensor)}: {verdict(closer.reason, closer.target)}"
    level = closer.level_look
    if closer.miss == "seen" and math.isfinite(level) and percent(level) != percent(closer.look):
        said += f"; with the errors that its pose may have {percent(level)}"
    return said


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
