"""What both benchmarks share: a tool in its own process, the machine in words, and the results' page."""

import datetime
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"


class Worker:
    """A tool of peers.py in a process of its own: its threads, memory and libraries are nobody else's."""

    def __init__(self, tool: str, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, str(HERE / "peers.py"), tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.tool = tool
        told = self._reply()
        self.missing: str | None = told.get("missing")
        self.name: str = told.get("name", tool)
        self.version: str = told.get("version", "")
        self.note: str = told.get("note", "")

    def ask(self, do: str, **told: Any) -> dict[str, float]:
        """The reply to a request; raises RuntimeError where the tool failed (its own words are on stderr)."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **told}) + "\n")
        self._process.stdin.flush()
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.tool} ended with {self._process.wait()}")
        return dict(json.loads(line))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def machine() -> str:
    """The processor, its cores, the system, and how busy it is."""
    model = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.exists():
        found = re.search(r"model name\s*: (.*)", told.read_text())
        model = found[1] if found else model
    elif sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        model = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{model}, {cores} cores, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f} at the start"
    )


def versions(*packages: str) -> str:
    """Python's version and those of packages."""
    from importlib.metadata import version

    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write_section(path: Path, name: str, text: str) -> None:
    """Puts a benchmark's results into the page, in place of its earlier ones."""
    head = "# Measured\n\n`make bench` writes this page. Times are medians; ratios are ratios of medians of one run.\n"
    page = path.read_text() if path.exists() else head
    section = f"<!-- {name} -->\n{text.strip()}\n<!-- /{name} -->"
    pattern = re.compile(rf"<!-- {name} -->.*<!-- /{name} -->", re.DOTALL)
    page = pattern.sub(lambda _: section, page) if pattern.search(page) else f"{page.rstrip()}\n\n{section}\n"
    path.write_text(page)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, figures to the right."""
    body = [list(row) for row in rows]
    right = [i > 0 and all(re.match(r"[-\d.<–]|$", row[i]) for row in body) for i in range(len(heads))]
    rules = ["---:" if flush else "---" for flush in right]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(heads), rules, *body])


def figure(value: float, digits: int = 3) -> str:
    """A number to so many digits that count, without an exponent; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    if value == 0.0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


def spread(values: Sequence[float]) -> float:
    """Half the distance between the quartiles, as a share of the median."""
    if len(values) < 4:
        return math.nan
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / 2.0 / middle
