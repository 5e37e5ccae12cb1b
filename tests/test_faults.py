"""A node gets over each fault by itself, goes on measuring meanwhile, and loses no detection that fits its queue.

Every fault strikes a real simulated node that counts a presence once a second and talks to a real broker through a
proxy. What happened, how long until it was over and what was lost stands in docs/node-faults.md, which the long
campaign writes (`make soak`).
"""

import contextlib
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from dronewall import wire
from dronewall.live.broker import Broker
from proxy import Proxy
from test_firmware_config import CAMERA, PRESENCE
from test_firmware_mqtt import end, start_mosquitto
from test_firmware_node import Node

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "node-faults.md"
LIMIT_S = 60.0  # nobody is punctual here: a machine may be busy
QUEUE = 40
PASSWORD = "at least eight"
EPOCH_OFF_MS = 315_964_800_000  # 1980-01-06, where GPS weeks begin: what a receiver without an almanac says
AIR = {"ssids": {"wall": {"password": PASSWORD, "rssi": -70}}}


class Ear:
    """Hears a wall at one broker, and at the next one when that is gone: (seconds, report), in the order of arrival."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, wire.Report]] = []
        self._client: mqtt.Client | None = None

    def listen(self, port: int) -> None:
        self.close()
        ready: list[int] = []
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.on_message = lambda _client, _data, m: self._take(m.topic, m.payload)
        client.on_connect = lambda client, *_: client.subscribe("dw/#", 1)
        client.on_subscribe = lambda *_: ready.append(1)
        client.connect("127.0.0.1", port)
        client.loop_start()
        self._client = client
        wait(lambda: bool(ready), "a subscription")

    def _take(self, topic: str, payload: bytes) -> None:
        if not topic.endswith("/command"):
            self.heard.append((time.monotonic(), wire.decode(topic, payload)))

    def close(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None


def wait(done: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline, f"no {what} in {limit_s:g} s"
        time.sleep(0.05)


class Field:
    """One node, its broker, and the proxy between them."""

    def __init__(self, programs: dict[str, str], folder: Path, fault: "Fault", prior: dict[str, Any] | None) -> None:
        self.ear = Ear()
        self._mosquitto = programs["mosquitto"]
        self._folder = folder
        self._embedded = fault.embedded
        self._broker: subprocess.Popen[bytes] | Broker | None = None
        self.proxy = Proxy(self._revived())
        self.proxy.__enter__()
        self.ear.listen(self.proxy.target)
        home = folder / "node"
        home.mkdir()
        near = {**PRESENCE, "azimuth_source": "survey", "settle_s": 0, "hold_ms": 10, "repeat_s": 600}
        self.node = Node(
            programs["micropython"], home, self.proxy.port,
            world={"pir": [{"pin": 27, "every_ms": 1000, "high_ms": 500}]},
            position={
                "source": "survey", "latitude_e7": 365000000, "longitude_e7": -843000000, "height_amsl_cm": 40000
            },
            sensors=[near, *([{**CAMERA, "azimuth_source": "compass", "azimuth_cdeg": 0}] if fault.compass else [])],
            wifi=[{"ssid": "wall", "password": PASSWORD}],
            mqtt={"host": "127.0.0.1", "port": self.proxy.port, "keepalive_s": 2},
            detections=QUEUE, period_s=2, valid_s=60,
        )  # fmt: skip
        self.tell("air", AIR)
        self.tell("faults", prior)
        if prior == {}:
            (home / "boot.new").mkdir()  # nothing can be written there, not even by root
        self.node.start()

    def _revived(self) -> int:
        if self._embedded:
            self._broker = Broker(None).start()
            return self._broker.port
        import socket

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self._broker = start_mosquitto(self._mosquitto, port, self._folder)
        return port

    def kill_broker(self) -> None:
        if isinstance(self._broker, Broker):
            assert self._broker.pid is not None
            os.kill(self._broker.pid, signal.SIGKILL)
            self._broker.stop()
        else:
            end(self._broker)

    def revive_broker(self) -> None:
        # The node is kept out until we listen, or we should miss what it says first.
        self.proxy.mode = "closed"
        self.proxy.target = self._revived()
        self.ear.listen(self.proxy.target)
        self.proxy.mode = "pass"

    def tell(self, file: str, told: dict[str, Any] | None) -> None:
        path = self.node.folder / file
        if told is None:
            path.unlink(missing_ok=True)
        else:
            new = path.with_suffix(".part")
            new.write_text(json.dumps(told))
            new.replace(path)

    def log(self) -> list[str]:
        return (self.node.folder / "log").read_text(errors="replace").splitlines()

    def bite(self) -> None:
        """The watchdog of a loop that stands still, as whoever starts a node has to be."""
        fed = self.node.folder / "fed"
        left = fed.stat().st_mtime + int(fed.read_bytes()) / 1000 - time.time()
        wait(lambda: time.time() - fed.stat().st_mtime > int(fed.read_bytes()) / 1000, "hunger", left + 30)
        self.node.kill()
        self.tell("faults", None)
        self.node.command.append("3")
        self.node.start()

    def close(self) -> None:
        self.node.kill()
        self.node.log.close()
        self.node.process.stdin.close()
        self.ear.close()
        self.proxy.__exit__()
        if isinstance(self._broker, Broker):
            self._broker.stop()
        elif self._broker is not None:
            end(self._broker)


Reports = Callable[[wire.Report], bool]


def detected(report: wire.Report) -> bool:
    return report.kind == "detection"


def frustum(sensor: str = "near", **wanted: Any) -> Reports:
    """Whether it is a frustum of that sensor with these values; None: without that key."""
    return lambda report: (
        report.kind == "frustum"
        and report.sensor == sensor
        and all(report.values.get(key) == value for key, value in wanted.items())
    )


def right_clock(report: wire.Report) -> bool:
    """Whether it is a frustum that says the right time, as near as anybody can tell on a busy machine."""
    if not frustum(clock="gnss", suspect=None)(report):
        return False
    return abs(report.values["time_unix_ms"] / 1000 - time.time()) < 60


@dataclass(frozen=True)
class Fault:
    """`begin` and `end` of it, and how long it lasts at least; `seen`: what a report must say before it ends; `well`:
    the report, made after its end, that shows that it is over. `prior`: what is wrong from the start."""

    what: str
    begin: Callable[[Field], Any]
    end: Callable[[Field], Any]
    lasts_s: float
    seen: Reports | None = None
    well: Reports = detected
    prior: dict[str, Any] | None = None
    embedded: bool = False
    compass: bool = False
    long: bool = False


def mode(word: str) -> Callable[[Field], None]:
    def act(here: Field) -> None:
        here.proxy.mode = word

    return act


def rate(limit: int | None) -> Callable[[Field], None]:
    def act(here: Field) -> None:
        here.proxy.rate = limit

    return act


def tells(file: str, told: dict[str, Any] | None) -> Callable[[Field], None]:
    return lambda here: here.tell(file, told)


def device(name: str, how: str) -> Callable[[Field], None]:
    return tells("faults", {"devices": {name: how}})


def nothing(here: Field) -> None:
    pass


WELL = tells("faults", None)
CHANGED = {"ssids": {"wall": {"password": "another one"}}}
FAULTS = {
    "cut": Fault("connections are reset and refused", mode("closed"), mode("pass"), 3),
    "black hole": Fault("accepted, nothing forwarded either way", mode("black hole"), mode("pass"), 14),
    "one way": Fault("nothing comes back from the broker", mode("one way"), mode("pass"), 14),
    "half-open": Fault("the broker's end is gone, the node's end is open", mode("half open"), mode("pass"), 14),
    "silent handshake": Fault("connections are accepted, nobody answers", mode("silent"), mode("pass"), 14),
    "slow link": Fault("200 bytes a second each way", rate(200), rate(None), 14),
    "refused CONNACK": Fault("the broker refuses us: not authorised (5)", mode("refuse"), mode("pass"), 5),
    "kill -9, mosquitto": Fault("killed, and started on another port", Field.kill_broker, Field.revive_broker, 3),
    "kill -9, embedded": Fault(
        "the broker of `make demo`, the same", Field.kill_broker, Field.revive_broker, 3, embedded=True
    ),
    "Wi-Fi lost": Fault("the network is gone", tells("air", {**AIR, "down": True}), tells("air", AIR), 5),
    "Wi-Fi password": Fault("the network has another password", tells("air", CHANGED), tells("air", AIR), 5),
    "flash full": Fault("what it keeps cannot be written", nothing, nothing, 0, prior={}),
    "clock at epoch": Fault(
        "the receiver says 1980 from the start", nothing, WELL, 3,
        seen=frustum(clock="none"), well=right_clock, prior={"clock_off_ms": 0},
    ),
    "clock jump": Fault(
        "the receiver is an hour ahead", tells("faults", {"clock_off_ms": 3_600_000}), WELL, 5,
        seen=frustum(suspect=True), well=right_clock,
    ),
    "broken sensor": Fault(
        "the accelerometer stops answering", device("adxl345", "silent"), WELL, 0,
        seen=frustum("cam", azimuth_source="none"), well=frustum("cam", azimuth_source="compass"), compass=True,
    ),
    "silent receiver": Fault("the GNSS receiver says nothing", device("receiver", "silent"), WELL, 6, well=right_clock),
    "garbage on the UART": Fault(
        "random bytes from the GNSS receiver", device("receiver", "garbage"), WELL, 6, well=right_clock
    ),
    "power cut": Fault("the node is without power", lambda here: here.node.kill(), lambda here: here.node.start(), 3),
    "blocked loop": Fault(
        "the node's loop stands still until the watchdog bites", tells("faults", {"stuck": True}), Field.bite, 1,
        long=True,
    ),
}  # fmt: skip


@dataclass
class Found:
    """What came of one fault: seconds from its end until the node was well, detections lost (their numbers) and heard
    twice, those that came in all, and what the node said."""

    name: str
    recovery_s: float
    lost: list[tuple[int, int]]
    doubled: int
    heard: int
    said: list[str] = field(default_factory=list)


def struck(name: str, fault: Fault, programs: dict[str, str], folder: Path, longer: float = 1.0) -> Found:
    """The node lives through the fault; AssertionError where it does not within `LIMIT_S`."""
    prior = fault.prior
    if prior and "clock_off_ms" in prior:
        prior = {"clock_off_ms": EPOCH_OFF_MS - time.time_ns() // 1_000_000}
    here = Field(programs, folder, fault, prior)
    try:
        return _struck(name, fault, here, longer)
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}\n" + "\n".join(here.log()[-12:])) from None
    finally:
        here.close()


def _struck(name: str, fault: Fault, here: Field, longer: float) -> Found:
    def first(wanted: Reports, after_s: float = 0.0, count: int = 1) -> float:
        """When as many such reports had come that were made after that."""

        def found() -> list[float]:
            return [at for at, report in list(here.ear.heard) if at > after_s and wanted(report)]

        wait(lambda: len(found()) >= count, "such report")
        return found()[count - 1]

    first(detected, count=3)
    first(frustum())
    lines = len(here.log())
    begun = time.monotonic()
    fault.begin(here)
    if fault.seen is not None:
        first(fault.seen, begun)
    ends = begun + longer * fault.lasts_s
    wait(lambda: time.monotonic() >= ends, "end of it", longer * fault.lasts_s + LIMIT_S)
    fault.end(here)
    over = time.monotonic()
    # When each boot began, at the latest: a report comes after it was made.
    recovered = _made_after(here, fault.well, over)
    _made_after(here, detected, recovered)
    detections = [report.values for _, report in here.ear.heard if detected(report)]
    lost, doubled = [], 0
    for boot in sorted({values["boot"] for values in detections}):
        numbers = [values["seq"] for values in detections if values["boot"] == boot]
        lost += [(boot, number) for number in sorted(set(range(1, max(numbers))) - set(numbers))]
        doubled += len(numbers) - len(set(numbers))
    said = [re.sub(r"^\d+\.\d+ ", "", line) for line in here.log()[0 if fault.prior is not None else lines :]]
    return Found(name, recovered - over, lost, doubled, len(detections), said)


def _made_after(here: Field, wanted: Reports, moment: float) -> float:
    """When the first such report came that was made after the moment; by its uptime, for a queue brings old ones."""

    def found() -> float | None:
        starts: dict[int, float] = {}
        for at, report in list(here.ear.heard):
            boot, uptime = report.values.get("boot"), report.values.get("uptime_ms")
            if uptime is not None and boot is not None:
                starts[boot] = min(starts.get(boot, at), at - uptime / 1000)
        for at, report in list(here.ear.heard):
            if at > moment and wanted(report):
                boot, uptime = report.values["boot"], report.values["uptime_ms"]
                if starts[boot] + uptime / 1000 > moment:
                    return at
        return None

    wait(lambda: found() is not None, "report that shows it well")
    at = found()
    assert at is not None
    return at


@pytest.fixture(scope="module")
def programs(require) -> dict[str, str]:
    require("iotcore")
    return {name: require(name) for name in ("micropython", "mosquitto")}


def campaign(names: list[str], programs: dict[str, str], folder: Path, longer: float = 1.0) -> list[Found]:
    """What came of each, at the same time, for they all mostly wait."""

    def one(number: int, name: str) -> Found:
        home = folder / f"{number}"
        home.mkdir()
        return struck(name, FAULTS[name], programs, home, longer)

    with ThreadPoolExecutor(len(names)) as pool:
        futures = [pool.submit(one, number, name) for number, name in enumerate(names)]
        errors = [error for future in futures if (error := future.exception()) is not None]
        assert not errors, "\n\n".join(str(error) for error in errors)
        return [future.result() for future in futures]


@pytest.mark.timeout(400)
def test_a_node_gets_over_each_fault_by_itself_and_loses_no_detection_that_fits_its_queue(programs, tmp_path):
    found = campaign([name for name in FAULTS if not FAULTS[name].long], programs, tmp_path)
    assert {each.name: each.lost for each in found if each.lost} == {}
    assert all(each.heard >= 4 for each in found)


def test_every_fault_is_in_the_table():
    rows = [line.split("|")[1].strip() for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    assert [row for row in rows if row in FAULTS] == list(FAULTS)


# --- the long campaign, which writes the table

HEAD = """# What faults do to a node

