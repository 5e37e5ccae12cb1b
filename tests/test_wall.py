import dataclasses
import math
import textwrap
import threading

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import dronewall
from dronewall.engine import sensors, wall
from dronewall.engine.ground import ground_of
from dronewall.engine.levels import LEVELS
from dronewall.engine.patrol import PatrolError
from dronewall.engine.plan import PLANNED_MAST_SIGMA_M, plan_of, planned
from dronewall.engine.track import track
from dronewall.scenario import read

SITE = """
[site]
name = "testwall"
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
[airframes.wing]
speed_mps = 12.0
[[drones]]
name = "D1"
airframe = "wing"
sensors = [{ name = "cam", type = "camera", elevation_deg = -60.0 }]
[[sorties]]
name = "along"
drones = ["D1"]
pattern = "shuttle"
route_deg = [[36.56, -84.29], [36.57, -84.28]]
height_agl_m = 90.0
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(SITE)
    return ground_of(read(path))


def test_a_plan_covers_and_says_so_of_every_sensor(ground):
    coverage = wall.cover(ground, planned(ground))
    assert [(sensor.name, sensor.post, sensor.state, sensor.moving) for sensor in coverage.sensors] == [
        ("P1/cam", "P1", "planned", False),
        ("P1/side", "P1", "planned", False),
        ("D1/cam", None, "planned", True),
    ]
    assert [(target.target.name, target.level) for target in coverage.targets] == [
        ("walker", "expected"),
        ("low-drone", "expected"),
        ("walker", "assured"),
        ("low-drone", "assured"),
    ]
    walker = coverage.targets[0]
    assert walker.look.shape == coverage.terrain.shape
    assert 0.0 < walker.covered_share < 1.0
    assert walker.covered_share + walker.unknown_share + walker.gap_length(
        "line"
    ) / coverage.frontage.length == pytest.approx(1.0, abs=1e-9)
    assert walker.longest_gap.length == max(gap.length for gap in walker.gaps)


def test_the_weakest_crossing_is_the_least_detected_of_all_that_were_found(ground):
    for target in wall.cover(ground, planned(ground)).targets:
        found = [target.route.probability, target.bottleneck.probability, float(target.stations.breach_p.min())]
        assert target.weakest.probability == min(found)
        # What it tells of itself fits together.
        assert target.weakest.before <= target.weakest.probability + 1e-12
        assert target.weakest.seconds * target.target.speed_mps == pytest.approx(target.weakest.length, rel=0.05)
        assert 0.0 <= target.weakest.chainage <= ground.frontage.length


def test_a_planned_azimuth_counts_from_true_north(ground):
    frustum = wall.cover(ground, planned(ground)).sensors[0].frustum
    # A point 500 m away at true azimuth 320 degrees lies on the boresight, in the grid.
    import pyproj

    longitude, latitude, _ = pyproj.Geod(ellps="WGS84").fwd(-84.292, 36.56, 320.0, 500.0)
    east, north = ground.site.to_site(latitude, longitude)
    azimuth = math.atan2(east - frustum.east, north - frustum.north) % math.tau
    assert azimuth == pytest.approx(frustum.azimuth, abs=2e-4)
    assert math.degrees(frustum.azimuth) == pytest.approx(
        320.0 - 1.62, abs=0.03
    )  # 2.71 degrees of longitude x sin 36.56


def test_eyes_stand_on_the_ground_and_drones_fly_above_it(ground):
    coverage = wall.cover(ground, planned(ground, time=30.0))
    post, _, drone = (sensor.frustum for sensor in coverage.sensors)
    assert post.eye_amsl == pytest.approx(float(ground.terrain.ground(post.east, post.north)) + 8.0)
    assert drone.eye_agl == pytest.approx(90.0, abs=0.2)
    later = wall.cover(ground, planned(ground, time=31.0)).sensors[2].frustum
    assert math.hypot(later.east - drone.east, later.north - drone.north) == pytest.approx(12.0, abs=0.05)


def test_the_flight_of_a_drone_follows_ground_and_course(ground):
    flown = track(ground, plan_of(ground), "D1", longest=2.0)
    assert flown[0][0] == 0.0
    for _, latitude, longitude, amsl, _ in flown:
        assert amsl == pytest.approx(
            float(ground.terrain.ground(*ground.site.to_site(latitude, longitude))) + 90.0, abs=1e-3
        )
    import pyproj

    azimuth, _, _ = pyproj.Geod(ellps="WGS84").inv(-84.29, 36.56, -84.28, 36.57)
    assert flown[1][4] == pytest.approx(azimuth % 360.0, abs=0.05)


def test_a_sensor_that_nobody_reported_is_listed_and_counts_nothing(ground):
    reports = [report for report in planned(ground) if report.node != "P1" or report.kind == "birth"]
    coverage = wall.cover(ground, reports, source="live")
    assert [(sensor.state, sensor.frustum is None) for sensor in coverage.sensors] == [
        ("missing", True),
        ("missing", True),
        ("heard", False),
    ]
    full = wall.cover(ground, planned(ground), source="live")
    assert (coverage.targets[0].stations.line_p <= full.targets[0].stations.line_p + 1e-12).all()
    assert (coverage.targets[0].stations.line_p < full.targets[0].stations.line_p).any()


def test_reports_that_make_no_frustum_are_refused_with_the_reason(ground):
    reports = planned(ground)
    frustum = next(report for report in reports if report.kind == "frustum" and report.sensor == "cam")
    stranger = frustum._replace(node="P9")
    far = frustum._replace(values={**frustum.values, "latitude_deg": 40.0})
    lost = frustum._replace(
        values={key: value for key, value in frustum.values.items() if key not in ("latitude_deg", "longitude_deg")}
    )
    for strange, name, reason in (
        (stranger, "P9/cam", "birth"),
        (far, "P1/cam", "frontage"),
        (lost, "P1/cam", "position"),
    ):
        coverage = wall.cover(ground, [*(r for r in reports if (r.node, r.sensor) != ("P1", "cam")), strange])
        state = next(sensor for sensor in coverage.sensors if sensor.name == name)
        assert (state.state, state.frustum) == ("refused", None)
        assert reason in state.note
    hollow = []
    for report in reports:
        if report.kind == "birth" and report.node == "P1":
            entries = [{**entry, "model": {**entry["model"], "n50": 0.0}} for entry in report.values["sensors"]]
            report = report._replace(values={**report.values, "sensors": entries})
        hollow.append(report)
    coverage = wall.cover(ground, hollow)
    assert [sensor.state for sensor in coverage.sensors] == ["refused", "refused", "planned"]
    assert "n50" in coverage.sensors[0].note


def test_a_report_from_the_other_side_of_the_earth_is_refused_and_the_rest_goes_on(ground):
    reports = planned(ground)
    frustum = next(report for report in reports if report.kind == "frustum" and report.sensor == "cam")
    for latitude, longitude in ((0.0, 6.0), (0.0, 3.0), (-36.0, 95.0), (38.0, -84.3)):
        values = {key: value for key, value in frustum.values.items() if key != "height_agl_m"}
        values |= {"latitude_deg": latitude, "longitude_deg": longitude, "height_amsl_m": 10.0}
        stray = frustum._replace(values=values)
        rest = [report for report in reports if (report.node, report.sensor) != ("P1", "cam")]
        coverage = wall.cover(ground, [*rest, stray], source="live")
        state = next(sensor for sensor in coverage.sensors if sensor.name == "P1/cam")
        assert (state.state, state.frustum) == ("refused", None)
        assert "frontage" in state.note or "map" in state.note


def test_a_receivers_height_error_is_not_the_masts(ground):
    """A post's node reports both heights: the one above sea level is a receiver's, metres off, the mast's is not."""
    reports = []
    for report in planned(ground):
        if report.kind == "frustum" and report.node == "P1":
            report = report._replace(values={**report.values, "height_amsl_m": 500.0, "height_sigma_m": 12.0})
        reports.append(report)
    live, plan = (wall.cover(ground, some) for some in (reports, planned(ground)))
    sigmas = [sensor.frustum.height_sigma for sensor in live.sensors if sensor.post == "P1"]
    assert sigmas == [PLANNED_MAST_SIGMA_M] * 2
    for one, other in zip(live.at_level("assured"), plan.at_level("assured"), strict=True):
        assert one.covered_share == other.covered_share


