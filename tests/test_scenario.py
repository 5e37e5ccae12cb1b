"""The site file: what is read, and that every mistake in it is named, all at once, where it stands."""

import copy
import hashlib
import json
import math
import os
import random
import re
import tomllib
from typing import get_args

import jsonschema
import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conftest import ROOT
from dronewall import wire
from dronewall.engine.earth import site_of
from dronewall.engine.frontage import Frontage
from dronewall.engine.ground import Ground
from dronewall.engine.models import fault
from dronewall.engine.patrol import PatrolError
from dronewall.engine.plan import airborne, plan_of, planned
from dronewall.engine.sensors import sensor_states
from dronewall.engine.terrain import Terrain
from dronewall.live.devices import devices
from dronewall.scenario import (
    Airframe,
    DroneSensor,
    Duty,
    Model,
    Node,
    Problem,
    Scenario,
    ScenarioError,
    Sensor,
    SensorType,
    SiteFile,
    Sortie,
    TableModel,
    read,
    schema,
    site_reference,
)
from dronewall.toml_check import bare

SITE = """\
[site]
name = "test"

[terrain]
ground = "dronewall:jacksboro"

[frontage]
points_deg = [[36.50, -84.30], [36.52, -84.28], [36.56, -84.22]]
threat = "left"

[[targets]]
name = "walker"
height_agl_m = [0.0, 1.7]
width_m = 0.5
speed_mps = 1.4

[sensor_types.camera]
driver = "optics"
shape = "pyramid"
hfov_deg = 40.0
vfov_deg = 25.0
range_min_m = 5.0
range_max_m = 1500.0
model = { kind = "camera", pixels = 1920 }

[sensor_types.pir]
driver = "pir"
shape = "sector"
hfov_deg = 360
vfov_deg = 180
range_max_m = 12.0
model = { kind = "table", range_m = [0.0, 12.0], probability = [0.9, 0.2] }

[[posts]]
name = "P1"
latitude_deg = 36.50
longitude_deg = -84.30

[[posts]]
name = "P2"
latitude_deg = 36.51
longitude_deg = -84.29

[[nodes]]
post = "P1"
mast_m = 6

[[nodes.sensors]]
name = "cam"
type = "camera"
azimuth_deg = 310.0

[[nodes.sensors]]
name = "pir"
type = "pir"
azimuth_deg = 0.0

[[nodes]]
name = "N2"
post = "P2"
mast_m = 4.0
gateway = "G1"
duty = { awake = "duty", share = 0.2 }

[[nodes.sensors]]
name = "cam"
type = "camera"
azimuth_deg = 40.0
azimuth_source = "compass"

[airframes.wing]
speed_mps = 12.0

[airframes.quad]
speed_mps = 10.0
endurance_s = 1500.0
reserve_s = 300.0
turnaround_s = 180.0

[[drones]]
name = "D1"
airframe = "wing"

[[drones.sensors]]
name = "cam"
type = "camera"
elevation_deg = -60.0

[[drones]]
name = "D2"
airframe = "quad"
sensors = [{ name = "eye", type = "camera", gimbal = "sweep", sweep_deg = 90.0, sweep_s = 8.0 }]

[[drones]]
name = "D3"
airframe = "quad"
sensors = [{ name = "eye", type = "camera", gimbal = "point", point_deg = [36.52, -84.29] }]

[[sorties]]
name = "valley"
drones = ["D1"]
route_deg = [[36.51, -84.30], [36.52, -84.29]]
height_agl_m = 80.0

[[sorties]]
name = "circle"
drones = ["D2", "D3"]
launch = "P2"
pattern = "orbit"
route_deg = [[36.515, -84.285]]
radius_m = 300.0
height_agl_m = 120.0
batteries = 6
charge_s = 3600.0

[[access_points]]
name = "ap1"
latitude_deg = 36.50
longitude_deg = -84.31
height_agl_m = 10.0

[[gateways]]
name = "G1"
latitude_deg = 36.51
longitude_deg = -84.31
height_agl_m = 10.0
access_point = "ap1"
"""


@pytest.fixture
def site(tmp_path):
    """Reads the sound site above with some of its text replaced; extra text goes to its end."""

    def written(*replaced: tuple[str, str], more: str = "") -> Scenario:
        text = SITE
        for old, new in replaced:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "site.toml"
        path.write_text(text + more, "utf-8")
        return read(path)

    return written


def line_of(text: str, after: str = "") -> int:
    """The line of SITE on which `text` stands, the first one after `after`."""
    start = SITE.index(after) if after else 0
    return SITE.count("\n", 0, SITE.index(text, start)) + 1


def problems(site, *replaced, more=""):
    with pytest.raises(ScenarioError) as caught:
        site(*replaced, more=more)
    return caught.value.problems


def test_a_site_is_read_with_its_units_and_defaults(site, tmp_path):
    wall = site()
    assert wall.frontage.points_deg == ((36.50, -84.30), (36.52, -84.28), (36.56, -84.22))
    assert wall.nodes[0].mast_m == 6.0
    assert wall.nodes[0].sensors[0].azimuth_source == "survey"
    assert (wall.nodes[1].duty.awake, wall.nodes[1].duty.share) == ("duty", 0.2)
    assert wall.nodes[1].gateway == "G1"
    assert wall.gateways[0].access_point == "ap1"
    assert wall.sensor_types["pir"].model.range_m == (0.0, 12.0)
    assert wall.terrain.ground == "dronewall:jacksboro"
    assert wall.notes == ()
    assert wall.path == tmp_path / "site.toml"
    assert wall.digest == hashlib.sha256(SITE.encode()).hexdigest()


def test_the_thresholds_default_to_the_designs(site):
    wall = site()
    thresholds = {name: getattr(wall.thresholds, name) for name in wall.thresholds.__struct_fields__}
    assert thresholds == {
        "look_s": 10.0,
        "line_p": 0.5,
        "lane_p": 0.5,
        "count_p": 0.5,
        "k": 1,
        "lateral_m": 100.0,
        "gap_min_m": 0.0,
        "hysteresis_p": 0.05,
        "close_s": 10.0,
        "confidence": 0.9,
    }


def test_cells_as_wide_as_the_belt_are_noted(site):
    coarse = ("[frontage]\n", "cell_m = 50.0\n[frontage]\nbelt_front_m = 60\nbelt_behind_m = 20\n")
    (note,) = site(coarse).notes
    assert (note.key, note.line) == ("terrain.cell_m", line_of("[frontage]"))
    assert "50.0 m is wider than half the belt, which is 80 m deep" in str(note)
    assert site(("[frontage]\n", "cell_m = 50.0\n[frontage]\n")).notes == ()


