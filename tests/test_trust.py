"""How the gaps move where the models are wrong: checked against walls that are wrong that way by themselves."""

import pytest
from rich.console import Console

from dronewall.engine import wall
from dronewall.engine.gaps import KINDS
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned
from dronewall.engine.trust import Open, Trust, trust
from dronewall.report import trust as report
from dronewall.scenario import read
from test_wall import SITE


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    path = tmp_path_factory.mktemp("trust") / "site.toml"
    path.write_text(SITE)
    return ground_of(read(path))


@pytest.fixture(scope="module")
def found(ground):
    return trust(wall.cover(ground, planned(ground)))


def lengths(coverage, kind):
    return {one.target.name: one.gap_length(kind) for one in coverage.at_level("expected")}


def of(found, kind, case):
    return {each.target: getattr(each, case).length for each in found if each.kind == kind}


def changed(reports, kind, change):
    return [report._replace(values=change(report.values)) if report.kind == kind else report for report in reports]


def test_there_is_an_answer_for_each_target_and_kind_and_the_plain_one_is_the_coverages(ground, found):
    assert [(each.target, each.kind) for each in found] == [
        (name, kind) for name in ("walker", "low-drone") for kind in KINDS
    ]
    coverage = wall.cover(ground, planned(ground))
    for each in found:
        (one,) = (one for one in coverage.at_level("expected") if one.target.name == each.target)
        gaps = [gap for gap in one.gaps if gap.kind == each.kind]
        assert each.plain == Open(len(gaps), pytest.approx(sum(gap.length for gap in gaps)))


@pytest.mark.parametrize(("case", "glimpse_s"), [("halved", 2.0), ("doubled", 0.5)])
def test_rates_halved_and_doubled_are_those_of_sensors_that_glimpse_half_and_twice_as_often(
    ground, found, case, glimpse_s
):
    def slower(values):
        entries = [{**entry, "model": {**entry["model"], "glimpse_s": glimpse_s}} for entry in values["sensors"]]
        return {**values, "sensors": entries}

    other = wall.cover(ground, changed(planned(ground), "birth", slower))
    for kind in KINDS:
        assert of(found, kind, case) == pytest.approx(lengths(other, kind), abs=2 * ground.terrain.cell)


def test_pose_errors_doubled_are_those_that_nodes_report_when_they_are_half_as_sure(ground, found):
    def unsure(values):
        return {key: 2 * value if "_sigma_" in key else value for key, value in values.items()}

    other = wall.cover(ground, changed(planned(ground), "frustum", unsure))
    for kind in KINDS:
        assert of(found, kind, "unsure") == pytest.approx(lengths(other, kind), abs=1e-6)


def test_better_detection_leaves_no_more_gaps_and_it_matters_here(found):
    for each in found:
        if each.kind != "breach":  # its search is greedy; the others are monotone by their definition
            assert each.doubled.length <= each.plain.length <= each.halved.length
    assert any(each.doubled.length < each.halved.length for each in found)


def test_nothing_seen_stays_nothing_seen(ground):
    births = [report for report in planned(ground) if report.kind == "birth"]
    for each in trust(wall.cover(ground, births)):
        whole = Open(1, pytest.approx(ground.frontage.length))
        assert (each.plain, each.halved, each.doubled, each.unsure) == (whole, whole, whole, whole)


EXAMPLE = Trust("walker", "breach", Open(3, 412.0), Open(4, 980.0), Open(1, 120.4), Open(0, 0.0))


def test_it_is_said_in_one_sentence():
    assert report.sentence(EXAMPLE) == (
        "walker, breach: 3 gaps, 412 m; if detection were half as good 980 m, twice as good 120 m; "
        "if pose errors were doubled none."
    )


def test_the_terminal_shows_three_targets_at_most_those_that_move_most():
    many = [
        Trust(f"t{n}", kind, Open(1, 1000.0), Open(1, 1000.0 + 100 * n), Open(1, 900.0), Open(1, 1000.0))
        for n in (5, 1, 4, 2, 3)
        for kind in KINDS
    ]
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report.report(many))
    text = console.export_text()
    assert "not measurements" in text
    assert [name for name in ("t5", "t1", "t4", "t2", "t3") if f"{name}, breach" in text] == ["t5", "t4", "t3"]
    assert "line" not in text


def test_json_has_every_target_and_kind():
    assert report.as_json([EXAMPLE]) == [
        {
            "target": "walker",
            "kind": "breach",
            "level": "expected",
            "plain": {"gaps": 3, "length_m": 412.0},
            "rates_halved": {"gaps": 4, "length_m": 980.0},
            "rates_doubled": {"gaps": 1, "length_m": 120.4},
            "pose_errors_doubled": {"gaps": 0, "length_m": 0.0},
        }
    ]
