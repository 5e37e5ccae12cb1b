"""The exact answer without the exact work: bounds decide nearly every cell, and the rest get the plain march.

An octant is cut into wedges by rays through the eye. What a line within a wedge meets is at most as steep as

- the exact horizons of the two rays that bound it, both families of grid lines included, and
- the steepest of the terrain's own points (the middles of cells) that lie inside it,

for between such points the terrain along a grid line is linear. A cell steeper than that is in sight, proven. For
most of the others one test is proof enough: the crossing at the column that made the neighbouring ray's horizon
already hides them. What is left, some 0.3 % of the cells, is marched crossing by crossing.
"""

import math

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit

_WEDGES = 1.0
"""Wedges per unit of slope, over the range in cells."""

_PAD = 1e-9
"""Slack of a bound for rounding, relative to the slopes at hand."""


@njit(error_model="numpy")
def _height(flat, origin, step, stride, n, y, lowest, highest):
    """Terrain at column n and height y of the octant, linear between its rows; level over the outer half cells."""
    if abs(y - round(y)) < 1e-9:
        y = float(round(y))
    low = min(max(int(math.floor(y)), lowest), highest)
    part = min(max(y - low, 0.0), 1.0)
    value = flat[np.uintp(origin + n * step + low * stride)]
    if part > 0.0 and low < highest:
        value += part * (flat[np.uintp(origin + n * step + (low + 1) * stride)] - value)
    return value


@njit(error_model="numpy")
def clear(ground, x, y, eye, row, col, up, bend):
    """Whether the line from the eye to `up` [m AMSL] over the cell is nowhere under the terrain; unknown ground hides.

    x, y: the eye in cells from the middle of the first cell; bend [1/cell]: (1 - k) cell^2 / 2R.
    """
    rows, cols = ground.shape
    dx, dy = col - x, row - y
    square = dx * dx + dy * dy
    for family in range(2):
        start, step, end = (x, dx, col) if family == 0 else (y, dy, row)
        if step == 0.0:
            continue
        if step > 0.0:
            first, last = int(math.floor(start)) + 1, end - 1
        else:
            first, last = end + 1, int(math.ceil(start)) - 1
        top = rows if family == 0 else cols
        for line in range(first, last + 1):
            share = (line - start) / step
            across = (y + share * dy) if family == 0 else (x + share * dx)
            across = min(max(across, 0.0), top - 1.0)
            # A crossing at a middle to 1e-9 of a cell is at that middle: the next one may be unknown.
            if abs(across - round(across)) < 1e-9:
                across = float(round(across))
            low = int(math.floor(across))
            part = across - low
            height = ground[low, line] if family == 0 else ground[line, low]
            if part > 0.0:
                height = (
                    height * (1.0 - part) + (ground[low + 1, line] if family == 0 else ground[line, low + 1]) * part
                )
            if not eye + share * (up - eye) - height - share * (1.0 - share) * square * bend >= 0.0:
                return False
    return True


