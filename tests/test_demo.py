import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from dronewall import cli, demo, firmware_files, scenario
from dronewall.engine import wall
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned

pytestmark = [pytest.mark.needs("micropython"), pytest.mark.needs("iotcore")]


class Family:
    """The demo as a process, and every process that ever descended from it: they leave its session and its group."""

    def __init__(self, cwd):
        command = [sys.executable, "-m", "dronewall", "demo"]
        self.child = subprocess.Popen(
            command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        self.seen = {self.child.pid}
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def _look(self):
        while not self._over.wait(0.05):
            rows = self._processes()
            while more := {pid for pid, parent, _ in rows if parent in self.seen} - self.seen:
                self.seen |= more

    @staticmethod
    def _processes():
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        ).stdout
        return [(int(pid), int(parent), stat) for pid, parent, stat in (line.split() for line in listing.splitlines())]

    def until(self, moment):
        """Reads on until the demo has said that; the rest of its words are thrown away as they come."""
        for line in self.child.stderr:
            if moment in line:
                break
        for stream in (self.child.stderr, self.child.stdout):
            threading.Thread(target=stream.read, daemon=True).start()

    def running(self):
        return {pid for pid, _, stat in self._processes() if pid in self.seen and not stat.startswith("Z")}

    def assert_gone(self, within_s):
        self._over.set()
        self._watch.join()
        deadline = time.monotonic() + within_s
        while (left := self.running()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left == set()


@pytest.mark.timeout(120)
def test_the_demo_hears_every_sensor_and_finds_the_gaps_of_a_real_frontage(tmp_path):
    family = Family(tmp_path)
    out, err = family.child.communicate(timeout=100)
    assert family.child.returncode == 0, err
    assert len(family.seen) >= 12  # itself, the broker, eleven nodes but for those that were too quick for us
    read = scenario.read(firmware_files.examples() / "jacksboro.toml")
    assert len(read.nodes) >= 8
    assert len(read.drones) == 2
    count = sum(len(node.sensors) for node in (*read.nodes, *read.drones))
    assert err.count("[2/4] broker 127.0.0.1:") == 1
    assert "11 nodes" in err
    assert f"[3/4] sensors heard {count}/{count}" in err
    assert "lane" in out
    assert "P1" in out
    assert "What would close them" in out
    assert "Losing P" in out
    folder = tmp_path / "out"
    for name in ("gaps.geojson", "coverage.tif", "wall.png", "report.html", "site.toml"):
        assert str((folder / name).resolve()) in out
    collection = json.loads((folder / "gaps.geojson").read_text())
    gaps = [feature for feature in collection["features"] if feature["properties"]["type"] == "gap"]
    assert gaps
    with rasterio.open(folder / "coverage.tif") as raster:
        assert raster.crs.to_epsg() == 32616
    assert scenario.read(folder / "site.toml").nodes == read.nodes
    assert "gaps out/site.toml --terrain" in out
    family.assert_gone(within_s=2.0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("moment", ["[1/4]", "[2/4] broker", "[3/4]", "[4/4]"])
def test_ctrl_c_at_any_time_leaves_no_process_behind(tmp_path, moment):
    family = Family(tmp_path)
    family.until(moment)
    family.child.send_signal(signal.SIGINT)
    assert family.child.wait(20) == 130
    family.assert_gone(within_s=3.0)
    leftovers = [path for path in (tmp_path / "out").glob("*")] if (tmp_path / "out").exists() else []
    assert not [path for path in leftovers if path.name.startswith(".")]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_demo_that_is_told_to_end_leaves_no_process_and_no_folder(tmp_path, monkeypatch, number, status):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    family = Family(tmp_path)
    family.until("[3/4]")
    assert [path.name[:10] for path in temporary.iterdir()] == ["dronewall-"]
    family.child.send_signal(number)
    assert family.child.wait(20) == status
    family.assert_gone(within_s=3.0)
    assert list(temporary.iterdir()) == []


@pytest.mark.timeout(120)
def test_a_killed_demo_takes_its_broker_and_nodes_with_it(tmp_path):
    family = Family(tmp_path)
    family.until("[3/4]")
    time.sleep(0.3)
    assert len(family.running()) >= 12
    os.kill(family.child.pid, signal.SIGKILL)
    family.child.wait(5)
    family.assert_gone(within_s=5.0)


@pytest.mark.timeout(120)
def test_live_frusta_agree_with_the_plan_and_a_silent_node_is_named(monkeypatch, tmp_path):
    """Fixed posts stand where the site file puts them, within their receivers' noise; P4 never starts."""
    real = demo.SimulatedNodes

    def without_p4(*args, **options):
        nodes = real(*args, **options)
        nodes.devices = [device for device in nodes.devices if device.name != "P4"]
        return nodes

    monkeypatch.setattr(demo, "SimulatedNodes", without_p4)
    site = firmware_files.examples() / "jacksboro.toml"
    steps, windows = [], []
    coverage, told = demo.run(
        site, 15.0, lambda step, text: steps.append(step), lambda *_: None, lambda *_: None,
        lambda sensor, shapes: windows.append((sensor, len(shapes))),
    )  # fmt: skip
    assert steps[-1] == 4
    counting = [sensor.name for sensor in coverage.sensors if sensor.frustum is not None]
    assert windows == [(name, len(coverage.scenario.targets)) for name in counting]
    assert told.died == {}
    ground = ground_of(scenario.read(site))
    plan = {sensor.name: sensor for sensor in wall.cover(ground, planned(ground)).sensors}
    for sensor in coverage.sensors:
        if sensor.post is None:
            continue
        if sensor.name.startswith("P4/"):
            assert (sensor.state, sensor.frustum) == ("missing", None)
            continue
        assert sensor.state == "heard", sensor
        there = plan[sensor.name].frustum
        # GNSS noise of 1.5 m on each axis, averaged: 5 sigma of a single fix is generous. A compass has 1 degree
        # and more.
        assert np.hypot(sensor.frustum.east - there.east, sensor.frustum.north - there.north) < 7.5 * 1.5
        off = (sensor.frustum.azimuth - there.azimuth + np.pi) % (2 * np.pi) - np.pi
        assert abs(np.degrees(off)) < 6.0
        assert sensor.frustum.eye_agl == pytest.approx(there.eye_agl)
    drones = [sensor for sensor in coverage.sensors if sensor.moving]
    assert {sensor.state for sensor in drones} == {"heard"}


def test_when_every_node_dies_the_demo_ends_with_two_and_their_last_words(tmp_path):
    """MicroPython that cannot run any firmware: it says which it is, and falls over whatever else it is asked."""
    broken = tmp_path / "micropython"
    broken.write_text('#!/bin/sh\n[ "$1" = -c ] && echo micropython && exit\necho "no room for the firmware"\nexit 1\n')
    broken.chmod(0o700)
    ran = subprocess.run(
        [sys.executable, "-m", "dronewall", "demo"],
        cwd=tmp_path,
        env={**os.environ, "DRONEWALL_MICROPYTHON": str(broken)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=55,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "P1, P2" in ran.stderr
    assert "no room for the firmware" in ran.stderr
    assert "covered" not in ran.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("program", ["/bin/false", "/bin/ls"])
def test_a_program_that_is_not_micropython_ends_the_demo_with_two_at_once(tmp_path, program):
    environment = {**os.environ, "DRONEWALL_MICROPYTHON": program}
    command = [sys.executable, "-m", "dronewall", "demo", "--out", str(tmp_path / "out")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=55, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"{program}: not MicroPython" in ran.stderr
    assert "[1/4]" not in ran.stderr


LITTLE = """
[site]
name = "little"
[terrain]
ground = "dronewall:jacksboro"
cell_m = 25.0
[frontage]
points_deg = [[36.55, -84.30], [36.56, -84.29]]
threat = "left"
[[targets]]
name = "walker"
height_agl_m = [0.0, 1.7]
width_m = 0.5
speed_mps = 1.4
[sensor_types.camera]
driver = "optics"
shape = "pyramid"
hfov_deg = 60.0
vfov_deg = 40.0
range_max_m = 900.0
model = { kind = "camera", pixels = 1920 }
[[posts]]
name = "P1"
latitude_deg = 36.555
longitude_deg = -84.295
[[nodes]]
post = "P1"
mast_m = 8.0
sensors = [{ name = "cam", type = "camera", azimuth_deg = 320.0 }]
"""


def test_after_a_demo_of_ones_own_site_the_next_step_is_ones_own(tmp_path):
    (tmp_path / "mine.toml").write_text(LITTLE)
    command = [sys.executable, "-m", "dronewall", "demo", "--site", "mine.toml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=55, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "out" / "site.toml").exists()
    assert "site.toml into" not in ran.stdout
    assert "YOUR-ELEVATION-MODEL" not in ran.stdout
    assert ran.stdout.rstrip().endswith("gaps mine.toml")


def test_an_edited_site_file_stays_and_the_note_says_what_to_do_with_it(tmp_path):
    path = tmp_path / "out" / "site.toml"
    path.parent.mkdir()
    path.write_text("# mine\n")
    notes = []
    talk = SimpleNamespace(note=notes.append)
    assert cli._site_copy(firmware_files.examples() / "minimal.toml", path, talk) == []
    assert path.read_text() == "# mine\n"
    (note,) = notes
    assert "the demo does not read it" in note
    assert note.endswith(f"gaps {path}")


def test_of_a_flood_ten_nodes_are_named_and_what_they_sent_steers_no_terminal():
    refused = {f"n{i}": (i + 1, "not JSON") for i in range(1000)}
    refused["n5"] = (5000, "\x1b]0;pwned\x07\x1b[2J\nnote: all is well\u202e")
    lines = cli._refusals(demo.Told(refused=refused, dropped=1234))
    assert len(lines) == 12
    assert lines[0].startswith("5000 messages of n5 refused, the last because ?]0;pwned??[2J?note: all is well?")
    assert lines[1].startswith("1000 messages of n999 refused")
    total = sum(count for count, _ in refused.values())
    assert lines[-2] == f"{total} messages refused in all, also of 990 names more"
    assert lines[-1].startswith("1234 messages dropped unread")
    assert all(line.isprintable() for line in lines)
    assert cli._refusals(demo.Told()) == []
    assert cli._refusals(demo.Told(refused={"n1": (1, "x")})) == ["1 message of n1 refused, the last because x"]
