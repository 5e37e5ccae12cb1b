"""The search in space and time against a plain one over the same slots, the static search, and cases made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine import costs
from dronewall.engine.belt import belt_of
from dronewall.engine.breach import Going, crossings, guide_of, weakest_route
from dronewall.engine.exposure import COUNTS, CROSSED, LENGTHS, MOVES, SHARES, pace
from dronewall.engine.frontage import Frontage
from dronewall.engine.itinerary import told
from dronewall.engine.moving import Summed
from dronewall.engine.passage import Through
from dronewall.engine.spacetime import search
from dronewall.engine.terrain import Terrain
from dronewall.engine.watch import HASTE, Watch, line_of

CELL = 10.0
SPEED = 1.4


class Site:
    """A straight line from west to east in the middle of a belt, over flat ground."""

    def __init__(self, width, front, behind):
        self.terrain = Terrain.from_array(np.zeros((round((front + behind) / CELL) + 4, round(width / CELL))), CELL)
        north = behind + 2.0 * CELL
        self.frontage = Frontage(np.array([[0.0, north], [width, north]]), front, behind, threat_left=True)
        self.front, self.behind = front, behind
        self.belt = belt_of(self.frontage, self.terrain)
        self.shape = self.belt.inside.shape
        self.at = self.frontage.stations(CELL)
        self.stations = np.stack(self.terrain.cells(*self.frontage.at(self.at)), axis=-1)

    def found(self, watch, max_crossing, lateral=100.0, going=None, **options):
        going = Going(SPEED) if going is None else going
        return search(
            self.belt, going, self.front, self.behind, watch, max_crossing, self.stations, self.at, lateral, **options
        )


def passes(shape, step, rates, periodic=True):
    """Rates (steps, north, east) as a search takes them."""
    flat = np.asarray(rates, dtype=np.float32).reshape(len(rates), -1)
    steps, cells = np.nonzero(flat)
    first = np.searchsorted(steps, np.arange(len(flat)))
    last = np.searchsorted(steps, np.arange(len(flat)), side="right")
    assert flat.shape[1] == shape[0] * shape[1]
    return Summed(first, last, cells.astype(np.int32), flat[steps, cells], step, periodic)


def nothing(shape, steps=10, step=2.0):
    return passes(shape, step, np.zeros((steps, *shape)))


def fraction(value):
    return value - math.floor(value)


class Plain:
    """The same search, state by state and outset by outset."""

    def __init__(self, site, going, watch, rates, rates_still, step, periodic, max_crossing, slot, until=math.inf):
        self.site, self.going, self.slot = site, going, slot
        self.step, self.periodic = step, periodic
        self.rates, self.rates_still = rates, rates_still
        self.haste = HASTE / max_crossing
        self.longest = int(max_crossing / slot + 1e-9)
        self.outsets = math.ceil(min(len(rates) * step, until) / slot - 1e-9)
        self.pace = going.seconds(site.shape)
        self.fixed, self.still = watch.fixed + self.haste, watch.fixed_still + 0.9 * self.haste
        self.uniform = (
            going.heights is None and len(np.unique(self.pace[site.belt.inside & np.isfinite(self.pace)])) < 2
        )
        self.told = {}

    def met(self, rates, cell, slot):
        """Exposure in a cell during one slot."""
        key = id(rates), cell, slot
        if key not in self.told:
            begin, end, found = slot * self.slot, (slot + 1) * self.slot, 0.0
            for k in range(math.floor(begin / self.step), math.ceil(end / self.step)):
                if self.periodic or 0 <= k < len(rates):
                    shared = min(end, (k + 1) * self.step) - max(begin, k * self.step)
                    found += max(shared, 0.0) * float(rates[k % len(rates)][cell])
            self.told[key] = found
        return self.told[key]

    def lasts(self, cell, number, seconds):
        """Slots of a move from a cell."""
        row, col = cell
        order = int(np.flatnonzero(np.argsort(LENGTHS, kind="stable") == number)[0])
        golden, plastic = 0.6180339887498949, 0.7548776662466927
        if self.uniform:
            if LENGTHS[number] == 1.0:
                return 5
            dither = fraction((row + 0.5 * MOVES[number, 0]) * golden + 0.5 + order * plastic)
            return math.floor(5.0 * LENGTHS[number] + 1e-9 + dither * (1.0 - 1e-9))
        dither = plastic * row + plastic * plastic * col + golden * order
        return max(1, math.floor(seconds / self.slot + fraction(dither)))

    def moves(self, cell, allowed, crossed_too):
        """Where moves lead from a cell, what they cost, and which cells they cross from slot to slot."""
        for number, (down, right) in enumerate(MOVES.tolist()):
            there = cell[0] + down, cell[1] + right
            if there not in allowed:
                continue
            ways = [(cell[0] + a, cell[1] + b) for a, b in CROSSED[number, : COUNTS[number]].tolist()]
            if any(way not in crossed_too for way in ways[1:-1]):
                continue
            metres = SHARES[number, : COUNTS[number]] * LENGTHS[number] * CELL
            slope = 1.0
            if self.going.heights is not None:
                rise = self.going.heights[there] - self.going.heights[cell]
                slope = pace(rise / (LENGTHS[number] * CELL))
            times = [m * slope * self.pace[way] for m, way in zip(metres, ways, strict=True)]
            cost = sum(t * self.fixed[way] for t, way in zip(times, ways, strict=True))
            lasts = self.lasts(cell, number, sum(times))
            shares = np.concatenate(([0.0], np.cumsum(SHARES[number, : COUNTS[number]])))
            marks = [math.floor(share * lasts + 0.5 + 1e-9) for share in shares]
            yield there, cost, lasts, [(way, *marks[i : i + 2]) for i, way in enumerate(ways)]

    def least(self, station=None, mark=None, lateral=math.inf):
        """What the best way costs, at a station or anywhere; inf where there is none."""
        belt = self.site.belt
        open_ = {tuple(cell) for cell in np.argwhere(belt.inside & np.isfinite(self.pace)).tolist()}
        if station is None:
            phases = [(open_, open_)]
        else:
            if station not in open_:
                return math.inf
            near = {cell for cell in open_ if abs(float(belt.chainage[cell]) - mark) <= lateral}
            phases = []
            for side in (lambda offset: offset >= 0.0, lambda offset: offset < 0.0):
                through = {cell for cell in open_ if side(belt.offset[cell])}
                phases.append(((through & near) | {station}, through))
        graph = [{cell: list(self.moves(cell, allowed, crossed)) for cell in allowed} for allowed, crossed in phases]
        best = math.inf
        for outset in range(self.outsets):
            best = min(best, self._from(outset, station, phases, graph))
        return best

    def _from(self, outset, station, phases, graph):
        belt, best = self.site.belt, math.inf
        end = outset + self.longest
        costs = [{} for _ in phases]

        def reach(phase, cell, slot, cost):
            at = costs[phase].setdefault(slot, {})
            if slot <= end and cost < at.get(cell, math.inf):
                at[cell] = cost

        def stretch(cell, metres, begin):
            seconds = max(metres, 0.0) * self.pace[cell]
            lasts = round(seconds / self.slot)
            cost = seconds * self.fixed[cell]
            return lasts, cost + sum(self.met(self.rates, cell, s) for s in range(begin, begin + lasts))

        for cell in phases[0][0]:
            if belt.far[cell]:
                lasts, cost = stretch(cell, self.site.front - float(belt.offset[cell]), outset)
                reach(0, cell, outset + lasts, cost)
        for slot in range(outset, end + 1):
            for phase in range(len(phases)):
                if phase + 1 < len(phases) and station in costs[phase].get(slot, {}):
                    reach(phase + 1, station, slot, costs[phase][slot][station])
                for cell, cost in costs[phase].get(slot, {}).items():
                    if phase + 1 == len(phases) and belt.near[cell]:
                        lasts, more = stretch(cell, self.site.behind + float(belt.offset[cell]), slot)
                        if slot + lasts <= end:
                            best = min(best, cost + more)
                    still = self.still[cell] * self.slot + self.met(self.rates_still, cell, slot)
                    reach(phase, cell, slot + 1, cost + still)
                    for there, more, lasts, crossed in graph[phase][cell]:
                        if slot + lasts > end:
                            continue
                        for way, early, late in crossed:
                            more += sum(self.met(self.rates, way, slot + s) for s in range(early, late))
                        reach(phase, there, slot + lasts, cost + more)
        return best


@st.composite
def cases(draw):
    site = Site(CELL * draw(st.integers(2, 5)), CELL * draw(st.integers(0, 2)), CELL * draw(st.integers(1, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    steps = draw(st.integers(1, 8))
    step = draw(st.sampled_from((1.0, 2.0, 3.5)))
    share = draw(st.sampled_from((0.0, 0.2, 0.6)))
    rates = np.where(rng.random((steps, *site.shape)) < share, rng.uniform(0.01, 0.3, (steps, *site.shape)), 0.0)
    rates = rates.astype(np.float32)
    sort = draw(st.sampled_from(("the same", "none", "less")))
    rates_still = {"the same": rates, "none": 0.0 * rates, "less": (rates * 0.5).astype(np.float32)}[sort]
    fixed = rng.uniform(0.0, 0.1, site.shape) * draw(st.sampled_from((0.0, 1.0)))
    still = fixed * draw(st.sampled_from((0.0, 0.5, 1.0)))
    slowness = draw(st.sampled_from(("alike", "closed", "slow")))
    going = Going(SPEED)
    if slowness == "closed":
        going = Going(SPEED, np.where(rng.random(site.shape) < 0.2, np.inf, 1.0))
    elif slowness == "slow":
        heights = rng.uniform(0.0, 2.0, site.shape) if draw(st.booleans()) else None
        going = Going(SPEED, rng.uniform(1.0, 2.0, site.shape), heights)
    periodic = draw(st.booleans())
    moving = passes(site.shape, step, rates, periodic)
    lingering = moving if sort == "the same" else passes(site.shape, step, rates_still, periodic)
    straight = (site.front + site.behind) / SPEED
    bound = draw(st.sampled_from((0.9, 1.1, 1.6, 2.5))) * straight * (1.5 if slowness == "slow" else 1.0)
    lateral = draw(st.sampled_from((0.0, CELL, 10.0 * CELL)))
    return site, Watch(fixed, still, moving, lingering), going, rates, rates_still, step, periodic, bound, lateral


@settings(max_examples=25, deadline=None)
@given(cases())
def test_costs_are_those_of_a_plain_search_over_the_same_slots(case):
    site, watch, going, rates, rates_still, step, periodic, bound, lateral = case
    found = site.found(watch, bound, lateral, going)
    plain = Plain(site, going, watch, rates, rates_still, step, periodic, bound, found.slot)
    least = [
        plain.least(tuple(station), mark, lateral)
        for station, mark in zip((site.stations - (site.belt.row, site.belt.col)).tolist(), site.at, strict=True)
    ]
    assert np.isfinite(least).tolist() == np.isfinite(found.stations.searched).tolist()
    some = np.isfinite(least)
    assert found.stations.searched[some] == pytest.approx(np.array(least)[some], rel=1e-5, abs=1.5 * HASTE)
    anywhere = plain.least()
    if math.isfinite(anywhere):
        assert found.route.searched[0] == pytest.approx(anywhere, rel=1e-5, abs=1.5 * HASTE)
    else:
        assert np.isnan(found.route.searched[0])


@settings(max_examples=10, deadline=None)
@given(cases(), st.floats(0.05, 1.2))
def test_who_is_to_set_out_before_a_time_finds_the_best_of_what_is_left(case, share):
    # The plain search tries the outsets one by one, and leaves out the later ones.
    site, watch, going, rates, rates_still, step, periodic, bound, lateral = case
    until = share * len(rates) * step
    found = site.found(watch, bound, lateral, going, until=until)
    plain = Plain(site, going, watch, rates, rates_still, step, periodic, bound, found.slot, until)
    least = [
        plain.least(tuple(station), mark, lateral)
        for station, mark in zip((site.stations - (site.belt.row, site.belt.col)).tolist(), site.at, strict=True)
    ]
    for some, best in ((found.stations, least), (found.route, [plain.least()])):
        best = np.where(np.isfinite(best), best, np.nan)
        assert some.searched == pytest.approx(best, rel=1e-5, abs=1.5 * HASTE, nan_ok=True)
        assert (some.outsets[np.isfinite(best)] < until).all()


def wide():
    return Site(400.0, 150.0, 100.0)


def uneven(site, seed=0):
    """Rates of some bumps."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(site.shape)
    found = np.full(site.shape, 1e-3)
    for _ in range(8):
        row, col = rng.uniform(0, site.shape[0]), rng.uniform(0, site.shape[1])
        found += 0.02 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 30.0)
    return found


