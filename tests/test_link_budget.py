"""hardware/link_budget.py: its distances over flat ground against closed forms."""

import math
import re
import subprocess
import sys

import pytest

from dronewall.engine.earth import RADIO, RADIUS
from dronewall.engine.links import Radio
from firmware_side import ROOT

sys.path.insert(0, str(ROOT / "hardware"))
import link_budget

CHANNEL_6 = 2.437e9
WAVE = 299_792_458.0 / CHANNEL_6


@pytest.mark.parametrize(("one", "other"), [(2.0, 4.0), (6.0, 12.0), (10.0, 20.0)])
def test_the_horizon_is_that_of_four_thirds_of_the_earth(one, other):
    expected = 4120.0 * (math.sqrt(one) + math.sqrt(other))
    assert link_budget.horizon_m(one, other, CHANNEL_6) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("height", [2.0, 6.0, 20.0])
def test_the_zone_is_free_until_its_middle_meets_the_curve(height):
    length = link_budget.clear_m(height, height, CHANNEL_6)
    # Half way: h - D^2 (1 - k) / 8R = 0.6 sqrt(lambda D) / 2
    left = height - length * length * (1 - RADIO) / (8 * RADIUS)
    assert left == pytest.approx(0.6 * math.sqrt(WAVE * length) / 2, rel=0.01)


def test_from_high_masts_the_reach_is_that_of_free_space():
    radio = Radio(margin=20.0)
    bearable = 19.5 + 2 + 5 + 97 - 20
    expected = WAVE / (4 * math.pi) * 10 ** (bearable / 20)
    assert link_budget.reach_m(radio, 30.0, 30.0) == pytest.approx(expected, abs=11.0)


def test_a_higher_antenna_reaches_no_less_and_a_faster_rate_no_farther():
    radio = Radio()
    by_height = [link_budget.reach_m(radio, height, 8.0) for height in (1.0, 2.0, 4.0, 8.0, 16.0)]
    assert by_height == sorted(by_height)
    for height in (2.0, 10.0):
        by_need = [link_budget.reach_m(Radio(sensitivity=level), height, 8.0) for level in (-97.0, -88.0, -72.0)]
        assert by_need == sorted(by_need, reverse=True)


def test_the_command_prints_a_row_for_each_pair_of_heights():
    command = [sys.executable, "hardware/link_budget.py", "--node-m", "3", "6", "--ap-m", "9", "--eirp-dbm", "20"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ +(\d+) +9 +([\d.]+) ", done.stdout, re.M)
    assert [float(km) for _, km in rows] == [
        pytest.approx(4.12 * (math.sqrt(float(node)) + 3), abs=0.06) for node, _ in rows
    ]
    assert [node for node, _ in rows] == ["3", "6"]
    assert "at most 20 dBm EIRP" in done.stdout
    refused = subprocess.run([*command[:2], "--node-m", "-1"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert refused.returncode == 2
    assert "expected heights" in refused.stderr


def test_the_documents_table_is_what_the_command_prints():
    command = [sys.executable, "hardware/link_budget.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    text = (ROOT / "docs" / "links.md").read_text("utf-8")
    block = re.search(r"<!-- table: link_budget -->\n```text\n(.*?)```", text, re.DOTALL)
    assert block is not None
    assert block[1] == done.stdout, f"docs/links.md; expected:\n{done.stdout}"
