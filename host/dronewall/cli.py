"""The command line: what it is asked, and how it ends.

0 answered, 1 our own fault, 2 bad input, 3 `--fail-over` exceeded, 130 interrupted, 129 and 143 told to end (SIGHUP,
SIGTERM). Results go to stdout, all else to stderr. Heavy imports stand inside the commands: `--help` must not wait for
numba and GDAL.
"""

import contextlib
import errno
import io
import json
import logging
import math
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from dronewall import __version__
from dronewall.sources import Link, Seconds, Source, from_anywhere, from_broker

if TYPE_CHECKING:
    from rich.console import Console

    from dronewall.demo import Told
    from dronewall.engine.ground import Ground
    from dronewall.engine.levels import Level
    from dronewall.engine.trust import Trust
    from dronewall.engine.wall import Coverage
    from dronewall.report.findings import Findings
    from dronewall.scenario import Scenario

_log = logging.getLogger(__name__)
_BAD_INPUT, _EXCEEDED, _INTERRUPTED = 2, 3, 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Command(click.Command):
    """A command that takes -h, whoever asks and in whatever context, and -33.9,18.4 for a place, not for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # No option of ours begins with a digit; what the blank hides from click the types strip off again.
        return super().parse_args(ctx, [f" {word}" if re.match(r"-[\d.]", word) else word for word in args])

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        return ["-h", "--help"]


class _Patient:
    """A stderr that never complains: on a full disk, what is said is lost and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


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
        if sys.stderr is not None and not isinstance(sys.stderr, _Patient):
            sys.stderr = cast(TextIO, _Patient(sys.stderr))
        try:
            with _ended_by_signals():
                status = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except _Signalled as error:
            click.echo("told to end", err=True)
            sys.exit(error.code)
        except BrokenPipeError:
            # Whoever read us has read enough.
            _forget_stdout()
            sys.exit(0)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                where = f"{error.filename}: " if error.filename else ""
                click.echo(f"dronewall: {where}{error.strerror}; the answer is not complete", err=True)
                _forget_stdout()
                sys.exit(_BAD_INPUT)
            if _is_bad_input(error):
                for line in str(error).splitlines():
                    # Names of files are anybody's, and may hold what steers a terminal.
                    harmless = "".join(letter if letter.isprintable() else "?" for letter in line)
                    click.echo(f"dronewall: {harmless}", err=True)
                sys.exit(_BAD_INPUT)
            traceback.print_exception(error)
            click.echo(
                f"dronewall {__version__}: a fault of the program, not yours; please report it with the lines above",
                err=True,
            )
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


class _Signalled(SystemExit):
    """A signal told us to end; its `code` is the exit status."""


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that what it began is ended and cleared away.

    They do once: what clears away is not to be interrupted by the next one. A signal that is ignored (nohup) stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        for each in caught:
            signal.signal(each, signal.SIG_IGN)
        raise _Signalled(128 + number)

    caught = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) == signal.SIG_DFL]
    for each in caught:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in caught:
            signal.signal(each, signal.SIG_DFL)


