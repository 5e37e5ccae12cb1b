"""What travels between nodes and host: every topic, every field, its unit, its bounds, its bytes.

This file alone knows the spelling of a topic and the layout of a message. The host imports it and the same
file is flashed to the nodes, so it runs on CPython and MicroPython: no typing, enum, match, dataclasses. On
the node every number is a scaled integer (1e-7 degree, centidegree, centimetre: `latitude_e7`,
`azimuth_cdeg`, `range_max_cm`), and text is made from it with integer arithmetic: the boards' floats have 32
bits, 0.4 m at 47 degrees. Towards the host the JSON has decimals in degrees and metres (`latitude_deg`);
towards the node (`command`) it has the integers themselves, under the integers' names.

`rows` gives the tables to whoever writes documentation; the meanings of the fields stand in `asyncapi.py`,
because a node has memory for bounds and none for prose (tests/test_wire.py holds the loaded size).
"""

import json
import sys
from collections import namedtuple

VERSION = 1
LIMIT = 4096  # bytes of a payload; a quarter of it towards the node

Report = namedtuple("Report", ("wall", "node", "kind", "sensor", "values"))


class WireError(ValueError):
    """A message or topic that is not of this protocol: where, which key, what came, what was expected."""


# One unit a row: letter, what it adds to a name on the wire and on the node, decimals, bounds where a row has
# none.
_UNITS = """
i,,,0,0:100000
j,,,0,0:1048575
k,,,0,0:16777215
g,_deg,_e7,7,-90:90
d,_deg,_cdeg,2,0:180
a,_deg,_cdeg,2,0:360
m,_m,_cm,2,0:100000
v,_mps,_cmps,2,-100:100
s,_s,_ms,3,0:86400
p,,_milli,3,0:1
n,,_centi,2,0:100
V,_v,_mv,3,0:100
C,_c,_cc,2,-100:150
B,_db,_cdb,2,-100:200
K,_k,_mk,3,0:100
q,,_nano,9,0:1
u,_unix_ms,_unix_ms,0,1577836800000:4102444800000
b,,,0,0:1
w,,,0,1:32
t,,,0,1:32
"""

