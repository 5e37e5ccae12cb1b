"""MAVLink's frames and units, turned into where a camera looks."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common

from autopilot import LATITUDE_E7, LONGITUDE_E7, Autopilot, messages, turned
from dronewall import wire
from dronewall.interop import mavlink
from dronewall.interop.mavlink import Angles, Telemetry, TelemetryError, boresight, from_north, quaternion_of

FORWARD = Angles(0.0, 0.0, 0.0)
LOCK, VEHICLE, EARTH = 16, 32, 64  # common.xml, GIMBAL_DEVICE_FLAGS
NOON = 1_772_366_400_000


def degrees(angles):
    return tuple(math.degrees(angle) for angle in angles)


def heard(*pieces, system=None, now=0, telemetry=None):
    telemetry = telemetry if telemetry is not None else Telemetry(system)
    for piece in pieces:
        for message in messages(piece):
            telemetry.take(message, now)
    return telemetry


def fields(telemetry, now=0, mount=FORWARD, camera=True, gimbal=True):
    found, reason = telemetry.pose(mount, now, camera, gimbal)
    assert found is not None, reason
    return found.fields


def reason(telemetry, now=0, gimbal=True):
    found, words = telemetry.pose(FORWARD, now, True, gimbal)
    assert found is None
    return words


def looking(telemetry, **asked):
    said = fields(telemetry, **asked)
    azimuth = said.get("azimuth_cdeg")
    return None if azimuth is None else azimuth / 100, said["elevation_cdeg"] / 100, said["roll_cdeg"] / 100


def base(drone, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0, hdg=0):
    return drone.heartbeat(), drone.position(hdg=hdg), drone.attitude(yaw_deg, pitch_deg, roll_deg)


def matrix(azimuth, elevation, roll):
    """Columns forward, right, down in north, east, down: three turns about one axis each, written down by hand."""
    ca, sa, ce, se, cr, sr = (f(x) for x in (azimuth, elevation, roll) for f in (math.cos, math.sin))
    yaw = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
    pitch = np.array([[ce, 0, se], [0, 1, 0], [-se, 0, ce]])
    turn = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return yaw @ pitch @ turn


def matrix_of(q):
    """The rotation v -> q v q*, column by column."""
    w, x, y, z = q
    axis = np.array([x, y, z])
    columns = []
    for unit in np.eye(3):
        columns.append(unit + 2 * w * np.cross(axis, unit) + 2 * np.cross(axis, np.cross(axis, unit)))
    return np.stack(columns, axis=1)


ANGLE = st.floats(-math.pi, math.pi)
ELEVATION = st.floats(-math.pi / 2, math.pi / 2)


@given(ANGLE, ELEVATION, ANGLE)
def test_a_quaternion_is_the_three_turns_and_gives_them_back(azimuth, elevation, roll):
    angles = Angles(azimuth, elevation, roll)
    q = quaternion_of(angles)
    assert np.allclose(matrix_of(q), matrix(*angles), atol=1e-12)
    back = boresight(q)
    assert 0.0 <= back.azimuth < math.tau + 1e-12
    assert np.allclose(matrix(*back), matrix(*angles), atol=4e-4)  # 0.02 degrees where the azimuth carries the roll
    if abs(elevation) < math.radians(89.9):
        assert np.allclose(matrix(*back), matrix(*angles), atol=1e-9)


@given(ANGLE, ELEVATION, ANGLE, st.sampled_from([-1.05, -1.0, 0.95, 1.05]))
def test_neither_the_sign_nor_the_length_of_a_quaternion_matters(azimuth, elevation, roll, scale):
    q = quaternion_of(Angles(azimuth, elevation, roll))
    once, again = boresight(q), boresight(tuple(scale * part for part in q))
    assert np.allclose(matrix(*once), matrix(*again), atol=1e-9)


@given(st.tuples(ANGLE, ELEVATION, ANGLE), st.tuples(ANGLE, ELEVATION, ANGLE))
def test_a_mount_is_turned_by_the_body(body, mount):
    q = mavlink.product(quaternion_of(Angles(*body)), quaternion_of(Angles(*mount)))
    assert np.allclose(matrix_of(q), matrix(*body) @ matrix(*mount), atol=1e-12)


@pytest.mark.parametrize("azimuth", [0.0, 37.0, 120.0, 359.0])
@pytest.mark.parametrize("roll", [-170.0, -40.0, 0.0, 25.0])
@pytest.mark.parametrize("up", [-90.0, 90.0])
def test_straight_down_and_up_the_azimuth_carries_the_roll(azimuth, roll, up):
    # Down, a roll to the right turns the picture's top clockwise on the map; up, the other way round.
    found = degrees(boresight(tuple(np.float32(turned(azimuth, up, roll)).tolist())))
    assert found[1:] == (up, 0.0)
    wanted = azimuth + (roll if up < 0 else -roll)
    assert (found[0] - wanted + 180) % 360 - 180 == pytest.approx(0.0, abs=1e-3)


COMPASS = [0.0, 90.0, 180.0, 270.0]


@pytest.mark.parametrize("yaw", COMPASS)
def test_the_nose_at_the_four_compass_points_is_the_azimuth_of_a_fixed_camera(yaw):
    drone = Autopilot()
    telemetry = heard(*base(drone, yaw if yaw <= 180 else yaw - 360))
    assert looking(telemetry, gimbal=False) == (yaw, 0.0, 0.0)


@pytest.mark.parametrize("yaw", COMPASS)
@pytest.mark.parametrize("flags", [EARTH, EARTH | LOCK, LOCK])
def test_a_gimbal_that_counts_from_north_does_not_turn_with_the_nose(yaw, flags):
    drone = Autopilot()
    telemetry = heard(*base(drone, 123.0), drone.gimbal(turned(yaw, -30.0, 5.0), flags))
    assert looking(telemetry) == (yaw, -30.0, 5.0)


@pytest.mark.parametrize("yaw", COMPASS)
@pytest.mark.parametrize("flags", [VEHICLE, VEHICLE | LOCK, 0, 4 | 8])
def test_a_gimbal_that_counts_from_the_nose_turns_with_it(yaw, flags):
    drone = Autopilot()
    telemetry = heard(*base(drone, 100.0), drone.gimbal(turned(yaw, -30.0, 5.0), flags))
    assert looking(telemetry) == ((yaw + 100.0) % 360, -30.0, 5.0)


def test_the_tilt_of_the_body_is_not_the_tilt_of_a_gimbal():
    # The vehicle frame is the earth's, turned to the heading: a quadrotor that leans into the wind changes nothing.
    drone = Autopilot()
    level = heard(*base(drone, 100.0), drone.gimbal(turned(20.0, -45.0), VEHICLE))
    leaning = heard(*base(drone, 100.0, -25.0, 15.0), drone.gimbal(turned(20.0, -45.0), VEHICLE))
    assert looking(level) == looking(leaning) == (120.0, -45.0, 0.0)


def test_both_frames_at_once_are_refused_and_change_nothing():
    drone = Autopilot()
    telemetry = heard(*base(drone), drone.gimbal(turned(10.0), EARTH))
    drone.boot_ms += 100
    with pytest.raises(TelemetryError, match="96 came, expected one frame"):
        heard(drone.gimbal(turned(80.0), EARTH | VEHICLE), telemetry=telemetry)
    assert looking(telemetry)[0] == 10.0
    with pytest.raises(TelemetryError, match="flags"):
        from_north(EARTH | VEHICLE)


@pytest.mark.parametrize("nose", [0.0, 77.0])
def test_a_gimbal_straight_down(nose):
    drone = Autopilot()
    telemetry = heard(*base(drone, nose), drone.gimbal(turned(0.0, -90.0), VEHICLE))
    assert looking(telemetry) == (nose, -90.0, 0.0)


def test_a_fixed_camera_leans_with_the_body():
    drone = Autopilot()
    down = Angles(0.0, math.radians(-45.0), 0.0)
    assert looking(heard(*base(drone, 90.0, -10.0)), mount=down, gimbal=False) == (90.0, -55.0, 0.0)
    assert looking(heard(*base(drone, 90.0, 0.0, 20.0)), gimbal=False) == (90.0, 0.0, 20.0)
    # Looking out of the right side, a nose that goes up rolls the picture: its right side, the tail, goes down.
    right = Angles(math.radians(90.0), 0.0, 0.0)
    assert looking(heard(*base(drone, 0.0, 10.0)), mount=right, gimbal=False) == (90.0, 0.0, 10.0)
    # ... and a roll to the right tilts it down.
    assert looking(heard(*base(drone, 0.0, 0.0, 15.0)), mount=right, gimbal=False) == (90.0, -15.0, 0.0)


def test_without_a_heading_there_is_no_azimuth_but_from_north():
    drone = Autopilot()
    unknown = base(drone, 55.0, hdg=65535)
    assert looking(heard(*unknown), gimbal=False) == (None, 0.0, 0.0)
    assert fields(heard(*unknown), gimbal=False)["azimuth_source"] == "none"
    assert looking(heard(*unknown, drone.gimbal(turned(20.0, -30.0), VEHICLE))) == (None, -30.0, 0.0)
    assert looking(heard(*unknown, drone.gimbal(turned(20.0, -30.0), EARTH))) == (20.0, -30.0, 0.0)


@pytest.mark.parametrize(
    ("flags", "delta", "azimuth"),
    [
        (VEHICLE, math.radians(40.0), 60.0),
        (VEHICLE, math.nan, None),
        (VEHICLE, 0.0, None),
        (0, math.radians(40.0), None),
    ],
)
def test_the_gimbals_own_heading_stands_in_only_where_the_autopilot_has_none(flags, delta, azimuth):
    drone = Autopilot()
    gimbal = drone.gimbal(turned(20.0), flags, delta_yaw=delta)
    assert looking(heard(*base(drone, hdg=65535), gimbal))[0] == azimuth
    assert looking(heard(*base(drone, 100.0), gimbal))[0] == 120.0


def test_without_attitude_a_gimbal_goes_by_the_heading_of_the_position():
    drone = Autopilot()
    telemetry = heard(drone.heartbeat(), drone.position(hdg=27_050), drone.gimbal(turned(0.0, -30.0), VEHICLE))
    assert looking(telemetry) == (270.5, -30.0, 0.0)
    assert reason(heard(drone.heartbeat(), drone.position(hdg=27_050)), gimbal=False) == "no attitude (ATTITUDE)"


def test_positions_stay_integers_and_velocities_get_their_directions():
    drone = Autopilot()
    telemetry = heard(drone.heartbeat(), drone.position(east=-310, north=1205, down=-50), drone.attitude())
    said = fields(telemetry, gimbal=False)
    assert (said["latitude_e7"], said["longitude_e7"]) == (LATITUDE_E7, LONGITUDE_E7)
    assert said["height_amsl_cm"] == 41_235  # 412.345 m, half up
    assert [said[f"velocity_{way}_cmps"] for way in ("east", "north", "up")] == [-310, 1205, 50]
    assert (said["position_source"], said["azimuth_source"], said["clock"]) == ("gnss", "compass", "none")


@pytest.mark.parametrize(
    ("told", "sigma_cm", "height_cm"),
    [
        ({"h_acc": 1234, "v_acc": 2501}, 124, 251),
        ({"eph": 150, "epv": 200}, 600, 800),  # dilution times 4 m
        ({"eph": 150}, 600, 1200),
        ({"h_acc": 1200, "eph": 900}, 120, 240),
        ({}, 500, 1000),
        ({"h_acc": 4_000_000_000}, 65_500, 65_500),  # the wire's most
    ],
)
def test_the_receivers_accuracy_is_that_of_the_report(told, sigma_cm, height_cm):
    drone = Autopilot()
    said = fields(heard(*base(drone), drone.receiver(**told)), gimbal=False)
    assert (said["position_sigma_cm"], said["height_sigma_cm"]) == (sigma_cm, height_cm)


def test_a_heading_accuracy_counts_only_where_the_receiver_tells_a_heading():
    drone = Autopilot()
    track = drone.receiver(hdg_acc=700_000)  # 7 degrees of the track: a drone flies sideways, too
    assert fields(heard(*base(drone), track), gimbal=False)["azimuth_sigma_cdeg"] == 300
    antennas = drone.receiver(hdg_acc=700_000, yaw=9000)
    assert fields(heard(*base(drone), antennas), gimbal=False)["azimuth_sigma_cdeg"] == 700


@pytest.mark.parametrize("fix_type", [0, 1, 2])
def test_without_a_fix_nothing_is_reported(fix_type):
    drone = Autopilot()
    telemetry = heard(*base(drone), drone.receiver(fix_type=fix_type))
    assert reason(telemetry, gimbal=False) == "the GNSS receiver has no fix"


def test_latitude_and_longitude_of_zero_are_no_position():
    drone = Autopilot()
    telemetry = heard(drone.heartbeat(), drone.position(lat=0, lon=0), drone.attitude())
    assert reason(telemetry, gimbal=False) == "no position yet"


def test_the_clock_is_the_autopilots_and_counts_to_the_older_part():
    drone = Autopilot()
    telemetry = heard(drone.heartbeat(), drone.clock(NOON))
    drone.boot_ms += 1000
    heard(drone.position(), now=1000, telemetry=telemetry)
    heard(drone.attitude(), now=1400, telemetry=telemetry)
    said = fields(telemetry, now=1500, gimbal=False)
    assert (said["clock"], said["time_unix_ms"]) == ("gnss", NOON + 1000)
    drone.boot_ms += 1000
    heard(drone.position(), now=2000, telemetry=telemetry)  # now the attitude is the older one, by 600 ms
    assert fields(telemetry, now=2000, gimbal=False)["time_unix_ms"] == NOON + 1400


@pytest.mark.parametrize("unix_ms", [0, 1_000_000, 9_000_000_000_000])
def test_a_clock_that_was_never_set_is_none(unix_ms):
    drone = Autopilot()
    said = fields(heard(*base(drone), drone.clock(unix_ms)), gimbal=False)
    assert said["clock"] == "none"
    assert "time_unix_ms" not in said


def test_what_is_older_than_valid_is_not_believed():
    drone = Autopilot()
    telemetry = heard(*base(drone), drone.gimbal(turned(0.0), EARTH))
    assert fields(telemetry, now=5000)
    assert reason(telemetry, now=5001) == "telemetry is silent"
    drone.boot_ms += 4000
    heard(drone.heartbeat(), drone.attitude(), drone.gimbal(turned(0.0), EARTH), now=4000, telemetry=telemetry)
    assert reason(telemetry, now=6000) == "no position (GLOBAL_POSITION_INT)"


def test_a_gimbal_that_falls_silent_is_not_replaced_by_its_mount():
    drone = Autopilot()
    telemetry = heard(*base(drone), drone.gimbal(turned(0.0), EARTH))
    drone.boot_ms += 6000
    heard(*base(drone), now=6000, telemetry=telemetry)
    assert reason(telemetry, now=6000) == "the gimbal is silent"
    assert looking(telemetry, now=6000, gimbal=False) == (0.0, 0.0, 0.0)  # a sensor that is fixed does not care


def test_for_three_seconds_a_gimbal_may_still_speak():
    drone = Autopilot()
    telemetry = heard(*base(drone))
    assert reason(telemetry, now=2999) == "not yet known whether a gimbal speaks"
    assert looking(telemetry, now=3000) == (0.0, 0.0, 0.0)
    assert looking(telemetry, now=0, gimbal=False) == (0.0, 0.0, 0.0)


def test_a_gimbal_that_shows_its_presence_has_to_say_where_it_looks():
    drone, gimbal = Autopilot(), Autopilot(component=154)
    telemetry = heard(*base(drone), gimbal.heartbeat(kind=26, autopilot=8))
    assert reason(telemetry, now=4000) == "the gimbal is silent"
    heard(gimbal.gimbal(turned(30.0), EARTH), now=4000, telemetry=telemetry)
    assert looking(telemetry, now=4000)[0] == 30.0


def test_what_flies_and_what_does_not_is_as_the_definitions_name_it():
    types = {number: entry.name for number, entry in common.enums["MAV_TYPE"].items()}
    names = {types[number].removeprefix("MAV_TYPE_") for number in mavlink._NO_VEHICLES}
    assert names == {
        "ANTENNA_TRACKER", "GCS", "ONBOARD_CONTROLLER", "GIMBAL", "ADSB", "CAMERA", "CHARGING_STATION", "FLARM",
        "SERVO", "ODID", "BATTERY", "PARACHUTE", "LOG", "OSD", "IMU", "GPS", "WINCH", "ILLUMINATOR",
    }  # fmt: skip
    flags = common.enums["GIMBAL_DEVICE_FLAGS"]
    assert [flags[bit].name[20:] for bit in (LOCK, VEHICLE, EARTH)] == [
        "YAW_LOCK", "YAW_IN_VEHICLE_FRAME", "YAW_IN_EARTH_FRAME",
    ]  # fmt: skip
    errors = {bit: common.enums["GIMBAL_DEVICE_ERROR_FLAGS"][bit].name[26:] for bit in mavlink._BROKEN}
    assert errors == {8: "ENCODER_ERROR", 64: "SOFTWARE_ERROR", 128: "COMMS_ERROR", 256: "CALIBRATION_RUNNING"}


def test_of_invented_ids_there_are_few_words():
    telemetry = heard(Autopilot().heartbeat())
    said = [words for system in range(2, 255) for one in messages(Autopilot(system).heartbeat())
            for words in telemetry.take(one, 0)]  # fmt: skip
    assert len(said) == mavlink._STRANGERS


@pytest.mark.parametrize(("flags", "failure", "why"), [(EARTH | 1, 0, "retracted"), (EARTH, 8, "encoder error")])
def test_a_gimbal_that_does_not_watch_is_not_reported(flags, failure, why):
    drone = Autopilot()
    telemetry = heard(*base(drone), drone.gimbal(turned(0.0), flags, failure=failure))
    assert reason(telemetry) == f"the gimbal does not watch: {why}"


def test_a_gimbal_at_its_limit_still_says_where_it_looks():
    drone = Autopilot()
    assert looking(heard(*base(drone), drone.gimbal(turned(30.0), EARTH, failure=1 | 2 | 4)))[0] == 30.0


def test_the_field_of_view_is_the_cameras_where_it_tells_one():
    drone = Autopilot()
    told = heard(*base(drone), drone.view(12.34, 7.0))
    assert (fields(told, gimbal=False)["hfov_cdeg"], fields(told, gimbal=False)["vfov_cdeg"]) == (1234, 700)
    half = heard(*base(drone), drone.view(12.34, math.nan))
    assert "vfov_cdeg" not in fields(half, gimbal=False)
    assert "hfov_cdeg" not in fields(told, camera=False, gimbal=False)
    assert "hfov_cdeg" not in fields(heard(*base(drone), drone.view(0.0, math.inf)), gimbal=False)


def test_what_gimbals_ground_stations_and_others_say_of_themselves_is_not_the_vehicles():
    drone, gimbal, station, other = Autopilot(), Autopilot(component=154), Autopilot(system=255), Autopilot(system=2)
    telemetry = Telemetry()
    heard(station.heartbeat(kind=6, autopilot=8), gimbal.heartbeat(kind=26, autopilot=0), telemetry=telemetry)
    assert telemetry.system is None
    heard(*base(drone, 40.0), telemetry=telemetry)
    for stranger in (gimbal, station, other):
        stranger.boot_ms += 500
        heard(stranger.attitude(99.0), stranger.position(lat=1, lon=1), stranger.clock(NOON), telemetry=telemetry)
    said = fields(telemetry, gimbal=False)
    assert (said["azimuth_cdeg"], said["latitude_e7"], said["clock"]) == (4000, LATITUDE_E7, "none")


def test_the_first_vehicle_is_listened_to_and_of_others_there_is_one_word():
    one, two = Autopilot(system=7), Autopilot(system=9)
    telemetry = heard(one.heartbeat())
    ((beat,), (again,)) = messages(two.heartbeat()), messages(two.heartbeat())
    assert telemetry.take(beat, 0) == ["system 9 is on the line, too, and is not listened to; --system chooses"]
    assert telemetry.take(again, 0) == []
    assert telemetry.system == 7
    assert heard(one.heartbeat(), two.heartbeat(), system=9).autopilot == 1


def test_of_two_gimbals_the_first_is_listened_to():
    drone = Autopilot()
    telemetry = heard(*base(drone), drone.gimbal(turned(10.0), EARTH, device=1))
    drone.boot_ms += 100
    (second,) = messages(drone.gimbal(turned(80.0), EARTH, device=2))
    assert "a second gimbal" in telemetry.take(second, 0)[0]
    assert looking(telemetry)[0] == 10.0


def test_a_message_that_came_late_or_twice_is_no_news():
    drone = Autopilot()
    telemetry = heard(*base(drone, 10.0))
    drone.boot_ms -= 200
    heard(drone.attitude(99.0), now=100, telemetry=telemetry)
    drone.boot_ms += 200
    heard(drone.attitude(99.0), now=100, telemetry=telemetry)
    found, _ = telemetry.pose(FORWARD, 100, True, False)
    assert (found.fields["azimuth_cdeg"], found.newest) == (1000, 0)


def test_an_autopilot_that_restarts_is_heard_anew_and_nothing_from_before_counts():
    drone = Autopilot()
    telemetry = heard(*base(drone), drone.clock(NOON), drone.gimbal(turned(0.0), EARTH))
    drone.boot_ms = 2000
    (attitude,) = messages(drone.attitude(10.0))
    assert telemetry.take(attitude, 1000) == ["the autopilot of system 1 has restarted"]
    assert reason(telemetry, now=1000) == "no position (GLOBAL_POSITION_INT)"
    heard(drone.position(), now=1000, telemetry=telemetry)
    said = fields(telemetry, now=1000, gimbal=False)
    assert (said["azimuth_cdeg"], said["clock"]) == (1000, "none")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Autopilot().position(lat=900_000_001), "lat: 9e\\+08 came"),
        (Autopilot().position(lon=-1_800_000_001), "lon"),
        (Autopilot().position(hdg=36_001), "hdg: 36001 came, expected 0 to 36000"),
        (Autopilot().position(alt=2_000_000_000), "alt"),
        (Autopilot().position(north=-32_768), "vx: -32768 came, expected -10000 to 10000"),
        (Autopilot().attitude(math.nan), "yaw: nan came"),
        (Autopilot().attitude(0.0, 1e9), "pitch"),
        (Autopilot().gimbal([math.nan] * 4, EARTH), "q: nan came, expected a unit quaternion"),
        (Autopilot().gimbal([0.0] * 4, EARTH), "q: 0 came"),
    ],
)
def test_what_cannot_be_is_refused(wrong, words):
    with pytest.raises(TelemetryError, match=words):
        heard(Autopilot().heartbeat(), wrong)


NUMBER = st.integers(-(2**31), 2**31 - 1)
SMALL = st.integers(-32_768, 32_767)


@given(
    NUMBER, NUMBER, NUMBER, SMALL, SMALL, SMALL, st.integers(0, 65535), ANGLE, ANGLE, ANGLE, st.integers(0, 127), ANGLE
)
def test_whatever_is_believed_the_wire_can_say(lat, lon, alt, east, north, down, hdg, yaw, pitch, roll, flags, turn):
    drone = Autopilot()
    telemetry = Telemetry()
    said = [
        drone.heartbeat(), drone.position(hdg, east, north, down, lat=lat, lon=lon, alt=alt),
        drone.attitude(*(math.degrees(angle) for angle in (yaw, pitch, roll))),
        drone.gimbal(turned(math.degrees(turn), math.degrees(pitch)), flags), drone.receiver(h_acc=abs(alt)),
    ]  # fmt: skip
    for piece in said:
        try:
            heard(piece, telemetry=telemetry)
        except TelemetryError:
            continue
    found, words = telemetry.pose(Angles(roll, 0.1, yaw), 3000, True, True)
    assume(found is not None)
    rest = {
        "shape": "pyramid", "hfov_cdeg": 4000, "vfov_cdeg": 3000, "range_min_cm": 0, "range_max_cm": 9000,
        "awake": "always", "duty_milli": 1000, "valid_s": 5, "boot": 1, "seq": 1,
    }  # fmt: skip
    assert wire.encode("frustum", rest | found.fields)
    assert words == ""
