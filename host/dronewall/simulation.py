"""`dronewall simulate`: a wall of simulated nodes for others to listen to, what it costs, and faults on request."""

import contextlib
import math
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from dronewall.options import WEEK_S, Address, Seconds, loudness, own_terrain
from dronewall.talk import Talk

if TYPE_CHECKING:
    from dronewall.live.simulate import SimulatedNodes

_SETTLED_S = 15.0  # faults begin once all are online, or so long after the start
_START_S = 0.1  # between two starts: one takes a third of a second of one core
_POLL_S = 0.2
_ONE_LINE_S = 10.0  # where nobody watches a terminal
_DEVICE = {"gnss": ("receiver", "silent"), "uart": ("receiver", "garbage"), "compass": ("qmc5883l", "silent")}
FAULTS = {
    "wifi": "the network is gone",
    "power": "the node is without power",
    "gnss": "its receiver is silent",
    "uart": "its receiver says anything",
    "compass": "its compass does not answer",
    "stuck": "its loop stands still",
}


class FaultOrder(NamedTuple):
    """A fault that somebody asks for: which, of which node, for how long [s]."""

    kind: str
    node: str
    seconds: float


class Fault(click.ParamType):
    """A fault from `wifi:P3:10`."""

    name = "fault"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FaultOrder:
        if isinstance(value, FaultOrder):
            return value
        kind, _, rest = value.strip().partition(":")
        node, _, length = rest.rpartition(":")
        try:
            seconds = float(length.removesuffix("s"))
        except ValueError:
            seconds = math.nan
        if kind not in FAULTS or not node or not 0.0 < seconds <= WEEK_S:
            self.fail(
                f"{value.strip()!r} is no fault; expected KIND:NODE:SECONDS with one of {', '.join(FAULTS)}, "
                "such as wifi:P3:10",
                param,
                ctx,
            )
        return FaultOrder(kind, node, seconds)


@click.command()
@click.argument("site", type=click.Path(path_type=Path))
@own_terrain
@click.option("--nodes", "count", type=click.IntRange(1, 500), metavar="N",
              help="So many nodes: the site's first ones, or all and copies spread evenly along the frontage. Drones "
                   "come on top. [default: those of the site]")  # fmt: skip
@click.option("--broker", type=Address(), metavar="HOST:PORT",
              help="A broker that is there, without TLS and password. [default: one of our own, here]")  # fmt: skip
@click.option("--for", "for_s", type=Seconds(0.0, WEEK_S), metavar="SECONDS", help="How long. [default: until Ctrl-C]")
@click.option("--fault", "faults", type=Fault(), multiple=True, metavar="KIND:NODE:SECONDS",
              help=f"What goes wrong once all are online: {', '.join(FAULTS)}; may be repeated.")  # fmt: skip
