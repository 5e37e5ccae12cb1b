"""Where could somebody cross this line undetected right now, and how sure are we?

The few names that a script needs. Each is imported when it is first asked for, so `import dronewall` costs
nothing:

    import dronewall
    ground = dronewall.ground_of(dronewall.read("site.toml"))
    coverage = dronewall.cover(ground, dronewall.planned(ground))
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dronewall.engine.gaps import Gap as Gap
    from dronewall.engine.ground import ground_of as ground_of
    from dronewall.engine.plan import planned as planned
    from dronewall.engine.wall import Coverage as Coverage
    from dronewall.engine.wall import cover as cover
    from dronewall.scenario import Scenario as Scenario
    from dronewall.scenario import ScenarioError as ScenarioError
    from dronewall.scenario import read as read
    from dronewall.wire import WireError as WireError

if not __debug__:
    raise ImportError("not with -O, -OO or PYTHONOPTIMIZE: in wire.py what is under __debug__ is the host's half")

__version__ = "0.1.0"

_HOMES = {
    "Coverage": "dronewall.engine.wall",
    "Gap": "dronewall.engine.gaps",
    "Scenario": "dronewall.scenario",
    "ScenarioError": "dronewall.scenario",
    "WireError": "dronewall.wire",
    "cover": "dronewall.engine.wall",
    "ground_of": "dronewall.engine.ground",
    "planned": "dronewall.engine.plan",
    "read": "dronewall.scenario",
}

__all__ = [
    "Coverage",
    "Gap",
    "Scenario",
    "ScenarioError",
    "WireError",
    "__version__",
    "cover",
    "ground_of",
    "planned",
    "read",
]


def __getattr__(name: str) -> object:
    """The re-exported object, from the module where it is at home; AttributeError for any other name."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
