"""Panasonic Grid-EYE AMG8833, 8 x 8 pixels of 7.5 degrees, over I2C: somebody warmer or colder than what is behind him.

Written from Panasonic "Infrared Array Sensor Grid-EYE (AMG88)", section "Register": 00H power control, 01H reset,
80H-FFH pixels 1 to 64, low byte first, 12 bits, two's complement, 0.25 C. Pixel 1 is taken for the top left one as
the sensor looks, pixel 8 for the top right one; `roll_cdeg` of 18000 and `mirrored` are for a sensor that lies
otherwise. Not tried on a chip.

Behind each pixel is a running mean of a minute, so that the sun's slow warming of the ground makes no target; where
half the picture changes at once (a cloud, the sensor's own supply) it is learned anew. Somebody who stands still for
minutes becomes background.
"""

import asyncio
from array import array

import board
import clock
from micropython import const

from sensors import told

_ADDRESS = const(0x69)  # AD_SELECT high, as on the usual breakouts
_POLL_MS = const(250)
_ANEW_STEPS = const(20)  # to learn a picture that changed at once
_SHIFT = const(6)  # the mean forgets in 2**6 steps, 16 s
_SLOWER = const(3)  # and where a target stands in 2**3 times that: two minutes


def options(section):
    """(threshold [counts], least pixels, settle [steps], mirrored, hfov [cdeg], vfov [cdeg], Told)"""
    return (
        (section.integer("threshold_ck", 50, 2000, 200) or 0) // 25,
        section.integer("pixels", 1, 32, 2),
        # "Characteristics": 15 s until the output is stable.
        (section.integer("settle_s", 1, 120, 15) or 0) * 1000 // _POLL_MS,
        section.flag("mirrored", False),
        section.value("hfov_cdeg", 6000),
        section.value("vfov_cdeg", 6000),
        told.options(section, 750),
    )


class Scene:
    """The background, and what stands before it. `threshold` in counts of 0.25 K, `least` in pixels; the first `settle`
    pictures only teach."""

    def __init__(self, threshold, least, settle):
        self._threshold = threshold
        self._least = least
        self._mean = None  # counts times 2**_SHIFT
        self._steps = 0
        self._learn = settle

    def step(self, data):
        """(column, row, pixels) of the largest target in the 128 bytes of a picture, or None; column and row are its
        middle in hundredths of a pixel from the picture's middle, right and down positive."""
        mean = self._mean
        self._steps += 1
        learn = self._steps <= self._learn
        if mean is None:
            mean = self._mean = array("h", [0] * 64)
        slow = self._steps & (1 << _SLOWER) - 1
        away = bytearray(64)  # how far from the background, 0 below the threshold
        hot = 0
        for i in range(64):
            value = data[2 * i] | data[2 * i + 1] << 8 & 0xF00
            if value & 0x800:
                value -= 4096
            value <<= _SHIFT
            if self._steps == 1:
                mean[i] = value
            off = value - mean[i]
            far = abs(off) >> _SHIFT
            if far >= self._threshold and not learn:
                away[i] = min(far, 255)
                hot += 1
                if slow:
                    continue
            # Rounded away from zero: a shift alone would drift down.
            mean[i] += (off + 32) >> (3 if learn else _SHIFT)
        if hot > 32:
            self._steps, self._learn = 0, _ANEW_STEPS
            return None
        return self._largest(away) if hot else None

    def _largest(self, away):
        best = None
        for start in range(64):
            if not away[start]:
                continue
            todo, count, total, columns, rows = [start], 0, 0, 0, 0
            while todo:
                i = todo.pop()
                weight = away[i]
                if not weight:
                    continue
                away[i] = 0
                count += 1
                total += weight
                columns += weight * (i & 7)
                rows += weight * (i >> 3)
                if i & 7:
                    todo.append(i - 1)
                if i & 7 < 7:
                    todo.append(i + 1)
                if i > 7:
                    todo.append(i - 8)
                if i < 56:
                    todo.append(i + 8)
            if count >= self._least and (best is None or count > best[2]):
                best = (columns * 100 // total - 350, rows * 100 // total - 350, count)
        return best


async def watch(settings, detected, trouble):
    """Takes four pictures a second for ever."""
    threshold, least, settle, mirrored, hfov, vfov, told = settings
    data = bytearray(128)
    scene = None
    while True:
        try:
            bus = board.i2c()
            if scene is None:
                for register, value in ((0x00, 0x00), (0x01, 0x3F)):  # normal mode; initial reset
                    bus.writeto_mem(_ADDRESS, register, bytes([value]))
                await asyncio.sleep_ms(200)  # two pictures at ten a second
                scene = Scene(threshold, least, settle)
            bus.readfrom_mem_into(_ADDRESS, 0x80, data)
        except OSError as error:
            scene = None
            trouble("I2C: %s" % error)
            await asyncio.sleep_ms(3000)
            continue
        dead = data == bytes(data[:1]) * 128  # a chip without power, on a bus that answers
        trouble("all pixels alike" if dead else None)
        found = None if dead else scene.step(data)
        if found:
            azimuth, elevation = found[0] * hfov // 800, -found[1] * vfov // 800
            if mirrored:
                azimuth = -azimuth
            if told.news(None, azimuth, 0, clock.uptime_ms()):
                # The middle of a target is known to a pixel, an eighth of the field: its sigma is 1 / sqrt(12).
                detected(750, azimuth, elevation, hfov // 28)
        await asyncio.sleep_ms(_POLL_MS)
