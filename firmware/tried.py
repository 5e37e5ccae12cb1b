"""A configuration on trial: patched, tried by one start, and kept only if the node comes online with it.

Three files, each written whole or not at all, in this order:

    config.json    what is kept
    config.new     the id of the command, a line break, and the configuration for the next start
    config.tried   the same, renamed by the start that tries it

Where the running node has no memory to patch, check and write, `config.new` has the patch alone, and the start does it.

A start that finds `config.new` renames it first and then tries it. One that finds only `config.tried` comes after a
trial: where that is what `config.json` holds it was kept, else it failed, by a reset, a power cut or for want of a
link. So whatever is cut where, a start finds a whole configuration, and none is tried twice. What was wrong with a
value is told without the value: it may be a password.
"""

import json
import os
import sys

import machine
import store
from log import log
from micropython import const

_KEPT = "config.json"
_NEW = "config.new"
_TRIED = "config.tried"
_PATCH = b" patch"  # behind the id where only the patch follows: the running node had no memory to apply it
_LARGEST = const(16_384)  # as config.py
_REASON = const(200)  # the wire's bound


def _has_names(target):
    return type(target) is list and target and all([type(each) is dict and "name" in each for each in target])


def patched(target, patch):
    """`target` after a merge patch (RFC 7396, section 2); it is changed in place. Where a list of things with names
    stands and the patch has an object, its keys are such names: {"sensors": {"cam": {"azimuth_cdeg": 9000}}}. By the
    RFC it would take the list's place, where config.json has no room for an object.
    """
    if type(patch) is not dict:
        return patch
    if _has_names(target):
        for name, value in patch.items():
            at = [item["name"] for item in target]
            i = at.index(name) if name in at else len(at)
            new = patched(target[i] if name in at else {"name": name}, value)
            target[i : i + 1] = [] if value is None else [new]
        return target
    if type(target) is not dict:
        target = {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = patched(target.get(name), value)
    return target


def _told(error):
    """All problems of a ConfigError as far as a reply has room, without what came."""
    lines = [line[: line.find(", not ")] if ", not " in line else line for line in str(error).split("\n")]
    text = "; ".join(lines)
    return text if len(text) <= _REASON else text[: _REASON - 3] + "..."


def _checked(values):
    """What is wrong with a configuration, None where nothing is; leaves no module loaded that was not before."""
    before = set(sys.modules)
    import config

    try:
        config.settings(values)
    except config.ConfigError as error:
        return _told(error)
    except (RuntimeError, MemoryError):
        # The restart has more room, and will say.
        return None
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]
            package, _, module = name.rpartition(".")
            if module and package in sys.modules:
                delattr(sys.modules[package], module)
    return None


def taken(word, text):
    """Puts config.json, patched, on trial for the next start; `word` is the command's id. (status, reason) of the reply
    where that cannot be; None where it waits for the start."""
    try:
        patch = json.loads(text)
        if type(patch) is not dict:
            raise ValueError
    except (ValueError, RuntimeError, MemoryError):
        return "failed", "patch: an object in JSON expected"
    try:
        values = patched(json.loads(store.read(_KEPT)), patch)
        reason = _checked(values)
        whole = json.dumps(values)
        del values
        if not reason and len(whole) > _LARGEST:
            reason = "config.json: %d bytes, at most %d expected" % (len(whole), _LARGEST)
        if reason:
            return "refused", reason
        store.write(_NEW, word.encode() + b"\n" + whole.encode())
    except (ValueError, TypeError):  # TypeError: there is no config.json
        return "failed", "config.json: an object in JSON expected"
    except OSError as error:
        return "failed", "the flash cannot be written: %s" % error
    except (RuntimeError, MemoryError):
        # A start has room for it.
        try:
            store.write(_NEW, word.encode() + _PATCH + b"\n" + text.encode())
        except OSError as error:
            return "failed", "the flash cannot be written: %s" % error
    return None


def settings():
    """(Settings of this start, (id, status or None while they are on trial, reason)). ConfigError where what is kept is
    not a configuration."""
    import config

    new = _NEW in os.listdir()
    if new:
        try:
            # From here on it has been tried.
            os.rename(_NEW, _TRIED)
        except OSError as error:
            log("config", "no trial: %s" % error)
            return config.read(_KEPT), None
    word, _, text = (store.read(_TRIED) or b"").partition(b"\n")
    verdict = (word.partition(b" ")[0].decode(), "failed", "not online with it in time: the old one is back")
    if new:
        try:
            if word[-len(_PATCH) :] == _PATCH:
                text = json.dumps(patched(json.loads(store.read(_KEPT)), json.loads(text))).encode()
                word = word[: -len(_PATCH)]
                store.write(_TRIED, word + b"\n" + text)
            tried = config.settings(json.loads(text))
            log("config", "on trial")
            return tried, (verdict[0], None, None)
        except Exception as error:
            verdict = (verdict[0], "refused", _told(error))
    elif text == store.read(_KEPT):
        verdict = (verdict[0], "done", None)
    log("config", "%s: %s" % verdict[1:])
    return config.read(_KEPT), verdict if word else None


def step(node, now):
    """What becomes of a trial, at uptime `now` [ms]: kept once the node is online, given up after `confirm_s` of the
    new configuration; then told, and forgotten once that was sent. The trial from now on, None when it is over."""
    trial = node.trial
    if len(trial) == 1:
        if node.link.ready and not node.link.waiting():
            try:
                os.remove(_TRIED)
            except OSError as error:
                log("config", error)
            sys.modules.pop("tried", None)
            return None
    elif trial[1]:
        reply = {"id": trial[0], "status": trial[1], "reason": trial[2], "time_unix_ms": node.clock().at(now)}
        node.link.reply(reply)
        return trial[:1]
    elif node.link.ready:
        try:
            store.write(_KEPT, store.read(_TRIED).partition(b"\n")[2])
            log("config", "kept")
            return trial[0], "done", None
        except OSError as error:
            log("config", error)
            machine.reset()
    elif now > 1000 * node.config.confirm_s:
        log("config", "not online in time")
        machine.reset()
    return trial
