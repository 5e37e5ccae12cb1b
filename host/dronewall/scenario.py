"""The site file (TOML): terrain, frontage, targets, thresholds, sensor types, posts, nodes, drones
and their sorties.

The Structs below are the site file: each key's type, bounds, default and meaning stand here and nowhere
else; the JSON Schema and docs/site-file.md are made from them. `read` answers with a `Scenario` or with all
problems at once. Angles stay in degrees here, as the file has them: the engine converts them.
What goes over the wire is bounded so that it lies within the wire's bounds when it is rounded to its steps, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from dronewall.catalogue import entries, expand
from dronewall.site_rules import BUILT_IN_TERRAIN, check
from dronewall.struct_docs import json_schema, reference
from dronewall.toml_check import Problem, Sheet, sheet, unfit, walk

_SYNONYMS = {
    "bearing": "azimuth",
    "heading": "azimuth",
    "yaw": "azimuth",
    "pitch": "elevation",
    "tilt": "elevation",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "long": "longitude",
    "alt": "height",
    "altitude": "height",
    "fov": "hfov",
    "velocity": "speed",
    "interval": "period",
    "mast_height": "mast",
    "repeat": "pattern",
    "waypoints": "route",
    "gimbal_mode": "gimbal",
}

_ID_PATTERN = "^[A-Za-z0-9_-]{1,32}$"
_ID_WORDS = "1 to 32 of A-Z a-z 0-9 _ -, in quotes (it becomes part of MQTT topics)"
# Neither control characters, which steer a terminal, nor those that turn the direction in which text is read.
_TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
_TEXT_WORDS = "text in quotes, at most 200 characters, none of them a control character"
_FILE_WORDS = "the path of a {}, relative to this file, in quotes, without control characters"


def _is(meaning: str, **bounds: Any) -> Meta:
    return Meta(description=meaning, **bounds)


def _text(meaning: str, **bounds: Any) -> Meta:
    said = {"expected": _TEXT_WORDS, "allowed": "printable characters, up to 200"}
    return Meta(pattern=_TEXT_PATTERN, description=meaning, extra=said, **bounds)


def _id(meaning: str) -> Meta:
    return Meta(pattern=_ID_PATTERN, description=meaning, extra={"expected": _ID_WORDS, "allowed": "name"})


def _file(meaning: str, kind: str = "GeoTIFF") -> Meta:
    said = {"expected": _FILE_WORDS.format(kind)}
    return Meta(pattern=_TEXT_PATTERN, min_length=1, max_length=1024, description=meaning, extra=said)


Latitude = Annotated[float, _is("Latitude, WGS 84, north positive", ge=-90, le=90)]
Longitude = Annotated[float, _is("Longitude, WGS 84, east positive", ge=-180, le=180)]
LatLon = tuple[Latitude, Longitude]
Name = Annotated[str, _id("Name")]
Gain = Annotated[float, _is("Gain of its antenna towards the other end, cable deducted", ge=-10, le=40)]


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Site(_Table, frozen=True, kw_only=True):
    """Who the wall is."""

    name: Annotated[str, _id("The wall's id on the wire")]
    title: Annotated[str, _text("What people call it; shown above pictures and tables", max_length=200)] = ""
    crs: (
        Annotated[
            str,
            _is(
                "The projected CRS, in metres, to compute in; left out: the UTM zone of the frontage",
                pattern="^EPSG:[0-9]{4,6}$",
                extra={
                    "expected": 'a projected CRS in metres, such as "EPSG:32616"',
                    "allowed": '`"EPSG:` and its number',
                },
            ),
        ]
        | None
    ) = None


class Terrain(_Table, frozen=True, kw_only=True):
    """The ground, and how far to trust it."""

    ground: Annotated[
        str,
        _file('Ground height: a GeoTIFF, or "dronewall:jacksboro" (the USGS model that matplotlib ships)'),
    ]
    surface: (
        Annotated[
            str,
            _file(
                "What blocks, buildings included, as height above sea level: a GeoTIFF; where it has none, or is "
                "lower, the ground counts"
            ),
        ]
        | None
    ) = None
    canopy: (
        Annotated[
            str,
            _file("What dims: height of the canopy's top above the ground, a GeoTIFF; no height, no canopy"),
        ]
        | None
    ) = None
    canopy_extinction_m: Annotated[
        float,
        _is(
            "Metres inside the canopy after which 1 line of sight in e is free: hardwood in leaf 9, open or leafless "
            "woods more; the default is assumed",
            ge=1,
            le=1000,
        ),
    ] = 20.0
    cell_m: Annotated[float, _is("Cell of the grid that everything is computed on", ge=0.5, le=1000)] = 10.0
    posting_m: (
        Annotated[
            float,
            _is(
                "Distance between the heights that were measured; left out: the raster's cell",
                ge=0.1,
                le=10_000,
            ),
        ]
        | None
    ) = None
    le90_m: Annotated[float, _is("Vertical error that 9 heights of 10 stay within (LE90)", ge=0, le=1000)] | None = None


class Going(_Table, frozen=True, kw_only=True):
    """How somebody on foot gets on: what slows him down, and where he cannot go."""

    slope: Annotated[
        Literal["none", "tobler"],
        _is(
            "tobler: the target's speed is that on level ground, on a slope Tobler's (1993; 5 % downhill is quickest); "
            "none: it is the same on every slope: most slopes only slow him down, so that he is watched for longer, "
            "and how steep they are a coarse elevation model does not know"
        ),
    ] = "none"
    cost: (
        Annotated[
            str,
            _file(
                "How much longer a cell takes than open ground, from 0.05 to 1000 (bog 3, a road 0.8): a GeoTIFF; "
                "where it has no data, 1"
            ),
        ]
        | None
    ) = None
    impassable: (
        Annotated[
            str,
            _file(
                "Where nobody can go, such as water: polygons in longitude and latitude, a GeoJSON file (RFC 7946); "
                "a ford should be two cells wide, or it may close",
                "GeoJSON file",
            ),
        ]
        | None
    ) = None


class Frontage(_Table, frozen=True, kw_only=True):
    """The line that is held, and the belt in front of it and behind."""

    points_deg: Annotated[
        tuple[LatLon, ...],
        _is("The line: [latitude, longitude] of each bend, in order", min_length=2, max_length=1000),
    ]
    threat: Annotated[
        Literal["left", "right"],
        _is("The side that the threat comes from, walking from the first point to the last"),
    ]
    belt_front_m: Annotated[float, _is("Depth of the belt on the threat's side", ge=1, le=20_000)] = 600.0
    belt_behind_m: Annotated[float, _is("Depth of the belt on our side", ge=0, le=20_000)] = 300.0


class Thresholds(_Table, frozen=True, kw_only=True):
    """When a place counts as watched."""

    look_s: Annotated[float, _is("How long a target stays at one place in a look", gt=0, le=3600)] = 10.0
    line_p: Annotated[float, _is("Line gap: detection in one look stays under this", gt=0, lt=1)] = 0.5
    lane_p: Annotated[
        float, _is("Lane and breach gap: detection on the straight or the best way across stays under this", gt=0, lt=1)
    ] = 0.5
    count_p: Annotated[float, _is("A node counts towards k where its own look reaches this", gt=0, lt=1)] = 0.5
    k: Annotated[int, _is("How many nodes must see a place at once", ge=1, le=16)] = 1
    lateral_m: Annotated[float, _is("How far to the side a crossing may wander (breach)", gt=0, le=20_000)] = 100.0
    gap_min_m: Annotated[float, _is("Shorter gaps are not listed", ge=0, le=20_000)] = 0.0
    hysteresis_p: Annotated[
        float, _is("A live gap closes only where detection holds its threshold and this much more", ge=0, le=0.5)
    ] = 0.05
    close_s: Annotated[
        float, _is("... for so long; longer than a drone's round, or gaps open behind it", ge=0, le=86_400)
    ] = 10.0
    confidence: Annotated[
        float, _is("Confidence region of each sensor's pose that `assured` takes the worst of", gt=0, le=0.9999)
    ] = 0.9


class Environment(_Table, frozen=True, kw_only=True):
    """Light and weather, as far as they change detection."""

    time: Annotated[
        Literal["day", "night"],
        _is("night: a day camera sees only what is lit (illuminated_m); thermal cameras and the rest do not mind"),
    ] = "day"
    visibility_m: Annotated[float, _is("Meteorological visibility (Koschmieder)", ge=10, le=300_000)] = 20_000.0
    infrared_visibility_m: Annotated[
        float,
        _is(
            "Where water vapour alone leaves a fiftieth of a thermal contrast: hot and humid 8000, cold and dry 50000; "
            "haze and fog follow from visibility_m",
            ge=100,
            le=300_000,
        ),
    ] = 20_000.0
    temperature_c: Annotated[float, _is("Of the air; with the humidity it dims sound", ge=-60, le=60)] = 15.0
    humidity: Annotated[float, _is("Relative humidity of the air, 0 to 1", ge=0.01, le=1)] = 0.7
    noise_db: Annotated[
        float,
        _is("Background noise, A-weighted: a quiet night 30, countryside 40, wind in leaves 55", ge=-20, le=140),
    ] = 40.0


class Target(_Table, frozen=True, kw_only=True):
    """What the wall has to notice; every answer is given per target."""

    name: Annotated[str, _id("Name in tables and files")]
    height_agl_m: Annotated[
        tuple[
            Annotated[float, _is("Bottom above ground", ge=0, le=10_000)],
            Annotated[float, _is("Top above ground", gt=0, le=10_000)],
        ],
        _is("[bottom, top] above ground"),
    ]
    width_m: Annotated[float, _is("Width as a camera sees it", ge=0.01, le=100)]
    speed_mps: Annotated[float, _is("Speed on its way across", ge=0.01, le=500)]
    on_foot: (
        Annotated[
            bool,
            _is("Whether [going] holds for it; left out: where its bottom is at 0 m"),
        ]
        | None
    ) = None
    radar_cross_section_m2: Annotated[
        float,
        _is("Mean radar cross-section: small quadcopter 0.01, walker 0.5, car 10", ge=0.0001, le=100_000),
    ] = 0.01
    thermal_contrast_k: Annotated[
        float,
        _is("How much warmer (negative: colder) it looks than what is behind it: clothed walker 2", ge=-500, le=500),
    ] = 2.0
    source_level_db: Annotated[
        float,
        _is("Sound pressure 1 m away, A-weighted: a walker's steps 40, small quadcopter 75, car 90", ge=-20, le=200),
    ] = 40.0


Glimpse = Annotated[float, _is("Time between independent glimpses; never the time between frames", ge=0.001, le=3600)]


class CameraModel(_Table, frozen=True, kw_only=True, tag_field="kind", tag="camera"):
    """Day camera: Johnson's criterion as a probability (TTPF) of the pixels on the target."""

    pixels: Annotated[int, _is("Pixels across the horizontal field of view", ge=1, le=65_535)]
    n50: Annotated[
        float,
        _is("Cycles on the target for even odds: detect 1.0, recognise 4, identify 6.4", ge=0.1, le=100),
    ] = 1.0
    illuminated_m: Annotated[
        float,
        _is("How far it sees at night: the reach of its own light, or of its eye for starlight", ge=0, le=50_000),
    ] = 0.0
    glimpse_s: Glimpse = 1.0


