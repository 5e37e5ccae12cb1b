"""Simulated nodes: the real firmware under the real MicroPython, measuring a world that we know."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from dronewall import cli, firmware_files, scenario
from dronewall.live import simulate
from dronewall.live.broker import Broker
from dronewall.live.devices import devices, magnetic_field, spread
from dronewall.live.ingest import Ingest
from dronewall.live.simulate import MicroPythonMissing, SimulatedNodes
from dronewall.live.state import NodeReport, SensorReport, State
from dronewall.simulation import Meter
from processes import listening, runs, until

real = pytest.mark.needs("micropython", "iotcore")
HOST_FOLDER = str(Path(simulate.__file__).parents[2])
RADIUS = 6_371_000.0
GROUND = 500.0
PASSWORD = "not-for-the-process-list"

SITE = """
[site]
name = "lab"
[terrain]
ground = "dronewall:jacksboro"
[frontage]
points_deg = [[36.50, -84.30], [36.52, -84.28]]
threat = "left"
[[targets]]
name = "walker"
height_agl_m = [0.0, 1.7]
width_m = 0.5
speed_mps = 1.4
[sensor_types.camera]
driver = "optics"
shape = "pyramid"
hfov_deg = 40.0
vfov_deg = 25.0
range_min_m = 5.0
range_max_m = 1500.0
[sensor_types.camera.model]
kind = "camera"
pixels = 1920
n50 = 1.0
glimpse_s = 1.0
[sensor_types.presence]
driver = "pir"
shape = "sector"
hfov_deg = 100.0
vfov_deg = 40.0
range_max_m = 12.0
[sensor_types.presence.model]
kind = "table"
range_m = [0.0, 12.0]
probability = [0.9, 0.5]
glimpse_s = 0.5
[[posts]]
name = "P1"
latitude_deg = 36.502
longitude_deg = -84.298
[[posts]]
name = "P2"
latitude_deg = 36.508
longitude_deg = -84.292
[[nodes]]
post = "P1"
mast_m = 6.0
[[nodes.sensors]]
name = "cam"
type = "camera"
azimuth_deg = 310.0
elevation_deg = -1.0
azimuth_source = "compass"
[[nodes.sensors]]
name = "side"
type = "camera"
azimuth_deg = 40.0
azimuth_source = "compass"
[[nodes]]
post = "P2"
mast_m = 4.0
[[nodes.sensors]]
name = "pir"
type = "presence"
azimuth_deg = 250.0
elevation_deg = -5.0
[airframes.wing]
speed_mps = 12.0
[[drones]]
name = "D1"
airframe = "wing"
[[drones.sensors]]
name = "cam"
type = "camera"
azimuth_deg = -30.0
elevation_deg = -60.0
[[sorties]]
name = "east"
drones = ["D1"]
route_deg = [[36.51, -84.30], [36.51, -84.29]]
height_agl_m = 100.0
"""
SENSORS = ["P1/cam", "P1/side", "P2/pir", "D1/cam"]
SPEED = 12.0
FLIGHT_S = 100


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> scenario.Scenario:
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(SITE)
    return scenario.read(path)


def ground(latitude_deg: float, longitude_deg: float) -> float:
    return GROUND


def east_flight(drone: scenario.Drone) -> list[list[int]]:
    """East along a parallel at 12 m/s for 100 s, at 600 m AMSL."""
    latitude, longitude = 36.51, -84.30
    degrees = math.degrees(SPEED * FLIGHT_S / (RADIUS * math.cos(math.radians(latitude))))
    start = [0, round(latitude * 1e7), round(longitude * 1e7), 60_000, 9000, 0, 0]
    return [start, [FLIGHT_S * 1000, start[1], round((longitude + degrees) * 1e7), *start[3:]]]


def metres(values: dict[str, Any], latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """(east, north) of a reported position from a true one."""
    north = math.radians(values["latitude_deg"] - latitude_deg) * RADIUS
    east = math.radians(values["longitude_deg"] - longitude_deg) * RADIUS * math.cos(math.radians(latitude_deg))
    return east, north


def turned(
    azimuth_deg: float, elevation_deg: float, roll_deg: float, mount_azimuth_deg: float, mount_elevation_deg: float
):
    """(azimuth, elevation) [degrees] of a direction that is fixed to a tilted board; vectors in east, north, up."""
    a, e, r = (math.radians(angle) for angle in (azimuth_deg, elevation_deg, roll_deg))
    forward = (math.sin(a) * math.cos(e), math.cos(a) * math.cos(e), math.sin(e))
    level_right = (math.cos(a), -math.sin(a), 0.0)
    level_up = tuple(
        level_right[(i + 1) % 3] * forward[(i + 2) % 3] - level_right[(i + 2) % 3] * forward[(i + 1) % 3]
        for i in range(3)
    )
    right = tuple(math.cos(r) * level_right[i] - math.sin(r) * level_up[i] for i in range(3))
    up = tuple(math.cos(r) * level_up[i] + math.sin(r) * level_right[i] for i in range(3))
    ma, me = math.radians(mount_azimuth_deg), math.radians(mount_elevation_deg)
    out = [
        math.cos(me) * (math.cos(ma) * forward[i] + math.sin(ma) * right[i]) + math.sin(me) * up[i] for i in range(3)
    ]
    return math.degrees(math.atan2(out[0], out[1])) % 360, math.degrees(math.asin(out[2]))


def apart(one_deg: float, other_deg: float) -> float:
    return abs((one_deg - other_deg + 180) % 360 - 180)


@dataclass
class Lab:
    """What was seen of the simulated wall while it ran, and of its end."""

    names: tuple[str, ...]
    start_unix_ms: int
    sensors: dict[str, SensorReport]
    nodes: dict[str, NodeReport]
    detections: dict[str, dict[str, Any]]
    failed: dict[str, simulate.Failure]
    resets: dict[str, int]
    commands: dict[str, str]
    environments: dict[str, str]
    listening: list[str]
    modes: dict[str, int]
    goodbyes: dict[str, str]
    stop_s: float
    folder_left: bool


def complete(state: State) -> bool:
    now = time.time_ns() // 1_000_000
    placed = [
        entry.name
        for entry in state.snapshot(now)
        if entry.report.values["position_source"] != "none" and entry.report.values["azimuth_source"] != "none"
    ]
    moves = any("velocity_east_mps" in entry.report.values for entry in state.snapshot(now) if entry.name == "D1/cam")
    return (
        set(placed) == set(SENSORS)
        and moves
        and bool(state.detections())
        and all(node.health for node in state.nodes(now))
    )


def arguments(pid: int) -> str:
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def lab(site, require) -> Lab:
    """Two posts, one of them tilted, and a drone; everything that the tests look at, taken while they ran."""
    require("micropython")
    require("iotcore")
    state = State("lab")
    with Broker() as broker, Ingest(broker.host, broker.port, "lab") as ingest:
        start = time.time_ns() // 1_000_000
        nodes = SimulatedNodes(
            site, broker.host, broker.port, ground, east_flight,
            user="wall", password=PASSWORD, seed=3, start_unix_ms=start,
        )  # fmt: skip
        by_name = {device.name: device for device in nodes.devices}
        by_name["P1"].track[0] = (*by_name["P1"].track[0][:5], 500, -300)  # boresight up 5 degrees, left side down 3
        by_name["P2"].world["pir"][0].update(every_ms=1500, high_ms=700)
        by_name["P2"].config["sensors"][0]["settle_s"] = 0
        nodes.start()
        try:
            deadline = time.monotonic() + 20
            while not complete(state) and time.monotonic() < deadline:
                ingest.pump(state, 0.05)
            # The smoothed compass of the tilted post.
            time.sleep(0.5)
            ingest.pump(state)
            at = time.time_ns() // 1_000_000
            folder = nodes._folder
            pids = nodes.pids()
            # /proc is Linux's; elsewhere the command lines have to do.
            proc = {name: Path(f"/proc/{pid}/environ") for name, pid in pids.items()}
            seen = {
                "names": nodes.names,
                "start_unix_ms": start,
                "sensors": {entry.name: entry for entry in state.snapshot(at)},
                "nodes": {node.name: node for node in state.nodes(at)},
                "detections": state.detections(),
                "failed": nodes.failed(),
                "resets": {name: nodes.resets(name) for name in nodes.names},
                "commands": {name: arguments(pid) for name, pid in pids.items()},
                "environments": {
                    name: path.read_text(errors="replace") for name, path in proc.items() if path.exists()
                },
                "listening": listening(pids.values()) if Path("/proc/net/tcp").exists() else [],
                "modes": {
                    path.name: path.stat().st_mode & 0o777
                    for path in (folder, folder / "P1", folder / "P1/config.json")
                },
            }
        finally:
            begun = time.monotonic()
            nodes.stop()
            stop_s = time.monotonic() - begun
        ingest.pump(state, 0.3)
    goodbyes = {node.name: node.state for node in state.nodes(at)}
    return Lab(**seen, goodbyes=goodbyes, stop_s=stop_s, folder_left=folder.exists())


@real
def test_every_sensor_of_every_node_is_heard(lab):
    assert {name: sensor.status for name, sensor in lab.sensors.items()} == dict.fromkeys(SENSORS, "heard")
    assert {name: node.alive for name, node in lab.nodes.items()} == {"P1": True, "P2": True, "D1": True}
    assert lab.failed == {}
    assert lab.resets == {"P1": 0, "P2": 0, "D1": 0}
    assert lab.names == ("P1", "P2", "D1")


@real
@pytest.mark.parametrize(("name", "place"), [("P1/cam", (36.502, -84.298)), ("P2/pir", (36.508, -84.292))])
def test_a_posts_position_agrees_with_the_truth_within_its_stated_accuracy(lab, name, place):
    values = lab.sensors[name].report.values
    assert values["position_source"] == "gnss"
    assert values["clock"] == "gnss"
    east, north = metres(values, *place)
    sigma = values["position_sigma_m"]
    assert sigma < 10
    assert math.hypot(east, north) < 3.5 * sigma
    assert values["height_agl_m"] == (6.0 if name == "P1/cam" else 4.0)
    assert abs(values["height_amsl_m"] - (GROUND + values["height_agl_m"])) < 3.5 * values["height_sigma_m"]


@real
@pytest.mark.parametrize(("name", "mount_azimuth", "mount_elevation"), [("P1/cam", 0.0, -1.0), ("P1/side", 90.0, 0.0)])
def test_compass_and_tilt_give_the_true_boresight_of_a_tilted_board(lab, name, mount_azimuth, mount_elevation):
    azimuth, elevation = turned(310.0, 5.0, -3.0, mount_azimuth, mount_elevation)
    values = lab.sensors[name].report.values
    assert values["azimuth_source"] == "compass"
    assert values["azimuth_sigma_deg"] < 10
    assert apart(values["azimuth_deg"], azimuth) < 3 * values["azimuth_sigma_deg"]
    # 0.2 degrees of residual tilt; the firmware claims 0.5.
    assert abs(values["elevation_deg"] - elevation) < 3 * values["tilt_sigma_deg"]
    # The compass's world has a residual deviation of 1 degree: the declination of -5.2, twice or left out, would show.
    assert apart(values["azimuth_deg"], azimuth) < 4.5


@real
def test_a_surveyed_azimuth_is_reported_as_surveyed(lab):
    values = lab.sensors["P2/pir"].report.values
    assert (values["azimuth_deg"], values["elevation_deg"], values["azimuth_source"]) == (250.0, -5.0, "survey")


@real
def test_a_drone_reports_where_it_was_at_the_time_it_says(lab, site):
    values = lab.sensors["D1/cam"].report.values
    latitude, longitude = site.sorties[0].route_deg[0]
    flown = SPEED * (values["time_unix_ms"] - lab.start_unix_ms) / 1000
    east, north = metres(values, latitude, longitude)
    # A fix says its whole second: the rest is GNSS noise.
    assert abs(east - flown) < 3.5 * values["position_sigma_m"] + SPEED * 0.5
    assert abs(north) < 3.5 * values["position_sigma_m"]
    assert abs(values["height_amsl_m"] - 600) < 3.5 * values["height_sigma_m"]
    assert "height_agl_m" not in values
    assert abs(values["velocity_east_mps"] - SPEED) < 0.5
    assert abs(values["velocity_north_mps"]) < 0.5


@real
def test_a_drones_sensor_looks_relative_to_its_course(lab):
    values = lab.sensors["D1/cam"].report.values
    # It flies east, level; the sensor is mounted 30 degrees to the left and 60 down.
    assert apart(values["azimuth_deg"], 60.0) < 3 * values["azimuth_sigma_deg"]
    assert abs(values["elevation_deg"] + 60) < 3 * values["tilt_sigma_deg"]


@real
def test_the_birth_has_the_sensors_of_the_site_file(lab):
    births = {name: sensor.birth for name, sensor in lab.sensors.items()}
    assert births["P1/cam"]["model"] == {
        "kind": "camera", "pixels": 1920, "n50": 1.0, "illuminated_m": 0.0, "glimpse_s": 1.0,
    }  # fmt: skip
    assert births["P2/pir"]["model"] == {
        "kind": "table", "range_m": [0.0, 12.0], "probability": [0.9, 0.5], "moving_only": False, "glimpse_s": 0.5,
    }  # fmt: skip
    assert births["D1/cam"]["hfov_deg"] == 40.0


@real
def test_a_presence_on_the_pin_becomes_a_detection(lab):
    detection = lab.detections["P2/pir"]
    assert detection["azimuth_deg"] == 250.0


@real
def test_the_node_has_memory_left_within_its_128_kb(lab):
    assert all("-X heapsize=192k" in command for command in lab.commands.values())
    free = {name: node.health["heap_free_bytes"] for name, node in lab.nodes.items()}
    assert min(free.values()) > 8192, free


@real
def test_a_stop_is_a_goodbye_within_two_seconds_and_leaves_no_folder(lab):
    assert lab.goodbyes == {"P1": "disconnected", "P2": "disconnected", "D1": "disconnected"}
    assert lab.stop_s < 2.0
    assert not lab.folder_left


@real
def test_secrets_stand_in_files_of_their_owner_alone(lab):
    assert set(lab.modes.values()) == {0o700, 0o600}
    assert lab.modes["config.json"] == 0o600
    assert len(lab.commands) == 3
    assert PASSWORD not in "".join(lab.commands.values())
    assert PASSWORD not in "".join(lab.environments.values())


@real
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the table of sockets is Linux's")
def test_no_node_listens_anywhere(lab):
    assert lab.listening == []


@real
def test_a_node_with_a_bad_config_is_named_with_its_last_words_and_the_others_go_on(site):
    state = State("lab")
    with Broker() as broker, Ingest(broker.host, broker.port, "lab") as ingest:
        nodes = SimulatedNodes(site, broker.host, broker.port, ground, east_flight)
        nodes.devices[1].config["sensors"][0]["hfov_cdeg"] = 0
        with nodes:
            deadline = time.monotonic() + 15
            heard: set[str] = set()
            while heard != {"P1/cam", "P1/side", "D1/cam"} and time.monotonic() < deadline:
                ingest.pump(state, 0.05)
                heard = {sensor.name for sensor in state.snapshot(time.time_ns() // 1_000_000)}
            assert heard == {"P1/cam", "P1/side", "D1/cam"}
            assert until(lambda: "P2" in nodes.failed(), 5)
            assert set(nodes.alive()) == {"P1", "D1"}
            failure = nodes.failed()["P2"]
            nodes.stop()
            assert nodes.failed() == {"P2": failure}
    assert failure.status == 1
    assert any("hfov_cdeg" in line for line in failure.lines)


@real
def test_a_killed_parent_leaves_no_node_and_no_broker(site):
    program = f"""
