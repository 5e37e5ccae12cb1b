"""engine/resilience.py: what is lost together, the ranking, and single points of failure."""

import itertools

import numpy as np
import pytest

from dronewall import scenario
from dronewall.engine import resilience, wall
from dronewall.engine.fewest import Fewest
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned
from dronewall.firmware_files import examples
from test_cli import SITE
from test_loss import disc, field_of, ground, line_of

pytestmark = pytest.mark.timeout(300)  # where the kernels are not compiled yet

POSTS = """
[[access_points]]
name = "far"
latitude_deg = 36.5568
longitude_deg = -84.2976
height_agl_m = 10.0
via = "home"
post = "P2"
[[access_points]]
name = "home"
latitude_deg = 36.60
longitude_deg = -84.30
height_agl_m = 10.0
[[gateways]]
name = "G"
latitude_deg = 36.61
longitude_deg = -84.30
height_agl_m = 10.0
access_point = "far"
[[posts]]
name = "P2"
latitude_deg = 36.5562
longitude_deg = -84.297
[[nodes]]
name = "N2"
post = "P2"
mast_m = 8.0
access_point = "home"
sensors = [{ name = "cam", type = "camera", azimuth_deg = 330.0 }]
[[nodes]]
name = "N3"
post = "P2"
mast_m = 8.0
gateway = "G"
sensors = [{ name = "cam", type = "camera", azimuth_deg = 300.0 }]
[[posts]]
name = "P4"
latitude_deg = 36.5575
longitude_deg = -84.2985
[[nodes]]
post = "P4"
mast_m = 8.0
access_point = "far"
sensors = [{ name = "cam", type = "camera", azimuth_deg = 100.0 }]
"""


def covered(path):
    ground = ground_of(scenario.read(path))
    return wall.cover(ground, planned(ground))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(SITE + POSTS)
    return covered(path)


@pytest.fixture(scope="module")
def jacksboro():
    return covered(examples() / "jacksboro.toml")


def nodes_of(coverage, kind, jams=()):
    return {unit.name: set(unit.nodes) for unit in resilience.units(coverage, jams) if unit.kind == kind}


def test_a_post_takes_all_its_nodes_and_who_reaches_home_through_what_stands_there(small):
    assert nodes_of(small, "post") == {"P1": {"P1"}, "P2": {"N2", "N3", "P4"}, "P4": {"P4"}}
    # Nodes that are a post's only loss are not listed twice.
    assert nodes_of(small, "node") == {"N2": {"N2"}, "N3": {"N3"}}


def test_an_access_point_takes_the_chain_behind_it(small):
    assert nodes_of(small, "access point") == {"home": {"N2", "N3", "P4"}, "far": {"N3", "P4"}}
    assert nodes_of(small, "gateway") == {"G": {"N3"}}


def test_a_jammed_area_takes_nodes_and_antennas_inside_it_and_no_others(small):
    around = (36.5562, -84.297, 20.0), (36.61, -84.30, 50.0), (36.60, -84.30, 50.0), (36.70, -84.30, 50.0)
    lost = [set(unit.nodes) for unit in resilience.units(small, around) if unit.kind == "area"]
    assert lost == [{"N2", "N3"}, {"N3"}, {"N2", "N3", "P4"}]  # where nothing is, nothing is lost


def test_losses_of_nodes_are_what_a_line_without_them_is(small):
    for one in resilience.losses(small, count=3):
        for unit, loss in one.single:
            reports = [report for report in planned(ground_of(small.scenario)) if report.node not in unit.nodes]
            rest = wall.cover(ground_of(small.scenario), reports)
            other = next(each for each in rest.targets if (each.target, each.level) == (one.of.target, one.of.level))
            opened = (other.stations.breach_p < 0.5) & ~(one.of.stations.breach_p < 0.5)
            assert loss.more() == pytest.approx(np.count_nonzero(opened) * other.stations.step)
            assert loss.weakest.probability == other.weakest.probability
            assert loss.least[0] == other.stations.breach_p.min()
        order = [-loss.more() for _, loss in one.single]
        assert order == sorted(order)


def test_combinations_open_what_a_line_without_them_is(jacksboro):
    one = resilience.losses(jacksboro, count=2, target="walker", level="assured")[0]
    assert one.together
    assert one.untried == 0
    (_, line), *_ = resilience.lines_of(jacksboro, "walker", "assured")
    for each in one.together[:6]:
        names = [name for name in line.field if name.split("/")[0] in each.nodes]
        assert resilience.without(line, names).more() == pytest.approx(each.metres)
    every = itertools.combinations(sorted({name.split("/")[0] for name in line.field}), 2)
    best = max(
        resilience.without(line, [name for name in line.field if name.split("/")[0] in pair]).more() for pair in every
    )
    assert one.together[0].metres == pytest.approx(best)


def test_the_worst_loss_is_the_first_of_the_ranking(jacksboro):
    for one in resilience.losses(jacksboro, level="expected"):
        name, metres = resilience.worst_loss(jacksboro, one.of.target.name)
        ranked = [(loss.more(), unit.name) for unit, loss in one.single if unit.kind in ("post", "node")]
        assert (metres, name) == max(ranked)


def test_without_time_it_says_what_it_does_not_know(small):
    for one in resilience.losses(small, count=2, go_on=lambda: False):
        assert not one.single
        assert one.unasked == len(resilience.units(small))
        assert one.fewest.low == 0 or not one.fewest.ended


def test_a_line_that_is_open_has_no_resilience(jacksboro):
    for one in resilience.losses(jacksboro):
        assert (one.fewest.low, one.fewest.high) == (0, 0)


def test_a_set_that_the_audit_calls_open_bounds_what_the_field_did_not_find():
    unfinished = Fewest(2, 5, (), 3, False)
    pair, triple = ("A", "B"), ("A", "B", "C")
    assert resilience._bounded(unfinished, [triple, pair]) == Fewest(2, 2, (frozenset(pair),), 3, False)
    assert resilience._bounded(unfinished, [triple]) == Fewest(2, 3, (), 3, False)
    assert resilience._bounded(unfinished, []) == unfinished
    exact = Fewest(3, 3, (frozenset(triple),), 3, True)
    assert resilience._bounded(exact, [("D", "E", "F")]) == exact
    assert resilience._bounded(exact, [pair]) == Fewest(2, 2, (frozenset(pair),), 3, True)
    nobody_crosses = Fewest(7, None, (), 3, True)
    assert resilience._bounded(nobody_crosses, [pair]) == nobody_crosses


@pytest.mark.parametrize("ceiling", [0.3, 1.0])
def test_a_pair_that_only_the_audit_calls_open_is_found(ceiling):
    # C alone sees as often as A and B do, and without a ceiling it would do; with one it is never sure enough.
    terrain = ground(60)
    rates = {"A/cam": 1.0, "B/cam": 1.0, "C/cam": ceiling}
    windows = {name: disc(terrain, 300.0, 60.0, 2000.0, 0.3, top) for name, top in rates.items()}
    line = line_of(terrain, field_of(terrain, windows))
    single = [resilience.Unit("node", name, (name,)) for name in "ABC"]
    one = resilience._losses(None, line, single, 2, 3, lambda: True, lambda: None)
    assert not any(loss.more() for _, loss in one.single)
    if ceiling < 1.0:
        assert [(each.nodes, each.opening[0]) for each in one.together] == [(("A", "B"), pytest.approx(0.3))]
        assert one.fewest == Fewest(2, 2, (frozenset({"A", "B"}),), 3, True)
    else:
        assert one.together == ()
        assert (one.fewest.low, one.fewest.high) == (3, 3)
