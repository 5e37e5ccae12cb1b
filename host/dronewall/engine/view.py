"""Whether cells are in a sensor's view when its pose errs: how probably (`soften`), and whether in every case (`hold`).

`levels` says what the errors are; here are the loops over the cells. Both hand back the cells that pass, so that
whoever goes on works with these alone. Most cells are told from bounds that cost no trigonometry; only those near an
edge are asked the long way, and the answer is the same.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.frustum import HAIR

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_BANDS = 40
"""So many rows of bounds are kept: row j for slant ranges from 2^(j - 8) metres to twice that, row 0 for the rest."""
_SURE = 4.0
"""Standard errors from an edge at which a cell counts as in or out of view altogether."""
_ROUNDED = 2.9
"""Standard errors from an edge at which a share is rounded to 0 or to 255, if nothing else dims it and the edge across
is `_SURE` ones away: Phi(-2.9) + Phi(-4) = .0019, and half of a 255th is .00196.
"""
_SAFELY = 1.0001


@njit()
def _within(value: float, half: float, sigma: float, slack: float) -> float:
    """Probability that a value with a normal error lies in -half..half."""
    if sigma <= 0.0:
        return 1.0 if abs(value) <= half + slack else 0.0
    low, high = (-half - value) / sigma, (half - value) / sigma
    if low < -_SURE and high > _SURE:
        return 1.0
    if low > _SURE or high < -_SURE:
        return 0.0
    root = math.sqrt(2.0)
    # Beyond 8.5 standard errors erf is 1 to the last digit.
    above = math.erf(high / root) if high < 8.5 else 1.0
    return 0.5 * (above - (math.erf(low / root) if low > -8.5 else -1.0))


@njit()
def _band(slant: float) -> int:
    """The row of the bounds for a slant range."""
    return min(max(math.frexp(slant)[1] + 7, 0), _BANDS - 1)


@njit()
def _pyramid_bounds(half_h: float, half_v: float, turn: float, shift: float) -> Floats:
    """Tangents (bands, 10) of angles beside and above the axis: under the first two a cell is in view for sure, under
    the second but for a share that is rounded away, over the third it is not. The fourth and the fifth are the first
    and the third again, nearer to each other than these, for cells that are no farther out the other way than the third
    says; or than the pyramid's own edge, for the first and the second. turn, shift: the errors' standard deviations,
    added up, as turns [rad] and moves [m].

    A turn of 1 moves a direction's angle beside the axis by at most slant / sqrt(x^2 + y^2): 1 / cos(v) for those at
    most v above or under it, and under 2 for what is asked of the third bounds.
    """
    bounds = np.full((_BANDS, 10), -1.0)
    bounds[0, 4:6], bounds[0, 8:] = math.inf, math.inf
    for j in range(1, _BANDS):
        sigma = _SAFELY * math.hypot(turn, shift / 2.0 ** (j - 8))
        for side in range(2):
            half, other = (half_h, half_v) if side == 0 else (half_v, half_h)
            spread = sigma / math.cos(other)
            sure, rounded = half - _SURE * spread - 1e-9, half - _ROUNDED * spread - 1e-9
            if sure > 0.0:
                bounds[j, side], bounds[j, 2 + side] = math.tan(sure), math.tan(rounded)
            bounds[j, 4 + side] = _tangent(half + 2.0 * _ROUNDED * sigma + 1e-9)
            bounds[j, 8 + side] = math.inf
            beyond = other + 2.0 * _ROUNDED * sigma + 1e-9
            if beyond < math.pi / 2.0 - 1e-9:
                spread = sigma / math.cos(beyond)
                bounds[j, 6 + side] = math.tan(max(half - _SURE * spread - 1e-9, -0.1))
                bounds[j, 8 + side] = _tangent(half + _ROUNDED * spread + 1e-9)
    return bounds


@njit()
def _tangent(angle: float) -> float:
    """inf from a right angle on."""
    return math.tan(angle) if angle < math.pi / 2.0 - 1e-9 else math.inf


@njit()
def _nearest(bounds: Floats) -> Floats:
    """Cosine (bands,) of the angle off the axis beyond which no cell is in view, less a hair.

    What is not out by `_pyramid_bounds`' outer tangents h and v has x > 0 and either |y| <= x h and |z| <= x v, and so
    slant^2 <= x^2 (1 + h^2 + v^2); or one of them, and beyond the other it has, say, x^2 + z^2 < slant^2 / 4, and so
    y^2 > 3/4 slant^2 and x >= |y| / h. Not both are beyond: x^2 would be negative.
    """
    found = np.zeros(_BANDS)
    for j in range(_BANDS):
        h, v = bounds[j, 4], bounds[j, 5]
        if h < math.inf and v < math.inf:
            inner = 1.0 / math.sqrt(1.0 + h * h + v * v)
            found[j] = min(inner, math.sqrt(0.75) / max(h, v))
        found[j] -= 1e-9
    return found


@njit()
def _side(
    x: float, y: float, z: float, axis: Floats, boresight: Floats, ca: float, sa: float, east: float, north: float,
    up: float, half: float, heading: float, tilt: float, position: float, height: float,
) -> float:  # fmt: skip
    """Probability that a point is between two faces of a pyramid, 0 where it is rounded away. x, y, z [m]: along the
    boresight, along `axis` and along the third one. ca, sa: cosine and sine of the boresight's azimuth.

    The point's angle in the plane of x and y moves by g dx, with g = (x axis - y boresight) / (x^2 + y^2): turned about
    the vertical (heading), about the level axis to the boresight's right (elevation), about the boresight (roll), and
    shifted.
    """
    per = 1.0 / (x * x + y * y)
    g0 = (x * axis[0] - y * boresight[0]) * per
    g1 = (x * axis[1] - y * boresight[1]) * per
    g2 = (x * axis[2] - y * boresight[2]) * per
    turned = heading * (g1 * east - g0 * north)
    lifted = g2 * (ca * north + sa * east) - (g0 * sa + g1 * ca) * up
    rolled = z * x * per
    sigma = math.sqrt(
        turned * turned
        + tilt * tilt * (lifted * lifted + rolled * rolled)
        + position * position * (g0 * g0 + g1 * g1)
        + height * height * g2 * g2
    )
    angle = math.atan(y / x)
    if abs(angle) > half + _ROUNDED * sigma + 1e-9:
        return 0.0
    return _within(angle, half, sigma, 1e-9)


@njit()
def _softened_pyramid(
    frames: Floats, turns: Floats, bounds: Floats, tan_h: float, tan_v: float, east: float, north: float, up: float,
    slant2: float, half_h: float, half_v: float, heading: float, tilt: float, position: float, height: float,
    reached: float, shares: npt.NDArray[np.uint8], at: Any,
) -> bool:  # fmt: skip
    """Fills one cell's shares; whether any is above 0. turns (draws, 2): cosine and sine of the boresight's azimuth."""
    some = False
    slant = math.sqrt(slant2)
    band = _band(slant)
    sure_h, sure_v, rounded_h, rounded_v = bounds[band, 0], bounds[band, 1], bounds[band, 2], bounds[band, 3]
    outer_h, outer_v, wide_h, wide_v = bounds[band, 4], bounds[band, 5], bounds[band, 6], bounds[band, 7]
    tight_h, tight_v = bounds[band, 8], bounds[band, 9]
    for k in range(frames.shape[0]):
        x = frames[k, 0, 0] * east + frames[k, 0, 1] * north + frames[k, 0, 2] * up
        y = frames[k, 1, 0] * east + frames[k, 1, 1] * north + frames[k, 1, 2] * up
        z = frames[k, 2, 0] * east + frames[k, 2, 1] * north + frames[k, 2, 2] * up
        aside, above = abs(y), abs(z)
        out = x <= 1e-6 * slant or (aside > x * outer_h and 4.0 * (x * x + y * y) >= slant2)
        out = out or (above > x * outer_v and 4.0 * (x * x + z * z) >= slant2)
        near_h, near_v = aside <= x * outer_h, above <= x * outer_v
        out = out or (near_v and aside > x * tight_h) or (near_h and above > x * tight_v)
        share = np.uint8(0)
        if not out:
            within_h, within_v = aside <= x * sure_h and above <= x * tan_v, above <= x * sure_v and aside <= x * tan_h
            full = reached == 1.0 and ((within_h and above <= x * rounded_v) or (within_v and aside <= x * rounded_h))
            if full:
                share = np.uint8(255)
            else:
                seen = 1.0
                within_h = within_h or (near_v and aside <= x * wide_h)
                within_v = within_v or (near_h and above <= x * wide_v)
                # First the side that it is out of, if any: what that leaves may be rounded away.
                for turn in range(2):
                    if (turn == 0) == (above <= x * tan_v):
                        if not within_h:
                            seen *= _side(x, y, z, frames[k, 1], frames[k, 0], turns[k, 0], turns[k, 1], east, north,
                                          up, half_h, heading, tilt, position, height)  # fmt: skip
                    elif not within_v:
                        seen *= _side(x, z, y, frames[k, 2], frames[k, 0], turns[k, 0], turns[k, 1], east, north, up,
                                      half_v, heading, tilt, position, height)  # fmt: skip
                    if 255.0 * reached * seen < 0.5:
                        break
                share = np.uint8(int(255.0 * reached * seen + 0.5))
        shares[k, at] = share
        some = some or bool(share > 0)
    return some


@njit()
def _sector_bounds(elevation: float, half_v: float, tilt: float, shift: float) -> Floats:
    """Cosines and sines (bands, 4) of the elevations under and over which a cell is in a sector's window for sure."""
    bounds = np.zeros((_BANDS, 4))
    for j in range(_BANDS):
        sigma = _SAFELY * math.hypot(tilt, shift / 2.0 ** (j - 8))
        top, bottom = elevation + half_v - _SURE * sigma - 1e-9, elevation - half_v + _SURE * sigma + 1e-9
        if j == 0 or bottom >= top or top < -math.pi / 2.0 or bottom > math.pi / 2.0:
            continue  # 0 in all of them: under and over nothing
        # No elevation is higher or lower than straight up and down.
        bounds[j, 0], bounds[j, 1] = (math.cos(top), math.sin(top)) if top < math.pi / 2.0 else (0.0, 1.0)
        bounds[j, 2], bounds[j, 3] = (math.cos(bottom), math.sin(bottom)) if bottom > -math.pi / 2.0 else (0.0, -1.0)
    return bounds


