"""firmware/config.py: what it takes and refuses and how it says so; the table in firmware/README.md is the real one."""

import copy
import json
import re
import shlex
import subprocess
import sys

import pytest

from dronewall import wire
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
        68,
        [["cam", 31000, 100, 50, None], ["near", 0, 300, 50, [27, 30000, 100, 10000, 600000]]],
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
        (("position", "sigma_cm"), 65501, "position.sigma_cm: integer from 1 to 65500 expected"),  # the wire's bound
        (("node",), "n" * 5000, f'node: text of 1 to 32 characters expected, not "{"n" * 99}...'),
        (("sensors", 0, "driver"), "lidar", "sensors[0].driver: a file of sensors/ expected"),
        (("sensors", 0, "driver"), "gnss", "sensors[0].driver: a driver that makes detections expected"),
        (("sensors", 1, "name"), "cam", "sensors: the name cam twice"),
        (("sensors", 1, "pin"), 6, "sensors[1].pin: a free pin expected, this one is the flash chip's"),
        (("sensors", 1, "pin"), 12, "sensors[1].pin: a free pin expected, this one is a strapping pin"),
        (("sensors", 1, "pin"), 26, "sensors[1].pin: a free pin expected, this one is taken by the board"),
        (("sensors", 1, "pin"), 3, "sensors[1].pin: a free pin expected, this one is the console's"),
        (("sensors", 1, "pin"), 20, "sensors[1].pin: a free pin expected, this one is not led out"),
        (("mqtt", "tls"), True, "mqtt.tls: an object"),
        (("mqtt", "tls"), {}, "mqtt.tls.ca: is missing"),
        (("mqtt", "tls"), {"ca": "a", "key": "k"}, "mqtt.tls.key: a key where there is a certificate"),
        (("clock",), {"ntp": ""}, "clock.ntp: text of 1 to 253 characters expected"),
        (("clock",), {"earliest_unix_ms": 0}, "clock.earliest_unix_ms: integer from 1735689600000 to "),
        (("detections",), 69, "detections: integer from 1 to 68 expected"),
        (("compass",), {"hard_iron": [1, 2]}, "compass.hard_iron: three integers"),
        (("compass",), {"driver": "bno"}, "compass.driver: one of qmc5883, bno055 expected"),
        (("compass",), {"watch": 1}, "compass.watch: true or false expected"),
        (("sensors", 0, "servo"), True, "servo: is missing, a sensor is on it"),
        (("servo",), [], "servo: an object, not []"),
        (("servo",), {"pan_pin": 34, "cdeg_per_s": 6000}, "servo.pan_pin: a free output expected, not 34"),
        (("servo",), {"pan_pin": 32, "tilt_pin": 32, "cdeg_per_s": 6000}, "servo.tilt_pin: a free output expected"),
        (("servo",), {"pan_pin": 32}, "servo.cdeg_per_s: is missing"),
        (
            ("servo",),
            {"pan_pin": 32, "pan_least_cdeg": 9000, "cdeg_per_s": 6000},
            "servo.pan_most_cdeg: more than pan_least_cdeg expected, not 9000",
        ),
        (("servo",), {"pan_pin": 32, "least_us": 399, "cdeg_per_s": 6000}, "servo.least_us: integer from 400 to 2600"),
        (("sensors", 0, "model"), {}, "sensors[0].model.kind: is missing"),
        (("sensors", 0, "model"), "camera", "sensors[0].model: an object"),
        (("sensors", 0, "model", "kind"), "camra", "sensors[0].model.kind: one of camera, "),
        (("sensors", 0, "model", "glimpse_ms"), ..., "sensors[0].model.glimpse_ms: is missing"),
        (("sensors", 0, "model", "pixels"), 0, "sensors[0].model.pixels: integer from 1 to 100000 expected, not 0"),
        (("sensors", 0, "model", "pixel"), 1, "sensors[0].model.pixel: unknown key, did you mean pixels?"),
        (("sensors", 0, "model", "n50"), 1, "sensors[0].model.n50: unknown key"),
        (("sensors", 1, "model", "range_cm"), [0, 0], "sensors[1].model.range_cm: rising values expected, not [0, 0]"),
        (("sensors", 1, "model", "range_cm"), [0, -1], "sensors[1].model.range_cm: integers from 0 to 10000000"),
        (("sensors", 1, "model", "range_cm"), list(range(17)), "sensors[1].model.range_cm: list of at most 16"),
        (("sensors", 1, "model", "probability_milli"), [1], "sensors[1].model.probability_milli: one for each of"),
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


