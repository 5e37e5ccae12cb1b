"""The enclosure's parts as solids, in the frame of plan.py; this file alone knows build123d.

build123d and not CadQuery: one environment of 1.0 GB against 1.8 GB (no VTK, no solver for assemblies), parts are
plain values that `+`, `-` and `&` combine, and types that a checker reads. Both stand on the same kernel (OCCT).

Solids are made of boxes, cylinders, cones and straight extrusions alone: no fillet, no shell and no offset, which are
what fails in the kernel when a parameter moves. Overhangs lean at 45 degrees, so nothing wants support.
"""

import math
from pathlib import Path

import plan
from build123d import (
    Align,
    Box,
    Circle,
    Cone,
    Cylinder,
    Location,
    Part,
    Plane,
    Polygon,
    Pos,
    Rectangle,
    RectangleRounded,
    RegularPolygon,
    Rot,
    Sketch,
    export_step,
    export_stl,
    extrude,
)
from plan import Enclosure

LOW = (Align.CENTER, Align.CENTER, Align.MIN)
AHEAD = Rot(0, 90, 0)  # a cylinder's axis, up, becomes x
AFAR = 400.0  # [mm] more than any part


def _round(length: float, width: float, radius: float, z: float, height: float) -> Part:
    return Pos(0, 0, z) * extrude(RectangleRounded(length, width, radius), height)


