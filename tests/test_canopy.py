import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.detection import Target, rate
from dronewall.engine.frustum import Frustum
from dronewall.engine.levels import rates
from dronewall.engine.profile import why
from dronewall.engine.terrain import Terrain, TerrainError
from dronewall.engine.viewshed import Window, minimum_visible_height, through_canopy, transmittance, visible

CELL, EXTINCTION = 10.0, 20.0
ROW = 15


def middle(index):
    return (index + 0.5) * CELL


def at(window, col, row=ROW):
    return float(window.values[row - window.row, col - window.col])


def wood(height, rows=31, cols=120, first=0, last=None, ground=0.0):
    """Flat ground with a canopy of one height over the columns first to last."""
    floor = np.full((rows, cols), ground)
    top = floor.copy()
    top[:, first : cols if last is None else last + 1] += height
    return Terrain.from_array(floor, CELL, canopy_amsl=top, canopy_extinction=EXTINCTION)


def share(path):
    return math.exp(-path / EXTINCTION)


def good(exact):
    """What is claimed of a share: to the rounding, or to the fan's samples (a sixteenth of the extinction's length)."""
    return {"rel": 1e-9} if exact else {"abs": 0.02}


# --- closed forms


@pytest.mark.parametrize("exact", [False, True])
def test_from_a_mast_above_the_canopy_the_path_is_what_the_line_spends_below_its_top(exact):
    # Eye 30 m, canopy 12 m, target 2 m up at distance D: of the 28 m that the line falls, 10 m are below the top.
    terrain = wood(12.0)
    seen = transmittance(terrain, (middle(5), middle(ROW), 30.0), 2.0, 1500.0, refraction=1.0, exact=exact)
    for col in (6, 8, 10, 13):
        slant = math.hypot((col - 5) * CELL, 28.0)
        assert at(seen, col) == pytest.approx(share(slant * 10.0 / 28.0), **good(exact))
    # Aslant over the grid the same holds: cell (20, 9) is 40 m east and 50 m north.
    slant = math.hypot(40.0, 50.0, 28.0)
    assert at(seen, 9, ROW + 5) == pytest.approx(share(slant * 10.0 / 28.0), **good(exact))


@pytest.mark.parametrize("exact", [False, True])
def test_under_the_canopy_all_of_the_way_counts_slant_and_both_ends_included(exact):
    seen = transmittance(wood(12.0), (middle(5) + 3.0, middle(ROW) - 2.0, 6.0), 1.0, 400.0, refraction=1.0, exact=exact)
    for col, row in ((6, ROW), (9, ROW + 3), (12, ROW - 4)):
        slant = math.hypot(middle(col) - middle(5) - 3.0, middle(row) - middle(ROW) + 2.0, 5.0)
        assert at(seen, col, row) == pytest.approx(share(slant), **good(exact))


@pytest.mark.parametrize("exact", [False, True])
def test_straight_down_the_canopy_dims_by_its_depth(exact):
    # A drone 60 m over its own cell: 12 m of canopy less the target's 2 m.
    seen = transmittance(wood(12.0), (middle(5), middle(ROW), 60.0), 2.0, 400.0, exact=exact)
    assert at(seen, 5) == pytest.approx(share(10.0))


@pytest.mark.parametrize("exact", [False, True])
def test_a_target_above_the_canopy_is_seen_from_above_it_undimmed(exact):
    seen = transmittance(wood(12.0), (middle(5), middle(ROW), 30.0), 13.0, 1000.0, refraction=1.0, exact=exact)
    assert at(seen, 60) == 1.0


