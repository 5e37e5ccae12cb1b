"""`dronewall node list`: which boards are at the ports, as MicroPython says, or else the chip's bootloader."""

import json
from zlib import crc32

import pytest
import serial
from serial.tools import list_ports, list_ports_common

from dronewall.bench import ports
from dronewall.bench.repl import Repl
from fake_board import FakeBoard
from test_bench_flash import dronewall
from test_bench_repl import talker
from test_fake_board import until

pytestmark = pytest.mark.needs("micropython", "esptool")


def sealed(data: bytes) -> bytes:
    return data + b"%08x\n" % crc32(data)  # firmware/store.py


def test_a_board_says_its_chip_its_micropython_and_that_no_firmware_is_on_it(port):
    found = ports.about(port)
    assert found.chip in ("esp32", "esp32s3", "esp32c3")
    assert found.mac.count(":") == 5
    assert found.flash_bytes >= 1 << 20
    assert found.trouble is None


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
def test_a_provisioned_node_says_who_it_is_and_none_of_its_secrets(tmp_path, chip):
    config = {"wall": "north", "node": "P7", "wifi": [{"ssid": "a", "password": "hunter2"}]}
    with FakeBoard(tmp_path / "b", chip=chip, mac="240ac40000fe") as board:
        with Repl(board.port) as repl:
            repl.run(f"open('/config.json', 'w').write({json.dumps(config)!r})")
            repl.run(f"open('/slots', 'wb').write({sealed(b'b 41 - ')!r})")
            repl.run(f"import os\nos.mkdir('/b')\nopen('/b/whole', 'wb').write({sealed(b'41 ')!r})")
            repl.run("open('/main.py', 'w').write('import time\\nprint(\"up\")\\nwhile 1: time.sleep_ms(9)')")
        board.log = b""
        found = ports.about(board.port)
        assert (found.chip, found.mac, found.micropython) == (chip, "24:0a:c4:00:00:fe", "1.29.0")
        assert (found.wall, found.node, found.version, found.slot) == ("north", "P7", 41, "b")
        assert b"hunter2" not in board.log
        board.log = b""
        until(lambda: b"up" in board.log)  # it runs again


@pytest.mark.parametrize(
    ("machine", "chip"),
    [
        ("ESP32-PICO with ESP32-PICO-D4", "esp32"),
        ("UM TinyS3 with ESP32-S3-FN8", "esp32s3"),
        ("LOLIN_C3_MINI with ESP32-C3FH4", "esp32c3"),
        ("ESP32C6 module with ESP32C6", None),  # no firmware of ours
        ("LOLIN_S2_MINI with ESP32-S2FN4R2", None),
        ("Raspberry Pi Pico with RP2040", None),
    ],
)
def test_the_chip_is_read_from_the_machines_name_and_another_one_is_no_board_for_a_node(tmp_path, machine, chip):
    board = FakeBoard(tmp_path / "b")
    told = json.loads((tmp_path / "b" / "board.json").read_text())
    (tmp_path / "b" / "board.json").write_text(json.dumps(told | {"machine": machine}))
    with board:
        found = ports.about(board.port)
    assert found.chip == chip
    assert found.trouble == (None if chip else f"MicroPython on {machine}; expected an ESP32, S3 or C3")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("config.json", b'{"node": "P', "files cannot be read"), ("slots", b"b 41 - 00000000\n", None)],
)
def test_a_torn_file_on_the_board_hides_nothing_else(fake, name, content, said):
    with Repl(fake.port) as repl:
        repl.run(f"open('/{name}', 'wb').write({content!r})")
    found = ports.about(fake.port)
    assert found.micropython == "1.29.0"
    assert found.version is None
    assert (said is None and found.trouble is None) or said in found.trouble


def test_a_board_without_micropython_is_asked_in_its_bootloader(tmp_path):
    with FakeBoard(tmp_path / "b", chip="esp32c3", installed=False, flash_bytes=8 << 20) as board:
        found = ports.about(board.port)
    assert (found.chip, found.flash_bytes, found.micropython) == ("esp32c3", 8 << 20, None)
    assert "`dronewall node flash" in found.trouble


def test_ports_that_do_not_answer_are_listed_with_the_reason_beside_those_that_do(fake):
    with talker(b"$GNGGA,120000.00,,,,,0*55\r\n") as gnss:
        ran = dronewall("list", "--port", fake.port, "--port", "/dev/none", "--port", gnss)
    assert ran.returncode == 3
    rows = {line.split()[0]: line for line in ran.stdout.splitlines() if "/" in line}
    assert "24:0a:c4:00:00:01" in rows[fake.port]
    assert "no answer" in rows["/dev/none"]
    assert "no answer" in rows[gnss]
    assert "/dev/none: no such port; " in ran.stderr
    assert f"{gnss}: no MicroPython prompt, it says " in ran.stderr


def test_a_narrow_terminal_loses_no_column_and_ports_with_one_trouble_share_its_line():
    ran = dronewall("list", "--port", "/dev/none1", "--port", "/dev/none2", COLUMNS="50")
    heads = ran.stdout.splitlines()[1].split()
    assert heads == ["port", "chip", "MAC", "flash", "Python", "ware", "node"]
    assert "/dev/none1, /dev/none2: no such port; " in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_busy_port_is_listed_as_busy(fake):
    with serial.Serial(fake.port, exclusive=True):
        assert "busy: another program has it open" in ports.about(fake.port).trouble


def test_a_computers_own_ports_and_modems_are_no_boards(monkeypatch):
    # No computer has all of these, and most that run tests have none.
    listed = []
    for device, vid in (
        ("/dev/ttyS0", None),
        ("/dev/ttyUSB1", 0x10C4),
        ("/dev/ttyACM0", 0x303A),
        ("/dev/ttyACM1", 0x1199),
    ):
        listed.append(list_ports_common.ListPortInfo(device, skip_link_detection=True))
        listed[-1].vid = vid
    monkeypatch.setattr(list_ports, "comports", lambda: listed)
    assert ports.found() == ["/dev/ttyACM0", "/dev/ttyUSB1"]


def test_no_port_at_all_is_no_error():
    ran = dronewall("list", "--json")
    assert ran.returncode == 0, ran.stderr
    assert isinstance(json.loads(ran.stdout), list)
