"""`dronewall node flash`: MicroPython by the real esptool, files by the raw REPL, onto boards whose cable is pulled at
many points; each time the second try works, and what ran before still starts.
"""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import serial

from conftest import ROOT
from dronewall.bench import image as images_of
from dronewall.bench.files import Copied, Files, copied
from dronewall.bench.flashing import flashed
from dronewall.bench.repl import BoardError, Repl, back
from fake_board import ERASES, FakeBoard
from images import image
from test_bench_repl import talker
from test_fake_board import mpremote, until

pytestmark = pytest.mark.needs("micropython", "esptool", "mpy-cross")
LOADER = (ROOT / "firmware" / "loader.py").read_bytes()


FILL = """
import os
os.mkdir("/full")
for i in range(10000):
    try:
        with open("/full/%d" % i, "wb") as file:
            file.write(bytes(20000))
    except OSError:
        break
"""


def firmware(number: int, size: int = 3000, count: int = 3) -> Files:
    """Firmware that says its number when the loader starts it, with files that differ and files that stay."""
    noise = random.Random(number).randbytes
    modules = {"main.py": b"def run():\n    print('runs %d')\n" % number, "sensors/same.mpy": bytes(range(256)) * 9}
    return Files(modules | {f"m{i}.mpy": noise(size) for i in range(count)}, LOADER)


def quiet(what: str, share: float) -> None:
    pass


def copy(port: str, files: Files) -> Copied:
    back(port)
    with Repl(port) as repl:
        return copied(repl, files, quiet)


def runs(board: FakeBoard) -> int:
    """The number of the firmware that the board starts."""
    board.unplug()
    board.log = b""
    board.plug()
    until(lambda: b"runs " in board.log and board.log.partition(b"runs ")[2][1:2])
    return int(board.log.partition(b"runs ")[2][:1])


