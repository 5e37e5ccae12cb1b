"""`dronewall node check`: every line of it on a good board, and on one with the fault that it is there to find."""

import getpass
import json
import os
import re
import shutil
import time
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from conftest import ROOT
from dronewall.bench import check
from dronewall.bench.bundle import MICROPYTHON
from dronewall.bench.keyring import Keyring, mosquitto_line
from dronewall.bench.onboard import Board
from dronewall.cli import main
from fake_board import FakeBoard
from fake_node import fake_node, put
from firmware_side import board as firmware
from test_bench_provision import DOCUMENT, SITE, WALL, WIFI, blocks, provision, quiet, secrets_in, told, write
from test_firmware_link import certificates, secured  # noqa: F401
from test_firmware_mqtt import end, start_mosquitto
from test_firmware_unix import WORLD

P1 = (0, 366414900, -841793800, 62900, 13600, 0, 0)  # a row of a track: at P1's post, level, looking along its camera
PIR = """
[config.sensors.pir]
pin = 33
settle_s = 0
stuck_s = 5
"""


def world(**more):
    pir = [{"pin": 33, "every_ms": 1500, "high_ms": 700}]
    return {"start_unix_ms": int(time.time() * 1000), "gnss": {"sigma_cm": 150, "fix_after_ms": 500, "baud": 9600},
            "pir": pir, **more}  # fmt: skip


def checked(board, *words, secrets=None):
    """(exit status, {item: verdict}, the record), in which is no secret."""
    quiet(board.port)
    ran = CliRunner().invoke(main, ["node", "check", "--port", board.port, "--json", *map(str, words)])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.output
    for secret in told(secrets) if secrets else [WIFI]:
        assert secret not in ran.output
    assert ran.stdout, ran.output
    record = json.loads(ran.stdout)
    return ran.exit_code, {item["item"]: item["verdict"] for item in record["items"]}, record


def text_of(record, name):
    return next(f"{item['text']} -> {item['then']}" for item in record["items"] if item["item"] == name)


@pytest.fixture
def broker(mosquitto, free_port, tmp_path):
    """A folder of secrets, and what starts a mosquitto with its passwords, as docs/provisioning.md does it."""
    secrets = secrets_in(tmp_path / "secrets", WALL.replace('"127.0.0.1"', f'"127.0.0.1"\nport = {free_port}') + PIR)
    conf, acl = (block for kind, block in blocks(DOCUMENT) if kind == "text" and block.startswith("# mosq"))
    (tmp_path / "mosquitto.acl").write_text(acl)
    processes = []

    def start():
        write(tmp_path / "mosquitto.passwords", (secrets / "mosquitto.passwords").read_bytes())
        lines = [line.replace("/etc/mosquitto", str(tmp_path)) for line in conf.splitlines() if "listener" not in line]
        processes.append(start_mosquitto(mosquitto, free_port, tmp_path, *lines, f"user {getpass.getuser()}"))
        return f"127.0.0.1:{free_port}"

    yield secrets, start
    for process in processes:
        end(process)


def test_the_guide_and_the_page_on_provisioning_tell_the_broker_the_same():
    def lines(text):
        return sorted(line for line in text.splitlines() if line and not line.startswith("#"))

    shown = [block for kind, block in blocks(DOCUMENT) if kind == "text" and block.startswith("# mosq")]
    guide = [block for kind, block in blocks(ROOT / "docs" / "bench.md") if kind in ("conf", "acl")]
    assert [lines(block) for block in shown] == [lines(block) for block in guide]


def host_of(secrets):
    """The options of a host that the broker knows, whose name and password are in the folder, too."""
    write(secrets / "host.password", b"the host's own password\n")
    path = Keyring(secrets).told_to_mosquitto("P1")
    path.write_text(path.read_text() + mosquitto_line("host", "the host's own password") + "\n")
    return ["--user", "host", "--password-file", secrets / "host.password"]


