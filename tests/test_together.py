"""The sums over steps, against the same asked of every cell at every step one by one."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.breach import Counted
from dronewall.engine.breach import summed as fixed_sum
from dronewall.engine.detection import Draws, Rate
from dronewall.engine.field import Field
from dronewall.engine.moving import Moving, Passes, moving
from dronewall.engine.together import counting, mean_rates, summed
from flat_line import WALKER, downward, ground_of

GROUND = ground_of(cols=24, rows=40)
SHAPE = GROUND.belt.inside.shape
PLACES = np.flatnonzero(GROUND.belt.inside)
STEPS = 5
LOOK = 4.0


def passes_of(random, name, draws):
    """A sensor that sees some cells at some steps; step 3 is as step 1."""
    sets = [np.sort(random.choice(PLACES, random.integers(0, 40), replace=False)) for _ in range(STEPS)]
    sets[random.integers(0, STEPS)] = np.zeros(0, dtype=np.int64)
    sets[3] = sets[1]
    ends = np.cumsum([0] + [len(one) for one in sets])
    first, last = ends[:-1].copy(), ends[1:].copy()
    first[3], last[3] = first[1], last[1]
    count = ends[-1]
    weights = random.dirichlet(np.ones(draws)) if draws else np.zeros(0)
    return Passes(
        sensor=name, first=first, last=last, cells=np.concatenate(sets).astype(np.int32),
        rates=random.uniform(0.01, 1.0, count).astype(np.float32),
        ceilings=random.uniform(0.3, 1.0, count).astype(np.float32),
        shares=random.integers(1, 256, (draws, count), dtype=np.uint8), weights=weights,
        duty=float(random.choice([1.0, 0.7])),
    )  # fmt: skip


def field_of(random, names):
    field = Field(GROUND.terrain.shape)
    for name in names:
        rate = np.where(random.random(GROUND.terrain.shape) < 0.4, random.uniform(0.01, 1.0, GROUND.terrain.shape), 0.0)
        ceiling = random.uniform(0.3, 1.0, rate.shape)
        shares = random.integers(1, 256, (3, *rate.shape), dtype=np.uint8)
        draws = Draws(shares, np.array([0.2, 0.5, 0.3])) if random.random() < 0.5 else None
        field.add(name, Rate.of(0, 0, rate, ceiling, np.zeros(rate.shape, dtype=bool), 1.0, draws))
    return field


def made(seed, periodic=True):
    """Fixed sensors P1/a, P1/b, P2/a, D2/mast and moving ones D1/a, D1/b, D2/a: D2 has some of either."""
    random = np.random.default_rng(seed)
    field = field_of(random, ["P1/a", "P1/b", "P2/a", "D2/mast"])
    passes = tuple(passes_of(random, name, draws) for name, draws in (("D1/a", 0), ("D1/b", 3), ("D2/a", 7)))
    return field, Moving(passes, 2.0, STEPS, periodic, SHAPE)


def look_of(passes, entry):
    """min(ceiling, 1 - exp(-rate T)) of the rate in view, by the share of draws in view, and of the time awake."""
    likely = 1.0
    if len(passes.weights):
        likely = sum(w * s / 255.0 for w, s in zip(passes.weights, passes.shares[:, entry], strict=True))
    seen = 1.0 - math.exp(-float(passes.rates[entry]) / likely * LOOK)
    return passes.duty * likely * min(float(passes.ceilings[entry]), seen)


def watchers(field, moving, place, step):
    """Each sensor's rate and look at a cell of the piece at a step, by name; step None: the fixed ones'."""
    row, col = place // SHAPE[1] + GROUND.belt.row, place % SHAPE[1] + GROUND.belt.col
    found = {name: field[name].watch(row, col, LOOK)[::2] for name in field}
    for passes in moving.passes if step is not None else ():
        for entry in range(passes.first[step], passes.last[step]):
            if passes.cells[entry] == place:
                found[passes.sensor] = float(passes.rates[entry]), look_of(passes, entry)
    return found


def nodes_counting(found, count_p):
    nodes = {}
    for name, (_, look) in found.items():
        nodes[name.split("/")[0]] = nodes.get(name.split("/")[0], 1.0) * (1.0 - look)
    return sum(1.0 - missed >= count_p for missed in nodes.values())


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([0.3, 0.6]))
def test_with_the_fixed_rate_the_sum_is_the_rate_of_all_where_enough_nodes_count(seed, k, count_p):
    field, drones = made(seed)
    counted = Counted(k, LOOK, count_p)
    static = fixed_sum(field, GROUND.belt, counted).ravel()
    found = summed(drones, field, GROUND.belt, counted)
    assert (found.step, found.periodic) == (2.0, True)
    for step in range(STEPS):
        part = slice(found.first[step], found.last[step])
        assert len(set(found.cells[part].tolist())) == len(found.cells[part])
        whole = static.copy()
        np.add.at(whole, found.cells[part], found.rates[part])
        # All that a drone sees at the step, and some more.
        seen = [passes.cells[passes.first[step] : passes.last[step]] for passes in drones.passes]
        for place in np.unique(np.concatenate((*seen, np.random.default_rng(seed).choice(PLACES, 20)))):
            sensors = watchers(field, drones, place, step)
            enough = k == 1 or nodes_counting(sensors, count_p) >= k
            expected = sum(rate for rate, _ in sensors.values()) if enough else 0.0
            assert whole[place] == pytest.approx(expected, rel=1e-5, abs=1e-8)


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans())
def test_pieces_of_a_path_count_where_enough_nodes_do_at_that_time(seed, k, periodic):
    field, drones = made(seed, periodic)
    random = np.random.default_rng(seed)
    places = random.choice(PLACES, 60)
    clock = random.uniform(-3.0, 3.0 + 2.0 * STEPS, 60)
    cells = np.stack((places // SHAPE[1] + GROUND.belt.row, places % SHAPE[1] + GROUND.belt.col), axis=-1)
    found = counting(field, drones, GROUND.belt, cells, clock, Counted(k, LOOK, 0.5))
    for place, time, counts in zip(places, clock, found, strict=True):
        step = math.floor(time / 2.0)
        step = step % STEPS if periodic else step if 0 <= step < STEPS else None
        assert counts == (nodes_counting(watchers(field, drones, place, step), 0.5) >= k)


def test_pieces_outside_the_belts_piece_are_counted_by_the_fixed_sensors_alone():
    field, drones = made(5)
    cells = np.array([[0, 0], [39, 23], [-1, -1]])
    found = counting(field, drones, GROUND.belt, cells, np.zeros(3), Counted(1, LOOK, 0.5))
    expected = field.count_at((cells[:, 0], cells[:, 1]), LOOK, 0.5) >= 1
    assert (found == expected).all()


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_mean_rate_is_the_average_over_the_steps(seed):
    field, drones = made(seed)
    found = summed(drones, field, GROUND.belt, Counted(1, LOOK, 0.5))
    mean = np.zeros(math.prod(SHAPE))
    for passes, step in itertools.product(drones.passes, range(STEPS)):
        for entry in range(passes.first[step], passes.last[step]):
            mean[passes.cells[entry]] += float(passes.rates[entry]) / STEPS
    assert mean_rates(found, SHAPE).ravel() == pytest.approx(mean, rel=1e-5, abs=1e-12)


def test_without_drones_nothing_is_added():
    field, _ = made(1)
    nobody = Moving((), 1.0, 3, True, SHAPE)
    for k in (1, 2):
        found = summed(nobody, field, GROUND.belt, Counted(k, LOOK, 0.5))
        assert len(found.cells) == 0
        assert (found.first == found.last).all()
        assert not mean_rates(found, SHAPE).any()


def test_steps_at_which_all_look_alike_share_their_sums():
    field = Field(GROUND.terrain.shape)
    frusta = [{"D1/cam": downward(80.0 + 30.0 * (k % 2)), "D2/cam": downward(100.0, name="D2/cam")} for k in range(6)]
    ((drones, _),) = moving(GROUND, frusta, 1.0, True, [WALKER])
    found = summed(drones, field, GROUND.belt, Counted(1, LOOK, 0.5))
    assert (found.first[:2] == found.first[4:]).all()
    assert len(found.cells) == int((found.last - found.first)[:2].sum())
    # Where both look the rates add up.
    assert found.rates.max() == pytest.approx(-2.0 * math.log(0.1), rel=1e-6)


def test_a_duty_dims_no_rate():
    field, drones = made(3)
    awake = dataclasses.replace(drones, passes=tuple(dataclasses.replace(one, duty=1.0) for one in drones.passes))
    one, other = (summed(each, field, GROUND.belt, Counted(1, LOOK, 0.5)) for each in (drones, awake))
    assert (one.rates == other.rates).all()
