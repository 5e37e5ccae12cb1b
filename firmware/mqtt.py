"""An MQTT 3.1.1 client for asyncio, and all that the node knows of its packets.

QoS 0 and 1, will, keepalive, user and password, clean sessions. What is not here is not needed: no QoS 2, no
queue, no reconnect (`link.py` has those). Section numbers are those of the standard, OASIS MQTT Version
3.1.1, 29 October 2014.

How a session begins stands in `opening.py`, which is loaded for that and forgotten.
"""

import asyncio
import time

from log import failure, once
from micropython import const

# [bytes] sent in one segment with what is in front of it: apart, the second would wait for the acknowledgement of the
# first (Nagle, RFC 896), some 40 ms a message.
_JOINED = const(1024)
_LIMIT = const(1400)  # [bytes] of an incoming packet that are kept: a command and its topic
ALERT = const(-0x7780)  # mbedtls's MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE: the peer wants nothing of us

known = []  # host, port, what getaddrinfo said: `opening.py`'s
attempts = 0  # with that, in a row


class MqttError(Exception):
    """The session cannot begin or is over. `refused`: one of us must be changed first, for the broker refuses us (its
    CONNACK code, 3.2.2.3, or a SUBACK's 128) or TLS does (-1); 0 for all that time may heal, code 3 as well."""

    def __init__(self, text, refused=0):
        super().__init__(text)
        self.refused = refused


def field(data):
    """UTF-8 string or bytes with its length in front (1.5.3)."""
    if isinstance(data, str):
        data = data.encode()
    if len(data) > 65535:
        raise ValueError("MQTT field of %d bytes, at most 65535" % len(data))
    return len(data).to_bytes(2, "big") + data


def packet(head, body, more=0):
    """Fixed header (2.2) and body, of which `more` bytes follow separately."""
    length, size = len(body) + more, bytearray([head])
    while True:
        length, digit = length >> 7, length & 127
        size.append(digit | 128 if length else digit)
        if not length:
            return bytes(size) + body


