"""firmware/store.py and flash.py: files that are whole, whatever happened while they were written, and what they count.
tests/test_power_cuts.py cuts the power."""

import zlib

import pytest

from firmware_side import answer, interpreter


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


SEALED = "import store\nout = [data and data.decode() for data in [store.read('file', True)]]"


def seal(data):
    return data + b"%08x\n" % zlib.crc32(data)


def test_what_is_written_is_read(side, tmp_path):
    source = """
import os, store
store.write("config.json", bytes(range(256)) * 16)
store.write("config.json", b"{}")
store.write("boot", b"7 3 0 ", True)
out = [store.read("config.json").decode(), store.read("boot", True).decode(), sorted(os.listdir()), store.read("none")]
"""
    assert answer(side, source, cwd=tmp_path) == ["{}", "7 3 0 ", ["boot", "config.json"], None]
    assert (tmp_path / "boot").read_bytes() == seal(b"7 3 0 ")


@pytest.mark.parametrize(
    ("content", "successor", "expected"),
    [
        (seal(b"old"), None, "old"),
        (seal(b"old"), seal(b"new"), "old"),  # whole, but not renamed
        (None, seal(b"new"), "new"),  # a file system that removes before it renames
        (seal(b"old")[:-1], seal(b"new"), "new"),
        (seal(b"old")[:-1], seal(b"new")[:-1], None),
        (b"old", None, None),
        (b"", None, None),
        (None, None, None),
    ],
)
def test_a_torn_file_gives_way_to_its_successor(side, tmp_path, content, successor, expected):
    for name, data in (("file", content), ("file.new", successor)):
        if data is not None:
            (tmp_path / name).write_bytes(data)
    assert answer(side, SEALED, cwd=tmp_path) == [expected]


def test_every_torn_start_of_a_sealed_file_and_every_wrong_byte_is_noticed(side, tmp_path):
    source = """
import store
store.write("file", b"7 3 0 ", True)
with open("file", "rb") as file:
    whole = file.read()
out = []
for n in range(len(whole)):
    for data in (whole[:n], whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1:]):
        with open("file", "wb") as file:
            file.write(data)
        if store.read("file", True) is not None:
            out.append(n)
"""
    assert answer(side, source, cwd=tmp_path) == []


def test_a_flash_that_refuses_keeps_what_it_had_and_says_so(side, tmp_path):
    source = """
import os, store
store.write("file", b"old")
os.mkdir("file.new")
try:
    store.write("file", b"new")
    out = "no error"
except OSError:
    out = store.read("file").decode()
"""
    assert answer(side, source, cwd=tmp_path) == "old"


SEAL = seal(b"7 3 0 ").decode()
COUNT = "import flash\nflash.log = lambda *_: None\nout = flash.counted(*given)[:2]"


def test_boots_and_resets_are_counted_across_starts(side, tmp_path):
    assert answer(side, COUNT, [1, 0], tmp_path) == [1, 0]
    assert answer(side, COUNT, [0, 1], tmp_path) == [1, 1]
    assert answer(side, COUNT, [1, 0], tmp_path) == [2, 1]


@pytest.mark.parametrize(
    ("boot", "new", "expected"),
    [
        (SEAL, None, [8, 3]),
        (SEAL, "", [8, 3]),  # cut before the new one was written
        (SEAL, "8 3", [8, 3]),  # cut in the middle of it
        (None, seal(b"8 3 0 ").decode(), [9, 3]),  # cut within the rename
        ("garbage", None, [1, 0]),
        (None, None, [1, 0]),
        (seal(b"1048574 0 0 ").decode(), None, [0, 0]),  # the wire's bound
        ("7 3 0 ", SEAL, [8, 3]),
        ("9" * 2000, None, [1, 0]),
    ],
)
def test_a_cut_leaves_the_old_counters_or_the_new(side, tmp_path, boot, new, expected):
    for name, text in (("boot", boot), ("boot.new", new)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert answer(side, COUNT, [1, 0], tmp_path) == expected


SAID = """
said = []
import flash
flash.log = lambda source, text: said.append(text)
out = [flash.counted(*given)[:2], said]
"""


@pytest.mark.parametrize("boot", ["7 3\n", "garbage", "", SEAL[:-1]])
def test_a_counter_that_is_none_is_told(side, tmp_path, boot):
    (tmp_path / "boot").write_text(boot)
    assert answer(side, SAID, [1, 0], tmp_path) == [[1, 0], ["boot has no counters in it"]]
    assert answer(side, SAID, [1, 0], tmp_path) == [[2, 0], []]


def test_a_flash_that_cannot_be_written_is_told_and_the_node_runs_with_the_next_number(side, tmp_path):
    (tmp_path / "boot").write_text(SEAL)
    (tmp_path / "boot.new").mkdir()  # as root nothing else refuses
    counters, said = answer(side, SAID, [1, 0], tmp_path)
    assert counters == [8, 3]
    assert len(said) == 1
    assert said[0].startswith("cannot be written")
    assert said[0].endswith("boot 8 stands in RAM alone")
