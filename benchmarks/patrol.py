"""Drones over a line: seconds and memory for what they see over one cycle, for how often each place is looked at, and
for the search in space and time.

python benchmarks/patrol.py [--quick] [--out FOLDER] [--json FILE]
"""

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grounds
import numpy as np
from measure import RESULTS, figure, machine, median, spread, table, today, versions, write_section
from peers import peak_of

from dronewall.engine.breach import Counted, Going
from dronewall.engine.breach import summed as fixed_rates
from dronewall.engine.detection import Target
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.ground import Ground
from dronewall.engine.levels import LEVELS, rates
from dronewall.engine.moving import Moving, moving
from dronewall.engine.revisit import Watched, watched
from dronewall.engine.spacetime import Knowing, search
from dronewall.engine.terrain import Terrain
from dronewall.engine.together import summed
from dronewall.engine.watch import Watch
from dronewall.scenario import Environment, Thresholds

CELL = 10.0
DEPTH = 2000.0
FRONT, BEHIND = 600.0, 400.0
STEP = 2.0
SPEED, HEIGHT = 12.0, 100.0
FIXED, DRONES = 30, 4
"""On the whole line; a shorter one has its share of the fixed ones."""
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.4)
THRESHOLDS = Thresholds()
COUNTED = Counted(THRESHOLDS.k, THRESHOLDS.look_s, THRESHOLDS.count_p)


def site(length: float) -> Ground:
    """Low fractal hills, known to 4 m, and a line `length` m long along their middle."""
    piece = grounds.fractal(2000)[: round(DEPTH / CELL)] * 0.1
    heights = np.ascontiguousarray(piece[:, : round(length / CELL)])
    terrain = dataclasses.replace(Terrain.from_array(heights, CELL), le90=4.0)
    west, east, south, north = terrain.extent
    middle = (south + north + BEHIND - FRONT) / 2.0
    frontage = Frontage(np.array([[west + 1.0, middle], [east - 1.0, middle]]), FRONT, BEHIND, threat_left=True)
    scenario: Any = SimpleNamespace(thresholds=THRESHOLDS, environment=Environment())
    nowhere: Any = None  # nobody asks for latitudes
    return Ground(scenario, nowhere, frontage, terrain)


def posts_of(ground: Ground, apart: float) -> list[Frustum]:
    """Cameras of 100 x 60 degrees and 700 m on the line, 8 m high, that look to the left, ahead and to the right."""
    found = []
    for index in range(max(1, round(ground.frontage.length / apart))):
        east, north = (float(part) for part in ground.frontage.at((index + 0.5) * apart))
        floor = float(ground.terrain.ground(east, north))
        found.append(
            Frustum(
                name=f"P{index}/cam",
                shape="sector",
                east=east,
                north=north,
                eye_amsl=floor + 8.0,
                eye_agl=8.0,
                azimuth=math.radians((-40.0, 0.0, 40.0)[index % 3]),
                elevation=0.0,
                roll=0.0,
                hfov=math.radians(100.0),
                vfov=math.radians(60.0),
                range_min=0.0,
                range_max=700.0,
                model={"kind": "camera", "pixels": 3200, "n50": 1.0, "glimpse_s": 1.0},
                azimuth_sigma=math.radians(0.5),
                tilt_sigma=math.radians(0.5),
                position_sigma=1.0,
                height_sigma=0.1,
            )
        )
    return found


def flown(ground: Ground, steps: int) -> list[dict[str, Frustum]]:
    """Drones one behind the other on one loop around the frontage, once around it in all steps; nose cameras of 60 x 40
    degrees and 600 m that look 45 degrees down. No two frusta are the same.
    """
    length = SPEED * STEP * steps
    (west, middle), (east, _) = ground.frontage.points
    half = min(length / 4.0, (east - west) / 2.0 - 50.0)
    aside = max((length - 4.0 * half) / 4.0, 50.0)
    centre = (west + east) / 2.0
    corners = np.array(
        [[centre - half, middle + aside], [centre + half, middle + aside], [centre + half, middle - aside],
         [centre - half, middle - aside], [centre - half, middle + aside]]
    )  # fmt: skip
    legs = np.hypot(*np.diff(corners, axis=0).T)
    marks = np.concatenate(([0.0], np.cumsum(legs)))
    model = {"kind": "camera", "pixels": 1920, "n50": 1.0, "glimpse_s": 1.0}
    found = []
    for step in range(steps):
        at = {}
        for drone in range(DRONES):
            gone = ((step + 0.5) / steps + drone / DRONES) % 1.0 * marks[-1]
            leg = min(int(np.searchsorted(marks, gone, side="right")) - 1, 3)
            share = (gone - marks[leg]) / legs[leg]
            place = corners[leg] + share * (corners[leg + 1] - corners[leg])
            ahead = corners[leg + 1] - corners[leg]
            floor = float(ground.terrain.ground(*place))
            at[f"D{drone}/cam"] = Frustum(
                name=f"D{drone}/cam",
                shape="pyramid",
                east=float(place[0]),
                north=float(place[1]),
                eye_amsl=floor + HEIGHT,
                eye_agl=HEIGHT,
                azimuth=math.atan2(ahead[0], ahead[1]) % math.tau,
                elevation=math.radians(-45.0),
                roll=0.0,
                hfov=math.radians(60.0),
                vfov=math.radians(40.0),
                range_min=0.0,
                range_max=600.0,
                model=model,
                moving=True,
                azimuth_sigma=math.radians(3.0),
                tilt_sigma=math.radians(0.5),
                position_sigma=1.0,
                height_sigma=1.0,
            )
        found.append(at)
    return found


