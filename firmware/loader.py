"""Starts the firmware: the one of the two folders /a and /b that `slots` names, or one that is whole.

This is the board's /main.py. It is never updated, so it needs nothing but what MicroPython brings. `slots` holds
"folder version tries" and a CRC-32 (store.py writes it, too): tries is - for firmware that has proven itself, else how
many starts it still has to come online. A folder is whole when it has a file `whole`, which says its version: it is
the last that an update writes and the first that it removes.
"""

import os
import sys
from binascii import crc32

import machine

_WATCHDOG_MS = 60_000  # for new firmware to set its own
_TRIES = 3


def _sealed(path):
    # What stands in a file that store.py has sealed, or None.
    try:
        with open(path, "rb") as file:
            data = file.read(64)
        if data[-9:] == b"%08x\n" % crc32(data[:-9]):
            return data[:-9].decode().split()
    except (OSError, ValueError):
        pass
    return None


def _version(folder):
    # Of a whole folder; None where it is not.
    words = _sealed(folder + "/whole")
    return int(words[0]) if words else None


def _write(folder, version, tries):
    # Whether the flash now says so.
    data = b"%s %d %s " % (folder.encode(), version, str(tries).encode())
    try:
        with open("slots.new", "wb") as file:
            file.write(data + b"%08x\n" % crc32(data))
        os.rename("slots.new", "slots")
    except OSError:
        return False
    return True


def chosen():
    """(folder, is it on trial) to start, None where no folder is whole. A try is counted before it begins."""
    state = _sealed("slots") or _sealed("slots.new")
    whole = {folder: _version(folder) for folder in "ab" if _version(folder) is not None}
    if state and state[0] in whole:
        folder, tries = state[0], state[2]
    elif whole:
        # Nothing says which, or it is gone: the newest that is whole, on trial where the other could take over.
        folder = max(whole, key=whole.get)
        tries = "-" if len(whole) == 1 else "%d" % _TRIES
        _write(folder, whole[folder], tries)
    else:
        return None
    if tries == "-":
        return folder, False
    if int(tries) > 0 and _write(folder, whole[folder], int(tries) - 1):
        return folder, True
    other = "b" if folder == "a" else "a"
    if other in whole:
        print("loader: back to version %d" % whole[other])
        folder = other
    _write(folder, whole[folder], "-")
    return folder, False


def run():
    """Starts the firmware. On trial it is given up after its tries; what has proven itself, and cannot be imported any
    more, gives way to the other folder."""
    found = chosen()
    if not found:
        raise OSError("no firmware in /a or /b")
    folder, trial = found
    if trial and hasattr(machine, "WDT"):
        machine.WDT(timeout=_WATCHDOG_MS)
    sys.path.insert(0, os.getcwd().rstrip("/") + "/" + folder)
    try:
        import main
    except Exception as error:
        sys.print_exception(error)
        other = "b" if folder == "a" else "a"
        version = None if trial else _version(other)
        if not trial and (version is None or not _write(other, version, _TRIES)):
            raise
        machine.reset()
    try:
        main.run()
    except Exception as error:
        if not trial:
            raise
        sys.print_exception(error)
        machine.reset()


if __name__ == "__main__":
    run()
