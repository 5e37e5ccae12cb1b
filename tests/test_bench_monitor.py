"""`dronewall node monitor`: a board's log without touching the board, and messages in words and units."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from conftest import ROOT
from dronewall import wire
from dronewall.bench import monitor
from dronewall.bench.repl import BoardError, opened
from dronewall.cli import main
from dronewall.live.ingest import arrival_of
from test_bench_calibrate import turning  # noqa: F401
from test_firmware_config import CAMERA, NODE
from test_firmware_node import Host, broker, host  # noqa: F401
from test_firmware_power import start  # noqa: F401

SITE = str(ROOT / "examples" / "jacksboro.toml")
FRUSTUM = {
    **{key: CAMERA[key] for key in ("shape", "hfov_cdeg", "vfov_cdeg", "range_min_cm", "range_max_cm")},
    **{"position_source": "gnss", "latitude_e7": 365000001, "longitude_e7": -843000000, "height_amsl_cm": 40055},
    **{"position_sigma_cm": 150, "height_sigma_cm": 200, "azimuth_source": "compass", "azimuth_cdeg": 31005},
    **{"azimuth_sigma_cdeg": 320, "elevation_cdeg": -150, "roll_cdeg": 0, "tilt_sigma_cdeg": 50, "awake": "duty"},
    **{"duty_milli": 250, "valid_s": 60, "boot": 3, "clock": "none", "seq": 1, "uptime_ms": 1},
}


def came(kind, values, sensor=None, retained=False):
    topic = wire.topic("jacksboro", "P4", kind, sensor)
    return arrival_of(topic, wire.encode(kind, values), 1_772_366_400_000, retained)


@pytest.mark.parametrize(
    ("kind", "values", "sensor", "text"),
    [
        (
            "frustum", FRUSTUM, "cam",
            "azimuth 310.05° ±3.2° (compass), elevation -1.50° ±0.5°; 36.500000 -84.300000 ±1.5 m, "
            "400.6 m AMSL (gnss); awake by duty, 25 %; boot 3, no clock",
        ),
        (
            "frustum",
            {**{key: FRUSTUM[key] for key in FRUSTUM if key[:9] not in ("latitude_", "longitude", "azimuth_c")},
             "position_source": "none", "azimuth_source": "none", "suspect": True, "awake": "always"}, "cam",
            "azimuth unknown, elevation -1.50° ±0.5°; position unknown; SUSPECT; boot 3, no clock",
        ),
        (
            "detection",
            {"clock": "gnss", "time_unix_ms": 1772366400000, "seq": 2, "azimuth_cdeg": 9010, "elevation_cdeg": 0,
             "azimuth_sigma_cdeg": 300, "range_cm": 4200, "confidence_milli": 850, "class": "person"}, "cam",
            "person, confidence 85 %; azimuth 90.1° ±3°, elevation 0.0°, 42 m; clock gnss",
        ),
        (
            "health",
            {"uptime_ms": 61000, "battery_mv": 3712, "rssi_dbm": -67, "heap_free_bytes": 51200, "resets": 2,
             "queue_drops": 0, "temperature_cc": 2150, "reset": "watchdog"}, None,
            "battery 3.71 V; Wi-Fi -67 dBm; heap 50.0 KB free; 21.5 °C; up 61 s; 2 resets; 0 dropped; "
            "started by watchdog",
        ),
        (
            "birth",
            {"firmware": "0.1.0", "version": 6, "board": "esp32-reference-1", "boot": 3, "session": 1, "period_s": 10,
             "mode": "safe", "sensors": []}, None,
            "firmware 0.1.0, version 6 on esp32-reference-1; SAFE MODE; boot 3, session 1, every 10 s; sensors: none",
        ),
        ("state", {"state": "ready", "boot": 3, "session": 2}, None, "ready; boot 3, session 2"),
        ("reply", {"id": "c1", "status": "refused", "reason": "on trial"}, None, "refused to command c1; on trial"),
    ],
)  # fmt: skip
def test_each_kind_of_message_is_a_line_with_its_units(kind, values, sensor, text):
    arrival = came(kind, values, sensor)
    who = "P4/cam" if sensor else "P4"
    assert monitor.readable(arrival) == (who, kind, text)
    found = monitor.record(arrival)
    assert (found["node"], found["kind"], found["sensor"], found["retained"]) == ("P4", kind, sensor, False)
    assert json.loads(json.dumps(found))["values"] == arrival.report.values


def test_what_is_old_removed_or_no_message_is_said_to_be_so():
    state = {"state": "lost", "boot": 3, "session": 2}
    assert monitor.readable(came("state", state, retained=True))[2].endswith("; retained")
    removed = arrival_of(wire.topic("jacksboro", "P4", "frustum", "cam"), b"", 0, False)
    assert monitor.readable(removed) == ("P4/cam", "frustum", "removed")
    broken = arrival_of(wire.topic("jacksboro", "P4", "health"), b"{", 0, False)
    who, kind, text = monitor.readable(broken)
    assert (who, kind) == ("P4", "health")
    assert text.startswith("refused: ")
    assert "refused" in monitor.record(broken)


@pytest.mark.parametrize(
    "words",
    [[], ["--port", "x", SITE], [SITE], ["--broker", "h:1"], ["--port", "x", "--broker", "h:1"], [SITE, "P4"]],
)
def test_it_wants_a_port_or_a_site_with_a_broker(words):
    ran = CliRunner().invoke(main, ["node", "monitor", *words])
    assert ran.exit_code == 2
    assert "expected --port PORT, or SITE [NODE] and --broker HOST:PORT" in " ".join(ran.output.split())


def test_a_port_that_is_not_there_is_an_error_at_the_start(tmp_path):
    with pytest.raises(BoardError, match="no such port"):
        next(monitor.log(str(tmp_path / "none"), lambda: True, print))


@pytest.mark.needs("micropython", "mpy-cross", "esptool")
def test_a_boards_log_is_shown_over_an_unplugged_cable_and_the_board_is_left_alone(turning):  # noqa: F811
    fake = turning(config={**NODE, "period_s": 1})
    told, lines, over = [], [], threading.Event()

    def listen():
        for unix_ms, text in monitor.log(fake.port, lambda: not over.is_set(), told.append):
            lines.append((unix_ms, text))

    def until(found):
        limit = time.monotonic() + 40
        while not found():
            assert time.monotonic() < limit, (told, lines)
            time.sleep(0.02)

    listener = threading.Thread(target=listen)
    listener.start()
    # The node's own words (firmware/log.py): "1.234 link: ..."; here it tries a broker that is not there.
    until(lambda: [text for _, text in lines if re.match(r"\d+\.\d{3} link: ", text)])
    fake.say(b"half a line")
    until(lambda: [text for _, text in lines if "half a line" in text])  # the node may speak at the same moment
    fake.say(b"\x1b[2J\xff\r\n")
    until(lambda: [text for _, text in lines if "?[2J�" in text])
    fake.unplug()
    until(lambda: told == [f"{fake.port}: unplugged; waiting for it (Ctrl-C ends)"])
    count = len(lines)
    fake.plug()
    until(lambda: told[1:] == [f"{fake.port}: plugged in again"])
    # What it said before the port was open again is lost; it goes on trying.
    until(lambda: [text for _, text in lines[count:] if re.match(r"\d+\.\d{3} link: ", text)])
    over.set()
    listener.join(10)
    assert not listener.is_alive()
    # Nobody has sent it a byte, and it has started when it got power and not again.
    assert fake.taken == 0
    assert fake.log.count(b"main: the node jacksboro/P4") == 2
    assert all(abs(unix_ms - 1000 * time.time()) < 120_000 for unix_ms, _ in lines)


@pytest.mark.needs("micropython", "esptool")
def test_an_opened_port_asserts_both_lines_as_the_kernel_does(fake):
    # Neither of the two transistors that reset and boot a board conducts then; see the module's words.
    with opened(fake.port) as line:
        assert (line.dtr, line.rts) == (True, True)


@pytest.mark.needs("micropython", "esptool")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_its_end_and_not_an_error(fake, number):
    words = [sys.executable, "-m", "dronewall", "node", "monitor", "--port", fake.port]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)
        assert "what the board says" in process.stderr.readline()
        fake.say(b"\na line\n")
        line = next(line for line in process.stdout if line.endswith(" a line\n"))
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} a line\n", line)
        process.send_signal(number)
        assert process.wait(20) == (0 if number == signal.SIGINT else 143)
        stack.pop_all()


@pytest.mark.needs("micropython", "esptool")
def test_it_ends_after_so_many_lines_or_so_long(fake):
    def speak():
        while not done.wait(0.05):
            fake.say(b"one more\n")

    done = threading.Event()
    speaker = threading.Thread(target=speak)
    speaker.start()
    ran = CliRunner().invoke(main, ["node", "monitor", "--port", fake.port, "--count", "8", "--json", "-q"])
    done.set()
    speaker.join()
    assert ran.exit_code == 0
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(found) == 8
    assert found[-1]["line"] == "one more"  # after what MicroPython says at its start
    ran = CliRunner().invoke(main, ["node", "monitor", "--port", fake.port, "--for", "0.3"])
    assert ran.exit_code == 0


@pytest.mark.needs("micropython", "mosquitto")
def test_a_nodes_messages_come_with_units_from_the_broker(start, host):  # noqa: F811
    start(sensors=[CAMERA])
    host.until("frustum")
    where = ["--broker", f"127.0.0.1:{host.port}"]
    host.listener.client.publish(wire.topic("jacksboro", "P3", "state"), b"nonsense", 1, True)
    ran = CliRunner().invoke(main, ["node", "monitor", SITE, "P4", *where, "--count", "4"])
    assert ran.exit_code == 0, ran.output
    assert "azimuth 310.00° ±1° (survey), elevation -1.00° ±0.5°; 36.500000 -84.300000 ±1 m, 400.0 m AMSL (survey)" in (
        ran.stdout
    )
    assert "ready; boot 1, session 1; retained" in ran.stdout
    assert "P3" not in ran.stdout
    assert "\x1b" not in ran.stdout  # colours for a terminal alone
    ran = CliRunner().invoke(main, ["node", "monitor", SITE, *where, "--count", "5", "--json"])
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {each["node"] for each in found} == {"P3", "P4"}
    assert next(each for each in found if "refused" in each)["topic"] == "dw/1/jacksboro/P3/state"
    ran = CliRunner().invoke(main, ["node", "monitor", SITE, "P99", *where])
    assert ran.exit_code == 2
    assert "has no node 'P99'" in ran.output
