import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall.engine import wall
from dronewall.engine.detection import Rate
from dronewall.engine.field import Field
from dronewall.engine.footprint import step_of
from dronewall.engine.ground import ground_of as ground_of_scenario
from dronewall.engine.moving import Moving, moving
from dronewall.engine.plan import planned
from dronewall.engine.revisit import intervals, watched
from dronewall.scenario import read
from flat_line import CELL, LINE_NORTH, WALKER, downward, ground_of

SPEED, LENGTH = 10.0, 2000.0
LONG = 100.0


def nobody(ground):
    return Field(ground.terrain.shape)


# --- intervals


def test_gaps_of_5_10_and_15_in_100_come_to_3_and_a_half():
    at = np.ones((1, 100), dtype=bool)
    at[0, 10:15] = at[0, 30:40] = at[0, 60:75] = False
    found = intervals(at, 1.0, True)
    assert (found.share[0], found.longest[0], found.time_average[0], found.next_look[0]) == (0.7, 15.0, 3.5, 0.0)


def test_an_interval_of_a_cycle_wraps_round_and_one_of_a_horizon_is_cut():
    at = np.array([[False, False, True, True, False, True, False, False, False, False]])
    round_, once = (intervals(at, 2.0, periodic) for periodic in (True, False))
    assert (round_.longest[0], once.longest[0]) == (12.0, 8.0)
    assert round_.time_average[0] == pytest.approx((12.0**2 + 2.0**2) / 20.0)
    assert once.time_average[0] == pytest.approx((4.0**2 + 2.0**2 + 8.0**2) / 20.0)
    assert round_.next_look[0] == once.next_look[0] == 4.0
    assert round_.share[0] == once.share[0] == 0.3


@pytest.mark.parametrize("periodic", [True, False])
def test_a_place_that_is_never_watched_is_unwatched_all_the_time_and_one_that_always_is_never(periodic):
    found = intervals(np.array([[False] * 4, [True] * 4]), 3.0, periodic)
    assert found.share.tolist() == [0.0, 1.0]
    assert found.longest.tolist() == [12.0, 0.0]
    assert found.time_average.tolist() == [12.0, 0.0]
    assert found.next_look.tolist() == [math.inf, 0.0]


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.booleans())
def test_what_holds_of_all_intervals(watch, periodic):
    found = intervals(np.array([watch]), 1.5, periodic)
    turned = np.roll(watch, -watch.index(True)) if periodic and True in watch else np.array(watch)
    runs = [len(run) for run in "".join("x" if one else "." for one in turned).split("x") if run]
    length = 1.5 * len(watch)
    assert found.share[0] == pytest.approx(sum(watch) / len(watch))
    assert found.longest[0] == pytest.approx(1.5 * max(runs, default=0))
    assert found.time_average[0] == pytest.approx(sum((1.5 * run) ** 2 for run in runs) / length)
    assert found.longest[0] ** 2 / length - 1e-9 <= found.time_average[0] <= found.longest[0] + 1e-9


# --- over a line


def shuttled(steps, step, drones=1):
    """Frusta on a shuttle from one end of the line to the other, in the middle of each step."""
    found = []
    for k in range(steps):
        at = {}
        for drone in range(drones):
            flown = ((k + 0.5) * step * SPEED + drone * 2.0 * LENGTH / drones) % (2.0 * LENGTH)
            at[f"D{drone}/cam"] = downward(min(flown, 2.0 * LENGTH - flown), long=LONG, name=f"D{drone}/cam")
        found.append(at)
    return found


def shuttle_gaps(chainage):
    """The two unwatched intervals [s] of a place in a shuttle's cycle: towards one end and back, towards the other."""
    return [max(2.0 * (way - LONG / 2.0) / SPEED, 0.0) for way in (chainage, LENGTH - chainage)]


