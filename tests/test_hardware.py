"""hardware/: drawings, bill of materials and documents say the same, and that is what firmware/board.py says."""

import csv
import functools
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import yaml

from conftest import ROOT
from test_docs import FENCED, make_targets, program, snippets, unknown_words

sys.path.insert(0, str(ROOT / "hardware"))
import airtime
import bill
import draw_wiring

HARDWARE = ROOT / "hardware"
BILL = bill.rows()
TEMPLATES = draw_wiring.templates()
TEXTS = draw_wiring.texts(BILL, TEMPLATES)
CHIPS = {"ESP32-WROOM-32UE": "esp32", "ESP32-S3-WROOM-1U": "esp32s3", "ESP32-C3-WROOM-02U": "esp32c3"}
VARIANTS = bill.variants(BILL)
PIN = re.compile(r"GPIO(\d+) (\w+)")
DOCUMENTS = sorted(HARDWARE.glob("*.md"))


@functools.cache
def drawing(name):
    """A WireViz file as it lies in the checkout."""
    return yaml.safe_load((HARDWARE / "wiring" / f"{name}.yml").read_text("utf-8"))


def chip_of(harness):
    """Whose pins a drawing shows, by the maker's number of its U1; None without one."""
    number = harness["connectors"].get("U1", {}).get("mpn", "").replace("\xa0", " ")
    return next((chip for start, chip in CHIPS.items() if number.startswith(start)), None)


def drawings(variant):
    return [name for name, template in draw_wiring.drawings(TEMPLATES)
            if variant in TEMPLATES[template]["draw"][name]["variants"]]  # fmt: skip


def designators(harness):
    """Every part of a drawing: connectors, cables, and what sits on a part."""
    found = {*harness["connectors"], *harness["cables"]}
    for one in harness["connectors"].values():
        found |= {each["type"].partition(",")[0] for each in one.get("additional_components", ())}
    return found


def wires(harness):
    """((part, pin), (cable, number), (part, pin)) of each wire of a drawing."""
    for left, cable, right in harness["connections"]:
        ((one, pins),) = left.items()
        ((name, numbers),) = cable.items()
        ((other, ends),) = right.items()
        assert len(pins) == len(numbers) == len(ends), (left, cable, right)
        yield from (((one, a), (name, n), (other, b)) for a, n, b in zip(pins, numbers, ends, strict=True))


def nets(variant, together=()):
    """What is connected with what in all drawings of a variant: the net, a set of (part, pin), of each pin."""
    net = {}

    def join(one, other):
        whole = net.get(one, {one}) | net.get(other, {other})
        net.update(dict.fromkeys(whole, whole))

    for name in drawings(variant):
        for one, _, other in wires(drawing(name)):
            join(one, other)
    for one, other in together:
        join(one, other)
    return net


# --- the drawings ---


@pytest.mark.needs("graphviz", "wireviz")
def test_the_drawings_are_what_wireviz_makes_of_board_and_bill_today():
    assert draw_wiring.differing(TEXTS) == [], "python hardware/draw_wiring.py writes them"


def test_the_block_diagram_is_drawn_from_its_source_and_names_parts_of_the_bill():
    source = draw_wiring.BLOCK.read_text("utf-8")
    assert draw_wiring.made_from(draw_wiring.BLOCK.with_suffix(".png")) == draw_wiring.digest(source)
    said = " ".join(draw_wiring.structure(draw_wiring.BLOCK.with_suffix(".svg"))[0])
    found = set(re.findall(rf"\b{bill.DESIGNATOR.pattern}\b", said))
    assert found <= set(bill.parts(BILL, "esp32"))
    wired = {each for name in drawings("esp32") for each in drawing(name)["connectors"]}
    assert wired - found == {"X1"}  # the board that they sit on


