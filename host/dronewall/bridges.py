"""The commands that bring to a wall what other systems know; each only reads, and can show instead of publish."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dronewall.options import WEEK_S, Number, Seconds, known, loudness
from dronewall.program import Program
from dronewall.sources import Link, to_broker
from dronewall.talk import Talk, clean

if TYPE_CHECKING:
    from dronewall.live.bridge import Bridge
    from dronewall.live.telemetry_line import Endpoint
    from dronewall.scenario import Drone, Scenario


class Telemetry(click.ParamType):
    """Where telemetry comes in, from `127.0.0.1:14550`, `tcp:127.0.0.1:5760` or `/dev/ttyUSB0,57600`."""

    name = "endpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Endpoint":
        from dronewall.live.telemetry_line import Endpoint, endpoint_of

        if isinstance(value, Endpoint):
            return value
        try:
            return endpoint_of(value.strip())
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(cls=Program)
def bridge() -> None:
    """Bring to the wall what another system knows."""


@bridge.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.argument("drone_name", metavar="DRONE")
@click.argument("sensor", metavar="[SENSOR]", required=False)
@click.option("--listen", "endpoint", type=Telemetry(), metavar="HOST:PORT", default="127.0.0.1:14550",
              show_default=True,
              help="Where telemetry comes in: a UDP port of ours, tcp:HOST:PORT, or /dev/ttyUSB0,57600.")  # fmt: skip
@click.option("--system", type=click.IntRange(1, 255), metavar="N",
              help="The vehicle's MAVLink system id. [default: the first that is heard]")  # fmt: skip
@click.option("--fixed", is_flag=True, help="No gimbal carries a sensor; what gimbals tell is left aside.")
@click.option("--rate", type=Number(0.1, 10.0), default=2.0, show_default=True, metavar="HERTZ",
              help="Reports a second of each sensor.")  # fmt: skip
@click.option("--for", "for_s", type=Seconds(0.0, WEEK_S), metavar="SECONDS", help="How long. [default: until Ctrl-C]")
@to_broker
@loudness
def mavlink(
    site: Path,
    drone_name: str,
    sensor: str | None,
    endpoint: "Endpoint",
    system: int | None,
    fixed: bool,
    rate: float,
    for_s: float | None,
    link: Link | None,
    verbose: int,
    quiet: bool,
) -> int:
    """Report where a drone's sensors look, as its autopilot's MAVLink telemetry tells it.

    DRONE is a drone of SITE, and the node that is spoken for. SENSOR is its camera: the gimbal's attitude and the
    camera's field of view are that one's, all other sensors are fixed to the airframe as SITE mounts them. Without a
    gimbal, so is the camera. It may be left out where the drone has one sensor.

    Telemetry is only read: not a byte is sent towards the autopilot.
    """
    with Talk(1, verbose, quiet) as talk, contextlib.ExitStack() as stack:
        from dronewall import scenario

        read = scenario.read(site)
        drone = _drone(read, drone_name, site)
        camera = _camera(drone, sensor, fixed)
        from dronewall.live.bridge import Bridge, NodeVoice, Printed, Voice, birth_of, numbers_at
        from dronewall.live.telemetry_line import TelemetryLine

        numbers = numbers_at(time.time_ns() // 1_000_000)
        line = stack.enter_context(TelemetryLine(endpoint))
        voice: Voice
        if link is None:
            voice, where = Printed(read.site.name, drone.name, click.echo), "nothing is published"
        else:
            birth = birth_of(read, drone, rate, numbers.boot)
            node = NodeVoice(link.where, read.site.name, drone.name, birth, numbers.session, link.account())
            voice = stack.enter_context(node)
            where = f"broker {link.where[0]}:{link.where[1]}"
        talk.step(1, f"{drone.name}: listening for telemetry on {endpoint}; {where}")
        relay = Bridge(
            read, drone, line, voice, numbers,
            camera=camera, gimbal=not fixed, system=system, rate=rate, note=lambda words: _say(talk, words),
        )  # fmt: skip
        end, before = math.inf if for_s is None else time.monotonic() + for_s, ""
        asked = stack.enter_context(_interruption())
        try:
            while (now := time.monotonic()) < end and not asked():
                until = min(end, now + 1.0)
                relay.run(lambda until=until: time.monotonic() < until and not asked())  # type: ignore[misc]
                if (state := _link_state(voice)) != before:
                    _say(talk, state or "the link to the broker is up again")
                    before = state
                talk.now(1, _counts(relay))
        finally:
            talk.settle()
            talk.step(1, _counts(relay))
        if asked():
            raise KeyboardInterrupt
    return 0


@contextlib.contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, inside the block: a report is then either said and counted, or neither.

    A second Ctrl-C ends at once, whatever is under way.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(_number: int, _frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    if before is signal.default_int_handler:  # an ignored one (nohup) stays so
        signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _say(talk: Talk, words: str) -> None:
    talk.settle()
    talk.note("note: " + clean(words))


def _counts(relay: "Bridge") -> str:
    """`reports 120; messages 3400, 2 bad (invalid CRC)`."""
    said = f"reports {relay.sent}"
    if relay.unsent:
        said += f", {relay.unsent} not sent while the broker was away"
    if relay.unsaid:
        said += f", {relay.unsaid} that the wire cannot say"
    said += f"; messages {relay.line.messages}"
    if relay.line.bad:
        reason = clean(relay.line.reason[:120])
        said += f", {relay.line.bad} bad, the last: {reason}"
    return said if relay.telemetry.heard_at is not None else f"{said}; no vehicle was heard"


def _link_state(voice: Any) -> str:
    """What keeps reports from the broker; "" where nothing does, and for a dry run."""
    refusal, connected = getattr(voice, "refusal", ""), getattr(voice, "connected", True)
    if refusal:
        return f"the broker refuses us: {refusal}"
    return "" if connected else "no link to the broker"


def _drone(read: "Scenario", name: str, site: Path) -> "Drone":
    known(name, [drone.name for drone in read.drones], "drone", site)
    return next(drone for drone in read.drones if drone.name == name)


def _camera(drone: "Drone", name: str | None, fixed: bool) -> str | None:
    """The sensor that gimbal and camera speak of; None where --fixed leaves that open."""
    names = [sensor.name for sensor in drone.sensors]
    if name is None:
        if len(names) == 1:
            return names[0]
        if fixed:
            return None
        raise click.UsageError(
            f"{drone.name} has several sensors ({', '.join(names)}); name the one on its gimbal, or say --fixed"
        )
    if name not in names:
        raise click.UsageError(f"{drone.name} has no sensor {name!r}; it has {', '.join(names)}")
    return name