@pytest.fixture
def micropython_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> images_of.Image:
    monkeypatch.setenv("DRONEWALL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "micropython.bin").write_bytes(image())
    return images_of.read(tmp_path / "micropython.bin")


# --- files


@pytest.mark.needs("mpremote")
def test_what_is_copied_is_there_and_what_is_there_is_not_copied_again(port):
    new = firmware(round(time.time()))  # a real board has what the last run left
    first = copy(port, new)
    assert first.count == 6
    assert first.files >= 4
    name = f"/{first.folder}/m0.mpy"
    ran = mpremote(port, *f"fs sha256sum :{name} + fs cat :/{first.folder}/main.py".split())
    assert hashlib.sha256(new.modules["m0.mpy"]).hexdigest() in ran.stdout
    assert "runs " in ran.stdout
    second = copy(port, new)
    assert (second.files, second.bytes, second.folder, second.version) == (0, 0, first.folder, first.version)
    one = Files(new.modules | {"m1.mpy": new.modules["m1.mpy"][:5]}, LOADER)
    third = copy(port, one)
    assert (third.files, third.bytes, third.version) == (1, 5, first.version + 1)
    assert third.folder != first.folder  # what ran is left as it was
    assert copy(port, one).files == 0


def test_the_loader_starts_what_was_copied_and_a_nodes_own_files_stay(fake):
    own = {"config.json": '{"wall": "w", "node": "P1"}', "update.key": "k" * 32, "boot": "1 2 0 "}
    with Repl(fake.port) as repl:
        repl.run("".join(f"open({name!r}, 'w').write({text!r})\n" for name, text in own.items()))
    for number in (1, 2, 3):
        assert copy(fake.port, firmware(number)).version == number
        assert runs(fake) == number
    with Repl(fake.port) as repl:
        for name, text in own.items():
            assert repl.answer(f"import json; print(json.dumps(open({name!r}).read()))") == text
    assert copy(fake.port, firmware(2)).files == 0  # the other folder still has it
    assert runs(fake) == 2


def test_a_file_that_the_firmware_no_longer_has_goes(fake):
    copy(fake.port, firmware(1, count=4))
    copy(fake.port, firmware(2, count=4))
    done = copy(fake.port, firmware(3, count=2))
    with Repl(fake.port) as repl:
        found = repl.answer(f"import json, os; print(json.dumps(sorted(os.listdir('/{done.folder}'))))")
    assert found == ["m0.mpy", "m1.mpy", "main.py", "sensors", "whole"]


def test_firmware_on_trial_is_replaced_and_what_had_proven_itself_stays(fake):
    for number in (1, 2):
        copy(fake.port, firmware(number))
    # As an update over the air leaves it (firmware/update.py): folder, version, tries.
    with Repl(fake.port) as repl:
        repl.run(
            "from binascii import crc32\nold = open('/slots', 'rb').read().split()\n"
            "data = old[0] + b' ' + old[1] + b' 3 '\nopen('/slots', 'wb').write(data + b'%08x\\n' % crc32(data))"
        )
    fake.unplug_after(14_000)
    with pytest.raises(BoardError, match="unplugged"):
        copy(fake.port, firmware(3))
    fake.plug()
    assert runs(fake) == 1
    copy(fake.port, firmware(3))
    assert runs(fake) == 3


def cut_at(board: FakeBoard, share: float, whole: int, old: int) -> None:
    """Pulls the cable at that share of a copy of `whole` bytes; the old firmware or the new starts, then the new."""
    board.unplug_after(max(1, round(share * whole)))
    with contextlib.suppress(BoardError):
        copy(board.port, firmware(old + 1))
    with contextlib.suppress(AssertionError):
        board.unplug()
        board.plug()
    if old:
        assert runs(board) in (old, old + 1)
    done = copy(board.port, firmware(old + 1))
    assert runs(board) == old + 1
    assert done.folder in "ab"


def whole_copy(board: FakeBoard, number: int) -> int:
    before = board.taken
    copy(board.port, firmware(number))
    return board.taken - before


@pytest.mark.parametrize("share", [0.4, 0.985])
def test_a_cable_that_is_pulled_while_files_are_copied_leaves_something_that_starts(tmp_path, share):
    with FakeBoard(tmp_path / "b") as board:
        first = whole_copy(board, 1)
        cut_at(board, share, first - 1500, old=1)


def test_a_first_flash_that_is_cut_is_finished_by_the_second(fake):
    cut_at(fake, 0.5, 20_000, old=0)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_cable_that_is_pulled_at_any_of_sixty_points_leaves_something_that_starts(tmp_path):
    with FakeBoard(tmp_path / "b") as board:
        first = whole_copy(board, 1)
        for i in range(60):
            cut_at(board, (i + 0.5) / 60, first, old=i % 7 + 1)
            if i % 7 == 6:
                copy(board.port, firmware(1))


def test_a_board_without_room_is_told_and_left_as_it_was(tmp_path):
    with FakeBoard(tmp_path / "b", blocks=40) as board:  # 160 KB: not both
        copy(board.port, firmware(1, size=20_000))
        before = board.taken
        with pytest.raises(
            BoardError,
            match=r"no space: the firmware needs \d+ KB, .* erase it all with `dronewall node flash --erase`",
        ):
            copy(board.port, firmware(2, size=60_000))
        assert board.taken - before < 6000  # nothing was sent
        assert runs(board) == 1
        # What fits only in the place of the old one is written there.
        assert copy(board.port, firmware(3, size=22_000)).folder == "a"
        assert runs(board) == 3


def test_a_file_system_that_fills_up_meanwhile_is_told(fake):
    with Repl(fake.port) as repl:
        repl.run(FILL)
        with pytest.raises(BoardError, match=r"no space"):
            copied(repl, firmware(1), quiet)
        repl.run("for name in os.listdir('/full'): os.remove('/full/' + name)")
    assert copy(fake.port, firmware(1)).files >= 5  # the loader, one block, may be there


def test_a_wrong_byte_on_the_line_is_found_and_the_second_try_works(fake):
    def spoil(data: bytes, towards: str) -> bytes:
        at = data.find(b"put('") if towards == "board" else -1
        return data if at < 0 or len(data) < at + 60 else data[: at + 50] + b"QQ" + data[at + 52 :]

    fake.spoil = spoil
    with pytest.raises(BoardError, match=r"another SHA-256 on the board than here; give the same command again"):
        copy(fake.port, firmware(1))
    fake.spoil = lambda data, towards: data
    copy(fake.port, firmware(1))
    assert runs(fake) == 1


# --- MicroPython itself


def test_an_empty_board_gets_micropython_and_the_files(fake, micropython_image):
    fake.unplug()
    fake.installed = False
    fake.plug()
    steps: list[str] = []
    board, done = flashed(fake.port, firmware(1), micropython_image, False, lambda what, share: steps.append(what))
    assert (board.chip, board.mac, board.micropython, done.files) == ("esp32", "24:0a:c4:00:00:01", "1.29.0", 6)
    assert list(dict.fromkeys(steps)) == ["look", "write", "verify", "copy"]
    assert runs(fake) == 1


def test_another_micropython_is_replaced_from_what_was_kept_and_the_nodes_files_stay(tmp_path, micropython_image):
    with FakeBoard(tmp_path / "b", release="1.27.0") as board:
        with Repl(board.port) as repl:
            repl.run("open('config.json', 'w').write('{}')")
        with pytest.raises(
            BoardError, match=r"it has MicroPython 1\.27\.0; no image of MicroPython 1\.29\.0 .* get ESP"
        ):
            flashed(board.port, firmware(1), None, False, quiet)
        images_of.keep(micropython_image)
        found, _ = flashed(board.port, firmware(1), None, False, quiet)
        assert found.micropython == "1.29.0"
        with Repl(board.port) as repl:
            assert "config.json" in repl.answer("import json, os; print(json.dumps(os.listdir()))")
        flashed(board.port, firmware(1), None, True, quiet)  # --erase
        with Repl(board.port) as repl:
            assert "config.json" not in repl.answer("import json, os; print(json.dumps(os.listdir()))")


def test_a_wrong_image_is_refused_before_anything_is_erased(tmp_path):
    (tmp_path / "s3.bin").write_bytes(image("esp32s3"))
    (tmp_path / "large.bin").write_bytes(image())
    with FakeBoard(tmp_path / "b", flash_bytes=2 << 20) as board:
        before = board.taken
        with pytest.raises(BoardError, match="an image for esp32s3, the board is an esp32"):
            flashed(board.port, firmware(1), images_of.read(tmp_path / "s3.bin"), True, quiet)
        with pytest.raises(BoardError, match="needs 4096 KB of flash, the board has 2048 KB"):
            flashed(board.port, firmware(1), images_of.read(tmp_path / "large.bin"), True, quiet)
        assert board.taken - before < 6000
        assert copy(board.port, firmware(1)).files == 6


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("erasing", ERASES),
        pytest.param("writing", b"\xc0\x00\x11", marks=pytest.mark.soak),
        ("verifying", b"\xc0\x00\x13"),
        ("copying", b"put('"),
    ],
)
def test_a_cable_that_is_pulled_at_a_step_is_told_and_the_second_try_works(fake, micropython_image, where, words):
    fake.unplug_at(words)
    with pytest.raises(BoardError, match=r"unplugged.*give the same command again"):
        flashed(fake.port, firmware(1), micropython_image, True, quiet)
    fake.plug()
    flashed(fake.port, firmware(1), None, False, quiet)
    assert runs(fake) == 1


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_cable_that_is_pulled_anywhere_in_a_whole_flash_is_told_and_the_second_try_works(tmp_path, micropython_image):
    with FakeBoard(tmp_path / "b") as board:
        flashed(board.port, firmware(1), micropython_image, True, quiet)
        whole = board.taken
        for i in range(30):
            board.unplug_after(round((i + 0.5) / 30 * whole))
            with pytest.raises(BoardError, match=r"; "):
                flashed(board.port, firmware(1), micropython_image, True, quiet)
            board.plug()
            flashed(board.port, firmware(1), None, False, quiet)
            assert runs(board) == 1


