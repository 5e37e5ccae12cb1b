import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall.engine.frustum import Frustum, axes, elevations, in_view, outline, sweep


def frustum(shape="sector", azimuth=0.0, elevation=0.0, roll=0.0, hfov=60.0, vfov=40.0, near=0.0, far=1000.0, agl=10.0):
    """Angles in degrees; the eye at the origin."""
    a, e, r, h, v = (math.radians(angle) for angle in (azimuth, elevation, roll, hfov, vfov))
    return Frustum("P1/cam", shape, 0.0, 0.0, 100.0, agl, a, e, r, h, v, near, far, {})


def direction(azimuth, elevation=0.0, distance=100.0):
    a, e = math.radians(azimuth), math.radians(elevation)
    return distance * math.sin(a) * math.cos(e), distance * math.cos(a) * math.cos(e), distance * math.sin(e)


@pytest.mark.parametrize("shape", ["sector", "pyramid"])
@pytest.mark.parametrize(
    ("azimuth", "ahead"), [(0.0, (0.0, 100.0)), (90.0, (100.0, 0.0)), (180.0, (0.0, -100.0)), (270.0, (-100.0, 0.0))]
)
def test_a_sensor_looks_at_its_compass_point_and_nowhere_else(shape, azimuth, ahead):
    looking = frustum(shape, azimuth)
    assert in_view(looking, *ahead, 0.0)
    assert not in_view(looking, -ahead[0], -ahead[1], 0.0)
    assert in_view(looking, *direction(azimuth + 29.9))
    assert in_view(looking, *direction(azimuth - 29.9))
    assert not in_view(looking, *direction(azimuth + 30.1))
    assert not in_view(looking, *direction(azimuth - 30.1))
    assert in_view(looking, *direction(azimuth, 19.9))
    assert not in_view(looking, *direction(azimuth, 20.1))
    assert not in_view(looking, *direction(azimuth, -20.1))


def test_a_camera_that_looks_straight_down_sees_its_rectangle():
    # From 100 m: 2 * 100 tan(20) = 72.8 m across, 2 * 100 tan(15) = 53.6 m along. Its up side is at its azimuth.
    down = frustum("pyramid", azimuth=0.0, elevation=-90.0, hfov=40.0, vfov=30.0)
    half_across, half_along = 100.0 * math.tan(math.radians(20.0)), 100.0 * math.tan(math.radians(15.0))
    for east in (-1, 1):
        for north in (-1, 1):
            assert in_view(down, east * (half_across - 0.1), north * (half_along - 0.1), -100.0)
            assert not in_view(down, east * (half_across + 0.1), north * half_along * 0.5, -100.0)
            assert not in_view(down, east * half_across * 0.5, north * (half_along + 0.1), -100.0)
    turned = frustum("pyramid", azimuth=90.0, elevation=-90.0, hfov=40.0, vfov=30.0)
    assert in_view(turned, half_along - 0.1, half_across - 0.1, -100.0)
    assert not in_view(turned, half_across - 0.1, 0.0, -100.0)


def test_roll_turns_the_picture_clockwise_seen_from_behind():
    # Right side down: what was at the right edge (30 degrees right) now needs to be below.
    rolled = frustum("pyramid", roll=90.0, hfov=60.0, vfov=10.0)
    assert in_view(rolled, 0.0, 100.0, -50.0)
    assert in_view(rolled, 0.0, 100.0, 50.0)
    assert not in_view(rolled, 50.0, 100.0, 0.0)
    tilted = frustum("pyramid", roll=45.0, hfov=60.0, vfov=10.0)
    assert in_view(tilted, 30.0, 100.0, -30.0)
    assert not in_view(tilted, 30.0, 100.0, 30.0)


def test_the_range_gates_are_slant():
    gated = frustum("sector", hfov=360.0, vfov=180.0, near=50.0, far=130.0)
    assert in_view(gated, 50.0, 0.0, -120.0)  # 130 m by 5-12-13
    assert not in_view(gated, 50.0, 0.0, -120.1)
    assert not in_view(gated, 30.0, 0.0, 39.9)  # 50 m by 3-4-5
    assert in_view(gated, 30.0, 0.0, 40.0)


def test_a_steep_pyramid_sweeps_the_azimuths_of_facts():
    centre, width = sweep(frustum("pyramid", azimuth=70.0, elevation=-60.0, hfov=40.0, vfov=30.0))
    assert math.degrees(centre) == pytest.approx(70.0)
    assert math.degrees(width) == pytest.approx(2 * 53.6, abs=0.1)
    _, touching = sweep(frustum("pyramid", elevation=-74.999, hfov=40.0, vfov=30.0))
    assert math.degrees(touching) == pytest.approx(180.0, abs=0.1)
    _, beyond = sweep(frustum("pyramid", elevation=-75.1, hfov=40.0, vfov=30.0))
    assert math.degrees(beyond) == pytest.approx(360.0)


