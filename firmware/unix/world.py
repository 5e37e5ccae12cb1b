"""The simulated truth that the virtual devices measure: where the board is, how it lies, which way the field points.

Read from `world.json` and `track` in the node's folder (README.md beside this file). Time is the computer's clock;
a track is straight between its points, and an azimuth turns the shorter way. Doubles are fine here: only the firmware
has to live with the board's 32 bits.
"""

import json
import math
import os
import struct
import time

LATITUDE, LONGITUDE, AMSL, AZIMUTH, ELEVATION, ROLL = range(1, 7)
_POINT = "<7i"
_LATER = ("intruders", "mounts", "thermal", "adc", "i2s")  # keys that only some devices ask for
_FULL = 3600000000  # [1e-7 degree]
_files = {}  # name: [what it says, which file that was, ticks when looked at]


def live(name):
    """What a file of the node's folder (a JSON object) says now, {} where it is not there. Whoever plays the weather or
    breaks a device puts another one in its place while the node runs, which is noticed within a quarter of a second;
    one that is half written leaves what was."""
    told = _files.get(name)
    now = time.ticks_ms()
    if told and time.ticks_diff(now, told[2]) < 250:
        return told[0]
    if not told:
        told = _files[name] = [{}, None, 0]
    told[2] = now
    try:
        which = os.stat(name)
        if which != told[1]:
            with open(name) as file:
                told[0] = json.load(file)
            told[1] = which
    except OSError:
        told[0], told[1] = {}, None
    except ValueError:
        pass
    return told[0]


def broken(device):
    """What `faults` says of this device: "silent", "garbage", or None."""
    return live("faults").get("devices", {}).get(device)


