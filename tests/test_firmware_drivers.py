"""firmware/sensors/ against bytes written down by hand from the documents that each test names."""

from functools import reduce

import pytest

from dronewall import wire
from firmware_side import FIRMWARE, SIDES, answer, interpreter


@pytest.fixture(params=SIDES)
def side(request):
    return interpreter(request.param)


def nmea(body):
    """A sentence with the checksum that NMEA 0183 asks for: the exclusive or of what stands between $ and *."""
    return f"${body}*{reduce(lambda a, b: a ^ b, body.encode()):02X}\r\n"


# u-blox 8 / M8 Receiver description including protocol specification (UBX-13003221), section "NMEA protocol": the
# examples of GGA, RMC and GST with their printed checksums.
GGA = "$GPGGA,092725.00,4717.11399,N,00833.91590,E,1,08,1.01,499.6,M,48.0,M,,*5B\r\n"
RMC = "$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*57\r\n"
GST = "$GPGST,082356.00,1.8,,,,1.7,1.3,2.2*7E\r\n"

PARSE = """
from sensors.gnss import Nmea
parser = Nmea()
uptime = 0
for chunk in given:
    parser.feed(chunk.encode(), uptime)
    uptime += 100
fix = parser.fix
out = {
    "fix": fix and [fix.latitude_e7, fix.longitude_e7, fix.height_cm, fix.sigma_cm, fix.height_sigma_cm, fix.uptime],
    "utc": parser.utc, "motion": parser.motion, "sentences": parser.sentences, "bad": parser.bad,
}
"""


def heard(side, *chunks):
    return answer(side, PARSE, chunks)


def test_the_makers_own_sentences_are_read_to_the_last_digit(side):
    # 47 degrees 17.11399 minutes = 47.28523317 degrees; 8 degrees 33.91590 minutes = 8.56526500 degrees
    found = heard(side, GST, GGA, RMC)
    assert found["fix"] == [472852332, 85652650, 49960, 170, 220, 100]  # GST: the larger of 1.7 and 1.3 m; 2.2 m
    assert found["motion"] == [0, 7752, 200]  # 0.004 knot is 0.2 cm/s
    assert (found["sentences"], found["bad"]) == (3, 0)


def test_without_gst_the_accuracy_comes_from_hdop(side):
    assert heard(side, GGA)["fix"][3:5] == [404, 808]  # 1.01 times 4 m, twice that in height


def test_a_gst_of_long_ago_counts_no_more(side):
    chunks = [GST] + [""] * 60 + [GGA]  # 6 s
    assert heard(side, *chunks)["fix"][3:5] == [404, 808]


@pytest.mark.parametrize("talker", ["GP", "GN", "GL", "GA", "GB", "BD", "GQ", "QZ"])
def test_any_talker_is_heard(side, talker):
    body = "GGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
    assert heard(side, nmea(talker + body))["fix"][:3] == [481173000, 115166667, 54540]


def test_south_and_west_are_negative_and_180_degrees_is_reached(side):
    found = heard(side, nmea("GNGGA,000000.00,0000.00006,S,17959.99994,W,4,12,0.5,-1.25,M,0,M,,"))
    assert found["fix"][:3] == [-10, -1799999990, -125]
    assert heard(side, nmea("GNGGA,0,9000.0,N,18000.0,E,1,9,1.0,0,M,0,M,,"))["fix"][:2] == [900000000, 1800000000]


def test_date_and_time_become_unix_time_without_an_epoch(side):
    # 2026-11-23 00:00:00.250 UTC: 20780 days after 1970-01-01, counted in a calendar
    found = heard(side, nmea("GNRMC,000000.250,A,4807.038,N,01131.000,E,22.4,84.4,231126,,,A"))
    assert found["utc"] == [20780 * 86_400_000 + 250, 0]
    assert found["motion"][:2] == [1152, 8440]  # 22.4 knots at 51.4444 cm/s


@pytest.mark.parametrize("mode", ["E", "M", "S", "N"])
def test_a_time_that_was_not_measured_is_not_taken(side, mode):
    # NMEA 0183 2.3: mode E estimated (dead reckoning), M typed in, S simulated, N not valid.
    found = heard(side, nmea(f"GNRMC,000000.250,A,4807.038,N,01131.000,E,22.4,84.4,231126,,,{mode}"))
    assert (found["utc"], found["motion"], found["bad"]) == (None, None, 0)


