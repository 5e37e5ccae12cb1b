"""A long-range radar that sends its tracks as TTM sentences (IEC 61162-1), once a second, 2 km, all round."""

import math

from devices.receiver import sentence
from devices.scene import mount, seen
from devices.speaker import Speaker


class Device(Speaker):
    _BAUD = 38400
    _EVERY = 1000

    def _say(self):
        out = sentence("RAZDA,000000.00,01,01,2026,00,00")
        for i, (azimuth, _, distance, speed, _) in enumerate(seen(mount("ttm"), 36000, 200000)):
            out += sentence(
                "RATTM,%02d,%.3f,%.1f,R,%.1f,0.0,R,,,K,,T,,000000.00,A"
                % (i, distance / 100000, math.degrees(azimuth) % 360, speed * 0.036)
            )
        return out