def test_a_flash_that_has_not_what_was_sent_is_told_and_the_second_try_works(fake, micropython_image):
    # A byte that changes on the wire is found by the packet's checksum; a flash cell that does not hold, by the MD5.
    def spoil(data: bytes, towards: str) -> bytes:
        at = data.find(b"\x01\x13") if towards == "host" else -1
        return data if at < 0 else data[: at + 9] + bytes([data[at + 9] ^ 1]) + data[at + 10 :]

    fake.spoil = spoil
    with pytest.raises(BoardError, match=r"not what was sent \(.*give the same command again"):
        flashed(fake.port, firmware(1), micropython_image, False, quiet)
    fake.spoil = lambda data, towards: data
    flashed(fake.port, firmware(1), micropython_image, False, quiet)
    assert runs(fake) == 1


def test_a_board_that_is_held_in_its_bootloader_is_written_and_then_told(fake, micropython_image):
    fake.unplug()
    fake.held = True
    fake.plug()
    with pytest.raises(BoardError, match="held in its bootloader; press its reset button"):
        flashed(fake.port, firmware(1), micropython_image, False, quiet)
    fake.unplug()
    fake.held = False
    fake.plug()
    flashed(fake.port, firmware(1), None, False, quiet)
    assert runs(fake) == 1


