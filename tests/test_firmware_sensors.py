"""firmware/sensors/: each driver against bytes written down by hand from the document that its test names, and whole
nodes whose virtual sensors see somebody walk by."""

import itertools
import json
import math
import struct
from functools import reduce

import pytest

from dronewall import scenario
from dronewall.live.devices import DeviceError, devices
from firmware_side import answer, interpreter
from test_firmware_config import PRESENCE, READ, changed
from test_firmware_node import TRUTH, broker, host, make  # noqa: F401
from test_firmware_unix import HERE, devices_say  # noqa: F401
from test_simulate import SITE, east_flight


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


# `seen` collects what a driver detects; asyncio and clock are replaced, so that a minute passes at once: the first
# sleep after `end` [ms] ends the driver.
ASIDE = """
now, end, seen, troubles = [0], 60_000, [], []
def detected(*args, **more):
    seen.append([now[0], list(args)] + ([more] if more else []))
def trouble(text):
    if not troubles or troubles[-1][1] != text:
        troubles.append([now[0], text])
class Clock:
    def uptime_ms():
        return now[0]
    uptime_ms = staticmethod(uptime_ms)
class Asyncio:
    async def sleep_ms(ms):
        now[0] += ms
        if now[0] > end:
            raise EOFError
    sleep_ms = staticmethod(sleep_ms)
def drive(task):
    try:
        task.send(None)
    except EOFError:
        pass
class Uart:
    # (from ms, bytes) in order
    def __init__(self, said):
        self.said, self.written, self.waiting = list(said), [], b""
    def any(self):
        while self.said and self.said[0][0] <= now[0]:
            self.waiting += self.said.pop(0)[1]
        return len(self.waiting)
    def readinto(self, buffer):
        count = min(len(buffer), self.any())
        buffer[:count] = self.waiting[:count]
        self.waiting = self.waiting[count:]
        return count or None
    def write(self, data):
        self.written.append([now[0], list(data)])
import board
"""


def sm(value):
    """A number as the LD2450 writes it: the top bit is set where it is positive."""
    return 0x8000 | value if value >= 0 else -value


def frame(*targets):
    """A frame of the LD2450 with targets (x [mm], y [mm], speed [cm/s])."""
    body = b"".join(struct.pack("<4H", sm(x), sm(y), sm(speed) if speed else 0, 320) for x, y, speed in targets)
    return b"\xaa\xff\x03\x00" + body.ljust(24, b"\0") + b"\x55\xcc"


# Hi-Link, "HLK-LD2450 Serial Communication Protocol" V1.03: the example of a frame, of which the text says
# x = -782 mm, y = 1713 mm, speed = -16 cm/s, resolution 320 mm; the other two targets are empty.
EXAMPLE = bytes.fromhex("AAFF0300 0E03B18610004001 0000000000000000 0000000000000000 55CC")

FRAMES = """
from sensors.ld2450 import Frames
from sensors.told import Told
seen = []
hold, mirrored, move, repeat, chunks = given
frames = Frames((hold, mirrored, Told(move, repeat)), lambda *args: seen.append([uptime] + list(args)))
uptime = whole = 0
for chunk in chunks:
    whole += frames.feed(bytes.fromhex(chunk), uptime)
    uptime += 100
out = [seen, whole, frames.bad, len(frames._rest)]
"""


def frames(side, chunks, hold=0, mirrored=False, move=500, repeat=10_000):
    return answer(side, FRAMES, [hold, mirrored, move, repeat, [chunk.hex() for chunk in chunks]])


def test_the_radars_frame_in_its_protocols_text_is_read_as_the_text_says(side):
    seen, whole, bad, _ = frames(side, [EXAMPLE])
    azimuth = round(math.degrees(math.atan2(-782, 1713)) * 100)
    distance = math.hypot(782, 1713) // 10
    assert (seen, whole, bad) == ([[0, 800, azimuth, 0, 500, distance]], 1, 0)
    assert frames(side, [EXAMPLE], mirrored=True)[0][0][2] == -azimuth


def test_three_targets_are_three_detections_and_one_that_stands_still_is_less_sure(side):
    seen, *_ = frames(side, [frame((1000, 1000, 50), (0, 3000, 0), (-3000, 3000, -40))])
    assert [row[1:3] for row in seen] == [[800, 4500], [600, 0], [800, -4500]]
    assert [row[5] for row in seen] == [141, 300, 424]


def test_bytes_that_come_one_by_one_or_after_garbage_or_a_cut_frame_lose_no_whole_frame(side):
    assert frames(side, [bytes([byte]) for byte in EXAMPLE])[1:3] == [1, 0]
    garbage = bytes(range(256)) + b"\xaa\xff\x03\x00\xaa"
    seen, whole, bad, _ = frames(side, [garbage, EXAMPLE[:17], EXAMPLE, EXAMPLE[3:], EXAMPLE])
    assert (whole, len(seen)) == (2, 1)
    # What began like a frame and did not end like one: the garbage's, the cut one.
    assert bad == 2
    rest = frames(side, [b"\x55" * 250] * 20)[3]
    assert rest < 30


