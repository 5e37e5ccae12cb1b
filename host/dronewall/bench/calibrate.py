"""The hard iron of a compass: the centre of the sphere on which its readings lie while the board is turned every way.

The board measures, with its firmware's own drivers; the fit is ours. A reading is p = c + r (1 + E) u: c is the hard
iron, r the strength of the field in counts, u its direction in the board's axes (x forward, y left, z up) and E the
soft iron, symmetric and without trace, which the node cannot take off and which is refused where it is large.

    sphere:  |p|^2 = 2 c.p + (r^2 - |c|^2), linear in c and the bracket (T. Ozyagcilar, NXP AN4246, "Calibrating an
             eCompass in the Presence of Hard- and Soft-Iron Interference")
    rest:    |p - c| / r - 1 = a + b.u + u.E u, linear in a, b and E; what it leaves is noise
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dronewall.bench import stored
from dronewall.bench.repl import BoardError, ProgramError, Repl

LEAST = 100
"""Readings for a fit."""
COVERAGE = 0.4
"""Share of the sphere that must have been seen. Half a sphere of directions is .5; one turn on a table .22."""
ENOUGH = 0.9
"""With so much of it nothing is gained by going on."""
RESIDUAL = 0.05
"""Most rms distance from the sphere, of its radius: three degrees. A QMC5883L's noise is .003 of the earth's field."""
SIGMA = math.radians(5.0)
"""Worst azimuth that is stored [1 sigma]."""
_STILL = 200.0  # [counts] less is no turn: the earth's weakest field has .22 gauss, 660 counts at 8 gauss
_SIDES = ("front", "back", "left side", "right side", "top", "underside")  # of +x, -x, +y, -y, +z, -z
_BINS = 3  # of each side of the cube that is laid around the sphere, across and along
_MEAN = 15  # readings that the node's exponential mean is worth (firmware/measure.py: one part in 8, so 2 x 8 - 1)

Floats = npt.NDArray[np.float64]

_QMC5883 = """
import board, time
from sensors import adxl345, qmc5883
_compass = qmc5883.Compass(board.i2c())
_level = adxl345.Accelerometer(board.i2c())
def _readings(ms):
    end = time.ticks_add(time.ticks_ms(), ms)
    silent = 0
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        try:
            field = _compass.field()
            silent = 0
        except OSError:  # once is a long cable's
            field, silent = None, silent + 1
            if silent > 20:
                raise
        if field:
            try:
                up = _level.acceleration() or ()
            except OSError:
                up = ()
            print(*(tuple(field) + tuple(up)))
        time.sleep_ms(5)
    print("over", _compass.overflows)
"""
_BNO055 = """
import board, time
from sensors import bno055
_chip = bno055.Compass(board.sensor_uart(2, 115200))
def _status(ms):
    end = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        _chip.field()
        time.sleep_ms(200)
    return _chip.calibrated
"""


class CalibrationError(ValueError):
    """Readings that give no calibration: what is wrong with them, and what to do."""


class Seen(NamedTuple):
    """How far a turning board has got: the number of readings, the share of the sphere that was seen, the sides that
    the field has hardly come from yet, and its dip [rad], None without an accelerometer.
    """

    number: int
    coverage: float
    missing: tuple[str, ...]
    dip: float | None


class Fit(NamedTuple):
    """`hard_iron` and `radius` in counts; `residual`: rms distance from the sphere, of which `noise` is what soft iron
    does not explain, both of the radius; `azimuth_sigma`: expected of a level board [rad], None without a dip.
    """

    seen: Seen
    hard_iron: tuple[int, int, int]
    radius: float
    residual: float
    noise: float
    soft_iron: float
    azimuth_sigma: float | None


class Readings:
    """What a compass has said so far: `field` (n, 3) [counts], `up` (n, 3) or empty: what holds the board up. `over`:
    readings that were too large for the chip.
    """

    def __init__(self) -> None:
        self._field: list[list[float]] = []
        self._up: list[list[float]] = []
        self.over = 0

    def take(self, line: str) -> None:
        """Takes a line of the board's; what is none is passed over, as noise on the line is."""
        words = line.split()
        try:
            if words[:1] == ["over"]:
                self.over = int(words[1])
                return
            numbers = [float(int(word)) for word in words]
        except (ValueError, IndexError):
            return
        if len(numbers) not in (3, 6) or any(abs(number) > 32_768 for number in numbers):
            return
        self._field.append(numbers[:3])
        self._up.append(numbers[3:] if len(numbers) == 6 else [math.nan] * 3)

    @property
    def number(self) -> int:
        return len(self._field)

    @property
    def field(self) -> Floats:
        return np.array(self._field, dtype=np.float64).reshape(-1, 3)

    @property
    def up(self) -> Floats:
        return np.array(self._up, dtype=np.float64).reshape(-1, 3)


