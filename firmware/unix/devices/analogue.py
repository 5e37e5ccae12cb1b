"""The parts of `machine` that only some boards need: ADC and I2S."""

from world import world


class ADC:
    """An analogue pin: the battery behind the divider that world.json's `adc` names, or nothing."""

    ATTN_11DB = 3

    def __init__(self, pin, atten=0):
        self._divider = world().told.get("adc", {}).get(str(pin.number))

    def read_uv(self):
        return int((world().battery_mv() or 0) * 1000000 / self._divider) if self._divider else 0


class I2S:
    """The I2S receiver and the microphone on it, `i2s` of world.json; a read waits for what it asks for."""

    RX = 0
    MONO = 0

    def __init__(self, number, sck, ws, sd, mode, bits, format, rate, ibuf):
        name = world().told.get("i2s")
        self._device = getattr(__import__("devices." + name), name).Device(rate) if name else None

    def readinto(self, buffer):
        if self._device:
            self._device.fill(buffer)
        return 2 * len(buffer)