# The messages. A heading is "@kind how": r retained, 0 or 1 the QoS, s with a sensor (or id) as the last part
# of the topic, h from $host. Other headings name objects inside messages; "+name" takes over the rows of
# another.
# A row is "name unit bounds flags":
#   name    without the unit's ending; *n: a list of at most n
#   unit    a letter of _UNITS (a: an azimuth, its upper bound excluded; u: 2020 to 2100, before it no clock
#           was set; b: true or false; w: a name of [A-Za-z0-9_-]; t: printable text), or e: one of the words
#           in its bounds; c: the same, and the rows under @heading.word follow; o: an object, its bounds name
#           it
#   bounds  least:most, both included, in the wire's unit (for w, t: lengths); - the unit's own
#   flags   r required, p also packed, P packed only, - none; !key: required unless that key says "none"
# What only the host says stands below it.
_TABLE = """
@state r1
state e init,ready,sleeping,disconnected,lost rp
boot j - rp
session j - rp
time u - p
via w - -

@birth r1
firmware t - r
board t - r
boot j - r
session j - r
period_s i 1:86400 r
version k - -
mode e normal,safe -
sensors*8 o sensor r
via w - -

@sensor -
name w - r
driver w - r
+view
model o model r

@view -
shape e pyramid,sector r
hfov d 0:360 r
vfov d - r
range_min m - r
range_max m - r

@model -
kind c camera,thermal,radar,acoustic,pir,table r
glimpse s 0:3600 r

@johnson -
pixels i 1:100000 r
n50 n - r

@model.camera -
+johnson
illuminated m - -

@model.thermal -
+johnson
netd K - r

@model.radar -
reference m - r
reference_snr B - -
false_alarm q - r
pulses i 1:100 r
fluctuating b - r
speed_min v 0:100 r

@model.acoustic -
frequency_hz i - r
threshold B - r
sigma B - r
self_noise B - r

@model.pir -
reference m - r
zones i 1:1000 r

@model.table -
range*16 m - r
probability*16 p - r
moving_only b - -

@frustum r1s
sensor_index i 0:15 P
latitude g - p!position_source
longitude g -180:180 p!position_source
height_amsl m -500:15000 p
height_agl m 0:15000 p
position_sigma m 0:655 p!position_source
height_sigma m 0:655 p!position_source
azimuth a - p!azimuth_source
elevation d -90:90 rp
roll d -180:180 rp
azimuth_sigma d - p!azimuth_source
tilt_sigma d 0:90 rp
+view
position_source e survey,gnss,none rp
azimuth_source e survey,compass,none rp
awake e always,event,duty rp
duty p - rp
valid_s i 1:86400 rp
boot j - rp
+clock
uptime_ms i 0:1000000000000 -
suspect b - p
velocity_east v - p
velocity_north v - p
velocity_up v - p
via w - -

@clock -
clock e none,provisioned,rtc,ntp,gnss rp
time u - p!clock
seq k - rp

@detection 1s
sensor_index i 0:15 P
+clock
uptime_ms i 0:1000000000000 p
boot j - p
azimuth a - rp
elevation d -90:90 rp
azimuth_sigma d - p
range m - p
confidence p - rp
class e unknown,person,animal,vehicle,boat,drone,aircraft rp
via w - -

@health r0
uptime_ms i 0:1000000000000 rp
time u - p
boot j - p
battery V - p
rssi_dbm i -200:20 p
temperature C - p
heap_free_bytes k - p
resets j - p
queue_drops k - p
awake p - -
reset e power,pin,watchdog,sleep,soft,brownout -
via w - -

@command 1
id w - r
expires u - r
command c look,period,sleep,identify,reboot,config,update r

@command.look -
sensor w - r
azimuth a - r
elevation d -90:90 r

@command.period -
period_s i 1:86400 r

@command.sleep -
sleep_s i 1:604800 r

@command.identify -
identify_s i 1:3600 r

@command.reboot -

@command.config -
patch t 2:700 r

@command.update -
offset k - r
data t 4:684 r

@reply 1
id w - r
status e done,refused,expired,failed r
reason t 1:200 -
next_offset k - -
time u - -
via w - -

"""
_PACKED = ("state", "frustum", "detection", "health")
_read = json.loads  # MicroPython's refuses NaN and Infinity
_repr = repr  # MicroPython's is ASCII
_misfit = None

# A node neither says nor checks what follows, and must not carry it in its memory. There no function of this
# block is kept, and the compiler drops docstrings; any other string of this file stays for good. So the
# tables of the host's messages and the words of the rules stand in docstrings.
if sys.implementation.name == "cpython":
    _repr = ascii

    def _host_table():
        """The host's messages.

        @status r1h
        state e init,ready,disconnected,lost r
        time u - r
        version t - r
        posts i - r
        sensors_planned i - r
        sensors_heard i - r
        sensors_stale i - r
        refused k - r

        @answer -
        time u - r
        version t - r
        digest w 64:64 r
        source e plan,live r
        level e reported,expected,assured r

        @gaps r1h
        +answer
        covered_share p - r
        unknown_share p - r
        count i - r
        gaps*8 o gap r

        @gap -
        id w 1:64 r
        kind e line,lane,breach r
        target w - r
        start m 0:1000000 r
        end m 0:1000000 r
        probability_least p - r
        probability_mean p - r
        threshold p - r
        unknown_share p - r
        probability_before p - -
        warning s - -
        flank b - r
        below_resolution b - r
        posts*4 w - r

        @breach r1h
        +answer
        target w - r
        probability p - r
        probability_before p - -
        warning s - -
        crossing m 0:1000000 r
        latitude*32 g - r
        longitude*32 g -180:180 r

        @resilience r1h
        +answer
        target w - r
        losses_survived i - r
        exact b - r
        nodes*16 w - r

        @alert 1hs
        time u - r
        kind e detection,gap,breach,node,suspect r
        severity e info,warning,critical r
        text t 1:200 r
        node w - -
        sensor w - -
        target w - -
        chainage m 0:1000000 -
        """

    def _refused(name):
        raise ValueError(name)

    def _read(text):  # type: ignore[misc]
        return json.loads(text, parse_constant=_refused)

    def _misfit(got):
        """The [key, expectation] of the first rule between fields that an object breaks, or None.

        hfov_deg: under 180 for a pyramid
        vfov_deg: under 180 for a pyramid
        range_max_m: more than range_min_m
        height_amsl_m: it or height_agl_m
        range_m: rising values
        probability: one for each range_m
        longitude_deg: one for each latitude_deg
        """
        rules = [line.strip().split(": ") for line in (_misfit.__doc__ or "").split("\n") if ": " in line]
        wide, high, far, height, ranges, chances, longitude = [got.get(key) for key, _ in rules]
        pyramid = got.get("shape") == "pyramid"
        table = got.get("kind") == "table"
        placed = got.get("position_source", "none") != "none"
        broken = (
            pyramid and wide >= 180,
            pyramid and high >= 180,
            far is not None and far <= got["range_min_m"],
            placed and height is None and "height_agl_m" not in got,
            table and (not ranges or list(ranges) != sorted(set(ranges))),
            table and len(chances) != len(ranges),
            "crossing_m" in got and len(longitude) != len(got["latitude_deg"]),
        )
        return rules[broken.index(True)] if True in broken else None

    if not _misfit.__doc__:
        raise ImportError("not with -OO: wire.py reads its docstrings")
    _TABLE += "\n".join(line.strip() for line in (_host_table.__doc__ or "").split("\n")[2:]) + "\n"