@pytest.mark.parametrize("step", [1.0, 2.0])
def test_a_shuttle_leaves_each_place_of_a_strip_for_its_two_known_intervals(step):
    ground = ground_of()
    cycle = 2.0 * LENGTH / SPEED
    ((drones, _),) = moving(ground, shuttled(round(cycle / step), step), step, True, [WALKER])
    found = watched(ground, nobody(ground), drones)
    chainage = ground.frontage.stations(CELL)
    # To within a step at either end; what is seen of a cell is seen of its middle.
    for i in (0, 3, 20, 57, 100, 150, 199):
        gaps = shuttle_gaps(chainage[i])
        assert found.stations.longest[i] == pytest.approx(max(gaps), abs=step)
        assert found.stations.share[i] == pytest.approx(1.0 - sum(gaps) / cycle, abs=2.0 * step / cycle)
        squares = sum(gap**2 for gap in gaps) / cycle
        assert found.stations.time_average[i] == pytest.approx(squares, abs=2.0 * sum(gaps) * step / cycle + 0.1)
        # It sets out at the start of the line.
        assert found.stations.next_look[i] == pytest.approx(max(chainage[i] - LONG / 2.0, 0.0) / SPEED, abs=step)


def test_a_shuttles_worst_places_are_its_ends():
    ground = ground_of()
    ((drones, _),) = moving(ground, shuttled(400, 1.0), 1.0, True, [WALKER])
    longest = watched(ground, nobody(ground), drones).stations.longest
    # FACTS: 2L/v, less the time that its footprint takes over a place; the first station is half a cell from the end.
    assert longest[0] == longest.max() == longest[-1]
    assert longest[0] == pytest.approx((2.0 * LENGTH - LONG - CELL) / SPEED, abs=1.0)


@pytest.mark.parametrize("drones", [1, 2, 5])
def test_a_loop_of_m_drones_revisits_after_its_length_over_m_v(drones):
    ground = ground_of(rows=60)
    long, wide = 1800.0, 60.0
    around = 2.0 * (long + wide)
    step = 1.0
    steps = round(around / SPEED / step)
    corners = np.array([[100.0, LINE_NORTH], [1900.0, LINE_NORTH], [1900.0, 265.0], [100.0, 265.0]])
    marks = np.array([0.0, long, long + wide, 2.0 * long + wide, around])
    closed = np.vstack((corners, corners[:1]))
    frusta = []
    for k in range(steps):
        at = {}
        for drone in range(drones):
            flown = ((k + 0.5) * step * SPEED + drone * around / drones) % around
            east, north = (np.interp(flown, marks, closed[:, axis]) for axis in (0, 1))
            # Narrow: the way back, 60 m to the side, is not seen from the line, nor the line from it.
            at[f"D{drone}/cam"] = downward(east, north, long=LONG, wide=50.0, name=f"D{drone}/cam")
        frusta.append(at)
    ((all_, _),) = moving(ground, frusta, step, True, [WALKER])
    found = watched(ground, nobody(ground), all_)
    for i in (30, 77, 150):
        assert found.stations.longest[i] == pytest.approx(around / drones / SPEED - LONG / SPEED, abs=step)
        assert found.stations.share[i] == pytest.approx(drones * LONG / around, abs=2.0 * drones / steps)
        # A cell of the belt on the way back is as far from its next look.
        row, col = 26 - ground.belt.row, i - ground.belt.col
        assert found.cells.longest[row, col] == pytest.approx(around / drones / SPEED - LONG / SPEED, abs=step)


def test_halving_the_rules_step_moves_no_interval_by_more_than_both_steps_and_shares_by_little():
    ground = ground_of()
    pair = downward(500.0, long=LONG), downward(500.0 + SPEED, long=LONG)
    rule = step_of([pair], 1.0, CELL)
    assert rule == pytest.approx(LONG / 8.0 / SPEED, rel=0.02)
    cycle = 2.0 * LENGTH / SPEED
    found = []
    for steps in (math.ceil(cycle / rule), 2 * math.ceil(cycle / rule)):
        ((drones, _),) = moving(ground, shuttled(steps, cycle / steps), cycle / steps, True, [WALKER])
        found.append(watched(ground, nobody(ground), drones).stations)
    coarse, fine = found
    # A run of steps differs from its interval by less than a step.
    assert np.abs(coarse.longest - fine.longest).max() <= 1.5 * rule
    assert np.abs(coarse.share - fine.share).max() < 0.25 * fine.share.max()
    assert coarse.share.mean() == pytest.approx(fine.share.mean(), rel=0.01)
    exact = [1.0 - sum(shuttle_gaps(at)) / cycle for at in ground.frontage.stations(CELL)]
    assert fine.share.mean() == pytest.approx(np.mean(exact), rel=0.01)


