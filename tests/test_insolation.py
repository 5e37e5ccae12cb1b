"""hardware/insolation.py against closed forms, symmetries, FAO-56 and an integral of its own."""

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_side import ROOT

sys.path.insert(0, str(ROOT / "hardware"))
import insolation

MARCH = 81  # (284 + 81) / 365 is a whole turn: the declination is 0
LATITUDE = st.floats(-1.5, 1.5)
DAY = st.integers(1, 365)


def test_the_sun_stands_over_the_equator_and_the_tropics_when_it_should():
    assert insolation.declination(MARCH) == pytest.approx(0.0, abs=1e-12)
    assert math.degrees(insolation.declination(172)) == pytest.approx(23.45, abs=0.01)  # 21 June
    assert math.degrees(insolation.declination(355)) == pytest.approx(-23.45, abs=0.01)  # 21 December


def test_at_the_equinox_every_day_is_twelve_hours_and_the_equator_has_the_closed_form():
    for latitude in (-1.2, 0.0, 0.5):
        assert insolation.sunset(latitude, insolation.declination(MARCH)) == pytest.approx(math.pi / 2)
    near = 1 + 0.033 * math.cos(math.tau * MARCH / 365)
    # 24/pi Gsc at the equator, times the cosine of the latitude elsewhere.
    for latitude in (0.0, 0.7, -0.7):
        expected = 24 / math.pi * 1.367 * near * math.cos(latitude)
        assert insolation.extraterrestrial(latitude, MARCH) == pytest.approx(expected)


def test_the_pole_has_no_sun_in_winter_and_all_day_in_summer():
    assert insolation.extraterrestrial(math.pi / 2, 355) == 0.0
    assert insolation.sun_hours(math.pi / 2, 1.0, 355, 0.5) == 0.0
    # All day at the height of the declination: 24 h Gsc sin(declination).
    near = 1 + 0.033 * math.cos(math.tau * 172 / 365)
    expected = 24 * 1.367 * near * math.sin(insolation.declination(172))
    assert insolation.extraterrestrial(math.pi / 2, 172) == pytest.approx(expected, rel=1e-3)


def test_known_days():
    # FAO Irrigation and Drainage Paper 56, example 8: 3 September (day 246) at 20 degrees south, 32.2 MJ/m2.
    assert 3.6 * insolation.extraterrestrial(math.radians(-20), 246) == pytest.approx(32.2, rel=0.01)
    # Duffie and Beckman, example 1.10.1: 15 April (day 105) at 43 degrees north, 33.8 MJ/m2.
    assert 3.6 * insolation.extraterrestrial(math.radians(43), 105) == pytest.approx(33.8, rel=0.005)


@settings(max_examples=50)
@given(LATITUDE, DAY)
def test_the_south_has_the_norths_day_where_the_sun_stands_as_high_on_the_other_side(latitude, day):
    # The declination of half a year later is the negative of today's; the earth's distance differs.
    later = (day + 182.5 - 1) % 365 + 1

    def level(where, when):
        return insolation.extraterrestrial(where, when) / (1 + 0.033 * math.cos(math.tau * when / 365))

    assert level(latitude, day) == pytest.approx(level(-latitude, later), abs=1e-9)


@settings(max_examples=50)
@given(st.floats(-1.1, 1.1), DAY, st.floats(0.3, 0.8))
def test_a_level_panel_has_what_falls_on_the_ground(latitude, day, clearness):
    # Free of the polar night, where the ratio of beams is 0 of nothing.
    found = insolation.sun_hours(latitude, 0.0, day, clearness)
    assert found == pytest.approx(clearness * insolation.extraterrestrial(latitude, day), rel=1e-9)


def test_at_the_equinox_a_tilted_panel_has_the_closed_form():
    # Rb = cos(latitude - tilt) / cos(latitude), for both sunsets are at six.
    for latitude, tilt in ((0.7, 0.9), (-0.7, 0.9), (0.3, 0.1)):
        expected = math.cos(abs(latitude) - tilt) / math.cos(latitude)
        assert insolation.beam_ratio(latitude, tilt, MARCH) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("latitude", "tilt", "day"), [(0.9, 1.2, 17), (0.64, 0.6, 162), (-0.5, 0.8, 288), (1.0, 1.5, 344)]
)
def test_the_direct_sun_is_the_integral_over_the_day(latitude, tilt, day):
    sun, steps = insolation.declination(day), 200_000
    towards = latitude - math.copysign(tilt, latitude)
    level = panel = 0.0
    for i in range(steps):
        hour = math.pi * (2 * (i + 0.5) / steps - 1)
        up = math.sin(latitude) * math.sin(sun) + math.cos(latitude) * math.cos(sun) * math.cos(hour)
        # A panel that faces the equator sees the sun as level ground does at latitude - tilt.
        across = math.sin(towards) * math.sin(sun) + math.cos(towards) * math.cos(sun) * math.cos(hour)
        if up > 0:
            level += up
            panel += max(across, 0.0)
    assert insolation.beam_ratio(latitude, tilt, day) == pytest.approx(panel / level, rel=1e-3)


def test_the_darkest_month_is_december_in_the_north_and_june_in_the_south():
    for latitude, darkest in ((0.64, 11), (0.9, 11), (-0.64, 5)):
        hours = insolation.by_month(latitude, abs(latitude) + 0.26, (0.4,))
        assert hours.index(min(hours)) == darkest


def test_a_clearer_sky_brings_more_and_leaves_less_to_the_clouds():
    hours = [insolation.sun_hours(0.64, 0.9, 344, clearness) for clearness in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]
    assert hours == sorted(hours)
    shares = [insolation.diffuse_share(clearness, 1.5) for clearness in (0.3, 0.4, 0.5, 0.6, 0.7)]
    assert shares == sorted(shares, reverse=True)
    assert all(0.0 < share < 1.0 for share in shares)
