"""The whole answer over time, on a short piece of real ground: what must hold between its parts."""

import json

import numpy as np
import pytest

from dronewall.engine.cycle import cycle_of
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned
from dronewall.engine.wall import cover
from dronewall.scenario import read

SITE = """
[site]
name = "cycle"
[terrain]
ground = "dronewall:jacksboro"
cell_m = 20.0
[frontage]
points_deg = [[36.55, -84.30], [36.557, -84.293]]
threat = "left"
belt_front_m = 200.0
belt_behind_m = 100.0
[thresholds]
k = 1
[patrol]
horizon_s = 500.0
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
[sensor_types.mast]
driver = "optics"
shape = "pyramid"
hfov_deg = 50.0
vfov_deg = 30.0
range_max_m = 350.0
model = { kind = "camera", pixels = 640 }
[sensor_types.pir]
driver = "pir"
shape = "sector"
hfov_deg = 90.0
vfov_deg = 40.0
range_max_m = 60.0
model = { kind = "pir", reference_m = 30.0 }
[[posts]]
name = "P1"
latitude_deg = 36.5535
longitude_deg = -84.2965
[[nodes]]
post = "P1"
mast_m = 6.0
sensors = [
    { name = "cam", type = "mast", azimuth_deg = 40.0, elevation_deg = -2.0 },
    { name = "pir", type = "pir", azimuth_deg = 0.0 },
]
[airframes.quad]
speed_mps = 12.0
endurance_s = 400.0
reserve_s = 60.0
turnaround_s = 60.0
[[drones]]
name = "D1"
airframe = "quad"
sensors = [{ name = "cam", type = "camera", elevation_deg = -50.0 }]
[[drones]]
name = "D2"
airframe = "quad"
sensors = [{ name = "cam", type = "camera", elevation_deg = -50.0 }]
[[sorties]]
name = "along"
drones = ["D1", "D2"]
launch = "P1"
pattern = "shuttle"
route_deg = [[36.551, -84.299], [36.556, -84.294]]
height_agl_m = 90.0
"""


def grounded(folder, *replaced):
    text = SITE
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "site.toml"
    path.write_text(text)
    return ground_of(read(path))


def planned_cycle(ground, **options):
    return cycle_of(cover(ground, planned(ground)), **options)


@pytest.fixture(scope="module")
def cycle(tmp_path_factory):
    return planned_cycle(grounded(tmp_path_factory.mktemp("site")), losses=True)


def test_a_cycle_is_cut_into_whole_steps_and_says_where_its_drones_look(cycle):
    assert cycle.periodic
    assert cycle.length == cycle.plan.cycle
    assert cycle.steps * cycle.step == pytest.approx(cycle.length)
    assert len(cycle.frusta) == cycle.steps
    # Two drones that take turns, on station for most of the time.
    assert {name for frusta in cycle.frusta for name in frusta} == {"D1/cam", "D2/cam"}
    assert [(of.target.name, of.level) for of in cycle.targets] == [("walker", "expected"), ("walker", "assured")]


def test_knowing_the_schedule_never_makes_detection_likelier(cycle):
    for of in cycle.targets:
        can = np.isfinite(of.unknowing_p)
        assert can.any()
        assert (of.knowing_p[can] <= of.unknowing_p[can] + 1e-9).all()
        assert of.knowing.probability <= of.unknowing.probability + 1e-9
        # Whatever he does at a station the best of the whole line is no worse.
        assert of.knowing.probability <= np.nanmin(of.knowing_p) + 1e-9
        # Who does not know it meets the mean over all times, which lies between the least and the most.
        assert of.unknowing_p[can] == pytest.approx(of.crossing_p[can].mean(axis=1), abs=1e-6)
        assert (of.knowing_p[can] <= of.crossing_p[can].min(axis=1) + 1e-6).all()


def test_the_schedule_is_worth_something_here(cycle):
    # Where a drone passes every few minutes its passes can be avoided in part.
    expected = cycle.targets[0]
    assert (expected.unknowing_p - expected.knowing_p).max() > 0.1


def test_drones_only_ever_add(cycle):
    for of in cycle.targets:
        fixed = of.stations.breach_p
        # The audit tells, the sum of rates seeks: what is least by the one is almost so by the other.
        assert (of.unknowing_p >= fixed - 0.02).all()
        assert (of.knowing_p >= fixed - 0.02).all()
        assert (of.station_revisit.share >= (of.stations.line_p >= 0.5) - 1e-9).all()


