"""The sensors' physics against the values of its authorities, closed forms, and every parameter a site file allows."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from dronewall import scenario
from dronewall.engine import models, radar
from dronewall.engine.detection import refraction_of
from dronewall.engine.models import MODELS, Environment, Target
from dronewall.engine.wall import environment_of, target_of

WALKER = Target("walker", 0.0, 1.7, 0.5, 1.4, radar_cross_section=1.0, thermal_contrast=4.0, source_level=70.0)
HFOV = math.radians(40.0)
DAY, NIGHT = Environment(), Environment(night=True)
CAMERA = {"kind": "camera", "pixels": 1920, "n50": 1.0, "glimpse_s": 1.0}
THERMAL = {"kind": "thermal", "pixels": 1920, "n50": 1.0, "netd_k": 0.05, "glimpse_s": 1.0}
RADAR = {
    "kind": "radar",
    "reference_m": 2000.0,
    "false_alarm": 1e-6,
    "pulses": 1,
    "fluctuating": True,
    "speed_min_mps": 0.5,
    "glimpse_s": 1.0,
}
ACOUSTIC = {
    "kind": "acoustic",
    "frequency_hz": 1000,
    "threshold_db": 6.0,
    "sigma_db": 5.0,
    "self_noise_db": -20.0,
    "glimpse_s": 1.0,
}
PIR = {"kind": "pir", "reference_m": 12.0, "zones": 100, "glimpse_s": 1.0}
TABLE = {"kind": "table", "range_m": [10.0, 20.0], "probability": [0.8, 0.4], "glimpse_s": 1.0}


def seen(model, slant, exposed=1.7, target=WALKER, air=DAY, still=False, hfov=HFOV, shape="sector"):
    """Probability in a glimpse, and ceiling, of each slant range."""
    slant = np.atleast_1d(np.asarray(slant, dtype=np.float64))
    per_radian = models.resolution(model, shape, hfov)
    return MODELS[model["kind"]](model, per_radian, slant, np.full_like(slant, exposed), target, air, still)


def share(*args, **kwargs):
    return float(seen(*args, **kwargs)[0][0])


# --- light and warmth


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.25, 0.0182), (0.5, 0.1077), (0.75, 0.2834), (1.0, 0.5), (1.5, 0.8206), (2.0, 0.9449), (3.0, 0.9949)],
)
def test_johnsons_share_is_that_of_facts(ratio, expected):
    assert models.resolved(ratio * 4.0, n50=4.0) == pytest.approx(expected, abs=5e-5)


def test_very_many_cycles_are_certain_and_none_are_hopeless():
    assert models.resolved(1e6, 1.0) == pytest.approx(1.0)
    assert models.resolved(0.0, 1.0) == 0.0


def test_a_pinhole_cameras_middle_has_less_than_the_mean_of_its_pixels():
    # 960 / tan 25 deg = 2058.7 pixels per radian, 6.4 % under 1920 / .87266; at 90 degrees pi/4 of the mean.
    assert models.resolution(CAMERA, "pyramid", math.radians(50.0)) == pytest.approx(2058.7, abs=0.1)
    for model in (CAMERA, THERMAL):
        wide = models.resolution(model, "pyramid", math.pi / 2.0)
        assert wide == pytest.approx(960.0)
        assert wide == pytest.approx(math.pi / 4.0 * models.resolution(model, "sector", math.pi / 2.0))
    # Half of the glimpses notice 1.7 m x .5 m where a cycle is as long: sqrt(.85) f / 2.
    half = math.sqrt(0.85) * 960.0 / 2.0
    assert share(CAMERA, half, hfov=math.pi / 2.0, shape="pyramid") == pytest.approx(0.5)
    narrow = [models.resolution(CAMERA, shape, 1e-3) for shape in ("pyramid", "sector")]
    assert narrow[0] == pytest.approx(narrow[1], rel=1e-6)


def test_a_pirs_zones_are_evenly_wide_and_other_sensors_have_no_resolution():
    for shape in ("pyramid", "sector"):
        assert models.resolution(PIR, shape, 2.0) == 50.0
        for model in (RADAR, ACOUSTIC, TABLE):
            assert models.resolution(model, shape, 2.0) is None


def test_haze_leaves_a_fiftieth_of_the_contrast_at_the_visibility():
    assert models.haze(5000.0, 5000.0) == pytest.approx(0.02, rel=1e-3)
    assert models.haze(5000.0, math.inf) == 1.0


def test_a_quarter_of_the_height_is_seen_as_from_twice_as_far():
    # sqrt(h w) / R
    assert share(CAMERA, 400.0, exposed=1.7 / 4.0) == pytest.approx(share(CAMERA, 800.0), rel=1e-12)
    assert share(CAMERA, 400.0, exposed=0.0) == 0.0


def test_fog_dims_warmth_as_it_dims_light_and_haze_does_not():
    assert models.infrared_haze(300.0, 500.0, math.inf) == pytest.approx(float(models.haze(300.0, 500.0)))
    # Kruse, 6 to 50 km: q = 1.3.
    extinction = 3.912 / 20_000.0 * (10.0 / 0.55) ** -1.3
    assert models.infrared_haze(5000.0, 20_000.0, math.inf) == pytest.approx(math.exp(-5000.0 * extinction))
    # Kim, 1 to 6 km: q = .16 V + .34, and at 6 km Kruse's.
    extinction = 3.912 / 3000.0 * (10.0 / 0.55) ** -(0.16 * 3.0 + 0.34)
    assert models.infrared_haze(1000.0, 3000.0, math.inf) == pytest.approx(math.exp(-1000.0 * extinction))
    assert models.infrared_haze(1000.0, 6000.0, math.inf) == pytest.approx(
        float(models.infrared_haze(1000.0, 6000.001, math.inf)), rel=1e-6
    )
    assert models.infrared_haze(8000.0, math.inf, 8000.0) == pytest.approx(0.02, rel=1e-3)


def test_a_hot_target_is_as_clear_to_a_thermal_camera_as_its_pixels_allow():
    hot = Target("stove", 0.0, 1.7, 0.5, 1.4, thermal_contrast=100.0)
    assert share(THERMAL, 900.0, target=hot) == pytest.approx(share(CAMERA, 900.0), rel=1e-12)


def test_a_thermal_camera_resolves_half_as_fine_at_a_contrast_that_follows_from_the_mtf():
    # ln(contrast / (2.8 NETD)) = (1/2)^2 ln(1/.3): the cycles are those of twice the range.
    faint = Target("faint", 0.0, 1.7, 0.5, 1.4, thermal_contrast=2.8 * 0.05 * 0.3**-0.25)
    assert share(THERMAL, 400.0, target=faint) == pytest.approx(share(CAMERA, 800.0), rel=1e-9)


def test_under_the_noise_a_thermal_camera_sees_nothing():
    lost = Target("lost", 0.0, 1.7, 0.5, 1.4, thermal_contrast=2.79 * 0.05)
    cold = Target("cold", 0.0, 1.7, 0.5, 1.4, thermal_contrast=-4.0)
    assert share(THERMAL, 10.0, target=lost) == 0.0
    assert share(THERMAL, 500.0, target=cold) == share(THERMAL, 500.0) > 0.0
    fog = Environment(visibility=200.0)
    assert share(THERMAL, 500.0, air=fog) == 0.0


def test_night_blinds_the_day_camera_but_where_its_light_reaches_and_leaves_the_thermal_one_alone():
    lit = {**CAMERA, "illuminated_m": 30.0}
    assert share(CAMERA, 10.0, air=NIGHT) == 0.0
    assert share(lit, 30.0, air=NIGHT) == share(CAMERA, 30.0) > 0.0
    assert share(lit, 30.1, air=NIGHT) == 0.0
    for model in (THERMAL, RADAR, ACOUSTIC, PIR, TABLE):
        assert share(model, 15.0, air=NIGHT) == share(model, 15.0) > 0.0


def test_a_cameras_ceiling_is_what_its_pixels_resolve():
    for model in (CAMERA, THERMAL):
        glimpse, ceiling = seen(model, [100.0, 900.0, 3000.0])
        assert (glimpse == ceiling).all()


# --- radar


def test_albersheims_decibels_are_those_of_facts():
    assert radar.albersheim_db(0.9, 1e-6) == pytest.approx(13.1145, abs=5e-5)
    assert radar.albersheim_db(0.9, 1e-6, 10) == pytest.approx(4.9904, abs=5e-5)


@given(st.floats(0.1001, 0.99), st.floats(-9.0, -3.0), st.integers(1, 100))
def test_albersheim_backwards_is_albersheim(probability, exponent, pulses):
    decibel = radar.albersheim_db(probability, 10.0**exponent, pulses)
    assert radar.albersheim(10.0 ** (decibel / 10.0), 10.0**exponent, pulses) == pytest.approx(probability, rel=1e-6)


def test_albersheim_claims_nothing_where_it_does_not_hold():
    assert radar.albersheim(10.0 ** (radar.albersheim_db(0.09, 1e-6) / 10.0), 1e-6) == 0.0
    assert radar.albersheim(0.0, 1e-6) == 0.0


def test_swerlings_decibels_are_those_of_facts():
    assert radar.swerling1(10.0**2.11436, 1e-6) == pytest.approx(0.9, abs=2e-6)


@given(st.floats(-9.0, -3.0), st.integers(1, 100))
def test_noise_alone_is_detected_as_often_as_a_false_alarm(exponent, pulses):
    assert radar.swerling1(0.0, 10.0**exponent, pulses) == pytest.approx(10.0**exponent, rel=1e-6)


@pytest.mark.parametrize("pulses", [2, 10])
def test_many_pulses_are_detected_as_often_as_in_a_simulation(pulses):
    random = np.random.default_rng(3)
    trials, false_alarm, snr = 200_000, 0.01, 1.5

    def sums(amplitude):
        noise = random.normal(0.0, math.sqrt(0.5), (2, trials, pulses))
        return ((noise[0] + amplitude[:, None]) ** 2 + noise[1] ** 2).sum(axis=1)

    threshold = np.quantile(sums(np.zeros(trials)), 1.0 - false_alarm)
    found = (sums(np.sqrt(random.exponential(snr, trials))) > threshold).mean()
    # Three sigmas of the trials, and as much for the threshold's own quantile.
    assert radar.swerling1(snr, false_alarm, pulses) == pytest.approx(found, abs=0.01)


def test_twice_the_range_costs_a_radar_12_decibels():
    ratio = float(radar.echo(2000.0, 1000.0, 1.0) / radar.echo(1000.0, 1000.0, 1.0))
    assert 10.0 * math.log10(ratio) == pytest.approx(-12.0412, abs=5e-5)


def test_a_radar_in_its_own_words():
    # The maker's range is where 1 m2 is detected with .9 (less the false alarms); 1/16 of the echo at twice the range.
    for fluctuating in (True, False):
        for pulses in (1, 7):
            model = {**RADAR, "fluctuating": fluctuating, "pulses": pulses}
            assert share(model, 2000.0) == pytest.approx(0.9, abs=1e-6)
    at_4000 = (share(RADAR, 4000.0) * (1.0 - 1e-6)) + 1e-6
    snr = math.log(1e-6) / math.log(at_4000) - 1.0
    assert snr == pytest.approx((math.log(1e-6) / math.log(0.9) - 1.0) / 16.0, rel=1e-6)
    stated = {**RADAR, "reference_snr_db": 13.1145, "fluctuating": False}
    assert share(stated, 2000.0) == pytest.approx(0.9, abs=1e-5)


def test_half_a_target_has_half_its_radar_cross_section():
    half = Target("half", 0.0, 1.7, 0.5, 1.4, radar_cross_section=0.5)
    assert share(RADAR, 2500.0, exposed=0.85) == pytest.approx(share(RADAR, 2500.0, target=half), rel=1e-12)


def test_doppler_and_pir_never_see_a_still_target_and_the_others_do():
    for model in (RADAR, PIR, {**TABLE, "moving_only": True}):
        assert models.moving_only(model)
        glimpse, ceiling = seen(model, [1.0, 10.0], still=True)
        assert not glimpse.any()
        assert not ceiling.any()
        assert share(model, 10.0) > 0.0
    for model in (CAMERA, THERMAL, ACOUSTIC, TABLE, {**RADAR, "speed_min_mps": 0.0}):
        assert not models.moving_only(model)
        assert share(model, 10.0, still=True) == share(model, 10.0) > 0.0


def test_a_doppler_radars_ceiling_is_the_share_of_headings_with_enough_radial_speed():
    # At twice the slowest speed |cos| >= 1/2: 60 degrees to either side of towards and away, two thirds of the circle.
    assert seen({**RADAR, "speed_min_mps": 0.7}, 100.0)[1][0] == pytest.approx(2.0 / 3.0)
    assert seen({**RADAR, "speed_min_mps": 0.0}, 100.0)[1][0] == 1.0
    assert share({**RADAR, "speed_min_mps": 1.4}, 100.0) == 0.0


# --- sound

# ISO 9613-2:1996, table 2: atmospheric attenuation coefficient [dB/km] in the octaves from 63 Hz.
ISO_9613_2 = {
    (10.0, 0.7): [0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117.0],
    (20.0, 0.7): [0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6],
    (30.0, 0.7): [0.1, 0.3, 1.0, 3.1, 7.4, 12.7, 23.1, 59.3],
    (15.0, 0.2): [0.3, 0.6, 1.2, 2.7, 8.2, 28.2, 88.8, 202.0],
    (15.0, 0.5): [0.1, 0.5, 1.2, 2.2, 4.2, 10.8, 36.2, 129.0],
    (15.0, 0.8): [0.1, 0.3, 1.1, 2.4, 4.1, 8.3, 23.7, 82.8],
}


@pytest.mark.parametrize("weather", ISO_9613_2)
def test_the_air_absorbs_what_the_standards_table_says(weather):
    for octave, expected in enumerate(ISO_9613_2[weather]):
        frequency = 1000.0 * 10.0 ** (0.3 * (octave - 4))  # exact midband frequencies, ISO 266
        assert 1000.0 * models.absorption(frequency, *weather) == pytest.approx(expected, rel=0.005, abs=0.055)


def test_sound_falls_by_6_decibels_a_doubling_and_by_what_the_air_absorbs():
    levels = models.received(90.0, [1.0, 100.0, 200.0], 0.005)
    assert levels[0] == pytest.approx(89.995)
    assert levels[1] - levels[2] == pytest.approx(6.0206 + 0.5, abs=1e-4)
    assert models.received(90.0, 0.01, 0.0) == 90.0


def test_at_its_threshold_an_acoustic_node_hears_half_and_one_sigma_above_84_percent():
    quiet = Environment(noise=30.0)
    attenuation = models.absorption(1000.0, 15.0, 0.7)
    noise = 10.0 * math.log10(10.0**3.0 + 10.0**-2.0)
    for sigmas, expected in ((0.0, 0.5), (1.0, 0.841345), (-2.0, 0.022750)):
        loud = noise + 6.0 + sigmas * 5.0 + 20.0 * math.log10(50.0) + attenuation * 50.0
        target = Target("drone", 50.0, 50.5, 0.4, 15.0, source_level=loud)
        assert share(ACOUSTIC, 50.0, exposed=0.5, target=target, air=quiet) == pytest.approx(expected, abs=1e-6)


def test_what_does_not_show_is_not_heard_and_what_shows_at_all_is():
    assert share(ACOUSTIC, 50.0, exposed=0.0) == 0.0
    assert share(ACOUSTIC, 50.0, exposed=0.01) == share(ACOUSTIC, 50.0)


# --- passive infrared, tables


def test_a_pir_detects_half_under_its_makers_conditions():
    body = Target("body", 0.0, 0.7, 0.25, 1.0, thermal_contrast=4.0)
    assert share(PIR, 12.0, exposed=0.7, target=body) == pytest.approx(0.5)
    # Twice the contrast is as good as 1/sqrt(2) of the range.
    warm = Target("warm", 0.0, 0.7, 0.25, 1.0, thermal_contrast=8.0)
    assert share(PIR, 12.0 * math.sqrt(2.0), exposed=0.7, target=warm) == pytest.approx(0.5)
    same = Target("same", 0.0, 0.7, 0.25, 1.0, thermal_contrast=0.0)
    assert share(PIR, 1.0, exposed=0.7, target=same) == 0.0


def test_who_creeps_crosses_few_of_a_pirs_zones():
    # 40 degrees in 10 zones: .698 m wide at 10 m. At .1 m/s, 2/pi across: .0637 m in a second.
    wide = {**PIR, "zones": 10}
    slow = Target("slow", 0.0, 1.7, 0.5, 0.1, thermal_contrast=1000.0)
    width = 10.0 * HFOV / 10.0
    assert share(wide, 10.0, target=slow) == pytest.approx(2.0 / math.pi * 0.1 / width, rel=1e-6)


def test_a_table_ends_at_its_last_range_and_halves_for_half_a_target():
    glimpse, ceiling = seen(TABLE, [5.0, 15.0, 20.0, 20.1])
    assert glimpse == pytest.approx([0.8, 0.6, 0.4, 0.0])
    assert ceiling == pytest.approx([1.0, 1.0, 1.0, 0.0])
    assert share(TABLE, 15.0, exposed=0.85) == pytest.approx(0.3)


# --- all of them


def test_only_a_radar_sees_along_the_radios_ray():
    class Sensor:
        model = RADAR

    assert refraction_of(Sensor) == 0.25  # FACTS: 4/3 of the earth
    Sensor.model = CAMERA
    assert refraction_of(Sensor) == 0.13


def within(info):
    """Any value that a site file's type allows."""
    info = info.type if isinstance(info, inspect.Metadata) else info
    if isinstance(info, inspect.UnionType):
        return st.one_of(st.none() if isinstance(kind, inspect.NoneType) else within(kind) for kind in info.types)
    if isinstance(info, inspect.FloatType):
        low, high = info.ge if info.ge is not None else info.gt, info.le if info.le is not None else info.lt
        return st.floats(low, high, exclude_min=info.ge is None, exclude_max=info.le is None, allow_subnormal=False)
    if isinstance(info, inspect.IntType):
        return st.integers(info.ge, info.le)
    if isinstance(info, inspect.BoolType):
        return st.booleans()
    if isinstance(info, inspect.LiteralType):
        return st.sampled_from(info.values)
    raise TypeError(info)


