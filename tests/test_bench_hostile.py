"""What the bench does with a board that says what none of ours would: a clear line, and nothing that steers a terminal.

The status is 2 (or 3, of the commands that judge), never 1, which is our own fault.
"""

import contextlib
import itertools
import os
import resource

import pytest
from click.testing import CliRunner

from conftest import ROOT
from dronewall.bench.esptool_program import write
from dronewall.bench.image import read
from dronewall.bench.keyring import Keyring, KeyringError
from dronewall.bench.ports import said
from dronewall.bench.repl import BoardError, Repl
from dronewall.cli import main
from hostile_board import ESP32, HostileBoard, answers
from images import image

SITE = str(ROOT / "examples" / "jacksboro.toml")
NODE = {"problems": [], "wall": "jacksboro", "node": "P3"}
STEERS = "\x1b]0;mine\x07\x1b[2J\u009b"
OTHER = (b"[]", b"5", b"{}", b"", b"[" * 100_000, b"\xff\xfe{", STEERS.encode())
ALIGN = ("align", SITE, "P3/cam", "--landmark", "36,-85", "--dry-run")
PROVISION = ("provision", SITE, "P3", "--yes", "--secrets", "SECRETS")


@pytest.fixture
def node(tmp_path):
    """What a command of `dronewall node` says of a board that says that: (exit status, output)."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "wall.toml").write_text('[broker]\nhost = "127.0.0.1"\n[config]\ndeclination_cdeg = -520\n')

    def ran(says, *words, **how):
        with HostileBoard(says, **how) as board:
            told = [str(secrets) if word == "SECRETS" else word for word in words]
            done = CliRunner().invoke(main, ["node", *told, "--port", board.port])
        assert done.exception is None or isinstance(done.exception, SystemExit)
        assert not {letter for letter in done.output if not letter.isprintable()} - {"\n"}
        assert "Traceback" not in done.output
        return done.exit_code, done.output

    return ran


@pytest.mark.parametrize(
    ("words", "known", "name"),
    [
        (("flash",), {}, "state"),
        (PROVISION, {}, "asked"),
        (PROVISION, {}, "pins"),
        (("check",), {}, "digests"),
        (("check",), {"digests": {}}, "settings"),
        (("check",), {"digests": {}, "settings": NODE}, "listen"),
        (("calibrate",), {}, "config"),
        (ALIGN, {}, "config"),
    ],
)
def test_an_answer_of_another_kind_is_told_in_one_line(node, words, known, name):
    for other in OTHER:
        status, output = node(answers(**known, **{name: b"@" + other if name == "listen" else other}), *words)
        if name in ("digests", "pins") and other in (b"{}", b"[]"):
            continue  # that is one: no file, no pin
        assert status in (2, 3), (other[:20], output)


def test_each_thing_that_a_board_says_of_itself_may_be_anything():
    asked = {}
    with HostileBoard(lambda source: answers(asked=asked)(source)) as board, Repl(board.port) as repl:
        for key in ESP32:
            for other in (None, 5, -(10**30), [], {}, [1], ["x", "y", "z"], STEERS, "9" * 5000):
                asked.clear()
                asked.update({**ESP32, key: other})
                try:
                    found = said(repl)
                except BoardError:
                    continue
                for name in (found.chip, found.mac, found.wall, found.node):
                    assert name is None or name.isprintable()
                assert found.chip in ("esp32", "esp32s3", "esp32c3")


def test_a_chip_for_which_there_is_no_image_is_no_board():
    asked = {}
    with HostileBoard(lambda source: answers(asked=asked)(source)) as board, Repl(board.port) as repl:
        for machine in ("Generic ESP32S2 module with ESP32S2", "ESP32-C6 with ESP32C6", "Generic ESP32 module"):
            asked.update({**ESP32, "machine": machine})
            with pytest.raises(BoardError, match="expected an ESP32, S3 or C3"):
                said(repl)


def test_a_board_that_talks_without_an_end_is_left(node):
    for words in (("check",), ("calibrate",)):
        status, output = node(lambda _: itertools.repeat(b"x" * 4000), *words)
        assert status in (2, 3)
        assert "does not stop talking" in output


@pytest.mark.needs("micropython")
def test_a_program_that_floods_the_line_is_interrupted(fake):
    with Repl(fake.port) as repl:
        repl.run("open('main.py', 'w').write('while 1: print(\"x\" * 200)')")
    for _ in range(2):
        with Repl(fake.port) as repl:
            assert repl.run("print(1)") == "1\n"


def test_a_slow_board_is_waited_for(node):
    status, output = node(answers(), "list", gap_s=0.001)
    assert status == 0
    assert "24:0a:c4:00:00:01" in output


def test_places_and_compasses_of_a_config_that_is_none_of_ours_are_refused(node):
    config = {"wall": "jacksboro", "node": "P3", "sensors": [{"name": "cam"}], "position": {"source": "survey"}}
    for changed in ({}, {"position": 5}, {"sensors": [5]}, {"sensors": 5}, {"node": STEERS}):
        assert node(answers(config={**config, **changed}), *ALIGN)[0] == 2
    for compass in (5, {"driver": [1]}, {"driver": "bno055"}, {"hard_iron": STEERS}):
        assert node(answers(config={"node": "P3", "compass": compass}), "calibrate")[0] == 2


def test_what_lies_in_the_folder_of_secrets_may_be_anything(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    wall = folder / "wall.toml"
    least = '[broker]\nhost = "127.0.0.1"\n[config]\ndeclination_cdeg = -520\n'

    def refused(*words):
        told = ["node", "provision", SITE, "P3", "--port", "/dev/none", "--secrets", str(folder)]
        done = CliRunner().invoke(main, told)
        assert (done.exit_code, "Traceback" in done.output) == (2, False), done.output
        assert all(word in done.output for word in words), done.output

    for more, words in (
        ("noon = 2026-01-01", ("JSON",)),
        ("field = nan", ("JSON",)),
        ("position = 5", ("tables",)),
        ("compass = 5", ("tables",)),
        ("sensors = 5", ("is no sensor",)),
        ('[[wifi]]\nssid = "w"\npassword_file = "../p"', ("expected a file of its folder",)),
        ("x = " + "[" * 5000, ("wall.toml",)),
    ):
        wall.write_text(least + more)
        refused(*words)
    wall.write_text(least)
    for name in ("P3.key", "P3.password", "ca.pem"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name, 0o600)
        refused(name, "not a regular file")
        (folder / name).unlink()
        (folder / name).mkdir(mode=0o700)
        refused(name, "a folder")
        (folder / name).rmdir()
    refused("/dev/none", "no such port")
    assert (folder / "P3.key").stat().st_mode & 0o777 == 0o600


def test_a_book_and_a_password_file_that_are_none_say_what_to_do(tmp_path):
    (tmp_path / "wall.toml").write_text('[broker]\nhost = "127.0.0.1"\n')
    tmp_path.chmod(0o700)
    keyring = Keyring(tmp_path)
    for book in (b"[]", b"{", b"[" * 100_000, b'{"boards": {"m": {"wall": 5, "node": "n", "at": "t"}}}', b"\xff"):
        (tmp_path / "boards.json").write_bytes(book)
        with pytest.raises(KeyringError, match="move it away"):
            keyring.boards()
    for lines in (b"\xff\xfe", b"P3:$7$99999999999999$AAAA$AAAA\n"):
        (tmp_path / "mosquitto.passwords").write_bytes(lines)
        with pytest.raises(KeyringError, match="move it away") if lines[0] == 0xFF else contextlib.nullcontext():
            keyring.told_to_mosquitto("P3")
    assert (tmp_path / "mosquitto.passwords").read_text().startswith("P3:$7$101$")


@contextlib.contextmanager
def _no_room():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_here_is_no_fault_of_the_boards(tmp_path):
    (tmp_path / "i.bin").write_bytes(image())
    found = read(tmp_path / "i.bin")
    with _no_room(), pytest.raises(BoardError, match="make room there, or name another folder in TMPDIR"):
        write("/dev/none", found, False, lambda what, share: None)


def test_a_full_disk_leaves_each_file_of_the_folder_as_it_was(tmp_path):
    (tmp_path / "wall.toml").write_text('[broker]\nhost = "127.0.0.1"\n')
    tmp_path.chmod(0o700)
    keyring = Keyring(tmp_path)
    keyring.noted("24:0a:c4:00:00:01", "w", "P1", "2026-01-01")
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    with _no_room():
        for work in (
            lambda: keyring.key("P1"),
            lambda: keyring.login("P1"),
            lambda: keyring.noted("24:0a:c4:00:00:02", "w", "P2", "2026-01-01"),
        ):
            with pytest.raises(KeyringError, match="cannot be written"):
                work()
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before
    assert len(keyring.key("P1")) == 32
