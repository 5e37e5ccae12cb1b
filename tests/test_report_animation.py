import dataclasses
import os
import stat

import numpy as np
import pytest
from matplotlib import colors
from PIL import Image

from cycle_fixture import STEPS, cycle, nobody_flies, wall
from dronewall.report import animation, files
from dronewall.report.colours import LOOKS, ROUTE


@pytest.fixture(scope="module")
def found():
    return cycle(wall())


@pytest.fixture(scope="module")
def written(found, tmp_path_factory):
    """A film of every tenth step, and what was told of its progress."""
    told = []
    path = tmp_path_factory.mktemp("film") / "cycle.gif"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(animation, "_FRAMES", 24)
        animation.write_animation(found, path, lambda done, every: told.append((done, every)))
    return path, told


def near(pixels, colour, reach=0.08):
    """Where a picture has a colour."""
    return np.abs(pixels / 255.0 - np.array(colors.to_rgb(colour))).max(axis=-1) < reach


def test_a_film_has_no_more_than_150_frames_and_begins_with_the_first_step(found):
    steps = animation.steps_of(found)
    assert steps == list(range(0, STEPS, 2))
    assert animation.steps_of(dataclasses.replace(found, steps=150)) == list(range(150))
    assert len(animation.steps_of(dataclasses.replace(found, steps=10_800))) <= 150


def test_the_film_is_small_and_tells_its_progress(written):
    path, told = written
    assert path.stat().st_size < 1_000_000
    assert told == [(done, 24) for done in range(1, 25)]
    with Image.open(path) as film:
        assert film.n_frames == 24
        assert film.info["comment"].startswith(b"dronewall 1.2.3 ")
        assert film.info["loop"] == 0


def test_the_frontage_turns_where_a_drone_comes_to_watch_it(found):
    film = animation._Film(found, found.targets[0])
    axes = film.axes

    def colours_at(step):
        pixels = film.at(step)
        column, row = axes.transData.transform((1250.0, 0.0))  # in a line gap that D1 passes
        part = pixels[len(pixels) - int(row) - 3 : len(pixels) - int(row) + 4, int(column) - 3 : int(column) + 4]
        return near(part, LOOKS["gap"].colour).any(), near(part, LOOKS["covered"].colour).any()

    # 5 m/s from 300 m at 40 s: within 150 m of 1250 m from 200 to 260 s, then from 300 to 360 s
    assert colours_at(36) == (True, False)
    assert colours_at(46) == (False, True)
    assert colours_at(56) == (True, False)


def test_the_walker_is_drawn_only_while_he_is_under_way(found):
    film = animation._Film(found, found.targets[0])
    way = found.targets[0].knowing
    before = film.at(int(way.sets_out / 5.0) - 3)
    under_way = film.at(int(way.sets_out / 5.0) + 3)
    assert near(under_way, ROUTE).sum() > near(before, ROUTE).sum() + 20


def test_a_film_is_written_over_its_own_and_over_nobody_elses(found, written, tmp_path):
    path = tmp_path / "mine.gif"
    path.write_bytes(written[0].read_bytes())
    files.may_write(path)
    Image.new("P", (4, 4)).save(path, comment=b"of mine")
    with pytest.raises(files.ForeignError):
        animation.write_animation(found, path)


def test_a_film_of_another_kind_or_without_its_program_is_refused_before_any_work(found, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(files.OutputError, match=r"a film's name ends in \.gif or \.mp4"):
        animation.write_animation(found, tmp_path / "film.avi")
    with pytest.raises(files.OutputError, match="needs the program ffmpeg; a GIF needs none"):
        animation.write_animation(found, tmp_path / "film.mp4")
    with pytest.raises(KeyError, match="no target nobody"):
        animation.write_animation(found, tmp_path / "film.gif", target="nobody")
    assert os.listdir(tmp_path) == []


def program(folder, text):
    """A stand-in for ffmpeg, which this machine may not have."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_program_gets_every_frame_and_its_failure_is_told(found, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(animation, "_FRAMES", 3)
    # the last argument is the file, the metadata stands before it
    program(tmp_path, 'for last; do :; done\n{ printf "....ftyp%s" "$*"; wc -c; } > "$last"')
    path = tmp_path / "film.mp4"
    animation.write_animation(found, path)
    content = path.read_text()
    assert "made by dronewall 1.2.3" in content
    size = content.split(" -s ")[1].split(" ")[0]
    wide, tall = (int(part) for part in size.split("x"))
    assert content.endswith(f"{3 * wide * tall * 3}\n")
    animation.write_animation(found, path)  # its own
    content = path.read_text()
    program(tmp_path, "echo no such codec >&2; exit 1")
    with pytest.raises(files.OutputError, match="ffmpeg says no such codec"):
        animation.write_animation(found, path)
    assert path.read_text() == content
    path.write_bytes(b"....ftypisom")
    with pytest.raises(files.ForeignError):
        animation.write_animation(found, path)


def test_a_cycle_without_a_drone_in_the_air_makes_a_film(tmp_path, monkeypatch):
    monkeypatch.setattr(animation, "_FRAMES", 2)
    animation.write_animation(nobody_flies(), tmp_path / "film.gif")
    assert (tmp_path / "film.gif").stat().st_size > 0
