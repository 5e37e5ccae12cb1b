"""The line that telemetry comes in on: it reads, survives, comes back, and never says a word."""

import math
import os
import pty
import random
import socket
import sys
import time

import pytest

from autopilot import Autopilot, Radio
from dronewall.live import telemetry_line
from dronewall.live.telemetry_line import BridgeError, Endpoint, TelemetryLine, endpoint_of
from processes import until


@pytest.fixture
def udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def radio(udp_port):
    found = Radio(udp_port)
    yield found
    found.close()


def kinds(line, count, seconds=3.0):
    """The kinds of the next messages, that many of them."""
    found = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        found += [message.get_type() for message in line.read(0.05)]
    return found


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:14550", ("udp", "127.0.0.1", 14550)),
        ("udpin:0.0.0.0:14550", ("udp", "0.0.0.0", 14550)),
        ("udp:127.0.0.1:14550", ("udp", "127.0.0.1", 14550)),
        ("[::1]:14550", ("udp", "::1", 14550)),
        ("localhost:14550", ("udp", "localhost", 14550)),
        ("tcp:127.0.0.1:5760", ("tcp", "127.0.0.1", 5760)),
        ("/dev/ttyUSB0", ("serial", "/dev/ttyUSB0", 57600)),
        ("/dev/ttyACM0,115200", ("serial", "/dev/ttyACM0", 115200)),
    ],
)
def test_an_endpoint_is_spelled_as_pymavlink_spells_it(text, endpoint):
    assert endpoint_of(text) == Endpoint(*endpoint)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("udpout:127.0.0.1:14550", "speak first"),
        ("udpbcast:127.0.0.1:14550", "speak first"),
        ("tcpin:127.0.0.1:5760", "expected HOST:PORT"),
        ("127.0.0.1", "expected HOST:PORT"),
        ("127.0.0.1:0", "expected HOST:PORT"),
        ("127.0.0.1:70000", "expected HOST:PORT"),
        ("", "expected HOST:PORT"),
        ("log.tlog", "expected HOST:PORT"),
    ],
)
def test_what_is_nowhere_to_listen_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        endpoint_of(text)


def test_messages_of_a_datagram_come_in_order_and_of_both_protocol_versions(udp_port, radio):
    drone = Autopilot()
    first = drone._encoder.heartbeat_encode(2, 3, 0, 0, 4).pack(drone._encoder, force_mavlink1=True)
    with TelemetryLine(Endpoint("udp", "127.0.0.1", udp_port)) as line:
        radio.send(bytes(first) + drone.attitude() + drone.position())
        assert kinds(line, 3) == ["HEARTBEAT", "ATTITUDE", "GLOBAL_POSITION_INT"]
        assert (line.messages, line.bad) == (3, 0)


def test_a_message_in_two_datagrams_is_one(udp_port, radio):
    whole = Autopilot().attitude()
    with TelemetryLine(Endpoint("udp", "127.0.0.1", udp_port)) as line:
        radio.send(whole[:11], whole[11:])
        assert kinds(line, 1) == ["ATTITUDE"]


def test_not_a_byte_goes_back(udp_port, radio):
    drone = Autopilot()
    # Also nothing in answer to what asks for one: a request of parameters, a time synchronisation, a ping, a command.
    asking = [
        drone._encoder.param_request_list_encode(255, 190),
        drone._encoder.timesync_encode(0, 1),
        drone._encoder.ping_encode(0, 0, 0, 0),
        drone._encoder.command_long_encode(255, 190, 520, 0, 1, 0, 0, 0, 0, 0, 0),
    ]
    with TelemetryLine(Endpoint("udp", "127.0.0.1", udp_port)) as line:
        radio.send(drone.heartbeat(), *(drone.packed(each) for each in asking), os.urandom(50), drone.attitude(1.0))
        assert kinds(line, 4)
        for parser in line._parsers.values():
            assert parser.file is None  # nothing that pymavlink could write to
        assert radio.answers() == b""
    assert radio.answers() == b""


def test_a_serial_device_is_opened_for_reading_only():
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    try:
        with TelemetryLine(Endpoint("serial", name, 115200)) as line:
            os.write(master, b"\x00garbage" + Autopilot().attitude())
            assert kinds(line, 1) == ["ATTITUDE"]
            assert line.read(0.05) == []
            assert (line.bad, line.up) == (1, True)
            os.write(master, Autopilot().heartbeat())
            assert kinds(line, 1) == ["HEARTBEAT"]
            with pytest.raises(OSError, match=r"[Bb]ad file descriptor"):
                os.write(line.fileno(), b"x")
            assert line.up
            os.close(slave)
            os.close(master)
            master = slave = -1
            assert until(lambda: line.read(0.05) == [] and not line.up, 3)  # unplugged
    finally:
        for each in (master, slave):
            if each >= 0:
                os.close(each)


