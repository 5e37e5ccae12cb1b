"""The commands that make a board a node of the wall, and look whether it is one."""

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dronewall import __version__
from dronewall.options import Seconds, agree, known, loudness, own_terrain
from dronewall.program import EXCEEDED, Program
from dronewall.sources import Link, from_broker_if_any
from dronewall.talk import Talk, clean, stdout

if TYPE_CHECKING:
    from dronewall.bench.check import Item, Verdict
    from dronewall.bench.keyring import Keyring
    from dronewall.bench.onboard import Board
    from dronewall.bench.repl import Repl
    from dronewall.bench.selftest import Now, Settings
    from dronewall.live.ingest import Ingest
    from dronewall.scenario import Scenario

_FILE = click.Path(path_type=Path)
_SITE_PINS = range(8)  # as many presence sensors as any board has pins for; the board says which


@click.command(cls=Program.command_class)
@click.argument("site", type=_FILE)
@click.argument("name", metavar="NODE")
@click.option("--port", required=True, help="The board's serial port, such as /dev/ttyUSB0.")
@click.option("--secrets", "folder", type=_FILE, required=True, metavar="FOLDER",
              help="Folder with wall.toml, passwords and keys; nobody else may read them.")  # fmt: skip
@own_terrain
@click.option("--yes", is_flag=True, help="Do not ask where the board, or the name, was another's.")
@loudness
def provision(
    site: Path, name: str, port: str, folder: Path, terrain: Path | None, yes: bool, verbose: int, quiet: bool
) -> None:
    """Give a board what makes it NODE of SITE: its settings, Wi-Fi and broker, its key and its certificate.

    Position, period and sensors come from the site file, the rest from the folder of secrets; keys and passwords that
    are missing there and can be made are made. Everything is read back from the board, and checked by its own firmware,
    before it takes the place of what was there. The board is interrupted for that, and restarted.
    """
    with Talk(4, verbose, quiet) as talk:
        from dronewall import scenario
        from dronewall.bench.bundle import MICROPYTHON
        from dronewall.bench.keyring import Keyring
        from dronewall.bench.onboard import import_firmware, said
        from dronewall.bench.provision import pir_pins, put
        from dronewall.bench.repl import Repl
        from dronewall.bench.settings import settings_of

        read = scenario.read(site, terrain)
        known(name, read.node_names, "node", site)
        keyring = Keyring(folder)
        talk.now(1, "reading the ground")
        ground_amsl = _ground_amsl(read, name)
        now = time.time_ns() // 1_000_000
        settings_of(
            read, name, ground_amsl, keyring, now, _SITE_PINS
        )  # what is missing is said before a board is asked
        talk.step(1, f"{site}: {name}, with the secrets of {folder}")
        with Repl(port) as repl:
            board = said(repl)
            import_firmware(repl, board)
            talk.step(2, f"{port}: {board.chip} {board.mac}" + (f", so far {board.node}" if board.node else ""))
            if board.micropython != MICROPYTHON:
                then = f"`dronewall node flash --port {port}` replaces it, and keeps the settings"
                talk.note(f"it has MicroPython {board.micropython}, the nodes run {MICROPYTHON}: {then}")
            _ask(_objections(keyring, board, read.site.name, name), yes, talk)
            settings = settings_of(read, name, ground_amsl, keyring, now, pir_pins(repl), board.hard_iron)
            put(repl, board, settings, lambda at, of: talk.now(3, f"{at} of {of} bytes"))
        talk.step(3, "written, read back, and in its place; the board starts with it")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        keyring.noted(board.mac or "", read.site.name, name, at, chip=board.chip or "")
        passwords = keyring.told_to_mosquitto(name)
        talk.step(4, f"{folder}: noted" + (f"; {passwords.name} is for the broker" if passwords else ""))
        talk.settle()
        click.echo(f"{name}: on board {board.mac} ({board.chip})")
        mqtt = settings.config["mqtt"]
        how = [f"{mqtt['host']}:{mqtt['port']}", *(["TLS"] if mqtt["tls"] else [])]
        how += [f"user {mqtt['user']}"] if mqtt["user"] else []
        click.echo(f"  broker: {', '.join(how)}")
        for sensor in settings.config["sensors"]:
            if "pin" in sensor:
                click.echo(f"  {sensor['name']}: wired to pin {sensor['pin']}")
        if settings.config["position"].get("height_amsl_cm", 0) is None:
            click.echo("  the terrain has no ground at its post: it tells its height above the ground only")


