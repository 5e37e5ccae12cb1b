"""What a node says, line by line: its log over a serial port, or its messages at the broker in words and units.

A port is listened to and nothing else: nobody interrupts the node, and opening does not reset it. On a board with the
usual two transistors EN is low where RTS alone is asserted, and IO0 where DTR alone is. Linux and macOS assert both
when a port is opened, pyserial leaves them so, and neither transistor conducts; whoever lets go of them one after the
other (`dtr = False`, then `rts = False`), as is often advised, resets the board between the two.
"""

import contextlib
import time
from collections.abc import Callable, Generator
from typing import Any

import serial

from dronewall.bench.repl import BAUD, BoardError, opened
from dronewall.live.ingest import Arrival
from dronewall.talk import clean

_AGAIN_S = 0.25  # between two tries to open a port that is not there
_HELD_S = 1.0  # what has no end of line is shown after so long


def log(
    port: str, goes_on: Callable[[], bool], told: Callable[[str], None], baud: int = BAUD
) -> Generator[tuple[int, str]]:
    """(unix ms, line) of the board's console as they come, while `goes_on()`; asked at least every .1 s. `told` hears
    that the board was unplugged, and plugged in again. The port is open when this returns. Raises BoardError where it
    cannot be.
    """
    return _lines(opened(port, baud), port, goes_on, told, baud)


def _lines(
    line: serial.Serial | None, port: str, goes_on: Callable[[], bool], told: Callable[[str], None], baud: int
) -> Generator[tuple[int, str]]:
    held, since = b"", 0.0
    try:
        while goes_on():
            if line is None:
                line = _again(port, baud)
                if line is not None:
                    told(f"{port}: plugged in again")
                continue
            try:
                data = line.read(line.in_waiting or 1)
            except (serial.SerialException, OSError):
                _close(line)
                line = None
                told(f"{port}: unplugged; waiting for it (Ctrl-C ends)")
                data = b"\n" if held else b""
            if data and not held:
                since = time.monotonic()
            held += data
            *whole, held = held.split(b"\n")
            if held and time.monotonic() > since + _HELD_S:
                whole, held = [*whole, held], b""
            for each in whole:
                text = each.decode(errors="replace").rstrip("\r")
                if text:
                    yield _now(), clean(text)
    finally:
        if line is not None:
            _close(line)


def _again(port: str, baud: int) -> serial.Serial | None:
    time.sleep(_AGAIN_S)
    with contextlib.suppress(BoardError):
        return opened(port, baud)
    return None


def _close(line: serial.Serial) -> None:
    with contextlib.suppress(serial.SerialException, OSError):
        line.close()


def _now() -> int:
    return time.time_ns() // 1_000_000


def readable(arrival: Arrival) -> tuple[str, str, str]:
    """(who, what kind of message, what it says with units) of a node's message; one that is none says why."""
    report = arrival.report
    if report is None:
        words = arrival.topic.split("/")
        return arrival.node, words[4][:16] if len(words) > 4 else "?", f"refused: {arrival.reason}"
    who = f"{report.node}/{report.sensor}" if report.sensor else report.node
    values = report.values
    if values is None:
        return who, report.kind, "removed"
    words = _WORDS.get(report.kind, _plain)(values)
    return who, report.kind, "; ".join(word for word in words if word) + ("; retained" if arrival.retained else "")


def record(arrival: Arrival) -> dict[str, Any]:
    """The same as plain data, for JSON: the message's own keys under `values`, or `refused` with the reason."""
    found: dict[str, Any] = {"arrived_unix_ms": arrival.arrived_unix_ms, "node": arrival.node, "topic": arrival.topic}
    if arrival.report is None:
        return {**found, "refused": arrival.reason}
    kind, sensor = arrival.report.kind, arrival.report.sensor
    return {
        **found, "kind": kind, "sensor": sensor or None, "retained": arrival.retained, "values": arrival.report.values,
    }  # fmt: skip


def _frustum(values: dict[str, Any]) -> list[str]:
    if values["position_source"] == "none":
        place = "position unknown"
    else:
        place = f"{values['latitude_deg']:.6f} {values['longitude_deg']:.6f} ±{values['position_sigma_m']:g} m"
        if values.get("height_amsl_m") is not None:
            place += f", {values['height_amsl_m']:.1f} m AMSL"
        place += f" ({values['position_source']})"
    if values["azimuth_source"] == "none":
        looks = "azimuth unknown"
    else:
        looks = f"azimuth {values['azimuth_deg']:.2f}° ±{values['azimuth_sigma_deg']:g}° ({values['azimuth_source']})"
    looks += f", elevation {values['elevation_deg']:.2f}° ±{values['tilt_sigma_deg']:g}°"
    awake = "" if values["awake"] == "always" else f"awake by {values['awake']}, {100 * values['duty']:.0f} %"
    return [
        looks,
        place,
        "SUSPECT" if values.get("suspect") else "",
        awake,
        f"boot {values['boot']}, {_clock(values)}",
    ]


def _detection(values: dict[str, Any]) -> list[str]:
    looks = f"azimuth {values['azimuth_deg']:.1f}°"
    if values.get("azimuth_sigma_deg") is not None:
        looks += f" ±{values['azimuth_sigma_deg']:g}°"
    looks += f", elevation {values['elevation_deg']:.1f}°"
    if values.get("range_m") is not None:
        looks += f", {values['range_m']:.0f} m"
    return [f"{values['class']}, confidence {100 * values['confidence']:.0f} %", looks, _clock(values)]


def _health(values: dict[str, Any]) -> list[str]:
    def told(key: str, text: str, scale: float = 1.0) -> str:
        value = values.get(key)
        return "" if value is None else text % (value * scale)

    return [
        told("battery_v", "battery %.2f V"),
        told("rssi_dbm", "Wi-Fi %d dBm"),
        told("heap_free_bytes", "heap %.1f KB free", 1 / 1024),
        told("temperature_c", "%.1f °C"),
        f"up {values['uptime_ms'] / 1000:.0f} s",
        told("resets", "%d resets"),
        told("queue_drops", "%d dropped"),
        told("awake", "awake %.0f %%", 100.0),
        f"started by {values['reset']}" if values.get("reset") else "",
    ]


def _birth(values: dict[str, Any]) -> list[str]:
    sensors = ", ".join(f"{sensor['name']} ({sensor['driver']})" for sensor in values["sensors"]) or "none"
    version = f", version {values['version']}" if values.get("version") is not None else ""
    return [
        f"firmware {values['firmware']}{version} on {values['board']}",
        "SAFE MODE" if values.get("mode") == "safe" else "",
        f"boot {values['boot']}, session {values['session']}, every {values['period_s']} s",
        f"sensors: {sensors}",
    ]


def _state(values: dict[str, Any]) -> list[str]:
    return [values["state"], f"boot {values['boot']}, session {values['session']}"]


def _reply(values: dict[str, Any]) -> list[str]:
    return [f"{values['status']} to command {values['id']}", values.get("reason", "")]


def _plain(values: dict[str, Any]) -> list[str]:
    return [f"{key} {value}" for key, value in values.items()]


def _clock(values: dict[str, Any]) -> str:
    return "no clock" if values["clock"] == "none" else f"clock {values['clock']}"


_WORDS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "frustum": _frustum,
    "detection": _detection,
    "health": _health,
    "birth": _birth,
    "state": _state,
    "reply": _reply,
}
