"""What the host tells the wall: its status and the gaps, retained, so that whoever comes later knows them too.

Its status ends with it: `disconnected` when it says goodbye, and `lost`, the last will, when the broker loses it.
"""

import contextlib
import threading
import time
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt

from dronewall import __version__, wire
from dronewall.engine.gaps import Gap
from dronewall.engine.wall import Coverage
from dronewall.live.ingest import NOBODY, Account, client_of
from dronewall.scenario import Scenario

_HOST = "$host"
_GAPS = 8  # as many as the wire takes
_POSTS = 3  # of a gap; with four of the longest names so many gaps are more than the wire takes
_LONGEST_S = 86_400.0  # a warning that is longer than the wire takes is told as this


def status_of(coverage: Coverage, refused: int, state: str = "ready") -> dict[str, Any]:
    """The host's status message: how many sensors there are, and how many of them count."""
    states = [sensor.state for sensor in coverage.sensors]
    return {
        "state": state,
        "time_unix_ms": coverage.at_unix_ms,
        "version": coverage.version,
        "posts": len(coverage.scenario.posts),
        "sensors_planned": len(coverage.scenario.sensor_names),
        "sensors_heard": sum(each in ("heard", "suspect") for each in states),
        "sensors_stale": states.count("stale"),
        "refused": min(refused, _most("status", "refused")),
    }


def gaps_of(coverage: Coverage) -> dict[str, Any]:
    """The message of the gaps that are expected, the longest ones first; its shares are those of the target that the
    line covers least.
    """
    targets = coverage.at_level("expected")
    found = sorted((gap for target in targets for gap in target.gaps), key=lambda gap: (-gap.length, gap.id))
    return {
        "time_unix_ms": coverage.at_unix_ms,
        "version": coverage.version,
        "digest": coverage.digest,
        "source": "live",
        "level": "expected",
        "covered_share": min((target.covered_share for target in targets), default=0.0),
        "unknown_share": max((target.unknown_share for target in targets), default=0.0),
        "count": len(found),
        "gaps": [_entry(gap) for gap in found[:_GAPS]],
    }


def _most(kind: str, key: str) -> int:
    """The most that a whole number of a message may be."""
    return next(int(row[5]) for row in wire.rows(kind) if row[0] == key)


def _entry(gap: Gap) -> dict[str, Any]:
    return {
        "id": gap.id,
        "kind": gap.kind,
        "target": gap.target,
        "start_m": gap.start,
        "end_m": gap.end,
        "probability_least": gap.probability_least,
        "probability_mean": gap.probability_mean,
        "threshold": gap.threshold,
        "unknown_share": gap.unknown,
        "probability_before": gap.before,
        "warning_s": None if gap.warning is None else min(gap.warning, _LONGEST_S),
        "flank": gap.flank,
        "below_resolution": gap.below_resolution,
        "posts": list(gap.nearest_posts[:_POSTS]),
    }


class Announcer:
    """The host's voice on a broker, for as long as the `with` block lasts. It comes back by itself when the link is
    lost, and then says again what it said last.
    """

    def __init__(self, host: str, port: int, scenario: Scenario, account: Account = NOBODY) -> None:
        self._address, self._wall = (host, port), scenario.site.name
        self._last: dict[str, bytes] = {}
        self._lock = threading.Lock()
        planned = {"posts": len(scenario.posts), "sensors_planned": len(scenario.sensor_names)}
        self._nobody = planned | {"sensors_heard": 0, "sensors_stale": 0, "refused": 0}
        client = client_of(account)
        client.on_connect = self._on_connect
        client.will_set(wire.topic(self._wall, _HOST, "status"), self._ended("lost"), 1, True)
        self._client = client

    def say(self, kind: str, values: dict[str, Any]) -> None:
        """Publishes a message, retained."""
        topic = wire.topic(self._wall, _HOST, kind)
        payload = wire.encode(kind, wire.integers(kind, values))
        with self._lock:
            self._last[topic] = payload
            if self._client.is_connected():
                self._client.publish(topic, payload, 1, True)

    def _ended(self, state: str) -> bytes:
        values = {"state": state, "time_unix_ms": time.time_ns() // 1_000_000, "version": __version__}
        payload: bytes = wire.encode("status", wire.integers("status", {**values, **self._nobody}))
        return payload

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if not code.is_failure:
            with self._lock:
                for topic, payload in self._last.items():
                    client.publish(topic, payload, 1, True)

    def __enter__(self) -> "Announcer":
        self._client.connect_async(*self._address, keepalive=10)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = wire.topic(self._wall, _HOST, "status")
        if self._client.is_connected():
            with contextlib.suppress(RuntimeError):  # the link went in between: the will says it
                self._client.publish(status, self._ended("disconnected"), 1, True).wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()
