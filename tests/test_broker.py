"""The embedded broker: loopback only, a free port, and gone with its parent."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from dronewall import wire
from dronewall.live import broker as module
from dronewall.live.broker import KEPT, PAYLOAD_LIMIT, Broker, BrokerError
from processes import listening, runs, silence, talker, until

pytestmark = pytest.mark.needs("iotcore")
HOST_FOLDER = str(Path(module.__file__).parents[2])


def _received(broker: Broker, topic: str, seconds: float = 3.0) -> mqtt.MQTTMessage | None:
    got: list[mqtt.MQTTMessage] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe(topic, 1)
    client.on_message = lambda _client, _data, message: got.append(message)
    client.connect(broker.host, broker.port)
    client.loop_start()
    until(lambda: bool(got), seconds)
    silence(client)
    return got[0] if got else None


def test_a_retained_message_of_the_greatest_size_reaches_a_client_that_comes_later():
    with Broker() as broker:
        payload = bytes(range(256)) * (wire.LIMIT // 256)
        client = talker(broker.port)
        client.publish("dw/1/w/n/birth", payload, 1, retain=True).wait_for_publish(3)
        message = _received(broker, "dw/1/w/#")
        silence(client)
    assert PAYLOAD_LIMIT >= wire.LIMIT
    assert message is not None
    assert message.payload == payload
    assert message.retain


def _packet(kind: int, body: bytes) -> bytes:
    """A packet of MQTT with a body of 128 to 16383 bytes."""
    return bytes([kind, len(body) % 128 | 128, len(body) // 128]) + body


def _flood(broker: Broker, topic: bytes, count: int) -> None:
    """Publishes that many messages of 4 KiB, each with its number, and waits until the broker has taken them all."""
    with socket.create_connection((broker.host, broker.port), timeout=10) as link:
        link.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        assert link.recv(4)[:1] == b"\x20"
        head = len(topic).to_bytes(2, "big") + topic
        for number in range(count):
            link.sendall(_packet(0x30, head + number.to_bytes(4, "big") + bytes(4092)))
        link.sendall(b"\xc0\x00")
        assert link.recv(2) == b"\xd0\x00"  # it answers a ping after all that came before


def _resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the table of memory is Linux's")
def test_a_flood_grows_no_further_once_as_much_is_kept_as_may_be_and_spares_what_is_retained():
    with Broker() as broker:
        client = talker(broker.port)
        client.subscribe("dw/1/w/#", 0)
        client.publish("dw/1/w/n/birth", b"first", 1, retain=True).wait_for_publish(3)
        _flood(broker, b"dw/1/w/n/health", 2 * KEPT // 4096)
        before = _resident(broker.pid)
        _flood(broker, b"dw/1/w/n/health", 20_000)
        assert _resident(broker.pid) - before < 20_000 * 4096 // 4
        silence(client)
        assert _received(broker, "dw/1/w/n/birth").payload == b"first"


def test_a_subscriber_that_lags_misses_the_oldest_and_gets_the_newest():
    count = 8000  # 33 MB
    with Broker() as broker, socket.create_connection((broker.host, broker.port), timeout=10) as link:
        link.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00" + b"\x82\x08\x00\x01\x00\x03w/#\x00")
        stream = link.makefile("rb")
        assert stream.read(9) == b"\x20\x02\x00\x00" + b"\x90\x03\x00\x01\x00"
        _flood(broker, b"w/n", count)
        size = len(_packet(0x30, bytes(5 + 4096)))
        numbers = []
        while not numbers or numbers[-1] != count - 1:
            numbers.append(int.from_bytes(stream.read(size)[8:12], "big"))
    assert numbers == sorted(set(numbers))
    assert len(numbers) < count
    assert set(range(count - KEPT // 5000, count)) <= set(numbers)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the table of sockets is Linux's")
def test_its_only_listening_socket_is_on_the_loopback():
    with Broker() as broker:
        assert listening([broker.pid]) == [f"0100007F:{broker.port:04X}"]


def test_it_refuses_a_connection_to_another_address_of_this_machine():
    # 127.0.0.2 is this machine, too, but not the address that it listens on: 0.0.0.0 would answer here.
    with Broker() as broker, socket.socket() as link:
        link.settimeout(1)
        with pytest.raises(OSError):
            link.connect(("127.0.0.2", broker.port))


def test_a_taken_port_is_left_for_another():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Broker(port=port) as broker:
            assert broker.port != port
            assert broker.running


def test_a_port_taken_on_all_addresses_is_left_for_another():
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Broker(port=port) as broker:
            assert broker.port != port


def test_a_port_taken_between_choice_and_start_is_left_for_another(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        choices = [taken.getsockname()[1]] * 2
        free = module._free_port

        monkeypatch.setattr(module, "_free_port", lambda: choices.pop() if choices else free())
        with Broker() as broker:
            assert broker.port != taken.getsockname()[1]
    assert choices == []


def test_two_brokers_do_not_meet():
    with Broker() as one, Broker() as other:
        assert one.port != other.port
        client = talker(one.port)
        client.publish("t", b"x", 1, retain=True).wait_for_publish(3)
        assert _received(other, "t", 0.3) is None
        silence(client)


def test_after_the_block_the_process_is_gone_and_the_port_is_free():
    with Broker() as broker:
        pid, port = broker.pid, broker.port
    assert not broker.running
    assert not runs(pid)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_a_killed_parent_leaves_no_broker():
    program = (
        "from dronewall.live.broker import Broker\n"
        "import time\n"
        "with Broker() as broker:\n"
        "    print(broker.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": HOST_FOLDER}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
    try:
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert until(lambda: not runs(pid), 2.0)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_a_broker_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr(module.sys, "executable", shutil.which("false"))
    with pytest.raises(BrokerError, match="ended with status 1"):
        Broker().start()


def test_a_broker_that_never_answers_is_given_up_in_time(monkeypatch, tmp_path):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec cat >/dev/null\n")
    silent.chmod(0o700)
    monkeypatch.setattr(module.sys, "executable", str(silent))
    begun = time.monotonic()
    with pytest.raises(BrokerError, match=r"no answer on 127\.0\.0\.1:\d+ within 0\.3 s"):
        Broker(limit=0.3).start()
    assert time.monotonic() - begun < 2.0


def test_a_file_of_the_users_called_iotcore_is_not_run(monkeypatch, tmp_path):
    (tmp_path / "iotcore.py").write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    with Broker() as broker:
        assert broker.running
