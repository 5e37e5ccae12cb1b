"""The commands that change what runs on the wall's nodes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dronewall import boards, commissioning, firmware_files, masts
from dronewall.options import WEEK_S, Seconds, known, loudness
from dronewall.program import EXCEEDED, Program
from dronewall.sources import Link, from_broker
from dronewall.talk import Talk, complain

if TYPE_CHECKING:
    from dronewall.bench.sender import Wall
    from dronewall.scenario import Scenario

_FILE = click.Path(path_type=Path)
_NUMBER = click.IntRange(1, (1 << 24) - 1)
_Make = Callable[[str, int], tuple[int, bytes]]
"""The version that a node gets, and its bundle, from the node's name and the version that it runs."""


@click.group(cls=Program)
def node() -> None:
    """Change what runs on the nodes."""


for _command in (*boards.COMMANDS, *commissioning.COMMANDS, *masts.COMMANDS):
    node.add_command(_command)


@node.command("bundle")
@click.argument("site", type=_FILE)
@click.argument("name", metavar="NODE")
@click.option("--key", type=_FILE, required=True, metavar="FILE",
              help="The node's key: 32 bytes that nobody else may read.")  # fmt: skip
@click.option("--number", type=_NUMBER, required=True, metavar="VERSION",
              help="Version of the update; it has to be over the one that the node runs.")  # fmt: skip
@click.option("--output", "-o", type=_FILE, required=True, metavar="FILE", help="Where the bundle goes.")
@loudness
def bundle_of(site: Path, name: str, key: Path, number: int, output: Path, verbose: int, quiet: bool) -> None:
    """Sign the firmware of this dronewall for a node, where its key is; `node update --bundle` sends it elsewhere."""
    import tempfile

    with Talk(1, verbose, quiet) as talk, tempfile.TemporaryDirectory(prefix="dronewall-update-") as folder:
        from dronewall import scenario
        from dronewall.bench.bundle import BundleError, bundle, key_of

        read = scenario.read(site)
        known(name, read.node_names, "node", site)
        content = bundle(
            firmware_files.built(Path(folder) / "firmware"), f"{read.site.name}/{name}", number, key_of(key)
        )
        try:
            output.write_bytes(content)
        except OSError as error:
            raise BundleError(f"{output}: cannot be written ({error.strerror})") from None
        talk.step(1, f"{output}: version {number} for {read.site.name}/{name}, {len(content)} bytes")


@node.command()
@click.argument("folder", type=_FILE)
@loudness
def build(folder: Path, verbose: int, quiet: bool) -> None:
    """Compile the firmware of this dronewall into FOLDER, as a board has it."""
    with Talk(1, verbose, quiet) as talk:
        from dronewall.bench.bundle import BundleError

        try:
            firmware_files.built(folder)
        except OSError as error:
            raise BundleError(f"{folder}: cannot be written ({error.strerror})") from None
        sizes = [path.stat().st_size for path in folder.rglob("*.mpy")]
        talk.step(1, f"{folder}: {len(sizes)} modules, {sum(sizes)} bytes")


@node.command()
@click.argument("site", type=_FILE)
@click.argument("names", metavar="[NODE]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every node of SITE, the first one alone.")
@click.option("--keys", type=_FILE, metavar="FOLDER",
              help="Folder with NODE.key for each node: 32 bytes that nobody else may read.")  # fmt: skip
@click.option("--number", type=_NUMBER, metavar="VERSION",
              help="Version of the update. [default: one more than the node runs]")  # fmt: skip
@click.option("--bundle", "ready", type=_FILE, metavar="FILE",
              help="Send this one, which `dronewall node bundle` has made; no key is needed.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(1, 16), default=3, show_default=True, metavar="N",
              help="Nodes that are updated side by side.")  # fmt: skip
@click.option("--wait", "wait_s", type=Seconds(1.0, WEEK_S), default=900.0, metavar="SECONDS",
              help="How long a node may take to be online, before and after. [default: 900]")  # fmt: skip
