import dataclasses
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.detection import Target, rate
from dronewall.engine.field import UNIT, Field, glance
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import stations
from dronewall.engine.levels import box_of, heading_draws, rates
from dronewall.engine.terrain import Terrain

CELL = 10.0
SIZE = 161
EYE = 805.0  # the middle of a cell, in the middle of the terrain
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.4)
CAMERA = {"kind": "camera", "pixels": 1920, "n50": 1.0, "glimpse_s": 2.0}
SURE = {"kind": "table", "range_m": [0.0, 5000.0], "probability": [0.9, 0.9], "glimpse_s": 1.0}
POST = {"azimuth_sigma": math.radians(3.0), "tilt_sigma": math.radians(0.5), "position_sigma": 1.0, "height_sigma": 0.3}
DRONE = {
    "azimuth_sigma": math.radians(3.0),
    "tilt_sigma": math.radians(2.0),
    "position_sigma": 3.0,
    "height_sigma": 3.0,
}
LINE = Frontage(np.array([[300.0, 900.0], [1300.0, 1000.0]]), 250.0, 150.0, True)


def flat(le90=math.nan):
    return dataclasses.replace(Terrain.from_array(np.zeros((SIZE, SIZE)), CELL), le90=le90, posting=90.0)


def hills(le90=math.nan):
    """Rolling ground, some 20 m from the lowest to the highest point."""
    random = np.random.default_rng(3)
    north, east = np.mgrid[:SIZE, :SIZE] * CELL
    ground = np.zeros((SIZE, SIZE))
    for _ in range(12):
        turn, length, phase = random.uniform(0.0, math.tau), random.uniform(150.0, 700.0), random.uniform(0.0, math.tau)
        ground += 3.0 * np.sin((east * math.cos(turn) + north * math.sin(turn)) / length * math.tau + phase)
    return dataclasses.replace(Terrain.from_array(ground, CELL), le90=le90, posting=90.0)


def sensor(
    terrain, shape="pyramid", *, azimuth=70.0, elevation=-1.0, roll=0.0, hfov=40.0, vfov=25.0, far=700.0, agl=6.0,
    model=CAMERA, **more,
):  # fmt: skip
    angles = (math.radians(angle) for angle in (azimuth, elevation, roll, hfov, vfov))
    amsl = float(terrain.ground(EYE, EYE)) + agl
    return Frustum("P1/a", shape, EYE, EYE, amsl, agl, *angles, 0.0, far, model, **more)


def drawn(terrain, frustum, random):
    """The terrain and the frustum as they may be in truth: every error drawn from the normal distribution that the
    report and the terrain state.
    """
    east, north = (place + random.normal() * frustum.position_sigma for place in (frustum.east, frustum.north))
    up = random.normal() * frustum.height_sigma
    amsl = frustum.eye_amsl + up
    if not frustum.moving:  # a mast takes its height with it
        amsl += float(terrain.ground(east, north)) - float(terrain.ground(frustum.east, frustum.north))
    turned = dataclasses.replace(
        frustum,
        east=east,
        north=north,
        eye_amsl=amsl,
        azimuth=frustum.azimuth + random.normal() * frustum.azimuth_sigma,
        elevation=frustum.elevation + random.normal() * frustum.tilt_sigma,
        roll=frustum.roll + random.normal() * frustum.tilt_sigma,
    )
    if math.isnan(terrain.le90):
        return terrain, turned
    columns, lines = terrain.centres
    ramp = np.minimum(np.hypot(columns - frustum.east, lines[:, None] - frustum.north) / terrain.posting, 1.0)
    lifted = terrain.ground_amsl + random.normal() * terrain.le90 / NormalDist().inv_cdf(0.95) * ramp
    return dataclasses.replace(terrain, ground_amsl=lifted), turned


def spread(terrain, window, values):
    whole = np.zeros(terrain.shape)
    whole[window.slices] = values
    return whole


def field_of(terrain, *windows):
    field = Field(terrain.shape)
    for number, window in enumerate(windows):
        field.add(f"P{number}/a", window)
    return field


