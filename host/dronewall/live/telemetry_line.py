"""The line that telemetry comes in on: a UDP port, a TCP connection or a serial device, and what is parsed from it.

It only ever reads. pymavlink is used as a parser of bytes alone, with nothing to write to; the UDP socket is never
given an address to send to, the TCP socket is never written to, and the serial device is opened for reading only, so
that the kernel itself refuses a write. No heartbeat, no request, no parameter: an autopilot cannot tell that somebody
listens.

Every sender has a parser of its own, so that one's garbage does not swallow another's messages. What is no message is
counted, and the line goes on; so it does when a TCP peer or a serial device goes away: it is opened again.
"""

import contextlib
import fcntl
import os
import re
import select
import socket
import termios
import time
from types import TracebackType
from typing import Any, Literal, NamedTuple

_PIECE = 65_536  # [bytes]: no datagram is longer
_PIECES = 500  # at once: a flood must not keep the caller here
_SENDERS = 32  # whose parsers are kept; the one longest silent goes
_AGAIN_S = 1.0
_CONNECT_S = 2.0
_BAUD = 57_600  # what telemetry radios use


class BridgeError(OSError):
    """Telemetry that cannot be listened to, and why."""


class Endpoint(NamedTuple):
    """Where telemetry comes in. place: host or device; number: port or baud."""

    kind: Literal["udp", "tcp", "serial"]
    place: str
    number: int

    def __str__(self) -> str:
        if self.kind == "serial":
            return f"{self.place} at {self.number} baud"
        return f"{self.kind} {f'[{self.place}]' if ':' in self.place else self.place}:{self.number}"


def endpoint_of(text: str) -> Endpoint:
    """The endpoint of `127.0.0.1:14550`, `udpin:...`, `tcp:...`, `/dev/ttyUSB0` or `/dev/ttyUSB0,115200`: as pymavlink
    spells them, the ones among them that can be listened to without a word of our own. Raises ValueError.
    """
    serial = re.fullmatch(r"(?:serial:)?(/[^,]+)(?:,(\d{1,7}))?", text)
    if serial:
        return Endpoint("serial", serial[1], int(serial[2] or _BAUD))
    scheme, rest = re.fullmatch(r"(?:([a-z]+):(?!\d{1,5}$))?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if scheme in ("udpout", "udpbcast"):
        raise ValueError(f"{text!r}: with {scheme} we would have to speak first; expected udpin:HOST:PORT")
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([\w.-]+)):(\d{1,5})", rest, re.ASCII)
    if scheme not in (None, "udp", "udpin", "tcp") or match is None or not 1 <= int(match[3]) <= 65535:
        raise ValueError(
            f"{text!r} is nowhere to listen; expected HOST:PORT or udpin:HOST:PORT (a UDP port of ours), "
            "tcp:HOST:PORT, or /dev/ttyUSB0,57600"
        )
    return Endpoint("tcp" if scheme == "tcp" else "udp", match[1] or match[2], int(match[3]))


