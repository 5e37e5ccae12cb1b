"""A Cycle made by hand over any Coverage: no search ran to make it, and its every answer follows from a few rules.

The cycle lasts 1200 s in 240 steps. D1 and D2 take turns on the sortie `valley`: each flies once to and fro between 10
and 50 % of the frontage, 80 m on the threat's side, on station for 480 s and with 10 s there and 10 s home; D1 takes
off at 30 s, D2 600 s later, so that nobody is on station for 120 s twice a cycle. Two airframes could be there always,
with four batteries in place of three. D3 flies for ever on the sortie `hills`: three times a cycle out along the
frontage from 55 to 90 % and back behind it. A drone watches the frontage within RADIUS [m] of its own chainage.

Who sets out at t is at the frontage front / speed later: detection adds RATE in every second of the NEAR around it
in which a drone watches his station. The weakest ways of the whole line keep 10 % of it from its ends.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import coverage_fixture
from dronewall.engine.cycle import Cycle, Lost, Opening, TargetCycle, TimedCrossing, Without
from dronewall.engine.frustum import Frustum
from dronewall.engine.patrol import Airframe, Plan, Sortie
from dronewall.engine.revisit import Revisit
from dronewall.engine.route import Route
from dronewall.engine.wall import Coverage, TargetCoverage

LENGTH, STEPS = 1200.0, 240
STEP = LENGTH / STEPS
RADIUS = 150.0
RATE = 0.02
NEAR = 200.0


def beside(coverage: Coverage, start: float, end: float, offset: float) -> Any:
    """Places (n, 2) along a share of the frontage, so far on the threat's side."""
    chainages = np.linspace(start, end, 15) * coverage.frontage.length
    return np.stack(coverage.frontage.at(chainages), 1) + offset * np.stack(coverage.frontage.normal(chainages), 1)


def plan(coverage: Coverage) -> Plan:
    """The two sorties above."""
    shuttle = Route(beside(coverage, 0.1, 0.5, 80.0), "shuttle")
    quad = Airframe("quad", shuttle.length / 480.0, endurance=600.0, reserve=100.0, turnaround=100.0)
    first, second = shuttle.waypoints[:2]
    launch = first - 10.0 * quad.speed * (second - first) / np.hypot(*(second - first))
    turns = Sortie("valley", ("D1", "D2"), quad, shuttle, (float(launch[0]), float(launch[1])), -30.0, 600.0, 3, 1300.0)
    loop = Route(np.concatenate([beside(coverage, 0.55, 0.9, 60.0), beside(coverage, 0.9, 0.55, -60.0)]), "loop")
    kite = Airframe("kite", loop.length / 400.0)
    return Plan((turns, Sortie("hills", ("D3",), kite, loop)))


def frusta(over: Plan, time: float) -> dict[str, Frustum]:
    """The drones' cameras in the air at a time."""
    found = {}
    for drone in ("D1", "D2", "D3"):
        there = over.at(drone, time)
        if there is not None:
            found[f"{drone}/cam"] = Frustum(
                name=f"{drone}/cam",
                shape="pyramid",
                east=there.east,
                north=there.north,
                eye_amsl=None,
                eye_agl=100.0,
                azimuth=there.course,
                elevation=math.radians(-45.0),
                roll=0.0,
                hfov=math.radians(60.0),
                vfov=math.radians(40.0),
                range_min=10.0,
                range_max=600.0,
                model={},
                moving=True,
            )
    return found


def watched_by_drones(coverage: Coverage, flying: Any, chainage: Any) -> Any:
    """Whether a drone watches each station in the middle of each step, (n, STEPS)."""
    found = np.zeros((len(chainage), STEPS), dtype=bool)
    for step, there in enumerate(flying):
        for frustum in there.values():
            at, _ = coverage.frontage.locate(frustum.east, frustum.north)
            found[:, step] |= np.abs(chainage - at) <= RADIUS
    return found


