"""The board's `socket` on the unix port: the computer's own, while the virtual Wi-Fi is there.

Only this file knows which are open. When the Wi-Fi drops they end at once; a board's peer falls silent instead, which
the tests play with a proxy.
"""

import sys

from usocket import *  # noqa: F403
from usocket import socket as _socket

_open = []


def socket(*arguments):
    """A socket; OSError (EHOSTUNREACH) where the node has a Wi-Fi that has not let it in."""
    network = sys.modules.get("network")
    if network and network.WLAN.used and not network.WLAN().isconnected():
        raise OSError(113)
    _open[:] = [one for one in _open if one.fileno() >= 0]  # closed ones have no number any more
    _open.append(_socket(*arguments))
    return _open[-1]


def cut():
    """Ends every socket that is open."""
    while _open:
        _open.pop().close()