def _heading(table):
    # (how, where its rows start) of a heading of the table
    at = _TABLE.find("\n@" + table + " ") + 1
    end = _TABLE.find("\n", at)
    return (_TABLE[at:end].split(" ")[1] if at else "-"), end + 1


def delivery(kind):
    """(retained, QoS) of a kind of message; the frustum of a moving sensor goes with QoS 0 all the same."""
    how = _heading(str(kind))[0]
    if how == "-":
        raise _wrong("kind", kind, "a kind of message")
    return "r" in how, int("1" in how)


def rows(table):
    """The fields of a message or object: (name on the wire, name on the node, unit letter, decimals, lowest,
    highest, flags, the key that spares it by "none" or "", most items or 0).

    Bounds are the scaled integers, both included; for the units e, c and o lowest is the list of words.
    """
    at = _heading(table)[1]
    while True:
        end = _TABLE.find("\n", at)
        line = _TABLE[at:end]
        at = end + 1
        if not line:
            return
        if line[0] == "+":
            yield from rows(line[1:])
            continue
        name, unit, bounds, flags = line.split(" ")
        name, _, many = name.partition("*")
        flags, _, unless = flags.partition("!")
        ending, node_ending, scale, low, high = "", "", "0", bounds.split(","), 0
        if unit not in "eco":
            at_unit = _UNITS.find("\n" + unit) + 3
            ending, node_ending, scale, usual = _UNITS[at_unit : _UNITS.find("\n", at_unit)].split(",")
            least, most = (usual if bounds == "-" else bounds).split(":")
            low = int(least) * 10 ** int(scale)
            high = int(most) * 10 ** int(scale) - (unit == "a")
        yield name + ending, name + node_ending, unit, int(scale), low, high, flags, unless, int(many or 0)


def _decimal(n, decimals):
    text = str(abs(n))
    if decimals:
        text = "0" * (decimals + 1 - len(text)) + text
        text = text[:-decimals] + "." + text[-decimals:]
    return "-" + text if n < 0 else text


def _plain(text, low, high, word):
    if type(text) is not str or not low <= len(text) <= high:
        return False
    for c in text:
        n = ord(c)
        if word and not (48 <= n < 58 or 97 <= n | 32 < 123 or c in "_-"):
            return False
        if n < 32 or n == 127 or 0xD800 <= n < 0xE000:  # control characters; half a surrogate pair
            return False
    return True


def _shown(value):
    # What came, short and in printable ASCII: it may steer a terminal, or be nested deeper than can be written.
    try:
        text = _repr(value[:61] if type(value) in (str, bytes) else value)
    except (ValueError, RuntimeError, MemoryError):
        return "..."
    return text if len(text) < 60 else text[:60] + "..."


