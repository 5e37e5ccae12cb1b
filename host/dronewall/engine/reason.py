"""Why a sensor does or does not see a place: its field of view, the terrain and its detection model taken apart.

Whatever a report says of it in words comes from here.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dronewall.engine.detection import Target, eye_of, refraction_of, sight, watched
from dronewall.engine.field import glance
from dronewall.engine.frustum import Frustum, elevations, in_view, sweep
from dronewall.engine.ground import Ground
from dronewall.engine.profile import Profile, why
from dronewall.engine.viewshed import Window
from dronewall.engine.wall import Coverage, SensorState, environment_of, target_of

Verdict = Literal["seen", "faint", "hidden", "outside", "unknown"]


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
    the look where the target stands still.
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


@dataclass(frozen=True)
class Reason:
    """What one sensor makes of a place, target by target.

    asked: the place that was asked for, place: the middle of the terrain's cell that holds it, for which, as in a
    Coverage, everything is computed; east, north [site m]. azimuth: of the place from the sensor, from grid north
    [rad]; distance: horizontal [m].
    """

    ground: Ground | Coverage
    sensor: SensorState
    frustum: Frustum
    asked: tuple[float, float]
    place: tuple[float, float]
    azimuth: float
    distance: float
    targets: tuple[TargetReason, ...]


def place_of(ground: Ground | Coverage, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
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
    ground: Ground | Coverage, sensor: SensorState, asked: tuple[float, float], target: str | None = None
) -> Reason:
    """Why `sensor` sees each of the site's targets, or the one named, at a place (east, north [site m]), or does not.

    Raises ReasonError where the sensor does not count or the place is outside the terrain, DetectionError for a
    detection model that makes no sense.
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
    targets = tuple(
        _target_reason(ground, frustum, target_of(spec), (row, col), place)
        for spec in ground.scenario.targets
        if target is None or spec.name == target
    )
    return Reason(ground, sensor, frustum, asked, place, azimuth, math.hypot(east, north), targets)


def _target_reason(
    ground: Ground | Coverage, frustum: Frustum, target: Target, cell: tuple[int, int], place: tuple[float, float]
) -> TargetReason:
    terrain, thresholds = ground.terrain, ground.scenario.thresholds
    eye = eye_of(frustum)
    foot = float(terrain.ground_amsl[cell])
    # Where the ground is unknown the line is drawn level; it is not judged.
    base = foot if math.isfinite(foot) else eye[2] - target.top_agl
    bend = refraction_of(frustum)
    to_top = why(terrain, eye, (*place, base + target.top_agl), refraction=bend)
    to_bottom = why(terrain, eye, (*place, base + target.bottom_agl), refraction=bend)
    least = to_top.least_target_agl
    # What the coverage does with a whole window, for this cell alone and with the exact height.
    seen = sight(terrain, frustum, target, Window(*cell, np.array([[least]])))
    east, north, exposed = float(seen.east[0, 0]), float(seen.north[0, 0]), float(seen.exposed[0, 0])
    up = float(seen.up[0, 0]) if math.isfinite(foot) else base + target.top_agl - eye[2]
    slant = math.sqrt(east * east + north * north + up * up)
    azimuth, elevation = math.atan2(east, north) % math.tau, math.atan2(up, math.hypot(east, north))
    aside, above = _off(frustum, azimuth, elevation)
    beyond = max(slant - frustum.range_max, 0.0) or min(slant - frustum.range_min, 0.0)
    weather, clear = environment_of(ground.scenario.environment), float(seen.clear[0, 0])

    def noticed(height: float, still: bool = False) -> tuple[float, float, float]:
        """Rate, ceiling and probability in a look of so much of the target, inside the angles."""
        rate, ceiling = watched(frustum, target, np.array([slant]), np.array([height]), weather, clear, still=still)
        look = frustum.duty * float(glance(rate, ceiling, thresholds.look_s)[0])
        return float(rate[0]), float(ceiling[0]), look

    inside = bool(in_view(frustum, east, north, up))
    rate, ceiling, look = noticed(exposed if inside else 0.0)
    verdict: Verdict
    if not inside and (math.isfinite(foot) or beyond > 0.0 or math.isnan(above)):
        verdict = "outside"
    elif not to_top.known:
        verdict = "unknown"
    elif exposed <= 0.0:
        verdict = "hidden"
    else:
        verdict = "seen" if look >= thresholds.line_p else "faint"
    turned = None
    if verdict == "outside" and beyond == 0.0:
        for other in (
            dataclasses.replace(frustum, azimuth=azimuth),
            dataclasses.replace(frustum, elevation=elevation),
            dataclasses.replace(frustum, azimuth=azimuth, elevation=elevation),
        ):
            if in_view(other, east, north, up):
                turned = Turned(other.azimuth, other.elevation, noticed(exposed)[2])
                break
    return TargetReason(
        target=target,
        verdict=verdict,
        profile=to_top,
        least_agl=least,
        exposed=exposed if to_top.known else math.nan,
        clear=clear,
        slant=slant,
        elevation=elevation,
        mast_top=to_top.least_eye_agl,
        mast_all=to_bottom.least_eye_agl,
        aside=aside,
        above=above,
        beyond=beyond,
        turned=turned,
        glimpse=-math.expm1(-rate * frustum.model["glimpse_s"]),
        rate=rate,
        ceiling=ceiling,
        look=look,
        look_still=noticed(exposed if inside else 0.0, still=True)[2],
    )


def _off(frustum: Frustum, azimuth: float, elevation: float) -> tuple[float, float]:
    """How far a direction is outside the field of view: aside, above, as in TargetReason."""
    edges = elevations(frustum, azimuth)
    if edges is None:
        centre, width = sweep(frustum)
        off = (azimuth - centre + math.pi) % math.tau - math.pi
        return math.copysign(max(abs(off) - width / 2.0, 0.0), off), math.nan
    low, high = edges
    return 0.0, max(elevation - high, 0.0) or min(elevation - low, 0.0)
