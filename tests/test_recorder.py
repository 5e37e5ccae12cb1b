"""A recording gives back what came, at any time of it, whatever happened to the file."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronewall import wire
from dronewall.live import recorder as module
from dronewall.live.broker import Broker
from dronewall.live.ingest import Arrival, Ingest, arrival_of
from dronewall.live.recorder import Recorder, RecordingError, replay
from dronewall.live.state import State
from processes import silence, talker, until
from test_state import NOW, VALID_S, frustum


def frustum_arrival(seq: int, arrived: int, node: str = "P1", retained: bool = False, wall: str = "w") -> Arrival:
    values = frustum(seq, arrived, node=node).values
    payload = wire.encode("frustum", wire.integers("frustum", values))
    found = arrival_of(wire.topic(wall, node, "frustum", "cam"), payload, arrived, retained)
    assert found is not None
    return found


def kept(path, arrivals, wall="w", **limits):
    with Recorder(path, wall, **limits) as recorder:
        for arrival in arrivals:
            recorder.write(arrival)
    return path


def snapshot(arrivals, at):
    state = State("w")
    for arrival in arrivals:
        module.take(state, arrival)
    return state.snapshot(at)


def test_what_is_read_back_makes_the_state_that_the_messages_made(tmp_path):
    came = [frustum_arrival(seq, NOW + 1000 * seq, f"P{seq % 3}", seq < 3) for seq in range(12)]
    state = State("w")
    replayed = replay(kept(tmp_path / "r", came), state)
    assert replayed == (12, NOW + 11_000)
    assert state.snapshot(replayed.last_unix_ms) == snapshot(came, NOW + 11_000)
    state = State("w")
    assert replay(tmp_path / "r", state, NOW + 4500) == (5, NOW + 4000)
    assert state.snapshot(NOW + 4500) == snapshot(came[:5], NOW + 4500)


def test_a_sensor_that_falls_silent_is_stale_and_then_lost_at_later_times(tmp_path):
    path = kept(tmp_path / "r", [frustum_arrival(1, NOW), frustum_arrival(1, NOW + 300_000, "P2")])

    def status(seconds):
        state = State("w")
        replay(path, state, NOW + 1000 * seconds)
        return state.snapshot(NOW + 1000 * seconds)[0].status

    assert [status(seconds) for seconds in (1, VALID_S + 1, 3 * VALID_S + 1)] == ["heard", "stale", "lost"]


@given(st.binary(max_size=80), st.text(max_size=30), st.integers(0, 2**41), st.booleans())
def test_any_message_is_read_back_as_it_came(tmp_path_factory, payload, topic, arrived, retained):
    path = tmp_path_factory.mktemp("any") / "r"
    arrival = arrival_of(topic, payload, arrived, retained)
    kept(path, [arrival])
    assert [found for found, _ in module._lines(path)] == [arrival]
    assert path.read_bytes().isascii()


def test_a_torn_last_line_is_left_out_and_the_recording_goes_on(tmp_path):
    path = kept(tmp_path / "r", [frustum_arrival(seq, NOW + seq) for seq in range(3)])
    path.write_bytes(path.read_bytes()[:-40])
    assert replay(path, State("w")).messages == 2
    kept(path, [frustum_arrival(9, NOW + 9)])
    assert replay(path, State("w")) == (3, NOW + 9)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_recording_torn_in_its_first_line_is_refused_and_not_touched(tmp_path, cut):
    path = tmp_path / "r"
    path.write_bytes(json.dumps({"recording": 1, "wall": "w"}).encode()[:cut])
    if path.read_bytes().endswith(b"}"):
        return
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="not a recording"), Recorder(path, "w"):
        pass
    assert path.read_bytes() == before


def test_it_takes_no_more_than_its_limit_and_still_tells_of_every_sensor(tmp_path):
    limit = 600_000
    quiet = frustum_arrival(1, NOW, "P9", retained=True)
    came = [frustum_arrival(seq, NOW + seq) for seq in range(2000)]
    path = kept(tmp_path / "r", [quiet, *came], limit=limit)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["r", "r.1", "r.2", "r.3"]
    assert sum(file.stat().st_size for file in files) <= limit
    state = State("w")
    replayed = replay(path, state)
    assert replayed.last_unix_ms == NOW + 1999
    assert state.snapshot(NOW + 1999) == snapshot([quiet, came[-1]], NOW + 1999)
    # What is carried over is read once: all that is left of the messages, and the quiet sensor's.
    assert replayed.messages < 2000
    kept(path, [frustum_arrival(3000, NOW + 3000)], limit=limit)
    assert replay(path, State("w")).messages >= 3


def test_no_file_another_file_another_wall_and_another_time_are_told_apart(tmp_path):
    with pytest.raises(RecordingError, match=r"nothing: no such file"):
        replay(tmp_path / "nothing", State("w"))
    (tmp_path / "notes").write_text("notes\n")
    for use in (lambda: replay(tmp_path / "notes", State("w")), lambda: Recorder(tmp_path / "notes", "w").__enter__()):
        with pytest.raises(RecordingError, match="not a recording"):
            use()
    assert (tmp_path / "notes").read_text() == "notes\n"
    path = kept(tmp_path / "r", [frustum_arrival(1, NOW)])
    for use in (lambda: replay(path, State("v")), lambda: Recorder(path, "v").__enter__()):
        with pytest.raises(RecordingError, match="wall w; expected v"):
            use()
    with pytest.raises(RecordingError, match="came 5 s after"):
        replay(path, State("w"), NOW - 5000)
    with pytest.raises(RecordingError, match="no message"):
        replay(kept(tmp_path / "empty", []), State("w"))
    with pytest.raises(RecordingError, match="directory"):
        replay(tmp_path, State("w"))


def test_lines_that_are_none_are_left_out(tmp_path):
    path = kept(tmp_path / "r", [frustum_arrival(1, NOW)])
    record = json.loads(path.read_text().splitlines()[1])
    wrong = [
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        b"x" * 100_000,
        *(json.dumps({**record, key: None}).encode() for key in record),
        json.dumps({**record, "payload_base64": "?"}).encode(),
    ]
    with path.open("ab") as file:
        for line in wrong:
            file.write(line + b"\n")
    kept(path, [frustum_arrival(2, NOW + 2)])
    assert replay(path, State("w")) == (2, NOW + 2)


@pytest.mark.needs("iotcore")
def test_what_a_broker_keeps_and_what_comes_are_recorded_as_such(tmp_path):
    with Broker() as broker:
        client = talker(broker.port)
        now = time.time_ns() // 1_000_000
        first, second = (frustum_arrival(seq, now) for seq in (1, 2))
        client.publish(first.topic, first.payload, 1, True).wait_for_publish(3)
        with Ingest(broker.host, broker.port, "w") as ingest, Recorder(tmp_path / "r", "w") as recorder:
            ingest.wait(5)
            assert until(lambda: (arrival := ingest.next(0.1)) is not None and recorder.write(arrival) is None, 3)
            client.publish(second.topic, second.payload, 1, True).wait_for_publish(3)
            client.publish("dw/1/w/P1/state", b"rubbish", 1).wait_for_publish(3)
            for _ in range(2):
                recorder.write(ingest.next(3.0))
        silence(client)
    lines = [arrival for arrival, _ in module._lines(tmp_path / "r")]
    assert [arrival.retained for arrival in lines] == [True, False, False]
    assert [arrival.payload for arrival in lines] == [first.payload, second.payload, b"rubbish"]
    state = State("w")
    replay(tmp_path / "r", state)
    assert state.bad()["P1"][0] == 1
