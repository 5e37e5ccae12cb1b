r"""The exact answer without the exact work: bounds decide nearly every cell, and the rest get the plain march.

An octant's columns lie across its axis at distances X (in cells) from the eye, its rows m at Y = m + ay; rays through
the eye, at slopes t = Y / X of k / count, cut it into wedges. Height is taken in perspective, s = (z - eye) / X: there
each piece of a line of the grid is straight, but for the curvature.

           s    node        what the terrain of one column shows within a wedge is a chain: straight from ray to ray,
          /  \              or bent once, where a middle of a cell (a node) lies inside; the wedge is narrower than a
     ray /     \  ray       row, so never twice. Hence no line within the wedge meets anything above the chord from
        *  - -  *           horizon to horizon of its two rays, raised by the most that a node stands over that
        k  chord  k+1       chord (the excess). And each meets at least the chord of any one column, lowered by what
                            the node lies under it: the best such column is kept.

A cell over the one bound is in sight, a cell under the other is not, both proven. What is left between the two, some
per mille of the cells, is marched crossing by crossing.

Bounds are 32-bit floats, in plain loops over neighbours that become vector instructions. Their slack: with u = 2^-24,
S the steepest node (by amount) of the two columns at hand, the slope of a node is good to 4 u S (difference, 1/X,
product, curvature), a share along a line to 4 u (the place of a crossing is a double), a crossing to 16 u S, and the
chord of two slopes h and h' to 4 u (|h| + |h'|). `_PAD` is 64 u. The curvature bends a straight piece by b W^2 / 4 per
X of its length W: less than 2 b / X on the pieces here (the row from X - 1 to X is the worst), 4 b where X < 2; 8 b / X
is allowed for it. Places of crossings, good to 1e-15 X cells, are good to 1e-15 count of a wedge, next to the eye to
1e-15 count / X.

A ray that touches unknown ground counts as unknown in the upper bound, and in the lower one only away from what is
known. The slope of unknown ground is UNKNOWN cut by the distance, and 1e15 tells it from the steepest known, far below.

docs/studies/exact.txt: cells of a campaign on ground made to trip it, none of them otherwise than marched.
"""

import math

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import NoAlias, njit
from dronewall.engine.terrain import UNKNOWN

_PAD = 2.0**-18
"""Slack of a bound for rounding, relative to the slopes at hand."""

_BLOCK = 16
"""Columns that are read at once."""

_CHUNK = 256
"""Cells that are looked over at once for open ones."""

_HIDDEN, _SEEN, _OPEN = 0, 1, 2

_f = np.float32
_u = np.uintp
_i = np.int32
_vector = njit(error_model="numpy", fastmath={"contract", "nsz", "nnan"}, pipeline_class=NoAlias)


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


@njit(error_model="numpy", pipeline_class=NoAlias)
def _read(z, ground, start, count, eye):
    for i in range(count):
        z[_u(i)] = _f(ground[_u(start + i)] - eye)


@njit(error_model="numpy", pipeline_class=NoAlias)
def _read_back(z, ground, start, count, eye):
    for i in range(count):
        z[_u(i)] = _f(ground[_u(start - i)] - eye)


@njit(error_model="numpy", pipeline_class=NoAlias)
def _read_across(z, size, ground, start, stride, count, columns, step, eye):
    """Columns that lie across the memory's rows, all of a block at once: z is (block, size), flat."""
    for i in range(count):
        for c in range(columns):
            z[_u(c * size + i)] = _f(ground[_u(start + i * stride + c * step)] - eye)


@_vector
def _slope(s, z, at, count, inv, c0, c1):
    """Heights over the eye `z` as slopes `s`, curvature taken off; returns the greatest known one, up or down, in whole
    metres (a maximum of floats is no vector instruction here).
    """
    greatest = _i(0)
    for i in range(_u(count)):
        y = at[i]
        slope = z[i] * inv - (c0 + c1 * y * y)
        s[i] = slope if slope < _f(UNKNOWN) else _f(UNKNOWN)
        size = abs(z[i])
        whole = _i(size if size < _f(1e9) else _f(0.0))
        greatest = whole if whole > greatest else greatest
    return greatest