class World:
    """One board's surroundings.

    `dip` [radians, down positive] and `gauss` of the magnetic field, `deviation` [cdeg] and `lean` [radians] that the
    calibration of compass and accelerometer left behind, `iron` [counts at 8 G] that it has to find, `gnss` (sigma [m],
    first fix after [ms], baud), `pir` {pin: its entry}, `uart` {number: device}, `i2c` [device], `absent` the I2C
    addresses at which nobody answers all the same, `supply` {UART: the pin that switches what is behind it}, `seed`,
    `told` what only some devices ask for.
    """

    def __init__(self):
        with open("world.json") as file:
            told = json.load(file)
        # It stays on the disk: a drone's flight would take a fifth of the heap.
        self._track = open("track", "rb")
        self._size = struct.calcsize(_POINT)
        self._last = self._track.seek(0, 2) // self._size - 1
        self._a = self._b = self._end = self._point(self._last)
        self._start = told["start_unix_ms"]
        self._loops = told["repeat"] == "loop"
        self._declination = told["declination_cdeg"]
        self.seed = told["seed"]
        self._noise = self.seed * 2654435761 & 0xFFFFFFFF or 1
        self.dip = math.radians(told["field"]["dip_cdeg"] / 100)
        self.gauss = told["field"]["nanotesla"] / 100000
        self.deviation = self.noise() * told["compass"]["sigma_cdeg"]
        self.iron = told["compass"].get("hard_iron", (0, 0, 0))
        tilt = math.radians(told["accelerometer"]["sigma_cdeg"] / 100)
        self.lean = [self.noise() * tilt for _ in range(3)]
        gnss = told["gnss"]
        self.gnss = (gnss["sigma_cm"] / 100, gnss["fix_after_ms"], gnss["baud"])
        self.pir = {pir["pin"]: pir for pir in told["pir"]}
        self.told = {key: told[key] for key in _LATER if key in told}
        self.absent = told.get("absent", ())
        self.uart = {int(number): name for number, name in told.get("uart", {"1": "receiver"}).items()}
        self.i2c = told.get("i2c", ("qmc5883l", "adxl345"))
        self.supply = {int(number): pin for number, pin in told.get("supply", {}).items()}
        self._battery = told.get("battery")
        self._charge = None

    def devices(self):
        """The files of devices/ that this board needs."""
        names = list(self.uart.values()) + list(self.i2c)
        if "i2s" in self.told:
            names.append(self.told["i2s"])
        return names + ["scene"] if "intruders" in self.told else names

    def noise(self):
        """The next normal deviate (mean 0, standard deviation 1; Box and Muller), the same for the same seed."""
        pair = []
        for _ in range(2):
            x = self._noise  # xorshift32 (Marsaglia 2003)
            x ^= x << 13 & 0xFFFFFFFF
            x ^= x >> 17
            x ^= x << 5 & 0xFFFFFFFF
            self._noise = x
            pair.append((x + 1) / 4294967297)
        return math.sqrt(-2 * math.log(pair[0])) * math.cos(2 * math.pi * pair[1])

    def now(self):
        """UTC [ms since 1970]."""
        return time.time_ns() // 1000000

    def elapsed(self):
        """[ms] since the start of the track."""
        return self.now() - self._start

    def targets(self):
        """[(east [cm], north [cm], up [cm], speed [cm/s], kind)] of the intruders that are about, from the board."""
        from devices.scene import targets

        return targets(self)

    def spent(self, asleep=False):
        """Takes from the battery what the board has used since this was last called, all that time awake or all
        `asleep`; before this process it slept. The charge [mWh] that is left; None where there is no battery."""
        told, now = self._battery, self.now()
        if told is None or "mwh" not in told:
            return None
        if self._charge is None:
            last = live("battery")
            self._charge, self._spent = last.get("mwh", told["mwh"]), last.get("unix_ms", now)
            asleep = True
        draw = (told["asleep_mw"] if asleep else told["mw"]) - told.get("solar_mw", 0)
        self._charge = max(0, min(told["mwh"], self._charge - draw * (now - self._spent) / 3600000))
        self._spent = now
        with open("battery", "w") as file:
            json.dump({"mwh": self._charge, "unix_ms": now}, file)
        return self._charge

    def battery_mv(self):
        """The battery's voltage: from `empty_mv` to `full_mv` as the charge is (a real cell is flat in the middle)."""
        told = self._battery
        if told and "mwh" not in told:
            return told["full_mv"]  # it neither drains nor fills
        charge = self.spent()
        if charge is None:
            return None
        empty = told.get("empty_mv", 3000)
        return int(empty + (told.get("full_mv", 4200) - empty) * charge / told["mwh"])

    def _point(self, index):
        self._track.seek(index * self._size)
        return struct.unpack(_POINT, self._track.read(self._size))

    def _find(self, t):
        """Makes `_a` and `_b` the points before and after `t`."""
        low, high = 0, self._last
        while high - low > 1:
            middle = (low + high) // 2
            if self._point(middle)[0] <= t:
                low = middle
            else:
                high = middle
        self._a, self._b = self._point(low), self._point(high)

    def truth(self, unix_ms):
        """[t_ms, latitude_e7, longitude_e7, amsl_cm, azimuth_cdeg, elevation_cdeg, roll_cdeg], floats, at that time."""
        t = max(0, unix_ms - self._start)
        last = self._end[0]
        t = t % last if self._loops and last else min(t, last)
        if not self._a[0] <= t < self._b[0]:
            self._find(t)
        a, b = self._a, self._b
        share = (t - a[0]) / (b[0] - a[0]) if b[0] > a[0] else 1
        out = [t]
        for i in range(1, 7):
            full = 36000 if i == AZIMUTH else _FULL  # the shorter way round; other steps are far under half of it
            out.append(a[i] + share * ((b[i] - a[i] + full // 2) % full - full // 2))
        out[AZIMUTH] %= 36000
        out[LONGITUDE] = (out[LONGITUDE] + _FULL // 2) % _FULL - _FULL // 2
        return out

    def axes(self, deviation=0):
        """The board's x (forward), y (left) and z (up) axes, each as its (magnetic northward, upward) part.

        With f forward, l left and u up of the level board turned to its azimuth a and raised by e:
        y = l cos r + u sin r, z = u cos r - l sin r, because rolled right side down y leans up.
        """
        truth = self.truth(self.now())
        a = math.radians((truth[AZIMUTH] - self._declination + deviation) / 100)
        e, r = math.radians(truth[ELEVATION] / 100), math.radians(truth[ROLL] / 100)
        sr, cr, se, ce = math.sin(r), math.cos(r), math.sin(e), math.cos(e)
        left, up = math.sin(a), -math.cos(a) * se  # northward parts; upward ones are 0 and ce
        return ((math.cos(a) * ce, se), (left * cr + up * sr, ce * sr), (up * cr - left * sr, ce * cr))


_world = []


def world():
    """The world of this process, read when it is first asked for."""
    if not _world:
        _world.append(World())
    return _world[0]
