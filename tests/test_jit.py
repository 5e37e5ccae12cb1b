"""engine/_jit.py: kernels are kept between runs, never run stale, and a cache that cannot be written stops
nobody.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numba
import pytest

from dronewall.engine import _jit

# A kernel that calls a function of another module, and says: result, kernels found in the cache, where.
KERNEL = """
from engine._jit import njit
from engine.callee import step


@njit()
def kernel(x):
    return step(x) + 1
"""
CALLEE = """
from engine._jit import njit


@njit()
def step(x):
    return x * {factor}
"""
RUN = """
from engine.kernel import kernel
print(kernel(10), sum(kernel.stats.cache_hits.values()), kernel.stats.cache_path)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A small engine of its own: the real _jit.py beside a kernel and the function that it calls."""
    folder = tmp_path / "sources" / "engine"
    folder.mkdir(parents=True)
    shutil.copy(_jit.__file__, folder / "_jit.py")
    (folder / "__init__.py").touch()
    (folder / "kernel.py").write_text(KERNEL)
    (folder / "callee.py").write_text(CALLEE.format(factor=2))
    return folder


def started(engine: Path, cache: Path, code: str = RUN, **environment: str) -> subprocess.Popen[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "XDG_"))}
    # Without .pyc files: they are told apart by second and size alone, and a test rewrites a source in less.
    return subprocess.Popen(
        [sys.executable, "-B", "-c", code],
        cwd=engine.parent,
        env={**kept, "PYTHONPATH": str(engine.parent), "DRONEWALL_CACHE": str(cache), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, int, Path, str]:
    """Result, hits, the cache's path, and what went to stderr."""
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    result, hits, path = out.split(maxsplit=2)
    return int(result), int(hits), Path(path.strip()), err


def test_the_second_process_does_not_compile_again(engine: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert finished(started(engine, cache))[:2] == (21, 0)
    result, hits, path, err = finished(started(engine, cache))
    assert (result, hits, err) == (21, 1, "")
    assert path.is_relative_to(cache / "kernels")


def test_a_first_run_knows_that_it_is_one(engine: Path, tmp_path: Path) -> None:
    ask = "from engine._jit import nothing_kept\nprint(nothing_kept())\n" + RUN + "print(nothing_kept())"
    for expected in (["True", "False"], ["False", "False"]):
        out, err = started(engine, tmp_path / "cache", ask).communicate(timeout=50)
        assert out.split()[::4] == expected, err


def test_a_change_in_a_called_module_is_not_answered_from_the_old_machine_code(engine: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = finished(started(engine, cache))
    (engine / "callee.py").write_text(CALLEE.format(factor=3))
    after = finished(started(engine, cache))
    assert (before[0], after[0]) == (21, 31)
    assert before[2].parent != after[2].parent, "a changed source has a folder of its own"


def closed(folder: Path) -> Path:
    """A place below the folder where nothing can be written, not even by root, whom no permission stops."""
    place = folder / "closed"
    place.mkdir(mode=0o500)
    if os.access(place, os.W_OK):
        place.rmdir()
        place.touch()
    return place


def test_a_folder_that_cannot_be_written_is_replaced_by_a_private_temporary_one(engine: Path, tmp_path: Path) -> None:
    result, _, path, err = finished(started(engine, closed(tmp_path), TMPDIR=str(tmp_path)))
    assert (result, err) == (21, "")
    private = tmp_path / f"dronewall-{os.getuid()}"
    assert path.is_relative_to(private)
    assert private.stat().st_mode & 0o777 == 0o700


def test_without_any_folder_kernels_run_and_one_warning_says_so(engine: Path, tmp_path: Path) -> None:
    public = tmp_path / f"dronewall-{os.getuid()}"
    public.mkdir()
    public.chmod(0o777)  # anybody could have put machine code here
    code = "from engine.kernel import kernel\nprint(kernel(10), 0, '-')"
    result, _, _, err = finished(started(engine, closed(tmp_path), code, TMPDIR=str(tmp_path)))
    assert result == 21
    assert err.count("RuntimeWarning") == 1, err
    assert "not a private folder" in err
    assert not list(public.iterdir())


def test_a_full_disk_costs_a_warning_and_not_the_run(engine: Path, tmp_path: Path) -> None:
    # No file may grow beyond 100 bytes: writing a kernel fails half way, as it does on a full disk.
    limit = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from engine.kernel import kernel\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "print(kernel(10), 0, '-')"
    )
    result, _, _, err = finished(started(engine, tmp_path / "cache", limit, PYTHONDONTWRITEBYTECODE="1"))
    assert result == 21
    assert err.count("RuntimeWarning") == 1, err


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_a_file_cut_short_is_compiled_and_kept_anew(engine: Path, tmp_path: Path, suffix: str) -> None:
    cache = tmp_path / "cache"
    path = finished(started(engine, cache))[2]
    torn = list(path.glob(f"kernel.kernel-*.{suffix}"))
    assert len(torn) == 1
    torn[0].write_bytes(torn[0].read_bytes()[:40])
    assert finished(started(engine, cache))[:2] == (21, 0)
    assert finished(started(engine, cache))[:2] == (21, 1)


def test_two_processes_at_once_both_answer_and_leave_a_cache_that_works(engine: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    # Different signatures of one kernel: numba alone can give both the same file.
    whole = RUN
    floating = RUN.replace("kernel(10)", "int(kernel(10.0))")
    for process in [started(engine, cache, whole), started(engine, cache, floating)]:
        assert finished(process)[0] == 21
    assert finished(started(engine, cache, whole))[:2] == (21, 1)
    assert finished(started(engine, cache, floating))[:2] == (21, 1)


def test_other_users_of_numba_in_the_process_keep_their_own_cache_folder() -> None:
    before = numba.config.CACHE_DIR
    kernel = _jit.njit()(lambda x: x + 1)
    assert before == numba.config.CACHE_DIR
    assert kernel(1) == 2
    assert kernel.targetoptions["nogil"] is True


def test_without_compilation_the_function_stays_as_it_is(engine: Path, tmp_path: Path) -> None:
    code = "from engine.kernel import kernel\nprint(kernel(10), 0, type(kernel).__name__)"
    assert finished(started(engine, tmp_path, code, NUMBA_DISABLE_JIT="1"))[:3] == (21, 0, Path("function"))


def test_old_generations_are_removed_only_when_many_and_long_unused(tmp_path: Path) -> None:
    now = time.time()
    generations = [tmp_path / f"{number:024x}" for number in range(12)]
    for age, folder in enumerate(generations):
        folder.mkdir()
        (folder / "kernel.nbi").touch()
        hours_ago = now - 7200 * age
        os.utime(folder, (hours_ago, hours_ago))
    foreign = tmp_path / "somebody's photographs"
    foreign.mkdir()
    os.utime(foreign, (0, 0))
    oldest = generations[-1]
    _jit._prune(tmp_path, keep=oldest)
    assert [folder for folder in generations if folder.exists()] == [*generations[:8], oldest]
    assert foreign.exists()

    for folder in generations:
        folder.mkdir(exist_ok=True)  # twelve again, all of them used just now
        os.utime(folder)
    _jit._prune(tmp_path, keep=oldest)
    assert all(folder.exists() for folder in generations)