@pytest.mark.parametrize("exact", [False, True])
def test_a_low_eye_sees_under_the_top_of_a_wood_as_far_in_as_the_target_stands(exact):
    # Eye and target 2 m up, the wood (12 m) from column 20 on: linear between cells it begins between 19 and 20, where
    # the line is below its top from 2/12 of that cell on.
    seen = transmittance(wood(12.0, first=20), (middle(5), middle(ROW), 2.0), 2.0, 1000.0, refraction=1.0, exact=exact)
    assert at(seen, 19) == 1.0
    for col in (20, 23, 27):
        assert at(seen, col) == pytest.approx(share((col - 19 - 2.0 / 12.0) * CELL), **good(exact))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_hedge_dims_by_its_width_to_within_a_cell(width):
    terrain = wood(500.0, first=20, last=19 + width)
    seen = transmittance(terrain, (middle(5), middle(ROW), 2.0), 2.0, 1000.0, refraction=1.0)
    path = -EXTINCTION * math.log(at(seen, 60))
    assert width * CELL == pytest.approx(path, abs=CELL)


def test_dense_wood_is_dark_behind_seven_extinctions():
    seen = transmittance(wood(12.0), (middle(5), middle(ROW), 2.0), 2.0, 1000.0, refraction=1.0, exact=True)
    assert at(seen, 5 + 13) == pytest.approx(share(130.0))
    assert at(seen, 5 + 15) == 0.0
    swept = transmittance(wood(12.0), (middle(5), middle(ROW), 2.0), 2.0, 1000.0, refraction=1.0)
    assert at(swept, 5 + 10) == pytest.approx(share(100.0), abs=1e-3)
    assert at(swept, 5 + 13) == 0.0


def test_curvature_lifts_the_canopy_into_the_line():
    # Eye and target 100 m up, 10 km apart: half way the ground is 1.71 m higher (optical). A canopy whose top is 1 m
    # below the line reaches it where d (D - d) .87 / 2R > 1.
    terrain = wood(99.0, rows=5, cols=1003)
    seen = transmittance(terrain, (middle(0), middle(2), 100.0), 100.0, 10_050.0)
    factor = 0.87 / (2.0 * 6_371_000.0)
    half = math.sqrt(10_000.0**2 / 4.0 - 1.0 / factor)
    dark = transmittance(
        Terrain.from_array(
            terrain.ground_amsl, CELL, canopy_amsl=terrain.canopy_amsl, canopy_extinction=2.0 * half
        ),
        (middle(0), middle(2), 100.0), 100.0, 10_050.0,
    )  # fmt: skip
    assert at(seen, 1000, 2) == 0.0
    assert at(dark, 1000, 2) == pytest.approx(math.exp(-1.0), rel=1e-3)


def test_the_height_for_a_transmittance_is_where_enough_of_the_line_is_above_the_top():
    # Eye 30 m, top 12 m, D = 100 m: a target at h has (12 - h) / (30 - h) of its slant range below the top.
    terrain = wood(12.0)
    eye = (middle(5), middle(ROW), 30.0)
    assert at(minimum_visible_height(terrain, eye, 1000.0, refraction=1.0), 15) == 0.0
    for wanted in (0.3, 0.5, 0.9, 1.0):
        height = at(minimum_visible_height(terrain, eye, 1000.0, refraction=1.0, transmittance=wanted), 15)
        low, high = 0.0, 12.0
        for _ in range(60):
            h = (low + high) / 2.0
            path = math.hypot(100.0, 30.0 - h) * (12.0 - h) / (30.0 - h)
            low, high = (h, high) if share(path) < wanted else (low, h)
        assert high <= height <= high + 0.05


def test_no_height_is_enough_where_the_eye_itself_is_deep_in_the_canopy():
    # 40 m of canopy over the eye leave at most exp(-2), straight up.
    heights = minimum_visible_height(wood(46.0), (middle(5), middle(ROW), 6.0), 500.0, transmittance=0.5)
    assert at(heights, 20) == math.inf


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_a_transmittance_that_is_no_share_is_refused(wrong):
    with pytest.raises(ValueError, match="transmittance"):
        minimum_visible_height(wood(12.0), (middle(5), middle(ROW), 6.0), 500.0, transmittance=wrong)