def test_a_good_board_passes_every_line_and_reports_what_the_site_file_says(broker, tmp_path):
    secrets, start = broker
    with fake_node(tmp_path / "b", world=world(), track=[P1]) as board:
        status, said = provision("P1", board.port, secrets)
        assert status == 0, said
        as_host = host_of(secrets)
        address = start()
        status, found, record = checked(board, SITE, "--broker", address, *as_host, secrets=secrets)
        assert (status, record["verdict"]) == (0, "pass"), record
        assert found == {
            **dict.fromkeys(("micropython", "memory", "flash", "files", "config", "gnss", "compass"), "pass"),
            **dict.fromkeys(("accelerometer", "sensor pir", "wifi", "broker", "clock"), "pass"),
            **dict.fromkeys(("report", "report cam", "report pir"), "pass"),
            **{"sensor cam": "skipped", "battery": "skipped"},
        }
        figures = {item["item"]: item for item in record["items"]}
        assert (record["mac"], record["wall"], record["node"]) == ("24:0a:c4:00:00:01", "jacksboro", "P1")
        # The track is at the post: five sigma of the receiver's 1.5 m are 7e-5 degree.
        assert abs(figures["gnss"]["latitude_deg"] - 36.64149) < 7e-5
        assert figures["clock"]["source"] == "gnss"
        cam = figures["report cam"]
        assert (cam["latitude_deg"], cam["longitude_deg"]) == (36.64149, -84.17938)
        assert (cam["azimuth_deg"], cam["apart_m"], cam["off_deg"]) == (136.0, 0.0, 0.0)


# Of a fake board others say as much; of a real one, whose MicroPython is the nodes', nobody else does.
@pytest.mark.soak if not os.environ.get("DRONEWALL_PORT") else pytest.mark.needs("mpy-cross")
def test_a_board_that_is_flashed_and_provisioned_is_the_node_that_it_was_told_to_be(port, tmp_path):
    secrets = secrets_in(tmp_path / "secrets")
    ran = CliRunner().invoke(main, ["node", "flash", "--port", port])
    assert ran.exit_code == 0, ran.output
    status, said = provision("P1", port, secrets, "--yes")
    assert status == 0, said
    _, found, record = checked(SimpleNamespace(port=port))
    assert {found[name] for name in ("micropython", "memory", "flash", "files", "config")} == {"pass"}, record
    assert (record["wall"], record["node"]) == ("jacksboro", "P1")
    assert Keyring(secrets).boards()[record["mac"]]["node"] == "P1"


def test_each_fault_of_a_board_fails_its_line(tmp_path):
    turned = WALL.replace("[config]", '[config]\npower = { battery = "adc", low_mv = 3300, critical_mv = 3000 }')
    secrets = secrets_in(tmp_path / "s", turned + PIR)
    with fake_node(tmp_path / "b", blocks=100, release="1.25.0") as board:
        assert provision("P7", board.port, secrets)[0] == 0
        board.unplug()
        put(tmp_path / "b", "a/average.mpy", (firmware() / "config.mpy").read_bytes())
        bad = {"i2c": [], "adc": {"36": 2000}, "battery": {"full_mv": 3100}}
        always = [{"pin": 33, "every_ms": 1000, "high_ms": 1000}]
        told_now = {
            "world.json": {**WORLD, **world(**bad), "pir": always},
            "faults": {"devices": {"receiver": "silent"}},
            "air": {"ssids": {"wall": {"password": "another one"}}},
        }
        for name, content in told_now.items():
            (tmp_path / "b" / name).write_text(json.dumps(content))
        board.plug()
        status, found, record = checked(board, "--listen", 7, secrets=secrets)
    assert (status, record["verdict"]) == (3, "fail")
    assert {name for name, verdict in found.items() if verdict == "fail"} == {
        "micropython", "flash", "files", "gnss", "compass", "accelerometer", "sensor pir", "battery", "wifi"
    }  # fmt: skip
    for name, words in (
        ("micropython", "1.25.0 on esp32, 1.29.0 expected -> `dronewall node flash"),
        ("files", "1 not this dronewall's (average.mpy) -> `dronewall node flash"),
        ("gnss", "no sentences -> check its supply"),
        ("compass", "no QMC5883L or QMC5883P on the bus -> check SDA, SCL"),
        ("sensor pir", "pir: high all the time"),
        ("battery", "3.10 V, low is 3.30 V -> charge it"),
        ("wifi", "Wi-Fi wall: password refused -> is the network there"),
    ):
        assert words in text_of(record, name), text_of(record, name)
    assert {name for name, verdict in found.items() if verdict == "skipped"} == {
        "sensor cam",
        "broker",
        "clock",
        "report",
    }


