"""The frontage laid out straight: which state each stretch of it is in.

One rule for the terminal, the picture and the page, so that they cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dronewall.report.colours import WORST_FIRST, State

if TYPE_CHECKING:
    from dronewall.engine.cycle import TargetCycle
    from dronewall.engine.frontage import Frontage
    from dronewall.engine.gaps import Gap, Kind
    from dronewall.engine.wall import Coverage, TargetCoverage

KINDS: tuple[Kind, ...] = ("line", "lane", "breach")
"""The rows of a target, from the top."""


def name(target: TargetCoverage | TargetCycle) -> str:
    """A target's name; with the word `assured` where that is the level."""
    return f"{target.target.name} assured" if target.level == "assured" else target.target.name


def rows(coverage: Coverage) -> list[tuple[TargetCoverage, Kind]]:
    """What a ribbon shows, row by row: target after target, each first as expected, then as assured."""
    names = list(dict.fromkeys(target.target.name for target in coverage.targets))
    by_target = sorted(coverage.targets, key=lambda target: names.index(target.target.name))
    return [(target, kind) for target in by_target for kind in KINDS]


class Run(NamedTuple):
    """A stretch of the frontage in one state; chainages in metres."""

    start: float
    end: float
    state: State


def threshold(coverage: Coverage, kind: Kind) -> float:
    """The probability under which a station of this kind is a gap."""
    thresholds = coverage.scenario.thresholds
    return float(thresholds.line_p if kind == "line" else thresholds.lane_p)


def probability(coverage: Coverage, target: TargetCoverage, kind: Kind) -> NDArray[np.float64]:
    """Detection probability per station, nan where the terrain does not say and what is known does not
    suffice.

    Unknown ground counts as unwatched, so a lane or crossing that reaches the threshold over it holds whatever
    lies there.
    """
    value = np.asarray(target.stations.probability(kind), dtype=float)
    dark = target.stations.doubt(kind)
    return np.where(np.asarray(dark) & (value < threshold(coverage, kind)), np.nan, value)


def gaps(target: TargetCoverage, kind: Kind) -> list[Gap]:
    """The listed gaps of one kind in the order of their chainage."""
    return sorted((gap for gap in target.gaps if gap.kind == kind), key=lambda gap: (gap.start, gap.end))


def stations_in(target: TargetCoverage, gap: Gap) -> NDArray[np.intp]:
    """Indices of the stations in a gap."""
    chainage = np.asarray(target.stations.chainage)
    return np.flatnonzero((chainage >= gap.start) & (chainage <= gap.end))


def lane_band(target: TargetCoverage, gap: Gap) -> NDArray[np.float64]:
    """The outline (m, 2) east, north of the belt between the first and the last lane of a gap."""
    lanes = np.asarray(target.stations.lane)[stations_in(target, gap)]
    return np.concatenate([lanes[:, 0], lanes[::-1, 1]])


def runs(coverage: Coverage, target: TargetCoverage, kind: Kind) -> list[Run]:
    """The frontage from 0 to its length in maximal stretches of one state.

    Gaps reach exactly from their start to their end; the rest is by station, each standing for the frontage
    half way to its neighbours. Inside a gap, unknown stations show as unknown. A station under the threshold
    that is in no listed gap (too short to list) is weak.
    """
    length = float(coverage.frontage.length)
    chainage = np.asarray(target.stations.chainage, dtype=float)
    halves = (chainage[1:] + chainage[:-1]) / 2 if len(chainage) else np.empty(0)
    listed = gaps(target, kind)
    cuts = np.concatenate([[0.0, length], halves, *[[gap.start, gap.end] for gap in listed]])
    cuts = np.unique(np.clip(cuts, 0.0, length))
    middles = (cuts[1:] + cuts[:-1]) / 2
    station = np.searchsorted(halves, middles)
    value = probability(coverage, target, kind)
    good = (1.0 + threshold(coverage, kind)) / 2
    found: list[Run] = []
    for start, end, middle, index in zip(cuts[:-1], cuts[1:], middles, station, strict=True):
        state: State
        if not len(value) or np.isnan(value[index]):
            state = "unknown"
        elif any(gap.start <= middle <= gap.end for gap in listed):
            state = "gap"
        else:
            state = "covered" if value[index] >= good else "weak"
        if found and found[-1].state == state:
            found[-1] = Run(found[-1].start, float(end), state)
        else:
            found.append(Run(float(start), float(end), state))
    return found


def columns(stretches: list[Run], length: float, count: int) -> list[State]:
    """`count` equal columns of a frontage of `length` metres, each with the worst state that rounds into it.

    Ends are rounded to the nearest column edge, and a run shorter than a column still fills the one its
    middle is in: nothing bad is ever too short to show.
    """
    cells = np.full(count, len(WORST_FIRST) - 1)
    for run in stretches:
        first, last = round(run.start / length * count), round(run.end / length * count)
        if first >= last:
            first = min(int((run.start + run.end) / 2 / length * count), count - 1)
            last = first + 1
        rank = WORST_FIRST.index(run.state)
        cells[first:last] = np.minimum(cells[first:last], rank)
    return [WORST_FIRST[cell] for cell in cells]


def vertices(frontage: Frontage) -> NDArray[np.float64]:
    """Chainages of the frontage's points, (n,)."""
    points = np.asarray(frontage.points, dtype=float)
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps)])


def places(frontage: Frontage, chainages: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """East and north of chainages, (..., 2); outside the frontage its nearest end."""
    return np.stack(frontage.at(chainages), axis=-1)


def stretch(frontage: Frontage, start: float, end: float) -> NDArray[np.float64]:
    """The piece of the frontage between two chainages with its bends, (n, 2) east, north, n >= 2."""
    at = vertices(frontage)
    inner = at[(at > start) & (at < end)]
    return places(frontage, np.concatenate([[start], inner, [end]]))


def post_chainages(coverage: Coverage) -> list[tuple[str, float]]:
    """Posts with the chainage of the frontage point nearest to each, in the order of chainage."""
    located = []
    for name, (east, north) in coverage.posts.items():
        chainage, _ = coverage.frontage.locate(east, north)
        located.append((name, float(chainage)))
    return sorted(located, key=lambda item: (item[1], item[0]))


def kilometre_step(length: float, most: int) -> float:
    """The roundest tick distance [m] (1, 2 or 5 times a power of ten) that cuts `length` into at most `most`
    pieces.
    """
    least = length / max(most, 1)
    power = 10.0 ** np.floor(np.log10(max(least, 1e-9)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9)))


def ticks(length: float, most: int, least: float = 0.0) -> NDArray[np.float64]:
    """Chainages from 0 to `length` at round distances, at least `least` [m] apart and at most `most` pieces."""
    return np.arange(0.0, length + 1e-6, max(kilometre_step(length, most), least))