@_vector
def _cross(slopes, first, end, x, shift, ay, s, before, feet, bare, climbs, low, part, node, foot, over, under, pad):
    """Where rays first to end - 1 cross a column, and the row they may cross between the last column and this one.

    Into low: the row under the crossing (its index in s), part: how far over it, 0 to 1 and never 0; node and foot: the
    slopes of what stands there; over and under: bounds of the ray's crossings.
    """
    nearer = _f(x - 1.0)
    for k in range(first, end):
        place = slopes[k] * x + shift
        line = math.ceil(place) - 1.0
        row = _i(line)
        i = _u(row)
        share = _f(place - line)
        near, far = s[i], s[i + _u(1)]
        across = near * (_f(1.0) - share) + far * share
        behind = before[i]
        along = near + share * nearer / _f(line + ay) * (behind - near)
        along = along if climbs & (share < _f(slopes[k])) else across
        above = along if along > across else across
        most = near if near > far else far
        least = near if near < far else far
        unknown = most > _f(1e15)
        low[k] = row
        part[k] = share
        node[k] = near
        over[k] = _f(UNKNOWN) if unknown else above + pad
        # Beside a known middle a line may be taken to pass over it (`clear`), further off it meets the unknown.
        amid = (share > _f(1e-6)) & (share < _f(1.0 - 1e-6))
        under[k] = (_f(UNKNOWN) if amid else least) if unknown else across
        if not bare:
            foot[k] = feet[i]


@_vector
def _judge(state, rays, excess, left, right, first, end, low, part, node, foot, over, under, width, aim, pad):
    """What is known of a column's cells into `state`, by wedge; then the column raises the bounds.

    rays, excess: chord and excess of the upper bound; left, right: the lower one's chord. Row low[k + 1] is the wedge's
    own where the ray k runs under it. width: wedges in a row. aim: the target's height as a slope.
    """
    for k in range(first, end):
        m = k + _u(1)
        h0, h1 = rays[k], rays[m]
        size = abs(h0) + abs(h1)
        share = _f(1.0) - part[m] * width
        inside = low[m] > low[k]
        stands = node[m]
        own = foot[m] + aim
        much = excess[k]
        bound = h0 + share * (h1 - h0) + much
        sight = own - bound >= _f(_PAD) * (size + much + abs(own)) + pad
        l0, l1 = left[k], right[k]
        least = l0 + share * (l1 - l0)
        hidden = least - own > _f(_PAD) * (abs(l0) + abs(l1) + abs(own)) + pad
        hidden |= foot[m] > _f(1e15)
        state[k] = _i(_HIDDEN) if hidden else (_i(_SEEN) if sight else _i(_OPEN))
        # The upper bound: as the chord rises, what was over it is less over it.
        o0, o1 = over[k], over[m]
        n0 = o0 if o0 > h0 else h0
        n1 = o1 if o1 > h1 else h1
        rise = n0 - h0 if n0 - h0 < n1 - h1 else n1 - h1
        much = (much - rise * _f(1.0 - 1e-6)) * _f(1.0 + 1e-6)
        bump = stands - (n0 + share * (n1 - n0)) + (pad + _f(_PAD) * (abs(n0) + abs(n1)))
        bump = bump if inside else _f(0.0)
        much = bump if bump > much else much
        excess[k] = much if much > _f(0.0) else _f(0.0)
        rays[k] = n0
        # The lower bound: this column's chain if it is the higher one; beside unknown ground its lowest point.
        u0, u1 = under[k], under[m]
        lower = u0 if u0 < u1 else u1
        upper = u0 if u0 > u1 else u1
        lower = stands if inside & (stands < lower) else lower
        unknown = upper > _f(1e15)
        u0 = lower if unknown else u0
        u1 = lower if unknown else u1
        dent = u0 + share * (u1 - u0) - stands
        dent = dent if inside & (dent > _f(0.0)) else _f(0.0)
        dent += pad
        better = u0 + u1 - dent - dent > l0 + l1
        left[k] = u0 - dent if better else l0
        right[k] = u1 - dent if better else l1


