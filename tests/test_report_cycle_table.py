import dataclasses
import io

import numpy as np
from rich.console import Console, Group

from cycle_fixture import cycle, nobody_flies, wall
from dronewall.engine.patrol import Plan
from dronewall.report import cycle as over
from dronewall.report import cycle_table
from test_report_table import printed


def chart(found, of, width, **options):
    """The chart's rows by their times: what stands in the columns."""
    lines = printed(cycle_table.TimeChart(found, of), width=width, **options).splitlines()
    return {line[:8].strip(): line[9:] for line in lines}


def test_the_chart_shows_where_and_when_it_is_open():
    found = cycle(wall())
    walker = found.targets[0]
    chances = np.full(walker.crossing_p.shape, 0.9)
    # 60 times of setting out, 20 s each: open from 5:00 to 6:00 between 1500 and 1600 m
    chances[150:160, 15:18] = 0.1
    rows = chart(found, dataclasses.replace(walker, crossing_p=chances), width=9 + 60 + 1)
    assert len([time for time in rows if ":" in time]) == 20
    for time, row in rows.items():
        if ":" in time:
            # 50 m a column; the first two are unknown ground, which holds all the same
            assert [index for index, glyph in enumerate(row[:60]) if glyph == "×"] == (
                [30, 31] if time == "5:00" else []
            )
    assert "× open" in rows[""]
    posts = printed(cycle_table.TimeChart(found, walker), width=70).splitlines()[0]
    assert posts.index("P2") - 9 in (21, 22)  # 1100 m, where two columns meet


def test_something_open_for_a_moment_at_one_station_is_never_too_small_to_show():
    found = cycle(wall())
    walker = found.targets[0]
    chances = np.full(walker.crossing_p.shape, 0.9)
    chances[200, 40] = 0.1
    for width in (40, 80, 200):
        rows = chart(found, dataclasses.replace(walker, crossing_p=chances), width=width)
        assert "×" in rows["13:00"]


def test_what_does_not_change_over_time_is_one_row():
    found = cycle(wall())
    walker = found.targets[0]
    chances = np.full(walker.crossing_p.shape, 0.9)
    chances[150:160] = 0.1
    rows = chart(found, dataclasses.replace(walker, crossing_p=chances), width=9 + 60 + 1)
    assert [time for time in rows if ":" in time] == []
    assert [index for index, glyph in enumerate(rows["always"][:60]) if glyph == "×"] == [30, 31]
    assert rows[""].rstrip().endswith("the same at all times")
    # 60 times of setting out and a row each minute: shut for 20 s of every minute
    chances[150:160, ::3] = 0.9
    rows = chart(found, dataclasses.replace(walker, crossing_p=chances), width=9 + 60 + 1)
    assert [index for index, glyph in enumerate(rows["worst"][:60]) if glyph == "×"] == [30, 31]
    assert rows[""].rstrip().endswith("the worst in every 1 min, the same in each")


def test_the_chart_reads_with_ascii_alone():
    found = cycle(wall())
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=out, width=80, color_system=None).print(cycle_table.TimeChart(found, found.targets[0]))
    out.seek(0)
    assert "x open" in out.read()


