"""A passive infrared sensor with a digital output: Panasonic EKMB/EKMC, AM312.

Written from Panasonic "PaPIRs Motion Sensor" (output high while it sees a temperature move; circuit stability
time: up to 30 s after power-on the output means nothing). It does not see who stands still, nor what it is
that moves. Its self-test is all that its one wire allows: an output that stays high for `stuck_s`, from power-on or
later, is a broken sensor or one that the sun shines on; a cut wire reads low, like peace, and cannot be told from it.
"""

import asyncio

import clock
from log import once
from micropython import const

_POLL_MS = const(50)  # an output pulse lasts 2 s


def options(section):
    """(pin, settle [ms], hold [ms], repeat [ms], stuck [ms])"""
    return (
        section.free_pin("pin"),
        (section.integer("settle_s", 0, 120, 30) or 0) * 1000,
        section.integer("hold_ms", 10, 5000, 100),
        (section.integer("repeat_s", 1, 600, 10) or 0) * 1000,
        (section.integer("stuck_s", 5, 3600, 600) or 0) * 1000,
    )


def wakes(settings):
    """The pin that wakes a sleeping node."""
    return settings[0]


class Presence:
    """The debounced output by the times of `options`: `step` is given the pin's level and the time.

    `stuck`: it has been high for `stuck` ms, and tells of nothing until it has been low.
    """

    def __init__(self, *times):
        self.stuck = False
        self._times = times  # settle, hold, repeat, stuck [ms]
        self.level = self._present = 0
        self.since = self.told = 0

    def step(self, level, uptime):
        """True when a presence begins or has lasted for another `repeat_ms`. `uptime` in ms since
        power-on."""
        settle, hold, repeat, stuck = self._times
        if level != self.level:
            self.level, self.since = level, uptime
        held = uptime - max(self.since, settle)
        if held < hold:
            level = self._present
        self.stuck = bool(level) and (self.stuck or held >= stuck)
        if self.stuck or (level == self._present and not (level and uptime - self.told >= repeat)):
            return False
        self._present, self.told = level, uptime
        return bool(level)


async def watch(settings, detected, trouble):
    """Polls the pin for ever; `detected(confidence_milli)` for each presence."""
    pin = once("board").input_pin(settings[0])
    presence = Presence(*settings[1:])
    while True:
        if presence.step(pin.value(), clock.uptime_ms()):
            # Panasonic gives no rate of false alarms; sun, wind and warm air make some.
            detected(800)
        trouble("high all the time" if presence.stuck else None)
        await asyncio.sleep_ms(_POLL_MS)