def test_what_the_broker_says_is_told_with_the_next_step(broker, tmp_path):
    secrets, start = broker
    with fake_node(tmp_path / "b", world=world(), track=[P1]) as board:
        assert provision("P1", board.port, secrets)[0] == 0
        as_host = host_of(secrets)
        status, found, record = checked(board, "--listen", 2, secrets=secrets)
        assert (status, found["broker"]) == (3, "fail")
        assert "ECONNREFUSED -> is it running" in text_of(record, "broker")
        address = start()
        # The broker's file was made of another password than the board's.
        write(secrets / "P1.password", b"another one\n")
        assert provision("P1", board.port, secrets)[0] == 0
        status, found, record = checked(board, "--listen", 2, "--broker", address, *as_host, secrets=secrets)
        assert (status, found["broker"], found["report"]) == (3, "fail", "skipped")
        assert "-> does the broker have its password (mosquitto.passwords)" in text_of(record, "broker")


def test_a_board_with_a_certificate_gets_in_over_tls_and_one_that_trusts_another_does_not(
    certificates,  # noqa: F811
    secured,  # noqa: F811
    tmp_path,
):
    wall = WALL.replace('"127.0.0.1"', f'"localhost"\nport = {secured["certificate"]}\nlogin = "certificate"')
    secrets = secrets_in(tmp_path / "s", wall)
    shutil.copy(certificates / "ca.crt", secrets / "ca.pem")
    shutil.copy(certificates / "P4.crt", secrets / "P4.certificate.pem")
    write(secrets / "P4.certificate-key.pem", (certificates / "P4.key").read_bytes())
    with fake_node(tmp_path / "b", world=world(), track=[P1]) as board:
        assert provision("P4", board.port, secrets)[0] == 0
        status, found, record = checked(board, "--broker", f"127.0.0.1:{secured['plain']}", "--listen", 4)
        assert (status, found["broker"], found["report"], found["report cam2"]) == (0, "pass", "pass", "pass"), record
        assert f"localhost:{secured['certificate']}, TLS: accepted" in text_of(record, "broker")
        shutil.copy(certificates / "other.crt", secrets / "ca.pem")
        assert provision("P4", board.port, secrets)[0] == 0
        status, found, record = checked(board, "--listen", 2)
        assert (status, found["broker"]) == (3, "fail")
        assert "-> is the broker's certificate signed by the ca of the secrets" in text_of(record, "broker")


def test_a_board_that_turns_shows_how_far_its_compass_has_seen(tmp_path, free_port):
    wall = WALL.replace('host = "127.0.0.1"', f'host = "127.0.0.1"\nport = {free_port}')  # where nobody listens
    secrets = secrets_in(tmp_path / "s", wall + PIR)
    around = [(1500 * i, *P1[1:4], 9000 * i % 36000, 0, 0) for i in range(5)]
    with fake_node(tmp_path / "b", world=world(repeat="loop"), track=around) as board:
        assert provision("P2", board.port, secrets)[0] == 0
        ran = CliRunner().invoke(main, ["node", "check", "--port", board.port, "--turn", "60"])
        assert ran.exit_code == 3, ran.output
        assert "✓ pass       compass        azimuth " in ran.stdout
        assert "360° of 360° seen while it was turned" in ran.stdout
        assert "– not tried  report         --broker HOST:PORT waits for the first one there" in ran.stdout
        assert ran.stdout.splitlines()[-1] == "fail: 10 of 14 passed, 1 failed: broker"