class ThermalModel(_Table, frozen=True, kw_only=True, tag_field="kind", tag="thermal"):
    """Thermal camera: as many of Johnson's cycles as the contrast that the air leaves lets it resolve."""

    pixels: Annotated[int, _is("Pixels across the horizontal field of view", ge=1, le=65_535)]
    netd_k: Annotated[float, _is("Noise equivalent temperature difference", ge=0.001, le=10)] = 0.05
    n50: Annotated[
        float,
        _is("Cycles on the target for even odds: detect 1.0, recognise 4, identify 6.4", ge=0.1, le=100),
    ] = 1.0
    glimpse_s: Glimpse = 1.0


class RadarModel(_Table, frozen=True, kw_only=True, tag_field="kind", tag="radar"):
    """Radar: signal to noise falls with R^4; detection by Swerling 1 or Albersheim; Doppler."""

    reference_m: Annotated[
        float,
        _is("Range at which 1 m2 gives reference_snr_db; without that, the maker's range for 1 m2", ge=0.01, le=50_000),
    ]
    reference_snr_db: (
        Annotated[
            float,
            _is(
                "Signal to noise of 1 m2 at reference_m, for each of the pulses; left out: what detects with 0.9 in a "
                "glimpse",
                ge=-60,
                le=100,
            ),
        ]
        | None
    ) = None
    false_alarm: Annotated[float, _is("Probability of a false alarm in a glimpse", ge=1e-9, le=0.001)] = 1e-6
    pulses: Annotated[int, _is("Pulses that a glimpse adds up, without their phase", ge=1, le=100)] = 1
    fluctuating: Annotated[
        bool, _is("Whether the echo changes from glimpse to glimpse (Swerling 1), or is steady (Albersheim)")
    ] = True
    speed_min_mps: Annotated[
        float, _is("Slowest radial speed that it sees (Doppler); 0: it sees still targets, too", ge=0, le=100)
    ] = 0.5
    glimpse_s: Glimpse = 1.0