def test_garbage_is_counted_and_survived(udp_port, radio):
    drone = Autopilot()
    chance = random.Random(1)
    other = Radio(udp_port)
    with TelemetryLine(Endpoint("udp", "127.0.0.1", udp_port)) as line:
        other.send(*(chance.randbytes(chance.randrange(1, 400)) for _ in range(200)), b"")
        radio.send(drone.heartbeat(), b"\xfd" * 30, drone.attitude())
        wrong = bytearray(drone.position())
        wrong[-1] ^= 1
        other.send(bytes(wrong))
        assert until(lambda: line.read(0.05) == [] and line.bad > 0, 5)
        # A sender whose garbage began like a message gets through again after one message's length.
        for _ in range(20):
            drone.boot_ms += 100
            radio.send(drone.attitude())
        assert kinds(line, 5)[:1] == ["ATTITUDE"]
    other.close()
    assert line.bad >= 200
    assert line.reason


def test_one_senders_garbage_does_not_swallow_anothers_messages(udp_port, radio):
    other = Radio(udp_port)
    with TelemetryLine(Endpoint("udp", "127.0.0.1", udp_port)) as line:
        other.send(b"\xfd\xff\x00")  # the beginning of the longest message that there is
        radio.send(Autopilot().attitude())
        assert kinds(line, 1) == ["ATTITUDE"]
    other.close()


def test_no_number_of_senders_fills_the_memory(udp_port):
    with TelemetryLine(Endpoint("udp", "127.0.0.1", udp_port)) as line:
        for _ in range(telemetry_line._SENDERS + 5):
            one = Radio(udp_port)
            one.send(b"\xfd\xff\x00")
            assert until(lambda: line.read(0.05) == [], 3)
            one.close()
        assert len(line._parsers) <= telemetry_line._SENDERS


def test_a_tcp_peer_that_goes_away_is_connected_to_again(free_port, monkeypatch):
    monkeypatch.setattr(telemetry_line, "_AGAIN_S", 0.05)
    with socket.create_server(("127.0.0.1", free_port)) as server:
        server.settimeout(5)
        with TelemetryLine(Endpoint("tcp", "127.0.0.1", free_port)) as line:
            peer, _ = server.accept()
            peer.sendall(Autopilot().attitude())
            assert kinds(line, 1) == ["ATTITUDE"]
            peer.settimeout(0.1)
            with pytest.raises(TimeoutError):
                peer.recv(1)
            peer.close()
            assert until(lambda: line.read(0.05) == [] and "closed" in line.reason, 3)
            assert until(lambda: line.read(0.05) == [] and line.up, 3)
            peer, _ = server.accept()
            peer.sendall(Autopilot().heartbeat())
            assert kinds(line, 1) == ["HEARTBEAT"]
            peer.close()


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_port_that_cannot_be_had_is_an_error_with_its_reason(udp_port, kind):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", udp_port))
        line = TelemetryLine(Endpoint(kind, "127.0.0.1", udp_port))
        with pytest.raises(BridgeError, match=f"{kind} 127.0.0.1:{udp_port}: .*(in use|refused)"):
            line.__enter__()


@pytest.mark.parametrize(("baud", "words"), [(57600, "not a serial device"), (12345, "not a serial device")])
def test_a_file_is_no_serial_device(tmp_path, baud, words):
    path = tmp_path / "device"
    path.write_bytes(b"")
    with pytest.raises(BridgeError, match=words):
        TelemetryLine(Endpoint("serial", str(path), baud)).__enter__()
    with pytest.raises(BridgeError, match="No such file"):
        TelemetryLine(Endpoint("serial", str(tmp_path / "none"), baud)).__enter__()


def test_without_pymavlink_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pymavlink")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymavlink", None)
    with pytest.raises(BridgeError, match=r"pip install 'dronewall\[bridge\]'"):
        TelemetryLine(Endpoint("udp", "127.0.0.1", 14550))


def test_a_fault_of_the_parser_does_not_end_the_line(udp_port, radio, monkeypatch):
    with TelemetryLine(Endpoint("udp", "127.0.0.1", udp_port)) as line:
        real = line._dialect.MAVLink.parse_buffer
        monkeypatch.setattr(line._dialect.MAVLink, "parse_buffer", lambda self, piece: 1 / 0)
        radio.send(Autopilot().attitude())
        assert until(lambda: line.read(0.05) == [] and line.bad == 1, 3)
        assert line.reason == "ZeroDivisionError: division by zero"
        monkeypatch.setattr(line._dialect.MAVLink, "parse_buffer", real)
        radio.send(Autopilot().attitude(math.pi))
        assert kinds(line, 1) == ["ATTITUDE"]
