import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall.engine.detection import Draws, Rate
from dronewall.engine.field import SIDE, UNIT, Field, glance, node_of, stored

SHAPE = (2 * SIDE + 9, 2 * SIDE + 11)  # nine tiles, the outer ones cut off by the raster's edge


def window(seed, fastest=0.3, draws=False):
    """Any window, across tile borders as often as not, most of it dark; at most some 10 times `fastest` [1/s]."""
    random = np.random.default_rng(seed)
    rows, cols = random.integers(0, SIDE + 8, 2)
    row, col = random.integers(0, SHAPE[0] - rows + 1), random.integers(0, SHAPE[1] - cols + 1)
    shape = (rows, cols)
    rates = random.exponential(fastest, shape) * (random.uniform(size=shape) < random.choice([0.0, 0.002, 0.7]))
    unknown = random.uniform(size=shape) < random.choice([0.0, 0.1])
    ceiling = random.uniform(0.0, 1.0, shape) if seed % 2 else np.full(shape, 0.75)
    likely = None
    if draws:
        likely = Draws(random.integers(0, 256, (3, *shape)).astype(np.uint8), np.array([0.25, 0.5, 0.25]))
        rates *= likely.likely_at((slice(None), slice(None)))
    return Rate.of(int(row), int(col), rates, ceiling, unknown, float(random.choice([1.0, 0.25])), likely)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1000), st.booleans()), max_size=60))
def test_a_field_after_any_updates_equals_one_made_afresh_bit_for_bit(steps):
    field, latest = Field(SHAPE), {}
    for sensor, seed, gone in steps:
        name = f"P{sensor}/cam"
        if gone and name in latest:
            field.remove(name)
            del latest[name]
        else:
            field.add(name, window(seed, 10.0 ** (seed % 4)))
            latest[name] = seed
    fresh = Field(SHAPE)
    for name in sorted(latest):
        fresh.add(name, window(latest[name], 10.0 ** (latest[name] % 4)))
    assert (field.total == fresh.total).all()
    assert (field.unsure == fresh.unsure).all()
    assert (field.look(10.0) == fresh.look(10.0)).all()
    assert (field.count(10.0, 0.5) == fresh.count(10.0, 0.5)).all()
    assert list(field) == list(fresh)
    for name in latest:
        field.remove(name)
    assert not field.total.any()
    assert not field.unsure.any()


def whole(windows, values):
    """The sum of windows over a raster of its own, as anybody would add them up."""
    found = np.zeros(SHAPE, dtype=np.asarray(values(windows[0])).dtype)
    for one in windows:
        found[one.slices] += values(one)
    return found


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5))
def test_tiles_say_what_whole_rasters_would(seeds):
    windows = [window(seed) for seed in seeds]
    field = Field(SHAPE)
    for index, one in enumerate(windows):
        field.add(f"P{index}/cam", one)
    total = whole(windows, lambda one: np.rint(one.rate / UNIT).astype(np.int64))
    assert (field.total == total).all()
    assert (field.unsure == whole(windows, lambda one: one.unknown.astype(np.int32))).all()
    doubtful = (field.unsure > 0) & (field.total == 0)
    assert (field.doubtful() == doubtful).all()
    random = np.random.default_rng(seeds[0])
    (north, south), (west, east) = (np.sort(random.integers(0, size + 1, 2)) for size in SHAPE)
    assert (field.rates((slice(north, south), slice(west, east))) == total[north:south, west:east]).all()
    cells = random.integers(-1, SHAPE[0], 200), random.integers(-1, SHAPE[1], 200)
    inside = (cells[0] >= 0) & (cells[1] >= 0)
    assert (field.doubtful_at(cells) == doubtful[cells] & inside).all()


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5), st.booleans())
def test_a_look_at_a_place_on_the_map_and_sensor_by_sensor_are_one(seeds, draws):
    field = Field(SHAPE)
    missed, nodes = np.ones(SHAPE), {}
    for index, seed in enumerate(seeds):
        one, name = window(seed, draws=draws), f"P{index % 3}/s{index}"
        field.add(name, one)
        # As the definition has it, on whole windows and with what the tiles do not round.
        likely = np.ones(one.shape)
        if one.draws is not None:
            likely.ravel()[one.cells] = one.draws.likely_at(slice(None))
        full = np.divide(one.rate, likely, out=np.zeros_like(one.rate), where=likely > 0.0)
        alone = np.zeros(SHAPE)
        alone[one.slices] = one.duty * likely * np.minimum(one.ceiling, -np.expm1(-full * 10.0))
        missed *= 1.0 - alone
        nodes[node_of(name)] = nodes.get(node_of(name), 1.0) * (1.0 - alone)
    assert field.look(10.0) == pytest.approx(1.0 - missed, abs=1e-4)
    row, col = np.indices(SHAPE)
    assert field.glance((row, col), 10.0) == pytest.approx(field.look(10.0), abs=1e-6)
    assert (field.count_at((row, col), 10.0, 0.4) == field.count(10.0, 0.4)).all()
    exact = np.array([1.0 - one for one in nodes.values()])
    sure = (np.abs(exact - 0.4) > 1e-4).all(axis=0)
    assert (field.count(10.0, 0.4) == (exact >= 0.4).sum(axis=0))[sure].all()
    for at in np.random.default_rng(seeds[0]).integers(0, SHAPE, (20, 2)).tolist():
        watching = field.who(*at, 10.0)
        assert all(one.rate > 0.0 for one in watching)
        assert [one.look for one in watching] == sorted((one.look for one in watching), reverse=True)
        together = 1.0 - math.prod(1.0 - one.look for one in watching)
        assert together == pytest.approx(float(field.look(10.0)[tuple(at)]), abs=1e-6)


