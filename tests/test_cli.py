import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from dronewall import cli

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
    order = ("What would close them", "How far to trust", "Targets: ", "Weakest cross")
    places = [ran.stdout.index(said) for said in order]
    assert places == sorted(places)
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
    assert {gap["kind"] for gap in answer["gaps"]} <= {"line", "lane", "breach"}
    assert all(gap["ground"]["words"] and isinstance(gap["closers"], list) for gap in answer["gaps"])
    assert any(gap["closers"] for gap in answer["gaps"])
    assert {each["kind"] for each in answer["trust"]} == {"line", "lane", "breach"}
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
        (("sensors", "ov264"), "did you mean ov2640?"),
        (("sensors", ""), "is not in the catalogue"),
        (("gaps", "site.toml", "--fail-over", "-1"), "'-1' is not a length"),
        (("check", "\x1b[2Jmissing.toml"), "?[2Jmissing.toml: no such file"),
        (("check", "a" * 300), "File name too long"),
        (("check", "/dev/zero"), "not a regular file"),
        (("gaps", "site.toml", "--terrain", "/dev/zero"), "not a regular file"),
    ],
)
def test_bad_input_ends_with_two_and_says_what_was_expected(site, tmp_path, words, expected):
    ran = dronewall(*words, cwd=tmp_path)
    assert ran.returncode == 2
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize("command", ["gaps site.toml --at", "why site.toml P1/cam 36.555,-84.296 --at", "demo --wait"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e308", "soon"])
def test_a_time_that_is_none_is_a_usage_error(site, command, value):
    ran = CliRunner().invoke(cli.main, [*command.split(), value])
    assert ran.exit_code == 2
    option = command.split()[-1]
    expected = "1 to 600" if option == "--wait" else "0 to 604800"
    assert ran.stderr.endswith(f"Error: Invalid value for '{option}': '{value}'; expected seconds from {expected}\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_work_with_one_line_and_leaves_nothing(site, tmp_path, number, status):
    sensors = ", ".join(f'{{ name = "s{i}", type = "camera", azimuth_deg = {40 * i}.0 }}' for i in range(8))
    nodes = "".join(
        f'\n[[nodes]]\nname = "N{i}"\npost = "P1"\nmast_m = 8.0\nsensors = [{sensors}]\n' for i in range(60)
    )
    site.write_text(SITE[: SITE.index("[[nodes]]")] + nodes)
    child = subprocess.Popen(
        [sys.executable, "-m", "dronewall", "gaps", "site.toml", "-v"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert any("windows of" in line for line in child.stderr)
    # All 480 sensors would take minutes.
    child.send_signal(number)
    out, err = child.communicate(timeout=40)
    assert (child.returncode, out) == (status, "")
    rest = [
        line for line in err.splitlines() if line and "windows of" not in line
    ]  # an empty one ends the terminal's ^C
    assert rest == ["interrupted" if number == signal.SIGINT else "told to end"]
    assert not (tmp_path / "out").exists()


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
[airframes.wing]
speed_mps = 10.0
[[drones]]
name = "D1"
airframe = "wing"
sensors = [{ name = "cam", type = "camera", elevation_deg = -60.0 }]
[[sorties]]
name = "along"
drones = ["D1"]
pattern = "shuttle"
route_deg = [[36.555, -84.295], [36.56, -84.29]]
height_agl_m = 90.0
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


def test_sensors_lists_the_catalogue_and_shows_one_with_its_sources(tmp_path):
    listed = dronewall("sensors", cwd=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    entries = json.loads(dronewall("sensors", "--json", cwd=tmp_path).stdout)
    assert len(entries) > 10
    for entry in entries:
        assert entry["name"] in listed.stdout
    one = json.loads(dronewall("sensors", "ov2640", "--json", cwd=tmp_path).stdout)
    assert one in entries
    shown = " ".join(dronewall("sensors", "ov2640", cwd=tmp_path, COLUMNS="200").stdout.split())
    assert one["title"] in shown
    for figure, source in one["sources"].items():
        assert figure in shown
        assert source in shown
    assert 'catalogue = "ov2640"' in shown


def test_a_type_from_the_catalogue_is_computed_like_any_other(site, tmp_path):
    start, end = SITE.index("driver = "), SITE.index("[[posts]]")
    site.write_text(SITE[:start] + 'catalogue = "ov2640"\n' + SITE[end:])
    answer = json.loads(dronewall("gaps", site, "--json", "-q", cwd=tmp_path).stdout)
    assert answer["sensors"][0]["state"] == "planned"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('crs = "EPSG:4326"', "projected"),
        ('crs = "EPSG:2263"', "metre"),  # New York, in feet
        ('crs = "EPSG:27700"', "British National Grid"),
        ('crs = "EPSG:3857"', "stretches"),
    ],
)
def test_check_says_of_the_crs_what_gaps_says(tmp_path, line, expected):
    path = tmp_path / "site.toml"
    path.write_text(SITE.replace('name = "cliwall"', f'name = "cliwall"\n{line}'))
    checked, answered = (dronewall(command, "site.toml", cwd=tmp_path) for command in ("check", "gaps"))
    assert (checked.returncode, checked.stdout) == (2, "")
    assert expected in checked.stderr
    assert checked.stderr.strip() == answered.stderr.strip().splitlines()[-1]


def test_check_opens_the_terrain_and_says_what_gaps_says(tmp_path):
    from rasterio.transform import from_origin

    text = SITE.replace('"dronewall:jacksboro"', '"ground.tif"')
    (tmp_path / "site.toml").write_text(text)
    profile = {"driver": "GTiff", "width": 20, "height": 20, "count": 1, "dtype": "float32"}
    elsewhere = {"crs": "EPSG:32616", "transform": from_origin(700_000.0, 4_000_000.0, 30.0, 30.0)}
    for more, expected in (
        ({"transform": from_origin(-84.31, 36.57, 0.001, 0.001)}, "no coordinate reference system"),
        (elsewhere | {"crs": "EPSG:2263"}, "counts in"),
        (elsewhere, "does not cover the belt"),
    ):
        with rasterio.open(tmp_path / "ground.tif", "w", **profile, **more) as raster:
            raster.write(np.ones((1, 20, 20), np.float32))
        checked, answered = (dronewall(command, "site.toml", cwd=tmp_path) for command in ("check", "gaps"))
        assert (checked.returncode, checked.stdout) == (2, ""), expected
        assert expected in checked.stderr
        assert checked.stderr.strip() == answered.stderr.strip().splitlines()[-1]
    (tmp_path / "ground.tif").write_text("no raster")
    assert "not a raster" in dronewall("check", "site.toml", cwd=tmp_path).stderr


def test_verbose_says_where_from_how_large_and_how_long(site, tmp_path):
    plain, more, all_of_it = (
        dronewall("gaps", site, "--no-files", *words, cwd=tmp_path, COLUMNS="200") for words in ((), ("-v",), ("-vv",))
    )
    assert "INFO" not in plain.stderr
    assert re.search(r"INFO .*terrain dronewall:jacksboro, digest [0-9a-f]{12}", more.stderr)
    assert re.search(r"INFO .*P1/cam: windows of \d+ x \d+ cells, done after \d+\.\d\d s", more.stderr)
    assert re.search(r"INFO .*compiled code is kept in", more.stderr)
    assert "DEBUG" not in more.stderr
    assert re.search(r"DEBUG .*origin", all_of_it.stderr)


full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@full
@pytest.mark.parametrize("words", ["check site.toml", "gaps site.toml --no-files -q", "gaps site.toml --json -q", "-h"])
def test_a_full_disk_behind_stdout_is_one_line_and_two(site, tmp_path, words):
    command = f"{sys.executable} -m dronewall {words} > /dev/full"
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "No space left on device" in line


@full
@pytest.mark.parametrize(
    ("words", "status"), [("gaps site.toml --no-files -v", 0), ("check missing.toml", 2), ("gaps", 2)]
)
def test_a_full_disk_behind_stderr_changes_nothing(site, tmp_path, words, status):
    command = f"{sys.executable} -m dronewall {words} 2> /dev/full"
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == status
    assert ("walker" in ran.stdout) == (status == 0)


def test_a_refused_sensor_of_a_plan_was_never_heard(site, tmp_path):
    # The terrain ends 0.03 degrees to the north of the belt: nobody knows the ground of P2.
    more = """
[[posts]]
name = "P2"
latitude_deg = 36.90
longitude_deg = -84.295
[[nodes]]
post = "P2"
mast_m = 8.0
sensors = [{ name = "cam", type = "camera", azimuth_deg = 320.0 }]
"""
    site.write_text(SITE + more)
    ran = dronewall("gaps", site, "--no-files", "-q", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "1 of 2 sensors count" in ran.stdout
    assert "heard" not in ran.stdout
    assert "as reported" not in ran.stdout


def test_the_waiting_list_fits_the_line():
    from dronewall.cli import _waiting

    names = [f"P{i}/cam" for i in range(1, 19)]
    assert _waiting(18, 18, [], 72) == "sensors heard 18/18"
    assert _waiting(0, 18, names, 200) == ("sensors heard 0/18, waiting for P1/cam, P2/cam, P3/cam, P4/cam and 14 more")
    for room in range(40, 100):
        assert len(_waiting(0, 18, names, room)) <= room
    assert _waiting(0, 18, names, 60) == "sensors heard 0/18, waiting for P1/cam, P2/cam and 16 more"
    assert _waiting(0, 18, names, 40) == "sensors heard 0/18, waiting for 18"


def test_what_was_said_last_of_a_step_stays_on_a_terminal(monkeypatch):
    import io

    from rich.console import Console

    from dronewall.talk import Talk

    talk = Talk(4, 0, False)
    talk._console = Console(file=io.StringIO(), force_terminal=True, width=80)
    talk.now(3, "sensors heard 17/18, waiting for P4/cam")
    talk.now(3, "sensors heard 18/18")
    talk.settle(keep=True)
    said = talk._console.file.getvalue()
    assert said.rstrip().endswith("[3/4] sensors heard 18/18")
