"""Which way the board lies: the BNO055, and masts that are turned or knocked over; pure parts under both interpreters,
whole nodes in the virtual world.
"""

import json
import math
import struct

import pytest

from dronewall import wire
from firmware_side import answer, board, interpreter
from test_firmware_config import PRESENCE
from test_firmware_node import TRUTH, broker, host, looking, make  # noqa: F401
from test_firmware_pose import readings
from test_firmware_unix import HERE, WORLD


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


CHIP = """
class Uart:
    # Answers each command with the next of `answers`; keeps what was written.
    def __init__(self, answers):
        self.answers = [bytes(answer) for answer in answers]
        self.written = []
        self.waiting = b""
    def readinto(self, buffer):
        size = min(len(self.waiting), len(buffer))
        buffer[:size] = self.waiting[:size]
        self.waiting = self.waiting[size:]
        return size or None
    def write(self, data):
        self.written.append(list(data))
        self.waiting += self.answers.pop(0) if self.answers else b""
from sensors.bno055 import Compass
uart = Uart(given[0])
chip = Compass(uart, given[1])
out = []
for _ in range(given[2]):
    try:
        field = chip.field()
        out.append([field, chip.acceleration(), chip.calibrated])
    except OSError as error:
        out.append(str(error))
out = [out, uart.written, chip.errors]
"""
# BST-BNO055-DS000-14, 4.7: a read is AA 01 register length, a write AA 00 register length data; 4.2: OPR_MODE is 3D.
READ = [0xAA, 0x01, 0x00, 0x3E]
MODE = [0xAA, 0x00, 0x3D, 0x01]
WRITTEN = [0xEE, 0x01]
OVERRUN = [0xEE, 0x07]


def registers(mode=0x0C, field=(320, -16, -640), gravity=(0, 0, 981), calibration=0xFF, chip=0xA0):
    """The chip's answer to READ: registers 00 to 3D."""
    image = bytearray(0x3E)
    image[0] = chip
    struct.pack_into("<hhh", image, 0x0E, *field)
    struct.pack_into("<hhh", image, 0x2E, *gravity)
    image[0x35], image[0x3D] = calibration, mode
    return [0xBB, 0x3E, *image]


def test_a_bno055_is_set_to_ndof_and_its_field_and_gravity_are_read(side):
    answers = [registers(mode=0), WRITTEN, registers(calibration=0xFE), registers(field=(-1, 2, -32768))]
    said, written, _ = answer(side, CHIP, [answers, [0, 0, 0], 5])
    assert written[:4] == [READ, [*MODE, 0x0C], READ, READ]
    assert [each[0] for each in said] == [None, None, None, [320, -16, -640], [-1, 2, -32768]]
    assert said[3][1:] == [[0, 0, 981], 2]
    assert said[4][2] == 3


def test_a_hard_iron_is_what_the_bno055_begins_to_learn_with(side):
    # 3.11.4: written in mode CONFIG; 5B: MAG_OFFSET_X, low byte first, and so on.
    answers = [registers(mode=0), WRITTEN, registers(mode=0), WRITTEN, registers()]
    _, written, _ = answer(side, CHIP, [answers, [258, -2, 3], 6])
    offset = [0xAA, 0x00, 0x5B, 0x06, 2, 1, 0xFE, 0xFF, 3, 0]
    assert written[:5] == [READ, offset, READ, [*MODE, 0x0C], READ]


@pytest.mark.parametrize(
    "bad",
    [
        OVERRUN,
        [0xEE, 0x0A],
        [],
        registers()[:40],
        [0xBB, 0x3E],
        registers(chip=0x00),
        registers(gravity=(0, 0, 0)),
        registers(gravity=(32000, 0, 0)),
        registers(field=(0, 0, 0)),
        list(range(128)),
    ],
)
def test_an_answer_that_is_none_is_passed_over_and_the_next_is_believed(side, bad):
    said, written, errors = answer(side, CHIP, [[registers(), bad, registers()], [0, 0, 0], 4])
    assert [each[0] for each in said] == [None, [320, -16, -640], None, [320, -16, -640]]
    assert said[2][1] is None
    assert written == [READ] * 4
    assert errors == 1


def test_a_stray_byte_before_an_answer_does_not_spoil_it(side):
    said, _, errors = answer(side, CHIP, [[[0xFF, *registers()]], [0, 0, 0], 2])
    assert (said[1][0], errors) == ([320, -16, -640], 0)


def test_a_bno055_that_starts_again_is_set_up_again_and_a_silent_one_is_an_error(side):
    answers = [registers(), registers(mode=0), WRITTEN, registers()]
    said, written, _ = answer(side, CHIP, [answers, [0, 0, 0], 13])
    assert written[:4] == [READ, READ, [*MODE, 0x0C], READ]
    assert said[4][0] == [320, -16, -640]
    assert said[-1] == "no BNO055 on UART 2"
    assert not [each for each in said[:-1] if isinstance(each, str)]


