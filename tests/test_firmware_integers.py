"""Integers of a board: what 32 bits and the floats of 24 cannot hold, in pose, clock, wire and the GNSS driver.

The WebAssembly build of MicroPython has small integers of 31 bits, as the ESP32's: whatever is larger is another kind
of object there, and every formula meets both kinds.
"""

import pytest

from firmware_side import SIDES, answer, interpreter

WEST, EAST = -1_800_000_000, 1_800_000_000  # 180 degrees, 1e-7 degree: more than 2**30
LAST_MS = 4_102_444_800_000  # 2100-01-01, the wire's end


@pytest.fixture(params=SIDES)
def side(request):
    return interpreter(request.param)


def test_the_webassembly_build_has_integers_of_a_boards_width():
    assert answer(interpreter("wasm"), "out = sys.maxsize") == 2**31 - 1
    assert answer(interpreter("micropython"), "out = sys.maxsize") == 2**63 - 1


@pytest.mark.parametrize("longitude", [WEST, WEST + 1, -(2**30) - 1, -(2**30), 2**30 - 1, 2**30, EAST - 1, EAST])
def test_a_longitude_goes_through_mean_and_message_to_the_last_digit(side, longitude):
    source = """
import average, pose, wire
mean = average.Average()
for second in range(3):
    mean.add(-900000000, given, 40000, 150, 300, second)
latitude, longitude, height = mean.position()
fields = {"shape": "sector", "hfov_cdeg": 9000, "vfov_cdeg": 3000, "range_min_cm": 0, "range_max_cm": 1200,
    "position_source": "gnss", "latitude_e7": latitude, "longitude_e7": longitude, "height_amsl_cm": height,
    "position_sigma_cm": 100, "height_sigma_cm": 200, "azimuth_source": "survey", "azimuth_cdeg": 0,
    "elevation_cdeg": 0, "roll_cdeg": 0, "azimuth_sigma_cdeg": 100, "tilt_sigma_cdeg": 50, "awake": "always",
    "duty_milli": 1000, "valid_s": 30, "boot": 1048575, "clock": "gnss", "time_unix_ms": 4102444800000,
    "seq": 16777215}
text = wire.encode("frustum", fields).decode()
fields["sensor_index"] = 15
for key in ("shape", "hfov_cdeg", "vfov_cdeg", "range_min_cm", "range_max_cm"):
    unpacked = fields.pop(key)
out = [longitude, text, wire.unpack(wire.pack("frustum", fields))[1] == fields]
"""
    found, text, exact = answer(side, source, longitude)
    # 180 degrees east and west are one meridian.
    assert (found - longitude) % (EAST - WEST) == 0
    assert found in (longitude, -longitude)
    assert f'"longitude_deg":{"-" * (found < 0)}{abs(found) // 10**7}.{abs(found) % 10**7:07d},' in text
    assert f'"time_unix_ms":{LAST_MS},' in text
    assert exact


def test_metres_are_the_same_on_both_sides_of_180_degrees(side):
    # 2e-7 degree are 2.2 cm on the equator, 1e-7 degree of latitude 1.1 cm
    source = "import pose\nout = [list(pose.apart(*case)) for case in given]"
    cases = [(1, WEST, 0, EAST), (0, EAST - 1, 0, WEST + 1), (900_000_000, 0, -900_000_000, 0)]
    found = answer(side, source, cases)
    assert found[0] == [0, 1]
    assert found[1] == [-2, 0]
    # Pole to pole is half a meridian: 20 004 km, on the sphere of the formula within half a percent.
    assert found[2][1] == pytest.approx(2_000_393_000, rel=0.005)


@pytest.mark.parametrize("uptime", [0, 2**30 - 1, 2**30, 2**31 - 1, 2**31, 2**32, 10**12])
def test_a_time_survives_every_length_of_uptime(side, uptime):
    source = """
import clock
c = clock.Clock()
c.set(4070908799999, given, "gnss")
out = [c.at(given), c.at(given + 3600000) - c.at(given), clock.unix_ms(2098, 12, 31, 86399999)]
"""
    assert answer(side, source, uptime) == [4_070_908_799_999, 3_600_000, 4_070_908_799_999]


def test_the_receivers_words_become_integers_at_180_degrees_and_in_2079(side):
    source = """
from sensors.gnss import Nmea
parser = Nmea()
for body in given:
    sum = 0
    for byte in body.encode():
        sum ^= byte
    parser.feed(b"$%s*%02X\\r\\n" % (body.encode(), sum), 2**31)
out = [parser.fix.longitude_e7, parser.fix.uptime, parser.utc, parser.bad]
"""
    gga = "GNGGA,235959.999,0000.00000,N,17959.99999,W,4,12,0.5,0,M,0,M,,"
    rmc = "GNRMC,235959.999,A,0000.00000,N,17959.99999,W,0,0,311279,,,A"
    found = answer(side, source, [gga, rmc])
    # 59.99999 minutes are 0.99999983 degrees
    assert found == [-1_799_999_998, 2**31, [3_471_292_799_999, 2**31], 0]
