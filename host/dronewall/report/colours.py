"""How each state of the frontage looks, in every output: a word, a glyph, a dash pattern and a colour.

Colours are Okabe and Ito's set (safe for the common colour-blindnesses): what is seen is blue, and vermilion
is kept for gaps alone. Nothing is told by colour only.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

State = Literal["covered", "weak", "gap", "unknown"]


class Look(NamedTuple):
    """How one state looks."""

    word: str
    meaning: str
    glyph: str
    ascii: str
    terminal: str  # rich style
    colour: str  # on paper and screen
    dash: tuple[float, ...]  # on, off in points; empty for a full line


LOOKS: dict[State, Look] = {
    "covered": Look("covered", "detection well above the threshold", "█", "#", "#3b8fd0", "#0b5a9c", ()),
    "weak": Look(
        "weak",
        "above the threshold by less than half of what is left to certainty",
        "▒",
        "=",
        "#8cc4ea",
        "#6aaede",
        (5.0, 1.5),
    ),
    "gap": Look("gap", "detection below the threshold", "×", "x", "bold #ff5a1f", "#d5450a", ()),
    "unknown": Look("unknown", "no terrain known: counted as not covered", "?", "?", "#9a9a9a", "#7a7a7a", (1.5, 1.5)),
}
ROUTE = "#8a1c6a"
"""Ways across the line: purple, which neither states nor ground have."""

# where several meet in one column of a ribbon the first wins
WORST_FIRST: tuple[State, ...] = ("gap", "unknown", "weak", "covered")

# (P, red, green, blue, alpha): pale to deep blue over the grey hillshade; under 2 % nothing is drawn
_STOPS = np.array(
    [
        (0.00, 0xC6, 0xE2, 0xF4, 0.00),
        (0.02, 0xC6, 0xE2, 0xF4, 0.25),
        (0.25, 0x9C, 0xCB, 0xEB, 0.50),
        (0.50, 0x5A, 0xA5, 0xDA, 0.62),
        (0.75, 0x25, 0x7C, 0xBF, 0.70),
        (1.00, 0x08, 0x4E, 0x96, 0.76),
    ]
)


def probability_rgba(probability: NDArray[np.floating]) -> NDArray[np.float32]:
    """Red, green, blue, alpha in 0..1, shape (..., 4), of detection probabilities; nan is transparent."""
    known = np.nan_to_num(np.asarray(probability, dtype=float), nan=0.0)
    rgba = np.stack([np.interp(known, _STOPS[:, 0], _STOPS[:, i]) for i in range(1, 5)], axis=-1)
    rgba[..., :3] /= 255.0
    rgba[..., 3] = np.where(known < 0.02, 0.0, rgba[..., 3])
    return rgba.astype(np.float32)


def css_gradient() -> str:
    """The probability scale as a CSS linear gradient, left 0 to right 1."""
    stops = ", ".join(f"rgba({r:.0f},{g:.0f},{b:.0f},{a:.2f}) {100 * p:.0f}%" for p, r, g, b, a in _STOPS)
    return f"linear-gradient(to right, {stops})"
