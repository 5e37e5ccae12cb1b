"""The sensors' physics: how likely one glimpse notices a target, and what more looking cannot exceed.

Each model is a pure function of its parameters, as the node's birth message names them, of the sensor's `resolution`
[1/rad], the slant range [m], the target's exposed height [m], the target, the environment, and of whether the target
stands still. It returns (probability of detection in one independent glimpse, ceiling), both 0 to 1, in the shape of
the ranges. What hides the target, the frustum and the range gates are none of its business.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.radar import albersheim, echo, stated_snr, swerling1

Floats = npt.NDArray[np.float64]
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """What is to be detected: bottom and top above the ground, width [m] and speed [m/s].

    radar_cross_section [m2]; thermal_contrast: what it is warmer or colder than its background [K]; source_level: sound
    pressure at 1 m [dB re 20 uPa, A-weighted]. The defaults are hard to detect, so that a figure nobody gave makes no
    coverage: a small drone's echo, a clothed walker's warmth, a quiet walker's steps.
    """

    name: str
    bottom_agl: float
    top_agl: float
    width: float
    speed: float
    radar_cross_section: float = 0.01
    thermal_contrast: float = 2.0
    source_level: float = 40.0


@dataclass(frozen=True)
class Environment:
    """What the models need to know of weather and light.

    visibility: meteorological [m]; infrared_visibility: where water vapour alone leaves a fiftieth of a thermal
    contrast [m]; temperature [degrees C] and humidity (share of saturation) of the air; noise: the background's sound
    pressure level [dB re 20 uPa, A-weighted].
    """

    visibility: float = math.inf
    night: bool = False
    infrared_visibility: float = math.inf
    temperature: float = 15.0
    humidity: float = 0.7
    noise: float = 40.0


CLEAR_DAY = Environment()
"""No haze, no night, and a mild day's air: what is taken where nobody says otherwise."""


def resolution(model: Parameters, shape: str, hfov: float) -> float | None:
    """Pixels of a camera on its axis, or zones of a PIR, per radian of a field of view hfov wide [rad]; None for
    sensors that have neither.

    A `pyramid` is a pinhole camera: a point at the angle a off the axis lies f tan a beside the picture's middle, so f
    = (pixels / 2) / tan(hfov / 2) is the resolution there (pinhole projection). Off the axis it is finer along the
    radius, by 1 / cos^2 a, which is not claimed. A `sector` has pixels / hfov everywhere, and so has a PIR its zones.
    """
    if "pixels" in model and shape == "pyramid":
        return float(model["pixels"] / 2.0 / math.tan(hfov / 2.0))
    elements = model.get("pixels", model.get("zones"))
    return None if elements is None else float(elements / hfov)


# --- what light and warmth show


def resolved(cycles: npt.ArrayLike, n50: float) -> Floats:
    """Share of observers who detect a target that spans `cycles` resolvable cycles, given all the time they want.

    Target transfer probability function with Johnson's criterion: (N/N50)^E / (1 + (N/N50)^E), E = 2.7 + 0.7 N/N50
    (Johnson 1958; exponent: NVESD, Night Vision thermal imaging systems performance model, 2001). .5 at N50.
    """
    # Past 10 times N50 the share is 1 to the last digit, and the power would overflow.
    ratio = np.clip(np.asarray(cycles, dtype=np.float64) / n50, 0.0, 10.0)
    power = ratio ** (2.7 + 0.7 * ratio)
    return np.asarray(power / (1.0 + power))


def haze(distance: npt.ArrayLike, visibility: float) -> Floats:
    """Contrast that is left after `distance` metres of air: exp(-3.912 R / V), V the meteorological visibility [m]
    (Koschmieder, 2 % contrast).
    """
    return np.asarray(np.exp(-3.912 * np.asarray(distance, dtype=np.float64) / visibility))