@click.command(cls=Program.command_class)
@click.argument("site", type=_FILE, required=False)
@click.option("--port", required=True, help="The board's serial port, such as /dev/ttyUSB0.")
@from_broker_if_any
@click.option("--turn", "turn_s", type=Seconds(5.0, 120.0), metavar="SECONDS",
              help="Watch the compass for so long, while you turn the board level, once round.")  # fmt: skip
@click.option("--listen", "listen_s", type=Seconds(2.0, 120.0), default=12.0, show_default=True, metavar="SECONDS",
              help="How long receiver and sensors may take to say something.")  # fmt: skip
@click.option("--wait", "wait_s", type=Seconds(1.0, 600.0), default=60.0, show_default=True, metavar="SECONDS",
              help="How long the node may take to report at the broker.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for records.")
@loudness
def check(
    site: Path | None,
    port: str,
    link: Link | None,
    turn_s: float | None,
    listen_s: float,
    wait_s: float,
    as_json: bool,
    verbose: int,
    quiet: bool,
) -> int:
    """Test a board on the bench: its firmware, each part that is wired to it, and its way to the broker.

    The board is interrupted, its own firmware tries its parts, and then it starts as a node. With --broker its first
    reports are waited for there; with SITE they are held against the site file. The status is 3 when something failed.
    """
    with Talk(3, verbose, quiet) as talk, contextlib.ExitStack() as stack:
        from dronewall import scenario
        from dronewall.bench.check import verdict
        from dronewall.bench.repl import Repl

        read = scenario.read(site) if site else None
        items: list[Item] = []
        show = (lambda item: None) if as_json else _line(talk)

        def take(item: "Item") -> None:
            talk.settle()
            items.append(replace(item, name=clean(item.name), text=clean(item.text), then=clean(item.then)))
            show(items[-1])

        with Repl(port) as repl:
            talk.step(1, f"{port}: asking the board")
            board, told = _looked(repl, turn_s or 0.0, listen_s, talk, take)
            # Before the board starts as a node, or its first words are missed.
            ingest = _listening(stack, link, told.get("wall"), items, take)
        if told.get("node"):
            if read is not None and told["wall"] != read.site.name:
                then = "provision it for this site, or name its own site file"
                take(_item("site", "fail", f"it is of the wall {told['wall']}, {site} is {read.site.name}", then))
            elif read is not None and told["node"] not in read.node_names:
                take(_item("site", "fail", f"{site} has no node {told['node']}", "provision it as one that it has"))
            if ingest is not None:
                talk.step(3, f"waiting for {told['node']} at the broker")
                for item in _reported(read, ingest, told["node"], wait_s, talk):
                    take(item)
        judged = verdict(items)
        if as_json:
            click.echo(json.dumps(_record(port, board, told, items, judged), indent=2, ensure_ascii=False))
        else:
            failed = [item.name for item in items if item.verdict == "fail"]
            passed = sum(item.verdict == "pass" for item in items)
            said = f"{len(failed)} failed: {', '.join(failed)}" if failed else "nothing failed"
            click.echo(f"{judged}: {passed} of {len(items)} passed, {said}")
    return EXCEEDED if judged == "fail" else 0


