import dataclasses
import json
import math

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.transform import from_origin

from dronewall.engine import wall
from dronewall.engine.belt import belt_of
from dronewall.engine.breach import Counted, Going, guide_of, summed
from dronewall.engine.detection import Rate, Target
from dronewall.engine.earth import site_of
from dronewall.engine.exposure import Grid, detours, pieces, search
from dronewall.engine.field import Field
from dronewall.engine.frontage import Frontage
from dronewall.engine.gaps import stations, weakest
from dronewall.engine.going import covered, polygons_of, with_going
from dronewall.engine.ground import check, ground_of
from dronewall.engine.plan import planned
from dronewall.engine.terrain import Terrain, TerrainError
from dronewall.scenario import read

CELL = 10.0
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.5)
ROWS, COLS = 60, 80  # 600 m north, 800 m east
COUNTED = Counted(1, 10.0, 0.5)


def line(behind=100.0, threat_left=True):
    """Due east at 250 m north, the belt from 50 to 450 m east of its ends; the threat comes from the north."""
    return Frontage(np.array([[50.0, 250.0], [750.0, 250.0]]), 200.0, behind, threat_left)


def watched(terrain, rate):
    """A field of one sensor that sees with this rate [1/s], the same everywhere or cell by cell."""
    rates = np.broadcast_to(np.asarray(rate, dtype=np.float64), terrain.shape).copy()
    field = Field(terrain.shape)
    field.add("P1/a", Rate.of(0, 0, rates, np.ones(terrain.shape), np.zeros(terrain.shape, bool)))
    return field


def routes(terrain, frontage, field, belt, going):
    """The weakest route and the one with the least bottleneck."""
    guide = guide_of(belt, summed(field, belt, COUNTED), going, frontage.front, frontage.behind)
    return weakest(terrain, frontage, field, belt, going, COUNTED, guide)


def crossed(terrain, rate, going, frontage=None, lateral=100.0):
    return stations(terrain, frontage or line(), watched(terrain, rate), WALKER, 10.0, going=going, lateral=lateral)


def over(terrain, frontage, **changes):
    """How a walker gets on over the belt's piece of a terrain."""
    piece = belt_of(frontage, terrain).slices
    heights = terrain.ground_amsl[piece].copy() if changes.pop("slope", False) else None
    return Going(1.5, None if terrain.slowness is None else terrain.slowness[piece].copy(), heights)


def plane(slope=0.0, slowness=None):
    """Ground that rises to the north."""
    north = (np.arange(ROWS) + 0.5) * CELL
    terrain = Terrain.from_array(np.broadcast_to(500.0 + slope * north[:, None], (ROWS, COLS)), CELL)
    return dataclasses.replace(terrain, slowness=slowness)


# --- what the search makes of it


def test_on_a_slope_a_crossing_up_takes_longer_than_down_by_toblers_ratio():
    # Both ways straight over 300 m of a slope of 20 %: exp(-3.5 |s + .05|) of the speed, uphill s = .2, downhill -.2.
    terrain = plane(0.2)
    ratio = math.exp(3.5 * ((0.2 + 0.05) - (0.2 - 0.05)))
    exposure = {}
    for way, north, south in (("down", 200.0, 100.0), ("up", 100.0, 200.0)):
        # From the north it is downhill, from the south up; the belt is the same 300 m, its ends alike.
        points = np.array([[50.0, 250.0], [750.0, 250.0]])
        frontage = Frontage(points, north, south, way == "down")
        at = crossed(terrain, 1e-4, over(terrain, frontage, slope=True), frontage)
        exposure[way] = -np.log1p(-at.lane_p)
        middle = np.abs(at.chainage - 350.0) < 200.0
        assert exposure[way][middle] == pytest.approx(exposure[way][middle][0], rel=1e-6)
    assert exposure["up"] / exposure["down"] == pytest.approx(ratio, rel=1e-6)
    level = 300.0 / 1.5 * 1e-4
    # A field's rates are whole numbers of 1e-9/s.
    assert exposure["down"] == pytest.approx(level * math.exp(3.5 * (0.15 - 0.05)), rel=1e-4)


