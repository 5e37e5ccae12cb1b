"""What the documents say is what happens: their commands run, their options exist, their help is the
program's.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import help_blocks

FENCED = re.compile(
    r"^(?P<fence>```+)(?P<kind>[a-z]*)[^\n]*\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE
)
INLINE = re.compile(r"`([^`\n]+)`")
# `$ dronewall gaps site.toml --fail-over 200m   # exit status 3`
STATUS = re.compile(r"#\s*exit status (\d+)")
TARGETS = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)

# Commands that change the reader's machine, or make the checkout that this test already runs in. Shown, not
# run.
PREPARATION = (
    "apt-get",
    "brew",
    "cd dronewall",
    "git clone",
    "pip install",
    "python3 -m venv",
    "source",
    "sudo",
)


@dataclass(frozen=True)
class Command:
    """One `$ ` line of a console block."""

    document: Path
    line: int
    text: str

    @property
    def status(self) -> int:
        told = STATUS.search(self.text)
        return int(told[1]) if told else 0

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}: $ {self.text}"


def console(document: Path) -> list[Command]:
    """The commands of the document's console blocks in order; a line that ends in a backslash goes on in the
    next.
    """
    commands = []
    text = document.read_text(encoding="utf-8")
    for block in FENCED.finditer(text):
        if block["kind"] != "console":
            continue
        first = text.count("\n", 0, block.start("body")) + 1
        lines = block["body"].split("\n")
        for offset, line in enumerate(lines):
            if line.startswith("$ "):
                words = line[2:]
                while words.endswith("\\"):
                    offset += 1
                    words = words[:-1] + lines[offset].removeprefix("> ").lstrip()
                commands.append(Command(document, first + offset, words))
    return commands


def make_targets() -> set[str]:
    return set(TARGETS.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


def run_in_order(commands: list[Command], folder: Path) -> None:
    """Runs the commands in the folder, one shell each; the test fails at the first that ends otherwise than
    it says.
    """
    beside = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    for command in commands:
        text = command.text
        if text.startswith(PREPARATION):
            continue
        if text.split()[0] == "make":
            targets = [word for word in shlex.split(text, comments=True)[1:] if "=" not in word and word[0] != "-"]
            unknown = set(targets) - make_targets()
            if unknown:
                pytest.fail(f"{command}\nthe Makefile has no target {', '.join(sorted(unknown))}", pytrace=False)
            if targets != ["demo"]:
                continue
            text = "dronewall demo"  # what it runs once all is set up; later commands use what it leaves
        ran = subprocess.run(
            ["bash", "-c", text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        if ran.returncode != command.status:
            told = f"{command}\nended with {ran.returncode}, not {command.status}:\n{ran.stdout[-3000:]}"
            pytest.fail(told, pytrace=False)


def snippets(text: str) -> list[str]:
    """Every line of code of a document, fenced or inline, but for the help blocks, which are generated."""
    text = help_blocks.BLOCK.sub("", text)
    fenced = [line for block in FENCED.finditer(text) for line in block["body"].split("\n")]
    return fenced + INLINE.findall(FENCED.sub("", text))


def unknown_words(text: str, program: click.Command) -> list[str]:
    """The commands and options of `dronewall ...` in the document that the program does not have."""
    faults = []
    for snippet in snippets(text):
        for said in re.findall(r"(?:^|[\s/])dronewall((?:[ \t]+[^\s|;&>#)]+)+)", snippet):
            words = said.split()
            command, name = program, "dronewall"
            context = click.Context(command, info_name="dronewall")
            while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
                found = command.get_command(context, words[0])
                if found is None:
                    faults.append(f"{name} {words[0]}")
                    break
                command, name = found, f"{name} {words.pop(0)}"
                context = click.Context(command, info_name=name, parent=context)
            else:
                options = {text for each in command.get_params(context) for text in (*each.opts, *each.secondary_opts)}
                wanted = [word.split("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]
                faults += [f"{name} {word}" for word in wanted if word not in options]
    return faults


DOCUMENTS = help_blocks.documents(ROOT)
BENCH = ROOT / "docs" / "bench.md"  # needs boards and a broker: test_bench_guide.py runs its commands


def named(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def program() -> click.Command:
    from dronewall.cli import main

    return main


def test_there_is_a_readme_with_commands() -> None:
    assert ROOT / "README.md" in DOCUMENTS
    assert console(ROOT / "README.md")


@pytest.mark.timeout(400)
@pytest.mark.needs("micropython")
@pytest.mark.parametrize("document", [each for each in DOCUMENTS if console(each) and each != BENCH], ids=named)
def test_every_command_of_the_document_works_in_an_empty_folder(document: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")  # the reader has the checkout's examples at hand
    run_in_order(console(document), tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_command_and_option_that_the_document_names_exists(document: Path) -> None:
    assert unknown_words(document.read_text(encoding="utf-8"), program()) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_make_target_that_the_document_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    said = re.findall(r"^ {4}(make .*)$", text, re.MULTILINE) + [each.removeprefix("$ ") for each in snippets(text)]
    named = {each.split()[1] for each in said if re.match(r"make [a-z]", each)}
    assert named <= make_targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_the_help_shown_in_the_document_is_the_programs(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert help_blocks.filled(text, program(), document.name) == text, "run tools/help_blocks.py"


# --- the checks themselves, on documents made for it ---


@click.group()
@click.option("--quiet", "-q", is_flag=True)
def sample(quiet: bool) -> None:
    """A program to document."""


@sample.command()
@click.argument("site")
@click.option("--fail-over", metavar="LENGTH", help="End with 3 over this length.")
@click.option("--fast/--slow")
def gaps(site: str, fail_over: str, fast: bool) -> None:
    """The gaps of a site."""


def written(folder: Path, *lines: str) -> Path:
    path = folder / "guide.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_commands_are_read_from_console_blocks_only_with_their_lines(tmp_path: Path) -> None:
    text = [
        "# Guide",
        "```console",
        "$ echo one \\",
        ">    two",
        "one two",
        "$ false  # exit status 1",
        "```",
    ]
    guide = written(tmp_path, *text, "```text", "$ rm -r everything", "```")
    assert [(each.text, each.status) for each in console(guide)] == [
        ("echo one two", 0),
        ("false  # exit status 1", 1),
    ]
    assert console(guide)[1].line == 6


def test_commands_run_in_order_in_one_folder(tmp_path: Path) -> None:
    first = ["```console", "$ git clone somewhere", "$ make lint test", "$ echo 7 > seven", "```", "then"]
    second = ["```console", "$ grep 7 seven", "$ exit 3  # exit status 3", "```"]
    guide = written(tmp_path, *first, *second)
    folder = tmp_path / "empty"
    folder.mkdir()
    run_in_order(console(guide), folder)
    assert (folder / "seven").read_text() == "7\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("ls nothing-of-this-name", "ended with 2, not 0"),
        ("true # exit status 3", "ended with 0, not 3"),
        ("make coffee", "no target coffee"),
    ],
)
def test_a_command_that_does_otherwise_is_found(tmp_path: Path, command: str, told: str) -> None:
    guide = written(tmp_path, "```console", "$ true", f"$ {command}", "```")
    with pytest.raises(pytest.fail.Exception, match=told) as failure:
        run_in_order(console(guide), tmp_path)
    assert "guide.md:3" in str(failure.value)


def test_commands_and_options_that_do_not_exist_are_found() -> None:
    text = (
        "Run `dronewall gaps site.toml --fail-over 200m --slow` or `dronewall -q gaps`,\n"
        "never `dronewall gasp`.\n"
        "```console\n$ dronewall gaps a.toml --fail-ovr=200m | less -S\n$ .venv/bin/dronewall --loud\n```\n"
        "`dronewall` alone, `dronewall-x --y` and `other --loud` say nothing about it.\n"
    )
    assert sorted(unknown_words(text, sample)) == [
        "dronewall --loud",
        "dronewall gaps --fail-ovr",
        "dronewall gasp",
    ]


def test_help_blocks_are_filled_by_the_program_and_stay_as_they_are_afterwards() -> None:
    text = "Before\n<!-- help: dronewall gaps -->\nold\n<!-- /help -->\nafter\n"
    full = help_blocks.filled(text, sample, "guide.md")
    assert "Usage: dronewall gaps [OPTIONS] SITE" in full
    assert "--fail-over LENGTH" in full
    assert full.startswith("Before\n<!-- help: dronewall gaps -->\n```text\n$ dronewall gaps --help\n")
    assert full.endswith("```\n<!-- /help -->\nafter\n")
    assert help_blocks.filled(full, sample, "guide.md") == full


@pytest.mark.parametrize(
    "text",
    ["<!-- help: dronewall gasp -->\n<!-- /help -->\n", "<!-- help: dronewall gaps -->\nnever closed\n"],
)
def test_a_help_block_that_cannot_be_filled_names_its_document(text: str) -> None:
    with pytest.raises(help_blocks.DocumentError, match=r"guide\.md"):
        help_blocks.filled(text, sample, "guide.md")


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "soak", "clean"])
def test_the_makefile_has_the_target(target: str) -> None:
    assert target in make_targets()
