"""How the station gets into one of the known Wi-Fi networks. Loaded when there is none, and forgotten again.

The network that was good last comes first, then the others in their order; a radio that finds none of them three times
in a row is switched off and on. States of a station: MicroPython's ports/esp32/network_wlan.c (1000 and above) and
ESP-IDF's wifi_err_reason_t (200 and above: why the driver gave up). Not tried on a chip.
"""

import asyncio

import clock
from log import log
from micropython import const

_WIFI_MS = const(15_000)  # for one network to let us in
_RECONNECTS = const(2)  # by the driver itself, before it says why it could not
_REFUSED = {201: "not found", 202: "password refused"}


async def joined(wlan, networks, last, failed):
    """The place in `networks`, a list of (ssid, password), of the one that let us in; OSError where none does.

    `last`: the place of the one to begin with; `failed`: how many searches in a row found none before this one.
    """
    if failed % 3 == 0:
        wlan.active(False)
        wlan.active(True)
        wlan.config(reconnects=_RECONNECTS)
    for i in [last] + [i for i in range(len(networks)) if i != last]:
        ssid, password = networks[i]
        wlan.disconnect()
        wlan.connect(ssid, password)
        start = clock.uptime_ms()
        status = 0
        while not 200 <= status < 1000 and clock.uptime_ms() - start < _WIFI_MS:
            await asyncio.sleep_ms(100)
            if wlan.isconnected():
                log("link", "Wi-Fi " + ssid)
                return i
            status = wlan.status()
        log("link", "Wi-Fi %s: %s" % (ssid, _REFUSED.get(status, "state %d" % status)))
    raise OSError("no Wi-Fi")
