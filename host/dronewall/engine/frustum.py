"""What a sensor could see if nothing stood in the way: its detection frustum.

The sensor's frame: boresight x, right y, up z. Azimuth a is clockwise from (grid) north, elevation e up from the
horizontal, roll r turns the sensor clockwise as seen from behind it:

    boresight = ( sin a cos e,  cos a cos e, sin e)
    right     = ( cos a,       -sin a,       0    )      right' = right cos r - up sin r
    up        = (-sin a sin e, -cos a sin e, cos e)      up'    = right sin r + up cos r
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dronewall import wire
from dronewall.engine.earth import Site

Floats = npt.NDArray[np.float64]
Shape = Literal["pyramid", "sector"]
Awake = Literal["always", "event", "duty"]

HAIR = 1e-8
"""Loops over cells ask the long way (as `in_view`) nearer to an edge than this share of the distance: over the 1e-9
that edges give.
"""


@dataclass(frozen=True)
class Frustum:
    """Where one sensor looks, in site metres and radians; azimuth from grid north.

    eye_amsl is None where only the height above ground is known (eye_agl): the terrain then says the rest. `model`
    holds the detection model's parameters as the node's birth message named them, `duty` the share of time it is
    awake, and `awake` what wakes it. The sigmas are the report's standard errors: of the position in each horizontal
    direction, of the eye's height [m], of the azimuth, and of elevation and roll each (tilt) [rad].
    """

    name: str
    shape: Shape
    east: float
    north: float
    eye_amsl: float | None
    eye_agl: float | None
    azimuth: float
    elevation: float
    roll: float
    hfov: float
    vfov: float
    range_min: float
    range_max: float
    model: dict[str, Any]
    moving: bool = False
    duty: float = 1.0
    awake: Awake = "always"
    position_sigma: float = 0.0
    height_sigma: float = 0.0
    azimuth_sigma: float = 0.0
    tilt_sigma: float = 0.0

    def axes(self) -> Floats:
        """Boresight, right and up as rows (3, 3) of east, north, up."""
        angles = (self.azimuth, self.elevation, self.roll)
        return np.array(_frame(*((math.sin(angle), math.cos(angle)) for angle in angles)))


def axes(azimuths: npt.ArrayLike, elevations: npt.ArrayLike, rolls: npt.ArrayLike) -> Floats:
    """Boresight, right and up as rows (..., 3, 3) of east, north, up, of poses [rad] that broadcast together."""
    rows = _frame(*(_turned(part) for part in (azimuths, elevations, rolls)))
    shape = np.broadcast_shapes(*(np.shape(angles) for angles in (azimuths, elevations, rolls)))
    found = np.empty((*shape, 3, 3))
    for i, row in enumerate(rows):
        for j, part in enumerate(row):
            found[..., i, j] = part
    return found


def _frame(azimuth: Sequence[Any], elevation: Sequence[Any], roll: Sequence[Any]) -> Sequence[Sequence[Any]]:
    """The same of angles that are told by their sines and cosines, numbers or arrays."""
    (sin_a, cos_a), (sin_e, cos_e), (sin_r, cos_r) = azimuth, elevation, roll
    east, north = -sin_a * sin_e, -cos_a * sin_e
    return (
        (sin_a * cos_e, cos_a * cos_e, sin_e),
        (cos_a * cos_r - east * sin_r, -sin_a * cos_r - north * sin_r, 0.0 * cos_r - cos_e * sin_r),
        (cos_a * sin_r + east * cos_r, -sin_a * sin_r + north * cos_r, 0.0 * sin_r + cos_e * cos_r),
    )


def _turned(angles: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Sines and cosines, to the last digit those of `math`, whatever numpy's vector instructions do."""
    turns = np.asarray(angles, dtype=np.float64)
    each = turns.ravel().tolist()
    return (
        np.array([math.sin(turn) for turn in each]).reshape(turns.shape),
        np.array([math.cos(turn) for turn in each]).reshape(turns.shape),
    )


