"""What a site file's types cannot say of its drones: airframes, gimbals, and sorties that contradict themselves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from dronewall.site_places import metres, points
from dronewall.toml_check import Sheet, key_path, shown
from dronewall.toml_lines import Key

_DEPTHS = (("belt_front_m", 600.0), ("belt_behind_m", 300.0))
LONGEST_S = 7 * 86_400.0
"""A drone is back where it was within this time [s]: simulated nodes count the milliseconds of it in 31 bits."""


def check_patrol(found: Sheet) -> None:
    """Add to `found` the problems and notes of its airframes, drones and sorties; that names refer to something is not
    looked at.
    """
    for key in found.each("airframes"):
        _check_airframe(found, key)
    for key in sensors_of(found, "drones"):
        _check_gimbal(found, key)
    for key in found.each("sorties"):
        _check_sortie(found, key)
    _check_turns(found)
    _check_crossing(found)


def sensors_of(found: Sheet, table: str) -> Iterator[Key]:
    """The keys of the sensors of that table's nodes."""
    for key in found.each(table):
        sensors = found.raw(*key, "sensors")
        for i, sensor in enumerate(sensors if isinstance(sensors, list) else ()):
            if isinstance(sensor, dict):
                yield (*key, "sensors", i)


def _check_turns(found: Sheet) -> None:
    """Each drone flies in one sortie."""
    flying: dict[str, Key] = {}
    for key in found.each("sorties"):
        drones = found.raw(*key, "drones")
        for i, name in enumerate(drones if isinstance(drones, list) else ()):
            if not isinstance(name, str):
                continue
            if name in flying:
                where = f"in {key_path(flying[name])} (line {found.line(flying[name])})"
                found.problem((*key, "drones", i), f"{shown(name)} is {where}, too", "each drone in one sortie")
            flying.setdefault(name, key)
    for key in found.each("drones"):
        name = found.raw(*key, "name")
        if isinstance(name, str) and name not in flying:
            found.note(key, f"drone {shown(name)} is in no sortie: it never flies")


def _check_crossing(found: Sheet) -> None:
    """Everybody has the time to walk straight across."""
    longest = found.sound("patrol", "max_crossing_s")
    if longest is None:
        return
    front, behind = (found.sound("frontage", name, default=m) for name, m in _DEPTHS)
    for key in found.each("targets"):
        speed = found.sound(*key, "speed_mps")
        if speed is not None and longest < (front + behind) / speed:
            name = shown(found.raw(*key, "name"))
            found.problem(
                ("patrol", "max_crossing_s"),
                f"{longest:g} s, but {name} takes {(front + behind) / speed:.0f} s straight across",
                "as long or longer",
            )


def _check_airframe(found: Sheet, key: Key) -> None:
    endurance, reserve = found.sound(*key, "endurance_s"), found.sound(*key, "reserve_s")
    if not reserve:
        return
    if found.raw(*key, "endurance_s") is None:
        found.problem((*key, "reserve_s"), "a reserve of an airframe that never lands", "endurance_s with it")
    elif endurance is not None and reserve >= endurance:
        came = f"{reserve} s is not under endurance_s = {endurance} s"
        found.problem((*key, "reserve_s"), came, "a reserve under the endurance")


_GIMBAL_KEYS = {"nose": (), "point": ("point_deg",), "sweep": ("sweep_deg", "sweep_s")}


def _check_gimbal(found: Sheet, key: Key) -> None:
    gimbal = found.sound(*key, "gimbal", default="nose")
    for kind, names in _GIMBAL_KEYS.items():
        for name in names:
            there = found.raw(*key, name) is not None
            if kind == gimbal and not there:
                found.problem((*key, name), "missing", f"it, with gimbal = {shown(gimbal)}")
            elif kind != gimbal and there:
                found.problem((*key, name), f"given with gimbal = {shown(gimbal)}", f"gimbal = {shown(kind)}")
    for name in ("azimuth_deg", "elevation_deg") if gimbal == "point" else ():
        if found.raw(*key, name) is not None:
            found.problem((*key, name), 'given with gimbal = "point"', "no angle: point_deg says where it looks")


def _check_sortie(found: Sheet, key: Key) -> None:
    heights = [name for name in ("height_agl_m", "height_amsl_m") if found.raw(*key, name) is not None]
    misnamed = any(name.startswith(("height_", "alt")) for name in found.raw(*key) if name not in heights)
    if len(heights) != 1 and not misnamed:
        came = "both height_agl_m and height_amsl_m" if heights else "no height"
        found.problem((*key, "height_agl_m") if heights else key, came, "height_agl_m or height_amsl_m")
    speed, lands = _check_crew(found, key)
    _check_landing(found, key, lands)
    _check_route(found, key, speed, lands)


