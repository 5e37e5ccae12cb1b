"""The horizon as a sensor sees it, marched outward over a quadrant: the fast path of the viewshed.

A quadrant's columns lie across the boresight axis, at distances X (in cells) from the eye; its rows m at Y = m + ay:

         row m+1  .    .    .   /ray          the horizon of ray k is the steepest line of sight to the terrain so
         far, row m    .    .    . /  .            slope = height over the eye / X - bend X (1 + t^2), t = Y / X eye
         *---------/----.            a cell of column X is in sight iff its own slope reaches the horizon X-2  X-1 X
         X+1            interpolated between the two rays beside it

Two things make it quick. Columns are taken in blocks, and the rays of a block pass through the rows of its middle
column, so that in all its columns ray k lies close to row k: long runs of rays share one shift, and a run is a
plain loop over neighbours in memory, which the compiler turns into vector instructions. Between blocks the horizon
is interpolated to the next rays. The near half, where a ray must stand for more cells further out, has a second
family of rays half way between the first.

It is not exact: the crossings with the rows between two columns are left out and the interpolation blurs.
benchmarks/RESULTS.md says how much. Heights over the eye are 32-bit floats, good to 0.1 mm.
"""

import math

import numpy as np
import numpy.typing as npt
from numba.core.compiler import CompilerBase, DefaultPassBuilder

from dronewall.engine._jit import njit

_BLOCK = 32
"""Columns of a block beyond `_NEAR`, half as many before: the visible bits of a row's block fill an uint32."""

_NEAR = 192
_FINE = 0.5
"""Share of the range in which there are two rays a row, where the range has more than 200 cells; below, everywhere."""

_UNKNOWN = 1e30
"""Stands for unknown ground: higher than anything, and it stays on the horizon."""


class _NoAlias(CompilerBase):  # type: ignore[misc]
    """Tells LLVM that the arrays of a call do not overlap: without it no loop here is vectorised."""

    def define_pipelines(self):
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


# No `ninf`: unknown targets overflow to infinity on purpose.
_vector = njit(error_model="numpy", fastmath={"contract", "nsz", "arcp", "reassoc", "nnan"}, pipeline_class=_NoAlias)
_f = np.float32
_u = np.uintp


@_vector
def _raise(rays, z, at, a, b, j, jf, drift, inv, c0, c1):
    """Raises the horizon of rays a to b - 1 by the column z, which they cross between their rows + j and + j + 1."""
    for i in range(a, b):
        y = at[i]
        low = z[i + j]
        slope = (low + (y * drift - jf) * (z[i + j + _u(1)] - low)) * inv - (c0 + c1 * y * y)
        highest = rays[i]
        rays[i] = slope if slope > highest else highest


@_vector
def _see(bits, bit, rays, between, double, z, at, a, b, j, jf, drift, inv, c0, c1, target, x2, cell2, reach2):
    """Sets `bit` in the rows a to b - 1 whose target, `target` metres over the column z, is in sight and in range."""
    for i in range(a, b):
        y = at[i]
        share = y * drift - jf
        near = rays[i + j]
        far = rays[i + j + _u(1)]
        if double:
            middle = between[i + j]
            horizon = (
                near + (share + share) * (middle - near)
                if share < _f(0.5)
                else middle + (share + share - _f(1.0)) * (far - middle)
            )
        else:
            horizon = near + share * (far - near)
        up = z[i] + target
        seen = (up * inv - (c0 + c1 * y * y) >= horizon) & (up * up + (x2 + y * y) * cell2 <= reach2)
        bits[i] |= bit if seen else np.uint32(0)


@_vector
def _need(heights, rays, between, double, z, at, a, b, j, jf, drift, distance, c0, c1):
    """Heights over the column z that reach the horizon, rows a to b - 1."""
    for i in range(a, b):
        y = at[i]
        share = y * drift - jf
        near = rays[i + j]
        far = rays[i + j + _u(1)]
        if double:
            middle = between[i + j]
            horizon = (
                near + (share + share) * (middle - near)
                if share < _f(0.5)
                else middle + (share + share - _f(1.0)) * (far - middle)
            )
        else:
            horizon = near + share * (far - near)
        needed = (horizon + (c0 + c1 * y * y)) * distance - z[i]
        least = needed if needed > _f(0.0) else _f(0.0)
        heights[i] = least if z[i] < _f(1e20) else _f(_UNKNOWN)


@_vector
def _read(z, ground, start, first, count, eye):
    for i in range(count):
        z[first + i] = _f(ground[start + i] - eye)


@_vector
def _read_across(z, size, ground, start, stride, first, count, columns, step, eye):
    """Columns that lie across the memory's rows, all of a block at once: z is (block, size), flat."""
    for i in range(count):
        for c in range(columns):
            z[c * size + first + i] = _f(ground[start + i * stride + c * step] - eye)


@njit(error_model="numpy")
def _run_end(j, drift, offset, last):
    """The first index behind the run of rows (or rays) i with floor((i + offset) drift + 0) = j, at most last + 1."""
    if drift > 1e-12:
        return min(int(math.ceil((j + 1) / drift - offset)), last + 1)
    if drift < -1e-12:
        return min(int(math.floor(j / drift - offset)) + 1, last + 1)
    return last + 1


