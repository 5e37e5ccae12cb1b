"""The horizon as a sensor sees it, marched outward over a quadrant: the fast path of the viewshed.

A quadrant's columns lie across the boresight axis, at distances X (in cells) from the eye; its rows m at Y = m + ay:

        row m+1         .      .      .     /.      the horizon of ray k is the steepest line of sight to the terrain
        row m           .      .     /.      .      so far, by its
        row m-1         .     /.      .      .        slope = height over the eye / X - bend X (1 + t^2), t = Y / X;
                       /                            a cell of column X is in sight iff its own slope reaches the
        eye     *                                   horizon interpolated between the two rays beside it
                       X-2    X-1     X     X+1

Two things make it quick. Columns are taken in blocks, and the rays of a block pass through the rows of its middle
column, so that in all its columns ray k lies close to row k: a chunk of 16 rays crosses a column between rows that
are neighbours in memory too, in at most two different places, and the compiler makes vector instructions of it.
Between blocks the horizon is interpolated to the next rays. The near half, where a ray must stand for more cells
further out, has a second family of rays half way between the first. Next to the eye chunks spread over more rows
than that; there each ray looks up its own.

It is not exact: the crossings with the rows between two columns are left out and the interpolation blurs.
benchmarks/RESULTS.md says how much. Heights are 32-bit floats, good to 0.2 mm.
"""

import math

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import NoAlias, njit
from dronewall.engine.terrain import UNKNOWN

_BLOCK = 32
"""Most columns of a block: the visible bits of a row's block fill an uint32."""

_CHUNK = np.uintp(16)
"""Rays (or rows) at a time. Beyond column `_NEAR` blocks are so narrow that over half of one a chunk drifts by less
than a row.
"""

_SMALL = 200
"""Cells of a range up to which it is cheap to be more exact: two rays a row everywhere, and twice `_NEAR`."""

_NEAR = 64
_FINE = 0.4
"""Share of a longer range in which there are two rays a row."""


# No `ninf`: unknown targets overflow to infinity on purpose.
_vector = njit(error_model="numpy", fastmath={"contract", "nsz", "arcp", "reassoc", "nnan"}, pipeline_class=NoAlias)
_f = np.float32
_u = np.uintp


@njit(inline="always")
def _at(values, j, share):
    """The value `share` (0 to 2) steps behind values[j].

    Selects among what is loaded anyway: a branch, or a load that depends on it, would cost the vectors. What is not
    selected may be nan.
    """
    first, second, third = values[j], values[j + _u(1)], values[j + _u(2)]
    nearer = share < _f(1.0)
    low = first if nearer else second
    high = second if nearer else third
    return low + (share if nearer else share - _f(1.0)) * (high - low)


@njit(inline="always")
def _at_fine(rays, between, j, share):
    """The horizon `share` (0 to 1) steps behind ray j, `between` being half way to the next."""
    near, middle, far = rays[j], between[j], rays[j + _u(1)]
    twice = share + share
    nearer = twice < _f(1.0)
    low = near if nearer else middle
    high = middle if nearer else far
    return low + (twice if nearer else twice - _f(1.0)) * (high - low)


@_vector
def _raise(rays, z, at, near, a, b, half, drift, inv, level):
    """Raises the horizon of the rays a to b - 1, in whole chunks, by the column z. Ray i stands at place at[i] and
    crosses the column half + at[i] drift rows behind row i.
    """
    for k in range(a, b, _CHUNK):
        lowest = np.floor(min(at[k] * drift, at[k + _CHUNK - _u(1)] * drift) + half)
        for i in range(k, k + _CHUNK):
            base = np.floor(at[i] * drift + half) if near else lowest
            slope = _at(z, i + _u(int(base)), at[i] * drift + (half - base)) * inv - level
            rays[i] = max(rays[i], slope)


@_vector
def _see(bits, bit, rays, between, z, at, near, a, b, last, drift, inv, target, drop, reach2, cell2):
    """Sets `bit` in the rows from a to the place `last` whose target, `target` metres over the column z, is in sight
    and in range; b: behind `last`.

    drop: what curvature has taken off a height at the end of the range.
    """
    for k in range(a, b, _CHUNK):
        lowest = np.floor(min(at[k] * drift, at[k + _CHUNK - _u(1)] * drift))
        for i in range(k, k + _CHUNK):
            y = at[i]
            # Not y itself: rows behind the last may drift out of the arrays.
            base = np.floor(min(y, last) * drift) if near else lowest
            j = i + _u(int(base))
            horizon = _at_fine(rays, between, j, y * drift - base) if near else _at(rays, j, y * drift - base)
            top = z[i] + target
            up = top + drop
            seen = (top * inv >= horizon) & (up * up <= reach2 - y * y * cell2) & (y <= last)
            bits[i] |= bit if seen else np.uint32(0)


