"""The wire: golden messages on both interpreters, every bound, exact round trips, whatever may arrive."""

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from dronewall import asyncapi, wire
from firmware_side import SIDES, answer, board, interpreter

ROOT = Path(__file__).resolve().parents[1]
WIRE = ROOT / "host" / "dronewall" / "wire.py"
GOLDEN = json.loads((ROOT / "tests" / "golden" / "messages.json").read_text(encoding="utf-8"))
REFUSED = json.loads((ROOT / "tests" / "golden" / "refused.json").read_text(encoding="utf-8"))
KINDS = asyncapi.NODE_KINDS + asyncapi.HOST_KINDS
MODELS = tuple(f"model.{word}" for word in next(wire.rows("model"))[4])
OBJECTS = ("sensor", "view", "model", *MODELS, "clock", "answer", "gap")
PACKED = ("state", "frustum", "detection", "health")
NAMED = [pytest.param(golden, id=golden["name"]) for golden in GOLDEN]


def kind_of(golden):
    return wire.parse_topic(golden["topic"])[2]


def topic_of(kind):
    host = kind in asyncapi.HOST_KINDS
    last = kind in ("frustum", "detection", "alert")
    return wire.topic("w", "$host" if host else "n", kind, "s" if last else None)


def golden_fields(kind):
    return dict(next(golden["fields"] for golden in GOLDEN if kind_of(golden) == kind))


def outcome(call, *arguments):
    """(what it returns, None), or (None, the text of its WireError); any other exception is a failure."""
    try:
        return call(*arguments), None
    except wire.WireError as error:
        return None, str(error)


# ---- strategies made from the tables: every integer within its bounds ----


def value_of(row):
    unit, low, high, many = row[2], row[4], row[5], row[8]
    one = {
        "b": lambda: st.booleans(),
        "w": lambda: st.text("abzABZ019_-", min_size=low, max_size=high),
        "t": lambda: st.text(
            st.characters(blacklist_categories=["Cs"], blacklist_characters=[chr(n) for n in [*range(32), 127]]),
            min_size=low,
            max_size=min(high, 40),
        ),
        "e": lambda: st.sampled_from(low),
        "o": lambda: fields_of(low[0]),
    }.get(unit, lambda: st.integers(low, high))()
    return st.lists(one, max_size=many) if many else one


@st.composite
def fields_of(draw, table):
    """Fields that `encode` and `decode` take: each within its bounds, and fitting its neighbours."""
    fields = {}
    tables = [table]
    for name in tables:
        for row in wire.rows(name):
            if row[2] == "c":
                fields[row[1]] = draw(st.sampled_from(row[4]))
                tables.append(f"{name}.{fields[row[1]]}")
            elif row[6] != "P" and ("r" in row[6] or row[7] or draw(st.booleans())):
                fields[row[1]] = draw(value_of(row))
    for row in wire.rows(table):
        # A field may be missing only where the field that spares it says none.
        if row[7] and fields[row[7]] == "none" and draw(st.booleans()):
            del fields[row[1]]
    if "range_max_cm" in fields:
        assume(fields["range_min_cm"] != fields["range_max_cm"])
        fields["range_min_cm"], fields["range_max_cm"] = sorted((fields["range_min_cm"], fields["range_max_cm"]))
    if fields.get("shape") == "pyramid":
        fields["hfov_cdeg"] = min(fields["hfov_cdeg"], 17999)
        fields["vfov_cdeg"] = min(fields["vfov_cdeg"], 17999)
    if table == "frustum" and "height_amsl_cm" not in fields:
        fields["height_agl_cm"] = draw(st.integers(0, 1500000))
    if fields.get("kind") == "table" and table == "model":
        ranges = sorted(draw(st.sets(st.integers(0, 10000000), min_size=1, max_size=16)))
        fields["range_cm"] = ranges
        fields["probability_milli"] = [draw(st.integers(0, 1000)) for _ in ranges]
    if table == "breach":
        size = min(len(fields["latitude_e7"]), len(fields["longitude_e7"]))
        fields["latitude_e7"] = fields["latitude_e7"][:size]
        fields["longitude_e7"] = fields["longitude_e7"][:size]
    return fields


# ---- golden messages ----


