"""On which line each key of a TOML file stands: tomllib does not say.

A light scan of text that tomllib has accepted: it follows tables, keys, strings and brackets, no values.
"""

from __future__ import annotations

import bisect
import re
import tomllib

Key = tuple[str | int, ...]
"""Where a value stands: ("nodes", 3, "sensors", 0, "azimuth_deg")."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?!")' r"|'''.*?'''(?!')" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_PART = re.compile(r"""[ \t]*("(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
_PLAIN = re.compile(r"[^,\]}\n#]*")


def lines(text: str) -> dict[Key, int]:
    """The line, from 1, of every table, key and list item in `text`, which must be valid TOML."""
    found: dict[Key, int] = {}
    starts = [0, *(m.end() for m in re.finditer("\n", text))]
    counts: dict[Key, int] = {}

    def mark(key: Key, at: int) -> None:
        found.setdefault(key, bisect.bisect_right(starts, at))

    def blank(at: int) -> int:
        match = _BLANK.match(text, at)
        return match.end() if match else at

    def parts(at: int) -> tuple[list[str], int]:
        names, more = [], "."
        while more and (match := _PART.match(text, at)):
            word, more = match[1], match[2]
            names.append(next(iter(tomllib.loads(f"{word}=0"))) if word[0] in "\"'" else word)
            at = match.end()
        return names, at

    def pair(table: Key, at: int) -> int:
        names, end = parts(at)
        for n in range(1, len(names) + 1):
            mark((*table, *names[:n]), at)
        return value((*table, *names), end + 1)

    def value(key: Key, at: int) -> int:
        at = blank(at)
        mark(key, at)
        if match := _STRING.match(text, at):
            return match.end()
        if text[at : at + 1] not in ("[", "{"):
            plain = _PLAIN.match(text, at)
            return plain.end() if plain else at
        close = "]" if text[at] == "[" else "}"
        n, at = 0, blank(at + 1)
        while at < len(text) and text[at] != close:
            at = blank(value((*key, n), at) if close == "]" else pair(key, at))
            n += 1
            if text[at : at + 1] == ",":
                at = blank(at + 1)
        return at + 1

    table: Key = ()
    at = blank(0)
    while at < len(text):
        if text[at] == "[":
            many = text.startswith("[[", at)
            names, end = parts(at + 1 + many)
            table = ()
            for i, name in enumerate(names):
                table = (*table, name)
                if many and i == len(names) - 1:
                    mark(table, at)
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = (*table, counts[table])
                mark(table, at)
            at = end + 1 + many
        else:
            at = pair(table, at)
        at = blank(at)
    return found
