"""The list of gaps: which of them lie at one place of the frontage and so bear one number.

A breach gap holds the lane gaps in it, and mostly the line gaps, too: one place to look after, not three. It makes an
*entry* of the list, numbered along the frontage; a lane or line gap that overlaps none makes an entry of its own, after
those. Tables, ribbons and maps show the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dronewall.report import ribbon

if TYPE_CHECKING:
    from dronewall.engine.gaps import Gap, Kind
    from dronewall.engine.wall import Coverage, TargetCoverage

_FIRST: tuple[Kind, ...] = ("breach", "lane", "line")


@dataclass(frozen=True)
class Entry:
    """A place in the list of gaps. gaps: what is open there, first the one that made it, then what overlaps it."""

    number: int
    target: TargetCoverage
    gaps: tuple[Gap, ...]

    @property
    def gap(self) -> Gap:
        """The gap that made it."""
        return self.gaps[0]

    @property
    def kinds(self) -> str:
        """Which kinds of gaps there are: `breach, lane`, or `all` of them."""
        found = {gap.kind for gap in self.gaps}
        return "all" if len(found) == len(ribbon.KINDS) else ", ".join(kind for kind in _FIRST if kind in found)


def entries(coverage: Coverage, of: TargetCoverage | None = None) -> list[Entry]:
    """The list of gaps: what is expected before what is assured, target after target; with `of` only that one's, with
    the numbers they have among all.
    """
    found: list[Entry] = []
    for target in coverage.targets:
        found += [Entry(number, target, gaps) for number, gaps in enumerate(_joined(target), len(found) + 1)]
    return [entry for entry in found if of is None or entry.target is of]


def numbered(coverage: Coverage, of: TargetCoverage | None = None) -> list[tuple[int, TargetCoverage, Gap]]:
    """Every gap with its entry's number, the one that made the entry first."""
    return [(entry.number, entry.target, gap) for entry in entries(coverage, of) for gap in entry.gaps]


def _joined(target: TargetCoverage) -> list[tuple[Gap, ...]]:
    """Gaps of one target by the place that they share most of."""
    found: list[list[Gap]] = []
    for kind in _FIRST:
        own = []
        for gap in ribbon.gaps(target, kind):
            most = max(found, key=lambda there: _shared(there[0], gap), default=None)
            if most is not None and _shared(most[0], gap) > 0.0:
                most.append(gap)
            else:
                own.append([gap])
        found += own
    return [tuple(gaps) for gaps in found]


def _shared(one: Gap, other: Gap) -> float:
    """Metres of frontage in both."""
    return min(one.end, other.end) - max(one.start, other.start)
