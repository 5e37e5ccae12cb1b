"""`dronewall node align`: a sighting's arithmetic by closed forms, and what a real node makes of it."""

import copy
import json
import math
import threading

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT
from dronewall import wire
from dronewall.bench.align import (
    SIGHT,
    Aligned,
    AlignError,
    Eye,
    Mark,
    aligned,
    change,
    column_offset,
    elsewhere,
    eye_of,
    landmark,
    picture_sigma,
    sun_mark,
    unlike,
)
from dronewall.cli import main
from dronewall.engine.earth import direction
from fake_node import config as stored
from test_bench_calibrate import NODE, turning  # noqa: F401
from test_firmware_config import CAMERA
from test_firmware_node import Host, broker, host  # noqa: F401
from test_firmware_power import start  # noqa: F401

SITE = str(ROOT / "examples" / "jacksboro.toml")
EYE = Eye(36.5, -84.3, 400.0, 1.0, 1.0)
LATITUDE_M = 6_356_752.314_2**2 / 6_378_137.0  # b^2 / a: the least radius of the meridian, at the equator
WEST = ["--landmark", "36.5,-84.4"]  # nine kilometres west of the simulated nodes


@pytest.mark.parametrize(
    ("north", "east", "azimuth_deg"), [(0.01, 0.0, 0.0), (0.0, 0.01, 90.0), (-0.01, 0.0, 180.0), (0.0, -0.01, 270.0)]
)
def test_a_landmark_in_each_direction_has_its_azimuth(north, east, azimuth_deg):
    eye = Eye(0.0, 10.0, None, 3.0, 3.0)
    mark = landmark(eye, north, 10.0 + east, sigma=4.0)
    # On the equator the parallel is a geodesic.
    assert math.degrees(mark.azimuth) == pytest.approx(azimuth_deg, abs=1e-9)
    radius = LATITUDE_M * (1.0 if north else 6_378_137.0**2 / 6_356_752.314_2**2)
    expected = radius * math.radians(0.01)
    assert mark.distance == pytest.approx(expected, rel=1e-6)
    assert mark.azimuth_sigma == pytest.approx(5.0 / expected, rel=1e-4)  # hypot(3, 4) over the distance
    assert mark.elevation is None


@pytest.mark.parametrize(("mark_amsl", "up"), [(400.0, 0.0), (500.0, 100.0), (300.0, -100.0)])
def test_a_landmarks_elevation_has_the_drop_taken_off(mark_amsl, up):
    mark = landmark(EYE, 36.5, -84.4, height_amsl=mark_amsl)
    # (1 - .13) d^2 / 2 R, as DESIGN says: 5.48 m at 8.96 km.
    fallen = 0.87 * mark.distance**2 / (2 * 6_371_000.0)
    assert mark.elevation == pytest.approx(math.atan((up - fallen) / mark.distance), abs=1e-9)
    assert mark.elevation_sigma == pytest.approx(math.hypot(1.0, 5.0) / mark.distance, rel=1e-6)


def test_a_landmark_too_near_is_refused_and_told_how_far_it_must_be():
    step = 100.0 / (LATITUDE_M * math.radians(1.0))
    with pytest.raises(AlignError) as refusal:
        landmark(EYE, 36.5 + step, -84.3)
    # hypot(1, 5) m are two degrees at 146 m.
    assert f"farther than {math.hypot(1, 5) / math.tan(math.radians(2)):.0f} m" in str(refusal.value)
    assert "146 m" in str(refusal.value)
    assert landmark(EYE, 36.5 + 2 * step, -84.3).distance == pytest.approx(200, rel=0.01)


@given(st.floats(0.0, 2 * math.pi, exclude_max=True), st.floats(-math.pi, math.pi))
def test_what_stands_right_of_the_boresight_has_the_larger_azimuth(azimuth, offset):
    mark = Mark("tower", azimuth, 0.001, None, 0.0, 5000.0)
    found = aligned(mark, offset)
    assert math.remainder(found.azimuth + offset - azimuth, math.tau) == pytest.approx(0.0, abs=1e-12)
    assert 0.0 <= found.azimuth <= math.tau
    assert found.azimuth_sigma == pytest.approx(math.hypot(0.001, SIGHT))
    assert found.elevation is None


