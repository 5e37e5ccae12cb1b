"""The enclosure's parameters, and every place and length that follows from them; nothing but Python.

This file alone knows the dimensions. Its frame is the board's (firmware/pose.py), so that a place in the box is a place
in the firmware's axes: x forward, y left, z up [mm], from the middle of the inside's floor.

          y left                      z up            lid (skirt hangs over the rim: the drip edge)
          |                           |   ____________________________
    ------+------> x forward          |  |  patch, under the lid      |
     mast | box | PIR, radar          |  |            radar, PIR      |
                               mast   +--|--battery--carrier board----|--> x
                                             glands, antenna, breather

Dimensions of bought parts are of their makers' sheets where one was at hand; [check] means that it was not: measure
the part before you print.
"""

import dataclasses
import math

SPEED_OF_LIGHT = 299_792_458.0  # [m/s]
RADAR_HZ = 24.125e9
"""The middle of the band of 24.0 to 24.25 GHz that the LD2450 sweeps in."""
EAR = 10.0
"""Height [mm] of an ear under the rim, before it leans back to the wall."""

MATERIALS = {
    # density [g/cm3] of filament, relative permittivity at 24 GHz. Densities: makers' sheets [check]. Permittivity:
    # assumed; measured up to 10 GHz on printed ABS, PET, PLA and copolyester were 2.55 to 2.95 (J. Zechmeister,
    # J. Lacik, "Complex Relative Permittivity Measurement of Selected 3D-Printed Materials up to 10 GHz", 2019).
    "asa": (1.07, 2.8),
    "petg": (1.27, 2.7),
}


class EnclosureError(ValueError):
    """Parameters that are no enclosure; the message has every reason, one a line."""


