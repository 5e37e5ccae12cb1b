"""A board that answers as it likes: a raw REPL without MicroPython behind it, for what no fake board would ever say.

It keeps to the protocol (MicroPython's documentation, reference/repl.rst) as far as it is told to; what a program
"prints" is whatever the test wants.
"""

import contextlib
import json
import os
import pty
import threading
import time
import tty
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

BANNER = b"raw REPL; CTRL-B to exit\r\n>"
WINDOW = b"\x00\x40"  # of raw paste: 16 KB, more than any program of ours


def sealed(text: bytes) -> str:
    """A file that firmware/store.py has sealed, in hexadecimal."""
    return (text + b"%08x\n" % crc32(text)).hex()


ESP32 = {
    "machine": "Generic ESP32 module with ESP32",
    "release": "1.29.0",
    "mac": "24:0a:c4:00:00:01",
    "flash": 4 << 20,
    "heap": 150_000,
    "space": [4096, 4096, 512, 300],
    "sealed": {"slots": sealed(b"a 1 - "), "a/whole": sealed(b"1 ")},
    "files": ["main.py", "a", "config.json"],
    "wall": "jacksboro",
    "node": "N01",
    "compass": None,
}
"""What `onboard.said` is answered by a node."""

Says = Callable[[str], bytes | Iterator[bytes]]


class HostileBoard:
    """`says(program)` is what that program prints, at once or piece by piece, endlessly if it likes. `gap_s`: between
    two bytes. `programs` has what was sent.
    """

    def __init__(self, says: Says, gap_s: float = 0.0, window: bytes = WINDOW) -> None:
        self._says, self._gap_s, self._window = says, gap_s, window
        self.programs: list[str] = []
        self.resets = 0
        self._stopping = False
        self._end, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(self._end, False)
        self._slave = slave
        self.port = os.ttyname(slave)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "HostileBoard":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(10)
        os.close(self._end)
        os.close(self._slave)

    def _run(self) -> None:
        heard, program = b"", False
        while not self._stopping:
            with contextlib.suppress(OSError):
                heard += os.read(self._end, 65_536)
            if program:
                source, over, rest = heard.partition(b"\x04")
                if not over:
                    time.sleep(0.001)
                    continue
                heard, program = rest, False
                self._ran(source.decode(errors="replace"))
            elif b"\x05A\x01" in heard:
                heard, program = heard.partition(b"\x05A\x01")[2], True
                self._say(b"R\x01" + self._window)
            elif heard.endswith(b"\x04"):
                heard = b""
                self.resets += 1
                self._say(b"OK\r\nMPY: soft reboot\r\n" + BANNER)
            elif heard.endswith(b"\x01"):
                heard = b""
                self._say(b"\r\n" + BANNER)
            else:
                time.sleep(0.001)

    def _ran(self, source: str) -> None:
        self.programs.append(source)
        said = self._says(source)
        self._say(b"\x04")
        for piece in [said] if isinstance(said, bytes) else said:
            if not self._say(piece):
                return
        self._say(b"\x04\x04>")

    def _say(self, data: bytes) -> bool:
        """Whether it could be said: False once the host interrupts, or the test is over."""
        while data and not self._stopping:
            part = data[:1] if self._gap_s else data
            try:
                data = data[os.write(self._end, part) :]
            except BlockingIOError:
                time.sleep(0.001)
            if self._gap_s:
                time.sleep(self._gap_s)
        return not self._stopping


def answers(**told: Any) -> Says:
    """What a node says, by a word of the program: `asked`, `state`, `pins` and so on; the rest print nothing."""
    words = {
        "asked": "esp.flash_size()",
        "state": "space = os.statvfs",
        "pins": "config.refusal",
        "settings": 'config.read("/config.json")',
        "config": "_config[key] for key",
        "listen": "asyncio.run(listen(",
        "digests": "paths",
    }
    known = {"asked": ESP32, **told}

    def says(source: str) -> bytes:
        for name, word in words.items():
            if name in known and word in source:
                said = known[name]
                return said if isinstance(said, bytes) else json.dumps(said).encode() + b"\r\n"
        return b""

    return says
