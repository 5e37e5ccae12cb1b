"""A board's MicroPython over its serial port: how its raw REPL is entered, and how a program is run there.

Ours and not mpremote's, which says of its modules that they will change, prints where it should raise, and waits for
ever for a board that is unplugged; the tests drive the same boards with mpremote. The protocol: MicroPython's
documentation, reference/repl.rst, "Raw mode" and "Raw-paste mode".

A session interrupts what runs, and ends with a reset, so that the board is afterwards as after power-on. A start that
the bench has caused is not held against the firmware, which three bad ones would lead into its safe mode
(firmware/flash.py): the session sets their count to 0. A node's watchdog goes on while nothing feeds it; the session
gives it ten minutes, and so a board whose cable is pulled starts by itself.
"""

import contextlib
import errno
import grp
import os
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import msgspec
import serial

BAUD = 115_200
ANSWER_S = 10.0
_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_TRIES = 4
_LARGEST = 1 << 20  # bytes that a program prints; all the files of a full flash are told in a tenth
_TAIL = 4096
_PATIENCE = 4  # a board that goes on talking has so many times as long as one that is silent, and a minute at least
_NOTHING = (b"invalid header", b"No bootable app", b"ets_main.c")  # what the ROM says where there is nothing to start
_WATCHDOG = """
import machine
if hasattr(machine, "WDT"):
    machine.WDT(timeout=600000)
"""
_RESET = """
import machine, os
from binascii import crc32
try:
    with open("/boot", "rb") as file:
        data = file.read()
    boots, resets, bad = data[:-9].split()
    if data[-9:] == b"%08x\\n" % crc32(data[:-9]) and bad != b"0":
        data = b"%s %s 0 " % (boots, resets)
        with open("/boot.new", "wb") as file:
            file.write(data + b"%08x\\n" % crc32(data))
        os.rename("/boot.new", "/boot")
except (OSError, ValueError):
    pass
machine.reset()
"""


class BoardError(ValueError):
    """A port or a board that cannot be worked with: which, what it said, and what to do."""


class ProgramError(BoardError):
    """A program that failed on the board; `said` is MicroPython's traceback, its last line what was raised; `full`:
    whether that was for want of room in the flash.
    """

    def __init__(self, port: str, said: str) -> None:
        lines = said.strip().splitlines() or ["no reason given"]
        super().__init__(
            f"{port}: the board raised {lines[-1]}; give the same command again, and where it says so again, clear its"
            " flash: `dronewall node flash --port ... --erase --image FILE`"
        )
        self.said = said
        self.full = any(words in lines[-1] for words in ("ENOSPC", "Errno 28", "OSError: 28"))


