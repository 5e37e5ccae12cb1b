"""Why a sensor does or does not see a place: its field of view, the terrain and its detection model taken apart.

Whatever a report says of it in words comes from here.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dronewall.engine.detection import Target, check, eye_of, refraction_of, sight, watched
from dronewall.engine.field import glance
from dronewall.engine.frustum import Frustum, elevations, in_view, sweep
from dronewall.engine.ground import Ground
from dronewall.engine.profile import Profile, why
from dronewall.engine.sensors import SensorState, assures
from dronewall.engine.stored import stored
from dronewall.engine.viewshed import Window
from dronewall.engine.wall import environment_of, rates_of, target_of

Verdict = Literal["seen", "faint", "hidden", "outside", "unknown"]

HIGHEST_MAST = 60.0
"""A taller one [m] is no advice."""
_MAST_STEP = 0.1


class ReasonError(ValueError):
    """There is nothing to say about that sensor or that place."""


@dataclass(frozen=True)
class Turned:
    """Where the sensor would have to look to have the target in its field of view, and what it would make of it there.

    azimuth from grid north, elevation [rad]; look: probability in a look.
    """

    azimuth: float
    elevation: float
    look: float


@dataclass(frozen=True)
class TargetReason:
    """What one sensor makes of one target at one place.

    verdict: `outside` its angles or ranges; else `unknown` ground; else `hidden` by the terrain; else `faint`,
    where a look detects it with less than the line's threshold; else `seen`. profile: to the target's top, what is
    seen of it first. least_agl: what sticks out higher than this is in sight [m]; exposed: metres of the target
    that do, nan where unknown. clear: share of what the sensor receives from the middle of that which a canopy
    leaves. slant: range of that middle, its elevation [rad] from the sensor. mast_top, mast_all: heights of the eye
    above the ground below from which the target's top, and all of it, are in the line of sight [m]. aside: how far
    the place is outside the field of view's azimuths [rad], negative to the left. above: how far it is above the
    field of view at its azimuth [rad], negative below. beyond: how much too far it is [m], negative too near. All
    three are 0 inside; above is nan where the azimuth is outside. turned: None where it would not help. glimpse,
    rate [1/s], ceiling, look: of the detection model, while awake but for look, which counts the sleep; look_still:
    the look where the target stands still. look_expected, look_assured: the look at the two levels (`levels`), where
    everything else here takes the reported pose as it is. mast_noticed: the least height of the eye above the ground
    [m], up to `HIGHEST_MAST`, from which a look detects a hidden or faint target with the line's threshold, the sensor
    pointing as it does; nan where there is none.
    """

    target: Target
    verdict: Verdict
    profile: Profile
    least_agl: float
    exposed: float
    clear: float
    slant: float
    elevation: float
    mast_top: float
    mast_all: float
    aside: float
    above: float
    beyond: float
    turned: Turned | None
    glimpse: float
    rate: float
    ceiling: float
    look: float
    look_still: float
    look_expected: float
    look_assured: float
    mast_noticed: float


@dataclass(frozen=True)
class Reason:
    """What one sensor makes of a place, target by target.

    asked: the place that was asked for, place: the middle of the terrain's cell that holds it, for which, as in a
    Coverage, everything is computed; east, north [site m]. azimuth: of the place from the sensor, from grid north
    [rad]; distance: horizontal [m].
    """

    ground: Ground
    sensor: SensorState
    frustum: Frustum
    asked: tuple[float, float]
    place: tuple[float, float]
    azimuth: float
    distance: float
    targets: tuple[TargetReason, ...]


def place_of(ground: Ground, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """A place in site metres. Raises ReasonError where it is outside the terrain, and says what was probably meant."""
    west, east, south, north = ground.terrain.extent

    def metres_outside(latitude: float, longitude: float) -> float:
        x, y = (float(part) for part in ground.site.to_site(latitude, longitude))
        if not (math.isfinite(x) and math.isfinite(y)):
            return math.inf
        return math.hypot(max(west - x, x - east, 0.0), max(south - y, y - north, 0.0))

    outside = metres_outside(latitude_deg, longitude_deg)
    if outside == 0.0:
        x, y = ground.site.to_site(latitude_deg, longitude_deg)
        return float(x), float(y)
    corners = [ground.site.to_geodetic(x, y) for x in (west, east) for y in (south, north)]
    latitudes, longitudes = ([float(corner[axis]) for corner in corners] for axis in (0, 1))
    far = f"{outside / 1000.0:.1f} km" if outside < 1e6 else "far"
    said = (
        f"{latitude_deg:g},{longitude_deg:g} is {far} outside the terrain that is read for this site: latitude "
        f"{min(latitudes):.4f} to {max(latitudes):.4f}, longitude {min(longitudes):.4f} to {max(longitudes):.4f}"
    )
    if abs(longitude_deg) <= 90.0 and metres_outside(longitude_deg, latitude_deg) == 0.0:
        said += f"; latitude comes first: did you mean {longitude_deg:g},{latitude_deg:g}?"
    raise ReasonError(said)


def reason_of(
    ground: Ground,
    sensor: SensorState,
    asked: tuple[float, float],
    target: str | None = None,
    *,
    brief: bool = False,
) -> Reason:
    """Why `sensor` sees each of the site's targets, or the one named, at a place (east, north [site m]), or does not.

    brief: without what takes long, the two levels and `mast_noticed` (see `with_masts`): these are nan. Raises
    ReasonError where the sensor does not count or the place is outside the terrain, DetectionError for a detection
    model that makes no sense.
    """
    frustum = sensor.frustum
    if frustum is None or frustum.eye_amsl is None:
        raise ReasonError(f"{sensor.name} is {sensor.state} and counts nothing: {sensor.note or 'no report'}")
    terrain = ground.terrain
    row, col = (int(index) for index in terrain.cells(*asked))
    if row < 0:
        raise ReasonError("the place is outside the terrain")
    columns, rows = terrain.centres
    place = float(columns[col]), float(rows[row])
    east, north = place[0] - frustum.east, place[1] - frustum.north
    azimuth = math.atan2(east, north) % math.tau
    asked_for = [target_of(spec) for spec in ground.scenario.targets if target in (None, spec.name)]
    look_s = ground.scenario.thresholds.look_s
    levels = [(math.nan, math.nan)] * len(asked_for)
    if brief:
        check(frustum)
    else:
        for number, pair in enumerate(rates_of(ground, frustum, asked_for)):
            expected, surely = (stored(window).watch(row, col, look_s)[2] for window in pair)
            levels[number] = expected, surely if assures(sensor) else 0.0
    targets = [
        _target_reason(ground, frustum, one, (row, col), place, looks)
        for one, looks in zip(asked_for, levels, strict=True)
    ]
    found = Reason(ground, sensor, frustum, asked, place, azimuth, math.hypot(east, north), tuple(targets))
    return found if brief else with_masts(found)


def with_masts(reason: Reason) -> Reason:
    """The same with `mast_noticed` of what is hidden or faint."""
    row, col = (int(index) for index in reason.ground.terrain.cells(*reason.place))
    targets = [
        dataclasses.replace(one, mast_noticed=_mast(reason, one, (row, col)))
        if one.verdict in ("hidden", "faint")
        else one
        for one in reason.targets
    ]
    return dataclasses.replace(reason, targets=tuple(targets))


@dataclass(frozen=True)
class _Seen:
    """What of a target at a place is in sight, and what the sensor makes of it if it looks that way."""

    profile: Profile
    inside: bool
    exposed: float
    clear: float
    slant: float
    east: float
    north: float
    up: float
    ground: Ground
    frustum: Frustum
    target: Target

    def noticed(self, *, anywhere: bool = False, still: bool = False) -> tuple[float, float, float]:
        """Rate [1/s], ceiling and probability in a look; nothing outside the field of view, unless `anywhere`."""
        exposed = self.exposed if self.inside or anywhere else 0.0
        weather, thresholds = environment_of(self.ground.scenario.environment), self.ground.scenario.thresholds
        slant, height = np.array([self.slant]), np.array([exposed])
        rate, ceiling = watched(self.frustum, self.target, slant, height, weather, self.clear, still=still)
        look = self.frustum.duty * float(glance(rate, ceiling, thresholds.look_s)[0])
        return float(rate[0]), float(ceiling[0]), look


def _seen(
    ground: Ground,
    frustum: Frustum,
    target: Target,
    cell: tuple[int, int],
    place: tuple[float, float],
    profile: Profile | None = None,
) -> _Seen:
    """What the coverage does with a whole window, for one cell alone and with the exact height. profile: the section
    to the target's top, where it is known already.
    """
    terrain, eye = ground.terrain, eye_of(frustum)
    foot = float(terrain.ground_amsl[cell])
    # Where the ground is unknown the line is drawn level; it is not judged.
    base = foot if math.isfinite(foot) else eye[2] - target.top_agl
    if profile is None:
        profile = why(terrain, eye, (*place, base + target.top_agl), refraction=refraction_of(frustum))
    seen = sight(terrain, frustum, target, Window(*cell, np.array([[profile.least_target_agl]])))
    east, north = float(seen.east[0, 0]), float(seen.north[0, 0])
    up = float(seen.up[0, 0]) if math.isfinite(foot) else base + target.top_agl - eye[2]
    return _Seen(
        profile=profile,
        inside=bool(in_view(frustum, east, north, up)),
        exposed=float(seen.exposed[0, 0]),
        clear=float(seen.clear[0, 0]),
        slant=math.sqrt(east * east + north * north + up * up),
        east=east,
        north=north,
        up=up,
        ground=ground,
        frustum=frustum,
        target=target,
    )


def _target_reason(
    ground: Ground,
    frustum: Frustum,
    target: Target,
    cell: tuple[int, int],
    place: tuple[float, float],
    levels: tuple[float, float],
) -> TargetReason:
    seen = _seen(ground, frustum, target, cell, place)
    profile, known = seen.profile, bool(np.isfinite(ground.terrain.ground_amsl[cell]))
    bottom = profile.target[2] - target.top_agl + target.bottom_agl
    to_bottom = why(ground.terrain, eye_of(frustum), (*place, bottom), refraction=refraction_of(frustum))
    azimuth = math.atan2(seen.east, seen.north) % math.tau
    elevation = math.atan2(seen.up, math.hypot(seen.east, seen.north))
    aside, above = _off(frustum, azimuth, elevation)
    beyond = max(seen.slant - frustum.range_max, 0.0) or min(seen.slant - frustum.range_min, 0.0)
    rate, ceiling, look = seen.noticed()
    verdict: Verdict
    if not seen.inside and (known or beyond > 0.0 or math.isnan(above)):
        verdict = "outside"
    elif not profile.known:
        verdict = "unknown"
    elif seen.exposed <= 0.0:
        verdict = "hidden"
    else:
        verdict = "seen" if look >= ground.scenario.thresholds.line_p else "faint"
    turned = None
    if verdict == "outside" and beyond == 0.0:
        for other in (
            dataclasses.replace(frustum, azimuth=azimuth),
            dataclasses.replace(frustum, elevation=elevation),
            dataclasses.replace(frustum, azimuth=azimuth, elevation=elevation),
        ):
            if in_view(other, seen.east, seen.north, seen.up):
                turned = Turned(other.azimuth, other.elevation, seen.noticed(anywhere=True)[2])
                break
    return TargetReason(
        target=target,
        verdict=verdict,
        profile=profile,
        least_agl=profile.least_target_agl,
        exposed=seen.exposed if profile.known else math.nan,
        clear=seen.clear,
        slant=seen.slant,
        elevation=elevation,
        mast_top=profile.least_eye_agl,
        mast_all=to_bottom.least_eye_agl,
        aside=aside,
        above=above,
        beyond=beyond,
        turned=turned,
        glimpse=-math.expm1(-rate * frustum.model["glimpse_s"]),
        rate=rate,
        ceiling=ceiling,
        look=look,
        look_still=seen.noticed(still=True)[2],
        look_expected=levels[0],
        look_assured=levels[1],
        mast_noticed=math.nan,
    )


def _mast(reason: Reason, one: TargetReason, cell: tuple[int, int]) -> float:
    """`TargetReason.mast_noticed`: a metre at a time, then to `_MAST_STEP` within the metre that did it."""
    ground, frustum = reason.ground, reason.frustum
    floor = float(ground.terrain.ground(frustum.east, frustum.north))
    eye = eye_of(frustum)[2] - floor
    if not math.isfinite(floor) or frustum.moving:
        return math.nan

    def notices(height: float) -> bool:
        raised = dataclasses.replace(frustum, eye_amsl=floor + height, eye_agl=height)
        # The section is the same from every height; only the lines over it are others.
        profile = dataclasses.replace(one.profile, eye=eye_of(raised))
        look = _seen(ground, raised, one.target, cell, reason.place, profile).noticed()[2]
        return look >= ground.scenario.thresholds.line_p

    low = max(eye, 0.0)
    if one.verdict == "hidden" and one.mast_top > low + 1.0:
        # From lower down not even the target's top is in sight.
        low += math.floor(min(one.mast_top, HIGHEST_MAST) - low)
    while low < HIGHEST_MAST:
        high = min(low + 1.0, HIGHEST_MAST)
        if notices(high):
            while high - low > _MAST_STEP / 2.0:
                middle = (low + high) / 2.0
                low, high = (low, middle) if notices(middle) else (middle, high)
            return high
        low = high
    return math.nan


def _off(frustum: Frustum, azimuth: float, elevation: float) -> tuple[float, float]:
    """How far a direction is outside the field of view: aside, above, as in TargetReason."""
    edges = elevations(frustum, azimuth)
    if edges is None:
        centre, width = sweep(frustum)
        off = (azimuth - centre + math.pi) % math.tau - math.pi
        return math.copysign(max(abs(off) - width / 2.0, 0.0), off), math.nan
    low, high = edges
    return 0.0, max(elevation - high, 0.0) or min(elevation - low, 0.0)
