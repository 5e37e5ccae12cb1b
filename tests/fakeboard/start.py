"""What a fake board does when it starts: mounts its flash as `/`, runs boot.py and main.py, and leaves the REPL to -i.

    micropython -X heapsize=256k -i start.py FOLDER UNIX CAUSE MAIN

FOLDER has flash.img, board.json, world.json and track; UNIX is the compiled firmware/unix; MAIN is 0 where main.py is
not to be run, as after a soft reset in the raw REPL. What the ESP32's _boot.py and inisetup.py do (MicroPython,
ports/esp32/modules).
"""

import gc
import json
import sys

_folder, _unix, _cause, _main = sys.argv[1:5]
_here = __file__.rsplit("/", 1)[0]
sys.path[:] = [_here, _unix, ".frozen"]

import os  # noqa: E402

import vfs  # noqa: E402

os.chdir(_folder)
with open("board.json") as _file:
    _told = json.load(_file)
import flash_device  # noqa: E402
import world  # noqa: E402

world.world()
_host = vfs.VfsPosix("/")


def _live(name):
    # world.live's part: the folder cannot be reached by its name once the flash is `/`.
    try:
        with _host.open(_folder + "/" + name, "r") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


world.live = _live
import esp  # noqa: E402
import machine  # noqa: E402

for _name in ["network", "socket", "sleeping", "esp32", "devices.analogue", "devices.scene"]:
    __import__(_name)
for _name in world.world().devices():
    __import__("devices." + _name)
machine.cause = int(_cause)
machine.unique_id = lambda id=bytes(_told["mac"]): id
machine.freq = lambda: 160_000_000
esp.size = _told["flash_bytes"]
os.names = os._Names("esp32", "esp32", _told["release"], _told["version"], _told["machine"])


class _Watchdog:
    # It outlives every soft reset, and Ctrl-C: only the fake board's supervisor knows when it bites.
    def __init__(self, id=0, timeout=5000):
        self._timeout = timeout
        self._file = _host.open(_folder + "/fed", "w")
        self.feed()

    def feed(self, asleep=0):
        self._file.seek(0)
        self._file.write(f"{self._timeout + asleep:9d}")
        self._file.flush()


machine.WDT = _Watchdog

_device = flash_device.File(_folder + "/" + flash_device.IMAGE)
os.umount("/")
try:
    vfs.mount(vfs.VfsLfs2(_device), "/")
except OSError:
    vfs.VfsLfs2.mkfs(_device)
    vfs.mount(vfs.VfsLfs2(_device), "/")
    with open("/boot.py", "w") as _file:
        _file.write("# This file is executed on every boot (including wake-boot from deepsleep)\n")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
gc.collect()
gc.threshold(4096)
sys.stdout.write("\x00ready\x00")
for _file in ("boot.py", "main.py"):
    if _file in os.listdir("/") and (_file == "boot.py" or int(_main)):
        try:
            execfile(_file)  # type: ignore[name-defined] # noqa: F821
        except SystemExit:
            raise
        except BaseException as _error:
            sys.print_exception(_error)
            break
