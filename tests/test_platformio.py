"""PlatformIO's buttons, by PlatformIO itself: its own environment, its own folder, no network."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from conftest import ROOT
from dronewall import firmware_files
from dronewall.bench.ports import about
from dronewall.cli import main
from fake_board import RELEASE, FakeBoard
from images import image
from test_firmware_mqtt import end, start_mosquitto

sys.path.insert(0, str(ROOT / "tools" / "platformio" / "builder"))
import bench

GUIDE = ROOT / "docs" / "platformio.md"
# Stands in for `dronewall` where the words that it gets are the claim: it keeps them, asks if it is to, ends as told.
RECORDER = """#!/bin/sh
cd "$(dirname "$0")"
printf '%s\\n' "$*" >>ran
if [ -f ask ]; then printf 'Really? '; read -r answer; printf 'You said %s.\\n' "$answer"; fi
if [ -f status ]; then exit "$(cat status)"; fi
"""
LOCAL = """[env]
upload_port = /dev/ttyUSB0
custom_site = examples/jacksboro.toml
custom_node = P4
custom_secrets = secrets
custom_image = image.bin
"""
WALL = """[[wifi]]
ssid = "wall"

[broker]
host = "127.0.0.1"
port = {port}

[config]
declination_cdeg = -520
"""
UNDER_THE_SKY = {
    "start_unix_ms": int(time.time() * 1000),
    "gnss": {"sigma_cm": 150, "fix_after_ms": 500, "baud": 9600},
}

Pio = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def knocked() -> Iterator[socket.socket]:
    """What stands for the rest of the world: whoever asks the network asks this proxy, which answers nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="session")
