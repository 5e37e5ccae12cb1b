"""A radar's echoes: how strong they are, and how surely they are told from noise."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def echo(slant: npt.ArrayLike, reference: float, cross_section: npt.ArrayLike) -> Floats:
    """Power of a radar echo over that of 1 m2 at the reference range [m]: sigma (R0 / R)^4 (radar equation)."""
    ratio = reference / np.maximum(np.asarray(slant, dtype=np.float64), 1e-3)
    return np.asarray(np.asarray(cross_section, dtype=np.float64) * ratio**4)


def albersheim_db(probability: float, false_alarm: float, pulses: int = 1) -> float:
    """Signal to noise of each of N pulses [dB] that a steady echo needs to be detected with that probability
    (Albersheim 1981; good to .2 dB from .1 to .9 and 1e-7 to 1e-3).

    A = ln(.62/Pfa), B = ln(Pd/(1-Pd)): -5 lg N + (6.2 + 4.54/sqrt(N + .44)) lg(A + .12 A B + 1.7 B).
    """
    a = math.log(0.62 / false_alarm)
    b = math.log(probability / (1.0 - probability))
    factor = 6.2 + 4.54 / math.sqrt(pulses + 0.44)
    return -5.0 * math.log10(pulses) + factor * math.log10(a + 0.12 * a * b + 1.7 * b)


def albersheim(snr: npt.ArrayLike, false_alarm: float, pulses: int = 1) -> Floats:
    """Probability that a steady echo is detected: `albersheim_db` solved for it. snr: of each pulse, a ratio.

    0 where it would be under .1: the formula does not hold there, and nothing is claimed.
    """
    decibel = 10.0 * np.log10(np.maximum(np.asarray(snr, dtype=np.float64), 1e-30))
    a = math.log(0.62 / false_alarm)
    exponent = (decibel + 5.0 * math.log10(pulses)) / (6.2 + 4.54 / math.sqrt(pulses + 0.44))
    b = (10.0 ** np.minimum(exponent, 100.0) - a) / (0.12 * a + 1.7)
    share = 1.0 / (1.0 + np.exp(-np.clip(b, -50.0, 50.0)))
    return np.asarray(np.where(share >= 0.1, share, 0.0))


def swerling1(snr: npt.ArrayLike, false_alarm: float, pulses: int = 1) -> Floats:
    """Probability that an echo is detected which is steady over the N pulses of a glimpse and fluctuates from glimpse
    to glimpse (Swerling case 1, square-law detector). snr: mean of each pulse, a ratio. N = 1: Pfa^(1/(1+SNR)).

    The sum of N pulses is an exponential variable of mean 1 + N SNR plus a gamma variable of order N - 1. It exceeds
    the threshold T with sum_{n<N-1} Pois(n;T) + sum_{n>=N-1} Pois(n;T) b^(n-N+1), b = N SNR / (1 + N SNR); only
    positive terms, so nothing cancels.
    """
    total = pulses * np.asarray(snr, dtype=np.float64)
    if pulses == 1:
        return np.asarray(false_alarm ** (1.0 / (1.0 + total)))
    threshold = _threshold(false_alarm, pulses)
    share = total / (1.0 + total)
    last = int(threshold + 12.0 * math.sqrt(threshold)) + 30
    result = np.zeros_like(share)
    for n in range(last, pulses - 2, -1):
        result *= share
        result += _poisson(n, threshold)
    return np.minimum(result + sum(_poisson(n, threshold) for n in range(pulses - 1)), 1.0)


def _poisson(n: int, mean: float) -> float:
    return math.exp(n * math.log(mean) - mean - math.lgamma(n + 1.0))


@lru_cache(maxsize=64)
def _threshold(false_alarm: float, pulses: int) -> float:
    """The sum of N pulses that noise alone exceeds with the probability of a false alarm: sum_{n<N} Pois(n;T) = Pfa."""
    low, high = 1e-9, pulses + 10.0 * math.sqrt(pulses) + 4.0 * -math.log(false_alarm)
    for _ in range(100):
        middle = (low + high) / 2.0
        if sum(_poisson(n, middle) for n in range(pulses)) > false_alarm:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


@lru_cache(maxsize=64)
def stated_snr(false_alarm: float, pulses: int, fluctuating: bool) -> float:
    """Signal to noise of each pulse (a ratio) behind a maker's range: what detects with .9 in a glimpse."""
    if not fluctuating:
        return float(10.0 ** (albersheim_db(0.9, false_alarm, pulses) / 10.0))
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if swerling1(10.0 ** (middle / 10.0), false_alarm, pulses) < 0.9:
            low = middle
        else:
            high = middle
    return float(10.0 ** ((low + high) / 20.0))
