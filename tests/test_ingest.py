"""From the broker to the state: what comes in is decoded, what is none is counted, and the loop goes on."""

import json
import socket
import time
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest

from dronewall import wire
from dronewall.live import ingest as module
from dronewall.live.broker import Broker
from dronewall.live.ingest import Ingest
from dronewall.live.state import State
from processes import silence, talker, until

pytestmark = pytest.mark.needs("iotcore")


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker() as found:
        yield found


def publish(client: mqtt.Client, topic: str, payload: bytes, retain: bool = False) -> None:
    client.publish(topic, payload, 1, retain).wait_for_publish(3)


def told(session: int = 1, state: str = "ready") -> bytes:
    return wire.encode("state", {"state": state, "boot": 1, "session": session})


def arrivals(ingest: Ingest, count: int) -> list[module.Arrival]:
    found = [ingest.next(3.0) for _ in range(count)]
    assert None not in found
    return [arrival for arrival in found if arrival is not None]


def test_a_retained_report_is_marked_as_such_and_a_live_one_is_not(broker):
    client = talker(broker.port)
    publish(client, "dw/1/kept/P1/state", told(1), retain=True)
    with Ingest(broker.host, broker.port, "kept", clock=lambda: 77) as ingest:
        (kept,) = arrivals(ingest, 1)
        publish(client, "dw/1/kept/P1/state", told(2), retain=True)
        (live,) = arrivals(ingest, 1)
    silence(client)
    assert (kept.retained, live.retained) == (True, False)
    assert kept.report == wire.Report("kept", "P1", "state", None, {"state": "ready", "boot": 1, "session": 1})
    assert live.report.values["session"] == 2
    assert kept.arrived_unix_ms == 77


GARBAGE = [
    ("dw/1/wall/P1/state", b"rubbish"),
    ("dw/1/wall/P1/state", b"\xff\xfe\x00"),
    ("dw/1/wall/P1/state", json.dumps({"state": "ready", "boot": -1, "session": 1}).encode()),
    ("dw/1/wall/P1/birth", b"[" * 3000),
    ("dw/1/wall/P1/birth", b"x" * (wire.LIMIT + 1)),
    ("dw/1/wall/P1/nonsense", b"{}"),
    ("dw/1/wall/P1/frustum/cam", b"{}"),
    ("dw/1/wall/P1/frustum/cam/too/deep", b"{}"),
    ("dw/1/wall/P1/state", b'{"state":"ready","boot":NaN,"session":1}'),
    ("dw/1/wall/P1/state", b'{"state":"ready","boot":1' + b"0" * 3000 + b',"session":1}'),
]


def test_garbage_on_a_nodes_topics_is_counted_and_the_loop_goes_on(broker):
    client = talker(broker.port)
    state = State("wall")
    with Ingest(broker.host, broker.port, "wall") as ingest:
        assert until(lambda: ingest.connected, 3)
        time.sleep(0.1)
        for topic, payload in GARBAGE:
            publish(client, topic, payload)
        publish(client, "dw/1/wall/P2/state", told())
        count = 0
        deadline = time.monotonic() + 5
        while count <= len(GARBAGE) and time.monotonic() < deadline:
            count += ingest.pump(state, 0.2)
        assert ingest.connected
    silence(client)
    assert count == len(GARBAGE) + 1
    ((node, (messages, reason)),) = state.bad().items()
    assert (node, messages) == ("P1", len(GARBAGE))
    assert "boot" in reason  # of the last one
    assert [node.name for node in state.nodes(0)] == ["P1", "P2"]


def test_a_payload_that_the_broker_itself_refuses_harms_nobody_else(broker):
    rude = talker(broker.port)
    rude.publish("dw/1/big/P1/state", b"x" * 40_000, 0)
    client = talker(broker.port)
    with Ingest(broker.host, broker.port, "big") as ingest:
        assert until(lambda: ingest.connected, 3)
        time.sleep(0.1)
        publish(client, "dw/1/big/P2/state", told())
        (arrival,) = arrivals(ingest, 1)
    for one in (rude, client):
        one.loop_stop()
    assert arrival.node == "P2"


def test_what_hosts_say_and_commands_to_nodes_are_not_taken_for_reports(broker):
    client = talker(broker.port)
    with Ingest(broker.host, broker.port, "quiet") as ingest:
        assert until(lambda: ingest.connected, 3)
        time.sleep(0.1)
        publish(client, "dw/1/quiet/$host/status", b"not even JSON")
        fields = {"id": "c1", "expires_unix_ms": 1_800_000_000_000, "command": "identify", "identify_s": 5}
        publish(client, "dw/1/quiet/P1/command", wire.encode("command", fields))
        publish(client, "dw/1/quiet/P1/state", told())
        (arrival,) = arrivals(ingest, 1)
        assert ingest.next() is None
    silence(client)
    assert arrival.report.kind == "state"


def test_it_connects_again_when_the_broker_comes_back():
    with Broker() as first:
        port = first.port
        ingest = Ingest(first.host, port, "again").start()
        assert until(lambda: ingest.connected, 3)
    try:
        assert until(lambda: not ingest.connected, 5)
        with Broker(port=port) as second:
            if second.port != port:
                pytest.skip("somebody else took the port in between")
            assert until(lambda: ingest.connected, 8)
            client = talker(second.port)
            time.sleep(0.1)
            publish(client, "dw/1/again/P1/state", told())
            (arrival,) = arrivals(ingest, 1)
            silence(client)
        assert arrival.node == "P1"
    finally:
        ingest.stop()


