"""`dronewall link`: a hand-made site whose links are known by geometry, and the demo's site."""

import json
import math
import re

import numpy as np
import pyproj
import pytest
import rasterio
from click.testing import CliRunner
from matplotlib.image import imread
from rasterio.transform import from_origin

from conftest import ROOT
from dronewall import scenario
from dronewall.cli import main
from dronewall.engine import links, radio
from dronewall.engine.ground import ground_of
from dronewall.radio_links import _RATES

# A plain at 100 m, 6 km by 4 km on cells of 10 m, with a wall of 40 m from north to south 3 km from its west edge.
EAST, NORTH, CELL = 740_000.0, 4_050_000.0, 10.0
WALL = 3005.0
CHANNEL_6 = 2.437e9
TO_DEGREES = pyproj.Transformer.from_crs("EPSG:32616", "EPSG:4326")

SITE = """
[site]
name = "links"
crs = "EPSG:32616"
[terrain]
ground = "dem.tif"
le90_m = 1.0
[frontage]
points_deg = [{west}, {east}]
threat = "left"
[[targets]]
name = "walker"
height_agl_m = [0.0, 1.7]
width_m = 0.5
speed_mps = 1.4
[sensor_types.camera]
driver = "optics"
shape = "pyramid"
hfov_deg = 60.0
vfov_deg = 40.0
range_max_m = 900.0
model = {{ kind = "camera", pixels = 1920 }}
"""


def degrees(x, y=2005.0):
    latitude, longitude = TO_DEGREES.transform(EAST + x, NORTH + y)
    return f"[{latitude:.8f}, {longitude:.8f}]"


def at(x, y=2005.0):
    latitude, longitude = TO_DEGREES.transform(EAST + x, NORTH + y)
    return f"latitude_deg = {latitude:.8f}\nlongitude_deg = {longitude:.8f}\n"


def node(name, x, more='access_point = "A"', mast=6.0):
    return (
        f'[[posts]]\nname = "{name}"\n{at(x)}[[nodes]]\npost = "{name}"\nmast_m = {mast}\n{more}\n'
        'sensors = [{ name = "cam", type = "camera", azimuth_deg = 0.0 }]\n'
    )


def point(name, x, more="", height=12.0):
    return f'[[access_points]]\nname = "{name}"\n{at(x)}height_agl_m = {height}\n{more}\n'


@pytest.fixture
def site(tmp_path):
    """A function that writes a site of these parts and says where it lies."""
    heights = np.full((400, 600), 100.0, dtype=np.float32)
    heights[:, 300] = 140.0
    shape = {"width": 600, "height": 400, "count": 1, "dtype": "float32"}
    place = {"crs": "EPSG:32616", "transform": from_origin(EAST, NORTH + 4000.0, CELL, CELL)}
    with rasterio.open(tmp_path / "dem.tif", "w", driver="GTiff", **shape, **place) as raster:
        raster.write(heights, 1)

    def written(*parts):
        path = tmp_path / "site.toml"
        path.write_text(SITE.format(west=degrees(1500.0), east=degrees(4500.0)) + "\n".join(parts))
        return path

    return written


def told(path, *options, status=0):
    ran = CliRunner().invoke(main, ["link", str(path), "--json", "-q", *options])
    assert ran.exit_code == status, ran.output
    return json.loads(ran.stdout)


def test_a_link_over_the_plain_loses_what_free_space_does(site):
    (link,) = told(site(node("P1", 1505.0), point("A", 2505.0)))["links"]
    # 1 km, 6 m up: 20 lg(4 pi d / lambda), and a level of 19.5 dBm + 2 dBi + 5 dBi less that, 97 dB over -97 dBm less.
    slant = math.hypot(1000.0, 6.0)
    free = 20 * math.log10(4 * math.pi * slant * CHANNEL_6 / 299_792_458.0)
    assert link["distance_m"] == pytest.approx(slant, abs=0.5)
    assert link["free_space_db"] == pytest.approx(free, abs=0.01)
    assert link["diffraction_db"] == 0.0
    assert link["received_dbm"] == pytest.approx(26.5 - free, abs=0.01)
    assert link["margin_db"] == pytest.approx(26.5 - free + 97.0, abs=0.01)
    assert link["verdict"] == "reaches"


