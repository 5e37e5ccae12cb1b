"""Pictures of the enclosure, drawn from the STL files that hardware/enclosure.py writes.

    python hardware/render.py --parts out/hardware --output hardware/pictures

A z-buffer in numpy: matplotlib's own 3D axes sort whole polygons and get boxes within boxes wrong. What stands in them,
meshes.py knows.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import enclosure
import fits
import matplotlib
import numpy as np
import plan
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from meshes import COVER, SHELL, Mesh, bought, jaws, mast, part
from plan import Enclosure, EnclosureError

FINER = 3  # pixels of the z-buffer to one of the picture


class View:
    """A camera far away: from `azimuth_deg` (anticlockwise from x, seen from above) and `elevation_deg`."""

    def __init__(self, azimuth_deg: float, elevation_deg: float) -> None:
        a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
        right = (-math.sin(a), math.cos(a), 0.0)
        up = (-math.cos(a) * math.sin(e), -math.sin(a) * math.sin(e), math.cos(e))
        self.axes = np.array([right, up, (math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e))])

    def seen(self, points: np.ndarray) -> np.ndarray:
        """(right, up, towards the camera) [mm] of points (..., 3)."""
        return points @ self.axes.T


def picture(
    meshes: Sequence[Mesh], view: View, pixels_per_mm: float
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The picture (rows, columns, 4), its first row on top and white that lets through around it, and its
    (left, right, bottom, top) [mm] in the view.
    """
    scale = pixels_per_mm * FINER
    seen = [view.seen(mesh.triangles) for mesh in meshes]
    low = np.min([each.min((0, 1)) for each in seen], 0) - 2
    high = np.max([each.max((0, 1)) for each in seen], 0) + 2
    wide, tall = (math.ceil((high[k] - low[k]) * scale / FINER) * FINER for k in (0, 1))
    depth = np.full((tall, wide), -np.inf)
    face = np.zeros((tall, wide, 3))
    colour = np.ones((tall, wide, 3))
    which = np.full((tall, wide), -1)
    for index, (mesh, triangles) in enumerate(zip(meshes, seen, strict=True)):
        corners = (triangles - (low[0], low[1], 0)) * (scale, scale, 1)
        normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        length = np.linalg.norm(normal, axis=1)
        for (a, b, c), n, size in zip(corners, normal, length, strict=True):
            if size < 1e-9 or n[2] <= 1e-6 * size:
                continue
            left, right = int(min(a[0], b[0], c[0])), math.ceil(max(a[0], b[0], c[0])) + 1
            bottom, top = int(min(a[1], b[1], c[1])), math.ceil(max(a[1], b[1], c[1])) + 1
            x = np.arange(left, min(right, wide)) + 0.5
            y = np.arange(bottom, min(top, tall))[:, None] + 0.5
            whole = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
            if abs(whole) < 1e-9:
                continue
            u = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / whole
            v = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / whole
            z = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])
            window = (slice(bottom, min(top, tall)), slice(left, min(right, wide)))
            hit = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (z > depth[window])
            depth[window][hit] = z[hit]
            face[window][hit] = n / size
            colour[window][hit] = mesh.colour
            which[window][hit] = index
    lamp = np.array((-0.35, 0.55, 0.76))
    light = 0.42 + 0.58 * np.clip(face @ (lamp / np.linalg.norm(lamp)), 0, 1)
    shaded = colour * light[..., None]
    shaded[which < 0] = 1.0
    line = np.zeros((tall, wide), bool)
    for axis in (0, 1):
        here = np.s_[1:, :] if axis == 0 else np.s_[:, 1:]
        there = np.s_[:-1, :] if axis == 0 else np.s_[:, :-1]
        one, other = depth[here], depth[there]
        with np.errstate(invalid="ignore"):
            jump = np.abs(one - other) > 1.2
        crease = (face[here] * face[there]).sum(-1) < 0.9
        line[here] |= ((which[here] != which[there]) | crease | jump) & ((which[here] >= 0) | (which[there] >= 0))
    shaded[line] = (0.15, 0.16, 0.18)
    solid = ((which >= 0) | line).astype(float)
    whole = np.concatenate([shaded, solid[..., None]], -1)
    coarse = whole.reshape(tall // FINER, FINER, wide // FINER, FINER, 4).mean((1, 3))[::-1]
    extent = (low[0], low[0] + wide / scale, low[1], low[1] + tall / scale)
    return np.clip(coarse, 0, 1), extent


def _labels(
    axes: Axes, view: View, extent: tuple[float, float, float, float],
    left: dict[str, Sequence[float]], right: dict[str, Sequence[float]], rows: int = 12,
) -> None:  # fmt: skip
    """Texts in two columns beside the picture, each with a line to its place [mm], in the order of their heights, so
    that no two lines cross; `rows`: how many of them the picture is high.
    """
    gap = (extent[3] - extent[2]) / rows
    for items, x, side in ((left, extent[0] - 3, "right"), (right, extent[1] + 3, "left")):
        places = sorted(((*view.seen(np.array(at, float))[:2], text) for text, at in items.items()), key=lambda p: p[1])
        heights: list[float] = []
        for _, y, text in places:
            lines = 1 + text.count("\n")
            heights.append(max(y, heights[-1] + gap * (0.55 + 0.4 * lines) if heights else extent[2] + gap / 2))
        over = max(0.0, heights[-1] - extent[3]) if heights else 0.0
        for (px, py, text), height in zip(places, heights, strict=True):
            axes.annotate(
                text, (px, py), (x, height - over), fontsize=8.5, ha=side, va="center", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "lw": 0.7, "color": "0.2", "shrinkA": 1, "shrinkB": 0},
            )  # fmt: skip
            axes.plot(px, py, "o", ms=2.4, color="0.1", zorder=5)