def test_one_frame_is_no_target_where_it_must_hold(side):
    ghost = [frame((500, 2000, 30))] + [frame()] * 5
    assert frames(side, ghost, hold=300)[0] == []
    assert [row[0] for row in frames(side, [frame((500, 2000, 30))] * 5, hold=300)[0]] == [300]


def test_a_target_that_stands_is_told_again_only_after_a_while_and_one_that_walks_at_every_step(side):
    still = frames(side, [frame((0, 3000, 0))] * 60, repeat=2000)[0]
    assert [row[0] for row in still] == [0, 2000, 4000]
    # 5 m ahead, across at 1 m/s: 0 to 2 m to the right, 21.8 degrees.
    walk = frames(side, [frame((100 * i, 5000, 100)) for i in range(21)])[0]
    azimuths = [row[2] for row in walk]
    assert len(azimuths) == 5  # at the start and over 5, 10, 15 and 20 degrees
    assert all(500 < b - a < 650 for a, b in itertools.pairwise(azimuths))
    # Straight ahead and coming: an eighth of the way each time. 5 m, 4.3, 3.7, 3.2, 2.8, 2.4, 2.0
    comes = frames(side, [frame((0, 5000 - 100 * i, -100)) for i in range(31)])[0]
    assert [row[5] for row in comes] == [500, 430, 370, 320, 270, 230, 200]


TOLD = """
from sensors.told import Told
told = Told(500, 10_000)
out = [told.news(*target, uptime) for uptime, *target in given]
"""


def test_two_targets_without_a_number_are_told_apart_by_their_places(side):
    # Two stand 20 degrees apart, and the sensor says now the one, now the other.
    seen = [(200 * i, None, -1000 if i % 2 else 1000, 500) for i in range(60)]
    news = answer(side, TOLD, seen)
    assert [at for (at, *_), told in zip(seen, news, strict=True) if told] == [0, 200, 10_000, 10_200]
    # Two that have numbers are two, at one place, too; and a place left long ago is news again.
    rows = [(0, 1, 0, 500), (0, 2, 0, 500), (100, 1, 0, 500), (200, 1, 2000, 500), (300, 1, 0, 500)]
    assert answer(side, TOLD, rows) == [True, True, False, True, True]
    # Behind the sensor azimuths wrap.
    assert answer(side, TOLD, [(0, 1, 17_900, 500), (100, 1, -17_900, 500)]) == [True, False]


def test_of_a_hundred_targets_sixteen_are_remembered(side):
    source = TOLD + "out = [sum(out), len(told._last)]"
    assert answer(side, source, [(i, i, 0, 500) for i in range(100)]) == [100, 16]
    assert answer(side, source, [(i, None, 600 * (i % 25) - 9000, 0) for i in range(100)]) == [100, 16]


