import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.crossing import Paths, audited
from dronewall.engine.detection import Draws, Rate
from dronewall.engine.field import Field
from dronewall.engine.moving import Moving, Passes
from dronewall.engine.timed import audited_at, audited_by_outset

SHAPE = (4, 20)
ORIGIN = (2, 3)
RASTER = (10, 30)


def passes(windows, steps, sensor="D1/cam", duty=1.0, weights=()):
    """A moving sensor's passes: at step k it sees windows[k]: {column of row 1: (rate, ceiling, shares)}."""
    first, last, cells, rates, ceilings, shares = [], [], [], [], [], []
    for k in range(steps):
        first.append(len(cells))
        for column, (rate, ceiling, *share) in sorted(windows.get(k, {}).items()):
            cells.append(SHAPE[1] + column)
            rates.append(rate)
            ceilings.append(ceiling)
            shares.append(share[0] if share else [])
        last.append(len(cells))
    return Passes(
        sensor,
        np.array(first, dtype=np.int64),
        np.array(last, dtype=np.int64),
        np.array(cells, dtype=np.int32),
        np.array(rates, dtype=np.float32),
        np.array(ceilings, dtype=np.float32),
        np.array(shares, dtype=np.uint8).reshape(len(cells), len(weights)).T.copy(),
        np.array(weights, dtype=np.float64),
        duty,
    )


def moving(*sensors, step=2.0, steps=10, periodic=True):
    return Moving(sensors, step, steps, periodic, SHAPE)


def along(columns, seconds, before=None):
    """A way along row 1 of the belt's piece, and when each of its pieces begins for one who sets out at 0."""
    columns, seconds = np.array(columns), np.array(seconds, dtype=np.float64)
    cells = np.stack((np.full(len(columns), 1 + ORIGIN[0]), columns + ORIGIN[1]), axis=-1)
    paths = Paths(cells, seconds, np.array([len(columns)]), np.array([len(columns) if before is None else before]))
    return paths, np.concatenate(([0.0], np.cumsum(seconds)[:-1]))


def chance(windows, paths, clock, **kwargs):
    found, _ = audited_at(Field(RASTER), moving(passes(windows, 10), **kwargs), paths, ORIGIN, clock)
    return float(found[0])


def test_only_what_is_looked_at_while_somebody_is_there_counts():
    # In column 5 from 7 to 14 s; the sensor looks there from 4 to 8 s and from 12 to 14 s: 1 + 2 s at 0.2 /s.
    paths, clock = along([4, 5, 6], [7.0, 7.0, 6.0])
    seen = {5: (0.2, 1.0)}
    assert chance({2: seen, 3: seen, 6: seen}, paths, clock) == pytest.approx(-math.expm1(-0.2 * 3.0), abs=1e-6)
    # It looks where he was, and where he will be.
    assert chance({2: {6: (0.2, 1.0)}, 8: {5: (0.2, 1.0)}}, paths, clock) == 0.0


def test_a_periodic_plan_begins_anew_and_one_without_a_cycle_ends():
    paths, clock = along([4, 5], [30.0, 10.0])  # column 5 from 30 to 40 s: steps 5 to 9 of the second cycle of 20 s
    windows = {7: {5: (0.5, 1.0)}}
    assert chance(windows, paths, clock) == pytest.approx(-math.expm1(-1.0), abs=1e-6)
    assert chance(windows, paths, clock - 40.0) == pytest.approx(-math.expm1(-1.0), abs=1e-6)
    assert chance(windows, paths, clock, periodic=False) == 0.0
    assert chance(windows, paths, clock - 20.0, periodic=False) == pytest.approx(-math.expm1(-1.0), abs=1e-6)


def test_sensors_fixed_and_moving_miss_independently():
    field = Field(RASTER)
    rates, tops = np.zeros(RASTER), np.ones(RASTER)
    rates[1 + ORIGIN[0], 5 + ORIGIN[1]] = 0.1
    field.add("P1/cam", Rate.of(0, 0, rates, tops, np.zeros(RASTER, bool)))
    paths, clock = along([4, 5, 6], [4.0, 4.0, 4.0], before=2)
    both = moving(passes({2: {5: (0.3, 1.0)}}, 10), passes({4: {6: (0.2, 0.5)}}, 10, "D2/cam"))
    found, before = audited_at(field, both, paths, ORIGIN, clock)
    at_five = math.exp(-0.4) * math.exp(-0.6)
    assert before[0] == pytest.approx(1.0 - at_five, abs=1e-6)
    assert found[0] == pytest.approx(1.0 - at_five * (1.0 + 0.5 * math.expm1(-0.4)), abs=1e-6)


