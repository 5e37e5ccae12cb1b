"""An update on its way: pieces that a node acknowledges one by one, and what it says when it is online again.

paho-mqtt's thread stays inside `Wall`. Of a node only the latest birth, state and, where asked for, frusta and the
replies of this sender are kept.
"""

import base64
import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt

from dronewall import wire
from dronewall.bench.bundle import PIECE
from dronewall.live.ingest import NOBODY, Account, LinkError, client_of, hindrance

ANSWER_S = 10.0  # for a reply to a piece; the node writes to its flash meanwhile
ATTEMPTS = 6  # how often a piece is sent before the node is given up


class UpdateError(ValueError):
    """A node that cannot be updated: which one, and why. It runs what it ran."""


class Wall:
    """A broker's wall, for as long as the `with` block lasts: what its nodes say, and commands to them. `frusta`:
    whether their reports are heard, too.
    """

    def __init__(self, host: str, port: int, wall: str, account: Account = NOBODY, frusta: bool = False) -> None:
        self._kinds = ("birth", "state", "reply") + (("frustum/+",) if frusta else ())
        self._address, self._wall = (host, port), wall
        self._heard: dict[tuple[str, str], dict[str, Any]] = {}  # (node, kind or id of a command): values
        self._asked: set[tuple[str, str]] = set()
        self._changed = threading.Condition()
        self._refusal = ""
        self._listens = False
        client = client_of(account)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client

    def until(self, found: Callable[[], Any], limit_s: float) -> Any:
        """What `found` returns once that is true; what it returns then, whatever it is, when the time is over."""
        with self._changed:
            self._changed.wait_for(found, limit_s)
            return found()

    def said(self, node: str, kind: str) -> dict[str, Any]:
        """The values of the node's latest `birth`, `state` or `frustum/SENSOR`; empty where it said none."""
        return self._heard.get((node, kind), {})

    def online(self, node: str) -> bool:
        """Whether the node's latest session is up, and its birth belongs to it."""
        birth, state = self.said(node, "birth"), self.said(node, "state")
        same = all(birth.get(key) == state.get(key) for key in ("boot", "session"))
        return bool(birth) and state.get("state") == "ready" and same

    def asked(self, node: str, limit_s: float = ANSWER_S, **values: Any) -> dict[str, Any]:
        """The reply to a command; empty where none comes in time [s]."""
        name = secrets.token_hex(8)
        expires = time.time_ns() // 1_000_000 + round(1000 * ANSWER_S) + 60_000  # and the clocks may differ
        payload = wire.encode("command", {"id": name, "expires_unix_ms": expires, **values})
        with self._changed:
            self._asked.add((node, name))
        self._client.publish(wire.topic(self._wall, node, "command"), payload, 1)
        self.until(lambda: (node, name) in self._heard, limit_s)
        with self._changed:
            self._asked.discard((node, name))
            return self._heard.pop((node, name), {})

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        with self._changed:
            self._refusal = str(code) if code.is_failure else ""
            self._changed.notify_all()
        if not code.is_failure:
            client.subscribe([(f"dw/{wire.VERSION}/{self._wall}/+/{kind}", 1) for kind in self._kinds])

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _number: int, _codes: Any, _properties: Any) -> None:
        with self._changed:
            self._listens = True
            self._changed.notify_all()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            report = wire.decode(message.topic, bytes(message.payload))
        except (wire.WireError, UnicodeDecodeError):
            return  # `dronewall record` and `watch` show what is none
        values = report.values or {}
        with self._changed:
            if report.kind != "reply":
                kind = f"{report.kind}/{report.sensor}" if report.sensor else report.kind
                self._heard[report.node, kind] = values
            elif (report.node, values["id"]) in self._asked:
                self._heard[report.node, values["id"]] = values
            self._changed.notify_all()

    def __enter__(self) -> "Wall":
        host, port = self._address
        self._client.connect_async(host, port, keepalive=10)
        self._client.loop_start()
        # Whoever asks before the broker has noted what we listen to misses the reply.
        self.until(lambda: self._listens or self._refusal, 10.0)
        if not self._listens:
            self._client.loop_stop()
            reason = self._refusal or f"no link within 10 s ({hindrance(self._address)})"
            raise LinkError(f"broker {host}:{port}: {reason}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def running(wall: Wall, node: str, wait_s: float) -> int:
    """The version of the update that the node runs, 0 where it never had one. Raises UpdateError where it is not online
    within that time.
    """
    if not wall.until(lambda: wall.online(node), wait_s):
        state = wall.said(node, "state").get("state", "silent")
        then = "does `dronewall node check` pass, and has the broker its account?"
        raise UpdateError(f"{node}: not online within {wait_s:g} s (it is {state}); {then}")
    return int(wall.said(node, "birth").get("version") or 0)


def updated(
    wall: Wall, node: str, version: int, content: bytes, wait_s: float, progress: Callable[[int, int], None]
) -> None:
    """Returns once the node is online with that version. `progress` is given the bytes that are there, and all.

    Raises UpdateError where the node refuses, falls silent, or comes back with what it ran before.
    """
    boot = wall.said(node, "birth").get("boot")
    _send(wall, node, boot, content, progress)
    if not wall.until(lambda: wall.online(node) and wall.said(node, "birth").get("boot") != boot, wait_s):
        raise UpdateError(f"{node}: it has the update, and did not come online within {wait_s:g} s")
    found = wall.said(node, "birth")
    if found.get("version") != version:
        raise UpdateError(
            f"{node}: it came back with version {found.get('version') or 0}; {version} did not prove itself"
        )


def _send(wall: Wall, node: str, boot: int | None, content: bytes, progress: Callable[[int, int], None]) -> None:
    at = silent = anew = 0
    while at < len(content):
        piece = base64.b64encode(content[at : at + PIECE]).decode()
        reply = wall.asked(node, command="update", offset=at, data=piece)
        done = reply.get("status") == "done"
        if not done and at + PIECE >= len(content) and wall.said(node, "birth").get("boot") != boot:
            return  # it had the last piece, and its reply was lost
        if not reply:
            silent += 1
            if silent >= ATTEMPTS:
                raise UpdateError(f"{node}: no reply to {ATTEMPTS} attempts at byte {at} of {len(content)}")
            continue
        silent = 0
        following = reply.get("next_offset")
        if done and following is not None and following > at:
            at = following
            progress(min(at, len(content)), len(content))
        elif reply["status"] == "refused" and following not in (None, at) and anew < ATTEMPTS and _elsewhere(reply):
            # It has restarted in between, or an earlier piece came twice: it says where to go on.
            anew += 1
            at = following or 0
        else:
            raise UpdateError(f"{node}: {reply['status']} at byte {at}: {reply.get('reason', 'no reason given')}")


def _elsewhere(reply: dict[str, Any]) -> bool:
    return str(reply.get("reason", "")).startswith("offset ")
