"""What a terminal shows of a Cycle, as rich renderables: when which place is open, the timetable, and what somebody who
knows it makes of it.

Every line reads without colour and fits into 80 columns; a terminal that knows no Unicode gets ASCII glyphs.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from dronewall.report import cycle as over
from dronewall.report import cycle_cells as cells_of
from dronewall.report import ribbon
from dronewall.report.colours import LOOKS, WORST_FIRST
from dronewall.report.figures import assurance, level, metres, percent, posting
from dronewall.report.table import post_rows, row, scale_rows
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle, TargetCycle, TimedCrossing

_ROWS = 20
"""A chart has no more rows than these."""
_OPENINGS = 12
"""So many openings of a target are listed, those that are open longest; page and JSON have all."""
_FLIGHTS = 24
"""So many flights are listed; JSON has all."""


class TimeChart:
    """The frontage across and the time of setting out down: where and when somebody who crosses is detected too
    seldom. Each block shows the worst in it.
    """

    def __init__(self, cycle: Cycle, of: TargetCycle) -> None:
        self.cycle = cycle
        self.of = of

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cycle, ascii_only = self.cycle, options.ascii_only
        frame = over.frame(cycle)
        length = float(frame.frontage.length)
        ticks = over.time_ticks(cycle.length, _ROWS)
        step = float(ticks[1] - ticks[0]) if len(ticks) > 1 else cycle.length
        times = [step * index for index in range(max(math.ceil(cycle.length / step - 1e-9), 1))]
        label = max(len(over.moment(times[-1])), len("sets out")) + 1
        count = max(options.max_width - label - 1, 10)
        marker, tick = ("|", "|") if ascii_only else ("▾", "╵")
        posts = [(clean(name), at) for name, at in ribbon.post_chainages(frame)]
        *names, marks = post_rows(posts, length, count, marker)
        for line in names:
            yield from row("", label, [(line, "")])
        yield from row("sets out", label, [(marks, "")])
        ranked = over.ranks(cycle, self.of)
        states = over.blocks(ranked, len(times), count)
        rows = list(zip(map(over.moment, times), states, strict=True))
        same = ""
        if len(times) > 1 and (ranked == ranked[:, :1]).all():
            rows, same = [("always", states[0])], "the same at all times"
        elif len(times) > 1 and (states == states[0]).all():
            rows, same = [("worst", states[0])], f"the worst in every {over.lasting(step)}, the same in each"
        for when, ranks in rows:
            cells = []
            for rank, alike in groupby(ranks):
                look = LOOKS[WORST_FIRST[rank]]
                cells.append(((look.ascii if ascii_only else look.glyph) * len(list(alike)), look.terminal))
            yield from row(when, label, cells)
        for index, line in enumerate(scale_rows(length, count, tick)):
            yield from row("km" if index else "", label, [(line, "")])
        there = {WORST_FIRST[rank] for rank in states.ravel()}
        key = []
        for state, look in LOOKS.items():
            if state in there:
                key += [
                    (look.ascii if ascii_only else look.glyph, look.terminal),
                    (f" {'open' if state == 'gap' else look.word}   ", ""),
                ]
        yield from row("", label, key)
        if same:
            yield from row("", label, [(same, "")])


def charts(cycle: Cycle) -> list[RenderableType]:
    """A chart for each target, as expected."""
    shown: list[RenderableType] = []
    for of in [of for of in cycle.targets if of.level == "expected"] or list(cycle.targets):
        head = Text(clean(over.name(of)), style="bold")
        head.append(": where and when the best way across is open, without waiting", style="not bold")
        shown += [head, TimeChart(cycle, of), Text()]
    return shown


# --- the drones


def timetable(cycle: Cycle) -> list[RenderableType]:
    """The sorties with what they need and achieve, and the flights of one cycle."""
    sorties = _headed("sortie", "drones", "airframe", "a flight", "airframes", "batteries", "there", "nobody")
    for sortie in cycle.plan.sorties:
        *cells, share, nobody = cells_of.sortie(sortie)
        style = "default" if sortie.cover.share > cells_of.ENOUGH else LOOKS["gap"].terminal
        sorties.add_row(*map(Text, cells), Text(share, style=style), Text(nobody, style=style))
    shown: list[RenderableType] = [Text("The drones", style="bold"), sorties]
    shown += [Text(cells_of.NEEDED, style="dim"), Text()]
    flights = over.timetable(cycle)
    if flights:
        table = _headed("flight", "takes off", "on station", "off station", "lands", "ready")
        told = [cells_of.flight(cycle, flight) for flight in flights[:_FLIGHTS]]
        for row_of in told:
            table.add_row(*map(Text, row_of))
        shown.append(table)
        if len(flights) > _FLIGHTS:
            shown.append(Text(f"... and {len(flights) - _FLIGHTS} more, in JSON.", style="dim"))
        if any("+" in cell for row_of in told for cell in row_of[1:]):
            shown.append(Text(cells_of.LATER, style="dim"))
        shown.append(Text())
    return shown


# --- what it amounts to


def coverage(cycle: Cycle) -> RenderableType:
    """For each target and level how much of frontage and time is watched, and where it is not for longest."""
    table = _headed("", "watched", "never", "longest unwatched", "at km", "time-average gap")
    for of in over.ordered(cycle):
        name, share, never, *rest = cells_of.watched(cycle, of)
        style = "default" if never == "none" else LOOKS["gap"].terminal
        table.add_row(Text(name), share, Text(never, style=style), *rest)
    said = "Watched: share of frontage and time. Never: frontage that is at no time; longest: of what is at times."
    return Group(Text(f"Watched over {over.whole(cycle)}", style="bold"), table, Text(said, style="dim"))


def breach(cycle: Cycle) -> RenderableType:
    """For each target and level the chances of one who knows the schedule and of one who does not, side by side."""
    table = _headed("", "knows", "at km", "sets out", "waits", "before", "does not know", "at km ")
    for of in over.ordered(cycle):
        (knows, *rest), (not_knows, where) = cells_of.knowing(of.knowing), cells_of.unknowing(of.unknowing)
        first, second = _chance(cycle, knows, of.knowing), _chance(cycle, not_knows, of.unknowing)
        table.add_row(Text(clean(over.name(of))), first, *rest, second, where)
    said = "Chances of being detected on the way across the whole line: of one who knows the drones' schedule and "
    said += "chooses when and where, and of one who does not. Before: before the frontage is reached."
    return Group(Text("Who gets through", style="bold"), table, Text(said, style="dim"))


def _chance(cycle: Cycle, said: str, way: TimedCrossing | None) -> Text:
    """In colour where it is under the threshold."""
    open_ = way is not None and way.probability < over.threshold(cycle)
    return Text(said, style=LOOKS["gap"].terminal if open_ else "default")


def openings(cycle: Cycle) -> list[RenderableType]:
    """The stretches that are open at times or always, as expected, target after target; those open longest, by km."""
    listed = [of for of in over.ordered(cycle) if of.level == "expected"] or over.ordered(cycle)
    head = Text("When it is open", style="bold")
    head.append(": times of setting out", style="not bold")
    if not any(of.openings for of in listed):
        return [Text("No place is open at any time.")]
    table = _headed("km", "open", "sets out", "knows", "does not")
    left = 0
    for of in listed:
        if not of.openings:
            continue
        if len(listed) > 1:
            table.add_section()
            table.add_row(Text(clean(over.name(of)), style="bold"))
        most = sorted(of.openings, key=lambda opening: -opening.open * (opening.end - opening.start))[:_OPENINGS]
        left += len(of.openings) - len(most)
        for opening in [opening for opening in of.openings if opening in most]:
            table.add_row(
                over.opening_span(opening).removeprefix("km "),
                Text(over.opening_often(cycle, opening), style=LOOKS["gap"].terminal),
                over.opening_times(cycle, opening),
                *map(percent, over.opening_chances(of, opening)),
            )
    rest = [Text(f"... and {left} smaller, in page and JSON.", style="dim")] if left else []
    said = "Knows, does not: least chance on that stretch of one who knows the schedule and may wait, and of one who "
    said += "does not."
    return [head, table, *rest, Text(f"{over.MEAN} {said}", style="dim")]


def losses(cycle: Cycle) -> list[RenderableType]:
    """What becomes of the knowing one's chance where a drone is lost at the worst moment, as expected."""
    if not cycle.losses:
        return []
    names = list(dict.fromkeys(of.target.name for of in over.ordered(cycle)))
    table = _headed("lost", "sortie", "at", "next on station", *(clean(name) for name in names))
    for lost in cycle.losses:
        own = {one.target.name: one for one in lost.targets if one.level == "expected"}
        cells: list[RenderableType] = []
        for name in names:
            if name not in own:
                cells.append("")
                continue
            one = own[name]
            worse = one.least_without < one.least - 0.005 or one.open_without > one.open
            chances = f"{percent(one.least)} → {percent(one.least_without)}"
            said = f"{chances}, {metres(one.open)} → {metres(one.open_without)}"
            cells.append(Text(said, style=LOOKS["gap"].terminal if worse else "default"))
        back = over.loss_back(lost)
        table.add_row(Text(clean(lost.drone)), Text(clean(lost.sortie)), over.moment(lost.at), back, *cells)
    said = "With the drone, and without it over the whole cycle; as expected, of one who knows the schedule: his least "
    said += (
        "chance of being detected, and how much of the frontage is open, without waiting, on the mean over the cycle."
    )
    return [Text("If a drone is lost at the worst moment", style="bold"), table, Text(said, style="dim"), Text()]


