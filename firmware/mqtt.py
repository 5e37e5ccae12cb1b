"""An MQTT 3.1.1 client for asyncio, and all that the node knows of its packets.

QoS 0 and 1, will, keepalive, user and password, clean sessions. What is not here is not needed: no QoS 2, no
queue, no reconnect (`link.py` has those). Section numbers are those of the standard, OASIS MQTT Version
3.1.1, 29 October 2014.
"""

import asyncio
import errno
import select
import socket
import time

from log import failure
from micropython import const

_LIMIT = const(1400)  # [bytes] of an incoming packet that are kept: a command and its topic
_REFUSALS = ("", "protocol version", "client id", "server unavailable", "user or password", "not authorised")


class MqttError(Exception):
    """The session cannot begin or is over. `refused`: the broker's CONNACK code (3.2.2.3), 0 where it was not
    that."""

    def __init__(self, text, refused=0):
        super().__init__(text)
        self.refused = refused


def _field(data):
    """UTF-8 string or bytes with its length in front (1.5.3)."""
    if isinstance(data, str):
        data = data.encode()
    if len(data) > 65535:
        raise ValueError("MQTT field of %d bytes, at most 65535" % len(data))
    return len(data).to_bytes(2, "big") + data


def _packet(head, body, more=0):
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
        self._received = received
        self._response_ms = response_s * 1000
        self._socket = None
        self._stream = None
        self._lock = asyncio.Lock()
        self._tasks = []
        self._id = 0
        self._waiting = {}  # packet id: (Event, ticks when sent)
        self._sent = self._pinged = time.ticks_ms()
        self._ping = False  # a PINGREQ is out and not answered

    async def connect(self, host, port, client, keepalive_s, user=None, password=None, will=None):
        """Opens the session. `will`: (topic, payload, retained, qos). Raises OSError or MqttError."""
        flags, tail = 2, _field(client)  # clean session (3.1.2.4)
        if will:
            topic, payload, retained, qos = will
            flags |= 4 | qos << 3 | retained << 5
            tail += _field(topic) + _field(payload)
        if user is not None:
            flags |= 128
            tail += _field(user)
            if password is not None:
                flags |= 64
                tail += _field(password)
        try:
            await self._open(host, port)
            await self._send(_packet(0x10, b"\0\4MQTT\4" + bytes([flags]) + keepalive_s.to_bytes(2, "big") + tail))
            head, body = await asyncio.wait_for_ms(self._read(), self._response_ms)
            if head != 0x20 or len(body) != 2:
                raise MqttError("no CONNACK but packet 0x%02x" % head)
            if body[1]:
                why = _REFUSALS[body[1]] if body[1] < len(_REFUSALS) else "unknown"
                raise MqttError("refused: %s (%d)" % (why, body[1]), body[1])
        except asyncio.TimeoutError:
            self._end("no CONNACK")
            raise MqttError("no CONNACK in time") from None
        except EOFError:
            self._end("closed")
            raise MqttError("closed by the broker before CONNACK") from None
        except (OSError, MqttError):
            self._end("not connected")
            raise
        self._tasks = [
            asyncio.create_task(self._receive()),
            asyncio.create_task(self._keep(keepalive_s * 1000)),
        ]

    async def publish(self, topic, payload, retained=False, qos=0):
        """Sends one message; with QoS 1 returns when the broker has it. Raises MqttError when the session
        ends."""
        body = _field(topic)
        if qos:
            event, number = self._expect()
            await self._send(_packet(0x32 | retained, body + number.to_bytes(2, "big"), len(payload)), payload)
            await self._answered(event)
        else:
            await self._send(_packet(0x30 | retained, body, len(payload)), payload)

    async def subscribe(self, topic, qos=1):
        """Subscribes and waits for the answer. Raises MqttError, also where the broker refuses."""
        event, number = self._expect()
        await self._send(_packet(0x82, number.to_bytes(2, "big") + _field(topic) + bytes([qos])))
        await self._answered(event)

    async def disconnect(self, topic=None, payload=None):
        """Ends the session so that the broker keeps the will to itself; a last retained message (QoS 0) may
        go before."""
        if not self.lost.is_set():
            last = b"" if topic is None else _packet(0x31, _field(topic) + payload)
            try:
                await self._send(last + b"\xe0\0")
            except MqttError:
                pass
            self._end("disconnected")

    async def _open(self, host, port):
        # asyncio.open_connection leaves its socket open when the connection fails; the unix port never gets
        # it back.
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        try:
            self._socket.connect(address)
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        poller = select.poll()
        poller.register(self._socket, select.POLLOUT)
        start = time.ticks_ms()
        while not poller.poll(0):
            if time.ticks_diff(time.ticks_ms(), start) > self._response_ms:
                raise OSError(errno.ETIMEDOUT)
            await asyncio.sleep_ms(20)
        self._stream = asyncio.StreamReader(self._socket)

    async def _send(self, data, payload=None):
        if self.reason:
            raise MqttError(self.reason)
        # Packets must not mix, and two tasks in `drain` would send the buffer twice.
        async with self._lock:
            try:
                self._stream.write(data)
                if payload:
                    # Apart, because a birth of 2 KB is not copied where free memory is in pieces.
                    self._stream.write(payload)
                await asyncio.wait_for_ms(self._stream.drain(), self._response_ms)
            except asyncio.TimeoutError:
                self._end("the broker takes nothing")
            except OSError as error:
                self._end("write failed: %s" % error)
        if self.reason:
            raise MqttError(self.reason)
        self._sent = time.ticks_ms()

    def _expect(self):
        self._id = self._id % 65535 + 1
        event = asyncio.Event()
        self._waiting[self._id] = (event, time.ticks_ms())
        return event, self._id

    async def _answered(self, event):
        await event.wait()
        if self.reason:
            raise MqttError(self.reason)

    async def _read(self):
        """(first byte, body) of the next packet; the body's tail beyond what a command needs is read and
        thrown away."""
        read = self._stream.readexactly
        head = (await read(1))[0]
        length = shift = 0
        while True:
            digit = (await read(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                break
            if shift > 21:
                raise MqttError("malformed length")
        body = await read(min(length, _LIMIT))
        rest = length - len(body)
        while rest:
            rest -= len(await read(min(rest, _LIMIT)))
        return head, body if length <= _LIMIT else body[:_LIMIT] + b"+"

    async def _receive(self):
        try:
            while True:
                head, body = await self._read()
                kind = head >> 4
                if kind == 3:
                    await self._message(head, body)
                elif kind == 4 or kind == 9:  # PUBACK, SUBACK
                    waiting = self._waiting.pop(body[0] << 8 | body[1], None)
                    if kind == 9 and body[2] & 128:
                        raise MqttError("subscription refused")
                    if waiting:
                        waiting[0].set()
                elif kind == 13:
                    self._ping = False
                else:
                    raise MqttError("unexpected packet 0x%02x" % head)
        except EOFError:
            self._end("closed by the broker")
        except OSError as error:
            self._end("read failed: %s" % error)
        except Exception as error:  # IndexError, UnicodeError: no MQTT; MemoryError: too much of it
            self._end("protocol: %s" % error)

    async def _message(self, head, body):
        end = 2 + (body[0] << 8 | body[1])
        topic = str(body[2:end], "utf-8")
        if head & 6:
            number, end = body[end : end + 2], end + 2
            await self._send(b"\x40\2" + number)
        try:
            self._received(topic, body[end:] if len(body) <= _LIMIT else None, bool(head & 1))
        except Exception as error:
            # Whatever a message does to him who takes it, the session goes on.
            failure("mqtt", error)

    async def _keep(self, keepalive_ms):
        while True:
            await asyncio.sleep_ms(min(1000, keepalive_ms // 4))
            now = time.ticks_ms()
            for _, sent in self._waiting.values():
                if time.ticks_diff(now, sent) > self._response_ms:
                    return self._end("no acknowledgement")
            if self._ping:
                if time.ticks_diff(now, self._pinged) > self._response_ms:
                    return self._end("no answer to a ping")
            elif (
                time.ticks_diff(now, self._sent) > keepalive_ms // 2
                or time.ticks_diff(now, self._pinged) > keepalive_ms
            ):
                # Also while we send: with QoS 0 alone a dead link would not be noticed.
                self._ping, self._pinged = True, now
                try:
                    await self._send(b"\xc0\0")
                except MqttError:
                    return None

    def _end(self, reason):
        if self.lost.is_set():
            return
        self.reason = reason
        self.lost.set()
        if self._socket:
            self._socket.close()
        for event, _ in self._waiting.values():
            event.set()
        self._waiting = {}
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