def test_a_node_with_a_bno055_knows_where_it_looks(make, host):  # noqa: F811
    make(
        sensors=[looking("compass")],
        compass={"driver": "bno055"},
        world={"uart": {"1": "receiver", "2": "bno055"}, "i2c": []},
        period_s=1,
        valid_s=30,
    )
    # On a board at azimuth 45, boresight 2 up and right side 3 up, who looks right sees azimuth 135 and looks 3 up. The
    # virtual chip learns: its sigma falls to that of the configuration, 3 degrees and half a degree x tan 64.
    least = math.hypot(3, 0.5 * math.tan(math.radians(64)))
    first = host.until(lambda report: "azimuth_deg" in (report.values or {}))[0].values
    assert first["azimuth_sigma_deg"] > least + 0.5
    learnt = host.until(lambda report: abs(report.values.get("azimuth_sigma_deg", 0) - least) < 0.5)[0].values
    assert learnt["azimuth_source"] == "compass"
    assert abs(learnt["azimuth_deg"] - 135) < 3 * learnt["azimuth_sigma_deg"]
    assert abs(learnt["elevation_deg"] - 3) < 1.5
    assert abs(learnt["roll_deg"] - 2) < 1.5


VIRTUAL = f"""
sys.path[:0] = [{str(board() / "unix")!r}]
import time, machine
uart = machine.UART(2, 115200)
out = []
def ask(*command):
    found = bytearray(80)
    uart.write(bytes(command))
    return list(found[: uart.readinto(found) or 0])
out.append(ask(0xAA, 1, 0, 1))
while not uart.any():
    time.sleep_ms(10)
    uart.write(b"\\xaa\\x01\\x00\\x01")
uart.readinto(bytearray(80))
for command in given:
    out.append(ask(*command))
"""


def test_the_virtual_bno055_answers_as_the_data_sheet_says_byte_by_byte(micropython, tmp_path):
    (tmp_path / "world.json").write_text(json.dumps({**WORLD, "uart": {"2": "bno055"}}))
    (tmp_path / "track").write_bytes(struct.pack("<7i", *HERE))
    commands = [
        [0xAA, 1, 0, 1],
        [0xAA, 1, 0x3D, 1],
        [0xAA, 0, 0x00, 1, 5],  # the chip id cannot be written
        [0xAA, 1, 0x7F, 2],
        [0xAA, 1, 0, 0],
        [0x55],
        [*MODE, 0x0C],
        # One answer in nine is "busy", and the first of all was that to the wait.
        [0xAA, 1, 0, 1],
        [0xAA, 1, 0x3D, 1],
    ]
    out = answer(micropython, VIRTUAL, commands, cwd=tmp_path)
    assert out[0] == []  # it is starting
    assert out[1:8] == [[0xBB, 1, 0xA0], [0xBB, 1, 0], [0xEE, 5], [0xEE, 4], [0xEE, 9], [0xEE, 6], [0xEE, 1]]
    assert [0xEE, 7] in out[8:]


def test_what_is_seen_by_who_does_not_know_where_he_looks_is_reported_with_that_doubt(make, host):  # noqa: F811
    make(sensors=[{**PRESENCE, "settle_s": 0}], world={"absent": [0x0D]})
    found = host.until("detection")[0].values
    assert found["azimuth_sigma_deg"] == 180.0


# The log asks a board's clock for the time.
QUIET = """
import log
log.log = lambda source, text: None
"""
MAST = (
    QUIET
    + """
from mast import Mast
survey, steps, again = given
uptime = 0
out = []
for step in range(1 + again):
    mast = Mast(survey)
    for count, up, azimuth in steps[step]:
        for _ in range(count):
            mast.step(up, azimuth, uptime)
            uptime += 500
        out.append(mast.turned)
"""
)


def up(elevation=0, roll=0, gravity=65536):
    """What holds up a board with that attitude [degree], as measure.py keeps it: 256 times 256 counts."""
    return readings(0, elevation, roll, 60, gravity=gravity)[0]


def masts(side, folder, *steps, survey=(9000,), again=()):
    return answer(side, MAST, [survey, [steps, *again], len(again)], cwd=folder)


SETTLED = (80, up(), 35500)  # 40 s


