"""Where a sensor looks, from integers alone: attitude, mount offsets, positions and their averages.

Nothing here is a float and nothing here knows a chip. Angles are centidegrees (cdeg), clockwise from north,
up from the horizontal, roll positive with the right side down. Vectors are (x forward, y left, z up) of the
board, or (north, west, up) of the world: the same frame turned.

            x forward                  north
            |                          |
    y left -+            world:  west -+          (z and up come out of the page)

Sines come from CORDIC (Volder 1959, "The CORDIC Trigonometric Computing Technique"): shifts and adds.
"""

from micropython import const

_MICRO = const(10_000)  # a centidegree in microdegrees, the angle inside this file
_HALF_TURN = const(180_000_000)  # [microdegree]
_ONE = const(1 << 24)  # length of a unit vector

# atan(2**-i) in microdegrees; the turns shrink by the same factor each time they run: their gain is undone by
# _GAIN / 2**30.
_ARCTANGENT = const((
    45000000, 26565051, 14036243, 7125016, 3576334, 1789911, 895174, 447614, 223811, 111906, 55953,
    27976, 13988, 6994, 3497, 1749, 874, 437, 219, 109, 55, 27,
))  # fmt: skip
_GAIN = const(652032874)

# sin(0.02 degree): closer to the vertical than this a boresight has no azimuth of its own.
_VERTICAL = const(5857)

_JUMP_CM = const(10_000)  # a fixed post's fix that far from its mean is not the post having moved


def wrapped(angle, most):
    """`angle` brought into -most <= angle < most, in the unit of both."""
    return (angle + most) % (2 * most) - most


def turned(x, y, angle):
    """(x, y) turned counter-clockwise by `angle` [microdegree]."""
    angle = wrapped(angle, _HALF_TURN)
    if angle > _HALF_TURN // 2 or angle < -_HALF_TURN // 2:
        x, y = -x, -y
        angle += -_HALF_TURN if angle > 0 else _HALF_TURN
    for i, step in enumerate(_ARCTANGENT):
        if angle >= 0:
            x, y, angle = x - (y >> i), y + (x >> i), angle - step
        else:
            x, y, angle = x + (y >> i), y - (x >> i), angle + step
    return (x * _GAIN + (1 << 29)) >> 30, (y * _GAIN + (1 << 29)) >> 30


def polar(x, y):
    """(length, angle) of (x, y): length in the unit of x and y, rounded; angle in microdegrees, -180e6 <=
    angle < 180e6."""
    if x == 0 and y == 0:
        return 0, 0
    shift = 0
    while -_ONE < x << shift < _ONE and -_ONE < y << shift < _ONE:
        shift += 1
    x, y, angle = x << shift, y << shift, 0
    if x < 0:
        x, y, angle = -x, -y, _HALF_TURN
    for i, step in enumerate(_ARCTANGENT):
        if y < 0:
            x, y, angle = x - (y >> i), y + (x >> i), angle - step
        else:
            x, y, angle = x + (y >> i), y - (x >> i), angle + step
    length = (x * _GAIN) >> 30
    return (length + (1 << shift >> 1)) >> shift, wrapped(angle, _HALF_TURN)