def test_an_unreachable_broker_is_no_error_and_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with Ingest("127.0.0.1", taken.getsockname()[1], "w") as ingest:
            assert not until(lambda: ingest.connected, 0.2)
            assert ingest.next(0.01) is None


def connect(broker: Broker, client: str, topic: str, will: bytes) -> socket.socket:
    """A session of MQTT 3.1.1 with a retained will of QoS 1, opened by hand: paho comes back when it is thrown out."""

    def field(data: bytes) -> bytes:
        return len(data).to_bytes(2, "big") + data

    body = field(b"MQTT") + b"\x04\x2e\x00\x3c" + field(client.encode()) + field(topic.encode()) + field(will)
    link = socket.create_connection((broker.host, broker.port), timeout=3)
    link.sendall(bytes([0x10, len(body)]) + body)
    assert link.recv(4) == b"\x20\x02\x00\x00"
    return link


def test_a_node_that_takes_over_its_own_half_open_link_is_not_dead(broker):
    # A node that lost its Wi-Fi comes back before the broker has noticed. rumqttd then publishes the will of the *new*
    # session; other brokers that of the old one. Neither may silence the node.
    topic = "dw/1/over/P1/state"
    frustum = {
        "latitude_e7": 365000000, "longitude_e7": -843000000, "height_agl_cm": 600, "position_sigma_cm": 200,
        "height_sigma_cm": 300, "azimuth_cdeg": 100, "elevation_cdeg": 0, "roll_cdeg": 0, "azimuth_sigma_cdeg": 100,
        "tilt_sigma_cdeg": 50, "shape": "pyramid", "hfov_cdeg": 4000, "vfov_cdeg": 2500, "range_min_cm": 0,
        "range_max_cm": 9000, "position_source": "gnss", "azimuth_source": "survey", "awake": "always",
        "duty_milli": 1000, "clock": "none", "uptime_ms": 1, "seq": 1, "boot": 1, "valid_s": 30,
    }  # fmt: skip
    client = talker(broker.port)
    state = State("over")
    with Ingest(broker.host, broker.port, "over") as ingest:
        assert until(lambda: ingest.connected, 3)
        time.sleep(0.1)
        half_open = connect(broker, "node", topic, told(1, "lost"))
        publish(client, topic, told(1), retain=True)
        again = connect(broker, "node", topic, told(2, "lost"))
        time.sleep(0.3)
        publish(client, topic, told(2), retain=True)
        time.sleep(0.05)
        publish(client, "dw/1/over/P1/frustum/cam", wire.encode("frustum", frustum))
        now = time.time_ns() // 1_000_000
        assert until(lambda: ingest.pump(state, 0.1) == 0, 5)
        (sensor,) = state.snapshot(now)
        assert sensor.status == "heard"
        # That will is spent: rumqttd does not publish it again when the link is cut, and age has to tell.
        again.close()
        ingest.pump(state, 0.2)
        (sensor,) = state.snapshot(now + 31_000)
        assert sensor.status == "stale"
    half_open.close()
    silence(client)


def message(topic: str, payload: bytes) -> mqtt.MQTTMessage:
    found = mqtt.MQTTMessage(topic=topic.encode())
    found.payload = payload
    return found


def test_a_full_queue_loses_its_oldest_and_counts():
    ingest = Ingest("127.0.0.1", 1, "w", limit=3)
    for session in range(5):
        ingest._on_message(None, None, message("dw/1/w/P1/state", told(session)))
    assert ingest.dropped == 2
    assert [ingest.next().report.values["session"] for _ in range(3)] == [2, 3, 4]
    assert ingest.next() is None


def test_of_a_flood_that_nobody_takes_the_newest_are_kept_and_the_others_counted(broker):
    client = talker(broker.port)
    with Ingest(broker.host, broker.port, "flood", limit=100) as ingest:
        assert until(lambda: ingest.connected, 3)
        time.sleep(0.1)
        for session in range(3000):
            last = client.publish("dw/1/flood/P1/state", told(session), 1)
        last.wait_for_publish(10)
        assert until(lambda: ingest.dropped == 2900, 10)
        assert [arrival.report.values["session"] for arrival in arrivals(ingest, 100)] == list(range(2900, 3000))
        assert ingest.next() is None
    silence(client)


def test_a_fault_in_our_own_decoder_does_not_end_the_thread(monkeypatch):
    def broken(topic: str, payload: bytes) -> None:
        raise ZeroDivisionError("ours")

    ingest = Ingest("127.0.0.1", 1, "w")
    monkeypatch.setattr(module.wire, "decode", broken)
    ingest._on_message(None, None, message("dw/1/w/P1/state", told()))
    arrival = ingest.next()
    assert (arrival.node, arrival.report, arrival.reason) == ("P1", None, "ZeroDivisionError: ours")


def test_a_name_that_would_upset_a_terminal_is_made_harmless():
    ingest = Ingest("127.0.0.1", 1, "w")
    ingest._on_message(None, None, message("dw/1/w/\x1b[31mP1/state", told()))
    assert ingest.next().node == "?[31mP1"


def test_a_wall_that_no_topic_can_have_is_refused():
    with pytest.raises(wire.WireError):
        Ingest("127.0.0.1", 1, "no wall")
