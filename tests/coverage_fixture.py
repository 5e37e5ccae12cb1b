"""A Coverage made by hand, whose every answer is known beforehand: no engine ran to make it.

The frontage is an L: 2000 m due (grid) east from (0, 0), then 1000 m due north; the threat comes from the
left. Line gaps of the walker: 1200 to 1400 m, and 2600 to 2650 m on the second leg. One lane gap: 1150 to
1500 m. One breach gap: 1140 to 1520 m; at the station at 1305 m he is least seen, with 0.02, half of it before he
reaches the frontage and with 95 s of warning, on a crossing that goes round the cell at (1305, 105). Terrain is unknown
west of 100 m, which makes a gap of its own there, of any kind and for either target. The second target, a low drone,
has no other. The walker's weakest route goes down at 1305 m; the one with the least bottleneck at 1450 m.
"""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyproj

from dronewall.engine.earth import Site
from dronewall.engine.exposure import Ways
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import Crossing, Gap, Stations
from dronewall.engine.ground import Ground
from dronewall.engine.levels import Level
from dronewall.engine.sensors import SensorState
from dronewall.engine.terrain import Terrain
from dronewall.engine.wall import Coverage, TargetCoverage

CELL = 10.0
WEST, SOUTH = -500.0, -600.0
COLUMNS, ROWS = 320, 240
STEP = 10.0
LENGTH = 3000.0
LINE_GAPS = ((1200.0, 1400.0), (2600.0, 2650.0))
LANE_GAPS = ((1150.0, 1500.0),)
BREACH_GAPS = ((1140.0, 1520.0),)
WEAKEST = 1305.0
ASSURED_GAP = (1100.0, 1600.0)
UNKNOWN_WEST_OF = 100.0
DIGEST = "0123456789abcdef" * 4
POSTS = {"P1": (200.0, -20.0), "P2": (1100.0, -10.0), "P3": (1700.0, -30.0), "P4": (2020.0, 800.0)}


def coverage(
    *,
    gaps: bool = True,
    posts: dict[str, tuple[float, float]] | None = None,
    assured: bool = False,
    **changes: Any,
) -> Coverage:
    """The wall above, as expected; without `gaps` it holds everywhere it is known. With `assured` also what is assured:
    the walker's first line gap is longer then, ASSURED_GAP, a breach gap too, and he has no other. Further keywords
    replace fields of the Coverage.
    """
    posts = POSTS if posts is None else posts
    frontage = Frontage(np.array([[0.0, 0.0], [2000.0, 0.0], [2000.0, 1000.0]]), 300.0, 150.0, True)
    east = WEST + CELL * (np.arange(COLUMNS) + 0.5)
    north = SOUTH + CELL * (np.arange(ROWS) + 0.5)
    ground = 400.0 + 60.0 * np.sin(east / 300.0)[None, :] * np.cos(north / 250.0)[:, None]
    ground[:, east < UNKNOWN_WEST_OF] = np.nan
    terrain = Terrain(ground, CELL, WEST, SOUTH, posting=90.0, le90=10.0, digest="feed")
    walker = SimpleNamespace(name="walker", height_agl_m=(0.0, 1.7), width_m=0.5, speed_mps=1.4)
    drone = SimpleNamespace(name="low-drone", height_agl_m=(55.0, 65.0), width_m=0.6, speed_mps=15.0)
    first, second, third, *_ = posts
    sensors = (
        SensorState(f"{first}/cam", first, "planned", "", _frustum(f"{first}/cam", *posts[first], 60.0), False),
        SensorState(f"{second}/cam", second, "planned", "", _frustum(f"{second}/cam", *posts[second], 300.0), False),
        SensorState(f"{third}/cam", third, "missing", "never reported", None, False),
        SensorState("D1/cam", None, "planned", "", _frustum("D1/cam", 1500.0, 200.0, 90.0, moving=True), True),
    )
    sure = (_target(frontage, terrain, walker, (ASSURED_GAP,), (), (ASSURED_GAP,), "assured"),) if assured else ()
    sure += (_target(frontage, terrain, drone, (), (), (), "assured"),) if assured else ()
    fields: dict[str, Any] = {
        "scenario": SimpleNamespace(
            site=SimpleNamespace(name="testwall", title="Test wall", crs=None),
            going=SimpleNamespace(slope="none", cost=None, impassable=None),
            thresholds=SimpleNamespace(
                look_s=10.0,
                line_p=0.5,
                lane_p=0.5,
                count_p=0.5,
                k=1,
                lateral_m=100.0,
                gap_min_m=0.0,
                confidence=0.9,
            ),
            targets=(walker, drone),
        ),
        "site": Site(pyproj.CRS.from_epsg(32616), 740_000.0, 4_040_000.0),
        "terrain": terrain,
        "frontage": frontage,
        "targets": (
            _target(frontage, terrain, walker, *((LINE_GAPS, LANE_GAPS, BREACH_GAPS) if gaps else ((), (), ()))),
            _target(frontage, terrain, drone, (), (), ()),
            *sure,
        ),
        "sensors": sensors,
        "posts": dict(posts),
        "at_unix_ms": 1_772_366_400_000,  # 2026-03-01T12:00:00Z
        "source": "plan",
        "digest": DIGEST,
        "version": "1.2.3",
    }
    fields |= changes
    ground = Ground(*(fields.pop(name) for name in ("scenario", "site", "frontage", "terrain")))
    return Coverage(ground=ground, **fields)


