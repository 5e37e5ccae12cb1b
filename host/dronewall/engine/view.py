"""Whether cells are in a sensor's view when its pose errs: how probably (`soften`), and whether in every case (`hold`).

`levels` says what the errors are; here are the loops over the cells.
"""

import math

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit

Floats = npt.NDArray[np.float64]


@njit()
def _within(value: float, half: float, sigma: float, slack: float) -> float:
    """Probability that a value with a normal error lies in -half..half."""
    if sigma <= 0.0:
        return 1.0 if abs(value) <= half + slack else 0.0
    low, high = (-half - value) / sigma, (half - value) / sigma
    if low < -4.0 and high > 4.0:
        return 1.0
    if low > 4.0 or high < -4.0:
        return 0.0
    root = math.sqrt(2.0)
    return 0.5 * (math.erf(high / root) - math.erf(low / root))


@njit()
def soften(
    pyramid: bool,
    frames: Floats,
    azimuths: Floats,
    elevation: float,
    half_h: float,
    half_v: float,
    range_min: float,
    range_max: float,
    heading: float,
    tilt: float,
    position: float,
    height: float,
    easts: Floats,
    norths: Floats,
    ups: Floats,
    exposed: Floats,
    shares: npt.NDArray[np.uint8],
) -> None:
    """Fills `shares`: probability of being in view under each draw of the heading, where anything is exposed."""
    gate = (range_max - range_min) / 2.0
    for i in range(exposed.shape[0]):
        north = norths[i]
        for j in range(exposed.shape[1]):
            if exposed[i, j] <= 0.0:
                continue
            east, up = easts[j], ups[i, j]
            flat2 = east * east + north * north
            slant2 = flat2 + up * up
            slant = math.sqrt(slant2)
            flat = math.sqrt(flat2)
            if slant2 == 0.0:
                continue
            along = math.sqrt(position * position * flat2 + height * height * up * up) / slant
            reached = _within(slant - (range_max + range_min) / 2.0, gate, along, 0.0)
            if reached == 0.0:
                continue
            if pyramid:
                for k in range(frames.shape[0]):
                    b0, b1, b2 = frames[k, 0, 0], frames[k, 0, 1], frames[k, 0, 2]
                    r0, r1, r2 = frames[k, 1, 0], frames[k, 1, 1], frames[k, 1, 2]
                    u0, u1, u2 = frames[k, 2, 0], frames[k, 2, 1], frames[k, 2, 2]
                    x = b0 * east + b1 * north + b2 * up
                    if x <= 1e-6 * slant:
                        continue
                    y = (r0 * east + r1 * north + r2 * up) / x
                    z = (u0 * east + u1 * north + u2 * up) / x
                    # How far each error moves y/x and z/x: turned about the vertical (heading), about the level
                    # axis to the boresight's right (elevation), about the boresight (roll), and shifted.
                    bx = (-b0 * north + b1 * east) / x
                    hy = (-r0 * north + r1 * east) / x - y * bx
                    hz = (-u0 * north + u1 * east) / x - z * bx
                    ca, sa = math.cos(azimuths[k]), math.sin(azimuths[k])
                    te, tn, tu = -sa * up, -ca * up, ca * north + sa * east
                    bx = (b0 * te + b1 * tn + b2 * tu) / x
                    ty = (r0 * te + r1 * tn + r2 * tu) / x - y * bx
                    tz = (u0 * te + u1 * tn + u2 * tu) / x - z * bx
                    ey, ez = (r0 - y * b0) / x, (u0 - z * b0) / x
                    ny, nz = (r1 - y * b1) / x, (u1 - z * b1) / x
                    ay, az = (r2 - y * b2) / x, (u2 - z * b2) / x
                    sy = math.sqrt(
                        (heading * hy) ** 2
                        + tilt * tilt * (ty * ty + z * z)
                        + position * position * (ey * ey + ny * ny)
                        + (height * ay) ** 2
                    )
                    sz = math.sqrt(
                        (heading * hz) ** 2
                        + tilt * tilt * (tz * tz + y * y)
                        + position * position * (ez * ez + nz * nz)
                        + (height * az) ** 2
                    )
                    # As angles, in which a turn about an axis in the side's own plane is no approximation.
                    beside = _within(math.atan(y), half_h, sy / (1.0 + y * y), 1e-9)
                    seen = beside * _within(math.atan(z), half_v, sz / (1.0 + z * z), 1e-9)
                    shares[k, i, j] = int(255.0 * reached * seen + 0.5)
            else:
                turned = math.sqrt(
                    tilt * tilt + (height * height * flat2 + position * position * up * up) / (slant2 * slant2)
                )
                seen = _within(math.atan2(up, flat) - elevation, half_v, turned, 1e-9) * reached
                if half_h >= math.pi - 5e-10:
                    for k in range(frames.shape[0]):
                        shares[k, i, j] = int(255.0 * seen + 0.5)
                    continue
                spread = math.sqrt(heading * heading + position * position / max(flat2, 1e-6))
                for k in range(frames.shape[0]):
                    off = (math.atan2(east, north) - azimuths[k] + math.pi) % (2.0 * math.pi) - math.pi
                    around = 0.0
                    for lap in range(-1, 2):
                        around += _within(off + lap * 2.0 * math.pi, half_h, spread, 1e-9)
                    shares[k, i, j] = int(255.0 * min(around, 1.0) * seen + 0.5)


