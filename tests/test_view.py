"""The loops that tell from bounds what is in view, against the same asked the long way of every point."""

import dataclasses
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.frustum import Frustum, in_view
from dronewall.engine.view import hold, soften

FAR, NEAR = 900.0, 15.0
ERRORS = st.sampled_from([0.0, 0.001, 0.02, 0.3])
METRES = st.sampled_from([0.0, 0.5, 8.0])


def looking(shape, azimuth, elevation, roll, hfov, vfov):
    angles = (math.radians(part) for part in (azimuth, elevation, roll, hfov, vfov))
    return Frustum("P1/a", shape, 0.0, 0.0, 0.0, None, *angles, NEAR, FAR, {})


frusta = st.builds(
    looking, st.sampled_from(["pyramid", "sector"]), st.floats(0.0, 360.0), st.floats(-90.0, 60.0),
    st.floats(-180.0, 180.0), st.floats(1.0, 150.0), st.floats(1.0, 150.0),
)  # fmt: skip


def scattered(seed, frustum, count=300):
    """Points around the eye (count,): half of them anywhere, half near the boresight."""
    random = np.random.default_rng(seed)
    ways = random.normal(size=(count, 3))
    ways[: count // 2] = frustum.axes()[0] + 0.3 * ways[: count // 2]
    ways *= random.uniform(1.0, 1.1 * FAR, (count, 1)) / np.linalg.norm(ways, axis=1, keepdims=True)
    return tuple(np.ascontiguousarray(part) for part in ways.T)


def within(value, half, sigma):
    """P(-half <= value + normal error <= half)."""
    if sigma == 0.0:
        return float(abs(value) <= half)
    return 0.5 * (
        math.erf((half - value) / sigma / math.sqrt(2.0)) - math.erf((-half - value) / sigma / math.sqrt(2.0))
    )


def angles(frustum, point):
    """Of a point from the boresight: sideways and upwards in a pyramid's own frame, azimuth off and elevation else."""
    if frustum.shape == "pyramid":
        x, y, z = frustum.axes() @ point
        return np.array((math.atan2(y, x), math.atan2(z, x)))
    off = math.atan2(point[0], point[1]) - frustum.azimuth
    return np.array((math.remainder(off, math.tau), math.atan2(point[2], math.hypot(*point[:2])) - frustum.elevation))


def probability(frustum, point, heading, tilt, position, height):
    """Of a point being in view, each angle's variance by differences over a hair of each error."""
    hair = 1e-6
    shifts = [({"azimuth": 1.0}, (0.0, 0.0, 0.0), heading), ({"elevation": 1.0}, (0.0, 0.0, 0.0), tilt)]
    if frustum.shape == "pyramid":
        shifts.append(({"roll": 1.0}, (0.0, 0.0, 0.0), tilt))
    shifts += [({}, (1.0, 0.0, 0.0), position), ({}, (0.0, 1.0, 0.0), position), ({}, (0.0, 0.0, 1.0), height)]
    variance = np.zeros(2)
    here = angles(frustum, point)
    for turn, step, sigma in shifts:
        moved = dataclasses.replace(frustum, **{name: getattr(frustum, name) + hair * by for name, by in turn.items()})
        there = angles(moved, point - hair * np.array(step))
        variance += (np.array([math.remainder(part, math.tau) for part in there - here]) / hair * sigma) ** 2
    slant = math.sqrt(point @ point)
    along = math.sqrt((position**2 * (point[0] ** 2 + point[1] ** 2) + (height * point[2]) ** 2) / slant**2)
    found = within(slant - (FAR + NEAR) / 2.0, (FAR - NEAR) / 2.0, along)
    if frustum.shape == "pyramid" and frustum.axes()[0] @ point <= 1e-6 * slant:
        return 0.0
    sideways, upwards = np.sqrt(variance)
    laps = (-math.tau, 0.0, math.tau) if frustum.shape == "sector" else (0.0,)
    around = min(sum(within(here[0] + lap, frustum.hfov / 2.0, sideways) for lap in laps), 1.0)
    return found * around * within(here[1], frustum.vfov / 2.0, upwards)


@settings(max_examples=60)
@given(frusta, st.integers(0, 2**32 - 1), ERRORS, ERRORS, METRES, METRES, st.sampled_from([0.05, 0.8, 2.5, 4.0]))
def test_the_probability_of_being_in_view_is_the_plain_one_to_a_255th(
    frustum, seed, heading, tilt, position, height, swing
):
    turns = np.array([-1.0, 0.0, 1.0]) * swing
    weights = np.array([0.25, 0.5, 0.25])
    drawn = [dataclasses.replace(frustum, azimuth=frustum.azimuth + turn) for turn in turns]
    points = scattered(seed, frustum)
    kept = np.empty(len(points[0]), dtype=np.intp)
    shares, likely = np.empty((3, len(kept)), dtype=np.uint8), np.empty(len(kept))
    count = soften(
        frustum.shape == "pyramid", np.stack([one.axes() for one in drawn]), frustum.azimuth + turns, weights,
        frustum.elevation, frustum.hfov / 2.0, frustum.vfov / 2.0, NEAR, FAR, heading, tilt, position, height, *points,
        kept, shares, likely,
    )  # fmt: skip
    found = np.zeros((3, len(kept)))
    found[:, kept[:count]] = shares[:, :count] / 255.0
    expected = np.array(
        [[probability(one, np.array(at), heading, tilt, position, height) for at in zip(*points, strict=True)]
         for one in drawn]
    )  # fmt: skip
    # Half a step of the rounding, and what four standard errors leave out three times over.
    assert np.abs(found - expected).max() <= 0.5 / 255.0 + 2e-4
    assert np.abs(likely[:count] - weights @ found[:, kept[:count]]).max(initial=0.0) < 1e-12


@settings(max_examples=60)
@given(frusta, st.integers(0, 2**32 - 1), ERRORS, ERRORS, METRES, METRES)
def test_what_is_held_is_in_view_from_wherever_the_errors_put_the_sensor(
    frustum, seed, heading, tilt, position, height
):
    east, north, up = scattered(seed, frustum)
    tilts = np.array([0.0, -tilt, tilt]) if tilt else np.zeros(1)
    poses = [
        dataclasses.replace(
            frustum,
            azimuth=frustum.azimuth + turn,
            elevation=frustum.elevation + lift,
            roll=frustum.roll + (roll if frustum.shape == "pyramid" else 0.0),
        )
        for turn in np.array([0.0, -1.0, 1.0, -0.5, 0.5]) * heading
        for lift in tilts
        for roll in tilts
    ]
    kept = np.empty(len(east), dtype=np.intp)
    nearest, farthest = np.empty(len(kept)), np.empty(len(kept))
    count = hold(
        frustum.shape == "pyramid", np.stack([pose.axes() for pose in poses]), frustum.azimuth, frustum.elevation,
        frustum.hfov / 2.0, frustum.vfov / 2.0, NEAR, FAR, heading, tilt, position, height, 0.0, 10.0, east, north, up,
        up, kept, nearest, farthest,
    )  # fmt: skip
    held = np.zeros(len(east), dtype=bool)
    held[kept[:count]] = True
    seen = np.ones(len(east), dtype=bool)
    around = np.linspace(0.0, math.tau, 24, endpoint=False)
    steps = [(0.0, 0.0), *(zip(position * np.sin(around), position * np.cos(around), strict=True) if position else ())]
    for pose in poses:
        for step_east, step_north in steps:
            for lift in (-height, 0.0, height):
                seen &= in_view(pose, east + step_east, north + step_north, up + lift)
    assert not (held & ~seen).any()
    if not position and not height:
        # Without these the poses are all that is asked.
        assert (held == seen).all()
