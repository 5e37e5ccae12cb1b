"""The loops that collect cells, against the plain words of `frustum.in_view` and `detection.sight`."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dronewall.engine.detection import eye_of, rate, sight
from dronewall.engine.frustum import Frustum, in_view, sweep
from dronewall.engine.models import Target
from dronewall.engine.showing import showing
from dronewall.engine.terrain import Terrain
from dronewall.engine.viewshed import Window, minimum_visible_height

CELL, SIZE = 10.0, 61
MODEL = {"kind": "table", "range_m": [0.0, 5000.0], "probability": [0.9, 0.9], "glimpse_s": 1.0}


def hills(seed):
    """Rolling ground, some 30 m from the lowest to the highest point, with a hole."""
    random = np.random.default_rng(seed)
    north, east = np.mgrid[:SIZE, :SIZE] * CELL
    ground = 5.0 * np.sin(east / random.uniform(40.0, 200.0)) + 10.0 * np.cos(north / random.uniform(40.0, 200.0))
    ground[3:5, 40:50] = np.nan
    return Terrain.from_array(ground, CELL)


degrees = st.one_of(st.sampled_from([0.0, 45.0, 90.0, 180.0, 270.0]), st.floats(0.0, 360.0))


@st.composite
def frusta(draw):
    """Any frustum: sectors over half a turn and of the full circle, pyramids that look straight down, rolled."""
    shape = draw(st.sampled_from(["pyramid", "sector"]))
    widest = 179.0 if shape == "pyramid" else 360.0
    near = draw(st.sampled_from([0.0, 50.0]))
    return Frustum(
        name="P1/a",
        shape=shape,
        east=draw(st.one_of(st.just(305.0), st.floats(10.0, 600.0))),
        north=draw(st.one_of(st.just(305.0), st.floats(10.0, 600.0))),
        eye_amsl=draw(st.floats(-5.0, 150.0)),
        eye_agl=None,
        azimuth=math.radians(draw(degrees)),
        elevation=math.radians(draw(st.one_of(st.sampled_from([-90.0, 0.0, 90.0]), st.floats(-90.0, 90.0)))),
        roll=math.radians(draw(degrees)) if shape == "pyramid" else 0.0,
        hfov=math.radians(draw(st.one_of(st.just(widest), st.floats(1.0, widest)))),
        vfov=math.radians(draw(st.one_of(st.just(min(widest, 180.0)), st.floats(1.0, min(widest, 180.0))))),
        range_min=near,
        range_max=near + draw(st.floats(1.0, 700.0)),
        model=MODEL,
    )


targets = st.sampled_from([Target("walker", 0.0, 1.7, 0.5, 1.4), Target("drone", 20.0, 60.0, 0.5, 15.0)])


@settings(max_examples=150)
@given(frusta(), targets, st.integers(0, 3), st.booleans())
def test_the_cells_collected_are_those_that_show_something_in_view(frustum, target, seed, exact):
    terrain = hills(seed)
    centre, width = sweep(frustum)
    eye = eye_of(frustum)
    needed = minimum_visible_height(terrain, eye, frustum.range_max, centre, width, exact=exact)
    plain = sight(terrain, frustum, target, needed)
    for everywhere in (False, True):
        found = showing(terrain, frustum, eye, target, needed, everywhere=everywhere)
        inside = in_view(frustum, plain.east, plain.north, plain.up) | everywhere
        assert found.cells.tolist() == np.flatnonzero(inside & (plain.exposed > 0.0)).tolist()
        for name in ("exposed", "east", "north", "up"):
            assert (getattr(found, name) == getattr(plain, name).ravel()[found.cells]).all()
        assert found.slant == pytest.approx(np.sqrt(found.east**2 + found.north**2 + found.up**2), rel=1e-15)


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 135.0, 180.0, 315.0])
@pytest.mark.parametrize("hfov", [90.0, 180.0, 270.0, 359.0])
@pytest.mark.parametrize("vfov", [90.0, 180.0])
def test_cells_right_on_a_sectors_edges_are_inside(azimuth, hfov, vfov):
    # From the middle of a cell over flat ground, at the height of what is looked at: the edges run along the
    # diagonals and the axes, through the middles of cells.
    terrain = Terrain.from_array(np.zeros((SIZE, SIZE)), CELL)
    angles = (math.radians(angle) for angle in (azimuth, 0.0, 0.0, hfov, vfov))
    frustum = Frustum("P1/a", "sector", 305.0, 305.0, 1.0, 1.0, *angles, 0.0, 200.0, MODEL)
    needed = Window(0, 0, np.zeros((SIZE, SIZE)))
    found = showing(terrain, frustum, eye_of(frustum), Target("ball", 0.0, 2.0, 1.0, 1.0), needed)
    north, east = (np.mgrid[:SIZE, :SIZE] - 30).reshape(2, -1)
    off = (np.degrees(np.arctan2(east, north)) - azimuth + 180.0) % 360.0 - 180.0
    expected = (np.abs(off) <= hfov / 2.0 + 1e-6) & (np.hypot(east, north) <= 20.0)
    assert found.cells.tolist() == np.flatnonzero(expected).tolist()


def test_a_rate_holds_only_the_cells_that_it_sees():
    terrain = hills(1)
    angles = (math.radians(angle) for angle in (60.0, -5.0, 0.0, 50.0, 40.0))
    frustum = Frustum("P1/a", "pyramid", 305.0, 305.0, 20.0, None, *angles, 0.0, 300.0, MODEL)
    window = rate(terrain, frustum, Target("walker", 0.0, 1.7, 0.5, 1.4))
    assert len(window.cells) == np.count_nonzero(window.rate) > 0
    assert (window.rates > 0.0).all()
    assert window.rate.shape == window.ceiling.shape == window.unknown.shape == window.shape
    again = type(window).of(window.row, window.col, window.rate, window.ceiling, window.unknown)
    for field in dataclasses.fields(window):
        assert np.array_equal(getattr(window, field.name), getattr(again, field.name)), field.name
