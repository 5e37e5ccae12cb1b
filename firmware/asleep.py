"""Light and deep sleep: what wakes the node, and what it keeps of itself in the RTC memory, whose bytes 0 to 127 are
this file's.

In a light sleep everything stands still and the RAM stays, and what hangs on a switched supply is off. A deep sleep
ends as a start with DEEPSLEEP_RESET, and only the RTC memory stays; the switches are off by their own resistors. It is
no new boot: `boot`, `session`, every `seq` and the uptime go on, and the flash is not written. The ESP32's own clock
runs through it (`time.time_ns`; its quartz rests, so it drifts by some thousandths): the host is told `clock: rtc`. Not
tried on a chip.
"""

import struct
import time

import board
import clock
import guard
import machine
import power
import rtc
from log import log
from micropython import const

_SECTION = const(128)  # [bytes] of RTC memory
# boot, resets, session, wakes, planned sleep [ms], uptime, UTC (0: none), chip's clock [ms], ms in modem sleep, light
# sleep, deep sleep, battery; then of each sensor the last seq of its frusta and of its detections, 3 bytes each
_KEPT = "<IIIIIQQQQQQB48s"
_SLICE_MS = const(10_000)  # of a light sleep: a third of the watchdog's time
_ALMOST_MS = const(3_000_000)
_EARLY_MS = const(100)  # a sleep that was shorter by that was ended by a pin


def woken():
    """(boot, resets) from before the deep sleep that has just ended; None where nothing is left of it. The uptime goes
    on."""
    data = rtc.read(0, _SECTION)
    if data is None or len(data) != struct.calcsize(_KEPT):
        log("power", "the RTC memory is lost: a new boot")
        return None
    kept = list(struct.unpack(_KEPT, data))
    slept = time.time_ns() // 1_000_000 - kept[7]
    if not 0 <= slept <= 2 * kept[4] + 60_000:
        slept = kept[4]  # somebody has set the chip's clock meanwhile
    clock.advance(kept[5] + slept)
    if kept[6]:
        kept[6] += slept
    # What is over the planned time went into starting; a pin ends a sleep before it.
    slept = min(slept, kept[4])
    power.spent[:] = [kept[5] - sum(kept[8:11])] + kept[8:11]
    power.spent[power.DEEP] += slept
    power.since = kept[5] + slept
    power.battery = kept[11]
    kept[3] += 1
    power.kept = kept
    log("power", "wake %d; ms active, modem, light, deep: %s" % (kept[3], power.spent))
    return kept[:2]


def go_on(config, boot, resets):
    """Sleeps on where the battery is critical, without a word: Wi-Fi's first current peak could end in a brown-out, and
    the next start in another one. That it is critical was told before the first such sleep."""
    from battery import read
    from health import judge

    for _ in range(2):
        judge(read(config), config.low_mv, config.critical_mv)
    if power.battery == 2:
        kept = power.kept or [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b""]
        _deep(1000 * power.CRITICAL_S, boot, resets, kept[2], kept[6], kept[12])


def resume(node):
    """Gives a node what was kept of it."""
    kept, at = power.kept, 0
    node.link.session = kept[2]
    for sensor in node.config.sensors:
        reported = node.reported[sensor.name]
        reported.seq = int.from_bytes(kept[12][at : at + 3], "little")
        reported.detections = int.from_bytes(kept[12][at + 3 : at + 6], "little")
        at += 6
    if kept[6]:
        # At most the time that the start has taken is missing.
        node.clock().set(kept[6], clock.uptime_ms(), "rtc")


def begin(node, ms, word):
    """Sleeps so long [ms]; Wi-Fi must be off. `word`: cycle (pins may end it), sleep (the host's), stop (empty)."""
    config = node.config
    if config.waking:
        import esp32

        pins = [board.input_pin(number) for number in config.waking if word == "cycle"]
        # One that is high now would end the sleep at once.
        wake = esp32.wake_on_gpio if board.CHIP == "esp32c3" else esp32.wake_on_ext1
        wake(tuple([pin for pin in pins if not pin.value()]), esp32.WAKEUP_ANY_HIGH)
    if config.mode != "deep" and word != "stop":
        _rest(node, ms)
        return
    seqs = b""
    for sensor in config.sensors:
        reported = node.reported[sensor.name]
        seqs += reported.seq.to_bytes(3, "little") + reported.detections.to_bytes(3, "little")
    utc = node.clock().at(clock.uptime_ms()) or 0
    _deep(ms, node.boot, node.resets, node.link.session, utc, seqs)


def _rest(node, ms):
    # A light sleep, without what hangs on a switch.
    receiver, config, utc = node.receiver, node.config, node.clock()
    if receiver:
        board.supply(1, 0)
    if power.uart:
        board.supply(2, 0)
    _light(ms)
    if receiver:
        receiver.skip()
        # A surveyed post needs the time alone: less than ten minutes old (of the hour that `fresh` gives) is enough for
        # one more turn, unless that is long.
        turn = config.asleep_s and config.awake_s < 600
        if not (turn and config.survey and utc.source == "gnss" and utc.fresh(clock.uptime_ms() + _ALMOST_MS)):
            board.gnss_uart(receiver.uart)
    if power.uart:
        board.sensor_uart(2, power.uart[1], True, power.uart[0])


def _light(ms):
    before = power.enter(power.LIGHT)
    end = clock.uptime_ms() + ms
    while ms > 0:
        step = min(ms, _SLICE_MS)
        machine.lightsleep(step)
        guard.rested()
        left = end - clock.uptime_ms()
        if left > ms - step + _EARLY_MS:
            break
        ms = left
    power.enter(before)


def _deep(ms, boot, resets, session, utc, seqs):
    power.enter(power.DEEP)
    chip = time.time_ns() // 1_000_000
    numbers = (boot, resets, session, power.kept[3] if power.kept else 0, ms, power.since, utc, chip)
    rtc.write(0, _SECTION, struct.pack(_KEPT, *(numbers + tuple(power.spent[power.MODEM :]) + (power.battery, seqs))))
    log("power", "deep sleep for %d s" % (ms // 1000))
    machine.deepsleep(ms)
