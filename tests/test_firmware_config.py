"""firmware/config.py: what it takes and refuses and how it says so; the table in firmware/README.md is the real one."""

import copy
import re

import pytest

from firmware_side import FIRMWARE, answer, interpreter

CAMERA = {
    "name": "cam",
    "driver": "optics",
    "shape": "pyramid",
    "hfov_cdeg": 4000,
    "vfov_cdeg": 2500,
    "range_min_cm": 500,
    "range_max_cm": 150000,
    "azimuth_source": "survey",
    "azimuth_cdeg": 31000,
    "elevation_cdeg": -100,
    "roll_cdeg": 0,
    "awake": "always",
    "duty_milli": 1000,
    "model": {"kind": "camera", "pixels": 1920, "n50_centi": 100, "glimpse_ms": 1000},
}
PRESENCE = {
    "name": "near",
    "driver": "pir",
    "shape": "sector",
    "hfov_cdeg": 9000,
    "vfov_cdeg": 3000,
    "range_max_cm": 1000,
    "azimuth_source": "compass",
    "pin": 27,
    "model": {"kind": "table", "range_cm": [0, 1000], "probability_milli": [900, 500], "glimpse_ms": 1000},
}
NODE = {
    "format": 1,
    "wall": "jacksboro",
    "node": "P4",
    "wifi": [{"ssid": "wall", "password": "secret"}],
    "mqtt": {"host": "127.0.0.1", "port": 41873, "user": None, "password": None, "keepalive_s": 10},
    "period_s": 10,
    "valid_s": 30,
    "moving": False,
    "declination_cdeg": -520,
    "position": {"source": "survey", "latitude_e7": 365000000, "longitude_e7": -843000000, "height_amsl_cm": 40000},
    "height_agl_cm": 600,
    "sensors": [CAMERA, PRESENCE],
}

READ = """
import config
try:
    node = config.settings(given)
except config.ConfigError as error:
    out = str(error).split("\\n")
else:
    out = [node.wall, node.node, node.wifi, node.host, node.port, node.keepalive_s, node.period_s, node.valid_s,
        node.moving, node.declination_cdeg, node.survey, node.height_agl_cm, node.hard_iron, node.detections,
        [[s.name, s.azimuth_cdeg, s.azimuth_sigma_cdeg, s.tilt_sigma_cdeg, s.settings] for s in node.sensors]]
"""


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


def changed(path, value):
    """The node's configuration with one key set (or, for a value of ..., removed)."""
    whole = copy.deepcopy(NODE)
    place = whole
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return whole


