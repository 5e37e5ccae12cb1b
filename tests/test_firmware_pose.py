"""firmware/pose.py under both interpreters: compass points, hand-checked mounts, 180 degrees, no float anywhere."""

import ast
import math

import pytest

from firmware_side import FIRMWARE, SIDES, answer, interpreter


@pytest.fixture(params=SIDES)
def side(request):
    return interpreter(request.param)


def readings(azimuth, elevation, roll, dip, field=3000, gravity=256 * 256):
    """What the chips show, by vectors in east, north, up [degree]: readings along forward, left and up."""
    a, e, r, d = (math.radians(angle) for angle in (azimuth, elevation, roll, dip))
    forward = (math.sin(a) * math.cos(e), math.cos(a) * math.cos(e), math.sin(e))
    level_left = (-math.cos(a), math.sin(a), 0.0)
    level_up = (-math.sin(a) * math.sin(e), -math.cos(a) * math.sin(e), math.cos(e))
    left = [level_left[i] * math.cos(r) + level_up[i] * math.sin(r) for i in range(3)]
    up = [level_up[i] * math.cos(r) - level_left[i] * math.sin(r) for i in range(3)]
    axes = (forward, left, up)
    magnetic = (0.0, math.cos(d), -math.sin(d))
    acceleration = [round(gravity * axis[2]) for axis in axes]
    return acceleration, [round(256 * field * sum(v * m for v, m in zip(axis, magnetic, strict=True))) for axis in axes]


def attitudes(side, cases):
    source = "import pose\nout = [pose.attitude(*case) for case in given]"
    return answer(side, source, cases, heap="512k")


def boresights(side, cases):
    source = "import pose\nout = [pose.boresight(*case) for case in given]"
    return answer(side, source, cases)


def turn(a, b):
    """Difference of two angles [cdeg]."""
    return abs((a - b + 18000) % 36000 - 18000)


def test_a_level_board_reads_the_four_compass_points(side):
    # By hand: the horizontal field H shows along x facing north, along y (left) facing east, and so round.
    level = [0, 0, 256]
    cases = [(level, field) for field in ([300, 0, -400], [0, 300, -400], [-300, 0, -400], [0, -300, -400])]
    dip = round(100 * math.degrees(math.atan2(400, 300)))
    assert attitudes(side, cases) == [[azimuth, 0, 0, dip] for azimuth in (0, 9000, 18000, 27000)]


def test_raising_the_boresight_is_elevation_and_the_right_side_down_is_roll(side):
    # 30 degrees: the upward acceleration shows half on the raised axis.
    half, rest = 1 << 15, round((1 << 16) * math.sqrt(3) / 2)
    cases = [([half, 0, rest], None), ([0, half, rest], None), ([-half, 0, rest], None), ([0, -half, rest], None)]
    assert attitudes(side, cases) == [
        [None, 3000, 0, None],
        [None, 0, 3000, None],
        [None, -3000, 0, None],
        [None, 0, -3000, None],
    ]


def test_tilt_does_not_turn_the_azimuth_where_the_field_dips_steeply(side):
    poses = [
        (azimuth, elevation, roll)
        for azimuth in (0, 45, 90, 179.99, 180, 270, 359.99)
        for elevation in (-75, -2, 0, 2, 30)
        for roll in (-170, -30, -3, 0, 3, 90)
    ]
    found = attitudes(side, [readings(*pose, dip=65) for pose in poses])
    for pose, (azimuth, elevation, roll, dip) in zip(poses, found, strict=True):
        assert turn(azimuth, 100 * pose[0]) <= 2, pose
        assert abs(elevation - 100 * pose[1]) <= 1, pose
        assert turn(roll, 100 * pose[2]) <= 2, pose
        assert abs(dip - 6500) <= 2, pose
        assert 0 <= azimuth < 36000


@pytest.mark.parametrize("vectors", [([0, 0, 0], [1, 0, 0]), ([0, 0, 256], [0, 0, -500]), ([0, 0, 256], [0, 0, 0])])
def test_a_vector_that_says_nothing_is_refused(side, vectors):
    source = """
import average, pose
try:
    out = pose.attitude(*given)
except ValueError as error:
    out = str(error)
"""
    assert isinstance(answer(side, source, vectors), str)