def fixed_of(ground: Ground, posts: list[Frustum]) -> list[Field]:
    """The fixed sensors' fields, expected and assured, on two threads."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda post: rates(ground.terrain, post, [WALKER], THRESHOLDS.confidence), posts))
    fields = [Field(ground.terrain.shape) for _ in LEVELS]
    for post, ((mean, least),) in zip(posts, found, strict=True):
        fields[0].add(post.name, mean)
        fields[1].add(post.name, least)
    return fields


def revisits(ground: Ground, fields: list[Field], both: tuple[Moving, Moving]) -> list[Watched]:
    """How often each place is looked at, at each level, on two threads."""
    assert ground.belt is not None
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda pair: watched(ground, *pair), zip(fields, both, strict=True)))


@dataclass
class Results:
    """One run. rounds: wall and CPU seconds of each part; all: of a whole round; mib: what a round adds at its peak."""

    machine: str
    length: float
    steps: int
    fixed: int
    rounds: dict[str, list[tuple[float, float]]]
    entries: int
    kept: float
    share: float
    longest: float
    mib: float


def _timed(call: Callable[..., Any], *told: Any) -> tuple[Any, tuple[float, float]]:
    began, worked = time.perf_counter(), time.process_time()
    found = call(*told)
    return found, (time.perf_counter() - began, time.process_time() - worked)


FIXED_PART, MOVING_PART, REVISIT_PART = "fixed windows", "moving windows", "revisit"
ALL = "all of these"
SEARCH_PARTS = ("space-time search, expected", "space-time search, assured")
LATERAL = 100.0


def searched(ground: Ground, field: Field, seen: Moving) -> Knowing:
    """The ways of a walker who knows the schedule: the best at every station, and the best of the whole line. He has
    three times as long as he walks straight across.
    """
    frontage, belt = ground.frontage, ground.belt
    at = frontage.stations(CELL)
    cells = np.stack(ground.terrain.cells(*frontage.at(at)), axis=-1)
    fixed, drones = fixed_rates(field, belt, COUNTED), summed(seen, field, belt, COUNTED)
    longest = 3.0 * (FRONT + BEHIND) / WALKER.speed
    watch = Watch(fixed, fixed, drones, drones)
    return search(belt, Going(WALKER.speed), FRONT, BEHIND, watch, longest, cells, at, LATERAL)


def once(length: float, steps: int) -> tuple[dict[str, tuple[float, float]], tuple[Moving, Moving], list[Watched]]:
    """All parts once, with their wall and CPU seconds."""
    ground = site(length)
    posts = posts_of(ground, 8000.0 / FIXED)
    frusta = flown(ground, steps)
    ground.terrain.prepare()
    took = {}
    fields, took[FIXED_PART] = _timed(fixed_of, ground, posts)
    (both,), took[MOVING_PART] = _timed(moving, ground, frusta, STEP, True, [WALKER])
    found, took[REVISIT_PART] = _timed(revisits, ground, fields, both)
    took[ALL] = (sum(wall for wall, _ in took.values()), sum(worked for _, worked in took.values()))
    for part, field, seen in zip(SEARCH_PARTS, fields, both, strict=True):
        _, took[part] = _timed(searched, ground, field, seen)
    return took, both, found


def run(quick: bool) -> Results:
    load = machine()
    length, steps, rounds = (400.0, 8, 1) if quick else (8000.0, 600, 5)
    if not quick:
        once(400.0, 4)  # compiled
    told: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        took, both, found = once(length, steps)
        for part, seconds in took.items():
            told.setdefault(part, []).append(seconds)
        print("; ".join(f"{part} {wall:.2f} s" for part, (wall, _) in took.items()), flush=True)
    ran = subprocess.run(
        [sys.executable, __file__, "--peak", f"{length}", f"{steps}"], capture_output=True, text=True, check=True
    )
    return Results(
        machine=load,
        length=length,
        steps=steps,
        fixed=max(1, round(length * FIXED / 8000.0)),
        rounds=told,
        entries=sum(len(one.cells) for one in both[0].passes),
        kept=sum(one.nbytes for one in both) / 2**20,
        share=float(np.nanmean(found[0].stations.share)),
        longest=float(np.nanmax(found[0].stations.longest)),
        mib=float(json.loads(ran.stdout)),
    )


def peak(length: float, steps: int) -> float:
    """MiB that one round adds at its peak."""
    once(400.0, 4)
    return peak_of(lambda: once(length, steps))


def text(results: Results) -> str:
    """The section of RESULTS.md."""

    def seconds(part: str, of: int) -> str:
        told = [each[of] for each in results.rounds[part]]
        return f"{figure(median(told))} ± {figure(spread(told) * median(told), 2)}"

    whole = median([wall for wall, _ in results.rounds[ALL]])
    longest_search = max(median([wall for wall, _ in results.rounds[part]]) for part in SEARCH_PARTS)
    each = median([worked for _, worked in results.rounds[MOVING_PART]]) / (DRONES * results.steps) * 1000.0
    cores = [
        median([worked for _, worked in results.rounds[part]]) / median([wall for wall, _ in results.rounds[part]])
        for part in (FIXED_PART, MOVING_PART, REVISIT_PART)
    ]
    return "\n\n".join(
        [
            "## Drones over a cycle",
            f"{today()}. {results.machine}. {versions('numba', 'numpy')}.",
            f"A belt of {results.length / 1000.0:g} km x {(FRONT + BEHIND) / 1000.0:g} km at {CELL:g} m on low fractal "
            f"hills (seed 1) known to 4 m (LE90), {results.fixed} cameras on the line and {DRONES} drones with a nose "
            f"camera on one loop, {results.steps} steps of {STEP:g} s, no two frusta alike; one target, both levels, "
            "two threads. ± is half the distance of the quartiles.",
            table(
                ["part", "wall [s]", "CPU [s]", "cores"],
                [
                    [part, seconds(part, 0), seconds(part, 1), figure(used, 2)]
                    for part, used in zip((FIXED_PART, MOVING_PART, REVISIT_PART), cores, strict=True)
                ]
                + [[part, seconds(part, 0), seconds(part, 1), ""] for part in (ALL, *SEARCH_PARTS)],
            ),
            table(
                ["goal", "reached"],
                [
                    [f"all of these: under 5 s ({figure(whole)} s)", _yes(whole < 5.0)],
                    [
                        f"memory added at the peak, the searches included: under 1 GB ({figure(results.mib)} MiB)",
                        _yes(results.mib < 954.0),
                    ],
                    [
                        f"the space-time search of one target at one level: under 10 s ({figure(longest_search)} s)",
                        _yes(longest_search < 10.0),
                    ],
                ],
            ),
            f"{figure(each)} ms of CPU for a drone's camera at a step; {results.entries} cells seen in all steps, kept "
            f"in {figure(results.kept)} MiB for both levels. Expected: the stations are watched "
            f"{figure(100.0 * results.share)} % of the time, the worst of them is unwatched for "
            f"{figure(results.longest, 4)} s. The search: the best way at each of "
            f"{round(results.length / CELL)} stations within {LATERAL:g} m, and of the whole line, of a walker "
            f"who sets out at any time of the {results.steps * STEP / 60.0:g} min and takes no longer than "
            f"{3.0 * (FRONT + BEHIND) / WALKER.speed / 60.0:.0f} min, waiting included.",
        ]
    )


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short line: that it runs, not how fast")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="where RESULTS.md goes")
    parser.add_argument("--json", type=Path, help="the figures as a file too")
    parser.add_argument("--peak", nargs=2, type=float, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.peak:
        print(json.dumps(peak(told.peak[0], int(told.peak[1]))))
        return
    results = run(told.quick)
    told.out.mkdir(parents=True, exist_ok=True)
    write_section(told.out / RESULTS.name, "patrol", text(results))
    if told.json:
        told.json.write_text(json.dumps(dataclasses.asdict(results)))
    print(text(results))
    print(f"written: {told.out / RESULTS.name}")


if __name__ == "__main__":
    main()