def _shown(axes: Axes, meshes: Sequence[Mesh], view: View) -> tuple[float, float, float, float]:
    image, extent = picture(meshes, view, 3.2)
    axes.imshow(image, extent=extent, interpolation="bilinear", zorder=1)
    axes.set_axis_off()
    return extent


def closed(box: Enclosure, folder: Path) -> Figure:
    """The closed box on a mast of 48 mm, from the front and from behind and below."""
    diameter = 48.0
    shell, lid = part(box, folder, "body", SHELL), part(box, folder, "lid", COVER)
    inside = bought(box)
    back, ahead, _ = plan.outside(box)
    screw = plan.screws(box)[0][1]
    figure = Figure(figsize=(13, 5.2), layout="constrained")
    one, other = figure.subplots(1, 2, width_ratios=(1.08, 1))

    view = View(32, 24)
    both = [*jaws(box, folder, diameter), *inside["through"]]
    extent = _shown(one, [shell, lid, *inside["pir"], *both, mast(box, diameter, -75, 95)], view)
    _labels(
        one, view, extent,
        left={
            "mast, 30 to 60 mm": (plan.mast_x(box, diameter), 0, 95),
            "GNSS patch,\nunder the lid": (box.patch_x, 0, box.height + box.lid),
            "six M4 screws,\noutside the gasket": (-box.screw_reach, -screw, box.height + box.lid),
            "PIR's lens": (ahead + 6, box.pir_y, box.sensor_z),
            f"radar, behind this wall\n({plan.front(box):.1f} mm: half a wave)": (ahead, box.radar_y, box.sensor_z),
        },
        right={
            "M8 bolts": (plan.mast_x(box, diameter), box.bolt_y + 4, box.jaw_z),
            "skirt of the lid:\ndrip edge over the joint": (plan.lid_outline(box)[0], 25, box.height - 3),
            "ears lean at 45°:\nno support": (box.screw_reach, screw + 3, box.height - 11),
        },
    )  # fmt: skip
    one.set_title("from the front, on its left", fontsize=10.5)

    view = View(142, -28)
    extent = _shown(other, [shell, lid, *both, mast(box, diameter, -70, 95)], view)
    under = {bore.name: (bore.x, bore.y, -box.floor - 8) for bore in plan.bores(box)}
    behind = 2 * plan.mast_x(box, diameter) - back
    _labels(
        other, view, extent,
        left={
            "antenna\n(N bulkhead)": under["antenna"],
            "breather M12": under["breather M12"],
            "glands M16\nand M12": under["gland M16: solar panel"],
        },
        right={
            "jaw, screwed to\nthe back wall (M5)": (back - 10, box.fix_y + 8, box.jaw_z - 22),
            "the same part\nagain": (behind, -12, box.jaw_z - 12),
        },
    )  # fmt: skip
    other.set_title("from behind and below", fontsize=10.5)
    return figure