@njit(error_model="numpy")
def _octant(
    ground, flat, origin, step, stride, ahead, lowest, highest, ax, ay, tlo, thi, x, y,
    reach, cell, bend, eye, target, seen, out, out_step, out_stride, major_is_column, behind, p0, p_step, q0, q_step,
):  # fmt: skip
    """One octant (slopes tlo to thi, within 0 to 1) into `seen`; returns the number of cells that were marched.

    As `horizon._quadrant`, but for rows 0 and up; behind: whether there is a column before column 0. p0, p_step,
    q0, q_step: column and row of the raster from those here.
    """
    count = int(math.ceil(reach * _WEDGES)) + 1
    rays = np.full(count + 3, -1e300)
    maker = np.zeros(count + 3, np.int32)
    inside = np.full(count + 3, -1e300)
    slopes = np.arange(count + 3) / count
    steepness = bend * (1.0 + slopes * slopes)
    first, last = int(math.floor(tlo * count)), min(int(math.ceil(thi * count)), count)
    reach2, marched = reach * reach, 0
    for n in range(ahead + 1):
        distance = n + ax
        if distance * distance > reach2:
            break
        inv = 1.0 / distance
        high = min(thi, math.sqrt(reach2 - distance * distance) * inv)
        mlo = max(int(math.ceil(tlo * distance - ay - 1e-9)), 0)
        mhi = min(int(math.floor(high * distance - ay + 1e-9)), highest)
        base = origin + n * step
        scale = count * inv
        for m in range(mlo, mhi + 1):
            aside = m + ay
            foot = flat[np.uintp(base + m * stride)]
            up = foot - eye + target
            place = aside * scale
            wedge = np.uintp(place)
            own = up * inv - bend * (distance + aside * aside * inv)
            bound = max(max(rays[wedge], rays[wedge + np.uintp(1)]), inside[wedge])
            if place - wedge < 1e-6 and place >= 1.0:
                # On the very edge of its wedge: the neighbour's bound holds as well.
                bound = max(bound, max(rays[wedge - np.uintp(1)], inside[wedge - np.uintp(1)]))
            in_range = (distance * distance + aside * aside) * cell * cell + up * up <= reach2 * cell * cell
            if not in_range or foot >= 1e20:
                continue
            # Within a wedge the horizon bulges over the straight line between its bounds by less than `bend`.
            sight = own >= bound + bend + _PAD * (abs(own) + abs(bound) + 1e-3)
            if not sight:
                slope = aside * inv
                for side in range(2):
                    made = maker[wedge + np.uintp(side)]
                    if made < n:
                        there = made + ax
                        height = _height(flat, origin, step, stride, made, slope * there - ay, lowest, highest)
                        over = (height - eye) / there - bend * there * (1.0 + slope * slope)
                        if own < over - _PAD * (abs(own) + abs(over) + 1e-3):
                            break
                else:
                    marched += 1
                    column, line = (
                        (p0 + n * p_step, q0 + m * q_step) if major_is_column else (q0 + m * q_step, p0 + n * p_step)
                    )
                    sight = clear(ground, x, y, eye, line, column, foot + target, bend)
            if sight:
                seen[np.uintp(out + n * out_step + m * out_stride)] = True
        # The terrain's points of this column, each in its wedge.
        for m in range(max(mlo - 1, 0), min(mhi + 1, highest) + 1):
            aside = m + ay
            wedge = np.uintp(aside * scale)
            if wedge <= count:
                own = (flat[np.uintp(base + m * stride)] - eye) * inv - bend * (distance + aside * aside * inv)
                inside[wedge] = max(inside[wedge], own)
        # The rays: where they cross this column, and the row they may cross between the last column and this one.
        end = min(last, int(high * count) + 1)
        nearer = distance - 1.0
        safe = first * distance / count - ay >= lowest and end * distance / count - ay < highest
        for k in range(np.uintp(first), np.uintp(end + 1)):
            slope = slopes[k]
            place = slope * distance - ay
            low = int(math.floor(place))
            if safe:
                z0, z1 = flat[np.uintp(base + low * stride)], flat[np.uintp(base + (low + 1) * stride)]
            else:
                z0 = flat[np.uintp(base + min(max(low, lowest), highest) * stride)]
                z1 = flat[np.uintp(base + min(max(low + 1, lowest), highest) * stride)]
            over = (z0 + (place - low) * (z1 - z0) - eye) * inv - steepness[k] * distance
            aside = low + ay
            if aside > slope * nearer and aside > 0.0 and low >= lowest and low <= highest:
                # The slope is above 0 here: the ray climbs.
                there = aside / slope
                # An eye in the raster's outer half cell has no column behind it: the ground goes on level.
                zp = flat[np.uintp(base - step + low * stride)] if n > 0 or behind else z0
                row_over = (zp + (there - nearer) * (z0 - zp) - eye) / there - steepness[k] * there
                over = max(over, row_over)
            if over > rays[k]:
                rays[k] = over
                maker[k] = n
    return marched


@njit(error_model="numpy")
def sweep_exact(ground, x, y, octants, cell, reach, bend, eye, target, first_row, first_col, seen):
    """Fills the window `seen` with the exact line of sight; returns the number of cells that had to be marched.

    As `horizon.sweep`; octants (n, 4): quadrant, side (1 or -1) and the slopes, 0 to 1, on that side.
    """
    rows, cols = ground.shape
    flat = ground.ravel()
    window = seen.ravel()
    width = seen.shape[1]
    marched = 0
    for i in range(octants.shape[0]):
        quadrant, side = int(octants[i, 0]), int(octants[i, 1])
        major_is_column = quadrant < 2
        p, q = (x, y) if major_is_column else (y, x)
        across, beside = (cols, rows) if major_is_column else (rows, cols)
        if quadrant == 0 or quadrant == 2:
            p_step, p0 = 1, int(math.floor(p)) + 1
            ax, ahead = p0 - p, across - 1 - p0
        else:
            p_step, p0 = -1, int(math.ceil(p)) - 1
            ax, ahead = p - p0, p0
        if side > 0:
            q0 = int(math.ceil(q))
            ay, highest, lowest = q0 - q, beside - 1 - q0, -q0
        else:
            q0 = int(math.floor(q))
            ay, highest, lowest = q - q0, q0, q0 - beside + 1
        ahead = min(ahead, int(reach / cell - ax + 1e-9))
        if major_is_column:
            step, stride, origin = p_step, side * cols, q0 * cols + p0
            out, out_step, out_stride = (q0 - first_row) * width + p0 - first_col, p_step, side * width
        else:
            step, stride, origin = p_step * cols, side, p0 * cols + q0
            out, out_step, out_stride = (p0 - first_row) * width + q0 - first_col, p_step * width, side
        marched += _octant(
            ground, flat, origin, step, stride, ahead, lowest, highest, ax, ay, octants[i, 2], octants[i, 3], x, y,
            reach / cell, cell, bend * cell * cell, eye, target, window, out, out_step, out_stride,
            major_is_column, 0 <= p0 - p_step < across, p0, p_step, q0, side,
        )  # fmt: skip
    return marched


def octants(slopes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The two sides of each of `horizon.quadrants`' parts: (n, 4) quadrant, side, least and greatest slope there."""
    parts = []
    for quadrant, low, high in slopes:
        if high >= 0.0:
            parts.append((quadrant, 1.0, max(low, 0.0), high))
        if low <= 0.0:
            parts.append((quadrant, -1.0, max(-high, 0.0), -low))
    return np.array(parts, dtype=np.float64).reshape(-1, 4)
