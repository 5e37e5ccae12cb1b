"""What the host may ask of a node."""

import json
import sys

import clock
import wire
from log import log
from micropython import const

_REMEMBERED = const(8)  # ids of commands, so that one that comes twice is carried out and answered once


class Commands:
    """`payload` is given each command as it came; `reply(fields)` takes the answer; `look(sensor, azimuth,
    elevation)` [cdeg] turns the servo or says why not. What they change: `period_s`; `identify_until`, the uptime [ms]
    until which the light blinks; and `then`, what the node has to do once it has replied: None, or (sleep, reboot or
    config, milliseconds).
    """

    def __init__(self, config, reply, look=None):
        self.period_s = config.period_s
        self.identify_until = 0
        self.then = None
        self._config = config
        self._reply = reply
        self._look = look
        self._ids = []
        self._trial = None

    def resume(self, trial):
        """Takes up a configuration's trial: its command is not carried out again, and no other one meanwhile."""
        self._trial = trial[0]
        self._ids.append(trial[0])

    def tried(self, trial, now):
        """Replies to the command whose trial is over."""
        self._trial = None
        self._answer(trial[0], {"status": trial[1], "reason": trial[2]}, now)

    def _answer(self, word, reply, now):
        reply["id"], reply["time_unix_ms"] = word, now
        self._reply(reply)

    def take(self, payload, now):
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
                self._answer(word, {"status": "failed", "reason": reason}, now)
            return
        if values["id"] in self._ids:
            return
        self._ids = self._ids[1 - _REMEMBERED :] + [values["id"]]
        word = values["command"]
        # Without a clock expiry cannot be told; but then the session is clean, and the command not an old
        # one.
        if now is not None and now > values["expires_unix_ms"]:
            reply = {"status": "expired"}
        else:
            reply = self._carried_out(word, values)
        if reply is None:
            return log("command", "%s: on trial" % word)
        if isinstance(reply, str):
            reply = {"status": "refused", "reason": reply}
        log("command", "%s: %s" % (word, reply["status"]))
        self._answer(values["id"], reply, now)

    def _carried_out(self, word, values):
        """The reply, or why it is refused; None where the reply comes after a restart."""
        if word == "period":
            if values["period_s"] > self._config.valid_s:
                return "period_s over valid_s, %d" % self._config.valid_s
            self.period_s = values["period_s"]
        elif word == "identify":
            self.identify_until = clock.uptime_ms() + 1000 * values["identify_s"]
        elif word == "look":
            reason = self._look(values["sensor"], values["azimuth_cdeg"], values["elevation_cdeg"])
            if reason:
                return reason
        elif self.then:
            return "about to " + self.then[0]
        elif word == "update":
            import update

            return update.taken(self._config, values)
        elif word != "config":
            self.then = (word, 1000 * values.get("sleep_s", 0))
        elif self._trial:
            return "a configuration is on trial"
        else:
            import tried

            answer = tried.taken(values["id"], values["patch"])
            del sys.modules["tried"], tried
            if answer:
                return {"status": answer[0], "reason": answer[1]}
            self.then = (word, 0)
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
