"""What stands in the pictures, as triangles: printed parts out of their STL files, bought ones as boxes and cylinders.

Bought parts have the sizes that plan.py knows, and no details.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plan
from plan import Enclosure, EnclosureError

SHELL, COVER, STEEL, GREEN, DARK, WHITE, BRASS = (
    (0.86, 0.87, 0.84),
    (0.72, 0.78, 0.83),
    (0.62, 0.65, 0.68),
    (0.42, 0.62, 0.47),
    (0.33, 0.36, 0.40),
    (0.97, 0.97, 0.95),
    (0.85, 0.72, 0.42),
)


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Triangles (n, 3, 3) [mm] of one colour (red, green, blue: 0 to 1)."""

    triangles: np.ndarray
    colour: tuple[float, float, float]

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Mesh":
        return Mesh(self.triangles + np.array((x, y, z)), self.colour)


def read_stl(path: Path) -> np.ndarray:
    """The triangles (n, 3, 3) [mm] of a binary STL file. EnclosureError where it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EnclosureError(f"{path}: {error.strerror}; make hardware writes it") from None
    count = int.from_bytes(data[80:84], "little")
    if len(data) != 84 + 50 * count or not count:
        raise EnclosureError(f"{path}: {len(data)} bytes, {84 + 50 * count} expected of a binary STL file")
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    return np.frombuffer(data[84:], record)["corners"].astype(float)


def part(box: Enclosure, folder: Path, name: str, colour: tuple[float, float, float]) -> Mesh:
    """A part out of its STL file, turned back from the printer's bed to its place in the box."""
    on_bed = read_stl(folder / f"{name}.stl") - np.array((0, 0, plan.lift(box, name)))
    return Mesh(on_bed @ np.array(plan.ON_THE_BED[name]), colour)


def block(low: Sequence[float], high: Sequence[float], colour: tuple[float, float, float]) -> Mesh:
    """A box between two corners."""
    corners = np.array([[(low, high)[i >> k & 1][k] for k in range(3)] for i in range(8)])
    faces = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    split = [(a, b, c) for a, b, c, _ in faces] + [(a, c, d) for a, _, c, d in faces]
    return Mesh(corners[np.array(split)], colour)


def rod(
    start: Sequence[float], end: Sequence[float], diameter: float, colour: tuple[float, float, float], sides: int = 48,
    tip: float = 1.0,
) -> Mesh:  # fmt: skip
    """A cylinder between two points, `tip` times as wide at its end."""
    a, b = np.array(start, float), np.array(end, float)
    axis = (b - a) / np.linalg.norm(b - a)
    one = np.cross(axis, (0, 0, 1) if abs(axis[2]) < 0.9 else (1, 0, 0))
    one /= np.linalg.norm(one)
    two = np.cross(axis, one)
    turn = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    ring = diameter / 2 * (np.outer(np.cos(turn), one) + np.outer(np.sin(turn), two))
    low, high = a + ring, b + tip * ring
    after = np.roll(np.arange(sides), -1)
    found = [
        np.stack([low, low[after], high[after]], 1),
        np.stack([low, high[after], high], 1),
        np.stack([np.broadcast_to(a, low.shape), low[after], low], 1),
        np.stack([np.broadcast_to(b, high.shape), high, high[after]], 1),
    ]
    return Mesh(np.concatenate(found), colour)


def dome(centre: Sequence[float], diameter: float, colour: tuple[float, float, float]) -> Mesh:
    """Half a ball that bulges towards x."""
    steps = np.linspace(0, math.pi / 2, 9)
    rings = []
    for a, b in itertools.pairwise(steps):
        start = (centre[0] + diameter / 2 * math.sin(a), centre[1], centre[2])
        end = (centre[0] + diameter / 2 * math.sin(b), centre[1], centre[2])
        rings.append(rod(start, end, diameter * math.cos(a), colour, tip=math.cos(b) / math.cos(a)).triangles)
    return Mesh(np.concatenate(rings), colour)