def test_all_that_is_wrong_in_a_model_is_told_at_once(side):
    whole = changed(("sensors", 0, "model"), {"kind": "camera", "pixels": 0, "colour": 1})
    whole["sensors"][1]["model"] = {"kind": "table", "range_cm": [10, 5], "probability_milli": [1001], "glimpse_ms": 1}
    names = [problem.split(":")[0] for problem in answer(side, READ, whole)]
    cam, near = "sensors[0].model.", "sensors[1].model."
    of_cam = [cam + key for key in ("colour", "glimpse_ms", "n50_centi", "pixels")]
    assert sorted(names) == [*of_cam, near + "probability_milli", near + "range_cm"]


def test_what_config_takes_makes_a_birth(side):
    source = """
import config, wire
node = config.settings(given)
keys = ("name", "driver", "model", "shape", "hfov_cdeg", "vfov_cdeg", "range_min_cm", "range_max_cm")
sensors = [{key: getattr(sensor, key) for key in keys} for sensor in node.sensors]
birth = {"firmware": "1", "board": "b", "boot": 1, "session": 1, "period_s": 1, "sensors": sensors}
out = wire.encode("birth", birth).decode()
"""
    birth = json.loads(answer(side, source, NODE))
    assert [sensor["model"]["kind"] for sensor in birth["sensors"]] == ["camera", "table"]


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 200_000, "200000 bytes, at most 16384 expected"),
        (json.dumps(NODE) + " " * 200_000, "at most 16384 expected"),
        ('{"wall":' + "[" * 500 + "]" * 500 + "}", "wall: text of 1 to 32 characters expected"),
        ('{"wall":' + "[" * 7000 + "]" * 7000 + "}", "nested too deep"),
    ],
)
def test_a_file_that_does_not_fit_a_nodes_memory_is_refused(micropython, tmp_path, text, told):
    (tmp_path / "config.json").write_text(text)
    source = """
import config
try:
    config.read("config.json")
    out = None
except config.ConfigError as error:
    out = str(error)
"""
    said = answer(micropython, source, cwd=tmp_path, heap="128k")
    assert said.startswith("config.json:")
    assert told in said
    assert len(said) < 1000


def drivers():
    """The files of sensors/ that make detections."""
    return [path.stem for path in sorted(FIRMWARE.glob("sensors/*.py")) if "\nasync def watch(" in path.read_text()]


def test_the_readme_has_every_driver():
    row = next(line for line in section("config.json").splitlines() if line.startswith("| `sensors[].driver`"))
    assert re.findall(r"`(\w+)`", row.split("|")[2]) == drivers()
    rows = [line.split("|")[1].strip() for line in section("The sensors").splitlines() if line.startswith("| `")]
    assert sorted(rows) == [f"`{driver}`" for driver in drivers()]


