"""The mounting drawing: which way is forward, where azimuth is zero, and which way every angle grows.

    python hardware/mounting.py --output hardware/pictures

Directions are those of axes.py, which tests hold against the firmware; lengths those of plan.py, to scale.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import enclosure
import fits
import numpy as np
import plan
from axes import north, on_page, turned_by_a_mast, turned_by_a_wire
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle, FancyBboxPatch, Polygon, Wedge
from plan import Enclosure, EnclosureError
from render import saved
from strokes import BLUE, GREEN, ORANGE, RED, VIOLET, Place, arrow, frame, measure, panel, sheet, turn, wedge

AZIMUTH_DEG = 35.0
"""Of the board in the drawing's view from above."""

MAST = 48.0  # [mm]
BELOW = 300.0
"""How far [mm] the servo stands under the box: its motors are magnets, and its camera stays out of the PIR's field."""


def side(axes: Axes, box: Enclosure) -> None:
    """Seen from the node's right: elevation, tilt, the sky, and what stays away from the compass."""
    back, ahead, _ = plan.outside(box)
    long, _ = plan.lid_outline(box)
    axis = plan.mast_x(box, MAST)
    depth, _ = plan.jaw(box)
    base = plan.lens_base(box)
    servo_z = box.jaw_z - BELOW
    panel(axes, "From the right", (-190, 268), (servo_z - 70, 212))
    sheet(axes, (axis - MAST / 2, servo_z - 66), MAST, 66 - servo_z + box.height + 6, "0.86", "0.35", 1)
    behind = 2 * axis - back
    for z in (box.jaw_z, servo_z):
        for x in (back - depth, behind):
            sheet(axes, (x, z - box.jaw_height / 2), depth, box.jaw_height, "#b8c4cf", "0.25", 0.9)
        axes.plot([behind - 4, back - 4], [z, z], color="0.4", lw=3, zorder=1.5)
    sheet(axes, (back, -box.floor), ahead - back, box.floor + box.height, "#e4e5e0", "0.2", 1.2)
    sheet(axes, (-box.length / 2, 0), box.length, box.height, "white", "0.6", 0.7)
    sheet(axes, (-long, box.height), 2 * long, box.lid, "#b8c4cf", "0.25", 0.9)
    for x in (-long, long - box.skirt):
        sheet(axes, (x, box.height - box.drip), box.skirt, box.drip, "#b8c4cf", "0.25", 0.7)
    start, end = plan.board(box)
    sheet(axes, (start, box.board_height), end - start, 2.2, "#5b9a6b", "none", 1.0)
    axes.add_patch(
        Circle((plan.bay(box)[3], box.cell_diameter / 2), box.cell_diameter / 2, fc="#8fa9d0", ec="0.3", lw=0.8)
    )
    axes.text(plan.bay(box)[3], box.cell_diameter / 2, "cell", fontsize=7.5, ha="center", va="center")
    patch = (box.patch_x, box.height - 4)
    sheet(axes, (patch[0] - box.patch / 2, patch[1] - 3), box.patch, 6, "#d9b96a", "0.3", 0.7)
    near = box.length / 2 - plan.standing()
    axes.plot([near, near], [box.sensor_z - 7.5, box.sensor_z + 7.5], color=GREEN, lw=3)
    for x in {bore.x for bore in plan.bores(box)}:
        sheet(axes, (x - 8, -box.floor - 16), 16, 16, "0.45", "0.25", 0.6)

    wedge(axes, (base, box.sensor_z), 130, 0, box.vfov_deg / 2, ORANGE)
    wedge(axes, (near, box.sensor_z), 175, 0, 35, BLUE)
    axes.add_patch(Wedge((base + 1, box.sensor_z), box.lens / 2, -90, 90, fc="white", ec="0.2", lw=1, zorder=6))
    axes.text(base + 62, box.sensor_z + 100, f"PIR: {box.vfov_deg:.0f}° high", color=ORANGE, fontsize=9.5, ha="left")
    axes.text(near + 112, box.sensor_z - 116, "radar: 70° high", color=BLUE, fontsize=9.5, ha="left")
    axes.plot([base + 12, 266], [box.sensor_z, box.sensor_z], color="0.3", lw=0.8, dashes=(9, 3, 2, 3))
    axes.text(
        base + 16, box.sensor_z - 4, "boresight of PIR and radar:\nmount azimuth 0, elevation 0", fontsize=9.5, va="top"
    )

    # The sky, free above 10 degrees; what the mast would take if it went on upwards.
    for angle in (10, 170):
        x, y = patch[0] + 124 * math.cos(math.radians(angle)), patch[1] + 124 * math.sin(math.radians(angle))
        axes.plot([patch[0], x], [patch[1] + 3, y + 3], color=VIOLET, lw=0.9, ls="--")
    axes.add_patch(Arc(patch, 248, 248, theta1=10, theta2=170, color=VIOLET, lw=1, ls="--"))
    hidden = plan.mast_in_the_sky(box, MAST)
    axes.text(
        patch[0], patch[1] + 72,
        f"GNSS: the sky free\nabove 10°. The mast ends\nat the lid; one that goes on\nhides {hidden:.0f}° of azimuth",
        color=VIOLET, fontsize=9.5, ha="center", va="center",
    )  # fmt: skip

    compass = (box.compass_ahead, box.board_height + 4)
    frame(axes, "side", compass, 26, names=False)
    axes.annotate(
        "compass, accelerometer", compass, (compass[0] + 22, -38), fontsize=9.5, ha="left", va="center",
        arrowprops={"arrowstyle": "-", "lw": 0.7, "shrinkB": 4},
    )  # fmt: skip
    for x in (axis, compass[0]):
        axes.plot([x, x], [-34 if x == axis else compass[1], -72], color="0.4", lw=0.6, ls=":")
    measure(
        axes,
        (axis, -68),
        (compass[0], -68),
        f"{compass[0] - axis:.0f} mm\n(mast of {MAST:.0f} mm)",
        dx=26,
        dy=-3,
        va="top",
    )
    turn(
        axes,
        "side",
        "elevation",
        (ahead + 4, box.sensor_z),
        112,
        "elevation +\n(boresight raised)",
        RED,
        place=(ahead + 122, box.sensor_z + 42),
    )

    # The servo and its camera
    shelf = servo_z + box.plate_height / 2
    axes.add_patch(
        Polygon(
            [(back, servo_z - 24), (back, shelf), (back + 82, shelf), (back + 82, shelf - 5), (back + 6, servo_z - 24)],
            fc="#b8c4cf",
            ec="0.25",
            lw=0.9,
        )
    )
    pan = back + box.plate + box.servo_ahead - 10
    sheet(axes, (pan - 10, shelf - 26), 40, 36, "0.5", "0.2", 0.8)
    axes.plot([pan, pan], [shelf + 10, shelf + 24], color="0.2", lw=3)
    axes.add_patch(FancyBboxPatch((pan - 16, shelf + 24), 46, 26, boxstyle="round,pad=1.5", fc="0.3", ec="0.1"))
    sheet(axes, (pan + 30, shelf + 30), 9, 14, "0.55", "0.1", 1.0)
    axes.plot([pan, pan], [shelf + 52, shelf + 78], color=VIOLET, lw=0.9, dashes=(6, 3))
    turn(axes, "side", "tilt", (pan + 34, shelf + 37), 62, "tilt + (up)", RED, place=(pan + 106, shelf + 70))
    axes.plot([pan + 42, pan + 128], [shelf + 37, shelf + 37], color="0.3", lw=0.8, dashes=(9, 3, 2, 3))
    axes.text(pan + 44, shelf + 22, "servo in its middle: along x", fontsize=9.5, va="center")
    axes.text(pan + 40, shelf - 20, "its foot level, as the board", fontsize=9.5, va="center")
    measure(axes, (-182, box.jaw_z), (-182, servo_z), "", va="center")
    axes.text(
        -60,
        -116,
        f"at least {BELOW:.0f} mm from middle to middle:\na servo's motors are magnets",
        fontsize=9.5,
        va="center",
    )


