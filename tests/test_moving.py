import dataclasses
import math

import numpy as np
import pytest

from dronewall.engine.detection import DetectionError, Target
from dronewall.engine.moving import moving, still
from dronewall.engine.terrain import Terrain
from dronewall.engine.wall import rates_of
from flat_line import BEHIND, CELL, FRONT, LINE_NORTH, SURE, WALKER, downward, ground_of

ERRORS = {
    "azimuth_sigma": math.radians(3.0),
    "tilt_sigma": math.radians(0.5),
    "position_sigma": 1.0,
    "height_sigma": 1.0,
}
DRONE = Target("drone", 20.0, 40.0, 0.5, 15.0)
PIR = {"kind": "table", "range_m": [0.0, 500.0], "probability": [0.5, 0.5], "glimpse_s": 1.0, "moving_only": True}


def hills(rows=40, cols=120):
    north, east = np.mgrid[:rows, :cols] * CELL
    return 8.0 * np.sin(east / 90.0) * np.cos(north / 70.0)


def camera(east, north=LINE_NORTH, name="D1/cam", azimuth=1.2, elevation=-50.0, **more):
    """Looks ahead and down, with a plan's errors."""
    model = {"kind": "camera", "pixels": 640, "n50": 1.0, "glimpse_s": 1.0}
    frustum = downward(east, north, name=name, model=model, **{**ERRORS, **more})
    return dataclasses.replace(
        frustum, azimuth=azimuth, elevation=math.radians(elevation), hfov=1.0, vfov=0.6, range_max=400.0
    )


def entries(passes, step):
    return slice(passes.first[step], passes.last[step])


def test_each_step_has_what_its_frustum_sees_of_the_belt_at_both_levels():
    ground = ground_of(heights=hills())
    ground = dataclasses.replace(ground, terrain=dataclasses.replace(ground.terrain, le90=2.0))
    frusta = [{"D1/cam": camera(300.0 + 40.0 * k, 120.0 + 30.0 * k), "D0/cam": camera(200.0, name="D0/cam")}
              for k in range(6)]  # fmt: skip
    both = moving(ground, frusta, 2.0, True, [WALKER, DRONE])
    belt = ground.belt
    for index, target in enumerate((WALKER, DRONE)):
        for level in (0, 1):
            one = both[index][level]
            assert [passes.sensor for passes in one.passes] == ["D0/cam", "D1/cam"]
            assert (one.step, one.steps, one.periodic, one.length) == (2.0, 6, True, 12.0)
            for passes in one.passes:
                for step in range(6):
                    part = entries(passes, step)
                    window = rates_of(ground, frusta[step][passes.sensor], [target])[0][level]
                    expected, ceiling = np.zeros(ground.terrain.shape), np.zeros(ground.terrain.shape)
                    expected[window.slices], ceiling[window.slices] = window.rate, window.ceiling
                    expected, ceiling = (np.where(belt.inside, all_[belt.slices], 0.0) for all_ in (expected, ceiling))
                    cells = passes.cells[part]
                    assert (np.diff(cells) > 0).all()
                    assert (np.flatnonzero(expected) == cells).all()
                    assert (passes.rates[part] == expected.ravel()[cells].astype(np.float32)).all()
                    assert (passes.ceilings[part] == ceiling.ravel()[cells].astype(np.float32)).all()
                    if level == 0:
                        likely = window.draws.likely_at(np.arange(len(window.cells)))
                        whole = np.zeros(ground.terrain.shape)
                        spread = np.zeros(window.shape)
                        spread.ravel()[window.cells] = likely
                        whole[window.slices] = spread
                        mean = passes.weights @ passes.shares[:, part] / 255.0
                        assert mean == pytest.approx(whole[belt.slices].ravel()[cells], abs=1e-12)
                    else:
                        assert passes.shares.shape[0] == len(passes.weights) == 0
            assert one.passes[1].cells.size > 0


def test_equal_frusta_share_their_entries_and_are_computed_once():
    ground = ground_of()
    told = []
    frusta = [{"D1/cam": downward(300.0 + 100.0 * (k % 3))} for k in range(9)]
    ((expected, assured),) = moving(ground, frusta, 1.0, True, [WALKER], lambda done, all_: told.append((done, all_)))
    assert told[-1] == (3, 3)
    (passes,) = expected.passes
    assert (passes.first[:3] == passes.first[3:6]).all()
    assert (passes.last[:3] == passes.last[6:]).all()
    # 10 by 9 cells have their middles in 100 m by 90 m around a column's edge in a row's middle.
    assert passes.last[2] == len(passes.cells) == 270
    # Without errors both levels are the same.
    assert (assured.passes[0].cells == passes.cells).all()


def test_the_entries_are_the_cells_of_the_belt_under_the_sensor():
    ground = ground_of()
    # 200 m wide: more than the belt behind the line and less than that before it.
    ((expected, _),) = moving(ground, [{"D1/cam": downward(500.0, LINE_NORTH, wide=200.0)}], 1.0, False, [WALKER])
    rows, cols = np.divmod(expected.passes[0].cells, expected.shape[1])
    east = (cols + ground.belt.col + 0.5) * CELL
    offset = (rows + ground.belt.row + 0.5) * CELL - LINE_NORTH
    assert (east.min(), east.max()) == (455.0, 545.0)
    assert (offset.min(), offset.max()) == (-BEHIND, FRONT)
    assert expected.passes[0].rates == pytest.approx(-math.log(0.1), rel=1e-6)


