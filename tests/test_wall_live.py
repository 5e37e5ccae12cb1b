"""A wall whose sensors come, turn and go makes the coverage that one made afresh of the same reports makes."""

import dataclasses

import numpy as np
import pytest

from dronewall.engine import wall
from dronewall.engine.ground import ground_of
from dronewall.engine.plan import planned
from dronewall.scenario import read
from test_wall import SITE


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "site.toml"
    path.write_text(SITE)
    return ground_of(read(path))


def same(one, other):
    """Whether two coverages are equal, bit for bit."""
    if dataclasses.replace(one, targets=()) != dataclasses.replace(other, targets=()):
        return False
    for a, b in zip(one.targets, other.targets, strict=True):
        if a.gaps != b.gaps or not np.array_equal(a.look, b.look, equal_nan=True) or list(a.field) != list(b.field):
            return False
        for entry in dataclasses.fields(a.stations):
            left, right = getattr(a.stations, entry.name), getattr(b.stations, entry.name)
            if entry.name == "routes":
                left, right = np.concatenate(left.cells), np.concatenate(right.cells)
            if not np.array_equal(left, right, equal_nan=np.asarray(left).dtype.kind == "f"):
                return False
    return True


def turned(reports, sensor, azimuth_deg):
    return [
        report._replace(values={**report.values, "azimuth_deg": azimuth_deg})
        if report.kind == "frustum" and f"{report.node}/{report.sensor}" == sensor
        else report
        for report in reports
    ]


def test_after_any_updates_it_equals_one_made_afresh(ground):
    plan = planned(ground)
    hollow = [
        report._replace(values={**report.values, "vfov_deg": 0.0})
        if report.kind == "frustum" and report.node == "P1"
        else report
        for report in plan
    ]
    steps = [
        (plan, {}),
        (plan, {"P1/cam": ("stale", "40 s old")}),
        (turned(plan, "P1/cam", 100.0), {"P1/cam": ("stale", "40 s old")}),
        (turned(plan, "P1/cam", 100.0), {}),
        ([report for report in plan if report.node != "P1"], {}),
        (hollow, {}),
        (plan, {"D1/cam": ("missing", "lost")}),
        (planned(ground, 20.0), {"P1/side": ("suspect", "jumped")}),
    ]
    live = wall.Wall(ground)
    for index, (reports, states) in enumerate(steps):
        assert live.update(reports, states=states)
        assert not live.update(reports, states=states)
        fresh = wall.cover(ground, reports, index, source="live", states=states)
        assert same(live.coverage(index, "live"), fresh), index


def test_only_what_has_changed_is_computed_again(ground):
    plan, told = planned(ground), []
    live = wall.Wall(ground)

    def update(reports, **states):
        told.clear()
        live.update(reports, states=states, told=lambda name, _: told.append(name))
        return list(told)

    assert update(plan) == ["P1/cam", "P1/side", "D1/cam"]
    assert update(plan) == []
    first = live.coverage(1, "live").targets
    assert update(turned(plan, "P1/side", 50.0)) == ["P1/side"]
    assert live.coverage(2, "live").targets[0] is not first[0]
    update(plan)
    before = live.coverage(3, "live").targets
    live.update(plan, states={"P1/cam": ("stale", "old")})
    after = live.coverage(4, "live").targets
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, True, False, False]
    assert update(plan) == []
    assert same(live.coverage(5, "live"), wall.cover(ground, plan, 5, source="live"))


def test_an_update_that_is_interrupted_can_be_made_again(ground):
    plan = planned(ground)
    live = wall.Wall(ground)

    def interrupted(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live.update(plan, progress=interrupted)
    live.update(plan)
    assert same(live.coverage(None, "live"), wall.cover(ground, plan, source="live"))
