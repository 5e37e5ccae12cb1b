import dataclasses
import json
import math
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from dronewall.engine import sensors, wall
from dronewall.engine.closing import closers, lie, told
from dronewall.engine.detection import Rate
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.gaps import Gap
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned
from dronewall.engine.terrain import Terrain
from dronewall.report.closing import closer_brief, closer_json, closer_words, lie_json, lie_words
from dronewall.report.figures import percent
from dronewall.scenario import read

SITE = """
[site]
name = "closewall"
[terrain]
ground = "dronewall:jacksboro"
cell_m = 20.0
[frontage]
points_deg = [[36.55, -84.30], [36.56, -84.29]]
threat = "left"
belt_front_m = 200.0
belt_behind_m = 100.0
[[targets]]
name = "walker"
height_agl_m = [0.0, 1.7]
width_m = 0.5
speed_mps = 1.4
[sensor_types.camera]
driver = "optics"
shape = "pyramid"
hfov_deg = 60.0
vfov_deg = 40.0
range_max_m = 500.0
model = { kind = "camera", pixels = 1920 }
[[posts]]
name = "P1"
latitude_deg = 36.555
longitude_deg = -84.295
[[nodes]]
post = "P1"
mast_m = 6.0
sensors = [{ name = "cam", type = "camera", azimuth_deg = 90.0 }]
"""
CELL = 10.0
EAST, NORTH = 1005.0, 505.0  # the middle of cell (50, 100): the gap's weakest station


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(SITE)
    ground = ground_of(read(path))
    return ground, sensors.sensor_states(ground, planned(ground))[0]


@pytest.fixture
def scene(real):
    """Flat ground at 100 m, a frontage due (grid) east at 505 m north, and sensors 6 m above the ground."""
    ground, state = real

    def made(*sensors, heights=None, field=None, **terrain):
        ground_amsl = np.full((101, 201), 100.0) if heights is None else heights
        states = []
        for name, east, north, azimuth_deg, *changes in sensors:
            eye = {"east": east, "north": north, "eye_amsl": 106.0, "eye_agl": 6.0}
            frustum = dataclasses.replace(
                state.frustum, name=name, azimuth=math.radians(azimuth_deg), **{**eye, **dict(*changes)}
            )
            states.append(dataclasses.replace(state, name=name, frustum=frustum))
        target = wall.TargetCoverage(
            ground.scenario.targets[0], "expected", np.zeros((1, 1), np.float32), SimpleNamespace(), 0.5, (gap(),),
            field=field,
        )  # fmt: skip
        frontage = Frontage(np.array([[5.0, NORTH], [2005.0, NORTH]]), 200.0, 100.0, True)
        own = dataclasses.replace(ground, frontage=frontage, terrain=Terrain.from_array(ground_amsl, CELL, **terrain))
        return wall.Coverage(own, (target,), tuple(states), {}, None, "plan", "feed", "1")

    return made


def gap(kind="line", start=900.0, end=1100.0, weakest=1000.0):
    return Gap(
        f"walker-expected-{kind}-{start:.0f}", kind, "walker", "expected", start, end, 0.1, 0.2, 0.5, 0.0, False,
        False, (), weakest,
    )  # fmt: skip


def test_a_sensor_turned_ten_degrees_too_far_left_is_ten_degrees_short(scene):
    # The place is due north, the sensor looks 40 degrees left of it and 30 of its 60 degrees lie on that side.
    (one,) = closers(scene(("P1/cam", EAST, 205.0, 320.0)), gap())
    assert one.miss == "angle"
    assert math.degrees(one.aside) == pytest.approx(10.0, abs=1e-6)
    assert one.target.turned.azimuth == pytest.approx(0.0, abs=1e-9)
    assert one.look > 0.5
    words = closer_words(one)
    assert words.startswith("P1/cam: outside its view: 10° right of it; turned to azimuth ")
    assert "it would be seen with " in words
    assert closer_brief(one) == f"P1/cam turned 10° right: {percent(one.look)}"


def test_a_sensor_fifty_metres_short_of_range_says_so(scene):
    # 550 m away on the level, 5.15 m below the eye: 2 cm more on the slant.
    (one,) = closers(scene(("P1/cam", EAST - 550.0, NORTH, 90.0)), gap())
    assert one.miss == "range"
    assert one.short == pytest.approx(math.hypot(550.0, 106.0 - 100.85) - 500.0, abs=1e-3)
    assert closer_words(one) == "P1/cam: outside its view: 550 m away, and it sees to 500 m"
    assert closer_json(one)["short_m"] == 50.0
    assert closer_brief(one) == closer_json(one)["brief"] == "P1/cam reaches 50 m too short"


def test_a_sensor_that_looks_away_is_short_after_its_turn_and_one_that_is_too_near_says_so(scene):
    # 90 degrees right of where it looks, 30 of them in its view.
    (one,) = closers(scene(("P1/cam", EAST - 550.0, NORTH, 0.0)), gap())
    assert closer_brief(one) == "P1/cam turned 60° right reaches 50 m too short"
    # From 20 m, and the place is 10 m off on the level, 11.2 m on the slant.
    (one,) = closers(scene(("P1/cam", EAST, NORTH - 10.0, 0.0, {"range_min": 20.0})), gap())
    assert closer_brief(one).startswith("P1/cam ")
    assert closer_brief(one).endswith("stands 8.8 m too near")


