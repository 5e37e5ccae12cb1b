"""firmware/link.py and what it stands on: the queue that outlives a reset, Wi-Fi, the time server, TLS."""

import base64
import contextlib
import getpass
import hashlib
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest

from firmware_side import answer, interpreter
from test_firmware_config import NODE, PRESENCE
from test_firmware_mqtt import PRELUDE, Listener, Peer, end, run, start_mosquitto
from test_firmware_node import Host, Node, broker_that_can_die, looking  # noqa: F401


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


# The RTC memory of a board, as long as `rtc` is loaded anew: a reset.
RTC = """
class Machine:
    kept = b""
    class RTC:
        def memory(self, data=None):
            if data is None:
                return Machine.kept
            Machine.kept = bytes(data)
sys.modules["machine"] = Machine
said = []
import log
log.log = lambda source, text: said.append(text)
import rtc, outbox, wire
def reset():
    rtc._memory = None
    del said[:]
def detection(seq, **more):
    fields = {"sensor_index": 0, "uptime_ms": 5, "clock": "none", "boot": 7, "seq": seq, "azimuth_cdeg": 100 * seq,
        "elevation_cdeg": -5, "confidence_milli": 800, "class": "unknown"}
    fields.update(more)
    return fields
def drained(box):
    seqs = []
    while box.count:
        number, packed = box.oldest()
        fields = wire.unpack(packed)[1]
        seqs.append([fields["boot"], fields["seq"], fields.get("time_unix_ms")])
        box.sent(number)
    return seqs
out = []
"""


def test_over_40_detections_fit_and_a_full_queue_drops_its_oldest(side):
    source = """
box = outbox.Outbox("w/n/near", outbox.MOST)
for seq in range(outbox.MOST + 2):
    box.append(detection(seq))
out = [outbox.MOST, box.drops, [row[1] for row in drained(box)], box.count]
"""
    most, drops, seqs, count = answer(side, RTC + source)
    assert most == (1920 - 4 - 12) // 28 == 68  # the section, its CRC, its head, a detection
    assert (drops, seqs, count) == (2, list(range(2, most + 2)), 0)


def test_what_waits_outlives_a_reset_with_its_boot_its_number_and_its_time(side):
    source = """
box = outbox.Outbox("w/n/near", 5)
for seq in range(1, 8):
    box.append(detection(seq, time_unix_ms=1800000000000 + seq, clock="gnss"))
box.sent(box.oldest()[0])
reset()
box = outbox.Outbox("w/n/near", 5)
box.append(detection(1, boot=8))
out = [box.count, box.drops, said[:], drained(box)]
reset()
out.append(outbox.Outbox("w/n/near", 5).count)
"""
    count, drops, said, rows, empty = answer(side, RTC + source)
    assert rows == [[7, seq, 1800000000000 + seq] for seq in (4, 5, 6, 7)] + [[8, 1, None]]
    assert (count, drops, said, empty) == (5, 0, ["4 of a former boot"], 0)


def test_a_queue_of_other_sensors_or_an_unreadable_one_is_told_and_counted(side):
    source = """
def filled():
    Machine.kept = b""
    reset()
    box = outbox.Outbox("w/n/near", 5)
    for seq in range(3):
        box.append(detection(seq))
    reset()
filled()
box = outbox.Outbox("w/n/far", 5)
out.append([box.count, box.drops, said[:]])
filled()
box = outbox.Outbox("w/n/near", 2)
out.append([box.count, box.drops, [row[1] for row in drained(box)]])
for at in (128, 132, 140, 300):  # CRC, head, first record, another one
    filled()
    torn = bytearray(Machine.kept)
    torn[at] ^= 1
    Machine.kept = bytes(torn)
    box = outbox.Outbox("w/n/near", 5)
    out.append([box.count, box.drops, said[:]])
Machine.kept = b""
reset()
box = outbox.Outbox("w/n/near", 5)
out.append([box.count, box.drops, said[:]])
"""
    other, fewer, *torn, blank = answer(side, RTC + source)
    assert other == [0, 3, ["3 lost, of another configuration"]]
    assert fewer == [2, 1, [1, 2]]
    assert torn == [[0, 1, ["1 lost, unreadable"]]] * 4
    assert blank == [0, 0, []]


