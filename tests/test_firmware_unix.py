"""firmware/unix: the virtual devices as a driver sees them, each in a world that we know."""

import json
import math
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from firmware_side import HEAP, board

WORLD: dict[str, Any] = {
    "start_unix_ms": 0,
    "repeat": "hold",
    "declination_cdeg": -520,
    "field": {"dip_cdeg": 6400, "nanotesla": 50000},
    "gnss": {"sigma_cm": 150, "fix_after_ms": 1200, "baud": 9600},
    "compass": {"sigma_cdeg": 0},
    "accelerometer": {"sigma_cdeg": 0},
    "pir": [{"pin": 27, "every_ms": 400, "high_ms": 100}],
    "seed": 7,
}


START_MS = 1_767_225_600_000  # 2026-01-01, when the clock of these tests begins

# The devices' time is what the test makes of it: it passes while they sleep, and a slow machine does not change it.
CLOCK = f"""
import time as real
class time:
    passed = 0
    gmtime = real.gmtime
    ticks_diff = real.ticks_diff
    ticks_add = real.ticks_add
    @staticmethod
    def ticks_ms():
        return real.ticks_add(0, time.passed)
    @staticmethod
    def time_ns():
        return ({START_MS} + time.passed) * 1000000
    @staticmethod
    def sleep_ms(ms):
        time.passed += ms
sys.modules["time"] = time
"""


@pytest.fixture
def devices_say(micropython, tmp_path) -> Callable[..., Any]:
    """Runs lines of MicroPython that put something into `out`, on virtual devices in a world; answers with `out`."""

    def run(lines: str, track: tuple[tuple[int, ...], ...], **changes: Any) -> Any:
        (tmp_path / "world.json").write_text(json.dumps({**WORLD, **changes}))
        (tmp_path / "track").write_bytes(b"".join(struct.pack("<7i", *point) for point in track))
        head = (
            f"import sys, os\nsys.path[:] = [{str(board() / 'unix')!r}, '.frozen']\n{CLOCK}"
            f"os.chdir({str(tmp_path)!r})\nimport json, time, struct, machine\nout = []\n"
        )
        (tmp_path / "test.py").write_text(head + lines + "\nprint(json.dumps(out))\n")
        done = subprocess.run(
            [micropython, "-X", f"heapsize={HEAP}", str(tmp_path / "test.py")],
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


HERE = (0, 365000000, -843000000, 50000, 0, 0, 0)
READ_CHIPS = """
i2c = machine.I2C(0)
i2c.writeto_mem(0x0D, 0x0A, b"\\x80")
i2c.writeto_mem(0x0D, 0x09, b"\\x15")
i2c.writeto_mem(0x53, 0x31, b"\\x08")
i2c.writeto_mem(0x53, 0x2D, b"\\x08")
raw = bytearray(6)
sums = [0] * 6
for _ in range(20):
    time.sleep_ms(21)
    for at, address, register in ((0, 0x0D, 0), (3, 0x53, 0x32)):
        i2c.readfrom_mem_into(address, register, raw)
        for i, count in enumerate(struct.unpack("<hhh", raw)):
            sums[at + i] += count
out = [s / 20 for s in sums]
"""


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "roll_deg", "x", "y", "z"),
    [
        # Magnetic azimuth is true azimuth minus declination: 354.8 is magnetic north where the declination is -5.2.
        (354.8, 0, 0, "H", "0", "-V"),
        (84.8, 0, 0, "0", "H", "-V"),
        (174.8, 0, 0, "-H", "0", "-V"),
        (264.8, 0, 0, "0", "-H", "-V"),
        (354.8, 90, 0, "-V", "0", "-H"),
        (354.8, 0, 90, "H", "-V", "0"),
    ],
)
def test_the_magnetometer_shows_the_field_in_the_boards_axes(
    devices_say, azimuth_deg, elevation_deg, roll_deg, x, y, z
):
    track = ((*HERE[:4], round(100 * azimuth_deg), 100 * elevation_deg, 100 * roll_deg),)
    counts = devices_say(READ_CHIPS, track)[:3]
    # 0.5 gauss at a dip of 64 degrees, 3000 counts a gauss
    h, v = 1500 * math.cos(math.radians(64)), 1500 * math.sin(math.radians(64))
    expected = {"0": 0, "H": h, "-H": -h, "-V": -v}
    # 4.5 counts of noise, over the root of 20
    assert counts == pytest.approx([expected[x], expected[y], expected[z]], abs=5)


