"""Settings onto a board: written under new names, read back, held against the board's own firmware, and put in place in
one step, so that a board that is unplugged at any moment has its old settings or its new ones.

What goes over the line is in no message: neither a failed write nor a configuration that the board refuses is told with
what came.
"""

import contextlib
import functools
from collections.abc import Callable

from dronewall.bench import transfer
from dronewall.bench.files import ROOM
from dronewall.bench.onboard import Board
from dronewall.bench.repl import BoardError, ProgramError, Repl
from dronewall.bench.settings import Settings

_NEW = {"config.json": "config.part", "update.key": "update.part"}  # config.new is the firmware's own, for trials
_CHECK_S = 60.0  # a refused configuration is looked through to its end

_PINS = """
import board, config, json
late = [pin for word in ("uart2", "i2s", "sensor", "battery", "servo") for pin in board.pins(word)]
free = board.pins("pir") + [pin for pin in range(49) if pin not in late] + late
print(json.dumps([pin for pin in sorted(set(free), key=free.index) if not config.refusal(pin)]))
"""
_CHECK = """
import config, gc, json
def problems():
    try:
        config.read("/config.part")
    except config.ConfigError as error:
        return str(error).split("\\n")
    return []
gc.collect()
print(json.dumps(problems()))
"""
_CHECK_TLS = """
import json, tls
def der(name):
    with open("/" + name, "rb") as file:
        return file.read()
def unread(ca, *own):
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    try:
        context.load_verify_locations(der(ca))
    except (ValueError, OSError):
        return ca
    try:
        if own:
            context.load_cert_chain(der(own[0]), der(own[1]))
    except (ValueError, OSError):
        return own[0] + " with " + own[1]
"""
_REMOVE = """
import os
def remove(names, kept):
    for name in os.listdir("/"):
        if name in names and (name not in kept or name.endswith(".part")):
            os.remove("/" + name)
"""
_PLACE = """
import json, os
there = os.listdir("/")
for name in ("config.new", "config.tried"):
    if name in there:
        os.remove("/" + name)
os.rename("/update.part", "/update.key")
os.rename("/config.part", "/config.json")
for name in there:
    if name.endswith(".der") and name.split("-")[0] in ("ca", "certificate", "key") and name not in keep:
        os.remove("/" + name)
"""


class ProvisionError(ValueError):
    """A board that was not given its settings: which, why, and what it has now."""


def pir_pins(repl: Repl) -> list[int]:
    """The pins of this board that a presence sensor may have, the one of the reference wiring first."""
    found: list[int] = repl.answer(_PINS, list[int])
    return found


def put(repl: Repl, board: Board, settings: Settings, progress: Callable[[int, int], None]) -> None:
    """Returns once the board has these settings. Its firmware must be on its path (`onboard.import_firmware`).
    `progress` is given the bytes that are there, and all.

    Raises ProvisionError where the board refuses them, or has no room, and BoardError where it falls silent: it has its
    old settings then, or all of the new ones; cut between its two renames, the old ones and the new key of its updates.
    """
    contents = {**settings.files, _NEW["update.key"]: settings.key, _NEW["config.json"]: settings.text}
    total = sum(map(len, contents.values()))
    done = 0
    repl.run(transfer.HELPERS)
    there = transfer.digests(repl, [f"/{name}" for name in contents])
    try:
        for name, content in contents.items():
            if there.get(f"/{name}") != transfer.sha256(content):
                _write(repl, f"/{name}", content, functools.partial(_told, progress, done, total))
            done += len(content)
            progress(done, total)
        _refuse(repl, settings)
    except ProvisionError:
        with contextlib.suppress(BoardError):
            repl.run(f"{_REMOVE}\nremove({[*contents]!r}, {[*board.files]!r})")
        raise
    repl.run(f"keep = {list(settings.files)!r}\n{_PLACE}")
    there = transfer.digests(repl, [f"/{name}" for name in _NEW])
    for name, new in _NEW.items():
        if there[f"/{name}"] != transfer.sha256(contents[new]):
            raise ProvisionError(f"{repl.port}: {name} is not what was written; give the same command again")


def _refuse(repl: Repl, settings: Settings) -> None:
    """Raises ProvisionError where the board's own firmware would not start with what was written."""
    wrong: list[str] = repl.answer(_CHECK, list[str], _CHECK_S)
    if wrong:
        problems = "\n".join("  " + line.partition(", not ")[0] for line in wrong[1:] or wrong)
        raise ProvisionError(
            f"{repl.port}: the board's firmware refuses the settings, and keeps what it had:\n{problems}"
        )
    if settings.files:
        refused = repl.answer(f"{_CHECK_TLS}\nprint(json.dumps(unread(*{list(settings.files)!r})))", str | None)
        if refused:
            raise ProvisionError(f"{repl.port}: the board cannot read {refused}; it keeps what it had")


def _told(progress: Callable[[int, int], None], done: int, total: int, at: int) -> None:
    progress(done + at, total)


def _write(repl: Repl, path: str, content: bytes, progress: Callable[[int], None]) -> None:
    try:
        transfer.write(repl, path, content, progress)
    except ProgramError as error:
        why = f"its flash is full; {ROOM}" if error.full else "it cannot write to its flash"
        raise ProvisionError(
            f"{repl.port}: {path} was not written, and it keeps the settings that it had: {why}"
        ) from None
    except BoardError as error:
        # A board that has started again echoes what it is told.
        reason = str(error).partition(" after ")[0].partition("; ")[0]
        raise BoardError(f"{reason}; it keeps the settings that it had. Give the same command again") from None