@njit(error_model="numpy")
def _march_column(rays, z, at, offset, half, klo, khi, origin, ratio, inv, c0, c1):
    """Raises one family of rays by one column. ratio: its distance over that of the block's middle column."""
    drift = ratio - 1.0
    # Ray i stands at row i + half + (i + half + offset) drift.
    j = int(math.floor((klo + half + offset) * drift + half)) if abs(drift) > 1e-12 else 0
    a = klo
    while a <= khi:
        if drift > 1e-12:
            b = min(int(math.ceil((j + 1 - half) / drift - offset - half)), khi + 1)
        elif drift < -1e-12:
            b = min(int(math.floor((j - half) / drift - offset - half)) + 1, khi + 1)
        else:
            b = khi + 1
        if b > a:
            _raise(rays, z, at, _u(a + origin), _u(b + origin), _u(j), _f(j - half), _f(drift), _f(inv), _f(c0), _f(c1))
            a = b
        j += 1 if drift > 0.0 else -1


@njit(error_model="numpy")
def _refit(rays, between, new_rays, new_between, double, klo, khi, old_klo, old_khi, origin, offset, ratio):
    """The horizons interpolated to the rays of the next block; beyond the old rays the outermost goes on.

    ratio: the old middle column's distance over the new one's.
    """
    for k in range(klo, khi + 1):
        for half in range(2 if double else 1):
            place = (k + 0.5 * half + offset) * ratio - offset
            if double:
                place *= 2.0
                place = min(max(place, 2.0 * old_klo), 2.0 * old_khi)
            else:
                place = min(max(place, old_klo), old_khi - 1e-6)
            low = int(math.floor(place))
            share = _f(place - low)
            if double:
                i = _u((low >> 1) + origin)
                one = between[i] if low & 1 else rays[i]
                other = rays[i + _u(1)] if low & 1 else between[i]
            else:
                i = _u(low + origin)
                one, other = rays[i], rays[i + _u(1)]
            value = one + share * (other - one)
            if half:
                new_between[_u(k + origin)] = value
            else:
                new_rays[_u(k + origin)] = value


