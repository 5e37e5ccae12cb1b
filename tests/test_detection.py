import math

import numpy as np
import pytest

from dronewall.engine.detection import DetectionError, Environment, Target, rate
from dronewall.engine.frustum import Frustum
from dronewall.engine.models import resolved
from dronewall.engine.terrain import Terrain

CELL = 10.0
WALKER = Target("walker", 0.0, 1.7, 0.5, 1.4)
CAMERA = {"kind": "camera", "pixels": 1920, "n50": 1.0, "glimpse_s": 2.0}


def camera(
    model=CAMERA, azimuth=90.0, elevation=0.0, far=2000.0, near=0.0, shape="pyramid", hfov=40.0, vfov=30.0, amsl=2.0
):
    return Frustum(
        "P1/cam",
        shape,
        5.0,
        105.0,
        amsl,
        amsl,
        *(math.radians(a) for a in (azimuth, elevation, 0.0, hfov, vfov)),
        near,
        far,
        model,
    )


def plain(rows=21, cols=200):
    return Terrain.from_array(np.zeros((rows, cols)), CELL)


def test_a_cameras_rate_follows_from_the_pixels_on_the_target():
    # A pinhole: 1.7 m x 0.5 m at 500 m: N = sqrt(.85) (960 / tan 20 deg) / 1000 = 2.4317 cycles.
    window = rate(plain(), camera(), WALKER)
    row, col = 10 - window.row, 50 - window.col
    slant = math.hypot(500.0, 2.0 - 0.85)
    cycles = math.sqrt(0.85) * 960 / math.tan(math.radians(20.0)) / (2.0 * slant)
    power = cycles ** (2.7 + 0.7 * cycles)
    share = power / (1.0 + power)
    assert cycles == pytest.approx(2.4317, abs=1e-3)
    assert window.rate[row, col] == pytest.approx(-math.log(1.0 - share) / 2.0, rel=1e-6)
    assert window.ceiling[row, col] == pytest.approx(share)


def test_haze_multiplies_the_probability_before_the_logarithm():
    clear, hazy = (rate(plain(), camera(), WALKER, Environment(visibility=v)) for v in (math.inf, 1000.0))
    row, col = 10 - clear.row, 50 - clear.col
    share = -math.expm1(-clear.rate[row, col] * 2.0) * math.exp(-3.912 * math.hypot(500.0, 1.15) / 1000.0)
    assert hazy.rate[row, col] == pytest.approx(-math.log1p(-share) / 2.0, rel=1e-6)


def test_night_and_standing_still_reach_the_models():
    night = Environment(night=True)
    assert not rate(plain(), camera(), WALKER, night).rate.any()
    lit = rate(plain(), camera({**CAMERA, "illuminated_m": 300.0}), WALKER, night).rate
    assert 0 < np.count_nonzero(lit) < np.count_nonzero(rate(plain(), camera(), WALKER).rate)
    pir = camera({"kind": "pir", "reference_m": 50.0, "zones": 16, "glimpse_s": 1.0})
    assert rate(plain(), pir, WALKER).rate.any()
    still = rate(plain(), pir, WALKER, still=True)
    assert not still.rate.any()
    assert not still.ceiling.any()


def test_only_what_sticks_out_of_cover_is_detected():
    # A 1 m bank at 100 m hides what is lower than a line from 2 m over 1 m: at 150 m, 0.5 m of the walker.
    ground = np.zeros((21, 200))
    ground[:, 10] = 1.0
    terrain = Terrain.from_array(ground, CELL)
    window = rate(terrain, camera(), WALKER)
    row, col = 10 - window.row, 15 - window.col
    exposed = 1.7 - 0.5
    slant = math.hypot(150.0, 2.0 - (1.7 + 0.5) / 2.0)
    cycles = math.sqrt(exposed * 0.5) * 960 / math.tan(math.radians(20.0)) / (2.0 * slant)
    assert window.ceiling[row, col] == pytest.approx(float(resolved(cycles, 1.0)), rel=1e-4)


def test_a_low_drone_is_seen_above_a_ridge_that_hides_the_walker():
    ground = np.zeros((21, 200))
    ground[:, 10] = 8.0
    terrain = Terrain.from_array(ground, CELL)
    up = camera(elevation=10.0, vfov=60.0)
    hidden = rate(terrain, up, WALKER)
    above = rate(terrain, up, Target("drone", 58.0, 62.0, 0.4, 15.0))
    assert hidden.rate[10 - hidden.row, 30 - hidden.col] == 0.0
    assert above.rate[10 - above.row, 30 - above.col] > 0.0


def test_a_table_is_read_by_straight_lines_and_ends_at_its_last_range():
    table = {"kind": "table", "range_m": [100.0, 200.0], "probability": [0.8, 0.4], "glimpse_s": 1.0}
    flat_target = Target("beacon", 1.9, 2.1, 0.5, 1.0)  # level with the eye: slant = distance
    window = rate(plain(), camera(table, far=1000.0), flat_target)
    at = {int(d): -math.expm1(-window.rate[10 - window.row, d // 10 - window.col]) for d in (50, 100, 150, 200, 210)}
    assert at == {
        50: pytest.approx(0.8),
        100: pytest.approx(0.8),
        150: pytest.approx(0.6),
        200: pytest.approx(0.4),
        210: 0.0,
    }


def test_nothing_is_detected_outside_frustum_and_gates():
    window = rate(plain(), camera(near=300.0, far=600.0), WALKER)
    seen = window.rate > 0.0
    rows, cols = np.nonzero(seen)
    distance = np.hypot((cols + window.col) * CELL, (rows + window.row - 10) * CELL)
    assert distance.min() >= 299.0
    assert distance.max() <= 600.0
    off = np.degrees(np.arctan2((rows + window.row - 10), (cols + window.col)))
    assert np.abs(off).max() <= 20.0 + 1e-9
    assert (window.ceiling[~seen] == 0.0).all()


def test_unknown_ground_counts_nothing_and_is_marked():
    ground = np.zeros((21, 200))
    ground[:, 30] = np.nan
    window = rate(Terrain.from_array(ground, CELL), camera(), WALKER)
    row = 10 - window.row
    assert window.rate[row, 20 - window.col] > 0.0
    assert window.rate[row, 40 - window.col] == 0.0
    assert window.unknown[row, 30 - window.col]
    assert window.unknown[row, 40 - window.col]
    assert not window.unknown[row, 20 - window.col]
    assert np.isfinite(window.rate).all()
    assert np.isfinite(window.ceiling).all()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"kind": "sonar"}, "sonar"),
        ({**CAMERA, "glimpse_s": 0.0}, "glimpse_s"),
        ({**CAMERA, "n50": 0.0}, "n50"),
        ({"kind": "table", "range_m": [2.0, 1.0], "probability": [0.5, 0.4], "glimpse_s": 1.0}, "rising"),
        ({"kind": "table", "range_m": [1.0, 2.0], "probability": [0.5], "glimpse_s": 1.0}, "as many"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused_by_name(model, reason):
    with pytest.raises(DetectionError, match=f"P1/cam.*{reason}"):
        rate(plain(), camera(model), WALKER)