def test_a_detection_that_was_dropped_while_it_was_sent_was_not_lost(side):
    source = """
box = outbox.Outbox("w/n/near", 2)
box.append(detection(1))
box.append(detection(2))
number, packed = box.oldest()
box.append(detection(3))
before = box.drops
box.sent(number)
out = [before, box.drops, [row[1] for row in drained(box)]]
"""
    assert answer(side, RTC + source) == [1, 0, [2, 3]]


def test_the_sections_of_the_rtc_memory_do_not_know_each_other(side):
    source = """
box = outbox.Outbox("w/n/near", 5)
box.append(detection(1))
out = [rtc.read(0, 128)]
rtc.write(0, 128, bytes(range(122)))
reset()
out += [list(rtc.read(0, 128)) == list(range(122)), outbox.Outbox("w/n/near", 5).count, len(Machine.kept)]
rtc.write(0, 128, b"short")
out.append(rtc.read(0, 128).decode())
Machine.kept = Machine.kept[:5] + b"?" + Machine.kept[6:]
reset()
out.append(rtc.read(0, 128))
try:
    rtc.write(0, 128, bytes(123))
except ValueError as error:
    out.append(str(error))
"""
    said = answer(side, RTC + source)
    assert said == [None, True, 1, 2048, "short", None, "rtc: 123 bytes, at most 122 expected"]


def test_the_default_and_the_most_of_the_configuration_are_what_fits():
    source = RTC + "import types\n" + "import config\nout = [outbox.MOST]\nsettings = config.settings(given)\n"
    source += "out.append(settings.detections)\n"
    told = {key: value for key, value in NODE.items() if key != "detections"}
    assert answer(interpreter("cpython"), source, told) == [68, 68]


LINK = (
    RTC
    + """
import json
class Sensor:
    def __init__(self, name):
        self.name = name
class Config:
    wall, node, detections, moving, wifi, ntp, tls = "w", "n", 3, False, [], None, None
    sensors = [Sensor("far"), Sensor("near")]
from link import Link
link = Link(Config, 1, None, None)
"""
)


def test_a_message_that_the_wire_cannot_say_is_counted_and_nothing_more(micropython):
    source = """
link.detection("near", detection(1, confidence_milli=1001))
link.frustum("near", {})
link.reply({"id": "a", "status": "failed", "reason": "\\n"})
link.health({"uptime_ms": -1})
out = [link.drops, link.outbox.count, len(link._frusta), len(link._replies), link._health, link.waiting()]
"""
    assert answer(micropython, LINK + source) == [4, 0, 0, 0, None, False]


def test_only_the_latest_frustum_of_each_sensor_waits(micropython):
    source = """
view = {"shape": "sector", "hfov_cdeg": 9000, "vfov_cdeg": 3000, "range_min_cm": 0, "range_max_cm": 1200}
for seq in range(1, 4):
    for sensor in ("a", "b"):
        fields = {"elevation_cdeg": 0, "roll_cdeg": 0, "tilt_sigma_cdeg": 50, "position_source": "none",
            "azimuth_source": "none", "awake": "always", "duty_milli": 1000, "valid_s": 30, "boot": 1, "clock": "none",
            "seq": seq, "height_agl_cm": 5}
        fields.update(view)
        link.frustum(sensor, fields)
out = sorted([[sensor, json.loads(payload)["seq"]] for sensor, payload in link._frusta.items()])
"""
    assert answer(micropython, LINK + source) == [["a", 3], ["b", 3]]


