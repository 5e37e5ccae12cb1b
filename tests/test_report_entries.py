import dataclasses

from coverage_fixture import coverage
from dronewall.report.entries import entries, numbered


def told(wall):
    return [
        (entry.number, entry.target.target.name, entry.target.level, entry.kinds, entry.gap.start)
        for entry in entries(wall)
    ]


def test_a_breach_gap_takes_the_lane_and_line_gaps_that_overlap_it_along():
    assert told(coverage()) == [
        (1, "walker", "expected", "all", 0.0),
        (2, "walker", "expected", "all", 1140.0),
        (3, "walker", "expected", "line", 2600.0),
        (4, "low-drone", "expected", "all", 0.0),
    ]
    assert [gap.id for gap in entries(coverage())[1].gaps] == [
        "walker-expected-breach-01140",
        "walker-expected-lane-01150",
        "walker-expected-line-01200",
    ]


def test_every_gap_has_exactly_one_number():
    wall = coverage(assured=True)
    found = sorted(gap.id for _, _, gap in numbered(wall))
    assert found == sorted(gap.id for target in wall.targets for gap in target.gaps)


def test_what_is_expected_keeps_its_numbers_when_more_is_asked():
    assert told(coverage(assured=True))[:4] == told(coverage())
    assert {level for _, _, level, _, _ in told(coverage(assured=True))[4:]} == {"assured"}


def test_the_gaps_of_one_target_have_the_numbers_that_they_have_among_all():
    wall = coverage()
    assert [entry.number for entry in entries(wall, wall.targets[1])] == [4]


def test_a_line_gap_beside_two_breach_gaps_goes_to_the_one_that_it_shares_more_with():
    wall = coverage()
    first = wall.targets[0]
    breach = next(gap for gap in first.gaps if gap.kind == "breach" and gap.start > 0.0)
    line = next(gap for gap in first.gaps if gap.kind == "line" and gap.start > 0.0)
    gaps = (
        dataclasses.replace(breach, id="west", start=1000.0, end=1250.0),
        dataclasses.replace(breach, id="east", start=1260.0, end=1500.0),
        line,  # from 1200 to 1400 m: 50 m of the one, 140 m of the other
    )
    wall = dataclasses.replace(wall, targets=(dataclasses.replace(first, gaps=gaps),))
    assert [[gap.id for gap in entry.gaps] for entry in entries(wall)] == [["west"], ["east", line.id]]


def test_a_lane_gap_outside_every_breach_gap_is_listed_after_them():
    wall = coverage()
    first = wall.targets[0]
    lane = dataclasses.replace(first.gaps[0], id="lane", kind="lane", start=200.0, end=300.0)
    wall = dataclasses.replace(wall, targets=(dataclasses.replace(first, gaps=(lane, *first.gaps)),))
    assert [(entry.kinds, entry.gap.start) for entry in entries(wall)] == [
        ("all", 0.0),
        ("all", 1140.0),
        ("lane", 200.0),
        ("line", 2600.0),
    ]