def test_a_drone_over_ground_that_nobody_knows_is_refused_with_the_place(tmp_path):
    path = tmp_path / "far.toml"
    path.write_text(SITE.replace("[[36.56, -84.29], [36.57, -84.28]]", "[[36.70, -84.16], [36.71, -84.16]]"))
    far = ground_of(read(path))
    with pytest.raises(PatrolError, match=r"^sortie along: no known ground along its route at 36\.70000, -84\.16000: "):
        planned(far)


def test_a_sensor_that_the_site_file_does_not_know_is_shown_as_such(ground):
    reports = planned(ground)
    also = [report._replace(node="P7") for report in reports if report.node == "P1"]
    coverage = wall.cover(ground, [*reports, *also], source="live")
    assert [(s.name, s.state, s.note) for s in coverage.sensors[3:]] == [
        ("P7/cam", "heard", "not in the site file"),
        ("P7/side", "heard", "not in the site file"),
    ]


def test_what_the_live_state_says_is_believed(ground):
    coverage = wall.cover(
        ground,
        planned(ground),
        source="live",
        states={"P1/cam": ("stale", "last heard 40 s ago"), "P1/side": ("missing", "lost")},
    )
    assert [(s.state, s.note) for s in coverage.sensors[:2]] == [("stale", "last heard 40 s ago"), ("missing", "lost")]
    assert coverage.sensors[0].frustum is not None
    assert coverage.sensors[1].frustum is None


