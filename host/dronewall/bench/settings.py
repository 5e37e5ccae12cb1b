"""A node's config.json, put together from the site file and the folder of secrets, and the files that it names.

A file of a certificate is named by its content, so that the configuration that is kept never names one half written.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from dronewall.bench.keyring import WALL, Keyring, KeyringError
from dronewall.live.devices import config_of
from dronewall.scenario import Scenario
from dronewall.toml_check import nearest

LARGEST = 16_384  # bytes of config.json; the firmware's bound
_OURS = ("format", "wall", "node", "wifi", "mqtt")  # what the free tables of wall.toml cannot say


class Settings(NamedTuple):
    """What is put onto a board: its config.json, further files by name, and the key for its updates."""

    config: dict[str, Any]
    files: dict[str, bytes]
    key: bytes

    @property
    def text(self) -> bytes:
        """config.json as it is written."""
        return json.dumps(self.config, ensure_ascii=False).encode()


def settings_of(
    scenario: Scenario,
    name: str,
    ground_amsl: float,
    keyring: Keyring,
    now_unix_ms: int,
    pir_pins: Sequence[int],
    hard_iron: Sequence[int] | None = None,
) -> Settings:
    """What the node `name` of the scenario is given at `now_unix_ms`, before which its clock cannot be.

    `ground_amsl`: the ground at its post [m], nan where nobody knows it. `pir_pins`: pins of its board that a presence
    sensor may have, the first ones first. `hard_iron`: what calibration has left on the board, kept unless wall.toml
    says otherwise. Raises KeyringError for what the folder lacks, DeviceError for more sensors than the board has pins.
    """
    config = config_of(scenario, name, ground_amsl, pir_pins=pir_pins)
    if hard_iron is not None:
        config["compass"] = {"hard_iron": list(hard_iron)}
    where = f"{keyring.folder}/{WALL}"
    for other in keyring.nodes:
        if other not in scenario.node_names:
            near = nearest(other, scenario.node_names)
            raise KeyringError(f"{where}: [nodes.{other}]: no such node" + (f"; did you mean {near}?" if near else ""))
    sensors = {sensor.partition("/")[2] for sensor in scenario.sensor_names}
    _patch(config, keyring.config, f"{where}: [config]", sensors)
    _patch(config, keyring.nodes.get(name, {}), f"{where}: [nodes.{name}]")
    if not isinstance(config["position"], dict) or not isinstance(config.get("compass", {}), dict):
        raise KeyringError(f"{where}: [config]: position and compass; expected tables")
    if config["position"].get("source") == "gnss":
        config["position"] = {"source": "gnss"}  # whatever the post's survey says
    turned = [sensor["name"] for sensor in config["sensors"] if sensor.get("azimuth_source") == "compass"]
    if turned and "declination_cdeg" not in config:
        raise KeyringError(
            f"{where}: [config]: no declination_cdeg, and {name}/{turned[0]} looks by the compass; true"
            " azimuth = magnetic + this, hundredths of a degree, east positive, from a geomagnetic model for the site"
        )
    broker, clock = keyring.wall.broker, keyring.wall.clock
    user, password = keyring.login(name)
    certificates = keyring.certificates(name)
    files = {f"{word}-{hashlib.sha256(der).hexdigest()[:12]}.der": der for word, der in certificates.items()}
    config["wifi"] = [{"ssid": ssid, "password": secret} for ssid, secret in keyring.networks()]
    config["mqtt"] = {
        "host": broker.host,
        "port": broker.port or (8883 if certificates else 1883),
        "user": user,
        "password": password,
        "keepalive_s": broker.keepalive_s,
        "tls": dict(zip(certificates, files, strict=True)) or None,
    }
    own = config.get("clock")
    config["clock"] = {"ntp": clock.ntp, "ntp_port": clock.ntp_port, "earliest_unix_ms": now_unix_ms // 60_000 * 60_000}
    if isinstance(own, dict):
        config["clock"] |= own
    try:
        json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise KeyringError(f"{where}: [config] or [nodes.{name}]: {error}; expected what JSON has, too") from None
    found = Settings(config, files, keyring.key(name))
    if len(found.text) > LARGEST:
        raise KeyringError(f"config.json of {name}: {len(found.text)} bytes, at most {LARGEST} expected")
    return found


def secrets_in(settings: Settings) -> list[str]:
    """Every secret text among the settings."""
    passwords = [network["password"] for network in settings.config["wifi"]] + [settings.config["mqtt"]["password"]]
    return [password for password in passwords if password]


def _patch(config: dict[str, Any], patch: Mapping[str, Any], where: str, elsewhere: Collection[str] = ()) -> None:
    """Changes what the patch names (RFC 7396); its `sensors` are named, config.json's are a list. `elsewhere`: names of
    sensors that it may speak of, though this node has none of them.
    """
    for key, value in patch.items():
        if key in _OURS:
            raise KeyringError(f"{where}: {key} is not set here; the site file, [[wifi]] and [broker] say it")
        if key != "sensors":
            config[key] = _merged(config.get(key), value)
            continue
        sensors = {sensor["name"]: sensor for sensor in config["sensors"]}
        for name, changes in (value if isinstance(value, dict) else {"": value}).items():
            if not isinstance(changes, dict) or name not in {*sensors, *elsewhere}:
                near = nearest(name, [*sensors, *elsewhere])
                hint = f"; did you mean {near}?" if near else ""
                raise KeyringError(f"{where}: sensors: {name!r} is no sensor, expected [... sensors.NAME]{hint}")
            if name in sensors:
                sensors[name].update(_merged(sensors[name], changes))


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(new, Mapping):
        return new
    known = old if isinstance(old, dict) else {}
    return {**known, **{key: _merged(known.get(key), value) for key, value in new.items()}}
