"""Which stations are open over time, and the gaps that they make: lists that do not flicker, names that last.

A station opens when its P falls under the threshold. It closes again only when P has held the threshold and a margin
for some seconds (`Rule`), so that what dithers about the threshold opens one gap and no second. A run of open stations
is a gap. It keeps its name for as long as it overlaps what it was: one that grows keeps it, of two that merge the older
one's stays, and of one that falls apart the part that holds most of it goes on.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rule:
    """When a station opens and closes. margin: of P above the threshold, at most half way to certainty; seconds: for
    which P must hold both. shortest: stations that a gap must have to be listed.
    """

    threshold: float
    margin: float
    seconds: float
    shortest: float = 0.0

    @property
    def closing(self) -> float:
        """P at which a station may close."""
        return min(self.threshold + self.margin, (1.0 + self.threshold) / 2.0)


@dataclass(frozen=True)
class OpenGap:
    """A run of open stations, from `first` to the one before `after`. opened: when its first station was [s]. listed:
    whether it is long enough.
    """

    name: str
    first: int
    after: int
    opened: float
    listed: bool


@dataclass(frozen=True)
class Alarm:
    """What is open at a time [s]. open (n,). held (n,): since when P has held the closing threshold; nan where it does
    not. gaps: from the frontage's start to its end, those that are too short to be listed included.
    """

    at: float
    open: Bools
    held: Floats
    gaps: tuple[OpenGap, ...]

    @property
    def listed(self) -> tuple[OpenGap, ...]:
        """The gaps that are long enough."""
        return tuple(gap for gap in self.gaps if gap.listed)


@dataclass(frozen=True)
class Change:
    """A gap that came onto the list, or went off it. into: the name of the gap that it is part of now; "" for none."""

    what: Literal["opened", "closed"]
    gap: OpenGap
    into: str = ""


def alarm(
    before: Alarm | None, probability: Floats, at: float, rule: Rule, name: Callable[[int], str]
) -> tuple[Alarm, tuple[Change, ...]]:
    """What is open now that the stations' P is this, and what has changed since `before`, None for the first time.

    at: time [s]; one before the last is taken for the last. name: what a new gap is called, by its first station; where
    another one is called so, a number is added.
    """
    at = at if before is None else max(at, before.at)
    none = np.full(probability.shape, math.nan)
    was_open, was_held = (np.zeros(probability.shape, dtype=np.bool_), none) if before is None else (
        before.open, before.held
    )  # fmt: skip
    holds = probability >= rule.closing
    held = np.where(holds, np.where(np.isnan(was_held), at, was_held), math.nan)
    closes = holds & (at - np.where(holds, held, at) >= rule.seconds)
    open_ = (probability < rule.threshold) | (was_open & ~closes)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], open_, [False])).astype(np.int8)))
    runs = [(int(first), int(after)) for first, after in zip(edges[::2], edges[1::2], strict=True)]
    old = () if before is None else before.gaps
    heirs = _heirs(old, runs)
    taken = {gap.name for gap in old}
    found = []
    for index, (first, after) in enumerate(runs):
        listed = after - first >= rule.shortest
        if index in heirs:
            found.append(dataclasses.replace(heirs[index], first=first, after=after, listed=listed))
            continue
        own = called = name(first)
        number = 1
        while called in taken:
            number += 1
            called = f"{own}-{number}"
        taken.add(called)
        found.append(OpenGap(called, first, after, at, listed))
    return Alarm(at, open_, held, tuple(found)), _changes(old, found)


def _heirs(old: Sequence[OpenGap], runs: Sequence[tuple[int, int]]) -> dict[int, OpenGap]:
    """Which run goes on as which gap: the older gaps choose first, each the run that holds most of it."""
    heirs: dict[int, OpenGap] = {}
    for gap in sorted(old, key=lambda gap: (gap.opened, gap.first)):
        shared = {
            index: min(after, gap.after) - max(first, gap.first)
            for index, (first, after) in enumerate(runs)
            if index not in heirs and first < gap.after and after > gap.first
        }
        if shared:
            heirs[max(shared, key=lambda index: (shared[index], -index))] = gap
    return heirs


def _changes(old: Sequence[OpenGap], new: Sequence[OpenGap]) -> tuple[Change, ...]:
    were = {gap.name for gap in old if gap.listed}
    there = {gap.name: gap for gap in new if gap.listed}
    changes = []
    for gap in old:
        if gap.listed and gap.name not in there:
            into = next((one.name for one in there.values() if one.first < gap.after and one.after > gap.first), "")
            changes.append(Change("closed", gap, into))
    return (*changes, *(Change("opened", gap) for gap in new if gap.listed and gap.name not in were))
