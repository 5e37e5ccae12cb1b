"""The cells of a Cycle's tables, in words: the same for the terminal and the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dronewall.report import cycle as over
from dronewall.report.figures import kilometres, metres, percent
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle, TargetCycle, TimedCrossing
    from dronewall.engine.patrol import Flight, Sortie

ENOUGH = 1.0 - 1e-9
"""A share of the time that is all of it."""
NEEDED = (
    "A flight: time on station of it. Airframes and batteries: how many there are, and how many it would take for "
    "somebody to be on station always (-: its take-offs are too far apart for that, every_s). There: share of the time "
    "that somebody is; nobody: longest time that nobody is."
)
LATER = "+1: in the cycle after."


def sortie(of: Sortie) -> tuple[str, ...]:
    """Name, drones, airframe, time on station of a flight, airframes and batteries that there are of those needed for
    somebody to be on station always, share of the time that somebody is, and the longest time that nobody is.
    """
    needed, cover = of.needed, of.cover
    endless = math.isinf(needed.on_station)
    # Take-offs so far apart that each is off station again before the next one is on: more drones change nothing.
    seldom = of.every is not None and of.every > needed.on_station
    return (
        clean(of.name),
        clean(", ".join(of.drones)),
        clean(of.airframe.name),
        "for ever" if endless else f"{over.moment(needed.on_station)} of {over.moment(of.flight)}",
        f"{len(of.drones)}" if endless else f"{len(of.drones)} of {'-' if seldom else needed.airframes}",
        "" if needed.batteries is None else f"{of.batteries or 'any'} of {'-' if seldom else needed.batteries}",
        percent(cover.share),
        "never" if cover.share > ENOUGH else over.moment(cover.longest),
    )


def flight(cycle: Cycle, of: Flight) -> tuple[str, ...]:
    """Drone and sortie, take-off, on station, off station, landing, ready again; `+1`: in the cycle after."""
    times = (of.takes_off, of.on_station, of.off_station, of.lands, of.ready)
    return clean(f"{of.drone} {of.sortie}"), *(over.turn(cycle, time) if math.isfinite(time) else "" for time in times)


def watched(cycle: Cycle, of: TargetCycle) -> tuple[str, ...]:
    """Name, share of frontage and time watched, metres never watched, longest time that a place watched at times is
    not (`-`: there is no such place), its kilometre, time-average gap.
    """
    longest, never, average = over.longest_unwatched(cycle, of), over.never_watched(of), over.time_average(of)
    return (
        clean(over.name(of)),
        percent(over.watched_share(of)),
        metres(never) if never else "none",
        over.moment(longest[0]) if longest else "-",
        kilometres(longest[1]) if longest else "",
        over.moment(average) if math.isfinite(average) else "unknown",
    )


def knowing(way: TimedCrossing | None) -> tuple[str, ...]:
    """Chance, kilometre, time of setting out, time waited, chance before the frontage."""
    if way is None:
        return "nobody", "", "", "", ""
    waits = over.moment(way.waits) if round(way.waits) else "no"
    return percent(way.probability), kilometres(way.chainage), over.moment(way.sets_out), waits, percent(way.before)


def unknowing(way: TimedCrossing | None) -> tuple[str, ...]:
    """Chance, kilometre."""
    return ("nobody", "") if way is None else (percent(way.probability), kilometres(way.chainage))
