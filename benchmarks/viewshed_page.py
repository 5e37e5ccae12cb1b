"""The results of viewshed.py as they are read: the section of RESULTS.md and the chart."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import figure, median, spread, table, today, versions
from peers import Job


@dataclass
class Measured:
    """One tool on one case: seconds a call, MiB, and cells that differ from the exact answer."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    two: list[float] = field(default_factory=list)
    mib: float = math.nan
    wrong: int = 0
    grazes: int = 0
    iou: float = math.nan


@dataclass
class Case:
    """One ground, one circle. Timed is the eye of `job`; `cells` lie in the circles of all `eyes`, and `share` of them
    are in sight.
    """

    ground: str
    cell: float
    job: Job
    eyes: int = 0
    cells: int = 0
    share: float = math.nan
    tools: dict[str, Measured] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.ground}, {self.job.reach / 1000.0:g} km, {self.job.agl:g} m"


@dataclass
class Results:
    """One run. names: a tool's name by its key; versions: (version, note) by its name; firsts: by exact=, seconds of
    a process's first call with nothing compiled, its first and its second with kernels compiled before.
    """

    machine: str
    seconds: float
    names: dict[str, str]
    versions: dict[str, tuple[str, str]]
    missing: dict[str, str]
    cases: list[Case]
    sectors: list[tuple[str, float, float]]
    firsts: dict[bool, tuple[float, float, float]]


def summary(case: Case) -> str:
    """One case in a line."""
    return ", ".join(
        f"{name} {1000.0 * median(one.cpu):.3g} ms {one.wrong / case.cells:.1e}" for name, one in case.tools.items()
    )


def goals(results: Results) -> list[list[str]]:
    """Rows: what issue 3 asks for, what was measured, whether that is reached."""
    found, names, rows = results.cases, results.names, []
    ours = names["ours"]

    def row(what: str, least: float, values: list[tuple[float, str]], at_most: bool = False) -> None:
        if values:
            worst, where = max(values) if at_most else min(values)
            reached = worst <= least if at_most else worst >= least
            rows.append([what, f"{figure(worst)} ({where})", "yes" if reached else "**no**"])

    circles = [case for case in found if case.cell == 5.0]
    for tool, near, far in (
        ("gdal", 5.0, 4.0),
        ("gdal-one-core", 5.0, 4.0),
        ("xarray-spatial", 300.0, 300.0),
        ("grass", 300.0, 300.0),
    ):
        if tool not in names:
            continue
        other = names[tool]
        for reach, least in ((2000.0, near), (5000.0, far)):
            these = [case for case in circles if case.job.reach == reach]
            for what in ("cpu", "two") if tool.startswith("gdal") else ("cpu",):
                ratios = [(_ratio(case, other, ours, what), case.label) for case in these]
                unit = "CPU time" if what == "cpu" else "wall time on two threads"
                row(f"{other}, {reach / 1000.0:g} km: at least {least:g} times our {unit}", least, ratios)
        if tool == "gdal":
            wrongs = [(case.tools[ours].wrong / max(case.tools[other].wrong, 1), case.label) for case in circles]
            row(f"at most a quarter of {other}'s disagreement", 0.25, wrongs, at_most=True)
        if tool.startswith("gdal") and "ours-exact" in names:
            certain = names["ours-exact"]
            row(
                f"{certain}: faster than {other}",
                1.0,
                [(_ratio(case, other, certain, "cpu"), case.label) for case in circles],
            )
    if "ours-exact" in names:
        certain = names["ours-exact"]
        wrong = sum(case.tools[certain].wrong - case.tools[certain].grazes for case in found)
        cells = sum(case.cells for case in found)
        rows.append([f"{certain}: no cell wrong", f"{wrong} of {cells} cells", "**no**" if wrong else "yes"])
    row("a 60 degree sector: at most 0.2 of the full circle", 0.2, [(one[1], one[0]) for one in results.sectors], True)
    row("first call after a cached compile: under 0.3 s", 0.3, [(results.firsts[False][1], "2 km")], at_most=True)
    return rows


def _on_two(one: Measured) -> float:
    """Seconds a viewshed with two threads: a tool may work alone, with threads of its own, or twice at once, which the
    slowest were not asked to; whatever is quicker counts.
    """
    return min(median(times) for times in (one.wall, one.two) if times)


def _ratio(case: Case, above: str, below: str, what: str) -> float:
    """How many times the one's median time the other's is."""

    def seconds(tool: str) -> float:
        one = case.tools[tool]
        return _on_two(one) if what == "two" else median(one.cpu)

    return seconds(above) / seconds(below)