# --- surfaces


def built(height, cols=120, rows=31):
    """Flat ground with a building of two columns."""
    surface = np.full((rows, cols), np.nan)
    surface[:, 20:22] = height
    return Terrain.from_array(np.zeros((rows, cols)), CELL, surface_amsl=surface)


@pytest.mark.parametrize("exact", [False, True])
def test_a_building_hides_what_a_wall_of_its_height_does_and_its_own_inside(exact):
    terrain = built(6.0)
    ground = np.zeros((31, 120))
    ground[:, 20:22] = 6.0
    wall = Terrain.from_array(ground, CELL)
    eye = (middle(5), middle(ROW), 10.0)
    apart = np.abs(np.arange(120) - 20.5) > 1.0
    for target in (0.0, 1.7, 5.0):
        one, other = (visible(each, eye, target, 900.0, refraction=1.0, exact=exact) for each in (terrain, wall))
        assert (one.row, one.col) == (other.row, other.col)
        outside = apart[one.col : one.col + one.values.shape[1]]
        assert (one.values == other.values)[:, outside].all()
        assert not one.values[:, ~outside].any()
    heights = minimum_visible_height(terrain, eye, 900.0, refraction=1.0, exact=exact)
    # Over the roof's far edge, 16 cells away and 4 m below the eye.
    assert at(heights, 30) == pytest.approx(10.0 - 4.0 * 25.0 / 16.0, abs=1e-4)
    assert at(heights, 20) == pytest.approx(6.0)
    assert at(visible(terrain, eye, 6.5, 900.0, refraction=1.0, exact=exact), 20) == 1.0


def test_an_eye_inside_a_building_looks_out_of_its_own_place():
    # What stands in the eye's own cell is its window; the next cell of the building blocks.
    terrain = built(6.0)
    seen = visible(terrain, (middle(20), middle(ROW), 3.0), 1.0, 900.0, refraction=1.0, exact=True)
    assert at(seen, 20) == 1.0
    assert at(seen, 15) == 1.0
    assert at(seen, 25) == 0.0


def test_unknown_ground_stays_unknown_whatever_stands_on_it():
    ground = np.zeros((31, 120))
    ground[:, 20] = np.nan
    two, nine = np.full(ground.shape, 2.0), np.full(ground.shape, 9.0)
    terrain = Terrain.from_array(ground, CELL, surface_amsl=two, canopy_amsl=nine)
    eye = (middle(5), middle(ROW), 30.0)
    for window in (minimum_visible_height(terrain, eye, 500.0), transmittance(terrain, eye, 5.0, 500.0)):
        assert np.isnan(at(window, 20))
        assert np.isnan(at(window, 30))
        assert np.isfinite(at(window, 15))


def test_layers_are_cut_off_at_the_ground():
    ground = np.array([[5.0, 5.0, 5.0]])
    terrain = Terrain.from_array(ground, CELL, surface_amsl=[[3.0, np.nan, 8.0]], canopy_amsl=[[4.0, 5.0, np.nan]])
    assert terrain.surface_amsl.tolist() == [[5.0, 5.0, 8.0]]
    assert terrain.canopy_amsl is None
    assert terrain.blocks_amsl is terrain.surface_amsl
    assert Terrain.from_array(ground, CELL, surface_amsl=ground - 1.0).blocks_amsl.tolist() == ground.tolist()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"surface_amsl": np.zeros((2, 2))}, "surface_amsl has shape"),
        ({"canopy_amsl": np.full((1, 3), np.inf)}, "canopy_amsl holds inf"),
        ({"canopy_extinction": 0.0}, "canopy_extinction"),
        ({"canopy_extinction": math.nan}, "canopy_extinction"),
    ],
)
def test_layers_that_make_no_sense_are_refused(wrong, reason):
    with pytest.raises(TerrainError, match=reason):
        Terrain.from_array(np.zeros((1, 3)), CELL, **wrong)


