"""A node that runs for long: its memory does not wear away, however often it reports and is thrown off.

The clock is injected (`hurried.py`): what takes a day and more in the field takes minutes. `make soak` runs the whole,
and hours in real time, as many as DRONEWALL_SOAK_HOURS says.
"""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dronewall import firmware_files, scenario
from dronewall.live.broker import Broker
from dronewall.live.ingest import Ingest
from dronewall.live.moment import state_of
from dronewall.live.simulate import SimulatedNodes
from firmware_side import NODE_HEAP, board
from test_firmware_config import PRESENCE
from test_firmware_node import Node

SLACK = 3072  # [bytes]: a mark is the worst moment of a thousand, with a birth under way or without; 2.3 KB were seen
DRIFT = 512  # [bytes] of the median over the whole run: numbers get longer


class Run(NamedTuple):
    frusta: int
    sessions: int
    seconds: int
    marks: list[int]


def hurried(micropython: str, folder: Path, cycles: int, every: int) -> Run:
    """A node with one presence sensor that goes on for so many reports, thrown off after every so many."""
    near = {**PRESENCE, "azimuth_source": "survey", "settle_s": 0, "hold_ms": 10, "repeat_s": 600}
    position = {"source": "survey", "latitude_e7": 365000000, "longitude_e7": -843000000, "height_amsl_cm": 40000}
    pir = [{"pin": 27, "every_ms": 5000, "high_ms": 2000}]
    Node(micropython, folder, 1883, {"pir": pir}, sensors=[near], position=position, period_s=1, valid_s=60)
    script = Path(__file__).with_name("hurried.py")
    words = [
        micropython,
        "-X",
        f"heapsize={NODE_HEAP}",
        str(script),
        str(board()),
        str(folder),
        str(cycles),
        str(every),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    lines = done.stdout.splitlines()
    marks = [int(line.split()[1]) for line in lines if line.startswith("least ")]
    return Run(*json.loads(lines[-1]), marks)


def whole(run: Run, cycles: int, every: int) -> None:
    assert run.frusta == cycles
    assert run.sessions >= (cycles - 1) // every
    assert run.seconds >= cycles * 0.7  # a report a second, so they say
    assert len(run.marks) == cycles // 1000
    # After the first thousand nothing is left behind.
    assert min(run.marks[1:]) >= run.marks[0] - SLACK, run.marks
    tenth = max(1, len(run.marks) // 10)
    assert statistics.median(run.marks[-tenth:]) >= statistics.median(run.marks[1 : tenth + 1]) - DRIFT, run.marks


@pytest.mark.timeout(300)
def test_two_thousand_reports_and_ten_reconnects_leave_the_heap_as_it_was(micropython, tmp_path):
    whole(hurried(micropython, tmp_path, 2000, 180), 2000, 180)


@pytest.mark.soak
def test_a_hundred_thousand_reports_and_five_hundred_reconnects_leave_the_heap_as_it_was(micropython, tmp_path):
    run = hurried(micropython, tmp_path, 100_000, 199)
    print(f"\nleast free heap [bytes] of each thousand reports: {run.marks}")
    whole(run, 100_000, 199)
    assert run.sessions >= 500


@pytest.mark.soak
@pytest.mark.needs("micropython", "iotcore")
def test_the_wall_of_the_demo_runs_for_hours_and_its_heaps_do_not_shrink():
    hours = float(os.environ.get("DRONEWALL_SOAK_HOURS", "0.05"))
    read = scenario.read(firmware_files.examples() / "jacksboro.toml")
    state = state_of(read)
    free: dict[str, list[tuple[float, int]]] = {}
    with (
        Broker() as broker,
        Ingest(broker.host, broker.port, read.site.name) as ingest,
        SimulatedNodes(
            read, broker.host, broker.port, lambda *_: 400.0, lambda drone: [[0, 365100000, -842000000, 50000, 0, 0, 0]]
        ) as nodes,
    ):
        begun = time.monotonic()
        while (now := time.monotonic()) < begun + 3600 * hours:
            ingest.pump(state, 1.0)
            for node in state.nodes(time.time_ns() // 1_000_000):
                health: dict[str, Any] = node.health or {}
                if "heap_free_bytes" in health:
                    free.setdefault(node.name, []).append((now - begun, health["heap_free_bytes"]))
            assert nodes.failed() == {}
        resets = {name: nodes.resets(name) for name in nodes.names}
        words = {name: nodes.log(name)[-12:] for name, count in resets.items() if count}
    assert resets == dict.fromkeys(resets, 0), words
    assert set(free) == set(resets)
    for name, told in free.items():
        half = 1800 * hours
        early, late = [bytes_ for at, bytes_ in told if at < half], [bytes_ for at, bytes_ in told if at >= half]
        assert min(late) >= min(early) - 1024, name
