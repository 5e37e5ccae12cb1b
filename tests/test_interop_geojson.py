import json

import numpy as np
import pyproj
import pytest

from coverage_fixture import DIGEST, LENGTH, coverage
from dronewall.interop import geojson


@pytest.fixture(scope="module")
def collection():
    return json.loads(json.dumps(geojson.features(coverage()), allow_nan=False))


def of_type(collection, kind):
    return [feature for feature in collection["features"] if feature["properties"]["type"] == kind]


def site_metres(coordinates):
    """East and north of longitude, latitude pairs, by PROJ and not by our own code."""
    east, north = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32616", always_xy=True).transform(
        *np.array(coordinates).T
    )
    return np.stack([np.subtract(east, 740_000.0), np.subtract(north, 4_040_000.0)], axis=-1)


def test_a_gap_lies_on_the_frontage_between_its_chainages(collection):
    gap = next(f for f in of_type(collection, "gap") if f["properties"]["id"] == "walker-expected-line-01200")
    assert gap["geometry"]["type"] == "LineString"
    assert np.allclose(site_metres(gap["geometry"]["coordinates"]), [[1200.0, 0.0], [1400.0, 0.0]], atol=0.02)
    properties = gap["properties"]
    assert (properties["chainage_from_m"], properties["chainage_to_m"], properties["length_m"]) == (
        1200.0,
        1400.0,
        200.0,
    )
    assert (properties["kind"], properties["target"], properties["threshold"]) == ("line", "walker", 0.5)
    assert properties["nearest_posts"] == ["P2", "P3"]
    assert properties["input_hash"] == DIGEST
    second = next(f for f in of_type(collection, "gap") if f["properties"]["id"] == "walker-expected-line-02600")
    assert np.allclose(site_metres(second["geometry"]["coordinates"]), [[2000.0, 600.0], [2000.0, 650.0]], atol=0.02)


def test_coordinates_are_longitude_latitude_within_the_bbox(collection):
    west, south, east, north = collection["bbox"]
    # 84 degrees west and 36 north: a swap of the axes would show
    assert -85.0 < west < east < -84.0 + 0.5
    assert 36.0 < south < north < 37.0
    for feature in collection["features"]:
        if feature["geometry"] is None:
            continue
        pairs = np.array(feature["geometry"]["coordinates"]).reshape(-1, 2)
        assert (pairs >= [west, south]).all()
        assert (pairs <= [east, north]).all()
        assert (np.round(pairs, 7) == pairs).all()


def test_rings_are_closed_and_counter_clockwise(collection):
    rings = [
        f["geometry"]["coordinates"]
        for f in collection["features"]
        if f["geometry"] and f["geometry"]["type"] == "Polygon"
    ]
    assert len(rings) == 4  # the belt and three wedges
    for (ring,) in rings:
        assert ring[0] == ring[-1]
        assert len(ring) >= 4
        x, y = np.array(ring).T
        assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0


def test_every_lane_gap_has_its_worst_lane(collection):
    lanes = of_type(collection, "lane")
    assert {lane["properties"]["gap"] for lane in lanes} == {
        "walker-expected-lane-00000",
        "walker-expected-lane-01150",
        "low-drone-expected-lane-00000",
    }
    lane = next(lane for lane in lanes if lane["properties"]["gap"] == "walker-expected-lane-01150")
    far, near = site_metres(lane["geometry"]["coordinates"])
    # the threat is north of the first leg: from 300 m ahead to 150 m behind
    assert far == pytest.approx([lane["properties"]["chainage_m"], 300.0], abs=0.02)
    assert near == pytest.approx([lane["properties"]["chainage_m"], -150.0], abs=0.02)


