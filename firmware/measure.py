"""What the instruments say: the node's place and clock from GNSS, the board's attitude from compass and
accelerometer, which way the servo stands, and what of it is not believed."""

import clock
import pose
from clock import Clock
from log import log
from micropython import const

_COMPASS_KEEPS_MS = const(3000)  # how long the last reading counts when the chip is silent
_FIX_KEEPS_MS = const(5000)  # how long a drone's last fix counts
# The wire's bounds: a fix above or below is passed over, a speed beyond is left out.
_LOWEST_CM = const(-50_000)
_HIGHEST_CM = const(1_500_000)
_FASTEST_CMPS = const(10_000)


class _Smooth:
    """The exponential mean of a vector of integers; kept 256 times as large, so that small steps are not
    lost. A reading that is far off counts as one that is as far off as the mean is long: what a broken one
    does to a post's is over in four seconds."""

    def __init__(self, share):
        self.share = share  # one part in this is new
        self._sums = None
        self.uptime = 0

    def add(self, vector, uptime):
        sums = self._sums
        if sums is None:
            self._sums = [value << 8 for value in vector]
        else:
            most = max([abs(value) for value in sums]) + 256
            for i in range(3):
                sums[i] += max(-most, min(most, (vector[i] << 8) - sums[i])) // self.share
        self.uptime = uptime

    def vector(self, uptime):
        """The mean, or None where nothing was added for a while."""
        if self._sums is None or uptime - self.uptime > _COMPASS_KEEPS_MS:
            self._sums = None
            return None
        return self._sums


