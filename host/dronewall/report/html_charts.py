"""The charts of time in the HTML report: chainage across, as in the ribbon, time down; pixels with lines over them."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dronewall.report import cycle as over
from dronewall.report import ribbon
from dronewall.report.colours import LOOKS, probability_rgba

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle, TargetCycle

_ROWS = 240
"""A chart of chances has so many rows of pixels, and more only where there are more times of setting out."""
_COLUMNS = 2400
"""... and no more columns than these."""


def charts_of(cycle: Cycle, of: TargetCycle) -> str:
    """What is watched when, with the drones' ways, and the chance of who sets out then; kilometres below."""
    length = float(cycle.ground.frontage.length)
    axis = "".join(
        f'<span style="left:{100 * chainage / length:.3f}%">{chainage / 1000:g}{" km" if chainage == 0 else ""}</span>'
        for chainage in ribbon.ticks(length, 16)
    )
    name = escape(over.name(of))
    watched = f"<b>{name}</b>: watched in blue, not watched pale, by time; lines: the drones' ways"
    chance = (
        f"<b>{name}</b>: chance of being detected of who sets out then, the bluer the surer; striped: open; dashed: "
        "weakest for who does not know the schedule; dot: best for who knows"
    )
    return (
        f'<div class="wrap"><div class="faint">{watched}</div>{_chart(cycle, watched_pixels(of), _ways(cycle))}'
        f'<div class="faint">{chance}</div>{_chart(cycle, chance_pixels(cycle, of), _marks(cycle, of))}'
        f'<div class="axis">{axis}</div></div>'
    )


def _chart(cycle: Cycle, pixels: NDArray[np.float64], drawn: str) -> str:
    ticks = "".join(
        f'<span class="tick" style="top:{100 * tick / cycle.length:.2f}%">{over.moment(tick)}</span>'
        for tick in over.time_ticks(cycle.length, 5)
        if tick < 0.95 * cycle.length  # the last would stand in the kilometres
    )
    return (
        f'<div class="timechart">{ticks}<img alt="" src="{_png(pixels)}">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'
        '<i class="moment" hidden></i></div>'
    )


def watched_pixels(of: TargetCycle) -> NDArray[np.float64]:
    """Pixels (steps, stations, 4): blue where watched, pale vermilion where not, grey where the ground is unknown."""
    watched = np.asarray(of.watched).T
    found = np.empty((*watched.shape, 4))
    found[:] = (*_rgb(LOOKS["gap"].colour), 0.2)
    found[watched] = probability_rgba(np.array([0.45]))[0]
    found[:, np.asarray(of.stations.unknown)] = (0.6, 0.6, 0.6, 1.0)
    return found


def chance_pixels(cycle: Cycle, of: TargetCycle) -> NDArray[np.float64]:
    """Pixels (rows, columns, 4), time down: the chance in blue, what is open tinted and striped in vermilion."""
    value = over.probability(cycle, of).T
    value = np.repeat(value, max(round(_ROWS / len(value)), 1), axis=0)
    if value.shape[1] > _COLUMNS:
        # of the stations that share a pixel the worst, so that nothing open is too short to show
        value = np.fmin.reduceat(value, np.arange(_COLUMNS) * value.shape[1] // _COLUMNS, axis=1)
    value = np.repeat(value, max(round(1200 / value.shape[1]), 1), axis=1)
    ground = np.array([0.93, 0.93, 0.93, 1.0])
    rgba = probability_rgba(value).astype(np.float64)
    alpha = rgba[..., 3:]
    found = np.concatenate([rgba[..., :3] * alpha + ground[:3] * (1.0 - alpha), np.ones_like(alpha)], axis=-1)
    rows, columns = np.indices(value.shape)
    with np.errstate(invalid="ignore"):
        open_ = value < over.threshold(cycle)
    gap = np.array(_rgb(LOOKS["gap"].colour))
    found[open_, :3] = 0.82 * found[open_, :3] + 0.18 * gap
    stripes = open_ & ((rows + columns) % 9 < 2)
    found[stripes, :3] = 0.45 * found[stripes, :3] + 0.55 * gap
    unknown = np.isnan(value)
    found[unknown] = (0.9, 0.9, 0.9, 1.0)
    found[unknown & ((rows + columns) % 8 < 2)] = (0.55, 0.55, 0.55, 1.0)
    return found


def _ways(cycle: Cycle) -> str:
    """The drones' ways over chainage and time, on 100 by 100."""
    length = float(cycle.ground.frontage.length)
    down = 100.0 * over.middles(cycle) / cycle.length
    found = []
    for index, (drone, chainage) in enumerate(over.tracks(cycle).items()):
        flying = np.isfinite(chainage)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flying.astype(int), [0]])))
        pieces = [
            "M" + "L".join(f"{100.0 * chainage[at] / length:.2f} {down[at]:.2f}" for at in range(first, after))
            for first, after in zip(edges[::2], edges[1::2], strict=True)
        ]
        found.append(f'<path class="track t{index % 4}" d="{"".join(pieces)}"><title>{escape(drone)}</title></path>')
    return "".join(found)


def _marks(cycle: Cycle, of: TargetCycle) -> str:
    """Where who does not know crosses, and when and where who knows sets out."""
    length, found = float(cycle.ground.frontage.length), ""
    if of.unknowing is not None:
        at = 100.0 * of.unknowing.chainage / length
        found += f'<line class="unknowing" x1="{at:.2f}" x2="{at:.2f}" y1="0" y2="100"/>'
    if of.knowing is not None:
        at, when = 100.0 * of.knowing.chainage / length, 100.0 * of.knowing.sets_out / cycle.length
        # no length, but a round cap: a dot that the stretching leaves round
        found += (
            f'<path class="knowing halo" d="M{at:.2f} {when:.2f}h0"/><path class="knowing" d="M{at:.2f} {when:.2f}h0"/>'
        )
    return found


def _png(pixels: NDArray[np.float64]) -> str:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(pixels), format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)
