"""firmware/servo.py under both interpreters: where pan and tilt look, what they cannot reach, where they are on the
way; and a node that is told to look.
"""

import math
import random

import pytest

from firmware_side import answer, board, interpreter
from test_firmware_node import CAMERA, broker, host, looking, make  # noqa: F401
from test_firmware_pose import turn


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


AIM = """
import pose, servo
out = []
for base, mount, azimuth, elevation in given:
    angles = servo.aim(base, mount, azimuth, elevation)
    looks = angles and pose.boresight(pose.boresight(base, (angles[0], angles[1], 0)), mount)
    out.append([angles, looks])
"""


def test_on_a_level_board_pan_is_the_way_from_its_azimuth_and_tilt_the_elevation(side):
    cases = [
        ((0, 0, 0), (0, 0, 0), 0, 0),
        ((35000, 0, 0), (0, 0, 0), 1000, -500),
        ((1000, 0, 0), (0, 0, 0), 35000, 3000),
        ((9000, 0, 0), (3000, 0, 0), 9000, 0),  # mounted 30 degrees to the right: pan 30 to the left
        ((9000, 0, 0), (0, -1000, 0), 9000, 0),  # mounted looking 10 down: tilt 10 up
        ((9000, 0, 3000), (0, 0, 0), 18000, -3000),  # right side down: the plane of pan itself
    ]
    hand = [[0, 0], [2000, -500], [-2000, 3000], [-3000, 0], [0, 1000], [9000, 0]]
    for (angles, _), expected in zip(answer(side, AIM, cases), hand, strict=True):
        assert max(turn(angles[i], expected[i]) for i in (0, 1)) <= 1


def test_whatever_way_the_board_and_the_mount_lie_the_sensor_looks_where_it_was_told(side):
    chance = random.Random(1)

    def angles(tilt):
        return (chance.randrange(36000), chance.randint(-tilt, tilt), chance.randint(-tilt, tilt))

    cases = []
    for _ in range(60):
        cases.append((angles(3000), (chance.randint(-2000, 2000), *angles(2000)[1:]), *angles(4000)[:2]))
    cases += [((0, 0, 0), (0, 0, 0), 35999, 8999), ((17999, 0, 0), (0, 0, 0), 18001, -8999)]
    for (_, _, azimuth, elevation), (found, looks) in zip(cases, answer(side, AIM, cases), strict=True):
        assert found is not None
        # Along the parallel an angle is worth its cosine; a centidegree of pan, one of tilt, one of each rounding.
        assert turn(looks[0], azimuth) * math.cos(math.radians(elevation / 100)) <= 4
        assert abs(looks[1] - elevation) <= 4


def test_what_no_tilt_raises_that_high_is_out_of_reach(side):
    # It looks along the axis of tilt, so it stays level; 60 degrees beside it, it rises to 30 at most.
    cases = [((0, 0, 0), (9000, 0, 0), 0, 4500), ((0, 0, 0), (6000, 0, 0), 0, 3100), ((0, 0, 0), (6000, 0, 0), 0, 2900)]
    assert [bool(found) for found, _ in answer(side, AIM, cases)] == [False, False, True]


SERVO = """
from servo import Servo
settings, steps = given
pulses = []
servo = Servo(settings, [lambda us: pulses.append(["pan", us]), lambda us: pulses.append(["tilt", us])])
out = []
for uptime, to in steps:
    said = servo.turn(to, uptime) if to != "ask" else None
    out.append([list(servo.angles(uptime)), said])
out = [out, pulses]
"""
SETTINGS = [32, 33, -9000, 9000, -2000, 4000, 1000, 2000, 6000]


def test_a_servo_is_followed_from_how_fast_it_turns(side):
    # 60 degrees a second. Where it stood at power-on nobody knows: 180 degrees of pan take it 3 s.
    steps = [
        [0, "ask"],
        [1000, "ask"],
        [3000, "ask"],
        [4000, [6000, -1500]],
        [4500, "ask"],
        [5000, "ask"],
        [5500, "ask"],
    ]
    said, pulses = answer(side, SERVO, [SETTINGS, steps])
    at = [each[0] for each in said]
    assert at[:3] == [[0, 0, 18000], [0, 0, 12000], [0, 0, 0]]
    assert at[3:] == [[0, 0, 6000], [3000, -1500, 3000], [6000, -1500, 0], [6000, -1500, 0]]
    # 1000 to 2000 us over each axis's own limits
    assert pulses == [["pan", 1500], ["tilt", 1333], ["pan", 1833], ["tilt", 1083]]


