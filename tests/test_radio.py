"""The losses of radio links: closed forms, the ITU's own validation examples, symmetries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import fresnel

from conftest import ROOT
from dronewall.engine import radio
from dronewall.engine.earth import RADIUS, drop
from dronewall.engine.terrain import Terrain

CHANNEL_6 = 2.437e9
CELL = 10.0

# ITU-R Study Group 3, "Validation examples for the delta Bullington diffraction prediction method" (2014), spreadsheet
# delB_valid_temp.xlsx: path 3, 17.4 km, effective earth radius 8500 km, land, horizontal polarisation, tolerance 0.1 dB
# (it has 3e8 m/s for light). Antennas above the ground [m], MHz; heights above the smooth surface [m]; losses [dB] of
# the smooth earth and of the whole method.
PATH_3 = [
    (30, 30, 1000, 110.1894677, 30.0, 0.0, 17.62040631),
    (50, 10, 2500, 132.6734925, 11.9416848, 0.0, 25.1016907),
    (20, 20, 600, 102.8893122, 22.52524312, 0.0, 20.25488733),
    (40, 50, 200, 118.7202148, 50.0, 0.0, 10.1899085),
    (70, 5, 150, 152.2011247, 5.664441408, 10.63765222, 20.73949248),
]
# The same, path 2 (132.3 km, beyond the horizon): MHz, heights above the smooth surface, loss of the smooth earth.
PATH_2 = [
    (1000, 37.97366242, 119.2363492, 69.45434151),
    (2500, 57.97664284, 99.82603022, 85.53863749),
    (600, 27.97366242, 109.2363492, 66.31647651),
    (200, 47.97366242, 139.2363492, 45.7547348),
    (150, 78.00115495, 99.67579634, 43.35361839),
]
ITU_REFRACTION = 1.0 - RADIUS / 8.5e6


def section(heights, spacing=CELL, refraction=1.0, canopy=None):
    heights = np.asarray(heights, dtype=float)
    tops = heights if canopy is None else heights + canopy
    return radio.Section(np.arange(heights.size) * spacing, heights, tops, refraction)


def test_free_space_loses_what_p525_says():
    # P.525-4: 32.4 + 20 lg f/MHz + 20 lg d/km
    assert radio.free_space_loss(5000.0, 2.4e9) == pytest.approx(32.4 + 20 * math.log10(2400 * 5), abs=0.06)
    # ... and 6.02 dB more for twice the way
    more = radio.free_space_loss(2000.0, 2.4e9) - radio.free_space_loss(1000.0, 2.4e9)
    assert more == pytest.approx(20 * math.log10(2))


def test_the_first_fresnel_zone_has_the_radius_of_p526():
    # P.526-15, equation 3: 550 sqrt(d1 d2 / ((d1 + d2) f)), km and MHz
    assert radio.fresnel_radius(2000.0, 8000.0, 2.4e9) == pytest.approx(550 * math.sqrt(16 / (10 * 2400)), rel=5e-3)


def test_an_edge_that_touches_the_line_takes_half_the_field():
    # Exactly 6.02 dB; P.526's approximation says 6.03.
    assert radio.knife_edge_loss(0.0) == pytest.approx(20 * math.log10(2), abs=0.02)
    assert radio.knife_edge_loss(-0.78) == 0.0
    assert radio.knife_edge_loss(-0.779) == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("parameter", [-0.7, -0.3, 0.0, 0.5, 1.0, 2.4, 5.0, 20.0])
def test_an_edge_loses_what_the_fresnel_integrals_say(parameter):
    # P.526-15, equation 30; the approximation is said to hold from -0.78 on and is within a quarter of a decibel.
    sine, cosine = fresnel(parameter)
    exact = -20 * math.log10(math.hypot(1 - cosine - sine, cosine - sine) / 2)
    assert radio.knife_edge_loss(parameter) == pytest.approx(exact, abs=0.25)


@pytest.mark.parametrize(("one", "other", "mhz", "smooth_one", "smooth_other", "sphere", "loss"), PATH_3)
def test_the_itus_examples_of_a_path_over_hills(one, other, mhz, smooth_one, smooth_other, sphere, loss):
    distance, heights = np.loadtxt(ROOT / "tests/golden/p526_path3.csv", delimiter=",", skiprows=1).T
    itu = radio.Section(distance * 1000.0, heights, heights, ITU_REFRACTION)
    ends = heights[0] + one, heights[-1] + other
    assert radio.smooth_heights(itu, *ends) == pytest.approx((smooth_one, smooth_other), abs=1e-6)
    smooth = radio.sphere_loss(
        itu.length, smooth_one, smooth_other, mhz * 1e6, refraction=ITU_REFRACTION, vertical=False
    )
    assert smooth == pytest.approx(sphere, abs=0.1)
    assert radio.diffraction_loss(itu, *ends, mhz * 1e6) == pytest.approx(loss, abs=0.1)


@pytest.mark.parametrize(("mhz", "one", "other", "loss"), PATH_2)
def test_the_itus_examples_beyond_the_horizon_of_a_smooth_earth(mhz, one, other, loss):
    found = radio.sphere_loss(132_315.397, one, other, mhz * 1e6, refraction=ITU_REFRACTION, vertical=False)
    assert found == pytest.approx(loss, abs=0.1)


def test_over_a_free_fresnel_zone_nothing_is_lost_to_the_ground():
    path = radio.path_over(section(np.zeros(101)), 20.0, 20.0, CHANNEL_6)
    # The zone's radius half way of 1 km is sqrt(0.123 * 250) = 5.55 m.
    assert path.diffraction == 0.0
    assert path.radius == pytest.approx(math.sqrt(299.792458 / 2437 * 250), rel=1e-6)
    assert path.fraction == pytest.approx(20.0 / path.radius)
    assert path.loss == radio.free_space_loss(1000.0, CHANNEL_6)
    assert path.lacking == 0.0


def test_a_single_wall_is_bullingtons_edge():
    heights = np.zeros(101)
    heights[30] = 40.0
    found = section(heights)
    path = radio.path_over(found, 10.0, 10.0, CHANNEL_6)
    # 30 m over the line, 300 m and 700 m from the ends.
    parameter = 30.0 * math.sqrt(2 * 1000 / (299.792458 / 2437 * 300 * 700))
    edge = 6.9 + 20 * math.log10(math.sqrt((parameter - 0.1) ** 2 + 1) + parameter - 0.1)
    # P.526-15, 4.5.1 adds [1 - exp(-J/6)](10 + 0.02 d/km) to what one edge takes.
    assert path.diffraction == pytest.approx(edge + (1 - math.exp(-edge / 6)) * (10 + 0.02), abs=1e-6)
    assert (path.tightest, path.clearance) == (30, pytest.approx(-30.0))
    assert path.lacking == pytest.approx(30.0 + 0.6 * path.radius)


def test_the_horizon_is_where_the_clearance_ends():
    # 4.12 km (sqrt h1 + sqrt h2), the horizon of radio over 4/3 earth.
    for one, other in ((2.0, 2.0), (6.0, 12.0), (0.5, 30.0)):
        reach = 4120.0 * (math.sqrt(one) + math.sqrt(other))
        for share, free in ((0.995, True), (1.005, False)):
            length = reach * share
            flat = radio.Section(np.linspace(0, length, 4001), np.zeros(4001), np.zeros(4001))
            assert (radio.path_over(flat, one, other, CHANNEL_6).clearance > 0.0) == free


def test_radio_bends_with_the_curve_of_the_drop():
    flat = section(np.zeros(1001), refraction=0.25)
    # FACTS: 5.886 m at 10 km; half way of 10 km a quarter of that.
    assert flat.bulge.max() == pytest.approx(drop(10_000.0, 0.25) / 4.0)
    assert flat.bulge.max() == pytest.approx(5.886 / 4.0, abs=1e-3)


def test_a_line_through_a_wood_loses_by_its_metres_and_no_more_than_what_goes_around():
    tall = np.zeros(101)
    tall[40:43] = 15.0
    # Between the middles 39 and 43 the canopy rises and falls: at 5 m it is inside from 39.33 to 42.67, 33.3 m.
    path = radio.path_over(section(np.zeros(101), canopy=tall), 5.0, 5.0, CHANNEL_6, canopy_db_per_m=0.4)
    most = 1.15 * 2437**0.43
    assert path.canopy == pytest.approx(most * (1 - math.exp(-0.4 * 100 / 3 / most)), rel=1e-6)
    over = radio.path_over(section(np.zeros(101), canopy=tall), 16.0, 16.0, CHANNEL_6)
    assert over.canopy == 0.0
    deep = radio.path_over(section(np.zeros(101), canopy=np.full(101, 15.0)), 5.0, 5.0, CHANNEL_6)
    assert deep.canopy == pytest.approx(most, rel=1e-4)


def test_behind_a_ridge_the_trees_count_along_the_ray_over_its_crest():
    tall = np.zeros(101)
    tall[10:14] = 15.0
    ridge = 100.0 - np.abs(np.arange(101) - 50.0) * 10.0
    ridge = np.maximum(ridge, 0.0)
    # The straight line at 5 m goes through the trees; the ray to the crest, 100 m up after 500 m, is 24 m up there.
    through = radio.path_over(section(np.zeros(101), canopy=tall), 5.0, 5.0, CHANNEL_6)
    over = radio.path_over(section(ridge, canopy=tall), 5.0, 5.0, CHANNEL_6)
    assert through.canopy > 5.0
    assert over.canopy == 0.0


def test_where_the_ground_is_unknown_nothing_is_said():
    heights = np.zeros(21)
    heights[7] = math.nan
    path = radio.path_over(section(heights), 5.0, 5.0, CHANNEL_6)
    assert math.isnan(path.loss)
    assert not path.section.known


def test_antennas_on_one_mast_have_no_ground_between_them():
    terrain = Terrain.from_array(np.zeros((5, 5)), CELL)
    path = radio.path_over(radio.section_of(terrain, (22.0, 23.0), (22.0, 23.0)), 6.0, 9.0, CHANNEL_6)
    assert path.tightest is None
    assert path.loss == radio.free_space_loss(3.0, CHANNEL_6)
    assert math.isinf(path.fraction)


@pytest.mark.parametrize("words", [(math.nan, 5.0, 2e9), (5.0, math.inf, 2e9), (5.0, 5.0, 0.0), (5.0, 5.0, math.nan)])
def test_what_makes_no_sense_is_refused(words):
    with pytest.raises(ValueError, match="expected"):
        radio.path_over(section(np.zeros(5)), *words)


HILLS = st.lists(st.floats(0.0, 60.0), min_size=5, max_size=40)
MAST = st.floats(0.0, 40.0)


@settings(max_examples=60)
@given(HILLS, MAST, MAST, st.sampled_from([433e6, CHANNEL_6, 5.8e9]), st.sampled_from([0.25, 1.0]))
def test_the_loss_is_the_same_both_ways(heights, one, other, frequency, refraction):
    there = section(heights, 90.0, refraction)
    back = section(heights[::-1], 90.0, refraction)
    first, last = heights[0] + one, heights[-1] + other
    forth = radio.path_over(there, first, last, frequency)
    home = radio.path_over(back, last, first, frequency)
    assert forth.loss == pytest.approx(home.loss, abs=1e-6)
    assert forth.fraction == pytest.approx(home.fraction, abs=1e-9)


@settings(max_examples=60)
@given(HILLS, MAST, MAST, st.floats(0.0, 30.0), st.floats(0.0, 30.0))
def test_a_higher_antenna_never_has_less_of_the_zone_free(heights, one, other, more_one, more_other):
    found = section(heights, 90.0, 0.25)
    low = radio.path_over(found, heights[0] + one, heights[-1] + other, CHANNEL_6)
    high = radio.path_over(found, heights[0] + one + more_one, heights[-1] + other + more_other, CHANNEL_6)
    assert high.fraction >= low.fraction - 1e-9
    assert (high.lacking == 0.0) >= (low.lacking == 0.0)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.floats(5.0, 395.0)] * 4))
def test_a_section_is_the_same_terrain_from_both_ends(seed, places):
    terrain = Terrain.from_array(np.random.default_rng(seed).uniform(0.0, 30.0, (40, 40)), CELL)
    one, other = places[:2], places[2:]
    there, back = radio.section_of(terrain, one, other), radio.section_of(terrain, other, one)
    assert there.length == back.length
    assert there.raised_amsl == pytest.approx(back.raised_amsl[::-1], abs=1e-6)


def test_a_rate_that_is_faster_needs_a_stronger_signal():
    rates = list(radio.RATES.values())
    for family in (rates[:2], rates[2:4], rates[4:]):
        assert [rate.sensitivity_dbm for rate in family] == sorted(rate.sensitivity_dbm for rate in family)
        assert [rate.power_dbm for rate in family] == sorted((rate.power_dbm for rate in family), reverse=True)
