"""A TOML file held against msgspec Structs: every problem in it at once, each with its line.

msgspec stops at the first error and knows no lines, so the parsed file is walked here first, by the types and
bounds that `msgspec.inspect` reads from the Structs: what is allowed stands in the Structs and nowhere else.
This file knows TOML, units in key names and spelling mistakes; it knows nothing of posts or sensors.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import inspect

from dronewall.toml_lines import Key, lines

UNITS = {
    "deg": "degrees", "m": "metres", "s": "seconds", "mps": "metres per second", "m2": "square metres",
    "k": "kelvins", "c": "degrees Celsius", "db": "decibels", "dbi": "dBi", "hz": "hertz",
}  # fmt: skip
"""The units that a key's name may end in."""

_FOREIGN = {
    "rad": ("deg", math.degrees(1.0)), "mrad": ("deg", math.degrees(1e-3)), "mil": ("deg", 0.05625),
    "degrees": ("deg", 1.0),
    "metres": ("m", 1.0), "meters": ("m", 1.0), "km": ("m", 1000.0), "cm": ("m", 0.01), "mm": ("m", 0.001),
    "ft": ("m", 0.3048), "feet": ("m", 0.3048), "yd": ("m", 0.9144), "mi": ("m", 1609.344),
    "nmi": ("m", 1852.0),
    "sec": ("s", 1.0), "seconds": ("s", 1.0), "ms": ("s", 0.001), "min": ("s", 60.0), "h": ("s", 3600.0),
    "kmh": ("mps", 1 / 3.6), "kph": ("mps", 1 / 3.6), "mph": ("mps", 0.44704), "kn": ("mps", 1852 / 3600),
    "kt": ("mps", 1852 / 3600), "knots": ("mps", 1852 / 3600), "fps": ("mps", 0.3048),
    "cm2": ("m2", 1e-4), "mk": ("k", 0.001), "dba": ("db", 1.0), "khz": ("hz", 1000.0),
}  # fmt: skip

_LARGEST = 16 << 20
"""Bytes of a file; 10 000 nodes take 3 MB."""

_ENDLESS = re.compile(r"(?<![\w.])\d[\d_]{4299,}(?![\w.])")


@dataclass(frozen=True)
class Problem:
    """One thing wrong (or, as a note, odd) in a file: where, what came, what was expected.

    `line` counts from 1 and is None where the file has no such place; `key` is a path such as
    `nodes[3].sensors[0].azimuth_deg`, "" for the file as a whole; `nearest` is the nearest known key or name.
    """

    file: str
    line: int | None
    key: str
    came: str
    expected: str = ""
    nearest: str | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [f"{where}: {self.key}: {self.came}" if self.key else f"{where}: {self.came}"]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.nearest:
            parts.append(f"did you mean {self.nearest}?")
        return "; ".join(parts)


@dataclass
class Sheet:
    """One parsed TOML file, the line of each key in it, and the problems and notes found so far."""

    file: str
    content: bytes = b""
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    _bad: set[Key] = field(default_factory=set)

    def line(self, key: Key) -> int | None:
        """The line of that key, or of the closest table around it."""
        while key:
            if key in self.lines:
                return self.lines[key]
            key = key[:-1]
        return None

    def problem(self, key: Key, came: str, expected: str = "", nearest: str | None = None) -> None:
        """Add a problem; from now on `sound` answers None for that key."""
        self._bad.update(key[:end] for end in range(len(key) + 1))
        self.problems.append(Problem(self.file, self.line(key), key_path(key), came, expected, nearest))

    def note(self, key: Key, came: str, expected: str = "") -> None:
        """Add something odd that does not keep the file from being used."""
        self.notes.append(Problem(self.file, self.line(key), key_path(key), came, expected))

    def sound(self, *key: str | int, default: Any = None) -> Any:
        """The value at that key, or `default` where it is missing or a problem was found at or below it."""
        if key in self._bad:
            return default
        value = self.raw(*key)
        return default if value is None else value

    def raw(self, *key: str | int) -> Any:
        """The value at that key as it was written, whatever is wrong with it; None where it is missing."""
        value: Any = self.data
        for part in key:
            if isinstance(part, int):
                value = value[part] if isinstance(value, list) and part < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return value

    def each(self, *key: str) -> Iterator[Key]:
        """The keys of an array's tables, ("posts", 0), ("posts", 1) ..., or of a table's tables, by name."""
        value = self.raw(*key)
        if isinstance(value, list):
            for i, item in enumerate(value):
                if isinstance(item, dict):
                    yield (*key, i)
        elif isinstance(value, dict):
            for name, item in value.items():
                if isinstance(item, dict):
                    yield (*key, name)


