"""What a Cycle amounts to, in figures and in sentences: one rule for terminal, picture and page.

Times are seconds into the cycle and are shown as minutes and seconds (`4:20`); chainages as kilometres.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dronewall.engine.opening import windows
from dronewall.report import ribbon
from dronewall.report.colours import WORST_FIRST
from dronewall.report.figures import kilometres, metres, percent
from dronewall.report.figures import moment as moment
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle, Lost, Opening, TargetCycle, TimedCrossing
    from dronewall.engine.patrol import Flight
    from dronewall.engine.wall import Coverage

Ranks = NDArray[np.int8]
"""Places in `colours.WORST_FIRST`: 0 is worst."""

MEAN = "Open: at one place of the stretch, on the mean; setting out: when some place of it is."
"""What the columns of a table of openings are."""
NEARLY = "nearly always"
"""How often what is not always open is where that rounds to all of the time."""
_SHOWN = 4
"""As many times of an opening are told one by one in a line."""
_NAMED = 6
"""As many drones that nobody hears are named."""
_ALIKE = 0.005
"""Chances that differ by less are told as the same."""


def frame(cycle: Cycle) -> Coverage:
    """The cycle's wall without any answer: what maps and provenance ask of a Coverage."""
    from dronewall.engine.wall import Coverage

    ground = cycle.ground
    posts = {
        post.name: tuple(float(part) for part in ground.site.to_site(post.latitude_deg, post.longitude_deg))
        for post in ground.scenario.posts
    }
    return Coverage(
        ground=ground,
        targets=(),
        sensors=(),
        posts={name: (place[0], place[1]) for name, place in posts.items()},
        at_unix_ms=cycle.at_unix_ms,
        source=cycle.source,
        digest=cycle.digest,
        version=cycle.version,
    )


def ordered(cycle: Cycle) -> list[TargetCycle]:
    """Target after target, each first as expected, then as assured: as `ribbon.rows`."""
    names = list(dict.fromkeys(of.target.name for of in cycle.targets))
    return sorted(cycle.targets, key=lambda of: names.index(of.target.name))


# --- words


def turn(cycle: Cycle, seconds: float) -> str:
    """A moment within the cycle, with the cycles after this one: `16:42+1`."""
    later = math.floor(round(seconds) / cycle.length) if cycle.periodic else 0
    return moment(seconds - later * cycle.length) + (f"+{later}" if later > 0 else "")


def lasting(seconds: float) -> str:
    """How long something takes: `45 s`, `3.5 min`, from ten minutes on `11 min`, from three hours on `3.2 h`."""
    if not math.isfinite(seconds):
        return "unknown"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    if seconds >= 3.0 * 3600.0 - 1e-9:
        return f"{seconds / 3600.0:.1f}".removesuffix(".0") + " h"
    minutes = seconds / 60.0
    return f"{minutes:.0f} min" if minutes >= 9.95 else f"{minutes:.1f}".removesuffix(".0") + " min"


def steps_said(cycle: Cycle) -> str:
    """How the time is cut: `in steps of 1.28 s`."""
    return f"in steps of {cycle.step:.3g} s"


def whole(cycle: Cycle) -> str:
    """What the answer is over: `one cycle of 20 min`, or `the first 2 h`."""
    return f"one cycle of {lasting(cycle.length)}" if cycle.periodic else f"the first {lasting(cycle.length)}"


def within(cycle: Cycle) -> str:
    """What times are into: `the cycle` or `the plan`."""
    return "the cycle" if cycle.periodic else "the plan"


def opening_span(opening: Opening) -> str:
    """`km 3.21 to 3.60`; to the metre where it is under 100 m."""
    digits = 2 if opening.end - opening.start >= 100.0 else 3
    return f"km {kilometres(opening.start, digits)} to {kilometres(opening.end, digits)}"


def opening_often(cycle: Cycle, opening: Opening) -> str:
    """How much of the time one place of it is open, on the mean: `always`, `4 min of every 11`, `40 s of the first
    2 h`, or `nearly always`, where that rounds to all of it.
    """
    if opening.always:
        return "always"
    (own, unit), (all_, other) = (lasting(seconds).split() for seconds in (opening.open, cycle.length))
    if (own, unit) == (all_, other):
        return NEARLY
    return f"{own} {unit} of {'every' if cycle.periodic else 'the first'} {all_}{'' if unit == other else f' {other}'}"


