"""Where a sensor looks, from something that stands where everybody knows: a landmark or the sun.

This file alone knows what a sighting is worth. Angles are radians, azimuths from true north.
"""

import math
from typing import Any, NamedTuple

from dronewall.engine.earth import direction, drop
from dronewall.engine.sun import sun

WORST = math.radians(2.0)
"""A direction that is known worse than this [1 sigma] is no survey: the node's own compass has 3 degrees."""
SIGHT = math.radians(0.5)
"""1 sigma of an eye along a housing or through a sight tube (assumed)."""
LENS = 0.02
"""1 sigma of an angle that is read off a picture, of itself: fields of view stand in data sheets to two digits."""
_SUN = math.radians(0.01)  # engine/sun.py
_SLOP = 10.0  # [m] by which a site file and a node may differ without a word


class AlignError(ValueError):
    """A sighting that gives no azimuth, and what to do instead."""


class Eye(NamedTuple):
    """Where the sensor stands: degrees, metres, 1 sigma [m] on each axis and in height. height_amsl None: not known."""

    latitude_deg: float
    longitude_deg: float
    height_amsl: float | None
    sigma: float
    height_sigma: float


class Mark(NamedTuple):
    """What is sighted: its azimuth, its elevation (None: not known), both with 1 sigma [rad]; distance [m], None of
    the sun's.
    """

    name: str
    azimuth: float
    azimuth_sigma: float
    elevation: float | None
    elevation_sigma: float
    distance: float | None


def landmark(eye: Eye, *place_deg: float, height_amsl: float | None = None, sigma: float = 5.0) -> Mark:
    """A landmark at a place (latitude, longitude [degrees]) that is known to `sigma` [m] on each axis.

    Its elevation is atan((h - eye - drop(d)) / d), where both heights AMSL are known. Raises AlignError for a landmark
    so near that its direction is worse than WORST.
    """
    azimuth, distance = direction(eye.latitude_deg, eye.longitude_deg, *place_deg)
    across = math.hypot(eye.sigma, sigma)
    error = math.atan2(across, distance)
    if error > WORST:
        raise AlignError(
            f"landmark {_place(place_deg)}: {distance:.0f} m away, where the post's {eye.sigma:.1f} m and its own "
            f"{sigma:.1f} m make {math.degrees(error):.1f} degrees; expected one farther than "
            f"{across / math.tan(WORST):.0f} m, or places that are known better (--landmark-sigma)"
        )
    elevation, elevation_sigma = None, 0.0
    if height_amsl is not None and eye.height_amsl is not None:
        elevation = math.atan2(height_amsl - eye.height_amsl - float(drop(distance)), distance)
        elevation_sigma = math.atan2(math.hypot(eye.height_sigma, sigma), distance)
    return Mark(f"landmark {_place(place_deg)}", azimuth, error, elevation, elevation_sigma, distance)


def sun_mark(eye: Eye, unix_ms: float, clock_sigma_s: float = 1.0) -> Mark:
    """The sun at a time that is known to `clock_sigma_s` [s]. Raises AlignError where it is below the horizon."""
    place = math.radians(eye.latitude_deg), math.radians(eye.longitude_deg)
    azimuth, elevation = sun(unix_ms, *place)
    if elevation < 0.0:
        raise AlignError(
            f"the sun: {math.degrees(-elevation):.1f} degrees below the horizon at that time; expected a time of "
            "day, in UTC, or a landmark"
        )
    minute_ms = 60_000.0
    later_azimuth, later_elevation = sun(unix_ms + minute_ms, *place)
    turns = abs((later_azimuth - azimuth + math.pi) % math.tau - math.pi) / 60.0  # [rad/s]
    rises = abs(later_elevation - elevation) / 60.0
    # The azimuth of what stands high is told by little: whatever is wrong across the line of sight counts 1 / cos more.
    error = math.hypot(turns * clock_sigma_s, _SUN / math.cos(elevation))
    return Mark("the sun", azimuth, error, elevation, math.hypot(rises * clock_sigma_s, _SUN), None)


class Aligned(NamedTuple):
    """A boresight's azimuth with 1 sigma; its elevation with 1 sigma, None where it was not sighted [rad]."""

    azimuth: float
    azimuth_sigma: float
    elevation: float | None
    elevation_sigma: float