def exploded(box: Enclosure, folder: Path) -> Figure:
    """The parts apart; beside them the lid from below and the body's inside."""
    up = 165.0
    inside = bought(box)
    shell, lid = part(box, folder, "body", SHELL), part(box, folder, "lid", COVER)
    shifts = {
        "board": (0, 0, 62), "cell": (-26, 0, 62), "radar": (0, 0, 46), "pir": (42, 0, 0),
        "patch": (0, 0, up - 45), "through": (0, 0, -38),
    }  # fmt: skip
    meshes = [shell, lid.moved(z=up)] + [
        mesh.moved(*shifts[name]) for name, group in inside.items() for mesh in group
    ]  # fmt: skip
    back, ahead, _ = plan.outside(box)
    away = -62.0
    meshes += [mesh.moved(x=away) for mesh in jaws(box, folder, 48.0)[:2]]
    meshes += [part(box, folder, "servo_carrier", COVER).moved(back + away + 20, 0, -138)]
    figure = Figure(figsize=(14, 9.4), layout="constrained")
    axes, whole = figure.subplot_mosaic([["apart", "lid"], ["apart", "body"]], width_ratios=(1.5, 1)), View(38, 26)
    extent = _shown(axes["apart"], meshes, whole)
    edge, middle = plan.board(box)[1], plan.bay(box)[3]
    top = box.board_height + 62
    _labels(
        axes["apart"], whole, extent,
        left={
            "lid": (0, -50, box.height + box.lid + up),
            "LiFePO4 cell 32700,\nlies in the bay": (middle - 26, -33, 66 + box.cell_diameter),
            "carrier board\n70 x 90 mm": (-8, -40, top + 2),
            "compass, as far from\nthe mast as it goes": (box.compass_ahead, -3, top + 5),
            "groove for the\ncord of sponge": (box.length / 2 + 3.5, -40, box.height),
            "PIR, from inside\ninto its collar": (ahead + 46, box.pir_y, box.sensor_z),
            "glands, antenna,\nbreather": (box.row_front, -box.column, -52),
        },
        right={
            "GNSS receiver with its patch,\ninto the frame under the lid": (box.patch_x + 10, 10, box.height + up - 46),
            "jaws of the clamp:\none part, twice": (back + away, 30, box.jaw_z + 22),
            "radar, slides into\nits rails from above": (edge + 5, box.radar_y + 18, box.sensor_z + 48),
            "servo carrier, on jaws\nof its own, further below": (back + away + 80, 15, -115),
        },
        rows=28,
    )  # fmt: skip

    below = View(28, -38)
    extent = _shown(axes["lid"], [lid, *inside["patch"]], below)
    reach = box.length / 2 - 2
    _labels(
        axes["lid"], below, extent,
        left={"frame of the\nGNSS patch": (box.patch_x, -box.patch / 2 - 2, box.height - box.patch_frame)},
        right={
            "ribs against\nbowing": (reach, 20, box.height - box.beam),
            "skirt": (5, plan.lid_outline(box)[1] - 8, box.height - box.drip),
        },
    )  # fmt: skip
    axes["lid"].set_title("the lid from below", fontsize=10.5)

    above = View(197, 70)
    extent = _shown(axes["body"], [shell], above)
    x, y = plan.standoffs(box)[0]
    rail = box.length / 2 - plan.rails(box) / 2
    _labels(
        axes["body"], above, extent,
        left={
            "rails of\nthe radar": (rail, box.radar_y + 22, box.sensor_z + 8),
            "standoffs,\nfor M3": (x, y, box.board_height),
            "ribs with the\nM5 inserts": (2 - box.length / 2 + 3, box.fix_y, plan.pillar_top(box)),
        },
        right={
            "collar of\nthe PIR": (box.length / 2 - 2, box.pir_y, box.sensor_z + 12),
            "bores for glands,\nantenna, breather": (box.row_front, -box.column, 0),
            "battery bay": (plan.bay(box)[1] - 1, -30, box.bay_height),
        },
    )  # fmt: skip
    axes["body"].set_title("the body from behind and above", fontsize=10.5)
    return figure


PICTURES = {"enclosure": closed, "exploded": exploded}


def saved(figure: Figure, folder: Path, name: str) -> None:
    """Writes NAME.png and NAME.svg; the letters of the SVG stay letters, and neither has a date in it."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            folder / f"{name}.png", dpi=110, bbox_inches="tight", facecolor="white", metadata={"Software": None}
        )
        figure.savefig(
            folder / f"{name}.svg", bbox_inches="tight", facecolor="white", metadata={"Date": None, "Creator": None}
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draws the enclosure from its STL files.")
    parser.add_argument("--parts", type=Path, required=True, metavar="FOLDER", help="what hardware/enclosure.py wrote")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where PNG and SVG go")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as the parts were made with")
    told = parser.parse_args(arguments)
    try:
        box = fits.checked(enclosure.changed(told.set))
        for name, draw in PICTURES.items():
            saved(draw(box, told.parts), told.output, name)
    except EnclosureError as error:
        print(f"render: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"render: {told.output}: {error.strerror}; --output expects a folder", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
