"""report/losses.py: what the terminal says of losses."""

from types import SimpleNamespace

import pytest

from coverage_fixture import coverage
from dronewall.engine.fewest import Fewest
from dronewall.engine.resilience import Losses, Unit
from dronewall.report import losses
from test_report_table import printed


def loss(metres, *spans):
    """What opens so many metres of every kind at these chainages."""
    return SimpleNamespace(
        more=lambda kind="breach": metres,
        spans=lambda kind="breach": list(spans),
        opening=(0.25, spans[0][0]) if spans else None,
        worst=(0.02, 3500.0),
    )


@pytest.fixture
def shown():
    """The terminal's lines of a wall whose access point A2 stands at the post P7."""
    three = ("P7", "P8", "P9")
    many = (1330.0, 3140.0), (3190.0, 5010.0), (6000.0, 6100.0)
    single = (
        (Unit("access point", "A1", ("P1", *three)), loss(6200.0, *many)),
        (Unit("post", "P7", three), loss(1500.0, (6190.0, 7080.0))),
        (Unit("access point", "A2", three), loss(1500.0, (6190.0, 7080.0))),
        (Unit("post", "P4", ("P4",)), loss(1400.0, (3190.0, 4250.0))),
        (Unit("node", "P7", ("P7",)), loss(160.0, (6190.0, 6340.0))),
        (Unit("area", "500 m around 36.61000,-84.15000", ("P4",)), loss(0.0)),
    )
    wall = coverage()
    one = Losses(wall.targets[0], single, 0, (), 0, Fewest(1, 1, (frozenset({"P4"}),), 3, True))
    return printed(losses.report(wall, (one,)), width=80)


def row_of(shown, *begin):
    """The row that begins with these words, its gaps closed up."""
    return " ".join(next(line for line in shown.splitlines() if line.split()[: len(begin)] == list(begin)).split())


def test_a_unit_is_called_by_its_name_and_with_its_kind_only_where_another_has_the_same(shown):
    assert row_of(shown, "P4") == "P4 1 1.4 km 1.4 km 1.4 km 3.19–4.25 25 % 2 %"
    assert row_of(shown, "A1") == "A1 4 6.2 km 6.2 km 6.2 km 3.19–5.01 +2 25 % 2 %"
    assert row_of(shown, "post", "P7").startswith("post P7 3 1.5 km")
    assert row_of(shown, "node", "P7").startswith("node P7 1 160 m")


def test_every_row_but_that_of_an_area_is_one_line(shown):
    lines = [line for line in shown.splitlines() if line.strip() and line.startswith(" ")][2:]
    assert [line.split()[0] for line in lines][:5] == ["A1", "post", "A2", "P4", "node"]
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    # A place is not broken within its figures.
    assert {"36.61000,", "-84.15000"} <= {word for line in shown.splitlines() for word in line.split()[:3]}


def test_the_sentences_say_what_kind_of_thing_fails_alone(shown):
    said = " ".join(shown.split())
    assert "Access point A1 (4 nodes) is a single point of failure" in said
    assert "Post P7 is a single point of failure" in said
    assert "P4 is a single point of failure" in said
    assert "Single points of failure are also node P7." in said
