"""`dronewall node align`: what the person on the mast says of a sighting, how the node is told, and what it answers."""

import json
import math
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from dronewall.options import WEEK_S, Instant, Number, Place, Seconds, known, loudness
from dronewall.program import EXCEEDED, Program
from dronewall.sources import Link, from_broker_if_any
from dronewall.talk import Talk, complain

if TYPE_CHECKING:
    from dronewall.bench.align import Aligned, Eye, Mark
    from dronewall.scenario import Scenario

_FILE = click.Path(path_type=Path)
_SITE_SIGMA = 5.0  # [m] of a post whose place is known from the site file alone


class _Landmark(click.ParamType):
    """Latitude, longitude and perhaps height AMSL from `36.6182,-84.1571,512`."""

    name = "lat,lon[,amsl]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float | None]:
        if isinstance(value, tuple):
            return value
        parts = value.strip().split(",")
        height = None
        if len(parts) == 3:
            try:
                height = float(parts[2])
            except ValueError:
                height = math.nan
            if not -500.0 <= height <= 15_000.0:
                self.fail(f"{value.strip()!r}: expected its height AMSL last, -500 to 15000 metres", param, ctx)
        return (*Place().convert(",".join(parts[:2] if len(parts) == 3 else parts), param, ctx), height)


class _Pixel(click.ParamType):
    """The column of a picture and its width from `1210/1920`."""

    name = "x/width"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d{1,6})\s*", value)
        if match is None or not 0.0 <= float(match[1]) < float(match[2]):
            self.fail(
                f"{value.strip()!r}; expected the column, from 0 at the left, and the width: 1210/1920", param, ctx
            )
        return float(match[1]), int(match[2])


class _Sighting(NamedTuple):
    """What the person on the mast says."""

    landmark: tuple[float, float, float | None] | None
    landmark_sigma: float
    unix_ms: int | None
    offset_deg: float
    pixel: tuple[float, int] | None
    sigma_deg: float | None
    with_elevation: bool


@click.command(cls=Program.command_class)
@click.argument("site", type=_FILE)
@click.argument("sensor", metavar="NODE/SENSOR")
@click.option("--landmark", type=_Landmark(), metavar="LAT,LON[,AMSL]",
              help="Sighted: a place in degrees, with its height in metres above the sea for --elevation.")  # fmt: skip
@click.option("--landmark-sigma", type=Number(0.0, 1000.0), default=5.0, show_default=True, metavar="METRES",
              help="How well that place is known, 1 sigma.")  # fmt: skip
@click.option("--sun", "by_sun", is_flag=True, help="Sighted: the sun, by the shadow. Never look into it.")
@click.option("--time", "at_ms", type=Instant(), metavar="TIME",
              help="When the sun was sighted, such as 2026-03-01T12:00:00Z. [default: now]")  # fmt: skip
@click.option("--offset", "offset_deg", type=Number(-180.0, 180.0), metavar="DEG",
              help="What was sighted stands so far right of the boresight; left is negative. [default: 0]")  # fmt: skip
@click.option("--pixel", type=_Pixel(), metavar="X/WIDTH",
              help="The column at which the camera's picture shows it, and the picture's width.")  # fmt: skip
@click.option("--sigma", "sigma_deg", type=Number(0.01, 45.0), metavar="DEG",
              help="How well it was sighted, 1 sigma. [default: 0.5, or a pixel and 2 % of the angle]")  # fmt: skip
@click.option("--elevation", "with_elevation", is_flag=True,
              help="The boresight is on it up and down, too: set the elevation as well.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be stored, and store nothing.")
@click.option("--wait", "wait_s", type=Seconds(1.0, WEEK_S), default=300.0, metavar="SECONDS",
              help="How long the node may take to be online, before and after. [default: 300]")  # fmt: skip