def test_every_breach_gap_has_its_best_crossing_from_edge_to_edge(collection):
    crossings = {f["properties"]["gap"]: f for f in of_type(collection, "crossing")}
    assert set(crossings) == {
        "walker-expected-breach-00000",
        "walker-expected-breach-01140",
        "low-drone-expected-breach-00000",
    }
    way = crossings["walker-expected-breach-01140"]
    places = site_metres(way["geometry"]["coordinates"])
    bends = [(1305, 300), (1305, 295), (1305, 125), (1295, 105), (1305, 85), (1305, -145), (1305, -150)]
    assert np.allclose(places, bends, atol=0.02)
    properties = way["properties"]
    assert (properties["chainage_m"], properties["breach_probability"]) == (1305.0, 0.02)
    assert (properties["before_probability"], properties["warning_s"], properties["number"]) == (0.01, 95.0, 2)
    assert properties["length_m"] == pytest.approx(450.0 - 40.0 + 2.0 * np.hypot(10.0, 20.0), abs=0.01)


def test_a_crossing_that_is_a_lane_is_that_lane(collection):
    way = next(
        f for f in of_type(collection, "crossing") if f["properties"]["gap"] == "low-drone-expected-breach-00000"
    )
    assert np.allclose(site_metres(way["geometry"]["coordinates"]), [[5.0, 300.0], [5.0, -150.0]], atol=0.02)


def test_the_routes_of_the_whole_line_are_there_with_what_becomes_of_those_who_take_them(collection):
    routes = {(f["properties"]["target"], f["properties"]["route"]): f for f in of_type(collection, "route")}
    assert set(routes) == {("walker", "weakest"), ("walker", "bottleneck"), ("low-drone", "weakest")}
    weakest = routes["walker", "weakest"]
    assert np.allclose(
        site_metres(weakest["geometry"]["coordinates"]), [(1305, 300), (1305, 5), (1305, -150)], atol=0.02
    )
    assert (weakest["properties"]["probability"], weakest["properties"]["warning_s"]) == (0.02, 95.0)
    assert weakest["properties"]["duration_s"] == round(450.0 / 1.4, 1)
    assert weakest["properties"]["input_hash"] == DIGEST


def test_stations_carry_their_probabilities(collection):
    stations = [s for s in of_type(collection, "station") if s["properties"]["target"] == "walker"]
    assert len(stations) == LENGTH / 10
    inside = [s["properties"] for s in stations if 1200 < s["properties"]["chainage_m"] < 1400]
    assert {p["line_probability"] for p in inside} == {0.1}
    assert sum(s["properties"]["unknown"] for s in stations) == 10
    weakest = next(p for p in inside if p["chainage_m"] == 1305.0)
    assert (weakest["lane_probability"], weakest["lane_before_probability"]) == (0.1, 0.05)
    assert weakest["lane_warning_s"] == 60.0
    assert (weakest["breach_probability"], weakest["breach_before_probability"]) == (0.02, 0.01)
    assert weakest["breach_warning_s"] == 95.0


def test_a_long_wall_leaves_its_stations_out(monkeypatch):
    count = 2 * LENGTH / 10  # of two targets
    monkeypatch.setattr(geojson, "_MOST_STATIONS", count)
    assert len(of_type(geojson.features(coverage()), "station")) == count
    monkeypatch.setattr(geojson, "_MOST_STATIONS", count - 1)
    assert not of_type(geojson.features(coverage()), "station")


def test_sensors_without_a_place_are_still_listed(collection):
    sensors = {s["properties"]["sensor"]: s for s in of_type(collection, "sensor")}
    assert sensors["P3/cam"]["geometry"] is None
    assert sensors["P3/cam"]["properties"]["state"] == "missing"
    wedge = site_metres(sensors["P1/cam"]["geometry"]["coordinates"][0])
    assert np.hypot(*(wedge - [200.0, -20.0]).T).max() == pytest.approx(600.0, abs=0.1)
    assert sensors["P1/cam"]["properties"]["range_max_m"] == 600.0


def test_the_file_is_the_collection(tmp_path, collection):
    geojson.write_geojson(coverage(), tmp_path / "gaps.geojson")
    assert json.loads((tmp_path / "gaps.geojson").read_text()) == collection
