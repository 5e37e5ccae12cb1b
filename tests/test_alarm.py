"""Gaps over time: they open at once, close late, keep their names, and none is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall.engine.alarm import Alarm, Rule, alarm

RULE = Rule(threshold=0.5, margin=0.05, seconds=10.0)
STATIONS = 12


def seen(*steps, rule=RULE):
    """The alarm after (time, probabilities) one after the other, and all changes as (what, name, into)."""
    state, told = None, []
    for at, probability in steps:
        state, changes = alarm(state, np.asarray(probability, dtype=float), at, rule, lambda first: f"g{first}")
        told += [(change.what, change.gap.name, change.into) for change in changes]
    return state, told


def line(*runs, rest=0.9):
    """Twelve stations, P 0.1 in runs (first, after)."""
    found = np.full(STATIONS, rest)
    for first, after in runs:
        found[first:after] = 0.1
    return found


def extents(state: Alarm):
    return {gap.name: (gap.first, gap.after) for gap in state.gaps}


def test_a_gap_opens_at_once_and_closes_when_it_has_held_for_long_enough():
    _, told = seen((0, line((2, 4))), (1, line()), (10.9, line()))
    assert told == [("opened", "g2", "")]
    state, told = seen((0, line((2, 4))), (1, line()), (11, line()))
    assert told[1:] == [("closed", "g2", "")]
    assert not state.open.any()


def test_a_moment_under_the_margin_begins_the_wait_anew():
    almost = np.full(STATIONS, 0.52)
    _, told = seen((0, line((2, 4))), (1, line()), (8, almost), (9, line()), (12, line()), (18.9, line()))
    assert told == [("opened", "g2", "")]


def test_a_threshold_near_certainty_can_still_be_held():
    rule = Rule(threshold=0.98, margin=0.05, seconds=0.0)
    assert rule.closing == pytest.approx(0.99)
    assert seen((0, line()), (1, np.full(STATIONS, 0.995)), rule=rule)[1][-1] == ("closed", "g0", "")


def test_time_that_goes_back_closes_nothing():
    state, told = seen((100, line((2, 4))), (101, line()), (50, line()), (110, line()))
    assert told == [("opened", "g2", "")]
    assert state.at == 110


def test_a_gap_that_grows_keeps_its_name():
    state, told = seen((0, line((4, 6))), (1, line((2, 9))))
    assert extents(state) == {"g4": (2, 9)}
    assert told == [("opened", "g4", "")]


def test_of_two_that_merge_the_older_keeps_its_name():
    for first, second in (((1, 3), (6, 8)), ((6, 8), (1, 3))):
        state, told = seen((0, line(first)), (1, line(first, second)), (2, line((1, 8))))
        assert extents(state) == {f"g{first[0]}": (1, 8)}
        assert told[-1] == ("closed", f"g{second[0]}", f"g{first[0]}")


def test_of_one_that_falls_apart_the_longer_part_keeps_the_name():
    rule = Rule(0.5, 0.05, 0.0)
    state, told = seen((0, line((2, 10))), (1, line((2, 4), (5, 10))), rule=rule)
    assert extents(state) == {"g2-2": (2, 4), "g2": (5, 10)}
    assert told == [("opened", "g2", ""), ("opened", "g2-2", "")]


def test_a_gap_too_short_to_list_is_listed_once_it_has_grown():
    rule = Rule(0.5, 0.05, 0.0, shortest=3)
    state, told = seen((0, line((2, 4))), rule=rule)
    assert (told, state.listed, state.open.sum()) == ([], (), 2)
    _, told = seen((0, line((2, 4))), (1, line((2, 5))), (2, line((3, 5))), rule=rule)
    assert told == [("opened", "g2", ""), ("closed", "g2", "")]


@given(st.lists(st.lists(st.floats(0.46, 0.5499), min_size=3, max_size=3), min_size=1, max_size=40))
def test_what_dithers_about_the_threshold_by_less_than_the_margin_makes_no_second_event(steps):
    _, told = seen(*((10.0 * at, [0.9, p, 0.9]) for at, (p, _, _) in enumerate(steps)))
    assert len(told) <= 1


walks = st.lists(
    st.tuples(st.floats(0, 20), st.lists(st.sampled_from([0.1, 0.52, 0.9]), min_size=STATIONS, max_size=STATIONS)),
    min_size=1,
    max_size=12,
)


@given(walks, st.sampled_from([0.0, 2.0]))
def test_names_last_no_gap_is_lost_and_the_events_make_the_list(steps, shortest):
    rule = Rule(0.5, 0.05, 10.0, shortest)
    state, at, listed = None, 0.0, set()
    for passed, probability in steps:
        before, at = state, at + passed
        state, changes = alarm(state, np.array(probability), at, rule, lambda first: f"g{first}")
        under = np.array(probability) < 0.5
        assert state.open[under].all()
        covered = np.zeros(STATIONS, dtype=bool)
        for gap in state.gaps:
            assert state.open[gap.first : gap.after].all()
            covered[gap.first : gap.after] = True
            assert gap.listed == (gap.after - gap.first >= shortest)
        assert (covered == state.open).all()
        names = [gap.name for gap in state.gaps]
        assert len(set(names)) == len(names)
        for gap in before.gaps if before else ():
            heirs = [one for one in state.gaps if one.first < gap.after and one.after > gap.first]
            # Whoever overlaps the oldest of all that they overlap goes on under its name.
            oldest = min(before.gaps, key=lambda one: (one.opened, one.first))
            if heirs and gap is oldest:
                assert gap.name in {one.name for one in heirs}
        for change in changes:
            listed.add(change.gap.name) if change.what == "opened" else listed.remove(change.gap.name)
        assert listed == {gap.name for gap in state.listed}


def test_a_quiet_wall_says_nothing():
    assert seen(*((at, line((2, 4))) for at in range(5)))[1] == [("opened", "g2", "")]
