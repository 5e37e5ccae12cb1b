import dataclasses
import json
import math

import pytest

from coverage_fixture import DIGEST, coverage
from dronewall.report import records


def test_assured_figures_carry_the_confidence_of_each_sensor():
    found = records.as_json(coverage(assured=True))
    assert {(gap["level"], gap["confidence_per_sensor"]) for gap in found["gaps"]} == {
        ("expected", None),
        ("assured", 0.9),
    }
    assert [record["level"] for record in found["summary"]["targets"]] == ["expected"] * 2 + ["assured"] * 2
    assert found["dronewall"]["level"] == "expected, assured"


def test_every_figure_in_json_carries_what_it_depends_on_and_nan_is_null():
    wall = coverage()
    broken = dataclasses.replace(wall.targets[0].gaps[0], probability_mean=math.nan)
    target = dataclasses.replace(wall.targets[0], gaps=(broken, *wall.targets[0].gaps[1:]))
    wall = dataclasses.replace(
        wall,
        targets=(target, wall.targets[1]),
        ground=dataclasses.replace(wall.ground, terrain=dataclasses.replace(wall.terrain, le90=math.nan)),
    )
    found = json.loads(json.dumps(records.as_json(wall), allow_nan=False))
    assert next(gap for gap in found["gaps"] if gap["id"] == broken.id)["probability_mean"] is None
    for record in found["gaps"] + found["summary"]["targets"]:
        assert record["target"] in ("walker", "low-drone")
        assert record["level"] == "expected"
        assert record["line_p"] == record["lane_p"] == 0.5
        assert record["speed_mps"] in (1.4, 15.0)
        assert (record["belt_front_m"], record["belt_behind_m"]) == (300.0, 150.0)
        assert record["posting_m"] == 90.0
        assert record["le90_m"] is None
        assert record["input_hash"] == DIGEST
        assert record["version"] == "1.2.3"
    gap = next(gap for gap in found["gaps"] if gap["id"] == "walker-expected-line-01200")
    assert (gap["chainage_from_m"], gap["chainage_to_m"], gap["length_m"], gap["threshold"]) == (
        1200.0,
        1400.0,
        200.0,
        0.5,
    )
    assert found["summary"]["targets"][0]["line_gap_total_m"] == 350.0
    assert found["summary"]["targets"][0]["covered_share"] == pytest.approx(1 - 350 / 3000, abs=1e-4)
    assert found["summary"]["sensors_troubled"] == [{"sensor": "P3/cam", "state": "missing", "note": "never reported"}]


def test_a_sensors_azimuth_is_told_from_true_north():
    # at 84 degrees west in UTM 16, whose meridian is 87 west: convergence = atan(tan 3 deg * sin latitude),
    # about 1.79 at 36.6
    record = records.sensor_record(coverage(), coverage().sensors[0])
    longitude, latitude = (math.radians(record[key]) for key in ("longitude_deg", "latitude_deg"))
    convergence = math.degrees(math.atan(math.tan(longitude + math.radians(87.0)) * math.sin(latitude)))
    assert record["azimuth_deg"] == pytest.approx(60.0 + convergence, abs=0.01)


def test_a_breach_gap_says_where_it_is_weakest_and_how_late_it_is_noticed():
    gap = next(gap for gap in records.as_json(coverage())["gaps"] if gap["id"] == "walker-expected-breach-01140")
    assert (gap["number"], gap["weakest_chainage_m"], gap["probability_least"]) == (2, 1305.0, 0.02)
    assert (gap["before_probability"], gap["warning_s"]) == (0.01, 95.0)
    line = next(gap for gap in records.as_json(coverage())["gaps"] if gap["id"] == "walker-expected-line-01200")
    assert (line["number"], line["before_probability"], line["warning_s"]) == (2, None, None)


def test_the_routes_of_the_whole_line_are_told_once_each():
    found = records.as_json(coverage())["routes"]
    # The low-drone's two are the same.
    assert [(route["target"], route["route"], route["chainage_m"]) for route in found] == [
        ("walker", "weakest", 1305.0),
        ("walker", "bottleneck", 1450.0),
        ("low-drone", "weakest", 55.0),
    ]
    route = found[0]
    assert (route["length_m"], route["duration_s"], route["probability"]) == (450.0, round(450.0 / 1.4, 1), 0.02)
    assert (route["before_probability"], route["warning_s"], route["unknown"]) == (0.01, 95.0, False)
    assert len(route["latitude_deg"]) == len(route["longitude_deg"]) == 3
    assert route["latitude_deg"][0] > route["latitude_deg"][-1]  # the threat comes from the north here