def _cdeg(angle):
    return (angle + _MICRO // 2) // _MICRO


def hypotenuse(*legs):
    """The square root of the sum of the squares of `legs`, rounded, in their unit."""
    length = 0
    for leg in legs:
        length = polar(length, leg)[0]
    return length


def components(length, azimuth_cdeg):
    """(east, north) of a horizontal vector of `length` towards `azimuth_cdeg`, in the unit of `length`."""
    north, east = turned(length << 8, 0, azimuth_cdeg * _MICRO)
    return (east + 128) >> 8, (north + 128) >> 8


def towards(x, y):
    """(length, azimuth [cdeg]) of a vector on the level, `x` forward and `y` right, the length in its unit, rounded;
    -18000 <= azimuth < 18000."""
    length, angle = polar(x, y)
    return length, _cdeg(angle)


def attitude(acceleration, field):
    """(azimuth, elevation, roll, dip) [cdeg] of the board; azimuth from *magnetic* north, dip of the field
    below the horizontal.

    `acceleration` is the accelerometer's (x, y, z), which at rest points up; `field` the magnetometer's, or
    None: then azimuth and dip are None. Any unit, both in the board's axes. Raises ValueError where a vector
    says nothing (no acceleration, or a field that stands on the vertical). Source: T. Ozyagcilar, NXP AN4248,
    "Implementing a Tilt- Compensated eCompass", with its axes turned to ours.

        reading of "up" = (sin e, cos e sin r, cos e cos r)
    """
    x, y, z = acceleration
    across = polar(y << 12, z << 12)[0]
    if x == y == z == 0:
        raise ValueError("acceleration is zero")
    elevation = polar(across, x << 12)[1]
    roll = polar(z, y)[1]
    if field is None:
        return None, _cdeg(elevation), _cdeg(roll), None
    x, y, z = (value << 12 for value in field)
    y, z = turned(y, z, roll)
    x, z = turned(x, z, elevation)
    level, azimuth = polar(x, y)
    if level << 6 <= abs(z):
        raise ValueError("the field has no horizontal part to steer by")
    return _cdeg(azimuth) % 36000, _cdeg(elevation), _cdeg(roll), _cdeg(polar(level, -z)[1])


def outward(vector, azimuth, elevation, roll):
    """A vector of a frame with that attitude [cdeg], as the frame around it sees it."""
    x, y, z = vector
    y, z = turned(y, z, roll * _MICRO)
    x, z = turned(x, z, elevation * _MICRO)
    x, y = turned(x, y, -azimuth * _MICRO)
    return x, y, z


def boresight(board, mount):
    """(azimuth, elevation, roll) [cdeg] of a sensor: its mount on the board and the board's attitude, each
    (azimuth, elevation, roll) [cdeg]. 0 <= azimuth < 36000, -9000 <= elevation <= 9000, -18000 <= roll <
    18000.

    Looking straight up or down, azimuth and roll turn about the same axis: roll is then 0 and the azimuth
    carries both.
    """
    forward = outward(outward((_ONE, 0, 0), *mount), *board)
    left = outward(outward((0, _ONE, 0), *mount), *board)
    up = outward(outward((0, 0, _ONE), *mount), *board)
    level, turn = polar(forward[0], -forward[1])
    if level < _VERTICAL:
        # The top of the picture points where the boresight came from: ahead when it looks down, behind when
        # it looks up.
        sign = -1 if forward[2] > 0 else 1
        return _cdeg(polar(sign * up[0], -sign * up[1])[1]) % 36000, -sign * 9000, 0
    elevation = polar(level, forward[2])[1]
    roll = wrapped(_cdeg(polar(up[2], left[2])[1]), 18000)
    return _cdeg(turn) % 36000, _cdeg(elevation), roll


def azimuth_sigma(azimuth, elevation, angle):
    """1 sigma [cdeg] of an azimuth by compass: the compass's own on a level board (`azimuth`), and the tilt's error
    (`elevation`) times the tangent of the field's dip (`angle`).

    With the field 65 degrees below the horizontal half a degree of tilt is one of azimuth: the tilt is
    usually the larger part. Source: derivative of the tilt compensation by the tilt (NXP AN4248, section 4).
    At most 18000.
    """
    level, down = turned(_ONE, 0, angle * _MICRO)
    if level <= 0:
        return 18000
    return min(18000, hypotenuse(azimuth, elevation * abs(down) // level))


def apart(latitude_e7, longitude_e7, *known):
    """(east, north) [cm] to one place from another near it, the `known` latitude_e7 and longitude_e7, on the sphere of
    6 371 000 m, the short way round the globe."""
    # 1e-7 degree of latitude is 1.111949 cm.
    north = ((latitude_e7 - known[0]) * 1_111_949 + 500_000) // 1_000_000
    east = (wrapped(longitude_e7 - known[1], 1_800_000_000) * 1_111_949 << 8) // 1_000_000
    return (turned(east, 0, latitude_e7 // 10)[0] + 128) >> 8, north


def is_jump(latitude_e7, longitude_e7, known, sigma_cm):
    """Whether a fix is too far from the `known` (latitude_e7, longitude_e7, ...) of a fixed post to be a fix
    of it."""
    distance = hypotenuse(*apart(latitude_e7, longitude_e7, known[0], known[1]))
    return distance > max(_JUMP_CM, 10 * sigma_cm)


def root(value):
    """The integer square root, by Newton's rule."""
    found = value
    better = (found + 1) // 2
    while better < found:
        found, better = better, (better + value // better) // 2
    return found
