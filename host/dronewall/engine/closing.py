"""What would close a gap: the sensors that miss it by least, and the ground it lies on.

A gap is judged where its weakest station lies on the frontage: there a line gap is watched least, and there whoever
crosses in a lane or breach gap must pass.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dronewall.engine.detection import DetectionError
from dronewall.engine.frontage import Frontage
from dronewall.engine.gaps import Gap
from dronewall.engine.reason import Reason, ReasonError, TargetReason, reason_of, with_masts
from dronewall.engine.sensors import SensorState
from dronewall.engine.terrain import Terrain
from dronewall.engine.wall import Coverage

Floats = npt.NDArray[np.float64]

Miss = Literal["angle", "range", "hidden", "faint", "far", "seen", "unknown"]
_ORDER: tuple[Miss, ...] = ("angle", "range", "hidden", "faint", "far", "seen", "unknown")

_BUILT = 1.0
"""Metres by which the surface stands above the ground where something stands on it."""
_SAMPLES = 200
"""Stations at which a long gap's ground is looked at, and places on each lane."""

Known = dict[tuple[str, str, int, int], Reason | None]
"""What is known of a sensor, a target and a cell (row, column); None where nothing can be said."""


@dataclass(frozen=True)
class Closer:
    """A sensor that misses a gap, and by how much.

    miss: `angle`: it only has to be turned to notice the target with the line's threshold; `range`: the place is beyond
    its range, and nothing is in the way; `hidden`: the terrain is in the way; `faint`: in sight, but noticed with less;
    `far`: beyond its range and hidden; `seen`: pointing as it reports it notices the target, but the errors of its
    pose, its sleep or the walker's speed leave too little of it, or too few other nodes see it (`k`); `unknown`: the
    terrain does not say. reason: of the gap's target alone. aside: least turn that brings the place into view [rad], 0
    where it is. short: metres beyond range. rise: metres that the eye would have to be higher to see the target's top.
    look: probability in a look, as it stands, or turned where that helps. level_look: in a look at the gap's level,
    errors and sleep counted.
    """

    miss: Miss
    reason: Reason
    aside: float
    short: float
    rise: float
    look: float
    level_look: float

    @property
    def sensor(self) -> str:
        """The sensor's name."""
        return self.reason.sensor.name

    @property
    def target(self) -> TargetReason:
        """What it makes of the gap's target."""
        return self.reason.targets[0]


@dataclass(frozen=True)
class Lie:
    """The ground that a gap lies on: under the frontage for a line gap, else under its lanes.

    lowest, highest [m AMSL]; along, across: mean slope along the frontage and across it [rad]; nan where no ground is
    known. wooded, built, impassable, unknown: shares under a canopy, under a surface, where nobody on foot can go, of
    no known height. slowness: how much longer it takes on foot than open ground, on average where somebody can go; nan
    where nobody can.
    """

    lowest: float
    highest: float
    along: float
    across: float
    wooded: float
    built: float
    impassable: float
    unknown: float
    slowness: float


def closers(coverage: Coverage, gap: Gap, most: int = 3, known: Known | None = None) -> tuple[Closer, ...]:
    """The sensors that are nearest to closing a gap, at most `most`, the nearest first.

    First those that have to be turned, by the least angle; then those out of range, by the fewest metres; then those
    behind the terrain, by the least rise; then the others. A sensor counts where the place is out of its range by no
    more than half of it, or the gap's length where that is more, up to twice its range away. known: what several gaps
    share; it grows.
    """
    known = {} if known is None else known
    frontage, terrain = coverage.frontage, coverage.terrain
    east, north = (float(part) for part in frontage.at(_weakest(gap)))
    row, col = (int(index) for index in terrain.cells(east, north))
    entry = next((one for one in coverage.at_level(gap.level) if one.target.name == gap.target), None)
    if row < 0 or entry is None:
        return ()
    found = []
    for sensor in coverage.sensors:
        frustum = sensor.frustum
        if frustum is None or frustum.eye_amsl is None:
            continue
        reach = frustum.range_max + min(max(gap.length, frustum.range_max / 2.0), frustum.range_max)
        if math.hypot(frustum.east - east, frustum.north - north) > reach:
            continue
        key = (sensor.name, gap.target, row, col)
        if key not in known:
            known[key] = _reason(coverage, sensor, (east, north), gap.target)
        reason = known[key]
        if reason is not None:
            field, look_s = entry.field, coverage.scenario.thresholds.look_s
            there = field is not None and sensor.name in field
            look = field[sensor.name].watch(row, col, look_s)[2] if field is not None and there else math.nan
            found.append(_closer(reason, 0.0 if field is not None and not there else look))
    found.sort(key=_rank)
    nearest = []
    for one in found[:most]:
        key = (one.sensor, gap.target, row, col)
        reason = known[key]
        if reason is not None and one.miss in ("hidden", "faint") and math.isnan(one.target.mast_noticed):
            reason = known[key] = with_masts(reason)
            one = _closer(reason, one.level_look)
        nearest.append(one)
    return tuple(nearest)


