"""How a node sleeps and what it keeps: its states, its battery's guard, its counters over a deep sleep."""

import copy
import re
import time

import pytest

from dronewall.live.ingest import Ingest
from dronewall.live.state import State
from firmware_side import answer, board, interpreter
from sleepers import DEEPSLEEP, PWRON, Board, supplies
from test_firmware_config import CAMERA, NODE, PRESENCE, READ, changed
from test_firmware_node import Host, broker, host  # noqa: F401


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


@pytest.fixture
def start(micropython, broker, tmp_path):  # noqa: F811
    boards = []

    def started(world=None, **config):
        folder = tmp_path / f"board{len(boards)}"
        folder.mkdir()
        whole = copy.deepcopy({**NODE, "valid_s": 60, "period_s": 2, "sensors": [CAMERA]})
        whole["mqtt"]["port"] = broker
        boards.append(Board(micropython, folder, {**whole, **config}, world).on())
        return boards[-1]

    yield started
    for each in boards:
        each.cut()


# A machine, a clock and an event loop that a test turns.
STAGE = """
import sys, asyncio
class machine:
    PWRON_RESET, DEEPSLEEP_RESET, WDT_RESET = 1, 4, 3
    said = []
    why, memory = 1, b""
    def reset_cause(): return machine.why
    def reset(): raise SystemExit("reset")
    def deepsleep(ms):
        machine.said.append(ms)
        raise SystemExit("deepsleep")
    def lightsleep(ms):
        machine.said.append(ms)
        turn(ms if machine.pin is None else min(ms, machine.pin))
    pin = UART = None
    class Pin:
        IN, OUT, levels = 1, 3, {}
        def __init__(self, number, mode=-1, value=None):
            self.number = number
            if mode != -1: self.levels[number] = value
    class RTC:
        def memory(self, data=None):
            if data is not None: machine.memory = bytes(data)
            return machine.memory
sys.modules["machine"] = machine
import clock
now = [0]
clock.uptime_ms = lambda: now[0]
def turn(ms): now[0] += ms
async def sleep_ms(ms): turn(ms)
asyncio.sleep_ms = sleep_ms
import health, power
"""
FAKE_NODE = """
class Link:
    ready, saving, asleep, session, busy = True, False, False, 7, False
    said = []
    def waiting(self): return Link.busy
    def save_power(self, saving): self.saving = saving; self.said.append((now[0], "saving", saving))
    async def sleep(self): self.said.append((now[0], "sleeping"))
    async def close(self): self.said.append((now[0], "disconnected"))
class Clock:
    source = "none"
    def at(self, uptime): return 1800000000000 + uptime
class Receiver:
    class uart:
        def init(**wires): machine.Pin.levels.pop(wires["tx"].number)
    def skip(self): pass
class Config:
    mode, awake_s, asleep_s, waking, sensors, compass, survey = given[0], given[1], given[2], [], [], "qmc5883", None
class Node:
    config, link, then, receiver, trial, boot, resets = Config, Link(), None, Receiver(), None, 5, 1
    def clock(self): return Clock()
    def health(self):
        Link.said.append((now[0], "health"))
        if now[0] > given[3]: raise KeyboardInterrupt
node = Node()
def run():
    try:
        asyncio.run(power.run(node))
    except KeyboardInterrupt:
        return "over"
    except SystemExit as end:
        return str(end)
"""


def test_a_battery_is_low_once_two_voltages_say_so_and_well_again_a_thirty_second_over_the_bound(side):
    source = (
        STAGE
        + """
out = []
for mv in given:
    health.judge(mv, 3300, 3000)
    out.append(power.battery)
"""
    )
    # One sag is none; between 3300 and 3300 + 103 it stays what it was, and the same over 3000 for critical.
    volts = [3400, 3200, 3400, 3290, 3299, 3350, 3400, 3403, 3403, 2990, 2999, 3050, 3092, 3093, 3095, None, None]
    levels = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 2, 2, 2, 2, 1, 1, 0]
    assert answer(side, source, volts) == levels


def test_the_share_of_time_awake_is_that_of_the_states(side):
    source = (
        STAGE
        + """
out = [health.awake_milli()]
for state, ms in ((power.MODEM, 100), (power.LIGHT, 300), (power.DEEP, 1200), (power.ACTIVE, 400)):
    turn(ms)
    power.enter(state)
turn(2000)
out += [health.awake_milli(), power.spent]
"""
    )
    # 100 ms active, 300 modem, 1200 light, 400 deep, 2000 active: 2400 of 4000 awake; nothing has passed at first
    assert answer(side, source) == [0, 600, [2100, 300, 1200, 400]]


