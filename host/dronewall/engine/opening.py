"""When and where the line can be crossed: stretches of frontage that are open at times, or always."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_ALIKE = 0.5
"""A station joins a stretch where the times at which both are open are at least this share of those at which one is."""


@dataclass(frozen=True)
class Opening:
    """Stretch of frontage, from start to end [m of chainage], that can be crossed at times, or always: where setting
    out at the right moment on the best way there, without waiting, is detected with less than the threshold.

    times: (from, to) [s] of setting out at which one of its stations is open, within the cycle and in order; one that
    wraps round the cycle's end has to > the cycle's length. open: how long a station is, the mean over them [s].
    always: all are, at all times. probability_least: the least P on its stations at all times.
    """

    start: float
    end: float
    times: tuple[tuple[float, float], ...]
    open: float
    always: bool
    probability_least: float


def openings(
    crossing_p: npt.NDArray[np.floating], threshold: float, step: float, interval: float, periodic: bool
) -> tuple[Opening, ...]:
    """The openings along the frontage, in order; crossing_p (stations, times): P by the time of setting out, nan where
    nobody can go.

    step: metres of frontage a station stands for; interval [s]: what a time stands for. Where the times at which
    neighbouring stations are open differ much, a stretch ends and another begins: a drone that moves along the line
    opens it behind itself.
    """
    under = crossing_p < threshold
    found = []
    first = 0
    while first < len(under):
        after = first + 1
        union = under[first].copy()
        always = bool(union.all())
        # What is always open is like nothing else.
        while after < len(under) and bool(under[after].all()) == always and _alike(union, under[after]):
            union |= under[after]
            after += 1
        if union.any():
            stretch = crossing_p[first:after]
            found.append(
                Opening(
                    start=first * step,
                    end=after * step,
                    times=windows(union, interval, periodic),
                    open=float(under[first:after].mean() * under.shape[1] * interval),
                    always=always,
                    probability_least=float(np.nanmin(stretch)),
                )
            )
        first = after
    return tuple(found)


def _alike(union: Bools, other: Bools) -> bool:
    """Whether a station's times are much like those of a stretch."""
    both = union | other
    return not both.any() or float((union & other).sum()) >= _ALIKE * float(both.sum())


def windows(flags: Bools, interval: float, periodic: bool) -> tuple[tuple[float, float], ...]:
    """(from, to) [s] of the times that are flagged (m,), each of which stands for `interval` seconds, in order; one
    that wraps round the cycle's end ends after it.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    runs = [(float(a), float(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    if periodic and len(runs) > 1 and flags[0] and flags[-1]:
        runs = [*runs[1:-1], (runs[-1][0], len(flags) + runs[0][1])]
    return tuple((a * interval, b * interval) for a, b in runs)
