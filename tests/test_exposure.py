import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from dronewall.engine.exposure import CROSSED, LENGTHS, MOVES, SHARES, Grid, Ways, detours, pace, paces, pieces, search
from dronewall.engine.repair import way


def from_one(weight, row, col, cell=1.0, **options):
    starts = np.full(weight.shape, np.inf)
    starts[row, col] = 0.0
    return search(Grid(weight, cell, options.pop("heights", None)), starts, **options)


def around_a_sensor(power, half=3.0, count=601):
    """The rate r^-power around the middle, over a square of 2 x `half`; and the cell of a point."""
    cell = 2.0 * half / count
    middles = (np.arange(count) + 0.5) * cell - half
    away = np.hypot(middles[None, :], middles[:, None])
    place = lambda x, y: (int((y + half) / cell), int((x + half) / cell))  # noqa: E731
    return 1.0 / np.maximum(away, cell / 2.0) ** power, cell, place


@pytest.mark.parametrize(
    ("power", "start", "end", "least"),
    [
        # Meguerdichian et al. 2001; closed forms: sqrt(ln^2(r2/r1) + dtheta^2), |p - q| / (|p| |q|), a quarter circle.
        (1, (1.0, -0.5), (-0.4, 2.0), 2.3113917570),
        (2, (1.0, -0.5), (-0.4, 2.0), 1.2565214498),
        (1, (1.0, 0.0), (0.0, 1.0), math.pi / 2.0),
    ],
)
def test_the_least_exposure_around_one_sensor_is_the_closed_form_to_half_a_percent(power, start, end, least):
    weight, cell, place = around_a_sensor(power)
    found = from_one(weight, *place(*start), cell)
    cost = found.cost[place(*end)]
    assert least * 0.995 <= cost <= least * 1.005
    # Far below the straight line's.
    if power == 1 and start[1] < 0.0:
        assert cost < 0.8 * 3.0254424


def test_the_32_moves_cross_what_they_say():
    assert len({tuple(move) for move in MOVES.tolist()}) == 32
    assert SHARES.sum(axis=1) == pytest.approx(1.0)
    for move, length, cells, shares in zip(MOVES, LENGTHS, CROSSED, SHARES, strict=True):
        assert length == pytest.approx(math.hypot(*move))
        some = cells[shares > 0.0]
        assert tuple(some[0]) == (0, 0)
        assert tuple(some[-1]) == tuple(move)
        # Halves of cells at both ends of a straight move, a point that is stepped along it falls into each in turn.
        for share in np.linspace(0.001, 0.999, 200):
            within = np.searchsorted(np.cumsum(shares[shares > 0.0]), share)
            assert np.abs(some[within] - share * move).max() <= 0.5 + 1e-9


def test_two_watched_cells_that_touch_at_a_corner_hold_nobody_up():
    # FACTS: a walker on 8-connected cells needs a 4-connected barrier.
    board = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert from_one(board, 0, 1).cost[1, 0] == 0.0
    wall = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert from_one(wall, 0, 1).cost[1, 0] > 0.0
    closed = np.where(wall > 0.0, np.inf, 1.0)
    assert np.isinf(from_one(np.where(np.eye(2), np.inf, 1.0), 0, 1).cost[0, 0])
    assert np.isinf(from_one(closed, 0, 1).cost[1, 0])


grids = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0.0, 5.0) | st.just(math.inf)
)


def plain_cost(weight, row, col, cell=1.0, heights=None):
    """The same with scipy, over a graph that is written out."""
    rows, cols = weight.shape
    froms, tos, costs = [], [], []
    for i, j in np.ndindex(rows, cols):
        for (step_row, step_col), length, cells, shares in zip(MOVES, LENGTHS, CROSSED, SHARES, strict=True):
            a, b = i + step_row, j + step_col
            if not (0 <= a < rows and 0 <= b < cols):
                continue
            total = sum(
                share * weight[i + cross_row, j + cross_col]
                for (cross_row, cross_col), share in zip(cells, shares, strict=True)
                if share > 0.0
            )
            if heights is not None:
                total *= math.exp(3.5 * (abs((heights[a, b] - heights[i, j]) / (length * cell) + 0.05) - 0.05))
            if math.isfinite(total):
                froms.append(i * cols + j)
                tos.append(a * cols + b)
                # scipy takes a stored 0 for no edge.
                costs.append(total * length * cell + 1e-15)
    graph = coo_matrix((costs, (froms, tos)), shape=(rows * cols, rows * cols)).tocsr()
    found = dijkstra(graph, indices=row * cols + col).reshape(rows, cols)
    return found if math.isfinite(weight[row, col]) else np.full(weight.shape, math.inf)


@given(grids, st.data())
def test_the_cheapest_ways_are_scipys(weight, data):
    weight = weight + 1e-9  # as in a belt, where a second costs something everywhere
    row = data.draw(st.integers(0, weight.shape[0] - 1))
    col = data.draw(st.integers(0, weight.shape[1] - 1))
    heights = data.draw(st.none() | hnp.arrays(np.float64, weight.shape, elements=st.floats(0.0, 3.0)))
    found = from_one(weight, row, col, 2.0, heights=heights)
    assert found.cost == pytest.approx(plain_cost(weight, row, col, 2.0, heights), rel=1e-9, abs=1e-9)
    # What a way costs is what its pieces cost.
    for there in np.argwhere(np.isfinite(found.cost)).tolist():
        route = way(Grid(weight, 2.0, heights), found, *there)
        assert tuple(route[0]) == (row, col)
        assert tuple(route[-1]) == tuple(there)
        cells, metres, times, _ = pieces(Grid(weight, 2.0, heights), Ways(route, np.array([len(route)])))
        paid = float((weight[cells[:, 0], cells[:, 1]] * metres * times).sum())
        assert paid == pytest.approx(found.cost[tuple(there)], abs=1e-9)


