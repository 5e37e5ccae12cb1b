"""What the bench thinks of a board: each thing that was looked at with a verdict, the reason, and what to do next.

A verdict is `pass`, `fail`, `absent` (it is not there, and this node does without it) or `skipped` (nobody could look,
and why). Limits stand here and nowhere else; what the board says comes from `selftest`, what the node says once it runs
from `seen`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dronewall.bench import selftest
from dronewall.bench.bundle import MICROPYTHON
from dronewall.bench.files import ROOM
from dronewall.bench.onboard import Board
from dronewall.bench.selftest import Facts

HEAP_LEAST = 100_000  # bytes: 60 KB stay loaded, and a start takes 30 KB more for a moment (firmware/README.md)
FLASH_LEAST = 200_000  # bytes: a second folder of firmware (an update), twice what it takes now
LEVEL_CDEG = 1000  # of a board that lies on a bench
_G_COUNTS = {"qmc5883": 256, "bno055": 981}  # of the accelerometer that goes with each compass, for 1 g
_SECTORS = 36  # of 10 degrees each, through which a board is turned
_TURNED_LEAST = 33
_SIGMAS = 3.0
_SURVEY_M = 1.0  # what two of the same survey may differ by: rounding
_SURVEY_DEG = 0.1

Verdict = Literal["pass", "fail", "absent", "skipped"]


@dataclass(frozen=True)
class Item:
    """One thing that was looked at: its name, the verdict, what was found, what to do about it ("" where nothing is),
    and the figures, named with their units.
    """

    name: str
    verdict: Verdict
    text: str
    then: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def verdict(items: Sequence[Item]) -> Verdict:
    """fail where one item did, else pass."""
    return "fail" if any(item.verdict == "fail" for item in items) else "pass"


def on_the_board(port: str, board: Board) -> Iterator[Item]:
    """MicroPython, memory and flash of a board."""
    right = board.micropython == MICROPYTHON
    yield Item(
        "micropython",
        "pass" if right else "fail",
        f"{board.micropython} on {board.chip}" + ("" if right else f", {MICROPYTHON} expected"),
        "" if right else f"`dronewall node flash --port {port} --image FILE` with an image of {MICROPYTHON}",
        {"release": board.micropython, "chip": board.chip},
    )
    enough = board.heap >= HEAP_LEAST
    yield Item(
        "memory",
        "pass" if enough else "fail",
        f"{board.heap // 1000} KB free" + ("" if enough else f", {HEAP_LEAST // 1000} KB expected"),
        "" if enough else "what else does it load? look at boot.py; an image with the plain board's settings has more",
        {"heap_free_bytes": board.heap},
    )
    enough = board.free >= FLASH_LEAST
    yield Item(
        "flash",
        "pass" if enough else "fail",
        f"{board.free // 1000} KB free"
        + ("" if enough else f", {FLASH_LEAST // 1000} KB expected: an update needs them"),
        "" if enough else ROOM,
        {"flash_free_bytes": board.free},
    )


def of_files(port: str, board: Board, expected: Mapping[str, str], found: Mapping[str, str | None]) -> Item:
    """The firmware on a board against this dronewall's; both {name: SHA-256}."""
    then = f"`dronewall node flash --port {port}` copies what differs"
    where = f"/{board.slot}" if board.slot else "its root"
    lacking = [name for name in expected if found.get(name) is None]
    other = [name for name in expected if found.get(name) not in (None, expected[name])]
    figures = {
        "version": board.version,
        "folder": board.slot,
        "files": len(expected),
        "missing": lacking,
        "other": other,
    }
    if lacking or other:
        words = [f"{len(names)} {word} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
                 for names, word in ((lacking, "missing"), (other, "not this dronewall's")) if names]  # fmt: skip
        return Item("files", "fail", f"version {board.version} in {where}: {', '.join(words)}", then, figures)
    return Item("files", "pass", f"version {board.version} in {where}, {len(expected)} files as here", "", figures)


