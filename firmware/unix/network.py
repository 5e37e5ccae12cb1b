"""The board's `network` on the unix port: a Wi-Fi that lets everybody in after a moment."""

import time

STA_IF = 0
_JOIN = 200  # [ms] a real access point takes seconds
_RSSI = -61  # [dBm]


class WLAN:
    """The station interface. The computer's own network carries the packets."""

    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2

    def __init__(self, interface):
        self._asked = None

    def active(self, on):
        self.disconnect()

    def connect(self, ssid, password):
        self._asked = time.ticks_ms()

    def disconnect(self):
        self._asked = None

    def isconnected(self):
        return self._asked is not None and time.ticks_diff(time.ticks_ms(), self._asked) >= _JOIN

    def config(self, **settings):
        pass

    def status(self, what=None):
        return _RSSI if what else 1010 if self.isconnected() else 1001
