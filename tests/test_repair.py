"""engine/repair.py: what is searched again equals what is searched whole, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dronewall.engine.exposure import Grid, search
from dronewall.engine.repair import cheaper, way, wider

pytestmark = pytest.mark.timeout(300)  # where the kernels are not compiled yet

SHAPE = (12, 15)
WEIGHTS = hnp.arrays(np.float64, SHAPE, elements=st.sampled_from([0.0, 1e-12, 0.1, 1.0, 1.5, np.inf]))


def edge(weight, row):
    starts = np.full(weight.shape, np.inf)
    starts[row] = weight[row] * 0.5
    return starts


@settings(deadline=None)
@given(WEIGHTS, hnp.arrays(np.bool_, SHAPE), st.booleans(), st.booleans())
def test_a_repaired_search_is_the_whole_search_bit_for_bit(weight, cheap, reverse, sloping):
    heights = np.add.outer(np.arange(12.0), np.arange(15.0) ** 2) if sloping else None
    weight = weight + 1e-9
    after = np.where(cheap & np.isfinite(weight), weight / 3.0, weight)
    grids = Grid(weight, 5.0, heights), Grid(after, 5.0, heights)
    before = search(grids[0], edge(weight, 0), reverse=reverse)
    whole = search(grids[1], edge(after, 0), reverse=reverse)
    found = cheaper(grids[1], before, edge(after, 0), after < weight)
    assert found.cost.tobytes() == whole.cost.tobytes()
    for col in range(SHAPE[1]):
        again, once = way(grids[1], found, 11, col), way(grids[1], whole, 11, col)
        assert np.array_equal(again, once)
        # Both are cheapest ways: what the search itself traced costs as much and begins on the same edge.
        assert (len(once) == 0) == (not np.isfinite(whole.cost[11, col]))
        if len(once):
            ends = (once[0], once[-1]) if not reverse else (once[-1], once[0])
            assert ends[0][0] == 0
            assert tuple(ends[1]) == (11, col)


def test_nothing_changed_is_nothing_new():
    weight = np.random.default_rng(1).uniform(0.0, 1.0, SHAPE)
    before = search(Grid(weight, 5.0), edge(weight, 0))
    found = cheaper(Grid(weight, 5.0), before, edge(weight, 0), np.zeros(SHAPE, dtype=bool))
    assert found.cost.tobytes() == before.cost.tobytes()


def test_wider_reaches_as_far_as_a_move():
    cells = np.zeros((9, 9), dtype=bool)
    cells[4, 4] = True
    assert np.argwhere(wider(cells)).tolist() == [[row, col] for row in range(1, 8) for col in range(1, 8)]
