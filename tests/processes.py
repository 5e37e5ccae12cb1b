"""What the tests ask of processes and brokers: is it over, who listens, somebody to talk to."""

import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import paho.mqtt.client as mqtt


def until(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it is done within that time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def runs(pid: int) -> bool:
    """Whether there is such a process. A zombie has ended; somebody has only not asked how."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def listening(pids: Iterable[int]) -> list[str]:
    """The local addresses (hex, as in /proc, which is Linux's) at which these processes listen."""
    found = []
    for pid in pids:
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[9] in inodes and (words[3] == "0A" or table.startswith("udp")):
                    found.append(words[1])
    return found


def talker(port: int) -> mqtt.Client:
    """A client of the broker at that port of 127.0.0.1, its loop running; `silence` ends it."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def silence(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()
