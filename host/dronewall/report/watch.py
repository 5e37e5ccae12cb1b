"""A wall as it goes on, line by line: gaps that open and close, sensors that come and go, and the ribbon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from dronewall.report import ribbon as straight
from dronewall.report.colours import LOOKS
from dronewall.report.figures import metres, percent, span, utc
from dronewall.report.table import Ribbon
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.gaps import Gap
    from dronewall.engine.wall import Coverage

_COLUMNS = 100  # of the frontage, by which two ribbons are compared


def gap(at_unix_ms: int, what: str, one: Gap, into: str = "", now: Coverage | None = None) -> RenderableType:
    """`12:00:05Z  opened  walker line km 3.42–4.10, 680 m, least 3 %, near P4, P5  (walker-expected-line-03420)`.

    One that closed because it is part of another now has *joined* it; now: where that one reaches.
    """
    text = Text(f"{_clock(at_unix_ms)}  ")
    whole = next((gap for target in now.targets for gap in target.gaps if gap.id == into), None) if now else None
    if whole is not None:
        into = f"{into}: km {span(whole)}, {metres(whole.length)}"
    what = "joined" if what == "closed" and into else what
    text.append(what, style=LOOKS["covered" if what == "closed" else "gap"].terminal)
    near = f", near {', '.join(one.nearest_posts)}" if one.nearest_posts else ""
    least = f", least {percent(one.probability_least)}" if what == "opened" else ""
    text.append(clean(f"  {one.target} {one.kind} km {span(one)}, {metres(one.length)}{least}{near}"), style="default")
    return text.append(clean(f"  ({one.id}{f', now part of {into}' if into else ''})"), style="dim")


def sensors(before: Coverage | None, now: Coverage) -> list[RenderableType]:
    """A line for each sensor whose state is another one than before; at first, for each that is not heard."""
    assert now.at_unix_ms is not None
    were = {} if before is None else {sensor.name: sensor.state for sensor in before.sensors}
    lines: list[RenderableType] = []
    for sensor in now.sensors:
        if sensor.state != were.get(sensor.name, "heard"):
            note = f": {sensor.note}" if sensor.note else ""
            lines.append(Text(clean(f"{_clock(now.at_unix_ms)}  sensor  {sensor.name} is {sensor.state}{note}")))
    return lines


def ribbon(before: Coverage | None, now: Coverage) -> RenderableType | None:
    """The ribbon, where a gap that is expected shows another way in it than before; who moves and who weakens does not
    count, or it would come with every drone's report.
    """
    return None if before is not None and _columns(before) == _columns(now) else Ribbon(now)


def _columns(coverage: Coverage) -> list[list[bool]]:
    length = float(coverage.frontage.length)
    return [
        [state == "gap" for state in straight.columns(straight.runs(coverage, target, kind), length, _COLUMNS)]
        for target, kind in straight.rows(coverage)
        if target.level == "expected"
    ]


def _clock(at_unix_ms: int) -> str:
    return str(utc(at_unix_ms))[11:]
