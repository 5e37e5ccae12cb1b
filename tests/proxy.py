"""A TCP proxy between a node and its broker that misbehaves as networks do.

It holds back rather than throws away, as a network does whose lost packets TCP sends again: when a black hole or a slow
link ends, the stream goes on whole. One thread, on 127.0.0.1 only.
"""

import contextlib
import selectors
import socket
import struct
import threading
import time

REFUSED = b"\x20\x02\x00\x05"  # CONNACK: not authorised (MQTT 3.1.1, 3.2.2.3)
_STEP_S = 0.02
_PIECE = 65536


class _Pair:
    """A node's connection, ours to the broker (None where there is none), and what waits in each direction."""

    def __init__(self, node: socket.socket, broker: socket.socket | None) -> None:
        self.node, self.broker = node, broker
        self.up, self.down = bytearray(), bytearray()


class Proxy:
    """Listens on `port` and forwards to the broker at `target` for as long as the `with` block lasts.

    `mode`, which may be set at any time, for the connections that are open and for new ones:

    - "pass": as if it were not there
    - "black hole": accepts and takes, forwards nothing in either direction; goes on where it stopped
    - "one way": what the broker says does not arrive
    - "half open": the broker's side is closed, the node's stays open and silent; so are new ones
    - "silent": what is open ends; new connections are accepted, and nobody says anything
    - "refuse": what is open ends; a CONNECT is answered by "not authorised"
    - "closed": what is open ends, and new connections at once

    `rate`: bytes a second in each direction, None without a limit. `accepted` counts connections.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.mode = "pass"
        self.rate: int | None = None
        self.accepted = 0
        self._pairs: list[_Pair] = []
        self._cut = False
        self._end = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def cut(self) -> None:
        """Resets (RST) what is open, once."""
        self._cut = True

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = True
        self._thread.join()

    def _run(self) -> None:
        mode, before = "pass", time.monotonic()
        while not self._end:
            now = time.monotonic()
            allowance = None if self.rate is None else max(1, round(self.rate * (now - before)))
            before = now
            if self._cut or (mode != self.mode and self.mode in ("silent", "refuse", "closed", "half open")):
                for pair in self._pairs:
                    if self._cut or self.mode != "half open":
                        _reset(pair.node)
                    _reset(pair.broker)
                    pair.broker = None
                if self._cut or self.mode != "half open":
                    self._pairs.clear()
                self._cut = False
            elif mode != self.mode:
                # Whoever waits for nobody is let go, and comes again.
                for pair in [pair for pair in self._pairs if pair.broker is None]:
                    self._drop(pair)
            mode = self.mode
            self._accept(mode)
            for pair in list(self._pairs):
                try:
                    self._serve(pair, mode, allowance)
                except OSError:
                    self._drop(pair)
            self._wait()
        for pair in list(self._pairs):
            self._drop(pair)
        self._listener.close()

    def _wait(self) -> None:
        """Until somebody says something, or a step has gone by; a whole step where data are held back."""
        if self.rate is not None or self.mode != "pass" or any(pair.up or pair.down for pair in self._pairs):
            time.sleep(_STEP_S)
            return
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._listener, selectors.EVENT_READ)
            for pair in self._pairs:
                for end in (pair.node, pair.broker):
                    if end is not None:
                        waiting.register(end, selectors.EVENT_READ)
            waiting.select(_STEP_S)

    def _accept(self, mode: str) -> None:
        while True:
            try:
                node, _ = self._listener.accept()
            except BlockingIOError:
                return
            self.accepted += 1
            node.setblocking(False)
            broker = None
            if mode == "closed":
                node.close()
                continue
            if mode in ("pass", "black hole", "one way"):
                try:
                    broker = socket.create_connection(("127.0.0.1", self.target), 1)
                    broker.setblocking(False)
                except OSError:
                    node.close()
                    continue
            self._pairs.append(_Pair(node, broker))

    def _serve(self, pair: _Pair, mode: str, allowance: int | None) -> None:
        if mode == "black hole":
            return
        if pair.broker is None:
            said = _read(pair.node)
            if said is None:
                self._drop(pair)
            elif said and mode == "refuse":
                pair.node.sendall(REFUSED)
                self._drop(pair)
            return
        for source, waiting, sink in ((pair.node, pair.up, pair.broker), (pair.broker, pair.down, pair.node)):
            if mode == "one way" and source is pair.broker:
                continue
            # A slow link has small buffers, or it would be a fast one with a long pipe.
            said = _read(source) if len(waiting) < 4096 else b""
            if said:
                waiting += said
            piece = waiting[:allowance]
            if piece:
                with contextlib.suppress(BlockingIOError):
                    del waiting[: sink.send(piece)]
            if said is None and not waiting:
                self._drop(pair)
                return

    def _drop(self, pair: _Pair) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
        for end in (pair.node, pair.broker):
            if end is not None:
                end.close()


def _read(source: socket.socket) -> bytes | None:
    """What has come, b"" for nothing, None at the end."""
    try:
        return source.recv(_PIECE) or None
    except BlockingIOError:
        return b""


def _reset(end: socket.socket | None) -> None:
    if end is not None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
