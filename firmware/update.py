"""New firmware in pieces: a signed bundle goes into the folder that does not run, and the loader tries it.

A bundle is b"DWU1", the length of the head (2 bytes, big-endian), the head, its HMAC-SHA256 (32 bytes, over all that is
before it), and the contents of the files one after the other. The head is text, a line each:

    node WALL/NODE
    version NUMBER                          rises with each bundle
    micropython 1.29.0
    mpy 6 31                                version of the .mpy files, bits of their small integers
    file PATH SIZE SHA256                   SIZE in bytes, SHA256 in hexadecimal; one line for each file

The head is signed and has the hash of every byte that follows, so what was not signed by the owner of the node's key
(`update.key`, 32 bytes) is refused before anything is removed. Loaded with the first piece, and dropped at the end.
"""

import asyncio
import hashlib
import os
import sys
from binascii import a2b_base64, hexlify

import clock
import flash
import guard
import store
from micropython import const

_HEAD = "update.head"
_HEAD_MOST = const(8192)  # [bytes]; 80 files
_MOST = const(700_000)  # [bytes] of all files: a third of the 2 MB that a board of 4 MB leaves
_IDLE_MS = const(300_000)  # a sender that says nothing for so long has gone

_bundle = None  # the generator that takes the pieces
_have = 0  # bytes that it has taken
_heard = 0  # uptime then
_expires = None


def keyed(key, pad):
    """SHA-256 that has begun with `key` [bytes], padded, as HMAC does on its inner (0x36) and outer (0x5C) side
    (RFC 2104)."""
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    return hashlib.sha256(bytes([byte ^ pad for byte in key + bytes(64 - len(key))]))


def mac(key, inner):
    """HMAC-SHA256 [32 bytes] of what `inner`, a keyed(key, 0x36), was fed with."""
    outer = keyed(key, 0x5C)
    outer.update(inner.digest())
    return outer.digest()


def same(one, other):
    """Whether two byte strings are equal, in a time that does not depend on where they differ."""
    differ = len(one) ^ len(other)
    for a, b in zip(one, other):
        differ |= a ^ b
    return not differ


def _removed(folder):
    # Takes a folder's content away. `whole` goes first: a cut then leaves a folder that no loader starts.
    if "whole" in os.listdir(folder):
        os.remove(folder + "/whole")
    for name in os.listdir(folder):
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            _removed(path)
            os.rmdir(path)
        else:
            os.remove(path)


def _lines(file, config, running):
    # The version that the head says; ValueError where it is not for this node.
    version = 0
    told = sys.implementation
    for expected in (
        "node %s/%s" % (config.wall, config.node),
        "version",
        "micropython %d.%d.%d" % told.version[:3],
        "mpy %d %d" % (told._mpy & 0xFF, 31),
    ):
        line = file.readline().strip()
        if expected == "version":
            version = int(line[8:])
            if line[:8] != "version " or not running < version < 1 << 24:
                raise ValueError("%s, over %d expected" % (line[:60], running))
        elif line != expected:
            raise ValueError("%s expected, not %s" % (expected, line[:60]))
    total = main = 0
    for line in file:
        word, path, size, digest = line.split()
        folder, _, name = path.rpartition("/")
        stem, _, ending = name.partition(".")
        total += int(size)
        main += path == "main.mpy"
        if (
            word != "file"
            or ending != "mpy"
            or not stem
            or path[0] == "/"
            or len(path) > 40
            or [c for c in folder + stem if c not in "abcdefghijklmnopqrstuvwxyz0123456789_"]
            or int(size) < 1
            or total > _MOST
            or len(digest) != 64
        ):
            raise ValueError("not a file of firmware: " + line[:60].strip())
        # Each ends in the middle of a block.
        total += 4096
    if main != 1:
        raise ValueError("one main.mpy expected")
    return version, total