def test_gaps_too_short_to_be_listed_are_not_covered_for_that(ground, tmp_path):
    path = tmp_path / "patient.toml"
    path.write_text(SITE + "[thresholds]\ngap_min_m = 20000.0\n")
    patient = ground_of(read(path))
    all_of_them, none = (wall.cover(one, planned(one)).targets[0] for one in (ground, patient))
    assert all_of_them.gaps
    assert not none.gaps
    assert none.covered_share == all_of_them.covered_share < 1.0


def test_a_sensor_that_sleeps_counts_for_its_share_of_the_time(ground, tmp_path):
    path = tmp_path / "sleepy.toml"
    path.write_text(
        SITE.replace("mast_m = 8.0", 'mast_m = 8.0\nduty = { awake = "duty", share = 0.25 }').split("[airframes.wing]")[
            0
        ]
    )
    alone = tmp_path / "awake.toml"
    alone.write_text(SITE.split("[airframes.wing]")[0])
    sleepy, awake = (ground_of(read(one)) for one in (path, alone))
    share, whole = (wall.cover(one, planned(one)).targets[0].stations for one in (sleepy, awake))
    # Where it is surely seen while awake, it is seen in a quarter of the cases by one sensor, in 7 of 16 by two.
    assert whole.line_p.max() > 0.9
    assert (share.line_p <= 0.4375 + 1e-9).all()
    one = (share.line_p > 0.0) & (share.line_p <= 0.25)
    assert share.line_p[one] == pytest.approx(0.25 * whole.line_p[one], rel=1e-4)


def test_the_order_of_reports_changes_nothing(ground):
    reports = planned(ground)
    one, other = (wall.cover(ground, some) for some in (reports, reports[::-1]))
    assert one.digest == other.digest
    for a, b in zip(one.targets, other.targets, strict=True):
        assert np.array_equal(a.look, b.look, equal_nan=True)
        assert a.gaps == b.gaps


