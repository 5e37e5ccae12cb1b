"""Detections that somebody else made: the computer of a camera, over the UART or over local MQTT.

This file alone knows its message, a JSON object of at most 200 bytes; on the UART one a line:

    {"azimuth_cdeg": -350, "elevation_cdeg": 20, "range_cm": 4200, "confidence_milli": 870, "class": "person"}

Integers within the bounds of wire.py's detection, whose names they bear; azimuth (clockwise) and elevation (up) are
offsets from the boresight. Only `confidence_milli` must be there; `azimuth_sigma_cdeg` may be. `{}` says that the
computer is there and sees nothing: something is due every `silent_s`. The topic is
`dw-local/<wall>/<node>/<sensor>` on the node's own broker.
"""

import json

import wire
from log import once
from micropython import const

from sensors import serial, told

_LONGEST = const(200)  # [bytes]
# As `detected` takes them.
_KEYS = ("confidence_milli", "azimuth_cdeg", "elevation_cdeg", "azimuth_sigma_cdeg", "range_cm", "class")


def options(section):
    """[baud or None (MQTT), silent [ms], Told, where messages go once it runs]"""
    baud = None
    if section.choice("source", ("uart", "mqtt"), "uart") == "uart":
        section.claim("source", "uart2", "sensor")
        baud = section.integer("baud", 4800, 921_600, 115_200)
    silent = (section.integer("silent_s", 0, 3600, 60) or 0) * 1000
    return [baud, silent, told.options(section, 200), None]


def values(text):
    """[confidence, azimuth, elevation, sigma, range, class] of a message, for `detected`; None where it says that
    nothing is there. ValueError with the key that is wrong."""
    found = json.loads(text)
    if type(found) is not dict:
        raise ValueError("no object")
    if not found:
        return None
    out = [None, 0, 0, None, None, "unknown"]
    for key in found:
        if key not in _KEYS:
            raise ValueError(key)
    for row in wire.rows("detection"):
        key, low, high = row[1], row[4], row[5]
        if key in found:
            value = found[key]
            if row[2] == "a":
                low = -high
            if value not in low if row[2] == "e" else type(value) is not int or not low <= value <= high:
                raise ValueError(key)
            out[_KEYS.index(key)] = value
    if out[0] is None:
        raise ValueError("confidence_milli")
    return out


def local(settings):
    """Whether the messages come over MQTT."""
    return settings[0] is None


def take(settings, payload):
    """Takes a message that came over MQTT; `payload` None: one that was too long."""
    post = settings[3]
    if post:
        # What has no room is cut, and then counted as a bad line.
        post.waiting = (post.waiting + (payload or b"?") + b"\n")[-1024:]


class _Post:
    # What came over MQTT, in the place of a UART.
    waiting = b""

    def any(self):
        return len(self.waiting)

    def readinto(self, buffer):
        count = min(len(buffer), len(self.waiting))
        buffer[:count] = self.waiting[:count]
        self.waiting = self.waiting[count:]
        return count


async def watch(settings, detected, trouble):
    """Takes messages for ever."""
    baud, silent, told, _ = settings

    def line(text, uptime):
        found = values(text)
        if found and told.news(None, found[1], found[4] or 0, uptime):
            detected(*found[:3], sigma_cdeg=found[3], range_cm=found[4], kind=found[5])

    uart = once("board").sensor_uart(2, baud, True) if baud else _Post()
    settings[3] = uart
    await serial.listen(uart, serial.Lines(_LONGEST, line), silent, trouble)
