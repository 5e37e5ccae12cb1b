"""Where somebody could cross: stations along the frontage, and the gaps, the runs of stations that are watched too
little.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dronewall.engine.detection import Target
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.levels import Level
from dronewall.engine.stored import Cells
from dronewall.engine.terrain import Terrain

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Kind = Literal["line", "lane"]

_PIECES = 500_000
"""Pieces of lanes that are looked at together: some 50 MB."""


@dataclass(frozen=True)
class Stations:
    """The frontage cut into equal pieces; all arrays (n,) unless said otherwise.

    chainage: middles of the pieces [m]; east, north [site m]. line_p: probability that a look at the station
    detects the target. lane: far and near end of the straight lane through it (n, 2, 2) [site m]. lane_p:
    probability of being detected on the lane, at the target's speed. unknown, lane_unknown: the terrain does not
    say all there is to know at the station, or on its lane; unknown ground counts as unwatched. Where k nodes are
    asked for, nothing is detected where fewer count: line_p is 0 there, and that part of a lane adds nothing.
    """

    chainage: Floats
    east: Floats
    north: Floats
    line_p: Floats
    lane_p: Floats
    unknown: Bools
    lane_unknown: Bools
    lane: Floats
    step: float


@dataclass(frozen=True)
class Gap:
    """A run of stations whose probability stays under the threshold: from start to end [m of chainage].

    unknown: share of its stations about which the terrain does not say all. flank: within the lateral distance of
    the frontage's end. below_resolution: shorter than two postings of the terrain. nearest_posts: the post on
    either side, by chainage.
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


def stations(
    terrain: Terrain,
    frontage: Frontage,
    field: Field,
    target: Target,
    look_s: float,
    k: int = 1,
    count_p: float = 0.5,
) -> Stations:
    """The frontage's stations, one per cell or closer, audited sensor by sensor.

    Lanes run from the belt's far edge to its near edge and are cut into pieces of half a cell at most; a piece's
    exposure is the rate in the cell that holds its middle times the time the target takes for it. k: where fewer nodes
    than this detect the target in a look with at least `count_p`, nothing is detected; 1 asks nothing of the kind.
    """
    chainage = frontage.stations(terrain.cell)
    east, north = frontage.at(chainage)
    lanes = frontage.lanes(chainage)
    pieces = max(2, int(np.ceil(frontage.depth / (terrain.cell / 2.0) - 1e-9)))
    share = (np.arange(pieces) + 0.5) / pieces
    station_cells = terrain.cells(east, north)
    seconds = frontage.depth / pieces / target.speed
    line_p = field.glance(station_cells, look_s)
    if k > 1:
        line_p[field.count_at(station_cells, look_s, count_p) < k] = 0.0
    lane_missed = np.ones(chainage.shape)
    lane_unknown = np.zeros(chainage.shape, dtype=np.bool_)
    # Some lanes at a time, and of them each sensor gets only those that it may reach: what a long line takes grows
    # with its length and no faster.
    together = max(1, _PIECES // pieces)
    for part in (slice(first, first + together) for first in range(0, len(chainage), together)):
        far, near = lanes[part, None, 0], lanes[part, None, 1]
        along = far + share[None, :, None] * (near - far)
        rows, cols = terrain.cells(along[..., 0], along[..., 1])
        lane_unknown[part] = np.any(_unknown_at(terrain, field, (rows, cols)), axis=1)
        counting = field.count_at((rows, cols), look_s, count_p) >= k if k > 1 else None
        low_row, low_col, high_row, high_col = rows.min(axis=1), cols.min(axis=1), rows.max(axis=1), cols.max(axis=1)
        missed = lane_missed[part]
        for name in field.near((rows, cols)):
            (first_row, last_row), (first_col, last_col) = field[name].reach
            reached = (low_row < last_row) & (high_row >= first_row) & (low_col < last_col) & (high_col >= first_col)
            some = np.flatnonzero(reached)
            counted = None if counting is None else counting[some]
            missed[some] *= 1.0 - field[name].passage((rows[some], cols[some]), seconds, counted)
    return Stations(
        chainage=chainage,
        east=east,
        north=north,
        line_p=line_p,
        lane_p=1.0 - lane_missed,
        unknown=_unknown_at(terrain, field, station_cells),
        lane_unknown=lane_unknown,
        lane=lanes,
        step=frontage.length / len(chainage),
    )


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
    cell: float = 0.0,
    level: Level = "expected",
) -> tuple[Gap, ...]:
    """The gaps of one kind, from the frontage's start to its end: maximal runs of stations with P < threshold.

    posts: chainage [m] by name. shortest: gaps under this many metres are left out. lateral: within it of an end a
    gap is on the flank. posting, cell: of the terrain; a gap under twice the larger is marked. level: the
    stations'.
    """
    probability = at.line_p if kind == "line" else at.lane_p
    dark = at.unknown if kind == "line" else at.lane_unknown
    edges = np.flatnonzero(np.diff(np.concatenate(([False], probability < threshold, [False])).astype(np.int8)))
    found = []
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        start, end = first * at.step, after * at.step
        if end - start < shortest:
            continue
        inside = [name for name in posts if start <= posts[name] <= end]
        before = [name for name in posts if posts[name] < start]
        behind = [name for name in posts if posts[name] > end]
        beside = (*sorted(before, key=posts.__getitem__)[-1:], *sorted(behind, key=posts.__getitem__)[:1])
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
                below_resolution=bool(end - start < 2.0 * max(posting, cell)),
                nearest_posts=nearest,
            )
        )
    return tuple(found)
