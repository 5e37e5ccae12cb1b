"""`dronewall losses`, as a person runs it."""

import json

import pytest

from test_cli import SITE, dronewall
from test_resilience import POSTS


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE + POSTS)
    return path


def test_it_ranks_losses_and_says_how_many_the_line_stands(site, tmp_path):
    ran = dronewall("losses", site, "--count", "2", "--jam", "36.5562,-84.297,20", cwd=tmp_path, COLUMNS="80")
    assert ran.returncode == 0, ran.stderr
    assert "walker, expected" in ran.stdout
    assert "Resilience" in ran.stdout
    assert " home 3 " in " ".join(ran.stdout.split())
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site.toml"]


def test_a_jammed_area_that_holds_nobody_is_not_passed_over_in_silence(site, tmp_path):
    ran = dronewall("losses", site, "--target", "walker", "--jam", "-84.297,36.5562,20", cwd=tmp_path, COLUMNS="200")
    assert ran.returncode == 0, ran.stderr
    assert "no node is within 20 m of -84.297,36.5562" in ran.stderr
    assert "latitude comes first" in ran.stderr


def test_json_is_json_and_names_target_level_and_inputs(site, tmp_path):
    told = ("--json", "-q", "--level", "assured", "--target", "walker", "--count", "3")
    ran = dronewall("losses", site, *told, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    answer = json.loads(ran.stdout)
    assert answer["dronewall"]["what"] == "losses"
    assert len(answer["dronewall"]["input_hash"]) == 64
    (one,) = answer["targets"]
    assert (one["target"], one["level"]) == ("walker", "assured")
    assert {each["name"] for each in one["single"]} == {"P1", "P2", "P4", "N2", "N3", "home", "far", "G"}
    for each in one["single"]:
        opened = sum(span["end_m"] - span["start_m"] for span in each["opened"] if span["kind"] == "breach")
        assert opened == pytest.approx(each["opens_m"]["breach"], abs=0.5)
    assert one["resilience"]["at_least"] <= one["resilience"]["at_most"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["--jam", "36.5,-84.2"], "expected latitude, longitude and metres"),
        (["--jam", "36.5,-84.2,-5"], "is not an area"),
        (["--jam", "96.5,-84.2,50"], "latitude comes first"),
        (["--target", "wlaker"], "did you mean walker?"),
        (["--count", "4"], "1<=x<=3"),
        (["--time-limit", "-1"], "expected seconds"),
    ],
)
def test_what_cannot_be_asked_is_said(site, tmp_path, told, said):
    ran = dronewall("losses", site, *told, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_without_time_it_says_so(site, tmp_path):
    ran = dronewall("losses", site, "--time-limit", "0", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Not tried for want of time: 8 single losses" in " ".join(ran.stdout.split())