def test_a_sight_of_what_stands_high_is_worth_less():
    at_60 = Mark("the sun", 1.0, 0.0, math.radians(60.0), 0.0, None)
    assert aligned(at_60).azimuth_sigma == pytest.approx(2 * SIGHT)  # over cos 60
    at_80 = Mark("the sun", 1.0, 0.0, math.radians(80.0), 0.0, None)
    # cos^-1(.5 / 2): where half a degree is two.
    with pytest.raises(AlignError, match=f"expected it under {math.degrees(math.acos(0.25)):.0f} degrees"):
        aligned(at_80)


def test_the_sun_is_refused_by_night_and_its_clock_counts():
    noon, midnight = 1_772_388_000_000, 1_772_341_200_000  # 2026-03-01 18:00 and 05:00 UTC
    with pytest.raises(AlignError, match="below the horizon"):
        sun_mark(EYE, midnight)
    sharp, late = sun_mark(EYE, noon), sun_mark(EYE, noon, 60.0)
    # Near noon it turns by 15 degrees an hour times cos(declination) / cos(elevation): .36 degree in the minute here.
    turns = math.radians(0.25) * math.cos(math.radians(7.5)) / math.cos(sharp.elevation)
    assert late.azimuth_sigma == pytest.approx(turns, rel=0.06)
    assert sharp.azimuth_sigma < late.azimuth_sigma / 15


@given(
    elevation=st.floats(-0.5, 0.5), roll=st.floats(-0.4, 0.4), mark=st.floats(-0.3, 0.3), offset=st.floats(-0.5, 0.5)
)
def test_a_column_of_the_picture_gives_the_offset_back(elevation, roll, mark, offset):
    hfov = math.radians(80.0)
    # The mark's direction, turned down by the camera's elevation about its right, then by its roll about its forward.
    x, y, z = math.cos(mark) * math.cos(offset), math.cos(mark) * math.sin(offset), math.sin(mark)
    x, z = x * math.cos(elevation) + z * math.sin(elevation), z * math.cos(elevation) - x * math.sin(elevation)
    y = y * math.cos(roll) - z * math.sin(roll)
    column = y / x / math.tan(hfov / 2)
    assert column_offset(column, hfov, elevation, roll, mark) == pytest.approx(offset, abs=1e-9)


def test_the_edges_of_a_level_picture_are_half_its_field_of_view():
    for hfov in (20.0, 60.0, 120.0):
        assert column_offset(1.0, math.radians(hfov)) == pytest.approx(math.radians(hfov / 2))
        assert column_offset(-1.0, math.radians(hfov)) == pytest.approx(math.radians(-hfov / 2))
        assert column_offset(0.0, math.radians(hfov)) == 0.0
    assert picture_sigma(math.radians(40.0), 1920, 0.0) == pytest.approx(math.radians(40.0 / 1920))
    with pytest.raises(AlignError, match="no direction has that column"):
        column_offset(1.0, 1.0, elevation=1.5, mark=1.2)


