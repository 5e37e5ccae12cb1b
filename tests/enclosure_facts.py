"""What the enclosure's solids are, for tests/test_enclosure.py: run by the Python that has build123d, it writes the
parts into a folder and prints one JSON object. Volumes in mm3.
"""

import contextlib
import dataclasses
import io
import json
import math
import sys
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hardware"))
import enclosure
import fits
import plan
import solids
from build123d import Align, Box, Cone, Cylinder, Pos, Rot, Shape, import_step

LOW = (Align.CENTER, Align.CENTER, Align.MIN)


def common(a: Shape, b: Shape) -> float:
    """The volume of what two shapes share; 0 where they only touch."""
    found = a.intersect(b)
    return sum(each.volume for each in found or [] if each is not None and each.solids())


def rod(place, diameter: float, length: float, along: str = "z") -> Shape:
    turn = Rot(0, 90, 0) if along == "x" else Rot(0, 0, 0)
    return Pos(*place) * turn * Cylinder(diameter / 2, length, align=LOW)


def block(low, high) -> Shape:
    return Pos(*low) * Box(*(b - a for a, b in zip(low, high, strict=True)), align=(Align.MIN,) * 3)


def main(folder: Path) -> dict:
    box = fits.checked(plan.Enclosure())
    made = solids.parts(box)
    parts = solids.assembled(box, made, box.mast_most)
    body, lid = parts["body"], parts["lid"]
    facts: dict = {"table": solids.written(box, made, folder), "parts": {}}
    for name, part in made.items():
        edges = part.bounding_box()
        facts["parts"][name] = {
            "solids": len(part.solids()),
            "valid": part.is_valid,
            "closed": all(solid.is_manifold for solid in part.solids()),
            "volume": part.volume,
            "size": [edges.size.X, edges.size.Y, edges.size.Z],
            "step": import_step(folder / f"{name}.step").volume,
        }
    facts["together"] = {
        f"{a} and {b}": common(parts[a], parts[b]) for a, b in combinations(["body", "lid", "clamp", "clamp_behind"], 2)
    }

    facts["masts"] = {}
    for diameter in (box.mast_least, 48.0, box.mast_most):
        there = solids.assembled(box, made, diameter)
        mast, thicker = (rod((plan.mast_x(box, diameter), 0, -100), d, 300) for d in (diameter - 0.01, diameter + 0.2))
        facts["masts"][str(diameter)] = {
            name: [common(mast, there[name]), common(thicker, there[name])]
            for name in ("body", "lid", "clamp", "clamp_behind")
        }

    start, end = plan.board(box)
    half, top = box.board_width / 2, box.board_height + box.board_thick
    near, cell = box.length / 2 - plan.standing(), box.cell_diameter / 2
    radar, high = box.radar_width / 2, box.radar_height / 2
    patch = box.patch / 2
    bought = {
        "board and its parts": block((start, -half, box.board_height), (end, half, top + 8)),
        "cell": Pos(plan.bay(box)[3], 0, cell) * Rot(90, 0, 0) * Cylinder(cell, box.cell_length + box.contacts),
        "radar": block((near - box.radar_thick, box.radar_y - radar, box.sensor_z - high),
                       (near, box.radar_y + radar, box.sensor_z + high)),
        "lens": rod((plan.lens_base(box) - 6, box.pir_y, box.sensor_z), box.lens, 12, "x"),
        "patch": block((box.patch_x - patch, -patch, box.height - 8), (box.patch_x + patch, patch, box.height)),
    }  # fmt: skip
    bought |= {
        f"nut at y {bore.y:g} of {bore.name}": rod((bore.x, bore.y, 0), bore.keep, 8) for bore in plan.bores(box)
    }
    facts["bought"] = {name: [common(shape, body), common(shape, lid)] for name, shape in bought.items()}
    facts["bought together"] = {
        f"{a} and {b}": common(bought[a], bought[b]) for a, b in combinations(list(bought)[:5], 2)
    }

    # A screw goes through the lid into its insert, and one that stands 1 mm beside does not.
    def screws(aside: float) -> list[float]:
        found = []
        for x, y in plan.screws(box):
            pin = rod((x + aside, y, box.height - box.insert_depth), 4.0, 30)
            found.append(common(pin, body) + common(pin, lid))
        return found

    facts["screws"] = [screws(0.0), screws(1.0)]
    sleeve, inside = box.insert_bore + 2 * box.least_wall, box.insert_depth
    whole = math.pi / 4 * (sleeve**2 - box.insert_bore**2) * inside
    facts["ears"] = [
        common(rod((x, y, box.height - inside), sleeve, inside), body) / whole for x, y in plan.screws(box)
    ]  # fmt: skip
    back = plan.outside(box)[0]
    sleeve = box.fix_insert + 2 * box.least_wall
    whole = (
        math.pi / 4 * (sleeve**2 * (box.fix_insert_depth + box.least_wall) - box.fix_insert**2 * box.fix_insert_depth)
    )
    facts["fixings"] = [
        common(rod((back, y, box.jaw_z + z), sleeve, box.fix_insert_depth + box.least_wall, "x"), body) / whole
        for y, z in plan.fixings(box)
    ]

    # What the PIR looks at, as a cone from its lens's edge, for 400 mm.
    reach = 400.0
    wide = box.lens / 2 + reach * math.tan(math.radians(max(box.hfov_deg, box.vfov_deg) / 2))
    cone = (
        Pos(plan.lens_base(box), box.pir_y, box.sensor_z) * Rot(0, 90, 0) * Cone(box.lens / 2, wide, reach, align=LOW)
    )
    facts["sight"] = {
        name: common(cone, parts[name]) for name in ("body", "lid", "clamp", "clamp_behind", "servo_carrier")
    }
    narrower = (
        Pos(plan.lens_base(box) - 1, box.pir_y, box.sensor_z)
        * Rot(0, 90, 0)
        * Cone(box.lens / 2 + 1, wide, reach, align=LOW)
    )
    facts["sight of a wider lens"] = common(narrower, body)

    # The wall before the radar, and the way to it between the rails.
    ahead = plan.outside(box)[1]
    clear = radar - box.grip
    window = ((box.radar_y - clear, box.sensor_z - high), (box.radar_y + clear, box.sensor_z + high))
    (y0, z0), (y1, z1) = window
    wall = block((box.length / 2, y0, z0), (ahead, y1, z1))
    before = block((near, y0, z0), (box.length / 2, y1, z1))
    facts["radome"] = {"full": wall.volume, "wall": common(wall, body), "before": common(before, body)}

    edges = (back, ahead, -plan.outside(box)[2], plan.outside(box)[2])
    slab = block((edges[0] - 1, edges[2] - 1, -box.floor), (edges[1] + 1, edges[3] + 1, 0))
    facts["floor"] = common(slab, body)

    changes = [
        "--set",
        "height=90",
        "--set",
        "material=petg",
        "--set",
        "antenna_bore=6.5",
        "--set",
        "beam=0",
        "--set",
        "lid=8",
    ]
    facts["changed"] = ran("--output", str(folder / "changed"), *changes)
    (folder / "file").touch()
    facts["in the way"] = ran("--output", str(folder / "file"))
    return facts


