"""The folder of secrets: what a wall's nodes are given beside the site file, and which board is which node.

    wall.toml                 Wi-Fi, broker, and what the site file does not know of the boards; no secret in it
    boards.json               which board (MAC) is which node; written here
    wifi.password             or whatever wall.toml calls it: the network's password, in the first line
    NODE.key                  32 bytes that sign the node's updates; made here where missing
    NODE.password             the node's password at the broker; made here where missing
    ca.pem                    whose certificate the broker's must be (or ca.der); with it the link is TLS
    NODE.certificate.pem      the node's own certificate and its key (or .der), where wall.toml says
    NODE.certificate-key.pem  login = "certificate"
    mosquitto.passwords       a line for each node, as mosquitto wants it; written here

Nobody else may read a file with a secret, or write into the folder. A secret is read and written by this module and by
nobody else on the host; no error has one in it.
"""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from dronewall.bench.bundle import BundleError, key_of
from dronewall.toml_check import sheet, unfit, walk

WALL = "wall.toml"
BOOK = "boards.json"
MOSQUITTO = "mosquitto.passwords"
_ROUNDS = 101  # of PBKDF2, as mosquitto_passwd does
_LONGEST = 65_536  # bytes of a certificate or a key
_SMALLEST = '[[wifi]]\nssid = "wall"\npassword_file = "wifi.password"\n\n[broker]\nhost = "192.168.4.1"'


class KeyringError(ValueError):
    """A folder of secrets that cannot be used: which file, what is wrong with it, what to do."""


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Network(_Table, frozen=True, kw_only=True):
    """A Wi-Fi network."""

    ssid: Annotated[str, Meta(min_length=1, max_length=32, description="Its name")]
    password_file: Annotated[
        str, Meta(min_length=1, max_length=200, description="File in this folder; left out: an open network")
    ] = ""


class Broker(_Table, frozen=True, kw_only=True):
    """The broker as the nodes reach it."""

    host: Annotated[str, Meta(min_length=1, max_length=253, description="Name or address, as its certificate has it")]
    port: Annotated[int, Meta(ge=1, le=65_535, description="Left out: 1883, with TLS 8883")] | None = None
    login: Annotated[
        Literal["password", "certificate", "none"],
        Meta(description="password: the node's name and NODE.password; certificate: its own; none: it lets all in"),
    ] = "password"
    keepalive_s: Annotated[int, Meta(ge=2, le=600, description="The will comes 1.5 times this after a node fell")] = 30


class Clock(_Table, frozen=True, kw_only=True):
    """Time where GNSS says none."""

    ntp: Annotated[str, Meta(min_length=1, max_length=253, description="A time server")] | None = None
    ntp_port: Annotated[int, Meta(ge=1, le=65_535, description="Its port")] = 123


class _Book(Struct, frozen=True):
    boards: dict[str, dict[str, str]]


class WallFile(_Table, frozen=True, kw_only=True):
    """wall.toml as it is written. `config` and `nodes`: more keys of config.json, of all nodes and by node, with
    `sensors` by name; the board's own firmware checks them.
    """

    wifi: Annotated[tuple[Network, ...], Meta(max_length=8, description="Networks, the first one first")] = ()
    broker: Annotated[Broker, Meta(description="The broker")]
    clock: Annotated[Clock, Meta(description="Time")] = Clock()


