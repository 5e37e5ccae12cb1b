"""Those that compute a viewshed, each behind the same four calls, each in a process of its own.

    python peers.py TOOL    a key of TOOLS; requests and replies are lines of JSON

The conventions in which they differ stand here and nowhere else, so that all get the same job: the eye over the
middle of a cell, the target's height added at the cell, curvature and refraction as (1 - k) d^2 / 2R with
R = 6 371 000 m. Needs numpy and what the tool itself needs: xarray-spatial lives in an environment without dronewall.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import inspect
import itertools
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

RADIUS = 6_371_000.0
"""Mean radius of the earth [m], that of `dronewall.engine.earth`."""


@dataclass(frozen=True)
class Job:
    """One viewshed: the eye `agl` metres over the middle of cell (row, col), row 0 in the south; metres, radians."""

    row: int
    col: int
    agl: float
    target: float
    reach: float
    azimuth: float = 0.0
    hfov: float = math.tau
    refraction: float = 0.13

    def box(self, shape: tuple[int, int], cell: float) -> tuple[slice, slice]:
        """Rows and columns of the square around the circle, cut at the raster's edge."""
        steps = math.ceil(self.reach / cell)
        return (
            slice(max(self.row - steps, 0), min(self.row + steps + 1, shape[0])),
            slice(max(self.col - steps, 0), min(self.col + steps + 1, shape[1])),
        )


class Missing(Exception):
    """The tool is not here; the message says why."""


class Ours:
    """dronewall.engine.viewshed."""

    name = "dronewall"
    exact = False

    def __init__(self) -> None:
        from dronewall import __version__
        from dronewall.engine import terrain, viewshed

        self.version = __version__
        self._terrain_of, self._visible = terrain.Terrain.from_array, viewshed.visible
        self.note = ""
        self._options: dict[str, Any] = {}
        if "exact" in inspect.signature(viewshed.visible).parameters:
            self._options["exact"] = self.exact
        elif not self.exact:
            self.note = "this engine knows no exact=; its one way is the exact one"

    def load(self, ground: Any, cell: float) -> None:
        self._terrain = self._terrain_of(ground, cell)

    def prepare(self, job: Job) -> None:
        terrain, self._job = self._terrain, job
        east, north = (job.col + 0.5) * terrain.cell, (job.row + 0.5) * terrain.cell
        self._eye = (east, north, float(terrain.ground_amsl[job.row, job.col]) + job.agl)

    def run(self) -> Any:
        job = self._job
        return self._visible(
            self._terrain,
            self._eye,
            job.target,
            job.reach,
            job.azimuth,
            job.hfov,
            refraction=job.refraction,
            **self._options,
        )

    def answer(self) -> Any:
        window = self.run()
        seen = np.zeros(self._terrain.shape, dtype=bool)
        seen[window.slices] = window.values
        return seen


class OursExact(Ours):
    """The same with exact=True."""

    name = "dronewall, exact=True"
    exact = True


