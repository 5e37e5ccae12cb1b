"""A hub full of boards: flashed by one command, then provisioned and checked side by side, a command for each; some are
unplugged meanwhile, which stops no other, and the second try brings them in. Four of them here; twenty in `make soak`,
which writes docs/bench-soak.md.
"""

import contextlib
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from conftest import ROOT
from dronewall.bench.keyring import Keyring
from fake_board import FakeBoard, boards
from fake_node import config
from images import image
from test_bench_flash import dronewall
from test_bench_provision import WALL, secrets_in, write
from test_firmware_mqtt import end, start_mosquitto

pytestmark = pytest.mark.needs("micropython", "esptool", "mpy-cross")
Ended = tuple[int, str, float]
"""A command that has ended: its status, what it said, and how long it took [s]."""


def side_by_side(commands: Sequence[Sequence[object]], limit_s: float = 600.0) -> list[Ended]:
    """`dronewall node ...` as often as there are words for it, all at once."""
    begun = time.monotonic()
    running = {}
    for number, words in enumerate(commands):
        command = [sys.executable, "-m", "dronewall", "node", *map(str, words)]
        running[number] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    found: dict[int, Ended] = {}
    try:
        while len(found) < len(running):
            assert time.monotonic() - begun < limit_s
            for number, process in running.items():
                if number not in found and process.poll() is not None:
                    took_s = time.monotonic() - begun
                    found[number] = (process.returncode, process.communicate()[0], took_s)
            time.sleep(0.02)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return [found[number] for number in range(len(commands))]


def site_of(folder: Path, names: Sequence[str]) -> Path:
    """The smallest site there is, with so many nodes at its one post's place."""
    head, _, node = (ROOT / "examples" / "minimal.toml").read_text(encoding="utf-8").partition("[[posts]]")
    path = folder / "site.toml"
    path.write_text(head + "".join("[[posts]]" + node.replace('"P1"', f'"{name}"') for name in names), "utf-8")
    return path


def provisioning(site: Path, secrets: Path, bench: dict[str, FakeBoard]) -> list[list[object]]:
    return [["provision", site, name, "--port", bench[name].port, "--secrets", secrets] for name in bench]


def rows_of(ran: subprocess.CompletedProcess[str]) -> list[list[str]]:
    return [line.split() for line in ran.stdout.splitlines() if "/port" in line]


def test_four_boards_at_once_become_nodes_and_one_that_fails_stops_no_other(tmp_path):
    cache = str(tmp_path / "cache")
    (tmp_path / "i.bin").write_bytes(image())
    secrets = secrets_in(tmp_path / "secrets")
    names = ["P1", "P2", "P3", "P4"]
    site = site_of(tmp_path, names)
    with boards(tmp_path, 4, installed=False) as four:
        ports = [word for board in four for word in ("--port", board.port)]
        four[3].unplug_at(b"put('")
        ran = dronewall("flash", *ports, "--image", tmp_path / "i.bin", DRONEWALL_CACHE=cache)
        assert ran.returncode == 3, ran.stderr
        assert [row[-1] for row in rows_of(ran)] == ["done", "done", "done", "failed"]
        assert f"{four[3].port}: unplugged; plug it in and give the same command again" in ran.stderr
        assert [row[1] for row in rows_of(ran)] == [f"24:0a:c4:00:00:0{i}" for i in (1, 2, 3, 4)]  # the failed one, too
        four[3].plug()
        again = dronewall("flash", *ports[4:], DRONEWALL_CACHE=cache)
        assert again.returncode == 0, again.stderr
        rows = rows_of(again)
        assert rows[0][-5:-2] == ["0", "of", rows[0][-3]]
        assert int(rows[1][-5]) > 1

        bench = dict(zip(names, four, strict=True))
        four[2].unplug_at(b"config.part")
        ended = side_by_side(provisioning(site, secrets, bench))
        assert [status for status, _, _ in ended] == [0, 0, 2, 0], ended
        assert f"{four[2].port}: unplugged" in ended[2][1]
        assert config(tmp_path / "b3") is None
        four[2].plug()
        ((status, said, _),) = side_by_side(provisioning(site, secrets, {"P3": four[2]}))
        assert status == 0, said
    assert [config(tmp_path / f"b{i}")["node"] for i in (1, 2, 3, 4)] == names
    assert {mac[-2:]: entry["node"] for mac, entry in Keyring(secrets).boards().items()} == {
        f"0{number}": f"P{number}" for number in (1, 2, 3, 4)
    }


# --- twenty, and the table

TABLE = ROOT / "docs" / "bench-soak.md"
HEAD = """# Twenty boards at once

What `dronewall node flash` takes for twenty boards side by side, {image} of MicroPython's image and the whole firmware
each; then `node provision` and `node check`, a process for each board, all begun at the same moment, with one folder of
secrets and one mosquitto. The boards are fake: the ROM's bootloader and MicroPython are real programs behind ptys,
without the pace of a serial line, and share the computer's cores with the commands. On real boards the line sets the
pace (9.5 s for the files at 115200 baud), and a hub's. Written by `make soak` (tests/test_bench_many.py).

Measured {when} on {where}.
"Failed" is what was pulled out on purpose, and nothing else: the test holds it to that.

| what | boards | failed | all of them [s] | one board [s]: median, worst | done |
|---|---|---|---|---|---|
"""