def opening_times(cycle: Cycle, opening: Opening, most: int = _SHOWN) -> str:
    """When one sets out for it: `2:10–4:20, 8:00–9:10 and 3 more`; nothing where it is open always.

    A time round the cycle's end ends where it is then: `18:00–1:20`.
    """
    if opening.always:
        return ""
    if len(opening.times) == 1 and opening.times[0][1] - opening.times[0][0] > cycle.length * (1.0 - 1e-9):
        return "always, at one place or another"
    ends = [(start, end - cycle.length if end > cycle.length else end) for start, end in opening.times[:most]]
    said = ", ".join(f"{moment(start)}–{moment(end)}" for start, end in ends)
    left = len(opening.times) - most
    return f"{said} and {left} more" if left > 0 else said


def opening_chances(of: TargetCycle, opening: Opening) -> tuple[float, float]:
    """The least P on a stretch of who knows the schedule, and of who does not."""
    middles = of.stations.chainage
    own = (middles > opening.start) & (middles < opening.end)
    return float(np.nanmin(of.knowing_p[own])), float(np.nanmin(of.unknowing_p[own]))


def knowing_said(cycle: Cycle, way: TimedCrossing) -> str:
    """`at km 3.41 with 12 % chance of being detected by setting out 4:20 into the cycle and waiting 1:10`."""
    waits = f"waiting {moment(way.waits)}" if round(way.waits) else "not waiting"
    chance = f"{percent(way.probability)} chance of being detected"
    return (
        f"at {where(cycle, way)} with {chance} by setting out {moment(way.sets_out)} into {within(cycle)} and {waits}"
    )


def where(cycle: Cycle, way: TimedCrossing) -> str:
    """`km 3.41`, and whether that is on the flank."""
    lateral = cycle.ground.scenario.thresholds.lateral_m
    flank = min(way.chainage, cycle.ground.frontage.length - way.chainage) < lateral
    return f"km {kilometres(way.chainage)}{' (flank)' if flank else ''}"


def loss_back(lost: Lost) -> str:
    """When the next drone of its sortie is on station: `after 10:00`, or `never`."""
    return "never" if lost.back is None else f"after {moment(lost.back)}"


def verdict(cycle: Cycle) -> list[str]:
    """For each target, as expected, what somebody who knows the drones' schedule makes of it, and what is open when.

    `Somebody who knows the drones' schedule crosses at km 3.41 with 12 % chance of being detected by setting out ...`
    """
    expected = [of for of in cycle.targets if of.level == "expected"] or list(cycle.targets)
    return [_target_said(cycle, of, len(expected) > 1) for of in expected]


def notes(cycle: Cycle) -> list[str]:
    """What has to be known before any figure is believed: who does not count, and that who flies does as planned."""
    said = []
    if cycle.silent:
        named = ", ".join(clean(drone) for drone in cycle.silent[:_NAMED])
        left = len(cycle.silent) - _NAMED
        said.append(f"Left out, for nobody hears of them: {named}{f' and {left} more' if left > 0 else ''}.")
    if cycle.source != "plan":
        where = "are where reports put them" if cycle.source == "live" else "are where the recording puts them"
        said.append(f"The drones fly as planned, not as reported, and 0:00 is the plan's start; fixed sensors {where}.")
    return said


def _target_said(cycle: Cycle, of: TargetCycle, several: bool) -> str:
    who = f"{clean(of.target.name)}: somebody" if several else "Somebody"
    if of.knowing is None:
        return f"{clean(of.target.name)}: nobody can cross, there is no way." if several else "Nobody can cross."
    other = of.unknowing
    if other is not None and other.probability - of.knowing.probability < _ALIKE:
        said = f"{who} crosses at {where(cycle, other)} with {percent(other.probability)} chance of being detected, "
        said += "whether he knows the drones' schedule or not"
        return f"{said}.{_worth_said(of)} {_open_said(cycle, of)}"
    said = f"{who} who knows the drones' schedule crosses {knowing_said(cycle, of.knowing)}"
    if other is not None:
        there = "" if abs(other.chainage - of.knowing.chainage) < 10.0 else f", at {where(cycle, other)}"
        said += f"; one who does not is detected with {percent(other.probability)}{there}"
    return f"{said}. {_open_said(cycle, of)}"


