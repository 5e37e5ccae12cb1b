"""Which radio links of a site reach, for the terminal and as JSON: losses, margins, what is in the way, what helps."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dronewall import __version__
from dronewall.engine.earth import RADIO
from dronewall.engine.links import HIGHEST_ANTENNA, without_link
from dronewall.engine.radio import CLEAR
from dronewall.report.colours import LOOKS, State
from dronewall.report.figures import figure
from dronewall.report.verdict import away, height
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.ground import Ground
    from dronewall.engine.links import Link, Radio, Verdict
    from dronewall.engine.radio import Path
    from dronewall.scenario import Scenario

LOOK_OF: dict[Verdict, State] = {
    "reaches": "covered",
    "marginal": "weak",
    "cannot reach": "gap",
    "unknown": "unknown",
}
"""How a verdict looks: like the frontage would in that state."""

_DISH = 24.0
"""Gain [dBi] of the largest antenna that is advice: a grid dish of 0.6 m by 0.9 m."""


def digest_of(ground: Ground) -> str:
    """SHA-256 of all that the answer depends on but the options: the site file and the terrain."""
    terrain = ground.terrain
    told = f"links\n{ground.scenario.digest}\n{terrain.digest}\n{terrain.le90} {terrain.posting}\n"
    return hashlib.sha256(told.encode()).hexdigest()


def fails(links: tuple[Link, ...]) -> bool:
    """Whether a link cannot reach, or is over unknown ground: what nobody knows is not said to work."""
    return any(link.verdict in ("cannot reach", "unknown") for link in links)


def report(ground: Ground, radio: Radio, links: tuple[Link, ...], notes: tuple[str, ...] = ()) -> RenderableType:
    """A table of the links, a sentence for each that has less than the margin asked for, and what it rests on."""
    said: list[RenderableType] = [_table(links)] if links else []
    for link in links:
        if link.verdict != "reaches" or link.doubts:
            said.append(Text(f"{name(link)}: {words(link, ground)}."))
    said.append(Text(summary(links), style="bold"))
    said += [Text(note) for note in notes]
    return Group(*said, Text(basis(ground, radio), style="dim"))


def notes(scenario: Scenario) -> tuple[str, ...]:
    """Who has no link that could be judged, and why."""
    over, none = without_link(scenario)
    said = []
    if over:
        said.append(f"Not judged, for another radio than Wi-Fi brings them to their gateway: {clean(', '.join(over))}.")
    if none:
        said.append(f"Not judged, for they name no access point: {clean(', '.join(none))}.")
    return tuple(said)


def name(link: Link) -> str:
    """`P1 to A1`"""
    return clean(f"{link.one.name} to {link.other.name}")


def _table(links: tuple[Link, ...]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, collapse_padding=True)
    canopy = any(link.path.canopy >= 0.05 for link in links)
    heads = ["link", "km", "masts\nm", "space\ndB", "ground\ndB", *(["trees\ndB"] if canopy else []), "level\ndBm"]
    for head in (*heads, "margin\ndB", "zone\nfree", "at\nkm"):
        table.add_column(head, justify="left" if head == "link" else "right", no_wrap=True, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for link in links:
        path = link.path
        table.add_row(
            Text(name(link)),
            f"{path.slant / 1000.0:.2f}",
            f"{link.one.agl:g}, {link.other.agl:g}",
            f"{path.free_space:.0f}",
            _whole(path.diffraction),
            *([_whole(path.canopy)] if canopy else []),
            _whole(link.received),
            _whole(link.margin),
            *_tightest(path),
            Text(link.verdict, style=LOOKS[LOOK_OF[link.verdict]].terminal),
        )
    return table


def _whole(value: float) -> str:
    return "?" if math.isnan(value) else str(round(value))


def _tightest(path: Path) -> tuple[str, str]:
    """How much of the first zone is free where it is least, and where."""
    if path.tightest is None:
        return "", ""
    free = "all" if path.fraction >= 1.0 else f"{path.fraction:.1f}"
    return free, f"{path.section.distance[path.tightest] / 1000.0:.2f}"


def words(link: Link, ground: Ground) -> str:
    """The verdict with its reason and what would help, in one sentence without a full stop."""
    return "; ".join([_said(link), *_advice(link), *_doubts(link, ground)])


def _said(link: Link) -> str:
    path, margin = link.path, link.margin
    if link.verdict == "unknown":
        return "unknown: the terrain has no height under a part of it"
    if link.verdict == "reaches":
        return f"reaches with {margin:.0f} dB to spare"
    if link.verdict == "marginal":
        said = f"marginal: {margin:.0f} dB to spare where {link.radio.margin:g} dB are asked for"
    else:
        said = f"cannot reach: {-margin:.0f} dB too weak"
    if path.lacking > 0.0 and path.tightest is not None:
        place = f"the ground {away(float(path.section.distance[path.tightest]))} from {clean(link.one.name)}"
        if path.clearance < 0.0:
            said += f", because {place} stands {height(-path.clearance)} above the line of sight"
            said += f" ({height(path.lacking)} too high for a free Fresnel zone)"
        else:
            said += f", because {place} is {height(path.lacking)} too high for a free Fresnel zone"
    if path.canopy >= 1.0:
        said += f", and the trees take {path.canopy:.0f} dB"
    if path.lacking == 0.0 and path.canopy < 1.0:
        said += f", because it is {away(path.slant)} away"
    return said


def _advice(link: Link) -> list[str]:
    if link.verdict not in ("marginal", "cannot reach"):
        return []
    here, there, ways = clean(link.one.name), clean(link.other.name), []
    if math.isfinite(link.least_agl):
        ways.append(f"an antenna of {height(link.least_agl, up=True)} at {here} (now {link.one.agl:g} m)")
    if math.isfinite(link.least_other_agl):
        ways.append(f"one of {height(link.least_other_agl, up=True)} at {there} (now {link.other.agl:g} m)")
    if math.isinf(link.radio.eirp):
        if link.one.gain + link.lacking <= _DISH:
            ways.append(f"a directional antenna of {math.ceil(link.one.gain + link.lacking)} dBi at {here}")
        elif link.one.gain + link.other.gain + link.lacking <= 2.0 * _DISH:
            ways.append(f"{math.ceil(link.lacking)} dB more gain of both antennas together")
    elif link.lacking + max(link.one.gain, link.other.gain) <= _DISH:
        ways.append(f"{math.ceil(link.lacking)} dB more gain of each antenna")
    ways += [f"access point {clean(point)} ({margin:.0f} dB to spare)" for point, margin in link.others[:1]]
    if link.relay is not None:
        ways.append(f"a further access point on post {clean(link.relay[0])} ({link.relay[1]:.0f} dB to spare)")
    if ways:
        return [f"{' or '.join([', '.join(ways[:-1]), ways[-1]] if len(ways) > 1 else ways)} would do"]
    return [
        f"no antenna up to {HIGHEST_ANTENNA:g} m, no dish and no post of the site as a relay would do: "
        f"it lacks {link.lacking:.0f} dB"
    ]


def _doubts(link: Link, ground: Ground) -> list[str]:
    if not link.doubts:
        return []
    others = " or ".join(link.doubts)
    return [f"not sure: within the terrain's error, LE90 {ground.terrain.le90:g} m, it may be: {others}"]


def summary(links: tuple[Link, ...]) -> str:
    """`7 of 10 links reach; marginal: P6; cannot reach: P9.`"""
    if not links:
        return "No link to judge: no node or gateway names its access point ([[access_points]], access_point = NAME)."
    good = sum(link.verdict == "reaches" for link in links)
    said = [f"{good} of {len(links)} links {'reaches' if good == 1 else 'reach'}"]
    verdicts: tuple[Verdict, ...] = ("marginal", "cannot reach", "unknown")
    for verdict in verdicts:
        found = [clean(link.one.name) for link in links if link.verdict == verdict]
        if found:
            said.append(f"{verdict}: {', '.join(found)}")
    return "; ".join(said) + "."


def basis(ground: Ground, radio: Radio) -> str:
    """What every figure depends on."""
    terrain = ground.terrain
    posting = f"{terrain.posting:.0f} m" if math.isfinite(terrain.posting) else "not given"
    error = f"{terrain.le90:g} m" if math.isfinite(terrain.le90) else "not given"
    limit = f"at most {radio.eirp:g} dBm EIRP" if math.isfinite(radio.eirp) else "no limit of EIRP (--eirp-dbm)"
    return (
        f"Modelled at {radio.frequency / 1e6:g} MHz, {radio.power:g} dBm sent, {limit}, heard from "
        f"{radio.sensitivity:g} dBm on, {radio.margin:g} dB of margin asked for. Free space (ITU-R P.525), diffraction "
        f"(P.526, delta-Bullington, k = {RADIO:g}: 4/3 earth), trees (P.833); zone free: how much of the first Fresnel "
        f"zone's radius is free where it is tightest, {CLEAR:g} loses nothing. Fading, reflections, rain and the noise "
        f"of others are what the margin is for. Terrain posting {posting}, LE90 {error}; "
        f"input {digest_of(ground)[:12]}; dronewall {__version__}."
    )


def as_json(ground: Ground, radio: Radio, links: tuple[Link, ...], notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """All of it, ready for `json.dumps`: nan has become None."""
    terrain = ground.terrain
    return {
        "dronewall": {
            "what": "link",
            "site": ground.scenario.site.name,
            "frequency_mhz": radio.frequency / 1e6,
            "power_dbm": radio.power,
            "eirp_dbm": figure(radio.eirp),
            "sensitivity_dbm": radio.sensitivity,
            "margin_db": radio.margin,
            "refraction": RADIO,
            "cell_m": terrain.cell,
            "posting_m": figure(terrain.posting),
            "le90_m": figure(terrain.le90),
            "input_hash": digest_of(ground),
            "version": __version__,
        },
        "notes": list(notes),
        "links": [_link(link, ground) for link in links],
    }


def _link(link: Link, ground: Ground) -> dict[str, Any]:
    path = link.path
    tightest = None
    if path.tightest is not None:
        tightest = {
            "distance_m": figure(float(path.section.distance[path.tightest]), 2),
            "ground_amsl_m": figure(float(path.section.ground_amsl[path.tightest]), 2),
            "clearance_m": figure(path.clearance, 3),
            "fresnel_radius_m": figure(path.radius, 3),
            "fresnel_fraction": figure(path.fraction, 3),
            "lacking_m": figure(path.lacking, 3),
        }
    return {
        "from": {
            "name": link.one.name,
            "kind": link.one.kind,
            "antenna_agl_m": link.one.agl,
            "antenna_amsl_m": figure(path.one_amsl, 2),
            "antenna_dbi": link.one.gain,
        },
        "to": {
            "name": link.other.name,
            "kind": link.other.kind,
            "antenna_agl_m": link.other.agl,
            "antenna_amsl_m": figure(path.other_amsl, 2),
            "antenna_dbi": link.other.gain,
        },
        "verdict": link.verdict,
        "words": words(link, ground),
        "distance_m": figure(path.slant, 2),
        "free_space_db": figure(path.free_space, 2),
        "diffraction_db": figure(path.diffraction, 2),
        "canopy_db": figure(path.canopy, 2),
        "received_dbm": figure(link.received, 2),
        "margin_db": figure(link.margin, 2),
        "margin_low_db": figure(link.low, 2),
        "margin_high_db": figure(link.high, 2),
        "tightest": tightest,
        "least_antenna_agl_m": figure(link.least_agl, 2),
        "least_other_antenna_agl_m": figure(link.least_other_agl, 2),
        "lacking_db": figure(link.lacking, 2),
        "other_access_points": [{"name": point, "margin_db": figure(margin, 2)} for point, margin in link.others],
        "relay": None if link.relay is None else {"post": link.relay[0], "margin_db": figure(link.relay[1], 2)},
    }