def small_print(cycle: Cycle) -> RenderableType:
    """What every figure above depends on, in dim lines."""
    frame = over.frame(cycle)
    thresholds, frontage = frame.scenario.thresholds, frame.frontage
    speeds = "; ".join(
        f"{clean(target.name)} {target.speed_mps:g} m/s, {over.lasting(cycle.max_crossing[target.name])} across at "
        "most, waiting included"
        for target in {of.target.name: of.target for of in cycle.targets}.values()
        if target.name in cycle.max_crossing
    )
    sure = f"{assurance(frame)}. " if any(of.level == "assured" for of in cycle.targets) else ""
    return Group(
        Text(
            f"Open: detected with less than {over.threshold(cycle):g} on the best way within "
            f"{thresholds.lateral_m:g} m. Watched: by a look of {thresholds.look_s:g} s with {thresholds.line_p:g} or "
            f"more. Belt {frontage.front:g} m ahead, {frontage.behind:g} m behind. {speeds}.",
            style="dim",
        ),
        Text(
            f"Modelled: {level(frame)}, {over.steps_said(cycle)}. {sure}Terrain posting {posting(frame)}; input "
            f"{cycle.digest[:12]}; dronewall {cycle.version}.",
            style="dim",
        ),
    )


def sentences(cycle: Cycle) -> list[RenderableType]:
    """What it amounts to, and what has to be known of that."""
    return [
        *(Text(said, style="bold") for said in over.verdict(cycle)),
        *(Text(said, style=LOOKS["gap"].terminal) for said in over.notes(cycle)),
    ]