def test_the_radar_is_set_to_several_targets_when_it_speaks_and_after_every_silence_and_its_silence_is_told(side):
    source = (
        ASIDE
        + """
from sensors import ld2450, serial
from sensors.told import Told
serial.asyncio, serial.clock = Asyncio, Clock
frame = bytes(given)
uart = Uart([(t, frame) for t in range(700, 5000, 100)] + [(20_000, b"rubbish")] +
    [(t, frame) for t in range(40_000, 60_000, 100)])
board.sensor_uart = lambda number, baud, switched: uart
drive(ld2450.watch((0, False, Told(500, 600_000)), detected, trouble))
out = [seen, troubles, [[t, bytes(data).hex() if sys.implementation.name == "cpython" else
    "".join(["%02x" % b for b in data])] for t, data in uart.written]]
"""
    )
    seen, troubles, written = answer(side, source, list(EXAMPLE))
    assert [row[0] for row in seen] == [700]
    assert written[0][0] == 700  # not before: who has just got its supply hears nothing yet
    # V1.03, "Send command and ACK": enable configuration (00FF), multi-target tracking (0090), end (00FE).
    commands = ["fdfcfbfa0400ff00010004030201", "fdfcfbfa0200900004030201", "fdfcfbfa0200fe0004030201"]
    assert [data for _, data in written[:3]] == commands
    assert [data for _, data in written[3:]] == commands * (len(written) // 3 - 1)
    assert [text for _, text in troubles] == [None, "silent", None]
    silent, works = troubles[1][0], troubles[2][0]
    assert 14_900 <= silent <= 15_100  # ten seconds after the last frame
    assert 40_000 <= works <= 40_400
    assert len(written) == 3 * 4  # with its first frame, and every ten seconds of silence


def test_after_a_sleep_a_sensor_has_its_time_to_speak_and_is_set_up_again(side):
    source = (
        ASIDE
        + """
from sensors import ld2450, serial
from sensors.told import Told
class Asleep(Asyncio):
    async def sleep_ms(ms):
        now[0] += 30_000 if now[0] == 5000 else ms  # the board sleeps lightly, and the radar has no supply
        if now[0] > end: raise EOFError
    sleep_ms = staticmethod(sleep_ms)
serial.asyncio, serial.clock = Asleep, Clock
frame = bytes(given)
uart = Uart([(t, frame) for t in range(0, 5000, 100)] + [(t, frame) for t in range(37_000, 41_000, 100)])
board.sensor_uart = lambda number, baud, switched: uart
drive(ld2450.watch((0, False, Told(500, 600_000)), detected, trouble))
out = [troubles, [t for t, _ in uart.written]]
"""
    )
    troubles, written = answer(side, source, list(EXAMPLE))
    # Awake at 35 s, it speaks at 37 s; after 41 s it says nothing more.
    assert [text for _, text in troubles] == [None, "silent"]
    assert 50_900 <= troubles[1][0] <= 51_100
    assert len(written) == 9
    assert written[0] == 0
    assert 37_000 <= written[3] <= 37_100


def test_a_receiver_is_asked_for_its_accuracy_whenever_it_has_begun_to_speak(side):
    source = (
        ASIDE
        + """
from sensors import gnss
gnss.asyncio, gnss.clock = Asyncio, Clock
uart = Uart([(1000 * second, given.encode()) for second in (3, 4, 5, 6, 7, 20, 21, 22, 23, 24)])
drive(gnss.Receiver(uart).run())
out = [[t, bytes(data).decode()] for t, data in uart.written]
"""
    )
    # PUBX,40: u-blox 8 / M8 Receiver description (UBX-13003221), "RATE": GST once a second on UART 1. What has had no
    # supply has forgotten it, and hears nothing before it speaks.
    ask = "$PUBX,40,GST,0,1,0,0,0,0*5A\r\n"
    assert answer(side, source, sentence("GNRMC,,V,,,,,,,,,,N") + "\r\n") == [[3000, ask], [20_000, ask]]


def sentence(body):
    return f"${body}*{reduce(lambda a, b: a ^ b, body.encode()):02X}"


def ttm(number=1, distance="1.500", bearing="10.0", relative="R", speed="36.0", unit="K", status="T", talker="RA"):
    return sentence(f"{talker}TTM,{number:02d},{distance},{bearing},{relative},{speed},0.0,R,,,{unit},,{status},,,A")


TRACK = """
from sensors.radar import track
out = []
for line in given:
    try:
        found = track(line.encode())
        out.append(found and list(found[:4]) + [found[4].decode()])
    except (ValueError, KeyError, TypeError, IndexError):
        out.append("bad")
"""


def test_a_track_is_read_in_every_unit_of_its_sentence(side):
    # IEC 61162-1: K kilometres, N nautical miles (1852 m), S statute miles (1609.344 m); speeds in the unit an hour.
    lines = [ttm(), ttm(unit="N", speed="10.0", bearing="350.0"), ttm(7, unit="S", status="Q", talker="RT")]
    assert answer(side, TRACK, lines) == [
        [1, 1000, 150_000, 1000, "T"],  # 36 km/h are 10 m/s
        [1, -1000, 277_800, 514, "T"],
        [7, 1000, 241_401, 1609, "Q"],
    ]


def test_what_is_no_track_relative_to_the_radar_is_bad_and_other_sentences_are_passed_over(side):
    wrong = ttm()[:-1] + ("0" if ttm()[-1] != "0" else "1")
    # ARPA radars that know north say T: the node would have to know which way the radar's north is off.
    bad = [wrong, ttm(relative="T"), ttm(bearing="360.1"), ttm(status="X"), ttm(unit="X"), ttm(distance=""), "", "$*00"]
    bad += [ttm(distance="-1.0"), ttm(bearing="1e1"), ttm()[:-2] + "ZZ"]
    assert answer(side, TRACK, bad) == ["bad"] * len(bad)
    assert answer(side, TRACK, [sentence("RAZDA,000000.00,01,01,2026,00,00")]) == [None]


def test_the_long_range_radar_tells_of_tracks_that_move_and_counts_what_is_broken(side):
    source = (
        ASIDE
        + """
from sensors import radar, serial
from sensors.told import Told
told, lines = [], given
serial.asyncio, serial.clock, serial.log = Asyncio, Clock, lambda *words: told.append(words)
uart = Uart([(1000 * i, (line + "\\r\\n").encode()) for i, line in enumerate(lines)])
board.sensor_uart = lambda number, baud, switched: uart
end = 70_000
drive(radar.watch((38_400, 200, 150, 30_000, Told(200, 10_000)), detected, trouble))
out = [seen, troubles, told]
"""
    )
    lines = [
        ttm(1),
        ttm(2, speed="7.1", bearing="20.0"),  # under 2 m/s
        ttm(3, status="L", bearing="30.0"),
        ttm(4, status="Q", bearing="40.0"),
        "$RATTM,05,1.0",
        "\xff" * 500,
        ttm(1),
        ttm(1, bearing="13.0"),
    ]
    seen, troubles, told = answer(side, source, lines)
    assert [row[1] for row in seen] == [
        [900, 1000, 0, 150, 150_000],
        [600, 4000, 0, 150, 150_000],
        [900, 1300, 0, 150, 150_000],
    ]
    # At once, and then at most once a minute.
    assert told == [["sensor", "1 broken messages"], ["sensor", "2 broken messages"]]
    assert [text for _, text in troubles] == [None, "silent"]


GOOD = {"azimuth_cdeg": -350, "elevation_cdeg": 20, "range_cm": 4200, "confidence_milli": 870, "class": "person"}

VALUES = """
from sensors.detector import values
out = []
for line in given:
    try:
        out.append(values(line.encode()))
    except ValueError as error:
        out.append(str(error))
"""


def test_a_cameras_message_is_a_detection_within_the_wires_bounds(side):
    lines = [json.dumps(GOOD), '{"confidence_milli": 1000}', "{}", json.dumps({**GOOD, "azimuth_sigma_cdeg": 40})]
    assert answer(side, VALUES, lines) == [
        [870, -350, 20, None, 4200, "person"],
        [1000, 0, 0, None, None, "unknown"],
        None,
        [870, -350, 20, 40, 4200, "person"],
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("azimuth_cdeg", 36_000),
        ("azimuth_cdeg", 3.5),
        ("azimuth_cdeg", True),
        ("elevation_cdeg", -9001),
        ("range_cm", -1),
        ("range_cm", "far"),
        ("range_cm", None),
        ("confidence_milli", 1001),
        ("class", "ghost"),
        ("class", ["person"]),
        ("class", 1),
        ("colour", 1),
        ("seq", 5),
        ("clock", "gnss"),
    ],
)
def test_a_cameras_message_out_of_bounds_is_refused_by_its_key(side, key, value):
    assert answer(side, VALUES, [json.dumps({**GOOD, key: value})]) == [key]