def of_settings(told: selftest.Settings) -> Item:
    """config.json, as the firmware on the board reads it."""
    again = "`dronewall node provision SITE NODE --port ... --secrets FOLDER` writes it anew"
    if told["problems"]:
        return Item("config", "fail", "; ".join(told["problems"]), again)
    return Item(
        "config", "pass", f"node {told['wall']}/{told['node']}", "", {"wall": told["wall"], "node": told["node"]}
    )


def of_instruments(told: Facts, turn_s: float = 0.0) -> Iterator[Item]:
    """Receiver, compass, accelerometer, sensors, battery, Wi-Fi, broker and clock by what `selftest.heard` found."""
    if not {"gnss", "compass", "azimuths", "drivers"} <= told.keys():
        why = told.get("broken", "the board did not say")
        yield Item(
            "instruments", "fail", f"the board's firmware failed: {why}", "`dronewall node flash` puts it there anew"
        )
        return
    yield _gnss(told["gnss"])
    yield _compass(told["compass"], told["azimuths"], turn_s)
    yield _accelerometer(told["compass"])
    for name, (driver, alive, trouble, seen) in told["drivers"].items():
        yield _sensor(name, driver, alive, trouble, seen, told["compass"]["listened_ms"] / 1000)
    if "battery" in told:
        yield _battery(told["battery"])
    yield from _network(told)
    if "broken" in told:
        yield Item("firmware", "fail", f"it failed while it was tried: {told['broken']}", "please report it")


def _gnss(told: selftest.Gnss) -> Item:
    if "first_ms" not in told:
        wires = "check its supply, and that its TX goes to the board's RX (firmware/README.md, Wiring), at 9600 baud"
        noise = f", but {told['bad']} that are none" if told.get("bad") else ""
        return Item("gnss", "fail", f"no sentences{noise}", wires, {"sentences": 0, "bad": told.get("bad", 0)})
    first, count = told["first_ms"] / 1000, told.get("satellites")
    words = f"sentences after {first:.1f} s, " + ("satellites unknown" if count is None else f"{count} satellites")
    figures: dict[str, Any] = {
        "first_s": first,
        "satellites": count,
        "sentences": told["sentences"],
        "bad": told["bad"],
    }
    if "fix" not in told or "fix_ms" not in told:
        return Item(
            "gnss", "pass", f"{words}, no fix (a roof is in the way, or it has just been switched on)", "", figures
        )
    latitude, longitude, height, sigma = told["fix"]
    figures |= {"latitude_deg": latitude / 1e7, "longitude_deg": longitude / 1e7, "height_amsl_m": height / 100,
                "sigma_m": sigma / 100, "fix_s": told["fix_ms"] / 1000}  # fmt: skip
    place = f"{latitude / 1e7:.5f}, {longitude / 1e7:.5f} ±{sigma / 100:.1f} m"
    return Item("gnss", "pass", f"{words}, fix after {told['fix_ms'] / 1000:.1f} s at {place}", "", figures)


def _absent(name: str, told: selftest.Compass, trouble: str) -> Item:
    wires = "check SDA, SCL, pull-up resistors and its 3.3 V (firmware/README.md, Wiring)"
    if told["driver"] == "bno055":
        wires = "check PS1, its TX and RX on UART 2 and its 3.3 V (firmware/README.md, Wiring)"
    if told["needed"]:
        return Item(name, "fail", trouble, wires)
    return Item(name, "absent", f"{trouble}; this node does without it")


def _compass(told: selftest.Compass, turned: int, turn_s: float) -> Item:
    if told["field"] is None or told["trouble"]:
        return _absent("compass", told, told["trouble"] or f"the {told['driver']} gives no reading")
    here = told["board"]
    if not here or here[0] is None or here[3] is None:
        return Item(
            "compass", "fail", "the field it measures has no direction", "iron or a magnet near by? move it away"
        )
    azimuth, dip = here[0] / 100, here[3] / 100
    figures = {"azimuth_deg": azimuth, "dip_deg": dip, "turned_deg": 10 * turned}
    words = f"azimuth {azimuth:.0f}°, dip {dip:.0f}°"
    if not turn_s:
        return Item("compass", "pass", f"{words} (--turn 30 watches it while you turn the board)", "", figures)
    words += f", {10 * turned}° of 360° seen while it was turned"
    if turned >= _TURNED_LEAST:
        return Item("compass", "pass", words, "", figures)
    return Item("compass", "fail", words, "turn it level, once round; if it was: `dronewall node calibrate`", figures)


