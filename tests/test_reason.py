import dataclasses
import math

import numpy as np
import pyproj
import pytest
from rich.console import Console

from dronewall.engine import reason, sensors, wall
from dronewall.engine.detection import rate
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned
from dronewall.engine.terrain import Terrain
from dronewall.report import section, verdict
from dronewall.scenario import read

SITE = """
[site]
name = "whywall"
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
height_agl_m = [59.8, 60.2]
width_m = 0.4
speed_mps = 15.0
[sensor_types.camera]
driver = "optics"
shape = "pyramid"
hfov_deg = 60.0
vfov_deg = 40.0
range_min_m = 15.0
range_max_m = 900.0
model = { kind = "camera", pixels = 1920 }
[[posts]]
name = "P1"
latitude_deg = 36.56
longitude_deg = -84.292
[[nodes]]
post = "P1"
mast_m = 6.0
sensors = [{ name = "cam", type = "camera", azimuth_deg = 90.0 }]
"""
CELL = 10.0
MIDDLE = 605.0  # the middle of cell 60


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(SITE)
    return ground_of(read(path))


@pytest.fixture
def scene(real):
    """Flat ground at 100 m, the camera 6 m over the middle of cell (60, 60), looking (grid) east."""

    def made(*, wall_at=None, wall_top=0.0, hole_at=None, hedge_at=None, le90=math.nan, **changes):
        heights = np.full((121, 221), 100.0)
        if wall_at is not None:
            heights[:, 60 + round(wall_at / CELL)] += wall_top
        if hole_at is not None:
            heights[:, 60 + round(hole_at / CELL)] = np.nan
        terrain = dataclasses.replace(Terrain.from_array(heights, CELL), le90=le90)
        if hedge_at is not None:
            canopy = heights.copy()
            canopy[:, 60 + round(hedge_at / CELL)] += 20.0
            terrain = dataclasses.replace(terrain, canopy_amsl=canopy, canopy_extinction=3.0)
        state = sensors.sensor_states(real, planned(real))[0]
        eye = {"east": MIDDLE, "north": MIDDLE, "eye_amsl": 106.0, "eye_agl": 6.0, "azimuth": math.pi / 2.0}
        frustum = dataclasses.replace(state.frustum, **{**eye, **changes})
        return dataclasses.replace(real, terrain=terrain), dataclasses.replace(state, frustum=frustum)

    return made


def asked(ground, state, east, north=0.0, target="walker"):
    found = reason.reason_of(ground, state, (MIDDLE + east, MIDDLE + north), target)
    return found, found.targets[0]


def test_a_wall_hides_a_walker_and_similar_triangles_say_which_mast_would_see_it(scene):
    # The line from 106 m to 101.7 m, 600 m away, is at 104.925 m over the wall at 150 m.
    found, one = asked(*scene(wall_at=150.0, wall_top=8.0), 600.0)
    words = verdict.verdict(found, one)
    assert one.verdict == "hidden"
    # From 1.7 m over 8 m at 450 m: 1.7 + 6.3 * 600 / 450 = 10.1; from the foot 8 * 600 / 450 = 10.67; the curvature
    # adds 6 mm.
    assert words == (
        "hidden: the ridge at 150 m is 3.1 m too high; a mast of 10.2 m would see its top, one of 10.7 m all of it"
    )
    assert one.mast_top == pytest.approx(10.1, abs=0.01)
    assert one.look == one.rate == 0.0
    higher = asked(*scene(wall_at=150.0, wall_top=8.0, eye_amsl=110.2, eye_agl=10.2), 600.0)[1]
    assert higher.exposed > 0.0


def test_what_is_seen_says_how_surely_and_agrees_with_the_coverage(scene):
    ground, state = scene()
    found, one = asked(ground, state, 300.0)
    assert one.verdict == "seen"
    assert one.exposed == pytest.approx(1.7)
    weather = wall.environment_of(ground.scenario.environment)
    window = rate(ground.terrain, state.frustum, one.target, weather)
    assert one.rate == pytest.approx(window.rate[60 - window.row, 90 - window.col])
    assert one.ceiling == pytest.approx(window.ceiling[60 - window.row, 90 - window.col])
    # A glimpse a second: ten of them in a look, and never above the ceiling.
    assert one.look == pytest.approx(min(one.ceiling, 1.0 - (1.0 - one.glimpse) ** 10))
    assert verdict.verdict(found, one).startswith(f"seen: {100 * one.look:.0f} % in a look of 10 s at 300 m")


