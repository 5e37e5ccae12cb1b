"""How the engine's loops are compiled, and where the machine code is kept: the only owner of numba's `njit`.

numba's own cache looks at one function's source only: after a change in a function that a kernel *calls*, it
goes on with the old machine code. And it raises where it cannot write. So each state of the engine's sources
has a folder of its own (a *generation*), named by a hash of all of them and of the versions that compile
them:

    DRONEWALL_CACHE, else the user's cache folder, else a private folder among the temporary ones, else none
        kernels/
            3f2a...   a generation, one per state of engine/*.py, numba, numpy and Python
            lock      held while a kernel is written

Kernels alone import this module: numba takes half a second.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import pickle
import platform
import re
import shutil
import stat
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
import numpy
from numba.core.caching import FunctionCache
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.dispatcher import Dispatcher

Function = TypeVar("Function", bound=Callable[..., Any])

# Generations of earlier sources stay for whoever goes back and forth between two branches. One that was used
# within the last hour may belong to a process that is still running.
_KEPT_GENERATIONS = 8
_UNTOUCHED_S = 3600.0

_GENERATION = re.compile(r"[0-9a-f]{24}")
_deciding = threading.Lock()


class NoAlias(CompilerBase):  # type: ignore[misc]
    """A `pipeline_class` that tells LLVM that the arrays of a call do not overlap: without it hardly a loop becomes
    vector instructions.
    """

    def define_pipelines(self) -> list[Any]:
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


def njit(**options: Any) -> Callable[[Function], Function]:
    """numba's `njit` with the global lock released and machine code kept between runs.

    A kernel that cannot be kept is compiled in each process, and one RuntimeWarning per process says why.
    """

    def compiled(function: Function) -> Function:
        dispatcher = numba.njit(**{"nogil": True, **options})(function)
        # Not a Dispatcher where NUMBA_DISABLE_JIT leaves the function as it is.
        folder = cache_folder() if isinstance(dispatcher, Dispatcher) else None
        if folder is not None:
            # numba asks its configuration where to keep a function once, here. Setting that for longer would
            # move the caches of other libraries in this process.
            with _deciding:
                before = numba.config.CACHE_DIR
                numba.config.CACHE_DIR = str(folder)
                try:
                    dispatcher._cache = _Kept(function)
                except (OSError, RuntimeError) as error:
                    _warn(f"{function.__qualname__}: {error}")
                finally:
                    numba.config.CACHE_DIR = before
        return cast(Function, dispatcher)

    return compiled


@functools.cache
def cache_folder() -> Path | None:
    """This generation's folder, made and writable; None, with one RuntimeWarning, where none can be."""
    generation = _generation(Path(__file__).parent)
    if generation is None:
        return None
    refusals = []
    for kernels, public in _places():
        try:
            folder = _opened(kernels, generation, public)
        except OSError as error:
            refusals.append(str(error))
        else:
            _prune(kernels, keep=folder)
            return folder
    _warn("; ".join(refusals))
    return None


def nothing_kept() -> bool:
    """Whether every kernel that is asked for will be compiled first."""
    folder = cache_folder()
    return folder is None or next(folder.rglob("*.nbi"), None) is None


def _generation(sources: Path) -> str | None:
    """A name for this state of the sources and of what compiles them; None where they cannot be read."""
    digest = hashlib.sha256()
    versions = (numba.__version__, llvmlite.__version__, numpy.__version__, sys.version, platform.machine())
    digest.update(repr(versions).encode())
    files = sorted(sources.rglob("*.py"))
    try:
        for file in files:
            text = file.read_bytes()
            digest.update(f"{file.relative_to(sources).as_posix()} {len(text)}\n".encode())
            digest.update(text)
    except OSError:
        return None
    return digest.hexdigest()[:24] if files else None


def _places() -> Iterator[tuple[Path, bool]]:
    """Where generations may live, the best place first, and whether others may write beside it."""
    told = os.environ.get("DRONEWALL_CACHE")
    if told:
        yield Path(told).expanduser() / "kernels", False
    else:
        with contextlib.suppress(RuntimeError):  # a user without a home folder
            home = Path.home()
            if sys.platform == "darwin":
                yield home / "Library" / "Caches" / "dronewall" / "kernels", False
            else:
                caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
                yield caches / "dronewall" / "kernels", False
    yield Path(tempfile.gettempdir()) / f"dronewall-{os.getuid()}" / "kernels", True


def _opened(kernels: Path, generation: str, public: bool) -> Path:
    """The generation's folder, made where needed and marked as used; OSError where it cannot be used."""
    kernels.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if public:  # what lies here is run, so where others can write the folder must be ours and closed to them
        found = kernels.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{kernels.parent} is not a private folder of this user")
    folder = kernels / generation
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
    os.utime(folder)
    return folder


def _prune(kernels: Path, keep: Path) -> None:
    """Removes generations that nobody used lately, when there are many; where it cannot, it leaves them."""
    with contextlib.suppress(OSError):
        found = [path for path in kernels.iterdir() if _GENERATION.fullmatch(path.name)]
        latest_first = sorted(((path.stat().st_mtime, path) for path in found), reverse=True)
        for used, path in latest_first[_KEPT_GENERATIONS:]:
            if path != keep and time.time() - used > _UNTOUCHED_S:
                shutil.rmtree(path, ignore_errors=True)


class _Kept(FunctionCache):  # type: ignore[misc]
    """numba's cache of one function, safe on full disks, with torn files and with two processes at once."""

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            # numba numbers its files from an index that it reads first: without the lock two processes may
            # give the same number to different signatures, and a third one runs the wrong machine code.
            with open(Path(self.cache_path).parent.parent / "lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                super().save_overload(sig, data)
        except (OSError, EOFError, pickle.PickleError) as error:
            _warn(f"{self.cache_path}: {error}")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            # A file cut short by a full disk or a power cut can make unpickling raise anything. Without these
            # files the function is compiled and kept anew.
            base = self._impl.filename_base
            for path in Path(self.cache_path).glob("*.nb[ic]"):
                if path.name.startswith(f"{base}."):
                    with contextlib.suppress(OSError):
                        path.unlink()
            return None


@functools.cache
def _warned() -> set[str]:
    return set()


def _warn(reason: str) -> None:
    """One warning per process: many kernels meet the same full disk."""
    if not _warned():
        _warned().add(reason)
        warnings.warn(
            f"compiled kernels are not kept, every start compiles them again ({reason}); "
            "set DRONEWALL_CACHE to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
