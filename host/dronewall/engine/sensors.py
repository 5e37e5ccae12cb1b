"""Which sensors count: each with its state, and with its frustum where its reports place it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dronewall import wire
from dronewall.engine.frustum import Frustum, frustum_of
from dronewall.engine.ground import Ground
from dronewall.engine.patrol import Plan
from dronewall.engine.plan import PLANNED_MAST_SIGMA_M
from dronewall.engine.terrain import Terrain

State = Literal["planned", "heard", "suspect", "stale", "missing", "refused", "landed"]

_FARTHEST_SENSOR = 100_000.0
"""A report that puts its sensor farther than this from the frontage [m] is refused."""


@dataclass(frozen=True)
class SensorState:
    """A sensor, whether it counts (planned, heard, suspect, stale) or not (missing, refused, or landed: its drone is on
    the ground), and why not.
    """

    name: str
    post: str | None
    state: State
    note: str
    frustum: Frustum | None
    moving: bool


def assures(sensor: SensorState) -> bool:
    """Whether a sensor counts at the assured level: it counts at all, is not stale, and never sleeps by the clock."""
    return sensor.frustum is not None and sensor.state != "stale" and sensor.frustum.awake != "duty"


def sensor_states(
    ground: Ground,
    reports: Sequence[wire.Report],
    default: State = "planned",
    states: Mapping[str, tuple[State, str]] = MappingProxyType({}),
) -> list[SensorState]:
    """All sensors, first those of the site file in its order, then strangers; with a frustum where they count."""
    births = {
        (report.node, entry["name"]): entry
        for report in reports
        if report.kind == "birth"
        for entry in report.values["sensors"]
    }
    frusta = {f"{report.node}/{report.sensor}": report for report in reports if report.kind == "frustum"}
    scenario = ground.scenario
    expected: dict[str, str | None] = {}
    for node in scenario.nodes:
        expected |= {f"{node.name}/{sensor.name}": node.post for sensor in node.sensors}
    for drone in scenario.drones:
        expected |= {f"{drone.name}/{sensor.name}": None for sensor in drone.sensors}
    strangers = {name: None for name in frusta if name not in expected}
    moving = {drone.name for drone in scenario.drones}
    found = []
    for name, post in {**expected, **strangers}.items():
        state, note = states.get(name, (default, ""))
        report = frusta.get(name)
        if name in strangers:
            note = "; ".join(part for part in (note, "not in the site file") if part)
        frustum = None
        if report is None:
            planned = default == "planned" and name.split("/")[0] in moving
            if state == "landed" or (planned and name not in states):
                state, note = "landed", note or "on the ground"
            else:
                state, note = "missing", note or "no report"
        elif state in ("missing", "refused", "landed"):
            note = note or "does not count"
        else:
            frustum, reason = _frustum(ground, report, births.get((report.node, report.sensor)))
            if frustum is None:
                state, note = "refused", reason
            elif reason:
                note = "; ".join(part for part in (note, reason) if part)
        found.append(SensorState(name, post, state, note, frustum, name.split("/")[0] in moving))
    return found


def landed(ground: Ground, plan: Plan, time: float) -> dict[str, tuple[State, str]]:
    """What is to be said of the sensors of drones that are on the ground at a time [s], by the plan: when they take off
    next.
    """
    found: dict[str, tuple[State, str]] = {}
    for drone in ground.scenario.drones:
        if plan.at(drone.name, time) is not None:
            continue
        next_one = plan.next_take_off(drone.name, time)
        note = "on the ground, in no sortie"
        if next_one is not None:
            minutes, seconds = divmod(math.ceil(next_one - time), 60)
            note = f"on the ground, takes off in {minutes}:{seconds:02d} min"
        found |= {f"{drone.name}/{sensor.name}": ("landed", note) for sensor in drone.sensors}
    return found


def _frustum(ground: Ground, report: wire.Report, birth: dict[str, object] | None) -> tuple[Frustum | None, str]:
    """The frustum with both heights of its eye, and a remark; None with the reason where it cannot be placed."""
    if birth is None:
        return None, "no birth message that describes it"
    missing = [key for key in ("latitude_deg", "longitude_deg", "azimuth_deg") if report.values.get(key) is None]
    if missing:
        words = {"azimuth_deg": "no azimuth yet (no compass reading)"}
        return None, ", ".join(dict.fromkeys(words.get(key, "no position yet (no GNSS fix)") for key in missing))
    frustum = frustum_of(report, birth, ground.site)
    if not (math.isfinite(frustum.east) and math.isfinite(frustum.north)):
        return None, "its report puts it off the map"
    east, north = ground.frontage.at(ground.frontage.locate(frustum.east, frustum.north)[0])
    away = math.hypot(frustum.east - float(east), frustum.north - float(north))
    if not away <= _FARTHEST_SENSOR:
        return None, f"its report puts it {away / 1000.0:.0f} km from the frontage"
    floor = float(ground.terrain.ground(frustum.east, frustum.north))
    if frustum.eye_agl is not None and not (frustum.moving and frustum.eye_amsl is not None):
        if math.isnan(floor):
            west, right, south, top = ground.terrain.extent
            if west <= frustum.east <= right and south <= frustum.north <= top:
                return None, "stands on ground that the terrain does not know"
            return None, f"stands {away / 1000.0:.1f} km from the frontage, beyond the ground that was read"
        # With both heights in the report its error is that of the height above sea level; the mast was measured.
        sigma = frustum.height_sigma if frustum.eye_amsl is None else PLANNED_MAST_SIGMA_M
        placed = dataclasses.replace(frustum, eye_amsl=floor + frustum.eye_agl, height_sigma=sigma)
        return placed, _under_surface(ground.terrain, placed)
    if frustum.eye_amsl is None:
        return None, "its report has no height"
    if math.isnan(floor):
        return frustum, "over ground that the terrain does not know"
    above = frustum.eye_amsl - floor
    remark = f"{-above:.0f} m under the ground" if above < 0.0 else _under_surface(ground.terrain, frustum)
    return dataclasses.replace(frustum, eye_agl=above), remark


def _under_surface(terrain: Terrain, frustum: Frustum) -> str:
    """A remark where the eye is inside what stands at its place: a mast counts from the ground, not from a roof."""
    if terrain.surface_amsl is None or frustum.eye_amsl is None:
        return ""
    top = float(terrain.between(terrain.surface_amsl, frustum.east, frustum.north))
    under = top - frustum.eye_amsl
    return f"{under:.0f} m under the surface there; its height counts from the ground" if under >= 1.0 else ""
