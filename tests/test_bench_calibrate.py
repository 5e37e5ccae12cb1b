"""`dronewall node calibrate`: the fit, held to spheres that are known, and on a board that is turned."""

import copy
import json
import math
import random

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.bench import sphere
from dronewall.bench.calibrate import CalibrationError, Readings, advice, fit, fitted, parts, said, seen
from dronewall.cli import main
from fake_board import FakeBoard
from fake_node import config as stored
from fake_node import fake_node
from test_firmware_config import CAMERA, NODE
from test_firmware_unix import WORLD

DIP = math.radians(64.0)
IRON = (420, -310, 150)
# Facing magnetic north it rolls on and on while it nods, up and over: the field goes along the board's x by
# cos(e + dip), and all around it. The whole sphere in five seconds, and again on the way back.
TURNS = [
    (t, 365000000, -843000000, 40000, 35480, round(100 * (-65 + 182 * abs(t / 5000 - 1))), 90 * t)
    for t in range(0, 10_100, 100)
]


@pytest.fixture
def turning(tmp_path):
    """Makes a board with firmware whose world goes through a track, again and again."""
    made = []

    def on(track=TURNS, config=NODE, **world):
        told = {"repeat": "loop", "compass": {"sigma_cdeg": 0, "hard_iron": IRON}, **world}
        folder, how = tmp_path / f"board{len(made)}", {"track": track, "world": {**WORLD, **told}}
        files = {"config.json": json.dumps(config).encode()} if config else {}
        made.append(FakeBoard(folder, **how) if config is False else fake_node(folder, files=files, **how))
        return made[-1].__enter__()

    yield on
    for each in made:
        each.__exit__()


def on_a_sphere(count, centre=IRON, radius=1500.0, sigma=4.5, seed=1, where=lambda u: True, dip=DIP, soft=None):
    """Readings of a compass that is turned every way, evenly as far as `where` says: field and what holds it up."""
    chance = random.Random(seed)
    readings = Readings()
    while readings.number < count:
        u = unit([chance.gauss(0, 1) for _ in range(3)])
        if not where(u):
            continue
        aside = [chance.gauss(0, 1) for _ in range(3)]
        along = sum(a * b for a, b in zip(aside, u, strict=True))
        aside = unit([a - along * b for a, b in zip(aside, u, strict=True)])
        up = [256 * (math.cos(dip) * a - math.sin(dip) * b) for a, b in zip(aside, u, strict=True)]
        bent = [(1 + e) * part for e, part in zip(soft or (0, 0, 0), u, strict=True)]
        field = [c + radius * part + chance.gauss(0, sigma) for c, part in zip(centre, bent, strict=True)]
        readings.take(" ".join(str(round(value)) for value in [*field, *up]))
    return readings


def unit(vector):
    size = math.hypot(*vector)
    return [part / size for part in vector]


@settings(max_examples=30)
@given(
    centre=st.tuples(*[st.integers(-8000, 8000)] * 3),
    radius=st.integers(300, 6000),
    noise=st.floats(0, 0.02),
    seed=st.integers(0, 2**32),
)
def test_the_centre_is_found_within_the_error_of_its_least_squares(centre, radius, noise, seed):
    count, sigma = 400, noise * radius
    found = fit(on_a_sphere(count, centre, radius, sigma, seed))
    # Linear least squares on |p|^2: its noise is 2 r sigma, the spread of p over a sphere r^2 / 3 an axis, so each
    # coordinate of the centre has sigma sqrt(3 / n). Readings are rounded, a twelfth more, and so is the centre.
    allowed = 5 * math.sqrt((sigma**2 + 1 / 12) * 3 / count) + 1
    assert max(abs(a - b) for a, b in zip(found.hard_iron, centre, strict=True)) <= allowed
    assert abs(found.radius - math.hypot(radius, math.sqrt(3) * sigma)) <= allowed + 1
    # Of 400 readings an rms is known to a twenty-eighth.
    assert found.residual == pytest.approx(noise, abs=0.001 + noise * 5 / 28 + 1 / radius)
    assert found.noise == pytest.approx(noise, abs=0.001 + noise * 5 / 28 + 1 / radius)
    assert found.seen.coverage > 0.95
    assert found.seen.missing == ()
    assert found.seen.dip == pytest.approx(DIP, abs=0.02)


def test_the_azimuth_sigma_says_what_hard_iron_that_is_left_does_to_azimuths():
    # Many fits of the same board: how far their centres are off, across the horizontal part of the field r cos(dip).
    told, off = [], []
    for seed in range(40):
        found = fit(on_a_sphere(150, sigma=30, seed=seed))
        told.append(found.azimuth_sigma)
        across = [(a - b) / (1500 * math.cos(DIP)) for a, b in zip(found.hard_iron[:2], IRON, strict=False)]
        off += across
    rms = math.sqrt(sum(value**2 for value in off) / len(off))
    noise = 30 / 1500 / math.sqrt(15) / math.cos(DIP)  # what the node's mean leaves of each reading's
    # The fuller model's shift is counted beside its spread: up to twice too careful, and an rms of 80 is known to 8 %.
    assert math.hypot(rms, noise) * 0.85 < sum(told) / len(told) < math.hypot(2 * rms, noise) * 1.3


