"""How the program ends: exit statuses, signals, and what is said of whose fault it is.

0 answered, 1 our own fault, 2 bad input, 3 `--fail-over` exceeded, 130 interrupted, 129 and 143 told to end (SIGHUP,
SIGTERM). Results go to stdout, all else to stderr.
"""

import contextlib
import errno
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any, TextIO, cast

import click

from dronewall import __version__
from dronewall.talk import complain

BAD_INPUT, EXCEEDED, INTERRUPTED = 2, 3, 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Command(click.Command):
    """A command that takes -h, whoever asks and in whatever context, and -33.9,18.4 for a place, not for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # No option of ours begins with a digit; what the blank hides from click the types strip off again.
        return super().parse_args(ctx, [f" {word}" if re.match(r"-[\d.]", word) else word for word in args])

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        return ["-h", "--help"]


class _Patient:
    """A stderr that never complains: on a full disk, what is said is lost and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class Program(_Command, click.Group):
    """The group of commands, with the exit statuses that this module promises."""

    command_class = _Command
    group_class = type

    def main(
        self,
        args: Any = None,
        prog_name: Any = None,
        complete_var: Any = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        if sys.stderr is not None and not isinstance(sys.stderr, _Patient):
            sys.stderr = cast(TextIO, _Patient(sys.stderr))
        try:
            with _ended_by_signals():
                status = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except _Signalled as error:
            click.echo("told to end", err=True)
            sys.exit(error.code)
        except BrokenPipeError:
            # Whoever read us has read enough.
            _forget_stdout()
            sys.exit(0)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                where = f"{error.filename}: " if error.filename else ""
                complain(f"{where}{error.strerror}; the answer is not complete")
                _forget_stdout()
                sys.exit(BAD_INPUT)
            if _is_bad_input(error):
                for line in str(error).splitlines():
                    complain(line)
                sys.exit(BAD_INPUT)
            traceback.print_exception(error)
            click.echo(
                f"dronewall {__version__}: a fault of the program, not yours; please report it with the lines above",
                err=True,
            )
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


class _Signalled(SystemExit):
    """A signal told us to end; its `code` is the exit status."""


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that what it began is ended and cleared away.

    They do once: what clears away is not to be interrupted by the next one. A signal that is ignored (nohup) stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        for each in caught:
            signal.signal(each, signal.SIG_IGN)
        raise _Signalled(128 + number)

    caught = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) == signal.SIG_DFL]
    for each in caught:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in caught:
            signal.signal(each, signal.SIG_DFL)


def _forget_stdout() -> None:
    """Nothing is written when the interpreter flushes stdout at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_bad_input(error: Exception) -> bool:
    """Whether an error says what is wrong with what we were given, rather than with us."""
    from dronewall.report.files import OutputError
    from dronewall.scenario import ScenarioError

    kinds: tuple[type[Exception], ...] = (ScenarioError, OutputError)
    # Only what was imported can have been raised.
    for module, names in (
        ("dronewall.engine.earth", ("EarthError",)),
        ("dronewall.engine.terrain", ("TerrainError",)),
        ("dronewall.engine.patrol", ("PatrolError",)),
        ("dronewall.engine.detection", ("DetectionError",)),
        ("dronewall.engine.reason", ("ReasonError",)),
        ("dronewall.catalogue", ("CatalogueError",)),
        ("dronewall.firmware_files", ("FirmwareError",)),
        ("dronewall.bench.repl", ("BoardError",)),
        ("dronewall.bench.image", ("ImageError",)),
        ("dronewall.bench.bundle", ("BundleError",)),
        ("dronewall.bench.sender", ("UpdateError",)),
        ("dronewall.bench.keyring", ("KeyringError",)),
        ("dronewall.bench.provision", ("ProvisionError",)),
        ("dronewall.bench.align", ("AlignError",)),
        ("dronewall.live.broker", ("BrokerError",)),
        ("dronewall.live.ingest", ("LinkError",)),
        ("dronewall.live.telemetry_line", ("BridgeError",)),
        ("dronewall.live.recorder", ("RecordingError",)),
        ("dronewall.live.devices", ("DeviceError",)),
        ("dronewall.live.simulate", ("MicroPythonMissing",)),
        ("dronewall.demo", ("NodesDied",)),
    ):
        if module in sys.modules:
            kinds += tuple(getattr(sys.modules[module], name) for name in names)
    return isinstance(error, kinds)
