"""Where the drones are at a given time: pure, from their sorties and the time alone.

A sortie's drones take turns. A flight: take-off at the launch, straight to the route's first waypoint (out), on station
along the route for as long as the endurance less the reserve lets it get home straight from where it is, home, and the
turnaround. Time flown and time home together never fall along the way, so that moment is the only one. The timetable
has no beginning: it holds at every time, before 0, too.

Periods are whole seconds, so that several sorties have a cycle together. A drone that never lands flies its route a
little slower than it could, so that a round takes whole seconds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from dronewall.engine.route import PatrolError as PatrolError
from dronewall.engine.route import Route as Route
from dronewall.engine.route import farthest

Phase = Literal["out", "station", "home"]

LONGEST_CYCLE = 21_600.0
"""A plan that repeats itself only after this time [s] counts as one without a cycle."""
LONGEST_PERIOD = 7 * 86_400.0
"""A sortie's timetable repeats itself within this time [s]: simulated nodes count its milliseconds in 31 bits."""

_ROUND = 1e-9
"""Part of a count that is rounding of the division, not one more."""


@dataclass(frozen=True)
class Airframe:
    """A type of aircraft: ground speed [m/s]; endurance [s] from take-off to an empty battery, inf: it never has to
    land; reserve [s]: what is left of it at landing; turnaround [s] from landing to being ready again.
    """

    name: str
    speed: float
    endurance: float = math.inf
    reserve: float = 0.0
    turnaround: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.speed < math.inf:
            raise PatrolError(f"airframe {self.name}: speed is {self.speed:g}; expected metres per second above 0")
        if not 0.0 <= self.reserve < self.endurance:
            raise PatrolError(
                f"airframe {self.name}: a reserve of {self.reserve:g} s in an endurance of {self.endurance:g} s; "
                "expected a reserve under the endurance"
            )
        if not 0.0 <= self.turnaround < math.inf:
            raise PatrolError(f"airframe {self.name}: turnaround is {self.turnaround:g}; expected seconds from 0")


@dataclass(frozen=True)
class Needed:
    """On-station time of a flight [s], and how many airframes, and batteries where charging takes time, keep somebody
    on station always.
    """

    on_station: float
    airframes: int
    batteries: int | None


def needed(
    airframe: Airframe, out: float, home: float, charge: float | None = None, longest: float = math.inf
) -> Needed:
    """What continuous cover of a place needs that is `out` and `home` [s] away.

    charge [s]: from landing until the battery is full; longest [s]: the pattern ends after so long on station.

    On station is t = endurance - reserve - out - home. One after the other, each airframe is back on station after
    t + out + home + turnaround, and another has to be there every t: the fleet is the round trip over the headway,
    rounded up (Chen and Liew, The Civil Engineering Handbook, 2003, ch. 61, Urban Transit: schedule design, step 2):
    airframes = ceil((t + out + home + turnaround) / t). A battery's round trip is t + out + home + charge.

    Raises PatrolError where no time is left.
    """
    on_station = min(airframe.endurance - airframe.reserve - out - home, longest)
    if not on_station > 0.0:
        raise PatrolError(
            f"takes {out:.0f} s out and {home:.0f} s home with {airframe.reserve:.0f} s reserve; endurance "
            f"{airframe.endurance:.0f} s leaves {on_station:.0f} s on station"
        )
    if math.isinf(on_station):
        return Needed(on_station, 1, None if charge is None else 1)

    def count(after: float) -> int:
        return math.ceil((on_station + out + home + after) / on_station - _ROUND)

    return Needed(on_station, count(airframe.turnaround), None if charge is None else count(charge))


@dataclass(frozen=True)
class Cover:
    """What a timetable achieves: share of the time that somebody is on station, longest time [s] that nobody is."""

    share: float
    longest: float