def test_of_a_burst_of_replies_the_last_eight_wait_and_the_rest_is_counted(micropython):
    source = """
for i in range(20):
    link.reply({"id": "c%d" % i, "status": "done"})
out = [link.drops, link.replied(), [json.loads(payload)["id"] for payload in link._replies]]
"""
    assert answer(micropython, LINK + source) == [12, False, [f"c{i}" for i in range(12, 20)]]


# The air: which networks let a station in. Time goes by in sleeps alone.
AIR = """
import log
said = []
log.log = lambda source, text: said.append(text)
import clock, wifi
now = [0]
clock.uptime_ms = lambda: now[0]
class Asyncio:
    async def sleep_ms(self, ms):
        now[0] += ms
wifi.asyncio = Asyncio()
tried = []
class Wlan:
    asked, since = (None, None), 0
    def active(self, on):
        tried.append("on" if on else "off")
    def config(self, **settings):
        tried.extend(["%d dBm" % settings[key] for key in settings if key == "txpower"])
    def disconnect(self):
        self.asked = (None, None)
    def connect(self, ssid, password):
        tried.append(ssid)
        self.asked, self.since = (ssid, password), now[0]
    def status(self):
        kind = given["air"].get(self.asked[0], 201)
        return kind if type(kind) is int and now[0] - self.since >= 500 else 1001
    def isconnected(self):
        return given["air"].get(self.asked[0], 0) == self.asked[1] and now[0] - self.since >= 700
class Link:
    class config:
        wifi = [["one", "1"], ["two", "2"], ["three", "3"]]
        radio_dbm = given.get("radio_dbm")
    wlan, network, failed, futile, saving = Wlan(), given["last"], given["failed"], 0, False
    def save_power(saving):
        pass
    save_power = staticmethod(save_power)
async def go():
    try:
        await wifi.joined(Link)
        return Link.network
    except OSError as error:
        return str(error)
import asyncio
out = [asyncio.run(go()), tried, said, now[0]]
"""


@pytest.mark.parametrize(
    ("air", "last", "failed", "expected"),
    [
        ({"one": "1", "two": "2"}, 0, 1, [0, ["one"], ["Wi-Fi one"], 700]),
        ({"one": "1", "two": "2"}, 1, 1, [1, ["two"], ["Wi-Fi two"], 700]),
        (
            {"one": 202, "three": "3"},
            1,
            1,
            [2, ["two", "one", "three"], ["Wi-Fi two: not found", "Wi-Fi one: password refused", "Wi-Fi three"], 1700],
        ),
        # One that neither refuses nor lets us in gets 15 s.
        ({"one": "9", "two": 200}, 0, 1, ["no Wi-Fi", ["one", "two", "three"], None, 16_000]),
        # The third search in a row that finds nothing begins with the radio off and on.
        ({"three": "3"}, 0, 3, [2, ["off", "on", "one", "two", "three"], None, 1700]),
    ],
)
def test_the_last_good_network_comes_first_and_each_that_is_refused_is_told(side, air, last, failed, expected):
    got = answer(side, AIR, {"air": air, "last": last, "failed": failed})
    assert got[:2] == expected[:2]
    assert expected[2] in (None, got[2])
    assert got[3] == expected[3]


def test_an_antenna_with_gain_gets_less_power_whenever_the_radio_is_switched_on(side):
    got = answer(side, AIR, {"air": {"one": "1"}, "last": 0, "failed": 3, "radio_dbm": 12})
    assert got[1] == ["off", "on", "12 dBm", "one"]


WAITS = (
    LINK
    + """
import asyncio, clock, mqtt
import link as module
now = [0]
waits = []
clock.uptime_ms = lambda: now[0]
class Enough(Exception):
    pass
class Asyncio:
    Event = asyncio.Event
    async def sleep_ms(self, ms):
        waits.append(ms)
        now[0] += ms
        if len(waits) == 12:
            raise Enough
module.asyncio = Asyncio()
async def session():
    if len(waits) == given[1]:
        link.ready = True
        now[0] += given[2]
    raise mqtt.MqttError("over", given[0]) if given[0] is not None else OSError("no Wi-Fi")
link._session = session
try:
    asyncio.run(link.run())
except Enough:
    pass
out = [waits, link.ready]
"""
)