@njit()
def _softened_sector(
    azimuths: Floats, bounds: Floats, elevation: float, east: float, north: float, up: float, slant2: float,
    half_h: float, half_v: float, heading: float, tilt: float, position: float, height: float, reached: float,
    shares: npt.NDArray[np.uint8], at: Any,
) -> bool:  # fmt: skip
    """Fills one cell's shares; whether any is above 0."""
    flat2 = east * east + north * north
    flat = math.sqrt(flat2)
    band = _band(math.sqrt(slant2))
    seen = reached
    if not (up * bounds[band, 0] < flat * bounds[band, 1] and flat * bounds[band, 3] < up * bounds[band, 2]):
        turned = math.sqrt(tilt * tilt + (height * height * flat2 + position * position * up * up) / (slant2 * slant2))
        seen = _within(math.atan2(up, flat) - elevation, half_v, turned, 1e-9) * reached
    some = False
    if half_h >= math.pi - 5e-10:
        share = np.uint8(int(255.0 * seen + 0.5))
        for k in range(len(azimuths)):
            shares[k, at] = share
        return bool(share > 0)
    lap = 2.0 * math.pi
    spread = math.sqrt(heading * heading + position * position / max(flat2, 1e-6))
    direction = math.atan2(east, north)
    # The same once around, either way, where the error reaches so far.
    around_too = lap - half_h - _SAFELY * _SURE * spread - 1e-9
    rounded = half_h - _SAFELY * _ROUNDED * spread - 1e-9
    if seen < 1.0 or half_h <= _SAFELY * _SURE * spread:
        rounded = -1.0
    outer = half_h + _SAFELY * _ROUNDED * spread + 1e-9
    for k in range(len(azimuths)):
        off = direction - azimuths[k] + math.pi
        # What % does, without its division where none is needed.
        if off < 0.0 or off >= lap:
            off = off % lap
        off -= math.pi
        share = np.uint8(0)
        if abs(off) >= around_too:
            around = _within(off - lap, half_h, spread, 1e-9) + _within(off, half_h, spread, 1e-9)
            around += _within(off + lap, half_h, spread, 1e-9)
            share = np.uint8(int(255.0 * min(around, 1.0) * seen + 0.5))
        elif abs(off) <= rounded:
            share = np.uint8(255)
        elif abs(off) < outer:
            share = np.uint8(int(255.0 * _within(off, half_h, spread, 1e-9) * seen + 0.5))
        shares[k, at] = share
        some = some or bool(share > 0)
    return some


