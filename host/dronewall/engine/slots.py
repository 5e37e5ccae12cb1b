"""The least cost of being in a cell at a time, from slot to slot, and the way to it.

The state (cell, t) is being in the middle of a cell (`floor`) after t slots. It is reached from the cells that a move
leads from, as many slots earlier as the move lasts; by waiting, from the same cell a slot earlier; or by setting out.
What each costs is pulled together, cell by cell, 16 at a time:

        t-18 .. t-11 .. t-7 . t-5 . . . t-1  t          no move is shorter than 5 slots: five slots of a row of
          o       o      o     o         o-->o          cells are done at once, while their costs are at hand

What moving sensors cost goes by the slots in each crossed cell. The other way round, from where a way ends, time runs
backwards. A way is traced by the very sums that made its costs.
"""

import numpy as np

from dronewall.engine._jit import NoAlias, njit
from dronewall.engine.exposure import COUNTS, CROSSED, MARGIN, MOVES, SHARES
from dronewall.engine.floor import LANES, ORDER

UNIT = 2.0**-20
"""What moving sensors add up to is counted in these: sums of whole numbers do not depend on where they begin, and a
weak pass is told as well after a strong one as before it."""

_AT_ONCE = 8
"""Moves that are compared together."""

_STEPS = MOVES[ORDER]
_CROSSED = CROSSED[ORDER]
_COUNTS = COUNTS[ORDER]

_UNTIL = np.zeros((32, 7), dtype=np.int64)
_UNTIL[:, 1:] = np.ceil(np.cumsum(SHARES[ORDER], axis=1) * 65536.0 - 1e-6)
"""When a move leaves each cell that it crosses, in 65536ths of its time, rounded up."""

_UNIT = np.float32(UNIT)

_vector = njit(error_model="numpy", pipeline_class=NoAlias)
_u = np.uintp
_L = np.uintp(LANES)


@_vector
def _quiet(out, at, chunks, costs, weight, first, now, shift, m):
    """Eight moves, each from a place as far off for all cells."""
    a, b, c, d = shift[m], shift[m + _u(1)], shift[m + _u(2)], shift[m + _u(3)]
    e, f, g, h = shift[m + _u(4)], shift[m + _u(5)], shift[m + _u(6)], shift[m + _u(7)]
    for q in range(chunks):
        for lane in range(LANES):
            i = at + _u(q) * _L + _u(lane)
            j = now + i
            k = first + _u(q) * _u(32) * _L + _u(lane)
            v0 = costs[j + a] + weight[k]
            v1 = costs[j + b] + weight[k + _L]
            v2 = costs[j + c] + weight[k + _u(2) * _L]
            v3 = costs[j + d] + weight[k + _u(3) * _L]
            v4 = costs[j + e] + weight[k + _u(4) * _L]
            v5 = costs[j + f] + weight[k + _u(5) * _L]
            v6 = costs[j + g] + weight[k + _u(6) * _L]
            v7 = costs[j + h] + weight[k + _u(7) * _L]
            v0 = v1 if v1 < v0 else v0
            v2 = v3 if v3 < v2 else v2
            v4 = v5 if v5 < v4 else v4
            v6 = v7 if v7 < v6 else v6
            v0 = v2 if v2 < v0 else v0
            v4 = v6 if v6 < v4 else v4
            v0 = v4 if v4 < v0 else v0
            out[i] = v0 if v0 < out[i] else out[i]


