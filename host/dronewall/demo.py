"""The whole thing in small: a broker, nodes that run the real firmware, the host that listens, and the line's
coverage.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dronewall import scenario as scenario_module
from dronewall.engine import wall
from dronewall.engine.ground import Ground, ground_of
from dronewall.engine.patrol import Plan
from dronewall.engine.plan import plan_of
from dronewall.engine.track import track
from dronewall.live.broker import Broker
from dronewall.live.ingest import Ingest
from dronewall.live.moment import latest, placed, state_of
from dronewall.live.simulate import Failure, SimulatedNodes, micropython
from dronewall.scenario import Scenario
from dronewall.talk import clean

_POLL_S = 0.2


class NodesDied(RuntimeError):
    """Every node ended before any sensor reported, and their last words."""


@dataclass
class Told:
    """What the demo found beside the coverage: messages refused by node (count, last reason), messages dropped because
    they came too fast, nodes that died with their last words.
    """

    refused: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    dropped: int = 0
    died: Mapping[str, str] = field(default_factory=dict)


def run(
    site: Path,
    limit_s: float,
    say: Callable[[int, str], None],
    waiting: Callable[[int, int, list[str]], None],
    computing: Callable[[int, int], None],
    computed: Callable[[str, list[tuple[int, int]]], None] | None = None,
) -> tuple[wall.Coverage, Told]:
    """The coverage of a site file's wall from its simulated nodes' live reports; every process has ended when it
    returns or raises.

    limit_s: how long to wait for sensors that do not report. say(step, text): the steps, 1 to 4. waiting(heard, of
    all, missing names). computing(done, of all). computed(sensor, shapes of its windows). Raises what reading the site
    and its terrain raises, PatrolError, MicroPythonMissing, BrokerError and NodesDied.
    """
    micropython()  # without one there is no need to read any ground
    scenario = scenario_module.read(site)
    say(1, f"site {scenario.site.name}: reading the ground")
    ground = ground_of(scenario)
    plan = plan_of(ground)
    rows, cols = ground.terrain.shape
    length, cell = ground.frontage.length / 1000.0, ground.terrain.cell
    say(1, f"site {scenario.site.name}: {length:.1f} km of frontage, {cols} x {rows} cells of {cell:g} m")
    boxed = {drone.name for drone in scenario.drones if drone.name not in plan.sortie_of}
    expected = [name for name in scenario.sensor_names if name.split("/")[0] not in boxed]
    state = state_of(scenario)
    told = Told()
    with Broker() as broker:
        nodes = simulated(scenario, ground, plan, broker.host, broker.port)
        with Ingest(broker.host, broker.port, scenario.site.name) as ingest, nodes:
            say(2, f"broker {broker.host}:{broker.port}, {len(nodes.names)} nodes started, each a MicroPython process")
            deadline = time.monotonic() + limit_s
            missing = expected
            while missing and time.monotonic() < deadline:
                ingest.pump(state, _POLL_S)
                there = placed(state, time.time_ns() // 1_000_000)
                missing = [name for name in expected if name not in there]
                waiting(len(expected) - len(missing), len(expected), missing)
                if missing and not nodes.alive():
                    break
            if missing == expected and expected and not nodes.alive():
                raise NodesDied(_last_words(nodes.failed()))
            at_unix_ms = time.time_ns() // 1_000_000
            reports, states = latest(state, at_unix_ms)
            told.refused = state.bad()
            told.dropped = ingest.dropped
            told.died = {name: _said(failure) for name, failure in nodes.failed().items()}
    say(4, f"coverage of {len(reports)} reports")
    coverage = wall.cover(ground, reports, at_unix_ms, source="live", states=states, progress=computing, told=computed)
    return coverage, told


def simulated(scenario: Scenario, ground: Ground, plan: Plan, host: str, port: int, **options: Any) -> SimulatedNodes:
    """The nodes of a scenario on that ground, for a broker at that address; nothing runs yet. options: as
    `SimulatedNodes` takes them.
    """
    return SimulatedNodes(
        scenario,
        host,
        port,
        # A post beyond the terrain gets a receiver all the same; the coverage says why it does not count.
        ground_amsl=lambda latitude, longitude: float(
            np.nan_to_num(ground.terrain.ground(*ground.site.to_site(latitude, longitude)))
        ),
        track=lambda drone: _flight(ground, plan, drone.name),
        **options,
    )


def _last_words(failed: Mapping[str, Failure]) -> str:
    """What all nodes said at their end; those with the same words in one line."""
    words: dict[str, list[str]] = {}
    for name, failure in failed.items():
        words.setdefault(_said(failure), []).append(name)
    lines = [f"  {', '.join(names)}: {said}" for said, names in words.items()]
    return "\n".join(["no sensor reported, for every node ended by itself; their last words:", *lines])


def _said(failure: Failure) -> str:
    return clean(failure.lines[-1]) if failure.lines else f"exit status {failure.status}"


def _flight(ground: Ground, plan: Plan, drone: str) -> list[list[int]]:
    """A drone's flight as its simulated world wants it: integers, level; at most some thousand rows, which stay on the
    disk. Empty where it never flies.
    """
    if drone not in plan.sortie_of:
        return []
    longest = max(5.0, plan.sortie_of[drone].period / 1000.0)
    return [
        [
            round(1000 * at),
            round(1e7 * latitude),
            round(1e7 * longitude),
            round(100 * amsl),
            round(100 * azimuth) % 36000,
            0,
            0,
        ]
        for at, latitude, longitude, amsl, azimuth in track(ground, plan, drone, longest)
    ]