def _take(config):
    # Takes the pieces that are sent to it; returns when the last one is here and the loader will try the firmware.
    slot = flash.slot()
    key = store.read("update.key")
    if not slot:
        raise ValueError("this node was set up without a loader")
    if slot[2] is not None:
        raise ValueError("version %d is on trial" % slot[1])
    if not key or len(key) != 32:
        raise ValueError("no update.key of 32 bytes on this node")
    other = "b" if slot[0] == "a" else "a"
    half = False
    data = yield
    left = int.from_bytes(data[4:6], "big")
    if data[:4] != b"DWU1" or not 0 < left <= _HEAD_MOST:
        raise ValueError("not a bundle of format DWU1")
    inner = keyed(key, 0x36)
    inner.update(data[:6])
    data = data[6:]
    try:
        with open(_HEAD, "wb") as file:
            while left:
                part = data[:left]
                inner.update(part)
                file.write(part)
                left -= len(part)
                data = data[len(part) :] or (yield)
        signature = data[:32]
        data = data[32:]
        while len(signature) < 32:
            data = yield
            left = 32 - len(signature)
            signature += data[:left]
            data = data[left:]
        if not same(mac(key, inner), signature):
            raise ValueError("the signature is not of this node's key")
        with open(_HEAD) as lines:
            version, total = _lines(lines, config, slot[1])
            if other in os.listdir():
                _removed(other)
            else:
                os.mkdir(other)
            space = os.statvfs(os.getcwd())
            # LittleFS needs some to work with; a full one may count below nothing, which is more than all there are.
            if space[3] > space[2] or space[0] * (space[3] - 8) < total:
                raise OSError("%d bytes do not fit into the flash" % total)
            half = True
            lines.seek(0)
            for line in lines:
                if line[:5] != "file ":
                    continue
                _, path, left, digest = line.split()
                left = int(left)
                path = other + "/" + path
                folder = path[: path.rfind("/")]
                if folder != other and folder[2:] not in os.listdir(other):
                    os.mkdir(folder)
                with open(path, "wb") as file:
                    while left:
                        data = data or (yield)
                        part = data[:left]
                        file.write(part)
                        left -= len(part)
                        data = data[len(part) :]
                inner = hashlib.sha256()
                # What the flash has counts, not what was written.
                with open(path, "rb") as file:
                    part = file.read(256)
                    while part:
                        inner.update(part)
                        part = file.read(256)
                if hexlify(inner.digest()).decode() != digest:
                    raise ValueError(path + ": another hash than the head has")
        if data:
            raise ValueError("bytes behind the last file")
        store.write(other + "/whole", b"%d " % version, True)
        flash.choose(other, version, 3)
        half = False
    finally:
        if half:
            _removed(other)
        if _HEAD in os.listdir():
            os.remove(_HEAD)


async def _expire():
    # Drops this module when it has nothing to do any more; the memory goes back.
    global _bundle, _expires
    _expires = True
    while _bundle and clock.uptime_ms() - _heard < _IDLE_MS:
        await asyncio.sleep_ms(5000)
    if _bundle:
        _bundle.close()
    _bundle = _expires = None
    sys.modules.pop(__name__, None)


def taken(config, values):
    """The reply (status, reason, next_offset) to a piece: `offset` where it begins and `data` in base64, at most 512
    bytes. The first one, at offset 0, begins anew; a piece that is here already is done; after the last one the node
    restarts with the new firmware, on trial."""
    global _bundle, _have, _heard
    _heard = clock.uptime_ms()
    offset = values["offset"]
    try:
        data = a2b_base64(values["data"])
        if not 0 < len(data) <= 512 or (offset == 0 and len(data) < 38):
            raise ValueError("a piece of 38 to 512 bytes expected")
        if offset == 0:
            if _bundle:
                _bundle.close()
            _have = 0
            _bundle = _take(config)
            next(_bundle)
            if not _expires:
                asyncio.create_task(_expire())
        if offset != _have:
            if offset + len(data) > _have:
                return {"status": "refused", "reason": "offset %d expected" % _have, "next_offset": _have}
        elif _bundle:
            _have += len(data)
            try:
                _bundle.send(data)
            except StopIteration:
                _bundle = None
                guard.restart()
        return {"status": "done", "next_offset": _have}
    except (OSError, ValueError, MemoryError) as error:
        status = "refused" if isinstance(error, ValueError) else "failed"
        reason = str(error)[:200] or "no memory"
    _bundle = None
    _have = 0
    return {"status": status, "reason": reason, "next_offset": 0}
