import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.earth import drop
from dronewall.engine.profile import why
from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import minimum_visible_height, visible
from reference import clearance

CELL = 10.0


def walled(wall=6.0, rows=60, cols=60):
    """Flat ground at 0 with a wall in column 20."""
    ground = np.zeros((rows, cols))
    ground[:, 20] = wall
    return Terrain.from_array(ground, CELL)


def middle(index):
    return (index + 0.5) * CELL


def test_a_wall_is_the_obstacle_and_similar_triangles_say_the_rest():
    # Eye 3 m up at column 5, target 1 m up at column 40: 350 m, the wall of 6 m at 150 m. There the line is at
    # 3 - 2 * 150 / 350 m.
    profile = why(walled(), (middle(5), middle(30), 3.0), (middle(40), middle(30), 1.0), refraction=1.0)
    assert not profile.visible
    assert profile.length == pytest.approx(350.0)
    assert profile.distance[profile.tightest] == pytest.approx(150.0)
    assert profile.excess == pytest.approx(6.0 - (3.0 - 2.0 * 150.0 / 350.0))
    # From the eye over the wall's top: it rises 3 m in 150 m.
    assert profile.least_target_agl == pytest.approx(3.0 + 3.0 * 350.0 / 150.0)
    # From the target over the wall's top: it rises 5 m in 200 m.
    assert profile.least_eye_agl == pytest.approx(1.0 + 5.0 * 350.0 / 200.0)
    assert profile.horizon == profile.tightest


def test_heights_count_from_the_ground_at_either_end():
    ground = np.zeros((60, 60))
    ground[:, :10], ground[:, 20], ground[:, 35:] = 100.0, 106.0, 98.0
    terrain = Terrain.from_array(ground, CELL)
    profile = why(terrain, (middle(5), middle(30), 103.0), (middle(40), middle(30), 99.0), refraction=1.0)
    assert (profile.eye_ground_amsl, profile.target_ground_amsl) == (100.0, 98.0)
    assert profile.least_target_agl == pytest.approx(103.0 + 3.0 * 350.0 / 150.0 - 98.0)
    assert profile.least_eye_agl == pytest.approx(99.0 + 7.0 * 350.0 / 200.0 - 100.0)


def test_a_mast_and_a_target_of_those_heights_just_see_each_other():
    terrain, eye, target = walled(), (123.0, 217.0, 3.0), (431.0, 342.0, 1.0)
    profile = why(terrain, eye, target)
    for change in (1e-6, -1e-3):
        raised = why(terrain, (*eye[:2], profile.least_eye_amsl + change), target)
        taller = why(terrain, eye, (*target[:2], profile.least_target_agl + change))
        assert raised.visible == taller.visible == (change > 0.0)


def test_the_earths_curve_raises_the_middle_by_the_drop_of_half_the_way():
    terrain = Terrain.from_array(np.zeros((3, 1001)), CELL)
    ends = (middle(0), middle(1), 2.0), (middle(1000), middle(1), 2.0)
    profile = why(terrain, *ends)
    # d (D - d) (1 - k) / 2R at D / 2 of 10 km: 6.828 m / 4 (FACTS).
    assert profile.raised_amsl.max() == pytest.approx(6.828 / 4.0, abs=1e-3)
    assert profile.visible
    assert not why(terrain, (*ends[0][:2], 1.0), (*ends[1][:2], 1.0)).visible
    assert why(terrain, (*ends[0][:2], 1.0), (*ends[1][:2], 1.0), refraction=1.0).visible
    assert why(terrain, *ends, refraction=0.25).raised_amsl.max() == pytest.approx(5.886 / 4.0, abs=1e-3)


def test_beyond_the_horizon_a_target_must_reach_over_the_grazing_line():
    terrain = Terrain.from_array(np.zeros((3, 1100)), CELL)
    profile = why(terrain, (middle(0), middle(1), 2.0), (middle(1000), middle(1), 0.0))
    assert profile.distance[profile.horizon] == pytest.approx(5412.0, abs=CELL)  # the horizon of an eye at 2 m
    assert profile.least_target_agl == pytest.approx(drop(10_000.0 - 5412.0), rel=5e-3)


def test_every_crossing_with_both_families_is_there_once():
    # 3 columns and 1 row of middles strictly between; through a middle both families cross at once.
    terrain = Terrain.from_array(np.zeros((9, 9)), CELL)
    profile = why(terrain, (middle(1), middle(1), 5.0), (middle(5), middle(3), 5.0))
    assert profile.distance / profile.length == pytest.approx([0.25, 0.5, 0.75])
    aslant = why(terrain, (middle(1), middle(1), 5.0), (middle(4), middle(3), 5.0))
    assert aslant.distance / aslant.length == pytest.approx([1 / 3, 0.5, 2 / 3])
    assert (np.diff(aslant.distance) > 0.0).all()