def _looked(
    repl: "Repl", turn_s: float, listen_s: float, talk: Talk, take: Callable[["Item"], None]
) -> tuple["Board", "Settings"]:
    """The board, and what its config.json says of who it is; items are taken as they are found."""
    from dronewall.bench import check as judge
    from dronewall.bench import selftest
    from dronewall.bench.onboard import import_firmware, said
    from dronewall.bench.repl import ProgramError

    board = said(repl)
    for item in judge.on_the_board(repl.port, board):
        take(item)
    if board.slot is None:
        take(_item("files", "fail", "no firmware of dronewall", f"`dronewall node flash --port {repl.port}`"))
        return board, {"problems": []}
    expected = _digests()
    take(judge.of_files(repl.port, board, expected, selftest.digests(repl, board, list(expected))))
    if "config.json" not in board.files:
        then = f"`dronewall node provision SITE NODE --port {repl.port} --secrets FOLDER`"
        take(_item("config", "fail", "no config.json: it is no node yet", then))
        return board, {"problems": []}
    try:
        import_firmware(repl, board)
        told = selftest.settings_on(repl)
    except ProgramError as error:
        take(
            _item("config", "fail", f"the firmware cannot be loaded: {error}", "`dronewall node flash` copies it anew")
        )
        return board, {"problems": []}
    take(judge.of_settings(told))
    if told["problems"]:
        return board, {"problems": []}

    def now(moment: "Now") -> None:
        azimuth = moment["azimuth_cdeg"]
        words = f"{moment['ms'] / 1000:.0f} s" + ("" if azimuth is None else f", azimuth {azimuth / 100:.0f}°")
        talk.now(2, words + (f", {10 * moment['turned']}° of 360° seen" if turn_s else ""))

    talk.step(2, "trying its parts" + (": turn the board level, slowly, once round" if turn_s else ""))
    for item in judge.of_instruments(selftest.heard(repl, listen_s, turn_s, now), turn_s):
        take(item)
    return board, told


def _listening(
    stack: contextlib.ExitStack,
    link: Link | None,
    wall: str | None,
    items: Sequence["Item"],
    take: Callable[["Item"], None],
) -> "Ingest | None":
    """The broker's messages of the wall; None, and why, where there is no way to them."""
    from dronewall.live.ingest import Ingest, LinkError

    if wall is None:
        return None
    why = {item.name: item.verdict for item in items}
    if link is None:
        take(_item("report", "skipped", "--broker HOST:PORT waits for the first one there"))
    elif why.get("broker") != "pass":
        take(_item("report", "skipped", "the board does not get to its broker"))
    else:
        try:
            ingest = Ingest(*link.where, wall, account=link.account())
            stack.enter_context(ingest)
            ingest.wait(10.0)
            return ingest
        except LinkError as error:
            take(_item("report", "fail", str(error), "is that its address from here, and our name and password?"))
    return None


def _reported(read: "Scenario | None", ingest: "Ingest", name: str, wait_s: float, talk: Talk) -> Iterator["Item"]:
    from dronewall.bench.check import of_report
    from dronewall.bench.seen import seen

    found = seen(ingest, name, wait_s, lambda what: talk.now(3, what))
    if found.birth is None:
        then = "`dronewall node monitor` shows what it says; is this the broker that it was given?"
        words = f"{name} did not come to the broker within {wait_s:g} s"
        yield _item(
            "report", "fail", words + (f"; it said what is no message: {found.refused}" if found.refused else ""), then
        )
        return
    if found.birth.get("mode") == "safe":
        yield _item("report", "fail", "it is in safe mode, after three bad starts", "`dronewall node monitor` says why")
        return
    yield _item(
        "report",
        "pass" if found.ready else "fail",
        f"boot {found.birth['boot']}, " + ("ready" if found.ready else "not ready"),
    )
    for sensor in (each["name"] for each in found.birth["sensors"]):
        if sensor in found.reports:
            values = found.reports[sensor]
            yield of_report(sensor, values, None if read is None else _wanted(read, name, sensor, values))
        else:
            yield _item(f"report {sensor}", "fail", f"none within {wait_s:g} s", "--wait 300 waits for longer")


