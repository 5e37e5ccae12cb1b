"""The command line's help inside documents: written by the program, compared by `make lint`, never by hand.

    <!-- help: dronewall gaps -->
    ...what `dronewall gaps --help` prints, in a fenced block...
    <!-- /help -->

`tools/help_blocks.py` rewrites the blocks of README.md and docs/; with --check it changes nothing, names each
block that differs and ends with 1.
"""

import argparse
import re
import sys
from pathlib import Path

import click
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?P<open><!-- help: dronewall(?P<words>[a-z -]*?) -->\n)(?P<body>.*?)(?P<close><!-- /help -->)",
    re.DOTALL,
)
OPENING = re.compile(r"<!-- help: [^>]*-->")


class DocumentError(ValueError):
    """A help block that cannot be filled: which document, which block, why."""


def documents(root: Path = ROOT) -> list[Path]:
    """README.md and everything under docs/ that is Markdown."""
    return [path for path in [root / "README.md", *sorted((root / "docs").rglob("*.md"))] if path.is_file()]


def help_text(command: click.Command, words: str) -> str:
    """What `dronewall WORDS --help` prints, 80 columns wide; DocumentError where there is no such command."""
    # The width is the terminal's otherwise, and the document would change with it.
    ran = CliRunner().invoke(command, [*words.split(), "--help"], prog_name="dronewall", terminal_width=80, color=False)
    if ran.exit_code != 0:
        raise DocumentError(f"dronewall{words} --help ended with {ran.exit_code}: {ran.output.strip()}")
    return ran.stdout.rstrip() + "\n"


def filled(text: str, command: click.Command, name: str) -> str:
    """The document with every help block written anew; DocumentError names it when a block is broken."""

    def block(found: re.Match[str]) -> str:
        shown = f"$ dronewall{found['words']} --help\n{help_text(command, found['words'])}"
        return f"{found['open']}```text\n{shown}```\n{found['close']}"

    blocks = len(BLOCK.findall(text))
    if blocks != len(OPENING.findall(text)):
        raise DocumentError(f"{name}: a help block is not closed by <!-- /help -->, or does not begin with dronewall")
    try:
        return BLOCK.sub(block, text)
    except DocumentError as error:
        raise DocumentError(f"{name}: {error}") from None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only; ends with 1 where a block is not current")
    check = parser.parse_args().check
    from dronewall.cli import main as command

    stale = 0
    for path in documents():
        text = path.read_text(encoding="utf-8")
        wanted = filled(text, command, path.name)
        if text == wanted:
            continue
        if check:
            stale += 1
            print(
                f"{path.relative_to(ROOT)}: the help shown is not the program's; run tools/help_blocks.py",
                file=sys.stderr,
            )
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} written")
    return 1 if stale else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DocumentError as problem:
        sys.exit(str(problem))
