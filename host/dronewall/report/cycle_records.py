"""A Cycle for machines: flat records with unit-suffixed keys, each with all that its figures depend on.

Times are seconds into the cycle (or the plan, where it has none); one that wraps round the cycle's end ends later than
its length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dronewall.report import cycle as over
from dronewall.report.figures import figure

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle, Lost, Opening, TargetCycle, TimedCrossing
    from dronewall.engine.patrol import Flight, Sortie


def cycle_records(cycle: Cycle) -> dict[str, Any]:
    """Everything a machine may want, ready for `json.dumps`; nan and what never comes have become None."""
    return {
        "dronewall": over.provenance(cycle) | {"what": "cycle"},
        "sentences": over.verdict(cycle),
        "notes": over.notes(cycle),
        "silent_drones": list(cycle.silent),
        "length_s": figure(cycle.length, 3),
        "periodic": bool(cycle.periodic),
        "step_s": figure(cycle.step, 4),
        "steps": int(cycle.steps),
        "sorties": [_sortie(sortie) for sortie in cycle.plan.sorties],
        "flights": [_flight(flight) for flight in over.timetable(cycle)],
        "targets": [target_record(cycle, of) for of in cycle.targets],
        "openings": [opening_record(cycle, of, opening) for of in cycle.targets for opening in of.openings],
        "ways": [
            way_record(cycle, of, knows, way) | _line(cycle, way) for of in cycle.targets for knows, way in ways(of)
        ],
        "stations": [_stations(cycle, of) for of in cycle.targets],
        "losses": [record for lost in cycle.losses for record in _losses(cycle, lost)],
    }


def ways(of: TargetCycle) -> list[tuple[bool, TimedCrossing]]:
    """The weakest ways across the whole line that there are, and whether who takes it knows the schedule."""
    return [(knows, way) for knows, way in ((True, of.knowing), (False, of.unknowing)) if way is not None]


def target_record(cycle: Cycle, of: TargetCycle) -> dict[str, Any]:
    """What is watched of one target at one level, and both chances across the whole line, flat."""
    longest = over.longest_unwatched(cycle, of)
    record = {
        "frontage_m": figure(cycle.ground.frontage.length, 2),
        "watched_share": figure(over.watched_share(of)),
        "never_watched_m": figure(over.never_watched(of), 2),
        "longest_unwatched_s": figure(longest[0], 1) if longest else None,
        "longest_unwatched_chainage_m": figure(longest[1], 2) if longest else None,
        "time_average_gap_s": figure(over.time_average(of), 2),
        "opening_count": len(of.openings),
        "always_open_m": figure(sum(each.end - each.start for each in of.openings if each.always), 2),
        "knowing_probability": figure(of.knowing.probability) if of.knowing else None,
        "unknowing_probability": figure(of.unknowing.probability) if of.unknowing else None,
    }
    return record | over.provenance(cycle, of)


def opening_record(cycle: Cycle, of: TargetCycle, opening: Opening) -> dict[str, Any]:
    """One stretch that is open at times or always, flat but for its times."""
    record = {
        "chainage_from_m": figure(opening.start, 2),
        "chainage_to_m": figure(opening.end, 2),
        "length_m": figure(opening.end - opening.start, 2),
        "always": bool(opening.always),
        "open_s": figure(opening.open, 2),
        "open_share": figure(opening.open / cycle.length),
        "sets_out_from_to_s": [[figure(start, 2), figure(end, 2)] for start, end in opening.times],
        "probability_least": figure(opening.probability_least),
        "knowing_probability": figure(over.opening_chances(of, opening)[0]),
        "unknowing_probability": figure(over.opening_chances(of, opening)[1]),
    }
    return record | over.provenance(cycle, of)


def way_record(cycle: Cycle, of: TargetCycle, knows: bool, way: TimedCrossing) -> dict[str, Any]:
    """A way across with its times and its chance, flat."""
    record = {
        "knows_schedule": knows,
        "chainage_m": figure(way.chainage, 2),
        "sets_out_s": figure(way.sets_out, 1),
        "arrives_s": figure(way.arrives, 1),
        "waits_s": figure(way.waits, 1),
        "probability": figure(way.probability),
        "before_probability": figure(way.before),
    }
    return record | over.provenance(cycle, of)


def _line(cycle: Cycle, way: TimedCrossing) -> dict[str, Any]:
    """Where a way goes, from the threat's side, and when its walker is there."""
    latitude, longitude = cycle.ground.site.to_geodetic(way.east, way.north)
    return {
        "latitude_deg": [figure(value, 7) for value in latitude],
        "longitude_deg": [figure(value, 7) for value in longitude],
        "time_s": [figure(value, 1) for value in way.clock],
    }