def _forget_stdout() -> None:
    """Nothing is written when the interpreter flushes stdout at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_bad_input(error: Exception) -> bool:
    """Whether an error says what is wrong with what we were given, rather than with us."""
    from dronewall.report.files import OutputError
    from dronewall.scenario import ScenarioError

    kinds: tuple[type[Exception], ...] = (ScenarioError, OutputError)
    # Only what was imported can have been raised.
    for module, names in (
        ("dronewall.engine.earth", ("EarthError",)),
        ("dronewall.engine.terrain", ("TerrainError",)),
        ("dronewall.engine.detection", ("DetectionError",)),
        ("dronewall.engine.reason", ("ReasonError",)),
        ("dronewall.catalogue", ("CatalogueError",)),
        ("dronewall.live.broker", ("BrokerError",)),
        ("dronewall.live.ingest", ("LinkError",)),
        ("dronewall.live.recorder", ("RecordingError",)),
        ("dronewall.live.simulate", ("MicroPythonMissing",)),
        ("dronewall.demo", ("NodesDied",)),
    ):
        if module in sys.modules:
            kinds += tuple(getattr(sys.modules[module], name) for name in names)
    return isinstance(error, kinds)


@click.group(cls=_Program)
@click.version_option(__version__, prog_name="dronewall")
def main() -> None:
    """Where could somebody cross this line undetected, and how sure are we?"""


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
            self.fail(
                f"{value.strip()!r} is not a length; expected metres or kilometres, such as 200m or 1.5km", param, ctx
            )
        return float(match[1]) * (1000.0 if match[2] == "km" else 1.0)


class _Place(click.ParamType):
    """Latitude and longitude in degrees from `36.6182,-84.1571`."""

    name = "lat,lon"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        numbers = re.split(r"\s*[,;]\s*|\s+", value.strip())
        try:
            latitude, longitude = (float(number) for number in numbers)
        except ValueError:
            self.fail(
                f"{value.strip()!r} is not a place; expected latitude and longitude in degrees with a comma between, "
                "such as 36.6182,-84.1571",
                param,
                ctx,
            )
        if not (-90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0):
            hint = (
                f"; did you mean {numbers[1]},{numbers[0]}?"
                if abs(longitude) <= 90.0 and abs(latitude) <= 180.0
                else ""
            )
            self.fail(
                f"{value.strip()!r}: latitude comes first, -90 to 90, then longitude, -180 to 180{hint}", param, ctx
            )
        return latitude, longitude


class _Area(click.ParamType):
    """A place and a radius in metres from `36.6182,-84.1571,500`."""

    name = "lat,lon,metres"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        if isinstance(value, tuple):
            return value
        place, comma, radius = value.strip().rpartition(",")
        try:
            metres = float(radius)
        except ValueError:
            metres = math.nan
        if not comma or not 0.0 < metres <= 1_000_000.0:
            self.fail(
                f"{value.strip()!r} is not an area; expected latitude, longitude and metres around it with commas "
                "between, such as 36.6182,-84.1571,500",
                param,
                ctx,
            )
        return (*_Place().convert(place, param, ctx), metres)


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
    def room(self) -> int:
        """Columns for the text of `now`, where they are few: the number of the step and the spinner take theirs."""
        return self._console.width - 8 if self._console.is_terminal else 1000

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

    # Where the terminal's encoding lacks a letter, such as the degree sign, a question mark is better than no answer.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
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
@click.option("--no-trust", is_flag=True, help="Leave out how far the gaps move where the models are wrong.")
@click.option(
    "--fail-over",
    type=_Length(),
    metavar="LENGTH",
    help="End with status 3 if a gap that is to be expected, of whichever kind, is longer, such as 200m or 0.5km.",
)
@from_anywhere
@_loudness
def gaps(
    site: Path,
    terrain: Path | None,
    out: Path | None,
    no_files: bool,
    as_json: bool,
    no_trust: bool,
    fail_over: float | None,
    source: Source,
    verbose: int,
    quiet: bool,
) -> int:
    """Find the gaps of the line that SITE (a site file, TOML) describes.

    The sensors look where the site file plans them to look; no broker and no nodes are needed. Or they look where
    nodes report them to look: now (--broker), or at a time that was recorded (--recorded).
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
        from dronewall.engine.ground import ground_of

        _say_first_run(talk)
        ground = ground_of(read)
        rows, cols = ground.terrain.shape
        talk.settle()
        for odd in ground.terrain.notes:
            talk.note(f"note: {odd}")
        cells = f"{cols} x {rows} cells of {ground.terrain.cell:g} m"
        talk.step(1, f"ground: {cells}, heights every {ground.terrain.posting:.0f} m, {ground.site.crs.name}")
        _log_inputs(read, ground)
        moment = source.moment(ground, lambda heard, of: talk.now(2, f"sensors heard {heard}/{of}"))
        begun = time.monotonic()
        coverage = wall.cover(
            ground,
            moment.reports,
            moment.at_unix_ms,
            source=moment.source,
            states=moment.states,
            progress=lambda done, of: talk.now(2, f"sensors computed {done}/{of}"),
            told=lambda sensor, shapes: _log_windows(sensor, shapes, begun),
        )
        talk.settle()
        talk.step(2, f"coverage: {len(coverage.sensors)} sensors, {len(coverage.scenario.targets)} targets")
        found = _findings(coverage, talk, 2, not no_trust)
        written = _write(coverage, found, folder, talk, 3)
    if as_json:
        from dronewall.report.records import as_json as record

        click.echo(json.dumps(record(coverage, found), indent=2, allow_nan=False))
    else:
        _show(coverage, found)
        _list(written)
    return _judged(coverage, fail_over)


