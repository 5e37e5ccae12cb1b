import dataclasses
import json
import re

import numpy as np
import pytest

from cycle_fixture import LENGTH, cycle, wall
from dronewall.interop.geojson_cycle import cycle_features, write_cycle_geojson
from dronewall.report import files
from dronewall.report.cycle_records import cycle_records

ALWAYS = {
    "target": "walker",
    "level": "expected",
    "threshold": 0.5,
    "speed_mps": 1.4,
    "belt_front_m": 300.0,
    "belt_behind_m": 150.0,
    "posting_m": 90.0,
    "cycle_s": LENGTH,
    "version": "1.2.3",
}


@pytest.fixture(scope="module")
def told():
    return cycle_records(cycle(wall(assured=True)))


def test_records_are_plain_json(told):
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize("kind", ["targets", "openings", "ways", "losses"])
def test_every_record_carries_what_its_figures_depend_on(told, kind):
    first = told[kind][0]
    assert {key: first[key] for key in ALWAYS} == ALWAYS
    assert first["input_hash"] == "0123456789abcdef" * 4
    assert {(record["target"], record["level"]) for record in told[kind]} == {
        (target, level) for target in ("walker", "low-drone") for level in ("expected", "assured")
    }


def test_names_of_figures_end_in_their_units(told):
    plain = r"(site|source|level|k|count_p|line_p|lane_p|crs|version|target|drone|sortie|airframe|number|always|steps)"
    units = r".*(_m|_s|_mps|_deg|_share|_probability|_count|_needed|_hash|_utc|_ms|_per_sensor|_schedule|_without)"
    others = r"(drones|airframes|batteries|threshold|going_\w+|probability\w*)"
    for kind in ("targets", "openings", "ways", "losses", "flights", "sorties", "stations"):
        for name in told[kind][0]:
            assert re.fullmatch(f"{plain}|{units}|{others}", name), name


def test_a_way_has_a_time_for_each_of_its_points(told):
    for way in told["ways"]:
        assert len(way["time_s"]) == len(way["latitude_deg"]) == len(way["longitude_deg"])
        assert way["time_s"] == sorted(way["time_s"])
        assert (way["time_s"][0], way["time_s"][-1]) == (way["sets_out_s"], way["arrives_s"])
    assert [way["knows_schedule"] for way in told["ways"]] == [True, False] * 4


def test_drones_that_nobody_hears_are_named(told):
    assert (told["silent_drones"], told["notes"]) == ([], [])
    found = dataclasses.replace(cycle(wall()), source="live", silent=("D2",))
    lost = cycle_records(found)
    assert (lost["silent_drones"], lost["dronewall"]["silent_drones"], len(lost["notes"])) == (["D2"], "D2", 2)
    assert cycle_features(found)["dronewall"]["silent_drones"] == "D2"


def test_each_station_has_the_times_at_which_it_is_watched(told):
    for of in told["stations"]:
        assert len(of["watched_from_to_s"]) == len(of["chainage_m"])
        for windows, share in zip(of["watched_from_to_s"], of["watched_share"], strict=True):
            assert sum(end - start for start, end in windows) == pytest.approx((share or 0.0) * LENGTH, abs=0.1)


def test_what_never_comes_is_null():
    found = cycle(wall())
    never = dataclasses.replace(found.targets[0].station_revisit, next_look=np.full(300, np.inf))
    told = cycle_records(
        dataclasses.replace(found, targets=(dataclasses.replace(found.targets[0], station_revisit=never),))
    )
    assert told["stations"][0]["next_look_s"] == [None] * 300
    assert {(record["drone"], record["back_after_s"]) for record in told["losses"]} == {("D1", 600.0), ("D3", None)}


def test_a_plan_without_a_cycle_says_its_horizon():
    told = cycle_records(cycle(wall(), periodic=False))
    assert (told["targets"][0]["cycle_s"], told["targets"][0]["horizon_s"]) == (None, LENGTH)


def test_geojson_has_the_ways_with_their_times_and_the_openings():
    found = cycle_features(cycle(wall()))
    kinds = [feature["properties"]["type"] for feature in found["features"]]
    assert kinds.count("timed-crossing") == 4
    assert kinds.count("opening") == sum(len(of.openings) for of in cycle(wall()).targets)
    west, south, east, north = found["bbox"]
    for feature in found["features"]:
        coordinates = np.array(feature["geometry"]["coordinates"])
        assert (coordinates >= (west, south)).all()
        assert (coordinates <= (east, north)).all()
        if feature["properties"]["type"] == "timed-crossing":
            assert len(feature["properties"]["time_s"]) == len(coordinates)


def test_geojson_is_written_over_its_own_and_over_nobody_elses(tmp_path):
    found, path = cycle(wall()), tmp_path / "cycle.geojson"
    write_cycle_geojson(found, path)
    write_cycle_geojson(found, path)
    assert json.loads(path.read_text())["dronewall"]["input_hash"] == found.digest
    path.write_text("{}")
    with pytest.raises(files.ForeignError, match="was not made by dronewall"):
        write_cycle_geojson(found, path)
