"""The targets that PlatformIO shows, and how it runs them. SCons runs this file, in PlatformIO's own Python.

A target's status is the command's. On a terminal the command has it to itself: PlatformIO hands on whole lines only,
and would swallow a question or a bar that moves.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from SCons.Script import ARGUMENTS, DefaultEnvironment
from serial.tools import list_ports

env = DefaultEnvironment()
here = Path(env.PioPlatform().get_dir())
sys.path.insert(0, str(here / "builder"))

import bench  # noqa: E402 - SCons does not set the path of the file that it runs

_RETURN_S = 2.0  # a chip whose USB is its own is away while it restarts, after an upload for one
_OPTIONS = ("custom_site", "custom_node", "custom_secrets", "custom_image")
_TITLES = {
    "upload": ("Upload", "Write MicroPython and the node's firmware to the board, and check them"),
    "provision": ("Provision", "Give the board its node's configuration, credentials and keys"),
    "check": ("Check", "The bench self-test, with a verdict"),
    "calibrate": ("Calibrate", "Find the compass's hard iron while you turn the board"),
    "list": ("Boards", "The boards that are connected, and what runs on them"),
}


def _program() -> str:
    return bench.program(Path(env.subst("$PROJECT_DIR")), os.environ.get("PATH", ""))


def _ports() -> list[tuple[str, str]]:
    return [(each.device, f"{each.vid:04X}:{each.pid:04X}" if each.vid else "") for each in list_ports.comports()]


def _port() -> str:
    told = env.subst("$UPLOAD_PORT")
    known = [f"{vendor[2:]}:{product[2:]}" for vendor, product in env.BoardConfig().get("build.hwids", [])]
    until = time.monotonic() + _RETURN_S
    while not bench.fitting(told, _ports(), known) and time.monotonic() < until:
        time.sleep(0.1)
    return bench.port(told, _ports(), known)


@contextlib.contextmanager
def _terminal() -> Iterator[int | None]:
    """The terminal that somebody sits at, None where there is none."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR) if int(ARGUMENTS.get("ISATTY", 0)) else None
    except OSError:
        terminal = None
    try:
        yield terminal
    finally:
        if terminal is not None:
            os.close(terminal)


def _status(words: list[str]) -> int:
    """The exit status of the command, whose output is shown as it comes."""
    sys.stdout.flush()
    with _terminal() as terminal:
        return subprocess.run(words, stdin=terminal, stdout=terminal, stderr=terminal, check=False).returncode


def _bench(target: str) -> Callable[..., int]:
    def run(**_: Any) -> int:
        told = {option: env.GetProjectOption(option, "") or "" for option in _OPTIONS}
        try:
            port = _port() if target in bench.WITH_PORT else ""
            words = [_program(), "node", *bench.words(target, told, port, list(env.get("PROGRAM_ARGS") or []))]
        except bench.BenchError as error:
            print(error, file=sys.stderr)
            return 2
        print(shlex.join(["dronewall", *words[1:]]))
        return _status(words)

    return run


def _built(**_: Any) -> int:
    folder = Path(env.subst("$BUILD_DIR")) / "firmware"
    try:
        words = [_program(), "node", "build", str(folder)]
    except bench.BenchError as error:
        print(error, file=sys.stderr)
        return 2
    shutil.rmtree(folder, ignore_errors=True)  # what is no module any more goes
    return _status(words)


env.Default(env.AlwaysBuild(env.Alias("firmware", [], env.VerboseAction(_built, "Compiling the node's firmware"))))
for target, (title, description) in _TITLES.items():
    action = env.VerboseAction(_bench(target), f"{title}...")
    if target == "upload":
        env.AddPlatformTarget(target, None, action, title, description)
    else:
        env.AddCustomTarget(target, None, action, title, description)