class AcousticModel(_Table, frozen=True, kw_only=True, tag_field="kind", tag="acoustic"):
    """Microphone: sound falls with 20 lg R and with what the air absorbs (ISO 9613-1)."""

    frequency_hz: Annotated[int, _is("Middle of the band it listens for", ge=20, le=20_000)] = 1000
    threshold_db: Annotated[float, _is("Signal to noise for even odds in a glimpse", ge=-60, le=100)] = 6.0
    sigma_db: Annotated[float, _is("Spread of the signal to noise about that (1 sigma)", ge=0.1, le=50)] = 6.0
    self_noise_db: Annotated[float, _is("Its own noise as sound pressure, A-weighted", ge=-20, le=140)] = 30.0
    glimpse_s: Glimpse = 1.0


class PirModel(_Table, frozen=True, kw_only=True, tag_field="kind", tag="pir"):
    """Passive infrared: warmth that crosses from zone to zone; never a still target."""

    reference_m: Annotated[
        float,
        _is("The maker's range: a body of 0.7 m by 0.25 m, 4 K warmer, detected half of the time", ge=0.01, le=1000),
    ]
    zones: Annotated[int, _is("Zones side by side across the horizontal field of view", ge=1, le=1000)] = 16
    glimpse_s: Glimpse = 1.0


