"""engine/loss.py and engine/fewest.py: what is lost with some sensors, and the fewest that open a line."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.belt import belt_of
from dronewall.engine.breach import Counted, Going, guide_of, summed
from dronewall.engine.detection import Draws, Rate, Target
from dronewall.engine.exposure import Ways
from dronewall.engine.fewest import Nodes, fewest
from dronewall.engine.field import Field, node_of
from dronewall.engine.frontage import Frontage
from dronewall.engine.gaps import Crossing, Stations, stations, weakest
from dronewall.engine.loss import Line, again, opened, without
from dronewall.engine.terrain import Terrain

pytestmark = pytest.mark.timeout(300)  # where the kernels are not compiled yet

CELL = 10.0
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.0)
LATERAL = 40.0


def ground(cols, rows=12, height=0.0):
    return Terrain.from_array(np.full((rows, cols), height), CELL)


def disc(terrain, east, north, radius, rate, ceiling=1.0, draws=None, unknown=False):
    """A window in which a sensor's rate is the same within `radius` of a place; who is farther it does not see."""
    columns, rows = terrain.centres
    away = np.hypot(columns[None, :] - east, rows[:, None] - north)
    seen = np.where(away <= radius, rate, 0.0)
    shares = None
    if draws is not None:
        shares = Draws(np.stack([np.where(away <= radius * part, 255, 0).astype(np.uint8) for part in draws]),
                       np.full(len(draws), 1.0 / len(draws)))  # fmt: skip
        seen *= sum(shares.shares[i] / 255.0 for i in range(len(draws))) / len(draws)
    return Rate.of(0, 0, seen, np.where(seen > 0.0, ceiling, 0.0), (away > radius) & unknown, draws=shares)


def field_of(terrain, windows):
    field = Field(terrain.shape)
    for name, window in windows.items():
        field.add(name, window)
    return field


def rough(belt, seed):
    """Going with ground that is slow here, closed there and hilly, the same for the same belt and seed."""
    if seed is None:
        return Going(WALKER.speed)
    random = np.random.default_rng(seed)
    slowness = random.choice([1.0, 1.0, 2.0, math.inf], size=belt.inside.shape, p=[0.5, 0.2, 0.2, 0.1])
    return Going(WALKER.speed, slowness, random.uniform(0.0, 3.0, belt.inside.shape))


def line_of(terrain, field, lane_p=0.5, k=1, points=None, seed=None):
    west, east, south, north = terrain.extent
    middle = (south + north) / 2.0
    front = Frontage(
        np.array([[west + 1.0, middle], [east - 1.0, middle]] if points is None else points), 40.0, 30.0, True
    )
    counted, belt = Counted(k, 10.0, 0.05), belt_of(front, terrain)
    going = rough(belt, seed)
    at, route = solved(terrain, front, field, counted, belt, going)
    return Line(terrain, front, belt, field, WALKER, going, "expected", counted, LATERAL, 0.5, lane_p, at, route)


def solved(terrain, front, field, counted, belt, going):
    """All of it, anew."""
    guide = guide_of(belt, summed(field, belt, counted), going, front.front, front.behind)
    at = stations(
        terrain, front, field, WALKER, counted.look_s, counted.k, counted.count_p, lateral=LATERAL, belt=belt,
        going=going, guide=guide,
    )  # fmt: skip
    return at, weakest(terrain, front, field, belt, going, counted, guide)[0]


def merged(whole, touched, part):
    """All stations, some of them (`touched`, by number) as `part` says."""
    found = {}
    for each in dataclasses.fields(Stations):
        value, new = getattr(whole, each.name), getattr(part, each.name)
        if each.name == "routes":
            ways = [value[number] for number in range(len(value))]
            for place, number in enumerate(touched):
                ways[number] = new[place]
            value = Ways(
                np.concatenate([*ways, np.zeros((0, 2), dtype=np.int64)]), np.cumsum([len(way) for way in ways])
            )
        elif isinstance(value, np.ndarray):
            value = value.copy()
            value[touched] = new
        found[each.name] = value
    return Stations(**found)


def same(one, other):
    for each in dataclasses.fields(one):
        ours, theirs = getattr(one, each.name), getattr(other, each.name)
        if each.name == "routes":
            assert np.array_equal(ours.cells, theirs.cells)
            assert np.array_equal(ours.ends, theirs.ends)
        else:
            assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes(), each.name


