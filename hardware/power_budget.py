"""What the nodes of a site draw: mean current, energy a day and a report, days on a battery, panel for thirty days.

    python hardware/power_budget.py examples/jacksboro.toml --battery-wh 74 --sun-hours 2.5

This file alone knows currents. They are typical values of data sheets; [check] means that the sheet was not at hand.
Nothing was measured on a board. How long a node is in which state is what `firmware/power.py` does with the site's
`[nodes.duty]`; tests/test_power_budget.py holds that against the duty-cycle log of simulated nodes that sleep.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dronewall.live.devices import power_of
from dronewall.scenario import Node, Scenario, ScenarioError, read

BATTERY_V = 3.7
"""One lithium cell; a linear regulator makes 3.3 V of it, so the cell gives the same current."""
USABLE = 0.8
"""Of a battery's nominal energy: cold, age, and the charge below the firmware's critical_mv."""
PANEL_YIELD = 0.6
"""Of a panel's nominal watts: dirt, tilt, warmth, the charger and the cell (assumed)."""
DAYS = 30

# The chip [mA]: Espressif, ESP32 Series Datasheet v4.6, tables "Power Consumption by Power Modes" and "RF Current
# Consumption" [check]
RECEIVE = 97.5  # 95 to 100: the receiver listens all the time
TRANSMIT = 240.0  # 802.11b, 1 Mbit/s, 19.5 dBm: the worst rate
MODEM = 31.0  # modem sleep, both cores at 160 MHz, 27 to 34
LIGHT = 0.8
DEEP = 0.010  # RTC timer and RTC memory
REGULATOR = 0.08  # and what leaks elsewhere on the board (assumed)

BEACON_SHARE = 0.05  # of the time in modem sleep in which the radio listens to beacons: 5 ms of 102 (assumed)
LAST_WORDS_S = 0.3 + 0.125  # firmware: link.py's pause before the radio goes off, and half of power.py's round
BOOT_S = 1.5  # from a deep sleep to the first look at the clock, on a chip (assumed)
REPORT_S = 0.020  # on the air: some 700 bytes at 1 Mbit/s, with preambles and acknowledgements

# What the firmware cannot switch off draws all the time [mA from the cell].
GNSS = 23.0  # u-blox, NEO-M8 data sheet (UBX-15031086): tracking, GPS and GLONASS, 3 V [check]
COMPASS = 0.14 + 0.10  # Analog Devices, ADXL345 Rev. E: 140 uA at 100 Hz; QST, QMC5883L 1.0: 100 uA at 50 Hz [check]
SENSORS = {
    "pir": 0.006,  # Panasonic EKMB: 6 uA [check]
    "ld2450": 120.0 * 5 / (0.85 * BATTERY_V),  # Hi-Link HLK-LD2450 V1.00: 120 mA at 5 V, by a boost converter [check]
    "amg8833": 4.5,  # Panasonic Grid-EYE AMG88: 4.5 mA in normal mode [check]
    "acoustic": 1.4,  # TDK InvenSense INMP441 DS-INMP441-00: 1.4 mA [check]
}
ELSEWHERE = ("optics", "detector", "radar")  # have a supply of their own


@dataclass(frozen=True)
class Budget:
    """A node's account. `shares` of the time by state, `mean_ma` from the cell, `reports_per_day` frusta and health,
    `without` the drivers whose sensors have a supply of their own.
    """

    name: str
    mode: str
    shares: dict[str, float]
    mean_ma: float
    reports_per_day: float
    without: tuple[str, ...]

    @property
    def wh_per_day(self) -> float:
        return self.mean_ma / 1000 * BATTERY_V * 24

    @property
    def joules_per_report(self) -> float:
        return self.wh_per_day * 3600 / self.reports_per_day

    def days(self, battery_wh: float) -> float:
        """On a battery of that nominal energy, without sun."""
        return battery_wh * USABLE / self.wh_per_day

    def panel_w(self, sun_hours: float) -> float:
        """Nominal watts of a panel that replaces a day's energy on a day of so many peak sun hours."""
        return self.wh_per_day / (sun_hours * PANEL_YIELD)


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