def text(results: Results) -> str:
    """The section of RESULTS.md."""
    names = list(results.versions)
    ours, others = names[0], names[1:]

    def rows(cell: Callable[[Case, str], str], columns: list[str], cases: Sequence[Case] = results.cases) -> str:
        body = [[case.label, *(cell(case, name) for name in columns)] for case in cases]
        return table(["ground, range, eye", *columns], body)

    def times(case: Case, name: str) -> str:
        one = case.tools[name]
        wide = f" ±{100.0 * spread(one.cpu):.0f} %" if math.isfinite(spread(one.cpu)) else ""
        return f"{figure(1000.0 * median(one.cpu))}{wide}"

    def on_two(case: Case, name: str) -> str:
        one = case.tools[name]
        alone = not one.two or median(one.wall) < median(one.two)
        return f"{figure(1000.0 * _on_two(one))}{' (one at a time)' if alone else ''}"

    def apart(case: Case, name: str) -> str:
        one = case.tools[name]
        if one.wrong == 0:
            return "0"
        grazes = f" ({one.grazes} grazes)" if one.grazes else ""
        return f"{figure(one.wrong / case.cells, 2)}{grazes}"

    measured = [case for case in results.cases if math.isfinite(case.tools[ours].mib)]
    parts = [
        "## Viewsheds",
        f"{today()}. {results.machine}. {versions('numba', 'numpy', 'rasterio')}. "
        f"{results.seconds / 60.0:.0f} minutes.",
        "![CPU time against disagreement with the exact line of sight](viewshed.png)",
        "The job: from an eye over the middle of a cell, in which cells of the circle is the head of a target "
        "1.7 m high in sight; k = 0.13, R = 6371 km. The tools take turns, each in a process of its own. "
        "Grounds: *fractal* (`benchmarks/grounds.py`, seed 1) and *Jacksboro* (USGS, 3 arc-seconds, bilinear) on 5 m "
        "cells; *lidar* (`TM1_564_146.tif`, 1 m) and *Kaniv* (`kaniv_30m.tif`, 30 m) where `../shared/data` is there.",
        table(["tool", "version", "how"], [[name, *results.versions[name]] for name in names]),
    ]
    parts += [f"**Not measured: {tool}** ({why})." for tool, why in results.missing.items()]
    parts += ["### What issue 3 asks for", table(["goal", "worst case", "reached"], goals(results))]
    parts += [
        "### CPU time a viewshed, all threads together [ms, ± half the distance of the quartiles]",
        rows(times, names),
        f"### How many times {ours}'s CPU time",
        rows(lambda case, name: figure(_ratio(case, name, ours, "cpu")), others),
        "### Wall time a viewshed on two threads [ms]",
        "The quicker of two calls at once and one at a time, with whatever threads the tool itself starts.",
        rows(on_two, names),
        f"### How many times {ours}'s wall time on two threads",
        rows(lambda case, name: figure(_ratio(case, name, ours, "two")), others),
        "### Cells that differ from the exact line of sight, as a share of the circle",
        "Exact is the plain march of `benchmarks/grounds.py`, in each case held to `tests/reference.py` (in fractions) "
        "at up to 15 cells that some tool has otherwise and 15 others. A graze clears the ground by less than 1e-6 m. "
        "Where the ground has room for it five eyes are added up.",
        rows(apart, names),
        "### Cells in sight, and intersection over union with the exact ones",
        table(
            ["ground, range, eye", "eyes", "cells", "in sight", *names],
            [
                [
                    case.label,
                    str(case.eyes),
                    str(case.cells),
                    f"{case.share:.3f}",
                    *(f"{case.tools[name].iou:.4f}" for name in names),
                ]
                for case in results.cases
            ],
        ),
        "### Memory that one call adds at its peak [MiB]",
        "Over what the process holds with its terrain loaded; GRASS: the whole program.",
        rows(lambda case, name: figure(case.tools[name].mib), names, measured),
        f"### A sector of 60 degrees as a share of the full circle's CPU time, {ours}",
        table(
            ["ground, range, eye", "median of 4 azimuths", "worst"],
            [[where, figure(middle), figure(worst)] for where, middle, worst in results.sectors],
        ),
        "### A process's first call, 2 km, imports aside [s]",
        table(
            ["", "nothing compiled", "compiled before", "its second call"],
            [
                ["exact=True" if exact else ours, *(figure(part) for part in seconds)]
                for exact, seconds in results.firsts.items()
            ],
        ),
    ]
    return "\n\n".join(parts)


_MARKS = {
    "ours": ("o", "#0072b2"),
    "ours-exact": ("*", "#56b4e9"),
    "gdal": ("s", "#d55e00"),
    "gdal-one-core": ("P", "#e69f00"),
    "xarray-spatial": ("^", "#009e73"),
    "grass": ("D", "#cc79a7"),
}


def draw(results: Results, path: Path) -> None:
    """The chart: time against disagreement, a panel for each range on 5 m cells."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    circles = [case for case in results.cases if case.cell == 5.0]
    reaches = sorted({case.job.reach for case in circles})
    figures, panels = pyplot.subplots(1, len(reaches), figsize=(5.2 * len(reaches), 4.4), sharey=True, squeeze=False)
    floor = 1e-6
    for panel, reach in zip(panels[0], reaches, strict=True):
        for key, name in results.names.items():
            mark, colour = _MARKS[key]
            these = [case for case in circles if case.job.reach == reach]
            x = [1000.0 * median(case.tools[name].cpu) for case in these]
            y = [max(case.tools[name].wrong / case.cells, floor) for case in these]
            panel.scatter(x, y, marker=mark, s=70 if mark == "*" else 34, color=colour, label=name, zorder=3)
        panel.set(xscale="log", yscale="log", ylim=(floor / 2.0, 0.1), xlabel="CPU time of one viewshed [ms]")
        panel.set_title(f"full circle of {reach / 1000.0:g} km on 5 m cells", fontsize=10)
        panel.grid(which="major", alpha=0.3)
    panels[0][0].set_ylabel("share of cells that differ from the exact answer")
    ticks = [floor, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    panels[0][0].set_yticks(ticks, ["none", *(f"{tick:g}" for tick in ticks[1:])])
    figures.legend(*panels[0][0].get_legend_handles_labels(), loc="lower center", ncols=6, frameon=False, fontsize=8.5)
    figures.suptitle("Faster is left, more exact is down", fontsize=11)
    figures.tight_layout(rect=(0.0, 0.06, 1.0, 1.0))
    figures.savefig(path, dpi=110)
    pyplot.close(figures)