def test_a_mode_of_a_fix_or_none_at_all_is_taken(side):
    for end in (",,,A", ",,,D", ",,,R,V", ",,", ""):
        assert heard(side, nmea("GNRMC,000000.250,A,4807.038,N,01131.000,E,22.4,84.4,231126" + end))["utc"]


DATES = """
import clock
from sensors.gnss import Nmea
parser = Nmea()
out = []
for text in given:
    parser.feed(text.encode(), 0)
    now = clock.Clock()
    out.append([parser.utc[0] // 86400000, now.set(parser.utc[0], 0, "gnss")])
"""


def test_the_date_of_a_receiver_that_knows_none_or_counts_weeks_anew_sets_no_clock(side):
    # 6 January 1980, where GPS began, is day 3657; 2026-11-23 (day 20780) less 1024 weeks is 2007-04-09; 28 February
    # 2079 is the last of February that two digits can say.
    dates = ["060180", "231126", "090407", "280279"]
    found = answer(side, DATES, [nmea(f"GPRMC,000000,A,4807.038,N,01131.000,E,0,0,{date},,,A") for date in dates])
    assert found == [[3657, None], [20780, True], [20780 - 7168, None], [39870, True]]


def test_a_fix_without_hdop_has_the_accuracy_of_gst_or_is_no_fix(side):
    bare = nmea("GPGGA,123519,4807.038,N,01131.000,E,1,08,,545.4,M,46.9,M,,")
    assert heard(side, GST, bare)["fix"] == [481173000, 115166667, 54540, 170, 220, 100]
    assert (heard(side, bare)["fix"], heard(side, bare)["bad"]) == (None, 1)


def test_a_receiver_that_restarts_in_the_middle_of_a_sentence_is_heard_again(side):
    # It is cut in its position, says what it says at power-on, has no fix, and then has one.
    hello = nmea("GNTXT,01,01,02,HW UBX-M8030 00080000") + nmea("GNGGA,,,,,,0,00,99.99,,,,,,")
    found = heard(side, GST + GGA[:30], hello, nmea("GNRMC,,V,,,,,,,,,,N"), GGA)
    assert found["fix"][:3] == [472852332, 85652650, 49960]
    assert (found["fix"][5], found["bad"], found["utc"]) == (300, 0, None)


def test_a_receiver_without_an_almanac_is_in_1980_and_not_in_2080(side):
    # 1980-01-06, where GPS weeks begin: 3657 days after 1970-01-01
    assert heard(side, nmea("GNRMC,000000,A,4807.038,N,01131.000,E,0,0,060180,,,A"))["utc"] == [3657 * 86_400_000, 0]
    # 2079-12-31: 40176 days after 1970-01-01, the last that two digits can say
    last = heard(side, nmea("GNRMC,000000,A,4807.038,N,01131.000,E,0,0,311279,,,A"))
    assert last["utc"] == [40176 * 86_400_000, 0]


def test_sentences_that_arrive_byte_by_byte_are_the_same(side):
    whole = heard(side, GST, GGA)
    split = heard(side, *(GST + GGA))
    assert split["fix"][:3] == whole["fix"][:3]
    assert split["sentences"] == 2


def test_a_start_in_mid_stream_loses_only_the_cut_sentence(side):
    assert heard(side, GGA[31:] + GGA)["fix"][:3] == [472852332, 85652650, 49960]


def test_a_sentence_cut_by_a_restart_does_not_spoil_the_next(side):
    found = heard(side, GGA[:40] + GGA)
    assert found["fix"][:3] == [472852332, 85652650, 49960]
    assert found["bad"] == 0
    found = heard(side, GGA[:40] + "\r\n" + GGA)
    assert found["fix"][:3] == [472852332, 85652650, 49960]
    assert found["bad"] == 1


def test_a_wrong_checksum_is_counted_and_believed_nothing(side):
    found = heard(side, GGA.replace("4717", "4718"))
    assert (found["fix"], found["bad"]) == (None, 1)