def test_what_is_no_message_is_refused(side):
    lines = ["[]", "null", "3", '"x"', "{", "", '{"azimuth_cdeg": 1}', "\u2028"]
    assert all(isinstance(said, str) for said in answer(side, VALUES, lines))


LINES = """
from sensors.serial import Lines
said = []
def line(text, uptime):
    if text == b"no":
        raise ValueError
    said.append(text.decode())
lines = Lines(20, line)
whole = 0
for chunk in given:
    whole += lines.feed(chunk.encode(), 0)
out = [said, whole, lines.bad, len(lines._rest)]
"""


def test_lines_are_cut_where_they_end_and_one_that_is_too_long_is_counted_and_not_kept(side):
    assert answer(side, LINES, ["a\r\nb", "c\n", "no\nd\n"]) == [["a", "bc", "d"], 3, 1, 0]
    # 21 is one too many; of a thousand without an end no more is kept than that.
    assert answer(side, LINES, ["x" * 20 + "\n" + "y" * 21 + "\nz\n"]) == [["x" * 20, "z"], 2, 1, 0]
    assert answer(side, LINES, ["x" * 100] * 10 + ["\nz\n", "y" * 50]) == [["z"], 1, 1, 21]


def test_a_cameras_computer_over_mqtt_is_told_and_its_silence_too(side):
    source = (
        ASIDE
        + """
from sensors import detector, serial
from sensors.told import Told
serial.asyncio, serial.clock, serial.log = Asyncio, Clock, lambda *words: None
settings = [None, 30_000, Told(200, 10_000), None]
detector.take(settings, b"{}")  # before it runs: passed over
messages = {0: given, 1000: "x" * 300, 2000: given, 3000: "{}"}
async def sleep_ms(ms):
    now[0] += ms
    for at in list(messages):
        if at <= now[0]:
            detector.take(settings, messages.pop(at).encode())
    if now[0] > end:
        raise EOFError
Asyncio.sleep_ms = staticmethod(sleep_ms)
drive(detector.watch(settings, detected, trouble))
out = [detector.local(settings), detector.local([9600]), seen, troubles]
"""
    )
    over, uart, seen, troubles = answer(side, source, json.dumps(GOOD))
    assert (over, uart) == (True, False)
    assert [row[1:] for row in seen] == [[[870, -350, 20], {"sigma_cdeg": None, "range_cm": 4200, "kind": "person"}]]
    assert [text for _, text in troubles] == [None, "silent"]
    assert 33_000 <= troubles[1][0] <= 33_200