def _wrong(where, came, expected):
    came = "nothing" if came is None else _shown(came)
    return WireError("%s: %s came, %s expected" % (where, came, expected))


# Forms of a message: decimals under the wire's names, integers under the node's, and the JSON text of either.
_WIRE = 0
_NODE = 1
_TEXT = 2  # added to one of them


def _value(where, row, value, taken, given):
    unit, decimals, low, high = row[2:6]
    if unit == "o":
        return _object(where + ".", low[0], value, taken, given)
    if unit in "ecwt":
        if unit in "ec":
            if value not in low:
                raise _wrong(where, value, " or ".join(low))
        elif not _plain(value, low, high, unit == "w"):
            allowed = "of A-Za-z0-9_-" if unit == "w" else "printable characters"
            raise _wrong(where, value, "%d to %d %s" % (low, high, allowed))
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if given >= _TEXT else value
    if unit == "b":
        if type(value) is not bool:
            raise _wrong(where, value, "true or false")
        return str(value).lower() if given >= _TEXT else value
    n = value
    if taken == _NODE:
        decimals = 0
    if type(n) is int:
        n *= 10**decimals
    else:
        n = round(n * 10**decimals) if decimals and type(n) is float and -1e12 < n < 1e12 else low - 1
    if not low <= n <= high:
        bounds = _decimal(low, decimals), _decimal(high, decimals)
        raise _wrong(where, value, ("a number " if decimals else "an integer ") + "%s to %s" % bounds)
    if given == _NODE:
        return n
    if given == _WIRE:
        return n / 10 ** row[3] if row[3] else n
    return _decimal(n, 0 if given == _TEXT + _NODE else row[3])


def _object(where, table, source, taken, given):
    if type(source) is not dict:
        raise _wrong(where, source, "an object")
    text = []  # MicroPython's dicts have no order
    out = {}
    known = []
    tables = [table]
    for table in tables:
        for row in rows(table):
            key = row[taken]
            flags, unless, many = row[6:]
            if flags == "P" and taken == _WIRE:
                continue
            known.append(key)
            value = source.get(key)
            if flags == "P" or value is None:
                if "r" in flags or (unless and source.get(unless) != "none"):
                    raise _wrong(where + key, None, "a value")
                continue
            if many:
                if type(value) not in (list, tuple) or len(value) > many:
                    raise _wrong(where + key, value, "a list of at most %d" % many)
                value = [_value("%s%s[%d]" % (where, key, i), row, v, taken, given) for i, v in enumerate(value)]
                if given >= _TEXT:
                    value = "[" + ",".join(value) + "]"
            else:
                value = _value(where + key, row, value, taken, given)
                if row[2] == "c":
                    tables.append(table + "." + source[key])
            key = row[given & 1]
            if given >= _TEXT:
                text.append('"' + key + '":' + value)
            else:
                out[key] = value
    for key in source:
        if key not in known and str(key)[:2] != "x_":
            name = key if _plain(key, 1, 32, True) else _shown(key)
            raise _wrong(where + name, source[key], "no such key")
    if given >= _TEXT:
        return "{" + ",".join(text) + "}"
    misfit = _misfit(out) if given == _WIRE and _misfit else None  # type: ignore[truthy-function]
    if misfit:
        raise _wrong(where + misfit[0], out.get(misfit[0]), misfit[1])
    return out


def _sized(kind, where, payload):
    limit = LIMIT // 4 if kind == "command" else LIMIT
    if len(payload) > limit:
        raise _wrong(where, len(payload), "at most %d bytes" % limit)
    return payload


def encode(kind, fields):
    """The payload [bytes] of a message from scaled integers under the node's names; WireError otherwise."""
    delivery(kind)
    text = _object(kind + ": ", kind, fields, _NODE, _TEXT + (kind == "command"))
    return _sized(kind, kind, text.encode())


def integers(kind, values):
    """The scaled integers, under the node's names, of a report's values: what `encode` and `pack` take."""
    delivery(kind)
    return _object(kind + ": ", kind, values, int(kind == "command"), _NODE)