def test_what_a_model_asks_of_a_target_and_the_file_does_not_say_is_noted(site):
    radar = ('model = { kind = "camera", pixels = 1920 }', 'model = { kind = "radar", reference_m = 900.0 }')
    (note,) = site(radar).notes
    assert note.key == "targets[0]"
    assert "no radar_cross_section_m2, which radar models ask for" in note.came
    assert site(radar, ("width_m = 0.5", "width_m = 0.5\nradar_cross_section_m2 = 0.5")).notes == ()
    assert site().targets[0].radar_cross_section_m2 == 0.01


def test_a_node_alone_at_its_post_has_the_posts_name(site):
    assert [node.name for node in site().nodes] == ["P1", "N2"]


def test_a_scenario_cannot_be_changed(site):
    with pytest.raises(AttributeError):
        site().site.name = "other"


def test_rasters_are_found_beside_the_site_file(site, tmp_path, monkeypatch):
    (tmp_path / "dem.tif").touch()
    monkeypatch.chdir("/")
    ground = site(("dronewall:jacksboro", "dem.tif")).terrain.ground
    assert ground == str(tmp_path / "dem.tif")


def test_another_terrain_takes_the_place_of_the_files_and_of_what_it_says_of_it(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "other.tif").touch()
    path = tmp_path / "site.toml"
    path.write_text(SITE.replace('"dronewall:jacksboro"', '"gone.tif"\nposting_m = 90.0\nle90_m = 10.0'), "utf-8")
    monkeypatch.chdir(tmp_path / "sub")
    terrain = read(path, terrain="other.tif").terrain
    assert terrain.ground == str(tmp_path / "sub" / "other.tif")
    assert terrain.posting_m is None
    assert terrain.le90_m is None
    with pytest.raises(ScenarioError, match=r"not-there\.tif: no such file"):
        read(path, terrain="not-there.tif")


