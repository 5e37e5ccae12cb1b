"""What the host may ask of a node."""

import json

import clock
import wire
from log import log
from micropython import const

_REMEMBERED = const(8)  # ids of commands, so that one that comes twice is carried out and answered once


class Commands:
    """`payload` is given each command as it came; `reply(fields)` takes the answer; `look(sensor, azimuth,
    elevation)` [cdeg] turns the servo or says why not. What they change: `period_s`, and `identify_until`, the
    uptime [ms] until which the light blinks.
    """

    def __init__(self, config, reply, look=None):
        self.period_s = config.period_s
        self.identify_until = 0
        self._config = config
        self._reply = reply
        self._look = look
        self._ids = []

    def take(self, payload, now):
        """Carries out a command and replies once. `payload`: None where it was too long; `now`: unix ms or
        None."""
        try:
            if payload is None:
                raise wire.WireError("a command of over 1 KiB")
            values = wire.command(payload)
        except wire.WireError as error:
            log("command", error)
            reply = {"id": _id_of(payload), "status": "failed", "reason": str(error)[:200]}
            if reply["id"] is None:
                return
        else:
            if values["id"] in self._ids:
                return
            self._ids = self._ids[1 - _REMEMBERED :] + [values["id"]]
            reply = {"id": values["id"], "status": "done"}
            word = values["command"]
            # Without a clock expiry cannot be told; but then the session is clean, and the command not an old
            # one.
            if now is not None and now > values["expires_unix_ms"]:
                reply["status"] = "expired"
            elif word == "period" and values["period_s"] <= self._config.valid_s:
                self.period_s = values["period_s"]
            elif word == "period":
                reply["status"], reply["reason"] = (
                    "refused",
                    "period_s over valid_s, %d" % self._config.valid_s,
                )
            elif word == "look":
                reason = self._look(values["sensor"], values["azimuth_cdeg"], values["elevation_cdeg"])
                if reason:
                    reply["status"], reply["reason"] = "refused", reason
            elif word == "identify":
                self.identify_until = clock.uptime_ms() + 1000 * values["identify_s"]
            elif word == "update":
                import update

                reply.update(update.taken(self._config, values))
            else:
                reply["status"], reply["reason"] = "refused", "this firmware has no " + word
            log("command", "%s: %s" % (word, reply["status"]))
        reply["time_unix_ms"] = now
        self._reply(reply)


def _id_of(payload):
    """The id of a command that is not valid otherwise, or None."""
    try:
        found = json.loads(payload)["id"]
        wire.encode("reply", {"id": found, "status": "failed"})
    except (ValueError, KeyError, TypeError, RuntimeError, MemoryError):  # the last two: nested too deep
        return None
    return found
