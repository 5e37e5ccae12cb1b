"""The map of a picture: ground, coverage, wedges, frontage with its gaps, the weakest route, posts and drones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from dronewall.report import ribbon
from dronewall.report.colours import LOOKS, probability_rgba
from dronewall.report.entries import entries
from dronewall.report.figures import drone_places, troubled
from dronewall.report.ground import Window, relief_rgb
from dronewall.report.picture_labels import ALARM, FAINT, HALO, INK, Labels, plain
from dronewall.report.picture_routes import draw_routes, label_routes

if TYPE_CHECKING:
    from dronewall.engine.frontage import Frontage
    from dronewall.engine.wall import Coverage, TargetCoverage

_MOST_BADGES = 30


def draw_map(axes: Axes, coverage: Coverage, target: TargetCoverage, box: Window) -> None:
    """Draws that part of the terrain, with what the line sees of one target."""
    height = np.asarray(coverage.terrain.ground_amsl)[box.rows, box.columns]
    look = np.asarray(target.look)[box.rows, box.columns]
    unknown = np.isnan(height) | np.isnan(look)
    axes.imshow(relief_rgb(height, coverage.terrain.cell), extent=box.extent, origin="lower", interpolation="bilinear")
    axes.imshow(probability_rgba(look), extent=box.extent, origin="lower", interpolation="nearest")
    if unknown.any():
        east, north = coverage.terrain.centres
        hatched = axes.contourf(
            east[box.columns],
            north[box.rows],
            unknown,
            levels=[0.5, 1.5],
            colors=["#e6e6e6"],
            alpha=0.75,
            hatches=["////"],
        )
        hatched.set_edgecolor(LOOKS["unknown"].colour)
        hatched.set_linewidth(0.0)
    axes.set(xlim=(box.west, box.east), ylim=(box.south, box.north), xticks=[], yticks=[])
    axes.set_aspect("equal", anchor="NW")
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.7)

    belt = np.asarray(coverage.frontage.belt_outline())
    axes.add_patch(
        Polygon(belt, closed=True, fill=False, edgecolor=INK, linewidth=0.9, linestyle=(0, (5, 3)), alpha=0.8)
    )
    _wedges(axes, coverage)
    for gap in ribbon.gaps(target, "lane"):
        axes.add_patch(Polygon(ribbon.lane_band(target, gap), facecolor=ALARM, alpha=0.16, linewidth=0))
    _line(axes, coverage, target)
    draw_routes(axes, target)

    labels = Labels(axes)
    labels.avoid(belt, 1.0, 0.3)
    labels.avoid(ribbon.places(coverage.frontage, np.linspace(0, coverage.frontage.length, 200)), 3.0, 0.35)
    posts, drones = list(coverage.posts.items()), drone_places(coverage)
    for places in ([place for _, place in posts], list(drones.values())):
        if places:
            labels.avoid(np.array(places, dtype=float), 7.0, 3.0)
    if posts:
        axes.plot(
            *np.array([place for _, place in posts], dtype=float).T,
            "o",
            markersize=6.5,
            markerfacecolor="white",
            markeredgecolor=INK,
            markeredgewidth=1.3,
            zorder=8,
        )
    if drones:
        axes.plot(
            *np.array(list(drones.values()), dtype=float).T,
            "D",
            markersize=7,
            markerfacecolor=INK,
            markeredgecolor="white",
            markeredgewidth=1.1,
            zorder=8,
        )
    furniture(axes, np.asarray(target.stations.lane), box, labels)
    label_routes(target, labels)
    shown = entries(coverage, target)
    for entry in sorted(shown, key=lambda entry: (entry.gap.kind == "line", -entry.gap.length))[:_MOST_BADGES]:
        labels.put(
            ribbon.places(coverage.frontage, (entry.gap.start + entry.gap.end) / 2),
            str(entry.number),
            size=8,
            weight="bold",
            color="white",
            zorder=10,
            pad=3.2,
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": ALARM, "edgecolor": "white", "linewidth": 0.8},
        )
    for name, place in posts:
        labels.put(
            np.asarray(place, dtype=float),
            plain(name),
            size=9.5,
            weight="bold",
            color=INK,
            zorder=9,
            path_effects=HALO,
        )
    for name, place in drones.items():
        labels.put(
            np.asarray(place, dtype=float),
            plain(name),
            size=9.5,
            weight="bold",
            style="italic",
            color=INK,
            zorder=9,
            path_effects=HALO,
        )
    kilometres(axes, coverage.frontage, labels)


def _wedges(axes: Axes, coverage: Coverage) -> None:
    from dronewall.engine.frustum import outline

    sound = [sensor for sensor in coverage.sensors if sensor not in troubled(coverage)]
    for sensor in coverage.sensors:
        if sensor.frustum is None:
            continue
        alive = sensor in sound
        axes.add_patch(
            Polygon(
                outline(sensor.frustum),
                closed=True,
                fill=False,
                edgecolor=INK if alive else LOOKS["unknown"].colour,
                linewidth=0.8,
                alpha=0.6,
                linestyle="-." if sensor.moving else "-" if alive else ":",
                zorder=3,
            )
        )


def _line(axes: Axes, coverage: Coverage, target: TargetCoverage) -> None:
    """The frontage: who crosses it at his best is seen or not, by colour, dash and width; gaps boldest and last. A gap
    of another kind alone is hollow.
    """
    frontage = coverage.frontage
    axes.plot(*np.asarray(frontage.points).T, color="white", linewidth=5.5, solid_capstyle="round", zorder=4)
    for run in ribbon.runs(coverage, target, "breach"):
        piece = ribbon.stretch(frontage, run.start, run.end).T
        if run.state == "gap":
            axes.plot(*piece, color="white", linewidth=9.0, solid_capstyle="butt", zorder=6)
            axes.plot(*piece, color=ALARM, linewidth=6.5, solid_capstyle="butt", zorder=6.5)
            continue
        look = LOOKS[run.state]
        axes.plot(
            *piece,
            color=look.colour,
            linewidth=3.2,
            zorder=5,
            dashes=look.dash or (None, None),
            solid_capstyle="butt",
            dash_capstyle="butt",
        )
    for entry in entries(coverage, target):
        if entry.gap.kind != "breach" and entry.gap.unknown < 1.0:
            piece = ribbon.stretch(frontage, entry.gap.start, entry.gap.end).T
            for colour, width in (("white", 8.0), (ALARM, 5.5), ("white", 2.6)):
                axes.plot(*piece, color=colour, linewidth=width, solid_capstyle="butt", zorder=6)


def kilometres(axes: Axes, frontage: Frontage, labels: Labels) -> None:
    """Ticks across the frontage at round kilometres, so that ribbon and map can be matched."""
    for chainage in ribbon.ticks(frontage.length, 12, least=100.0):
        place = ribbon.places(frontage, chainage)
        axes.plot(*place, marker="o", markersize=2.6, markerfacecolor="white", markeredgewidth=0, zorder=7)
        text = f"km {chainage / 1000:g}" if chainage == 0 else f"{chainage / 1000:g}"
        labels.put(place, text, size=8, color=INK, zorder=7.5, path_effects=HALO, reluctant=True)


def furniture(axes: Axes, lanes: NDArray[np.float64], box: Window, labels: Labels) -> None:
    """Threat arrows at some of the lanes (n, 2, 2), scale bar and north arrow."""
    unit = (box.east - box.west) / 100.0
    count = len(lanes)
    for share in (0.2, 0.5, 0.8):
        far, near = lanes[int(share * (count - 1))]
        ahead = (far - near) / max(float(np.hypot(*(far - near))), 1e-9)
        tail, tip = far + ahead * 0.6 * unit, far - ahead * 2.6 * unit
        axes.add_patch(
            FancyArrowPatch(
                tail,
                tip,
                arrowstyle="-|>",
                mutation_scale=15,
                linewidth=2.0,
                color=INK,
                zorder=7,
                path_effects=[withStroke(linewidth=4, foreground="white")],
            )
        )
        labels.avoid(np.linspace(tail, tip, 5), 6.0, 3.0)
        if share == 0.5:
            labels.put(tail, "threat side", size=9.5, weight="bold", color=INK, zorder=9, path_effects=HALO)
    pixels = axes.get_window_extent().width / 100.0
    # scale bar, lower left
    length = ribbon.kilometre_step((box.east - box.west) * 0.25, 1)
    length = length / 2 if length > 0.25 * (box.east - box.west) else length
    x, y = box.west + 2.2 * unit, box.south + 2.4 * unit
    axes.plot([x, x + length], [y, y], color="white", linewidth=6, solid_capstyle="butt", zorder=9)
    axes.plot([x, x + length], [y, y], color=INK, linewidth=3, solid_capstyle="butt", zorder=9)
    axes.plot([x, x + length / 2], [y, y], color="white", linewidth=1.4, solid_capstyle="butt", zorder=9)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    axes.text(
        x + length / 2,
        y + 0.7 * unit,
        text,
        size=8.5,
        ha="center",
        va="bottom",
        color=INK,
        path_effects=HALO,
        zorder=9,
    )
    labels.avoid(np.array([[x + length * share, y + unit] for share in np.linspace(0, 1, 9)]), 1.5 * pixels, 4.0)
    # north arrow, upper right
    x, y = box.east - 3.2 * unit, box.north - 2.0 * unit
    axes.add_patch(
        Polygon(
            [(x, y), (x - 1.1 * unit, y - 3.4 * unit), (x, y - 2.6 * unit)],
            facecolor="white",
            edgecolor=INK,
            linewidth=1.0,
            zorder=9,
        )
    )
    axes.add_patch(
        Polygon(
            [(x, y), (x + 1.1 * unit, y - 3.4 * unit), (x, y - 2.6 * unit)],
            facecolor=INK,
            edgecolor=INK,
            linewidth=1.0,
            zorder=9,
        )
    )
    axes.text(
        x,
        y - 3.8 * unit,
        "grid north",
        size=7.5,
        ha="center",
        va="top",
        color=INK,
        path_effects=HALO,
        zorder=9,
    )
    labels.avoid(np.array([[x, y - share * unit] for share in (0, 2, 4)]), 2.5 * pixels, 4.0)
