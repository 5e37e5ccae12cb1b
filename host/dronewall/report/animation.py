"""A Cycle as a film: the drones over the map with what they see, the frontage as it is watched at each moment, and
below it the whole cycle with the moment's line running down.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from dronewall.report import cycle as over
from dronewall.report import files, ribbon
from dronewall.report.colours import LOOKS, ROUTE, probability_rgba
from dronewall.report.ground import relief_rgb, window
from dronewall.report.picture_cycle import draw_watched
from dronewall.report.picture_labels import ALARM, FAINT, HALO, INK, Labels, plain, short
from dronewall.report.picture_map import furniture, kilometres

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle, TargetCycle

Pixels = NDArray[np.uint8]

_FRAMES = 150
"""No film has more."""
_FRAME_MS = 80
_DOTS = 100  # an inch
_WIDTH = 9.6  # inches
_LEFT, _RIGHT = 0.95, 0.2
_STRIP, _STRIP_FOOT, _HEAD = 1.25, 0.66, 0.62
_TRAIL = 90.0
"""A drone's way is drawn so many seconds back."""
_COLOURS = 128


def write_animation(
    cycle: Cycle,
    path: str | os.PathLike[str],
    progress: Callable[[int, int], None] | None = None,
    target: str | None = None,
) -> None:
    """Write a GIF of one target as expected, named or the first; where the name ends in .mp4 a film, for which the
    program ffmpeg has to be there.

    progress: called with the frames done and all of them. OutputError where `path` holds a file that is not ours, where
    there is no ffmpeg, or it fails; KeyError for a target that there is not.
    """
    of = _shown(cycle, target)
    kind = Path(path).suffix.lower()
    if kind not in (".gif", ".mp4"):
        raise files.OutputError(f"cannot write {path}: a film's name ends in .gif or .mp4")
    ffmpeg = shutil.which("ffmpeg") if kind == ".mp4" else None
    if kind == ".mp4" and ffmpeg is None:
        raise files.OutputError(f"cannot write {path}: a film as MP4 needs the program ffmpeg; a GIF needs none")
    with files.replacing(path) as draft:
        frames = _frames(cycle, of, progress)
        if ffmpeg is None:
            _write_gif(frames, draft, cycle)
        else:
            _write_mp4(frames, draft, cycle, ffmpeg)


def _shown(cycle: Cycle, target: str | None) -> TargetCycle:
    for of in cycle.targets:
        if target in (None, of.target.name):
            return of
    raise KeyError(f"no target {target}; there are {', '.join(dict.fromkeys(of.target.name for of in cycle.targets))}")


def steps_of(cycle: Cycle) -> list[int]:
    """The steps that have a frame: evenly, and no more than 150."""
    return list(range(0, cycle.steps, max(math.ceil(cycle.steps / _FRAMES), 1)))


def _write_gif(frames: Iterator[Pixels], path: Path, cycle: Cycle) -> None:
    """All frames with the same colours, so that only what moves is stored."""
    from PIL import Image

    palette = None
    pictures: list[Any] = []
    for pixels in frames:
        image = Image.fromarray(pixels)
        if palette is None:
            palette = _palette(image)
        drawn = image.quantize(palette=palette, dither=Image.Dither.NONE)
        indices = np.array(drawn)
        # Pillow looks colours up in coarse steps, and paper is to stay white
        indices[(pixels == 255).all(axis=2)] = 0
        pictures.append(Image.fromarray(indices))
        pictures[-1].putpalette(drawn.getpalette())
    pictures[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=_FRAME_MS,
        loop=0,
        optimize=True,  # what stays as it was is left out
        comment=f"{files.MAKER} {cycle.version} input {cycle.digest[:16]}".encode(),
    )


def _palette(image: Any) -> Any:
    """The most frequent colours of a frame, after white and others with a meaning, which are rare: an image to quantize
    by.
    """
    from matplotlib.colors import to_rgb
    from PIL import Image

    meant: list[tuple[float, ...]] = [
        to_rgb(colour) for colour in ("white", INK, FAINT, ALARM, ROUTE, *(look.colour for look in LOOKS.values()))
    ]
    # edges of lines: half way to white
    meant += [tuple((part + 1.0) / 2.0 for part in colour) for colour in meant[1:]]
    fixed = [round(255 * part) for colour in meant for part in colour]
    usual = image.quantize(_COLOURS - len(meant), dither=Image.Dither.NONE).getpalette()
    found = Image.new("P", (1, 1))
    found.putpalette(fixed + usual[: 3 * (_COLOURS - len(meant))])
    return found