def _sortie(sortie: Sortie) -> dict[str, Any]:
    needed, cover = sortie.needed, sortie.cover
    return {
        "sortie": sortie.name,
        "drones": list(sortie.drones),
        "airframe": sortie.airframe.name,
        "speed_mps": figure(sortie.speed, 3),
        "period_s": figure(sortie.period, 1),
        "flight_s": figure(sortie.flight, 1),
        "on_station_s": figure(needed.on_station, 1),
        "airframes": len(sortie.drones),
        "airframes_needed": needed.airframes,
        "batteries": sortie.batteries,
        "batteries_needed": needed.batteries,
        "on_station_share": figure(cover.share),
        "nobody_longest_s": figure(cover.longest, 1),
    }


def _flight(flight: Flight) -> dict[str, Any]:
    return {
        "drone": flight.drone,
        "sortie": flight.sortie,
        "number": flight.number,
        "takes_off_s": figure(flight.takes_off, 1),
        "on_station_s": figure(flight.on_station, 1),
        "off_station_s": figure(flight.off_station, 1),
        "lands_s": figure(flight.lands, 1),
        "ready_s": figure(flight.ready, 1),
    }


def _stations(cycle: Cycle, of: TargetCycle) -> dict[str, Any]:
    """Figures for each station, as columns; next_look_s is null where it never is watched."""
    windows = over.watched_windows(cycle, of)
    revisit = of.station_revisit
    columns = {
        "chainage_m": (of.stations.chainage, 2),
        "watched_share": (revisit.share, 4),
        "longest_unwatched_s": (revisit.longest, 1),
        "time_average_gap_s": (revisit.time_average, 2),
        "next_look_s": (revisit.next_look, 1),
        "unknowing_probability": (of.unknowing_p, 4),
        "knowing_probability": (of.knowing_p, 4),
        "knowing_sets_out_s": (of.knowing_outset, 1),
        "knowing_waits_s": (of.knowing_waits, 1),
    }
    return (
        {"target": of.target.name, "level": of.level}
        | {name: [figure(value, digits) for value in values] for name, (values, digits) in columns.items()}
        | {"watched_from_to_s": [[[figure(start, 2), figure(end, 2)] for start, end in own] for own in windows]}
    )


def _losses(cycle: Cycle, lost: Lost) -> list[dict[str, Any]]:
    """A record for each target and level."""
    owners = {(of.target.name, of.level): of for of in cycle.targets}
    found = []
    for one in lost.targets:
        record = {
            "drone": lost.drone,
            "sortie": lost.sortie,
            "at_s": figure(lost.at, 1),
            "back_after_s": figure(lost.back, 1),
            "knowing_probability": figure(one.least),
            "knowing_probability_without": figure(one.least_without),
            "knowing_open_m": figure(one.open, 2),
            "knowing_open_m_without": figure(one.open_without, 2),
        }
        of = owners.get((one.target.name, one.level))
        found.append(record | (over.provenance(cycle, of) if of else {"target": one.target.name, "level": one.level}))
    return found