@dataclass(frozen=True)
class Sortie:
    """A task of drones that take turns along one route.

    drones: their names, one or more. launch: east, north [m] of the place that they take off from and land at; needed
    where they land. start [s]: how far into the timetable time 0 is. every [s]: time between take-offs of the sortie,
    None: as often as its drones can. batteries: how many there are, each full again `charge` [s] after landing; None: a
    full one is always ready.

    A drone's period is the longest of its flight and turnaround, of what the batteries allow, n (flight + charge) /
    batteries, and of n every, rounded up to whole seconds; drone i of n takes off at i period / n - start, and every
    period from there. Raises PatrolError where that cannot be flown.
    """

    name: str
    drones: tuple[str, ...]
    airframe: Airframe
    route: Route
    launch: tuple[float, float] | None = None
    start: float = 0.0
    every: float | None = None
    batteries: int | None = None
    charge: float | None = None

    def __post_init__(self) -> None:
        if not self.drones or len(set(self.drones)) < len(self.drones):
            raise self._error(f"drones are {', '.join(self.drones) or 'none'}; expected one or more, each once")
        if not math.isfinite(self.start):
            raise self._error(f"start is {self.start}; expected seconds")
        if self.batteries is not None and self.charge is None:
            raise self._error("batteries without the time to charge them; expected both")
        if self.batteries is not None and self.batteries < 1:
            raise self._error(f"{self.batteries} batteries; expected one or more")
        if self.forever and (self.every is not None or self.batteries is not None):
            raise self._error("its drones never land; expected neither a time between take-offs nor batteries")
        if not self.forever and self.launch is None:
            raise self._error("no launch; expected one, for its drones land")
        if not self.forever and self.airframe.endurance < math.inf:
            try:
                needed(self.airframe, self.out, self.out)  # at its first waypoint it is as far from home as it came
            except PatrolError as error:
                raise self._error(str(error)) from None
        limits = self._limits
        able = max(limits.values())
        if self.every is not None and not self.every * len(self.drones) >= able * (1.0 - _ROUND):
            reason = max(limits, key=lambda words: limits[words])
            raise self._error(
                f"a take-off every {self.every:g} s; expected {math.ceil(able / len(self.drones))} s or more: {reason}"
            )
        if self.period > LONGEST_PERIOD:
            raise self._error(
                f"its timetable repeats itself after {self.period / 86_400.0:.1f} days; expected "
                f"{LONGEST_PERIOD / 86_400.0:.0f} days or less"
            )

    def _error(self, words: str) -> PatrolError:
        return PatrolError(f"sortie {self.name}: {words}")

    @property
    def forever(self) -> bool:
        """Whether its drones never land."""
        return math.isinf(self.airframe.endurance) and self.route.pattern != "once"

    @cached_property
    def out(self) -> float:
        """Seconds from the launch to the first waypoint; 0 where the drones never land."""
        if self.forever or self.launch is None:
            return 0.0
        return math.dist(self.launch, self.route.at(0.0)[:2]) / self.airframe.speed

    @cached_property
    def on_station(self) -> float:
        """Seconds on station in a flight, inf where the drones never land."""
        if self.forever:
            return math.inf
        assert self.launch is not None
        budget = self.airframe.endurance - self.airframe.reserve - self.out
        return farthest(self.route, self.launch, budget * self.airframe.speed) / self.airframe.speed

    @cached_property
    def home(self) -> float:
        """Seconds from where a flight leaves the route to the launch; 0 where the drones never land."""
        if self.forever or self.launch is None:
            return 0.0
        left = self.route.at(self.on_station * self.airframe.speed)[:2]
        return math.dist(self.launch, left) / self.airframe.speed

    @property
    def flight(self) -> float:
        """Seconds from take-off to landing, inf where the drones never land."""
        return self.out + self.on_station + self.home

    @property
    def _limits(self) -> Mapping[str, float]:
        """What a drone's period cannot be under [s], by reason."""
        if self.forever:
            return {"a round": self.route.length / self.airframe.speed}
        count = len(self.drones)
        drones = f"{count} drones" if count > 1 else "1 drone"
        on_ground = self.airframe.turnaround
        words = f"{drones}, {self.flight:.0f} s in the air and {on_ground:.0f} s on the ground"
        limits = {words: self.flight + on_ground}
        if self.batteries is not None and self.charge is not None:
            words = f"{self.batteries} batteries, {self.flight:.0f} s in the air and {self.charge:.0f} s to charge"
            limits[words] = count * (self.flight + self.charge) / self.batteries
        return limits

    @cached_property
    def period(self) -> float:
        """Seconds, whole, after which each of its drones is where it was."""
        able = max(self._limits.values())
        asked = 0.0 if self.every is None else self.every * len(self.drones)
        return float(max(1, math.ceil(max(able, asked) - _ROUND)))

    @property
    def headway(self) -> float:
        """Seconds between one drone and the next: between take-offs, or at a place of the route."""
        return self.period / len(self.drones)

    @cached_property
    def speed(self) -> float:
        """Ground speed [m/s]: the airframe's, or a little less where the drones never land."""
        return self.route.length / self.period if self.forever else self.airframe.speed

    @property
    def needed(self) -> Needed:
        """What continuous cover would need: `needed` of its own flight."""
        return needed(self.airframe, self.out, self.home, self.charge, self.on_station)

    @property
    def cover(self) -> Cover:
        """What it achieves with the drones and batteries that it has.

        Its flights are alike and evenly spaced, so that one headway stands for all times.
        """
        return Cover(min(1.0, self.on_station / self.headway), max(0.0, self.headway - self.on_station))

    def take_off(self, drone: str, number: int = 0) -> float:
        """Time [s] of a drone's take-off, counted from its first on the timetable; -inf where it never lands."""
        return -math.inf if self.forever else self._first(drone) + number * self.period

    def flown(self, drone: str, time: float) -> float:
        """Seconds since a drone's last take-off, from 0 and under the period, in the air or landed since.

        Of one that never lands: since it last was at the first waypoint.
        """
        # Time first: what comes after a whole number of periods is then the same to the last bit.
        flown = (time % self.period - self._first(drone)) % self.period
        return flown if flown < self.period else 0.0  # what is hardly below 0 is rounded to the whole period

    def _first(self, drone: str) -> float:
        return self.drones.index(drone) * self.headway - self.start

    def place(self, flown: float) -> "Place | None":
        """Where a drone is so long after its take-off [s]; None where it has landed."""
        if self.forever:
            return Place(*self.route.at(flown * self.speed), flown, "station")
        if flown >= self.flight:
            return None
        if self.out <= flown < self.out + self.on_station:
            return Place(*self.route.at((flown - self.out) * self.speed), flown, "station")
        assert self.launch is not None
        if flown < self.out:
            return Place(*_between(self.launch, self.route.at(0.0)[:2], flown / self.out), flown, "out")
        left = self.route.at(self.on_station * self.speed)[:2]
        share = (flown - self.out - self.on_station) / self.home
        return Place(*_between(left, self.launch, share), flown, "home")


