"""The AsyncAPI 3.0 description of the wire, made from wire.py's tables: docs/asyncapi.yaml.

This file alone knows what a field *means*, in words; its name, unit and bounds stand in wire.py. A field
without a meaning here, or a meaning without a field, fails tests/test_wire.py.
"""

import json
from typing import Any

from dronewall import wire

Schema = dict[str, Any]

NODE_KINDS = ("state", "birth", "frustum", "detection", "health", "command", "reply")
HOST_KINDS = ("status", "gaps", "breach", "resilience", "alert")

SUMMARIES = {
    "state": "Whether a node is there; also its last will, which says `lost`.",
    "birth": "What a node is: firmware, board, its sensors with their limits and detection models.",
    "frustum": "Where one sensor looks now, how well that is known, and until when it counts.",
    "detection": "Something that one sensor detected.",
    "health": "Battery, signal, memory and faults of a node.",
    "command": "The host asks a node for something; one reply. Numbers are scaled integers.",
    "reply": "A node's one answer to a command.",
    "status": "The host itself: what it expects and what it hears.",
    "gaps": "Where the line can be crossed, the longest gaps first.",
    "breach": "The weakest route across the whole line.",
    "resilience": "How many nodes may be lost before a gap opens.",
    "alert": "Something that a person should look at, under an id of its own.",
}

UNITS = {
    "g": "degree",
    "d": "degree",
    "a": "degree",
    "m": "metre",
    "v": "metre per second",
    "s": "second",
    "V": "volt",
    "C": "degree Celsius",
    "B": "decibel",
    "K": "kelvin",
    "u": "millisecond since 1970-01-01T00:00:00Z",
}
# Units of the whole numbers, by the end of their names.
ENDINGS = {"_s": "second", "_ms": "millisecond", "_dbm": "dBm", "_bytes": "byte", "_hz": "hertz"}

