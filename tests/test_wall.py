import dataclasses
import math

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from dronewall.engine import wall
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
[[drones]]
name = "D1"
route_deg = [[36.56, -84.29], [36.57, -84.28]]
repeat = "shuttle"
height_agl_m = 90.0
speed_mps = 12.0
sensors = [{ name = "cam", type = "camera", elevation_deg = -60.0 }]
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(SITE)
    return wall.ground_of(read(path))


def test_a_plan_covers_and_says_so_of_every_sensor(ground):
    coverage = wall.cover(ground, wall.planned(ground))
    assert [(sensor.name, sensor.post, sensor.state, sensor.moving) for sensor in coverage.sensors] == [
        ("P1/cam", "P1", "planned", False),
        ("P1/side", "P1", "planned", False),
        ("D1/cam", None, "planned", True),
    ]
    assert [target.target.name for target in coverage.targets] == ["walker", "low-drone"]
    walker = coverage.targets[0]
    assert walker.look.shape == coverage.terrain.shape
    assert 0.0 < walker.covered_share < 1.0
    assert walker.covered_share + walker.unknown_share + walker.gap_length(
        "line"
    ) / coverage.frontage.length == pytest.approx(1.0, abs=1e-9)
    assert walker.longest_gap.length == max(gap.length for gap in walker.gaps)


def test_a_planned_azimuth_counts_from_true_north(ground):
    frustum = wall.cover(ground, wall.planned(ground)).sensors[0].frustum
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
    coverage = wall.cover(ground, wall.planned(ground, time=30.0))
    post, _, drone = (sensor.frustum for sensor in coverage.sensors)
    assert post.eye_amsl == pytest.approx(float(ground.terrain.ground(post.east, post.north)) + 8.0)
    assert drone.eye_agl == pytest.approx(90.0, abs=0.2)
    later = wall.cover(ground, wall.planned(ground, time=31.0)).sensors[2].frustum
    assert math.hypot(later.east - drone.east, later.north - drone.north) == pytest.approx(12.0, abs=0.05)


def test_the_flight_of_a_drone_follows_ground_and_course(ground):
    drone = ground.scenario.drones[0]
    flown = wall.track(ground, drone, longest=2.0)
    assert flown[0][0] == 0.0
    for _, latitude, longitude, amsl, _ in flown:
        assert amsl == pytest.approx(
            float(ground.terrain.ground(*ground.site.to_site(latitude, longitude))) + 90.0, abs=1e-3
        )
    import pyproj

    azimuth, _, _ = pyproj.Geod(ellps="WGS84").inv(-84.29, 36.56, -84.28, 36.57)
    assert flown[1][4] == pytest.approx(azimuth % 360.0, abs=0.05)


def test_a_sensor_that_nobody_reported_is_listed_and_counts_nothing(ground):
    reports = [report for report in wall.planned(ground) if report.node != "P1" or report.kind == "birth"]
    coverage = wall.cover(ground, reports, source="live")
    assert [(sensor.state, sensor.frustum is None) for sensor in coverage.sensors] == [
        ("missing", True),
        ("missing", True),
        ("heard", False),
    ]
    full = wall.cover(ground, wall.planned(ground), source="live")
    assert (coverage.targets[0].stations.line_p <= full.targets[0].stations.line_p + 1e-12).all()
    assert (coverage.targets[0].stations.line_p < full.targets[0].stations.line_p).any()


