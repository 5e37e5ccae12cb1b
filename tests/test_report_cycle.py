import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cycle_fixture import LENGTH, STEP, STEPS, cycle, wall
from dronewall.engine.cycle import Opening, TimedCrossing
from dronewall.report import cycle as over
from dronewall.report import cycle_cells
from dronewall.report.colours import WORST_FIRST


def way(chainage, probability, sets_out=0.0, waits=0.0):
    """Straight across the first leg of the frontage at 1.4 m/s, with the wait at its beginning."""
    east, north = np.full(3, chainage), np.array([300.0, 300.0, -150.0])
    clock = sets_out + np.array([0.0, waits, waits + 450.0 / 1.4])
    return TimedCrossing(
        east, north, clock, sets_out, float(clock[-1]), waits, chainage, probability, probability / 2.0
    )


def with_first(**changes):
    """The cycle of the walker alone, with other fields of his."""
    found = cycle(wall())
    return dataclasses.replace(found, targets=(dataclasses.replace(found.targets[0], **changes),))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0:00"), (45.0, "0:45"), (260.2, "4:20"), (3599.0, "59:59"), (3750.0, "1:02:30"), (-5.0, "-0:05")],
)
def test_a_moment_is_read_off_a_watch(seconds, said):
    assert over.moment(seconds) == said


def test_a_moment_after_the_cycles_end_is_told_as_the_next_ones():
    found = cycle(wall())
    assert [over.turn(found, time) for time in (0.0, 1199.0, 1200.0, 2202.0)] == ["0:00", "19:59", "0:00+1", "16:42+1"]
    assert over.turn(dataclasses.replace(found, periodic=False), 2202.0) == "36:42"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(45.0, "45 s"), (60.0, "1 min"), (210.0, "3.5 min"), (660.0, "11 min"), (7200.0, "120 min"), (21600.0, "6 h")],
)
def test_how_long_something_lasts_is_said_in_the_unit_that_people_use(seconds, said):
    assert over.lasting(seconds) == said


def test_the_verdict_sets_both_walkers_side_by_side():
    found = with_first(knowing=way(1410.0, 0.12, 260.0, 70.0), unknowing=way(1700.0, 0.48), openings=())
    assert over.verdict(found) == [
        "Somebody who knows the drones' schedule crosses at km 1.41 with 12 % chance of being detected by setting out "
        "4:20 into the cycle and waiting 1:10; one who does not is detected with 48 %, at km 1.70. No place is open at "
        "any time."
    ]


def test_the_verdict_says_where_both_cross_at_one_place_and_that_it_is_the_flank():
    found = with_first(knowing=way(60.0, 0.0), unknowing=way(65.0, 0.01), openings=())
    (said,) = over.verdict(found)
    assert "crosses at km 0.06 (flank) with 0 % chance" in said
    assert "and not waiting; one who does not is detected with 1 %. " in said


def test_the_verdict_says_that_nobody_can_cross():
    assert over.verdict(with_first(knowing=None, unknowing=None)) == ["Nobody can cross."]


def test_each_target_has_a_sentence_of_its_own_and_what_is_assured_has_none():
    said = over.verdict(cycle(wall(assured=True)))
    assert [sentence.split(":")[0] for sentence in said] == ["walker", "low-drone"]


def test_who_is_not_heard_and_that_drones_fly_as_planned_is_said_and_of_a_plan_nothing():
    found = cycle(wall())
    assert over.notes(found) == []
    (planned,) = over.notes(dataclasses.replace(found, source="recorded"))
    assert planned.startswith("The drones fly as planned, not as reported, and 0:00 is the plan's start")
    silent, _ = over.notes(dataclasses.replace(found, source="live", silent=("D1", "D\x1b3")))
    assert silent == "Left out, for nobody hears of them: D1, D?3."
    many = over.notes(dataclasses.replace(found, silent=tuple(f"D{number}" for number in range(1, 9))))
    assert many == ["Left out, for nobody hears of them: D1, D2, D3, D4, D5, D6 and 2 more."]


def test_a_figure_says_where_its_fixed_sensors_come_from():
    found = dataclasses.replace(cycle(wall()), source="live", at_unix_ms=1_772_366_400_000, silent=("D1",))
    told = over.provenance(found, found.targets[0])
    assert (told["source"], told["at_utc"], told["silent_drones"]) == ("live", "2026-03-01T12:00:00Z", "D1")
    assert over.provenance(cycle(wall()))["source"] == "plan"
    assert "silent_drones" not in over.provenance(cycle(wall()))


