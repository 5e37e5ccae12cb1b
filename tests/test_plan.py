"""The plan over the ground: what is refused, where the drones' sensors look, what is said of those on the ground."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall.engine.ground import Ground, ground_of
from dronewall.engine.patrol import PatrolError
from dronewall.engine.plan import airborne, plan_of, planned
from dronewall.engine.sensors import landed, sensor_states
from dronewall.engine.terrain import Terrain
from dronewall.engine.track import track
from dronewall.live.moment import planned as moment_planned
from dronewall.scenario import read

SITE = """
[site]
name = "plan"
[terrain]
ground = "dronewall:jacksboro"
cell_m = 20.0
[frontage]
points_deg = [[36.55, -84.30], [36.58, -84.27]]
threat = "left"
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
range_max_m = 1500.0
model = { kind = "camera", pixels = 1920 }
[[posts]]
name = "P1"
latitude_deg = 36.56
longitude_deg = -84.292
[airframes.quad]
speed_mps = 12.0
endurance_s = 900.0
reserve_s = 200.0
turnaround_s = 182.0
[airframes.wing]
speed_mps = 20.0
[[drones]]
name = "D1"
airframe = "quad"
sensors = [
    { name = "nose", type = "camera", azimuth_deg = -30.0, elevation_deg = -50.0, roll_deg = 5.0 },
    { name = "point", type = "camera", gimbal = "point", point_deg = [36.562, -84.280] },
]
[[drones]]
name = "D2"
airframe = "quad"
sensors = [{ name = "sweep", type = "camera", gimbal = "sweep", sweep_deg = 120.0, sweep_s = 16.0, azimuth_deg = 90.0 }]
[[drones]]
name = "D3"
airframe = "wing"
sensors = [{ name = "sweep", type = "camera", gimbal = "sweep", sweep_deg = 120.0, sweep_s = 16.0 }]
[[drones]]
name = "D4"
airframe = "wing"
sensors = [{ name = "cam", type = "camera" }]
[[sorties]]
name = "along"
drones = ["D1", "D2"]
launch = "P1"
pattern = "shuttle"
route_deg = [[36.56, -84.29], [36.57, -84.28]]
height_agl_m = 90.0
start_s = 40.0
[[sorties]]
name = "circle"
drones = ["D3"]
pattern = "orbit"
route_deg = [[36.565, -84.288]]
radius_m = 400.0
direction = "counterclockwise"
height_amsl_m = 1100.0
"""


def grounded(tmp_path_factory, *replaced: tuple[str, str]) -> Ground:
    text = SITE
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(text)
    return ground_of(read(path))


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Ground:
    return grounded(tmp_path_factory)


@pytest.fixture(scope="module")
def plan(ground):
    return plan_of(ground)


# Of the cycle and some way around it.
times = st.floats(-3000.0, 6000.0)


@given(times)
def test_what_is_airborne_is_to_the_last_bit_what_the_planned_reports_make(ground, plan, time):
    counting = sensor_states(ground, planned(ground, time, plan), states=landed(ground, plan, time))
    assert airborne(ground, plan, time) == [(s.name, s.frustum) for s in counting if s.frustum is not None]
    for sensor in counting:
        assert (sensor.state == "landed") == (plan.at(sensor.name.split("/")[0], time) is None), sensor


@given(st.integers(-3000, 6000), st.integers(-2, 2))
def test_everything_is_as_it_was_after_a_cycle(ground, plan, time, cycles):
    assert plan.cycle is not None
    assert airborne(ground, plan, float(time)) == airborne(ground, plan, time + cycles * plan.cycle)


@given(times)
def test_a_drone_holds_its_height_over_the_ground_or_the_sea(ground, plan, time):
    for name, frustum in airborne(ground, plan, time):
        if name.startswith("D3/"):
            assert frustum.eye_amsl == 1100.0
        else:
            # The wire rounds the place to 1 cm and so does the height.
            assert frustum.eye_agl == pytest.approx(90.0, abs=0.05)


@given(times)
def test_a_pointed_gimbal_holds_its_place(ground, plan, time):
    east, north = ground.site.to_site(36.562, -84.280)
    floor = float(ground.terrain.ground(east, north))
    for name, frustum in airborne(ground, plan, time):
        if name == "D1/point":
            away = math.hypot(east - frustum.east, north - frustum.north)
            ray = frustum.axes()[0] * away / math.cos(frustum.elevation)
            assert frustum.east + ray[0] == pytest.approx(east, abs=0.0003 * away + 0.1)
            assert frustum.north + ray[1] == pytest.approx(north, abs=0.0003 * away + 0.1)
            # The earth's curve is 2 cm at 600 m; an angle of 0.005 degrees is as much as the wire rounds by.
            assert frustum.eye_amsl + ray[2] == pytest.approx(floor, abs=0.1 + 0.0003 * away * (1 + 90.0 / away))


def turned(frustum, course: float) -> float:
    """Degrees of a boresight to the right of the course."""
    return (math.degrees(frustum.azimuth - course) + 180.0) % 360.0 - 180.0


@pytest.mark.parametrize(
    ("flown", "off"), [(0.0, 90.0), (2.0, 120.0), (4.0, 150.0), (8.0, 90.0), (12.0, 30.0), (14.0, 60.0), (16.0, 90.0)]
)
def test_a_sweep_goes_from_side_to_side_from_take_off_on(ground, plan, flown, off):
    # Full angle of 120 degrees about 90 to the right, there and back in 16 s: 15 degrees a second.
    time = plan.next_take_off("D2", 0.0) + flown
    (frustum,) = (found for name, found in airborne(ground, plan, time) if name == "D2/sweep")
    assert turned(frustum, plan.at("D2", time).course) == pytest.approx(off, abs=0.02)


def test_a_drone_that_never_lands_sweeps_a_whole_number_of_times_in_its_round(ground, plan):
    # 2 pi 400 m at 20 m/s take 125.7 s, flown in 126: seven sweeps of 18 s for the 16 s that were asked for.
    assert plan.sortie_of["D3"].period == 126.0
    at = {}
    for time in (-126.0, 0.0, 18.0, 36.0, 4.5, 13.5):
        frustum = dict(airborne(ground, plan, time))["D3/sweep"]
        at[time] = turned(frustum, plan.at("D3", time).course)
    assert [at[time] for time in (-126.0, 0.0, 18.0, 36.0)] == pytest.approx([0.0] * 4, abs=0.02)
    assert (at[4.5], at[13.5]) == pytest.approx((60.0, -60.0), abs=0.02)


def test_a_report_tells_how_fast_it_flies_clockwise_from_true_north(ground, plan):
    time = plan.next_take_off("D1", 0.0) + 60.0
    report = next(r for r in planned(ground, time, plan) if (r.node, r.sensor, r.kind) == ("D1", "nose", "frustum"))
    east, north = report.values["velocity_east_mps"], report.values["velocity_north_mps"]
    assert math.hypot(east, north) == pytest.approx(12.0, abs=0.01)
    # Its sensor looks 30 degrees to the left of where it flies.
    looks = math.degrees(math.atan2(east, north)) - 30.0
    assert (looks - report.values["azimuth_deg"] + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=0.06)
    assert report.values["roll_deg"] == 5.0


def test_who_is_on_the_ground_sends_a_birth_and_says_when_it_takes_off(ground, plan):
    # The pair's period: 700 s in the air and 182 on the ground. 40 s into its timetable the first is in the air; it
    # lands at 660 s and takes off again at 842 s.
    assert plan.sortie_of["D1"].period == 882.0
    kinds = [(r.kind, r.sensor) for r in planned(ground, 680.0, plan) if r.node == "D1"]
    assert kinds == [("birth", None)]
    said = landed(ground, plan, 680.0)
    assert said["D1/nose"] == said["D1/point"] == ("landed", "on the ground, takes off in 2:42 min")
    assert said["D4/cam"] == ("landed", "on the ground, in no sortie")
    moment = moment_planned(ground, 680.0)
    assert moment.states == said
    states = {s.name: s for s in sensor_states(ground, moment.reports, "planned", moment.states)}
    assert (states["D1/nose"].state, states["D1/nose"].frustum) == ("landed", None)
    # Without the plan at hand that much is known all the same.
    assert {s.name: s.note for s in sensor_states(ground, moment.reports)}["D1/nose"] == "on the ground"
    # Of live reports nobody knows why they are not there.
    live = {s.name: (s.state, s.note) for s in sensor_states(ground, moment.reports, "heard")}
    assert live["D1/nose"] == ("missing", "no report")


# --- refusals


def ridged(ground: Ground, floor) -> Ground:
    """The same site over ground as a function of metres east and north."""
    west, east, south, north = ground.terrain.extent
    cell = 20.0
    rows, cols = int((north - south) / cell), int((east - west) / cell)
    x, y = np.meshgrid(west + cell * (np.arange(cols) + 0.5), south + cell * (np.arange(rows) + 0.5))
    heights = np.asarray(floor(x, y), dtype=np.float64)
    return dataclasses.replace(ground, terrain=Terrain.from_array(heights, cell, west, south))


def lines(error: PatrolError) -> list[str]:
    return str(error).splitlines()


def test_ground_above_the_flying_height_is_refused_with_place_and_height(ground):
    # A tower of rock, 1150 m AMSL, where the orbit is farthest east.
    east, north = ground.site.to_site(36.565, -84.288)
    peak = ridged(ground, lambda x, y: np.where(np.hypot(x - east - 400.0, y - north) < 60.0, 1150.0, 300.0))
    with pytest.raises(PatrolError) as caught:
        plan_of(peak)
    (line,) = lines(caught.value)
    assert line.startswith("sortie circle: the ground rises to 1150 m AMSL along its route at 36.56")
    assert line.endswith("50 m above the drone; expected it under the flying height of 1100 m AMSL")
    # As high as the drone flies is too high.
    flat = ridged(ground, lambda x, y: np.full(x.shape, 1100.0))
    with pytest.raises(PatrolError, match="0 m above the drone"):
        plan_of(flat)
    plan_of(ridged(ground, lambda x, y: np.full(x.shape, 1099.0)))


def test_ground_is_looked_at_on_the_way_out_and_home(tmp_path_factory):
    # The launch is 4 km south of the route at 700 m AMSL; a ridge of 750 m lies across the way.
    post = ("latitude_deg = 36.56\nlongitude_deg = -84.292", "latitude_deg = 36.545\nlongitude_deg = -84.292")
    site = grounded(tmp_path_factory, post, ("height_agl_m = 90.0", "height_amsl_m = 700.0"))
    _, middle = site.site.to_site(36.552, -84.292)
    ridge = ridged(site, lambda x, y: np.where(np.abs(y - middle) < 30.0, 750.0, 300.0))
    with pytest.raises(PatrolError, match=r"^sortie along: the ground rises to 750 m AMSL on the way out at 36\.55"):
        plan_of(ridge)


def test_unknown_ground_under_the_way_is_refused_with_the_place(ground):
    east, north = ground.site.to_site(36.565, -84.285)
    hole = ridged(ground, lambda x, y: np.where(np.hypot(x - east, y - north) < 50.0, np.nan, 300.0))
    with pytest.raises(PatrolError) as caught:
        plan_of(hole)
    (line,) = lines(caught.value)
    assert line.startswith("sortie along: no known ground along its route at 36.56")
    assert line.endswith("the terrain does not know it; expected some all along")


def test_a_gimbal_that_points_at_unknown_ground_is_refused(ground):
    east, north = ground.site.to_site(36.562, -84.280)
    spot = ridged(ground, lambda x, y: np.where(np.hypot(x - east, y - north) < 50.0, np.nan, 300.0))
    with pytest.raises(PatrolError) as caught:
        plan_of(spot)
    (line,) = lines(caught.value)
    assert line.startswith("sortie along: D1/point points at 36.56200, -84.28000, where the terrain knows no ground")


def test_what_stands_on_the_ground_is_in_the_way_too(ground):
    east, north = ground.site.to_site(36.565, -84.285)
    flat = ridged(ground, lambda x, y: np.full(x.shape, 300.0))
    x, y = np.meshgrid(
        flat.terrain.west + 20.0 * (np.arange(flat.terrain.shape[1]) + 0.5),
        flat.terrain.south + 20.0 * (np.arange(flat.terrain.shape[0]) + 0.5),
    )
    tower = np.where(np.hypot(x - east, y - north) < 50.0, 400.0, 300.0)
    built = dataclasses.replace(flat, terrain=dataclasses.replace(flat.terrain, surface_amsl=tower))
    plan_of(flat)
    words = (
        "sortie along: what stands on the ground rises to 400 m AMSL along its route .* 10 m above the drone; expected"
    )
    with pytest.raises(PatrolError, match=words + " it under the flying height of 90 m AGL"):
        plan_of(built)


def test_every_sortie_that_cannot_be_flown_is_named_at_once(tmp_path_factory):
    more = """