def _sphere(field: Floats) -> tuple[Floats, float] | None:
    """Centre and radius [counts]; None where the readings determine none."""
    if len(field) < 10:
        return None
    middle = field.mean(axis=0)
    p = field - middle
    scale = float(np.sqrt((p**2).sum(axis=1).mean())) or 1.0
    p = p / scale
    columns = np.column_stack((2.0 * p, np.ones(len(p))))
    found, _, rank, sizes = np.linalg.lstsq(columns, (p**2).sum(axis=1), rcond=None)
    if rank < 4 or sizes[-1] < 1e-3 * sizes[0]:
        return None
    square = float(found[3] + (found[:3] ** 2).sum())
    if square <= 0.0:
        return None
    return middle + scale * found[:3], scale * math.sqrt(square)


def parts(directions: Floats) -> npt.NDArray[np.bool_]:
    """Which parts of the sphere the directions (n, 3) are in (6, 3, 3): a side of the cube around it, as in _SIDES, and
    thirds of the right angle along its two other axes, in the order of x, y, z.
    """
    seen = np.zeros((6, _BINS, _BINS), dtype=np.bool_)
    if not len(directions):
        return seen
    axis = np.abs(directions).argmax(axis=1)
    rows = np.arange(len(directions))
    along = directions[rows, axis]
    side = 2 * axis + (along < 0.0)
    bins = []
    for which in (0, 1):
        other = np.array([[1, 2], [0, 2], [0, 1]])[axis, which]
        angle = np.arctan2(directions[rows, other], np.abs(along))
        bins.append(np.clip(((angle / (math.pi / 2.0) + 0.5) * _BINS).astype(np.int64), 0, _BINS - 1))
    seen[side, bins[0], bins[1]] = True
    return seen


def _dip(field: Floats, up: Floats) -> float | None:
    """The field's dip below the horizontal [rad], the median over a board that is turned: whatever shakes it is."""
    good = np.isfinite(up).all(axis=1) & (np.abs(up).sum(axis=1) > 0.0)
    if good.sum() < 10:
        return None
    f, u = field[good], up[good]
    sine = -(f * u).sum(axis=1) / (np.linalg.norm(f, axis=1) * np.linalg.norm(u, axis=1) + 1e-9)
    return float(np.median(np.arcsin(np.clip(sine, -1.0, 1.0))))


def _centre(field: Floats) -> Floats:
    """The best centre that there is yet: the sphere's, else the middle of what was seen."""
    sphere = _sphere(field)
    middle: Floats = (field.min(axis=0) + field.max(axis=0)) / 2.0
    if sphere is None or np.abs(sphere[0] - middle).max() > 2.0 * np.ptp(field, axis=0).max():
        return middle
    return sphere[0]


