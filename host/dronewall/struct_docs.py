"""What msgspec Structs say of a TOML file: a JSON Schema for editors, a reference in Markdown for readers."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import inspect

from dronewall.toml_check import UNITS, bare, bounds, shown, unit_of


def json_schema(kind: type, title: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the Struct `kind`: no null (TOML has none), units in the descriptions."""
    document = msgspec.json.schema(kind)
    name = document.pop("$ref").rpartition("/")[2]
    definitions = document["$defs"]
    root = definitions.pop(name)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "title": title}
    return {**_tidy(head), "$defs": _tidy(definitions)}


def _tidy(node: Any, name: str = "") -> Any:
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    if {"type": "null"} in node.get("anyOf", []):
        (only,) = (option for option in node["anyOf"] if option != {"type": "null"})
        node = {**{key: value for key, value in node.items() if key != "anyOf"}, **only}
    tidy: dict[str, Any] = {}
    for key, value in node.items():
        if key == "default" and value in (None, "", [], {}):
            continue
        if key == "properties":
            tidy[key] = {k: _tidy(v, k) for k, v in value.items()}
        elif key == "description" and isinstance(value, str):
            tidy[key] = cleandoc(value)
        elif key == "default" and isinstance(value, dict):
            tidy[key] = {k: v for k, v in value.items() if v is not None}
        else:
            tidy[key] = _tidy(value)
    if unit_of(name) and "description" in tidy:
        tidy["description"] += f" [{UNITS[unit_of(name)]}]"
    return tidy


def reference(kind: type) -> str:
    """Every key of the Struct `kind` in Markdown: a heading for each table, a row for each key."""
    root = inspect.type_info(kind)
    return "".join(_table(heading, info) for heading, info in _tables(root, "", False))


def _tables(info: inspect.Type, where: str, many: bool) -> Iterator[tuple[str, inspect.StructType]]:
    """The headings and Structs below a type, in the order in which a file has them."""
    info = bare(info)
    if isinstance(info, inspect.UnionType):
        for option in info.types:
            assert isinstance(option, inspect.StructType)
            yield f'`[{where}]` with `{option.tag_field} = "{option.tag}"`', option
    elif isinstance(info, inspect.DictType):
        yield from _tables(info.value_type, f"{where}.NAME", False)
    elif isinstance(info, inspect.VarTupleType):
        yield from _tables(info.item_type, where, True)
    elif isinstance(info, inspect.StructType):
        if where:
            yield (f"`[[{where}]]`" if many else f"`[{where}]`"), info
        for field in info.fields:
            yield from _tables(field.type, f"{where}.{field.encode_name}".lstrip("."), False)


def _table(heading: str, info: inspect.StructType) -> str:
    rows = [
        f"\n## {heading}\n\n{cleandoc(info.cls.__doc__ or '')}\n\n",
        "| key | unit | allowed | default | meaning |\n|---|---|---|---|---|\n",
    ]
    for field in info.fields:
        if not list(_tables(field.type, "x", False)):
            default = (
                "required" if field.required else "" if field.default in (None, "") else f"`{shown(field.default)}`"
            )
            unit = unit_of(field.encode_name)
            words = [
                f"`{field.encode_name}`",
                UNITS.get(unit, ""),
                _allowed(field.type),
                default,
                _meaning(field.type),
            ]
            rows.append(f"| {' | '.join(words)} |\n".replace("|  |", "| |"))
    return "".join(rows)


def _allowed(info: inspect.Type) -> str:
    words = _extra(info).get("allowed")
    info = bare(info)
    if words:
        return str(words)
    if isinstance(info, inspect.LiteralType):
        return ", ".join(f"`{shown(value)}`" for value in info.values)
    if isinstance(info, inspect.IntType):
        return "whole, " + bounds(info)
    if isinstance(info, inspect.StrType):
        return f"text, up to {info.max_length}" if info.max_length else "text"
    if isinstance(info, inspect.TupleType):
        return "[" + ", ".join(_allowed(item) for item in info.item_types) + "]"
    if isinstance(info, inspect.VarTupleType):
        return f"list of {info.min_length or 0} to {info.max_length}, each {_allowed(info.item_type)}"
    return bounds(info)


def _extra(info: inspect.Type) -> dict[str, Any]:
    if isinstance(info, inspect.Metadata):
        return {**_extra(info.type), **(info.extra or {})}
    if isinstance(info, inspect.UnionType):
        return next((found for option in info.types if (found := _extra(option))), {})
    return {}


def _meaning(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        return str((info.extra_json_schema or {}).get("description", "")) or _meaning(info.type)
    if isinstance(info, inspect.UnionType):
        return next((found for option in info.types if (found := _meaning(option))), "")
    return ""
