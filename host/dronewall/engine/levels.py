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
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from dronewall.engine.detection import Draws, Rate, Sight, check, clear_share, eye_of, refraction_of, sight, watched
from dronewall.engine.frustum import Frustum, in_view, sweep
from dronewall.engine.models import Environment, Target
from dronewall.engine.terrain import Terrain
from dronewall.engine.view import hold, soften
from dronewall.engine.viewshed import Window, minimum_visible_height

Floats = npt.NDArray[np.float64]
Level = Literal["expected", "assured"]
LEVELS: tuple[Level, ...] = ("expected", "assured")

_RESIDUAL = 0.55
"""Share of the heading's standard error that is softened away in each draw, at most; and at least:"""
_FINEST = 0.1
_TAIL = 3.0
"""The sweep is widened by so many standard errors; beyond, a cell is in view in a case of a thousand."""
_LE90 = NormalDist().inv_cdf(0.95)
"""Standard errors in an LE90."""


_CLEAR_DAY = Environment()


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
    environment: Environment = _CLEAR_DAY,
    refraction: float | None = None,
    *,
    still: bool = False,
) -> list[tuple[Rate, Rate]]:
    """The expected and the assured detection of each target by a sensor: `detection.rate` twice over.

    Where the report has no errors and the terrain none that it knows of, both are what `detection.rate` returns. A
    sensor that is not always ready (`awake` duty) assures nothing, and it is the caller who leaves it out. Raises
    DetectionError.
    """
    check(frustum)
    bend = refraction_of(frustum) if refraction is None else refraction
    box = box_of(frustum, confidence, terrain.le90)
    exact = not (frustum.azimuth_sigma or frustum.tilt_sigma or frustum.position_sigma or frustum.height_sigma)
    centre, width = sweep(frustum) if exact else _wide_sweep(frustum)
    reach = frustum.range_max + _TAIL * math.hypot(frustum.position_sigma, frustum.height_sigma)
    needed = minimum_visible_height(terrain, eye_of(frustum), reach, centre, width, refraction=bend)
    harsh = None if box.empty else _harsh(terrain, frustum, box, needed)
    worst = needed if harsh is None else _worst(harsh, frustum, box, needed, centre, width, bend)
    view = _View(environment, still)
    found = []
    for target in targets:
        seen = sight(terrain, frustum, target, needed)
        if exact:
            mean = _reported(frustum, target, needed, seen, view)
        else:
            mean = _expected(frustum, target, needed, seen, view)
        if harsh is None:
            least = mean
        else:
            low = sight(terrain, frustum, target, worst, through=False)
            low = dataclasses.replace(low, clear=harsh.clear(frustum, target, worst, low.exposed, seen.clear))
            least = _assured(frustum, target, worst, seen, low, box, terrain, view)
        found.append((mean, least))
    return found


def _wide_sweep(frustum: Frustum) -> tuple[float, float]:
    """Centre and width [rad] of the azimuths in which the frustum may see something, errors included."""
    tilts = (-_TAIL * frustum.tilt_sigma, 0.0, _TAIL * frustum.tilt_sigma)
    half = 0.0
    for up in tilts:
        for turn in tilts:
            tilted = dataclasses.replace(frustum, elevation=frustum.elevation + up, roll=frustum.roll + turn)
            centre, width = sweep(tilted)
            off = abs((centre - frustum.azimuth + math.pi) % math.tau - math.pi)
            half = max(half, off + width / 2.0)
    # Near the eye a position error turns by more than any margin; a few metres around it are given up.
    near = math.asin(min(1.0, _TAIL * frustum.position_sigma / (0.1 * frustum.range_max)))
    half += _TAIL * frustum.azimuth_sigma + near
    return frustum.azimuth, min(2.0 * half, math.tau)