@njit()
def soften(
    pyramid: bool, frames: Floats, azimuths: Floats, weights: Floats, elevation: float, half_h: float, half_v: float,
    range_min: float, range_max: float, heading: float, tilt: float, position: float, height: float, easts: Floats,
    norths: Floats, ups: Floats, kept: Indices, shares: npt.NDArray[np.uint8], likely: Floats,
) -> int:  # fmt: skip
    """How many of the points are in view under any draw of the heading; fills in which, the probability of each under
    each draw [1/255], `shares` (draws, points), and their mean over the draws by `weights`, `likely` (points,).
    """
    tan_h, tan_v = math.tan(half_h), math.tan(half_v)
    gate, clear_of_gates = (range_max - range_min) / 2.0, _SAFELY * _SURE * max(position, height) + 1e-9
    steps = weights / 255.0
    turns = np.empty((len(azimuths), 2))
    for k in range(len(azimuths)):
        turns[k, 0], turns[k, 1] = math.cos(azimuths[k]), math.sin(azimuths[k])
    turn, shift = math.sqrt(heading * heading + 2.0 * tilt * tilt), math.hypot(position, height)
    bounds = _sector_bounds(elevation, half_v, tilt, shift)
    if pyramid:
        bounds = _pyramid_bounds(half_h, half_v, turn, shift)
    nearest = _nearest(bounds) if pyramid else np.empty(0)
    # The boresights' azimuths lie around the middle one's, `swing` off it at most.
    middle = len(azimuths) // 2
    ahead, aside = turns[middle, 0], turns[middle, 1]
    swing = max(azimuths.max() - azimuths[middle], azimuths[middle] - azimuths.min())
    cos_swing, sin_swing = (math.cos(swing), math.sin(swing)) if swing < math.pi else (-1.0, 0.0)
    level, rising = max(math.cos(elevation), 0.0), math.sin(elevation)
    count = np.uintp(0)
    for i in range(len(easts)):
        east, north, up = easts[i], norths[i], ups[i]
        flat2 = east * east + north * north
        slant2 = flat2 + up * up
        slant = math.sqrt(slant2)
        if slant2 == 0.0:
            continue
        if pyramid:
            # How far along any of the boresights: as if the nearest azimuth in their range were one of them.
            flat = math.sqrt(flat2)
            along, across = east * aside + north * ahead, abs(east * ahead - north * aside)
            along = flat if along >= flat * cos_swing else along * cos_swing + across * sin_swing
            if level * along + rising * up < slant * nearest[_band(slant)]:
                continue
        reached = 1.0
        if slant - range_min < clear_of_gates or range_max - slant < clear_of_gates:
            gated = math.sqrt(position * position * flat2 + height * height * up * up) / slant
            reached = _within(slant - (range_max + range_min) / 2.0, gate, gated, 0.0)
            if reached == 0.0:
                continue
        if pyramid:
            some = _softened_pyramid(
                frames, turns, bounds, tan_h, tan_v, east, north, up, slant2, half_h, half_v, heading, tilt, position,
                height, reached, shares, count,
            )  # fmt: skip
        else:
            some = _softened_sector(
                azimuths, bounds, elevation, east, north, up, slant2, half_h, half_v, heading, tilt, position, height,
                reached, shares, count,
            )  # fmt: skip
        if some:
            mean = shares[0, count] * steps[0]
            for k in range(1, len(steps)):
                mean += shares[k, count] * steps[k]
            kept[count], likely[count] = i, mean
            count += np.uintp(1)
    return int(count)