def test_waiting_is_not_seen_by_those_who_see_only_what_moves():
    field = Field(RASTER)
    rates = np.zeros(RASTER)
    rates[1 + ORIGIN[0], 5 + ORIGIN[1]] = 0.1
    for name in ("P1/pir", "P2/cam"):
        field.add(name, Rate.of(0, 0, rates, np.ones(RASTER), np.zeros(RASTER, bool)))
    paths, clock = along([5, 5], [4.0, 6.0])
    seen = {k: {5: (0.2, 1.0)} for k in range(10)}
    drones = moving(passes(seen, 10, "D1/radar"), passes(seen, 10, "D2/cam"))
    waiting = np.array([False, True])
    found, _ = audited_at(field, drones, paths, ORIGIN, clock, waiting=waiting, moving_only={"P1/pir", "D1/radar"})
    # The cameras see all ten seconds, the others the first four.
    assert found[0] == pytest.approx(-math.expm1(-(0.1 + 0.2) * 10.0 - (0.1 + 0.2) * 4.0), abs=1e-6)
    counted, _ = audited_at(field, drones, paths, ORIGIN, clock, counting=np.array([True, False]))
    assert counted[0] == pytest.approx(-math.expm1(-2 * (0.1 + 0.2) * 4.0), abs=1e-6)