@_vector
def _quiet_each(out, at, chunks, costs, weight, back, first, now):
    """The same, each from a place of its own."""
    for q in range(chunks):
        for lane in range(LANES):
            i = at + _u(q) * _L + _u(lane)
            j = now + i
            k = first + _u(q) * _u(32) * _L + _u(lane)
            v0 = costs[j + _u(back[k])] + weight[k]
            v1 = costs[j + _u(back[k + _L])] + weight[k + _L]
            v2 = costs[j + _u(back[k + _u(2) * _L])] + weight[k + _u(2) * _L]
            v3 = costs[j + _u(back[k + _u(3) * _L])] + weight[k + _u(3) * _L]
            v4 = costs[j + _u(back[k + _u(4) * _L])] + weight[k + _u(4) * _L]
            v5 = costs[j + _u(back[k + _u(5) * _L])] + weight[k + _u(5) * _L]
            v6 = costs[j + _u(back[k + _u(6) * _L])] + weight[k + _u(6) * _L]
            v7 = costs[j + _u(back[k + _u(7) * _L])] + weight[k + _u(7) * _L]
            v0 = v1 if v1 < v0 else v0
            v2 = v3 if v3 < v2 else v2
            v4 = v5 if v5 < v4 else v4
            v6 = v7 if v7 < v6 else v6
            v0 = v2 if v2 < v0 else v0
            v4 = v6 if v6 < v4 else v4
            v0 = v4 if v4 < v0 else v0
            out[i] = v0 if v0 < out[i] else out[i]


@_vector
def _watched(out, at, chunks, costs, seen, weight, begin, now, there, met):
    """All moves, each as far off for all cells, while something moves: what one meets in each cell that it crosses is
    the difference of `seen` from when it enters it to when it leaves. One call for all: a call takes longer than what
    a move does to a row.
    """
    for m in range(there.size):
        first, shift, n = begin + _u(m) * _L, there[m], _u(12 * m)
        a, b, c, d = met[n], met[n + _u(1)], met[n + _u(2)], met[n + _u(3)]
        e, f, g, h = met[n + _u(4)], met[n + _u(5)], met[n + _u(6)], met[n + _u(7)]
        o, p, r, s = met[n + _u(8)], met[n + _u(9)], met[n + _u(10)], met[n + _u(11)]
        if _COUNTS[m] == 2:
            for q in range(chunks):
                for lane in range(LANES):
                    i = at + _u(q) * _L + _u(lane)
                    j = now + i
                    more = np.int32(seen[j + a] - seen[j + b] + seen[j + c] - seen[j + d])
                    v = costs[j + shift] + weight[first + _u(q) * _u(32) * _L + _u(lane)] + np.float32(more) * _UNIT
                    out[i] = v if v < out[i] else out[i]
        elif _COUNTS[m] == 4:
            for q in range(chunks):
                for lane in range(LANES):
                    i = at + _u(q) * _L + _u(lane)
                    j = now + i
                    more = np.int32(seen[j + a] - seen[j + b] + seen[j + c] - seen[j + d])
                    more = np.int32(more + seen[j + e] - seen[j + f] + seen[j + g] - seen[j + h])
                    v = costs[j + shift] + weight[first + _u(q) * _u(32) * _L + _u(lane)] + np.float32(more) * _UNIT
                    out[i] = v if v < out[i] else out[i]
        else:
            for q in range(chunks):
                for lane in range(LANES):
                    i = at + _u(q) * _L + _u(lane)
                    j = now + i
                    more = np.int32(seen[j + a] - seen[j + b] + seen[j + c] - seen[j + d])
                    more = np.int32(more + seen[j + e] - seen[j + f] + seen[j + g] - seen[j + h])
                    more = np.int32(more + seen[j + o] - seen[j + p] + seen[j + r] - seen[j + s])
                    v = costs[j + shift] + weight[first + _u(q) * _u(32) * _L + _u(lane)] + np.float32(more) * _UNIT
                    out[i] = v if v < out[i] else out[i]


@njit(inline="always")
def _slots_until(lasts, share):
    """Whole slots after which a share, in 65536ths rounded up, of a move is done."""
    return (lasts * share + 32768) >> 16


@_vector
def _meet_each(met, at, chunks, seen, each, first, now, place, size, early, late, reverse, fresh):
    """Adds what moves that differ from cell to cell meet in one of the cells that they cross."""
    for q in range(chunks):
        for lane in range(LANES):
            i = at + _u(q) * _L + _u(lane)
            lasts = np.int64(each[first + _u(q) * _u(32) * _L + _u(lane)])
            entered, left = _slots_until(lasts, early), _slots_until(lasts, late)
            low = -left if reverse else entered - lasts
            high = -entered if reverse else left - lasts
            j = now + i + place
            more = np.int32(seen[j + _u(high * size)] - seen[j + _u(low * size)])
            met[i] = more if fresh else np.int32(met[i] + more)