import json, time
from dronewall import scenario
from dronewall.live.broker import Broker
from dronewall.live.simulate import SimulatedNodes
site = scenario.read({str(site.path)!r})
with Broker() as broker:
    flight = lambda drone: [[0, 1, 1, 0, 0, 0, 0]]
    with SimulatedNodes(site, broker.host, broker.port, lambda *_: 500.0, flight) as nodes:
        time.sleep(1)
        print(json.dumps([broker.pid, *nodes.pids().values(), str(nodes._folder)]), flush=True)
        time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": HOST_FOLDER}
    )
    try:
        *pids, folder = json.loads(parent.stdout.readline())
        assert len(pids) == 4
        assert all(runs(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert until(lambda: not any(runs(pid) for pid in pids), 2.0)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    # It could not remove its nodes' configurations, passwords and all; the next one does.
    assert (Path(folder) / "P1" / "config.json").is_file()
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight):
        assert not Path(folder).exists()


@real
def test_only_what_dead_processes_of_ours_left_behind_is_removed(site, monkeypatch, tmp_path):
    monkeypatch.setattr(simulate.tempfile, "gettempdir", lambda: str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = (f"dronewall-{dead.pid}-gone", f"dronewall-{os.getpid()}-lives", "dronewall-notes", f"other-{dead.pid}-x")
    stale, *kept = [tmp_path / name for name in names]
    for folder in (stale, *kept):
        (folder / "P1").mkdir(parents=True)
        (folder / "P1" / "config.json").write_text("secret")
    (tmp_path / f"dronewall-{dead.pid}-link").symlink_to(kept[2])
    locked = tmp_path / f"dronewall-{dead.pid}-locked"  # by somebody whose processes we cannot see
    locked.mkdir()
    held = simulate._locked(locked)
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight) as nodes:
        assert not stale.exists()
        assert all((folder / "P1" / "config.json").is_file() for folder in kept)
        assert locked.is_dir()
        assert nodes._folder.name.startswith(f"dronewall-{os.getpid()}-")
    os.close(held)


def program(path: Path, text: str) -> str:
    """A program that says of itself that it is MicroPython, and then does as it is told."""
    path.write_text('#!/bin/sh\n[ "$1" = -c ] && echo micropython && exit\n' + text)
    path.chmod(0o700)
    return str(path)


def test_a_node_that_resets_itself_is_started_again_and_one_in_a_boot_loop_stays_down(site, monkeypatch, tmp_path):
    command = program(tmp_path / "micropython", 'echo "cause $5"\nexit 42\n')
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", command)
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight) as nodes:
        assert until(lambda: set(nodes.failed()) == set(nodes.names), 5)
        assert nodes.resets("P1") == 5
        assert nodes.failed()["P1"].status == 42
        assert nodes.log("P1") == ("cause ",) + ("cause 2",) * 5  # HARD_RESET