# One mistake each: what is replaced, the key and line it is reported at, and words that the report must have.
MISTAKES = [
    # keys
    ("titel", 'name = "test"', 'name = "test"\ntitel = "x"', "site.titel", 3,
     ["unknown key", "did you mean title?"]),
    ("table", "[frontage]", "[frontag]", "frontag", 7, ["unknown key", "did you mean frontage?"]),
    ("no unit", "azimuth_deg = 310.0", "azimuth = 310.0", "nodes[0].sensors[0].azimuth", None,
     ["no unit", "azimuth_deg, in degrees"]),
    ("radians", "azimuth_deg = 310.0", "azimuth_rad = 1.5", "nodes[0].sensors[0].azimuth_rad", None,
     ["wrong unit", "azimuth_deg, in degrees", "azimuth_deg = 85.9437"]),
    ("feet", "height_agl_m = 10.0", "height_ft = 100", "access_points[0].height_ft", None,
     ["wrong unit", "height_agl_m = 30.48"]),
    ("feet above what", "height_agl_m = 80.0", "height_ft = 100", "sorties[0].height_ft", None,
     ["wrong unit", "height_agl_m = 30.48"]),
    ("km/h", "speed_mps = 1.4", "speed_kmh = 36", "targets[0].speed_kmh", None,
     ["wrong unit", "speed_mps = 10"]),
    ("synonym", "azimuth_deg = 310.0", "bearing_deg = 310.0", "nodes[0].sensors[0].bearing_deg", None,
     ["did you mean azimuth_deg?"]),
    ("elsewhere", 'threat = "left"', 'threat = "left"\nlook_s = 3', "frontage.look_s", 10, ["[thresholds]"]),
    ("missing", 'threat = "left"\n', "", "frontage.threat", 7, ["missing", '"left", "right"']),
    ("no frontage",
     '[frontage]\npoints_deg = [[36.50, -84.30], [36.52, -84.28], [36.56, -84.22]]\nthreat = "left"', "",
     "frontage", None, ["missing", "a table"]),
    # types
    ("text", "mast_m = 6", 'mast_m = "6"', "nodes[0].mast_m", None,
     ['"6"', "a number from 0 to 500, in metres"]),
    ("bool", "mast_m = 6", "mast_m = true", "nodes[0].mast_m", None, ["true", "a number"]),
    ("nan", "mast_m = 6", "mast_m = nan", "nodes[0].mast_m", None, ["nan", "a number"]),
    ("inf", "mast_m = 6", "mast_m = inf", "nodes[0].mast_m", None, ["inf", "a number"]),
    ("fraction", "pixels = 1920", "pixels = 1920.5", "sensor_types.camera.model.pixels", 24,
     ["1920.5", "a whole number"]),
    ("huge", "pixels = 1920", "pixels = " + "9" * 400, "sensor_types.camera.model.pixels", 24,
     ["a number over 1e300", "a whole number"]),
    ("table for list", "[[access_points]]", "[access_points]", "access_points", None,
     ["a table", "[[access_points]]"]),
    ("point", "[36.52, -84.28]", "[36.52, -84.28, 300]", "frontage.points_deg[1]", 8,
     ["3 values", "a list of 2"]),
    ("enum", 'threat = "left"', 'threat = "lefft"', "frontage.threat", 9,
     ['"lefft"', 'did you mean "left"?']),
    ("driver", 'driver = "pir"', 'driver = "piir"', "sensor_types.pir.driver", None, ['did you mean "pir"?']),
    ("model", 'kind = "camera"', 'kind = "camra"', "sensor_types.camera.model.kind", 24,
     ['did you mean "camera"?']),
    ("no model", 'kind = "camera", ', "", "sensor_types.camera.model.kind", 24,
     ["missing", '"camera", "thermal", "radar", "acoustic", "pir", "table"']),
    # bounds
    ("latitude", "latitude_deg = 36.50", "latitude_deg = 96.50", "posts[0].latitude_deg", None,
     ["96.5", "from -90 to 90"]),
    ("azimuth", "azimuth_deg = 310.0", "azimuth_deg = 360", "nodes[0].sensors[0].azimuth_deg", None,
     ["to below 360"]),
    ("probability", "[0.9, 0.2]", "[1.9, 0.2]", "sensor_types.pir.model.probability[0]", 32,
     ["1.9", "from 0 to 1"]),
    ("id", 'name = "N2"', 'name = "N 2"', "nodes[1].name", None, ['"N 2"', "A-Z a-z 0-9 _ -"]),
    ("long id", 'name = "N2"', f'name = "{"N" * 33}"', "nodes[1].name", None, ["1 to 32"]),
    ("line break in id", 'name = "N2"', 'name = "N2\\n"', "nodes[1].name", None, ["1 to 32"]),
    ("host id", 'name = "N2"', 'name = "$host"', "nodes[1].name", None, ["1 to 32"]),
    ("type id", "[sensor_types.pir]",
     '[sensor_types."a b"]\ndriver="pir"\nshape="sector"\nhfov_deg=1\nvfov_deg=1\n'
     'range_max_m=1\nmodel={kind="camera",pixels=1}\n[sensor_types.pir]', 'sensor_types."a b"', None,
     ["1 to 32"]),
    ("crs", 'name = "test"', 'name = "test"\ncrs = "UTM 16"', "site.crs", 3, ["EPSG:32616"]),
    ("feeble radar", 'model = { kind = "camera", pixels = 1920 }', 'model = { kind = "radar", reference_m = 0.0 }',
     "sensor_types.camera.model.reference_m", 24, ["0.0", "from 0.01 to 50000, in metres"]),
    ("sure radar", 'model = { kind = "camera", pixels = 1920 }',
     'model = { kind = "radar", reference_m = 9.0, false_alarm = 0.5 }',
     "sensor_types.camera.model.false_alarm", 24, ["0.5", "from 1e-09 to 0.001"]),
    ("noise in kelvin", 'kind = "camera", pixels = 1920', 'kind = "thermal", pixels = 640, netd_mk = 50',
     "sensor_types.camera.model.netd_mk", 24, ["wrong unit", "netd_k = 0.05"]),
    ("key of another model", 'kind = "camera", pixels = 1920', 'kind = "pir", reference_m = 9.0, pixels = 3',
     "sensor_types.camera.model.pixels", 24, ["unknown key here", "[sensor_types.NAME.model]"]),
    ("cross-section", "width_m = 0.5", "width_m = 0.5\nradar_cross_section_m2 = 0", "targets[0].radar_cross_section_m2",
     15, ["from 0.0001 to 100000, in square metres"]),
    ("dusk", "[[targets]]", '[environment]\ntime = "dusk"\n[[targets]]', "environment.time", 12, ['"day", "night"']),
    ("range of nothing", "range_max_m = 1500.0", "range_max_m = 0.004", "sensor_types.camera.range_max_m", 23,
     ["0.004", "from 0.01 to 50000, in metres"]),
    ("range of nothing but rounding", "range_max_m = 1500.0", "range_max_m = 5.004",
     "sensor_types.camera.range_min_m", 22, ["5.0 m is not under range_max_m = 5.004 m", "0.01 m or more"]),
    ("all but 180", "hfov_deg = 40.0", "hfov_deg = 179.999", "sensor_types.camera.hfov_deg", 20,
     ["179.999", "under 180 by 0.01 or more"]),
    ("glimpse", "pixels = 1920", "pixels = 1920, glimpse_s = 0.0004", "sensor_types.camera.model.glimpse_s", 24,
     ["0.0004", "from 0.001 to 3600, in seconds"]),
    ("no belt", 'threat = "left"', 'threat = "left"\nbelt_front_m = 1e-300', "frontage.belt_front_m", 10,
     ["1e-300", "from 1 to 20000, in metres"]),
    ("all but certain", "[[targets]]", "[thresholds]\nconfidence = 0.9999999999999999\n[[targets]]",
     "thresholds.confidence", 12, ["above 0 to 0.9999"]),
    ("a target that stands", "speed_mps = 1.4", "speed_mps = 5e-324", "targets[0].speed_mps", 15, ["from 0.01 to 500"]),
    ("a drone that stands", "speed_mps = 12.0", "speed_mps = 1e-6", "airframes.wing.speed_mps", None,
     ["1e-06", "from 0.1 to 100"]),
    ("a drone that is for ever under way", "[[36.51, -84.30], [36.52, -84.29]]",
     "[[36.10, -84.30], [36.90, -84.29]" + ", [36.10, -84.28], [36.90, -84.27]" * 50 + "]", "sorties[0].route_deg",
     None, ["a round of 9074 km, which takes 9 days at 12.0 m/s", "at most 7 days"]),
    # references
    ("post", 'post = "P2"', 'post = "P3"', "nodes[1].post", None,
     ['"P3" is not in [[posts]]', 'one of "P1", "P2"']),
    ("type", 'type = "pir"', 'type = "pirr"', "nodes[0].sensors[1].type", None,
     ["[sensor_types]", 'did you mean "pir"?']),
    ("drone's type", 'type = "camera"\nelevation', 'type = "cam"\nelevation',
     "drones[0].sensors[0].type", None,
     ['one of "camera", "pir"']),
    ("gateway", 'gateway = "G1"', 'gateway = "G2"', "nodes[1].gateway", None,
     ['"G2" is not in [[gateways]]', 'one of "G1"']),
    ("access point", 'access_point = "ap1"', 'access_point = "ap2"', "gateways[0].access_point", None,
     ["[[access_points]]"]),
    ("link", 'name = "ap1"', 'name = "ap1"\nvia = "ap2"', "access_points[0].via", None,
     ['"ap2" is not in [[access_points]]', 'did you mean "ap1"?']),
    ("circle", 'name = "ap1"', 'name = "ap1"\nvia = "ap1"', "access_points[0].via", None,
     ["a circle: ap1 -> ap1", "a way home"]),
    ("antenna's post", 'name = "ap1"', 'name = "ap1"\npost = "P9"', "access_points[0].post", None,
     ['"P9" is not in [[posts]]']),
    # names twice
    ("post twice", "[[nodes]]",
     '[[posts]]\nname = "P1"\nlatitude_deg = 36.5\nlongitude_deg = -84.3\n[[nodes]]',
     "posts[2].name", None, ['"P1" again', "posts[0] (line 35)"]),
    ("node and drone", 'name = "N2"', 'name = "D1"', "drones[0].name", None, ['"D1" again', "nodes[1]"]),
    ("node and post's name", 'name = "N2"', 'name = "P1"', "nodes[1].name", None, ['"P1" again', "nodes[0]"]),
    ("gateway and drone", "[[gateways]]",
     '[[gateways]]\nname = "D1"\nlatitude_deg = 36.51\nlongitude_deg = -84.31\nheight_agl_m = 9\n[[gateways]]',
     "gateways[0].name", None, ['"D1" again', "drones[0]"]),
    ("sensor twice", 'name = "pir"', 'name = "cam"', "nodes[0].sensors[1].name", None,
     ['"cam" again', "nodes[0].sensors[0]"]),
    # contradictions
    ("ranges", "range_min_m = 5.0", "range_min_m = 1500", "sensor_types.camera.range_min_m", 22,
     ["not under range_max_m"]),
    ("pyramid", "hfov_deg = 40.0", "hfov_deg = 180", "sensor_types.camera.hfov_deg", 20,
     ["pyramid", "under 180"]),
    ("tall pyramid", "vfov_deg = 25.0", "vfov_deg = 180", "sensor_types.camera.vfov_deg", 21,
     ["pyramid", "under 180"]),
    ("target", "[0.0, 1.7]", "[1.7, 1.7]", "targets[0].height_agl_m", 13,
     ["bottom 1.7 m is not under top 1.7 m"]),
    ("table order", "range_m = [0.0, 12.0]", "range_m = [12.0, 0.0]", "sensor_types.pir.model.range_m[1]", 32,
     ["rising"]),
    ("table too short", "range_m = [0.0, 12.0]", "range_m = [0.0, 8.0]", "sensor_types.pir.model.range_m", 32,
     ["12.0"]),
    ("table lengths", "[0.9, 0.2]", "[0.9, 0.2, 0.1]", "sensor_types.pir.model.probability", 32,
     ["3 values", "2, one for each"]),
    ("two heights", "height_agl_m = 80.0", "height_agl_m = 80.0\nheight_amsl_m = 800",
     "sorties[0].height_agl_m", None,
     ["both"]),
    ("no height", "height_agl_m = 80.0\n", "", "sorties[0]", None, ["no height"]),
    ("share", 'awake = "duty", share', 'awake = "event", share', "nodes[1].duty.share", None,
     ['awake = "duty"']),
    ("no share", ", share = 0.2", "", "nodes[1].duty.share", None, ["missing"]),
    ("no cycle", "share = 0.2", 'share = 0.2, sleep = "deep"', "nodes[1].duty.cycle_s", None, ["missing", '"deep"']),
    ("no sleep", "share = 0.2", 'share = 0.2, sleep = "modem", cycle_s = 60', "nodes[1].duty.cycle_s", None,
     ["no sleep by turns"]),
    ("too short awake", "share = 0.2", 'share = 0.2, sleep = "deep", cycle_s = 6', "nodes[1].duty.cycle_s", None,
     ["1 s awake in 6 s"]),
    ("always asleep", 'awake = "duty", share = 0.2', 'sleep = "deep", cycle_s = 60', "nodes[1].duty.sleep", None,
     ['"deep" with awake = "always"']),
    ("two ways home", 'gateway = "G1"', 'gateway = "G1"\naccess_point = "ap1"', "nodes[1].gateway", None,
     ["one way home"]),
    # the frontage and places
    ("one point", "[[36.50, -84.30], [36.52, -84.28], [36.56, -84.22]]", "[[36.50, -84.30]]",
     "frontage.points_deg", 8,
     ["2 to 1000"]),
    ("point twice", "[36.52, -84.28]", "[36.50, -84.30]", "frontage.points_deg[1]", 8,
     ["the same place as point 0"]),
    ("back again", "[36.56, -84.22]]", "[36.56, -84.22], [36.50, -84.30]]", "frontage.points_deg[3]", 8,
     ["as point 0"]),
    ("crossing", "[36.52, -84.28], [36.56, -84.22]", "[36.52, -84.30], [36.51, -84.29], [36.51, -84.31]",
     "frontage.points_deg[2]",
     8, ["the leg from point 2 to 3 meets the one from 0 to 1"]),
    ("touching", "[36.52, -84.28], [36.56, -84.22]", "[36.52, -84.30], [36.52, -84.29], [36.51, -84.30]",
     "frontage.points_deg[2]", 8, ["meets the one from 0 to 1"]),
    ("folding", "[36.52, -84.28], [36.56, -84.22]", "[36.52, -84.30], [36.51, -84.30]",
     "frontage.points_deg[1]", 8,
     ["meets"]),
    ("short", "[[36.50, -84.30], [36.52, -84.28], [36.56, -84.22]]",
     "[[36.50, -84.30], [36.5001, -84.30]]", "frontage.points_deg",
     8, ["a frontage of 11.1 m", "two cells"]),
    ("a point swapped", "[36.52, -84.28]", "[-84.28, 36.52]", "frontage.points_deg[1]", 8, ["swapped"]),
    ("a post swapped", "latitude_deg = 36.51\nlongitude_deg = -84.29",
     "latitude_deg = -84.29\nlongitude_deg = 36.51",
     "posts[1].latitude_deg", None, ["latitude and longitude are swapped"]),
    ("a post far away", "latitude_deg = 36.51\n", "latitude_deg = 37.51\n", "posts[1].latitude_deg", None,
     ["km from the frontage"]),
    ("a waypoint far away", "[36.52, -84.29]]\nheight", "[37.52, -84.29]]\nheight", "sorties[0].route_deg[1]", None,
     ["km from the frontage"]),
    ("a waypoint twice", "[36.52, -84.29]]\nheight", "[36.51, -84.30]]\nheight", "sorties[0].route_deg[1]", None,
     ["the same place as waypoint 0"]),
    ("a closed loop", "[36.52, -84.29]]\n", "[36.52, -84.29], [36.51, -84.30]]\n", "sorties[0].route_deg[2]", None,
     ["closes by itself"]),
    # drones
    ("a drone twice in a sortie", '["D2", "D3"]', '["D2", "D3", "D2"]', "sorties[1].drones[2]", None,
     ['"D2" is in sorties[1] (line', "each drone in one sortie"]),
    ("a drone in two sorties", 'drones = ["D1"]\nroute_deg = [[36.51, -84.30], [36.52, -84.29]]',
     'drones = ["D3"]\nlaunch = "P1"\nroute_deg = [[36.51, -84.30], [36.52, -84.29]]', "sorties[1].drones[1]", None,
     ['"D3" is in sorties[0] (line', "each drone in one sortie"]),
    ("airframe", 'airframe = "wing"', 'airframe = "wings"', "drones[0].airframe", None,
     ['"wings" is not in [airframes]', 'did you mean "wing"?']),
    ("a sortie's drone", 'drones = ["D1"]', 'drones = ["D1", "D9"]', "sorties[0].drones[1]", None,
     ['"D9" is not in [[drones]]', 'one of "D1", "D2", "D3"']),
    ("launch", 'launch = "P2"', 'launch = "P9"', "sorties[1].launch", None, ['"P9" is not in [[posts]]']),
    ("sortie twice", 'name = "circle"', 'name = "valley"', "sorties[1].name", None, ['"valley" again', "sorties[0]"]),
    ("nowhere to land", 'launch = "P2"\n', "", "sorties[1].launch", None, ["missing", "have to land"]),
    ("a battery of what never lands", "height_agl_m = 80.0", "height_agl_m = 80.0\nevery_s = 60.0",
     "sorties[0].every_s", None, ["never land", "endurance_s"]),
    ("an empty reserve", "reserve_s = 300.0", "reserve_s = 1500.0", "airframes.quad.reserve_s", None,
     ["1500.0 s is not under endurance_s = 1500.0 s"]),
    ("no charge", "charge_s = 3600.0\n", "", "sorties[1].charge_s", None, ["missing", "with batteries"]),
    ("no time across", "[site]", "[patrol]\nmax_crossing_s = 5.0\n[site]", "patrol.max_crossing_s", None,
     ["5 s, but", "straight across", "as long or longer"]),
    ("a wide loop", 'pattern = "orbit"\nroute_deg = [[36.515, -84.285]]',
     "route_deg = [[36.515, -84.285], [36.516, -84.285]]", "sorties[1].radius_m", None, ['pattern = "orbit"']),
    ("an orbit of two", "[[36.515, -84.285]]", "[[36.515, -84.285], [36.516, -84.285]]", "sorties[1].route_deg", None,
     ["2 points", "the middle of the orbit"]),
    ("an orbit of no size", "radius_m = 300.0\n", "", "sorties[1].radius_m", None, ["missing"]),
    ("a loop of one", "[[36.51, -84.30], [36.52, -84.29]]\nheight", "[[36.51, -84.30]]\nheight", "sorties[0].route_deg",
     None, ["1 point", "two waypoints"]),
    ("no point", ', point_deg = [36.52, -84.29]', "", "drones[2].sensors[0].point_deg", None, ["missing", "point"]),
    ("a point of a nose", ', gimbal = "point"', "", "drones[2].sensors[0].point_deg", None, ['gimbal = "point"']),
    ("a point and an angle", ', gimbal = "point"', ', gimbal = "point", elevation_deg = -60',
     "drones[2].sensors[0].elevation_deg", None, ["point_deg says where it looks"]),
    ("a point far away", "point_deg = [36.52, -84.29]", "point_deg = [37.52, -84.29]", "drones[2].sensors[0].point_deg",
     None, ["km from the frontage"]),
    ("a sweep of no time", ", sweep_s = 8.0", "", "drones[1].sensors[0].sweep_s", None, ["missing", "sweep"]),
    # rasters
    ("terrain name", "dronewall:jacksboro", "dronewall:jacksborough", "terrain.ground", 5,
     ['did you mean dronewall:jacksboro?']),
    ("terrain file", "dronewall:jacksboro", "dem.tif", "terrain.ground", 5, ["no such file", "GeoTIFF"]),
    ("terrain folder", "dronewall:jacksboro", "..", "terrain.ground", 5, ["a folder"]),
    ("surface", "[frontage]", 'surface = "dsm.tif"\n[frontage]', "terrain.surface", 7, ["no such file"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "key", "line", "words"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_a_mistake_is_named_once_with_its_key_and_what_was_expected(site, old, new, key, line, words):
    (problem,) = problems(site, (old, new))
    assert problem.key == key
    if line is not None:
        assert problem.line == line
    for word in words:
        assert word in str(problem)
    assert str(problem).startswith(f"{problem.file}:")


def test_a_problem_stands_on_the_line_of_the_value(site):
    first = line_of('post = "P1"') + 1
    (problem,) = problems(site, ("mast_m = 6", "mast_m = -6"))
    assert problem.line == first
    assert str(problem).endswith(f"site.toml:{first}: nodes[0].mast_m: -6; expected a number from 0 to 500, in metres")


def test_all_mistakes_of_a_file_come_at_once_in_its_order(site):
    chosen = [
        "titel",
        "enum",
        "target",
        "pyramid",
        "bool",
        "post",
        "sensor twice",
        "terrain file",
        "point twice",
    ]
    picked = [m for m in MISTAKES if m[0] in chosen]
    found = problems(site, *((m[1], m[2]) for m in picked))
    assert {p.key for p in found} == {m[3] for m in picked}
    assert [p.line for p in found] == sorted(p.line for p in found)


def test_the_drones_of_a_sortie_are_of_one_airframe(site):
    found = problems(site, ('drones = ["D1"]\n', 'drones = ["D1"]\nlaunch = "P1"\n'), ('["D2", "D3"]', '["D2", "D1"]'))
    assert {(p.key, p.came) for p in found if p.key == "sorties[1].drones"} == {
        ("sorties[1].drones", '"D2" is a quad, "D1" a wing')
    }


def test_a_reserve_is_of_an_endurance(site):
    found = problems(site, ("endurance_s = 1500.0\n", ""))
    assert [p.key for p in found] == ["airframes.quad.reserve_s", "sorties[1].batteries", "sorties[1].charge_s"]


def test_a_route_in_a_drone_belongs_into_its_sortie(site):
    route = "route_deg = [[36.51, -84.30], [36.52, -84.29]]"
    old = f'speed_mps = 12.0\n{route}\nrepeat = "loop"\nheight_agl_m = 80.0\nstart_s = 3.0'
    found = {p.key: str(p) for p in problems(site, ('airframe = "wing"', old))}
    assert set(found) == {
        f"drones[0].{key}" for key in ("airframe", "speed_mps", "route_deg", "repeat", "height_agl_m", "start_s")
    }
    assert found["drones[0].airframe"].endswith(
        "missing; expected 1 to 32 of A-Z a-z 0-9 _ -, in quotes (it becomes part of MQTT topics)"
    )
    assert "unknown key here; expected it in [[sorties]]" in found["drones[0].route_deg"]
    assert "unknown key here; expected pattern in [[sorties]]" in found["drones[0].repeat"]
    assert "unknown key here; expected it in [[sorties]]" in found["drones[0].start_s"]
    assert "[airframes.NAME]" in found["drones[0].speed_mps"]


def test_what_is_odd_of_drones_is_noted(site):
    (note,) = site(('drones = ["D2", "D3"]', 'drones = ["D2"]')).notes
    assert (note.key, note.came) == ("drones[2]", 'drone "D3" is in no sortie: it never flies')
    (note,) = site(("batteries = 6", "batteries = 1")).notes
    assert note.key == "sorties[1].batteries"
    (note,) = site(('drones = ["D1"]\n', 'drones = ["D1"]\nlaunch = "P1"\n')).notes
    assert (note.key, note.came) == ("sorties[0].launch", "its drones never land: it is not used")


def test_a_post_that_is_only_taken_off_from_is_not_odd(site):
    post = '\n[[posts]]\nname = "P9"\nlatitude_deg = 36.515\nlongitude_deg = -84.295\n'
    assert site(('launch = "P2"', 'launch = "P9"'), more=post).notes == ()


def test_a_misspelt_required_key_is_one_mistake(site):
    (problem,) = problems(site, ("azimuth_deg = 310.0", "azimut_deg = 310.0"))
    assert problem.nearest == "azimuth_deg"


def test_two_nodes_at_a_post_need_names(site):
    found = problems(site, ('name = "N2"\npost = "P2"', 'post = "P1"'))
    assert {(p.key, p.came) for p in found} == {("nodes[0].name", "missing"), ("nodes[1].name", "missing")}


def test_a_frontage_whose_coordinates_are_all_swapped_is_suspected(tmp_path):
    text = SITE.replace("[[36.50, -84.30], [36.52, -84.28], [36.56, -84.22]]", "[[-84.30, 36.50], [-84.28, 36.52]]")
    (tmp_path / "site.toml").write_text(text[: text.index("[[posts]]")], "utf-8")
    with pytest.raises(ScenarioError, match="swapped"):
        read(tmp_path / "site.toml")


def test_a_frontage_may_run_over_the_date_line(tmp_path):
    text = SITE.replace("[[36.50, -84.30], [36.52, -84.28], [36.56, -84.22]]", "[[0.0, 179.99], [0.0, -179.99]]")
    (tmp_path / "site.toml").write_text(text[: text.index("[[posts]]")], "utf-8")
    assert len(read(tmp_path / "site.toml").frontage.points_deg) == 2


def test_a_frontage_may_bend_sharply(site):
    # A hairpin of 11 m: the legs run side by side and do not meet.
    hairpin = "[36.52, -84.30], [36.52, -84.2999], [36.50, -84.2999]"
    assert len(site(("[36.52, -84.28], [36.56, -84.22]", hairpin)).frontage.points_deg) == 4


def test_a_post_without_a_node_is_noted_and_no_mistake(site):
    wall = site(more='\n[[posts]]\nname = "P9"\nlatitude_deg = 36.5\nlongitude_deg = -84.3\n')
    (note,) = wall.notes
    assert (note.key, note.line) == ("posts[2]", SITE.count("\n") + 2)
    assert '"P9" has no node' in str(note)


def test_more_sensors_than_a_board_carries_are_noted(site):
    sensors = "".join(f'\n[[nodes.sensors]]\nname = "more{i}"\ntype = "camera"\nazimuth_deg = 1.0\n' for i in range(5))
    cam = '[[nodes.sensors]]\nname = "cam"\ntype = "camera"\nazimuth_deg = 40.0\n'
    assert cam in SITE
    (note,) = site((cam, sensors.split("[[nodes.sensors]]", 1)[0] + cam + sensors)).notes
    assert note.key == "nodes[1].sensors"
    assert "6 sensors" in str(note)
    assert "reference board (128 KB) carries 5" in str(note)


def test_a_node_reports_as_seldom_as_its_firmware_can_be_told():
    assert schema()["$defs"]["Node"]["properties"]["period_s"]["maximum"] == 3600
    bounds = re.search(r"`period_s` \| (\d+)-(\d+)", (ROOT / "firmware" / "README.md").read_text())
    assert bounds.groups() == ("1", "3600")


def test_a_site_without_nodes_is_noted(tmp_path):
    (tmp_path / "site.toml").write_text(SITE[: SITE.index("[sensor_types.camera]")], "utf-8")
    assert "nothing is watched" in str(read(tmp_path / "site.toml").notes[0])


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"[site]\nname = \n", 2, "not TOML"),
        (b"[site]\nname = 'a'\nname = 'b'\n", 3, "not TOML"),
        (b'a = """x\n\n', 1, "not TOML"),
        (b"[site]\nname = '\xff'\n", 2, "byte 0xff is not UTF-8"),
        (b"II*\x00\x08\x00\x00\x00\xc0", 1, "byte 0xc0 is not UTF-8"),
        (b"a = " + b"[" * 5000, None, ""),
        (b"a = 1.5\n\nb = -" + b"9" * 100_000, 3, "a number with thousands of digits"),
        (b"[site]\nname = 0x" + b"f" * 100_000, 2, "site.name: a number over 1e300"),
        (b"[[targets]]\nspeed_kmh = " + b"9" * 4000, 2, "speed_kmh: unknown key"),
    ],
)
def test_what_is_not_toml_is_refused_with_the_line(tmp_path, content, line, words):
    path = tmp_path / "site.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        read(path)
    problem = next(problem for problem in caught.value.problems if words in str(problem))
    assert line is None or problem.line == line