SENSORS = st.lists(
    st.tuples(
        st.floats(0.0, 600.0),
        st.floats(0.0, 120.0),
        st.floats(15.0, 120.0),
        st.sampled_from([1e-4, 3e-3, 0.02, 0.3]),
        st.sampled_from([0.3, 0.8, 1.0]),
        st.sampled_from([None, (0.5, 1.0), (0.2, 0.9, 1.0)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=40)
@given(
    SENSORS,
    st.sets(st.integers(0, 5), min_size=1, max_size=3),
    st.sampled_from([1, 2]),
    st.booleans(),
    st.none() | st.integers(0, 9),
)
def test_what_is_solved_again_in_part_is_a_whole_new_solve_bit_for_bit(told, lost, k, bent, seed):
    terrain = ground(60)
    points = [[5.0, 40.0], [300.0, 80.0], [595.0, 60.0]] if bent else None
    windows = {f"N{i // 2}/s{i}": disc(terrain, *each) for i, each in enumerate(told)}
    names = [name for i, name in enumerate(windows) if i in lost]
    line = line_of(terrain, field_of(terrain, windows), k=k, points=points, seed=seed)
    total = line.field.total
    touched, part, route = again(line, names)
    assert (line.field.total == total).all()  # what was taken out is back
    rest = field_of(terrain, {name: window for name, window in windows.items() if name not in names})
    whole, way = solved(terrain, line.frontage, rest, line.counted, line.belt, line.going)
    same(merged(line.at, touched, part), whole)
    assert (route is None) == (way is None)
    if route is not None:
        for each in dataclasses.fields(Crossing):
            assert np.array_equal(getattr(route, each.name), getattr(way, each.name)), each.name
    found = without(line, names)
    new = (whole.breach_p < 0.5) & ~(line.at.breach_p < 0.5)
    assert found.opened["breach"].tolist() == np.flatnonzero(new).tolist()
    if all(each[4] == 1.0 and each[5] is None for each in told):  # else crossings exposed alike may be audited apart
        assert opened(line, names) == np.count_nonzero(new)
        assert opened(line, names, np.count_nonzero(new)) == 0
    assert found.metres["lane"] == pytest.approx(np.count_nonzero(whole.lane_p < 0.5) * whole.step)
    assert found.least[0] == whole.breach_p.min()


def test_losing_nothing_changes_nothing():
    terrain = ground(40)
    line = line_of(terrain, field_of(terrain, {"A/s": disc(terrain, 200.0, 60.0, 100.0, 0.1)}))
    for names in ((), ("nobody/s",)):
        found = without(line, names)
        assert found.more() == 0.0
        assert not len(found.touched)
        assert found.weakest is line.weakest
        assert found.opening is None


def test_stations_far_from_what_is_lost_keep_their_values_unasked():
    terrain = ground(200)
    windows = {"A/s": disc(terrain, 200.0, 60.0, 60.0, 0.1), "B/s": disc(terrain, 1700.0, 60.0, 60.0, 0.1)}
    line = line_of(terrain, field_of(terrain, windows))
    touched = again(line, ["A/s"])[0]
    assert 0 < len(touched) < 60
    assert line.at.chainage[touched].max() < 600.0


def brute(line, most=3):
    """The least number of nodes whose loss lets the summed field's cheapest route under the threshold, and all sets."""
    names = sorted({node_of(name) for name in line.field})
    for size in range(min(most, len(names)) + 1):
        sets = []
        for lost in itertools.combinations(names, size):
            rest = field_of(line.terrain, {n: line.field[n] for n in line.field if node_of(n) not in lost})
            guide = guide_of(
                line.belt, summed(rest, line.belt, line.counted), line.going, line.frontage.front, line.frontage.behind
            )
            if (guide.whole.cost + guide.end).min() < -math.log1p(-line.lane_p):
                sets.append(frozenset(lost))
        if sets:
            return size, set(sets)
    return None, set()


def searched(line, asked=3, go_on=lambda: True):
    nodes = Nodes(
        line.field, line.belt, line.counted, line.going, line.frontage.front, line.frontage.behind, line.lane_p
    )
    return fewest(nodes, asked, go_on)


@settings(deadline=None, max_examples=60)
@given(SENSORS, st.sampled_from([0.2, 0.5, 0.9]), st.sampled_from([1, 2]))
def test_the_fewest_are_what_trying_every_subset_finds(told, lane_p, k):
    terrain = ground(24)
    windows = {
        f"N{i}/s": disc(terrain, east * 0.4, north, 60.0 + radius, rate * 3.0)
        for i, (east, north, radius, rate, *_) in enumerate(told)
    }
    # A node with two sensors is lost with both.
    windows["N0/t"] = disc(terrain, 120.0, 60.0, 150.0, 0.01)
    line = line_of(terrain, field_of(terrain, windows), lane_p, k)
    size, sets = brute(line)
    found = searched(line)
    assert found.ended
    if size is None:
        assert found.low == 4
        assert found.high is not None
        assert 4 <= found.high <= 6
    else:
        assert (found.low, found.high) == (size, size)
        assert set(found.sets) <= sets
        assert len(found.sets) == min(len(sets), 12)
    short = searched(line, asked=0)
    assert short.low <= (4 if size is None else size) <= 4
    assert short.high is not None
    assert size is None or short.low <= size <= short.high


def test_a_place_that_one_strong_sensor_watches_opens_though_it_was_never_the_weakest():
    # Left: three nodes that together are the weakest place. Right: one that alone is stronger than these. Those on the
    # weakest route are the three of the left, and none of them opens anything; the one on the right does.
    terrain = ground(60)
    windows = {f"L{i}/s": disc(terrain, 100.0, 60.0, 205.0, 0.02) for i in range(3)}
    windows["R/s"] = disc(terrain, 500.0, 60.0, 205.0, 0.5)
    line = line_of(terrain, field_of(terrain, windows))
    assert line.weakest.chainage < 300.0
    assert line.weakest.probability > 0.9
    found = searched(line)
    assert (found.low, found.high, found.sets) == (1, 1, (frozenset({"R"}),))
    assert all(without(line, [name]).more() == 0.0 for name in line.field if name.startswith("L"))
    assert without(line, ["R/s"]).more() > 100.0


def test_a_deep_line_gets_bounds_beyond_what_was_asked_and_without_time():
    terrain = ground(30)
    line = line_of(terrain, field_of(terrain, {f"N{i}/s": disc(terrain, 150.0, 60.0, 400.0, 0.05) for i in range(6)}))
    found = searched(line)
    assert (found.low, found.high, found.ended) == (6, 6, True)
    assert found.sets == (frozenset(f"N{i}" for i in range(6)),)
    out = searched(line, go_on=lambda: False)
    assert not out.ended
    assert out.low == 0
    assert out.high == 6


@settings(deadline=None, max_examples=25)
@given(SENSORS)
def test_another_sensor_never_opens_a_gap(told):
    # With ceilings of 1 and certain poses the audit is the field, and routes are the best there are.
    terrain = ground(40)
    windows = {f"N{i}/s": disc(terrain, *each[:4]) for i, each in enumerate(told)}
    line = line_of(terrain, field_of(terrain, windows))
    for name in windows:
        fewer = without(line, [name])
        assert all(metres >= without(line, []).metres[kind] for kind, metres in fewer.metres.items())
        assert fewer.worst[0] <= without(line, []).worst[0] + 1e-9


@settings(deadline=None, max_examples=25)
@given(SENSORS, st.permutations(range(6)), st.sampled_from([1, 2]), st.none() | st.integers(0, 9))
def test_one_loss_after_the_other_is_each_a_whole_new_solve(told, order, k, seed):
    terrain = ground(60)
    windows = {f"N{i // 2}/s{i}": disc(terrain, *each) for i, each in enumerate(told)}
    line = line_of(terrain, field_of(terrain, windows), k=k, seed=seed)
    for name in [f"N{i // 2}/s{i}" for i in order if i < len(told)]:
        touched, part, route = again(line, [name])
        rest = field_of(terrain, {each: window for each, window in windows.items() if each != name})
        whole, way = solved(terrain, line.frontage, rest, line.counted, line.belt, line.going)
        same(merged(line.at, touched, part), whole)
        assert (route is None) == (way is None)
        if route is not None:
            for each in dataclasses.fields(Crossing):
                assert np.array_equal(getattr(route, each.name), getattr(way, each.name)), each.name