@pytest.mark.parametrize("lateral", [30.0, 100.0])
def test_where_nothing_moves_it_is_the_static_answer(lateral):
    site, going = wide(), Going(SPEED)
    fixed = uneven(site)
    found = site.found(Watch(fixed, fixed, nothing(site.shape), nothing(site.shape)), 600.0, lateral)
    guide = guide_of(site.belt, fixed, going, site.front, site.behind)
    static = crossings(site.belt, guide, going, site.front, site.behind, site.stations, site.at, lateral)
    assert found.stations.exposure == pytest.approx(static.exposure, rel=1e-4)
    assert found.stations.searched == pytest.approx(static.exposure, rel=1e-4)
    route = weakest_route(site.belt, guide, going, site.front, site.behind)
    assert found.route.exposure == pytest.approx(route.exposure, rel=1e-4)
    assert (found.stations.waits == 0.0).all()


def gate(site, shut, cycle=60, cells=slice(None)):
    """A wall across the belt two cells wide, right ahead of the line, that is watched for `shut` of every `cycle` 2 s
    steps.
    """
    rows = np.argwhere((site.belt.offset[:, 0] > 20.0) & (site.belt.offset[:, 0] < 60.0))[:, 0]
    rates = np.zeros((cycle, *site.shape))
    rates[:shut, rows.min() : rows.max() + 1, cells] = 0.2
    return passes(site.shape, 2.0, rates)