def _frustum(name: str, east: float, north: float, azimuth_deg: float, moving: bool = False) -> Frustum:
    return Frustum(
        name=name,
        shape="pyramid",
        east=east,
        north=north,
        eye_amsl=None,
        eye_agl=80.0 if moving else 6.0,
        azimuth=math.radians(azimuth_deg),
        elevation=math.radians(-60.0 if moving else -1.0),
        roll=0.0,
        hfov=math.radians(40.0),
        vfov=math.radians(25.0),
        range_min=5.0,
        range_max=600.0,
        model={},
        moving=moving,
    )


def stations_of(
    chainage: Any, east: Any, north: Any, step: float, line_p: Any, lane_p: Any, unknown: Any, lane: Any
) -> Stations:
    """Stations whose best crossing is their lane, half of it before the frontage, with a minute of warning."""
    warning = np.where(lane_p > 0.0, 60.0, np.nan)
    way = (lane_p, lane_p / 2.0, warning, unknown)
    nobody = Ways(np.zeros((0, 2), dtype=np.int64), np.zeros(len(chainage), dtype=np.int64))
    return Stations(chainage, east, north, step, line_p, unknown, lane, *way, nobody, *way)


def _target(
    frontage: Frontage, terrain: Terrain, target: Any, line: Any, lane: Any, breach: Any, level: Level = "expected"
) -> TargetCoverage:
    """P is 0.1 inside gaps and 0.9 elsewhere; P_look of a cell is that of the nearest frontage point."""
    chainage = frontage.stations(STEP)
    east, north = frontage.at(chainage)
    unknown = (east < UNKNOWN_WEST_OF) & (north < 1.0)
    line_p, lane_p, breach_p = (np.where(unknown, 0.0, _probability(chainage, gaps)) for gaps in (line, lane, breach))
    columns, rows = terrain.centres
    nearest, _ = frontage.locate(columns[None, :], rows[:, None])
    look = np.where(np.isnan(terrain.ground_amsl), np.nan, _probability(nearest, line)).astype(np.float32)
    at = stations_of(chainage, east, north, STEP, line_p, lane_p, unknown, frontage.lanes(chainage))
    routes = at.routes
    if (1140.0, 1520.0) in breach:
        station = int(WEAKEST // STEP)
        breach_p[station] = 0.02
        routes = Ways(_cells(_ROUND), np.where(np.arange(len(chainage)) < station, 0, len(_ROUND)))
    at = dataclasses.replace(
        at,
        breach_p=breach_p,
        breach_before=breach_p / 2.0,
        breach_warning=np.where(breach_p > 0.0, 95.0, np.nan),
        routes=routes,
    )
    dark = (0.0, UNKNOWN_WEST_OF)
    found = [
        _gap(at, target.name, level, kind, *ends)
        for kind, some in (("line", line), ("lane", lane), ("breach", breach))
        for ends in (dark, *some)
    ]
    least = _way(WEAKEST, 0.02) if breach else _way(55.0, 0.0)
    return TargetCoverage(target, level, look, at, 0.5, tuple(found), least, _way(1450.0, 0.04) if breach else least)


_ROUND = ((1305.0, 295.0), (1305.0, 125.0), (1295.0, 105.0), (1305.0, 85.0), (1305.0, -145.0))


def _cells(places: Any) -> Any:
    """Rows and columns of the cells whose middles these are."""
    return np.array([(int((north - SOUTH) // CELL), int((east - WEST) // CELL)) for east, north in places])


def _gap(at: Stations, target: str, level: Level, kind: Any, start: float, end: float) -> Gap:
    inside = np.flatnonzero((at.chainage > start) & (at.chainage < end))
    probability = at.probability(kind)
    worst = int(inside[np.argmin(probability[inside])])
    moves = kind != "line"
    before = at.breach_before if kind == "breach" else at.lane_before
    warning = at.breach_warning if kind == "breach" else at.lane_warning
    return Gap(
        id=f"{target}-{level}-{kind}-{start:05.0f}",
        kind=kind,
        target=target,
        level=level,
        start=start,
        end=end,
        probability_least=float(probability[worst]),
        probability_mean=float(probability[inside].mean()),
        threshold=0.5,
        unknown=1.0 if start == 0.0 else 0.0,
        flank=start == 0.0,
        below_resolution=end - start < 180.0,
        nearest_posts=("P1",) if start == 0.0 else ("P2", "P3") if start < 2000.0 else ("P3", "P4"),
        weakest=float(at.chainage[worst]),
        before=float(before[worst]) if moves else None,
        warning=float(warning[worst]) if moves and np.isfinite(warning[worst]) else None,
    )


def _way(east: float, probability: float) -> Crossing:
    """A route straight across the first leg, at 1.4 m/s."""
    points = np.array([[east, 300.0], [east, 5.0], [east, -150.0]])
    warning = 95.0 if probability > 0.0 else None
    return Crossing(points, east, 450.0, 450.0 / 1.4, probability, probability / 2.0, warning, 0.001, east < 100.0)


def _probability(chainage: Any, gaps: Any) -> Any:
    inside = np.zeros(np.shape(chainage), dtype=bool)
    for start, end in gaps:
        inside |= (chainage > start) & (chainage < end)
    return np.where(inside, 0.1, 0.9)
