"""What the host may ask of a node that restarts or sleeps for it, and the trial of a configuration: every cut of it."""

import copy
import json

import pytest

from dronewall import wire
from firmware_side import answer, interpreter
from sleepers import PWRON, SOFT
from test_firmware_config import CAMERA, NODE, PRESENCE
from test_firmware_node import Host, broker, host  # noqa: F401
from test_firmware_power import start  # noqa: F401


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


# A folder of files in RAM that is cut before, in the middle of or after operation `left`.
FLASH = """
import sys, json
class machine:
    def reset(): raise SystemExit("reset")
class log:
    def log(*_): pass
    def once(name): return __import__(name)
sys.modules["machine"], sys.modules["log"] = machine, log
import store, tried, config
files = {}
left = [1000000]
class Cut(Exception):
    pass
def spend():
    left[0] -= 1
    if left[0] == 0:
        raise Cut
class File:
    def __init__(self, path, mode):
        if "w" not in mode and path not in files: raise OSError(2)
        self.path, self.mode = path, mode
        if "w" in mode:
            spend()
            files[path] = b""
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def write(self, data):
        files[self.path] = data[: len(data) // 2]
        spend()
        files[self.path] = data
    def read(self): return files[self.path]
class Os:
    def listdir(): return list(files)
    def stat(path): return (0,) * 6 + (len(files[path]),)
    def rename(old, new):
        spend()
        files[new] = files.pop(old)
        spend()
    def remove(path):
        spend()
        del files[path]
        spend()
for module in (store, tried, config):
    module.os = Os
    module.open = lambda path, mode="r": File(path, mode)
config.read = lambda path: config.settings(json.loads(files[path]))
class Link:
    ready, waits, told = True, False, []
    def reply(self, fields): self.told.append((fields["id"], fields["status"], fields["reason"]))
    def waiting(self): return self.waits
class Clock:
    def at(self, uptime): return None
class Node:
    link, config = Link(), None
    def clock(self): return Clock()
def boot():
    # One start: what it runs with, and what it is told of a trial.
    # (config.start loads `tried` anew, and with it the real files.)
    tries = "config.new" in files or "config.tried" in files
    Node.config, Node.trial = tried.settings() if tries else (config.read("config.json"), None)
    Link.told = []
    return Node.config.period_s
def online():
    for _ in range(5):
        if Node.trial:
            Node.trial = tried.step(Node(), 1000)
def period():
    return json.loads(files["config.json"])["period_s"]
"""


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # All of RFC 7396, appendix A, whose target is an object or an array.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_merges_as_the_rfc_says(side, target, patch, result):
    assert answer(side, FLASH + "out = tried.patched(*given)", [target, patch]) == result


def test_a_patch_of_one_sensor_leaves_the_others_and_their_order(side):
    source = FLASH + "out = [tried.patched(json.loads(json.dumps(given[0])), patch)['sensors'] for patch in given[1:]]"
    turned = {"sensors": {"cam": {"azimuth_cdeg": 9000, "azimuth_sigma_cdeg": 50, "roll_cdeg": None}}}
    camera = {**CAMERA, "azimuth_cdeg": 9000, "azimuth_sigma_cdeg": 50}
    del camera["roll_cdeg"]
    patches = [turned, {"sensors": {"cam": None}}, {"sensors": {"third": {"driver": "pir"}}}, {"sensors": []}]
    assert answer(side, source, [NODE, *patches]) == [
        [camera, PRESENCE],
        [PRESENCE],
        [CAMERA, PRESENCE, {"name": "third", "driver": "pir"}],
        [],
    ]


def test_a_cut_at_any_operation_leaves_the_old_or_the_new_configuration_whole(side):
    source = (
        FLASH
        + """
out = []
n = 0
while True:
    n += 1
    files.clear()
    files["config.json"] = json.dumps(given).encode()
    left[0] = n
    stage = "taking"
    try:
        assert tried.taken("c1", '{"period_s": 7}') is None
        stage = "trying"
        ran = boot()
        stage = "told"
        online()
        stage = "over"
    except Cut:
        pass
    left[0] = 1000000
    before = period()
    ran = boot()
    trial = Node.trial
    online()
    out.append([stage, before, ran, trial and trial[1], [list(told) for told in Link.told], period(),
        sorted(name for name in files if name != "config.json" and name[-4:] != ".new")])
    if stage == "over":
        break
"""
    )
    ends = answer(side, source, NODE)
    stages = [end[0] for end in ends]
    assert stages == sorted(stages, key=["taking", "trying", "told", "over"].index)
    assert len(ends) > 10
    for stage, before, ran, trial, told, after, files in ends:
        assert before in (7, 10)
        assert after in (7, 10)
        assert files == []  # nothing is left lying about once the node was online
        if stage == "taking":
            # Not taken: it goes on with the old one; taken by its last operation: this start tries it and keeps it.
            assert (ran, trial, after) in [(10, None, 10), (7, None, 7)]
        elif stage == "trying":
            assert (ran, after) in [(10, 10), (7, 7)]
        if told:
            # What the host is told is what the node runs with from then on.
            ((word, status, reason),) = told
            assert word == "c1"
            assert (status == "done") == (after == 7)
            assert (reason is None) == (status == "done")
        if before == 7:
            assert (ran, after) == (7, 7)