@pytest.mark.parametrize(
    ("board", "mount", "expected"),
    [
        ((0, 0, 0), (0, 0, 0), (0, 0, 0)),
        ((9000, 0, 0), (0, 0, 0), (9000, 0, 0)),
        ((18000, 0, 0), (27000, 0, 0), (9000, 0, 0)),  # azimuths add on a level board
        ((35000, 0, 0), (2000, -1000, 0), (1000, -1000, 0)),
        ((0, 2000, 0), (0, 1500, 0), (0, 3500, 0)),  # elevations add in one plane
        ((0, 0, 2000), (0, 0, 1500), (0, 0, 3500)),  # rolls add about one axis
        ((0, 0, 3000), (9000, 0, 0), (9000, -3000, 0)),  # right side down: who looks right looks down
        ((0, 0, 3000), (27000, 0, 0), (27000, 3000, 0)),
        ((0, 2000, 0), (18000, 0, 0), (18000, -2000, 0)),  # raised ahead: who looks back looks down
        ((0, 2000, 0), (9000, 0, 0), (9000, 0, 2000)),  # and who looks right has ahead, raised, on his left
        ((0, 10000 - 1000, 0), (0, 1000, 0), (18000, 8000, -18000)),  # over the top: behind, on its head
        ((0, 0, 0), (4500, -9000, 0), (4500, -9000, 0)),  # straight down
        ((3000, 0, 0), (0, -9000, 1000), (4000, -9000, 0)),  # there roll turns the picture as azimuth does
        ((3000, 0, 0), (0, 9000, 1000), (2000, 9000, 0)),  # and the other way looking up
        ((7000, -3000, 0), (0, -6000, 0), (7000, -9000, 0)),
    ],
)
def test_a_mount_on_a_board_looks_where_the_hand_says(side, board, mount, expected):
    found = boresights(side, [(board, mount)])[0]
    assert turn(found[0], expected[0]) <= 1
    assert abs(found[1] - expected[1]) <= 1
    assert turn(found[2], expected[2]) <= 1
    assert 0 <= found[0] < 36000
    assert -18000 <= found[2] < 18000


def test_positions_are_held_where_a_32_bit_float_has_steps_of_40_cm(side):
    # 471234567 and its neighbours are one value in a float of 24 bits.
    source = """
import average, pose
mean = average.Average()
for offset in (0, 1, 2):
    mean.add(471234567 + offset, 1712345671 + offset, 40000 + offset, 150, 300, 0)
out = [mean.position(), pose.apart(471234568, 100, 471234567, 100), pose.apart(0, 1799999999, 0, 1799999998)]
"""
    mean, north, east = answer(side, source)
    assert mean == [471234568, 1712345672, 40001]
    assert north == [0, 1]  # 1e-7 degree is 1.11 cm
    assert east == [1, 0]


def test_the_mean_of_both_sides_of_180_degrees_is_180_degrees(side):
    source = """
import average, pose
mean = average.Average()
for longitude in given:
    mean.add(-170000000, longitude, 0, 150, 300, 0)
out = mean.position()
"""
    assert answer(side, source, [1799999990, -1799999990])[1] == -1800000000
    assert answer(side, source, [-1799999990, 1799999980])[1] == 1799999995
    assert answer(side, source, [1799999980, -1799999990])[1] == 1799999995


def test_across_180_degrees_is_the_short_way(side):
    # 20e-7 degree at 60 degrees north: 20 x 1.111949 x cos 60 = 11.1 cm
    source = "import pose\nout = [pose.apart(600000000, -1799999990, 600000000, 1799999990)[0], "
    source += "pose.apart(600000000, 1799999990, 600000000, -1799999990)[0]]"
    east, west = answer(side, source)
    assert east == 11
    assert west == -11


def test_at_the_poles_every_longitude_is_the_same_place(side):
    # 90 degrees are 900000000, over 2**29; what stands beside the pole by 1e-7 degree is 1.11 cm away.
    source = """
import average, pose
out = [pose.apart(900000000, longitude, 900000000, 0) for longitude in (1, 900000000, 1799999999, -1800000000)]
out.append(pose.apart(-900000000, 1234567890, -899999999, 1234567890))
out.append(pose.is_jump(900000000, 1799999999, (899999991, 0), 1))
"""
    *far, south, jump = answer(side, source)
    # The sine's last step, 2**-21, of half the way round the equator: 9.5 m, a tenth of what counts as a jump.
    assert max(abs(east) for east, _ in far) <= 954
    assert [north for _, north in far] == [0] * 4
    assert (south, jump) == ([0, -1], False)


