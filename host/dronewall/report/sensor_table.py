"""The catalogue of sensors as tables for the terminal: all of them, or one with the source of each figure."""

import math
from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dronewall.catalogue import Entry
from dronewall.engine.models import MODELS, Environment, Target, resolution
from dronewall.toml_check import UNITS, unit_of

WALKER = Target("walker", 0.0, 1.7, 0.5, 1.4, radar_cross_section=0.5, thermal_contrast=2.0, source_level=40.0)
DRONE = Target("drone", 59.9, 60.1, 0.4, 15.0, radar_cross_section=0.01, thermal_contrast=5.0, source_level=75.0)
CLEAR = Environment(visibility=20_000.0, infrared_visibility=20_000.0)
"""Ordinary targets and weather, by which the sensors can be compared; the site file's defaults but for the targets."""


def reach(entry: Entry, target: Target, environment: Environment = CLEAR) -> float:
    """How far the sensor notices a target that shows whole and moves in half of its glimpses [m], to 1 %; 0 where it
    never does.
    """
    values = entry.values
    near, far = max(values.get("range_min_m", 0.0), 0.1), values["range_max_m"]
    slant = np.append(np.geomspace(near, far, max(2, math.ceil(math.log(far / near) / 0.01))), far)
    exposed = np.full_like(slant, target.top_agl - target.bottom_agl)
    per_radian = resolution(values["model"], values["shape"], math.radians(values["hfov_deg"]))
    share, _ = MODELS[values["model"]["kind"]](values["model"], per_radian, slant, exposed, target, environment, False)
    seen = slant[share >= 0.5]
    return float(seen.max()) if seen.size else 0.0


def all_of(entries: Sequence[Entry]) -> RenderableType:
    """A row for each entry."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, side in (
        ("name", "left"),
        ("what", "left"),
        ("model", "left"),
        ("field", "right"),
        ("gate", "right"),
        ("walker", "right"),
        ("drone", "right"),
        ("assumed", "right"),
    ):
        table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=heading != "what")
    for each in entries:
        values = each.values
        table.add_row(
            each.name,
            Text(each.title),
            values["model"]["kind"],
            f"{values['hfov_deg']:.0f} x {values['vfov_deg']:.0f}°",
            f"{values['range_max_m']:g} m",
            _metres(reach(each, WALKER)),
            _metres(reach(each, DRONE)),
            f"{len(each.assumed)} of {len(each.figures)}",
        )
    words = (
        "walker, drone: how far half of the glimpses notice one that moves in the open, by day, visibility 20 km; "
        "modelled (a walker of 0.5 m2, 2 K, 40 dB; a drone 0.4 m across of 0.01 m2, 5 K, 75 dB). gate: nothing counts "
        "beyond. assumed: figures without a document; dronewall sensors NAME says which."
    )
    return Group(table, Text(""), Text(words, style="dim"))


def _metres(distance: float) -> str:
    return f"{distance:.0f} m" if distance >= 10.0 else f"{distance:.1f} m" if distance > 0.0 else "never"


def one(entry: Entry) -> RenderableType:
    """Every figure of an entry and where it comes from; the assumed ones stand out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("figure", "value", "source"):
        table.add_column(heading, no_wrap=heading == "figure", justify="right" if heading == "value" else "left")
    for key, value in entry.figures.items():
        unit = UNITS.get(unit_of(key), "")
        shown = ", ".join(f"{part:g}" for part in value) if isinstance(value, list) else f"{value:g}"
        shown = str(value).lower() if isinstance(value, bool) else shown
        style = "yellow" if key in entry.assumed else ""
        name = f"model.{key}" if key in entry.values["model"] else key
        table.add_row(name, f"{shown} {unit}".strip(), Text(entry.sources[key], style=style))
    kind, shape, driver = entry.values["model"]["kind"], entry.values["shape"], entry.values["driver"]
    facts = f'model "{kind}", shape "{shape}", firmware driver "{driver}"'
    use = f'sensor_types.NAME = {{ catalogue = "{entry.name}" }}'
    return Group(
        Text(entry.title, style="bold"), Text(facts), Text(""), table, Text(""), Text("in a site file: " + use)
    )