@dataclasses.dataclass(frozen=True)
class Enclosure:
    """Parameters, all in mm unless they say otherwise."""

    # The body's inside
    length: float = 132.0  # along x
    width: float = 100.0  # along y
    height: float = 80.0
    corner: float = 4.0  # radius of the upright edges
    wall: float = 3.0
    floor: float = 3.6
    material: str = "asa"  # or "petg"
    radome: float = 0.0  # the front wall, which the radar looks through; 0: half a wave in the material
    least_wall: float = 1.6  # nothing is thinner: four lines of a 0.4 mm nozzle
    bed: float = 220.0  # the printer's, square

    # Lid and gasket: a round sponge cord lies in the groove of the rim
    lid: float = 4.0
    drip: float = 6.0  # how far the skirt hangs over the rim
    skirt: float = 2.4
    beam: float = 10.0  # height of the lid's two ribs across, inside front and back wall; 0: none
    beam_thick: float = 3.0
    clearance: float = 0.4  # between printed parts
    cord: float = 3.0  # diameter of the cord
    squeeze: float = 0.3  # of its diameter, when the lid lies on the rim
    fill: float = 0.9  # of the groove, by the cord; rubber moves, and does not shrink
    land: float = 1.8  # of the rim, on both sides of the groove
    rim: float = 6.0  # its height
    screw_bore: float = 4.5  # M4
    insert_bore: float = 5.6  # M4 heat-set insert, 8 mm [check]
    insert_depth: float = 9.0
    screw_reach: float = 50.0  # x of the outer screws; the third of each side stands in the middle

    # Carrier board: 70 x 90 mm, which is a common size of perforated board; holes to be drilled, M3
    board_length: float = 70.0
    board_width: float = 90.0
    board_inset: float = 4.0  # of its holes from its edges
    board_height: float = 30.0  # its underside, over glands and their cables
    board_thick: float = 1.6
    standoff: float = 8.0  # diameter
    pilot: float = 2.5  # bore for a self-tapping M3
    pilot_depth: float = 12.0
    compass_ahead: float = 42.0  # x of magnetometer and accelerometer, on the board's middle line: far from the mast

    # Battery: one LiFePO4 cell, 32700 (32.4 x 70.5 [check]) or 26650 in a sleeve, across the box at its back
    cell_diameter: float = 32.4
    cell_length: float = 70.5
    contacts: float = 9.0  # both ends of its holder
    bay_rib: float = 2.0
    bay_height: float = 18.0
    tie: float = 5.0  # width of the slots for two cable ties

    # PIR: Panasonic EKMB1303111K, lens seen from outside
    lens: float = 18.0  # diameter at its base [check]
    hfov_deg: float = 102.0  # host/dronewall/catalogue.toml, ekmb-wide
    vfov_deg: float = 92.0
    pir_y: float = -26.0
    sensor_z: float = 52.0  # PIR and radar
    lens_recess: float = 2.0  # its base behind the outer face
    collar: float = 4.0  # the bore's length inside the wall; sealant goes here

    # Radar: HLK-LD2450, its board upright and across [check], antenna face forward
    radar_width: float = 44.0
    radar_height: float = 15.0
    radar_thick: float = 1.2
    radar_y: float = 21.0
    rail: float = 3.5  # wall of a rail beside the board
    grip: float = 1.5  # how deep the board stands in a rail

    # GNSS receiver with its patch, in a frame under the lid
    patch: float = 28.0  # square
    patch_frame: float = 6.0  # height of the frame
    patch_x: float = -22.0

    # Underneath: bore, and the circle that nut and spanner need
    m16_bore: float = 16.3
    m16_keep: float = 24.5
    m12_bore: float = 12.3
    m12_keep: float = 21.0
    antenna_bore: float = 16.2  # N bulkhead; SMA: 6.5
    antenna_keep: float = 23.0  # SMA: 11
    row_back: float = 3.0  # x of the first row of bores
    row_front: float = 33.0
    column: float = 27.0  # y of the outer ones

    # Clamp: two like jaws with a V, M8 bolts beside the mast; the first one is screwed to the back wall, M5
    mast_least: float = 30.0  # diameters
    mast_most: float = 60.0
    v_angle_deg: float = 120.0  # between its faces
    v_depth: float = 12.0
    jaw_back: float = 10.0  # behind the V's bottom
    jaw_height: float = 44.0
    jaw_z: float = 40.0  # its middle on the back wall
    bolt_y: float = 38.0
    bolt_bore: float = 8.5
    head_flats: float = 13.4  # of the M8's head
    head_depth: float = 6.0
    fix_y: float = 28.0
    fix_z: float = 14.0
    fix_bore: float = 5.5
    fix_head: float = 10.0
    fix_head_depth: float = 6.0
    fix_insert: float = 6.4  # M5 heat-set insert, 9.5 mm [check]
    fix_insert_depth: float = 10.0
    pillar: float = 9.0  # depth of the two ribs inside the back wall that hold the inserts
    pillar_width: float = 13.0

    # Servo carrier: its plate goes to a jaw as the box does; a standard servo (40 x 20 mm [check]) hangs in its shelf
    plate: float = 6.0
    plate_width: float = 76.0
    plate_height: float = 48.0
    shelf: float = 5.0
    shelf_length: float = 76.0
    shelf_width: float = 44.0
    servo_length: float = 41.0
    servo_width: float = 20.6
    servo_holes: float = 49.5  # along
    servo_pitch: float = 10.0  # across
    servo_bore: float = 4.4
    servo_ahead: float = 42.0  # the opening's middle from the plate's front
    gusset: float = 3.0


@dataclasses.dataclass(frozen=True)
class Bore:
    """A bore in the floor: what comes through, its place, its diameter, and the circle that its nut needs."""

    name: str
    x: float
    y: float
    diameter: float
    keep: float


# --- the radar's window ---


def half_wave(permittivity: float, angle_deg: float = 0.0) -> float:
    """The thickness [mm] of a wall that reflects nothing of a wave of RADAR_HZ which comes at `angle_deg` from the
    square: half a wave in the material, lambda / (2 sqrt(eps - sin^2 angle)).

    Source: the wall's two reflections cancel (M. Born, E. Wolf, "Principles of Optics", 1.6.4, homogeneous film); TI
    SWRA705, section 2.3, has it for radomes.
    """
    wave = 1000 * SPEED_OF_LIGHT / RADAR_HZ
    return wave / (2 * math.sqrt(permittivity - math.sin(math.radians(angle_deg)) ** 2))


def reflected(thickness: float, permittivity: float, angle_deg: float = 0.0, along: bool = False) -> float:
    """The share (0 to 1) of the power that a lossless wall of `thickness` [mm] throws back, the electric field across
    the plane of incidence or `along` it. Born and Wolf, 1.6.4: R = 4 r^2 sin^2 d / ((1 - r^2)^2 + 4 r^2 sin^2 d), r
    Fresnel's coefficient of one face, d the phase of one way through the wall.
    """
    wave = 1000 * SPEED_OF_LIGHT / RADAR_HZ
    outside = math.cos(math.radians(angle_deg))
    inside = math.sqrt(permittivity - math.sin(math.radians(angle_deg)) ** 2)
    a, b = (permittivity * outside, inside) if along else (outside, inside)
    square = ((a - b) / (a + b)) ** 2
    phase = math.sin(2 * math.pi * thickness * inside / wave) ** 2
    return 4 * square * phase / ((1 - square) ** 2 + 4 * square * phase)