def crossing(terrain, *windows):
    return stations(terrain, LINE, field_of(terrain, *windows), WALKER, look_s=10.0)


def carlo(terrain, frustum, trials):
    """Means over `trials` drawn truths (seed 1): P_look per cell, and the lanes' probabilities."""
    random = np.random.default_rng(1)
    look, lane = np.zeros(terrain.shape), 0.0
    for _ in range(trials):
        truth = rate(*drawn(terrain, frustum, random), WALKER)
        look[truth.slices] += glance(truth.rate, truth.ceiling, 10.0) / trials
        lane = lane + crossing(terrain, truth).lane_p / trials
    return look, lane


def off_axis(frustum):
    """Angle from the boresight's azimuth, and distance, of the cells' middles."""
    east, north = np.meshgrid((np.arange(SIZE) + 0.5) * CELL - EYE, (np.arange(SIZE) + 0.5) * CELL - EYE)
    off = (np.arctan2(east, north) - frustum.azimuth + math.pi) % math.tau - math.pi
    return off, np.hypot(east, north)


@pytest.mark.parametrize("shape", ["pyramid", "sector"])
@pytest.mark.parametrize("le90", [math.nan, 0.0])
def test_without_errors_both_levels_are_what_was_reported(shape, le90):
    terrain = hills(le90)
    frustum = sensor(terrain, shape)
    ((expected, assured),) = rates(terrain, frustum, [WALKER], 0.9)
    reported = rate(terrain, frustum, WALKER)
    assert reported.rate.any()
    for level in (expected, assured):
        assert (level.row, level.col, level.duty) == (reported.row, reported.col, reported.duty)
        assert (level.rate == reported.rate).all()
        assert (level.ceiling == reported.ceiling).all()
        assert (level.unknown == reported.unknown).all()
        assert (crossing(terrain, level).lane_p == crossing(terrain, reported).lane_p).all()


@pytest.mark.parametrize("shape", ["pyramid", "sector"])
def test_a_beam_of_two_degrees_with_a_heading_error_of_three_keeps_a_quarter_of_its_rate(shape):
    # FACTS: half field 1 degree, sigma 3 degrees: .26 on the axis.
    terrain = flat()
    frustum = sensor(terrain, shape, azimuth=90.0, hfov=2.0, model=SURE, azimuth_sigma=math.radians(3.0))
    ((expected, assured),) = rates(terrain, frustum, [WALKER], 0.9)
    on_axis = spread(terrain, expected, expected.rate)[80, 120]
    assert on_axis / -math.log(0.1) == pytest.approx(0.26, abs=0.005)
    assert not assured.rate.any()


@pytest.mark.parametrize("shape", ["pyramid", "sector"])
@pytest.mark.parametrize(("half", "sigma"), [(20.0, 3.0), (20.0, 0.5), (5.0, 4.0), (60.0, 10.0)])
def test_a_heading_error_softens_both_edges(shape, half, sigma):
    terrain = flat()
    errors = {"azimuth_sigma": math.radians(sigma)}
    frustum = sensor(terrain, shape, elevation=0.0, hfov=2.0 * half, vfov=60.0, model=SURE, **errors)
    ((expected, _),) = rates(terrain, frustum, [WALKER], 0.9)
    off, distance = off_axis(frustum)
    turned = NormalDist(0.0, math.radians(sigma))
    likely = np.vectorize(lambda o: turned.cdf(math.radians(half) - o) - turned.cdf(-math.radians(half) - o))(off)
    near = (distance > 50.0) & (distance < 690.0) & (np.abs(off) < math.radians(half + 2.9 * sigma))
    seen = spread(terrain, expected, expected.rate) / -math.log(0.1)
    # 6e-4 of the draws, 2e-3 of the shares' rounding, and for the pyramid its edges' slant a degree below the eye.
    assert np.abs(seen - likely)[near].max() < (0.004 if shape == "sector" else 0.02)