def test_an_opening_is_told_with_its_share_of_the_cycle_and_its_times():
    found = cycle(wall())
    opening = Opening(1200.0, 1400.0, ((120.0, 240.0), (1140.0, 1260.0)), 240.0, False, 0.12)
    assert over.opening_span(opening) == "km 1.20 to 1.40"
    assert over.opening_often(found, opening) == "4 min of every 20"
    assert over.opening_times(found, opening) == "2:00–4:00, 19:00–1:00"  # round the cycle's end
    assert over.opening_times(found, opening, most=1) == "2:00–4:00 and 1 more"
    endless = dataclasses.replace(found, periodic=False)
    assert over.opening_often(endless, opening) == "4 min of the first 20"
    always = Opening(1200.0, 1250.0, ((0.0, 1200.0),), 1200.0, True, 0.0)
    assert over.opening_span(always) == "km 1.200 to 1.250"
    assert (over.opening_often(found, always), over.opening_times(found, always)) == ("always", "")


@pytest.mark.parametrize("periodic", [True, False])
def test_what_rounds_to_all_of_the_time_and_is_not_is_open_nearly_always(periodic):
    found = dataclasses.replace(with_first(openings=()), periodic=periodic)
    opening = Opening(1200.0, 1400.0, ((0.0, LENGTH),), LENGTH - 10.0, False, 0.12)
    assert over.opening_often(found, opening) == "nearly always"
    targets = (dataclasses.replace(found.targets[0], openings=(opening,)),)
    said = over.verdict(dataclasses.replace(found, targets=targets))[0]
    assert said.endswith("Open: 200 m nearly always at km 1.20 to 1.40.")
    shorter = dataclasses.replace(opening, open=LENGTH - 40.0)
    assert over.opening_often(found, shorter).startswith("19 min of ")


def test_what_is_open_is_summed_by_always_and_at_times():
    always = Opening(0.0, 100.0, ((0.0, 1200.0),), 1200.0, True, 0.0)
    some = Opening(1200.0, 1400.0, ((120.0, 240.0),), 120.0, False, 0.2)
    more = Opening(2000.0, 2300.0, ((120.0, 360.0),), 240.0, False, 0.2)
    for openings, said in (
        ((always,), "Open: 100 m of 3.0 km always."),
        ((always, some), "Open: 100 m of 3.0 km always, 200 m for 2 min of every 20 on the mean at km 1.20 to 1.40."),
        (
            (some, more),
            "Open: 500 m in 2 places at times, each place up to 4 min of every 20 on the mean (km 2.00 to 2.30).",
        ),
    ):
        assert over.verdict(with_first(openings=openings))[0].endswith(f". {said}")


