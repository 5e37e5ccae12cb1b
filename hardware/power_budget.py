"""What the nodes of a site draw: mean current, energy a day and a report, days on a battery, the panel month by month.

    python hardware/power_budget.py examples/jacksboro.toml --clearness 0.45 --tilt 50

This file alone knows currents. They are typical values of data sheets; [check] means that the sheet was not at hand.
Nothing was measured on a board. The parts are those of the reference node (`hardware/node.md`): one LiFePO4 cell, a
converter up and down to 3.3 V, another up to 5 V, and switches before the GNSS receiver and the radar, off while the
node sleeps lightly or deeply. How long a node is in which state is what `firmware/power.py` does with the site's
`[nodes.duty]`; tests/test_power_budget.py holds that against the duty-cycle log of simulated nodes that sleep.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import insolation

from dronewall import __version__
from dronewall.live.devices import power_of
from dronewall.report import files
from dronewall.scenario import Node, Scenario, ScenarioError, read

CELL_V = 3.2
"""Of a LiFePO4 cell, nearly to its end."""
USABLE = 0.8
"""Of a battery's nominal energy: cold, age, and the charge below the firmware's critical_mv (assumed)."""
TO_3V3 = 0.9
"""Efficiency of the converter to 3.3 V (Texas Instruments TPS63060, SLVSA92, "Typical Characteristics" [check])."""
TO_5V = 0.85
"""The same to 5 V (Pololu U1V11F5, from 3.2 V [check])."""

PANEL_CLEAN = 0.85  # of its nominal watts: dirt, warmth, cable (assumed)
CHARGED = 0.95  # of what goes into the cell comes out (assumed for LiFePO4)
CHARGERS = {"linear": CELL_V / 6.0, "mppt": 0.9}
"""Share of a panel's watts that reach the cell: a linear charger (Texas Instruments BQ25185) passes the current of a
panel for 6 V on at the cell's volts; one that tracks the panel's best point converts it (assumed).
"""
DAYS = 30


@dataclass(frozen=True)
class Chip:
    """What a chip draws at 3.3 V [mA]: `receive`, for the receiver listens all the time; `transmit` at 802.11b, 1
    Mbit/s, the worst rate; `modem`: modem sleep, both cores at 160 MHz; `light`; `deep`, with RTC timer and memory.
    """

    receive: float
    transmit: float
    modem: float
    light: float
    deep: float


CHIPS = {
    # Espressif, ESP32 Series Datasheet v4.6, tables "Power Consumption by Power Modes" (modem: 27 to 34) and "RF
    # Current Consumption" (receive: 95 to 100) [check]
    "esp32": Chip(97.5, 240.0, 31.0, 0.8, 0.010),
    # Espressif, ESP32-S3 Series Datasheet v2.2, tables 5-7, 5-9 (modem: 27.6 idle without the clocks of the
    # peripherals, 42.3 with them) and 5-10, light sleep with 40 uA of 2 MB of PSRAM: read in transcripts of it [check]
    "esp32s3": Chip(88.0, 340.0, 35.0, 0.28, 0.008),
}

BEACON_SHARE = 0.05  # of the time in modem sleep in which the radio listens to beacons: 5 ms of 102 (assumed)
LAST_WORDS_S = 0.3 + 0.125  # firmware: link.py's pause before the radio goes off, and half of power.py's round
BOOT_S = 1.5  # from a deep sleep to the first look at the clock, on a chip (assumed)
REPORT_S = 0.020  # on the air: some 700 bytes at 1 Mbit/s, with preambles and acknowledgements


@dataclass(frozen=True)
class Part:
    """What a part draws [mA] while the node is awake and while it sleeps lightly or deeply, at 3.3 V or 5 V.

    `asleep` is 0 behind a switch that the firmware turns off. `source`: where the figures stand.
    """

    awake: float
    asleep: float
    volts: float
    source: str

    @property
    def milliwatts(self) -> tuple[float, float]:
        """Awake and asleep, from the cell."""
        efficiency = TO_5V if self.volts > 4.0 else TO_3V3
        return self.awake * self.volts / efficiency, self.asleep * self.volts / efficiency


ALWAYS = Part(0.1, 0.1, CELL_V * TO_3V3, "own current of converter, charger and protection (assumed), from the cell")
# While the node is awake and has one. A surveyed post that sleeps lightly leaves it off for most turns: less than this.
GNSS = {
    "switched": Part(23.0, 0.015, 3.3, "u-blox SAM-M8Q, UBX-16012619: tracking GPS and GLONASS; V_BCKP 15 uA [check]"),
    "always": Part(23.0, 23.0, 3.3, "the same without a switch"),
    "none": Part(0.0, 0.0, 3.3, "a surveyed post without a receiver"),
}
COMPASSES = {
    "qmc5883": Part(0.24, 0.24, 3.3, "QST QMC5883L 1.0, 50 Hz: 100 uA; Analog Devices ADXL345 Rev. E: 140 uA [check]"),
    "bno055": Part(12.3, 12.3, 3.3, "Bosch BNO055, BST-BNO055-DS000: 9 degrees of freedom, 12.3 mA [check]"),
}
GAUGES = {
    "ina219": Part(1.0, 1.0, 3.3, "Texas Instruments INA219, SBOS448: quiescent 0.7 mA, at most 1"),
    "divider": Part(0.0016, 0.0016, 3.3, "two resistors of 1 MOhm across the cell"),
    "none": Part(0.0, 0.0, 3.3, ""),
}
SERVO = Part(8.0, 8.0, 5.0, "Futaba S3003, idle 7.2 mA at 4.8 V, 8 mA at 6 V [check]; it is not switched")
SENSORS = {
    "pir": Part(0.006, 0.006, 3.3, "Panasonic EKMB: 6 uA [check]"),
    "ld2450": Part(120.0, 0.0, 5.0, "Hi-Link HLK-LD2450 V1.00: 120 mA at 5 V [check]; switched"),
    "amg8833": Part(4.5, 4.5, 3.3, "Panasonic Grid-EYE AMG88: 4.5 mA in normal mode [check]"),
    "acoustic": Part(1.4, 1.4, 3.3, "TDK InvenSense INMP441 DS-INMP441-00: 1.4 mA [check]"),
}
ELSEWHERE = ("optics", "detector", "radar")  # have a supply of their own


@dataclass(frozen=True)
class Fitted:
    """A node but for the sensors of the site file: keys of GNSS, COMPASSES, GAUGES and CHIPS, and servos."""

    gnss: str = "switched"
    compass: str = "qmc5883"
    gauge: str = "ina219"
    servos: int = 0
    chip: str = "esp32"


REFERENCE = Fitted()


@dataclass(frozen=True)
class Budget:
    """A node's account. `shares` of the time by state, `milliwatts` by what draws them, from the cell; `without` the
    drivers whose sensors have a supply of their own.
    """

    name: str
    mode: str
    shares: dict[str, float]
    milliwatts: dict[str, float]
    reports_per_day: float
    without: tuple[str, ...]

    @property
    def mean_ma(self) -> float:
        """From the cell."""
        return sum(self.milliwatts.values()) / CELL_V

    @property
    def wh_per_day(self) -> float:
        return sum(self.milliwatts.values()) / 1000 * 24

    @property
    def joules_per_report(self) -> float:
        return self.wh_per_day * 3600 / self.reports_per_day

    def days(self, battery_wh: float) -> float:
        """On a battery of that nominal energy, without sun."""
        return battery_wh * USABLE / self.wh_per_day

    def panel_w(self, sun_hours: float, charger: str = "linear") -> float:
        """Nominal watts of a panel that replaces a day's energy on a day of so many peak sun hours; inf without sun."""
        if sun_hours <= 0.0:
            return math.inf
        return self.wh_per_day / (sun_hours * PANEL_CLEAN * CHARGERS[charger] * CHARGED)


