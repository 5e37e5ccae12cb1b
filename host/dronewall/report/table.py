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
from dronewall.report import trust
from dronewall.report.closing import NOBODY, closer_brief
from dronewall.report.colours import LOOKS
from dronewall.report.entries import Entry, entries
from dronewall.report.figures import (
    assurance,
    at_once,
    clock,
    counted,
    kilometres,
    landed,
    level,
    metres,
    notes,
    percent,
    posting,
    sensors_phrase,
    sentence,
    span,
    troubled,
    utc,
)
from dronewall.report.findings import NOTHING, Findings
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.gaps import Gap
    from dronewall.engine.wall import Coverage

_CLOSED = 10
"""Gaps of which it is said what would close them, the longest; page and JSON have all."""
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
        label = max(label, max(len(kind) for kind in straight.KINDS) + 1)
        if any(target.level == "assured" for target, _ in rows):
            label = max(label, len("assured line") + 1)
        count = max(options.max_width - label - 1, 10)
        marker, tick = ("|", "|") if options.ascii_only else ("▾", "╵")
        for line in post_rows(
            [(clean(name), at) for name, at in straight.post_chainages(coverage)], length, count, marker
        ):
            yield from row("", label, [(line, "")])
        for index, (target, kind) in enumerate(rows):
            if several and index and target.level == "expected" and kind == straight.KINDS[0]:
                yield Segment.line()
            states = straight.columns(straight.runs(coverage, target, kind), length, count)
            cells = [
                (
                    (LOOKS[state].ascii if options.ascii_only else LOOKS[state].glyph) * len(list(same)),
                    LOOKS[state].terminal,
                )
                for state, same in groupby(states)
            ]
            title: str = kind
            if kind == straight.KINDS[0] and (several or target.level == "assured"):
                name = "assured" if target.level == "assured" else target.target.name
                title = f"{name[: label - 6].rstrip()} {kind}"
            yield from row(title, label, cells)
        for index, line in enumerate(scale_rows(length, count, tick)):
            yield from row("km" if index else "", label, [(line, "")])
        key = []
        for state in LOOKS:
            look = LOOKS[state]
            key += [
                (look.ascii if options.ascii_only else look.glyph, look.terminal),
                (f" {look.word}   ", ""),
            ]
        yield from row("", label, key)


def headline(coverage: Coverage) -> RenderableType:
    """The totals, a row per target and level; of each kind of gaps how many there are and their metres."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(overflow="fold", style="bold", ratio=None)
    table.add_column("covered", justify="right", header_style="dim", no_wrap=True)
    unknown = any(target.unknown_share > 0 for target in coverage.targets)
    if unknown:
        table.add_column("unknown", justify="right", header_style="dim", no_wrap=True)
    for kind in straight.KINDS:
        table.add_column(f"{kind} gaps", justify="right", header_style="dim")
    for target in [target for target, kind in straight.rows(coverage) if kind == straight.KINDS[0]]:
        sure = target.level == "assured"
        row: list[RenderableType] = [
            Text("  assured" if sure else clean(target.target.name), style="not bold" if sure else ""),
            percent(target.covered_share),
        ]
        if unknown:
            row.append(percent(target.unknown_share))
        for kind in straight.KINDS:
            listed = straight.gaps(target, kind)
            text = Text(f"{len(listed)}, " if listed else "none")
            if listed:
                text.append(metres(sum(gap.length for gap in listed)), style=LOOKS["gap"].terminal)
            row.append(text)
        table.add_row(*row)
    return table


def gaps(coverage: Coverage) -> RenderableType:
    """The list of the gaps to be expected, in the order of the map's numbers."""
    listed = entries(coverage)
    found = [entry for entry in listed if entry.target.level == "expected"]
    if not found:
        return Text("No gaps expected." if listed else "No gaps.")
    # what a narrow terminal does without, in this order
    spare = ("mean", "posts", "weakest", "before", "warning", "least")
    tables = [_gap_table(coverage, found, spare[:count]) for count in range(len(spare) + 1)]
    # Only the notes may take several lines, as long as no word of theirs is broken.
    remarks = [", ".join(_remarks(entry.gap)) for entry in found]
    widest = max(map(len, [*remarks, "notes"]))
    slack = widest - max(len(word) for remark in [*remarks, "notes"] for word in remark.split(" "))
    shown: list[RenderableType] = [_Fitting(tables, slack)]
    if any(entry.gap.below_resolution for entry in found):
        shown.append(Text("* shorter than two postings of the terrain, which cannot vouch for it", style="dim"))
    return Group(*shown)


class _Fitting:
    """The first of some tables, from the fullest to the leanest, that fits once it has given way by `slack` columns."""

    def __init__(self, tables: list[Table], slack: int) -> None:
        self.tables = tables
        self.slack = slack

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in self.tables:
            widest = Measurement.get(console, options.update(max_width=1000), table).maximum
            if widest - self.slack <= options.max_width:
                break
        yield table


