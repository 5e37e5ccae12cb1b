"""The files of an answer: which there are, and how a folder gets all of them or a clear refusal before any work is
done.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dronewall.report import files
from dronewall.report.findings import NOTHING, Findings

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle
    from dronewall.engine.wall import Coverage

NAMES = ("wall.png", "report.html", "gaps.geojson", "coverage.tif")
"""What a folder gets: picture, page, gaps for a map, coverage as a raster."""


def may_write(folder: Path, names: Sequence[str] = NAMES) -> None:
    """Return if every output may be written into `folder`; OutputError (nothing changed) says which may not."""
    files.may_fill(folder)
    foreign, wrong = [], []
    for name in names:
        try:
            files.may_write(folder / name)
        except files.ForeignError:
            foreign.append(name)
        except files.OutputError as error:
            wrong.append(str(error))
    if foreign:
        wrong.append(
            f"{folder} holds {' and '.join(foreign)}, not made by dronewall (or edited since) and left alone: "
            "choose another folder with --out, or move what is yours away"
        )
    if wrong:
        raise files.OutputError("\n".join(wrong))


def write(
    coverage: "Coverage", folder: Path, progress: Callable[[str], None] | None = None, found: Findings = NOTHING
) -> list[Path]:
    """The absolute paths of the outputs, all written anew; OutputError where one may not be. progress: told each
    name before its turn. found: what they tell besides the coverage.
    """
    may_write(folder)
    from dronewall.interop import geojson, raster
    from dronewall.report import html, picture

    writers: tuple[Callable[[Path], None], ...] = (
        lambda path: picture.write_png(coverage, path, found),
        lambda path: html.write_html(coverage, path, found, found.cycle),
        lambda path: geojson.write_geojson(coverage, path, found),
        lambda path: raster.write_geotiff(coverage, path),
    )
    written = []
    for name, writer in zip(NAMES, writers, strict=True):
        if progress is not None:
            progress(name)
        writer(folder / name)
        written.append((folder / name).resolve())
    return written


def patrol_names(film: str) -> tuple[str, ...]:
    """What a folder gets of a cycle: picture, openings and ways for a map, revisit as a raster, and the film of that
    kind, "none" of none.
    """
    return ("patrol.png", "patrol.geojson", "patrol.tif", *(() if film == "none" else (f"patrol.{film}",)))


def write_patrol(
    cycle: "Cycle", folder: Path, film: str, target: str | None, progress: Callable[[str], None]
) -> list[Path]:
    """The absolute paths of a cycle's files, picture and film of one target, None: the first; OutputError where one may
    not be written. progress: told what is written.
    """
    may_write(folder, patrol_names(film))
    from dronewall.interop import geojson_cycle, raster
    from dronewall.report import animation, picture_cycle

    def animated(path: Path) -> None:
        told = f"writing {path.name}, frame"
        animation.write_animation(cycle, path, lambda done, of: progress(f"{told} {done}/{of}"), target)

    writers: tuple[Callable[[Path], None], ...] = (
        lambda path: picture_cycle.write_chart(cycle, path, target),
        lambda path: geojson_cycle.write_cycle_geojson(cycle, path),
        lambda path: raster.write_revisit(cycle, path),
        animated,
    )
    written = []
    for name, writer in zip(patrol_names(film), writers, strict=False):
        progress(f"writing {name}")
        writer(folder / name)
        written.append((folder / name).resolve())
    return written
