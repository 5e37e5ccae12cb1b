"""Starts the node: its parts, its tasks, and what a start after a fault is like."""

import asyncio
import gc

import guard
import log


def _node():
    # Without a name: the reader's memory is the node's once it has read.
    settings, trial, boot, resets, safe = __import__("config").start()
    import power

    log.secrets += [settings.password] + [password for _, password in settings.wifi]
    parts = (None,)
    if safe:
        settings.sensors = []
        settings.asleep_s = 0
    else:
        from measure import instruments

        parts = instruments(settings)
    from node import Node

    try:
        node = Node(settings, boot, resets, *parts)
    except ValueError as error:
        if not trial or trial[1]:
            raise
        guard.failed("config", error)  # the next start takes the old one
    power.resume(node, trial)
    return node, safe


async def _tasks(node, safe):
    log.log("main", "node %s/%s" % (node.config.wall, node.config.node))
    watch = guard.watch(node.link, 1000 * getattr(node.config, "confirm_s", 180), safe)
    await asyncio.gather(*[guard.guarded(*task) for task in node.tasks() + [("guard", watch, None)]])


def run():
    """Runs the node until Ctrl-C. Raises ConfigError (or WireError) where config.json is not one."""
    try:
        node, safe = _node()
    except ValueError:
        raise
    except Exception as error:
        guard.failed("main", error)
    gc.collect()
    try:
        asyncio.run(_tasks(node, safe))
    except KeyboardInterrupt:
        asyncio.run(node.link.close())
        log.log("main", "stopped")


if __name__ == "__main__":
    run()