class TelemetryLine:
    """Messages as they come in on an endpoint, for as long as the `with` block lasts. Raises BridgeError when it cannot
    be opened, or when pymavlink is missing.

        with TelemetryLine(endpoint) as line:
            for message in line.read(1.0): ...
    """

    def __init__(self, endpoint: Endpoint) -> None:
        try:
            from pymavlink.dialects.v20 import common
        except ImportError as error:
            raise BridgeError(f"pymavlink is missing ({error}): pip install 'dronewall[bridge]'") from None
        self._dialect = common
        self.endpoint = endpoint
        self.messages = 0
        """How many came."""
        self.bad = 0
        """How often something came that is no message."""
        self.reason = ""
        """Why the last one was none."""
        self.up = False
        """Whether the line is open."""
        self._again = 0.0
        self._socket: socket.socket | None = None
        self._device = -1
        self._parsers: dict[object, Any] = {}

    def __enter__(self) -> "TelemetryLine":
        try:
            self._open()
        except OSError as error:
            raise BridgeError(f"{self.endpoint}: {error.strerror or error}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _open(self) -> None:
        kind, place, number = self.endpoint
        if kind == "serial":
            self._device = os.open(place, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                _raw(self._device, number)
            except BaseException:
                self._close()
                raise
        elif kind == "tcp":
            self._socket = socket.create_connection((place, number), timeout=_CONNECT_S)
            self._socket.setblocking(False)
        else:
            family, _, _, _, address = socket.getaddrinfo(place, number, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            try:
                self._socket.bind(address)
            except BaseException:
                self._close()
                raise
            self._socket.setblocking(False)
        self.up = True

    def _close(self) -> None:
        self.up = False
        if self._socket is not None:
            self._socket.close()
        if self._device >= 0:
            os.close(self._device)
        self._socket, self._device = None, -1
        self._parsers.clear()

    def fileno(self) -> int:
        """What `select` waits on."""
        return self._socket.fileno() if self._socket is not None else self._device

    def read(self, timeout_s: float) -> list[Any]:
        """The messages that wait, after waiting that long for the first."""
        if not self.up:
            self._come_back(timeout_s)
            return []
        if not select.select([self], [], [], max(0.0, timeout_s))[0]:
            return []
        found = []
        for _ in range(_PIECES):
            try:
                sender, piece = self._piece()
            except BlockingIOError:
                break
            except OSError as error:
                if self.endpoint.kind == "udp":  # an ICMP answer, not the end of the port
                    continue
                self._lost(error.strerror or str(error))
                break
            if not piece and self.endpoint.kind != "udp":
                self._lost("the other side has closed it")
                break
            found += self._parsed(sender, piece)
        return found

    def _piece(self) -> tuple[object, bytes]:
        if self._socket is None:
            return None, os.read(self._device, _PIECE)
        if self.endpoint.kind == "tcp":
            return None, self._socket.recv(_PIECE)
        piece, sender = self._socket.recvfrom(_PIECE)
        return sender, piece

    def _lost(self, reason: str) -> None:
        self._close()
        self.reason = reason
        self._again = time.monotonic() + _AGAIN_S

    def _come_back(self, timeout_s: float) -> None:
        time.sleep(max(0.0, min(timeout_s, self._again - time.monotonic())))
        if time.monotonic() >= self._again:
            try:
                self._open()
            except OSError as error:
                self._lost(error.strerror or str(error))

    def _parsed(self, sender: object, piece: bytes) -> list[Any]:
        parser = self._parsers.pop(sender, None)
        if parser is None:
            if len(self._parsers) >= _SENDERS:
                del self._parsers[next(iter(self._parsers))]
            parser = self._dialect.MAVLink(None)
            parser.robust_parsing = True  # what is no message is told as BAD_DATA, and the rest goes on
        self._parsers[sender] = parser
        try:
            came = parser.parse_buffer(piece) or []
        except Exception as error:  # a fault of the parser's, but no byte may end the line
            del self._parsers[sender]
            self.count_bad(f"{type(error).__name__}: {error}")
            return []
        found = []
        for message in came:
            if message.get_type() == "BAD_DATA":
                self.count_bad(message.reason)
            else:
                found.append(message)
        self.messages += len(found)
        return found

    def count_bad(self, reason: str) -> None:
        """Counts something that is no message, and keeps why."""
        self.bad += 1
        self.reason = reason


def _raw(device: int, baud: int) -> None:
    """Sets a serial device to raw bytes at that rate, 8N1. Raises OSError where it is none, or knows no such rate."""
    try:
        settings = termios.tcgetattr(device)
    except termios.error:
        raise OSError(f"not a serial device; expected one such as /dev/ttyUSB0,{_BAUD}") from None
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise OSError(f"{baud} baud came, expected a usual rate such as 57600 or 115200")
    settings[0] = settings[1] = settings[3] = 0
    settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    settings[4] = settings[5] = speed
    # With 0 for the least a read that finds nothing looks like the end of the line.
    settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
    termios.tcsetattr(device, termios.TCSANOW, settings)
    with contextlib.suppress(OSError):  # nobody else opens it meanwhile and takes half of the bytes
        fcntl.ioctl(device, termios.TIOCEXCL)
