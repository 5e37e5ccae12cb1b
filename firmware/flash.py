"""What the node keeps in its flash: how often it has started, and how often because something failed."""

import os

from log import log
from micropython import const

_FILE, _NEW = "boot", "boot.new"
_MOST = const(1_048_575)  # the wire's bound


def _counters(path):
    try:
        with open(path) as file:
            boot, resets = [int(word) for word in file.read(24).split()]
        if 0 <= boot < _MOST and 0 <= resets < _MOST:
            return boot, resets
    except OSError:
        return None
    except ValueError:
        pass
    log("flash", path + " has no counters in it")
    return None


def counted(boots, resets):
    """(boots, resets) after adding to what the flash has, from 0 where it has none. A cut at any moment leaves
    the old numbers or the new ones. A flash that cannot be written is told, and the node runs with the numbers
    that it would have."""
    old = _counters(_FILE) or _counters(_NEW) or (0, 0)
    new = (old[0] + boots) % _MOST, (old[1] + resets) % _MOST
    try:
        with open(_NEW, "w") as file:
            file.write("%d %d\n" % new)
        os.rename(_NEW, _FILE)
    except OSError as error:
        log("flash", "cannot be written (%s): boot %d stands in RAM alone" % (error, new[0]))
    return new
