"""What a packed message costs on LoRa: its time on the air, how often the law lets a node send it, how many nodes share
a channel, and how weak it may arrive.

    python hardware/airtime.py            the table of hardware/radio.md
    python hardware/airtime.py --duty 10 --period 60

This file alone knows LoRa's sums, and what gain a beam has: Semtech AN1200.13, "LoRa Modem Designer's Guide" (time on
air), and the least signal to noise of its spreading factors (Semtech SX1276 data sheet, table "Range of Spreading
Factors"). Nothing was measured.
"""

import argparse
import math
import sys
from collections.abc import Sequence

from dronewall import wire

BANDWIDTH_HZ = 125_000
CODING = 1  # 4/5: one bit more for every four
PREAMBLE = 8  # symbols
NOISE_FIGURE_DB = 6.0  # of an SX1262 or SX1276 (assumed)
LEAST_SNR_DB = {7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
KINDS = ("frustum", "detection")  # what is packed most often: 48 and 28 bytes
SHARE = 0.1  # of a channel's time, with which 82 of 100 messages come through


def air_time(size: int, factor: int, bandwidth_hz: float = BANDWIDTH_HZ) -> float:
    """Seconds on the air of `size` bytes at a spreading factor of 7 to 12: explicit header, CRC, coding rate 4/5, a
    preamble of 8 symbols, and the low data rate optimisation where a symbol lasts over 16 ms.

    Semtech AN1200.13: T = (preamble + 4.25 + 8 + max(0, ceil((8 size - 4 SF + 28 + 16) / (4 (SF - 2 DE))) (CR + 4)))
    2^SF / BW. ValueError for another factor or a size that LoRa does not carry.
    """
    if factor not in LEAST_SNR_DB or not 0 <= size <= 255:
        raise ValueError(f"{size} bytes at SF{factor} came, 0 to 255 bytes at SF7 to SF12 expected")
    symbol = 2**factor / bandwidth_hz
    slow = symbol > 0.016
    payload = math.ceil((8 * size - 4 * factor + 28 + 16) / (4 * (factor - 2 * slow))) * (CODING + 4)
    return (PREAMBLE + 4.25 + 8 + max(0, payload)) * symbol


def sensitivity(factor: int, bandwidth_hz: float = BANDWIDTH_HZ) -> float:
    """The least level [dBm] that is understood: thermal noise of -174 dBm/Hz in the bandwidth, the receiver's noise
    figure, and the factor's least signal to noise.
    """
    return -174 + 10 * math.log10(bandwidth_hz) + NOISE_FIGURE_DB + LEAST_SNR_DB[factor]


def arriving(share: float) -> float:
    """The probability that a message meets no other, where messages without order take a `share` of the channel's time:
    exp(-2 share) (N. Abramson, "The ALOHA System", 1970).
    """
    return math.exp(-2 * share)


def gain(azimuth_deg: float, elevation_deg: float) -> float:
    """The gain [dBi] of an antenna of those half-power angles. All around (360): N. McDonald, "Omnidirectional Pattern
    Directivity in the Presence of Minor Lobes", 1999, from the elevation alone; else 32400 / (azimuth elevation), as
    C. Balanis, "Antenna Theory", section 2.7, has it of R. Elliott for practical beams.
    """
    if azimuth_deg >= 360:
        return 10 * math.log10(101.5 / (elevation_deg - 0.00272 * elevation_deg**2))
    return 10 * math.log10(32400 / (azimuth_deg * elevation_deg))


def table(duty_percent: float, period_s: float) -> str:
    """The table in Markdown."""
    sizes = {kind: wire.packed(kind)[1] for kind in KINDS}
    heads = ["spreading factor", *(f"{kind}, {size} bytes [ms]" for kind, size in sizes.items())]
    heads += [f"{kind} at most every [s]" for kind in KINDS]
    heads += [f"nodes on a channel, a frustum every {period_s:g} s", "weakest signal [dBm]"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for factor in LEAST_SNR_DB:
        times = [air_time(size, factor) for size in sizes.values()]
        cells = [f"SF{factor}", *(f"{1000 * one:.0f}" for one in times)]
        cells += [f"{one / duty_percent * 100:.1f}" for one in times]
        cells += [str(int(SHARE * period_s / times[0])), f"{sensitivity(factor):.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="What a packed message costs on LoRa.")
    parser.add_argument("--duty", type=float, default=1.0, help="share of the time that a sender may take [percent]")
    parser.add_argument("--period", type=float, default=60.0, help="between two frusta of a node [s]")
    given = parser.parse_args(arguments)
    if not (0 < given.duty <= 100 and given.period > 0):
        parser.error("--duty: more than 0 and at most 100 expected; --period: more than 0")
    print(table(given.duty, given.period))
    return 0


if __name__ == "__main__":
    sys.exit(main())
