"""tests/fake_board.py against programs that are not ours: mpremote and esptool see what they see of a real board."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from conftest import require
from dronewall.bench.repl import Repl, back

pytestmark = pytest.mark.needs("micropython", "esptool", "mpremote")
BUSY = b"import time\nprint('busy')\nwhile True:\n    time.sleep_ms(20)\n"


def until(found: Callable[[], object], limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def mpremote(port: str, *words: str) -> subprocess.CompletedProcess[str]:
    back(port)
    command = [require("mpremote"), "connect", port, *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    if "could not enter raw repl" in ran.stderr:  # what is sent while a board resets is lost; it does not ask twice
        ran = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    return ran


def test_mpremote_copies_lists_and_hashes_files_which_a_reset_leaves(port, tmp_path):
    content = bytes(range(256)) * 20
    (tmp_path / "x.bin").write_bytes(content)
    copied = mpremote(port, *f"fs mkdir :t + fs cp {tmp_path}/x.bin :t/x.bin + reset".split())
    assert copied.returncode == 0, copied.stderr
    seen = "fs ls :t + soft-reset + fs sha256sum :t/x.bin + exec print(6*7) + fs rm -r :t"
    ran = mpremote(port, *seen.split(" "))
    assert ran.returncode == 0, ran.stderr
    assert "5120 x.bin" in ran.stdout
    assert hashlib.sha256(content).hexdigest() in ran.stdout
    assert {"42", "rm :t"} <= set(ran.stdout.splitlines())  # it writes some of its lines past the others' buffer


def test_a_full_file_system_is_enospc_to_mpremote(fake):
    words = "f = open('/big', 'wb')\nwhile True: f.write(bytes(4096))"
    ran = mpremote(fake.port, "exec", words)
    assert ran.returncode != 0
    assert "ENOSPC" in ran.stderr + ran.stdout or "OSError: 28" in ran.stderr + ran.stdout


def test_main_py_runs_after_a_reset_and_mpremote_interrupts_it(fake, tmp_path):
    (tmp_path / "main.py").write_bytes(BUSY)
    assert mpremote(fake.port, *f"fs cp {tmp_path}/main.py :main.py + reset".split()).returncode == 0
    until(lambda: b"busy" in fake.log)
    ran = mpremote(fake.port, "exec", "import os; print(os.listdir())")
    assert (ran.returncode, ran.stdout.strip()) == (0, "['boot.py', 'main.py']")


def test_pulling_the_cable_loses_what_was_not_written_and_nothing_else(fake):
    with Repl(fake.port) as repl:
        repl.run("open('kept', 'w').write('1')\nf = open('lost', 'w')\nf.write('2')")
        fake.unplug()
    fake.plug()
    assert "kept" in mpremote(fake.port, "fs", "ls").stdout
    with Repl(fake.port) as repl:
        assert repl.answer("import json, os; print(json.dumps([os.stat(n)[6] for n in os.listdir()]))")[-1] in (0, 1)


@pytest.mark.parametrize(("chip", "said"), [("esp32", "ESP32"), ("esp32s3", "ESP32-S3"), ("esp32c3", "ESP32-C3")])
def test_esptool_finds_the_chip_its_mac_and_its_flash(tmp_path, chip, said):
    from fake_board import FakeBoard

    with FakeBoard(tmp_path / "b", chip=chip, mac="240ac4000abc", flash_bytes=2 << 20) as board:
        words = [sys.executable, "-m", "esptool", "--port", board.port, "flash-id"]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert f"Connected to {said} on" in ran.stdout
        assert "24:0a:c4:00:0a:bc" in ran.stdout
        assert "Detected flash size: 2MB" in ran.stdout
