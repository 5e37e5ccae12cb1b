"""dronewall.bench.repl: a session with MicroPython's raw REPL, on a fake board or on the one at DRONEWALL_PORT."""

import contextlib
import os
import pty
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from zlib import crc32

import pytest
import serial

from dronewall.bench.repl import BoardError, ProgramError, Repl, back, opened

pytestmark = pytest.mark.needs("micropython", "esptool")


@contextlib.contextmanager
def talker(says: bytes) -> Iterator[str]:
    """A port on which something that is no board says the same again and again."""
    end, slave = pty.openpty()
    tty.setraw(slave)
    over = threading.Event()

    def talk() -> None:
        os.set_blocking(end, False)
        while not over.wait(0.02):
            with contextlib.suppress(OSError):
                os.write(end, says)
                os.read(end, 4096)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        over.set()
        thread.join()
        os.close(end)
        os.close(slave)


def test_a_program_answers_and_says_its_lines_as_they_come(port):
    heard = []
    with Repl(port) as repl:
        assert repl.run("print('ü' * 3)\nprint(2)") == "üüü\n2\n"
        assert repl.answer("import json; print(1); print(json.dumps({'a': [1, None]}))") == {"a": [1, None]}
        repl.run("for i in range(3): print(i)", heard=heard.append)
        assert repl.run("x = " + repr("y" * 9000) + "\nprint(len(x))") == "9000\n"
    assert heard == ["0", "1", "2"]


def test_what_a_program_raises_is_told_and_the_session_goes_on(port):
    with Repl(port) as repl:
        with pytest.raises(ProgramError, match="ZeroDivisionError") as raised:
            repl.run("1/0")
        assert "Traceback" in raised.value.said
        with pytest.raises(ProgramError, match="SyntaxError"):
            repl.run("def")
        with pytest.raises(BoardError, match="expected JSON"):
            repl.answer("print('no')")
        assert repl.run("print(1)") == "1\n"


def test_a_busy_main_is_interrupted_and_runs_again_afterwards(fake):
    with Repl(fake.port) as repl:
        repl.run("open('main.py', 'w').write('import time\\nprint(\"busy\")\\nwhile 1: time.sleep_ms(9)')")
    for _ in range(2):
        _until(lambda: b"busy" in fake.log)
        fake.log = b""
        with Repl(fake.port) as repl:
            assert repl.run("print('time' in dir())") == "False\n"  # nothing is left of what ran


def _until(found) -> None:
    end = time.monotonic() + 30
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_session_does_not_count_as_a_bad_start(fake):
    # firmware/flash.py: boots, resets, bad starts, and a CRC-32 in hexadecimal.
    data = b"41 2 2 "
    sealed = data + b"%08x\n" % crc32(data)
    with Repl(fake.port) as repl:
        repl.run(f"open('boot', 'wb').write({sealed!r})")
    with Repl(fake.port) as repl:
        found = repl.answer("import json; print(json.dumps(open('boot').read()))").encode()
    assert found == b"41 2 0 %08x\n" % crc32(b"41 2 0 ")


@pytest.mark.parametrize("after", [1, 9, 60, 300])
def test_a_board_that_is_unplugged_is_told_and_the_second_try_works(fake, after):
    fake.unplug_after(after)
    with pytest.raises(BoardError, match="unplugged; plug it in"), Repl(fake.port) as repl:
        repl.run("import time\nwhile True: print(1); time.sleep_ms(5)", heard=lambda line: fake.unplug())
    fake.plug()
    with Repl(fake.port) as repl:
        assert repl.run("print(1)") == "1\n"


def test_a_board_that_falls_silent_is_given_up(fake):
    with Repl(fake.port) as repl, pytest.raises(BoardError, match="fell silent in a program after 'one'"):
        repl.run("print('one')\nimport time\ntime.sleep(2)", limit_s=0.5)


def test_noise_before_the_prompt_is_passed_over(fake):
    fake.say(b"\x00\xff\xfe>>> garbage \x04>raw REPL; CTRL-B to")
    with Repl(fake.port) as repl:
        assert repl.run("print(3)") == "3\n"


def test_garbage_in_what_the_board_says_is_an_error_and_the_second_try_works(fake):
    with Repl(fake.port, tries=1) as repl:
        fake.spoil = lambda data, towards: bytes(byte ^ 0x55 for byte in data) if towards == "host" else data
        with pytest.raises(BoardError, match="fell silent"):
            repl.run("print(1)")
    fake.spoil = lambda data, towards: data
    with Repl(fake.port) as repl:
        assert repl.run("print(1)") == "1\n"


def test_what_talks_and_is_no_micropython_is_quoted():
    with talker(b"$GNGGA,120000.00,,,,,0*55\r\n") as port, pytest.raises(BoardError, match=r"it says .*GNGGA"):
        Repl(port, tries=1).__enter__()


def test_an_empty_flash_and_a_held_button_are_told_apart(fake):
    fake.unplug()
    fake.installed = False
    fake.plug()
    with pytest.raises(BoardError, match=r"no MicroPython in its flash; `dronewall node flash"):
        Repl(fake.port).__enter__()
    fake.unplug()
    fake.held = True
    fake.plug()
    with pytest.raises(BoardError, match=r"held in its bootloader; press its reset button"):
        Repl(fake.port, tries=1).__enter__()


def test_a_port_that_is_not_there_or_busy_says_what_to_do(fake, tmp_path):
    with pytest.raises(BoardError, match=r"no such port; `dronewall node list`"):
        opened(str(tmp_path / "none"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BoardError, match="cannot be opened as a serial port"):
        opened(str(tmp_path / "file"))
    with serial.Serial(fake.port, exclusive=True), pytest.raises(BoardError, match="busy: another program"):
        opened(fake.port)


def test_a_port_that_goes_with_a_reset_is_waited_for(fake):
    fake.unplug()
    again = threading.Timer(0.3, fake.plug)
    again.start()
    back(fake.port)
    with Repl(fake.port) as repl:
        assert repl.run("print(1)") == "1\n"
    again.join()


def test_a_port_that_is_not_ours_names_the_group():
    # Of a pty: on Linux its slave belongs to the group tty. Root may open everything, so it becomes somebody else.
    end, slave = pty.openpty()
    name = os.ttyname(slave)
    os.chmod(name, 0o000)
    code = (
        "import os, sys\nfrom dronewall.bench.repl import BoardError, opened\nimport serial\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: opened(sys.argv[1])\nexcept BoardError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, timeout=50, check=False)
    os.close(end)
    os.close(slave)
    assert "no permission; it belongs to the group " in ran.stdout, ran.stderr
    assert "sudo usermod -aG " in ran.stdout
