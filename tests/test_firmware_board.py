"""firmware/board.py: the pins of each chip's reference board obey the chip's rules, config.json is held to the same,
and the tables of firmware/README.md are the real ones."""

import re

import pytest

from firmware_side import FIRMWARE, answer, interpreter
from test_firmware_config import CAMERA, NODE, PRESENCE, section

CHIPS = ("esp32", "esp32s3", "esp32c3")
RULES = ["flash", "strapping", "console", "usb", "psram", "absent", "input_only", "adc1", "adc2", "waking", "uarts"]
TABLES = """
import board
out = [board.CHIPS, {chip: {rule: board.pins(rule, chip) for rule in given} for chip in board.CHIPS}]
"""
MISTAKES = """
import board
chip, wrong = given
out = board.mistakes({**board.CHIPS[chip], **wrong}, chip)
"""
READ = """
import board, config
board.CHIP, values = given
try:
    node = config.settings(values)
    out = [node.battery[1], node.waking]
except config.ConfigError as error:
    out = str(error)
"""


@pytest.fixture(scope="module")
def tables():
    """({chip: {what: pin or None}}, {chip: {rule: pins}}) of board.py."""
    return answer(interpreter("cpython"), TABLES, RULES)


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


def test_the_reference_boards_are_those_of_three_chips_with_the_same_parts(tables):
    chips, _ = tables
    assert tuple(chips) == CHIPS
    (parts,) = {tuple(wiring) for wiring in chips.values()}
    told = "gnss_tx gnss_rx i2c_scl i2c_sda led uart2_tx uart2_rx i2s_sck i2s_ws i2s_sd battery gnss_power sensor_power"
    assert set(parts) == {*told.split(), "pir", "servo_pan", "servo_tilt"}


def test_the_rules_are_what_each_chip_is_made_of(tables):
    _, rules = tables
    # How many pins of each kind there are: ESP32, ESP32-S3 and ESP32-C3 Series Datasheet, "Pin Definitions" (the flash
    # has six lines, and the S3 a second chip select), "Strapping Pins" and "Analog-to-Digital Converter", less what the
    # modules do not lead out (ADC1 of the ESP32: 37 and 38).
    counts = {rule: [len(rules[chip][rule]) for chip in CHIPS] for rule in RULES if rule not in ("absent", "uarts")}
    assert counts == {
        "flash": [6, 7, 6],
        "strapping": [5, 4, 3],
        "console": [2, 2, 2],
        "usb": [0, 2, 2],
        "psram": [2, 5, 0],
        "input_only": [4, 0, 0],
        "adc1": [6, 10, 5],
        "adc2": [10, 10, 1],
        "waking": [18, 22, 6],
    }
    assert [rules[chip]["uarts"] for chip in CHIPS] == [[3], [3], [2]]
    for chip, last in zip(CHIPS, (39, 48, 21), strict=True):
        there = set(range(49)) - set(rules[chip]["absent"])
        assert max(there) == last
        for rule in set(RULES) - {"absent", "uarts", "waking"}:
            assert set(rules[chip][rule]) <= there, (chip, rule)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_reference_board_breaks_no_rule_of_its_chip(side, chip):
    source = "import board\nout = board.mistakes(board.CHIPS[given], given)"
    assert answer(interpreter("cpython"), source, chip) == []
    # A node asks for what the table says, under MicroPython as here.
    source = "import board\nboard.CHIP = given\nout = [board.pins(word) for word in ('gnss_', 'i2c', 'led', 'uart2')]"
    wiring = answer(interpreter("cpython"), "import board\nout = board.CHIPS[given]", chip)
    told = [["gnss_tx", "gnss_rx", "gnss_power"], ["i2c_scl", "i2c_sda"], ["led"], ["uart2_tx", "uart2_rx"]]
    assert answer(side, source, chip) == [[wiring[n] for n in names if wiring[n] is not None] for names in told]


# Each rule broken on each chip that has it: a pin of that kind, for whom it is wrong, and what is said. The pins are
# those of the data sheets, not of the table.
WRONG = [
    ("led", {"esp32": 9, "esp32s3": 30, "esp32c3": 14}, "led: {} is the flash chip's"),
    ("led", {"esp32": 12, "esp32s3": 46, "esp32c3": 8}, "led: {} is a strapping pin"),
    ("led", {"esp32": 3, "esp32s3": 44, "esp32c3": 20}, "led: {} is the console's"),
    ("led", {"esp32s3": 19, "esp32c3": 18}, "led: {} is the USB's"),
    ("led", {"esp32": 16, "esp32s3": 35}, "led: {} is the PSRAM's"),
    ("led", {"esp32": 24, "esp32s3": 22, "esp32c3": 11}, "led: {} is not led out"),
    ("led", {"esp32": 40, "esp32c3": 22}, "led: {} is not led out"),
    ("led", {"esp32": 34}, "led: {} is an input only"),
    ("gnss_power", {"esp32": 39}, "gnss_power: {} is an input only"),
    ("uart2_tx", {"esp32": 36}, "uart2_tx: {} is an input only"),
    ("servo_tilt", {"esp32": 35}, "servo_tilt: {} is an input only"),
    ("battery", {"esp32": 27, "esp32s3": 20, "esp32c3": 5}, "battery: {} is not of ADC1"),
    ("pir", {"esp32": 18, "esp32s3": 38, "esp32c3": 10}, "pir: {} is a pin that does not wake"),
    ("pir", {"esp32": 4, "esp32s3": 21, "esp32c3": 10}, "pir: {} is led, too"),
    ("gnss_rx", {"esp32": 26, "esp32s3": 17, "esp32c3": 4}, "gnss_rx: {} is gnss_tx, too"),
]


