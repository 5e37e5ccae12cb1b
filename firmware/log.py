"""What the node says about itself, on the console."""

import sys

import clock


def log(source, text):
    """One line: seconds since power-on, who speaks, what he says."""
    uptime = clock.uptime_ms()
    print("%d.%03d %s: %s" % (uptime // 1000, uptime % 1000, source, text))


def failure(source, error):
    """An exception nobody expected, with its traceback."""
    log(source, "failed: %r" % (error,))
    sys.print_exception(error)