def _gap_table(coverage: Coverage, found: list[Entry], left_out: tuple[str, ...]) -> Table:
    """Of each entry the gap that made it, and which kinds are open there; targets under headings of their own."""
    several = len({entry.target.target.name for entry in found}) > 1
    remarks = {entry.number: ", ".join(_remarks(entry.gap)) for entry in found}
    columns = ["", "km", "length", "weakest", "least", "mean", "before", "warning", "kinds", "posts", "notes"]
    columns = [name for name in columns if name not in left_out]
    if not any(remarks.values()):
        columns.remove("notes")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in columns:
        words = name in ("km", "kinds", "posts", "notes")
        table.add_column(
            {"weakest": "at km"}.get(name, name),
            justify="left" if words else "right",
            no_wrap=name != "notes",
            overflow="fold",
        )
    last = None
    for entry in found:
        target, gap = entry.target.target.name, entry.gap
        if several and target != last:
            if last is not None:
                table.add_section()
            table.add_row("", Text(clean(target), style="bold"))
        last = target
        moves = gap.kind != "line"
        cells: dict[str, RenderableType] = {
            "": str(entry.number),
            "km": span(gap),
            "length": Text(metres(gap.length) + ("*" if gap.below_resolution else " "), style=LOOKS["gap"].terminal),
            "weakest": kilometres(gap.weakest),
            "least": percent(gap.probability_least),
            "mean": percent(gap.probability_mean),
            "before": percent(gap.before) if gap.before is not None else "",
            "warning": clock(gap.warning) if moves else "",
            "kinds": entry.kinds,
            "posts": Text(clean(", ".join(gap.nearest_posts))),
            "notes": Text(remarks[entry.number]),
        }
        table.add_row(*(cells[name] for name in columns))
    return table


def closing(coverage: Coverage, found: Findings) -> list[RenderableType]:
    """What is nearest to closing the gaps to be expected, a line for each of the longest of every target, in the order
    of their numbers; nothing where nobody asked.
    """
    asked = [entry for entry in entries(coverage) if entry.target.level == "expected" and entry.gap.id in found.closing]
    if not asked:
        return []
    shown: dict[int, str] = {}
    targets = {entry.gap.target for entry in asked}
    for target in targets:
        own = [entry for entry in asked if entry.gap.target == target]
        for entry in sorted(own, key=lambda entry: -entry.gap.length)[: max(_CLOSED // len(targets), 1)]:
            near, _ = found.closing[entry.gap.id]
            shown[entry.number] = closer_brief(near[0]) if near else NOBODY
    rows = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    rows.add_column(justify="right", no_wrap=True)
    rows.add_column(overflow="fold")
    for number, brief in sorted(shown.items()):
        rows.add_row(str(number), Text(brief))
    head = Text("What would close them", style="bold")
    head.append(": the least turn or mast, and the chance in a look then", style="not bold")
    left = len(asked) - len(shown)
    said = [f"... and {left} shorter, in page and JSON."] if left else []
    said += ["What is turned leaves what it sees now."] if any(" turned " in brief for brief in shown.values()) else []
    return [Text(), head, rows, *([Text(" ".join(said), style="dim")] if said else []), Text()]


def _remarks(gap: Gap) -> list[str]:
    """The notes that the table has no mark for."""
    return [note for note in notes(gap) if note != "below resolution"]


def sensors(coverage: Coverage) -> RenderableType:
    """How many sensors count, and those that somebody should look after or that are on the ground, with the reason."""
    shown = troubled(coverage) + landed(coverage)
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
        sound = names[0] in counting or state == "landed"
        style = "default" if sound else LOOKS["gap"].terminal
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
            f"Gap: where the chance of being seen is too small. Line: of a look of {thresholds.look_s:g} s at the "
            f"frontage, below {thresholds.line_p:g}; lane: straight across the belt, below {thresholds.lane_p:g}; "
            f"breach: on the best way across within {thresholds.lateral_m:g} m, below {thresholds.lane_p:g}. Belt "
            f"{frontage.front:g} m ahead, {frontage.behind:g} m behind. {at_once(coverage)}".strip(),
            style="dim",
        ),
        Text(
            "Least and mean: chances in the gap, the least at that km; before: of being seen there before the "
            "frontage is reached; warning: median time left to the frontage then.",
            style="dim",
        ),
        Text(f"Weak: {LOOKS['weak'].meaning}.", style="dim"),
        Text(
            f"Modelled: {level(coverage)}{when}. {sure}Terrain posting {posting(coverage)}; "
            f"input {coverage.digest[:12]}; dronewall {coverage.version}.",
            style="dim",
        ),
    )


def report(coverage: Coverage, found: Findings = NOTHING) -> RenderableType:
    """Everything in reading order: ribbon, gaps and what would close them, sensors, the totals, how far to trust them,
    what they depend on, and last the sentence.
    """
    site = coverage.scenario.site
    title = Text(clean(site.title or site.name), style="bold")
    title.append(f"  {metres(coverage.frontage.length)} of frontage", style="not bold")
    return Group(
        title,
        Text(),
        Ribbon(coverage),
        Text(),
        gaps(coverage),
        *closing(coverage, found),
        sensors(coverage),
        Text(),
        headline(coverage),
        Text(),
        *([trust.report(found.trust), Text()] if found.trust else []),
        small_print(coverage),
        Text(),
        Text(clean(sentence(coverage, found.worst_loss)), style="bold"),
    )


def row(title: str, label: int, cells: list[tuple[str, str]]) -> RenderResult:
    yield Segment(title.rjust(label - 1)[: label - 1] + " ")
    for text, style in cells:
        yield Segment(text, Style.parse(style) if style else None)
    yield Segment.line()


def post_rows(posts: list[tuple[str, float]], length: float, count: int, marker: str) -> list[str]:
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


def scale_rows(length: float, count: int, tick: str) -> list[str]:
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
