import math

import numpy as np
import pytest
import rasterio
import rasterio.warp
from rasterio.transform import from_origin

from dronewall.engine.earth import site_of
from dronewall.engine.frontage import Frontage
from dronewall.engine.terrain import JACKSBORO, Terrain, TerrainError, check, read

ENDS = np.array([[36.50, -84.30], [36.53, -84.27]])


def frame(points=ENDS, front=300.0, behind=200.0):
    site = site_of(points)
    return site, Frontage(np.stack(site.to_site(*points.T), axis=-1), front, behind, threat_left=True)


def write(path, heights, transform, crs="EPSG:32616", **options):
    heights = np.asarray(heights, dtype=np.float32)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=heights.shape[0],
        width=heights.shape[1],
        count=1,
        dtype="float32",
        crs=crs,
        transform=transform,
        **options,
    ) as dataset:
        dataset.write(heights, 1)
        if "units" in options:
            dataset.units = [options["units"]]
    return path


def tilted(site, frontage, cell=10.0, margin=800.0, east_slope=0.1, north_slope=0.02):
    """Heights and transform of a plane that rises east and north, rows from north to south as in GeoTIFFs."""
    low, high = frontage.points.min(axis=0) - margin, frontage.points.max(axis=0) + margin
    cols, rows = np.ceil((high - low) / cell).astype(int)
    east = low[0] + (np.arange(cols) + 0.5) * cell
    north = low[1] + rows * cell - (np.arange(rows) + 0.5) * cell
    heights = 500.0 + east_slope * east[None, :] + north_slope * north[:, None]
    return heights, from_origin(site.origin_east + low[0], site.origin_north + low[1] + rows * cell, cell, cell)


def test_a_raster_lands_the_right_way_up_and_in_place(tmp_path):
    site, frontage = frame()
    path = write(tmp_path / "dem.tif", *tilted(site, frontage))
    terrain = read(path, site, frontage, cell=10.0, margin=100.0)
    for share in (0.1, 0.5, 0.9):
        east, north = frontage.at(share * frontage.length)
        assert terrain.ground(east, north) == pytest.approx(500.0 + 0.1 * east + 0.02 * north, abs=0.02)
    west, east, south, north = terrain.extent
    ring = frontage.belt_outline()
    assert west <= ring[:, 0].min() - 100.0 + 1e-6 <= ring[:, 0].max() + 100.0 - 1e-6 <= east
    assert south <= ring[:, 1].min() - 100.0 + 1e-6 <= ring[:, 1].max() + 100.0 - 1e-6 <= north
    assert terrain.posting == pytest.approx(10.0, abs=0.01)


def test_a_south_up_raster_is_the_same_terrain(tmp_path):
    site, frontage = frame()
    heights, transform = tilted(site, frontage)
    north_up = write(tmp_path / "north.tif", heights, transform)
    bottom = transform.f + transform.e * heights.shape[0]
    south_up = write(
        tmp_path / "south.tif", heights[::-1], rasterio.Affine(transform.a, 0.0, transform.c, 0.0, -transform.e, bottom)
    )
    one, other = (read(path, site, frontage, cell=10.0).ground_amsl for path in (north_up, south_up))
    assert np.allclose(one, other, atol=1e-3)


def test_a_raster_in_degrees_is_projected(tmp_path):
    site, frontage = frame()
    # A plane in degrees: 1 m per 0.001 degree of latitude and of longitude.
    step = 0.0002
    latitude = 36.60 - (np.arange(900) + 0.5) * step
    longitude = -84.40 + (np.arange(900) + 0.5) * step
    heights = 300.0 + 1000.0 * (latitude[:, None] - 36.5) + 1000.0 * (longitude[None, :] + 84.3)
    path = write(tmp_path / "degrees.tif", heights, from_origin(-84.40, 36.60, step, step), crs="EPSG:4326")
    terrain = read(path, site, frontage, cell=10.0)
    east, north = frontage.at(frontage.length / 2.0)
    at_latitude, at_longitude = site.to_geodetic(east, north)
    assert terrain.ground(east, north) == pytest.approx(
        300.0 + 1000.0 * (at_latitude - 36.5) + 1000.0 * (at_longitude + 84.3), abs=0.15
    )
    # A thousandth of a degree of latitude is 111 m: 0.0002 degrees are 22.2 m.
    assert terrain.posting == pytest.approx(22.2, abs=0.1)


