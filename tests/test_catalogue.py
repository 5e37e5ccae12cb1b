"""The catalogue: each figure has its source, each entry is a sound sensor type, a site file may take and change it."""

import math
import tomllib

import jsonschema
import msgspec
import pytest

from dronewall import catalogue, scenario
from dronewall.engine.models import Target, fault
from dronewall.report import sensor_table

SITE = """\
[site]
name = "shop"
[terrain]
ground = "dronewall:jacksboro"
[frontage]
points_deg = [[36.50, -84.30], [36.52, -84.28]]
threat = "left"
[[targets]]
name = "walker"
height_agl_m = [0.0, 1.7]
width_m = 0.5
speed_mps = 1.4
radar_cross_section_m2 = 0.5
thermal_contrast_k = 2.0
source_level_db = 40.0
[[posts]]
name = "P1"
latitude_deg = 36.50
longitude_deg = -84.30
[[nodes]]
post = "P1"
mast_m = 6.0
sensors = [{ name = "s", type = "eye", azimuth_deg = 0.0 }]
[sensor_types]
"""


@pytest.fixture
def read(tmp_path):
    """The scenario of the site above with more sensor types, each a line."""

    def reading(*lines):
        path = tmp_path / "site.toml"
        path.write_text(SITE + "\n".join(lines) + "\n", "utf-8")
        return scenario.read(path)

    return reading


def problems(read, *lines):
    with pytest.raises(scenario.ScenarioError) as caught:
        read(*lines)
    return caught.value.problems


def line_of(number):
    """The line of the nth of those types, from 0."""
    return SITE.count("\n") + 1 + number


ENTRIES = list(catalogue.entries().values())
by_name = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def test_the_sensors_that_were_asked_for_are_there():
    titles = " ".join(entry.title for entry in ENTRIES)
    for module in (
        "HLK-LD2450",
        "EKMB",
        "AM312",
        "MLX90640ESF-BAA",
        "MLX90640ESF-BAB",
        "TFmini-S",
        "OV2640",
        "640 x 512",
        "INMP441",
        "ground surveillance radar",
    ):
        assert module in titles
    assert sum("small drone" in entry.title for entry in ENTRIES) == 2
    assert {entry.values["model"]["kind"] for entry in ENTRIES} == {
        "camera",
        "thermal",
        "radar",
        "acoustic",
        "pir",
        "table",
    }


@by_name
def test_every_figure_has_its_source_or_is_marked_assumed(entry):
    assert set(entry.sources) == set(entry.figures)
    documents = ("data sheet", "manual", "catalogue", "specifications", "Johnson", "geometry: ")
    measured = ("it ", "the refresh rate")  # what follows from the kind of sensor
    for figure, source in entry.sources.items():
        assert source.startswith(("assumed", *measured)) or any(each in source for each in documents), figure


@by_name
def test_every_entry_is_a_sound_sensor_type_that_a_node_can_report(entry, read):
    wall = read(f'eye = {{ catalogue = "{entry.name}" }}')
    assert wall.notes == ()
    kind = wall.sensor_types["eye"]
    assert kind.catalogue == entry.name
    assert fault(msgspec.to_builtins(kind.model)) is None
    # Every figure that the model has is written out, none is left to a default that may change.
    model = {name for name in kind.model.__struct_fields__ if getattr(kind.model, name) is not None}
    assert model == set(entry.values["model"]) - {"kind"}


@by_name
def test_every_entry_goes_over_the_wire_as_it_is(entry, read):
    from dronewall.engine.ground import ground_of
    from dronewall.engine.plan import planned

    site = read(f'eye = {{ catalogue = "{entry.name}" }}')
    birth = next(report for report in planned(ground_of(site)) if report.kind == "birth")
    model = birth.values["sensors"][0]["model"]
    assert model == {"kind": entry.values["model"]["kind"], **entry.values["model"]}


