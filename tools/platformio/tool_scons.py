"""PlatformIO's package `tool-scons`, made from the SCons that pip has put beside it; PlatformIO fetches it otherwise.

    .venv/pio/bin/python tools/platformio/tool_scons.py FOLDER

FOLDER is PlatformIO's own (PLATFORMIO_CORE_DIR). Ends with 1 and says what to change where the two do not fit.
"""

import json
import sys
from pathlib import Path

import SCons
from platformio.dependencies import get_core_dependencies
from semantic_version import SimpleSpec, Version

_NAME = "tool-scons"
_PROGRAM = "import SCons.Script\n\nSCons.Script.main()\n"


def written(core: Path) -> Path:
    """The package's folder below PlatformIO's `core`; ValueError where PlatformIO wants another SCons."""
    major, minor, patch = (int(part) for part in SCons.__version__.split("."))
    version = f"{major}.{major}{minor:02}{patch:02}.0"  # as PlatformIO numbers it: SCons 4.8.1 is 4.40801.0
    wanted = get_core_dependencies()[_NAME]
    if Version(version) not in SimpleSpec(wanted):
        raise ValueError(f"SCons {SCons.__version__} is {_NAME} {version}, and this PlatformIO wants {wanted}")
    package = core / "packages" / _NAME
    package.mkdir(parents=True, exist_ok=True)
    (package / "scons.py").write_text(_PROGRAM, encoding="utf-8")
    (package / "package.json").write_text(json.dumps({"name": _NAME, "version": version}), encoding="utf-8")
    origin = {"owner": "platformio", "name": _NAME}
    installed = {"type": "tool", "name": _NAME, "version": version, "spec": origin}
    (package / ".piopm").write_text(json.dumps(installed), encoding="utf-8")
    return package


if __name__ == "__main__":
    try:
        written(Path(sys.argv[1]))
    except ValueError as error:
        sys.exit(f"{error}: change tools/platformio/requirements.txt")