@pytest.mark.parametrize(
    ("elevation_deg", "roll_deg", "expected"),
    [
        (0, 0, (0, 0, 256)),
        (90, 0, (256, 0, 0)),
        (0, 90, (0, 256, 0)),
        (30, 0, (128, 0, 221.7)),
        (0, -30, (0, -128, 221.7)),
    ],
)
def test_the_accelerometer_shows_what_holds_it_up(devices_say, elevation_deg, roll_deg, expected):
    track = ((*HERE[:5], 100 * elevation_deg, 100 * roll_deg),)
    assert devices_say(READ_CHIPS, track)[3:] == pytest.approx(expected, abs=1.5)


def test_the_chips_are_silent_until_they_are_switched_on_and_an_absent_one_is_an_error(devices_say):
    lines = """
i2c = machine.I2C(0)
raw = bytearray(6)
one = bytearray(1)
def read(address, register, into):
    i2c.readfrom_mem_into(address, register, into)
    return list(into)
time.sleep_ms(30)
out.append(read(0x0D, 0, raw))
out.append(read(0x0D, 6, one))
out.append(read(0x0D, 13, one))
i2c.writeto_mem(0x0D, 0x09, b"\\x15")
time.sleep_ms(30)
out.append(read(0x0D, 6, one))
out.append(any(read(0x0D, 0, raw)))
out.append(read(0x0D, 6, one))
out.append(read(0x0D, 6, one))
try:
    read(0x53, 0, one)
    out.append("answered")
except OSError as error:
    out.append(error.errno)
"""
    data, ready, chip, ready_later, some, after_reading, at_once, error = devices_say(lines, (HERE,), absent=[0x53])
    assert (data, ready, chip) == ([0] * 6, [0], [0xFF])
    assert (ready_later, some, after_reading, at_once) == ([1], True, [0], [0])
    assert error == 19  # ENODEV, as the ESP32 says


READ_UART = """
uart = machine.UART(1, baudrate=BAUD, rxbuf=1024)
if ASK:
    uart.write(b"$PUBX,40,GST,0,1,0,0,0,0*" + ASK + b"\\r\\n")
text = b""
most = 0
buffer = bytearray(256)
begun = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), begun) < 3600:
    time.sleep_ms(20)
    count = uart.readinto(buffer)
    if count:
        most = max(most, count)
        text += buffer[:count]
out = [[b for b in text], most]
"""


def checksum(body: str) -> str:
    total = 0
    for letter in body.encode():
        total ^= letter
    return f"{total:02X}"


def test_the_receiver_speaks_nmea_at_its_baud_rate_with_no_fix_at_first(devices_say):
    lines = READ_UART.replace("BAUD", "9600").replace("ASK", f'b"{checksum("PUBX,40,GST,0,1,0,0,0,0")}"')
    raw, most = devices_say(lines, (HERE,), start_unix_ms=START_MS)
    sentences = bytes(raw).decode().split("\r\n")[:-1]
    for sentence in sentences:
        assert sentence[0] == "$"
        assert sentence[-2:] == checksum(sentence[1:-3])
    # Never more in 20 ms than 9600 baud brings: ten bits a byte, and one byte that was half there.
    assert 15 <= most <= 20
    kinds = [sentence[3:6] for sentence in sentences]
    assert kinds[:3] == ["RMC", "GGA", "GST"]
    fixed = [sentence.split(",") for sentence in sentences if sentence[3:6] == "GGA" and sentence.split(",")[6] == "1"]
    empty = [sentence for sentence in sentences if sentence[3:6] == "GGA" and sentence.split(",")[6] == "0"]
    assert empty
    assert fixed
    assert sentences.index(empty[-1]) < kinds.index("GGA") + 9
    words = fixed[-1]
    latitude = int(words[2][:2]) + float(words[2][2:]) / 60
    longitude = -(int(words[4][:3]) + float(words[4][3:]) / 60)
    assert (words[3], words[5]) == ("N", "W")
    # 1.5 m on each axis: five of them at most
    assert abs(latitude - 36.5) * 111_195 < 7.5
    assert abs(longitude + 84.3) * 111_195 * math.cos(math.radians(36.5)) < 7.5
    gst = [sentence.split("*")[0].split(",") for sentence in sentences if sentence[3:6] == "GST"][-1]
    assert gst[6:] == ["1.5", "1.5", "2.2"] or gst[6:] == ["1.5", "1.5", "2.3"]


def test_gst_comes_only_when_it_was_asked_for_properly(devices_say):
    for ask in ('b""', 'b"00"'):
        raw, _ = devices_say(READ_UART.replace("3600", "1300").replace("BAUD", "9600").replace("ASK", ask), (HERE,))
        assert b"RMC" in bytes(raw)
        assert b"GST" not in bytes(raw)