def made(kind, **given_fields):
    """Any Struct of that kind within the bounds of its fields."""
    fields = {field.encode_name: field.type for field in inspect.type_info(kind).fields}
    return st.fixed_dictionaries(
        {
            name: given_fields[name] if name in given_fields else within(info)
            for name, info in fields.items()
            if name != "catalogue"
        }
    ).map(lambda values: msgspec.convert(values, kind, strict=False))


KINDS = [scenario.CameraModel, scenario.ThermalModel, scenario.RadarModel, scenario.AcousticModel, scenario.PirModel]
TABLES = st.lists(st.tuples(st.floats(0.0, 50_000.0), st.floats(0.0, 1.0)), min_size=2, max_size=16).map(
    lambda pairs: {"kind": "table", "range_m": sorted({r for r, _ in pairs}), "probability": [p for _, p in pairs]}
)
TARGETS = made(
    scenario.Target,
    name=st.just("t"),
    height_agl_m=st.tuples(st.floats(0.0, 5000.0), st.floats(0.01, 5000.0)).map(lambda b: (b[0], b[0] + b[1])),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__struct_config__.tag)
@given(data=st.data())
def test_whatever_a_site_file_allows_gives_probabilities_that_fall_with_range_and_cover(kind, data):
    model = {
        name: value
        for name, value in msgspec.to_builtins(data.draw(made(kind))).items()
        if value is not None  # as it goes over the wire
    }
    assert models.fault(model) is None
    target = target_of(data.draw(TARGETS))
    air = environment_of(data.draw(made(scenario.Environment)))
    shape = data.draw(st.sampled_from(["pyramid", "sector"]))
    hfov = math.radians(data.draw(st.floats(0.1, 360.0 if shape == "sector" else 179.0)))
    per_radian = models.resolution(model, shape, hfov)
    height = target.top_agl - target.bottom_agl
    slant = np.array([0.0, *sorted(data.draw(st.lists(st.floats(0.0, 50_000.0), min_size=1, max_size=5)))])
    still = data.draw(st.booleans())
    exposed = np.full_like(slant, height * data.draw(st.sampled_from([1.0, 0.5, 0.01])))
    glimpse, ceiling = MODELS[model["kind"]](model, per_radian, slant, exposed, target, air, still)
    for values in (glimpse, ceiling):
        assert values.shape == slant.shape
        assert np.isfinite(values).all()
        assert ((values >= 0.0) & (values <= 1.0)).all()
    # `assured` stands on this: what is farther, or shows less, is never detected more.
    assert (np.diff(glimpse) <= 1e-12).all()
    assert (np.diff(ceiling) <= 1e-12).all()
    less, lower = MODELS[model["kind"]](model, per_radian, slant, exposed / 2.0, target, air, still)
    assert (less <= glimpse + 1e-12).all()
    assert (lower <= ceiling + 1e-12).all()
    assert (ceiling[glimpse > 0.0] > 0.0).all()
    nothing, _ = MODELS[model["kind"]](model, per_radian, slant, np.zeros_like(slant), target, air, still)
    assert (nothing <= 1e-9).all()


def test_parameters_of_the_wire_that_make_no_model_are_named():
    assert models.fault({"kind": "sonar"}) == (
        "model kind 'sonar'; expected one of camera, thermal, radar, acoustic, pir, table"
    )
    for model, name in (
        (CAMERA, "n50"),
        (CAMERA, "glimpse_s"),
        (THERMAL, "netd_k"),
        (RADAR, "reference_m"),
        (RADAR, "false_alarm"),
        (ACOUSTIC, "sigma_db"),
        (PIR, "zones"),
    ):
        assert models.fault(model) is None
        assert name in str(models.fault({**model, name: 0}))
    assert "at most 0.001" in str(models.fault({**RADAR, "false_alarm": 0.5}))


def test_a_target_that_says_nothing_of_itself_is_the_same_in_engine_and_site_file():
    spec = msgspec.convert(
        {"name": "t", "height_agl_m": [0.0, 1.7], "width_m": 0.5, "speed_mps": 1.4}, scenario.Target, strict=False
    )
    assert target_of(spec) == Target("t", 0.0, 1.7, 0.5, 1.4)
