"""The enclosure: its sums by hand, its program, and its solids by build123d."""

import dataclasses
import json
import math
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from conftest import require
from firmware_side import ROOT

sys.path.insert(0, str(ROOT / "hardware"))
import enclosure
import fasteners
import fits
import meshes
import plan

HARDWARE = ROOT / "hardware"
BOX = plan.Enclosure()
WAVE = 299.792458 / 24.125  # [mm] in air


def run(*arguments, python=sys.executable):
    command = [python, str(HARDWARE / "enclosure.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# --- the sums ---


def test_the_reference_enclosure_can_be_built():
    assert list(fits.problems(BOX)) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("width=80", "board beside the side walls: -5.00 mm, at least 1.00 expected"),
        ("wall=1", "wall: 1.00 mm, at least 1.60"),
        ("radome=1", "radome, the front wall: 1.00 mm"),
        ("lens=34", "PIR's collar beside the radar's rail"),
        ("sensor_z=62", "lid over the lens"),
        ("drip=2", "drip over the joint"),
        ("beam=0", "squeeze for a bowed lid"),
        ("length=110", "board behind the battery bay"),
        ("cell_length=120", "battery bay beside the side walls"),
        ("pillar=6", "wall behind the M5 inserts"),
        ("jaw_z=22", "jaw between floor and rim"),
        ("mast_most=72", "mast_most beside the bolts"),
        ("mast_least=20", "gap between the jaws"),
        ("v_depth=7", "v_depth, for mast_most"),
        ("column=20", "room between gland M16: solar panel and antenna"),
        ("screw_reach=70", "rim beyond the outer ears"),
        ("bed=120", "bed for body"),
        ("floor=0", "floor: 0 came, more than 0"),
        ("lid=nan", "lid: nan came"),
        ("material=pla", "material: 'pla' came, one of asa, petg"),
        ("servo_width=40", "shelf between servo and gusset"),
        ("squeeze=0.9", "squeeze 0.9"),
    ],
)
def test_parameters_that_cannot_be_built_are_refused_with_the_reason(change, reason):
    with pytest.raises(plan.EnclosureError) as refused:
        fits.checked(enclosure.changed([change]))
    assert reason in str(refused.value)


def test_every_parameter_made_absurd_is_refused_or_built_but_never_a_traceback():
    for field in dataclasses.fields(BOX):
        if field.name == "material":
            continue
        for value in (0.0, -5.0, 1e-3, 1e4, math.inf, math.nan):
            found = list(fits.problems(dataclasses.replace(BOX, **{field.name: value})))
            assert all(isinstance(each, str) for each in found), (field.name, value)


def test_a_radome_of_half_a_wave_throws_nothing_back_and_one_of_a_quarter_the_most():
    for permittivity in (2.55, 2.8, 4.0):
        half = WAVE / 2 / math.sqrt(permittivity)
        assert plan.half_wave(permittivity) == pytest.approx(half, rel=1e-9)
        assert plan.reflected(half, permittivity) == pytest.approx(0, abs=1e-12)
        # A quarter of a wave: ((1 - n^2) / (1 + n^2))^2, the textbook's case.
        quarter = ((1 - permittivity) / (1 + permittivity)) ** 2
        assert plan.reflected(half / 2, permittivity) == pytest.approx(quarter, rel=1e-9)
        assert plan.reflected(1e-6, permittivity) < 1e-10
    assert plan.half_wave(2.8) == pytest.approx(3.713, abs=5e-4)  # 12.4266 / 2 / 1.67332
    assert plan.front(BOX) == plan.half_wave(2.8)
    assert plan.standing() == pytest.approx(WAVE / 2)


def test_aslant_the_half_wave_is_thicker_and_at_brewsters_angle_no_thickness_matters():
    # 60 degrees: sqrt(2.8 - 0.75) = 1.43178
    assert plan.half_wave(2.8, 60) == pytest.approx(WAVE / 2 / 1.431782, rel=1e-6)
    assert plan.reflected(plan.half_wave(2.8, 60), 2.8, 60) == pytest.approx(0, abs=1e-12)
    brewster = math.degrees(math.atan(math.sqrt(2.8)))
    for thickness in (0.5, 1.9, 3.0):
        assert plan.reflected(thickness, 2.8, brewster, along=True) == pytest.approx(0, abs=1e-12)
        assert plan.reflected(thickness, 2.8, brewster) > 0.05


