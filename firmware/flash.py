"""What the node keeps in its flash: how often it has started, and how often because something failed."""

import os

from micropython import const

_FILE, _NEW = "boot", "boot.new"
_MOST = const(1_048_575)  # the wire's bound


def _counters(path):
    try:
        with open(path) as file:
            boot, resets = file.read(24).split()
        return int(boot), int(resets)
    except (OSError, ValueError):
        return None


def counted(boots, resets):
    """(boots, resets) after adding to what the flash has. A cut at any moment leaves the old numbers or the
    new ones."""
    old = _counters(_FILE) or _counters(_NEW) or (0, 0)
    new = (old[0] + boots) % _MOST, (old[1] + resets) % _MOST
    with open(_NEW, "w") as file:
        file.write("%d %d\n" % new)
    os.rename(_NEW, _FILE)
    return new
