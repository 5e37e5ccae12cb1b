"""Long campaigns, run by `make soak`; each leaves its last result in docs/studies."""

import importlib.util
import time
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[1] / "docs" / "studies"


def study(name):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_second_of_the_campaign_finds_the_exact_viewshed_exact():
    found = study("exact").campaign(1.0, seed=3)
    assert sum(row[1] for row in found.values()) > 1000
    assert sum(row[3] for row in found.values()) == 0


@pytest.mark.soak
def test_the_exact_viewshed_is_the_plain_march_to_the_cell():
    exact, seed = study("exact"), time.time_ns() % 2**32
    found = exact.campaign(600.0, seed)
    (STUDIES / "exact.txt").write_text(exact.text(found, seed) + "\n")
    assert sum(row[3] for row in found.values()) == 0