def test_the_gasket_has_room_to_go_where_it_is_squeezed_to():
    width, depth = plan.groove(BOX)
    assert depth == pytest.approx(3.0 * 0.7)
    assert math.pi * 1.5**2 / (width * depth) == pytest.approx(BOX.fill)
    assert width > BOX.cord  # it goes in


def test_no_screw_of_the_lid_pierces_what_is_sealed():
    sealed = BOX.width / 2 + BOX.land + plan.groove(BOX)[0]
    for _, y in plan.screws(BOX):
        assert abs(y) - BOX.insert_bore / 2 - sealed >= BOX.least_wall


@pytest.mark.parametrize("diameter", [30.0, 42.4, 60.0])
def test_a_mast_touches_both_faces_of_the_v(diameter):
    away = plan.mast_axis(BOX, diameter)
    # A face goes from the V's bottom at 60 degrees to the axis: its distance from the mast's middle is the radius.
    face = np.array([math.cos(math.radians(60)), math.sin(math.radians(60))])
    foot = face * (away * face[0])
    assert math.hypot(away - foot[0], foot[1]) == pytest.approx(diameter / 2)
    assert foot[0] <= BOX.v_depth  # where it touches there is still a face
    assert plan.mast_x(BOX, diameter) == -BOX.length / 2 - BOX.wall - BOX.jaw_back - away


def test_bolts_are_as_long_as_both_jaws_and_the_gap():
    # 60 mm: apexes 2 x 30 / sin 60 = 69.28 apart, and 10 mm of each jaw behind them, less the heads' 6; 8 for the nut
    assert plan.bolt_length(BOX, 60.0) == pytest.approx(69.282 + 2 * 10 - 2 * 6 + 8, abs=1e-3)


def test_a_mast_that_goes_on_hides_an_angle_of_the_sky():
    distance = BOX.patch_x - plan.mast_x(BOX, 60.0)
    assert math.tan(math.radians(plan.mast_in_the_sky(BOX, 60.0) / 2)) == pytest.approx(
        30 / math.sqrt(distance**2 - 30**2)
    )


def test_the_lens_sees_under_the_skirt_by_similar_triangles():
    up = (80 - BOX.drip) - (BOX.sensor_z + BOX.lens / 2)
    out = plan.lid_outline(BOX)[0] - (BOX.length / 2 + plan.front(BOX) - BOX.lens_recess)
    assert plan.over_the_lens(BOX) == pytest.approx(math.degrees(math.atan(up / out)))
    assert plan.over_the_lens(BOX) > 46


def test_what_looks_is_what_the_catalogue_says():
    text = (ROOT / "host" / "dronewall" / "catalogue.toml").read_text("utf-8")
    entry = text.split("[ekmb-wide]")[1].split("[ekmb-wide.sources]")[0]
    assert BOX.hfov_deg == float(re.search(r"hfov_deg = ([\d.]+)", entry)[1])
    assert BOX.vfov_deg == float(re.search(r"vfov_deg = ([\d.]+)", entry)[1])


def test_screws_are_long_enough_to_hold_and_too_short_to_bottom():
    found = dict(reversed(row) for row in fasteners.needed(BOX, 48.0))
    # 16 mm of jaw under an M5's head and an insert's bore of 10; 4 mm of lid and a bore of 9; 1.6 of board and 12.
    assert found["M5 x 25"] == 4
    assert found["M4 x 10 with sealing washer"] == 6
    assert found["M3 x 8, self-tapping"] == 4
    # 48 mm: 2 x (24 / sin 60 + 10 - 6) + 8 = 71.4
    assert found["M8 x 80 with nut and washer"] == 2
    # 124 and 92 straight, twice, and a circle of 4 + 1.8 + 1.87: 480 mm
    assert fasteners.cord(BOX) == pytest.approx(432 + 2 * math.pi * 7.67, abs=0.1)
    assert found["cord of silicone sponge, 3 mm, 500 mm"] == 1
    with pytest.raises(plan.EnclosureError, match=r"no screw on sale is 21\.0 to 24\.0"):
        fasteners.length(21, 24)


