"""What the terrain lets a sensor see: the straight line of sight.

By definition the line from the eye to the target point is tested against the terrain, taken as linear along each
line of the grid through the cells' middles, at every crossing with both families of grid lines strictly between the
ends. Curvature and refraction raise the terrain at distance d of D by d (D - d)(1 - k) / 2R. A point is visible iff
the clearance is nowhere negative. `exact=True` is that definition to the cell (`certify.py`); without it the
horizon is marched outward once (`horizon.py`), twice as quick or more and wrong in 0.00001 to 0.002 of the cells
(benchmarks/RESULTS.md).

The terrain is what blocks: the ground, or the surface where one stands on it. Heights of targets count from the
ground; what stands at the target's own place hides it up to its top, what stands at the eye's own place does not. A
canopy blocks nothing: `transmittance` says how much it leaves (`canopy.py`). That too is exact with `exact=True` only:
without, a fan of rays is marched outward once (`fan.py`), and nine of ten shares of light or more are right to 0.02 or
better (tests/test_canopy.py).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine import canopy
from dronewall.engine._jit import njit
from dronewall.engine.certify import octants, sweep_exact
from dronewall.engine.earth import OPTICAL, RADIUS
from dronewall.engine.horizon import quadrants, sweep
from dronewall.engine.terrain import Terrain

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """A piece of a raster: row and column of its first cell in the raster, values (north, east)."""

    row: int
    col: int
    values: npt.NDArray[Any]

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the raster that the window covers."""
        rows, cols = self.values.shape
        return slice(self.row, self.row + rows), slice(self.col, self.col + cols)


def visible(
    terrain: Terrain,
    eye: tuple[float, float, float],
    target_agl: float,
    max_range: float,
    azimuth: float = 0.0,
    hfov: float = math.tau,
    *,
    refraction: float = OPTICAL,
    exact: bool = False,
) -> Window:
    """Where a target at `target_agl` metres above the ground is in the line of sight: a window of bool (north, east).

    eye: east, north [site m] and height AMSL [m]. max_range: slant range [m]. azimuth, hfov: the sector's centre,
    from grid north, and its width [rad]. refraction: k of `earth.drop`; 1.0 switches the drop off. Ground that is
    unknown, or seen only across unknown ground, is not visible. Raises ValueError where an argument is not finite
    or negative.
    """
    if not (math.isfinite(target_agl) and target_agl >= 0.0):
        raise ValueError(f"target_agl is {target_agl}; expected metres, 0 or more")
    if terrain.surface_amsl is not None and not exact:
        return _visible_on_the_ground(terrain, eye, target_agl, max_range, azimuth, hfov, refraction)
    return _swept(terrain, eye, max_range, azimuth, hfov, refraction, target_agl, exact)


def transmittance(
    terrain: Terrain,
    eye: tuple[float, float, float],
    target_agl: float,
    max_range: float,
    azimuth: float = 0.0,
    hfov: float = math.tau,
    *,
    refraction: float = OPTICAL,
    exact: bool = False,
) -> Window:
    """How much of its light reaches the eye from a target at `target_agl` metres above the ground: a window of floats.

    0 where it is not `visible`, 1 where it is and no canopy stands between, nan where unknown. exact: the share that a
    canopy leaves is exact too for the interpolated heights, and less than a thousandth counts as 0; without, less than
    three thousandths do. Arguments as for `visible`.
    """
    seen = visible(terrain, eye, target_agl, max_range, azimuth, hfov, refraction=refraction, exact=exact)
    needed = minimum_visible_height(terrain, eye, max_range, azimuth, hfov, refraction=refraction, exact=exact)
    heights = np.where(seen.values, target_agl, np.nan)
    clear = np.nan_to_num(through_canopy(terrain, eye, Window(seen.row, seen.col, heights), refraction, exact=exact))
    clear[np.isnan(needed.values)] = np.nan
    return Window(seen.row, seen.col, clear)


