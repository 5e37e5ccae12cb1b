"""How far the gaps can be trusted: what becomes of them where the models are wrong.

Detection models are good to a factor of two at best, and nodes may be less sure of their poses than they say. So the
gaps are found again with all rates halved, with all rates doubled, and with all pose errors doubled. What hardly moves
can be relied on; what moves much is a model's opinion and has to be walked out.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from dronewall.engine.detection import DetectionError
from dronewall.engine.field import Field
from dronewall.engine.frustum import Frustum
from dronewall.engine.gaps import KINDS, Gap, Kind
from dronewall.engine.ground import Ground
from dronewall.engine.levels import Level
from dronewall.engine.pool import Pool
from dronewall.engine.sensors import SensorState
from dronewall.engine.wall import Coverage, gaps_of, target_of, windows_of

LEVEL: Level = "expected"


@dataclass(frozen=True)
class Open:
    """How many gaps of a kind there are, and how many metres of frontage they make together."""

    count: int
    length: float


@dataclass(frozen=True)
class Trust:
    """The gaps of one target and kind, as expected: as computed, with rates halved, with rates doubled, and with pose
    errors doubled.
    """

    target: str
    kind: Kind
    plain: Open
    halved: Open
    doubled: Open
    unsure: Open


def trust(coverage: Coverage) -> tuple[Trust, ...]:
    """How the gaps of a coverage move, for each target and kind. The coverage must have its fields."""
    ground = coverage.ground
    targets = [target_of(spec) for spec in ground.scenario.targets]
    plain = coverage.at_level(LEVEL)
    unsure = _fields(ground, [_unsure(sensor) for sensor in coverage.sensors])

    def scaled(index: int, factor: float) -> tuple[Gap, ...]:
        field = plain[index].field
        assert field is not None
        return doubted(index, field.scaled(factor))

    def doubted(index: int, field: Field) -> tuple[Gap, ...]:
        return gaps_of(ground, ground.scenario.targets[index], LEVEL, field)[1]

    with contextlib.closing(Pool()) as pool:
        asked = [
            (
                pool.submit(scaled, index, 0.5),
                pool.submit(scaled, index, 2.0),
                pool.submit(doubted, index, unsure[index]),
            )
            for index in range(len(targets))
        ]
        found = [[one.gaps, *(future.result() for future in some)] for one, some in zip(plain, asked, strict=True)]
    return tuple(
        Trust(target.name, kind, *(_open(gaps, kind) for gaps in some))
        for target, some in zip(targets, found, strict=True)
        for kind in KINDS
    )


def _fields(ground: Ground, sensors: Sequence[SensorState]) -> list[Field]:
    """The field of each target, as expected, of those sensors that count."""
    targets = [target_of(spec) for spec in ground.scenario.targets]
    found = [Field(ground.terrain.shape) for _ in targets]
    counting = [sensor for sensor in sensors if sensor.frustum is not None]
    with contextlib.closing(windows_of(ground, counting, targets)) as computed:
        for sensor, windows in computed:
            if not isinstance(windows, DetectionError):
                for field, (mean, _) in zip(found, windows, strict=True):
                    field.add(sensor.name, mean)
    return found


def _unsure(sensor: SensorState) -> SensorState:
    return sensor if sensor.frustum is None else dataclasses.replace(sensor, frustum=less_sure(sensor.frustum))


def less_sure(frustum: Frustum) -> Frustum:
    """The frustum with twice the errors of its pose."""
    return dataclasses.replace(
        frustum,
        position_sigma=2.0 * frustum.position_sigma,
        height_sigma=2.0 * frustum.height_sigma,
        azimuth_sigma=2.0 * frustum.azimuth_sigma,
        tilt_sigma=2.0 * frustum.tilt_sigma,
    )


def _open(gaps: Sequence[Gap], kind: Kind) -> Open:
    lengths = [gap.length for gap in gaps if gap.kind == kind]
    return Open(len(lengths), float(sum(lengths)))
