"""What screws the enclosure together, and whether its clamp holds in a storm."""

import math

import plan
from plan import Enclosure, EnclosureError

LENGTHS = (6, 8, 10, 12, 16, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 80, 90, 100, 110, 120)
"""Of screws as they are sold, under the head [mm] (ISO 4762, the usual ones)."""

TORQUE = 2.0  # [N m] for the M8: by hand, for plastic creeps under more
PRELOAD = TORQUE / (0.2 * 0.008)
"""[N] of each M8: torque over 0.2 times the thread's diameter, the rule for dry steel."""
FRICTION = 0.2  # of printed plastic on a painted tube (assumed)
AIR = 1.25  # [kg/m3]
DRAG = 2.1  # of a box with sharp edges (EN 1991-1-4, figure 7.23 [check]); this one's are round


def length(least: float, most: float) -> int:
    """The shortest screw on sale from `least` to `most` [mm]; EnclosureError where there is none."""
    for each in LENGTHS:
        if least - 1e-9 <= each <= most + 1e-9:
            return each
    raise EnclosureError(f"no screw on sale is {least:.1f} to {most:.1f} mm long")


def cord(box: Enclosure) -> float:
    """Length [mm] of the gasket's cord: along the middle of its groove."""
    out = box.land + plan.groove(box)[0] / 2
    return 2 * (box.length + box.width - 4 * box.corner) + 2 * math.pi * (box.corner + out)


def needed(box: Enclosure, diameter: float, servo: bool = False) -> list[tuple[int, str]]:
    """(pieces, what) for a node on a mast of `diameter` [mm]; `servo`: for its carrier alone, on jaws of its own."""
    through = plan.jaw(box)[0] - box.fix_head_depth  # from an M5's head to the jaw's front
    bolt = plan.bolt_length(box, diameter)
    clamp = [(2, f"M8 x {length(bolt, bolt + 15)} with nut and washer")]
    if servo:
        plate = length(through + box.plate + 5.0, through + box.plate + 15.0)  # a nut of 4 mm and its washer
        return [*clamp, (4, f"M5 x {plate} with nut and washer"), (4, "M4 x 12 with nut, for the servo")]
    return [
        *clamp,
        (4, f"M5 x {length(through + 6.0, through + box.fix_insert_depth)}"),
        (4, "M5 heat-set insert"),
        (6, f"M4 x {length(box.lid + 6.0, box.lid + box.insert_depth)} with sealing washer"),
        (6, "M4 heat-set insert"),
        (4, f"M3 x {length(box.board_thick + 6.0, box.board_thick + box.pilot_depth - 1.0)}, self-tapping"),
        (1, f"cord of silicone sponge, {box.cord:g} mm, {math.ceil(cord(box) / 50) * 50} mm"),
    ]


def storm(box: Enclosure, diameter: float, speed: float) -> tuple[float, float, float]:
    """(force [N], torque about the mast [N m], torque that the clamp's friction holds [N m]) of wind at `speed` [m/s]
    from the side.

    Each bolt's preload F makes F / sin(half the V's angle) on each of the four faces.
    """
    area = (plan.outside(box)[1] - plan.outside(box)[0]) * (box.height + box.floor + box.lid) / 1e6
    force = AIR / 2 * speed**2 * DRAG * area
    middle = (plan.outside(box)[0] + plan.outside(box)[1]) / 2
    torque = force * (middle - plan.mast_x(box, diameter)) / 1000
    press = 4 * PRELOAD / math.sin(math.radians(box.v_angle_deg / 2))
    return force, torque, FRICTION * press * diameter / 2000
