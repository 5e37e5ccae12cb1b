"""docs/bench.md, "When it does not work": each row is provoked, by each of the commands that it names, and its words
are in what is said, without a traceback.
"""

import contextlib
import ctypes
import json
import os
import pty
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial
from click.testing import CliRunner

from conftest import ROOT
from dronewall.cli import main
from fake_board import FakeBoard
from fake_node import fake_node, fill
from images import image
from test_bench_guide import GUIDE, TURNED
from test_bench_guide import WORLD as TURNING
from test_bench_many import side_by_side
from test_bench_provision import quiet, secrets_in
from test_bench_repl import talker

pytestmark = pytest.mark.needs("micropython", "esptool", "mpy-cross")
COMMANDS = ("flash", "provision", "check", "calibrate")
SITE = ROOT / "examples" / "minimal.toml"
ROW = re.compile(r"^\| (`.+?`) \| ([\w, ]+) \| .+ \|$", re.MULTILINE)
Said = dict[str, tuple[int, str]]
"""What each command ended with, and said."""


def rows() -> dict[str, tuple[list[str], tuple[str, ...]]]:
    """The table, by its first words: what is said, and the commands that say it."""
    _, _, section = GUIDE.read_text(encoding="utf-8").partition("## When it does not work")
    found = {}
    for said, commands in ROW.findall(section):
        words = re.findall(r"`(.+?)`", said)
        found[words[0]] = (words, COMMANDS if commands == "all" else tuple(commands.split(", ")))
    return found


class Bench:
    """A folder with boards and secrets, and the commands at a port of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = secrets_in(folder / "secrets")

    def words(self, command: str, port: str, *more: object) -> list[str]:
        words: dict[str, list[object]] = {
            "flash": ["flash", "--port", port],
            "provision": ["provision", SITE, "P1", "--port", port, "--secrets", self.secrets],
            "check": ["check", "--port", port, "--listen", "2"],
            "calibrate": ["calibrate", "--port", port, "--seconds", "20"],
        }
        return [str(word) for word in [*words[command], *more]]

    def said(self, port: str, commands: tuple[str, ...], *more: object) -> Said:
        found = {}
        for command in commands:
            quiet(port)
            ran = CliRunner().invoke(main, ["node", *self.words(command, port, *more)])
            assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.output
            found[command] = (ran.exit_code, ran.output)
        return found


@contextlib.contextmanager
def like_anybody() -> Iterator[None]:
    """Within it this thread, and those that it starts, may open what a file's mode lets them: root may open all."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    had = ctypes.create_string_buffer(24)
    assert libc.capget(head, had) == 0, ctypes.get_errno()
    low = list(struct.unpack("6I", had.raw))
    assert libc.capset(head, struct.pack("6I", low[0] & ~0b110, *low[1:])) == 0  # CAP_DAC_OVERRIDE, ..._READ_SEARCH
    try:
        yield
    finally:
        assert libc.capset(head, had) == 0


def no_port(bench: Bench, commands: tuple[str, ...]) -> Said:
    return bench.said(str(bench.folder / "none"), commands)


def not_ours(bench: Bench, commands: tuple[str, ...]) -> Said:
    end, slave = pty.openpty()
    port = os.ttyname(slave)
    os.chmod(port, 0)
    with like_anybody():
        found = bench.said(port, commands)
    os.close(end)
    os.close(slave)
    for _, said in found.values():
        assert re.search(r"it belongs to the group (\S+): sudo usermod -aG \1 \$USER, log in again", said)
    return found


def taken(bench: Bench, commands: tuple[str, ...]) -> Said:
    end, slave = pty.openpty()
    port = os.ttyname(slave)
    found: Said = {}
    with serial.Serial(port, exclusive=True):
        for command in commands:
            ran = CliRunner().invoke(main, ["node", *bench.words(command, port)])
            found[command] = (ran.exit_code, ran.output)
    os.close(end)
    os.close(slave)
    return found


def another_machine(bench: Bench, commands: tuple[str, ...]) -> Said:
    board = FakeBoard(bench.folder / "b")
    told = json.loads((board.folder / "board.json").read_text())
    (board.folder / "board.json").write_text(json.dumps(told | {"machine": "Raspberry Pi Pico with RP2040"}))
    with board:
        return bench.said(board.port, commands)


def at_once(bench: Bench, commands: tuple[str, ...], ports: list[str]) -> Said:
    """Each has a port of its own, for all of them wait long."""
    ended = side_by_side([bench.words(command, port) for command, port in zip(commands, ports, strict=True)])
    return {command: (status, said) for command, (status, said, _) in zip(commands, ended, strict=True)}


def a_receiver(bench: Bench, commands: tuple[str, ...]) -> Said:
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(talker(b"$GNGGA,120000.00,,,,,0*55\r\n")) for _ in commands]
        return at_once(bench, commands, ports)


def silence(bench: Bench, commands: tuple[str, ...]) -> Said:
    with contextlib.ExitStack() as stack:
        return at_once(bench, commands, [stack.enter_context(talker(b"")) for _ in commands])


