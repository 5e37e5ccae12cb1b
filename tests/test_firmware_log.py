"""firmware/log.py and guard.py: what is kept of faults, which tasks are alive, what a start after a fault is like."""

import re
import struct
from binascii import crc32

import pytest

from dronewall import wire
from dronewall.bench.sender import Wall
from firmware_side import answer, board
from test_firmware_mqtt import end, start_mosquitto
from test_firmware_node import Host, Node, looking
from test_firmware_store import seal


def on_node(micropython, folder, source, given=None):
    head = f"import sys\nsys.path[:0] = [{str(board() / 'unix')!r}]\nimport log, os\n"
    return answer(micropython, head + source, given, folder)


def kept(folder):
    """The lines in the flash, the oldest first."""
    text = "".join(path.read_text() for name in ("faults.old", "faults.log") if (path := folder / name).exists())
    assert text.endswith("\n")
    return text.splitlines()


def test_a_fault_is_kept_with_its_traceback_and_without_passwords(micropython, tmp_path):
    source = """
log.secrets += ["open sesame", None, ""]
def broken():
    raise OSError("no way in with 'open sesame'")
try:
    broken()
except OSError as error:
    log.failure("link", error)
log.log("link", "not kept")
out = None
"""
    on_node(micropython, tmp_path, source)
    text = "\n".join(kept(tmp_path))
    assert re.match(r"\d+\.\d{3} link: failed: Traceback", text)
    assert "in broken" in text
    assert "OSError: no way in with '***'" in text
    assert "sesame" not in text
    assert "not kept" not in text


def test_of_ten_thousand_lines_the_last_stay_and_8_kb_are_enough(micropython, tmp_path):
    source = """
log.print = lambda *_, **__: None
for i in range(10000):
    log.note("test", "line %d" % i)
out = [os.stat("faults.log")[6], os.stat("faults.old")[6], sorted(os.listdir())]
"""
    new, old, names = on_node(micropython, tmp_path, source)
    assert max(new, old) <= 4096
    assert old > 4000  # the file before it was full
    assert names == ["faults.log", "faults.old"]
    numbers = [int(line.split()[-1]) for line in kept(tmp_path)]
    assert numbers == list(range(10000 - len(numbers), 10000))


def test_one_entry_is_at_most_a_kilobyte_and_ends_as_it_ended(micropython, tmp_path):
    on_node(micropython, tmp_path, "log.note('test', 'x' * 5000 + 'end')\nout = None")
    assert (tmp_path / "faults.log").stat().st_size == 1024
    assert (tmp_path / "faults.log").read_text().endswith("xend\n")


def test_a_flash_that_takes_no_log_stops_nothing(micropython, tmp_path):
    (tmp_path / "faults.log").mkdir()
    assert on_node(micropython, tmp_path, "log.note('test', 'lost')\nout = 1") == 1


BEATS = """
import asyncio, machine, clock, guard
now = [0]
guard.clock = clock
clock.uptime_ms = lambda: now[0]
guard.note = lambda source, text: out.append(text)
fed = [0]
class Dog:
    def __init__(self, timeout): pass
    def feed(self): fed[0] += 1
machine.WDT = Dog
class Link:
    ready = False
    def replied(self): return True
    async def close(self): out.append("closed")
out = []
async def lives():
    while True:
        await asyncio.sleep_ms(1)
steps = [0]
async def hangs():
    await asyncio.sleep_ms(1)
    steps[0] += 1
    await asyncio.Event().wait()
async def ends():
    await asyncio.sleep_ms(1)
async def rounds(count):
    for _ in range(count):
        now[0] += 1000
        before = fed[0]
        for _ in range(200):  # the guard looks every 250 ms
            await asyncio.sleep_ms(3)
            if fed[0] > before:
                break
        out.append(fed[0] > before)
async def run(hung, *tasks):
    tasks = [asyncio.create_task(guard.guarded(*task)) for task in tasks]
    watch = asyncio.create_task(guard.watch(Link(), 10**9, False))
    while steps[0] < hung:
        await asyncio.sleep_ms(1)
    await rounds(6)
"""


def test_the_watchdog_is_fed_while_every_task_has_had_a_step_within_its_own_bound(micropython, tmp_path):
    source = BEATS + 'asyncio.run(run(1, ("a", lives(), 3000), ("b", hangs(), 10000), ("c", ends(), 10)))'
    assert on_node(micropython, tmp_path, source) == [True] * 6


def test_one_task_that_stands_still_starves_the_watchdog_whatever_the_others_do(micropython, tmp_path):
    source = BEATS + 'asyncio.run(run(2, ("a", lives(), 3000), ("stuck", hangs(), 2500), ("may", hangs(), None)))'
    found = on_node(micropython, tmp_path, source)
    assert [each for each in found if each is not False and each is not True] == [
        "stuck stands still: the watchdog is not fed"
    ]
    assert [each for each in found if type(each) is bool] == [True, True, False, False, False, False]


