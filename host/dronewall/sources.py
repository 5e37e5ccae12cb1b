"""Where a command's reports come from: a plan, a broker or a recording; and the options that say so."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from dronewall.options import WEEK_S, Address, Instant, Seconds

if TYPE_CHECKING:
    from dronewall.engine.ground import Ground
    from dronewall.live.ingest import Account
    from dronewall.live.moment import Moment

PASSWORD = "DRONEWALL_PASSWORD"
"""The environment variable with the password for the broker: on a command line everybody on the machine can read it."""
_PASSWORD_LIMIT = 4096


class Link(NamedTuple):
    """A broker as the options name it; a port of 0 is the usual one."""

    address: tuple[str, int]
    user: str | None
    password_file: Path | None
    trusted: Path | None

    @property
    def where(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.address
        return host, port or (8883 if self.trusted is not None else 1883)

    def account(self) -> "Account":
        """How we enter it. Raises LinkError for a file without a password."""
        from dronewall.live.ingest import Account, LinkError

        password = os.environ.get(PASSWORD, "")
        if self.password_file is not None and not self.user:
            raise LinkError("--password-file without --user; expected the name that the password is for")
        if self.password_file is not None:
            try:
                with self.password_file.open("rb") as file:
                    password = file.read(_PASSWORD_LIMIT).decode().splitlines()[0]
            except (OSError, UnicodeDecodeError, IndexError) as error:
                reason = getattr(error, "strerror", None) or "no password in its first line"
                raise LinkError(f"{self.password_file}: {reason}; expected a file with the password") from None
        return Account(self.user or "", password, self.trusted)


class Source(NamedTuple):
    """The plan `at_s` seconds on; or a broker, or a recording at a time."""

    at_s: float
    link: Link | None = None
    wait_s: float = 0.0
    recorded: Path | None = None
    at_unix_ms: int | None = None

    def moment(self, ground: "Ground", waiting: Callable[[int, int], None]) -> "Moment":
        """The reports, and what the sensors count. waiting(heard, of all): called while a broker is listened to.

        Raises RecordingError, LinkError and PatrolError.
        """
        from dronewall.live import moment

        if self.recorded is not None:
            return moment.recorded(ground.scenario, self.recorded, self.at_unix_ms)
        if self.link is not None:
            return moment.heard(ground.scenario, self.link.where, self.wait_s, self.link.account(), waiting)
        return moment.planned(ground, self.at_s)


_Command = Callable[..., Any]
_Options = list[Callable[[_Command], _Command]]
_FILE = click.Path(path_type=Path)


def _link_options(required: bool, what: str = "The broker of the wall.") -> _Options:
    return [
        click.option("--broker", type=Address(), metavar="HOST:PORT", required=required, help=what),
        click.option("--user", metavar="NAME",
                     help=f"Who we are to the broker; the password is in {PASSWORD}, or in a file."),
        click.option("--password-file", type=_FILE, help="File with the password in its first line."),
        click.option("--trust", "trusted", type=_FILE, help="Whose certificates (PEM) the broker's must be; TLS."),
    ]  # fmt: skip


def _with(options: _Options, command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def from_broker(command: _Command) -> _Command:
    """The options of a command that listens to a broker; it gets the `link`."""
    return _listening(command, True)


def from_broker_if_any(command: _Command) -> _Command:
    """The options of a command that may listen to a broker; it gets the `link`, None where no broker is named."""
    return _listening(command, False)


def _listening(command: _Command, required: bool) -> _Command:
    @functools.wraps(command)
    def linked(
        *,
        broker: tuple[str, int] | None,
        user: str | None,
        password_file: Path | None,
        trusted: Path | None,
        **rest: Any,
    ) -> Any:
        for option in ("--user", "--password-file", "--trust"):
            if broker is None and _given(option):
                raise click.UsageError(f"{option} goes with --broker")
        return command(link=Link(broker, user, password_file, trusted) if broker is not None else None, **rest)

    return _with(_link_options(required), linked)


def to_broker(command: _Command) -> _Command:
    """The options of a command that tells a broker something, or with --dry-run only shows it; it gets the `link`, None
    for a dry run.
    """

    @functools.wraps(command)
    def linked(
        *,
        broker: tuple[str, int] | None,
        user: str | None,
        password_file: Path | None,
        trusted: Path | None,
        dry_run: bool,
        **rest: Any,
    ) -> Any:
        if dry_run:
            for option in ("--broker", "--user", "--password-file", "--trust"):
                if _given(option):
                    raise click.UsageError(f"{option} and --dry-run exclude each other")
        elif broker is None:
            raise click.UsageError(
                "a broker is missing; expected --broker HOST:PORT, or --dry-run to see what would go"
            )
        return command(link=Link(broker, user, password_file, trusted) if broker is not None else None, **rest)

    show = click.option("--dry-run", is_flag=True, help="Show what would be published, and publish nothing.")
    return _with([*_link_options(False), show], linked)


def from_anywhere(command: _Command) -> _Command:
    """The options of a command that takes a plan, a broker's wall or a recorded one; it gets the `source`."""

    @functools.wraps(command)
    def sourced(
        *,
        at_s: float,
        recorded: Path | None,
        at_unix_ms: int | None,
        broker: tuple[str, int] | None,
        wait_s: float,
        user: str | None,
        password_file: Path | None,
        trusted: Path | None,
        **rest: Any,
    ) -> Any:
        for one, other in (("--recorded", "--broker"), ("--recorded", "--at"), ("--broker", "--at")):
            if _given(one) and _given(other):
                raise click.UsageError(f"{one} and {other} exclude each other")
        for one, *others in (
            ("--recorded", "--at-time"),
            ("--broker", "--wait", "--user", "--password-file", "--trust"),
        ):
            for other in others:
                if _given(other) and not _given(one):
                    raise click.UsageError(f"{other} goes with {one}")
        link = Link(broker, user, password_file, trusted) if broker is not None else None
        return command(source=Source(at_s, link, wait_s, recorded, at_unix_ms), **rest)

    options: _Options = [
        click.option("--at", "at_s", type=Seconds(0.0, WEEK_S), default=0.0, show_default=True, metavar="SECONDS",
                     help="Drones where they are that long into their plan."),
        click.option("--recorded", type=_FILE, help="The wall as `dronewall record` has written it down."),
        click.option("--at-time", "at_unix_ms", type=Instant(), metavar="TIME",
                     help="Time of the recording, such as 2026-03-01T12:00:00Z. [default: its last message]"),
        *_link_options(False, "The wall as this broker tells it now."),
        click.option("--wait", "wait_s", type=Seconds(0.0, 600.0), default=10.0, show_default=True, metavar="SECONDS",
                     help="How long to wait for sensors that the broker does not tell of."),
    ]  # fmt: skip
    return _with(options, sourced)


def _given(option: str) -> bool:
    """Whether the user wrote that option."""
    ctx = click.get_current_context()
    name = next(param.name for param in ctx.command.params if option in param.opts)
    return ctx.get_parameter_source(str(name)) is not click.core.ParameterSource.DEFAULT
