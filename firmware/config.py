"""config.json: its keys, their bounds and what is said about a wrong one. The table is in README.md.

Numbers are integers: MicroPython reads a decimal as a 32-bit float, 0.4 m at 47 degrees.
"""

import json
import os
import sys

import board
import wire
from micropython import const

_LARGEST = const(16_384)  # [bytes] of config.json; eight of everything, indented by four, is 15 KB


class Settings:
    """What `settings` returns: the attributes are the keys of config.json (README.md); `sensors` is a list of Settings,
    too."""


class ConfigError(ValueError):
    """All that is wrong in a configuration, a problem a line: key, what came, what was expected."""


def _distance(one, other):
    """How many letters must change to make one word the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i in range(len(one)):
        last, row[0] = row[0], i + 1
        for j in range(len(other)):
            last, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, last + (one[i] != other[j]))
    return row[-1]


def nearest(word, known):
    """The word in `known` that `word` was probably meant to be, or None."""
    best = None
    for candidate in known:
        distance = _distance(word, candidate)
        if distance <= max(2, len(word) // 3) and (best is None or distance < best[0]):
            best = (distance, candidate)
    return best[1] if best else None


def refusal(number):
    """Why a pin must not carry a sensor (a few words), or None where it may."""
    for word in ("gnss", "i2c", "led"):
        if number in board.pins(word):
            return "taken by the board itself"
    return board.refusal(number)


_claimed = {}  # pin: the section that has it, while one configuration is read

_MUST = object()  # no default: the key must be there


class Section:
    """An object of the file being read: each reader checks what stands under a key, and `end` refuses the
    keys nobody read.

    Problems are collected, so that all of them are told at once; a reader returns its default or None then.
    """

    def __init__(self, path, values, problems):
        self.path = path
        self.problems = problems
        self._known = []
        if type(values) is not dict:
            self._values = {}
            if values is not None:
                self.problem("", values, "an object")
        else:
            self._values = values

    def problem(self, key, came, expected):
        """Notes that `came` stands under `key`, where `expected` should."""
        name = self.path + "." + key if self.path and key else self.path or key
        came = json.dumps(came)
        self.problems.append("%s: %s, not %s" % (name, expected, came if len(came) < 100 else came[:100] + "..."))

    def value(self, key, default):
        """Whatever stands under `key`."""
        self._known.append(key)
        if key in self._values:
            return self._values[key]
        if default is _MUST:
            name = self.path + "." + key if self.path else key
            self.problems.append("%s: is missing" % name)
            return None
        return default

    def integer(self, key, least, most, default=_MUST, null=False):
        """The integer under `key`, from `least` to `most`; None where `null` allows it."""
        value = self.value(key, default)
        if value is None and (null or key not in self._values):
            return value
        if type(value) is not int or not least <= value <= most:
            self.problem(key, value, "integer from %d to %d expected" % (least, most) + (" or null" if null else ""))
            return None
        return value

    def text(self, key, most, default=_MUST, least=1):
        """The text under `key`, of `least` to `most` characters."""
        value = self.value(key, default)
        if value is None and (default is None or key not in self._values):
            return value
        if type(value) is not str or not least <= len(value) <= most:
            self.problem(key, value, "text of %d to %d characters expected" % (least, most))
            return None
        return value

    def identifier(self, key):
        """The name under `key`, one that can stand in a topic."""
        value = self.text(key, 32)
        if value is not None:
            for c in value:
                if not (97 <= ord(c) | 32 <= 122 or 48 <= ord(c) <= 57 or c in "_-"):
                    self.problem(key, value, "letters, digits, _ and - expected")
                    return None
        return value

    def choice(self, key, words, default=_MUST):
        """The word under `key`, one of `words`."""
        value = self.value(key, default)
        if value is None and key not in self._values:
            return value
        if value not in words:
            guess = nearest(value, words) if type(value) is str else None
            hint = " (did you mean %s?)" % guess if guess else ""
            self.problem(key, value, "one of %s expected%s" % (", ".join(words), hint))
            return None
        return value

    def flag(self, key, default=_MUST):
        """The truth value under `key`."""
        value = self.value(key, default)
        if type(value) is not bool and key in self._values:
            self.problem(key, value, "true or false expected")
            return None
        return value

    def items(self, key, most, default=_MUST):
        """The list under `key` (empty where there is none)."""
        value = self.value(key, default)
        if value is None and key not in self._values:
            return ()
        if type(value) not in (list, tuple) or len(value) > most:
            self.problem(key, value, "list of at most %d expected" % most)
            return ()
        return value

    def integers(self, key, least, most, count, default=_MUST):
        """The list of at most `count` integers under `key`; None where one of them is none or out of bounds."""
        items = self.items(key, count, default)
        for item in items:
            if type(item) is not int or not least <= item <= most:
                self.problem(key, item, "integers from %d to %d expected" % (least, most))
                return None
        value = self._values.get(key)
        return list(items) if type(value) is list and len(value) == len(items) else None

    def section(self, key, default=_MUST):
        """The Section under `key`; an empty one where it is missing."""
        value = self.value(key, default)
        name = self.path + "." + key if self.path else key
        if value is None and key in self._values:
            value = "null"
        return Section(name, value, self.problems)

    def free_pin(self, key):
        """The number of a pin that may carry a sensor."""
        number = self.integer(key, 0, 48)
        if number is not None:
            reason = refusal(number)
            if reason:
                free = [str(each) for each in range(49) if not refusal(each)]
                self.problem(key, number, "a free pin expected, this one is %s (free: %s)" % (reason, ", ".join(free)))
                return None
            self.claim(key, number)
        return number

    def claim(self, key, *wanted):
        """Takes pins, of which the board has one each: numbers, or the words of rows in board.py. A problem where
        another section has one, or the chip has none."""
        for want in wanted:
            pins = board.pins(want) if type(want) is str else [want]
            if not pins:
                reason = "no pins are free for that"
                if want == "uart2":
                    reason = "it has %d UARTs, the console's and the receiver's" % board.pins("uarts")[0]
                self.problems.append("%s.%s: wants %s, not on an %s: %s" % (self.path, key, want, board.CHIP, reason))
                return
            for pin in pins:
                other = _claimed.setdefault(pin, self.path)
                if other != self.path:
                    self.problems.append("%s.%s: wants pin %d, which %s has" % (self.path, key, pin, other))
                    return

    def end(self):
        """Refuses what nobody asked for."""
        for key in self._values:
            if key not in self._known:
                name = self.path + "." + key if self.path else key
                guess = nearest(key, self._known)
                self.problems.append("%s: unknown key%s" % (name, ", did you mean %s?" % guess if guess else ""))


def _empty():
    # Untyped, so that mypy lets it grow attributes.
    return Settings()


def _driver(section, name):
    if name is None:
        return None
    # Only the drivers a node has are loaded; a new one is a new file and no line here.
    try:
        module = getattr(__import__("sensors." + name), name)
    except ImportError:
        section.problem("driver", name, "a file of sensors/ expected")
        return None
    if not hasattr(module, "options"):
        section.problem("driver", name, "a driver that makes detections expected")
        return None
    return module


def _model(section):
    """The detection model: its keys and their bounds are wire.py's, for it goes into the birth as it is."""
    model = {}
    tables = ["model"]
    for table in tables:
        for _, key, unit, _, low, high, flags, _, many in wire.rows(table):
            default = _MUST if "r" in flags else None
            if many:
                model[key] = section.integers(key, low, high, many, default)
            elif unit in "ec":
                model[key] = word = section.choice(key, low, default)
                if unit == "c" and word is not None:
                    tables.append(table + "." + word)
            elif unit in "wt":
                model[key] = section.text(key, high, default, low)
            elif unit == "b":
                model[key] = section.flag(key, default)
            else:
                model[key] = section.integer(key, low, high, default)
    ranges = model.get("range_cm")
    if ranges is not None and (not ranges or sorted(set(ranges)) != list(ranges)):
        section.problem("range_cm", ranges, "rising values expected")
    for key, value in model.items():
        if type(value) is list and ranges is not None and len(value) != len(ranges):
            section.problem(key, value, "one for each of range_cm expected")
    # A kind that is not known has keys that are not known, either: one problem is enough.
    if len(tables) > 1:
        section.end()
    return {key: value for key, value in model.items() if value is not None}