@given(
    azimuth=st.floats(0, 360),
    elevation=st.floats(-90, 90),
    roll=st.floats(-180, 180),
    hfov=st.floats(1, 170),
    vfov=st.floats(1, 170),
    y=st.floats(-1, 1),
    z=st.floats(-1, 1),
)
def test_nothing_that_is_in_view_lies_outside_the_sweep(azimuth, elevation, roll, hfov, vfov, y, z):
    looking = frustum("pyramid", azimuth, elevation, roll, hfov, vfov)
    boresight, right, up = looking.axes()
    ray = boresight + y * math.tan(looking.hfov / 2.0) * right + z * math.tan(looking.vfov / 2.0) * up
    ray *= 100.0 / np.linalg.norm(ray)
    assert in_view(looking, *ray)
    centre, width = sweep(looking)
    if math.hypot(ray[0], ray[1]) > 1e-6:
        off = (math.atan2(ray[0], ray[1]) - centre + math.pi) % math.tau - math.pi
        assert abs(off) <= width / 2.0 + 1e-6


@given(azimuth=st.floats(0, 360), elevation=st.floats(-90, 90), roll=st.floats(-180, 180))
def test_the_sensors_axes_are_square_and_right_handed(azimuth, elevation, roll):
    boresight, right, up = frustum("pyramid", azimuth, elevation, roll).axes()
    assert np.stack((boresight, right, up)) @ np.stack((boresight, right, up)).T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.cross(right, boresight) == pytest.approx(up, abs=1e-12)


@given(st.floats(-10.0, 10.0), st.floats(-1.6, 1.6), st.floats(-4.0, 4.0))
def test_axes_of_many_poses_are_those_of_each_and_turn_about_the_boresight(azimuth, elevation, roll):
    turns, tilts = np.array([0.0, 0.1, -2.0]), np.array([0.0, -0.2])
    many = axes(azimuth + turns[:, None, None], elevation + tilts[:, None], roll + tilts)
    assert many.shape == (3, 2, 2, 3, 3)
    for i, turn in enumerate(turns):
        for j, tilt in enumerate(tilts):
            for k, lean in enumerate(tilts):
                a, e, r = azimuth + turn, elevation + tilt, roll + lean
                ahead = np.array([math.sin(a) * math.cos(e), math.cos(a) * math.cos(e), math.sin(e)])
                level = np.array([math.cos(a), -math.sin(a), 0.0])
                right = level * math.cos(r) + np.cross(ahead, level) * math.sin(r)  # Rodrigues, clockwise from behind
                expected = np.stack((ahead, right, np.cross(right, ahead)))
                assert np.abs(many[i, j, k] - expected).max() < 1e-14


def test_the_outline_of_a_camera_that_looks_down_is_its_rectangle_on_flat_ground():
    ring = outline(frustum("pyramid", elevation=-90.0, hfov=40.0, vfov=30.0, agl=100.0))
    assert np.abs(ring).max(axis=0) == pytest.approx(
        [100.0 * math.tan(math.radians(20.0)), 100.0 * math.tan(math.radians(15.0))]
    )


def test_the_outline_of_a_sector_is_a_wedge_from_the_eye_to_the_range():
    ring = outline(frustum(azimuth=90.0, hfov=60.0, far=1000.0))
    assert (ring[0] == ring[-1]).all()
    assert ring[0] == pytest.approx([0.0, 0.0])
    assert np.hypot(*ring[1:-1].T) == pytest.approx(1000.0)
    assert ring[1] == pytest.approx([1000.0 * math.sin(math.radians(60.0)), 500.0])


@pytest.mark.parametrize("shape", ["pyramid", "sector"])
def test_the_elevations_in_an_azimuth_are_those_that_are_in_view(shape):
    random = np.random.default_rng(5)
    for _ in range(60):
        angles = [random.uniform(*span) for span in ((0, 360), (-86, 86), (-57, 57), (10, 140), (10, 115))]
        looking = frustum(shape, *angles)
        azimuth = looking.azimuth + random.uniform(-1.5, 1.5)
        steps = np.linspace(-math.pi / 2.0, math.pi / 2.0, 2001)[1:-1]
        flat = 100.0 * np.cos(steps)
        inside = in_view(looking, flat * math.sin(azimuth), flat * math.cos(azimuth), 100.0 * np.sin(steps))
        edges = elevations(looking, azimuth)
        if edges is None:
            assert not inside.any()
            continue
        sure = np.minimum(np.abs(steps - edges[0]), np.abs(steps - edges[1])) > 1e-6
        within = (steps >= edges[0]) & (steps <= edges[1])
        assert (inside == within)[sure].all()
