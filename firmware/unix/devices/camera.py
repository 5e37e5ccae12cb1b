"""The computer of a camera: a JSON line for each thing it sees (firmware/sensors/detector.py) five times a second.

40 degrees wide, 200 m far.
"""

import math

from devices.scene import mount, seen
from devices.speaker import Speaker

_LINE = '{"azimuth_cdeg":%d,"elevation_cdeg":%d,"range_cm":%d,"confidence_milli":870,"class":"%s"}\n'


class Device(Speaker):
    _BAUD = 115200
    _EVERY = 200

    def _say(self):
        out = ""
        for azimuth, elevation, distance, _, kind in seen(mount("camera"), 4000, 20000):
            angles = [round(math.degrees(angle) * 100) for angle in (azimuth, elevation)]
            out += _LINE % tuple(angles + [distance, kind])
        return (out or "{}\n").encode()
