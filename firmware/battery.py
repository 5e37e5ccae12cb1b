"""The battery's voltage, by a divider on an analogue pin or by an INA219.

A radio's burst pulls a tired battery down by tenths of a volt for a millisecond: a reading is the median of five.
"""

from log import log, once
from micropython import const

_READINGS = const(5)
_silent = []  # the gauge's last error


def median(values):
    """The middle one of an odd number of values."""
    return sorted(values)[len(values) // 2]


def read(settings):
    """[mV] at the battery's poles by the Settings of the node; None where it has no gauge, or the gauge does not
    answer (logged when that begins and ends)."""
    kind, pin, divider = settings.battery
    if kind == "none":
        return None
    error = None
    values = []
    try:
        if kind == "adc":
            adc = once("board").adc(pin)
            # Tenths of a millivolt: the product stays under 2**30.
            values = [adc.read_uv() // 100 * divider // 10_000 for _ in range(_READINGS)]
        else:
            from sensors.ina219 import voltage_mv

            bus = once("board").i2c()
            values = [voltage_mv(bus) for _ in range(_READINGS)]
    except OSError as failed:
        error = str(failed)
    if [error] != _silent:
        if error or _silent:
            log("battery", error or "works")
        _silent[:] = [error]
    return median(values) if values else None