def bought(box: Enclosure) -> dict[str, list[Mesh]]:
    """What is bought, where it stands in the box, by the names on the pictures."""
    back, ahead = plan.board(box)
    _, _, _, bay = plan.bay(box)
    z = box.board_height
    half = box.board_width / 2
    cell, long = box.cell_diameter / 2, box.cell_length / 2
    near = box.length / 2 - plan.standing()
    radar = (box.radar_width / 2, box.radar_height / 2)
    base = plan.lens_base(box)
    top = z + box.board_thick
    x = box.compass_ahead
    found = {
        "board": [
            block((back, -half, z), (ahead, half, top), GREEN),
            block((back + 6, -9, top), (back + 31.5, 9, top + 3.2), STEEL),
            block((back + 4, 18, top), (back + 30, 36, top + 8), DARK),
            block((x - 7, -7, top + 2), (x + 7, 7, top + 3.6), (0.35, 0.42, 0.72)),
        ],
        "cell": [rod((bay, -long, cell), (bay, long, cell), box.cell_diameter, (0.32, 0.47, 0.72))],
        "radar": [
            block(
                (near - box.radar_thick, box.radar_y - radar[0], box.sensor_z - radar[1]),
                (near, box.radar_y + radar[0], box.sensor_z + radar[1]),
                (0.25, 0.45, 0.35),
            ),
            *(
                block((near, y - 3, box.sensor_z - 3), (near + 0.4, y + 3, box.sensor_z + 3), BRASS)
                for y in (box.radar_y - 14, box.radar_y, box.radar_y + 12)
            ),
        ],
        "pir": [
            rod((base - 9, box.pir_y, box.sensor_z), (base, box.pir_y, box.sensor_z), box.lens * 0.6, STEEL),
            dome((base, box.pir_y, box.sensor_z), box.lens, WHITE),
        ],
        "patch": [
            block(
                (box.patch_x - box.patch / 2, -box.patch / 2, box.height - 8),
                (box.patch_x + box.patch / 2, box.patch / 2, box.height - 0.5),
                BRASS,
            )
        ],
    }  # fmt: skip
    for bore in plan.bores(box):
        low = -box.floor
        nut = rod((bore.x, bore.y, low - 5), (bore.x, bore.y, low), bore.keep * 0.95, DARK, 6)
        if bore.name == "antenna":
            stem = rod((bore.x, bore.y, low - 16), (bore.x, bore.y, low - 5), bore.diameter * 0.95, BRASS)
        elif bore.name.startswith("breather"):
            stem = rod((bore.x, bore.y, low - 9), (bore.x, bore.y, low - 5), bore.keep * 0.9, (0.5, 0.53, 0.56))
        else:
            stem = rod((bore.x, bore.y, low - 20), (bore.x, bore.y, low - 5), bore.keep * 0.85, DARK, tip=0.75)
        found.setdefault("through", []).extend([nut, stem])
    return found


def mast(box: Enclosure, diameter: float, low: float, high: float) -> Mesh:
    x = plan.mast_x(box, diameter)
    return rod((x, 0, low), (x, 0, high), diameter, (0.78, 0.79, 0.80), 96)


def jaws(box: Enclosure, folder: Path, diameter: float) -> list[Mesh]:
    """Both jaws on a mast, and their bolts."""
    one = part(box, folder, "clamp", COVER)
    back = plan.outside(box)[0]
    turned = one.triangles * np.array((-1, -1, 1))
    behind = 2 * plan.mast_x(box, diameter) - back
    bolts = [
        rod((behind - 6, y, box.jaw_z), (back - box.head_depth, y, box.jaw_z), 8, STEEL)
        for y in (box.bolt_y, -box.bolt_y)
    ]
    return [one.moved(back, 0, box.jaw_z), Mesh(turned, COVER).moved(behind, 0, box.jaw_z), *bolts]