def test_stations_are_watched_as_long_as_their_steps_say(cycle):
    for of in cycle.targets:
        assert of.watched.shape == (len(of.stations.chainage), cycle.steps)
        assert of.station_revisit.share == pytest.approx(of.watched.mean(axis=1))


def test_a_way_in_time_follows_the_clock(cycle):
    for of in cycle.targets:
        for way in (of.knowing, of.unknowing):
            assert (np.diff(way.clock) >= -1e-6).all()
            assert way.sets_out == pytest.approx(way.clock[0])
            assert way.clock[-1] <= way.arrives
            assert 0.0 <= way.sets_out < cycle.length
            walked = way.arrives - way.sets_out - way.waits
            # 300 m of belt at 1.4 m/s; the way lies within three times that.
            assert 300.0 / 1.4 * 0.98 <= walked <= cycle.max_crossing["walker"] * 1.02
            assert way.before <= way.probability + 1e-9


def test_a_lost_drone_leaves_the_line_no_better_watched(cycle):
    assert [lost.drone for lost in cycle.losses] == ["D1", "D2"]
    for lost in cycle.losses:
        assert lost.back == pytest.approx(cycle.plan.sortie_of[lost.drone].headway)
        for one in lost.targets:
            assert one.least_without <= one.least + 0.02
            assert one.open_without >= one.open - 1.0
        assert any(one.open_without > one.open + 10.0 for one in lost.targets)


def test_a_drone_that_is_alone_is_missed_for_ever_and_leaves_what_the_posts_see(tmp_path):
    alone = planned_cycle(grounded(tmp_path, ('drones = ["D1", "D2"]', 'drones = ["D1"]')), losses=True)
    (lost,) = alone.losses
    assert lost.back is None
    for one, of in zip(lost.targets, alone.targets, strict=True):
        assert one.least_without <= one.least + 1e-9
        assert one.least_without == pytest.approx(of.stations.breach_p.min(), abs=0.02)
        # What is open without any drone is open at all times.
        fixed = (of.stations.breach_p < 0.5).sum() * of.stations.step
        assert one.open_without == pytest.approx(fixed, abs=2 * of.stations.step)


def test_drones_that_see_nothing_leave_the_static_answer(tmp_path):
    # A camera that reaches 40 m from 90 m above the ground.
    blind = planned_cycle(grounded(tmp_path, ("range_max_m = 500.0", "range_max_m = 40.0")))
    for of in blind.targets:
        assert of.unknowing_p == pytest.approx(of.stations.breach_p, abs=1e-6)
        assert of.knowing_p == pytest.approx(of.stations.breach_p, abs=1e-6)
        assert np.ptp(of.crossing_p, axis=1) == pytest.approx(0.0, abs=1e-6)
        assert all(opening.always for opening in of.openings)


def test_where_two_nodes_have_to_see_him_at_once_less_is_watched(tmp_path, cycle):
    two = planned_cycle(grounded(tmp_path, ("k = 1", "k = 2")))
    for of, one in zip(two.targets, cycle.targets, strict=True):
        assert (of.knowing_p <= of.unknowing_p + 1e-9).all()
        assert (of.station_revisit.share <= one.station_revisit.share + 1e-9).all()
        assert of.unknowing_p.mean() < one.unknowing_p.mean()


def test_a_plan_that_does_not_repeat_itself_is_looked_at_for_its_horizon(tmp_path):
    odd = planned_cycle(
        grounded(
            tmp_path,
            ("[[sorties]]", "[airframes.wing]\nspeed_mps = 20.003\n[[sorties]]"),
            ('name = "D2"\nairframe = "quad"', 'name = "D2"\nairframe = "wing"'),
            ('drones = ["D1", "D2"]', 'drones = ["D1"]'),
            (
                "height_agl_m = 90.0\n",
                "height_agl_m = 90.0\nevery_s = 21601.0\n[[sorties]]\n"
                'name = "round"\ndrones = ["D2"]\npattern = "orbit"\nroute_deg = [[36.5535, -84.2965]]\n'
                "radius_m = 150.0\nheight_agl_m = 80.0\n",
            ),
        )
    )
    assert odd.plan.cycle is None
    assert not odd.periodic
    assert odd.length == 500.0
    for of in odd.targets:
        assert of.outsets.max() < 500.0
        assert (of.knowing_outset < 500.0).all()
        assert of.watched.shape[1] == odd.steps
        assert (of.knowing_p <= of.unknowing_p + 1e-9).all()


