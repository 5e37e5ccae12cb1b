"""Whether an enclosure can be built: parts fit, no boss cuts a wall, nothing is thinner than it may be."""

import dataclasses
import math
from collections.abc import Iterator

import plan
from plan import Enclosure, EnclosureError


def _short(what: str, found: float, expected: float) -> Iterator[str]:
    if found < expected - 1e-9:
        yield f"{what}: {found:.2f} mm, at least {expected:.2f} expected"


def problems(box: Enclosure) -> Iterator[str]:
    """Why these parameters cannot be built: a sentence each; nothing where they can."""
    if box.material not in plan.MATERIALS:
        yield f"material: {box.material!r} came, one of {', '.join(plan.MATERIALS)} expected"
        return
    for field in dataclasses.fields(box):
        value = getattr(box, field.name)
        if field.name in ("material", "radome", "pir_y", "radar_y", "patch_x", "beam"):
            continue
        if not math.isfinite(value) or value <= 0:
            yield f"{field.name}: {value:g} came, more than 0 expected"
            return
    if not 0 < box.squeeze < 0.6 or not 0.5 <= box.fill <= 0.98:
        yield f"squeeze {box.squeeze:g} and fill {box.fill:g}: 0 to 0.6 and 0.5 to 0.98 expected"
        return
    if not 60 <= box.v_angle_deg <= 150 or max(box.hfov_deg, box.vfov_deg) >= 160:
        yield f"v_angle_deg {box.v_angle_deg:g}: 60 to 150 expected; hfov_deg, vfov_deg: under 160"
        return
    least = box.least_wall
    for name in ("wall", "floor", "lid", "skirt", "land", "bay_rib", "plate", "shelf", "gusset"):
        yield from _short(name, getattr(box, name), least)
    yield from _short("half of the width beyond corner", min(box.width, box.length) / 2 - box.corner, 10.0)
    yield from _short("radome, the front wall", plan.front(box), least)
    yield from _short("rim under the groove", box.rim - plan.groove(box)[1], least)
    yield from _short("rim over the wall", plan.rim_width(box) - max(plan.front(box), box.wall), 0)
    yield from _short("drip over the joint", box.drip, 3.0)
    yield from _short("gasket's squeeze for a bowed lid", box.cord * box.squeeze / 3, plan.bow(box))

    # The lid's screws
    gap = plan.screws(box)[0][1] - box.insert_bore / 2 - box.width / 2 - box.land - plan.groove(box)[0]
    yield from _short("plastic between groove and insert", gap, least)
    yield from _short("screw_reach, to the lid's middle screw", box.screw_reach, 2 * plan.ear(box) + 4)
    reach = box.length / 2 + plan.rim_width(box) - box.screw_reach - plan.ear(box)
    yield from _short("rim beyond the outer ears", reach, 0)
    yield from _short("ear under the insert", box.rim + plan.EAR - box.insert_depth, 3.0)

    # The carrier board
    back, ahead = plan.board(box)
    yield from _short("board beside the side walls", (box.width - box.board_width) / 2, 1.0)
    yield from _short("board behind the battery bay", back - plan.bay(box)[1], 1.0)
    yield from _short("standoff around its pilot bore", (box.standoff - box.pilot) / 2, least)
    yield from _short("standoff under its pilot bore", box.board_height - box.pilot_depth, least)
    yield from _short("board_inset, for the standoff", box.board_inset, box.standoff / 2)
    board_top = box.board_height + box.board_thick
    yield from _short("radar over the board's parts", box.sensor_z - box.radar_height / 2 - board_top, 8.0)
    yield from _short("compass on the board", min(box.compass_ahead - back, ahead - box.compass_ahead), 3.0)

    # The battery
    yield from _short("battery bay beside the side walls", box.width / 2 - plan.bay(box)[2], 0.5)
    yield from _short("bay_height, to hold a cell", box.bay_height, box.cell_diameter / 2)
    under = box.height - box.patch_frame - box.cell_diameter
    yield from _short("room over the battery", under, 10.0)

    # The sensors
    base = box.lens / 2 + 0.2 + least + box.collar  # the collar leans on the wall at 45 degrees
    radar = box.radar_width / 2 - box.grip + box.rail + box.grip
    yield from _short("PIR's collar beside the radar's rail", box.radar_y - radar - box.pir_y - base, 1.0)
    yield from _short("PIR's collar beside the side wall", box.width / 2 + box.pir_y - base, 1.0)
    yield from _short("radar's rail beside the side wall", box.width / 2 - box.radar_y - radar, 0.5)
    yield from _short("PIR's collar under the lid", box.height - box.beam - box.sensor_z - base, 1.0)
    yield from _short("pillars under the lid", box.height - box.beam - plan.pillar_top(box), 1.0)
    yield from _short("front wall behind the lens", plan.front(box) - box.lens_recess, 0.8)
    if plan.over_the_lens(box) < box.vfov_deg / 2:
        free = f"{plan.over_the_lens(box):.1f} degrees free, {box.vfov_deg / 2:.1f} expected"
        yield f"lid over the lens: {free}; lower sensor_z"
    mouth = box.lens / 2 + 0.2 + box.lens_recess * math.tan(math.radians(plan.flare(box)))
    yield from _short("front wall between lens and rim", box.height - box.rim - 5 - box.sensor_z - mouth, least)
    reach = box.length / 2 - abs(box.patch_x) - box.patch / 2 - 2.0
    yield from _short("patch frame inside the walls", reach, 2.0)
    yield from _short(
        "patch frame clear of the radar's rails", box.length / 2 - plan.rails(box) - box.patch_x - box.patch / 2 - 2, 1
    )

    # Underneath
    through = plan.bores(box)
    for i, one in enumerate(through):
        for other in through[i + 1 :]:
            room = math.dist((one.x, one.y), (other.x, other.y)) - (one.keep + other.keep) / 2
            yield from _short(f"room between {one.name} and {other.name}", room, 0)
        for x, y in plan.standoffs(box):
            room = math.dist((one.x, one.y), (x, y)) - (one.keep + box.standoff) / 2
            yield from _short(f"room between {one.name} and a standoff", room, 0)
        yield from _short(f"room between {one.name} and a wall", box.width / 2 - abs(one.y) - one.keep / 2, 0)
        yield from _short(f"room between {one.name} and the battery bay", one.x - one.keep / 2 - plan.bay(box)[1], 0)
        yield from _short(f"room before {one.name}", box.length / 2 - plan.rails(box) - one.x - one.keep / 2, 0)

    # Clamp
    half = math.radians(box.v_angle_deg / 2)
    touch = box.mast_most / 2 * math.cos(half) / math.tan(half)
    # A circle touches a face at R / tan(half) from the V's bottom; its depth there is that times cos(half).
    yield from _short("v_depth, for mast_most to lie on its faces", box.v_depth, touch)
    gap = 2 * (plan.mast_axis(box, box.mast_least) - box.v_depth)
    yield from _short("gap between the jaws on mast_least", gap, 4.0)
    yield from _short("mast_most beside the bolts", box.bolt_y - box.bolt_bore / 2 - box.mast_most / 2, 1.0)
    edge = box.v_depth * math.tan(half)
    yield from _short("jaw between V and screw heads", box.fix_y - box.fix_head / 2 - edge, least)
    away = math.hypot(box.bolt_y - box.fix_y, box.fix_z) - box.head_flats / math.sqrt(3) - box.fix_head / 2
    yield from _short("jaw between screw and bolt heads", away, least)
    yield from _short("jaw above its screws", box.jaw_height / 2 - box.fix_z - box.fix_head / 2, least)
    yield from _short("jaw under the screw heads", plan.jaw(box)[0] - box.fix_head_depth, 5.0)
    yield from _short("jaw under the bolt heads", plan.jaw(box)[0] - box.head_depth, 8.0)
    yield from _short("jaw on the back wall", plan.outside(box)[2] - plan.jaw(box)[1] / 2, 0)
    low = min(box.jaw_z - box.jaw_height / 2, box.height - box.rim - 5 - box.jaw_z - box.jaw_height / 2)
    yield from _short("jaw between floor and rim", low, 1.0)
    behind = -plan.lid_outline(box)[0] - (plan.mast_x(box, box.mast_least) + box.mast_least / 2)
    yield from _short("mast_least behind the lid", behind, 2.0)
    yield from _short("wall behind the M5 inserts", box.wall + box.pillar - box.fix_insert_depth, least)
    yield from _short("pillar beside the M5 inserts", (box.pillar_width - box.fix_insert) / 2, least)
    yield from _short("pillar beside the side walls", box.width / 2 - box.fix_y - box.pillar_width / 2, 1.0)

    # Servo carrier
    yield from _short("plate beside its screws", box.plate_width / 2 - box.fix_y - box.fix_head / 2, least)
    nut = box.fix_head / 2
    yield from _short("plate above its screws", box.plate_height / 2 - box.fix_z - nut, least)
    yield from _short("screws under the shelf", box.plate_height / 2 - box.shelf - box.fix_z - nut, 0)
    yield from _short("screws beside the gussets", box.fix_y - nut - box.shelf_width / 2, 0.5)
    yield from _short("shelf ahead of the servo", box.shelf_length - box.servo_ahead - box.servo_holes / 2 - 3, least)
    yield from _short("shelf behind the servo", box.servo_ahead - box.servo_holes / 2 - box.servo_bore / 2, 5.0)
    side = (box.shelf_width - box.servo_width) / 2 - box.gusset
    yield from _short("shelf between servo and gusset", side, 3.0)

    for name, size in plan.sizes(box).items():
        yield from _short(f"bed for {name}", box.bed, max(size[0], size[1]))


def checked(box: Enclosure) -> Enclosure:
    """`box`, which can be built; EnclosureError has every reason why not."""
    found = list(problems(box))
    if found:
        raise EnclosureError("\n".join(found))
    return box
