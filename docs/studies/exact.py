"""Whether `viewshed.visible(exact=True)` is the plain march to the cell, on ground made to trip it.

    python docs/studies/exact.py 600 > docs/studies/exact.txt

For so many seconds random grounds, surfaces, holes, eyes, targets, ranges and refractions; every cell's answer against
the height that the plain march (`minimum_visible_height(exact=True)`) says it needs. A cell whose target clears what
hides it, or whose range ends, by less than the last digits of the heights at hand is a graze and not judged.
"""

import math
import sys
import time
from typing import Any

import numpy as np

from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import minimum_visible_height, visible

KINDS = ("noise", "towers", "waves", "fractal", "steps")


def ground_of(random: Any, kind: str, size: int, amplitude: float) -> Any:
    """Heights (size, size) [m]."""
    if kind == "noise":
        return random.uniform(0.0, amplitude, (size, size))
    if kind == "towers":
        return np.where(random.uniform(size=(size, size)) < 0.02, amplitude, 0.0)
    if kind == "waves":
        return amplitude * np.sin(np.arange(size)[:, None] / 9.0) * np.cos(np.arange(size) / 7.0)
    if kind == "steps":
        return np.floor(random.uniform(0.0, 4.0, (size, size))) * amplitude / 4.0
    return np.cumsum(np.cumsum(random.normal(size=(size, size)), 0), 1) * amplitude / 1e3


def compared(random: Any) -> tuple[str, int, int, int]:
    """One case: its kind, the cells that were judged, those that graze, and those that are wrong."""
    size, cell = int(random.integers(60, 330)), float(random.choice([0.5, 5.0, 30.0, 90.0]))
    amplitude, kind = float(random.choice([0.01, 5.0, 300.0, 9000.0])), str(random.choice(KINDS))
    ground = np.asarray(ground_of(random, kind, size, amplitude), dtype=np.float64)
    if random.uniform() < 0.5:
        ground[random.uniform(size=ground.shape) < 0.002] = np.nan
    built = random.uniform() < 0.3
    stands = np.where(random.uniform(size=ground.shape) < 0.05, amplitude / 10.0, 0.0)
    terrain = Terrain.from_array(ground, cell, surface_amsl=ground + stands if built else None)
    x, y = random.uniform(0.0, size, 2)
    if random.uniform() < 0.3:
        x, y = math.floor(x) + 0.5, math.floor(y) + 0.5
    floor = float(np.nan_to_num(terrain.ground(x * cell, y * cell)))
    eye = (x * cell, y * cell, floor + float(random.choice([0.1, 3.0, 50.0, 3000.0])))
    target, bent = float(random.choice([0.0, 1.7, 40.0])), float(random.choice([0.13, 1.0, 0.25, -3.0, 5.0]))
    reach = float(random.uniform(10.0, size * 1.2)) * cell
    seen = visible(terrain, eye, target, reach, refraction=bent, exact=True)
    needed = minimum_visible_height(terrain, eye, reach, refraction=bent, exact=True)
    rows, cols = needed.slices
    columns, lines = terrain.centres
    level2 = (columns[cols] - eye[0]) ** 2 + (lines[rows, None] - eye[1]) ** 2
    i, j = math.floor(y) - needed.row, math.floor(x) - needed.col
    if 0 <= i < level2.shape[0] and 0 <= j < level2.shape[1]:
        level2[i, j] = 0.0
    slant = np.sqrt(level2 + (terrain.ground_amsl[rows, cols] + target - eye[2]) ** 2)
    plain = (needed.values <= target) & (slant <= reach)
    graze = np.abs(needed.values - target) < 1e-7 * max(1.0, amplitude)
    graze |= np.abs(slant - reach) < 1e-7 * max(1.0, reach * 1e-3)
    wrong = (seen.values != plain) & ~graze
    return kind + (" with buildings" if built else ""), int((~graze).sum()), int(graze.sum()), int(wrong.sum())


def campaign(seconds: float, seed: int) -> dict[str, list[int]]:
    """Cases, cells judged, grazes and wrong cells by kind of ground."""
    random, end = np.random.default_rng(seed), time.monotonic() + seconds
    found: dict[str, list[int]] = {}
    while time.monotonic() < end:
        kind, *counts = compared(random)
        row = found.setdefault(kind, [0, 0, 0, 0])
        for place, count in enumerate((1, *counts)):
            row[place] += count
    return found


def text(found: dict[str, list[int]], seed: int) -> str:
    """A table of it."""
    total = [sum(column) for column in zip(*found.values(), strict=True)]
    lines = [f"seed {seed}", f"{'ground':24}{'cases':>8}{'cells':>14}{'grazes':>10}{'wrong':>7}"]
    lines += [f"{name:24}{a:8}{b:14}{c:10}{d:7}" for name, (a, b, c, d) in (*sorted(found.items()), ("all", total))]
    return "\n".join(lines)


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32
    print(text(campaign(float(sys.argv[1]), chosen), chosen))
