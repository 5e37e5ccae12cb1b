"""firmware/manifest.py, run with the names that MicroPython gives it: a frozen image has every module of a node."""

import os
from pathlib import Path

from firmware_side import FIRMWARE, board


def frozen():
    """{path on the node: (file, optimisation)} of the manifest, and what it includes."""
    found, included = {}, []

    def module(path, base_path=".", opt=None):
        found[path] = Path(base_path, path).resolve(), opt

    def package(path, files=None, base_path=".", opt=None):
        for file in files or sorted(Path(base_path, path).rglob("*.py")):
            module(Path(file).relative_to(base_path).as_posix(), base_path, opt)

    was = os.getcwd()
    os.chdir(FIRMWARE)  # as MicroPython's tools/manifestfile.py does
    try:
        code = compile((FIRMWARE / "manifest.py").read_text(encoding="utf-8"), "manifest.py", "exec")
        exec(code, {"include": included.append, "module": module, "package": package})
    finally:
        os.chdir(was)
    return found, included


def test_a_frozen_image_has_every_module_of_a_node_and_nothing_of_the_simulation():
    found, included = frozen()
    assert included == ["$(PORT_DIR)/boards/manifest.py"]
    compiled = {path.relative_to(board()) for path in board().rglob("*.mpy")}
    modules = {path.with_suffix(".py").as_posix() for path in compiled if path.parts[0] != "unix"}
    # wire.py's table stays in wire.py.
    assert set(found) == modules - {"wiretable.py"}
    assert all(file.is_file() for file, _ in found.values())


def test_a_frozen_image_leaves_the_hosts_half_out():
    assert {opt for _, opt in frozen()[0].values()} == {2}
