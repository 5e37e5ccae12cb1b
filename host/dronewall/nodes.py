"""The commands that change what runs on the wall's nodes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dronewall.options import WEEK_S, Seconds, loudness
from dronewall.program import EXCEEDED, Program
from dronewall.sources import Link, from_broker
from dronewall.talk import Talk

if TYPE_CHECKING:
    from dronewall.bench.sender import Wall


@click.group(cls=Program)
def node() -> None:
    """Change what runs on the nodes."""


@node.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.argument("names", metavar="[NODE]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every node of SITE, the first one alone.")
@click.option("--keys", type=click.Path(path_type=Path), required=True, metavar="FOLDER",
              help="Folder with NODE.key for each node: 32 bytes that nobody else may read.")  # fmt: skip
@click.option("--number", type=click.IntRange(1, (1 << 24) - 1), metavar="VERSION",
              help="Version of the update. [default: one more than the node runs]")  # fmt: skip
@click.option("--at-once", type=click.IntRange(1, 16), default=3, show_default=True, metavar="N",
              help="Nodes that are updated side by side.")  # fmt: skip
@click.option("--wait", "wait_s", type=Seconds(1.0, WEEK_S), default=900.0, show_default=True, metavar="SECONDS",
              help="How long a node may take to be online before and after.")  # fmt: skip
@from_broker
@loudness
def update(
    site: Path,
    names: tuple[str, ...],
    every: bool,
    keys: Path,
    number: int | None,
    at_once: int,
    wait_s: float,
    link: Link,
    verbose: int,
    quiet: bool,
) -> int:
    """Send the firmware of this dronewall to nodes over the broker, signed with each node's own key.

    A node writes the pieces to the folder that it does not run, checks signature and hashes, restarts, and goes back
    to what it ran unless it comes online again. With several nodes the first one that fails stops the rest. The
    status is 0 when every node is online with the update, and 3 when one is not: it runs what it ran.
    """
    if every == bool(names):
        raise click.UsageError("expected the names of nodes, or --all")
    import concurrent.futures
    import tempfile

    with Talk(3, verbose, quiet) as talk, tempfile.TemporaryDirectory(prefix="dronewall-update-") as folder:
        from dronewall import firmware_files, scenario
        from dronewall.bench.bundle import key_of
        from dronewall.bench.sender import UpdateError, Wall

        read = scenario.read(site)
        known = [each.name for each in read.nodes] + [drone.name for drone in read.drones]
        chosen = known if every else list(dict.fromkeys(names))
        for name in chosen:
            if name not in known:
                raise click.UsageError(f"{site} has no node {name!r}; it has {', '.join(known[:6])}")
        signed_with = {name: key_of(keys / f"{name}.key") for name in chosen}
        talk.step(1, "compiling the firmware")
        try:
            tree = firmware_files.built(Path(folder) / "firmware")
        except firmware_files.FirmwareError as error:
            raise UpdateError(str(error)) from None
        talk.step(2, f"sending it to {', '.join(chosen)}")
        done: list[str] = []
        failed: list[str] = []
        # One alone first: what is wrong with all of them is found with one.
        waves = [chosen[:1]] + [chosen[i : i + at_once] for i in range(1, len(chosen), at_once)]
        with Wall(*link.where, read.site.name, link.account()) as wall:
            for wave in waves:
                with concurrent.futures.ThreadPoolExecutor(len(wave)) as pool:
                    running = {
                        pool.submit(
                            _update, wall, read.site.name, name, tree, number, signed_with[name], wait_s, talk
                        ): name
                        for name in wave
                    }
                    for each in concurrent.futures.as_completed(running):
                        try:
                            version = each.result()
                        except UpdateError as error:
                            failed.append(running[each])
                            talk.settle()
                            click.echo(f"dronewall: {_harmless(str(error))}", err=True)
                        else:
                            done.append(running[each])
                            talk.settle()
                            click.echo(f"{running[each]}: online with version {version}")
                if failed:
                    break
        left = [name for name in chosen if name not in done and name not in failed]
        talk.step(3, f"updated {len(done)} of {len(chosen)}" + (f"; not begun: {', '.join(left)}" if left else ""))
    return EXCEEDED if failed else 0


def _update(
    wall: "Wall", site: str, name: str, tree: Path, number: int | None, key: bytes, wait_s: float, talk: Talk
) -> int:
    """The version that the node runs in the end. Raises UpdateError."""
    from dronewall.bench.bundle import bundle
    from dronewall.bench.sender import running, updated

    before = running(wall, name, wait_s)
    version = number if number is not None else before + 1
    content = bundle(tree, f"{site}/{name}", version, key)
    updated(wall, name, version, content, wait_s, lambda at, of: talk.now(2, f"{name}: {at} of {of} bytes"))
    return version


def _harmless(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