@_vector
def _watched_each(out, at, chunks, costs, met, weight, back, first, now):
    for q in range(chunks):
        for lane in range(LANES):
            i = at + _u(q) * _L + _u(lane)
            k = first + _u(q) * _u(32) * _L + _u(lane)
            v = costs[now + i + _u(back[k])] + weight[k] + np.float32(met[i]) * _UNIT
            out[i] = v if v < out[i] else out[i]


@_vector
def _wait(out, at, chunks, before, still):
    for q in range(chunks):
        for lane in range(LANES):
            i = at + _u(q) * _L + _u(lane)
            v = before[i] + still[i]
            out[i] = v if v < out[i] else out[i]


@_vector
def _wait_watched(out, at, chunks, before, still, seen, seen_before):
    for q in range(chunks):
        for lane in range(LANES):
            i = at + _u(q) * _L + _u(lane)
            v = before[i] + still[i] + np.float32(np.int32(seen[i] - seen_before[i])) * np.float32(UNIT)
            out[i] = v if v < out[i] else out[i]


@njit(error_model="numpy")
def advance(
    costs, seen, watched, touched, latest, size, at, chunks, blocks, weight, shift, lasts, back, each, still,
    edge_rows, edge_places, edge_costs, edge_slots, window, block, begin, end, outsets, base, reverse,
):  # fmt: skip
    """Costs of the states after begin to end - 1 slots; memory's first row is `window` slots before the first of these.

    seen: exposure to the moving sensors since some time, and watched: the same for who stands still, none where it is
    that, too. touched (slots, rows): where they change. outsets: slots in which ways may begin.
    """
    uniform = back.size == 0
    moves = lasts.shape[1]
    passing = touched.size > 0
    there, met, places = np.empty(moves, np.uintp), np.empty(moves * 12, np.uintp), np.empty(moves * 6, np.uintp)
    sums = np.empty(0 if uniform or not passing else size, np.int32)
    rows = at.size
    if passing:
        latest[:] = -(1 << 40)
        for n in range(window):
            for r in range(rows):
                if touched[n, r]:
                    latest[r] = begin - window + n
    for t0 in range(begin, end, block):
        t1 = min(t0 + block, end)
        if passing:
            for t in range(t0, t1):
                for r in range(rows):
                    if touched[t - begin + window, r]:
                        latest[r] = t
        costs[(t0 - begin + window) * size : (t1 - begin + window) * size] = np.inf
        for r in range(MARGIN, rows - MARGIN):
            if chunks[r] == 0:
                continue
            active = False
            if passing:
                for near in range(r - MARGIN, r + MARGIN + 1):
                    active |= latest[near] > t0 - window
            many, place, first = chunks[r], _u(at[r]), blocks[r] * moves * LANES
            if uniform:
                for m in range(moves):
                    there[m] = _u(shift[r, m] - lasts[r, m] * size)
            if active:
                for m in range(moves):
                    for c in range(_COUNTS[m]):
                        row, col = _CROSSED[m, c, 0], _CROSSED[m, c, 1]
                        if not reverse:
                            row, col = row - _STEPS[m, 0], col - _STEPS[m, 1]
                        place_there = base[r + row] - base[r] + col
                        places[m * 6 + c] = _u(place_there)
                        late, early = (
                            _slots_until(lasts[r, m], _UNTIL[m, c + 1]),
                            _slots_until(lasts[r, m], _UNTIL[m, c]),
                        )
                        if reverse:
                            late, early = -early, -late
                        else:
                            late, early = late - lasts[r, m], early - lasts[r, m]
                        met[m * 12 + 2 * c] = _u(place_there + late * size)
                        met[m * 12 + 2 * c + 1] = _u(place_there + early * size)
            for t in range(t0, t1):
                row = (t - begin + window) * size
                out, before = costs[row : row + size], costs[row - size : row]
                for n in range(edge_rows[r], edge_rows[r + 1]):
                    if 0 <= t - edge_slots[n] < outsets:
                        i = edge_places[n]
                        out[i] = edge_costs[n]
                        if active:
                            came = np.int32(seen[row + i] - seen[row - edge_slots[n] * size + i])
                            out[i] += np.float32(came) * np.float32(UNIT)
                if uniform:
                    if active:
                        _watched(out, place, many, costs, seen, weight, _u(first), _u(row), there, met)
                    else:
                        for m in range(0, moves, _AT_ONCE):
                            _quiet(out, place, many, costs, weight, _u(first + m * LANES), _u(row), there, _u(m))
                elif active:
                    for m in range(moves):
                        for c in range(_COUNTS[m]):
                            _meet_each(
                                sums, place, many, seen, each, _u(first + m * LANES), _u(row), places[m * 6 + c], size,
                                _UNTIL[m, c], _UNTIL[m, c + 1], reverse, c == 0,
                            )  # fmt: skip
                        _watched_each(out, place, many, costs, sums, weight, back, _u(first + m * LANES), _u(row))
                else:
                    for m in range(0, moves, _AT_ONCE):
                        _quiet_each(out, place, many, costs, weight, back, _u(first + m * LANES), _u(row))
                if active:
                    gone = watched if watched.size > 0 else seen
                    _wait_watched(
                        out, place, many, before, still, gone[row : row + size], gone[row - size : row]
                    )  # fmt: skip
                else:
                    _wait(out, place, many, before, still)