def test_a_cancelled_task_and_a_time_out_inside_one_pass_through(micropython, tmp_path):
    source = """
import asyncio, machine, guard
out = []
machine.reset = lambda: out.append("reset")
async def long():
    await asyncio.sleep_ms(60000)
async def waits():
    try:
        await asyncio.wait_for_ms(long(), 5)
    except asyncio.TimeoutError:
        out.append("time-out")
    try:
        await asyncio.sleep_ms(60000)
    finally:
        out.append("cleared away")
async def run():
    task = asyncio.create_task(guard.guarded("a", waits(), None))
    while not out:
        await asyncio.sleep_ms(1)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        out.append("cancelled")
asyncio.run(run())
"""
    assert on_node(micropython, tmp_path, source) == ["time-out", "cleared away", "cancelled"]


STARTS = """
import machine, flash
flash.note = flash.log = lambda *_: None
out = []
for cause in given:
    machine.cause = cause
    out.append(flash.begun())
    if cause == "well":
        flash.counted(0, 0, None)
"""
POWER, RESET, WATCHDOG, SLEEP, SOFT = 1, 2, 3, 4, 5


@pytest.mark.parametrize(
    ("causes", "safe"),
    [
        ([POWER] * 5, [False] * 5),  # power that comes and goes is no fault of the firmware's
        ([POWER, RESET, RESET, RESET], [False, False, False, True]),
        ([POWER, WATCHDOG, SOFT, WATCHDOG, POWER, RESET], [False, False, False, True, True, True]),
        ([POWER, RESET, RESET, SLEEP, RESET, RESET, RESET], [False] * 6 + [True]),
    ],
)
def test_three_starts_after_a_fault_in_a_row_lead_into_safe_mode(micropython, tmp_path, causes, safe):
    found = on_node(micropython, tmp_path, STARTS, causes)
    assert [start[2] for start in found] == safe
    assert [start[0] for start in found] == list(range(1, len(causes) + 1))
    assert [start[3] for start in found] == [0] * len(causes)


@pytest.fixture
def host(mosquitto, free_port, tmp_path):
    process = start_mosquitto(mosquitto, free_port, tmp_path)
    host = Host(free_port)
    yield host
    host.close()
    end(process)


def test_a_node_in_safe_mode_has_its_link_and_nothing_else(micropython, host, tmp_path):
    folder = tmp_path / "node"
    folder.mkdir()
    node = Node(micropython, folder, host.port, sensors=[looking("compass")])
    (folder / "boot").write_bytes(seal(b"7 3 3 "))
    node.start()
    try:
        birth = host.until("birth")[0].values
        assert (birth["mode"], birth["sensors"], birth["boot"]) == ("safe", [], 8)
        host.until(lambda report: report.kind == "state" and report.values["state"] == "ready")
        host.send(id="i1", command="identify", identify_s=1)
        assert host.until("reply")[0].values["status"] == "done"
        while "health" not in {report.kind for report in host.reports}:
            host.until(lambda report: True)
        with Wall("127.0.0.1", host.port, "jacksboro") as wall:
            reply = wall.asked("P4", command="update", offset=0, data="A" * 64)
        assert (reply["status"], reply["reason"]) == ("refused", "this node was set up without a loader")
        assert {report.kind for report in host.reports} == {"birth", "state", "reply", "health"}
        assert "safe mode" in (folder / "faults.log").read_text()
    finally:
        node.kill()


def test_what_waited_in_the_queue_is_sent_by_a_node_in_safe_mode(micropython, host, tmp_path):
    folder = tmp_path / "node"
    folder.mkdir()
    node = Node(micropython, folder, host.port, sensors=[looking("compass")])
    (folder / "boot").write_bytes(seal(b"7 3 3 "))
    # As firmware/outbox.py lays it out: the names, slot of the oldest, one detection of 28 bytes.
    waiting = {
        "sensor_index": 0, "clock": "none", "seq": 4, "uptime_ms": 90_500, "boot": 7, "azimuth_cdeg": 31_007,
        "elevation_cdeg": 12, "confidence_milli": 800, "class": "person",
    }  # fmt: skip
    ring = bytearray(1916)
    struct.pack_into("<IBBB", ring, 0, crc32(b"jacksboro/P4/cam"), 0, 1, 28)
    ring[12:40] = wire.pack("detection", waiting)
    (folder / "rtc").write_bytes(bytes(128) + crc32(ring).to_bytes(4, "little") + ring)
    node.command.append("3")  # the watchdog: the memory has outlived it
    node.start()
    try:
        assert host.until("birth")[0].values["mode"] == "safe"
        (found,) = host.until("detection")
        assert (found.sensor, found.values["boot"], found.values["seq"]) == ("cam", 7, 4)
    finally:
        node.kill()