def _sensor(section, moving):
    """One entry of `sensors`: its keys, `settings` as its driver read them, and the driver itself as
    `module`."""
    sensor = _empty()
    sensor.name = section.identifier("name")
    sensor.driver = section.identifier("driver")
    sensor.shape = section.choice("shape", ("pyramid", "sector"))
    pyramid = sensor.shape == "pyramid"
    sensor.hfov_cdeg = section.integer("hfov_cdeg", 1, 17999 if pyramid else 36000)
    sensor.vfov_cdeg = section.integer("vfov_cdeg", 1, 17999 if pyramid else 18000)
    sensor.range_min_cm = section.integer("range_min_cm", 0, 10_000_000, 0)
    sensor.range_max_cm = section.integer("range_max_cm", 1, 10_000_000)
    if None not in (sensor.range_min_cm, sensor.range_max_cm) and sensor.range_max_cm <= sensor.range_min_cm:
        section.problem("range_max_cm", sensor.range_max_cm, "more than range_min_cm expected")
    sensor.azimuth_source = section.choice("azimuth_source", ("survey", "compass"), "survey")
    compass = sensor.azimuth_source == "compass"
    sensor.azimuth_cdeg = section.integer("azimuth_cdeg", 0, 35999, 0)
    sensor.elevation_cdeg = section.integer("elevation_cdeg", -9000, 9000, 0)
    sensor.roll_cdeg = section.integer("roll_cdeg", -18000, 18000, 0)
    sensor.azimuth_sigma_cdeg = section.integer("azimuth_sigma_cdeg", 1, 18000, 300 if compass else 100)
    sensor.tilt_sigma_cdeg = section.integer("tilt_sigma_cdeg", 1, 9000, 200 if moving else 50)
    sensor.servo = section.flag("servo", False)
    sensor.awake = section.choice("awake", ("always", "event", "duty"), "always")
    sensor.duty_milli = section.integer("duty_milli", 0, 1000, 1000)
    sensor.model = _model(section.section("model"))
    sensor.module = _driver(section, sensor.driver)
    sensor.settings = sensor.module.options(section) if sensor.module else None
    section.end()
    return sensor