def _block(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Part:
    low = (Align.MIN, Align.MIN, Align.MIN)
    return Pos(x[0], y[0], z[0]) * Box(x[1] - x[0], y[1] - y[0], z[1] - z[0], align=low)


def _rod(x: float, y: float, z: float, diameter: float, height: float) -> Part:
    return Pos(x, y, z) * Cylinder(diameter / 2, height, align=LOW)


def _lying(x: float, y: float, z: float, diameter: float, length: float) -> Part:
    return Pos(x, y, z) * AHEAD * Cylinder(diameter / 2, length, align=LOW)


def _slab(points: list[tuple[float, float]], plane: Plane, depth: float) -> Part:
    """The polygon, in the plane's coordinates, `depth` thick to both sides."""
    return extrude(plane * Polygon(*points, align=None), depth, both=True)


def _sum(parts: list[Part]) -> Part:
    found = parts[0]
    for part in parts[1:]:
        found += part
    return found


def _outline(box: Enclosure, grown: float) -> Sketch:
    """The rim with its ears, larger by `grown` all round."""
    edge = plan.rim_width(box) + grown
    radius = plan.ear(box) + grown
    found = RectangleRounded(box.length + 2 * edge, box.width + 2 * edge, box.corner + edge)
    for x, y in plan.screws(box):
        found += Pos(x, y / 2) * Rectangle(2 * radius, abs(y)) + Pos(x, y) * Circle(radius)
    return found


def body(box: Enclosure) -> Part:
    """The box: floor, walls, rim with the gasket's groove, and all that stands inside."""
    back, ahead, side = plan.outside(box)
    made = Pos((back + ahead) / 2, 0, -box.floor) * extrude(
        RectangleRounded(ahead - back, 2 * side, box.corner + box.wall), box.floor + box.height
    )
    edge = plan.rim_width(box)
    over = edge - box.wall
    below = box.height - box.rim
    leaning = RectangleRounded(box.length + 2 * box.wall, box.width + 2 * box.wall, box.corner + box.wall)
    made += Pos(0, 0, below - over) * extrude(leaning, over, taper=-45)
    # Ears: the outline upright, cut off below by planes that lean outwards at 45 degrees.
    tip, radius = plan.screws(box)[0][1] + plan.ear(box), plan.ear(box)
    low = below - plan.EAR
    cut = [(0.0, low - tip + side), (side, low - tip + side), (tip, low), (tip, box.height)]
    cut += [(-y, z) for y, z in reversed(cut[1:])]
    whole = Pos(0, 0, -box.floor) * extrude(_outline(box, 0), box.floor + box.height)
    strips = [_block((x - radius, x + radius), (-tip, tip), (-box.floor, box.height)) for x in _ear_places(box)]
    made += whole & _slab(cut, Plane.YZ, AFAR) & _sum(strips)
    made += _round(box.length + 2 * edge, box.width + 2 * edge, box.corner + edge, below, box.rim)
    made -= _round(box.length, box.width, box.corner, 0, box.height)

    width, depth = plan.groove(box)
    inner, outer = 2 * box.land, 2 * (box.land + width)
    ring = RectangleRounded(box.length + outer, box.width + outer, box.corner + outer / 2)
    ring -= RectangleRounded(box.length + inner, box.width + inner, box.corner + inner / 2)
    made -= Pos(0, 0, box.height - depth) * extrude(ring, depth)
    for x, y in plan.screws(box):
        made -= _rod(x, y, box.height - box.insert_depth, box.insert_bore, box.insert_depth)

    made += _stands(box) + _bay(box) + _rails(box) + _collar(box) + _pillars(box)
    made -= _windows(box)
    return _one(made, "body")


def _ear_places(box: Enclosure) -> list[float]:
    return sorted({x for x, _ in plan.screws(box)})


def _stands(box: Enclosure) -> Part:
    def one(x: float, y: float) -> Part:
        hole = _rod(x, y, box.board_height - box.pilot_depth, box.pilot, box.pilot_depth)
        return _rod(x, y, 0, box.standoff, box.board_height) - hole

    return _sum([one(x, y) for x, y in plan.standoffs(box)])


def _bay(box: Enclosure) -> Part:
    least, most, side, _ = plan.bay(box)
    rib = box.bay_rib
    made = _block((least, most), (-side, side), (0, box.bay_height))
    made -= _block((least + rib, most - rib), (rib - side, side - rib), (0, box.bay_height))
    for y in (-side / 2, side / 2):
        made -= _block((least, most), (y - box.tie / 2, y + box.tie / 2), (2.0, 5.0))
    return made


def _rails(box: Enclosure) -> Part:
    """Two ribs from the floor up, each with a slot into which the radar's board slides from above."""
    wall = box.length / 2
    low = box.sensor_z - box.radar_height / 2
    high = low + box.radar_height + 0.5
    near = wall - plan.standing()  # the antenna's face
    found = []
    for sign in (1, -1):
        edge = box.radar_y + sign * (box.radar_width / 2 + 0.3)
        y = sorted((edge - sign * box.grip, edge + sign * box.rail))
        made = _block((wall - plan.rails(box), wall), (y[0], y[1]), (0, high))
        slot = sorted((edge - sign * box.grip, edge))
        found.append(made - _block((near - box.radar_thick - 0.3, near), (slot[0], slot[1]), (low, high)))
    return _sum(found)


def _collar(box: Enclosure) -> Part:
    """Round the PIR's bore, leaning on the wall at 45 degrees."""
    radius = box.lens / 2 + 0.2 + box.least_wall
    cone = Cone(radius, radius + box.collar, box.collar, align=LOW)
    return Pos(box.length / 2 - box.collar, box.pir_y, box.sensor_z) * AHEAD * cone


def _pillars(box: Enclosure) -> Part:
    back = -box.length / 2
    half = box.pillar_width / 2
    return _sum(
        [
            _block((back, back + box.pillar), (y - half, y + half), (0, plan.pillar_top(box)))
            for y in (box.fix_y, -box.fix_y)
        ]
    )


def _windows(box: Enclosure) -> Part:
    """All that is bored through or into the walls."""
    back, ahead, _ = plan.outside(box)
    base, radius = plan.lens_base(box), box.lens / 2 + 0.2
    inner = box.length / 2 - box.collar
    found = [_lying(inner, box.pir_y, box.sensor_z, 2 * radius, ahead - inner)]
    grown = (box.lens_recess + 1) * math.tan(math.radians(plan.flare(box)))
    flare = Cone(radius, radius + grown, box.lens_recess + 1, align=LOW)
    found.append(Pos(base, box.pir_y, box.sensor_z) * AHEAD * flare)
    found += [_rod(bore.x, bore.y, -box.floor, bore.diameter, box.floor) for bore in plan.bores(box)]
    for y, z in plan.fixings(box):
        found.append(_lying(back, y, box.jaw_z + z, box.fix_insert, box.fix_insert_depth))
    return _sum(found)


def lid(box: Enclosure) -> Part:
    """The lid: a skirt round the rim, a frame for the patch, two ribs against bowing, bores over the inserts."""
    whole = _outline(box, box.clearance + box.skirt)
    made = Pos(0, 0, box.height) * extrude(whole, box.lid)
    ring = whole - _outline(box, box.clearance)
    made += Pos(0, 0, box.height - box.drip) * extrude(ring, box.drip)
    side = box.patch / 2 + box.clearance
    low, high = box.height - box.patch_frame, box.height
    frame = _block((box.patch_x - side - 2, box.patch_x + side + 2), (-side - 2, side + 2), (low, high))
    made += frame - _block((box.patch_x - side, box.patch_x + side), (-side, side), (low, high))
    if box.beam:
        reach, half = box.length / 2 - 1.0, box.width / 2 - box.corner - 2.0
        for ends in ((-reach, box.beam_thick - reach), (reach - box.beam_thick, reach)):
            made += _block(ends, (-half, half), (box.height - box.beam, box.height))
    for x, y in plan.screws(box):
        made -= _rod(x, y, box.height - 1, box.screw_bore, box.lid + 2)
    return _one(made, "lid")


def clamp(box: Enclosure) -> Part:
    """A jaw, in the middle of whose front face the origin lies: what it carries is ahead, the mast behind."""
    depth, width = plan.jaw(box)
    made = _block((-depth, 0), (-width / 2, width / 2), (-box.jaw_height / 2, box.jaw_height / 2))
    edge = box.v_depth * math.tan(math.radians(box.v_angle_deg / 2))
    made -= _slab([(-box.jaw_back, 0), (-depth, edge), (-depth, -edge)], Plane.XY, box.jaw_height)
    for y in (box.bolt_y, -box.bolt_y):
        made -= _lying(-depth, y, 0, box.bolt_bore, depth)
        head = extrude(RegularPolygon(box.head_flats / 2, 6, major_radius=False), box.head_depth)
        made -= Pos(-box.head_depth, y, 0) * AHEAD * head
    for y, z in plan.fixings(box):
        made -= _lying(-depth, y, z, box.fix_bore, depth)
        made -= _lying(-depth, y, z, box.fix_head, box.fix_head_depth)
    return _one(made, "clamp")


def servo_carrier(box: Enclosure) -> Part:
    """A plate for a jaw (its back is x = 0) with a level shelf in which a servo hangs, shaft up."""
    half, top = box.plate_width / 2, box.plate_height / 2
    made = _block((0, box.plate), (-half, half), (-top, top))
    side, tip = box.shelf_width / 2, box.plate + box.shelf_length
    made += _block((box.plate, tip), (-side, side), (top - box.shelf, top))
    web = [(box.plate, -top), (box.plate, top - box.shelf), (tip, top - box.shelf)]
    for y in (side - box.gusset / 2, box.gusset / 2 - side):
        made += Pos(0, y, 0) * _slab(web, Plane.XZ, box.gusset / 2)
    middle = box.plate + box.servo_ahead
    opening = Box(box.servo_length, box.servo_width, AFAR)
    made -= (Pos(middle, 0, 0) * opening) & _block((box.plate, tip), (-side, side), (top - box.shelf, top))
    for x in (-box.servo_holes / 2, box.servo_holes / 2):
        for y in (-box.servo_pitch / 2, box.servo_pitch / 2):
            made -= _rod(middle + x, y, top - box.shelf, box.servo_bore, box.shelf)
    for y, z in plan.fixings(box):
        made -= _lying(0, y, z, box.fix_bore, box.plate)
    return _one(made, "servo_carrier")


def _one(made: Part, name: str) -> Part:
    """`made`, which is one valid solid; EnclosureError where the parameters made something else."""
    if len(made.solids()) != 1 or not made.is_valid:
        raise plan.EnclosureError(f"{name}: {len(made.solids())} solids came of these parameters, one valid expected")
    return made


def parts(box: Enclosure) -> dict[str, Part]:
    """Every part, each in the frame of its function. EnclosureError names the part that does not come out."""
    made = {}
    for make in (body, lid, clamp, servo_carrier):
        try:
            made[make.__name__] = make(box)
        except plan.EnclosureError:
            raise
        except Exception as error:  # the kernel has many kinds
            raise plan.EnclosureError(f"{make.__name__}: build123d cannot make it: {error}") from error
    return made


def assembled(box: Enclosure, made: dict[str, Part], diameter: float) -> dict[str, Part]:
    """The `parts` in their places on a mast of `diameter` [mm]: the jaws are `clamp` and `clamp_behind`, the servo's
    carrier stands 300 mm below.
    """
    back = plan.outside(box)[0]
    behind = 2 * plan.mast_x(box, diameter) - back
    return {
        **made,
        "clamp": Pos(back, 0, box.jaw_z) * made["clamp"],
        "clamp_behind": Pos(behind, 0, box.jaw_z) * Rot(0, 0, 180) * made["clamp"],
        "servo_carrier": Pos(back, 0, box.jaw_z - 300) * made["servo_carrier"],
    }


def printed(box: Enclosure, part: Part, name: str) -> Part:
    """The part as it lies on the printer's bed, its least z 0."""
    x, y, z = plan.ON_THE_BED[name]
    columns = list(zip(x, y, z, strict=True))
    turned = Location(Plane((0, 0, 0), x_dir=columns[0], z_dir=columns[2])) * part
    return Pos(0, 0, plan.lift(box, name)) * turned


def written(box: Enclosure, made: dict[str, Part], folder: Path) -> str:
    """Writes NAME.step (as it lies in the box) and NAME.stl (as it is printed) of all `parts`; their table."""
    weights = "".join(f"{name.upper() + ' [g]':>11}" for name in plan.MATERIALS)
    rows = [f"{'part':16}{'pieces':>7}{'size [mm]':>22}{'volume [cm3]':>14}{weights}"]
    for name, part in made.items():
        size = part.bounding_box().size
        volume = part.volume / 1000
        export_step(part, folder / f"{name}.step")
        export_stl(printed(box, part, name), folder / f"{name}.stl", tolerance=0.02, angular_tolerance=0.15)
        over_all = " x ".join(f"{each:.1f}" for each in (size.X, size.Y, size.Z))
        masses = "".join(f"{volume * density:11.0f}" for density, _ in plan.MATERIALS.values())
        rows.append(f"{name:16}{plan.COUNT[name]:7}{over_all:>22}{volume:14.1f}{masses}")
    rows.append("Volumes are of solid plastic.")
    return "\n".join(rows)