def test_a_whole_configuration_is_read_with_its_defaults(side):
    assert answer(side, READ, NODE) == [
        "jacksboro",
        "P4",
        [["wall", "secret"]],
        "127.0.0.1",
        41873,
        10,
        10,
        30,
        False,
        -520,
        [365000000, -843000000, 40000, 100],
        600,
        [0, 0, 0],
        32,
        [["cam", 31000, 100, 50, None], ["near", 0, 300, 50, [27, 30000, 100, 10000]]],
    ]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("valid",), 30, "valid: unknown key, did you mean valid_s?"),
        (("mqtt", "keep_alive_s"), 30, "mqtt.keep_alive_s: unknown key, did you mean keepalive_s?"),
        (("sensors", 0, "azimut_cdeg"), 1, "sensors[0].azimut_cdeg: unknown key, did you mean azimuth_cdeg?"),
        (("sensors", 0, "pin"), 27, "sensors[0].pin: unknown key"),  # optics has none
        (("zzzzzzzzzzzz",), 1, "zzzzzzzzzzzz: unknown key"),
        (("position", "latitude_e7"), 36.5, "position.latitude_e7: integer from -900000000 to 900000000 expected"),
        (("position", "latitude_e7"), 900000001, "position.latitude_e7: integer from -900000000 to 900000000"),
        (("position", "longitude_e7"), ..., "position.longitude_e7: is missing"),
        (("period_s",), True, "period_s: integer from 1 to 3600 expected, not true"),
        (("period_s",), "10", "period_s: integer from 1 to 3600 expected"),
        (("valid_s",), 9, "valid_s: integer from 10 to 86400 expected"),
        (("format",), 2, "format: integer from 1 to 1 expected, not 2"),
        (("wall",), "a/b", "wall: letters, digits, _ and - expected"),
        (("node",), "n" * 33, "node: text of 1 to 32 characters expected"),
        (("moving",), 1, "moving: true or false expected"),
        (("mqtt",), None, "mqtt: an object"),
        (("mqtt",), ..., "mqtt: is missing"),
        (("sensors",), {}, "sensors: list of at most 8 expected"),
        (
            ("sensors", 0, "shape"),
            "pyramide",
            "sensors[0].shape: one of pyramid, sector expected (did you mean pyramid?)",
        ),
        (("sensors", 0, "hfov_cdeg"), 18000, "sensors[0].hfov_cdeg: integer from 1 to 17999 expected"),
        (("sensors", 0, "range_max_cm"), 500, "sensors[0].range_max_cm: more than range_min_cm expected"),
        (("sensors", 0, "driver"), "lidar", "sensors[0].driver: a file of sensors/ expected"),
        (("sensors", 0, "driver"), "gnss", "sensors[0].driver: a driver that makes detections expected"),
        (("sensors", 1, "name"), "cam", "sensors: the name cam twice"),
        (("sensors", 1, "pin"), 6, "sensors[1].pin: a free pin expected, this one is the flash chip's"),
        (("sensors", 1, "pin"), 12, "sensors[1].pin: a free pin expected, this one is a strapping pin"),
        (("sensors", 1, "pin"), 26, "sensors[1].pin: a free pin expected, this one is taken by the board"),
        (("sensors", 1, "pin"), 3, "sensors[1].pin: a free pin expected, this one is the console's"),
        (("sensors", 1, "pin"), 20, "sensors[1].pin: a free pin expected, this one is not led out"),
        (("compass",), {"hard_iron": [1, 2]}, "compass.hard_iron: three integers"),
    ],
)
def test_a_wrong_key_is_told_with_its_path_and_what_was_expected(side, path, value, told):
    problems = answer(side, READ, changed(path, value))
    assert problems[0].startswith(told)


def test_all_problems_are_told_at_once(side):
    whole = changed(("period_s",), 0)
    whole["mqtt"]["port"] = 0
    whole["sensors"][1]["pin"] = 0
    whole["colour"] = "green"
    names = [problem.split(":")[0] for problem in answer(side, READ, whole)]
    assert sorted(names) == ["colour", "mqtt.port", "period_s", "sensors[1].pin"]


def test_a_drone_needs_no_mast_and_a_survey_without_height_does(side):
    drone = changed(("height_agl_cm",), None)
    drone["position"] = {"source": "gnss"}
    drone["moving"] = True
    assert answer(side, READ, drone)[8] is True
    post = changed(("height_agl_cm",), None)
    del post["position"]["height_amsl_cm"]
    assert answer(side, READ, post) == ["position.height_amsl_cm: needed where height_agl_cm is null"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1', "null", "3"])
def test_a_file_that_is_no_configuration_is_named(side, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    source = """
import config
try:
    config.read("config.json")
    out = None
except config.ConfigError as error:
    out = str(error)
"""
    assert answer(side, source, cwd=tmp_path).startswith("config.json")
    assert "missing.json: cannot be read" in answer(side, source.replace("config.json", "missing.json"), cwd=tmp_path)


def test_the_table_in_the_readme_has_the_keys_that_are_read():
    source = """
import config
read = set()
end = config.Section.end
def collecting(section):
    for key in section._known:
        path = section.path + "." + key if section.path else key
        read.add(path.replace("[0]", "[]").replace("[1]", "[]"))
    end(section)
config.Section.end = collecting
given["compass"] = {}
config.settings(given)
out = sorted(read)
"""
    read = set(answer(interpreter("cpython"), source, NODE))
    text = (FIRMWARE / "README.md").read_text().split("## config.json")[1].split("\n## ")[0]
    told = set()
    for line in text.splitlines():
        if line.startswith("| `"):
            told |= set(re.findall(r"`([^`]+)`", line.split("|")[1]))
    # An object's own name stands in the table through its keys.
    assert told | {key.rsplit(".", 1)[0] for key in told if key.count(".") and "[" not in key} == read
