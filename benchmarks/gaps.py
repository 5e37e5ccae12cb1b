"""Gaps, and what losses do: seconds for all answers along a long line, and how they and their memory grow with it.

python benchmarks/gaps.py [--quick] [--out FOLDER] [--json FILE]
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
from typing import Any

import grounds
import numpy as np
from measure import RESULTS, figure, machine, median, spread, table, today, versions, write_section
from peers import peak_of

from dronewall.engine.belt import belt_of
from dronewall.engine.breach import Counted, Going, guide_of, summed
from dronewall.engine.detection import Target
from dronewall.engine.fewest import Fewest, Nodes, fewest
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import stations, weakest
from dronewall.engine.levels import LEVELS, rates
from dronewall.engine.loss import Line, without
from dronewall.engine.terrain import Terrain

CELL = 10.0
DEPTH = 2000.0
FRONT, BEHIND, LATERAL = 600.0, 400.0, 100.0
APART = 8000.0 / 60
"""Metres between nodes."""
TARGETS = (Target("walker", 0.0, 1.7, 0.5, 1.4), Target("drone", 20.0, 60.0, 0.5, 15.0))
CONFIDENCE = 0.9
COUNTED = Counted(1, 10.0, 0.5)


def site(length: float) -> tuple[Terrain, Frontage]:
    """Low fractal hills `length` m long, beyond 20 km the same ones again, mirrored; the line along their middle."""
    rows, cols = round(DEPTH / CELL), round(length / CELL)
    piece = grounds.fractal(2000)[:rows] * 0.1
    pieces = [piece if index % 2 == 0 else piece[:, ::-1] for index in range(math.ceil(cols / 2000))]
    terrain = Terrain.from_array(np.concatenate(pieces, axis=1)[:, :cols], CELL)
    west, east, south, north = terrain.extent
    middle = (south + north + BEHIND - FRONT) / 2.0
    points = np.array([[west + 1.0, middle], [east - 1.0, middle]])
    return terrain, Frontage(points, FRONT, BEHIND, threat_left=True)


def nodes_of(terrain: Terrain, frontage: Frontage) -> list[Frustum]:
    """Cameras of 100 x 60 degrees and 700 m on the line, 8 m high, that look to the left, ahead and to the right."""
    found = []
    for index in range(max(1, round(frontage.length / APART))):
        east, north = (float(part) for part in frontage.at((index + 0.5) * APART))
        found.append(
            Frustum(
                name=f"P{index}/cam",
                shape="sector",
                east=east,
                north=north,
                eye_amsl=float(terrain.ground(east, north)) + 8.0,
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
                position_sigma=1.0,
                height_sigma=0.1,
            )
        )
    return found


def fields_of(terrain: Terrain, frontage: Frontage) -> list[list[Field]]:
    """A field for each level and target."""
    fields = [[Field(terrain.shape) for _ in TARGETS] for _ in LEVELS]
    for frustum in nodes_of(terrain, frontage):
        for index, pair in enumerate(rates(terrain, frustum, TARGETS, CONFIDENCE)):
            for level in range(len(LEVELS)):
                fields[level][index].add(frustum.name, pair[level])
    return fields


def answers(terrain: Terrain, frontage: Frontage, fields: list[list[Field]]) -> list[Line]:
    """Stations with line, lane and breach, and the weakest route, of each target and level, on two threads."""
    belt = belt_of(frontage, terrain)

    def one(level: int, index: int) -> Line:
        field, target, going = fields[level][index], TARGETS[index], Going(TARGETS[index].speed)
        guide = guide_of(belt, summed(field, belt, COUNTED), going, FRONT, BEHIND)
        at = stations(terrain, frontage, field, target, COUNTED.look_s, lateral=LATERAL, belt=belt, guide=guide)
        route, _ = weakest(terrain, frontage, field, belt, going, COUNTED, guide)
        return Line(
            terrain, frontage, belt, field, target, going, LEVELS[level], COUNTED, LATERAL, 0.5, 0.5, at, route
        )  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        told = [pool.submit(one, level, index) for level in range(len(LEVELS)) for index in range(len(TARGETS))]
        return [each.result() for each in told]


def left_out(lines: list[Line]) -> None:
    """Every node of every line lost by itself."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda line: [without(line, [name]) for name in line.field], lines))


def resilience(lines: list[Line], asked: int) -> list[Fewest]:
    """The fewest nodes whose loss opens each line, exact up to `asked`."""

    def one(line: Line) -> Fewest:
        nodes = Nodes(line.field, line.belt, COUNTED, line.going, FRONT, BEHIND, line.lane_p)
        return fewest(nodes, asked, lambda: True)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, lines))


@dataclass
class Results:
    """One run: wall and CPU seconds of each round; along the frontage: km, seconds, MiB."""

    machine: str
    length: float
    nodes: int
    all: list[tuple[float, float]]
    leave_one_out: list[tuple[float, float]]
    resilience: list[tuple[float, float]]
    found: list[str]
    growth: list[tuple[float, float, float, float]]


def _timed(call: Callable[..., Any], *told: Any) -> tuple[Any, tuple[float, float]]:
    began, worked = time.perf_counter(), time.process_time()
    found = call(*told)
    return found, (time.perf_counter() - began, time.process_time() - worked)


def run(quick: bool) -> Results:
    load = machine()
    length, rounds, lengths = (800.0, 2, [800.0, 1600.0]) if quick else (8000.0, 5, [8e3, 25e3, 50e3, 100e3])
    small = site(800.0)
    warm = answers(*small, fields_of(*small))  # compiled
    left_out(warm)
    resilience(warm, 1)
    terrain, frontage = site(length)
    fields = fields_of(terrain, frontage)
    every, left, few = [], [], []
    for _ in range(rounds):
        lines, seconds = _timed(answers, terrain, frontage, fields)
        every.append(seconds)
        left.append(_timed(left_out, lines)[1])
        told, seconds = _timed(resilience, lines, 3)
        few.append(seconds)
    found = [
        f"{line.target.name}, {line.level}: {one.low if one.exact else f'{one.low} to {one.high}'}"
        for line, one in zip(lines, told, strict=True)
    ]
    print(f"all answers {median([wall for wall, _ in every]):.2f} s; resilience {'; '.join(found)}", flush=True)
    growth = []
    for long in lengths:
        ran = subprocess.run(
            [sys.executable, __file__, "--length", f"{long}"], capture_output=True, text=True, check=True
        )
        wall, worked, mib = json.loads(ran.stdout)
        growth.append((long / 1000.0, wall, worked, mib))
        print(f"{long / 1000.0:g} km: {wall:.2f} s, {mib:.0f} MiB", flush=True)
    return Results(load, length, len(fields[0][0]), every, left, few, found, growth)


def grown(length: float) -> tuple[float, float, float]:
    """Wall and CPU seconds of all answers along a frontage, and the MiB that they add at their peak."""
    small = site(800.0)
    answers(*small, fields_of(*small))
    terrain, frontage = site(length)
    fields = fields_of(terrain, frontage)
    seconds = (0.0, 0.0)

    def made() -> None:
        nonlocal seconds
        seconds = _timed(answers, terrain, frontage, fields)[1]

    peak = peak_of(made)
    return (*seconds, peak)


def text(results: Results) -> str:
    """The section of RESULTS.md."""

    def seconds(values: list[tuple[float, float]], of: int) -> str:
        told = [each[of] for each in values]
        return f"{figure(median(told))} ± {figure(spread(told) * median(told), 2)}"

    goals = [
        ("all answers, two targets and both levels: under 0.6 s", results.all, 0.6),
        (f"leave one out of {results.nodes} nodes, likewise: under 5 s", results.leave_one_out, 5.0),
        ("resilience to 3, likewise: under 60 s", results.resilience, 60.0),
    ]
    shortest = results.growth[0]
    return "\n\n".join(
        [
            "## Gaps and losses",
            f"{today()}. {results.machine}. {versions('numba', 'numpy')}.",
            f"A belt of {results.length / 1000.0:g} km x {(FRONT + BEHIND) / 1000.0:g} km at {CELL:g} m on low fractal "
            f"hills (seed 1), {results.nodes} cameras of 100 degrees and 700 m on it; two targets, both levels, two "
            "threads. ± is half the distance of the quartiles.",
            table(
                ["goal", "wall [s]", "CPU [s]", "reached"],
                [
                    [name, seconds(values, 0), seconds(values, 1), _yes(median([wall for wall, _ in values]) < goal)]
                    for name, values, goal in goals
                ],
            ),
            f"Fewest nodes whose loss opens the line: {'; '.join(results.found)}.",
            "### Growth with the frontage",
            "All answers, a node every 133 m; memory is what they add at the peak to terrain and fields.",
            table(
                ["frontage [km]", "wall [s]", "CPU [s]", "CPU per km over the shortest", "MiB"],
                [
                    [
                        f"{length:g}",
                        figure(wall),
                        figure(worked),
                        figure(worked / length / (shortest[2] / shortest[0])),
                        figure(mib, 4),
                    ]
                    for length, wall, worked, mib in results.growth
                ],
            ),
            "![Seconds and memory over the length of the frontage](gaps.png)",
        ]
    )


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def draw(results: Results, path: Path) -> None:
    """Seconds and memory over the length of the frontage."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure_, (left, right) = pyplot.subplots(1, 2, figsize=(9.0, 3.4), layout="constrained")
    lengths = [row[0] for row in results.growth]
    left.plot(lengths, [row[1] for row in results.growth], "o-", label="wall")
    left.plot(lengths, [row[2] for row in results.growth], "s--", label="CPU")
    left.set(xlabel="frontage [km]", ylabel="all answers [s]", ylim=(0, None), xlim=(0, None))
    left.legend(frameon=False)
    right.plot(lengths, [row[3] for row in results.growth], "o-")
    right.set(xlabel="frontage [km]", ylabel="added at the peak [MiB]", ylim=(0, None), xlim=(0, None))
    figure_.savefig(path, dpi=120)
    pyplot.close(figure_)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short line: that it runs, not how fast")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="where RESULTS.md and the chart go")
    parser.add_argument("--json", type=Path, help="the figures as a file too")
    parser.add_argument("--length", type=float, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.length:
        print(json.dumps(grown(told.length)))
        return
    results = run(told.quick)
    told.out.mkdir(parents=True, exist_ok=True)
    write_section(told.out / RESULTS.name, "gaps", text(results))
    draw(results, told.out / "gaps.png")
    if told.json:
        told.json.write_text(json.dumps(dataclasses.asdict(results)))
    print(text(results))
    print(f"written: {told.out / RESULTS.name}, {told.out / 'gaps.png'}")


if __name__ == "__main__":
    main()