def test_a_configuration_that_never_comes_online_is_given_up_and_the_old_one_is_back(side):
    source = (
        FLASH
        + """
files["config.json"] = json.dumps(given).encode()
tried.taken("c1", '{"period_s": 7, "confirm_s": 60}')
out = [boot()]
Node.link.ready = False
Node.trial = tried.step(Node(), 60000)
out.append(Node.trial)
try:
    tried.step(Node(), 60001)
except SystemExit as end:
    out.append(str(end))
out.append(boot())
Node.trial = tried.step(Node(), 1)
out += [Link.told, Node.trial]
Node.trial = tried.step(Node(), 2)
out.append("config.tried" in files)
Node.link.ready, Node.link.waits = True, True
Node.trial = tried.step(Node(), 3)
out.append("config.tried" in files)
Node.link.waits = False
Node.trial = tried.step(Node(), 4)
out += [Node.trial, sorted(files)]
"""
    )
    first, trial, end, second, told, after, offline, unsent, over, files = answer(side, source, NODE)
    assert (first, trial, end, second) == (7, ["c1", None, None], "reset", 10)
    assert told == [["c1", "failed", "not online with it in time: the old one is back"]]
    # The file goes when the reply has gone: a cut before that, and the next start tells it again.
    assert (after, offline, unsent) == (["c1"], True, True)
    assert (over, files) == (None, ["config.json"])


@pytest.mark.parametrize(("period", "ends"), [(7, [7, "done", 7]), (0, [10, "refused", 10])])
def test_a_node_without_the_memory_to_check_a_patch_leaves_that_to_the_start(side, period, ends):
    source = (
        FLASH
        + """
files["config.json"] = json.dumps(given[0]).encode()
real = tried._checked
def full(values): raise MemoryError
tried._checked = full
assert tried.taken("c1", '{"period_s": %d}' % given[1]) is None
out = [boot()]
online()
out += [Link.told[0][1], period()]
assert list(files) == ["config.json"]
# A cut between the renaming and the patching: nothing is tried twice.
assert tried.taken("c2", '{"period_s": 8}') is None
files["config.tried"] = files.pop("config.new")
assert boot() == out[2]
online()
assert Link.told[0][:2] == ("c2", "failed")
"""
    )
    assert answer(side, source, [NODE, period]) == ends


@pytest.mark.parametrize(
    ("patch", "status", "reason"),
    [
        ("{", "failed", "patch: an object in JSON expected"),
        ("[1]", "failed", "patch: an object in JSON expected"),
        ('{"period_s": 0}', "refused", "period_s: integer from 1 to 3600 expected"),
        ('{"perod_s": 5}', "refused", "perod_s: unknown key, did you mean period_s?"),
        (
            '{"period_s": null, "mqtt": {"host": null, "port": 0}}',
            "refused",
            "mqtt.host: is missing; mqtt.port: integer from 1 to 65535 expected",
        ),
        ('{"wifi": {"ssid": "x", "password": "hush"}}', "refused", "wifi: list of at most 8 expected"),
        (
            '{"sensors": {"cam": {"azimuth_cdeg": 36000}}}',
            "refused",
            "sensors[0].azimuth_cdeg: integer from 0 to 35999 expected",
        ),
        ('{"mqtt": {"password": ["hush"]}}', "refused", "mqtt.password: text of 1 to 128 characters expected"),
    ],
)
def test_a_patch_that_makes_no_configuration_is_refused_without_its_values(side, patch, status, reason):
    source = (
        FLASH
        + """
files["config.json"] = json.dumps(given[0]).encode()
before = set(sys.modules)
out = [tried.taken("c1", given[1]), sorted(files), sorted(set(sys.modules) - before)]
"""
    )
    assert answer(side, source, [NODE, patch]) == [[status, reason], ["config.json"], []]