@pytest.mark.parametrize("golden", NAMED)
def test_a_golden_message_is_written_and_read_to_the_letter(golden):
    kind = kind_of(golden)
    payload = golden["text"].encode()
    assert wire.encode(kind, golden["fields"]) == payload
    report = wire.decode(golden["topic"], payload)
    assert (report.wall, report.node, report.kind, report.sensor) == wire.parse_topic(golden["topic"])
    assert report.values == golden["values"]
    assert wire.integers(kind, report.values) == golden["fields"]
    if kind == "command":
        assert wire.command(payload) == golden["values"]


def test_every_kind_of_message_has_a_golden_one():
    assert {kind_of(golden) for golden in GOLDEN} == set(KINDS)


@pytest.mark.parametrize("refused", [pytest.param(refused, id=refused["name"]) for refused in REFUSED])
def test_a_refusal_names_topic_key_what_came_and_what_was_expected(refused):
    with pytest.raises(wire.WireError) as error:
        wire.decode(refused["topic"], refused["text"].encode())
    for part in [refused["topic"], "came", "expected", *refused["says"]]:
        assert part in str(error.value)


ON_THE_NODE = """
import wire
words = given["topic"].split("/")
out = [wire.topic(words[2], words[3], words[4], *words[5:]), wire.encode(words[4], given["fields"]).decode()]
if words[4] == "command":
    out.append(wire.command(given["text"].encode()))
if "packed" in given:
    out.append(wire.unpack(bytes(given["packed"])))
    out.append(list(wire.pack(words[4], given["unpacked"])))
"""


@pytest.fixture(params=SIDES[1:])
def node(request):
    """A MicroPython, with 64-bit integers or a board's 32."""
    return interpreter(request.param)


@pytest.mark.parametrize("golden", [named for named in NAMED if not named.values[0].get("host")])
def test_a_node_says_and_reads_the_golden_messages_to_the_letter(node, golden):
    kind = kind_of(golden)
    expected = [golden["topic"], golden["text"]]
    if kind == "command":
        expected.append(golden["values"])
    if kind in PACKED:
        # What CPython packs, MicroPython unpacks, and the other way round.
        data = wire.pack(kind, golden["fields"])
        golden = {**golden, "packed": list(data), "unpacked": wire.unpack(data)[1]}
        expected += [[kind, golden["unpacked"]], golden["packed"]]
    assert answer(node, ON_THE_NODE, golden) == expected


REFUSING = """
import wire
try:
    out = wire.command(given.encode())
except wire.WireError as error:
    out = str(error)
"""


@pytest.mark.parametrize("refused", [refused for refused in REFUSED if refused["topic"].endswith("/command")])
def test_a_command_that_is_none_is_refused_on_the_node_by_its_key(node, refused):
    said = answer(node, REFUSING, refused["text"])
    assert refused["says"][0] in said
    assert "expected" in said


@pytest.mark.parametrize("text", ["", "{", "[" * 400 + "]" * 400, '{"id":"\\u0001"}', "[]", '"' + "x" * 1100 + '"'])
def test_what_is_no_command_is_refused_on_the_node_short_and_in_printable_ascii(node, text):
    said = answer(node, REFUSING, text)
    assert said.isascii()
    assert said.isprintable()
    assert "expected" in said
    assert len(said) < 120


def test_bytes_that_are_no_packed_message_are_refused_on_the_node(node):
    source = """
import wire
out = []
for data in given:
    try:
        out.append(wire.unpack(bytes(data)))
    except wire.WireError as error:
        out.append(str(error)[-9:])
"""
    # nothing; another version; a kind that is none; one byte short; more than the number can be
    cases = [[], [32] * 28, [20] * 28, [18] + [0] * 26, [18] + [255] * 27]
    assert answer(node, source, cases) == [" expected"] * len(cases)


def test_a_node_reads_the_table_beside_it_and_carries_nothing_of_the_host():
    compiled, table = ((board() / name).read_bytes() for name in ("wire.mpy", "wiretable.mpy"))
    assert b"\nlatitude g p!position_source\n" in table
    assert "losses_survived" in wire.TABLE
    for of_the_table_and_of_the_host in (b"position_source", b"losses_survived", b"parse_topic"):
        assert of_the_table_and_of_the_host not in compiled
    assert b"losses_survived" not in table
    assert not list(board().glob("wire*.py"))


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_the_host_refuses_to_run_without_its_half_of_the_wire(option):
    command = [sys.executable, option, "-c", "import dronewall.wire"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50, cwd=ROOT / "host")
    assert ran.returncode == 1
    assert "not with -O" in ran.stderr.splitlines()[-1]


