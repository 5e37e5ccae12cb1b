"""Viewsheds beside GDAL, xarray-spatial and GRASS: time, memory, and how far each is from the exact line of sight.

    python benchmarks/viewshed.py [--quick] [--tools NAMES] [--out FOLDER] [--peers PYTHON] [--json FILE]

Each tool works in a process of its own and they take turns, so that whatever else the machine does falls on all.
"""

import argparse
import dataclasses
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grounds
import numpy as np
import viewshed_page
from measure import RESULTS, Worker, machine, median, write_section
from peers import Job
from viewshed_page import Case, Measured

TARGET = 1.7
TOOLS = ("ours", "ours-exact", "gdal", "gdal-one-core", "xarray-spatial", "grass")
SECTORS = (0.0, 45.0, 100.0, 200.0)
_PEERS = grounds.ROOT / ".venv/peers/bin/python"


def cases(quick: bool) -> dict[str, tuple[Any, float, list[tuple[float, float]]]]:
    """By name: ground, cell, and the (reach, eye's height) of its circles."""
    if quick:
        return {
            "fractal": (grounds.fractal(140), 5.0, [(300.0, 3.0), (300.0, 100.0)]),
            "Jacksboro": (grounds.jacksboro(140), 5.0, [(300.0, 3.0)]),
        }
    both = [(reach, agl) for reach in (2000.0, 5000.0) for agl in (3.0, 100.0)]
    found = {
        "fractal": (grounds.fractal(2048), 5.0, both),
        "Jacksboro": (grounds.jacksboro(2048), 5.0, both),
    }
    for name, file, reach in (("lidar", "TM1_564_146.tif", 450.0), ("Kaniv", "kaniv_30m.tif", 2500.0)):
        path = grounds.SHARED / file
        if path.exists():
            found[name] = (*grounds.raster(path), [(reach, 3.0), (reach, 100.0)])
        else:
            print(f"LEFT OUT: {name}, {path} is not there", flush=True)
    return found


def workers(tools: Sequence[str], python: str) -> tuple[list[Worker], dict[str, str]]:
    """The tools that are here, and why the others are not."""
    here, missing = [], {}
    for tool in tools:
        one = Worker(tool, python if tool == "xarray-spatial" else sys.executable)
        if one.missing is None:
            here.append(one)
        else:
            missing[tool] = one.missing
            print(f"NOT MEASURED: {tool}: {one.missing}", flush=True)
            one.close()
    return here, missing


def compare(case: Case, ground: Any, tools: list[Worker], folder: Path) -> None:
    """Adds up each tool's disagreement with the exact march, which itself is held to tests/reference.py, over the
    case's eye and the others around it.
    """
    path, common = folder / "answer.npy", dict.fromkeys((tool.name for tool in tools), (0, 0))
    in_sight = 0
    for job in _eyes(case.job, ground.shape, case.cell):
        told = (job.row, job.col, job.agl, job.target, job.reach, job.refraction)
        clear = grounds.clearances(ground, case.cell, *told)
        inside = ~np.isnan(clear)
        exact = np.where(inside, clear, -1.0) >= 0.0
        grazing = inside & (np.abs(clear) < grounds.GRAZE)
        case.eyes += 1
        case.cells += int(inside.sum())
        in_sight += int(exact.sum())
        doubtful = np.zeros(ground.shape, dtype=bool)
        for tool in tools:
            tool.ask("prepare", **dataclasses.asdict(job))
            tool.ask("answer", path=str(path))
            seen = np.load(path) & inside
            found = case.tools[tool.name]
            found.wrong += int((seen != exact).sum())
            found.grazes += int(((seen != exact) & grazing).sum())
            both, either = common[tool.name]
            common[tool.name] = both + int((seen & exact).sum()), either + int((seen | exact).sum())
            doubtful |= seen != exact
        _hold(clear, ground, case, job, doubtful)
    case.share = in_sight / case.cells
    for name, (both, either) in common.items():
        case.tools[name].iou = both / max(either, 1)


