"""hardware/render.py and meshes.py: what is near hides what is far, and shapes have the sizes of their names."""

import math
import subprocess
import sys

import numpy as np
import pytest

from conftest import require
from firmware_side import ROOT

sys.path.insert(0, str(ROOT / "hardware"))
import meshes
import plan
import render

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def volume(triangles):
    """By the divergence theorem: right only where the surface is closed and looks outwards."""
    return np.einsum("ij,ij->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])) / 6


def test_blocks_rods_and_domes_are_closed_and_as_large_as_they_are_called():
    assert volume(meshes.block((1, 2, 3), (4, 6, 8), RED).triangles) == pytest.approx(3 * 4 * 5)
    # A prism of 48 sides, and a frustum of it: h / 3 (A + B + sqrt(A B)).
    area = 48 / 2 * 5**2 * math.sin(2 * math.pi / 48)
    assert volume(meshes.rod((1, 1, 1), (1, 1, 8), 10, RED).triangles) == pytest.approx(7 * area)
    assert volume(meshes.rod((0, 0, 0), (3, 4, 0), 10, RED).triangles) == pytest.approx(5 * area)
    cone = volume(meshes.rod((0, 0, 0), (0, 0, 6), 10, RED, tip=0.5).triangles)
    assert cone == pytest.approx(2 * area * (1 + 0.25 + 0.5))
    ball = volume(meshes.dome((0, 0, 0), 18, RED).triangles)
    assert ball == pytest.approx(2 / 3 * math.pi * 9**3, rel=0.03)


@pytest.mark.parametrize(
    ("view", "seen"),
    [((0, 0), RED), ((180, 0), BLUE)],  # from ahead, from behind
)
def test_what_is_near_hides_what_is_far(view, seen):
    ahead, behind = meshes.block((10, -5, 0), (12, 5, 10), RED), meshes.block((-12, -5, 0), (-10, 5, 10), BLUE)
    for order in ([ahead, behind], [behind, ahead]):
        image, extent = render.picture(order, render.View(*view), 4.0)
        middle = image[image.shape[0] // 2, image.shape[1] // 2]
        assert np.argmax(middle[:3]) == np.argmax(seen)
        assert middle[:3].sum() == pytest.approx(middle[np.argmax(seen)])  # nothing of the other
        assert image[0, 0, 3] == 0  # around it nothing
        assert extent[1] - extent[0] == pytest.approx(14, abs=1 / 4)  # 10 mm and 2 on each side


def test_up_is_up_and_the_left_of_who_comes_towards_us_is_on_our_right():
    view = render.View(0, 0)  # the camera is ahead of the box
    assert view.seen(np.array((0.0, 0.0, 1.0))) == pytest.approx((0, 1, 0), abs=1e-12)
    assert view.seen(np.array((0.0, 1.0, 0.0))) == pytest.approx((1, 0, 0), abs=1e-12)
    assert view.seen(np.array((1.0, 0.0, 0.0))) == pytest.approx((0, 0, 1), abs=1e-12)
    high = render.View(0, 90)
    assert high.seen(np.array((0.0, 0.0, 1.0)))[2] == pytest.approx(1)


@pytest.mark.parametrize("data", [b"", b"solid text\nendsolid\n", bytes(84), bytes(80) + b"\2\0\0\0" + bytes(50)])
def test_a_file_that_is_no_stl_is_refused(tmp_path, data):
    (tmp_path / "body.stl").write_bytes(data)
    with pytest.raises(plan.EnclosureError, match="expected of a binary STL file"):
        meshes.read_stl(tmp_path / "body.stl")


@pytest.mark.soak
def test_the_pictures_are_drawn_from_real_parts(tmp_path):
    python = require("build123d")
    for command in (
        [python, ROOT / "hardware" / "enclosure.py", "--output", tmp_path / "parts"],
        [sys.executable, ROOT / "hardware" / "render.py", "--parts", tmp_path / "parts", "--output", tmp_path],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    for name in render.PICTURES:
        assert (tmp_path / f"{name}.png").stat().st_size > 50_000
        assert (tmp_path / f"{name}.svg").stat().st_size > 50_000