def test_at_the_wrong_baud_rate_there_is_only_rubbish(devices_say):
    raw, _ = devices_say(READ_UART.replace("3600", "1300").replace("BAUD", "4800").replace("ASK", 'b""'), (HERE,))
    assert raw
    assert b"$" not in bytes(raw)


def test_a_presence_raises_its_pin_for_its_time_in_every_period(devices_say):
    lines = """
pin = machine.Pin(27, machine.Pin.IN, machine.Pin.PULL_DOWN)
other = machine.Pin(32, machine.Pin.IN)
levels = []
for _ in range(160):
    levels.append(pin.value())
    time.sleep_ms(5)
out = [sum(levels), sum([b > a for a, b in zip(levels, levels[1:])]), other.value()]
"""
    high, edges, other = devices_say(lines, (HERE,))
    # 0.8 s: two periods of 400 ms, a quarter of each high
    assert high == 40
    assert edges == 2
    assert other == 0


TRUTH = """
from world import world
here = world()
out = [here.truth(t) for t in TIMES]
"""


def test_a_track_is_straight_between_its_points_and_turns_the_shorter_way(devices_say):
    track = (
        (0, 365000000, 1799999000, 1000, 35000, 0, 0),
        (1000, 365001000, -1799999000, 2000, 1000, 100, -100),
        (3000, 365001000, -1799997000, 2000, 1000, 100, -100),
    )
    times = "(1000, 1500, 2000, 3000, 4000, 9000)"
    hold = devices_say(TRUTH.replace("TIMES", times), track, start_unix_ms=1000)
    assert hold[1][1:] == [365000500, -1800000000, 1500, 0, 50, -50]
    assert hold[2] == [1000, *track[1][1:]]
    assert hold[3][1:3] == [365001000, -1799998000]
    assert hold[5][1:] == list(track[2][1:])
    loop = devices_say(TRUTH.replace("TIMES", times), track, start_unix_ms=1000, repeat="loop")
    assert loop[4][0] == 0  # 3000 ms later it begins anew
    assert loop[4][1:3] == list(track[0][1:3])


def test_a_long_track_costs_no_memory(devices_say):
    points = tuple((1000 * i, 365000000 + i, -843000000, 50000, 0, 0, 0) for i in range(20_000))
    lines = (
        "import gc\ngc.collect()\n"
        + TRUTH.replace("TIMES", "(19_998_500, 500)")
        + "gc.collect()\nout.append(gc.mem_free())"
    )
    late, early, free = devices_say(lines, points)
    assert (late[1], early[1]) == (365019998.5, 365000000.5)
    assert free > 90_000


def test_the_same_seed_gives_the_same_errors_and_they_are_normal(devices_say):
    lines = """
from world import world
here = world()
n = 4000
some = []
total = squares = tails = 0
for i in range(n):
    x = here.noise()
    some = some + [x] if i < 3 else some
    total += x
    squares += x * x
    tails += abs(x) > 1.96
out = [total / n, squares / n, tails / n, some]
"""
    mean, variance, tails, first = devices_say(lines, (HERE,))
    assert abs(mean) < 4 / math.sqrt(4000)
    assert variance == pytest.approx(1, abs=0.1)
    assert tails == pytest.approx(0.05, abs=0.015)
    assert devices_say(lines, (HERE,))[3] == first
    assert devices_say(lines, (HERE,), seed=8)[3] != first


AIR = """
import network
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
def air(text):
    with open("air.new", "w") as file:
        file.write(text)
    os.rename("air.new", "air")
    time.sleep_ms(260)
def joined(password):
    wlan.connect("wall", password)
    end = time.ticks_add(time.ticks_ms(), 5000)
    while wlan.status() == 1001 and time.ticks_diff(end, time.ticks_ms()) > 0:
        time.sleep_ms(20)
    return wlan.status()
"""