def _eyes(job: Job, shape: tuple[int, int], cell: float) -> list[Job]:
    """The case's eye, and where its circle has room to move four others, a quarter of its range away or what there
    is.
    """
    room = min(shape) // 2 - math.ceil(job.reach / cell) - 1
    step = min(room, round(job.reach / cell / 4.0))
    if step * cell < job.reach / 10.0:  # so near that they would see the same
        return [job]
    places = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    return [dataclasses.replace(job, row=job.row + step * i, col=job.col + step * j) for i, j in places]


def _hold(clear: Any, ground: Any, case: Case, job: Job, doubtful: Any) -> None:
    """Raises where the exact march and the plain reference in fractions differ: cells that a tool has otherwise, and
    any cells.
    """
    sys.path.insert(0, str(grounds.ROOT / "tests"))
    clearance = importlib.import_module("reference").clearance

    cell, random = case.cell, np.random.default_rng(grounds.SEED)
    eye = ((job.col + 0.5) * cell, (job.row + 0.5) * cell, float(ground[job.row, job.col]) + job.agl)
    for among in (np.argwhere(doubtful), np.argwhere(np.isfinite(clear))):
        for row, col in among[random.permutation(len(among))[:15]]:
            point = ((col + 0.5) * cell, (row + 0.5) * cell, float(ground[row, col]) + job.target)
            plain = clearance(ground, cell, eye, point, job.refraction)
            same = (plain >= 0.0) == (clear[row, col] >= 0.0)
            if not same and abs(plain) > grounds.GRAZE:
                raise AssertionError(
                    f"{case.label}: cell {row}, {col} clears {clear[row, col]} m, in fractions {plain} m"
                )


def race(case: Case, tools: list[Worker], budget: float, rounds: int) -> None:
    """Lets the tools take turns until each had its rounds or its seconds; a slow one has at least one.

    A quick one works warm: one call untimed, then three, or whoever comes after a slow one would be timed fetching its
    ground into the processor's cache.
    """
    spent = {tool.name: 0.0 for tool in tools}
    for tool in tools:
        tool.ask("prepare", **dataclasses.asdict(case.job))
    for _ in range(rounds):
        for tool in tools:
            found = case.tools[tool.name]
            if spent[tool.name] > budget:
                continue
            began = time.monotonic()
            quick = bool(found.wall) and found.wall[-1] < 0.1
            if quick:
                tool.ask("time", calls=1)
            one = tool.ask("time", calls=3 if quick else 1)
            found.cpu.append(one["cpu"])
            found.wall.append(one["wall"])
            if one["wall"] < budget / 4.0:
                # Long enough that waking the threads does not count.
                found.two.append(tool.ask("two", calls=min(math.ceil(0.05 / one["wall"]), 25))["wall"])
            spent[tool.name] += time.monotonic() - began


def sectors(name: str, ground: Any, reaches: list[float], tool: Worker, rounds: int) -> list[tuple[str, float, float]]:
    """A 60 degree sector's share of the full circle's CPU time, both warm: case, the middle and the worst of four
    azimuths.
    """
    found = []
    for reach in reaches:
        job = _job(ground, reach, 3.0)
        shares = []
        for azimuth in SECTORS:
            used: dict[float, list[float]] = {math.radians(60.0): [], math.tau: []}
            for _ in range(rounds):
                for hfov, times in used.items():
                    turned = dataclasses.replace(job, azimuth=math.radians(azimuth), hfov=hfov)
                    tool.ask("prepare", **dataclasses.asdict(turned))
                    tool.ask("time", calls=1)
                    times.append(tool.ask("time", calls=3)["cpu"])
            part, full = (median(times) for times in used.values())
            shares.append(part / full)
        found.append((f"{name}, {reach / 1000.0:g} km, 3 m", median(shares), max(shares)))
    return found


FIRST = """
import time
import numpy as np
from dronewall.engine import terrain, viewshed
rows = np.arange(820.0)
ground = terrain.Terrain.from_array(300.0 + 20.0 * np.sin(rows / 30.0) * np.cos(rows[:, None] / 40.0), 5.0)
times = []
for _ in range(2):
    began = time.perf_counter()
    viewshed.visible(ground, (2050.0, 2050.0, 330.0), 1.7, {reach}, **{options})
    times.append(time.perf_counter() - began)
print(*times)
"""


