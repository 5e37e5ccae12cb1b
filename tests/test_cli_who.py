"""`dronewall who`, as a person runs it."""

import json
import math
import re

import pytest

from test_cli import SITE, dronewall

PLACE = "36.5568,-84.2976"


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


def test_it_lists_the_sensors_and_what_they_make_together(site, tmp_path):
    ran = dronewall("who", site, PLACE, cwd=tmp_path, COLUMNS="80")
    assert ran.returncode == 0, ran.stderr
    assert "P1/cam" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("walker")
    assert "in a look of 10 s by 1 sensor" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site.toml"]


def test_json_is_json_and_adds_up(site, tmp_path):
    two = (
        SITE
        + """[[posts]]
name = "P2"
latitude_deg = 36.556
longitude_deg = -84.297
[[nodes]]
post = "P2"
mast_m = 8.0
sensors = [{ name = "cam", type = "camera", azimuth_deg = 330.0 }]
"""
    )
    site.write_text(two.replace("[[targets]]", "[thresholds]\ncount_p = 0.01\n[[targets]]", 1))
    ran = dronewall("who", site, PLACE, "--json", "-q", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    answer = json.loads(ran.stdout)
    assert answer["place"]["latitude_deg"] == pytest.approx(36.5568, abs=1e-6)
    assert [(one["target"], one["level"]) for one in answer["targets"]] == [
        ("walker", "expected"),
        ("walker", "assured"),
    ]
    for one in answer["targets"]:
        looks = [sensor["look_probability"] for sensor in one["sensors"]]
        assert looks == sorted(looks, reverse=True)
        assert one["look_probability"] == pytest.approx(1.0 - math.prod(1.0 - look for look in looks), abs=2e-4)
        assert one["nodes_counting"] == sum(look >= 0.01 for look in looks)
        assert not one["unknown"]
    expected, assured = answer["targets"]
    assert assured["look_probability"] <= expected["look_probability"]
    assert {sensor["sensor"] for sensor in expected["sensors"]} == {"P1/cam", "P2/cam"}


KINDS = """[sensor_types.pir]
driver = "pir"
shape = "sector"
hfov_deg = 90.0
vfov_deg = 90.0
range_max_m = 400.0
model = { kind = "pir", reference_m = 200.0, zones = 30 }
[sensor_types.doppler]
driver = "optics"
shape = "sector"
hfov_deg = 90.0
vfov_deg = 90.0
range_max_m = 900.0
model = { kind = "radar", reference_m = 900.0, speed_min_mps = 0.5 }
[sensor_types.radar]
driver = "optics"
shape = "sector"
hfov_deg = 90.0
vfov_deg = 90.0
range_max_m = 900.0
model = { kind = "radar", reference_m = 900.0, speed_min_mps = 0.0 }
"""


def of_kinds(*kinds):
    """The site with a sensor of each kind on its post; the walker is warm and has an echo."""
    sensors = ", ".join(f'{{ name = "{kind}", type = "{kind}", azimuth_deg = 320.0 }}' for kind in kinds)
    site = SITE.replace("[[posts]]", KINDS + "[[posts]]", 1)
    site = site.replace('{ name = "cam", type = "camera", azimuth_deg = 320.0 }', sensors)
    return site.replace("speed_mps = 1.4", "speed_mps = 1.4\nradar_cross_section_m2 = 1.0\nthermal_contrast_k = 8.0")


def test_a_pir_and_a_doppler_radar_make_nothing_of_a_target_that_stands_still(site, tmp_path):
    site.write_text(of_kinds("camera", "pir", "doppler", "radar"))
    ran = dronewall("who", site, PLACE, "--json", "-q", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    for one in json.loads(ran.stdout)["targets"]:
        looks = {each["sensor"]: (each["look_probability"], each["look_still_probability"]) for each in one["sensors"]}
        assert set(looks) == {"P1/camera", "P1/pir", "P1/doppler", "P1/radar"}
        for name in ("P1/camera", "P1/radar"):
            assert looks[name][0] == looks[name][1] > 0.0
        for name in ("P1/pir", "P1/doppler"):
            assert looks[name][0] > looks[name][1] == 0.0
        missed = math.prod(1.0 - still for _, still in looks.values())
        assert one["look_still_probability"] == pytest.approx(1.0 - missed, abs=2e-4)


def test_the_table_says_what_is_left_of_a_target_that_stands_still(site, tmp_path):
    site.write_text(of_kinds("camera", "pir", "doppler"))
    ran = dronewall("who", site, PLACE, "-q", cwd=tmp_path, COLUMNS="80")
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert next(line for line in lines if "ceiling" in line).split()[-2:] == ["still", "assured"]
    shown = {line.split()[1]: re.findall(r"(\S+) %", line) for line in lines if " P1/" in line}
    assert len(shown) == 3
    for name, (_, moving, still, _) in shown.items():
        assert still == (moving if name == "P1/camera" else "0")
    site.write_text(of_kinds("pir", "doppler"))
    ran = dronewall("who", site, PLACE, "-q", cwd=tmp_path, COLUMNS="80")
    assert "by 2 sensors together, 0 % if it stands still" in " ".join(ran.stdout.split())


def test_where_nobody_looks_it_says_so(site, tmp_path):
    ran = dronewall("who", site, "36.5510,-84.2950", "-q", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "seen by nobody" in ran.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["36.558"], "latitude and longitude in degrees"),
        (["north,west"], "latitude and longitude in degrees"),
        (["95.0,36.558"], "latitude comes first"),
        (["-84.2985,36.558"], "did you mean 36.558,-84.2985?"),
        (["40.0,-84.3"], "outside the terrain"),
        ([PLACE, "--target", "walkr"], "did you mean walker?"),
    ],
)
def test_bad_input_ends_with_two_and_says_what_was_expected(site, tmp_path, words, expected):
    ran = dronewall("who", site, *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
