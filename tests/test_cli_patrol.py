"""`dronewall patrol`, and what `dronewall gaps` says of drones, as a person runs them."""

import json

import pytest

from test_cli import SITE as UNFLOWN
from test_cli import dronewall
from test_cycle import SITE


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """One run with all its files."""
    folder = tmp_path_factory.mktemp("patrol")
    (folder / "site.toml").write_text(SITE)
    return folder, dronewall("patrol", "site.toml", cwd=folder, COLUMNS="80")


def test_it_shows_timetable_coverage_breach_and_losses(shown):
    folder, ran = shown
    assert ran.returncode == 0, ran.stderr
    assert max(map(len, ran.stdout.splitlines())) <= 80
    words = " ".join(ran.stdout.split())
    for said in ("takes off", "on station", "Watched over one cycle", "Who gets through", "If a drone is lost"):
        assert said in words
    names = ["patrol.geojson", "patrol.gif", "patrol.png", "patrol.tif"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == names
    assert (folder / "out" / "patrol.gif").read_bytes().startswith(b"GIF8")
    for name in names:
        assert str((folder / "out" / name).resolve()) in ran.stdout


def test_its_files_are_written_again_and_a_foreign_one_is_left_alone(shown):
    folder, _ = shown
    again = dronewall("patrol", "site.toml", "--film", "none", cwd=folder)
    assert again.returncode == 0, again.stderr
    (folder / "out" / "patrol.gif").write_bytes(b"GIF89a mine")
    ran = dronewall("patrol", "site.toml", cwd=folder)
    assert ran.returncode == 2
    assert "patrol.gif, not made by dronewall" in ran.stderr
    assert (folder / "out" / "patrol.gif").read_bytes() == b"GIF89a mine"


def test_json_is_json_with_both_walkers_at_every_station(site, tmp_path):
    ran = dronewall("patrol", site, "--json", "-q", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    answer = json.loads(ran.stdout)
    assert answer["dronewall"]["what"] == "cycle"
    assert answer["periodic"]
    assert {flight["drone"] for flight in answer["flights"]} == {"D1", "D2"}
    assert [(of["target"], of["level"]) for of in answer["targets"]] == [("walker", "expected"), ("walker", "assured")]
    for stations in answer["stations"]:
        pairs = zip(stations["knowing_probability"], stations["unknowing_probability"], strict=True)
        assert all(knowing <= unknowing + 1e-6 for knowing, unknowing in pairs)
    assert {lost["drone"] for lost in answer["losses"]} == {"D1", "D2"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site.toml"]


def test_gaps_tells_it_in_short_and_its_page_plays_it(site, tmp_path):
    ran = dronewall("gaps", site, "--no-trust", cwd=tmp_path, COLUMNS="80")
    assert ran.returncode == 0, ran.stderr
    assert "Who gets through" in ran.stdout
    assert "takes off" not in ran.stdout
    assert 'type="range"' in (tmp_path / "out" / "report.html").read_text()
    told = dronewall("gaps", site, "--no-trust", "--json", "-q", cwd=tmp_path)
    assert json.loads(told.stdout)["cycle"]["dronewall"]["what"] == "cycle"


def test_a_snapshot_says_which_moment_of_the_plan_it_is(site, tmp_path):
    ran = dronewall("gaps", site, "--no-trust", "--no-patrol", "--no-files", "--at", "100", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    words = " ".join(ran.stdout.split())
    assert "At 1:40 of the drones' plan, " in words
    assert "planned, at 1:40 of the drones' plan." in words
    ran = dronewall("who", site, "36.5535,-84.2965", "--at", "100", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "36.55350,-84.29650 at 1:40 of the drones' plan" in " ".join(ran.stdout.split())
    site.write_text(UNFLOWN)
    ran = dronewall("gaps", site, "--no-trust", "--no-files", "--at", "100", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "drones' plan" not in ran.stdout


def test_gaps_leaves_it_out_when_asked_and_where_nobody_flies(site, tmp_path):
    ran = dronewall("gaps", site, "--no-trust", "--no-patrol", "--no-files", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Who gets through" not in ran.stdout
    site.write_text(UNFLOWN)
    ran = dronewall("gaps", site, "--no-trust", "--no-files", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Who gets through" not in ran.stdout


def test_without_sorties_there_is_nothing_to_show(site, tmp_path):
    site.write_text(UNFLOWN)
    ran = dronewall("patrol", site, cwd=tmp_path)
    assert ran.returncode == 2
    assert "no [[sorties]]" in ran.stderr


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["--target", "wlaker"], "did you mean walker?"),
        (["--film", "avi"], "avi"),
        (["--no-files", "--out", "x"], "exclude each other"),
    ],
)
def test_what_cannot_be_is_refused(site, tmp_path, told, said):
    ran = dronewall("patrol", site, *told, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_a_sortie_that_cannot_be_flown_is_refused_with_numbers(site, tmp_path):
    site.write_text(SITE.replace("endurance_s = 400.0", "endurance_s = 90.0"))
    for command in ("patrol", "gaps", "check"):
        ran = dronewall(command, site, cwd=tmp_path)
        assert ran.returncode == 2, command
        assert "sortie along" in ran.stderr
        assert "leaves" in ran.stderr
        assert "on station" in ran.stderr