def environment(
    require: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory, knocked: socket.socket
) -> dict[str, str]:
    """The variables of a user with a PlatformIO of his own that is new, and with nothing of his on the PATH."""
    program = Path(require("platformio"))
    proxy = f"http://127.0.0.1:{knocked.getsockname()[1]}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PLATFORMIO_", "DRONEWALL_PIO"))}
    return {
        **kept,
        "PATH": "/usr/bin:/bin",
        "PLATFORMIO_CORE_DIR": str(tmp_path_factory.mktemp("platformio")),
        "PLATFORMIO_PACKAGES_DIR": str(program.parents[1] / "core" / "packages"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"), proxy),
        "no_proxy": "",
        "NO_PROXY": "",
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout as PlatformIO sees it, whose `dronewall` keeps what it is told in .venv/bin/ran."""
    return copied(tmp_path / "check out")  # a path with a space in it


def copied(folder: Path) -> Path:
    shutil.copytree(ROOT / "tools" / "platformio", folder / "tools" / "platformio")
    shutil.copy(ROOT / "platformio.ini", folder)
    (folder / "platformio_local.ini").write_text(LOCAL, encoding="utf-8")
    program = folder / ".venv" / "bin" / "dronewall"
    program.parent.mkdir(parents=True)
    program.write_text(RECORDER, encoding="utf-8")
    program.chmod(0o755)
    return folder


def ran(checkout: Path) -> list[str]:
    """The words of each command that was run, in order."""
    kept = checkout / ".venv" / "bin" / "ran"
    return kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []


@pytest.fixture
def pio(environment: dict[str, str], require: Callable[[str], str]) -> Pio:
    """Runs `pio WORDS` in a folder; what it says on stdout and stderr is in `stdout`."""
    program = require("platformio")

    def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *words], cwd=folder, env={**environment, **more}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=50, check=False,
        )  # fmt: skip

    return run


def said(words: list[str], folder: Path, environment: dict[str, str], *steps: tuple[str, int | None, bytes]) -> str:
    """What a program says on a terminal of its own. Each step waits for a text there and then writes to a file
    descriptor; None is the terminal itself.
    """
    ours, theirs = pty.openpty()

    def sit_down() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    text, left = "", list(steps)
    # A terminal is the point here, and the child has to take it before it becomes the program.
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=sit_down
    ) as child:
        os.close(theirs)
        deadline = time.monotonic() + 50
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                more = os.read(ours, 4096)
            except OSError:  # Linux, where the other end is closed
                break
            if not more:
                break
            text += more.decode(errors="replace")
            while left and left[0][0] in text:
                _, to, answer = left.pop(0)
                os.write(ours if to is None else to, answer)
        else:
            child.kill()
    os.close(ours)
    return text


# --- the file ---


def test_platformio_finds_nothing_wrong_with_the_file(pio: Pio, checkout: Path) -> None:
    # The status is 0 whatever it finds.
    told = pio(checkout, "project", "config", "--lint").stdout
    assert "free from linting errors" in told, told


def test_each_environment_has_its_chips_board(pio: Pio, checkout: Path) -> None:
    told = pio(checkout, "project", "config", "--json-output").stdout
    sections = json.loads(told[told.index("[[") :])  # a new PlatformIO greets first
    boards = {name.removeprefix("env:"): dict(options).get("board") for name, options in sections if ":" in name}
    assert boards == {chip: f"dronewall-{chip}" for chip in ("esp32", "esp32s3", "esp32c3")}
    assert dict(dict(sections)["env"])["custom_node"] == "P4", "what platformio_local.ini says goes first"


def test_boards_are_known_by_usb_ids_that_platformios_own_rules_have(environment: dict[str, str]) -> None:
    rules = Path(environment["PLATFORMIO_PACKAGES_DIR"]).parents[1].glob("lib/python*/site-packages/**/*-udev.rules")
    text = next(rules).read_text(encoding="utf-8")
    known = re.findall(r'idVendor\}=="(\w+)", ATTRS\{idProduct\}=="(\S+)"', text)
    for path in sorted((ROOT / "tools" / "platformio" / "boards").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        assert path.stem == f"dronewall-{board['build']['mcu']}"
        for vendor, product in board["build"]["hwids"]:
            usb = (vendor[2:].lower(), product[2:].lower())
            assert any(usb[0] == who and re.fullmatch(what, usb[1]) for who, what in known), f"{path.name}: {usb}"


# --- building ---


def test_what_is_built_is_what_a_node_runs(pio: Pio, checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / ".venv")  # the program on the PATH, then: the real one
    into = checkout / ".pio" / "build" / "esp32" / "firmware"
    into.mkdir(parents=True)
    (into / "old.mpy").touch()
    done = pio(
        checkout, "run", "-e", "esp32", "--disable-auto-clean", PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin"
    )
    assert done.returncode == 0, done.stdout
    expected = firmware_files.built(tmp_path / "expected")
    assert contents(into) == contents(expected)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_checkout_has_its_own_platform(pio: Pio, checkout: Path, tmp_path: Path) -> None:
    # PlatformIO keeps one link for both: it goes by the text of the option, and then by the folder's name.
    other = copied(tmp_path / "other")
    script = other / "tools" / "platformio" / "builder" / "main.py"
    script.write_text("print('the other one')\n" + script.read_text(encoding="utf-8"), encoding="utf-8")
    assert "the other one" not in pio(checkout, "run").stdout
    assert "the other one" in pio(other, "run").stdout


# --- targets ---


def test_every_target_is_shown_with_a_title_and_what_it_does(pio: Pio, checkout: Path) -> None:
    shown = pio(checkout, "run", "--list-targets", "-e", "esp32c3").stdout
    for target, group, title in (
        ("upload", "Platform", "Upload"),
        ("provision", "Custom", "Provision"),
        ("check", "Custom", "Check"),
        ("calibrate", "Custom", "Calibrate"),
        ("list", "Custom", "Boards"),
    ):
        assert re.search(rf"^esp32c3 +{group} +{target} +{title} +\w+ .+$", shown, re.MULTILINE), shown


def test_each_target_is_its_command_with_the_port_and_the_options_of_the_file(pio: Pio, checkout: Path) -> None:
    targets = [word for target in (*bench.WITH_PORT, "list") for word in ("-t", target)]
    done = pio(checkout, "run", *targets)
    assert done.returncode == 0, done.stdout
    assert ran(checkout) == [
        "node flash --port /dev/ttyUSB0 --image image.bin",
        "node provision examples/jacksboro.toml P4 --port /dev/ttyUSB0 --secrets secrets",
        "node check --port /dev/ttyUSB0",
        "node calibrate --port /dev/ttyUSB0",
        "node list",
    ]


def test_a_command_that_fails_is_the_end_with_its_status_in_the_last_lines(pio: Pio, checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "status").write_text("3")
    done = pio(checkout, "run", "-t", "upload", "-t", "check", "--upload-port", "/dev/ttyACM1")
    assert done.returncode == 1
    assert "*** [upload] Error 3" in done.stdout
    assert ran(checkout) == ["node flash --port /dev/ttyACM1 --image image.bin"], "nothing after what failed"


@pytest.mark.needs("micropython", "esptool", "mpy-cross", "mosquitto")
def test_upload_provision_and_check_make_a_node_of_an_empty_board(
    pio: Pio, checkout: Path, tmp_path: Path, require: Callable[[str], str], free_port: int
) -> None:
    shutil.rmtree(checkout / ".venv")  # the real program
    shutil.copytree(ROOT / "examples", checkout / "examples")
    (checkout / "image.bin").write_bytes(image("esp32s3"))
    (checkout / "secrets").mkdir(mode=0o700)
    (checkout / "secrets" / "wall.toml").write_text(WALL.format(port=free_port), encoding="utf-8")
    more = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "DRONEWALL_CACHE": str(tmp_path / "cache")}
    with FakeBoard(tmp_path / "board", chip="esp32s3", world=UNDER_THE_SKY, installed=False) as board:
        words = ("run", "-e", "esp32s3", "--upload-port", board.port)
        done = pio(checkout, *words, "-t", "upload", "-t", "provision", **more)
        assert done.returncode == 0, done.stdout
        found = about(board.port)
        assert (found.chip, found.micropython, found.version, found.trouble) == ("esp32s3", RELEASE, 1, None)
        assert (found.wall, found.node) == ("jacksboro", "P4")
        broker = start_mosquitto(require("mosquitto"), free_port, tmp_path)
        try:
            checked = pio(checkout, *words, "-t", "check", "-a", "--listen=4", **more)
        finally:
            end(broker)
    assert checked.returncode == 0, checked.stdout
    assert re.search(r"^pass: \d+ of \d+ passed, nothing failed$", checked.stdout, re.MULTILINE), checked.stdout
    password = (checkout / "secrets" / "P4.password").read_text(encoding="utf-8").strip()
    assert password
    assert password not in done.stdout + checked.stdout


def test_on_a_terminal_a_command_can_ask(
    environment: dict[str, str], require: Callable[[str], str], checkout: Path
) -> None:
    (checkout / ".venv" / "bin" / "ask").touch()
    told = said([require("platformio"), "run", "-t", "provision"], checkout, environment, ("Really? ", None, b"yes\n"))
    assert "You said yes." in told, told


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["upload", "--upload-port", "/dev/no-such*"], "no board found at /dev/no-such*"),
        (["provision"], "expected custom_node"),
        (["list"], "`make demo` installs it"),
    ],
)
def test_what_is_missing_is_said_with_the_next_step(pio: Pio, checkout: Path, words: list[str], missing: str) -> None:
    (checkout / "platformio_local.ini").write_text(LOCAL.replace("P4", ""))
    if words == ["list"]:
        shutil.rmtree(checkout / ".venv")
    done = pio(checkout, "run", "-t", *words)
    assert done.returncode == 1
    assert missing in done.stdout
    assert f"*** [{words[0]}] Error 2" in done.stdout
    assert "Traceback" not in done.stdout
    assert ran(checkout) == []


@pytest.mark.needs("micropython", "esptool")
def test_the_monitor_is_micropythons_console(
    pio: Pio, environment: dict[str, str], require: Callable[[str], str], checkout: Path, tmp_path: Path
) -> None:
    pio(checkout, "pkg", "install")  # as the guide says: the monitor alone does not
    with FakeBoard(tmp_path / "board") as board:
        line = re.search(r"^pio (device monitor) --port \S+ (.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
        assert line
        words = [require("platformio"), *line[1].split(), "--port", board.port, *line[2].split()]
        types = ("Quit:", None, b"\rprint(6 * 7000)\r")  # the Enter key
        loops = ("42000", None, b'exec("print(6 * 8000)\\nwhile True: pass")\r')
        stops = ("48000", None, b"\x03")
        told = said(words, checkout, environment, types, loops, stops, ("KeyboardInterrupt", None, b"\x1d"))
        assert "KeyboardInterrupt" in told, told
        port = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        assert termios.tcgetattr(port)[4:6] == [termios.B115200, termios.B115200]
        os.close(port)


def test_nothing_is_asked_of_the_network(pio: Pio, checkout: Path, knocked: socket.socket) -> None:
    def somebody() -> bool:
        found = False
        with contextlib.suppress(BlockingIOError):
            while True:
                knocked.accept()[0].close()
                found = True
        return found

    pio(checkout, "run", "-t", "upload")
    assert not somebody(), "by this test or one before it"
    pio(checkout, "run", "-t", "upload", PLATFORMIO_SETTING_ENABLE_TELEMETRY="yes")
    assert somebody(), "who calls home is seen"


# --- the guide ---


def test_every_command_of_the_guide_runs(pio: Pio, checkout: Path) -> None:
    lines = re.findall(r"^pio (.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        words = line.split()
        if words[:2] == ["device", "monitor"]:  # needs a terminal, and has a test of its own
            continue
        done = pio(checkout, *words)
        assert done.returncode == 0, f"pio {line}\n{done.stdout}"
    assert "node provision examples/jacksboro.toml P5 --port /dev/ttyUSB0 --secrets secrets" in ran(checkout)
    assert "node flash --port /dev/ttyUSB0 --image image.bin --erase" in ran(checkout)


def test_the_guides_own_options_and_environments_are_taken(pio: Pio, checkout: Path) -> None:
    files = re.findall(r"^```ini\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (checkout / "platformio_local.ini").write_text("\n".join(files), encoding="utf-8")
    assert "free from linting errors" in pio(checkout, "project", "config", "--lint").stdout
    done = pio(checkout, "run", "-e", "P4", "-t", "provision")
    assert done.returncode == 0, done.stdout
    assert ran(checkout) == ["node provision examples/jacksboro.toml P4 --port /dev/ttyUSB0 --secrets secrets"]


# --- which port ---

BOARDS = ["10C4:EA60", "303A:1001"]
PORTS = [("/dev/ttyS0", ""), ("/dev/ttyACM0", "303A:1001"), ("/dev/ttyUSB3", "2341:0043")]


@pytest.mark.parametrize(
    ("told", "ports", "port"),
    [
        ("/dev/ttyUSB9", [], "/dev/ttyUSB9"),  # what is told is not doubted: the command says what is wrong with it
        ("rfc2217://bench.example:4000", PORTS, "rfc2217://bench.example:4000"),
        ("", PORTS, "/dev/ttyACM0"),
        ("/dev/ttyU*", PORTS, "/dev/ttyUSB3"),
    ],
)
def test_the_one_board_that_is_meant_is_taken(told: str, ports: list[tuple[str, str]], port: str) -> None:
    assert bench.port(told, ports, BOARDS) == port


@pytest.mark.parametrize(
    ("told", "ports", "reason"),
    [
        ("", [], r"by its USB id \(ports of this machine: none\).*--upload-port"),
        ("", [("/dev/ttyS0", "")], r"no board found.*/dev/ttyS0.*--upload-port"),  # a PC's own: no board
        (
            "",
            [*PORTS, ("/dev/ttyUSB0", "10c4:ea60")],
            r"2 boards are here \(/dev/ttyACM0, /dev/ttyUSB0\).*--upload-port",
        ),
        ("/dev/tty*", PORTS, r"3 boards are here"),
        ("/dev/cu*", PORTS, r"no board found at /dev/cu\*"),
    ],
)
def test_a_board_is_never_guessed(told: str, ports: list[tuple[str, str]], reason: str) -> None:
    with pytest.raises(bench.BenchError, match=reason):
        bench.port(told, ports, BOARDS)


# --- which words ---

TOLD = {"custom_site": "a.toml", "custom_secrets": "s"}


@pytest.mark.parametrize("option", ["custom_site", "custom_secrets", "custom_node"])
def test_provisioning_wants_site_secrets_and_node(option: str) -> None:
    told = {**TOLD, "custom_node": "P4"}
    del told[option]
    with pytest.raises(bench.BenchError, match=f"expected {option} ="):
        bench.words("provision", told, "P", ["--yes"])


@pytest.mark.parametrize(("node", "more"), [("P4", ["--yes"]), ("", ["P4", "--yes"]), ("P3", ["P4", "--yes"])])
def test_the_node_is_the_files_unless_the_words_that_follow_name_one(node: str, more: list[str]) -> None:
    expected = ["provision", "a.toml", "P4", "--port", "P", "--secrets", "s", "--yes"]
    assert bench.words("provision", {**TOLD, "custom_node": node}, "P", more) == expected


@pytest.mark.parametrize("target", [*bench.WITH_PORT, "list"])
def test_the_program_has_the_command_of_each_target_with_its_options(target: str) -> None:
    told = {**TOLD, "custom_node": "P4", "custom_image": "image.bin"}
    name, *words = bench.words(target, told, "/dev/ttyUSB0", [])
    group = main.commands["node"]
    assert isinstance(group, click.Group)
    group.commands[name].make_context(name, words)  # raises where a word is not the command's
