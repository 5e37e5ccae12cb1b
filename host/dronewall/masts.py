"""The commands for whoever stands at a mast: the compass is calibrated, and the node listened to; sensors are aligned
by `alignment`.
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dronewall.alignment import align
from dronewall.options import WEEK_S, Seconds, known, loudness
from dronewall.program import EXCEEDED, Program
from dronewall.sources import Link, from_broker_if_any
from dronewall.talk import Talk, clean, complain

if TYPE_CHECKING:
    from dronewall.bench.repl import Repl
    from dronewall.live.ingest import Arrival

_FILE = click.Path(path_type=Path)
_COLOURS = {"detection": "yellow", "birth": "cyan", "state": "cyan", "health": "green", "reply": "magenta"}


@click.command(cls=Program.command_class)
@click.option("--port", required=True, metavar="PORT", help="The board's serial port, such as /dev/ttyUSB0.")
@click.option("--seconds", "for_s", type=Seconds(2.0, 3600.0), default=90.0, metavar="SECONDS",
              help="How long to turn it, at most. [default: 90]")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Fit and show, and store nothing.")
@click.option("--picture", type=_FILE, metavar="FILE", help="Draw the readings on their sphere (PNG).")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@loudness
def calibrate(
    port: str, for_s: float, dry_run: bool, picture: Path | None, as_json: bool, verbose: int, quiet: bool
) -> int:
    """Calibrate the compass of the board at PORT: turn it in figures of eight, every side up once, away from steel.

    Shows while you turn how much of the sphere was seen, which sides are missing and how good the fit is; stores the
    hard iron in the board's config.json, and restarts the node. The status is 3 when the readings give no good fit:
    nothing is changed then. A BNO055 calibrates itself by the same turns; how far it has got is shown, and nothing is
    stored.
    """
    with Talk(3, verbose, quiet) as talk:
        from dronewall.bench import calibrate as compass
        from dronewall.bench import stored
        from dronewall.bench.onboard import import_firmware, said
        from dronewall.bench.repl import Repl
        from dronewall.report.files import may_write

        if picture is not None:
            may_write(picture)
        with Repl(port) as repl:
            import_firmware(repl, said(repl))
            chip, before = compass.chip_of(repl)
            talk.step(1, f"{port}: turn the board in figures of eight, every side up once, for {for_s:g} s")
            if chip == "bno055":
                return _learnt(repl, talk, for_s, as_json)
            found = compass.readings(repl, for_s, lambda all: talk.now(1, compass.said(all)))
            talk.settle()
            talk.step(2, compass.said(found))
            if picture is not None and found.number:
                from dronewall.bench.sphere import write_png

                write_png(found, picture)
                talk.note(f"wrote {picture}")
            try:
                fit = compass.fit(found)
            except compass.CalibrationError as error:
                if as_json:
                    click.echo(json.dumps({"port": port, "refused": str(error), "hard_iron": before}))
                else:
                    complain(f"{port}: not calibrated: {error}")
                return EXCEEDED
            after = list(fit.hard_iron)
            if not dry_run:
                stored.patch(repl, {"compass": {"hard_iron": after}})
                after = compass.chip_of(repl)[1]
                talk.step(3, f"{port}: stored; the node restarts")
        if as_json:
            sigma = None if fit.azimuth_sigma is None else round(math.degrees(fit.azimuth_sigma), 2)
            told = {
                "port": port, "stored": not dry_run, "hard_iron_before": before, "hard_iron": after,
                "radius_counts": round(fit.radius, 1), "coverage": round(fit.seen.coverage, 3),
                "residual": round(fit.residual, 4), "soft_iron": round(fit.soft_iron, 4),
                "azimuth_sigma_deg": sigma, "readings": fit.seen.number,
            }  # fmt: skip
            click.echo(json.dumps(told))
        else:
            click.echo(f"hard iron {before} -> {after} counts" + (" (not stored)" if dry_run else ""))
            if fit.azimuth_sigma is not None:
                sigma = math.degrees(fit.azimuth_sigma)
                click.echo(
                    f"azimuth of a level board: ±{sigma:.1f}° (1 sigma, without the tilt's and the declination's)"
                )
    return 0


def _learnt(repl: "Repl", talk: Talk, for_s: float, as_json: bool) -> int:
    from dronewall.bench import calibrate as compass

    talk.note("a BNO055 calibrates itself; nothing is stored")
    status = compass.learning(repl, for_s, lambda now: talk.now(2, f"magnetometer calibrated {now} of 3"))
    talk.settle()
    if as_json:
        click.echo(json.dumps({"port": repl.port, "chip": "bno055", "calibrated": status}))
    else:
        click.echo(f"BNO055: magnetometer calibrated {status} of 3" + ("" if status == 3 else "; turn it longer"))
    return 0 if status == 3 else EXCEEDED


@click.command(cls=Program.command_class)
@click.argument("site", type=_FILE, required=False)
@click.argument("name", metavar="[NODE]", required=False)
@click.option("--port", metavar="PORT", help="The board's serial port, such as /dev/ttyUSB0.")
@click.option("--for", "for_s", type=Seconds(0.0, WEEK_S), metavar="SECONDS", help="How long. [default: until Ctrl-C]")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many lines.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@from_broker_if_any
@loudness
def monitor(
    site: Path | None,
    name: str | None,
    port: str | None,
    for_s: float | None,
    count: int | None,
    as_json: bool,
    link: Link | None,
    verbose: int,
    quiet: bool,
) -> int:
    """Show what a node says: its log over --port, or its messages at --broker with units, until Ctrl-C.

    Over a port the node is neither reset nor interrupted, and a board that is unplugged is waited for.
    """
    if (port is None) == (site is None) or (site is None) != (link is None):
        raise click.UsageError("expected --port PORT, or SITE [NODE] and --broker HOST:PORT")
    end = math.inf if for_s is None else time.monotonic() + for_s

    def goes_on() -> bool:
        return time.monotonic() < end

    with Talk(1, verbose, quiet) as talk:
        if port is not None:
            lines = _log(port, goes_on, talk, as_json)
        else:
            assert site is not None
            assert link is not None
            lines = _messages(site, name, link, goes_on, talk, as_json)
        with contextlib.closing(lines), contextlib.suppress(KeyboardInterrupt):
            for number, text in enumerate(lines, 1):
                # click takes the colours out where nobody watches.
                click.echo(text, color=False if os.environ.get("NO_COLOR") else None)
                if number == count:
                    break
    return 0


def _log(port: str, goes_on: Callable[[], bool], talk: Talk, as_json: bool) -> Generator[str]:
    from dronewall.bench.monitor import log

    lines = log(port, goes_on, talk.note)
    talk.step(1, f"{port}: what the board says; Ctrl-C ends")
    for unix_ms, text in lines:
        yield json.dumps({"unix_ms": unix_ms, "line": text}) if as_json else f"{_time(unix_ms)} {text}"


def _messages(
    site: Path, name: str | None, link: Link, goes_on: Callable[[], bool], talk: Talk, as_json: bool
) -> Generator[str]:
    from dronewall import scenario
    from dronewall.bench import monitor as words
    from dronewall.live.ingest import Ingest

    read = scenario.read(site)
    if name is not None:
        known(name, read.node_names, "node", site)
    with Ingest(*link.where, read.site.name, account=link.account()) as ingest:
        ingest.wait(10.0)
        talk.step(1, f"broker {link.where[0]}:{link.where[1]}: what {name or 'the nodes'} of {read.site.name} say")
        while goes_on():
            arrival = ingest.next(0.2)
            if arrival is not None and name in (None, arrival.node):
                yield json.dumps(words.record(arrival)) if as_json else _line(arrival, *words.readable(arrival))


def _line(arrival: "Arrival", who: str, kind: str, text: str) -> str:
    text = clean(text)
    colour = "red" if arrival.report is None or "SUSPECT" in text or "SAFE MODE" in text else _COLOURS.get(kind)
    return f"{_time(arrival.arrived_unix_ms)} {click.style(f'{who:<10} {kind:<9}', fg=colour)} {text}"


def _time(unix_ms: int) -> str:
    seconds, thousandths = divmod(unix_ms, 1000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{thousandths:03d}"


COMMANDS = (calibrate, align, monitor)