def cycle_tables(cycle: Cycle) -> RenderableType:
    """Everything in reading order: the sentences, when what is open, the drones' timetable, what is watched, who gets
    through, what a loss does, and what the figures depend on.
    """
    title = Text("Over time", style="bold")
    title.append(f"  {over.whole(cycle)}", style="not bold")
    return Group(
        title,
        *sentences(cycle),
        Text(),
        *charts(cycle),
        *openings(cycle),
        Text(),
        *timetable(cycle),
        coverage(cycle),
        Text(),
        breach(cycle),
        Text(),
        *losses(cycle),
        small_print(cycle),
    )


def in_short(cycle: Cycle) -> RenderableType:
    """What a table of gaps is followed by: all but the timetable and the losses, which `dronewall patrol` tells."""
    title = Text("Over time", style="bold")
    title.append(f"  {over.whole(cycle)}; dronewall patrol shows the timetable, a film and what each drone's loss does")
    title.stylize("not bold", len("Over time"))
    return Group(
        Text(),
        title,
        *sentences(cycle),
        Text(),
        *charts(cycle),
        *openings(cycle),
        Text(),
        coverage(cycle),
        Text(),
        breach(cycle),
    )


_WORDS = ("", "km", "sortie", "drones", "airframe", "flight", "lost", "sets out", "open")


def _headed(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in names:
        table.add_column(name, justify="left" if name in _WORDS else "right", overflow="fold")
    return table