def first_call(exact: bool, reach: float, starts: int) -> tuple[float, float, float]:
    """Seconds of a process's first call: with nothing compiled, with kernels compiled before, and its second call.
    No starts: one, with whatever is compiled.
    """
    import inspect

    from dronewall.engine import viewshed

    knows = "exact" in inspect.signature(viewshed.visible).parameters
    code = FIRST.format(reach=reach, options={"exact": exact} if knows else {})
    times = []
    with tempfile.TemporaryDirectory(prefix="dronewall-bench-") as folder:
        environment = {**os.environ, "DRONEWALL_CACHE": folder} if starts else dict(os.environ)
        for _ in range(1 + starts):
            told = [sys.executable, "-c", code]
            ran = subprocess.run(told, env=environment, capture_output=True, text=True, check=True)
            times.append([float(part) for part in ran.stdout.split()])
    if not starts:
        return math.nan, times[0][0], times[0][1]
    return times[0][0], median([one[0] for one in times[1:]]), median([one[1] for one in times[1:]])


def _job(ground: Any, reach: float, agl: float) -> Job:
    return Job(ground.shape[0] // 2, ground.shape[1] // 2, agl, TARGET, reach)


def run(quick: bool, chosen: Sequence[str], python: str) -> viewshed_page.Results:
    """All of it; progress on stdout."""
    began, load = time.monotonic(), machine()
    tools, missing = workers(chosen, python)
    found: list[Case] = []
    shares: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory(prefix="dronewall-bench-") as name:
        folder = Path(name)
        for ground_name, (ground, cell, circles) in cases(quick).items():
            np.save(folder / "ground.npy", ground)
            for tool in tools:
                tool.ask("load", ground=str(folder / "ground.npy"), cell=cell)
            for reach, agl in circles:
                case = Case(ground_name, cell, _job(ground, reach, agl))
                case.tools = {tool.name: Measured() for tool in tools}
                compare(case, ground, tools, folder)
                race(case, tools, budget=0.1 if quick else 8.0, rounds=2 if quick else 15)
                if agl == circles[0][1]:  # the eye's height changes nothing about it
                    for tool in tools:
                        case.tools[tool.name].mib = tool.ask("peak")["mib"]
                found.append(case)
                print(f"{time.monotonic() - began:5.0f} s  {case.label}: {viewshed_page.summary(case)}", flush=True)
            if ground_name in ("fractal", "Jacksboro"):
                reaches = sorted({reach for reach, _ in circles})
                shares += sectors(ground_name, ground, reaches, tools[0], rounds=2 if quick else 7)
    for tool in tools:
        tool.close()
    firsts = {exact: first_call(exact, 300.0 if quick else 2000.0, 0 if quick else 5) for exact in (False, True)}
    names = {tool.tool: tool.name for tool in tools}
    return viewshed_page.Results(
        machine=load,
        seconds=time.monotonic() - began,
        names=names,
        versions={tool.name: (tool.version, tool.note) for tool in tools},
        missing=missing,
        cases=found,
        sectors=shares,
        firsts=firsts,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny circles: that it runs, not how fast")
    parser.add_argument("--tools", default=",".join(TOOLS), help="which of them, ours among them: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS.parent, help="where RESULTS.md and the chart go")
    parser.add_argument("--peers", default=str(_PEERS), help="the Python that has xarray-spatial")
    parser.add_argument("--json", type=Path, help="the figures as a file too")
    told = parser.parse_args()
    chosen = [tool for tool in TOOLS if tool in told.tools.split(",")]
    python = told.peers if Path(told.peers).exists() else sys.executable
    results = run(told.quick, chosen, python)
    told.out.mkdir(parents=True, exist_ok=True)
    write_section(told.out / RESULTS.name, "viewshed", viewshed_page.text(results))
    viewshed_page.draw(results, told.out / "viewshed.png")
    if told.json:
        told.json.write_text(json.dumps(dataclasses.asdict(results)))
    print(viewshed_page.text(results))
    print(f"written: {told.out / RESULTS.name}, {told.out / 'viewshed.png'}")


if __name__ == "__main__":
    main()
