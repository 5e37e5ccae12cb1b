"""What a site file's types cannot say: references, names, places, and values that contradict each other.

The rules read the parsed file as it was written, not the Structs, so that they hold in a file with other
mistakes, too: each looks only at values that are sound by themselves.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from dronewall.patrol_rules import check_patrol, sensors_of
from dronewall.site_places import metres, points
from dronewall.toml_check import Sheet, key_path, nearest, shown, unfit
from dronewall.toml_lines import Key

BUILT_IN_TERRAIN = ("dronewall:jacksboro",)
"""Terrain that needs no file: the USGS model of the Jacksboro fault that matplotlib ships."""

_TARGET_FIGURES = {
    "radar_cross_section_m2": ("radar",),
    "thermal_contrast_k": ("thermal", "pir"),
    "source_level_db": ("acoustic",),
}
"""What a target's detection depends on besides its size and speed, and the kinds of model that ask for it."""

_NAMED = ("sensor_types", "airframes")
"""The tables whose tables bear their names as keys."""

BOARD_SENSORS = 5
"""As many sensors find room in the memory of the reference board (firmware/README.md, "Memory")."""

FAR_M = 50_000.0
"""Nothing of a wall is farther from its frontage than this [m]: what is, has mistaken coordinates."""


def check(found: Sheet, folder: Path, ground_counts: bool) -> None:
    """Add to `found` the problems and notes that its types cannot say.

    `folder` is the one that raster files are relative to; `ground_counts` is False where another terrain
    takes the place of the file's own.
    """
    _check_files(found, folder, ground_counts)
    _check_frontage(found)
    for key in found.each("targets"):
        bottom, top = found.sound(*key, "height_agl_m", 0), found.sound(*key, "height_agl_m", 1)
        if bottom is not None and top is not None and bottom >= top:
            found.problem(
                (*key, "height_agl_m"),
                f"bottom {bottom} m is not under top {top} m",
                "[bottom, top] above ground",
            )
    for key in found.each("sensor_types"):
        _check_sensor_type(found, key)
    _check_names(found)
    _check_references(found)
    _check_places(found)
    for key in found.each("nodes"):
        awake = found.sound(*key, "duty", "awake", default="always")
        share = found.sound(*key, "duty", "share")
        if awake == "duty" and share is None and found.raw(*key, "duty", "share") is None:
            found.problem((*key, "duty", "share"), "missing", 'the share of the time awake, with awake = "duty"')
        elif awake != "duty" and share is not None and share < 1:
            found.problem((*key, "duty", "share"), f"{share} with awake = {shown(awake)}", 'awake = "duty"')
        _check_sleep(found, key, awake, share)
        if found.raw(*key, "access_point") is not None and found.raw(*key, "gateway") is not None:
            found.problem(
                (*key, "gateway"),
                "a node that has an access point, too",
                "one way home: access_point or gateway",
            )
    check_patrol(found)
    _note_targets(found)
    _note_going(found)
    for key in itertools.chain(found.each("nodes"), found.each("drones")):
        sensors = found.raw(*key, "sensors")
        if isinstance(sensors, list) and len(sensors) > BOARD_SENSORS:
            found.note(
                (*key, "sensors"),
                f"{len(sensors)} sensors: the memory of the reference board (128 KB) carries {BOARD_SENSORS}",
            )


def _check_sleep(found: Sheet, key: Key, awake: str, share: float | None) -> None:
    """A node that sleeps does so by turns that are long enough for what it has to do."""
    sleep, cycle_s = found.sound(*key, "duty", "sleep"), found.sound(*key, "duty", "cycle_s")
    if sleep in ("light", "deep"):
        if found.raw(*key, "duty", "cycle_s") is None:
            found.problem((*key, "duty", "cycle_s"), "missing", f"the length of a turn, with sleep = {shown(sleep)}")
        if awake == "always":
            found.problem((*key, "duty", "sleep"), f"{shown(sleep)} with awake = {shown(awake)}", "awake duty or event")
        elif awake == "duty" and share is not None and cycle_s is not None:
            awake_s = round(share * cycle_s)
            if awake_s < 2 or round(cycle_s) - awake_s < 1:
                found.problem(
                    (*key, "duty", "cycle_s"),
                    f"{awake_s} s awake in {cycle_s:g} s",
                    "2 s awake at least and 1 s asleep: share times cycle_s, and the rest",
                )
    elif cycle_s is not None:
        found.problem((*key, "duty", "cycle_s"), "no sleep by turns", 'sleep = "light" or "deep"')