@njit()
def _held_pyramid(
    planes: Floats, offsets: Floats, boresights: Floats, sure: Floats, group: int, east: float, north: float, up: float
) -> bool:
    """Whether a point is on the inner side of all frames' faces: planes (frames, 4, 3), and how far inside it must be,
    offsets (frames, 4) [m]. sure (3, 4): how far inside the first frame's faces it must be so that no other needs
    asking, as a share of the distance; the same for the others of a group of frames and its first; and a length.
    """
    slant = math.sqrt(east * east + north * north + up * up)
    slack = 1e-9 * slant
    for first in range(0, len(planes), group):
        safe_all = safe_group = True
        for k in range(first, first + group):
            x = boresights[k, 0] * east + boresights[k, 1] * north + boresights[k, 2] * up
            if x <= 0.0:
                return False
            for side in range(4):
                inside = planes[k, side, 0] * east + planes[k, side, 1] * north + planes[k, side, 2] * up
                if inside < offsets[k, side] - slack:
                    return False
                safe_all = safe_all and inside >= sure[0, side] * slant + sure[2, side]
                safe_group = safe_group and inside >= sure[1, side] * slant + sure[2, side]
            if k == 0 and safe_all and x > slack:
                return True
            if k == first and safe_group and x > slack:
                break
    return True


