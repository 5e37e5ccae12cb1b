"""`dronewall bridge`: what its commands ask for, show and refuse."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from autopilot import Autopilot, Radio
from dronewall import wire
from dronewall.bridges import Telemetry
from dronewall.cli import main
from dronewall.live.broker import Broker
from dronewall.live.ingest import Ingest
from dronewall.live.state import State
from processes import until
from test_telemetry_line import udp_port as _udp_port

udp_port = _udp_port


@pytest.fixture(scope="module")
def site(root):
    return str(root / "examples" / "jacksboro.toml")


def bridge(*words):
    """The program as it is run, and what it may write to."""
    return subprocess.Popen(
        [sys.executable, "-m", "dronewall", "bridge", "mavlink", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
    )


def spoken(radio, pilot, yaw=0.0):
    pilot.boot_ms += 50
    radio.send(pilot.heartbeat(), pilot.position(hdg=round(100 * yaw)), pilot.attitude(yaw))


def refused(*words):
    ran = CliRunner().invoke(main, ["bridge", "mavlink", *words])
    assert ran.exit_code == 2, ran.output
    return " ".join(ran.output.split())


def listening(port):
    """Whether somebody has that UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_a_dry_run_prints_what_would_be_published_and_counts_at_the_end(site, udp_port):
    radio, pilot = Radio(udp_port), Autopilot()
    program = bridge(site, "D1", "--fixed", "--listen", f"127.0.0.1:{udp_port}", "--dry-run", "--rate", "10")
    assert until(lambda: listening(udp_port), 20)
    radio.send(b"rubbish", Autopilot(system=9).heartbeat(kind=6, autopilot=8))

    def line():
        """The next line of its output, the drone speaking meanwhile."""

        def there():
            spoken(radio, pilot, 90.0)
            return bool(select.select([program.stdout], [], [], 0.02)[0])

        assert until(there, 10)
        return program.stdout.readline()

    out = line()
    radio.send(Autopilot(system=9).heartbeat())
    out += line()
    program.send_signal(signal.SIGINT)
    rest, said = program.communicate(timeout=10)
    out += rest
    assert program.returncode == 130
    topic, payload = out.splitlines()[0].split(" ", 1)
    values = wire.decode(topic, payload.encode()).values
    assert topic == "dw/1/jacksboro/D1/frustum/cam"
    assert (values["azimuth_deg"], values["elevation_deg"]) == (90.0, -45.0)
    assert "note: telemetry of system 1 begins" in said
    assert "note: D1/cam is reported" in said
    assert "note: system 9 is on the line, too" in said
    assert f"reports {len(out.splitlines())}; messages" in said
    assert "1 bad, the last: Bad prefix" in said
    assert said.rstrip().endswith("interrupted")
    assert radio.answers() == b""
    radio.close()


@pytest.mark.needs("iotcore")
def test_ctrl_c_says_goodbye_to_the_broker(site, udp_port):
    radio, pilot = Radio(udp_port), Autopilot()
    with Broker() as broker, Ingest(broker.host, broker.port, "jacksboro") as ingest:
        state = State("jacksboro")
        words = ["--listen", f"127.0.0.1:{udp_port}", "--broker", f"{broker.host}:{broker.port}", "--fixed"]
        program = bridge(site, "D1", *words)

        def node():
            ingest.pump(state, 0.05)
            return next(iter(state.nodes(time.time_ns() // 1_000_000)), None)

        def alive():
            spoken(radio, pilot)
            return node() is not None and node().alive and node().state == "ready"

        assert until(alive, 20)
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=10)
        assert program.returncode == 130
        assert until(lambda: node().state == "disconnected", 5)
        assert state.snapshot(time.time_ns() // 1_000_000)[0].status == "lost"
        assert "note: telemetry of system 1 begins" in said
    radio.close()


def test_without_telemetry_it_says_so_and_ends_well(site, udp_port):
    words = ["bridge", "mavlink", site, "D1", "--listen", f"127.0.0.1:{udp_port}", "--dry-run", "--for", "0.2"]
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 0
    assert "reports 0; messages 0; no vehicle was heard" in ran.stderr
    assert ran.stdout == ""


def test_a_broker_that_is_not_there_is_said_and_nothing_is_lost_silently(site, udp_port, free_port):
    radio, pilot = Radio(udp_port), Autopilot()
    words = ["--listen", f"127.0.0.1:{udp_port}", "--broker", f"127.0.0.1:{free_port}", "--fixed", "--for", "3"]
    program = bridge(site, "D1", *words)
    while program.poll() is None:
        spoken(radio, pilot)
        time.sleep(0.05)
    _, said = program.communicate()
    assert program.returncode == 0
    assert "reports 0, " in said
    assert "not sent while the broker was away" in said
    assert "no link to the broker" in said
    radio.close()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["D1x", "--dry-run"], "has no drone 'D1x'; did you mean D1?"),
        (["nobody", "--dry-run"], "it has D1, D2"),
        (["D1", "eye", "--dry-run"], "D1 has no sensor 'eye'; it has cam"),
        (["D1"], "a broker is missing; expected --broker HOST:PORT, or --dry-run"),
        (["D1", "--dry-run", "--broker", "127.0.0.1"], "--broker and --dry-run exclude each other"),
        (["D1", "--dry-run", "--listen", "udpout:127.0.0.1:14550"], "we would have to speak first"),
        (["D1", "--dry-run", "--listen", "14550"], "expected HOST:PORT"),
        (["D1", "--dry-run", "--system", "0"], "1<=x<=255"),
        (["D1", "--dry-run", "--rate", "50"], "0.1<=x<=10.0"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_is_expected(site, words, told):
    assert told in refused(site, *words)


def test_of_several_sensors_one_has_to_be_named(root, tmp_path):
    text = (root / "examples" / "jacksboro.toml").read_text(encoding="utf-8")
    first = '[[drones.sensors]]\nname = "cam"\n'
    assert first in text
    # A second camera before the first one of each drone.
    second = '[[drones.sensors]]\nname = "tail"\ntype = "drone-camera"\nazimuth_deg = 180.0\n'
    path = tmp_path / "site.toml"
    path.write_text(text.replace(first, second + first), encoding="utf-8")
    assert "D1 has several sensors (tail, cam); name the one on its gimbal, or say --fixed" in refused(
        str(path), "D1", "--dry-run"
    )
    for more in (["tail"], ["--fixed"]):
        words = ["bridge", "mavlink", str(path), "D1", *more, "--dry-run", "--for", "0", "--listen", "127.0.0.1:0"]
        assert "is nowhere to listen" in CliRunner().invoke(main, words).output  # and nothing else is wrong


def test_the_endpoints_type_takes_its_own_value():
    endpoint = Telemetry().convert("127.0.0.1:14550", None, None)
    assert Telemetry().convert(endpoint, None, None) == endpoint
    with pytest.raises(click.BadParameter):
        Telemetry().convert("nowhere", None, None)


def test_a_port_that_is_taken_is_bad_input(site, udp_port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", udp_port))
        words = ["bridge", "mavlink", site, "D1", "--listen", f"127.0.0.1:{udp_port}", "--dry-run", "--for", "1"]
        ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 2
    assert f"dronewall: udp 127.0.0.1:{udp_port}: Address already in use" in ran.stderr


def test_help_needs_no_pymavlink():
    code = "import sys, dronewall.cli; print(json.dumps([m for m in sys.modules if 'mavlink' in m or 'paho' in m]))"
    ran = subprocess.run([sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []
