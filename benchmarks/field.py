"""The field: sensors a second, what adding and removing one costs, and the memory of a long site.

python benchmarks/field.py [--quick] [--out FOLDER] [--json FILE]
"""

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grounds
import numpy as np
from measure import RESULTS, figure, machine, median, spread, table, today, versions, write_section
from peers import peak_of

from dronewall.engine.detection import Rate, Target, rate
from dronewall.engine.field import Field, stored
from dronewall.engine.frustum import Frustum
from dronewall.engine.levels import rates
from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import Window, minimum_visible_height, through_canopy

CELL = 5.0
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.4)
DRONE = Target("drone", 20.0, 60.0, 0.5, 15.0)
MAST = 30.0
"""Metres over the ground that an eye stands where there is a canopy: over it."""
TRANSMITTANCE = 0.3
CONFIDENCE = 0.9
MIB = 2**20


def site(length: float, depth: float) -> Terrain:
    """Fractal hills `length` x `depth` metres; beyond 10 km the same ones again, mirrored, so that they join."""
    rows, cols = round(depth / CELL), round(length / CELL)
    piece = grounds.fractal(2000)[:rows]
    pieces = [piece if index % 2 == 0 else piece[:, ::-1] for index in range(math.ceil(cols / 2000))]
    return Terrain.from_array(np.concatenate(pieces, axis=1)[:, :cols], CELL)


def wooded(terrain: Terrain) -> Terrain:
    """The same ground, 40 % of it under woods some 14 m high whose tops are uneven by a metre."""
    rows, cols = terrain.shape
    woods = grounds.fractal(2000, seed=grounds.SEED + 1)
    woods = np.tile(woods, (math.ceil(rows / 2000), math.ceil(cols / 2000)))[:rows, :cols]
    # Hills without their longest waves are patches.
    patches = woods - _blurred(woods, 30)
    tops = 14.0 + np.random.default_rng(grounds.SEED).normal(size=woods.shape)
    canopy = terrain.ground_amsl + np.where(patches > np.quantile(patches, 0.6), tops, 0.0)
    return Terrain.from_array(terrain.ground_amsl, CELL, canopy_amsl=canopy)


def _blurred(values: Any, reach: int) -> Any:
    """Means over squares that reach so many cells to every side."""
    for axis in (0, 1):
        sums = np.cumsum(
            np.pad(values, [(reach + 1, reach) if each == axis else (0, 0) for each in (0, 1)], "reflect"), axis
        )
        values = np.take(sums, np.arange(2 * reach + 1, sums.shape[axis]), axis) - np.take(
            sums, np.arange(sums.shape[axis] - 2 * reach - 1), axis
        )
    return values / (2 * reach + 1) ** 2


def wedges(terrain: Terrain, count: int, reach: float) -> list[Frustum]:
    """`count` cameras of 60 x 60 degrees along the site's middle, 4 m high, each looking somewhere else."""
    west, east, south, north = terrain.extent
    random = np.random.default_rng(grounds.SEED)
    found = []
    for index in range(count):
        x, y = west + (index + 0.5) * (east - west) / count, (south + north) / 2.0
        found.append(
            Frustum(
                name=f"P{index}/cam",
                shape="sector",
                east=x,
                north=y,
                eye_amsl=float(terrain.ground(x, y)) + 4.0,
                eye_agl=4.0,
                azimuth=float(random.uniform(0.0, math.tau)),
                elevation=0.0,
                roll=0.0,
                hfov=math.radians(60.0),
                vfov=math.radians(60.0),
                range_min=0.0,
                range_max=reach,
                model={"kind": "camera", "pixels": 1600, "n50": 1.0, "glimpse_s": 1.0},
            )
        )
    return found


@dataclass
class Results:
    """One run: seconds each, per sensor or per round; MiB."""

    machine: str
    sensors: int
    cells: int
    one: list[float]
    two: list[float]
    sight: list[float]
    model: list[float]
    add: list[float]
    remove: list[float]
    all_of_it: list[float]
    levels: list[float]
    levels_more: list[float]
    memory: dict[str, float]
    exact: bool
    canopy: "Canopy"


@dataclass
class Canopy:
    """Wedges with a canopy, swept and marched: seconds each, and how far the shares of light lie apart."""

    light: list[float]
    light_marched: list[float]
    height: list[float]
    height_marched: list[float]
    within: float


def canopies(terrain: Terrain, frusta: list[Frustum]) -> Canopy:
    """What the canopy leaves of a walker's light, and the height for a stated share: processor time beyond what the
    line of sight takes.
    """
    found = Canopy([], [], [], [], math.nan)
    apart = []
    for count, frustum in enumerate(frusta[:1] + frusta):
        eye = (frustum.east, frustum.north, float(terrain.ground(frustum.east, frustum.north)) + MAST)
        sector = (terrain, eye, frustum.range_max, frustum.azimuth, frustum.hfov)
        bare, sight = _busy(minimum_visible_height, *sector)
        asked = Window(bare.row, bare.col, np.where(bare.values <= WALKER.top_agl, WALKER.top_agl, np.nan))
        shares, light = _busy(through_canopy, terrain, eye, asked)
        marched, light_marched = _busy(through_canopy, terrain, eye, asked, exact=True)
        _, height = _busy(minimum_visible_height, *sector, transmittance=TRANSMITTANCE)
        _, bare_marched = _busy(minimum_visible_height, *sector, exact=True)
        _, height_marched = _busy(minimum_visible_height, *sector, exact=True, transmittance=TRANSMITTANCE)
        if count:  # the first one compiles
            apart.append(np.abs(shares - marched)[np.isfinite(marched)])
            found.light.append(light)
            found.light_marched.append(light_marched)
            found.height.append(height - sight)
            found.height_marched.append(height_marched - bare_marched)
    found.within = float((np.concatenate(apart) <= 0.02).mean())
    return found


def _busy(call: Callable[..., Any], *told: Any, **named: Any) -> tuple[Any, float]:
    """What a call returns, and the seconds that the processor worked on it."""
    began = time.thread_time()
    found = call(*told, **named)
    return found, time.thread_time() - began


def whole(terrain: Terrain, frusta: list[Frustum], threads: int) -> tuple[Field, float]:
    """The field of all sensors, and the seconds that it took."""
    began = time.perf_counter()
    total = Field(terrain.shape)
    if threads == 1:
        for frustum in frusta:
            total.add(frustum.name, rate(terrain, frustum, WALKER))
    else:
        with ThreadPoolExecutor(threads) as pool:
            for frustum, window in zip(
                frusta, pool.map(lambda frustum: stored(rate(terrain, frustum, WALKER)), frusta), strict=True
            ):
                total.add(frustum.name, window)
    return total, time.perf_counter() - began