def test_a_tilt_error_softens_the_edge_that_lies_on_the_ground():
    # 6 m above flat ground, window -2 to +2 degrees with a standard error of 1: at 100 m the walker's middle lies
    # 2.95 degrees below the eye, at 300 m .98.
    terrain = flat()
    errors = {"tilt_sigma": math.radians(1.0)}
    frustum = sensor(terrain, "sector", azimuth=90.0, elevation=0.0, vfov=4.0, model=SURE, **errors)
    ((expected, _),) = rates(terrain, frustum, [WALKER], 0.9)
    seen = spread(terrain, expected, expected.rate) / -math.log(0.1)
    for distance in (100, 150, 300, 600):
        below = math.degrees(math.atan2(6.0 - 0.85, distance))
        likely = NormalDist().cdf(2.0 - below) - NormalDist().cdf(-2.0 - below)
        assert seen[80, 80 + distance // 10] == pytest.approx(likely, abs=0.003)


@pytest.mark.parametrize("hfov", [0.5, 2.0, 5.0, 9.0, 40.0, 180.0])
def test_the_draws_of_a_heading_are_the_normal_distribution(hfov):
    draws, weights, left = heading_draws(sensor(flat(), "sector", hfov=hfov, azimuth_sigma=1.0))
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ draws**2 + left**2 == pytest.approx(1.0)
    assert len(draws) <= 43
    for value in np.linspace(-4.0, 4.0, 161):
        mixed = sum(weight * NormalDist(draw, left).cdf(value) for draw, weight in zip(draws, weights, strict=True))
        assert mixed == pytest.approx(NormalDist().cdf(value), abs=2e-3)


CASES = {
    "a camera on flat ground": (flat, {}, POST, 0.02),
    "a sector on flat ground": (flat, {"shape": "sector", "hfov": 60.0}, POST, 0.02),
    "a drone that looks straight down": (
        hills, {"elevation": -90.0, "hfov": 60.0, "vfov": 40.0, "agl": 150.0, "moving": True}, DRONE, 0.03,
    ),
    "a rolled drone that looks half down": (
        hills, {"elevation": -45.0, "roll": 20.0, "hfov": 60.0, "vfov": 40.0, "agl": 150.0, "moving": True}, DRONE,
        0.03,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_expected_is_the_mean_of_a_monte_carlo(case):
    ground, options, errors, tolerance = CASES[case]
    terrain, trials = ground(), 400
    frustum = sensor(terrain, **options, **errors)
    ((expected, _),) = rates(terrain, frustum, [WALKER], 0.9)
    look, lane = carlo(terrain, frustum, trials)
    _, distance = off_axis(frustum)
    # Near a mast a position error of a metre turns by more than the first order says.
    far = distance > (60.0 if not frustum.moving else 0.0)
    found = field_of(terrain, expected).look(10.0)
    # Five standard errors: thousands of cells are compared at once.
    noise = 5.0 * np.sqrt(np.maximum(look * (1.0 - look), 1.0 / trials) / trials)
    assert (np.abs(found - look) <= noise + tolerance)[far].all()
    assert abs((found - look)[far & (look > 0.0)].mean()) < 0.01
    audited = crossing(terrain, expected).lane_p
    # Below by what is not known of the errors' dependence, above by no more than the noise.
    noise = 4.0 * np.sqrt(np.maximum(lane * (1.0 - lane), 1.0 / trials) / trials)
    assert (audited <= lane + noise + tolerance).all()
    assert abs((audited - lane).mean()) < 0.03


def test_where_errors_move_shadows_expected_is_right_on_the_whole():
    # What `levels` says it neglects, measured: single cells are off by up to a third, all of them by a hundredth.
    terrain, trials = hills(), 400
    frustum = sensor(terrain, **POST)
    ((expected, _),) = rates(terrain, frustum, [WALKER], 0.9)
    look, lane = carlo(terrain, frustum, trials)
    error = (field_of(terrain, expected).look(10.0) - look)[look > 0.0]
    assert abs(error.mean()) < 0.02
    assert math.sqrt((error**2).mean()) < 0.06
    assert abs((crossing(terrain, expected).lane_p - lane).mean()) < 0.02


def test_a_wrong_heading_stays_wrong_for_the_whole_crossing():
    # A beam that may miss the whole lane: P = w (1 - exp(-X)), never 1 - exp(-w X) = what the field promises.
    terrain, front = flat(), Frontage(np.array([[1400.0, 700.0], [1400.0, 900.0]]), 60.0, 60.0, False)
    errors = {"azimuth_sigma": math.radians(6.0)}
    frustum = sensor(terrain, "sector", azimuth=90.0, hfov=6.0, vfov=60.0, model=SURE, **errors)
    ((expected, _),) = rates(terrain, frustum, [WALKER], 0.9)
    at = stations(terrain, front, field_of(terrain, expected), WALKER, look_s=10.0)
    middle = len(at.chainage) // 2  # a lane of 120 m that runs straight towards the eye
    likely = 2.0 * NormalDist(0.0, 6.0).cdf(3.0) - 1.0
    assert at.lane_p[middle] == pytest.approx(likely, abs=0.02)
    assert at.line_p[middle] == pytest.approx(likely, abs=0.02)


def test_a_narrow_beam_is_crossed_wherever_it_points():
    # The lanes run across the beam: one metre of it is as good as another, whatever its heading.
    terrain = flat()
    frustum = sensor(terrain, "sector", azimuth=10.0, hfov=3.0, vfov=60.0, model=SURE, azimuth_sigma=math.radians(3.0))
    ((expected, _),) = rates(terrain, frustum, [WALKER], 0.9)
    look, lane = carlo(terrain, frustum, 300)
    audited = crossing(terrain, expected).lane_p
    assert look.max() < 0.5 < lane.max()
    assert (audited <= lane + 0.1).all()
    assert (audited >= lane - 0.2).all()
    assert abs((audited - lane).mean()) < 0.02


degrees = st.floats(0.0, 20.0)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0.0, 360.0), st.floats(2.0, 120.0), degrees, degrees), min_size=1, max_size=3))
def test_audited_never_exceeds_what_the_field_promises(looks):
    terrain = flat()
    windows = []
    for azimuth, hfov, heading, tilt in looks:
        errors = {"azimuth_sigma": math.radians(heading), "tilt_sigma": math.radians(tilt)}
        frustum = sensor(terrain, "sector", azimuth=azimuth, hfov=hfov, **errors)
        windows.append(rates(terrain, frustum, [WALKER], 0.9)[0][0])
    field, at = field_of(terrain, *windows), crossing(terrain, *windows)
    pieces = round(LINE.depth / (CELL / 2.0))
    share = (np.arange(pieces) + 0.5) / pieces
    along = at.lane[:, None, 0] + share[None, :, None] * (at.lane[:, None, 1] - at.lane[:, None, 0])
    total = field.total * UNIT
    promised = total[terrain.cells(along[..., 0], along[..., 1])].sum(axis=1) * LINE.depth / pieces / WALKER.speed
    assert (at.lane_p <= -np.expm1(-promised) + 1e-6).all()
    assert (field.look(10.0) <= -np.expm1(-total * 10.0) + 1e-6).all()


