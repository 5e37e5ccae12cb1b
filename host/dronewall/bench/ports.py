"""Serial ports, and what answers at them: MicroPython, or the chip's bootloader, or why neither does.

Which USB identities are boards': the bridges that makers of ESP32 boards use, and Espressif's own. A computer's own
serial ports and modems have others, or none.
"""

import contextlib

from serial.tools import list_ports

from dronewall.bench.esptool_program import chip_at
from dronewall.bench.onboard import EXPECTED, Board, said
from dronewall.bench.repl import BoardError, Repl

_MAKERS = {0x303A: "Espressif", 0x10C4: "CP210x", 0x1A86: "CH340/CH910x", 0x0403: "FTDI"}
# No port, or a board that has said what it is.
_FINAL = ("no such port", "no permission", "busy:", "unplugged", "cannot be opened", EXPECTED)


def found() -> list[str]:
    """The serial ports that look like boards, sorted."""
    return sorted(each.device for each in list_ports.comports() if each.vid in _MAKERS)


def about(port: str, tries: int = 2) -> Board:
    """The board at a port: MicroPython is asked, and where none answers the chip's bootloader. What runs there is
    interrupted, and starts again. Where nothing answers, the record says why."""
    try:
        with Repl(port, tries=tries) as repl:
            return said(repl)
    except BoardError as error:
        trouble = str(error).removeprefix(f"{port}: ")
        if not may_have_another_program(error):
            return Board(port, trouble=trouble)
    with contextlib.suppress(BoardError):
        chip = chip_at(port, 2)
        return Board(port, chip.chip, chip.mac, chip.flash_bytes, trouble=trouble)
    return Board(port, trouble=trouble)


def may_have_another_program(error: BoardError) -> bool:
    """Whether a session that failed leaves the bootloader to be asked: the port is there, and ours, and nobody has said
    that it is another board's."""
    return not any(words in str(error) for words in _FINAL)