def test_reports_that_make_no_frustum_are_refused_with_the_reason(ground):
    reports = wall.planned(ground)
    frustum = next(report for report in reports if report.kind == "frustum" and report.sensor == "cam")
    stranger = frustum._replace(node="P9")
    far = frustum._replace(values={**frustum.values, "latitude_deg": 40.0})
    lost = frustum._replace(
        values={key: value for key, value in frustum.values.items() if key not in ("latitude_deg", "longitude_deg")}
    )
    for strange, name, reason in (
        (stranger, "P9/cam", "birth"),
        (far, "P1/cam", "terrain"),
        (lost, "P1/cam", "latitude_deg"),
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


def test_a_sensor_that_the_site_file_does_not_know_is_shown_as_such(ground):
    reports = wall.planned(ground)
    also = [report._replace(node="P7") for report in reports if report.node == "P1"]
    coverage = wall.cover(ground, [*reports, *also], source="live")
    assert [(s.name, s.state, s.note) for s in coverage.sensors[3:]] == [
        ("P7/cam", "heard", "not in the site file"),
        ("P7/side", "heard", "not in the site file"),
    ]


def test_what_the_live_state_says_is_believed(ground):
    coverage = wall.cover(
        ground,
        wall.planned(ground),
        source="live",
        states={"P1/cam": ("stale", "last heard 40 s ago"), "P1/side": ("missing", "lost")},
    )
    assert [(s.state, s.note) for s in coverage.sensors[:2]] == [("stale", "last heard 40 s ago"), ("missing", "lost")]
    assert coverage.sensors[0].frustum is not None
    assert coverage.sensors[1].frustum is None


def test_a_sensor_that_sleeps_counts_for_its_share_of_the_time(ground, tmp_path):
    path = tmp_path / "sleepy.toml"
    path.write_text(
        SITE.replace("mast_m = 8.0", 'mast_m = 8.0\nduty = { awake = "duty", share = 0.25 }').split("[[drones]]")[0]
    )
    alone = tmp_path / "awake.toml"
    alone.write_text(SITE.split("[[drones]]")[0])
    sleepy, awake = (wall.ground_of(read(one)) for one in (path, alone))
    share, whole = (wall.cover(one, wall.planned(one)).targets[0].stations for one in (sleepy, awake))
    # Where it is surely seen while awake, it is seen in a quarter of the cases by one sensor, in 7 of 16 by two.
    assert whole.line_p.max() > 0.9
    assert (share.line_p <= 0.4375 + 1e-9).all()
    one = (share.line_p > 0.0) & (share.line_p <= 0.25)
    assert share.line_p[one] == pytest.approx(0.25 * whole.line_p[one], rel=1e-4)


def test_the_order_of_reports_changes_nothing(ground):
    reports = wall.planned(ground)
    one, other = (wall.cover(ground, some) for some in (reports, reports[::-1]))
    assert one.digest == other.digest
    for a, b in zip(one.targets, other.targets, strict=True):
        assert np.array_equal(a.look, b.look, equal_nan=True)
        assert a.gaps == b.gaps


def test_the_digest_changes_with_every_input(ground, tmp_path):
    reports = wall.planned(ground)
    digests = {wall.cover(ground, some).digest for some in (reports, reports[:-1], wall.planned(ground, time=5.0))}
    path = tmp_path / "other.toml"
    path.write_text(SITE.replace('threat = "left"', 'threat = "right"'))
    digests.add(wall.cover(wall.ground_of(read(path)), reports).digest)
    assert len(digests) == 4


def test_unknown_terrain_is_never_shown_as_covered(ground):
    heights = ground.terrain.ground_amsl.copy()
    on_line = ground.terrain.cells(*ground.frontage.at(ground.frontage.length / 2.0))
    heights[on_line[0] - 3 : on_line[0] + 4, on_line[1] - 3 : on_line[1] + 4] = np.nan
    holed = dataclasses.replace(ground, terrain=dataclasses.replace(ground.terrain, ground_amsl=heights))
    walker = wall.cover(holed, wall.planned(ground)).targets[0]
    assert np.isnan(walker.look[on_line])
    dark = walker.stations.unknown
    assert dark.any()
    assert (walker.stations.line_p[dark] == 0.0).all()
    assert walker.unknown_share == pytest.approx(dark.mean())


def test_progress_counts_every_sensor_for_every_target(ground):
    told = []
    wall.cover(ground, wall.planned(ground), progress=lambda done, total: told.append((done, total)))
    assert told == [(count, 6) for count in range(1, 7)]


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
    flat = wall.ground_of(read(ground.scenario.path, write_level(tmp_path / "own.tif", ground)))
    assert np.nanmax(np.abs(flat.terrain.ground_amsl - 321.0)) < 1e-9
    assert flat.terrain.posting == pytest.approx(30.0, abs=0.01)
    assert wall.cover(flat, wall.planned(flat)).targets[0].covered_share > 0.0


def test_a_site_file_can_be_moved_with_its_terrain(ground, tmp_path):
    (tmp_path / "here").mkdir()
    write_level(tmp_path / "here" / "own.tif", ground)
    (tmp_path / "here" / "site.toml").write_text(SITE.replace("dronewall:jacksboro", "own.tif"))
    before = wall.ground_of(read(tmp_path / "here" / "site.toml")).terrain
    there = (tmp_path / "here").rename(tmp_path / "there")
    assert wall.ground_of(read(there / "site.toml")).terrain.digest == before.digest != ground.terrain.digest
