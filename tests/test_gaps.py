import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coverage_fixture import stations_of
from dronewall.engine.belt import belt_of
from dronewall.engine.breach import Going
from dronewall.engine.detection import Rate, Target, rate
from dronewall.engine.field import UNIT, Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import gaps, stations, unknown
from dronewall.engine.terrain import Terrain

CELL = 5.0
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.5)
SURE = {"kind": "table", "range_m": [0.0, 5000.0], "probability": [0.95, 0.95], "glimpse_s": 1.0}


def plain(width=2000.0, height=800.0):
    return Terrain.from_array(np.zeros((round(height / CELL), round(width / CELL))), CELL)


def line(width=2000.0, north=400.0, front=200.0, behind=100.0):
    """A frontage from west to east, the threat in the north."""
    return Frontage(np.array([[0.0, north], [width, north]]), front, behind, threat_left=True)


def wedge(name, east, north, azimuth, hfov, far=1000.0, model=SURE):
    angles = (math.radians(angle) for angle in (azimuth, 0.0, 0.0, hfov, 120.0))
    return Frustum(name, "sector", east, north, 3.0, 3.0, *angles, 0.0, far, model)


def field_of(terrain, frusta, target=WALKER):
    field = Field(terrain.shape)
    for frustum in frusta:
        field.add(frustum.name, rate(terrain, frustum, target))
    return field


def found(at, kind="line", threshold=0.5, frontage=None, **options):
    return gaps(at, kind, "walker", threshold, frontage or line(), {"P1": 500.0, "P2": 1500.0}, **options)


def test_the_gap_between_two_wedges_on_flat_ground_is_as_long_as_geometry_says():
    # Two posts 300 m behind the line look due north with 60 degrees: each covers +-300 tan 30 = 173.2 m of it. The gap
    # between them runs from 500 + 173.2 to 1500 - 173.2 m.
    terrain, frontage = plain(), line(behind=100.0)
    field = field_of(terrain, [wedge("P1/a", 500.0, 100.0, 0.0, 60.0), wedge("P2/a", 1500.0, 100.0, 0.0, 60.0)])
    at = stations(terrain, frontage, field, WALKER, look_s=10.0)
    reach = 300.0 * math.tan(math.radians(30.0))
    between = [gap for gap in found(at) if gap.nearest_posts == ("P1", "P2")]
    assert len(between) == 1
    assert between[0].start == pytest.approx(500.0 + reach, abs=CELL)
    assert between[0].end == pytest.approx(1500.0 - reach, abs=CELL)
    assert between[0].probability_mean == 0.0
    assert not between[0].flank


def test_a_lane_is_closed_by_a_wedge_that_only_crosses_it_ahead_of_the_line():
    # A wedge that looks along the belt 100 m ahead of the line covers no station and every lane up to its range.
    terrain, frontage = plain(), line()
    field = field_of(terrain, [wedge("P1/a", 0.0, 500.0, 90.0, 2.0, far=1200.0)])
    at = stations(terrain, frontage, field, WALKER, look_s=10.0)
    assert [(gap.start, gap.end) for gap in found(at)] == [(0.0, 2000.0)]
    lanes = [gap for gap in found(at, "lane") if gap.end > 1100.0]
    assert [(gap.start, gap.end) for gap in lanes] == [(pytest.approx(1200.0, abs=CELL), 2000.0)]


def test_a_lane_through_a_uniform_field_is_random_search():
    # Exposure = rate x time: .004/s over 300 m at 1.5 m/s is .8.
    terrain, frontage = plain(), line()
    field = Field(terrain.shape)
    field.add(
        "sky", Rate.of(0, 0, np.full(terrain.shape, 0.004), np.ones(terrain.shape), np.zeros(terrain.shape, bool))
    )
    at = stations(terrain, frontage, field, WALKER, look_s=10.0)
    assert at.lane_p == pytest.approx(-math.expm1(-0.8), abs=1e-6)
    assert at.line_p == pytest.approx(-math.expm1(-0.04), abs=1e-6)


@given(
    st.lists(
        st.tuples(st.floats(0, 2000), st.floats(0, 800), st.floats(0, 360), st.floats(5, 180)), min_size=1, max_size=4
    )
)
@settings(max_examples=25)
def test_audited_lanes_never_exceed_the_field_and_another_sensor_never_opens_a_gap(posts):
    terrain, frontage = plain(), line()
    camera = {"kind": "camera", "pixels": 800, "n50": 1.5, "glimpse_s": 3.0}
    frusta = [wedge(f"P{i}/a", *post, model=camera) for i, post in enumerate(posts)]
    fields = [field_of(terrain, frusta[:count]) for count in (len(frusta) - 1, len(frusta))]
    less, more = (stations(terrain, frontage, field, WALKER, look_s=10.0) for field in fields)
    for before, after in ((less.line_p, more.line_p), (less.lane_p, more.lane_p)):
        assert (after >= before - 1e-12).all()
    pieces = round(frontage.depth / (CELL / 2.0))
    share = (np.arange(pieces) + 0.5) / pieces
    along = more.lane[:, None, 0] + share[None, :, None] * (more.lane[:, None, 1] - more.lane[:, None, 0])
    rates = fields[1].total[terrain.cells(along[..., 0], along[..., 1])] * UNIT
    bound = -np.expm1(-rates.sum(axis=1) * frontage.depth / pieces / WALKER.speed)
    assert (more.lane_p <= bound + 1e-9).all()


