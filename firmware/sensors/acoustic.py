"""A microphone on I2S, InvenSense INMP441: something is louder than the place usually is.

Written from InvenSense "INMP441" (DS-INMP441-00, Rev. 1.1), sections "Specifications" (-26 dB of full scale at
94 dB of sound pressure: full scale is 120 dB) and "I2S Data Interface" (24 bits, the first of 32; with L/R low the
left channel). Not tried on a chip.

Every 100 ms the driver hears 32 ms (512 samples at 16 kHz): what it listens for, engines and rotors, lasts for
seconds. The band is the difference of two one-pole low passes, whose corners are about the sampling rate over 2 pi
2**n. The level is that of the mean of the rectified band: right for a sine, 1 dB low for noise, and 2 dB low in the
middle of three octaves, where the skirts of the low passes meet. It costs 512 turns of a loop of some 40 byte codes:
by their count about 20 ms on the ESP32, a fifth of its time; no float and no allocation in it.

The background is the level that is exceeded four times in five: it rises by 0.1 dB a second and falls by 0.4.
"""

import asyncio
from array import array

import clock
from log import once
from micropython import const

_RATE = const(16_000)
_SAMPLES = const(512)
_WARM = const(128)  # samples until the filters have settled
_SHIFT = const(6)  # the filters' fraction
_POLL_MS = const(68)  # and 32 to hear
_LEARN = const(30)  # blocks
_FULL_CDB = const(12_000)  # sound pressure of full scale
_SINE_CDB = const(392)  # the mean of a rectified sine is 2 / pi of its peak
_CORNERS_HZ = const(2546)  # over 2**n: the rate over 2 pi
_EIGHTHS = (0, 102, 194, 277, 352, 422, 486, 546, 602)  # 2000 * log10(1 + i / 8)


def options(section):
    """(shift of the upper corner, of the lower one, threshold [cdB], hold [ms], repeat [ms])"""
    section.claim("driver", "i2s")
    shifts = []
    for key, hz in (("high_hz", 637), ("low_hz", 80)):
        hz = section.integer(key, 40, 1273, hz)
        shifts.append(min([(abs((_CORNERS_HZ >> n) - (hz or 0)), n) for n in range(1, 7)])[1])
    if shifts[0] >= shifts[1]:
        section.problem("low_hz", hz, "an octave under high_hz expected")
    return (
        shifts[0],
        shifts[1],
        section.integer("threshold_cdb", 100, 6000, 900),
        section.integer("hold_ms", 100, 60_000, 1000),
        (section.integer("repeat_s", 1, 600, 10) or 0) * 1000,
    )


def decibels(value):
    """2000 * log10(value) of a number under 2**30, within 3; 0 of 0."""
    octave = 0
    while value >> octave > 1:
        octave += 1
    part = (value >> octave - 9 if octave > 9 else value << 9 - octave) - 512
    if part < 0:
        return 0
    low = _EIGHTHS[part >> 6]
    return octave * 60_206 // 100 + low + ((_EIGHTHS[(part >> 6) + 1] - low) * (part & 63) >> 6)


def level(samples, high, low):
    """The level [cdB of sound pressure] of the band between two low passes (their shifts); None where every sample is
    the same: no microphone.

    `samples`: 512 words of 32 bits as 1024 of 16, the low half first. The low halves are passed over: 16 bits reach
    down to the microphone's own noise, and no number here needs more than 30.
    """
    one = two = samples[1] << _SHIFT
    total = alike = 0
    for i in range(3, 2 * _SAMPLES, 2):
        sample = samples[i] << _SHIFT
        one += (sample - one) >> high
        two += (sample - two) >> low
        if i > 2 * _WARM:
            total += abs(one - two) >> 1
        if samples[i] == samples[1]:
            alike += 1
    if alike == _SAMPLES - 1:
        return None
    # Full scale is 2**15.
    return decibels(total) - decibels((_SAMPLES - _WARM) << 14 + _SHIFT) + _SINE_CDB + _FULL_CDB


class Background:
    """How loud the place usually is; `step` is given each block's level [cdB]."""

    def __init__(self, threshold_cdb, hold_ms, repeat_ms):
        self._threshold_cdb = threshold_cdb
        self._hold_ms = hold_ms
        self._repeat_ms = repeat_ms
        self._blocks = self._usual = self._now = 0
        self._since = self._told = None

    def step(self, cdb, uptime):
        """How far over the background it is [cdB], when that is to be told; else None. `uptime` in ms."""
        self._blocks += 1
        if self._blocks <= _LEARN:
            self._usual = self._now = min(cdb, self._usual) if self._blocks > 1 else cdb
            return None
        self._now += (cdb - self._now) >> 2
        self._usual += 1 if cdb > self._usual else -4
        over = self._now - self._usual
        if over < self._threshold_cdb:
            self._since = None
            return None
        if self._since is None:
            self._since = uptime
        if uptime - self._since < self._hold_ms:
            return None
        if self._told is not None and uptime - self._told < self._repeat_ms:
            return None
        self._told = uptime
        return over


async def watch(settings, detected, trouble):
    """Listens for ever."""
    high, low = settings[:2]
    background = Background(*settings[2:])
    samples = array("h", [0] * (2 * _SAMPLES))
    microphone = once("board").microphone(_RATE, 4096)
    while True:
        # What waits there fills it at once; only the first time it takes the 32 ms.
        microphone.readinto(samples)
        cdb = level(samples, high, low)
        trouble("no sound at all" if cdb is None else None)
        over = cdb and background.step(cdb, clock.uptime_ms())
        if over:
            detected(min(950, 500 + over // 5))
        await asyncio.sleep_ms(_POLL_MS)
