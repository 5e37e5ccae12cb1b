"""A straight line over flat or rolling ground, and sensors of which it is known by hand what they see."""

import math
from types import SimpleNamespace

import numpy as np

from dronewall.engine.detection import Target
from dronewall.engine.frontage import Frontage
from dronewall.engine.frustum import Frustum
from dronewall.engine.ground import Ground
from dronewall.engine.terrain import Terrain
from dronewall.scenario import Environment, Thresholds

CELL = 10.0
FRONT, BEHIND = 100.0, 60.0
LINE_NORTH = 205.0  # a row's middle
WALKER = Target("walker", 0.0, 2.0, 0.5, 1.4)
MIDDLE = 1.0
"""Height of the walker's middle [m]: there a footprint counts."""
SURE = {"kind": "table", "range_m": [0.0, 5000.0], "probability": [0.9, 0.9], "glimpse_s": 1.0}


def ground_of(cols=200, rows=40, heights=None, **thresholds):
    """A line from (0, 205) to the terrain's east edge, the threat in the north; its stations are the cells' middles."""
    terrain = Terrain.from_array(np.zeros((rows, cols)) if heights is None else heights, CELL)
    points = np.array([[0.0, LINE_NORTH], [terrain.extent[1], LINE_NORTH]])
    scenario = SimpleNamespace(thresholds=Thresholds(**thresholds), environment=Environment())
    return Ground(scenario, None, Frontage(points, FRONT, BEHIND, threat_left=True), terrain)


def downward(east, north=LINE_NORTH, long=100.0, wide=90.0, name="D1/cam", agl=100.0, model=SURE, **more):
    """A sensor that looks straight down and sees a walker's middle in a rectangle `long` metres along the line and
    `wide` across it.
    """
    over = agl - MIDDLE
    return Frustum(
        name=name, shape="pyramid", east=east, north=north, eye_amsl=agl, eye_agl=agl, azimuth=math.pi / 2.0,
        elevation=-math.pi / 2.0, roll=0.0, hfov=2.0 * math.atan(wide / 2.0 / over),
        vfov=2.0 * math.atan(long / 2.0 / over), range_min=0.0, range_max=5000.0, model=model, moving=True, **more,
    )  # fmt: skip
