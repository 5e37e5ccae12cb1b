"""Starts the node: its parts, its tasks, and what happens when one of them fails."""

import asyncio
import gc
import sys

import board
import flash
import machine
from log import failure, log


async def _guarded(name, task):
    try:
        await task
    except Exception as error:
        # Nobody is there to look at it: write it down and begin again.
        try:
            failure(name, error)
            flash.counted(0, 1)
        finally:
            machine.reset()


def _node():
    from config import read

    settings = read("config.json")
    # The reader has done its work; the node needs the memory.
    del read, sys.modules["config"]
    gc.collect()
    from measure import instruments
    from node import Node

    watchdog = hasattr(machine, "reset_cause") and machine.reset_cause() == machine.WDT_RESET
    boot, resets = flash.counted(1, int(watchdog))
    return Node(settings, boot, resets, *instruments(settings))


async def _tasks(node):
    log("main", "node %s/%s" % (node.config.wall, node.config.node))
    # Last of all: once it runs it cannot be stopped.
    feed = machine.WDT(timeout=board.WATCHDOG_MS).feed if hasattr(machine, "WDT") else lambda: None
    await asyncio.gather(*[_guarded(name, task) for name, task in node.tasks(feed)])


def run():
    """Runs the node until Ctrl-C. Raises ConfigError (or WireError) where config.json is not one."""
    node = _node()
    gc.collect()
    try:
        asyncio.run(_tasks(node))
    except KeyboardInterrupt:
        asyncio.run(node.link.close())
        log("main", "stopped")


if __name__ == "__main__":
    run()