def test_every_mast_has_a_bolt_on_sale():
    for diameter in np.arange(BOX.mast_least, BOX.mast_most + 0.1):
        for servo in (False, True):
            assert fasteners.needed(BOX, diameter, servo)[0][1].startswith("M8 x")


def test_the_clamp_holds_in_a_storm():
    force, torque, held = fasteners.storm(BOX, 48.0, 40.0)
    # 1000 Pa on 138.71 x 87.6 mm, drag 2.1; the box's middle is 0.36 - (-106.71) mm ahead of the mast's axis
    assert force == pytest.approx(1000 * 2.1 * 0.138713 * 0.0876, rel=1e-4)
    assert torque == pytest.approx(force * (0.35658 + 66 + 3 + 10 + 24 / math.sin(math.radians(60))) / 1000, rel=1e-4)
    # 2 N m on an M8 are 1250 N; on each of four faces 1250 / sin 60
    assert held == pytest.approx(0.2 * 4 * 1250 / math.sin(math.radians(60)) * 0.024)
    assert held > 5 * torque


# --- the program ---


def test_the_sums_need_no_build123d():
    done = run("--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3.71 mm; half a wave in asa" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--check", "--set", "widht=90"], "there is no 'widht'; near it: width"),
        (["--check", "--set", "width=wide"], "'wide' came, a number"),
        (["--check", "--set", "width"], "'' came, a number"),
        (["--check", "--set", "width=80"], "board beside the side walls"),
        ([], "one of the arguments --output --check is required"),
    ],
)
def test_a_wrong_word_is_told_with_what_was_expected(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_build123d_it_says_who_installs_it(tmp_path):
    done = run("--output", tmp_path / "parts")
    assert done.returncode == 2
    assert done.stderr == "enclosure: build123d is not installed here: make hardware installs and runs it\n"
    assert not (tmp_path / "parts").exists()


def test_pictures_without_parts_say_who_writes_them(tmp_path):
    command = [sys.executable, str(HARDWARE / "render.py"), "--parts", str(tmp_path), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "body.stl: No such file or directory; make hardware writes it" in done.stderr


def test_the_page_on_the_enclosure_tells_the_parameters_that_are():
    page = (HARDWARE / "enclosure.md").read_text("utf-8")
    known = {field.name for field in dataclasses.fields(BOX)}
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)
    assert len(rows) >= 15
    for name, value in rows:
        assert name in known, name
        assert getattr(BOX, name) == float(value), name
    for name in re.findall(r"--set (\w+)=", page):
        assert name in known, name
    for wall, *shares in re.findall(r"^\| ([\d.]+)" + r" \| ([\d.]+)" * 4 + r" \|$", page, re.MULTILINE):
        found = [100 * plan.reflected(float(wall), 2.8, angle) for angle in (0, 30, 45, 60)]
        assert [float(share) for share in shares] == pytest.approx(found, abs=0.06), wall
    for link in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (HARDWARE / link).exists(), link


def test_every_command_on_the_page_is_one():
    page = (HARDWARE / "enclosure.md").read_text("utf-8")
    commands = re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1].splitlines()
    assert len(commands) == 5
    for command in commands:
        python, script, *arguments = command.split()
        assert python in ("python", ".venv/hardware/bin/python")
        if "--check" in arguments:
            done = subprocess.run(
                [sys.executable, ROOT / script, *arguments], capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stderr) == (0, ""), command
        else:
            told = (ROOT / script).read_text("utf-8")
            for option in arguments:
                assert not option.startswith("--") or f'"{option}"' in told, command