def decode(topic, payload):
    """The Report in a message; its values are None where an empty retained payload takes the report back.

    Values are in the unit that ends their name; those of a command are integers. Keys that begin with x_ are
    left out. Raises WireError for any other version, size, key, type or bound, and for what is not JSON.
    """
    words = parse_topic(topic)
    kind = words[2]
    if not payload and delivery(kind)[0]:
        return Report(words[0], words[1], kind, words[3], None)
    try:
        values = _read(bytes(_sized(kind, topic, payload)).decode())
    except WireError:
        raise
    except (ValueError, RuntimeError, MemoryError):  # RuntimeError: nested too deep
        raise _wrong(topic, bytes(payload), "JSON") from None
    form = int(kind == "command")
    return Report(words[0], words[1], kind, words[3], _object(topic + ": ", kind, values, form, form))


def topic(wall, node, kind, sensor=None):
    """The topic of a message; WireError for a name that cannot stand in one."""
    text = "dw/%d/%s/%s/%s" % (VERSION, wall, node, kind)
    if sensor is not None:
        text += "/" + sensor
    parse_topic(text)
    return text


def parse_topic(topic):
    """(wall, node, kind, sensor or None) of a topic; WireError where it is none of this version."""
    words = topic.split("/") if type(topic) is str else []
    how = _heading(words[4])[0] if 5 <= len(words) <= 6 else "-"
    host = "h" in how
    if (
        how == "-"
        or words[:2] != ["dw", str(VERSION)]
        or len(words) != 5 + ("s" in how)
        or host != (words[3] == "$host")
        or not all(_plain(words[i], 1, 32, True) for i in range(2, len(words)) if not (host and i == 3))
    ):
        raise _wrong("topic", topic, "dw/%d/wall/node/kind or .../kind/sensor" % VERSION)
    return tuple((words + [None])[2:6])


def packed(kind):
    """([(row, first, base)], bytes): how `pack` renders a kind of message.

    Every packed field is one digit of a number in mixed radix. Its base is how many values it can have; where
    it may be missing that is one more (first is 1), and the digit 0 says so.
    """
    digits = []
    size = 1
    for row in rows(kind):
        flags = row[6]
        if flags in ("p", "P", "rp"):
            first = flags != "rp"
            base = first + (len(row[4]) if row[2] == "e" else row[5] - row[4] + 1)
            size *= base
            digits.append((row, int(first), base))
    length = 1
    while size > 256 ** (length - 1):
        length += 1
    return digits, length


def pack(kind, fields):
    """At most 48 bytes with the packed fields of a state, frustum, detection or health, exactly.

    What the birth says of a sensor (shape, fields of view, ranges), a frustum's `uptime_ms` and `via` are not
    in them: `sensor_index` counts the birth's sensors, and the gateway that unpacks puts them back.
    """
    if kind not in _PACKED:
        raise _wrong("kind", kind, " or ".join(_PACKED))
    if type(fields) is not dict:
        raise _wrong(kind, fields, "an object")
    digits, length = packed(kind)
    number = 0
    for row, first, base in digits:
        value = fields.get(row[1])
        digit = 0
        if value is not None:
            value = _value(kind + ": " + row[1], row, value, _NODE, _NODE)
            digit = first + (row[4].index(value) if row[2] == "e" else value - row[4])
        elif not first or (row[7] and fields.get(row[7]) != "none"):
            raise _wrong(kind + ": " + row[1], None, "a value")
        number = number * base + digit
    return bytes((VERSION << 4 | _PACKED.index(kind),)) + number.to_bytes(length - 1, "big")


def unpack(data):
    """(kind, fields) of packed bytes, the fields as `pack` took them; WireError where they are none."""
    index = data[0] ^ VERSION << 4 if data and type(data) in (bytes, bytearray) else 16
    kind = _PACKED[index] if index < len(_PACKED) else None
    fields = {}
    number = 1
    if kind:
        digits, length = packed(kind)
        if len(data) == length:
            number = int.from_bytes(data[1:], "big")
            for row, first, base in reversed(digits):
                digit = number % base - first
                number //= base
                if digit >= 0:
                    fields[row[1]] = row[4][digit] if row[2] == "e" else digit > 0 if row[2] == "b" else digit + row[4]
    if number:
        raise _wrong("packed", data, "a packed " + " or ".join(_PACKED))
    return kind, fields