def through_canopy(
    terrain: Terrain,
    eye: tuple[float, float, float],
    target_agl: Window,
    refraction: float = OPTICAL,
    *,
    exact: bool = False,
) -> Floats:
    """Share of light (north, east) that the canopy leaves on the way from targets above the ground [m].

    nan where the height is nan: those cells cost little. Whether something blocks is not asked. exact: as in
    `transmittance`.
    """
    x, y = _in_cells(terrain, eye)
    bend = (1.0 - refraction) / (2.0 * RADIUS)
    return canopy.left(
        terrain, x, y, float(eye[2]), target_agl.row, target_agl.col, target_agl.values, bend, exact=exact
    )


def minimum_visible_height(
    terrain: Terrain,
    eye: tuple[float, float, float],
    max_range: float,
    azimuth: float = 0.0,
    hfov: float = math.tau,
    *,
    refraction: float = OPTICAL,
    exact: bool = False,
    transmittance: float = 0.0,
) -> Window:
    """How far above the ground a target must reach to be seen [m]: a window of floats (north, east).

    0 where the ground itself is in sight, inf outside the sector or the (horizontal) range, nan where unknown: no
    ground height there, or none somewhere on the line to it. The window is as large as the sector and the range,
    never more. An eye outside the terrain sees across unknown ground. Arguments as for `visible`.

    transmittance: share of its light, 0 to 1, that a canopy must leave; 0: as if there were none. With `exact` that
    height is good to 0.05 m and never too low; without, it is too low as often as too high, half of the time by less
    than 0.05 m seen from over the canopy, and by more where the line is steep. It is the least one wherever more height
    means a shorter way through the canopy; only a line that climbs steeply through a hedge, and not over it, does so
    the other way round.
    """
    if not 0.0 <= transmittance <= 1.0:
        raise ValueError(f"transmittance is {transmittance}; expected 0 to 1")
    window = _least_height(terrain, eye, max_range, azimuth, hfov, refraction, exact)
    if transmittance == 0.0 or terrain.canopy_amsl is None:
        return window
    x, y = _in_cells(terrain, eye)
    bend = (1.0 - refraction) / (2.0 * RADIUS)
    heights = canopy.reached(
        terrain, x, y, eye[2], window.row, window.col, window.values, bend, transmittance, exact=exact
    )
    return Window(window.row, window.col, heights)


def _least_height(
    terrain: Terrain,
    eye: tuple[float, float, float],
    max_range: float,
    azimuth: float,
    hfov: float,
    refraction: float,
    exact: bool,
) -> Window:
    """`minimum_visible_height` whatever the canopy."""
    if not exact:
        return _swept(terrain, eye, max_range, azimuth, hfov, refraction, None, False)
    window, x, y = _window(terrain, eye, max_range, azimuth, hfov, refraction)
    heights = np.empty(window.values.shape)
    if heights.size:
        half = math.pi if hfov >= math.tau - 1e-12 else hfov / 2.0
        bend = (1.0 - refraction) / (2.0 * RADIUS)
        _march(
            terrain.blocks_amsl,
            terrain.cell,
            x,
            y,
            eye[2],
            max_range,
            azimuth,
            half,
            bend,
            window.row,
            window.col,
            heights,
        )
    return _above_ground(terrain, x, y, Window(window.row, window.col, heights))


def _above_ground(terrain: Terrain, x: float, y: float, over: Window) -> Window:
    """Heights over what blocks, counted from the ground; but what stands in the eye's own cell hides nothing."""
    if terrain.surface_amsl is None:
        return over
    stands = terrain.surface_amsl[over.slices] - terrain.ground_amsl[over.slices]
    i, j = math.floor(y + 0.5) - over.row, math.floor(x + 0.5) - over.col
    if 0 <= i < stands.shape[0] and 0 <= j < stands.shape[1]:
        stands[i, j] = 0.0
    return Window(over.row, over.col, (over.values + stands).astype(over.values.dtype))


def _visible_on_the_ground(
    terrain: Terrain,
    eye: tuple[float, float, float],
    target_agl: float,
    max_range: float,
    azimuth: float,
    hfov: float,
    refraction: float,
) -> Window:
    """The quick `visible` where what blocks is not what the target stands on."""
    needed = _least_height(terrain, eye, max_range, azimuth, hfov, refraction, False)
    rows, cols = needed.slices
    columns, lines = terrain.centres
    up = terrain.ground_amsl[rows, cols] + target_agl - eye[2]
    slant2 = (columns[cols] - eye[0]) ** 2 + (lines[rows, None] - eye[1]) ** 2 + up**2
    with np.errstate(invalid="ignore"):
        return Window(needed.row, needed.col, (needed.values <= target_agl) & (slant2 <= max_range * max_range))


