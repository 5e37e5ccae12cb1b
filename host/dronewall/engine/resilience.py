"""What a line loses with a post, a node, an access point or a jammed area, and how many losses it stands.

The *resilience* of a line against a target is the least number of nodes whose loss opens it: after which the best
crossing at some station, or the weakest route of all, is detected with less than `lane_p`. Single losses are judged by
that audited probability, all of them, and so are the pairs and triples that are ranked. Larger sets are searched by the
summed field (`fewest`), which promises at least what the audit finds: a set that opens the line by the field does so by
the audit, too; one that only the audit calls open may be missed unless it was ranked.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dronewall.engine.breach import Counted, crossings, guide_of
from dronewall.engine.fewest import MOST_SETS, Fewest, Nodes, fewest
from dronewall.engine.field import node_of
from dronewall.engine.levels import Level
from dronewall.engine.loss import Integers, Line, Loss, Place, opened, without
from dronewall.engine.pool import Pool
from dronewall.engine.wall import Coverage, TargetCoverage, going_of, target_of
from dronewall.scenario import AccessPoint, Gateway

__all__ = ["Losses", "Together", "Unit", "lines_of", "losses", "units", "worst_loss"]

Kind = Literal["post", "node", "access point", "gateway", "area"]
Jam = tuple[float, float, float]
"""A jammed area: latitude, longitude [degrees], radius [m]."""

_BEST = 30
"""Nodes that are put together with others that they have nothing to do with: those that open most alone."""
_RANKED = 20


@dataclass(frozen=True)
class Unit:
    """What can be lost at one blow, and the nodes that are lost with it."""

    kind: Kind
    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Together:
    """Nodes that are lost together: metres of breach gap that it opens, how many of these none of them opens alone, and
    the least P there; None where it opens nothing.
    """

    nodes: tuple[str, ...]
    metres: float
    beyond: float
    opening: Place | None


@dataclass(frozen=True)
class Losses:
    """What the losses do to the line against one target at one level.

    single: every unit with what its loss does, the most metres of breach gap first, then the least P. unasked: units
    for which there was no time. together: nodes in pairs and more, likewise, the first of them. untried: combinations
    for which there was no time; they open at least what their parts do. fewest: the resilience.
    """

    of: TargetCoverage
    single: tuple[tuple[Unit, Loss], ...]
    unasked: int
    together: tuple[Together, ...]
    untried: int
    fewest: Fewest


def units(coverage: Coverage, jams: Iterable[Jam] = ()) -> tuple[Unit, ...]:
    """All that can be lost at one blow: posts, nodes that share a post with others or stand at none, access points and
    gateways with the nodes that reach home through them, and jammed areas.
    """
    scenario = coverage.scenario
    alive = {node_of(sensor.name): sensor for sensor in coverage.sensors if sensor.frustum is not None}
    found = [Unit("post", post.name, _lost(coverage, alive, posts={post.name})) for post in scenario.posts]
    alone = {unit.nodes for unit in found}
    found += [Unit("node", name, (name,)) for name in alive if (name,) not in alone]
    found += [
        Unit("access point", point.name, _lost(coverage, alive, points={point.name}))
        for point in scenario.access_points
    ]
    found += [
        Unit("gateway", gateway.name, _lost(coverage, alive, gateways={gateway.name})) for gateway in scenario.gateways
    ]
    found += [jammed(coverage, jam) for jam in jams]
    return tuple(unit for unit in found if unit.nodes)


def _lost(
    coverage: Coverage,
    alive: Iterable[str],
    *,
    posts: Iterable[str] = (),
    points: Iterable[str] = (),
    gateways: Iterable[str] = (),
    nodes: Iterable[str] = (),
) -> tuple[str, ...]:
    """The nodes that go with posts, access points, gateways and nodes: those there, and all whose way home is cut."""
    scenario = coverage.scenario
    gone_posts, gone = set(posts), set(points)
    gone |= {point.name for point in scenario.access_points if point.post in gone_posts}
    # No chain of links is longer than there are access points.
    for _ in scenario.access_points:
        gone |= {point.name for point in scenario.access_points if point.via in gone}
    mute = set(gateways)
    mute |= {each.name for each in scenario.gateways if each.post in gone_posts or each.access_point in gone}
    lost = set(nodes)
    for node in scenario.nodes:
        if node.post in gone_posts or node.access_point in gone or node.gateway in mute:
            lost.add(node.name)
    return tuple(sorted(lost & set(alive)))


def jammed(coverage: Coverage, jam: Jam) -> Unit:
    """What an area without radio takes: the nodes in it, and those that reach home through what stands in it."""
    latitude, longitude, radius = jam
    east, north = (float(part) for part in coverage.site.to_site(latitude, longitude))

    def inside(place: tuple[float, float]) -> bool:
        return math.hypot(place[0] - east, place[1] - north) <= radius

    def heard(antennas: Iterable[AccessPoint | Gateway]) -> set[str]:
        places = {each.name: coverage.site.to_site(each.latitude_deg, each.longitude_deg) for each in antennas}
        return {name for name, place in places.items() if inside((float(place[0]), float(place[1])))}

    nodes = {
        node_of(sensor.name)
        for sensor in coverage.sensors
        if sensor.frustum is not None and inside((sensor.frustum.east, sensor.frustum.north))
    }
    scenario = coverage.scenario
    alive = {node_of(sensor.name) for sensor in coverage.sensors if sensor.frustum is not None}
    lost = _lost(coverage, alive, points=heard(scenario.access_points), gateways=heard(scenario.gateways), nodes=nodes)
    return Unit("area", f"{radius:g} m around {latitude:.5f},{longitude:.5f}", lost)


def lines_of(
    coverage: Coverage, target: str | None = None, level: Level | None = None
) -> list[tuple[TargetCoverage, Line]]:
    """The lines of a coverage whose fields were kept: of all targets and levels, or of those named. They have fields of
    their own: what is lost there is there in the coverage.
    """
    thresholds, ground = coverage.scenario.thresholds, coverage.ground
    counted = Counted(thresholds.k, thresholds.look_s, thresholds.count_p)
    return [
        (
            one,
            Line(
                coverage.terrain, coverage.frontage, ground.belt, one.field.copy(), target_of(one.target),
                going_of(ground, one.target), one.level, counted,
                thresholds.lateral_m, thresholds.line_p, thresholds.lane_p, one.stations, one.route,
            ),
        )
        for one in coverage.targets
        if one.field is not None and target in (None, one.target.name) and level in (None, one.level)
    ]  # fmt: skip


def losses(
    coverage: Coverage,
    *,
    count: int = 1,
    asked: int = 3,
    target: str | None = None,
    level: Level | None = None,
    jams: Sequence[Jam] = (),
    go_on: Callable[[], bool] = lambda: True,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Losses, ...]:
    """What the losses of all units do, of up to `count` nodes together, and the resilience, exact up to `asked` nodes;
    for each target and level, or those named. What `go_on` leaves no time for is told as not known. progress: called
    with the number of single losses done and of all.
    """
    lines, lost = lines_of(coverage, target, level), units(coverage, jams)
    done = itertools.count(1)
    whole = len(lines) * len(lost)

    def tick() -> None:
        number = next(done)
        if progress is not None:
            progress(number, whole)

    stopped = False

    def still() -> bool:
        return not stopped and go_on()

    with Pool() as pool:
        told = [pool.submit(_losses, one, line, lost, count, asked, still, tick) for one, line in lines]
        try:
            return tuple(each.result() for each in told)
        finally:
            stopped = True  # whoever interrupts us does not wait for the rest


def _losses(
    of: TargetCoverage,
    line: Line,
    lost: Sequence[Unit],
    count: int,
    asked: int,
    go_on: Callable[[], bool],
    tick: Callable[[], None],
) -> Losses:
    sensors: dict[str, list[str]] = {}
    for name in line.field:
        sensors.setdefault(node_of(name), []).append(name)

    asked_of: dict[tuple[str, ...], Loss] = {}

    def loss_of(nodes: tuple[str, ...]) -> Loss:
        """The loss of nodes, of which those that see nothing here do not matter."""
        here = tuple(sorted(set(nodes) & set(sensors)))
        if here not in asked_of:
            asked_of[here] = without(line, [sensor for node in here for sensor in sensors[node]])
        return asked_of[here]

    single = []
    for unit in lost:
        if go_on():
            single.append((unit, loss_of(unit.nodes)))
        tick()
    single.sort(key=lambda each: (-each[1].more(), each[1].worst[0]))
    alone = {}
    for node in sensors:
        if go_on():
            alone[node] = loss_of((node,))
    nodes = Nodes(
        line.field, line.belt, line.counted, line.going, line.frontage.front, line.frontage.behind, line.lane_p
    )
    together, untried, opening = _together(line, nodes, alone, count, loss_of, go_on)
    found = _resilience(line, nodes, alone, len(sensors), opening, asked, go_on)
    return Losses(of, tuple(single), len(lost) - len(single), tuple(together[:_RANKED]), untried, found)


def _resilience(
    line: Line,
    nodes: Nodes,
    alone: dict[str, Loss],
    count: int,
    opening: list[tuple[str, ...]],
    asked: int,
    go_on: Callable[[], bool],
) -> Fewest:
    """`fewest`, but what the audit already calls open is."""
    none = without(line, ())
    if none.worst[0] < line.lane_p:
        return Fewest(0, 0, (frozenset(),), asked, True)
    ones = tuple(frozenset({node}) for node, loss in alone.items() if loss.worst[0] < line.lane_p)
    if ones:
        return Fewest(1, 1, ones[:MOST_SETS], asked, len(alone) == count)
    return _bounded(fewest(nodes, asked, go_on), opening)


def _bounded(found: Fewest, opening: Sequence[tuple[str, ...]]) -> Fewest:
    """What the field says of the fewest nodes, given sets of which the audit says that they open the line."""
    least = min(map(len, opening), default=math.inf)
    if found.high is None or least >= found.high:
        return found
    low = min(found.low, int(least))
    sets = tuple(frozenset(each) for each in opening if len(each) == low)[:MOST_SETS]
    return Fewest(low, int(least), sets, found.asked, found.ended)


def _together(
    line: Line,
    nodes: Nodes,
    alone: dict[str, Loss],
    count: int,
    loss_of: Callable[[tuple[str, ...]], Loss],
    go_on: Callable[[], bool],
) -> tuple[list[Together], int, list[tuple[str, ...]]]:
    """The combinations of up to `count` nodes, the worst first, how many were not tried, and those that open the line.

    Only nodes that touch the same station can do more there than each of them alone; elsewhere their effects add up.
    First come those at most stations that the field without its `size` highest rates leaves open. The audit may call
    open what the field does not, so the others follow, unless both always say the same.
    """
    untried, opening = 0, []
    tried: dict[tuple[str, ...], Loss] = {(node,): loss for node, loss in alone.items()}
    closed = line.at.breach_p >= line.lane_p
    touched = {node: frozenset(loss.touched[closed[loss.touched]].tolist()) for node, loss in alone.items()}
    same = _audited_as_summed(line)
    for size in range(2, count + 1):
        suspect = frozenset(np.flatnonzero(_suspect(line, nodes, size)).tolist())
        meetings = [(names, len(shared & suspect), len(shared)) for names, shared in _meetings(touched, size)]
        wanted = sorted((each for each in meetings if each[1] or not same), key=lambda each: (-each[1], -each[2]))
        for number, (names, _, _) in enumerate(wanted):
            if not go_on():
                untried += len(wanted) - number
                break
            tried[names] = loss_of(names)
            if tried[names].worst[0] < line.lane_p:
                opening.append(names)
    found = []
    for size in range(2, count + 1):
        best = sorted(alone, key=lambda node: -alone[node].more())[:_BEST]
        some = set(itertools.combinations(sorted(best), size)) | {names for names in tried if len(names) == size}
        parts = [names for names in tried if len(names) == size - 1 and size > 2]
        some |= {tuple(sorted({*names, node})) for names in parts for node in best if node not in names}
        found += [_added(line, names, tried) for names in some]
    # A node that adds nothing is none of a combination's.
    found = [
        each
        for each in found
        if all(
            _added(line, tuple(name for name in each.nodes if name != node), tried).metres < each.metres
            for node in each.nodes
        )
    ]
    found.sort(key=lambda each: (len(each.nodes), -each.metres, each.opening or (1.0, 0.0), each.nodes))
    return _first_of_each(found, count), untried, opening


def _first_of_each(found: list[Together], count: int) -> list[Together]:
    """As many of each size as find room."""
    room = _RANKED // max(count - 1, 1)
    return [each for size in range(2, count + 1) for each in [one for one in found if len(one.nodes) == size][:room]]


def _suspect(line: Line, nodes: Nodes, size: int) -> Integers:
    """Which stations may be opened by `size` losses, by the field; those that are open already are none of them."""
    rate = nodes.relaxed(nodes.whole(), frozenset(), frozenset(), size)
    frontage, chainage = line.frontage, line.at.chainage
    guide = guide_of(line.belt, rate, line.going, frontage.front, frontage.behind)
    cells = np.stack(line.terrain.cells(line.at.east, line.at.north), axis=-1)
    best = crossings(line.belt, guide, line.going, frontage.front, frontage.behind, cells, chainage, line.lateral)
    there = np.diff(best.ways.ends, prepend=0) > 0
    return np.asarray(there & (best.exposure < nodes.most * (1.0 + 1e-9)) & (line.at.breach_p >= line.lane_p))


def _audited_as_summed(line: Line) -> bool:
    """Whether the audit finds all that the summed field promises: no ceiling, no error of pose, no sleep is in it."""
    windows = [line.field[name] for name in line.field]
    return all(
        isinstance(each.ceiling, float) and each.ceiling == 1.0 and each.draws is None and each.duty == 1.0
        for each in windows
        if each.rate.any()
    )


def _meetings(touched: dict[str, frozenset[int]], size: int) -> Iterator[tuple[tuple[str, ...], frozenset[int]]]:
    """Combinations of `size` nodes that all touch a common station, and the stations that they share."""

    def grown(
        names: tuple[str, ...], shared: frozenset[int], rest: list[str]
    ) -> Iterator[tuple[tuple[str, ...], frozenset[int]]]:
        if len(names) == size:
            yield names, shared
            return
        for number, name in enumerate(rest):
            common = shared & touched[name]
            if common:
                yield from grown((*names, name), common, rest[number + 1 :])

    names = sorted(touched)
    for number, name in enumerate(names):
        yield from grown((name,), touched[name], names[number + 1 :])


def _added(line: Line, names: tuple[str, ...], tried: dict[tuple[str, ...], Loss]) -> Together:
    """What nodes open together: what any of those among them that were tried opens."""
    stations: set[int] = set()
    apart: set[int] = set()
    places = []
    for size in range(1, len(names) + 1):
        for some in itertools.combinations(names, size):
            loss = tried.get(some)
            if loss is None:
                continue
            new = loss.opened["breach"].tolist()
            stations.update(new)
            if size == 1:
                apart.update(new)
            if loss.opening is not None:
                places.append(loss.opening)
    step = line.at.step
    return Together(names, len(stations) * step, len(stations - apart) * step, min(places, default=None))


def worst_loss(coverage: Coverage, target: str) -> tuple[str, float] | None:
    """The post, or node at no post or beside others at its post, whose loss opens most, and the metres of breach gap
    that it is expected to open, against one target; None where no loss opens any.
    """
    lost = [unit for unit in units(coverage) if unit.kind in ("post", "node")]
    most, hurts, step = 0, "", 0.0
    for _, line in lines_of(coverage, target, "expected"):
        step = line.at.step
        sensors = [(name, node_of(name)) for name in line.field]
        # Those with the most sensors first: who comes later has to open more than they do.
        for unit in sorted(lost, key=lambda unit: -sum(node in unit.nodes for _, node in sensors)):
            found = opened(line, [name for name, node in sensors if node in unit.nodes], most)
            most, hurts = (found, unit.name) if found > most else (most, hurts)
    return (hurts, most * step) if most else None
