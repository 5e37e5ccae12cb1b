"""What a radio link loses between two antennas over the terrain, and how much of its Fresnel zone is free.

    loss = free space (ITU-R P.525-4) + diffraction (ITU-R P.526-15) + canopy (ITU-R P.833-10)

Radio waves bend with k = 0.25 (`earth.RADIO`, an earth of 4/3 its radius), light with 0.13. The losses are medians over
a path: neither fading, reflections (two rays), rain nor noise by others are in it; that is what a link's margin is for.
Powers and losses are in dB, dBm and dBi here, as everywhere in the field; all else in metres and hertz.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dronewall.engine.earth import RADIO, RADIUS, drop
from dronewall.engine.profile import share_under, why
from dronewall.engine.terrain import Terrain

Floats = npt.NDArray[np.float64]

LIGHT_SPEED = 299_792_458.0
CLEAR = 0.6
"""Share of the first Fresnel zone that has to be free for a loss as in free space (ITU-R P.530, 2.2.2 [check]; P.526's
knife edge loses nothing from 0.55 on)."""

_NEAREST = 1.0
"""Antennas nearer to each other count as this far apart [m]."""
_LOWEST = 0.1
"""An antenna on the ground counts as this high above it [m]: the formulas for a sphere know no lower one."""
_PERMITTIVITY, _CONDUCTIVITY = 22.0, 0.003
"""Average land (ITU-R P.526-15, 3.1.1; P.527), relative and [S/m]."""

CANOPY_DB_PER_M = 0.4
"""Of a short way through trees in leaf at 2.4 GHz: read off ITU-R P.833-10, figure 2 [check]; thinner woods less."""


@dataclass(frozen=True)
class Rate:
    """What a radio can at one rate: power [dBm] that it sends with, weakest signal [dBm] that it understands."""

    name: str
    power_dbm: float
    sensitivity_dbm: float


RATES = {
    rate.name: rate
    for rate in (
        Rate("b1", 19.5, -97.0),
        Rate("b11", 19.5, -88.0),
        Rate("g6", 18.0, -92.0),
        Rate("g54", 14.0, -75.0),
        Rate("mcs0", 18.0, -92.0),
        Rate("mcs7", 13.0, -72.0),
    )
}
"""Wi-Fi of an ESP32 at 2.4 GHz and 20 MHz: Espressif, ESP32-WROOM-32E/32UE Datasheet v1.6, tables "Transmitter
Characteristics" and "Receiver Characteristics" [check]; b1: 802.11b at 1 Mbit/s, g54: 802.11g at 54, mcs7: 802.11n.
"""


def free_space_loss(distance: float, frequency: float) -> float:
    """Basic transmission loss [dB] in free space: 20 lg(4 pi d / lambda) (ITU-R P.525-4)."""
    return 20.0 * math.log10(4.0 * math.pi * max(distance, _NEAREST) * frequency / LIGHT_SPEED)


def fresnel_radius(one: npt.ArrayLike, other: npt.ArrayLike, frequency: float) -> Floats:
    """Radius [m] of the first Fresnel zone so far from the one end and from the other [m] (ITU-R P.526-15, equation 2).

    sqrt(lambda d1 d2 / (d1 + d2)); 0 at the ends.
    """
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return np.asarray(np.sqrt(LIGHT_SPEED / frequency * one * other / (one + other)))


def knife_edge_loss(parameter: float) -> float:
    """Loss [dB] of one knife edge, J(v) (ITU-R P.526-15, equation 31); 6.0 where it just touches the line.

    v = sqrt(2) h / (radius of the first zone), h above the line [m], negative below. 0 under -0.78.
    """
    if parameter <= -0.78:
        return 0.0
    offset = parameter - 0.1
    return max(6.9 + 20.0 * math.log10(math.sqrt(offset * offset + 1.0) + offset), 0.0)


@dataclass(frozen=True)
class Section:
    """The terrain under a link: values from one end (0) to the other (length), ends included, distances rising.

    distance [m]; ground_amsl: what blocks [m], nan where unknown; canopy_amsl: the canopy's top [m], the ground's
    height where there is none.
    """

    distance: Floats
    ground_amsl: Floats
    canopy_amsl: Floats
    refraction: float = RADIO

    @property
    def length(self) -> float:
        """Horizontal distance of the ends [m]."""
        return float(self.distance[-1])

    @property
    def known(self) -> bool:
        """Whether the terrain is known all the way."""
        return not bool(np.isnan(self.ground_amsl).any())

    @cached_property
    def bulge(self) -> Floats:
        """By how much the earth's curve, less refraction, raises the terrain between the ends [m]."""
        if self.length == 0.0:
            return np.zeros(self.distance.shape)
        share = self.distance / self.length
        return np.asarray(share * (1.0 - share) * drop(self.length, self.refraction))

    @cached_property
    def raised_amsl(self) -> Floats:
        """What blocks, as a straight line meets it [m]."""
        return self.ground_amsl + self.bulge


