"""What a sensor on the board sees of the intruders: the geometry that all virtual sensors share."""

import math

from world import AZIMUTH, world


def targets(here):
    """What `World.targets` says."""
    out = []
    for intruder in here.told.get("intruders", ()):
        t = here.elapsed() - intruder["start_ms"]
        if t >= 0 and intruder.get("every_ms"):
            t %= intruder["every_ms"]
        points = intruder["points"]
        for i in range(len(points) - 1):
            a, b = points[i], points[i + 1]
            if a[0] <= t < b[0]:
                way = [b[k] - a[k] for k in (1, 2, 3)]
                share = (t - a[0]) / (b[0] - a[0])
                speed = math.sqrt(sum([w * w for w in way])) * 1000 / (b[0] - a[0])
                place = [a[k + 1] + share * way[k] for k in range(3)]
                out.append(tuple(place + [speed, intruder.get("kind", "person")]))
    return out


def seen(azimuth_cdeg, hfov_cdeg, range_cm):
    """[(azimuth offset [rad], elevation [rad], range [cm], speed [cm/s], kind)] of the intruders within the field of
    a sensor that looks along `azimuth_cdeg`, clockwise from the board's own; azimuth 0 is its middle."""
    here = world()
    looks = math.radians((here.truth(here.now())[AZIMUTH] + azimuth_cdeg) / 100)
    out = []
    for east, north, up, speed, kind in targets(here):
        level = math.sqrt(east * east + north * north)
        distance = math.sqrt(level * level + up * up)
        azimuth = (math.atan2(east, north) - looks + math.pi) % (2 * math.pi) - math.pi
        if distance <= range_cm and abs(azimuth) <= math.radians(hfov_cdeg / 200):
            out.append((azimuth, math.atan2(up, level), distance, speed, kind))
    return out


def mount(name):
    """Where a device looks on its board [cdeg], by world.json."""
    return world().told.get("mounts", {}).get(name, 0)
