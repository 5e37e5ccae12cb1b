import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dronewall.engine.frontage import Frontage


def bent(threat_left=True):
    """1000 m east, then 500 m north: a bend to the left."""
    return Frontage(np.array([[0.0, 0.0], [1000.0, 0.0], [1000.0, 500.0]]), 300.0, 100.0, threat_left)


@pytest.mark.parametrize(
    ("east", "north", "chainage", "offset"),
    [
        (200.0, 50.0, 200.0, 50.0),  # left of the first leg: the threat's side
        (200.0, -50.0, 200.0, -50.0),
        (900.0, 300.0, 1300.0, 100.0),  # left of the second leg
        (1100.0, 300.0, 1300.0, -100.0),
        (1030.0, -40.0, 1000.0, -50.0),  # outside the bend: nearest is the vertex, 3-4-5
        (-30.0, 40.0, 0.0, 50.0),  # before the start
        (960.0, 540.0, 1500.0, math.hypot(40.0, 40.0)),  # beyond the end
        (1000.0, 250.0, 1250.0, 0.0),  # on the line
    ],
)
def test_chainage_and_offset_on_a_bent_frontage(east, north, chainage, offset):
    got_chainage, got_offset = bent().locate(east, north)
    assert got_chainage == pytest.approx(chainage)
    assert got_offset == pytest.approx(offset)


@pytest.mark.parametrize(
    ("points", "front", "behind", "words"),
    [
        ([[0.0, 0.0]], 10.0, 10.0, r"shape \(1, 2\)"),
        ([[5.0, 5.0], [5.0, 5.0]], 10.0, 10.0, "points 0 m apart"),
        ([[0.0, 0.0], [5.0, math.nan]], 10.0, 10.0, "points nan m apart"),
        ([[0.0, 0.0], [5.0, 5.0]], 0.0, 0.0, "a belt 0.0 m in front"),
        ([[0.0, 0.0], [5.0, 5.0]], 20.0, -10.0, "-10.0 m behind"),
        ([[0.0, 0.0], [5.0, 5.0]], math.nan, 10.0, "a belt nan m in front"),
    ],
)
def test_a_frontage_without_length_or_depth_is_refused(points, front, behind, words):
    with pytest.raises(ValueError, match=words):
        Frontage(np.array(points), front, behind, True)


def test_a_tie_goes_to_the_smaller_chainage():
    # On the bisector inside the bend both legs are equally near: 100 m.
    chainage, offset = bent().locate(900.0, 100.0)
    assert chainage == pytest.approx(900.0)
    assert offset == pytest.approx(100.0)


def test_the_threat_on_the_right_turns_the_offsets_sign():
    _, left = bent().locate(200.0, 50.0)
    _, right = bent(threat_left=False).locate(200.0, 50.0)
    assert left == -right == 50.0


def test_lanes_stand_square_to_a_straight_frontage_and_reach_across_the_belt():
    straight = Frontage(
        np.array([[0.0, 0.0], [0.0, 2000.0]]), 300.0, 100.0, threat_left=True
    )  # going north, threat in the west
    (far, near) = straight.lanes([700.0])[0]
    assert far == pytest.approx([-300.0, 700.0])
    assert near == pytest.approx([100.0, 700.0])


def test_lanes_fan_out_at_a_bend():
    # At the vertex the chord runs from 400 m before to 400 m after: from (600, 0) to (1000, 400), azimuth 45 degrees.
    east, north = bent().normal(1000.0)
    assert (east, north) == (pytest.approx(-math.sqrt(0.5)), pytest.approx(math.sqrt(0.5)))


@given(
    st.lists(st.tuples(st.floats(-5000, 5000), st.floats(-5000, 5000)), min_size=2, max_size=6),
    st.floats(0.0, 1.0),
    st.booleans(),
)
def test_a_point_of_the_frontage_has_no_offset_and_lies_where_its_chainage_says(points, share, left):
    corners = np.array(points)
    assume((np.hypot(*np.diff(corners, axis=0).T) >= 1.0).all())
    frontage = Frontage(corners, 100.0, 100.0, left)
    east, north = frontage.at(share * frontage.length)
    chainage, offset = frontage.locate(east, north)
    assert abs(offset) < 1e-6
    # The line may cross itself: then the smaller chainage is the answer, and it is the same place.
    assert chainage <= share * frontage.length + 1e-6
    assert np.hypot(*np.subtract(frontage.at(chainage), (east, north))) < 1e-5


def test_stations_are_the_middles_of_equal_pieces_no_longer_than_asked():
    chainage = bent().stations(400.0)
    assert chainage == pytest.approx([187.5, 562.5, 937.5, 1312.5])


def test_the_belt_is_as_wide_as_its_depths():
    ring = bent().belt_outline()
    assert (ring[0] == ring[-1]).all()
    straight = Frontage(np.array([[0.0, 0.0], [2000.0, 0.0]]), 300.0, 100.0, threat_left=False).belt_outline()
    assert straight.min(axis=0) == pytest.approx([0.0, -300.0])
    assert straight.max(axis=0) == pytest.approx([2000.0, 100.0])
