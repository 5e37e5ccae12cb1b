"""hardware/power_budget.py: its sums by hand, its statement, and its shares of time against nodes that really sleep."""

import ast
import copy
import re
import subprocess
import sys

import pytest

from dronewall.live.devices import devices, power_of
from dronewall.scenario import Duty, read
from firmware_side import ROOT, answer, interpreter
from sleepers import Board
from test_firmware_config import CAMERA, NODE
from test_firmware_node import Host, broker, host  # noqa: F401

sys.path.insert(0, str(ROOT / "hardware"))
import power_budget

SITE = (ROOT / "examples" / "minimal.toml").read_text("utf-8")


def site(tmp_path, duty):
    path = tmp_path / "site.toml"
    path.write_text(SITE.replace("mast_m = 6.0", f"mast_m = 6.0\nduty = {duty}"))
    return read(path)


def test_the_shares_of_a_node_that_never_sleeps_are_its_mode_alone():
    assert power_budget.shares("active", 0, 0) == {"active": 1, "modem": 0, "light": 0, "deep": 0}
    assert power_budget.shares("modem", 0, 0)["modem"] == 1


def test_a_budget_adds_up_by_hand(tmp_path):
    scenario = site(tmp_path, '{ awake = "duty", share = 0.1, sleep = "deep", cycle_s = 600 }')
    one = power_budget.budget(scenario.nodes[0], scenario, gnss=False)
    # 60 s awake, of which 6 reports of one camera in 10 s each, and a start of 1.5 s and 0.425 s of last words
    awake = (60 + 1.5 + 0.425) / (600 + 1.5 + 0.425)
    assert one.shares["active"] == pytest.approx(awake)
    assert one.reports_per_day == 144 * 6 + 144  # and one of its health
    mean = 0.08 + awake * 97.5 + (1 - awake) * 0.010 + 1008 * 0.020 / 86400 * (240 - 97.5)
    assert one.mean_ma == pytest.approx(mean)
    assert one.wh_per_day == pytest.approx(mean * 3.7 * 24 / 1000)
    assert one.days(100) == pytest.approx(80 / one.wh_per_day)
    assert one.panel_w(2.5) * 2.5 * 0.6 == pytest.approx(one.wh_per_day)
    assert one.joules_per_report * 1008 == pytest.approx(one.wh_per_day * 3600)
    assert power_budget.budget(scenario.nodes[0], scenario).mean_ma == pytest.approx(mean + 23)


def test_less_time_awake_is_less_energy(tmp_path):
    found = [
        power_budget.budget(scenario.nodes[0], scenario).wh_per_day
        for text in ("0.8", "0.4", "0.2", "0.1")
        for scenario in [site(tmp_path, f'{{ awake = "duty", share = {text}, sleep = "light", cycle_s = 600 }}')]
    ]
    assert found == sorted(found, reverse=True)


def test_the_statement_of_the_example_has_its_watt_hours_and_its_panel():
    command = [sys.executable, "hardware/power_budget.py", "examples/jacksboro.toml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(P\d) .* ([\d.]+) mA +([\d.]+) Wh", done.stdout, re.M)
    assert len(rows) == 9
    most = max(float(wh) for _, _, wh in rows)
    (need,) = re.findall(r"30 days at its duty cycle take ([\d.]+) Wh", done.stdout)
    assert float(need) == pytest.approx(30 * most, rel=0.001)
    assert "a panel of" in done.stdout
    assert "optics" in done.stdout.splitlines()[-1]


def test_a_site_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.toml").write_text("[site]")
    command = [sys.executable, "hardware/power_budget.py", str(tmp_path / "x.toml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "name" in done.stderr


@pytest.mark.parametrize(
    ("duty", "power"),
    [
        (Duty(), {"mode": "active", "awake_s": 0, "asleep_s": 0}),
        (Duty(sleep="modem"), {"mode": "modem", "awake_s": 0, "asleep_s": 0}),
        (Duty(awake="duty", share=0.25, sleep="light", cycle_s=60), {"mode": "light", "awake_s": 15, "asleep_s": 45}),
        (Duty(awake="event", sleep="deep", cycle_s=600), {"mode": "deep", "awake_s": 10, "asleep_s": 590}),
    ],
)
def test_a_sites_duty_is_the_nodes_power(duty, power):
    assert power_of(duty) == power


@pytest.mark.parametrize(("cycle_s", "asleep_s", "valid_s"), [(60, 45, 180), (43200, 32400, 86400)])
def test_the_configuration_of_a_sites_node_that_sleeps_is_one(tmp_path, cycle_s, asleep_s, valid_s):
    scenario = site(tmp_path, f'{{ awake = "duty", share = 0.25, sleep = "deep", cycle_s = {cycle_s} }}')
    (device,) = devices(scenario, "127.0.0.1", 1883, lambda latitude, longitude: 400.0)
    source = """
import config
node = config.settings(given)
out = [node.mode, node.awake_s, node.asleep_s, node.valid_s, node.sensors[0].awake]
"""
    assert answer(interpreter("cpython"), source, device.config) == [
        "deep", cycle_s - asleep_s, asleep_s, valid_s, "always"
    ]  # fmt: skip


def test_the_nodes_own_log_of_its_states_has_the_models_shares(micropython, host, tmp_path):  # noqa: F811
    boards = {}
    for mode in ("light", "deep"):
        config = copy.deepcopy({**NODE, "valid_s": 60, "period_s": 2, "sensors": [CAMERA], "node": mode})
        config["mqtt"]["port"] = host.port
        config["power"] = {"mode": mode, "awake_s": 3, "asleep_s": 3}
        (tmp_path / mode).mkdir()
        boards[mode] = Board(micropython, tmp_path / mode, config).on()
    try:
        # Both have slept twice when they say how they are for the third time.
        seen = {"light": [], "deep": []}
        while min(len(values) for values in seen.values()) < 3:
            (report,) = host.until("health")
            seen[report.node].append(report.values)
        said = boards["deep"].says("wake 2;")
    finally:
        for each in boards.values():
            each.cut()
    for mode, told in seen.items():
        model = power_budget.shares(mode, 3, 3, boot_s=0.0)  # the virtual chip starts at once
        # Never less awake than it was to be; a slow machine takes longer to wake and to say goodbye.
        assert model["active"] - 0.03 < told[2]["awake"] < model["active"] + 0.2, (mode, told)
    active, modem, light, deep = ast.literal_eval(re.search(r"wake 2; .*: (\[.*\])", said)[1])
    assert (modem, light) == (0, 0)
    assert deep == pytest.approx(6000, rel=0.03)
    # Awake for 3 s and its last words, twice; whatever the restarts took is counted as awake.
    assert active >= 2 * 3300
    assert seen["deep"][2]["awake"] == pytest.approx(active / (active + deep), abs=0.02)