def _findings(coverage: "Coverage", talk: _Talk, step: int, trusting: bool = False) -> "Findings":
    """What is told besides the coverage; with `trusting` also how far to trust it."""
    from dronewall.engine import closing, resilience, trust
    from dronewall.report.findings import Findings

    begun = time.monotonic()
    talk.now(step, "what would close the gaps")
    told = closing.told(coverage)
    talk.now(step, "losses of single posts")
    worst = resilience.worst_loss(coverage, coverage.targets[0].target.name)
    _log.info("found out what would close the gaps, and the worst loss, %.2f s", time.monotonic() - begun)
    trusted: tuple[Trust, ...] = ()
    if trusting:
        begun = time.monotonic()
        talk.now(step, "how far to trust that")
        trusted = trust.trust(coverage)
        _log.info("computed how the gaps move where the models are wrong, %.2f s", time.monotonic() - begun)
    talk.settle()
    return Findings(told, worst, trusted)


def _say_first_run(talk: _Talk) -> None:
    """A word on why the first run after an installation takes longer."""
    from dronewall.engine._jit import nothing_kept

    if nothing_kept():
        talk.note("note: the kernels are compiled now, once after an installation: about half a minute")


def _log_inputs(read: "Scenario", ground: "Ground") -> None:
    """What the answer depends on and what the program keeps, for -v and -vv."""
    from dronewall.engine._jit import cache_folder

    terrain, kept = ground.terrain, cache_folder()
    rows, cols = terrain.shape
    _log.info("terrain %s, digest %s", read.terrain.ground, terrain.digest[:12])
    _log.info("compiled code is kept in %s", kept if kept is not None else "no folder: it is compiled anew each time")
    west, east, south, north = terrain.extent
    _log.debug("site file digest %s", read.digest)
    _log.debug("origin %.0f E %.0f N of %s", ground.site.origin_east, ground.site.origin_north, ground.site.crs.name)
    _log.debug(
        "ground from %.0f to %.0f m east, %.0f to %.0f m north of it: %d cells", west, east, south, north, rows * cols
    )
    _log.debug("vertical error (90 %%) %.1f m, posting %.1f m", terrain.le90, terrain.posting)


def _log_windows(sensor: str, shapes: list[tuple[int, int]], begun: float) -> None:
    """What was computed of a sensor, for -v."""
    windows = ", ".join(f"{east} x {north}" for north, east in shapes)
    _log.info("%s: windows of %s cells, done after %.2f s", sensor, windows, time.monotonic() - begun)


def _write(coverage: "Coverage", found: "Findings", folder: Path | None, talk: _Talk, step: int) -> list[Path]:
    if folder is None:
        return []
    from dronewall import outputs

    written = outputs.write(coverage, folder, lambda name: talk.now(step, f"writing {name}"), found)
    talk.settle()
    talk.step(step, f"written: {len(written)} files in {folder}")
    return written


def _show(coverage: "Coverage", found: "Findings") -> None:
    from dronewall.report import table

    _stdout().print(table.report(coverage, found))


def _list(written: list[Path]) -> None:
    if written:
        click.echo()
    for path in written:
        click.echo(str(path))


