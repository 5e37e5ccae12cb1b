"""The ways across a line that are shown: the weakest route, the one with the least bottleneck, and the best crossing
at a station.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dronewall.engine.gaps import points_of
from dronewall.report import ribbon

if TYPE_CHECKING:
    from dronewall.engine.gaps import Crossing, Gap
    from dronewall.engine.wall import Coverage, TargetCoverage

Which = Literal["weakest", "bottleneck"]


def whole(target: TargetCoverage) -> list[tuple[Which, Crossing]]:
    """The weakest route of the whole line, then the one with the least bottleneck where that is another."""
    found: list[tuple[Which, Crossing]] = []
    if target.weakest is not None:
        found.append(("weakest", target.weakest))
    other = target.bottleneck
    if other is not None and not (found and np.array_equal(found[0][1].points, other.points)):
        found.append(("bottleneck", other))
    return found


def weakest_station(target: TargetCoverage, gap: Gap) -> int:
    """The station at which a gap is weakest."""
    inside = ribbon.stations_in(target, gap)
    return int(inside[np.argmin(target.stations.probability(gap.kind)[inside])])


def crossing(coverage: Coverage, target: TargetCoverage, station: int) -> NDArray[np.float64]:
    """The best crossing at a station, (n, 2) east, north [site m], from the belt's far edge to its near edge."""
    cells = target.stations.routes[station]
    if not len(cells):
        return np.asarray(target.stations.lane[station], dtype=float)
    return points_of(coverage.terrain, coverage.frontage, cells)