def _in_cells(terrain: Terrain, eye: tuple[float, float, float]) -> tuple[float, float]:
    """The eye in cells from the middle of the raster's first cell.

    One that stands level with a row or column of middles to 1e-9 of a cell stands on it.
    """
    x, y = ((eye[0] - terrain.west) / terrain.cell - 0.5, (eye[1] - terrain.south) / terrain.cell - 0.5)
    x, y = (float(round(part)) if abs(part - round(part)) < 1e-9 else float(part) for part in (x, y))
    return x, y


def _window(
    terrain: Terrain, eye: tuple[float, float, float], max_range: float, azimuth: float, hfov: float, refraction: float
) -> tuple[Window, float, float]:
    """The window around a sector, its values False, and the eye in cells from the middle of the raster's first cell."""
    east, north, amsl = (float(part) for part in eye)
    told = {"eye": east + north + amsl, "azimuth": azimuth, "hfov": hfov, "refraction": refraction}
    if not math.isfinite(sum(told.values())):
        for name, value in told.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}; expected a finite number")
    if not (math.isfinite(max_range) and max_range >= 0.0):
        raise ValueError(f"max_range is {max_range}; expected metres, 0 or more")
    rows, cols = terrain.shape
    low_east, high_east, low_north, high_north = _sector_box(float(azimuth), float(hfov), float(max_range))
    first_col = min(max(math.floor((east + low_east - terrain.west) / terrain.cell), 0), cols)
    last_col = max(min(math.ceil((east + high_east - terrain.west) / terrain.cell), cols), first_col)
    first_row = min(max(math.floor((north + low_north - terrain.south) / terrain.cell), 0), rows)
    last_row = max(min(math.ceil((north + high_north - terrain.south) / terrain.cell), rows), first_row)
    x, y = _in_cells(terrain, eye)
    window = Window(first_row, first_col, np.zeros((last_row - first_row, last_col - first_col), dtype=np.bool_))
    return window, x, y


def _swept(
    terrain: Terrain,
    eye: tuple[float, float, float],
    max_range: float,
    azimuth: float,
    hfov: float,
    refraction: float,
    target_agl: float | None,
    exact: bool,
) -> Window:
    """`visible`'s answer where there is a target, `minimum_visible_height`'s quick one (float32) where not."""
    window, x, y = _window(terrain, eye, max_range, azimuth, hfov, refraction)
    rows, cols = terrain.shape
    outside = not (-0.5 <= x <= cols - 0.5 and -0.5 <= y <= rows - 0.5)
    as_height = target_agl is None
    seen = window.values
    shape = seen.shape if as_height else (0, 0)
    heights = np.full(shape, np.nan if outside else np.inf, dtype=np.float32)
    if seen.size and not outside:
        bend = (1.0 - refraction) / (2.0 * RADIUS)
        parts = quadrants(float(azimuth), float(hfov))
        if exact and target_agl is not None:
            sweep_exact(
                terrain.solid, terrain.ground_amsl, terrain.surface_amsl is None, x, y, octants(parts), terrain.cell,
                max_range, bend, float(eye[2]), target_agl, window.row, window.col, seen.view(np.uint8),
            )  # fmt: skip
        else:
            sweep(
                terrain.relief, x, y, parts, terrain.cell, max_range, bend, float(eye[2]) - terrain.middle_amsl,
                0.0 if target_agl is None else target_agl, as_height, window.row, window.col, seen, heights,
            )  # fmt: skip
        row, col = math.floor(y + 0.5), math.floor(x + 0.5)
        i, j = row - window.row, col - window.col
        if 0 <= i < seen.shape[0] and 0 <= j < seen.shape[1]:
            known = not math.isnan(terrain.blocks_amsl[row, col] + terrain.ground_amsl[row, col])
            if target_agl is None:
                heights[i, j] = 0.0 if known else math.nan
            else:
                seen[i, j] = known and abs(float(terrain.ground_amsl[row, col]) + target_agl - eye[2]) <= max_range
    if not as_height:
        return window
    return _above_ground(terrain, x, y, Window(window.row, window.col, heights))