def no_micropython(bench: Bench, commands: tuple[str, ...]) -> Said:
    with FakeBoard(bench.folder / "b", installed=False) as board:
        return bench.said(board.port, commands)


def only_micropython(bench: Bench, commands: tuple[str, ...]) -> Said:
    with FakeBoard(bench.folder / "b") as board:
        return bench.said(board.port, commands)


def only_firmware(bench: Bench, commands: tuple[str, ...]) -> Said:
    with fake_node(bench.folder / "b") as board:
        return bench.said(board.port, commands)


def with_image(content: bytes) -> Callable[[Bench, tuple[str, ...]], Said]:
    def provoke(bench: Bench, commands: tuple[str, ...]) -> Said:
        (bench.folder / "image.bin").write_bytes(content)
        with FakeBoard(bench.folder / "b") as board:
            found = bench.said(board.port, commands, "--image", bench.folder / "image.bin")
            assert board.installed
        return found

    return provoke


def another_version(bench: Bench, commands: tuple[str, ...]) -> Said:
    (bench.folder / "image.bin").write_bytes(image(release="1.27.0"))
    with fake_node(bench.folder / "b", release="1.27.0") as board:
        found = bench.said(board.port, ("flash",), "--image", bench.folder / "image.bin")
        found |= bench.said(board.port, tuple(each for each in commands if each != "flash"))
    return found


def no_image(bench: Bench, commands: tuple[str, ...]) -> Said:
    with FakeBoard(bench.folder / "b", installed=False) as board:
        return bench.said(board.port, commands)


def small(bench: Bench, commands: tuple[str, ...]) -> Said:
    with FakeBoard(bench.folder / "b", blocks=20) as board:
        return bench.said(board.port, commands)


def full(bench: Bench, commands: tuple[str, ...]) -> Said:
    with fake_node(bench.folder / "b", blocks=140, world=TURNING, track=TURNED) as board:
        assert bench.said(board.port, ("provision",))["provision"][0] == 0
        before = (bench.secrets / "wall.toml").read_text()
        (bench.secrets / "wall.toml").write_text(before.replace("-520", "-530"))
        board.unplug()
        fill(bench.folder / "b")
        board.plug()
        assert re.search(r"flash +0 KB free, .* expected", bench.said(board.port, ("check",))["check"][1])
        return bench.said(board.port, commands)


STEPS = {
    "flash": (b"uname", b"def digest"),
    "provision": (b"uname", b"update.part", b"config.read"),
    "check": (b"uname", b"hashlib", b"azimuth"),
    "calibrate": (b"uname", b"_readings(500)"),
}


def pulled(bench: Bench, commands: tuple[str, ...]) -> Said:
    """At each step; the words of the last one are the answer, and those of the others are held to be the same."""
    found: Said = {}
    with fake_node(bench.folder / "b", track=TURNED, world=TURNING) as board:
        assert bench.said(board.port, ("provision",))["provision"][0] == 0
        (bench.secrets / "P1.key").write_bytes(bytes(32))
        for command in commands:
            for words in STEPS[command]:
                board.unplug_at(words)
                status, said = bench.said(board.port, (command,))[command]
                assert f"{board.port}: unplugged; plug it in and give the same command again" in said or (
                    command == "provision" and f"{board.port}: unplugged; it keeps the settings that it had" in said
                ), (words, said)
                found[command] = (status, said)
                board.plug()
    return found


PROVOKED: dict[str, Callable[[Bench, tuple[str, ...]], Said]] = {
    "no such port": no_port,
    "no permission": not_ours,
    "busy": taken,
    "expected an ESP32": another_machine,
    "no MicroPython prompt": a_receiver,
    "no answer": silence,
    "no MicroPython in its flash": no_micropython,
    "no firmware": only_micropython,
    "no node yet": only_firmware,
    "an image for": with_image(image("esp32s3")),
    "expected MicroPython's .bin": with_image(image()[:-4096]),
    "the nodes run": another_version,
    "no image of MicroPython": no_image,
    "no space": small,
    "its flash is full": full,
    "unplugged": pulled,
}


def test_the_table_has_what_is_tried_and_nothing_else():
    assert list(rows()) == list(PROVOKED)


@pytest.mark.parametrize(
    "words", [pytest.param(each, marks=pytest.mark.soak if each == "no answer" else ()) for each in PROVOKED]
)
def test_the_guide_says_what_the_commands_say(words, tmp_path, monkeypatch):
    monkeypatch.setenv("DRONEWALL_CACHE", str(tmp_path / "cache"))  # in which no image is
    told, commands = rows()[words]
    found = PROVOKED[words](Bench(tmp_path), commands)
    assert tuple(found) == commands
    for command, (status, said) in found.items():
        assert [each for each in told if each in said], f"{command}:\n{said}"
        assert "Traceback" not in said
        assert status in ((0,) if (words, command) == ("the nodes run", "provision") else (2, 3)), (command, said)