[[sorties]]
name = "again"
drones = ["D4"]
launch = "P1"
pattern = "waypoints"
every_s = 20.0
route_deg = [[36.56, -84.29], [36.57, -84.28]]
height_agl_m = 90.0
"""
    site = grounded(
        tmp_path_factory,
        ("endurance_s = 900.0", "endurance_s = 210.0"),
        ("height_amsl_m = 1100.0\n", "height_amsl_m = 1100.0\n" + more),
    )
    with pytest.raises(PatrolError) as caught:
        plan_of(site)
    short, often = lines(caught.value)
    # P1 is 179 m from the route: 14.9 s at 12 m/s.
    assert short == (
        "sortie along: takes 15 s out and 15 s home with 200 s reserve; endurance 210 s leaves -20 s on station"
    )
    # 179 m out, 1426 m along and 1544 m home at 20 m/s: 157.5 s.
    assert often == (
        "sortie again: a take-off every 20 s; expected 158 s or more: 1 drone, 158 s in the air and 0 s on the ground"
    )


# --- what a simulated drone lives through


def test_a_track_follows_the_plan_in_the_air_and_rests_on_the_ground_between(ground, plan):
    for drone in ("D1", "D2", "D3"):
        period = plan.sortie_of[drone].period
        rows = track(ground, plan, drone)
        at = np.array([row[0] for row in rows])
        assert (at[0], at[-1]) == (0.0, period)
        assert np.diff(at).min() > 0.0
        assert np.diff(at).max() <= 5.0 + 1e-9
        assert len(rows) < 1000
        spots = np.array([ground.site.to_site(row[1], row[2]) for row in rows])
        for time in np.arange(0.3, period, 7.7):
            place = plan.at(drone, float(time))
            east, north = (float(np.interp(time, at, spots[:, axis])) for axis in (0, 1))
            amsl = float(np.interp(time, at, [row[3] for row in rows]))
            if place is None:
                assert (east, north) == pytest.approx(plan.sortie_of[drone].launch, abs=0.1)
                above = amsl - float(ground.terrain.ground(east, north))
                assert -0.1 <= above <= 90.1
                since = plan.sortie_of[drone].flown(drone, float(time)) - plan.sortie_of[drone].flight
                if since > 10.0 and period - plan.sortie_of[drone].flown(drone, float(time)) > 10.0:
                    assert above == pytest.approx(0.0, abs=0.1)
            else:
                # An orbit's track has a chord for each 5 s of 20 m/s: 3.1 m inside the circle of 400 m.
                assert math.hypot(east - place.east, north - place.north) < 3.3
    assert track(ground, plan, "D4") == []


def test_a_track_turns_at_once_at_a_corner(ground, plan):
    rows = track(ground, plan, "D1")
    courses = np.array([row[4] for row in rows])
    turns = np.abs((np.diff(courses) + 180.0) % 360.0 - 180.0)
    at = np.array([row[0] for row in rows])
    in_air = np.array([plan.at("D1", time) is not None for time in at])
    flying = in_air[1:] & in_air[:-1]
    assert turns[flying].max() > 170.0  # the shuttle's far end
    assert np.diff(at)[flying & (turns > 10.0)].max() <= 0.0011


def test_the_ground_that_is_read_holds_launch_and_orbit(tmp_path_factory):
    away = (
        ('launch = "P1"', 'launch = "P2"'),
        (
            "[airframes.quad]",
            '[[posts]]\nname = "P2"\nlatitude_deg = 36.56\nlongitude_deg = -84.320\n[airframes.quad]',
        ),
    )
    for replaced, height in ((away, "1100.0"), ((("radius_m = 400.0", "radius_m = 3000.0"),), "3000.0")):
        site = grounded(tmp_path_factory, *replaced, ("height_amsl_m = 1100.0", f"height_amsl_m = {height}"))
        assert len(plan_of(site).sorties) == 2