def shares(mode: str, awake_s: float, asleep_s: float, boot_s: float = BOOT_S) -> dict[str, float]:
    """The shares of the time in which a node that is online at once is in each state; they add up to 1."""
    found = dict.fromkeys(("active", "modem", "light", "deep"), 0.0)
    if mode not in ("light", "deep"):
        found[mode] = 1.0
        return found
    awake_s += LAST_WORDS_S + (boot_s if mode == "deep" else 0)
    found["active"] = awake_s / (awake_s + asleep_s)
    found[mode] = asleep_s / (awake_s + asleep_s)
    return found


def budget(node: Node, scenario: Scenario, fitted: Fitted = REFERENCE) -> Budget:
    """A node's account by the site file."""
    power = power_of(node.duty)
    spent = shares(power["mode"], power["awake_s"], power["asleep_s"])
    drivers = [scenario.sensor_types[sensor.type].driver for sensor in node.sensors]
    # The period counts while it is awake; each turn begins with a report of each sensor.
    cycle_s = power["awake_s"] + power["asleep_s"]
    awake_reports = max(1, math.ceil(power["awake_s"] / node.period_s)) if cycle_s else 1
    rounds_per_day = 86400 / (cycle_s or node.period_s) * awake_reports
    reports = rounds_per_day * len(node.sensors) + (86400 / cycle_s if cycle_s else 1440)
    chip = CHIPS[fitted.chip]
    drawn_ma = spent["active"] * chip.receive + spent["light"] * chip.light + spent["deep"] * chip.deep
    drawn_ma += spent["modem"] * (chip.modem + BEACON_SHARE * (chip.receive - chip.modem))
    sending = reports * REPORT_S / 86400 * (chip.transmit - chip.receive)
    parts = {"gnss": GNSS[fitted.gnss], "gauge": GAUGES[fitted.gauge], "always": ALWAYS}
    if any(sensor.azimuth_source == "compass" for sensor in node.sensors):
        parts["compass"] = COMPASSES[fitted.compass]
    awake = spent["active"] + spent["modem"]
    drawn = {"chip": drawn_ma * 3.3 / TO_3V3, "sending": sending * 3.3 / TO_3V3}
    for name, part in parts.items():
        drawn[name] = _mean(part, awake)
    drawn["sensors"] = sum(_mean(SENSORS[driver], awake) for driver in drivers if driver in SENSORS)
    drawn["servos"] = fitted.servos * _mean(SERVO, awake)
    without = tuple(sorted({driver for driver in drivers if driver not in SENSORS}))
    return Budget(node.name, power["mode"], spent, drawn, reports, without)


