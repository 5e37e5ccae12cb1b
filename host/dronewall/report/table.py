"""What a terminal shows of a Coverage, as rich renderables: the ribbon, the gaps, the sensors and one
sentence.

Every line reads without colour and fits into 80 columns; a terminal that knows no Unicode gets ASCII glyphs.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from dronewall.report import ribbon as straight
from dronewall.report.colours import LOOKS
from dronewall.report.figures import (
    assurance,
    at_once,
    clean,
    counted,
    level,
    metres,
    notes,
    number_of,
    percent,
    posting,
    sensors_phrase,
    sentence,
    span,
    troubled,
    utc,
)

if TYPE_CHECKING:
    from dronewall.engine.gaps import Gap
    from dronewall.engine.wall import Coverage, TargetCoverage

_ALIKE = 3
"""As many sensors in one state for one reason are listed one by one; more in one line."""


class Ribbon:
    """The frontage as rows of glyphs over the terminal's width: posts above, a row per target, level and kind, km
    below.
    """

    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        coverage = self.coverage
        length = float(coverage.frontage.length)
        rows = straight.rows(coverage)
        several = len({target.target.name for target in coverage.targets}) > 1
        widest = max((len(target.target.name) + 1 for target, _ in rows), default=0) if several else 0
        # a long name must not eat the ribbon
        label = min(widest, max(options.max_width // 3 - 5, 4)) + 5
        if any(target.level == "assured" for target, _ in rows):
            label = max(label, len("assured lane") + 1)
        count = max(options.max_width - label - 1, 10)
        marker, tick = ("|", "|") if options.ascii_only else ("▾", "╵")
        for line in _post_rows(
            [(clean(name), at) for name, at in straight.post_chainages(coverage)], length, count, marker
        ):
            yield from _row("", label, [(line, "")])
        for target, kind in rows:
            states = straight.columns(straight.runs(coverage, target, kind), length, count)
            cells = [
                (
                    (LOOKS[state].ascii if options.ascii_only else LOOKS[state].glyph) * len(list(same)),
                    LOOKS[state].terminal,
                )
                for state, same in groupby(states)
            ]
            if target.level == "assured":
                title = f"assured {kind}"
            elif several and kind == straight.KINDS[0]:
                title = f"{target.target.name[: label - 6].rstrip()} {kind}"
            else:
                title = kind
            yield from _row(title, label, cells)
        for index, line in enumerate(_scale_rows(length, count, tick)):
            yield from _row("km" if index else "", label, [(line, "")])
        key = []
        for state in LOOKS:
            look = LOOKS[state]
            key += [
                (look.ascii if options.ascii_only else look.glyph, look.terminal),
                (f" {look.word}   ", ""),
            ]
        yield from _row("", label, key)


def headline(coverage: Coverage) -> RenderableType:
    """The totals, a line per target and level."""
    lines = []
    rows = [target for target, kind in straight.rows(coverage) if kind == straight.KINDS[0]]
    widest = max((len("assured" if target.level == "assured" else target.target.name) for target in rows), default=0)
    for target in rows:
        name = "assured" if target.level == "assured" else target.target.name
        text = Text(f"{name.ljust(widest)}  ", style="bold")
        text.append(f"covered {percent(target.covered_share)}", style="default")
        if target.unknown_share > 0:
            text.append(f", unknown {percent(target.unknown_share)}")
        for kind in straight.KINDS:
            listed = straight.gaps(target, kind)
            if not listed:
                text.append(f"; no {kind} gap", style="default")
                continue
            longest = max(gap.length for gap in listed)
            total = sum(gap.length for gap in listed)
            text.append(f"; {number_of(len(listed), f'{kind} gap')} ", style="default")
            text.append(metres(total), style=LOOKS["gap"].terminal)
            if len(listed) > 1:
                text.append(f" (longest {metres(longest)})", style="default")
        lines.append(text)
    return Group(*lines)


def gaps(coverage: Coverage) -> RenderableType:
    """The table of the gaps to be expected, in the order of the map's numbers."""
    listed = straight.numbered(coverage)
    found = [each for each in listed if each[1].level == "expected"]
    if not found:
        return Text("No gaps expected." if listed else "No gaps.")
    spare = ("mean", "posts", "least")  # what a narrow terminal does without, in this order
    return _Fitting([_gap_table(coverage, found, spare[:count]) for count in range(len(spare) + 1)])


class _Fitting:
    """The first of some tables, from the fullest to the leanest, whose words need not be broken."""

    def __init__(self, tables: list[Table]) -> None:
        self.tables = tables

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in self.tables:
            if Measurement.get(console, options.update(max_width=1000), table).minimum <= options.max_width:
                break
        yield table


def _gap_table(coverage: Coverage, found: list[tuple[int, TargetCoverage, Gap]], left_out: tuple[str, ...]) -> Table:
    several = len({target.target.name for target in coverage.targets}) > 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("km", no_wrap=True)
    table.add_column("length", justify="right", no_wrap=True)
    if "least" not in left_out:
        table.add_column("least", justify="right", no_wrap=True)
    if "mean" not in left_out:
        table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    if several:
        table.add_column("target", overflow="fold")
    if "posts" not in left_out:
        table.add_column("posts", overflow="fold")
    table.add_column("notes", overflow="fold")
    before = None
    for number, target, gap in found:
        group = (target.target.name, gap.kind)
        if before not in (None, group):
            table.add_section()
        before = group
        row: list[RenderableType] = [
            str(number),
            span(gap),
            Text(metres(gap.length), style=LOOKS["gap"].terminal),
        ]
        if "least" not in left_out:
            row.append(percent(gap.probability_least))
        if "mean" not in left_out:
            row.append(percent(gap.probability_mean))
        row.append(gap.kind)
        if several:
            row.append(Text(clean(target.target.name)))
        if "posts" not in left_out:
            row.append(Text(clean(", ".join(gap.nearest_posts))))
        row.append(Text(", ".join(notes(gap))))
        table.add_row(*row)
    return table


