"""A board without a board: what stands behind the serial port when there is none.

A pty, whose name does not change when the cable is pulled, and behind it, as on an ESP32, one of two programs: the
ROM's bootloader (esp32-mock-bootloader, which the real esptool talks to) or MicroPython (the unix port, over a LittleFS
image that stays, with the virtual devices of firmware/unix). A pty has no DTR and RTS, so that the board goes by what
it hears: a SLIP frame (0xC0, which no REPL ever sends) means the bootloader, anything else outside a frame, or the
port's being closed, the end of it.

    with FakeBoard(tmp_path / "b1", chip="esp32") as board:
        subprocess.run(["mpremote", "connect", board.port, "fs", "ls"])
"""

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import tty
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from conftest import require
from fake_bootloader import started
from firmware_side import board
from test_firmware_unix import WORLD

HERE = Path(__file__).resolve().parent / "fakeboard"
MACHINES = {
    "esp32": "Generic ESP32 module with ESP32",
    "esp32s3": "Generic ESP32S3 module with ESP32S3",
    "esp32c3": "Generic ESP32C3 module with ESP32C3",
}
RELEASE = "1.29.0"
LYING = (0, 365000000, -843000000, 40000, 9000, 0, 0)  # level, at azimuth 90: a row of a track (firmware/unix/world.py)
_SLIP = 0xC0
# Commands of the ROM's and the stub's protocol (esptool's documentation, "Serial Protocol").
_BEGIN, _DATA, _MD5, _ERASE = (0x02, 0x10), (0x03, 0x11), 0x13, 0xD0
_RELEASE = re.compile(rb"MicroPython v(\d+\.\d+\.\d+\S*) on ")
ERASES = bytes([_SLIP, 0, _ERASE])
_WATCHDOG = 3  # machine.WDT_RESET
_BLOCK = 4096
_READY = b"\x00ready\x00"  # start.py: from here on it is a board
_HEAP = "256k"  # of which the virtual devices have what they take


