"""The command line: what it is asked, and how it ends.

0 answered, 1 our own fault, 2 bad input, 3 `--fail-over` exceeded, 130 interrupted. Results go to stdout, all else
to stderr. Heavy imports stand inside the commands: `--help` must not wait for numba and GDAL.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dronewall import __version__

if TYPE_CHECKING:
    from rich.console import Console

    from dronewall.engine.wall import Coverage

_BAD_INPUT, _EXCEEDED, _INTERRUPTED = 2, 3, 130


class _Command(click.Command):
    """A command that takes -h, whoever asks and in whatever context."""

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        return ["-h", "--help"]


class _Program(_Command, click.Group):
    """The group of commands, with the exit statuses that this module promises."""

    command_class = _Command
    group_class = type

    def main(
        self,
        args: Any = None,
        prog_name: Any = None,
        complete_var: Any = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            status = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:
            # Whoever read us has read enough; nothing must be written when the interpreter flushes stdout either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except Exception as error:
            if _is_bad_input(error):
                for line in str(error).splitlines():
                    click.echo(f"dronewall: {line}", err=True)
                sys.exit(_BAD_INPUT)
            traceback.print_exception(error)
            click.echo(
                f"dronewall {__version__}: a fault of the program, not yours; please report it with the lines above",
                err=True,
            )
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


def _is_bad_input(error: Exception) -> bool:
    """Whether an error says what is wrong with what we were given, rather than with us."""
    from dronewall.report.files import OutputError
    from dronewall.scenario import ScenarioError

    kinds: tuple[type[Exception], ...] = (ScenarioError, OutputError)
    # Only what was imported can have been raised.
    for module, names in (
        ("dronewall.engine.earth", ("EarthError",)),
        ("dronewall.engine.terrain", ("TerrainError",)),
        ("dronewall.live.broker", ("BrokerError",)),
        ("dronewall.live.simulate", ("MicroPythonMissing",)),
    ):
        if module in sys.modules:
            kinds += tuple(getattr(sys.modules[module], name) for name in names)
    return isinstance(error, kinds)


@click.group(cls=_Program)
@click.version_option(__version__, prog_name="dronewall")
def main() -> None:
    """Where could somebody cross this line undetected, how sure are we, and what would close that gap?"""


def _loudness(command: Callable[..., Any]) -> Callable[..., Any]:
    """-v and -q, the same on every command that works for a while."""
    for option in (
        click.option("-v", "--verbose", count=True, help="Say more; twice, everything."),
        click.option("-q", "--quiet", is_flag=True, help="Only the result and errors."),
    ):
        command = option(command)
    return command


class _Length(click.ParamType):
    """A length in metres from `200`, `200m` or `1.5km`."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(m|km|)\s*", value)
        if match is None:
            self.fail(f"{value!r} is not a length; expected metres or kilometres, such as 200m or 1.5km", param, ctx)
        return float(match[1]) * (1000.0 if match[2] == "km" else 1.0)


