"""engine/sun.py: published places of the sun, and what its way across the sky cannot be otherwise."""

import itertools
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.sun import equatorial, refraction, sun

TIMES = st.integers(-631_152_000_000, 4_102_444_800_000)  # 1950 to 2100
LATITUDES = st.floats(-89.0, 89.0)
LONGITUDES = st.floats(-180.0, 180.0)
STATED = 0.01  # [degrees] chapter 25's own accuracy


def at(*when):
    return datetime(*when, tzinfo=UTC).timestamp() * 1000.0


def seen(unix_ms, latitude_deg, longitude_deg):
    azimuth, elevation = sun(unix_ms, math.radians(latitude_deg), math.radians(longitude_deg))
    return math.degrees(azimuth), math.degrees(elevation)


def test_the_worked_example_of_meeus_is_met():
    # J. Meeus, "Astronomical Algorithms", example 25.a: 1992 October 13, 0h TD: 198.38083, -7.78507 degrees.
    ascension, declination = equatorial(at(1992, 10, 13) - 59_000.0)
    # In the eleven seconds between our Delta T and that year's the sun goes 1.3e-4 degree.
    assert math.degrees(ascension) == pytest.approx(198.38083, abs=2e-4)
    assert math.degrees(declination) == pytest.approx(-7.78507, abs=2e-4)


def test_the_worked_example_of_nrels_algorithm_is_met():
    # I. Reda, A. Andreas, NREL/TP-560-34302 (2003), appendix A.5: 2003-10-17 12:30:30 at UTC-7, 39.742476 N,
    # 105.1786 W: azimuth 194.340241, zenith 50.11162 degrees, at 820 hPa and 11 degrees Celsius.
    azimuth, elevation = seen(at(2003, 10, 17, 19, 30, 30), 39.742476, -105.1786)
    assert azimuth == pytest.approx(194.340241, abs=STATED / math.cos(math.radians(elevation)))
    # In our denser air it stands a fifth of the refraction higher: .004 degree.
    assert elevation == pytest.approx(90.0 - 50.11162, abs=STATED + 0.004)


@given(TIMES, LATITUDES, LONGITUDES)
def test_north_and_south_see_it_mirrored_where_it_stands_over_the_equator(time, latitude, longitude):
    # The same sun from the antipodes' mirror: with -declination the north's sky is the south's. So the sum over both
    # of sin(elevation) is 2 sin(d) sin(f), by sin h = sin d sin f + cos d cos H cos f, with the terms in H cancelled at
    # longitudes 180 apart.
    _, declination = equatorial(time)
    f = math.radians(latitude)
    lifted = [sun(time, f, math.radians(longitude + turn))[1] for turn in (0.0, 180.0)]
    found = sum(math.sin(_true(each)) for each in lifted)
    assert found == pytest.approx(2.0 * math.sin(declination) * math.sin(f), abs=2e-4)  # parallax, and refraction back


def _true(apparent):
    """The elevation of which `apparent` is the lifted one, by iteration."""
    true = apparent
    for _ in range(60):
        true += apparent - true - refraction(true)
    return true


@settings(max_examples=25)
@given(TIMES, st.floats(30.0, 66.0), LONGITUDES)
def test_at_its_highest_it_stands_in_the_south_of_the_north_and_in_the_north_of_the_south(time, latitude, longitude):
    for sign, expected in ((1.0, 180.0), (-1.0, 0.0)):
        elevation, azimuth = max(
            seen(time + 60_000.0 * minute, sign * latitude, longitude)[::-1] for minute in range(1440)
        )
        # Noon is within a minute, in which it goes .25 degree along its circle: over the cosine of its height at most
        # so much in azimuth. That its declination changes moves the highest point by less.
        slack = 0.26 / math.cos(math.radians(elevation))
        assert abs((azimuth - expected + 180.0) % 360.0 - 180.0) < slack


@pytest.mark.parametrize("latitude", [-60.0, -30.0, 0.0, 30.0, 60.0])
def test_at_an_equinox_it_rises_in_the_east_and_sets_in_the_west_everywhere(latitude):
    # 2026-03-20 14:46 UTC (Astronomical Almanac): the declination is 0, and changes by .4 degree a day.
    assert math.degrees(equatorial(at(2026, 3, 20, 14, 46))[1]) == pytest.approx(0.0, abs=STATED)
    for longitude in (-150.0, -40.0, 70.0, 170.0):
        minutes = [at(2026, 3, 20, 2, 46) + minute * 60_000.0 for minute in range(1441)]
        places = [seen(minute, latitude, longitude) for minute in minutes]
        crossings = [
            (azimuth, after > before)
            for (azimuth, before), (_, after) in itertools.pairwise(places)
            if (before > 0.0) != (after > 0.0)
        ]
        assert {rises for _, rises in crossings} == {True, False}
        for azimuth, rises in crossings:
            # The declination (.2 degree at most) over cos f, a minute's way, and by refraction (half a degree higher)
            # half a degree times tan f.
            slack = (0.2 + 0.3) / math.cos(math.radians(latitude)) + 0.55 * abs(math.tan(math.radians(latitude)))
            assert azimuth == pytest.approx(90.0 if rises else 270.0, abs=slack)


def test_the_solstices_and_a_years_extremes_are_the_obliquity():
    days = [at(2026, 1, 1) + 86_400_000.0 * day for day in range(366)]
    declinations = [math.degrees(equatorial(day)[1]) for day in days]
    # 23 degrees 26.2' in 2026; at midnight nearest to it less by .004 at most (.5 day from the extreme).
    assert max(declinations) == pytest.approx(23.436, abs=STATED)
    assert min(declinations) == pytest.approx(-23.436, abs=STATED)


@given(TIMES)
def test_at_the_pole_its_elevation_is_its_declination(time):
    _, declination = equatorial(time)
    _, elevation = sun(time, math.radians(90.0), 0.0)
    expected = declination - math.radians(8.794 / 3600.0) * math.cos(declination)
    assert elevation - refraction(expected) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("elevation_deg", "lift_arcmin"), [(0.0, 28.98), (10.0, 5.41), (45.0, 1.01), (90.0, 0.0)])
def test_refraction_is_saemundssons(elevation_deg, lift_arcmin):
    # Meeus, chapter 16: 34' - 5' at the horizon for a true elevation of 0; 5.4' at 10; 58" x 1.02/.97 cot 45.
    assert math.degrees(refraction(math.radians(elevation_deg))) * 60.0 == pytest.approx(lift_arcmin, abs=0.03)