# What a field means, by its name on the wire; "kind.name" where one name means different things.
MEANINGS = {
    "state": "What the sender is doing.",
    "status.state": "What the host is doing; its last will says lost.",
    "boot": "Starts of the node so far, counted in flash.",
    "session": "Connections within this boot; a will counts only for the current boot and session.",
    "time_unix_ms": "Time of the message by the sender's clock.",
    "via": "The gateway that publishes for this node.",
    "firmware": "Version of the firmware.",
    "birth.version": "Number of the firmware bundle that runs; only a higher one replaces it.",
    "mode": "normal; safe: after three bad starts, with link and update alone.",
    "board": "Kind of board.",
    "period_s": "Time between two reports of a sensor that does not move.",
    "sensors": "The node's sensors; a packed message counts them from 0.",
    "name": "Name of the sensor, the last part of its topics.",
    "driver": "The firmware's driver that reads it.",
    "shape": "pyramid: a camera's; sector: a window in azimuth and elevation.",
    "hfov_deg": "Full horizontal field of view; under 180 for a pyramid.",
    "vfov_deg": "Full vertical field of view; under 180 for a pyramid.",
    "range_min_m": "Nearer than this the sensor sees nothing.",
    "range_max_m": "Farther than this the sensor sees nothing; more than range_min_m.",
    "model": "How well the sensor detects.",
    "model.kind": "Kind of detection model.",
    "glimpse_s": "Time between two independent glimpses.",
    "pixels": "Pixels across the horizontal field of view.",
    "n50": "Cycles on target at which half of the targets are detected (Johnson).",
    "illuminated_m": "How far it sees at night, by its own light or by the stars'; left out: nothing.",
    "netd_k": "Noise equivalent temperature difference.",
    "model.radar.reference_m": "Range at which a target of 1 square metre gives reference_snr_db.",
    "reference_snr_db": "Signal to noise of each pulse there; left out: what detects with 0.9 in a glimpse.",
    "false_alarm": "Probability of a false alarm in one glimpse; above 0.",
    "pulses": "Pulses that a glimpse adds up, without their phase.",
    "fluctuating": "true: Swerling 1; false: a steady echo, Albersheim.",
    "speed_min_mps": "Slowest radial speed that it sees (Doppler); 0: still targets, too.",
    "frequency_hz": "Middle of the band it listens for.",
    "threshold_db": "Signal to noise for even odds in one glimpse.",
    "sigma_db": "Spread of the signal to noise about the threshold, 1 sigma.",
    "self_noise_db": "The sensor's own noise as sound pressure level.",
    "model.pir.reference_m": "Range at which a body of 0.7 m by 0.25 m, 4 K warmer, is detected with 0.5.",
    "zones": "Zones side by side across the horizontal field of view.",
    "moving_only": "true: it sees nothing of a target that stands still.",
    "model.table.range_m": "Ranges of the table, rising.",
    "model.table.probability": "Probability of detection in one glimpse at each range.",
    "latitude_deg": "Latitude, WGS 84; needed unless position_source is none.",
    "longitude_deg": "Longitude, WGS 84; needed unless position_source is none.",
    "breach.latitude_deg": "Latitudes of the route's points, WGS 84, far side first.",
    "breach.longitude_deg": "Longitudes of the route's points, WGS 84, as many.",
    "height_amsl_m": "Height of the sensor above mean sea level; this or height_agl_m.",
    "height_agl_m": "Height of the sensor above the ground; outranks AMSL for a fixed post.",
    "position_sigma_m": "Standard deviation of the position in each horizontal direction.",
    "height_sigma_m": "Standard deviation of the height.",
    "azimuth_deg": "Azimuth, clockwise from true north: the boresight's.",
    "detection.azimuth_deg": "Azimuth of what was detected, clockwise from true north.",
    "elevation_deg": "Elevation of the boresight, up from the horizontal.",
    "detection.elevation_deg": "Elevation of what was detected, up from the horizontal.",
    "roll_deg": "Roll about the boresight, clockwise as the sensor looks.",
    "azimuth_sigma_deg": "Standard deviation of the azimuth.",
    "tilt_sigma_deg": "Standard deviation of elevation and roll.",
    "position_source": "What the position comes from.",
    "azimuth_source": "What the azimuth comes from.",
    "awake": "When the sensor looks: always, woken by an event, or a share of the time.",
    "duty": "Share of the time in which it looks.",
    "valid_s": "The report counts until its time and this.",
    "clock": "What set the sender's clock; provisioned: nothing yet, time_unix_ms is a lower bound.",
    "uptime_ms": "Time since the node started.",
    "seq": "Counts the messages of one topic within a boot.",
    "suspect": "The position or clock jumped without motion (jammed or spoofed), or a surveyed mast was turned or "
    "knocked over.",
    "velocity_east_mps": "Velocity of a sensor that moves, towards the east.",
    "velocity_north_mps": "Velocity of a sensor that moves, towards the north.",
    "velocity_up_mps": "Velocity of a sensor that moves, upwards.",
    "range_m": "Distance to what was detected, if the sensor measures it.",
    "confidence": "How sure the sensor is that it is there.",
    "class": "What the sensor takes it for.",
    "battery_v": "Voltage of the battery.",
    "rssi_dbm": "Strength of the radio signal received.",
    "temperature_c": "Temperature of the board.",
    "heap_free_bytes": "Free memory of the interpreter.",
    "resets": "Resets that nobody asked for.",
    "health.awake": "Share of the time since the start in which the node was awake.",
    "reset": "What the last start came from.",
    "queue_drops": "Messages lost unsent since the start: a full queue, or what the wire cannot say.",
    "id": "Names the command; its reply repeats it.",
    "gap.id": "Names the gap as long as it lasts.",
    "expires_unix_ms": "After this the command is refused.",
    "command": "What is asked for.",
    "command.look.sensor": "Which sensor is to look elsewhere.",
    "command.look.azimuth_cdeg": "Azimuth to look at, clockwise from true north.",
    "command.look.elevation_cdeg": "Elevation to look at, up from the horizontal.",
    "sleep_s": "How long to sleep.",
    "identify_s": "How long to blink.",
    "patch": "JSON merge patch (RFC 7396) of the node's configuration, as text; kept once the node is online with it.",
    "offset": "Where in the signed bundle the piece begins.",
    "data": "At most 512 bytes of the bundle, base64.",
    "status": "What became of the command.",
    "next_offset": "Update: where the node expects the next piece to begin.",
    "reason": "Why, where it was not done.",
    "version": "Version of dronewall that computed this.",
    "posts": "Posts of the site.",
    "gap.posts": "The nearest posts, nearest first.",
    "sensors_planned": "Sensors of the site file.",
    "sensors_heard": "Sensors with a report that counts.",
    "sensors_stale": "Sensors whose last report is out of date.",
    "refused": "Messages refused since the start.",
    "digest": "Digest of site file, terrain and reports, hexadecimal.",
    "source": "plan: from the site file; live: from reports.",
    "level": "as reported, expected over the pose errors, or assured.",
    "covered_share": "Share of the frontage that is known and where a look detects often enough (line_p).",
    "unknown_share": "Share of the stations whose terrain is unknown.",
    "count": "Gaps there are; the list holds the longest.",
    "gaps": "The longest gaps, longest first.",
    "gap.probability_before": "Probability of detection where it is weakest before the frontage is reached.",
    "gap.warning_s": "Median time left to the frontage when somebody is detected there.",
    "gap.kind": "line: at the frontage; lane: straight across; breach: by the easiest route.",
    "target": "The target that this holds for.",
    "start_m": "Chainage at which the gap begins.",
    "end_m": "Chainage at which it ends.",
    "probability_least": "Least probability of detection in it.",
    "probability_mean": "Mean probability of detection in it.",
    "threshold": "Probability under which a station belongs to a gap.",
    "flank": "It touches an end of the frontage.",
    "below_resolution": "It is shorter than two postings of the terrain.",
    "probability": "Probability of detection along the route.",
    "probability_before": "Probability of detection before the frontage is reached.",
    "warning_s": "Median time between detection and the frontage.",
    "crossing_m": "Chainage at which the route crosses the frontage.",
    "losses_survived": "Nodes that may be lost, whichever they are, before a gap opens.",
    "exact": "Whether that is exact, or a lower bound.",
    "nodes": "A set of nodes whose loss opens one.",
    "alert.kind": "What the alert is about.",
    "severity": "How urgent it is.",
    "text": "The alert in words.",
    "node": "Node it is about.",
    "alert.sensor": "Sensor of that node.",
    "chainage_m": "Chainage it is about.",
}