class Keyring:
    """A folder of secrets that was looked at: `wall` is its wall.toml, `config` and `nodes` the free tables of it.

    Raises KeyringError where the folder or its wall.toml cannot be used, and wherever a file is asked for that cannot.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._refuse_open_folder()
        path = folder / WALL
        if not path.exists():
            raise KeyringError(f"{path}: no such file; the least that it has to say:\n{_SMALLEST}")
        _owned(path, stat.S_IWGRP | stat.S_IWOTH, "write it")
        found = sheet(path)
        free = {name: found.data.pop(name, {}) for name in ("config", "nodes")}
        if not found.problems:
            walk(found, WallFile)
        for name, table in free.items():
            if not isinstance(table, dict) or (
                name == "nodes" and not all(isinstance(v, dict) for v in table.values())
            ):
                found.problem((name,), "not a table", f"[{name}{'.NAME' if name == 'nodes' else ''}]")
        if found.problems:
            raise KeyringError("\n".join(map(str, found.problems)).replace("a site file (TOML)", "TOML"))
        self.wall = msgspec.convert(found.data, WallFile)
        self.config: dict[str, Any] = free["config"]
        self.nodes: dict[str, dict[str, Any]] = free["nodes"]

    def _refuse_open_folder(self) -> None:
        if not self.folder.is_dir():
            raise KeyringError(f"{self.folder}: no such folder; make it with `mkdir -m 700`, with a {WALL} in it")
        _owned(self.folder, stat.S_IWGRP | stat.S_IWOTH, "write into it", "700")

    # --- what a node is given

    def networks(self) -> list[tuple[str, str]]:
        """(ssid, password) of each network; the password is "" where it is open."""
        found = []
        for network in self.wall.wifi:
            password = self._line(network.password_file) if network.password_file else ""
            # WPA takes 8 to 63 characters (IEEE 802.11, "Passphrase-to-PSK mapping").
            if password and not (8 <= len(password) <= 63 and password.isascii() and password.isprintable()):
                raise KeyringError(
                    f"{self.folder / network.password_file}: {len(password)} characters; expected 8 to 63 that a Wi-Fi"
                    " password may have"
                )
            found.append((network.ssid, password))
        return found

    def login(self, node: str) -> tuple[str | None, str | None]:
        """(user, password) of the node at the broker; the password is made where there is none. None, None where it
        needs none.
        """
        if self.wall.broker.login != "password":
            return None, None
        path = self.folder / f"{node}.password"
        if not path.exists():
            _write(path, secrets.token_urlsafe(24).encode() + b"\n")
        password = self._line(path.name)
        if not 1 <= len(password) <= 128:
            raise KeyringError(f"{path}: {len(password)} characters; expected 1 to 128")
        return node, password

    def key(self, node: str) -> bytes:
        """The 32 bytes that sign the node's updates; made where there are none."""
        path = self.folder / f"{node}.key"
        if not path.exists():
            _write(path, secrets.token_bytes(32))
        self._private(path.name)
        try:
            return key_of(path)
        except BundleError as error:
            raise KeyringError(str(error)) from None

    def certificates(self, node: str) -> dict[str, bytes]:
        """{"ca", "certificate", "key"} as far as this wall has them: DER. Empty: the link is not TLS."""
        own = self.wall.broker.login == "certificate"
        authority = self._either("ca")
        if authority is None:
            if own:
                raise KeyringError(
                    f'{self.folder}: no ca.pem (or ca.der); login = "certificate" wants TLS, and TLS whom to trust'
                )
            return {}
        found = {"ca": _der(authority, "CERTIFICATE")}
        if own:
            paths = {word: self._either(f"{node}.{name}") for word, name in
                     (("certificate", "certificate"), ("key", "certificate-key"))}  # fmt: skip
            for word, path in paths.items():
                if path is None:
                    name = f"{node}.certificate{'-key' if word == 'key' else ''}"
                    raise KeyringError(f"{self.folder}: no {name}.pem (or .der); your authority signs one for {node}")
                if word == "key":
                    self._private(path.name)
                found[word] = _der(path, "PRIVATE KEY" if word == "key" else "CERTIFICATE")
            _refuse_strangers(*(path for path in paths.values() if path is not None))
        return found

    # --- the broker's file, and the book

    def told_to_mosquitto(self, node: str) -> Path | None:
        """The file for mosquitto's `password_file`, which now has the node's password, hashed; None where it needs
        none.
        """
        user, password = self.login(node)
        if user is None or password is None:
            return None
        path = self.folder / MOSQUITTO
        with self._locked():
            lines = []
            if os.path.lexists(path):
                _refuse_unfit(path)
                try:
                    lines = path.read_text().splitlines()
                except (OSError, UnicodeDecodeError) as error:
                    why = getattr(error, "strerror", None) or "not text"
                    raise KeyringError(f"{path}: {why}; move it away, and it is made anew") from None
            kept = [line for line in lines if line.partition(":")[0] != user]
            same = [line for line in lines if line.partition(":")[0] == user and _is_of(line, password)]
            if not same or len(kept) + 1 != len(lines):
                _write(path, "".join(line + "\n" for line in [*kept, mosquitto_line(user, password)]).encode())
        return path

    def boards(self) -> dict[str, dict[str, str]]:
        """{MAC: {"wall", "node", "at", ...}} of the boards that were provisioned from this folder."""
        path = self.folder / BOOK
        if not os.path.lexists(path):
            return {}
        _refuse_unfit(path)
        try:
            boards = msgspec.json.decode(path.read_bytes(), type=_Book).boards
            if not all({"wall", "node", "at"} <= entry.keys() for entry in boards.values()):
                raise ValueError
        except (OSError, ValueError, RecursionError):
            raise KeyringError(
                f"{path}: not a book of boards; move it away, and provisioning begins a new one"
            ) from None
        return boards

    def noted(self, mac: str, wall: str, node: str, at: str, **more: str) -> None:
        """Writes down that this board is that node, and no other board is."""
        with self._locked():
            boards = self.boards()
            boards = {other: entry for other, entry in boards.items() if (entry["wall"], entry["node"]) != (wall, node)}
            boards[mac] = {"wall": wall, "node": node, "at": at, **more}
            text = json.dumps({"format": 1, "boards": boards}, indent=2) + "\n"
            _write(self.folder / BOOK, text.encode())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _either(self, name: str) -> Path | None:
        found = [self.folder / f"{name}.{kind}" for kind in ("pem", "der") if (self.folder / f"{name}.{kind}").exists()]
        if len(found) > 1:
            raise KeyringError(f"{self.folder}: {found[0].name} and {found[1].name}; expected one of them")
        return found[0] if found else None

    def _private(self, name: str) -> Path:
        path = self.folder / name
        _owned(path, stat.S_IRWXG | stat.S_IRWXO, "read it")
        return path

    def _line(self, name: str) -> str:
        if Path(name).name != name:
            raise KeyringError(f"{self.folder / WALL}: password_file {name!r}; expected a file of its folder")
        path = self._private(name)
        try:
            found = path.read_bytes()[:_LONGEST].decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise KeyringError(f"{path}: {getattr(error, 'strerror', None) or 'not text'}") from None
        if not found or not found[0]:
            raise KeyringError(f"{path}: no password in its first line")
        return found[0]