def section_of(
    terrain: Terrain, one: tuple[float, float], other: tuple[float, float], *, refraction: float = RADIO
) -> Section:
    """The terrain between two places (east, north [site m]), at each crossing with a grid line as in `profile`."""
    profile = why(terrain, (*one, 0.0), (*other, 0.0), refraction=refraction)
    within = profile.distance < profile.length
    ends = profile.eye_ground_amsl, profile.target_ground_amsl
    ground = profile.ground_amsl[within]
    tops = [0.0, 0.0]
    if terrain.canopy_amsl is not None:
        tops = [
            float(terrain.between(terrain.canopy_amsl, *place)) - end
            for place, end in zip((one, other), ends, strict=True)
        ]
    tall = np.nan_to_num(profile.canopy[within])
    return Section(
        distance=np.concatenate(([0.0], profile.distance[within], [profile.length])),
        ground_amsl=np.concatenate(([ends[0]], ground, [ends[1]])),
        canopy_amsl=np.concatenate(([ends[0] + tops[0]], ground - profile.surface[within] + tall, [ends[1] + tops[1]])),
        refraction=refraction,
    )


@dataclass(frozen=True)
class Path:
    """A link over a section: its losses, and where it is tightest.

    one_amsl, other_amsl: the antennas [m]. tightest: index of the point of the section where the least share of the
    first Fresnel zone is free; None where there is no point between the ends. clearance [m] there, negative where the
    terrain stands above the straight line, and radius [m] of the zone. The losses [dB] are nan on unknown ground.
    """

    section: Section
    one_amsl: float
    other_amsl: float
    frequency: float
    tightest: int | None
    clearance: float
    radius: float
    free_space: float
    diffraction: float
    canopy: float

    @property
    def loss(self) -> float:
        """Between the antennas, their gains apart [dB]."""
        return self.free_space + self.diffraction + self.canopy

    @property
    def slant(self) -> float:
        """Distance of the antennas [m]."""
        return math.hypot(self.section.length, self.other_amsl - self.one_amsl)

    @property
    def fraction(self) -> float:
        """Clearance as a fraction of the first Fresnel zone's radius where it is tightest; inf where nothing is."""
        return math.inf if self.tightest is None else self.clearance / self.radius

    @property
    def lacking(self) -> float:
        """By how much the ground is too high there for `CLEAR` of the zone to be free [m]; 0 where it is."""
        return max(CLEAR * self.radius - self.clearance, 0.0) if self.tightest is not None else 0.0

    @property
    def line_amsl(self) -> Floats:
        """The straight line between the antennas at each point of the section [m]."""
        length = self.section.length
        share = self.section.distance / length if length > 0.0 else self.section.distance
        return np.asarray(self.one_amsl + share * (self.other_amsl - self.one_amsl))

    @property
    def zone(self) -> Floats:
        """Radius of the first Fresnel zone at each point of the section [m]."""
        if self.section.length == 0.0:
            return np.zeros(self.section.distance.shape)
        return fresnel_radius(self.section.distance, self.section.length - self.section.distance, self.frequency)


def path_over(
    section: Section,
    one_amsl: float,
    other_amsl: float,
    frequency: float,
    *,
    canopy_db_per_m: float = CANOPY_DB_PER_M,
) -> Path:
    """The link between antennas of these heights AMSL [m] at the ends of a section, at a frequency [Hz].

    Diffraction: `diffraction_loss`. Canopy: `canopy_loss` of the metres that the ray over the diffracting edge (the
    straight line where it is free) spends in it. Raises ValueError where a height or the frequency makes no sense.
    """
    if not (math.isfinite(one_amsl) and math.isfinite(other_amsl)):
        raise ValueError(f"antennas at {one_amsl} and {other_amsl} m; expected finite heights")
    if not (math.isfinite(frequency) and frequency > 0.0):
        raise ValueError(f"frequency is {frequency}; expected hertz above 0")
    slant = math.hypot(section.length, other_amsl - one_amsl)
    free_space = free_space_loss(slant, frequency)
    inner = slice(1, -1)
    if section.distance[inner].size == 0:
        known = 0.0 if section.known else math.nan
        return Path(section, one_amsl, other_amsl, frequency, None, math.nan, math.nan, free_space, known, known)
    radius = fresnel_radius(section.distance[inner], section.length - section.distance[inner], frequency)
    share = section.distance / section.length
    clearance = (one_amsl + share * (other_amsl - one_amsl) - section.raised_amsl)[inner]
    fraction = np.where(np.isnan(clearance), math.inf, clearance / radius)
    at = int(fraction.argmin())
    diffraction, canopy = math.nan, math.nan
    if section.known:
        diffraction, edge = _diffraction(section, one_amsl, other_amsl, frequency)
        canopy = canopy_loss(_inside(section, one_amsl, other_amsl, edge), frequency, canopy_db_per_m)
    return Path(
        section, one_amsl, other_amsl, frequency, at + 1, float(clearance[at]), float(radius[at]), free_space,
        diffraction, canopy,
    )  # fmt: skip