@click.option("--port", metavar="PORT", help="Or store it on the board at this serial port.")
@from_broker_if_any
@loudness
def align(
    site: Path,
    sensor: str,
    landmark: tuple[float, float, float | None] | None,
    landmark_sigma: float,
    by_sun: bool,
    at_ms: int | None,
    offset_deg: float | None,
    pixel: tuple[float, int] | None,
    sigma_deg: float | None,
    with_elevation: bool,
    dry_run: bool,
    wait_s: float,
    port: str | None,
    link: Link | None,
    verbose: int,
    quiet: bool,
) -> int:
    """Survey where a sensor looks, from a landmark or the sun that somebody on the mast has sighted.

    The sensor's boresight is on it (a sight tube, a laser or the picture's middle), or it stands --offset degrees to
    the right of that, or in column --pixel of the picture. The azimuth is stored on the node, over --broker or on the
    board at --port; the node restarts, and its next report has to say `survey` and that azimuth. The status is 3 when
    it does not.
    """
    now_ms = time.time_ns() // 1_000_000  # the moment at which somebody pressed Enter
    if (landmark is None) != by_sun:
        raise click.UsageError("expected --landmark LAT,LON or --sun, one of them")
    if at_ms is not None and not by_sun:
        raise click.UsageError("--time goes with --sun")
    if offset_deg is not None and pixel is not None:
        raise click.UsageError("--offset and --pixel exclude each other")
    if (link is None) == (port is None) and not (dry_run and link is None):
        raise click.UsageError("expected --broker HOST:PORT or --port PORT, where the node is told, or --dry-run")
    seen = _Sighting(
        landmark, landmark_sigma, (at_ms if at_ms is not None else now_ms) if by_sun else None, offset_deg or 0.0,
        pixel, sigma_deg, with_elevation,
    )  # fmt: skip
    with Talk(3, verbose, quiet) as talk:
        from dronewall import scenario

        read = scenario.read(site)
        which = _which(read, site, sensor)
        status: dict[str, Any] | int
        if link is not None:
            status = _over_broker(read, link, which, seen, dry_run, wait_s, talk)
        elif port is not None:
            status = _over_port(read, port, which, seen, dry_run, talk)
        else:
            status = _planned(read, which, seen)
        if isinstance(status, dict):
            _site_lines(site, which, status)
            return 0
    return status


_Which = tuple[int, int]
"""A sensor of a site: the number of its node, and its own there."""


def _which(read: "Scenario", site: Path, sensor: str) -> _Which:
    name, slash, own = sensor.partition("/")
    if name in {drone.name for drone in read.drones}:
        raise click.UsageError(f"{name} is a drone: what moves has a compass and no survey")
    names = [node.name for node in read.nodes]
    known(name, names, "node", site)
    sensors = [each.name for each in read.nodes[names.index(name)].sensors]
    if not slash and len(sensors) == 1:
        own = sensors[0]
    if own not in sensors:
        raise click.UsageError(
            f"node {name} has no sensor {own!r}; expected {' or '.join(f'{name}/{s}' for s in sensors)}"
        )
    return names.index(name), sensors.index(own)


def _site_eye(read: "Scenario", which: _Which) -> "Eye":
    from dronewall.bench.align import Eye

    post = _post(read, which)
    return Eye(*post, None, _SITE_SIGMA, _SITE_SIGMA)


def _post(read: "Scenario", which: _Which) -> tuple[float, float]:
    wanted = read.nodes[which[0]].post
    post = next(each for each in read.posts if each.name == wanted)
    return post.latitude_deg, post.longitude_deg


def _found(
    read: "Scenario", which: _Which, eye: "Eye", seen: _Sighting, tilt: tuple[float, float, float] | None
) -> "Aligned":
    """The boresight, with its budget on stdout. tilt: elevation, roll of the camera, and its hfov [rad]; None: the
    site's. Raises AlignError.
    """
    from dronewall.bench import align as by

    node = read.nodes[which[0]]
    sensor = node.sensors[which[1]]
    if seen.landmark is not None:
        mark = by.landmark(eye, *seen.landmark[:2], height_amsl=seen.landmark[2], sigma=seen.landmark_sigma)
    else:
        assert seen.unix_ms is not None
        mark = by.sun_mark(eye, seen.unix_ms)
    offset, sight = math.radians(seen.offset_deg), by.SIGHT
    if seen.pixel is not None:
        kind = read.sensor_types[sensor.type]
        if tilt is None:
            tilt = math.radians(sensor.elevation_deg), math.radians(sensor.roll_deg), math.radians(kind.hfov_deg)
        if kind.shape != "pyramid":
            raise by.AlignError(
                f"{node.name}/{sensor.name}: a {kind.shape} has no picture; expected --offset, not --pixel"
            )
        column = (2.0 * seen.pixel[0] + 1.0) / seen.pixel[1] - 1.0
        offset = by.column_offset(column, tilt[2], tilt[0], tilt[1], mark.elevation or 0.0)
        sight = by.picture_sigma(tilt[2], seen.pixel[1], offset)
    if seen.sigma_deg is not None:
        sight = math.radians(seen.sigma_deg)
    found = by.aligned(mark, offset, sight, seen.with_elevation)
    _show(node.name, seen.unix_ms, mark, offset, sight, found)
    away = by.elsewhere(eye, *_post(read, which))
    if away:
        click.echo(
            f"  the node says that it stands {away:.0f} m from post {node.post} of the site; its own word counts"
        )
    return found