def test_a_board_that_lies_still_while_it_should_turn_or_not_level_fails(tmp_path):
    secrets = secrets_in(tmp_path / "s")
    leaning = (0, *P1[1:4], 9500, 0, 4500)
    with fake_node(tmp_path / "b", world=world(), track=[leaning]) as board:
        assert provision("P2", board.port, secrets)[0] == 0
        status, found, record = checked(board, "--turn", 5, secrets=secrets)
    assert (status, found.get("compass"), found.get("accelerometer")) == (3, "fail", "fail"), record
    assert "10° of 360° seen" in text_of(record, "compass")
    assert re.match(r"not level: boresight [+-]0\.\d°, right side \+4[45]\.\d° -> ", text_of(record, "accelerometer"))


def test_a_board_without_firmware_or_settings_is_told_what_comes_first(tmp_path):
    with FakeBoard(tmp_path / "b1") as board:
        status, found, record = checked(board)
        assert (status, found["files"]) == (3, "fail")
        assert "no firmware of dronewall -> `dronewall node flash" in text_of(record, "files")
    with FakeBoard(tmp_path / "b2", installed=False) as board:
        ran = CliRunner().invoke(main, ["node", "check", "--port", board.port])
        assert (ran.exit_code, "no MicroPython in its flash" in ran.output) == (2, True)
    wrong = {"config.json": json.dumps({"wifi": [{"ssid": "wall", "password": WIFI * 9}]}).encode()}
    with fake_node(tmp_path / "b3", files={"boot.py": b"kept = bytearray(130000)\n"}) as board:
        status, found, record = checked(board)
        assert (status, found["memory"], found["config"]) == (3, "fail", "fail")
        assert "look at boot.py" in text_of(record, "memory")
        assert "`dronewall node provision SITE NODE" in text_of(record, "config")
        board.unplug()
        put(tmp_path / "b3", "config.json", wrong["config.json"])
        board.plug()
        status, found, record = checked(board)  # and says nothing of the password
        assert "wifi[0].password: text of 0 to 63 characters expected" in text_of(record, "config")
        assert "format: is missing" in text_of(record, "config")


def test_a_board_that_is_unplugged_meanwhile_ends_it_with_a_message(tmp_path):
    with fake_node(tmp_path / "b") as board:
        board.unplug_at(b"hashlib")
        ran = CliRunner().invoke(main, ["node", "check", "--port", board.port])
        assert (ran.exit_code, "unplugged; plug it in" in ran.output) == (2, True), ran.output
        board.plug()
        assert checked(board)[0] == 3


def test_a_board_of_another_site_or_of_no_node_in_it_is_told(tmp_path):
    secrets = secrets_in(tmp_path / "s", WALL + PIR)
    other = tmp_path / "other.toml"
    other.write_text(SITE.read_text().replace('name = "P3" ', 'name = "P33"').replace('post = "P3"', 'post = "P33"'))
    with fake_node(tmp_path / "b", world=world(), track=[P1]) as board:
        assert provision("P3", board.port, secrets)[0] == 0
        status, found, record = checked(board, other, "--listen", 2)
    assert (status, found["site"]) == (3, "fail")
    assert "has no node P3" in text_of(record, "site")


BOARD = Board("P", "esp32", micropython=MICROPYTHON, version=3, slot="a", heap=150_000, free=500_000)
REPORT = {
    "position_source": "survey", "latitude_deg": 36.5, "longitude_deg": -84.3, "azimuth_deg": 359.0,
    "azimuth_sigma_deg": 3.0, "azimuth_source": "compass", "position_sigma_m": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "wanted", "verdict", "words"),
    [
        ({}, None, "pass", "azimuth 359.0° ±3.0° by compass"),
        # Across north the shorter way: 359 is 3 left of 2.
        ({}, {"apart_m": 0.4, "azimuth_deg": 2.0}, "pass", "-3.0° off the site file's 2.0°"),
        ({}, {"apart_m": 1.5}, "fail", "1.5 m from the post"),
        ({"position_source": "gnss", "position_sigma_m": 2.0}, {"apart_m": 6.9}, "pass", "6.9 m from the post"),
        ({"position_source": "gnss", "position_sigma_m": 2.0}, {"apart_m": 7.1}, "fail", "7.1 m from the post"),
        ({"azimuth_source": "survey"}, {"azimuth_deg": 359.2}, "fail", "-0.2° off"),
        ({"azimuth_source": "none"}, None, "fail", "where it looks, it does not know"),
        ({"position_source": "none"}, None, "pass", "where it is, it does not know"),
        ({"suspect": True}, None, "pass", "suspect"),
    ],
)
def test_a_report_is_held_against_the_site_file(changes, wanted, verdict, words):
    item = check.of_report("cam", {**REPORT, **changes}, wanted)
    assert item.verdict == verdict
    assert words in item.text
    assert bool(item.then) == (verdict == "fail")