def _between(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float, float]:
    """East, north and course part of the way from one place to another."""
    ahead = b[0] - a[0], b[1] - a[1]
    return a[0] + share * ahead[0], a[1] + share * ahead[1], math.atan2(*ahead) % math.tau


@dataclass(frozen=True)
class Place:
    """Where a drone in the air is: east, north [m], course [rad, from grid north], flown [s] since take-off."""

    east: float
    north: float
    course: float
    flown: float
    phase: Phase


@dataclass(frozen=True)
class Flight:
    """One flight of a drone, all times in seconds: it is in the air from `takes_off` until `lands`.

    number: of the sortie's flights, in order; 0 is the first drone's first on the timetable. A drone that never lands
    has one flight, from -inf to inf.
    """

    drone: str
    sortie: str
    number: int
    takes_off: float
    on_station: float
    off_station: float
    lands: float
    ready: float


@dataclass(frozen=True)
class Plan:
    """All sorties of a site. Raises PatrolError for a drone or a sortie that is there twice."""

    sorties: tuple[Sortie, ...]

    def __post_init__(self) -> None:
        for kind, names in (
            ("drone", [drone for sortie in self.sorties for drone in sortie.drones]),
            ("sortie", [sortie.name for sortie in self.sorties]),
        ):
            again = sorted({name for name in names if names.count(name) > 1})
            if again:
                raise PatrolError(f"{kind} {', '.join(again)} more than once; expected each in one place")

    @cached_property
    def cycle(self) -> float | None:
        """Seconds after which everything is as it was, whole; None where nothing flies or it is more than
        `LONGEST_CYCLE`.
        """
        cycle = math.lcm(*(round(sortie.period) for sortie in self.sorties))
        return float(cycle) if self.sorties and cycle <= LONGEST_CYCLE else None

    @cached_property
    def sortie_of(self) -> Mapping[str, Sortie]:
        """The sortie of each drone that flies."""
        return {drone: sortie for sortie in self.sorties for drone in sortie.drones}

    def at(self, drone: str, time: float) -> Place | None:
        """Where a drone is at a time [s]; None where it is on the ground, or in no sortie."""
        sortie = self.sortie_of.get(drone)
        return None if sortie is None else sortie.place(sortie.flown(drone, time))

    def next_take_off(self, drone: str, time: float) -> float | None:
        """When a drone takes off next [s], after `time`; None where it never does."""
        sortie = self.sortie_of.get(drone)
        if sortie is None or sortie.forever:
            return None
        return time + sortie.period - sortie.flown(drone, time)

    def flights(self, start: float, end: float) -> tuple[Flight, ...]:
        """The flights that are in the air at some time from `start` until before `end` [s], by take-off; with no time
        between them, at that moment.
        """
        found = []
        for sortie in self.sorties:
            for index, drone in enumerate(sortie.drones):
                if sortie.forever:
                    found.append(Flight(drone, sortie.name, index, *2 * (-math.inf,), *3 * (math.inf,)))
                    continue
                first = sortie.take_off(drone)
                number = math.floor((start - first - sortie.flight) / sortie.period)
                while (takes_off := first + number * sortie.period) < end or takes_off <= start:
                    lands = takes_off + sortie.flight
                    if lands > start:
                        on_station = takes_off + sortie.out
                        found.append(
                            Flight(
                                drone,
                                sortie.name,
                                number * len(sortie.drones) + index,
                                takes_off,
                                on_station,
                                on_station + sortie.on_station,
                                lands,
                                lands + sortie.airframe.turnaround,
                            )
                        )
                    number += 1
        return tuple(sorted(found, key=lambda flight: (flight.takes_off, flight.sortie, flight.drone)))
