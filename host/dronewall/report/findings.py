"""What is found out about a wall besides its coverage, one record for every output that tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dronewall.engine.closing import Closer, Lie
    from dronewall.engine.cycle import Cycle
    from dronewall.engine.trust import Trust


@dataclass(frozen=True)
class Findings:
    """What nobody asked for is empty, and no output mentions it.

    closing: what would close each gap and the ground it lies on, by the gap's id (`closing.told`). worst_loss: the post
    or node whose loss opens most, and the metres (`resilience.worst_loss`), against the first target, as expected.
    trust: how the gaps move where the models are wrong (`trust.trust`). cycle: what the drones make of the line over
    time (`cycle.cycle_of`).
    """

    closing: Mapping[str, tuple[tuple[Closer, ...], Lie]] = field(default_factory=dict)
    worst_loss: tuple[str, float] | None = None
    trust: tuple[Trust, ...] = ()
    cycle: Cycle | None = None


NOTHING = Findings()
"""Nobody asked for anything besides the coverage."""