@pytest.mark.parametrize("name", [name for name in TEXTS if "U1" in drawing(name)["connectors"]])
def test_every_pin_of_a_drawing_is_the_boards(name):
    harness = drawing(name)
    pins = draw_wiring.pins(chip_of(harness))
    said = [PIN.fullmatch(pin).groups() for pin in harness["connectors"]["U1"]["pins"] if pin.startswith("GPIO")]
    assert said
    assert {what: int(number) for number, what in said} == {what: pins[what] for _, what in said}
    assert not set(harness["connectors"]["U1"]["pins"]) & set(pins)  # none without its number


@pytest.mark.parametrize("name", [name for name in TEXTS if "J1" in drawing(name)["connectors"]])
def test_the_consoles_header_has_the_pin_that_asks_the_chip_for_a_download(name):
    import board

    (number,) = re.findall(r"\bIO(\d+)\b", " ".join(drawing(name)["connectors"]["J1"]["pins"]))
    assert int(number) in board.pins("strapping", chip_of(drawing(name)))


@pytest.mark.parametrize("variant", ["esp32", "esp32s3", "esp32c3"])
def test_a_nodes_drawings_have_every_pin_of_its_chip_but_the_microphones(variant):
    harnesses = [drawing(name) for name in drawings(variant)]
    drawn = {pin for each in harnesses for pin in each["connectors"].get("U1", {}).get("pins", ()) if "GPIO" in pin}
    pins = {what: number for what, number in draw_wiring.pins(variant).items() if number is not None}
    # The reference node measures its battery over I2C; who has a microphone, or a divider, finds its pins in node.md.
    spare = {"i2s_sck", "i2s_ws", "i2s_sd"} | ({"battery"} if variant != "esp32c3" else set())
    assert {PIN.fullmatch(pin)[2] for pin in drawn} == set(pins) - spare


@pytest.mark.parametrize("name", TEXTS)
def test_each_wire_of_a_cable_is_connected_once_and_no_pin_hangs_in_the_air(name):
    harness = drawing(name)
    used = Counter(wire for _, wire, _ in wires(harness))
    there = {(cable, n + 1) for cable, given in harness["cables"].items() for n in range(len(given["colors"]))}
    assert used == Counter(there)
    connected = {end for one, _, other in wires(harness) for end in (one, other)}
    listed = {(part, pin) for part, given in harness["connectors"].items() for pin in given["pins"]}
    assert connected == listed


SIGNALS = {
    # what of the chip goes to which pin of a part, where that part is in the variant
    "gnss_tx": [("U3", "RXD")],
    "gnss_rx": [("U3", "TXD")],
    "gnss_power": [("U10", "ON")],
    "sensor_power": [("U11", "ON")],
    "uart2_tx": [("U4", "RX"), ("A4", "RXD (10)"), ("U12", "RX (SCL)")],
    "uart2_rx": [("U4", "TX"), ("A4", "TXD (8)"), ("U12", "TX (SDA)")],
    "i2c_scl": [("U5", "SCL"), ("U6", "SCL"), ("U2", "SCL")],
    "i2c_sda": [("U5", "SDA"), ("U6", "SDA"), ("U2", "SDA")],
    "pir": [("U7", "OUT")],
    "led": [("D1", "anode")],
    "servo_pan": [("M1", "signal")],
    "servo_tilt": [("M2", "signal")],
    "battery": [("X1", "half BAT+")],
}


@pytest.mark.parametrize("variant", [each for each in VARIANTS if each != "gateway"])
def test_a_signal_goes_to_the_pin_that_listens_to_it_and_to_no_other(variant):
    found = nets(variant)
    of_chip = [pin for pin in found if pin[0] == "U1" and pin[1].startswith("GPIO")]
    here = {part for part, _ in found}
    for pin in of_chip:
        ends = {end for end in SIGNALS[PIN.fullmatch(pin[1])[2]] if end[0] in here}
        assert ends
        assert found[pin] == {pin, *ends}, pin


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_supply_touches_another_or_ground(variant):
    rails = [{"3V3"}, {"5V"}, {"SYS"}, {"BAT+", "P+"}, {"GND", "P-", "BAT-", "cathode"}]
    for net in nets(variant).values():
        labels = {pin for _, pin in net}
        assert sum(bool(labels & rail) for rail in rails) <= 1, net


