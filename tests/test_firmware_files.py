"""Where the nodes' firmware lies."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dronewall import firmware_files, wire
from dronewall.cli import main


def test_the_firmware_lies_where_the_resolver_says():
    assert (firmware_files.firmware() / "main.py").is_file()
    assert (firmware_files.firmware() / "unix" / "run.py").is_file()
    assert firmware_files.wire() == Path(wire.__file__).resolve()


def test_the_installed_firmware_is_found_without_a_checkout_and_a_strangers_folder_is_not_taken(monkeypatch, tmp_path):
    package = tmp_path / "site-packages" / "dronewall"
    stranger = tmp_path / "firmware"
    for folder in (package / "_firmware" / "unix", stranger):
        folder.mkdir(parents=True)
    (stranger / "main.py").touch()
    monkeypatch.setattr(firmware_files, "_PACKAGE", package)
    with pytest.raises(FileNotFoundError, match="_firmware"):
        firmware_files.firmware()
    (package / "_firmware" / "main.py").touch()
    (package / "_firmware" / "unix" / "run.py").touch()
    assert firmware_files.firmware() == package / "_firmware"


@pytest.mark.needs("mpy-cross")
def test_the_command_compiles_into_a_folder_and_says_where_it_cannot(tmp_path):
    done = CliRunner().invoke(main, ["node", "build", str(tmp_path / "new" / "firmware")])
    assert done.exit_code == 0, done.output
    modules = {path.stem for path in (tmp_path / "new" / "firmware").glob("*.mpy")}
    assert modules >= {path.stem for path in firmware_files.firmware().glob("*.py")} - {"manifest"} | {
        "wire",
        "wiretable",
    }
    taken = tmp_path / "taken"
    taken.touch()
    refused = CliRunner().invoke(main, ["node", "build", str(taken)])
    assert refused.exit_code == 2
    assert str(taken) in refused.output
    assert "Traceback" not in refused.output