def test_layers_are_part_of_the_digest():
    ground, top = np.zeros((3, 3)), np.full((3, 3), 9.0)
    different = [
        Terrain.from_array(ground, CELL),
        Terrain.from_array(ground, CELL, surface_amsl=top),
        Terrain.from_array(ground, CELL, canopy_amsl=top),
        Terrain.from_array(ground, CELL, canopy_amsl=top, canopy_extinction=9.0),
    ]
    assert len({terrain.digest for terrain in different}) == 4


# --- on random ground


def grown(seed, size=14):
    random = np.random.default_rng(seed)
    ground = random.uniform(0.0, 10.0, (size, size))
    tall = np.where(random.uniform(size=ground.shape) < 0.4, random.uniform(0.0, 15.0, ground.shape), 0.0)
    surface = np.where(random.uniform(size=ground.shape) < 0.1, ground + random.uniform(0.0, 9.0), np.nan)
    return ground, ground + tall, surface


def plain_path(ground, canopy, eye, target, refraction=0.13, samples=20_001):
    """The path in the canopy by brute force: the line sampled, heights linear between its crossings with the grid."""
    terrain = Terrain.from_array(ground, CELL)
    dx, dy = (target[0] - eye[0]) / CELL, (target[1] - eye[1]) / CELL
    x, y = eye[0] / CELL - 0.5, eye[1] / CELL - 0.5
    crossings = [0.0, 1.0]
    for start, step in ((x, dx), (y, dy)):
        lines = range(math.floor(min(start, start + step)), math.ceil(max(start, start + step)) + 1)
        crossings += [(line - start) / step for line in lines if step and 0.0 < (line - start) / step < 1.0]
    crossings = np.unique(np.round(crossings, 12))
    length = math.hypot(target[0] - eye[0], target[1] - eye[1])
    east, north = eye[0] + crossings * (target[0] - eye[0]), eye[1] + crossings * (target[1] - eye[1])
    raise_by = crossings * (1.0 - crossings) * length**2 * (1.0 - refraction) / (2.0 * 6_371_000.0)
    over = eye[2] + crossings * (target[2] - eye[2]) - raise_by - terrain.between(canopy, east, north)
    tall = terrain.between(canopy - ground, east, north)
    shares = np.linspace(0.0, 1.0, samples)
    inside = (np.interp(shares, crossings, over) < 0.0) & (np.interp(shares, crossings, tall) > 0.0)
    return float(inside.mean()) * math.dist(eye, target)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    x=st.floats(0.0, 14.0),
    y=st.floats(0.0, 14.0),
    on_grid=st.booleans(),
    above=st.floats(0.5, 40.0),
    target=st.floats(0.0, 25.0),
)
def test_the_share_is_that_of_the_line_sampled_by_brute_force(seed, x, y, on_grid, above, target):
    ground, canopy, _ = grown(seed)
    if on_grid:
        x, y = min(math.floor(x), 13) + 0.5, min(math.floor(y), 13) + 0.5
    terrain = Terrain.from_array(ground, CELL, canopy_amsl=canopy, canopy_extinction=100.0)
    eye = (x * CELL, y * CELL, float(terrain.ground(x * CELL, y * CELL)) + above)
    got = transmittance(terrain, eye, target, 1000.0, exact=True)
    seen = visible(terrain, eye, target, 1000.0, exact=True)
    bare = visible(Terrain.from_array(ground, CELL), eye, target, 1000.0, exact=True)
    assert (seen.values == bare.values).all()
    assert ((got.values > 0.0) == seen.values).all()
    for row, col in ((2, 11), (7, 7), (12, 1), (0, 13)):
        if seen.values[row, col]:
            end = (middle(col), middle(row), ground[row, col] + target)
            path = plain_path(ground, canopy, eye, end)
            assert -100.0 * math.log(got.values[row, col]) == pytest.approx(path, abs=0.05 + 3e-4 * path)
            assert why(terrain, eye, end).transmittance == pytest.approx(got.values[row, col], rel=1e-9)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), above=st.floats(25.0, 60.0), low=st.floats(0.0, 10.0), more=st.floats(0.0, 10.0))
