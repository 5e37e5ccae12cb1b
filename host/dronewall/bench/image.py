"""MicroPython's images for Espressif's chips: what is in a file, whether it is whole, and where it is kept.

The format: Espressif, "Firmware Image Format" in esptool's documentation, "Application Image Format" and "Partition
Tables" in ESP-IDF's. What MicroPython publishes is the flash from the chip's boot address on: bootloader, partition
table at 0x8000, and the application in its partition, whose descriptor names the project.

    0xE9 segments mode size|frequency  entry (4)  8 bytes  chip id (2)  9 bytes  hash follows (1)
    segments, each with address (4), length (4) and its bytes; zeros up to the checksum, the last byte of a line of 16
    SHA-256 of all that
"""

import contextlib
import functools
import hashlib
import operator
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dronewall.bench.bundle import MICROPYTHON
from dronewall.toml_check import unfit

CHIPS = {0: "esp32", 5: "esp32c3", 9: "esp32s3"}
BOARDS = {"esp32": "ESP32_GENERIC", "esp32c3": "ESP32_GENERIC_C3", "esp32s3": "ESP32_GENERIC_S3"}
_BOOT = {"esp32": 0x1000, "esp32c3": 0, "esp32s3": 0}
_TABLE = 0x8000
_APPLICATION = 0
_FACTORY = (0x00, 0x10)  # and what an update over the air alternates with
_DESCRIPTOR = b"\x32\x54\xcd\xab"
_BANNER = re.compile(rb"MicroPython v(\d+\.\d+\.\d+)\S{0,40} on \d{4}-\d\d-\d\d")
_MOST = 16 << 20


class ImageError(ValueError):
    """A file that is no image for this board: which file, what is wrong with it, and where the right one is found."""


@dataclass(frozen=True)
class Image:
    """What a file has in it. `boot`: the address at which it begins; `end`: the first byte behind its partitions."""

    path: Path
    content: bytes
    chip: str
    version: str
    boot: int
    end: int

    def check(self, chip: str, flash_bytes: int | None) -> None:
        """Raises ImageError where it is not for such a board, or of another version than the nodes run."""
        if self.chip != chip:
            raise ImageError(f"{self.path}: an image for {self.chip}, the board is an {chip}; {wanted(chip)}")
        if self.version != MICROPYTHON:
            raise ImageError(f"{self.path}: MicroPython {self.version}, the nodes run {MICROPYTHON}; {wanted(chip)}")
        if flash_bytes is not None and max(self.end, self.boot + len(self.content)) > flash_bytes:
            raise ImageError(
                f"{self.path}: needs {max(self.end, self.boot + len(self.content)) >> 10} KB of flash, the board has"
                f" {flash_bytes >> 10} KB; take another board, or the image for less flash from the same page"
            )


def wanted(chip: str) -> str:
    """Where the image for that chip is found."""
    board = BOARDS[chip]
    return (
        f"get {board} v{MICROPYTHON} (.bin) from https://micropython.org/download/{board}/ and give it with --image"
        " FILE, once"
    )


def read(path: Path) -> Image:
    """The image in the file. Raises ImageError where it is none, is cut short or damaged, or is not MicroPython's."""
    if wrong := unfit(path):
        raise ImageError(f"{path}: {wrong}; expected MicroPython's .bin, such as ESP32_GENERIC")
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST + 1)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return _parsed(path, content)
    except _Fault as fault:
        raise ImageError(
            f"{path}: {fault}; expected MicroPython's .bin for an ESP32, S3 or C3, such as ESP32_GENERIC"
        ) from None


class _Fault(Exception):
    """What is wrong with an image."""