@njit(error_model="numpy")
def trace(
    row, col, slot, costs, seen, watched, passing, size, base, at, blocks, weight, shift, lasts, back, each,
    still, edge_rows, edge_places, edge_costs, edge_slots, window, begin, outsets, found, length, reverse,
):  # fmt: skip
    """Puts the states before (row, col) after `slot` into found (n, 3), as far as `begin`: the number of them, the last
    one's row, column and slot, and the slots of its way in once it has begun, -1 before, -2 where no sum fits.
    """
    moves = lasts.shape[1]
    while slot >= begin:
        r = row
        place = base[r] + col
        now = (slot - begin + window) * size
        cost = costs[now + place]
        for n in range(edge_rows[r], edge_rows[r + 1]):
            if edge_places[n] == place and 0 <= slot - edge_slots[n] < outsets:
                v = edge_costs[n]
                if passing:
                    v += np.float32(np.int32(seen[now + place] - seen[now - edge_slots[n] * size + place])) * _UNIT
                if v == cost:
                    return length, row, col, slot, edge_slots[n]
        # Rather still than to and fro, where that costs the same.
        v = costs[now - size + place] + still[place]
        if passing:
            gone = watched if watched.size > 0 else seen
            v = v + np.float32(np.int32(gone[now + place] - gone[now - size + place])) * _UNIT
        moved = v == cost
        if moved:
            slot -= 1
        inner = place - at[r]
        first = (blocks[r] + inner // LANES) * moves * LANES + inner % LANES
        for m in range(0 if moved else moves):
            k = first + m * LANES
            long = np.int64(each[k]) if back.size > 0 else lasts[r, m]
            there = shift[r, m] - long * size
            j = now + place
            v = costs[j + there] + weight[k]
            if not v < np.inf:
                continue
            if passing:
                more = np.int32(0)
                for c in range(_COUNTS[m]):
                    down, right = _CROSSED[m, c, 0], _CROSSED[m, c, 1]
                    if not reverse:
                        down, right = down - _STEPS[m, 0], right - _STEPS[m, 1]
                    late, early = _slots_until(long, _UNTIL[m, c + 1]), _slots_until(long, _UNTIL[m, c])
                    if reverse:
                        late, early = -early, -late
                    else:
                        late, early = late - long, early - long
                    i = j + base[r + down] - base[r] + right
                    more = np.int32(more + seen[i + late * size] - seen[i + early * size])
                v = v + np.float32(more) * _UNIT
            if v == cost:
                slot -= long
                row += _STEPS[m, 0] if reverse else -_STEPS[m, 0]
                col += _STEPS[m, 1] if reverse else -_STEPS[m, 1]
                moved = True
                break
        if not moved:
            return length, row, col, slot, -2
        found[length, 0], found[length, 1], found[length, 2] = row, col, slot
        length += 1
    return length, row, col, slot, -1