class TableModel(_Table, frozen=True, kw_only=True, tag_field="kind", tag="table"):
    """A sensor measured on the bench: probability by range, straight lines between."""

    range_m: Annotated[
        tuple[Annotated[float, _is("Slant range", ge=0, le=50_000)], ...],
        _is(
            "Slant ranges, rising, from range_min_m or less to range_max_m or more",
            min_length=2,
            max_length=16,
        ),
    ]
    probability: Annotated[
        tuple[Annotated[float, _is("Detection in one glimpse", ge=0, le=1)], ...],
        _is("Detection in one independent glimpse at each range, 0 to 1", min_length=2, max_length=16),
    ]
    moving_only: Annotated[bool, _is("Whether it sees nothing of a target that stands still")] = False
    glimpse_s: Glimpse = 1.0


Model = CameraModel | ThermalModel | RadarModel | AcousticModel | PirModel | TableModel


class SensorType(_Table, frozen=True, kw_only=True):
    """What a sensor of that type can do, wherever it is mounted."""

    catalogue: (
        Annotated[
            str,
            _is(
                "An entry of the catalogue (`dronewall sensors`): its figures hold for all keys that are left out, "
                "required ones included; in `model`, too"
            ),
        ]
        | None
    ) = None
    driver: Annotated[
        Literal["acoustic", "amg8833", "detector", "ld2450", "optics", "pir", "radar"],
        _is("Which driver of the firmware reads it (`firmware/README.md`)"),
    ]
    shape: Annotated[
        Literal["pyramid", "sector"],
        _is("pyramid: a camera's picture; sector: a window of azimuth and elevation (PIR, radar, all-round)"),
    ]
    hfov_deg: Annotated[float, _is("Full width of the field of view; a pyramid's is under 180", ge=0.1, le=360)]
    vfov_deg: Annotated[float, _is("Full height of the field of view; a pyramid's is under 180", ge=0.1, le=180)]
    range_min_m: Annotated[float, _is("Nearer than this (slant) it sees nothing", ge=0, le=50_000)] = 0.0
    range_max_m: Annotated[float, _is("Farther than this (slant) it sees nothing", ge=0.01, le=50_000)]
    model: Annotated[Model, _is("How detection falls with range")]


class Post(_Table, frozen=True, kw_only=True):
    """A place that is held. Its nodes stand there."""

    name: Annotated[str, _id("Name; nodes refer to it")]
    latitude_deg: Latitude
    longitude_deg: Longitude


class Duty(_Table, frozen=True, kw_only=True):
    """How much of the time a node's sensors are awake."""

    awake: Annotated[
        Literal["always", "event", "duty"],
        _is("always; event: asleep until something wakes it; duty: awake for a share of the time"),
    ] = "always"
    share: Annotated[float, _is('Share of the time awake; below 1 only with awake = "duty"', ge=0.001, le=1)] = 1.0
    sleep: (
        Annotated[
            Literal["modem", "light", "deep"],
            _is("How the node sleeps; modem: only its radio, between two beacons; left out: its sensors sleep, not it"),
        ]
        | None
    ) = None
    cycle_s: (
        Annotated[
            float,
            _is("One turn of a node that sleeps lightly or deeply, awake and asleep together", ge=5, le=43_200),
        ]
        | None
    ) = None


class Sensor(_Table, frozen=True, kw_only=True):
    """A sensor on a node, and where it looks."""

    name: Annotated[str, _id("Name on its node: node N1's sensor cam is N1/cam everywhere")]
    type: Annotated[str, _id("One of [sensor_types]")]
    azimuth_deg: Annotated[float, _is("Where the boresight points, clockwise from true north", ge=0, lt=360)]
    elevation_deg: Annotated[float, _is("Boresight above the horizon; down is negative", ge=-90, le=90)] = 0.0
    roll_deg: Annotated[float, _is("Turn about the boresight, right side down positive", ge=-180, le=180)] = 0.0
    azimuth_source: Annotated[
        Literal["survey", "compass"],
        _is("survey: measured at installation; compass: the node's own compass plus the mount"),
    ] = "survey"


