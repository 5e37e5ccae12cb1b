"""The map of the HTML report: an SVG drawing in metres over raster images of ground and coverage."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dronewall.report import figures, records, ribbon, routes
from dronewall.report.colours import LOOKS, probability_rgba
from dronewall.report.entries import entries
from dronewall.report.ground import Window, relief_rgb, unknown_stripes, window

if TYPE_CHECKING:
    from dronewall.engine.wall import Coverage, TargetCoverage

_MOST_PIXELS = 1600  # a side; more only makes the file heavy
_NOMINAL = 900.0  # pixels: the width of the map for which labels are kept apart


class Sheet:
    """The map's drawing plane: metres from its north-west corner, y downwards."""

    def __init__(self, coverage: Coverage) -> None:
        focus = window(coverage)
        shape = (focus.north - focus.south) / (focus.east - focus.west)
        self.box: Window = window(coverage, min(max(shape, 0.3), 0.8))
        self.width = self.box.east - self.box.west
        self.height = self.box.north - self.box.south

    def points(self, places: Any) -> NDArray[np.float64]:
        """Places (n, 2) east, north [site m] on the plane, (n, 2) x, y."""
        east, north = np.atleast_2d(np.asarray(places, dtype=float)).T
        return np.stack([east - self.box.west, self.box.north - north], axis=-1)

    def path(self, places: Any, closed: bool = False) -> str:
        """The data of an SVG path through places (n, 2) east, north [site m]."""
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in self.points(places)) + ("Z" if closed else "")

    def fix(self, place: Any, kind: str, inner: str, more: str = "", turn: float = 0.0) -> str:
        """A group of constant size on the screen; without the script that of a map `_NOMINAL` pixels wide."""
        x, y = self.points(place)[0]
        return (
            f'<g class="fix {kind}" data-x="{x:.1f}" data-y="{y:.1f}" data-turn="{turn:.1f}" {more} '
            f'transform="translate({x:.1f} {y:.1f}) scale({self.width / _NOMINAL:.3f}) '
            f'rotate({turn:.1f})">{inner}</g>'
        )


