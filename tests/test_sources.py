"""Where a command's reports come from: a plan, a broker, a recording; each is told by the answer."""

import base64
import getpass
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from dronewall import cli, wire
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned
from dronewall.live.broker import Broker
from dronewall.live.ingest import arrival_of
from dronewall.live.recorder import Recorder
from dronewall.scenario import read
from processes import silence, talker, until
from test_cli import SITE, dronewall

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
PLACE = "36.5580,-84.2985"


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


def messages(site, at_unix_ms, valid_s=30):
    """Topic and payload of what the plan's nodes would say at that time."""
    found = []
    for report in planned(ground_of(read(site))):
        values = report.values
        if report.kind == "frustum":
            values = {**values, "clock": "gnss", "time_unix_ms": at_unix_ms, "valid_s": valid_s}
        payload = wire.encode(report.kind, wire.integers(report.kind, values))
        found.append((wire.topic(report.wall, report.node, report.kind, report.sensor), payload))
    return found


@pytest.fixture
def recording(site, tmp_path):
    """P1 reports at noon, and somebody else ten minutes later."""
    path = tmp_path / "wall.jsonl"
    stranger = "dw/1/cliwall/P7/state", wire.encode("state", {"state": "ready", "boot": 1, "session": 1})
    with Recorder(path, "cliwall") as recorder:
        for topic, payload in messages(site, NOON):
            recorder.write(arrival_of(topic, payload, NOON, False))
        recorder.write(arrival_of(*stranger, NOON + 600_000, False))
    return path


def asked(*words):
    ran = CliRunner().invoke(cli.main, [*map(str, words), "--json", "-q"])
    assert ran.exit_code == 0, ran.stderr
    return json.loads(ran.stdout)


def gaps(*words):
    return asked("gaps", *words)


def figures(answer):
    """Its gaps without where they come from."""
    return [(gap["id"], gap["length_m"], gap["probability_least"], gap["nearest_posts"]) for gap in answer["gaps"]]


def test_a_recorded_wall_is_the_planned_one_while_its_sensors_are_heard(site, recording):
    plan = gaps(site)
    heard = gaps(site, "--recorded", recording, "--at-time", "2026-03-01T12:00:20Z")
    assert figures(heard) == figures(plan)
    assert [sensor["state"] for sensor in heard["sensors"]] == ["heard"]
    told = heard["dronewall"]
    assert (told["source"], told["at_utc"], told["at_unix_ms"]) == ("recorded", "2026-03-01T12:00:20Z", NOON + 20_000)


def test_stale_and_lost_sensors_are_those_of_the_time_that_is_asked_for(site, recording):
    stale = gaps(site, "--recorded", recording, "--at-time", "2026-03-01T13:01:00+01:00")
    (sensor,) = stale["sensors"]
    assert sensor["state"] == "stale"
    assert "60 s old" in sensor["note"]
    heard = gaps(site, "--recorded", recording, "--at-time", "2026-03-01T12:00:00Z")
    for level, same in (("expected", True), ("assured", False)):
        lengths = [sum(gap["length_m"] for gap in answer["gaps"] if gap["level"] == level) for answer in (heard, stale)]
        assert (lengths[0] == lengths[1]) is same, level
    lost = gaps(site, "--recorded", recording)
    assert lost["dronewall"]["at_utc"] == "2026-03-01T12:10:00Z"
    assert [sensor["state"] for sensor in lost["sensors"]] == ["missing"]


def test_why_and_who_take_a_recording_too(site, recording):
    words = ("--recorded", recording, "--at-time", "2026-03-01T12:01:00Z")
    why = asked("why", site, "P1/cam", PLACE, *words)
    assert (why["sensor"]["state"], why["dronewall"]["source"]) == ("stale", "recorded")
    assert why["dronewall"]["at_utc"] == "2026-03-01T12:01:00Z"
    who = asked("who", site, PLACE, *words)
    assert who["dronewall"]["at_utc"] == "2026-03-01T12:01:00Z"
    assert who["dronewall"]["input_hash"] == why["dronewall"]["input_hash"]
    ran = CliRunner().invoke(cli.main, ["why", str(site), "P1/cam", PLACE, "-q", *map(str, words)])
    assert "recorded, 2026-03-01T12:01:00Z" in " ".join(ran.stdout.split())
    silent = CliRunner().invoke(cli.main, ["why", str(site), "P1/cam", PLACE, "-q", "--recorded", str(recording)])
    assert silent.exit_code == 2
    assert "P1/cam is missing and counts nothing: last report 600 s old" in silent.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--recorded {r} --at 5", "--recorded and --at exclude each other"),
        ("--broker localhost --at 0", "--broker and --at exclude each other"),
        ("--broker localhost --recorded {r}", "--recorded and --broker exclude each other"),
        ("--at-time 2026-03-01T12:00:00Z", "--at-time goes with --recorded"),
        ("--recorded {r} --wait 3", "--wait goes with --broker"),
        ("--user me", "--user goes with --broker"),
        ("--recorded {r} --at-time noon", "'noon' is not a time; expected date, time and zone"),
        ("--recorded {r} --at-time 2026-03-01T12:00:00", "expected date, time and zone"),
        ("--recorded {r} --at-time 2026-03-01T11:59:00Z", "its first message came 60 s after that time"),
        ("--recorded nothing.jsonl", "nothing.jsonl: no such file"),
        ("--recorded {s}", "not a recording; expected what `dronewall record` wrote"),
        ("--broker host:port", "is not a broker; expected HOST:PORT"),
        ("--broker host:70000", "is not a broker; expected HOST:PORT"),
        ("--broker localhost --trust {s}", "expected certificates (PEM)"),
        ("--broker localhost --user me --password-file nothing", "expected a file with the password"),
        ("--broker localhost --password-file nothing", "--password-file without --user"),
    ],
)
def test_what_cannot_be_is_told_with_what_was_expected(site, recording, words, expected):
    ran = CliRunner().invoke(cli.main, ["gaps", str(site), "-q", *words.format(r=recording, s=site).split()])
    assert ran.exit_code == 2
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_recording_of_another_wall_is_refused(site, recording):
    site.write_text(SITE.replace("cliwall", "otherwall"))
    ran = CliRunner().invoke(cli.main, ["gaps", str(site), "-q", "--recorded", str(recording)])
    assert ran.exit_code == 2
    assert "a recording of wall cliwall; expected otherwall" in ran.stderr