def pixels(temperature):
    """The 128 bytes of a picture; `temperature(column, row)` in degrees."""
    # Grid-EYE: 12 bits, two's complement, 0.25 degree, low byte first, pixel 1 first.
    values = [round(4 * temperature(i % 8, i // 8)) & 0xFFF for i in range(64)]
    return struct.pack("<64H", *values).hex()


SCENE = """
from sensors.amg8833 import Scene
scene = Scene(given[0], given[1], 40)
out = []
i = 0
for picture, count in given[2]:
    picture = bytes.fromhex(picture)
    for _ in range(count):
        found = scene.step(picture)
        if found:
            out.append([i] + list(found))
        i += 1
"""


def scene(side, *pictures, threshold=8, least=2):
    """What is found at which picture, for pictures given with how often they come."""
    return answer(side, SCENE, [threshold, least, pictures])


EMPTY = pixels(lambda column, row: 15)


def body(columns, rows, degrees):
    return pixels(lambda column, row: degrees if column in columns and row in rows else 15)


@pytest.mark.parametrize("degrees", [21, 9, -12])
def test_somebody_warmer_or_colder_than_the_ground_is_found_in_the_middle_of_his_pixels(side, degrees):
    # Columns 5 and 6, rows 2 to 4: the picture's middle is between columns (and rows) 3 and 4.
    found = scene(side, (EMPTY, 60), (body((5, 6), (2, 3, 4), degrees), 2))
    assert found == [[60, 200, -50, 6], [61, 200, -50, 6]]


def test_one_hot_pixel_is_nobody_and_of_two_targets_the_larger_is_told(side):
    one = body((5,), (2,), 30)
    two = pixels(lambda c, r: 25 if (c == 0 and r in (6, 7)) or (c in (6, 7) and r in (0, 1)) else 15)
    # Pixels that touch at a corner only do not hang together; the right column does not touch the left one.
    corner = pixels(lambda c, r: 25 if (c, r) in ((2, 2), (3, 3), (7, 4), (0, 5)) else 15)
    shown = [(EMPTY, 50), (one, 1), (EMPTY, 1), (two, 1), (EMPTY, 1), (corner, 1), (EMPTY, 1)]
    assert scene(side, *shown) == [[52, 300, -300, 4]]


def test_ground_that_the_sun_warms_is_nobody_and_who_walks_over_it_is_found(side):
    # 10 degrees in ten minutes, on half of the picture; four pictures a second.
    warming = [(pixels(lambda c, r, k=k: 15 + (k / 4 if c < 4 else 0)), 60) for k in range(41)]
    assert scene(side, *warming) == []
    walker = pixels(lambda c, r: 28 if c == 2 and r in (3, 4) else 25 if c < 4 else 15)
    assert scene(side, *warming, (walker, 1)) == [[41 * 60, -150, 0, 2]]


def test_a_picture_that_changes_all_at_once_is_learned_anew(side):
    warm = pixels(lambda c, r: 22)
    person = pixels(lambda c, r: 30 if c == 3 and r in (3, 4) else 22)
    found = scene(side, (EMPTY, 60), (warm, 100), (person, 1))
    assert found == [[160, -50, 0, 2]]


def test_the_thermal_array_is_set_up_read_told_of_when_it_is_silent_and_set_up_again(side):
    # Grid-EYE, "Register": 00H = 00H normal mode, 01H = 3FH initial reset, 80H the first pixel.
    source = (
        ASIDE
        + """
import errno
from sensors import amg8833
from sensors.told import Told
amg8833.asyncio, amg8833.clock = Asyncio, Clock
empty, person = [bytes.fromhex(picture) for picture in given]
class Bus:
    written = []
    def check(self, address):
        if 30_000 <= now[0] < 40_000 or address != 0x69:
            raise OSError(errno.ENODEV)
    def writeto_mem(self, address, register, data):
        self.check(address)
        self.written.append([register, data[0]])
    def readfrom_mem_into(self, address, register, buffer):
        self.check(address)
        if register == 0x80 and len(buffer) == 128:
            buffer[:] = bytes(128) if 50_000 <= now[0] < 51_000 else person if 20_000 <= now[0] < 22_000 else empty
bus = Bus()
board.i2c = lambda: bus
drive(amg8833.watch((8, 2, 40, given_mirrored, 6000, 6000, Told(750, 10_000)), detected, trouble))
out = [seen, troubles, bus.written]
"""
    )
    person = body((5, 6), (2, 3, 4), 25)
    for mirrored in (False, True):
        code = source.replace("given_mirrored", str(mirrored))
        seen, troubles, written = answer(side, code, [EMPTY, person])
        assert len(seen) == 1
        assert 20_000 <= seen[0][0] < 20_500
        # Two pixels of 7.5 degrees to the right, half a one up; a pixel over the root of twelve.
        assert seen[0][1] == [750, -1500 if mirrored else 1500, 375, 214]
        assert [text for _, text in troubles][::2] == [None, None, None]
        assert troubles[1][1].startswith("I2C: ")
        assert troubles[3][1] == "all pixels alike"
        assert written == [[0, 0], [1, 0x3F]] * 2


LEVEL = """
from array import array
from sensors.acoustic import decibels, level
out = []
for kind, *values in given:
    if kind == "decibels":
        out.append([decibels(value) for value in values])
    else:
        high, low, tone = values
        samples = array("h", [0] * 1024)
        for i, sample in enumerate(tone):
            samples[2 * i + 1] = sample
            samples[2 * i] = -21846 + i  # the low halves say nothing
        out.append(level(samples, high, low))
"""


def test_decibels_are_those_of_the_logarithm(side):
    values = [1, 2, 3, 9, 10, 100, 511, 512, 1023, 65_535, 123_456, 2**29, 2**30 - 1]
    (said,) = answer(side, LEVEL, [["decibels", *values]])
    assert said == pytest.approx([2000 * math.log10(value) for value in values], abs=5)


def band(hz, high, low):
    """The gain of the driver's band at a frequency: the difference of two low passes y += (x - y) / 2**n."""
    turn = complex(math.cos(2 * math.pi * hz / 16_000), -math.sin(2 * math.pi * hz / 16_000))
    passes = [2**-n / (1 - (1 - 2**-n) * turn) for n in (high, low)]
    return abs(passes[0] - passes[1])


def tone(hz, peak):
    return [round(peak * math.sin(2 * math.pi * hz * i / 16_000)) for i in range(512)]


@pytest.mark.parametrize("hz", [125, 250, 500, 2000])
def test_the_level_of_a_tone_is_its_sound_pressure_less_what_the_band_takes(side, hz):
    # DS-INMP441: -26 dB of full scale at 94 dB of sound pressure.
    (said,) = answer(side, LEVEL, [["level", 2, 5, tone(hz, 3276.8)]])
    expected = 12_000 - 2000 + 2000 * math.log10(band(hz, 2, 5))
    # 384 samples are no whole number of half waves: 3 at 125 Hz, where one more or less is in them.
    assert said == pytest.approx(expected, abs=60)


def test_the_loudest_sound_needs_no_more_than_30_bits(side):
    # A square wave of full scale, the worst for the sum; a bound of its parts: |one - two| < 2**22, halved, 384 times.
    square = [32767 if i // 32 % 2 else -32768 for i in range(512)]
    (said,) = answer(side, LEVEL, [["level", 1, 6, square]])
    assert 11_800 < said < 12_800
    assert (1 << 21) * 384 < 1 << 30


@pytest.mark.parametrize("name", ["micropython"])
def test_listening_to_a_block_allocates_nothing(name):
    source = """
import gc
from array import array
from sensors.acoustic import level
samples = array("h", [(i * 7919) % 65536 - 32768 for i in range(1024)])
level(samples, 1, 6)
gc.collect()
gc.disable()
before = gc.mem_alloc()
for _ in range(10):
    level(samples, 1, 6)
out = gc.mem_alloc() - before
"""
    # One object in each turn of the loop would be 16 bytes 5120 times.
    assert answer(interpreter(name), source) < 1000


def test_a_microphone_that_says_the_same_all_the_time_is_none(side):
    assert answer(side, LEVEL, [["level", 2, 5, [0] * 512], ["level", 2, 5, [-1] * 512]]) == [None, None]


BACKGROUND = """
from sensors.acoustic import Background
background = Background(*given[0])
out = []
uptime = 0
for cdb, blocks in given[1]:
    for _ in range(blocks):
        over = background.step(cdb + (uptime // 100 % 3 - 1) * 100, uptime)  # a decibel up and down
        if over:
            out.append([uptime, over])
        uptime += 100
"""


def test_what_is_louder_than_usual_for_a_while_is_told_and_a_bang_and_rising_wind_are_not(side):
    settings = [900, 1000, 10_000]
    heard = answer(side, BACKGROUND, [settings, [[4000, 100], [5500, 50], [4000, 100]]])
    assert len(heard) == 1
    assert 11_000 <= heard[0][0] <= 12_500  # it begins at 10 s and must hold for one
    assert 900 <= heard[0][1] <= 1700
    assert answer(side, BACKGROUND, [settings, [[4000, 100], [7000, 3], [4000, 100]]]) == []
    wind = [[4000 + 10 * i, 20] for i in range(150)]  # 15 dB in five minutes
    assert answer(side, BACKGROUND, [settings, wind]) == []
    long = answer(side, BACKGROUND, [settings, [[4000, 100], [7000, 250]]])
    assert [b[0] - a[0] for a, b in itertools.pairwise(long)] == [10_000] * (len(long) - 1)
    assert len(long) == 3


def test_each_driver_reads_its_keys_and_two_of_them_cannot_have_the_same_pins(side):
    radar = {**PRESENCE, "driver": "ld2450"}
    del radar["pin"]

    def said(*sensors):
        return answer(side, READ.replace("out = [node", "out = [] and [node"), changed(("sensors",), sensors))

    problems = [said(radar, {**radar, "name": "b", "driver": other})[0] for other in ("radar", "detector")]
    assert problems == [
        "sensors[1].driver: wants pin 19, which sensors[0] has",
        "sensors[1].source: wants pin 19, which sensors[0] has",
    ]
    assert said(radar, {**radar, "name": "b", "driver": "detector", "source": "mqtt"}) == []
    assert said(PRESENCE, {**PRESENCE, "name": "b"}) == ["sensors[1].pin: wants pin 27, which sensors[0] has"]
    pir = {**PRESENCE, "pin": 14}
    ear = {**radar, "name": "ear", "driver": "acoustic"}
    assert said(pir, ear) == ["sensors[1].driver: wants pin 14, which sensors[0] has"]


@pytest.mark.parametrize(
    ("driver", "key", "value", "told"),
    [
        ("ld2450", "hold_ms", 5001, "hold_ms: integer from 0 to 5000"),
        ("ld2450", "move_cdeg", 9, "move_cdeg: integer from 10 to 18000"),
        ("ld2450", "mirrored", 1, "mirrored: true or false"),
        ("radar", "baud", 300, "baud: integer from 4800 to 921600"),
        ("radar", "pin", 27, "pin: unknown key"),
        ("detector", "source", "usb", "source: one of uart, mqtt"),
        ("amg8833", "threshold_ck", 49, "threshold_ck: integer from 50 to 2000"),
        ("acoustic", "low_hz", 600, "low_hz: an octave under high_hz expected"),
        ("pir", "stuck_s", 4, "stuck_s: integer from 5 to 3600"),
    ],
)
def test_a_wrong_key_of_a_driver_is_told(side, driver, key, value, told):
    sensor = {**PRESENCE, "driver": driver, key: value}
    if driver != "pir" and key != "pin":
        del sensor["pin"]
    problems = answer(side, READ, changed(("sensors",), [sensor]))
    assert problems[0].startswith("sensors[0]." + told)


def test_an_intruder_of_the_world_goes_from_point_to_point_at_his_times(devices_say):  # noqa: F811
    lines = """
from world import world
here = world()
for t in (999, 1000, 2000, 4000, 5999, 6000, 11000, 12000):
    here.elapsed = lambda: t
    out.append(here.targets())
"""
    points = [[0, 0, 1000, 0], [2000, 300, 1400, 50], [5000, 300, 1400, 50]]
    once = {"start_ms": 1000, "points": points, "kind": "vehicle"}
    before, begins, way, stands, last, gone, *late = devices_say(lines, (HERE,), intruders=[once])
    assert (before, gone, late) == ([], [], [[], []])
    # 3 m east and 4 m north in 2 s, and half a metre up
    speed = pytest.approx(math.sqrt(300**2 + 400**2 + 50**2) / 2)
    assert begins == [[0, 1000, 0, speed, "vehicle"]]
    assert way == [[150, 1200, 25, speed, "vehicle"]]
    assert stands == last == [[300, 1400, 50, 0, "vehicle"]]
    *_, again, half = devices_say(lines, (HERE,), intruders=[{**once, "every_ms": 10_000}])
    assert (again, half) == (begins, way)


def test_the_virtual_sensors_speak_as_the_real_ones_do(devices_say):  # noqa: F811
    lines = r"""
uart = machine.UART(2, 256000)
uart.write(b"\xfd\xfc\xfb\xfa\x04\x00\xff\x00\x01\x00\x04\x03\x02\x01")
buffer = bytearray(100)
acknowledged = bytes(buffer[:uart.readinto(buffer)])
while uart.any() < 30:
    time.sleep_ms(20)
out = [list(acknowledged), list(buffer[:uart.readinto(buffer)])[:30]]
"""
    # At 90 degrees, where the board looks, stands somebody 2 m away and 20 degrees to the right.
    east, north = 200 * math.cos(math.radians(20)), -200 * math.sin(math.radians(20))
    stands = {"start_ms": 0, "every_ms": 1000, "points": [[0, east, north, 0], [1000, east, north, 0]]}
    track = ((*HERE[:4], 9000, 0, 0),)
    said = devices_say(lines, track, uart={"2": "ld2450"}, intruders=[stands])
    assert bytes(said[0]) == bytes.fromhex("fdfcfbfa0400ff01000004030201")
    assert bytes(said[1][:4] + said[1][-2:]) == bytes.fromhex("aaff030055cc")
    x, y = struct.unpack("<HH", bytes(said[1][4:8]))
    assert (x - 0x8000, y - 0x8000) == pytest.approx((684, 1879), abs=1)  # 2 m times sine and cosine


# Somebody walks to and fro along one azimuth, 60 degrees: 15 to the right of where the board looks.
AZIMUTH = 60.0


def along(near_cm, far_cm, up_cm=0, kind="person"):
    """An intruder of world.json who goes from far to near and back in 4 s, for ever."""
    east, north = math.sin(math.radians(AZIMUTH)), math.cos(math.radians(AZIMUTH))
    points = [[t, round(r * east), round(r * north), up_cm] for t, r in ((0, far_cm), (2000, near_cm), (4000, far_cm))]
    return {"start_ms": 0, "every_ms": 4000, "points": points, "kind": kind}


# About for four seconds of twelve: the sensor has learned the place without him, or forgets him before he comes again.
COMES = {"start_ms": 6000, "every_ms": 12_000}


def facing(driver, **more):
    """A sensor that looks the way the board of the simulated node looks."""
    azimuth = round(100 * TRUTH["azimuth_deg"])
    sensor = {**PRESENCE, "driver": driver, "azimuth_source": "survey", "azimuth_cdeg": azimuth, **more}
    if driver != "pir":
        del sensor["pin"]
    return sensor


@pytest.mark.parametrize(
    ("sensor", "world", "off_deg", "range_m", "kind"),
    [
        (
            facing("ld2450"),
            {"uart": {"1": "receiver", "2": "ld2450"}, "intruders": [along(200, 500)]},
            0.5,
            (2, 5),
            "unknown",
        ),
        (
            facing("radar", range_max_cm=200_000),
            {"uart": {"1": "receiver", "2": "ttm"}, "intruders": [along(50_000, 51_000, kind="vehicle")]},
            0.2,
            (499, 511),
            "unknown",
        ),
        (
            facing("detector"),
            {"uart": {"1": "receiver", "2": "camera"}, "intruders": [along(1000, 2000)]},
            0.2,
            (10, 20),
            "person",
        ),
        (
            facing("amg8833", hfov_cdeg=6000, vfov_cdeg=6000, settle_s=2),
            {"i2c": ["amg8833"], "intruders": [{**along(480, 520), **COMES}]},
            7.5,
            None,
            "unknown",
        ),
        (
            facing("pir", settle_s=0, pin=27),
            {
                "pir": [{"pin": 27, "azimuth_cdeg": 0, "hfov_cdeg": 9000, "range_cm": 1000}],
                "intruders": [along(300, 900)],
            },
            None,
            None,
            "unknown",
        ),
        (
            facing("acoustic", hold_ms=200),
            {"i2s": "inmp441", "intruders": [{**along(1000, 1100, kind="drone"), **COMES}]},
            None,
            None,
            "unknown",
        ),
    ],
    ids=lambda value: value["driver"] if isinstance(value, dict) and "driver" in value else "",
)
def test_who_comes_towards_a_node_is_told_by_its_sensor(make, host, sensor, world, off_deg, range_m, kind):  # noqa: F811
    make(sensors=[sensor], world=world, period_s=5, valid_s=180)
    found = host.until("detection")[0].values
    assert found["class"] == kind
    # A sensor that knows no angle says where it looks.
    expected = TRUTH["azimuth_deg"] if off_deg is None else AZIMUTH
    assert found["azimuth_deg"] == pytest.approx(expected, abs=off_deg or 0.01)
    if range_m:
        assert range_m[0] - 0.1 <= found["range_m"] <= range_m[1] + 0.1
    else:
        assert "range_m" not in found


def test_a_cameras_computer_tells_a_node_over_its_broker_and_rubbish_is_passed_over(make, host):  # noqa: F811
    topic = "dw-local/jacksboro/P4/cam"
    client, every = host.listener.client, host.listener.next

    def of_the_wire():
        while True:
            heard = every()
            if heard[0] != topic:
                return heard

    host.listener.next = of_the_wire
    # Somebody left one lying about: nobody knows since when.
    client.publish(topic, json.dumps({**GOOD, "azimuth_cdeg": 4000}), 1, retain=True)
    node = make(sensors=[facing("detector", source="mqtt", name="cam")], period_s=5, valid_s=180)
    host.until(lambda report: report.kind == "state" and report.values["state"] == "ready")
    for payload in ("rubbish", "x" * 3000, json.dumps({**GOOD, "class": "ghost"}), json.dumps(GOOD)):
        client.publish(topic, payload, 1)
    found = host.until("detection")[0].values
    assert found["azimuth_deg"] == TRUTH["azimuth_deg"] - 3.5
    assert (found["elevation_deg"], found["range_m"], found["class"]) == (0.2, 42.0, "person")
    assert (found["confidence"], found["seq"]) == (0.87, 1)
    assert node.process.poll() is None


def test_a_sensor_that_does_not_answer_is_said_to_watch_nothing_and_the_others_go_on(make, host):  # noqa: F811
    sensors = [facing("amg8833", name="heat"), facing("pir", settle_s=0, pin=27)]
    node = make(sensors=sensors, world={"i2c": []}, period_s=60, valid_s=180)
    broken = host.until(lambda report: report.sensor == "heat" and report.values.get("duty") == 0)[0].values
    assert broken["awake"] == "duty"
    host.until(lambda report: report.kind == "detection" and report.sensor == "near", 2)
    assert "heat: I2C" in (node.folder / "log").read_text()


def test_a_sensor_that_is_stuck_is_said_to_watch_nothing_and_tells_no_more(make, host):  # noqa: F811
    sensor = facing("pir", settle_s=0, pin=27, stuck_s=5, repeat_s=1)
    make(sensors=[sensor], world={"pir": [{"pin": 27, "every_ms": 1, "high_ms": 1}]}, period_s=60, valid_s=180)
    host.until("detection", 2)
    host.until(lambda report: report.kind == "frustum" and report.values["duty"] == 0)
    assert [report.kind for report in host.reports].count("detection") <= 6


def site_devices(folder, driver, **replaced):
    text = SITE.replace('driver = "pir"', f'driver = "{driver}"')
    for old, new in replaced.items():
        text = text.replace(f'name = "{old}"\ntype = "camera"', f'name = "{old}"\ntype = "{new}"')
    (folder / "site.toml").write_text(text)
    site = scenario.read(folder / "site.toml")
    return {d.name: d for d in devices(site, "127.0.0.1", 1883, lambda *_: 500.0, east_flight, start_unix_ms=5)}


@pytest.mark.parametrize(
    ("driver", "world"),
    [
        ("ld2450", {"uart": {"1": "receiver", "2": "ld2450"}, "mounts": {"ld2450": 9000}}),
        ("radar", {"uart": {"1": "receiver", "2": "ttm"}, "mounts": {"ttm": 9000}}),
        ("detector", {"uart": {"1": "receiver", "2": "camera"}, "mounts": {"camera": 9000}}),
        ("amg8833", {"i2c": ["qmc5883l", "adxl345", "amg8833"], "mounts": {"amg8833": 9000}}),
        ("acoustic", {"i2s": "inmp441", "mounts": {"inmp441": 9000}}),
    ],
)
def test_a_sites_sensor_stands_on_its_bus_and_looks_where_the_site_says(tmp_path, side, driver, world):
    found = site_devices(tmp_path, driver, side="presence")
    # The board of P1 looks where its first sensor does, at 310 degrees; this one is at 40. P2's only one is its board.
    assert {key: found["P1"].world[key] for key in world} == world
    assert set(found["P2"].world["mounts"].values()) == {0}
    source = "import config\nout = [sensor.driver for sensor in config.settings(given).sensors]"
    assert answer(side, source, found["P1"].config) == ["optics", driver]


def test_a_site_with_two_sensors_on_a_nodes_one_uart_is_refused(tmp_path):
    with pytest.raises(DeviceError, match="node P1: the board has one UART for a sensor, sensor side is the second"):
        site_devices(tmp_path, "radar", cam="presence", side="presence")