def table_row(what: str, boards_s: Sequence[float], failed: int, took_s: float, done: str) -> str:
    seconds = sorted(boards_s)
    times = f"{statistics.median(seconds):.1f}, {seconds[-1]:.1f}"
    return f"| {what} | {len(seconds)} | {failed} | {took_s:.0f} | {times} | {done} |\n"


@contextlib.contextmanager
def mosquitto_with(program: str, secrets: Path, port: int, folder: Path) -> Iterator[None]:
    """A broker that knows the nodes of the folder of secrets, and nobody else."""
    write(folder / "mosquitto.passwords", (secrets / "mosquitto.passwords").read_bytes())
    lines = [f"password_file {folder / 'mosquitto.passwords'}", *(["user root"] if os.geteuid() == 0 else [])]
    process = start_mosquitto(program, port, folder, *lines)
    try:
        yield
    finally:
        end(process)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twenty_boards_at_once_become_nodes_whatever_is_pulled_out_meanwhile(tmp_path, mosquitto, free_port):
    cache = str(tmp_path / "cache")
    (tmp_path / "i.bin").write_bytes(image(more=1_500_000))
    names = [f"P{number}" for number in range(1, 21)]
    site = site_of(tmp_path, names)
    wall = WALL.replace('"127.0.0.1"', f'"127.0.0.1"\nport = {free_port}')
    secrets = secrets_in(tmp_path / "secrets", wall)
    where = f"{os.cpu_count()} cores, {platform.machine()}"
    text = HEAD.format(image="1.5 MB", when=time.strftime("%Y-%m-%d"), where=where)
    world = {"start_unix_ms": int(time.time() * 1000), "gnss": {"sigma_cm": 150, "fix_after_ms": 500, "baud": 9600}}
    with boards(tmp_path, 20, installed=False, world=world) as twenty:
        bench = dict(zip(names, twenty, strict=True))
        fifth = twenty[::4]
        ports = [word for board in twenty for word in ("--port", board.port)]

        def flash(what: str, failing: int, *words: object) -> None:
            nonlocal text
            begun = time.monotonic()
            ran = dronewall("flash", *ports, *words, DRONEWALL_CACHE=cache)
            rows = rows_of(ran)
            sent = sorted({" ".join(row[-5:-2]) for row in rows if row[-1] == "done"})
            failed = sum(row[-1] == "failed" for row in rows)
            seconds = [float(row[-2]) for row in rows]
            text += table_row(what, seconds, failed, time.monotonic() - begun, f"{', '.join(sent)} files sent")
            print(ran.stdout, ran.stderr)
            assert (ran.returncode, failed) == (3 if failing else 0, failing)

        def each(what: str, commands: list[list[object]], failing: int, done: Callable[[str], str]) -> None:
            nonlocal text
            ended = side_by_side(commands)
            for _, said, took_s in ended:
                print(f"{took_s:.1f} s\n{said}")
            failed = sum(status != 0 for status, _, _ in ended)
            told = sorted({done(said) for status, said, _ in ended if status == 0})
            seconds = [took_s for _, _, took_s in ended]
            text += table_row(what, seconds, failed, max(seconds), ", ".join(told))
            assert failed == failing

        def plugged() -> None:
            for board in fifth:
                board.plug()

        flash("empty boards: MicroPython and files", 0, "--image", tmp_path / "i.bin")
        flash("the same again", 0)
        for board in fifth:
            board.unplug()
        flash("five of them unplugged", 5)
        plugged()
        for board in fifth:
            board.unplug_at(b"\xc0\x00\x11")
        flash("five unplugged while MicroPython is written", 5, "--image", tmp_path / "i.bin")
        plugged()
        flash("these plugged in again", 0)

        for board in fifth:
            board.unplug_at(b"config.part")
        each("provisioned, five unplugged meanwhile", provisioning(site, secrets, bench), 5, lambda said: "a node each")
        plugged()
        each("provisioned again, all of them", provisioning(site, secrets, bench), 0, lambda said: "a node each")
        with mosquitto_with(mosquitto, secrets, free_port, tmp_path):
            checks = [["check", "--port", board.port, "--listen", "60"] for board in twenty]
            passed = re.compile(r"^pass: (\d+ of \d+) passed, nothing failed$", re.MULTILINE)
            each("checked", checks, 0, lambda said: "".join(passed.findall(said)) + " items passed, none failed")
    assert {entry["node"] for entry in Keyring(secrets).boards().values()} == set(names)
    lines = (secrets / "mosquitto.passwords").read_text().splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(names)
    for number, name in enumerate(names, 1):
        assert config(tmp_path / f"b{number}")["node"] == name
    TABLE.write_text(text, encoding="utf-8")
