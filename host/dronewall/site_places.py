"""Coordinates in a parsed site file, measured well enough to find mistakes: no projection, no frame."""

from __future__ import annotations

import math

from dronewall.toml_check import Sheet
from dronewall.toml_lines import Key


def points(found: Sheet, key: Key) -> list[tuple[float, float]]:
    """The sound [latitude, longitude] list at that key, else an empty one."""
    points = found.sound(*key)
    return [(float(lat), float(lon)) for lat, lon in points] if points else []


def metres(origin: tuple[float, float], point: tuple[float, float]) -> tuple[float, float]:
    """Metres east and north of `origin`, good enough to find mistakes: a sphere, the short way round it."""
    degree = math.radians(6_371_000.0)
    middle = math.radians((origin[0] + point[0]) / 2)
    east = ((point[1] - origin[1] + 180) % 360 - 180) * math.cos(middle)
    return east * degree, (point[0] - origin[0]) * degree