@pytest.mark.parametrize("quality", ["0", "6", "7", "8", ""])
def test_what_is_not_measured_is_no_fix(side, quality):
    found = heard(side, nmea(f"GPGGA,123519,4807.038,N,01131.000,E,{quality},08,0.9,545.4,M,46.9,M,,"))
    assert found["fix"] is None


def test_a_receiver_without_a_fix_sends_empty_fields_and_gives_nothing(side):
    sentences = [
        nmea("GNGGA,,,,,,0,00,99.99,,,,,,"),
        nmea("GNRMC,,V,,,,,,,,,,N"),
        nmea("GNGST,,,,,,,,"),
        nmea("GNTXT,01,01,02,u-blox AG - www.u-blox.com"),
    ]
    found = heard(side, *sentences)
    assert (found["fix"], found["utc"], found["motion"], found["bad"]) == (None, None, None, 0)
    assert found["sentences"] == 4


@pytest.mark.parametrize(
    "body",
    [
        "GPGGA,123519,4867.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",  # 67 minutes
        "GPGGA,123519,9107.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
        "GPGGA,123519,4807.038,N,18100.000,E,1,08,0.9,545.4,M,46.9,M,,",
        "GPGGA,123519,4807.038,X,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
        "GPGGA,123519,,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
        "GPGGA,123519,48O7.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
        "GPGGA,123519,4807.038,N,01131.000,E,1,08,,545.4,M,46.9,M,,",
        "GPGGA,123519,-3637.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
        "GPGGA,123519,36-7.00000,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
        "GPGGA,123519,7.0,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",  # minutes without degrees
        "GPGGA,123519,4807.038,N,01131.000,E,1,08,-0.9,545.4,M,46.9,M,,",
        "GPGST,123519,1.8,,,,-5,-5,-5",
        "GPRMC,120000,A,4807.038,N,01131.000,E,-5,0,231126,,,A",
        "GPGGA,1",
        "GPRMC,256060,A,4807.038,N,01131.000,E,0,0,231126,,,A",
        "GPRMC,120000,A,4807.038,N,01131.000,E,0,0,231326,,,A",
        "GPRMC,120000,A,4807.038,N,01131.000,E,0,0,,,,A",
        "GPRMC,120000,A,4807.038,N,01131.000,E,fast,0,231126,,,A",
    ],
)
def test_nonsense_under_a_right_checksum_is_counted_and_nothing_more(side, body):
    found = heard(side, nmea(body))
    assert (found["fix"], found["motion"], found["bad"]) == (None, None, 1)


def test_garbage_of_any_length_is_survived_and_not_kept(side):
    source = """
from sensors.gnss import Nmea
parser = Nmea()
for i in range(200):
    parser.feed(bytes([(i * 37 + j * 101) % 256 for j in range(64)]).replace(b"\\n", b"x"), i)
out = [len(parser._rest) <= 200, parser.fix]
parser.feed(b"\\r\\n" + given.encode(), 999)
out.append(parser.fix.uptime)
"""
    assert answer(side, source, GGA) == [True, None, 999]


def test_an_accuracy_worse_than_the_wire_can_say_is_the_worst_that_it_can(side):
    most = next(row[5] for row in wire.rows("frustum") if row[1] == "position_sigma_cm")
    gst = nmea("GPGST,082356.00,1.8,,,,700.0,1.3,900.0")
    assert heard(side, gst, GGA)["fix"][3:5] == [most, most]
    assert heard(side, GGA.replace(GGA, nmea(GGA[1:-5].replace(",1.01,", f",{'9' * 30},"))))["fix"][3:5] == [most, most]


BUS = """
import errno
class Bus:
    # The registers of the chips on an I2C bus; a chip that is away does not answer.
    def __init__(self, chips):
        self.chips = chips
        self.away = False
        self.written = []
    def chip(self, address):
        if self.away or address not in self.chips:
            raise OSError(errno.ENODEV)
        return self.chips[address]
    def readfrom_mem_into(self, address, register, buffer):
        chip = self.chip(address)
        for i in range(len(buffer)):
            buffer[i] = chip.get(register + i, 0)
    def writeto_mem(self, address, register, data):
        self.chip(address)
        self.written.append([address, register, data[0]])
def registers(first, data):
    return {first + i: data[i] for i in range(len(data))}
"""