def test_a_node_in_deep_sleep_wakes_after_its_time_and_is_no_boot_loop(site, monkeypatch, tmp_path):
    text = """echo "cause $5"
[ $(ls "$4" | grep -c woke) = 12 ] && exec sleep 60
touch "$4/woke$$"
echo '{"ms": 30}' > "$4/asleep"
exit 43
"""
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", program(tmp_path / "micropython", text))
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight) as nodes:
        assert until(lambda: nodes.sleeps("P1") == 12, 20)
        assert until(lambda: len(nodes.log("P1")) == 13, 10)
        assert nodes.log("P1") == ("cause ",) + ("cause 4",) * 12  # DEEPSLEEP_RESET
        assert nodes.resets("P1") == 0
        assert nodes.failed() == {}


def test_the_watchdog_of_a_node_that_stands_still_bites(site, monkeypatch, tmp_path):
    text = 'echo "cause $5"\n[ -n "$5" ] || echo 400 > "$4/fed"\nexec sleep 60\n'
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", program(tmp_path / "micropython", text))
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight) as nodes:
        assert until(lambda: "cause 3" in nodes.log("P1"), 20)  # WDT_RESET
        assert nodes.log("P1")[:2] == ("cause ", "the watchdog was not fed: reset")
        assert nodes.resets("P1") >= 1