def one_cell(rate, ceiling=1.0):
    return Rate.of(0, 0, np.array([[rate]]), np.array([[ceiling]]), np.zeros((1, 1), bool))


def test_a_node_with_two_sensors_counts_once_and_with_both_together():
    field = Field((1, 1))
    # .3935 and .3935 of one node make .632; another node has .632 by itself, a third .3935.
    for name, rate in (("P1/a", 0.05), ("P1/b", 0.05), ("P1-b/a", 0.1), ("P2/a", 0.05)):
        field.add(name, one_cell(rate))
    assert field.count(10.0, 0.6)[0, 0] == 2
    assert field.count(10.0, 0.39)[0, 0] == 3
    assert field.count(10.0, 0.64)[0, 0] == 0
    assert [one.sensor for one in field.who(0, 0, 10.0)] == ["P1-b/a", "P1/a", "P1/b", "P2/a"]


@pytest.mark.parametrize("fastest", [0.3, 4.29, 4.3, 13.8, 1000.0])
def test_rates_of_any_size_keep_a_2_to_the_32nd_of_the_highest(fastest):
    random = np.random.default_rng(3)
    rates = random.uniform(0.0, fastest, (5, 5))
    rates[0, 0] = fastest
    field = Field((5, 5))
    field.add("P1/cam", Rate.of(0, 0, rates, np.ones((5, 5)), np.zeros((5, 5), bool)))
    assert np.abs(field.total * UNIT - rates).max() <= max(UNIT / 2.0, fastest / 2.0**32) * (1.0 + 1e-6)


def test_a_ceiling_is_kept_to_a_hundred_thousandth_and_one_that_is_the_same_everywhere_exactly():
    random = np.random.default_rng(4)
    ceilings = random.uniform(0.0, 1.0, (40, 40))
    for told, error in ((ceilings, 0.5 / 65535.0), (np.full((40, 40), 0.3), 0.0)):
        field = Field((40, 40))
        field.add("P1/cam", Rate.of(0, 0, np.full((40, 40), 1e3), told, np.zeros((40, 40), bool)))
        assert np.abs(field.glance(tuple(np.indices((40, 40))), 10.0) - told).max() <= error + 1e-15


