"""What a node that sleeps or restarts needs from whoever starts it: power again, with the cause of the start."""

import functools
import json
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from firmware_side import NODE_HEAP, answer, board
from test_firmware_unix import WORLD

RESET, ASLEEP = 42, 43  # exit statuses (firmware/unix/machine.py)
PWRON, SOFT, DEEPSLEEP = 1, 5, 4  # causes of a start


@functools.cache
def supplies() -> dict[str, int]:
    """{UART: the pin that switches what is behind it} of the board that is played (firmware/board.py)."""
    pins = answer(sys.executable, "import board\nout = board.CHIPS['esp32']")
    assert isinstance(pins, dict)
    return {"1": pins["gnss_power"], "2": pins["sensor_power"]}


class Board:
    """A simulated board in a folder of its own, with its switched supplies: started again as often as it resets or
    sleeps, until `off`."""

    def __init__(self, micropython: str, folder: Path, config: dict, world: dict | None = None) -> None:
        self.folder = folder
        now = int(time.time() * 1000)
        told = {**WORLD, "start_unix_ms": now, "pir": [], "supply": supplies(), **(world or {})}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "world.json").write_text(json.dumps(told))
        (folder / "track").write_bytes(struct.pack("<7i", 0, 365000000, -843000000, 40000, 4500, 0, 0))
        self.command = [micropython, "-X", f"heapsize={NODE_HEAP}", str(board() / "unix" / "run.py"), str(folder)]
        self.causes: list[int] = []
        self.slept: list[int] = []
        self.status: int | None = None
        self._off = threading.Event()
        self._process: subprocess.Popen | None = None
        self._thread = threading.Thread(target=self._power, daemon=True)

    def on(self) -> "Board":
        self._thread.start()
        return self

    def _power(self) -> None:
        cause = PWRON
        while not self._off.is_set():
            self.causes.append(cause)
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*self.command, str(cause)], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
                )
                self.status = self._process.wait()
            if self.status == RESET:
                cause = SOFT
            elif self.status == ASLEEP:
                cause = DEEPSLEEP
                asleep_ms = json.loads((self.folder / "asleep").read_text())["ms"]
                self.slept.append(asleep_ms)
                self._off.wait(asleep_ms / 1000)
            else:
                return

    def cut(self) -> None:
        """No power from now on."""
        self._off.set()
        while self._thread.is_alive():  # it may just be starting it again
            if self._process is not None:
                self._process.kill()
            self._thread.join(0.05)

    def again(self) -> None:
        """Power again, after a cut."""
        self._off = threading.Event()
        self._thread = threading.Thread(target=self._power, daemon=True)
        self._thread.start()

    def says(self, text: str, limit_s: float = 40) -> str:
        """Waits until the console has said that; all that it has said."""
        end = time.monotonic() + limit_s
        while text not in (said := self.said()):
            assert time.monotonic() < end, said
            time.sleep(0.05)
        return said

    def said(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""
