"""The files dronewall leaves behind: which ones it may overwrite, and how they come to be whole.

Every output carries a marker in its own format's place for one: the PNG text chunk `Software`, the TIFF tag
of that name, the comment of a GIF and an MP4, the HTML `generator`, a GeoJSON foreign member `dronewall`, and for text
with `#` comments a first line with the digest of the rest, so that a site file somebody has edited is his own from
then on.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAKER = "dronewall"
_STAMP = "# made by dronewall; an edited copy is never overwritten: sha256 "
_count = itertools.count()


class OutputError(ValueError):
    """An output cannot be written where it was asked for; nothing was changed."""


class ForeignError(OutputError):
    """A file stands there that was not made by dronewall, or was edited since."""


def stamped(text: str) -> str:
    """`text` under a first line that marks it as ours for as long as nobody edits it (TOML and other `#`
    formats).
    """
    return f"{_STAMP}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def may_write(path: str | os.PathLike[str]) -> None:
    """Return if `path` is free, empty or an earlier output of ours; OutputError says why not."""
    path = Path(path)
    try:
        there = path.stat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as problem:  # a loop of links, a name too long, a zero byte
        raise OutputError(f"cannot write {path}: {_said(problem)}") from None
    if stat.S_ISDIR(there.st_mode):
        raise OutputError(f"{path} is a folder; expected the name of a file to write")
    if not stat.S_ISREG(there.st_mode):
        raise OutputError(f"{path} is not a regular file; outputs are written beside it and renamed, which needs one")
    if there.st_size == 0:
        return
    check = _CHECKS.get(path.suffix.lower(), _is_our_text)
    try:
        ours = check(path)
    except PermissionError:
        raise OutputError(
            f"{path} exists and cannot be read, so it may not be one of ours; it was left alone"
        ) from None
    except (OSError, ValueError, RecursionError):  # nested deeper than anything of ours
        ours = False
    if not ours:
        raise ForeignError(
            f"{path} exists and was not made by dronewall (or was edited since); it was left alone: "
            "move it away or choose another name"
        )


def may_fill(folder: str | os.PathLike[str]) -> None:
    """Return if `folder` is one that files can be written into, or can be made; OutputError says why not."""
    folder = Path(folder)
    try:
        wrong = not stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        wrong = False
    except (OSError, ValueError) as problem:
        raise OutputError(f"cannot write into {folder}: {_said(problem)}") from None
    if wrong:
        raise OutputError(f"{folder} is a file; expected a folder for the outputs")
    there = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write into {folder}: {there} is not writable")


def _said(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new file's path beside `path`, renamed onto it when the block ends well and removed when it does not.

    Folders are made as needed. A link is followed: what it points to is replaced, not the link. OutputError
    as `may_write`, or where the folder cannot be made, or the file not be written to its end (a full disk).
    """
    may_write(path)
    final = Path(path).resolve()
    # the suffix stays: GDAL and matplotlib choose the format by it
    draft = final.with_name(f".{final.stem}.{os.getpid()}-{next(_count)}{final.suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # made here and not by tempfile, whose files only their owner can read
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as problem:
        raise OutputError(f"cannot write {final}: {_said(problem)}") from problem
    try:
        yield draft
        os.replace(draft, final)
    except OSError as problem:
        raise OutputError(f"cannot write {final}: {_said(problem)}") from problem
    finally:
        draft.unlink(missing_ok=True)


def write_figure(
    figure: Figure, path: str | os.PathLike[str], version: str, title: str, digest: str, dots_per_inch: int
) -> None:
    """Write a picture (PNG) that says who made it and of what; OutputError as `replacing`."""
    about = {"Software": f"{MAKER} {version}", "Title": title, "Source": f"input {digest}"}
    with replacing(path) as draft:
        figure.savefig(draft, dpi=dots_per_inch, format="png", metadata=about)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8, newlines as they are) whole or not at all; OutputError as `replacing`."""
    with replacing(path) as draft:
        draft.write_bytes(text.encode())


def _is_our_png(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            return False
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT":
                return False
            if length > 1 << 24:
                return False
            data = file.read(length)
            file.read(4)
            if kind == b"tEXt" and data.startswith(b"Software\0" + MAKER.encode() + b" "):
                return True
    return False


def _is_our_gif(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4096)
    # a comment block: 0x21 0xFE, the length of its text, the text
    at = head.find(b"\x21\xfe")
    return head.startswith(b"GIF8") and at > 0 and head[at + 3 :].startswith(MAKER.encode() + b" ")


def _is_our_mp4(path: Path) -> bool:
    if path.stat().st_size > 1 << 28:
        return False
    content = path.read_bytes()
    return content[4:8] == b"ftyp" and f"made by {MAKER} ".encode() in content


def _is_our_tiff(path: Path) -> bool:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                return bool(str(raster.tags().get("TIFFTAG_SOFTWARE", "")).startswith(MAKER + " "))
    except RasterioError:
        return False


def _is_our_json(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        content = json.load(file)
    return isinstance(content, dict) and isinstance(content.get(MAKER), dict)


def _is_our_html(path: Path) -> bool:
    with path.open("rb") as file:
        return f'<meta name="generator" content="{MAKER} '.encode() in file.read(4096)


def _is_our_text(path: Path) -> bool:
    first, _, rest = path.read_bytes().partition(b"\n")
    return first.rstrip(b"\r") == f"{_STAMP}{hashlib.sha256(rest).hexdigest()}".encode()


_CHECKS: dict[str, Callable[[Path], bool]] = {
    ".png": _is_our_png,
    ".gif": _is_our_gif,
    ".mp4": _is_our_mp4,
    ".tif": _is_our_tiff,
    ".tiff": _is_our_tiff,
    ".json": _is_our_json,
    ".geojson": _is_our_json,
    ".html": _is_our_html,
    ".htm": _is_our_html,
}