def test_a_taller_target_below_the_eye_is_never_dimmer(seed, above, low, more):
    ground, canopy, surface = grown(seed)
    terrain = Terrain.from_array(ground, CELL, canopy_amsl=canopy, surface_amsl=surface)
    eye = (middle(6), middle(7), 10.0 + above)
    one, other = (transmittance(terrain, eye, height, 1000.0, exact=True).values for height in (low, low + more))
    assert (other >= one - 1e-12).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), pair=st.lists(st.integers(0, 195), min_size=2, max_size=2, unique=True))
def test_the_way_back_is_as_long_as_the_way_there(seed, pair):
    ground, canopy, _ = grown(seed)
    terrain = Terrain.from_array(ground, CELL, canopy_amsl=canopy)
    (row_a, col_a), (row_b, col_b) = (divmod(each, 14) for each in pair)
    # 12 m up nothing of the ground is in the way.
    a = (middle(col_a), middle(row_a), ground[row_a, col_a] + 12.0)
    b = (middle(col_b), middle(row_b), ground[row_b, col_b] + 12.0)
    there = transmittance(terrain, a, 12.0, 1000.0, exact=True).values[row_b, col_b]
    back = transmittance(terrain, b, 12.0, 1000.0, exact=True).values[row_a, col_a]
    if min(there, back) > 0.0:
        assert there == pytest.approx(back, rel=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), above=st.floats(16.0, 60.0), wanted=st.floats(0.05, 1.0))
def test_the_height_for_a_transmittance_gives_it_and_a_little_less_does_not(seed, above, wanted):
    ground, canopy, _ = grown(seed)
    terrain = Terrain.from_array(ground, CELL, canopy_amsl=canopy)
    eye = (middle(6), middle(7), ground[7, 6] + above)
    bare = minimum_visible_height(terrain, eye, 1000.0, exact=True).values
    heights = minimum_visible_height(terrain, eye, 1000.0, exact=True, transmittance=wanted).values
    assert (heights >= bare).all()
    for row, col in ((2, 11), (7, 7), (12, 1), (0, 13)):
        if not np.isfinite(heights[row, col]):
            continue
        exactly = heights[row, col]
        assert transmittance(terrain, eye, exactly + 1e-9, 1000.0, exact=True).values[row, col] >= wanted - 1e-9
        # Below the eye less height is never brighter.
        if exactly > bare[row, col] + 0.06 and ground[row, col] + exactly < eye[2]:
            under = transmittance(terrain, eye, exactly - 0.06, 1000.0, exact=True).values[row, col]
            assert under <= wanted


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), above=st.floats(2.0, 30.0), target=st.floats(0.0, 10.0))
def test_profile_and_viewshed_agree_where_things_are_built(seed, above, target):
    ground, canopy, surface = grown(seed)
    terrain = Terrain.from_array(ground, CELL, canopy_amsl=canopy, surface_amsl=surface)
    eye = (middle(6), middle(7), ground[7, 6] + above)
    heights = minimum_visible_height(terrain, eye, 1000.0, exact=True).values
    seen = visible(terrain, eye, target, 1000.0, exact=True).values
    for row in range(14):
        for col in range(14):
            if (row, col) == (7, 6):
                continue
            section = why(terrain, eye, (middle(col), middle(row), ground[row, col] + target))
            assert section.least_target_agl == pytest.approx(heights[row, col], abs=1e-6)
            if abs(section.least_clearance) > 1e-6:
                assert section.visible == seen[row, col]


