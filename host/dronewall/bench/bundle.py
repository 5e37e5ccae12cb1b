"""Signed bundles of firmware: what a node's own key vouches for, and nothing else is run.

firmware/update.py has the format, and reads it. The two share no code, so that each is tested against the other.
"""

import hashlib
import hmac
import re
import stat
from pathlib import Path

MAGIC = b"DWU1"
PIECE = 512  # bytes of a bundle that go into one command
LARGEST = 700_000  # bytes of all files; the node's bound
MICROPYTHON = "1.29.0"  # what the nodes run (manifest.toml); replaced by cable only
_HEAD_LARGEST = 8192
_PATH = re.compile(r"([a-z0-9_]+/)?[a-z0-9_]+\.(mpy|py)")
STAYS_HERE = ("loader.mpy", "manifest.mpy", "unix/")  # never updated; for an image; for simulated nodes


class BundleError(ValueError):
    """A bundle that cannot be made, or a key that cannot be used: which file, what is wrong with it."""


def key_of(path: Path) -> bytes:
    """The 32 bytes of a node's key. Raises BundleError for another size, and where others may read the file."""
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BundleError(f"{path}: others may read it; chmod 600 {path}")
        key = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    if len(key) != 32:
        raise BundleError(f"{path}: {len(key)} bytes, a key of 32 expected")
    return key


def bundle(
    tree: Path, node: str, version: int, key: bytes, micropython: str = MICROPYTHON, mpy: tuple[int, int] | None = None
) -> bytes:
    """The bundle of a compiled tree (`firmware_files.built`) for `node`, "wall/node".

    `version` has to be over the one that the node runs. `mpy`, the version of the .mpy files and the bits of their
    small integers, is read from the files unless told. Raises BundleError for a file that no board could run.
    """
    if not 0 < version < 1 << 24:
        raise BundleError(f"version {version}: 1 to {(1 << 24) - 1} expected")
    files = {path.relative_to(tree).as_posix(): path for path in sorted(tree.rglob("*")) if path.is_file()}
    contents = {name: path.read_bytes() for name, path in files.items() if not name.startswith(STAYS_HERE)}
    if "main.mpy" not in contents:
        raise BundleError(f"{tree}: no main.mpy in it")
    found = set()
    for name, content in contents.items():
        if not _PATH.fullmatch(name) or len(name) > 40:
            raise BundleError(f"{tree / name}: not a file of firmware (name.mpy, or one folder deep)")
        if not content:
            raise BundleError(f"{tree / name}: empty")
        if name.endswith(".mpy"):
            found.add(_mpy(tree / name, content))
    if len(found) > 1:
        raise BundleError(f"{tree}: compiled in different ways: {sorted(found)}")
    total = sum(map(len, contents.values()))
    if total > LARGEST:
        raise BundleError(f"{tree}: {total} bytes, at most {LARGEST} fit")
    abi, bits = mpy or found.pop()
    lines = [f"node {node}", f"version {version}", f"micropython {micropython}", f"mpy {abi} {bits}"]
    lines += [f"file {name} {len(content)} {hashlib.sha256(content).hexdigest()}" for name, content in contents.items()]
    return signed("".join(line + "\n" for line in lines), b"".join(contents.values()), key)


def signed(head: str, contents: bytes, key: bytes) -> bytes:
    """A bundle of that head and those contents, whatever they are."""
    text = head.encode()
    if len(text) > _HEAD_LARGEST:
        raise BundleError(f"the head has {len(text)} bytes, at most {_HEAD_LARGEST} fit")
    front = MAGIC + len(text).to_bytes(2, "big") + text
    return front + hmac.digest(key, front, "sha256") + contents


def told_by(content: bytes) -> tuple[str, int]:
    """("wall/node", version) that a bundle says it is for. Raises BundleError where it is none."""
    text = content[6 : 6 + int.from_bytes(content[4:6], "big")].decode(errors="replace")
    told = re.match(r"node (\S+)\nversion (\d+)\n", text)
    if content[:4] != MAGIC or not told:
        raise BundleError("not a bundle of format DWU1")
    return told[1], int(told[2])


def _mpy(path: Path, content: bytes) -> tuple[int, int]:
    # MicroPython, docs/reference/mpyfiles.rst: "M", version, flags (architecture of native code, sub-version), bits.
    if len(content) < 4 or content[:1] != b"M":
        raise BundleError(f"{path}: not a compiled file")
    if content[2] & ~3:
        raise BundleError(f"{path}: has native code, which one board can run and another cannot")
    return content[1], content[3]
