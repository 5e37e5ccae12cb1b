"""The commands for boards on the bench's USB ports: which are there, and the firmware onto them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dronewall.options import agree, loudness
from dronewall.program import EXCEEDED, Program
from dronewall.talk import FEWEST, Talk, clean, complain, stdout

if TYPE_CHECKING:
    from dronewall.bench.files import Files
    from dronewall.bench.image import Image
    from dronewall.bench.onboard import Board

_FILE = click.Path(path_type=Path)
_DOING = {"look": "asked", "erase": "erased", "write": "written", "verify": "verified", "copy": "files copied"}
_LISTED = ("port", "chip", "mac", "flash_bytes", "micropython", "version", "slot", "wall", "node", "trouble")
_port = click.option("--port", "-p", "ports", multiple=True, metavar="PORT", help="A serial port; may be repeated.")


@click.command("list", cls=Program.command_class)
@_port
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@loudness
def list_boards(ports: tuple[str, ...], as_json: bool, verbose: int, quiet: bool) -> int:
    """List the boards on the serial ports: chip, MAC, flash, MicroPython, and the node that each is.

    Ports with the USB identity of a board are asked, and those given with --port. A board that runs a node is
    interrupted, and starts again afterwards. The status is 3 when no board answers at a port given
    with --port.
    """
    import concurrent.futures

    with Talk(1, verbose, quiet) as talk:
        from dronewall.bench.ports import about, found

        asked = list(dict.fromkeys(ports)) or found()
        talk.now(1, f"asking {', '.join(asked)}")
        with concurrent.futures.ThreadPoolExecutor(max(1, len(asked))) as pool:
            boards = list(pool.map(about, asked))
        talk.settle()
        if as_json:
            click.echo(json.dumps([{key: getattr(each, key) for key in _LISTED} for each in boards], indent=2))
        elif not boards:
            talk.note("no boards found: a cable that only charges shows none; other ports are asked with --port")
        else:
            heads = ["port", "chip", "MAC", "flash", "Micro-\nPython", "firm-\nware", "node"]
            _table(heads, [_row(each) for each in boards])
        if not as_json:
            _complain([(board.port, board.trouble) for board in boards if board.trouble])
    return EXCEEDED if ports and any(board.chip is None for board in boards) else 0


@click.command(cls=Program.command_class)
@_port
@click.option("--all", "every", is_flag=True, help="Every port that `dronewall node list` shows; asks first.")
@click.option("--image", "given", type=_FILE, metavar="FILE",
              help="MicroPython's image for the chip; it is written, and kept for the next board.")  # fmt: skip
@click.option("--erase", is_flag=True,
              help="Erase all of the flash first, a node's configuration and keys with it; asks first.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@loudness
def flash(
    ports: tuple[str, ...], every: bool, given: Path | None, erase: bool, yes: bool, verbose: int, quiet: bool
) -> int:
    """Put MicroPython and the firmware of this dronewall onto boards, side by side.

    MicroPython is written where it is missing or of another version, or where --image is given; its image is not
    shipped: without one the command says where it is found. The firmware is copied file by file, each checked on the
    board; what is there already is not copied again. Configuration, keys and counters of a node stay. When it is
    broken off, the old firmware starts where there was one, and the same command goes on.

    A board that fails does not stop the others; the status is then 3.
    """
    import concurrent.futures
    import tempfile

    if bool(ports) == every:
        raise click.UsageError("expected --port PORT, or --all")
    with Talk(2, verbose, quiet) as talk, tempfile.TemporaryDirectory(prefix="dronewall-flash-") as folder:
        from dronewall import firmware_files
        from dronewall.bench import image
        from dronewall.bench.files import node_files
        from dronewall.bench.ports import found

        chosen = found() if every else list(dict.fromkeys(ports))
        if not chosen:
            raise click.UsageError("no boards found: a cable that only charges shows none; name the port with --port")
        if every and not yes:
            agree(f"Flash the boards at {', '.join(chosen)}?")
        if erase and not yes:
            agree(f"Erase {', '.join(chosen)}, with the configuration and keys of the nodes that they are?")
        read = image.read(given) if given else None
        talk.step(1, "compiling the firmware")
        files = node_files(firmware_files.built(Path(folder) / "firmware"))
        talk.step(2, f"flashing {', '.join(chosen)}")
        stop = threading.Event()
        bars = _Bars(talk, chosen, stop)
        with _goes_on(talk), bars, concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
            begun = [pool.submit(_one, port, files, read, erase, bars.told(port)) for port in chosen]
            try:
                concurrent.futures.wait(begun)
            finally:
                stop.set()  # interrupted: each board is left at the next step, and started again
        results = [each.result() for each in begun]
    _table(["port", "MAC", "node", "firmware", "files", "s", "result"], [row for row, _ in results])
    _complain([(row[0], trouble.removeprefix(f"{row[0]}: ")) for row, trouble in results if trouble])
    return EXCEEDED if any(trouble for _, trouble in results) else 0


@contextmanager
def _goes_on(talk: Talk) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        talk.note("broken off; the same command goes on from there")
        raise


def _one(
    port: str, files: "Files", given: "Image | None", erase: bool, told: Callable[[str, float], None]
) -> tuple[list[str], str | None]:
    """A row of the summary, and what went wrong."""
    from dronewall.bench.flashing import flashed
    from dronewall.bench.repl import BoardError

    begun = time.monotonic()
    seen: list[Board] = []
    version = copied = ""
    trouble = None
    try:
        board, done = flashed(port, files, given, erase, told, seen.append)
        seen.append(board)
        version, copied = f"{done.version} in {done.folder}", f"{done.files} of {done.count}"
    except BoardError as error:
        trouble = str(error)
    mac, node = (seen[-1].mac, seen[-1].node) if seen else (None, None)
    seconds = time.monotonic() - begun
    took = f"{seconds:.1f}" if seconds < 10.0 else f"{seconds:.0f}"
    row = [port, mac or "", node or "", version, copied, took, "failed" if trouble else "done"]
    return row, trouble


class _Bars:
    """A bar for each board where a person watches, else a line for each step of each."""

    def __init__(self, talk: Talk, ports: list[str], stop: threading.Event) -> None:
        self._talk = talk
        self._stop = stop
        self._bars: Any = None
        if talk.terminal and not talk.quiet:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

            words = TextColumn("{task.fields[port]}  {task.description}", markup=False)
            self._bars = Progress(
                words, BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=Console(stderr=True)
            )
            self._tasks = {port: self._bars.add_task("waits", total=1.0, port=port) for port in ports}

    def told(self, port: str) -> Callable[[str, float], None]:
        """What the board's worker calls with what goes on, and how much of it is done."""
        last = ""

        def tell(what: str, share: float) -> None:
            nonlocal last
            from dronewall.bench.repl import BoardError

            if self._stop.is_set():
                raise BoardError(f"{port}: interrupted; give the same command again")
            if self._bars:
                self._bars.update(self._tasks[port], description=_DOING[what], completed=share)
            elif what != last:
                self._talk.note(f"{port}: is {_DOING[what]}" if what != "copy" else f"{port}: {_DOING[what]}")
            last = what

        return tell

    def __enter__(self) -> None:
        self._context: AbstractContextManager[Any] = self._bars or nullcontext()
        self._context.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)


def _row(board: "Board") -> list[str]:
    node = "/".join(each for each in (board.wall, board.node) if each)
    firmware = f"{board.version} in {board.slot}" if board.slot else ""
    flash_bytes = f"{board.flash_bytes >> 20} MB" if board.flash_bytes else ""
    python = board.micropython or ("none" if board.chip else "")
    return [board.port, board.chip or "no answer", board.mac or "", flash_bytes, python, firmware, node]


def _table(heads: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for head in heads:
        least = len("/dev/ttyUSB0") if head == "port" else None
        table.add_column(head, no_wrap=head not in ("port", "node"), overflow="fold", min_width=least)
    for row in rows:
        table.add_row(*[Text(clean(cell)) for cell in row])
    console = stdout()
    console.width = max(console.width, FEWEST)
    console.print(table)


def _complain(troubles: list[tuple[str, str]]) -> None:
    """A line for each trouble that ports have, with the ports that have it: twenty empty boards have one."""
    ports: dict[str, list[str]] = {}
    for port, trouble in troubles:
        ports.setdefault(trouble, []).append(port)
    for trouble, those in ports.items():
        complain(f"{', '.join(those)}: {trouble}")


COMMANDS: tuple[click.Command, ...] = (list_boards, flash)