@pytest.mark.parametrize("variant", ["esp32", "esp32s3", "esp32c3", "camera"])
def test_what_the_node_switches_has_no_other_supply_and_is_off_until_the_node_says_otherwise(variant):
    found = nets(variant)
    assert found["U3", "VCC"] == {("U3", "VCC"), ("U10", "VOUT")}
    assert ("X1", "3V3") in found["U3", "V_BCKP"]  # what it knows of the sky outlives the switch
    load = {"camera": ("A4", "5V (2)"), "esp32c3": None}.get(variant, ("PS2", "VIN"))
    if load:
        assert found[load] == {load, ("U11", "VOUT")}
    if variant in ("esp32", "esp32s3"):
        assert found["U4", "5V"] == {("U4", "5V"), ("PS2", "VOUT")}
    for name in drawings(variant):
        for part in {"U10", "U11"} & set(drawing(name)["connectors"]):
            (down,) = drawing(name)["connectors"][part]["additional_components"]
            assert re.fullmatch(r"R\d+, resistor 100 kΩ,\nON to GND", down["type"])


@pytest.mark.parametrize("variant", ["esp32", "esp32s3", "esp32c3", "camera"])
def test_what_wakes_the_node_and_what_it_cannot_do_without_is_always_on(variant):
    found = nets(variant)
    for part, pin in (("U1", "3V3"), ("U7", "VDD"), ("U5", "VCC"), ("U6", "VCC")):
        assert ("X1", "3V3") in found[part, pin]
        assert not [end for end in found[part, pin] if end[1] == "VOUT" and end[0] not in ("PS1", "PS5")]


def test_a_servo_that_stalls_does_so_on_a_supply_of_its_own():
    for variant in ("esp32", "esp32s3"):
        assert nets(variant)["M1", "+"] == {("M1", "+"), ("M2", "+"), ("PS3", "VOUT")}
        assert ("X1", "BAT+") in nets(variant)["PS3", "VIN"]


def test_each_battery_has_its_fuse_beside_it():
    for name in TEXTS:
        for part in {"BT1", "BT2"} & set(drawing(name)["connectors"]):
            sits = [each["type"] for each in drawing(name)["connectors"][part]["additional_components"]]
            assert [each for each in sits if re.match(r"F\d, blade fuse", each)], name


# --- the bill of materials ---


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bill_has_what_the_drawings_have_as_often_and_nothing_else(variant):
    drawn = set().union(*(designators(drawing(name)) for name in drawings(variant)))
    listed = Counter()
    for row in BILL:
        if variant in row["variants"].split():
            listed.update(row["designators"].split())
            assert int(row["quantity"]) == len(row["designators"].split())
    assert set(listed.values()) == {1}
    assert {each for each in listed if not each.startswith("MP")} == drawn
    if variant != "bno055":  # which is what differs from the reference node, no node of its own
        assert [each for each in listed if each.startswith("MP")]


def test_prices_are_told_as_the_estimates_that_they_are():
    for row in BILL:
        assert float(row["price_each"]) > 0
        assert (row["currency"], row["basis"]) == ("EUR", "estimate"), row
        assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", row["price_date"])
        assert re.fullmatch(r"(https://\S+)?", row["url"])


def rows_of_file():
    with (HARDWARE / "bom.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("maker", "", r"row 2 \(U1\): maker: a value"),
        ("designators", "chip", r"row 2 \(chip\): chip came"),
        ("quantity", "2", r"row 2 \(U1\): quantity 2 came"),
        ("price_each", "cheap", r"row 2 \(U1\): price cheap came"),
    ],
)
def test_a_row_that_is_wrong_is_refused_with_its_number(tmp_path, column, value, told):
    rows = rows_of_file()
    rows[1][rows[0].index(column)] = value
    path = tmp_path / "bom.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(bill.BillError, match=told):
        bill.rows(path)