def frustum_of(report: wire.Report, sensor: dict[str, Any], site: Site) -> Frustum:
    """The frustum of a decoded frustum report, with its sensor's entry of the node's birth message."""
    values = report.values
    east, north = site.to_site(values["latitude_deg"], values["longitude_deg"])
    return Frustum(
        name=f"{report.node}/{report.sensor}",
        shape=values["shape"],
        east=float(east),
        north=float(north),
        eye_amsl=values.get("height_amsl_m"),
        eye_agl=values.get("height_agl_m"),
        azimuth=(math.radians(values["azimuth_deg"]) - site.convergence(east, north)) % math.tau,
        elevation=math.radians(values["elevation_deg"]),
        roll=math.radians(values["roll_deg"]),
        hfov=math.radians(values["hfov_deg"]),
        vfov=math.radians(values["vfov_deg"]),
        range_min=values["range_min_m"],
        range_max=values["range_max_m"],
        model=sensor["model"],
        moving="velocity_east_mps" in values,
        duty=values["duty"] if values["awake"] == "duty" else 1.0,
        awake=values["awake"],
        # A report without an accuracy vouches for nothing: the worst that the wire can say.
        position_sigma=values.get("position_sigma_m", 655.0),
        height_sigma=values.get("height_sigma_m", 655.0),
        azimuth_sigma=math.radians(values.get("azimuth_sigma_deg", 180.0)),
        tilt_sigma=math.radians(values.get("tilt_sigma_deg", 90.0)),
    )


def in_view(frustum: Frustum, east: Any, north: Any, up: Any) -> npt.NDArray[np.bool_]:
    """Whether points at offsets from the eye [m] lie in the frustum's angles and slant ranges; arrays of one shape.

    pyramid: x > 0, |y/x| <= tan(hfov/2), |z/x| <= tan(vfov/2): right at nadir, where an azimuth window degenerates.
    sector: azimuth and elevation windows; roll does not apply.
    """
    east, north, up = np.broadcast_arrays(
        np.asarray(east, dtype=np.float64), np.asarray(north, dtype=np.float64), np.asarray(up, dtype=np.float64)
    )
    slant = np.sqrt(east * east + north * north + up * up)
    inside = (slant >= frustum.range_min) & (slant <= frustum.range_max)
    if frustum.shape == "pyramid":
        boresight, right, above = frustum.axes()
        x = boresight[0] * east + boresight[1] * north + boresight[2] * up
        y = right[0] * east + right[1] * north + right[2] * up
        z = above[0] * east + above[1] * north + above[2] * up
        # A hair's breadth of tolerance, 1e-9 of the distance, keeps the edge itself inside.
        slack = 1e-9 * slant
        inside &= x > 0.0
        inside &= np.abs(y) <= x * math.tan(frustum.hfov / 2.0) + slack
        inside &= np.abs(z) <= x * math.tan(frustum.vfov / 2.0) + slack
        return np.asarray(inside)
    if frustum.hfov < math.tau - 1e-9:
        off = (np.arctan2(east, north) - frustum.azimuth + math.pi) % math.tau - math.pi
        inside &= np.abs(off) <= frustum.hfov / 2.0 + 1e-9
    elevation = np.arctan2(up, np.hypot(east, north))
    inside &= np.abs(elevation - frustum.elevation) <= frustum.vfov / 2.0 + 1e-9
    return np.asarray(inside)


def sweep(frustum: Frustum) -> tuple[float, float]:
    """Centre azimuth and width [rad] of the azimuths in which the frustum sees anything at all.

    For a pyramid: the hull of its corner rays, and the full circle once a vertical ray lies inside.
    """
    if frustum.shape == "sector":
        return frustum.azimuth, min(frustum.hfov, math.tau)
    return hull(frustum.axes(), frustum.azimuth, frustum.hfov, frustum.vfov)


def hull(frame: Floats, azimuth: float, hfov: float, vfov: float) -> tuple[float, float]:
    """`sweep` of a pyramid with these axes (3, 3), whose boresight's azimuth is `azimuth`."""
    # Few numbers: Python's own are quicker than arrays.
    boresight, right, above = frame.tolist()
    tan_h, tan_v = math.tan(hfov / 2.0), math.tan(vfov / 2.0)
    for vertical in (1.0, -1.0):
        x, y, z = vertical * boresight[2], vertical * right[2], vertical * above[2]
        if x > 0.0 and abs(y) <= x * tan_h and abs(z) <= x * tan_v:
            return azimuth, math.tau
    offs = []
    for h in (-tan_h, tan_h):
        for v in (-tan_v, tan_v):
            east, north = (boresight[part] + h * right[part] + v * above[part] for part in (0, 1))
            offs.append((math.atan2(east, north) - azimuth + math.pi) % math.tau - math.pi)
    # The pyramid is a convex cone: seen from above it spans less than half a turn, so the hull is the narrowest arc
    # that holds all corners.
    offs.sort()
    gaps = [later - sooner for sooner, later in zip(offs, [*offs[1:], offs[0] + math.tau], strict=True)]
    widest = max(range(4), key=gaps.__getitem__)
    first = offs[(widest + 1) % 4]
    width = math.tau - gaps[widest]
    return (azimuth + first + width / 2.0) % math.tau, width