def test_a_walker_waits_until_a_pass_is_over():
    # 40 m watched for 60 of every 120 s are crossed in 29 s while nobody looks, if he sets out in time.
    site = wide()
    wall = gate(site, 30)
    free = np.zeros(site.shape)
    found = site.found(Watch(free, free, wall, wall), 600.0)
    assert found.stations.exposure == pytest.approx(0.0, abs=1e-6)
    # Two walls, 40 m apart: the first is watched but for the last 40 s of every 120 s, the second but for 40 s to 80 s.
    # He leaves the first after 109 s to 120 s and, 29 s away, is too early by 11 s or more. He waits in between.
    first = np.zeros((60, *site.shape))
    offset = site.belt.offset[:, 0]
    near, far = (offset > -40.0) & (offset < 0.0), (offset > 40.0) & (offset < 80.0)
    first[:40, far] = 0.2
    first[40:, near] = 0.2
    first[:20, near] = 0.2
    both = passes(site.shape, 2.0, first)
    found = site.found(Watch(free, free, both, both), 600.0)
    assert found.stations.searched == pytest.approx(0.0, abs=1e-5)
    # Who goes as soon as he can is in a cell half a slot more or less than whole slots say, at each wall.
    assert (found.stations.exposure <= 2.0 * 0.2 * found.slot).all()
    assert (found.stations.waits > 40.0 - 40.0 / SPEED - 2.0 * found.slot).all()
    # Without time to wait he cannot: straight across takes 179 s.
    short = site.found(Watch(free, free, both, both), 180.0)
    assert (short.stations.exposure > 0.5).all()
    assert (short.stations.paths.durations <= 1.02 * 180.0).all()
    # A sensor that sees who stands still makes waiting cost what it sees in that time; one that does not, nothing.
    watched = np.full(site.shape, 1e-3)
    blind = site.found(Watch(watched, free, both, both), 600.0)
    seeing = site.found(Watch(watched, watched, both, both), 600.0)
    walking = blind.stations.paths.durations - blind.stations.waits
    assert blind.stations.searched == pytest.approx(1e-3 * walking, rel=0.02)
    assert seeing.stations.searched == pytest.approx(1e-3 * seeing.stations.paths.durations, rel=0.02)
    # At least the 40 s between the walls less the way, and a slot at each.
    least = 40.0 - 40.0 / SPEED - 2.0 * seeing.slot
    assert (seeing.stations.searched > blind.stations.searched + 1e-3 * least - 1e-5).all()


