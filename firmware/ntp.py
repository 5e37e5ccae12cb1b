"""UTC from a server of the network: SNTP as a client of one server.

RFC 5905 (June 2010): packet header section 7.3, kiss codes 7.4, on-wire protocol 8, SNTP 14; eras by RFC 4330
section 3. What we send as our time is chance, so that nobody who does not see our packet can answer it, and it tells
nothing of us.
"""

import asyncio
import errno
import os
import socket

import clock
from log import log
from micropython import const

_WAIT_MS = const(5000)
_SLOW_MS = const(1000)  # half of this is how wrong the time may be, at worst
_AGAIN_MS = const(64_000)  # RFC 5905: a server is asked again after 64 s at the earliest
_REST_MS = const(21_600_000)  # six hours: 2 s of a crystal that errs by 100 ppm


def _ms(data, at):
    # Seconds since 1900 in 32 bits; from 2036-02-07 they begin again, with the top bit clear.
    seconds = int.from_bytes(data[at : at + 4], "big")
    if not data[at] & 128:
        seconds += 1 << 32
    return (seconds - 2_208_988_800) * 1000 + ((data[at + 4] << 8 | data[at + 5]) * 1000 + 32_768 >> 16)


def answer(data, sent, now):
    """Unix ms at uptime `now` [ms], when this answer came to a request of uptime `sent`; ValueError says why it is not
    to be believed."""
    if len(data) < 48 or data[0] & 7 != 4:
        raise ValueError("no answer of a server")
    if data[1] == 0:
        raise ValueError("kiss " + str(bytes(data[12:16]), "ascii"))
    if data[0] >> 6 == 3 or data[1] > 15 or not any(data[40:48]):
        raise ValueError("the server has no time itself")
    transmit = _ms(data, 40)
    # What the server kept it for was no way.
    delay = max(0, now - sent - (transmit - _ms(data, 32)))
    if now - sent > _SLOW_MS:
        raise ValueError("%d ms for an answer, at most %d expected" % (now - sent, _SLOW_MS))
    return transmit + delay // 2


async def asked(host, port):
    """(unix ms, uptime [ms]) from the server. OSError, or ValueError where what it says is not to be believed.

    The look-up of its name stops the loop while it lasts.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, 0, socket.SOCK_DGRAM)[0]
    udp = socket.socket(family, kind, protocol)
    try:
        udp.setblocking(False)
        udp.connect(address)
        chance = os.urandom(8)
        request = bytearray(48)
        request[0] = 0x23  # version 4, client
        request[40:] = chance
        sent = now = clock.uptime_ms()
        udp.send(request)
        while now - sent < _WAIT_MS:
            try:
                data = udp.recv(128)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                data = b""
            now = clock.uptime_ms()
            if data[24:32] == chance:
                return answer(data, sent, now), now
            if not data:
                await asyncio.sleep_ms(10)
    finally:
        udp.close()
    raise OSError(errno.ETIMEDOUT)


async def told(utc, host, port, wait):
    """Sets the clock `utc` by the server; after how long [ms] it should be asked again. `wait`: how long it was before
    this time."""
    try:
        answer = await asked(host, port)
        taken = utc.set(answer[0], answer[1], "ntp")
        if taken:
            return _REST_MS
        log("ntp", "%d is not believed" % answer[0])
        # A jump that goes on is none.
        if taken is False:
            return _AGAIN_MS
    except (OSError, ValueError) as error:
        log("ntp", error)
        # A wish to be left alone.
        if "kiss" in str(error):
            return _REST_MS
    return min(2 * wait, _REST_MS) if wait < _REST_MS else _AGAIN_MS