def seen(readings: Readings) -> Seen:
    """How much of the sphere has been seen."""
    field = readings.field
    if len(field) < 10 or _still(field):
        return Seen(len(field), 0.0, _SIDES, None)
    from_centre = field - _centre(field)
    hit = parts(from_centre)
    missing = tuple(side for side, of in zip(_SIDES, hit, strict=True) if of.sum() <= _BINS * _BINS // 2)
    return Seen(len(field), float(hit.mean()), missing, _dip(from_centre, readings.up))


def _still(field: Floats) -> bool:
    return float(np.ptp(field, axis=0).max()) < _STILL


def advice(found: Seen) -> str:
    """How to turn the board so that the field comes from a side that is missing; empty where none is."""
    if not found.missing:
        return ""
    dip = found.dip if found.dip is not None else math.radians(60.0)
    where = "to the ground" if dip > 0.5 else "to the sky" if dip < -0.5 else "to the north"
    return f"turn each of these {where}: {', '.join(found.missing)}"


def fitted(readings: Readings) -> Fit | None:
    """The best calibration that there is yet, however bad; None before there is one."""
    field, found = readings.field, seen(readings)
    sphere = _sphere(field)
    if sphere is None or found.coverage == 0.0 or len(field) < LEAST:
        return None
    centre, radius = sphere
    p = field - centre
    lengths = np.linalg.norm(p, axis=1)
    u = p / np.maximum(lengths, 1e-9)[:, None]
    rest = lengths / radius - 1.0
    x, y, z = u.T
    columns = np.column_stack((np.ones(len(u)), u, x * x - z * z, y * y - z * z, 2 * x * y, 2 * x * z, 2 * y * z))
    weights = np.linalg.lstsq(columns, rest, rcond=None)[0]
    noise = math.sqrt(float(((rest - columns @ weights) ** 2).sum()) / (len(u) - columns.shape[1]))
    spread = noise**2 * np.linalg.pinv(columns.T @ columns)
    xx, yy, xy, xz, yz = weights[4:]
    soft = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, -xx - yy]])
    sigma = None
    if found.dip is not None:
        sigma = _azimuth_sigma(found.dip, noise, soft, weights[1:4], spread[1:4, 1:4])
    x_off, y_off, z_off = (round(float(part)) for part in centre)
    return Fit(
        found,
        (x_off, y_off, z_off),
        radius,
        math.sqrt(float((rest**2).mean())),
        noise,
        float(np.ptp(np.linalg.eigvalsh(soft))),
        sigma,
    )


def fit(readings: Readings) -> Fit:
    """The calibration. Raises CalibrationError for readings that give none that is good enough."""
    found = seen(readings)
    if readings.over > found.number // 20:
        raise CalibrationError(
            f"{readings.over} readings were over the chip's 8 gauss; expected none: a magnet or a steel part is at the "
            "compass; take it away, or the compass from it"
        )
    if found.number < LEAST:
        raise CalibrationError(f"{found.number} readings, expected at least {LEAST}: give it longer (--seconds)")
    if found.coverage == 0.0:
        raise CalibrationError("the board lay still; expected it to be turned in figures of eight, every side up once")
    best = fitted(readings)
    if best is None or found.coverage < COVERAGE:
        share, least = 100 * found.coverage, 100 * COVERAGE
        raise CalibrationError(f"{share:.0f} % of the sphere seen, expected at least {least:.0f} %; {advice(found)}")
    off, most = 100 * best.residual, 100 * RESIDUAL
    if off > most and best.noise < best.residual / 2.0:
        raise CalibrationError(
            f"the readings lie on an ellipsoid, its axes {100 * best.soft_iron:.0f} % apart (soft iron), and "
            f"{off:.1f} % off a sphere, expected {most:.0f} % at most: steel is fixed beside the compass; move the "
            "compass away from it (10 cm do much), and calibrate again"
        )
    if off > most:
        raise CalibrationError(
            f"the readings lie {off:.1f} % of the radius off the sphere, expected {most:.0f} % at most: something of "
            "iron moved near by, or a current was switched; go away from cars, watches and cables, and calibrate again"
        )
    if max(abs(part) for part in best.hard_iron) > 32_767:
        raise CalibrationError(f"hard iron {best.hard_iron}; expected at most 32767 counts: take the magnet away")
    if best.azimuth_sigma is not None and best.azimuth_sigma > SIGMA:
        raise CalibrationError(
            f"azimuths would be good to {math.degrees(best.azimuth_sigma):.1f} degrees, expected "
            f"{math.degrees(SIGMA):.0f}: turn it longer, and every way"
            + (f"; {advice(found)}" if found.missing else "")
        )
    return best


