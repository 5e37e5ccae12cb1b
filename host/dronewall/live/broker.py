"""The embedded MQTT broker: how rumqttd is kept on the loopback, on a free port, and dead once we are.

rumqttd (in iotcore) listens on 0.0.0.0 unless told otherwise, cannot take port 0, has no way to be stopped and no
access control. So it gets 127.0.0.1 and a port that was free a moment ago, and runs in a child process that ends when
its stdin reaches the end, which happens however we end, kill -9 included. A port that somebody takes in between
is given up for another one. It keeps retained messages in memory only: they end with it.

What it forwards it keeps as well, for subscribers that lag behind: by default 1 GB for each topic filter that somebody
subscribed to, here KEPT bytes. A subscriber that lags further behind misses the oldest, and nobody counts them.
Retained messages are kept apart, the last of each topic.
"""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

_log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PAYLOAD_LIMIT = 16384  # [bytes] of a packet; wire.LIMIT is 4096
_SEGMENT = 1 << 20  # [bytes]; rumqttd forgets a whole segment at a time
_SEGMENTS = 10
KEPT = _SEGMENT * _SEGMENTS  # [bytes] of payloads for each topic filter; 10 s of 200 sensors at 5 Hz, each 1 kB
_CONNECTIONS = 1000
_TAKEN = 3  # exit status of the child: the port is taken
_TRIES = 5
_CONFIG = """
id = 0
[router]
id = 0
max_connections = {connections}
max_outgoing_packet_count = 200
max_segment_size = {segment}
max_segment_count = {segments}
[v4.1]
name = "mqtt"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 5000
max_payload_size = {payload}
max_inflight_count = 100
"""
# CONNECT of MQTT 3.1.1: clean session, keep-alive 5 s, an empty client id (the broker makes one).
_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00"
_CONNACK = b"\x20\x02\x00\x00"
_DISCONNECT = b"\xe0\x00"


class BrokerError(OSError):
    """The embedded broker did not come up, and why."""


class Broker:
    """A broker on 127.0.0.1 for as long as the `with` block lasts.

        with Broker() as broker:
            client.connect(broker.host, broker.port)

    `port` is tried first when it is given; a taken one is left for another, so read `.port` afterwards.
    Raises BrokerError when none is up within `limit` seconds.
    """

    host = HOST

    def __init__(self, port: int | None = None, limit: float = 10.0) -> None:
        self.port = port or 0
        self._limit = limit
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the broker, None when it does not run."""
        return self._child.pid if self._child is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> "Broker":
        """Itself, listening."""
        if self.running:
            return self
        deadline = time.monotonic() + self._limit
        for _ in range(_TRIES):
            port = self.port or _free_port()
            if self._started(port, deadline):
                self.port = port
                _log.info("broker %s:%d, pid %s", self.host, port, self.pid)
                return self
            _log.info("port %d is taken, trying another", port)
            self.port = 0
        raise BrokerError(f"broker: {_TRIES} ports of {HOST} were all taken")

    def _started(self, port: int, deadline: float) -> bool:
        """Whether a child of ours answers MQTT on this port; False when the port is taken."""
        environment = dict(os.environ)
        package_home = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package_home, environment.get("PYTHONPATH"))))
        # -P: a file called iotcore.py in the user's folder is not the broker.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "dronewall.live.broker", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            # Ctrl-C reaches the whole foreground group: the broker goes last, after the nodes have said goodbye.
            start_new_session=True,
        )
        self._child = child
        try:
            while child.poll() is None:
                # The child answers only after its own check of the port, so an answer while it lives is its own.
                if _answers(port):
                    time.sleep(0.02)
                    if child.poll() is None:
                        return True
                if time.monotonic() > deadline:
                    raise BrokerError(f"broker: no answer on {HOST}:{port} within {self._limit:g} s")
                time.sleep(0.01)
        except BaseException:
            self.stop()
            raise
        assert child.stderr is not None
        last = child.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
        status = child.returncode
        self.stop()
        if status == _TAKEN:
            return False
        raise BrokerError(f"broker: its process ended with status {status}: {' '.join(last) or 'no message'}")

    def stop(self) -> None:
        """Ends the broker within 2 s; harmless when it does not run."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdin.close()
        for end in (child.terminate, child.kill):
            try:
                child.wait(1.0)
                break
            except subprocess.TimeoutExpired:
                end()
        child.wait()
        child.stderr.close()

    def __enter__(self) -> "Broker":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    """Whether an MQTT broker accepts a client on this port of the loopback."""
    try:
        with socket.create_connection((HOST, port), timeout=0.5) as link:
            link.sendall(_CONNECT)
            answer = b""
            while len(answer) < len(_CONNACK):
                piece = link.recv(len(_CONNACK) - len(answer))
                if not piece:
                    return False
                answer += piece
            link.sendall(_DISCONNECT)
            return answer == _CONNACK
    except OSError:
        return False


def _end_with_parent() -> None:
    # Not sys.stdin: its lock, held by this thread, would abort an interpreter that ends for another reason.
    while os.read(0, 64):
        pass
    os._exit(0)


def _serve(port: int) -> int:
    """Runs the broker in this process until stdin ends. Returns only when it cannot."""
    from iotcore.iotcore import IotCoreBroker

    # rumqttd logs every packet as an error span.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with tempfile.NamedTemporaryFile("w", prefix="dronewall-broker-", suffix=".toml") as file:  # it reads only files
        file.write(
            _CONFIG.format(
                connections=_CONNECTIONS, segment=_SEGMENT, segments=_SEGMENTS, host=HOST, port=port,
                payload=PAYLOAD_LIMIT,
            )
        )  # fmt: skip
        file.flush()
        broker = IotCoreBroker(config_path=file.name)
    try:
        broker.check_ports()
    except OSError as error:
        print(error, file=sys.stderr)
        return _TAKEN
    broker.run_forever()
    return 1


if __name__ == "__main__":
    sys.exit(_serve(int(sys.argv[1])))
