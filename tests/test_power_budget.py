"""hardware/power_budget.py: its sums by hand, its statement, and its shares of time against nodes that really sleep."""

import ast
import copy
import math
import re
import subprocess
import sys
from typing import get_args, get_type_hints

import pytest

from dronewall.live.devices import devices, power_of
from dronewall.scenario import Duty, SensorType, read
from firmware_side import ROOT, answer, interpreter
from sleepers import Board
from test_firmware_config import CAMERA, NODE
from test_firmware_node import Host, broker, host  # noqa: F401

sys.path.insert(0, str(ROOT / "hardware"))
import insolation
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
    bare = power_budget.Fitted(gnss="none", gauge="none")
    one = power_budget.budget(scenario.nodes[0], scenario, bare)
    # 60 s awake, of which 6 reports of one camera in 10 s each, and a start of 1.5 s and 0.425 s of last words
    awake = (60 + 1.5 + 0.425) / (600 + 1.5 + 0.425)
    assert one.shares["active"] == pytest.approx(awake)
    assert one.reports_per_day == 144 * 6 + 144  # and one of its health
    # At 3.3 V behind a converter of 0.9, and 0.1 mA of its own from the cell of 3.2 V
    rail_ma = awake * 97.5 + (1 - awake) * 0.010 + 1008 * 0.020 / 86400 * (240 - 97.5)
    milliwatts = rail_ma * 3.3 / 0.9 + 0.1 * 3.2
    assert one.wh_per_day == pytest.approx(milliwatts * 24 / 1000)
    assert one.mean_ma == pytest.approx(milliwatts / 3.2)
    assert one.days(100) == pytest.approx(80 / one.wh_per_day)
    # A linear charger from 6 V to 3.2 V, 0.85 of a clean panel, 0.95 of the cell's charge
    assert one.panel_w(2.5) * 2.5 * 0.85 * 3.2 / 6 * 0.95 == pytest.approx(one.wh_per_day)
    assert one.panel_w(2.5, "mppt") * 2.5 * 0.85 * 0.9 * 0.95 == pytest.approx(one.wh_per_day)
    assert one.joules_per_report * 1008 == pytest.approx(one.wh_per_day * 3600)
    assert math.isinf(one.panel_w(0.0))


def test_what_is_switched_draws_only_while_the_node_is_awake(tmp_path):
    scenario = site(tmp_path, '{ awake = "duty", share = 0.1, sleep = "deep", cycle_s = 600 }')
    awake = (60 + 1.5 + 0.425) / (600 + 1.5 + 0.425)

    def milliwatts(**fitted):
        found = power_budget.budget(scenario.nodes[0], scenario, power_budget.Fitted(**fitted))
        return sum(found.milliwatts.values())

    bare = milliwatts(gnss="none", gauge="none")
    assert milliwatts(gnss="always", gauge="none") - bare == pytest.approx(23 * 3.3 / 0.9)
    # Its back-up supply of 15 uA stays.
    switched = awake * 23 + (1 - awake) * 0.015
    assert milliwatts(gnss="switched", gauge="none") - bare == pytest.approx(switched * 3.3 / 0.9)
    assert milliwatts(gnss="none", gauge="ina219") - bare == pytest.approx(1.0 * 3.3 / 0.9)
    # An S3 draws 88 mA listening, 340 sending (1008 reports of 20 ms), 8 uA in deep sleep.
    sending = 1008 * 0.020 / 86400
    other = awake * (88 - 97.5) + (1 - awake) * (0.008 - 0.010) + sending * ((340 - 88) - (240 - 97.5))
    assert milliwatts(gnss="none", gauge="none", chip="esp32s3") - bare == pytest.approx(other * 3.3 / 0.9)
    assert milliwatts(gnss="none", gauge="none", servos=2) - bare == pytest.approx(2 * 8 * 5 / 0.85)


def test_every_driver_of_the_firmware_has_a_current_or_a_supply_of_its_own():
    drivers = get_args(get_type_hints(SensorType)["driver"])
    assert set(drivers) == set(power_budget.SENSORS) | set(power_budget.ELSEWHERE)


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
    assert "optics" in done.stdout
    # A row for each month, the darkest of which is what the nodes' panels are for.
    months = re.findall(r"^([A-Z][a-z]{2}) +([\d.]+) +([\d.]+) W(  the darkest)?$", done.stdout, re.M)
    assert [month for month, *_ in months] == list(insolation.MONTHS)
    (dark,) = [(float(sun), float(watts)) for _, sun, watts, mark in months if mark]
    assert dark == (min(float(sun) for _, sun, *_ in months), max(float(watts) for *_, watts, _ in months))
    assert f"a panel of {dark[1]:.1f} W at {dark[0]:.1f} peak sun hours a day (Dec, the darkest month)" in done.stdout
    # The site lies at 36.6 degrees north: the panel stands 15 degrees steeper.
    assert "latitude 36.6, tilt 52 degrees" in done.stdout


def test_the_months_are_those_of_the_site_and_of_its_sky(tmp_path, capsys):
    path = str(ROOT / "examples" / "minimal.toml")
    assert power_budget.main([path, "--tilt", "0", "--clearness", "0.5"]) == 0
    level = [float(hours) for hours in re.findall(r"^[A-Z][a-z]{2} +([\d.]+)", capsys.readouterr().out, re.M)]
    latitude = math.radians(power_budget.latitude_of(read(path)))
    above = [insolation.extraterrestrial(latitude, day) for day in insolation.MEAN_DAYS]
    assert level == pytest.approx([0.5 * each for each in above], abs=0.006)
    assert power_budget.main([path, "--clearness", *["0.5"] * 11, "0.1"]) == 0
    assert re.search(r"^Dec .*the darkest", capsys.readouterr().out, re.M)


def test_the_months_are_drawn_and_somebody_elses_picture_is_left_alone(tmp_path, capsys):
    path = str(ROOT / "examples" / "minimal.toml")
    for _ in range(2):
        assert power_budget.main([path, "--picture", str(tmp_path / "panel.png")]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "panel.png")
    (tmp_path / "theirs.png").write_bytes(b"somebody's")
    assert power_budget.main([path, "--picture", str(tmp_path / "theirs.png")]) == 2
    assert (tmp_path / "theirs.png").read_bytes() == b"somebody's"


@pytest.mark.parametrize(
    "words",
    [("--clearness", "0.4", "0.5"), ("--clearness", "1.4"), ("--tilt", "91"), ("--servos", "-1"), ("--sun-hours", "0"),
     ("--picture", "a.jpg"), ("--picture", "a.png", "--sun-hours", "3"), ("--battery-wh", "0")],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        power_budget.main([str(ROOT / "examples" / "minimal.toml"), *words])
    assert ended.value.code == 2
    assert "expected" in capsys.readouterr().err


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