def above(axes: Axes, box: Enclosure) -> None:
    """From above, azimuth and pan: north is drawn for a board at AZIMUTH_DEG."""
    back, ahead, half = plan.outside(box)
    axis = plan.mast_x(box, MAST)
    panel(axes, "From above", (-168, 190), (-146, 200))

    def put(x: float, y: float) -> Place:
        return on_page("above", (x, y, 0))

    axes.add_patch(Circle(put(axis, 0), MAST / 2, fc="0.86", ec="0.35", lw=1))
    depth, width = plan.jaw(box)
    for x in (back - depth, 2 * axis - back):
        sheet(axes, (-width / 2, x), width, depth, "#b8c4cf", "0.25", 0.9, zorder=1.5, alpha=0.8)
    sheet(axes, (-half, back), 2 * half, ahead - back, "#e4e5e0", "0.2", 1.2, zorder=2)
    base = put(plan.lens_base(box), box.pir_y)
    wedge(axes, base, 100, 90, box.hfov_deg / 2, ORANGE)
    axes.add_patch(Wedge((base[0], base[1] + 1), box.lens / 2, 0, 180, fc="white", ec="0.2", lw=1, zorder=6))
    near = put(box.length / 2 - plan.standing(), box.radar_y)
    wedge(axes, near, 128, 90, 60, BLUE)
    axes.plot([near[0] - 22, near[0] + 22], [near[1], near[1]], color=GREEN, lw=3, zorder=6)
    axes.text(base[0] + 84, base[1] + 58, f"PIR: {box.hfov_deg:.0f}°", color=ORANGE, fontsize=9.5)
    axes.text(near[0] - 110, near[1] + 36, "radar: 120°", color=BLUE, fontsize=9.5, ha="right")
    compass = put(box.compass_ahead, 0)
    frame(axes, "above", (compass[0], compass[1] - 62), 40)
    foot = (compass[0], compass[1] - 62)
    way = on_page("above", north(AZIMUTH_DEG))
    reach = 172
    axes.plot(
        [foot[0], foot[0]], [foot[1] + 60, foot[1] + reach + 20], color="0.3", lw=0.8, dashes=(9, 3, 2, 3), zorder=7
    )
    arrow(axes, foot, (foot[0] + reach * way[0], foot[1] + reach * way[1]), "0.1", 1.4)
    tip = (foot[0] + (reach + 14) * way[0], foot[1] + (reach + 14) * way[1])
    axes.text(*tip, "N, true:\nazimuth 0", fontsize=9, weight="bold", ha="center", va="bottom")
    angle = np.radians(np.linspace(AZIMUTH_DEG - 2, 3, 30))
    arc = np.array([[foot[0] - 158 * math.sin(a), foot[1] + 158 * math.cos(a)] for a in angle])
    axes.plot(*arc[:-2].T, color=RED, lw=1.8, zorder=8)
    arrow(axes, tuple(arc[-4]), tuple(arc[-1]), RED, 1.8)
    axes.text(
        foot[0] + 6,
        foot[1] + 178,
        f"the board's azimuth:\nhere {AZIMUTH_DEG:.0f}°",
        color=RED,
        fontsize=9.5,
        va="bottom",
    )
    turn(
        axes,
        "above",
        "azimuth",
        foot,
        128,
        "azimuth +, pan +\n(clockwise)",
        RED,
        place=(foot[0] + 122, foot[1] + 30),
        va="center",
    )