@pytest.mark.parametrize(
    ("refused", "steady", "held_ms", "expected"),
    [
        (0, None, 0, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]),
        (None, None, 0, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]),
        (5, None, 0, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]),
        (-1, None, 0, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]),
        # A session that held is a good one, one that broke at once is not.
        (0, 5, 31_000, [1, 2, 4, 8, 16, 1, 2, 4, 8, 16, 32, 60]),
        (0, 5, 29_000, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]),
    ],
)
def test_who_is_refused_tries_for_ever_but_every_five_minutes(micropython, refused, steady, held_ms, expected):
    waits, ready = answer(micropython, WAITS, [refused, steady, held_ms])
    assert not ready
    for wait, seconds in zip(waits, expected, strict=True):
        assert 750 * seconds <= wait <= 1250 * seconds


def test_a_network_that_lets_us_in_and_leads_nowhere_is_left_after_four_attempts(side):
    source = """
Link.config.wifi = Link.config.wifi[: given["networks"]]
async def go():
    Link.wlan.connect("one", "1")
    now[0] += 1000
    del tried[:]
    for Link.futile in range(8):
        await wifi.joined(Link)
        out.append(Link.network)
out = []
asyncio.run(go())
"""
    given = {"air": {"one": "1", "two": "2"}, "last": 0, "failed": 1, "networks": 2}
    assert answer(side, AIR + source, given) == [0, 0, 0, 1, 1, 1, 1, 0]
    assert answer(side, AIR + source, given | {"networks": 1}) == [0] * 8  # there is no other


NTP_1900 = 2_208_988_800  # seconds from 1900 to 1970, RFC 5905 figure 4


