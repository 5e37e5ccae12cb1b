"""The board's `machine` on the unix port: the calls that the firmware makes, with the virtual devices behind them.

What stands behind a UART or answers on the I2C bus is a module of devices/ that world.json names (`uart`, `i2c`), and
the pins that it names have a presence sensor. What the unix port has of `machine` itself stays as it is.
"""

import errno
import os
import sys
import time

from umachine import *  # noqa: F403
from world import broken, world

# Why a board starts, as the ESP32 numbers it (ports/esp32/modmachine.c of MicroPython).
PWRON_RESET = 1
HARD_RESET = 2  # machine.reset()
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
EXT1_WAKE = 3
TIMER_WAKE = 4
# The process's exit statuses that stand for a start anew: whoever started it starts it again, and says why.
RESET_STATUS = 42  # HARD_RESET
ASLEEP_STATUS = 43  # DEEPSLEEP_RESET, when as long has gone by as the file `asleep` says: {"ms"}
WATCHDOG_STATUS = 44  # WDT_RESET

cause = PWRON_RESET
watchdog = None
_woken = 0


def reset():
    """Ends the process; the simulation starts it anew."""
    sys.exit(RESET_STATUS)


def reset_cause():
    return cause


def wake_reason():
    """What ended the last sleep: EXT1_WAKE, TIMER_WAKE, or 0 where there was none."""
    if not _woken and cause == DEEPSLEEP_RESET:
        import sleeping

        return sleeping.reason()
    return _woken


def lightsleep(ms):
    """Stands still, all tasks with it."""
    global _woken
    import sleeping

    _woken = sleeping.until(ms) or 0


def deepsleep(ms):
    """Ends the process with ASLEEP_STATUS: whoever started it starts it again, with DEEPSLEEP_RESET, after the time
    that `asleep` in the node's folder says."""
    import sleeping

    sys.exit(sleeping.deep(ms))


def _module(name):
    return getattr(__import__("devices." + name), name)


class RTC:
    """The chip's clock (`datetime` is kept, and shown to nobody: the computer's own goes on) and the memory that every
    reset but power-on leaves as it is: the file `rtc`."""

    _fresh = True

    def memory(self, data=None):
        fresh, RTC._fresh = RTC._fresh, False
        if data is None:
            if fresh and cause == PWRON_RESET:
                return b""
            try:
                with open("rtc", "rb") as file:
                    return file.read()
            except OSError:
                return b""
        with open("rtc.new", "wb") as file:
            file.write(data)
        os.rename("rtc.new", "rtc")

    def datetime(self, now=None):
        if now is not None:
            RTC.now = now
        return RTC.now

    now = None


class Pin:
    """A pin: an output keeps its value, an input shows the presence sensor's level, or low. `levels` has what each
    output was told last, None for what became an input."""

    IN = 1
    OUT = 3
    PULL_UP = 2
    PULL_DOWN = 1
    levels = {}

    def __init__(self, number, mode=-1, pull=None, value=0):
        self.number = number
        if mode != -1:
            self._drive(value if mode == self.OUT else None)
        self._pir = world().pir.get(number) if mode == self.IN else None

    def _drive(self, level):
        if level != self.levels.get(self.number, 0) and self.number in world().supply.values():
            print("supply at pin %d: %s" % (self.number, "on" if level else "off"))
        self.levels[self.number] = level

    def value(self, level=None):
        if level is not None:
            self._drive(level)
        elif self._pir:
            every = self._pir.get("every_ms")
            if every and world().elapsed() % every >= every - self._pir["high_ms"]:
                return 1
            if "hfov_cdeg" not in self._pir:
                return 0
            # It sees what moves within its cone.
            found = _module("scene").seen(*[self._pir[key] for key in ("azimuth_cdeg", "hfov_cdeg", "range_cm")])
            return int(bool([target for target in found if target[3]]))
        else:
            return self.levels.get(self.number) or 0


class _Nothing:
    """A UART to which nothing is wired, or nothing that has a supply."""

    waiting = b""

    def run(self):
        pass

    def hear(self, data):
        pass


