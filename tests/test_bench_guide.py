"""docs/bench.md from its first command to its last, as somebody types it who has two boards, a broker and an afternoon.

What stands in for his bench: fake boards, with the real esptool, MicroPython and firmware behind their ports; a real
mosquitto with the files that the guide shows; an image by Espressif's format. He turns the board when he is asked to.
"""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio

from conftest import ROOT, require
from fake_board import FakeBoard, boards
from images import image
from test_docs import FENCED, console
from test_firmware_mqtt import end, start_mosquitto

GUIDE = ROOT / "docs" / "bench.md"
PLACE = (366197900, -841597200, 34000)  # P4 of examples/jacksboro.toml
LEVEL = [(0, *PLACE, 15600, 0, 0)]
# Facing magnetic north it rolls on and on while it nods up and over: every attitude in five seconds.
TURNED = [(t, *PLACE, 35480, round(100 * (-65 + 182 * abs(t / 5000 - 1))), 90 * t) for t in range(0, 10_100, 100)]
WORLD = {"repeat": "loop", "compass": {"sigma_cdeg": 0, "hard_iron": (420, -310, 150)}}
SECRET = "from the guide's test"


def block(kind: str, number: int = 0) -> str:
    found = [each["body"] for each in FENCED.finditer(GUIDE.read_text(encoding="utf-8")) if each["kind"] == kind]
    return found[number]


def held(board: FakeBoard, track: list[tuple[int, ...]]) -> None:
    """Somebody holds the board so, from its next start on."""
    board.unplug()
    (board.folder / "track").write_bytes(b"".join(struct.pack("<7i", *row) for row in track))
    board.plug()


def wall_broker(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """The guide's mosquitto, on a port of its own, with the passwords that `node provision` wrote."""
    passwords = folder / "secrets" / "mosquitto.passwords"
    subprocess.run([require("mosquitto_passwd"), "-b", passwords, "host", SECRET], check=True, capture_output=True)
    (folder / "mosquitto.acl").write_text(block("acl"))
    lines = [line for line in block("conf").splitlines() if not line.startswith("listener ")]
    lines = [re.sub(r"^password_file .*", f"password_file {passwords}", line) for line in lines]
    lines = [re.sub(r"^acl_file .*", f"acl_file {folder / 'mosquitto.acl'}", line) for line in lines]
    lines += ["user root"] if os.geteuid() == 0 else []  # the files are ours, not those of the user mosquitto
    return start_mosquitto(require("mosquitto"), port, folder, *lines)


@pytest.mark.timeout(300)
@pytest.mark.needs("mosquitto", "micropython", "esptool", "mpy-cross")
def test_every_command_of_the_guide_works_in_its_order(tmp_path, free_port):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "ESP32_GENERIC.bin").write_bytes(image("esp32"))
    (tmp_path / "host.password").write_text(SECRET + "\n")
    (tmp_path / "host.password").chmod(0o600)
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "wifi.password").write_text("not known to anybody\n")
    (tmp_path / "secrets" / "wifi.password").chmod(0o600)
    wall = block("toml").replace('host = "192.168.4.1"', f'host = "127.0.0.1"\nport = {free_port}')
    (tmp_path / "secrets" / "wall.toml").write_text(wall)
    # No image is in the cache yet; the kernels, which take a minute, are.
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "kernels").symlink_to(Path(os.environ["DRONEWALL_CACHE"]) / "kernels")
    environment = {**os.environ, "DRONEWALL_CACHE": str(tmp_path / "cache"), "NO_COLOR": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    broker = None
    said = {}
    with boards(tmp_path / "bench", 2, world=WORLD, track=LEVEL, installed=False) as bench:
        ports = " ".join(f"--port {board.port}" for board in bench)
        try:
            for command in console(GUIDE):
                text = command.text.replace("/dev/ttyUSB0", bench[0].port)
                text = text.replace("192.168.4.1:1883", f"127.0.0.1:{free_port}")
                # No USB tells of a pty.
                text = text.replace("node list", f"node list {ports}").replace("--all --yes", ports)
                if " --broker " in text and broker is None:
                    broker = wall_broker(tmp_path, free_port)
                if " calibrate " in text:
                    held(bench[0], TURNED)
                ran = subprocess.run(
                    ["bash", "-c", text], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
                )  # fmt: skip
                assert ran.returncode == command.status, f"{command}\nended with {ran.returncode}:\n{ran.stdout}"
                assert SECRET not in ran.stdout
                said[command.text.split("#")[0].strip()] = ran.stdout
                if " calibrate " in text:
                    held(bench[0], LEVEL)
        finally:
            if broker:
                end(broker)
    # P4 to the landmark, by PROJ's geodesic; only P4 is heard, so what is seen on the map is its doing.
    azimuth, _, _ = pyproj.Geod(ellps="WGS84").inv(PLACE[1] / 1e7, PLACE[0] / 1e7, -84.1650, 36.6285)
    last = next(out for text, out in said.items() if " monitor " in text)
    assert f"azimuth {azimuth % 360:.2f}\u00b0" in last
    assert "(survey)" in last
    with rasterio.open(tmp_path / "out" / "coverage.tif") as coverage:
        assert np.nanmax(coverage.read()) > 0
