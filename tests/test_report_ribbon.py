import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_fixture import LENGTH, coverage
from dronewall.report import ribbon
from dronewall.report.ribbon import Run


def test_runs_follow_the_gaps_exactly_and_reach_from_end_to_end():
    wall = coverage()
    assert ribbon.runs(wall, wall.targets[0], "line") == [
        Run(0.0, 100.0, "unknown"),
        Run(100.0, 1200.0, "covered"),
        Run(1200.0, 1400.0, "gap"),
        Run(1400.0, 2600.0, "covered"),
        Run(2600.0, 2650.0, "gap"),
        Run(2650.0, 3000.0, "covered"),
    ]


def test_each_kind_has_runs_of_its_own():
    wall = coverage()
    gaps = {
        kind: [run[:2] for run in ribbon.runs(wall, wall.targets[0], kind) if run.state == "gap"]
        for kind in ribbon.KINDS
    }
    assert gaps == {
        "line": [(1200.0, 1400.0), (2600.0, 2650.0)],
        "lane": [(1150.0, 1500.0)],
        "breach": [(1140.0, 1520.0)],
    }


def test_between_threshold_and_half_way_to_certainty_the_line_is_weak():
    wall = coverage(gaps=False)
    for value, state in ((0.5, "weak"), (0.74, "weak"), (0.75, "covered")):
        wall.targets[0].stations.line_p[:] = value
        assert ribbon.runs(wall, wall.targets[0], "line")[-1] == Run(100.0, 3000.0, state)


def test_under_the_threshold_but_in_no_listed_gap_is_weak_and_never_covered():
    wall = coverage(gaps=False)
    wall.targets[0].stations.line_p[150] = 0.2  # the station from 1500 to 1510 m
    assert Run(1500.0, 1510.0, "weak") in ribbon.runs(wall, wall.targets[0], "line")


def test_a_lane_that_holds_despite_unknown_ground_is_covered():
    wall = coverage(gaps=False)
    stations = wall.targets[0].stations
    stations.lane_unknown[:] = True
    stations.lane_p[stations.chainage < 1000.0] = 0.2
    stations.lane_p[stations.chainage > 1000.0] = 0.9
    assert ribbon.runs(wall, wall.targets[0], "lane") == [
        Run(0.0, 1000.0, "unknown"),
        Run(1000.0, 3000.0, "covered"),
    ]


def test_a_gap_fills_the_columns_it_spans():
    wall = coverage()
    states = ribbon.columns(ribbon.runs(wall, wall.targets[0], "line"), LENGTH, 30)  # 100 m a column
    assert [i for i, state in enumerate(states) if state == "gap"] == [12, 13, 26]
    assert [i for i, state in enumerate(states) if state == "unknown"] == [0]


@given(start=st.floats(0.0, 2999.0), length=st.floats(0.1, 30.0), count=st.integers(10, 300))
def test_no_gap_is_too_short_to_show(start, length, count):
    end = min(start + length, LENGTH)
    found = ribbon.columns(
        [Run(0.0, start, "covered"), Run(start, end, "gap"), Run(end, LENGTH, "covered")], LENGTH, count
    )
    assert len(found) == count
    shown = [i for i, state in enumerate(found) if state == "gap"]
    assert shown
    column = LENGTH / count
    assert min(shown) * column <= end + column / 2
    assert (max(shown) + 1) * column >= start - column / 2


def test_a_stretch_of_the_frontage_goes_round_its_bends():
    piece = ribbon.stretch(coverage().frontage, 1900.0, 2100.0)
    assert np.allclose(piece, [[1900.0, 0.0], [2000.0, 0.0], [2000.0, 100.0]])


def test_posts_stand_at_the_chainage_of_their_foot_on_the_frontage():
    assert ribbon.post_chainages(coverage()) == [
        ("P1", 200.0),
        ("P2", 1100.0),
        ("P3", 1700.0),
        ("P4", 2800.0),
    ]


@pytest.mark.parametrize(
    ("length", "most", "step"), [(8000.0, 8, 1000.0), (8000.0, 20, 500.0), (3000.0, 2, 2000.0), (7.0, 7, 1.0)]
)
def test_kilometre_steps_are_round(length, most, step):
    assert ribbon.kilometre_step(length, most) == step


def test_a_ribbon_shows_a_target_at_both_levels_before_the_next():
    rows = [(ribbon.name(target), kind) for target, kind in ribbon.rows(coverage(assured=True))]
    assert rows == [
        (name, kind)
        for name in ("walker", "walker assured", "low-drone", "low-drone assured")
        for kind in ("line", "lane", "breach")
    ]
