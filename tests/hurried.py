"""A whole node whose time flies: run by MicroPython, `hurried.py BOARD FOLDER CYCLES EVERY`.

The firmware is as it is; its `time` is one that jumps to whatever comes next, and its `socket` leads to a broker in
here, which acknowledges, and fails the node every EVERY reports, each time in another way. It prints `least` and the
least heap that was free after a collection [bytes] for each thousand frusta; after CYCLES of them a line of JSON:
frusta, sessions, seconds that went by.
"""

import sys
import time as _real

board, folder, cycles, every = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sys.path[:] = [board + "/unix", board, ".frozen"]


class Time:
    now = _real.ticks_ms()  # what asyncio schedules for "now" has the real clock's time, which is behind this one
    began = now
    start = _real.time_ns()

    def ticks_ms():
        return Time.now

    def ticks_add(a, b):
        return a + b

    def ticks_diff(a, b):
        return a - b

    def time_ns():
        return Time.start + (Time.now - Time.began) * 1_000_000

    def sleep_ms(ms):
        Time.now += ms

    gmtime = _real.gmtime


sys.modules["time"] = Time

import asyncio.core as core  # noqa: E402
import gc  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402

import usocket as _socket  # noqa: E402

os.chdir(folder)
gc.threshold(4096)  # as run.py has it


class Poller:
    """What asyncio asks who is ready; where nobody is, the time of the next task has come."""

    def __init__(self):
        self._asked = {}

    def register(self, one, events):
        self._asked[id(one)] = (one, events)

    modify = register

    def unregister(self, one):
        self._asked.pop(id(one), None)

    def ipoll(self, wait):
        ready = [(one, one.ioctl(3, events)) for one, events in self._asked.values() if one.ioctl(3, events)]
        if not ready and wait > 0:
            Time.now += wait
        return ready


core._io_queue.poller = Poller()


class Peer(io.IOBase):
    """A broker at the other end of a socket, and what it counts."""

    frusta = sessions = way = 0
    least = None

    def __init__(self):
        self._rest = self._out = b""
        self._silent = self._ended = self._broken = False

    def setblocking(self, _):
        pass

    settimeout = setblocking
    connect = setblocking

    def setsockopt(self, *_):
        pass

    def close(self):
        self._ended = True

    def fileno(self):
        return -1 if self._ended else 1

    def ioctl(self, request, flags):
        if request != 3:  # what can be read and written now
            return 0 if request == 4 else -1  # closing is fine; there is no file number
        return flags & 4 | (flags & 1 if self._out or self._ended or self._broken else 0)

    def read(self, size):
        if self._broken:
            raise OSError(104)
        said, self._out = self._out[:size], self._out[size:]
        return said or (b"" if self._ended else None)

    def readinto(self, buffer):
        said = self.read(len(buffer))
        if said is None:
            return None
        buffer[: len(said)] = said
        return len(said)

    def write(self, data):
        if self._broken or self._ended:
            raise OSError(32)
        self._rest += bytes(data)
        while self._packet():
            pass
        return len(data)

    def _packet(self):
        rest = self._rest
        size = shift = 0
        at = 1
        while at < len(rest):
            size |= (rest[at] & 127) << shift
            shift += 7
            at += 1
            if rest[at - 1] < 128:
                break
        else:
            return False
        if len(rest) < at + size:
            return False
        kind, self._rest = rest[0] >> 4, rest[at + size :]
        if self._silent:
            return True
        if kind == 1:
            refused = Peer.way % 4 == 3
            Peer.way += refused
            Peer.sessions += not refused
            self._out += b"\x20\2\0" + (b"\3" if refused else b"\0")
        elif kind == 3:
            length = rest[at] << 8 | rest[at + 1]
            if rest[0] & 6:
                self._out += b"\x40\2" + rest[at + 2 + length : at + 4 + length]
            if b"/frustum/" in rest[at : at + length]:
                self._counted()
        elif kind == 8:
            self._out += b"\x90\3" + rest[at : at + 2] + b"\1"
        elif kind == 12:
            self._out += b"\xd0\0"
        return True

    def _counted(self):
        Peer.frusta += 1
        if Peer.frusta % 10 == 0:
            gc.collect()
            free = gc.mem_free()
            Peer.least = free if Peer.least is None else min(free, Peer.least)
        if Peer.frusta % 1000 == 0:
            print("least", Peer.least)  # said, not kept: what this test keeps would look like a leak
            Peer.least = None
        if Peer.frusta >= cycles:
            raise KeyboardInterrupt
        if Peer.frusta % every == 0:
            # The end of the stream; an error; silence; the end, and a broker that is not available.
            Peer.way += 1
            self._ended, self._broken, self._silent = (
                (True, False, False),
                (False, True, False),
                (False, False, True),
                (True, False, False),
            )[Peer.way % 4]


class Socket:
    SOCK_STREAM = _socket.SOCK_STREAM
    AF_INET = _socket.AF_INET

    def getaddrinfo(*_):
        return [(2, 1, 0, "", b"")]

    def socket(*_):
        return Peer()


sys.modules["socket"] = Socket

import machine  # noqa: E402, F401
import network  # noqa: E402, F401
from world import world  # noqa: E402

for _name in world().devices():
    __import__("devices." + _name)
gc.collect()
_nobodys = bytearray(max(0, gc.mem_free() - 129_536))  # the firmware gets what a heap of 128 KB gives, as in run.py

import main  # noqa: E402

main.run()  # until Ctrl-C, which is what `_counted` plays
print(json.dumps([Peer.frusta, Peer.sessions, (Time.now - Time.began) // 1000]))
