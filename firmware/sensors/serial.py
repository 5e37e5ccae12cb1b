"""A sensor that talks on the UART: its bytes as they come, its lines, and what its silence means."""

import asyncio

import clock
from log import log
from micropython import const

_POLL_MS = const(50)  # at 256000 baud 1280 bytes; who talks that fast sends 300 a second
_COUNT_MS = const(60_000)
_SLEPT_MS = const(1000)  # between two looks: this board has slept


class Lines:
    """Bytes cut into lines of at most `longest`. `line(text, uptime)` takes each, without its end; a ValueError is a
    bad one. `bad`: how many were."""

    def __init__(self, longest, line):
        self.bad = 0
        self._longest = longest
        self._line = line
        self._rest = b""

    def feed(self, chunk, uptime):
        """Takes bytes that arrived at `uptime` [ms]; how many good lines they ended."""
        lines = (self._rest + chunk).split(b"\n")
        # Of a line that does not end enough is kept to know it for too long.
        self._rest = lines.pop()[-1 - self._longest :]
        good = 0
        for line in lines:
            try:
                if len(line) > self._longest:
                    raise ValueError
                self._line(line.rstrip(b"\r"), uptime)
                good += 1
            except (ValueError, IndexError, TypeError, KeyError, RuntimeError, MemoryError):
                self.bad += 1
        return good


async def listen(uart, frames, silent_ms, trouble, setup=()):
    """Gives the bytes of `uart` to `frames` (`feed` and `bad`, as Lines has) for ever.

    Writes the commands of `setup` when the sensor has begun to speak (also after a sleep, for it may have had no
    supply), and whenever no whole frame has come for `silent_ms` [ms], which is a trouble until one comes; 0: silence
    is none.
    """
    buffer = bytearray(256)
    view = memoryview(buffer)
    heard = last = clock.uptime_ms()
    counted, told = 0, -_COUNT_MS
    fresh = True
    while True:
        uptime = clock.uptime_ms()
        if uptime - last >= _SLEPT_MS:
            heard, fresh = uptime, True
        last = uptime
        count = uart.any() and uart.readinto(buffer)
        good = count and frames.feed(bytes(view[:count]), uptime)
        if good:
            heard = uptime
            trouble(None)
        silent = silent_ms and uptime - heard >= silent_ms
        if silent:
            heard = uptime
            trouble("silent")
        if silent or (good and fresh):
            fresh = False
            for command in setup:
                uart.write(command)
                await asyncio.sleep_ms(100)
        if frames.bad != counted and uptime - told >= _COUNT_MS:
            counted, told = frames.bad, uptime
            log("sensor", "%d broken messages" % counted)
        await asyncio.sleep_ms(_POLL_MS)
