"""How far `engine.levels` is from a Monte Carlo over the errors that a sensor reports.

    python docs/studies/levels.py 1000 > docs/studies/levels.txt

For each case, over the cells that anybody may see: P_look as expected less the mean of the trials; over 83 lanes the
same; and the share of the trials in which any cell at all has less than its assured rate (at most .10 is promised). A
cell's own noise is up to .016 in 1000 trials, and the largest of thousands some four times that.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import test_levels as cases
from dronewall.engine.detection import rate
from dronewall.engine.field import glance
from dronewall.engine.levels import rates

DOWN = {"hfov": 60.0, "vfov": 40.0, "agl": 150.0, "moving": True}


def studies() -> Iterator[tuple[str, object, dict[str, object]]]:
    """A name, a terrain and a sensor's options."""
    yield "flat, camera 40 degrees", cases.flat(), cases.POST
    yield "flat, camera 10 degrees", cases.flat(), cases.POST | {"hfov": 10.0}
    yield "flat, camera 2 degrees", cases.flat(), cases.POST | {"hfov": 2.0}
    yield "flat, sector 60 degrees", cases.flat(), cases.POST | {"shape": "sector", "hfov": 60.0}
    yield "hills, camera 40 degrees", cases.hills(), cases.POST
    yield "hills, LE90 3 m", cases.hills(3.0), cases.POST | {"agl": 8.0}
    yield "hills, drone looks down", cases.hills(), cases.DRONE | DOWN | {"elevation": -90.0}
    yield "hills, drone half down", cases.hills(), cases.DRONE | DOWN | {"elevation": -45.0, "roll": 20.0}


def main(trials: int) -> None:
    print(f"{trials} trials, confidence .9{'':6}P_look: bias    rms    max   lanes: bias    min    max   broken")
    for name, terrain, options in studies():
        frustum = cases.sensor(terrain, **options)
        ((expected, assured),) = rates(terrain, frustum, [cases.WALKER], 0.9)
        promised = cases.spread(terrain, assured, assured.rate)
        random = np.random.default_rng(1)
        look, lane, broken = np.zeros(terrain.shape), 0.0, 0
        for _ in range(trials):
            ground, truth = cases.drawn(terrain, frustum, random)
            window = rate(ground, truth, cases.WALKER)
            broken += (cases.spread(terrain, window, window.rate) < promised * (1.0 - 1e-6) - 1e-9).any()
            # What is expected averages over the pose's errors, not over the terrain's.
            window = window if math.isnan(terrain.le90) else rate(terrain, truth, cases.WALKER)
            look[window.slices] += glance(window.rate, window.ceiling, 10.0) / trials
            lane = lane + cases.crossing(terrain, window).lane_p / trials
        error = (cases.field_of(terrain, expected).look(10.0) - look)[look > 0.0]
        lanes = cases.crossing(terrain, expected).lane_p - lane
        print(
            f"{name:30} {error.mean():+12.4f} {math.sqrt((error**2).mean()):6.3f} {np.abs(error).max():6.3f} "
            f"{lanes.mean():+13.4f} {lanes.min():+6.3f} {lanes.max():+6.3f} {broken / trials:8.3f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