@pytest.mark.parametrize(
    ("now", "azimuth", "turned"),
    [
        (up(), 36000 - 500 + 1400, False),  # 14 degrees, over north
        (up(), 1100, True),  # 16 degrees
        (up(), 33900, True),
        (up(elevation=4), 35500, False),
        (up(elevation=6), 35500, True),
        (up(roll=-6), 35500, True),
        (up(elevation=3, roll=3), 35500, False),  # 4.24 degrees
        (up(elevation=4, roll=4), 35500, True),  # 5.65 degrees
        (up(elevation=90), 35500, True),
        (up(roll=180), 35500, True),
        (up(elevation=90), None, True),  # the compass says nothing: tilt is enough
        (up(), None, False),
        (up(gravity=981 * 256), 35500, False),
    ],
)
def test_a_mast_is_turned_beyond_15_degrees_or_tilted_beyond_5(side, tmp_path, now, azimuth, turned):
    assert masts(side, tmp_path, SETTLED, (9, now, azimuth), (6, now, azimuth)) == [False, False, turned]


def test_what_is_over_in_less_than_five_seconds_is_no_turned_mast(side, tmp_path):
    shoves = [(9, up(roll=30), 5000), (1, up(), 35500)] * 4
    assert masts(side, tmp_path, SETTLED, *shoves) == [False] * 9


def test_a_turned_mast_stays_so_until_it_starts_again_as_it_was(side, tmp_path):
    gone = (20, up(), 9000)
    assert masts(side, tmp_path, SETTLED, gone, SETTLED) == [False, True, True]
    # What is kept in the flash outlives a restart: knocked over is knocked over, put back is put back.
    assert masts(side, tmp_path, gone, again=[[SETTLED]]) == [True, False]


def test_another_survey_begins_anew(side, tmp_path):
    assert masts(side, tmp_path, SETTLED) == [False]
    assert masts(side, tmp_path, (100, up(roll=20), 9000), (20, up(), 35500), survey=(100,)) == [False, True]


def test_nothing_is_taken_for_the_mast_as_surveyed_while_somebody_still_turns_it(side, tmp_path):
    turning = [(2, up(), 1000 * i) for i in range(9)]
    assert masts(side, tmp_path, *turning, (100, up(), 9000)) == [False] * 10
    assert masts(side, tmp_path, (20, up(), 0)) == [True]


@pytest.mark.parametrize(
    "text", ["", "[", "3", '["[9000]", [0, 0, 65536]]', '["[9000]", [0, 0, 65536, "x"]]', "[[],[]]"]
)
def test_a_damaged_file_begins_anew(side, tmp_path, text):
    (tmp_path / "mast").write_text(text)
    assert masts(side, tmp_path, SETTLED, (20, up(), 9000)) == [False, True]


def test_a_compass_that_is_silent_while_the_mast_settles_is_not_kept(side, tmp_path):
    assert masts(side, tmp_path, (80, up(), None), (20, up(roll=9), None)) == [False, True]
    assert not (tmp_path / "mast").exists()


MEASURED = (
    QUIET
    + """
class Config:
    survey, moving, height_agl_cm, position_source = (365000000, -843000000, 40000, 100), False, 600, "survey"
    declination_cdeg = 0
class Camera:
    azimuth_source, azimuth_cdeg, elevation_cdeg, roll_cdeg = "survey", 9000, -100, 0
    azimuth_sigma_cdeg, tilt_sigma_cdeg, servo = 100, 50, False
Config.sensors = [Camera]
class Receiver:
    fix = utc = motion = None
class Chips:
    calibrated = 3
    def field(self):
        return self.vectors[1]
    def acceleration(self):
        return self.vectors[0]
from mast import Mast
from measure import Measured
chips = Chips()
measured = Measured(Config, Receiver, chips, chips, Mast([1]))
out = []
uptime = 0
for count, vectors in given:
    for i in range(count):
        chips.vectors = vectors[i % len(vectors)]
        measured.step(uptime)
        uptime += 500
    out.append([measured.suspect, list(measured.looks(Camera))])
"""
)
STANDING = [False, [9000, -100, 0, 100, 50]]
TURNED = [True, [None, -100, 0, 18000, 9000]]


