import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall.engine.footprint import depth, footprint, step_of
from dronewall.engine.frustum import Frustum, in_view

HEIGHT = 100.0


def looking(shape="pyramid", azimuth=0.0, elevation=-90.0, hfov=60.0, vfov=40.0, near=0.0, far=5000.0, agl=HEIGHT):
    """An eye over (3000, 7000); angles in degrees."""
    angles = (math.radians(part) for part in (azimuth, elevation, 0.0, hfov, vfov))
    return Frustum("D1/cam", shape, 3000.0, 7000.0, 500.0, agl, *angles, near, far, {}, moving=True)


@pytest.mark.parametrize("azimuth", [0.0, 30.0, 90.0, 200.0])
def test_a_camera_that_looks_straight_down_has_its_rectangle_under_it(azimuth):
    frustum = looking(azimuth=azimuth)
    assert footprint(frustum) == pytest.approx((3000.0, 7000.0), abs=0.5)
    long, wide = (2.0 * HEIGHT * math.tan(math.radians(half)) for half in (20.0, 30.0))
    assert depth(frustum, frustum.azimuth) == pytest.approx(long, rel=0.01)
    assert depth(frustum, frustum.azimuth + math.pi / 2.0) == pytest.approx(wide, rel=0.01)


def test_a_camera_that_looks_ahead_has_a_trapezoid_before_it():
    frustum = looking(azimuth=90.0, elevation=-50.0)
    near, far = HEIGHT / math.tan(math.radians(70.0)), HEIGHT / math.tan(math.radians(30.0))
    # How wide it is where its lower and its upper edge meet the ground: half the picture's width at their distance.
    half = [HEIGHT / math.sin(math.radians(down)) * math.cos(math.radians(20.0)) * math.tan(math.radians(30.0))
            for down in (70.0, 30.0)]  # fmt: skip
    area = (far - near) * (half[0] + half[1])
    assert depth(frustum, frustum.azimuth) == pytest.approx(area / (2.0 * half[1]), rel=0.02)
    middle = near + (far - near) * (half[0] + 2.0 * half[1]) / (3.0 * (half[0] + half[1]))
    assert footprint(frustum) == pytest.approx((3000.0 + middle, 7000.0), abs=1.0)


@given(
    st.sampled_from(["pyramid", "sector"]), st.floats(0.0, 360.0), st.floats(-90.0, 20.0), st.floats(10.0, 120.0),
    st.floats(10.0, 100.0), st.sampled_from([0.0, 130.0]),
)  # fmt: skip
def test_the_footprint_is_the_middle_of_the_ground_that_is_in_view(shape, azimuth, elevation, hfov, vfov, near):
    frustum = looking(shape, azimuth, elevation, hfov, vfov, near, far=300.0)
    ways = np.arange(-300.0, 300.1, 2.0)
    east, north = np.meshgrid(ways, ways)
    seen = in_view(frustum, east, north, np.full(east.shape, -HEIGHT))
    found = footprint(frustum)
    if seen.sum() < 500:
        return
    assert found == pytest.approx((3000.0 + east[seen].mean(), 7000.0 + north[seen].mean()), abs=4.0)
    course = 0.7
    across = east[seen] * math.cos(course) - north[seen] * math.sin(course)
    area = 4.0 * seen.sum()
    assert depth(frustum, course) == pytest.approx(area / (across.max() - across.min()), rel=0.1)


def test_a_beam_of_a_tenth_of_a_degree_has_a_footprint_too():
    beam = looking(azimuth=77.7, elevation=-45.0, hfov=0.1, vfov=0.1)
    east, north = HEIGHT * math.sin(beam.azimuth), HEIGHT * math.cos(beam.azimuth)
    assert footprint(beam) == pytest.approx((3000.0 + east, 7000.0 + north), abs=0.1)
    # .1 degree at 141 m of slant range, drawn out by 1 / sin 45 degrees.
    slant = HEIGHT * math.sqrt(2.0)
    assert depth(beam, beam.azimuth) == pytest.approx(slant * math.sqrt(2.0) * math.radians(0.1), rel=0.02)


@pytest.mark.parametrize(
    "frustum",
    [
        looking(elevation=60.0),
        looking(far=90.0),
        looking(agl=None),
        looking(agl=-3.0),
        looking("sector", elevation=40.0),
    ],
)
def test_who_sees_no_ground_has_no_footprint(frustum):
    assert footprint(frustum) is None
    assert depth(frustum, 0.0) == 0.0
    assert step_of([(frustum, frustum)], 1.0, 10.0) == math.inf


def moved(frustum, metres, **more):
    return dataclasses.replace(frustum, north=frustum.north + metres, **more)


def test_in_a_step_a_footprint_moves_an_eighth_of_its_length_or_a_cell():
    frustum = looking(vfov=90.0, agl=500.0, hfov=90.0)  # 1000 m long
    assert step_of([(frustum, moved(frustum, 20.0))], 1.0, 10.0) == pytest.approx(1000.0 / 8.0 / 20.0, rel=0.01)
    small = looking(vfov=20.0)  # 35 m long
    assert step_of([(small, moved(small, 5.0))], 0.5, 10.0) == pytest.approx(10.0 / 10.0, rel=0.01)


def test_a_sweeping_camera_needs_shorter_steps_and_one_held_on_a_point_those_that_turn_its_view_by_little():
    frustum = looking(elevation=-30.0, vfov=20.0, hfov=30.0)
    _, north = footprint(frustum)
    distance = north - 7000.0
    turn = 0.01
    swept = dataclasses.replace(frustum, azimuth=turn)
    expected = depth(frustum, math.pi / 2.0) / 8.0 / (distance * turn)
    assert step_of([(frustum, swept)], 1.0, 1.0) == pytest.approx(expected, rel=0.03)
    # From due south of the point to as far west of it, half a metre on: what it sees stays where it is.
    held = dataclasses.replace(frustum, east=frustum.east - 0.5, azimuth=math.atan2(0.5, distance))
    assert step_of([(frustum, held)], 0.1, 1.0) == pytest.approx(math.hypot(distance, HEIGHT) / 4.0 / 5.0, rel=0.03)


def test_one_turn_at_a_waypoint_shortens_no_step():
    frustum = looking(elevation=-45.0)
    steady = (frustum, moved(frustum, 12.0))
    leap = (frustum, moved(frustum, 12.0, azimuth=math.pi))
    assert step_of([steady] * 19 + [leap], 1.0, 10.0) == step_of([steady], 1.0, 10.0)
    assert step_of([], 1.0, 10.0) == math.inf
    assert step_of([(frustum, frustum)], 1.0, 10.0) == math.inf
