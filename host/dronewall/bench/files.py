"""A node's files on its board: which of the two folders the next firmware goes into, and in which order it is written.

The order leaves something that starts at every moment (firmware/loader.py, which starts a folder that is `whole`): the
folder that the loader would start is left alone; in the other one `whole` goes first, then come the files, each read
back from the flash, then `whole`, and last `slots`, which says that it is this one from now on. Where the flash has no
room for both, the one that runs is rewritten in the same order; then a second try is needed after a cut.
The firmware's version rises with every flash that changes it, or an old bundle that somebody kept could be sent again.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from dronewall import firmware_files
from dronewall.bench import transfer
from dronewall.bench.bundle import STAYS_HERE
from dronewall.bench.onboard import slots
from dronewall.bench.repl import BoardError, ProgramError, Repl

_BLOCK = 4096
_SPARE = 8  # blocks that LittleFS needs to work with
ROOM = "remove what is not the node's with `mpremote fs rm`, or erase it all with `dronewall node flash --erase`"
_HELPERS = (
    transfer.HELPERS
    + """
from binascii import crc32
def walk(folder):
    for name in sorted(os.listdir(folder)):
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            walk(path)
        else:
            print(json.dumps([path, os.stat(path)[6], digest(path)]))
def text(path):
    try:
        with open(path, "rb") as file:
            return hexlify(file.read(64)).decode()
    except OSError:
        return ""
def double(old, new):
    begin(new)
    with open(old, "rb") as source:
        data = source.read(1024)
        while data:
            file.write(data)
            data = source.read(1024)
    end(new)
def sealed(path, data):
    with open(path + ".new", "wb") as file:
        file.write(data + b"%08x\\n" % crc32(data))
    os.rename(path + ".new", path)
"""
)
_STATE = """
there = os.listdir("/")
for name in ("a", "b"):
    if name in there:
        walk("/" + name)
if "main.py" in there:
    print(json.dumps(["/main.py", os.stat("/main.py")[6], digest("/main.py")]))
space = os.statvfs("/")
told = {name: text("/" + name) for name in ("slots", "slots.new", "a/whole", "b/whole")}
told["free"] = space[0] * space[3] if space[3] <= space[2] else 0
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Files:
    """What a node has: `modules` by their path in a folder of firmware, and the loader, its /main.py."""

    modules: dict[str, bytes]
    loader: bytes


@dataclass(frozen=True)
class Copied:
    """What was done: files of `count` that went over the line, and the folder and version that the loader starts."""

    files: int
    count: int
    bytes: int
    folder: str
    version: int


_Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$")]


class _Told(Struct, frozen=True):
    """The last line that _STATE prints."""

    free: int
    slots: _Hex
    slots_new: _Hex = field(name="slots.new")
    a: _Hex = field(name="a/whole")
    b: _Hex = field(name="b/whole")


@dataclass(frozen=True)
class _State:
    found: dict[str, tuple[int, str]]  # path: size, SHA-256
    free: int
    versions: dict[str, int]  # of the folders that are whole
    slots: tuple[str, int, str] | None

    @property
    def folder(self) -> str | None:
        """The folder that has proven itself, or else the one that the loader would start."""
        if self.slots and self.slots[0] in self.versions:
            other = _other(self.slots[0])
            return other if self.slots[2] != "-" and other in self.versions else self.slots[0]
        return max(self.versions, key=lambda each: self.versions[each], default=None)


def node_files(tree: Path) -> Files:
    """The files of a compiled tree (`firmware_files.built`) that go onto a board."""
    paths = sorted(tree.rglob("*.mpy"))
    modules = {path.relative_to(tree).as_posix(): path.read_bytes() for path in paths}
    loader = (firmware_files.firmware() / "loader.py").read_bytes()
    return Files({name: data for name, data in modules.items() if not name.startswith(STAYS_HERE)}, loader)