def _judged(coverage: "Coverage", fail_over: float | None) -> int:
    if fail_over is None:
        return 0
    longer = [gap for target in coverage.at_level("expected") for gap in target.gaps if gap.length > fail_over]
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
@click.option("--wait", "wait_s", type=Seconds(1.0, 600.0), default=30.0, show_default=True, metavar="SECONDS",
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

        begun = time.monotonic()

        def say(step: int, text: str) -> None:
            nonlocal begun
            begun = time.monotonic()
            talk.settle(keep=True)
            talk.step(step, text)

        def waiting(heard: int, of: int, missing: list[str]) -> None:
            talk.now(3, _waiting(heard, of, missing, talk.room), everywhere=True)

        _say_first_run(talk)
        coverage, told = whole.run(
            own,
            wait_s,
            say,
            waiting,
            lambda done, of: talk.now(4, f"sensors computed {done}/{of}"),
            lambda sensor, shapes: _log_windows(sensor, shapes, begun),
        )
        talk.settle()
        for line in _refusals(told):
            talk.note(f"note: {line}")
        for name, words in told.died.items():
            talk.note(f"note: node {name} ended by itself: {words}")
        found = _findings(coverage, talk, 4)
        written = _write(coverage, found, out, talk, 4)
        if site is None:
            written += _site_copy(own, out / "site.toml", talk)
    _show(coverage, found)
    _list(written)
    program = _typed()
    if site is None:
        click.echo("\nNext, on your own ground: put your frontage and posts into site.toml, then")
        click.echo(f"  {program} gaps {out / 'site.toml'} --terrain YOUR-ELEVATION-MODEL.tif")
    else:
        click.echo(
            "\nNext: change posts and sensors in the site file, and see at once, without any node, what it does:"
        )
        click.echo(f"  {program} gaps {site}")
    return 0


_NOTES = 10  # nodes named for their refused messages; a flood has thousands


def _refusals(told: "Told") -> list[str]:
    """What is said of refused and dropped messages: the nodes with the most, and how many there were of all."""
    from dronewall.report.figures import clean, number_of

    most = sorted(told.refused.items(), key=lambda item: -item[1][0])
    lines = [
        f"{number_of(count, 'message')} of {clean(name)} refused, the last because {clean(reason)}"
        for name, (count, reason) in most[:_NOTES]
    ]
    if len(most) > _NOTES:
        total = sum(count for count, _ in told.refused.values())
        rest = number_of(len(most) - _NOTES, "name")
        lines.append(f"{number_of(total, 'message')} refused in all, also of {rest} more")
    if told.dropped:
        lines.append(f"{number_of(told.dropped, 'message')} dropped unread: they came faster than they could be taken")
    return lines


def _waiting(heard: int, of: int, missing: list[str], room: int) -> str:
    """`sensors heard 3/18, waiting for P1/cam, P2/cam and 13 more`: at most four names, and as many as find room."""
    said = f"sensors heard {heard}/{of}"
    if not missing:
        return said
    for count in range(min(4, len(missing)), 0, -1):
        left = len(missing) - count
        names = ", ".join(missing[:count]) + (f" and {left} more" if left else "")
        if len(said) + len(names) + 14 <= room:
            return f"{said}, waiting for {names}"
    return f"{said}, waiting for {len(missing)}"


def _site_copy(example: Path, path: Path, talk: _Talk) -> list[Path]:
    """The site file for people to change; one that was changed is theirs and stays."""
    from dronewall.report.files import ForeignError, OutputError, stamped, write_text

    try:
        write_text(path, stamped(example.read_text(encoding="utf-8")))
    except ForeignError:
        talk.note(
            f"note: {path} was edited, so it is yours and was left alone; the demo does not read it. For its gaps:\n"
            f"  {_typed()} gaps {path}"
        )
        return []
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
@click.argument("sensor", metavar="NODE/SENSOR")
@click.argument("place", type=_Place(), metavar="LAT,LON")
@click.option("--target", "target_name", metavar="NAME", help="Only this target of the site file.")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the section to this file, in place of the terminal.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout, the whole profile included.")
@click.option(
    "--terrain",
    type=click.Path(path_type=Path),
    help="Your own elevation model (GeoTIFF), in place of the site file's.",
)
@from_anywhere
@_loudness
def why(
    site: Path,
    sensor: str,
    place: tuple[float, float],
    target_name: str | None,
    png: Path | None,
    as_json: bool,
    terrain: Path | None,
    source: Source,
    verbose: int,
    quiet: bool,
) -> int:
    """Say why a sensor sees a place, or why not.

    The verdict names what is in the way and what would help: a taller mast, another azimuth.

    For example: dronewall why site.toml P4/cam 36.6182,-84.1571
    """
    if png is not None and png.suffix.lower() != ".png":
        raise click.BadParameter(f"{str(png)!r}; expected a file name that ends in .png", param_hint="'--png'")
    with _Talk(2, verbose, quiet) as talk:
        from dronewall import scenario

        read = scenario.read(site, terrain)
        _known(sensor, read.sensor_names, "sensor", site)
        if target_name is not None:
            _known(target_name, tuple(target.name for target in read.targets), "target", site)
        if png is not None:
            from dronewall.report import files

            files.may_fill(png.parent)
            files.may_write(png)
        talk.now(1, f"ground: reading {read.terrain.ground}")
        from dronewall.engine import reason, sensors, wall
        from dronewall.engine.ground import ground_of

        _say_first_run(talk)
        ground = ground_of(read)
        there = reason.place_of(ground, *place)
        moment = source.moment(ground, lambda heard, of: talk.now(2, f"sensors heard {heard}/{of}"))
        digest = wall.digest_of(ground, moment.reports, moment.states)
        default: sensors.State = "planned" if moment.source == "plan" else "heard"
        states = sensors.sensor_states(ground, moment.reports, default, moment.states)
        state = next(state for state in states if state.name == sensor)
        talk.now(2, f"looking from {sensor}")
        found = reason.reason_of(ground, state, there, target_name)
        talk.settle()
    from dronewall.report import verdict
    from dronewall.report.figures import poses

    when = poses(moment.source, moment.at_unix_ms)
    if png is not None:
        from dronewall.report import section

        section.write_png(found, digest, png, when=when)
    if as_json:
        click.echo(
            json.dumps(verdict.as_json(found, digest, moment.source, moment.at_unix_ms), indent=2, allow_nan=False)
        )
    else:
        _stdout().print(verdict.report(found, digest, when, drawn=png is None))
        _list([png.resolve()] if png is not None else [])
    return 0


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.argument("place", type=_Place(), metavar="LAT,LON")
@click.option("--target", "target_name", metavar="NAME", help="Only this target of the site file.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout.")
@click.option(
    "--terrain",
    type=click.Path(path_type=Path),
    help="Your own elevation model (GeoTIFF), in place of the site file's.",
)
@from_anywhere
@_loudness
def who(
    site: Path,
    place: tuple[float, float],
    target_name: str | None,
    as_json: bool,
    terrain: Path | None,
    source: Source,
    verbose: int,
    quiet: bool,
) -> int:
    """Say which sensors see a place, how surely each, and what they make together.

    For example: dronewall who site.toml 36.6182,-84.1571
    """
    with _Talk(2, verbose, quiet) as talk:
        from dronewall import scenario

        read = scenario.read(site, terrain)
        if target_name is not None:
            _known(target_name, tuple(target.name for target in read.targets), "target", site)
        talk.now(1, f"ground: reading {read.terrain.ground}")
        from dronewall.engine import reason, wall
        from dronewall.engine.ground import ground_of

        _say_first_run(talk)
        ground = ground_of(read)
        there = reason.place_of(ground, *place)
        moment = source.moment(ground, lambda heard, of: talk.now(2, f"sensors heard {heard}/{of}"))
        coverage = wall.cover(
            ground,
            moment.reports,
            moment.at_unix_ms,
            source=moment.source,
            states=moment.states,
            progress=lambda done, of: talk.now(2, f"sensors computed {done}/{of}"),
        )
        talk.settle()
    from dronewall.report import watchers

    if as_json:
        click.echo(json.dumps(watchers.as_json(coverage, there, target_name), indent=2, allow_nan=False))
    else:
        _stdout().print(watchers.report(coverage, there, target_name))
    return 0


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(1, 3), default=1, show_default=True, metavar="N",
              help="Rank losses of up to N nodes together, 1 to 3.")  # fmt: skip
