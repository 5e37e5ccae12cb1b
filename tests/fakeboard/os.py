"""The board's `os`: the unix port's, and what the ESP32's has beside it."""

from collections import namedtuple

from uos import *  # noqa: F403

_Names = namedtuple("_Names", ("sysname", "nodename", "release", "version", "machine"))
names = _Names("esp32", "esp32", "", "", "")


def uname():
    return names