def standing(permittivity: float = 1.0) -> float:
    """How far [mm] the antenna stands behind the wall: half a wave in air, so that what the wall throws back arrives
    in step (TI SWRA705, section 2.4).
    """
    return half_wave(permittivity)


# --- places ---


def front(box: Enclosure) -> float:
    """The front wall's thickness."""
    return box.radome or half_wave(MATERIALS[box.material][1])


def outside(box: Enclosure) -> tuple[float, float, float]:
    """(least x, most x, most y) of the body's walls."""
    return -box.length / 2 - box.wall, box.length / 2 + front(box), box.width / 2 + box.wall


def groove(box: Enclosure) -> tuple[float, float]:
    """(width, depth) of the gasket's groove: the cord, squeezed, fills `fill` of it."""
    depth = box.cord * (1 - box.squeeze)
    return math.pi * box.cord**2 / 4 / (depth * box.fill), depth


def rim_width(box: Enclosure) -> float:
    """From the inside's edge to the rim's outer edge."""
    return 2 * box.land + groove(box)[0]


def ear(box: Enclosure) -> float:
    """Radius of the ears that take the lid's screws."""
    return box.insert_bore / 2 + max(2.0, box.least_wall)


def screws(box: Enclosure) -> list[tuple[float, float]]:
    """(x, y) of the lid's screws: outside the groove, so that none of them pierces what is sealed."""
    y = box.width / 2 + rim_width(box) + box.insert_bore / 2
    return [(x, side * y) for side in (1, -1) for x in (-box.screw_reach, 0.0, box.screw_reach)]


def lid_outline(box: Enclosure) -> tuple[float, float]:
    """(half length, half width) of the lid over all."""
    grown = box.clearance + box.skirt
    return box.length / 2 + rim_width(box) + grown, screws(box)[0][1] + ear(box) + grown


def rails(box: Enclosure) -> float:
    """How far the radar's rails reach into the box."""
    return standing() + box.radar_thick + 0.3 + 2.0


def board(box: Enclosure) -> tuple[float, float]:
    """(least x, most x) of the carrier board: behind the rails."""
    ahead = box.length / 2 - rails(box) - 2.8
    return ahead - box.board_length, ahead


def standoffs(box: Enclosure) -> list[tuple[float, float]]:
    """(x, y) of the carrier board's holes."""
    back, ahead = board(box)
    y = box.board_width / 2 - box.board_inset
    return [(x, side * y) for side in (1, -1) for x in (back + box.board_inset, ahead - box.board_inset)]


def bay(box: Enclosure) -> tuple[float, float, float, float]:
    """(least x, most x, most y, middle x) of the battery bay, its ribs included."""
    least = -box.length / 2 + box.pillar + 1.0
    most = least + box.cell_diameter + 1.0 + 2 * box.bay_rib
    return least, most, (box.cell_length + box.contacts) / 2 + box.bay_rib, (least + most) / 2


def bores(box: Enclosure) -> list[Bore]:
    """What comes through the floor; all of it below, where no rain stands."""
    gland, small = (box.m16_bore, box.m16_keep), (box.m12_bore, box.m12_keep)
    return [
        Bore("gland M16: solar panel", box.row_back, box.column, *gland),
        Bore("antenna", box.row_back, 0.0, box.antenna_bore, box.antenna_keep),
        Bore("gland M16: servo or camera", box.row_back, -box.column, *gland),
        Bore("gland M12", box.row_front, box.column, *small),
        Bore("breather M12", box.row_front, 0.0, *small),
        Bore("gland M12", box.row_front, -box.column, *small),
    ]


def fixings(box: Enclosure) -> list[tuple[float, float]]:
    """(y, z) of the M5 screws between a jaw and what it carries, from the jaw's middle."""
    return [(y, z) for y in (box.fix_y, -box.fix_y) for z in (box.fix_z, -box.fix_z)]


def jaw(box: Enclosure) -> tuple[float, float]:
    """(depth, width) of a jaw."""
    return box.jaw_back + box.v_depth, 2 * (box.bolt_y + box.head_flats / math.sqrt(3) + 4.0)