def ntp_packet(unix_ms, originate=b"\0" * 8, first=0x24, stratum=2, reference=b"GPS\0", receive_ms=None):
    """An answer by hand, from RFC 5905 section 7.3."""

    def stamp(ms):
        return struct.pack(">II", (ms // 1000 + NTP_1900) % 2**32, -(-(ms % 1000) * 2**32 // 1000))

    receive = unix_ms if receive_ms is None else receive_ms
    head = struct.pack(">BBbb", first, stratum, 6, -20) + bytes(8) + reference + stamp(unix_ms - 60_000)
    return head + originate + stamp(receive) + stamp(unix_ms)


TOLD = """
import ntp
out = []
for packet, sent, now in given:
    try:
        out.append(ntp.answer(bytes(packet), sent, now))
    except ValueError as error:
        out.append(str(error))
"""
NOW = 1_800_000_000_250  # 2027
IN_2040 = 2_208_988_800_500


def test_a_servers_time_is_moved_by_half_the_way_in_either_era(side):
    cases = [
        (ntp_packet(NOW), 1000, 1080),  # 40 ms back
        (ntp_packet(NOW, receive_ms=NOW - 60), 1000, 1080),  # 60 of the 80 ms at the server
        (ntp_packet(IN_2040), 5, 5),
    ]
    told = answer(side, TOLD, [(list(packet), *ticks) for packet, *ticks in cases])
    assert told == [NOW + 40, NOW + 10, IN_2040]


def test_a_server_that_has_no_time_or_wants_to_be_left_alone_is_not_believed(side):
    cases = [
        ntp_packet(NOW, stratum=0, reference=b"RATE", first=0xE4),
        ntp_packet(NOW, first=0xE4),  # leap indicator 3
        ntp_packet(NOW, stratum=16),
        ntp_packet(NOW)[:40] + bytes(8),
        ntp_packet(NOW)[:47],
        ntp_packet(NOW, first=0x23),  # a client
    ]
    told = answer(side, TOLD, [(list(packet), 0, 0) for packet in cases] + [(list(ntp_packet(NOW)), 0, 1001)])
    nothing = "the server has no time itself"
    refused = "no answer of a server"
    assert told == [
        "kiss RATE",
        nothing,
        nothing,
        nothing,
        refused,
        refused,
        "1001 ms for an answer, at most 1000 expected",
    ]


class TimeServer:
    """A time server on UDP that answers with `packets(request)`."""

    def __init__(self, packets):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.requests = []
        self.thread = threading.Thread(target=self._serve, args=(packets,), daemon=True)
        self.thread.start()

    def _serve(self, packets):
        with contextlib.suppress(OSError):
            while True:
                request, address = self.socket.recvfrom(100)
                self.requests.append(request)
                for packet in packets(request):
                    self.socket.sendto(packet, address)

    def close(self):
        self.socket.close()


ASK = """
import asyncio, clock, ntp, log
said = []
ntp.log = lambda source, text: said.append(str(text))
utc = clock.Clock()
async def go():
    return await ntp.told(utc, "127.0.0.1", given, 64000)
wait = asyncio.run(go())
out = [wait, utc.source, utc.at(clock.uptime_ms()), said]
"""


def test_the_clock_follows_a_server_and_an_answer_to_another_request_is_passed_over(micropython):
    server = TimeServer(lambda request: [ntp_packet(NOW + 9_999_999), ntp_packet(NOW, request[40:])])
    wait, source, told, said = answer(micropython, ASK, server.port)
    assert (wait, source, said) == (6 * 3600 * 1000, "ntp", [])
    assert NOW <= told < NOW + 5000
    assert len(server.requests[0]) == 48
    assert server.requests[0][0] == 0x23  # version 4, client
    assert server.requests[0][1:40] == bytes(39)  # nothing of us
    server.close()


@pytest.mark.parametrize("kiss", [True, False])
def test_a_server_that_does_not_help_is_asked_less_often(micropython, kiss):
    if kiss:
        server = TimeServer(lambda request: [ntp_packet(NOW, request[40:], stratum=0, reference=b"DENY")])
    else:
        server = TimeServer(lambda request: [])
        server.socket.close()  # nobody there
    wait, source, told, said = answer(micropython, ASK, server.port)
    assert (source, told, len(said)) == ("none", None, 1)
    assert wait == (6 * 3600 * 1000 if kiss else 128_000)
    server.close()


def openssl(folder, *words):
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory, require):
    """A folder of two authorities (ca, other) and what they signed: <name>.crt, .key and their DER files."""
    require("openssl")
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "authority").write_text(
        "[req]\ndistinguished_name=n\nx509_extensions=x\n[n]\n[x]\nbasicConstraints=CA:TRUE\n"
    )
    for name in ("ca", "other"):
        openssl(folder, "req", "-x509", *KEY, "-config", "authority", "-days", "2", "-subj", f"/CN={name}", "-keyout",
                f"{name}.key", "-out", f"{name}.crt")  # fmt: skip
        openssl(folder, "x509", "-in", f"{name}.crt", "-outform", "der", "-out", f"{name}.der")
    here = "DNS:localhost,IP:127.0.0.1"
    for name, who, names, days in (
        ("server", "localhost", here, "2"),
        ("expired", "localhost", here, "-1"),
        ("elsewhere", "elsewhere", "DNS:elsewhere", "2"),
        ("P4", "P4", "DNS:P4", "2"),
    ):
        (folder / "names").write_text(f"subjectAltName={names}\n")
        openssl(folder, "req", "-config", "authority", *KEY, "-subj", f"/CN={who}", "-keyout", f"{name}.key", "-out",
                f"{name}.csr")  # fmt: skip
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", days, "-extfile", "names", "-out", f"{name}.crt")  # fmt: skip
        openssl(folder, "x509", "-in", f"{name}.crt", "-outform", "der", "-out", f"{name}.der")
        openssl(folder, "ec", "-in", f"{name}.key", "-outform", "der", "-out", f"{name}.key.der")
    return folder


