"""The reference board (ESP32-WROOM-32, 4 MB flash, no PSRAM): which pin does what; nothing else knows a pin
number.

A site's own board is this file changed; the drivers get their bus passed in. Pins 16 and 17 stay free,
because modules with PSRAM use them.
"""

NAME = "esp32-reference-1"

GNSS_TX = 26
GNSS_RX = 25
I2C_SCL = 22
I2C_SDA = 21
LED = 4
# Of these a sensor that uses them takes all (`config.Section.claim`); on other nodes they are free.
UART2_TX = 19
UART2_RX = 18
I2S_SCK = 14
I2S_WS = 13
I2S_SD = 35
BATTERY = 36  # through a divider; another of ADC1 where config.json says so
WATCHDOG_MS = 30_000  # three times a slice of a light sleep, during which nothing runs

FLASH = (6, 7, 8, 9, 10, 11)  # wired to the flash chip inside the module
STRAPPING = (0, 2, 5, 12, 15)  # read at reset: a sensor that holds one can stop the boot
CONSOLE = (1, 3)  # UART 0: the bench talks to the board here
INPUT_ONLY = (34, 35, 36, 39)  # without pull resistors
ABSENT = (20, 24, 28, 29, 30, 31, 37, 38)  # not led out of the module
ADC1 = (32, 33, 34, 35, 36, 39)  # ADC2 does not work beside Wi-Fi (ESP32 TRM, section "ADC")
WAKING = (0, 2, 4, 12, 13, 14, 15, 25, 26, 27, 32, 33, 34, 35, 36, 37, 38, 39)  # can wake a sleeping chip (RTC_GPIO)
TAKEN = (GNSS_TX, GNSS_RX, I2C_SCL, I2C_SDA, LED)


def gnss_uart():
    """The UART that the GNSS receiver talks on; reads never wait (`timeout=0`)."""
    from machine import UART, Pin

    # 9600 baud is what every NMEA receiver speaks when it leaves the shop; the buffer holds a second of it.
    return UART(1, baudrate=9600, tx=Pin(GNSS_TX), rx=Pin(GNSS_RX), rxbuf=1024, timeout=0)


def sensor_uart(number, baud):
    """UART 2, for the one device that talks on it; reads never wait. ESP32 has no third that is free: 0 is the
    console's, 1 the receiver's."""
    from machine import UART, Pin

    return UART(number, baudrate=baud, tx=Pin(UART2_TX), rx=Pin(UART2_RX), rxbuf=1024, timeout=0)


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

        _i2c.append(I2C(0, scl=Pin(I2C_SCL), sda=Pin(I2C_SDA), freq=100_000))
    return _i2c[0]


def microphone(rate, number):
    """A microphone on I2S at `rate` [Hz]: words of 32 bits, the left channel; `number`: bytes that may wait."""
    from machine import I2S, Pin

    wires = {"sck": Pin(I2S_SCK), "ws": Pin(I2S_WS), "sd": Pin(I2S_SD)}
    return I2S(0, mode=I2S.RX, bits=32, format=I2S.MONO, rate=rate, ibuf=number, **wires)


def adc(number):
    """Pin `number` as an analogue input of up to 2.45 V (ESP32 data sheet, "ADC Characteristics": what
    attenuation 3 measures well)."""
    from machine import ADC, Pin

    return ADC(Pin(number), atten=ADC.ATTN_11DB)


def input_pin(number):
    """Pin `number` as an input that is low when nothing drives it."""
    from machine import Pin

    return Pin(number, Pin.IN, None if number in INPUT_ONLY else Pin.PULL_DOWN)


def led():
    """The status light, off."""
    from machine import Pin

    return Pin(LED, Pin.OUT, value=0)
