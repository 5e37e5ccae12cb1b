import errno
import json
import os
import stat

import numpy as np
import pytest
from matplotlib.image import imsave
from PIL import Image

from coverage_fixture import coverage
from dronewall import outputs
from dronewall.interop import geojson, raster
from dronewall.report import files, html, picture
from dronewall.report.files import OutputError

WRITERS = [
    ("wall.png", picture.write_png),
    ("report.html", html.write_html),
    ("gaps.geojson", geojson.write_geojson),
    ("coverage.tif", raster.write_geotiff),
]


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_an_earlier_output_is_replaced_and_nothing_else_is_left(tmp_path, name, write):
    path = tmp_path / "new folder" / name
    write(coverage(), path)
    first = path.stat().st_ino
    write(coverage(), path)
    assert path.stat().st_ino != first
    assert [entry.name for entry in path.parent.iterdir()] == [name]


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_a_file_that_is_not_ours_is_left_alone(tmp_path, name, write):
    path = tmp_path / name
    path.write_bytes(b"somebody's work, dronewall 1.0, made by dronewall")
    with pytest.raises(OutputError, match="was not made by dronewall"):
        write(coverage(), path)
    assert path.read_bytes() == b"somebody's work, dronewall 1.0, made by dronewall"
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_a_raster_and_a_collection_of_other_programs_are_not_ours(tmp_path):
    imsave(tmp_path / "other.png", np.zeros((4, 4)), metadata={"Software": "another program"})
    Image.fromarray(np.zeros((4, 4), dtype="uint8")).save(tmp_path / "other.tif")
    (tmp_path / "other.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    (tmp_path / "other.html").write_text("<!doctype html><title>dronewall</title>")
    for path in tmp_path.iterdir():
        with pytest.raises(OutputError):
            files.may_write(path)


def test_a_stamped_text_is_ours_until_somebody_edits_it(tmp_path):
    path = tmp_path / "site.toml"
    files.write_text(path, files.stamped('[site]\nname = "wall"\n'))
    files.may_write(path)
    with path.open("a") as file:
        file.write("# my own post\n")
    with pytest.raises(OutputError, match="edited since"):
        files.write_text(path, files.stamped("other"))


def test_an_interrupted_write_keeps_the_old_file_and_leaves_no_half_one(tmp_path):
    path = tmp_path / "site.toml"
    files.write_text(path, files.stamped("old"))
    before = path.read_bytes()

    def interrupted():
        with files.replacing(path) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_free_and_empty_places_may_be_written_and_folders_and_devices_may_not(tmp_path):
    files.may_write(tmp_path / "new.png")
    (tmp_path / "empty.png").touch()
    files.may_write(tmp_path / "empty.png")
    with pytest.raises(OutputError, match="is a folder"):
        files.may_write(tmp_path)
    with pytest.raises(OutputError, match="not a regular file"):
        files.may_write("/dev/null")


def test_a_place_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        files.write_text(tmp_path / "file" / "report.html", "text")


@pytest.mark.parametrize(
    "content",
    ["[" * 200_000 + "]" * 200_000, '{"dronewall": {"x": ' * 50_000 + "1" + "}}" * 50_000],
    ids=["array", "as if ours"],
)
def test_json_nested_without_end_is_not_ours(tmp_path, content):
    path = tmp_path / "gaps.geojson"
    path.write_text(content)
    with pytest.raises(OutputError, match=r"gaps\.geojson, not made by dronewall"):
        outputs.may_write(tmp_path)
    assert path.read_text() == content


def test_a_folder_that_cannot_be_written_into_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "gaps.geojson").symlink_to("gaps.geojson")
    for name, words in (
        ("loop", "loop: Too many levels of symbolic links"),
        ("loop/deeper", "Too many levels of symbolic links"),
        ("links", r"gaps\.geojson: Too many levels of symbolic links"),
        ("file", "^[^:]*file is a file; expected a folder"),
        ("file/deeper", "Not a directory"),
        ("a" * 300, "File name too long"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(OutputError, match=words):
            outputs.may_write(tmp_path / name)
    with pytest.raises(OutputError, match="symbolic links"):
        files.write_text(tmp_path / "loop", "x")
    # Whoever is root may write everywhere.
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(OutputError, match=f"new: {tmp_path} is not writable"):
        outputs.may_write(tmp_path / "new")


def test_a_link_is_followed_and_modes_are_the_users_own(tmp_path):
    (tmp_path / "link.toml").symlink_to(tmp_path / "real.toml")
    mask = os.umask(0o022)
    try:
        files.write_text(tmp_path / "link.toml", files.stamped("text"))
    finally:
        os.umask(mask)
    assert (tmp_path / "link.toml").is_symlink()
    assert stat.S_IMODE((tmp_path / "real.toml").stat().st_mode) == 0o644


def test_a_folder_names_all_that_is_not_ours_at_once_and_what_to_do(tmp_path):
    for name in ("gaps.geojson", "wall.png"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError) as refused:
        outputs.may_write(tmp_path)
    (line,) = str(refused.value).splitlines()
    assert "wall.png and gaps.geojson" in line
    assert "choose another folder with --out" in line


def test_a_disk_that_fills_up_leaves_the_old_file_and_says_so(tmp_path):
    path = tmp_path / "gaps.geojson"
    files.write_text(path, '{"type": "FeatureCollection", "dronewall": {"version": "1"}, "features": []}')
    before = path.read_bytes()

    def full() -> None:
        with files.replacing(path) as draft:
            draft.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(files.OutputError, match=r"gaps\.geojson: No space left"):
        full()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["gaps.geojson"]
