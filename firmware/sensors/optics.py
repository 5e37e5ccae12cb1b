"""A camera whose frustum is known and that the node does not read: its pictures go another way."""


def options(section):
    """No keys of its own."""
    return None


async def watch(settings, detected, trouble):
    """Nothing to read."""
