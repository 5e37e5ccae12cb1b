"""`dronewall why`, as a person runs it."""

import json

import pytest
from matplotlib.image import imread

from test_cli import SITE, dronewall


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


def test_it_answers_with_section_figures_and_verdict(site, tmp_path):
    ran = dronewall("why", site, "P1/cam", "36.5580,-84.2985", cwd=tmp_path, COLUMNS="80")
    assert ran.returncode == 0, ran.stderr
    assert "◉" in ran.stdout
    last = [line for line in ran.stdout.splitlines() if line][-2:]
    assert any(line.startswith(("seen:", "faint:", "hidden:", "outside its view:")) for line in last)
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert "\x1b[" not in ran.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site.toml"]


def test_a_terminal_without_unicode_gets_ascii(site, tmp_path):
    ran = dronewall("why", site, "P1/cam", "36.5580,-84.2985", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.isascii()
    assert "E sensor" in ran.stdout
    assert "#" in ran.stdout


def test_a_picture_in_place_of_the_terminals_section(site, tmp_path):
    ran = dronewall("why", site, "P1/cam", "36.5580,-84.2985", "--png", "why.png", "-q", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == str(tmp_path / "why.png")
    assert "◉" not in ran.stdout
    pixels = imread(tmp_path / "why.png")
    assert pixels.shape[1] > 1000
    assert pixels[..., :3].std() > 0.05
    assert dronewall("why", site, "P1/cam", "36.558,-84.298", "--png", "why.png", cwd=tmp_path).returncode == 0


def test_json_is_json_and_nothing_else(site, tmp_path):
    ran = dronewall("why", site, "P1/cam", "36.5580,-84.2985", "--json", "-q", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    answer = json.loads(ran.stdout)
    assert answer["sensor"]["sensor"] == "P1/cam"
    (target,) = answer["targets"]
    profile = target["profile"]
    assert len(profile["distance_m"]) == len(profile["ground_amsl_m"]) > 10
    assert profile["distance_m"] == sorted(profile["distance_m"])
    assert target["words"].startswith(target["verdict"])
    assert answer["place"]["moved_to_cell_m"] <= 25.0 / 2**0.5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("P1/can", "36.558,-84.298"), "did you mean P1/cam?"),
        (("P1", "36.558,-84.298"), "did you mean P1/cam?"),
        (("Q7/radar", "36.558,-84.298"), "it has P1/cam"),
        (("P1/cam", "somewhere"), "such as 36.6182,-84.1571"),
        (("P1/cam", "36.558"), "latitude and longitude"),
        (("P1/cam", "-84.298,36.558"), "latitude comes first: did you mean 36.558,-84.298?"),
        (("P1/cam", "136.558,-84.298"), "did you mean -84.298,136.558?"),
        (("P1/cam", "37.558,-84.298"), "km outside the terrain"),
        (("P1/cam", "-33.9,18.4"), "outside the terrain"),
        (("P1/cam", "36.558,-84.298", "--target", "walkr"), "did you mean walker?"),
        (("P1/cam", "36.558,-84.298", "--png", "why.jpg"), "ends in .png"),
        (("P1/cam", "36.558,-84.298", "--png", "theirs.png"), "theirs.png"),
        (("P1/cam",), "LAT,LON"),
    ],
)
def test_bad_input_ends_with_two_and_says_what_was_expected(site, tmp_path, words, expected):
    (tmp_path / "theirs.png").write_bytes(b"\x89PNG\r\n\x1a\nsomebody's")
    ran = dronewall("why", "site.toml", *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert expected in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    assert (tmp_path / "theirs.png").read_bytes() == b"\x89PNG\r\n\x1a\nsomebody's"
