"""What the node says about itself: on the console, and of faults and starts in two small files of its flash.

`faults.log` takes what is new; where it would pass 4 KB it becomes `faults.old`, whose lines are gone then. A line is
there as a whole or not at all after a cut. A full flash loses lines and nothing else. Passwords are struck out.
"""

import io
import os
import sys

import clock
from micropython import const

_FILE = const("faults.log")
_OLD = const("faults.old")
_MOST = const(4096)  # [bytes] of one file; LittleFS gives out blocks of that size
_LONGEST = const(1024)  # [characters] of one entry: the end of a traceback says most

secrets = []  # texts that must not get into the files


def once(name, *more):
    """A module that is not kept: it is loaded for what follows and forgotten, and so are `more` that it loads. One that
    somebody keeps stays."""
    if name in sys.modules:
        return sys.modules[name]
    module = __import__(name)
    for each in (name,) + more:
        sys.modules.pop(each, None)
    return module


def _line(source, text):
    uptime = clock.uptime_ms()
    return "%d.%03d %s: %s\n" % (uptime // 1000, uptime % 1000, source, text)


def log(source, text):
    """One line: seconds since power-on, who speaks, what he says."""
    print(_line(source, text), end="")


def note(source, text):
    """The same, and kept in the flash."""
    line = _line(source, text)
    print(line, end="")
    for secret in secrets:
        if secret:
            line = line.replace(secret, "***")
    line = line[-_LONGEST:]
    try:
        try:
            if os.stat(_FILE)[6] + len(line.encode()) > _MOST:
                os.rename(_FILE, _OLD)
        except OSError:
            pass
        with open(_FILE, "a") as file:
            file.write(line)
    except OSError:
        pass


def failure(source, error):
    """An exception nobody expected, with its traceback; kept in the flash."""
    text = io.StringIO()
    sys.print_exception(error, text)
    note(source, "failed: " + text.getvalue().rstrip())