class Node(_Table, frozen=True, kw_only=True):
    """A microcontroller at a post, with its sensors on one mast."""

    name: Annotated[str, _id("The node's id on the wire; left out: the post's name, if it is the only node there")] = ""
    post: Annotated[str, _id("One of [[posts]]")]
    mast_m: Annotated[float, _is("Height of its sensors above the ground", ge=0, le=500)]
    period_s: Annotated[float, _is("Time between its reports", ge=1, le=3600)] = 10.0
    access_point: Annotated[str, _id("The Wi-Fi access point it depends on, one of [[access_points]]")] | None = None
    gateway: Annotated[str, _id("The gateway that publishes for it, one of [[gateways]]")] | None = None
    antenna_dbi: Gain | None = None
    duty: Annotated[Duty, _is("How much of the time its sensors are awake")] = Duty()
    sensors: Annotated[tuple[Sensor, ...], _is("Its sensors", min_length=1, max_length=8)]


class Airframe(_Table, frozen=True, kw_only=True):
    """A type of aircraft."""

    speed_mps: Annotated[float, _is("Ground speed, on station and on the way", ge=0.1, le=100)]
    endurance_s: (
        Annotated[
            float,
            _is("Take-off to an empty battery; left out: it never has to land", ge=1, le=604_800),
        ]
        | None
    ) = None
    reserve_s: Annotated[float, _is("What is left of the endurance at landing", ge=0, le=604_800)] = 0.0
    turnaround_s: Annotated[float, _is("Landing to being ready to take off with a full battery", ge=0, le=604_800)] = (
        0.0
    )


class DroneSensor(_Table, frozen=True, kw_only=True):
    """A sensor on a drone, fixed to it or on a gimbal; the drone flies level."""

    name: Annotated[str, _id("Name on its drone: D1's sensor cam is D1/cam everywhere")]
    type: Annotated[str, _id("One of [sensor_types]")]
    gimbal: Annotated[
        Literal["nose", "point", "sweep"],
        _is(
            "nose: fixed to the drone; point: it looks at one place on the ground; sweep: from side to side about "
            "azimuth_deg (simulated nodes have no gimbal: theirs is fixed)"
        ),
    ] = "nose"
    azimuth_deg: Annotated[
        float,
        _is("Boresight clockwise from the drone's nose; left is negative, or over 180", ge=-180, lt=360),
    ] = 0.0
    elevation_deg: Annotated[float, _is("Boresight above the horizon; down is negative", ge=-90, le=90)] = -45.0
    roll_deg: Annotated[float, _is("Turn about the boresight, right side down positive", ge=-180, le=180)] = 0.0
    point_deg: Annotated[LatLon, _is('Where gimbal = "point" looks: [latitude, longitude], on the ground')] | None = (
        None
    )
    sweep_deg: (
        Annotated[float, _is('Full angle that gimbal = "sweep" covers, half of it to each side', gt=0, le=360)] | None
    ) = None
    sweep_s: (
        Annotated[
            float,
            _is(
                "Time of a sweep there and back, at one rate; at take-off it looks along azimuth_deg and turns right",
                ge=0.1,
                le=3600,
            ),
        ]
        | None
    ) = None


class Drone(_Table, frozen=True, kw_only=True):
    """A surveillance drone: one aircraft. [[sorties]] say where it flies."""

    name: Annotated[str, _id("The drone's id on the wire: drones are nodes, too")]
    airframe: Annotated[str, _id("One of [airframes]")]
    sensors: Annotated[tuple[DroneSensor, ...], _is("Its sensors", min_length=1, max_length=8)]