def _worth_said(of: TargetCycle) -> str:
    """` It is worth most at km 5.63: 37 % in place of 81 %.`; nothing where it is worth nothing anywhere."""
    worth = np.nan_to_num(of.unknowing_p - of.knowing_p)
    station = int(np.argmax(worth))
    if worth[station] < 10 * _ALIKE:
        return ""
    chances = f"{percent(float(of.knowing_p[station]))} in place of {percent(float(of.unknowing_p[station]))}"
    return f" Knowing it is worth most at km {kilometres(float(of.stations.chainage[station]))}: {chances}."


def _open_said(cycle: Cycle, of: TargetCycle) -> str:
    """`Open: 589 m of 8.2 km always, 280 m for 16 min of every 20 on the mean at km 5.57 to 5.85.`"""
    if not of.openings:
        return "No place is open at any time."
    always = sum(opening.end - opening.start for opening in of.openings if opening.always)
    timed = [opening for opening in of.openings if not opening.always]
    parts = [f"{metres(always)} of {metres(cycle.ground.frontage.length)} always"] if always else []
    if timed:
        total = metres(sum(opening.end - opening.start for opening in timed))
        longest = max(timed, key=lambda opening: opening.open)
        often, span = opening_often(cycle, longest), opening_span(longest)
        mean = "" if often == NEARLY else " on the mean"
        if len(timed) == 1:
            parts.append(f"{total} {'for ' if mean else ''}{often}{mean} at {span}")
        else:
            parts.append(f"{total} in {len(timed)} places at times, each place up to {often}{mean} ({span})")
    return f"Open: {', '.join(parts)}."


# --- figures


def watched_share(of: TargetCycle) -> float:
    """Share of frontage and time that is watched; what is unknown is not."""
    return float(np.nan_to_num(of.station_revisit.share).mean())


def longest_unwatched(cycle: Cycle, of: TargetCycle) -> tuple[float, float] | None:
    """The longest time [s] that a place which is watched at times is not, and its chainage [m]; None where no place is
    watched at times: where each is always or never.
    """
    revisit = of.station_revisit
    share = np.nan_to_num(revisit.share)
    longest = np.where((share > 0.0) & (share < 1.0), revisit.longest, 0.0)
    if not (longest > 0.0).any():
        return None
    at = int(np.argmax(longest))
    return float(longest[at]), float(of.stations.chainage[at])


def watched_windows(cycle: Cycle, of: TargetCycle) -> list[list[tuple[float, float]]]:
    """For each station the times [s] that it is watched (`opening.windows`)."""
    return [list(windows(np.asarray(row, dtype=np.bool_), cycle.step, cycle.periodic)) for row in of.watched]


def never_watched(of: TargetCycle) -> float:
    """Metres of frontage that are never watched, without what is unknown."""
    return float((of.station_revisit.share == 0.0).sum() * of.stations.step)


def time_average(of: TargetCycle) -> float:
    """Time-average gap [s], averaged over the frontage that is known; nan where none is."""
    values = of.station_revisit.time_average
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def timetable(cycle: Cycle) -> list[Flight]:
    """The flights that take off within the cycle, by time; where there is none, those that are under way at first, too.
    Who never lands has none.
    """
    flights = cycle.plan.flights(0.0, cycle.length)
    return [each for each in flights if math.isfinite(each.takes_off) and (each.takes_off >= 0.0 or not cycle.periodic)]


def tracks(cycle: Cycle) -> dict[str, NDArray[np.float64]]:
    """Each drone's chainage [m] in the middle of each step (steps,), nan on the ground; by name, sorted."""
    places: dict[str, NDArray[np.float64]] = {}
    for index, flying in enumerate(cycle.frusta):
        for name, frustum in flying.items():
            at = places.setdefault(name.split("/")[0], np.full((cycle.steps, 2), np.nan))
            at[index] = frustum.east, frustum.north
    found = {}
    for drone, at in sorted(places.items()):
        known = np.isfinite(at).all(axis=1)
        found[drone] = np.full(cycle.steps, np.nan)
        found[drone][known] = cycle.ground.frontage.locate(*at[known].T)[0]
    return found


def phases(cycle: Cycle) -> dict[str, list[str]]:
    """What each drone of the plan does in the middle of each step: `out`, `station`, `home` or `ground`; by name."""
    found = {}
    for drone in sorted(drone for sortie in cycle.plan.sorties for drone in sortie.drones):
        places = (cycle.plan.at(drone, float(time)) for time in middles(cycle))
        found[drone] = ["ground" if place is None else place.phase for place in places]
    return found


