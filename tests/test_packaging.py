"""What is published: the wheel carries the firmware and the examples, and nothing that belongs to one
machine.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from conftest import ROOT

# What a build reads. Copied, so that planted secrets never lie in the checkout.
SOURCES = ["pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "constraints.txt", ".gitignore"]
FOLDERS = ["host", "firmware", "examples", "tools"]

SECRETS = [
    "firmware/config.json",
    "firmware/secrets.py",
    "firmware/node.der",
    "firmware/.hidden.py",
    "firmware/__pycache__/main.py",
    "examples/config.json",
    "examples/.notes/site.toml",
    "host/dronewall/config.json",
]


def built(kind: str, source: Path, out: Path) -> Path:
    """The archive that hatchling makes of the folder, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    ran = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stderr
    (archive,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return archive


def wheel_files(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as wheel:
        return {name for name in wheel.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which somebody keeps a node's passwords beside its firmware."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy / name)
    for name in FOLDERS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "config.json"))
    for name in SECRETS:
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"wifi": [{"password": "hunter2"}]}')
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("sdist", source, tmp_path_factory.mktemp("sdist"))


def wanted(folder: str, *suffixes: str) -> set[str]:
    """The checkout's files with these suffixes, relative to the folder, that git does not ignore."""
    listed = tracked() or [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    base = ROOT / folder
    return {
        path.relative_to(base).as_posix() for path in listed if path.is_relative_to(base) and path.suffix in suffixes
    }


def tracked() -> list[Path]:
    """Every file of the checkout that git knows or would take; empty where git or its folder is missing."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return []
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    return [path for name in ran.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_the_wheel_carries_all_firmware_and_every_example_site(wheel: Path) -> None:
    files = wheel_files(wheel)
    firmware = wanted("firmware", ".py", ".toml", ".md")
    assert "main.py" in firmware
    assert {f"dronewall/_firmware/{name}" for name in firmware} <= files
    examples = wanted("examples", ".py", ".toml", ".md")
    assert {f"dronewall/_examples/{name}" for name in examples} <= files
    assert {name for name in files if "_firmware" in name} == {f"dronewall/_firmware/{name}" for name in firmware}


def test_the_wheel_carries_the_whole_package_and_its_type_marker(wheel: Path) -> None:
    modules = wanted("host/dronewall", ".py", ".typed", ".toml")
    assert {"wire.py", "catalogue.toml"} <= modules
    assert {f"dronewall/{name}" for name in modules} <= wheel_files(wheel)
    assert "dronewall/py.typed" in wheel_files(wheel)


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_nobodys_passwords_are_published(kind: str, request: pytest.FixtureRequest) -> None:
    archive = request.getfixturevalue(kind)
    if kind == "wheel":
        with zipfile.ZipFile(archive) as opened:
            contents = {name: opened.read(name) for name in opened.namelist()}
    else:
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.isfile()]
            contents = {each.name: file.read() for each in members if (file := tar.extractfile(each))}
    own_line = b'"password": "hunter2"}]}'
    assert [name for name, data in contents.items() if data.endswith(own_line)] == []
    assert [name for name in contents if name.endswith(("config.json", ".der", "secrets.py"))] == []


def test_the_wheel_from_the_sdist_is_the_wheel_from_the_checkout(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python 3.11.2 has none
        tar.extractall(tmp_path)
    (unpacked,) = tmp_path.iterdir()
    assert wheel_files(built("wheel", unpacked, tmp_path / "out")) == wheel_files(wheel)


def test_an_editable_install_uses_the_checkouts_firmware(source: Path, tmp_path: Path) -> None:
    (archive,) = WheelBuilder(str(source)).build(directory=str(tmp_path), versions=["editable"])
    assert not any("_firmware" in name or "_examples" in name for name in wheel_files(Path(archive)))


def test_a_wheel_without_firmware_is_not_built(source: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(source, tmp_path / "bare", ignore=shutil.ignore_patterns("main.py"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "out")]
    ran = subprocess.run(command, cwd=bare, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode != 0
    assert "firmware/main.py" in ran.stderr


def test_the_unpacked_wheel_imports_and_knows_its_version(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    code = "import dronewall; print(dronewall.__file__, dronewall.__version__)"
    said = subprocess.check_output(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, text=True, timeout=50
    )
    path, version = said.split()
    assert Path(path).is_relative_to(tmp_path)
    assert wheel.name.startswith(f"dronewall-{version}-")


def test_every_dependency_stands_with_its_reason_and_is_pinned() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    lines = text.splitlines()
    for dependency in [*project["dependencies"], *chain(*project["optional-dependencies"].values())]:
        at = next(number for number, line in enumerate(lines) if f'"{dependency}"' in line)
        assert "#" in lines[at].rpartition('"')[2] or lines[at - 1].lstrip().startswith("#"), dependency
        assert re.split(r"[<>=;\[ ]", dependency)[0].lower() in pinned, dependency


def test_the_pins_name_no_address() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--index-url|--find-links|--hash|file:", pins)


def test_what_is_flashed_is_pinned_with_its_hash() -> None:
    manifest = tomllib.loads((ROOT / "firmware" / "manifest.toml").read_text(encoding="utf-8"))
    assert manifest["format"] == 1
    for library in manifest["libraries"]:
        assert set(library) == {"name", "version", "file", "sha256", "licence", "why"}
        assert re.fullmatch(r"==\d+(\.\d+)+\S*", library["version"]), library
        assert re.fullmatch(r"[0-9a-f]{64}", library["sha256"]), library
        assert library["file"].replace("_", "-").startswith(library["name"].replace("_", "-")), library


def test_the_tests_run_the_interpreter_that_the_manifest_names(micropython: str) -> None:
    manifest = tomllib.loads((ROOT / "firmware" / "manifest.toml").read_text(encoding="utf-8"))
    command = [micropython, "-c", "import sys; print(sys.version)"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert manifest["micropython"]["revision"] in said


def test_no_file_names_a_place_on_somebodys_machine_or_a_registrys_host() -> None:
    # Written so that this file does not find itself.
    places = ["/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/wo" + "rk/", "/opt/py" + "pi"]
    hosts = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "deb.deb" + "ian.org"]
    pattern = re.compile("|".join(re.escape(each) for each in places + hosts))
    files = tracked()
    if not files:
        pytest.skip("no git checkout: nothing tells which files are tracked")
    faults = []
    for path in files:
        data = path.read_bytes()
        if b"\0" not in data:
            for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
                if pattern.search(line):
                    faults.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert faults == []