def test_a_node_without_a_link_sleeps_all_the_same(side):
    source = (
        STAGE
        + FAKE_NODE
        + """
Link.ready = False
out = [run(), [what[:2] for what in Link.said], machine.said]
"""
    )
    end, said, slept = answer(side, source, ["light", 10, 60, 100_000])
    assert end == "over"
    # 10 s awake and, without a link, 15 more; then 60 in slices that a watchdog of 30 s survives
    assert said[0][1] == "sleeping"
    assert 24_500 <= said[0][0] <= 25_500
    assert slept[:6] == [10_000] * 6
    assert said[1][1] == "health"
    assert 84_500 <= said[1][0] <= 85_500


def test_a_node_does_not_sleep_while_a_detection_waits_but_not_for_ever(side):
    source = (
        STAGE
        + FAKE_NODE
        + """
Link.busy = True
out = [run(), [what[:2] for what in Link.said]]
"""
    )
    _, said = answer(side, source, ["light", 10, 60, 0])
    assert 24_500 <= said[0][0] <= 25_500


def test_a_pin_that_goes_high_ends_a_light_sleep(side):
    source = (
        STAGE
        + FAKE_NODE
        + """
machine.pin = 3000
out = [run(), Link.said]
"""
    )
    _, said = answer(side, source, ["light", 10, 60, 0])
    assert said[1][1] == "health"
    assert said[1][0] - said[0][0] == 3000


SWITCHED = (
    STAGE
    + FAKE_NODE
    + """
import board, power
from machine import Pin
board.CHIP, Config.compass = given[4:6]
said, levels = [], Pin.levels
names = given[6]
def seen(word):
    said.append([now[0], word] + [levels.get(number, "line") for number in names])
class Sensor:
    def init(**wires): levels.pop(wires["tx"].number); said.append(sorted(wires.items())[0][1])
lightsleep = machine.lightsleep
def asleep(ms):
    seen("asleep")
    lightsleep(ms)
machine.lightsleep = asleep
power.uart[:] = [Sensor, 256000]
for number in names[:2]: levels[number] = 1
class Node(Node):
    def health(self):
        seen("awake")
        if now[0] > given[3]: raise KeyboardInterrupt
node = Node()
"""
)


@pytest.mark.parametrize("chip", ["esp32", "esp32s3"])
def test_what_hangs_on_a_switch_is_off_while_the_node_sleeps_lightly_and_on_again_after_it(side, chip):
    pins = answer(interpreter("cpython"), "import board\nout = board.CHIPS[given]", chip)
    names = [pins[name] for name in ("gnss_power", "sensor_power", "gnss_tx", "uart2_tx")]
    given = ["light", 10, 10, 30_000, chip, "qmc5883", names]
    first, baud, second, *_ = answer(side, SWITCHED + "run()\nout = said", given)
    # A line that is an input (None) feeds nothing; afterwards both are the UARTs' again.
    assert first[1:] == ["asleep", 0, 0, None, None]
    assert baud == 256_000
    assert second[1:] == ["awake", 1, 1, "line", "line"]
    # What has a supply of its own keeps it, and its line.
    own = "power.uart.clear()\nmachine.UART = lambda *words, **wires: None\nboard.sensor_uart(2, 115200)\n"
    first, second, *_ = answer(side, SWITCHED + own + "run()\nout = said", given)
    assert first[1:] == ["asleep", 0, 1, None, "line"]
    assert second[1:] == ["awake", 1, 1, "line", "line"]


def test_the_supply_of_a_sensor_is_switched_on_before_its_uart_and_what_has_its_own_is_left_alone(side):
    source = (
        SWITCHED
        + """
levels.clear()
power.uart.clear()
machine.UART = lambda number, **wires: [number, wires["baudrate"], sorted(levels.items())]
first = board.sensor_uart(2, 115_200)
kept = list(power.uart)
out = [first, kept, board.sensor_uart(2, 256_000, True), board.gnss_uart()]
"""
    )
    first, kept, second, third = answer(side, source, ["light", 1, 1, 0, "esp32", "qmc5883", [1, 2]])
    assert (first, kept) == ([2, 115_200, []], [])
    assert second == [2, 256_000, [[27, 1]]]
    assert third == [1, 9600, [[23, 1], [27, 1]]]