class Gdal:
    """GDALViewshedGenerate of the library inside rasterio's wheel, from one dataset in memory to another.

    The eye stands over the middle of the cell that holds it. The range is horizontal. Curvature counts only where
    the raster has a CRS, with that CRS's radius: here a sphere of RADIUS. Mode 2 ("edge") is gdal_viewshed's own
    choice, and of its four the nearest to the exact answer. It starts threads of its own in each call.
    """

    name = "GDAL"
    note = "in process, MEM to MEM, mode edge"

    def __init__(self) -> None:
        if importlib.util.find_spec("rasterio") is None:
            raise Missing("rasterio is not installed")
        import rasterio
        import rasterio.crs

        folder = Path(rasterio.__file__).parent
        places = [*folder.parent.glob("rasterio.libs/libgdal*"), *folder.glob(".dylibs/libgdal*")]
        if not places:
            raise Missing(f"no libgdal beside {folder}: rasterio is not from a wheel")
        self._library = gdal = ctypes.CDLL(str(places[0]))
        gdal.GDALAllRegister()
        for name in ("GDALGetDriverByName", "GDALCreate", "GDALGetRasterBand", "GDALViewshedGenerate"):
            getattr(gdal, name).restype = ctypes.c_void_p
        gdal.GDALVersionInfo.restype = ctypes.c_char_p
        self.version = gdal.GDALVersionInfo(b"RELEASE_NAME").decode()
        self._crs = rasterio.crs.CRS.from_string(f"+proj=eqc +R={RADIUS} +units=m +type=crs").to_wkt().encode()
        self._local = threading.local()

    def load(self, ground: Any, cell: float) -> None:
        self._ground, self._cell = np.ascontiguousarray(ground[::-1], dtype=np.float64), cell
        self._local = threading.local()

    def prepare(self, job: Job) -> None:
        self._job = job

    def _band(self) -> Any:
        """This thread's own dataset: one may not be read by two threads."""
        if not hasattr(self._local, "band"):
            gdal, (rows, cols) = self._library, self._ground.shape
            driver = ctypes.c_void_p(gdal.GDALGetDriverByName(b"MEM"))
            dataset = ctypes.c_void_p(gdal.GDALCreate(driver, b"", cols, rows, 1, 7, None))
            gdal.GDALSetGeoTransform(
                dataset, (ctypes.c_double * 6)(0.0, self._cell, 0.0, rows * self._cell, 0.0, -self._cell)
            )
            gdal.GDALSetProjection(dataset, self._crs)
            self._local.band = ctypes.c_void_p(gdal.GDALGetRasterBand(dataset, 1))
            data = self._ground.ctypes.data_as(ctypes.c_void_p)
            if gdal.GDALRasterIO(self._local.band, 1, 0, 0, cols, rows, data, cols, rows, 7, 0, 0):
                raise RuntimeError("GDALRasterIO failed")
        return self._local.band

    def _generate(self) -> Any:
        job, real = self._job, ctypes.c_double
        found = self._library.GDALViewshedGenerate(
            self._band(),
            b"MEM",
            b"",
            None,
            real((job.col + 0.5) * self._cell),
            real((job.row + 0.5) * self._cell),
            real(job.agl),
            real(job.target),
            real(255.0),  # visible
            real(0.0),
            real(0.0),  # out of range
            real(-1.0),
            real(1.0 - job.refraction),
            2,  # GVM_Edge
            real(job.reach),
            None,
            None,
            1,  # GVOT_NORMAL
            None,
        )
        if not found:
            raise RuntimeError("GDALViewshedGenerate failed")
        return ctypes.c_void_p(found)

    def run(self) -> None:
        self._library.GDALClose(self._generate())

    def answer(self) -> Any:
        gdal, dataset = self._library, self._generate()
        band = ctypes.c_void_p(gdal.GDALGetRasterBand(dataset, 1))
        cols, rows = gdal.GDALGetRasterXSize(dataset), gdal.GDALGetRasterYSize(dataset)
        values = np.empty((rows, cols), dtype=np.uint8)
        gdal.GDALRasterIO(band, 0, 0, 0, cols, rows, values.ctypes.data_as(ctypes.c_void_p), cols, rows, 1, 0, 0)
        place = (ctypes.c_double * 6)()
        gdal.GDALGetGeoTransform(dataset, place)
        gdal.GDALClose(dataset)
        col = round(place[0] / self._cell)
        row = round(place[3] / self._cell) - rows
        seen = np.zeros(self._ground.shape, dtype=bool)
        seen[row : row + rows, col : col + cols] = values[::-1] > 0
        return seen


class GdalOneCore(Gdal):
    """The same with each calling thread, and the threads that GDAL starts from it, kept on a core of its own.

    On two cores GDAL's pool was measured to take twice the CPU time that it takes on one, and 1.4 times its wall time:
    what a CPU second of GDAL is worth, this one shows.
    """

    name = "GDAL, a core each"
    note = "the same, each call and its threads kept on one core"

    def __init__(self) -> None:
        if not hasattr(os, "sched_setaffinity"):
            raise Missing("this system does not keep threads on a core (sched_setaffinity)")
        super().__init__()
        self._cores = sorted(os.sched_getaffinity(0))
        self._turn = itertools.count()
        self._kept = threading.local()

    def _band(self) -> Any:
        if not hasattr(self._kept, "core"):
            self._kept.core = self._cores[next(self._turn) % len(self._cores)]
            os.sched_setaffinity(0, {self._kept.core})
        return super()._band()