def test_a_place_below_the_view_is_reached_by_tilting(scene):
    # 11.6 m off and 5.15 m down: 24.0 degrees below the horizon, and the view ends at 20.
    (one,) = closers(scene(("P1/cam", EAST, NORTH - 11.6, 0.0)), gap())
    assert one.miss == "angle"
    down = math.degrees(math.atan2(5.15, 11.6)) - 20.0
    assert closer_brief(one) == f"P1/cam tilted {down:.1f}° down: {percent(one.look)}"


def test_a_sensor_behind_a_wall_tells_the_mast_that_would_notice(scene):
    # 8 m high, 150 m from the sensor and 250 m from the place: the line to the top, 1.7 + 6.3 * 400 / 250 = 11.78 m.
    heights = np.full((101, 201), 100.0)
    heights[25] += 8.0
    (one,) = closers(scene(("P1/cam", EAST, 105.0, 0.0), heights=heights), gap())
    assert one.miss == "hidden"
    assert one.rise == pytest.approx(11.78 - 6.0, abs=0.02)
    assert one.target.mast_noticed > 11.7
    assert "hidden: the ridge at 150 m is" in closer_words(one)
    assert closer_json(one)["mast_to_notice_m"] == pytest.approx(one.target.mast_noticed, abs=0.05)
    assert closer_json(one)["excess_m"] == pytest.approx(8.0 - (6.0 - 4.3 * 150.0 / 400.0), abs=0.01)
    mast = math.ceil(one.target.mast_noticed)
    assert closer_brief(one) == f"P1/cam: the ridge at 150 m is 3.6 m too high, mast of {mast} m"
    drone = dataclasses.replace(one.reason, sensor=dataclasses.replace(one.reason.sensor, moving=True))
    assert closer_brief(dataclasses.replace(one, reason=drone)).endswith(f"too high, flying at {mast} m")


def test_no_mast_is_advised_that_nobody_would_build(scene):
    # 108 m high and 150 m away, the place 250 m behind it: over 60 m by far. Seen from the side, still so.
    heights = np.full((101, 201), 100.0)
    heights[25] += 100.0
    for azimuth, who in ((0.0, "P1/cam"), (90.0, "P1/cam turned 60° left")):
        (one,) = closers(scene(("P1/cam", EAST, 105.0, azimuth), heights=heights), gap())
        assert closer_brief(one).startswith(f"{who}: the ridge at 150 m is ")
        assert closer_brief(one).endswith(" m too high, beyond any mast")


def test_what_is_hidden_and_out_of_range_says_both(scene):
    heights = np.full((101, 201), 100.0)
    heights[:, 60] += 20.0
    (one,) = closers(scene(("P1/cam", EAST - 550.0, NORTH, 90.0), heights=heights), gap())
    assert one.miss == "far"
    assert closer_brief(one).startswith("P1/cam reaches 50 m too short, and the ridge at ")


def test_the_nearest_come_first_turned_then_in_range_then_in_sight(scene):
    heights = np.full((101, 201), 100.0)
    heights[60, 95:106] += 8.0  # a wall north of the place
    coverage = scene(
        ("P1/wall", EAST, 905.0, 180.0),
        ("P2/short", 355.0, NORTH, 90.0),
        ("P3/shorter", 455.0, NORTH, 90.0),
        ("P4/back", EAST + 300.0, NORTH, 90.0),
        ("P5/aside", EAST + 300.0, NORTH, 225.0),
        ("P6/away", 25.0, NORTH, 90.0),  # 980 m away: half its range again is too far
        heights=heights,
    )
    assert [one.sensor for one in closers(coverage, gap(), 9)] == [
        "P5/aside", "P4/back", "P3/shorter", "P2/short", "P1/wall",
    ]  # fmt: skip
    assert [one.sensor for one in closers(coverage, gap())] == ["P5/aside", "P4/back", "P3/shorter"]
    # A gap as long as a sensor is short of it makes that sensor near.
    long = gap(start=400.0, end=1600.0)
    assert "P6/away" in [one.sensor for one in closers(coverage, long, 9)]


