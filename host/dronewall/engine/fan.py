"""A canopy as a sensor sees it, marched outward once over a fan of rays: the fast path of `canopy`.

The fan lies in quadrants as in `horizon`: columns at distances X (in cells) from the eye, rows at Y across, ray k at
Y = t X, the rays a cell apart where the farthest asked cell is. A line of sight of slope s is under the canopy's top
wherever the top's own slope, seen from the eye, is more than s:

        slope of the top                            The path of a line of slope s is the length of all samples higher
          ^     x x                                 than s: it counts how far down s stands in the list of the samples
        s |---x-----x---------x----- line           sorted by slope. So that list is all that a ray carries: the
          | x         x     x   x                   highest tops met so far, as many as make the canopy dark. And the
          +-----------------------> X               slope for a given path is an entry of the list.

A column's step adds `_SAMPLES` samples or fewer, all of the same length, from heights that are linear between two
crossings with the grid; a sorted list of four is merged in one pass over neighbours in memory, which the compiler turns
into vector instructions. A cell asks the two rays beside it for all of its way but the last step, which is its own.

Not exact: the path is that of the two rays' mean, in quanta of a sample's length, linear between two of them.
"""

import math

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.tops import NONE, PAD, insert, merge_one, plain, samples_under, slope_of

Floats = npt.NDArray[np.float64]

NEAR = 3
"""Cells at most so many columns and rows from the eye are not asked of the fan: their rays would fly apart."""

_SAMPLES = 8
"""The most samples of a step."""

_QUANTA = 14.0
"""Samples that the extinction's length should hold."""

_OFFSET = 0.25
"""Where in its piece of a step a sample lies: not in the middle, so that those of a hedge's two sides differ."""

_SPACING = 1.0
"""Cells between two rays at the farthest asked column."""

_AGREED = 0.1
UNDECIDED = 2.0
"""The answer for a cell whose two rays' shares of light differ by more than _AGREED."""

_BUNDLE = 32
"""Rays that are marched together: what they carry and what they read stays close to the processor."""

_VECTOR = 32
"""A list's size is a multiple of this: what is left over of a loop is slow."""

STEP = 0.05
"""Heights are found to this [m]."""

HIGHEST = 1e4
"""Beyond this no height is enough [m]."""

_f = np.float32
_u = np.uintp


@plain
def _wanted(bundle, ray, share, most, x, bent, distance, least, height, own):
    """Height over the eye [m] that two rays want if a cell's own step takes `own` metres of `most`, the way being as
    slant as to `height`; `least` or more.
    """
    extra, length = bundle[6:]
    floor = least / x - bent
    allowed = most / math.sqrt(1.0 + (height / distance) ** 2) - own
    one = slope_of(bundle, ray, allowed / length[ray] - extra[ray])
    other = slope_of(bundle, ray + 1, allowed / length[ray + 1] - extra[ray + 1])
    one, other = max(one, floor), max(other, floor)
    return (one + share * (other - one) + bent) * x if one < math.inf and other < math.inf else math.inf


@plain
def _last(height, x, bent, step):
    """Metres, seen from above, of the step to a cell that lie in the canopy.

    step: the cell's top and foot, those of the crossing one column before, all over the eye, the curvature's share of
    the slope there, the step's length and what a way that ends in the canopy misses of the samples before.
    """
    top, foot, last_top, last_foot, last_bent, length, missed = step
    if not (top > foot or last_top > last_foot):
        return 0.0
    over = height - top
    before = (height / x - bent + last_bent) * (x - 1.0) - last_top
    if before >= 0.0:
        return length * over / (over - before) if over < 0.0 else 0.0
    under = length if over < 0.0 else length * before / (before - over)
    return under + missed if last_top > last_foot else under