def canopy_loss(inside: float, frequency: float, db_per_m: float = CANOPY_DB_PER_M) -> float:
    """Loss [dB] of so many metres inside a canopy: A (1 - exp(-inside db_per_m / A)) (ITU-R P.833-10, equation 1).

    A, what goes around the trees instead: 1.15 f^0.43, f in MHz, measured at Mulhouse from 900 to 2200 MHz (2.1 there).
    """
    most: float = 1.15 * (frequency / 1e6) ** 0.43
    return -most * math.expm1(-inside * db_per_m / most)


def diffraction_loss(section: Section, one_amsl: float, other_amsl: float, frequency: float) -> float:
    """Diffraction loss [dB] of a general path, "delta-Bullington" (ITU-R P.526-15, 4.5), on known ground.

    Bullington's edge, where the horizons of both ends meet, and what a smooth earth of the same mean slope loses more
    than its own such edge.
    """
    return _diffraction(section, one_amsl, other_amsl, frequency)[0]


def _diffraction(
    section: Section, one_amsl: float, other_amsl: float, frequency: float
) -> tuple[float, tuple[float, float] | None]:
    """The loss, and the edge (distance, height AMSL as the straight line meets it [m]), None where none is."""
    distance, length = section.distance[1:-1], section.length
    loss, edge = _bullington(distance, length, section.raised_amsl[1:-1], one_amsl, other_amsl, frequency)
    one_over, other_over = smooth_heights(section, one_amsl, other_amsl)
    smooth, _ = _bullington(distance, length, section.bulge[1:-1], one_over, other_over, frequency)
    sphere = sphere_loss(length, one_over, other_over, frequency, refraction=section.refraction)
    return float(loss + max(sphere - smooth, 0.0)), edge


def _bullington(
    distance: Floats, length: float, raised: Floats, one: float, other: float, frequency: float
) -> tuple[float, tuple[float, float] | None]:
    """Bullington's model for a general path (P.526-15, 4.5.1), with its correction for what stands around the edge."""
    wave = LIGHT_SPEED / frequency
    scale = np.sqrt(2.0 * length / (wave * distance * (length - distance)))
    rising = float(((raised - one) / distance).max())
    straight = (other - one) / length
    falling = float(((raised - other) / (length - distance)).max())
    edge = None
    # Where a point just touches the line both cases are the same.
    if rising <= straight or rising + falling <= 0.0:
        line = (one * (length - distance) + other * distance) / length
        parameter = float(((raised - line) * scale).max())
    else:
        place = (other - one + falling * length) / (rising + falling)
        height = one + rising * place
        edge = place, height
        over = height - (one * (length - place) + other * place) / length
        parameter = over * math.sqrt(2.0 * length / (wave * place * (length - place)))
    loss = knife_edge_loss(parameter)
    return float(loss - math.expm1(-loss / 6.0) * (10.0 + 0.02 * length / 1000.0)), edge


def smooth_heights(section: Section, one: float, other: float) -> tuple[float, float]:
    """Heights of the antennas over the smooth surface that fits the terrain (P.526-15, 4.5.3)."""
    distance, ground, length = section.distance, section.ground_amsl, section.length
    step = np.diff(distance)
    first = float((step * (ground[1:] + ground[:-1])).sum())
    after, before = 2.0 * distance[1:] + distance[:-1], distance[1:] + 2.0 * distance[:-1]
    second = float((step * (ground[1:] * after + ground[:-1] * before)).sum())
    smooth_one = (2.0 * first * length - second) / (length * length)
    smooth_other = (second - first * length) / (length * length)
    inner, along = ground[1:-1], distance[1:-1]
    over = inner - (one * (length - along) + other * along) / length
    highest = float(over.max())
    if highest > 0.0:
        from_one, from_other = float((over / along).max()), float((over / (length - along)).max())
        smooth_one -= highest * from_one / (from_one + from_other)
        smooth_other -= highest * from_other / (from_one + from_other)
    return one - min(smooth_one, float(ground[0])), other - min(smooth_other, float(ground[-1]))