def _signed(degrees: float) -> str:
    return f"{round(degrees, 1) + 0.0:+.1f}°"  # never -0.0


def _accelerometer(told: selftest.Compass) -> Item:
    if told["pull"] is None or told["tilt_trouble"]:
        return _absent("accelerometer", told, told["tilt_trouble"] or "it gives no reading")
    whole = math.hypot(*told["pull"]) / _G_COUNTS[told["driver"]]
    if not 0.9 <= whole <= 1.1:
        return Item(
            "accelerometer", "fail", f"measures {whole:.2f} g at rest", "let it lie still; if it did, change it"
        )
    here = told["level"] or told["board"]
    if not here:
        return Item("accelerometer", "fail", "it says no direction", "let it lie still, and try again")
    elevation, roll = here[1] / 100, here[2] / 100
    figures = {"elevation_deg": elevation, "roll_deg": roll}
    words = f"boresight {_signed(elevation)}, right side {_signed(roll)}"
    if max(abs(here[1]), abs(here[2])) <= LEVEL_CDEG:
        return Item("accelerometer", "pass", f"level: {words}", "", figures)
    then = "lay it level, sensors forward; if it is, its axes are not mounted as firmware/README.md says"
    return Item("accelerometer", "fail", f"not level: {words}", then, figures)


def _sensor(name: str, driver: str, alive: bool, trouble: str | None, seen: int, listened_s: float) -> Item:
    what, figures = f"sensor {name}", {"driver": driver, "detections": seen}
    if driver == "optics":
        return Item(what, "skipped", "a camera that the node does not read; look at its picture", "", figures)
    if trouble is not None:
        return Item(
            what, "fail", f"{driver}: {trouble}", "check its supply and its wires (firmware/README.md, Wiring)", figures
        )
    found = f"{driver} works" + (f", {seen} detections" if seen else "")
    if driver == "pir" and not seen:
        words = f"pir: low for {listened_s:.0f} s, as where nobody is and where a wire is cut; walk by (--listen 60)"
        return Item(what, "skipped", words, "", figures)
    if alive:
        return Item(what, "pass", found, "", figures)
    words = f"{driver}: said nothing for {listened_s:.0f} s, and may be allowed to; --listen 60 waits for longer"
    return Item(what, "skipped", words, "", figures)


def _battery(told: selftest.Battery) -> Item:
    if told["kind"] == "none":
        return Item("battery", "skipped", "this node has no gauge (power.battery)")
    if told["mv"] is None:
        return Item(
            "battery", "fail", f"the {told['kind']} gives no voltage", "check its wires (firmware/README.md, Wiring)"
        )
    figures = {"battery_v": told["mv"] / 1000}
    for level, least_mv in (("critical", told["critical_mv"]), ("low", told["low_mv"])):
        if told["mv"] < least_mv:
            words = f"{told['mv'] / 1000:.2f} V, {level} is {least_mv / 1000:.2f} V"
            return Item("battery", "fail", words, "charge it; if it is full: power.divider_milli", figures)
    return Item("battery", "pass", f"{told['mv'] / 1000:.2f} V", "", figures)


