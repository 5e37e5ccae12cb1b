import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.image import imread
from matplotlib.text import Text

from coverage_fixture import coverage
from dronewall.report import picture
from dronewall.report.colours import LOOKS, probability_rgba

ALARM = np.array(colors.to_rgb(LOOKS["gap"].colour))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The figure, and its pixels (rows from the bottom) at 100 a inch."""
    path = tmp_path_factory.mktemp("picture") / "wall.png"
    picture.write_png(coverage(), path, dots_per_inch=100)
    figure = picture.figure_of(coverage())
    figure.set_dpi(100)
    figure.canvas.draw()
    return figure, imread(path)[::-1, :, :3]


def axes_of(figure, label):
    return next(axes for axes in figure.axes if axes.get_label() == label)


def alarm_at(drawn, axes, x, y, reach=1):
    """Whether a pixel within `reach` of the data point has the alarm colour."""
    _, pixels = drawn
    column, row = (int(value) for value in axes.transData.transform((x, y)))
    near = pixels[row - reach : row + reach + 1, column - reach : column + reach + 1]
    return bool((np.abs(near - ALARM).max(axis=-1) < 0.04).any())


def test_gaps_on_the_map_are_alarm_coloured_at_their_place_and_nowhere_else(drawn):
    axes = axes_of(drawn[0], "map")  # at 50 m the terrain is unknown: not an alarm
    for chainage, gap in (
        (1150, True),
        (1250, True),
        (1420, True),
        (1510, True),
        (1535, False),
        (1125, False),
        (700, False),
    ):
        assert alarm_at(drawn, axes, chainage, 0.0) is gap, chainage
    # a line gap alone is hollow: alarm along its sides, not in its middle
    for east, north, gap in (
        (2000.0, 625.0, False),
        (2005.5, 625.0, True),
        (1994.5, 625.0, True),
        (2005.5, 500, False),
    ):
        assert alarm_at(drawn, axes, east, north) is gap, (east, north)


def test_the_weakest_route_goes_over_the_frontage_at_its_place_and_the_other_is_thinner(drawn):
    axes = axes_of(drawn[0], "map")
    lines = {line.get_label(): line for line in axes.lines if "route" in str(line.get_label())}
    assert set(lines) == {"weakest route", "bottleneck route"}
    assert set(lines["weakest route"].get_xdata()) == {1305.0}
    assert lines["weakest route"].get_linewidth() > lines["bottleneck route"].get_linewidth()
    said = [text.get_text() for text in axes.texts]
    assert "weakest 2 %\nat km 1.30" in said
    same = picture.figure_of(dataclasses.replace(coverage(), targets=coverage().targets[1:]))
    assert "bottleneck route" not in {line.get_label() for line in axes_of(same, "map").lines}


def test_gaps_in_the_ribbon_stand_at_their_chainage_in_their_row(drawn):
    axes = axes_of(drawn[0], "ribbon")
    names = ("walker line", "walker lane", "walker breach", "low-drone line")
    rows = dict(zip(names, axes.get_yticks(), strict=False))
    for name, kilometre, gap in (
        ("walker line", 1.21, True),
        ("walker line", 1.39, True),
        ("walker line", 1.17, False),
        ("walker line", 1.43, False),
        ("walker line", 2.625, True),
        ("walker lane", 1.17, True),
        ("walker lane", 1.48, True),
        ("walker lane", 1.53, False),
        ("walker breach", 1.145, True),
        ("walker breach", 1.515, True),
        ("walker breach", 1.535, False),
        ("low-drone line", 1.3, False),
    ):
        assert alarm_at(drawn, axes, kilometre, rows[name]) is gap, (name, kilometre)


def test_the_map_keeps_its_proportions_and_holds_belt_posts_and_sensors(drawn):
    axes = axes_of(drawn[0], "map")
    (x0, y0), (x1, y1) = axes.transData.transform([(0.0, 0.0), (1000.0, 1000.0)])
    assert x1 - x0 == pytest.approx(y1 - y0, rel=0.01)
    west, east = axes.get_xlim()
    south, north = axes.get_ylim()
    assert west <= 0.0
    assert east >= 2150.0
    assert south <= -150.0
    assert north >= 1000.0


def test_labels_of_posts_and_gaps_do_not_cover_each_other(drawn):
    figure, _ = drawn
    axes = axes_of(figure, "map")
    renderer = figure.canvas.get_renderer()
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in axes.texts if text.get_text().strip()}
    assert {"P1", "P2", "P3", "P4", "D1", "1", "2", "3", "threat side", "grid north"} <= set(boxes)
    named = list(boxes.items())
    for index, (name, box) in enumerate(named):
        for other, second in named[index + 1 :]:
            across = min(box.x1, second.x1) - max(box.x0, second.x0)
            down = min(box.y1, second.y1) - max(box.y0, second.y0)
            assert across <= 1 or down <= 1, (name, other)


def test_no_text_leaves_the_picture(drawn):
    figure, _ = drawn
    renderer = figure.canvas.get_renderer()
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            box = text.get_window_extent(renderer)
            assert box.x0 >= -1, text.get_text()
            assert box.x1 <= figure.bbox.width + 1, text.get_text()


def test_the_picture_says_what_it_depends_on(drawn):
    said = "\n".join(text.get_text() for text in drawn[0].texts)
    for part in (
        "Test wall",
        "walker",
        "expected over the sensors' errors",
        "2026-03-01 12:00:00 UTC",
        "1.2.3",
        "0123456789abcdef",
        "posting 90 m",
        "P < 0.5",
    ):
        assert part in said


def test_title_and_sentence_say_which_moment_of_the_drones_plan_it_is():
    figure = picture.figure_of(dataclasses.replace(coverage(), at_s=700.0))
    said = [text.get_text() for text in figure.texts]
    assert len([text for text in said if "t 11:40 of the drones' plan" in text]) == 2


def test_a_dollar_sign_or_an_unprintable_name_is_drawn_as_it_stands():
    posts = {"$\\frac{1}{0}$": (200.0, 0.0), "P\x00": (900.0, 0.0), "<b>": (1700.0, 0.0)}
    figure = picture.figure_of(coverage(posts=posts))
    figure.canvas.draw()
    drawn = {text.get_text() for text in axes_of(figure, "map").texts}
    assert {r"\$\frac{1}{0}\$", "P?", "<b>"} <= drawn


def test_a_wall_without_posts_gaps_or_sensors_is_drawn():
    wall = coverage()
    bare = tuple(dataclasses.replace(target, gaps=()) for target in wall.targets)
    figure = picture.figure_of(dataclasses.replace(wall, targets=bare, sensors=(), posts={}))
    figure.canvas.draw()
    assert {text.get_text() for text in axes_of(figure, "map").texts} & {"P1", "D1"} == set()


def test_nothing_of_pyplot_is_needed():
    code = "import sys, dronewall.report.picture; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_more_probability_is_darker_and_unknown_is_transparent():
    rgba = probability_rgba(np.array([0.05, 0.3, 0.6, 0.9, np.nan, 0.0]))
    over_grey = (rgba[:, :3] * rgba[:, 3:] + 0.8 * (1 - rgba[:, 3:])) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(over_grey[:4]) < -0.05).all()
    assert (rgba[4:, 3] == 0).all()


def test_the_words_of_a_long_flat_frontage_go_below_its_map():
    wall = coverage()
    straight = dataclasses.replace(wall.frontage, points=np.array([[-400.0, 0.0], [2600.0, 0.0]]))
    figure = picture.figure_of(
        dataclasses.replace(wall, ground=dataclasses.replace(wall.ground, frontage=straight), posts={}, sensors=())
    )
    top = max(axes.get_position().y1 for axes in figure.axes if axes.get_label() == "words")
    assert top < axes_of(figure, "map").get_position().y0
    beside = picture.figure_of(wall)
    left = min(axes.get_position().x0 for axes in beside.axes if axes.get_label() == "words")
    assert left > axes_of(beside, "map").get_position().x1