def test_what_sees_by_its_pose_and_leaves_a_gap_comes_last_with_the_levels_figure(scene):
    field = Field((101, 201))
    rate = np.full((101, 201), 0.01)
    field.add("P1/cam", Rate.of(0, 0, rate, np.ones(rate.shape), np.zeros(rate.shape, bool)))
    coverage = scene(("P1/cam", EAST, 305.0, 0.0), ("P2/cam", EAST, 105.0, 60.0), field=field)
    first, last = closers(coverage, gap())
    assert (first.sensor, first.miss, first.level_look) == ("P2/cam", "angle", 0.0)
    assert (last.sensor, last.miss) == ("P1/cam", "seen")
    assert last.level_look == pytest.approx(-math.expm1(-0.1), abs=1e-4)
    assert closer_words(last).endswith("with the errors that its pose may have 10 %")
    assert closer_brief(last) == f"P1/cam sees it with {percent(last.look)}, 10 % with its errors"
    # Where two have to see it one that does is no gap's fault.
    thresholds = msgspec.structs.replace(coverage.scenario.thresholds, k=2)
    asked = msgspec.structs.replace(coverage.scenario, thresholds=thresholds)
    several = dataclasses.replace(coverage, ground=dataclasses.replace(coverage.ground, scenario=asked))
    assert closer_brief(closers(several, gap())[-1]).endswith(", but fewer than 2 nodes do")


def test_sensors_that_do_not_count_and_places_without_terrain_make_no_closers(scene):
    coverage = scene(("P1/cam", EAST, 305.0, 0.0))
    gone = dataclasses.replace(coverage.sensors[0], state="missing", frustum=None)
    assert closers(dataclasses.replace(coverage, sensors=(gone,)), gap()) == ()
    assert closers(dataclasses.replace(coverage, targets=()), gap()) == ()


def test_all_gaps_at_once_say_what_each_alone_says(scene):
    heights = np.full((101, 201), 100.0)
    heights[25] += 8.0
    coverage = scene(("P1/cam", EAST, 105.0, 0.0), ("P2/cam", EAST + 300.0, NORTH, 90.0), heights=heights)
    some = (gap("line"), gap("lane"), gap("breach", 800.0, 1300.0, 1200.0))
    coverage = dataclasses.replace(coverage, targets=(dataclasses.replace(coverage.targets[0], gaps=some),))
    found = told(coverage)
    assert set(found) == {one.id for one in some}
    for one in some:
        near, ground = found[one.id]
        assert [closer_words(each) for each in near] == [closer_words(each) for each in closers(coverage, one)]
        assert ground == lie(coverage.terrain, coverage.frontage, one)
        json.dumps([[closer_json(each) for each in near], lie_json(ground)], allow_nan=False)


# --- the ground


def test_the_lie_of_a_slope_is_the_planes_own_along_and_across():
    east, north = np.meshgrid((np.arange(201) + 0.5) * CELL, (np.arange(101) + 0.5) * CELL)
    terrain = Terrain.from_array(300.0 + 0.02 * east + 0.1 * north, CELL)
    frontage = Frontage(np.array([[5.0, NORTH], [2005.0, NORTH]]), 200.0, 100.0, True)
    for kind, low, high in (("line", NORTH, NORTH), ("lane", NORTH - 100.0, NORTH + 200.0)):
        found = lie(terrain, frontage, gap(kind))
        assert math.tan(found.along) == pytest.approx(0.02, rel=1e-6)
        assert math.tan(found.across) == pytest.approx(0.1, rel=1e-6)
        # From 900 to 1100 m of chainage, which begins 5 m east, looked at in the middles of pieces.
        assert found.lowest == pytest.approx(300.0 + 0.02 * 905.0 + 0.1 * low, abs=1.0)
        assert found.highest == pytest.approx(300.0 + 0.02 * 1105.0 + 0.1 * high, abs=1.0)
        assert (found.wooded, found.built, found.impassable, found.unknown, found.slowness) == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert "slope 5.7° across, 1.1° along" in lie_words(found)


def test_the_lie_tells_woods_buildings_water_and_going_as_shares():
    flat = np.full((101, 201), 100.0)
    canopy, surface, slowness = flat.copy(), flat.copy(), np.ones(flat.shape)
    # Stations lie in the middles of pieces from 900 to 1100 m: columns 90 to 109.
    canopy[:, 90:98] += 15.0
    surface[:, 98:100] += 6.0
    slowness[:, 100:105] = np.inf
    slowness[:, 105:110] = 4.0
    terrain = Terrain.from_array(flat, CELL, surface_amsl=surface, canopy_amsl=canopy)
    terrain = dataclasses.replace(terrain, slowness=slowness)
    frontage = Frontage(np.array([[0.0, NORTH], [2000.0, NORTH]]), 200.0, 100.0, True)
    for kind in ("line", "breach"):
        found = lie(terrain, frontage, gap(kind))
        assert (found.wooded, found.built, found.impassable) == pytest.approx((0.4, 0.1, 0.25))
        assert found.slowness == pytest.approx((10 * 1.0 + 5 * 4.0) / 15.0)
        assert lie_words(found) == (
            "100 m, slope 0.0° across, 0.0° along, 40 % wooded, 10 % built on, 25 % impassable, "
            "2.0 times as long on foot as open ground"
        )


def test_the_lie_of_unknown_ground_is_unknown():
    frontage = Frontage(np.array([[5.0, NORTH], [2005.0, NORTH]]), 200.0, 100.0, True)
    found = lie(Terrain.from_array(np.full((101, 201), np.nan), CELL), frontage, gap())
    assert found.unknown == 1.0
    assert lie_words(found) == "unknown ground"
    assert lie_json(found)["lowest_amsl_m"] is None
