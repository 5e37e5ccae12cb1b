"""In which state the node is and has been, whether its battery is enough, and when it sleeps.

States: active, modem sleep (the radio rests between two beacons), light and deep sleep (`asleep.py`, which is loaded
when it is needed).
"""

import asyncio

import clock
import guard
from log import log, once
from micropython import const

ACTIVE = const(0)
MODEM = const(1)
LIGHT = const(2)
DEEP = const(3)
CRITICAL_S = const(3600)  # a wake costs two seconds of CPU: under a thousandth of the time
_LONGER = const(4)  # times as long between reports while the battery is low

_LISTEN_MS = const(2000)  # online before a sleep, for the host to send what it held
_LINGER_MS = const(15_000)  # at most, after it should sleep, for the link and for what waits; Wi-Fi takes that long

spent = [0, 0, 0, 0]  # ms in each state until `since`
since = 0  # uptime
battery = 0  # 0 enough, 1 low, 2 critical
kept = []  # what a deep sleep left (asleep.py)
state = ACTIVE
verdict = 0  # of the last voltage
uart = []  # UART 2 and its baud rate, where what talks on it has a switched supply


def enter(new):
    """From now on the node is in that state; what it was in before comes back."""
    global state, since
    now, before = clock.uptime_ms(), state
    spent[before] += now - since
    state, since = new, now
    return before


def pace(config, period, asleep, valid):
    """(period, asleep, valid) [s] with the battery as it is: if low, reports are rarer and count longer."""
    if battery:
        period, asleep = _LONGER * period, _LONGER * asleep
        valid = max(valid, min(86400, 3 * max(period, asleep and asleep + config.awake_s)))
    return period, asleep, valid


async def run(node):
    """Sleeps by the duty cycle, at the host's word, and when the battery is empty; restarts at the host's word.
    Neither before what waits has been sent, if that can be in time."""
    config, link = node.config, node.link
    due = woke = clock.uptime_ms()
    online = None
    while True:
        await asyncio.sleep_ms(250)
        now = clock.uptime_ms()
        online = (online or now) if link.ready else None
        if node.trial:
            # Loaded until the trial is over.
            node.trial = __import__("tried").step(node, now)
        saving = config.mode == "modem" or battery > 0
        if saving != link.saving:
            link.save_power(saving)
            enter(MODEM if saving else ACTIVE)
        word = None
        if node.then:
            word, ms = node.then
        elif battery == 2:
            word, ms = "stop", 1000 * CRITICAL_S
        elif config.asleep_s and now - woke >= 1000 * config.awake_s and not node.trial:
            word, ms = "cycle", 1000 * pace(config, 0, config.asleep_s, 0)[1]
        if word is None:
            due = now
        elif (online and now - online >= _LISTEN_MS and not link.waiting()) or now - due >= _LINGER_MS:
            if word in ("reboot", "config"):
                log("power", word)
                await guard.leave(link)
            await link.sleep()
            once("asleep", "board").begin(node, ms, word)
            link.asleep = False
            node.then = online = None
            due = woke = clock.uptime_ms()
            node.health()
