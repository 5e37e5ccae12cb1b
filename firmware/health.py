"""How the node is: the report that says it, and what its battery's voltage means. Loaded for a report and forgotten."""

import gc

import clock
import machine
import power
from log import log


def awake_milli():
    """The share of the time since power-on, in thousandths, that was not slept."""
    power.enter(power.state)
    return 1000 * (power.spent[power.ACTIVE] + power.spent[power.MODEM]) // (sum(power.spent) or 1)


def cause():
    """The wire's word for why the node started; None where the chip does not say."""
    # The ESP32 port calls a restart by software HARD_RESET or, in older versions, SOFT_RESET; the chip's reset pin, and
    # a brown-out, too, are a power-on.
    return (None, "power", "soft", "watchdog", "sleep", "soft")[machine.reset_cause()]


def judge(mv, low_mv, critical_mv):
    """Takes the battery's voltage [mV] or None. It is low or critical once two voltages in succession say so, and no
    longer once two are a thirty-second over the bound: so much a cell recovers when its load goes."""
    level = 0
    if mv is not None:
        if mv < critical_mv + (power.battery == 2) * critical_mv // 32:
            level = 2
        elif mv < low_mv + (power.battery > 0) * low_mv // 32:
            level = 1
    if level == power.verdict != power.battery:
        power.battery = level
        log("power", "battery %s: %s mV" % (("enough", "low", "critical")[level], mv))
    power.verdict = level


def tell(node):
    """Sends the report of a Node."""
    uptime, config = clock.uptime_ms(), node.config
    mv = None
    if config.battery[0] != "none":
        from battery import read

        mv = read(config)
    judge(mv, config.low_mv, config.critical_mv)
    node.link.health(
        {
            "uptime_ms": uptime,
            "time_unix_ms": node.measured.clock.at(uptime),
            "boot": node.boot,
            "battery_mv": mv,
            "rssi_dbm": node.link.rssi_dbm(),
            "heap_free_bytes": gc.mem_free(),
            "resets": node.resets,
            "queue_drops": node.link.drops,
            "awake_milli": awake_milli(),
            "reset": cause(),
        }
    )
