"""What the node counts in its flash: its starts, its failures, and which of the two firmware folders runs.

`boot` holds "boots resets bad": the third counts starts after a fault, one after the other, since the node was last
known to be well. `slots` holds "folder version tries" and is the loader's, too; tries is - once the firmware in that
folder has proven itself. Both are sealed (store.py).
"""

import os

import store
from log import log, note
from micropython import const

_BOOT = const("boot")
_SLOTS = const("slots")
_MOST = const(1_048_575)  # the wire's bound
_BAD = const(3)  # so many bad starts, and the next one is in safe mode
_CAUSES = const(("unknown", "power", "reset", "watchdog", "sleep", "soft"))  # machine.reset_cause() of the ESP32


def _counters():
    data = store.read(_BOOT, True)
    if data is None and _BOOT in os.listdir():
        log("flash", _BOOT + " has no counters in it")
    return [int(word) for word in data.split()] if data else [0, 0, 0]


def counted(boots, resets, bad=0):
    """(boots, resets, bad) after adding to what the flash has, from 0 where it has none; `bad` None: forgotten. A cut
    at any moment leaves the old numbers or the new ones. A flash that cannot be written is told, and the node runs
    with the numbers that it would have."""
    old = _counters()
    new = (old[0] + boots) % _MOST, (old[1] + resets) % _MOST, 0 if bad is None else min(old[2] + bad, _BAD)
    if list(new) != old:
        try:
            store.write(_BOOT, b"%d %d %d " % new, True)
        except OSError as error:
            log("flash", "cannot be written (%s): boot %d stands in RAM alone" % (error, new[0]))
    return new


def begun():
    """(boot, resets, safe mode, version of the firmware) of the start that is under way, counted and noted."""
    import machine

    cause = machine.reset_cause() if hasattr(machine, "reset_cause") else 1
    # After power-on nothing failed. A sleep ends a run that went well; whatever else comes may be a panic.
    boot, resets, bad = counted(1, int(cause == 3), 0 if cause == 1 else None if cause == 4 else 1)
    safe = bad >= _BAD
    if cause != 4:
        mode = ", safe mode" if safe else ""
        note("main", "boot %d after %s%s" % (boot, _CAUSES[cause if cause < 6 else 0], mode))
    return boot, resets, safe, (slot() or (0, 0))[1]


def slot():
    """(folder, version, tries or None once it has proven itself) of the firmware that runs; None where it was
    installed without a loader."""
    data = store.read(_SLOTS, True)
    try:
        folder, version, tries = data.decode().split()
        return folder, int(version), None if tries == "-" else int(tries)
    except (AttributeError, ValueError):
        return None


def choose(folder, version, tries="-"):
    """The loader will start that folder: as one that has proven itself, or for so many tries. OSError where the flash
    cannot be written."""
    store.write(_SLOTS, b"%s %d %s " % (folder.encode(), version, str(tries).encode()), True)