def test_a_chip_without_a_second_uart_sleeps_without_it(side):
    pins = answer(interpreter("cpython"), "import board\nout = board.CHIPS['esp32c3']")
    names = [pins["gnss_power"], 99, pins["gnss_tx"]]
    given = ["light", 10, 10, 30_000, "esp32c3", "qmc5883", names]
    first, second, *_ = answer(side, SWITCHED + "power.uart.clear()\nrun()\nout = said", given)
    assert first[1:] == ["asleep", 0, 1, None]
    assert second[1:] == ["awake", 1, 1, "line"]


def test_a_surveyed_post_leaves_its_receiver_off_while_its_time_is_less_than_ten_minutes_old(side):
    source = (
        SWITCHED
        + """
power.uart.clear()
Config.survey = [0, 0, 0, 100]
from clock import Clock
utc, heard = Clock(), [0]
def at_wake():
    if levels[names[0]]:
        utc.set(1_800_000_000_000 + now[0], now[0], "gnss")
at_wake()
Node.clock = lambda node: utc
health = Node.health
def awake(node):
    at_wake()
    health(node)
Node.health = awake
run()
out = [[row[0], row[2]] for row in said if row[1] == "awake"]
"""
    )
    names = [23, 99]
    turns = answer(side, source, ["light", 10, 110, 1_500_000, "esp32", "qmc5883", names])
    # Every two minutes; when it wakes ten minutes and more after the time was last heard, the receiver is on.
    told = 0
    for uptime, on in turns:
        assert on == (uptime - told >= 600_000), turns
        told = uptime if on else told
    assert sum(on for _, on in turns) == 2
    # A turn that is awake for ten minutes needs it.
    turns = answer(side, source, ["light", 600, 10, 1_500_000, "esp32", "qmc5883", names])
    assert [on for _, on in turns] == [1, 1, 1]


@pytest.mark.parametrize(("chip", "word"), [("esp32", "ext1"), ("esp32s3", "ext1"), ("esp32c3", "gpio")])
def test_a_pin_wakes_each_chip_by_the_call_that_it_has(side, chip, word):
    source = (
        SWITCHED
        + """
class esp32: WAKEUP_ANY_HIGH = True
waking = []
setattr(esp32, "wake_on_" + given[7], lambda pins, level: waking.append([[pin.number for pin in pins], level]))
sys.modules["esp32"] = esp32
class Presence:
    def __init__(self, number): self.number = number
    def value(self): return 0
power.uart.clear()
board.input_pin, Config.waking = Presence, [3]
run()
out = waking[0]
"""
    )
    # MicroPython, ports/esp32/modesp32.c: the C3 has wake_on_gpio and no wake_on_ext1.
    assert answer(side, source, ["light", 10, 10, 0, chip, "qmc5883", [1, 99], word]) == [[3], True]


def test_a_low_battery_makes_a_node_save_and_an_empty_one_stops_it_for_an_hour_at_a_time(side):
    source = (
        STAGE
        + FAKE_NODE
        + """
power.battery = 1
config = Config()
out = [power.pace(config, 10, 0, 30), power.pace(config, 10, 60, 210)]
power.battery = 0
out.append(power.pace(config, 10, 60, 210))
power.battery = 2
out += [run(), Link.said, list(machine.said)]
import asleep
asleep.power.kept = []
machine.why = 4
power.spent[:] = [0, 0, 0, 0]
real = clock.advance
clock.advance = turn
now[0] = 0
out.append([asleep.woken(), power.battery, power.kept[2], power.spent[3]])
class Settings:
    low_mv, critical_mv = 3300, 3000
class battery:
    mv = 3000
    def read(settings): return battery.mv
sys.modules["battery"] = battery
try:
    asleep.go_on(Settings, 5, 1)
except SystemExit as end:
    out.append(str(end))
battery.mv = 3100
asleep.go_on(Settings, 5, 1)
out.append([power.battery, machine.said])
"""
    )
    low, low_cycle, enough, end, said, slept, woken, again, well = answer(side, source, ["active", 10, 60, 0])
    assert low == [40, 0, 120]
    # 10 s awake and 240 asleep: a report counts for three such cycles
    assert low_cycle == [40, 240, 750]
    assert enough == [10, 60, 210]
    # The host hears of it, if the link is there, and then it sleeps deeply although its mode is active.
    assert end == "deepsleep"
    assert [what[1] for what in said] == ["saving", "sleeping"]
    assert slept == [3_600_000]
    # It knows after the sleep what it was, and sleeps on until the voltage is 3000 and a thirty-second of it.
    assert woken[:3] == [[5, 1], 2, 7]
    assert again == "deepsleep"
    assert well == [1, [3_600_000, 3_600_000]]


