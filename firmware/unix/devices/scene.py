"""What a sensor on the board sees of the intruders: the geometry that all virtual sensors share."""

import math

from world import AZIMUTH, world


def seen(azimuth_cdeg, hfov_cdeg, range_cm):
    """[(azimuth offset [rad], elevation [rad], range [cm], speed [cm/s], kind)] of the intruders within the field of
    a sensor that looks along `azimuth_cdeg`, clockwise from the board's own; azimuth 0 is its middle."""
    here = world()
    looks = math.radians((here.truth(here.now())[AZIMUTH] + azimuth_cdeg) / 100)
    out = []
    for east, north, up, speed, kind in here.targets():
        level = math.sqrt(east * east + north * north)
        distance = math.sqrt(level * level + up * up)
        azimuth = (math.atan2(east, north) - looks + math.pi) % (2 * math.pi) - math.pi
        if distance <= range_cm and abs(azimuth) <= math.radians(hfov_cdeg / 200):
            out.append((azimuth, math.atan2(up, level), distance, speed, kind))
    return out


def mount(name):
    """Where a device looks on its board [cdeg], by world.json."""
    return world().mounts.get(name, 0)