def test_files_are_named_that_are_missing_or_others():
    item = check.of_files("/dev/x", BOARD, {"a.mpy": "1", "b.mpy": "2", "c.mpy": "3"}, {"a.mpy": "1", "b.mpy": "0"})
    assert item.verdict == "fail"
    assert item.text == "version 3 in /a: 1 missing (c.mpy), 1 not this dronewall's (b.mpy)"


def _instruments(**changes):
    compass = {
        "driver": "qmc5883", "needed": False, "trouble": None, "tilt_trouble": None, "field": [900, 0, -1800],
        "pull": [0, 0, 256], "board": [100, 0, 0, 6400], "level": [100, 0, 0, 6400], "listened_ms": 12000,
    }  # fmt: skip
    facts = {"gnss": {"bad": 0, "sentences": 9, "first_ms": 300, "satellites": 4}, "azimuths": 0, "drivers": {}}
    facts["compass"] = {**compass, **changes.pop("compass", {})}
    return {item.name: item for item in check.of_instruments({**facts, **changes})}


def test_a_board_says_what_it_lacks_and_does_without():
    gone = {"field": None, "trouble": "no QMC5883L or QMC5883P on the bus", "pull": None}
    found = _instruments(compass=gone)
    assert (found["compass"].verdict, found["accelerometer"].verdict) == ("absent", "absent")
    found = _instruments(compass={**gone, "needed": True})
    assert (found["compass"].verdict, found["accelerometer"].verdict) == ("fail", "fail")
    assert "no fix" in found["gnss"].text
    assert found["gnss"].verdict == "pass"


@pytest.mark.parametrize(
    ("compass", "verdict"),
    [
        ({"pull": [0, 0, 235]}, "pass"),  # 0.92 g
        ({"pull": [0, 0, 225]}, "fail"),  # 0.88 g
        ({"pull": [0, 0, 981], "driver": "bno055"}, "pass"),  # cm/s2
        ({"level": [0, 1001, 0, 0]}, "fail"),
        ({"level": [0, -999, 0, 0]}, "pass"),
    ],
)
def test_an_accelerometer_measures_one_g_and_lies_level(compass, verdict):
    assert _instruments(compass=compass)["accelerometer"].verdict == verdict


@pytest.mark.parametrize(
    ("driver", "verdict", "words"),
    [
        (["ld2450", True, None, 0], "pass", "works"),
        (["ld2450", False, "silent", 0], "fail", "silent"),
        (["radar", False, None, 0], "skipped", "said nothing for 12 s"),
        (["pir", True, None, 0], "skipped", "walk by"),
        (["pir", True, None, 2], "pass", "2 detections"),
        (["optics", False, None, 0], "skipped", "look at its picture"),
        (["amg8833", False, "I2C: [Errno 19] ENODEV", 0], "fail", "I2C"),
    ],
)
def test_each_driver_is_judged_by_what_it_told(driver, verdict, words):
    item = _instruments(drivers={"near": driver})["sensor near"]
    assert (item.verdict, words in item.text) == (verdict, True)


@pytest.mark.parametrize(
    ("clock", "verdict"),
    [("none", "fail"), ("provisioned", "pass"), ("ntp", "pass"), ("gnss", "pass")],
)
def test_a_clock_that_nobody_set_fails(clock, verdict):
    told_now = {"source": clock, "unix_ms": None if clock == "none" else 1, "ntp": False}
    assert _instruments(clock=told_now)["clock"].verdict == verdict


def test_a_program_that_fails_on_the_board_is_told():
    (item,) = check.of_instruments({"broken": "MemoryError: memory allocation failed"})
    assert (item.verdict, "MemoryError" in item.text) == ("fail", True)
    assert check.verdict([item]) == "fail"
