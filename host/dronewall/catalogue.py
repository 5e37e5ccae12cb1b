"""Sensors that can be bought: catalogue.toml beside this file, and how a site file takes its sensor types from it.

A type names an entry, and the keys beside it override the entry's: `sensor_types.eye = { catalogue = "ov2640",
range_max_m = 300.0 }`. Inside `model` single keys may be overridden, too; a model of another kind replaces it.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dronewall.toml_check import Sheet, nearest, shown
from dronewall.toml_lines import Key


class CatalogueError(ValueError):
    """A name that the catalogue does not have."""


@dataclass(frozen=True)
class Entry:
    """A sensor type: `values` as they would stand in a site file, and where each figure comes from, by its key."""

    name: str
    title: str
    values: dict[str, Any]
    sources: dict[str, str]

    @property
    def figures(self) -> dict[str, Any]:
        """Every figure that has a source: the values, the model's among them, without words and names."""
        everything = {**self.values, **self.values["model"]}
        return {key: value for key, value in everything.items() if not isinstance(value, str | dict)}

    @property
    def assumed(self) -> tuple[str, ...]:
        """The figures that no document states."""
        return tuple(key for key in self.figures if self.sources[key].startswith("assumed"))


@functools.cache
def entries() -> dict[str, Entry]:
    """The catalogue by name, in its order."""
    text = Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8")
    made = {}
    for name, table in tomllib.loads(text).items():
        title, sources = table.pop("title"), table.pop("sources")
        made[name] = Entry(name, title, table, sources)
    return made


def entry(name: str) -> Entry:
    """The entry of that name. Raises CatalogueError, which names the nearest."""
    known = entries()
    if name not in known:
        near = nearest(name, known)
        hint = f"; did you mean {near}?" if near else ""
        raise CatalogueError(f"{shown(name)} is not in the catalogue; expected one of {', '.join(known)}{hint}")
    return known[name]


def expand(found: Sheet) -> None:
    """Puts the catalogue's figures into the sensor types of a parsed site file that name an entry.

    A name that is none becomes a problem; the first entry stands in for it, so that this stays the only one.
    """
    for key in found.each("sensor_types"):
        own = found.raw(*key)
        if "catalogue" in own:
            found.data["sensor_types"][key[-1]] = _merged(own, _named(found, (*key, "catalogue"), own["catalogue"]))


def _named(found: Sheet, key: Key, name: Any) -> Entry | None:
    known = entries()
    if isinstance(name, str) and name in known:
        return known[name]
    near = nearest(name, known) if isinstance(name, str) else None
    came = f"{shown(name)} is not in the catalogue" if isinstance(name, str) else shown(name)
    found.problem(key, came, "one of " + ", ".join(map(shown, known)), f'"{near}"' if near else None)
    return None


def _merged(own: dict[str, Any], base: Entry | None) -> dict[str, Any]:
    if base is None:
        stand_in = next(iter(entries().values())).values
        return {**stand_in, **{key: value for key, value in own.items() if key not in ("catalogue", "model")}}
    model = own.get("model", {})
    if isinstance(model, dict) and model.get("kind", base.values["model"]["kind"]) == base.values["model"]["kind"]:
        model = {**base.values["model"], **model}
    return {**base.values, **own, "model": model}
