"""The reference node's enclosure, from its parameters to files for the printer.

    python hardware/enclosure.py --output out/hardware          STEP and STL of every part, and what they weigh
    python hardware/enclosure.py --check --set width=120        the sums alone; needs nothing but Python

plan.py has the parameters and what follows from them, fits.py says whether that can be built, solids.py makes solids
of it (build123d); render.py and mounting.py draw them.
"""

import argparse
import dataclasses
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import fasteners
import fits
import plan
from plan import Enclosure, EnclosureError


def changed(pairs: Sequence[str]) -> Enclosure:
    """The reference enclosure with `name=value` changed. EnclosureError for a name or a value that is none."""
    known = {field.name: field.type for field in dataclasses.fields(Enclosure)}
    values: dict[str, float | str] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.0)
            raise EnclosureError(f"--set {pair}: there is no {name!r}; near it: {', '.join(near)}")
        try:
            values[name] = text if name == "material" else float(text)
        except ValueError:
            raise EnclosureError(f"--set {pair}: {text!r} came, a number of mm or degrees expected") from None
    return Enclosure(**values)  # type: ignore[arg-type]


def statement(box: Enclosure) -> str:
    """What follows from the parameters, for who prints it."""
    permittivity = plan.MATERIALS[box.material][1]
    near, far = (plan.mast_x(box, diameter) for diameter in (box.mast_least, box.mast_most))
    rows = [
        (
            "front wall (radome)",
            f"{plan.front(box):.2f} mm; half a wave in {box.material} is {plan.half_wave(permittivity):.2f} mm",
        ),
        ("  thrown back", f"{plan.reflected(plan.front(box), permittivity):.1%} square on"),
        ("radar behind the wall", f"{plan.standing():.2f} mm"),
        ("gasket's groove", "{:.2f} x {:.2f} mm".format(*plan.groove(box))),
        ("lid bows", f"{plan.bow(box):.2f} mm of the gasket's {box.cord * box.squeeze:.2f}"),
        ("free over the lens", f"{plan.over_the_lens(box):.1f} degrees, {box.vfov_deg / 2:.1f} needed"),
        (
            "M8 bolts, under the head",
            f"{plan.bolt_length(box, box.mast_least):.0f} to {plan.bolt_length(box, box.mast_most):.0f} mm",
        ),
        ("compass to the mast's axis", f"{box.compass_ahead - near:.0f} to {box.compass_ahead - far:.0f} mm"),
    ]
    force, torque, held = fasteners.storm(box, 48.0, 40.0)
    rows.append(("wind of 40 m/s, mast of 48 mm", f"{force:.0f} N, {torque:.1f} N m; the clamp holds {held:.0f} N m"))
    lines = [f"{name:31}{text}" for name, text in rows]
    for what, diameter, servo in (("box", 48.0, False), ("servo carrier", 48.0, True)):
        lines.append(f"\nScrews, {what}, mast of {diameter:.0f} mm:")
        lines += [f"{pieces:4} {name}" for pieces, name in fasteners.needed(box, diameter, servo)]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit status is 2 for parameters that cannot be built, or without build123d."""
    parser = argparse.ArgumentParser(description="The reference node's enclosure: STEP and STL of its parts.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", type=Path, metavar="FOLDER", help="where the files go; it is made")
    what.add_argument("--check", action="store_true", help="the sums alone, without build123d")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another parameter [mm]")
    told = parser.parse_args(arguments)
    try:
        box = fits.checked(changed(told.set))
        if told.check:
            print(statement(box))
            return 0
        try:
            import solids
        except ModuleNotFoundError as error:
            if not str(error.name).startswith(("build123d", "OCP")):
                raise
            raise EnclosureError("build123d is not installed here: make hardware installs and runs it") from None
        try:
            told.output.mkdir(parents=True, exist_ok=True)
            print(solids.written(box, solids.parts(box), told.output))
        except OSError as error:
            raise EnclosureError(f"{told.output}: {error.strerror}; --output expects a folder to write to") from None
        print()
        print(statement(box))
    except EnclosureError as error:
        for line in str(error).splitlines():
            print(f"enclosure: {line}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