@njit()
def hold(
    pyramid: bool,
    frames: Floats,
    azimuth: float,
    elevation: float,
    half_h: float,
    half_v: float,
    heading: float,
    tilt: float,
    position: float,
    easts: Floats,
    norths: Floats,
    lowest: Floats,
    highest: Floats,
    held: npt.NDArray[np.bool_],
) -> None:
    """Clears `held` where a cell is out of view under one of the frames, at one end of its heights, or from a place
    within `position` of the eye.
    """
    tan_h, tan_v = math.tan(half_h), math.tan(half_v)
    for i in range(held.shape[0]):
        north = norths[i]
        for j in range(held.shape[1]):
            if not held[i, j]:
                continue
            east = easts[j]
            for end in range(2):
                up = lowest[i, j] if end == 0 else highest[i, j]
                flat = math.sqrt(east * east + north * north)
                slant = math.sqrt(flat * flat + up * up)
                if pyramid:
                    for k in range(frames.shape[0]):
                        b0, b1, b2 = frames[k, 0, 0], frames[k, 0, 1], frames[k, 0, 2]
                        r0, r1, r2 = frames[k, 1, 0], frames[k, 1, 1], frames[k, 1, 2]
                        u0, u1, u2 = frames[k, 2, 0], frames[k, 2, 1], frames[k, 2, 2]
                        x = b0 * east + b1 * north + b2 * up
                        y = r0 * east + r1 * north + r2 * up
                        z = u0 * east + u1 * north + u2 * up
                        # |y| <= x tan h are two planes through the eye; a shift by `position` brings the target
                        # nearer to each by that times the level part of the plane's normal.
                        slack = 1e-9 * slant
                        out = x <= 0.0
                        for side in range(2):
                            sign = 1.0 if side == 0 else -1.0
                            level = math.hypot(b0 * tan_h + sign * r0, b1 * tan_h + sign * r1)
                            out = out or x * tan_h + sign * y < position * level - slack
                            level = math.hypot(b0 * tan_v + sign * u0, b1 * tan_v + sign * u1)
                            out = out or x * tan_v + sign * z < position * level - slack
                        if out:
                            held[i, j] = False
                            break
                    if not held[i, j]:
                        break
                else:
                    near = max(flat - position, 0.0)
                    above = math.atan2(up, near) - elevation
                    below = math.atan2(up, flat + position) - elevation
                    if max(abs(above), abs(below)) + tilt > half_v + 1e-9:
                        held[i, j] = False
                        break
                    if half_h < math.pi - 5e-10:
                        off = (math.atan2(east, north) - azimuth + math.pi) % (2.0 * math.pi) - math.pi
                        turned = math.asin(position / flat) if position < flat else math.pi if position > 0.0 else 0.0
                        if abs(off) + heading + turned > half_h + 1e-9:
                            held[i, j] = False
                            break