The firmware as it is, on simulated nodes (`firmware/unix/`) in 128 KB of heap; a presence to report every second, a
queue of {queue}, keep-alive 2 s; a TCP proxy between node and broker, and real brokers that are killed. Written by
`make soak` (tests/test_faults.py), which strikes each fault several times; a sample runs with every `make test`. On
a board the Wi-Fi takes seconds longer to join, a radio does what no proxy does, and nothing of this was tried on a
chip.

Measured {when} on {where}, every fault {times} times, from {shortest:g} to {longest:g} times as long as in the sample.

Recovery is counted from the end of the fault to the first report, made after it, that is right again; detections
come once a second. *Lost* are detections whose number is missing between the first and the last that came, *twice*
those that came more than once. A node whose power is cut may also lose what nobody can count: what waited in its RAM.

| fault | what is done | what the node says | recovery [s]: median, worst | lost | twice |
|---|---|---|---|---|---|
"""
LENGTHS = (0.5, 1.0, 1.5, 2.0)


def row(name: str, found: list[Found]) -> str:
    said: list[str] = []
    for line in (line for each in found for line in each.said):
        words = re.sub(r"session \d+", "session n", line)
        if words not in said and not words.startswith((" ", "Traceback", "main: node", "link: ready")):
            said.append(words)
    seconds = sorted(each.recovery_s for each in found)
    lost, doubled = sum(len(each.lost) for each in found), sum(each.doubled for each in found)
    total = sum(each.heard for each in found)
    words = "; ".join(said[:3]).replace("|", "/") or "nothing"
    times = f"{statistics.median(seconds):.1f}, {seconds[-1]:.1f}"
    return f"| {name} | {FAULTS[name].what} | {words} | {times} | {lost} of {total} | {doubled} |\n"


@pytest.mark.soak
@pytest.mark.parametrize("name", ["all"])
def test_every_fault_several_times_and_longer(name, programs, tmp_path):
    results: dict[str, list[Found]] = {}
    for longer in LENGTHS:
        folder = tmp_path / f"{longer}"
        folder.mkdir()
        for each in campaign(list(FAULTS), programs, folder, longer):
            results.setdefault(each.name, []).append(each)
    text = HEAD.format(
        queue=QUEUE, when=time.strftime("%Y-%m-%d"), times=len(LENGTHS), shortest=LENGTHS[0], longest=LENGTHS[-1],
        where=f"{os.cpu_count()} cores of {platform.machine()} under {platform.system()}, MicroPython 1.29",
    )  # fmt: skip
    text += "".join(row(name, results[name]) for name in FAULTS)
    with contextlib.suppress(OSError):
        TABLE.write_text(text)
    assert {name: each.lost for name, found in results.items() for each in found if each.lost} == {}