def test_a_node_without_power_is_no_failure_and_begins_as_at_power_on(site, monkeypatch, tmp_path):
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", program(tmp_path / "micropython", 'echo "cause $5"\nexec sleep 60\n'))
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight, every_s=0.05) as nodes:
        assert until(lambda: set(nodes.alive()) == set(nodes.names), 10)
        assert until(lambda: nodes.log("P1") == ("cause ",), 10)
        before = nodes.pids()["P1"]
        nodes.cut_power("P1", 0.5)
        assert until(lambda: "P1" not in nodes.alive(), 10)
        assert nodes.failed() == {}
        assert until(lambda: nodes.log("P1") == ("cause ", "cause "), 10)
        assert nodes.pids()["P1"] != before
        assert nodes.resets("P1") == 0


def test_what_is_told_to_a_node_lies_whole_in_its_folder(site, monkeypatch, tmp_path):
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", program(tmp_path / "micropython", "exec sleep 60\n"))
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight) as nodes:
        nodes.tell("P1", "air", {"down": True})
        assert json.loads((nodes._folder / "P1" / "air").read_text()) == {"down": True}
        nodes.tell("P1", "air", None)
        nodes.tell("P1", "air", None)
        assert not (nodes._folder / "P1" / "air").exists()


def test_a_node_that_will_not_go_is_killed_soon(site, monkeypatch, tmp_path):
    command = program(tmp_path / "micropython", "trap '' TERM INT HUP\necho ready\nwhile :; do sleep 0.2; done\n")
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", command)
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight) as nodes:
        assert until(lambda: all(nodes.log(name) for name in nodes.names), 5)
        pids = list(nodes.pids().values())
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    assert not any(runs(pid) for pid in pids)


