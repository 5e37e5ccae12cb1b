import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.earth import drop
from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import minimum_visible_height, visible
from reference import clearance

CELL = 10.0


def flat(rows=60, cols=60, height=0.0):
    return np.full((rows, cols), height)


def middle(index):
    return (index + 0.5) * CELL


def test_a_wall_hides_exactly_the_ground_in_its_shadow():
    # Eye 10 m over flat ground at column 5; a wall 6 m high in column 20, 150 m away. The line over its top falls 4 m
    # in 150 m and meets the ground after 375 m; along the row through the eye (whole cells) the shadow is columns
    # 21 to 42.
    ground = flat()
    ground[:, 20] = 6.0
    terrain = Terrain.from_array(ground, CELL)
    eye = (middle(5), middle(30), 10.0)
    seen = visible(terrain, eye, 0.0, 600.0, refraction=1.0)
    row = seen.values[30 - seen.row]
    columns = np.arange(seen.col, seen.col + len(row))
    hidden = set(columns[~row & (np.abs(columns - 5) * CELL <= 590.0)])
    assert hidden == set(range(21, 43)) - {c for c in range(21, 43) if (c - 5) * CELL >= 375.0}


def test_a_target_stands_out_of_the_shadow_by_what_similar_triangles_say():
    ground = flat()
    ground[:, 20] = 6.0
    terrain = Terrain.from_array(ground, CELL)
    heights = minimum_visible_height(terrain, (middle(5), middle(30), 10.0), 600.0, refraction=1.0)
    for col in (22, 30, 40):
        # The line from 10 m over the eye through 6 m at 150 m, at the target's distance.
        expected = 10.0 - 4.0 * (col - 5) / 15.0
        assert heights.values[30 - heights.row, col - heights.col] == pytest.approx(expected)
    assert heights.values[30 - heights.row, 50 - heights.col] == 0.0


def test_the_targets_height_never_enters_the_horizon():
    # A target height that lifted the terrain too would let a tall target hide another one behind it.
    ground = flat()
    ground[:, 20] = 6.0
    terrain = Terrain.from_array(ground, CELL)
    low = visible(terrain, (middle(5), middle(30), 10.0), 0.0, 500.0)
    high = visible(terrain, (middle(5), middle(30), 10.0), 50.0, 500.0)
    assert (high.values >= low.values)[:, :45].all()


def test_curvature_hides_a_far_flat_plain_at_the_horizon_of_facts():
    # An eye at 2 m sees flat ground to 5.412 km with optical refraction and 5.829 km with radio's.
    terrain = Terrain.from_array(flat(3, 700), CELL)
    for refraction, horizon in ((0.13, 5412.0), (0.25, 5829.0)):
        seen = visible(terrain, (middle(0), middle(1), 2.0), 0.0, 6800.0, refraction=refraction)
        far = seen.col + np.flatnonzero(seen.values[1 - seen.row]).max()
        assert (far * CELL) == pytest.approx(horizon, abs=15.0)
    assert visible(terrain, (middle(0), middle(1), 2.0), 0.0, 6800.0, refraction=1.0).values[1, :680].all()


def test_beyond_the_horizon_a_target_must_be_as_tall_as_the_drop_says():
    terrain = Terrain.from_array(flat(3, 1100), CELL)
    heights = minimum_visible_height(terrain, (middle(0), middle(1), 2.0), 11_000.0)
    # The grazing line touches the ground at 5412 m; from there to 10 km the ground falls away by the drop over the
    # rest.
    assert heights.values[1 - heights.row, 1000 - heights.col] == pytest.approx(drop(10_000.0 - 5412.0), rel=5e-3)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    x=st.floats(0.6, 11.4),
    y=st.floats(0.6, 11.4),
    on_grid=st.booleans(),
    above=st.floats(0.1, 30.0),
    target=st.floats(0.0, 20.0),
    refraction=st.sampled_from([0.13, 0.25, 1.0]),
    holes=st.booleans(),
)
def test_every_cell_agrees_with_the_plain_reference(seed, x, y, on_grid, above, target, refraction, holes):
    random = np.random.default_rng(seed)
    ground = random.uniform(0.0, 20.0, (12, 12))
    if holes:
        ground[random.uniform(size=ground.shape) < 0.05] = np.nan
    if on_grid:
        x, y = math.floor(x) + 0.5, math.floor(y) + 0.5
    terrain = Terrain.from_array(ground, CELL)
    floor = float(terrain.ground(x * CELL, y * CELL))
    eye = (x * CELL, y * CELL, (floor if math.isfinite(floor) else 10.0) + above)
    seen = visible(terrain, eye, target, 1000.0, refraction=refraction)
    assert seen.values.shape == ground.shape
    for row in range(12):
        for col in range(12):
            if (row, col) == (math.floor(y), math.floor(x)):
                assert seen.values[row, col] == math.isfinite(ground[row, col])
                continue
            top = ground[row, col] + target
            least = (
                clearance(ground, CELL, eye, (middle(col), middle(row), top), refraction)
                if math.isfinite(top)
                else math.nan
            )
            if math.isnan(least):
                assert not seen.values[row, col]
            elif abs(least) > 1e-6:
                assert seen.values[row, col] == (least > 0.0), (row, col, least)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), pairs=st.lists(st.integers(0, 143), min_size=2, max_size=2, unique=True))
