"""The power fails at operation n of the flash, its last write torn: for every n the node boots with what is whole.

One MicroPython process runs it all over a block device in RAM under a real LittleFS (firmware/unix/flash_device.py):
the same image each time, one operation more before the cut, then a new start from what the flash then holds.
"""

import base64
import hashlib
import json
import subprocess

import pytest

from dronewall.bench.bundle import bundle
from firmware_side import board
from test_bench_bundle import KEY, tree

OLD, NEW = 5, 6
CONFIGS = [b"old" * 1365 + b"\n", b"new" * 1365 + b"\n"]

SOURCE = """
import sys
sys.path[:] = [{unix!r}, {board!r}, ".frozen"]
import asyncio, binascii, gc, hashlib, json, os, vfs
import flash_device, flash, guard, loader, log, store
with open({given!r}) as file:
    given = json.load(file)
with open({bundle!r}, "rb") as file:
    content = file.read()
asyncio.create_task = lambda task: task.close()
loader.print = log.print = flash.log = lambda *_, **__: None
BLOCKS = 96

class Config:
    wall, node = "w", "n"

def mounted(image=None):
    device = flash_device.Memory(BLOCKS, image)
    if image is None:
        vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/flash")
    os.chdir("/flash")
    return device

def unmounted():
    os.chdir("/")
    vfs.umount("/flash")
    gc.collect()

def put(folder, version, files):
    for path in files:
        for end in range(len(path)):
            if path[end] == "/":
                try:
                    os.mkdir(folder + "/" + path[:end])
                except OSError:
                    pass
        with open(folder + "/" + path, "wb") as file:
            file.write(binascii.a2b_base64(files[path]))
    store.write(folder + "/whole", b"%d " % version, True)

def update():
    sys.modules.pop("update", None)
    import update
    update.log = loader.print
    for offset in range(0, len(content), 512):
        data = binascii.b2a_base64(content[offset:offset + 512]).decode().strip()
        reply = update.taken(Config, {{"offset": offset, "data": data}})
        if reply != {{"status": "done", "next_offset": min(offset + 512, len(content))}}:
            raise ValueError(str(reply))

def confirmed():
    folder, version, tries = flash.slot()
    flash.choose(folder, version)

def updated():
    update()
    loader.chosen()
    confirmed()

def rolled_back():
    for _ in range(4):
        loader.chosen()

def saved():
    store.write("config.json", given["configs"][1].encode())

def counted():
    flash.counted(1, 1, 1)

def logged():
    for i in range(2):
        log.note("test", "%d " % i + "x" * 600)

def begun(action):
    # What the flash holds before the action.
    device = mounted()
    os.mkdir("a")
    put("a", 5, given["files"]["5"])
    flash.choose("a", 5)
    store.write("config.json", given["configs"][0].encode())
    store.write("update.key", binascii.a2b_base64(given["key"]))
    flash.counted(41, 7)
    with open("faults.log", "w") as file:
        for i in range(50):
            file.write("%02d a line of the log that is as long as this one is: it has seventy-two\\n" % i)
    if action is rolled_back:
        update()
    unmounted()
    return bytes(device.data)

def sums(folder):
    found = {{}}
    def below(path, name):
        for entry in os.listdir(path):
            whole = path + "/" + entry
            if os.stat(whole)[0] & 0x4000:
                below(whole, name + entry + "/")
            elif name + entry != "whole":
                with open(whole, "rb") as file:
                    found[name + entry] = binascii.hexlify(hashlib.sha256(file.read()).digest()).decode()
    below(folder, "")
    return found

def wrong(action, done):
    # What is wrong with what a start finds after the cut, or None.
    start = loader.chosen()
    if not start:
        return "nothing to start"
    version = 0
    for each in given["sums"]:
        if sums(start[0]) == given["sums"][each]:
            version = int(each)
    if not version:
        return "a folder that is not whole: " + start[0]
    if done and version != (6 if action is updated else 5):
        return "version %d runs in the end" % version
    if store.read("config.json").decode() not in given["configs"] or (action is not saved and
            store.read("config.json").decode() != given["configs"][0]):
        return "config"
    counters = flash.counted(0, 0)
    if counters != (41, 7, 0) and (action is not counted or counters != (42, 8, 1)):
        return "counters %r" % (counters,)
    text = ""
    for name in ("faults.old", "faults.log"):
        if name in os.listdir():
            with open(name) as file:
                text += file.read()
    lines = text.split("\\n")
    if lines.pop() or len(lines) < 50 or [line for line in lines if line[-12:] not in (" seventy-two", "x" * 12)]:
        return "log"
    if not done and action is updated and version == 5:
        # What the cut has left does not stand in the way of the next attempt.
        start = loader.chosen()
        update()
        if loader.chosen() != ("b", True) or sums("b") != given["sums"]["6"]:
            return "cannot be updated any more"

out = []
action = [each for each in (saved, counted, logged, updated, rolled_back) if each.__name__ == given["action"]][0]
base = begun(action)
n = 0
while True:
    device = mounted(base)
    device.left = n
    done = True
    try:
        action()
    except flash_device.PowerCut:
        done = False
    unmounted()
    mounted(device.image or device.data)
    trouble = wrong(action, done)
    if trouble:
        out.append([n, trouble])
    unmounted()
    if done:
        break
    n += 1
print(json.dumps([n, device.operations, out]))
"""


def cut(micropython, tmp_path, action, files=3):
    """(cuts tried, operations of the whole action, [[n, what was wrong]])."""
    trees = {OLD: tree(tmp_path / "old", files, b"old"), NEW: tree(tmp_path / "new", files, b"new")}
    contents = {
        version: {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
        for version, made in trees.items()
    }
    (tmp_path / "bundle").write_bytes(bundle(trees[NEW], "w/n", NEW, KEY))
    given = {
        "action": action,
        "key": base64.b64encode(KEY).decode(),
        "configs": [config.decode() for config in CONFIGS],
        "files": {OLD: {name: base64.b64encode(data).decode() for name, data in contents[OLD].items()}},
        "sums": {
            version: {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
            for version, found in contents.items()
        },
    }
    (tmp_path / "given").write_text(json.dumps(given))
    paths = {"unix": str(board() / "unix"), "board": str(board())}
    paths |= {"given": str(tmp_path / "given"), "bundle": str(tmp_path / "bundle")}
    (tmp_path / "cuts.py").write_text(SOURCE.format(**paths))
    command = [micropython, "-X", "heapsize=32m", str(tmp_path / "cuts.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("action", ["saved", "counted", "logged", "updated", "rolled_back"])
def test_a_cut_at_any_operation_leaves_a_node_that_boots_with_what_is_whole(micropython, tmp_path, action):
    tried, operations, wrong = cut(micropython, tmp_path, action)
    assert wrong == []
    assert tried == operations  # one cut in each, and then none
    assert operations >= 3


@pytest.mark.soak
@pytest.mark.parametrize("files", [1, 9, 27])
def test_a_cut_at_every_operation_of_a_larger_update_leaves_the_old_firmware_or_the_new(micropython, tmp_path, files):
    tried, operations, wrong = cut(micropython, tmp_path, "updated", files=files)
    assert wrong == []
    assert tried == operations