class FakeBoard:
    """One board. `port` is what a program opens. `installed`: whether MicroPython is in its flash (else the ROM says
    that it has nothing to start). It is again once esptool has written an image, and what that says of its version is
    the board's `release` then. `blocks`: of 4 KB, its file system. Files in its flash: what mpremote shows.

    `spoil(data, towards)` may change what goes over the line ("board" or "host"); `unplug_after(n)` pulls the cable
    after so many bytes from the host, `unplug_at(words)` when the host has sent these; `unplug()` and `plug()` do at
    once. `held`: the boot button is, so that nothing but the bootloader answers. `log` has what the board's MicroPython
    said, `taken` how many bytes the host has sent.
    """

    def __init__(
        self,
        folder: Path,
        chip: str = "esp32",
        mac: str = "240ac4000001",
        installed: bool = True,
        blocks: int = 512,
        flash_bytes: int = 4 << 20,
        release: str = RELEASE,
        world: dict[str, Any] | None = None,
        track: Sequence[Sequence[int]] = (LYING,),
    ) -> None:
        self.folder, self.chip, self.mac, self.installed = folder, chip, mac, installed
        self.port = str(folder / "port")
        self.log = b""
        self.held = False
        self.taken = 0
        self.spoil: Callable[[bytes, str], bytes] = lambda data, towards: data
        folder.mkdir(parents=True, exist_ok=True)
        self._image = folder / "flash.img"
        self._blocks = blocks
        self._flash_bytes = flash_bytes
        self._tell(release)
        (folder / "world.json").write_text(json.dumps({**WORLD, **(world or {})}))
        (folder / "track").write_bytes(b"".join(struct.pack("<7i", *row) for row in track))
        self._erase()
        self._mode = "app"
        self._app: subprocess.Popen[bytes] | None = None
        self._inner = self._outer = -1
        self._mock = 0  # the bootloader's process
        self._line: socket.socket | None = None
        self._framed = False
        self._raw = False
        self._left: int | None = None
        self._frame = b""
        self._written = b""
        self._inflater: Any = None
        self._words = b""
        self._last = b""
        self._lock = threading.RLock()
        self._said = 0.0
        self._starting: bytes | None = None
        self._waiting = b""
        self._unheard = b""  # what the app has had since it last said something
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"board {folder.name}", daemon=True)

    # --- what a test does to it

    def unplug(self) -> None:
        """Pulls the cable: the port is gone, and the board has no power."""
        with self._lock:
            self._end_app()
            self._end_line()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.port)
            if self._outer >= 0:
                os.close(self._outer)
            self._outer = -1

    def plug(self) -> None:
        """Plugs it in again, under the same name; it starts."""
        with self._lock:
            assert self._outer < 0
            self._left, self._words = None, b""
            self._outer, slave = pty.openpty()
            tty.setraw(slave)
            os.set_blocking(self._outer, False)
            os.symlink(os.ttyname(slave), self.port)
            os.close(slave)
            self._mode, self._framed, self._frame = "app", False, b""
            self._start_app(1, main=True)

    def unplug_after(self, count: int) -> None:
        """Pulls the cable once the host has sent so many bytes more."""
        self._left = count

    def unplug_at(self, words: bytes) -> None:
        """Pulls the cable when the host sends these bytes (`ERASES` before its flash is erased)."""
        self._last, self._words = b"", words

    def say(self, data: bytes) -> None:
        """What comes over the line without the board's doing: noise, or a program that prints."""
        with self._lock:
            self._to_host(data)

    # --- its life

    def __enter__(self) -> "FakeBoard":
        require("esptool")
        self.plug()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(10)
        self.unplug()
        if self._mock:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._mock, signal.SIGKILL)

    def _tell(self, release: str) -> None:
        told = {"mac": list(bytes.fromhex(self.mac)), "flash_bytes": self._flash_bytes, "release": release}
        told |= {"machine": MACHINES[self.chip], "version": f"v{release} on 2026-06-01"}
        (self.folder / "board.json").write_text(json.dumps(told))

    def _erase(self) -> None:
        self._image.write_bytes(b"\xff" * (self._blocks * _BLOCK))

    def _run(self) -> None:
        while not self._stopping:
            with self._lock:
                watched = [each for each in (self._outer, self._inner) if each >= 0]
                if self._line:
                    watched.append(self._line.fileno())
            if not watched:
                time.sleep(0.02)
                continue
            ready = []
            with contextlib.suppress(OSError, ValueError):  # unplugged meanwhile
                ready = select.select(watched, [], [], 0.1)[0]
            idle = False
            with self._lock:
                if self._outer in ready:
                    idle = not self._from_host()
                if self._inner >= 0 and self._inner in ready:
                    self._from_app()
                if self._line and self._line.fileno() in ready:
                    self._from_bootloader()
                self._watch()
            if idle:
                time.sleep(0.01)

    def _from_host(self) -> bool:
        """Whether somebody has the port open."""
        try:
            data = os.read(self._outer, 4096)
        except OSError as error:
            if error.errno == errno.EIO and self._mode == "boot":
                self._boot_ends()
            return error.errno != errno.EIO
        self.taken += len(data)
        data = self.spoil(data, "board")
        self._last = (self._last + data)[-4096 - len(self._words) :]
        if (self._left is not None and len(data) >= self._left) or (self._words and self._words in self._last):
            self._left, self._words = None, b""
            self.unplug()
            return True
        if self._left is not None:
            self._left -= len(data)
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        while data:
            if self._mode == "app":
                at = data.find(_SLIP)
                if not self.held:
                    self._to_app(data if at < 0 else data[:at])
                if at < 0:
                    return
                self._end_app()
                self._mode, self._framed, self._frame = "boot", False, b""
                data = data[at:]
            data = self._to_bootloader(data)

    def _to_host(self, data: bytes) -> None:
        data = self.spoil(data, "host")
        with contextlib.suppress(OSError):  # nobody reads: lost, as on a wire
            while data and self._outer >= 0:
                data = data[os.write(self._outer, data) :]

    # --- MicroPython

    def _start_app(self, cause: int, main: bool) -> None:
        self._raw = not main
        if not self.installed or self.held:
            return
        self._starting, self._waiting, self._unheard = b"", b"", b""
        self._inner, slave = pty.openpty()
        mode = termios.tcgetattr(slave)
        mode[0] = mode[1] = 0  # neither CR nor LF is touched
        mode[3] = termios.ISIG | termios.NOFLSH  # Ctrl-C interrupts a program, as the board's does; no echo, no lines
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        words = [require("micropython"), "-X", f"heapsize={_HEAP}", "-i", str(HERE / "start.py"), str(self.folder)]
        words += [str(board() / "unix"), str(cause), str(int(main))]
        self._app = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=_with_terminal
        )
        os.close(slave)
        os.set_blocking(self._inner, False)

    def _end_app(self) -> None:
        if self._app:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._app.pid, signal.SIGKILL)
            self._app.wait()
        if self._inner >= 0:
            os.close(self._inner)
        self._app, self._inner = None, -1

    def _to_app(self, data: bytes) -> None:
        if self._starting is not None and self._inner >= 0:
            self._waiting += data  # in the UART's buffer
            return
        data = data.replace(b"\x03\x03", b"\x03")  # the second one would end the unix port
        self._unheard = (self._unheard + data)[-256:]
        with contextlib.suppress(OSError):
            while data and self._inner >= 0:
                try:
                    data = data[os.write(self._inner, data) :]
                except BlockingIOError:
                    select.select([], [self._inner], [], 0.1)

    def _from_app(self) -> None:
        try:
            data = os.read(self._inner, 4096)
        except BlockingIOError:  # another one than select saw: unplugged and plugged meanwhile
            return
        except OSError:
            data = b""
        if data and self._starting is not None:
            self._starting += data
            _, ready, data = self._starting.partition(_READY)
            if not ready:
                return
            self._starting = None
            waiting, self._waiting = self._waiting, b""
            self._to_app(waiting)
            if not data:
                return
        if data:
            self.log += data
            self._unheard = b""
            if b"raw REPL; CTRL-B to exit" in data:
                self._raw = True
            elif b'Type "help()"' in data:
                self._raw = False
            self._to_host(data)
            return
        assert self._app is not None
        try:
            status = self._app.wait(10)
        except subprocess.TimeoutExpired:  # a terminal that it has closed, and goes on
            status = -1
        assert self._starting is None, self._starting.decode()
        raw = self._raw
        self._end_app()
        if status not in (0, 42) and b"\x03" in self._unheard:
            # Ctrl-C between main.py and the prompt ends the unix port; a board has a prompt then, and what follows.
            rest = self._unheard.rpartition(b"\x03")[2]
            self._start_app(5, main=False)
            self._waiting = rest
            return
        if status == 42:  # machine.reset()
            self._to_host(b"rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n")
            self._fed().unlink(missing_ok=True)
            rest = self._unheard.rpartition(b"\x04")[2]  # of the next one who has opened the port
            self._start_app(2, main=True)
            self._waiting = rest
            return
        self._to_host(b"MPY: soft reboot\r\n")
        self._start_app(5, main=not raw)
        if raw:
            self._to_app(b"\x01")  # the unix port begins with the friendly one

    def _fed(self) -> Path:
        return self.folder / "fed"

    def _watch(self) -> None:
        if not self.installed and not self.held and self._mode == "app" and time.monotonic() - self._said > 0.3:
            self._said = time.monotonic()  # the ROM starts again and again
            self._to_host(b"rst:0x3 (SW_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\ninvalid header: 0xffffffff\r\n")
        try:
            limit = int(self._fed().read_text() or "60000")
            if time.time() - self._fed().stat().st_mtime < limit / 1000:
                return
        except (OSError, ValueError):
            return
        self._fed().unlink(missing_ok=True)
        if self._app:
            self._end_app()
            self._to_host(b"rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n")
            self._start_app(_WATCHDOG, main=True)

    # --- the bootloader

    def _to_bootloader(self, data: bytes) -> bytes:
        """What is left of the data once the bootloader has had its frames."""
        taken = 0
        while taken < len(data):
            at = data.find(_SLIP, taken)
            if not self._framed:
                if at != taken:
                    break
                self._framed, self._frame = True, b""
                taken += 1
                continue
            self._frame += data[taken : at if at >= 0 else None]
            taken = len(data) if at < 0 else at + 1
            if at >= 0:
                self._framed = not self._frame  # two in a row: the second begins a frame
                if self._frame:
                    self._heard(self._frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
                self._frame = b""
        if taken:
            with contextlib.suppress(OSError):
                self._bootloader().sendall(data[:taken])
        if taken < len(data):
            self._boot_ends()
        return data[taken:]

    def _heard(self, frame: bytes) -> None:
        """What the command does to the flash; its answer is the mock's. A frame: 0, command, size, checksum, words."""
        command, words = frame[1], frame[8:]
        if command == _ERASE:
            self.installed = False
            self._erase()
        elif command in _BEGIN and any(words[:4]):  # the size; 0 where esptool takes its leave
            self.installed, self._written = False, b""
            self._inflater = zlib.decompressobj() if command == _BEGIN[1] else None
        elif command in _DATA:
            with contextlib.suppress(zlib.error):
                self._written += self._inflater.decompress(words[16:]) if self._inflater else words[16:]
        elif command == _MD5:
            size = int.from_bytes(words[4:8], "little")
            found = _RELEASE.search(self._written)
            self.installed = self.installed or 0 < size <= len(self._written)
            if self.installed and found:
                self._tell(found[1].decode())

    def _bootloader(self) -> socket.socket:
        if self._line:
            return self._line
        told = self.folder / "bootloader"
        if not self._mock:
            told.unlink(missing_ok=True)
            self._mock = started(self.chip, self.mac, self._flash_bytes, told)
        limit = time.monotonic() + 30
        while not (told.exists() and told.read_text()):
            assert time.monotonic() < limit
            time.sleep(0.02)
        self._line = socket.create_connection(("127.0.0.1", int(told.read_text())), 10)
        return self._line

    def _from_bootloader(self) -> None:
        assert self._line is not None
        try:
            data = self._line.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._to_host(data)
        else:
            self._end_line()

    def _end_line(self) -> None:
        if self._line:
            self._line.close()
        self._line = None

    def _boot_ends(self) -> None:
        self._end_line()
        self._mode = "app"
        self._fed().unlink(missing_ok=True)
        self._start_app(1, main=True)


def _with_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def boards(folder: Path, count: int, **how: Any) -> Iterator[list[FakeBoard]]:
    """So many boards at once, each with a MAC of its own."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(FakeBoard(folder / f"b{i + 1}", mac=f"240ac4{i + 1:06x}", **how)) for i in range(count)
        ]
