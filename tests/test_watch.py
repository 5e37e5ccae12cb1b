"""A live wall's gaps: they open when a sensor turns away, close late when it comes back, and the broker is told."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dronewall import firmware_files, scenario, wire
from dronewall.engine import wall
from dronewall.engine.gaps import Gap
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned
from dronewall.live.announce import Announcer, gaps_of, status_of
from dronewall.live.broker import Broker
from dronewall.live.ingest import Ingest
from dronewall.live.moment import awaited, latest, recorded, state_of
from dronewall.live.recorder import Recorder
from dronewall.live.simulate import SimulatedNodes
from dronewall.live.watch import Watch
from dronewall.scenario import read
from processes import silence, talker, until
from test_wall import SITE

NOON = 1_772_366_400_000


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    path = tmp_path_factory.mktemp("watch") / "site.toml"
    path.write_text(SITE)
    return ground_of(read(path))


def told(ground, at_unix_ms, seq, **azimuths):
    """What the plan's nodes report at that time; the azimuths of some sensors of P1 are others."""
    found = []
    for report in planned(ground):
        values = report.values
        if report.kind == "frustum":
            values = {**values, "clock": "gnss", "time_unix_ms": at_unix_ms, "valid_s": 60, "seq": seq}
            if report.node == "P1" and report.sensor in azimuths:
                values["azimuth_deg"] = azimuths[report.sensor]
        found.append(report._replace(values=values))
    return found


def looked(ground, watch, state, seconds, **azimuths):
    at = NOON + 1000 * seconds
    for report in told(ground, at, seconds + 1, **azimuths):
        state.apply(report, at)
    return watch.look(state, at)


def listed(coverage):
    return {gap.id: gap for target in coverage.at_level("expected") for gap in target.gaps}


def test_gaps_open_at_once_close_late_and_keep_their_names(ground):
    watch, state = Watch(ground), state_of(ground.scenario)
    first = looked(ground, watch, state, 0)
    fresh = wall.cover(ground, *(lambda found: (found[0], NOON))(latest(state, NOON)), source="live")
    assert listed(first.coverage) == listed(fresh)  # at first, what everybody else says of these reports
    assert [event.what for event in first.events] == ["opened"] * len(listed(first.coverage))
    assert looked(ground, watch, state, 1).events == ()
    away = looked(ground, watch, state, 2, cam=140.0, side=225.0)
    names = listed(first.coverage).keys()
    grown = {event.gap.id for event in away.events if event.what == "opened"}
    merged = {event.gap.id for event in away.events if event.what == "closed"}
    assert listed(away.coverage).keys() == (names | grown) - merged
    assert all(event.into for event in away.events if event.what == "closed")
    longer = sum(gap.length for gap in listed(away.coverage).values())
    assert longer > sum(gap.length for gap in listed(first.coverage).values())
    # Back again: nothing closes before it has held for close_s, by the times at which reports came.
    back = [looked(ground, watch, state, seconds) for seconds in (3, 12)]
    assert [picture.events for picture in back] == [(), ()]
    assert watch.look(state, NOON + 30_000).events == ()
    closed = looked(ground, watch, state, 14)
    # What lies between the threshold and its margin stays open.
    least = sum(gap.length for gap in listed(first.coverage).values())
    assert least <= sum(gap.length for gap in listed(closed.coverage).values()) < longer
    assert listed(closed.coverage).keys() & names


def test_the_events_make_the_list(ground):
    watch, state, names = Watch(ground), state_of(ground.scenario), set()
    for step, azimuth in enumerate((320.0, 100.0, 200.0, 320.0, 320.0)):
        picture = looked(ground, watch, state, 11 * step, cam=azimuth)
        for event in picture.events:
            names.add(event.gap.id) if event.what == "opened" else names.remove(event.gap.id)
        assert names == listed(picture.coverage).keys()


def test_the_host_tells_the_longest_gaps_first_within_the_wire(ground):
    watch, state = Watch(ground), state_of(ground.scenario)
    coverage = looked(ground, watch, state, 0).coverage
    for kind, values in (("gaps", gaps_of(coverage)), ("status", status_of(coverage, 10**9))):
        payload = wire.encode(kind, wire.integers(kind, values))
        report = wire.decode(wire.topic("testwall", "$host", kind), payload)
        assert report.values["time_unix_ms"] == NOON
        if kind == "gaps":
            lengths = [gap["end_m"] - gap["start_m"] for gap in report.values["gaps"]]
            assert lengths == sorted(lengths, reverse=True)
            assert report.values["count"] == len(listed(coverage)) >= len(lengths) > 0
            for entry in report.values["gaps"]:
                own = listed(coverage)[entry["id"]]
                assert entry.get("probability_before") == (
                    None if own.before is None else pytest.approx(own.before, abs=1e-3)
                )
        else:
            assert report.values["sensors_heard"] == report.values["sensors_planned"] == 3