class Sortie(_Table, frozen=True, kw_only=True):
    """A task of drones that take turns: from the launch to the route, along it while the endurance lasts, and home.

    The timetable repeats itself after whole seconds, and always has: times are rounded up to that. Drones that never
    land spread evenly over the route and fly it a little slower, so that a round takes whole seconds, and a sweep of
    theirs is stretched until a round holds a whole number of them.
    """

    name: Annotated[str, _id("Name in tables and files")]
    drones: Annotated[
        tuple[Name, ...],
        _is("Who flies it, in turn: some of [[drones]], of one airframe", min_length=1, max_length=100),
    ]
    launch: (
        Annotated[
            str,
            _id("The post that they take off from and land at, one of [[posts]]; needed where they have to land"),
        ]
        | None
    ) = None
    pattern: Annotated[
        Literal["loop", "shuttle", "orbit", "waypoints"],
        _is(
            "loop: from the last waypoint straight to the first; shuttle: back the way it came; orbit: a circle about "
            "the one point of the route; waypoints: once from the first to the last, then home"
        ),
    ] = "loop"
    route_deg: Annotated[
        tuple[LatLon, ...],
        _is("Waypoints: [latitude, longitude] of each, in order", min_length=1, max_length=1000),
    ]
    radius_m: Annotated[float, _is("Radius of an orbit", ge=1, le=20_000)] | None = None
    direction: (
        Annotated[Literal["clockwise", "counterclockwise"], _is("Of an orbit, seen from above; left out: clockwise")]
        | None
    ) = None
    height_agl_m: (
        Annotated[float, _is("Flying height above the ground below (terrain following)", gt=0, le=6000)] | None
    ) = None
    height_amsl_m: Annotated[float, _is("Flying height above mean sea level, instead", ge=-500, le=12_000)] | None = (
        None
    )
    start_s: Annotated[
        float,
        _is(
            "How far along its timetable, in time, the sortie is at the start: at 0 the first of its drones takes off",
            ge=0,
            le=604_800,
        ),
    ] = 0.0
    every_s: (
        Annotated[
            float,
            _is(
                "Time between take-offs of the sortie; left out: as often as its drones can, spread evenly",
                gt=0,
                le=604_800,
            ),
        ]
        | None
    ) = None
    batteries: (
        Annotated[
            int,
            _is(
                "How many batteries its drones have, with charge_s; left out: a full one is always ready", ge=1, le=1000
            ),
        ]
        | None
    ) = None
    charge_s: (
        Annotated[
            float,
            _is(
                "Landing to that battery's being full again; alone it says how many batteries it would take",
                ge=0,
                le=604_800,
            ),
        ]
        | None
    ) = None


class Patrol(_Table, frozen=True, kw_only=True):
    """How the drones' plan is cut into steps and how long a crossing may take."""

    horizon_s: Annotated[
        float, _is("How far to look ahead where the plan has no cycle of at most 6 hours", ge=60, le=21_600)
    ] = 7200.0
    max_crossing_s: (
        Annotated[
            float,
            _is(
                "A walker's longest time across, waiting included; left out: three times what walking straight across "
                "takes",
                gt=0,
                le=86_400,
            ),
        ]
        | None
    ) = None
    step_s: (
        Annotated[
            float,
            _is("Time step; left out: from the drones' speed, what they see and the cell", ge=0.1, le=600),
        ]
        | None
    ) = None


class AccessPoint(_Table, frozen=True, kw_only=True):
    """A Wi-Fi access point that nodes depend on."""

    name: Annotated[str, _id("Name; nodes and gateways refer to it")]
    latitude_deg: Latitude
    longitude_deg: Longitude
    height_agl_m: Annotated[float, _is("Antenna height above the ground", ge=0, le=1000)]
    via: (
        Annotated[str, _id("The access point that it is linked to on its way home, another of [[access_points]]")]
        | None
    ) = None
    antenna_dbi: Gain | None = None
    via_dbi: (
        Annotated[
            float,
            _is("Gain of both antennas of its link to `via`, each; left out: their antenna_dbi", ge=-10, le=40),
        ]
        | None
    ) = None
    post: Annotated[str, _id("The post that it stands at and is lost with, one of [[posts]]")] | None = None


class Gateway(_Table, frozen=True, kw_only=True):
    """A node that publishes for others that have no Wi-Fi (LoRa, serial)."""

    name: Annotated[str, _id("The gateway's id on the wire")]
    latitude_deg: Latitude
    longitude_deg: Longitude
    height_agl_m: Annotated[float, _is("Antenna height above the ground", ge=0, le=1000)]
    access_point: Annotated[str, _id("The Wi-Fi access point it depends on, one of [[access_points]]")] | None = None
    antenna_dbi: Gain | None = None
    post: Annotated[str, _id("The post that it stands at and is lost with, one of [[posts]]")] | None = None


