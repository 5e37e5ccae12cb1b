"""How likely a sensor is to notice a target it has in view: rate [1/s] and ceiling, cell by cell.

p is detection in one independent glimpse of the target's exposed height; transmittance multiplies p; the rate is
-ln(1 - p) / glimpse interval. The ceiling is what more looking cannot exceed. A canopy dims both for every sensor but
the acoustic: leaves take under 0.1 dB/m from sound (ISO 9613-2, table A.1), while a radar's waves of a centimetre find
through them by the same openings as light does, so it is dimmed like light (assumed).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.earth import OPTICAL, RADIO
from dronewall.engine.frustum import Frustum, sweep
from dronewall.engine.models import CLEAR_DAY, MODELS, Environment, Model, Target, fault, resolution
from dronewall.engine.showing import showing
from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import Window, minimum_visible_height, through_canopy

__all__ = ["DetectionError", "Environment", "Rate", "Target", "rate"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_SUREST = 1.0 - 1e-6
"""No single glimpse is surer than this."""


class DetectionError(ValueError):
    """A detection model's parameters do not make a model."""


@dataclass(frozen=True)
class Draws:
    """Whether cells are in view, under a few weighted draws of a sensor's heading error.

    shares (draws, cells) uint8: probability of being in view under each draw [1/255], over the errors that are left.
    weights (draws,): the draws' probabilities; they add up to 1.
    """

    shares: npt.NDArray[np.uint8]
    weights: Floats

    def likely_at(self, cells: Any) -> Floats:
        """Probability of being in view, of the cells with these indices, in the indices' shape."""
        first, *others = (
            share[cells] * (weight / 255.0) for share, weight in zip(self.shares, self.weights, strict=True)
        )
        return np.asarray(sum(others, first))


@dataclass(frozen=True)
class Rate:
    """One sensor's detection of one target over a window of the raster whose first cell is (row, col).

    Most of a window is dark, so only the cells are kept in which the sensor sees something: where in the window they
    lie, row after row and rising (cells,), their rates [1/s] and ceilings [0..1] while the sensor is awake. unknown
    (north, east): where the terrain does not say whether the target is in sight. duty: share of the time that the
    sensor is awake. draws: where the rate is a mean over pose errors, what it is the mean of; None where the pose is
    taken as it is.
    """

    row: int
    col: int
    cells: Indices
    rates: Floats
    ceilings: Floats
    unknown: npt.NDArray[np.bool_]
    duty: float = 1.0
    draws: Draws | None = None

    @classmethod
    def of(
        cls,
        row: int,
        col: int,
        rate: Floats,
        ceiling: Floats,
        unknown: npt.NDArray[np.bool_],
        duty: float = 1.0,
        draws: Draws | None = None,
    ) -> "Rate":
        """From whole windows (north, east); `draws` of shares (draws, north, east)."""
        cells = np.flatnonzero(rate > 0.0)
        if draws is not None:
            draws = Draws(draws.shares.reshape(len(draws.shares), -1)[:, cells], draws.weights)
        return cls(row, col, cells, rate.ravel()[cells], ceiling.ravel()[cells], unknown, duty, draws)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the window."""
        rows, cols = self.unknown.shape
        return rows, cols

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the raster that the window covers."""
        rows, cols = self.shape
        return slice(self.row, self.row + rows), slice(self.col, self.col + cols)

    @cached_property
    def rate(self) -> Floats:
        """The rates over the whole window (north, east), 0 where nothing is seen."""
        return self._whole(self.rates)

    @cached_property
    def ceiling(self) -> Floats:
        """The ceilings, likewise."""
        return self._whole(self.ceilings)

    def _whole(self, values: Floats) -> Floats:
        found = np.zeros(self.shape)
        found.ravel()[self.cells] = values
        return found


def rate(
    terrain: Terrain,
    frustum: Frustum,
    target: Target,
    environment: Environment = CLEAR_DAY,
    *,
    still: bool = False,
) -> Rate:
    """The detection of a target by a sensor: a window over the sensor's sweep and range.

    Zero outside the frustum, the range gates and the line of sight, and where the ground is unknown. The frustum's
    eye_amsl must be set. still: the target stands still, which some sensors never see. Raises DetectionError for a
    model or a field of view that makes no sense.
    """
    check(frustum)
    centre, width = sweep(frustum)
    refraction = refraction_of(frustum)
    needed = minimum_visible_height(terrain, eye_of(frustum), frustum.range_max, centre, width, refraction=refraction)
    return reported(terrain, frustum, target, needed, environment, still=still)


def reported(
    terrain: Terrain,
    frustum: Frustum,
    target: Target,
    needed: Window,
    environment: Environment = CLEAR_DAY,
    *,
    still: bool = False,
) -> Rate:
    """`rate` with the pose taken as it is, where `needed` is the minimum visible height [m]."""
    eye = eye_of(frustum)
    seen = showing(terrain, frustum, eye, target, needed)
    clear = clear_share(terrain, frustum, target, eye, needed, seen.cells, seen.exposed)
    rates, ceilings = watched(frustum, target, seen.slant, seen.exposed, environment, clear, still=still)
    return noticed(frustum, needed, seen.cells, rates, ceilings)


