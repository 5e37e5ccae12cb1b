"""TLS around the broker's socket: certificates and key from DER files, and the chip's clock, which they are checked
against. Loaded before a session where config.json asks for TLS.

mbedtls keeps its memory outside of MicroPython's heap (25 to 41 KB of it while a session lasts).
"""

import asyncio
import time

import clock
import machine
import tls
from log import log
from micropython import const
from mqtt import MqttError

_CLOCK_MS = const(60_000)


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise MqttError("TLS: %s cannot be read (%s)" % (path, error), -1) from None


async def wrapper(files, host, utc):
    """A function that puts TLS around a socket, which shakes hands once it is written to.

    `files`: (CA, certificate or None, its key or None); the broker's certificate must be signed by that CA, be for
    `host` and be valid now. A node without a clock waits a minute for one; the chip's own may have run on, so it is
    tried without one then. Raises MqttError for a file that is not there or not what it should be.
    """
    start = clock.uptime_ms()
    while utc.source == "none" and clock.uptime_ms() - start < _CLOCK_MS:
        await asyncio.sleep_ms(200)
    if utc.source == "none":
        log("link", "no clock for the certificates")
    else:
        epoch = 946_684_800 if time.gmtime(0)[0] == 2000 else 0
        now = time.gmtime(utc.at(clock.uptime_ms()) // 1000 - epoch)
        machine.RTC().datetime(now[:3] + (now[6],) + now[3:6] + (0,))
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
    ca, certificate, key = files
    path = ca
    try:
        context.load_verify_locations(_read(ca))
        if certificate:
            path = certificate + " or " + key
            context.load_cert_chain(_read(certificate), _read(key))
    except (ValueError, OSError) as error:
        raise MqttError("TLS: %s: DER expected (%s)" % (path, error), -1) from None
    return lambda plain: context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
