"""The INMP441 microphone on I2S: words of 32 bits, the upper 24 sound; InvenSense DS-INMP441-00.

It hears the intruders: each a tone of 200 Hz of so many dB at 1 m (a drone 80, a vehicle 90), over the noise of the
place, 40 dB.
"""

import math

from world import world

_LOUD = {"drone": 80, "vehicle": 90, "aircraft": 110, "boat": 90}
_NOISE = 40
_FULL = 120  # [dB] of sound pressure at full scale


def _amplitude(decibels):
    return 32768 * 10 ** ((decibels - _FULL) / 20)


class Device:
    def __init__(self, rate):
        self._turn = 2 * math.pi * 200 / rate
        self._phase = 0

    def fill(self, samples):
        """Puts sound into 16-bit halves, the low one of each word first."""
        here = world()
        peak = 0
        for east, north, up, _, kind in here.targets():
            metres = max(1, math.sqrt(east * east + north * north + up * up) / 100)
            if kind in _LOUD:
                peak += _amplitude(_LOUD[kind]) / metres
        noise = _amplitude(_NOISE)
        drift = here.noise() % 1
        for i in range(1, len(samples), 2):
            self._phase += self._turn
            # Noise that is cheap to make: the golden ratio's multiples, spread over an interval.
            drift = (drift + 0.618034) % 1
            samples[i] = int(peak * math.sin(self._phase) + 3.46 * noise * (drift - 0.5))
        self._phase %= 2 * math.pi