def noticed(
    frustum: Frustum, needed: Window, cells: Indices, rates: Floats, ceilings: Floats, draws: Draws | None = None
) -> Rate:
    """The Rate of cells of the window of `needed`; those whose rate is 0 are left out."""
    some = rates > 0.0
    if not some.all():
        cells, rates, ceilings = cells[some], rates[some], ceilings[some]
        draws = None if draws is None else Draws(draws.shares[:, some], draws.weights)
    return Rate(needed.row, needed.col, cells, rates, ceilings, np.isnan(needed.values), frustum.duty, draws)


def eye_of(frustum: Frustum) -> tuple[float, float, float]:
    """East, north and height AMSL of the eye. Raises DetectionError where its height is not set."""
    if frustum.eye_amsl is None:
        raise DetectionError(f"{frustum.name}: eye_amsl is not set; expected the eye's height above sea level")
    return frustum.east, frustum.north, frustum.eye_amsl


@dataclass(frozen=True)
class Sight:
    """What of a target the terrain leaves in sight, over a window of the raster: each (north, east).

    exposed: height that sticks out [m], 0 where nothing does or the ground is unknown. east, north, up: from the eye to
    the middle of what sticks out [m]. clear: share of what the sensor receives from there that a canopy leaves, 0 to 1.
    """

    exposed: Floats
    east: Floats
    north: Floats
    up: Floats
    clear: Floats


def sight(terrain: Terrain, frustum: Frustum, target: Target, needed: Window) -> Sight:
    """What sticks out of a target, where `needed` is its minimum visible height [m]; `showing` is its quick form."""
    eye = eye_of(frustum)
    rows, cols = needed.slices
    columns, lines = terrain.centres
    hidden = np.maximum(needed.values, target.bottom_agl)
    with np.errstate(invalid="ignore"):
        exposed = np.where(np.isfinite(hidden), np.maximum(target.top_agl - hidden, 0.0), 0.0)
    east = np.broadcast_to(columns[cols] - eye[0], exposed.shape)
    north = np.broadcast_to(lines[rows, None] - eye[1], exposed.shape)
    # The middle of what sticks out stands for the target: its angle and its range.
    up = np.nan_to_num(terrain.ground_amsl[rows, cols]) + target.top_agl - exposed / 2.0 - eye[2]
    clear = np.ones(exposed.shape)
    cells = np.flatnonzero(exposed > 0.0)
    clear.ravel()[cells] = clear_share(terrain, frustum, target, eye, needed, cells, exposed.ravel()[cells])
    return Sight(exposed, east, north, up, clear)


def clear_share(
    terrain: Terrain,
    frustum: Frustum,
    target: Target,
    eye: tuple[float, float, float],
    at: Window,
    cells: Indices,
    exposed: npt.NDArray[Any],
) -> Floats | float:
    """Share of what the sensor at `eye` receives from the middle of what sticks out that a canopy leaves (cells,), at
    cells of the window `at`; 1 where there is no canopy.
    """
    if terrain.canopy_amsl is None or frustum.model.get("kind") == "acoustic":
        return 1.0
    heights = np.full(at.values.shape, np.nan)
    heights.ravel()[cells] = target.top_agl - exposed / 2.0
    return through_canopy(terrain, eye, Window(at.row, at.col, heights), refraction_of(frustum)).ravel()[cells]


def refraction_of(frustum: Frustum) -> float:
    """k of `earth.drop` for what the sensor receives: a radar's is the radio's, every other one's the optical."""
    return RADIO if frustum.model.get("kind") == "radar" else OPTICAL


def watched(
    frustum: Frustum,
    target: Target,
    slant: Floats,
    exposed: npt.NDArray[Any],
    environment: Environment = CLEAR_DAY,
    clear: Floats | float = 1.0,
    *,
    still: bool = False,
) -> tuple[Floats, Floats]:
    """Rate [1/s] and ceiling of a target inside the frustum's angles, by slant range and exposed height [m]; both 0
    where nothing is exposed. clear: share that canopies leave (`Sight`). Raises DetectionError.
    """
    model = _model_of(frustum)
    per_radian = resolution(frustum.model, frustum.shape, frustum.hfov)
    share, ceiling = model(frustum.model, per_radian, slant, exposed, target, environment, still)
    share, ceiling = share * clear, ceiling * clear
    share = np.where(exposed > 0.0, np.minimum(share, _SUREST), 0.0)
    per_second = -np.log1p(-share) / frustum.model["glimpse_s"]
    return per_second, np.where(share > 0.0, np.minimum(ceiling, 1.0), 0.0)


def check(frustum: Frustum) -> None:
    """Raises DetectionError for a model or a field of view that makes no sense."""
    _model_of(frustum)


def _model_of(frustum: Frustum) -> Model:
    reason = fault(frustum.model)
    if reason is None and not (frustum.hfov > 0.0 and frustum.vfov > 0.0):
        reason = "a field of view of 0 degrees sees nothing; expected more"
    if reason is None and frustum.shape == "pyramid" and max(frustum.hfov, frustum.vfov) >= math.pi:
        reason = "a pyramid of 180 degrees or more; expected less, or a sector"
    if reason is not None:
        raise DetectionError(f"{frustum.name}: {reason}")
    return MODELS[str(frustum.model["kind"])]