def _reported(frustum: Frustum, target: Target, needed: Window, seen: Sight, view: _View) -> Rate:
    inside = in_view(frustum, seen.east, seen.north, seen.up)
    slant = np.sqrt(seen.east**2 + seen.north**2 + seen.up**2)
    per_second, ceiling = watched(
        frustum, target, slant, np.where(inside, seen.exposed, 0.0), view.environment, seen.clear, still=view.still
    )
    return Rate(needed.row, needed.col, per_second, ceiling, np.isnan(needed.values), frustum.duty)


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


def _expected(frustum: Frustum, target: Target, needed: Window, seen: Sight, view: _View) -> Rate:
    turns, weights, residual = heading_draws(frustum)
    frames = np.stack([dataclasses.replace(frustum, azimuth=frustum.azimuth + turn).axes() for turn in turns])
    shares = np.zeros((len(turns), *seen.exposed.shape), dtype=np.uint8)
    if seen.exposed.size:
        soften(
            frustum.shape == "pyramid",
            frames,
            np.asarray(frustum.azimuth + turns, dtype=np.float64),
            frustum.elevation,
            frustum.hfov / 2.0,
            frustum.vfov / 2.0,
            frustum.range_min,
            frustum.range_max,
            residual,
            frustum.tilt_sigma,
            frustum.position_sigma,
            frustum.height_sigma,
            np.ascontiguousarray(seen.east[0]),
            np.ascontiguousarray(seen.north[:, 0]),
            seen.up,
            seen.exposed,
            shares,
        )
    some = shares.any(axis=0)
    slant = np.sqrt(seen.east[some] ** 2 + seen.north[some] ** 2 + seen.up[some] ** 2)
    rate, top = watched(
        frustum, target, slant, seen.exposed[some], view.environment, seen.clear[some], still=view.still
    )
    # What no model notices needs no draws.
    shares[:, some] *= rate > 0.0
    per_second, ceiling = np.zeros(some.shape), np.zeros(some.shape)
    draws = Draws(shares, weights)
    per_second[some] = rate * draws.likely_at((some,))
    ceiling[some] = top
    return Rate(needed.row, needed.col, per_second, ceiling, np.isnan(needed.values), frustum.duty, draws)


# --- assured


@dataclass(frozen=True)
class _Harsh:
    """The ground of a box at its worst, a piece of the terrain from (row, col) on, and the eyes that are tried."""

    terrain: Terrain
    row: int
    col: int
    eyes: tuple[tuple[float, float, float], ...]

    def clear(self, frustum: Frustum, target: Target, worst: Window, exposed: Floats, reported: Floats) -> Floats:
        """The least share that canopies leave, over the window of `worst`: of the reported eye's and all of these."""
        if self.terrain.canopy_amsl is None:
            return reported
        least = reported
        at = Window(worst.row - self.row, worst.col - self.col, worst.values)
        for eye in self.eyes:
            # What is dark from one eye needs no other.
            asked = np.where(least > 0.0, exposed, 0.0)
            least = np.minimum(least, clear_share(self.terrain, frustum, target, eye, at, asked))
        return least


def _harsh(terrain: Terrain, frustum: Frustum, box: Box, needed: Window) -> _Harsh:
    rows, cols = needed.slices
    # The ground around the window, high enough for all eyes.
    pad = math.ceil(box.position / terrain.cell) + 1
    north0, north1 = max(rows.start - pad, 0), min(rows.stop + pad, terrain.shape[0])
    east0, east1 = max(cols.start - pad, 0), min(cols.stop + pad, terrain.shape[1])
    columns, lines = terrain.centres
    eye = eye_of(frustum)
    piece = (slice(north0, north1), slice(east0, east1))
    lift: float | Floats = 0.0
    if box.ground > 0.0:
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
    return _Harsh(high, north0, east0, tuple(eyes))


def _worst(
    harsh: _Harsh, frustum: Frustum, box: Box, needed: Window, centre: float, width: float, bend: float
) -> Window:
    """The minimum visible height [m] over `needed`'s window at the worst eye and ground of the box that are tried."""
    values = needed.values.copy()
    for eye in harsh.eyes if values.size else ():
        moved = minimum_visible_height(
            harsh.terrain, eye, frustum.range_max + box.position, centre, width, refraction=bend
        )
        _raise(values, needed.row, needed.col, moved.values, moved.row + harsh.row, moved.col + harsh.col)
    return Window(needed.row, needed.col, values)