# ---- bounds and round trips ----


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_integer_within_its_bounds_comes_back_exactly(kind, data):
    fields = data.draw(fields_of(kind))
    payload, refusal = outcome(wire.encode, kind, fields)
    if refusal:  # many long texts in one message are too long, and nothing else is wrong with it
        assert "at most 4096 bytes" in refusal
        return
    report = wire.decode(topic_of(kind), payload)
    assert wire.integers(kind, report.values) == fields
    assert wire.encode(kind, wire.integers(kind, report.values)) == payload


@given(st.integers(-900000000, 900000000), st.integers(-1800000000, 1800000000))
def test_a_position_keeps_its_seven_decimals(latitude, longitude):
    fields = {**golden_fields("frustum"), "latitude_e7": latitude, "longitude_e7": longitude}
    text = wire.encode("frustum", fields).decode()
    # By exact fractions of the written digits, no float of ours between.
    for name, integer in (("latitude_deg", latitude), ("longitude_deg", longitude)):
        written = re.search(f'"{name}":(-?[0-9]+\\.[0-9]{{7}}),', text).group(1)
        assert Fraction(written) == Fraction(integer, 10**7)
    values = wire.decode(topic_of("frustum"), text.encode()).values
    assert values["latitude_deg"] == float(Fraction(latitude, 10**7))


def numbers(kind):
    """(row, path into the fields) of every number of a message, those of objects inside it too."""

    def walk(table, path, fields):
        for row in wire.rows(table):
            if row[2] == "o":
                inner = fields.get(row[1])
                steps = [*path, row[1]] + ([0] if row[8] else [])
                yield from walk(row[4][0], steps, inner[0] if row[8] else inner)
            elif row[2] == "c":
                yield from walk(f"{table}.{fields[row[1]]}", path, fields)
            elif row[2] not in "ebwt" and row[6] != "P":
                yield row, [*path, row[1]] + ([0] if row[8] else [])

    yield from walk(kind, [], golden_fields(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_one_beyond_each_bound_is_refused_both_ways(kind):
    command = kind == "command"
    seen = 0
    for row, path in numbers(kind):
        for beyond in (row[4] - 1, row[5] + 1):
            fields = json.loads(json.dumps(golden_fields(kind)))
            place = fields
            for step in path[:-1]:
                place = place.setdefault(step, []) if isinstance(step, str) else place[step]
            if isinstance(path[-1], int):
                place[:1] = [beyond]
            else:
                place[path[-1]] = beyond
            with pytest.raises(wire.WireError, match=row[1]):
                wire.encode(kind, fields)
        # And from the far side: the decimals of one beyond, written by hand into the golden text.
        golden = next(golden for golden in GOLDEN if kind_of(golden) == kind)
        key = row[int(command)]
        if f'"{key}":' not in golden["text"]:
            continue
        for beyond in (row[4] - 1, row[5] + 1):
            scale = 0 if command else row[3]
            sign, digits = "-" * (beyond < 0), str(abs(beyond)).rjust(scale + 1, "0")
            number = sign + (digits[:-scale] + "." + digits[-scale:] if scale else digits)
            bracket = "[" if row[8] else ""
            text = re.sub(
                rf'"{key}":\[?-?[0-9.]+',
                lambda _, to=f'"{key}":{bracket}{number}': to,
                golden["text"],
                count=1,
            )
            assert text != golden["text"]
            with pytest.raises(wire.WireError, match=key):
                wire.decode(golden["topic"], text.encode())
            seen += 1
    assert seen or kind in ("reply",)


@pytest.mark.parametrize("name", MODELS)
def test_one_beyond_each_bound_of_a_model_is_refused_both_ways(name):
    birth, index = next(
        (golden, i)
        for golden in GOLDEN
        for i, sensor in enumerate(golden["fields"].get("sensors", []))
        if sensor["model"]["kind"] == name.partition(".")[2]
    )
    for row in wire.rows(name):
        for beyond in (row[4] - 1, row[5] + 1) if row[2] != "b" else (1, "true"):
            fields, values = (json.loads(json.dumps(birth[form])) for form in ("fields", "values"))
            fields["sensors"][index]["model"][row[1]] = [beyond] if row[8] else beyond
            with pytest.raises(wire.WireError, match=row[1]):
                wire.encode("birth", fields)
            decimal = beyond if row[2] == "b" else beyond / 10 ** row[3] if row[3] else beyond
            values["sensors"][index]["model"][row[0]] = [decimal] if row[8] else decimal
            with pytest.raises(wire.WireError, match=row[0]):
                wire.decode(birth["topic"], json.dumps(values).encode())


def test_the_bounds_are_those_of_the_design():
    bounds = {row[1]: row[4:6] for row in wire.rows("frustum")}
    assert bounds["latitude_e7"] == (-(90 * 10**7), 90 * 10**7)
    assert bounds["longitude_e7"] == (-(180 * 10**7), 180 * 10**7)
    assert bounds["azimuth_cdeg"] == (0, 35999)  # 360 is 0
    assert bounds["elevation_cdeg"] == (-9000, 9000)
    assert bounds["roll_cdeg"] == (-18000, 18000)
    assert bounds["hfov_cdeg"] == (0, 36000)
    assert bounds["vfov_cdeg"] == (0, 18000)
    assert bounds["duty_milli"] == (0, 1000)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"height_agl_m": None}, "height_amsl_m"),
        ({"range_max_m": 5.0}, "range_max_m"),
        ({"hfov_deg": 180.0}, "hfov_deg"),
        ({"latitude_deg": None}, "latitude_deg"),
        ({"azimuth_deg": None}, "azimuth_deg"),
        ({"time_unix_ms": None}, "time_unix_ms"),
    ],
)
def test_fields_that_do_not_fit_each_other_are_refused(change, says):
    golden = next(golden for golden in GOLDEN if golden["name"] == "a post's camera")
    payload = json.dumps({**golden["values"], **change})
    with pytest.raises(wire.WireError, match=says):
        wire.decode(golden["topic"], payload.encode())


