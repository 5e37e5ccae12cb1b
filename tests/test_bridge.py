"""A drone's telemetry on the wall, end to end: MAVLink over UDP in, a broker between, a report out of the ingest."""

import contextlib
import json
import math
import threading
import time

import msgspec
import pytest

from autopilot import LATITUDE_E7, LONGITUDE_E7, Autopilot, Radio, turned
from dronewall import scenario, wire
from dronewall.engine.frustum import frustum_of
from dronewall.engine.ground import ground_of
from dronewall.live.bridge import Bridge, NodeVoice, Numbers, Printed, birth_of, numbers_at, valid_s_of
from dronewall.live.broker import Broker
from dronewall.live.ingest import Ingest
from dronewall.live.state import State
from dronewall.live.telemetry_line import Endpoint, TelemetryLine
from processes import until
from test_telemetry_line import udp_port as _udp_port

pytestmark = pytest.mark.needs("iotcore")
EARTH, VEHICLE = 64, 32
DAY_MS = 86_400_000
udp_port = _udp_port


@pytest.fixture(scope="module")
def broker():
    with Broker() as found:
        yield found


@pytest.fixture(scope="module")
def read(root):
    return scenario.read(root / "examples" / "jacksboro.toml")


@pytest.fixture(scope="module")
def drone(read):
    """The demo's first drone: D1, whose camera looks 45 degrees down."""
    return next(drone for drone in read.drones if drone.name == "D1")


@pytest.fixture
def radio(udp_port):
    found = Radio(udp_port)
    yield found
    found.close()


