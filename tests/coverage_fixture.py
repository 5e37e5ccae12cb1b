"""A Coverage made by hand, whose every answer is known beforehand: no engine ran to make it.

The frontage is an L: 2000 m due (grid) east from (0, 0), then 1000 m due north; the threat comes from the
left. Line gaps of the walker: 1200 to 1400 m, and 2600 to 2650 m on the second leg. One lane gap: 1150 to
1500 m. Terrain is unknown west of 100 m, which makes a gap of its own there, of either kind and for either
target. The second target, a low drone, has no other.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyproj

from dronewall.engine.earth import Site
from dronewall.engine.exposure import Ways
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import Gap, Stations
from dronewall.engine.levels import Level
from dronewall.engine.terrain import Terrain
from dronewall.engine.wall import Coverage, SensorState, TargetCoverage

CELL = 10.0
WEST, SOUTH = -500.0, -600.0
COLUMNS, ROWS = 320, 240
STEP = 10.0
LENGTH = 3000.0
LINE_GAPS = ((1200.0, 1400.0), (2600.0, 2650.0))
LANE_GAPS = ((1150.0, 1500.0),)
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
    the walker's first line gap is longer then, ASSURED_GAP, and he has no other. Further keywords replace fields of the
    Coverage.
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
    sure = (_target(frontage, terrain, walker, (ASSURED_GAP,), (), "assured"),) if assured else ()
    sure += (_target(frontage, terrain, drone, (), (), "assured"),) if assured else ()
    fields: dict[str, Any] = {
        "scenario": SimpleNamespace(
            site=SimpleNamespace(name="testwall", title="Test wall", crs=None),
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
            _target(frontage, terrain, walker, LINE_GAPS if gaps else (), LANE_GAPS if gaps else ()),
            _target(frontage, terrain, drone, (), ()),
            *sure,
        ),
        "sensors": sensors,
        "posts": dict(posts),
        "at_unix_ms": 1_772_366_400_000,  # 2026-03-01T12:00:00Z
        "source": "plan",
        "digest": DIGEST,
        "version": "1.2.3",
    }
    return Coverage(**(fields | changes))


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
    frontage: Frontage, terrain: Terrain, target: Any, line: Any, lane: Any, level: Level = "expected"
) -> TargetCoverage:
    """P is 0.1 inside gaps and 0.9 elsewhere; P_look of a cell is that of the nearest frontage point."""
    chainage = frontage.stations(STEP)
    east, north = frontage.at(chainage)
    unknown = (east < UNKNOWN_WEST_OF) & (north < 1.0)
    line_p, lane_p = (np.where(unknown, 0.0, _probability(chainage, gaps)) for gaps in (line, lane))
    columns, rows = terrain.centres
    nearest, _ = frontage.locate(columns[None, :], rows[:, None])
    look = np.where(np.isnan(terrain.ground_amsl), np.nan, _probability(nearest, line)).astype(np.float32)
    dark = (0.0, UNKNOWN_WEST_OF)
    gaps = []
    for kind, found in (("line", line), ("lane", lane)):
        for start, end in (dark, *found):
            probability = 0.0 if start == 0.0 else 0.1
            gaps.append(
                Gap(
                    id=f"{target.name}-{level}-{kind}-{start:05.0f}",
                    kind=kind,
                    target=target.name,
                    level=level,
                    start=start,
                    end=end,
                    probability_least=probability,
                    probability_mean=probability,
                    threshold=0.5,
                    unknown=1.0 if start == 0.0 else 0.0,
                    flank=start == 0.0,
                    below_resolution=end - start < 180.0,
                    nearest_posts=("P1",) if start == 0.0 else ("P2", "P3") if start < 2000.0 else ("P3", "P4"),
                )
            )
    return TargetCoverage(
        target,
        level,
        look,
        stations_of(chainage, east, north, STEP, line_p, lane_p, unknown, frontage.lanes(chainage)),
        0.5,
        tuple(gaps),
    )


def _probability(chainage: Any, gaps: Any) -> Any:
    inside = np.zeros(np.shape(chainage), dtype=bool)
    for start, end in gaps:
        inside |= (chainage > start) & (chainage < end)
    return np.where(inside, 0.1, 0.9)
