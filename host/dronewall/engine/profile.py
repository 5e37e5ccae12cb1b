"""Why a point is or is not in the line of sight: the section of the terrain between two points.

The same definition as in `viewshed`, for one line and with all that it met on its way: the straight line against the
terrain, taken as linear along each grid line and raised by d (D - d)(1 - k) / 2R, at every crossing.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dronewall.engine.earth import OPTICAL, drop
from dronewall.engine.terrain import Terrain

Floats = npt.NDArray[np.float64]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Profile:
    """The terrain under a line of sight: one value per crossing with a grid line, from the eye to the target.

    eye, target: east, north [site m], height AMSL [m]. length: horizontal distance between them [m].
    distance: horizontal, from the eye [m], rising. ground_amsl: the terrain [m], the surface on it included, nan where
    unknown. raised_amsl: the terrain as the straight line meets it, raised by the earth's curvature less refraction.
    line_amsl: the line of sight. clearance: line less raised terrain [m]. canopy: the canopy's top above the ground
    [m], 0 where there is none, nan where no canopy is known. eye_ground_amsl, target_ground_amsl: the ground at the two
    ends, nan where unknown. surface: how far the surface stands above the ground [m]; where it does so at the target
    itself, that is the last crossing. transmittance: share of the light that the canopy leaves to what is in sight.
    """

    eye: Point
    target: Point
    length: float
    distance: Floats
    ground_amsl: Floats
    raised_amsl: Floats
    line_amsl: Floats
    clearance: Floats
    canopy: Floats
    eye_ground_amsl: float
    target_ground_amsl: float
    surface: Floats
    transmittance: float

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Where the terrain has no height."""
        return np.isnan(self.ground_amsl)

    @property
    def known(self) -> bool:
        """Whether the terrain is known all the way, the ground under the target included."""
        return not (self.unknown.any() or math.isnan(self.target_ground_amsl))

    @property
    def first_unknown(self) -> float:
        """Distance [m] of the first crossing without a height, the target's own for its ground; nan where all is
        known.
        """
        found = np.flatnonzero(self.unknown)
        if found.size:
            return float(self.distance[found[0]])
        return self.length if math.isnan(self.target_ground_amsl) else math.nan

    @cached_property
    def tightest(self) -> int | None:
        """Index of the crossing with the least clearance, the blocking point where it is below 0; None where the
        line crosses nothing known.
        """
        if np.isnan(self.clearance).all():
            return None
        return int(np.nanargmin(self.clearance))

    @property
    def least_clearance(self) -> float:
        """Clearance [m] at the tightest crossing; inf where the line crosses nothing known."""
        return math.inf if self.tightest is None else float(self.clearance[self.tightest])

    @property
    def excess(self) -> float:
        """By how much the blocking point is too high [m]; 0 where none blocks."""
        return max(-self.least_clearance, 0.0)

    @property
    def visible(self) -> bool:
        """Whether the target is in sight; never across unknown ground."""
        return self.known and self.least_clearance >= 0.0

    @property
    def least_target_agl(self) -> float:
        """The height above its ground from which on something at the target's place is seen [m]; nan where unknown.

        A line from the eye over each crossing, prolonged to the target: eye + (raised - eye) D / d.
        """
        if not self.known:
            return math.nan
        over = self._over
        return max(float(over.max(initial=-math.inf)) - self.target_ground_amsl, 0.0)

    @property
    def horizon(self) -> int | None:
        """Index of the crossing that `least_target_agl` is due to, the edge of its shadow; None where nothing crosses
        or something is unknown.
        """
        return int(self._over.argmax()) if self.known and self._over.size else None

    @cached_property
    def _over(self) -> Floats:
        """Heights AMSL at the target's place of the lines from the eye over each crossing."""
        share = self.distance / self.length if self.length > 0.0 else self.distance
        return np.asarray(self.eye[2] + (self.raised_amsl - self.eye[2]) / share)

    @property
    def least_eye_amsl(self) -> float:
        """The height from which on an eye above the same spot sees the target [m AMSL], its ground at the lowest; nan
        where unknown.

        A line from the target over each crossing, prolonged to the eye: (raised - target d / D) D / (D - d).
        """
        if not self.known:
            return math.nan
        share = self.distance / self.length if self.length > 0.0 else self.distance
        with np.errstate(divide="ignore"):
            # No eye sees what is below the surface at its own place: inf.
            over = (self.raised_amsl - share * self.target[2]) / (1.0 - share)
        lowest = self.eye_ground_amsl if math.isfinite(self.eye_ground_amsl) else -math.inf
        return max(float(over.max(initial=-math.inf)), lowest)

    @property
    def least_eye_agl(self) -> float:
        """`least_eye_amsl` above the ground under the eye [m]: the mast that it takes. nan where either is unknown."""
        return self.least_eye_amsl - self.eye_ground_amsl