class SiteFile(_Table, frozen=True, kw_only=True):
    """A site file as it is written."""

    site: Annotated[Site, _is("Who the wall is")]
    terrain: Annotated[Terrain, _is("The ground")]
    frontage: Annotated[Frontage, _is("The line that is held")]
    going: Annotated[Going, _is("How somebody on foot gets on")] = Going()
    thresholds: Annotated[Thresholds, _is("When a place counts as watched")] = Thresholds()
    environment: Annotated[Environment, _is("Weather")] = Environment()
    targets: Annotated[tuple[Target, ...], _is("What has to be noticed", min_length=1, max_length=16)]
    sensor_types: Annotated[
        dict[Name, SensorType], _is("The types of sensor that nodes and drones carry, by name")
    ] = {}
    posts: Annotated[tuple[Post, ...], _is("The places that are held", max_length=10_000)] = ()
    nodes: Annotated[tuple[Node, ...], _is("The nodes at the posts", max_length=10_000)] = ()
    airframes: Annotated[dict[Name, Airframe], _is("The types of aircraft that drones are, by name")] = {}
    drones: Annotated[tuple[Drone, ...], _is("The surveillance drones", max_length=1000)] = ()
    sorties: Annotated[tuple[Sortie, ...], _is("What the drones do, in turn", max_length=1000)] = ()
    patrol: Annotated[Patrol, _is("Steps and horizon of the drones' plan")] = Patrol()
    access_points: Annotated[tuple[AccessPoint, ...], _is("Wi-Fi access points", max_length=1000)] = ()
    gateways: Annotated[tuple[Gateway, ...], _is("Gateways for nodes without Wi-Fi", max_length=1000)] = ()


class Scenario(SiteFile, frozen=True, kw_only=True):
    """A site file that was read and is sound.

    Every `Node.name` is filled. `terrain.ground`, `surface` and `canopy`, `going.cost` and `impassable` are absolute
    paths, or one of `BUILT_IN_TERRAIN`. `path` is the file, absolute; `digest` the sha256 of its bytes, in hex.
    `notes` say what is odd but usable, such as a post without a node.
    """

    path: Path
    digest: str
    notes: tuple[Problem, ...] = ()

    @property
    def node_names(self) -> tuple[str, ...]:
        """Every node as the wire knows it: those at posts, then the drones."""
        return (*(node.name for node in self.nodes), *(drone.name for drone in self.drones))

    @property
    def sensor_names(self) -> tuple[str, ...]:
        """Every sensor as it is called everywhere, `P4/cam`: those of the nodes, then those of the drones."""
        fixed = [f"{node.name}/{sensor.name}" for node in self.nodes for sensor in node.sensors]
        return (*fixed, *(f"{drone.name}/{sensor.name}" for drone in self.drones for sensor in drone.sensors))


class ScenarioError(ValueError):
    """A site file that cannot be used. `problems` has all of them, in the file's order; str() shows each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def read(path: str | Path, terrain: str | Path | None = None) -> Scenario:
    """The scenario in the site file at `path`.

    `terrain` is an elevation model that takes the place of `terrain.ground`, relative to the working
    folder; what the file says of its own model (`posting_m`, `le90_m`) does not hold for that one and is
    left out.

    Raises ScenarioError with every problem in the file.
    """
    path = Path(path)
    found = sheet(path)
    if not found.problems:
        expand(found)
        walk(found, SiteFile, _SYNONYMS)
        check(found, path.parent, terrain is None)
    if terrain is not None and str(terrain) not in BUILT_IN_TERRAIN and (wrong := unfit(Path(terrain))):
        found.problem(("terrain", "ground"), f"{terrain}: {wrong}", "an elevation model (GeoTIFF)")
    if found.problems:
        raise ScenarioError(sorted(found.problems, key=lambda problem: problem.line or 0))
    try:
        file = msgspec.convert(found.data, SiteFile)
    except msgspec.ValidationError as error:  # the walk and msgspec disagree: say so rather than go on
        raise ScenarioError([Problem(found.file, None, "", str(error))]) from error
    return _scenario(file, found, path.resolve(), terrain)


def _scenario(file: SiteFile, found: Sheet, path: Path, terrain: str | Path | None) -> Scenario:
    tables = {name: getattr(file, name) for name in file.__struct_fields__}

    def resolved(raster: str | None) -> str | None:
        kept = raster is None or raster in BUILT_IN_TERRAIN
        return raster if kept else str((path.parent / str(raster)).resolve())

    ground = file.terrain
    if terrain is not None:
        own = str(terrain) if str(terrain) in BUILT_IN_TERRAIN else str(Path(terrain).resolve())
        ground = msgspec.structs.replace(ground, ground=own, posting_m=None, le90_m=None)
    tables["terrain"] = msgspec.structs.replace(
        ground,
        ground=resolved(ground.ground),
        surface=resolved(ground.surface),
        canopy=resolved(ground.canopy),
    )
    going = file.going
    tables["going"] = msgspec.structs.replace(going, cost=resolved(going.cost), impassable=resolved(going.impassable))
    tables["nodes"] = tuple(msgspec.structs.replace(node, name=node.name or node.post) for node in file.nodes)
    digest = hashlib.sha256(found.content).hexdigest()
    return Scenario(**tables, path=path, digest=digest, notes=tuple(found.notes))


def schema() -> dict[str, Any]:
    """The JSON Schema of a site file, for editors (`dronewall schema site`)."""
    document = json_schema(SiteFile, "dronewall site file")
    defined = document["$defs"]
    whole = defined["SensorType"]
    named = dict(whole["properties"].pop("catalogue"), enum=list(entries()))
    # What stands beside a catalogue's entry overrides it: any key, and any key of any model.
    models = [defined[kind.__name__]["properties"] for kind in get_args(Model)]
    loose = {}
    for key in dict.fromkeys(key for model in models for key in model):
        of_models = [model[key] for model in models if key in model]
        loose[key] = {"description": of_models[0].get("description", "Kind of model"), "anyOf": of_models}
    overriding = {**whole["properties"], "catalogue": named}
    overriding["model"] = {"description": "What differs from the entry's model", "$ref": "#/$defs/CatalogueModel"}
    defined["CatalogueModel"] = {
        "title": "CatalogueModel",
        "type": "object",
        "properties": loose,
        "required": [],
        "additionalProperties": False,
    }
    defined["CatalogueType"] = {
        **whole,
        "title": "CatalogueType",
        "properties": overriding,
        "required": ["catalogue"],
    }
    either = [{"$ref": "#/$defs/SensorType"}, {"$ref": "#/$defs/CatalogueType"}]
    document["properties"]["sensor_types"]["additionalProperties"] = {"anyOf": either}
    return document


def site_reference() -> str:
    """Every key of a site file in Markdown: docs/site-file.md."""
    return _INTRODUCTION + reference(SiteFile)


_INTRODUCTION = """\
# The site file