def map_of(coverage: Coverage, sheet: Sheet) -> str:
    """The SVG elements of the map, from the ground up; what differs by target has its index in `data-target`."""
    from dronewall.engine.frustum import outline

    box, frontage = sheet.box, coverage.frontage
    step = max(1, math.ceil(max(box.rows.stop - box.rows.start, box.columns.stop - box.columns.start) / _MOST_PIXELS))
    height = np.asarray(coverage.terrain.ground_amsl)[box.rows, box.columns][::step, ::step]
    parts = [image(relief_rgb(height, coverage.terrain.cell * step), sheet)]
    for index, target in enumerate(coverage.targets):
        look = np.asarray(target.look)[box.rows, box.columns][::step, ::step]
        rgba = probability_rgba(look)
        unknown = np.isnan(look) | np.isnan(height)
        rgba[unknown] = (0.9, 0.9, 0.9, 0.75)
        rgba[unknown_stripes(unknown, max(8, max(unknown.shape) // 90))] = (0.48, 0.48, 0.48, 0.8)
        parts.append(image(rgba, sheet, f'class="look" data-target="{index}"{" hidden" if index else ""}'))
    parts.append(f'<path class="belt" d="{sheet.path(frontage.belt_outline(), closed=True)}"/>')
    troubled = figures.troubled(coverage)
    for index, sensor in enumerate(coverage.sensors):
        if sensor.frustum is None:
            continue
        kind = " ".join(["wedge"] + ["moving"] * sensor.moving + ["troubled"] * (sensor in troubled))
        parts.append(
            f'<path class="{kind}" data-sensor="{index}" '
            f'd="{sheet.path(outline(sensor.frustum), closed=True)}">'
            f"<title>{escape(records.sensor_said(coverage, index))}</title></path>"
        )
    for index, target in enumerate(coverage.targets):
        parts.append(
            f'<g data-target="{index}"{" hidden" if index else ""}>{_target_on_map(coverage, target, sheet)}</g>'
        )
    posts = ribbon.post_chainages(coverage)
    for chainage in ribbon.ticks(frontage.length, 12, least=100.0):
        text = f"km {chainage / 1000:g}" if chainage == 0 else f"{chainage / 1000:g}"
        inner = '<circle r="1.8" fill="#fff"/>' + _beside(coverage, chainage, text, 13, "km")
        parts.append(sheet.fix(ribbon.places(frontage, chainage), "kilometre", inner))
    for share in (0.2, 0.5, 0.8):
        far, near_end = np.asarray(coverage.targets[0].stations.lane)[
            int(share * (len(coverage.targets[0].stations.lane) - 1))
        ]
        turn = math.degrees(math.atan2(*(near_end - far)))  # clockwise from north
        inner = '<path d="M0 -16L8 0L3 0L3 16L-3 16L-3 0L-8 0Z"/>'
        parts.append(sheet.fix(far, "threat", inner, turn=turn))
        if share == 0.5:
            parts.append(sheet.fix(far, "", _beside(coverage, share * frontage.length, "threat side", -22)))
    for name, chainage in posts:
        inner = '<circle r="5.5"/>' + _beside(coverage, chainage, name, 13)
        parts.append(sheet.fix(coverage.posts[name], "post", inner))
    for name, place in figures.drone_places(coverage).items():
        inner = f'<path d="M0 -8L8 0L0 8L-8 0Z"/><text x="11" y="-7" font-style="italic">{escape(name)}</text>'
        parts.append(sheet.fix(place, "drone", inner))
    return "\n".join(parts)


def _target_on_map(coverage: Coverage, target: TargetCoverage, sheet: Sheet) -> str:
    frontage = coverage.frontage
    parts = [
        f'<path class="lanes" d="{sheet.path(ribbon.lane_band(target, gap), closed=True)}"/>'
        for gap in ribbon.gaps(target, "lane")
    ]
    listed = entries(coverage, target)
    for entry in listed:
        piece = sheet.path(ribbon.stretch(frontage, entry.gap.start, entry.gap.end))
        parts.append(f'<path class="chosen" data-gap="{entry.number}" hidden d="{piece}"/>')
    parts.append(f'<path class="case" d="{sheet.path(frontage.points)}"/>')
    states = ribbon.runs(coverage, target, "breach")
    for run in sorted(states, key=lambda run: run.state == "gap"):
        parts.append(f'<path class="run {run.state}" d="{sheet.path(ribbon.stretch(frontage, run.start, run.end))}"/>')
    for entry in listed:
        piece = sheet.path(ribbon.stretch(frontage, entry.gap.start, entry.gap.end))
        if entry.gap.kind != "breach" and entry.gap.unknown < 1.0:
            parts += [f'<path class="run gap" d="{piece}"/><path class="hollow" d="{piece}"/>']
        if entry.gap.kind == "breach":
            way = sheet.path(routes.crossing(coverage, target, routes.weakest_station(target, entry.gap)))
            parts.append(f'<g class="chosen way" data-gap="{entry.number}" hidden>{_way(way, "crossing")}</g>')
    parts += _routes(target, sheet)
    outward, last = 22.0, -math.inf
    for entry in sorted(listed, key=lambda entry: entry.gap.start):
        gap = entry.gap
        middle = (gap.start + gap.end) / 2
        # neighbours that would touch take turns farther out
        outward = 44.0 if middle - last < 24 * sheet.width / _NOMINAL and outward < 30 else 22.0
        last = middle
        x, y = -outward * _behind(coverage, middle)
        inner = (
            f'<path class="leader" d="M0 0L{x:.1f} {y:.1f}"/><circle cx="{x:.1f}" cy="{y:.1f}" '
            f'r="9.5" fill="{LOOKS["gap"].colour}" stroke="#fff" '
            f'stroke-width="1.3"/><text class="badge" x="{x:.1f}" y="{y + 3.8:.1f}" '
            f'text-anchor="middle">{entry.number}</text>'
        )
        parts.append(sheet.fix(ribbon.places(frontage, middle), "gapmark", inner))
    return "".join(parts)


def _routes(target: TargetCoverage, sheet: Sheet) -> list[str]:
    """The weakest route over the one with the least bottleneck, each with an arrow and its chance at the near end."""
    parts = []
    for which, route in reversed(routes.whole(target)):
        said = f"{which} {figures.percent(route.probability)}, km {figures.kilometres(route.chainage)}"
        east, north = route.points[-1] - route.points[-2]
        tip = '<path class="tip" d="M0 0L-5.5 -14L0 -11L5.5 -14Z"/>'
        turn = math.degrees(math.atan2(east, north)) + 180.0  # the tip's drawing points down
        parts += [
            f'<g class="way {which}"><title>{said}</title>{_way(sheet.path(route.points), "route")}</g>',
            sheet.fix(route.points[-1], "routetip", tip, turn=turn),
            sheet.fix(route.points[-1], "routemark", f'<text class="route" x="9" y="14">{said}</text>'),
        ]
    return parts


def _way(path: str, kind: str) -> str:
    """A way over its clear casing."""
    return f'<path class="casing" d="{path}"/><path class="{kind}" d="{path}"/>'


def _behind(coverage: Coverage, chainage: float) -> NDArray[np.float64]:
    """The unit vector away from the threat, on the screen (y downwards)."""
    stations = coverage.targets[0].stations
    far, near = np.asarray(stations.lane)[int(np.argmin(np.abs(stations.chainage - chainage)))]
    east, north = (near - far) / max(float(np.hypot(*(near - far))), 1e-9)
    return np.array([east, -north])


def _beside(coverage: Coverage, chainage: float, text: str, pixels: float, kind: str = "") -> str:
    """A text so many pixels behind the frontage (before it if negative), growing away from it."""
    x, y = pixels * _behind(coverage, chainage)
    anchor = "middle" if abs(x) < 0.35 * abs(pixels) else "start" if x > 0 else "end"
    # a text stands on its base line: half its height down, and clear of the mark where it lies above or below
    y += 4.0 + (4.0 * float(np.sign(y)) if abs(y) > 5 else 0.0)
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def image(pixels: NDArray[np.floating], sheet: Sheet, more: str = "") -> str:
    """An SVG image over the whole sheet from rows that begin in the south."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(pixels[::-1]), format="png")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<image {more} width="{sheet.width:.1f}" height="{sheet.height:.1f}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{encoded}"/>'
    )
