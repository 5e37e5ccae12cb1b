"""What the host may ask of a node. Loaded when a command comes and forgotten.

What a command changes is the Node's: `period_s`, `identify_until`, `then`, and `ids`, the commands that it had.
"""

import json

import clock
import wire
from log import log, once
from micropython import const

_REMEMBERED = const(8)  # ids of commands, so that one that comes twice is carried out and answered once


def _answer(node, word, reply, now):
    reply["id"], reply["time_unix_ms"] = word, now
    node.link.reply(reply)


def take(node, payload, now):
    """Carries out a command and replies once; to `config` after the restart that it asks for. `payload`: None where
    it was too long; `now`: unix ms or None."""
    try:
        if payload is None:
            raise wire.WireError("a command of over 1 KiB")
        values = wire.command(payload)
    except wire.WireError as error:
        reason = str(error)[:200]
        if payload and b"patch" in payload:
            reason = "config: id, expires_unix_ms and patch, a text of 2 to 700 characters, expected"  # no password
        log("command", reason)
        word = _id_of(payload)
        if word is not None:
            _answer(node, word, {"status": "failed", "reason": reason}, now)
        return
    if values["id"] in node.ids:
        return
    node.ids = node.ids[1 - _REMEMBERED :] + [values["id"]]
    word = values["command"]
    # Without a clock expiry cannot be told; but then the session is clean, and the command not an old
    # one.
    if now is not None and now > values["expires_unix_ms"]:
        reply = {"status": "expired"}
    else:
        reply = _carried_out(node, word, values)
    if reply is None:
        return log("command", "%s: on trial" % word)
    if isinstance(reply, str):
        reply = {"status": "refused", "reason": reply}
    log("command", "%s: %s" % (word, reply["status"]))
    _answer(node, values["id"], reply, now)


def _carried_out(node, word, values):
    """The reply, or why it is refused; None where the reply comes after a restart."""
    if word == "period":
        if values["period_s"] > node.config.valid_s:
            return "period_s over valid_s, %d" % node.config.valid_s
        node.period_s = values["period_s"]
    elif word == "identify":
        node.identify_until = clock.uptime_ms() + 1000 * values["identify_s"]
    elif word == "look":
        reason = node.measured.look(values["sensor"], values["azimuth_cdeg"], values["elevation_cdeg"])
        if reason:
            return reason
    elif node.then:
        return "about to " + node.then[0]
    elif word == "update":
        import update

        return update.taken(node.config, values)
    elif word != "config":
        node.then = (word, 1000 * values.get("sleep_s", 0))
    elif node.trial and len(node.trial) > 1:
        return "a configuration is on trial"
    else:
        answer = once("tried", "store").taken(values["id"], values["patch"])
        if answer:
            return {"status": answer[0], "reason": answer[1]}
        node.then = (word, 0)
        return None
    return {"status": "done"}


def _id_of(payload):
    """The id of a command that is not valid otherwise, or None."""
    try:
        found = json.loads(payload)["id"]
        wire.encode("reply", {"id": found, "status": "failed"})
    except (ValueError, KeyError, TypeError, RuntimeError, MemoryError):  # the last two: nested too deep
        return None
    return found
