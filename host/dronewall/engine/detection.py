"""How likely a sensor is to notice a target it has in view: rate [1/s] and ceiling, cell by cell.

p is detection in one independent glimpse of the target's exposed height; transmittance multiplies p; the rate is
-ln(1 - p) / glimpse interval. The ceiling is what more looking cannot exceed.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.earth import OPTICAL
from dronewall.engine.frustum import Frustum, in_view, sweep
from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import minimum_visible_height

Floats = npt.NDArray[np.float64]

_SUREST = 1.0 - 1e-6
"""No single glimpse is surer than this."""


class DetectionError(ValueError):
    """A detection model's parameters do not make a model."""


@dataclass(frozen=True)
class Target:
    """What is to be detected: bottom and top above the ground, width [m] and speed [m/s]."""

    name: str
    bottom_agl: float
    top_agl: float
    width: float
    speed: float


@dataclass(frozen=True)
class Rate:
    """One sensor's detection of one target over a window of the raster whose first cell is (row, col).

    rate [1/s] and ceiling [0..1] while the sensor is awake: float64 (north, east). unknown: bool, where the terrain
    does not say whether the target is in sight. duty: share of the time that the sensor is awake.
    """

    row: int
    col: int
    rate: Floats
    ceiling: Floats
    unknown: npt.NDArray[np.bool_]
    duty: float = 1.0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the raster that the window covers."""
        rows, cols = self.rate.shape
        return slice(self.row, self.row + rows), slice(self.col, self.col + cols)


def resolved(cycles: npt.ArrayLike, n50: float) -> Floats:
    """Share of observers who detect a target that spans `cycles` resolvable cycles, given all the time they want.

    Target transfer probability function with Johnson's criterion: (N/N50)^E / (1 + (N/N50)^E), E = 2.7 + 0.7 N/N50
    (Johnson 1958; exponent: NVESD, Night Vision thermal imaging systems performance model, 2001). .5 at N50.
    """
    # Past 10 times N50 the share is 1 to the last digit, and the power would overflow.
    ratio = np.clip(np.asarray(cycles, dtype=np.float64) / n50, 0.0, 10.0)
    power = ratio ** (2.7 + 0.7 * ratio)
    return np.asarray(power / (1.0 + power))


def haze(distance: npt.ArrayLike, visibility: float) -> Floats:
    """Contrast that is left after `distance` metres of air: exp(-3.912 R / V), V the meteorological visibility [m]
    (Koschmieder, 2 % contrast).
    """
    return np.asarray(np.exp(-3.912 * np.asarray(distance, dtype=np.float64) / visibility))


def _camera(
    model: Mapping[str, Any], frustum: Frustum, slant: Floats, exposed: Floats, target: Target, visibility: float
) -> tuple[Floats, Floats]:
    """Glimpse probability and ceiling of a camera: Johnson cycles on the target, N = sqrt(h w) (pixels / hfov) /
    2R, through haze.
    """
    cycles = np.sqrt(exposed * target.width) * (model["pixels"] / frustum.hfov) / (2.0 * np.maximum(slant, 1e-3))
    share = resolved(cycles, model["n50"]) * haze(slant, visibility)
    return share, share


def _table(
    model: Mapping[str, Any], frustum: Frustum, slant: Floats, exposed: Floats, target: Target, visibility: float
) -> tuple[Floats, Floats]:
    """Glimpse probability by linear interpolation in a measured table of range; nothing beyond its last range, its
    first value below its first.

    What is half hidden is taken as half as likely to be noticed in a glimpse; looking on does help, so the ceiling
    is 1.
    """
    share = np.interp(slant, model["range_m"], model["probability"], right=0.0)
    share = share * exposed / (target.top_agl - target.bottom_agl)
    return share, (share > 0.0).astype(np.float64)


_Model = Callable[[Mapping[str, Any], Frustum, Floats, Floats, Target, float], tuple[Floats, Floats]]
_MODELS: dict[str, _Model] = {"camera": _camera, "table": _table}


def rate(
    terrain: Terrain, frustum: Frustum, target: Target, visibility: float = math.inf, refraction: float = OPTICAL
) -> Rate:
    """The detection of a target by a sensor: a window over the sensor's sweep and range.

    Zero outside the frustum, the range gates and the line of sight, and where the ground is unknown. The frustum's
    eye_amsl must be set. visibility: meteorological [m]. Raises DetectionError for a model or a field of view that
    makes no sense.
    """
    if frustum.eye_amsl is None:
        raise DetectionError(f"{frustum.name}: eye_amsl is not set; expected the eye's height above sea level")
    model = _model_of(frustum)
    centre, width = sweep(frustum)
    eye = (frustum.east, frustum.north, frustum.eye_amsl)
    window = minimum_visible_height(terrain, eye, frustum.range_max, centre, width, refraction=refraction)
    rows, cols = window.slices
    columns, lines = terrain.centres
    hidden = np.maximum(window.values, target.bottom_agl)
    with np.errstate(invalid="ignore"):
        exposed = np.where(np.isfinite(hidden), np.maximum(target.top_agl - hidden, 0.0), 0.0)
    east = np.broadcast_to(columns[cols] - eye[0], exposed.shape)
    north = np.broadcast_to(lines[rows, None] - eye[1], exposed.shape)
    ground = np.nan_to_num(terrain.ground_amsl[rows, cols])
    # The middle of what sticks out stands for the target: its angle and its range.
    up = ground + target.top_agl - exposed / 2.0 - eye[2]
    inside = in_view(frustum, east, north, up)
    slant = np.sqrt(east * east + north * north + up * up)
    share, ceiling = model(frustum.model, frustum, slant, exposed, target, visibility)
    share = np.where(inside, np.minimum(share, _SUREST), 0.0)
    per_second = -np.log1p(-share) / frustum.model["glimpse_s"]
    ceiling = np.where(share > 0.0, np.minimum(ceiling, 1.0), 0.0)
    return Rate(window.row, window.col, per_second, ceiling, np.isnan(window.values), frustum.duty)


def _model_of(frustum: Frustum) -> _Model:
    parameters = frustum.model
    kind = parameters.get("kind", "")
    if kind not in _MODELS:
        raise DetectionError(f"{frustum.name}: model kind {kind!r}; expected one of {', '.join(_MODELS)}")
    if not parameters["glimpse_s"] > 0.0:
        raise DetectionError(f"{frustum.name}: glimpse_s is {parameters['glimpse_s']}; expected seconds above 0")
    if not (frustum.hfov > 0.0 and frustum.vfov > 0.0):
        raise DetectionError(f"{frustum.name}: a field of view of 0 degrees sees nothing; expected more")
    if frustum.shape == "pyramid" and max(frustum.hfov, frustum.vfov) >= math.pi:
        raise DetectionError(f"{frustum.name}: a pyramid of 180 degrees or more; expected less, or a sector")
    if kind == "camera" and not parameters["n50"] > 0.0:
        raise DetectionError(f"{frustum.name}: n50 is {parameters['n50']}; expected cycles above 0")
    if kind == "table":
        ranges, shares = parameters["range_m"], parameters["probability"]
        if not ranges or len(ranges) != len(shares) or any(b <= a for a, b in itertools.pairwise(ranges)):
            raise DetectionError(
                f"{frustum.name}: {len(ranges)} ranges for {len(shares)} probabilities; "
                "expected as many, in rising order"
            )
    return _MODELS[kind]