def behind(axes: Axes, box: Enclosure) -> None:
    """From behind: roll."""
    _, _, half = plan.outside(box)
    panel(axes, "From behind, looking along x", (-128, 118), (-48, 132))
    sheet(axes, (-half, -box.floor), 2 * half, box.floor + box.height, "#e4e5e0", "0.2", 1.2)
    _, across = plan.lid_outline(box)
    sheet(axes, (-across, box.height), 2 * across, box.lid, "#b8c4cf", "0.25", 0.9)
    centre = (0.0, 34.0)
    frame(axes, "behind", centre, 30)
    turn(axes, "behind", "roll", centre, 64, "roll +\n(right side down)", RED, place=(-128, 102), ha="left")
    right = np.radians(np.linspace(-4, -58, 30))
    path = np.array([[centre[0] + 64 * math.cos(a), centre[1] + 64 * math.sin(a)] for a in right])
    axes.plot(*path[:-2].T, color=RED, lw=1.8)
    arrow(axes, tuple(path[-4]), tuple(path[-1]), RED, 1.8)
    axes.text(72, 52, "right", fontsize=9.5, va="center")


def chips(axes: Axes, box: Enclosure) -> None:
    """The carrier board from above: how the chips lie on it."""
    panel(axes, "On the board, seen from above", (-58, 150), (-66, 62))
    start, end = plan.board(box)
    middle = (start + end) / 2
    sheet(axes, (-box.board_width / 2, start - middle), box.board_width, end - start, "#d5e6d8", "#5b9a6b", 1.2)
    sheet(axes, (-13, start - middle + 5), 26, 20, "0.75", "0.4", 0.8)
    axes.text(0, start - middle + 15, "ESP32", fontsize=9, ha="center", va="center")
    ahead = box.compass_ahead - middle
    for x, name in ((-27, "QMC5883L\nQMC5883P"), (27, "ADXL345")):
        sheet(axes, (x - 9, ahead - 10), 18, 15, "#42557f", "0.2", 0.8)
        axes.add_patch(Circle((x - 6.5, ahead + 2.5), 0.9, fc="white", ec="none"))
        frame(axes, "above", (x, ahead - 3), 15, names=False)
        axes.text(x, ahead - 13, name, fontsize=8.5, ha="center", va="top")
    for at, text, colour in (
        ((-27, ahead + 15), "X", RED),
        ((-46, ahead - 3), "Y", GREEN),
        ((27, ahead + 15), "X", RED),
        ((8, ahead - 3), "Y", GREEN),
    ):
        axes.text(*at, text, fontsize=9.5, color=colour, weight="bold", ha="center", va="center")
    axes.text(
        52, 4,
        "Component side up (Z towards\nyou), X arrows forward.\n"
        "A BNO055 in their place lies\nthe same way (axis map P1).\n\nThe front of the box is up.",
        fontsize=9.5, va="center",
    )  # fmt: skip