def test_what_has_no_end_or_is_no_site_file_by_its_size_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2 << 30)
    for name, words in (
        (tmp_path / "pipe", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (tmp_path / "large", "larger than 16 MiB"),
        (tmp_path / ("a" * 300), "File name too long"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(ScenarioError, match=words):
            read(name)


def test_terrain_that_is_no_file_is_refused_with_the_line(site, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("pipe", "not a regular file"), ("/dev/zero", "not a regular file"), ("a" * 300, "too long")):
        (problem,) = problems(site, ("dronewall:jacksboro", name))
        assert (problem.key, problem.line) == ("terrain.ground", line_of("ground ="))
        assert words in str(problem)
        with pytest.raises(ScenarioError, match=words):
            read(tmp_path / "site.toml", tmp_path / name)


@pytest.mark.parametrize("steering", ["\\u001b[2J", "\\u0007", "\\n", "\\u009b2J", "\\u202e"])
def test_text_that_would_steer_a_terminal_is_refused_and_shown_harmlessly(site, steering):
    titled = ("[site]\n", f'[site]\ntitle = "a{steering}b"\n')
    for replaced in (titled, ("dronewall:jacksboro", f"a{steering}b"), ("[site]\n", f'[site]\n"a{steering}b" = 1\n')):
        found = problems(site, replaced)
        assert "".join(map(str, found)).isprintable()
    assert site(("[site]\n", '[site]\ntitle = "Größe — 高地 🏔"\n')).site.title == "Größe — 高地 🏔"


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "site.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SITE.replace("\n", "\r\n").encode())
    assert read(path).site.name == "test"


def test_an_empty_file_lacks_every_required_table(tmp_path):
    (tmp_path / "site.toml").touch()
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path / "site.toml")
    assert {p.key for p in caught.value.problems} == {"site", "terrain", "frontage", "targets"}


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ScenarioError, match="no such file"):
        read(tmp_path / "none.toml")
    with pytest.raises(ScenarioError, match="a folder"):
        read(tmp_path)
    assert issubclass(ScenarioError, ValueError)


def written(value) -> str:
    """`value` in TOML's inline form (what JSON and TOML have in common, and tables)."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def places(value, key=()):
    yield key
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*key, name))


def outcome(path) -> Scenario | tuple[Problem, ...]:
    try:
        return read(path)
    except ScenarioError as error:
        return error.problems


ODD = [
    0,
    -1,
    1.5,
    1e308,
    math.nan,
    math.inf,
    True,
    "",
    "P1",
    "a b",
    [],
    {},
    [1, 2],
    [[]],
    {"name": 1},
    [{}],
    "x" * 2000,
    0.004,
    "\x1b[2J",
    2**70,
]


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6))
def test_whatever_is_written_somewhere_is_read_or_refused_with_lines(tmp_path_factory, seed, count):
    chance = random.Random(seed)
    data = tomllib.loads(SITE)
    for _ in range(count):
        *parents, last = chance.choice([p for p in places(data) if p])
        inside = data
        for part in parents:
            inside = inside[part]
        if chance.random() < 0.2:
            del inside[last]
        else:
            inside[last] = copy.deepcopy(chance.choice(ODD))
            if isinstance(inside, dict) and chance.random() < 0.1:
                inside[chance.choice(["", "a\nb", "y" * 500, "azimuth_rad"])] = inside.pop(last)
    text = "".join(f"{json.dumps(k)} = {written(v)}\n" for k, v in data.items())
    path = tmp_path_factory.getbasetemp() / "odd.toml"
    path.write_text(text, "utf-8")
    answer = outcome(path)
    assert answer
    for problem in answer if isinstance(answer, tuple) else ():
        assert "\n" not in str(problem)
        assert len(str(problem)) < 1500
        assert problem.line is None or 1 <= problem.line <= len(data)


# --- the wire carries what the file may say


def within_bounds(kind) -> st.SearchStrategy:
    """{key: number} for the numbers of a Struct: at either bound, just inside, or between; those with a default may be
    left out.
    """
    taken, free = {}, {}
    for field in msgspec.inspect.type_info(kind).fields:
        info = bare(field.type)
        if isinstance(info, msgspec.inspect.IntType):
            found = st.sampled_from([info.ge, info.le]) | st.integers(info.ge, info.le)
        elif isinstance(info, msgspec.inspect.FloatType):
            low = info.ge if info.ge is not None else math.nextafter(info.gt, math.inf)
            high = info.le if info.le is not None else math.nextafter(info.lt, -math.inf)
            inside = [low, high, math.nextafter(low, math.inf), math.nextafter(high, -math.inf)]
            found = st.sampled_from(inside) | st.floats(low, high)
        else:
            continue
        (taken if field.required else free)[field.encode_name] = found
    return st.fixed_dictionaries(taken, optional=free)


def tables(steps: list[float]) -> st.SearchStrategy:
    ranges = sorted({0.0, *steps, 50_000.0})
    chances = st.floats(0, 1) | st.sampled_from([0.0004, 0.9996])
    measured = st.lists(chances, min_size=len(ranges), max_size=len(ranges))
    return measured.map(lambda probability: {"range_m": ranges, "probability": probability})


def models() -> st.SearchStrategy:
    steps = st.lists(st.sampled_from([0.004, 0.006, 49_999.99]) | st.floats(0, 50_000), max_size=14)
    found = []
    for kind in get_args(Model):
        tag = {"kind": msgspec.inspect.type_info(kind).tag}
        listed = steps.flatmap(tables) if kind is TableModel else st.just({})
        found.append(st.tuples(st.just(tag), within_bounds(kind), listed).map(lambda of: of[0] | of[1] | of[2]))
    return st.one_of(found)


@settings(max_examples=150)
@given(
    shape=st.sampled_from(["pyramid", "sector"]), kind=within_bounds(SensorType), model=models(),
    sensor=within_bounds(Sensor), node=within_bounds(Node), duty=within_bounds(Duty), airframe=within_bounds(Airframe),
    sortie=within_bounds(Sortie), drone_sensor=within_bounds(DroneSensor),
    ground_amsl=st.sampled_from([-500.0, 9000.0]),
)  # fmt: skip
def test_every_number_that_a_site_file_may_have_survives_the_wire(
    tmp_path_factory, shape, kind, model, sensor, node, duty, airframe, sortie, drone_sensor, ground_amsl
):
    data = tomllib.loads(SITE)
    data["sensor_types"]["camera"].update({"range_min_m": 0.0, **kind}, shape=shape, model=model)
    one = data["nodes"][0]
    sleep = {"sleep": "light", "share": 0.5} if "cycle_s" in duty else {}  # awake and asleep long enough for any turn
    one.update(node, duty={"awake": "duty", "share": 0.5, **duty, **sleep}, sensors=[{**one["sensors"][0], **sensor}])
    data["airframes"]["wing"]["speed_mps"] = airframe["speed_mps"]
    flown = data["sorties"][0]
    height = next((name for name in ("height_amsl_m", "height_agl_m") if name in sortie), None)
    if height is not None:
        del flown["height_agl_m"]
        flown[height] = sortie[height]
    flown["start_s"] = sortie.get("start_s", 0.0)
    # What sweeps, too, is in the air at the start.
    sweep = {"sweep_deg": 90.0, "sweep_s": 1.0, **drone_sensor}
    data["drones"][1]["sensors"][0].update(sweep)
    drone_sensor = {name: value for name, value in drone_sensor.items() if name not in ("sweep_deg", "sweep_s")}
    data["drones"][0]["sensors"][0].update(drone_sensor)
    path = tmp_path_factory.getbasetemp() / "bounds.toml"
    path.write_text("".join(f"{json.dumps(k)} = {written(v)}\n" for k, v in data.items()), "utf-8")
    found = outcome(path)
    if isinstance(found, tuple):
        # Two values that do not go together; none is out of its own bounds.
        assert all(re.search("range_m|pyramid|a round of", str(problem)) for problem in found)
        assume(False)
    frame = site_of(np.array(found.frontage.points_deg))
    points = np.stack(frame.to_site(*np.array(found.frontage.points_deg).T), axis=-1)
    flat = Terrain.from_array(np.full((2, 2), ground_amsl), 40_000.0, -40_000.0, -40_000.0)
    ground = Ground(found, frame, Frontage(points, 600.0, 300.0, True), flat)
    try:
        plan = plan_of(ground)
    except PatrolError as error:
        assert "the ground rises to" in str(error)  # noqa: PT017
        assume(False)
    reports = planned(ground, plan=plan)
    assert {report.kind for report in reports} == {"birth", "frustum"}
    for report in reports:
        for entry in report.values["sensors"] if report.kind == "birth" else ():
            assert fault(entry["model"]) is None
    counting = {state.name: state.frustum for state in sensor_states(ground, reports)}
    assert all(counting[name] == frustum for name, frustum in airborne(ground, plan, 0.0))
    flight = [[1000 * 7 * 86_400, 0, 0, 0, 0, 0, 0]]
    assert len(devices(found, "127.0.0.1", 1883, lambda *_: ground_amsl, lambda _: flight)) == 5


# --- the schema and the reference


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("name", ["jacksboro.toml", "minimal.toml"])
def test_the_examples_are_sound_and_fit_the_schema(pytestconfig, validator, name):
    path = pytestconfig.rootpath / "examples" / name
    assert read(path).notes == ()
    validator.validate(tomllib.loads(path.read_text("utf-8")))


def test_the_sound_site_fits_the_schema(validator):
    validator.validate(tomllib.loads(SITE))


# What no schema can say (it knows one value at a time): references, names twice, geometry, files.
BEYOND = {
    "no time across", "post", "type", "drone's type", "gateway", "access point", "link", "circle", "antenna's post",
    "post twice", "node and drone",
    "node and post's name", "gateway and drone", "sensor twice", "ranges", "target", "table order",
    "table too short", "table lengths", "share", "no share", "two ways home", "two heights", "no height",
    "pyramid", "tall pyramid", "point twice", "back again", "crossing", "touching", "folding", "short",
    "a point swapped", "a post swapped", "a post far away", "a waypoint far away", "a waypoint twice",
    "range of nothing but rounding", "all but 180", "a drone that is for ever under way",
    "a closed loop", "a drone twice in a sortie", "a drone in two sorties", "airframe", "a sortie's drone", "launch",
    "sortie twice", "nowhere to land", "a battery of what never lands", "an empty reserve", "no charge", "no batteries",
    "a wide loop", "an orbit of two", "an orbit of no size", "a loop of one", "no point", "a point of a nose",
    "a point and an angle", "a point far away", "a sweep of no time", "terrain name", "terrain file", "terrain folder",
    "surface", "no cycle", "no sleep", "too short awake", "always asleep",
    # Python's JSON Schema lets nan through every bound and has $ match before a last line break.
    "nan", "line break in id",
}  # fmt: skip


@pytest.mark.parametrize("mistake", [m for m in MISTAKES if m[0] not in BEYOND], ids=lambda m: m[0])
def test_what_one_value_shows_fails_in_the_editor_too(validator, mistake):
    text = SITE.replace(mistake[1], mistake[2], 1)
    assert not validator.is_valid(tomllib.loads(text))


def test_the_schema_lets_no_unknown_key_pass_and_describes_every_key():
    document = schema()
    tables = [document, *document["$defs"].values()]
    assert len(tables) > 15
    for table in tables:
        assert table["additionalProperties"] is False
        for name, key in table["properties"].items():
            assert name == "kind" or key.get("description"), name
    sensor = document["$defs"]["Sensor"]["properties"]["azimuth_deg"]
    assert sensor["description"].endswith("[degrees]")
    assert (sensor["minimum"], sensor["exclusiveMaximum"]) == (0, 360)
    assert "null" not in json.dumps(document)


def test_the_reference_names_every_key(pytestconfig):
    text = site_reference()
    for table in [schema(), *schema()["$defs"].values()]:
        for name, key in table["properties"].items():
            if "$ref" not in json.dumps(key):
                assert f"`{name}`" in text or f"`{name} = " in text, name


def test_the_reference_in_the_docs_is_the_generated_one(pytestconfig):
    path = pytestconfig.rootpath / "docs" / "site-file.md"
    command = "from dronewall.scenario import site_reference as r; print(r(), end='')"
    assert path.read_text("utf-8") == site_reference(), f'python -c "{command}" > docs/site-file.md'


def test_what_the_site_file_allows_the_wire_can_carry():
    # The corners of the bounds go through the wire's own encoding.
    kinds = schema()["$defs"]["SensorType"]["properties"]
    for hfov in (kinds["hfov_deg"]["minimum"], kinds["hfov_deg"]["maximum"]):
        sensors = [
            {
                "name": "s" * 32,
                "driver": "optics",
                "shape": "sector",
                "hfov_deg": hfov,
                "vfov_deg": min(hfov, kinds["vfov_deg"]["maximum"]),
                "range_min_m": 0.0,
                "range_max_m": kinds["range_max_m"]["maximum"],
                "model": {
                    "kind": "table",
                    "range_m": [float(50 * i) for i in range(16)],
                    "probability": [0.125] * 16,
                    "glimpse_s": 3600.0,
                },
            }
        ] * schema()["$defs"]["Node"]["properties"]["sensors"]["maxItems"]
        values = {
            "firmware": "f",
            "board": "b",
            "boot": 0,
            "session": 0,
            "period_s": 86400,
            "sensors": sensors,
        }
        report = wire.decode(wire.topic("w", "n", "birth"), wire.encode("birth", wire.integers("birth", values)))
        assert report.values["sensors"][0]["hfov_deg"] == hfov


# --- the demo's site


def test_the_demos_site_is_the_wall_that_the_demo_promises(pytestconfig):
    wall = read(pytestconfig.rootpath / "examples" / "jacksboro.toml")
    degree = math.radians(6_371_000.0)
    legs = [
        math.hypot((b[1] - a[1]) * math.cos(math.radians(a[0])), b[0] - a[0]) * degree
        for a, b in zip(wall.frontage.points_deg, wall.frontage.points_deg[1:], strict=False)
    ]
    assert sum(legs) == pytest.approx(8000, abs=500)
    assert len(wall.nodes) >= 8
    assert len(wall.drones) == 2
    types = wall.sensor_types
    cameras = [s for node in wall.nodes for s in node.sensors if types[s.type].driver == "optics"]
    assert {node.name for node in wall.nodes} == {post.name for post in wall.posts}
    assert all(types[camera.type].range_max_m >= 500 for camera in cameras)
    assert {camera.azimuth_source for camera in cameras} == {"survey", "compass"}
    assert 17 <= sum(len(node.sensors) for node in (*wall.nodes, *wall.drones)) <= 20


def test_every_default_is_within_its_own_bounds(validator):
    def without_nothing(value):
        if isinstance(value, dict):
            return {k: without_nothing(v) for k, v in value.items() if v is not None and v != ""}
        return [without_nothing(v) for v in value] if isinstance(value, list | tuple) else value

    full = without_nothing(msgspec.to_builtins(msgspec.convert(tomllib.loads(SITE), SiteFile)))
    assert full["thresholds"]["lateral_m"] == 100.0
    validator.validate(full)
