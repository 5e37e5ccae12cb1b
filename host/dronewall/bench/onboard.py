"""What a board has on it: its chip and MicroPython, which folder of firmware it starts, which node it is.

The rules by which the folder is chosen are those of firmware/loader.py; nothing on the board is changed by looking.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from zlib import crc32

from msgspec import Meta, Struct

from dronewall.bench.image import CHIPS
from dronewall.bench.repl import BoardError, Repl
from dronewall.talk import clean

EXPECTED = "expected an ESP32, S3 or C3"
_CHIP = re.compile(r"esp32([schp]\d+)?")  # esp32d0wd is an esp32, esp32c3fh4 an esp32c3
_ASKED = """
import gc, json, os
gc.collect()
def told():
    from binascii import hexlify
    who = os.uname()
    told = {"machine": who.machine, "release": who.release, "heap": gc.mem_free(), "sealed": {}, "files": []}
    try:
        import machine, esp
        told["mac"] = ":".join("%02x" % byte for byte in machine.unique_id())
        told["flash"] = esp.flash_size()
    except (ImportError, AttributeError):
        pass
    try:
        told["space"] = os.statvfs("/")[:4]
        told["files"] = os.listdir("/")
        for path in ("slots", "slots.new", "a/whole", "b/whole"):
            try:
                with open("/" + path, "rb") as file:
                    told["sealed"][path] = hexlify(file.read(64)).decode()
            except OSError:
                pass
        if "config.json" in told["files"]:
            with open("/config.json") as file:
                config = json.load(file)
            told["wall"], told["node"] = config.get("wall"), config.get("node")
            told["compass"] = config.get("compass")
    except Exception as error:
        told["fault"] = repr(error)
    return told
print(json.dumps(told()))
"""


_Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$")]


class _Told(Struct, frozen=True):
    """What _ASKED prints; wall, node and compass are anybody's, for config.json is."""

    machine: str
    release: str
    heap: int
    sealed: dict[str, _Hex]
    files: list[str]
    space: tuple[int, int, int, int] = (0, 0, 0, 0)
    mac: Annotated[str, Meta(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")] | None = None
    flash: int | None = None
    wall: Any = None
    node: Any = None
    compass: Any = None
    fault: str | None = None


@dataclass(frozen=True)
class Board:
    """What is at a port; what nobody said is None. `slot`: the folder whose firmware starts, "" where that lies in the
    root itself, None where there is none; `version` of it, 0 in the root. `heap`, `free`: memory and file system that
    are free [bytes]; `files`: the names in its root; `hard_iron`: of its compass, None where nobody has measured it.
    `trouble`: why nothing answered, or what is wrong with it.
    """

    port: str
    chip: str | None = None
    mac: str | None = None
    flash_bytes: int | None = None
    micropython: str | None = None
    version: int | None = None
    slot: str | None = None
    wall: str | None = None
    node: str | None = None
    trouble: str | None = None
    heap: int = 0
    free: int = 0
    files: tuple[str, ...] = ()
    hard_iron: list[int] | None = None

    @property
    def path(self) -> str:
        """The folder of the firmware as the board's `sys.path` has it."""
        return f"/{self.slot or ''}"


def said(repl: Repl) -> Board:
    """The board in a session, as its MicroPython says. Raises BoardError where it is no ESP32."""
    told: _Told = repl.answer(_ASKED, _Told)
    named = _CHIP.match(told.machine.rpartition(" with ")[2].lower().replace("-", ""))
    chip = named[0] if named else ""
    if chip not in CHIPS.values() or told.mac is None:
        raise BoardError(f"{repl.port}: MicroPython on {told.machine[:80] or 'nobody knows what'}; {EXPECTED}")
    slot, version = started(told.files, {path: bytes.fromhex(text) for path, text in told.sealed.items()})
    # A full LittleFS may count blocks twice (lfs_fs_size), and what is left below nothing wraps around.
    block, _, blocks, free = told.space
    return Board(
        repl.port, chip, told.mac, told.flash, told.release.partition("-")[0][:20], version, slot,
        _name(told.wall), _name(told.node), f"its files cannot be read ({told.fault})" if told.fault else None,
        told.heap, block * free if free <= blocks else 0, tuple(told.files), _hard_iron(told.compass),
    )  # fmt: skip


def _name(told: Any) -> str | None:
    """A name from a config.json, which may hold what steers a terminal, or a megabyte."""
    return clean(told[:64]) if isinstance(told, str) else None


def _hard_iron(compass: Any) -> list[int] | None:
    iron = compass.get("hard_iron") if isinstance(compass, dict) else None
    return iron if isinstance(iron, list) and len(iron) == 3 and all(isinstance(count, int) for count in iron) else None


def import_firmware(repl: Repl, board: Board) -> None:
    """Puts the board's firmware on its path. Raises BoardError where it has none."""
    if board.slot is None:
        raise BoardError(
            f"{repl.port}: no firmware of dronewall on it; `dronewall node flash --port {repl.port}` puts it there"
        )
    repl.run(f"import sys\nsys.path.insert(0, {board.path!r})\n")


def unsealed(data: bytes) -> list[str]:
    """The words in a sealed file (firmware/store.py), none where it is torn or is not there."""
    return data[:-9].decode(errors="replace").split() if data[-9:] == b"%08x\n" % crc32(data[:-9]) else []


def slots(sealed: Mapping[str, bytes]) -> tuple[tuple[str, int, str] | None, dict[str, int]]:
    """What `slots` says, (folder, version, tries), None where nothing does; and {folder: version} of what is whole."""
    words = {path: unsealed(data) for path, data in sealed.items()}
    wholes = {folder: words.get(f"{folder}/whole") or [""] for folder in "ab"}
    versions = {folder: int(whole[0]) for folder, whole in wholes.items() if _is_version(whole[0])}
    state = words.get("slots") or words.get("slots.new") or []
    if len(state) != 3 or not _is_version(state[1]):
        return None, versions
    return (state[0], int(state[1]), state[2]), versions


def _is_version(word: str) -> bool:
    return word.isdecimal() and len(word) < 9


def started(files: Sequence[str], sealed: Mapping[str, bytes]) -> tuple[str | None, int | None]:
    """(folder, version) of what the loader would start, None, None where that is nothing. `files`: the names in the
    root; `sealed`: what stands in `slots`, `slots.new`, `a/whole` and `b/whole`, as far as they are there.
    """
    state, versions = slots(sealed)
    if versions:
        folder = max(versions, key=lambda each: versions[each])
        if state and state[0] in versions:
            folder = state[0]
            if state[2] == "0" and len(versions) == 2:  # on trial, and has had its tries
                folder = "b" if folder == "a" else "a"
        return folder, versions[folder]
    return ("", 0) if {"main.py", "node.mpy", "config.mpy"} <= set(files) else (None, None)