def test_a_node_that_talks_without_end_neither_fills_our_memory_nor_stops_us(site, monkeypatch, tmp_path):
    command = program(tmp_path / "micropython", "exec yes a-long-line-that-says-nothing\n")
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", command)
    with SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight) as nodes:
        assert until(lambda: all(len(nodes.log(name)) == 200 for name in nodes.names), 5)
        begun = time.monotonic()
    assert time.monotonic() - begun < 10


def test_without_micropython_the_reason_is_named(monkeypatch):
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", "/nowhere/micropython")
    with pytest.raises(MicroPythonMissing, match="DRONEWALL_MICROPYTHON=/nowhere/micropython: not a program"):
        simulate.micropython()


def test_a_micropython_that_is_no_program_is_named(site, monkeypatch, tmp_path):
    path = tmp_path / "micropython"
    path.write_bytes(b"\x00\x01\x02")
    path.chmod(0o700)
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", str(path))
    with pytest.raises(MicroPythonMissing, match="cannot be run"):
        SimulatedNodes(site, "127.0.0.1", 1, ground, east_flight)


@pytest.mark.parametrize("text", ["exit 1\n", "echo usage; exit 0\n", "echo cpython\n", "exec sleep 9\n"])
def test_a_program_that_is_not_micropython_is_named(monkeypatch, tmp_path, text):
    path = tmp_path / "other"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o700)
    monkeypatch.setenv("DRONEWALL_MICROPYTHON", str(path))
    monkeypatch.setattr(simulate, "_PROBE_S", 0.5)
    with pytest.raises(MicroPythonMissing, match=r"other: not MicroPython \("):
        simulate.micropython()


