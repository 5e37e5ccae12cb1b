"""One moment of a wall, as the coverage takes it: who reported what, and how much each sensor counts then. The reports
come from a broker or from a recording; the state alone says what they are worth.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dronewall import wire
from dronewall.engine import plan as plan_module
from dronewall.engine.ground import Ground
from dronewall.engine.plan import plan_of
from dronewall.engine.sensors import State as Counts
from dronewall.engine.sensors import landed
from dronewall.engine.wall import Source
from dronewall.live.ingest import Account, Ingest
from dronewall.live.recorder import replay
from dronewall.live.state import State
from dronewall.scenario import Scenario

LINK_S = 10.0  # in which a broker answers
_POLL_S = 0.2


class Moment(NamedTuple):
    """Reports, what is to be said of each sensor ("P4/cam"), and the time; that is None for a plan."""

    reports: list[wire.Report]
    states: dict[str, tuple[Counts, str]]
    at_unix_ms: int | None
    source: Source


def state_of(scenario: Scenario) -> State:
    """An empty state of a scenario's wall."""
    return State(scenario.site.name, scenario.node_names)


def latest(state: State, at_unix_ms: int) -> tuple[list[wire.Report], dict[str, tuple[Counts, str]]]:
    """The live state as `wall.cover` takes it: the latest birth and frustum reports, and what is to be said of each
    sensor.
    """
    reports = [
        wire.Report(state.wall, node.name, "birth", None, node.birth)
        for node in state.nodes(at_unix_ms)
        if node.birth is not None
    ]
    states: dict[str, tuple[Counts, str]] = {}
    for sensor in state.snapshot(at_unix_ms):
        reports.append(sensor.report)
        status: Counts = "missing" if sensor.status == "lost" else sensor.status
        states[sensor.name] = ("suspect" if sensor.suspect and status == "heard" else status, sensor.note)
    return reports, states


def planned(ground: Ground, at_s: float) -> Moment:
    """The wall as its plan has it so many seconds on. Raises PatrolError."""
    plan = plan_of(ground)
    return Moment(plan_module.planned(ground, at_s, plan), landed(ground, plan, at_s), None, "plan")


def recorded(scenario: Scenario, path: Path, at_unix_ms: int | None = None) -> Moment:
    """The wall at that time of a recording, left out: when its last message came. Raises RecordingError."""
    state = state_of(scenario)
    replayed = replay(path, state, at_unix_ms)
    at = replayed.last_unix_ms if at_unix_ms is None else at_unix_ms
    return Moment(*latest(state, at), at, "recorded")


def heard(
    scenario: Scenario,
    address: tuple[str, int],
    wait_s: float,
    account: Account,
    waiting: Callable[[int, int], None] | None = None,
) -> Moment:
    """The wall as a broker tells it: once every sensor of the site file has been heard, or after `wait_s`.

    waiting(heard, of all) is called meanwhile. Raises LinkError where the broker cannot be reached or refuses us.
    """
    state = state_of(scenario)
    with Ingest(*address, scenario.site.name, account=account) as ingest:
        now = awaited(ingest, state, scenario, wait_s, waiting)
    return Moment(*latest(state, now), now, "live")


def placed(state: State, at_unix_ms: int) -> set[str]:
    """The sensors that are heard and can be placed: they told what they are, where they are and where they look."""
    return {
        sensor.name
        for sensor in state.snapshot(at_unix_ms)
        if sensor.status == "heard"
        and sensor.birth is not None
        and {"latitude_deg", "azimuth_deg"} <= sensor.report.values.keys()
    }


def awaited(
    ingest: Ingest,
    state: State,
    scenario: Scenario,
    wait_s: float,
    waiting: Callable[[int, int], None] | None = None,
) -> int:
    """The time [unix ms] at which every sensor of the site file was `placed`, or `wait_s` had passed. Likewise."""
    expected = set(scenario.sensor_names)
    ingest.wait(max(LINK_S, wait_s))
    deadline = time.monotonic() + wait_s
    while True:
        ingest.pump(state, _POLL_S)
        now = time.time_ns() // 1_000_000
        there = placed(state, now)
        if waiting is not None:
            waiting(len(expected & there), len(expected))
        if expected <= there or time.monotonic() > deadline:
            return now
