"""What is measured when, and when it is worth a report."""

import asyncio
import gc

import clock
import pose
import power
import wire
from link import Link
from log import log, once
from measure import Measured
from micropython import const

_STEP_MS = const(500)  # between two looks at the compass
_GAP_MS = const(1000)  # at least, between two reports of one sensor, however much it moves
_HEALTH_MS = const(60_000)
_ANGLE_BAND_CDEG = const(150)  # a change worth a report: four sigmas of the smoothed compass
_POSITION_BAND_CM = const(500)
_MOVING_BAND_CM = const(5000)
_SEQ = const(1 << 24)  # the wire's bound
LIMITS = ("shape", "hfov_cdeg", "vfov_cdeg", "range_min_cm", "range_max_cm")

_POSE = const(
    (
        "position_source",
        "azimuth_source",
        "suspect",
        "tilt_sigma_cdeg",
        "azimuth_cdeg",
        "elevation_cdeg",
        "roll_cdeg",
        "latitude_e7",
        "longitude_e7",
    )
)


class _Reported:
    """What was last sent about a sensor: the part that is compared, when, in which session, and its
    number."""

    def __init__(self):
        self.pose = None
        self.uptime = 0
        self.session = 0
        self.seq = 0
        self.detections = 0
        self.trouble = None  # why the sensor sees nothing now


