"""The board's `network` on the unix port: a Wi-Fi that lets everybody in after a moment, or what the file `air` says.

The computer's own network carries the packets; when the Wi-Fi drops, what is open ends (socket.py). The numbers of a
station's states are the ESP32's (ports/esp32/network_wlan.c of MicroPython, esp_wifi_types.h of ESP-IDF 5).
"""

import time

from micropython import const
from world import live

STA_IF = 0
_JOIN = const(200)  # [ms] a real access point takes seconds
_RSSI = const(-61)  # [dBm]


class WLAN:
    """The station interface; like the driver's, one for all who ask."""

    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2
    _asked = _since = None
    _joined = False
    used = False  # whether the node has a Wi-Fi at all

    def __init__(self, interface=STA_IF):
        pass

    def active(self, on):
        WLAN.used = True
        self.disconnect()

    def connect(self, ssid, password=None):
        WLAN.used = True
        WLAN._asked, WLAN._since = (ssid, password), time.ticks_ms()

    def disconnect(self):
        WLAN._asked, WLAN._joined = None, False

    def config(self, **settings):
        pass

    def isconnected(self):
        return self.status() == 1010

    def status(self, what=None):
        """The state, or with "rssi" the signal [dBm]."""
        air, asked = live("air"), self._asked
        known = air.get("ssids")
        found = asked and ({} if known is None else known.get(asked[0]))
        if what:
            return (found or air).get(what, _RSSI)
        if not asked:
            return 1000  # idle
        if air.get("down") or found is None:
            return 200 if self._joined else 201  # beacon time-out, no such network
        if found.get("password", asked[1]) != asked[1]:
            return 202  # wrong password
        return 1010 if time.ticks_diff(time.ticks_ms(), self._since) >= air.get("join_ms", _JOIN) else 1001

    def dropped(self):
        """Whether it was there and is gone. It is joined again without being asked, as the ESP32's driver does."""
        before, WLAN._joined = self._joined, self.isconnected()
        if before and not self._joined:
            WLAN._since = time.ticks_ms()
        return before and not self._joined