def test_behind_a_wall_it_says_what_is_in_the_way_and_the_mast_that_helps(site):
    path = site(node("P1", 2805.0), point("A", 3805.0))
    (link,) = told(path, "--margin-db", "20", status=3)["links"]
    tightest = link["tightest"]
    # 200 m of 1 km from 6 m to 12 m the line is 7.2 m up, and the wall 40 m.
    assert tightest["distance_m"] == pytest.approx(200.0, abs=1.0)
    assert tightest["clearance_m"] == pytest.approx(7.2 - 40.0, abs=0.1)
    assert tightest["fresnel_radius_m"] == pytest.approx(math.sqrt(299.792458 / 2437 * 160.0), abs=0.01)
    assert re.search(r"cannot reach: \d+ dB too weak, because the ground 200 m from P1 stands 32\.8 m", link["words"])
    mast = link["least_antenna_agl_m"]
    assert f"an antenna of {math.ceil(mast * 10) / 10:.1f} m at P1" in link["words"]
    # It is the least one: with it the margin is there, half a metre lower it is not, though something is heard.
    for height, verdict in ((mast + 0.01, "reaches"), (mast - 0.5, "marginal")):
        higher = site(node("P1", 2805.0, mast=height), point("A", 3805.0))
        assert told(higher, "--margin-db", "20")["links"][0]["verdict"] == verdict
    # ... and so are the decibels.
    more = ("--gain-node", str(2.0 + link["lacking_db"] / 2.0 + 0.01), "--gain-ap", str(5.0 + link["lacking_db"] / 2.0))
    assert told(path, "--margin-db", "20", *more)["links"][0]["verdict"] == "reaches"


def test_another_access_point_and_a_relay_are_found(site):
    path = site(node("P1", 2505.0), node("P2", 2995.0, mast=60.0), point("A", 3505.0), point("B", 1505.0))
    # On the wall's west foot at 2995 m nothing helps P1; the one in the west it sees.
    first = told(path, "P1", status=3)["links"][0]
    assert [each["name"] for each in first["other_access_points"]] == ["B"]
    assert "access point B (" in first["words"]
    assert first["relay"] is None
    tall = told(site(node("P1", 2505.0), node("P2", 3005.0), point("A", 3505.0, height=12.0)), "P1", status=3)
    # A mast on the wall's top sees both sides.
    assert tall["links"][0]["relay"]["post"] == "P2"
    assert "a further access point on post P2" in tall["links"][0]["words"]


def test_gains_stand_in_the_site_file_and_every_decibel_counts(site):
    plain = told(site(node("P1", 1505.0), point("A", 2505.0)))["links"][0]["margin_db"]
    written = site(
        node("P1", 1505.0, 'access_point = "A"\nantenna_dbi = 11.0'), point("A", 2505.0, "antenna_dbi = 15.5")
    )
    assert told(written)["links"][0]["margin_db"] == pytest.approx(plain + 9.0 + 10.5)
    assert told(written, "--tx-dbm", "10", "--rx-dbm", "-80")["links"][0]["margin_db"] == pytest.approx(
        plain + 19.5 - 9.5 - 17.0
    )
    # With at most 20 dBm EIRP the weaker way is the one to the antenna of 11 dBi: 20 + 11 less the loss.
    limited = told(written, "--eirp-dbm", "20")["links"][0]
    assert limited["received_dbm"] == pytest.approx(20.0 + 11.0 - limited["free_space_db"], abs=0.02)


@pytest.mark.parametrize("gain", [0.0, 3.0, 12.0])
def test_margin_rises_with_gain_decibel_for_decibel(site, gain):
    path = site(node("P1", 2505.0), point("A", 3505.0))
    ground = ground_of(scenario.read(path))
    low, high = (links.links(ground, links.Radio(node_gain=2.0 + more)) for more in (0.0, gain))
    assert high[0].margin == pytest.approx(low[0].margin + gain)


def test_gateways_and_links_between_access_points_are_judged_too(site):
    gateway = f'[[gateways]]\nname = "G"\n{at(1505.0)}height_agl_m = 8.0\naccess_point = "A"\n'
    path = site(
        node("P1", 1705.0, 'gateway = "G"'), node("P2", 1805.0, ""), gateway, point("A", 2505.0),
        point("B", 2505.0, 'via = "A"\nvia_dbi = 14.0', height=14.0),
    )  # fmt: skip
    answer = told(path)
    assert [(link["from"]["name"], link["from"]["kind"]) for link in answer["links"]] == [
        ("G", "gateway"),
        ("B", "access point"),
    ]
    beside = answer["links"][1]
    assert (beside["from"]["antenna_dbi"], beside["to"]["antenna_dbi"]) == (14.0, 14.0)
    assert beside["tightest"] is None
    assert "P1" in answer["notes"][0]
    assert "P2" in answer["notes"][1]


def test_an_access_point_off_the_raster_is_unknown_and_never_said_to_work(site):
    (link,) = told(site(node("P1", 4505.0), point("A", 6505.0)), status=3)["links"]
    assert (link["verdict"], link["margin_db"]) == ("unknown", None)


def test_the_terrains_error_is_told_where_it_decides(site):
    # A line that just touches the wall: 1 m higher or lower is what the terrain does not know.
    (link,) = told(site(node("P1", 2505.0, mast=40.0), point("A", 3505.0, height=40.0)))["links"]
    assert link["margin_low_db"] < link["margin_db"] < link["margin_high_db"]
    lost = link["margin_high_db"] + 0.5
    ran = told(site(node("P1", 2505.0, mast=40.0), point("A", 3505.0, height=40.0)), "--margin-db", str(lost))
    assert ran["links"][0]["verdict"] == "marginal"
    middle = (link["margin_db"] + link["margin_low_db"]) / 2.0
    ran = told(site(node("P1", 2505.0, mast=40.0), point("A", 3505.0, height=40.0)), "--margin-db", str(middle))
    assert "not sure: within the terrain's error, LE90 1 m, it may be: marginal" in ran["links"][0]["words"]


