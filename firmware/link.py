"""The way to the host: Wi-Fi, the MQTT session, what goes first, and what happens while it is down.

A session begins with birth, the subscription to commands and `ready`; its will says `lost` with the same boot
and session, so that a late will cannot kill the session after it. Then goes what waits: replies, the latest
frustum of each sensor, detections in their order, health. A detection leaves the queue when the broker has
acknowledged it; a full queue drops its oldest and counts it.
"""

import asyncio
import os

import clock
import mqtt
import wire
from log import log
from micropython import const

_BACKOFF_MS = const(1000)  # after the first failure; doubled up to
_BACKOFF_MOST_MS = const(60_000)
_REFUSED_MOST_MS = const(300_000)  # where the broker refuses us: a person must act first
_WIFI_MS = const(15_000)  # for one network to let us in
_STEADY_MS = const(30_000)  # a session that held that long was a good one: the next back-off begins anew
_REPLIES = const(8)


class Link:
    """`config` of the node, its boot number; `birth(session)` gives the fields of a birth, `command(payload)`
    is called for each command (None: one that was too long).

    `ready`: a session is open; `session` counts the attempts to open one within this boot; `drops` what was
    lost before it was sent: detections and replies that a full queue dropped, and messages that the wire cannot say.
    """

    def __init__(self, config, boot, birth, command):
        self.ready = False
        self.session = 0
        self.drops = 0
        self._config = config
        self._boot = boot
        self._birth = birth
        self._command = command
        self._client = None
        self._wake = asyncio.Event()
        self._frusta = {}  # sensor: payload, the latest only
        self._detections = []  # (sensor, payload), the oldest first
        self._replies = []  # (None, payload)
        self._health = None
        self._wlan = None
        self._watcher = None

    def frustum(self, sensor, fields):
        """Sends a frustum report as soon as possible, unless a later one of that sensor comes first."""
        payload = self._payload("frustum", fields)
        if payload:
            self._frusta[sensor] = payload
            self._wake.set()

    def detection(self, sensor, fields):
        """Puts a detection at the end of the queue."""
        self._queue(self._detections, self._config.detections, (sensor, self._payload("detection", fields)))

    def reply(self, fields):
        """Puts a reply at the end of its queue, which drops its oldest when it is full."""
        self._queue(self._replies, _REPLIES, (None, self._payload("reply", fields)))

    def health(self, fields):
        """Sends a health report when nothing else waits, unless a later one comes first."""
        self._health = self._payload("health", fields)
        self._wake.set()

    def _payload(self, kind, fields):
        """The message, or None where the wire cannot say it. One that cannot be said must not reset the node: it
        would be as impossible after the reset."""
        try:
            return wire.encode(kind, fields)
        except wire.WireError as error:
            log("link", error)
            self.drops += 1
            return None

    def _queue(self, queue, most, entry):
        if entry[1]:
            queue.append(entry)
            if len(queue) > most:
                queue.pop(0)
                self.drops += 1
            self._wake.set()

    def rssi_dbm(self):
        """The Wi-Fi's signal, or None."""
        if self._wlan is None or not self._wlan.isconnected():
            return None
        return self._wlan.status("rssi")

    async def run(self):
        """Keeps a session open for ever."""
        wait = _BACKOFF_MS
        while True:
            start = clock.uptime_ms()
            most = _BACKOFF_MOST_MS
            try:
                await self._wifi()
                await self._session()
            except mqtt.MqttError as error:
                log("link", error)
                if error.refused:
                    most = _REFUSED_MOST_MS
            except OSError as error:
                log("link", error)
            if self.ready and clock.uptime_ms() - start > _STEADY_MS:
                wait = _BACKOFF_MS
            self.ready = False
            # A quarter more or less, or all nodes of a wall come back in the same second.
            await asyncio.sleep_ms(wait * (384 + os.urandom(1)[0]) // 512)
            wait = min(2 * wait, most)

    async def close(self):
        """Says `disconnected` and ends the session, in a second or not at all."""
        if self.ready:
            self.ready = False
            state = self._state("disconnected")
            try:
                await asyncio.wait_for_ms(self._client.disconnect(self._topic("state"), state), 1000)
            except asyncio.TimeoutError:
                pass

    def _topic(self, kind, sensor=None):
        return wire.topic(self._config.wall, self._config.node, kind, sensor)

    def _state(self, state):
        return wire.encode("state", {"state": state, "boot": self._boot, "session": self.session})

    async def _wifi(self):
        if not self._config.wifi:
            return
        import network

        if self._wlan is None:
            self._wlan = network.WLAN(network.STA_IF)
            self._wlan.active(True)
        for ssid, password in self._config.wifi:
            if self._wlan.isconnected():
                return
            self._wlan.disconnect()
            self._wlan.connect(ssid, password)
            start = clock.uptime_ms()
            while not self._wlan.isconnected() and clock.uptime_ms() - start < _WIFI_MS:
                await asyncio.sleep_ms(100)
        if not self._wlan.isconnected():
            raise OSError("no Wi-Fi")

    def _received(self, topic, payload, retained):
        # A retained command is one that somebody left lying about: its time is unknown.
        if not retained and topic == self._topic("command"):
            self._command(payload)

    async def _session(self):
        config = self._config
        # Counted before the attempt: one that seems to have failed may have left a will at the broker.
        self.session += 1
        client = self._client = mqtt.Client(self._received)
        await client.connect(
            config.host,
            config.port,
            "%s-%s" % (config.wall, config.node),
            config.keepalive_s,
            config.user,
            config.password,
            (self._topic("state"), self._state("lost"), True, 1),
        )
        try:
            await client.publish(self._topic("birth"), wire.encode("birth", self._birth(self.session)), True, 1)
            await client.subscribe(self._topic("command"))
            await client.publish(self._topic("state"), self._state("ready"), True, 1)
            self.ready = True
            log("link", "ready, session %d" % self.session)
            self._watcher = asyncio.create_task(self._watch(client))
            while True:
                while await self._send(client):
                    pass
                await self._wake.wait()
                self._wake.clear()
                if client.lost.is_set():
                    raise mqtt.MqttError(client.reason)
        finally:
            await client.disconnect()

    async def _watch(self, client):
        await client.lost.wait()
        self._wake.set()

    async def _send_oldest(self, client, kind, queue):
        first = queue[0]
        await client.publish(self._topic(kind, first[0]), first[1], False, 1)
        # Meanwhile a full queue may have dropped it, and it was not lost after all.
        if queue and queue[0] is first:
            queue.pop(0)
        else:
            self.drops -= 1

    async def _send(self, client):
        """Sends the most urgent message; False when nothing waits."""
        if self._replies:
            await self._send_oldest(client, "reply", self._replies)
        elif self._frusta:
            sensor, payload = self._frusta.popitem()
            try:
                await client.publish(self._topic("frustum", sensor), payload, True, 0 if self._config.moving else 1)
            except mqtt.MqttError:
                self._frusta.setdefault(sensor, payload)
                raise
        elif self._detections:
            await self._send_oldest(client, "detection", self._detections)
        elif self._health is not None:
            payload, self._health = self._health, None
            await client.publish(self._topic("health"), payload, True, 0)
        else:
            return False
        return True