def test_jacksboro_lies_north_up_though_its_file_swaps_ymin_and_ymax():
    points = np.array([[36.70, -84.36], [36.47, -84.10]])
    site, frontage = frame(points)
    terrain = read(JACKSBORO, site, frontage, cell=100.0, margin=2000.0)
    from matplotlib import cbook

    with cbook.get_sample_data("jacksboro_fault_dem.npz") as model:
        elevation = model["elevation"]
    # Row 0 is the north edge, 36.7329 degrees; columns from the west edge, -84.41375.
    for latitude, longitude in ((36.60, -84.25), (36.55, -84.20), (36.65, -84.30)):
        row = (36.73291667 - latitude) / 0.00083333333 - 0.5
        col = (longitude + 84.41375) / 0.00083333333 - 0.5
        nearby = elevation[int(row) - 1 : int(row) + 3, int(col) - 1 : int(col) + 3]
        here = float(terrain.ground(*site.to_site(latitude, longitude)))
        assert nearby.min() - 1 <= here <= nearby.max() + 1
    assert terrain.posting == pytest.approx(92.5, abs=0.2)  # 3 seconds of latitude: 92.5 m


def test_holes_stay_unknown(tmp_path):
    site, frontage = frame()
    heights, transform = tilted(site, frontage)
    heights[:, heights.shape[1] // 2 : heights.shape[1] // 2 + 10] = -9999.0
    path = write(tmp_path / "holes.tif", heights, transform, nodata=-9999.0)
    terrain = read(path, site, frontage, cell=10.0)
    assert np.isnan(terrain.ground_amsl).any()
    assert np.nanmin(terrain.ground_amsl) > 0.0


@pytest.mark.parametrize(("value", "cell"), [(-9999.0, 10.0), (-32768.0, 60.0), (1e30, 10.0)])
def test_unknown_ground_that_does_not_say_so_is_refused_with_its_place(tmp_path, value, cell):
    site, frontage = frame()
    heights, transform = tilted(site, frontage)
    row, col = heights.shape[0] // 2, heights.shape[1] // 2
    heights[row, col] = value
    path = write(tmp_path / "undeclared.tif", heights, transform)
    with pytest.raises(TerrainError, match=r"undeclared\.tif: holds a height of .* latitude 36\.5.*-a_nodata"):
        read(path, site, frontage, cell=cell)
    declared = write(tmp_path / "declared.tif", heights, transform, nodata=value)
    assert np.nanmin(read(declared, site, frontage, cell=cell).ground_amsl) > 0.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crs": None}, "no coordinate reference system"),
        ({"crs": "EPSG:2274"}, "US survey foot.*metres"),
        ({"units": "ft"}, "heights are in 'ft'"),
    ],
)
def test_a_raster_that_does_not_say_metres_is_refused(tmp_path, change, reason):
    site, frontage = frame()
    heights, transform = tilted(site, frontage)
    path = write(tmp_path / "wrong.tif", heights, transform, **change)
    with pytest.raises(TerrainError, match=f"wrong.tif.*{reason}"):
        read(path, site, frontage, cell=10.0)


