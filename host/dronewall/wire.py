"""What travels between nodes and host: every topic, every field, its unit, its bounds, its bytes.

This file alone knows the spelling of a topic and the layout of a message. The host imports it and the same
file is flashed to the nodes, so it runs on CPython and MicroPython: no typing, enum, match, dataclasses. On
the node every number is a scaled integer (1e-7 degree, centidegree, centimetre: `latitude_e7`,
`azimuth_cdeg`, `range_max_cm`), and text is made from it with integer arithmetic: the boards' floats have 32
bits, 0.4 m at 47 degrees. Towards the host the JSON has decimals in degrees and metres (`latitude_deg`);
towards the node (`command`) it has the integers themselves, under the integers' names.

A node must not carry in its memory what it never says: what stands under `if __debug__` is the host's, and
the nodes' compiler (mpy-cross -O2) leaves it out. There `TABLE`, too, is empty: `firmware_files.built` makes a
module of its own of it, wiretable, which is read from the flash when a message is made and forgotten when it is.
A node has `encode`, `command`, `topic`, `delivery`, `rows`, `pack` and `unpack`; its refusals are shorter.

`rows` gives the tables to whoever writes documentation; the meanings of the fields stand in `asyncapi.py`.
tests/test_firmware_memory.py holds the loaded size.
"""

import json

if __debug__:
    from collections import namedtuple

    def const(value):
        """MicroPython's compiler knows it; elsewhere it is the value."""
        return value

    Report = namedtuple("Report", ("wall", "node", "kind", "sensor", "values"))

    class WireError(ValueError):
        """A message or topic that is not of this protocol: where, which key, what came, what was expected."""
else:
    WireError = ValueError  # type: ignore[misc,assignment]

_VERSION = const(1)
_LIMIT = const(4096)  # bytes of a payload; a quarter of it towards the node

# First the units, one a row: letter, what it adds to a name on the wire and on the node, decimals, bounds where
# a row has none.
# Then the messages. A heading is "@kind how": r retained, 0 or 1 the QoS, s with a sensor (or id) as the last
# part of the topic, h from $host. Other headings (-) name objects inside messages; "+name" takes over the rows
# of another.
# A row is "name unit flags bounds", of which what is - at the end may be left out:
#   name    without the unit's ending; *n: a list of at most n
#   unit    a letter of the units (a: an azimuth, its upper bound excluded; u: 2020 to 2100, before it no clock
#           was set; b: true or false; w: a name of [A-Za-z0-9_-]; t: printable text), or e: one of the words
#           in its bounds; c: the same, and the rows under @heading.word follow; o: an object, its bounds name
#           it
#   flags   r required, p also packed, P packed only, - none; !key: required unless that key says "none"
#   bounds  least:most, both included, in the wire's unit (for w, t: lengths); - the unit's own
TABLE = """
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

@state r1
state e rp init,ready,sleeping,disconnected,lost
boot j rp
session j rp
time u p
via w

@birth r1
firmware t r
board t r
boot j r
session j r
period_s i r 1:86400
version k
mode e - normal,safe
sensors*8 o r sensor
via w

@sensor -
name w r
driver w r
+view
model o r model

@view -
shape e r pyramid,sector
hfov d r 0:360
vfov d r
range_min m r
range_max m r

@model -
kind c r camera,thermal,radar,acoustic,pir,table
glimpse s r 0:3600

@johnson -
pixels i r 1:100000
n50 n r

@model.camera -
+johnson
illuminated m

@model.thermal -
+johnson
netd K r

@model.radar -
reference m r
reference_snr B
false_alarm q r
pulses i r 1:100
fluctuating b r
speed_min v r 0:100

@model.acoustic -
frequency_hz i r
threshold B r
sigma B r
self_noise B r

@model.pir -
reference m r
zones i r 1:1000

@model.table -
range*16 m r
probability*16 p r
moving_only b

@frustum r1s
sensor_index i P 0:15
latitude g p!position_source
longitude g p!position_source -180:180
height_amsl m p -500:15000
height_agl m p 0:15000
position_sigma m p!position_source 0:655
height_sigma m p!position_source 0:655
azimuth a p!azimuth_source
elevation d rp -90:90
roll d rp -180:180
azimuth_sigma d p!azimuth_source
tilt_sigma d rp 0:90
+view
position_source e rp survey,gnss,none
azimuth_source e rp survey,compass,none
awake e rp always,event,duty
duty p rp
valid_s i rp 1:86400
boot j rp
+clock
uptime_ms i - 0:1000000000000
suspect b p
velocity_east v p
velocity_north v p
velocity_up v p
via w

@clock -
clock e rp none,provisioned,rtc,ntp,gnss
time u p!clock
seq k rp

@detection 1s
sensor_index i P 0:15
+clock
uptime_ms i p 0:1000000000000
boot j p
azimuth a rp
elevation d rp -90:90
azimuth_sigma d p
range m p
confidence p rp
class e rp unknown,person,animal,vehicle,boat,drone,aircraft
via w

@health r0
uptime_ms i rp 0:1000000000000
time u p
boot j p
battery V p
rssi_dbm i p -200:20
temperature C p
heap_free_bytes k p
resets j p
queue_drops k p
awake p
reset e - power,pin,watchdog,sleep,soft,brownout
via w

@command 1
id w r
expires u r
command c r look,period,sleep,identify,reboot,config,update

@command.look -
sensor w r
azimuth a r
elevation d r -90:90

@command.period -
period_s i r 1:86400

@command.sleep -
sleep_s i r 1:604800

@command.identify -
identify_s i r 1:3600

@command.reboot -

@command.config -
patch t r 2:700

@command.update -
offset k r
data t r 4:684

@reply 1
id w r
status e r done,refused,expired,failed
reason t - 1:200
next_offset k
time u
via w

"""
_PACKED = ("state", "frustum", "detection", "health")
# Forms of a message: decimals under the wire's names, integers under the node's, and the JSON text of either.
_WIRE = const(0)
_NODE = const(1)
_TEXT = const(2)  # added to one of them

