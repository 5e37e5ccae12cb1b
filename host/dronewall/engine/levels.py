"""How sure a sensor's rate is: its mean over the reported pose errors (`expected`) and its worst over a confidence
region of them (`assured`).

All errors are independent and normal, with the report's standard errors. One viewshed serves the mean at every
target; heading errors do not move it.

expected. A cell is in view with probability w, and the mean rate is w times the rate in view. For a sector and a
heading error s, w = Phi((h - o)/s) - Phi((-h - o)/s), o the offset from the boresight and h the half field; the
elevation window and the range gates alike. A pyramid is softened the same way in its own two angles, atan y/x and
atan z/x, each by the variance that all errors have there to first order, and so it is right at nadir. A position error
turns the line of sight by s/d and moves the range gates. So that a heading that is wrong stays wrong for a whole
crossing, the heading's error is cut in two (`heading_draws`): seven draws or, for a narrow beam, up to 43 carry its
lasting part, and what is left is softened away in each. What is neglected: that errors of position and height move
shadows, that the rate changes over a position error of some metres, and the correlation of a pyramid's sides (only its
corners feel it). docs/studies/levels.py measures what that costs.

assured. The rate is the least over a box of the errors that are not 0: heading, elevation, roll, position (a disc),
height, and the terrain's error as one offset of all ground beyond a posting from the sensor against the ground at the
sensor, falling to 0 towards it (heights nearer than a posting err alike). Of m such errors each is taken to the
quantile of confidence^(1/m), so the box holds the truth with probability `confidence`, for each sensor by itself. In
view means in view at the box's corners, edges and middle; in sight means from the reported eye *and* from four eyes at
the disc's edge, as low as the box allows, over ground as high as it allows, and a canopy dims as for the worst of
these; the rate is the least over the range's two ends and its middle.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dronewall.engine.detection import (
    Draws,
    Indices,
    Rate,
    check,
    clear_share,
    eye_of,
    noticed,
    refraction_of,
    reported,
    watched,
)
from dronewall.engine.frustum import Frustum, Shape, axes, hull, sweep
from dronewall.engine.models import CLEAR_DAY, FALLING, Environment, Target
from dronewall.engine.showing import showing
from dronewall.engine.terrain import Terrain
from dronewall.engine.view import hold, soften
from dronewall.engine.viewshed import Window, minimum_visible_height

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Level = Literal["expected", "assured"]
LEVELS: tuple[Level, ...] = ("expected", "assured")

_RESIDUAL = 0.55
"""Share of the heading's standard error that is softened away in each draw, at most; and at least:"""
_FINEST = 0.1
_TAIL = 3.0
"""The sweep is widened by so many standard errors; beyond, a cell is in view in a case of a thousand."""
_LE90 = NormalDist().inv_cdf(0.95)
"""Standard errors in an LE90."""


@dataclass(frozen=True)
class _View:
    environment: Environment
    still: bool


@dataclass(frozen=True)
class Box:
    """How far each error reaches [rad, m] in a sensor's confidence region."""

    heading: float
    tilt: float
    position: float
    height: float
    ground: float

    @property
    def empty(self) -> bool:
        """Whether nothing errs."""
        return not (self.heading or self.tilt or self.position or self.height or self.ground)


def box_of(frustum: Frustum, confidence: float, le90: float = math.nan) -> Box:
    """The confidence region of a sensor's errors: with probability `confidence` all of them lie in it.

    le90: of the terrain [m]; nan counts as 0.
    """
    ground = le90 / _LE90 if math.isfinite(le90) else 0.0
    lines = [frustum.azimuth_sigma, frustum.tilt_sigma, frustum.tilt_sigma, frustum.height_sigma, ground]
    count = sum(sigma > 0.0 for sigma in lines) + (frustum.position_sigma > 0.0)
    each: float = confidence ** (1.0 / max(count, 1))
    reach = NormalDist().inv_cdf((1.0 + each) / 2.0)
    return Box(
        heading=min(reach * frustum.azimuth_sigma, math.pi),
        tilt=min(reach * frustum.tilt_sigma, math.pi / 2.0),
        # A disc holds what two normal errors do with Rayleigh's distribution.
        position=math.sqrt(-2.0 * math.log1p(-each)) * frustum.position_sigma,
        height=reach * frustum.height_sigma,
        ground=reach * ground,
    )