def _note_targets(found: Sheet) -> None:
    """What the models of the sensor types need to know of each target and the file does not say."""
    kinds = [found.sound(*key, "model", "kind") for key in found.each("sensor_types")]
    for key in found.each("targets"):
        for name, of in _TARGET_FIGURES.items():
            asking = [kind for kind in of if kind in kinds]
            if asking and found.raw(*key, name) is None:
                came = f"no {name}, which {' and '.join(asking)} models ask for: its default is hard to detect"
                found.note(key, came)


def _note_going(found: Sheet) -> None:
    """Whether what is said of going holds for anybody."""
    said = found.raw("going", "cost"), found.raw("going", "impassable"), found.raw("going", "slope") == "tobler"
    on_foot = (
        found.sound(*key, "on_foot", default=found.sound(*key, "height_agl_m", 0) == 0) for key in found.each("targets")
    )
    if any(said) and not any(on_foot):
        found.note(("going",), "no target goes on foot: it holds for none", "a target whose bottom is at 0 m")


def _check_files(found: Sheet, folder: Path, ground_counts: bool) -> None:
    layers = [("terrain", "surface"), ("terrain", "canopy"), ("going", "cost"), ("going", "impassable")]
    for key in [("terrain", "ground"), *layers] if ground_counts else layers:
        named = found.sound(*key)
        if named is None or (key[1] == "ground" and named in BUILT_IN_TERRAIN):
            continue
        near = nearest(named, BUILT_IN_TERRAIN) if key[1] == "ground" else None
        kind = "a GeoJSON file" if key[1] == "impassable" else "a GeoTIFF"
        if named.startswith("dronewall:"):
            words = f'{kind} or "{BUILT_IN_TERRAIN[0]}"' if key[1] == "ground" else kind
            found.problem(key, shown(named), words, near)
        elif wrong := unfit(folder / named):
            found.problem(key, f"{shown(named)}: {wrong} ({folder / named})", kind, near)


def _check_frontage(found: Sheet) -> None:
    key: Key = ("frontage", "points_deg")
    bends = points(found, key)
    if len(bends) < 2:
        return
    plan = [metres(bends[0], point) for point in bends]
    repeated = _check_repeats(found, key, plan)
    for i, j in () if repeated else _crossings(plan):
        found.problem(
            (*key, j),
            f"the leg from point {j} to {j + 1} meets the one from {i} to {i + 1}",
            "a frontage that does not cross itself",
        )
    legs = [math.dist(a, b) for a, b in itertools.pairwise(plan)]
    strays: list[int] = []
    for i, leg in enumerate(legs, 1):
        # One point astray makes two long legs: it is named once.
        if leg > FAR_M and i - 1 not in strays:
            strays.append(i)
            came = f"{leg / 1000:.0f} km from the point before it; are latitude and longitude swapped?"
            found.problem((*key, i), came, f"legs of at most {FAR_M / 1000:.0f} km")
    cell = found.sound("terrain", "cell_m", default=10.0)
    depth = found.sound("frontage", "belt_front_m", default=600.0) + found.sound(
        "frontage", "belt_behind_m", default=300.0
    )
    if cell > depth / 2:
        came = f"{cell} m is wider than half the belt, which is {depth} m deep: a lane is judged by a cell or two"
        found.note(("terrain", "cell_m"), came)
    if sum(legs) < 2 * cell:
        found.problem(key, f"a frontage of {sum(legs):.1f} m", f"at least two cells of {cell} m")
    if found.raw("site", "crs") is not None:
        return
    for i, (lat, lon) in enumerate(bends):
        if not -80 <= lat <= 84 and i not in strays:
            swapped = " (are latitude and longitude swapped?)" if -80 <= lon <= 84 else ""
            came = f"latitude {lat} has no UTM zone{swapped}"
            found.problem((*key, i), came, "site.crs, or a latitude from -80 to 84")


def _check_sensor_type(found: Sheet, key: Key) -> None:
    if found.sound(*key, "shape") == "pyramid":
        for name in ("hfov_deg", "vfov_deg"):
            fov = found.sound(*key, name)
            if fov is not None and _steps(fov) >= _steps(180):
                words = 'under 180 by 0.01 or more, or shape = "sector"'
                found.problem((*key, name), f'{fov} with shape = "pyramid"', words)
    low = found.sound(*key, "range_min_m", default=0.0)
    high = found.sound(*key, "range_max_m")
    if high is not None and _steps(low) >= _steps(high):
        found.problem(
            (*key, "range_min_m"),
            f"{low} m is not under range_max_m = {high} m",
            "range_min_m under range_max_m by 0.01 m or more",
        )
        high = None
    ranges = found.sound(*key, "model", "range_m")
    chances = found.sound(*key, "model", "probability")
    if not ranges or found.raw(*key, "model", "kind") != "table":
        return
    wrong = [i for i, (a, b) in enumerate(itertools.pairwise(ranges)) if _steps(b) <= _steps(a)]
    if wrong:
        i = wrong[0] + 1
        found.problem(
            (*key, "model", "range_m", i), f"{ranges[i]} after {ranges[i - 1]}", "rising ranges, 0.01 m apart or more"
        )
    elif high is not None and (ranges[0] > low or ranges[-1] < high):
        found.problem(
            (*key, "model", "range_m"),
            f"from {ranges[0]} to {ranges[-1]} m",
            f"all from range_min_m = {low} to range_max_m = {high} m",
        )
    if chances is not None and len(chances) != len(ranges):
        found.problem(
            (*key, "model", "probability"),
            f"{len(chances)} values",
            f"{len(ranges)}, one for each of range_m",
        )