def _planned(read: "Scenario", which: _Which, seen: _Sighting) -> dict[str, Any]:
    """The change, from the site file alone."""
    from dronewall.bench.align import change

    node = read.nodes[which[0]]
    sensor = node.sensors[which[1]]
    found = _found(read, which, _site_eye(read, which), seen, None)
    click.echo(_turned(f"{node.name}/{sensor.name}", f"{sensor.azimuth_deg:.2f}° in the site file", found))
    return change(sensor.name, found)


def _show(node: str, at_ms: int | None, mark: "Mark", offset: float, sight: float, found: "Aligned") -> None:
    far = "" if mark.distance is None else f", {mark.distance:.0f} m from {node}"
    up = "" if mark.elevation is None else f", elevation {math.degrees(mark.elevation):.2f}°"
    if at_ms is not None:
        far = f", at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at_ms // 1000))}"
    click.echo(f"{mark.name}: azimuth {math.degrees(mark.azimuth):.2f}°{up}{far}")
    if offset:
        side = "right" if offset > 0 else "left"
        click.echo(f"  {abs(math.degrees(offset)):.2f}° {side} of the boresight")
    what = "its place and the post's" if mark.distance is not None else "the clock and the sun's place"
    click.echo(
        f"  1 sigma: {what} {math.degrees(mark.azimuth_sigma):.2f}°, the sighting {math.degrees(sight):.2f}°, "
        f"in all {math.degrees(found.azimuth_sigma):.2f}°"
    )


def _turned(name: str, before: str, found: "Aligned") -> str:
    text = f"{name}: azimuth {math.degrees(found.azimuth):.2f}° ±{math.degrees(found.azimuth_sigma):.2f}°"
    if found.elevation is not None:
        text += f", elevation {math.degrees(found.elevation):.2f}° ±{math.degrees(found.elevation_sigma):.2f}°"
    return f"{text} (was {before})"


def _over_broker(
    read: "Scenario", link: Link, which: _Which, seen: _Sighting, dry_run: bool, wait_s: float, talk: Talk
) -> dict[str, Any] | int:
    """The change that the node's report now shows, or the exit status."""
    from dronewall.bench import align as by
    from dronewall.bench.sender import UpdateError, Wall, running

    node = read.nodes[which[0]]
    sensor = node.sensors[which[1]]
    name, topic = f"{node.name}/{sensor.name}", f"frustum/{sensor.name}"
    with Wall(*link.where, read.site.name, link.account(), frusta=True) as wall:
        talk.step(1, f"waiting for {name}")
        try:
            running(wall, node.name, wait_s)
        except UpdateError as error:
            return _failed(str(error))
        boot = wall.said(node.name, "birth")["boot"]
        if not wall.until(lambda: wall.said(node.name, topic).get("boot") == boot, wait_s):
            return _failed(f"{name}: no report within {wait_s:g} s; does its config.json have that sensor?")
        report = wall.said(node.name, topic)
        eye = by.eye_of(report)
        if eye is None:
            return _failed(
                f"{name}: the node does not know where it stands; expected a surveyed post, or GNSS with a fix"
            )
        tilt = math.radians(report["elevation_deg"]), math.radians(report["roll_deg"])
        found = _found(read, which, eye, seen, (*tilt, math.radians(report["hfov_deg"])))
        change = by.change(sensor.name, found, tilt if report["azimuth_source"] != "survey" else None)
        old = "unknown" if report.get("azimuth_deg") is None else f"{report['azimuth_deg']:.2f}°"
        click.echo(_turned(name, f"{old}, {report['azimuth_source']}", found))
        if dry_run:
            return change
        talk.step(2, f"telling {name}; it restarts, and replies once it is online with it")
        reply = wall.asked(node.name, wait_s, command="config", patch=json.dumps(change, separators=(",", ":")))
        if reply.get("status") != "done":
            what = (
                f"{reply['status']}: {reply.get('reason', 'no reason given')}" if reply else f"no reply in {wait_s:g} s"
            )
            return _failed(f"{name}: not aligned: {what}")

        def anew() -> bool:
            return bool(wall.said(node.name, topic).get("boot", boot) != boot)

        if not wall.until(anew, wait_s):
            return _failed(f"{name}: it took the change, and sent no report within {wait_s:g} s")
        report = wall.said(node.name, topic)
        wrong = by.unlike(report, change)
        if wrong:
            more = "; the mast has been turned since its last survey, it says" if report.get("suspect") else ""
            return _failed(f"{name}: its report says otherwise: {wrong}{more}")
        talk.step(3, f"{name} reports it")
        click.echo(f"{name}: reports azimuth {report['azimuth_deg']:.2f}° ±{report['azimuth_sigma_deg']:.2f}°, survey")
        return change