def sample(azimuth, elevation=0.0, roll=0.0):
    """(acceleration, field) as an ADXL345 and a QMC5883L of a board in that attitude give them."""
    acceleration, field = readings(azimuth, elevation, roll, 64, field=1500, gravity=256)
    return acceleration, [value // 256 for value in field]


def test_the_survey_of_a_turned_mast_is_not_believed_any_more(side, tmp_path):
    steps = [(80, [sample(40)]), (40, [sample(70)])]
    assert answer(side, MEASURED, steps, cwd=tmp_path) == [STANDING, TURNED]


def test_the_survey_of_a_mast_that_fell_is_not_believed_any_more(side, tmp_path):
    steps = [(80, [sample(40)]), (40, [sample(40, elevation=-80)])]
    assert answer(side, MEASURED, steps, cwd=tmp_path) == [STANDING, TURNED]


@pytest.mark.parametrize("hertz", [0.31, 0.67, 0.9, 1.3, 2.9])
def test_a_mast_that_sways_is_not_turned(side, tmp_path, hertz):
    # 12 degrees to either side, and twisted by 20: what is slow enough to get through the accelerometer's own filter.
    sway = [math.sin(2 * math.pi * hertz * 0.5 * i) for i in range(400)]
    steps = [(80, [sample(40)]), (400, [sample(40 + 20 * x, elevation=12 * x, roll=-6 * x) for x in sway])]
    assert answer(side, MEASURED, steps, cwd=tmp_path, heap="1024k") == [STANDING, STANDING]


def test_single_readings_that_are_wrong_turn_no_mast(side, tmp_path):
    wrong = [sample(220), sample(40, elevation=90), ([0, 0, -256], [500, 0, 700]), ([-512, 511, 3], [-9, 9, 9])]
    mixed = [each for bad in wrong for each in [bad] + [sample(40)] * 19]
    assert answer(side, MEASURED, [(80, [sample(40)]), (240, mixed)], cwd=tmp_path) == [STANDING, STANDING]


@pytest.fixture
def turned_mast(make):  # noqa: F811
    """A surveyed post whose flash remembers the mast at azimuth 45, as the track begins; 3 s later it is at 75."""

    def made(**config):
        node = make(
            turns=((0, 45.0), (3000, 45.0), (3500, 75.0)),
            sensors=[looking("survey")],
            period_s=3600,
            valid_s=3600,
            position={
                "source": "survey",
                "latitude_e7": 365000000,
                "longitude_e7": -843000000,
                "height_amsl_cm": 40000,
            },
            compass={"watch": True},
            **config,
        )
        node.kill()
        was = [*up(elevation=TRUTH["elevation_deg"], roll=TRUTH["roll_deg"]), 4500]
        survey = json.dumps(["qmc5883", [0, 0, 0], [[9000, 0, 0]]])
        (node.folder / "mast").write_text(json.dumps([survey, was]))
        return node.start()

    return made


def test_a_node_whose_mast_is_turned_says_so_long_before_the_period_is_over(turned_mast, host):  # noqa: F811
    turned_mast()
    first = host.until("frustum")[0].values
    assert (first["azimuth_source"], first["azimuth_deg"], first.get("suspect")) == ("survey", 90.0, None)
    # Nothing is said until then: five seconds and what the mean takes, not an hour.
    topic, payload, *_ = host.listener.heard.get(timeout=40)
    while not topic.endswith("frustum/cam") or b"suspect" not in payload:
        topic, payload, *_ = host.listener.heard.get(timeout=40)
    found = wire.decode(topic, payload).values
    assert found["azimuth_source"] == "none"
    assert "azimuth_deg" not in found
    assert found["tilt_sigma_deg"] == 90.0
    # The place is as true as it was.
    assert (found["position_source"], found["latitude_deg"]) == ("survey", 36.5)


FAKED = """
from measure import Measured
from sensors.gnss import Fix
class Config:
    survey, moving, height_agl_cm, position_source = (365000000, -843000000, 40000, 100), False, 600, "survey"
    sensors = []
class Receiver:
    fix = utc = motion = None
receiver = Receiver()
measured = Measured(Config, receiver)
out = []
for uptime, latitude_e7, time_unix_ms in given:
    receiver.fix = Fix(latitude_e7, -843000000, 40000, 200, 300, uptime)
    receiver.utc = (time_unix_ms, uptime)
    measured.step(uptime)
    out.append([measured.clock.at(uptime), measured.clock.source, measured.suspect])
"""
NOW = 1_795_000_000_000  # in 2026


def test_a_receiver_whose_place_is_suspect_sets_no_clock(side):
    said = answer(side, FAKED, [[0, 366000000, NOW], [1000, 365000000, NOW], [2000, 366000000, NOW + 1900]])
    assert said == [[None, "none", True], [NOW, "gnss", False], [NOW + 1000, "gnss", True]]


def test_a_receiver_that_was_away_for_a_month_is_believed_although_our_crystal_drifted(side):
    # 20 ppm in 30 days is 51.84 s. A jump of that much a second later is none of a crystal.
    month = 30 * 86_400_000
    drift = 51_840
    steps = [[0, 365000000, NOW], [month, 365000000, NOW + month + drift], [month + 1000, 365000000, NOW + month]]
    said = answer(side, FAKED, steps)
    assert said[1] == [NOW + month + drift, "gnss", False]
    assert said[2] == [NOW + month + drift + 1000, "gnss", True]
