"""The tests' own ground: a missing part is loud, and no test leaves this machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import conftest

NEEDY = """
import socket
import pytest
from conftest import require


@pytest.mark.needs("micropython")
def test_by_marker():
    pass


def test_by_fixture(micropython):
    pass


def test_by_call():
    require("micropython")


def test_that_needs_nothing():
    pass
"""


def session(folder: Path, *arguments: str, **environment: str) -> str:
    """What a session of its own prints, with this conftest.py and the tests above."""
    shutil.copy(conftest.__file__, folder / "conftest.py")
    (folder / "test_needy.py").write_text(NEEDY)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    needs: parts\n")
    kept = {key: value for key, value in os.environ.items() if key != "CI" and not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
    told = {**kept, "DRONEWALL_MICROPYTHON": str(folder / "nothing here"), **environment}
    ran = subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, timeout=50, check=False)
    return ran.stdout + ran.stderr


def test_a_missing_part_skips_in_all_three_ways_and_stands_at_the_end(tmp_path: Path) -> None:
    said = session(tmp_path)
    assert "1 passed, 3 skipped" in said
    assert "NOT TESTED: 3 skipped" in said
    assert "3 x micropython is missing" in said


def test_a_missing_part_fails_when_ci_is_set(tmp_path: Path) -> None:
    said = session(tmp_path, CI="true")
    assert "skipped" not in said.splitlines()[-1]
    assert "1 passed" in said
    assert "counts as a failure when CI is set" in said


@pytest.mark.parametrize("name", [name for name in conftest.PARTS if name != "build123d"])  # make soak installs it
def test_a_part_that_is_here_can_be_run_or_imported(name: str) -> None:
    found = conftest.require(name)
    assert Path(found).is_file() or __import__(found)


@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("2001:db8::1", 9), ("example.invalid", 9)])
def test_another_machine_is_out_of_reach(address: tuple[str, int]) -> None:
    import socket

    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as other, pytest.raises(OSError, match="tests stay on this machine"):
        other.connect(address)


def test_this_machine_is_within_reach(free_port: int) -> None:
    import socket

    with socket.create_server(("127.0.0.1", free_port)) as server:
        with socket.create_connection(("127.0.0.1", free_port), timeout=5) as client:
            assert client.getpeername() == server.getsockname()
        with socket.create_connection(("localhost", free_port), timeout=5) as client:
            assert client.getpeername() == server.getsockname()