def rates(
    terrain: Terrain,
    frustum: Frustum,
    targets: Sequence[Target],
    confidence: float,
    environment: Environment = CLEAR_DAY,
    *,
    still: bool = False,
    asked: Bools | None = None,
) -> list[tuple[Rate, Rate]]:
    """The expected and the assured detection of each target by a sensor: `detection.rate` twice over.

    Where the report has no errors and the terrain none that it knows of, both are what `detection.rate` returns. A
    sensor that is not always ready (`awake` duty) assures nothing, and it is the caller who leaves it out. asked: the
    cells of the raster (north, east) that the caller wants to know of, left out: all; the others may be missing in what
    is told. Raises DetectionError.
    """
    check(frustum)
    refraction = refraction_of(frustum)
    box = box_of(frustum, confidence, terrain.le90)
    exact = not (frustum.azimuth_sigma or frustum.tilt_sigma or frustum.position_sigma or frustum.height_sigma)
    centre, width = sweep(frustum) if exact else _wide_sweep(frustum)
    reach = frustum.range_max + _TAIL * math.hypot(frustum.position_sigma, frustum.height_sigma)
    needed = minimum_visible_height(terrain, eye_of(frustum), reach, centre, width, refraction=refraction)
    # What a canopy leaves rests on all cells that ask (`fan`).
    if asked is not None and terrain.canopy_amsl is None:
        needed.values[~asked[needed.slices]] = math.inf
    harsh = None if box.empty else _harsh(terrain, frustum, box, needed)
    worst = needed if harsh is None else _worst(harsh, frustum, box, needed, centre, width, refraction)
    view = _View(environment, still)
    found = []
    for target in targets:
        if exact:
            mean = reported(terrain, frustum, target, needed, environment, still=still)
        else:
            mean = _expected(terrain, frustum, target, needed, view)
        least = mean if harsh is None else _assured(terrain, frustum, target, needed, worst, harsh, box, view)
        found.append((mean, least))
    return found


@functools.lru_cache(maxsize=1024)
def _tilted_half(shape: Shape, elevation: float, roll: float, hfov: float, vfov: float, tilt: float) -> float:
    """How far off its azimuth [rad] a frustum that may be tilted by `tilt` sees anything; a drone asks at each step."""
    if shape == "sector":
        return min(hfov, math.tau) / 2.0
    tilts = np.array([-tilt, 0.0, tilt])
    found = 0.0
    for frame in axes(0.0, elevation + tilts[:, None], roll + tilts).reshape(-1, 3, 3):
        centre, width = hull(frame, 0.0, hfov, vfov)
        found = max(found, abs((centre + math.pi) % math.tau - math.pi) + width / 2.0)
    return found


def _wide_sweep(frustum: Frustum) -> tuple[float, float]:
    """Centre and width [rad] of the azimuths in which the frustum may see something, errors included."""
    half = _tilted_half(
        frustum.shape, frustum.elevation, frustum.roll, frustum.hfov, frustum.vfov, _TAIL * frustum.tilt_sigma
    )
    # Near the eye a position error turns by more than any margin; a few metres around it are given up.
    near = math.asin(min(1.0, _TAIL * frustum.position_sigma / (0.1 * frustum.range_max)))
    half += _TAIL * frustum.azimuth_sigma + near
    return frustum.azimuth, min(2.0 * half, math.tau)


# --- expected


def heading_draws(frustum: Frustum) -> tuple[Floats, Floats, float]:
    """The draws of a heading's error [rad], their weights, and the standard error that each leaves [rad].

    A normal error is the sum of two: draws an equal step apart carry the one, the other is left. As long as the step is
    under 1.5 of what is left, the mixture is the normal distribution to a thousandth. A beam much narrower than the
    error needs finer draws: what is left must leave it in one piece.
    """
    sigma = frustum.azimuth_sigma
    if sigma <= 0.0:
        return np.zeros(1), np.ones(1), 0.0
    left = min(max(frustum.hfov / 10.0 / sigma, _FINEST), _RESIDUAL)
    step = 1.46 * left
    count = math.ceil(2.4 / step) if left == _RESIDUAL else math.ceil(3.0 / step)
    draws = np.arange(-count, count + 1) * step
    weights = np.exp(-(draws**2) / (2.0 * (1.0 - left**2)))
    weights /= weights.sum()
    # The draws cut the tails off; a hair wider, their variance is right.
    draws *= math.sqrt((1.0 - left**2) / float((weights * draws**2).sum()))
    return np.asarray(draws * sigma), np.asarray(weights), left * sigma