@pytest.mark.parametrize(
    ("chip", "name", "number", "told"),
    [(chip, name, number, told.format(number)) for name, pins, told in WRONG for chip, number in pins.items()],
)
def test_a_board_with_a_mistake_is_refused_by_its_name(chip, name, number, told):
    found = answer(interpreter("cpython"), MISTAKES, [chip, {name: number}])
    assert any(text.startswith(told) for text in found), found


@pytest.mark.parametrize(("chip", "number"), [("esp32", 27), ("esp32s3", 21), ("esp32c3", 5)])
def test_a_pin_that_wakes_need_not_be_of_adc1(chip, number):
    assert not [text for text in answer(interpreter("cpython"), MISTAKES, [chip, {"pir": number}]) if "wake" in text]


def test_a_board_with_more_uarts_than_its_chip_is_refused():
    wrong = ["esp32c3", {"uart2_tx": 3, "uart2_rx": 0, "pir": None, "battery": None}]
    (told,) = answer(interpreter("cpython"), MISTAKES, wrong)
    assert told.startswith("uart2_tx: a UART more than the 2")


@pytest.mark.parametrize(
    ("machine", "chip"),
    [
        # MICROPY_HW_BOARD_NAME " with " MICROPY_HW_MCU_NAME: ports/esp32/boards of MicroPython
        ("Generic ESP32 module with ESP32", "esp32"),
        ("Generic ESP32 module with SPIRAM with ESP32", "esp32"),
        ("Generic ESP32S3 module with Octal-SPIRAM with ESP32S3", "esp32s3"),
        ("ESP32C3 module with ESP32C3", "esp32c3"),
        ("NanoS3 with ESP32-S3-FN8", "esp32s3"),
        ("a board with ESP32-PICO-D4", "esp32"),
        ("a board with ESP32-D0WDQ6", "esp32"),
        ("a board with ESP32-C6FH4", "esp32c6"),
    ],
)
def test_the_chip_is_the_one_that_micropython_names(machine, chip):
    source = "sys.implementation._machine = given\nimport board\nout = [board.CHIP, board.NAME]"
    assert answer(interpreter("cpython"), source, machine) == [chip, f"{chip}-reference-1"]


def test_a_chip_without_a_column_is_named(side):
    source = """
import board
board.CHIP = "esp32p4"
try:
    board.pins("led")
except ValueError as error:
    out = str(error)
"""
    assert answer(side, source) == "board.py has no pins for esp32p4: esp32, esp32s3, esp32c3"


@pytest.mark.parametrize(
    ("chip", "number", "told"),
    [
        ("esp32", 16, "the PSRAM's"),
        ("esp32", 23, "taken by the board itself"),
        ("esp32s3", 16, None),
        ("esp32s3", 19, "the USB's"),
        ("esp32s3", 28, "the flash chip's"),
        ("esp32s3", 26, "the flash chip's"),
        ("esp32s3", 10, "taken by the board itself"),
        ("esp32c3", 9, "a strapping pin"),
        ("esp32c3", 6, "taken by the board itself"),
        ("esp32c3", 27, "not led out"),
        ("esp32c3", 3, None),
    ],
)
def test_the_pin_of_a_sensor_is_held_to_the_rules_of_the_chip_it_runs_on(side, chip, number, told):
    found = answer(side, READ, [chip, {**NODE, "sensors": [{**PRESENCE, "pin": number}]}])
    if told is None:
        assert type(found) is list, found
    else:
        assert found.startswith(f"sensors[0].pin: a free pin expected, this one is {told}"), found


@pytest.mark.parametrize(
    ("chip", "battery", "told"),
    [
        ("esp32", {}, 36),
        ("esp32s3", {}, 1),
        ("esp32c3", {"battery_pin": 1}, 1),
        (
            "esp32s3",
            {"battery_pin": 36},
            "power.battery_pin: a pin of ADC1 expected: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, not",
        ),
        ("esp32c3", {"battery_pin": 5}, "power.battery_pin: a pin of ADC1 expected: 0, 1, 2, 3, 4, not 5"),
    ],
)
def test_the_battery_is_measured_by_adc1_of_the_chip(side, chip, battery, told):
    config = {**NODE, "power": {"battery": "adc", **battery}, "sensors": []}
    found = answer(side, READ, [chip, config])
    assert (found[0] == told) if type(told) is int else found.startswith(told), found