def _azimuth_sigma(dip: float, noise: float, soft: Floats, bias: Floats, spread: Floats) -> float:
    """1 sigma of a level board's azimuth [rad], over all azimuths: hard iron that is left (the `bias` that the fuller
    model finds, and its `spread`), soft iron, and the noise that the node's mean leaves, each across the horizontal
    part of the field, cos(dip).
    """
    azimuths = np.linspace(0.0, math.tau, 72, endpoint=False)
    # Level and facing magnetic azimuth a the field is (cos a, sin a, -tan dip) H: x forward, y left.
    cos, sin = np.cos(azimuths), np.sin(azimuths)
    u = np.column_stack((math.cos(dip) * cos, math.cos(dip) * sin, np.full(72, -math.sin(dip))))
    across = np.column_stack((-sin, cos, np.zeros(72)))
    off = ((u @ soft + bias) * across).sum(axis=1)
    known = np.einsum("ni,ij,nj->n", across, spread, across)
    return math.sqrt(float((off**2 + known).mean()) + noise**2 / _MEAN) / max(math.cos(dip), 1e-3)


def said(readings: Readings) -> str:
    """A line for whoever turns the board: what was seen, what is missing, and the fit so far."""
    found, best = seen(readings), fitted(readings)
    text = f"{found.number} readings, {100 * found.coverage:.0f} % of the sphere"
    if best is not None:
        text += f", hard iron {list(best.hard_iron)} counts, residual {100 * best.residual:.1f} %"
        if best.azimuth_sigma is not None:
            text += f", azimuth ±{math.degrees(best.azimuth_sigma):.1f}°"
    return text + (f"; {advice(found)}" if found.missing else "")


def _waiting(repl: Repl, source: str, call: str, what: str) -> Callable[[], str]:
    try:
        repl.run(source)
    except ProgramError as error:
        raise BoardError(f"{repl.port}: the {what} cannot be asked: {error.said.strip().splitlines()[-1]}") from None

    def ask() -> str:
        try:
            return repl.run(call)
        except ProgramError as error:
            raise BoardError(
                f"{repl.port}: {error.said.strip().splitlines()[-1].removeprefix('OSError: ')}; is the {what} wired as "
                "the board's pins say, and has it power?"
            ) from None

    return ask


def readings(repl: Repl, seconds: float, progress: Callable[[Readings], None]) -> Readings:
    """What the board's QMC5883 says while it is turned, for so long [s], or until ENOUGH has been seen. `progress` is
    called twice a second. Raises BoardError where it does not answer.
    """
    ask = _waiting(repl, _QMC5883, "_readings(500)", "compass")
    found = Readings()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _take(found, ask().splitlines())
        progress(found)
        now = seen(found)
        if now.number >= 2 * LEAST and now.coverage >= ENOUGH:
            break
    return found


def _take(into: Readings, lines: Iterable[str]) -> None:
    for line in lines:
        into.take(line)


def learning(repl: Repl, seconds: float, progress: Callable[[int], None]) -> int:
    """How far the board's BNO055 has calibrated its magnetometer, 0 to 3, after so long or once that is 3."""
    ask = _waiting(repl, _BNO055, "print(_status(1000))", "BNO055")
    status, end = 0, time.monotonic() + seconds
    while status < 3 and time.monotonic() < end:
        status = int(repl.told(ask().strip(), Literal[0, 1, 2, 3]))
        progress(status)
    return status


def chip_of(repl: Repl) -> tuple[str, list[int]]:
    """The board's compass by its config.json, "qmc5883" or "bno055", and the hard iron that stands there. Raises
    BoardError for a board without firmware or configuration.
    """
    compass = stored.config(repl, "compass").get("compass", {})
    return compass.get("driver", "qmc5883"), compass.get("hard_iron", [0, 0, 0])
