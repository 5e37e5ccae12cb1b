"""A GNSS receiver that speaks NMEA 0183 over a UART: fixes, UTC and speed as integers.

Written from NMEA 0183 as u-blox documents it (u-blox 8 / M8 Receiver description including protocol
specification, UBX-13003221, section "NMEA protocol"): GGA, RMC and GST of any talker. Other sentences are
passed over.
"""

import asyncio

import clock
from micropython import const

_POLL_MS = const(50)  # 48 bytes at 9600 baud; the UART's buffer holds a second
_SILENT_MS = const(1500)  # it speaks once a second: who has been silent for longer may have had no supply
_LONGEST = const(120)  # [bytes] the standard says 82, receivers with long fractions write more
_GST_KEEPS_MS = const(5000)
# 1 sigma of one range, for receivers without GST: 7 m in 95 % for the signal in space alone (GPS SPS Performance
# Standard, 5th edition, 2020, section 3.4), which is 3.6 m, and the rest for atmosphere and receiver.
_UERE_CM = const(400)
_SIGMA_MOST_CM = const(65_500)  # the wire's bound
_ASK_GST = const(b"$PUBX,40,GST,0,1,0,0,0,0*5A\r\n")


def scaled(text, decimals, signed=False):
    """The number in an NMEA field times 10**decimals as an integer, further digits cut; None where the field
    is empty. Only a `signed` one may begin with a minus."""
    if not text:
        return None
    sign = 1
    if signed and text[:1] == b"-":
        sign, text = -1, text[1:]
    whole, _, fraction = text.partition(b".")
    digits = whole + fraction[:decimals]
    for digit in whole + fraction:
        if not 48 <= digit <= 57:
            raise ValueError
    return sign * int(digits or b"0") * 10 ** (decimals - min(len(fraction), decimals))


def _angle_e7(text, kind, low, most):
    """Degrees and minutes, ddmm.mmmm or dddmm.mmmm, as 1e-7 degree."""
    point = text.find(b".")
    point = len(text) if point < 0 else point
    if point < 3:
        raise ValueError
    degrees, minutes = scaled(text[: point - 2], 0), scaled(text[point - 2 :], 7)
    if minutes >= 600_000_000 or kind not in (b"N", b"S", b"E", b"W"):
        raise ValueError
    angle = degrees * 10_000_000 + (minutes + 30) // 60
    if angle > most:
        raise ValueError
    return -angle if kind == low else angle


def _day_ms(text):
    """hhmmss.sss as milliseconds of the day."""
    value = scaled(text, 3)
    hours, minutes, rest = value // 10_000_000, value // 100_000 % 100, value % 100_000
    if hours > 23 or minutes > 59 or rest > 60_999:
        raise ValueError
    return (hours * 60 + minutes) * 60_000 + rest


class Fix:
    """A position as received: 1e-7 degree, cm over mean sea level, 1 sigma in cm (at most what the wire can
    say), and the uptime [ms] of its arrival."""

    def __init__(self, latitude_e7, longitude_e7, height_cm, sigma_cm, height_sigma_cm, uptime):
        self.latitude_e7 = latitude_e7
        self.longitude_e7 = longitude_e7
        self.height_cm = height_cm
        self.sigma_cm = sigma_cm
        self.height_sigma_cm = height_sigma_cm
        self.uptime = uptime