def copied(repl: Repl, files: Files, told: Callable[[str, float], None]) -> Copied:
    """Brings the board's firmware to these files and has the loader start it; what is there already is not sent again,
    and of what is in the other folder the board makes a copy itself. `told`: what goes on, and how much of it is done.

    Raises BoardError where the board has no room, or says another hash than the file's.
    """
    repl.run(_HELPERS)
    told("look", 0.0)
    state = _state(repl)
    hashes = {name: transfer.sha256(data) for name, data in files.modules.items()}
    sent = 0
    sizes = 0
    if state.found.get("/main.py", (0, ""))[1] != transfer.sha256(files.loader):
        sizes += _sent(repl, "/main.py.new", files.loader)
        _run(repl, "os.rename('/main.py.new', '/main.py')")
        sent += 1
    count = len(files.modules) + 1
    folders: list[str] = ["a", "b"]
    same = [each for each in folders if each in state.versions and _content(state, each) == hashes]
    if same:
        folder = state.folder if state.folder in same else same[0]
        assert folder is not None
        version = state.versions[folder]
        if state.slots != (folder, version, "-"):
            _choose(repl, folder, version)
        return Copied(sent, count, sizes, folder, version)
    folder = _target(repl, state, files, hashes)
    version = min(max([0, *state.versions.values(), *(state.slots or (0, 0))[1:2]]) + 1, (1 << 24) - 1)
    stale = [path for path in state.found if path.startswith(f"/{folder}/") and path[3:] not in hashes]
    _run(
        repl,
        f"if {folder!r} not in os.listdir('/'): os.mkdir('/{folder}')\n"
        f"if 'whole' in os.listdir('/{folder}'): os.remove('/{folder}/whole')\n"
        + "".join(f"os.remove({path!r})\n" for path in stale if path != f"/{folder}/whole"),
    )
    total = sum(map(len, files.modules.values()))
    done = 0
    elsewhere = {} if folder == state.folder else {each[1]: path for path, each in state.found.items()}
    for name, data in files.modules.items():
        path = f"/{folder}/{name}"
        told("copy", done / total)
        if state.found.get(path, (0, ""))[1] != hashes[name]:
            if hashes[name] in elsewhere:
                said = _run(repl, f"double({elsewhere[hashes[name]]!r}, {path!r})")
                transfer.check(repl, path, repl.told(said.strip(), str | None), data)
            else:
                sizes += _sent(repl, path, data, functools.partial(_share, told, done, total))
                sent += 1
        done += len(data)
    told("copy", 1.0)
    _run(repl, f"sealed('/{folder}/whole', b'{version} ')")
    _choose(repl, folder, version)
    return Copied(sent, count, sizes, folder, version)


def _share(told: Callable[[str, float], None], before: int, total: int, at: int) -> None:
    told("copy", (before + at) / total)


def _other(folder: str) -> str:
    return "b" if folder == "a" else "a"


def _content(state: _State, folder: str) -> dict[str, str]:
    start = f"/{folder}/"
    return {path[3:]: each[1] for path, each in state.found.items() if path.startswith(start) and path[3:] != "whole"}


def _state(repl: Repl) -> _State:
    try:
        *lines, last = _run(repl, _STATE, 60.0).splitlines() or [""]
    except ProgramError as error:
        if "OSError" not in error.said:
            raise
        raise BoardError(
            f"{repl.port}: the board's file system cannot be read ({error.said.strip().splitlines()[-1]}): another"
            " program's flash, or a worn one; --erase makes a new one, and the node is provisioned anew"
        ) from None
    told: _Told = repl.told(last, _Told)
    sealed = {"slots": told.slots, "slots.new": told.slots_new, "a/whole": told.a, "b/whole": told.b}
    state, versions = slots({name: bytes.fromhex(text) for name, text in sealed.items()})
    found = {path: (size, digest) for path, size, digest in (repl.told(line, tuple[str, int, str]) for line in lines)}
    return _State(found, told.free, versions, state)


def _target(repl: Repl, state: _State, files: Files, hashes: dict[str, str]) -> str:
    """The folder to write into, with room for what is to come."""
    running = state.folder
    first = _other(running) if running else "a"
    for folder in [first] if running is None else [first, running]:
        had = {name: each for name, each in _content(state, folder).items() if hashes.get(name) == each}
        need = _blocks([len(data) for name, data in files.modules.items() if name not in had])
        start = f"/{folder}/"
        freed = _blocks([each[0] for path, each in state.found.items() if path[:3] == start and path[3:] not in had])
        free = state.free + freed - _SPARE * _BLOCK
        if folder == running and state.free + freed < need + _SPARE * _BLOCK:
            # What does not run makes room for what does.
            free += _blocks([each[0] for path, each in state.found.items() if path[:3] == f"/{first}/"])
            _removed(repl, first)
        if free >= need:
            return folder
    raise BoardError(
        f"{repl.port}: no space: the firmware needs {need >> 10} KB, the board's file system has {max(free, 0) >> 10}"
        f" KB for it; {ROOM}"
    )


def _blocks(sizes: list[int]) -> int:
    return sum(-(-size // _BLOCK) * _BLOCK for size in sizes)


def _removed(repl: Repl, folder: str) -> None:
    _run(
        repl,
        "def remove(folder):\n"
        "    for name in sorted(os.listdir(folder), key=lambda name: name != 'whole'):\n"
        "        path = folder + '/' + name\n"
        "        if os.stat(path)[0] & 0x4000:\n            remove(path)\n            os.rmdir(path)\n"
        "        else:\n            os.remove(path)\n"
        f"if {folder!r} in os.listdir('/'): remove('/{folder}')\n",
    )


def _choose(repl: Repl, folder: str, version: int) -> None:
    # As one that has proven itself: a node that was not provisioned yet would never come online to say so.
    _run(repl, f"sealed('/slots', b'{folder} {version} - ')")


def _sent(repl: Repl, path: str, data: bytes, at: Callable[[int], None] = lambda _: None) -> int:
    with _room(repl):
        transfer.write(repl, path, data, at)
    return len(data)


def _run(repl: Repl, source: str, limit_s: float = 30.0) -> str:
    with _room(repl):
        return repl.run(source, limit_s)


@contextlib.contextmanager
def _room(repl: Repl) -> Iterator[None]:
    try:
        yield
    except ProgramError as error:
        if error.full:
            raise BoardError(f"{repl.port}: no space left on the board's file system; {ROOM}") from None
        raise