def _inside(section: Section, one: float, other: float, edge: tuple[float, float] | None) -> float:
    """Metres of the ray, over the edge where there is one, that lie in the canopy."""
    tall = section.canopy_amsl - np.where(np.isnan(section.ground_amsl), section.canopy_amsl, section.ground_amsl)
    if not (tall > 0.0).any():
        return 0.0
    distance, length = section.distance, section.length
    if edge is None:
        ray = one + distance / length * (other - one)
    else:
        ray = np.interp(distance, [0.0, edge[0], length], [one, edge[1], other])
    over = ray - section.bulge - section.canopy_amsl
    return share_under(distance / length, over, tall) * math.hypot(length, other - one)


def sphere_loss(
    length: float, one_agl: float, other_agl: float, frequency: float, *, refraction: float = RADIO,
    vertical: bool = True,
) -> float:  # fmt: skip
    """Diffraction loss [dB] over a smooth earth of average land (ITU-R P.526-15, 3.2); 0 where 3.2.1 says so.

    length [m], antennas above the smooth earth [m]; vertical: the polarisation.
    """
    if refraction >= 1.0:
        return 0.0  # the drop is switched off
    earth = RADIUS / (1.0 - refraction)
    one, other = max(one_agl, _LOWEST), max(other_agl, _LOWEST)
    horizon = math.sqrt(2.0 * earth) * (math.sqrt(one) + math.sqrt(other))
    if length >= horizon:
        return _first_term(length, one, other, frequency, earth, vertical)
    c = (one - other) / (one + other)
    m = length * length / (4.0 * earth * (one + other))
    turn = math.acos(min(max(1.5 * c * math.sqrt(3.0 * m / (m + 1.0) ** 3), -1.0), 1.0))
    b = 2.0 * math.sqrt((m + 1.0) / (3.0 * m)) * math.cos(math.pi / 3.0 + turn / 3.0)
    from_one = length / 2.0 * (1.0 + b)
    from_other = length - from_one
    least = (
        (one - from_one * from_one / (2.0 * earth)) * from_other
        + (other - from_other * from_other / (2.0 * earth)) * from_one
    ) / length
    # 17.456 of the recommendation's kilometres: 0.552 of the first Fresnel zone.
    wanted = 17.456 / math.sqrt(1000.0) * math.sqrt(from_one * from_other * LIGHT_SPEED / frequency / length)
    if least > wanted:
        return 0.0
    smaller = 0.5 * (length / (math.sqrt(one) + math.sqrt(other))) ** 2
    return max((1.0 - least / wanted) * _first_term(length, one, other, frequency, smaller, vertical), 0.0)


def _first_term(length: float, one: float, other: float, frequency: float, earth: float, vertical: bool) -> float:
    """The first term of the residue series (P.526-15, 3.1.1), in the kilometres and gigahertz that the constants of
    ITU-R P.452-16, 4.2.2.1 are for.
    """
    f, a, d = frequency / 1e9, earth / 1000.0, length / 1000.0
    loss_term = 18.0 * _CONDUCTIVITY / f
    k: float = 0.036 * (a * f) ** (-1.0 / 3.0) * ((_PERMITTIVITY - 1.0) ** 2 + loss_term**2) ** -0.25
    if vertical:
        k *= math.sqrt(_PERMITTIVITY**2 + loss_term**2)
    beta = (1.0 + 1.6 * k**2 + 0.67 * k**4) / (1.0 + 4.5 * k**2 + 1.53 * k**4)
    x: float = 21.88 * beta * (f / a**2) ** (1.0 / 3.0) * d
    across = 11.0 + 10.0 * math.log10(x) - 17.6 * x if x >= 1.6 else -20.0 * math.log10(x) - 5.6488 * x**1.425
    heights = 0.0
    for height in (one, other):
        y = 0.9575 * beta * (f * f / a) ** (1.0 / 3.0) * height
        over = beta * y
        if over > 2.0:
            gain = 17.6 * math.sqrt(over - 1.1) - 5.0 * math.log10(over - 1.1) - 8.0
        else:
            gain = 20.0 * math.log10(over + 0.1 * over**3)
        heights += max(gain, 2.0 + 20.0 * math.log10(k))
    return -across - heights
