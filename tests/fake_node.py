"""A fake board with the firmware in its flash, as `dronewall node flash` leaves one: the loader, version 1 in /a."""

import errno
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fake_board import FakeBoard
from firmware_side import FIRMWARE, answer, board, carried, interpreter

WHOLE = b"1 bcea3585\n"  # "1 " and its CRC-32 (firmware/loader.py)


@functools.cache
def _image(blocks: int) -> bytes:
    """A LittleFS with the firmware."""
    with tempfile.TemporaryDirectory(prefix="dronewall-image-") as name:
        folder = Path(name)
        (folder / "whole").write_bytes(WHOLE)
        names = {f"a/{path.relative_to(board()).as_posix()}": path for path in carried(board())}
        names |= {"main.py": FIRMWARE / "loader.py", "a/whole": folder / "whole"}
        _made(folder / "flash.img", blocks, names)
        return (folder / "flash.img").read_bytes()


def _made(image: Path, blocks: int, names: dict[str, Path]) -> None:
    source = f"""
sys.path[:0] = [{str(board() / "unix")!r}]
import flash_device
flash_device.make({image.name!r}, {blocks}, given)
out = None
"""
    given = [[name, str(path)] for name, path in names.items()]
    answer(interpreter("micropython"), source, given, image.parent)


def fake_node(folder: Path, blocks: int = 512, files: dict[str, bytes] | None = None, **how: Any) -> FakeBoard:
    """The board, not plugged in yet; `files` are put into its flash, too."""
    found = FakeBoard(folder, blocks=blocks, **how)
    (folder / "flash.img").write_bytes(_image(blocks))
    for name, content in (files or {}).items():
        put(folder, name, content)
    return found


def _mounted(folder: Path, source: str, given: Any = None) -> Any:
    head = f"""
sys.path[:0] = [{str(board() / "unix")!r}]
import os, vfs, binascii, flash_device
device = flash_device.File({str(folder / "flash.img")!r})
vfs.mount(vfs.VfsLfs2(device), "/flash")
"""
    return answer(interpreter("micropython"), head + source, given, folder)


def put(folder: Path, name: str, content: bytes) -> None:
    """Puts a file into the flash of a board that is unplugged."""
    source = """
with open("/flash/" + given[0], "wb") as file:
    file.write(binascii.unhexlify(given[1]))
vfs.umount("/flash")
out = None
"""
    _mounted(folder, source, [name, content.hex()])


def fill(folder: Path) -> None:
    """Fills the flash of a board that is unplugged to its last block."""
    source = """
out = 0
for name, size in (("filler", 4096), ("filler2", 512)):
    try:
        with open("/flash/" + name, "wb") as file:
            while True:
                file.write(bytes(size))
                file.flush()
    except OSError as error:
        out = error.errno
vfs.umount("/flash")
"""
    assert _mounted(folder, source) == errno.ENOSPC


def read(folder: Path) -> dict[str, bytes]:
    """The files of up to 32 KB in the root of the flash; the board is to be unplugged, or idle."""
    source = """
out = {}
for name in os.listdir("/flash"):
    mode, *_, size = os.stat("/flash/" + name)[:7]
    if mode & 0x8000 and size < 32768:
        with open("/flash/" + name, "rb") as file:
            out[name] = binascii.hexlify(file.read()).decode()
vfs.umount("/flash")
"""
    with tempfile.TemporaryDirectory(prefix="dronewall-flash-") as name:
        shutil.copy(folder / "flash.img", name)
        found = _mounted(Path(name), source)
    return {name: bytes.fromhex(content) for name, content in found.items()}


def config(folder: Path) -> dict[str, Any] | None:
    """What its config.json says, None where there is none."""
    content = read(folder).get("config.json")
    return None if content is None else json.loads(content)