def orbits(site, rate=0.01, wide_m=60.0, steps=120):
    """A drone that goes round over the line and looks down: softly, so that nothing hangs on one cell."""
    rows, cols = np.indices(site.shape)
    rates = np.zeros((steps, *site.shape))
    for k in range(steps):
        angle = math.tau * (k + 0.5) / steps
        row, col = site.shape[0] * (0.5 + 0.25 * math.sin(angle)), site.shape[1] * (0.5 + 0.4 * math.cos(angle))
        rates[k] = rate * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) * CELL**2 / wide_m**2)
    return passes(site.shape, 2.0, rates)


def test_what_the_search_tells_is_what_its_ways_meet():
    site = wide()
    fixed = uneven(site)
    drone = orbits(site)
    found = site.found(Watch(fixed, fixed, drone, drone), 600.0)
    for some in (found.stations, found.route):
        assert some.searched == pytest.approx(some.exposure, rel=0.02)
        assert ((some.outsets >= 0.0) & (some.outsets < 240.0)).all()


def test_pieces_follow_each_other_and_last_as_long_as_they_take_to_walk():
    site = wide()
    drone = orbits(site, rate=0.2)
    free = np.zeros(site.shape)
    going = Going(SPEED, 1.0 + 0.5 * uneven(site, 3) / 0.02)
    found = site.found(Watch(free, free, drone, drone), 600.0, going=going)
    ways = found.stations
    for n in range(len(ways)):
        own = slice(ways.paths.starts[n], ways.paths.ends[n])
        begins, seconds = ways.begins[own], ways.paths.seconds[own]
        assert begins[1:] == pytest.approx(begins[:-1] + seconds[:-1])
        cells = ways.paths.cells[own]
        assert np.abs(np.diff(cells, axis=0)).max() <= 1
        row, col = (cells - (site.belt.row, site.belt.col)).T
        metres = seconds * SPEED / going.slowness[row, col]
        assert metres[~ways.waiting[own]].max() <= math.sqrt(2.0) * CELL + 1e-9
        assert ways.outsets[n] + ways.paths.durations[n] == pytest.approx(begins[-1] + seconds[-1])