def test_columns_and_double_parts_are_refused(tmp_path):
    path = tmp_path / "bom.csv"
    path.write_text("part,price\n", "utf-8")
    with pytest.raises(bill.BillError, match="columns"):
        bill.rows(path)
    with pytest.raises(bill.BillError, match="U1 of esp32 twice"):
        bill.parts([*BILL, BILL[0]], "esp32")


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_order_is_each_part_once_in_the_number_that_the_nodes_take(variant):
    lines = bill.order(BILL, variant, 20)
    assert len({(line.part, line.maker_number) for line in lines}) == len(lines)
    assert sum(line.quantity for line in lines) == 20 * len(bill.parts(BILL, variant))
    one = sum(float(row["price_each"]) for row in bill.parts(BILL, variant).values())
    assert sum(line.price for line in lines) == pytest.approx(20 * one)
    prices = [line.price for line in lines]
    assert prices == sorted(prices, reverse=True)


def test_the_order_is_a_table_or_a_spreadsheet_and_says_that_it_estimates():
    def run(*words):
        command = [sys.executable, "hardware/bill.py", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, encoding="utf-8")

    shown = run("esp32", "--nodes", "20")
    assert shown.returncode == 0
    assert re.search(r"^ +20 +[\d.]+  ESP32 module.* Espressif ESP32-WROOM-32UE-N4 +U1$", shown.stdout, re.MULTILINE)
    assert "esp32, 20 nodes: about" in shown.stdout
    assert "Estimates" in shown.stdout.splitlines()[-1]
    records = list(csv.DictReader(run("esp32", "--nodes", "20", "--csv").stdout.splitlines()))
    assert {row["maker_number"] for row in records} == {line.maker_number for line in bill.order(BILL, "esp32")}
    refused = run("esp31")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("variant esp31 came, bno055, camera, esp32, esp32c3")


def test_the_sums_in_the_document_are_the_bills():
    rows = headed((HARDWARE / "node.md").read_text("utf-8"), "| variant | for |")
    assert {row[0].strip("`") for row in rows} == set(VARIANTS)
    for name, *_, told in rows:
        if told:
            total = sum(line.price for line in bill.order(BILL, name.strip("`")))
            assert int(told) == pytest.approx(total, abs=0.51), name
    servos = sum(line.price for line in bill.order(BILL, "esp32") if {"M1", "PS3", "C4"} & set(line.designators))
    text = " ".join((HARDWARE / "node.md").read_text("utf-8").split())
    (saved,) = re.findall(r"without pan and tilt is (\d+) EUR less", text)
    assert int(saved) == pytest.approx(servos, abs=3)


# --- the generator ---


def test_a_pin_that_a_chip_does_not_have_is_refused_by_name():
    template = yaml.safe_load((HARDWARE / "wiring/templates/switched.yml").read_text("utf-8"))
    del template["draw"]["esp32c3-switched"]["without"]
    with pytest.raises(draw_wiring.WiringError, match=r"uart2_tx came, which esp32c3 does not have \(firmware/board"):
        draw_wiring.harness(template, "esp32c3-switched", BILL)


def test_a_part_or_a_gauge_that_the_bill_does_not_have_is_refused_by_name():
    template = TEMPLATES["servo"]
    without = [row for row in BILL if row["designators"] != "PS3"]
    with pytest.raises(draw_wiring.WiringError, match=r"PS3: one row of bom\.csv for esp32 expected"):
        draw_wiring.harness(template, "esp32-servo", without)
    thick = {**template, "cables": {**template["cables"], "W30": {**template["cables"]["W30"], "gauge": "2.5 mm2"}}}
    with pytest.raises(draw_wiring.WiringError, match=r"W30: 2\.5 mm2 came, wire 1\.5 mm²"):
        draw_wiring.harness(thick, "esp32-servo", BILL)