@pytest.mark.parametrize(
    ("system", "machine", "reason"),
    [
        ("Linux", "aarch64", "Linux x86_64 and macOS arm64 only, and this is Linux aarch64"),
        ("Linux", "x86_64", "pip install"),
    ],
)
def test_where_no_wheel_exists_the_platform_is_named(monkeypatch, tmp_path, system, machine, reason):
    monkeypatch.delenv("DRONEWALL_MICROPYTHON", raising=False)
    monkeypatch.setattr(simulate.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(simulate.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(simulate.platform, "system", lambda: system)
    monkeypatch.setattr(simulate.platform, "machine", lambda: machine)
    with pytest.raises(MicroPythonMissing, match=reason):
        simulate.micropython()


def test_config_and_world_agree_and_offsets_are_relative_to_the_board(site):
    found = {device.name: device for device in devices(site, "127.0.0.1", 1883, ground, east_flight, start_unix_ms=5)}
    post, other, drone = found["P1"], found["P2"], found["D1"]
    for device in found.values():
        assert device.config["declination_cdeg"] == device.world["declination_cdeg"] == -520
    # t, latitude, longitude, AMSL of the mast's top, azimuth of the first sensor, level
    assert post.track == [(0, 365020000, -842980000, 50600, 31000, 0, 0)]
    assert [sensor["azimuth_cdeg"] for sensor in post.config["sensors"]] == [0, 9000]
    assert other.config["sensors"][0]["azimuth_cdeg"] == 25000
    assert other.config["sensors"][0]["pin"] == other.world["pir"][0]["pin"]
    assert (drone.config["moving"], drone.config["height_agl_cm"]) == (True, None)
    assert drone.config["sensors"][0]["azimuth_cdeg"] == 33000
    assert post.config["valid_s"] == 3 * post.config["period_s"]
    assert post.config["mqtt"]["host"] == "127.0.0.1"
    assert len({device.world["seed"] for device in found.values()}) == 3


def test_a_surveyed_position_goes_into_the_config(site):
    found = devices(site, "127.0.0.1", 1883, ground, east_flight, position_source="survey")
    assert found[0].config["position"] == {
        "source": "survey",
        "latitude_e7": 365020000,
        "longitude_e7": -842980000,
        "height_amsl_cm": 50600,
        "sigma_cm": 100,
    }


def test_drones_without_a_flight_are_refused(site):
    with pytest.raises(ValueError, match="drone D1"):
        devices(site, "127.0.0.1", 1883, ground)


def test_the_dipole_is_horizontal_at_its_equator_and_vertical_at_its_pole():
    # tan(dip) = 2 tan(latitude); the field is twice as strong at the pole (29.9 and 59.8 microtesla).
    pole = magnetic_field(80.65, -72.68)
    equator = magnetic_field(80.65 - 90, -72.68)
    assert pole == pytest.approx((90, 59_800), rel=1e-3)
    assert equator == pytest.approx((0, 29_900), abs=0.01)
    # World Magnetic Model 2025 at Jacksboro: dip 64 degrees, 50 microtesla. A dipole is good to some degrees.
    dip, strength = magnetic_field(36.5, -84.3)
    assert dip == pytest.approx(64, abs=3)
    assert strength == pytest.approx(50_000, rel=0.1)


# --- more nodes than the site has, and who walks past them


def test_of_more_nodes_than_the_site_has_the_copies_stand_evenly_along_the_frontage(site):
    wall = spread(site, 6)
    assert [node.name for node in wall.nodes] == ["P1", "P2", "P1-2", "P2-2", "P1-3", "P2-3"]
    assert [node.sensors for node in wall.nodes[2:4]] == [node.sensors for node in site.nodes]
    posts = {post.name: post for post in wall.posts}
    assert {node.post for node in wall.nodes} <= set(posts)
    # One straight piece of frontage from 36.50, -84.30 to 36.52, -84.28: the middles of its quarters.
    for name, share in (("P1-2", 0.125), ("P2-2", 0.375), ("P1-3", 0.625), ("P2-3", 0.875)):
        assert posts[name].latitude_deg == pytest.approx(36.50 + 0.02 * share)
        assert posts[name].longitude_deg == pytest.approx(-84.30 + 0.02 * share)
    names = [device.name for device in devices(wall, "127.0.0.1", 1, ground, east_flight)]
    assert names == ["P1", "P2", "P1-2", "P2-2", "P1-3", "P2-3", "D1"]


def test_of_fewer_nodes_than_the_site_has_the_first_remain(site):
    assert [node.name for node in spread(site, 1).nodes] == ["P1"]
    assert spread(site, 2).nodes == site.nodes


def test_a_walker_crosses_the_frontage_beside_the_post_from_the_threats_side(site):
    found = {device.name: device for device in devices(site, "127.0.0.1", 1, ground, east_flight, intruders=True)}
    (walker,) = found["P1"].world["intruders"]
    (start, *first), (end, *last) = walker["points"]
    # P1 stands on the line, which runs north-east at this latitude as 0.02 degree of latitude to 0.02 cos(36.51).
    line = (math.cos(math.radians(36.51)), 1.0)
    along = [part / math.hypot(*line) for part in line]
    to_left = (-along[1], along[0])
    for place, offset in ((first, 4000), (last, -4000)):
        assert place[0] * to_left[0] + place[1] * to_left[1] == pytest.approx(offset, abs=1)
        assert place[0] * along[0] + place[1] * along[1] == pytest.approx(-300, abs=1)
        assert place[2] == 90 - 600  # his middle, seen from the mast's top
    assert (start, end) == (0, pytest.approx(80_000 / 1.4, abs=1))
    assert "intruders" not in found["D1"].world


@pytest.mark.parametrize("words", ["wifi", "wifi:P1", "rain:P1:10", "wifi:P1:0", "wifi:P1:soon", "wifi::10"])
def test_a_fault_that_is_none_is_refused_with_the_ones_there_are(words):
    ran = CliRunner().invoke(cli.main, ["simulate", "site.toml", "--fault", words])
    assert ran.exit_code == 2
    assert "KIND:NODE:SECONDS with one of wifi, power, gnss, uart, compass, stuck" in " ".join(ran.output.split())


@real
@pytest.mark.timeout(180)
def test_the_command_says_who_was_online_what_was_heard_and_what_it_took():
    site = firmware_files.examples() / "minimal.toml"
    command = [sys.executable, "-m", "dronewall", "simulate", str(site), "--nodes", "3", "--for", "8"]
    done = subprocess.run(
        [*command, "--fault", "power:P1:1"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": HOST_FOLDER}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    nodes, heard, took = done.stdout.splitlines()
    assert nodes.startswith("nodes       3, ")
    assert nodes.endswith("; resets 0, ended by themselves 0")
    assert "frusta" in heard
    assert "took" in took
    wrong = subprocess.run(
        [*command, "--fault", "wifi:P9:1"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": HOST_FOLDER}, check=False,
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "no node 'P9'" in wrong.stderr


@real
@pytest.mark.soak
def test_fifty_nodes_run_on_two_cores():
    read = scenario.read(firmware_files.examples() / "jacksboro.toml")
    wall = msgspec.structs.replace(spread(read, 50), drones=(), sorties=())
    state = State(wall.site.name)
    with (
        Broker() as broker,
        Ingest(broker.host, broker.port, wall.site.name) as ingest,
        SimulatedNodes(wall, broker.host, broker.port, ground, every_s=0.1, intruders=True) as nodes,
    ):

        def ready() -> int:
            ingest.pump(state, 0.1)
            return sum(node.state == "ready" for node in state.nodes(time.time_ns() // 1_000_000))

        assert until(lambda: ready() == 50, 120)
        meter = Meter(nodes)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            ingest.pump(state, 0.5)
        print(f"\n50 nodes: {meter.words()}")
        assert ready() == 50
        assert nodes.failed() == {}
        assert all(nodes.resets(name) == 0 for name in nodes.names)