class Client:
    """One connection to a broker; when it is lost, this object is spent.

    `received(topic, payload, retained)` is called for every message; payload is None where it was longer than
    a command may be. `lost` is an Event, set when the connection has ended, for whatever reason; `reason`
    says it in words.
    """

    def __init__(self, received, response_s=10):
        self.lost = asyncio.Event()
        self.reason = ""
        self.received = received
        self.response_ms = response_s * 1000
        self.socket = None
        self.stream = None
        self._lock = asyncio.Lock()
        self._tasks = []
        self.refused = self.id = 0
        self.waiting = {}  # packet id: (Event, ticks when sent)
        self.sent = self._pinged = time.ticks_ms()
        self._ping = False  # a PINGREQ is out and not answered
        self._head = bytearray(2)
        self._digit = memoryview(self._head)[1:]

    async def connect(self, *told, **named):
        """Opens the session, see `opened` in opening.py. Raises OSError or MqttError."""
        await once("opening").opened(self, *told, **named)

    async def publish(self, topic, payload, retained=False, qos=0):
        """Sends one message; with QoS 1 returns when the broker has it. Raises MqttError when the session
        ends."""
        await self._say(0x30 | qos << 1 | retained, qos, field(topic), payload)

    async def subscribe(self, topic, qos=1):
        """Subscribes and waits for the answer. Raises MqttError, also where the broker refuses."""
        await self._say(0x82, 1, b"", field(topic) + bytes([qos]))

    async def _say(self, head, number, body, more):
        # A packet whose `more` follows its number; one with a number waits for the answer.
        if number:
            self.id = self.id % 65535 + 1
            event = asyncio.Event()
            self.waiting[self.id] = (event, time.ticks_ms())
            body += self.id.to_bytes(2, "big")
        await self.send(packet(head, body, len(more)), more)
        if number:
            await event.wait()
            if self.reason:
                raise MqttError(self.reason, self.refused)

    async def disconnect(self, topic=None, payload=None):
        """Ends the session so that the broker keeps the will to itself; a last retained message (QoS 0) may
        go before."""
        if not self.lost.is_set():
            last = b"" if topic is None else packet(0x31, field(topic) + payload)
            try:
                if self.stream:
                    await self.send(last + b"\xe0\0")
            except MqttError:
                pass
            self.end("disconnected")

    async def send(self, data, payload=b""):
        """Writes a packet. Raises MqttError when that ends the session."""
        if self.reason:
            raise MqttError(self.reason)
        # Packets must not mix, and two tasks in `drain` would send the buffer twice.
        async with self._lock:
            try:
                if len(payload) < _JOINED:
                    data, payload = data + payload, b""
                self.stream.write(data)
                if payload:
                    # Apart, because a birth of 2 KB is not copied where free memory is in pieces.
                    self.stream.write(payload)
                await asyncio.wait_for_ms(self.stream.drain(), self.response_ms)
            except asyncio.TimeoutError:
                self.end("the broker takes nothing")
            except (OSError, ValueError) as error:  # ValueError: a certificate that TLS does not believe
                if isinstance(error, ValueError) or error.errno == ALERT:
                    self.refused = -1
                self.end("%s: %s" % ("TLS" if self.refused else "write failed", str(error).strip()))
        if self.reason:
            raise MqttError(self.reason, self.refused)
        self.sent = time.ticks_ms()

    async def read(self):
        """(first byte, body, whether it is whole) of the next packet; the body's tail beyond what a command needs is
        read and thrown away."""
        head = self._head
        await self._into(head)
        first, length, shift = head[0], head[1] & 127, 0
        while head[1] & 128:
            shift += 7
            if shift > 21:
                raise MqttError("malformed length")
            await self._into(self._digit)
            length |= (head[1] & 127) << shift
        body = bytearray(min(length, _LIMIT))
        await self._into(body)
        rest = length - len(body)
        while rest:
            tail = memoryview(bytearray(64))[: min(rest, 64)]
            await self._into(tail)
            rest -= len(tail)
        return first, body, length <= _LIMIT

    async def _into(self, buffer):
        # Read into what is there: `readexactly` would make a new string for every byte.
        at, size = 0, len(buffer)
        while at < size:
            count = await self.stream.readinto(memoryview(buffer)[at:] if at else buffer)
            if count == 0:
                raise EOFError
            at += count or 0

    def begin(self, ms):
        """The session is open."""
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._keep(ms))]

    async def _receive(self):
        try:
            while True:
                head, body, whole = await self.read()
                kind = head >> 4
                if kind == 3:
                    end = 2 + (body[0] << 8 | body[1])
                    topic = str(body[2:end], "utf-8")
                    if head & 6:
                        await self.send(b"\x40\2" + body[end : end + 2])
                        end += 2
                    try:
                        self.received(topic, bytes(memoryview(body)[end:]) if whole else None, bool(head & 1))
                    except Exception as error:
                        # Whatever a message does to him who takes it, the session goes on.
                        failure("mqtt", error)
                elif kind == 4 or kind == 9:  # PUBACK, SUBACK
                    waiting = self.waiting.pop(body[0] << 8 | body[1], None)
                    if kind == 9 and body[2] & 128:
                        self.refused = 128
                        raise MqttError("subscription refused")
                    if waiting:
                        waiting[0].set()
                elif kind == 13:
                    self._ping = False
                else:
                    raise MqttError("unexpected packet 0x%02x" % head)
        except EOFError:
            self.end("closed by the broker")
        except OSError as error:
            self.end("read failed: %s" % error)
        except Exception as error:  # IndexError, UnicodeError: no MQTT; MemoryError: too much of it
            self.end("protocol: %s" % error)

    async def _keep(self, ms):
        while True:
            await asyncio.sleep_ms(min(1000, ms // 4))
            now = time.ticks_ms()
            for _, sent in self.waiting.values():
                if time.ticks_diff(now, sent) > self.response_ms:
                    return self.end("no acknowledgement")
            if self._ping:
                if time.ticks_diff(now, self._pinged) > self.response_ms:
                    return self.end("no answer to a ping")
            elif time.ticks_diff(now, self.sent) > ms // 2 or time.ticks_diff(now, self._pinged) > ms:
                # Also while we send: with QoS 0 alone a dead link would not be noticed.
                self._ping, self._pinged = True, now
                try:
                    await self.send(b"\xc0\0")
                except MqttError:
                    return None

    def end(self, reason):
        """The session is over, for that reason."""
        if self.lost.is_set():
            return
        self.reason = reason
        self.lost.set()
        if self.socket:
            self.socket.close()
        for event, _ in self.waiting.values():
            event.set()
        self.waiting = {}
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
