"""What is said while work goes on, on stderr, and the console that answers go to."""

import io
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


FEWEST = 80
"""Columns that a table is given at least: a narrower terminal folds its lines, and no column or digit is lost."""


def clean(text: str) -> str:
    """`text` without what steers a terminal: names, files and what a board or the wire says are anybody's."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def complain(text: str) -> None:
    """Says on stderr what went wrong with one of several, or what the exit status says: a line that names us."""
    import click

    click.echo(f"dronewall: {clean(text)}", err=True)


class Talk:
    """What is said on stderr while work goes on: numbered steps, and one line that changes where a person watches."""

    def __init__(self, steps: int, verbose: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.logging import RichHandler

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._steps = steps
        self._quiet = quiet
        self._status: Any = None
        self._last = ""
        logging.basicConfig(
            level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)] if not quiet else logging.ERROR,
            format="%(name)s: %(message)s",
            handlers=[RichHandler(console=self._console, show_time=False, show_path=False)],
            force=True,
        )
        if verbose < 3:
            for name in ("numba", "matplotlib", "rasterio", "PIL"):
                logging.getLogger(name).setLevel(logging.WARNING)

    def step(self, number: int, text: str) -> None:
        """A step that is done or begins, on a line of its own."""
        if not self._quiet:
            self._console.print(f"[{number}/{self._steps}] {text}", markup=False)

    def now(self, number: int, text: str, everywhere: bool = False) -> None:
        """What goes on at this moment: in place on a terminal; elsewhere only if told so, a line for each change."""
        if self._quiet or text == self._last:
            return
        self._last = text
        line = f"[{number}/{self._steps}] {text}"
        if not self._console.is_terminal:
            if everywhere:
                self._console.print(line, markup=False)
        elif self._status is None:
            self._status = self._console.status(_plain(line))
            self._status.start()
        else:
            self._status.update(_plain(line))

    def settle(self, keep: bool = False) -> None:
        """Ends the line that changes; `keep`: what it said last stays, where nothing else has kept it."""
        self._last = ""
        if self._status is not None:
            said = self._status.status
            self._status.stop()
            self._status = None
            if keep:
                self._console.print(said, markup=False)

    @property
    def terminal(self) -> bool:
        """Whether a person watches, for whom a line may change in place."""
        return self._console.is_terminal

    @property
    def quiet(self) -> bool:
        """Whether nothing but the result and errors is wanted."""
        return self._quiet

    @property
    def room(self) -> int:
        """Columns for the text of `now`, where they are few: the number of the step and the spinner take theirs."""
        return self._console.width - 8 if self._console.is_terminal else 1000

    def note(self, text: str) -> None:
        """A line that belongs to no step."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self.settle()


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def stdout() -> "Console":
    from rich.console import Console

    # Where the terminal's encoding lacks a letter, such as the degree sign, a question mark is better than no answer.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False)
