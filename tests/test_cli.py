import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

SITE = """
[site]
name = "cliwall"
[terrain]
ground = "dronewall:jacksboro"
cell_m = 25.0
[frontage]
points_deg = [[36.55, -84.30], [36.56, -84.29]]
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
range_max_m = 900.0
model = { kind = "camera", pixels = 1920 }
[[posts]]
name = "P1"
latitude_deg = 36.555
longitude_deg = -84.295
[[nodes]]
post = "P1"
mast_m = 8.0
sensors = [{ name = "cam", type = "camera", azimuth_deg = 320.0 }]
"""


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


def dronewall(*words, cwd, **env):
    return subprocess.run(
        [sys.executable, "-m", "dronewall", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", **env},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=55,
        check=False,
    )


def test_gaps_answers_on_stdout_talks_on_stderr_and_leaves_its_files(site, tmp_path):
    ran = dronewall("gaps", site, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "[1/3] ground" in ran.stderr
    assert "[1/3]" not in ran.stdout
    assert "walker" in ran.stdout
    assert "line" in ran.stdout
    for name in ("wall.png", "report.html", "gaps.geojson", "coverage.tif"):
        assert (tmp_path / "out" / name).stat().st_size > 0
        assert str(tmp_path / "out" / name) in ran.stdout
    with rasterio.open(tmp_path / "out" / "coverage.tif") as raster:
        assert raster.crs.to_epsg() == 32616
        assert np.nanmax(raster.read(1)) > 0.0


def test_gaps_as_json_is_json_and_nothing_else(site, tmp_path):
    ran = dronewall("gaps", site, "--json", "-q", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    answer = json.loads(ran.stdout)
    assert answer["summary"]["sensors_total"] == 1
    assert {gap["kind"] for gap in answer["gaps"]} <= {"line", "lane"}
    assert not (tmp_path / "out").exists()


def test_fail_over_ends_with_three_when_a_gap_is_longer(site, tmp_path):
    ran = dronewall("gaps", site, "--json", "-q", cwd=tmp_path)
    longest = max(gap["length_m"] for gap in json.loads(ran.stdout)["gaps"])
    over = dronewall("gaps", site, "--no-files", "-q", "--fail-over", f"{longest - 1:.0f}m", cwd=tmp_path)
    under = dronewall("gaps", site, "--no-files", "-q", "--fail-over", f"{(longest + 1) / 1000:.4f}km", cwd=tmp_path)
    assert (over.returncode, under.returncode) == (3, 0)
    assert "longer than" in over.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("gaps", "missing.toml"), "missing.toml"),
        (("gaps", "site.toml", "--terrain", "missing.tif"), "missing.tif"),
        (("gaps", "site.toml", "--fail-over", "long"), "such as 200m"),
        (("gaps", "site.toml", "--out", "site.toml"), "folder"),
        (("gaps",), "SITE"),
        (("gap", "site.toml"), "gaps"),
        (("demo", "--site", "missing.toml"), "missing.toml"),
        (("check", "."), "folder"),
    ],
)
def test_bad_input_ends_with_two_and_says_what_was_expected(site, tmp_path, words, expected):
    ran = dronewall(*words, cwd=tmp_path)
    assert ran.returncode == 2
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_check_tells_every_mistake_at_once_with_its_line(site, tmp_path):
    broken = SITE.replace("mast_m", "mast_height_m").replace('post = "P1"', 'post = "P2"').replace("320.0", "420.0")
    site.write_text(broken)
    ran = dronewall("check", site, cwd=tmp_path)
    assert ran.returncode == 2
    lines = broken.splitlines()
    for wrong in ("mast_height_m", 'post = "P2"', "420.0"):
        number = next(i for i, line in enumerate(lines, 1) if wrong in line)
        assert f"site.toml:{number}:" in ran.stderr
    assert "mast_m" in ran.stderr


def test_a_good_site_file_is_called_good(site, tmp_path):
    ran = dronewall("check", site, cwd=tmp_path)
    assert ran.returncode == 0
    assert "1 posts, 1 nodes, 0 drones, 1 sensors" in ran.stdout


def test_files_of_others_are_left_alone_before_any_work_is_done(site, tmp_path):
    (tmp_path / "out").mkdir()
    other = tmp_path / "out" / "gaps.geojson"
    other.write_text('{"type": "FeatureCollection", "features": []}')
    ran = dronewall("gaps", site, cwd=tmp_path)
    assert ran.returncode == 2
    assert "gaps.geojson" in ran.stderr
    assert "[1/3]" not in ran.stderr
    assert other.read_text() == '{"type": "FeatureCollection", "features": []}'
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gaps.geojson"]


def test_a_second_run_replaces_its_own_files(site, tmp_path):
    first, second = (dronewall("gaps", site, cwd=tmp_path) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_fault_of_ours_ends_with_one_and_the_traceback(tmp_path):
    crash = (
        "from dronewall import cli, scenario\n"
        "def broken(*_): raise RuntimeError('a bug')\n"
        "scenario.read = broken\n"
        "cli.main(['check', 'x'])"
    )
    ran = subprocess.run([sys.executable, "-c", crash], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "RuntimeError: a bug" in ran.stderr
    assert "please report" in ran.stderr


def test_help_waits_for_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom dronewall.cli import main\ntry: main(['gaps', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'numba', 'rasterio', 'matplotlib', 'rich', 'msgspec', 'pyproj', 'paho', 'iotcore'}"
        " & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
    assert "Usage:" in ran.stdout


def test_colour_only_where_it_is_wanted(site, tmp_path):
    plain = dronewall("gaps", site, "--no-files", cwd=tmp_path)
    forced = dronewall("gaps", site, "--no-files", cwd=tmp_path, FORCE_COLOR="1")
    refused = dronewall("gaps", site, "--no-files", cwd=tmp_path, FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[" not in plain.stdout
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", forced.stdout)
    assert not re.search(r"\x1b\[[0-9;]*[349][0-9]m", refused.stdout)


def test_a_reader_that_goes_away_is_no_fault(site, tmp_path):
    command = f"{sys.executable} -m dronewall gaps {site} --json -q | head -c 1; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert ran.returncode in (0, 141)


def test_drones_are_where_the_time_puts_them(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text(
        SITE
        + """
[[drones]]
name = "D1"
route_deg = [[36.555, -84.295], [36.56, -84.29]]
repeat = "shuttle"
height_agl_m = 90.0
speed_mps = 10.0
sensors = [{ name = "cam", type = "camera", elevation_deg = -60.0 }]
"""
    )
    sensors = [
        {
            sensor["sensor"]: sensor
            for sensor in json.loads(dronewall("gaps", site, "--json", "-q", "--at", at, cwd=tmp_path).stdout)[
                "sensors"
            ]
        }
        for at in ("0", "30")
    ]
    moved = np.hypot(
        (sensors[1]["D1/cam"]["latitude_deg"] - sensors[0]["D1/cam"]["latitude_deg"]) * 111_000.0,
        (sensors[1]["D1/cam"]["longitude_deg"] - sensors[0]["D1/cam"]["longitude_deg"]) * 89_300.0,
    )
    assert moved == pytest.approx(300.0, rel=0.01)


def test_the_schema_commands_print_what_they_promise(tmp_path):
    wire = dronewall("schema", "wire", cwd=tmp_path)
    assert 'asyncapi: "3.0.0"' in wire.stdout
    assert wire.stdout == Path(__file__).parents[1].joinpath("docs", "asyncapi.yaml").read_text()
    site = json.loads(dronewall("schema", "site", cwd=tmp_path).stdout)
    assert "frontage" in json.dumps(site)
