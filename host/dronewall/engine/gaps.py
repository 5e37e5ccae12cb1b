"""Where somebody could cross: stations along the frontage, and the gaps, the runs of stations that are watched too
little.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dronewall.engine.belt import Belt, belt_of
from dronewall.engine.breach import (
    Counted,
    Crossings,
    Going,
    Guide,
    bottleneck_route,
    crossings,
    guide_of,
    lane_paths,
    retold,
    summed,
    weakest_route,
)
from dronewall.engine.crossing import Paths, audited, warnings
from dronewall.engine.detection import Target
from dronewall.engine.exposure import Ways
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.levels import Level
from dronewall.engine.stored import Cells
from dronewall.engine.terrain import Terrain

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

Kind = Literal["line", "lane", "breach"]
KINDS: tuple[Kind, ...] = ("line", "lane", "breach")

_PIECES = 500_000
"""Pieces of lanes that are looked at together: some 50 MB."""


@dataclass(frozen=True)
class Stations:
    """The frontage cut into equal pieces of `step` metres; all arrays (n,) unless said otherwise.

    chainage: middles of the pieces [m]; east, north [site m]. line_p: probability that a look at the station
    detects the target. lane: far and near end of the straight lane through it (n, 2, 2) [site m]. lane_p, breach_p:
    probability of being detected on the lane, and on the best crossing that there is at the station, the lane included
    (`breach`); 1 where nobody can go. lane_before, breach_before: of being detected there before the frontage is
    reached. lane_warning, breach_warning: median time left to the frontage then [s], nan where nobody is detected.
    routes: the best crossing's cells in the raster; none where it is the lane.

    unknown, lane_unknown, breach_unknown: the terrain does not say all there is to know at the station, on its lane, on
    its best crossing; unknown ground counts as unwatched. Where k nodes are asked for, nothing is detected where fewer
    count: line_p is 0 there, and that part of a way adds nothing.
    """

    chainage: Floats
    east: Floats
    north: Floats
    step: float
    line_p: Floats
    unknown: Bools
    lane: Floats
    lane_p: Floats
    lane_before: Floats
    lane_warning: Floats
    lane_unknown: Bools
    routes: Ways
    breach_p: Floats
    breach_before: Floats
    breach_warning: Floats
    breach_unknown: Bools

    def probability(self, kind: Kind) -> Floats:
        """P of a kind's gaps."""
        return {"line": self.line_p, "lane": self.lane_p, "breach": self.breach_p}[kind]

    def doubt(self, kind: Kind) -> Bools:
        """Where a kind's P rests on unknown ground."""
        return {"line": self.unknown, "lane": self.lane_unknown, "breach": self.breach_unknown}[kind]


@dataclass(frozen=True)
class Gap:
    """A run of stations whose probability stays under the threshold: from start to end [m of chainage].

    unknown: share of its stations about which the terrain does not say all. flank: within the lateral distance of
    the frontage's end. below_resolution: shorter than two postings of the terrain. nearest_posts: the post on
    either side, by chainage. weakest: chainage of the station with the least P, the first of several [m]. before:
    probability of being detected there before the frontage is reached; warning: median time left then [s]; None for a
    line gap, where nobody moves, and where nobody is detected.
    """

    id: str
    kind: Kind
    target: str
    level: Level
    start: float
    end: float
    probability_least: float
    probability_mean: float
    threshold: float
    unknown: float
    flank: bool
    below_resolution: bool
    nearest_posts: tuple[str, ...]
    weakest: float = math.nan
    before: float | None = None
    warning: float | None = None

    @property
    def length(self) -> float:
        """Metres along the frontage."""
        return self.end - self.start


def unknown(terrain: Terrain, field: Field) -> Bools:
    """Cells (north, east) about which nothing can be said: no ground height, or seen by nobody and across unknown
    ground by somebody.
    """
    return np.asarray(np.isnan(terrain.ground_amsl) | field.doubtful())


