"""esptool, run as a program beside this one: which words it is given, and what its words mean.

It is GPL, so nothing of it is imported. What it prints: esptool's documentation, "Basic Commands".
"""

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dronewall.bench.image import CHIPS, Image
from dronewall.bench.repl import BoardError, opened

FAST = 460_800  # [baud] what the chips' stub takes over the USB bridges that are usual
_LINES = re.compile(r"[\r\n]+")
_FLASH = re.compile(r"Detected flash size: (\d+)(KB|MB)")
_MAC = re.compile(r"^MAC:\s+([0-9a-f:]{17})", re.MULTILINE)
_CHIP = re.compile(r"Connected to (ESP32[-\w]*) on")
_PERCENT = re.compile(r"^Writing at 0x[0-9a-f]+ .*?(\d+)\.\d%")


@dataclass(frozen=True)
class Chip:
    """What the bootloader says of a board."""

    chip: str
    mac: str
    flash_bytes: int | None


def chip_at(port: str, attempts: int = 3) -> Chip:
    """The chip, asked in its bootloader; the board starts again afterwards. Raises BoardError where none answers."""
    said = _run(port, ["--connect-attempts", str(attempts)], ["flash-id"], lambda line: None)
    found, mac, flash = _CHIP.search(said), _MAC.search(said), _FLASH.search(said)
    name = found[1].lower().replace("-", "") if found else "unknown"
    if not (found and mac) or name not in CHIPS.values():
        raise BoardError(f"{port}: the chip is an {name}; expected one of {', '.join(sorted(CHIPS.values()))}")
    size = int(flash[1]) << (20 if flash[2] == "MB" else 10) if flash else None
    return Chip(name, mac[1], size)


def write(port: str, image: Image, erase: bool, told: Callable[[str, float], None]) -> None:
    """Writes the image and has the chip verify it (MD5 of what the flash has); `erase`: all of the flash before.

    `told` is given what goes on ("erase", "write", "verify") and how much of it is done, 0 to 1. Raises BoardError.
    """
    done = False

    def heard(line: str) -> None:
        nonlocal done
        percent = _PERCENT.match(line)
        if percent:
            told("write", int(percent[1]) / 100)
        elif line.startswith("Erasing flash"):
            told("erase", 0.0)
        elif line.startswith("Verifying"):
            told("verify", 0.0)
        done = done or line.startswith("Hash of data verified")

    with _copied(port, image) as copy:  # what was checked, and not what the file has by now
        words = ["write-flash", *(["--erase-all"] if erase else []), hex(image.boot), copy]
        _run(port, ["--chip", image.chip, "--baud", str(FAST)], words, heard)
    if not done:
        raise BoardError(f"{port}: esptool did not verify what it wrote; give the same command again")


@contextlib.contextmanager
def _copied(port: str, image: Image) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".bin"))
            file.write(image.content)
            file.flush()
        except OSError as error:
            raise BoardError(
                f"{port}: no copy of the image can be made in {tempfile.gettempdir()} ({error.strerror}); make room"
                " there, or name another folder in TMPDIR"
            ) from None
        yield file.name


def _run(port: str, options: list[str], words: list[str], heard: Callable[[str], None]) -> str:
    opened(port).close()  # says better than esptool why a port cannot be had
    command = [sys.executable, "-m", "esptool", "--port", port, *options, *words]
    lines: list[str] = []
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    )
    try:
        assert process.stdout is not None
        rest = ""
        while data := process.stdout.read(4096):
            *whole, rest = _LINES.split(rest + data.decode(errors="replace"))
            for line in whole:
                lines.append(line)
                heard(line)
        lines.append(rest)
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
    said = "\n".join(lines)
    if process.returncode:
        raise BoardError(f"{port}: {_meaning(port, said)}")
    return said


def _meaning(port: str, said: str) -> str:
    """What went wrong, and the next step."""
    again = "plug it in and give the same command again"
    if "No module named esptool" in said:
        return "esptool is missing; pip install esptool"
    if "could not open port" in said or "Lost connection" in said or "device disconnected" in said:
        return f"unplugged in the middle; {again}"
    if "MD5 of file does not match" in said or "Verify failed" in said or "checksum" in said.lower():
        return "what the flash has is not what was sent (a long or bad cable, a weak hub); give the same command again"
    if "This chip is" in said or "Wrong --chip argument" in said or "Unexpected chip" in said:
        return "another chip than the image is for; " + _last(said)
    if "Failed to connect" in said or "No serial data received" in said or "Invalid head of packet" in said:
        return (
            "no ESP32 answers in its bootloader: not such a board, something else talks on the line, or it has no"
            " automatic reset: hold BOOT, press RESET, let go of BOOT, and give the same command again"
        )
    return f"esptool said: {_last(said)}; give the same command again"


def _last(said: str) -> str:
    """The line in which esptool says what failed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return (told or lines or ["nothing"])[-1][:200]
