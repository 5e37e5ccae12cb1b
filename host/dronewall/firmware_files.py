"""Where the nodes' firmware lies: in the checkout's `firmware/`, or inside the installed package.

The wheel carries the firmware as `dronewall/_firmware/` (tools/build_hook.py puts it there); a checkout and an editable
install use the files that are edited. The folder beside the package wins, so that a stale copy is never run.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def firmware() -> Path:
    """The folder with main.py of the node firmware; FileNotFoundError says where it was looked for."""
    checkout = _PACKAGE.parents[1] / "firmware"
    installed = _PACKAGE / "_firmware"
    for folder in (checkout, installed):
        # `unix/run.py` as well: site-packages' grandparent could hold a `firmware` folder of somebody else's.
        if (folder / "main.py").is_file() and (folder / "unix" / "run.py").is_file():
            return folder
    raise FileNotFoundError(f"no node firmware (main.py and unix/run.py): looked in {checkout} and {installed}")


def wire() -> Path:
    """The file of messages and topics that is flashed to the nodes beside the firmware."""
    return _PACKAGE / "wire.py"


def examples() -> Path:
    """The folder with the example site files; FileNotFoundError says where it was looked for."""
    places = (_PACKAGE.parents[1] / "examples", _PACKAGE / "_examples")
    for folder in places:
        if (folder / "jacksboro.toml").is_file():
            return folder
    raise FileNotFoundError(f"no example site files (jacksboro.toml): looked in {places[0]} and {places[1]}")