def _steps(value: float) -> int:
    """A length or an angle as the wire counts it, in hundredths of a metre or degree."""
    return round(value * 100)


def _check_names(found: Sheet) -> None:
    nodes_at: dict[str, int] = {}
    for key in found.each("nodes"):
        post = found.raw(*key, "post")
        if isinstance(post, str):
            nodes_at[post] = nodes_at.get(post, 0) + 1
    for key in found.each("nodes"):
        post = found.raw(*key, "post")
        if found.raw(*key, "name") is None and isinstance(post, str) and nodes_at[post] > 1:
            found.problem((*key, "name"), "missing", f"a name, for {nodes_at[post]} nodes stand at post {shown(post)}")
    for tables in (("targets",), ("posts",), ("nodes", "drones", "gateways"), ("access_points",), ("sorties",)):
        first: dict[str, Key] = {}
        for key in itertools.chain.from_iterable(found.each(table) for table in tables):
            name, post = found.raw(*key, "name"), found.raw(*key, "post")
            alone = key[0] == "nodes" and isinstance(post, str) and nodes_at[post] == 1
            _once(found, first, (*key, "name"), post if name is None and alone else name)
    for key in itertools.chain(found.each("nodes"), found.each("drones")):
        first = {}
        sensors = found.raw(*key, "sensors")
        for i in range(len(sensors) if isinstance(sensors, list) else 0):
            _once(found, first, (*key, "sensors", i, "name"), found.raw(*key, "sensors", i, "name"))


def _once(found: Sheet, first: dict[str, Key], key: Key, name: Any) -> None:
    if not isinstance(name, str):
        return
    if name in first:
        line = found.line(first[name])
        found.problem(
            key,
            f"{shown(name)} again",
            f"a name that {key_path(first[name][:-1])} (line {line}) does not have",
        )
    else:
        first[name] = key


def _check_references(found: Sheet) -> None:
    def names(table: str) -> list[str] | None:
        """The names in a table; None where it is no such table, which is a problem of its own."""
        value = found.raw(table)
        if value is not None and not isinstance(value, dict if table in _NAMED else list):
            return None
        named = (found.raw(*key, "name") if isinstance(key[-1], int) else key[-1] for key in found.each(table))
        return list(dict.fromkeys(name for name in named if isinstance(name, str)))

    def refer(key: Key, table: str) -> None:
        name, known = found.sound(*key), names_of[table]
        if isinstance(name, str) and known is not None and name not in known:
            words = "one of " + ", ".join(map(shown, known[:12])) + (" ..." if len(known) > 12 else "")
            brackets = f"[{table}]" if table in _NAMED else f"[[{table}]]"
            near = nearest(name, known)
            found.problem(
                key,
                f"{shown(name)} is not in {brackets}",
                words if known else f"{brackets} with that name",
                f'"{near}"' if near else None,
            )

    tables = ("posts", "sensor_types", "access_points", "gateways", "airframes", "drones")
    names_of = {table: names(table) for table in tables}
    for key in found.each("nodes"):
        refer((*key, "post"), "posts")
        refer((*key, "access_point"), "access_points")
        refer((*key, "gateway"), "gateways")
    for key in found.each("gateways"):
        refer((*key, "access_point"), "access_points")
        refer((*key, "post"), "posts")
    for key in found.each("access_points"):
        refer((*key, "via"), "access_points")
        refer((*key, "post"), "posts")
    _check_circles(found)
    for key in itertools.chain(sensors_of(found, "nodes"), sensors_of(found, "drones")):
        refer((*key, "type"), "sensor_types")
    for key in found.each("drones"):
        refer((*key, "airframe"), "airframes")
    for key in found.each("sorties"):
        refer((*key, "launch"), "posts")
        drones = found.raw(*key, "drones")
        for i in range(len(drones) if isinstance(drones, list) else 0):
            refer((*key, "drones", i), "drones")
    held = {
        found.raw(*key, name)
        for table, name in (("nodes", "post"), ("sorties", "launch"))
        for key in found.each(table)
        if isinstance(found.raw(*key, name), str)
    }
    for key in found.each("posts"):
        name = found.raw(*key, "name")
        if isinstance(name, str) and name not in held:
            found.note(key, f"post {shown(name)} has no node")
    if not any(True for _ in found.each("nodes")) and not any(True for _ in found.each("drones")):
        found.note((), "no nodes and no drones: nothing is watched")