def _mean(part: Part, awake: float) -> float:
    on, off = part.milliwatts
    return awake * on + (1.0 - awake) * off


def report(site: str, budgets: Sequence[Budget], battery_wh: float, sun_hours: Sequence[float], charger: str) -> str:
    """The nodes' table, the months' (where there are twelve), and the statement that the site is accepted by."""
    darkest = min(sun_hours)
    heads = (
        "node",
        "mode",
        "awake",
        "mean",
        "a day",
        "a report",
        f"on {battery_wh:g} Wh",
        f"panel, {darkest:.1f} h sun",
    )
    lines = ["{:9} {:7} {:>6} {:>9} {:>9} {:>8} {:>10} {:>17}".format(*heads)]
    for one in budgets:
        awake = one.shares["active"] + one.shares["modem"]
        lines.append(
            f"{one.name:9} {one.mode:7} {awake:6.1%} {one.mean_ma:6.1f} mA {one.wh_per_day:6.2f} Wh "
            f"{one.joules_per_report:6.2f} J {one.days(battery_wh):8.1f} d {watts(one.panel_w(darkest, charger)):>17}"
        )
    most, *_ = ends = _ends(budgets)
    if len(sun_hours) == 12:
        lines += ["", *_months(ends, sun_hours, charger)]
    need = most.wh_per_day * DAYS
    largest = sorted(most.milliwatts.items(), key=lambda item: -item[1])[:3]
    drawn = ", ".join(f"{name} {value / sum(most.milliwatts.values()):.0%}" for name, value in largest)
    month = insolation.MONTHS[list(sun_hours).index(darkest)] if len(sun_hours) == 12 else ""
    lines += [
        "",
        f"{site}: {DAYS} days at its duty cycle take {need:.1f} Wh at node {most.name}, which draws the most"
        f" ({drawn}):",
        f"a battery of {need / USABLE:.0f} Wh without sun, or a panel of {watts(most.panel_w(darkest, charger))} at"
        f" {darkest:.1f} peak sun hours a day{f' ({month}, the darkest month)' if month else ''}",
        f"and {battery_wh:g} Wh, which last {most.days(battery_wh):.1f} days without any.",
    ]
    without = sorted({driver for one in budgets for driver in one.without})
    if without:
        lines.append(f"Not counted, for their sensors have a supply of their own: {', '.join(without)}.")
    return "\n".join(lines)