@njit(error_model="numpy")
def _near(over, slopes, first, end, x, ay, bend, z, before, behind, pad):
    """Raises `over` by the row that rays cross in front of a column nearer than 2 cells.

    behind: whether there is a column before. z, before: heights over the eye.
    """
    for k in range(_u(first), _u(end)):
        slope = slopes[k]
        line = math.ceil(slope * x - ay) - 1.0
        aside = line + ay
        if aside > slope * (x - 1.0) and aside > 0.0:
            # The slope is above 0 here: the ray climbs.
            there = aside / slope
            i = _u(int(line) + 2)
            here = float(z[i])
            # An eye in the raster's outer half cell has no column behind it: the ground goes on level.
            past = float(before[i]) if behind else here
            height = past + (there - x + 1.0) * (here - past) + _PAD * (abs(past) + abs(here))
            row_over = height / there - bend * there * (1.0 + slope * slope) + pad
            over[k] = _f(min(max(row_over, float(over[k])), UNKNOWN))


@njit(error_model="numpy")
def _read_columns(z, first, flat, start, step, stride, from_row, to_row, columns, eye):
    """Heights over the eye of some columns into z[first] and on, index 0 being row -2; the raster's edge goes on."""
    size, rows = z.shape[1], to_row - from_row + 1
    start += from_row * stride
    lead = from_row + 2
    if stride == 1 or stride == -1:
        for c in range(columns):
            if stride == 1:
                _read(z[first + c, lead:], flat, start + c * step, rows, eye)
            else:
                _read_back(z[first + c, lead:], flat, start + c * step, rows, eye)
    else:
        _read_across(z.ravel()[first * size + lead :], size, flat, start, stride, rows, columns, step, eye)
    for c in range(first, first + columns):
        z[c, :lead] = z[c, lead]
        z[c, lead + rows : lead + rows + 3] = z[c, lead + rows - 1]


@njit(error_model="numpy")
def _read_feet(z, ground, blocks, start, step, stride, from_row, to_row, columns, eye, target):
    """As `_read_columns`, for where targets stand; unknown ground where what stands there is higher than the target."""
    for c in range(columns):
        for m in range(from_row, to_row + 1):
            i = _u(start + c * step + m * stride)
            z[c, m + 2] = _f(ground[i] - eye) if blocks[i] - ground[i] <= target else _f(UNKNOWN)


@_vector
def _split(rays, excess, left, right, new_rays, new_excess, new_left, new_right, first, end):
    """The bounds of wedges first to end - 1, each cut into two of half the width."""
    for k in range(first, end):
        m = k + k
        h0, h1 = rays[k], rays[k + _u(1)]
        l0, l1 = left[k], right[k]
        much = excess[k] + _f(_PAD) * (abs(h0) + abs(h1))
        slack = _f(_PAD) * (abs(l0) + abs(l1))
        new_rays[m], new_rays[m + _u(1)], new_rays[m + _u(2)] = h0, _f(0.5) * (h0 + h1), h1
        new_excess[m], new_excess[m + _u(1)] = much, much
        new_left[m], new_right[m + _u(1)] = l0 - slack, l1 - slack
        new_right[m] = new_left[m + _u(1)] = _f(0.5) * (l0 + l1) - slack


@njit(error_model="numpy")
def _place(rows, low, state, first, end):
    """The state of wedges as that of rows. Backwards: of the wedges over a row the lowest holds it."""
    for k in range(end - 1, first - 1, -1):
        rows[_u(low[_u(k + 1)])] = state[_u(k)]