def test_unknown_ground_is_marked_and_never_seen_across():
    ground = np.zeros((60, 60))
    ground[:, 20:22] = np.nan
    terrain = Terrain.from_array(ground, CELL)
    profile = why(terrain, (middle(5), middle(30), 30.0), (middle(40), middle(30), 30.0))
    assert profile.distance[profile.unknown] == pytest.approx([150.0, 160.0])
    assert profile.first_unknown == pytest.approx(150.0)
    assert not profile.known
    assert not profile.visible
    assert math.isnan(profile.least_target_agl)
    assert math.isnan(profile.least_eye_agl)
    assert math.isfinite(profile.least_clearance)
    assert not why(terrain, (middle(5), middle(30), 30.0), (middle(20), middle(30), 30.0)).visible
    outside = why(terrain, (-100.0, middle(30), 30.0), (middle(10), middle(30), 30.0))
    assert not outside.visible
    assert outside.first_unknown < 100.0


def test_a_place_sees_itself():
    profile = why(walled(), (205.0, 305.0, 9.0), (205.0, 305.0, 7.0))
    assert (profile.length, profile.distance.size, profile.tightest) == (0.0, 0, None)
    assert profile.visible
    assert (profile.excess, profile.least_target_agl, profile.horizon) == (0.0, 0.0, None)


def test_there_is_room_for_a_canopy_and_none_is_claimed():
    profile = why(walled(), (55.0, 305.0, 3.0), (405.0, 305.0, 1.0))
    assert profile.canopy.shape == profile.distance.shape
    assert np.isnan(profile.canopy).all()


@pytest.mark.parametrize("wrong", ["eye", "target", "refraction"])
def test_what_is_not_finite_is_refused(wrong):
    asked = {"eye": (55.0, 305.0, 3.0), "target": (405.0, 305.0, 1.0), "refraction": 0.13}
    asked[wrong] = math.nan if wrong == "refraction" else (55.0, math.nan, 3.0)
    with pytest.raises(ValueError, match=wrong):
        why(walled(), asked["eye"], asked["target"], refraction=asked["refraction"])


@st.composite
def scenes(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ground = random.uniform(0.0, 20.0, (12, 12))
    if draw(st.booleans()):
        ground[random.uniform(size=ground.shape) < 0.05] = np.nan
    x, y = draw(st.floats(0.6, 11.4)), draw(st.floats(0.6, 11.4))
    if draw(st.booleans()):
        x, y = math.floor(x) + 0.5, math.floor(y) + 0.5
    terrain = Terrain.from_array(ground, CELL)
    floor = float(terrain.ground(x * CELL, y * CELL))
    eye = (x * CELL, y * CELL, (floor if math.isfinite(floor) else 10.0) + draw(st.floats(0.1, 30.0)))
    return terrain, eye, draw(st.floats(0.0, 20.0)), draw(st.sampled_from([0.13, 0.25, 1.0]))


@settings(max_examples=40)
@given(scenes())
def test_it_agrees_with_the_plain_reference_and_the_viewshed_cell_by_cell(scene):
    terrain, eye, target_agl, refraction = scene
    seen = visible(terrain, eye, target_agl, 1000.0, refraction=refraction, exact=True)
    needed = minimum_visible_height(terrain, eye, 1000.0, refraction=refraction, exact=True)
    own = tuple(int(index) for index in terrain.cells(eye[0], eye[1]))
    for row in range(12):
        for col in range(12):
            foot = float(terrain.ground_amsl[row, col])
            target = (middle(col), middle(row), (foot if math.isfinite(foot) else 0.0) + target_agl)
            profile = why(terrain, eye, target, refraction=refraction)
            if math.isnan(foot):
                assert not profile.visible
                continue
            least = clearance(terrain.ground_amsl, CELL, eye, target, refraction)
            assert profile.least_clearance == pytest.approx(least, abs=1e-9) or math.isnan(least)
            assert profile.known == (not math.isnan(least))
            if math.isnan(least) or abs(least) > 1e-6:
                assert profile.visible == (least >= 0.0), (row, col)
                assert profile.visible == seen.values[row - seen.row, col - seen.col], (row, col)
            if (row, col) != own and profile.known:
                height = float(needed.values[row - needed.row, col - needed.col])
                assert profile.least_target_agl == pytest.approx(height, abs=2e-6)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    ends=st.lists(
        st.tuples(st.floats(6.0, 114.0), st.floats(6.0, 114.0), st.floats(0.0, 40.0)), min_size=2, max_size=2
    ),
)
def test_from_the_other_end_the_same_places_block(seed, ends):
    terrain = Terrain.from_array(np.random.default_rng(seed).uniform(0.0, 20.0, (12, 12)), CELL)
    there, back = why(terrain, *ends), why(terrain, *ends[::-1])
    if there.distance.size != back.distance.size:  # two crossings within a rounding error of each other
        return
    assert there.clearance == pytest.approx(back.clearance[::-1], abs=1e-6)
    assert there.distance == pytest.approx(back.length - back.distance[::-1], abs=1e-6)
    if abs(there.least_clearance) > 1e-6:
        assert there.visible == back.visible


def test_a_profile_is_a_record_that_does_not_change():
    profile = why(walled(), (55.0, 305.0, 3.0), (405.0, 305.0, 1.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        profile.length = 1.0