def _expected(terrain: Terrain, frustum: Frustum, target: Target, needed: Window, view: _View) -> Rate:
    turns, weights, residual = heading_draws(frustum)
    frames = axes(frustum.azimuth + turns, frustum.elevation, frustum.roll)
    eye = eye_of(frustum)
    seen = showing(terrain, frustum, eye, target, needed, everywhere=True)
    kept = np.empty(len(seen.cells), dtype=np.intp)
    shares, likely = np.empty((len(turns), len(kept)), dtype=np.uint8), np.empty(len(kept))
    count = soften(
        frustum.shape == "pyramid", frames, np.asarray(frustum.azimuth + turns, dtype=np.float64), weights,
        frustum.elevation, frustum.hfov / 2.0, frustum.vfov / 2.0, frustum.range_min, frustum.range_max, residual,
        frustum.tilt_sigma, frustum.position_sigma, frustum.height_sigma, seen.east, seen.north, seen.up, kept, shares,
        likely,
    )  # fmt: skip
    some = kept[:count]
    cells, exposed = seen.cells[some], seen.exposed[some]
    clear = clear_share(terrain, frustum, target, eye, needed, cells, exposed)
    rates, tops = watched(frustum, target, seen.slant[some], exposed, view.environment, clear, still=view.still)
    draws = Draws(np.ascontiguousarray(shares[:, :count]), weights)
    return noticed(frustum, needed, cells, rates * likely[:count], tops, draws)


# --- assured


@dataclass(frozen=True)
class _Harsh:
    """The ground of a box at its worst, a piece of the terrain from (row, col) on, and the eyes that are tried."""

    terrain: Terrain
    row: int
    col: int
    eyes: tuple[tuple[float, float, float], ...]

    def clear(
        self,
        frustum: Frustum,
        target: Target,
        at: Window,
        cells: Indices,
        exposed: npt.NDArray[Any],
        seen: Floats | float,
    ) -> Floats | float:
        """The least share that canopies leave, at cells of the window `at`: of `seen`, the reported eye's, and of all
        of these.
        """
        if not isinstance(seen, np.ndarray):
            return seen
        least = seen.copy()
        here = Window(at.row - self.row, at.col - self.col, at.values)
        for eye in self.eyes:
            # What is dark from one eye needs no other.
            lit = np.flatnonzero(least > 0.0)
            share = clear_share(self.terrain, frustum, target, eye, here, cells[lit], exposed[lit])
            least[lit] = np.minimum(least[lit], share)
        return least


def _harsh(terrain: Terrain, frustum: Frustum, box: Box, needed: Window) -> _Harsh:
    eyes = _eyes(terrain, frustum, box)
    if not box.ground:
        return _Harsh(terrain, 0, 0, eyes)
    rows, cols = needed.slices
    # The ground around the window, high enough for all eyes.
    pad = math.ceil(box.position / terrain.cell) + 1
    north0, north1 = max(rows.start - pad, 0), min(rows.stop + pad, terrain.shape[0])
    east0, east1 = max(cols.start - pad, 0), min(cols.stop + pad, terrain.shape[1])
    columns, lines = terrain.centres
    eye = eye_of(frustum)
    piece = (slice(north0, north1), slice(east0, east1))
    away = np.hypot(columns[None, east0:east1] - eye[0], lines[north0:north1, None] - eye[1])
    posting = terrain.posting if math.isfinite(terrain.posting) and terrain.posting > 0.0 else terrain.cell
    lift = box.ground * np.minimum(away / posting, 1.0)

    def lifted(heights: Floats | None) -> Floats | None:
        return None if heights is None else np.ascontiguousarray(heights[piece] + lift)

    ground = lifted(terrain.ground_amsl)
    assert ground is not None
    high = dataclasses.replace(
        terrain,
        ground_amsl=ground,
        surface_amsl=lifted(terrain.surface_amsl),
        canopy_amsl=lifted(terrain.canopy_amsl),
        west=terrain.west + east0 * terrain.cell,
        south=terrain.south + north0 * terrain.cell,
    )
    return _Harsh(high, north0, east0, eyes)


def _eyes(terrain: Terrain, frustum: Frustum, box: Box) -> tuple[tuple[float, float, float], ...]:
    """The eyes of a box that are tried: at the disc's edge, as low as may be."""
    eye = eye_of(frustum)
    follows = frustum.eye_agl is not None and not frustum.moving
    floor = float(terrain.ground(eye[0], eye[1])) if follows else 0.0
    steps = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)) if box.position > 0.0 else ((0.0, 0.0),)
    eyes = []
    for step_east, step_north in steps:
        east, north = eye[0] + box.position * step_east, eye[1] + box.position * step_north
        amsl = eye[2] - box.height
        if follows:
            here = float(terrain.ground(east, north))
            amsl += here - floor if math.isfinite(here) else 0.0
        eyes.append((east, north, amsl))
    return tuple(eyes)


