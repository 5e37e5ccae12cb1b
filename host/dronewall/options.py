"""What commands are asked with: the types of their options, and the options that several share."""

import math
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

WEEK_S = 604_800.0
"""Longest time that is asked for [s]: within it every drone is back where it was."""


class Seconds(click.FloatRange):
    """A time in seconds within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        low, high = float(self.min or 0.0), float(self.max or math.inf)
        if not low <= seconds <= high:
            self.fail(f"{str(value).strip()!r}; expected seconds from {low:g} to {high:g}", param, ctx)
        return seconds


class Number(click.FloatRange):
    """A number within bounds, which click's own lets nan through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{str(value).strip()!r}; expected a number", param, ctx)
        return number


class Instant(click.ParamType):
    """Milliseconds since 1970 from `2026-03-01T12:00:00Z`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            at = datetime.fromisoformat(value.strip())
            if at.tzinfo is not None:
                return round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
        except (ValueError, OverflowError):
            pass
        self.fail(f"{value.strip()!r} is not a time; expected date, time and zone: 2026-03-01T12:00:00Z", param, ctx)


class Address(click.ParamType):
    """Host and port from `wall.example:1883`, `10.0.0.7` or `[::1]:1883`."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([\w.-]+))(?::(\d{1,5}))?", value.strip(), re.ASCII)
        port = int(match[3] or 0) if match else 0
        if match is None or (match[3] is not None and not 1 <= port <= 65535):
            self.fail(f"{value.strip()!r} is not a broker; expected HOST:PORT, such as 127.0.0.1:1883", param, ctx)
        return match[1] or match[2], port


class Length(click.ParamType):
    """A length in metres from `200`, `200m` or `1.5km`."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(m|km|)\s*", value)
        if match is None:
            self.fail(
                f"{value.strip()!r} is not a length; expected metres or kilometres, such as 200m or 1.5km", param, ctx
            )
        return float(match[1]) * (1000.0 if match[2] == "km" else 1.0)


class Place(click.ParamType):
    """Latitude and longitude in degrees from `36.6182,-84.1571`."""

    name = "lat,lon"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        numbers = re.split(r"\s*[,;]\s*|\s+", value.strip())
        try:
            latitude, longitude = (float(number) for number in numbers)
        except ValueError:
            self.fail(
                f"{value.strip()!r} is not a place; expected latitude and longitude in degrees with a comma between, "
                "such as 36.6182,-84.1571",
                param,
                ctx,
            )
        if not (-90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0):
            hint = (
                f"; did you mean {numbers[1]},{numbers[0]}?"
                if abs(longitude) <= 90.0 and abs(latitude) <= 180.0
                else ""
            )
            self.fail(
                f"{value.strip()!r}: latitude comes first, -90 to 90, then longitude, -180 to 180{hint}", param, ctx
            )
        return latitude, longitude


class Area(click.ParamType):
    """A place and a radius in metres from `36.6182,-84.1571,500`."""

    name = "lat,lon,metres"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        if isinstance(value, tuple):
            return value
        place, comma, radius = value.strip().rpartition(",")
        try:
            metres = float(radius)
        except ValueError:
            metres = math.nan
        if not comma or not 0.0 < metres <= 1_000_000.0:
            self.fail(
                f"{value.strip()!r} is not an area; expected latitude, longitude and metres around it with commas "
                "between, such as 36.6182,-84.1571,500",
                param,
                ctx,
            )
        return (*Place().convert(place, param, ctx), metres)


own_terrain = click.option(
    "--terrain",
    type=click.Path(path_type=Path),
    help="Your own elevation model (GeoTIFF), in place of the site file's.",
)
"""--terrain, the same on every command that reads the ground."""


class NotAgreed(click.ClickException):
    """The answer was no; its status is that of bad input."""

    exit_code = 2


def agree(question: str) -> None:
    """Returns once a person has said yes. Raises UsageError where nobody is there to ask, NotAgreed for a no."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to ask; give --yes")
    if not click.confirm(question, err=True):
        raise NotAgreed("not agreed to; nothing was changed")


def loudness(command: Callable[..., Any]) -> Callable[..., Any]:
    """-v and -q, the same on every command that works for a while."""
    for option in (
        click.option("-v", "--verbose", count=True, help="Say more; twice, everything."),
        click.option("-q", "--quiet", is_flag=True, help="Only the result and errors."),
    ):
        command = option(command)
    return command


def known(name: str, names: Sequence[str], kind: str, site: Path) -> None:
    """Returns if the site file has one of that kind by that name; UsageError says which are near."""
    if name in names:
        return
    from dronewall.toml_check import nearest

    of_node = [each for each in names if each.startswith(f"{name.rstrip('/')}/")]
    near = nearest(name, names)
    if of_node:
        hint = f"; did you mean {' or '.join(of_node)}?"
    elif near is not None:
        hint = f"; did you mean {near}?"
    else:
        hint = f"; it has {', '.join(names[:6])}{' ...' if len(names) > 6 else ''}" if names else "; it has none"
    raise click.UsageError(f"{site} has no {kind} {name!r}{hint}")