@settings(max_examples=40)
@given(st.data())
def test_a_drone_that_hovers_is_a_fixed_sensor(data):
    weights = data.draw(st.sampled_from([(), (0.25, 0.75), (0.2, 0.5, 0.3)]))
    columns = data.draw(st.lists(st.integers(0, 19), min_size=1, max_size=12))
    seconds = data.draw(st.lists(st.floats(0.01, 30.0), min_size=len(columns), max_size=len(columns)))
    rates, tops = np.zeros(RASTER), np.zeros(RASTER)
    shares = np.zeros((len(weights), *RASTER), dtype=np.uint8)
    window = {}
    for column in range(20):
        # Rates and ceilings that both records keep as they are.
        rate = data.draw(st.integers(0, 64)) / 128.0
        share = [data.draw(st.integers(0, 255)) for _ in weights]
        if rate > 0.0 and (not weights or any(share)):
            window[column] = (rate, 1.0, share)
            place = 1 + ORIGIN[0], column + ORIGIN[1]
            rates[place], tops[place] = rate, 1.0
            shares[(slice(None), *place)] = share
    draws = Draws(shares, np.array(weights)) if weights else None
    field = Field(RASTER)
    field.add("D1/cam", Rate.of(0, 0, rates, tops, np.zeros(RASTER, bool), duty=0.75, draws=draws))
    paths, clock = along(columns, seconds, before=len(columns) // 2)
    hovering = moving(passes(dict.fromkeys(range(10), window), 10, duty=0.75, weights=weights))
    found, before = audited_at(Field(RASTER), hovering, paths, ORIGIN, clock + data.draw(st.floats(-50.0, 50.0)))
    fixed, fixed_before = audited(field, paths)
    assert found == pytest.approx(fixed, abs=1e-6)
    assert before == pytest.approx(fixed_before, abs=1e-6)


@settings(max_examples=60)
@given(st.data())
def test_by_the_time_of_setting_out_it_is_what_it_is_at_that_time(data):
    weights = data.draw(st.sampled_from([(), (0.25, 0.75)]))
    windows = {
        k: {
            column: (
                data.draw(st.floats(0.01, 0.6)),
                data.draw(st.floats(0.1, 1.0)),
                [data.draw(st.integers(1, 255)) for _ in weights],
            )
            for column in data.draw(st.lists(st.integers(0, 19), max_size=4))
        }
        for k in data.draw(st.lists(st.integers(0, 9), max_size=6))
    }
    periodic = data.draw(st.booleans())
    drones = moving(passes(windows, 10, weights=weights), passes({3: {4: (0.1, 1.0)}}, 10, "D2/cam"), periodic=periodic)
    columns = data.draw(st.lists(st.integers(-1, 20), min_size=1, max_size=10))
    seconds = data.draw(st.lists(st.floats(0.0, 45.0), min_size=len(columns), max_size=len(columns)))
    one, clock = along(columns, seconds)
    other, later = along([4, 5], [3.0, 4.0])
    paths = Paths(
        np.concatenate((one.cells, other.cells)),
        np.concatenate((one.seconds, other.seconds)),
        np.array([len(columns), len(columns) + 2]),
        np.array([len(columns), 2]),
    )
    clocks = np.concatenate((clock, later))
    interval = data.draw(st.sampled_from([1.0, 2.0, 3.3]))
    count = data.draw(st.integers(1, 8))
    found = audited_by_outset(Field(RASTER), drones, paths, ORIGIN, clocks, interval, count)
    for m in range(count):
        at, _ = audited_at(Field(RASTER), drones, paths, ORIGIN, clocks + m * interval)
        assert found[:, m] == pytest.approx(at, abs=1e-9)


def test_the_mean_over_the_times_of_setting_out_is_what_somebody_without_the_schedule_meets():
    # The cell is looked at for 4 s of every 20 s, and he stands in it for 4 s: his exposure rises and falls evenly with
    # the overlap of the two, over 8 of the 20 s. Mean of 1 - exp(-x) for x even in 0..2: 1 - (1 - exp(-2)) / 2.
    paths, clock = along([5], [4.0])
    drones = moving(passes({4: {5: (0.5, 1.0)}, 5: {5: (0.5, 1.0)}}, 10))
    found = audited_by_outset(Field(RASTER), drones, paths, ORIGIN, clock, 0.02, 1000)
    assert found.mean() == pytest.approx(0.4 * (1.0 - -math.expm1(-2.0) / 2.0), abs=1e-4)
    assert found.min() == 0.0
    assert found.max() == pytest.approx(-math.expm1(-2.0), abs=1e-6)


def staying(columns, seconds):
    """One way a column, on which somebody stays there, in row 1."""
    cells = np.stack((np.full(columns, 1 + ORIGIN[0]), np.arange(columns) + ORIGIN[1]), axis=-1)
    return Paths(cells, np.full(columns, seconds), np.arange(columns) + 1, np.zeros(columns, dtype=np.int64))


def entries(rates, shape, sensor="D1/cam"):
    """Passes that see each column of row 1 at every step, at rates (steps, columns)."""
    steps, columns = rates.shape
    starts = np.arange(steps) * columns
    cells = np.tile(shape[1] + np.arange(columns), steps).astype(np.int32)
    return Passes(
        sensor, starts, starts + columns, cells, rates.astype(np.float32).ravel(),
        np.ones(rates.size, dtype=np.float32), np.zeros((0, rates.size), dtype=np.uint8), np.zeros(0), 1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("coverage", "found"), [(1.0, 0.7899), (0.5, 0.4691)])
def test_parallel_sweeps_of_an_inverse_cube_sensor_find_what_koopman_says(coverage, found):
    # FACTS: erf(sqrt(pi) C / 2), C the sweep width over the spacing S. A track at x, whose rate falls as r^-3, makes an
    # exposure of m / x^2, its sweep width 2 sqrt(pi m): m = (C S)^2 / (4 pi). Tracks 40 m apart, ten to either side.
    spacing, speed, step = 40, 1.0, 0.2
    strength = (coverage * spacing) ** 2 / (4.0 * math.pi)
    along_track = (np.arange(-1500, 1500) + 0.5) * step * speed
    shape = (3, spacing)
    drones = []
    for track in range(-10, 11):
        aside = np.arange(spacing) + 0.5 + track * spacing
        # The integral of 1 / (x^2 + s^2)^(3/2) over a whole track is 2 / x^2.
        rates = 0.5 * strength * speed / np.hypot(aside[None, :], along_track[:, None]) ** 3
        drones.append(entries(rates, shape, f"D{track + 10}/cam"))
    seen = Moving(tuple(drones), step, len(along_track), False, shape)
    paths = staying(spacing, len(along_track) * step)
    chances, _ = audited_at(Field((8, 60)), seen, paths, ORIGIN, np.zeros(spacing))
    # The tracks beyond would add 2 m / (10 S^2) = 0.016 C^2 to the exposure.
    assert chances.mean() == pytest.approx(found, abs=0.007)


def test_random_looks_find_what_koopman_says():
    # FACTS: 1 - exp(-C): as many looks as there are places, each at a random one, leave 36.8 % of them unseen.
    places = 4000
    looks = np.random.default_rng(5).integers(0, places, places)
    starts = np.arange(places)
    seen = Passes(
        "D1/cam", starts, starts + 1, (places + looks).astype(np.int32), np.full(places, 50.0, dtype=np.float32),
        np.ones(places, dtype=np.float32), np.zeros((0, places), dtype=np.uint8), np.zeros(0), 1.0,
    )  # fmt: skip
    moving_ = Moving((seen,), 1.0, places, True, (3, places))
    chances, _ = audited_at(Field((8, places + 8)), moving_, staying(places, float(places)), ORIGIN, np.zeros(places))
    # Three standard errors of a share of 4000 places.
    assert chances.mean() == pytest.approx(0.6321, abs=3.0 * math.sqrt(0.6321 * 0.3679 / places))