def _over_port(
    read: "Scenario", port: str, which: _Which, seen: _Sighting, dry_run: bool, talk: Talk
) -> dict[str, Any]:
    """The change that config.json on the board now has. Raises BoardError and AlignError."""
    from dronewall.bench import align as by
    from dronewall.bench import stored
    from dronewall.bench.onboard import import_firmware, said
    from dronewall.bench.repl import BoardError, Repl

    node = read.nodes[which[0]]
    sensor = node.sensors[which[1]]
    with Repl(port) as repl:
        talk.step(1, f"reading the board at {port}")
        import_firmware(repl, said(repl))
        config = stored.config(repl, "wall", "position", "sensors")
        if (config.get("wall"), config["node"]) != (read.site.name, node.name):
            other = f"{config.get('wall')}/{config['node']}"
            raise BoardError(f"{port}: this board is {other}, expected {read.site.name}/{node.name}")
        own = next((each for each in config.get("sensors", []) if each.get("name") == sensor.name), None)
        if own is None:
            raise BoardError(f"{port}: {node.name} has no sensor {sensor.name} in its config.json; provision it again")
        if own.get("servo"):
            raise by.AlignError(
                f"{node.name}/{sensor.name}: on a servo; expected --broker, and the servo in its middle"
            )
        place = config.get("position", {})
        if place.get("source") != "survey":
            raise by.AlignError(f"{node.name}: its place comes from GNSS, and its reports say it; expected --broker")
        if "latitude_e7" not in place or "longitude_e7" not in place:
            raise BoardError(f"{port}: its config.json has no place; provision it again")
        height, sigma = place.get("height_amsl_cm"), place.get("sigma_cm", 100) / 100
        amsl = None if height is None else height / 100
        eye = by.Eye(place["latitude_e7"] / 1e7, place["longitude_e7"] / 1e7, amsl, sigma, sigma)
        if own.get("azimuth_source", "survey") != "survey" and not seen.with_elevation:
            raise by.AlignError(
                f"{node.name}/{sensor.name}: its elevation is its mount's on the board until now; expected --broker, "
                "where its reports say the true one, or --elevation"
            )
        angles_cdeg = own.get("elevation_cdeg", 0), own.get("roll_cdeg", 0), own.get("hfov_cdeg", 0)
        elevation, roll, hfov = (math.radians(angle / 100) for angle in angles_cdeg)
        found = _found(read, which, eye, seen, (elevation, roll, hfov))
        change = by.change(sensor.name, found)
        old = f"{own.get('azimuth_cdeg', 0) / 100:.2f}°, {own.get('azimuth_source', 'survey')}"
        click.echo(_turned(f"{node.name}/{sensor.name}", old, found))
        if not dry_run:
            talk.step(2, "storing it on the board")
            stored.patch(repl, change)
            talk.step(3, "stored and read back; the node restarts")
    return change


def _failed(text: str) -> int:
    complain(text)
    return EXCEEDED


def _site_lines(site: Path, which: _Which, change: dict[str, Any]) -> None:
    """Says which lines of the site file are not as the node is now."""
    import tomllib

    from dronewall.toml_lines import lines

    try:
        text = site.read_text(encoding="utf-8")
        table = tomllib.loads(text)["nodes"][which[0]]["sensors"][which[1]]
    except (OSError, ValueError, LookupError, TypeError):
        return
    places = lines(text)
    base = ("nodes", which[0], "sensors", which[1])
    (told,) = change["sensors"].values()
    for key, value in told.items():
        name = key.removesuffix("_cdeg") + "_deg" if key.endswith("_cdeg") else key
        wanted = value / 100 if key.endswith("_cdeg") else value
        if name.endswith("sigma_deg") or table.get(name, {"azimuth_source": "survey"}.get(name)) == wanted:
            continue
        line = places.get((*base, name), places.get(base, 1))
        shown = f'"{wanted}"' if isinstance(wanted, str) else wanted
        click.echo(f"{site}:{line}: expected {name} = {shown}, to plan with what is there")