@from_broker
@loudness
def update(
    site: Path,
    names: tuple[str, ...],
    every: bool,
    keys: Path | None,
    number: int | None,
    ready: Path | None,
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
    import tempfile

    if every == bool(names):
        raise click.UsageError("expected the names of nodes, or --all")
    if (keys is None) == (ready is None):
        raise click.UsageError("expected --keys FOLDER to sign with, or --bundle FILE that is signed already")
    if ready is not None and (len(names) != 1 or number is not None):
        raise click.UsageError("--bundle is for one node and has its version; expected one name and no --number")
    with Talk(3, verbose, quiet) as talk, tempfile.TemporaryDirectory(prefix="dronewall-update-") as folder:
        from dronewall import scenario
        from dronewall.bench.sender import Wall

        read = scenario.read(site)
        chosen = list(read.node_names) if every else list(dict.fromkeys(names))
        for name in chosen:
            known(name, read.node_names, "node", site)
        talk.step(1, "compiling the firmware" if keys else f"reading {ready}")
        make = _signer(read, chosen, keys, number, Path(folder)) if keys else _reader(read, names[0], ready)
        talk.step(2, f"sending it to {', '.join(chosen)}")
        with Wall(*link.where, read.site.name, link.account()) as wall:
            done, failed = _all_updated(wall, chosen, make, at_once, wait_s, talk)
        left = [name for name in chosen if name not in done and name not in failed]
        talk.step(3, f"updated {len(done)} of {len(chosen)}" + (f"; not begun: {', '.join(left)}" if left else ""))
    return EXCEEDED if failed else 0


def _all_updated(
    wall: "Wall", chosen: list[str], make: _Make, at_once: int, wait_s: float, talk: Talk
) -> tuple[list[str], list[str]]:
    """The nodes that are online with the update, and those that are not; the others were not begun."""
    import concurrent.futures

    from dronewall.bench.sender import UpdateError, running, updated

    def one(name: str) -> int:
        version, content = make(name, running(wall, name, wait_s))
        updated(wall, name, version, content, wait_s, lambda at, of: talk.now(2, f"{name}: {at} of {of} bytes"))
        return version

    done: list[str] = []
    failed: list[str] = []
    # One alone first: what is wrong with all of them is found with one.
    for wave in [chosen[:1]] + [chosen[i : i + at_once] for i in range(1, len(chosen), at_once)]:
        with concurrent.futures.ThreadPoolExecutor(len(wave)) as pool:
            begun = {pool.submit(one, name): name for name in wave}
            for each in concurrent.futures.as_completed(begun):
                name = begun[each]
                talk.settle()
                try:
                    click.echo(f"{name}: online with version {each.result()}")
                    done.append(name)
                except UpdateError as error:
                    complain(str(error))
                    failed.append(name)
        if failed:
            break
    return done, failed


def _signer(read: "Scenario", chosen: list[str], keys: Path, number: int | None, folder: Path) -> _Make:
    from dronewall.bench.bundle import bundle, key_of

    signed_with = {name: key_of(keys / f"{name}.key") for name in chosen}
    tree = firmware_files.built(folder / "firmware")

    def make(name: str, before: int) -> tuple[int, bytes]:
        version = number if number is not None else before + 1
        return version, bundle(tree, f"{read.site.name}/{name}", version, signed_with[name])

    return make


def _reader(read: "Scenario", name: str, ready: Path | None) -> _Make:
    from dronewall.bench.bundle import BundleError, told_by

    try:
        content = ready.read_bytes() if ready else b""
    except OSError as error:
        raise BundleError(f"{ready}: cannot be read ({error.strerror})") from None
    try:
        told, version = told_by(content)
    except BundleError as error:
        raise BundleError(f"{ready}: {error}") from None
    if told != f"{read.site.name}/{name}":
        raise BundleError(f"{ready}: for {told}, expected {read.site.name}/{name}")
    return lambda _name, _before: (version, content)