@pytest.mark.parametrize("table", [([], []), ([0.0, 1.0], [1.0]), ([1.0, 1.0], [1.0, 0.5]), ([2.0, 1.0], [1.0, 0.5])])
def test_a_table_of_detection_needs_rising_ranges_and_a_probability_for_each(table):
    golden = next(golden for golden in GOLDEN if kind_of(golden) == "birth")
    values = json.loads(json.dumps(golden["values"]))
    values["sensors"][1]["model"].update(range_m=table[0], probability=table[1])
    with pytest.raises(wire.WireError, match=r"sensors\[1\]\.model\.(range_m|probability)"):
        wire.decode(golden["topic"], json.dumps(values).encode())


# ---- packed ----


def packed_fields(kind):
    def one(row):
        value = value_of(row)
        return value if row[6] == "rp" else st.none() | value

    rows = [row for row in wire.rows(kind) if row[6] in ("p", "P", "rp")]

    def complete(fields):
        fields = {name: value for name, value in fields.items() if value is not None}
        return fields if all(row[1] in fields or not row[7] or fields[row[7]] == "none" for row in rows) else None

    return st.fixed_dictionaries({row[1]: one(row) for row in rows}).map(complete).filter(bool)


@pytest.mark.parametrize("kind", PACKED)
@given(data=st.data())
def test_packed_fields_come_back_exactly_in_48_bytes(kind, data):
    fields = data.draw(packed_fields(kind))
    packed = wire.pack(kind, fields)
    assert len(packed) == wire.packed(kind)[1] <= 48
    assert wire.unpack(packed) == (kind, fields)


@pytest.mark.parametrize("end", [4, 5])
def test_the_extremes_of_a_frustum_fit_48_bytes(end):
    rows = [row for row in wire.rows("frustum") if row[6] in ("p", "P", "rp")]
    fields = {
        row[1]: (row[4][0 if end == 4 else -1] if row[2] == "e" else end == 5 if row[2] == "b" else row[end])
        for row in rows
    }
    packed = wire.pack("frustum", fields)
    assert len(packed) == 48
    assert wire.unpack(packed) == ("frustum", fields)