def test_a_hedge_dims_and_the_advised_mast_looks_over_it(scene):
    # 20 m high at 200 m of 400: from a mast of h the line passes it at (h + 0.85) / 2, over it from 39.15 m on.
    found, one = asked(*scene(hedge_at=200.0), 400.0)
    assert one.verdict == "faint"
    assert one.clear < 0.1
    assert 30.0 < one.mast_noticed <= 39.25
    words = verdict.verdict(found, one)
    assert f"from a mast of {math.ceil(10.0 * one.mast_noticed) / 10.0:.1f} m it would be noticed often enough" in words
    enough = found.ground.scenario.thresholds.line_p
    for mast, notices in ((one.mast_noticed, True), (one.mast_noticed - 0.2, False)):
        raised = asked(*scene(hedge_at=200.0, eye_amsl=100.0 + mast, eye_agl=mast), 400.0)[1]
        assert (raised.look >= enough) == notices


def test_no_mast_is_advised_where_none_up_to_60_m_would_do(scene):
    found, one = asked(*scene(hedge_at=10.0), 800.0)
    assert one.verdict == "faint"
    assert math.isnan(one.mast_noticed)
    assert "mast" not in verdict.verdict(found, one)


def test_both_levels_are_told_where_they_differ_from_the_reported_pose(scene):
    certain = {"azimuth_sigma": 0.0, "tilt_sigma": 0.0, "position_sigma": 0.0, "height_sigma": 0.0}
    found, one = asked(*scene(**certain), 300.0)
    assert one.look_expected == pytest.approx(one.look, rel=1e-3)
    assert one.look_assured == pytest.approx(one.look, rel=1e-3)
    assert not any("pose" in said for said in verdict.remarks(found, one))
    # On the boresight, half a field of 30 degrees and an error of 30: in view in .683 of the cases, not in all.
    found, one = asked(*scene(**{**certain, "azimuth_sigma": math.radians(30.0)}), 300.0)
    assert one.look_expected == pytest.approx(0.683 * one.look, rel=0.01)
    assert one.look_assured == 0.0
    assert any("assured 0 %" in said for said in verdict.remarks(found, one))


def test_what_is_half_hidden_says_so(scene):
    # The wall's shadow: from 6 m over 5 m at 300 m down to 4.2 m at 550 m hides a walker, of the 60 m drone nothing.
    found, one = asked(*scene(wall_at=300.0, wall_top=3.0), 550.0)
    assert one.exposed == pytest.approx(1.7 - (6.0 - 3.0 * 550.0 / 300.0), abs=0.01)
    assert "only its upper 1.2 m is in sight, the ridge at 300 m hides the rest" in verdict.verdict(found, one)


def test_a_place_beside_the_field_of_view_names_side_angle_and_azimuth(scene, real):
    ground, state = scene()
    # 60 degrees of field around grid east; due grid north is 60 degrees left of it, south-east 15 right.
    found, north = asked(ground, state, 0.0, 300.0)
    convergence = math.degrees(real.site.convergence(MIDDLE, MIDDLE))
    assert math.degrees(north.aside) == pytest.approx(-60.0)
    words = verdict.verdict(found, north)
    assert words.startswith(
        f"outside its view: 60° left of it; turned to azimuth {convergence % 360.0:.0f}° it would be "
    )
    assert "seen with" in words
    found, south_east = asked(ground, state, 200.0, -200.0)
    assert math.degrees(south_east.aside) == pytest.approx(15.0)
    assert "15° right of it" in verdict.verdict(found, south_east)
    assert south_east.turned.look == pytest.approx(asked(ground, state, 280.0)[1].look, abs=0.02)


def test_a_place_that_turning_does_not_uncover_stays_hidden(scene):
    found, one = asked(*scene(wall_at=150.0, wall_top=8.0, azimuth=math.radians(200.0)), 600.0)
    assert one.verdict == "outside"
    assert one.turned.look == 0.0
    assert "it would still be hidden: the ridge at 150 m is 3.1 m too high; a mast of 10.2 m" in verdict.verdict(
        found, one
    )