def test_without_canopy_all_that_is_visible_is_clear():
    ground = np.random.default_rng(4).uniform(0.0, 8.0, (80, 80))
    terrain = Terrain.from_array(ground, CELL)
    eye = (middle(40) + 2.0, middle(40), 12.0)
    for exact in (False, True):
        seen = visible(terrain, eye, 1.7, 300.0, 1.0, 2.0, exact=exact)
        clear = transmittance(terrain, eye, 1.7, 300.0, 1.0, 2.0, exact=exact)
        assert (seen.row, seen.col) == (clear.row, clear.col)
        assert (clear.values == seen.values).all()


def test_nothing_that_was_given_is_changed():
    ground, canopy, surface = grown(3)
    before = [each.copy() for each in (ground, canopy, surface)]
    terrain = Terrain.from_array(ground, CELL, canopy_amsl=canopy, surface_amsl=surface)
    layers = [each.copy() for each in (terrain.ground_amsl, terrain.canopy_amsl, terrain.surface_amsl)]
    transmittance(terrain, (70.0, 70.0, 30.0), 1.7, 200.0)
    minimum_visible_height(terrain, (70.0, 70.0, 30.0), 200.0, transmittance=0.5)
    for given_, kept in zip((ground, canopy, surface), before, strict=True):
        assert np.array_equal(given_, kept, equal_nan=True)
    for used, kept in zip((terrain.ground_amsl, terrain.canopy_amsl, terrain.surface_amsl), layers, strict=True):
        assert np.array_equal(used, kept)


# --- the fan beside the march


def planted(seed, size=90):
    """Hills 20 m high with woods and hedges whose tops are uneven, some of it unknown."""
    random = np.random.default_rng(seed)
    north, east = np.mgrid[0:size, 0:size] / size
    ground, woods = np.zeros((2, size, size))
    for layer, high in ((ground, 20.0), (woods, 1.0)):
        for _ in range(4):
            wave, turn = random.uniform(2.0, 25.0), random.uniform(0.0, math.tau, 2)
            layer += high / 4.0 * np.sin(wave * (east * math.cos(turn[0]) + north * math.sin(turn[0])) + turn[1])
    tall = np.where(woods > 0.1, random.uniform(5.0, 15.0) + random.uniform(-1.0, 1.0, ground.shape), 0.0)
    tall[:, random.integers(0, size, 3)] = random.uniform(3.0, 8.0)
    canopy = np.where(random.uniform(size=ground.shape) < 0.01, np.nan, ground + tall)
    ground[random.integers(0, size, 2), random.integers(0, size, 2)] = np.nan
    return ground, canopy


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    x=st.floats(0.0, 90.0),
    y=st.floats(0.0, 90.0),
    on_grid=st.booleans(),
    above=st.floats(1.0, 50.0),
    target=st.floats(0.0, 20.0),
    cell=st.sampled_from([1.0, 5.0, 10.0, 30.0]),
    extinction=st.sampled_from([4.0, 20.0, 60.0, 400.0]),
    azimuth=st.floats(-4.0, 4.0),
    hfov=st.sampled_from([0.1, 1.0, math.tau]),
)
def test_the_fan_is_within_its_tolerance_of_the_march(
    seed, x, y, on_grid, above, target, cell, extinction, azimuth, hfov
):
    ground, canopy = planted(seed)
    if on_grid:
        x, y = min(math.floor(x), 89) + 0.5, min(math.floor(y), 89) + 0.5
    terrain = Terrain.from_array(ground, cell, canopy_amsl=canopy, canopy_extinction=extinction)
    foot = float(terrain.ground(x * cell, y * cell))
    eye = (x * cell, y * cell, (0.0 if math.isnan(foot) else foot) + above)
    needed = minimum_visible_height(terrain, eye, 70.0 * cell, azimuth, hfov)
    asked = Window(needed.row, needed.col, np.where(needed.values <= target, target, np.nan))
    one, other = (through_canopy(terrain, eye, asked, exact=exact) for exact in (False, True))
    assert (np.isnan(one) == np.isnan(asked.values)).all()
    error = np.abs(one - other)[np.isfinite(one)]
    if error.size > 300:
        # A cell that is long beside the extinction is sampled in eight pieces only.
        assert error.mean() <= 0.02 + 0.02 * min(cell / extinction, 3.0)