def notes(axes: Axes, box: Enclosure) -> None:
    """What the chips read when all is right, and what turns a compass."""
    axes.axis("off")
    axes.set_title("What they read when it is right", fontsize=11, loc="left", weight="bold")
    away = [box.compass_ahead - plan.mast_x(box, each) for each in (box.mast_least, MAST, box.mast_most)]
    pairs = zip((box.mast_least, MAST, box.mast_most), away, strict=True)
    masts = " / ".join(f"{turned_by_a_mast(each, distance):.1f}°" for each, distance in pairs)
    lines = [
        "level and still: acceleration (0, 0, +1 g)",
        "boresight raised: x > 0;   right side down: y > 0",
        "field (H level, V down), x to magnetic N: (+H, 0, -V)",
        "   E: (0, +H, -V)     S: (-H, 0, -V)     W: (0, -H, -V)",
        "true azimuth = magnetic + declination (east positive)",
        "",
        "what turns the compass, at most",
        f"   steel mast of {box.mast_least:.0f} / {MAST:.0f} / {box.mast_most:.0f} mm, mid-length: {masts}",
        "   its end, or a mast that is a magnet: far more. Take",
        "   aluminium, or survey the azimuth (dronewall node align)",
        f"   a wire with 1 A at 100 mm: {turned_by_a_wire(1, 100):.1f}°; twist both wires",
        "   screws near the box: brass, plastic or A4 steel",
    ]
    for i, line in enumerate(lines):
        heading = line == "what turns the compass, at most"
        axes.text(
            0.0,
            0.97 - i * 0.083,
            line,
            fontsize=9.6,
            va="top",
            transform=axes.transAxes,
            weight="bold" if heading else None,
        )


PLACES = {
    # left, bottom, width, height: shares of the page
    "side": (0.005, 0.01, 0.5, 0.95),
    "above": (0.52, 0.53, 0.475, 0.43),
    "behind": (0.52, 0.285, 0.2, 0.21),
    "chips": (0.735, 0.285, 0.265, 0.21),
    "notes": (0.53, 0.0, 0.46, 0.245),
}


def drawing(box: Enclosure) -> Figure:
    """The whole drawing."""
    figure = Figure(figsize=(15, 10.4))
    for name, draw in (("side", side), ("above", above), ("behind", behind), ("chips", chips), ("notes", notes)):
        axes = figure.add_axes(PLACES[name])
        axes.set_anchor("NW")
        draw(axes, box)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draws how a node is mounted, its axes and its angles.")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where PNG and SVG go")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another parameter [mm]")
    told = parser.parse_args(arguments)
    try:
        saved(drawing(fits.checked(enclosure.changed(told.set))), told.output, "mounting")
    except EnclosureError as error:
        print(f"mounting: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mounting: {told.output}: {error.strerror}; --output expects a folder", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
