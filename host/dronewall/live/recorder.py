"""What came from the broker, kept in a file and given back: a live wall can be looked at again, at any time of it.

A recording is JSON lines. Its first line says what it is; each of the others is one message of a node, as it came:

    {"recording": 1, "wall": "jacksboro"}
    {"arrived_unix_ms": 1772366400000, "retained": false, "topic": "dw/1/...", "payload": "{...}"}

`payload_base64` stands for `payload` where that is no text. Lines are only ever added; one that a crash tore counts as
none. A file that has grown to its limit becomes FILE.1, that one FILE.2, and so on; the oldest goes. So that what is
left tells of every sensor, a new file begins with the last retained message of each topic, marked `"again": true`.
"""

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from dronewall import wire
from dronewall.live.ingest import Arrival, arrival_of, take
from dronewall.live.state import State

FORMAT = 1
LIMIT = 256_000_000  # [bytes] of all files of a recording
FILES = 4  # they are spread over, FILE itself included
_LINE = 4 * wire.LIMIT  # [bytes] of a message's line, more than any has
_HEAD = 200  # [bytes] of the first line


class RecordingError(ValueError):
    """A file that is no recording of this wall, or one that cannot be written, and why."""


class Recorder:
    """A recording that goes on for as long as the `with` block lasts; one that is there already is continued.

    limit: bytes of all its files. Raises RecordingError for a file that holds something else, or that cannot be
    written.
    """

    def __init__(self, path: Path, wall: str, *, limit: int = LIMIT) -> None:
        self.path, self.wall = path, wall
        self.count = 0
        self._limit = max(limit // FILES, 2 * _LINE)
        self._kept: dict[str, bytes] = {}  # what a new file begins with
        self._kept_size = 0
        self._size = 0
        self._file: BinaryIO | None = None

    def write(self, arrival: Arrival) -> None:
        """Adds a message. What is added is on the disk after `flush`."""
        line = _line(_record(arrival))
        if len(line) > _LINE:  # the wire refuses it; that it came is what there is to say
            line = _line(_record(arrival._replace(payload=arrival.payload[: wire.LIMIT + 1])))
        if self._size + len(line) > self._limit:
            self._turn()
        self._add(line)
        self.count += 1
        self._keep(arrival)

    def flush(self) -> None:
        """Gives the operating system all that was added."""
        if self._file is not None:
            with _told(self.path):
                self._file.flush()

    def _keep(self, arrival: Arrival) -> None:
        """Keeps the last message of each retained topic, as many as half a file takes."""
        report = arrival.report
        if report is None or not wire.delivery(report.kind)[0]:
            return
        self._kept_size -= len(self._kept.pop(arrival.topic, b""))
        line = _line({**_record(arrival), "again": True})
        if report.values is not None and self._kept_size + len(line) <= self._limit // 2:
            self._kept[arrival.topic] = line
            self._kept_size += len(line)

    def _turn(self) -> None:
        """Begins a new file."""
        self._close()
        with _told(self.path):
            for number in range(FILES - 1, 0, -1):
                older = _older(self.path, number - 1)
                if older.exists():
                    os.replace(older, _older(self.path, number))
        self._open()
        for line in self._kept.values():
            self._add(line)

    def _open(self) -> None:
        with _told(self.path):
            there = self.path.exists() and self.path.stat().st_size > 0
            if there and _wall_of(self.path) != self.wall:
                raise RecordingError(f"{self.path}: a recording of wall {_wall_of(self.path)}; expected {self.wall}")
            self._file = self.path.open("ab")
            self._size = self._file.tell()
            if not there:
                self._add(_line({"recording": FORMAT, "wall": self.wall}))
            elif not _ends_whole(self.path):
                self._add(b"\n")

    def _add(self, line: bytes) -> None:
        assert self._file is not None
        with _told(self.path):
            self._file.write(line)
        self._size += len(line)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with _told(self.path):
                file.close()

    def __enter__(self) -> "Recorder":
        self._open()
        self.flush()
        for arrival, _ in _lines(self.path):
            self._keep(arrival)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


class Replayed(NamedTuple):
    """What of a recording went into a state: how many messages, and when the last of them came."""

    messages: int
    last_unix_ms: int


def replay(path: Path, state: State, until_unix_ms: int | None = None) -> Replayed:
    """Puts a recording's messages into the state, as they came: those up to that time, left out: all.

    Raises RecordingError where there is none of the state's wall until then.
    """
    files = [_older(path, number) for number in range(FILES - 1, 0, -1) if _older(path, number).exists()]
    count, last, first = 0, -1, None
    for index, file in enumerate([*files, path]):
        if (wall := _wall_of(file)) != state.wall:
            raise RecordingError(f"{file}: a recording of wall {wall}; expected {state.wall}")
        for arrival, again in _lines(file):
            if again and index > 0:
                continue  # the file before has it
            first = arrival.arrived_unix_ms if first is None else min(first, arrival.arrived_unix_ms)
            if until_unix_ms is None or arrival.arrived_unix_ms <= until_unix_ms:
                take(state, arrival)
                count, last = count + 1, max(last, arrival.arrived_unix_ms)
    if first is None:
        raise RecordingError(f"{path}: no message in it")
    if not count:
        assert until_unix_ms is not None
        ahead = (first - until_unix_ms) / 1000.0
        raise RecordingError(f"{path}: its first message came {ahead:.0f} s after that time")
    return Replayed(count, last)


def _older(path: Path, number: int) -> Path:
    """The file of a recording that was turned over so many times."""
    return path.with_name(f"{path.name}.{number}") if number else path


def _record(arrival: Arrival) -> dict[str, Any]:
    found: dict[str, Any] = {
        "arrived_unix_ms": arrival.arrived_unix_ms,
        "retained": arrival.retained,
        "topic": arrival.topic,
    }
    try:
        found["payload"] = arrival.payload.decode()
    except UnicodeDecodeError:
        found["payload_base64"] = base64.b64encode(arrival.payload).decode()
    return found


def _line(record: dict[str, Any]) -> bytes:
    # ASCII, so that no topic and no payload steers the terminal of who looks into the file.
    return json.dumps(record).encode() + b"\n"


def _lines(path: Path) -> Iterator[tuple[Arrival, bool]]:
    """The messages of one file, and whether each was in the file before. What is none is left out."""
    with _told(path), path.open("rb") as file:
        while line := file.readline(_LINE + 1):
            try:
                record = json.loads(line)
                raw = record.get("payload_base64")
                payload = base64.b64decode(raw, validate=True) if raw is not None else record["payload"].encode()
                arrived, retained, topic = record["arrived_unix_ms"], record["retained"], record["topic"]
            except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
                continue
            if type(arrived) is int and type(topic) is str and type(retained) is bool:
                arrival = arrival_of(topic, payload, arrived, retained)
                if arrival is not None:
                    yield arrival, bool(record.get("again"))


def _wall_of(path: Path) -> str:
    """The wall of a recording. Raises RecordingError for a file that is none."""
    with _told(path), path.open("rb") as file:
        head = file.readline(_HEAD)
    try:
        record = json.loads(head)
        wall = record["wall"] if record["recording"] == FORMAT else None
    except (ValueError, KeyError, TypeError, RecursionError):
        wall = None
    if type(wall) is not str:
        raise RecordingError(f"{path}: not a recording; expected what `dronewall record` wrote")
    return wall


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what the operating system says into a RecordingError, but for a full disk, which is told elsewhere."""
    try:
        yield
    except FileNotFoundError as error:
        raise RecordingError(f"{error.filename or path}: no such file") from None
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise RecordingError(f"{error.filename or path}: {error.strerror}") from None