def _timed(call: Callable[..., Any], *told: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    found = call(*told)
    return found, time.perf_counter() - began


def run(quick: bool) -> Results:
    load = machine()
    length, depth, count, reach, rounds = (2000.0, 800.0, 6, 300.0, 2) if quick else (20000.0, 4000.0, 200, 2000.0, 5)
    terrain = site(length, depth)
    frusta = wedges(terrain, count, reach)
    whole(terrain, frusta[:2], 2)  # compiled and warm
    levels(terrain, frusta[0], [WALKER])
    one, two = [], []
    for _ in range(rounds):
        total, seconds = whole(terrain, frusta, 1)
        one.append(seconds)
        total, seconds = whole(terrain, frusta, 2)
        two.append(seconds)
    sight, model, add, remove, everything, first, more = [], [], [], [], [], [], []
    for frustum in frusta:
        eye = (frustum.east, frustum.north, frustum.eye_amsl)
        _, seconds = _timed(minimum_visible_height, terrain, eye, frustum.range_max, frustum.azimuth, frustum.hfov)
        sight.append(seconds)
        window, all_of_it = _timed(rate, terrain, frustum, WALKER)
        model.append(all_of_it - seconds)
        remove.append(_timed(total.remove, frustum.name)[1])
        add.append(_timed(total.add, frustum.name, window)[1])
        everything.append(all_of_it + add[-1] + remove[-1])
        first.append(_timed(levels, terrain, frustum, [WALKER])[1])
        more.append(_timed(levels, terrain, frustum, [WALKER, WALKER])[1] - first[-1])
    exact = _same(total, terrain, frusta)
    canopy = canopies(wooded(terrain), frusta[:12])
    print(f"{count / median(one):.0f} sensors/s on one thread, {count / median(two):.0f} on two", flush=True)
    memory = {}
    shapes = ((1000.0, 2), (1000.0, 4)) if quick else ((10000.0, 20), (100000.0, 200), (100000.0, 400))
    for long, sensors in shapes:
        told = [sys.executable, __file__, "--memory", f"{long}", f"{depth}", f"{sensors}", f"{reach}"]
        ran = subprocess.run(told, capture_output=True, text=True, check=True)
        memory[f"{long / 1000.0:g} km x {depth / 1000.0:g} km, {sensors} wedges"] = float(ran.stdout)
        print(f"{long / 1000.0:g} km, {sensors} wedges: {float(ran.stdout):.0f} MiB", flush=True)
    cells = terrain.ground_amsl.size
    return Results(
        load, count, cells, one, two, sight, model, add, remove, everything, first, more, memory, exact, canopy
    )


def _same(total: Field, terrain: Terrain, frusta: list[Frustum]) -> bool:
    """Whether a field after all that adding and removing equals one made afresh, bit for bit."""
    fresh, _ = whole(terrain, frusta, 2)
    return bool((np.asarray(fresh.total) == np.asarray(total.total)).all())


def levels(terrain: Terrain, frustum: Frustum, targets: Sequence[Target]) -> list[Rate]:
    """Both levels' rates of each target, of a sensor whose pose errs."""
    told = dataclasses.replace(frustum, azimuth_sigma=math.radians(3.0), position_sigma=3.0, height_sigma=1.0)
    return [one for pair in rates(terrain, told, targets, CONFIDENCE) for one in pair]


def memory(length: float, depth: float, count: int, reach: float) -> float:
    """MiB that a site's terrain and its four fields (two targets, two levels) take at the peak, sensors computed on two
    threads.
    """
    small = site(2.0 * CELL * 200, 2.0 * CELL * 200)
    levels(small, wedges(small, 1, 200.0)[0], (WALKER, DRONE))  # the compiler's own memory is not the field's

    terrain = site(length, depth)

    def made() -> None:
        frusta = wedges(terrain, count, reach)
        fields = [Field(terrain.shape) for _ in range(4)]
        with ThreadPoolExecutor(2) as pool:
            for first in range(0, count, 4):  # no more windows in the air than needed
                some = frusta[first : first + 4]
                for frustum, found in zip(
                    some, pool.map(lambda one: levels(terrain, one, (WALKER, DRONE)), some), strict=True
                ):
                    for each, window in zip(fields, found, strict=True):
                        each.add(frustum.name, window)

    return peak_of(made) + terrain.ground_amsl.nbytes / MIB


def text(results: Results) -> str:
    """The section of RESULTS.md."""
    count = results.sensors
    one, two = count / median(results.one), count / median(results.two)
    slow = median(results.all_of_it)
    largest = max(results.memory.values())

    canopy = results.canopy
    times = [median(canopy.light_marched) / median(canopy.light), median(canopy.height_marched) / median(canopy.height)]

    def milliseconds(values: list[float]) -> str:
        return f"{figure(1000.0 * median(values))} ± {figure(1000.0 * spread(values) * median(values), 2)}"

    return "\n\n".join(
        [
            "## The field",
            f"{today()}. {results.machine}. {versions('numba', 'numpy')}.",
            f"{count} camera wedges of 60 degrees, 4 m high, along the middle of {results.cells} cells of 5 m "
            "(fractal hills, seed 1); one target, a walker. ± is half the distance of the quartiles.",
            table(
                ["", "measured"],
                [
                    [
                        "sensors a second into the field, one thread",
                        f"{figure(one)} ± {100 * spread(results.one):.0f} %",
                    ],
                    ["on two threads", f"{figure(two)} ± {100 * spread(results.two):.0f} %"],
                    ["line of sight of one sensor [ms]", milliseconds(results.sight)],
                    ["the rest of its rate [ms]", milliseconds(results.model)],
                    ["adding its window [ms]", milliseconds(results.add)],
                    ["removing it [ms]", milliseconds(results.remove)],
                    ["all of that [ms]", milliseconds(results.all_of_it)],
                    ["its rate at both levels, with errors of the pose [ms]", milliseconds(results.levels)],
                    ["at both levels for another target [ms]", milliseconds(results.levels_more)],
                    ["canopy: light left of a walker, eye 30 m up, swept [ms]", milliseconds(canopy.light)],
                    ["the same marched cell by cell", f"{figure(times[0], 2)} times that"],
                    ["shares that lie within .02 of the march's", f"{100.0 * canopy.within:.1f} %"],
                    [f"canopy: height for a share of {TRANSMITTANCE}, swept [ms]", milliseconds(canopy.height)],
                    ["the same marched cell by cell", f"{figure(times[1], 2)} times that"],
                    ["a field after adding and removing equals a fresh one", "yes" if results.exact else "**no**"],
                ],
            ),
            "### Memory at the peak: terrain and four fields (two targets, two levels) [MiB]",
            "Measured, not extrapolated; sensors computed on two threads.",
            table(["site, wedges of 2 km", "MiB"], [[name, figure(mib, 4)] for name, mib in results.memory.items()]),
            table(
                ["goal", "measured", "reached"],
                [
                    ["computing, adding and removing one: under 5 ms", f"{figure(1000 * slow)} ms", _yes(slow < 5e-3)],
                    ["100 km x 4 km at 5 m, all of it: under 4 GB", f"{largest:.0f} MiB", _yes(largest * MIB < 4e9)],
                ],
            ),
        ]
    )


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny site: that it runs, not how fast")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="where RESULTS.md goes")
    parser.add_argument("--json", type=Path, help="the figures as a file too")
    parser.add_argument("--memory", nargs=4, type=float, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.memory:
        length, depth, count, reach = told.memory
        print(memory(length, depth, int(count), reach))
        return
    results = run(told.quick)
    told.out.mkdir(parents=True, exist_ok=True)
    write_section(told.out / RESULTS.name, "field", text(results))
    if told.json:
        told.json.write_text(json.dumps(dataclasses.asdict(results)))
    print(text(results))
    print(f"written: {told.out / RESULTS.name}")


if __name__ == "__main__":
    main()