def test_up_a_slope_the_weakest_route_takes_longer_than_down_by_toblers_ratio():
    # Over 10 % straight is cheapest in both directions; all of the way but the half cells at its ends is sloping.
    terrain = plane(0.1)
    seconds = {}
    for way, north, south in (("down", 205.0, 105.0), ("up", 105.0, 205.0)):
        frontage = Frontage(np.array([[50.0, 250.0], [750.0, 250.0]]), north, south, way == "down")
        field, belt = watched(terrain, 1e-4), belt_of(frontage, terrain)
        found, _ = routes(terrain, frontage, field, belt, over(terrain, frontage, slope=True))
        straight = found.points[:, 0].std() == 0.0
        assert straight
        inner = np.diff(found.points[1:-1, 1])
        seconds[way] = found.seconds - (found.length - np.abs(inner).sum()) / 1.5
    assert seconds["up"] / seconds["down"] == pytest.approx(math.exp(3.5 * 0.1), rel=1e-6)


def test_a_cost_of_two_doubles_the_exposure():
    plain, slow = plane(), plane(slowness=np.full((ROWS, COLS), 2.0))
    once, twice = (crossed(terrain, 0.001, over(terrain, line())) for terrain in (plain, slow))
    for kind in ("lane", "breach"):
        ratio = np.log1p(-twice.probability(kind)) / np.log1p(-once.probability(kind))
        assert ratio == pytest.approx(2.0, rel=1e-6)
    assert (once.line_p == twice.line_p).all()  # a look stays in one place


def test_a_wall_of_water_is_crossed_at_its_ford_within_the_lateral_distance_and_nowhere_else():
    slowness = np.ones((ROWS, COLS))
    slowness[30, :] = np.inf  # 300 to 310 m north, ahead of the line
    slowness[30, 40] = 1.0  # but for 400 to 410 m east
    terrain = plane(slowness=slowness)
    at = crossed(terrain, 0.0, over(terrain, line()))
    near = np.abs(at.east - 405.0) <= 100.0
    assert (at.breach_p == np.where(near, 0.0, 1.0)).all()
    assert (at.lane_p == np.where(np.abs(at.east - 405.0) < 5.0, 0.0, 1.0)).all()
    assert np.isnan(at.breach_warning[~near]).all()
    for number in np.flatnonzero(near & (at.lane_p == 1.0)):
        # Its moves, up to three rows long, go over the ford's cell alone.
        route = at.routes[number]
        last, first = route[route[:, 0] > 30][-1], route[route[:, 0] < 30][0]
        assert (route[route[:, 0] == 30, 1] == 40).all()
        assert np.abs(np.array([last[1], first[1]]) - 40).max() <= 1
    assert all(len(at.routes[number]) == 0 for number in np.flatnonzero(~near))


def test_a_lake_around_a_station_closes_it_and_leaves_the_next_one_open():
    slowness = np.ones((ROWS, COLS))
    slowness[22:28, 35:46] = np.inf
    terrain = plane(slowness=slowness)
    at = crossed(terrain, 0.0, over(terrain, line()))
    inside = (at.east > 350.0) & (at.east < 460.0)
    assert (at.breach_p == np.where(inside, 1.0, 0.0)).all()
    assert (at.lane_p == np.where(inside, 1.0, 0.0)).all()