@plain
def _needed(bundle, ray, share, most, x, bent, distance, least, step):
    """Height over the eye [m], over `least`, at which the way to a cell has at most `most` metres of canopy.

    bent: the curvature's share of the slope at the cell. step: as in `_last`.
    """
    low, high = least, least
    for end in range(2):
        # Without the last step the answer is a fixed point: a greater height makes the way longer.
        for _ in range(24):
            wanted = _wanted(bundle, ray, share, most, x, bent, distance, least, high, 0.0)
            if wanted > HIGHEST:
                return math.inf
            if wanted <= high + 0.01:
                break
            high = wanted
        if end == 0:
            low = high
            if _last(low, x, bent, step) == 0.0:
                return low
            # Free of the last step, which takes ever less up to there.
            high = max(step[0], x * (step[2] / (x - 1.0) - step[4] + bent), low)
    while high - low > STEP:
        height = (low + high) / 2.0
        own = _last(height, x, bent, step)
        wanted = _wanted(bundle, ray, share, most, x, bent, distance, least, height, own)
        # The more height, the less is wanted: each answer bounds the height from the other side.
        if wanted <= height:
            low, high = max(low, wanted), height
        else:
            low, high = height, min(high, wanted)
    return high


@plain
def _is_own(x, y, own_edge):
    """Whether a cell is this quadrant's, and not one of the near ones."""
    return x > NEAR and (abs(y) < x or (own_edge and abs(y) == x))


@plain
def _extent(window, ax, ay, first, lows, highs):
    """Fills the asked cells' least and greatest slopes Y / X, over each column and those beyond it: the last column."""
    wanted, _, out, out_step, out_stride, low_row, high_row, own_edge = window
    last = -1
    for c in range(first, lows.shape[0]):
        x = c + ax
        for m in range(max(int(math.ceil(-x - ay)), low_row), min(int(math.floor(x - ay)), high_row) + 1):
            if math.isfinite(wanted[out + c * out_step + m * out_stride]) and _is_own(x, m + ay, own_edge):
                lows[c] = min(lows[c], (m + ay) / x)
                highs[c] = max(highs[c], (m + ay) / x)
                last = c
    for c in range(last - 1, -1, -1):
        lows[c], highs[c] = min(lows[c], lows[c + 1]), max(highs[c], highs[c + 1])
    return last


@plain
def _crossing(land, c, across):
    """Ground and top [m AMSL] where a ray crosses column c at the row `across`."""
    ground, canopy, start, step, stride, lowest, highest, _ = land
    across = min(max(across, float(lowest)), float(highest))
    low = int(math.floor(across))
    part = across - low
    at = start + c * step + low * stride
    foot, top = ground[at], canopy[at]
    if part > 0.0:
        foot += part * (ground[at + stride] - foot)
        top += part * (canopy[at + stride] - top)
    return foot, top


@plain
def _sampled(earlier, earlier_tall, middle, middle_tall, between, slope, tall, along, steps, values):
    """Samples of a step with a crossing `between` its ends into values: how many are canopy, greatest and least slope.

    All of them slopes of the top seen from the eye.
    """
    before_is, after_is = earlier_tall or middle_tall, middle_tall or tall
    most, least, found = middle, middle, 0
    if before_is:
        most, least = max(most, earlier), min(least, earlier)
    if after_is:
        most, least = max(most, slope), min(least, slope)
    rise, fall = (middle - earlier) / between, (slope - middle) / (1.0 - between)
    for n in range(steps):
        is_before = along[n] < between
        value = earlier + along[n] * rise if is_before else middle + (along[n] - between) * fall
        is_in = before_is if is_before else after_is
        values[n] = _f(value if is_in else NONE)
        found += is_in
    return found, most, least


@plain
def _differ(one, other, path, share, extinction):
    """Whether the shares of light of two rays differ by more than _AGREED, their mean's path being `path`."""
    least = path + min(share * (one - other), (1.0 - share) * (other - one))
    return math.exp(-least / extinction) * (1.0 - math.exp(-abs(one - other) / extinction)) > _AGREED