def test_a_change_is_in_the_nodes_integers_and_a_report_is_held_against_it():
    found = Aligned(math.radians(359.996), math.radians(0.514), None, 0.0)
    plain = change("cam", found)
    told = {"azimuth_source": "survey", "azimuth_cdeg": 0, "azimuth_sigma_cdeg": 51}  # 360.00 is 0
    assert plain == {"sensors": {"cam": told}}
    hung = change("cam", found, (math.radians(-2.0), math.radians(1.5)))["sensors"]["cam"]
    assert hung == {**told, "elevation_cdeg": -200, "roll_cdeg": 150}
    up = Aligned(1.0, 0.01, math.radians(3.0), math.radians(0.5))
    sighted = change("cam", up, (0.1, 0.0))["sensors"]["cam"]
    assert (sighted["elevation_cdeg"], sighted["tilt_sigma_cdeg"], sighted["roll_cdeg"]) == (300, 50, 0)
    report = {"azimuth_source": "survey", "azimuth_deg": 0.0, "azimuth_sigma_deg": 0.51}
    assert unlike(report, plain) == ""
    assert "azimuth_deg 0.01, expected 0.0" in unlike({**report, "azimuth_deg": 0.01}, plain)
    assert "azimuth_source none, expected survey" in unlike({"azimuth_source": "none"}, plain)
    assert "azimuth_deg missing" in unlike({"azimuth_source": "none"}, plain)


def test_a_node_far_from_its_post_is_noticed():
    assert eye_of({"position_source": "none"}) is None
    assert elsewhere(EYE, 36.5, -84.3) == 0.0
    assert elsewhere(EYE, 36.5001, -84.3) == 0.0  # 11 m, of 10 and five times 1
    away = elsewhere(EYE, 36.501, -84.3)
    assert away == pytest.approx(direction(36.5, -84.3, 36.501, -84.3)[1])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["P4/cam", "--dry-run"], "expected --landmark LAT,LON or --sun"),
        (["P4/cam", "--dry-run", *WEST, "--sun"], "expected --landmark LAT,LON or --sun"),
        (["P4/cam", *WEST], "expected --broker HOST:PORT or --port PORT"),
        (["P4/cam", *WEST, "--broker", "h:1", "--port", "p"], "expected --broker HOST:PORT or --port PORT"),
        (["P4/cam", "--dry-run", *WEST, "--offset", "1", "--pixel", "1/2"], "--offset and --pixel exclude each other"),
        (["P4/cam", "--dry-run", *WEST, "--time", "2026-03-01T12:00:00Z"], "--time goes with --sun"),
        (["P4/cam", "--dry-run", "--sun", "--pixel", "1920/1920"], "expected the column, from 0 at the left"),
        (["P4/cam", "--dry-run", "--landmark", "36,-84,x"], "expected its height AMSL last"),
        (["P4/cam", "--dry-run", "--landmark", "136,-84"], "latitude comes first"),
        (["P4/cam9", "--dry-run", *WEST], "node P4 has no sensor 'cam9'; expected P4/cam"),
        (["P99/cam", "--dry-run", *WEST], "has no node 'P99'"),
        (["D1/cam", "--dry-run", *WEST], "D1 is a drone: what moves has a compass and no survey"),
        (["P4/cam", "--dry-run", *WEST, "--elevation"], "its elevation is not known"),
        (["P4/cam", "--dry-run", *WEST, "--user", "x"], "--user goes with --broker"),
    ],
)
def test_a_sighting_that_cannot_be_is_refused_with_what_is_expected(words, told):
    ran = CliRunner().invoke(main, ["node", "align", SITE, *words])
    assert ran.exit_code == 2
    assert told in " ".join(ran.output.split())


def test_a_dry_run_names_the_lines_of_the_site_file_to_change():
    ran = CliRunner().invoke(main, ["node", "align", SITE, "P4/cam", *WEST, "--dry-run"])
    assert ran.exit_code == 0
    lines = [line for line in ran.output.splitlines() if line.startswith(f"{SITE}:")]
    assert ["azimuth_source" in line for line in lines] == [True, False]  # by compass in the plan
    number = int(lines[1].removeprefix(f"{SITE}:").split(":")[0])
    # The line that it names is the sensor's azimuth, P4's first.
    text = (ROOT / "examples" / "jacksboro.toml").read_text().splitlines()
    assert text[number - 1].startswith("azimuth_deg")
    assert [line for line in text[:number] if line.startswith(("name =", "post ="))][-2:] == [
        'post = "P4"',
        'name = "cam"',
    ]


# --- a node


def _west():
    azimuth, distance = direction(36.5, -84.3, 36.5, -84.4)
    return math.degrees(azimuth), distance