@given(
    hnp.arrays(np.float64, (14, 17), elements=st.floats(0.0, 30.0)),
    hnp.arrays(np.float64, (14, 17), elements=st.sampled_from([0.1, 1.0, 3.0, math.inf])),
    st.booleans(),
)
def test_on_slopes_the_bounded_ways_cost_what_the_unbounded_search_says(heights, weight, reverse):
    grid = Grid(weight, CELL, heights)
    starts = np.full(weight.shape, np.inf)
    starts[0] = 0.0
    toward = search(grid, starts, reverse=reverse)
    cells = np.argwhere(np.isfinite(toward.cost))[::23]
    ways = detours(grid, toward, cells, np.zeros(weight.shape, dtype=np.float32), np.zeros(len(cells)), 1.0)
    crossed_cells, metres, times, ends = pieces(grid, ways)
    paid = np.concatenate(([0.0], np.cumsum(metres * times * weight[tuple(crossed_cells.T)])))
    found = np.diff(paid[np.concatenate(([0], ends))])
    assert found == pytest.approx(toward.cost[tuple(cells.T)], rel=1e-9, abs=1e-9)


def test_no_way_across_at_all_is_no_gap_and_no_route():
    slowness = np.ones((ROWS, COLS))
    slowness[30, :] = np.inf
    terrain, frontage = plane(slowness=slowness), line()
    belt = belt_of(frontage, terrain)
    field = watched(terrain, 0.0)
    assert (crossed(terrain, 0.0, over(terrain, frontage)).breach_p == 1.0).all()
    assert routes(terrain, frontage, field, belt, over(terrain, frontage)) == (None, None)