def _power(section, node):
    """How the node sleeps, and from which voltages on it saves."""
    node.mode = section.choice("mode", ("active", "modem", "light", "deep"), "active")
    sleeps = node.mode in ("light", "deep")
    node.awake_s = section.integer("awake_s", 2, 43200, _MUST if sleeps else None, not sleeps)
    node.asleep_s = section.integer("asleep_s", 1, 43200, _MUST if sleeps else None, not sleeps)
    node.radio_dbm = section.integer("radio_dbm", 2, 20, None, True)
    node.battery = _battery(section)
    node.low_mv = section.integer("low_mv", 0, 100_000, 0)
    node.critical_mv = section.integer("critical_mv", 0, node.low_mv or 0, 0)
    section.end()
    if not sleeps or None in (node.awake_s, node.asleep_s):
        node.asleep_s = 0
    elif node.moving:
        section.problem("mode", node.mode, "active or modem expected of what moves")


def _asleep(node, problems):
    """What the sensors of a node that sleeps must be: its duty cycle is theirs, or their pin wakes it."""
    node.waking = []
    for i in range(len(node.sensors) if node.asleep_s else 0):
        sensor = node.sensors[i]
        if sensor.awake == "event":
            pin = sensor.module.wakes(sensor.settings) if hasattr(sensor.module, "wakes") else None
            if pin in board.pins("waking"):
                node.waking.append(pin)
            else:
                problems.append("sensors[%d].awake: a pin that wakes the chip expected for event, not %s" % (i, pin))
        elif sensor.awake == "duty":
            problems.append("sensors[%d].awake: left out on a node that sleeps (power is its duty), not duty" % i)