@pytest.mark.needs("micropython", "mosquitto")
def test_a_node_that_is_aligned_over_the_broker_reports_the_survey(start, host):  # noqa: F811
    told = {**CAMERA, "azimuth_source": "compass", "azimuth_cdeg": 4500, "elevation_cdeg": 0}
    node = start(sensors=[told, {**CAMERA, "name": "cam2"}], compass={"watch": True})
    host.until(lambda report: report.kind == "frustum" and report.values["azimuth_source"] == "compass")
    words = ["node", "align", SITE, "P4/cam", *WEST, "--offset", "-12.5", "--broker", f"127.0.0.1:{host.port}"]
    ran = CliRunner().invoke(main, [*words, "--wait", "60"])
    assert ran.exit_code == 0, ran.output
    azimuth, distance = _west()
    expected = azimuth + 12.5
    assert f"P4/cam: reports azimuth {expected:.2f}° ±" in ran.output
    # survey sigma_cm is 100 unless told, the landmark's 5 m: hypot(1, 5) over the distance, and half a degree
    sigma = math.degrees(math.hypot(math.hypot(1, 5) / distance, SIGHT))
    wanted = lambda report: report.kind == "frustum" and report.sensor == "cam" and report.values["boot"] == 2  # noqa: E731
    report = host.until(wanted)[0].values
    assert report["azimuth_source"] == "survey"
    assert report["azimuth_deg"] == pytest.approx(expected, abs=0.006)
    assert report["azimuth_sigma_deg"] == pytest.approx(sigma, abs=0.006)
    # Its elevation and roll are now the true ones that the accelerometer had told, not the mount's.
    kept = json.loads((node.folder / "config.json").read_text())["sensors"]
    assert [sensor["name"] for sensor in kept] == ["cam", "cam2"]
    assert kept[1] == {**CAMERA, "name": "cam2"}
    assert kept[0]["azimuth_source"] == "survey"
    assert "the node says that it stands" in ran.output  # 36.5,-84.3 is not where the site has P4
    assert f"{SITE}:" in ran.output
    assert f"expected azimuth_deg = {round(100 * expected) / 100}" in ran.output


@pytest.mark.needs("micropython", "mosquitto")
def test_a_node_that_refuses_or_falls_silent_is_status_3(start, host):  # noqa: F811
    where = ["--broker", f"127.0.0.1:{host.port}"]
    ran = CliRunner().invoke(main, ["node", "align", SITE, "P4/cam", *WEST, *where, "--wait", "1"])
    assert ran.exit_code == 3
    assert "P4: not online within 1 s" in ran.output
    start(sensors=[{**CAMERA, "name": "other"}])
    host.until("frustum")
    ran = CliRunner().invoke(main, ["node", "align", SITE, "P4/cam", *WEST, *where, "--wait", "3"])
    assert ran.exit_code == 3
    assert "P4/cam: no report within 3 s; does its config.json have that sensor?" in ran.output


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize(
    ("reply", "after", "told"),
    [
        (
            {"status": "refused", "reason": "a configuration is on trial"},
            {},
            "not aligned: refused: a config",
        ),
        ({"status": "done"}, {"azimuth_cdeg": 9000}, "its report says otherwise: azimuth_deg 90.0, expected 27"),
        ({"status": "done"}, {"azimuth_source": "none", "suspect": True}, "expected survey; azimuth_deg"),
    ],
)
def test_a_node_that_does_not_do_it_is_status_3_with_its_reason(host, reply, after, told):  # noqa: F811
    # What such a node says, published as it would: no node of ours does so by itself.
    before = {
        **{key: CAMERA[key] for key in ("shape", "hfov_cdeg", "vfov_cdeg", "range_min_cm", "range_max_cm")},
        **{"position_source": "survey", "latitude_e7": 365000000, "longitude_e7": -843000000, "height_amsl_cm": 40000},
        **{"position_sigma_cm": 100, "height_sigma_cm": 100, "azimuth_source": "survey", "azimuth_cdeg": 31000},
        **{"azimuth_sigma_cdeg": 100, "elevation_cdeg": 0, "roll_cdeg": 0, "tilt_sigma_cdeg": 50, "awake": "always"},
        **{"duty_milli": 1000, "valid_s": 60, "boot": 1, "clock": "none", "seq": 1, "uptime_ms": 1},
    }

    def say(kind, values, sensor=None):
        host.listener.client.publish(wire.topic("jacksboro", "P4", kind, sensor), wire.encode(kind, values), 1, True)

    birth = {"firmware": "x", "board": "x", "boot": 1, "session": 1, "period_s": 2, "sensors": []}
    say("birth", birth)
    say("state", {"state": "ready", "boot": 1, "session": 1})
    say("frustum", before, "cam")

    def obey():
        while True:
            topic, payload, _, _ = host.listener.next()
            if topic.endswith("/command"):
                say("frustum", {**before, "boot": 2, **after}, "cam")
                say("reply", {"id": json.loads(payload)["id"], **reply})
                return

    obeying = threading.Thread(target=obey, daemon=True)
    obeying.start()
    where = ["--broker", f"127.0.0.1:{host.port}", "--wait", "20"]
    ran = CliRunner().invoke(main, ["node", "align", SITE, "P4/cam", *WEST, *where])
    obeying.join(20)
    assert ran.exit_code == 3, ran.output
    assert told in ran.output


