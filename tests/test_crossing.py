import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reference
from dronewall.engine.crossing import Paths, audited, warnings
from dronewall.engine.detection import Draws, Rate
from dronewall.engine.field import UNIT, Field

SHAPE = (4, 80)
exposures = hnp.arrays(np.float64, 8, elements=st.floats(0.0, 10.0))
ceilings = hnp.arrays(np.float64, 8, elements=st.floats(0.0, 1.0))


def field_of(**rows):
    """Sensors that see row 1 of the raster, from its west on: (rate, ceiling) of each."""
    field = Field(SHAPE)
    for name, (rate, ceiling) in rows.items():
        rates, tops = np.zeros(SHAPE), np.zeros(SHAPE)
        rates[1, : len(rate)], tops[1, : len(rate)] = rate, ceiling
        field.add(f"{name}/cam", Rate.of(0, 0, rates, tops, np.zeros(SHAPE, bool)))
    return field


def along(count, seconds=1.0, before=None, repeat=1):
    """The way along row 1, over its first cells."""
    cells = np.stack((np.ones(count, dtype=np.int64), np.arange(count)), axis=-1)
    ends = (np.arange(repeat) + 1) * count
    told = np.full(repeat, count if before is None else before)
    return Paths(np.tile(cells, (repeat, 1)), np.full(count * repeat, float(seconds)), ends, told)


def passage(exposure, ceiling):
    """What one sensor makes of pieces that take a second each."""
    return float(audited(field_of(P1=(exposure, ceiling)), along(len(exposure)))[0][0])


def test_random_search_finds_what_koopman_says():
    # FACTS: 1 - exp(-C): .6321 at coverage 1, .3935 at .5.
    assert passage([0.5, 0.5], [1.0, 1.0]) == pytest.approx(0.6321, abs=5e-5)
    assert passage([0.25, 0.25], [1.0, 1.0]) == pytest.approx(0.3935, abs=5e-5)


def test_a_constant_ceiling_caps_a_passage():
    assert passage([0.2, 0.5, 0.1], [0.6] * 3) == pytest.approx(0.6 * -math.expm1(-0.8))


def test_what_cannot_be_resolved_far_off_may_still_be_close_by():
    # Half of all cases resolve it near (c = .5, X = 2), a tenth also far off (c = .1, X = 3).
    expected = 0.1 * -math.expm1(-5.0) + 0.4 * -math.expm1(-2.0)
    assert passage([3.0, 2.0], [0.1, 0.5]) == pytest.approx(expected, abs=2e-5)


@given(exposures, ceilings)
def test_the_audit_is_the_integral_over_what_can_be_resolved(exposure, ceiling):
    # A ceiling is kept to 1/65535, a rate to a billionth, and what has no ceiling or no rate detects nothing.
    ceiling = np.where(exposure > UNIT, np.rint(ceiling * 65535.0) / 65535.0, 0.0)
    found = passage(exposure, ceiling)
    assert found == pytest.approx(reference.passage(exposure, ceiling), abs=1e-6)
    assert -1e-12 <= found <= -math.expm1(-exposure.sum()) + 1e-6
    assert found <= ceiling.max() + 1e-5


@given(exposures, ceilings, st.integers(0, 7), st.floats(0.0, 1.0))
def test_more_exposure_and_a_higher_ceiling_never_make_detection_less_likely(exposure, ceiling, piece, more):
    raised, higher = exposure.copy(), ceiling.copy()
    raised[piece] += more
    higher[piece] = min(1.0, higher[piece] + more)
    # Where there are several, a ceiling is kept to 1/65535: half of that is 7.6e-6.
    assert passage(raised, ceiling) >= passage(exposure, ceiling) - 1e-5
    assert passage(exposure, higher) >= passage(exposure, ceiling) - 1e-5


def test_sensors_miss_independently_and_what_comes_before_the_frontage_counts_before():
    field = field_of(P1=([0.1] * 10, [1.0] * 10), P2=([0.0] * 5 + [0.2] * 5, [1.0] * 10))
    whole, before = audited(field, along(10, seconds=2.0, before=5))
    assert whole == pytest.approx(-math.expm1(-0.1 * 20.0 - 0.2 * 10.0))
    assert before == pytest.approx(-math.expm1(-0.1 * 10.0))


def test_only_the_pieces_that_count_do():
    field = field_of(P1=([0.1] * 10, [1.0] * 10))
    counting = np.arange(10) < 3
    assert audited(field, along(10), counting)[0] == pytest.approx(-math.expm1(-0.3))


def test_ways_are_judged_one_by_one_and_off_the_raster_nothing_is_seen():
    field = field_of(P1=([0.1] * 10, [1.0] * 10))
    paths = Paths(
        np.array([[1, 0], [1, 1], [-1, -1], [3, 3], [1, 9]]), np.ones(5), np.array([2, 2, 4, 5]), np.array([1, 0, 1, 0])
    )
    whole, before = audited(field, paths)
    assert whole == pytest.approx([-math.expm1(-0.2), 0.0, 0.0, -math.expm1(-0.1)])
    assert before == pytest.approx([-math.expm1(-0.1), 0.0, 0.0, 0.0])
    assert paths.durations == pytest.approx([2.0, 0.0, 2.0, 1.0])
    some = paths.some(slice(2, 4))
    assert audited(field, some)[0] == pytest.approx(whole[2:4])


def test_a_heading_that_is_wrong_stays_wrong_for_the_whole_way():
    # Two draws: with .3 the sensor sees all of the way, with .7 nothing. The mean rate is .3 of the rate in view.
    rates, tops = np.zeros(SHAPE), np.ones(SHAPE)
    rates[1, :10] = 0.3 * 0.5
    shares = np.zeros((2, *SHAPE), dtype=np.uint8)
    shares[0] = 255
    field = Field(SHAPE)
    draws = Draws(shares, np.array([0.3, 0.7]))
    field.add("P1/cam", Rate.of(0, 0, rates, tops, np.zeros(SHAPE, bool), draws=draws))
    found = audited(field, along(10))[0]
    assert found == pytest.approx(0.3 * -math.expm1(-5.0), abs=1e-6)
    assert found < -math.expm1(-1.5)


def test_the_median_warning_of_a_uniform_field_is_where_half_are_detected():
    # .01/s over 200 s before the frontage: half of 1 - exp(-2) is reached after -ln(1 - .4323) / .01 = 56.6 s.
    field = field_of(P1=([0.01] * 40, [1.0] * 40))
    half = -math.log(1.0 - 0.5 * -math.expm1(-2.0)) / 0.01
    told = warnings(field, along(40, seconds=10.0, before=20))
    assert told == pytest.approx(200.0 - half, abs=1e-4)
    assert np.isnan(warnings(Field(SHAPE), along(40, before=20))).all()
