"""What the sun brings to a tilted panel, month by month: closed forms by latitude, and how clear the sky is.

Duffie and Beckman, "Solar Engineering of Thermal Processes" (4th ed.), whose equations are named; angles in radians,
latitude and declination positive in the north; energies in kWh/m2 a day, which are hours of a sun of 1 kW/m2 ("peak sun
hours"). Horizons are flat: what a hill or a tree takes is not in it.
"""

import math

SOLAR_CONSTANT = 1.367  # kW/m2 (section 1.2)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MEAN_DAYS = (17, 47, 75, 105, 135, 162, 198, 228, 258, 288, 318, 344)
"""The day of the year whose extraterrestrial radiation is the month's mean (Klein 1977; table 1.6.1)."""
ALBEDO = 0.2  # of the ground without snow (section 2.19)


def declination(day: float) -> float:
    """Of the sun [rad] on a day of the year, 1 to 365 (Cooper 1969; equation 1.6.1a)."""
    return math.radians(23.45) * math.sin(math.tau * (284.0 + day) / 365.0)


def sunset(latitude: float, sun: float) -> float:
    """Hour angle of sunset [rad] for a declination, from solar noon (1.6.10): 0 in the polar night, pi in its day."""
    return math.acos(min(max(-math.tan(latitude) * math.tan(sun), -1.0), 1.0))


def extraterrestrial(latitude: float, day: float) -> float:
    """What falls on a horizontal square metre above the air in a day [kWh/m2] (1.10.3)."""
    latitude = _off_the_pole(latitude)
    sun = declination(day)
    turn = sunset(latitude, sun)
    near = 1.0 + 0.033 * math.cos(math.tau * day / 365.0)
    height = math.cos(latitude) * math.cos(sun) * math.sin(turn) + turn * math.sin(latitude) * math.sin(sun)
    return max(24.0 / math.pi * SOLAR_CONSTANT * near * height, 0.0)


def diffuse_share(clearness: float, turn: float) -> float:
    """Of a month's radiation, the share that comes from all the sky (Erbs et al. 1982; 2.12.1), by clearness index and
    sunset. The fit is for clearnesses of 0.3 to 0.8; beyond them its ends stay.
    """
    k = min(max(clearness, 0.3), 0.8)
    if turn <= math.radians(81.4):
        return 1.391 - 3.560 * k + 4.189 * k**2 - 2.137 * k**3
    return 1.311 - 3.022 * k + 3.427 * k**2 - 1.821 * k**3


def beam_ratio(latitude: float, tilt: float, day: float) -> float:
    """Direct sun on a panel that faces the equator, over that on level ground, in a day (2.19.3); 0 without sun."""
    latitude, sun = _off_the_pole(latitude), declination(day)
    towards = latitude - math.copysign(tilt, latitude)
    level = sunset(latitude, sun)
    panel = min(level, sunset(towards, sun))
    below = math.cos(latitude) * math.cos(sun) * math.sin(level) + level * math.sin(latitude) * math.sin(sun)
    if below <= 1e-9:
        return 0.0
    above = math.cos(towards) * math.cos(sun) * math.sin(panel) + panel * math.sin(towards) * math.sin(sun)
    return max(above / below, 0.0)


def sun_hours(latitude: float, tilt: float, day: float, clearness: float, albedo: float = ALBEDO) -> float:
    """Mean peak sun hours a day on a panel that faces the equator (Liu and Jordan 1962; Klein 1977; 2.19.1).

    tilt: from the horizontal [rad]; clearness: of what falls above the air, the share that reaches level ground.
    """
    level = clearness * extraterrestrial(latitude, day)
    share = diffuse_share(clearness, sunset(_off_the_pole(latitude), declination(day)))
    sky, ground = (1.0 + math.cos(tilt)) / 2.0, (1.0 - math.cos(tilt)) / 2.0
    return level * ((1.0 - share) * beam_ratio(latitude, tilt, day) + share * sky + albedo * ground)


def by_month(latitude: float, tilt: float, clearness: tuple[float, ...]) -> list[float]:
    """Mean peak sun hours a day of each month. clearness: one for all, or twelve."""
    clear = clearness * 12 if len(clearness) == 1 else clearness
    return [sun_hours(latitude, tilt, day, each) for day, each in zip(MEAN_DAYS, clear, strict=True)]


def _off_the_pole(latitude: float) -> float:
    """At the pole itself the tangent has no value."""
    return math.copysign(min(abs(latitude), math.radians(89.99)), latitude)