@pytest.mark.parametrize(
    ("ground", "options", "errors"),
    [
        (flat, {}, POST),
        (flat, {"shape": "sector", "hfov": 60.0}, POST),
        (hills, {}, POST),
        (lambda: hills(3.0), {"agl": 8.0}, POST),
        (lambda: hills(3.0), {"elevation": -90.0, "hfov": 60.0, "agl": 150.0, "moving": True, "roll": 30.0}, DRONE),
    ],
)
def test_what_is_assured_holds_in_as_many_cases_as_the_confidence_says(ground, options, errors):
    terrain, trials, confidence = ground(), 400, 0.9
    frustum = sensor(terrain, **options, **errors)
    ((expected, assured),) = rates(terrain, frustum, [WALKER], confidence)
    reported, promised = (spread(terrain, window, window.rate) for window in (rate(terrain, frustum, WALKER), assured))
    assert promised.any()
    assert (promised <= reported * (1.0 + 1e-9)).all()
    # The mean holds at least what is held in `confidence` of all cases.
    assert (confidence * promised <= spread(terrain, expected, expected.rate) * (1.0 + 1e-6) + 1e-9).all()
    random = np.random.default_rng(2)
    broken = 0
    for _ in range(trials):
        truth = rate(*drawn(terrain, frustum, random), WALKER)
        broken += (spread(terrain, truth, truth.rate) < promised * (1.0 - 1e-6) - 1e-9).any()
    # In every cell at once; four standard errors of the trials.
    assert broken / trials <= 1.0 - confidence + 4.0 * math.sqrt(confidence * (1.0 - confidence) / trials)