def _weakest(gap: Gap) -> float:
    """Chainage of the gap's weakest station, its middle where none is named."""
    return gap.weakest if math.isfinite(gap.weakest) else (gap.start + gap.end) / 2.0


def _reason(coverage: Coverage, sensor: SensorState, place: tuple[float, float], target: str) -> Reason | None:
    try:
        return reason_of(coverage.ground, sensor, place, target, brief=True)
    except (ReasonError, DetectionError):
        return None


def _closer(reason: Reason, level_look: float) -> Closer:
    one, frustum = reason.targets[0], reason.frustum
    enough = reason.ground.scenario.thresholds.line_p
    tilt = 0.0
    if math.isfinite(one.above):
        tilt = abs(one.above)
    elif one.turned is not None and one.turned.elevation != frustum.elevation:
        tilt = max(abs(one.turned.elevation - frustum.elevation) - frustum.vfov / 2.0, 0.0)
    look = one.look if one.turned is None else one.turned.look
    hidden = one.profile.known and not one.exposed > 0.0
    miss: Miss
    if one.verdict == "unknown" or not one.profile.known:
        miss = "unknown"
    elif one.beyond:
        miss = "far" if hidden else "range"
    elif hidden:
        miss = "hidden"
    elif look < enough:
        miss = "faint"
    else:
        miss = "angle" if one.verdict == "outside" else "seen"
    eye = frustum.eye_agl if frustum.eye_agl is not None else math.nan
    return Closer(
        miss=miss,
        reason=reason,
        aside=math.hypot(one.aside, tilt),
        short=abs(one.beyond),
        rise=max(one.mast_top - eye, 0.0) if hidden else 0.0,
        look=look,
        level_look=level_look,
    )


def _rank(closer: Closer) -> tuple[int, float, float, str]:
    """What sorts closers, the nearest first."""
    by = {
        "angle": closer.aside,
        "range": closer.short,
        "hidden": closer.rise if math.isfinite(closer.rise) else math.inf,
        "faint": -closer.look,
        "far": closer.short,
        "seen": -closer.look,
        "unknown": closer.reason.distance,
    }[closer.miss]
    return _ORDER.index(closer.miss), by, closer.aside, closer.sensor


def lie(terrain: Terrain, frontage: Frontage, gap: Gap) -> Lie:
    """The ground that a gap lies on, looked at once a cell along it and across, less often where it is long."""
    cell = terrain.cell
    count = min(max(1, round(gap.length / cell)), _SAMPLES)
    chainage = gap.start + (np.arange(count) + 0.5) * gap.length / count
    lanes = frontage.lanes(chainage)
    down = lanes[:, 1] - lanes[:, 0]
    down = (down / np.hypot(*down.T)[:, None])[:, None]
    if gap.kind == "line":
        points = np.stack(frontage.at(chainage), axis=-1)[:, None]
    else:
        deep = min(max(2, round(frontage.depth / cell)), _SAMPLES)
        share = ((np.arange(deep) + 0.5) / deep)[None, :, None]
        points = lanes[:, None, 0] * (1.0 - share) + lanes[:, None, 1] * share
    right = np.stack((-down[..., 1], down[..., 0]), axis=-1)
    heights = terrain.ground(points[..., 0], points[..., 1])

    def slope(step: Floats) -> float:
        """Mean slope, from half a cell before each point to half a cell behind it."""
        ends = [terrain.ground(*np.moveaxis(points + side * cell * step, -1, 0)) for side in (0.5, -0.5)]
        return _mean(np.arctan(np.abs(ends[0] - ends[1]) / cell))

    rows, cols = terrain.cells(points[..., 0], points[..., 1])
    on = rows >= 0
    cells = rows[on], cols[on]
    ground = terrain.ground_amsl[cells]

    def above(layer: Floats | None, least: float) -> float:
        return 0.0 if layer is None or not on.any() else float((layer[cells] - ground > least).mean())

    slowness = np.ones(ground.shape) if terrain.slowness is None else terrain.slowness[cells]
    known = heights[np.isfinite(heights)]
    return Lie(
        lowest=float(known.min()) if known.size else math.nan,
        highest=float(known.max()) if known.size else math.nan,
        along=slope(right),
        across=slope(down),
        wooded=above(terrain.canopy_amsl, 0.0),
        built=above(terrain.surface_amsl, _BUILT),
        impassable=float(np.isinf(slowness).mean()) if slowness.size else 0.0,
        unknown=float(1.0 - np.isfinite(ground).sum() / on.size),
        slowness=_mean(np.where(np.isinf(slowness), np.nan, slowness)),
    )


def _mean(values: Floats) -> float:
    """The mean of what is finite; nan where nothing is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else math.nan


def told(coverage: Coverage, most: int = 3) -> dict[str, tuple[tuple[Closer, ...], Lie]]:
    """The closers of every gap and the ground it lies on, by the gap's id. What several gaps share is computed once."""
    known: Known = {}
    return {
        gap.id: (closers(coverage, gap, most, known), lie(coverage.terrain, coverage.frontage, gap))
        for target in coverage.targets
        for gap in target.gaps
    }