def test_across_180_degrees_a_step_is_a_step_and_a_jump_a_jump(side):
    # At the equator 100 m are 8993e-7 degree (1.111949 cm each): 50 m to either side of the meridian, or 60.
    source = "import pose\nout = [pose.is_jump(0, -1800000000 + e7, (0, 1800000000 - e7), 100) for e7 in given]"
    assert answer(side, source, [4496, 4497, 5396]) == [False, True, True]


def test_a_month_of_fixes_is_averaged_to_the_last_digit(side):
    # Sums of 20 000 fixes beyond what 32 bits hold, and uptimes of a month in seconds; -1799999993 is 7e-7 degree off
    # the meridian. Half of the fixes lie 3 to one side, half 1 to the other: the mean lies 1 aside, exactly.
    source = """
import average, pose
mean = average.Average()
for i in range(20000):
    aside = 3 if i % 2 else -1
    longitude_e7 = pose.wrapped(given + aside, 1800000000)
    mean.add(-899990000 + aside, longitude_e7, 123456, 65500, 65500, 130 * i)
out = [mean.position(), mean.count]
"""
    assert answer(side, source, -1799999993) == [[-899989999, -1799999992, 123456], 20000]
    assert answer(side, source, 1799999998)[0][1] == 1799999999
    assert answer(side, source, 1799999999)[0][1] == -1800000000


def test_a_jump_moves_no_post_and_is_suspect(side):
    source = """
import average, pose
mean = average.Average()
for second in range(20):
    mean.add(365000000, -843000000, 40000, 150, 300, second)
taken = mean.add(365100000, -843000000, 40000, 150, 300, 20)  # 1.1 km north
out = [taken, mean.suspect, mean.position()]
mean.add(365000000, -843000000, 40000, 150, 300, 21)
out.append(mean.suspect)
"""
    assert answer(side, source) == [False, True, [365000000, -843000000, 40000], False]


def test_averaging_helps_only_as_errors_become_independent(side):
    source = """
import average, pose
out = []
for seconds, sigma in given:
    mean = average.Average()
    for second in (0, seconds):
        mean.add(365000000, -843000000, 40000, sigma, sigma, second)
    out.append(mean.sigma_cm)
"""
    # One more fix in the same second helps nothing; after the ten minutes of decorrelation there are two independent
    # ones; and below a metre nothing averages away.
    first, twice, floor = answer(side, source, [[0, 1000], [600, 1000], [360000, 1000]])
    assert first == 1000
    assert twice == pytest.approx(1000 / math.sqrt(2), abs=8)
    assert floor == 100


def test_the_azimuth_pays_for_tilt_where_the_field_dips(side):
    source = "import pose\nout = [pose.azimuth_sigma(*case) for case in given]"
    found = answer(side, source, [[300, 50, 0], [300, 400, 4500], [0, 50, -6500], [300, 50, 9000]])
    assert found[0] == 300
    assert found[1] == pytest.approx(500, abs=1)  # 3-4-5 at tan 45 = 1
    assert found[2] == pytest.approx(50 * math.tan(math.radians(65)), abs=1)
    assert found[3] == 18000


def test_lengths_and_components_are_those_of_the_right_triangle(side):
    source = """
import average, pose
out = [pose.hypotenuse(3, 4), pose.hypotenuse(0, 0), pose.hypotenuse(-30000, 40000), pose.hypotenuse(2, 3, 6)]
out += [pose.components(1234, azimuth) for azimuth in (0, 9000, 18000, 27000, 3000)]
"""
    found = answer(side, source)
    assert found[:4] == [5, 0, 50000, 7]
    assert found[4:] == [[0, 1234], [1234, 0], [0, -1234], [-1234, 0], [617, 1069]]


def test_there_is_no_float_and_no_division_in_the_pose():
    tree = ast.parse((FIRMWARE / "pose.py").read_text())
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Div), "a true division makes a 32-bit float on the board"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "machine" not in imported
    assert "math" not in imported
