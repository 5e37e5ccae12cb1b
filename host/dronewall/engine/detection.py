"""How likely a sensor is to notice a target it has in view: rate [1/s] and ceiling, cell by cell.

p is detection in one independent glimpse of the target's exposed height; transmittance multiplies p; the rate is
-ln(1 - p) / glimpse interval. The ceiling is what more looking cannot exceed. A canopy dims both for every sensor but
the acoustic: leaves take under 0.1 dB/m from sound (ISO 9613-2, table A.1), while a radar's waves of a centimetre find
through them by the same openings as light does, so it is dimmed like light (assumed).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.earth import OPTICAL, RADIO
from dronewall.engine.frustum import Frustum, in_view, sweep
from dronewall.engine.models import MODELS, Environment, Model, Target, fault
from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import Window, minimum_visible_height, through_canopy

__all__ = ["DetectionError", "Environment", "Rate", "Target", "rate"]

Floats = npt.NDArray[np.float64]

_CLEAR_DAY = Environment()
_SUREST = 1.0 - 1e-6
"""No single glimpse is surer than this."""


class DetectionError(ValueError):
    """A detection model's parameters do not make a model."""


@dataclass(frozen=True)
class Draws:
    """Whether cells are in view, under a few weighted draws of a sensor's heading error.

    shares (draws, north, east) uint8: probability of being in view under each draw [1/255], over the errors that are
    left. weights (draws,): the draws' probabilities; they add up to 1.
    """

    shares: npt.NDArray[np.uint8]
    weights: Floats

    @property
    def likely(self) -> Floats:
        """Probability of being in view (north, east)."""
        return self.likely_at((slice(None), slice(None)))

    def likely_at(self, cells: Any) -> Floats:
        """The same, at rows and columns of the window."""
        first, *others = (
            share[cells] * (weight / 255.0) for share, weight in zip(self.shares, self.weights, strict=True)
        )
        return np.asarray(sum(others, first))


@dataclass(frozen=True)
class Rate:
    """One sensor's detection of one target over a window of the raster whose first cell is (row, col).

    rate [1/s] and ceiling [0..1] while the sensor is awake: float64 (north, east). unknown: bool, where the terrain
    does not say whether the target is in sight. duty: share of the time that the sensor is awake. draws: where the
    rate is a mean over pose errors, what it is the mean of; None where the pose is taken as it is.
    """

    row: int
    col: int
    rate: Floats
    ceiling: Floats
    unknown: npt.NDArray[np.bool_]
    duty: float = 1.0
    draws: Draws | None = None

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the raster that the window covers."""
        rows, cols = self.rate.shape
        return slice(self.row, self.row + rows), slice(self.col, self.col + cols)


def rate(
    terrain: Terrain,
    frustum: Frustum,
    target: Target,
    environment: Environment = _CLEAR_DAY,
    refraction: float | None = None,
    *,
    still: bool = False,
) -> Rate:
    """The detection of a target by a sensor: a window over the sensor's sweep and range.

    Zero outside the frustum, the range gates and the line of sight, and where the ground is unknown. The frustum's
    eye_amsl must be set. refraction: k of `earth.drop`; left out, the radio's for a radar, else the optical. still: the
    target stands still, which some sensors never see. Raises DetectionError for a model or a field of view that makes
    no sense.
    """
    if refraction is None:
        refraction = refraction_of(frustum)
    check(frustum)
    centre, width = sweep(frustum)
    eye = eye_of(frustum)
    needed = minimum_visible_height(terrain, eye, frustum.range_max, centre, width, refraction=refraction)
    seen = sight(terrain, frustum, target, needed)
    inside = in_view(frustum, seen.east, seen.north, seen.up)
    slant = np.sqrt(seen.east**2 + seen.north**2 + seen.up**2)
    per_second, ceiling = watched(
        frustum, target, slant, np.where(inside, seen.exposed, 0.0), environment, seen.clear, still=still
    )
    return Rate(needed.row, needed.col, per_second, ceiling, np.isnan(needed.values), frustum.duty)


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


def sight(terrain: Terrain, frustum: Frustum, target: Target, needed: Window, *, through: bool = True) -> Sight:
    """What sticks out of a target, where `needed` is its minimum visible height [m]. through: whether canopies dim."""
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
    open_air = np.broadcast_to(np.float64(1.0), exposed.shape)
    clear = clear_share(terrain, frustum, target, eye, needed, exposed) if through else open_air
    return Sight(exposed, east, north, up, clear)


def clear_share(
    terrain: Terrain, frustum: Frustum, target: Target, eye: tuple[float, float, float], at: Window, exposed: Floats
) -> Floats:
    """Share of what the sensor at `eye` receives from the middle of what sticks out that a canopy leaves, over the
    window `at`; 1 where nothing sticks out.
    """
    if terrain.canopy_amsl is None or frustum.model.get("kind") == "acoustic":
        return np.broadcast_to(np.float64(1.0), exposed.shape)
    heights = np.where(exposed > 0.0, target.top_agl - exposed / 2.0, np.nan)
    clear = through_canopy(terrain, eye, Window(at.row, at.col, heights), refraction_of(frustum))
    return np.where(exposed > 0.0, clear, 1.0)


def refraction_of(frustum: Frustum) -> float:
    """k of `earth.drop` for what the sensor receives: a radar's is the radio's, every other one's the optical."""
    return RADIO if frustum.model.get("kind") == "radar" else OPTICAL


def watched(
    frustum: Frustum,
    target: Target,
    slant: Floats,
    exposed: Floats,
    environment: Environment = _CLEAR_DAY,
    clear: Floats | float = 1.0,
    *,
    still: bool = False,
) -> tuple[Floats, Floats]:
    """Rate [1/s] and ceiling of a target inside the frustum's angles, by slant range and exposed height [m]; both 0
    where nothing is exposed. clear: share that canopies leave (`Sight`). Raises DetectionError.
    """
    share, ceiling = _model_of(frustum)(frustum.model, frustum.hfov, slant, exposed, target, environment, still)
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