def _ends(budgets: Sequence[Budget]) -> list[Budget]:
    """The node that draws the most, and the one that draws the least where it needs a panel a tenth smaller."""
    most, least = (choose(budgets, key=lambda one: one.wh_per_day) for choose in (max, min))
    return [most, least] if least.wh_per_day < 0.9 * most.wh_per_day else [most]


def _months(shown: Sequence[Budget], sun_hours: Sequence[float], charger: str) -> list[str]:
    """Sun hours and panels by month."""
    lines = ["month  sun h " + "".join(f"{'panel of ' + one.name:>16}" for one in shown)]
    for name, hours in zip(insolation.MONTHS, sun_hours, strict=True):
        mark = "  the darkest" if hours == min(sun_hours) else ""
        panels = "".join(f"{watts(one.panel_w(hours, charger)):>16}" for one in shown)
        lines.append(f"{name:5} {hours:6.2f}  {panels}{mark}")
    return lines


def watts(value: float) -> str:
    """`4.2 W`; `no sun` where no panel would do."""
    return f"{value:.1f} W" if math.isfinite(value) else "no sun"


def write_png(
    path: str | os.PathLike[str], site: str, budgets: Sequence[Budget], sun_hours: Sequence[float], charger: str
) -> None:
    """Panel watts by month of the node that draws the most and of the one that draws the least. OutputError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.2), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    shown = _ends(budgets)
    wide = 0.8 / len(shown)
    for number, (one, colour) in enumerate(zip(shown, ("#0b5a9c", "#8cc4ea"), strict=False)):
        panels = [one.panel_w(hours, charger) for hours in sun_hours]
        places = [month + wide * (number + 0.5 - len(shown) / 2.0) for month in range(12)]
        drawn = [value if math.isfinite(value) else 0.0 for value in panels]
        label = f"{one.name}, {one.mode}, {one.wh_per_day:.2f} Wh a day"
        axes.bar(places, drawn, width=0.94 * wide, color=colour, label=label)
        for place, value, height in zip(places, panels, drawn, strict=True):
            axes.annotate(f"{value:.1f}" if math.isfinite(value) else "no sun", (place, height), (0, 2),
                          textcoords="offset points", size=6.5, ha="center", va="bottom")  # fmt: skip
    names = [f"{name}\n{hours:.1f} h" for name, hours in zip(insolation.MONTHS, sun_hours, strict=True)]
    axes.set_xticks(range(12), names)
    axes.tick_params(length=0, labelsize=8)
    axes.set_ylabel("panel [W]", size=8)
    axes.set_title(f"{site}: the panel that carries a node, by month", size=11, weight="bold", loc="left")
    axes.set_xlabel("mean peak sun hours a day on the panel", size=8)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.0))
    axes.margins(y=0.16)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with files.replacing(path) as draft:
        figure.savefig(draft, dpi=120, format="png", metadata={"Software": f"{files.MAKER} {__version__}"})


def sun_of(latitude_deg: float, tilt_deg: float, clearness: Sequence[float]) -> list[float]:
    """Peak sun hours of each month; degrees at this border."""
    return insolation.by_month(math.radians(latitude_deg), math.radians(tilt_deg), tuple(clearness))


def latitude_of(scenario: Scenario) -> float:
    """Of the middle of the frontage [degrees]."""
    latitudes = [latitude for latitude, _ in scenario.frontage.points_deg]
    return (min(latitudes) + max(latitudes)) / 2.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="What the nodes of a site draw, and what carries them for thirty days and through the year.",
        epilog="The panel faces the equator. Clearness: of the sun above the air, what reaches level ground, by month; "
        "NASA POWER (ALLSKY_KT) has it for any place; 0.4 is assumed: a cloudy place, brighter ones have 0.5 to 0.7.",
    )
    parser.add_argument("site", help="the site file (TOML)")
    parser.add_argument("--battery-wh", type=float, default=19.2, help="nominal [Wh]; 19.2: one LiFePO4 cell of 6 Ah")
    parser.add_argument("--tilt", type=float, metavar="DEG", help="of the panel [default: latitude + 15, for winter]")
    parser.add_argument("--clearness", type=float, nargs="+", default=[0.4], metavar="K", help="one, or one a month")
    parser.add_argument("--sun-hours", type=float, help="peak sun hours of a day that are known, in place of the two")
    parser.add_argument("--charger", choices=CHARGERS, default="linear", help="[default: linear, a BQ25185]")
    parser.add_argument("--chip", choices=CHIPS, default="esp32")
    parser.add_argument("--gnss", choices=GNSS, default="switched", help="off while asleep [default], always on, none")
    parser.add_argument("--compass", choices=COMPASSES, default="qmc5883", help="of nodes that have one")
    parser.add_argument("--gauge", choices=GAUGES, default="ina219", help="of the battery")
    parser.add_argument("--servos", type=int, default=0, help="of each node, standing still; not switched")
    parser.add_argument("--picture", metavar="FILE", help="draw the months to this PNG")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not (given.battery_wh > 0 and (given.sun_hours is None or given.sun_hours > 0)):
        parser.error("--battery-wh and --sun-hours: more than 0 expected")
    if len(given.clearness) not in (1, 12) or not all(0 < each < 1 for each in given.clearness):
        parser.error("--clearness: one number, or twelve, over 0 and under 1 expected")
    if given.tilt is not None and not 0 <= given.tilt <= 90:
        parser.error(f"--tilt {given.tilt:g}: 0 (level) to 90 (upright) expected")
    if not 0 <= given.servos <= 8:
        parser.error(f"--servos {given.servos}: 0 to 8 expected")
    if given.picture and (given.sun_hours is not None or not given.picture.lower().endswith(".png")):
        parser.error("--picture: a file name that ends in .png expected, and no --sun-hours")
    try:
        scenario = read(Path(given.site))
    except (ScenarioError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    fitted = Fitted(given.gnss, given.compass, given.gauge, given.servos, given.chip)
    budgets = [budget(node, scenario, fitted) for node in scenario.nodes]
    if not budgets:
        print(f"{given.site}: no nodes", file=sys.stderr)
        return 2
    latitude = latitude_of(scenario)
    tilt = min(abs(latitude) + 15.0, 90.0) if given.tilt is None else given.tilt
    sun = [given.sun_hours] if given.sun_hours is not None else sun_of(latitude, tilt, given.clearness)
    print(report(scenario.site.name, budgets, given.battery_wh, sun, given.charger))
    if given.sun_hours is None:
        clear = " ".join(f"{each:g}" for each in given.clearness)
        print(f"Sun: latitude {latitude:.1f}, tilt {tilt:.0f} degrees, clearness {clear}; a flat horizon, no snow.")
    if given.picture:
        try:
            write_png(given.picture, scenario.site.title or scenario.site.name, budgets, sun, given.charger)
        except files.OutputError as error:
            print(error, file=sys.stderr)
            return 2
        print(Path(given.picture).resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
