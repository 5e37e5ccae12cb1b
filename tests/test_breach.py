"""Breach gaps and routes against closed forms, the lanes, and each other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.belt import belt_of
from dronewall.engine.breach import Counted, Going, guide_of, summed
from dronewall.engine.detection import Rate, Target, rate
from dronewall.engine.field import UNIT, Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import gaps, stations, weakest, weakest_at_a_station
from dronewall.engine.terrain import Terrain

CELL = 5.0
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.5)
ONE = Counted(1, 10.0, 0.5)


def plain(width=1000.0, height=400.0):
    return Terrain.from_array(np.zeros((round(height / CELL), round(width / CELL))), CELL)


def line(width=1000.0, north=200.0, front=100.0, behind=100.0):
    return Frontage(np.array([[0.0, north], [width, north]]), front, behind, threat_left=True)


def watched(terrain, rates):
    """A field of one sensor with these rates [1/s] and no ceiling."""
    field = Field(terrain.shape)
    field.add("P1/cam", Rate.of(0, 0, np.asarray(rates), np.ones(terrain.shape), np.zeros(terrain.shape, bool)))
    return field


def places(terrain):
    columns, rows = terrain.centres
    return np.meshgrid(columns, rows)


def route_of(terrain, frontage, field, going=None):
    belt, going = belt_of(frontage, terrain), going or Going(WALKER.speed)
    return routes(terrain, frontage, field, belt, going)


def routes(terrain, frontage, field, belt, going):
    guide = guide_of(belt, summed(field, belt, ONE), going, frontage.front, frontage.behind)
    return weakest(terrain, frontage, field, belt, going, ONE, guide)


def test_a_uniform_field_is_crossed_straight():
    # .004/s over 200 m at 1.5 m/s: exposure .533.
    terrain, frontage = plain(), line()
    field = watched(terrain, np.full(terrain.shape, 0.004))
    at = stations(terrain, frontage, field, WALKER, 10.0)
    assert at.breach_p == pytest.approx(-math.expm1(-0.004 * 200.0 / 1.5), abs=1e-6)
    assert at.breach_before == pytest.approx(-math.expm1(-0.004 * 100.0 / 1.5), abs=0.01)
    route, bottleneck = route_of(terrain, frontage, field)
    assert route.probability == pytest.approx(-math.expm1(-0.004 * 200.0 / 1.5), abs=1e-6)
    assert (route.length, route.seconds) == (pytest.approx(200.0), pytest.approx(200.0 / 1.5))
    assert route.worst == bottleneck.worst == pytest.approx(0.004)


def test_nobody_comes_in_or_leaves_by_a_closed_cell_on_the_very_edge():
    # The middles of the first and the last row of cells lie on the belt's edges: 0 m from there to its outside.
    terrain, frontage = plain(), line(front=97.5, behind=97.5)
    belt = belt_of(frontage, terrain)
    closed = np.where(belt.chainage < 500.0, np.inf, 1.0)
    with np.errstate(all="raise"):
        guide = guide_of(
            belt, np.full(closed.shape, 0.01), Going(WALKER.speed, closed), frontage.front, frontage.behind
        )
    for edge, cost, offset in ((belt.far, guide.start, 97.5), (belt.near, guide.end, -97.5)):
        assert belt.offset[edge] == pytest.approx(offset)
        assert np.isinf(cost[edge & np.isinf(closed)]).all()
        assert cost[edge & np.isfinite(closed)] == pytest.approx(0.0, abs=1e-6)


def test_between_two_discs_the_corridor_is_taken():
    # Discs of 120 m around 300 and 700 m on the line, watched for sure; the corridor between is 160 m wide.
    terrain, frontage = plain(), line()
    east, north = places(terrain)
    discs = (np.hypot(east - 300.0, north - 200.0) < 120.0) | (np.hypot(east - 700.0, north - 200.0) < 120.0)
    field = watched(terrain, np.where(discs, 1.0, 0.0))
    at = stations(terrain, frontage, field, WALKER, 10.0, lateral=100.0)
    free = (np.abs(at.chainage - 500.0) < 75.0) | (at.chainage < 175.0) | (at.chainage > 825.0)
    assert (at.breach_p[free] == 0.0).all()
    inside = (np.abs(at.chainage - 300.0) < 115.0) | (np.abs(at.chainage - 700.0) < 115.0)
    assert (at.breach_p[inside] > 0.9).all()
    assert route_of(terrain, frontage, field)[0].probability == 0.0


def test_one_hole_in_a_barrier_is_found_from_as_far_as_the_walker_may_wander():
    # A wall of 30 m right ahead of the line with a hole of 20 m at 500 m.
    terrain, frontage = plain(), line()
    east, north = places(terrain)
    wall = (north > 220.0) & (north < 250.0) & (np.abs(east - 500.0) > 10.0)
    field = watched(terrain, np.where(wall, 1.0, 0.0))
    at = stations(terrain, frontage, field, WALKER, 10.0, lateral=100.0)
    opened = at.breach_p < 0.5
    assert (at.lane_p[np.abs(at.chainage - 500.0) > 12.5] > 0.9).all()
    assert opened[np.abs(at.chainage - 500.0) < 85.0].all()
    assert not opened[np.abs(at.chainage - 500.0) > 115.0].any()
    # Without the bound every station would be a breach.
    far = stations(terrain, frontage, field, WALKER, 10.0, lateral=1000.0)
    assert (far.breach_p == 0.0).all()
    route, bottleneck = route_of(terrain, frontage, field)
    assert route.probability == 0.0
    assert np.abs(route.points[(route.points[:, 1] > 225.0) & (route.points[:, 1] < 245.0), 0] - 500.0).max() < 10.0
    assert bottleneck.worst == 0.0


def test_a_wall_without_a_hole_lets_nobody_by_and_the_weakest_place_in_it_is_the_bottleneck():
    terrain, frontage = plain(), line()
    east, north = places(terrain)
    wall = (north > 220.0) & (north < 250.0)
    thin = np.abs(east - 300.0) < 15.0
    field = watched(terrain, np.where(wall, np.where(thin, 0.01, 0.02), 0.0))
    route, bottleneck = route_of(terrain, frontage, field)
    # 30 m of .01/s at 1.5 m/s.
    assert route.probability == pytest.approx(-math.expm1(-0.2), rel=1e-4)
    assert bottleneck.worst == pytest.approx(0.01)
    assert route.chainage == pytest.approx(300.0, abs=15.0)


def test_warning_and_detection_before_the_line_tell_an_early_wall_from_a_late_one():
    terrain, frontage = plain(), line()
    _, north = places(terrain)
    fields = (watched(terrain, np.where((north > low) & (north < low + 30.0), 1.0, 0.0)) for low in (260.0, 110.0))
    early, late = (stations(terrain, frontage, field, WALKER, 10.0) for field in fields)
    assert (early.breach_before > 0.99).all()
    assert (late.breach_before == 0.0).all()
    assert (late.breach_p > 0.99).all()
    # Most are detected as they enter the wall, whose far side is 90 m ahead of the line.
    assert early.lane_warning == pytest.approx(90.0 / 1.5, abs=CELL / 1.5 + 1.0)
    assert np.isnan(late.lane_warning).all()


bends = st.lists(st.tuples(st.floats(-120.0, 120.0), st.floats(100.0, 250.0)), min_size=1, max_size=3)
posts = st.lists(
    st.tuples(st.floats(0, 800), st.floats(0, 600), st.floats(0, 360), st.floats(20, 180)), min_size=1, max_size=4
)


def bent(steps, front, behind):
    points = [(100.0, 300.0)]
    for north, east in steps:
        points.append((points[-1][0] + east, 300.0 + north))
    return Frontage(np.array(points), front, behind, threat_left=True)


def seen_by(terrain, frusta, model):
    field = Field(terrain.shape)
    for number, (east, north, azimuth, hfov) in enumerate(frusta):
        angles = (math.radians(angle) for angle in (azimuth, 0.0, 0.0, hfov, 120.0))
        frustum = Frustum(f"P{number}/a", "sector", east, north, 3.0, 3.0, *angles, 0.0, 400.0, model)
        field.add(frustum.name, rate(terrain, frustum, WALKER))
    return field


CAMERA = {"kind": "camera", "pixels": 800, "n50": 1.5, "glimpse_s": 5.0}
TABLE = {"kind": "table", "range_m": [0.0, 500.0], "probability": [0.05, 0.01], "glimpse_s": 3.0}


@given(posts, bends, st.floats(40.0, 120.0), st.floats(40.0, 120.0), st.sampled_from([CAMERA, TABLE]))
@settings(max_examples=30)
def test_lane_gaps_lie_in_breach_gaps_at_bends_too(frusta, steps, front, behind, model):
    terrain, frontage = plain(1000.0, 600.0), bent(steps, front, behind)
    field = seen_by(terrain, frusta, model)
    at = stations(terrain, frontage, field, WALKER, 10.0)
    assert (at.breach_p <= at.lane_p).all()
    lanes, breaches = (gaps(at, kind, "walker", 0.5, frontage, {"P1": 0.0}) for kind in ("lane", "breach"))
    assert all(any(wide.start <= gap.start and gap.end <= wide.end for wide in breaches) for gap in lanes)
    # Audited is never above what the summed field makes of the same way.
    for number in range(0, len(at.chainage), 7):
        way = at.routes[number]
        if len(way):
            assert np.isfinite(at.breach_p[number])
    assert (at.breach_before <= at.breach_p + 1e-12).all()


@given(posts, bends)
@settings(max_examples=20)
def test_another_sensor_that_resolves_all_it_sees_never_opens_a_breach(frusta, steps):
    terrain, frontage = plain(1000.0, 600.0), bent(steps, 80.0, 80.0)
    fewer, more = (seen_by(terrain, some, TABLE) for some in (frusta[:-1], frusta))
    before, after = (stations(terrain, frontage, field, WALKER, 10.0) for field in (fewer, more))
    # What ties are decided by is a thousandth of what rates are rounded to.
    assert (after.breach_p >= before.breach_p - 1e-6).all()
    less, most = (route_of(terrain, frontage, field)[0] for field in (fewer, more))
    assert most.probability >= less.probability - 1e-6


@given(posts)
@settings(max_examples=20)
def test_the_weakest_route_is_weaker_than_every_crossing(frusta):
    terrain, frontage = plain(), line()
    field = seen_by(terrain, frusta, TABLE)
    at = stations(terrain, frontage, field, WALKER, 10.0)
    route, bottleneck = route_of(terrain, frontage, field)
    assert route.probability <= at.breach_p.min() + 0.02
    assert bottleneck.worst <= route.worst + 1e-12
    assert bottleneck.probability >= route.probability - 1e-6
    rates = field.total * UNIT
    assert route.worst <= rates.max() + 1e-12


def test_nobody_leaves_through_the_belts_ends():
    # All is watched but a way round the east end, beyond the frontage.
    terrain = plain(1400.0)
    frontage = Frontage(np.array([[200.0, 200.0], [1000.0, 200.0]]), 100.0, 100.0, threat_left=True)
    east, _ = places(terrain)
    field = watched(terrain, np.where(east > 1000.0, 0.0, 0.01))
    route, _ = route_of(terrain, frontage, field)
    assert route.probability == pytest.approx(-math.expm1(-0.01 * 200.0 / 1.5), rel=1e-3)
    assert route.points[:, 0].max() <= 1000.0


def test_where_nobody_can_go_nobody_crosses():
    terrain, frontage = plain(), line()
    belt = belt_of(frontage, terrain)
    east, north = places(terrain)
    river = (north > 240.0) & (north < 260.0) & (np.abs(east - 600.0) > 15.0)
    slowness = np.where(river, np.inf, 1.0)[belt.slices]
    going = Going(WALKER.speed, slowness=slowness)
    field = watched(terrain, np.zeros(terrain.shape))
    at = stations(terrain, frontage, field, WALKER, 10.0, lateral=100.0, belt=belt, going=going)
    near = np.abs(at.chainage - 600.0)
    assert (at.breach_p[near < 80.0] == 0.0).all()
    assert (at.breach_p[near > 120.0] == 1.0).all()
    assert (at.lane_p[near > 20.0] == 1.0).all()
    assert (at.lane_p[near < 10.0] == 0.0).all()
    dry = Going(WALKER.speed, slowness=np.full(slowness.shape, np.inf))
    assert routes(terrain, frontage, field, belt, dry) == (None, None)


def test_the_station_that_is_detected_least_tells_what_its_crossing_does():
    # Watched for sure but in a lane of 10 m at 500 m, where the rate is .004/s: exposure .533 over 200 m at 1.5 m/s.
    terrain, frontage = plain(), line()
    east, _ = places(terrain)
    field = watched(terrain, np.where(np.abs(east - 500.0) < 10.0, 0.004, 1.0))
    belt, going = belt_of(frontage, terrain), Going(WALKER.speed)
    guide = guide_of(belt, summed(field, belt, ONE), going, frontage.front, frontage.behind)
    at = stations(terrain, frontage, field, WALKER, 10.0, belt=belt, guide=guide)
    found = weakest_at_a_station(terrain, frontage, belt, going, guide, at)
    assert found.probability == at.breach_p.min() == pytest.approx(-math.expm1(-0.004 * 200.0 / 1.5), rel=1e-3)
    assert found.chainage == pytest.approx(500.0, abs=10.0)
    assert (found.length, found.seconds) == (pytest.approx(200.0, abs=5.0), pytest.approx(200.0 / 1.5, rel=0.02))
    assert found.worst == pytest.approx(0.004)


@pytest.mark.parametrize("north", [202.0, 204.0])
def test_a_belt_with_nothing_behind_the_line_is_crossed_wherever_the_line_lies_in_its_cells(north):
    # .004/s over 100 m at 1.5 m/s, give or take half a cell.
    terrain, frontage = plain(), line(north=north, behind=0.0)
    field = watched(terrain, np.full(terrain.shape, 0.004))
    at = stations(terrain, frontage, field, WALKER, 10.0)
    assert (np.diff(at.routes.ends, prepend=0) > 0).any() or (at.breach_p == at.lane_p).all()
    assert at.breach_p == pytest.approx(-math.expm1(-0.004 * 100.0 / 1.5), abs=0.01)
    # A way round a wall that only crossings can take.
    east, lines = places(terrain)
    wall = (lines > 240.0) & (lines < 260.0) & (np.abs(east - 500.0) > 10.0)
    beside = stations(terrain, frontage, watched(terrain, np.where(wall, 1.0, 0.0)), WALKER, 10.0)
    near = np.abs(beside.chainage - 500.0)
    assert (beside.breach_p[near < 70.0] < 0.1).all()
    assert (beside.lane_p[near > 20.0] > 0.9).all()


def test_where_fewer_than_k_nodes_count_a_breach_is_free():
    terrain, frontage = plain(), line()
    field = watched(terrain, np.full(terrain.shape, 0.2))
    one, two = (stations(terrain, frontage, field, WALKER, 10.0, k, 0.5) for k in (1, 2))
    assert (one.breach_p > 0.9).all()
    assert (two.breach_p == 0.0).all()