def sensors(coverage: Coverage) -> RenderableType:
    """How many sensors count, and those that somebody should look after, with the reason."""
    shown = troubled(coverage)
    head = Text(sensors_phrase(coverage) + (":" if shown else "."))
    if not shown:
        return head
    counting = {sensor.name for sensor in counted(coverage)}
    table = Table(box=None, show_header=False, pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    alike: dict[tuple[str, str], list[str]] = {}
    for sensor in shown:
        alike.setdefault((sensor.state, sensor.note), []).append(sensor.name)
    for (state, note), names in alike.items():
        style = "default" if names[0] in counting else LOOKS["gap"].terminal
        # Many with one reason are one matter.
        together = len(names) > _ALIKE
        if together:
            note = f"{note}: {', '.join(names[:_ALIKE])} and {len(names) - _ALIKE} more"
        for name in [f"{len(names)} sensors"] if together else names:
            table.add_row(Text(clean(name)), Text(state, style=style), Text(clean(note)))
    return Group(head, table)


def small_print(coverage: Coverage) -> RenderableType:
    """What every figure above depends on, in dim lines."""
    thresholds, frontage = coverage.scenario.thresholds, coverage.frontage
    when = f", {utc(coverage.at_unix_ms)}" if coverage.at_unix_ms is not None else ""
    targets = "; ".join(
        f"{target.target.name} {target.target.height_agl_m[0]:g} to "
        f"{target.target.height_agl_m[1]:g} m above ground "
        f"at {target.target.speed_mps:g} m/s"
        for target in coverage.targets
        if target.level == "expected"
    )
    sure = f"{assurance(coverage)}. " if coverage.at_level("assured") else ""
    return Group(
        Text(f"Targets: {targets}.", style="dim"),
        Text(
            f"Gap: line below {thresholds.line_p:g} in {thresholds.look_s:g} s, lane below "
            f"{thresholds.lane_p:g}; "
            f"belt {frontage.front:g} m ahead, {frontage.behind:g} m behind. {at_once(coverage)}".strip(),
            style="dim",
        ),
        Text(f"Weak: {LOOKS['weak'].meaning}.", style="dim"),
        Text(
            f"Modelled: {level(coverage)}{when}. {sure}Terrain posting {posting(coverage)}; "
            f"input {coverage.digest[:12]}; dronewall {coverage.version}.",
            style="dim",
        ),
    )


def report(coverage: Coverage) -> RenderableType:
    """Everything in reading order: ribbon, gaps, sensors, the totals, what they depend on, and last the sentence."""
    site = coverage.scenario.site
    title = Text(clean(site.title or site.name), style="bold")
    title.append(f"  {metres(coverage.frontage.length)} of frontage", style="not bold")
    return Group(
        title,
        Text(),
        Ribbon(coverage),
        Text(),
        gaps(coverage),
        sensors(coverage),
        Text(),
        headline(coverage),
        Text(),
        small_print(coverage),
        Text(),
        Text(clean(sentence(coverage)), style="bold"),
    )


def _row(title: str, label: int, cells: list[tuple[str, str]]) -> RenderResult:
    yield Segment(title.rjust(label - 1)[: label - 1] + " ")
    for text, style in cells:
        yield Segment(text, Style.parse(style) if style else None)
    yield Segment.line()


def _post_rows(posts: list[tuple[str, float]], length: float, count: int, marker: str) -> list[str]:
    """Names above their places, in as few rows as they need and at most three, then a row of markers.

    A name that finds no room in any row is left out; its marker stays.
    """
    rows: list[list[str]] = []
    marks = [" "] * count
    for name, chainage in posts:
        column = min(int(chainage / length * count), count - 1)
        marks[column] = marker
        start = max(min(column - (len(name) - 1) // 2, count - len(name)), 0)
        before, after = max(start - 1, 0), min(start + len(name) + 1, count)
        for row in rows:
            if all(letter == " " for letter in row[before:after]):
                break
        else:
            if len(rows) == 3 or len(name) > count:
                continue
            rows.append(row := [" "] * count)
        row[start : start + len(name)] = name
    return ["".join(row) for row in reversed(rows)] + ["".join(marks)]


def _scale_rows(length: float, count: int, tick: str) -> list[str]:
    """Ticks at round kilometres and, below them, their numbers."""
    step = straight.kilometre_step(length, max(count // 8, 1))
    ticks, numbers = [" "] * count, [" "] * (count + 1)
    digits = 0 if step >= 1000 else 1 if step >= 100 else 2 if step >= 10 else 3
    index = 0
    while index * step <= length * (1 + 1e-9):
        column = min(int(index * step / length * count), count - 1)
        ticks[column] = tick
        text = f"{index * step / 1000:.{digits}f}"
        start = max(min(column - (len(text) - 1) // 2, count - len(text)), 0)
        numbers[start : start + len(text)] = text
        index += 1
    return ["".join(ticks), "".join(numbers[:count])]
