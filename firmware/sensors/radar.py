"""A long-range radar that sends its tracks as lines over a UART: the TTM sentence of marine and ground radars.

No one product: TTM ("tracked target message") is what radars with a tracker have in common. Written from IEC
61162-1 and NMEA 0183, sentence TTM, any talker:

    $RATTM,number,distance,bearing,R,speed,course,R,cpa,tcpa,K,name,status,reference,time,acquisition*checksum

`distance` in the unit (K km, N nautical miles, S statute miles) and `speed` in that an hour; the bearing must be
relative (R) to the radar, whose zero lies along the sensor's boresight; status T (tracked), Q (being acquired) or L
(lost). Elevation is not measured, and no signal to noise: status makes the confidence. Any sentence with a right
checksum is a sign of life. Not tried on a radar.
"""

import pose
from log import once
from micropython import const

from sensors import serial, told
from sensors.gnss import scaled

_UNITS = {b"K": 100_000, b"N": 185_200, b"S": 160_934}  # [cm]
_LONGEST = const(120)  # [bytes] the standard says 82


def options(section):
    """(baud, slowest target [cm/s], sigma [cdeg], silent [ms], Told)"""
    section.claim("driver", "uart2", "sensor")
    return (
        section.integer("baud", 4800, 921_600, 38_400),  # IEC 61162-2
        section.integer("speed_min_cmps", 0, 10_000, 50),
        section.integer("sigma_cdeg", 1, 18_000, 100),
        (section.integer("silent_s", 0, 3600, 30) or 0) * 1000,
        told.options(section, 200),
    )


def track(line):
    """(number, azimuth [cdeg], range [cm], speed [cm/s], status) of a TTM sentence; None of another. ValueError where
    it is none, or not relative to the radar."""
    star = len(line) - 3
    if star < 6 or line[0] != 36 or line[star] != 42:
        raise ValueError("no sentence")
    found = 0
    for byte in line[1:star]:
        found ^= byte
    if found != int(line[star + 1 :], 16):
        raise ValueError("checksum")
    fields = line[1:star].split(b",")
    if fields[0][-3:] != b"TTM":
        return None
    azimuth, distance, speed = scaled(fields[3], 2), scaled(fields[2], 3), scaled(fields[5], 1)
    unit = _UNITS[fields[10]]
    if fields[4] != b"R" or azimuth > 36_000 or fields[12] not in (b"L", b"Q", b"T"):
        raise ValueError("no track")
    azimuth = pose.wrapped(azimuth, 18_000)
    return int(fields[1]), azimuth, distance * unit // 1000, speed * unit // 36_000, fields[12]


async def watch(settings, detected, trouble):
    """Reads the radar for ever; tells of tracks that move."""
    baud, slowest, sigma, silent, told = settings

    def line(text, uptime):
        found = track(text)
        if found:
            number, azimuth, distance, speed, status = found
            if status != b"L" and speed >= slowest and told.news(number, azimuth, distance, uptime):
                detected(900 if status == b"T" else 600, azimuth, 0, sigma, distance)

    await serial.listen(once("board").sensor_uart(2, baud, True), serial.Lines(_LONGEST, line), silent, trouble)