if __debug__:
    VERSION = _VERSION
    LIMIT = _LIMIT
    # What only the host says.
    TABLE += """@status r1h
state e r init,ready,disconnected,lost
time u r
version t r
posts i r
sensors_planned i r
sensors_heard i r
sensors_stale i r
refused k r

@answer -
time u r
version t r
digest w r 64:64
source e r plan,live
level e r reported,expected,assured

@gaps r1h
+answer
covered_share p r
unknown_share p r
count i r
gaps*8 o r gap

@gap -
id w r 1:64
kind e r line,lane,breach
target w r
start m r 0:1000000
end m r 0:1000000
probability_least p r
probability_mean p r
threshold p r
unknown_share p r
probability_before p
warning s
flank b r
below_resolution b r
posts*4 w r

@breach r1h
+answer
target w r
probability p r
probability_before p
warning s
crossing m r 0:1000000
latitude*32 g r
longitude*32 g r -180:180

@resilience r1h
+answer
target w r
losses_survived i r
exact b r
nodes*16 w r

@alert 1hs
time u r
kind e r detection,gap,breach,node,suspect
severity e r info,warning,critical
text t r 1:200
node w
sensor w
target w
chainage m - 0:1000000

"""

    def _decimal(n, decimals):
        one = 10**decimals
        return "%s%d.%0*d" % ("-"[n >= 0 :], abs(n) // one, decimals, abs(n) % one)

    def _refused(name):
        raise ValueError(name)

    def _loads(text):
        return json.loads(text, parse_constant=_refused)

    def _misfit(got):
        """The (key, expectation) of the first rule between fields that an object breaks, or None."""
        ranges, chances = got.get("range_m"), got.get("probability")
        pyramid = got.get("shape") == "pyramid"
        table = got.get("kind") == "table"
        placed = got.get("position_source", "none") != "none"
        for key, expected, broken in (
            ("hfov_deg", "under 180 for a pyramid", pyramid and got["hfov_deg"] >= 180),
            ("vfov_deg", "under 180 for a pyramid", pyramid and got["vfov_deg"] >= 180),
            ("range_max_m", "more than range_min_m", got.get("range_max_m", 1e9) <= got.get("range_min_m", 0)),
            (
                "height_amsl_m",
                "it or height_agl_m",
                placed and "height_amsl_m" not in got and "height_agl_m" not in got,
            ),
            ("range_m", "rising values", table and (not ranges or list(ranges) != sorted(set(ranges)))),
            ("probability", "one for each range_m", table and len(chances) != len(ranges)),
            (
                "longitude_deg",
                "one for each latitude_deg",
                "crossing_m" in got and len(got["longitude_deg"]) != len(got["latitude_deg"]),
            ),
        ):
            if broken:
                return key, expected
        return None

    def _plain(text, low=1, high=32, word=True):
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
            text = ascii(value[:61] if type(value) in (str, bytes) else value)
        except (ValueError, RuntimeError, MemoryError):
            return "..."
        return text if len(text) < 60 else text[:60] + "..."

    def _expected(row, decimals):
        unit, low, high = row[2], row[4], row[5]
        if unit in "ec":
            return " or ".join(low)
        if unit in "wt":
            return "%d to %d %s" % (low, high, "of A-Za-z0-9_-" if unit == "w" else "printable characters")
        if unit == "b":
            return "true or false"
        if not decimals:
            return "an integer %d to %d" % (low, high)
        return "a number %s to %s" % (_decimal(low, decimals), _decimal(high, decimals))


_KEPT = TABLE


def _start(table):
    # Where a part of the table begins: its heading, and its rows behind it, a line each, until an empty one.
    global TABLE
    if not __debug__ and not TABLE:
        import sys

        from wiretable import TABLE  # type: ignore[import-not-found,no-redef,unused-ignore]

        del sys.modules["wiretable"]
    return TABLE.index("\n@" + table + " ") + 2


def _line(start):
    return TABLE[start : TABLE.index("\n", start)]


def delivery(kind):
    """(retained, QoS) of a kind of message; the frustum of a moving sensor goes with QoS 0 all the same."""
    if __debug__ and _how(kind) == "-":
        _wrong("kind", kind, "a kind of message")
    how = _line(_start(kind)).split(" ")[1]
    return "r" in how, int("1" in how)


def rows(table):
    """The fields of a message or object: (name on the wire, name on the node, unit letter, decimals, lowest,
    highest, flags, the key that spares it by "none" or "", most items or 0).

    Bounds are the scaled integers, both included; for the units e, c and o lowest is the list of words.
    """
    at = _start(table)
    while True:
        at = TABLE.index("\n", at) + 1
        line = _line(at)
        if not line:
            return
        if line[0] == "+":
            yield from rows(line[1:])
            continue
        name, unit, flags, bounds = (line + " - -").split(" ")[:4]
        name, _, many = name.partition("*")
        flags, _, unless = flags.partition("!")
        ending = node_ending = ""
        scale, low, high = 0, bounds.split(","), 0
        if unit not in "eco":
            start = TABLE.index("\n" + unit + ",") + 3
            ending, node_ending, digits, usual = _line(start).split(",")
            least, _, most = (usual if bounds == "-" else bounds).partition(":")
            scale = int(digits)
            low = int(least) * 10**scale
            high = int(most) * 10**scale - (unit == "a")
        yield name + ending, name + node_ending, unit, scale, low, high, flags, unless, int(many or 0)


def _wrong(where, came, expected):
    if __debug__:
        came = "nothing" if came is None else _shown(came)
    else:
        # An object or list may be nested deeper than can be shown.
        came = repr(type(came) if type(came) in (dict, list) else came)[:60]
    raise WireError("%s: %s came, %s expected" % (where, came, expected)) from None


def _value(where, row, value, taken, given):
    unit, decimals, low, high = row[2:6]
    if unit == "o":
        return _object(where + ".", low[0], value, taken, given)
    n = value
    if unit in "ec":
        good = value in low
    elif unit in "wt":
        if __debug__:
            good = _plain(value, low, high, unit == "w")
        else:
            good = type(value) is str and low <= len(value) <= high
            for c in value if good else "":
                code = ord(c)
                # MicroPython has no isalnum
                if (
                    code < 32
                    or code == 127
                    or (unit == "w" and not (c.isdigit() or 97 <= code | 32 < 123 or c in "_-"))
                ):
                    good = False
    elif unit == "b":
        good = type(value) is bool
    else:
        if __debug__:
            if taken == _WIRE and type(n) is int:
                n *= 10**decimals
            elif taken == _WIRE and type(n) is float and decimals and -1e12 < n < 1e12:
                n = round(n * 10**decimals)
        good = type(n) is int and low <= n <= high
    if not good:
        if __debug__:
            _wrong(where, value, _expected(row, 0 if taken == _NODE else decimals))
        _wrong(where, value, row[4:6])
    if __debug__ and given == _WIRE:
        return n / 10**decimals if decimals else n
    if given < _TEXT:
        return n
    if decimals and given == _TEXT:
        one = 10**decimals
        return "%s%d.%0*d" % ("-"[n >= 0 :], abs(n) // one, decimals, abs(n) % one)
    if __debug__:
        return json.dumps(n, ensure_ascii=False)
    return json.dumps(n)


def _object(where, table, source, taken, given):
    if type(source) is not dict:
        _wrong(where, source, "an object")
    text = bytearray()  # grows where it lies: a list of pieces takes three times the memory
    out = {}
    found = 0  # of the keys of `source`
    tables = [table]
    for table in tables:
        for row in rows(table):
            key = row[taken]
            flags, unless, many = row[6:]
            if __debug__ and flags == "P" and taken == _WIRE:
                continue
            value = source.get(key)
            found += key in source
            if flags == "P" or value is None:
                if "r" in flags or (unless and source.get(unless) != "none"):
                    _wrong(where + key, None, "a value")
                continue
            if many:
                if type(value) not in (list, tuple) or len(value) > many:
                    _wrong(where + key, value, "a list of at most %d" % many if __debug__ else "a list")
                value = [_value("%s%s[%d]" % (where, key, i), row, v, taken, given) for i, v in enumerate(value)]
                if given >= _TEXT:
                    value = "[" + ",".join(value) + "]"
            else:
                value = _value(where + key, row, value, taken, given)
                if row[2] == "c":
                    tables.append(table + "." + source[key])
            key = row[given & 1]
            if given >= _TEXT:
                text += (',"%s":%s' % (key, value)).encode()
            else:
                out[key] = value
    if found < len(source):
        known = [row[taken] for table in tables for row in rows(table) if row[6] != "P" or taken != _WIRE]
        for key in source:
            if key not in known and str(key)[:2] != "x_":
                if __debug__:
                    _wrong(where + (key if _plain(key) else _shown(key)), source[key], "no such key")
                _wrong(where, key, "no such key")
    if given >= _TEXT:
        return "{" + text.decode()[1:] + "}"
    if __debug__:
        misfit = _misfit(out) if given == _WIRE else None
        if misfit:
            _wrong(where + misfit[0], out.get(misfit[0]), misfit[1])
    return out


def _sized(kind, where, payload):
    limit = _LIMIT // 4 if kind == "command" else _LIMIT
    if len(payload) > limit:
        _wrong(where, len(payload), "at most %d bytes" % limit)


def encode(kind, fields):
    """The payload [bytes] of a message from scaled integers under the node's names; WireError otherwise."""
    if __debug__:
        delivery(kind)
    global TABLE
    payload = _object(kind + ": ", kind, fields, _NODE, _TEXT + (kind == "command")).encode()
    TABLE = _KEPT
    _sized(kind, kind, payload)
    return payload


def command(payload):
    """The values of a command, integers under the node's names; WireError where the payload is none."""
    global TABLE
    _sized("command", "command", payload)
    try:
        values = json.loads(payload)
    except (ValueError, RuntimeError, MemoryError):
        _wrong("command", payload[:60], "JSON")
    values = _object("command: ", "command", values, _NODE, _NODE)
    TABLE = _KEPT
    return values


if __debug__:

    def _how(kind):
        # The second word of a heading, "-" for what is no kind of message.
        return _line(_start(kind)).split(" ")[1] if _plain(kind) and "\n@" + kind + " " in TABLE else "-"

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
        form = int(kind == "command")
        _sized(kind, topic, payload)
        try:
            text = bytes(payload).decode()
            values = _loads(text)
        except (ValueError, RuntimeError, MemoryError):  # RuntimeError: nested too deep
            _wrong(topic, bytes(payload), "JSON")
        return Report(words[0], words[1], kind, words[3], _object(topic + ": ", kind, values, form, form))

    def parse_topic(topic):
        """(wall, node, kind, sensor or None) of a topic; WireError where it is none of this version."""
        words = topic.split("/") if type(topic) is str else []
        how = _how(words[4]) if 5 <= len(words) <= 6 else "-"
        host = "h" in how
        if (
            how == "-"
            or words[:2] != ["dw", str(VERSION)]
            or len(words) != 5 + ("s" in how)
            or host != (words[3] == "$host")
            or not all(_plain(words[i]) for i in range(2, len(words)) if not (host and i == 3))
        ):
            _wrong("topic", topic, "dw/%d/wall/node/kind or .../kind/sensor" % VERSION)
        return tuple((words + [None])[2:6])


def topic(wall, node, kind, sensor=None):
    """The topic of a message; WireError for a name that cannot stand in one."""
    text = "dw/%d/%s/%s/%s" % (_VERSION, wall, node, kind)
    if sensor is not None:
        text += "/" + sensor
    if __debug__:
        parse_topic(text)
    return text


def packed(kind):
    """([(row, first, base)], bytes): how `pack` renders a kind of message.

    Every packed field is one digit of a number in mixed radix. Its base is how many values it can have; where
    it may be missing that is one more (first is 1), and the digit 0 says so.
    """
    global TABLE
    digits = []
    size = length = 1
    for row in rows(kind):
        flags = row[6]
        if "p" in flags.lower():
            first = int(flags != "rp")
            base = first + (len(row[4]) if row[2] == "e" else row[5] - row[4] + 1)
            size *= base
            digits.append((row, first, base))
    TABLE = _KEPT
    while size > 256 ** (length - 1):
        length += 1
    return digits, length


def pack(kind, fields):
    """At most 48 bytes with the packed fields of a state, frustum, detection or health, exactly.

    What the birth says of a sensor (shape, fields of view, ranges), a frustum's `uptime_ms` and `via` are not
    in them: `sensor_index` counts the birth's sensors, and the gateway that unpacks puts them back.
    """
    if __debug__:
        if kind not in _PACKED:
            _wrong("kind", kind, " or ".join(_PACKED))
        if type(fields) is not dict:
            _wrong(kind, fields, "an object")
    digits, length = packed(kind)
    number = 0
    for row, first, base in digits:
        value = fields.get(row[1])
        digit = 0
        if value is not None:
            value = _value(kind + ": " + row[1], row, value, _NODE, _NODE)
            digit = first + (row[4].index(value) if row[2] == "e" else value - row[4])
        elif not first or (row[7] and fields.get(row[7]) != "none"):
            _wrong(kind + ": " + row[1], None, "a value")
        number = number * base + digit
    return bytes((_VERSION << 4 | _PACKED.index(kind),)) + number.to_bytes(length - 1, "big")


def unpack(data):
    """(kind, fields) of packed bytes, the fields as `pack` took them; WireError where they are none."""
    if __debug__ and type(data) not in (bytes, bytearray):
        _wrong("packed", data, "a message")
    index = data[0] ^ _VERSION << 4 if data else 16
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
        _wrong("packed", data, "a message")
    return kind, fields