class Nmea:
    """Takes the bytes as they come and keeps what they said.

    `fix`: the latest Fix or None before the first; `utc`: (unix ms, uptime ms of arrival) of the latest RMC
    or None; `motion`: (speed [cm/s], course [cdeg] or None, uptime) or None. `sentences`, `bad`: whole
    sentences taken; sentences with a wrong checksum or nonsense in them. A receiver that says "no fix" leaves
    `fix` as it is: it grows old.
    """

    def __init__(self):
        self.fix = None
        self.utc = None
        self.motion = None
        self.sentences = 0
        self.bad = 0
        self._rest = b""
        self._gst = None  # sigma [cm], height sigma [cm], uptime

    def feed(self, data, uptime):
        """Takes bytes that arrived at `uptime` [ms]."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST:
            # Not NMEA, or the line feed was lost: whatever begins with the last $ may still become a
            # sentence.
            start = self._rest.rfind(b"$")
            self._rest = self._rest[start:] if start > 0 and len(self._rest) - start <= _LONGEST else b""
        for line in lines:
            # A sentence that was cut off is followed by a whole one on the same line.
            start = line.rfind(b"$")
            if start >= 0:
                self._sentence(line[start + 1 :].rstrip(b"\r"), uptime)

    def _sentence(self, line, uptime):
        star = len(line) - 3
        try:
            if star < 5 or line[star] != 42:
                raise ValueError
            found = 0
            for byte in line[:star]:
                found ^= byte
            if found != int(line[star + 1 :], 16):
                raise ValueError
            fields = line[:star].split(b",")
            kind = fields[0][-3:]
            if kind == b"GGA":
                self._gga(fields, uptime)
            elif kind == b"RMC":
                self._rmc(fields, uptime)
            elif kind == b"GST":
                self._sigmas(fields, uptime)
            self.sentences += 1
        except (ValueError, IndexError, TypeError):
            # TypeError: a field is empty that must not be.
            self.bad += 1

    def _gga(self, fields, uptime):
        # 0 is no fix; 6 is dead reckoning, 7 typed in, 8 simulated: none of them is a measurement.
        if fields[6] not in (b"1", b"2", b"3", b"4", b"5"):
            return
        height = scaled(fields[9], 2, True)
        hdop = scaled(fields[8], 2)
        gst = self._gst
        if gst and uptime - gst[2] > _GST_KEEPS_MS:
            gst = None
        if height is None or not (gst or hdop):
            raise ValueError
        latitude = _angle_e7(fields[2], fields[3], b"S", 900_000_000)
        longitude = _angle_e7(fields[4], fields[5], b"W", 1_800_000_000)
        if gst:
            sigma, height_sigma = gst[0], gst[1]
        else:
            # Along one axis at most the whole horizontal error; VDOP is rarely over twice HDOP.
            sigma = hdop * _UERE_CM // 100
            height_sigma = 2 * sigma
        sigma, height_sigma = (max(1, min(value, _SIGMA_MOST_CM)) for value in (sigma, height_sigma))
        self.fix = Fix(latitude, longitude, height, sigma, height_sigma, uptime)

    def _rmc(self, fields, uptime):
        # Mode (NMEA 2.3 and later): estimated, typed in, simulated and not valid are no measurements.
        if fields[2] != b"A" or (fields[12:] and fields[12] in (b"E", b"M", b"S", b"N")):
            return
        day, month, year = int(fields[9][:2]), int(fields[9][2:4]), int(fields[9][4:6])
        # GPS began in 1980: 80 is what a receiver says that knows no date, not 2080.
        year += 1900 if year >= 80 else 2000
        self.utc = (clock.unix_ms(year, month, day, _day_ms(fields[1])), uptime)
        knots_milli = scaled(fields[7], 3)
        if knots_milli is not None:
            # 1 knot is 1852 m/h = 51.4444 cm/s
            self.motion = ((knots_milli * 514_444 + 5_000_000) // 10_000_000, scaled(fields[8], 2), uptime)

    def _sigmas(self, fields, uptime):
        latitude, longitude, height = (scaled(fields[i], 2) for i in (6, 7, 8))
        if latitude is None or longitude is None or height is None:
            return  # the receiver has no fix
        self._gst = (max(latitude, longitude), height, uptime)


class Receiver(Nmea):
    """The parser and its UART."""

    def __init__(self, uart):
        super().__init__()
        self.uart = uart

    def skip(self):
        """Passes over what came during a sleep: it tells a time that is past."""
        while self.uart.readinto(bytearray(256)):
            pass

    async def run(self):
        """Reads for ever."""
        buffer = bytearray(256)
        view = memoryview(buffer)
        heard = -_SILENT_MS
        while True:
            if self.uart.any():
                count = self.uart.readinto(buffer)
                if count:
                    uptime = clock.uptime_ms()
                    if uptime - heard >= _SILENT_MS:
                        # u-blox receivers are silent about their accuracy until asked, and forget it without a supply;
                        # others pass the sentence over.
                        self.uart.write(_ASK_GST)
                    heard = uptime
                    self.feed(bytes(view[:count]), uptime)
            await asyncio.sleep_ms(_POLL_MS)