def test_keys_beside_the_entry_override_it_inside_its_model_too(read):
    types = read(
        'eye = { catalogue = "ov2640", range_max_m = 300.0 }',
        'lit = { catalogue = "ov2640", model = { illuminated_m = 12.0 } }',
        'warm = { catalogue = "ov2640", model = { kind = "thermal", pixels = 80 } }',
    ).sensor_types
    plain = catalogue.entry("ov2640").values
    assert (types["eye"].range_max_m, types["eye"].hfov_deg) == (300.0, plain["hfov_deg"])
    assert (types["lit"].model.illuminated_m, types["lit"].model.n50) == (12.0, plain["model"]["n50"])
    assert (types["warm"].model.pixels, types["warm"].model.n50) == (80, scenario.ThermalModel(pixels=1).n50)


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        ('{ catalogue = "ov2641" }', "catalogue", ['"ov2641" is not in the catalogue', 'did you mean "ov2640"?']),
        ('{ catalogue = "zzzzzz" }', "catalogue", ['one of "hlk-ld2450", "ekmb-wide"']),
        ("{ catalogue = 3 }", "catalogue", ["3;", 'one of "hlk-ld2450"']),
        ('{ catalogue = "ov2640", range_max_m = 0.2 }', "range_min_m", ["0.5 m is not under range_max_m = 0.2 m"]),
        ('{ catalogue = "ov2640", range_max = 9.0 }', "range_max", ["no unit", "did you mean range_max_m?"]),
        ('{ catalogue = "ov2640", model = 3 }', "model", ["3;", "a table"]),
        ('{ catalogue = "ov2640", model = { netd_k = 0.1 } }', "model.netd_k", ["unknown key"]),
        ('{ catalogue = "ov2640", model = { kind = "thermal" } }', "model.pixels", ["missing", "a whole number"]),
        ('{ catalouge = "ov2640" }', "catalouge", ["did you mean catalogue?"]),
    ],
)
def test_a_mistake_beside_an_entry_is_named_on_its_line(read, line, key, words):
    found = problems(read, 'good = { catalogue = "am312" }', f"eye = {line}")
    (problem,) = (each for each in found if each.key == f"sensor_types.eye.{key}")
    assert problem.line == line_of(1)
    assert all(word in str(problem) for word in words), str(problem)
    if "catalouge" not in line:
        assert found == (problem,)


def test_an_editor_knows_the_entries_and_what_may_stand_beside_them():
    valid = jsonschema.Draft202012Validator(scenario.schema()).is_valid

    def site(line):
        return tomllib.loads(SITE + f"eye = {line}")

    for line in (
        '{ catalogue = "ov2640" }',
        '{ catalogue = "ground-radar", model = { reference_m = 9000.0 } }',
        '{ catalogue = "am312", range_max_m = 4.0, model = { zones = 8 } }',
    ):
        assert valid(site(line)), line
    for line in (
        '{ catalogue = "ov2641" }',
        '{ catalogue = "ov2640", range_max = 3.0 }',
        '{ catalogue = "ov2640", model = { pixels = "many" } }',
        '{ driver = "optics" }',
    ):
        assert not valid(site(line)), line


def test_a_name_that_is_none_is_answered_with_the_nearest():
    with pytest.raises(catalogue.CatalogueError, match=r"ov264\b.*did you mean ov2640\?"):
        catalogue.entry("ov264")


def test_the_table_says_how_far_each_reaches():
    # The stated range is .9 for 1 m2; a still smaller target of 1/16 m2 is seen as 1 m2 from twice the distance.
    radar = catalogue.entry("ground-radar")
    whole, small = (Target("t", 0.0, 1.7, 0.5, 1.4, radar_cross_section=size) for size in (1.0, 1.0 / 16.0))
    far = sensor_table.reach(radar, whole)
    assert far > radar.values["model"]["reference_m"]
    assert sensor_table.reach(radar, small) == pytest.approx(far / 2.0, rel=0.011)
    # Two cycles on sqrt(.85) m with 1600 pixels over 55 degrees of a pinhole's picture, haze aside.
    clear = sensor_table.reach(catalogue.entry("ov2640"), whole, sensor_table.Environment())
    assert clear == pytest.approx(0.85**0.5 * 800 / math.tan(math.radians(27.5)) / 4.0, rel=0.011)