# --- the solids ---


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The folder with the parts, and what the real kernel says of them."""
    python = require("build123d")
    folder = tmp_path_factory.mktemp("parts")
    command = [python, str(ROOT / "tests" / "enclosure_facts.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def solids(test):
    """For `make soak`, which installs the geometry kernel: a gigabyte, too much for every `make test`."""
    return pytest.mark.soak(pytest.mark.timeout(300)(test))


@solids
def test_every_part_is_one_closed_valid_solid_as_large_as_the_sums_say(parts):
    _, facts = parts
    assert set(facts["parts"]) == set(plan.sizes(BOX)) == set(plan.COUNT)
    for name, part in facts["parts"].items():
        assert (part["solids"], part["valid"], part["closed"]) == (1, True, True), name
        assert part["size"] == pytest.approx(plan.sizes(BOX)[name], abs=1e-3), name
        assert part["step"] == pytest.approx(part["volume"], rel=1e-6), name


@solids
def test_the_volumes_are_those_of_the_closed_forms(parts):
    _, facts = parts
    # A jaw: block, less the V's prism, two M8 bores with a hexagon, four M5 bores with a counterbore.
    depth, width = plan.jaw(BOX)
    jaw = depth * width * BOX.jaw_height - BOX.v_depth**2 * math.tan(math.radians(60)) * BOX.jaw_height
    hexagon = math.sqrt(3) / 2 * BOX.head_flats**2
    jaw -= 2 * (math.pi / 4 * BOX.bolt_bore**2 * (depth - BOX.head_depth) + hexagon * BOX.head_depth)
    bore, head = (math.pi / 4 * each**2 for each in (BOX.fix_bore, BOX.fix_head))
    jaw -= 4 * (bore * (depth - BOX.fix_head_depth) + head * BOX.fix_head_depth)
    assert facts["parts"]["clamp"]["volume"] == pytest.approx(jaw, rel=1e-9)
    # The servo's carrier: plate, shelf, two triangles; less the servo, its screws and the M5.
    carrier = BOX.plate * BOX.plate_width * BOX.plate_height + BOX.shelf * BOX.shelf_length * BOX.shelf_width
    carrier += BOX.shelf_length * (BOX.plate_height - BOX.shelf) * BOX.gusset
    carrier -= BOX.shelf * (BOX.servo_length * BOX.servo_width + 4 * math.pi / 4 * BOX.servo_bore**2)
    assert facts["parts"]["servo_carrier"]["volume"] == pytest.approx(carrier - 4 * bore * BOX.plate, rel=1e-9)
    # The box's floor: a rectangle with round corners, less the bores.
    long, wide = BOX.length + BOX.wall + plan.front(BOX), BOX.width + 2 * BOX.wall
    floor = long * wide - (4 - math.pi) * (BOX.corner + BOX.wall) ** 2
    floor -= sum(math.pi / 4 * each.diameter**2 for each in plan.bores(BOX))
    assert facts["floor"] == pytest.approx(floor * BOX.floor, rel=1e-9)


@solids
def test_no_part_stands_in_another_and_what_is_bought_has_its_room(parts):
    _, facts = parts
    assert max(facts["together"].values()) < 1e-3, facts["together"]
    assert max(max(pair) for pair in facts["bought"].values()) < 1e-3, facts["bought"]
    assert max(facts["bought together"].values()) < 1e-3, facts["bought together"]


@solids
def test_both_jaws_hold_every_mast_and_the_box_is_clear_of_it(parts):
    _, facts = parts
    assert set(facts["masts"]) == {"30.0", "48.0", "60.0"}
    for found in facts["masts"].values():
        for name, (exact, thicker) in found.items():
            assert exact < 1e-3, name
            assert (thicker > 1) == name.startswith("clamp"), name


@solids
def test_the_lids_bores_stand_over_the_inserts_and_no_insert_comes_near_a_face(parts):
    _, facts = parts
    through, aside = facts["screws"]
    assert len(through) == 6
    assert max(through) < 1e-3
    assert min(aside) > 1
    # A sleeve of `least_wall` around each insert is plastic to the last.
    assert facts["ears"] == pytest.approx([1] * 6, abs=1e-9)
    assert facts["fixings"] == pytest.approx([1] * 4, abs=1e-9)


@solids
def test_nothing_of_the_box_stands_in_the_sight_of_the_pir(parts):
    _, facts = parts
    assert max(facts["sight"].values()) < 1e-3, facts["sight"]
    assert facts["sight of a wider lens"] > 1  # the cone is where the lens is


@solids
def test_the_radar_looks_through_an_even_wall_and_nothing_else(parts):
    _, facts = parts
    assert facts["radome"]["wall"] == pytest.approx(facts["radome"]["full"], rel=1e-9)
    assert facts["radome"]["before"] < 1e-3


@solids
def test_the_stl_files_are_watertight_and_lie_on_the_bed(parts):
    folder, facts = parts
    for name, part in facts["parts"].items():
        triangles = meshes.read_stl(folder / f"{name}.stl")
        _, corners = np.unique(np.round(triangles.reshape(-1, 3), 4), axis=0, return_inverse=True)
        faces = corners.reshape(-1, 3)
        assert all(len(set(face)) == 3 for face in faces.tolist()), name
        edges = Counter((face[i - 1], face[i]) for face in faces.tolist() for i in range(3))
        assert all(edges[b, a] == count == 1 for (a, b), count in edges.items()), name
        volume = np.einsum("ij,ij->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])) / 6
        assert volume == pytest.approx(part["volume"], rel=1e-3), name
        assert triangles[..., 2].min() == pytest.approx(0, abs=1e-4), name
        drawn = meshes.part(BOX, folder, name, meshes.SHELL).triangles
        assert np.ptp(drawn, axis=(0, 1)) == pytest.approx(part["size"], abs=0.01), name


@solids
def test_box_and_lid_overhang_by_45_degrees_at_most_but_for_the_tops_of_small_bores(parts):
    folder, _ = parts
    bores = [(BOX.pir_y, BOX.sensor_z, 13.0)]
    bores += [(y, BOX.jaw_z + z, BOX.fix_insert / 2) for y, z in plan.fixings(BOX)]
    for name in ("body", "lid"):
        triangles = meshes.read_stl(folder / f"{name}.stl")
        normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        # Facets of a round edge that leans at 45 degrees lean by up to 2 more.
        steep = normal[:, 2] < -math.cos(math.radians(43)) * np.linalg.norm(normal, axis=1)
        steep &= triangles[..., 2].min(1) > 0.01
        for _, y, z in triangles[steep].mean(1):
            height = z - BOX.floor
            lies = any(math.hypot(y - a, height - b) < r + 0.1 for a, b, r in bores)
            slot = abs(height - 5) < 0.01 and abs(abs(y) - plan.bay(BOX)[2] / 2) < BOX.tie  # of the battery's ties
            assert name == "body", (y, z)
            assert lies or slot, (y, height)


@solids
def test_the_table_has_volume_and_mass_of_every_part(parts):
    _, facts = parts
    for name, part in facts["parts"].items():
        row = re.search(rf"^{name} .*$", facts["table"], re.MULTILINE)[0].split()
        volume, asa, petg = map(float, row[-3:])
        assert volume == pytest.approx(part["volume"] / 1000, abs=0.051)
        assert asa == pytest.approx(volume * 1.07, abs=0.6)
        assert petg == pytest.approx(volume * 1.27, abs=0.6)
        assert int(row[1]) == plan.COUNT[name]


@solids
def test_other_parameters_make_other_parts_and_a_file_in_the_way_is_told(parts):
    folder, facts = parts
    assert facts["changed"] == [0, ""]
    assert sorted(path.name for path in (folder / "changed").iterdir()) == sorted(
        f"{name}.{kind}" for name in plan.COUNT for kind in ("step", "stl")
    )
    assert np.ptp(meshes.read_stl(folder / "changed" / "body.stl")[..., 2]) == pytest.approx(93.6, abs=1e-3)
    assert facts["in the way"] == [2, f"enclosure: {folder}/file: File exists; --output expects a folder to write to\n"]


@pytest.mark.soak
def test_whatever_the_sums_accept_the_kernel_can_make():
    command = [require("build123d"), str(ROOT / "tests" / "enclosure_facts.py"), "--varied"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["taken"] > 100
