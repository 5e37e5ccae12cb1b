import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall.engine.patrol import Route, times

SQUARE = np.array([[0.0, 0.0], [0.0, 100.0], [100.0, 100.0], [100.0, 0.0]])


@pytest.mark.parametrize(
    ("time", "place", "azimuth"),
    [
        (0.0, (0.0, 0.0), 0.0),
        (5.0, (0.0, 50.0), 0.0),
        (15.0, (50.0, 100.0), 90.0),
        (25.0, (100.0, 50.0), 180.0),
        (35.0, (50.0, 0.0), 270.0),
    ],
)
def test_a_loop_is_flown_leg_by_leg(time, place, azimuth):
    east, north, course = Route(SQUARE, True, 10.0).at(time)
    assert (east, north) == pytest.approx(place)
    assert math.degrees(course) == pytest.approx(azimuth)


def test_a_loop_takes_its_length_over_its_speed_and_a_shuttle_twice_its_way():
    assert Route(SQUARE, True, 10.0).cycle == pytest.approx(40.0)
    assert Route(SQUARE[:2], False, 10.0).cycle == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("waypoints", "speed", "start", "words"),
    [
        (SQUARE[:1], 10.0, 0.0, r"shape \(1, 2\)"),
        (SQUARE[[0, 1, 1]], 10.0, 0.0, "a leg of 0 m"),
        (SQUARE[[0, 1, 2, 0]], 10.0, 0.0, "a leg of 0 m"),  # the loop closes by itself
        (SQUARE * math.nan, 10.0, 0.0, "a leg of nan m"),
        (SQUARE, 0.0, 0.0, "speed is 0"),
        (SQUARE, math.inf, 0.0, "speed is inf"),
        (SQUARE, 10.0, math.nan, "start is nan"),
    ],
)
def test_a_route_that_cannot_be_flown_is_refused(waypoints, speed, start, words):
    with pytest.raises(ValueError, match=words):
        Route(waypoints, True, speed, start)


def test_a_shuttle_turns_round():
    shuttle = Route(SQUARE[:2], False, 10.0)
    assert shuttle.at(12.0) == (pytest.approx(0.0), pytest.approx(80.0), pytest.approx(math.pi))


def test_a_staggered_start_is_a_later_time():
    assert Route(SQUARE, True, 10.0, start=7.0).at(1.0) == pytest.approx(Route(SQUARE, True, 10.0).at(8.0))


@given(st.floats(0.0, 1000.0), st.integers(-3, 3), st.booleans())
def test_after_a_cycle_everything_is_as_it_was(time, cycles, loop):
    route = Route(SQUARE, loop, 7.0)
    first, later = route.at(time), route.at(time + cycles * route.cycle)
    assert np.hypot(first[0] - later[0], first[1] - later[1]) < 1e-6


@given(st.floats(0.0, 39.0))
def test_the_times_of_a_cycle_hold_every_waypoint_and_leave_no_long_pause(start):
    route = Route(SQUARE, True, 10.0, start)
    all_times = np.array(times(route, 3.0))
    assert all_times[0] == 0.0
    assert all_times[-1] == pytest.approx(route.cycle)
    assert np.diff(all_times).max() <= 3.0 + 1e-9
    assert np.diff(all_times).min() > 0.0
    flown = {(round(east), round(north)) for east, north, _ in map(route.at, all_times)}
    assert {tuple(corner) for corner in SQUARE.astype(int).tolist()} <= flown