def test_where_fixed_sensors_watch_nobody_waits_for_a_drone():
    ground = ground_of()
    field = nobody(ground)
    rate = np.zeros(ground.terrain.shape)
    rate[20, 40:60] = 1.0
    field.add("P1/cam", Rate.of(0, 0, rate, np.ones(rate.shape), np.zeros(rate.shape, dtype=bool)))
    ((drones, _),) = moving(ground, shuttled(200, 2.0), 2.0, True, [WALKER])
    found = watched(ground, field, drones)
    assert (found.stations.share[40:60] == 1.0).all()
    assert (found.stations.longest[40:60] == 0.0).all()
    assert found.at[40:60].all()
    assert (found.stations.share[:40] < 1.0).all()
    assert found.at.mean(axis=1) == pytest.approx(found.stations.share)


def test_weak_looks_of_fixed_and_moving_sensors_together_may_do():
    ground = ground_of(line_p=0.5, look_s=1.0)
    model = {"kind": "table", "range_m": [0.0, 500.0], "probability": [0.4, 0.4], "glimpse_s": 1.0}
    field = nobody(ground)
    rate = np.zeros(ground.terrain.shape)
    rate[20, 40:60] = -math.log(1.0 - 0.3)
    field.add("P1/cam", Rate.of(0, 0, rate, np.ones(rate.shape), np.zeros(rate.shape, dtype=bool)))
    frusta = [{"D1/cam": downward(400.0, model=model)}, {}]
    ((drones, _),) = moving(ground, frusta, 2.0, True, [WALKER])
    found = watched(ground, field, drones)
    # 1 - .7 x .6 = .58; .4 and .3 alone are under .5.
    assert np.flatnonzero(found.at[:, 0]).tolist() == list(range(40, 45))
    assert not found.at[:, 1].any()
    twice = watched(ground_of(line_p=0.5, look_s=1.0, k=2, count_p=0.3), field, drones)
    assert np.flatnonzero(twice.at[:, 0]).tolist() == list(range(40, 45))
    sure = watched(ground_of(line_p=0.5, look_s=1.0, k=2, count_p=0.35), field, drones)
    assert not sure.at.any()


