"""The ROM's bootloaders of fake boards: esp32-mock-bootloader, one process for each board.

A program imports the mock once and forks a bootloader for each board: a ROM answers at once, and twenty imports take
seconds. Each board has its own MAC, which the mock takes from the chip's name alone, and its own size of flash.
"""

import atexit
import functools
import json
import subprocess
import sys
import threading
from pathlib import Path

_BOOTLOADERS = """
import json, os, signal, sys, threading, time
from esp32_mock_bootloader import protocol, registers, server

def end_with(parent):
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
parent = os.getpid()
while line := sys.stdin.readline():
    chip, mac, told, bits = json.loads(line)
    number = os.fork()
    if number:
        print(number, flush=True)
        continue
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    registers.mac_bytes_for_chip = lambda chip: tuple(bytes.fromhex(mac))
    protocol.MOCK_FLASH_ID = bits << 16 | protocol.MOCK_FLASH_ID & 0xFFFF
    server.run_server(0, chip_mode=chip, port_file=told)
    os._exit(0)
"""
_forking = threading.Lock()


@functools.cache
def _bootloaders() -> subprocess.Popen[str]:
    words = [sys.executable, "-c", _BOOTLOADERS]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    atexit.register(process.kill)
    return process


def started(chip: str, mac: str, flash_bytes: int, told: Path) -> int:
    """The process of a board's bootloader, which writes the TCP port at which it answers into the file `told`."""
    with _forking:
        process = _bootloaders()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([chip, mac, str(told), flash_bytes.bit_length() - 1]) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())
