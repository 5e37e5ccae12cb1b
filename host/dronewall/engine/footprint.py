"""What a sensor sees of flat ground under it: where, and how far along its way; and how finely its flight is cut."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine.frustum import Frustum, elevation_ends, sweep

_RAYS = 720
"""Azimuths that a sweep is cut into."""


def step_of(pairs: Iterable[tuple[Frustum, Frustum]], seconds: float, cell: float) -> float:
    """A step [s] in which what is seen changes little, at nine of ten of these moments; inf where nothing moves.

    pairs: sensors in the air, and the same ones `seconds` later, at moments all over a cycle. In a step a footprint
    moves by an eighth of its own length along the way, or by a cell where that is more: cells are told apart no finer.
    And the drone flies a quarter of the way from the eye to the footprint, so that what it looks at from all sides
    (gimbal on a point) is seen from all of them. Flat ground under the drone, as far down as the frustum tells
    (`eye_agl`). What sees none, as a camera that looks up does, has its view half way to its range in place of a
    footprint.
    """
    found = []
    for before, after in pairs:
        one, other = footprint(before), footprint(after)
        if one is None or other is None:
            one, other, away = _half_way(before), _half_way(after), before.range_max / 2.0
        else:
            away = math.hypot(one[0] - before.east, one[1] - before.north, before.eye_agl or 0.0)
        east, north = other[0] - one[0], other[1] - one[1]
        long = depth(before, math.atan2(east, north)) or away * min(before.hfov, 1.0)
        length = max(long / 8.0, cell)
        flown = math.hypot(after.east - before.east, after.north - before.north)
        shares = (math.hypot(east, north) / length, flown / (away / 4.0))
        found.append(seconds / max(shares) if max(shares) > 0.0 else math.inf)
    # Where a drone turns at a waypoint its footprint leaps, however short the step.
    return sorted(found)[len(found) // 10] if found else math.inf


def _half_way(frustum: Frustum) -> tuple[float, float]:
    """East and north [m] of the place on the boresight half way to the range."""
    away = frustum.range_max / 2.0 * math.cos(frustum.elevation)
    return frustum.east + away * math.sin(frustum.azimuth), frustum.north + away * math.cos(frustum.azimuth)


def _rim(frustum: Frustum) -> tuple[npt.NDArray[Any], ...] | None:
    """A footprint on flat ground `eye_agl` under the eye, azimuth by azimuth: these [rad], least and greatest distance
    from under the eye [m]; None where there is none.
    """
    height = frustum.eye_agl
    if height is None or not 0.0 < height < frustum.range_max:
        return None
    reach = math.sqrt(frustum.range_max**2 - height**2)
    least = math.sqrt(max(frustum.range_min**2 - height**2, 0.0))
    centre, width = sweep(frustum)
    azimuths = centre + ((np.arange(_RAYS) + 0.5) / _RAYS - 0.5) * width
    low, high = elevation_ends(frustum, azimuths)
    # nan, where nothing is seen, compares as False.
    with np.errstate(divide="ignore"):
        far = np.where(high >= 0.0, reach, np.minimum(height / np.tan(-high), reach))
        near = np.where(low < 0.0, np.maximum(height / np.tan(-low), least), math.inf)
    seen = far > near
    return (azimuths[seen], near[seen], far[seen]) if seen.any() else None


def footprint(frustum: Frustum) -> tuple[float, float] | None:
    """East and north [m] of the middle (centroid) of what the frustum sees of flat ground `eye_agl` under its eye; None
    where it sees none.
    """
    rim = _rim(frustum)
    if rim is None:
        return None
    azimuths, near, far = rim
    area = ((far**2 - near**2) / 2.0).sum()
    moment = (far**3 - near**3) / 3.0
    return (
        frustum.east + float((moment * np.sin(azimuths)).sum() / area),
        frustum.north + float((moment * np.cos(azimuths)).sum() / area),
    )


def depth(frustum: Frustum, course: float) -> float:
    """Mean length [m] of the same footprint along a course [rad, from grid north]: its area over its width across."""
    rim = _rim(frustum)
    if rim is None:
        return 0.0
    azimuths, near, far = rim
    area = float(((far**2 - near**2) / 2.0).sum() * (sweep(frustum)[1] / _RAYS))
    across = np.sin(azimuths - course) * np.stack((near, far))
    width = float(across.max() - across.min())
    return area / width if width > 0.0 else 0.0