def test_the_qmc5883l_is_set_up_and_read_as_its_data_sheet_says(side):
    # QMC5883L Datasheet 1.0, 9.2: 00H-05H X, Y, Z, low byte first, two's complement; 06H DRDY bit 0, OVL bit 1;
    # 09H MODE 01 continuous, ODR 01 50 Hz, RNG 01 8 G, OSR 00 512; 0AH bit 7 soft reset; 0BH 01H; 0DH chip id FFH.
    source = (
        BUS
        + """
from sensors.qmc5883 import Compass
chip = registers(0, [0x34, 0x12, 0xFF, 0xFF, 0x00, 0x80, 0x01])
chip[0x0D] = 0xFF
bus = Bus({0x0D: chip})
compass = Compass(bus)
out = [compass.field(), list(bus.written)]
chip[6] = 0x00  # nothing new
out.append(compass.field())
chip[6] = 0x03  # over the range
out += [compass.field(), compass.overflows]
out.append(Compass(bus, (0x34, 1, -2)).field())
chip[6] = 0x01
out.append(Compass(bus, (0x34, 1, -2)).field())
"""
    )
    assert answer(side, source) == [
        [0x1234, -1, -32768],
        [[0x0D, 0x0A, 0x80], [0x0D, 0x0B, 0x01], [0x0D, 0x09, 0x15]],
        None,
        None,
        1,
        None,
        [0x1200, -2, -32766],
    ]


def test_the_qmc5883p_is_found_where_there_is_no_l(side):
    # QMC5883P Datasheet, 9.2: chip id 00H = 80H; 01H-06H data; 09H status; its set-up example writes 29H = 06H.
    source = (
        BUS
        + """
from sensors.qmc5883 import Compass
chip = registers(1, [0x01, 0x00, 0x00, 0xFF, 0xFF, 0x7F])
chip[0x00] = 0x80
chip[0x09] = 0x01
bus = Bus({0x2C: chip})
out = [Compass(bus).field(), bus.written]
"""
    )
    assert answer(side, source) == [
        [1, -256, 32767],
        [[0x2C, 0x0B, 0x80], [0x2C, 0x29, 0x06], [0x2C, 0x0B, 0x08], [0x2C, 0x0A, 0xC5]],
    ]


def test_the_adxl345_is_set_up_and_read_as_its_data_sheet_says(side):
    # ADXL345 Data Sheet, Register Definitions: 00H DEVID E5H; 31H FULL_RES bit 3; 2CH rate 0AH; 2DH measure bit 3;
    # 32H-37H X, Y, Z, low byte first. Full resolution is 256 counts a g (3.9 mg).
    source = (
        BUS
        + """
from sensors.adxl345 import Accelerometer
chip = registers(0x32, [0x00, 0x01, 0x00, 0xFF, 0x80, 0x00])
chip[0] = 0xE5
bus = Bus({0x53: chip})
sensor = Accelerometer(bus)
out = [sensor.acceleration(), sensor.acceleration(), bus.written]
# On a mast that sways: 1.56 Hz (table 7, code 4), whose first sample comes after 641 ms; zeros before.
bus = Bus({0x53: chip})
sensor = Accelerometer(bus, True)
sensor.acceleration()
chip.update(registers(0x32, [0] * 6))
out.append(sensor.acceleration())
chip[0x37] = 1
out += [sensor.acceleration(), bus.written[1]]
"""
    )
    assert answer(side, source) == [
        None,  # the first sample comes later
        [256, -256, 128],
        [[0x53, 0x31, 0x08], [0x53, 0x2C, 0x0A], [0x53, 0x2D, 0x08]],
        None,
        [0, 0, 256],
        [0x53, 0x2C, 0x04],
    ]


