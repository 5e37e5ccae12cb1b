"""Which `dronewall` command a target of PlatformIO is: which program, which port, which words.

Standard library only, for it runs in PlatformIO's own Python; main.py beside it speaks with PlatformIO.
"""

import fnmatch
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

WITH_PORT = ("upload", "provision", "check", "calibrate")


class BenchError(ValueError):
    """What is missing for a target, and where it is said."""


def program(project: Path, path: str) -> str:
    """The `dronewall` of the checkout, else that of the search path `path`; BenchError where there is neither."""
    own = project / ".venv" / "bin" / "dronewall"
    found = str(own) if own.is_file() else shutil.which("dronewall", path=path)
    if found is None:
        raise BenchError(f"no dronewall: neither {own} nor one on the PATH; `make demo` installs it")
    return found


def fitting(told: str, ports: Iterable[tuple[str, str]], boards: Iterable[str]) -> list[str]:
    """The serial ports that `told` means: itself, all that fit it where it is a pattern, or, where nothing is told,
    those whose USB id is among `boards`.

    `ports` are those of this machine, each with its USB id (`10C4:EA60`, or "" where it has none).
    """
    if told and not set(told) & set("*?["):
        return [told]
    if told:
        return sorted(name for name, _ in ports if fnmatch.fnmatch(name, told))
    known = {each.upper() for each in boards}
    return sorted(name for name, usb in ports if usb.upper() in known)


def port(told: str, ports: Iterable[tuple[str, str]], boards: Iterable[str]) -> str:
    """The one that is `fitting`; BenchError where none is, or several: which of them is meant nobody can guess."""
    here = sorted(ports)
    found = fitting(told, here, boards)
    if len(found) == 1:
        return found[0]
    if found:
        raise BenchError(f"{len(found)} boards are here ({', '.join(found)}): say which with --upload-port PORT")
    others = ", ".join(name for name, _ in here)
    raise BenchError(
        f"no board found {f'at {told}' if told else 'by its USB id'} (ports of this machine: {others or 'none'}): "
        "connect it, or say where it is with --upload-port PORT, or upload_port in platformio_local.ini"
    )


def words(target: str, told: Mapping[str, str], port: str, more: list[str]) -> list[str]:
    """What follows `dronewall node`: the target's command with its port, what platformio.ini has `told` about it
    (custom_site, custom_node, custom_secrets, custom_image), and what `more` was given with `pio run -a`. When
    provisioning, the first word of `more` is the node, unless it is an option.

    BenchError names the option that is missing.
    """
    if target == "list":
        return ["list", *more]
    if target == "upload":
        image = told.get("custom_image", "")
        return ["flash", "--port", port, *(["--image", image] if image else []), *more]
    if target == "provision":
        for option, what in (("custom_site", "site file"), ("custom_secrets", "folder of the nodes' secrets")):
            if not told.get(option):
                raise BenchError(f"which {what}? expected {option} = ... in platformio_local.ini")
        named = bool(more) and not more[0].startswith("-")
        node = more[0] if named else told.get("custom_node", "")
        if not node:
            raise BenchError(
                f"which node of {told['custom_site']}? expected custom_node = ... in platformio_local.ini, "
                "or `pio run -t provision -a NODE`"
            )
        rest = more[1:] if named else more
        return ["provision", told["custom_site"], node, "--port", port, "--secrets", told["custom_secrets"], *rest]
    return [target, "--port", port, *more]