class Measured:
    """Place, attitude and time as last measured. Instruments are None where nothing asks for them.

    `suspect`: the receiver's place or time jumped without a motion, or its height is none; neither was
    believed. Or the mast has been turned: the survey of its sensors is not believed.
    """

    def __init__(self, config, receiver, compass=None, accelerometer=None, mast=None, servo=None):
        self.clock = Clock()
        self.config = config
        self.receiver = receiver
        self.compass = compass
        self.accelerometer = accelerometer
        self.mast = mast
        self.servo = servo
        share = 2 if config.moving else 8
        self.field, self.acceleration = _Smooth(share), _Smooth(share)
        if not (config.survey or config.moving):
            from average import Average

            self.average = Average()
        self._last_fix = self._last_utc = None
        self._place_suspect = self._clock_suspect = False
        self._climb = None  # height [cm], uptime, speed upwards [cm/s]
        self.board = None  # azimuth (true) or None, elevation, roll, dip
        self._troubles = {}

    @property
    def suspect(self):
        return self._place_suspect or self._clock_suspect or self.turned()

    def turned(self):
        return self.mast is not None and self.mast.turned

    def step(self, uptime):
        """Reads the instruments."""
        self._take_fix()
        self._take_time()
        if self.compass is not None:
            self._take_attitude(uptime)

    def trouble(self, source, error):
        """Logs a chip's silence when it begins and when it ends, not twice a second."""
        if str(error) != self._troubles.get(source, "None"):
            log(source, "works" if error is None else error)
        self._troubles[source] = str(error)

    def _take_time(self):
        utc = self.receiver.utc
        if utc is self._last_utc:
            return
        self._last_utc = utc
        # Whoever fakes the place fakes the time.
        if not self._place_suspect:
            self._clock_suspect = self.clock.set(utc[0], utc[1], "gnss") is False

    def _take_fix(self):
        receiver, config = self.receiver, self.config
        fix = receiver.fix
        if fix is None or fix is self._last_fix:
            return
        if not _LOWEST_CM <= fix.height_cm <= _HIGHEST_CM:
            self._place_suspect = True
            return
        self._last_fix = fix
        if config.survey:
            self._place_suspect = pose.is_jump(fix.latitude_e7, fix.longitude_e7, config.survey, fix.sigma_cm)
        elif not config.moving:
            self.average.add(
                fix.latitude_e7,
                fix.longitude_e7,
                fix.height_cm,
                fix.sigma_cm,
                fix.height_sigma_cm,
                fix.uptime // 1000,
            )
            self._place_suspect = self.average.suspect
        else:
            self._place_suspect = False
            last, speed = self._climb, 0
            if last and 0 < fix.uptime - last[1] <= _FIX_KEEPS_MS:
                speed = (fix.height_cm - last[0]) * 1000 // (fix.uptime - last[1])
            self._climb = (fix.height_cm, fix.uptime, speed)

    def _take_attitude(self, uptime):
        self.board = None
        for source, read, smooth in (
            ("compass", self.compass.field, self.field),
            ("accelerometer", self.accelerometer.acceleration, self.acceleration),
        ):
            try:
                vector = read()
            except OSError as error:
                self.trouble(source, error)
                continue
            self.trouble(source, None)
            if vector is not None:
                smooth.add(vector, uptime)
        acceleration, field = self.acceleration.vector(uptime), self.field.vector(uptime)
        if acceleration is None:
            return
        azimuth = None
        try:
            azimuth, elevation, roll, dip = pose.attitude(acceleration, field)
            if azimuth is not None:
                azimuth = (azimuth + self.config.declination_cdeg) % 36000
            self.board = (azimuth, elevation, roll, dip)
        except ValueError as error:
            self.trouble("attitude", error)
        if self.mast:
            self.mast.step(acceleration, azimuth, uptime)

    def _foot(self, sensor):
        """(attitude of what carries the sensor, or of the foot of its servo, and its mount on that) [cdeg]."""
        azimuth, elevation, roll = mount = (sensor.azimuth_cdeg, sensor.elevation_cdeg, sensor.roll_cdeg)
        if sensor.azimuth_source == "survey":
            # The foot of a surveyed servo stands level.
            return (azimuth, 0, 0), (0, elevation, roll)
        board = self.board
        return (board[0] or 0, board[1], board[2]), mount

    def look(self, name, azimuth, elevation):
        """Turns the servo so that the sensor of that name looks there [cdeg]; why it cannot, or None."""
        from servo import aim

        for sensor in self.config.sensors:
            if sensor.name == name and sensor.servo:
                if self.looks(sensor)[0] is None:
                    return "where it looks now is not known"
                foot, mount = self._foot(sensor)
                return self.servo.turn(aim(foot, mount, azimuth, elevation), clock.uptime_ms())
        return "no %s on a servo" % name

    def looks(self, sensor):
        """(azimuth or None, elevation, roll, azimuth sigma, tilt sigma) [cdeg] of a sensor now."""
        mount = (sensor.azimuth_cdeg, sensor.elevation_cdeg, sensor.roll_cdeg)
        azimuth_sigma, tilt_sigma = sensor.azimuth_sigma_cdeg, sensor.tilt_sigma_cdeg
        survey = sensor.azimuth_source == "survey"
        if self.turned() if survey else self.board is None:
            # The mast may hang any way: what the mount says is a guess.
            return None, mount[1], mount[2], 18000, 9000
        if survey and not sensor.servo:
            return mount + (azimuth_sigma, tilt_sigma)
        known = survey or self.board[0] is not None
        if known and not survey:
            azimuth_sigma <<= 3 - self.compass.calibrated
            azimuth_sigma = pose.azimuth_sigma(azimuth_sigma, tilt_sigma, self.board[3])
        foot, mount = self._foot(sensor)
        if sensor.servo:
            pan, tilt, left = self.servo.angles(clock.uptime_ms())
            foot = pose.boresight(foot, (pan, tilt, 0))
            # It may still be anywhere on its way.
            azimuth_sigma, tilt_sigma = min(18000, azimuth_sigma + left), min(9000, tilt_sigma + left)
        azimuth, elevation, roll = pose.boresight(foot, mount)
        return azimuth if known else None, elevation, roll, azimuth_sigma if known else 18000, tilt_sigma

    def place(self, fields, uptime):
        """Puts position, accuracy and motion into `fields`; returns the uptime at which they held."""
        config, fix = self.config, self._last_fix
        fields["position_source"] = source = config.position_source
        if config.survey:
            latitude, longitude, height, sigma = config.survey
            height_sigma = sigma
        elif config.moving and fix and uptime - fix.uptime <= _FIX_KEEPS_MS:
            latitude, longitude, height = fix.latitude_e7, fix.longitude_e7, fix.height_cm
            sigma, height_sigma = fix.sigma_cm, fix.height_sigma_cm
            # The report is about the moment of the fix: a drone is 12 m further a second later.
            uptime = fix.uptime
            motion = self.receiver.motion
            if motion and abs(motion[2] - fix.uptime) <= 1000 and (motion[1] is not None or motion[0] == 0):
                east, north = pose.components(motion[0], motion[1] or 0)
                up = self._climb[2]
                if max(abs(east), abs(north), abs(up)) <= _FASTEST_CMPS:
                    fields["velocity_east_cmps"], fields["velocity_north_cmps"] = east, north
                    fields["velocity_up_cmps"] = up
        elif not config.moving and self.average.count:
            latitude, longitude, height = self.average.position()
            sigma, height_sigma = self.average.sigma_cm, self.average.height_sigma_cm
        else:
            source = None
        if source is None:
            fields["position_source"] = "none"
        else:
            fields["latitude_e7"], fields["longitude_e7"] = latitude, longitude
            fields["position_sigma_cm"], fields["height_sigma_cm"] = sigma, height_sigma
            fields["height_amsl_cm"] = height
        fields["height_agl_cm"] = config.height_agl_cm
        if self.suspect:
            fields["suspect"] = True
        return uptime