class Flown:
    """A bridge that runs, what it notes, and what the host makes of it."""

    def __init__(self, bridge, ingest, read, radio):
        self.bridge, self.ingest, self.radio, self.notes = bridge, ingest, radio, []
        self.state = State(read.site.name)

    def sensors(self, at=None):
        self.ingest.pump(self.state, 0.02)
        return self.state.snapshot(time.time_ns() // 1_000_000 if at is None else at)

    def node(self):
        self.ingest.pump(self.state, 0.02)
        return next(iter(self.state.nodes(time.time_ns() // 1_000_000)), None)

    def shown(self, *pieces, key=None, value=None):
        """The next report that has this value, the telemetry sent again and again."""
        found = []

        def there():
            for piece in pieces:
                self.radio.send(piece() if callable(piece) else piece)
            # What the broker kept of another test is stale: it has no clock.
            live = [each for each in self.sensors() if each.status == "heard"]
            found[:] = [each for each in live if key is None or each.report.values.get(key) == value]
            return bool(found)

        assert until(there, 8), [each.report.values for each in self.sensors()] or self.notes
        return found[0]


@pytest.fixture
def flown(broker, read, drone, udp_port, radio):
    @contextlib.contextmanager
    def flight(rate=10.0, **options):
        numbers = numbers_at(time.time_ns() // 1_000_000)
        birth = birth_of(read, drone, rate, numbers.boot)
        address = (broker.host, broker.port)
        stop = threading.Event()
        options = {"camera": "cam", "gimbal": False, **options}
        # The ingest asks for the retained ones of earlier tests, too, which a node's next session replaces.
        with TelemetryLine(Endpoint("udp", "127.0.0.1", udp_port)) as line, Ingest(*address, read.site.name) as ingest:
            assert until(lambda: ingest.connected, 5)
            with NodeVoice(address, read.site.name, drone.name, birth, numbers.session) as voice:
                bridge = Bridge(
                    read, drone, line, voice, numbers, rate=rate, note=lambda w: found.notes.append(w), **options
                )
                found = Flown(bridge, ingest, read, radio)
                thread = threading.Thread(target=bridge.run, args=(lambda: not stop.is_set(),))
                assert until(lambda: voice.connected, 5)
                thread.start()
                try:
                    yield found
                finally:
                    stop.set()
                    thread.join()
            assert until(lambda: found.node() is not None and found.node().state == "disconnected", 5)

    return flight


def talking(pilot, yaw_deg=0.0, **tilt):
    """Functions that each encode what comes next, the clock moved on."""

    def next_of(encode):
        def piece():
            pilot.boot_ms += 10
            return encode()

        return piece

    return [
        next_of(pilot.heartbeat),
        next_of(lambda: pilot.position(hdg=round(100 * yaw_deg) % 36000, east=300, north=400, down=-10)),
        next_of(lambda: pilot.attitude(yaw_deg, **tilt)),
        next_of(lambda: pilot.receiver(h_acc=1500, v_acc=2500)),
    ]


@pytest.mark.parametrize("yaw", [0.0, 90.0, 180.0, -90.0])
def test_a_drone_reports_where_its_camera_looks_to_the_four_compass_points(flown, drone, read, yaw):
    pilot = Autopilot()
    with flown() as flight:
        seen = flight.shown(*talking(pilot, yaw), key="azimuth_deg", value=yaw % 360)
        assert until(lambda: flight.node().state == "ready", 3)
        node = flight.node()
    values = seen.report.values
    assert seen.name == "D1/cam"
    assert (seen.status, seen.suspect) == ("heard", False)
    assert (values["elevation_deg"], values["roll_deg"]) == (-45.0, 0.0)  # the site file's mount
    assert (values["latitude_deg"], values["longitude_deg"]) == (LATITUDE_E7 / 1e7, LONGITUDE_E7 / 1e7)
    assert (values["height_amsl_m"], values["position_sigma_m"], values["height_sigma_m"]) == (412.35, 1.5, 2.5)
    assert [values[f"velocity_{way}_mps"] for way in ("east", "north", "up")] == [3.0, 4.0, 0.1]
    assert (values["position_source"], values["azimuth_source"], values["clock"]) == ("gnss", "compass", "none")
    assert (node.state, node.alive, node.bad) == ("ready", True, 0)
    kind = read.sensor_types[drone.sensors[0].type]
    assert node.birth["sensors"][0]["model"] == msgspec.to_builtins(kind.model)
    assert (values["hfov_deg"], values["range_max_m"]) == (kind.hfov_deg, kind.range_max_m)


def test_the_frustum_of_a_gimbal_straight_down_points_at_the_ground_below(flown, read):
    pilot = Autopilot()
    down = [*talking(pilot, 30.0), lambda: pilot.gimbal(turned(0.0, -90.0), VEHICLE), lambda: pilot.view(12.5, 7.5)]
    with flown(gimbal=True) as flight:
        seen = flight.shown(*down, key="hfov_deg", value=12.5)
        birth = flight.node().birth
    site = ground_of(read).site
    frustum = frustum_of(seen.report, birth["sensors"][0], site)
    assert frustum.axes()[0] == pytest.approx([0.0, 0.0, -1.0], abs=1e-6)
    # The picture's top is where the nose points: 30 degrees from true north.
    top = math.atan2(*frustum.axes()[2][:2])
    assert math.degrees(top + site.convergence(frustum.east, frustum.north)) == pytest.approx(30.0, abs=0.01)
    assert math.degrees(frustum.hfov) == pytest.approx(12.5)
    assert site.to_geodetic(frustum.east, frustum.north)[0] == pytest.approx(LATITUDE_E7 / 1e7, abs=1e-9)
    assert frustum.moving


@pytest.mark.parametrize(("flags", "azimuth"), [(EARTH, 20.0), (VEHICLE, 120.0), (16, 20.0), (0, 120.0)])
def test_a_gimbal_that_is_locked_to_north_or_follows_the_nose(flown, flags, azimuth):
    pilot = Autopilot()
    with flown(gimbal=True) as flight:
        pieces = [*talking(pilot, 100.0), lambda: pilot.gimbal(turned(20.0, -30.0, 10.0), flags)]
        values = flight.shown(*pieces, key="azimuth_deg", value=azimuth).report.values
    assert (values["elevation_deg"], values["roll_deg"]) == (-30.0, 10.0)


def test_without_a_heading_the_report_has_no_azimuth(flown):
    pilot = Autopilot()
    with flown() as flight:
        pieces = [pilot.heartbeat, lambda: pilot.position(hdg=65535), pilot.attitude]
        seen = flight.shown(*pieces, key="azimuth_source", value="none")
    assert "azimuth_deg" not in seen.report.values


def test_a_set_clock_goes_with_the_report(flown):
    pilot = Autopilot()
    now = time.time_ns() // 1_000_000
    with flown() as flight:
        flight.radio.send(pilot.heartbeat(), pilot.clock(now))
        seen = flight.shown(*talking(pilot), key="clock", value="gnss")
    assert 0 <= seen.report.values["time_unix_ms"] - now <= pilot.boot_ms - 100_000
    assert seen.report.values["valid_s"] == 5


def test_when_the_telemetry_falls_silent_the_sensor_is_stale_after_valid_s(flown):
    pilot = Autopilot()
    with flown() as flight:
        seen = flight.shown(*talking(pilot))
        assert until(lambda: "D1/cam is reported" in flight.notes, 3)
        # What is on its way arrives; after that nothing new is said, and nothing old again.
        assert until(lambda: flight.ingest.pump(flight.state, 0.3) == 0, 5)
        sent = flight.bridge.sent
        (seen,) = flight.sensors()
        valid_ms = 1000 * seen.report.values["valid_s"]
        assert valid_ms <= 5000
        now = time.time_ns() // 1_000_000
        assert flight.sensors(now)[0].status == "heard"
        assert flight.sensors(now + valid_ms + 1)[0].status == "stale"
        assert until(lambda: any("silent" in note for note in flight.notes), 8)
        assert flight.bridge.sent == sent
        assert until(lambda: flight.node().state == "init", 3)
        assert flight.notes == [
            "telemetry of system 1 begins",
            *[note for note in flight.notes if "no position" in note or "no attitude" in note],
            "D1/cam is reported",
            "D1/cam is not reported: telemetry is silent",
        ]


def test_garbage_and_what_cannot_be_are_counted_and_the_bridge_goes_on(flown):
    pilot = Autopilot()
    with flown() as flight:
        flight.radio.send(pilot.heartbeat(), b"\x00" * 40, b"rubbish", pilot.position(hdg=36_001))
        assert until(lambda: flight.bridge.line.bad == 3, 3)
        assert "hdg: 36001" in flight.bridge.line.reason
        assert flight.shown(*talking(pilot)).status == "heard"
        assert flight.radio.answers() == b""


def test_a_bridge_that_starts_again_is_believed_at_once(flown):
    pilot = Autopilot()
    with flown() as flight:
        before = flight.shown(*talking(pilot, 10.0), key="azimuth_deg", value=10.0).report.values
    with flown() as flight:
        after = flight.shown(*talking(pilot, 50.0), key="azimuth_deg", value=50.0)
        assert until(lambda: flight.node().state == "ready", 3)
    assert after.status == "heard"
    assert (after.report.values["boot"], after.report.values["seq"]) > (before["boot"], before["seq"])


def test_a_lost_link_comes_back_with_a_session_and_a_will_of_its_own(read, drone):
    with Broker() as broker:
        address = (broker.host, broker.port)
        with Ingest(*address, read.site.name) as ingest:
            assert until(lambda: ingest.connected, 5)
            state = State(read.site.name)
            with NodeVoice(address, read.site.name, drone.name, birth_of(read, drone, 2.0, 1), 40) as voice:
                voice.state(True)

                def said(session, word):
                    ingest.pump(state, 0.05)
                    nodes = state.nodes(0)
                    return bool(nodes) and nodes[0].state == word and state._nodes["D1"].order == (1, session)

                assert until(lambda: said(40, "ready"), 5)
                voice._client._sock_close()  # as when the Wi-Fi goes: without a word
                assert until(lambda: said(41, "ready"), 10)
                assert state.nodes(0)[0].birth["session"] == 41
                assert json.loads(voice._client._will_payload)["session"] == 41
            assert until(lambda: said(41, "disconnected"), 5)


class Told:
    """A voice that keeps what it is told."""

    def __init__(self):
        self.frusta, self.states = [], []

    def state(self, ready):
        self.states.append(ready)

    def frustum(self, sensor, fields):
        wire.encode("frustum", fields)
        self.frusta.append((sensor, fields))
        return True


def report(read, drone, said, now_after_ms=0, **options):
    """What a bridge says after these messages, without any line."""

    class NoLine:
        up, messages, bad, endpoint, reason = True, 0, 0, "none", ""

        def count_bad(self, reason):
            self.bad += 1

    voice, notes = Told(), []
    options = {"camera": "cam", "gimbal": False, "note": notes.append, **options}
    bridge = Bridge(read, drone, NoLine(), voice, Numbers(5, 6, 7), **options)
    from autopilot import messages

    for piece in said:
        for message in messages(piece):
            bridge._take(message)
    bridge.report(time.monotonic_ns() // 1_000_000 + now_after_ms)
    return voice, notes, bridge


def complete(pilot):
    return [pilot.heartbeat(), pilot.position(), pilot.attitude()]


def test_what_is_not_new_is_not_said_again(read, drone):
    voice, _, bridge = report(read, drone, complete(Autopilot()))
    bridge.report(time.monotonic_ns() // 1_000_000)
    assert len(voice.frusta) == 1
    assert voice.states == [True, True]


def test_a_report_without_a_clock_is_valid_for_as_long_as_its_pose_is(read, drone):
    for age_ms, valid_s in ((0, 5), (3200, 2), (4900, 1)):
        voice, _, _ = report(read, drone, complete(Autopilot()), now_after_ms=age_ms)
        assert voice.frusta[0][1]["valid_s"] == valid_s
    pilot = Autopilot()
    voice, _, _ = report(
        read, drone, [*complete(pilot)[:1], pilot.clock(1_772_366_400_000), *complete(pilot)[1:]], 3200
    )
    assert voice.frusta[0][1]["valid_s"] == 5  # its time says the rest


def test_a_field_of_view_over_the_types_is_the_types_and_said_once(read, drone):
    kind = read.sensor_types[drone.sensors[0].type]
    pilot = Autopilot()
    voice, notes, _ = report(read, drone, [*complete(pilot), pilot.view(kind.hfov_deg + 20, kind.vfov_deg / 2)])
    fields = voice.frusta[0][1]
    assert fields["hfov_cdeg"] == round(100 * kind.hfov_deg)
    assert fields["vfov_cdeg"] == round(50 * kind.vfov_deg)
    (words,) = [note for note in notes if "over its type" in note]
    assert words.startswith("cam: hfov of ")


def test_of_several_sensors_only_the_camera_turns_with_the_gimbal(read, drone):
    camera = drone.sensors[0]
    fixed = msgspec.structs.replace(camera, name="tail", azimuth_deg=180.0, elevation_deg=0.0)
    twin = msgspec.structs.replace(drone, sensors=(camera, fixed))
    pilot = Autopilot()
    said = [*complete(pilot), pilot.gimbal(turned(70.0, -20.0), EARTH), pilot.view(10.0, 6.0)]
    voice, _, _ = report(read, twin, said, gimbal=True)
    looks = {
        name: (said["azimuth_cdeg"], said["elevation_cdeg"], said["hfov_cdeg"] == 1000) for name, said in voice.frusta
    }
    assert looks == {"cam": (7000, -2000, True), "tail": (18000, 0, False)}
    voice, _, _ = report(read, twin, said, camera=None)
    assert [fields["elevation_cdeg"] for _, fields in voice.frusta] == [-4500, 0]
    assert [entry["name"] for entry in birth_of(read, twin, 2.0, 1)["sensors"]] == ["cam", "tail"]


def test_a_dry_run_shows_topic_and_payload(read, drone):
    shown = []
    voice = Printed(read.site.name, "D1", shown.append)
    told, _, _ = report(read, drone, complete(Autopilot()))
    assert voice.frustum(*told.frusta[0])
    topic, payload = shown[0].split(" ", 1)
    assert topic == f"dw/1/{read.site.name}/D1/frustum/cam"
    assert wire.decode(topic, payload.encode()).values["elevation_deg"] == -45.0


def test_the_numbers_of_a_later_start_are_greater():
    noon = 20_000 * DAY_MS + DAY_MS // 2
    starts = [noon, noon + 150, noon + 60_000, noon + DAY_MS // 2 - 1, noon + DAY_MS // 2, noon + 400 * DAY_MS]
    numbers = [numbers_at(start) for start in starts]
    assert numbers == sorted(set(numbers))
    limits = {row[1]: row[5] for kind in ("state", "frustum") for row in wire.rows(kind)}
    for found in numbers:
        assert found.boot <= limits["boot"]
        assert found.session + 1000 <= limits["session"]
        assert found.seq <= limits["seq"]
    # At ten reports a second a run of a day does not overtake the one that starts after it.
    assert numbers_at(noon + 3_600_000).seq > numbers_at(noon).seq + 10 * 3600 * 5


def test_a_report_outlives_three_periods_and_some_seconds():
    assert [valid_s_of(rate) for rate in (10.0, 2.0, 0.6, 0.5, 0.1)] == [5, 5, 5, 6, 30]
