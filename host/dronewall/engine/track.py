"""A drone's flight as its simulated node lives through it: the points of one period, those on the ground included."""

import itertools
import math

import numpy as np

from dronewall.engine.ground import Ground
from dronewall.engine.patrol import Plan, Sortie
from dronewall.engine.plan import flight_amsl
from dronewall.scenario import Sortie as SortieSpec

_CLIMB = 10.0
"""The plan's flights are level from take-off to landing: a simulated drone comes down, and goes up, within so long of
its time on the ground [s]."""
_BEND = math.radians(5.0)
"""There is a point at every corner that turns by more [rad] ..."""
_BEFORE = 0.001
"""... and one so long before it [s], still on the old course."""
_HAIR = 1e-6
"""So long after a corner [s] the course is the new one, however the corner's time was rounded."""


def track(
    ground: Ground, plan: Plan, drone: str, longest: float = 5.0
) -> list[tuple[float, float, float, float, float]]:
    """One period of a drone from time 0: time [s], latitude, longitude [degrees], height AMSL [m], true azimuth of the
    course [degrees], no more than `longest` seconds apart, straight between; empty where it never flies.

    On the ground it stays at its launch, at ground height: its node goes on reporting what its sensors see there.
    """
    sortie = plan.sortie_of.get(drone)
    if sortie is None:
        return []
    spec = next(spec for spec in ground.scenario.sorties if spec.name == sortie.name)
    begin = sortie.flown(drone, 0.0)
    rows = []
    for flown in _moments(sortie, begin, longest):
        east, north, amsl, course = _whereabouts(ground, sortie, spec, (flown + _HAIR) % sortie.period)
        latitude, longitude = ground.site.to_geodetic(east, north)
        true = math.degrees(course + ground.site.convergence(east, north)) % 360.0
        rows.append((flown - begin, float(latitude), float(longitude), amsl, true))
    return rows


def _moments(sortie: Sortie, begin: float, longest: float) -> list[float]:
    """Seconds flown, from `begin` on for one period, that hold every corner and every change of phase."""
    period, ramp = sortie.period, _ramp(sortie)
    bends = [0.0]
    if not sortie.forever:
        bends += [sortie.out, sortie.out + sortie.on_station, sortie.flight]
        bends += [sortie.flight + ramp, period - ramp]
    ahead = np.diff(sortie.route.path, axis=0)
    courses = np.arctan2(*ahead.T)
    repeats = sortie.route.pattern != "once"
    before = np.roll(courses, 1) if repeats else courses[:1].repeat(len(courses))
    if not repeats:
        before[1:] = courses[:-1]
    sharp = np.abs((courses - before + math.pi) % math.tau - math.pi) > _BEND
    corners = sortie.route.marks[:-1][sharp] / sortie.speed
    round_s = sortie.route.length / sortie.speed
    end = sortie.out + min(sortie.on_station, period)
    rounds = math.ceil((end - sortie.out) / round_s) if repeats else 1
    for lap in range(rounds):
        at = sortie.out + lap * round_s + corners
        bends += at[at < end].tolist()
    turned = [(bend - begin) % period for bend in bends]
    anchors = sorted({0.0, period, *turned, *((bend - _BEFORE) % period for bend in turned if bend > 0.0)})
    found = [anchors[0]]
    for start, stop in itertools.pairwise(anchors):
        found += np.linspace(start, stop, max(1, math.ceil((stop - start) / longest)) + 1)[1:].tolist()
    return [begin + after for after in found]


def _ramp(sortie: Sortie) -> float:
    """Seconds that a simulated drone takes to come down after landing time, and to go up before take-off."""
    return 0.0 if sortie.forever else min(_CLIMB, (sortie.period - sortie.flight) / 2.0)


def _whereabouts(ground: Ground, sortie: Sortie, spec: SortieSpec, flown: float) -> tuple[float, float, float, float]:
    """East, north, height AMSL [m] and course [rad, grid] of a simulated drone so long after its take-off."""
    place = sortie.place(flown)
    if place is not None:
        return place.east, place.north, flight_amsl(ground, spec, place.east, place.north), place.course
    assert sortie.launch is not None
    east, north = sortie.launch
    floor, level = float(ground.terrain.ground(east, north)), flight_amsl(ground, spec, east, north)
    since, until = flown - sortie.flight, sortie.period - flown
    ramp = _ramp(sortie)
    share = max(0.0, 1.0 - min(since, until) / ramp) if ramp > 0.0 else 0.0
    nearest = sortie.place(0.0) if until < since else sortie.place(math.nextafter(sortie.flight, 0.0))
    assert nearest is not None
    return east, north, floor + share * (level - floor), nearest.course