def test_a_sees_b_as_b_sees_a(seed, pairs):
    ground = np.random.default_rng(seed).uniform(0.0, 20.0, (12, 12))
    terrain = Terrain.from_array(ground, CELL)
    (row_a, col_a), (row_b, col_b) = (divmod(pair, 12) for pair in pairs)
    eye_a = (middle(col_a), middle(row_a), ground[row_a, col_a] + 3.0)
    eye_b = (middle(col_b), middle(row_b), ground[row_b, col_b] + 5.0)
    if abs(clearance(ground, CELL, eye_a, eye_b)) < 1e-6:
        return
    b_from_a = visible(terrain, eye_a, 5.0, 1000.0).values[row_b, col_b]
    a_from_b = visible(terrain, eye_b, 3.0, 1000.0).values[row_a, col_a]
    assert b_from_a == a_from_b


def test_the_window_follows_the_sector_and_not_the_raster():
    terrain = Terrain.from_array(flat(400, 400), CELL)
    eye = (middle(200), middle(200), 10.0)
    east = visible(terrain, eye, 1.0, 300.0, azimuth=math.radians(90.0), hfov=math.radians(60.0))
    assert east.values.shape[0] <= 32
    assert east.values.shape[1] <= 32
    rows, cols = np.nonzero(east.values)
    off = np.degrees(np.arctan2(cols + east.col - 200, rows + east.row - 200))
    aside = (rows + east.row != 200) | (cols + east.col != 200)
    assert (np.abs(off[aside] - 90.0) <= 30.0 + 1e-6).all()
    assert np.hypot(rows + east.row - 200, cols + east.col - 200).max() * CELL <= 300.0


def test_the_range_is_slant():
    terrain = Terrain.from_array(flat(60, 60), CELL)
    seen = visible(terrain, (middle(30), middle(30), 120.0), 0.0, 130.0, refraction=1.0)  # 5-12-13
    assert seen.values[30 - seen.row, 35 - seen.col]
    assert not seen.values[30 - seen.row, 36 - seen.col]


def test_ground_behind_a_hole_is_unknown_and_not_visible():
    ground = flat()
    ground[:, 20] = np.nan
    terrain = Terrain.from_array(ground, CELL)
    eye = (middle(5), middle(30), 10.0)
    heights = minimum_visible_height(terrain, eye, 400.0)
    assert np.isnan(heights.values[30 - heights.row, 25 - heights.col])
    assert np.isnan(heights.values[30 - heights.row, 20 - heights.col])
    assert heights.values[30 - heights.row, 15 - heights.col] == 0.0
    assert not visible(terrain, eye, 100.0, 400.0).values[30 - heights.row, 25 - heights.col]


def test_an_eye_outside_the_terrain_sees_across_unknown_ground():
    terrain = Terrain.from_array(flat(), CELL)
    heights = minimum_visible_height(terrain, (-200.0, middle(30), 10.0), 500.0)
    assert heights.values.size
    assert not (heights.values == 0.0).any()


def test_the_terrain_is_not_touched():
    ground = np.random.default_rng(1).uniform(0.0, 20.0, (30, 30))
    before = ground.copy()
    visible(Terrain.from_array(ground, CELL), (150.0, 150.0, 30.0), 1.7, 200.0)
    assert (ground == before).all()


@pytest.mark.parametrize(
    "wrong",
    [{"target_agl": -1.0}, {"target_agl": math.nan}, {"max_range": -1.0}, {"max_range": math.inf}, {"hfov": math.nan}],
)
def test_what_makes_no_sense_is_refused(wrong):
    terrain = Terrain.from_array(flat(), CELL)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        visible(terrain, (100.0, 100.0, 10.0), **{"target_agl": 1.0, "max_range": 100.0, **wrong})
