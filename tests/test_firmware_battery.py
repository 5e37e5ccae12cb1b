"""firmware/battery.py: the battery's voltage by a divider or an INA219, and in a node's health."""

import pytest

from dronewall import wire
from firmware_side import answer, interpreter
from test_firmware_config import READ, changed
from test_firmware_node import broker, host, looking, make  # noqa: F401
from test_firmware_unix import HERE, devices_say  # noqa: F401


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


# A battery that neither drains nor rises.
BATTERY_3712 = {"mwh": 1000, "mw": 0, "asleep_mw": 0, "empty_mv": 3712, "full_mv": 3712}

BATTERY = """
import battery, board
lines = []
battery.log = lambda *words: lines.append(list(words))
class Settings:
    pass
class Adc:
    def __init__(self, readings):
        self.readings = list(readings)
    def read_uv(self):
        return self.readings.pop(0)
class Bus:
    # Registers of 16 bits, high byte first; the shunt's and the bus's.
    def __init__(self, shunt, bus):
        self.registers = {1: shunt, 2: bus}
        self.away = False
    def readfrom_mem_into(self, address, register, buffer):
        if self.away or address != 0x40:
            raise OSError("nobody")
        buffer[:] = bytes([self.registers[register] >> 8, self.registers[register] & 255])
"""


def by_divider(side, divider_milli, *readings_uv):
    source = (
        BATTERY
        + """
Settings.battery = ("adc", 36, given[0])
board.adc = lambda pin: Adc(given[1]) if pin == 36 else None
out = battery.read(Settings)
"""
    )
    return answer(side, source, [divider_milli, readings_uv])


def test_the_voltage_behind_a_divider_is_that_of_the_battery(side):
    assert by_divider(side, 2000, *[1_850_000] * 5) == 3700
    # 47 kOhm over 10 kOhm: 5.7; a lead battery of 12.6 V shows 2.2105 V.
    assert by_divider(side, 5700, *[2_210_526] * 5) == pytest.approx(12_600, abs=2)
    assert by_divider(side, 1000, *[0] * 5) == 0


def test_one_burst_of_the_radio_does_not_lower_what_is_read(side):
    assert by_divider(side, 2000, 1_850_000, 1_500_000, 1_851_000, 900_000, 1_852_000) == 3700


def test_the_ina219_is_read_as_its_data_sheet_says(side):
    # SBOS448G, "Bus Voltage Register": bits 15 to 3, 4 mV each, bit 1 a conversion is ready: 12 V are 3000 of them.
    # "Shunt Voltage Register": 10 uV, two's complement: over 0.1 ohm, 25 mV are 250 mA.
    source = (
        BATTERY
        + """
from sensors.ina219 import current_ma
Settings.battery = ("ina219", 36, 2000)
bus = Bus(given[0], given[1])
board.i2c = lambda: bus
out = [battery.read(Settings), current_ma(bus), current_ma(bus, 50)]
bus.away = True
out += [battery.read(Settings), battery.read(Settings)]
bus.away = False
out += [battery.read(Settings), lines]
"""
    )
    logged = [["battery", "nobody"], ["battery", "works"]]
    found = answer(side, source, [2500, 3000 << 3 | 2])
    assert found == [12_000, 250, 500, None, None, 12_000, logged]
    assert answer(side, source, [0x10000 - 2500, 8000 << 3])[:3] == [32_000, -250, -500]


def test_a_node_without_a_gauge_says_nothing(side):
    assert answer(side, BATTERY + 'Settings.battery = ("none", 36, 2000)\nout = [battery.read(Settings), lines]') == [
        None,
        [],
    ]


KEYS = READ.replace("out = [node.wall", "out = [node.battery, node.low_mv, node.critical_mv] or [node.wall")


def test_the_gauge_is_what_the_configuration_says(side):
    assert answer(side, KEYS, changed(("power",), {})) == [["none", 36, 2000], 0, 0]
    power = {"battery": "adc", "battery_pin": 34, "divider_milli": 5700, "low_mv": 11_800, "critical_mv": 11_200}
    assert answer(side, KEYS, changed(("power",), power)) == [["adc", 34, 5700], 11_800, 11_200]


@pytest.mark.parametrize(
    ("power", "told"),
    [
        ({"battery": "lead"}, "power.battery: one of none, adc, ina219 expected"),
        ({"battery": "adc", "battery_pin": 27}, "power.battery_pin: a pin of ADC1 expected: 32, 33, 34, 35, 36, 39"),
        ({"battery": "adc", "divider_milli": 999}, "power.divider_milli: integer from 1000 to 30000"),
        ({"low_mv": 3400, "critical_mv": 3401}, "power.critical_mv: integer from 0 to 3400"),
        ({"critical": 3400}, "power.critical: unknown key"),
    ],
)
def test_a_wrong_gauge_is_told(side, power, told):
    assert answer(side, KEYS, changed(("power",), power))[0].startswith(told)


def test_a_pin_cannot_carry_a_sensor_and_the_battery(side):
    whole = changed(("power",), {"battery": "adc", "battery_pin": 33})
    whole["sensors"][1]["pin"] = 33
    assert answer(side, KEYS, whole)[0].endswith("wants pin 33, which power has")


@pytest.mark.parametrize("gauge", ["adc", "ina219"])
def test_a_node_tells_its_batterys_voltage_in_its_health(make, host, gauge):  # noqa: F811
    world = {"battery": BATTERY_3712, "adc": {"36": 2000}, "i2c": ["ina219"]}
    make(sensors=[looking("survey")], world=world, power={"battery": gauge})
    voltage = host.until("health")[0].values["battery_v"]
    # The world may have drained it a little; the INA219 counts in steps of 4 mV.
    assert voltage == pytest.approx(3.712, abs=0.02)


def test_the_wire_can_say_every_voltage_that_a_gauge_can_read():
    most = next(row[5] for row in wire.rows("health") if row[1] == "battery_mv")
    assert most >= 2450 * 30  # all of the converter behind the largest divider
    assert most >= 8191 * 4  # 13 bits of 4 mV


def test_the_virtual_gauges_show_the_worlds_battery(devices_say):  # noqa: F811
    lines = """
bus = machine.I2C(0)
two = bytearray(2)
bus.readfrom_mem_into(0x40, 2, two)
out = [machine.ADC(machine.Pin(36), atten=3).read_uv(), machine.ADC(machine.Pin(39), atten=3).read_uv(), list(two)]
"""
    world = {"battery": BATTERY_3712, "adc": {"36": 2000}, "i2c": ["ina219"]}
    behind, nothing, (high, low) = devices_say(lines, (HERE,), **world)
    assert behind == pytest.approx(1_856_000, rel=0.005)
    assert nothing == 0
    assert ((high << 8 | low) >> 3) * 4 == pytest.approx(3712, abs=20)
