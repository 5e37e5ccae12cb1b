"""Gaps of sensors that stand and look anywhere, against what is known of random arcs and random intervals."""

import math

import numpy as np
import pytest

from coverage_fixture import stations_of
from dronewall.engine.detection import Target, rate
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import gaps
from dronewall.engine.terrain import Terrain

CELL = 5.0
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.5)
SURE = {"kind": "table", "range_m": [0.0, 5000.0], "probability": [0.95, 0.95], "glimpse_s": 1.0}


def sector(name, east, north, azimuth, hfov, far):
    return Frustum(name, "sector", east, north, 3.0, 3.0, azimuth, 0.0, 0.0, hfov, math.pi, 0.0, far, SURE)


def line_gaps(terrain, frontage, sensors):
    """The line gaps of some sensors, from the frontage's start to its end."""
    field = Field(terrain.shape)
    for sensor in sensors:
        field.add(sensor.name, rate(terrain, sensor, WALKER))
    chainage = frontage.stations(CELL)
    east, north = frontage.at(chainage)
    line_p = field.glance(terrain.cells(east, north), 10.0)
    none = np.zeros(len(chainage), dtype=bool)
    at = stations_of(
        chainage, east, north, frontage.length / len(chainage), line_p, line_p, none, frontage.lanes(chainage)
    )
    return gaps(at, "line", "walker", 0.5, frontage, {})


def test_random_sectors_cover_a_ring_as_often_as_stevens_says():
    # Stevens 1939 (FACTS): 12 arcs of a quarter each cover a circle with probability .52535 and leave .50682 gaps in
    # the mean. 500 trials: standard errors .022 and .03; cells of 5 m hide gaps of less than .2 % of the ring, 3 % of
    # all.
    size, radius, trials = 900.0, 400.0, 500
    terrain = Terrain.from_array(np.zeros((round(size / CELL),) * 2), CELL)
    angles = np.linspace(0.0, math.tau, 181)
    middle = size / 2.0
    ring = Frontage(
        np.stack((middle + radius * np.sin(angles), middle + radius * np.cos(angles)), axis=-1), 50.0, 50.0, True
    )
    random = np.random.default_rng(1939)
    covered, left = 0, 0
    for _ in range(trials):
        azimuths = random.uniform(0.0, math.tau, 12)
        found = line_gaps(
            terrain,
            ring,
            [sector(f"P{i}/a", middle, middle, azimuth, math.pi / 2.0, 430.0) for i, azimuth in enumerate(azimuths)],
        )
        # The ring's start is nowhere: what opens there at both ends is one gap.
        joined = len(found) > 1 and found[0].start == 0.0 and found[-1].end == pytest.approx(ring.length)
        left += len(found) - joined
        covered += not found
    assert covered / trials == pytest.approx(0.52535, abs=0.07)
    assert left / trials == pytest.approx(0.50682, abs=0.1)


def test_random_posts_leave_the_vacancy_of_a_poisson_process():
    # FACTS: posts of density l and radius r leave the share exp(-2 l r) open, in gaps of 1 / l in the mean. One post in
    # 400 m, 100 m each: .6065 and 400 m. 30 trials of 10 km: standard errors about .025 and 20 m.
    length, radius, density, trials = 10_000.0, 100.0, 1.0 / 400.0, 30
    margin = 150.0
    terrain = Terrain.from_array(np.zeros((60, round((length + 2.0 * margin) / CELL))), CELL)
    frontage = Frontage(np.array([[margin, 150.0], [margin + length, 150.0]]), 50.0, 50.0, True)
    random = np.random.default_rng(1950)
    opened, inner = [], []
    for _ in range(trials):
        count = random.poisson(density * (length + 2.0 * radius))
        places = random.uniform(margin - radius, margin + length + radius, count)
        found = line_gaps(
            terrain, frontage, [sector(f"P{i}/a", east, 150.0, 0.0, math.tau, radius) for i, east in enumerate(places)]
        )
        opened.append(sum(gap.length for gap in found) / length)
        inner += [gap.length for gap in found if gap.start > 0.0 and gap.end < length - 1.0]
    assert np.mean(opened) == pytest.approx(math.exp(-0.5), abs=0.075)
    assert np.mean(inner) == pytest.approx(400.0, abs=70.0)