@loudness
def simulate(
    site: Path,
    terrain: Path | None,
    count: int | None,
    broker: tuple[str, int] | None,
    for_s: float | None,
    faults: tuple[FaultOrder, ...],
    verbose: int,
    quiet: bool,
) -> int:
    """Run the nodes of SITE on this machine, each the real firmware in a MicroPython process, for others to listen to.

    Says who is online, what is heard and what it costs, until Ctrl-C; `dronewall watch` and `dronewall record` can
    listen to the same broker meanwhile. Nodes start one after the other.
    """
    with Talk(3, verbose, quiet) as talk, contextlib.ExitStack() as stack:
        from dronewall import demo, scenario
        from dronewall.engine.ground import ground_of
        from dronewall.engine.plan import plan_of
        from dronewall.live.broker import Broker
        from dronewall.live.devices import spread
        from dronewall.live.ingest import Ingest, take
        from dronewall.live.moment import state_of
        from dronewall.live.simulate import micropython

        micropython()
        read = scenario.read(site, terrain)
        talk.now(1, "reading the ground")
        ground = ground_of(read)
        plan = plan_of(ground)
        wall = spread(read, count) if count is not None else read
        host, port = broker or ("127.0.0.1", 0)
        if broker is None:
            own = stack.enter_context(Broker(1883))
            host, port = own.host, own.port
        port = port or 1883
        nodes = demo.simulated(wall, ground, plan, host, port, intruders=True, every_s=_START_S)
        for order in faults:
            if order.node not in nodes.names:
                more = " ..." if len(nodes.names) > 8 else ""
                raise click.UsageError(f"no node {order.node!r} to break; there are {', '.join(nodes.names[:8])}{more}")
        state, heard = state_of(wall), Counter[str]()
        ingest = stack.enter_context(Ingest(host, port, wall.site.name))
        ingest.wait(10.0)
        stack.enter_context(nodes)
        talk.settle()
        talk.step(1, f"broker {host}:{port}, wall {wall.site.name}: {len(nodes.names)} nodes start")
        begun = shown = time.monotonic()
        meter = Meter(nodes)
        all_online: float | None = None
        waiting, ends = list(faults), list[tuple[float, FaultOrder]]()
        told: set[str] = set()
        end = math.inf if for_s is None else begun + for_s
        try:
            while (now := time.monotonic()) < end:
                arrival = ingest.next(min(_POLL_S, end - now))
                while arrival is not None:
                    take(state, arrival)
                    if arrival.report is not None and not arrival.retained:
                        heard[arrival.report.kind] += 1
                    arrival = ingest.next()
                online = sum(node.state == "ready" for node in state.nodes(time.time_ns() // 1_000_000))
                if all_online is None and online >= len(nodes.names):
                    all_online = now - begun
                    talk.settle()
                    talk.step(2, f"all {online} online after {all_online:.1f} s")
                    meter.begin()
                if waiting and (all_online is not None or now > begun + _SETTLED_S):
                    ends += [(now + order.seconds, order) for order in waiting]
                    for order in waiting:
                        _strike(nodes, order, True)
                        talk.settle()
                        talk.note(f"note: {order.node}: {FAULTS[order.kind]} for {order.seconds:g} s")
                    waiting = []
                for over in [over for over in ends if over[0] <= now]:
                    ends.remove(over)
                    _strike(nodes, over[1], False)
                told |= nodes.failed().keys()  # their last words are in the log
                if told == set(nodes.names):
                    raise demo.NodesDied("every node ended by itself; their last words are above")
                often = talk.terminal or now >= shown + _ONE_LINE_S
                if often:
                    shown = now
                    words = f"online {online}/{len(nodes.names)}, {_counts(heard, now - begun)}, {meter.words()}"
                    talk.now(3, words, everywhere=True)
        finally:
            talk.settle()
            for order in waiting:
                talk.note(f"note: {order.node}: never begun: {FAULTS[order.kind]} for {order.seconds:g} s")
            took = time.monotonic() - begun
            resets = sum(nodes.resets(name) for name in nodes.names)
            costs = meter.words()
            lines = [
                f"nodes       {len(nodes.names)}, "
                + (f"all online after {all_online:.1f} s" if all_online is not None else "never all online")
                + f"; resets {resets}, ended by themselves {len(told)}",
                f"heard       {_counts(heard, took)} in {took:.0f} s",
                f"they took   {costs}",
            ]
            for line in lines:
                click.echo(line)
    return 0


def _counts(heard: Counter[str], seconds: float) -> str:
    return ", ".join(
        f"{word} {heard[kind]} ({heard[kind] / max(seconds, 1e-3):.1f}/s)"
        for kind, word in (("frustum", "frusta"), ("detection", "detections"))
    )


def _strike(nodes: "SimulatedNodes", order: FaultOrder, begins: bool) -> None:
    """Begins a fault, or ends it."""
    if order.kind == "power":
        if begins:
            nodes.cut_power(order.node, order.seconds)
    elif order.kind == "wifi":
        nodes.tell(order.node, "air", {"down": True} if begins else None)
    elif order.kind == "stuck":
        nodes.tell(order.node, "faults", {"stuck": True} if begins else None)
    else:
        nodes.tell(order.node, "faults", {"devices": dict([_DEVICE[order.kind]])} if begins else None)


class Meter:
    """What the nodes' processes take, where /proc tells (Linux): memory, with their share of what they have in common
    (PSS), and time of the processor since `begin`.
    """

    def __init__(self, nodes: "SimulatedNodes") -> None:
        self._nodes = nodes
        self._begun = time.monotonic()
        self._before: dict[int, float] = {}
        self.begin()

    def begin(self) -> None:
        """Counts from now on."""
        self._begun = time.monotonic()
        self._before = self._times()

    def words(self) -> str:
        """`CPU 25 % of one core, memory 230 MB`."""
        now = self._times()
        took = sum(seconds - self._before.get(pid, 0.0) for pid, seconds in now.items())
        share = 100 * took / max(time.monotonic() - self._begun, 1e-3)
        memory = sum(_pss(self._nodes.pids().values()))
        return f"CPU {share:.0f} % of one core, memory {memory / 1e6:.0f} MB" if now else "unknown here: no /proc"

    def _times(self) -> dict[int, float]:
        found = {}
        for pid in self._nodes.pids().values():
            with contextlib.suppress(OSError, IndexError, ValueError):
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                found[pid] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        return found


def _pss(pids: Iterable[int]) -> list[int]:
    """[bytes] of each process."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError, IndexError, ValueError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found.append(1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:")))
    return found