def command(folder, *words):
    line = [sys.executable, str(folder / "hardware" / "draw_wiring.py"), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.needs("graphviz", "wireviz")
def test_a_pin_that_is_moved_is_found_and_drawn(tmp_path):
    shutil.copytree(HARDWARE, tmp_path / "hardware", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path / "hardware" / "wiring").rglob("*.*"):
        if "servo" not in path.name:
            path.unlink()
    (tmp_path / "firmware").mkdir()
    board = (ROOT / "firmware" / "board.py").read_text("utf-8")
    number = draw_wiring.pins("esp32")["servo_tilt"]
    moved, found = re.subn(rf"(?m)^(servo_tilt +){number}\b", r"\g<1>99", board)
    assert found == 1
    (tmp_path / "firmware" / "board.py").write_text(moved, "utf-8")
    checked = command(tmp_path, "--check")
    assert checked.returncode == 3
    told = set(re.findall(r"wiring/(\S+):", checked.stderr))
    assert told == {f"esp32-servo.{kind}" for kind in ("yml", "svg", "png")}
    written = command(tmp_path)
    assert (written.returncode, written.stderr) == (0, "")
    assert "GPIO99 servo_tilt" in (tmp_path / "hardware/wiring/esp32-servo.svg").read_text("utf-8")
    (tmp_path / "hardware/wiring/templates/servo.yml").write_text("title: none\n", "utf-8")
    refused = command(tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("templates/servo.yml: title came")
    assert "Traceback" not in refused.stderr


# --- the documents ---


def headed(text, head):
    """The rows of the table whose head begins so, as lists of cells."""
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(head))
    rows = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_pins_in_the_document_are_the_boards():
    rows = headed((HARDWARE / "node.md").read_text("utf-8"), "| pin | ESP32 | ESP32-S3 | ESP32-C3 |")
    told = {row[0].strip("`"): row[1:4] for row in rows}
    boards = [draw_wiring.pins(chip) for chip in ("esp32", "esp32s3", "esp32c3")]
    assert told == {what: ["-" if pins[what] is None else str(pins[what]) for pins in boards] for what in boards[0]}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_only_pins_parts_files_and_pictures_that_there_are(document):
    text = document.read_text("utf-8")
    chips = [draw_wiring.pins(chip) for chip in CHIPS.values()]
    for number, what in PIN.findall(text):
        assert int(number) in [pins.get(what) for pins in chips]
    known = {each for row in BILL for each in row["designators"].split()}
    assert set(re.findall(r"\b(?:U|PS[1-9]|BT|PV|RT|MP|AE)\d*\b", text)) <= known | {"U"}
    for link in re.findall(r"\]\(([^)#]*)[^)]*\)", text):
        if link and not link.startswith("https://"):
            path = (document.parent / link).resolve()
            assert path.exists(), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_names_exists(document):
    text = document.read_text("utf-8")
    assert unknown_words(text, program()) == []
    said = [each.removeprefix("$ ") for each in snippets(text)]
    assert {each.split()[1] for each in said if re.match(r"make [a-z]", each)} <= make_targets()
    for script in re.findall(r"python (\S+\.py)", text):
        assert (ROOT / script).is_file(), script


def test_the_index_leads_to_everything():
    text = (HARDWARE / "README.md").read_text("utf-8")
    here = {path for path in HARDWARE.iterdir() if path.suffix in (".md", ".csv", ".py")} - {HARDWARE / "README.md"}
    modules = {path for path in here if path.suffix == ".py" and "__main__" not in path.read_text("utf-8")}
    assert {path.name for path in here - modules if f"({path.name})" not in text} == set()
    for name in TEXTS:
        assert f"(wiring/{name}." in (HARDWARE / "node.md").read_text("utf-8"), name
    assert "hardware" in make_targets()


# --- what a message costs on LoRa ---


def test_the_time_on_the_air_is_that_of_semtechs_formula():
    # By hand from AN1200.13: SF7, 125 kHz: a symbol is 1.024 ms; 48 bytes: (384 - 28 + 44) / 28 = 14.3, 15 x 5 symbols
    assert airtime.air_time(48, 7) == pytest.approx((12.25 + 8 + 75) * 1.024e-3)
    # SF12: 32.768 ms, over 16 ms, so two bits less: (384 - 48 + 44) / 40 = 9.5, 10 x 5 symbols
    assert airtime.air_time(48, 12) == pytest.approx((12.25 + 8 + 50) * 32.768e-3)
    # A public worksheet of AN1200.13: 13 bytes at SF9 are 28 symbols and 164.864 ms.
    assert airtime.air_time(13, 9) == pytest.approx(0.164864)
    # At 250 kHz a symbol of SF11 lasts 8 ms: no bits are given up.
    assert airtime.air_time(48, 11, 250e3) == pytest.approx((12.25 + 8 + 45) * 8.192e-3)


def test_more_bytes_and_higher_factors_take_longer():
    for factor in range(7, 13):
        times = [airtime.air_time(size, factor) for size in range(256)]
        assert times == sorted(times)
    for size in (12, 28, 48, 255):
        times = [airtime.air_time(size, factor) for factor in range(7, 13)]
        assert times == sorted(set(times))


def test_each_step_of_the_factor_hears_two_and_a_half_decibels_more():
    # -174 dBm/Hz + 51 dB of 125 kHz + 6 dB of the receiver - 7.5 dB
    assert airtime.sensitivity(7) == pytest.approx(-124.5, abs=0.05)
    assert airtime.sensitivity(7) - airtime.sensitivity(12) == pytest.approx(12.5)
    assert airtime.arriving(0) == 1
    assert airtime.arriving(0.5) == pytest.approx(0.3679, abs=1e-4)  # Abramson: 18.4 % of the time is used at best
    assert airtime.arriving(airtime.SHARE) == pytest.approx(0.82, abs=0.005)


@pytest.mark.parametrize(("size", "factor"), [(48, 6), (48, 13), (-1, 7), (256, 7)])
def test_what_lora_cannot_carry_is_refused(size, factor):
    with pytest.raises(ValueError, match="expected"):
        airtime.air_time(size, factor)


def test_the_table_in_the_document_is_the_scripts():
    text = (HARDWARE / "radio.md").read_text("utf-8")
    assert airtime.table(1.0, 60.0) in text
    assert str(draw_wiring.WIRING.parent) not in text
    ran = subprocess.run([sys.executable, "hardware/airtime.py"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout.strip() == airtime.table(1.0, 60.0)


def test_the_antennas_gain_is_that_of_its_beam():
    rows = headed((HARDWARE / "radio.md").read_text("utf-8"), "| antenna | gain [dBi]")
    assert len(rows) >= 4
    for name, gain, azimuth, elevation, most, *_ in rows:
        wide, high = (float(each.rstrip("°")) for each in (azimuth, elevation))
        assert float(gain) == pytest.approx(airtime.gain(wide, high), abs=1.5), name
        assert float(most) == pytest.approx(20 - float(gain)), name  # EN 300 328: 100 mW e.i.r.p.


def test_the_sizes_of_the_packed_messages_in_the_document_are_the_wires():
    text = (HARDWARE / "radio.md").read_text("utf-8")
    rows = headed(text, "| message | packed [bytes]")
    from dronewall import wire

    assert {row[0].strip("`"): int(row[1]) for row in rows} == {
        kind: wire.packed(kind)[1] for kind in ("state", "frustum", "detection", "health")
    }


def test_the_guide_ends_with_the_commands_of_the_bench_in_their_order():
    text = (HARDWARE / "assembly.md").read_text("utf-8")
    found = re.findall(r"dronewall node (flash|provision|check|calibrate|align)\b", "".join(
        block["body"] for block in FENCED.finditer(text)))  # fmt: skip
    assert list(dict.fromkeys(found)) == ["flash", "provision", "check", "calibrate", "align"]