@njit()
def _sector_edges(azimuth: float, elevation: float, half_v: float, least: float, tilt: float) -> Floats:
    """Sine and cosine of the highest, of the lowest elevation under which a cell is held for sure, and of the azimuth;
    cosine of `least`, so far off it a cell is held for sure.
    """
    top, bottom = elevation + half_v - tilt, elevation - half_v + tilt
    edges = np.empty(7)
    edges[0], edges[1] = (math.sin(top), math.cos(top)) if top < math.pi / 2.0 else (1.0, 0.0)
    edges[2], edges[3] = (math.sin(bottom), math.cos(bottom)) if bottom > -math.pi / 2.0 else (-1.0, 0.0)
    if bottom >= top or top < -math.pi / 2.0 or bottom > math.pi / 2.0:
        edges[:4] = 0.0  # under and over nothing
    edges[4], edges[5] = math.sin(azimuth), math.cos(azimuth)
    edges[6] = math.cos(least) if least > 0.0 else 2.0
    return edges


@njit()
def _held_sector(
    edges: Floats, azimuth: float, elevation: float, half_h: float, half_v: float, heading: float, tilt: float,
    position: float, east: float, north: float, low: float, high: float,
) -> bool:  # fmt: skip
    """Whether a point at heights low to high is in a sector's windows from every place within `position`. edges: of
    `_sector_edges`.
    """
    flat = math.sqrt(east * east + north * north)
    near, far = max(flat - position, 0.0), flat + position
    hair = HAIR * (far + max(abs(low), abs(high)))
    over = high * edges[1] - min(near * edges[0], far * edges[0])
    under = max(near * edges[2], far * edges[2]) - low * edges[3]
    if not (over < -hair and under < -hair):
        for end in range(2):
            up = low if end == 0 else high
            above = math.atan2(up, near) - elevation
            below = math.atan2(up, far) - elevation
            if max(abs(above), abs(below)) + tilt > half_v + 1e-9:
                return False
    if half_h >= math.pi - 5e-10:
        return True
    # asin(p) <= p pi/2, and no cosine falls faster than 1.
    along = east * edges[4] + north * edges[5]
    if position < flat and along > flat * edges[6] + position * math.pi / 2.0 + hair:
        return True
    off = (math.atan2(east, north) - azimuth + math.pi) % (2.0 * math.pi) - math.pi
    turned = math.asin(position / flat) if position < flat else math.pi if position > 0.0 else 0.0
    return abs(off) + heading + turned <= half_h + 1e-9