<!-- Made by dronewall.scenario.site_reference from the Structs in scenario.py; edit those. -->

A site file is TOML and says what a wall is: the ground, the frontage, what has to be noticed, and which
sensors stand where. `examples/minimal.toml` is the smallest one that runs, `examples/jacksboro.toml`
explains itself line by line.

`dronewall check SITE.toml` names every mistake in a file at once, each with its line. For completion and
checks while typing, write the schema to a file (`dronewall schema site > site.schema.json`) and put
`#:schema site.schema.json` on the site file's first line (taplo; Even Better TOML in VS Code).

- A name ends in its unit: `_deg` degrees, `_m` metres, `_s` seconds, `_mps` metres per second, `_m2` square
  metres, `_k` kelvins, `_c` degrees Celsius, `_db` decibels, `_dbi` decibels over an
  isotropic antenna, `_hz` hertz; probabilities (`_p`) and counts have
  none.
- A place is `[latitude, longitude]` in degrees, WGS 84. An azimuth runs clockwise from true north, an
  elevation up from the horizon.
- AGL is above the ground, AMSL above mean sea level.
- Rasters and other files are named relative to the site file.
- A name (of a post, node, sensor ...) is 1 to 32 of `A-Z a-z 0-9 _ -`. Nodes, drones and gateways share one
  set of names, for all are nodes on the wire. A sensor is known as `NODE/SENSOR`.
- `[table]` stands once, `[[table]]` once for each, and NAME is yours to choose. `[[nodes.sensors]]` belongs
  to the `[[nodes]]` above it.
- A sensor type need not be written out: `sensor_types.eye = { catalogue = "ov2640" }` takes one that can be
  bought, and keys beside it override its figures. `dronewall sensors` lists them, each figure with its source.

Beyond the bounds below: the frontage neither crosses itself nor repeats a point, and no leg of it is longer
than 50 km; posts, routes and antennas lie within 50 km of it; a target's bottom is under its top;
`range_min_m` is under `range_max_m`; a table model's ranges rise and reach from the one to the other (ranges
and angles are told apart by 0.01 m and 0.01 degrees); the drones of a sortie are of one airframe, no drone flies
two sorties, and each sortie has one flying height; an orbit has one point and a radius, other routes two points or
more; what has to land has a launch, and alone has `every_s`, `batteries` and `charge_s`; `reserve_s` is under
`endurance_s`; `patrol.max_crossing_s` is as long as each target takes straight across, or longer; a node has an
access point or a gateway, not both; access points are not linked in a circle;
`duty.share` stands with `awake = "duty"` and only there, `duty.cycle_s` with `sleep` light or deep and only
there; such a node is awake at least 2 s and asleep at least 1 s in each cycle.
"""