INFO = """\
What dronewall's nodes and host say to each other over MQTT 3.1.1. Sensing and coverage only.
Payloads are JSON in UTF-8, at most 4096 bytes, 1024 towards the node. Towards the host numbers are decimals,
and a name ends in its unit; towards the node they are scaled integers (azimuth_cdeg: hundredths of a degree).
A payload out of bounds, with a key that is not here and does not begin with x_, or of another version is
refused and counted. Retained is not fresh: a report counts by its own time. An empty retained payload takes a
message back.
"""


def meaning(table: str, name: str) -> str:
    """What a field means, in words; KeyError where nobody has said."""
    kind = table.split(".")[0]
    for key in (f"{table}.{name}", f"{kind}.{name}", name):
        if key in MEANINGS:
            return MEANINGS[key]
    raise KeyError(f"{table}.{name}")


def _exact(scaled: int, decimals: int) -> int | float:
    value = scaled / 10**decimals
    return int(value) if value == int(value) else value


def _field(table: str, row: tuple[Any, ...], command: bool) -> Schema:
    name, unit, decimals, low, high, many = row[int(command)], row[2], row[3], row[4], row[5], row[8]
    schema: Schema
    if unit == "o":
        schema = {"$ref": f"#/components/schemas/{low[0]}"}
    elif unit in "ec":
        schema = {"type": "string", "enum": list(low)}
    elif unit == "b":
        schema = {"type": "boolean"}
    elif unit in "wt":
        schema = {"type": "string", "minLength": low, "maxLength": high}
        schema["pattern"] = "^[A-Za-z0-9_-]+$" if unit == "w" else "^[^\\x00-\\x1f\\x7f]+$"
    elif command or not decimals:
        schema = {"type": "integer", "minimum": low, "maximum": high}
    else:
        schema = {"type": "number", "minimum": _exact(low, decimals), "maximum": _exact(high, decimals)}
    if unit in UNITS or name.endswith(tuple(ENDINGS)):
        said = UNITS.get(unit) or next(ENDINGS[e] for e in ENDINGS if name.endswith(e))
        schema["x-unit"] = said if not (command and decimals) else f"1e-{decimals} {said}"
    if unit not in "ecowtb":
        schema["x-decimals"] = 0 if command else decimals
    if unit == "o" and not many:
        return schema  # beside $ref a description would be ignored
    if many:
        schema = {"type": "array", "maxItems": many, "items": schema}
    return {"description": meaning(table, name), **schema}