def uniform(terrain, rates):
    """A field of sensors that each see everything with one rate [1/s]."""
    field = Field(terrain.shape)
    for name, each in rates.items():
        field.add(
            name, Rate.of(0, 0, np.full(terrain.shape, each), np.ones(terrain.shape), np.zeros(terrain.shape, bool))
        )
    return field


def test_where_fewer_than_k_nodes_count_nothing_is_detected():
    # In a look of 10 s .05/s detects with .3935; two sensors of P1 with .632, three sensors in all with .777.
    terrain, frontage = plain(), line()
    field = uniform(terrain, {"P1/a": 0.05, "P1/b": 0.05, "P2/a": 0.05})
    lane = -math.expm1(-0.15 * 300.0 / 1.5)
    for k, count_p, counts in ((1, 0.9, True), (2, 0.39, True), (2, 0.4, False), (3, 0.39, False)):
        at = stations(terrain, frontage, field, WALKER, 10.0, k, count_p)
        assert at.line_p == pytest.approx(0.777 if counts else 0.0, abs=5e-4)
        assert at.lane_p == pytest.approx(lane if counts else 0.0, abs=1e-6)


def test_a_lane_counts_only_where_k_nodes_see_it():
    # P1 sees the 200 m ahead of the line, P2 100 m of them and the 100 m behind: both see the 100 m next to it.
    terrain, frontage = plain(), line()
    field = Field(terrain.shape)
    for name, first, last in (("P1/a", 80, 120), ("P2/a", 60, 100)):
        shape = (last - first, terrain.shape[1])
        field.add(name, Rate.of(first, 0, np.full(shape, 0.005), np.ones(shape), np.zeros(shape, bool)))
    one, two = (stations(terrain, frontage, field, WALKER, 10.0, k, 0.04) for k in (1, 2))
    assert one.lane_p == pytest.approx(-math.expm1(-0.005 * 400.0 / 1.5), abs=1e-6)
    assert two.lane_p == pytest.approx(-math.expm1(-0.005 * 200.0 / 1.5), abs=1e-6)


@given(
    st.lists(
        st.tuples(st.floats(0, 2000), st.floats(0, 800), st.floats(0, 360), st.floats(5, 180)), min_size=1, max_size=4
    ),
    st.integers(1, 3),
)
@settings(max_examples=25)
def test_asking_for_more_nodes_never_closes_a_gap(posts, k):
    terrain, frontage = plain(), line()
    field = field_of(terrain, [wedge(f"P{i}/a", *post) for i, post in enumerate(posts)])
    fewer, more = (stations(terrain, frontage, field, WALKER, 10.0, count) for count in (k, k + 1))
    assert (more.line_p <= fewer.line_p).all()
    assert (more.lane_p <= fewer.lane_p + 1e-12).all()
    assert (more.unknown == fewer.unknown).all()


def test_lanes_taken_some_at_a_time_are_those_taken_together(monkeypatch):
    terrain, frontage = plain(), line()
    field = field_of(terrain, [wedge("P1/a", 500.0, 100.0, 20.0, 60.0), wedge("P2/a", 1500.0, 700.0, 200.0, 90.0)])
    together = stations(terrain, frontage, field, WALKER, 10.0)
    monkeypatch.setattr("dronewall.engine.gaps._PIECES", 1000)
    apart = stations(terrain, frontage, field, WALKER, 10.0)
    assert (apart.lane_p == together.lane_p).all()
    assert (apart.lane_unknown == together.lane_unknown).all()
    assert 0.0 < together.lane_p.mean() < 1.0


def test_a_lane_that_nobody_can_walk_closes_itself_and_no_other():
    terrain, frontage = plain(), line()
    belt = belt_of(frontage, terrain)
    slowness = np.ones(belt.inside.shape)
    east = terrain.centres[0][belt.slices[1]]
    slowness[:, (east > 500.0) & (east < 600.0)] = np.inf
    at = stations(terrain, frontage, uniform(terrain, {"P1/a": 0.0}), WALKER, 10.0, going=Going(1.5, slowness))
    inside = (at.chainage > 500.0) & (at.chainage < 600.0)
    assert (at.lane_p == np.where(inside, 1.0, 0.0)).all()
    assert np.isnan(at.lane_warning[inside]).all()