def pillar_top(box: Enclosure) -> float:
    """z of the end of the ribs inside the back wall: over the upper inserts."""
    return box.jaw_z + box.fix_z + box.fix_insert / 2 + 4.0


def mast_axis(box: Enclosure, diameter: float) -> float:
    """How far a mast's axis lies behind the bottom of the V: R / sin(half the angle between the faces)."""
    return diameter / 2 / math.sin(math.radians(box.v_angle_deg / 2))


def mast_x(box: Enclosure, diameter: float) -> float:
    """x of the mast's axis (negative: behind the box)."""
    return outside(box)[0] - box.jaw_back - mast_axis(box, diameter)


def bolt_length(box: Enclosure, diameter: float) -> float:
    """From under an M8's head to the end of its nut (8 mm with a washer) on a mast of that diameter."""
    gap = 2 * (mast_axis(box, diameter) - box.v_depth)
    return 2 * (jaw(box)[0] - box.head_depth) + gap + 8.0


def lens_base(box: Enclosure) -> float:
    """x of the base of the PIR's lens, from which it sees."""
    return outside(box)[1] - box.lens_recess


def flare(box: Enclosure) -> float:
    """Half angle [degree] of the lens's bore: 3 more than the field."""
    return max(box.hfov_deg, box.vfov_deg) / 2 + 3.0


def over_the_lens(box: Enclosure) -> float:
    """Free angle [degree] from the lens's upper edge to the skirt's lower one."""
    up = box.height - box.drip - box.sensor_z - box.lens / 2
    return math.degrees(math.atan2(up, lid_outline(box)[0] - lens_base(box)))


def mast_in_the_sky(box: Enclosure, diameter: float) -> float:
    """The azimuth [degree] that a mast which goes on upwards hides from the patch: 2 asin(R / distance)."""
    return 2 * math.degrees(math.asin(diameter / 2 / (box.patch_x - mast_x(box, diameter))))


def bow(box: Enclosure) -> float:
    """By how much [mm] the gasket bends the lid's front edge up between its screws: 5 w l^4 / (384 E I).

    w: 0.3 N/mm of sponge at 30 % (assumed); E: 2000 N/mm2 (ASA, PETG, makers' sheets [check]); I: of the skirt, the
    rib and 25 mm of the lid.
    """
    parts = [  # width, height, middle from the joint
        (25.0, box.lid, box.lid / 2),
        (box.skirt, box.drip, -box.drip / 2),
        (box.beam_thick, box.beam, -box.beam / 2),
    ]
    area = sum(w * h for w, h, _ in parts)
    middle = sum(w * h * z for w, h, z in parts) / area
    second = sum(w * h**3 / 12 + w * h * (z - middle) ** 2 for w, h, z in parts)
    return 5 * 0.3 * (2 * screws(box)[0][1]) ** 4 / (384 * 2000 * second)


# --- parts and printer ---


def sizes(box: Enclosure) -> dict[str, tuple[float, float, float]]:
    """(x, y, z) [mm] of each part over all, as it lies in the box."""
    long, across = lid_outline(box)
    grown = box.clearance + box.skirt
    depth, width = jaw(box)
    return {
        "body": (2 * (long - grown), 2 * (across - grown), box.floor + box.height),
        "lid": (2 * long, 2 * across, box.lid + max(box.drip, box.patch_frame, box.beam)),
        "clamp": (depth, width, box.jaw_height),
        "servo_carrier": (box.plate + box.shelf_length, max(box.plate_width, box.shelf_width), box.plate_height),
    }


COUNT = {"body": 1, "lid": 1, "clamp": 2, "servo_carrier": 1}
"""How many of each a node needs; a servo carrier needs two jaws of its own."""

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
ON_THE_BED: dict[str, Matrix] = {
    # How a part is turned for the printer; a rotation, so its transpose turns it back.
    "body": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "lid": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),  # on its top
    "clamp": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),  # the V upright: its layers lie in the plane of the load
    "servo_carrier": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),  # on its plate
}


def lift(box: Enclosure, name: str) -> float:
    """How far [mm] a part is lifted, once it is turned, to lie on the bed."""
    return {
        "body": box.floor,
        "lid": box.height + box.lid,
        "clamp": box.jaw_height / 2,
        "servo_carrier": 0.0,
    }[name]