def test_a_packed_state_is_one_number_in_mixed_radix():
    # lost is word 4 of 5; boot 7 and session 3 of 2^20 each; no time is digit 0 of the 2 524 608 000 001
    # milliseconds from 2020 to 2100 and "none". 1 << 4 is the version, 0 the kind.
    number = ((4 * 2**20 + 7) * 2**20 + 3) * (4102444800000 - 1577836800000 + 2)
    assert wire.pack("state", {"state": "lost", "boot": 7, "session": 3}) == b"\x10" + number.to_bytes(11, "big")


def test_a_gateway_completes_a_packed_frustum_from_the_birth():
    golden = next(golden for golden in GOLDEN if golden["name"] == "a post's camera")
    kind, fields = wire.unpack(wire.pack("frustum", {**golden["fields"], "sensor_index": 2}))
    assert fields.pop("sensor_index") == 2
    of_the_birth = ("shape", "hfov_cdeg", "vfov_cdeg", "range_min_cm", "range_max_cm")
    fields.update({name: golden["fields"][name] for name in of_the_birth})
    assert fields == {name: value for name, value in golden["fields"].items() if name != "uptime_ms"}
    assert wire.decode(golden["topic"], wire.encode(kind, fields)).values["latitude_deg"] == 36.5000001


@pytest.mark.parametrize("kind", PACKED)
def test_one_beyond_a_packed_bound_is_refused(kind):
    fields = golden_fields(kind)
    for row in wire.rows(kind):
        if row[6] in ("p", "P", "rp") and row[2] not in "eb":
            for beyond in (row[4] - 1, row[5] + 1):
                with pytest.raises(wire.WireError, match=row[1]):
                    wire.pack(kind, {**fields, row[1]: beyond})


@given(st.binary(max_size=60) | st.sampled_from([48, 12, 28, 28]).flatmap(lambda n: st.binary(min_size=n, max_size=n)))
def test_any_bytes_unpack_to_fields_or_a_wire_error(data):
    message, refusal = outcome(wire.unpack, data)
    if refusal:
        assert "expected" in refusal
    else:
        assert wire.unpack(wire.pack(*message)) == message


# ---- whatever may arrive ----

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", KINDS)
@given(payload=st.binary(max_size=300))
def test_any_payload_is_a_report_or_a_wire_error(kind, payload):
    report, refusal = outcome(wire.decode, topic_of(kind), payload)
    if refusal:
        assert topic_of(kind) in refusal
    else:
        assert (report.values is None) == (not payload)


@pytest.mark.parametrize("golden", NAMED)
@given(data=st.data())
def test_any_value_under_any_key_is_a_report_or_a_wire_error(golden, data):
    values = dict(golden["values"])
    for key in data.draw(st.lists(st.sampled_from([*values, "x_y", "nobody"]), max_size=3)):
        values[key] = data.draw(JSON)
    payload = json.dumps(values).encode()
    report, refusal = outcome(wire.decode, golden["topic"], payload)
    if refusal:
        assert golden["topic"] in refusal
    else:
        assert "x_y" not in report.values
        assert wire.integers(report.kind, report.values)


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 1000,
        b'{"a":' * 170,
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        '{"state":"ready"}'.encode("utf-16"),
        b'{"id":"\\ud800","status":"done"}',
        b'{"id":"a","status":["done"]}',
        b'{"id":"a","status":{}}',
        b"9" * 1000,
        b"-" * 10,
        b"null",
    ],
)
def test_hostile_payloads_are_refused_in_words(payload):
    for kind in ("reply", "command", "state", "frustum"):
        with pytest.raises(wire.WireError):
            wire.decode(topic_of(kind), payload)


@pytest.mark.parametrize("key", ["\x1b[2J\x1b]0;x\x07", "\n", "\x7f", "\u009b31m", "\u202e", "\ud800", "A" * 3900, ""])
def test_a_key_that_is_none_is_told_short_and_in_printable_ascii(key):
    values = {"state": "ready", "boot": 1, "session": 1, key: 1}
    with pytest.raises(wire.WireError, match="no such key") as error:
        wire.decode("dw/1/w/n/state", json.dumps(values).encode())
    assert str(error.value).isascii()
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 150