def hedges(seed, size=90):
    """Flat ground with ten hedges, one cell wide, along rows and columns."""
    random = np.random.default_rng(seed)
    ground, canopy = np.zeros((2, size, size))
    canopy[:, random.integers(0, size, 6)] = random.uniform(3.0, 12.0)
    canopy[random.integers(0, size, 4), :] = random.uniform(3.0, 12.0)
    return ground, canopy


@pytest.mark.parametrize("grown", [planted, hedges])
@pytest.mark.parametrize(("cell", "extinction"), [(1.0, 20.0), (5.0, 20.0), (5.0, 4.0), (30.0, 20.0)])
def test_nine_of_ten_shares_of_the_fan_are_right_to_a_fiftieth(grown, cell, extinction):
    errors = []
    for seed in range(6):
        ground, canopy = grown(seed)
        terrain = Terrain.from_array(ground, cell, canopy_amsl=canopy, canopy_extinction=extinction)
        for above in (5.0, 30.0):
            foot = float(np.nan_to_num(terrain.ground(45.3 * cell, 45.1 * cell)))
            eye = (45.3 * cell, 45.1 * cell, foot + above)
            needed = minimum_visible_height(terrain, eye, 40.0 * cell)
            asked = Window(needed.row, needed.col, np.where(needed.values <= 1.7, 1.7, np.nan))
            one, other = (through_canopy(terrain, eye, asked, exact=exact) for exact in (False, True))
            errors.append(np.abs(one - other)[np.isfinite(one)])
    assert (np.concatenate(errors) <= 0.02).mean() >= 0.9


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), above=st.floats(5.0, 50.0), wanted=st.floats(0.05, 1.0))
def test_the_heights_of_the_fan_are_neither_too_low_nor_too_high_in_the_middle(seed, above, wanted):
    ground, canopy = planted(seed)
    terrain = Terrain.from_array(ground, 5.0, canopy_amsl=canopy)
    eye = (222.0, 231.0, 25.0 + above)
    bare = minimum_visible_height(terrain, eye, 220.0).values
    one, other = (
        minimum_visible_height(terrain, eye, 220.0, exact=exact, transmittance=wanted).values for exact in (False, True)
    )
    assert (one >= bare)[np.isfinite(bare)].all()
    assert (np.isnan(one) == np.isnan(bare)).all()
    both = np.isfinite(one) & np.isfinite(other)
    assert abs(float(np.median(one[both] - other[both]))) <= 0.1


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), low=st.floats(0.0, 10.0), more=st.floats(0.0, 10.0), thin=st.floats(1.0, 4.0))
def test_the_fan_too_gives_taller_targets_and_thinner_woods_more_light(seed, low, more, thin):
    ground, canopy = planted(seed)
    eye = (222.0, 231.0, 60.0)
    terrain, thinner = (
        Terrain.from_array(ground, 5.0, canopy_amsl=canopy, canopy_extinction=20.0 * factor) for factor in (1.0, thin)
    )
    base = transmittance(terrain, eye, low, 220.0).values
    seen = base > 0.0
    for clear in (transmittance(terrain, eye, low + more, 220.0), transmittance(thinner, eye, low, 220.0)):
        less = (base - clear.values)[seen]
        assert (less <= 0.02).mean() >= 0.98


def test_what_the_fan_is_not_asked_it_leaves_alone():
    terrain = wood(12.0, first=20)
    asked = Window(0, 0, np.full((31, 120), np.nan))
    assert np.isnan(through_canopy(terrain, (middle(5), middle(ROW), 30.0), asked)).all()
    asked.values[ROW, 60] = 2.0
    found = through_canopy(terrain, (middle(5), middle(ROW), 30.0), asked, refraction=1.0)
    slant = math.hypot(550.0, 28.0)
    assert np.isnan(found).sum() == found.size - 1
    assert found[ROW, 60] == pytest.approx(share(slant * 10.0 / 28.0), abs=1e-3)