def elevations(frustum: Frustum, azimuth: float) -> tuple[float, float] | None:
    """Lowest and highest elevation [rad] at which the frustum sees anything in one azimuth; None where it sees none."""
    low, high = (float(part) for part in elevation_ends(frustum, azimuth))
    return None if math.isnan(low) else (low, high)


def elevation_ends(frustum: Frustum, azimuths: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The same in each of some azimuths (...,), nan where it sees nothing.

    A face of the pyramid is a half space p cos e + q sin e >= 0 in the vertical plane of that azimuth: with
    f = atan2(q, p) it leaves the elevations over f - 90 degrees where f >= 0, those under f + 90 degrees elsewhere.
    """
    quarter = math.pi / 2.0
    turns = np.asarray(azimuths, dtype=np.float64)
    if frustum.shape == "sector":
        off = (turns - frustum.azimuth + math.pi) % math.tau - math.pi
        seen = (np.abs(off) <= frustum.hfov / 2.0 + 1e-9) | (frustum.hfov >= math.tau - 1e-9)
        low, high = frustum.elevation - frustum.vfov / 2.0, frustum.elevation + frustum.vfov / 2.0
        return np.where(seen, max(low, -quarter), math.nan), np.where(seen, min(high, quarter), math.nan)
    boresight, right, above = frustum.axes()
    tan_h, tan_v = math.tan(frustum.hfov / 2.0), math.tan(frustum.vfov / 2.0)
    sides = (1.0, -1.0)
    faces = [boresight * tan_h + side * right for side in sides] + [boresight * tan_v + side * above for side in sides]
    lows, highs = np.full(turns.shape, -quarter), np.full(turns.shape, quarter)
    for face in faces:
        tilts = np.arctan2(face[2], face[0] * np.sin(turns) + face[1] * np.cos(turns))
        lows = np.where(tilts >= 0.0, np.maximum(lows, tilts - quarter), lows)
        highs = np.where(tilts < 0.0, np.minimum(highs, tilts + quarter), highs)
    nothing = lows > highs
    return np.where(nothing, math.nan, lows), np.where(nothing, math.nan, highs)


def outline(frustum: Frustum, points: int = 24) -> Floats:
    """The frustum's reach drawn on the map: a closed ring (m, 2) of east, north [m] from the eye out to the range.

    A pyramid that looks down with all its corner rays meets flat ground, eye_agl below the eye, in a quadrangle.
    """
    centre, width = sweep(frustum)
    height = frustum.eye_agl if frustum.eye_agl is not None else 0.0
    reach = frustum.range_max
    if frustum.shape == "pyramid" and height > 0.0:
        boresight, right, above = frustum.axes()
        tan_h, tan_v = math.tan(frustum.hfov / 2.0), math.tan(frustum.vfov / 2.0)
        rays = [
            boresight + h * right + v * above
            for h, v in ((-tan_h, -tan_v), (-tan_h, tan_v), (tan_h, tan_v), (tan_h, -tan_v))
        ]
        if all(ray[2] < -1e-6 for ray in rays):
            ring = []
            for ray in rays:
                hit = ray * (height / -ray[2])
                flat = math.hypot(hit[0], hit[1])
                far = math.sqrt(max(reach * reach - height * height, 0.0))
                share = min(1.0, far / flat) if flat > 0.0 else 1.0
                ring.append((frustum.east + share * hit[0], frustum.north + share * hit[1]))
            return np.array([*ring, ring[0]])
    angles = centre + np.linspace(-width / 2.0, width / 2.0, points)
    arc = np.stack((frustum.east + reach * np.sin(angles), frustum.north + reach * np.cos(angles)), axis=-1)
    if width >= math.tau - 1e-9:
        return np.asarray(np.concatenate((arc, arc[:1])))
    eye = np.array([[frustum.east, frustum.north]])
    return np.asarray(np.concatenate((eye, arc, eye)))