@pytest.mark.parametrize(
    "value", ["\u202e" * 100, "\ud800", pytest.param(10**5000, id="digits"), [[]], b"\x1b" * 1000, {"\x1b": 1}]
)
def test_a_value_that_is_none_is_told_short_and_in_printable_ascii(value):
    nested = value
    for _ in range(3000):  # deeper than repr goes
        nested = [nested]
    for wrong in (value, nested):
        with pytest.raises(wire.WireError, match="expected") as error:
            wire.encode("state", {"state": wrong, "boot": 1, "session": 1})
        assert str(error.value).isascii()
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 200


@pytest.mark.parametrize("wrong", [None, 5, "abc", [1, 2], b"x", {}])
def test_what_is_of_another_type_is_a_wire_error_too(wrong):
    calls = [(wire.encode, wrong, {}), (wire.delivery, wrong)]
    if not isinstance(wrong, dict):
        calls += [(wire.encode, "state", wrong), (wire.pack, "state", wrong), (wire.integers, "state", wrong)]
    calls += [(wire.unpack, wrong), (wire.parse_topic, wrong), (wire.pack, wrong, {})]
    calls += [(wire.encode, "state", {"state": "ready", "boot": 1, "session": 1, None: 1, 5: 2})]
    for call, *arguments in calls:
        with pytest.raises(wire.WireError, match="expected"):
            call(*arguments)


def test_of_a_key_that_comes_twice_the_last_counts():
    report = wire.decode("dw/1/w/n/state", b'{"state":"init","boot":1,"session":1,"state":"ready"}')
    assert report.values["state"] == "ready"
    with pytest.raises(wire.WireError, match="boot"):
        wire.decode("dw/1/w/n/state", b'{"state":"init","boot":1,"session":1,"boot":-1}')


def test_keys_that_begin_with_x_are_left_out():
    report = wire.decode("dw/1/w/n/state", b'{"state":"init","boot":1,"session":1,"x_note":{"a":[1]}}')
    assert report.values == {"state": "init", "boot": 1, "session": 1}


@pytest.mark.parametrize(("kind", "limit"), [("state", 4096), ("command", 1024)])
def test_a_payload_counts_up_to_its_limit_and_no_further(kind, limit):
    golden = next(golden for golden in GOLDEN if kind_of(golden) == kind)
    payload = golden["text"].encode()
    full = payload + b" " * (limit - len(payload))
    assert wire.decode(golden["topic"], full).values == golden["values"]
    with pytest.raises(wire.WireError, match=f"{limit + 1} came, at most {limit} bytes"):
        wire.decode(golden["topic"], full + b" ")


def test_the_fullest_list_of_gaps_is_within_the_limit():
    long = "x" * 32
    gap = {
        row[1]: row[4][-1] if row[2] == "e" else long if row[2] == "w" else False if row[2] == "b" else row[5]
        for row in wire.rows("gap")
    }
    gap["posts"] = [long] * 4
    fields = {**golden_fields("gaps"), "version": "1" * 32, "gaps": [gap] * 8}
    assert len(wire.encode("gaps", fields)) <= 4096


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_retained_payload_takes_the_report_back(kind):
    retained, qos = wire.delivery(kind)
    assert qos in (0, 1)
    if retained:
        assert wire.decode(topic_of(kind), b"").values is None
    else:
        with pytest.raises(wire.WireError, match="JSON expected"):
            wire.decode(topic_of(kind), b"")


def test_what_is_retained_and_how_surely_it_is_delivered_is_as_designed():
    assert {kind: wire.delivery(kind) for kind in asyncapi.NODE_KINDS} == {
        "state": (True, 1),
        "birth": (True, 1),
        "frustum": (True, 1),
        "detection": (False, 1),
        "health": (True, 0),
        "command": (False, 1),
        "reply": (False, 1),
    }
    assert all(wire.delivery(kind)[0] for kind in ("status", "gaps", "breach", "resilience"))


# ---- topics ----