def test_the_table_in_the_readme_has_the_keys_that_are_read():
    source = """
import config
drivers = given.pop("drivers")
read = set()
end = config.Section.end
def collecting(section):
    for key in section._known:
        path = section.path + "." + key if section.path else key
        read.add(path.replace("[0]", "[]").replace("[1]", "[]"))
    end(section)
config.Section.end = collecting
given["compass"] = {}
given["servo"] = {"pan_pin": 32, "tilt_pin": 33, "cdeg_per_s": 30000}
config.settings(given)
presence = given["sensors"][1]
for driver in drivers:
    given["sensors"] = [{key: value for key, value in presence.items() if key != "pin"}]
    given["sensors"][0]["driver"] = driver
    if driver == "pir":
        given["sensors"][0]["pin"] = 27
    config.settings(given)
given["mqtt"]["tls"] = {}
try:
    config.settings(given)
except config.ConfigError:
    pass  # a CA is missing
out = sorted(read)
"""
    read = set(answer(interpreter("cpython"), source, {**NODE, "drivers": drivers()}))
    text = (FIRMWARE / "README.md").read_text().split("## config.json")[1].split("\n## ")[0]
    told = set()
    for line in text.splitlines():
        if line.startswith("| `"):
            told |= set(re.findall(r"`([^`]+)`", line.split("|")[1]))
    told = {key for key in told if "[]." in key or "." in key or key in NODE or key in ("detections", "confirm_s")}
    read = {key for key in read if "].model." not in key}
    # An object's own name stands in the table through its keys.
    assert told | {key.rsplit(".", 1)[0] for key in told if key.count(".") and "[" not in key} == read


def section(title):
    """What stands under that heading of firmware/README.md."""
    return (FIRMWARE / "README.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_readme_has_every_key_of_every_model():
    kinds = next(row[4] for row in wire.rows("model") if row[2] == "c")
    known = {(row[1], "") for row in wire.rows("model") if row[2] == "c"}
    known |= {(row[1], "every") for row in wire.rows("model") if row[2] != "c"}
    known |= {(row[1], f"`{kind}`") for kind in kinds for row in wire.rows(f"model.{kind}")}
    table = section("config.json").split("| model key |")[1].split("\n\n")[0]
    cells = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("| `")]
    told = {(row[1].strip("`"), kind) for row in cells for kind in row[2].split(", ")}
    assert told == known
    bounds = next(row[3] for row in cells if row[1] == "`kind`")
    assert re.findall(r'"(\w+)"', bounds) == list(kinds)


def test_the_readmes_example_is_a_configuration(side, tmp_path):
    text = re.search(r"```json\n(.*?)```", section("config.json"), re.DOTALL)[1]
    (tmp_path / "config.json").write_text(text)
    source = """
import config
node = config.read("config.json")
out = [[sensor.name, sensor.model["kind"]] for sensor in node.sensors]
"""
    assert answer(side, source, cwd=tmp_path) == [["cam", "camera"], ["near", "table"]]


@pytest.mark.needs("mpy-cross")
def test_the_readmes_commands_put_every_file_onto_a_board(tmp_path):
    block = re.search(r"```sh\n(.*?)```", section("Onto a board"), re.DOTALL)[1]
    lines = [line for line in block.splitlines() if not line.startswith("pip ")]
    (tmp_path / "build" / "board").mkdir(parents=True)
    (tmp_path / "build" / "board" / "config.json").write_text("{}")
    # mpremote needs a board: what it is asked to copy is written down instead.
    head = f'set -e\npython() {{ {shlex.quote(sys.executable)} "$@"; }}\nmpremote() {{ echo "$@"; }}\n'
    script = head + "\n".join(lines)
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, second, third = ran.stdout.splitlines()
    assert (second, third) == ("cp -r build/board/sensors :", "reset")
    copied = {word.removeprefix("build/board/") for word in first.split()[1:-1]}
    modules = {path.stem for path in FIRMWARE.glob("*.py")} - {"main", "manifest"} | {"wire", "wiretable"}
    assert copied == {f"{name}.mpy" for name in modules} | {"firmware/main.py", "config.json"}
    assert all((tmp_path / "build/board" / name).is_file() for name in copied - {"firmware/main.py"})
    drivers = {path.name for path in (tmp_path / "build/board/sensors").iterdir()}
    assert drivers == {f"{path.stem}.mpy" for path in FIRMWARE.glob("sensors/*.py")}
