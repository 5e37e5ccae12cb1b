"""How config.json on a board is read and changed over its serial port: by the firmware that lies on it.

Its own modules merge, check and write, so that what the node could not read is never put in place, and a cable that is
pulled leaves the old file or the new one. What has secrets in it stays on the board.
"""

import json
from typing import Any, TypedDict

from dronewall.bench.files import ROOM
from dronewall.bench.repl import BoardError, ProgramError, Repl

_READ = """
import json
try:
    with open("/config.json") as file:
        _config = json.load(file)
except (OSError, ValueError):
    _config = {}
if not isinstance(_config, dict):
    _config = {}
print(json.dumps({key: _config[key] for key in KEYS if key in _config}))
"""
_PATCH = """
import json, os
import config, store, tried
def _patched(patch):
    for name in ("config.new", "config.tried"):
        if name in os.listdir("/"):
            return "a configuration is on trial (%s); wait until the node has been online with it" % name
    values = tried.patched(json.loads(store.read("/config.json")), patch)
    try:
        config.settings(values)
    except config.ConfigError as error:
        return "; ".join([line.split(", not ")[0] for line in str(error).split("\\n")])
    store.write("/config.json", json.dumps(values).encode())
    return None if json.loads(store.read("/config.json")) == values else "it reads back otherwise than it was written"
print(json.dumps(_patched(json.loads(CHANGE))))
"""


class Compass(TypedDict, total=False):
    driver: str
    hard_iron: list[int]


class Position(TypedDict, total=False):
    source: str
    latitude_e7: int
    longitude_e7: int
    height_amsl_cm: int | None
    sigma_cm: int


class Sensor(TypedDict, total=False):
    name: str
    servo: Any
    azimuth_source: str
    azimuth_cdeg: int
    elevation_cdeg: int
    roll_cdeg: int
    hfov_cdeg: int


class Config(TypedDict, total=False):
    """What the bench reads of a config.json; the names and units are those of firmware/config.py."""

    wall: str
    node: str
    compass: Compass
    position: Position
    sensors: list[Sensor]


def config(repl: Repl, *keys: str) -> Config:
    """These keys of config.json, as far as they are there. Raises BoardError where the board is no node yet."""
    found: Config = repl.answer(_READ.replace("KEYS", repr(("node", *keys))), Config)
    if "node" not in found:
        raise BoardError(
            f"{repl.port}: no node yet (no config.json on the board); "
            f"`dronewall node provision SITE NODE --port {repl.port}` makes it one"
        )
    return found


def patch(repl: Repl, change: dict[str, Any]) -> None:
    """Merges a change into config.json (RFC 7396, and sensors by their names: firmware/tried.py) and reads it back.
    The firmware must be on its path (`onboard.import_firmware`). Raises BoardError where it would not take the change;
    nothing is changed then.
    """
    try:
        refused: str | None = repl.answer(_PATCH.replace("CHANGE", repr(json.dumps(change))), str | None)
    except ProgramError as error:
        if not error.full:
            raise
        refused = f"its flash is full; {ROOM}"
    if refused is not None:
        raise BoardError(f"{repl.port}: config.json is as it was: {refused}")
