import math

import numpy as np
import pyproj
import pytest

from dronewall.engine.earth import EarthError, direction, drop, site_of

JACKSBORO = np.array([[36.50, -84.30], [36.56, -84.22]])


def test_the_drop_at_ten_kilometres_is_that_of_facts():
    assert drop(10_000.0) == pytest.approx(6.828, abs=5e-4)
    assert drop(10_000.0, refraction=0.25) == pytest.approx(5.886, abs=5e-4)
    assert drop(10_000.0, refraction=1.0) == 0.0


@pytest.mark.parametrize(("refraction", "horizon_km"), [(0.0, 5.048), (0.13, 5.412), (0.25, 5.829)])
def test_an_eye_at_two_metres_sees_the_horizon_of_facts(refraction, horizon_km):
    # The ground drops by the height of the eye at the horizon: d = sqrt(2 R h / (1 - k)).
    assert drop(horizon_km * 1000.0, refraction) == pytest.approx(2.0, rel=3e-4)


@pytest.mark.parametrize(("north", "east", "azimuth"), [(1, 0, 0.0), (0, 1, 90.0), (-1, 0, 180.0), (0, -1, 270.0)])
@pytest.mark.parametrize("longitude", [-84.2, 0.0, 179.999])
def test_a_place_in_each_direction_has_its_azimuth_and_distance(longitude, north, east, azimuth):
    for latitude in (-60.0, 0.0, 36.6):
        step = 0.01
        there = (latitude + step * north, (longitude + step * east + 180.0) % 360.0 - 180.0)
        found, distance = direction(latitude, longitude, *there)
        # The parallel bends away from the geodesic: half the convergence of the meridians, step sin(f) / 2.
        bend = -east * step * math.sin(math.radians(latitude)) / 2.0
        assert (math.degrees(found) - azimuth - bend + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-6)
        # Radii of curvature of WGS 84 along and across the meridian, with e2 = f (2 - f).
        e2 = (2.0 - 1.0 / 298.257223563) / 298.257223563
        middle = math.radians(latitude + step * north / 2.0)
        across = 6_378_137.0 / math.sqrt(1.0 - e2 * math.sin(middle) ** 2)
        along = across * (1.0 - e2) / (1.0 - e2 * math.sin(middle) ** 2)
        expected = math.radians(step) * (along if north else across * math.cos(middle))
        assert distance == pytest.approx(expected, abs=1e-3)


def test_the_frontage_names_its_utm_zone():
    assert site_of(JACKSBORO).epsg == 32616
    assert site_of(np.array([[49.75, 31.4], [49.7, 31.5]])).epsg == 32636
    assert site_of(np.array([[-33.9, 18.4], [-33.8, 18.5]])).epsg == 32734


def test_a_frontage_across_180_degrees_has_a_zone_that_touches_it():
    assert site_of(np.array([[-17.0, 179.98], [-17.0, -179.99]])).epsg == 32760
    assert site_of(np.array([[-17.0, -179.98], [-17.0, 179.99]])).epsg == 32701


def test_positions_go_there_and_back():
    site = site_of(JACKSBORO)
    latitude, longitude = site.to_geodetic(*site.to_site(36.53, -84.25))
    assert latitude == pytest.approx(36.53, abs=1e-9)
    assert longitude == pytest.approx(-84.25, abs=1e-9)


def test_grid_north_leans_east_at_jacksboro_by_what_the_grid_itself_says():
    # East of the central meridian (-87) grid north lies clockwise of true north. 1.67 degrees at longitude -84.2 by
    # (longitude - central meridian) sin(latitude); and by walking due north and looking at the grid.
    site = site_of(JACKSBORO)
    east, north = site.to_site(36.6, -84.2)
    assert math.degrees(site.convergence(east, north)) == pytest.approx(2.8 * math.sin(math.radians(36.6)), abs=0.01)
    assert math.degrees(site.convergence(east, north)) == pytest.approx(1.67, abs=0.01)
    further_east, further_north = site.to_site(36.601, -84.2)
    grid_azimuth_of_true_north = math.atan2(further_east - east, further_north - north)
    assert grid_azimuth_of_true_north == pytest.approx(-site.convergence(east, north), abs=1e-6)


def test_a_frontage_across_two_zones_is_carried_by_one_and_lengths_stay_true():
    points = np.array([[49.0, 35.95], [49.02, 36.05]])  # 36 E parts zones 36 and 37
    site = site_of(points)
    (east0, north0), (east1, north1) = (site.to_site(*point) for point in points)
    _, _, true_length = pyproj.Geod(ellps="WGS84").inv(35.95, 49.0, 36.05, 49.02)
    assert math.hypot(east1 - east0, north1 - north0) == pytest.approx(true_length, rel=2e-3)


@pytest.mark.parametrize(
    ("crs", "reason"),
    [
        ("EPSG:4326", "not projected"),
        ("EPSG:2274", "US survey foot"),  # Tennessee, feet
        ("EPSG:32636", "stretches lengths|does not reach"),  # a zone on the other side of the earth
        ("EPSG:999999", "not a coordinate reference system"),
        ("EPSG:3857", "stretches lengths"),  # web mercator: 24 % too long here
    ],
)
def test_a_crs_that_cannot_carry_the_site_is_refused_with_the_reason(crs, reason):
    with pytest.raises(EarthError, match=reason):
        site_of(JACKSBORO, crs)


def test_the_poles_need_a_crs_of_their_own():
    with pytest.raises(EarthError, match=r"site\.crs"):
        site_of(np.array([[85.0, 10.0], [85.1, 10.0]]))