def test_a_closed_lane_leaves_the_way_round_it(tmp_path):
    # Water across the middle of the belt's front half, narrower than the lateral distance to both sides.
    polygon = [[-84.2975, 36.5536], [-84.2967, 36.5544], [-84.2964, 36.5542], [-84.2972, 36.5534], [-84.2975, 36.5536]]
    water = {"type": "Polygon", "coordinates": [polygon]}
    (tmp_path / "water.geojson").write_text(json.dumps(water))
    wet = planned_cycle(grounded(tmp_path, ("[thresholds]", '[going]\nimpassable = "water.geojson"\n[thresholds]')))
    for of in wet.targets:
        closed = of.stations.lane_p == 1.0
        round_it = closed & (of.stations.breach_p < 0.9)
        assert closed.any()
        assert round_it.any()
        assert np.isfinite(of.unknowing_p[round_it]).all()
        assert (of.knowing_p[round_it] <= of.unknowing_p[round_it] + 1e-9).all()


def test_a_flight_once_in_a_long_cycle_is_not_passed_over(tmp_path):
    rare = planned_cycle(grounded(tmp_path, ("height_agl_m = 90.0", "height_agl_m = 90.0\nevery_s = 5400.0")))
    assert rare.length == 10800.0
    assert rare.step < 10.0
    # Two flights of at most 340 s, of which some see the line.
    flown = sum(bool(frusta) for frusta in rare.frusta) * rare.step
    assert 400.0 < flown < 2.0 * 340.0 + 2.0 * rare.step
    assert rare.targets[0].crossing_p.std(axis=1).max() > 0.0


@pytest.mark.parametrize(
    ("sensor", "longest"),
    [
        ("elevation_deg = 10.0", 5.0),  # it sees no flat ground
        ('elevation_deg = -50.0, gimbal = "sweep", sweep_deg = 120.0, sweep_s = 4.0', 0.5),
    ],
)
def test_no_sensor_is_frozen_by_a_long_step(tmp_path, sensor, longest):
    ground = grounded(tmp_path, ('type = "camera", elevation_deg = -50.0 }', f'type = "camera", {sensor} }}'))
    found = cycle_of(cover(ground, planned(ground)))
    assert found.step <= longest


def test_who_has_less_time_finds_no_better_way(tmp_path, cycle):
    # 300 m at 1.4 m/s take 214.3 s.
    hurried = planned_cycle(grounded(tmp_path, ("horizon_s = 500.0", "horizon_s = 500.0\nmax_crossing_s = 215.0")))
    for of, free in zip(hurried.targets, cycle.targets, strict=True):
        assert (of.knowing_p >= free.knowing_p - 0.01).all()
        for way in (of.knowing, of.unknowing):
            assert way.arrives - way.sets_out <= 1.02 * 215.0


def test_over_a_horizon_in_which_nobody_flies_the_line_is_what_the_posts_see(tmp_path):
    late = planned_cycle(
        grounded(tmp_path, ("height_agl_m = 90.0", "height_agl_m = 90.0\nevery_s = 11000.0\nstart_s = 5000.0"))
    )
    assert not late.periodic
    assert not any(late.frusta)
    for of in late.targets:
        assert of.unknowing_p == pytest.approx(of.stations.breach_p, abs=1e-6)


def test_a_drone_that_nobody_hears_does_not_count(tmp_path):
    ground = grounded(tmp_path)
    heard = [report for report in planned(ground, 5.0) if report.node != "D2"]
    live = cycle_of(cover(ground, heard, 1_700_000_000_000, source="live"))
    assert live.silent == ("D2",)
    assert {name for frusta in live.frusta for name in frusta} <= {"D1/cam"}
    assert live.digest != planned_cycle(ground).digest


def test_without_a_drone_that_flies_there_is_no_cycle(tmp_path):
    start = SITE.index("[[sorties]]")
    assert planned_cycle(grounded(tmp_path, (SITE[start:], ""))) is None


def test_long_work_says_how_far_it_is(tmp_path):
    told = []
    planned_cycle(grounded(tmp_path), progress=lambda what, done, of: told.append((what, done, of)))
    assert told
    whats = list(dict.fromkeys(what for what, _, _ in told))
    assert whats == ["what the drones see", *(f"ways across in time, {n} of 2: stations" for n in (1, 2))]
    assert all(0 <= done <= of for _, done, of in told)