@njit(error_model="numpy")
def _octant(
    blocks, ground, bare, origin, step, stride, ahead, behind, lowest, highest, ax, ay, tlo, thi,
    reach, cell, bend, eye, target, seen, out, out_step, out_stride,
):  # fmt: skip
    """One octant (slopes tlo to thi, within 0 to 1) into `seen` (flat): `_HIDDEN`, `_SEEN` or `_OPEN`.

    blocks, ground: flat heights; bare: whether they are the same. origin: index of the cell at column 0, row 0; step,
    stride: from column to column and from row to row. ahead: the last column; behind: whether there is one before
    column 0. lowest, highest: the rows that exist. ax, ay: where column 0 and row 0 lie [cells from the eye]. reach
    [cells], bend [1/cell].
    """
    reach2 = reach * reach
    # The wedges are split as they get wider than a row, the last time for the farthest column.
    splits = max(int(math.log2(reach + 2.0) - 4.0), 0)
    count = int(math.ceil((reach + 2.0) / 2.0**splits))
    most = (count << splits) + 4
    size = min(most, highest) + 8
    slopes = np.arange(most) / count
    rays = np.full(most, _f(-UNKNOWN))
    left, right, excess = rays.copy(), rays.copy(), np.zeros(most, np.float32)
    new_rays, new_left, new_right, new_excess = rays.copy(), rays.copy(), rays.copy(), excess.copy()
    part, node, foot = np.zeros(most, np.float32), np.zeros(most, np.float32), np.zeros(most, np.float32)
    over, under = np.zeros(most, np.float32), np.zeros(most, np.float32)
    low, state = np.zeros(most, np.int32), np.zeros(most, np.int32)
    at = (np.arange(size) - 2.0 + ay).astype(np.float32)
    rows = np.zeros(size, np.uint8)
    heights = np.zeros((_BLOCK + 1, size), np.float32)
    standing = np.zeros((1 if bare else _BLOCK, size), np.float32)
    s, before, feet = np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32)
    first, last = max(int(math.floor(tlo * count)) - 1, 0), min(int(math.ceil(thi * count)) + 1, count + 1)
    end = last
    from_row, to_row = max(lowest, -2), 0
    if behind:
        _read_columns(heights, _BLOCK, blocks, origin - step, step, stride, from_row, min(highest, 2), 1, eye)
    greatest = 0
    for n in range(ahead + 1):
        distance = n + ax
        if distance * distance > reach2:
            break
        inv = 1.0 / distance
        edge = math.sqrt(reach2 - distance * distance)
        c = n % _BLOCK
        if c == 0:
            columns = min(_BLOCK, ahead + 1 - n)
            heights[0] = heights[_BLOCK]
            to_row = min(int(min(thi * (distance + columns), edge) - ay) + 3, highest)
            start = origin + n * step
            _read_columns(heights, 1, blocks, start, step, stride, from_row, to_row, columns, eye)
            if not bare:
                _read_feet(standing, ground, blocks, start, step, stride, from_row, to_row, columns, eye, target)
        if distance + 1.0 > count:
            _split(rays, excess, left, right, new_rays, new_excess, new_left, new_right, _u(first), _u(end))
            rays, excess, new_rays, new_excess = new_rays, new_excess, rays, excess
            left, right, new_left, new_right = new_left, new_right, left, right
            count *= 2
            slopes *= 0.5
            first, last = max(int(math.floor(tlo * count)) - 1, 0), min(int(math.ceil(thi * count)) + 1, count + 1)
        high = min(thi, edge * inv)
        end = int(min(min(last, math.ceil(high * count) + 1), math.ceil((highest + ay) * inv * count) + 1))
        mlo = max(int(math.ceil(tlo * distance - ay - 1e-9)), 0)
        mhi = min(int(math.floor(high * distance - ay + 1e-9)), highest)
        s, before = before, s
        level, rise = _f(bend * distance), _f(bend * inv)
        earlier, greatest = greatest, _slope(s, heights[c + 1], at, to_row + 6, _f(inv), level, rise)
        if not bare:
            greatest = max(greatest, _slope(feet, standing[c], at, to_row + 6, _f(inv), level, rise))
        aim = target * inv
        up = max(greatest, earlier) + 1.0 + target
        steep = up * (1.0 / (distance - 1.0) if n > 1 else inv) + 3.0 * abs(bend) * distance
        pad = (_PAD + 1e-15 * count * inv) * steep + 8.0 * abs(bend) * inv
        _cross(
            slopes, _u(first), _u(end + 1), distance, 2.0 - ay, ay - 2.0, s, before, feet, bare, n > 1,
            low, part, node, foot, over, under, _f(pad),
        )  # fmt: skip
        if n < 2:
            _near(over, slopes, first, end + 1, distance, ay, bend, heights[c + 1], heights[c], behind or n > 0, pad)
        _judge(
            state, rays, excess, left, right, _u(first), _u(end), low, part, node, node if bare else foot, over, under,
            _f(count * inv), _f(aim), _f(pad),
        )  # fmt: skip
        rays[end] = max(rays[end], over[end])
        if mlo > mhi:
            continue
        rows[mlo + 2 : mhi + 3] = _OPEN
        _place(rows, low, state, first, end)
        # Beyond `sure` the slant range may end.
        slack = reach2 * (1.0 - 1e-9) - (up / cell) ** 2 - distance * distance
        sure = int(math.sqrt(slack) - ay) if slack > ay * ay else -1
        for m in range(max(sure, mlo - 1) + 1, mhi + 1):
            if rows[m + 2] != _HIDDEN:
                aside = m + ay
                rise = ground[_u(origin + n * step + m * stride)] - eye + target
                if not (distance * distance + aside * aside) * cell * cell + rise * rise <= reach2 * cell * cell:
                    rows[m + 2] = _HIDDEN
        place = out + n * out_step
        if out_stride == 1:
            for m in range(mlo, mhi + 1):
                seen[_u(place + m)] = rows[_u(m + 2)]
        else:
            for m in range(mlo, mhi + 1):
                seen[_u(place + m * out_stride)] = rows[_u(m + 2)]


