from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from coverage_fixture import DIGEST, coverage
from cycle_fixture import cycle, wall
from dronewall.interop import raster
from dronewall.report.files import OutputError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("raster") / "coverage.tif"
    raster.write_geotiff(coverage(), path)
    return path


def value_at(path, east, north, band=1):
    """The raster's value at site metres, asked by latitude and longitude."""
    longitude, latitude = transform("EPSG:32616", "EPSG:4326", [740_000.0 + east], [4_040_000.0 + north])
    with rasterio.open(path) as file:
        place = transform("EPSG:4326", file.crs, longitude, latitude)
        return float(next(file.sample([(place[0][0], place[1][0])], indexes=band))[0])


def test_the_value_at_a_known_place_is_that_place(path):
    assert value_at(path, 1300.0, 5.0) == pytest.approx(0.1)
    assert value_at(path, 1100.0, 5.0) == pytest.approx(0.9)
    assert value_at(path, 1995.0, 625.0) == pytest.approx(0.1)
    # north and south are not swapped: 625 m south of the corner belongs to the first leg
    assert value_at(path, 1995.0, -595.0) == pytest.approx(0.9)
    assert value_at(path, 1300.0, 5.0, band=2) == pytest.approx(0.9)
    assert np.isnan(value_at(path, 0.0, 0.0))


def test_the_grid_is_north_up_in_the_sites_crs_with_its_corner_in_the_north_west(path):
    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == 32616
        assert tuple(file.transform)[:6] == (10.0, 0.0, 739_500.0, 0.0, -10.0, 4_040_000.0 - 600.0 + 2400.0)
        assert file.shape == (240, 320)
        assert file.dtypes == ("float32", "float32")
        assert np.isnan(file.nodata)
        assert file.profile["tiled"] is True
        assert file.compression.name == "deflate"
        # the first row is the northernmost
        assert np.array_equal(file.read(1), coverage().targets[0].look[::-1], equal_nan=True)


def test_what_is_assured_has_bands_of_its_own(tmp_path):
    path = tmp_path / "both.tif"
    raster.write_geotiff(coverage(assured=True), path)
    with rasterio.open(path) as file:
        assert file.descriptions == ("walker", "low-drone", "walker assured", "low-drone assured")
        assert [file.tags(band)["DRONEWALL_LEVEL"] for band in (1, 3)] == ["expected", "assured"]
        assert file.tags(3)["DRONEWALL_CONFIDENCE_PER_SENSOR"] == "0.9"
    assert value_at(path, 1150.0, 5.0, band=1) == pytest.approx(0.9)
    assert value_at(path, 1150.0, 5.0, band=3) == pytest.approx(0.1)


def test_bands_are_named_by_target_and_say_what_they_depend_on(path):
    with rasterio.open(path) as file:
        assert file.descriptions == ("walker", "low-drone")
        assert file.tags()["DRONEWALL_INPUT_HASH"] == DIGEST
        assert file.tags(1)["DRONEWALL_SPEED_MPS"] == "1.4"
        assert file.tags(2)["DRONEWALL_TARGET"] == "low-drone"
        assert file.tags(1)["DRONEWALL_LOOK_S"] == "10.0"


def test_a_raster_that_a_full_disk_cut_short_never_replaces_the_old_one(tmp_path, monkeypatch):
    """GDAL closes a file that does not fit without a word; here half of it is taken away."""
    path = tmp_path / "coverage.tif"
    raster.write_geotiff(coverage(), path)
    before = path.read_bytes()
    real = rasterio.open

    def cut(name, *mode, **profile):
        if not mode and Path(name).name.startswith("."):
            with open(name, "r+b") as stream:
                stream.truncate(len(before) // 2)
        return real(name, *mode, **profile)

    monkeypatch.setattr(rasterio, "open", cut)
    with pytest.raises(OutputError, match=r"coverage\.tif"):
        raster.write_geotiff(coverage(), path)
    monkeypatch.undo()
    assert path.read_bytes() == before


def test_how_often_places_are_looked_at_has_bands_of_its_own_over_the_belt(tmp_path):
    found = cycle(wall())
    path = tmp_path / "patrol.tif"
    raster.write_revisit(found, path)
    belt, of = found.ground.belt, found.targets[0]
    with rasterio.open(path) as file:
        assert file.descriptions[:4] == (
            "walker, watched_share", "walker, longest_unwatched_s", "walker, time_average_gap_s", "walker, next_look_s"
        )  # fmt: skip
        assert file.count == 4 * len(found.targets)
        assert np.array_equal(file.read(1), of.revisit.share.astype(np.float32)[::-1], equal_nan=True)
        assert np.array_equal(file.read(2), of.revisit.longest.astype(np.float32)[::-1], equal_nan=True)
        assert file.tags(1)["DRONEWALL_TARGET"] == "walker"
    # A cell of the belt is where its middle is.
    row, col = (int(part[0]) for part in np.nonzero(belt.inside & np.isfinite(of.revisit.longest)))
    columns, rows = found.ground.terrain.centres
    there = value_at(path, columns[belt.col + col], rows[belt.row + row], band=2)
    assert there == pytest.approx(of.revisit.longest[row, col], rel=1e-6)