def test_a_raster_that_ends_on_the_way_says_at_which_chainage(tmp_path):
    site, frontage = frame()
    heights, transform = tilted(site, frontage)
    # Cut in the east so that the last part of the frontage is off it.
    path = write(tmp_path / "short.tif", heights[:, : heights.shape[1] // 2], transform)
    with pytest.raises(
        TerrainError, match=r"short\.tif: does not cover the belt between km (\d+\.\d+) and km"
    ) as error:
        read(path, site, frontage, cell=10.0)
    said = float(str(error.value).split("between km ")[1].split(" ")[0]) * 1000.0
    edge = transform.c - site.origin_east + 10.0 * (heights.shape[1] // 2)
    ring = frontage.lanes(frontage.stations(5.0))
    first = frontage.stations(5.0)[(ring[:, :, 0] > edge).any(axis=1)][0]
    assert said == pytest.approx(first, abs=40.0)


def test_a_raster_of_elsewhere_is_refused(tmp_path):
    site, frontage = frame()
    path = write(
        tmp_path / "elsewhere.tif",
        np.zeros((50, 50)),
        from_origin(500_000.0, 5_500_000.0, 30.0, 30.0),
        crs="EPSG:32636",
    )
    with pytest.raises(TerrainError, match="all along it"):
        read(path, site, frontage, cell=10.0)


def test_more_cells_than_a_machine_holds_are_refused_before_they_are_made(tmp_path):
    site, frontage = frame(np.array([[36.50, -84.30], [36.70, -84.15]]), 20_000.0, 20_000.0)
    step = 0.01
    path = write(tmp_path / "wide.tif", np.zeros((200, 200)), from_origin(-85.2, 37.6, step, step), crs="EPSG:4326")
    with pytest.raises(TerrainError, match=r"cell_m of [0-9.]+ or more"):
        read(path, site, frontage, cell=0.5)


def test_longitudes_from_0_to_360_are_the_same_place(tmp_path):
    site, frontage = frame()
    step = 0.001
    latitude = 36.60 - (np.arange(200) + 0.5) * step
    heights = np.repeat(300.0 + 1000.0 * (latitude[:, None] - 36.5), 200, axis=1)
    signed = write(tmp_path / "signed.tif", heights, from_origin(-84.40, 36.60, step, step), crs="EPSG:4326")
    unsigned = write(tmp_path / "unsigned.tif", heights, from_origin(275.60, 36.60, step, step), crs="EPSG:4326")
    one, other = (read(path, site, frontage, cell=20.0).ground_amsl for path in (signed, unsigned))
    assert np.allclose(one, other, atol=0.01)


@pytest.mark.parametrize(("west", "east"), [(179.9, 180.1), (-180.1, -179.9), (-180.0, 180.0), (0.0, 360.0)])
@pytest.mark.parametrize("longitudes", [(179.98, 179.99), (179.99, -179.99), (-179.99, -179.98)])
def test_a_site_at_180_degrees_lies_where_it_lies_however_the_raster_counts(tmp_path, west, east, longitudes):
    site, frontage = frame(np.array([[-17.0, longitudes[0]], [-17.0, longitudes[1]]]))
    assert frontage.length < 2200.0
    step = 0.005
    count = round((east - west) / step)
    # 1000 m per degree, rising eastwards across 180.
    heights = 1000.0 * ((west + (np.arange(count) + 0.5) * step) % 360.0 - 179.0)
    heights = np.where(np.abs(heights - 1000.0) < 100.0, heights, 0.0)
    path = write(
        tmp_path / "dem.tif", np.repeat(heights[None, :], 20, axis=0), from_origin(west, -16.95, step, step),
        crs="EPSG:4326",
    )  # fmt: skip
    check(path, site, frontage)
    terrain = read(path, site, frontage, cell=50.0)
    assert not np.isnan(terrain.ground_amsl).any()
    for chainage in (0.0, 0.3 * frontage.length, frontage.length):
        _, longitude = site.to_geodetic(*frontage.at(chainage))
        # Where the raster ends at 180, its last height holds for half a posting.
        assert terrain.ground(*frontage.at(chainage)) == pytest.approx(
            1000.0 * (longitude % 360.0 - 179.0), abs=1000.0 * step / 2.0
        )


def test_a_raster_that_ends_at_180_degrees_does_not_cover_what_lies_beyond(tmp_path):
    site, frontage = frame(np.array([[-17.0, 179.99], [-17.0, -179.99]]))
    path = write(tmp_path / "dem.tif", np.zeros((20, 20)), from_origin(179.9, -16.95, 0.005, 0.005), crs="EPSG:4326")
    with pytest.raises(TerrainError, match=r"does not cover the belt between km 1\.\d+ and km 2\.13"):
        check(path, site, frontage)


def test_swapped_coordinates_are_suspected_only_where_that_would_help(tmp_path):
    path = write(tmp_path / "dem.tif", np.zeros((50, 50)), from_origin(8.0, 47.5, 0.01, 0.01), crs="EPSG:4326")
    swapped, elsewhere = ([[8.2, 47.2], [8.21, 47.22]], [[9.2, 47.2], [9.21, 47.22]])
    for points, hinted in ((swapped, True), (elsewhere, False), (ENDS, False)):
        with pytest.raises(TerrainError, match="does not cover the belt all along it") as error:
            check(path, *frame(np.array(points)))
        assert ("are latitude and longitude swapped?" in str(error.value)) == hinted


@pytest.mark.parametrize("crs", ["EPSG:4978", "EPSG:5703"])
def test_a_raster_whose_crs_is_no_map_is_refused(tmp_path, crs):
    site, frontage = frame()
    heights, transform = tilted(site, frontage)
    path = write(tmp_path / "odd.tif", heights, transform, crs=crs)
    with pytest.raises(TerrainError, match=r"odd\.tif"):
        read(path, site, frontage, cell=10.0)


def test_what_is_no_raster_is_refused(tmp_path):
    site, frontage = frame()
    (tmp_path / "note.tif").write_text("not a raster")
    for path, reason in (
        (tmp_path / "note.tif", "not a raster"),
        (tmp_path / "missing.tif", "no such file"),
        (tmp_path, "no such file"),
    ):
        with pytest.raises(TerrainError, match=reason):
            read(path, site, frontage, cell=10.0)


def test_heights_between_middles_are_bilinear():
    terrain = Terrain.from_array([[0.0, 10.0], [20.0, 50.0]], 10.0)
    assert terrain.ground(5.0, 5.0) == 0.0
    assert terrain.ground(10.0, 5.0) == 5.0
    assert terrain.ground(10.0, 10.0) == 20.0
    assert terrain.ground(0.0, 0.0) == 0.0
    assert math.isnan(terrain.ground(-0.1, 5.0))


def test_a_terrain_keeps_its_own_copy_and_refuses_nonsense():
    heights = np.zeros((3, 3))
    terrain = Terrain.from_array(heights, 10.0)
    heights[0, 0] = 5.0
    assert terrain.ground_amsl[0, 0] == 0.0
    for wrong, cell in ((np.zeros(3), 10.0), (np.zeros((0, 3)), 10.0), (heights, 0.0), (heights, math.nan)):
        with pytest.raises(TerrainError):
            Terrain.from_array(wrong, cell)


@pytest.mark.parametrize("name", ["kaniv_30m.tif", "TM1_564_146.tif"])
def test_heavier_real_terrain_is_read(root, name):
    path = root.parent / "shared" / "data" / name
    if not path.is_file():
        pytest.skip(f"{name}: the folder shared/data is not beside this checkout")
    with rasterio.open(path) as dataset:
        west, south, east, north = dataset.bounds
        (lon0, lon1), (lat0, lat1) = rasterio.warp.transform(
            dataset.crs,
            "EPSG:4326",
            [west + 0.3 * (east - west), west + 0.7 * (east - west)],
            [(south + north) / 2.0] * 2,
        )
        heights = dataset.read(1, masked=True)
    site, frontage = frame(np.array([[lat0, lon0], [lat1, lon1]]), 100.0, 100.0)
    terrain = read(path, site, frontage, cell=5.0)
    assert np.isfinite(terrain.ground_amsl).all()
    assert heights.min() <= terrain.ground_amsl.min()
    assert terrain.ground_amsl.max() <= heights.max()


# --- what stands on the ground


def layers(tmp_path):
    """Site, frontage, a plane as ground, its heights and transform, and a writer of further rasters like it."""
    site, frontage = frame()
    heights, transform = tilted(site, frontage)
    ground = write(tmp_path / "ground.tif", heights, transform)
    return site, frontage, ground, heights, transform


def test_a_surface_and_a_canopy_are_read_onto_the_grounds_cells(tmp_path):
    site, frontage, ground, heights, transform = layers(tmp_path)
    row, col = heights.shape[0] // 2, heights.shape[1] // 2 - 20
    tall = np.zeros_like(heights)
    tall[row - 10 : row + 10, col - 10 : col + 10] = 8.0
    surface = write(tmp_path / "dsm.tif", heights + tall, transform)
    canopy = write(tmp_path / "chm.tif", np.roll(tall, 40, axis=1) * 2.0, transform)
    bare = read(ground, site, frontage, cell=10.0)
    terrain = read(ground, site, frontage, cell=10.0, surface=surface, canopy=canopy, canopy_extinction=9.0)
    assert (terrain.ground_amsl == bare.ground_amsl).all()
    assert terrain.surface_amsl is not None
    assert terrain.canopy_amsl is not None
    assert terrain.canopy_extinction == 9.0
    assert terrain.notes == ()
    # In the middle of the block.
    east = transform.c - site.origin_east + 10.0 * col
    north = transform.f - site.origin_north - 10.0 * row
    assert terrain.between(terrain.surface_amsl, east, north) == pytest.approx(bare.ground(east, north) + 8.0, abs=0.05)
    assert terrain.between(terrain.canopy_amsl, east + 400.0, north) == pytest.approx(
        bare.ground(east + 400.0, north) + 16.0, abs=0.05
    )
    assert terrain.between(terrain.canopy_amsl, east, north) == bare.ground(east, north)
    choices = ({}, {"surface": surface}, {"canopy": canopy}, {"canopy": canopy, "canopy_extinction": 5.0})
    assert len({read(ground, site, frontage, cell=10.0, **chosen).digest for chosen in choices}) == 4


def test_a_layer_that_ends_on_the_belt_stands_nowhere_beyond_and_says_so(tmp_path):
    site, frontage, ground, heights, transform = layers(tmp_path)
    half = heights.shape[1] // 2
    canopy = write(tmp_path / "chm.tif", np.full_like(heights, 12.0)[:, :half], transform)
    terrain = read(ground, site, frontage, cell=10.0, canopy=canopy)
    (note,) = terrain.notes
    assert "chm.tif: does not cover the whole belt between km" in note
    east = np.asarray(terrain.centres[0])
    edge = transform.c - site.origin_east + 10.0 * half
    tall = terrain.canopy_amsl - terrain.ground_amsl
    assert np.allclose(tall[:, east < edge - 10.0], 12.0, atol=0.01)
    assert (tall[:, east > edge + 10.0] == 0.0).all()


def test_nodata_in_a_layer_means_that_nothing_stands_there(tmp_path):
    site, frontage, ground, heights, transform = layers(tmp_path)
    tall = np.full_like(heights, 255.0)
    tall[:, : heights.shape[1] // 2] = 12.0
    canopy = write(tmp_path / "chm.tif", tall, transform, nodata=255.0)
    terrain = read(ground, site, frontage, cell=10.0, canopy=canopy)
    assert set(np.round(np.unique(terrain.canopy_amsl - terrain.ground_amsl), 6)) == {0.0, 12.0}
    assert terrain.notes == ()


@pytest.mark.parametrize(
    ("name", "wrong", "reason"),
    [
        ("canopy", lambda heights: heights, r"expected -5 to 100 m above the ground \(not above sea level\)"),
        ("canopy", lambda heights: np.where(heights > heights.mean(), 101.0, 20.0), "holds a height of 101 m"),
        ("canopy", lambda heights: np.full_like(heights, -9999.0), "holds a height of -9999 m"),
        ("surface", lambda heights: np.full_like(heights, 8.0), "m under the ground .*above sea level"),
        ("surface", lambda heights: np.full_like(heights, -9999.0), "holds a height of -9999 m"),
    ],
)
def test_a_layer_that_cannot_be_meant_is_refused(tmp_path, name, wrong, reason):
    site, frontage, ground, heights, transform = layers(tmp_path)
    path = write(tmp_path / "layer.tif", wrong(heights), transform)
    with pytest.raises(TerrainError, match=f"layer.tif: .*{reason}"):
        read(ground, site, frontage, cell=10.0, **{name: path})


@pytest.mark.parametrize("name", ["surface", "canopy"])
def test_a_layer_has_to_say_where_it_is_and_in_what_as_the_ground_does(tmp_path, name):
    site, frontage, ground, heights, transform = layers(tmp_path)
    flat = heights if name == "surface" else np.full_like(heights, 5.0)
    for change, reason in (({"crs": None}, "no coordinate"), ({"crs": "EPSG:2274"}, "metres"), ({"units": "ft"}, "ft")):
        path = write(tmp_path / "layer.tif", flat, transform, **change)
        with pytest.raises(TerrainError, match=f"layer.tif.*{reason}"):
            read(ground, site, frontage, cell=10.0, **{name: path})
    elsewhere = write(tmp_path / "layer.tif", flat, transform, crs="EPSG:32636")
    for call in (read, check):
        with pytest.raises(TerrainError, match="all along it"):
            call(ground, site, frontage, **({"cell": 10.0} if call is read else {}), **{name: elsewhere})
    with pytest.raises(TerrainError, match="no such file"):
        check(ground, site, frontage, **{name: tmp_path / "missing.tif"})


def test_a_surface_partly_under_the_ground_is_cut_off_there_and_noted(tmp_path):
    site, frontage, ground, heights, transform = layers(tmp_path)
    sunk = heights.copy()
    sunk[:, : heights.shape[1] // 3] -= 3.0
    terrain = read(ground, site, frontage, cell=10.0, surface=write(tmp_path / "dsm.tif", sunk + 0.001, transform))
    (note,) = terrain.notes
    assert "dsm.tif: lies over 1 m under the ground in" in note
    assert (terrain.blocks_amsl >= terrain.ground_amsl).all()


def test_a_surface_far_above_all_of_the_ground_is_noted(tmp_path):
    # The difference between the ellipsoid and the geoid, say.
    site, frontage, ground, heights, transform = layers(tmp_path)
    terrain = read(ground, site, frontage, cell=10.0, surface=write(tmp_path / "dsm.tif", heights + 31.0, transform))
    assert "above the same sea level?" in terrain.notes[0]