class XarraySpatial:
    """xrspatial.viewshed, warm.

    It knows neither range nor curvature: it gets the square around the circle (4/pi of the cells), lowered by
    (1 - k) d^2 / 2R beforehand and untimed. That is the same line of sight, up to 1e-6 m between two cells' middles.
    """

    name = "xarray-spatial"
    note = "warm; the square around the circle, curvature put into the ground beforehand"

    def __init__(self) -> None:
        if importlib.util.find_spec("xrspatial") is None:
            raise Missing("xarray-spatial is not installed in this environment")
        xrspatial = importlib.import_module("xrspatial")
        self.version = xrspatial.__version__
        self._array, self._viewshed = importlib.import_module("xarray").DataArray, xrspatial.viewshed

    def load(self, ground: Any, cell: float) -> None:
        self._ground, self._cell = ground, cell

    def prepare(self, job: Job) -> None:
        rows, cols = self._box = job.box(self._ground.shape, self._cell)
        east = (np.arange(cols.start, cols.stop) - job.col) * self._cell
        north = (np.arange(rows.start, rows.stop) - job.row) * self._cell
        drop = (east**2 + north[:, None] ** 2) * (1.0 - job.refraction) / (2.0 * RADIUS)
        self._raster = self._array(self._ground[rows, cols] - drop, dims=["y", "x"], coords={"y": north, "x": east})
        self._job = job

    def run(self) -> Any:
        return self._viewshed(self._raster, x=0.0, y=0.0, observer_elev=self._job.agl, target_elev=self._job.target)

    def answer(self) -> Any:
        seen = np.zeros(self._ground.shape, dtype=bool)
        seen[self._box] = self.run().values >= 0.0
        return seen


class Grass:
    """r.viewshed, a program: its start, reading and writing its maps are in its time (together about 40 ms).

    Region: the square around the circle. Its curvature takes the location's ellipsoid, 6 378 137 m, so the
    refraction handed over is that which gives the same drop. It computes in 32-bit floats.
    """

    name = "GRASS r.viewshed"
    note = "the program, with its start and its map files; 32-bit heights"

    def __init__(self) -> None:
        program = shutil.which("grass")
        if program is None:
            raise Missing("no grass on the PATH (Debian: apt-get install grass-core)")
        told = subprocess.run([program, "--config", "version", "path"], capture_output=True, text=True, check=False)
        if told.returncode or len(told.stdout.split()) < 2:
            raise Missing(f"{program} --config failed: {told.stderr.strip()}")
        self.version, base = told.stdout.split()[:2]
        self._home = tempfile.TemporaryDirectory(prefix="dronewall-grass-")
        self._children = 0.0
        self._peak = 0.0
        location = Path(self._home.name) / "location"
        subprocess.run([program, "-c", "EPSG:32616", "-e", str(location)], capture_output=True, check=True)
        settings = Path(self._home.name) / "rc"
        settings.write_text(
            f"GISDBASE: {self._home.name}\nLOCATION_NAME: location\nMAPSET: PERMANENT\nGUI: text\nPID: {os.getpid()}\n"
        )
        self._environment = {
            **os.environ,
            "GISBASE": base,
            "GISRC": str(settings),
            "PATH": f"{base}/bin:{base}/scripts:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": f"{base}/lib:{os.environ.get('LD_LIBRARY_PATH', '')}",
            "GRASS_VERBOSE": "0",
        }
        self._lock = threading.Lock()

    def _call(self, *command: str) -> None:
        process = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        words = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {words}")
        with self._lock:
            self._children += used.ru_utime + used.ru_stime
            self._peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

    def load(self, ground: Any, cell: float) -> None:
        self._ground, self._cell = ground, cell
        rows, cols = ground.shape
        raw = Path(self._home.name) / "ground.bin"
        np.ascontiguousarray(ground[::-1], dtype=np.float64).tofile(raw)
        edges = ["south=0", "west=0", f"north={rows * cell}", f"east={cols * cell}"]
        self._call(
            "r.in.bin", "-d", "--o", f"input={raw}", "output=ground", f"rows={rows}", f"cols={cols}", *edges, "bytes=8"
        )

    def prepare(self, job: Job) -> None:
        rows, cols = self._box = job.box(self._ground.shape, self._cell)
        edges = {"s": rows.start, "n": rows.stop, "w": cols.start, "e": cols.stop}
        self._call("g.region", f"res={self._cell}", *(f"{edge}={at * self._cell}" for edge, at in edges.items()))
        self._job = job

    def run(self, output: str = "seen") -> None:
        job, cell = self._job, self._cell
        output = f"{output}_{threading.get_ident()}"
        self._call(
            "r.viewshed",
            "-bcr",
            "--o",
            "input=ground",
            f"output={output}",
            f"coordinates={(job.col + 0.5) * cell},{(job.row + 0.5) * cell}",
            f"observer_elevation={job.agl}",
            f"target_elevation={job.target}",
            f"max_distance={job.reach}",
            f"refraction_coeff={1.0 - (1.0 - job.refraction) * 6378137.0 / RADIUS}",
            "memory=2000",
        )

    def answer(self) -> Any:
        self.run()
        raw = Path(self._home.name) / "seen.bin"
        self._call("r.out.bin", "-i", "--o", f"input=seen_{threading.get_ident()}", f"output={raw}", "bytes=1")
        rows = self._box[0]
        values = np.fromfile(raw, dtype=np.uint8).reshape(rows.stop - rows.start, -1)
        seen = np.zeros(self._ground.shape, dtype=bool)
        seen[self._box] = values[::-1] == 1
        return seen

    def children(self) -> float:
        """CPU seconds of the programs started so far."""
        return self._children

    def peak(self) -> float:
        """Peak memory of the program as a whole [MiB]."""
        self.run()
        return self._peak