def test_a_sensor_that_is_not_in_the_air_or_far_off_sees_nothing():
    ground = ground_of()
    here, far = downward(500.0), downward(500.0, north=9000.0)
    ((expected, _),) = moving(ground, [{}, {"D1/cam": here}, {"D1/cam": far}], 1.0, True, [WALKER])
    (passes,) = expected.passes
    assert [int(passes.last[k] - passes.first[k]) for k in range(3)] == [0, 90, 0]
    ((nobody, _),) = moving(ground, [{}, {}], 1.0, True, [WALKER])
    assert nobody.passes == ()


def test_a_sensor_that_sleeps_by_the_clock_assures_nothing():
    ground = ground_of()
    frustum = downward(500.0, duty=0.5, awake="duty")
    ((expected, assured),) = moving(ground, [{"D1/cam": frustum}], 1.0, True, [WALKER])
    assert expected.passes[0].duty == 0.5
    assert expected.passes[0].looks(10.0) == pytest.approx(0.5 * (1.0 - 0.1**10), rel=1e-6)
    assert assured.passes == ()


def test_a_still_target_is_seen_by_sensors_that_see_more_than_what_moves():
    ground = ground_of()
    frusta = [{"D1/cam": downward(500.0), "D1/pir": downward(500.0, name="D1/pir", model=PIR)}]
    ((expected, _),) = moving(ground, frusta, 1.0, True, [WALKER])
    assert [one.sensor for one in expected.passes] == ["D1/cam", "D1/pir"]
    assert [one.sensor for one in still(expected).passes] == ["D1/cam"]
    assert still(expected).passes[0] is expected.passes[0]


def test_cells_that_may_be_hidden_behind_unknown_ground_are_doubtful():
    heights = np.zeros((40, 200))
    heights[:, 60:62] = np.nan
    ground = ground_of(heights=heights)
    frustum = dataclasses.replace(camera(550.0, azimuth=math.pi / 2.0, elevation=-20.0), eye_amsl=60.0)
    ((expected, assured),) = moving(ground, [{"D1/cam": frustum}], 1.0, True, [WALKER])
    row = 20 - ground.belt.row
    for one in (expected, assured):
        assert one.doubtful[row, [60, 70]].all()
        assert not one.doubtful[row, 57]
        assert not one.doubtful[row, 30]
    ((clear, _),) = moving(ground_of(), [{"D1/cam": frustum}], 1.0, True, [WALKER])
    assert clear.doubtful is None


@pytest.mark.parametrize(
    ("change", "word"),
    [({"duty": 0.5}, "duty"), ({"model": PIR}, "model"), ({"hfov": 0.1}, "hfov"), ({"azimuth_sigma": 0.1}, "azimuth")],
)
def test_a_sensor_that_becomes_another_on_the_way_is_refused_by_name(change, word):
    frusta = [{"D1/cam": downward(500.0)}, {"D1/cam": dataclasses.replace(downward(500.0), **change)}]
    with pytest.raises(DetectionError, match=rf"D1/cam.*{word}"):
        moving(ground_of(), frusta, 1.0, True, [WALKER])


def test_an_error_that_comes_on_the_way_is_refused_by_name():
    frusta = [{"D1/cam": downward(500.0)}, {"D1/cam": downward(500.0, tilt_sigma=0.01)}]
    with pytest.raises(DetectionError, match="D1/cam"):
        moving(ground_of(), frusta, 1.0, True, [WALKER])


def test_a_model_that_makes_no_sense_is_refused_by_name():
    with pytest.raises(DetectionError, match=r"D1/cam.*glimpse_s"):
        moving(ground_of(), [{"D1/cam": downward(500.0, model={**SURE, "glimpse_s": 0.0})}], 1.0, True, [WALKER])


@pytest.mark.parametrize(("frusta", "step"), [([], 1.0), ([{}], 0.0), ([{}], math.nan)])
def test_no_time_is_refused(frusta, step):
    with pytest.raises(ValueError, match="expected one or more"):
        moving(ground_of(), frusta, step, True, [WALKER])


def test_times_find_their_steps():
    ground = ground_of()
    ((round_, _),) = moving(ground, [{}] * 5, 2.0, True, [WALKER])
    ((once, _),) = moving(ground, [{}] * 5, 2.0, False, [WALKER])
    clock = np.array([0.0, 1.99, 2.0, 9.9, 10.0, 23.0, -0.5])
    assert round_.at(clock).tolist() == [0, 0, 1, 4, 0, 1, 4]
    assert once.at(clock).tolist() == [0, 0, 1, 4, -1, -1, -1]
    # A time that is a whole number of steps but for rounding begins that step.
    ((fine, _),) = moving(ground, [{}] * 50, 0.1, True, [WALKER])
    assert fine.at(np.arange(50) * 0.1).tolist() == list(range(50))


def test_a_canopy_dims_the_entries_as_it_dims_the_windows():
    heights = hills()
    canopy = heights + np.where(np.arange(120) % 9 < 4, 6.0, 0.0)
    terrain = Terrain.from_array(heights, CELL, canopy_amsl=canopy, canopy_extinction=10.0)
    ground = dataclasses.replace(ground_of(heights=heights), terrain=terrain)
    frustum = camera(300.0)
    ((expected, assured),) = moving(ground, [{"D1/cam": frustum}], 1.0, True, [WALKER])
    for one, window in zip((expected, assured), rates_of(ground, frustum, [WALKER])[0], strict=True):
        whole = np.zeros(terrain.shape)
        whole[window.slices] = window.rate
        found = np.zeros(ground.belt.inside.size)
        found[one.passes[0].cells] = one.passes[0].rates
        assert (found.reshape(ground.belt.inside.shape) == np.where(
            ground.belt.inside, whole[ground.belt.slices], 0.0).astype(np.float32)).all()  # fmt: skip