def _parsed(path: Path, content: bytes) -> Image:
    if content[:1] != b"\xe9":
        raise _Fault(f"not an image (it begins with {content[:4].hex() or 'nothing'}, not with e9)")
    if len(content) > _MOST:
        raise _Fault("over 16 MB")
    chip = _chip(content, 0)
    boot = _BOOT[chip]
    _whole(content, 0, "bootloader")
    table = _partitions(content[_TABLE - boot : _TABLE - boot + 0xC00])
    if not table:
        raise _Fault(f"no partition table at {_TABLE:#x}: an application alone, or not the whole image")
    applications = [at for kind, sort, at, _ in table if kind == _APPLICATION and sort in _FACTORY]
    if not applications:
        raise _Fault("no application in its partition table")
    at = applications[0] - boot
    if at < _TABLE - boot:
        raise _Fault(f"its partition table puts the application at {applications[0]:#x}, onto itself")
    if content[at : at + 1] != b"\xe9":
        raise _Fault(f"cut short: {len(content)} bytes, the application begins at {at}" if at >= len(content) else
                     f"no application at {at:#x}")  # fmt: skip
    if _chip(content, at) != chip:
        raise _Fault(f"its bootloader is for {chip}, its application is not")
    end = _whole(content, at, "application")
    descriptor = content[at + 32 : at + 288]
    name = descriptor[48:80].split(b"\0")[0].decode(errors="replace")
    found = _BANNER.search(content, at, end)
    if descriptor[:4] != _DESCRIPTOR or name != "micropython" or not found:
        raise _Fault(f"its application is {name!r}, not MicroPython" if descriptor[:4] == _DESCRIPTOR else
                     "its application does not say what it is")  # fmt: skip
    last = max(begin + size for _, _, begin, size in table)
    return Image(path, content, chip, found[1].decode(), boot, last)


def _chip(content: bytes, at: int) -> str:
    number = int.from_bytes(content[at + 12 : at + 14], "little")
    if number not in CHIPS:
        raise _Fault(f"for another chip (id {number})")
    return CHIPS[number]


def _whole(content: bytes, at: int, what: str) -> int:
    """Where the image that begins at `at` ends."""
    if len(content) < at + 24:
        raise _Fault(f"cut short: {len(content)} bytes, its {what} needs more")
    position, checksum = at + 24, 0xEF
    for _ in range(content[at + 1]):
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        data = content[position + 8 : position + 8 + size]
        if len(data) < size or position + 8 > len(content):
            raise _Fault(f"cut short: {len(content)} bytes, its {what} needs more")
        checksum = functools.reduce(operator.xor, _folded(data), checksum)
        position += 8 + size
    position = at + (position - at) // 16 * 16 + 16
    if position > len(content):
        raise _Fault(f"cut short: {len(content)} bytes, its {what} needs more")
    if content[position - 1] != checksum:
        raise _Fault(f"damaged: the checksum of its {what} is wrong")
    if content[at + 23]:
        if len(content) < position + 32:
            raise _Fault(f"cut short: {len(content)} bytes, its {what} needs more")
        if hashlib.sha256(content[at:position]).digest() != content[position : position + 32]:
            raise _Fault(f"damaged: the SHA-256 of its {what} is wrong")
        position += 32
    return position


def _folded(data: bytes) -> bytes:
    """Eight bytes whose exclusive or is that of all, for a loop over a megabyte takes a second."""
    while len(data) > 8:
        half = (len(data) + 1) // 2
        one, other = int.from_bytes(data[:half], "little"), int.from_bytes(data[half:], "little")
        data = (one ^ other).to_bytes(half, "little")
    return data


def _partitions(table: bytes) -> list[tuple[int, int, int, int]]:
    """(type, subtype, address, size) of each partition; empty where this is no table."""
    found = []
    for at in range(0, len(table) - 31, 32):
        if table[at : at + 2] != b"\xaa\x50":
            break
        kind, sort = table[at + 2], table[at + 3]
        begin, size = (int.from_bytes(table[at + 4 + i : at + 8 + i], "little") for i in (0, 4))
        found.append((kind, sort, begin, size))
    return found


def kept(chip: str) -> Image:
    """The image for that chip that was used last. Raises ImageError where there is none, and says where it is found."""
    path = _kept_at(chip)
    if not path.is_file():
        raise ImageError(f"no image of MicroPython {MICROPYTHON} for an {chip} here; {wanted(chip)}")
    try:
        found = read(path)
        found.check(chip, None)
    except ImageError as error:
        raise ImageError(f"{error} (it was kept from an earlier flash)") from None
    return found


def keep(image: Image) -> None:
    """Keeps the image for the next board of its chip, in one step. A cache that cannot be written keeps nothing."""
    path = _kept_at(image.chip)
    if image.path == path:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, new = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(image.content)
            os.replace(new, path)
        except OSError:
            os.unlink(new)


def _kept_at(chip: str) -> Path:
    told = os.environ.get("DRONEWALL_CACHE")
    if told:
        folder = Path(told).expanduser()
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "dronewall"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dronewall"
    return folder / "images" / f"{BOARDS[chip]}-{MICROPYTHON}.bin"
