import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dronewall.engine.detection import Rate
from dronewall.engine.field import UNIT, Field, glance, passage

SHAPE = (9, 11)


def window(seed):
    random = np.random.default_rng(seed)
    rows, cols = random.integers(1, 8, 2)
    row, col = random.integers(0, SHAPE[0] - rows + 1), random.integers(0, SHAPE[1] - cols + 1)
    rates = random.exponential(0.3, (rows, cols)) * (random.uniform(size=(rows, cols)) < 0.7)
    return Rate(
        int(row), int(col), rates, random.uniform(0.0, 1.0, (rows, cols)), random.uniform(size=(rows, cols)) < 0.1
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1000), st.booleans()), max_size=60))
def test_a_field_after_any_updates_equals_one_made_afresh_bit_for_bit(steps):
    field, latest = Field(SHAPE), {}
    for sensor, seed, gone in steps:
        name = f"P{sensor}/cam"
        if gone and name in latest:
            field.remove(name)
            del latest[name]
        else:
            field.add(name, window(seed))
            latest[name] = seed
    fresh = Field(SHAPE)
    for name in sorted(latest):
        fresh.add(name, window(latest[name]))
    assert (field.total == fresh.total).all()
    assert (field.unsure == fresh.unsure).all()
    assert set(field) == set(fresh)


def test_rates_add_up_to_a_billionth_per_second():
    field = Field(SHAPE)
    one, two = window(1), window(2)
    field.add("a", one)
    field.add("b", two)
    expected = np.zeros(SHAPE)
    expected[one.slices] += one.rate
    expected[two.slices] += two.rate
    assert np.abs(field.total * UNIT - expected).max() <= UNIT


def test_what_is_not_there_cannot_be_removed():
    with pytest.raises(KeyError, match="P1/cam"):
        Field(SHAPE).remove("P1/cam")


def test_two_looks_miss_with_the_product_of_their_misses():
    field = Field((1, 1))
    for name, rate, ceiling in (("a", 0.1, 1.0), ("b", 1.0, 0.3)):
        field.add(name, Rate(0, 0, np.array([[rate]]), np.array([[ceiling]]), np.zeros((1, 1), bool)))
    # In 10 s a reaches 1 - 1/e; b would reach it almost surely but for its ceiling.
    assert field.look(10.0)[0, 0] == pytest.approx(1.0 - math.exp(-1.0) * 0.7, abs=1e-7)


def test_random_search_finds_what_koopman_says():
    # FACTS: 1 - exp(-C): .6321 at coverage 1, .3935 at .5.
    assert glance(0.1, 1.0, 10.0) == pytest.approx(0.6321, abs=5e-5)
    assert passage([0.25, 0.25], [1.0, 1.0]) == pytest.approx(0.3935, abs=5e-5)


def test_a_constant_ceiling_caps_a_passage():
    exposure = np.array([0.2, 0.5, 0.1])
    assert passage(exposure, 0.6) == pytest.approx(0.6 * -math.expm1(-0.8))


def test_what_cannot_be_resolved_far_off_may_still_be_close_by():
    # Half of all cases resolve it near (c = .5, X = 2), a tenth also far off (c = .1, X = 3).
    expected = 0.1 * -math.expm1(-5.0) + 0.4 * -math.expm1(-2.0)
    assert passage([3.0, 2.0], [0.1, 0.5]) == pytest.approx(expected)


exposures = hnp.arrays(np.float64, 8, elements=st.floats(0.0, 10.0))
ceilings = hnp.arrays(np.float64, 8, elements=st.floats(0.0, 1.0))


@given(exposures, ceilings)
def test_audited_never_exceeds_the_field_nor_the_highest_ceiling(exposure, ceiling):
    audited = passage(exposure, ceiling)
    assert -1e-12 <= audited <= -math.expm1(-exposure.sum()) + 1e-12
    assert audited <= ceiling.max() + 1e-12


@given(exposures, ceilings, st.integers(0, 7), st.floats(0.0, 1.0))
def test_more_exposure_and_a_higher_ceiling_never_make_detection_less_likely(exposure, ceiling, piece, more):
    raised, higher = exposure.copy(), ceiling.copy()
    raised[piece] += more
    higher[piece] = min(1.0, higher[piece] + more)
    assert passage(raised, ceiling) >= passage(exposure, ceiling) - 1e-12
    assert passage(exposure, higher) >= passage(exposure, ceiling) - 1e-12