@njit(error_model="numpy")
def _quadrant(
    ground, start, step, stride, ahead, lowest, highest, ax, ay, tlo, thi,
    reach, cell, bend, eye, target, as_height, seen, heights, out, out_step, out_stride,
):  # fmt: skip
    """One quadrant, between the slopes tlo and thi (-1 to 1), into `seen` or `heights` (flat windows).

    start: index of the cell at column 0, row 0; step, stride: from column to column and from row to row. ahead: the
    last column; lowest, highest: the rows that exist. ax, ay: where column 0 and row 0 lie [cells from the eye].
    reach [cells].
    """
    length = int(reach) + 2 * _BLOCK + 8
    origin = length
    size = 2 * length + 8
    rays, between = np.empty(size, np.float32), np.empty(size, np.float32)
    next_rays, next_between = np.empty(size, np.float32), np.empty(size, np.float32)
    at, at_half = np.empty(size, np.float32), np.empty(size, np.float32)
    for i in range(size):
        at[i] = _f(i - origin + ay)
        at_half[i] = _f(i - origin + ay + 0.5)
        rays[i] = between[i] = _f(-_UNKNOWN)
    flat = np.empty(_BLOCK * size, np.float32)
    columns = flat.reshape((_BLOCK, size))
    needs = np.empty((_BLOCK if as_height else 1, size if as_height else 1), np.float32)
    bits = np.zeros(size, np.uint32)
    curve = bend * cell * cell
    reach2 = reach * reach
    fine = reach * _FINE if reach > 200.0 else math.inf
    before, old_klo, old_khi = 0.0, 0, 0
    double = True
    first = 0
    count = 0
    while first + count <= ahead:
        first += count
        count = min(_BLOCK // 2 if first < _NEAR else _BLOCK, ahead + 1 - first)
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
        if first > 0:
            _refit(
                rays, between, next_rays, next_between, double, klo, khi, old_klo, old_khi, origin, ay, before / middle
            )
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
        rows = to_row - from_row + 1
        if stride == 1:
            for c in range(count):
                _read(
                    columns[c], ground, _u(start + (first + c) * step + from_row), _u(from_row + origin), _u(rows), eye
                )
        else:
            _read_across(
                flat, _u(size), ground, _u(start + first * step + from_row * stride), _u(stride), _u(from_row + origin),
                _u(rows), _u(count), _u(step), eye,
            )  # fmt: skip
        for c in range(count):
            for m in range(zlo, from_row):
                columns[c, m + origin] = columns[c, from_row + origin]
            for m in range(to_row + 1, zhi + 1):
                columns[c, m + origin] = columns[c, to_row + origin]
        for c in range(count):
            x = first + c + ax
            inv = 1.0 / x
            aside = math.sqrt(max(reach2 - x * x, 0.0))
            mlo = max(int(math.ceil(max(tlo * x, -aside) - ay - 1e-9)), lowest)
            mhi = min(int(math.floor(min(thi * x, aside) - ay + 1e-9)), highest)
            z = columns[c]
            if as_height:
                for i in range(from_row + origin, to_row + origin + 1):
                    needs[c, i] = _f(math.inf)
            drift = middle * inv - 1.0
            j = int(math.floor((mlo + ay) * drift)) if abs(drift) > 1e-12 else 0
            a = mlo
            while a <= mhi:
                b = _run_end(j, drift, ay, mhi)
                if b > a:
                    p, q, shift = _u(a + origin), _u(b + origin), _u(j)
                    jf, c0, c1 = _f(j), _f(curve * x), _f(curve * inv)
                    if as_height:
                        tall = needs[c]
                        _need(tall, rays, between, double, z, at, p, q, shift, jf, _f(drift), _f(x), c0, c1)
                    else:
                        _see(
                            bits, np.uint32(1) << np.uint32(c), rays, between, double, z, at, p, q, shift, jf,
                            _f(drift), _f(inv), c0, c1, _f(target), _f(x * x), _f(cell * cell),
                            _f(reach2 * cell * cell),
                        )  # fmt: skip
                    a = b
                j += 1 if drift > 0.0 else -1
            level, rise = curve * x, curve * x / (middle * middle)
            _march_column(rays, z, at, ay, 0.0, klo, khi, origin, x / middle, inv, level, rise)
            if double:
                _march_column(between, z, at_half, ay, 0.5, klo, khi, origin, x / middle, inv, level, rise)
        for m in range(max(from_row, lowest), min(to_row, highest) + 1):
            place = out + first * out_step + m * out_stride
            if as_height:
                for c in range(count):
                    if needs[c, m + origin] != math.inf:
                        heights[_u(place + c * out_step)] = needs[c, m + origin]
            elif bits[m + origin]:
                row = bits[m + origin]
                for c in range(count):
                    # Only what is seen: the block may reach out of the window.
                    if (row >> np.uint32(c)) & np.uint32(1) != 0:
                        seen[_u(place + c * out_step)] = True
                bits[m + origin] = np.uint32(0)


@njit(error_model="numpy")
def sweep(ground, x, y, slopes, cell, reach, bend, eye, target, as_height, first_row, first_col, seen, heights):
    """Fills the window `seen` (bool) or, as_height, `heights` (float32 [m], left alone outside the sector and the
    range).

    ground: (north, east) [m], unknown cells at 1e30 or more. x, y: the eye in cells from the middle of the first
    cell. slopes (n, 3): quadrant (0 east, 1 west, 2 north, 3 south) and the range of slopes in it. reach [m], eye
    [m AMSL]; target [m] over the ground.
    """
    rows, cols = ground.shape
    flat = ground.ravel()
    width = seen.shape[1] if not as_height else heights.shape[1]
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
        ahead = min(ahead, int(reach / cell - ax))
        q0 = int(math.ceil(q))
        ay = q0 - q
        if quadrant < 2:
            _quadrant(
                flat, q0 * cols + p0, ahead_is, cols, ahead, -q0, rows - 1 - q0, ax, ay, slopes[n, 1], slopes[n, 2],
                reach / cell, cell, bend, eye, target, as_height, seen.ravel(), heights.ravel(),
                (q0 - first_row) * width + p0 - first_col, ahead_is, width,
            )  # fmt: skip
        else:
            _quadrant(
                flat, p0 * cols + q0, ahead_is * cols, 1, ahead, -q0, cols - 1 - q0, ax, ay, slopes[n, 1], slopes[n, 2],
                reach / cell, cell, bend, eye, target, as_height, seen.ravel(), heights.ravel(),
                (p0 - first_row) * width + q0 - first_col, ahead_is * width, 1,
            )  # fmt: skip


def quadrants(azimuth: float, hfov: float) -> npt.NDArray[np.float64]:
    """The parts of a sector in the four quadrants, as `sweep` takes them: (n, 3) quadrant, least and greatest slope
    Y / X.

    Quadrants are 90 degrees wide and centred on east, west, north and south; slopes grow towards the north, in the
    last two towards the east.
    """
    if hfov >= math.tau - 1e-12:
        return np.array([(quadrant, -1.0, 1.0) for quadrant in range(4)])
    parts = []
    for quadrant, centre in enumerate((math.pi / 2.0, -math.pi / 2.0, 0.0, math.pi)):
        off = (azimuth - centre + math.pi) % math.tau - math.pi
        for turn in (-math.tau, 0.0, math.tau):
            low = max(off + turn - hfov / 2.0, -math.pi / 4.0)
            high = min(off + turn + hfov / 2.0, math.pi / 4.0)
            if low <= high:
                # Clockwise from east is south: its slope falls; from north it is east: its slope rises.
                ends = (-math.tan(high), -math.tan(low)) if quadrant in (0, 3) else (math.tan(low), math.tan(high))
                parts.append((quadrant, max(ends[0], -1.0), min(ends[1], 1.0)))
    return np.array(parts, dtype=np.float64).reshape(-1, 3)