@pytest.mark.needs("iotcore")
def test_a_broker_tells_the_wall_of_now_and_what_is_recorded_of_it_says_the_same(site, tmp_path):
    with Broker() as broker:
        client = talker(broker.port)
        birth, look = messages(site, time.time_ns() // 1_000_000)
        client.publish(*look, 1, True).wait_for_publish(3)
        # Where it looks comes before what it is: a sensor is waited for until it has told both.
        later = threading.Timer(1.5, lambda: client.publish(*birth, 1, True))
        later.start()
        where = f"127.0.0.1:{broker.port}"
        live = gaps(site, "--broker", where, "--wait", "5")
        later.join()
        silence(client)
        ran = dronewall("record", site, "--broker", where, "--out", "wall.jsonl", "--for", "1", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "messages recorded: 2" in ran.stderr
    recorded = gaps(site, "--recorded", tmp_path / "wall.jsonl")
    assert [answer["dronewall"]["source"] for answer in (live, recorded)] == ["live", "recorded"]
    assert [answer["sensors"][0]["state"] for answer in (live, recorded)] == ["heard", "heard"]
    assert figures(live) == figures(recorded)
    assert live["dronewall"]["input_hash"] == recorded["dronewall"]["input_hash"]


def test_a_broker_that_is_not_there_is_told(site, free_port):
    begun = time.monotonic()
    ran = CliRunner().invoke(cli.main, ["gaps", str(site), "-q", "--broker", f"127.0.0.1:{free_port}", "--wait", "0"])
    assert ran.exit_code == 2
    assert f"broker 127.0.0.1:{free_port}: no link within 10 s (Connection refused)" in ran.stderr
    assert time.monotonic() - begun < 20


def test_a_broker_that_refuses_us_is_told_and_a_password_lets_us_in(site, mosquitto, free_port, tmp_path):
    salt = bytes(range(12))
    digest = hashlib.pbkdf2_hmac("sha512", b"secret", salt, 101)  # as mosquitto_passwd writes it
    users, conf = tmp_path / "users", tmp_path / "mosquitto.conf"
    users.write_text(f"eye:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n")
    closed = f"allow_anonymous false\npassword_file {users}\nuser {getpass.getuser()}\n"
    conf.write_text(f"listener {free_port} 127.0.0.1\n{closed}")
    where = f"127.0.0.1:{free_port}"
    words = ["record", site, "--broker", where, "--out", "wall.jsonl", "--for", "1"]
    process = subprocess.Popen([mosquitto, "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        refused = dronewall(*words, cwd=tmp_path)
        wrong = dronewall(*words, "--user", "eye", cwd=tmp_path, DRONEWALL_PASSWORD="guess")
        entered = dronewall(*words, "--user", "eye", cwd=tmp_path, DRONEWALL_PASSWORD="secret")
        (tmp_path / "password").write_text("secret\n")
        filed = dronewall(*words, "--user", "eye", "--password-file", "password", cwd=tmp_path)
    finally:
        process.terminate()
        process.wait()
    for ran in (refused, wrong):
        assert ran.returncode == 2
        assert f"broker {where} refused us: Not authorized" in ran.stderr
    for ran in (entered, filed):
        assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "wall.jsonl").read_text().count("\n") == 1


@pytest.mark.needs("iotcore")
def test_ctrl_c_ends_a_recording_and_leaves_it_whole(site, tmp_path):
    with Broker() as broker:
        command = [sys.executable, "-m", "dronewall", "record", str(site), "--broker", f"127.0.0.1:{broker.port}"]
        process = subprocess.Popen(
            [*command, "--out", "wall.jsonl"], cwd=tmp_path, env=dict(os.environ), stderr=subprocess.PIPE, text=True
        )
        client = talker(broker.port)
        assert until(lambda: (tmp_path / "wall.jsonl").exists(), 20)
        for topic, payload in messages(site, time.time_ns() // 1_000_000):
            client.publish(topic, payload, 1, True).wait_for_publish(3)
        assert until(lambda: (tmp_path / "wall.jsonl").read_bytes().count(b"\n") == 3, 5)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=10)[1]
        silence(client)
    assert process.returncode == 130
    assert "messages recorded: 2" in said
    assert gaps(site, "--recorded", tmp_path / "wall.jsonl")["sensors"][0]["state"] == "heard"