@pytest.fixture(scope="module")
def secured(certificates, mosquitto, tmp_path_factory):
    """Ports of one mosquitto: `certificate` wants one of the node, `password` a password, `expired` and `elsewhere`
    show another certificate than they should; `plain` is for the host."""
    folder = tmp_path_factory.mktemp("secured")
    names = ("plain", "certificate", "password", "expired", "elsewhere")
    held = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: server.getsockname()[1] for name, server in zip(names, held, strict=True)}
    for server in held:
        server.close()
    (folder / "acl").write_text(
        "pattern write dw/1/+/%u/#\npattern read dw/1/+/%u/command\npattern read dw-local/+/%u/#\n"
    )
    # mosquitto's own format: PBKDF2 of SHA-512, 101 rounds.
    salt = b"twelve bytes"
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha512", b"of this node alone", salt, 101)).decode()
    (folder / "passwords").write_text(f"P4:$7$101${base64.b64encode(salt).decode()}${digest}\n")
    lines = ["per_listener_settings true", f"user {getpass.getuser()}"]
    for name in names:
        lines.append(f"listener {ports[name]} 127.0.0.1")
        if name == "plain":
            lines.append("allow_anonymous true")
            continue
        shown = name if name in ("expired", "elsewhere") else "server"
        lines += [
            f"certfile {certificates / shown}.crt",
            f"keyfile {certificates / shown}.key",
            f"acl_file {folder}/acl",
        ]
        if name == "certificate":
            lines += [f"cafile {certificates}/ca.crt", "require_certificate true", "use_identity_as_username true"]
        if name == "password":
            lines.append(f"password_file {folder}/passwords")
        lines.append(f"allow_anonymous {'true' if name in ('expired', 'elsewhere') else 'false'}")
    path = folder / "conf"
    path.write_text("\n".join(lines) + "\n")
    for file in folder.iterdir():
        file.chmod(0o600)
    process = subprocess.Popen(
        [mosquitto, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w")
    )
    until = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ports["elsewhere"]), 1):
            break
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < until, "mosquitto does not answer"
        time.sleep(0.05)
    yield ports
    end(process)


SECURE = """
class Machine:
    class RTC:
        def datetime(self, now):
            out.append(list(now))
import sys
sys.modules["machine"] = Machine
import clock, secure
async def session(files, host, *told):
    utc = clock.Clock()
    utc.set(given["now"], clock.uptime_ms(), "ntp")
    client = Client(received, given["patience"])
    await client.connect(host, port, "P4", 10, *told, wrap=await secure.wrapper(files, host, utc))
    return client
async def go():
    try:
        client = await session(given["files"], given["host"], *given["told"])
    except MqttError as error:
        out.append([error.refused, str(error)])
        return
    await client.subscribe("dw/1/w/P4/command")
    for node in ("P5", "P4"):
        await client.publish("dw/1/w/%s/state" % node, b"x" * 3000, False, 1)
    while not got:
        await asyncio.sleep_ms(20)
    await client.disconnect()
    out.append("done")
"""


def secure(micropython, certificates, port, files, host="localhost", told=(), patience=10):
    given = {
        "files": [name and str(certificates / name) for name in files],
        "host": host,
        "told": told,
        "now": int(time.time() * 1000),
        "patience": patience,
    }
    return answer(micropython, PRELUDE + SECURE + "\nasyncio.run(go())\n", {"port": port, **given}, heap="64k")


OWN = ("ca.der", "P4.der", "P4.key.der")
NONE = ("ca.der", None, None)