class Node:
    """The node of one configuration. `run_*` are its tasks; each runs for ever.

    `others`: the instruments that measure.py makes beside the receiver. Without a `receiver` the node is in safe mode:
    it has its link and answers commands, and that is all. Raises WireError where the configuration makes no valid
    birth. What commands change: `period_s`; `identify_until`, the uptime [ms] until which the light blinks; and `then`,
    what it has to do once it has replied: None, or (sleep, reboot or config, milliseconds).
    """

    def __init__(self, config, boot, resets, receiver, *others):
        self.config = config
        self.receiver = receiver
        self.measured = Measured(config, receiver, *others)
        if config.earliest_unix_ms:
            self.measured.clock.provision(config.earliest_unix_ms, clock.uptime_ms())
        self.link = Link(config, boot, self.birth, self._command, self.measured.clock)
        self.period_s = config.period_s
        self.identify_until = 0
        self.then = None
        self.ids = []
        self.boot = boot
        self.resets = resets
        self.reported = {sensor.name: _Reported() for sensor in config.sensors}
        self.trial = None
        wire.encode("birth", self.birth(0))

    def clock(self):
        """UTC as it knows it."""
        return self.measured.clock

    def birth(self, session):
        """The fields of the birth message."""
        return once("session").birth(self, session)

    def _command(self, payload):
        once("commands").take(self, payload, self.measured.clock.at(clock.uptime_ms()))

    async def run_pose(self):
        """Measures and reports."""
        while True:
            uptime = clock.uptime_ms()
            self.measured.step(uptime)
            for sensor in self.config.sensors:
                self._report(sensor, uptime)
            await asyncio.sleep_ms(_STEP_MS)

    async def run_health(self):
        """Says how the node is, every minute."""
        while True:
            gc.collect()
            self.health()
            await asyncio.sleep_ms(_HEALTH_MS)

    def health(self):
        """Says how it is now."""
        once("health").tell(self)

    async def run_light(self):
        """Blinks while somebody looks for the node."""
        light = once("board").led()
        while True:
            light.value(not light.value() if clock.uptime_ms() < self.identify_until else 0)
            await asyncio.sleep_ms(250)

    def watch(self, sensor):
        """The task of a sensor's driver. It calls `detected` for what it sees; angles are offsets from the
        boresight. `trouble(text)` says why it sees nothing, `trouble(None)` that it does again."""
        reported = self.reported[sensor.name]

        def trouble(text):
            if text != reported.trouble:
                log(sensor.name, text or "works")
                reported.trouble = text
                reported.pose = None  # it is reported at once

        def detected(
            confidence_milli, azimuth_cdeg=0, elevation_cdeg=0, sigma_cdeg=None, range_cm=None, kind="unknown"
        ):
            uptime = clock.uptime_ms()
            looks = self.measured.looks(sensor)
            # That somebody is there is worth a report even where nobody knows where the sensor looks.
            known = (looks[0] or 0,) + looks[1:3]
            azimuth, elevation, _ = pose.boresight(known, (azimuth_cdeg, elevation_cdeg, 0))
            if sigma_cdeg is None:
                sigma_cdeg = min(18000, sensor.hfov_cdeg * 289 // 1000)  # a uniform field: hfov / sqrt(12)
            reported.detections = (reported.detections + 1) % _SEQ
            self.link.detection(
                sensor.name,
                {
                    "time_unix_ms": self.measured.clock.at(uptime),
                    "uptime_ms": uptime,
                    "clock": self.measured.clock.source,
                    "boot": self.boot,
                    "seq": reported.detections,
                    "azimuth_cdeg": azimuth,
                    "elevation_cdeg": elevation,
                    "azimuth_sigma_cdeg": min(18000, pose.hypotenuse(sigma_cdeg, looks[3])),
                    "range_cm": range_cm,
                    "confidence_milli": confidence_milli,
                    "class": kind,
                },
            )

        return sensor.module.watch(sensor.settings, detected, trouble)

    def _report(self, sensor, uptime):
        reported = self.reported[sensor.name]
        waited = uptime - reported.uptime
        begun = self.link.ready and reported.session != self.link.session
        if reported.pose is not None and waited < _GAP_MS and not begun:
            return
        azimuth, elevation, roll, azimuth_sigma, tilt_sigma = self.measured.looks(sensor)
        period, asleep, valid = power.pace(self.config, self.period_s, self.config.asleep_s, self.config.valid_s)
        awake, duty = sensor.awake, sensor.duty_milli
        if asleep and awake == "always":
            awake, duty = "duty", 1000 * self.config.awake_s // (self.config.awake_s + asleep)
        fields = {
            "azimuth_cdeg": azimuth,
            "elevation_cdeg": elevation,
            "roll_cdeg": roll,
            "azimuth_source": sensor.azimuth_source if azimuth is not None else "none",
            "azimuth_sigma_cdeg": azimuth_sigma,
            "tilt_sigma_cdeg": tilt_sigma,
            # Who is broken watches none of the time, and is not counted upon.
            "awake": "duty" if reported.trouble else awake,
            "duty_milli": 0 if reported.trouble else duty,
            "boot": self.boot,
            "valid_s": valid,
        }
        for key in LIMITS:
            fields[key] = getattr(sensor, key)
        at = self.measured.place(fields, uptime)
        # A little early rather than a step late: the host counts the period, too.
        due = waited + _STEP_MS // 2 >= 1000 * period
        if not (due or begun or self._changed(reported.pose, fields)):
            return
        reported.seq = (reported.seq + 1) % _SEQ
        fields["clock"] = self.measured.clock.source
        fields["time_unix_ms"] = self.measured.clock.at(at)
        fields["uptime_ms"] = at
        fields["seq"] = reported.seq
        self.link.frustum(sensor.name, fields)
        reported.pose, reported.uptime = _pose_of(fields), uptime
        if self.link.ready:
            reported.session = self.link.session

    def _changed(self, old, fields):
        if old is None:
            return True
        new = _pose_of(fields)
        for i in range(4):
            if old[i] != new[i]:
                return True
        for i in range(4, 7):
            if new[i] is not None and abs(pose.wrapped(new[i] - old[i], 18000)) > _ANGLE_BAND_CDEG:
                return True
        if new[7] is None:
            return False
        moved = pose.hypotenuse(*pose.apart(new[7], new[8], old[7], old[8]))
        return moved > (_MOVING_BAND_CM if self.config.moving else _POSITION_BAND_CM)


def _pose_of(fields):
    return tuple([fields.get(key) for key in _POSE])