class _Talk:
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

    def settle(self) -> None:
        """Ends the line that changes."""
        self._last = ""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def note(self, text: str) -> None:
        """A line that belongs to no step."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def __enter__(self) -> "_Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self.settle()


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _stdout() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.option(
    "--terrain",
    type=click.Path(path_type=Path),
    help="Your own elevation model (GeoTIFF), in place of the site file's.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for picture, page, GeoJSON and GeoTIFF. [default: out]"
)
@click.option("--no-files", is_flag=True, help="Write no files.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout, and files only with --out.")
@click.option(
    "--fail-over", type=_Length(), metavar="LENGTH", help="End with status 3 if a gap is longer, such as 200m or 0.5km."
)
@click.option("--at", "at_s", type=click.FloatRange(0.0), default=0.0, show_default=True, metavar="SECONDS",
              help="Drones where they are that long into their routes.")  # fmt: skip
@_loudness
def gaps(
    site: Path,
    terrain: Path | None,
    out: Path | None,
    no_files: bool,
    as_json: bool,
    fail_over: float | None,
    at_s: float,
    verbose: int,
    quiet: bool,
) -> int:
    """Find the gaps of the line that SITE (a site file, TOML) describes.

    The sensors look where the site file plans them to look; no broker and no nodes are needed.
    """
    if no_files and out is not None:
        raise click.UsageError("--out and --no-files exclude each other")
    folder = None if no_files or (as_json and out is None) else out or Path("out")
    with _Talk(3, verbose, quiet) as talk:
        from dronewall import outputs, scenario

        read = scenario.read(site, terrain)
        for note in read.notes:
            talk.note(f"note: {note}")
        if folder is not None:
            outputs.may_write(folder)
        talk.now(1, f"ground: reading {read.terrain.ground}")
        from dronewall.engine import wall

        ground = wall.ground_of(read)
        rows, cols = ground.terrain.shape
        talk.settle()
        cells = f"{cols} x {rows} cells of {ground.terrain.cell:g} m"
        talk.step(1, f"ground: {cells}, heights every {ground.terrain.posting:.0f} m, {ground.site.crs.name}")
        coverage = wall.cover(
            ground, wall.planned(ground, at_s), progress=lambda done, of: talk.now(2, f"windows computed {done}/{of}")
        )
        talk.settle()
        talk.step(2, f"coverage: {len(coverage.sensors)} sensors, {len(coverage.targets)} targets")
        written = _write(coverage, folder, talk, 3)
    if as_json:
        from dronewall.report.figures import as_json as record

        click.echo(json.dumps(record(coverage), indent=2, allow_nan=False))
    else:
        _show(coverage)
        _list(written)
    return _judged(coverage, fail_over)


def _write(coverage: "Coverage", folder: Path | None, talk: _Talk, step: int) -> list[Path]:
    if folder is None:
        return []
    from dronewall import outputs

    written = outputs.write(coverage, folder, lambda name: talk.now(step, f"writing {name}"))
    talk.settle()
    talk.step(step, f"written: {len(written)} files in {folder}")
    return written


def _show(coverage: "Coverage") -> None:
    from dronewall.report import table

    _stdout().print(table.report(coverage))


def _list(written: list[Path]) -> None:
    if written:
        click.echo()
    for path in written:
        click.echo(str(path))


def _judged(coverage: "Coverage", fail_over: float | None) -> int:
    if fail_over is None:
        return 0
    longer = [gap for target in coverage.targets for gap in target.gaps if gap.length > fail_over]
    if not longer:
        return 0
    worst = max(longer, key=lambda gap: gap.length)
    click.echo(
        f"dronewall: gaps longer than {fail_over:g} m: {len(longer)}, the longest {worst.length:.0f} m ({worst.id})",
        err=True,
    )
    return _EXCEEDED


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True, help="Folder for the results."
)
@click.option("--site", type=click.Path(path_type=Path), help="A site file of your own, in place of the example.")
@click.option("--wait", "wait_s", type=click.FloatRange(1.0, 600.0), default=30.0, show_default=True, metavar="SECONDS",
              help="How long to wait for sensors that do not report.")  # fmt: skip
@_loudness
def demo(out: Path, site: Path | None, wait_s: float, verbose: int, quiet: bool) -> int:
    """Run a whole wall on this machine: broker, nodes with the real firmware, and the gaps of a real frontage.

    An MQTT broker on a free loopback port, a MicroPython process for every node and drone, and the host that listens to
    them and computes the coverage over a real elevation model.
    """
    with _Talk(4, verbose, quiet) as talk:
        from dronewall import firmware_files, outputs

        outputs.may_write(out)
        own = site if site is not None else firmware_files.examples() / "jacksboro.toml"
        from dronewall import demo as whole

        def say(step: int, text: str) -> None:
            talk.settle()
            talk.step(step, text)

        def waiting(heard: int, of: int, missing: list[str]) -> None:
            named = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
            talk.now(3, f"sensors heard {heard}/{of}" + (f", waiting for {named}" if missing else ""), everywhere=True)

        coverage, told = whole.run(
            own, wait_s, say, waiting, lambda done, of: talk.now(4, f"windows computed {done}/{of}")
        )
        talk.settle()
        for name, (count, reason) in told.refused.items():
            talk.note(f"note: {count} messages of {name} were refused, the last because {reason}")
        for name, words in told.died.items():
            talk.note(f"note: node {name} ended by itself: {words}")
        written = _write(coverage, out, talk, 4)
        if site is None:
            written += _site_copy(own, out / "site.toml", talk)
    _show(coverage)
    _list(written)
    program = _typed()
    click.echo("\nNext, on your own ground: put your frontage and posts into site.toml, then")
    click.echo(f"  {program} gaps {out / 'site.toml' if site is None else site} --terrain YOUR-ELEVATION-MODEL.tif")
    return 0


def _site_copy(example: Path, path: Path, talk: _Talk) -> list[Path]:
    """The site file for people to change; one that was changed is theirs and stays."""
    from dronewall.report.files import OutputError, stamped, write_text

    try:
        write_text(path, stamped(example.read_text(encoding="utf-8")))
    except OutputError as error:
        talk.note(f"note: {error}")
        return []
    return [path.resolve()]


def _typed() -> str:
    """How this program was called, so that the next command can be called the same way."""
    called = Path(sys.argv[0])
    found = shutil.which("dronewall")
    if called.name != "dronewall" or (found and Path(found).resolve() == called.resolve()):
        return "dronewall"
    with contextlib.suppress(ValueError):
        return str(called.resolve().relative_to(Path.cwd()))
    return str(called)


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
def check(site: Path) -> int:
    """Check the site file SITE: every mistake in it, with its line, at once."""
    from dronewall import scenario

    read = scenario.read(site)
    for note in read.notes:
        click.echo(f"note: {note}", err=True)
    sensors = sum(len(node.sensors) for node in read.nodes) + sum(len(drone.sensors) for drone in read.drones)
    click.echo(
        f"{site}: good: {len(read.posts)} posts, {len(read.nodes)} nodes, {len(read.drones)} drones, "
        f"{sensors} sensors, {len(read.targets)} targets"
    )
    return 0


@main.group()
def schema() -> None:
    """Print a schema that other programs read."""


@schema.command("wire")
def schema_wire() -> None:
    """The messages between nodes and host, as AsyncAPI 3 (YAML)."""
    from dronewall.asyncapi import asyncapi_yaml

    click.echo(asyncapi_yaml(), nl=False)


@schema.command("site")
def schema_site() -> None:
    """The site file, as JSON Schema, for editors."""
    from dronewall.scenario import schema as site_schema

    click.echo(json.dumps(site_schema(), indent=2))
