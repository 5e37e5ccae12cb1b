"""Imports point one way, and what should be light is light."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dronewall

PACKAGE = Path(dronewall.__file__).parent
FIRMWARE = PACKAGE.parents[1] / "firmware"

# DESIGN: a module imports from the rows above its own, and within one part of the package (report, live, ...)
# from its neighbours. A new module gets its place here.
ORDER = [
    ["wire", "toml_lines", "firmware_files", "engine._jit", "engine.pool", "talk"],
    ["toml_check", "asyncapi"],
    ["site_places", "options"],
    ["patrol_rules"],
    ["site_rules", "struct_docs", "catalogue"],
    ["scenario", "engine.radar"],
    [
        "engine.earth",
        "engine.sun",
        "engine.frontage",
        "engine.models",
        "interop.mavlink",  # arithmetic on messages; live listens with it
    ],  # the frontage is plain geometry; terrain asks it what must be covered
    ["engine.terrain", "engine.exposure"],
    ["engine.belt", "engine.going", "engine.repair"],
    ["engine.frustum"],
    ["engine.footprint"],
    ["engine.tops"],  # what a ray of the fan carries
    ["engine.fan", "engine.horizon", "engine.certify"],
    ["engine.canopy"],
    ["engine.viewshed", "engine.profile"],
    ["engine.radio"],
    ["engine.showing", "engine.view"],  # loops over arrays: what view is, frustum says
    ["engine.detection"],
    ["engine.levels"],
    ["engine.stored"],
    ["engine.field"],
    ["engine.crossing"],
    ["engine.breach"],
    ["engine.alarm"],
    ["engine.gaps"],
    ["engine.route"],
    ["engine.patrol", "engine.loss", "engine.placement"],
    ["engine.fewest"],
    ["engine.ground"],
    ["engine.plan", "engine.links"],
    ["engine.sensors", "engine.track"],
    ["engine.wall"],
    ["engine.moving"],
    ["engine.together"],
    ["engine.revisit"],
    ["engine.timetable", "engine.floor"],
    ["engine.slots", "engine.watch"],
    ["engine.costs"],
    ["engine.passage"],
    ["engine.itinerary"],
    ["engine.spacetime"],
    ["engine.timed", "engine.opening"],
    ["engine.schedule"],
    ["engine.cycle"],
    ["engine.reason", "engine.trust"],
    ["engine.closing", "engine.resilience"],
    ["report", "live"],
    ["interop"],  # says in other formats what the report's figures say
    ["outputs", "sources", "program"],
    ["demo", "bridges"],
    ["web", "bench", "simulation"],
    ["boards", "commissioning"],
    ["alignment"],
    ["masts"],
    ["nodes", "radio_links"],
    ["cli"],
    ["__main__"],
]
ROW = {place: row for row, places in enumerate(ORDER) for place in places}


def name_of(path: Path) -> str:
    """A module's name below `dronewall`; the package's own is empty."""
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
ENGINE = [name for name in MODULES if name.startswith("engine.")]


def place_of(module: str) -> str | None:
    """The module's place in ORDER: its own, or that of the part of the package that it is in."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in ROW:
            return ".".join(parts[:length])
    return None


