"""The commands: what each is asked, and what it answers. `program` says how they end.

Heavy imports stand inside the commands: `--help` must not wait for numba and GDAL.
"""

import contextlib
import json
import logging
import math
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dronewall import __version__
from dronewall.bridges import bridge
from dronewall.nodes import node
from dronewall.options import WEEK_S, Area, Length, Place, Seconds, known, loudness, own_terrain
from dronewall.program import EXCEEDED, Program
from dronewall.radio_links import link
from dronewall.simulation import simulate
from dronewall.sources import Link, Source, from_anywhere, from_broker
from dronewall.talk import Talk, stdout

if TYPE_CHECKING:
    from dronewall.demo import Told
    from dronewall.engine.cycle import Cycle
    from dronewall.engine.ground import Ground
    from dronewall.engine.levels import Level
    from dronewall.engine.trust import Trust
    from dronewall.engine.wall import Coverage
    from dronewall.report.findings import Findings
    from dronewall.scenario import Scenario

_log = logging.getLogger(__name__)


@click.group(cls=Program)
@click.version_option(__version__, prog_name="dronewall")
def main() -> None:
    """Where could somebody cross this line undetected, and how sure are we?"""


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@own_terrain
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for picture, page, GeoJSON and GeoTIFF. [default: out]"
)
@click.option("--no-files", is_flag=True, help="Write no files.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout, and files only with --out.")
@click.option("--no-trust", is_flag=True, help="Leave out how far the gaps move where the models are wrong.")
@click.option("--no-patrol", is_flag=True, help="Leave out what the drones make of the line over time.")
@click.option(
    "--fail-over",
    type=Length(),
    metavar="LENGTH",
    help="End with status 3 if a gap that is to be expected, of whichever kind, is longer, such as 200m or 0.5km.",
)
@from_anywhere
@loudness
def gaps(
    site: Path,
    terrain: Path | None,
    out: Path | None,
    no_files: bool,
    as_json: bool,
    no_trust: bool,
    no_patrol: bool,
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
    with Talk(3, verbose, quiet) as talk:
        from dronewall import outputs, scenario

        read = scenario.read(site, terrain)
        for note in read.notes:
            talk.note(f"note: {note}")
        if folder is not None:
            outputs.may_write(folder)
        coverage = _covered(_grounded(read, talk), source, talk)
        talk.step(2, f"coverage: {len(coverage.sensors)} sensors, {len(coverage.scenario.targets)} targets")
        found = _findings(coverage, talk, 2, trusting=not no_trust, patrolling=not no_patrol)
        written = _write(coverage, found, folder, talk, 3)
    if as_json:
        from dronewall.report.records import as_json as record

        click.echo(json.dumps(record(coverage, found), indent=2, allow_nan=False))
    else:
        _show(coverage, found)
        _list(written)
    return _judged(coverage, fail_over)


def _findings(
    coverage: "Coverage", talk: Talk, step: int, *, trusting: bool = False, patrolling: bool = True
) -> "Findings":
    """What is told besides the coverage; with `trusting` also how far to trust it, with `patrolling` also what the
    drones make of it over time.
    """
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
    over_time = _over_time(coverage, talk, step) if patrolling else None
    talk.settle()
    return Findings(told, worst, trusted, over_time)


def _over_time(coverage: "Coverage", talk: Talk, step: int, *, losses: bool = False) -> "Cycle | None":
    """What the drones make of the line over a cycle of their plan; with `losses` also what the loss of each does."""
    from dronewall.engine import cycle

    begun = time.monotonic()
    talk.now(step, "the drones' plan")
    found = cycle.cycle_of(coverage, lambda what, done, of: talk.now(step, f"{what} {done}/{of}"), losses=losses)
    talk.settle()
    if found is None and coverage.scenario.sorties:
        talk.note("note: nobody hears of any drone, so nothing is told of the line over time")
    if found is not None:
        asked = coverage.scenario.patrol.step_s
        if asked is not None and found.step > 1.01 * asked:
            talk.note(f"note: steps of {found.step:.3g} s in place of {asked:g} s: there are {found.steps} at most")
        _log.info(
            "a cycle of %g s in %d steps of %.3f s, %.2f s",
            found.length, found.steps, found.step, time.monotonic() - begun,
        )  # fmt: skip
    return found


def _grounded(read: "Scenario", talk: Talk) -> "Ground":
    """The ground of a site file, with what there is to say of it."""
    talk.now(1, f"ground: reading {read.terrain.ground}")
    from dronewall.engine.ground import ground_of

    _say_first_run(talk)
    ground = ground_of(read)
    talk.settle()
    for odd in ground.terrain.notes:
        talk.note(f"note: {odd}")
    rows, cols = ground.terrain.shape
    cells = f"{cols} x {rows} cells of {ground.terrain.cell:g} m"
    talk.step(1, f"ground: {cells}, heights every {ground.terrain.posting:.0f} m, {ground.site.crs.name}")
    _log_inputs(read, ground)
    return ground


def _covered(ground: "Ground", source: Source, talk: Talk) -> "Coverage":
    """The coverage that the reports of a source make."""
    from dronewall.engine import wall

    moment = source.moment(ground, lambda heard, of: talk.now(2, f"sensors heard {heard}/{of}"))
    begun = time.monotonic()

    def told(sensor: str, shapes: list[tuple[int, int]]) -> None:
        _log_windows(sensor, shapes, begun)

    def progress(done: int, of: int) -> None:
        talk.now(2, f"sensors computed {done}/{of}" if done < of else "stations and the ways across")

    coverage = wall.cover(
        ground,
        moment.reports,
        moment.at_unix_ms,
        source=moment.source,
        states=moment.states,
        progress=progress,
        told=told,
        at_s=source.at_s if moment.source == "plan" else None,
    )
    talk.settle()
    return coverage


def _say_first_run(talk: Talk) -> None:
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


def _write(coverage: "Coverage", found: "Findings", folder: Path | None, talk: Talk, step: int) -> list[Path]:
    if folder is None:
        return []
    from dronewall import outputs

    written = outputs.write(coverage, folder, lambda name: talk.now(step, f"writing {name}"), found)
    talk.settle()
    talk.step(step, f"written: {len(written)} files in {folder}")
    return written


def _show(coverage: "Coverage", found: "Findings") -> None:
    from dronewall.report import table

    stdout().print(table.report(coverage, found))
    if found.cycle is not None:
        from dronewall.report import cycle_table

        stdout().print(cycle_table.in_short(found.cycle))


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
    return EXCEEDED


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True, help="Folder for the results."
)
@click.option("--site", type=click.Path(path_type=Path), help="A site file of your own, in place of the example.")
@click.option("--wait", "wait_s", type=Seconds(1.0, 600.0), default=30.0, show_default=True, metavar="SECONDS",
              help="How long to wait for sensors that do not report.")  # fmt: skip
