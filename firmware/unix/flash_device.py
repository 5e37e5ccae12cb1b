"""The board's flash on the unix port: a block device under a real LittleFS, whose power can fail at any operation.

A node whose folder has `flash.img` has that as its flash, mounted as `/`, and starts from the `/main.py` in it, as
the board does; without one it runs the firmware beside this folder. The computer's own files are under /host then.
`make` makes such an image.
"""

import os
import sys

import vfs

IMAGE = "flash.img"
_BLOCK = 4096  # [bytes] what the ESP32's flash erases at once
_HOST = "/host"


class PowerCut(BaseException):
    """The power fails: nothing that the node does about exceptions may hear of it."""


class Memory:
    """A flash chip of `blocks` blocks in RAM. `left`: operations (writes, erasures) until the power fails, None: never.
    In the last one half of the bytes come out; `image` has what was there then, and nothing is written any more, not
    even by files that are closed on the way out."""

    def __init__(self, blocks, image=None):
        self.data = bytearray(image) if image else bytearray(b"\xff" * (blocks * _BLOCK))
        self.operations = 0
        self.left = None
        self.image = None
        self._cut = PowerCut()

    def readblocks(self, block, buffer, offset=0):
        at = block * _BLOCK + offset
        buffer[:] = self.data[at : at + len(buffer)]

    def _change(self, at, new):
        if self.image is not None:
            raise self._cut  # the collector closes files with the heap locked: nothing new then
        self.operations += 1
        cut = self.left is not None and self.operations > self.left
        if cut:
            new = new[: len(new) // 2]
        self.data[at : at + len(new)] = new
        if cut:
            self.image = self.data
            raise self._cut

    def writeblocks(self, block, buffer, offset=0):
        self._change(block * _BLOCK + offset, buffer)

    def ioctl(self, operation, argument):
        if operation == 4:
            return len(self.data) // _BLOCK
        if operation == 5:
            return _BLOCK
        if operation == 6:
            self._change(argument * _BLOCK, b"\xff" * _BLOCK)
        return 0


class File:
    """A flash chip in a file, which stays when the process ends."""

    def __init__(self, path):
        self._file = open(path, "r+b")
        self._blocks = self._file.seek(0, 2) // _BLOCK

    def readblocks(self, block, buffer, offset=0):
        self._file.seek(block * _BLOCK + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        self._file.seek(block * _BLOCK + offset)
        self._file.write(buffer)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._blocks
        if operation == 5:
            return _BLOCK
        return 0  # nothing has to be erased, and what LittleFS has erased it does not read


def make(path, blocks, files):
    """Makes an image with a LittleFS of so many blocks; `files` are (name in it, path of the content)."""
    with open(path, "wb") as image:
        for _ in range(blocks):
            image.write(b"\xff" * _BLOCK)
    device = File(path)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/image")
    for name, source in files:
        if "/" in name and name.split("/")[0] not in os.listdir("/image"):
            os.mkdir("/image/" + name.split("/")[0])
        if name.count("/") > 1 and name.split("/")[1] not in os.listdir("/image/" + name.split("/")[0]):
            os.mkdir("/image/" + "/".join(name.split("/")[:2]))
        with open(source, "rb") as file, open("/image/" + name, "wb") as copy:
            copy.write(file.read())
    vfs.umount("/image")


def start():
    """Mounts the image in the current folder as `/` and runs its main.py, as the board does."""
    import world

    world.world()  # its files are the computer's
    device = File(os.getcwd() + "/" + IMAGE)
    vfs.umount("/")
    vfs.mount(vfs.VfsPosix("/"), _HOST)
    vfs.mount(vfs.VfsLfs2(device), "/")
    os.chdir("/")
    # Without the firmware beside this folder: what a slot lacks it lacks.
    sys.path[:] = [_HOST + sys.path[0], ".frozen"]
    execfile("/main.py", {"__name__": "__main__"})  # type: ignore[name-defined] # noqa: F821