def test_what_is_no_esp32_is_told_with_what_it_says():
    said = r"no ESP32 answers in its bootloader: .*hold BOOT.*GNGGA"
    with talker(b"$GNGGA,120000.00,,,,,0*55\r\n") as port, pytest.raises(BoardError, match=said):
        flashed(port, firmware(1), None, False, quiet)


# --- the command


def dronewall(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dronewall", "node", *map(str, words)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"COLUMNS": "160"} | environment,
    )  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def test_ctrl_c_ends_it_at_once_and_the_second_try_goes_on(fake):
    sends = threading.Event()

    def slow(data: bytes, towards: str) -> bytes:
        if b"put('" in data:
            sends.set()
        if sends.is_set():
            time.sleep(0.02)  # a serial line's pace
        return data

    fake.spoil = slow
    command = [sys.executable, "-m", "dronewall", "node", "flash", "--port", fake.port]
    begun = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert sends.wait(30)
    os.killpg(begun.pid, signal.SIGINT)
    _, said = begun.communicate(timeout=30)
    assert begun.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "broken off; the same command goes on from there" in said
    fake.spoil = lambda data, towards: data
    again = dronewall("flash", "--port", fake.port, "-q")
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flash"], "expected --port PORT, or --all"),
        (["flash", "--all", "--port", "x"], "expected --port PORT, or --all"),
        (["flash", "--port", "x", "--erase"], "Nobody is there to ask; give --yes"),
        (["flash", "--port", "x", "--image", "none.bin"], "none.bin: no such file"),
    ],
)
def test_what_cannot_be_begun_is_told(words, said):
    ran = dronewall(*words)
    assert ran.returncode == 2
    assert said in " ".join(ran.stderr.split())


def test_a_port_that_is_missing_or_busy_is_status_3_and_says_what_to_do(fake):
    with serial.Serial(fake.port, exclusive=True):
        ran = dronewall("flash", "--port", "/dev/none", "--port", fake.port, "-q")
    assert ran.returncode == 3
    assert "/dev/none: no such port; `dronewall node list`" in ran.stderr
    assert f"{fake.port}: busy: another program has it open" in ran.stderr
