"""A passive infrared sensor with a digital output: Panasonic EKMB/EKMC, AM312.

Written from Panasonic "PaPIRs Motion Sensor" (output high while it sees a temperature move; circuit stability
time: up to 30 s after power-on the output means nothing). It does not see who stands still, nor what it is
that moves.
"""

import asyncio

import board
import clock
from micropython import const

_POLL_MS = const(50)  # an output pulse lasts 2 s


def options(section):
    """(pin, settle [ms], hold [ms], repeat [ms])"""
    return (
        section.free_pin("pin"),
        (section.integer("settle_s", 0, 120, 30) or 0) * 1000,
        section.integer("hold_ms", 10, 5000, 100),
        (section.integer("repeat_s", 1, 600, 10) or 0) * 1000,
    )


class Presence:
    """The debounced output: `step` is given the pin's level and the time."""

    def __init__(self, settle_ms, hold_ms, repeat_ms):
        self._settle_ms = settle_ms
        self._hold_ms = hold_ms
        self._repeat_ms = repeat_ms
        self._level = self._present = 0
        self._since = self._told = 0

    def step(self, level, uptime):
        """True when a presence begins or has lasted for another `repeat_ms`. `uptime` in ms since
        power-on."""
        if uptime < self._settle_ms:
            return False
        if level != self._level:
            self._level, self._since = level, uptime
        if uptime - self._since >= self._hold_ms and level != self._present:
            self._present = level
            if level:
                self._told = uptime
                return True
        if self._present and uptime - self._told >= self._repeat_ms:
            self._told = uptime
            return True
        return False


async def watch(settings, detected):
    """Polls the pin for ever; `detected(confidence_milli)` for each presence."""
    number, settle, hold, repeat = settings
    pin = board.input_pin(number)
    presence = Presence(settle, hold, repeat)
    while True:
        if presence.step(pin.value(), clock.uptime_ms()):
            # Panasonic gives no rate of false alarms; sun, wind and warm air make some.
            detected(800)
        await asyncio.sleep_ms(_POLL_MS)
