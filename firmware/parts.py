"""Which parts a node has, and its tasks. Loaded for its start and forgotten, with the pins (board.py) where nothing
that stays asks for them.
"""

import gc
import sys

import guard
import log


def node():
    """(the Node of config.json, whether it is in safe mode). Raises ConfigError (or WireError) where config.json is not
    one."""
    # Without a name: the reader's memory is the node's once it has read.
    settings, trial, boot, resets, safe = __import__("config").start()
    log.secrets += [settings.password] + [password for _, password in settings.wifi]
    parts = (None,)
    if safe:
        settings.asleep_s = 0
    else:
        parts = _instruments(settings)
    import board
    from node import Node

    settings.board = board.NAME
    del board
    if settings.battery[0] != "ina219":  # which shares the bus that board.py knows
        sys.modules.pop("board", None)
    gc.collect()
    try:
        node = Node(settings, boot, resets, *parts)
    except ValueError as error:
        if not trial or trial[1]:
            raise
        guard.failed("config", error)  # the next start takes the old one
    if safe:
        # Not before: what waits in the queue is told by the names of the sensors.
        settings.sensors = []
    import power

    if power.kept:
        log.once("asleep", "board").resume(node)
    node.trial = trial
    if trial:
        node.ids.append(trial[0])  # its command is not carried out again
    gc.collect()
    return node, safe


def tasks(node):
    """(name, coroutine, bound) of each of a Node's tasks. The bound [ms] is the longest time that a healthy one
    stands still; drivers say theirs as BOUND_MS, where it is not a minute."""
    import power

    tasks = [
        ("link", node.link.run(), 450_000),  # the longest back-off is 375 s
        ("health", node.run_health(), 150_000),
        ("power", power.run(node), 60_000),
        ("light", node.run_light(), 30_000),
    ]
    if node.receiver:
        tasks += [("pose", node.run_pose(), 30_000), ("gnss", node.receiver.run(), 30_000)]
    for sensor in node.config.sensors:
        tasks.append((sensor.name, node.watch(sensor), getattr(sensor.module, "BOUND_MS", 60_000)))
    return tasks


def _chips(config):
    """(compass, accelerometer) as the configuration names them."""
    import board

    if config.compass == "bno055":
        from sensors import bno055

        chip = bno055.Compass(board.sensor_uart(2, 115_200), config.hard_iron)
        return chip, chip
    from sensors import adxl345, qmc5883

    bus = board.i2c()
    return qmc5883.Compass(bus, config.hard_iron), adxl345.Accelerometer(bus, not config.moving)


def _instruments(config):
    """(receiver, compass, accelerometer, mast, servo) of the reference board; all but the first None where nothing asks
    for them."""
    import board

    chips, mast, servo = (None, None), None, None
    surveyed = [sensor for sensor in config.sensors if sensor.azimuth_source == "survey"]
    if config.watch or len(surveyed) < len(config.sensors):
        chips = _chips(config)
    if config.watch and surveyed:
        from mast import Mast

        angles = [(sensor.azimuth_cdeg, sensor.elevation_cdeg, sensor.roll_cdeg) for sensor in surveyed]
        mast = Mast([config.compass, config.hard_iron, angles])
    if config.servo:
        from servo import Servo

        pulses = [None if number is None else board.servo(number) for number in config.servo[:2]]
        servo = Servo(config.servo, pulses)
    from sensors.gnss import Receiver

    return (Receiver(board.gnss_uart()),) + chips + (mast, servo)