def infrared_haze(distance: npt.ArrayLike, visibility: float, infrared_visibility: float) -> Floats:
    """Thermal contrast (8 to 14 um) that is left after `distance` metres of air: haze and water vapour.

    Haze of visibility V has at 10 um the extinction 3.912 / V (10 um / .55 um)^-q, with q by Kruse (1962) and, under
    6 km, by Kim, McArthur and Korevaar (Proc. SPIE 4214, 2001): none of fog's dimming is spared at any wavelength.
    They fitted q to shorter waves; to use it at 10 um is customary and assumed.
    """
    kilometres = visibility / 1000.0
    if kilometres > 50.0:
        q = 1.6
    elif kilometres > 6.0:
        q = 1.3
    elif kilometres > 1.0:
        q = 0.16 * kilometres + 0.34
    else:
        q = max(kilometres - 0.5, 0.0)
    extinction = 3.912 / visibility * (10.0 / 0.55) ** -q + 3.912 / infrared_visibility
    return np.asarray(np.exp(-extinction * np.asarray(distance, dtype=np.float64)))


def _cycles(resolution: float | None, slant: Floats, exposed: Floats, target: Target) -> Floats:
    """Johnson's cycles on the target, two pixels a cycle: N = sqrt(h w) `resolution` / 2R."""
    assert resolution is not None
    return np.asarray(np.sqrt(exposed * target.width) * resolution / (2.0 * np.maximum(slant, 1e-3)))


def camera(
    model: Parameters,
    resolution: float | None,
    slant: Floats,
    exposed: Floats,
    target: Target,
    air: Environment,
    still: bool,
) -> tuple[Floats, Floats]:
    """A day camera: Johnson cycles (`resolved`) through `haze`; the ceiling is that probability, P infinity.

    At night it sees what is lit: up to `illuminated_m`, left out or 0: nothing.
    """
    share = resolved(_cycles(resolution, slant, exposed, target), model["n50"]) * haze(slant, air.visibility)
    if air.night:
        share = np.where(slant <= model.get("illuminated_m", 0.0), share, 0.0)
    return share, share


_THRESHOLD_SNR = 2.8
"""Signal to noise at which half of the observers see a pattern (Rosell and Willson 1973)."""
_NYQUIST_MTF = 0.3
"""Contrast that optics and detector leave at a pixel's Nyquist frequency: sinc(1/2) = .64 of the detector times about
.5 of the optics; assumed for all thermal cameras."""


def thermal(
    model: Parameters,
    resolution: float | None,
    slant: Floats,
    exposed: Floats,
    target: Target,
    air: Environment,
    still: bool,
) -> tuple[Floats, Floats]:
    """A thermal camera: Johnson cycles (`resolved`), as many as the apparent contrast lets it resolve; day and night.

    The minimum resolvable temperature difference at spatial frequency f is S NETD / MTF(f) (Lloyd, Thermal Imaging
    Systems, 1975, chapter 5, the eye's integration left out). Set equal to the contrast that the air leaves, with a
    Gaussian MTF of `_NYQUIST_MTF` at the Nyquist frequency f_N, it gives the finest pattern that is resolved:

        f / f_N = sqrt( ln(contrast / (S NETD)) / ln(1 / MTF(f_N)) ), at most 1; 0 where contrast < S NETD

    The air acts on the contrast and not once more on the probability. The ceiling is that probability, P infinity.
    """
    contrast = abs(target.thermal_contrast) * infrared_haze(slant, air.visibility, air.infrared_visibility)
    over = np.log(np.maximum(contrast / (_THRESHOLD_SNR * model["netd_k"]), 1.0))
    finest = np.sqrt(np.minimum(over / -math.log(_NYQUIST_MTF), 1.0))
    share = resolved(_cycles(resolution, slant, exposed, target) * finest, model["n50"])
    return share, share


# --- radar


def radar(
    model: Parameters,
    resolution: float | None,
    slant: Floats,
    exposed: Floats,
    target: Target,
    air: Environment,
    still: bool,
) -> tuple[Floats, Floats]:
    """A radar: signal to noise falls with R^4 from what a target of 1 m2 gives at `reference_m`: `reference_snr_db`,
    or, left out, what detects with .9 in a glimpse, which is what a maker's range means. `swerling1` where the echo
    is `fluctuating`, else `albersheim`; a glimpse that would raise a false alarm anyway does not count as detection.

    Of a target that is half hidden half the radar cross-section counts. With `speed_min_mps` above 0 it is a Doppler
    radar: it never sees a still target, nor one whose radial speed is lower. The target's heading is not known here,
    it is taken as equally likely in every direction and as lasting: the ceiling is the share of headings with enough
    radial speed, (2/pi) arccos(slowest / speed).
    """
    slowest = model["speed_min_mps"]
    speed = 0.0 if still else target.speed
    if slowest > 0.0 and speed <= slowest:
        return np.zeros_like(slant), np.zeros_like(slant)
    headings = 2.0 / math.pi * math.acos(slowest / speed) if slowest > 0.0 else 1.0
    false_alarm, pulses, fluctuating = model["false_alarm"], model["pulses"], model["fluctuating"]
    reference = model.get("reference_snr_db")
    ratio = stated_snr(false_alarm, pulses, fluctuating) if reference is None else 10.0 ** (reference / 10.0)
    snr = ratio * echo(slant, model["reference_m"], target.radar_cross_section * _exposed_share(exposed, target))
    share = (swerling1 if fluctuating else albersheim)(snr, false_alarm, pulses)
    share = np.clip((share - false_alarm) / (1.0 - false_alarm), 0.0, 1.0)
    return share, np.where(share > 0.0, headings, 0.0)


