import dataclasses
import io
import math

import pytest
from rich.console import Console

from coverage_fixture import coverage
from dronewall.report import figures, records, table
from dronewall.report.colours import LOOKS


def printed(renderable, width=80, **options):
    out = io.StringIO()
    Console(
        file=out,
        width=width,
        **{"color_system": None, "force_terminal": False, "legacy_windows": False} | options,
    ).print(renderable)
    return out.getvalue()


def ribbon_cells(text, row, label):
    line = next(line for line in text.splitlines() if row in line)
    return line[label:]


def test_the_gap_stands_in_the_right_columns_of_the_ribbon():
    # 21 characters of labels and a free last column leave 60: 50 m each
    text = printed(table.Ribbon(coverage()), width=15 + 60 + 1)
    cells = ribbon_cells(text, "walker line", 15)
    assert [i for i, cell in enumerate(cells) if cell == "×"] == [24, 25, 26, 27, 52]
    assert [i for i, cell in enumerate(cells) if cell == "?"] == [0, 1]
    posts = next(line for line in text.splitlines() if "P1" in line)[15:]
    # the first letter of a two-letter name stands over its column: 200 m is column 4, 2800 m column 56
    assert (posts.index("P1"), posts.index("P2"), posts.index("P3"), posts.index("P4")) == (4, 22, 34, 56)


def test_the_ribbon_reads_without_colour_and_with_no_unicode():
    plain = printed(table.Ribbon(coverage()), width=80)
    assert "\x1b" not in plain
    for look in LOOKS.values():
        assert f"{look.glyph} {look.word}" in plain
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=out, width=76, color_system=None).print(table.Ribbon(coverage()))
    out.seek(0)
    assert ribbon_cells(out.read(), "walker line", 15).startswith("??" + "#" * 22 + "xxxx#")