def test_tracks_follow_the_drones_and_end_where_they_land():
    found = cycle(wall())
    tracks = over.tracks(found)
    assert list(tracks) == ["D1", "D2", "D3"]
    times = over.middles(found)
    in_the_air = (times > 30.0) & (times < 530.0)
    assert np.array_equal(np.isfinite(tracks["D1"]), in_the_air)
    assert np.array_equal(np.isfinite(tracks["D2"]), np.roll(in_the_air, STEPS // 2))
    assert np.isfinite(tracks["D3"]).all()
    # 2400 m in 480 s on station, out from 300 m at 40 s and back from 1500 m at 280 s; the first leg runs due east
    on_station = (times > 40.0) & (times < 520.0)
    expected = 1500.0 - 5.0 * np.abs(times - 280.0)
    assert tracks["D1"][on_station] == pytest.approx(expected[on_station], abs=1e-6)


def test_what_a_drone_does_is_said_with_its_next_take_off():
    found = cycle(wall())
    phases = over.phases(found)
    assert set(phases["D3"]) == {"station"}
    said = {
        time: over.doing(found, "D1", phases["D1"][int(time // STEP)], time)
        for time in (2.5, 32.5, 280.0, 525.0, 600.0)
    }
    assert said == {
        2.5: "D1 on the ground until 0:30",
        32.5: "D1 on its way out",
        280.0: "D1 on station",
        525.0: "D1 on its way home",
        600.0: "D1 on the ground until 0:30",  # of the cycle after
    }


@given(arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 30))), st.booleans())
def test_the_windows_of_a_station_are_the_steps_at_which_it_is_watched(watched, periodic):
    steps = watched.shape[1]
    timed = SimpleNamespace(step=2.0, periodic=periodic)
    for row, windows in zip(watched, over.watched_windows(timed, SimpleNamespace(watched=watched)), strict=True):
        inside = [
            any(
                start <= time < end for start, end in windows for time in (2.0 * step + 1.0, 2.0 * (step + steps) + 1.0)
            )
            for step in range(steps)
        ]
        assert inside == row.tolist()
        assert windows == sorted(windows)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(windows))
        if periodic and len(windows) > 1:
            assert windows[-1][1] - 2.0 * steps < windows[0][0]  # what wraps is one
        assert all(end <= 2.0 * steps for _, end in windows[:-1])
        assert periodic or all(end <= 2.0 * steps for _, end in windows)


def test_what_is_unknown_counts_as_unwatched():
    found = cycle(wall())
    walker = found.targets[0]
    # 100 of 3000 m are unknown, and all that is known is watched but for the line gaps, where drones pass
    assert over.watched_share(walker) == pytest.approx(walker.watched.mean())
    gaps = walker.watched[(walker.stations.chainage > 100.0)].mean(axis=1) < 1.0
    assert gaps.sum() == 25  # stations of 10 m in 200 and 50 m
    assert over.never_watched(walker) == 0.0
    seconds, chainage = over.longest_unwatched(found, walker)
    assert (seconds, chainage) == (walker.station_revisit.longest[~walker.stations.unknown].max(), 1395.0)


def test_where_each_place_is_watched_always_or_never_there_is_no_longest_time_between():
    found = cycle(wall())
    walker = found.targets[0]
    revisit = walker.station_revisit
    always = np.arange(len(revisit.share)) < 100
    flat = dataclasses.replace(revisit, share=np.where(always, 1.0, 0.0), longest=np.where(always, 0.0, LENGTH))
    either = dataclasses.replace(walker, station_revisit=flat)
    assert over.longest_unwatched(found, either) is None
    assert cycle_cells.watched(found, either)[3:5] == ("-", "")


def test_the_step_is_told_with_three_digits():
    found = cycle(wall())
    steps = [over.steps_said(dataclasses.replace(found, step=step)) for step in (1.2834567, 5.0, 0.51234)]
    assert steps == ["in steps of 1.28 s", "in steps of 5 s", "in steps of 0.512 s"]


def test_the_walker_is_under_way_round_the_end_of_the_cycle_and_stands_where_he_waits():
    found = cycle(wall())
    crossing = way(1000.0, 0.1, sets_out=1000.0, waits=70.0)  # arrives 391 s later, at 191 s of the next cycle
    assert over.walker_at(found, crossing, 990.0) is None
    assert over.walker_at(found, crossing, 1050.0) == (1000.0, 300.0)
    assert over.walker_at(found, crossing, 1070.0 + 100.0 / 1.4) == pytest.approx((1000.0, 200.0))
    assert over.walker_at(found, crossing, 1070.0 + 300.0 / 1.4 - LENGTH) == pytest.approx((1000.0, 0.0))
    assert over.walker_at(found, crossing, 200.0) is None
    assert over.walker_at(dataclasses.replace(found, periodic=False), crossing, 100.0) is None


@given(
    arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 3)),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_a_block_shows_the_worst_of_what_rounds_into_it(ranks, rows, columns):
    shown = over.blocks(ranks, rows, columns)
    assert shown.shape == (rows, columns)
    assert shown.min() >= ranks.min()
    if rows <= ranks.shape[1] and columns <= ranks.shape[0]:
        # nothing is lost: every station and time is in one block that is no better than it is
        count, times = ranks.shape
        starts = [
            [round(index * length / pieces) for index in range(pieces)]
            for length, pieces in ((count, columns), (times, rows))
        ]
        for station in range(count):
            for time in range(times):
                column = max(index for index, start in enumerate(starts[0]) if start <= station)
                row = max(index for index, start in enumerate(starts[1]) if start <= time)
                assert shown[row, column] <= ranks[station, time]


def test_states_follow_the_threshold_and_unknown_ground_is_not_covered():
    found = cycle(wall())
    walker = found.targets[0]
    chances = np.tile(np.array([0.49, 0.5, 0.74, 0.76, np.nan]), (len(walker.stations.chainage), 1))
    ranks = over.ranks(found, dataclasses.replace(walker, crossing_p=chances))
    assert [WORST_FIRST[rank] for rank in ranks[-1]] == ["gap", "weak", "weak", "covered", "covered"]
    # at 5 m the ground is unknown: only what holds all the same is known to
    assert [WORST_FIRST[rank] for rank in ranks[0]] == ["unknown", "weak", "weak", "covered", "covered"]


@pytest.mark.parametrize(("length", "most", "last"), [(1200.0, 6, 1200.0), (1200.0, 20, 1200.0), (700.0, 6, 600.0)])
def test_ticks_of_time_are_round_and_few(length, most, last):
    ticks = over.time_ticks(length, most)
    assert len(ticks) - 1 <= most
    assert ticks[0] == 0.0
    assert ticks[-1] == last
    assert set(np.diff(ticks)) <= {60.0, 120.0, 300.0}
