"""Where something of a target sticks out, and inside a sensor's frustum: the few cells of a window that any model is
asked about, collected in one go.

`frustum.in_view` and `detection.sight` say plainly what is in view and what sticks out; here is the loop that finds
the same cells. Those that are not near an edge are told without trigonometry.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.frustum import HAIR, Frustum
from dronewall.engine.models import Target
from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import Window

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Showing:
    """The cells of a window in which something of a target sticks out, each (cells,).

    cells: where in the window they lie, row after row and rising. exposed: height that sticks out [m], above 0. east,
    north, up: from the eye to the middle of what sticks out [m]. slant: range to there [m].
    """

    cells: Indices
    exposed: npt.NDArray[Any]
    east: Floats
    north: Floats
    up: Floats
    slant: Floats


def showing(
    terrain: Terrain,
    frustum: Frustum,
    eye: tuple[float, float, float],
    target: Target,
    needed: Window,
    *,
    everywhere: bool = False,
) -> Showing:
    """Where something of a target sticks out inside the frustum, or `everywhere`.

    eye: east, north and height AMSL [m]. needed: the target's minimum visible height [m].
    """
    rows, cols = needed.slices
    columns, lines = terrain.centres
    values = needed.values
    least = values.dtype.type
    found = Showing(
        np.empty(values.size, dtype=np.intp),
        np.empty(values.size, dtype=values.dtype),
        *(np.empty(values.size) for _ in range(4)),
    )
    count = _shown(
        values, terrain.ground_amsl, needed.row, needed.col, columns[cols] - eye[0], lines[rows] - eye[1], eye[2],
        least(target.bottom_agl), least(target.top_agl), target.top_agl, everywhere, frustum.shape == "pyramid",
        frustum.axes(), frustum.azimuth, frustum.elevation, frustum.hfov / 2.0, frustum.vfov / 2.0, frustum.range_min,
        frustum.range_max, found.cells, found.exposed, found.east, found.north, found.up, found.slant,
    )  # fmt: skip
    return Showing(*(getattr(found, field.name)[:count] for field in dataclasses.fields(Showing)))


@njit()
def _edges(azimuth: float, elevation: float, half_h: float, half_v: float) -> tuple[float, ...]:
    """A sector's edges without trigonometry to come: cosine of its half width, sine and cosine of its azimuth, and of
    its highest and lowest elevation. No elevation is higher or lower than straight up and down.
    """
    top, bottom = min(elevation + half_v, math.pi / 2.0), max(elevation - half_v, -math.pi / 2.0)
    return (
        math.cos(half_h),
        math.sin(azimuth),
        math.cos(azimuth),
        math.sin(top),
        max(math.cos(top), 0.0),
        math.sin(bottom),
        max(math.cos(bottom), 0.0),
    )


@njit()
def _in_sector(
    edges: tuple[float, ...], east: float, north: float, up: float, slant: float, azimuth: float, elevation: float,
    half_h: float, half_v: float,
) -> bool:  # fmt: skip
    """`frustum.in_view` of a sector, but for the gates."""
    cos_h, sin_a, cos_a, sin_top, cos_top, sin_bottom, cos_bottom = edges
    flat = math.sqrt(east * east + north * north)
    hair = HAIR * slant
    if half_h < math.pi - 5e-10:
        beyond = flat * cos_h - (east * sin_a + north * cos_a)
        if beyond > hair:
            return False
        if beyond >= -hair:
            off = (math.atan2(east, north) - azimuth + math.pi) % (2.0 * math.pi) - math.pi
            if abs(off) > half_h + 1e-9:
                return False
    over, under = up * cos_top - flat * sin_top, flat * sin_bottom - up * cos_bottom
    if over > hair or under > hair:
        return False
    if over >= -hair or under >= -hair:
        return abs(math.atan2(up, math.hypot(east, north)) - elevation) <= half_v + 1e-9
    return True


@njit()
def _shown(
    needed: npt.NDArray[Any], ground: Floats, row: int, col: int, easts: Floats, norths: Floats, eye: float, bottom:
    Any, top: Any, top_agl: float, everywhere: bool, pyramid: bool, axes: Floats, azimuth: float, elevation: float,
    half_h: float, half_v: float, range_min: float, range_max: float, cells: Indices, exposed: npt.NDArray[Any], east:
    Floats, north: Floats, up: Floats, slant: Floats,
) -> int:  # fmt: skip
    """How many cells show some of the target; fills in which and what `Showing` says of them.

    needed (north, east): the minimum visible height; bottom, top: of the target, of needed's type. easts, norths: of
    the window's columns and rows from the eye. The window's first cell is (row, col) of the ground.
    """
    tan_h, tan_v = math.tan(half_h), math.tan(half_v)
    edges = _edges(azimuth, elevation, half_h, half_v)
    count = np.uintp(0)
    for i in range(needed.shape[0]):
        n = norths[i]
        for j in range(needed.shape[1]):
            least = needed[i, j]
            if not least < top:
                continue
            e = easts[j]
            height = top - max(least, bottom)
            u = ground[row + i, col + j] + top_agl - height / 2.0 - eye
            far = math.sqrt(e * e + n * n + u * u)
            if not everywhere:
                if far < range_min or far > range_max:
                    continue
                if pyramid:
                    x = axes[0, 0] * e + axes[0, 1] * n + axes[0, 2] * u
                    y = axes[1, 0] * e + axes[1, 1] * n + axes[1, 2] * u
                    z = axes[2, 0] * e + axes[2, 1] * n + axes[2, 2] * u
                    slack = 1e-9 * far
                    if not (x > 0.0 and abs(y) <= x * tan_h + slack and abs(z) <= x * tan_v + slack):
                        continue
                elif not _in_sector(edges, e, n, u, far, azimuth, elevation, half_h, half_v):
                    continue
            cells[count] = i * needed.shape[1] + j
            exposed[count] = height
            east[count], north[count], up[count], slant[count] = e, n, u, far
            count += np.uintp(1)
    return int(count)