def test_of_unknown_ground_nothing_is_said_and_outside_the_belt_neither():
    heights = np.zeros((40, 200))
    heights[:, 60:62] = np.nan
    ground = ground_of(heights=heights)
    ((drones, _),) = moving(ground, shuttled(200, 2.0), 2.0, True, [WALKER])
    found = watched(ground, nobody(ground), drones)
    for part in (found.stations, found.cells):
        for values in dataclasses.astuple(part):
            assert np.isnan(values[..., 60:62]).all()
    assert not found.at[60:62].any()
    assert not np.isnan(found.stations.longest[:60]).any()
    assert np.isnan(found.cells.share[~ground.belt.inside]).all()
    under = slice(17 - ground.belt.row, 24 - ground.belt.row)
    assert (np.isnan(found.cells.share[under]) == (np.arange(200) // 2 == 30)).all()


def test_what_nobody_ever_sees_and_somebody_may_see_behind_unknown_ground_is_unknown():
    heights = np.zeros((40, 200))
    heights[:, 60] = np.nan
    ground = ground_of(heights=heights)
    ahead = dataclasses.replace(downward(550.0, agl=30.0), elevation=math.radians(-10.0), vfov=0.3, range_max=300.0)
    ((drones, _),) = moving(ground, [{"D1/cam": ahead}, {}], 2.0, True, [WALKER])
    found = watched(ground, nobody(ground), drones)
    assert np.isnan(found.stations.share[70])
    assert found.stations.share[20] == 0.0
    over = {"D2/cam": downward(705.0, name="D2/cam")}
    ((drones, _),) = moving(ground, [{"D1/cam": ahead}, over], 2.0, True, [WALKER])
    found = watched(ground, nobody(ground), drones)
    assert found.stations.share[70] == 0.5


def test_no_drones_at_all():
    ground = ground_of()
    found = watched(ground, nobody(ground), Moving((), 2.0, 10, True, ground.belt.inside.shape))
    assert (found.stations.longest == 20.0).all()
    assert np.isinf(found.stations.next_look).all()
    assert found.at.shape == (200, 10)


# --- against the line's own answer

SITE = """
[site]
name = "testwall"
[terrain]
ground = "dronewall:jacksboro"
cell_m = 20.0
le90_m = 4.0
[frontage]
points_deg = [[36.55, -84.30], [36.58, -84.27]]
threat = "left"
[[targets]]
name = "walker"
height_agl_m = [0.0, 1.7]
width_m = 0.5
speed_mps = 1.4
[[targets]]
name = "low-drone"
height_agl_m = [59.5, 60.5]
width_m = 0.4
speed_mps = 15.0
[sensor_types.camera]
driver = "optics"
shape = "pyramid"
hfov_deg = 60.0
vfov_deg = 40.0
range_max_m = 1500.0
model = { kind = "camera", pixels = 1920, n50 = 1.0, glimpse_s = 1.0 }
[[posts]]
name = "P1"
latitude_deg = 36.56
longitude_deg = -84.292
[[nodes]]
post = "P1"
mast_m = 8.0
[[nodes.sensors]]
name = "cam"
type = "camera"
azimuth_deg = 320.0
[[nodes.sensors]]
name = "side"
type = "camera"
azimuth_deg = 45.0
"""


@pytest.fixture(scope="module", params=["", "[thresholds]\nk = 2\ncount_p = 0.2\nline_p = 0.3"])
def real(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(SITE + request.param)
    return ground_of_scenario(read(path))


def flying(ground, name, latitude, longitude, azimuth, elevation, agl=90.0):
    """Reports of a drone that is not in the site file: the post's camera in the air."""
    place = dict(zip(("east", "north"), ground.site.to_site(latitude, longitude), strict=True))
    amsl = float(ground.terrain.ground(place["east"], place["north"])) + agl
    found = []
    for report in planned(ground):
        if report.kind == "birth":
            found.append(report._replace(node=name))
        elif report.sensor == "cam":
            values = {key: value for key, value in report.values.items() if key != "height_agl_m"}
            values |= {
                "latitude_deg": latitude, "longitude_deg": longitude, "height_amsl_m": amsl, "azimuth_deg": azimuth,
                "elevation_deg": elevation, "velocity_east_mps": 0.0, "velocity_north_mps": 0.0, "velocity_up_mps": 0.0,
            }  # fmt: skip
            found.append(report._replace(node=name, values=values))
    return found


def test_at_one_moment_what_is_watched_is_what_the_line_watches(real):
    drones = [
        *flying(real, "D1", 36.562, -84.288, 30.0, -30.0),
        *flying(real, "D2", 36.568, -84.281, 200.0, -90.0, agl=150.0),
        *flying(real, "D3", 36.566, -84.283, 300.0, -15.0),
    ]
    coverage = wall.cover(real, [*planned(real), *drones])
    frusta = {one.name: one.frustum for one in coverage.sensors if one.name.startswith("D") and one.frustum is not None}
    assert sorted(frusta) == ["D1/cam", "D2/cam", "D3/cam"]
    both = moving(real, [frusta], 5.0, True, [wall.target_of(spec) for spec in real.scenario.targets])
    thresholds, belt = real.scenario.thresholds, real.belt
    some = 0
    for target in coverage.targets:
        index, level = (target.target.name == "low-drone"), (target.level == "assured")
        field = Field(real.terrain.shape)
        for name in target.field:
            if name.startswith("P"):
                field.add(name, target.field[name])
        found = watched(real, field, both[index][level])
        at = target.stations
        # The rates are 32-bit floats.
        told = np.abs(at.line_p - thresholds.line_p) > 1e-6
        assert (found.at[told, 0] == (at.line_p >= thresholds.line_p)[told]).all()
        assert (np.isnan(found.stations.share) == at.unknown).all()
        look = target.look[belt.slices]
        line = look >= thresholds.line_p
        if thresholds.k > 1:
            line &= target.field.count(thresholds.look_s, thresholds.count_p)[belt.slices] >= thresholds.k
        dark = np.isnan(look) | ~belt.inside
        assert (np.isnan(found.cells.share) == dark).all()
        told = ~dark & (np.abs(look - thresholds.line_p) > 1e-6)
        assert (found.cells.share[told] == line[told]).all()
        with_drones = line & ~(field.look(thresholds.look_s)[belt.slices] >= thresholds.line_p)
        some += int((with_drones & belt.inside).sum())
    assert some > 50