def why(terrain: Terrain, eye: Point, target: Point, *, refraction: float = OPTICAL) -> Profile:
    """The section between two points, each east, north [site m] and height AMSL [m].

    Both points are given alike because they are: seen from the other end the same points block. refraction: k of
    `earth.drop`; 1.0 switches the drop off. Ground outside the terrain is unknown. Raises ValueError where an argument
    is not finite.

        profile = why(terrain, eye, (east, north, float(terrain.ground(east, north)) + 1.7))
        profile.visible, profile.excess, profile.least_eye_agl
    """
    for name, value in (("eye", sum(eye)), ("target", sum(target)), ("refraction", refraction)):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}; expected finite numbers")
    (x0, y0), (x1, y1) = (_in_cells(terrain, point) for point in (eye, target))
    columns, rows = _between(x0, x1), _between(y0, y1)
    shares = np.concatenate((columns, rows))
    # Where the line goes through the middle of a cell both families cross it at once: one crossing, not two.
    shares = np.sort(shares)
    shares = shares[np.diff(shares, prepend=-1.0) > 1e-12]
    length = math.hypot(target[0] - eye[0], target[1] - eye[1])
    if terrain.surface_amsl is not None and length > 0.0:
        own = float(terrain.between(terrain.surface_amsl, target[0], target[1]))
        if own > terrain.ground(target[0], target[1]):
            shares = np.append(shares, 1.0)
    x, y = x0 + shares * (x1 - x0), y0 + shares * (y1 - y0)
    bare = _heights(terrain, terrain.ground_amsl, x, y)
    ground = bare if terrain.surface_amsl is None else _heights(terrain, terrain.surface_amsl, x, y)
    canopy = np.full(shares.shape, math.nan)
    if terrain.canopy_amsl is not None:
        canopy = _heights(terrain, terrain.canopy_amsl, x, y) - bare
    raised = ground + shares * (1.0 - shares) * drop(length, refraction)
    line = eye[2] + shares * (target[2] - eye[2])
    ends = [float(terrain.ground(point[0], point[1])) for point in (eye, target)]
    return Profile(
        eye=(float(eye[0]), float(eye[1]), float(eye[2])),
        target=(float(target[0]), float(target[1]), float(target[2])),
        length=length,
        distance=shares * length,
        ground_amsl=ground,
        raised_amsl=raised,
        line_amsl=line,
        clearance=line - raised,
        canopy=canopy,
        eye_ground_amsl=ends[0],
        target_ground_amsl=ends[1],
        surface=ground - bare,
        transmittance=_transmittance(terrain, eye, target, shares, line - raised + ground - bare, canopy),
    )


def _transmittance(terrain: Terrain, eye: Point, target: Point, shares: Floats, above: Floats, canopy: Floats) -> float:
    """As in `canopy`: exp(-path / extinction). above: of the line over the ground at each crossing."""
    if terrain.canopy_amsl is None:
        return 1.0
    ends = [float(terrain.ground(point[0], point[1])) for point in (eye, target)]
    tops = [float(terrain.between(terrain.canopy_amsl, point[0], point[1])) for point in (eye, target)]
    share = np.concatenate(([0.0], shares, [1.0]))
    tall = np.concatenate(([tops[0] - ends[0]], canopy, [tops[1] - ends[1]]))
    over = np.concatenate(([eye[2] - ends[0]], above, [target[2] - ends[1]])) - tall
    return float(np.exp(-share_under(share, over, tall) * math.dist(eye, target) / terrain.canopy_extinction))


def share_under(share: Floats, over: Floats, tall: Floats) -> float:
    """The share of a way that is inside a canopy. share: of the way at each point, rising from 0 to 1; over: of the way
    over the canopy's top [m], straight between the points; tall: of the canopy [m], 0 where there is none.
    """
    low, high = np.minimum(over[:-1], over[1:]), np.maximum(over[:-1], over[1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        under = np.where(high <= 0.0, low < 0.0, np.where(low < 0.0, low / (low - high), 0.0))
    inside = np.where((tall[:-1] > 0.0) | (tall[1:] > 0.0), under, 0.0) * np.diff(share)
    return float(inside.sum())


def _in_cells(terrain: Terrain, point: Point) -> tuple[float, float]:
    """Column and row of a point, whole in the cells' middles; one level with them to 1e-9 of a cell stands on them."""
    x = (point[0] - terrain.west) / terrain.cell - 0.5
    y = (point[1] - terrain.south) / terrain.cell - 0.5
    return _snapped(x), _snapped(y)


def _snapped(place: float) -> float:
    return float(round(place)) if abs(place - round(place)) < 1e-9 else place


def _between(start: float, end: float) -> Floats:
    """Shares of the way at which it crosses whole numbers strictly between its ends."""
    if start == end:
        return np.empty(0)
    low, high = min(start, end), max(start, end)
    return (np.arange(math.floor(low) + 1, math.ceil(high), dtype=np.float64) - start) / (end - start)


def _heights(terrain: Terrain, layer: Floats, x: Floats, y: Floats) -> Floats:
    """A layer's heights on grid lines, x or y whole to a rounding error: linear along them, nan outside and unknown."""
    rows, cols = terrain.shape
    x = np.where(np.abs(x - np.rint(x)) < 1e-9, np.rint(x), x)
    y = np.where(np.abs(y - np.rint(y)) < 1e-9, np.rint(y), y)
    # Over the outer half cells the terrain goes on level.
    x = np.where((x >= -0.5) & (x <= cols - 0.5), np.clip(x, 0.0, cols - 1.0), x)
    y = np.where((y >= -0.5) & (y <= rows - 0.5), np.clip(y, 0.0, rows - 1.0), y)
    col, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    total = np.zeros(x.shape)
    for step_row, step_col in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1.0 - step_row - (y - row)) * np.abs(1.0 - step_col - (x - col))
        here_row, here_col = row + step_row, col + step_col
        inside = (here_row >= 0) & (here_row < rows) & (here_col >= 0) & (here_col < cols)
        height = layer[np.where(inside, here_row, 0), np.where(inside, here_col, 0)]
        total += np.where(weight > 0.0, np.where(inside, weight * height, np.nan), 0.0)
    return total