TOOLS = {
    "ours": Ours,
    "ours-exact": OursExact,
    "gdal": Gdal,
    "gdal-one-core": GdalOneCore,
    "xarray-spatial": XarraySpatial,
    "grass": Grass,
}


def cpu(tool: Any) -> float:
    """CPU seconds of this process, all its threads, and of the programs that the tool started."""
    return time.process_time() + (tool.children() if hasattr(tool, "children") else 0.0)


def peak(tool: Any) -> float:
    """What one run adds to this process's memory at its highest [MiB]; nan where the system does not tell."""
    if hasattr(tool, "peak"):
        return float(tool.peak())
    return peak_of(tool.run)


def peak_of(call: Any) -> float:
    """What a call adds to this process's resident memory at its highest [MiB]; nan where the system does not tell."""
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        call()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
        return grown / 2**20 if grown else math.nan
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    reset.write_text("5")
    before = _status("VmRSS")
    call()
    return (_status("VmHWM") - before) / 1024.0


def _status(key: str) -> float:
    """A figure of /proc/self/status [KiB]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1])
    return math.nan


def serve(name: str) -> None:
    """Answers requests, a line of JSON each, until the input ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the libraries print is no reply
    try:
        tool: Any = TOOLS[name]()
    except (Missing, ImportError, OSError, subprocess.SubprocessError) as error:
        print(json.dumps({"missing": str(error)}), file=replies)
        return
    print(json.dumps({"name": tool.name, "version": tool.version, "note": tool.note}), file=replies)
    with ThreadPoolExecutor(2) as pool:
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(_reply(tool, pool, **request)), file=replies)


def _reply(tool: Any, pool: ThreadPoolExecutor, do: str, **told: Any) -> dict[str, float]:
    if do == "load":
        tool.load(np.load(told["ground"]), told["cell"])
    elif do == "prepare":
        tool.prepare(Job(**told))
    elif do == "answer":
        np.save(told["path"], tool.answer())
    elif do == "peak":
        return {"mib": peak(tool)}
    elif do == "time":
        calls = told["calls"]
        used, began = cpu(tool), time.perf_counter()
        for _ in range(calls):
            tool.run()
        return {"wall": (time.perf_counter() - began) / calls, "cpu": (cpu(tool) - used) / calls}
    elif do == "two":
        calls = told["calls"]
        began = time.perf_counter()
        for done in [pool.submit(lambda: [tool.run() for _ in range(calls)]) for _ in range(2)]:
            done.result()
        return {"wall": (time.perf_counter() - began) / (2 * calls)}
    return {}


if __name__ == "__main__":
    serve(sys.argv[1])