def ran(*arguments: str) -> list:
    """[exit status, what was said on stderr] of the program."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        return [enclosure.main(arguments), said.getvalue()]


def varied() -> dict:
    """Every parameter a fifth less and a quarter more: how many enclosures `fits` takes, what is wrong with them."""
    taken, wrong = 0, []
    for field in dataclasses.fields(plan.Enclosure):
        for factor in (0.8, 1.25):
            if field.name in ("material", "radome"):
                continue
            value = getattr(plan.Enclosure(), field.name) * factor
            box = dataclasses.replace(plan.Enclosure(), **{field.name: value})
            if list(fits.problems(box)):
                continue
            taken += 1
            try:
                made = solids.parts(box)
            except plan.EnclosureError as error:
                wrong.append(f"{field.name} x {factor}: {error}")
                continue
            there = solids.assembled(box, made, box.mast_most)
            for other in ("lid", "clamp"):
                if common(there["body"], there[other]) > 1e-3:
                    wrong.append(f"{field.name} x {factor}: body and {other} share room")
            for name, part in made.items():
                size = part.bounding_box().size
                if math.dist((size.X, size.Y, size.Z), plan.sizes(box)[name]) > 0.01:
                    wrong.append(f"{field.name} x {factor}: {name} is {size}")
    return {"taken": taken, "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(varied() if sys.argv[1] == "--varied" else main(Path(sys.argv[1]))))