@njit()
def _sector_box(azimuth: float, hfov: float, reach: float) -> tuple[float, float, float, float]:
    """West, east, south and north end [m from the eye] of the box around a sector."""
    half = min(hfov, math.tau) / 2.0
    west, east, south, north = 0.0, 0.0, 0.0, 0.0
    for corner in range(6):
        # The sector's two sides, and those of the four compass points that it holds.
        angle = azimuth + half if corner else azimuth - half
        if corner > 1:
            angle = (corner - 2) * math.pi / 2.0
            if abs((angle - azimuth + math.pi) % math.tau - math.pi) > half:
                continue
        west, east = min(west, reach * math.sin(angle)), max(east, reach * math.sin(angle))
        south, north = min(south, reach * math.cos(angle)), max(north, reach * math.cos(angle))
    return west, east, south, north


@njit()
def _march(
    ground: Floats,
    cell: float,
    x: float,
    y: float,
    eye: float,
    reach: float,
    azimuth: float,
    half: float,
    bend: float,
    first_row: int,
    first_col: int,
    heights: Floats,
) -> None:
    """Fills `heights`. x, y: the eye in cells from the middle of the raster's first cell."""
    rows, cols = ground.shape
    eye_row, eye_col = int(math.floor(y + 0.5)), int(math.floor(x + 0.5))
    for i in range(heights.shape[0]):
        row = first_row + i
        for j in range(heights.shape[1]):
            col = first_col + j
            if row == eye_row and col == eye_col:
                heights[i, j] = 0.0 if not math.isnan(ground[row, col]) else math.nan
                continue
            dx, dy = col - x, row - y
            span = math.sqrt(dx * dx + dy * dy)
            distance = span * cell
            if distance > reach:
                heights[i, j] = math.inf
                continue
            if half < math.pi:
                off = (math.atan2(dx, dy) - azimuth + math.pi) % (2.0 * math.pi) - math.pi
                if abs(off) > half + 1e-9:
                    heights[i, j] = math.inf
                    continue
            foot = ground[row, col]
            if math.isnan(foot):
                heights[i, j] = math.nan
                continue
            # The height over the target's foot that the line must reach to clear each crossing; 0: the ground
            # itself is in sight.
            needed = 0.0
            for family in range(2):
                start = x if family == 0 else y
                step = dx if family == 0 else dy
                if step == 0.0:
                    continue
                end = col if family == 0 else row
                if step > 0.0:
                    first, last = int(math.floor(start)) + 1, end - 1
                else:
                    first, last = end + 1, int(math.ceil(start)) - 1
                for line in range(first, last + 1):
                    share = (line - start) / step
                    across = (y + share * dy) if family == 0 else (x + share * dx)
                    top = rows if family == 0 else cols
                    other = cols if family == 0 else rows
                    if across < -0.5 or across > top - 0.5 or line < 0 or line >= other:
                        needed = math.nan
                        break
                    # Over the outer half cells the ground goes on level.
                    across = min(max(across, 0.0), top - 1.0)
                    # A crossing at a middle to 1e-9 of a cell is at that middle: the next one may be unknown.
                    if abs(across - round(across)) < 1e-9:
                        across = float(round(across))
                    low = int(math.floor(across))
                    part = across - low
                    if family == 0:
                        height = ground[low, line]
                        if part > 0.0:
                            height = height * (1.0 - part) + ground[low + 1, line] * part
                    else:
                        height = ground[line, low]
                        if part > 0.0:
                            height = height * (1.0 - part) + ground[line, low + 1] * part
                    if math.isnan(height):
                        needed = math.nan
                        break
                    raised = height + share * (1.0 - share) * distance * distance * bend
                    over = eye - foot + (raised - eye) / share
                    if over > needed:
                        needed = over
                if math.isnan(needed):
                    break
            heights[i, j] = needed
