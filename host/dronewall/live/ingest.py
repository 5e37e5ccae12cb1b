"""From the broker to a queue: how messages come in, and what becomes of those that are none.

paho-mqtt's thread stays inside this module and `announce`. It decodes, stamps the arrival and queues; nothing that a
node sends can end it. A message that is none is queued with the reason, for the state to count, and the loop goes on.
"""

import contextlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt

from dronewall import wire
from dronewall.live.state import State
from dronewall.talk import clean

_log = logging.getLogger(__name__)

QUEUE = 10_000  # messages; 200 sensors at 5 Hz fill it in 10 s
_HOST = "$host"


class LinkError(OSError):
    """A broker that cannot be reached or that refuses us, and why."""


class Account(NamedTuple):
    """How a broker is entered. user: "" for nobody in particular. trusted: the certificates (PEM) of whom we trust to
    be the broker; with them the link is TLS.
    """

    user: str = ""
    password: str = ""
    trusted: Path | None = None


class Arrival(NamedTuple):
    """A message that came: the report, or None and the reason why it is none; and what came, as it came."""

    node: str
    report: wire.Report | None
    reason: str
    arrived_unix_ms: int
    retained: bool
    topic: str
    payload: bytes


def arrival_of(topic: str, payload: bytes, arrived_unix_ms: int, retained: bool) -> Arrival | None:
    """The message decoded; None where no node says it: what a host says, perhaps we ourselves, and its commands."""
    node = _sender(topic)
    if node == _HOST:
        return None
    try:
        report, reason = wire.decode(topic, payload), ""
        if report.kind == "command":
            return None
    except wire.WireError as error:
        report, reason = None, str(error)
    except Exception as error:  # a fault of ours, but no message may end the thread
        _log.exception("decoding a message of %s", node)
        report, reason = None, f"{type(error).__name__}: {error}"
    return Arrival(node, report, reason, arrived_unix_ms, retained, topic, payload)


def take(state: State, arrival: Arrival) -> None:
    """Puts a message into the state: its report, or that it is none."""
    if arrival.report is not None:
        state.apply(arrival.report, arrival.arrived_unix_ms, arrival.retained)
    else:
        state.refuse(arrival.node, arrival.reason)


def client_of(account: Account) -> mqtt.Client:
    """A client that connects again by itself and enters a broker by that account. Raises LinkError for certificates
    that are none.
    """
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.reconnect_delay_set(min_delay=1, max_delay=10)
    client.on_socket_open = _at_once
    if account.user:
        client.username_pw_set(account.user, account.password)
    if account.trusted is not None:
        try:
            client.tls_set(str(account.trusted))
        except OSError as error:  # ssl.SSLError is one
            raise LinkError(f"{account.trusted}: {error.strerror or error}; expected certificates (PEM)") from None
    return client


def _at_once(_client: mqtt.Client, _data: object, link: Any) -> None:
    # A reply must not wait for the other side's delayed ACK: 40 ms in each piece of an update.
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


NOBODY = Account()


def _now() -> int:
    return time.time_ns() // 1_000_000


class Ingest:
    """The reports of one wall, from a broker, for as long as the `with` block lasts.

        with Ingest(host, port, "jacksboro") as ingest:
            ingest.pump(state, 1.0)

    It connects, and connects again whenever the link is lost; an unreachable broker is not an error (`.connected`
    says, `.refusal` why a broker that answers lets us not in). The queue is bounded: when it is full the oldest message
    goes (`.dropped` counts).
    """

    def __init__(
        self,
        host: str,
        port: int,
        wall: str,
        *,
        limit: int = QUEUE,
        clock: Callable[[], int] = _now,
        account: Account = NOBODY,
    ) -> None:
        wire.topic(wall, "x", "state")  # WireError for a wall that no topic can have
        self._address = (host, port)
        self._wall = wall
        self._clock = clock
        self._queue: queue.Queue[Arrival] = queue.Queue(limit)
        self._online = threading.Event()
        self.dropped = 0
        self.refusal = ""
        client = client_of(account)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client

    @property
    def connected(self) -> bool:
        """Whether the link to the broker is up and the wall's topics are asked for."""
        return self._online.is_set()

    def start(self) -> "Ingest":
        """Itself, connecting."""
        self._client.connect_async(*self._address, keepalive=10)
        self._client.loop_start()
        return self

    def stop(self) -> None:
        """Ends the link; what is queued stays."""
        self._online.clear()
        self._client.disconnect()
        self._client.loop_stop()

    def wait(self, limit_s: float) -> None:
        """Returns once the link is up. Raises LinkError when the broker refuses us, or none answers in time."""
        deadline = time.monotonic() + limit_s
        where = "{}:{}".format(*self._address)
        while not self._online.wait(0.05):
            if self.refusal:
                raise LinkError(
                    f"broker {where} refused us: {self.refusal}; does it know our --user and --password-file?"
                )
            if time.monotonic() > deadline:
                raise LinkError(f"broker {where}: no link within {limit_s:g} s ({hindrance(self._address)})")

    def next(self, timeout_s: float | None = 0.0) -> Arrival | None:
        """The oldest message of the queue, None when none comes in time (0: none is there; None: waits for ever)."""
        with contextlib.suppress(queue.Empty):
            return self._queue.get(timeout_s != 0, timeout_s)
        return None

    def pump(self, state: State, timeout_s: float = 0.0) -> int:
        """How many messages it has put into `state`: all that wait, after waiting that long for the first."""
        count = 0
        arrival = self.next(timeout_s)
        while arrival is not None:
            take(state, arrival)
            count += 1
            # A flood must not keep the caller here.
            arrival = self.next() if count < self._queue.maxsize else None
        return count

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            self.refusal = str(code)
            _log.warning("broker %s:%d refused us: %s", *self._address, code)
            return
        self.refusal = ""
        client.subscribe(f"dw/{wire.VERSION}/{self._wall}/#", qos=1)
        self._online.set()

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if self._online.is_set():
            _log.warning("link to the broker lost: %s", code)
        self._online.clear()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        arrived = self._clock()
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "?"
        arrival = arrival_of(topic, bytes(message.payload), arrived, bool(message.retain))
        if arrival is not None:
            self._put(arrival)

    def _put(self, arrival: Arrival) -> None:
        while True:
            try:
                self._queue.put_nowait(arrival)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._queue.get_nowait()
                    self.dropped += 1

    def __enter__(self) -> "Ingest":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def hindrance(address: tuple[str, int]) -> str:
    """Why an address cannot be reached, in words; that it can where it can."""
    try:
        socket.create_connection(address, timeout=2.0).close()
    except OSError as error:
        return error.strerror or str(error)
    return "something listens there that does not speak MQTT with us"


def _sender(topic: str) -> str:
    """The node that a topic names, however wrong the rest of it is."""
    words = topic.split("/")
    name = words[3] if len(words) > 3 else ""
    shown = clean(name[:32])
    return shown or "?"