def budget(node: Node, scenario: Scenario, gnss: bool = True) -> Budget:
    """A node's account by the site file."""
    power = power_of(node.duty)
    spent = shares(power["mode"], power["awake_s"], power["asleep_s"])
    drivers = [scenario.sensor_types[sensor.type].driver for sensor in node.sensors]
    # The period counts while it is awake; each turn begins with a report of each sensor.
    cycle_s = power["awake_s"] + power["asleep_s"]
    awake_reports = max(1, math.ceil(power["awake_s"] / node.period_s)) if cycle_s else 1
    rounds_per_day = 86400 / (cycle_s or node.period_s) * awake_reports
    reports = rounds_per_day * len(node.sensors) + (86400 / cycle_s if cycle_s else 1440)
    mean = REGULATOR + (GNSS if gnss else 0) + sum(SENSORS.get(driver, 0.0) for driver in drivers)
    if any(sensor.azimuth_source == "compass" for sensor in node.sensors):
        mean += COMPASS
    mean += spent["active"] * RECEIVE + spent["light"] * LIGHT + spent["deep"] * DEEP
    mean += spent["modem"] * (MODEM + BEACON_SHARE * (RECEIVE - MODEM))
    mean += reports * REPORT_S / 86400 * (TRANSMIT - RECEIVE)
    without = tuple(sorted({driver for driver in drivers if driver not in SENSORS}))
    return Budget(node.name, power["mode"], spent, mean, reports, without)


def report(site: str, budgets: Sequence[Budget], battery_wh: float, sun_hours: float) -> str:
    """The table, and the statement that the site is accepted by."""
    heads = (
        "node",
        "mode",
        "awake",
        "mean",
        "a day",
        "a report",
        f"on {battery_wh:g} Wh",
        f"panel, {sun_hours:g} h sun",
    )
    lines = ["{:9} {:7} {:>6} {:>9} {:>9} {:>8} {:>9} {:>15}".format(*heads)]
    for one in budgets:
        awake = one.shares["active"] + one.shares["modem"]
        lines.append(
            f"{one.name:9} {one.mode:7} {awake:6.1%} {one.mean_ma:6.1f} mA {one.wh_per_day:6.2f} Wh "
            f"{one.joules_per_report:6.2f} J {one.days(battery_wh):7.1f} d {one.panel_w(sun_hours):13.1f} W"
        )
    worst = max(budgets, key=lambda one: one.mean_ma)
    need = worst.wh_per_day * DAYS
    lines += [
        "",
        f"{site}: {DAYS} days at its duty cycle take {need:.1f} Wh at node {worst.name}, which draws the most:",
        f"a battery of {need / USABLE:.0f} Wh without sun, or a panel of {worst.panel_w(sun_hours):.1f} W at"
        f" {sun_hours:g} peak sun hours a day",
        f"and {battery_wh:g} Wh, which last {worst.days(battery_wh):.1f} days without any.",
    ]
    without = sorted({driver for one in budgets for driver in one.without})
    if without:
        lines.append(f"Not counted, for their sensors have a supply of their own: {', '.join(without)}.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description="What the nodes of a site draw, and what carries them for thirty days."
    )
    parser.add_argument("site", help="the site file (TOML)")
    parser.add_argument("--battery-wh", type=float, default=74.0, help="nominal [Wh]; 74: four cells 18650 of 5 Ah")
    parser.add_argument("--sun-hours", type=float, default=2.5, help="peak sun hours of a day in the darkest month")
    parser.add_argument("--no-gnss", action="store_true", help="surveyed posts without a receiver")
    given = parser.parse_args(arguments)
    if not (given.battery_wh > 0 and given.sun_hours > 0):
        parser.error("--battery-wh and --sun-hours: more than 0 expected")
    try:
        scenario = read(Path(given.site))
    except (ScenarioError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    budgets = [budget(node, scenario, not given.no_gnss) for node in scenario.nodes]
    if not budgets:
        print(f"{given.site}: no nodes", file=sys.stderr)
        return 2
    print(report(scenario.site.name, budgets, given.battery_wh, given.sun_hours))
    return 0


if __name__ == "__main__":
    sys.exit(main())
