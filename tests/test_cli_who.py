"""`dronewall who`, as a person runs it."""

import json
import math

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
