"""The reference boards, one for each chip: which pin does what, and what the chip's pins can; nothing else knows a pin
number.

A site's own board is this file changed; the drivers get their bus passed in. The table has a row for each pin and each
rule and a column for each chip. It is a text, of which a node reads its own column when it asks: a table of numbers for
each chip would take three times the memory.

The rules are Espressif's: ESP-IDF Programming Guide, "GPIO & RTC GPIO" (a table of each chip's pins, with strapping
pins, SPI0/1, USB-JTAG, RTC and ADC) and "Sleep Modes" (what wakes); Series Datasheets of ESP32, ESP32-S3 and ESP32-C3,
"Pin Definitions" and "UART" [check: the sheets were not at hand]. ADC2 beside Wi-Fi: Hardware Design Guidelines, "ADC".
"""

import sys

from micropython import const

# A row's name, then the numbers of each chip: 6-11 is six pins, - none. The first rows are the reference wiring. Of it
# uart2, i2s, sensor_power and battery belong to the sensor that uses them (`config.Section.claim`); pir
# and servo are where the documents put them, config.json says where they are. A _power is an output that is high while
# a supply is on; it has a pull-down resistor, so in reset and in deep sleep it is off.
# pir on ESP32: an input only, which spares the outputs; it has no pull-down of its own. C3: eight pins are free in all.
# waking: RTC_GPIO (ext1); on the C3, which has no ext1, what esp32.wake_on_gpio takes in a deep sleep.
# psram: on modules that have one (ESP32-WROVER; S3 with eight lines, R8 and R16); we leave them free on all.
_TABLE = const("""
             esp32 esp32s3 esp32c3
gnss_tx      26    17      4
gnss_rx      25    18      5
gnss_power   23    10      1
i2c_scl      22    9       7
i2c_sda      21    8       6
led          4     21      10
uart2_tx     19    15      -
uart2_rx     18    16      -
sensor_power 27    14      -
i2s_sck      14    12      -
i2s_ws       13    11      -
i2s_sd       35    13      -
battery      36    1       0
pir          34    2       3
servo_pan    32    5       -
servo_tilt   33    6       -

flash      6-11                     26-32     12-17
strapping  0,2,5,12,15              0,3,45,46 2,8,9
console    1,3                      43,44     20,21
usb        -                        19,20     18,19
psram      16,17                    33-37     -
input_only 34-36,39                 -         -
absent     20,24,28-31,37,38,40-48  22-25     11,22-48
adc1       32-36,39                 1-10      0-4
adc2       0,2,4,12-15,25-27        11-20     5
waking     0,2,4,12-15,25-27,32-39  0-21      0-5
uarts      3                        3         2
""")
WATCHDOG_MS = 30_000  # three times a slice of a light sleep, during which nothing runs

# "Generic ESP32S3 module with ESP32S3", "NanoS3 with ESP32-S3-FN8", "... with ESP32-PICO-D4" (MicroPython,
# ports/esp32/boards); who plays a board (unix port, CPython) plays an ESP32.
CHIP = getattr(sys.implementation, "_machine", "").split(" with ")[-1].lower().replace("-", "")
CHIP = CHIP[:7] if CHIP[:5] == "esp32" and CHIP[5:6] in "schp" and CHIP[6:7].isdigit() else "esp32"
NAME = CHIP + "-reference-1"


def pins(word, chip=None):
    """The numbers in all rows whose name begins with `word`, in the table's order: pins("i2c") is [scl, sda]. Empty
    where this chip has none. Raises ValueError for a chip that has no column."""
    found = []
    column = None
    for line in _TABLE.split("\n")[1:]:
        cells = line.split()
        if column is None:
            if (chip or CHIP) not in cells:
                raise ValueError("board.py has no pins for %s: %s" % (chip or CHIP, ", ".join(cells)))
            column = 1 + cells.index(chip or CHIP)
        elif line.startswith(word):
            for cell in cells[column].split(","):
                first, _, last = cell.partition("-")
                if first:
                    found += range(int(first), int(last or first) + 1)
    return found


def refusal(number, chip=None):
    """Why a pin must not carry what is wired to a board (a few words), or None where it may.

    The chip would allow the strapping pins; we refuse them by choice, because the fault they make (a node that starts
    on the bench and not on the mast) is found too late. The console's and the USB's are how the bench talks to it.
    """
    for word, reason in (
        ("absent", "not led out of the module"),
        ("flash", "the flash chip's"),
        ("psram", "the PSRAM's, where the module has one"),
        ("strapping", "a strapping pin, read at reset"),
        ("console", "the console's"),
        ("usb", "the USB's"),
    ):
        if number in pins(word, chip):
            return reason
    return None


