"""Which files outside host/dronewall go into the wheel and the sdist: the nodes' firmware and the example
sites.

A whitelist of suffixes, and nothing that git ignores: a node's config.json, with its Wi-Fi password, lies in
the same folder as the firmware and must never be published. Editable installs carry nothing: they use the
checkout.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Folder in the checkout -> folder in the installed package.
FOLDERS = {"firmware": "dronewall/_firmware", "examples": "dronewall/_examples"}
SUFFIXES = {".py", ".toml", ".md"}


class CarriedFiles(BuildHookInterface[BuilderConfig]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the carried files to `build_data`; RuntimeError where a wheel would be built without any
        firmware.
        """
        if version == "editable":
            return
        for folder, home in FOLDERS.items():
            target = folder if self.target_name == "sdist" else home
            for path in self._carried(folder):
                inside = Path(path).relative_to(folder).as_posix()
                build_data["force_include"][str(Path(self.root, path))] = f"{target}/{inside}"
        if not any(target.endswith("/main.py") for target in build_data["force_include"].values()):
            raise RuntimeError(f"no firmware/main.py under {self.root}: the wheel would have no nodes")

    def _carried(self, folder: str) -> list[str]:
        """Paths relative to the checkout, sorted, so that two builds of one commit are equal."""
        found = []
        for parent, folders, names in os.walk(Path(self.root, folder)):
            folders[:] = [name for name in folders if not name.startswith((".", "__"))]
            for name in names:
                path = Path(parent, name)
                relative = path.relative_to(self.root).as_posix()
                if path.suffix not in SUFFIXES or name.startswith(".") or path.is_symlink():
                    continue
                if not self.build_config.path_is_excluded(relative):
                    found.append(relative)
        return sorted(found)
