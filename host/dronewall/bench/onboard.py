"""What a board has on it: which chip it is, which folder of firmware it starts, which node it is.

The rules by which the folder is chosen are those of firmware/loader.py; nothing on the board is changed by looking.
"""

from typing import Any, NamedTuple

from msgspec import Struct

from dronewall.bench.ports import said
from dronewall.bench.repl import BoardError, Repl

_LOOK = """
import binascii, gc, json, os
gc.collect()
def told():
    found = {"heap": gc.mem_free(), "flash": os.statvfs("/")[:4], "whole": {}, "slots": []}
    found["files"] = os.listdir("/")
    for path in ("slots", "slots.new", "a/whole", "b/whole"):
        try:
            with open("/" + path, "rb") as file:
                words = sealed(file.read(64))
        except OSError:
            continue
        if "/" in path:
            found["whole"][path[0]] = words
        else:
            found["slots"] = found["slots"] or words
    try:
        with open("/config.json") as file:
            found["hard_iron"] = (json.load(file).get("compass") or {}).get("hard_iron")
    except (OSError, ValueError, AttributeError, MemoryError):
        found["hard_iron"] = None
    return found
def sealed(data):
    if data[-9:] == b"%08x\\n" % binascii.crc32(data[:-9]):
        return data[:-9].decode().split()
    return []
print(json.dumps(told()))
"""


class _Told(Struct, frozen=True):
    """What _LOOK prints; hard_iron is anybody's, for config.json is."""

    heap: int
    flash: tuple[int, int, int, int]
    whole: dict[str, list[str]]
    slots: list[str]
    files: list[str]
    hard_iron: Any = None


class Board(NamedTuple):
    """A board as it was found. mac: as it is printed, 24:0a:c4:00:00:01. heap: free [bytes]; flash: free [bytes].
    folder: where its firmware lies, "" in the root itself, None where it has none; version: of its last update, 0
    where it never had one. wall, node: "" where it is none. hard_iron: of the compass, None where nobody has measured
    it. files: the names in its root.
    """

    mac: str
    chip: str
    release: str
    heap: int
    flash: int
    folder: str | None
    version: int
    wall: str
    node: str
    hard_iron: list[int] | None
    files: tuple[str, ...]

    @property
    def path(self) -> str:
        """The folder of the firmware as the board's `sys.path` has it."""
        return f"/{self.folder or ''}"


def board_at(repl: Repl) -> Board:
    """The board of a session. Raises BoardError for one that is no ESP32."""
    who = said(repl)
    told: _Told = repl.answer(_LOOK, _Told)
    folder, version = _firmware(told.files, told.slots, told.whole)
    iron = told.hard_iron
    return Board(
        who.mac or "",
        who.chip or "",
        who.micropython or "",
        told.heap,
        told.flash[0] * told.flash[3],
        folder,
        version,
        who.wall or "",
        who.node or "",
        iron if isinstance(iron, list) and len(iron) == 3 and all(isinstance(count, int) for count in iron) else None,
        tuple(told.files),
    )


def import_firmware(repl: Repl, board: Board) -> None:
    """Puts the board's firmware on its path. Raises BoardError where it has none."""
    if board.folder is None:
        raise BoardError(
            f"{repl.port}: no firmware of dronewall on it; `dronewall node flash --port {repl.port}` puts it there"
        )
    repl.run(f"import sys\nsys.path.insert(0, {board.path!r})\n")


def _firmware(files: list[str], slots: list[str], whole: dict[str, list[str]]) -> tuple[str | None, int]:
    """(folder, version) of what the loader would start."""
    versions = {folder: int(words[0][:9]) for folder, words in whole.items() if words and words[0].isdecimal()}
    if versions:
        folder = max(versions, key=lambda each: versions[each])
        if len(slots) == 3 and slots[0] in versions:
            folder = slots[0]
            if slots[2] == "0" and len(versions) == 2:  # on trial, and has had its tries
                folder = "b" if folder == "a" else "a"
        return folder, versions[folder]
    return ("", 0) if {"main.py", "node.mpy", "config.mpy"} <= set(files) else (None, 0)