def test_the_wifi_lets_in_whom_its_air_says(devices_say):
    lines = (
        AIR
        + """
out.append(wlan.status())
out.append(joined("anything"))
out.append(wlan.status("rssi"))
air('{"ssids": {"wall": {"password": "right", "rssi": -80}}}')
out.append(joined("wrong"))
out.append(joined("right"))
out.append([wlan.status("rssi"), wlan.isconnected(), wlan.dropped()])
air('{"ssids": {"wall": {"password": "right"}}, "down": true}')
out.append([wlan.isconnected(), wlan.dropped(), wlan.dropped()])
air('{"ssids": {"other": {}}}')
out.append(joined("right"))
air('{"join_ms": 60000}')
wlan.connect("wall", "right")
out.append(wlan.status())
air('{"join_ms": 6')  # half written: as before
out.append(wlan.status())
os.remove("air")
time.sleep_ms(260)
out.append(joined("right"))
"""
    )
    idle, open_, rssi, wrong, right, there, gone, unknown, slow, half, again = devices_say(lines, (HERE,))
    # The ESP32's numbers of a station's states: idle, got an address, wrong password, no such network, connecting.
    assert (idle, open_, rssi) == (1000, 1010, -61)
    assert (wrong, right, there) == (202, 1010, [-80, True, False])
    assert gone == [False, True, False]
    assert (unknown, slow, half, again) == (201, 1001, 1001, 1010)


def test_without_wifi_no_socket_opens_and_those_that_are_open_end(devices_say):
    lines = (
        AIR
        + """
import socket
wlan.connect("wall", "")
try:
    socket.socket()
except OSError as error:
    out.append(error.errno)
out.append(joined(""))
one, two = socket.socket(), socket.socket()
two.close()
out.append(one.fileno() >= 0)
socket.cut()
out.append(one.fileno() >= 0)
"""
    )
    assert devices_say(lines, (HERE,)) == [113, 1010, True, False]  # EHOSTUNREACH


FAULTS = """
def faults(text):
    with open("faults.new", "w") as file:
        file.write(text)
    os.rename("faults.new", "faults")
    time.sleep_ms(260)
"""


def test_a_broken_chip_is_silent_or_says_anything(devices_say):
    lines = (
        FAULTS
        + """
i2c = machine.I2C(0)
one = bytearray(1)
def read():
    try:
        i2c.readfrom_mem_into(0x53, 0, one)
        return one[0]
    except OSError as error:
        return [error.errno]
out.append(read())
faults('{"devices": {"adxl345": "silent"}}')
out.append(read())
faults('{"devices": {"adxl345": "garbage"}}')
out.append(len(set([read() for _ in range(50)])))
faults('{}')
out.append(read())
"""
    )
    before, silent, kinds, after = devices_say(lines, (HERE,))
    assert (before, silent, after) == (0xE5, [19], 0xE5)
    assert kinds > 10  # of 256, in 50 draws


def test_a_broken_receiver_is_silent_says_anything_or_tells_another_time(devices_say):
    lines = (
        FAULTS
        + """
uart = machine.UART(1, 9600, rxbuf=1024)
raw = bytearray(1024)
def read(ms):
    said = b""
    end = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        count = uart.readinto(raw)
        said += bytes(raw[:count or 0])
        time.sleep_ms(20)
    return list(said)
faults('{"devices": {"receiver": "silent"}}')
read(100)
out.append(read(1300))
faults('{"devices": {"receiver": "garbage"}}')
read(100)
out.append(read(1300))
faults('{"clock_off_ms": %d}' % (315964800000 - time.time_ns() // 1000000))
read(1300)
out.append(read(1600))
"""
    )
    gnss = {"sigma_cm": 150, "fix_after_ms": 0, "baud": 9600}
    silent, garbage, early = devices_say(lines, (HERE,), gnss=gnss)
    assert silent == []
    assert len(garbage) > 50
    assert bytes(garbage).count(b"$") < len(garbage) / 20
    dates = {line.split(b",")[9] for line in bytes(early).split(b"\n") if b"RMC" in line and line.count(b",") > 9}
    assert dates == {b"060180"}  # where GPS weeks begin


def test_a_battery_drains_by_what_the_board_draws_and_the_sun_fills_it(devices_say):
    lines = """
import world as module
here = module.world()
clock = [here.now()]
module.World.now = lambda self: clock[0]
out.append(here.battery_mv())
clock[0] += 3600000
out.append(here.battery_mv())
clock[0] += 3600000
here.spent(True)
out.append(here.battery_mv())
module._world.clear()
clock[0] += 36000000
out.append(module.world().battery_mv())
clock[0] += 360000000
out.append(module.world().battery_mv())
"""
    # 1000 mWh from 3.0 to 4.2 V. An hour awake costs 250; an hour asleep brings 50, ten of them 500: it is full.
    battery = {"mwh": 1000, "mw": 300, "asleep_mw": 0, "solar_mw": 50}
    assert devices_say(lines, (HERE,), battery=battery) == [4200, 3900, 3960, 4200, 3000]
    assert devices_say("import world\nout = world.world().battery_mv()", (HERE,)) is None