@loudness
def demo(out: Path, site: Path | None, wait_s: float, verbose: int, quiet: bool) -> int:
    """Run a whole wall on this machine: broker, nodes with the real firmware, and the gaps of a real frontage.

    An MQTT broker on a free loopback port, a MicroPython process for every node and drone, and the host that listens to
    them and computes the coverage over a real elevation model.
    """
    with Talk(4, verbose, quiet) as talk:
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
    from dronewall.report.figures import number_of
    from dronewall.talk import clean

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


def _site_copy(example: Path, path: Path, talk: Talk) -> list[Path]:
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
@click.argument("place", type=Place(), metavar="LAT,LON")
@click.option("--target", "target_name", metavar="NAME", help="Only this target of the site file.")
@click.option("--png", type=click.Path(path_type=Path), help="Draw the section to this file, in place of the terminal.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout, the whole profile included.")
@own_terrain
@from_anywhere
@loudness
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
    with Talk(2, verbose, quiet) as talk:
        from dronewall import scenario

        read = scenario.read(site, terrain)
        known(sensor, read.sensor_names, "sensor", site)
        if target_name is not None:
            known(target_name, tuple(target.name for target in read.targets), "target", site)
        if png is not None:
            from dronewall.report import files

            files.may_fill(png.parent)
            files.may_write(png)
        ground = _grounded(read, talk)
        from dronewall.engine import reason, sensors, wall

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
        stdout().print(verdict.report(found, digest, when, drawn=png is None))
        _list([png.resolve()] if png is not None else [])
    return 0


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.argument("place", type=Place(), metavar="LAT,LON")
@click.option("--target", "target_name", metavar="NAME", help="Only this target of the site file.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout.")
@own_terrain
@from_anywhere
@loudness
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
    with Talk(2, verbose, quiet) as talk:
        from dronewall import scenario

        read = scenario.read(site, terrain)
        if target_name is not None:
            known(target_name, tuple(target.name for target in read.targets), "target", site)
        ground = _grounded(read, talk)
        from dronewall.engine import reason

        there = reason.place_of(ground, *place)
        coverage = _covered(ground, source, talk)
    from dronewall.report import watchers

    if as_json:
        click.echo(json.dumps(watchers.as_json(coverage, there, target_name), indent=2, allow_nan=False))
    else:
        stdout().print(watchers.report(coverage, there, target_name))
    return 0


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(1, 3), default=1, show_default=True, metavar="N",
              help="Rank losses of up to N nodes together, 1 to 3.")  # fmt: skip