def _network(told: Facts) -> Iterator[Item]:
    wifi = told.get("wifi")
    if wifi is None:
        yield Item("wifi", "skipped", "config.json has no network")
    elif wifi["joined"]:
        rssi = wifi.get("rssi_dbm")
        yield Item("wifi", "pass", f"{'; '.join(wifi['notes'])}, {rssi} dBm", "", {"rssi_dbm": rssi})
    else:
        then = "is the network there, and its password the one of the secrets? then provision again"
        yield Item("wifi", "fail", "; ".join(wifi["notes"]) or "no network lets it in", then)
    if "broker" in told:
        yield _broker(told["broker"])
    else:
        yield Item("broker", "skipped", "there is no way to it")
    if "clock" not in told:
        yield Item("clock", "skipped", "not asked: no Wi-Fi")
        return
    source = told["clock"]["source"]
    figures = {"source": source, "time_unix_ms": told["clock"]["unix_ms"]}
    if source == "none":
        then = "clock.ntp, a fix of the receiver, or the time of provisioning: provision again"
        yield Item("clock", "fail", "nobody has told it the time", then, figures)
    elif source == "provisioned" and told["clock"]["ntp"]:
        yield Item("clock", "fail", "the time server does not answer", "is clock.ntp right, and reached?", figures)
    else:
        words = (
            "it is later than its provisioning; the receiver will say more"
            if source == "provisioned"
            else f"by {source}"
        )
        yield Item("clock", "pass", words, "", figures)


def _broker(told: selftest.Broker) -> Item:
    where = f"{told['host']}:{told['port']}" + (", TLS" if told["tls"] else "")
    who = f" as {told['user']}" if told["user"] else ""
    figures = {"host": told["host"], "port": told["port"], "tls": told["tls"]}
    error = told["error"]
    if error is None:
        return Item("broker", "pass", f"{where}: accepted{who}", "", figures)
    if error.startswith("refused"):
        then = "does the broker have its password (mosquitto.passwords), and was it told to read it again?"
    elif "TLS" in error or (told["tls"] and told.get("refused")):
        then = "is the broker's certificate signed by the ca of the secrets, for that name, and valid now?"
    else:
        then = "is it running, is the address right, and does the network lead to it?"
    return Item("broker", "fail", f"{where}: {error}", then, figures)


def of_report(name: str, values: Mapping[str, Any], wanted: Mapping[str, float] | None) -> Item:
    """A sensor's report against the site file. wanted: {"apart_m": from the surveyed post, "azimuth_deg"}, as far as
    the site file knows them; None without one.
    """
    what, then = f"report {name}", ""
    figures = {key: values[key] for key in ("latitude_deg", "longitude_deg", "height_amsl_m", "position_source",
               "position_sigma_m", "azimuth_deg", "azimuth_sigma_deg", "azimuth_source", "elevation_deg")
               if key in values}  # fmt: skip
    wrong = []
    if values["position_source"] == "none":
        words = "where it is, it does not know"
    else:
        words = f"{values['latitude_deg']:.5f}, {values['longitude_deg']:.5f} by {values['position_source']}"
        if wanted and "apart_m" in wanted:
            apart, least = wanted["apart_m"], _SURVEY_M
            if values["position_source"] == "gnss":
                least += _SIGMAS * values.get("position_sigma_m", 0.0)
            words += f", {apart:.1f} m from the post"
            figures["apart_m"] = round(apart, 2)
            if apart > least:
                wrong.append("it stands elsewhere than the site file says: provision it again, or correct the post")
    if values.get("suspect"):
        words += ", suspect (its receiver is elsewhere, as on a bench, or the mast was turned)"
    if values.get("azimuth_source") == "none" or "azimuth_deg" not in values:
        words += "; where it looks, it does not know"
        wrong.append("its compass says nothing (above)")
    else:
        azimuth, sigma = values["azimuth_deg"], values.get("azimuth_sigma_deg", 0.0)
        words += f"; azimuth {azimuth:.1f}° ±{sigma:.1f}° by {values['azimuth_source']}"
        if wanted and "azimuth_deg" in wanted:
            off = (azimuth - wanted["azimuth_deg"] + 180.0) % 360.0 - 180.0
            words += f", {_signed(off)} off the site file's {wanted['azimuth_deg']:.1f}°"
            figures["off_deg"] = round(off, 2)
            if values["azimuth_source"] == "survey" and abs(off) > _SURVEY_DEG:
                wrong.append("provision it again, or write what was aligned into the site file")
            elif abs(off) > _SIGMAS * sigma + _SURVEY_DEG and values["azimuth_source"] == "compass":
                # On a bench it looks anywhere: only the mast can say that this is wrong.
                words += " (on the bench it may)"
    then = "; ".join(wrong)
    return Item(what, "fail" if wrong else "pass", words, then, figures)