@_vector
def _need(needs, rays, between, z, at, near, a, b, last, drift, distance, level):
    """Heights over the column z that reach the horizon, rows a to b - 1, in whole chunks; b: behind place `last`."""
    for k in range(a, b, _CHUNK):
        lowest = np.floor(min(at[k] * drift, at[k + _CHUNK - _u(1)] * drift))
        for i in range(k, k + _CHUNK):
            base = np.floor(min(at[i], last) * drift) if near else lowest
            j, share = i + _u(int(base)), at[i] * drift - base
            horizon = _at_fine(rays, between, j, share) if near else _at(rays, j, share)
            foot = z[i]
            least = max((horizon + level) * distance - foot, _f(0.0))
            needs[i] = least if foot < _f(1e20) else _f(UNKNOWN)


@_vector
def _refit(new, rays, between, double, at, a, b, ratio, offset, least, most):
    """The horizons interpolated to the rays of the next block; beyond the old rays the outermost goes on.

    ratio: the old middle column's distance over the new one's.
    """
    for i in range(a, b):
        place = min(max(at[i] * ratio + offset, least), most)
        j = _u(int(np.floor(place)))
        share = place - np.floor(place)
        new[i] = _at_fine(rays, between, j, share) if double else _at(rays, j, share)


@_vector
def _read(z, ground, drops, start, first, count, eye):
    """Heights over the eye [m], less what curvature takes off them for their distance along the column."""
    for i in range(count):
        z[first + i] = (ground[start + i] - _f(eye)) - drops[first + i]


@_vector
def _read_across(z, size, ground, drops, start, stride, step, first, count, columns, eye):
    """Columns that lie across the memory's rows, all of a block at once, eight rows at a time: z is (block, size),
    flat.
    """
    whole = count & ~_u(7)
    for i in range(_u(0), whole, _u(8)):
        for c in range(columns):
            for m in range(i, i + _u(8)):
                z[c * size + first + m] = (ground[start + m * stride + c * step] - _f(eye)) - drops[first + m]
    for m in range(whole, count):
        for c in range(columns):
            z[c * size + first + m] = (ground[start + m * stride + c * step] - _f(eye)) - drops[first + m]


@_vector
def _show(seen, place, bits, first, count, c):
    """Sets what is in sight of column c of a block, which lies along the memory."""
    for i in range(count):
        seen[place + i] |= (bits[first + i] >> c) & np.uint32(1) != 0


@_vector
def _show_across(seen, place, stride, bits, first, count, columns, backward):
    """Sets what is in sight of a block's columns, the first (backward: the last) at `place`."""
    for i in range(count):
        row = bits[first + i]
        if backward:
            for c in range(columns):
                seen[place + i * stride + c] |= (row >> np.uint32(columns - _u(1) - c)) & np.uint32(1) != 0
        else:
            for c in range(columns):
                seen[place + i * stride + c] |= (row >> np.uint32(c)) & np.uint32(1) != 0


@njit(error_model="numpy", pipeline_class=NoAlias)
def _tell(heights, place, step, needs, first, count):
    """Copies the heights of a column's rows; what lies behind unknown ground needs a height of 1e30 cells' slopes or
    so, nothing real 1e15.
    """
    for i in range(count):
        height = needs[first + i]
        heights[place + i * step] = height if height < _f(1e15) else _f(math.nan)