@plain
def _ask(bundle, land, eye, window, c, first_ray, rays, origin, spread, m0, m1, most, extinction, as_height):
    """Answers the cells m0 to m1 of column c between the bundle's rays, which have come to the column before."""
    ground, canopy, start, step, stride = land[:5]
    ax, ay, cell, amsl, _, _, curve = eye
    wanted, answers, out, out_step, out_stride, _, _, own_edge = window
    extra, length = bundle[6:]
    x = c + ax
    for m in range(m0, m1 + 1):
        at = out + c * out_step + m * out_stride
        y = m + ay
        if not (math.isfinite(wanted[at]) and _is_own(x, y, own_edge)):
            continue
        t = y / x
        place = max((t - origin) / spread, 0.0)
        ray = min(int(place), rays - 2)
        share = min(place - ray, 1.0)
        ray -= first_ray
        if not 0 <= ray < length.shape[0] - 1:
            continue
        here = start + c * step + m * stride
        foot, top = ground[here] - amsl, canopy[here] - amsl
        height, bent = foot + wanted[at], curve * (1.0 + t * t) * x
        wide = math.sqrt(1.0 + t * t) * cell
        slope, distance = height / x - bent, x * wide
        last_foot, last_top = _crossing(land, c - 1, y - t - ay)
        if math.isnan(last_top):
            last_foot, last_top = foot + amsl, top + amsl
        way = (
            top, foot, last_top - amsl, last_foot - amsl, curve * (1.0 + t * t) * (x - 1.0), wide,
            (0.5 - _OFFSET) * length[ray],
        )  # fmt: skip
        own = _last(height, x, bent, way)
        if as_height:
            if _wanted(bundle, ray, share, most, x, bent, distance, height, height, own) > height + 1e-4:
                needed = _needed(bundle, ray, share, most, x, bent, distance, height, way)
                answers[at] = max(needed - foot, wanted[at])
            continue
        one = length[ray] * (extra[ray] + samples_under(bundle, ray, slope))
        other = length[ray + 1] * (extra[ray + 1] + samples_under(bundle, ray + 1, slope))
        path = one + share * (other - one) + own
        if path > 0.0:
            path *= math.sqrt(1.0 + (height / distance) ** 2)
        if path <= 0.0:
            answers[at] = 1.0
        elif abs(one - other) > _AGREED * extinction and _differ(one, other, path, share, extinction):
            answers[at] = UNDECIDED
        else:
            answers[at] = math.exp(-path / extinction) if path <= most else 0.0