def test_who_sees_a_place_makes_what_the_map_says_of_it(ground):
    coverage = wall.cover(ground, planned(ground))
    columns, rows = coverage.terrain.centres
    seen = 0
    for target in coverage.targets:
        random = np.random.default_rng(1)
        lit = np.argwhere(np.nan_to_num(target.look) > 0.0)
        for row, col in (*lit[:: max(1, len(lit) // 20)], *random.integers(0, coverage.terrain.shape, (20, 2))):
            east, north = columns[col] + 0.4 * ground.terrain.cell, rows[row] - 0.4 * ground.terrain.cell
            watchers = coverage.who(east, north, target.target.name, target.level)
            together = 1.0 - math.prod(1.0 - watcher.look for watcher in watchers)
            assert together == pytest.approx(np.nan_to_num(target.look[row, col]), abs=1e-6)
            assert {watcher.target for watcher in watchers} <= {target.target.name}
            assert {watcher.sensor for watcher in watchers} <= {"P1/cam", "P1/side", "D1/cam"}
            seen += len(watchers)
    assert seen > 20
    both = coverage.who(east, north)
    assert both == [*coverage.who(east, north, "walker"), *coverage.who(east, north, "low-drone")]
    assert coverage.who(1e6, 1e6) == []


def test_two_nodes_at_once_leave_more_gaps_than_one(ground, tmp_path):
    path = tmp_path / "both.toml"
    path.write_text(SITE.replace("[[targets]]", "[thresholds]\nk = 2\ncount_p = 0.3\n[[targets]]", 1))
    both = ground_of(read(path))
    one, two = (wall.cover(some, planned(some)).targets for some in (ground, both))
    for single, double in zip(one, two, strict=True):
        assert double.covered_share <= single.covered_share
        assert np.array_equal(single.look, double.look, equal_nan=True)
    # P1 has two sensors and is one node: alone, nothing counts.
    alone = [report for report in planned(both) if report.node == "P1"]
    assert all(target.covered_share == 0.0 for target in wall.cover(both, alone).targets)


def test_however_many_sensors_only_a_few_are_under_way(ground, monkeypatch):
    reports = [report for report in planned(ground) if report.node == "P1"]
    many = [report._replace(node=f"Q{index}") for index in range(12) for report in reports]
    begun, most = [], []
    real = wall.rates_of
    monkeypatch.setattr(wall, "rates_of", lambda *told: begun.append(1) or real(*told))
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", 2)
    wall.cover(ground, many, progress=lambda done, of: most.append(len(begun) - done))
    assert len(begun) == len(most) == 24
    assert max(most) <= 4


def test_what_is_interrupted_begins_no_further_sensor(ground, monkeypatch):
    reports = [report._replace(node=f"Q{index}") for index in range(12) for report in planned(ground)]
    begun = []
    go_on = threading.Event()
    computed = wall.rates_of

    def slow(*told):
        begun.append(1)
        if len(begun) > 1:
            go_on.wait(5)
        return computed(*told)

    def interrupted(done, of):
        threading.Timer(0.2, go_on.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(wall, "rates_of", slow)
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", 2)
    with pytest.raises(KeyboardInterrupt):
        wall.cover(ground, reports, progress=interrupted)
    assert 2 <= len(begun) <= 3  # the one that is done, and at most one on each core; a fourth waited


def test_what_all_sensors_read_of_the_terrain_is_made_before_the_first_of_them_begins(ground, monkeypatch):
    fresh = dataclasses.replace(ground, terrain=dataclasses.replace(ground.terrain))
    assert "relief" not in vars(fresh.terrain)
    made = []
    real = wall.rates_of
    monkeypatch.setattr(wall, "rates_of", lambda *told: made.append("relief" in vars(fresh.terrain)) or real(*told))
    wall.cover(fresh, planned(fresh))
    assert made == [True] * 3


def test_the_example_in_the_packages_own_words_runs(tmp_path, monkeypatch):
    (tmp_path / "site.toml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    example = "".join(line for line in dronewall.__doc__.splitlines(True) if line.startswith("    "))
    assert "cover(" in example
    names = {}
    exec(textwrap.dedent(example), names)
    assert names["coverage"].source == "plan"


def test_the_digest_changes_with_every_input(ground, tmp_path):
    reports = planned(ground)
    digests = {wall.cover(ground, some).digest for some in (reports, reports[:-1], planned(ground, time=5.0))}
    path = tmp_path / "other.toml"
    path.write_text(SITE.replace('threat = "left"', 'threat = "right"'))
    digests.add(wall.cover(ground_of(read(path)), reports).digest)
    # What a sensor is worth depends on the time, too: it turns stale while nobody reports.
    digests |= {wall.cover(ground, reports, states={"P1/cam": (state, "")}).digest for state in ("stale", "missing")}
    assert len(digests) == 6


def test_unknown_terrain_is_never_shown_as_covered(ground):
    heights = ground.terrain.ground_amsl.copy()
    on_line = ground.terrain.cells(*ground.frontage.at(ground.frontage.length / 2.0))
    heights[on_line[0] - 3 : on_line[0] + 4, on_line[1] - 3 : on_line[1] + 4] = np.nan
    holed = dataclasses.replace(ground, terrain=dataclasses.replace(ground.terrain, ground_amsl=heights))
    walker = wall.cover(holed, planned(ground)).targets[0]
    assert np.isnan(walker.look[on_line])
    dark = walker.stations.unknown
    assert dark.any()
    assert (walker.stations.line_p[dark] == 0.0).all()
    assert walker.unknown_share == pytest.approx(dark.mean())


def test_progress_counts_every_sensor(ground):
    told = []
    wall.cover(ground, planned(ground), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def write_level(path, ground):
    """A GeoTIFF of level ground, 321 m high, under the site and around it."""
    west, east, south, north = ground.terrain.extent
    size = 2 * (int((north - south) // 30) + 60), 2 * (int((east - west) // 30) + 60)
    corner = ground.site.origin_east + west - 600.0, ground.site.origin_north + north + 600.0
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": ground.site.crs.to_wkt()}
    with rasterio.open(
        path, "w", height=size[0], width=size[1], transform=from_origin(*corner, 30.0, 30.0), **profile
    ) as out:
        out.write(np.full((1, *size), 321.0, dtype=np.float32))
    return path


def test_the_analysts_own_terrain_replaces_the_site_files(ground, tmp_path):
    flat = ground_of(read(ground.scenario.path, write_level(tmp_path / "own.tif", ground)))
    assert np.nanmax(np.abs(flat.terrain.ground_amsl - 321.0)) < 1e-9
    assert flat.terrain.posting == pytest.approx(30.0, abs=0.01)
    assert wall.cover(flat, planned(flat)).targets[0].covered_share > 0.0


def test_a_site_file_can_be_moved_with_its_terrain(ground, tmp_path):
    (tmp_path / "here").mkdir()
    write_level(tmp_path / "here" / "own.tif", ground)
    (tmp_path / "here" / "site.toml").write_text(SITE.replace("dronewall:jacksboro", "own.tif"))
    before = ground_of(read(tmp_path / "here" / "site.toml")).terrain
    there = (tmp_path / "here").rename(tmp_path / "there")
    assert ground_of(read(there / "site.toml")).terrain.digest == before.digest != ground.terrain.digest


def test_a_plan_states_how_sure_its_poses_are(ground, tmp_path):
    path = tmp_path / "compass.toml"
    path.write_text(SITE.replace("azimuth_deg = 45.0", 'azimuth_deg = 45.0\nazimuth_source = "compass"'))
    own = ground_of(read(path))
    cam, side, drone = (sensor.frustum for sensor in wall.cover(own, planned(own)).sensors)
    assert [math.degrees(frustum.azimuth_sigma) for frustum in (cam, side, drone)] == pytest.approx([0.5, 3.0, 3.0])
    assert [math.degrees(frustum.tilt_sigma) for frustum in (cam, side, drone)] == pytest.approx([0.5] * 3)
    assert [frustum.position_sigma for frustum in (cam, side, drone)] == [1.0] * 3
    # A mast's height is over its own ground, a drone's above the sea.
    assert [frustum.height_sigma for frustum in (cam, side, drone)] == [0.1, 0.1, 1.0]


def test_what_is_stale_or_sleeps_is_expected_but_not_assured(ground):
    posts = [report for report in planned(ground) if report.node == "P1"]
    live = {"source": "live"}

    def seen(reports, **more):
        expected, assured = (wall.cover(ground, reports, **live, **more).at_level(level)[0] for level in LEVELS)
        return np.nanmax(expected.look) > 0.0, np.nanmax(assured.look) > 0.0

    assert seen(posts) == (True, True)
    assert seen(posts, states={"P1/cam": ("stale", ""), "P1/side": ("stale", "")}) == (True, False)
    for awake, assured in (("event", True), ("duty", False)):
        told = [
            report._replace(values={**report.values, "awake": awake, "duty": 0.5})
            if report.kind == "frustum"
            else report
            for report in posts
        ]
        assert seen(told) == (True, assured)


def test_a_report_without_errors_on_exact_ground_is_the_same_at_both_levels(ground):
    sure = ("position_sigma_m", "height_sigma_m", "azimuth_sigma_deg", "tilt_sigma_deg")
    reports = [
        report._replace(values={**report.values, **dict.fromkeys(sure, 0.0)}) if report.kind == "frustum" else report
        for report in planned(ground)
    ]
    coverage = wall.cover(ground, reports)
    for expected, assured in zip(coverage.at_level("expected"), coverage.at_level("assured"), strict=True):
        assert np.array_equal(expected.look, assured.look, equal_nan=True)
        assert (expected.stations.lane_p == assured.stations.lane_p).all()
        assert [gap.start for gap in expected.gaps] == [gap.start for gap in assured.gaps]
        assert not {gap.id for gap in expected.gaps} & {gap.id for gap in assured.gaps}
        assert {gap.level for gap in assured.gaps} == {"assured"}


def test_a_report_that_does_not_say_how_sure_it_is_assures_nothing(ground):
    reports = [
        report._replace(values={key: value for key, value in report.values.items() if key != "azimuth_sigma_deg"})
        if report.kind == "frustum"
        else report
        for report in planned(ground)
        if report.node == "P1"
    ]
    assert np.nanmax(wall.cover(ground, reports).at_level("assured")[0].look) == 0.0


def test_a_sensor_without_a_fix_or_a_compass_says_so_in_words(ground):
    """What a node reports before its receiver has a fix and before its compass answers."""

    def silent(report, keys, sources):
        values = {key: value for key, value in report.values.items() if key not in keys} | sources
        return report._replace(values=values)

    place = ("latitude_deg", "longitude_deg", "position_sigma_m", "height_sigma_m")
    turned = ("azimuth_deg", "azimuth_sigma_deg")
    reports = []
    for report in planned(ground):
        if report.kind == "frustum" and report.node == "P1":
            report = silent(report, place, {"position_source": "none"})
        if report.kind == "frustum" and report.sensor == "side":
            report = silent(report, turned, {"azimuth_source": "none"})
        reports.append(report)
    cam, side, _ = sensors.sensor_states(ground, reports)
    assert (cam.state, cam.note) == ("refused", "no position yet (no GNSS fix)")
    assert side.note == "no position yet (no GNSS fix), no azimuth yet (no compass reading)"


def test_the_windows_are_told_of_each_sensor(ground):
    told = {}
    coverage = wall.cover(ground, planned(ground), told=lambda name, shapes: told.update({name: shapes}))
    assert set(told) == {sensor.name for sensor in coverage.sensors}
    rows, cols = ground.terrain.shape
    for shapes in told.values():
        assert len(shapes) == len(ground.scenario.targets)
        assert all(0 < north <= rows and 0 < east <= cols for north, east in shapes)


def write_layer(path, ground, heights):
    """A raster of heights on the terrain's own cells; `heights` has row 0 in the south, as the terrain."""
    terrain, site = ground.terrain, ground.site
    west, _, _, north = terrain.extent
    top_left = from_origin(site.origin_east + west, site.origin_north + north, terrain.cell, terrain.cell)
    options = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": site.crs.to_wkt(), "transform": top_left}
    with rasterio.open(path, "w", height=heights.shape[0], width=heights.shape[1], **options) as dataset:
        dataset.write(np.flipud(heights).astype(np.float32), 1)


def test_a_wood_over_the_line_dims_what_is_seen_of_walkers_and_not_what_is_seen_of_drones(ground, tmp_path):
    write_layer(tmp_path / "chm.tif", ground, np.full(ground.terrain.shape, 15.0))
    path = tmp_path / "site.toml"
    path.write_text(SITE.replace("cell_m = 20.0", 'cell_m = 20.0\ncanopy = "chm.tif"\ncanopy_extinction_m = 10.0'))
    wooded = ground_of(read(path))
    assert np.allclose(wooded.terrain.canopy_amsl - wooded.terrain.ground_amsl, 15.0, atol=1e-3)
    one, other = (wall.cover(each, planned(each)) for each in (ground, wooded))
    for before, after in zip(one.targets, other.targets, strict=True):
        assert (np.nan_to_num(after.look) <= np.nan_to_num(before.look) + 1e-5).all()
    clear, dim = one.at_level("expected"), other.at_level("expected")
    assert dim[0].covered_share < 0.5 * clear[0].covered_share
    # The drone seen from the other drone, both above the wood, is as before.
    assert np.nanmax(dim[1].look) == pytest.approx(np.nanmax(clear[1].look))
    assert other.digest != one.digest


def test_a_mast_inside_a_building_is_said_to_stand_on_the_ground(ground, tmp_path):
    write_layer(tmp_path / "dsm.tif", ground, ground.terrain.ground_amsl + 30.0)
    path = tmp_path / "site.toml"
    path.write_text(SITE.replace("cell_m = 20.0", 'cell_m = 20.0\nsurface = "dsm.tif"'))
    built = ground_of(read(path))
    (camera, *_) = sensors.sensor_states(built, planned(built))
    assert camera.note == "22 m under the surface there; its height counts from the ground"
    assert camera.frustum.eye_agl == pytest.approx(8.0)
