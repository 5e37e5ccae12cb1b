"""Which folder of firmware a board starts: the bench says the same as the loader that lies on it."""

import itertools
import json
from zlib import crc32

import pytest

from dronewall.bench.onboard import slots, started, unsealed
from firmware_side import FIRMWARE, answer, interpreter


def sealed(data: bytes) -> bytes:
    return data + b"%08x\n" % crc32(data)  # firmware/store.py


STATES = [None, b"a 5 - ", b"b 6 - ", b"a 5 2 ", b"b 6 0 ", b"a 5 0 "]


@pytest.mark.needs("micropython")
def test_the_folder_that_the_bench_names_is_the_one_that_the_loader_starts(tmp_path):
    cases = []
    for number, (state, a, b, torn) in enumerate(itertools.product(STATES, (None, 5), (None, 6), (False, True))):
        folder = tmp_path / str(number)
        files = {f"{name}/whole": sealed(b"%d " % version) for name, version in (("a", a), ("b", b)) if version}
        if state:
            files["slots"] = sealed(state)[: -1 if torn else None]
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        folder.mkdir(exist_ok=True)
        cases.append((str(folder), files))
    source = f"""
import os, sys
sys.path[:0] = [{str(FIRMWARE)!r}]
sys.modules["machine"] = None
import loader
out = []
for folder in given:
    os.chdir(folder)
    found = loader.chosen()
    out.append(found and found[0])
"""
    said = answer(interpreter("micropython"), source, [folder for folder, _ in cases], tmp_path)
    assert said == [started([], files)[0] for _, files in cases], json.dumps(said)
    assert {"a", "b", None} == set(said)


def test_what_is_torn_says_nothing():
    assert unsealed(sealed(b"a 5 - ")) == ["a", "5", "-"]
    assert unsealed(sealed(b"a 5 - ")[1:]) == []
    assert slots({"slots": sealed(b"a x - "), "a/whole": sealed(b"x ")}) == (None, {})
    assert slots({"slots": b"", "slots.new": sealed(b"b 7 2 ")}) == (("b", 7, "2"), {})


def test_firmware_in_the_root_is_found_there():
    assert started(["main.py", "node.mpy", "config.mpy"], {}) == ("", 0)
    assert started(["main.py"], {}) == (None, None)