@click.option("--target", "target_name", metavar="NAME", help="Only this target of the site file.")
@click.option("--level", type=click.Choice(["expected", "assured"]), default="expected", show_default=True,
              help="Which figures to go by.")  # fmt: skip
@click.option("--jam", "jams", type=_Area(), multiple=True, metavar="LAT,LON,METRES",
              help="Also an area in which all radio is lost, with its radius; may be given again.")  # fmt: skip
@click.option("--time-limit", "limit_s", type=Seconds(0.0, 86_400.0), default=60.0, show_default=True,
              metavar="SECONDS", help="After this time say what is not known.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout.")
@click.option(
    "--terrain",
    type=click.Path(path_type=Path),
    help="Your own elevation model (GeoTIFF), in place of the site file's.",
)
@from_anywhere
@_loudness
def losses(
    site: Path,
    count: int,
    target_name: str | None,
    level: "Level",
    jams: tuple[tuple[float, float, float], ...],
    limit_s: float,
    as_json: bool,
    terrain: Path | None,
    source: Source,
    verbose: int,
    quiet: bool,
) -> int:
    """Say which losses hurt most, and how many nodes can be lost before somebody gets through.

    Posts, nodes, access points and gateways (with all that reaches home through them) and jammed areas, each with the
    breach gaps that its loss opens; single points of failure; the resilience.
    """
    with _Talk(3, verbose, quiet) as talk:
        from dronewall import scenario

        read = scenario.read(site, terrain)
        if target_name is not None:
            _known(target_name, tuple(target.name for target in read.targets), "target", site)
        talk.now(1, f"ground: reading {read.terrain.ground}")
        from dronewall.engine import resilience, wall
        from dronewall.engine.ground import ground_of

        _say_first_run(talk)
        ground = ground_of(read)
        moment = source.moment(ground, lambda heard, of: talk.now(2, f"sensors heard {heard}/{of}"))
        coverage = wall.cover(
            ground,
            moment.reports,
            moment.at_unix_ms,
            source=moment.source,
            states=moment.states,
            progress=lambda done, of: talk.now(2, f"sensors computed {done}/{of}"),
        )
        end = time.monotonic() + limit_s
        found = resilience.losses(
            coverage,
            count=count,
            target=target_name,
            level=level,
            jams=jams,
            go_on=lambda: time.monotonic() < end,
            progress=lambda done, of: talk.now(3, f"losses tried {done}/{of}"),
        )
        talk.settle()
    from dronewall.report import losses as shown

    if as_json:
        click.echo(json.dumps(shown.as_json(coverage, found), indent=2, allow_nan=False))
    else:
        _stdout().print(shown.report(coverage, found))
    return 0