small = hnp.arrays(np.float64, (2, 4), elements=st.floats(0.0, 5.0) | st.just(math.inf))


@given(small)
@settings(max_examples=20)
def test_the_cheapest_way_over_a_small_grid_is_the_cheapest_of_all_there_are(weight):
    def price(here, move):
        cells, shares = CROSSED[move], SHARES[move]
        return LENGTHS[move] * sum(
            share * weight[here[0] + row, here[1] + col]
            for (row, col), share in zip(cells.tolist(), shares.tolist(), strict=True)
            if share > 0.0
        )

    def all_ways(here, been, paid):
        least[here] = min(least[here], paid)
        for move, (row, col) in enumerate(MOVES.tolist()):
            there = here[0] + row, here[1] + col
            if 0 <= there[0] < 2 and 0 <= there[1] < 4 and there not in been and math.isfinite(weight[there]):
                all_ways(there, been | {there}, paid + price(here, move))

    least = np.full(weight.shape, math.inf)
    if math.isfinite(weight[0, 0]):
        all_ways((0, 0), {(0, 0)}, 0.0)
    assert from_one(weight, 0, 0).cost == pytest.approx(least)


@given(grids, st.data())
def test_without_slopes_a_way_back_costs_what_the_way_there_does(weight, data):
    places = st.tuples(st.integers(0, weight.shape[0] - 1), st.integers(0, weight.shape[1] - 1))
    here, there = data.draw(places), data.draw(places)
    assert from_one(weight, *here).cost[there] == pytest.approx(from_one(weight, *there).cost[here])
    assert from_one(weight, *here, reverse=True).cost[there] == pytest.approx(from_one(weight, *here).cost[there])


@given(grids, st.data())
def test_the_worst_cell_of_a_way_cannot_be_avoided(weight, data):
    row = data.draw(st.integers(0, weight.shape[0] - 1))
    col = data.draw(st.integers(0, weight.shape[1] - 1))
    found = from_one(weight, row, col, worst=True)
    for level in sorted(set(weight[np.isfinite(weight)].tolist())):
        # Whoever stays on cells of at most `level` comes exactly so far.
        allowed = np.where(weight <= level, 1.0, np.inf)
        assert (np.isfinite(from_one(allowed, row, col).cost) == (found.cost <= level)).all()


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(2, 8), st.integers(2, 8)), elements=st.floats(0.01, 5.0)),
    st.integers(0, 8),
)
def test_a_detour_is_the_cheapest_way_that_keeps_within_its_bound(weight, lateral):
    grid, marks = Grid(weight, 1.0), np.broadcast_to(np.arange(weight.shape[1], dtype=np.float32), weight.shape)
    starts = np.full(weight.shape, np.inf)
    starts[0] = 0.25 * weight[0]
    toward = search(grid, starts)
    last = weight.shape[0] - 1
    cells = np.array([(last, col) for col in range(weight.shape[1])])
    found = detours(grid, toward, cells, marks, cells[:, 1].astype(float), float(lateral))
    for number, (row, col) in enumerate(cells):
        near = np.where(np.abs(marks - col) <= lateral, weight, np.inf)
        # A move may cross cells aside, but not end on them.
        low, high = max(col - lateral, 0), min(col + lateral, weight.shape[1] - 1)
        crossed, metres, times, _ = pieces(grid, Ways(found[number], np.array([len(found[number])])))
        paid = (
            float((weight[crossed[:, 0], crossed[:, 1]] * metres * times).sum())
            + 0.25 * weight[tuple(found[number][0])]
        )
        assert tuple(found[number][-1]) == (row, col)
        assert found[number][0][0] == 0
        assert ((found[number][:, 1] >= low) & (found[number][:, 1] <= high)).all()
        assert paid >= toward.cost[row, col] - 1e-6
        assert paid <= search(Grid(near, 1.0), np.where(np.isfinite(near), starts, np.inf)).cost[row, col] + 1e-6


def test_a_slope_is_walked_up_slower_than_down_as_tobler_says():
    # 1 in 5: up exp(3.5 (.25 - .05)), down exp(3.5 (.15 - .05)); the fastest is 1 in 20 downhill.
    heights = np.broadcast_to(np.arange(30.0)[:, None] * 0.2, (30, 3)).copy()
    weight = np.ones((30, 3))
    up = from_one(weight, 0, 1, heights=heights).cost[29, 1]
    down = from_one(weight, 29, 1, heights=heights).cost[0, 1]
    assert up / down == pytest.approx(math.exp(0.7) / math.exp(0.35), rel=0.05)
    assert from_one(weight, 29, 1, heights=heights, reverse=True).cost[0, 1] == pytest.approx(up)
    assert pace(0.0) == 1.0
    assert pace(-0.05) == min(pace(slope / 100.0) for slope in range(-50, 51))
    assert paces(np.array([[0.2, math.nan]])) == pytest.approx(np.array([[math.exp(0.7), 1.0]]))


def test_bad_pairs_of_cells_make_no_way():
    island = np.full((5, 5), np.inf)
    island[2, 2] = island[0, 0] = 1.0
    found = from_one(island, 0, 0)
    assert not len(way(Grid(island, 1.0), found, 2, 2))
    assert way(Grid(island, 1.0), found, 0, 0).tolist() == [[0, 0]]
