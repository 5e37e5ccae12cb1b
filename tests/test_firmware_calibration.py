"""firmware/calibration.py under both interpreters: spheres whose centre and noise are known."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_side import answer, interpreter


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


FIT = """
from calibration import Sphere
sphere = Sphere()
for vector in given:
    sphere.add(vector)
try:
    out = sphere.fit()
except ValueError as error:
    out = str(error)
"""


def on_a_sphere(count, centre, radius, sigma, seed, where=lambda u: True):
    """Readings of a compass that is turned every way (evenly, as far as `where` says), with noise, rounded."""
    chance = random.Random(seed)
    out = []
    while len(out) < count:
        direction = [chance.gauss(0, 1) for _ in range(3)]
        size = math.hypot(*direction)
        unit = [part / size for part in direction]
        if where(unit):
            out.append(
                [round(c + radius * part + chance.gauss(0, sigma)) for c, part in zip(centre, unit, strict=True)]
            )
    return out


@settings(max_examples=12)
@given(
    centre=st.tuples(*[st.integers(-8000, 8000)] * 3),
    radius=st.integers(300, 6000),
    noise=st.floats(0, 0.02),
    seed=st.integers(0, 2**32),
)
@pytest.mark.parametrize("name", ["cpython", "micropython"])
def test_the_centre_is_found_within_the_error_of_its_least_squares(name, centre, radius, noise, seed):
    count = 400
    sigma = noise * radius
    found = answer(interpreter(name), FIT, on_a_sphere(count, centre, radius, sigma, seed))
    # Linear least squares on s: its noise is 2 r sigma, the spread of p over a sphere r^2 / 3 an axis, so a
    # coordinate of the centre has sigma sqrt(3 / n). Readings are rounded: a twelfth more; and so is the centre.
    allowed = 5 * math.sqrt((sigma**2 + 1 / 12) * 3 / count) + 1
    assert max(abs(a - b) for a, b in zip(found["hard_iron"], centre, strict=True)) <= allowed
    assert abs(found["radius"] - math.hypot(radius, math.sqrt(3) * sigma)) <= allowed + 1
    # rms of the distance along the radius; 400 readings know it to a twenty-eighth
    assert found["residual_milli"] == pytest.approx(1000 * noise, abs=1 + 1000 * noise * 5 / 28 + 1000 / radius)
    assert found["coverage_milli"] == pytest.approx(1000, abs=60)
    assert found["samples"] == count


def test_half_a_sphere_is_630_thousandths_and_enough(side):
    # Across the cut the spread is r^2 / 12 instead of r^2 / 3: the cube root of a quarter.
    found = answer(side, FIT, on_a_sphere(800, (500, -300, 200), 1500, 10, 1, lambda u: u[2] > 0))
    assert found["coverage_milli"] == pytest.approx(630, abs=40)
    # Its spread across the cut is a quarter, so that coordinate's sigma is twice as large; five of them.
    for axis, sigmas in enumerate((5, 5, 10)):
        assert abs(found["hard_iron"][axis] - (500, -300, 200)[axis]) <= sigmas * 10 * math.sqrt(3 / 800) + 1


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (on_a_sphere(99, (0, 0, 0), 1500, 5, 1), "99 readings, at least 100 expected"),
        ([[3, 4, 5]] * 200, "in one plane"),
        ([[round(1000 * math.cos(i)), round(1000 * math.sin(i)), 7] for i in range(200)], "in one plane"),
        (on_a_sphere(200, (0, 0, 0), 1500, 5, 1, lambda u: min(u) > 0), "of the sphere seen, at least 400 expected"),
        (on_a_sphere(300, (0, 0, 0), 1500, 5, 1, lambda u: abs(u[2]) < 0.1), "of the sphere seen"),
        (
            on_a_sphere(200, (0, 0, 0), 1500, 5, 1) + on_a_sphere(200, (600, 0, 0), 1500, 5, 2),
            "off the sphere, at most 50 expected: iron near by?",
        ),
        (on_a_sphere(200, (60000, 0, 0), 1500, 5, 1), "more than the chip measures"),
    ],
)
def test_a_bad_set_is_refused_with_the_reason(side, vectors, told):
    assert told in answer(side, FIT, vectors)


def test_a_calibration_keeps_no_reading(micropython):
    source = """
import gc
from calibration import Sphere
sphere = Sphere()
def turn(count):
    for i in range(count):
        sphere.add((i * 37 % 2001 - 1000, i * 61 % 2003 - 1001, i * 89 % 1999 - 999))
    gc.collect()
    return gc.mem_alloc()
turn(1000)
out = turn(1000), turn(20000)
"""
    early, late = answer(micropython, source)
    # Sums that grow take a few digits more.
    assert late - early < 600


def test_the_bench_gets_one_line_with_the_change_of_the_configuration(side):
    source = """
import calibration
class Time:
    now = 0
    def ticks_ms(self):
        return self.now
    def ticks_diff(self, a, b):
        return a - b
    def sleep_ms(self, ms):
        self.now += ms
class Compass:
    def __init__(self):
        self.left = list(given)
    def field(self):
        if len(self.left) % 7 == 3:
            self.left.pop()
            raise OSError("silent")
        return self.left.pop() if self.left else None
class Broken:
    def field(self):
        raise OSError("no QMC5883L or QMC5883P on the bus")
calibration.time = Time()
out = []
calibration.print = out.append
calibration.run(12, Compass())
calibration.run(0, Broken())
calibration.run(1, Broken())
"""
    centre = [120, -340, 56]
    said = answer(side, source, on_a_sphere(400, centre, 1500, 0, 3))
    assert said[:2] == ["215 readings", "343 readings"]  # six of seven, 50 a second, until none is left
    found, nothing, broken = (json.loads(line) for line in said[-3:])
    assert max(abs(a - b) for a, b in zip(found["hard_iron"], centre, strict=True)) <= 1
    assert found["patch"] == {"compass": {"hard_iron": found["hard_iron"]}}
    assert nothing == {"refused": "no reading", "samples": 0}
    assert broken == {"refused": "no QMC5883L or QMC5883P on the bus", "samples": 0}