def test_rtc_memory_that_is_torn_is_a_new_boot_and_no_false_counters(side):
    source = (
        STAGE
        + FAKE_NODE
        + """
Config.mode = "deep"
Node.then = ("sleep", 60000)
out = [run()]
machine.memory = machine.memory[:40] + bytes([machine.memory[40] ^ 1]) + machine.memory[41:]
import asleep, rtc
rtc._memory = None  # a start reads it anew
out += [asleep.woken(), power.kept]
"""
    )
    assert answer(side, source, ["deep", 10, 60, 0]) == ["deepsleep", None, []]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["power"], {"mode": "deep"}, ["power.awake_s: is missing", "power.asleep_s: is missing"]),
        (
            ["power"],
            {"mode": "light", "awake_s": 10, "asleep_s": 60},
            ["valid_s: integer from 70 to 86400 expected, not 30"],
        ),
        (["power"], {"mode": "dozing"}, ['power.mode: one of active, modem, light, deep expected, not "dozing"']),
        (["power"], {"critical_mv": 10}, ["power.critical_mv: integer from 0 to 0 expected, not 10"]),
        (["confirm_s"], 29, ["confirm_s: integer from 30 to 3600 expected, not 29"]),
    ],
)
def test_a_wrong_way_to_sleep_is_refused_with_the_numbers(side, path, value, told):
    assert answer(side, READ, changed(path, value)) == told


def test_the_sensors_of_a_node_that_sleeps_have_its_duty_or_a_pin_that_wakes_it(side):
    sleeping = {"mode": "deep", "awake_s": 10, "asleep_s": 10}
    sensors = [{**CAMERA, "awake": "duty", "duty_milli": 500}, {**PRESENCE, "awake": "event", "pin": 18}]
    wrong = {**NODE, "power": sleeping, "sensors": sensors}
    assert answer(side, READ, wrong) == [
        "sensors[0].awake: left out on a node that sleeps (power is its duty), not duty",
        "sensors[1].awake: a pin that wakes the chip expected for event, not 18",
    ]
    source = """
import config
out = [config.settings(given).waking, config.settings(given).valid_s]
"""
    right = {**NODE, "power": sleeping, "sensors": [CAMERA, {**PRESENCE, "awake": "event"}]}
    del right["valid_s"]
    assert answer(side, source, right) == [[27], 60]


@pytest.mark.parametrize("mode", ["light", "deep"])
def test_a_node_that_sleeps_is_one_node_to_the_host(start, broker, mode):  # noqa: F811
    state = State("jacksboro")
    with Ingest("127.0.0.1", broker, "jacksboro") as ingest:
        ingest.wait(10)
        slept = start(power={"mode": mode, "awake_s": 2, "asleep_s": 2})
        states, seqs, healths, clocks = [], [], [], []
        end = time.monotonic() + 50
        while len([word for word, *_ in states if word == "sleeping"]) < 3:
            assert time.monotonic() < end, slept.said()
            arrival = ingest.next(10)
            assert arrival is not None, slept.said()
            assert arrival.report is not None, arrival.reason
            state.apply(arrival.report, arrival.arrived_unix_ms, arrival.retained)
            values = arrival.report.values
            if arrival.report.kind == "state":
                states.append((values["state"], values["boot"], values["session"]))
            elif arrival.report.kind == "frustum":
                seqs.append(values["seq"])
                clocks.append(values["clock"])
                assert (values["awake"], values["duty"]) == ("duty", 0.5)
                # Whatever came last is what the host holds: no boot, session or seq has gone backwards.
                (sensor,) = state.snapshot(arrival.arrived_unix_ms)
                assert sensor.report.values["seq"] == values["seq"]
                assert sensor.status == "heard"
            elif arrival.report.kind == "health":
                healths.append(values)
    assert states == [(word, 1, session) for session in (1, 2, 3) for word in ("ready", "sleeping")]
    assert seqs == sorted(set(seqs))  # only the latest of a sensor is sent, so some may be missing
    uptimes = [values["uptime_ms"] for values in healths]
    assert uptimes == sorted(uptimes)
    (node,) = state.nodes(arrival.arrived_unix_ms)
    assert (node.state, node.reason) == ("sleeping", "")
    assert (slept.folder / "boot").read_text().split()[:2] == ["1", "0"]  # the flash was written once
    if mode == "deep":
        assert slept.causes[:3] == [PWRON, DEEPSLEEP, DEEPSLEEP]
        assert slept.slept[:2] == [2000, 2000]
        assert [values["reset"] for values in healths[:3]] == ["power", "sleep", "sleep"]
        # The time that it knew before the sleep holds on until the receiver tells it anew.
        assert "gnss" not in clocks or "none" not in clocks[clocks.index("gnss") :]
        assert "rtc" in clocks
    else:
        assert slept.causes == [PWRON]