@pytest.mark.parametrize("rough", [False, True])
def test_whole_slots_are_within_two_percent_of_the_time_that_a_way_takes(rough):
    # Watched so that ways lead aslant, in moves of all kinds, and nothing makes anybody wait.
    site = Site(600.0, 250.0, 250.0)
    rows, cols = np.indices(site.shape)
    fixed = 0.002 * (1.0 + np.sin(rows / 6.0 + cols / 4.0))
    heights = 8.0 * np.sin(rows / 5.0) * np.cos(cols / 7.0) if rough else None
    going = Going(SPEED, None, heights)
    watch = Watch(fixed, fixed, nothing(site.shape), nothing(site.shape))
    line = line_of(site.belt, going, site.front, site.behind, watch, 1500.0)
    own = site.stations - (site.belt.row, site.belt.col)
    both = Through(line, line.between(-1.0, 1e9), own, (0, line.outsets), costs.Store())
    ways = both.ways(np.arange(len(own)))
    found = told(line, ways)
    assert found.paths.durations == pytest.approx([way.lasts * line.ground.slot for way in ways], rel=0.02)


def test_how_many_slots_are_at_hand_changes_nothing(monkeypatch):
    site = wide()
    fixed, drone = uneven(site), orbits(site, rate=0.1)
    some = site.found(Watch(fixed, fixed, drone, drone), 500.0)
    monkeypatch.setattr(costs, "_AT_HAND", 100_000)
    every = site.found(Watch(fixed, fixed, drone, drone), 500.0)
    assert some.stations.paths.cells.tolist() == every.stations.paths.cells.tolist()
    assert some.stations.begins.tolist() == every.stations.begins.tolist()
    assert some.route.paths.cells.tolist() == every.route.paths.cells.tolist()


def test_ways_stay_within_the_lateral_distance_and_in_time():
    # A hole in a wall draws everybody; so do passes that come late.
    site = wide()
    fixed = np.where((site.belt.offset > 20.0) & (site.belt.offset < 60.0), 0.1, 0.0)
    fixed[:, 10:12] = 0.0
    drone = orbits(site, rate=0.1)
    found = site.found(Watch(fixed, fixed, drone, drone), 250.0, 50.0)
    assert found.strayed > 0
    for n, mark in enumerate(site.at):
        row, col = found.stations.ways[n].T
        assert np.abs(site.belt.chainage[row, col] - mark).max() <= 50.0 + CELL
    # Slots and true times differ by 2 % at most.
    assert (found.stations.paths.durations <= 1.02 * 250.0).all()
    assert found.route.paths.durations[0] <= 1.02 * 250.0