def test_everything_fits_into_80_columns_and_begins_with_the_sentences():
    text = printed(cycle_table.cycle_tables(cycle(wall(assured=True))), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    words = " ".join(text.split())
    assert words.startswith("Over time one cycle of 20 min walker: somebody who knows")
    assert words.index("low-drone: somebody who knows") < words.index("When it is open") < words.index("The drones")


def test_no_sentence_is_told_twice():
    found = cycle(wall(assured=True))
    for shown in (cycle_table.cycle_tables(found), cycle_table.in_short(found)):
        words = " ".join(printed(shown, width=80).split())
        assert [words.count(said) for said in over.verdict(found)] == [1, 1]


def test_both_tables_name_the_drones_that_nobody_hears():
    found = dataclasses.replace(cycle(wall()), source="live", silent=("D2",))
    for shown in (cycle_table.cycle_tables(found), cycle_table.in_short(found)):
        words = " ".join(printed(shown, width=80).split())
        assert "Left out, for nobody hears of them: D2." in words
        assert "The drones fly as planned, not as reported" in words


def test_the_timetable_tells_each_flight_and_what_the_sortie_needs():
    text = printed(Group(*cycle_table.timetable(cycle(wall()))), width=100)
    lines = {
        line.split()[0] + " " + line.split()[1]: line.split() for line in text.splitlines() if len(line.split()) > 2
    }
    # 10 s out, 480 s on station, 10 s home, 100 s on the ground
    assert lines["D1 valley"][2:] == ["0:30", "0:40", "8:40", "8:50", "10:30"]
    assert lines["D2 valley"][2:] == ["10:30", "10:40", "18:40", "18:50", "0:30+1"]
    # With a take-off every 600 s for 480 s on station no number of drones is there always. As often as they can it
    # takes ceil((480 + 20 + 100) / 480) airframes and ceil((480 + 20 + 1300) / 480) batteries.
    assert " ".join(lines["valley D1,"]) == "valley D1, D2 quad 8:00 of 8:20 2 of - 3 of - 80 % 2:00"
    often = cycle(wall())
    sorties = tuple(dataclasses.replace(each, every=None) for each in often.plan.sorties)
    often = dataclasses.replace(often, plan=Plan(sorties))
    assert " 2 of 2 3 of 4 " in " ".join(printed(Group(*cycle_table.timetable(often)), width=100).split())
    assert " ".join(lines["hills D3"]) == "hills D3 kite for ever 1 100 % never"


def test_times_after_the_cycles_end_are_explained():
    assert "+1: in the cycle after." in printed(Group(*cycle_table.timetable(cycle(wall()))), width=80)


def test_both_chances_stand_side_by_side():
    found = cycle(wall())
    walker = found.targets[0]
    knowing = dataclasses.replace(
        walker.knowing, probability=0.12, chainage=1410.0, sets_out=260.0, waits=70.0, before=0.05
    )
    unknowing = dataclasses.replace(walker.unknowing, probability=0.48, chainage=1700.0)
    targets = (dataclasses.replace(walker, knowing=knowing, unknowing=unknowing),)
    text = printed(cycle_table.breach(dataclasses.replace(found, targets=targets)), width=80)
    row = next(line for line in text.splitlines() if line.strip().startswith("walker"))
    assert " ".join(row.split()) == "walker 12 % 1.41 4:20 1:10 5 % 48 % 1.70"


def test_a_loss_says_what_it_does_and_when_the_next_one_comes():
    found = cycle(wall())
    text = " ".join(printed(cycle_table.cycle_tables(found), width=100).split())
    assert "D1 valley 1:00 after 10:00" in text
    assert "D3 hills 0:00 never" in text
    assert "If a drone is lost" not in printed(
        cycle_table.cycle_tables(dataclasses.replace(found, losses=())), width=100
    )


def test_how_much_of_the_time_is_said_to_be_of_one_place_on_the_mean():
    text = " ".join(printed(Group(*cycle_table.openings(cycle(wall()))), width=80).split())
    assert "Open: at one place of the stretch, on the mean" in text


def test_where_nothing_is_open_the_table_says_so():
    found = cycle(wall())
    targets = tuple(dataclasses.replace(of, openings=()) for of in found.targets)
    text = printed(cycle_table.cycle_tables(dataclasses.replace(found, targets=targets)), width=80)
    assert "No place is open at any time." in text


def test_a_name_from_the_file_cannot_steer_the_terminal():
    found = cycle(wall())
    lost = tuple(dataclasses.replace(lost, drone="D\x1b[31m1") for lost in found.losses)
    assert "\x1b" not in printed(cycle_table.cycle_tables(dataclasses.replace(found, losses=lost)), width=80)


def test_flights_under_way_when_a_plan_without_a_cycle_begins_are_told():
    found = dataclasses.replace(cycle(wall()), periodic=False)
    assert "D1 valley" in printed(Group(*cycle_table.timetable(found)), width=80)
    shifted = dataclasses.replace(found.plan.sorties[0], start=200.0)  # D1 took off at -200 s
    plan = dataclasses.replace(found.plan, sorties=(shifted, found.plan.sorties[1]))
    text = printed(Group(*cycle_table.timetable(dataclasses.replace(found, plan=plan))), width=80)
    row = next(line for line in text.splitlines() if "D1 valley" in line)
    assert row.split()[2:] == ["-3:20", "-3:10", "4:50", "5:00", "6:40"]


def test_a_cycle_without_a_drone_in_the_air_and_with_one_time_of_setting_out_reads_all_the_same():
    found = nobody_flies()
    text = printed(cycle_table.cycle_tables(found), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "Over time" in text