def test_a_picture_is_drawn_and_somebody_elses_is_left_alone(site, tmp_path):
    path = site(node("P1", 2505.0), node("P2", 1505.0), point("A", 3505.0))
    for names in ((), ("P1",)):
        ran = CliRunner().invoke(main, ["link", str(path), *names, "-q", "--picture", str(tmp_path / "links.png")])
        assert ran.exit_code == 3, ran.output
        assert ran.stdout.splitlines()[-1] == str(tmp_path / "links.png")
        assert imread(tmp_path / "links.png")[..., :3].std() > 0.05
    (tmp_path / "theirs.png").write_bytes(b"\x89PNG\r\n\x1a\nsomebody's")
    ran = CliRunner().invoke(main, ["link", str(path), "--picture", str(tmp_path / "theirs.png")])
    assert ran.exit_code != 0
    assert (tmp_path / "theirs.png").read_bytes().endswith(b"somebody's")


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("P9",), "has no link of 'P9'; it has P1"), (("--picture", "a.jpg"), "ends in .png"), (("--rate", "b2"), "b1")],
)
def test_bad_input_is_told_with_what_was_expected(site, words, expected):
    ran = CliRunner().invoke(main, ["link", str(site(node("P1", 1505.0), point("A", 2505.0))), *words])
    assert ran.exit_code == 2
    assert expected in " ".join(ran.output.split())


def test_the_commands_rates_are_the_engines():
    assert tuple(radio.RATES) == _RATES


def test_the_table_of_the_demos_site_is_what_the_document_shows(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    ran = CliRunner().invoke(main, ["link", str(ROOT / "examples" / "jacksboro.toml"), "-q"])
    assert ran.exit_code == 3, ran.output
    shown = "\n".join(line.rstrip() for line in ran.stdout.strip("\n").split("\n"))
    shown = re.sub(r"\s+input\s+\w+;\s+dronewall\s+[\w.]+\.$", "", shown)
    text = (ROOT / "docs" / "links.md").read_text("utf-8")
    block = re.search(r"<!-- table: dronewall link -->\n```text\n(.*?)\n```", text, re.DOTALL)
    assert block is not None
    assert block[1].split() == shown.split(), f"docs/links.md; expected:\n{shown}"


def test_trees_on_the_way_have_a_column_and_a_word(site, tmp_path):
    heights = np.zeros((400, 600), dtype=np.float32)
    heights[:, 200:210] = 20.0
    shape = {"width": 600, "height": 400, "count": 1, "dtype": "float32"}
    place = {"crs": "EPSG:32616", "transform": from_origin(EAST, NORTH + 4000.0, CELL, CELL)}
    with rasterio.open(tmp_path / "trees.tif", "w", driver="GTiff", **shape, **place) as raster:
        raster.write(heights, 1)
    path = site(node("P1", 1505.0), point("A", 2505.0))
    path.write_text(path.read_text().replace('ground = "dem.tif"', 'ground = "dem.tif"\ncanopy = "trees.tif"'))
    (link,) = told(path, "--margin-db", "20")["links"]
    # Ten cells wide, its edges rise within a cell on either side: 6 to 12 m up, 90 m and most of two cells inside.
    most = 1.15 * 2437**0.43
    low, high = (most * (1 - math.exp(-0.4 * metres / most)) for metres in (95.0, 110.0))
    assert low < link["canopy_db"] < high
    assert f"the trees take {link['canopy_db']:.0f} dB" in link["words"]
    ran = CliRunner().invoke(main, ["link", str(path), "-q", "--canopy-db", "0"], env={"COLUMNS": "100"})
    assert "trees" not in ran.stdout.splitlines()[1]
    ran = CliRunner().invoke(main, ["link", str(path), "-q"], env={"COLUMNS": "100"})
    assert "trees" in ran.stdout.splitlines()[1]


def test_a_site_without_access_points_says_so():
    ran = CliRunner().invoke(main, ["link", str(ROOT / "examples" / "minimal.toml"), "-q"])
    assert ran.exit_code == 0
    assert "No link to judge" in ran.stdout
    assert "[[access_points]]" in ran.stdout
    assert "they name no access point: P1" in ran.stdout


def test_no_number_at_all_is_no_option(site):
    for option in ("--margin-db", "--gain-node", "--frequency", "--eirp-dbm"):
        ran = CliRunner().invoke(main, ["link", str(site(node("P1", 1000), point("A", 2000))), option, "nan", "--json"])
        assert ran.exit_code == 2
        assert "expected a number" in ran.output


def test_a_narrow_terminal_cuts_no_digit_of_the_table():
    words = ["link", str(ROOT / "examples" / "jacksboro.toml"), "P1", "P9", "-q"]
    narrow, wide = (CliRunner().invoke(main, words, env={"COLUMNS": columns}).stdout for columns in ("50", "80"))
    assert narrow == wide
    assert "P9 to A2 2.00  8, 8 " in narrow
