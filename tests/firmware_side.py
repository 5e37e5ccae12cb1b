"""The node's modules, run where a test says: under this Python, or compiled under the MicroPython that the nodes have.

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
from pathlib import Path

from dronewall import firmware_files

ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = ROOT / "firmware"
WIRE = ROOT / "host" / "dronewall"

HEAP = "128k"  # what a plain ESP32 leaves to MicroPython

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
    memory that MicroPython gets.
    """
    paths = {"firmware": str(FIRMWARE), "wire": str(WIRE), "board": str(board())}
    code = _BEFORE.format(**paths, given=json.dumps(given)) + source + _AFTER
    command = [interpreter, *([] if interpreter == sys.executable else ["-X", f"heapsize={heap}"]), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def interpreter(name: str) -> str:
    """The path of `cpython` or `micropython`; a test without the latter is skipped, loudly."""
    if name == "cpython":
        return sys.executable
    from conftest import require

    return require("micropython")
