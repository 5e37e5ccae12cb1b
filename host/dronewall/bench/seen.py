"""A node at its broker, as the bench sees it come up: its birth, and what each of its sensors reports.

What the broker kept from before does not count: only what was said since we listen, and of one start of the node.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from dronewall.live.ingest import Ingest

_SETTLES_S = 10.0  # a node reports at once, before its compass and its receiver have said anything


class Seen(NamedTuple):
    """birth: the values of its birth message, None where none came; ready: whether it said so; reports: the values of
    each sensor's latest report, by its name; refused: why a message of it was none.
    """

    birth: dict[str, Any] | None
    ready: bool
    reports: dict[str, dict[str, Any]]
    refused: str


def seen(ingest: Ingest, node: str, limit_s: float, now: Callable[[str], None]) -> Seen:
    """The node once each of its sensors has reported where it is and looks (or ten seconds have not told it), or as far
    as it has come when the time [s] is over. The ingest must have been listening since before the node was started;
    `now` is given each thing that it hears.
    """
    end = time.monotonic() + limit_s
    birth: dict[str, Any] | None = None
    ready, settles, refused = False, False, ""
    reports: dict[str, dict[str, Any]] = {}
    while (left := end - time.monotonic()) > 0:
        arrival = ingest.next(min(left, 1.0))
        if arrival is None or arrival.node != node or arrival.retained:
            continue
        if arrival.report is None:
            refused = arrival.reason
            continue
        values = dict(arrival.report.values or {})
        kind, sensor = arrival.report.kind, arrival.report.sensor
        if kind == "birth":
            birth, ready, reports = values, False, {}
        elif birth is None or values.get("boot") != birth["boot"]:
            continue
        elif kind == "state":
            ready = ready or values["state"] == "ready"  # it may sleep at once
        elif kind == "frustum" and sensor:
            reports[sensor] = values
        now(f"{kind} {sensor or ''}".strip())
        if birth and ready and set(reports) >= {each["name"] for each in birth["sensors"]}:
            if all(_knows(values) for values in reports.values()):
                break
            if not settles:
                settles, end = True, min(end, time.monotonic() + _SETTLES_S)
    return Seen(birth, ready, reports, refused)


def _knows(values: dict[str, Any]) -> bool:
    return "none" not in (values["position_source"], values.get("azimuth_source"))