@njit()
def hold(
    pyramid: bool, frames: Floats, azimuth: float, elevation: float, half_h: float, half_v: float, range_min: float,
    range_max: float, heading: float, tilt: float, position: float, height: float, rise: float, posting: float, easts:
    Floats, norths: Floats, ups: Floats, low_ups: Floats, kept: Indices, nearest: Floats, farthest: Floats,
) -> int:  # fmt: skip
    """How many of the points are in view under all frames, at both ends of their heights, from every place within
    `position` of the eye, and within the gates; fills in which, and their least and greatest slant range [m].

    frames (frames, 3, 3): heading by heading, and of each nine poses if there is a tilt; what was reported always comes
    first. ups, low_ups: as the reported eye and as the worst one sees them. height, rise: how far the eye and, beyond a
    posting, the ground may lie higher or lower.
    """
    tan_h, tan_v = math.tan(half_h), math.tan(half_v)
    planes, offsets = np.empty((len(frames), 4, 3)), np.empty((len(frames), 4))
    for k in range(len(frames)):
        for side in range(4):
            # |y| <= x tan h are two planes through the eye; a shift by `position` brings the target nearer to each by
            # that times the level part of the plane's normal.
            sign, tangent = (1.0 if side % 2 == 0 else -1.0), (tan_h if side < 2 else tan_v)
            for axis in range(3):
                planes[k, side, axis] = frames[k, 0, axis] * tangent + sign * frames[k, 1 + side // 2, axis]
            offsets[k, side] = position * math.hypot(planes[k, side, 0], planes[k, side, 1])
    # A turn by an angle brings a plane nearer to a point by its sine, at most, of the distance.
    sure = np.empty((3, 4))
    for side in range(4):
        length = math.hypot(tan_h if side < 2 else tan_v, 1.0)
        for which in range(2):
            turn = 2.0 * tilt + (heading if which == 0 else 0.0)
            sure[which, side] = length * math.sin(turn) + HAIR if turn < math.pi / 2.0 else math.inf
        sure[2, side] = length * position
    group = 9 if tilt > 0.0 else 1
    edges = _sector_edges(azimuth, elevation, half_v, half_h - heading, tilt)
    boresights = np.ascontiguousarray(frames[:, 0, :])
    count = np.uintp(0)
    for i in range(len(easts)):
        east, north = easts[i], norths[i]
        away = math.sqrt(east * east + north * north)
        lift = height + rise * min(away / posting, 1.0)
        lowest, highest = ups[i] - lift, max(ups[i], low_ups[i]) + lift
        if pyramid:
            # Most are out of the first frame: asked before all else, with more slack than `_held_pyramid` gives.
            slack, outside = 1e-9 * (away + abs(lowest)), False
            for side in range(4):
                inside = planes[0, side, 0] * east + planes[0, side, 1] * north + planes[0, side, 2] * lowest
                outside = outside or inside < offsets[0, side] - slack
            if outside:
                continue
        # Slant ranges of the box: the least where the target is level with the eye, or at the nearer end.
        level = 0.0 if lowest <= 0.0 <= highest else min(abs(lowest), abs(highest))
        steep, near, far = max(abs(lowest), abs(highest)), max(away - position, 0.0), away + position
        near, far = math.sqrt(near * near + level * level), math.sqrt(far * far + steep * steep)
        # A target that leaves a gate at its own height does so in the box, too; a hair keeps the edge itself inside.
        if near < range_min - 1e-9 or far > range_max + 1e-9:
            continue
        if pyramid:
            if not _held_pyramid(planes, offsets, boresights, sure, group, east, north, lowest):
                continue
            if not _held_pyramid(planes, offsets, boresights, sure, group, east, north, highest):
                continue
        elif not _held_sector(
            edges, azimuth, elevation, half_h, half_v, heading, tilt, position, east, north, lowest, highest
        ):
            continue
        kept[count], nearest[count], farthest[count] = i, near, far
        count += np.uintp(1)
    return int(count)