def supply(number, on):
    """Switches the supply of what talks on UART `number` (1 the receiver, 2 a sensor), where this board has a switch.
    Off: the line to it is none, too, for a chip without a supply would draw its current from there."""
    from machine import Pin

    power, tx = (("gnss_power", "gnss_tx"), ("sensor_power", "uart2_tx"))[number - 1]
    for each in pins(power):
        Pin(each, Pin.OUT, value=on)
        if not on:
            Pin(pins(tx)[0], Pin.IN)


def gnss_uart(again=None):
    """The UART that the GNSS receiver talks on, the receiver's supply on; reads never wait (`timeout=0`). `again`: the
    one that there is, after its supply was off."""
    supply(1, 1)
    # 9600 baud is what every NMEA receiver speaks when it leaves the shop; the buffer holds a second of it.
    return _uart(1, 9600, again, *pins("gnss")[:2])


def sensor_uart(number, baud, switched=False, again=None):
    """UART 2, for the one device that talks on it; reads never wait. None is left beside it: 0 is the console's, 1 the
    receiver's. `switched`: its supply is the board's, and goes on; `again` as of gnss_uart."""
    if switched:
        supply(number, 1)
    uart = _uart(number, baud, again, *pins("uart2"))
    if switched:
        import power

        power.uart[:] = [uart, baud]
    return uart


def _uart(number, baud, again, tx, rx):
    from machine import UART, Pin

    wires = {"baudrate": baud, "tx": Pin(tx), "rx": Pin(rx), "rxbuf": 1024, "timeout": 0}
    if again:
        again.init(**wires)
    return again or UART(number, **wires)


def servo(number):
    """Pin `number` with the 50 pulses a second of a servo; call what comes back with their width [us]."""
    from machine import PWM, Pin

    pwm = PWM(Pin(number), freq=50, duty_ns=0)
    return lambda value: pwm.duty_ns(value * 1000)


_i2c = []


def i2c():
    """The one I2C bus, slow enough for metres of cable to the top of a mast."""
    if not _i2c:
        from machine import I2C, Pin

        scl, sda = pins("i2c")
        _i2c.append(I2C(0, scl=Pin(scl), sda=Pin(sda), freq=100_000))
    return _i2c[0]


def microphone(rate, number):
    """A microphone on I2S at `rate` [Hz]: words of 32 bits, the left channel; `number`: bytes that may wait."""
    from machine import I2S, Pin

    sck, ws, sd = [Pin(each) for each in pins("i2s")]
    return I2S(0, mode=I2S.RX, bits=32, format=I2S.MONO, rate=rate, ibuf=number, sck=sck, ws=ws, sd=sd)


def adc(number):
    """Pin `number` as an analogue input of up to 2.45 V (ESP32 data sheet, "ADC Characteristics": what
    attenuation 3 measures well)."""
    from machine import ADC, Pin

    return ADC(Pin(number), atten=ADC.ATTN_11DB)


def input_pin(number):
    """Pin `number` as an input that is low when nothing drives it."""
    from machine import Pin

    return Pin(number, Pin.IN, None if number in pins("input_only") else Pin.PULL_DOWN)


def led():
    """The status light, off."""
    from machine import Pin

    return Pin(pins("led")[0], Pin.OUT, value=0)


if __debug__:  # for the bench, the documents and the tests; mpy-cross -O2 leaves it out
    _HEAD, *_WIRING = [line.split() for line in _TABLE.split("\n\n")[0].strip().split("\n")]
    CHIPS = {chip: {row[0]: (pins(row[0], chip) or [None])[0] for row in _WIRING} for chip in _HEAD}
    """{chip: {what: the number of its pin, None where that chip has none}}"""
    _READ = ("gnss_rx", "uart2_rx", "i2s_sd", "battery", "pir")

    def mistakes(wiring, chip):
        """What is wrong with that chip's `wiring`, as CHIPS has it: a text for each mistake, which begins with what
        is wired wrongly."""
        found, whose = [], {}
        for name, number in wiring.items():
            reason = number is not None and refusal(number, chip)
            if reason:
                found.append("%s: %d is %s" % (name, number, reason))
            if number in pins("input_only", chip) and name not in _READ:
                found.append("%s: %d is an input only" % (name, number))
            if number is not None and whose.setdefault(number, name) != name:
                found.append("%s: %d is %s, too" % (name, number, whose[number]))
        for name, rule, reason in (
            ("battery", "adc1", "not of ADC1, and ADC2 does not work beside Wi-Fi"),
            ("pir", "waking", "a pin that does not wake the chip"),
        ):
            if wiring[name] is not None and wiring[name] not in pins(rule, chip):
                found.append("%s: %d is %s" % (name, wiring[name], reason))
        uarts = [name for name in ("console", "gnss_tx", "uart2_tx") if wiring.get(name, 0) is not None]
        if len(uarts) > pins("uarts", chip)[0]:
            found.append("%s: a UART more than the %d of the chip" % (uarts[-1], pins("uarts", chip)[0]))
        return found