def _wanted(read: "Scenario", name: str, sensor: str, values: dict[str, Any]) -> dict[str, float]:
    """How far a report is from the surveyed post, and which azimuth the site file has."""
    import math

    import numpy as np

    from dronewall.engine.earth import site_of

    for node in read.nodes:
        if node.name != name:
            continue
        post = next(post for post in read.posts if post.name == node.post)
        wanted = {each.name: {"azimuth_deg": each.azimuth_deg} for each in node.sensors}.get(sensor, {})
        if "latitude_deg" in values:
            frame = site_of(np.array(read.frontage.points_deg), read.site.crs)
            there = frame.to_site(values["latitude_deg"], values["longitude_deg"])
            here = frame.to_site(post.latitude_deg, post.longitude_deg)
            wanted["apart_m"] = math.dist(there, here)
        return wanted
    return {}


@functools.cache
def _digests() -> dict[str, str]:
    """{name: SHA-256} of the files that this dronewall's firmware has on a board."""
    import hashlib
    import tempfile

    from dronewall import firmware_files
    from dronewall.bench.files import node_files

    with tempfile.TemporaryDirectory(prefix="dronewall-check-") as folder:
        files = node_files(firmware_files.built(Path(folder)))
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.modules.items()}


_GLYPHS = {"pass": ("✓", "pass", "green"), "fail": ("✗", "FAIL", "red"), "absent": ("○", "not there", "yellow"),
           "skipped": ("–", "not tried", "yellow")}  # fmt: skip


def _line(talk: Talk) -> Callable[["Item"], None]:
    """What shows an item, a line of its own."""
    from rich.text import Text

    shown = stdout()

    def show(item: "Item") -> None:
        glyph, word, colour = _GLYPHS[item.verdict]
        text = Text.assemble((f"{glyph} {word:<9}", colour), f"  {item.name:<14} {item.text}")
        shown.print(text, soft_wrap=True)
        if item.then:
            shown.print(Text(f"{'':11}  {'':14} -> {item.then}"), soft_wrap=True)

    return show


def _item(name: str, verdict: "Verdict", text: str, then: str = "") -> "Item":
    from dronewall.bench.check import Item

    return Item(name, verdict, text, then)


def _record(port: str, board: "Board", told: "Settings", items: Sequence["Item"], judged: str) -> dict[str, Any]:
    return {
        "format": 1,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "dronewall": __version__,
        "port": port,
        "mac": board.mac,
        "chip": board.chip,
        "micropython": board.micropython,
        "firmware_version": board.version,
        "wall": told.get("wall"),
        "node": told.get("node"),
        "verdict": judged,
        "items": [
            {"item": item.name, "verdict": item.verdict, "text": item.text, "then": item.then, **item.figures}
            for item in items
        ],
    }


def _ground_amsl(read: "Scenario", name: str) -> float:
    from dronewall.engine.ground import ground_of

    posts = {post.name: post for post in read.posts}
    for node in read.nodes:
        if node.name == name:
            post, ground = posts[node.post], ground_of(read)
            return float(ground.terrain.ground(*ground.site.to_site(post.latitude_deg, post.longitude_deg)))
    return float("nan")  # a drone has no post


def _objections(keyring: "Keyring", board: "Board", wall: str, name: str) -> list[str]:
    """What speaks against making this board that node, in words."""
    found = []
    if board.node and (board.wall, board.node) != (wall, name):
        found.append(f"this board is {board.wall}/{board.node} now")
    known = keyring.boards()
    entry = known.get(board.mac or "")
    if entry and (entry["wall"], entry["node"]) not in ((wall, name), (board.wall, board.node)):
        found.append(f"this board was made {entry['wall']}/{entry['node']} on {entry['at'][:10]}")
    for mac, other in known.items():
        if mac != board.mac and (other["wall"], other["node"]) == (wall, name):
            since = other["at"][:10]
            found.append(f"{name} is board {mac} since {since}, and two of one name throw each other off the broker")
    return found


def _ask(objections: list[str], yes: bool, talk: Talk) -> None:
    if not objections:
        return
    talk.settle()
    said = "; ".join(objections)
    if yes:
        talk.note(f"{said}: going on, as --yes says")
    else:
        agree(f"{said}. Go on?")


COMMANDS = (provision, check)
"""The commands of `dronewall node` that stand here."""