def test_all_that_is_wrong_is_told_as_far_as_a_reply_has_room(side):
    source = (
        FLASH
        + """
files["config.json"] = json.dumps(given).encode()
out = tried.taken("c1", json.dumps({"sensors": [{"name": "a"}, {"name": "b"}]}))
"""
    )
    status, reason = answer(side, source, NODE)
    assert status == "refused"
    assert len(reason) == 200
    assert reason.startswith("sensors[0].driver: is missing; ")
    wire.encode("reply", {"id": "c1", "status": status, "reason": reason})


def test_a_secret_in_a_command_that_is_none_is_neither_told_nor_logged(micropython):
    source = """
given_config = given
class Config:
    wall, node, period_s, valid_s = "w", "n", 10, 30
import commands
told = []
commands.log = lambda source, text: told.append(str(text))
class Link:
    reply = told.append
class Node:
    config, link, ids, trial = Config, Link, [], None
for payload in given:
    commands.take(Node, payload.encode(), None)
out = told
"""
    head = '{"id":"c1","expires_unix_ms":1800000000000,"command":"config",'
    patch = json.dumps({"mqtt": {"password": "hush"}})
    commands = [
        head + f'"patch":{json.dumps(patch * 40)}}}',
        head + '"patch":{"mqtt":{"password":"hush"}}}',
        head + f'"patch":{json.dumps(patch)}',
    ]
    told = answer(micropython, source, commands)
    assert len(told) == 5  # each logged, and answered where the id could be read
    assert not [line for line in told if "hush" in str(line)]


def test_a_reboot_is_answered_first_says_goodbye_and_is_no_fault(start, host):  # noqa: F811
    board = start(period_s=1)
    host.until("frustum")
    host.send(id="r1", command="reboot")
    assert host.until("reply")[0].values["status"] == "done"
    state = host.until("state")[0].values
    assert (state["state"], state["boot"]) == ("disconnected", 1)
    state = host.until("state")[0].values
    assert (state["state"], state["boot"]) == ("ready", 2)
    health = host.until(lambda report: report.kind == "health" and report.values["boot"] == 2)[0].values
    assert (health["resets"], health["reset"]) == (0, "soft")
    assert board.causes == [PWRON, SOFT]


def test_a_node_sleeps_at_the_hosts_word_and_comes_back(start, host):  # noqa: F811
    start(period_s=1)
    host.until("frustum")
    host.send(id="s1", command="sleep", sleep_s=2)
    assert host.until("reply")[0].values["status"] == "done"
    states = [report.values for report in host.until("state", 2)]
    assert [(state["state"], state["boot"], state["session"]) for state in states] == [
        ("sleeping", 1, 1),
        ("ready", 1, 2),
    ]
    health = host.until(lambda report: report.kind == "health" and report.values["uptime_ms"] > 2000)[0].values
    assert health["awake"] < 1


def test_a_patched_configuration_is_kept_by_the_node_that_comes_online_with_it(start, host):  # noqa: F811
    board = start()
    host.until("frustum")
    host.send(id="c1", command="config", patch='{"valid_s": 77}')
    reply = host.until("reply")[0].values
    assert (reply["id"], reply["status"]) == ("c1", "done")
    assert {report.values["valid_s"] for report in host.reports if report.kind == "frustum"} >= {60}
    assert host.until(lambda r: r.kind == "frustum" and r.values["boot"] == 2)[0].values["valid_s"] == 77
    assert json.loads((board.folder / "config.json").read_text()) == {
        **json.loads(json.dumps(copy.deepcopy(NODE))),
        "mqtt": {**NODE["mqtt"], "port": host.port},
        "period_s": 2,
        "sensors": [CAMERA],
        "valid_s": 77,
    }
    assert "resets" not in board.said()


def test_a_configuration_with_which_the_node_stays_offline_is_rolled_back_by_a_power_cut(start, host):  # noqa: F811
    node = start()
    host.until("frustum")
    host.send(id="c1", command="config", patch='{"mqtt": {"port": 1}}')
    node.says("ECONNREFUSED")
    node.cut()
    node.again()
    reply = host.until("reply")[0].values
    assert (reply["id"], reply["status"]) == ("c1", "failed")
    assert "the old one is back" in reply["reason"]
    assert json.loads((node.folder / "config.json").read_text())["mqtt"]["port"] == host.port