@njit(error_model="numpy")
def _quadrant(
    ground, start, step, stride, ahead, lowest, highest, lowest_told, highest_told, ax, ay, tlo, thi,
    reach, cell, bend, eye, target, as_height, seen, heights, out, out_step, out_stride,
):  # fmt: skip
    """One quadrant, between the slopes tlo and thi (-1 to 1), into `seen` or `heights` (flat windows).

    start: index of the cell at column 0, row 0; step, stride: from column to column and from row to row. ahead: the
    last column that the window has; lowest, highest: the rows that exist, and those that the window has. ax, ay: where
    column 0 and row 0 lie [cells from the eye]. reach [cells].
    """
    length = int(reach) + 2 * _BLOCK + 8
    origin = length
    size = 2 * length + 8 + 2 * int(_CHUNK)
    rays, between = np.empty(size, np.float32), np.empty(size, np.float32)
    next_rays, next_between = np.empty(size, np.float32), np.empty(size, np.float32)
    at, at_half, drops = np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.float32)
    curve = bend * cell * cell
    for i in range(size):
        y = i - origin + ay
        at[i], at_half[i], drops[i] = _f(y), _f(y + 0.5), _f(curve * y * y)
        rays[i] = between[i] = _f(-UNKNOWN)
    flat = np.empty(_BLOCK * size, np.float32)
    columns = flat.reshape((_BLOCK, size))
    needs = np.empty((_BLOCK if as_height else 1, size if as_height else 1), np.float32)
    bits = np.zeros(size, np.uint32)
    reach2, cell2 = reach * reach, cell * cell
    fine, close = (max(reach * _FINE, _NEAR), _NEAR) if reach > _SMALL else (math.inf, 2 * _NEAR)
    before, old_klo, old_khi = 0.0, 0, 0
    double = True
    first = 0
    count = 0
    while first + count <= ahead:
        first += count
        near = first < close
        count = 16 if near else 8 if first < 128 else 16 if first < 256 else _BLOCK
        count = min(count, ahead + 1 - first)
        # Not the first column of several: it may lie next to the eye, and rays aimed at its rows would fly apart.
        nearest, middle, farthest = first + ax, first + count // 2 + ax, first + count - 1 + ax
        if nearest * nearest > reach2:
            break
        edge = math.sqrt(reach2 - nearest * nearest) / nearest
        low, high = max(tlo, -edge), min(thi, edge)
        if low > high:
            break
        # The rays that cells of this block or a later one look at, and one more on either side.
        klo, khi = int(math.floor(low * middle - ay)) - 1, int(math.ceil(high * middle - ay)) + 1
        a, b = _u(klo + origin), _u(khi + 1 + origin)
        if first > 0:
            ratio, offset = _f(before / middle), _f(origin - ay)
            least, most = _f(old_klo + origin), _f(old_khi + origin - 0.001)
            _refit(next_rays, rays, between, double, at, a, b, ratio, offset, least, most)
            if double:
                _refit(next_between, rays, between, double, at_half, a, b, ratio, offset, least, most)
            rays, next_rays = next_rays, rays
            between, next_between = next_between, between
        double = first < fine
        before, old_klo, old_khi = middle, klo, khi
        # The rows that these rays cross; beyond the raster its last row goes on.
        lowest_ray, highest_ray = (klo + ay) / middle, (khi + 0.5 + ay) / middle
        zlo = int(math.floor(min(lowest_ray * nearest, lowest_ray * farthest) - ay)) - 1
        zhi = int(math.ceil(max(highest_ray * nearest, highest_ray * farthest) - ay)) + 2
        from_row, to_row = max(zlo, lowest), min(zhi, highest)
        if from_row > to_row:
            break
        rows = _u(to_row - from_row + 1)
        here = _u(from_row + origin)
        if stride == 1:
            for c in range(count):
                _read(columns[c], ground, drops, _u(start + (first + c) * step + from_row), here, rows, eye)
        else:
            there = _u(start + first * step + from_row * stride)
            _read_across(flat, _u(size), ground, drops, there, _u(stride), _u(step), here, rows, _u(count), eye)
        for c in range(count):
            for m in range(zlo, from_row):
                columns[c, m + origin] = columns[c, from_row + origin]
            for m in range(to_row + 1, zhi + 1):
                columns[c, m + origin] = columns[c, to_row + origin]
        for c in range(count):
            x = first + c + ax
            aside = math.sqrt(max(reach2 - x * x, 0.0))
            mlo = max(int(math.ceil(max(tlo * x, -aside) - ay - 1e-9)), lowest_told)
            mhi = min(int(math.floor(min(thi * x, aside) - ay + 1e-9)), highest_told)
            z = columns[c]
            inv, level = _f(1.0 / x), _f(curve * x)
            if mlo <= mhi:
                drift, end = _f(middle / x - 1.0), _f(mhi + ay)
                p, q = _u(mlo + origin), _u(mhi + 1 + origin)
                place = out + (first + c) * out_step + mlo * out_stride
                if as_height:
                    _need(needs[c], rays, between, z, at, near, p, q, end, drift, _f(x), level)
                    _tell(heights, _u(place), _u(out_stride), needs[c], p, q - p)
                else:
                    _see(
                        bits, np.uint32(1) << np.uint32(c), rays, between, z, at, near, p, q, end, drift,
                        inv, _f(target - curve * x * x), _f(curve * reach2), _f((reach2 - x * x) * cell2), _f(cell2),
                    )  # fmt: skip
                    if out_stride == 1:
                        _show(seen, _u(place), bits, p, q - p, np.uint32(c))
            drift = _f(x / middle - 1.0)
            _raise(rays, z, at, near, a, b, _f(0.0), drift, inv, level)
            if double:
                _raise(between, z, at_half, near, a, b, _f(0.5), drift, inv, level)
        if not as_height:
            shown, last = max(from_row, lowest_told), min(to_row, highest_told)
            if out_stride != 1 and shown <= last:
                place = out + (first if out_step > 0 else first + count - 1) * out_step + shown * out_stride
                _show_across(
                    seen,
                    _u(place),
                    _u(out_stride),
                    bits,
                    _u(shown + origin),
                    _u(last - shown + 1),
                    _u(count),
                    out_step < 0,
                )
            bits[from_row + origin : to_row + origin + 1] = 0