@plain
def _advance(bundle, land, eye, slope_before, tall_before, old, values, along, c, samples, origin, spread, begin, end):
    """Marches the bundle's rays begin to end from column c - 1, or the eye, to column c. origin: of the first ray."""
    tops, size, filled, count, highest, lowest, extra, _ = bundle
    ground, canopy, start, step, stride, lowest_row, highest_row, behind = land
    ax, ay, _, amsl, eye_top, _, curve = eye
    x = c + ax
    wide = 1.0 if c > 0 else ax
    steps = samples if c > 0 else int(round(samples * ax))
    # What is linear along the step is, seen from the eye, linear in these shares; the first step is sampled in heights.
    for n in range(steps):
        part = (n + _OFFSET) / steps if c > 0 else (n + 0.5) / steps
        along[n] = part * x / (x - wide + part * wide) if c > 0 else part
    inverse = 1.0 / x
    for ray in range(begin, end + 1):
        t = origin + ray * spread
        across = t * x - ay
        foot, top = _crossing(land, c, across)
        tall, earlier_tall = top > foot, tall_before[ray]
        bent = curve * (1.0 + t * t)
        slope, earlier = (top - amsl) * inverse - bent * x, slope_before[ray]
        slope_before[ray], tall_before[ray] = slope, tall
        if not (tall or earlier_tall):
            continue
        if c == 0:
            slope, earlier = top - amsl, eye_top - amsl
        between, middle, middle_tall = 2.0, slope, tall
        # A row that it crosses on the way.
        begun = across - t * wide
        row = math.floor(across) if t > 0.0 else math.ceil(across)
        if min(begun, across) < row < max(begun, across) and lowest_row <= row <= highest_row:
            between = (row - begun) / (across - begun)
            back = (1.0 - between) * wide
            at = start + c * step + int(row) * stride
            other = at - step if c > 0 or behind else at
            middle = canopy[at] + back * (canopy[other] - canopy[at])
            middle_tall = middle > ground[at] + back * (ground[other] - ground[at])
            middle -= amsl
            if c > 0:
                middle = middle / (x - back) - bent * (x - back)
                between *= x / (x - back)
        if math.isnan(slope + earlier + middle):
            continue
        if between > 1.0:
            found, most, least = steps, max(slope, earlier), min(slope, earlier)
            for n in range(steps):
                values[n] = _f(earlier + along[n] * (slope - earlier))
        else:
            found, most, least = _sampled(
                earlier, earlier_tall, middle, middle_tall, between, slope, tall, along, steps, values
            )
        if c == 0:
            inside = 0
            for n in range(steps):
                inside += values[n] > _f(0.0)
                values[n] = _f(values[n] / (along[n] * x)) if values[n] > _f(NONE) else values[n]
            # The first step is not as long as its samples, and the next one's do not lie in their middles.
            over = inside / steps if steps > 0 else (1.0 if eye_top > amsl else 0.0)
            extra[ray] = (samples * ax - steps) * over - (0.5 - _OFFSET if slope > 0.0 and tall else 0.0)
            most = -NONE if eye_top > amsl and earlier_tall else max(slope, middle) * inverse
            least = min(slope, middle) * inverse
        highest[ray], lowest[ray] = max(highest[ray], most), min(lowest[ray], least)
        if most > tops[ray * size + size - 1]:
            n, entries = 0, min((filled[ray] + steps + _VECTOR - 1) // _VECTOR * _VECTOR, size)
            while n < steps:
                many = 4 if steps - n >= 4 else 1
                if many == 4:
                    insert(tops, ray * size, old, entries, values, n)
                else:
                    merge_one(tops, _u(ray * size), old, _u(entries), values[n])
                n += many
        count[ray] += found
        filled[ray] = min(count[ray], size)


@njit(error_model="numpy")
def _quadrant(land, eye, window, first, last, most, extinction, as_height):
    """One quadrant: fills a window's `answers` where its `wanted` is finite.

    land: ground and canopy (flat), index of the cell at column 0, row 0, steps from column to column and from row to
    row, the rows that exist, whether column -1 does. eye: where column 0 and row 0 lie [cells from the eye], the cell
    [m], the eye's height, that of the canopy's top and of the ground there [m AMSL], curvature [1 / cell^2 m]. window:
    wanted and answers (flat), index of column 0, row 0, steps, its rows, whether diagonals are this quadrant's. Its
    columns are first to last.
    """
    ax, ay, cell, _, eye_top, eye_foot, _ = eye
    low_row, high_row = window[5], window[6]
    lows, highs = np.full(last + 1, math.inf), np.full(last + 1, -math.inf)
    last = _extent(window, ax, ay, first, lows, highs)
    if last < 0:
        return
    spread = _SPACING / (last + ax)
    origin = lows[0]
    rays = max(int(math.ceil((highs[0] - origin) / spread)) + 1, 2)
    quanta = cell * _QUANTA / extinction
    samples = 1 if quanta <= 1.5 else (4 if quanta <= 5.0 else _SAMPLES)
    size = (min(int(math.ceil(most / (cell / samples))) + 2, (last + 2) * samples) + _VECTOR - 1) // _VECTOR * _VECTOR
    old = np.full(size + PAD, _f(-NONE), np.float32)
    values, along = np.empty(_SAMPLES, np.float32), np.empty(_SAMPLES)
    many = min(_BUNDLE, rays - 1) + 1
    tops = np.empty(many * size, np.float32)
    filled, count = np.empty(many, np.int64), np.empty(many, np.int64)
    highest, lowest, extra, length = np.empty(many), np.empty(many), np.empty(many), np.empty(many)
    slope_before, tall_before = np.empty(many), np.empty(many, np.bool_)
    bundle = (tops, size, filled, count, highest, lowest, extra, length)
    for first_ray in range(0, rays - 1, _BUNDLE):
        low, high = origin + first_ray * spread, origin + (first_ray + many - 1) * spread
        tops[:], filled[:], count[:], extra[:], slope_before[:] = _f(NONE), 0, 0, 0.0, 0.0
        highest[:], lowest[:], tall_before[:] = NONE, -NONE, eye_top > eye_foot
        for ray in range(many):
            length[ray] = cell * math.sqrt(1.0 + (low + ray * spread) ** 2) / samples
        for c in range(last + 1):
            x = c + ax
            if lows[c] > high + 1e-9 or highs[c] < low - 1e-9:
                break
            if c >= first and x > NEAR:
                m0 = max(int(math.ceil(max(lows[c], low) * x - ay - 1e-9)), low_row)
                m1 = min(int(math.floor(min(highs[c], high) * x - ay + 1e-9)), high_row)
                _ask(bundle, land, eye, window, c, first_ray, rays, origin, spread, m0, m1, most, extinction, as_height)
            if c < last:
                begin = max(int(math.floor((lows[c + 1] - low) / spread - 1e-9)), 0)
                end = min(int(math.floor((highs[c + 1] - low) / spread + 1e-9)) + 1, many - 1)
                _advance(
                    bundle, land, eye, slope_before, tall_before, old, values, along, c, samples, low, spread, begin,
                    end,
                )  # fmt: skip


@njit(error_model="numpy")
def sweep(
    ground: Floats,
    canopy: Floats,
    x: float,
    y: float,
    cell: float,
    eye: float,
    eye_top: float,
    eye_foot: float,
    bend: float,
    extinction: float,
    most: float,
    as_height: bool,
    first_row: int,
    first_col: int,
    wanted: Floats,
    answers: Floats,
) -> None:
    """Fills the window `answers` where `wanted`, heights over the ground [m], is finite; cells near the eye it leaves.

    as_height: with the height, `wanted` or more, whose way has at most `most` metres of canopy, where `wanted` itself
    has more; else with the share of light, 0 beyond `most` metres, UNDECIDED where the rays differ. x, y: the eye in
    cells from the middle of the raster's first cell, in the raster. eye, eye_top, eye_foot: its height, that of the
    canopy's top and that of the ground there [m AMSL]. bend: (1 - k) / 2R.
    """
    rows, cols = ground.shape
    height, width = wanted.shape
    for quadrant in range(4):
        ahead_is = 1 if quadrant == 0 or quadrant == 2 else -1
        is_column = quadrant < 2
        p, q = (x, y) if is_column else (y, x)
        along, across = (cols, rows) if is_column else (rows, cols)
        first_p, first_q = (first_col, first_row) if is_column else (first_row, first_col)
        many_p, many_q = (width, height) if is_column else (height, width)
        p0 = int(math.floor(p)) + 1 if ahead_is > 0 else int(math.ceil(p)) - 1
        ax = abs(p0 - p)
        ahead = along - 1 - p0 if ahead_is > 0 else p0
        q0 = int(math.ceil(q))
        first = first_p - p0 if ahead_is > 0 else p0 - (first_p + many_p - 1)
        last = min(first + many_p - 1, ahead)
        first = max(first, 0)
        if last < first:
            continue
        step, stride = (1, cols) if is_column else (cols, 1)
        out_step, out_stride = (1, width) if is_column else (width, 1)
        land = (
            ground.ravel(), canopy.ravel(), p0 * step + q0 * stride, ahead_is * step, stride, -q0, across - 1 - q0,
            0 <= p0 - ahead_is < along,
        )  # fmt: skip
        window = (
            wanted.ravel(), answers.ravel(), (p0 - first_p) * out_step + (q0 - first_q) * out_stride,
            ahead_is * out_step, out_stride, first_q - q0, first_q - q0 + many_q - 1, is_column,
        )  # fmt: skip
        place = (ax, q0 - q, cell, eye, eye_top, eye_foot, bend * cell * cell)
        _quadrant(land, place, window, first, last, most, extinction, as_height)
