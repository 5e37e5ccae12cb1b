"""How an MQTT session begins: the broker's address, its socket, CONNECT and CONNACK. Loaded for that and forgotten.

Nothing here stops the loop but the look-up of the broker's name, which MicroPython's sockets cannot do in the
background: its answer is kept, and asked for again at every eighth attempt. TLS (`secure.py`) is handed in as a
socket that shakes hands while it writes, so that a silent peer costs time and nothing else. Section numbers are
those of the standard that `mqtt.py` names.
"""

import asyncio
import errno
import select
import socket
import time

import mqtt
from micropython import const
from mqtt import MqttError, field, packet

_LOOKUP = const(8)  # attempts with one address
_REFUSALS = "unknown,protocol version,client id,server unavailable,user or password,not authorised"


async def opened(client, host, port, name, keepalive_s, user=None, password=None, will=None, wrap=None):
    """Opens the session of a Client. `will`: (topic, payload, retained, qos); `wrap(socket)`: the socket with TLS
    around it. Raises OSError or MqttError."""
    flags, tail = 2, field(name)  # clean session (3.1.2.4)
    if will:
        topic, payload, retained, qos = will
        flags |= 4 | qos << 3 | retained << 5
        tail += field(topic) + field(payload)
    if user is not None:
        flags |= 128
        tail += field(user)
        if password is not None:
            flags |= 64
            tail += field(password)
    try:
        await _open(client, host, port, wrap)
        await client.send(packet(0x10, b"\0\4MQTT\4" + bytes([flags]) + keepalive_s.to_bytes(2, "big") + tail))
        head, body, _ = await asyncio.wait_for_ms(client.read(), client.response_ms)
        if head != 0x20 or len(body) != 2:
            raise MqttError("no CONNACK but packet 0x%02x" % head)
        code = body[1]
        if code:
            why = _REFUSALS.split(",")[code if code < 6 else 0]
            raise MqttError("refused: %s (%d)" % (why, code), code if code != 3 else 0)
    except asyncio.TimeoutError:
        client.end("no CONNACK")
        raise MqttError("no CONNACK in time") from None
    except EOFError:
        client.end("closed")
        raise MqttError("closed by the broker before CONNACK") from None
    except (OSError, MqttError) as error:
        client.end("not connected")
        if wrap and isinstance(error, OSError) and error.errno == mqtt.ALERT:  # TLS 1.3 tells it here
            raise MqttError("TLS: the broker refuses us (%s)" % error, -1) from None
        if wrap and str(error).startswith("write"):
            raise MqttError("TLS: %s, perhaps the broker wants another certificate" % error) from None
        raise
    mqtt.attempts = 0
    client.begin(keepalive_s * 1000)


async def _open(client, host, port, wrap):
    # asyncio.open_connection leaves its socket open when the connection fails; the unix port never gets it back.
    same = mqtt.known[:2] == [host, port]
    if not same or mqtt.attempts == _LOOKUP:
        mqtt.attempts = 0
        try:
            mqtt.known[:] = [host, port, socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]]
        except OSError:
            if not same:
                raise
    mqtt.attempts += 1
    family, kind, protocol, _, address = mqtt.known[2]
    client.socket = plain = socket.socket(family, kind, protocol)
    plain.setblocking(False)
    plain.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY: an acknowledgement and a reply go at once
    try:
        plain.connect(address)
    except OSError as error:
        if error.errno != errno.EINPROGRESS:
            raise
    poller = select.poll()
    poller.register(plain, select.POLLOUT)
    start = time.ticks_ms()
    while not poller.poll(0):
        if time.ticks_diff(time.ticks_ms(), start) > client.response_ms:
            raise OSError(errno.ETIMEDOUT)
        await asyncio.sleep_ms(20)
    if wrap:
        client.socket = wrap(plain)
    client.stream = asyncio.StreamReader(client.socket)