def _unknown_at(terrain: Terrain, field: Field, cells: Cells) -> Bools:
    """The same, at cells of the raster; True outside it."""
    return np.asarray((cells[0] < 0) | np.isnan(terrain.ground_amsl[cells]) | field.doubtful_at(cells))


@dataclass(frozen=True)
class _Taken:
    """What becomes of who takes one way at each station: (n,) each; P is 1 where nobody can."""

    probability: Floats
    before: Floats
    warning: Floats
    unknown: Bools


def _taken(
    terrain: Terrain, field: Field, counted: Counted, count: int, pieces: int, some: Callable[[slice], Paths]
) -> _Taken:
    """The ways of `count` stations, some at a time: what a long line takes grows with its length and no faster.

    pieces: about how many each has. some: the ways of a few stations.
    """
    found = _Taken(np.ones(count), np.ones(count), np.full(count, math.nan), np.zeros(count, dtype=np.bool_))
    together = max(1, _PIECES // max(pieces, 1))
    for part in (slice(first, first + together) for first in range(0, count, together)):
        paths = some(part)
        closed = ~np.isfinite(paths.durations) | (np.diff(paths.ends, prepend=0) == 0)
        if not np.isfinite(paths.seconds).all():
            paths = dataclasses.replace(paths, seconds=np.where(np.isfinite(paths.seconds), paths.seconds, 0.0))
        cells = paths.cells[:, 0], paths.cells[:, 1]
        counting = None if counted.k == 1 else field.count_at(cells, counted.look_s, counted.count_p) >= counted.k
        probability, before = audited(field, paths, counting)
        found.probability[part] = np.where(closed, 1.0, probability)
        found.before[part] = np.where(closed, 1.0, before)
        found.warning[part] = np.where(closed, math.nan, warnings(field, paths, counting))
        dark = np.concatenate(([0], np.cumsum(_unknown_at(terrain, field, cells))))
        found.unknown[part] = dark[paths.ends] > dark[paths.starts]
    return found


def stations(
    terrain: Terrain,
    frontage: Frontage,
    field: Field,
    target: Target,
    look_s: float,
    k: int = 1,
    count_p: float = 0.5,
    *,
    lateral: float = 100.0,
    belt: Belt | None = None,
    going: Going | None = None,
    guide: Guide | None = None,
    part: Integers | None = None,
) -> Stations:
    """The frontage's stations, one per cell or closer, audited sensor by sensor.

    Lanes run from the belt's far edge to its near edge and are cut into pieces of half a cell at most; a piece's
    exposure is the rate in the cell that holds its middle times the time the target takes for it. k: where fewer nodes
    than this detect the target in a look with at least `count_p`, nothing is detected; 1 asks nothing of the kind.
    lateral: how far [m] the best crossing may wander aside. belt: of this frontage and terrain, left out: made here.
    going: how the target gets on over the belt; left out, with its speed everywhere.
    guide: of this field; left out, made here. part: the numbers of the stations that are asked for, left out: all.
    """
    belt = belt_of(frontage, terrain) if belt is None else belt
    going = Going(target.speed) if going is None else going
    counted = Counted(k, look_s, count_p)
    if guide is None:
        guide = guide_of(belt, summed(field, belt, counted), going, frontage.front, frontage.behind)
    chainage = frontage.stations(terrain.cell)
    step = frontage.length / len(chainage)
    chainage = chainage if part is None else chainage[part]
    east, north = frontage.at(chainage)
    cells = terrain.cells(east, north)
    line_p = field.glance(cells, look_s)
    if k > 1:
        line_p[field.count_at(cells, look_s, count_p) < k] = 0.0
    lanes = frontage.lanes(chainage)
    count = len(chainage)
    pieces = lane_pieces(terrain, frontage)
    lane = _taken(
        terrain, field, counted, count, pieces,
        lambda part: lane_paths(terrain, belt, going, lanes[part], pieces, frontage.front),
    )  # fmt: skip
    best = crossings(belt, guide, going, frontage.front, frontage.behind, np.stack(cells, axis=-1), chainage, lateral)
    route = _taken(terrain, field, counted, count, pieces, best.paths.some)
    straight = lane.probability <= route.probability
    return Stations(
        chainage=chainage,
        east=east,
        north=north,
        step=step,
        line_p=line_p,
        unknown=_unknown_at(terrain, field, cells),
        lane=lanes,
        lane_p=lane.probability,
        lane_before=lane.before,
        lane_warning=lane.warning,
        lane_unknown=lane.unknown,
        routes=best.ways.without(straight, (belt.row, belt.col)),
        breach_p=np.where(straight, lane.probability, route.probability),
        breach_before=np.where(straight, lane.before, route.before),
        breach_warning=np.where(straight, lane.warning, route.warning),
        breach_unknown=np.where(straight, lane.unknown, route.unknown),
    )


@dataclass(frozen=True)
class Crossing:
    """One way across the line, from the belt's far edge to its near edge: points (m, 2) east, north [site m].

    chainage: where it first reaches the frontage [m]. length [m], seconds: what it takes. probability: of being
    detected on it; before: before it reaches the frontage; warning: median time left then [s], None where nobody is
    detected. worst: the highest summed rate that it meets [1/s]. unknown: whether some of it lies on unknown ground.
    """

    points: Floats
    chainage: float
    length: float
    seconds: float
    probability: float
    before: float
    warning: float | None
    worst: float
    unknown: bool


def weakest(
    terrain: Terrain, frontage: Frontage, field: Field, belt: Belt, going: Going, counted: Counted, guide: Guide
) -> tuple[Crossing | None, Crossing | None]:
    """The route of all on which exposure is least, and of those that meet the least possible highest rate the least
    exposed; None where nobody can cross at all.
    """
    front, behind = frontage.front, frontage.behind
    least, flattest = (found(belt, guide, going, front, behind) for found in (weakest_route, bottleneck_route))
    return (
        crossing_of(terrain, frontage, field, belt, counted, guide, least),
        crossing_of(terrain, frontage, field, belt, counted, guide, flattest),
    )


def crossing_of(
    terrain: Terrain, frontage: Frontage, field: Field, belt: Belt, counted: Counted, guide: Guide, routes: Crossings
) -> Crossing | None:
    """What becomes of who takes the one route there is; None where there is none."""
    cells, paths = routes.ways.cells, routes.paths
    if not len(cells):
        return None
    taken = _taken(terrain, field, counted, 1, 1, paths.some)
    points = points_of(terrain, frontage, cells + np.array((belt.row, belt.col)))
    met = paths.cells - (belt.row, belt.col)
    first = min(int(paths.before[0]), len(met) - 1)
    return Crossing(
        points=points,
        chainage=float(belt.chainage[tuple(met[first])]),
        length=float(np.hypot(*np.diff(points, axis=0).T).sum()),
        seconds=float(paths.durations[0]),
        probability=float(taken.probability[0]),
        before=float(taken.before[0]),
        warning=None if math.isnan(taken.warning[0]) else float(taken.warning[0]),
        worst=float(guide.rate[tuple(met.T)].max()),
        unknown=bool(taken.unknown[0]),
    )


def weakest_at_a_station(
    terrain: Terrain, frontage: Frontage, belt: Belt, going: Going, guide: Guide, at: Stations
) -> Crossing | None:
    """The best crossing at the station where it is detected least; None where nobody can cross anywhere. guide: of the
    field that the stations are of.
    """
    number = int(np.argmin(at.breach_p))
    cells, lane = at.routes[number], at.lane[number : number + 1]
    if len(cells):
        paths = retold(belt, guide, going, frontage.front, frontage.behind, cells).paths
        points = points_of(terrain, frontage, cells)
    else:
        pieces = lane_pieces(terrain, frontage)
        paths, points = lane_paths(terrain, belt, going, lane, pieces, frontage.front), lane[0]
    seconds, warning = float(paths.durations[0]), float(at.breach_warning[number])
    if not math.isfinite(seconds):
        return None
    met = paths.cells - (belt.row, belt.col)
    inside = ((met >= 0) & (met < belt.inside.shape)).all(axis=1)
    return Crossing(
        points=points,
        chainage=float(at.chainage[number]),
        length=float(np.hypot(*np.diff(points, axis=0).T).sum()),
        seconds=seconds,
        probability=float(at.breach_p[number]),
        before=float(at.breach_before[number]),
        warning=None if math.isnan(warning) else warning,
        worst=float(guide.rate[tuple(met[inside].T)].max(initial=0.0)),
        unknown=bool(at.breach_unknown[number]),
    )


def lane_pieces(terrain: Terrain, frontage: Frontage) -> int:
    """Pieces of a lane: of half a cell at most."""
    return max(2, int(np.ceil(frontage.depth / (terrain.cell / 2.0) - 1e-9)))


def points_of(terrain: Terrain, frontage: Frontage, cells: Integers) -> Floats:
    """A way over cells of the raster (m, 2) as points (m + 2, 2) east, north [site m], from one edge of the belt to the
    other.
    """
    columns, rows = terrain.centres
    middles = np.stack((columns[cells[:, 1]], rows[cells[:, 0]]), axis=-1)
    chainage, offset = frontage.locate(*middles[[0, -1]].T)
    depth = np.where(offset > 0.0, frontage.front, -frontage.behind)
    edges = np.stack(frontage.at(chainage), axis=-1) + depth[:, None] * np.stack(frontage.normal(chainage), axis=-1)
    return np.concatenate((edges[:1], middles, edges[1:]))


def gaps(
    at: Stations,
    kind: Kind,
    target: str,
    threshold: float,
    frontage: Frontage,
    posts: Mapping[str, float],
    *,
    shortest: float = 0.0,
    lateral: float = 0.0,
    posting: float = 0.0,
    level: Level = "expected",
    open_: Bools | None = None,
) -> tuple[Gap, ...]:
    """The gaps of one kind, from the frontage's start to its end: maximal runs of stations with P < threshold, or of
    those that are said to be open (`alarm`).

    posts: chainage [m] by name. shortest: gaps under this many metres are left out. lateral: within it of an end a
    gap is on the flank. posting: of the terrain; a gap under two of them is marked. level: the stations'.
    """
    probability, dark = at.probability(kind), at.doubt(kind)
    none = np.full(probability.shape, math.nan)
    early, warning = {
        "line": (none, none),
        "lane": (at.lane_before, at.lane_warning),
        "breach": (at.breach_before, at.breach_warning),
    }[kind]
    under = probability < threshold if open_ is None else open_
    edges = np.flatnonzero(np.diff(np.concatenate(([False], under, [False])).astype(np.int8)))
    found = []
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        start, end = first * at.step, after * at.step
        if end - start < shortest:
            continue
        inside = [name for name in posts if start <= posts[name] <= end]
        before = [name for name in posts if posts[name] < start]
        behind = [name for name in posts if posts[name] > end]
        beside = (*sorted(before, key=posts.__getitem__)[-1:], *sorted(behind, key=posts.__getitem__)[:1])
        worst = first + int(np.argmin(probability[first:after]))
        nearest = tuple(sorted(inside, key=posts.__getitem__)) or beside
        found.append(
            Gap(
                id=f"{target}-{level}-{kind}-{round(start):05d}",
                kind=kind,
                target=target,
                level=level,
                start=float(start),
                end=float(end),
                probability_least=float(probability[first:after].min()),
                probability_mean=float(probability[first:after].mean()),
                threshold=threshold,
                unknown=float(dark[first:after].mean()),
                flank=bool(start < lateral or end > frontage.length - lateral),
                below_resolution=bool(end - start < 2.0 * posting),
                nearest_posts=nearest,
                weakest=float(at.chainage[worst]),
                before=None if math.isnan(early[worst]) else float(early[worst]),
                warning=None if math.isnan(warning[worst]) else float(warning[worst]),
            )
        )
    return tuple(found)