def _check_crew(found: Sheet, key: Key) -> tuple[float | None, bool | None]:
    """The speed of the drones of a sortie, and whether they have to land; None where that cannot be said."""
    airframes = {}
    for each in found.each("drones"):
        name, airframe = found.raw(*each, "name"), found.sound(*each, "airframe")
        known = isinstance(airframe, str) and isinstance(found.raw("airframes", airframe), dict)
        if known and isinstance(name, str):
            airframes[name] = airframe
    drones = found.raw(*key, "drones")
    crew = [name for name in drones if isinstance(name, str)] if isinstance(drones, list) else []
    kinds = list(dict.fromkeys(airframes[name] for name in crew if name in airframes))
    if len(kinds) > 1:
        one, other = (next(name for name in crew if airframes.get(name) == kind) for kind in kinds[:2])
        came = f"{shown(one)} is a {kinds[0]}, {shown(other)} a {kinds[1]}"
        found.problem((*key, "drones"), came, "drones of one airframe")
    if len(kinds) != 1:
        return None, None
    frame = ("airframes", kinds[0])
    pattern = found.sound(*key, "pattern", default="loop")
    return found.sound(*frame, "speed_mps"), found.raw(*frame, "endurance_s") is not None or pattern == "waypoints"


def _check_landing(found: Sheet, key: Key, lands: bool | None) -> None:
    given = [name for name in ("every_s", "batteries", "charge_s") if found.raw(*key, name) is not None]
    if "batteries" in given and "charge_s" not in given:
        found.problem((*key, "charge_s"), "missing", "it, with batteries")
    launch = found.raw(*key, "launch")
    if lands and launch is None:
        found.problem((*key, "launch"), "missing", "one of [[posts]], for its drones have to land")
    elif lands is False:
        for name in given:
            found.problem((*key, name), "its drones never land", "endurance_s of their airframe")
        if launch is not None:
            found.note((*key, "launch"), "its drones never land: it is not used")
    batteries, drones = found.sound(*key, "batteries"), found.raw(*key, "drones")
    if lands and batteries is not None and isinstance(drones, list) and batteries < len(drones):
        found.note((*key, "batteries"), f"{batteries} for {len(drones)} drones: one of them always waits")


def _check_route(found: Sheet, key: Key, speed: float | None, lands: bool | None) -> None:
    pattern = found.sound(*key, "pattern", default="loop")
    route = points(found, (*key, "route_deg"))
    radius = found.sound(*key, "radius_m")
    if pattern == "orbit":
        if len(route) > 1:
            found.problem((*key, "route_deg"), f"{len(route)} points", "one, the middle of the orbit")
        if found.raw(*key, "radius_m") is None:
            found.problem((*key, "radius_m"), "missing", "the radius of the orbit, in metres")
        length = math.tau * radius if radius is not None else None
    else:
        for name in ("radius_m", "direction"):
            if found.raw(*key, name) is not None:
                found.problem((*key, name), f"given with pattern = {shown(pattern)}", 'pattern = "orbit"')
        if len(route) == 1:
            found.problem((*key, "route_deg"), "1 point", "two waypoints or more")
        if len(route) < 2:
            return
        plan = [metres(route[0], point) for point in route]
        for i, (a, b) in enumerate(itertools.pairwise(plan)):
            if math.dist(a, b) < 1:
                came = f"the same place as waypoint {i}"
                found.problem((*key, "route_deg", i + 1), came, "waypoints at least 1 m apart")
        if pattern == "loop" and math.dist(plan[0], plan[-1]) < 1 and len(plan) > 2:
            last = len(plan) - 1
            came = "the first waypoint again"
            found.problem((*key, "route_deg", last), came, "no return: a loop closes by itself")
        way = sum(math.dist(a, b) for a, b in itertools.pairwise(plan))
        length = 2.0 * way if pattern == "shuttle" else way + math.dist(plan[0], plan[-1])
    if lands is False and speed is not None and length is not None and length / speed > LONGEST_S:
        came = f"a round of {length / 1000:.0f} km, which takes {length / speed / 86_400:.0f} days at {speed} m/s"
        found.problem((*key, "route_deg"), came, f"a round of at most {LONGEST_S / 86_400:.0f} days")