def test_above_and_below_the_field_of_view(scene):
    ground, state = scene(vfov=math.radians(4.0))
    found, drone = asked(ground, state, 100.0, target="low-drone")
    # The drone's middle is 54 m over the eye: 28.4 degrees up, 26.4 over the edge.
    assert math.degrees(drone.above) == pytest.approx(math.degrees(math.atan2(54.0, 100.0)) - 2.0, abs=1e-6)
    assert verdict.verdict(found, drone).startswith(
        "outside its view: 26° above it; tilted to elevation +28° it would be "
    )
    found, walker = asked(ground, state, 30.0)
    assert walker.above == pytest.approx(-(math.atan2(6.0 - 0.85, 30.0) - math.radians(2.0)))
    assert "below it; tilted to elevation −10°" in verdict.verdict(found, walker)


def test_too_far_and_too_near(scene):
    found, far = asked(*scene(), 1200.0)
    assert verdict.verdict(found, far) == "outside its view: 1.20 km away, and it sees to 900 m"
    assert far.turned is None
    found, near = asked(*scene(vfov=math.radians(150.0)), 10.0)
    assert verdict.verdict(found, near).startswith("outside its view: 11.2 m away, and it sees from 15.0 m")


def test_across_a_hole_in_the_terrain_it_is_unknown(scene):
    found, one = asked(*scene(hole_at=200.0), 400.0)
    assert verdict.verdict(found, one) == "unknown: no ground height at 200 m"
    assert math.isnan(one.exposed)
    found, one = asked(*scene(hole_at=200.0, wall_at=150.0, wall_top=20.0), 400.0)
    assert "whatever stands there, the ridge at 150 m is" in verdict.verdict(found, one)
    assert asked(*scene(hole_at=200.0), 200.0)[1].verdict == "unknown"


def test_over_the_horizon_the_curve_of_the_earth_is_named(scene):
    ground, state = scene(range_max=1e5, eye_amsl=101.0, eye_agl=1.0)
    long = dataclasses.replace(ground, terrain=Terrain.from_array(np.full((121, 1300), 100.0), CELL))
    found, one = asked(long, state, 12_000.0)
    assert verdict.verdict(found, one).startswith("hidden: the curve of the earth at ")


def test_a_far_target_is_faint_and_not_called_seen(scene):
    found, one = asked(*scene(range_max=5000.0), 1550.0)
    assert 0.0 < one.look < 0.5
    assert verdict.verdict(found, one).startswith("faint: in its view and in sight, but noticed with only ")


def test_a_margin_within_the_terrains_error_is_not_called_sure(scene):
    remarks = verdict.remarks(*asked(*scene(wall_at=150.0, wall_top=8.0, le90=10.0), 600.0))
    assert any(remark.startswith("not sure: 3.1 m is less than the terrain's error, LE90 10 m") for remark in remarks)
    assert verdict.remarks(*asked(*scene(wall_at=150.0, wall_top=8.0, le90=1.0), 600.0)) == []
    unsaid = verdict.remarks(*asked(*scene(wall_at=150.0, wall_top=8.0), 600.0))
    assert any("does not say" in remark for remark in unsaid)


def test_a_sensor_that_sleeps_or_is_stale_says_so(scene):
    ground, state = scene(duty=0.25)
    found, one = asked(ground, dataclasses.replace(state, state="stale", note="last heard 40 s ago"), 300.0)
    assert one.look <= 0.25
    said = "; ".join(verdict.remarks(found, one))
    assert "25 %" in said
    assert "stale: last heard 40 s ago" in said


def test_a_sensor_that_does_not_count_and_a_place_without_terrain_are_errors(scene, real):
    ground, state = scene()
    gone = dataclasses.replace(state, state="missing", note="no report", frustum=None)
    with pytest.raises(reason.ReasonError, match="P1/cam is missing"):
        reason.reason_of(ground, gone, (MIDDLE, MIDDLE))
    with pytest.raises(reason.ReasonError, match="outside the terrain"):
        reason.reason_of(ground, state, (-50.0, MIDDLE))
    with pytest.raises(reason.ReasonError, match=r"latitude comes first: did you mean 36\.56,-84\.29\?"):
        reason.place_of(real, -84.29, 36.56)
    with pytest.raises(reason.ReasonError, match="outside the terrain that is read for this site: latitude 36"):
        reason.place_of(real, 40.0, -84.29)
    assert reason.place_of(real, 36.56, -84.292) == pytest.approx(real.site.to_site(36.56, -84.292))


