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


async def joined(link):
    """Gets the `wlan` of a Link into one of its networks; OSError where none lets us in."""
    networks = link.config.wifi
    wlan = link.wlan
    if wlan is None:
        import network

        wlan = link.wlan = network.WLAN(network.STA_IF)
        link.failed = 0
    elif wlan.isconnected():
        if link.futile % 4 < 3 or len(networks) < 2:
            return
        # It lets us in and leads nowhere: the next one may.
        link.network = (link.network + 1) % len(networks)
    if link.failed % 3 == 0:
        wlan.active(False)
        wlan.active(True)
        wlan.config(reconnects=_RECONNECTS)
        if link.config.radio_dbm:
            wlan.config(txpower=link.config.radio_dbm)
        link.save_power(link.saving)
    link.failed += 1
    for i in [link.network] + [i for i in range(len(networks)) if i != link.network]:
        ssid, password = networks[i]
        wlan.disconnect()
        wlan.connect(ssid, password)
        start = clock.uptime_ms()
        status = 0
        while not 200 <= status < 1000 and clock.uptime_ms() - start < _WIFI_MS:
            await asyncio.sleep_ms(100)
            if wlan.isconnected():
                log("link", "Wi-Fi " + ssid)
                link.network, link.failed = i, 1
                return
            status = wlan.status()
        log("link", "Wi-Fi %s: %s" % (ssid, _REFUSED.get(status, "state %d" % status)))
    raise OSError("no Wi-Fi")