def _write_mp4(frames: Iterator[Pixels], path: Path, cycle: Cycle, ffmpeg: str) -> None:
    first = next(frames)
    tall, wide, _ = first.shape
    command = [
        *(ffmpeg, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{wide}x{tall}"),
        *("-r", f"{1000 / _FRAME_MS:g}", "-i", "-", "-an", "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2"),
        *("-pix_fmt", "yuv420p", "-metadata", f"comment=made by {files.MAKER} {cycle.version}", str(path)),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        assert encoder.stderr is not None
        try:
            for pixels in (first, *frames):
                encoder.stdin.write(pixels.tobytes())
            encoder.stdin.close()
        except BrokenPipeError:
            pass  # what it did not like stands in its words
        said = encoder.stderr.read().decode(errors="replace").strip()
    if encoder.returncode != 0:
        raise files.OutputError(f"cannot write {path.name}: ffmpeg says {short(said, 300) or encoder.returncode}")


def _frames(cycle: Cycle, of: TargetCycle, progress: Callable[[int, int], None] | None) -> Iterator[Pixels]:
    """The pictures (rows, columns, red green blue), one after the other."""
    film = _Film(cycle, of)
    steps = steps_of(cycle)
    for done, step in enumerate(steps, 1):
        yield film.at(step)
        if progress is not None:
            progress(done, len(steps))


class _Film:
    """The still picture, drawn once, and what moves over it."""

    def __init__(self, cycle: Cycle, of: TargetCycle) -> None:
        self.cycle, self.of = cycle, of
        self.phases = over.phases(cycle)
        frame = over.frame(cycle)
        box = window(frame)
        shape = (box.north - box.south) / (box.east - box.west)
        if not 0.35 <= shape <= 0.75:
            box = window(frame, min(max(shape, 0.35), 0.75))
            shape = (box.north - box.south) / (box.east - box.west)
        wide = _WIDTH - 0.4
        shape = min(shape, 0.75)
        height = _STRIP_FOOT + _STRIP + 0.3 + wide * shape + _HEAD
        self.figure = Figure(figsize=(_WIDTH, height), dpi=_DOTS, facecolor="white")
        bottom = _STRIP_FOOT + _STRIP + 0.3
        map_axes = self.figure.add_axes((0.2 / _WIDTH, bottom / height, wide / _WIDTH, wide * shape / height))
        strip_wide = (_WIDTH - _LEFT - _RIGHT) / _WIDTH
        strip = self.figure.add_axes((_LEFT / _WIDTH, _STRIP_FOOT / height, strip_wide, _STRIP / height))
        self._map(map_axes, box)
        draw_watched(strip, cycle, of)
        strip.set_xlabel("km along the frontage", size=7.5, color=FAINT, labelpad=1, loc="left")
        site = cycle.ground.scenario.site
        top = 1.0 - 0.1 / height
        self.figure.text(
            0.2 / _WIDTH, top, plain(short(site.title or site.name, 60)), size=13, weight="bold", color=INK, va="top"
        )
        self._foot(height)
        self._moving(map_axes, strip, top, height)
        self.canvas = FigureCanvasAgg(self.figure)  # last: Labels make one of their own
        self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(self.figure.bbox)

    def _map(self, axes: Axes, box: Any) -> None:
        cycle, of = self.cycle, self.of
        frame = over.frame(cycle)
        terrain, frontage = frame.terrain, frame.frontage
        height = np.asarray(terrain.ground_amsl)[box.rows, box.columns]
        axes.imshow(relief_rgb(height, terrain.cell), extent=box.extent, origin="lower", interpolation="bilinear")
        rows, columns = cycle.ground.belt.slices
        west, south = terrain.west + columns.start * terrain.cell, terrain.south + rows.start * terrain.cell
        share = np.asarray(of.revisit.share)
        reach = (west, west + share.shape[1] * terrain.cell, south, south + share.shape[0] * terrain.cell)
        # pale, so that what moves stands out
        axes.imshow(
            probability_rgba(share) * (1.0, 1.0, 1.0, 0.6), extent=reach, origin="lower", interpolation="nearest"
        )
        axes.set(xlim=(box.west, box.east), ylim=(box.south, box.north), xticks=[], yticks=[])
        axes.set_aspect("equal", anchor="N")
        for spine in axes.spines.values():
            spine.set(color=FAINT, linewidth=0.7)
        belt = np.asarray(frontage.belt_outline())
        axes.add_patch(Polygon(belt, closed=True, fill=False, edgecolor=INK, linewidth=0.8, linestyle=(0, (5, 3))))
        axes.plot(*np.asarray(frontage.points).T, color="white", linewidth=6.0, solid_capstyle="round", zorder=4)
        if of.knowing is not None:
            way = (of.knowing.east, of.knowing.north)
            axes.plot(*way, color="white", linewidth=3.4, zorder=3.4)
            axes.plot(*way, color=ROUTE, linewidth=1.6, dashes=(2.4, 1.2), zorder=3.5)
        labels = Labels(axes)
        labels.avoid(ribbon.places(frontage, np.linspace(0, frontage.length, 200)), 3.0, 0.35)
        posts = np.array(list(frame.posts.values()), dtype=float)
        if len(posts):
            labels.avoid(posts, 7.0, 3.0)
            axes.plot(*posts.T, "o", markersize=5.5, markerfacecolor="white", markeredgecolor=INK, zorder=8)
        furniture(axes, np.asarray(of.stations.lane), box, labels)
        for name, place in frame.posts.items():
            labels.put(
                np.asarray(place, dtype=float),
                plain(name),
                size=8,
                weight="bold",
                color=INK,
                zorder=9,
                path_effects=HALO,
            )
        kilometres(axes, frontage, labels)

    def _foot(self, height: float) -> None:
        cycle, of = self.cycle, self.of
        thresholds = cycle.ground.scenario.thresholds
        said = (
            f"{over.name(of)}, {of.level}: watched where a look of {thresholds.look_s:g} s detects with "
            f"{thresholds.line_p:g} or more  ·  ground: share of the time watched  ·  modelled  ·  input "
            f"{cycle.digest[:12]}  ·  dronewall {cycle.version}"
        )
        self.figure.text(0.2 / _WIDTH, 0.08 / height, plain(said), size=6.5, color=FAINT)
        handles = [
            Line2D([], [], color=LOOKS["covered"].colour, linewidth=3.0, label="watched now"),
            Line2D([], [], color=ALARM, linewidth=5.0, label="not watched now"),
        ]
        if of.knowing is not None:
            handles.append(
                Line2D(
                    [],
                    [],
                    color=ROUTE,
                    linewidth=1.6,
                    dashes=(2.4, 1.2),
                    marker="o",
                    markeredgecolor="white",
                    label="who knows the schedule",
                )
            )
        if np.asarray(of.stations.unknown).any():
            handles.append(Line2D([], [], color=LOOKS["unknown"].colour, linewidth=3.0, dashes=(1, 1), label="unknown"))
        self.figure.legend(
            handles=handles,
            loc="lower right",
            fontsize=7.5,
            frameon=False,
            ncols=len(handles),
            borderaxespad=0.0,
            bbox_to_anchor=(1.0 - _RIGHT / _WIDTH, 0.2 / height),
        )

    def _moving(self, axes: Axes, strip: Axes, top: float, height: float) -> None:
        """What each frame changes; nothing of it is in the still picture."""
        looks = {"watched": LOOKS["covered"].colour, "open": ALARM, "unknown": LOOKS["unknown"].colour}
        self.line = {
            kind: LineCollection(
                [],
                colors=[colour],
                linewidths=5.0 if kind == "open" else 3.0,
                zorder=5,
                linestyles=[(0, (1, 1))] if kind == "unknown" else "solid",
                capstyle="butt",
            )
            for kind, colour in looks.items()
        }
        self.wedges = PolyCollection(
            [], facecolors=[(0.09, 0.13, 0.16, 0.16)], edgecolors=[INK], linewidths=0.9, linestyles="-.", zorder=6
        )
        self.trails = LineCollection([], colors=[INK], linewidths=1.2, alpha=0.55, zorder=7)
        for each in (*self.line.values(), self.wedges, self.trails):
            each.set_animated(True)
            axes.add_collection(each, autolim=False)
        (self.drones,) = axes.plot(
            [], [], "D", markersize=6.5, markerfacecolor=INK, markeredgecolor="white", zorder=9, animated=True
        )
        (self.walker,) = axes.plot(
            [], [], "o", color=ROUTE, markersize=7, markeredgecolor="white", zorder=9, animated=True
        )
        self.names = {
            drone: axes.annotate(
                plain(drone),
                (0.0, 0.0),
                (6, 5),
                textcoords="offset points",
                size=8,
                weight="bold",
                style="italic",
                color=INK,
                path_effects=HALO,
                zorder=10,
                animated=True,
            )
            for drone in self.phases
        }
        self.moment = strip.axhline(0.0, color=INK, linewidth=1.6, zorder=8, animated=True)
        self.clock = self.figure.text(
            1.0 - 0.2 / _WIDTH,
            top,
            "",
            size=14,
            weight="bold",
            color=INK,
            va="top",
            ha="right",
            family="DejaVu Sans Mono",
            animated=True,
        )
        self.doing = self.figure.text(
            0.2 / _WIDTH, top - 0.29 / height, "", size=8.5, color=INK, va="top", animated=True
        )
        self.axes, self.strip = axes, strip

    def at(self, step: int) -> Pixels:
        """The picture of one step (rows, columns, red green blue)."""
        from dronewall.engine.frustum import outline

        cycle = self.cycle
        time = (step + 0.5) * cycle.step
        flying = cycle.frusta[step]
        for kind, pieces in self._pieces(step).items():
            self.line[kind].set_segments(pieces)
        self.wedges.set_verts([outline(frustum) for frustum in flying.values()])
        places = {name.split("/")[0]: (frustum.east, frustum.north) for name, frustum in flying.items()}
        self.drones.set_data(*(np.array(list(places.values()), dtype=float).reshape(-1, 2).T))
        self.trails.set_segments([trail for drone in places if len(trail := self._trail(drone, step)) > 1])
        for drone, name in self.names.items():
            name.set_visible(drone in places)
            name.xy = places.get(drone, (0.0, 0.0))
        walker = None if self.of.knowing is None else over.walker_at(cycle, self.of.knowing, time)
        self.walker.set_data(*([part] for part in walker) if walker else ([], []))
        self.moment.set_ydata([time, time])
        self.clock.set_text(f"{over.moment(time)} of {over.moment(cycle.length)}")
        said = [over.doing(cycle, drone, phases[step], time) for drone, phases in self.phases.items()]
        self.doing.set_text(plain(short(" · ".join(said), 150)))
        self.canvas.restore_region(self.still)
        for artist in (*self.line.values(), self.wedges, self.trails, self.drones, self.walker, *self.names.values()):
            self.axes.draw_artist(artist)
        self.strip.draw_artist(self.moment)
        for text in (self.clock, self.doing):
            self.figure.draw_artist(text)
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()

    def _pieces(self, step: int) -> dict[str, list[NDArray[np.float64]]]:
        """The frontage in stretches that are watched at that step, that are not, and that are unknown."""
        of, frontage = self.of, self.cycle.ground.frontage
        state = np.where(of.stations.unknown, 2, np.where(of.watched[:, step], 0, 1))
        found: dict[str, list[NDArray[np.float64]]] = {"watched": [], "open": [], "unknown": []}
        cuts = [0, *(np.flatnonzero(np.diff(state)) + 1), len(state)]
        for first, after in itertools.pairwise(cuts):
            piece = ribbon.stretch(frontage, first * of.stations.step, after * of.stations.step)
            found[("watched", "open", "unknown")[state[first]]].append(piece)
        return found

    def _trail(self, drone: str, step: int) -> NDArray[np.float64]:
        """Where a drone was in the seconds before, as far as it was in the air."""
        cycle = self.cycle
        found = []
        for back in range(round(_TRAIL / cycle.step) + 1):
            if step - back < 0 and not cycle.periodic:
                break
            flying = cycle.frusta[(step - back) % cycle.steps]
            there = next((frustum for name, frustum in flying.items() if name.split("/")[0] == drone), None)
            if there is None:
                break
            found.append((there.east, there.north))
        return np.array(found, dtype=float).reshape(-1, 2)