@click.option("--target", "target_name", metavar="NAME", help="Only this target of the site file.")
@click.option("--level", type=click.Choice(["expected", "assured"]), default="expected", show_default=True,
              help="Which figures to go by.")  # fmt: skip
@click.option("--jam", "jams", type=Area(), multiple=True, metavar="LAT,LON,METRES",
              help="Also an area in which all radio is lost, with its radius; may be given again.")  # fmt: skip
@click.option("--time-limit", "limit_s", type=Seconds(0.0, 86_400.0), default=60.0, show_default=True,
              metavar="SECONDS", help="After this time say what is not known.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout.")
@own_terrain
@from_anywhere
@loudness
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
    with Talk(3, verbose, quiet) as talk:
        from dronewall import scenario

        read = scenario.read(site, terrain)
        if target_name is not None:
            known(target_name, tuple(target.name for target in read.targets), "target", site)
        coverage = _covered(_grounded(read, talk), source, talk)
        from dronewall.engine import resilience

        for jam in jams:
            if not resilience.jammed(coverage, jam).nodes:
                latitude, longitude, radius = jam
                talk.note(
                    f"note: --jam: no node is within {radius:g} m of {latitude:g},{longitude:g}, nor reaches home "
                    "through there; latitude comes first"
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
        stdout().print(shown.report(coverage, found))
    return 0


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@from_broker
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The recording; one that is there goes on.")
@click.option("--for", "for_s", type=Seconds(0.0, WEEK_S), metavar="SECONDS", help="How long. [default: until Ctrl-C]")
@click.option("--limit", "limit_mb", type=click.IntRange(1, 1_000_000), default=256, show_default=True, metavar="MB",
              help="What the recording may take; then the oldest goes.")  # fmt: skip
@loudness
def record(site: Path, link: Link, out: Path, for_s: float | None, limit_mb: int, verbose: int, quiet: bool) -> int:
    """Write down what the nodes of SITE tell a broker, for `dronewall gaps --recorded`."""
    with Talk(1, verbose, quiet) as talk:
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
@own_terrain
@click.option("--every", "every_s", type=Seconds(0.1, 3600.0), default=2.0, show_default=True, metavar="SECONDS",
              help="How often to look, at most.")  # fmt: skip
@click.option("--wait", "wait_s", type=Seconds(0.0, 600.0), default=10.0, show_default=True, metavar="SECONDS",
              help="How long to wait at first for sensors that the broker does not tell of.")  # fmt: skip
@click.option("--for", "for_s", type=Seconds(0.0, WEEK_S), metavar="SECONDS", help="How long. [default: until Ctrl-C]")
@click.option("--publish", is_flag=True, help="Tell the broker the gaps, and how the host is, as retained messages.")
@loudness
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
    with Talk(2, verbose, quiet) as talk:
        from dronewall import scenario
        from dronewall.live import announce
        from dronewall.live.ingest import Ingest
        from dronewall.live.moment import awaited, state_of
        from dronewall.live.watch import Watch
        from dronewall.report import watch as lines

        read = scenario.read(site, terrain)
        ground, state, account = _grounded(read, talk), state_of(read), link.account()
        talk.step(1, f"wall {read.site.name}: listening to broker {link.where[0]}:{link.where[1]}")
        with Ingest(*link.where, read.site.name, account=account) as ingest, contextlib.ExitStack() as stack:
            voice = None
            if publish:
                voice = stack.enter_context(announce.Announcer(*link.where, read, account))
            awaited(ingest, state, read, wait_s, lambda heard, of: talk.now(2, f"sensors heard {heard}/{of}"))
            talk.settle()
            end = math.inf if for_s is None else time.monotonic() + for_s
            wall, out, before = Watch(ground), stdout(), None
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


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
def check(site: Path) -> int:
    """Check the site file SITE: every mistake in it, with its line, at once; whether its terrain carries it, and its
    drones can fly their sorties.
    """
    from dronewall import scenario

    read = scenario.read(site)
    for note in read.notes:
        click.echo(f"note: {note}", err=True)
    from dronewall.engine import ground

    ground.check(read)
    if read.sorties:
        from dronewall.engine import plan

        plan.plan_of(ground.ground_of(read))
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

    stdout().print(sensor_table.all_of(chosen) if name is None else sensor_table.one(chosen[0]))
    return 0


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@own_terrain
@click.option(
    "--target", "target_name", metavar="NAME", help="The picture and the film of this target. [default: the first]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for picture, film, GeoJSON and GeoTIFF. [default: out]"
)
@click.option("--film", type=click.Choice(("gif", "mp4", "none")), default="gif", show_default=True,
              help="The drones at work: what kind of film; mp4 needs ffmpeg.")  # fmt: skip
@click.option("--no-files", is_flag=True, help="Write no files.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout, and files only with --out.")
@loudness
def patrol(
    site: Path,
    terrain: Path | None,
    target_name: str | None,
    out: Path | None,
    film: str,
    no_files: bool,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> int:
    """Show the drones' timetable, and what the line sees over one cycle of it.

    When the next drone is on station and when nobody is; how long each place is unwatched; when and where the line is
    open; who gets through, knowing the schedule or not; and what the loss of a drone does.
    """
    if no_files and out is not None:
        raise click.UsageError("--out and --no-files exclude each other")
    folder = None if no_files or (as_json and out is None) else out or Path("out")
    with Talk(3, verbose, quiet) as talk:
        from dronewall import outputs, scenario

        read = scenario.read(site, terrain)
        for note in read.notes:
            talk.note(f"note: {note}")
        if target_name is not None:
            known(target_name, tuple(target.name for target in read.targets), "target", site)
        if not read.sorties:
            raise click.UsageError(f"{site}: no [[sorties]], so no drone flies; expected one or more")
        if folder is not None:
            outputs.may_write(folder, outputs.patrol_names(film))
        coverage = _covered(_grounded(read, talk), Source(0.0), talk)
        found = _over_time(coverage, talk, 2, losses=True)
        assert found is not None
        talk.step(2, f"plan: {found.steps} steps of {found.step:.3g} s, {len(found.plan.sorties)} sorties")
        written = []
        if folder is not None:
            written = outputs.write_patrol(found, folder, film, target_name, lambda words: talk.now(3, words))
            talk.settle()
            talk.step(3, f"written: {len(written)} files in {folder}")
    if as_json:
        from dronewall.report.cycle_records import cycle_records

        click.echo(json.dumps(cycle_records(found), indent=2, allow_nan=False))
    else:
        from dronewall.report import cycle_table

        stdout().print(cycle_table.cycle_tables(found))
        _list(written)
    return 0


main.add_command(bridge)
main.add_command(link)
main.add_command(node)
main.add_command(simulate)


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