def doing(cycle: Cycle, drone: str, phase: str, time: float) -> str:
    """What a drone does, in words: `D1 on station`, `D2 on the ground until 10:30`."""
    words = {"out": "on its way out", "station": "on station", "home": "on its way home"}
    if phase != "ground":
        return f"{clean(drone)} {words[phase]}"
    following = cycle.plan.next_take_off(drone, time)
    if following is None:
        return f"{clean(drone)} on the ground"
    until = following % cycle.length if cycle.periodic else following
    return f"{clean(drone)} on the ground until {moment(until)}"


def walker_at(cycle: Cycle, way: TimedCrossing, time: float) -> tuple[float, float] | None:
    """East, north [site m] of who takes a way, at a time of the cycle; None where he is not under way then."""
    if cycle.periodic and time < way.sets_out:
        time += cycle.length * math.ceil((way.sets_out - time) / cycle.length)
    if not way.sets_out <= time <= way.arrives:
        return None
    return float(np.interp(time, way.clock, way.east)), float(np.interp(time, way.clock, way.north))


def middles(cycle: Cycle) -> NDArray[np.float64]:
    """Times [s] of the steps' middles (steps,)."""
    return np.asarray((np.arange(cycle.steps) + 0.5) * cycle.step, dtype=np.float64)


def threshold(cycle: Cycle) -> float:
    """The probability under which a station is open."""
    return float(cycle.ground.scenario.thresholds.lane_p)


def probability(cycle: Cycle, of: TargetCycle) -> NDArray[np.float64]:
    """P (n, m) of who sets out at each of `outsets`; 1 where nobody can go, and nan where it is under the threshold on
    ground that is unknown.
    """
    value = np.where(np.isnan(of.crossing_p), 1.0, of.crossing_p)
    dark = np.asarray(of.stations.breach_unknown)[:, None]
    return np.where(dark & (value < threshold(cycle)), np.nan, value)


def ranks(cycle: Cycle, of: TargetCycle) -> Ranks:
    """The state of each station at each time of setting out, (n, m), as `ribbon.runs` has it for the whole time."""
    value, least = probability(cycle, of), threshold(cycle)
    good = (1.0 + least) / 2.0
    found = np.where(value >= good, WORST_FIRST.index("covered"), WORST_FIRST.index("weak"))
    found = np.where(value < least, WORST_FIRST.index("gap"), found)
    return np.where(np.isnan(value), WORST_FIRST.index("unknown"), found).astype(np.int8)


def blocks(of: Ranks, rows: int, columns: int) -> Ranks:
    """`of` (n, m) in so many columns of chainage and rows of time, (rows, columns), each with the worst that rounds
    into it.
    """

    def worst(values: Ranks, count: int) -> Ranks:
        edges = np.round(np.arange(count + 1) * len(values) / count).astype(int)
        first = np.minimum(edges[:-1], len(values) - 1)
        return np.stack([values[a : max(b, a + 1)].min(axis=0) for a, b in zip(first, edges[1:], strict=True)])

    return worst(worst(of, columns).T, rows)


def time_ticks(length: float, most: int) -> NDArray[np.float64]:
    """Round times [s] from 0 to `length`, at most `most` pieces apart."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
    step = next((step for step in steps if step * most >= length - 1e-9), steps[-1])
    return np.asarray(step * np.arange(math.floor(length / step + 1e-9) + 1), dtype=np.float64)


def name(of: TargetCycle) -> str:
    """As `ribbon.name`."""
    return ribbon.name(of)


def provenance(cycle: Cycle, of: TargetCycle | None = None) -> dict[str, Any]:
    """All that a figure of a cycle depends on: as `figures.provenance`, and how the time is cut."""
    from dronewall.report import figures

    found = figures.provenance(frame(cycle), of)
    if of is None:
        found["level"] = ", ".join(dict.fromkeys(each.level for each in cycle.targets))
    found |= {
        "threshold": threshold(cycle),
        "cycle_s": figures.figure(cycle.length, 3) if cycle.periodic else None,
        "horizon_s": None if cycle.periodic else figures.figure(cycle.length, 3),
        "step_s": figures.figure(cycle.step, 3),
    }
    if cycle.silent:
        found["silent_drones"] = ", ".join(cycle.silent)
    if of is not None:
        found["max_crossing_s"] = figures.figure(cycle.max_crossing.get(of.target.name), 1)
    return found