_WEEK_S = 604_800.0


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@from_broker
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The recording; one that is there goes on.")
@click.option("--for", "for_s", type=Seconds(0.0, _WEEK_S), metavar="SECONDS", help="How long. [default: until Ctrl-C]")
@click.option("--limit", "limit_mb", type=click.IntRange(1, 1_000_000), default=256, show_default=True, metavar="MB",
              help="What the recording may take; then the oldest goes.")  # fmt: skip
@_loudness
def record(site: Path, link: Link, out: Path, for_s: float | None, limit_mb: int, verbose: int, quiet: bool) -> int:
    """Write down what the nodes of SITE tell a broker, for `dronewall gaps --recorded`."""
    with _Talk(1, verbose, quiet) as talk:
        from dronewall import scenario
        from dronewall.live.ingest import Ingest
        from dronewall.live.recorder import Recorder

        wall = scenario.read(site).site.name
        with (
            Ingest(*link.where, wall, account=link.account()) as ingest,
            Recorder(out, wall, limit=1_000_000 * limit_mb) as recorder,
        ):
            ingest.wait(10.0)
            talk.step(1, f"broker {link.where[0]}:{link.where[1]}: recording wall {wall} to {out}")
            end = math.inf if for_s is None else time.monotonic() + for_s
            try:
                while (left := end - time.monotonic()) > 0.0:
                    arrival = ingest.next(min(left, 1.0))
                    while arrival is not None:
                        recorder.write(arrival)
                        arrival = ingest.next()
                    recorder.flush()
                    lost = f", {ingest.dropped} dropped" if ingest.dropped else ""
                    down = "" if ingest.connected else ", the link is down"
                    talk.now(1, f"messages recorded: {recorder.count}{lost}{down}")
            finally:
                talk.settle()
                talk.step(1, f"messages recorded: {recorder.count}")
    return 0


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@from_broker
@click.option(
    "--terrain",
    type=click.Path(path_type=Path),
    help="Your own elevation model (GeoTIFF), in place of the site file's.",
)
@click.option("--every", "every_s", type=Seconds(0.1, 3600.0), default=2.0, show_default=True, metavar="SECONDS",
              help="How often to look, at most.")  # fmt: skip
@click.option("--wait", "wait_s", type=Seconds(0.0, 600.0), default=10.0, show_default=True, metavar="SECONDS",
              help="How long to wait at first for sensors that the broker does not tell of.")  # fmt: skip
