"""The wiring drawings: WireViz files and their pictures, from templates, the bill of materials and the firmware's pins.

    python hardware/draw_wiring.py             writes hardware/wiring/*.yml, *.svg, *.png and hardware/pictures/block.*
    python hardware/draw_wiring.py --check     writes nothing; names what is not as it would be written, and ends with 3

This file alone knows how a template (hardware/wiring/templates/) becomes a drawing: a pin of U1 that bears the name of
a function in `firmware/board.py` ("gnss_tx") gets its GPIO number ("GPIO26 gnss_tx"), and every part its name, maker
and maker's number from hardware/bom.csv. Neither a pin nor a part's number stands in a template. WireViz (GPL-3.0) and
Graphviz's dot are run as programs.
"""

import argparse
import hashlib
import importlib
import re
import subprocess
import sys
import tempfile
import types
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import bill
import yaml

HARDWARE = Path(__file__).resolve().parent
WIRING = HARDWARE / "wiring"
TEMPLATES = WIRING / "templates"
BLOCK = HARDWARE / "pictures" / "block.dot"

OURS = ("U1", "J1")  # whose pins bear the names of board.py, or differ with the chip
KEYS = ("title", "draw", "connectors", "cables", "connections")
HEAD = """\
# Drawn in {name}.svg and {name}.png. Written by hardware/draw_wiring.py from
# templates/{template}.yml, bom.csv and firmware/board.py: change those.
"""
GRAPH = "graph [ranksep=0.7 nodesep=0.25 pad=0.15]"
DPI = 110

Harness = dict[str, Any]


class WiringError(ValueError):
    """A template or a drawing that cannot be: which file, what came, what was expected."""


def templates(folder: Path = TEMPLATES) -> dict[str, Harness]:
    """The templates by name, as YAML reads them; WiringError where one is none."""
    found = {}
    for path in sorted(folder.glob("*.yml")):
        try:
            found[path.stem] = given = yaml.safe_load(path.read_text("utf-8"))
        except yaml.YAMLError as error:
            raise WiringError(f"templates/{path.name}: no YAML: {str(error).splitlines()[-1].strip()}") from None
        keys = list(given) if isinstance(given, dict) else []
        if sorted(keys) != sorted(KEYS):
            came = ", ".join(map(str, keys)) or "no keys"
            raise WiringError(f"templates/{path.name}: {came} came, {', '.join(KEYS)} expected")
    return found


def drawings(found: Mapping[str, Harness]) -> Iterator[tuple[str, str]]:
    """(drawing, its template). A template's `draw` says for each drawing to which variants of the bill of materials it
    belongs, whose pins it shows (`chip`; nobody's where there is none), what of the template it leaves out
    (`without`), and which pins of the chip are called otherwise (`names`).
    """
    for template, given in found.items():
        for name in given["draw"]:
            yield name, template


def pins(chip: str | None) -> Mapping[str, int | None]:
    """GPIO numbers by function of a chip of firmware/board.py."""
    if chip is None:
        return {}
    firmware = str(HARDWARE.parent / "firmware")
    if firmware not in sys.path:
        sys.path.append(firmware)
    # What board.py wants of MicroPython; `const` is for its compiler.
    sys.modules.setdefault("micropython", types.SimpleNamespace(const=lambda value: value))  # type: ignore[arg-type]
    chips: Mapping[str, Mapping[str, int | None]] = importlib.import_module("board").CHIPS
    return chips[chip]


def harness(template: Harness, name: str, rows: Sequence[Mapping[str, str]]) -> Harness:
    """The WireViz harness of a template's drawing. WiringError for a pin that the chip does not have, and for a part
    that is not in the bill of materials of each of its variants, or not the same in all.
    """
    how = template["draw"][name]
    variants, without, names = how["variants"], how.get("without", []), how.get("names", {})
    chip = how.get("chip")
    numbers = pins(chip)

    def labelled(label: Any) -> Any:
        label = names.get(label, label)
        if label not in numbers:
            return label
        if numbers[label] is None:
            raise WiringError(f"{name}: {label} came, which {chip} does not have (firmware/board.py)")
        return f"GPIO{numbers[label]} {label}"

    def part(designator: str) -> Mapping[str, str]:
        found = [bill.parts(rows, variant).get(designator) for variant in variants]
        if found[0] is None or any(each != found[0] for each in found):
            raise WiringError(f"{name}: {designator}: one row of bom.csv for {', '.join(variants)} expected")
        return found[0]

    connectors = {}
    for designator, given in template["connectors"].items():
        if designator in without:
            continue
        shown = [labelled(pin) if designator in OURS else pin for pin in given["pins"] if pin not in without]
        row = part(designator)
        one: Harness = {"type": wrapped(row["part"]), "manufacturer": row["maker"], "mpn": wrapped(row["maker_number"])}
        one["pins"] = shown
        one["show_pincount"] = False
        if "notes" in given:
            one["notes"] = wrapped(given["notes"])
        if "with" in given:
            one["additional_components"] = [
                {"type": f"{each}, {part(each)['part'].partition(',')[0]},\n{where}"}
                for each, where in given["with"].items()
                if each not in without
            ]
        connectors[designator] = one
    cables = {}
    for designator, given in template["cables"].items():
        if designator in without:
            continue
        row = part(designator)
        if "gauge" in given and f"{given['gauge'].replace('mm2', 'mm²')}," not in row["part"]:
            raise WiringError(f"{name}: {designator}: {given['gauge']} came, {row['part']} in bom.csv")
        cables[designator] = {"category": "bundle", **given}
    connections = [
        [
            {each: [labelled(pin) if each in OURS else pin for pin in (to if isinstance(to, list) else [to])]}
            for step in chain
            for each, to in step.items()
        ]
        for chain in template["connections"]
        if not any(each in without for step in chain for each in step)
    ]
    return {
        "metadata": {"title": template["title"]},
        "options": {"bgcolor": "WH", "mini_bom_mode": False, "color_mode": "SHORT"},
        "connectors": connectors,
        "cables": cables,
        "connections": connections,
        "tweak": {"append": GRAPH},
    }