@_vector
def _any_open(window, start, end):
    found = np.uint8(0)
    for i in range(start, end):
        found |= window[i]
    return found & np.uint8(_OPEN) != 0


@njit(error_model="numpy")
def _settle(blocks, ground, x, y, bend, eye, target, first_row, first_col, seen):
    """Marches to the cells of the window that are `_OPEN`; returns how many there were."""
    marched = 0
    window, width = seen.ravel(), seen.shape[1]
    for start in range(0, window.size, _CHUNK):
        end = min(start + _CHUNK, window.size)
        if not _any_open(window, _u(start), _u(end)):
            continue
        for i in range(start, end):
            if window[i] == _OPEN:
                marched += 1
                row, col = first_row + i // width, first_col + i % width
                foot = ground[row, col]
                window[i] = blocks[row, col] - foot <= target and clear(
                    blocks, x, y, eye, row, col, foot + target, bend
                )
    return marched


@njit(error_model="numpy")
def sweep_exact(blocks, ground, bare, x, y, octants, cell, reach, bend, eye, target, first_row, first_col, seen):
    """Fills the window `seen` (uint8) with the exact line of sight; returns the number of cells that had to be marched.

    As `horizon.sweep`; blocks: what blocks, unknown cells at UNKNOWN; ground: where targets stand, bare: whether
    both are the same. octants (n, 4): quadrant, side (1 or -1) and the slopes, 0 to 1, on that side.
    """
    rows, cols = blocks.shape
    window = seen.ravel()
    width = seen.shape[1]
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
        if highest < 0 or ahead < 0:
            continue
        if major_is_column:
            step, stride, origin = p_step, side * cols, q0 * cols + p0
            out, out_step, out_stride = (q0 - first_row) * width + p0 - first_col, p_step, side * width
        else:
            step, stride, origin = p_step * cols, side, p0 * cols + q0
            out, out_step, out_stride = (p0 - first_row) * width + q0 - first_col, p_step * width, side
        _octant(
            blocks.ravel(), ground.ravel(), bare, origin, step, stride, ahead, 0 <= p0 - p_step < across, lowest,
            highest, ax, ay, octants[i, 2], octants[i, 3], reach / cell, cell, bend * cell * cell, eye, target,
            window, out, out_step, out_stride,
        )  # fmt: skip
    return _settle(blocks, ground, x, y, bend * cell * cell, eye, target, first_row, first_col, seen)


def octants(slopes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The two sides of each of `horizon.quadrants`' parts: (n, 4) quadrant, side, least and greatest slope there."""
    parts = []
    for quadrant, low, high in slopes:
        if high >= 0.0:
            parts.append((quadrant, 1.0, max(low, 0.0), high))
        if low <= 0.0:
            parts.append((quadrant, -1.0, max(-high, 0.0), -low))
    return np.array(parts, dtype=np.float64).reshape(-1, 4)
