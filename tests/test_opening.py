import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dronewall.engine.opening import openings

OPEN, SHUT = 0.2, 0.9


def picture(*rows):
    """P by station and time from rows of letters: o is open."""
    return np.array([[OPEN if letter == "o" else SHUT for letter in row] for row in rows])


def found(rows, periodic=True):
    return openings(picture(*rows), 0.5, 10.0, 30.0, periodic)


def test_a_stretch_says_where_it_is_open_and_when():
    one, two = found(["........", "..oo..o.", "..oo..o.", "........", "oooooooo"])
    assert (one.start, one.end, one.always) == (10.0, 30.0, False)
    assert one.times == ((60.0, 120.0), (180.0, 210.0))
    assert one.open == 90.0
    assert (two.start, two.end, two.always, two.open) == (40.0, 50.0, True, 240.0)


def test_a_time_that_wraps_round_the_cycles_end_is_one_time():
    assert found(["oo....oo"])[0].times == ((180.0, 300.0),)
    assert found(["oo....oo"], periodic=False)[0].times == ((0.0, 60.0), (180.0, 240.0))
    assert found(["oo.oo.oo"])[0].times == ((90.0, 150.0), (180.0, 300.0))


def test_what_a_moving_drone_opens_behind_it_is_several_stretches():
    # Station by station as long, and later each time. The third shares 3 of 6 times with the first two, the fourth 3 of
    # 7 with the first three.
    rows = ["oooo........", ".oooo.......", "..oooo......", "...oooo.....", "....oooo...."]
    stretches = found(rows)
    assert [(one.start, one.end) for one in stretches] == [(0.0, 30.0), (30.0, 50.0)]
    assert stretches[0].times == ((0.0, 180.0),)


def test_a_stretch_of_which_no_station_is_always_open_is_not_always_open():
    one, always = found(["ooooooo.", ".ooooooo", "oooooooo"])
    assert (one.start, one.end, one.always, one.times) == (0.0, 20.0, False, ((0.0, 240.0),))
    assert (one.open, always.open, always.always) == (210.0, 240.0, True)


def test_the_least_probability_is_that_of_the_stretch_and_where_nobody_can_go_there_is_none():
    values = picture("..oo", "..oo")
    values[1, 3] = 0.05
    values = np.concatenate((values, np.full((1, 4), np.nan)))
    (only,) = openings(values, 0.5, 10.0, 30.0, True)
    assert only.probability_least == pytest.approx(0.05)
    assert only.end == 20.0
    assert openings(np.full((3, 4), np.nan), 0.5, 10.0, 30.0, True) == ()


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 8), st.integers(1, 9))), st.booleans())
def test_together_the_stretches_hold_all_that_is_open_and_no_station_twice(under, periodic):
    told = openings(np.where(under, OPEN, SHUT), 0.5, 1.0, 1.0, periodic)
    covered = np.zeros(under.shape, dtype=bool)
    last = 0.0
    for one in told:
        assert one.start >= last
        last = one.end
        inside = np.zeros(under.shape[1], dtype=bool)
        for begin, end in one.times:
            assert 0 <= begin < end
            inside[np.arange(int(begin), int(end)) % under.shape[1]] = True
        stretch = under[int(one.start) : int(one.end)]
        assert one.open == pytest.approx(stretch.sum(axis=1).mean())
        covered[int(one.start) : int(one.end)] = inside
        assert (under[int(one.start) : int(one.end)].any(axis=0) == inside).all()
        assert one.always == stretch.all()
    assert (covered | ~under).all()
