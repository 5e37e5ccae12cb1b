"""The node's modules, run where a test says: under this Python or under the MicroPython that the nodes have.

A case is a piece of source that both understand. It finds the firmware on its path and leaves its answer in `out`,
which comes back through JSON: integers stay integers, tuples become lists.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = ROOT / "firmware"
WIRE = ROOT / "host" / "dronewall"

_BEFORE = """
import sys
sys.path[:0] = [{firmware!r}]
sys.path.append({wire!r})
if sys.implementation.name != "micropython":
    import types
    sys.modules["micropython"] = types.SimpleNamespace(const=lambda value: value)
import json
given = json.loads({given!r})
"""
_AFTER = """
print(json.dumps(out))
"""


def answer(
    interpreter: str, source: str, given: object = None, cwd: Path | None = None, heap: str | None = None
) -> object:
    """What `source` leaves in `out` when `interpreter` runs it with `given` (plain data) at hand; `heap`: the
    memory that MicroPython gets ("128k").
    """
    before = _BEFORE.format(firmware=str(FIRMWARE), wire=str(WIRE), given=json.dumps(given))
    command = [interpreter, *(["-X", f"heapsize={heap}"] if heap else []), "-c", before + source + _AFTER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def interpreter(name: str) -> str:
    """The path of `cpython` or `micropython`; a test without the latter is skipped, loudly."""
    if name == "cpython":
        return sys.executable
    from conftest import require

    return require("micropython")
