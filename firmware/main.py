"""Starts the node, and says what a start after a fault is like."""

import asyncio
import gc

import guard
from log import log, once


async def _tasks(node, safe):
    log("main", "the node %s/%s" % (node.config.wall, node.config.node))
    watch = guard.watch(node.link, 1000 * getattr(node.config, "confirm_s", 180), safe)
    await asyncio.gather(*[guard.guarded(*task) for task in once("parts").tasks(node) + [("guard", watch, None)]])


def run():
    """Runs the node until Ctrl-C. Raises ConfigError (or WireError) where config.json is not one."""
    try:
        node, safe = once("parts").node()
    except ValueError:
        raise
    except Exception as error:
        guard.failed("main", error)
    gc.collect()
    try:
        asyncio.run(_tasks(node, safe))
    except KeyboardInterrupt:
        asyncio.run(node.link.close())
        log("main", "stopped by hand")


if __name__ == "__main__":
    run()