def memory_of(shape, wedges):
    """Bytes that a field of some disc-shaped windows holds, and what it took at the peak."""
    tracemalloc.start()
    field = Field(shape)
    for index in range(wedges):
        # A disc of 100 cells' radius in a window made by its caller, somewhere along the middle.
        away = np.hypot(*np.ogrid[-100:100, -100:100])
        rate = np.where(away < 100.0, 0.1 + away / 1000.0, 0.0)
        col = (index * 4999) % (shape[1] - 200)
        field.add(f"P{index}/cam", Rate.of(shape[0] // 2 - 100, col, rate, rate, np.zeros(rate.shape, bool)))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held, peak


def test_memory_follows_the_windows_and_not_the_raster():
    few, many = memory_of((800, 20000), 3), memory_of((800, 20000), 12)
    # A disc has 31 416 cells and touches some 50 tiles of 1024; 6 bytes each for the window, 8 for the sum.
    assert few[0] < 3 * 50 * 1024 * 14 * 1.3
    assert few[1] < 800 * 20000  # not so much as one byte for each of the raster's cells
    assert 2.5 < many[0] / few[0] < 5.0
    near = memory_of((800, 1000), 3)
    assert few[0] - near[0] < 100_000 * 4 * 1.5  # the index of tiles: 4 bytes for 1024 cells, and then some


def test_a_sensor_that_moves_leaves_no_memory_behind():
    field = Field((800, 20000))
    sizes = []
    for step in range(60):
        rate = np.full((100, 100), 0.1)
        field.add("D1/cam", Rate.of(300, step * 300, rate, rate, np.ones(rate.shape, bool)))
        sizes.append(field.nbytes)
    assert max(sizes[5:]) <= max(sizes[:5])
    field.remove("D1/cam")
    assert not field.total.any()


def test_what_sees_nothing_takes_nothing():
    nothing = stored(Rate.of(3, 5, np.zeros((50, 60)), np.zeros((50, 60)), np.zeros((50, 60), bool)))
    assert (nothing.nbytes, nothing.shape, len(nothing.tiles)) == (0, (50, 60), 0)
    field = Field((100, 100))
    field.add("P1/cam", nothing)
    assert not field.look(10.0).any()
    assert field.who(10, 10, 10.0) == []


def test_rates_add_up_to_a_billionth_per_second():
    field = Field(SHAPE)
    one, two = window(5), window(8)
    field.add("a", one)
    field.add("b", two)
    expected = np.zeros(SHAPE)
    expected[one.slices] += one.rate
    expected[two.slices] += two.rate
    assert np.abs(field.total * UNIT - expected).max() <= UNIT


def test_what_is_not_there_cannot_be_removed():
    with pytest.raises(KeyError, match="P1/cam"):
        Field(SHAPE).remove("P1/cam")


def test_two_looks_miss_with_the_product_of_their_misses():
    field = Field((1, 1))
    for name, rate, ceiling in (("a", 0.1, 1.0), ("b", 1.0, 0.3)):
        field.add(name, one_cell(rate, ceiling))
    # In 10 s a reaches 1 - 1/e; b would reach it almost surely but for its ceiling.
    assert field.look(10.0)[0, 0] == pytest.approx(1.0 - math.exp(-1.0) * 0.7, abs=1e-7)


def test_random_search_finds_what_koopman_says():
    # FACTS: 1 - exp(-C): .6321 at coverage 1, .3935 at .5.
    assert glance(0.1, 1.0, 10.0) == pytest.approx(0.6321, abs=5e-5)


@given(st.integers(0, 1000), st.sampled_from([0.5, 2.0, 0.25, 8.0]), st.booleans())
def test_scaled_rates_are_stored_as_they_would_have_been(seed, factor, draws):
    one = window(seed, 10.0 ** (seed % 8), draws)
    plain = stored(one)
    as_kept = np.rint(one.rates / (UNIT * plain.step)) * (UNIT * plain.step)
    fresh = stored(dataclasses.replace(one, rates=as_kept * factor))
    scaled = plain.scaled(factor)
    assert scaled.step == fresh.step
    fields = Field(SHAPE), Field(SHAPE)
    for field, kept in zip(fields, (scaled, fresh), strict=True):
        field.add("P1/cam", kept)
    off = np.abs(fields[0].total - fields[1].total)
    # What lies half way between two steps may be rounded either way.
    assert (off <= (0 if factor > 1.0 else scaled.step)).all()
    assert (off > 0).mean() < 0.01


@given(st.lists(st.integers(0, 1000), max_size=5))
def test_a_field_with_its_rates_doubled_is_twice_the_field(seeds):
    field = Field(SHAPE)
    for seed in seeds:
        field.add(f"P{seed}/cam", window(seed, 10.0 ** (seed % 4)))
    doubled = field.scaled(2.0)
    assert (doubled.total == 2 * field.total).all()
    assert (doubled.unsure == field.unsure).all()
    assert list(doubled) == list(field)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5, unique=True))
def test_what_happens_to_a_copy_does_not_happen_to_the_field(seeds):
    field = Field(SHAPE)
    for seed in seeds:
        field.add(f"P{seed}/cam", window(seed))
    before, other = field.total, field.copy()
    assert (other.total == before).all()
    other.remove(f"P{seeds[0]}/cam")
    other.add("Q/cam", window(7))
    assert (field.total == before).all()
    assert list(field) == sorted(f"P{seed}/cam" for seed in seeds)
