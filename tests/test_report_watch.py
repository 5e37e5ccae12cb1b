"""A live wall's lines: what happened, where, and the ribbon only where a gap has moved."""

import dataclasses

from rich.console import Console

from coverage_fixture import coverage
from dronewall.report import watch


def text(shown):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(shown, soft_wrap=True)
    return console.export_text()


NOON = 1_772_366_400_000


def test_a_gap_is_one_line_with_time_place_length_and_name():
    (gap, *_) = (gap for gap in coverage().targets[0].gaps if gap.kind == "line" and gap.start == 1200.0)
    opened = text(watch.gap(NOON, "opened", gap))
    assert opened.count("\n") == 1
    assert opened.startswith("12:00:00Z  opened  walker line km 1.20–1.40, 200 m, least 10 %")
    assert gap.id in opened
    closed = text(watch.gap(NOON, "closed", gap, "walker-expected-line-01000"))
    assert "joined" in closed
    assert "now part of walker-expected-line-01000" in closed
    assert "least" not in closed


def test_sensors_are_told_when_their_state_changes_and_names_steer_no_terminal():
    live = coverage(source="live")
    heard = tuple(dataclasses.replace(sensor, state="heard", note="") for sensor in live.sensors)
    before = dataclasses.replace(live, sensors=heard)
    assert watch.sensors(before, before) == []
    assert watch.sensors(None, before) == []
    stale = (dataclasses.replace(heard[0], state="stale", note="40 s\x1b[2J old"), *heard[1:])
    (line,) = watch.sensors(before, dataclasses.replace(live, sensors=stale))
    assert text(line) == "12:00:00Z  sensor  P1/cam is stale: 40 s?[2J old\n"
    (line,) = watch.sensors(dataclasses.replace(live, sensors=stale), before)
    assert "P1/cam is heard" in text(line)


def test_the_ribbon_comes_when_a_gap_has_moved():
    whole, closed = coverage(), coverage(gaps=False)
    assert watch.ribbon(None, whole) is not None
    assert watch.ribbon(whole, coverage()) is None
    assert watch.ribbon(whole, closed) is not None
    assert (
        watch.ribbon(coverage(assured=True), dataclasses.replace(coverage(assured=True), targets=whole.targets)) is None
    )
