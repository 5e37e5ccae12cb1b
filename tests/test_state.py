"""The live state: what still counts, in which order, and what a node cannot undo by accident."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dronewall import wire
from dronewall.live import state as module
from dronewall.live.state import JUMP_M, LOST, SensorReport, State

NOW = 1_800_000_000_000
VALID_S = 30
METRE = 1 / 111_194.93  # degrees of latitude: 180 / (pi * 6371000)


def report(kind: str, values: dict[str, Any] | None, node: str = "P1", sensor: str | None = None) -> wire.Report:
    return wire.Report("w", node, kind, sensor, values)


def frustum(seq: int = 1, time: int | None = NOW, sensor: str = "cam", node: str = "P1", **changes: Any) -> wire.Report:
    values = {
        "latitude_deg": 36.5,
        "longitude_deg": -84.3,
        "height_agl_m": 6.0,
        "position_sigma_m": 2.0,
        "height_sigma_m": 3.0,
        "azimuth_deg": 310.0,
        "elevation_deg": -1.0,
        "roll_deg": 0.0,
        "azimuth_sigma_deg": 1.0,
        "tilt_sigma_deg": 0.5,
        "shape": "pyramid",
        "hfov_deg": 40.0,
        "vfov_deg": 25.0,
        "range_min_m": 5.0,
        "range_max_m": 1500.0,
        "position_source": "gnss",
        "azimuth_source": "survey",
        "awake": "always",
        "duty": 1.0,
        "clock": "gnss",
        "uptime_ms": 1000 * seq,
        "seq": seq,
        "boot": 3,
        "valid_s": VALID_S,
        **changes,
    }
    if time is None:
        values["clock"] = "none"
    else:
        values["time_unix_ms"] = time
    # As it would arrive: whatever the wire refuses is no test of the state.
    values = {key: value for key, value in values.items() if value is not None}
    payload = wire.encode("frustum", wire.integers("frustum", values))
    return wire.decode(wire.topic("w", node, "frustum", sensor), payload)


def told(state: str, boot: int = 3, session: int = 1, node: str = "P1", **more: Any) -> wire.Report:
    return report("state", {"state": state, "boot": boot, "session": session, **more}, node)


def birth(boot: int = 3, session: int = 1) -> wire.Report:
    return report(
        "birth", {"firmware": "1", "board": "b", "boot": boot, "session": session, "sensors": [{"name": "cam"}]}
    )


def state(*arrivals: tuple[wire.Report, int] | tuple[wire.Report, int, bool]) -> State:
    found = State("w")
    for arrival in arrivals:
        found.apply(*arrival)
    return found


def only(found: State, at: int) -> SensorReport:
    (entry,) = found.snapshot(at)
    return entry


def test_a_report_counts_until_its_own_time_and_validity_then_it_is_stale_and_after_three_times_that_lost():
    late = 20_000  # it came that long after it was made
    found = state((frustum(time=NOW), NOW + late))
    assert only(found, NOW + 1000 * VALID_S).status == "heard"
    assert only(found, NOW + 1000 * VALID_S + 1).status == "stale"
    assert only(found, NOW + LOST * 1000 * VALID_S).status == "stale"
    assert only(found, NOW + LOST * 1000 * VALID_S + 1).status == "lost"


def test_without_a_clock_the_arrival_counts():
    found = state((frustum(time=None), NOW))
    assert only(found, NOW + 1000 * VALID_S).status == "heard"
    assert only(found, NOW + 1000 * VALID_S + 1).status == "stale"


def test_a_retained_report_without_a_clock_is_stale_when_it_comes():
    entry = only(state((frustum(time=None), NOW, True)), NOW)
    assert entry.status == "stale"
    assert "unknown age" in entry.note


def test_a_retained_report_with_a_clock_is_as_old_as_it_says():
    found = state((frustum(time=NOW - 20_000), NOW, True))
    assert only(found, NOW).status == "heard"
    assert only(found, NOW + 10_001).status == "stale"


def test_a_clock_that_runs_ahead_keeps_no_sensor_fresh():
    found = state((frustum(time=NOW + 86_400_000), NOW))
    assert "ahead" in only(found, NOW).note
    assert only(found, NOW + 1000 * VALID_S + 1).status == "stale"


def test_the_brokers_copy_of_a_known_report_does_not_make_it_fresh():
    message = frustum(time=None)
    found = state((message, NOW), (message, NOW + 25_000, True))
    assert only(found, NOW + 1000 * VALID_S + 1).status == "stale"


def test_a_sensor_of_a_node_that_rebooted_is_stale_until_it_reports_again():
    found = state((frustum(), NOW), (told("ready", boot=4), NOW + 1))
    assert only(found, NOW + 2).status == "stale"
    assert "restart" in only(found, NOW + 2).note
    found.apply(frustum(seq=1, boot=4), NOW + 3)
    assert only(found, NOW + 4).status == "heard"


def test_a_will_of_the_current_session_makes_the_sensors_stale_at_once_and_lost_with_age():
    found = state((told("ready"), NOW), (frustum(), NOW), (told("lost"), NOW + 10))
    entry = only(found, NOW + 11)
    assert entry.status == "stale"
    assert "lost the node" in entry.note
    assert only(found, NOW + LOST * 1000 * VALID_S + 1).status == "lost"
    assert not found.nodes(NOW + 11)[0].alive


def test_a_late_will_of_an_old_session_never_kills():
    found = state((told("ready", session=2), NOW), (frustum(), NOW + 1), (told("lost", session=1), NOW + 2))
    assert only(found, NOW + 3).status == "heard"
    assert found.nodes(NOW + 3)[0].state == "ready"


def test_a_will_of_an_old_boot_never_kills_however_great_its_session():
    found = state(
        (told("ready", boot=4, session=1), NOW), (frustum(boot=4), NOW + 1), (told("lost", boot=3, session=9), NOW + 2)
    )
    assert only(found, NOW + 3).status == "heard"


def test_a_report_that_comes_after_a_will_refutes_it():
    # rumqttd publishes the new session's will when it takes over the link of the old one.
    found = state((told("lost", session=2), NOW), (told("ready", session=2), NOW + 1), (frustum(), NOW + 2))
    assert only(found, NOW + 3).status == "heard"
    found = state((told("ready", session=2), NOW), (told("lost", session=2), NOW + 1), (frustum(time=NOW + 2), NOW + 2))
    assert only(found, NOW + 3).status == "heard"


def test_a_retained_report_does_not_refute_a_will():
    found = state((told("lost"), NOW, True), (frustum(), NOW + 1, True))
    assert only(found, NOW + 2).status == "stale"


def test_the_will_that_a_broker_kept_does_not_kill_again_when_we_come_back():
    found = state((told("lost"), NOW), (frustum(), NOW + 1), (told("lost"), NOW + 2, True))
    assert only(found, NOW + 3).status == "heard"


def test_a_node_that_said_goodbye_sees_nothing_any_more():
    found = state((frustum(), NOW), (told("disconnected"), NOW + 1))
    entry = only(found, NOW + 2)
    assert entry.status == "lost"
    assert "goodbye" in entry.note


def test_a_sleeping_node_counts_as_long_as_its_report():
    found = state((frustum(), NOW), (told("sleeping"), NOW + 1))
    assert only(found, NOW + 2).status == "heard"


def test_ready_without_a_report_is_not_alive():
    found = state((told("ready"), NOW))
    (node,) = found.nodes(NOW)
    assert (node.state, node.alive) == ("ready", False)
    found.apply(frustum(), NOW)
    assert found.nodes(NOW + 1000 * VALID_S)[0].alive
    assert not found.nodes(NOW + 1000 * VALID_S + 1)[0].alive


def test_the_loss_of_a_gateway_makes_its_nodes_stale():
    found = state(
        (told("ready", node="G1"), NOW),
        (told("ready", via="G1"), NOW),
        (frustum(via="G1"), NOW),
        (frustum(node="P2"), NOW),
        (told("lost", node="G1"), NOW + 5),
    )
    assert {entry.name: entry.status for entry in found.snapshot(NOW + 6)} == {"P1/cam": "stale", "P2/cam": "heard"}


def test_an_empty_payload_removes_the_sensor_and_what_was_known_of_its_order():
    found = state((frustum(seq=9), NOW), (report("frustum", None, sensor="cam"), NOW + 1))
    assert found.snapshot(NOW + 2) == []
    found.apply(frustum(seq=1, boot=0), NOW + 3)  # another board at the same post, its counters new
    assert [entry.name for entry in found.snapshot(NOW + 4)] == ["P1/cam"]


def test_the_entry_of_the_birth_comes_with_the_report():
    found = state((birth(), NOW), (frustum(), NOW), (frustum(sensor="other"), NOW))
    assert [entry.birth for entry in found.snapshot(NOW)] == [{"name": "cam"}, None]


def test_reports_of_another_wall_are_left_alone():
    found = state((frustum()._replace(wall="other"), NOW))
    assert found.snapshot(NOW) == []
    assert found.nodes(NOW) == []


def test_refused_messages_are_counted_by_node_and_the_last_reason_stays():
    found = State("w")
    found.refuse("P1", "not JSON")
    found.refuse("P1", "too long")
    found.apply(frustum(node="P2"), NOW)
    assert found.bad() == {"P1": (2, "too long")}
    assert [(node.name, node.bad) for node in found.nodes(NOW)] == [("P1", 2), ("P2", 0)]


def test_a_flood_of_refused_messages_takes_no_place_of_a_real_node(monkeypatch):
    monkeypatch.setattr(module, "NAMES", 3)
    monkeypatch.setattr(module, "NODES", 3)
    found = State("w")
    for i in range(10):
        found.refuse(f"N{i}", "not JSON")
    found.apply(frustum(), NOW)
    assert only(found, NOW).status == "heard"


def test_nodes_and_sensors_beyond_what_a_wall_has_are_counted_and_not_kept(monkeypatch):
    monkeypatch.setattr(module, "NODES", 3)
    monkeypatch.setattr(module, "SENSORS", 2)
    found = State("w", ["P9"])
    for i in range(10):
        found.apply(frustum(node=f"N{i}"), NOW)
        found.apply(frustum(node="N0", sensor=f"s{i}"), NOW)
        found.apply(report("detection", {"seq": 1, "boot": 3}, node="N0", sensor=f"s{i}"), NOW)
    assert [entry.name for entry in found.snapshot(NOW)] == ["N0/cam", "N0/s0", "N1/cam", "N2/cam"]
    assert sorted(found.detections()) == ["N0/s0", "N0/s1"]
    assert found.bad() == {
        "(others)": (7, "there are 3 nodes already"),
        "N0": (9 + 8, "it has 2 sensors already"),
    }
    found.apply(frustum(node="P9"), NOW)  # one that is planned always finds a place
    assert [node.name for node in found.nodes(NOW)] == ["(others)", "N0", "N1", "N2", "P9"]
    found.apply(report("frustum", None, node="P9", sensor="cam"), NOW)
    found.apply(frustum(seq=2, node="N2", azimuth_deg=5.0), NOW)  # those that are known go on
    assert found.snapshot(NOW)[-1].report.values["azimuth_deg"] == 5.0


def test_an_empty_payload_of_a_stranger_leaves_nothing_and_the_last_one_of_a_node_frees_its_place():
    found = State("w")
    for i in range(10):
        for kind in ("frustum", "state", "birth", "health"):
            found.apply(report(kind, None, node=f"N{i}", sensor="cam" if kind == "frustum" else None), NOW, True)
    assert found.nodes(NOW) == []
    found.apply(frustum(), NOW)
    found.apply(told("ready"), NOW)
    found.apply(report("frustum", None, sensor="cam"), NOW)
    assert [node.name for node in found.nodes(NOW)] == ["P1"]
    found.apply(report("state", None), NOW)
    assert found.nodes(NOW) == []


LAST = 2**24 - 1


def test_the_number_after_the_last_is_the_first_again():
    found = state((frustum(seq=LAST - 1), NOW), (frustum(seq=LAST, azimuth_deg=1.0), NOW))
    found.apply(frustum(seq=0, azimuth_deg=2.0), NOW)
    assert only(found, NOW).report.values["azimuth_deg"] == 2.0
    found.apply(frustum(seq=LAST, azimuth_deg=3.0), NOW)
    assert only(found, NOW).report.values["azimuth_deg"] == 2.0
    for seq, azimuth in ((LAST, 1.0), (0, 2.0), (LAST, 3.0)):
        found.apply(report("detection", {"seq": seq, "boot": 3, "azimuth_deg": azimuth}, sensor="pir"), NOW)
    assert found.detections()["P1/pir"]["azimuth_deg"] == 2.0


# When the report of NOW no longer counts.
OVER = NOW + 1000 * VALID_S + 1


def test_a_replaced_board_whose_counter_begins_again_is_heard_once_the_old_ones_report_is_stale():
    found = state((birth(boot=7), NOW), (told("ready", boot=7), NOW), (frustum(boot=7, seq=9), NOW))
    found.apply(told("lost", boot=7), NOW + 1000)
    # The new board is quick: while the old report counts nothing is believed.
    found.apply(birth(boot=1), NOW + 5000)
    found.apply(told("ready", boot=1), NOW + 5001)
    found.apply(frustum(boot=1, time=NOW + 5002, azimuth_deg=99.0), NOW + 5002)
    assert only(found, NOW + 5003).report.values["azimuth_deg"] == 310.0
    later = NOW + 1000 * max(VALID_S, module.GRACE_S) + 1
    found.apply(frustum(boot=1, seq=2, time=later, azimuth_deg=99.0), later)
    entry = only(found, later)
    assert (entry.status, entry.note, entry.report.values["azimuth_deg"]) == ("heard", "", 99.0)
    # What it had said of itself before counts now, and a late will of the old board does not.
    (node,) = found.nodes(later)
    assert (node.state, node.alive, node.birth["boot"]) == ("ready", True, 1)
    found.apply(told("lost", boot=7, session=2), later + 1)
    assert only(found, later + 2).status == "heard"
    found.apply(told("lost", boot=1), later + 3)
    assert only(found, later + 4).status == "stale"


def test_a_replaced_board_that_comes_late_is_heard_at_once():
    found = state((birth(boot=7), NOW), (told("ready", boot=7), NOW), (frustum(boot=7, seq=9), NOW))
    found.apply(told("lost", boot=7), NOW + 1000)
    later = NOW + 600_000
    found.apply(birth(boot=1), later)
    found.apply(told("ready", boot=1), later)
    found.apply(frustum(boot=1, time=later), later)
    assert only(found, later).status == "heard"
    assert (found.nodes(later)[0].state, found.nodes(later)[0].birth["boot"]) == ("ready", 1)


def test_a_forged_boot_silences_no_longer_than_it_counts_itself():
    most = 2**20 - 1
    forged = (
        frustum(boot=most, seq=LAST, time=None, azimuth_deg=1.0),
        frustum(boot=most, sensor="x", time=None),
        told("lost", boot=most, session=most),
        told("ready", boot=most, session=most),
        birth(boot=most, session=most),
        report("health", {"uptime_ms": 10**12, "boot": most, "battery_v": 9.0}),
        report("detection", {"seq": 5, "boot": most, "azimuth_deg": 1.0}, sensor="cam"),
    )
    for kinds in (*[[message] for message in forged], list(forged)):
        found = state((birth(), NOW), (told("ready"), NOW), (frustum(time=None), NOW))
        for message in kinds:
            found.apply(message, NOW + 10)
        at = NOW
        for seq in range(2, 12):
            at += 10_000
            found.apply(frustum(seq=seq, time=None), at)
        found.apply(report("health", {"uptime_ms": 1, "boot": 3, "battery_v": 3.0}), at)
        found.apply(report("detection", {"seq": 1, "boot": 3, "azimuth_deg": 2.0}, sensor="cam"), at)
        cam = found.snapshot(at)[0]
        assert (cam.status, cam.note, cam.report.values["seq"]) == ("heard", "", 11), kinds
        (node,) = found.nodes(at)
        assert (node.state, node.alive, node.birth["boot"], node.health["battery_v"]) == ("ready", True, 3, 3.0)
        assert found.detections()["P1/cam"]["azimuth_deg"] == 2.0


def test_a_counter_that_stands_still_because_the_flash_is_worn_is_heard_again():
    found = state((told("ready", session=5), NOW), (frustum(seq=500), NOW))
    found.apply(told("ready", session=1), OVER)
    found.apply(frustum(seq=1, time=OVER), OVER)
    assert only(found, OVER).status == "heard"


def test_an_older_report_that_was_kept_or_is_stale_itself_replaces_nothing():
    for message, retained in (
        (frustum(seq=1, time=OVER), True),
        (frustum(seq=1, time=NOW - 1), False),
        (frustum(seq=9, boot=2, time=NOW - 1), False),
    ):
        found = state((frustum(seq=5), NOW))
        found.apply(message._replace(values={**message.values, "azimuth_deg": 1.0}), OVER, retained)
        assert only(found, OVER).report.values["azimuth_deg"] == 310.0


def test_a_flood_of_invented_names_is_counted_together(monkeypatch):
    monkeypatch.setattr(module, "NAMES", 3)
    found = State("w")
    for i in range(10):
        found.refuse(f"N{i}", "not JSON")
    found.refuse("N0", "not JSON")
    assert found.bad() == {
        name: (count, "not JSON") for name, count in (("(others)", 7), ("N0", 2), ("N1", 1), ("N2", 1))
    }


def test_health_and_detections_keep_the_latest():
    found = State("w")
    for uptime, battery in ((2000, 3.7), (1000, 4.1)):
        found.apply(report("health", {"uptime_ms": uptime, "boot": 3, "battery_v": battery}), NOW)
    for seq, azimuth in ((2, 20.0), (1, 10.0)):
        found.apply(report("detection", {"seq": seq, "boot": 3, "azimuth_deg": azimuth}, sensor="pir"), NOW)
    assert found.nodes(NOW)[0].health["battery_v"] == 3.7
    assert found.detections()["P1/pir"]["azimuth_deg"] == 20.0


def test_a_fixed_post_that_jumps_is_suspect_and_stays_where_it_was():
    sigma = 2.0
    far = 5 * math.hypot(sigma, sigma) + JUMP_M + 1
    found = state((frustum(seq=1), NOW), (frustum(seq=2, latitude_deg=36.5 + far * METRE, azimuth_deg=77.0), NOW))
    entry = only(found, NOW)
    assert entry.suspect
    assert "jumped" in entry.note
    assert entry.report.values["latitude_deg"] == 36.5
    assert entry.report.values["azimuth_deg"] == 77.0
    assert entry.status == "heard"


def test_a_fixed_post_may_wander_within_its_accuracy():
    near = 5 * math.hypot(2.0, 2.0) + JUMP_M - 1
    found = state((frustum(seq=1), NOW), (frustum(seq=2, latitude_deg=36.5 + near * METRE), NOW))
    assert not only(found, NOW).suspect
    assert abs(only(found, NOW).report.values["latitude_deg"] - 36.5) > 20 * METRE


def test_a_post_is_not_dragged_away_in_small_steps():
    found = State("w")
    for step in range(100):
        found.apply(frustum(seq=step, latitude_deg=36.5 + 5 * step * METRE), NOW)
    entry = only(found, NOW)
    assert entry.suspect
    assert abs(entry.report.values["latitude_deg"] - 36.5) < 30 * METRE


def test_a_survey_outranks_what_was_believed_before():
    found = state((frustum(seq=1), NOW), (frustum(seq=2, latitude_deg=36.6, position_source="survey"), NOW))
    entry = only(found, NOW)
    assert not entry.suspect
    assert entry.report.values["latitude_deg"] == 36.6


def moving(seq: int, metres_north: float, **more: Any) -> wire.Report:
    motion = {"velocity_east_mps": 0.0, "velocity_north_mps": 12.0, "velocity_up_mps": 0.0}
    return frustum(seq=seq, latitude_deg=36.5 + metres_north * METRE, **{**motion, **more})


def test_a_drone_that_flies_on_is_not_suspect_and_one_that_leaps_is():
    # seq is its uptime in seconds here: 12 m/s for 10 s.
    assert not only(state((moving(1, 0), NOW), (moving(11, 120), NOW)), NOW).suspect
    leap = only(state((moving(1, 0), NOW), (moving(11, 2000), NOW)), NOW)
    assert leap.suspect
    assert leap.report.values["latitude_deg"] == 36.5


def test_what_the_node_itself_holds_suspect_is_suspect():
    entry = only(state((frustum(suspect=True), NOW)), NOW)
    assert entry.suspect
    assert entry.note


# Messages of one node on four topics; within a topic in the order in which they were sent.
topics = st.tuples(
    st.lists(st.sampled_from(["init", "ready", "sleeping", "disconnected", "lost"]), max_size=3),
    st.lists(st.booleans(), max_size=3),
    st.lists(st.booleans(), max_size=3),
)


def _streams(kinds: tuple[list[str], list[bool], list[bool]]) -> list[list[tuple[wire.Report, int, bool]]]:
    states = [(told(name, session=i), NOW + 10 * i, False) for i, name in enumerate(kinds[0])]
    cams = [
        (frustum(seq=i, time=None if i % 2 else NOW, azimuth_deg=float(i)), NOW + 10 * i + 3, kept)
        for i, kept in enumerate(kinds[1])
    ]
    pirs = [(frustum(seq=i, sensor="pir", boot=3 + i), NOW + 10 * i + 5, kept) for i, kept in enumerate(kinds[2])]
    return [states, cams, pirs, [(birth(), NOW + 1, True)]]


@given(topics, st.data())
def test_the_order_of_messages_of_different_topics_does_not_matter(kinds, data):
    streams = _streams(kinds)
    one_after_the_other = state(*(arrival for stream in streams for arrival in stream))
    turns = data.draw(st.permutations([i for i, stream in enumerate(streams) for _ in stream]))
    left = [list(stream) for stream in streams]
    mixed = state(*(left[turn].pop(0) for turn in turns))
    for at in (NOW, NOW + 31_000, NOW + 91_000):
        assert mixed.snapshot(at) == one_after_the_other.snapshot(at)
        assert mixed.nodes(at) == one_after_the_other.nodes(at)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), min_size=1, max_size=12))
def test_an_older_report_never_replaces_a_newer_one(orders):
    found = State("w")
    for boot, seq, retained in orders:
        found.apply(frustum(seq=seq, boot=boot, azimuth_deg=float(10 * boot + seq)), NOW, retained)
    boot, seq, _ = max(orders, key=lambda order: order[:2])
    assert only(found, NOW).report.values["azimuth_deg"] == 10 * boot + seq


@given(st.integers(0, LAST), st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=1, max_size=12))
def test_an_older_report_never_replaces_a_newer_one_wherever_the_circle_of_numbers_begins(first, steps):
    found = State("w")
    for step, retained in steps:
        found.apply(frustum(seq=(first + step) % (LAST + 1), azimuth_deg=step / 10), NOW, retained)
    assert only(found, NOW).report.values["azimuth_deg"] == max(step for step, _ in steps) / 10


@given(
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 50)), max_size=8),
)
def test_no_will_of_an_old_session_kills_whenever_it_comes(current, wills):
    boot, session = current
    found = state((told("ready", boot=boot, session=session), NOW), (frustum(boot=boot), NOW))
    for old_boot, old_session, delay in wills:
        if (old_boot, old_session) < current:
            found.apply(told("lost", boot=old_boot, session=old_session), NOW + delay)
    assert only(found, NOW + 60).status == "heard"
    assert found.nodes(NOW + 60)[0].state == "ready"


@given(st.lists(st.integers(0, 200), min_size=1, max_size=20))
def test_status_only_falls_as_time_goes_by_without_messages(times):
    found = state((frustum(), NOW), (told("ready"), NOW))
    rank = {"heard": 0, "stale": 1, "lost": 2}
    seen = [rank[only(found, NOW + 1000 * at).status] for at in sorted(times)]
    assert seen == sorted(seen)