def imported(path: Path, module: str = "") -> Iterator[str]:
    """Every absolute module name that the file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ["dronewall", *module.split(".")]
                if path.name != "__init__.py":
                    package.pop()
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, base]).rstrip(".")
            for alias in node.names:
                below = f"{base}.{alias.name}"
                yield below if below.removeprefix("dronewall.") in MODULES else base


def imported_from_here(module: str) -> set[str]:
    """The modules of this package that the module imports, by their names below `dronewall`."""
    names = {name for name in imported(MODULES[module], module) if name.split(".")[0] == "dronewall"}
    return {name.removeprefix("dronewall").lstrip(".") for name in names} - {""}


def layering_faults() -> list[str]:
    faults = []
    for module in MODULES:
        if module == "" or (MODULES[module].name == "__init__.py" and not imported_from_here(module)):
            continue
        place = place_of(module)
        if place is None:
            faults.append(f"{module} has no place in ORDER")
            continue
        for other in imported_from_here(module):
            there = place_of(other)
            if there is None:
                faults.append(f"{module} imports {other}, which has no place in ORDER")
            elif ROW[there] >= ROW[place] and there != place:
                faults.append(f"{module} imports {other}, which stands beside or below it in DESIGN's order")
    return faults


def test_imports_point_one_way() -> None:
    assert layering_faults() == []


def test_an_import_against_the_order_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, line in enumerate(["from dronewall.engine import wall", "def f():\n    from ..cli import main"]):
        backwards = tmp_path / f"backwards{number}.py"
        backwards.write_text(line)
        monkeypatch.setitem(MODULES, "cli", backwards)
        monkeypatch.setitem(MODULES, "engine.wall", backwards)
        monkeypatch.setitem(MODULES, "engine.earth", backwards)
        faults = [fault for fault in layering_faults() if fault.startswith("engine.earth ")]
        assert len(faults) == 1, line


def test_no_two_modules_import_each_other() -> None:
    graph = {module: imported_from_here(module) - {module} for module in MODULES if module}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("module", ENGINE)
def test_the_engine_knows_no_clock_socket_picture_or_environment(module: str) -> None:
    foreign = {"asyncio", "click", "datetime", "http", "iotcore", "logging", "matplotlib", "os", "paho"}
    foreign |= {"rich", "select", "socket", "ssl", "subprocess", "threading", "time", "urllib"}
    used = {name.split(".")[0] for name in imported(MODULES[module], module)}
    if module == "engine._jit":  # decides where machine code is kept, and that alone
        foreign -= {"os", "threading", "time"}
    assert used & foreign == set()


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that the statement brings into a fresh interpreter."""
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stderr
    return {name.split(".")[0] for name in ran.stdout.split()}


@pytest.mark.parametrize("module", ENGINE)
def test_each_engine_module_imports_alone(module: str) -> None:
    loaded = loaded_by(f"import dronewall.{module}")
    assert loaded & {"matplotlib", "paho", "iotcore", "rich"} == set()


def test_import_dronewall_loads_nothing_but_itself() -> None:
    assert loaded_by("import dronewall") - sys.stdlib_module_names == {"dronewall"}


@pytest.mark.parametrize("name", sorted(set(dronewall.__all__)))
def test_every_name_that_the_package_offers_is_there(name: str) -> None:
    assert getattr(dronewall, name) is not None
    assert name in dir(dronewall)


def test_a_name_that_the_package_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dronewall.nonsense


def test_wire_needs_nothing_that_a_node_lacks() -> None:
    # MicroPython on an ESP32 has these of the standard library; `typing`, `enum` and `dataclasses` it has
    # not.
    on_the_node = {"binascii", "collections", "errno", "io", "json", "math", "micropython", "struct", "sys"}
    # Its own table lies beside it there (`firmware_files.built`).
    assert set(imported(MODULES["wire"], "wire")) <= on_the_node | {"wiretable"}


def test_the_firmware_knows_nothing_of_the_host_but_wire() -> None:
    files = {path.stem: path for path in FIRMWARE.rglob("*.py")}
    assert "main" in files
    host = {name.split(".")[0] for name in MODULES if name} - {"wire"} - set(files)
    for path in files.values():
        used = {name.split(".")[0] for name in imported(path)}
        assert used & ({"dronewall"} | host) == set(), path


def test_the_host_imports_nothing_of_the_firmware() -> None:
    firmware = {path.stem for path in FIRMWARE.rglob("*.py")} | {"firmware", "sensors"}
    own = firmware - sys.stdlib_module_names - {"serial"}  # pyserial's name, and a driver's beside it
    for module, path in MODULES.items():
        assert set(imported(path, module)) & own == set(), module