def _position(section):
    source = section.choice("source", ("survey", "gnss"))
    survey = None
    if source == "survey":
        survey = (
            section.integer("latitude_e7", -900_000_000, 900_000_000),
            section.integer("longitude_e7", -1_800_000_000, 1_800_000_000),
            section.integer("height_amsl_cm", -50_000, 1_500_000, None, True),
            section.integer("sigma_cm", 1, 65_500, 100),
        )
    section.end()
    return source, survey


def _compass(section, node):
    node.compass = section.choice("driver", ("qmc5883", "bno055"), "qmc5883")
    if node.compass == "bno055":
        section.claim("driver", "uart2")
    node.watch = section.flag("watch", False)
    if node.watch and node.moving:
        section.problem("watch", True, "false, for what moves turns")
    node.hard_iron = section.items("hard_iron", 3, (0, 0, 0))
    if len(node.hard_iron) != 3 or [v for v in node.hard_iron if type(v) is not int or not -32768 <= v <= 32767]:
        section.problem("hard_iron", node.hard_iron, "three integers from -32768 to 32767 expected")
    section.end()


def _servo(section):
    """[pan pin, tilt pin or None, least pan, most pan, least tilt, most tilt, least pulse, most pulse, cdeg a second],
    with both limits 0 of an axis that is not there."""
    servo = []
    for axis in ("pan", "tilt"):
        key = axis + "_pin"
        servo.append(None if axis == "tilt" and section.value(key, None) is None else section.free_pin(key))
        if servo[-1] in board.pins("input_only") or (servo[-1] is not None and servo[-1] in servo[:-1]):
            section.problem(key, servo[-1], "a free output expected")
    for i, axis in enumerate(("pan", "tilt")):
        most = 18000 if axis == "pan" else 9000
        limits = []
        for word, usual in (("_least_cdeg", -9000), ("_most_cdeg", 9000)):
            limits.append(section.integer(axis + word, -most, most, usual))
        if None not in limits and limits[1] <= limits[0]:
            section.problem(axis + "_most_cdeg", limits[1], "more than %s_least_cdeg expected" % axis)
        servo += limits if servo[i] is not None else [0, 0]
    servo += [section.integer(key, 400, 2600, usual) for key, usual in (("least_us", 1000), ("most_us", 2000))]
    servo.append(section.integer("cdeg_per_s", 500, 60_000))
    section.end()
    return servo


def _battery(section):
    """(kind, pin, divider) of the battery's gauge; the keys of its guard are read beside it."""
    kind = section.choice("battery", ("none", "adc", "ina219"), "none")
    adc1 = board.pins("adc1")
    pin = section.integer("battery_pin", 0, 48, board.pins("battery")[0])
    divider = section.integer("divider_milli", 1000, 30_000, 2000)
    if pin is not None and pin not in adc1:
        section.problem("battery_pin", pin, "a pin of ADC1 expected: %s" % ", ".join(map(str, adc1)))
    elif kind == "adc":
        section.claim("battery_pin", pin)
    return kind, pin, divider


def _tls(broker):
    """(CA, certificate, key), names of DER files; None without TLS."""
    if broker.value("tls", None) is None:
        return None
    section = broker.section("tls")
    files = section.text("ca", 64), section.text("certificate", 64, None), section.text("key", 64, None)
    if (files[1] is None) != (files[2] is None):
        section.problem("key", files[2], "a key where there is a certificate, and only there, expected")
    section.end()
    return files


def _clock(section, node):
    """The server that tells the time, and the time that it is at least."""
    node.ntp = section.text("ntp", 253, None)
    node.ntp_port = section.integer("ntp_port", 1, 65535, 123)
    node.earliest_unix_ms = section.integer("earliest_unix_ms", 1_735_689_600_000, 4_070_908_799_999, None, True)
    section.end()


