"""How a file gets onto a board: in pieces that its memory takes, and read back from its flash by its SHA-256.

What is in a file is in no message: it may be a password.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence

from dronewall.bench.repl import BoardError, Repl

PIECE = 3000  # bytes in one program; a board has the memory to compile its 4000 letters
_NAMES = 16  # of files in one program
HELPERS = """
import gc, hashlib, json, os
from binascii import a2b_base64, hexlify
def digest(path):
    sha = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            data = file.read(1024)
            while data:
                sha.update(data)
                data = file.read(1024)
    except OSError:
        return None
    return hexlify(sha.digest()).decode()
def begin(path):
    global file
    gc.collect()
    folder = path.rsplit("/", 1)[0]
    parts = folder.split("/")[1:]
    for i in range(len(parts)):
        parent = "/" + "/".join(parts[:i])
        if parts[i] and parts[i] not in os.listdir(parent):
            os.mkdir("/" + "/".join(parts[:i + 1]))
    file = open(path, "wb")
def put(data):
    file.write(a2b_base64(data))
def end(path):
    file.close()
    print(json.dumps(digest(path)))
"""
"""`digest` of a file there, None where there is none; `begin`, `put` and `end` of one that is written. Run once in a
session, before what is below."""


def sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal, as the board tells it."""
    return hashlib.sha256(content).hexdigest()


def digests(repl: Repl, paths: Sequence[str]) -> dict[str, str | None]:
    """{path: SHA-256} of files on the board, None where there is none."""
    found: dict[str, str | None] = dict.fromkeys(paths)
    for at in range(0, len(paths), _NAMES):
        some = list(paths[at : at + _NAMES])
        found |= repl.answer(
            f"print(json.dumps({{path: digest(path) for path in {some!r}}}))", dict[str, str | None], 30.0
        )
    return found


def write(repl: Repl, path: str, content: bytes, at: Callable[[int], None] = lambda _: None) -> None:
    """Returns once the file is in the board's flash; folders are made. `at` is given the bytes that went over the line.
    Raises ProgramError where the board cannot write it, BoardError where it reads back otherwise.
    """
    repl.run(f"begin({path!r})", 30.0)
    for start in range(0, len(content), PIECE):
        piece = content[start : start + PIECE]
        repl.run(f"put('{base64.b64encode(piece).decode()}')", 30.0)
        at(start + len(piece))
    check(repl, path, repl.answer(f"end({path!r})", str | None, 30.0), content)


def check(repl: Repl, path: str, said: str | None, content: bytes) -> None:
    """Raises BoardError unless the board said the SHA-256 of this content."""
    if said != sha256(content):
        raise BoardError(
            f"{repl.port}: {path} has another SHA-256 on the board than here; give the same command again (a bad cable,"
            " a weak hub)"
        )
