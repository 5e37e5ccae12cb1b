"""The search in space and time against a plain one over the same slots, the static search, and cases made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine import slots
from dronewall.engine.belt import belt_of
from dronewall.engine.breach import Going, crossings, guide_of, weakest_route
from dronewall.engine.exposure import COUNTS, CROSSED, LENGTHS, MOVES, SHARES, pace
from dronewall.engine.frontage import Frontage
from dronewall.engine.moving import Summed
from dronewall.engine.spacetime import HASTE, Watch, search
from dronewall.engine.terrain import Terrain

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

    def __init__(self, site, going, watch, rates, rates_still, step, periodic, max_crossing, slot):
        self.site, self.going, self.slot = site, going, slot
        self.step, self.periodic = step, periodic
        self.rates, self.rates_still = rates, rates_still
        self.haste = HASTE / max_crossing
        self.longest = int(max_crossing / slot + 1e-9)
        self.outsets = math.ceil(len(rates) * step / slot - 1e-9)
        self.pace = going.seconds(site.shape)
        self.fixed, self.still = watch.fixed + self.haste, watch.fixed_still + self.haste
        self.uniform = going.heights is None and len(np.unique(self.pace[site.belt.inside & np.isfinite(self.pace)])) < 2
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
        graph = [
            {cell: list(self.moves(cell, allowed, crossed)) for cell in allowed} for allowed, crossed in phases
        ]
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