def schema_of(table: str) -> Schema:
    """The JSON schema (draft 7) of a message or of an object in one, from its rows in wire.py."""
    command = table.split(".")[0] == "command"
    rows = [row for row in wire.rows(table) if row[6] != "P"]
    schema: Schema = {
        "type": "object",
        "properties": {row[int(command)]: _field(table, row, command) for row in rows},
        "required": [row[int(command)] for row in rows if "r" in row[6]],
        "patternProperties": {"^x_": True},
        "additionalProperties": False,
    }
    clauses = []
    for spare in dict.fromkeys(row[7] for row in rows if row[7]):
        needed = [row[0] for row in rows if row[7] == spare]
        clauses.append({"if": {"properties": {spare: {"const": "none"}}}, "else": {"required": needed}})
    if table == "frustum":
        heights = [{"required": ["height_amsl_m"]}, {"required": ["height_agl_m"]}]
        unplaced = {"properties": {"position_source": {"const": "none"}}}
        clauses.append({"if": unplaced, "else": {"anyOf": heights}})
    choice = next((row for row in rows if row[2] == "c"), None)
    if choice:
        # The fields of every choice stand in one object; which of them may be there, the choice says.
        for word in choice[4]:
            more = schema_of(f"{table}.{word}")
            schema["properties"].update(more["properties"])
            others = {row[int(command)] for other in choice[4] for row in wire.rows(f"{table}.{other}")}
            clause = {"required": more["required"]}
            strangers = {name: False for name in sorted(others - set(more["properties"]))}
            if strangers:
                clause["properties"] = strangers
            clauses.append({"if": {"properties": {choice[0]: {"const": word}}}, "then": clause})
    if clauses:
        schema["allOf"] = clauses
    return schema


def _message(kind: str) -> Schema:
    packed = [row[1] for row in wire.rows(kind) if "p" in row[6].lower()]
    message: Schema = {
        "name": kind,
        "title": kind,
        "summary": SUMMARIES[kind],
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{kind}"},
    }
    if packed:
        message["x-packed"] = {"bytes": wire.packed(kind)[1], "fields": packed}
    return message


def asyncapi() -> Schema:
    """The AsyncAPI 3.0.0 document: a channel, a message and an operation for each kind of wire.py."""
    names = {
        "wall": ("site", "jacksboro"),
        "node": ("node", "P4"),
        "sensor": ("sensor", "cam"),
        "id": ("alert", "gap-17"),
    }
    channels: Schema = {}
    operations: Schema = {}
    for kind in NODE_KINDS + HOST_KINDS:
        retained, qos = wire.delivery(kind)
        address = f"dw/{wire.VERSION}/{{wall}}/" + ("$host" if kind in HOST_KINDS else "{node}") + f"/{kind}"
        parameters = {"wall": {"$ref": "#/components/parameters/wall"}}
        if kind in NODE_KINDS:
            parameters["node"] = {"$ref": "#/components/parameters/node"}
        last = {"frustum": "sensor", "detection": "sensor", "alert": "id"}.get(kind)
        if last:
            address += f"/{{{last}}}"
            parameters[last] = {"$ref": f"#/components/parameters/{last}"}
        channels[kind] = {
            "address": address,
            "summary": SUMMARIES[kind],
            "parameters": parameters,
            "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
        }
        # The operations are the host's: what nodes say it receives.
        action = "receive" if kind in NODE_KINDS and kind != "command" else "send"
        operations[f"{action}_{kind}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{kind}"},
            "messages": [{"$ref": f"#/channels/{kind}/messages/{kind}"}],
            "bindings": {"mqtt": {"qos": qos, "retain": retained, "bindingVersion": "0.2.0"}},
        }
    operations["receive_frustum"]["description"] = "QoS 0 where the sensor moves."
    tables = NODE_KINDS + HOST_KINDS + ("sensor", "model", "gap")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "dronewall",
            "version": f"{wire.VERSION}.0.0",
            "description": INFO,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "parameters": {
                name: {
                    "description": f"Of the {of}: 1 to 32 letters, digits, - and _.",
                    "examples": [example],
                }
                for name, (of, example) in names.items()
            },
            "messages": {kind: _message(kind) for kind in NODE_KINDS + HOST_KINDS},
            "schemas": {table: schema_of(table) for table in tables},
        },
    }


def _yaml(value: Any, indent: int) -> str:
    # Block style for what is long, JSON (which is YAML) for every scalar and every short list: no quoting
    # rule of YAML can bite then, and no library is needed.
    pad = "\n" + "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{_key(key)}:{_yaml(item, indent + 1)}" for key, item in value.items())
    if isinstance(value, str) and value.endswith("\n"):
        return " |" + "".join(pad + line for line in value.splitlines())
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "".join(f"{pad}- {_yaml(item, indent + 1).lstrip()}" for item in value)
    return " " + json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key not in _WORDS else json.dumps(key)


# Not text when they stand bare in YAML 1.1.
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def asyncapi_yaml() -> str:
    """The text of docs/asyncapi.yaml."""
    head = "# Made by `dronewall schema wire` from host/dronewall/wire.py: change it there.\n"
    return head + _yaml(asyncapi(), 0).lstrip("\n") + "\n"