def aligned(mark: Mark, offset: float = 0.0, sight_sigma: float = SIGHT, with_elevation: bool = False) -> Aligned:
    """Where the boresight points whose sight has the mark `offset` to the right [rad].

        sigma^2 = mark's^2 + (sight's / cos(mark's elevation))^2

    Raises AlignError where that is over WORST, and where an elevation is wanted that the mark does not give.
    """
    lifted = math.cos(mark.elevation or 0.0)
    sigma = math.hypot(mark.azimuth_sigma, sight_sigma / max(lifted, 1e-9))
    if sigma > WORST:
        if mark.distance is None and sight_sigma < WORST:
            room = math.sqrt(max(WORST**2 - mark.azimuth_sigma**2, sight_sigma**2))
            least = math.degrees(math.acos(min(1.0, sight_sigma / room)))
            raise AlignError(
                f"{mark.name} stands {math.degrees(mark.elevation or 0.0):.0f} degrees up, so near the zenith that a "
                f"sight of {math.degrees(sight_sigma):.1f} degrees makes {math.degrees(sigma):.1f} in azimuth; "
                f"expected it under {least:.0f} degrees: wait for the morning or the evening, or take a landmark"
            )
        raise AlignError(
            f"{mark.name}: azimuth known to {math.degrees(sigma):.1f} degrees, 1 sigma; expected "
            f"{math.degrees(WORST):.1f} or less: a landmark farther away, or a better sight (--sigma)"
        )
    elevation = None
    if with_elevation:
        if mark.elevation is None:
            raise AlignError(
                f"{mark.name}: its elevation is not known; expected --landmark LAT,LON,AMSL with its height, and a "
                "node that knows its own"
            )
        if offset:
            raise AlignError("--elevation with a mark that is off the boresight; expected the boresight on the mark")
        elevation = mark.elevation
    return Aligned((mark.azimuth - offset) % math.tau, sigma, elevation, math.hypot(mark.elevation_sigma, sight_sigma))


def column_offset(column: float, hfov: float, elevation: float = 0.0, roll: float = 0.0, mark: float = 0.0) -> float:
    """The azimuth from a camera's boresight to a mark, positive to the right [rad]. `column`: where the picture shows
    it, -1 its left edge, 1 its right one; elevation and roll are the camera's, `mark` is the mark's elevation.

    With the mark's direction d, and the camera's forward f and right r, column tan(hfov / 2) = (d.r) / (d.f), which is
    A sin x + B cos x = C in the offset x.

        d = (cos m cos x, cos m sin x, sin m)         x forward along the boresight's azimuth, y right, z up
        f = (cos e, 0, sin e)
        r = (sin e sin r, cos r, -cos e sin r)        rolled, the right side is down
    """
    t = column * math.tan(hfov / 2.0)
    a = math.cos(mark) * math.cos(roll)
    b = math.cos(mark) * (math.sin(elevation) * math.sin(roll) - t * math.cos(elevation))
    c = math.sin(mark) * (math.cos(elevation) * math.sin(roll) + t * math.sin(elevation))
    length = math.hypot(a, b)
    if abs(c) >= length:
        raise AlignError("no direction has that column in the picture: is the elevation of camera and mark right?")
    return math.asin(c / length) - math.atan2(b, a)


def picture_sigma(hfov: float, width: int, offset: float) -> float:
    """1 sigma of an offset that was read off a picture `width` pixels wide [rad]: a pixel, and the lens's share."""
    return math.hypot(hfov / width, LENS * offset)


def change(sensor: str, found: Aligned, tilt: tuple[float, float] | None = None) -> dict[str, Any]:
    """The change of config.json that makes a sensor a surveyed one. `tilt`: its elevation and roll [rad], where its
    angles were a mount's on a board with a compass until now.
    """
    values: dict[str, Any] = {
        "azimuth_source": "survey",
        "azimuth_cdeg": _cdeg(found.azimuth) % 36_000,
        "azimuth_sigma_cdeg": max(1, _cdeg(found.azimuth_sigma)),
    }
    if tilt is not None:
        values |= {"elevation_cdeg": _cdeg(tilt[0]), "roll_cdeg": _cdeg(tilt[1])}
    if found.elevation is not None:
        values |= {
            "elevation_cdeg": _cdeg(found.elevation),
            "tilt_sigma_cdeg": max(1, min(9000, _cdeg(found.elevation_sigma))),
        }
    return {"sensors": {sensor: values}}


def unlike(values: dict[str, Any], change: dict[str, Any]) -> str:
    """What a sensor's report says otherwise than it should after a `change`, in words; empty where it says that."""
    (told,) = change["sensors"].values()
    faults = []
    for key, value in told.items():
        name = key.removesuffix("_cdeg") + "_deg" if key.endswith("_cdeg") else key
        expected = value / 100 if key.endswith("_cdeg") else value
        came = values.get(name)
        same = came == expected if isinstance(came, str) or came is None else abs(came - expected) < 0.005
        if not same:
            faults.append(f"{name} {'missing' if came is None else came}, expected {expected}")
    return "; ".join(faults)


def eye_of(values: dict[str, Any]) -> Eye | None:
    """Where a node says that it stands, in a frustum report's values; None where it does not know."""
    if values.get("position_source") in (None, "none"):
        return None
    return Eye(
        values["latitude_deg"], values["longitude_deg"], values.get("height_amsl_m"),
        values["position_sigma_m"], values["height_sigma_m"],
    )  # fmt: skip


def elsewhere(eye: Eye, *post_deg: float) -> float:
    """How far the node stands from its post of the site [m]; 0 where that is within what is known of it."""
    _, distance = direction(eye.latitude_deg, eye.longitude_deg, *post_deg)
    return distance if distance > _SLOP + 5.0 * eye.sigma else 0.0


def _cdeg(angle: float) -> int:
    return round(100.0 * math.degrees(angle))


def _place(place_deg: tuple[float, ...]) -> str:
    return f"{place_deg[0]:.5f},{place_deg[1]:.5f}"