def _check_circles(found: Sheet) -> None:
    """Access points have a way home: no chain of `via` comes back to where it began. Each circle is named once."""
    named = [(found.raw(*key, "name"), key) for key in found.each("access_points")]
    keys = {name: key for name, key in named if isinstance(name, str)}
    ahead = {name: found.raw(*key, "via") for name, key in keys.items()}
    done: set[str] = set()
    for name in ahead:
        passed: list[str] = []
        at: Any = name
        while isinstance(at, str) and at in ahead and at not in done and at not in passed:
            passed.append(at)
            at = ahead[at]
        if at in passed:
            circle = " -> ".join([*passed[passed.index(at) :], at])
            found.problem((*keys[at], "via"), f"a circle: {circle}", "a way home, that ends at one without via")
        done.update(passed)


def _check_places(found: Sheet) -> None:
    """Posts, waypoints and antennas stand near the frontage, or their coordinates are a mistake."""
    frontage = points(found, ("frontage", "points_deg"))
    if not frontage:
        return

    def near(key: Key, lat: float, lon: float) -> None:
        if math.hypot(*metres(frontage[0], (lat, lon))) <= FAR_M:
            return
        far = min(math.hypot(*metres(point, (lat, lon))) for point in frontage)
        if far > FAR_M:
            swapped = abs(lon) <= 90 and min(math.hypot(*metres(point, (lon, lat))) for point in frontage) <= FAR_M
            words = f"a place within {FAR_M / 1000:.0f} km of the frontage"
            hint = "; latitude and longitude are swapped" if swapped else ""
            found.problem(key, f"[{lat}, {lon}] is {far / 1000:.0f} km from the frontage{hint}", words)

    for table in ("posts", "access_points", "gateways"):
        for key in found.each(table):
            lat, lon = found.sound(*key, "latitude_deg"), found.sound(*key, "longitude_deg")
            if lat is not None and lon is not None:
                near((*key, "latitude_deg"), lat, lon)
    for key in found.each("sorties"):
        for i, (lat, lon) in enumerate(points(found, (*key, "route_deg"))):
            near((*key, "route_deg", i), lat, lon)
    for key in sensors_of(found, "drones"):
        point = found.sound(*key, "point_deg")
        if point is not None:
            near((*key, "point_deg"), *point)


def _check_repeats(found: Sheet, key: Key, plan: list[tuple[float, float]]) -> bool:
    first: list[tuple[float, float]] = []
    any_found = False
    for i, point in enumerate(plan):
        again = next((j for j, other in enumerate(first) if math.dist(point, other) < 1), None)
        if again is not None:
            found.problem((*key, i), f"the same place as point {again}", "points at least 1 m apart")
            any_found = True
        first.append(point)
    return any_found


def _crossings(plan: list[tuple[float, float]]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of legs that meet elsewhere than at the bend they share."""
    legs = list(itertools.pairwise(plan))
    boxes = [(min(a[0], b[0]), max(a[0], b[0]), min(a[1], b[1]), max(a[1], b[1])) for a, b in legs]
    met = []
    for (i, a), (j, b) in itertools.combinations(enumerate(boxes), 2):
        if a[0] > b[1] or b[0] > a[1] or a[2] > b[3] or b[2] > a[3]:
            continue
        if _folds(*legs[i], legs[j][1]) if j == i + 1 else _meet(*legs[i], *legs[j]):
            met.append((i, j))
    return met


Point = tuple[float, float]


def _turn(a: Point, b: Point, c: Point) -> float:
    """Twice the area of a, b, c: positive where c lies left of the way from a to b [m2]."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _folds(a: Point, b: Point, c: Point) -> bool:
    """Does the way from b to c run back over the one from a to b?"""
    back = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < 0
    return back and abs(_turn(a, b, c)) <= 0.01 * math.dist(a, b)  # within a centimetre of the line


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Do the segments a-b and c-d have a point in common?"""
    sides = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if (sides[0] > 0) != (sides[1] > 0) and (sides[2] > 0) != (sides[3] > 0) and 0 not in sides:
        return True

    def on(p: Point, q: Point, r: Point, side: float) -> bool:
        inside = min(p[0], q[0]) <= r[0] <= max(p[0], q[0]) and min(p[1], q[1]) <= r[1] <= max(p[1], q[1])
        return side == 0 and inside

    return on(a, b, c, sides[0]) or on(a, b, d, sides[1]) or on(c, d, a, sides[2]) or on(c, d, b, sides[3])