def _raise(values: Floats, row: int, col: int, other: Floats, other_row: int, other_col: int) -> None:
    """Raises `values` to `other` where both have a cell, to inf where only it has; nan stays nan."""
    full = np.full(values.shape, math.inf)
    first_row, last_row = max(row, other_row), min(row + values.shape[0], other_row + other.shape[0])
    first_col, last_col = max(col, other_col), min(col + values.shape[1], other_col + other.shape[1])
    if first_row < last_row and first_col < last_col:
        full[first_row - row : last_row - row, first_col - col : last_col - col] = other[
            first_row - other_row : last_row - other_row, first_col - other_col : last_col - other_col
        ]
    np.maximum(values, full, out=values)


def _assured(
    frustum: Frustum,
    target: Target,
    worst: Window,
    seen: Sight,
    low: Sight,
    box: Box,
    terrain: Terrain,
    view: _View,
) -> Rate:
    """The least rate in the box. seen, low: what sticks out at the reported eye, and at the worst one."""
    away = np.hypot(seen.east, seen.north)
    posting = terrain.posting if math.isfinite(terrain.posting) and terrain.posting > 0.0 else terrain.cell
    lift = box.height + box.ground * np.minimum(away / posting, 1.0)
    lowest, highest = seen.up - lift, np.maximum(seen.up, low.up) + lift
    # Slant ranges of the box: the least where the target is level with the eye, or at the nearer end.
    level = np.where((lowest <= 0.0) & (highest >= 0.0), 0.0, np.minimum(np.abs(lowest), np.abs(highest)))
    nearest = np.hypot(np.maximum(away - box.position, 0.0), level)
    farthest = np.hypot(away + box.position, np.maximum(np.abs(lowest), np.abs(highest)))
    # A target that leaves a gate at its own height does so in the box, too; a hair keeps the edge itself inside.
    held = (low.exposed > 0.0) & (nearest >= frustum.range_min - 1e-9) & (farthest <= frustum.range_max + 1e-9)
    turns = np.linspace(-box.heading, box.heading, 5) if box.heading > 0.0 else np.zeros(1)
    tilts = np.array([-box.tilt, 0.0, box.tilt]) if box.tilt > 0.0 else np.zeros(1)
    if frustum.shape == "pyramid":
        frames = np.stack(
            [
                dataclasses.replace(
                    frustum,
                    azimuth=frustum.azimuth + turn,
                    elevation=frustum.elevation + tilt,
                    roll=frustum.roll + roll,
                ).axes()
                for turn in turns
                for tilt in tilts
                for roll in tilts
            ]
        )
    else:
        frames = np.zeros((1, 3, 3))
    hold(
        frustum.shape == "pyramid",
        frames,
        frustum.azimuth,
        frustum.elevation,
        frustum.hfov / 2.0,
        frustum.vfov / 2.0,
        box.heading,
        box.tilt,
        box.position,
        np.ascontiguousarray(seen.east[0]),
        np.ascontiguousarray(seen.north[:, 0]),
        lowest,
        highest,
        held,
    )
    exposed = low.exposed[held]
    reported = np.sqrt(seen.east[held] ** 2 + seen.north[held] ** 2 + seen.up[held] ** 2)
    clear = low.clear[held]
    rate, top = watched(frustum, target, farthest[held], exposed, view.environment, clear, still=view.still)
    for slant in (nearest[held], reported):
        other, height = watched(frustum, target, slant, exposed, view.environment, clear, still=view.still)
        rate, top = np.minimum(rate, other), np.minimum(top, height)
    per_second, ceiling = np.zeros(held.shape), np.zeros(held.shape)
    per_second[held], ceiling[held] = rate, top
    return Rate(worst.row, worst.col, per_second, ceiling, np.isnan(worst.values), frustum.duty)
