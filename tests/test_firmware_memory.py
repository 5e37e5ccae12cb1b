"""What a node's modules take of its memory once they are loaded: the budgets, and the table in firmware/README.md.

Every module is charged with what stays after it was imported, without what it imports itself. The names that all of
them use stand in one table of the interpreter, which doubles when it is full: it is told on its own, and a module that
is loaded alone (the budgets of `mqtt` and `wire`) pays for the part that it needs.
"""

import re

import pytest

from firmware_side import FIRMWARE, HEAP, SIDES, answer, board, interpreter

KB = 1024

# `given`: whether the table of names is made large beforehand, so that no module pays for its growth.
LOADED = """
import asyncio, builtins, gc, os

if sys.platform != "webassembly" and "a" in os.listdir():
    sys.path[0] = "a"


class Part:  # of a board: whatever is asked of it says nothing
    IN = OUT = PULL_UP = PULL_DOWN = 1

    def __init__(self, *more, **most):
        pass

    def __getattr__(self, name):
        return lambda *more, **most: b""

    def read_uv(self):
        return 0


class Board:
    def __getattr__(self, name):
        if name == "reset_cause":
            return lambda: 1
        if name == name.lower():
            return lambda *more, **most: 0
        return 0 if name == name.upper() and len(name) > 4 else Part  # PWRON_RESET; Pin, I2C


# What a board has in its flash is here before the count begins.
for name in ("machine", "network", "esp32", "neopixel"):
    sys.modules[name] = Board()
for name in ("binascii", "collections", "errno", "hashlib", "io", "os", "select", "socket", "struct", "time"):
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = Board()
for name in ("Event", "Lock", "StreamReader", "gather", "open_connection", "wait_for_ms"):
    getattr(asyncio, name, None)
number = 0
while given:
    name, number, was = "name%d" % number, number + 1, gc.mem_alloc()
    hasattr(0, name)
    if gc.mem_alloc() - was > 10000:
        break
modules, inner, least = {}, [0], gc.mem_free()


def used():
    global least
    gc.collect()
    gc.collect()
    least = min(least, gc.mem_free())
    return gc.mem_alloc()


def counted(name, *more):
    if name in sys.modules or name in modules:
        return real(name, *more)
    modules[name] = 0
    inner.append(0)
    before = used()
    module = real(name, *more)
    size = used() - before
    modules[name] = size - inner.pop()
    inner[-1] += size
    return module


real = builtins.__import__
if hasattr(gc, "threshold"):
    gc.threshold(4096)
builtins.__import__ = counted
whole = -used()


def started():
    import main

    node, _ = main.once("parts").node()
    import wire

    wire.encode("birth", node.birth(1))
    return used()


with_node = started() + whole
# Another frame, or what stands on the stack still would keep the node alive.
(lambda *more: [more] * 20)(1, 2, 3, 4, 5, 6, 7, 8)
whole += used()
builtins.__import__ = real
modules["wiretable"] = 0  # here for the time of a message
builtin = [name for name in modules if not modules[name]]
modules["config loaded"] = "config" in sys.modules
for name in builtin:
    del modules[name]
kept = [name for name in modules if name in sys.modules]
out = {"modules": modules, "kept": kept, "whole": whole, "node": with_node - whole, "least": least}
"""

ALONE = """
import asyncio, binascii, collections, errno, gc, hashlib, io, os, struct, time

for name in ("select", "socket"):
    try:
        __import__(name)
    except ImportError:  # WebAssembly has none
        sys.modules[name] = object
for name in ("Event", "Lock", "gather", "wait_for_ms"):
    getattr(asyncio, name)
gc.collect()
before = gc.mem_alloc()
__import__(given)
gc.collect()
out = gc.mem_alloc() - before
"""


def readme():
    return (FIRMWARE / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A node's folder with the configuration that README.md shows."""
    config = re.search(r"```json\n(\{.*?\n\})\n```", readme(), re.DOTALL)[1]
    folder = tmp_path_factory.mktemp("node")
    (folder / "config.json").write_text(config)
    (folder / "a").symlink_to(board())  # where a board has it (update.py): a module's path is a name, too
    return folder


@pytest.fixture(scope="module")
def modules(micropython, folder):
    """{module: bytes} of that node, without the table of names."""
    return answer(micropython, LOADED, True, folder, "512k")["modules"]


def table(modules):
    """The rows of README.md's table that say the same, in bytes."""
    rows = [f"| `{name}` | {size} |" for name, size in sorted(modules.items()) if size]
    return "\n".join(rows)


@pytest.mark.parametrize(("heap", "least"), [(HEAP, 30), ("96k", 4)])
def test_everything_that_a_node_loads_fits_its_budget_and_leaves_room(micropython, folder, heap, least):
    found = answer(micropython, LOADED, False, folder, heap)
    # Where this jumps by 7 KB, the table of names has passed 620 and doubled: some names must go.
    assert found["whole"] < 60 * KB, found
    # The lowest mark: while the configuration is read, or when the birth has been made.
    assert found["least"] > least * KB, found


@pytest.mark.parametrize("side", SIDES[1:])
@pytest.mark.parametrize(("module", "most"), [("mqtt", 15_000), ("wire", 6_000)])
def test_what_has_a_budget_of_its_own_keeps_it_with_words_of_64_bits_and_of_32(side, module, most):
    assert 1000 < answer(interpreter(side), ALONE, module) < most


def test_the_reader_of_the_configuration_is_gone_when_the_node_runs(modules):
    assert modules["config"] > 5000
    assert not modules["config loaded"]


def test_the_table_of_memory_in_the_readme_is_what_the_modules_take(modules):
    told = {name: int(size) for name, size in re.findall(r"^\| `([a-z0-9_.]+)` \| (\d+) \|$", readme(), re.MULTILINE)}
    taken = {name: size for name, size in modules.items() if size}
    assert set(told) == set(taken), table(modules)
    # A block of the heap has 32 bytes, and what else is loaded decides which names are new: under 1 KB that is more.
    off = {name: size for name, size in taken.items() if abs(told[name] - size) > max(0.15 * size, 300)}
    assert not off, table(modules)


def test_the_memory_that_hardware_reckons_with_is_what_is_measured(micropython, folder, modules):
    text = (FIRMWARE.parent / "hardware" / "README.md").read_text(encoding="utf-8")
    told = [int(number) for number in re.findall(r"^\|[^|]*\| (\d+) \| measured", text, re.MULTILINE)]
    found = answer(micropython, LOADED, False, folder, HEAP)
    narrow = answer(interpreter("wasm"), LOADED, True, folder)
    narrow = sum(narrow["modules"][name] for name in narrow["kept"])
    measured = [found["whole"], narrow, found["node"], modules["config"]]
    assert told == pytest.approx([size / 1000 for size in measured], rel=0.15, abs=1), measured
