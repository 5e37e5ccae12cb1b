"""Whether the node is well: what happens when a task fails or stands still, when a start counts as a good one, and
when new firmware has proven itself.

Each task is stepped through here, and every step is a beat of its heart. The watchdog is fed while every task has had
one within its own bound.
"""

import asyncio

import clock
import machine
from log import failure, note, once
from micropython import const

_LOOK_MS = const(250)
_STEADY_MS = const(30_000)  # online for so long, and the start was a good one
_LONG_MS = const(600_000)  # or up for so long, wherever the broker is
_REPLY_MS = const(5_000)  # for replies to go out before a restart
_beats = []  # [name, uptime of its last step, bound]
_restart = None  # the uptime at which somebody asked for one
_feed = None  # the watchdog's; None before it runs


def kept(name, *words):
    """What a function of flash.py returns. That file and store.py are loaded for the call alone."""
    return getattr(once("flash", "store"), name)(*words)


def guarded(name, task, bound):
    """A coroutine that runs `task`, beats with it, and resets the node when it fails. `bound`: the longest time
    between two of its steps, None where it may wait for ever."""
    beat = [name, clock.uptime_ms(), bound]
    _beats.append(beat)
    thrown = None
    while True:
        beat[1] = clock.uptime_ms()
        try:
            step = task.send(None) if thrown is None else task.throw(thrown)
        except StopIteration:
            break
        except Exception as error:
            failed(name, error)
        thrown = None
        try:
            yield step
        except BaseException as error:
            thrown = error
    _beats.remove(beat)


def failed(name, error):
    """Writes down an exception nobody expected, and resets. Nobody is there to look at it."""
    try:
        failure(name, error)
        kept("counted", 0, 1)
    finally:
        machine.reset()


def rested():
    """Every task has had its time, for the node slept; the watchdog is fed."""
    for beat in _beats:
        beat[1] = clock.uptime_ms()
    if _feed:
        _feed()


async def leave(link):
    """Says goodbye and resets. Orderly: the start after it is not a bad one."""
    await link.close()
    kept("counted", 0, 0, None)
    machine.reset()


def restart():
    """Restarts the node once its replies have gone out. Orderly: the start after it is not a bad one."""
    global _restart
    _restart = clock.uptime_ms()


async def watch(link, ms, safe):
    """Feeds the watchdog of a healthy node, for ever.

    Firmware on trial has proven itself when the `link` is ready, and is given up where that takes longer than
    `ms`. A node in safe mode stays there until somebody acts: with `safe` no bad start is forgotten.
    """
    global _feed
    _feed = machine.WDT(timeout=once("board").WATCHDOG_MS).feed if hasattr(machine, "WDT") else lambda: None
    trial = kept("slot")
    if trial and trial[2] is None:
        trial = None
    fed = True
    ready = None  # since when
    well = safe
    while True:
        await asyncio.sleep_ms(_LOOK_MS)
        now = clock.uptime_ms()
        name = None
        for beat in _beats:
            if beat[2] and now - beat[1] > beat[2]:
                name = beat[0]
        if name is None:
            _feed()
        elif fed:
            note("guard", "%s stands still: the watchdog is not fed" % name)
        fed = name is None
        if not link.ready:
            ready = None
        elif ready is None:
            ready = now
        if trial:
            if link.ready:
                note("guard", "version %d is online and stays" % trial[1])
                kept("choose", trial[0], trial[1])
                trial = None
            elif now > ms:
                note("guard", "version %d did not come online in %d s" % (trial[1], ms // 1000))
                kept("choose", trial[0], trial[1], 0)
                machine.reset()
        elif not well and (now > _LONG_MS or (ready is not None and now - ready > _STEADY_MS)):
            well = True
            kept("counted", 0, 0, None)
        if _restart is not None and (link.replied() or now - _restart > _REPLY_MS):
            await leave(link)
