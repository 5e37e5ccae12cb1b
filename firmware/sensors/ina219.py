"""Texas Instruments INA219 over I2C: a battery's voltage and current.

Written from TI "INA219" (SBOS448G), section "Register Maps": 01H shunt voltage (10 uV, two's complement), 02H bus
voltage (4 mV in the bits 15 to 3), high byte first. The setting after power-on is the one wanted: 32 V, 320 mV over
the shunt, continuous. Not tried on a chip.
"""

from micropython import const

_ADDRESS = const(0x40)


def _word(i2c, register):
    data = bytearray(2)
    i2c.readfrom_mem_into(_ADDRESS, register, data)
    return data[0] << 8 | data[1]


def voltage_mv(i2c):
    """[mV] at the load's side of the shunt; OSError where no chip answers."""
    return (_word(i2c, 2) >> 3) * 4


def current_ma(i2c, shunt_milliohm=100):
    """[mA] out of the battery, negative into it; OSError where no chip answers."""
    value = _word(i2c, 1)
    return ((value ^ 0x8000) - 0x8000) * 10 // shunt_milliohm
