"""firmware/mqtt.py under MicroPython against real brokers, and against peers that misbehave in ways no broker does."""

import contextlib
import os
import queue
import socket
import subprocess
import threading
import time

import paho.mqtt.client as paho
import pytest

from firmware_side import answer

PRELUDE = """
import asyncio, time
from mqtt import Client, MqttError
port = given["port"]
got = []
def received(topic, payload, retained):
    got.append([topic, payload if payload is None else payload.decode(), retained])
out = []
"""


def run(micropython, source, port, **more):
    """What the coroutine `go` of `source` leaves in `out`."""
    return answer(micropython, PRELUDE + source + "\nasyncio.run(go())\n", {"port": port, **more})


def start_mosquitto(program, port, folder, *lines):
    """A mosquitto that answers on 127.0.0.1."""
    path = folder / "mosquitto.conf"
    path.write_text(
        "\n".join([f"listener {port} 127.0.0.1", "set_tcp_nodelay true", *(lines or ["allow_anonymous true"])]) + "\n"
    )
    process = subprocess.Popen([program, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError("mosquitto does not answer")


def end(process):
    process.kill()
    process.wait(10)


@pytest.fixture(params=["mosquitto", "iotcore"])
def broker(request, require, free_port, tmp_path):
    """The port of a real broker."""
    program = require(request.param)
    if request.param == "mosquitto":
        process = start_mosquitto(program, free_port, tmp_path)
        yield free_port
        end(process)
    else:
        from dronewall.live.broker import Broker

        with Broker() as embedded:
            yield embedded.port


def at_once(_client, _data, sock):
    """Small packets go when they are written (TCP_NODELAY): a reply must not wait for the other side's delayed ACK."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Listener:
    """What a host hears: (topic, payload, retained, QoS)."""

    def __init__(self, port):
        self.heard = queue.Queue()
        ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = lambda _client, _data, m: self.heard.put((m.topic, m.payload, m.retain, m.qos))
        self.client.on_socket_open = at_once
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert ready.wait(10)

    def next(self):
        return self.heard.get(timeout=30)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def test_messages_go_both_ways_with_either_qos(micropython, broker):
    source = """
async def go():
    client = Client(received)
    await client.connect("127.0.0.1", port, "one", 10)
    await client.subscribe("to/one")
    await client.publish("a", b"zero")
    await client.publish("b", b"one", True, 1)
    await client.publish("to/one", "loop \\u00e4".encode(), False, 1)
    await client.publish("to/one", b"x" * 5000, False, 1)
    for _ in range(100):
        if len(got) == 2:
            break
        await asyncio.sleep_ms(50)
    await client.disconnect("state", b"bye")
    out.append(client.lost.is_set())
    out.append(got)
"""
    host = Listener(broker)
    lost, got = run(micropython, source, broker)
    assert lost
    assert got == [["to/one", "loop ä", False], ["to/one", None, False]]  # 5000 bytes are more than a command may have
    heard = [host.next() for _ in range(5)]
    assert [message[0] for message in heard] == ["a", "b", "to/one", "to/one", "state"]
    if heard[0][3] == 0:  # rumqttd of iotcore hands everything on with the subscription's QoS
        assert [message[3] for message in heard] == [0, 1, 1, 1, 0]
    assert heard[1][1] == b"one"
    host.close()
    late = Listener(broker)
    assert {late.next()[:3] for _ in range(2)} == {("b", b"one", True), ("state", b"bye", True)}
    late.close()


def test_the_will_comes_when_the_node_is_cut_off_and_not_when_it_says_goodbye(micropython, broker, tmp_path):
    source = """
async def go():
    client = Client(received)
    await client.connect("127.0.0.1", port, "one", 10, will=("state", b"lost", True, 1))
    await client.publish("state", b"ready", True, 1)
    if given["goodbye"]:
        await client.disconnect()
    else:
        import os
        os.system("kill -9 $PPID")
        await asyncio.sleep(20)
"""
    host = Listener(broker)
    run(micropython, source, broker, goodbye=True)
    assert host.next()[:2] == ("state", b"ready")
    with pytest.raises(queue.Empty):
        host.heard.get(timeout=1)
    with pytest.raises(AssertionError):
        run(micropython, source, broker, goodbye=False)
    assert host.next()[1] == b"ready"
    assert host.next()[1] == b"lost"
    host.close()


def test_a_killed_broker_is_noticed_and_the_next_one_found(micropython, mosquitto, free_port, tmp_path):
    source = """
import sys
async def go():
    client = Client(received, 2)
    await client.connect("127.0.0.1", port, "one", 10)
    print("connected")
    start = time.ticks_ms()
    await client.lost.wait()
    out.append(time.ticks_diff(time.ticks_ms(), start))
    try:
        await client.publish("a", b"b", False, 1)
    except MqttError as error:
        out.append(str(error))
    failures = 0
    while True:
        client = Client(received, 2)
        try:
            await client.connect("127.0.0.1", port, "one", 10)
            break
        except (OSError, MqttError):
            failures += 1
            await asyncio.sleep_ms(100)
    await client.publish("a", b"b", False, 1)
    out.append(failures > 0)
"""
    first = start_mosquitto(mosquitto, free_port, tmp_path)
    result = []
    thread = threading.Thread(target=lambda: result.append(run(micropython, source, free_port)))
    thread.start()
    time.sleep(1)
    end(first)
    time.sleep(0.5)
    second = start_mosquitto(mosquitto, free_port, tmp_path)
    thread.join(20)
    end(second)
    noticed, reason, failed = result[0]
    assert noticed < 5000
    assert "closed" in reason or "failed" in reason
    assert failed


def test_a_refusal_says_which(micropython, mosquitto, free_port, tmp_path):
    source = """
async def go():
    client = Client(received)
    try:
        await client.connect("127.0.0.1", port, "one", 10, "nobody", "wrong")
    except MqttError as error:
        out.append([error.refused, str(error)])
"""
    process = start_mosquitto(mosquitto, free_port, tmp_path, "allow_anonymous false")
    try:
        assert run(micropython, source, free_port) == [[5, "refused: not authorised (5)"]]
    finally:
        end(process)


def test_nobody_listening_is_an_oserror_and_leaves_no_file_open(micropython, free_port):
    source = """
import os
async def go():
    before = len(os.listdir("/proc/self/fd")) if given["linux"] else 0
    for _ in range(20):
        try:
            await Client(received).connect("127.0.0.1", port, "one", 10)
        except (OSError, MqttError):
            out.append(1)
    after = len(os.listdir("/proc/self/fd")) if given["linux"] else 0
    out.append(after - before)
"""
    assert run(micropython, source, free_port, linux=os.path.isdir("/proc/self/fd")) == [1] * 20 + [0]


class Peer:
    """A peer that takes one connection and does as `script(connection, peer)` says."""

    def __init__(self, script):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(script,), daemon=True)
        self.thread.start()

    def _serve(self, script):
        with contextlib.suppress(OSError):
            connection, _ = self.server.accept()
            with connection:
                connection.settimeout(10)
                script(connection, self)

    def close(self):
        self.over.set()
        self.server.close()
        self.thread.join(10)


CONNACK = b"\x20\x02\x00\x00"

TRY = """
async def go():
    client = Client(received, 1)
    start = time.ticks_ms()
    try:
        await client.connect("127.0.0.1", port, "one", given["keepalive"])
        out.append("connected")
        for _ in range(given["count"]):
            await client.publish("a", b"x" * given["size"], False, given["qos"])
        out.append("published")
        await client.lost.wait()
        out.append(client.reason)
    except (OSError, MqttError) as error:
        out.append(str(error))
    out.append(time.ticks_diff(time.ticks_ms(), start) < 6000)
"""


def misbehaving(micropython, script, size=1, count=1, qos=1, keepalive=2):
    peer = Peer(script)
    try:
        return run(micropython, TRY, peer.port, size=size, count=count, qos=qos, keepalive=keepalive)
    finally:
        peer.close()


def test_a_peer_that_never_answers_is_given_up(micropython):
    out = misbehaving(micropython, lambda connection, peer: peer.over.wait(10))
    assert out == ["no CONNACK in time", True]


def test_a_peer_that_falls_silent_after_connack_is_given_up(micropython):
    def script(connection, peer):
        connection.recv(1000)
        connection.sendall(CONNACK)
        peer.over.wait(10)

    assert misbehaving(micropython, script) == ["connected", "no acknowledgement", True]
    assert misbehaving(micropython, script, qos=0) == ["connected", "published", "no answer to a ping", True]


def test_a_peer_that_takes_nothing_is_given_up(micropython):
    def script(connection, peer):
        connection.recv(1000)
        connection.sendall(CONNACK)
        peer.over.wait(10)

    out = misbehaving(micropython, script, size=60_000, count=400, qos=0, keepalive=60)
    assert out == ["connected", "the broker takes nothing", True]


def test_a_peer_that_hangs_up_is_noticed_at_once(micropython):
    def script(connection, peer):
        connection.recv(1000)
        connection.sendall(CONNACK)

    out = misbehaving(micropython, script)
    assert out[0] == "connected"
    assert out[1].startswith(("closed", "read failed", "write failed"))
    assert misbehaving(micropython, lambda connection, peer: None)[0].startswith(("closed", "Errno", "[Errno"))


@pytest.mark.parametrize(
    ("answer_bytes", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no CONNACK"),
        (b"\x20\xff\xff\xff\xff\xff", "malformed length"),
        (b"\x20\x02\x00\x09", "refused: unknown (9)"),
        (b"\x20\x02\x00\x03", "refused: server unavailable (3)"),
    ],
)
def test_an_answer_that_is_no_connack_is_refused(micropython, answer_bytes, said):
    def script(connection, peer):
        connection.recv(1000)
        connection.sendall(answer_bytes)
        peer.over.wait(10)

    assert misbehaving(micropython, script)[0].startswith(said)


@pytest.mark.parametrize(("code", "refused"), [(3, 0), (4, 4), (5, 5)])
def test_a_server_that_is_unavailable_refuses_nobody(micropython, code, refused):
    """Waiting helps against 3, and only a person against 4 and 5 (section 3.2.2.3)."""

    def script(connection, peer):
        connection.recv(1000)
        connection.sendall(bytes([0x20, 2, 0, code]))
        peer.over.wait(10)

    source = """
async def go():
    try:
        await Client(received).connect("127.0.0.1", port, "one", 10)
    except MqttError as error:
        out.append(error.refused)
"""
    peer = Peer(script)
    try:
        assert run(micropython, source, peer.port) == [refused]
    finally:
        peer.close()


def test_a_brokers_address_is_kept_when_its_name_can_no_longer_be_looked_up(
    micropython, mosquitto, free_port, tmp_path
):
    # A label has 63 letters at most (RFC 1035, section 2.3.4), so nobody is asked.
    source = """
import mqtt, socket
async def go():
    real = socket.getaddrinfo("127.0.0.1", port, 0, socket.SOCK_STREAM)[0]
    mqtt.known[:] = ["x" * 64, port, real]
    for mqtt.attempts in (1, 8):  # not looked up, and looked up in vain
        client = Client(received)
        await client.connect("x" * 64, port, "one", 10)
        await client.disconnect()
        out.append(mqtt.attempts)
    try:
        await Client(received).connect("y" * 64, port, "one", 10)
    except OSError:
        out.append("unknown")
"""
    process = start_mosquitto(mosquitto, free_port, tmp_path)
    try:
        assert run(micropython, source, free_port) == [0, 0, "unknown"]
    finally:
        end(process)


def test_nonsense_within_a_session_ends_it(micropython):
    for nonsense in (b"\xf0\x00", b"\x30\x01\x00", b"\x40\x00", b"\x30\x04\x00\x02\xff\xfe"):

        def script(connection, peer, nonsense=nonsense):
            connection.recv(1000)
            connection.sendall(CONNACK)
            connection.recv(1000)
            connection.sendall(nonsense)
            peer.over.wait(10)

        out = misbehaving(micropython, script, qos=0, keepalive=30)
        # The publish that it answers may fail already, or what comes after.
        assert any(str(said).startswith("protocol:") for said in out), nonsense


def test_what_a_message_does_to_him_who_takes_it_does_not_end_the_session(micropython):
    def script(connection, peer):
        connection.recv(1000)
        connection.sendall(CONNACK + b"\x30\x04\x00\x01tx\x30\x04\x00\x01ty")
        peer.over.wait(10)

    source = """
def received(topic, payload, retained):
    got.append(payload.decode())
    if got == ["x"]:
        raise RuntimeError("out of order")
async def go():
    client = Client(received, 3)
    await client.connect("127.0.0.1", port, "one", 30)
    await asyncio.sleep_ms(500)
    out.extend([got, client.lost.is_set()])
"""
    peer = Peer(script)
    try:
        assert run(micropython, source, peer.port) == [["x", "y"], False]
    finally:
        peer.close()


def test_packets_that_come_byte_by_byte_are_put_together_and_acknowledged(micropython):
    seen = []

    def script(connection, peer):
        seen.append(connection.recv(1000))
        # QoS 1, packet id 0x0102, topic "t", payload of 200 bytes: a length of two digits
        packet = b"\x32" + bytes([(205 & 127) | 128, 205 >> 7]) + b"\x00\x01t\x01\x02" + b"p" * 200
        for byte in CONNACK + packet:
            connection.sendall(bytes([byte]))
            time.sleep(0.002)
        while not any(b"\x40\x02\x01\x02" in data for data in seen):
            seen.append(connection.recv(1000))
        connection.sendall(b"\xd0\x00")
        peer.over.wait(1)

    source = """
async def go():
    client = Client(received, 3)
    await client.connect("127.0.0.1", port, "one", 30, "user", "word", ("w", b"gone", True, 1))
    while not got:
        await asyncio.sleep_ms(20)
    await asyncio.sleep_ms(100)
    out.append(got)
"""
    peer = Peer(script)
    try:
        assert run(micropython, source, peer.port) == [[["t", "p" * 200, False]]]
    finally:
        peer.close()
    # The CONNECT by hand, from section 3.1: flags user, password, will retained with QoS 1, clean session = 0xEE.
    body = b"\x00\x04MQTT\x04\xee\x00\x1e\x00\x03one\x00\x01w\x00\x04gone\x00\x04user\x00\x04word"
    assert seen[0] == b"\x10" + bytes([len(body)]) + body


def test_an_idle_session_is_kept_alive(micropython, mosquitto, free_port, tmp_path):
    source = """
async def go():
    client = Client(received)
    await client.connect("127.0.0.1", port, "one", 2, will=("state", b"lost", True, 1))
    await asyncio.sleep(5)  # the broker would cut at 3 s
    out.append(client.lost.is_set())
    await client.publish("a", b"b", False, 1)
    await client.disconnect()
"""
    process = start_mosquitto(mosquitto, free_port, tmp_path)
    try:
        assert run(micropython, source, free_port) == [False]
    finally:
        end(process)


def test_the_client_loaded_as_mpy_takes_under_15_kb(micropython):
    source = """
import asyncio, gc, json, select, socket, errno, time, log
asyncio.Event, asyncio.Lock, asyncio.StreamReader, asyncio.wait_for_ms
gc.collect()
before = gc.mem_alloc()
import mqtt
client = mqtt.Client(None)
gc.collect()
out = gc.mem_alloc() - before
"""
    # The unix port's words have 64 bits: on the board it is less.
    assert 1000 < answer(micropython, source) < 15 * 1024
