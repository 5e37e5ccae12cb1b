"""hardware/mounting.py: what it draws is what the firmware computes."""

import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from firmware_side import ROOT, SIDES, answer, interpreter

sys.path.insert(0, str(ROOT / "hardware"))
import axes

HARDWARE = ROOT / "hardware"


@pytest.fixture(params=SIDES)
def side(request):
    return interpreter(request.param)


def test_the_drawn_angles_turn_as_the_firmware_turns_them(side):
    # A quarter turn takes the first drawn direction to the second.
    turns = {"azimuth": (9000, 0, 0), "elevation": (0, 9000, 0), "roll": (0, 0, 9000)}
    given = [[axes.TURNS[name][0], *angles] for name, angles in turns.items()]
    source = "import pose\nout = [pose.outward([part * 16777216 for part in case[0]], *case[1:]) for case in given]"
    for (name, _), found in zip(turns.items(), answer(side, source, given), strict=True):
        assert [part / (1 << 24) for part in found] == pytest.approx(axes.TURNS[name][1], abs=1e-5), name


def test_the_drawn_pan_and_tilt_are_the_servos(side):
    source = "import servo\nout = [servo.aim((0, 0, 0), (0, 0, 0), *case) for case in given]"
    assert answer(side, source, [[3000, 0], [0, 3000]]) == [[3000, 0], [0, 3000]]
    assert axes.TURNS["pan"] == axes.TURNS["azimuth"]
    assert axes.TURNS["tilt"] == axes.TURNS["elevation"]
    # More angle is a longer pulse, as config.json has it unless told.
    source = """
import servo
pulses = [[], []]
one = servo.Servo((0, 0, -9000, 9000, -9000, 9000, 1000, 2000, 6000), [each.append for each in pulses])
one.turn((3000, 4500), 0)
out = pulses
"""
    assert [each[-1] for each in answer(side, source)] == [1666, 1750]


@pytest.mark.parametrize("azimuth", [0, 35, 90, 180, 270])
def test_a_level_board_with_the_drawn_axes_reads_the_azimuth_that_is_drawn(side, azimuth):
    # North in the drawn axes, field dipping by 65 degrees: H = 20, V = 43.
    north = np.array(axes.north(azimuth))
    field = [round(1000 * part) for part in 20 * north - 43 * np.array(axes.Z)]
    up = [256 * part for part in axes.Z]
    found = answer(side, "import pose\nout = pose.attitude(*given)", [up, field])
    assert found[:3] == pytest.approx([100 * azimuth, 0, 0], abs=1)


def test_seen_from_above_azimuth_goes_clockwise_and_from_behind_roll_does():
    assert axes.clockwise("above", "azimuth")
    assert axes.clockwise("above", "pan")
    assert axes.clockwise("behind", "roll")
    assert not axes.clockwise("side", "elevation")  # forward is to the right: up is anticlockwise
    assert not axes.clockwise("side", "tilt")
    # Of a board that looks 35 degrees east of north, north is drawn 35 degrees to the left of forward.
    right, up = axes.on_page("above", axes.north(35.0))
    assert (right, up) == pytest.approx((-math.sin(math.radians(35)), math.cos(math.radians(35))))


def test_the_board_rolls_right_side_down_where_the_drawing_says_y_is_positive(side):
    half, rest = 1 << 15, round((1 << 16) * math.sqrt(3) / 2)
    found = answer(
        side, "import pose\nout = [pose.attitude(v, None) for v in given]", [[half, 0, rest], [0, half, rest]]
    )
    assert [each[1:3] for each in found] == [[3000, 0], [0, 3000]]


def test_a_steel_mast_turns_the_field_as_its_dipole_does():
    # Potential outside: -H (r - a^2/r) cos: the worst direction of H + dipole over all places at that distance.
    a, r = 24.0, 150.0
    around = np.linspace(0, 2 * math.pi, 3601)
    radial = (1 + (a / r) ** 2) * np.cos(around)
    across = -(1 - (a / r) ** 2) * np.sin(around)
    turned = np.degrees(np.arctan2(across, radial) + around)
    worst = np.abs((turned + 180) % 360 - 180).max()
    assert axes.turned_by_a_mast(2 * a, r) == pytest.approx(worst, rel=1e-4)


def test_an_ampere_at_a_decimetre_is_two_microtesla():
    assert axes.turned_by_a_wire(1.0, 100.0) == pytest.approx(math.degrees(math.atan(2e-6 / 20e-6)))


def test_the_drawing_is_the_one_its_script_draws(tmp_path):
    command = [sys.executable, str(HARDWARE / "mounting.py"), "--output", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr == ""

    def words(path):
        return sorted(
            "".join(each.itertext()) for each in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
        )

    drawn = words(tmp_path / "mounting.svg")
    assert drawn == words(HARDWARE / "pictures" / "mounting.svg")
    assert {"x forward", "y left", "z up", "azimuth +, pan +", "roll +", "tilt + (up)"} <= set(drawn)
    assert (tmp_path / "mounting.png").stat().st_size > 50_000
