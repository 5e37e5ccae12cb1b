"""One board's way from whatever is in its flash to a node's firmware: the steps that it needs, and their order.

Nothing is erased before the image is known to be whole, for this chip, of the nodes' version, and not too large.
Without --erase the board's file system, and with it a node's configuration, keys and counters, is left as it is:
MicroPython's image ends before it.
"""

from collections.abc import Callable
from dataclasses import replace

from dronewall.bench import esptool_program, image, onboard, ports
from dronewall.bench.bundle import MICROPYTHON
from dronewall.bench.files import Copied, Files, copied
from dronewall.bench.image import Image, ImageError
from dronewall.bench.onboard import Board
from dronewall.bench.repl import BoardError, Repl, back

Told = Callable[[str, float], None]
"""Is given what goes on (look, erase, write, verify, copy) and how much of it is done, 0 to 1."""


def flashed(
    port: str,
    files: Files,
    given: Image | None,
    erase: bool,
    told: Told,
    seen: Callable[[Board], None] = lambda board: None,
) -> tuple[Board, Copied]:
    """The board once it has MicroPython and these files, and what was copied; it starts again by itself.

    `given`: an image that is written; without one the kept one is, where MicroPython is missing or of another version.
    `seen` is given the board as soon as it has said what it is.

    Raises BoardError, whose message says the next step; the same call again goes on from there.
    """
    told("look", 0.0)
    board: Board | None = None
    reason = ""
    try:
        with Repl(port, tries=3) as repl:
            board = onboard.said(repl)
            seen(board)
            if board.micropython == MICROPYTHON and not (given or erase):
                return _with_files(repl, board, files, told)
    except BoardError as error:
        if board is not None or not ports.may_have_another_program(error):
            raise
        reason = str(error).removeprefix(f"{port}: ")
    asked = board if board and board.chip else _asked(port, reason)
    seen(asked)
    chip = asked.chip or ""
    try:
        chosen = given or image.kept(chip)
        chosen.check(chip, asked.flash_bytes)
    except ImageError as error:
        has = f"it has MicroPython {board.micropython}; " if board and board.micropython != MICROPYTHON else ""
        raise BoardError(f"{port}: {has}{error}") from None
    image.keep(chosen)
    if board:
        back(port)  # the session has ended with a reset
    esptool_program.write(port, chosen, erase, told)
    back(port)
    with Repl(port, tries=6) as repl:  # at its first start it makes its file system
        board = onboard.said(repl)
        if board.micropython != MICROPYTHON:
            raise BoardError(f"{port}: it says MicroPython {board.micropython} after {MICROPYTHON} was written")
        return _with_files(repl, board, files, told)


def _with_files(repl: Repl, board: Board, files: Files, told: Told) -> tuple[Board, Copied]:
    done = copied(repl, files, told)
    return replace(board, version=done.version, slot=done.folder), done


def _asked(port: str, reason: str) -> Board:
    """The board as its bootloader says, for MicroPython did not answer, for that reason."""
    try:
        found = esptool_program.chip_at(port)
    except BoardError as error:
        quoted = f" ({reason.partition(':')[0]})" if "it says" in reason else ""
        raise BoardError(f"{error}{quoted}") from None
    return Board(port, found.chip, found.mac, found.flash_bytes)
