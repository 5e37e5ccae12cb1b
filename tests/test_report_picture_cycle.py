import dataclasses

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.image import imread

from cycle_fixture import cycle, nobody_flies, wall
from dronewall.report import files, picture_cycle
from dronewall.report.colours import LOOKS

ALARM = np.array(colors.to_rgb(LOOKS["gap"].colour))


@pytest.fixture(scope="module")
def found():
    """A cycle in which the walker is open from 1500 to 1800 m for who sets out from 300 to 600 s, and nowhere else."""
    made = cycle(wall(assured=True))
    chances = np.full(made.targets[0].crossing_p.shape, 0.9)
    chances[150:180, 15:30] = 0.1
    walker = dataclasses.replace(made.targets[0], crossing_p=chances)
    return dataclasses.replace(made, targets=(walker, *made.targets[1:]))


@pytest.fixture(scope="module")
def drawn(found, tmp_path_factory):
    """The figure, and its pixels (rows from the bottom) at 100 a inch."""
    path = tmp_path_factory.mktemp("picture") / "cycle.png"
    picture_cycle.write_chart(found, path, dots_per_inch=100)
    figure = picture_cycle.figure_of(found)
    figure.set_dpi(100)
    figure.canvas.draw()
    return figure, imread(path)[::-1, :, :3]


def axes_of(figure, label):
    return next(axes for axes in figure.axes if axes.get_label() == label)


def pixels_at(drawn, axes, x, y, reach):
    column, row = (int(value) for value in axes.transData.transform((x, y)))
    return drawn[1][row - reach : row + reach + 1, column - reach : column + reach + 1].reshape(-1, 3)


def test_what_is_open_is_hatched_at_its_place_and_its_time(drawn):
    axes = axes_of(drawn[0], "expected")
    for km, time, open_ in ((1.65, 450.0, True), (1.65, 200.0, False), (1.65, 700.0, False), (2.4, 450.0, False)):
        near = pixels_at(drawn, axes, km, time, 8)
        # vermilion lines on their tint: redder than blue; elsewhere P is 0.9, blue
        red = near[:, 0] - near[:, 2]
        assert bool((red > 0.1).mean() > 0.2) is open_, (km, time)


def test_time_runs_down_and_kilometres_are_the_ribbons(drawn, found):
    for label in ("watched", "expected", "assured"):
        axes = axes_of(drawn[0], label)
        assert axes.get_ylim() == (1200.0, 0.0)
        assert axes.get_xlim() == (0.0, 3.0)
    lefts = {
        round(axes_of(drawn[0], label).get_position().x0, 6) for label in ("share", "longest", "watched", "expected")
    }
    assert lefts == {round(1.35 / 13.0, 6)}  # as in the picture of the wall


def test_the_drones_ways_are_lines_over_chainage(drawn):
    lines = {line.get_label(): line for line in axes_of(drawn[0], "watched").get_lines()}
    assert {"D1", "D2", "D3"} <= set(lines)
    km, times = lines["D1"].get_data()
    at = np.argmin(np.abs(times - 282.5))
    assert km[at] == pytest.approx(1.5 - 2.5 * 5.0 / 1000.0)  # its turn is at 280 s; 5 m/s
    assert len({str(lines[name]._unscaled_dash_pattern) for name in ("D1", "D2", "D3")}) == 3


def test_the_small_print_names_the_drones_that_nobody_hears(found):
    figure = picture_cycle.figure_of(dataclasses.replace(found, source="live", silent=("D2",)))
    (last,) = [text for text in figure.texts if "nobody hears" in text.get_text()]
    assert "Left out, for nobody hears of them: D2." in last.get_text()
    assert "not as reported" in last.get_text()
    figure.set_dpi(100)
    figure.canvas.draw()
    assert last.get_window_extent().x1 < figure.bbox.x1


def test_a_level_that_was_not_computed_has_no_panel():
    figure = picture_cycle.figure_of(cycle(wall()))
    assert "assured" not in [axes.get_label() for axes in figure.axes]


def test_each_target_has_its_picture_and_an_unknown_one_is_refused(found):
    figure = picture_cycle.figure_of(found, "low-drone")
    assert any("low-drone" in text.get_text() for text in figure.texts)
    with pytest.raises(KeyError, match="no target nobody; there are walker, low-drone"):
        picture_cycle.figure_of(found, "nobody")


def test_the_picture_is_written_over_its_own_and_over_nobody_elses(found, tmp_path):
    path = tmp_path / "cycle.png"
    picture_cycle.write_chart(found, path, dots_per_inch=40)
    picture_cycle.write_chart(found, path, dots_per_inch=40)
    path.write_bytes(b"mine")
    with pytest.raises(files.ForeignError):
        picture_cycle.write_chart(found, path)


def test_nobody_who_can_cross_leaves_the_marks_out():
    made = cycle(wall())
    nobody = dataclasses.replace(
        made.targets[0],
        knowing=None,
        unknowing=None,
        openings=(),
        crossing_p=np.full(made.targets[0].crossing_p.shape, np.nan),
    )
    figure = picture_cycle.figure_of(dataclasses.replace(made, targets=(nobody,)))
    figure.canvas.draw()
    assert not [text for axes in figure.axes for text in axes.texts if "knows" in text.get_text()]


def test_a_cycle_without_a_drone_in_the_air_and_with_one_time_of_setting_out_is_drawn():
    figure = picture_cycle.figure_of(nobody_flies())
    figure.canvas.draw()
    assert not axes_of(figure, "watched").get_lines()