def _owned(path: Path, forbidden: int, what: str, mode: str = "600") -> None:
    """Raises KeyringError unless the file (mode 700: the folder) is there, ours, and nobody else may do `what`."""
    try:
        found = path.stat()
    except OSError as error:
        raise KeyringError(f"{path}: {(error.strerror or str(error)).lower()}; expected by {WALL}") from None
    if mode == "600":
        _refuse_unfit(path)
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyringError(f"{path}: belongs to another user ({found.st_uid}); chown it, if you trust what is in it")
    if found.st_mode & forbidden:
        raise KeyringError(f"{path}: others may {what}; chmod {mode} {path}")


def _refuse_unfit(path: Path) -> None:
    """Raises KeyringError for what would be read without an end, or not at all."""
    if wrong := unfit(path):
        raise KeyringError(f"{path}: {wrong}; expected a file")


def _write(path: Path, content: bytes) -> None:
    """Puts a file into its place, in one step, for our eyes only."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a key that a board has and nobody else any more signs nothing
        os.replace(new, path)
    except OSError as error:
        with contextlib.suppress(OSError):  # of a mount that is read-only, nothing can be taken away, either
            new.unlink(missing_ok=True)
        raise KeyringError(f"{path}: cannot be written ({error.strerror}); make room or leave to write there") from None


def mosquitto_line(user: str, password: str) -> str:
    """The line of mosquitto's password file that lets them in."""
    # mosquitto's own format: PBKDF2 of SHA-512 (mosquitto_passwd(1); "$7$" rounds, salt, digest)
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"{user}:$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _is_of(line: str, password: str) -> bool:
    try:
        kind, rounds, salt, digest = line.partition(":")[2].removeprefix("$").split("$")
        if not 0 < int(rounds) <= _ROUNDS:
            return False
        made = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(rounds))
        return kind == "7" and hmac.compare_digest(made, base64.b64decode(digest))
    except ValueError:
        return False


def _der(path: Path, label: str) -> bytes:
    """The one certificate or key in a file, PEM or DER, as DER."""
    _refuse_unfit(path)
    try:
        content = path.read_bytes()[:_LONGEST]
    except OSError as error:
        raise KeyringError(f"{path}: cannot be read ({error.strerror})") from None
    if path.suffix == ".der":
        if content[:1] != b"\x30":  # an ASN.1 SEQUENCE
            raise KeyringError(f"{path}: not DER; a PEM file is converted here, if its name ends in .pem")
        return content
    blocks = re.findall(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", content, re.DOTALL)
    found = [body for name, body in blocks if name.decode().endswith(label)]
    if any(name == b"ENCRYPTED PRIVATE KEY" for name, _ in blocks) or any(b"ENCRYPTED" in body for _, body in blocks):
        raise KeyringError(f"{path}: under a password of its own, which the node would not have; take that off")
    if len(found) != 1:
        raise KeyringError(f"{path}: {len(found)} of BEGIN ... {label} in it; expected one, in PEM")
    try:
        der = base64.b64decode(b"".join(found[0].split()), validate=True)
    except ValueError:
        der = b""
    if der[:1] != b"\x30":
        raise KeyringError(f"{path}: not PEM, what is between its lines is no base64 of a certificate or key")
    return der


def _refuse_strangers(certificate: Path, key: Path) -> None:
    """Raises KeyringError where the key is not the certificate's; only PEM can be asked here."""
    if certificate.suffix == key.suffix == ".pem":
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
        except (ssl.SSLError, OSError):
            raise KeyringError(f"{key}: not the key of {certificate.name}") from None