@settings(max_examples=15)
@given(st.floats(0.0, 8.0), st.floats(0.0, 3.0), st.floats(0.0, 5.0), st.floats(0.0, 2.0), st.floats(0.05, 0.98))
def test_larger_errors_and_more_confidence_never_assure_more(heading, tilt, position, height, confidence):
    terrain = hills(2.0)

    def promised(scale, sure):
        frustum = sensor(
            terrain,
            azimuth_sigma=math.radians(heading + 0.01) * scale,
            tilt_sigma=math.radians(tilt + 0.01) * scale,
            position_sigma=(position + 0.01) * scale,
            height_sigma=(height + 0.01) * scale,
        )
        window = rates(terrain, frustum, [WALKER], sure)[0][1]
        return spread(terrain, window, window.rate)

    base = promised(1.0, confidence)
    # The eyes that are tried lie on a disc, so a cell behind a bump may hide from the smaller one alone.
    for less in (promised(1.5, confidence), promised(1.0, (confidence + 1.0) / 2.0)):
        assert (less > base * (1.0 + 1e-9)).sum() <= 0.02 * max((base > 0.0).sum(), 1)


def test_the_box_holds_as_much_probability_as_it_says():
    frustum = sensor(flat(), **POST)
    box = box_of(frustum, 0.8, le90=5.0)
    normal = NormalDist()
    lines = [
        (box.heading, frustum.azimuth_sigma),
        (box.tilt, frustum.tilt_sigma),
        (box.tilt, frustum.tilt_sigma),
        (box.height, frustum.height_sigma),
        (box.ground, 5.0 / normal.inv_cdf(0.95)),
    ]
    held = math.prod(2.0 * normal.cdf(reach / sigma) - 1.0 for reach, sigma in lines)
    held *= -math.expm1(-(box.position**2) / (2.0 * frustum.position_sigma**2))
    assert held == pytest.approx(0.8)
    assert box_of(sensor(flat()), 0.8).empty


def test_ground_that_nobody_knows_counts_nothing_at_either_level():
    heights = np.zeros((SIZE, SIZE))
    heights[:, 100] = np.nan
    terrain = dataclasses.replace(Terrain.from_array(heights, CELL), le90=0.2, posting=90.0)
    for window in rates(terrain, sensor(terrain, azimuth=90.0, **POST), [WALKER], 0.9)[0]:
        whole = spread(terrain, window, window.rate)
        assert whole[:, :100].any()
        assert not whole[:, 100:].any()
        assert spread(terrain, window, window.unknown)[80, 100:120].all()
        assert np.isfinite(window.rate).all()


def test_an_unknown_heading_spreads_a_sector_over_the_whole_circle():
    terrain = flat()
    frustum = sensor(terrain, "sector", hfov=90.0, vfov=60.0, model=SURE, azimuth_sigma=math.pi)
    ((expected, assured),) = rates(terrain, frustum, [WALKER], 0.9)
    _, distance = off_axis(frustum)
    seen = spread(terrain, expected, expected.rate)[(distance > 50.0) & (distance < 690.0)] / -math.log(0.1)
    # A standard error of 180 degrees is all but uniform, a quarter everywhere.
    assert seen == pytest.approx(0.25, abs=0.01)
    assert not assured.rate.any()