def test_a_topic_is_what_it_was_made_of():
    assert wire.topic("jacksboro", "P4", "frustum", "cam") == "dw/1/jacksboro/P4/frustum/cam"
    assert wire.topic("jacksboro", "$host", "gaps") == "dw/1/jacksboro/$host/gaps"
    assert wire.parse_topic("dw/1/jacksboro/P4/frustum/cam") == ("jacksboro", "P4", "frustum", "cam")
    assert wire.parse_topic("dw/1/jacksboro/P4/state") == ("jacksboro", "P4", "state", None)
    assert wire.parse_topic("dw/1/w/$host/alert/gap-17") == ("w", "$host", "alert", "gap-17")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "dw",
        "dw/1/w/n",
        "dw/2/w/n/state",
        "DW/1/w/n/state",
        "dw/1/w/n/State",
        "dw/1/w/n/state/cam",
        "dw/1/w/n/frustum",
        "dw/1/w/n/frustum/cam/x",
        "dw/1/w/n/frustum/",
        "dw/1//n/state",
        "dw/1/w//state",
        "dw/1/$host/n/state",
        "dw/1/w/$host/state",
        "dw/1/w/$host/frustum/cam",
        "dw/1/w/n/gaps",
        "dw/1/w/n/alert/a",
        "dw/1/w/n/sensor",
        "dw/1/w/n/model.camera",
        "dw/1/w/n/view",
        "dw/1/w/$host/answer",
        "dw/1/w/n/state r1\nstate",
        "dw/1/w/n/",
        "dw/1/w/+/state",
        "dw/1/w/#/state",
        "dw/1/w/n\u00e9/state",
        "dw/1/w/" + "n" * 33 + "/state",
        "/dw/1/w/n/state",
    ],
)
def test_a_topic_of_another_shape_is_refused(topic):
    with pytest.raises(wire.WireError, match="expected"):
        wire.parse_topic(topic)


@given(st.text(max_size=40) | st.lists(st.sampled_from(["dw", "1", "$host", "n", "alert", "state", ""])).map("/".join))
def test_any_topic_is_parsed_or_refused(text):
    try:
        wall, node, kind, sensor = wire.parse_topic(text)
    except wire.WireError:
        return
    assert wire.topic(wall, node, kind, sensor) == text


@pytest.mark.parametrize("name", ["a/b", "+", "#", "", "a b", "x" * 33, "\u00e9", None])
def test_a_name_that_cannot_stand_in_a_topic_is_refused(name):
    with pytest.raises(wire.WireError):
        wire.topic("w", "n", "frustum", name)
    if name is not None:
        with pytest.raises(wire.WireError):
            wire.topic(name, "n", "state")


@pytest.mark.parametrize("kind", ["sensor", "view", "", "nothing", "model.camera"])
def test_what_is_no_message_is_neither_written_nor_read(kind):
    for write in (wire.encode, wire.integers, wire.pack):
        with pytest.raises(wire.WireError, match="kind"):
            write(kind, {})


# ---- the description ----


def test_every_field_has_a_meaning_and_every_meaning_a_field():
    used = set()
    for table in (
        *KINDS,
        *OBJECTS,
        *("command." + word for word in ("look", "period", "sleep", "identify", "reboot", "config", "update")),
    ):
        for row in wire.rows(table):
            if row[6] == "P":
                continue
            name = row[int(table.startswith("command"))]
            assert asyncapi.meaning(table, name).endswith(".")
            kind = table.split(".")[0]
            used.add(next(key for key in (f"{table}.{name}", f"{kind}.{name}", name) if key in asyncapi.MEANINGS))
    assert used == set(asyncapi.MEANINGS)


def test_the_description_is_read_back_as_it_was_meant_by_a_yaml_reader():
    assert yaml.safe_load(asyncapi.asyncapi_yaml()) == asyncapi.asyncapi()


def test_the_description_on_file_is_current_and_valid():
    command = [sys.executable, str(ROOT / "tools" / "check_asyncapi.py")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (ran.returncode, ran.stdout) == (0, "docs/asyncapi.yaml and the golden messages: valid\n"), ran.stdout


def test_the_schema_of_asyncapi_refuses_what_is_not_asyncapi():
    import jsonschema

    authority = json.loads((ROOT / "tools" / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))
    check = jsonschema.Draft7Validator(authority).is_valid
    assert check(asyncapi.asyncapi())
    for path, wrong in [
        (("asyncapi",), "2.6.0"),
        (("channels", "state", "adress"), "x"),
        (("operations", "send_gaps", "action"), "publish"),
        (("operations", "send_gaps", "bindings", "mqtt", "qos"), 3),
        (("components", "schemas", "state", "type"), "thing"),
    ]:
        document = asyncapi.asyncapi()
        place = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = wrong
        assert not check(document), path
