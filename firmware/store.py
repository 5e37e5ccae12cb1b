"""Files that a power cut leaves whole: what stood there, or what was written, never a part of it.

LittleFS, the board's file system, shows the bytes of a file when it is closed and renames in one step (littlefs
DESIGN.md, "Metadata pairs"). On others a file may be torn; a sealed one says so.
"""

import os
from binascii import crc32


def seal(data):
    """The 9 bytes that follow `data` in a sealed file: its CRC-32 in hexadecimal, and a line's end."""
    return b"%08x\n" % crc32(data)


def write(path, data, sealed=False):
    """Puts `data` [bytes] into the file, in one step; OSError where the flash cannot, and the old content stands.
    `sealed` where a torn file could be taken for a whole one."""
    new = path + ".new"
    try:
        with open(new, "wb") as file:
            file.write(data)
            if sealed:
                file.write(seal(data))
        os.rename(new, path)
    except OSError:
        try:
            os.remove(new)
        except OSError:
            pass
        raise


def read(path, sealed=False):
    """The bytes last written, None where there are none. A sealed file that is missing or torn gives way to its
    successor, if that is whole."""
    for name in (path, path + ".new") if sealed else (path,):
        try:
            with open(name, "rb") as file:
                data = file.read()
        except OSError:
            continue
        if not sealed:
            return data
        if data[-9:] == seal(data[:-9]):
            return data[:-9]
    return None
