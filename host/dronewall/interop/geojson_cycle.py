"""The ways across a line on a clock as GeoJSON (RFC 7946): for each target and level that of who knows the drones'
schedule and that of who does not, with the time at each point, and the stretches that are open at times.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from dronewall.interop.geojson import bounds, feature
from dronewall.report import cycle as over
from dronewall.report import cycle_records, files, ribbon
from dronewall.report.figures import figure

if TYPE_CHECKING:
    from dronewall.engine.cycle import Cycle


def cycle_features(cycle: Cycle) -> dict[str, Any]:
    """The FeatureCollection: features of `type` timed-crossing, whose `time_s` has a time [s] for each of its points,
    and opening.
    """
    frame = over.frame(cycle)
    found = []
    for of in cycle.targets:
        for knows, way in cycle_records.ways(of):
            record = cycle_records.way_record(cycle, of, knows, way)
            record |= {"time_s": [figure(time, 1) for time in way.clock]}
            points = np.stack([way.east, way.north], axis=-1)
            found.append(feature(frame, "timed-crossing", "LineString", points, record))
        for opening in of.openings:
            record = cycle_records.opening_record(cycle, of, opening)
            place = ribbon.stretch(cycle.ground.frontage, opening.start, opening.end)
            found.append(feature(frame, "opening", "LineString", place, record))
    collection: dict[str, Any] = {
        "type": "FeatureCollection",
        "name": f"{cycle.ground.scenario.site.name} over time",
        files.MAKER: over.provenance(cycle),
    }
    if found:
        boxes = np.array([bounds(each["geometry"]) for each in found])
        collection["bbox"] = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    return collection | {"features": found}


def write_cycle_geojson(cycle: Cycle, path: str | os.PathLike[str]) -> None:
    """Write `cycle_features`, one a line; OutputError where `path` holds a file that is not ours."""
    collection = cycle_features(cycle)
    lines = [json.dumps(each, ensure_ascii=False, allow_nan=False) for each in collection.pop("features")]
    head = json.dumps(collection, ensure_ascii=False, allow_nan=False)[:-1]
    files.write_text(path, f'{head}, "features": [\n' + ",\n".join(lines) + "\n]}\n")