def _worst(
    harsh: _Harsh, frustum: Frustum, box: Box, needed: Window, centre: float, width: float, refraction: float
) -> Window:
    """The minimum visible height [m] over `needed`'s window at the worst eye and ground of the box that are tried."""
    values = needed.values.copy()
    for eye in harsh.eyes if values.size else ():
        moved = minimum_visible_height(
            harsh.terrain, eye, frustum.range_max + box.position, centre, width, refraction=refraction
        )
        _raise(values, needed.row, needed.col, moved.values, moved.row + harsh.row, moved.col + harsh.col)
    return Window(needed.row, needed.col, values)


def _raise(values: Floats, row: int, col: int, other: Floats, other_row: int, other_col: int) -> None:
    """Raises `values` to `other` where both have a cell, to inf where only it has; nan stays nan."""
    rows, cols = values.shape
    top, left = other_row - row, other_col - col
    first, last = min(max(top, 0), rows), min(max(top + other.shape[0], 0), rows)
    begin, end = min(max(left, 0), cols), min(max(left + other.shape[1], 0), cols)
    both = values[first:last, begin:end]
    np.maximum(both, other[first - top : last - top, begin - left : end - left], out=both)
    middle = values[first:last]
    for outside in (values[:first], values[last:], middle[:, :begin], middle[:, end:]):
        np.maximum(outside, math.inf, out=outside)


def _assured(
    terrain: Terrain,
    frustum: Frustum,
    target: Target,
    needed: Window,
    worst: Window,
    harsh: _Harsh,
    box: Box,
    view: _View,
) -> Rate:
    """The least rate in the box. needed, worst: the minimum visible height at the reported eye and at the worst one."""
    eye = eye_of(frustum)
    low = showing(terrain, frustum, eye, target, worst, everywhere=True)
    # What sticks out for the worst eye does so for the reported one, and as much or more.
    hidden = np.maximum(needed.values.ravel()[low.cells], target.bottom_agl)
    exposed = target.top_agl - hidden
    rows, cols = worst.slices
    ground = terrain.ground_amsl[rows, cols].ravel()[low.cells]
    ups = ground + target.top_agl - exposed / 2.0 - eye[2]
    # The ends first: what leaves the view does so there.
    turns = np.array([0.0, -1.0, 1.0, -0.5, 0.5]) * box.heading if box.heading > 0.0 else np.zeros(1)
    tilts = np.array([0.0, -box.tilt, box.tilt]) if box.tilt > 0.0 else np.zeros(1)
    if frustum.shape == "pyramid":
        frames = axes(
            frustum.azimuth + turns[:, None, None], frustum.elevation + tilts[:, None], frustum.roll + tilts
        ).reshape(-1, 3, 3)
    else:
        frames = np.zeros((1, 3, 3))
    kept = np.empty(len(low.cells), dtype=np.intp)
    nearest, farthest = np.empty(len(kept)), np.empty(len(kept))
    count = hold(
        frustum.shape == "pyramid", frames, frustum.azimuth, frustum.elevation, frustum.hfov / 2.0, frustum.vfov / 2.0,
        frustum.range_min, frustum.range_max, box.heading, box.tilt, box.position, box.height, box.ground,
        terrain.posting if math.isfinite(terrain.posting) and terrain.posting > 0.0 else terrain.cell, low.east,
        low.north, ups, low.up, kept, nearest, farthest,
    )  # fmt: skip
    held = kept[:count]
    cells = low.cells[held]
    clear = clear_share(terrain, frustum, target, eye, needed, cells, exposed[held])
    clear = harsh.clear(frustum, target, worst, cells, low.exposed[held], clear)
    # The farther the less, but for what was measured otherwise.
    ranges = [farthest[:count]]
    if frustum.model["kind"] not in FALLING:
        ranges += [nearest[:count], np.sqrt(low.east[held] ** 2 + low.north[held] ** 2 + ups[held] ** 2)]
    rates, tops = np.full(count, math.inf), np.ones(count)
    for slant in ranges:
        rate, top = watched(frustum, target, slant, low.exposed[held], view.environment, clear, still=view.still)
        rates, tops = np.minimum(rates, rate), np.minimum(tops, top)
    return noticed(frustum, worst, cells, rates, tops)