@pytest.mark.parametrize("how", ["certificate", "password"])
def test_a_node_in_64_kb_speaks_tls_and_says_nothing_in_the_name_of_another(micropython, certificates, secured, how):
    host = Listener(secured["plain"])
    host.client.publish("dw/1/w/P4/command", b"early", 1)
    told = ("P4", "of this node alone") if how == "password" else ()
    result = []
    files = OWN if how == "certificate" else NONE
    thread = threading.Thread(
        target=lambda: result.append(secure(micropython, certificates, secured[how], files, told=told))
    )
    thread.start()
    heard = []
    while not heard or heard[-1][0] != "dw/1/w/P4/state":
        heard.append(host.next())
    host.client.publish("dw/1/w/P4/command", b"look", 1)
    thread.join(20)
    host.close()
    assert [row[0] for row in heard] == ["dw/1/w/P4/command", "dw/1/w/P4/state"]  # nothing of P5
    clock_set, said = result[0]
    assert said == "done"
    assert clock_set[:3] == list(time.gmtime()[:3])
    assert clock_set[3] == time.gmtime().tm_wday


@pytest.mark.parametrize(
    ("port", "files", "host", "refused", "why"),
    [
        ("password", ("other.der", None, None), "localhost", -1, "trusted CA"),
        ("expired", NONE, "localhost", -1, "expired"),
        ("elsewhere", NONE, "localhost", -1, "Common Name"),
        ("password", ("missing.der", None, None), "localhost", -1, "cannot be read"),
        ("password", ("ca.crt", None, None), "localhost", -1, "DER expected"),
        ("certificate", NONE, "localhost", None, "TLS"),
        ("password", NONE, "127.0.0.1", 5, "not authorised"),
    ],
)
def test_who_is_not_who_he_should_be_is_refused_with_the_reason(
    micropython, certificates, secured, port, files, host, refused, why
):
    said = secure(micropython, certificates, secured[port], files, host)[-1]
    assert why in said[1]
    assert refused in (None, said[0])


def test_a_whole_node_reports_over_tls_in_its_own_name(micropython, certificates, secured, tmp_path):
    host = Host(secured["plain"])
    for name in OWN:
        shutil.copy(certificates / name, tmp_path)
    tls = dict(zip(("ca", "certificate", "key"), OWN, strict=True))
    mqtt = {"host": "localhost", "port": secured["certificate"], "tls": tls}
    clock = {"earliest_unix_ms": int(time.time() * 1000) - 1000}
    node = Node(micropython, tmp_path, secured["plain"], sensors=[looking("survey")], mqtt=mqtt, clock=clock)
    try:
        node.start()
        first = host.until("frustum")[0].values
        assert [report.kind for report in host.reports] == ["birth", "state", "frustum"]
        assert first["clock"] in ("provisioned", "gnss")
        assert first["time_unix_ms"] >= clock["earliest_unix_ms"]
        assert node.stop() == 0
        assert host.until("state")[0].values["state"] == "disconnected"
    finally:
        node.kill()
        host.close()


def test_a_peer_that_is_silent_in_the_handshake_is_given_up_and_the_loop_goes_on(micropython, certificates):
    source = (
        SECURE.replace("async def go", "async def others")
        + """
async def beat():
    while True:
        out.append(1)
        await asyncio.sleep_ms(20)
async def go():
    beating = asyncio.create_task(beat())
    try:
        await session(given["files"], "localhost")
    except MqttError as error:
        beating.cancel()
        out.append(str(error))
"""
    )
    peer = Peer(lambda connection, peer: peer.over.wait(20))
    files = [str(certificates / "ca.der"), None, None]
    try:
        out = run(micropython, source, peer.port, files=files, now=int(time.time() * 1000), patience=1)
    finally:
        peer.close()
    assert out[-1] == "the broker takes nothing"
    assert out.count(1) > 10  # of 50