def test_no_color_keeps_every_glyph(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True).print(table.Ribbon(coverage()))
    assert "38;" not in out.getvalue()
    assert "××××" in out.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_nothing_is_wider_than_the_terminal(width):
    posts = {f"post{number:02}": (66.0 * number, -10.0) for number in range(30)}
    text = printed(table.report(coverage(posts=posts)), width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_thirty_posts_do_not_run_into_each_other():
    posts = {f"P{number}": (66.0 * number, -10.0) for number in range(10, 40)}
    text = printed(table.Ribbon(coverage(posts=posts)), width=140)
    words = [word for line in text.splitlines()[:4] for word in line.split() if word.startswith("P")]
    assert set(words) <= set(posts)
    assert len(words) == len(set(words)) > 20


def row_of(text, span):
    return " ".join(next(line for line in text.splitlines() if span in line).split())


def test_the_table_of_gaps_says_where_how_long_how_likely_and_between_whom():
    text = printed(table.gaps(coverage()), width=120)
    # 37 stations at 0.1 and one at 0.02; half of it before the frontage, with 95 s to go
    assert row_of(text, "1.14–1.52") == "2 1.14–1.52 380 m 1.30 2 % 10 % 1 % 1:35 all P2, P3"
    assert row_of(text, "0.00–0.10").endswith("0 % 0 % 0 % none all P1 terrain unknown, flank")
    assert "100 m*" in row_of(text, "0.00–0.10")
    assert "* shorter than two postings" in text


def test_what_is_open_at_one_place_is_one_row_and_a_line_gap_alone_has_no_warning():
    text = printed(table.gaps(coverage()), width=120)
    assert "1.15–1.50" not in text
    assert "1.20–1.40" not in text
    assert row_of(text, "2.600–2.650") == "3 2.600–2.650 50 m* 2.60 10 % 10 % line P3, P4"


def test_80_columns_hold_all_but_the_mean_and_the_posts():
    text = printed(table.gaps(coverage()), width=80)
    assert row_of(text, "1.14–1.52") == "2 1.14–1.52 380 m 1.30 2 % 1 % 1:35 all P2, P3"


def test_missing_sensors_are_named_with_their_reason():
    text = printed(table.sensors(coverage()))
    assert "3 of 4 sensors count" in text
    assert "P3/cam" in text
    assert "never reported" in text
    assert "P1/cam" not in text


def test_stale_sensors_count_but_are_shown():
    wall = coverage()
    sensors = (dataclasses.replace(wall.sensors[0], state="stale", note="12 s late"), *wall.sensors[1:])
    wall = dataclasses.replace(wall, sensors=sensors, source="live")
    assert records.summary(wall)["sensors_heard"] == 3
    assert "12 s late" in printed(table.sensors(wall))


def test_the_sentence_says_it_all():
    assert figures.sentence(coverage()) == (
        "walker: 2 gaps, 480 m of 3.0 km. Weakest crossing at km 1.30: 2 % chance of being seen. "
        "low-drone: 1 gap, 100 m of 3.0 km. "
        "Weakest crossing at km 0.06 (flank): 0 % chance of being seen, over unknown ground. "
        "100 m unknown for want of terrain, and counted as open. 3 of 4 sensors count; P3/cam missing."
    )


def test_the_moment_of_the_drones_plan_is_said_and_without_drones_nothing_is():
    wall = coverage()
    later = dataclasses.replace(wall, at_s=700.0)
    assert figures.sentence(later) == "At 11:40 of the drones' plan, " + figures.sentence(wall)
    first = dataclasses.replace(later, targets=wall.targets[:1])
    assert figures.sentence(first).startswith("At 11:40 of the drones' plan, 2 gaps, ")
    none = tuple(dataclasses.replace(one, gaps=()) for one in wall.targets[:1])
    assert figures.sentence(dataclasses.replace(first, targets=none)).startswith("At 11:40 of the drones' plan, no gap")
    assert figures.level(later) == "expected over the sensors' errors, planned, at 11:40 of the drones' plan"
    assert figures.provenance(later)["plan_s"] == 700.0
    still = dataclasses.replace(wall, sensors=wall.sensors[:3])
    assert figures.sentence(dataclasses.replace(still, at_s=700.0)) == figures.sentence(still)
    assert figures.level(dataclasses.replace(still, at_s=700.0)) == figures.level(wall)


def test_gaps_that_are_too_short_to_be_listed_are_not_denied():
    wall = coverage()
    wall.scenario.thresholds.gap_min_m = 1000.0
    wall = dataclasses.replace(wall, targets=tuple(dataclasses.replace(one, gaps=()) for one in wall.targets))
    assert "walker: no gap of 1.0 km or more in 3.0 km." in figures.sentence(wall)


def test_one_target_is_not_named_and_the_worst_loss_comes_last():
    wall = coverage()
    first = wall.targets[0]
    first.stations.unknown[:] = False
    wall = dataclasses.replace(wall, targets=(first,), sensors=wall.sensors[:2])
    assert figures.sentence(wall, ("P4", 600.0)) == (
        "2 gaps, 480 m of 3.0 km. Weakest crossing at km 1.30: 2 % chance of being seen. Losing P4 opens 600 m more."
    )
    assert "Losing" not in figures.sentence(wall, ("P4", 0.0))


def test_the_worst_loss_stands_beside_the_target_that_it_holds_for():
    said = figures.sentence(coverage(), ("P4", 600.0))
    assert "chance of being seen. Losing P4 opens 600 m more. low-drone: " in said


def test_a_plan_hears_nobody():
    plan, live = (figures.sentence(coverage(source=source)) for source in ("plan", "live"))
    assert "3 of 4 sensors count; P3/cam missing" in plan
    assert "heard" not in plan
    assert "3 of 4 sensors heard; P3/cam missing" in live


def test_gaps_under_100_m_are_given_to_the_metre():
    wall = coverage()
    assert [figures.span(gap) for gap in wall.targets[0].gaps if gap.kind == "line"] == [
        "0.00–0.10",
        "1.20–1.40",
        "2.600–2.650",
    ]
    assert "2.600–2.650" in printed(table.gaps(wall), width=120)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_table_of_gaps_breaks_no_word(width):
    words = set(printed(table.gaps(coverage()), width=200).split())
    narrow = printed(table.gaps(coverage()), width=width).split()
    assert {word for word in narrow if set(word) != {"─"}} <= words


def test_the_terminal_says_what_weak_means():
    assert f"Weak: {LOOKS['weak'].meaning}." in printed(table.report(coverage()), width=120)


def test_many_sensors_with_one_reason_are_one_line():
    wall = coverage()
    bad = [dataclasses.replace(wall.sensors[2], name=f"P{i}/cam", note="no position yet") for i in range(10, 22)]
    text = printed(table.sensors(dataclasses.replace(wall, sensors=(*wall.sensors, *bad))), width=120)
    (line,) = [line for line in text.splitlines() if "no position yet" in line]
    assert " ".join(line.split()) == "12 sensors missing no position yet: P10/cam, P11/cam, P12/cam and 9 more"
    assert "P3/cam" in text


def test_what_is_assured_has_rows_totals_and_one_clause_but_no_table():
    wall = coverage(assured=True)
    text = printed(table.report(wall), width=100)
    # 15 columns of labels and a free last one leave 84: the gap from 1100 to 1600 m fills 31 to 45
    cells = ribbon_cells(text, "assured line", 15)
    assert [i for i, cell in enumerate(cells) if cell == "×"] == list(range(31, 45))
    assert row_of(text, "assured   ") == "assured 80 % 3 % 2, 600 m 1, 100 m 2, 600 m"
    assert text.count("1.10–1.60") == 0
    assert "within its own 90 % region" in " ".join(text.split())
    assert "walker: 2 gaps, 480 m of 3.0 km (assured: 600 m open). Weakest" in figures.sentence(wall)


def test_a_line_that_holds_says_so():
    wall = coverage()
    whole = tuple(dataclasses.replace(target, gaps=(), weakest=None, bottleneck=None) for target in wall.targets)
    for target in whole:
        target.stations.unknown[:] = False
    wall = dataclasses.replace(wall, targets=whole[:1], sensors=wall.sensors[:2])
    assert figures.sentence(wall) == "No gap in 3.0 km."
    assert "No gaps." in printed(table.gaps(wall))
    assert "2 sensors planned." in printed(table.sensors(wall))


def test_control_characters_in_names_do_not_reach_the_terminal():
    # The third post's camera is missing, so its name stands among the sensors, too.
    wall = coverage(posts={"P\x1b[2J": (200.0, 0.0), "P2": (900.0, 0.0), "P3\x1b[2J": (1700.0, 0.0)})
    assert "\x1b" not in printed(table.report(wall))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.11, "11 %"),
        (0.0, "0 %"),
        (0.001, "< 1 %"),
        (0.9999, "> 99 %"),
        (1.0, "100 %"),
        (math.nan, "unknown"),
    ],
)
def test_percentages_never_round_to_certainty(value, said):
    assert figures.percent(value) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (379.0, "6:19"), (3600.0, "60:00"), (None, "none")],
)
def test_a_time_reads_like_a_watch(seconds, said):
    assert figures.clock(seconds) == said


def test_posts_are_left_out_rather_than_broken():
    wall = coverage()
    first = wall.targets[0]
    gaps = tuple(dataclasses.replace(gap, nearest_posts=("P12", "P13"), flank=True) for gap in first.gaps)
    wall = dataclasses.replace(wall, targets=(dataclasses.replace(first, gaps=gaps),))
    for width in range(60, 120):
        text = printed(table.gaps(wall), width=width)
        assert "P12, P13" in text or "P12" not in text
        assert text.count("flank") == 3
