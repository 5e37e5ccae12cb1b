"""Where the sun stands in the sky: this module alone knows how it moves.

J. Meeus, "Astronomical Algorithms", second edition: the sun's apparent place (chapter 25, "low accuracy", .01 degree),
sidereal time (12), the horizon (13), refraction (16.4, Saemundsson). Good to .02 degree from 1950 to 2100 wherever
the sun stands more than five degrees up; lower the air bends its light as it likes, up and down, not sideways.
"""

import math

_DAY_MS = 86_400_000.0
_EPOCH = 2440587.5  # the Julian day of 1970
_J2000 = 2451545.0
_DELTA_T = 70.0
"""Terrestrial time less UTC [s]: 59 in 1992, 64 in 2003, 69 in 2020. The sun's place moves by 1e-5 degree a second."""
_PARALLAX = math.radians(8.794 / 3600.0)


def equatorial(unix_ms: float) -> tuple[float, float]:
    """The sun's apparent right ascension and declination [rad], of date (Meeus, chapter 25)."""
    t = ((unix_ms / _DAY_MS + _EPOCH - _J2000) + _DELTA_T / 86_400.0) / 36_525.0
    mean_longitude = 280.46646 + t * (36_000.76983 + t * 0.0003032)
    anomaly = math.radians(357.52911 + t * (35_999.05029 - t * 0.0001537))
    centre = (
        (1.914602 - t * (0.004817 + t * 0.000014)) * math.sin(anomaly)
        + (0.019993 - 0.000101 * t) * math.sin(2.0 * anomaly)
        + 0.000289 * math.sin(3.0 * anomaly)
    )
    node = _node(t)
    longitude = math.radians(mean_longitude + centre - 0.00569 - 0.00478 * math.sin(node))
    obliquity = _obliquity(t)
    ascension = math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))
    return ascension % math.tau, math.asin(math.sin(obliquity) * math.sin(longitude))


def sun(unix_ms: float, latitude: float, longitude: float) -> tuple[float, float]:
    """The sun's azimuth, clockwise from true north, and its elevation as the eye sees it, refraction included [rad],
    from a place [rad] at a time.

    tan A = -cos d sin H / (sin d cos f - cos d cos H sin f), with d the declination, H the hour angle west of the
    meridian and f the latitude (Meeus 13.5, turned to count from the north).
    """
    ascension, declination = equatorial(unix_ms)
    days = unix_ms / _DAY_MS + _EPOCH - _J2000
    t = days / 36_525.0
    # Nutation turns the equinox, and what is counted from it.
    equinox = -0.00478 * math.sin(_node(t)) * math.cos(_obliquity(t))
    sidereal = 280.46061837 + 360.98564736629 * days + 0.000387933 * t * t + equinox
    hour = math.radians(sidereal % 360.0) + longitude - ascension
    east = -math.cos(declination) * math.sin(hour)
    north = math.sin(declination) * math.cos(latitude) - math.cos(declination) * math.cos(hour) * math.sin(latitude)
    up = math.sin(declination) * math.sin(latitude) + math.cos(declination) * math.cos(hour) * math.cos(latitude)
    elevation = math.atan2(up, math.hypot(east, north))
    elevation -= _PARALLAX * math.cos(elevation)
    return math.atan2(east, north) % math.tau, elevation + refraction(elevation)


def refraction(elevation: float) -> float:
    """By how much the air at 1010 hPa and 10 degrees Celsius lifts what stands at that true elevation [rad].

    R = 1.02' / tan(h + 10.3 / (h + 5.11)), h in degrees (Saemundsson; Meeus 16.4): .48 degree at the horizon, .016 at
    45 degrees. From a degree below the horizon on it is left as it is there.
    """
    h = max(-1.0, math.degrees(elevation))
    return math.radians(1.02 / 60.0 / math.tan(math.radians(h + 10.3 / (h + 5.11))))


def _node(t: float) -> float:
    """The longitude of the moon's node [rad], by which the earth's axis nods."""
    return math.radians((125.04 - 1934.136 * t) % 360.0)


def _obliquity(t: float) -> float:
    return math.radians(23.4392911 - 0.0130042 * t + 0.00256 * math.cos(_node(t)))