def test_the_longest_gaps_with_the_longest_names_find_room_in_a_message(ground):
    longest = Gap(
        "i" * 64, "breach", "t" * 32, "expected", 999_998.999, 999_999.999, 0.123456, 0.123456, 0.555555, 0.333333,
        False, False, ("p" * 32,) * 9, 999_999.0, 0.123456, 1e9,
    )  # fmt: skip
    coverage = wall.cover(ground, [], NOON)
    target = dataclasses.replace(coverage.targets[0], gaps=(longest,) * 20)
    values = gaps_of(dataclasses.replace(coverage, targets=(target,)))
    report = wire.decode(wire.topic("testwall", "$host", "gaps"), wire.encode("gaps", wire.integers("gaps", values)))
    assert report.values["gaps"][0]["warning_s"] == 86_400.0
    assert len(report.values["gaps"]) == 8
    assert report.values["count"] == 20


def heard(port, wall_name):
    """A client that collects what the host says on a broker, and the list in which it does."""
    client, found = talker(port), []
    client.on_message = lambda _client, _data, message: found.append((message.topic, json.loads(message.payload)))
    client.subscribe(f"dw/1/{wall_name}/$host/#", 1)
    return client, found


def states(found):
    return [values["state"] for topic, values in found if topic.endswith("/status")]


@pytest.mark.needs("iotcore")
def test_the_status_of_a_host_ends_with_it(ground):
    with Broker() as broker:
        client, found = heard(broker.port, "testwall")
        with Announcer(broker.host, broker.port, ground.scenario) as voice:
            voice.say("status", status_of(wall.cover(ground, planned(ground), NOON, source="live"), 0))
            assert until(lambda: states(found) == ["ready"], 5)
        assert until(lambda: states(found) == ["ready", "disconnected"], 5)
        silence(client)
        late, kept = heard(broker.port, "testwall")
        assert until(lambda: states(kept) == ["disconnected"], 5)
        silence(late)


@pytest.mark.timeout(120)
@pytest.mark.needs("iotcore")
@pytest.mark.parametrize(("number", "last"), [(signal.SIGINT, "disconnected"), (signal.SIGKILL, "lost")])
def test_the_program_watches_a_broker_prints_and_publishes(ground, tmp_path, number, last):
    (tmp_path / "site.toml").write_text(SITE)
    with Broker() as broker:
        client, found = heard(broker.port, "testwall")

        def publish(seq, **azimuths):
            for report in told(ground, time.time_ns() // 1_000_000, seq, **azimuths):
                topic = wire.topic(report.wall, report.node, report.kind, report.sensor)
                payload = wire.encode(report.kind, wire.integers(report.kind, report.values))
                client.publish(topic, payload, 1, True).wait_for_publish(3)

        publish(1)
        words = ["watch", "site.toml", "--broker", f"127.0.0.1:{broker.port}", "--publish", "--every", "0.5", "-q"]
        process = subprocess.Popen(
            [sys.executable, "-m", "dronewall", *words],
            cwd=tmp_path, env={**os.environ, "COLUMNS": "100", "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            assert until(lambda: any(topic.endswith("/gaps") for topic, _ in found), 60)
            count = next(values["count"] for topic, values in found if topic.endswith("/gaps"))
            publish(2, cam=140.0, side=225.0)
            assert until(lambda: any(values.get("digest") != found[0][1].get("digest") for _, values in found[2:]), 20)
        finally:
            process.send_signal(number)
            out = process.communicate(timeout=20)[0]
        assert until(lambda: states(found)[-1] == last, 15)
        silence(client)
    if number == signal.SIGINT:
        assert process.returncode == 130
        lines = out.splitlines()
        assert sum("  opened  " in line for line in lines) >= count
        assert sum(line.lstrip().startswith("km ") for line in lines) >= 2  # the ribbon, and that of the turned sensors


@pytest.mark.timeout(120)
@pytest.mark.needs("micropython", "iotcore")
def test_a_recording_of_real_nodes_is_the_wall_that_they_were(tmp_path):
    site = scenario.read(firmware_files.examples() / "minimal.toml")
    kinds = set()
    with (
        Broker() as broker,
        Ingest(broker.host, broker.port, "minimal") as ingest,
        SimulatedNodes(site, broker.host, broker.port, ground_amsl=lambda *_: 350.0, track=lambda _: []),
        Recorder(tmp_path / "wall.jsonl", "minimal") as recorder,
    ):
        deadline = time.monotonic() + 60
        while not {"birth", "frustum"} <= kinds and time.monotonic() < deadline:
            arrival = ingest.next(0.2)
            if arrival is not None:
                recorder.write(arrival)
                kinds.add(arrival.report.kind if arrival.report else arrival.reason)
    then = recorded(site, tmp_path / "wall.jsonl")
    assert then.states == {"P1/cam": ("heard", "")}
    assert [(report.node, report.kind) for report in then.reports] == [("P1", "birth"), ("P1", "frustum")]


def test_who_waits_for_sensors_is_told_how_many_there_are(ground, free_port):
    told_of = []
    with Broker() as broker, Ingest(broker.host, broker.port, "testwall") as ingest:
        awaited(ingest, state_of(ground.scenario), ground.scenario, 0.5, lambda *counts: told_of.append(counts))
    assert set(told_of) == {(0, 3)}
