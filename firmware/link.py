"""The way to the host: Wi-Fi, the MQTT session, what goes first, and what happens while it is down.

A session begins with birth, the subscription to commands and `ready`; its will says `lost` with the same boot
and session, so that a late will cannot kill the session after it. Then goes what waits: replies, the latest
frustum of each sensor, detections in their order, health. A detection leaves the queue when the broker has
acknowledged it; a full queue drops its oldest and counts it.
What is needed once in a while (`wifi.py`, `ntp.py`, `secure.py`) is loaded for it and forgotten.
"""

import asyncio
import os

import clock
import mqtt
import wire
from log import log, once
from micropython import const
from outbox import Outbox

_BACKOFF_MS = const(1000)  # after the first failure; doubled up to
_BACKOFF_MOST_MS = const(60_000)
_REFUSED_MOST_MS = const(300_000)  # where the broker refuses us: a person must act first
_STEADY_MS = const(30_000)  # a session that held that long was a good one: the next back-off begins anew
_LAST_WORDS_MS = const(300)  # from the chip's buffers into the air
_REPLIES = const(8)
_NTP_MS = const(64_000)  # until a server is asked again that did not answer; doubled up to six hours


class Link:
    """`config` of the node, its boot number; `birth(session)` gives the fields of a birth, `command(payload)`
    is called for each command (None: one that was too long); `utc` is the node's Clock.

    `ready`: a session is open; `session` counts the attempts to open one within this boot; `asleep`: none is opened
    meanwhile; `saving`: the radio rests between two beacons (modem sleep).
    """

    def __init__(self, config, boot, birth, command, utc=None):
        self.ready = False
        self.session = 0
        self.asleep = False
        self.saving = False
        self._drops = 0
        self.config = config
        self.boot = boot
        self.birth = birth
        self.command = command
        self.client = None
        self._wake = asyncio.Event()
        self._frusta = {}  # sensor: payload, the latest only
        self._names = [sensor.name for sensor in config.sensors]
        self.outbox = Outbox("/".join([config.wall, config.node] + self._names), config.detections)
        self._replies = []  # payloads
        self._health = None
        self.wlan = None
        self.network = 0  # of config.wifi: the last good one
        self.failed = 0  # searches for a network, in a row
        self.futile = 0  # attempts in a row that this network led nowhere
        self._watcher = None
        self.utc = utc
        self._ntp_at = 0  # uptime when a server is asked next
        self._ntp_wait = _NTP_MS

    def frustum(self, sensor, fields):
        """Sends a frustum report as soon as possible, unless a later one of that sensor comes first."""
        payload = self._payload("frustum", fields)
        if payload:
            self._frusta[sensor] = payload
            self._wake.set()

    @property
    def drops(self):
        """What was lost before it was sent: detections and replies that a full queue dropped, and messages that the
        wire cannot say."""
        return self._drops + self.outbox.drops

    def detection(self, sensor, fields):
        """Puts a detection at the end of the queue."""
        fields["sensor_index"] = self._names.index(sensor)
        try:
            self.outbox.append(fields)
            self._wake.set()
        except wire.WireError as error:
            self._unsaid(error)

    def reply(self, fields):
        """Puts a reply at the end of its queue, which drops its oldest when it is full."""
        payload = self._payload("reply", fields)
        if payload:
            self._replies.append(payload)
            if len(self._replies) > _REPLIES:
                self._replies.pop(0)
                self._drops += 1
            self._wake.set()

    def waiting(self):
        """Whether something of worth has not been sent yet."""
        return bool(self._replies or self._frusta or self.outbox.count or self._health)

    def replied(self):
        """Whether every reply has been acknowledged."""
        return not self._replies

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
            return self._unsaid(error)

    def _unsaid(self, error):
        log("link", error)
        self._drops += 1

    def rssi_dbm(self):
        """The Wi-Fi's signal, or None."""
        if self.wlan is None or not self.wlan.isconnected():
            return None
        return self.wlan.status("rssi")

    async def run(self):
        """Keeps a session open for ever."""
        wait = _BACKOFF_MS
        while True:
            while self.asleep:
                await asyncio.sleep_ms(100)
            start = clock.uptime_ms()
            most = _BACKOFF_MOST_MS
            try:
                if self.config.wifi:
                    await once("wifi").joined(self)
                await self._session()
            except mqtt.MqttError as error:
                log("link", error)
                if error.refused:
                    most = _REFUSED_MOST_MS
            except OSError as error:
                log("link", error)
            if self.ready:
                self.futile = 0
                if clock.uptime_ms() - start > _STEADY_MS:
                    wait = _BACKOFF_MS
            else:
                self.futile += 1
            self.ready = False
            if self.asleep:
                wait = _BACKOFF_MS
                continue
            # A quarter more or less, or all nodes of a wall come back in the same second.
            await asyncio.sleep_ms(wait * (384 + os.urandom(1)[0]) // 512)
            wait = min(2 * wait, most)

    def save_power(self, saving):
        """Lets the radio rest between two beacons (modem sleep), or not."""
        self.saving = saving
        if self.wlan:
            # PM_PERFORMANCE is what MicroPython begins with.
            self.wlan.config(pm=self.wlan.PM_POWERSAVE if saving else self.wlan.PM_PERFORMANCE)

    async def sleep(self):
        """Says `sleeping`, ends the session and switches Wi-Fi off; until `asleep` is False again."""
        self.asleep = True
        await self.close("sleeping")
        await asyncio.sleep_ms(_LAST_WORDS_MS)
        if self.wlan:
            self.wlan.active(False)
            self.wlan = None

    async def close(self, state="disconnected"):
        """Says how the node leaves and ends the session, in a second or not at all."""
        if self.ready:
            self.ready = False
            state = self.state(state)
            try:
                await asyncio.wait_for_ms(self.client.disconnect(self.topic("state"), state), 1000)
            except asyncio.TimeoutError:
                pass
        elif self.client:
            # Half-way into a session: its will must not be told.
            await self.client.disconnect()

    def topic(self, kind, sensor=None):
        """The topic of one of this node's messages."""
        return wire.topic(self.config.wall, self.config.node, kind, sensor)

    def state(self, state):
        """The message that says it of this boot and session."""
        return wire.encode("state", {"state": state, "boot": self.boot, "session": self.session})

    async def time(self):
        """Asks the time server where that is due: every six hours, and only while GNSS says nothing."""
        config, uptime = self.config, clock.uptime_ms()
        if config.ntp and uptime >= self._ntp_at and not (self.utc.source == "gnss" and self.utc.fresh(uptime)):
            self._ntp_at = uptime + self._ntp_wait  # nobody else asks meanwhile
            self._ntp_wait = wait = await once("ntp").told(self.utc, config.ntp, config.ntp_port, self._ntp_wait)
            self._ntp_at = uptime + wait

    def local(self, sensor):
        """The topic on which a sensor hears the computer beside it; not of the wire, for the host has no part in it."""
        return "dw-local/%s/%s/%s" % (self.config.wall, self.config.node, sensor.name)

    def _received(self, topic, payload, retained):
        # A retained message is one that somebody left lying about: its time is unknown.
        if retained:
            return
        if topic == self.topic("command"):
            return self.command(payload)
        for sensor in self.config.sensors:
            if topic == self.local(sensor):
                sensor.module.take(sensor.settings, payload)

    async def _session(self):
        # Counted before the attempt: one that seems to have failed may have left a will at the broker.
        self.session += 1
        client = self.client = mqtt.Client(self._received)
        try:
            await once("session").begun(self, client)
            self.ready = True
            log("link", "ready, session %d" % self.session)
            self._watcher = asyncio.create_task(self._watch(client))
            while True:
                while await self._send(client):
                    pass
                if self.config.ntp and clock.uptime_ms() >= self._ntp_at:
                    asyncio.create_task(self.time())
                await self._wake.wait()
                self._wake.clear()
                if client.lost.is_set():
                    raise mqtt.MqttError(client.reason)
        finally:
            await client.disconnect()

    async def _watch(self, client):
        await client.lost.wait()
        self._wake.set()

    async def _send_detection(self, client):
        box = self.outbox
        number, packed = box.oldest()
        try:
            fields = wire.unpack(packed)[1]
            topic = self.topic("detection", self._names[fields.pop("sensor_index")])
            payload = wire.encode("detection", fields)
        except (wire.WireError, KeyError, IndexError) as error:
            # Of a firmware whose wire was another.
            self._unsaid(error)
            box.sent(number)
            return
        await client.publish(topic, payload, False, 1)
        box.sent(number)

    async def _send(self, client):
        """Sends the most urgent message; False when nothing waits."""
        if self._replies:
            first = self._replies[0]
            await client.publish(self.topic("reply"), first, False, 1)
            # Meanwhile a full queue may have dropped it, and it was not lost after all.
            if self._replies[0] is first:
                self._replies.pop(0)
            else:
                self._drops -= 1
        elif self._frusta:
            sensor, payload = self._frusta.popitem()
            try:
                await client.publish(self.topic("frustum", sensor), payload, True, 0 if self.config.moving else 1)
            except mqtt.MqttError:
                self._frusta.setdefault(sensor, payload)
                raise
        elif self.outbox.count:
            await self._send_detection(client)
        elif self._health is not None:
            payload, self._health = self._health, None
            await client.publish(self.topic("health"), payload, True, 0)
        else:
            return False
        return True
