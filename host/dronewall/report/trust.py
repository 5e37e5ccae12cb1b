"""How far the gaps can be trusted, in a few lines and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from dronewall.report.figures import figure, number_of
from dronewall.talk import clean

if TYPE_CHECKING:
    from dronewall.engine.trust import Open, Trust

HEADING = "How far to trust that: these are models, not measurements."

_LINES = 3
_KIND = "breach"
"""The kind that people are shown: what somebody finds who may choose his way."""


def report(found: Sequence[Trust]) -> RenderableType:
    """A line for each target, at most three: those whose gaps move most."""
    lines = [Text(said, style="default") for said in sentences(found)]
    return Group(Text(HEADING, style="bold"), *lines)


def sentences(found: Sequence[Trust]) -> list[str]:
    """A `sentence` for each target, at most three: those whose gaps move most."""
    shown = [each for each in found if each.kind == _KIND]
    most = sorted(shown, key=lambda each: each.doubled.length - each.halved.length)[:_LINES]
    return [sentence(each) for each in shown if each in most]


def sentence(each: Trust) -> str:
    """`walker, breach: 3 gaps 412 m; if detection were half as good 980 m, twice as good 120 m; ...`"""
    return (
        f"{clean(each.target)}, {each.kind}: {_gaps(each.plain)}; if detection were half as good "
        f"{_length(each.halved)}, twice as good {_length(each.doubled)}; if pose errors were doubled "
        f"{_length(each.unsure)}."
    )


def as_json(found: Sequence[Trust]) -> list[dict[str, Any]]:
    """Every target and kind, ready for `json.dumps`."""
    return [
        {
            "target": each.target,
            "kind": each.kind,
            "level": "expected",
            "plain": _record(each.plain),
            "rates_halved": _record(each.halved),
            "rates_doubled": _record(each.doubled),
            "pose_errors_doubled": _record(each.unsure),
        }
        for each in found
    ]


def _record(one: Open) -> dict[str, Any]:
    return {"gaps": one.count, "length_m": figure(one.length, 2)}


def _length(one: Open) -> str:
    if not one.count:
        return "none"
    # A small move is an answer, too: more digits than elsewhere.
    return f"{one.length:.0f} m" if one.length < 999.5 else f"{one.length / 1000:.2f} km"


def _gaps(one: Open) -> str:
    return f"{number_of(one.count, 'gap')}, {_length(one)}" if one.count else "no gap"
