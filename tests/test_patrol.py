"""Where drones are: closed forms of loops, shuttles and turns, and what must hold of every timetable."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dronewall.engine.patrol import (
    LONGEST_CYCLE,
    Airframe,
    Cover,
    Needed,
    PatrolError,
    Plan,
    Route,
    Sortie,
    needed,
)
from dronewall.engine.route import orbit

SQUARE = np.array([[0.0, 0.0], [0.0, 100.0], [100.0, 100.0], [100.0, 0.0]])
WING = Airframe("wing", 10.0)
QUAD = Airframe("quad", 10.0, 1500.0, 300.0, 180.0)


def there_and_back(away: float = 1000.0, **changed) -> Sortie:
    """A shuttle of 2 km that begins `away` metres east of its launch and leads on to the east."""
    route = Route(np.array([[away, 0.0], [away + 2000.0, 0.0]]), "shuttle")
    return Sortie(**{"name": "s", "drones": ("A",), "airframe": QUAD, "route": route, "launch": (0.0, 0.0)} | changed)


# --- routes


@pytest.mark.parametrize(
    ("flown", "place", "azimuth"),
    [
        (0.0, (0.0, 0.0), 0.0),
        (50.0, (0.0, 50.0), 0.0),
        (150.0, (50.0, 100.0), 90.0),
        (250.0, (100.0, 50.0), 180.0),
        (350.0, (50.0, 0.0), 270.0),
        (450.0, (0.0, 50.0), 0.0),
    ],
)
def test_a_loop_is_flown_leg_by_leg(flown, place, azimuth):
    east, north, course = Route(SQUARE, "loop").at(flown)
    assert (east, north) == pytest.approx(place)
    assert math.degrees(course) == pytest.approx(azimuth)


def test_a_loop_is_as_long_as_its_legs_a_shuttle_twice_its_way_and_once_its_way():
    assert Route(SQUARE, "loop").length == pytest.approx(400.0)
    assert Route(SQUARE, "shuttle").length == pytest.approx(600.0)
    assert Route(SQUARE, "once").length == pytest.approx(300.0)


def test_a_shuttle_turns_round_and_what_is_flown_once_ends():
    shuttle = Route(SQUARE[:2], "shuttle")
    assert shuttle.at(120.0) == (pytest.approx(0.0), pytest.approx(80.0), pytest.approx(math.pi))
    assert Route(SQUARE[:2], "once").at(120.0)[:2] == pytest.approx((0.0, 100.0))


@pytest.mark.parametrize(
    ("waypoints", "words"),
    [
        (SQUARE[:1], r"shape \(1, 2\)"),
        (SQUARE[[0, 1, 1]], "a leg of 0 m"),
        (SQUARE[[0, 1, 2, 0]], "a leg of 0 m"),  # the loop closes by itself
        (SQUARE * math.nan, "a leg of nan m"),
    ],
)
def test_a_route_that_cannot_be_flown_is_refused(waypoints, words):
    with pytest.raises(PatrolError, match=words):
        Route(waypoints, "loop")


@given(
    st.floats(1.0, 20_000.0),
    st.booleans(),
    st.none() | st.tuples(st.floats(-5e4, 5e4), st.floats(-5e4, 5e4)),
    st.floats(0.0, 1.0),
)
def test_an_orbit_stays_on_its_circle_and_turns_the_way_it_is_told(radius, clockwise, launch, share):
    circle = orbit((300.0, -200.0), radius, clockwise, launch)
    assert circle.length == pytest.approx(math.tau * radius, rel=1e-4)
    east, north, course = circle.at(share * circle.length)
    assert radius - 0.11 <= math.hypot(east - 300.0, north + 200.0) <= radius + 1e-6
    # A circle's course is square to its radius: 90 degrees on, clockwise.
    ahead = math.atan2(east - 300.0, north + 200.0) + (1.0 if clockwise else -1.0) * math.pi / 2.0
    assert abs((course - ahead + math.pi) % math.tau - math.pi) <= math.radians(0.51)


def test_an_orbit_begins_where_it_is_nearest_to_the_launch_else_in_its_north():
    assert orbit((0.0, 0.0), 100.0).at(0.0)[:2] == pytest.approx((0.0, 100.0))
    assert orbit((0.0, 0.0), 100.0, launch=(-300.0, 0.0)).at(0.0)[:2] == pytest.approx((-100.0, 0.0))
    assert orbit((0.0, 0.0), 100.0, launch=(0.0, -30.0)).at(0.0)[:2] == pytest.approx((0.0, -100.0))
    with pytest.raises(PatrolError, match="radius is 0 m"):
        orbit((0.0, 0.0), 0.0)


# --- drones that never land


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_drones_on_a_loop_come_by_every_length_over_their_number_and_speed(count):
    # 400 m at 10 m/s: a place is passed every 40 s by one drone, every L / (m v) by m of them.
    names = tuple("ABCDE"[:count])
    plan = Plan((Sortie("ring", names, WING, Route(SQUARE, "loop")),))
    step = 0.01
    times = np.arange(0.0, 80.0, step)
    place = np.array([0.0, 50.0])
    near = np.zeros(len(times), bool)
    for name in names:
        at = np.array([(there.east, there.north) for there in (plan.at(name, float(time)) for time in times)])
        near |= np.hypot(*(at - place).T) <= 0.5 * 10.0 * step + 1e-9
    passed = times[near]
    passed = passed[np.concatenate(([True], np.diff(passed) > 2 * step))]
    assert np.diff(passed) == pytest.approx(400.0 / (count * 10.0), abs=3 * step)


def test_the_worst_point_of_a_shuttle_waits_for_two_lengths():
    sortie = Sortie("s", ("A",), WING, Route(SQUARE[:2], "shuttle"))
    times = np.arange(0.0, 60.0, 0.01)
    north = np.array([sortie.place(sortie.flown("A", float(time))).north for time in times])
    at_end = times[north > 99.9]
    assert np.diff(at_end).max() == pytest.approx(2 * 100.0 / 10.0, abs=0.05)
    in_middle = times[np.abs(north - 50.0) < 0.1]
    assert np.diff(in_middle).max() == pytest.approx(100.0 / 10.0, abs=0.05)


def test_a_round_is_slowed_until_it_takes_whole_seconds():
    sortie = Sortie("s", ("A",), Airframe("wing", 12.0), Route(SQUARE, "loop"))
    assert sortie.period == 34.0  # 33.3 s at full speed
    assert sortie.speed == pytest.approx(400.0 / 34.0)
    assert sortie.cover == Cover(1.0, 0.0)
    assert sortie.needed == Needed(math.inf, 1, None)
    (flight,) = Plan((sortie,)).flights(-5.0, 5.0)
    assert (flight.takes_off, flight.lands) == (-math.inf, math.inf)
    assert Plan((sortie,)).next_take_off("A", 3.0) is None


def test_the_start_is_how_far_along_the_timetable_the_clock_begins():
    late = Plan((Sortie("s", ("A", "B"), WING, Route(SQUARE, "loop"), start=7.0),))
    plain = Plan((Sortie("s", ("A", "B"), WING, Route(SQUARE, "loop")),))
    for name in "AB":
        for time in (0.0, 1.0, 20.0, -3.0):
            one, other = late.at(name, time), plain.at(name, time + 7.0)
            assert (one.east, one.north) == pytest.approx((other.east, other.north))
    flying = Plan((there_and_back(start=250.0),))
    assert flying.at("A", 0.0).flown == 250.0
    assert flying.flights(0.0, 1.0)[0].takes_off == -250.0


# --- flights


def test_a_flight_turns_for_home_where_what_was_flown_and_the_way_home_make_up_its_endurance():
    # 1200 s to fly with. Seconds since take-off: 100 at the first waypoint, 1000 m from home; 300 at the far end, 500
    # back at the first, 700 at the far end with 300 s to go home: 1000 in all. Back at the first at 900, with 300 s
    # left and 100 to go home, it goes out once more: 900 + t + (100 + t) = 1200 for t = 100.
    sortie = there_and_back()
    assert sortie.out == pytest.approx(100.0)
    assert sortie.on_station == pytest.approx(900.0)
    assert sortie.home == pytest.approx(200.0)
    assert sortie.flight == pytest.approx(1200.0)


def brute_station(sortie: Sortie, step: float) -> float:
    """The last time on station from which home is in reach, step by step."""
    budget = sortie.airframe.endurance - sortie.airframe.reserve - sortie.out
    speed = sortie.airframe.speed
    time = last = 0.0
    longest = sortie.route.length / speed if sortie.route.pattern == "once" else math.inf
    while time <= min(budget, longest):
        east, north, _ = sortie.route.at(time * speed)
        if time + math.dist(sortie.launch, (east, north)) / speed <= budget:
            last = time
        time += step
    return last


places = st.tuples(st.integers(-30, 30), st.integers(-30, 30)).map(lambda at: (100.0 * at[0], 100.0 * at[1]))


@st.composite
def sorties(draw, name: str = "s", drones: str = "ABC") -> Sortie:
    points = draw(st.lists(places, min_size=2, max_size=5, unique=True))
    pattern = draw(st.sampled_from(["loop", "shuttle", "once"]))
    endurance = draw(st.floats(300.0, 3000.0))
    airframe = Airframe(
        "q", draw(st.floats(5.0, 30.0)), endurance, draw(st.floats(0.0, 0.3)) * endurance, draw(st.floats(0.0, 400.0))
    )
    batteries = draw(st.none() | st.integers(1, 6))
    try:
        return Sortie(
            name,
            tuple(drones[: draw(st.integers(1, 3))]),
            airframe,
            Route(np.array(points), pattern),
            draw(places),
            start=draw(st.floats(0.0, 5000.0)),
            batteries=batteries,
            charge=None if batteries is None else draw(st.floats(0.0, 4000.0)),
        )
    except PatrolError as error:
        assert "on station" in str(error)  # noqa: PT017
        assume(False)
        raise


@given(sorties())
def test_the_moment_to_turn_for_home_is_the_last_that_leaves_the_reserve(sortie):
    step = 0.5
    assert sortie.on_station == pytest.approx(brute_station(sortie, step), abs=2 * step)
    assert sortie.flight <= sortie.airframe.endurance - sortie.airframe.reserve + 1e-6
    if sortie.on_station < sortie.route.length / sortie.airframe.speed or sortie.route.pattern != "once":
        assert sortie.flight == pytest.approx(sortie.airframe.endurance - sortie.airframe.reserve, abs=1e-6)


@given(sorties(), st.integers(-5000, 5000), st.integers(-3, 3))
def test_a_timetable_repeats_itself_to_the_last_bit(sortie, time, periods):
    plan = Plan((sortie,))
    assert sortie.period == round(sortie.period)
    for name in sortie.drones:
        assert plan.at(name, float(time)) == plan.at(name, time + periods * sortie.period)


@given(sorties(), st.floats(-5000.0, 5000.0), st.floats(0.0, 3.0))
def test_a_drone_never_flies_faster_than_it_can(sortie, time, later):
    for name in sortie.drones:
        plan = Plan((sortie,))
        here, there = plan.at(name, time), plan.at(name, time + later)
        if here is not None and there is not None and there.flown >= here.flown:
            way = math.hypot(there.east - here.east, there.north - here.north)
            assert way <= sortie.airframe.speed * later + 1e-6


@given(sorties())
def test_a_flight_begins_and_ends_at_its_launch(sortie):
    start, end = sortie.place(0.0), sortie.place(math.nextafter(sortie.flight, 0.0))
    assert (start.east, start.north) == pytest.approx(sortie.launch, abs=1e-6)
    assert (end.east, end.north) == pytest.approx(sortie.launch, abs=1e-6)
    assert sortie.place(sortie.flight) is None
    assert sortie.place(sortie.out).phase == "station"


@given(sorties(), st.floats(-4000.0, 4000.0), st.floats(0.0, 4000.0))
def test_the_flights_of_a_time_are_those_of_the_drones_in_the_air(sortie, start, length):
    plan = Plan((sortie,))
    flights = plan.flights(start, start + length)
    assert list(flights) == sorted(flights, key=lambda flight: flight.takes_off)
    assert [flight.number for flight in flights] == sorted({flight.number for flight in flights})
    for flight in flights:
        assert flight.takes_off < start + length or flight.takes_off == start
        assert flight.lands > start
        assert flight.takes_off <= flight.on_station <= flight.off_station <= flight.lands <= flight.ready
        middle = plan.at(flight.drone, (flight.takes_off + flight.lands) / 2.0)
        assert middle.flown == pytest.approx((flight.lands - flight.takes_off) / 2.0, abs=1e-6)
    margin = 1e-6
    around = plan.flights(start - 1.0, start + length + 1.0)
    for share in (0.25, 0.5, 0.75):
        time = start + share * length
        flying = {f.drone for f in flights if f.takes_off + margin < time < f.lands - margin}
        maybe = {f.drone for f in around if f.takes_off - margin <= time <= f.lands + margin}
        assert flying <= {name for name in sortie.drones if plan.at(name, time) is not None} <= maybe


@given(sorties(), st.floats(-4000.0, 4000.0))
def test_a_moments_flights_are_those_in_the_air_then(sortie, time):
    plan = Plan((sortie,))
    margins = [min(sortie.flown(name, time) % sortie.period, abs(sortie.flown(name, time) - sortie.flight))
               for name in sortie.drones]  # fmt: skip
    assume(min(margins) > 1e-6)
    in_air = sorted(name for name in sortie.drones if plan.at(name, time) is not None)
    assert sorted(flight.drone for flight in plan.flights(time, time)) == in_air


@given(sorties(), st.floats(-4000.0, 4000.0))
def test_the_next_take_off_is_when_it_is_at_its_launch_again(sortie, time):
    plan = Plan((sortie,))
    for name in sortie.drones:
        at = plan.next_take_off(name, time)
        assert time < at <= time + sortie.period
        assert min(sortie.flown(name, at), sortie.period - sortie.flown(name, at)) < 1e-6


@given(sorties())
def test_nobody_takes_off_before_the_turnaround_nor_with_an_empty_battery(sortie):
    flights = Plan((sortie,)).flights(0.0, 3.0 * sortie.period)
    for name in sortie.drones:
        own = [flight for flight in flights if flight.drone == name]
        for one, other in itertools.pairwise(own):
            assert other.takes_off >= one.ready - 1e-6
    if sortie.batteries is not None:
        # Each takes the battery that was full first.
        full = [-math.inf] * sortie.batteries
        for flight in flights:
            full.sort()
            assert full[0] <= flight.takes_off + 1e-6
            full[0] = flight.lands + sortie.charge


@given(sorties())
def test_what_a_timetable_achieves_is_what_its_flights_make(sortie):
    times = np.linspace(0.0, sortie.period, 4001)[:-1]
    plan = Plan((sortie,))
    flights = plan.flights(-sortie.period, 2.0 * sortie.period)
    there = np.zeros(len(times), bool)
    for flight in flights:
        there |= (times >= flight.on_station) & (times < flight.off_station)
    step = sortie.period / len(times)
    assert sortie.cover.share == pytest.approx(there.mean(), abs=2 * len(sortie.drones) / len(times))
    runs = np.diff(np.flatnonzero(np.concatenate(([True], np.tile(there, 2), [True]))))
    longest = (runs.max() - 1) * step if there.any() else sortie.period
    assert sortie.cover.longest == pytest.approx(min(longest, sortie.period), abs=3 * step)


@given(sorties())
def test_as_many_airframes_as_are_needed_keep_somebody_on_station(sortie):
    sortie = dataclasses.replace(sortie, batteries=None, charge=None, drones=("A",))
    count = sortie.needed.airframes
    assume(count <= 60)
    crew = dataclasses.replace(sortie, drones=tuple(f"D{i}" for i in range(count)))
    # The period is rounded up to whole seconds: shared by all, that is what may be missing.
    assert crew.cover.longest <= 1.0 / count + 1e-6
    if count > 1:
        fewer = dataclasses.replace(sortie, drones=crew.drones[:-1])
        assert fewer.cover.longest > 0.0


# --- what continuous cover needs


def test_what_is_needed_agrees_with_figures_by_hand():
    # 25 min of battery, 5 of reserve, 100 s out and 100 s home: 1000 s on station. The round is 1200 s and 180 s of
    # turnaround, 1380 s: two airframes. A battery is back after 1200 + 3600 s, 4800: five.
    assert needed(QUAD, 100.0, 100.0, 3600.0) == Needed(1000.0, 2, 5)
    assert needed(QUAD, 100.0, 100.0) == Needed(1000.0, 2, None)
    # 500 s out and home: 200 s on station of 1380 s: seven (6.9).
    assert needed(QUAD, 500.0, 500.0) == Needed(200.0, 7, None)
    # Exactly three: (400 + 800 + 0) / 400.
    assert needed(Airframe("q", 1.0, 1200.0), 400.0, 400.0).airframes == 3
    # A pattern that ends earlier leaves less.
    assert needed(QUAD, 100.0, 100.0, longest=400.0) == Needed(400.0, 2, None)


def test_an_endurance_that_does_not_reach_is_refused_with_the_numbers():
    short = dataclasses.replace(QUAD, endurance=900.0)
    with pytest.raises(PatrolError) as caught:
        there_and_back(4120.0, airframe=short)
    assert str(caught.value) == (
        "sortie s: takes 412 s out and 412 s home with 300 s reserve; endurance 900 s leaves -224 s on station"
    )


def test_take_offs_that_are_too_close_are_refused_with_the_least():
    # 1200 s of flight and 180 s on the ground, two drones: every 690 s at the most.
    pair = {"drones": ("A", "B")}
    with pytest.raises(
        PatrolError, match="a take-off every 600 s; expected 690 s or more: 2 drones, 1200 s in the air and 180 s"
    ):
        there_and_back(**pair, every=600.0)
    assert there_and_back(**pair, every=690.0).period == 1380.0
    assert there_and_back(**pair, every=800.0).period == 1600.0
    assert there_and_back(**pair).period == 1380.0
    # Three batteries of 4800 s: one every 1600 s.
    with pytest.raises(PatrolError, match="expected 1600 s or more: 3 batteries, 1200 s in the air and 3600 s to"):
        there_and_back(**pair, every=690.0, batteries=3, charge=3600.0)
    assert there_and_back(**pair, batteries=3, charge=3600.0).period == 3200.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"launch": None}, "no launch"),
        ({"drones": ()}, "drones are none"),
        ({"drones": ("A", "A")}, "each once"),
        ({"batteries": 2}, "without the time to charge them"),
        ({"batteries": 0, "charge": 1.0}, "0 batteries"),
        ({"start": math.nan}, "start is nan"),
        ({"airframe": WING, "every": 60.0}, "never land"),
        ({"every": 1e6}, "repeats itself after 11.6 days; expected 7 days or less"),
    ],
)
def test_a_sortie_that_contradicts_itself_is_refused(changed, words):
    with pytest.raises(PatrolError, match=f"^sortie s: .*{words}"):
        there_and_back(**changed)


@pytest.mark.parametrize(
    ("speed", "endurance", "reserve", "turnaround", "words"),
    [
        (0.0, 100.0, 0.0, 0.0, "speed is 0"),
        (math.inf, 100.0, 0.0, 0.0, "speed is inf"),
        (1.0, 100.0, 100.0, 0.0, "a reserve of 100 s in an endurance of 100 s"),
        (1.0, 100.0, -1.0, 0.0, "a reserve of -1 s"),
        (1.0, 100.0, 0.0, math.nan, "turnaround is nan"),
    ],
)
def test_an_airframe_that_cannot_fly_is_refused(speed, endurance, reserve, turnaround, words):
    with pytest.raises(PatrolError, match=words):
        Airframe("q", speed, endurance, reserve, turnaround)


# --- the plan


def test_a_plans_cycle_is_the_least_common_multiple_of_its_sorties():
    ring = Sortie("ring", ("R",), WING, Route(SQUARE, "loop"))  # 40 s
    pair = there_and_back(drones=("A", "B"))  # 1380 s
    assert Plan((ring, pair)).cycle == 2760.0
    assert Plan(()).cycle is None
    odd = there_and_back(name="t", drones=("C",), every=1381.0)
    assert LONGEST_CYCLE < 1380 * 1381
    assert Plan((pair, odd)).cycle is None


def test_a_drone_or_a_sortie_twice_in_a_plan_is_refused():
    with pytest.raises(PatrolError, match="drone A more than once"):
        Plan((there_and_back(), there_and_back(name="t")))
    with pytest.raises(PatrolError, match="sortie s more than once"):
        Plan((there_and_back(), there_and_back(drones=("B",))))


def test_a_drone_of_no_sortie_is_on_the_ground_for_ever():
    plan = Plan((there_and_back(),))
    assert plan.at("Z", 0.0) is None
    assert plan.next_take_off("Z", 0.0) is None


def test_what_is_flown_once_goes_home_from_its_end_and_needs_no_endurance():
    sortie = there_and_back(airframe=WING, route=Route(np.array([[1000.0, 0.0], [3000.0, 0.0]]), "once"))
    assert (sortie.out, sortie.on_station, sortie.home) == pytest.approx((100.0, 200.0, 300.0))
    assert sortie.period == 600.0
    assert not sortie.forever


def test_a_charge_alone_says_how_many_batteries_it_would_take_and_costs_nothing():
    # There and back 2 x 50 s, 1000 s on station (1100 - 100): a battery is back after 1100 + 2000 s.
    route = Route(np.array([[500.0, 0.0], [500.0, 1.0]]), "shuttle")
    frame = Airframe("quad", 10.0, endurance=1100.0)
    free = Sortie("s", ("A",), frame, route, (0.0, 0.0))
    told = Sortie("s", ("A",), frame, route, (0.0, 0.0), charge=2000.0)
    assert told.period == free.period
    assert told.needed.batteries == 4
    assert free.needed.batteries is None