@pytest.mark.parametrize("lateral", [15.0, 40.0, 90.0])
def test_stations_that_are_searched_together_get_what_each_gets_alone(lateral):
    # Holes in a wall draw who may come so far; the others have to do with worse ones nearer by.
    site = Site(600.0, 80.0, 60.0)
    fixed = np.where((site.belt.offset > 20.0) & (site.belt.offset < 60.0), 0.1, 0.0) + uneven(site)
    fixed[:, [5, 23, 24, 50]] = 0.0
    drone = orbits(site, rate=0.05)
    watch = Watch(fixed, fixed, drone, drone)
    together = site.found(watch, 250.0, lateral, route=False)
    assert together.strayed > 0
    for n, (station, mark) in enumerate(zip(site.stations, site.at, strict=True)):
        alone = search(
            site.belt, Going(SPEED), site.front, site.behind, watch, 250.0, station[None], np.array([mark]), lateral,
            route=False,
        )  # fmt: skip
        assert alone.strayed == 0
        assert together.stations.searched[n] == alone.stations.searched[0]


def test_where_nobody_can_cross_there_is_no_way():
    site = wide()
    free = np.zeros(site.shape)
    none = nothing(site.shape)
    closed = np.where(np.abs(site.belt.offset - 70.0) < 20.0, np.inf, 1.0)
    found = site.found(Watch(free, free, none, none), 600.0, going=Going(SPEED, closed))
    for some in (found.stations, found.route):
        assert np.isnan(some.exposure).all()
        assert np.isnan(some.outsets).all()
        assert len(some.paths.cells) == 0
    # Nor in less time than it takes.
    found = site.found(Watch(free, free, none, none), 100.0)
    assert np.isnan(found.stations.exposure).all()


def test_who_has_to_set_out_early_cannot_await_the_time_when_nobody_looks():
    # .01/s everywhere but from 60 s to 300 s of every 480 s; straight across takes 179 s, and he may take no longer.
    site = wide()
    rates = np.full((240, *site.shape), 0.01)
    rates[30:150] = 0.0
    free, drone = np.zeros(site.shape), passes(site.shape, 2.0, rates)
    watch = Watch(free, free, drone, drone)
    every = site.found(watch, 180.0)
    assert every.stations.exposure == pytest.approx(0.0, abs=1e-6)
    # Who sets out right before 20 s is watched until 60 s.
    early = site.found(watch, 180.0, until=20.0)
    for some in (early.stations, early.route):
        assert (some.outsets < 20.0).all()
        assert some.exposure == pytest.approx(0.4, abs=0.01 * early.slot)
    # A bound beyond the cycle is none.
    beyond = site.found(watch, 180.0, until=500.0)
    assert beyond.stations.searched.tolist() == every.stations.searched.tolist()
    assert beyond.stations.begins.tolist() == every.stations.begins.tolist()


def test_without_the_route_the_stations_are_the_same():
    site = wide()
    fixed, drone = uneven(site), orbits(site, rate=0.1)
    both = site.found(Watch(fixed, fixed, drone, drone), 400.0, 60.0)
    only = site.found(Watch(fixed, fixed, drone, drone), 400.0, 60.0, route=False)
    assert len(both.route.paths.cells) > 0
    assert len(only.route) == 1
    assert len(only.route.paths.cells) == len(only.route.begins) == 0
    assert np.isnan(only.route.exposure).all()
    assert np.isnan(only.route.searched).all()
    for name in ("begins", "waiting", "exposure", "searched"):
        assert getattr(only.stations, name).tolist() == getattr(both.stations, name).tolist()
    assert only.stations.paths.cells.tolist() == both.stations.paths.cells.tolist()


def test_progress_counts_stations():
    site = wide()
    free, none = np.zeros(site.shape), nothing(site.shape)
    told = []
    site.found(Watch(free, free, none, none), 600.0, progress=lambda done, whole: told.append((done, whole)))
    assert told[-1] == (len(site.at), len(site.at))
    assert told == sorted(told)


def test_what_does_not_fit_is_refused():
    site = wide()
    free, none = np.zeros(site.shape), nothing(site.shape)
    with pytest.raises(ValueError, match="fixed_still has shape"):
        site.found(Watch(free, free[1:], none, none), 600.0)
    with pytest.raises(ValueError, match="longest crossing of 0"):
        site.found(Watch(free, free, none, none), 0.0)
    for until in (0.0, math.nan):
        with pytest.raises(ValueError, match="setting out before"):
            site.found(Watch(free, free, none, none), 600.0, until=until)