SOON = {"gnss": {"sigma_cm": 100, "fix_after_ms": 500, "baud": 9600}}


def switched(board, uart):
    """What the console says of that UART's supply, in order."""
    return re.findall(rf"supply at pin {supplies()[uart]}: (\w+)", board.said())


def test_a_receiver_has_its_supply_after_each_deep_sleep_and_tells_the_time(start, host):  # noqa: F811
    board = start(SOON, power={"mode": "deep", "awake_s": 3, "asleep_s": 1}, position={"source": "gnss"})
    for _ in range(2):
        host.until(lambda report: report.kind == "frustum" and report.values["clock"] == "gnss")
        host.until(lambda report: report.kind == "state" and report.values["state"] == "sleeping")
    # Nobody switches it off but the switch's own resistor. Nothing is on UART 2.
    assert switched(board, "1")[:2] == ["on", "on"]
    assert switched(board, "2") == []


def test_receiver_and_radar_are_off_in_a_light_sleep_and_work_after_it(start, host):  # noqa: F811
    world = {**SOON, "uart": {"1": "receiver", "2": "ld2450"}, "intruders": []}
    power = {"mode": "light", "awake_s": 2, "asleep_s": 2}
    board = start(world, power=power, position={"source": "gnss"}, sensors=[{**CAMERA, "driver": "ld2450"}])
    for _ in range(2):
        host.until(lambda report: report.kind == "state" and report.values["state"] == "sleeping")
    assert switched(board, "1")[:3] == switched(board, "2")[:3] == ["on", "off", "on"]
    # Neither is told as broken for it: the radar's duty is the node's.
    assert "silent" not in board.said()
    assert {report.values["duty"] for report in host.reports if report.kind == "frustum"} == {0.5}
    host.until(lambda report: report.kind == "frustum" and report.values["clock"] == "gnss")


def test_a_presence_wakes_a_node_from_its_deep_sleep_and_is_reported(start, host):  # noqa: F811
    world = {"pir": [{"pin": 27, "every_ms": 12_000, "high_ms": 3000}]}
    near = {**PRESENCE, "azimuth_source": "survey", "awake": "event", "settle_s": 0}
    board = start(world, power={"mode": "deep", "awake_s": 2, "asleep_s": 600}, valid_s=3600, sensors=[CAMERA, near])
    host.until(lambda report: report.kind == "state" and report.values["state"] == "sleeping")
    # Ten minutes it would sleep; somebody comes within twelve seconds.
    second = host.listener.heard.get(timeout=40)
    assert second[0].endswith("/birth")
    detection = host.until("detection")[0].values
    assert detection["boot"] == 1
    assert board.causes[:2] == [PWRON, DEEPSLEEP]
    frusta = [r.values for r in host.reports if r.kind == "frustum" and r.sensor == "near"]
    assert {values["awake"] for values in frusta} == {"event"}


def test_what_every_node_loads_to_sleep_is_small(micropython, tmp_path):
    source = f"""
import gc
sys.path[:0] = [{str(board() / "unix")!r}]
import asyncio, json, struct, time, clock, machine, flash, guard, log, board, store, rtc
number, was = 0, gc.mem_alloc()
while gc.mem_alloc() - was < 10000:  # the table of names doubles when it is full: here nobody pays for that
    was, number = gc.mem_alloc(), number + 1
    hasattr(0, "name%d" % number)
gc.collect()
before = gc.mem_alloc()
import power
gc.collect()
out = [gc.mem_alloc() - before]
before = gc.mem_alloc()
import tried
gc.collect()
out.append(gc.mem_alloc() - before)
"""
    resident, trial = answer(micropython, source, cwd=tmp_path, heap="512k")
    assert resident < 3584
    assert resident + trial < 7168