def test_a_sensor_that_asks_for_it_hears_what_the_computer_beside_it_says(micropython, mosquitto, free_port, tmp_path):
    source = (
        LINK
        + """
import asyncio, clock
Config.host, Config.port, Config.user, Config.password, Config.keepalive_s = "127.0.0.1", given, None, None, 10
taken = []
class Detector:
    def local(settings):
        return settings == "mqtt"
    local = staticmethod(local)
    def take(settings, payload):
        taken.append([settings, payload.decode()])
    take = staticmethod(take)
for sensor, settings in zip(Config.sensors, ("mqtt", "serial")):
    sensor.module, sensor.settings = Detector, settings
link = Link(Config, 1, lambda session: birth, None, clock.Clock())
birth = {"firmware": "f", "board": "b", "boot": 1, "session": 1, "period_s": 10, "sensors": []}
async def go():
    task = asyncio.create_task(link.run())
    while not taken:
        await asyncio.sleep_ms(20)
    task.cancel()
asyncio.run(go())
out = taken
"""
    )
    process = start_mosquitto(mosquitto, free_port, tmp_path)
    host = Listener(free_port)
    result = []
    thread = threading.Thread(target=lambda: result.append(answer(micropython, source, free_port)))
    thread.start()
    # The first topic is "birth", the second the state, said when all subscriptions are there.
    assert [host.next()[0] for _ in range(2)] == ["dw/1/w/n/birth", "dw/1/w/n/state"]
    host.client.publish("dw-local/w/n/near", b"not asked for", 1)
    host.client.publish("dw-local/w/n/far", b"{}", 1)
    thread.join(20)
    host.close()
    end(process)
    assert result == [[["mqtt", "{}"]]]


def test_a_node_that_goes_to_sleep_while_it_connects_stays_away_until_it_wakes(micropython):
    source = """
import asyncio, clock
Config.host, Config.port, Config.user, Config.password, Config.keepalive_s = "127.0.0.1", given, None, None, 10
link = Link(Config, 1, lambda session: {}, None, clock.Clock())
async def go():
    task = asyncio.create_task(link.run())
    while not link.client or not link.client.stream:
        await asyncio.sleep_ms(10)
    await link.sleep()
    out.append([link.session, link.client.reason, link.ready])
    await asyncio.sleep_ms(500)
    out.append(link.session)
    link.asleep = False
    while link.session < 2:
        await asyncio.sleep_ms(10)
    task.cancel()
    await link.close()
asyncio.run(go())
"""
    peer = Peer(lambda connection, peer: peer.over.wait(20))
    try:
        assert answer(micropython, LINK + source, peer.port) == [[1, "disconnected", False], 1]
    finally:
        peer.close()


def test_what_a_watchdog_reset_leaves_in_the_queue_is_reported_as_what_it_was(
    micropython,
    broker_that_can_die,  # noqa: F811
    tmp_path,
):
    port, die, revive = broker_that_can_die
    host = Host(port)
    folder = tmp_path / "node"
    folder.mkdir()
    node = Node(
        micropython,
        folder,
        port,
        sensors=[{**PRESENCE, "azimuth_source": "survey", "settle_s": 0}],
        mqtt={"host": "127.0.0.1", "port": port},
    )
    try:
        node.start()
        before = host.until("detection")[-1].values
        host.close()
        die()
        memory = folder / "rtc"
        until = time.monotonic() + 30
        while memory.read_bytes()[137] < 3:  # how many wait: behind 4 bytes of CRC32, 4 of the names', the place
            assert time.monotonic() < until
            time.sleep(0.05)
        node.kill()
        waiting = memory.read_bytes()[137]
        revive()
        host = Host(port)
        node.command.append("3")  # WDT_RESET
        node.start()
        found = [report.values for report in host.until("detection", waiting + 1)]
        assert [values["boot"] for values in found] == [before["boot"]] * waiting + [before["boot"] + 1]
        seqs = [values["seq"] for values in found[:-1]]
        assert seqs == list(range(seqs[0], seqs[0] + waiting))
        assert seqs[0] <= before["seq"] + 1
    finally:
        node.kill()
        host.close()