@click.option("--for", "for_s", type=Seconds(0.0, _WEEK_S), metavar="SECONDS", help="How long. [default: until Ctrl-C]")
@click.option("--publish", is_flag=True, help="Tell the broker the gaps, and how the host is, as retained messages.")
@_loudness
def watch(
    site: Path,
    link: Link,
    terrain: Path | None,
    every_s: float,
    wait_s: float,
    for_s: float | None,
    publish: bool,
    verbose: int,
    quiet: bool,
) -> int:
    """Watch a live wall: a line for each gap that opens or closes, and the ribbon whenever it changes."""
    with _Talk(2, verbose, quiet) as talk:
        from dronewall import scenario
        from dronewall.engine.ground import ground_of
        from dronewall.live import announce
        from dronewall.live.ingest import Ingest
        from dronewall.live.moment import awaited, state_of
        from dronewall.live.watch import Watch
        from dronewall.report import watch as lines

        read = scenario.read(site, terrain)
        _say_first_run(talk)
        ground, state, account = ground_of(read), state_of(read), link.account()
        talk.step(1, f"wall {read.site.name}: listening to broker {link.where[0]}:{link.where[1]}")
        with Ingest(*link.where, read.site.name, account=account) as ingest, contextlib.ExitStack() as stack:
            voice = None
            if publish:
                voice = stack.enter_context(announce.Announcer(*link.where, read, account))
            awaited(ingest, state, read, wait_s, lambda heard, of: talk.now(2, f"sensors heard {heard}/{of}"))
            talk.settle()
            end = math.inf if for_s is None else time.monotonic() + for_s
            wall, out, before = Watch(ground), _stdout(), None
            while True:
                now = time.time_ns() // 1_000_000
                coverage, events = wall.look(state, now)
                for each in lines.sensors(before, coverage):
                    out.print(each, soft_wrap=True)
                for event in events:
                    out.print(lines.gap(now, *event, now=coverage), soft_wrap=True)
                ribbon = lines.ribbon(before, coverage)
                if ribbon is not None:
                    out.print(ribbon)
                before = coverage
                if voice is not None:
                    voice.say("gaps", announce.gaps_of(coverage))
                    voice.say("status", announce.status_of(coverage, sum(bad for bad, _ in state.bad().values())))
                after = time.monotonic() + every_s
                while (left := min(after, end) - time.monotonic()) > 0.0:
                    ingest.pump(state, left)
                if time.monotonic() >= end:
                    return 0


def _known(name: str, names: tuple[str, ...], kind: str, site: Path) -> None:
    """Returns if the site file has a sensor or target of that name; BadParameter says which are near."""
    if name in names:
        return
    from dronewall.toml_check import nearest

    of_node = [each for each in names if each.startswith(f"{name.rstrip('/')}/")]
    near = nearest(name, names)
    if of_node:
        hint = f"; did you mean {' or '.join(of_node)}?"
    elif near is not None:
        hint = f"; did you mean {near}?"
    else:
        hint = f"; it has {', '.join(names[:6])}{' ...' if len(names) > 6 else ''}" if names else "; it has none"
    raise click.UsageError(f"{site} has no {kind} {name!r}{hint}")


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
def check(site: Path) -> int:
    """Check the site file SITE: every mistake in it, with its line, at once, and whether its terrain carries it."""
    from dronewall import scenario

    read = scenario.read(site)
    for note in read.notes:
        click.echo(f"note: {note}", err=True)
    from dronewall.engine import ground

    ground.check(read)
    sensors = sum(len(node.sensors) for node in read.nodes) + sum(len(drone.sensors) for drone in read.drones)
    click.echo(
        f"{site}: good: {len(read.posts)} posts, {len(read.nodes)} nodes, {len(read.drones)} drones, "
        f"{sensors} sensors, {len(read.targets)} targets"
    )
    return 0


@main.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def sensors(name: str | None, as_json: bool) -> int:
    """List the sensors that can be bought and that a site file may name; with NAME, one with every figure's source."""
    from dronewall import catalogue

    chosen = [catalogue.entry(name)] if name is not None else list(catalogue.entries().values())
    if as_json:
        records = [{"name": each.name, "title": each.title, **each.values, "sources": each.sources} for each in chosen]
        click.echo(json.dumps(records if name is None else records[0], indent=2, allow_nan=False))
        return 0
    from dronewall.report import sensor_table

    _stdout().print(sensor_table.all_of(chosen) if name is None else sensor_table.one(chosen[0]))
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