# --- detection

WALKER = Target("walker", 0.0, 2.0, 0.5, 1.4)
MODELS = {
    "camera": {"kind": "camera", "pixels": 1920, "n50": 1.0, "glimpse_s": 2.0},
    "table": {"kind": "table", "range_m": [1.0, 900.0], "probability": [0.999, 0.999], "glimpse_s": 1.0},
    "acoustic": {
        "kind": "acoustic", "frequency_hz": 1000, "threshold_db": 6.0, "sigma_db": 6.0, "self_noise_db": 30.0,
        "glimpse_s": 1.0,
    },
}  # fmt: skip


def sensor(kind, **errors):
    return Frustum(
        "P1/cam", "sector", middle(5), middle(ROW), 1.0, 1.0, math.pi / 2.0, 0.0, 0.0, math.radians(60.0), 1.0, 0.0,
        900.0, MODELS[kind], **errors,
    )  # fmt: skip


def test_the_canopy_multiplies_the_probability_before_the_logarithm():
    # FACTS: p .999 behind T .1 is a rate of .105, not .69. Eye and the walker's middle are 1 m up: D inside.
    terrain = Terrain.from_array(
        np.zeros((31, 120)), CELL, canopy_amsl=np.full((31, 120), 12.0), canopy_extinction=100.0 / math.log(10.0)
    )
    window = rate(terrain, sensor("table"), WALKER)
    assert at_rate(window.rate, window, 15) == pytest.approx(-math.log(1.0 - 0.0999), rel=1e-3)
    assert at_rate(window.ceiling, window, 15) == pytest.approx(0.1, rel=1e-3)
    (expected, assured), = rates(terrain, sensor("table"), [WALKER], 0.9)  # fmt: skip
    assert at_rate(expected.rate, expected, 15) == pytest.approx(at_rate(window.rate, window, 15))
    assert at_rate(assured.ceiling, assured, 15) == pytest.approx(0.1, rel=1e-3)


def at_rate(values, window, col):
    return float(values[ROW - window.row, col - window.col])


def test_sound_passes_a_canopy_and_light_does_not():
    open_air = Terrain.from_array(np.zeros((31, 120)), CELL)
    for kind, dimmed in (("camera", True), ("acoustic", False)):
        one, other = (rate(terrain, sensor(kind), WALKER) for terrain in (open_air, wood(12.0)))
        assert at_rate(one.rate, one, 10) > 0.0
        assert (at_rate(other.rate, other, 10) < at_rate(one.rate, one, 10)) == dimmed


def test_assured_is_never_more_than_expected_under_a_canopy():
    # A mast a little above the canopy: a few decimetres less of it are a much longer way through it.
    terrain = wood(6.0, first=8)
    errors = {"azimuth_sigma": 0.01, "tilt_sigma": 0.01, "position_sigma": 2.0, "height_sigma": 0.3}
    frustum = Frustum(
        "P1/cam", "sector", middle(5), middle(ROW), 8.0, 8.0, math.pi / 2.0, 0.0, 0.0, math.radians(60.0), 2.0, 0.0,
        900.0, MODELS["table"], **errors,
    )  # fmt: skip
    exact = rate(terrain, frustum, WALKER)
    ((expected, assured),) = rates(terrain, frustum, [WALKER], 0.9)
    columns = range(9, 25)
    for col in columns:
        assert at_rate(assured.rate, assured, col) <= at_rate(expected.rate, expected, col) + 1e-9
    assert any(at_rate(assured.rate, assured, c) < 0.9 * at_rate(exact.rate, exact, c) for c in columns)