def _exposed_share(exposed: Floats, target: Target) -> Floats:
    return np.asarray(np.clip(exposed / (target.top_agl - target.bottom_agl), 0.0, 1.0))


# --- sound


def absorption(frequency: float, temperature: float, humidity: float) -> float:
    """What the air takes from a tone [dB/m], at sea level: ISO 9613-1:1993, equations 3 to 5 and B.3.

    frequency [Hz], temperature [degrees C], humidity (share of saturation).
    """
    kelvin = temperature + 273.15
    warmth = kelvin / 293.15
    vapour = 100.0 * humidity * 10.0 ** (4.6151 - 6.8346 * (273.16 / kelvin) ** 1.261)
    oxygen = 24.0 + 4.04e4 * vapour * (0.02 + vapour) / (0.391 + vapour)
    nitrogen = warmth**-0.5 * (9.0 + 280.0 * vapour * math.exp(-4.170 * (warmth ** (-1.0 / 3.0) - 1.0)))
    square = frequency**2
    relaxation = 0.01275 * math.exp(-2239.1 / kelvin) / (oxygen + square / oxygen)
    relaxation += 0.1068 * math.exp(-3352.0 / kelvin) / (nitrogen + square / nitrogen)
    return float(8.686 * square * (1.84e-11 * warmth**0.5 + warmth**-2.5 * relaxation))


def received(source_level: float, slant: npt.ArrayLike, attenuation: float) -> Floats:
    """Sound pressure level at a distance [dB]: L - 20 lg R - alpha R (ISO 9613-2, a point source in the open); within
    1 m of the source its level there.
    """
    distance = np.maximum(np.asarray(slant, dtype=np.float64), 1.0)
    return np.asarray(source_level - 20.0 * np.log10(distance) - attenuation * distance)


def acoustic(
    model: Parameters,
    resolution: float | None,
    slant: Floats,
    exposed: Floats,
    target: Target,
    air: Environment,
    still: bool,
) -> tuple[Floats, Floats]:
    """A microphone that listens for a band around `frequency_hz`: Phi((SNR - threshold_db) / sigma_db).

    The noise is the environment's and the sensor's own (`self_noise_db`), as powers. Sound has no exposed height: what
    shows at all is heard. A target gives off its level moving or still (a drone that hovers): a walker who stops is
    another target.
    """
    level = received(target.source_level, slant, absorption(model["frequency_hz"], air.temperature, air.humidity))
    noise = 10.0 * math.log10(10.0 ** (air.noise / 10.0) + 10.0 ** (model["self_noise_db"] / 10.0))
    share = np.where(exposed > 0.0, _normal((level - noise - model["threshold_db"]) / model["sigma_db"]), 0.0)
    return share, (share > 0.0).astype(np.float64)


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _normal(deviations: Floats) -> Floats:
    """The normal distribution's Phi."""
    return 0.5 * np.asarray(_erfc(-np.asarray(deviations) / math.sqrt(2.0)), dtype=np.float64)


# --- passive infrared, tables

_PIR_CONTRAST, _PIR_AREA = 4.0, 0.7 * 0.25
"""The conditions under which Panasonic states a PIR's range: 4 K, a body of 700 x 250 mm, 1 m/s (EKMB data sheet)."""
_PIR_SIGMA_DB = 3.0
"""Spread of the signal against the threshold: lens, mounting, clothing; assumed."""


