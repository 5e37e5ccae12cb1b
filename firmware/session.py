"""How a session of the node begins: a clock where TLS needs one, the connection, birth, subscriptions, `ready`. Loaded
for that and forgotten.
"""

import asyncio

import wire
from log import once

_VERSION = "0.1.0"


def birth(node, session):
    """The fields of the birth message."""
    from node import LIMITS

    keys = ("name", "driver", "model") + LIMITS
    return {
        "firmware": _VERSION,
        "version": getattr(node.config, "version", 0),
        "mode": "normal" if node.receiver else "safe",
        "board": node.config.board,
        "boot": node.boot,
        "session": session,
        "period_s": node.period_s,
        "sensors": [{key: getattr(sensor, key) for key in keys} for sensor in node.config.sensors],
    }


async def begun(link, client):
    """Opens the session of a Link with that Client. Raises OSError or MqttError."""
    config = link.config
    wrap = None
    if config.tls:
        await link.time()
        wrap = await once("secure").wrapper(config.tls, config.host, link.utc)
    else:
        asyncio.create_task(link.time())
    await client.connect(
        config.host,
        config.port,
        "%s-%s" % (config.wall, config.node),
        config.keepalive_s,
        config.user,
        config.password,
        (link.topic("state"), link.state("lost"), True, 1),
        wrap,
    )
    await client.publish(link.topic("birth"), wire.encode("birth", link.birth(link.session)), True, 1)
    await client.subscribe(link.topic("command"))
    for sensor in config.sensors:
        if hasattr(sensor.module, "local") and sensor.module.local(sensor.settings):
            await client.subscribe(link.local(sensor))
    await client.publish(link.topic("state"), link.state("ready"), True, 1)
