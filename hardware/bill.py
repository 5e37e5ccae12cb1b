"""The bill of materials: what one node of a variant is made of, and what to order for a number of them.

    python hardware/bill.py esp32 --nodes 20          a table, dearest first, and the sum
    python hardware/bill.py esp32 --nodes 20 --csv    the same for a spreadsheet

This file alone knows the columns of hardware/bom.csv. Its prices are estimates, as its column `basis` says.
"""

import argparse
import csv
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parent / "bom.csv"
COLUMNS = (
    *("variants", "designators", "part", "maker", "maker_number", "quantity", "price_each", "currency", "price_date"),
    *("basis", "data_sheet", "url", "substitute"),
)
DESIGNATOR = re.compile(r"(?:AE|BT|MP|PS|PV|RT|[ACDFJMRUWX])\d+")


class BillError(ValueError):
    """A bill of materials that is none: which row, what came, what was expected."""


@dataclass(frozen=True)
class Line:
    """What to order of one part: how many pieces, for which places on the node, for how much in all (estimated)."""

    quantity: int
    part: str
    maker: str
    maker_number: str
    designators: tuple[str, ...]
    price: float


def rows(path: Path = FILE) -> list[dict[str, str]]:
    """The rows of the bill of materials by column, every one complete; BillError otherwise. Only `url` may be empty,
    where nobody is sure of it.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            came = ", ".join(reader.fieldnames or ())
            raise BillError(f"{path.name}: columns {came} came, {', '.join(COLUMNS)} expected")
        found = list(reader)
    for number, row in enumerate(found, 2):
        where = f"{path.name}, row {number} ({row['designators']})"
        empty = [key for key in COLUMNS if key != "url" and not (row[key] or "").strip()]
        if empty or None in row:
            raise BillError(f"{where}: {', '.join(empty) or 'too many columns'}: a value in every column expected")
        for each in row["designators"].split():
            if not DESIGNATOR.fullmatch(each):
                raise BillError(f"{where}: {each} came, a designator such as U1 or W20 expected")
        if row["quantity"] != str(len(row["designators"].split())):
            raise BillError(f"{where}: quantity {row['quantity']} came, one for each designator expected")
        if not re.fullmatch(r"\d+\.\d\d", row["price_each"]):
            raise BillError(f"{where}: price {row['price_each']} came, a price such as 0.60 expected")
    return found


def variants(bill: Sequence[Mapping[str, str]]) -> list[str]:
    """Every variant that has a part, sorted."""
    return sorted({each for row in bill for each in row["variants"].split()})


def parts(bill: Sequence[Mapping[str, str]], variant: str) -> dict[str, Mapping[str, str]]:
    """What a variant is built of, by designator; BillError where two rows have the same one."""
    found: dict[str, Mapping[str, str]] = {}
    for row in bill:
        if variant in row["variants"].split():
            for each in row["designators"].split():
                if each in found:
                    raise BillError(f"bom.csv: {each} of {variant} twice: {found[each]['part']}, {row['part']}")
                found[each] = row
    return found


def order(bill: Sequence[Mapping[str, str]], variant: str, nodes: int = 1) -> list[Line]:
    """What to order for that many nodes, each maker's number once, dearest first. BillError for no such variant."""
    if variant not in variants(bill):
        raise BillError(f"variant {variant} came, {', '.join(variants(bill))} expected")
    places: dict[tuple[str, str, str], list[str]] = {}
    found = parts(bill, variant)
    for designator, row in found.items():
        places.setdefault((row["part"], row["maker"], row["maker_number"]), []).append(designator)
    lines = [
        # Pieces of a wire differ in length, and so in price.
        Line(nodes * len(each), *what, tuple(each), nodes * sum(float(found[place]["price_each"]) for place in each))
        for what, each in places.items()
    ]
    return sorted(lines, key=lambda line: (-line.price, line.designators))


def table(lines: Sequence[Line], variant: str, nodes: int) -> str:
    """The order as a table for the terminal, with its sum."""
    out = [f"{'pieces':>6}  {'EUR':>8}  {'part':58}  {'maker and number':44}  for"]
    for line in lines:
        number = f"{line.maker} {line.maker_number}"
        part = line.part if len(line.part) <= 58 else line.part[:57] + "…"
        out.append(f"{line.quantity:6}  {line.price:8.2f}  {part:58}  {number:44}  {' '.join(line.designators)}")
    total = sum(line.price for line in lines)
    many = f"{nodes} nodes" if nodes > 1 else "one node"
    out += [
        "",
        f"{variant}, {many}: about {total:.0f} EUR. Estimates, without tax and postage: no price was looked up.",
    ]
    return "\n".join(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 2 for no such variant, or a bill that is none."""
    parser = argparse.ArgumentParser(description="What to order for a number of nodes.")
    parser.add_argument("variant", help="such as esp32; hardware/node.md has them")
    parser.add_argument("--nodes", type=int, default=1, help="how many")
    parser.add_argument("--csv", action="store_true", help="for a spreadsheet")
    given = parser.parse_args(arguments)
    if given.nodes < 1:
        parser.error("--nodes: at least 1 expected")
    try:
        lines = order(rows(), given.variant, given.nodes)
    except (BillError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if given.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("quantity", "part", "maker", "maker_number", "designators", "price_eur"))
        for line in lines:
            places = " ".join(line.designators)
            writer.writerow((line.quantity, line.part, line.maker, line.maker_number, places, f"{line.price:.2f}"))
    else:
        print(table(lines, given.variant, given.nodes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