def revisit(watched: Any, unknown: Any) -> Revisit:
    """Of stations (n, STEPS) over one cycle that wraps round, interval by interval."""
    share, longest, average, following = (np.full(len(watched), np.nan) for _ in range(4))
    for index, row in enumerate(watched):
        if unknown[index]:
            continue
        share[index] = row.mean()
        if row.all():
            longest[index] = average[index] = following[index] = 0.0
        elif not row.any():
            longest[index] = average[index] = LENGTH
            following[index] = math.inf
        else:
            seen = np.flatnonzero(row)
            gaps = np.diff(np.append(seen, seen[0] + STEPS)) - 1
            longest[index] = gaps.max() * STEP
            average[index] = ((gaps * STEP) ** 2).sum() / LENGTH
            following[index] = seen[0] * STEP
    return Revisit(share, longest, average, following)


def spread(coverage: Coverage, of: Revisit, chainage: Any) -> Revisit:
    """A Revisit of the belt's cells: each as the station nearest by chainage."""
    belt = coverage.ground.belt
    near = np.clip(np.searchsorted((chainage[1:] + chainage[:-1]) / 2.0, np.nan_to_num(belt.chainage)), 0, None)

    def part(values: Any) -> Any:
        return np.where(belt.inside, values[near], np.nan)

    return Revisit(part(of.share), part(of.longest), part(of.time_average), part(of.next_look))


def openings(chainage: Any, step: float, outsets: Any, p: Any, threshold: float) -> tuple[Opening, ...]:
    """Runs of stations that are open at some time; times joined over all of their stations."""
    found = []
    some = (p < threshold).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], some.astype(int), [0]])))
    every = outsets[1] - outsets[0]
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        when = (p[first:after] < threshold).any(axis=0)
        least = float(np.nanmin(p[first:after]))
        start, end = float(chainage[first] - step / 2), float(chainage[after - 1] + step / 2)
        if when.all():
            found.append(Opening(start, end, ((0.0, LENGTH),), LENGTH, True, least))
            continue
        turn = int(np.flatnonzero(~when)[0])  # begin where it is closed, so that no time is cut in two
        rolled = np.roll(when, -turn)
        ends = np.flatnonzero(np.diff(np.concatenate([[0], rolled.astype(int), [0]])))
        times = [
            (float((a + turn) % len(when) * every), float((a + turn) % len(when) * every + (b - a) * every))
            for a, b in zip(ends[::2], ends[1::2], strict=True)
        ]
        found.append(Opening(start, end, tuple(sorted(times)), float(when.sum() * every), False, least))
    return tuple(found)


def _crossing(coverage: Coverage, at: int, of: TargetCoverage, outset: float, waits: float, p: float) -> TimedCrossing:
    """Straight down a lane, waiting half way to the frontage."""
    speed, frontage = of.target.speed_mps, coverage.frontage
    far, near = np.asarray(of.stations.lane[at], dtype=float)
    half = far + (near - far) * 0.5 * frontage.front / frontage.depth
    points = np.array([far, half, half, near])
    until = 0.5 * frontage.front / speed
    clock = outset + np.array([0.0, until, until + waits, waits + frontage.depth / speed])
    chainage = float(of.stations.chainage[at])
    return TimedCrossing(*points.T, clock, outset, float(clock[-1]), waits, chainage, p, 0.5 * p)