def opened(port: str, baud: int = BAUD) -> serial.Serial:
    """The port, and nobody else has it. Reads wait .1 s. Raises BoardError where it is not there, not ours, or busy."""
    end = time.monotonic() + 1.0
    while True:
        try:
            return serial.Serial(port, baud, timeout=0.1, write_timeout=ANSWER_S, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            # A program that another thread starts has our lock for the moment between its fork and its exec.
            if "exclusively lock" not in str(error) or time.monotonic() > end:
                raise BoardError(f"{port}: {_hindrance(port, error)}") from None
        time.sleep(0.05)


def back(port: str, limit_s: float = ANSWER_S) -> None:
    """Returns once the port is there again: that of a chip's own USB (S3, C3) goes for a moment with each reset. Where
    it does not come, whoever opens it says why."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        with contextlib.suppress(serial.SerialException, OSError):
            serial.Serial(port, exclusive=True).close()
            return
        time.sleep(0.1)


def _hindrance(port: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission; {_group(port)}"
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return "busy: another program has it open (a monitor, an editor, ModemManager); close that and try again"
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or not os.path.exists(port):
        return "no such port; `dronewall node list` shows those that are there (a cable that only charges shows none)"
    return f"cannot be opened as a serial port ({error}); `dronewall node list` shows those that are there"


def _group(port: str) -> str:
    try:
        name = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (KeyError, OSError):
        return "ask whoever looks after this computer for access to it"
    return f"it belongs to the group {name}: sudo usermod -aG {name} $USER, log in again, and try again"


class Repl:
    """A session with the board at a port. Everything here raises BoardError where the board falls silent, is unplugged,
    or says what MicroPython would not.

    ::

        with Repl("/dev/ttyUSB0") as repl:
            repl.answer("import json, os; print(json.dumps(os.listdir()))")

    `tries`: how often the board is interrupted, for three seconds each, before it is given up.
    """

    def __init__(self, port: str, baud: int = BAUD, tries: int = _TRIES) -> None:
        self.port = port
        self._baud = baud
        self._tries = tries
        self._serial: serial.Serial | None = None
        self._heard = b""

    def __enter__(self) -> "Repl":
        self._serial = opened(self.port, self._baud)
        try:
            self._interrupt()
            self._send(b"\x04")  # a soft reset: without the memory, tasks and names of what ran
            self._until(b"soft reboot\r\n", ANSWER_S, "its soft reset")
            self._until(_BANNER, ANSWER_S, "its soft reset")
            self.run(_WATCHDOG)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whatever went wrong, the board is not left standing at its prompt.
        with contextlib.suppress(BoardError):
            if kind is not None:
                self._interrupt()
            self._submit(_RESET)
        self._close()

    def run(self, source: str, limit_s: float = ANSWER_S, heard: Callable[[str], None] | None = None) -> str:
        """What the program prints. `heard` is given each line as it comes; `limit_s`: how long the board may be silent.
        Raises ProgramError where the program does.
        """
        self._submit(source)
        said = self._until(b"\x04", limit_s, "a program", heard)[:-1]
        raised = self._until(b"\x04>", ANSWER_S, "the end of a program")[:-2]
        if raised:
            raise ProgramError(self.port, raised.decode(errors="replace"))
        return said.decode(errors="replace").replace("\r\n", "\n")

    def answer(self, source: str, kind: Any = Any, limit_s: float = ANSWER_S) -> Any:
        """What the program prints in its last line: JSON of that kind (a type, as msgspec has them)."""
        said = self.run(source, limit_s).strip().splitlines()
        return self.told(said[-1] if said else "", kind)

    def told(self, line: str, kind: Any = Any) -> Any:
        """What a line of the board's says, JSON of that kind. Raises BoardError where it is something else."""
        try:
            return msgspec.json.decode(line, type=kind)
        except msgspec.ValidationError as error:
            raise BoardError(
                f"{self.port}: the board answered what its program does not say ({error}); give the same command again,"
                " and if it answers so again, flash it"
            ) from None
        except (msgspec.DecodeError, RecursionError):
            raise BoardError(f"{self.port}: expected JSON from the board, it said {line[:80]!r}; try again") from None

    def _submit(self, source: str) -> None:
        data = source.encode()
        self._send(b"\x05A\x01")
        window = int.from_bytes(self._until(b"R\x01", ANSWER_S, "raw paste") and self._exactly(2), "little")
        left = window
        end = time.monotonic() + _PATIENCE * ANSWER_S
        while data and time.monotonic() < end:
            if left == 0 or self._heard:
                sign = self._exactly(1)
                if sign != b"\x01":
                    self._send(b"\x04")
                    raise BoardError(f"{self.port}: the board broke off a program that was sent ({sign!r}); try again")
                left += window
                continue
            self._send(data[:left])
            data, left = data[left:], left - len(data[:left])
            self._heard += self._read()
        self._send(b"\x04")
        while (sign := self._exactly(1)) == b"\x01" and time.monotonic() < end:
            pass
        if sign != b"\x04":
            raise BoardError(f"{self.port}: the board did not take a program ({sign!r}); try again")

    def _interrupt(self) -> None:
        said = b""
        for _ in range(self._tries):
            self._send(b"\r\x03\x03")
            said += self._quiet()
            self._heard = b""
            self._send(b"\r\x01")
            found = self._gathered(_BANNER, 2.0, in_all=True)
            if found.endswith(_BANNER):
                return
            said += found
            if any(words in said for words in _NOTHING):
                break
        raise BoardError(f"{self.port}: {_silence(said)}")

    def _quiet(self) -> bytes:
        """What comes until nothing does for a tenth of a second, or for a second in all."""
        end = time.monotonic() + 1.0
        said = b""
        while time.monotonic() < end and (data := self._read() or self._read(wait=True)):
            said += data
        return said

    def _until(self, ending: bytes, limit_s: float, what: str, heard: Callable[[str], None] | None = None) -> bytes:
        found = self._gathered(ending, limit_s, heard)
        if not found.endswith(ending):
            tail = found[-80:].decode(errors="replace").strip()
            raise BoardError(
                f"{self.port}: the board fell silent in {what}" + (f" after {tail!r}" if tail else "") + "; try again"
            )
        return found

    def _gathered(
        self, ending: bytes, limit_s: float, heard: Callable[[str], None] | None = None, in_all: bool = False
    ) -> bytes:
        """All up to `ending`, or what there was when nothing came for so long (`in_all`: when so long had gone by)."""
        data, told, looked = self._heard, 0, 0
        end = time.monotonic() + limit_s
        last = time.monotonic() + max(_PATIENCE * limit_s, 60.0)
        while True:
            at = data.find(ending, max(0, looked - len(ending)))
            looked = len(data)
            text = data if at < 0 else data[:at]
            if heard and (line := text.rfind(b"\n", told) + 1):
                for each in text[told:line].decode(errors="replace").splitlines():
                    heard(each)
                told = line
            if at >= 0:
                self._heard = data[at + len(ending) :]
                return data[: at + len(ending)]
            new = self._read(wait=True)
            if new and not in_all:
                end = time.monotonic() + limit_s
            elif time.monotonic() > end:
                self._heard = b""
                return data
            data += new
            if in_all and len(data) > _LARGEST:
                data = data[-_TAIL:]  # a program that floods the line until it is interrupted
                looked = 0
            elif len(data) > _LARGEST or time.monotonic() > last:
                self._heard = b""
                raise BoardError(
                    f"{self.port}: the board does not stop talking ({data[-40:].decode(errors='replace')!r}); press its"
                    " reset button and try again, or flash it: `dronewall node flash --port ... --erase --image FILE`"
                )

    def _exactly(self, count: int) -> bytes:
        end = time.monotonic() + ANSWER_S
        while len(self._heard) < count:
            self._heard += self._read(wait=True)
            if time.monotonic() > end:
                raise BoardError(f"{self.port}: the board fell silent while a program was sent; try again")
        found, self._heard = self._heard[:count], self._heard[count:]
        return found

    def _read(self, wait: bool = False) -> bytes:
        assert self._serial is not None
        with self._plugged():
            waiting = self._serial.in_waiting
            return bytes(self._serial.read(waiting or 1)) if waiting or wait else b""

    def _send(self, data: bytes) -> None:
        assert self._serial is not None
        with self._plugged():
            self._serial.write(data)

    @contextlib.contextmanager
    def _plugged(self) -> Iterator[None]:
        try:
            yield
        except serial.SerialTimeoutException:
            raise BoardError(
                f"{self.port}: the board takes no more bytes; press its reset button, and try again"
            ) from None
        except (serial.SerialException, OSError, TypeError):
            # TypeError: pyserial, where another thread has closed the port.
            raise BoardError(f"{self.port}: unplugged; plug it in and give the same command again") from None

    def _close(self) -> None:
        if self._serial:
            with contextlib.suppress(serial.SerialException, OSError):
                self._serial.close()
        self._serial = None


def _silence(said: bytes) -> str:
    if any(words in said for words in _NOTHING):
        return "there is no MicroPython in its flash; `dronewall node flash --port ... --image FILE` puts it there"
    tail = bytes(letter for letter in said[-60:] if 32 <= letter < 127).decode()
    if tail:
        return f"no MicroPython prompt, it says {tail!r}: another program or speed, or it starts again and again"
    return (
        "no answer: no board with MicroPython, or one that is held in its bootloader; press its reset button, then try"
        " again, or flash it: `dronewall node flash --port ... --image FILE`"
    )
