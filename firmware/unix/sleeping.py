"""How a simulated node sleeps, and what wakes it. A file of its own, for the nodes that never sleep."""

import json
import select
import sys
import time

import machine

_FILE = "asleep"  # {"ms": how long, "wake": what wake_reason says afterwards}


def _pins():
    return sys.modules["esp32"].waking if "esp32" in sys.modules else ()


def until(ms):
    """What woke it: the time, or a pin that `esp32` was told of and that is high. None where stdin has ended, which is
    this board's end (run.py)."""
    end = select.poll()
    end.register(sys.stdin, select.POLLIN)
    begun = time.ticks_ms()
    while True:
        if [pin for pin in _pins() if pin.value()]:
            return machine.EXT1_WAKE
        left = ms - time.ticks_diff(time.ticks_ms(), begun)
        if left <= 0:
            return machine.TIMER_WAKE
        if end.poll(min(left, 50)):
            return None


def deep(ms):
    """Leaves word of a deep sleep; the exit status. A pin can only wake it while the process is there, so with one it
    is waited for here."""
    wake = machine.TIMER_WAKE
    if _pins():
        wake = until(ms)
        if wake is None:
            return 0
        ms = 0
    with open(_FILE, "w") as file:
        json.dump({"ms": ms, "wake": wake}, file)
    return machine.ASLEEP_STATUS


def reason():
    """What ended the last deep sleep."""
    with open(_FILE) as file:
        return json.load(file)["wake"]