def key_path(key: Key) -> str:
    """That key as one reads it: `nodes[3].sensors[0].azimuth_deg`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in key)
    return "".join(parts).removeprefix(".")


def _key(name: str) -> str:
    """A key as it would stand in the file: in quotes where it must."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) else shown(name)


def unfit(path: Path) -> str:
    """What keeps `path` from being read as a file, in words; "" where nothing does. A pipe or a device would be read
    without an end.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in its name
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def sheet(path: Path) -> Sheet:
    """The file at `path`, parsed; if it cannot be read or is not TOML, a sheet with that one problem."""
    found = Sheet(str(path))
    if wrong := unfit(path):
        found.problem((), wrong, "a site file (TOML)")
        return found
    try:
        with path.open("rb") as file:
            found.content = file.read(_LARGEST + 1)
        if len(found.content) > _LARGEST:
            found.problem((), f"larger than {_LARGEST >> 20} MiB", "a site file (TOML)")
            return found
        text = found.content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line: int | None = error.object.count(b"\n", 0, error.start) + 1
        found.problems.append(
            Problem(found.file, line, "", f"byte 0x{error.object[error.start]:02x} is not UTF-8", "TOML, UTF-8")
        )
    except OSError as error:
        found.problem((), f"cannot be read ({error.strerror})", "a site file (TOML)")
    else:
        try:
            found.data = tomllib.loads(text)
            found.lines = lines(text)
        except RecursionError:
            found.problem((), "nested too deeply", "a site file (TOML)")
        except tomllib.TOMLDecodeError as error:
            at = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
            if at:
                message, line = f"{str(error)[: at.start()]} in column {at[2]}", int(at[1])
            else:  # at the end of the document
                message, line = str(error), text.rstrip().count("\n") + 1
            found.problems.append(Problem(found.file, line, "", f"not TOML: {message}"))
        except ValueError:  # int() refuses numbers with thousands of digits
            digits = _ENDLESS.search(text)
            line = text.count("\n", 0, digits.start()) + 1 if digits else None
            found.problems.append(Problem(found.file, line, "", "a number with thousands of digits", "a shorter one"))
    return found


# --- the walk: types, bounds, keys


def walk(found: Sheet, kind: type, synonyms: Mapping[str, str] | None = None) -> None:
    """Add to `found` every key and value that the Struct `kind` does not allow.

    `synonyms` maps words that people write to the words used here ("bearing" to "azimuth").
    """
    _Walk(found, inspect.type_info(kind), dict(synonyms or {})).value(inspect.type_info(kind), found.data, (), "")


class _Walk:
    def __init__(self, found: Sheet, root: inspect.Type, synonyms: dict[str, str]) -> None:
        self.found = found
        self.synonyms = synonyms
        self.homes: dict[str, list[str]] = {}
        for where, name in _all_keys(root, ""):
            self.homes.setdefault(name, []).append(where)

    def value(self, info: inspect.Type, value: Any, key: Key, unit: str) -> None:
        wanted = None
        if isinstance(info, inspect.Metadata):
            wanted = (info.extra or {}).get("expected")
            info = info.type
        if isinstance(info, inspect.UnionType):
            kinds = [t for t in info.types if not isinstance(t, inspect.NoneType)]
            if len(kinds) == 1:
                self.value(kinds[0], value, key, unit)
            else:
                self._tagged([t for t in kinds if isinstance(t, inspect.StructType)], value, key)
        elif isinstance(info, inspect.StructType):
            self._struct(info, value, key)
        elif isinstance(info, inspect.DictType):
            if not isinstance(value, dict):
                self.found.problem(key, shown(value), f"tables: [{key_path(key)}.NAME]")
                return
            for name, item in value.items():
                self.value(info.key_type, name, (*key, name), "")
                self.value(info.value_type, item, (*key, name), "")
        elif isinstance(info, inspect.VarTupleType | inspect.TupleType):
            self._list(info, value, key, unit)
        elif not _fits(info, value):
            words = wanted or expected(info, unit)
            near = None
            if isinstance(info, inspect.LiteralType) and isinstance(value, str):
                near = nearest(value, [str(v) for v in info.values])
            self.found.problem(key, shown(value), words, f'"{near}"' if near else None)

    def _list(self, info: inspect.VarTupleType | inspect.TupleType, value: Any, key: Key, unit: str) -> None:
        if not isinstance(value, list):
            tables = isinstance(info, inspect.VarTupleType) and isinstance(bare(info.item_type), inspect.StructType)
            header = ".".join(part for part in key if isinstance(part, str))
            words = f"an array of tables: [[{header}]]" if tables else expected(info, unit)
            self.found.problem(key, shown(value), words)
            return
        if isinstance(info, inspect.TupleType):
            if len(value) != len(info.item_types):
                self.found.problem(key, f"{len(value)} values", expected(info, unit))
                return
            kinds: Iterable[inspect.Type] = info.item_types
        else:
            least, most = info.min_length or 0, info.max_length
            if len(value) < least or (most is not None and len(value) > most):
                span = f"at least {least}" if most is None else f"{least} to {most}"
                self.found.problem(key, f"{len(value)} of them", span)
            kinds = [info.item_type] * len(value)
        for i, (kind, item) in enumerate(zip(kinds, value, strict=True)):
            self.value(kind, item, (*key, i), unit)

    def _tagged(self, kinds: list[inspect.StructType], value: Any, key: Key) -> None:
        if not isinstance(value, dict):
            self.found.problem(key, shown(value), f"a table: [{key_path(key)}]")
            return
        tag_field = str(kinds[0].tag_field)
        tags = [str(kind.tag) for kind in kinds]
        words = "one of " + ", ".join(f'"{tag}"' for tag in tags)
        if tag_field not in value:
            self.found.problem((*key, tag_field), "missing", words)
        elif value[tag_field] not in tags:
            tag = value[tag_field]
            near = nearest(tag, tags) if isinstance(tag, str) else None
            self.found.problem((*key, tag_field), shown(tag), words, f'"{near}"' if near else None)
        else:
            self._struct(kinds[tags.index(value[tag_field])], value, key)

    def _struct(self, info: inspect.StructType, value: Any, key: Key) -> None:
        if not isinstance(value, dict):
            self.found.problem(
                key, shown(value), "a table" if isinstance(key[-1], int) else f"a table: [{key_path(key)}]"
            )
            return
        fields = {f.encode_name: f for f in info.fields}
        meant = set()
        for name, item in value.items():
            if name in fields:
                self.value(fields[name].type, item, (*key, name), unit_of(name))
            elif name != info.tag_field:
                meant.add(self._unknown(name, item, [f for f in fields if f not in value], list(fields), key))
        for name, f in fields.items():
            # A misspelt key is one mistake, not two: it is not reported as missing as well.
            if f.required and name not in value and name not in meant:
                self.found.problem((*key, name), "missing", expected(f.type, unit_of(name)))

    def _unknown(self, name: str, value: Any, free: list[str], known: list[str], key: Key) -> str | None:
        """Report an unknown key; returns the known key that was probably meant."""
        stem = _stem(name)
        stem = self.synonyms.get(stem, stem)
        alike = [k for k in known if _stem(k) == stem] or [k for k in free if _stem(k).startswith(stem + "_")]
        near = alike[0] if alike else nearest(name, free) or nearest(name, known)
        words = "one of " + ", ".join(known)
        came = "unknown key"
        if alike:
            unit = unit_of(alike[0])
            words = f"{alike[0]}, in {UNITS[unit]}" if unit else alike[0]
            foreign = name.rpartition("_")[2]
            number = isinstance(value, int | float) and abs(value) < 1e300
            if number and foreign in _FOREIGN and _FOREIGN[foreign][0] == unit:
                words += f" ({name} = {shown(value)} is {alike[0]} = {value * _FOREIGN[foreign][1]:.6g})"
            if unit and unit_of(name) != unit:
                came = "unknown key, wrong unit" if foreign in _FOREIGN or foreign in UNITS else "unknown key, no unit"
        elif not near and (home := name if name in self.homes else stem) in self.homes:
            it = "it" if home == name else home
            came, words = "unknown key here", f"{it} in " + " or ".join(self.homes[home])
        self.found.problem((*key, name), came, words, near)
        return near


def _fits(info: inspect.Type, value: Any) -> bool:
    if isinstance(info, inspect.FloatType | inspect.IntType):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if isinstance(value, float) and (isinstance(info, inspect.IntType) or not math.isfinite(value)):
            return False
        return (
            (info.ge is None or value >= info.ge)
            and (info.gt is None or value > info.gt)
            and (info.le is None or value <= info.le)
            and (info.lt is None or value < info.lt)
        )
    if isinstance(info, inspect.StrType):
        return (
            isinstance(value, str)
            and len(value) >= (info.min_length or 0)
            and (info.max_length is None or len(value) <= info.max_length)
            and (info.pattern is None or re.fullmatch(info.pattern, value) is not None)
        )
    if isinstance(info, inspect.LiteralType):
        return isinstance(value, str) and value in info.values
    if isinstance(info, inspect.BoolType):
        return isinstance(value, bool)
    raise TypeError(f"{info} in a site file's Struct: the walk does not know it")


def bare(info: inspect.Type) -> inspect.Type:
    """Without its description, and without the None that says a key may be left out."""
    if isinstance(info, inspect.Metadata):
        return bare(info.type)
    if isinstance(info, inspect.UnionType):
        kinds = [t for t in info.types if not isinstance(t, inspect.NoneType)]
        if len(kinds) == 1:
            return bare(kinds[0])
    return info


def _all_keys(info: inspect.Type, where: str, many: bool = False) -> Iterator[tuple[str, str]]:
    info = bare(info)
    if isinstance(info, inspect.UnionType):
        for kind in info.types:
            yield from _all_keys(kind, where)
    elif isinstance(info, inspect.StructType):
        table = f"[[{where}]]" if many else f"[{where}]"
        for f in info.fields:
            yield table if where else "the top of the file", f.encode_name
            yield from _all_keys(f.type, f"{where}.{f.encode_name}".lstrip("."))
    elif isinstance(info, inspect.DictType):
        yield from _all_keys(info.value_type, f"{where}.NAME")
    elif isinstance(info, inspect.VarTupleType):
        yield from _all_keys(info.item_type, where, many=True)


def expected(info: inspect.Type, unit: str = "") -> str:
    """What that type allows, in words: "a number from 0 to below 360, in degrees"."""
    if isinstance(info, inspect.Metadata) and (info.extra or {}).get("expected"):
        return str((info.extra or {})["expected"])
    info = bare(info)
    in_unit = f", in {UNITS[unit]}" if unit else ""
    if isinstance(info, inspect.FloatType | inspect.IntType):
        noun = "a whole number" if isinstance(info, inspect.IntType) else "a number"
        return f"{noun} {bounds(info)}".rstrip() + in_unit
    if isinstance(info, inspect.LiteralType):
        return "one of " + ", ".join(f'"{v}"' for v in info.values)
    if isinstance(info, inspect.StrType):
        return "text in quotes"
    if isinstance(info, inspect.TupleType):
        return f"a list of {len(info.item_types)} values{in_unit}"
    if isinstance(info, inspect.VarTupleType):
        tables = isinstance(bare(info.item_type), inspect.StructType)
        return "at least one table of that name" if tables else f"a list{in_unit}"
    return "true or false" if isinstance(info, inspect.BoolType) else "a table"


def bounds(info: inspect.Type) -> str:
    """The bounds of a number's type: "from 0 to below 360"; "" where it has none."""
    info = bare(info)
    if not isinstance(info, inspect.FloatType | inspect.IntType):
        return ""
    low = f"from {info.ge:g}" if info.ge is not None else f"above {info.gt:g}" if info.gt is not None else ""
    high = f"to {info.le:g}" if info.le is not None else f"to below {info.lt:g}" if info.lt is not None else ""
    return f"{low} {high}".strip()


def unit_of(name: str) -> str:
    """The unit that a key's name ends in ("deg", "m", "s", "mps"), or ""."""
    last = name.rpartition("_")[2] if "_" in name else ""
    return last if last in UNITS else ""


def _stem(name: str) -> str:
    first, _, last = name.rpartition("_")
    return first if first and (last in UNITS or last in _FOREIGN) else name


def nearest(word: str, words: Iterable[str]) -> str | None:
    """That of `words` which was probably meant by `word`, or None."""
    by_lower = {w.lower(): w for w in words}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def shown(value: Any) -> str:
    """A value as it would stand in the file, short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        quoted = json.dumps(value if len(value) <= 40 else value[:37] + "...", ensure_ascii=False)
        return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in quoted)
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, int) and abs(value) >= 1e300:
        return "a number over 1e300" if value > 0 else "a number under -1e300"  # str() refuses thousands of digits
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
