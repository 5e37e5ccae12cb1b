# ruff: noqa: F821  (include, module and package are MicroPython's, which runs this file)
"""What goes into a frozen image: every module of the node, run from the flash and not from the heap.

    make -C ports/esp32 BOARD=ESP32_GENERIC FROZEN_MANIFEST=/checkout/firmware/manifest.py

in MicroPython's sources (docs/reference/manifest.rst has the syntax; it runs this file in this folder). A file of the
same name on the board's own flash still comes first, so an update works as without it. opt=2 is needed: without it
wire.py's half of the host would go along. Its table stays in the module here; there is no wiretable. No image has been
built with it yet.
"""

import os

include("$(PORT_DIR)/boards/manifest.py")
for name in sorted(os.listdir(".")):
    if name.endswith(".py") and name != "manifest.py":
        module(name, opt=2)
package("sensors", opt=2)
module("wire.py", base_path="../host/dronewall", opt=2)
