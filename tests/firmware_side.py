"""The node's modules, run where a test says: under this Python, or compiled under the MicroPython that the nodes have,
or under one whose integers have 32 bits, as a board's do (`wasm`: no sockets, no asyncio.run, a heap that grows).

A case is a piece of source that both understand. It finds the firmware on its path and leaves its answer in `out`,
which comes back through JSON: integers stay integers, tuples become lists.
"""

import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from dronewall import firmware_files

ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = ROOT / "firmware"
WIRE = ROOT / "host" / "dronewall"
RUNNER = ROOT / "tools" / "wasm" / "run.mjs"
SIDES = ["cpython", "micropython", "wasm"]  # of a pure module

HEAP = "128k"  # what a plain ESP32 leaves to MicroPython
NODE_HEAP = "192k"  # of a whole node, whose firmware gets 128 KB of it (firmware/unix/run.py)

_BEFORE = """
import sys
if sys.implementation.name != "micropython":
    import types
    sys.modules["micropython"] = types.SimpleNamespace(const=lambda value: value)
    sys.path[:0] = [{firmware!r}]
    sys.path.append({wire!r})
else:
    sys.path[:] = [{board!r}, ".frozen"]
import json
given = json.loads({given!r})
"""
_AFTER = """
print(json.dumps(out))
"""


@functools.cache
def board() -> Path:
    """The firmware as a board has it, compiled once for all tests of this process."""
    folder = Path(tempfile.mkdtemp(prefix="dronewall-board-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return firmware_files.built(folder)


def answer(interpreter: str, source: str, given: object = None, cwd: Path | None = None, heap: str = HEAP) -> object:
    """What `source` leaves in `out` when `interpreter` runs it with `given` (plain data) at hand; `heap`: the
    memory that MicroPython gets; `cwd`: a new folder, which goes again, unless told.
    """
    if cwd is None and interpreter != RUNNER.name:
        with tempfile.TemporaryDirectory(prefix="dronewall-answer-") as folder:
            return answer(interpreter, source, given, Path(folder), heap)
    paths = {"firmware": str(FIRMWARE), "wire": str(WIRE), "board": str(board())}
    code = _BEFORE.format(**paths, given=json.dumps(given)) + source + _AFTER
    if interpreter == RUNNER.name:
        return json.loads(_webassembly(code, cwd, heap).splitlines()[-1])
    command = [interpreter, *([] if interpreter == sys.executable else ["-X", f"heapsize={heap}"]), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@functools.cache
def _runner() -> subprocess.Popen[str]:
    from conftest import require

    runner = subprocess.Popen(
        ["node", str(RUNNER), require("wasm")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(runner.kill)
    return runner


def _webassembly(code: str, cwd: Path | None, heap: str) -> str:
    """What the code prints there; one process runs all the programs of this one, each in an interpreter of its own."""
    runner = _runner()
    folders = [str(board()), *([] if cwd is None else [str(cwd)])]
    size = int(heap.removesuffix("k")) * 1024
    request = {"code": code, "heap": size, "folders": folders, "cwd": None if cwd is None else str(cwd)}
    assert runner.stdin is not None
    assert runner.stdout is not None
    limit = threading.Timer(30, runner.kill)
    limit.start()
    runner.stdin.write(json.dumps(request) + "\n")
    runner.stdin.flush()
    line = runner.stdout.readline()
    limit.cancel()
    if not line:
        _runner.cache_clear()
        raise AssertionError("the WebAssembly interpreter ended, or took over 30 s")
    answered = json.loads(line)
    assert answered["error"] is None, answered["out"] + answered["error"]
    return str(answered["out"])


def interpreter(name: str) -> str:
    """What `answer` runs as `cpython`, `micropython` or `wasm`; a test without one of these is skipped, loudly."""
    if name == "cpython":
        return sys.executable
    from conftest import require

    if name == "wasm":
        require("wasm")
        return RUNNER.name
    return require("micropython")


def carried(tree: Path) -> list[Path]:
    """The files of a compiled tree that go onto a board."""
    return [
        path
        for path in sorted(tree.rglob("*.mpy"))
        if "unix" not in path.parts and path.stem not in ("loader", "manifest")
    ]