def test_azimuths_in_words_count_from_true_north(real):
    state = sensors.sensor_states(real, planned(real))[0]
    longitude, latitude, _ = pyproj.Geod(ellps="WGS84").fwd(-84.292, 36.56, 300.0, 800.0)
    found = reason.reason_of(real, state, reason.place_of(real, latitude, longitude))
    # The middle of a 20 m cell is up to 14 m from the place.
    assert verdict.azimuth_deg(found, found.azimuth) == pytest.approx(300.0, abs=math.degrees(14.2 / 800.0))
    assert "looks at azimuth 90°" in verdict.heading(found)


@pytest.mark.parametrize("width", [80, 60])
def test_the_terminals_section_fits_and_reads_without_colour(scene, width):
    ground, state = scene(wall_at=150.0, wall_top=8.0)
    found = reason.reason_of(ground, state, (MIDDLE + 600.0, MIDDLE))
    console = Console(width=width, color_system=None, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(verdict.report(found, "feed" * 16))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert any("◉" in line for line in lines)
    assert any("◆" in line for line in lines)
    assert sum("▾" in line for line in lines) == 1
    assert any("×" in line for line in lines)


def test_the_picture_shows_ground_ray_obstacle_and_verdict(scene, tmp_path):
    ground, state = scene(wall_at=150.0, wall_top=8.0)
    found = reason.reason_of(ground, state, (MIDDLE + 600.0, MIDDLE))
    figure = section.figure_of(found, "feed" * 16)
    axes = next(axes for axes in figure.axes if axes.get_label() == "section")
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    blocked = drawn["blocked"]
    # Vermilion from where the line meets the wall's near slope to the target's top.
    assert 140.0 <= blocked[0, 0] <= 150.0
    assert blocked[-1] == pytest.approx([600.0, 101.7])
    top = drawn["ground"][drawn["ground"][:, 1].argmax()]
    assert top == pytest.approx([150.0, 108.0], abs=0.01)
    words = " ".join(text.get_text() for text in figure.texts)
    words = " ".join(words.split())  # lines end, and units hold on to their numbers
    assert "hidden: the ridge at 150 m is 3.1 m too high" in words
    assert "times as tall" in axes.get_xlabel()
    section.write_png(found, "feed" * 16, tmp_path / "why.png")
    section.write_png(found, "feed" * 16, tmp_path / "why.png")  # its own picture may be replaced
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "changes",
    [
        {"azimuth": 3.5},
        {"hole_at": 200.0},
        {"elevation": -1.5, "hfov": 2.0, "vfov": 2.0},
        {"range_max": 100.0},
        {"shape": "sector", "hfov": math.tau},
    ],
)
def test_every_kind_of_verdict_can_be_drawn(scene, changes):
    ground, state = scene(**changes)
    for east in (0.0, 30.0, 400.0):
        found = reason.reason_of(ground, state, (MIDDLE + east, MIDDLE))
        assert section.figure_of(found, "feed").axes
        assert verdict.as_json(found, "feed")["targets"][0]["verdict"] == found.targets[0].verdict
        Console(width=80, file=open("/dev/null", "w")).print(verdict.report(found, "feed"))  # noqa: SIM115


@pytest.mark.parametrize("changes", [{"wall_at": 150.0, "wall_top": 8.0}, {"wall_at": 300.0, "wall_top": 12.5}])
def test_the_advised_mast_is_the_least_that_notices(scene, changes):
    ground, state = scene(**changes)
    _, one = asked(ground, state, 600.0)
    assert one.verdict == "hidden"
    enough = ground.scenario.thresholds.line_p
    for mast, notices in ((one.mast_noticed, True), (one.mast_noticed - 0.1, False)):
        raised = asked(*scene(**changes, eye_amsl=100.0 + mast, eye_agl=mast), 600.0)[1]
        assert (raised.look >= enough) == notices
    brief = reason.reason_of(ground, state, (MIDDLE + 600.0, MIDDLE), "walker", brief=True)
    assert math.isnan(brief.targets[0].mast_noticed)
    assert math.isnan(brief.targets[0].look_assured)
    assert verdict.verdict(reason.with_masts(brief), reason.with_masts(brief).targets[0]) == verdict.verdict(
        reason.reason_of(ground, state, (MIDDLE + 600.0, MIDDLE), "walker"), one
    )