def settings(values):
    """The Settings in the parsed file; raises ConfigError with every problem there is.

    `survey` is (latitude_e7, longitude_e7, height_amsl_cm or None, sigma_cm), or None without a survey;
    `wifi` a list of (ssid, password); `host`, `port`, `user`, `password` and `keepalive_s` are the broker's.
    """
    node = _empty()
    problems = []
    _claimed.clear()
    top = Section("", values, problems)
    top.integer("format", 1, 1)
    node.wall = top.identifier("wall")
    node.node = top.identifier("node")
    node.wifi = []
    for i, item in enumerate(top.items("wifi", 8, ())):
        network = Section("wifi[%d]" % i, item, problems)
        node.wifi.append((network.text("ssid", 32), network.text("password", 63, "", 0)))
        network.end()
    broker = top.section("mqtt")
    node.host = broker.text("host", 253)
    node.port = broker.integer("port", 1, 65535, 1883)
    node.user = broker.text("user", 128, None)
    node.password = broker.text("password", 128, None)
    node.keepalive_s = broker.integer("keepalive_s", 2, 600, 30)
    node.tls = _tls(broker)
    broker.end()
    _clock(top.section("clock", {}), node)
    node.period_s = top.integer("period_s", 1, 3600, 10)
    node.moving = top.flag("moving", False)
    node.confirm_s = top.integer("confirm_s", 30, 3600, 180)
    _power(top.section("power", {}), node)
    # Who sleeps reports once in each cycle.
    least = max(node.period_s or 1, node.asleep_s and node.awake_s + node.asleep_s)
    node.valid_s = top.integer("valid_s", least, 86400, min(86400, 3 * least))
    node.declination_cdeg = top.integer("declination_cdeg", -18000, 18000, 0)
    node.position_source, node.survey = _position(top.section("position"))
    node.height_agl_cm = top.integer("height_agl_cm", 0, 100_000, None, True)
    if node.survey and node.survey[2] is None and node.height_agl_cm is None:
        problems.append("position.height_amsl_cm: needed where height_agl_cm is null")
    _compass(top.section("compass", {}), node)
    node.servo = None if top.value("servo", None) is None else _servo(top.section("servo"))
    node.detections = top.integer("detections", 1, 68, 68)
    node.sensors = []
    for i, item in enumerate(top.items("sensors", 8)):
        node.sensors.append(_sensor(Section("sensors[%d]" % i, item, problems), node.moving))
    _asleep(node, problems)
    names = [sensor.name for sensor in node.sensors]
    if node.servo is None and [sensor for sensor in node.sensors if sensor.servo]:
        problems.append("servo: is missing, a sensor is on it")
    for name in names:
        if name is not None and names.count(name) > 1:
            problems.append("sensors: the name %s twice" % name)
            break
    top.end()
    if problems:
        raise ConfigError("\n".join(problems))
    return node


def read(path):
    """The Settings in a file; ConfigError names the file."""
    try:
        size = os.stat(path)[6]
        if size > _LARGEST:
            raise ConfigError("%s: %d bytes, at most %d expected" % (path, size, _LARGEST))
        with open(path) as file:
            values = json.load(file)
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError("%s: cannot be read (%s)" % (path, error))
    except ValueError as error:
        raise ConfigError("%s: not JSON (%s)" % (path, error))
    except (RuntimeError, MemoryError):
        raise ConfigError("%s: nested too deep" % path)
    try:
        return settings(values)
    except ConfigError as error:
        raise ConfigError("%s:\n%s" % (path, error))
    except (RuntimeError, MemoryError):
        raise ConfigError("%s: nested too deep, or a key too long" % path)


def start():
    """(Settings, their trial (tried.py) or None, boot, resets, safe mode) of this start; boot and resets from before a
    deep sleep, or counted in the flash. Forgets this module. Does not come back but sleeps on where the battery is
    critical."""
    import guard
    import machine

    files = os.listdir()
    if "config.new" in files or "config.tried" in files:
        import tried

        found, trial = tried.settings()
        del sys.modules["tried"]
    else:
        found, trial = read("config.json"), None
    del sys.modules["config"]
    cause, counts = machine.reset_cause(), None
    sleeping = cause == machine.DEEPSLEEP_RESET or found.critical_mv
    if sleeping:
        import asleep
    if cause == machine.DEEPSLEEP_RESET:
        counts = asleep.woken()
    if counts:
        boot, resets = counts
        safe, found.version = False, (guard.kept("slot") or (0, 0))[1]
    else:
        boot, resets, safe, found.version = guard.kept("begun")
    if sleeping:
        asleep.go_on(found, boot, resets)
        del sys.modules["asleep"]
    return found, trial, boot, resets, safe