def test_a_servo_that_is_told_to_turn_while_it_turns_goes_on_from_where_it_is(side):
    steps = [[0, "ask"], [3000, [6000, 0]], [3500, [-3000, 0]], [4000, "ask"], [4500, "ask"]]
    said, _ = answer(side, SERVO, [SETTINGS, steps])
    assert [each[0][0] for each in said[2:]] == [3000, 0, -3000]
    # On its first way it may be anywhere on the way that is left, and the new one comes on top.
    said, _ = answer(side, SERVO, [SETTINGS, [[0, "ask"], [1000, [3000, 0]], [1500, "ask"], [3500, "ask"]]])
    assert [each[0] for each in said[1:]] == [[0, 0, 15000], [3000, 0, 12000], [3000, 0, 0]]


def test_what_is_beyond_the_limits_is_refused_with_them_and_what_is_half_a_degree_beyond_is_the_limit(side):
    steps = [[0, "ask"], [5000, [9051, 0]], [5000, [0, 4100]], [5000, None], [5000, [9050, -2050]], [9000, "ask"]]
    said, pulses = answer(side, SERVO, [SETTINGS, steps])
    limits = ": the servo has pan -9000 to 9000, tilt -2000 to 4000 cdeg"
    reasons = ["pan 9051, tilt 0", "pan 0, tilt 4100", "no pan and tilt"]
    assert [each[1] for each in said[1:4]] == [reason + limits for reason in reasons]
    assert said[4][1] is None
    assert said[5][0] == [9000, -2000, 0]
    assert pulses[2:] == [["pan", 2000], ["tilt", 1000]]


def test_a_servo_that_turns_the_other_way_has_its_pulses_the_other_way_round(side):
    turned = [32, None, -9000, 9000, 0, 0, 2000, 1000, 6000]
    source = SERVO.replace('lambda us: pulses.append(["tilt", us])', "None")
    said, pulses = answer(side, source, [turned, [[0, "ask"], [3000, [9000, 0]], [9000, "ask"], [9000, [0, 100]]]])
    assert pulses == [["pan", 1500], ["pan", 1000]]
    assert said[2][0] == [9000, 0, 0]
    assert said[3][1].endswith("tilt 0 to 0 cdeg")


def test_a_pulse_comes_out_of_its_pin_in_nanoseconds(micropython, tmp_path):
    source = f"""
sys.path[:0] = [{str(board() / "unix")!r}]
import board, machine
board.servo(32)(1500)
board.servo(33)(700)
out = sorted(machine.PWM.pulses.items())
"""
    assert answer(micropython, source, cwd=tmp_path) == [[32, 1_500_000], [33, 700_000]]


def test_a_node_turns_its_camera_where_it_is_told_and_reports_follow(make, host):  # noqa: F811
    make(
        sensors=[looking("survey", servo=True, elevation_cdeg=-100), {**CAMERA, "name": "fixed"}],
        servo={"pan_pin": 32, "tilt_pin": 33, "tilt_least_cdeg": -2000, "tilt_most_cdeg": 3000, "cdeg_per_s": 9000},
        period_s=3600,
        valid_s=3600,
    )
    # Its first way ends: the sigma is the survey's again, a degree.
    settled = lambda report: report.sensor == "cam" and report.values["azimuth_sigma_deg"] == 1.0  # noqa: E731
    first = host.until(settled)[0].values
    assert (first["azimuth_deg"], first["elevation_deg"]) == (90.0, -1.0)
    host.send(id="far", command="look", sensor="cam", azimuth_cdeg=27000, elevation_cdeg=0)
    host.send(id="fixed", command="look", sensor="fixed", azimuth_cdeg=9000, elevation_cdeg=0)
    host.send(id="near", command="look", sensor="cam", azimuth_cdeg=17000, elevation_cdeg=1000)
    far, fixed, near = [report.values for report in host.until("reply", 3)]
    assert (far["status"], "pan -9000 to 9000, tilt -2000 to 3000" in far["reason"]) == ("refused", True)
    assert (fixed["status"], fixed["reason"]) == ("refused", "no fixed on a servo")
    assert near["status"] == "done"
    there = lambda report: settled(report) and report.values["azimuth_deg"] > 100  # noqa: E731
    arrived = next((report for report in host.reports if there(report)), None) or host.until(there)[0]
    arrived = arrived.values
    assert arrived["azimuth_deg"] == pytest.approx(170, abs=0.05)
    assert arrived["elevation_deg"] == pytest.approx(10, abs=0.05)
    assert arrived["azimuth_source"] == "survey"