def test_soft_iron_makes_the_azimuths_that_it_should():
    # Axes 1.01 : .99 : 1 of a level board's plane at the equator bend azimuths by .01 sin 2a: .01 / sqrt 2 rms.
    found = fit(on_a_sphere(3000, sigma=0, dip=0.0, soft=(0.01, -0.01, 0.0)))
    assert found.soft_iron == pytest.approx(0.02, abs=0.001)
    assert found.azimuth_sigma == pytest.approx(0.01 / math.sqrt(2), abs=0.001)


@pytest.mark.parametrize(
    ("where", "share", "missing"),
    [
        (lambda u: True, 1.0, ()),
        # Half a sphere: one side and half of the four around it, whose middle thirds it enters.
        (lambda u: u[2] > 0, (9 + 4 * 6) / 54, ("underside",)),
        (lambda u: min(u) > 0, 3 * 4 / 54, ("front", "back", "left side", "right side", "top", "underside")),
    ],
)
def test_what_was_seen_and_what_is_missing_is_told_side_by_side(where, share, missing):
    readings = on_a_sphere(4000, (0, 0, 0), sigma=0, where=where)
    units = readings.field / 1500.0
    assert parts(units).mean() == pytest.approx(share)
    if share > 0.5:  # an eighth of a sphere has no centre of its own
        assert seen(readings).missing == missing


def test_each_side_of_the_cube_is_its_own():
    for axis in range(3):
        for sign, side in ((1.0, 2 * axis), (-1.0, 2 * axis + 1)):
            direction = [0.0, 0.0, 0.0]
            direction[axis] = sign
            hit = parts(unit_row(direction))
            assert hit.sum() == 1
            assert hit[side, 1, 1]


def unit_row(direction):
    import numpy as np

    return np.array([direction])


@pytest.mark.parametrize(("dip", "words"), [(64, "to the ground"), (-64, "to the sky"), (2, "to the north")])
def test_the_advice_fits_the_hemisphere(dip, words):
    readings = on_a_sphere(800, where=lambda u: u[1] < 0.3, dip=math.radians(dip))
    assert advice(seen(readings)) == f"turn each of these {words}: left side"


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        (lambda: on_a_sphere(99), "99 readings, expected at least 100: give it longer"),
        (lambda: on_a_sphere(300, radius=20.0), "the board lay still"),
        (lambda: on_a_sphere(300, where=lambda u: abs(u[2]) < 0.05), "% of the sphere seen, expected at least 40 %"),
        (lambda: on_a_sphere(300, where=lambda u: min(u) > 0), "% of the sphere seen, expected at least 40 %"),
        (lambda: on_a_sphere(600, soft=(0.12, 0.0, -0.12)), "its axes 24 % apart (soft iron)"),
        (lambda: merged(on_a_sphere(300), on_a_sphere(300, (1200, -310, 150))), "something of iron moved near by"),
        (lambda: on_a_sphere(600, (32800, 0, 0), where=lambda u: u[0] < -0.03), "expected at most 32767 counts"),
        (lambda: over(on_a_sphere(300), 40), "40 readings were over the chip's 8 gauss"),
    ],
)
def test_a_bad_set_is_refused_with_what_to_do(readings, told):
    with pytest.raises(CalibrationError) as refusal:
        fit(readings())
    assert told in str(refusal.value)


def merged(*several):
    out = Readings()
    for readings in several:
        for field, up in zip(readings.field, readings.up, strict=True):
            out.take(" ".join(str(int(value)) for value in [*field, *up]))
    return out


def over(readings, count):
    readings.take(f"over {count}")
    return readings


def test_noise_on_the_line_is_no_reading():
    readings = Readings()
    for line in ("", "12", "1 2", "1 2 x", "1 2 3 4", "over", "over x", "rst:0x3 (SW_RESET)", "99999 1 1", "1.5 2 3"):
        readings.take(line)
    assert readings.number == 0
    readings.take("1 2 3")
    readings.take("-1 2 3 0 0 256")
    assert readings.field.tolist() == [[1, 2, 3], [-1, 2, 3]]


def test_without_an_accelerometer_there_is_a_fit_and_no_word_of_azimuths():
    full, bare = on_a_sphere(400), Readings()
    for field in full.field:
        bare.take(" ".join(str(int(value)) for value in field))
    assert fit(bare).hard_iron == fit(full).hard_iron
    assert fit(bare).azimuth_sigma is None
    assert "azimuth" in said(full)
    assert "azimuth" not in said(bare)