def test_a_slanting_lane_slips_through_no_corner_that_two_closed_cells_share():
    # Closed cells in a diagonal row from the north-west to the south-east that touch at corners alone.
    terrain = plain()
    frontage = Frontage(np.array([[300.0, 200.0], [900.0, 500.0]]), 200.0, 200.0, True)
    belt = belt_of(frontage, terrain)
    rows, cols = terrain.cells(600.0 + CELL * np.arange(-90, 91), 350.0 - CELL * np.arange(-90, 91) + 1e-6)
    slowness = np.ones(terrain.shape)
    slowness[rows[rows >= 0], cols[rows >= 0]] = np.inf
    going = Going(1.5, slowness[belt.slices].copy())
    at = stations(terrain, frontage, uniform(terrain, {"P1/a": 0.0}), WALKER, 10.0, going=going)
    # Seen from above, a lane meets the row where its ends lie on two sides of the diagonal.
    side = at.lane.sum(axis=2) - 950.0
    apart = (side[:, 0] * side[:, 1] < 0.0) & (np.abs(side) > 2.0 * CELL).all(axis=1)
    assert apart.sum() > 10
    assert (at.lane_p[apart] == 1.0).all()


def test_stations_on_a_hole_are_unknown_and_never_covered():
    heights = np.zeros((160, 400))
    heights[78:82, 100:120] = np.nan
    terrain, frontage = Terrain.from_array(heights, CELL), line()
    field = field_of(terrain, [wedge("P1/a", 500.0, 100.0, 0.0, 170.0)])
    at = stations(terrain, frontage, field, WALKER, look_s=10.0)
    inside = (at.chainage > 500.0) & (at.chainage < 600.0)
    assert at.unknown[inside].all()
    assert (at.line_p[inside] == 0.0).all()
    hole = [gap for gap in found(at) if gap.start <= 550.0 <= gap.end]
    assert hole[0].unknown > 0.0


def test_ground_seen_by_another_is_not_unknown_though_one_cannot_tell():
    heights = np.zeros((160, 400))
    heights[60:62, :] = np.nan  # a strip of unknown ground south of the line
    terrain = Terrain.from_array(heights, CELL)
    south, north = wedge("P1/a", 1000.0, 100.0, 0.0, 60.0), wedge("P2/a", 1000.0, 700.0, 180.0, 60.0)
    alone, both = field_of(terrain, [south]), field_of(terrain, [south, north])
    row, col = terrain.cells(1000.0, 400.0)
    assert unknown(terrain, alone)[row, col]
    assert not unknown(terrain, both)[row, col]


def straight(probability, length=1000.0):
    """Stations with given probabilities, nothing else behind them."""
    n = len(probability)
    step = length / n
    chainage = (np.arange(n) + 0.5) * step
    zeros = np.zeros(n)
    return stations_of(chainage, chainage, zeros, step, probability, probability, zeros > 0, np.zeros((n, 2, 2)))


@given(
    hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0.0, 1.0)), st.floats(0.01, 0.99), st.floats(0.0, 0.5)
)
def test_gaps_are_the_maximal_runs_under_the_threshold(probability, threshold, more):
    frontage = line(1000.0)
    at = straight(probability)
    runs = found(at, threshold=threshold, frontage=frontage)
    inside = np.zeros(len(probability), bool)
    for gap in runs:
        cells = (at.chainage > gap.start) & (at.chainage < gap.end)
        inside |= cells
        assert gap.probability_least == probability[cells].min()
        assert gap.probability_mean == pytest.approx(probability[cells].mean())
    assert (inside == (probability < threshold)).all()
    assert all(later.start > sooner.end + at.step / 2.0 for sooner, later in itertools.pairwise(runs))
    # A higher threshold never closes one.
    higher = found(at, threshold=min(threshold + more, 0.999), frontage=frontage)
    assert all(any(wide.start <= gap.start and gap.end <= wide.end for wide in higher) for gap in runs)


def test_gaps_say_flank_resolution_and_their_neighbours():
    probability = np.full(100, 0.9)
    probability[:3] = probability[40:42] = probability[60:80] = 0.1
    at = straight(probability, 2000.0)
    first, short, long = found(at, lateral=100.0, posting=30.0)
    assert (first.flank, short.flank, long.flank) == (True, False, False)
    assert (first.below_resolution, short.below_resolution, long.below_resolution) == (False, True, False)
    assert (first.nearest_posts, short.nearest_posts, long.nearest_posts) == (("P1",), ("P1", "P2"), ("P2",))
    assert [gap.length for gap in (first, short, long)] == pytest.approx([60.0, 40.0, 400.0])
    assert [gap.start for gap in found(at, shortest=50.0)] == [0.0, 1200.0]
    assert len({gap.id for gap in (first, short, long)}) == 3