@njit(error_model="numpy")
def sweep(ground, x, y, slopes, cell, reach, bend, eye, target, as_height, first_row, first_col, seen, heights):
    """Fills the window `seen` (bool) or, as_height, `heights` (float32 [m], left alone outside the sector and the
    range).

    ground: float32 (north, east) [m over some level], unknown cells at UNKNOWN. x, y: the eye in cells from the
    middle of the first cell. slopes (n, 3): quadrant (0 east, 1 west, 2 north, 3 south) and the range of slopes in it.
    reach [m], eye [m over the same level]; target [m] over the ground.
    """
    rows, cols = ground.shape
    flat, seen_flat, heights_flat = ground.ravel(), seen.ravel(), heights.ravel()
    window = heights.shape if as_height else seen.shape
    last_row, last_col = first_row + window[0] - 1, first_col + window[1] - 1
    width = window[1]
    for n in range(slopes.shape[0]):
        quadrant = int(slopes[n, 0])
        ahead_is = 1 if quadrant == 0 or quadrant == 2 else -1
        p, q = (x, y) if quadrant < 2 else (y, x)
        across = cols if quadrant < 2 else rows
        if ahead_is > 0:
            p0 = int(math.floor(p)) + 1
            ax = p0 - p
            ahead = across - 1 - p0
        else:
            p0 = int(math.ceil(p)) - 1
            ax = p - p0
            ahead = p0
        begin, end = (first_col, last_col) if quadrant < 2 else (first_row, last_row)
        ahead = min(ahead, int(reach / cell - ax), end - p0 if ahead_is > 0 else p0 - begin)
        q0 = int(math.ceil(q))
        ay = q0 - q
        if quadrant < 2:
            _quadrant(
                flat, q0 * cols + p0, ahead_is, cols, ahead, -q0, rows - 1 - q0, first_row - q0, last_row - q0, ax, ay,
                slopes[n, 1], slopes[n, 2], reach / cell, cell, bend, eye, target, as_height, seen_flat, heights_flat,
                (q0 - first_row) * width + p0 - first_col, ahead_is, width,
            )  # fmt: skip
        else:
            _quadrant(
                flat, p0 * cols + q0, ahead_is * cols, 1, ahead, -q0, cols - 1 - q0, first_col - q0, last_col - q0, ax,
                ay, slopes[n, 1], slopes[n, 2], reach / cell, cell, bend, eye, target, as_height, seen_flat,
                heights_flat,
                (p0 - first_row) * width + q0 - first_col, ahead_is * width, 1,
            )  # fmt: skip


@njit()
def quadrants(azimuth: float, hfov: float) -> npt.NDArray[np.float64]:
    """The parts of a sector in the four quadrants, as `sweep` takes them: (n, 3) quadrant, least and greatest slope
    Y / X.

    Quadrants are 90 degrees wide and centred on east, west, north and south; slopes grow towards the north, in the
    last two towards the east.
    """
    parts, count = np.empty((12, 3)), 0
    for quadrant in range(4):
        if hfov >= math.tau - 1e-12:
            parts[quadrant, 0], parts[quadrant, 1], parts[quadrant, 2] = quadrant, -1.0, 1.0
            count += 1
            continue
        centre = (math.pi / 2.0, -math.pi / 2.0, 0.0, math.pi)[quadrant]
        off = (azimuth - centre + math.pi) % math.tau - math.pi
        for turn in (-math.tau, 0.0, math.tau):
            low = max(off + turn - hfov / 2.0, -math.pi / 4.0)
            high = min(off + turn + hfov / 2.0, math.pi / 4.0)
            if low <= high:
                # Clockwise from east is south: its slope falls; from north it is east: its slope rises.
                falls = quadrant == 0 or quadrant == 3
                least, most = (-math.tan(high), -math.tan(low)) if falls else (math.tan(low), math.tan(high))
                parts[count, 0], parts[count, 1], parts[count, 2] = quadrant, max(least, -1.0), min(most, 1.0)
                count += 1
    return parts[:count]