@given(
    hnp.arrays(np.float64, (ROWS // 4, COLS // 4), elements=st.floats(0.0, 0.02)),
    hnp.arrays(np.int8, (ROWS // 4, COLS // 4), elements=st.integers(0, 3)),
    st.booleans(),
)
def test_lane_gaps_are_breach_gaps_whatever_the_field_and_the_water(rates, kinds, slope):
    def cells(values):
        return np.kron(values, np.ones((4, 4)))

    wet = np.array([1.0, 2.5, 0.7, np.inf])[cells(kinds).astype(int)]
    terrain = plane(0.1, wet)
    at = crossed(terrain, cells(rates), over(terrain, line(), slope=slope))
    assert (at.breach_p <= at.lane_p).all()
    # Where a lane meets water nobody takes it, and where the station itself lies in it nobody crosses.
    share = (np.arange(60) + 0.5) / 60.0
    along = at.lane[:, None, 0] + share[None, :, None] * (at.lane[:, None, 1] - at.lane[:, None, 0])
    met = np.isinf(wet[terrain.cells(along[..., 0], along[..., 1])]).any(axis=1)
    assert (at.lane_p[met] == 1.0).all()
    wet_station = np.isinf(wet[terrain.cells(at.east, at.north)])
    assert (at.breach_p[wet_station] == 1.0).all()
    # Water closes, and opens nothing.
    dry = crossed(plane(0.1), cells(rates), Going(1.5))
    only = dataclasses.replace(terrain, slowness=np.where(np.isinf(wet), np.inf, 1.0))
    closed = crossed(only, cells(rates), over(only, line()))
    assert (closed.lane_p >= dry.lane_p - 1e-12).all()


# --- polygons on cells


def strip(points, width):
    """A polygon along a straight line, `width` wide, in site metres."""
    (x0, y0), (x1, y1) = points
    length = math.dist(*points)
    aside = np.array([-(y1 - y0), x1 - x0]) / length * width / 2.0
    start, end = np.array(points[0]), np.array(points[1])
    return [np.array([start - aside, end - aside, end + aside, start + aside, start - aside])]


def passable(closed, first, last):
    """Whether a walker with the search's moves gets from row `first` to row `last`."""
    weight = np.where(closed, np.inf, 1.0)
    starts = np.full(closed.shape, np.inf)
    starts[first] = 0.0
    return bool(np.isfinite(search(Grid(weight, CELL), starts).cost[last]).any())


@given(
    st.floats(-80.0, 80.0), st.floats(-5.0, 5.0), st.sampled_from([0.5, 2.0, 7.0, 10.0, 12.0, 25.0])
)  # azimuth, shift [m], width [m]
def test_nobody_slips_through_a_connected_river_however_it_runs(angle, shift, width):
    slope = math.tan(math.radians(angle / 2.0))
    middle, half = np.array([400.0 + shift, 300.0 + shift / 3.0]), 600.0
    run = [tuple(middle - half * np.array([1.0, slope])), tuple(middle + half * np.array([1.0, slope]))]
    if abs(slope) > 0.6:
        return  # it would leave through the north or the south
    closed = covered(plane(), [strip(run, width)])
    assert not passable(closed, 0, -1)
    # It is not widened: cells whose middles are a cell or more away from it are open.
    east, north = np.meshgrid(*plane().centres)
    away = np.abs((north - middle[1]) - slope * (east - middle[0])) / math.hypot(1.0, slope) - width / 2.0
    assert not closed[away > 0.75 * CELL * math.sqrt(2.0)].any()
    assert closed[away < -1e-6].all()


@given(st.floats(100.0, 700.0), st.floats(0.0, 40.0))
def test_a_ford_of_two_cells_stays_open(east, angle):
    slope = math.tan(math.radians(angle))
    length = 400.0
    direction = np.array([1.0, slope]) / math.hypot(1.0, slope)
    middle = np.array([east, 300.0])
    ends = [(middle + s * 2.0 * CELL * direction, middle + s * length * 3.0 * direction) for s in (-1.0, 1.0)]
    closed = covered(plane(), [strip([tuple(a), tuple(b)], 12.0) for a, b in ends])
    assert passable(closed, 0, -1)


def test_a_polygon_holds_the_cells_whose_middles_lie_in_it_and_its_holes_are_open():
    outer = np.array([[100.0, 100.0], [300.0, 100.0], [300.0, 300.0], [100.0, 300.0], [100.0, 100.0]])
    hole = np.array([[160.0, 160.0], [160.0, 240.0], [240.0, 240.0], [240.0, 160.0], [160.0, 160.0]])
    closed = covered(plane(), [[outer, hole]])
    want = np.zeros((ROWS, COLS), dtype=bool)
    want[10:30, 10:30] = True
    want[16:24, 16:24] = False
    assert (closed == want).all()


def test_rows_taken_some_at_a_time_are_those_taken_together(monkeypatch):
    rivers = [strip([(-50.0, 55.0), (850.0, 555.0)], 3.0), strip([(300.0, -10.0), (420.0, 700.0)], 11.0)]
    together = covered(plane(), rivers)
    monkeypatch.setattr("dronewall.engine.going._ROWS", 7)
    apart = covered(plane(), rivers)
    assert not passable(together, 0, -1)
    assert not passable(apart, 0, -1)
    assert (apart != together).mean() < 0.01


# --- files

POINTS = np.array([[36.50, -84.30], [36.51, -84.29]])


@pytest.fixture
def frame():
    site = site_of(POINTS)
    points = np.stack(site.to_site(*POINTS.T), axis=-1)
    frontage = Frontage(points, 300.0, 100.0, True)
    low = np.floor(points.min(axis=0) - 500.0)
    shape = tuple(int(side) for side in np.ceil((points.max(axis=0) + 500.0 - low) / CELL)[::-1])
    return site, frontage, dataclasses.replace(Terrain.from_array(np.zeros(shape), CELL, *low), digest="ground")


def raster(path, frame, values, crs="EPSG:32616", cut=0, **options):
    """Values (north, east) over the frame's terrain, without its `cut` easternmost columns."""
    site, _, terrain = frame
    values = np.broadcast_to(np.asarray(values, dtype=np.float32), terrain.shape)[::-1]
    values = values[:, : values.shape[1] - cut]
    north = site.origin_north + terrain.south + terrain.shape[0] * CELL
    transform = from_origin(site.origin_east + terrain.west, north, CELL, CELL)
    layout = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", crs=crs, transform=transform, **layout, **options) as dataset:
        dataset.write(values, 1)
    return path


def polygon(frame, west, east, south, north):
    """A ring of longitude and latitude around a box in metres from the terrain's corner."""
    site, _, terrain = frame
    x, y = np.array([west, east, east, west, west]) + terrain.west, np.array([south, south, north, north, south])
    latitude, longitude = site.to_geodetic(x, y + terrain.south)
    return {"type": "Polygon", "coordinates": [np.stack((longitude, latitude), axis=-1).tolist()]}


def written(path, document):
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_cost_raster_lands_on_its_cells_and_is_one_where_it_says_nothing(frame, tmp_path):
    site, frontage, terrain = frame
    values = np.ones(terrain.shape)
    values[40:, :] = 3.0
    values[:, 60:] = -9999.0
    found = with_going(terrain, site, frontage, cost=raster(tmp_path / "cost.tif", frame, values, nodata=-9999.0))
    assert (found.slowness == np.where(values == -9999.0, 1.0, values)).all()
    (note,) = found.notes
    assert "cost.tif: says nothing about" in note
    assert "of the belt; it counts as open (1)" in note
    assert found.digest != terrain.digest


def test_a_cost_raster_that_ends_on_the_belt_says_so(frame, tmp_path):
    site, frontage, terrain = frame
    found = with_going(terrain, site, frontage, cost=raster(tmp_path / "cost.tif", frame, 2.0, cut=90))
    assert (found.slowness[:, -80:] == 1.0).all()
    assert (found.slowness[:, :80] == 2.0).all()
    (note,) = found.notes
    assert "does not cover the whole belt between km" in note


def test_a_cost_raster_in_degrees_is_brought_to_the_grid(frame, tmp_path):
    site, frontage, terrain = frame
    step = 1e-4
    with rasterio.open(
        tmp_path / "cost.tif", "w", driver="GTiff", height=600, width=600, count=1, dtype="float32", crs="EPSG:4326",
        transform=from_origin(-84.33, 36.54, step, step),
    ) as dataset:  # fmt: skip
        # Slow east of 84.295 degrees west.
        longitude = -84.33 + (np.arange(600) + 0.5) * step
        dataset.write(np.broadcast_to(np.where(longitude > -84.295, 4.0, 1.0), (600, 600)).astype("float32"), 1)
    found = with_going(terrain, site, frontage, cost=tmp_path / "cost.tif")
    east, north = np.meshgrid(*terrain.centres)
    _, longitude = site.to_geodetic(east, north)
    sure = np.abs(longitude + 84.295) > 2.0 * step
    assert (found.slowness[sure] == np.where(longitude > -84.295, 4.0, 1.0)[sure]).all()


@pytest.mark.parametrize("value", [0.0, -1.0, 2000.0, math.inf])
def test_costs_that_cannot_be_meant_are_refused_with_their_place(frame, tmp_path, value):
    site, frontage, terrain = frame
    values = np.ones(terrain.shape)
    values[30:32, 30] = value
    latitude, longitude = site.to_geodetic(terrain.centres[0][30], terrain.centres[1][30])
    with pytest.raises(TerrainError, match=f"says {value:g} at latitude {latitude:.4f}, longitude {longitude:.4f}"):
        with_going(terrain, site, frontage, cost=raster(tmp_path / "cost.tif", frame, values))


def test_polygons_from_a_file_close_the_cells_they_hold(frame, tmp_path):
    site, frontage, terrain = frame
    box = polygon(frame, 200.0, 400.0, 100.0, 300.0)
    other = polygon(frame, 600.0, 700.0, 600.0, 700.0)
    several = {"type": "MultiPolygon", "coordinates": [box["coordinates"], other["coordinates"]]}
    features = [
        {"type": "Feature", "properties": None, "geometry": None},
        {"type": "Feature", "properties": {}, "geometry": box},
        {"type": "Feature", "properties": {}, "geometry": other},
    ]
    want = np.zeros(terrain.shape, dtype=bool)
    want[10:30, 20:40] = want[60:70, 60:70] = True
    for document in (
        several,
        {"type": "Feature", "properties": {}, "geometry": several},
        {"type": "FeatureCollection", "features": features},
    ):
        path = written(tmp_path / "water.geojson", document)
        found = with_going(terrain, site, frontage, impassable=path)
        closed = np.isinf(found.slowness)
        # Straight on earth is not straight in the grid: an edge may run up to a millimetre beside the cells' own.
        assert (closed[want]).all()
        assert closed.sum() == want.sum()
    (note,) = found.notes
    assert "nobody on foot goes on 2% of the belt" in note


def test_polygons_far_away_are_noted_and_cost_nothing(frame, tmp_path):
    site, frontage, terrain = frame
    away = [[[10.0, 50.0], [11.0, 50.0], [11.0, 51.0], [10.0, 50.0]]]
    path = written(tmp_path / "water.geojson", {"type": "Polygon", "coordinates": away})
    found = with_going(terrain, site, frontage, impassable=path)
    assert not np.isinf(found.slowness).any()
    assert found.notes == (f"{path}: none of its 1 polygons lies on the belt",)


def test_the_digest_follows_the_files(frame, tmp_path):
    site, frontage, terrain = frame
    one = raster(tmp_path / "one.tif", frame, 1.0)
    two = raster(tmp_path / "two.tif", frame, 2.0)
    boxes = [
        written(tmp_path / f"{n}.geojson", polygon(frame, 200.0, 300.0 + 10.0 * n, 100.0, 300.0)) for n in range(2)
    ]
    choices = [(None, None), (one, None), (two, None), (None, boxes[0]), (None, boxes[1]), (one, boxes[0])]
    assert len({with_going(terrain, site, frontage, *chosen).digest for chosen in choices}) == len(choices)


RING = [[-84.30, 36.50], [-84.29, 36.50], [-84.29, 36.51], [-84.30, 36.50]]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "holds a list; expected GeoJSON"),
        ({"type": "Topology"}, "a Topology; expected a Polygon or a MultiPolygon"),
        ({"type": "LineString", "coordinates": RING}, "a LineString; expected a Polygon or a MultiPolygon"),
        ({"type": "FeatureCollection", "features": {}}, "features: an object without a type; expected a list"),
        (
            {
                "type": "FeatureCollection",
                "features": [
                    {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [RING]}},
                    {"type": "Feature", "geometry": {"type": "Point", "coordinates": RING[0]}},
                ],
            },
            r"features\[1\].geometry: a Point; expected a Polygon",
        ),
        ({"type": "Polygon", "coordinates": [RING[:3]]}, r"coordinates\[0\]: not a ring"),
        ({"type": "Polygon", "coordinates": [[*RING[:3], [-84.3, 36.6]]]}, "ends elsewhere than it begins"),
        ({"type": "Polygon", "coordinates": [[["a", "b"]] * 4]}, "not a ring"),
        ({"type": "MultiPolygon", "coordinates": [[RING], 3]}, r"coordinates\[1\]: a number; expected a list of rings"),
        ({"type": "Polygon", "coordinates": [[[36, -84], [36, -120], [37, -84], [36, -84]]]}, "swapped"),
        ({"type": "Polygon", "coordinates": [[[7e5, 4e6], [8e5, 4e6], [8e5, 5e6], [7e5, 4e6]]]}, "in degrees, WGS 84"),
        ({"type": "Polygon", "coordinates": [RING], "crs": {"properties": {"name": "EPSG:32616"}}}, "its crs is"),
    ],
)  # fmt: skip
def test_what_is_no_polygon_is_refused_with_its_place(tmp_path, document, said):
    path = written(tmp_path / "water.geojson", document)
    with pytest.raises(TerrainError, match=said) as error:
        polygons_of(path)
    assert str(error.value).startswith(str(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TerrainError, match=r"water\.geojson: cannot be read"):
        polygons_of(tmp_path / "water.geojson")


# --- from the site file to the gaps

SITE = """
[site]
name = "goingwall"
[terrain]
ground = "dronewall:jacksboro"
cell_m = 20.0
[frontage]
points_deg = [[36.55, -84.30], [36.56, -84.29]]
threat = "left"
GOING
[[targets]]
name = "walker"
height_agl_m = [0.0, 1.7]
width_m = 0.5
speed_mps = 1.4
[[targets]]
name = "car"
height_agl_m = [0.0, 1.5]
width_m = 1.8
speed_mps = 10.0
on_foot = false
[[targets]]
name = "low-drone"
height_agl_m = [59.8, 60.2]
width_m = 0.4
speed_mps = 15.0
[sensor_types.camera]
driver = "optics"
shape = "pyramid"
hfov_deg = 60.0
vfov_deg = 40.0
range_max_m = 900.0
model = { kind = "camera", pixels = 1920 }
[[posts]]
name = "P1"
latitude_deg = 36.555
longitude_deg = -84.295
[[nodes]]
post = "P1"
mast_m = 8.0
sensors = [{ name = "cam", type = "camera", azimuth_deg = 320.0 }]
"""


def site(folder, going):
    (folder / "site.toml").write_text(SITE.replace("GOING", going))
    return read(folder / "site.toml")


def test_only_who_goes_on_foot_minds_slope_and_water(tmp_path):
    water = [[[-84.31, 36.553], [-84.28, 36.553], [-84.28, 36.557], [-84.31, 36.557], [-84.31, 36.553]]]
    written(tmp_path / "water.geojson", {"type": "Polygon", "coordinates": water})
    plain = ground_of(site(tmp_path, ""))
    walker, car, drone = plain.scenario.targets
    assert wall.going_of(plain, walker) == Going(1.4)
    scenario = site(tmp_path, '[going]\nslope = "tobler"\nimpassable = "water.geojson"')
    assert scenario.going.impassable == str(tmp_path / "water.geojson")
    check(scenario)
    ground = ground_of(scenario)
    assert wall.going_of(ground, car) == Going(10.0)
    assert wall.going_of(ground, drone) == Going(15.0)
    going = wall.going_of(ground, walker)
    assert going.slowness.shape == going.heights.shape == ground.belt.inside.shape
    # The water lies across the middle of the belt from end to end: 36.553 to 36.557 of 36.55 to 36.56.
    dry, wet = (wall.cover(each, planned(each)) for each in (plain, ground))
    assert dry.digest != wet.digest
    for before, after in zip(dry.targets, wet.targets, strict=True):
        assert (before.stations.line_p == after.stations.line_p).all()
        if before.target.name == "walker":
            shut = np.isinf(ground.terrain.slowness[ground.terrain.cells(after.stations.east, after.stations.north)])
            assert 0.2 < shut.mean() < 0.8
            assert (after.stations.lane_p[shut] == 1.0).all()
            assert (after.stations.breach_p[shut] == 1.0).all()
        else:
            assert (before.stations.lane_p == after.stations.lane_p).all()
            assert (before.stations.breach_p == after.stations.breach_p).all()


def test_going_that_holds_for_nobody_is_noted(tmp_path):
    assert site(tmp_path, '[going]\nslope = "tobler"').notes == ()
    text = SITE.replace("GOING", '[going]\nslope = "tobler"').replace("[0.0, 1.7]", "[0.0, 1.7]\non_foot = false")
    (tmp_path / "site.toml").write_text(text)
    (note,) = read(tmp_path / "site.toml").notes
    assert str(note).endswith(
        "going: no target goes on foot: it holds for none; expected a target whose bottom is at 0 m"
    )


def test_a_layer_that_cannot_be_read_stops_the_check_too(tmp_path):
    written(tmp_path / "water.geojson", {"type": "Point", "coordinates": [-84.3, 36.5]})
    scenario = site(tmp_path, '[going]\nimpassable = "water.geojson"')
    for asked in (check, ground_of):
        with pytest.raises(TerrainError, match=r"water\.geojson: a Point; expected a Polygon"):
            asked(scenario)
