"""Serial ports, and the boards behind them: chip, flash, MicroPython, and the node that a board is.

Which USB identities are boards': the bridges that makers of ESP32 boards use, and Espressif's own. A computer's own
serial ports and modems have others, or none.
"""

import contextlib
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct
from serial.tools import list_ports

from dronewall.bench.esptool_program import chip_at
from dronewall.bench.image import CHIPS
from dronewall.bench.repl import BoardError, Repl

_MAKERS = {0x303A: "Espressif", 0x10C4: "CP210x", 0x1A86: "CH340/CH910x", 0x0403: "FTDI"}
_NO_PORT = ("no such port", "no permission", "busy:", "unplugged", "cannot be opened")
_ASKED = """
import json, os, sys
def sealed(path):
    from binascii import crc32
    try:
        with open(path, "rb") as file:
            data = file.read(64)
        if data[-9:] == b"%08x\\n" % crc32(data[:-9]):
            return data[:-9].decode().split()
    except (OSError, ValueError):
        pass
told = {"machine": os.uname().machine, "release": os.uname().release}
try:
    import machine, esp
    told["mac"] = ":".join("%02x" % byte for byte in machine.unique_id())
    told["flash"] = esp.flash_size()
except (ImportError, AttributeError):
    pass
try:
    told["slots"] = sealed("/slots") or sealed("/slots.new")
    told["files"] = os.listdir("/")
    if "config.json" in told["files"]:
        with open("/config.json") as file:
            config = json.load(file)
        told["wall"] = config.get("wall")
        told["node"] = config.get("node")
        del config
except Exception as error:
    told["fault"] = repr(error)
print(json.dumps(told))
"""


class _Told(Struct, frozen=True):
    """What _ASKED prints; wall and node are anybody's, for config.json is."""

    machine: str
    release: str
    mac: Annotated[str, Meta(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")] | None = None
    flash: int | None = None
    slots: list[str] | None = None
    wall: Any = None
    node: Any = None
    fault: str | None = None


@dataclass(frozen=True)
class Board:
    """What is at a port; what nobody said is None. `trouble`: why nothing answered, or what is wrong with it."""

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


def found(more: tuple[str, ...] = ()) -> list[str]:
    """The serial ports that look like boards, and those named, sorted, each once."""
    listed = [each.device for each in list_ports.comports() if each.vid in _MAKERS]
    return list(dict.fromkeys([*sorted(listed), *more]))


def said(repl: Repl) -> Board:
    """The board in a session, as its MicroPython says. Raises BoardError where it is no ESP32."""
    told: _Told = repl.answer(_ASKED, _Told)
    chip = told.machine.rpartition(" with ")[2].lower().replace("-", "")[:7]
    if chip not in CHIPS.values() or told.mac is None:
        raise BoardError(
            f"{repl.port}: MicroPython on {told.machine[:80] or 'nobody knows what'}; expected an ESP32, S3 or C3"
        )
    slot, version = None, None
    if told.slots and len(told.slots) == 3 and told.slots[0] in ("a", "b") and told.slots[1].isdecimal():
        slot, version = told.slots[0], int(told.slots[1][:9])
    fault = f"its files cannot be read ({told.fault})" if told.fault else None
    release = told.release.partition("-")[0][:20]
    return Board(
        repl.port, chip, told.mac, told.flash, release, version, slot, _name(told.wall), _name(told.node), fault
    )  # fmt: skip


def _name(told: Any) -> str | None:
    """A name from a config.json, which may hold what steers a terminal, or a megabyte."""
    if not isinstance(told, str):
        return None
    return "".join(letter if letter.isprintable() else "?" for letter in told[:64])


def about(port: str, tries: int = 2) -> Board:
    """The board at a port: MicroPython is asked, and where none answers the chip's bootloader. What runs there is
    interrupted, and starts again. Where nothing answers, the record says why."""
    try:
        with Repl(port, tries=tries) as repl:
            return said(repl)
    except BoardError as error:
        trouble = str(error).removeprefix(f"{port}: ")
        if not may_have_another_program(error):
            return Board(port, trouble=trouble)
    with contextlib.suppress(BoardError):
        chip = chip_at(port, 2)
        return Board(port, chip.chip, chip.mac, chip.flash_bytes, trouble=trouble)
    return Board(port, trouble=trouble)


def may_have_another_program(error: BoardError) -> bool:
    """Whether a session that did not begin leaves the bootloader to be asked: the port is there, and ours."""
    return not any(words in str(error) for words in _NO_PORT)