def pir(
    model: Parameters,
    resolution: float | None,
    slant: Floats,
    exposed: Floats,
    target: Target,
    air: Environment,
    still: bool,
) -> tuple[Floats, Floats]:
    """A passive infrared sensor: it answers to warmth that crosses from one of its zones into the next, so it never
    sees a still target, nor one as warm as its background.

    The signal is the power that a target smaller than a zone sends: contrast times area over R^2. Relative to a maker's
    conditions (`_PIR_CONTRAST`, `_PIR_AREA`) at the maker's range `reference_m` it is detected with
    Phi(10 lg(signal) / `_PIR_SIGMA_DB`), half there, if in the glimpse it crosses an edge between zones: zones are
    hfov / `zones` wide, the speed across is 2/pi of the speed (all headings alike), and the place in the zone is
    anywhere: min(1, speed across x glimpse / zone's width). Cited for none of this but the conditions: a model.
    """
    if still and moving_only(model):
        return np.zeros_like(slant), np.zeros_like(slant)
    assert resolution is not None
    near = np.maximum(slant, 1e-3)
    warmth = abs(target.thermal_contrast) / _PIR_CONTRAST * exposed * target.width / _PIR_AREA
    signal = warmth * (model["reference_m"] / near) ** 2
    noticed = _normal(10.0 * np.log10(np.maximum(signal, 1e-30)) / _PIR_SIGMA_DB)
    width = near / resolution
    crossed = np.minimum(2.0 / math.pi * target.speed * model["glimpse_s"] / width, 1.0)
    share = noticed * crossed
    return share, (share > 0.0).astype(np.float64)


def table(
    model: Parameters,
    resolution: float | None,
    slant: Floats,
    exposed: Floats,
    target: Target,
    air: Environment,
    still: bool,
) -> tuple[Floats, Floats]:
    """Linear interpolation in a measured table of range; nothing beyond its last range, its first value below its
    first, and of a still target nothing where it was measured to see `moving_only`.

    What is half hidden is taken as half as likely to be noticed in a glimpse; looking on does help, so the ceiling
    is 1.
    """
    if still and moving_only(model):
        return np.zeros_like(slant), np.zeros_like(slant)
    share = np.interp(slant, model["range_m"], model["probability"], right=0.0) * _exposed_share(exposed, target)
    return share, (share > 0.0).astype(np.float64)


Model = Callable[[Parameters, float | None, Floats, Floats, Target, Environment, bool], tuple[Floats, Floats]]
MODELS: dict[str, Model] = {
    "camera": camera,
    "thermal": thermal,
    "radar": radar,
    "acoustic": acoustic,
    "pir": pir,
    "table": table,
}
"""The models by the `kind` that a site file and a birth message name."""
FALLING = frozenset(MODELS) - {"table"}
"""The kinds that never notice a target more surely, nor ever will, from farther off."""


def moving_only(model: Parameters) -> bool:
    """Whether a sensor sees nothing of a target that stands still; all others see it as they see a moving one."""
    if model["kind"] == "radar":
        return bool(model["speed_min_mps"] > 0.0)
    return bool(model["kind"] == "pir" or model.get("moving_only", False))


_POSITIVE = {
    "camera": ("pixels", "n50"),
    "thermal": ("pixels", "n50", "netd_k"),
    "radar": ("reference_m", "pulses", "false_alarm"),
    "acoustic": ("frequency_hz", "sigma_db"),
    "pir": ("reference_m", "zones"),
    "table": (),
}


def fault(model: Parameters) -> str | None:
    """Why the parameters make no model: what came and what was expected; None where they do."""
    kind = model.get("kind", "")
    if kind not in MODELS:
        return f"model kind {kind!r}; expected one of {', '.join(MODELS)}"
    for name in ("glimpse_s", *_POSITIVE[kind]):
        if not model[name] > 0.0:
            return f"{name} is {model[name]}; expected more than 0"
    if kind == "radar" and not model["false_alarm"] <= 0.001:
        return f"false_alarm is {model['false_alarm']}; expected at most 0.001, where Albersheim ends"
    if kind == "table":
        ranges, shares = model["range_m"], model["probability"]
        if not ranges or len(ranges) != len(shares) or any(b <= a for a, b in itertools.pairwise(ranges)):
            return f"{len(ranges)} ranges for {len(shares)} probabilities; expected as many, in rising order"
    return None