class UART:
    """A UART and the device behind it: `Device(baud, room)` with `waiting` (bytes that have arrived and were not read),
    `run()`, which brings that up to now, and `hear(data)`. Reads never wait. A device whose `supply` pin (world.json)
    is low is none, and begins anew with the supply."""

    def __init__(self, number, baudrate, **wires):
        self._name = world().uart.get(number)
        self._supply = world().supply.get(number)
        self._device = None
        self.init(baudrate, **wires)

    def init(self, baudrate, tx=None, rx=None, rxbuf=256, timeout=0):
        self._baud, self._room = baudrate, rxbuf
        self._tx = tx.number if tx else None
        Pin.levels.pop(self._tx, None)

    def _behind(self):
        if not self._name or not (self._supply is None or Pin.levels.get(self._supply)):
            self._device = None
            return _Nothing()
        if not self._device:
            self._device = _module(self._name).Device(self._baud, self._room)
        return self._device

    def any(self):
        device = self._behind()
        device.run()
        fault = broken(self._name)
        if fault == "silent":
            device.waiting = b""
        elif fault and device.waiting:
            # As many bytes as before, of no meaning: a loose wire, a wrong voltage, another device's bus.
            device.waiting = os.urandom(len(device.waiting))
        return len(device.waiting)

    def readinto(self, buffer):
        """How many bytes came, None when none did."""
        size = min(self.any(), len(buffer))
        device = self._behind()
        buffer[:size] = device.waiting[:size]
        device.waiting = device.waiting[size:]
        return size or None

    def write(self, data):
        if Pin.levels.get(self._tx, 1) is not None:  # as an input its pin drives no line
            self._behind().hear(data)
        return len(data)


class PWM:
    """A pin with pulses: `pulses` has the width [ns] that each pin was told last."""

    pulses = {}

    def __init__(self, pin, freq=0, duty_ns=0):
        self._pin = pin.number
        self.duty_ns(duty_ns)

    def duty_ns(self, width):
        self.pulses[self._pin] = width


class I2C:
    """The I2C bus and its chips: modules with an `ADDRESS` and a `Device()`. A chip that is not there is an OSError, as
    on the board."""

    def __init__(self, number, scl=None, sda=None, freq=0):
        self._chips = {}
        for name in world().i2c:
            module = _module(name)
            if module.ADDRESS not in world().absent:
                self._chips[module.ADDRESS] = (name, module.Device())

    def _chip(self, address):
        name, chip = self._chips.get(address, (None, None))
        if not chip or broken(name) == "silent":
            raise OSError(errno.ENODEV)
        return chip

    def readfrom_mem_into(self, address, register, buffer):
        self._chip(address).read(register, buffer)
        if broken(self._chips[address][0]) == "garbage":
            buffer[:] = os.urandom(len(buffer))

    def writeto_mem(self, address, register, data):
        self._chip(address).write(register, data)


def __getattr__(name):
    # What few boards have does not take the memory of all.
    if name in ("ADC", "I2S"):
        return getattr(_module("analogue"), name)
    raise AttributeError(name)


class WDT:
    """The watchdog. run.py bites where the task that feeds it has died; a loop that stands still cannot bite itself, so
    whoever started the process does, who sees the file `fed` change at every feeding: in it stands how many
    milliseconds there are until the next."""

    def __init__(self, timeout):
        global watchdog
        self._timeout = timeout
        try:
            self._file = open("fed", "wb")
        except OSError:  # nobody watches then
            self._file = None
        self.feed()
        watchdog = self

    def feed(self, asleep=0):
        """`asleep`: [ms] for which the processor, and the watchdog with it, is about to stand still (light sleep)."""
        self._fed = time.ticks_add(time.ticks_ms(), asleep)
        if self._file:
            self._file.seek(0)
            self._file.write(b"%9d" % (self._timeout + asleep))

    def starved(self):
        return time.ticks_diff(time.ticks_ms(), self._fed) > self._timeout