def test_a_chip_that_falls_silent_is_an_oserror_and_is_set_up_again_when_it_is_back(side):
    source = (
        BUS
        + """
from sensors.adxl345 import Accelerometer
from sensors.qmc5883 import Compass
compass = registers(0, [1, 0, 2, 0, 3, 0, 1])
compass[0x0D] = 0xFF
tilt = registers(0x32, [0, 0, 0, 0, 0, 1])
tilt[0] = 0xE5
bus = Bus({0x0D: compass, 0x53: tilt})
out = []
for read in (Compass(bus).field, Accelerometer(bus).acceleration):
    read()
    bus.away = True
    for i in range(2):
        try:
            read()
            out.append("no error")
        except OSError:
            out.append("OSError")
    bus.away, bus.written = False, []
    read()
    out.append(len(bus.written))
    out.append(read())
"""
    )
    assert answer(side, source) == ["OSError", "OSError", 3, [1, 2, 3], "OSError", "OSError", 3, [0, 0, 256]]


def test_another_chip_at_the_address_is_not_believed(side):
    source = (
        BUS
        + """
from sensors.adxl345 import Accelerometer
from sensors.qmc5883 import Compass
bus = Bus({0x0D: {0x0D: 0x48}, 0x53: {0: 0x2A}})
out = []
for read in (Compass(bus).field, Accelerometer(bus).acceleration):
    try:
        read()
    except OSError:
        out.append(len(bus.written))
"""
    )
    assert answer(side, source) == [0, 0]


def presences(side, levels, settle=1000, hold=100, repeat=5000, stuck=15_000):
    """When a presence is told, for levels given as (from ms, level), looked at every 50 ms for 20 s."""
    source = """
from sensors.pir import Presence
levels, *times = given
presence = Presence(*times)
out = []
for now in range(0, 20000, 50):
    level = 0
    for since, value in levels:
        if now >= since:
            level = value
    if presence.step(level, now):
        out.append(now)
"""
    return answer(side, source, [levels, settle, hold, repeat, stuck])


def test_a_presence_is_told_once_it_has_held(side):
    assert presences(side, [(3000, 1), (5000, 0)]) == [3100]


def test_a_spike_is_no_presence_and_a_dip_does_not_end_one(side):
    assert presences(side, [(3000, 1), (3050, 0), (4000, 1), (4050, 0)]) == []
    assert presences(side, [(3000, 1), (4000, 0), (4050, 1), (7000, 0)]) == [3100]


def test_a_presence_that_lasts_is_told_again(side):
    assert presences(side, [(3000, 1), (14000, 0)]) == [3100, 8100, 13100]


def test_what_the_output_does_before_it_has_settled_means_nothing(side):
    assert presences(side, [(0, 1), (900, 0)]) == []
    assert presences(side, [(0, 1), (3000, 0)]) == [1100]


def test_an_output_that_stays_high_is_stuck_and_detects_no_more_until_it_has_been_low(side):
    # From 3000 ms on: told, told again, and at 8100 ms, 5 s after it was believed, it is stuck.
    assert presences(side, [(3000, 1)], repeat=2000, stuck=5000) == [3100, 5100, 7100]
    assert presences(side, [(3000, 1), (12_000, 0), (13_000, 1), (14_000, 0)], stuck=5000)[1:] == [13_100]
    source = """
from sensors.pir import Presence
presence = Presence(1000, 100, 2000, 5000)
out = []
for now in range(0, 9000, 50):
    presence.step(1 if now < 8000 else 0, now)
    if not out or out[-1][1] != presence.stuck:
        out.append([now, presence.stuck])
"""
    # High from power-on, it never settles: 5 s after it should have it is called stuck; low for 100 ms, it is not.
    assert answer(side, source) == [[0, False], [6000, True], [8100, False]]


def test_the_sensor_that_the_readme_adds_in_30_lines_works(micropython, tmp_path):
    code = (FIRMWARE / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) <= 30
    (tmp_path / "beam.py").write_text(code)
    source = """
sys.path.insert(0, ".")
import asyncio, beam, board, config
problems = []
settings = beam.options(config.Section("sensors[0]", {"pin": 27, "hold_ms": 30}, problems))
class Pin:
    levels = [1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1]  # 10 ms broken, then 60 ms
    def value(self):
        if not self.levels:
            raise EOFError
        return self.levels.pop(0)
board.input_pin = lambda number: Pin()
seen = []
try:
    asyncio.run(beam.watch(settings, seen.append, None))
except EOFError:
    pass
out = [settings, problems, seen]
"""
    assert answer(micropython, source, cwd=tmp_path) == [[27, 30], [], [950]]
