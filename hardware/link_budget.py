"""How far Wi-Fi goes over flat ground, by the antennas' heights and the rate: what to expect before there is a site.

    python hardware/link_budget.py --gain-node 2 --gain-ap 8 --margin-db 10

The sums are `dronewall.engine.radio`'s, none stands here: free space and diffraction over an earth of 4/3 its radius.
For the ground of a site: `dronewall link SITE.toml`. Nothing was measured on a board.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence

import numpy as np

from dronewall.engine.links import Radio
from dronewall.engine.radio import CLEAR, RATES, Path, Section, path_over

NODE_M = (2.0, 4.0, 6.0, 10.0)
POINT_M = (4.0, 8.0, 12.0, 20.0)
SHOWN = ("b1", "b11", "g6", "mcs7")
FARTHEST = 100_000.0  # where the search ends [m]
POINTS = 401  # of the flat section


def flat(length: float, one_agl: float, other_agl: float, frequency: float) -> Path:
    """The link over a smooth earth between antennas so far apart and so high [m]."""
    distance = np.linspace(0.0, length, POINTS)
    return path_over(Section(distance, np.zeros(POINTS), np.zeros(POINTS)), one_agl, other_agl, frequency)


def farthest(good: Callable[[float], bool]) -> float:
    """The distance [m], to 10 m, up to which a link is good; it gets worse with distance. At most FARTHEST."""
    low, high = 0.0, FARTHEST
    if good(high):
        return high
    while high - low > 10.0:
        middle = (low + high) / 2.0
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def clear_m(one_agl: float, other_agl: float, frequency: float) -> float:
    """Up to where `radio.CLEAR` of the first Fresnel zone is free."""
    return farthest(lambda length: flat(length, one_agl, other_agl, frequency).fraction >= CLEAR)


def horizon_m(one_agl: float, other_agl: float, frequency: float) -> float:
    """Up to where the antennas see each other, as radio bends."""
    return farthest(lambda length: flat(length, one_agl, other_agl, frequency).clearance >= 0.0)


def reach_m(radio: Radio, one_agl: float, other_agl: float) -> float:
    """Up to where a link has the margin asked for."""
    sent = min(radio.power, radio.eirp - max(radio.node_gain, radio.point_gain))
    bearable = sent + radio.node_gain + radio.point_gain - radio.sensitivity - radio.margin
    return farthest(lambda length: flat(length, one_agl, other_agl, radio.frequency).loss <= bearable)


def table(radios: dict[str, Radio], nodes: Sequence[float], points: Sequence[float]) -> list[dict[str, float]]:
    """A row for each pair of heights: node_m, point_m, horizon_km, clear_km and the kilometres of each rate."""
    frequency = next(iter(radios.values())).frequency
    return [
        {
            "node_m": one,
            "point_m": other,
            "horizon_km": horizon_m(one, other, frequency) / 1000.0,
            "clear_km": clear_m(one, other, frequency) / 1000.0,
            **{name: reach_m(radio, one, other) / 1000.0 for name, radio in radios.items()},
        }
        for one in nodes
        for other in points
    ]


def report(rows: list[dict[str, float]], radios: dict[str, Radio]) -> str:
    """The table, and what it rests on."""
    heads = ("node m", "access point m", "horizon km", "zone free km", *radios)
    lines = ["  ".join(heads)]
    for row in rows:
        values = (f"{row['node_m']:g}", f"{row['point_m']:g}", *(f"{row[key]:.1f}" for key in list(row)[2:]))
        lines.append("  ".join(f"{value:>{len(head)}}" for head, value in zip(heads, values, strict=True)))
    radio = next(iter(radios.values()))
    limit = f"at most {radio.eirp:g} dBm EIRP" if math.isfinite(radio.eirp) else "no limit of EIRP"
    lines += [
        "",
        f"Kilometres over flat ground at {radio.frequency / 1e6:g} MHz with {radio.margin:g} dB of margin, antennas of",
        f"{radio.node_gain:g} and {radio.point_gain:g} dBi, {limit}; rates as an ESP32 sends and hears them",
        f"({'; '.join(f'{name} {one.power:g}, {one.sensitivity:g} dBm' for name, one in radios.items())}).",
        f"Up to `zone free` {CLEAR:g} of the first Fresnel zone is free and the ground takes nothing; beyond the",
        "horizon diffraction carries little. Trees, fading, reflections and noise are not in it.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="How far Wi-Fi goes over flat ground, by antenna heights and rate.")
    parser.add_argument("--frequency", type=float, default=2437.0, metavar="MHZ", help="middle of the channel")
    parser.add_argument("--gain-node", type=float, default=Radio.node_gain, metavar="DBI")
    parser.add_argument("--gain-ap", type=float, default=Radio.point_gain, metavar="DBI")
    parser.add_argument("--eirp-dbm", type=float, default=math.inf, metavar="DBM", help="in the EU 20 (EN 300 328)")
    parser.add_argument("--margin-db", type=float, default=Radio.margin, metavar="DB")
    parser.add_argument("--node-m", type=float, nargs="+", default=NODE_M, metavar="M", help="heights of nodes")
    parser.add_argument("--ap-m", type=float, nargs="+", default=POINT_M, metavar="M", help="heights of access points")
    given = parser.parse_args(arguments)
    if not 100.0 <= given.frequency <= 100_000.0:
        parser.error(f"--frequency {given.frequency:g}: expected 100 to 100000 MHz")
    if not all(0.0 < height <= 1000.0 for height in (*given.node_m, *given.ap_m)):
        parser.error("--node-m and --ap-m: expected heights over 0 and up to 1000 m")
    if not all(math.isfinite(value) for value in (given.gain_node, given.gain_ap, given.margin_db)):
        parser.error("--gain-node, --gain-ap and --margin-db: expected finite decibels")
    radios = {
        name: Radio(
            frequency=given.frequency * 1e6,
            power=rate.power_dbm,
            sensitivity=rate.sensitivity_dbm,
            eirp=given.eirp_dbm,
            margin=given.margin_db,
            node_gain=given.gain_node,
            point_gain=given.gain_ap,
        )
        for name, rate in RATES.items()
        if name in SHOWN
    }
    print(report(table(radios, given.node_m, given.ap_m), radios))
    return 0


if __name__ == "__main__":
    sys.exit(main())