@pytest.mark.parametrize(
    ("chip", "number", "wakes"),
    [("esp32", 34, True), ("esp32", 18, False), ("esp32s3", 2, True), ("esp32s3", 38, False), ("esp32c3", 3, True)],
)
def test_a_sensor_wakes_the_chip_by_a_pin_that_can(side, chip, number, wakes):
    power = {"mode": "deep", "awake_s": 10, "asleep_s": 10}
    config = {**NODE, "power": power, "sensors": [{**PRESENCE, "awake": "event", "pin": number}]}
    found = answer(side, READ, [chip, config])
    if wakes:
        assert found[1] == [number]
    else:
        assert found == f"sensors[0].awake: a pin that wakes the chip expected for event, not {number}"


@pytest.mark.parametrize(
    ("driver", "told"),
    [
        (
            "ld2450",
            "sensors[0].driver: wants uart2, not on an esp32c3: it has 2 UARTs, the console's and the receiver's",
        ),
        ("acoustic", "sensors[0].driver: wants i2s, not on an esp32c3: no pins are free for that"),
    ],
)
def test_a_part_that_a_chip_has_no_pins_for_is_refused_on_that_chip_alone(side, driver, told):
    sensor = {**CAMERA, "driver": driver}
    assert answer(side, READ, ["esp32c3", {**NODE, "sensors": [sensor]}]) == told
    assert answer(side, READ, ["esp32s3", {**NODE, "sensors": [sensor]}]) == [1, []]


def test_a_refused_pin_is_told_with_those_that_are_free(side):
    found = answer(side, READ, ["esp32c3", {**NODE, "sensors": [{**PRESENCE, "pin": 8}]}])
    # All but the chip's own and those of receiver, bus and light: the battery's and the presence sensor's are left.
    assert found == (
        "sensors[0].pin: a free pin expected, this one is a strapping pin, read at reset (free: 0, 3), not 8"
    )


def test_a_node_carries_neither_other_chips_numbers_nor_the_benchs_checks(micropython):
    source = "import board\nout = [name for name in ('CHIPS', 'mistakes', 'pins') if hasattr(board, name)]"
    assert answer(micropython, source) == ["pins"]


def test_what_hangs_on_a_switch_has_its_pin_to_itself(side):
    for driver in ("ld2450", "radar", "detector"):
        sensors = [{**CAMERA, "driver": driver}, {**PRESENCE, "pin": 27}]
        found = answer(side, READ, ["esp32", {**NODE, "sensors": sensors}])
        assert found == "sensors[1].pin: wants pin 27, which sensors[0] has"
    # A BNO055 hangs on 3.3 V: what it has learnt would go with its supply.
    config = {**NODE, "compass": {"driver": "bno055"}, "sensors": [{**PRESENCE, "pin": 27}]}
    assert answer(side, READ, ["esp32", config]) == [36, []]


def rows(head):
    """The cells of the table of README.md's wiring whose first line begins with `head`."""
    table = section("Wiring").split(f"| {head} |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_readmes_wiring_is_the_boards_of_all_chips(tables):
    chips, _ = tables
    told = {row[2].strip("`"): [None if cell == "-" else int(cell) for cell in row[3:]] for row in rows("part")}
    assert told == {name: [chips[chip][name] for chip in CHIPS] for name in chips["esp32"]}


def test_the_readmes_rules_are_the_boards(tables):
    _, rules = tables

    def numbers(cell):
        found = []
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", cell):
            found += range(int(first), int(last or first) + 1)
        return found

    told = {row[0].strip("`"): [numbers(cell) for cell in row[1:4]] for row in rows("rule")}
    assert told == {rule: [rules[chip][rule] for chip in CHIPS] for rule in RULES}


def test_the_readme_says_of_each_file_once_what_it_knows():
    text = (FIRMWARE / "README.md").read_text().split("| file | what it alone knows |")[1].split("\n\n")[0]
    told = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    files = [path.name for path in FIRMWARE.glob("*.py")]
    assert sorted(told) == sorted([*files, "sensors/", "wire.py"])


def test_a_simulated_post_has_its_presence_sensor_where_the_board_has_it(tables):
    from dronewall.live import devices

    chips, rules = tables
    wiring = chips["esp32"]
    assert devices._PIR_PINS[0] == wiring["pir"]
    refused = {
        number for rule in ("flash", "strapping", "console", "psram", "absent") for number in rules["esp32"][rule]
    }
    taken = {wiring[name] for name in ("gnss_tx", "gnss_rx", "gnss_power", "i2c_scl", "i2c_sda", "led")}
    assert not set(devices._PIR_PINS) & (refused | taken)