def _target(coverage: Coverage, of: TargetCoverage, flying: Any, thinner: float) -> TargetCycle:
    at, thresholds, speed = of.stations, coverage.scenario.thresholds, of.target.speed_mps
    flown = watched_by_drones(coverage, flying, at.chainage)
    watched = flown | (np.asarray(at.line_p) >= thresholds.line_p)[:, None]
    watched[np.asarray(at.unknown)] = False
    outsets = np.arange(0.0, LENGTH, 20.0)
    total = np.concatenate([np.zeros((len(flown), 1)), np.cumsum(np.tile(flown, (1, 3)), axis=1)], axis=1)
    count = round(NEAR / STEP)
    reaches = (outsets + coverage.frontage.front / speed) % LENGTH
    first = np.round(reaches / STEP).astype(int) + STEPS - count // 2
    seconds = STEP * (total[:, first + count] - total[:, first])
    fixed = -thinner * np.log(np.clip(1.0 - np.asarray(at.breach_p), 1e-6, 1.0))
    crossing_p = 1.0 - np.exp(-(fixed[:, None] + RATE * seconds))
    knowing_p = 0.8 * crossing_p.min(axis=1)
    when = outsets[crossing_p.argmin(axis=1)]
    waits = np.where(crossing_p.min(axis=1) < crossing_p.max(axis=1), 70.0, 0.0)
    mean = crossing_p.mean(axis=1)
    own = revisit(watched, np.asarray(at.unknown))
    inner = np.minimum(at.chainage, coverage.frontage.length - at.chainage) > 0.1 * coverage.frontage.length
    weakest, least = (int(np.argmin(np.where(inner, values, np.inf))) for values in (mean, knowing_p))
    return TargetCycle(
        target=of.target,
        level=of.level,
        stations=at,
        revisit=spread(coverage, own, np.asarray(at.chainage)),
        station_revisit=own,
        watched=watched,
        outsets=outsets,
        crossing_p=crossing_p,
        unknowing_p=mean,
        knowing_p=knowing_p,
        knowing_outset=when,
        knowing_waits=waits,
        unknowing=_crossing(coverage, weakest, of, 0.0, 0.0, float(mean[weakest])),
        knowing=_crossing(coverage, least, of, float(when[least]), float(waits[least]), float(knowing_p[least])),
        openings=openings(at.chainage, at.step, outsets, crossing_p, thresholds.lane_p),
    )


def cycle(coverage: Coverage, thinner: float = 1.0, **changes: Any) -> Cycle:
    """The Cycle of that wall, whose fixed sensors see so much less; further keywords replace fields of it."""
    over = plan(coverage)
    flying = tuple(frusta(over, (step + 0.5) * STEP) for step in range(STEPS))
    targets = tuple(_target(coverage, of, flying, thinner) for of in coverage.targets)
    fields: dict[str, Any] = {
        "ground": coverage.ground,
        "plan": over,
        "length": LENGTH,
        "step": STEP,
        "steps": STEPS,
        "periodic": True,
        "frusta": flying,
        "targets": targets,
        "losses": (
            Lost("D1", "valley", 60.0, 600.0, _without(targets, 0.5)),
            Lost("D3", "hills", 0.0, None, _without(targets, 0.25)),
        ),
        "max_crossing": {each.target.name: 3.0 * coverage.frontage.depth / each.target.speed_mps for each in targets},
        "digest": coverage.digest,
        "version": coverage.version,
    }
    return Cycle(**fields | changes)


def nobody_flies() -> Cycle:
    """A cycle of a plan without a sortie, with one time of setting out."""
    found = cycle(wall(), plan=Plan(()), frusta=({},) * STEPS, losses=())
    targets = tuple(
        dataclasses.replace(of, outsets=of.outsets[:1], crossing_p=of.crossing_p[:, :1]) for of in found.targets
    )
    return dataclasses.replace(found, targets=targets)


def wall(**changes: Any) -> Coverage:
    """`coverage_fixture.coverage`, whose scenario knows its posts, too."""
    found = coverage_fixture.coverage(**changes)
    posts = []
    for name, (east, north) in found.posts.items():
        latitude, longitude = found.site.to_geodetic(east, north)
        posts.append(SimpleNamespace(name=name, latitude_deg=float(latitude), longitude_deg=float(longitude)))
    scenario = SimpleNamespace(**vars(found.scenario), posts=tuple(posts))
    return dataclasses.replace(found, ground=dataclasses.replace(found.ground, scenario=scenario))


def _without(targets: Any, share: float) -> Any:
    """The knowing walker's least P with the drone, and so much of it without."""
    return tuple(
        Without(each.target, each.level, each.knowing.probability, share * each.knowing.probability, 300.0, 450.0)
        for each in targets
    )


@functools.cache
def real() -> tuple[Coverage, Cycle]:
    """The demo's wall as it is planned, and a Cycle over it; once a process."""
    from dronewall import scenario
    from dronewall.engine.ground import ground_of
    from dronewall.engine.plan import planned
    from dronewall.engine.wall import cover

    ground = ground_of(scenario.read(Path(__file__).parents[1] / "examples" / "jacksboro.toml"))
    found = cover(ground, planned(ground, 0.0))
    return found, cycle(found, 0.3)