@pytest.mark.parametrize("count", [3, 50, 400])
def test_the_picture_shows_each_part_of_the_sphere(tmp_path, count):
    readings = on_a_sphere(count, where=lambda u: u[2] < 0.3)
    figure = sphere.figure_of(readings)
    assert [axes.get_label() for axes in figure.axes] == ["view0", "view1", "residuals"]
    assert f"{count} readings" in figure.texts[0].get_text()
    if fitted(readings):
        # Every cell that was not seen and looks this way is hatched: the top's nine among them, from above.
        hatched = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
        assert len(hatched) >= 9
    sphere.write_png(readings, tmp_path / "sphere.png")
    assert (tmp_path / "sphere.png").read_bytes().startswith(b"\x89PNG")


# --- on a board


@pytest.mark.needs("micropython", "mpy-cross", "esptool")
def test_a_board_that_is_turned_is_calibrated_and_keeps_it(turning, tmp_path):
    fake = turning()
    picture = tmp_path / "sphere.png"
    ran = CliRunner().invoke(main, ["node", "calibrate", "--port", fake.port, "--picture", str(picture), "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    # 4.5 counts of noise (.0015 gauss) in readings at least 200: the least squares' sqrt(3 / n), twice for a track that
    # does not see the sphere evenly; five sigma, and the rounding.
    allowed = 5 * 4.5 * math.sqrt(3 / told["readings"]) * 2 + 1
    assert max(abs(a - b) for a, b in zip(told["hard_iron"], IRON, strict=True)) <= allowed
    assert told["hard_iron_before"] == [0, 0, 0]
    assert told["coverage"] >= 0.9
    assert told["radius_counts"] == pytest.approx(1500, abs=10)  # .5 gauss at 3000 counts a gauss
    assert told["residual"] < 0.01
    assert told["azimuth_sigma_deg"] < 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    fake.unplug()
    kept = copy.deepcopy(NODE)
    kept["compass"] = {"hard_iron": told["hard_iron"]}
    assert stored(fake.folder) == kept
    fake.plug()


@pytest.mark.needs("micropython", "mpy-cross", "esptool")
def test_a_board_that_lies_still_is_refused_and_keeps_what_it_had(turning):
    fake = turning(track=TURNS[:1], config={**NODE, "compass": {"hard_iron": [1, 2, 3]}})
    ran = CliRunner().invoke(main, ["node", "calibrate", "--port", fake.port, "--seconds", "3"])
    assert ran.exit_code == 3
    assert "not calibrated: the board lay still" in ran.output
    fake.unplug()
    assert stored(fake.folder)["compass"] == {"hard_iron": [1, 2, 3]}
    fake.plug()


@pytest.mark.needs("micropython", "mpy-cross", "esptool")
def test_a_cable_that_is_pulled_in_the_middle_changes_nothing_and_the_second_try_works(turning):
    fake = turning(config={**NODE, "sensors": [CAMERA]})
    words = ["node", "calibrate", "--port", fake.port]
    fake.unplug_at(b"_readings(500)")
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 2
    assert f"{fake.port}: unplugged; plug it in" in ran.output
    assert "compass" not in stored(fake.folder)
    fake.plug()
    ran = CliRunner().invoke(main, [*words, "--dry-run"])
    assert ran.exit_code == 0, ran.output
    assert "(not stored)" in ran.output
    assert "azimuth of a level board" in ran.output


@pytest.mark.needs("micropython", "mpy-cross", "esptool")
@pytest.mark.parametrize(
    ("config", "world", "told"),
    [
        (False, {}, "no firmware of dronewall on it; `dronewall node flash --port"),
        (None, {}, "no node yet (no config.json on the board); `dronewall node provision SITE NODE"),
        (NODE, {"absent": [0x0D]}, "no QMC5883L or QMC5883P on the bus; is the compass wired"),
    ],
)
def test_a_board_that_cannot_be_calibrated_says_what_comes_first(turning, config, world, told):
    fake = turning(config=config, **world)
    ran = CliRunner().invoke(main, ["node", "calibrate", "--port", fake.port, "--seconds", "3"])
    assert ran.exit_code == 2
    assert told in ran.output


@pytest.mark.needs("micropython", "mpy-cross", "esptool")
def test_a_bno055_calibrates_itself_and_that_is_said(turning):
    fake = turning(
        config={**NODE, "compass": {"driver": "bno055"}, "sensors": []}, uart={"1": "receiver", "2": "bno055"}
    )
    ran = CliRunner().invoke(main, ["node", "calibrate", "--port", fake.port, "--seconds", "20"])
    assert ran.exit_code == 0, ran.output
    assert "a BNO055 calibrates itself; nothing is stored" in ran.output
    assert "magnetometer calibrated 3 of 3" in ran.output
