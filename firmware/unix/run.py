"""Runs one simulated node: the firmware of the folder above, unchanged, on the virtual devices of this folder.

    micropython -X heapsize=192k /FIRMWARE/unix/run.py NODE_FOLDER [RESET_CAUSE]

/FIRMWARE is the folder that `dronewall.firmware_files.built` makes: all modules compiled, for a node has no room to
compile them. Both paths are absolute. NODE_FOLDER has config.json, world.json and track, and gets what the node keeps
in its flash. The node says goodbye and ends when its stdin reaches the end, which it does when the process that
started it ends, however that ends.

Of the 192 KB the virtual devices have what they take, the firmware what a heap of 128 KB gives (129,536 bytes, on words
twice as wide as the board's), and nobody has the rest.
"""

import asyncio
import gc
import os
import select
import sys

_here = __file__.rsplit("/", 1)[0]
# The virtual `machine` comes before the built-in one.
sys.path[:] = [_here, _here.rsplit("/", 1)[0], ".frozen"]
os.chdir(sys.argv[1])

# Collecting often keeps what stays close together: without it what is loaded ends up all over the heap, and between
# there is no room for the 600 bytes of a message.
gc.threshold(4096)

import machine  # noqa: E402
from world import live, world  # noqa: E402

if len(sys.argv) > 2:
    machine.cause = int(sys.argv[2])

_BOARD = 129_536  # [bytes]
for _name in ["network", "socket"] + ["devices." + _name for _name in world().devices()]:
    __import__(_name)
_flashed = "flash.img" in os.listdir()
if _flashed:
    import flash_device
gc.collect()
_nobodys = bytearray(max(0, gc.mem_free() - _BOARD))


async def _watched():
    end = select.poll()
    end.register(sys.stdin, select.POLLIN)
    while not end.poll(0):
        if machine.watchdog and machine.watchdog.starved():
            print("watchdog: not fed")
            sys.exit(machine.WATCHDOG_STATUS)
        network = sys.modules.get("network")
        if network and network.WLAN().dropped():
            sys.modules["socket"].cut()
        if live("faults").get("stuck"):
            print("stuck")
            while not end.poll(1000):
                pass
        await asyncio.sleep_ms(100)
    # This is what Ctrl-C gives the firmware on the bench: it says `disconnected` and stops.
    raise KeyboardInterrupt


asyncio.create_task(_watched())

if _flashed:
    flash_device.start()
else:
    import main

    gc.collect()
    main.run()