@pytest.mark.needs("micropython", "mosquitto")
def test_a_dry_run_over_the_broker_changes_nothing(start, host):  # noqa: F811
    node = start()
    host.until("frustum")
    before = (node.folder / "config.json").read_bytes()
    words = ["--broker", f"127.0.0.1:{host.port}", "--dry-run"]
    ran = CliRunner().invoke(main, ["node", "align", SITE, "P4/cam", *WEST, *words])
    assert ran.exit_code == 0, ran.output
    assert f"P4/cam: azimuth {_west()[0]:.2f}° ±" in ran.output
    assert "(was 310.00°, survey)" in ran.output
    assert (node.folder / "config.json").read_bytes() == before


@pytest.mark.needs("micropython", "mpy-cross", "esptool")
def test_a_node_is_aligned_at_its_port(turning):  # noqa: F811
    fake = turning(track=[(0, 365000000, -843000000, 40000, 9000, 0, 0)])
    words = ["node", "align", SITE, "P4/cam", "--landmark", "36.5,-84.4,500", "--elevation", "--port", fake.port]
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 0, ran.output
    fake.unplug()
    azimuth, distance = _west()
    kept = stored(fake.folder)["sensors"]
    assert kept[0]["azimuth_cdeg"] == round(100 * azimuth)
    fallen = 0.87 * distance**2 / (2 * 6_371_000.0)
    assert kept[0]["elevation_cdeg"] == round(100 * math.degrees(math.atan((100.0 - fallen) / distance)))
    untouched = copy.deepcopy(NODE["sensors"])
    assert kept[1] == untouched[1]
    fake.plug()


@pytest.mark.needs("micropython", "mpy-cross", "esptool")
@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"node": "P3"}, "this board is jacksboro/P3, expected jacksboro/P4"),
        ({"sensors": []}, "P4 has no sensor cam in its config.json"),
        ({"position": {"source": "gnss"}}, "its place comes from GNSS, and its reports say it; expected --broker"),
        (
            {"sensors": [{**CAMERA, "azimuth_source": "compass"}]},
            "its elevation is its mount's on the board until now; expected --broker",
        ),
    ],
)
def test_a_board_at_a_port_that_cannot_be_aligned_says_why(turning, config, told):  # noqa: F811
    fake = turning(config={**NODE, **config})
    ran = CliRunner().invoke(main, ["node", "align", SITE, "P4/cam", *WEST, "--port", fake.port])
    assert ran.exit_code == 2
    assert told in ran.output
