import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall.engine.belt import belt_of
from dronewall.engine.frontage import Frontage
from dronewall.engine.terrain import Terrain

CELL = 10.0


def plain(width=1200.0, height=800.0):
    return Terrain.from_array(np.zeros((round(height / CELL), round(width / CELL))), CELL)


def test_a_straight_belt_holds_the_cells_between_its_edges_and_its_square_ends():
    # From 200 to 1000 m east, 400 m north; 150 m ahead of it, 50 m behind: 80 x 20 middles of cells.
    frontage = Frontage(np.array([[200.0, 400.0], [1000.0, 400.0]]), 150.0, 50.0, threat_left=True)
    terrain = plain()
    belt = belt_of(frontage, terrain)
    inside = np.zeros(terrain.shape, dtype=bool)
    inside[belt.slices] = belt.inside
    expected = np.zeros(terrain.shape, dtype=bool)
    expected[35:55, 20:100] = True
    assert (inside == expected).all()
    assert belt.far.sum() == belt.near.sum() == 80
    assert (belt.offset[belt.far] == 145.0).all()
    assert (belt.offset[belt.near] == -45.0).all()
    assert belt.chainage[belt.far] == pytest.approx(np.arange(5.0, 800.0, 10.0))


def test_a_belt_that_ends_where_the_raster_does_has_its_edges():
    # 1200 m by 800 m, and the belt is all of it.
    frontage = Frontage(np.array([[0.0, 400.0], [1200.0, 400.0]]), 400.0, 400.0, threat_left=True)
    belt = belt_of(frontage, plain())
    assert belt.inside.all()
    assert belt.far[-1].all()
    assert belt.near[0].all()
    assert belt.far.sum() == belt.near.sum() == 120


def test_the_threat_on_the_other_side_turns_the_belt_round():
    points = np.array([[200.0, 400.0], [1000.0, 400.0]])
    left, right = (belt_of(Frontage(points, 100.0, 100.0, side), plain()) for side in (True, False))
    assert (left.far == right.near).all()
    assert (left.inside == right.inside).all()


bends = st.lists(st.tuples(st.floats(-150.0, 150.0), st.floats(80.0, 250.0)), min_size=1, max_size=5)


@given(bends, st.floats(20.0, 120.0), st.floats(0.0, 120.0), st.booleans())
def test_a_cell_of_the_belt_lies_where_the_frontage_says(steps, front, behind, left):
    points = [(100.0, 400.0)]
    for north, east in steps:
        points.append((points[-1][0] + east, 400.0 + north))
    frontage = Frontage(np.array(points), front, behind, left)
    terrain = plain(1600.0)
    belt = belt_of(frontage, terrain)
    rows, cols = np.nonzero(belt.inside)
    columns, lines = terrain.centres
    chainage, offset = frontage.locate(columns[cols + belt.col], lines[rows + belt.row])
    assert belt.chainage[rows, cols] == pytest.approx(chainage, abs=1e-3)
    assert belt.offset[rows, cols] == pytest.approx(offset, abs=1e-3)
    held = set(zip(*(part.tolist() for part in terrain.cells(*frontage.at(frontage.stations(CELL)))), strict=True))
    out = (offset > front + 1e-3) | (offset < -behind - 1e-3)
    assert {(row + belt.row, col + belt.col) for row, col in zip(rows[out], cols[out], strict=True)} <= held
    # Nothing is missing: whatever holds a station, and whatever lies between the edges.
    assert all(belt.inside[row - belt.row, col - belt.col] for row, col in held)
    _, every = frontage.locate(*np.meshgrid(columns, lines))
    between = np.zeros(terrain.shape, dtype=bool)
    between[belt.slices] = belt.inside
    away = np.minimum(np.abs(every - front), np.abs(every + behind)) > 1e-3  # on an edge, rounding decides
    square = (columns > frontage.points[0, 0] + 250.0) & (columns < frontage.points[-1, 0] - 250.0)
    missing = ~between & (every < front) & (every > -behind) & away & square
    assert not missing.any()


def test_a_long_frontage_costs_what_lies_near_it_and_no_more():
    # Along a diagonal, the belt holds its length times its depth of the raster, and far from it nothing is said.
    frontage = Frontage(np.array([[100.0, 100.0], [3900.0, 3017.0]]), 100.0, 100.0, True)
    belt = belt_of(frontage, plain(4000.0, 4000.0))
    assert belt.inside.sum() * CELL**2 == pytest.approx(math.hypot(3800.0, 2917.0) * 200.0, rel=0.01)
    assert np.isnan(belt.offset).mean() > 0.5