def wrapped(text: str, width: int = 30) -> str:
    """The text in lines of about `width` characters, for a drawing must not become wide by a sentence; a number keeps
    its unit.
    """
    lines = [""]
    for word in re.sub(r"(?<=\d) (?=[^\W\d]{1,3}\b)", "\xa0", text).split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n".join(lines)


class _Dumper(yaml.SafeDumper):
    """Line breaks as \\n."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)


_Dumper.add_representer(str, _text)


def texts(rows: Sequence[Mapping[str, str]], found: Mapping[str, Harness]) -> dict[str, str]:
    """The text of each WireViz file, by the drawing's name."""
    out = {}
    for name, template in drawings(found):
        made = harness(found[template], name, rows)
        body = yaml.dump(made, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
        out[name] = HEAD.format(name=name, template=template) + body
    return out


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise WiringError(f"{command[-1]}: {told[-1] if told else 'no reason given'}")


def draw(files: Mapping[str, str], folder: Path, png: bool = True) -> None:
    """Writes each file and its pictures into `folder` with the real WireViz; WiringError with its last line."""
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text, "utf-8")
    # gv: what dot draws; it draws the PNG once more, larger than WireViz would.
    _run([sys.executable, "-m", "wireviz.wv_cli", "-f", "gs", *(folder / f"{name}.yml" for name in files)])
    for name, text in files.items():
        source = folder / f"{name}.gv"
        if png:
            _run(["dot", "-Tpng", f"-Gdpi={DPI}", "-o", folder / f"{name}.png", source])
            mark(folder / f"{name}.png", text)
        source.unlink()


def mark(path: Path, text: str) -> None:
    """Writes into a PNG which text it was drawn from, as `made_from` reads it."""
    from PIL import Image, PngImagePlugin

    with Image.open(path) as image:
        image.load()
        note = PngImagePlugin.PngInfo()
        note.add_text("made-from", digest(text))
        image.convert("RGB").quantize(160).save(path, pnginfo=note, optimize=True)


def made_from(path: Path) -> str:
    """The SHA-256 of the text that a PNG was drawn from; "" where it does not say."""
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get("made-from", ""))


def structure(path: Path) -> tuple[Counter[str], Counter[str]]:
    """What an SVG says and what it connects, wherever it puts it: its texts, and the titles of its nodes and edges."""
    said: Counter[str] = Counter()
    drawn: Counter[str] = Counter()
    for element in ET.parse(path).iter():
        kind = element.tag.rpartition("}")[2]
        if kind == "text":
            said["".join(element.itertext()).strip()] += 1
        elif kind == "title" and not (element.text or "").startswith("%"):  # the graph's own, which dot numbers
            drawn[(element.text or "").strip()] += 1
    return said, drawn


def differing(files: Mapping[str, str], folder: Path = WIRING) -> list[str]:
    """The names of the files in `folder` that are not as they would be written; pictures by what they show."""
    out = []
    with tempfile.TemporaryDirectory() as fresh:
        draw(files, Path(fresh), png=False)
        for name, text in files.items():
            yml, svg, png = (folder / f"{name}.{kind}" for kind in ("yml", "svg", "png"))
            if not yml.is_file() or yml.read_text("utf-8") != text:
                out.append(yml.name)
            if not svg.is_file() or structure(svg) != structure(Path(fresh) / svg.name):
                out.append(svg.name)
            if not png.is_file() or made_from(png) != digest(text):
                out.append(png.name)
    known = {f"{name}.{kind}" for name in files for kind in ("yml", "svg", "png")}
    return out + sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in known)


def digest(text: str) -> str:
    """What `made_from` says of a PNG that was drawn from the text."""
    return hashlib.sha256(text.encode()).hexdigest()


def block(folder: Path) -> None:
    """Draws the block diagram."""
    for kind in ("svg", "png"):
        _run(["dot", f"-T{kind}", *(["-Gdpi=110"] if kind == "png" else []), "-o", folder / f"block.{kind}", BLOCK])
    mark(folder / "block.png", BLOCK.read_text("utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 2 for what cannot be drawn, 3 where --check finds a difference."""
    parser = argparse.ArgumentParser(description="Writes the wiring drawings.")
    parser.add_argument("--check", action="store_true", help="write nothing, name what differs")
    given = parser.parse_args(arguments)
    try:
        files = texts(bill.rows(), templates())
        if given.check:
            different = differing(files)
            for name in different:
                print(f"hardware/wiring/{name}: not as hardware/draw_wiring.py writes it", file=sys.stderr)
            return 3 if different else 0
        draw(files, WIRING)
        block(BLOCK.parent)
    except (WiringError, bill.BillError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(files)} drawings in hardware/wiring/, the block diagram in hardware/pictures/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
