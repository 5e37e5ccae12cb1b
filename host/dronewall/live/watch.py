"""A wall as it goes on: which gaps open and close, from the live state at one time after another."""

import dataclasses
from typing import Literal, NamedTuple

from dronewall.engine.alarm import Alarm, Rule, alarm
from dronewall.engine.gaps import KINDS, Gap, Kind
from dronewall.engine.ground import Ground
from dronewall.engine.levels import Level
from dronewall.engine.wall import Coverage, Source, TargetCoverage, Wall, listed, threshold_of
from dronewall.live.moment import latest
from dronewall.live.state import State

LEVEL: Level = "expected"


class Event(NamedTuple):
    """A gap that came onto the list, or went off it, as it was there last. into: the name of the gap that it is part of
    now; "" for none.
    """

    what: Literal["opened", "closed"]
    gap: Gap
    into: str


class Picture(NamedTuple):
    """The wall at one time: its coverage, in which the gaps that are expected are the live ones, and what happened."""

    coverage: Coverage
    events: tuple[Event, ...]


class Watch:
    """What becomes of a wall's gaps: they open at once, close late, and keep their names (`alarm`)."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._wall = Wall(ground)
        self._alarms: dict[tuple[str, Kind], Alarm] = {}
        self._gaps: dict[str, Gap] = {}

    def look(self, state: State, at_unix_ms: int, source: Source = "live") -> Picture:
        """The wall at this time. How long a gap has held is told by when reports came, not by this time: while nobody
        reports, none closes.
        """
        reports, states = latest(state, at_unix_ms)
        self._wall.update(reports, states=states)
        coverage = self._wall.coverage(at_unix_ms, source)
        heard = state.heard_unix_ms / 1000.0
        targets, events = [], []
        for target in coverage.targets:
            if target.level == LEVEL:
                found: list[Gap] = []
                for kind in KINDS:
                    gaps, changes = self._of_kind(target, kind, heard)
                    found += gaps
                    events += changes
                target = dataclasses.replace(target, gaps=tuple(found))
            targets.append(target)
        return Picture(dataclasses.replace(coverage, targets=tuple(targets)), tuple(events))

    def _of_kind(self, target: TargetCoverage, kind: Kind, heard: float) -> tuple[list[Gap], list[Event]]:
        thresholds, at, name = self._ground.scenario.thresholds, target.stations, target.target.name
        rule = Rule(
            threshold_of(self._ground, kind), thresholds.hysteresis_p, thresholds.close_s,
            thresholds.gap_min_m / at.step,
        )  # fmt: skip
        now, changes = alarm(
            self._alarms.get((name, kind)), at.probability(kind), heard, rule,
            lambda first: f"{name}-{LEVEL}-{kind}-{round(first * at.step):05d}",
        )  # fmt: skip
        self._alarms[name, kind] = now
        runs = listed(self._ground, at, kind, name, LEVEL, now.open)
        gaps = [dataclasses.replace(run, id=gap.name) for run, gap in zip(runs, now.gaps, strict=True) if gap.listed]
        self._gaps |= {gap.id: gap for gap in gaps}
        events = [Event(change.what, self._gaps[change.gap.name], change.into) for change in changes]
        for event in events:
            if event.what == "closed":
                del self._gaps[event.gap.id]
        return gaps, events
