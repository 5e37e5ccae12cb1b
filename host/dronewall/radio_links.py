"""The command that says which nodes reach their access points by radio."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import click

from dronewall.options import Number, known, loudness, own_terrain
from dronewall.program import EXCEEDED
from dronewall.talk import FEWEST, Talk, stdout

_RATES = ("b1", "b11", "g6", "g54", "mcs0", "mcs7")
"""Names of `engine.radio.RATES`, which must not be loaded for `--help`."""


@click.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--rate", type=click.Choice(_RATES), default="b1", show_default=True,
              help="How an ESP32 sends and hears: 802.11b or g at so many Mbit/s, or n.")  # fmt: skip
@click.option("--frequency", "frequency_mhz", type=Number(100.0, 100_000.0), default=2437.0,
              show_default=True, metavar="MHZ", help="Middle of the channel.")  # fmt: skip
@click.option("--tx-dbm", type=Number(-30.0, 60.0), metavar="DBM",
              help="Power that the weaker end sends with. [default: by --rate, 19.5]")  # fmt: skip
@click.option("--rx-dbm", type=Number(-150.0, 0.0), metavar="DBM",
              help="Weakest signal that the deafer end understands. [default: by --rate, -97]")  # fmt: skip
@click.option("--eirp-dbm", type=Number(0.0, 80.0), metavar="DBM",
              help="What power and antenna together may send; in the EU 20 (EN 300 328). [default: no limit]",
              )  # fmt: skip
@click.option("--gain-node", type=Number(-10.0, 40.0), default=2.0, show_default=True, metavar="DBI",
              help="Antenna of nodes and gateways without `antenna_dbi`.")  # fmt: skip
@click.option("--gain-ap", type=Number(-10.0, 40.0), default=5.0, show_default=True, metavar="DBI",
              help="Antenna of access points without `antenna_dbi`.")  # fmt: skip
@click.option("--canopy-db", type=Number(0.0, 10.0), metavar="DB",
              help="What a metre of trees takes. [default: 0.4]")  # fmt: skip
@click.option("--margin-db", type=Number(0.0, 60.0), default=10.0, show_default=True, metavar="DB",
              help="What a link must have to spare.")  # fmt: skip
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw the sections with their Fresnel zones to this PNG.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON on stdout.")
@own_terrain
@loudness
def link(
    site: Path,
    names: tuple[str, ...],
    rate: str,
    frequency_mhz: float,
    tx_dbm: float | None,
    rx_dbm: float | None,
    eirp_dbm: float | None,
    gain_node: float,
    gain_ap: float,
    canopy_db: float | None,
    margin_db: float,
    picture: Path | None,
    as_json: bool,
    terrain: Path | None,
    verbose: int,
    quiet: bool,
) -> int:
    """Say which nodes of SITE reach their access points, what is in the way of the others, and what would help.

    Nodes, gateways, and access points that have a link to another one (`via`); with NAME, only these. Losses are
    those of free space and of the terrain between the antennas, a node's at its `mast_m`. The status is 3 when one
    cannot reach.
    """
    if picture is not None and picture.suffix.lower() != ".png":
        raise click.BadParameter(f"{str(picture)!r}; expected a file name that ends in .png", param_hint="'--picture'")
    with Talk(2, verbose, quiet) as talk:
        from dronewall import scenario
        from dronewall.engine import links, radio
        from dronewall.engine.ground import ground_of
        from dronewall.report import files
        from dronewall.report import links as shown

        read = scenario.read(site, terrain)
        for name in names:
            known(name, links.names(read), "link of", site)
        if picture is not None:
            files.may_fill(picture.parent)
            files.may_write(picture)
        of_rate = radio.RATES[rate]
        asked = links.Radio(
            frequency=frequency_mhz * 1e6,
            power=of_rate.power_dbm if tx_dbm is None else tx_dbm,
            sensitivity=of_rate.sensitivity_dbm if rx_dbm is None else rx_dbm,
            eirp=math.inf if eirp_dbm is None else eirp_dbm,
            margin=margin_db,
            node_gain=gain_node,
            point_gain=gain_ap,
        )
        if canopy_db is not None:
            asked = dataclasses.replace(asked, canopy_db_per_m=canopy_db)
        talk.now(1, f"ground: reading {read.terrain.ground}")
        ground = ground_of(read, links.antennas(read))
        talk.settle()
        for odd in ground.terrain.notes:
            talk.note(f"note: {odd}")
        talk.step(1, f"ground: heights every {ground.terrain.posting:.0f} m, {ground.site.crs.name}")
        found = links.links(ground, asked, names, lambda done, of: talk.now(2, f"links computed {done}/{of}"))
        talk.settle()
        notes = shown.notes(read) if not names else ()
        drawn: Path | None = None
        if picture is not None and found:
            from dronewall.report import picture_links

            talk.now(2, f"drawing {picture}")
            picture_links.write_png(ground, asked, found, picture)
            talk.settle()
            drawn = picture.resolve()
        talk.step(2, f"links: {len(found)}")
    _show(shown.as_json(ground, asked, found, notes) if as_json else shown.report(ground, asked, found, notes), as_json)
    if drawn is not None and not as_json:
        click.echo(str(drawn))
    return EXCEEDED if shown.fails(found) else 0


def _show(answer: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2, allow_nan=False))
    else:
        console = stdout()
        console.width = max(console.width, FEWEST)
        console.print(answer)
