"""What a board says of itself on the bench: programs in which its own firmware does the work, and what they tell.

The parts, drivers, Wi-Fi and MQTT of /a or /b are imported and run as a node runs them; nothing of them stands here
anew. What was typed into config.json is never told, for it may be a password.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Required, TypedDict

from dronewall.bench import transfer
from dronewall.bench.onboard import Board
from dronewall.bench.repl import BoardError, ProgramError, Repl

_Vector = tuple[int, int, int]
_Attitude = tuple[int | None, int, int, int | None]  # azimuth, elevation, roll, dip; firmware/measure.py


class Gnss(TypedDict, total=False):
    satellites: Required[int | None]
    sentences: Required[int]
    bad: Required[int]
    first_ms: int
    fix_ms: int
    fix: tuple[int, int, int, int]


class Compass(TypedDict):
    driver: Literal["qmc5883", "bno055"]
    needed: bool
    trouble: str | None
    tilt_trouble: str | None
    field: _Vector | None
    pull: _Vector | None
    board: _Attitude | None
    level: _Attitude | None
    listened_ms: int


class Battery(TypedDict):
    kind: str
    mv: int | None
    low_mv: int
    critical_mv: int


class Wifi(TypedDict, total=False):
    joined: Required[bool]
    notes: Required[list[str]]
    rssi_dbm: int


class Clock(TypedDict):
    source: str
    unix_ms: int | None
    ntp: bool


class Broker(TypedDict, total=False):
    host: Required[str]
    port: Required[int]
    user: Required[str | None]
    tls: Required[bool]
    error: Required[str | None]
    refused: int


class Now(TypedDict):
    ms: int
    azimuth_cdeg: int | None
    turned: int


class Facts(TypedDict, total=False):
    """What the board said, by the words of the programs below. `broken`: what its firmware raised."""

    gnss: Gnss
    azimuths: int
    drivers: dict[str, tuple[str, bool, str | None, int]]
    compass: Compass
    battery: Battery
    wifi: Wifi
    clock: Clock
    broker: Broker
    now: Now
    broken: str


class Settings(TypedDict, total=False):
    """The problems of a board's config.json; without one, who it is."""

    problems: Required[list[str]]
    wall: str
    node: str


_SILENT_S = 150.0  # eight networks, each refused after 15 s; or a minute without a clock, before TLS

_CONFIG = """
import config, gc, json
def read():
    global settings
    settings = None
    try:
        settings = config.read("/config.json")
        return {"problems": [], "wall": settings.wall, "node": settings.node}
    except config.ConfigError as error:
        return {"problems": str(error).split("\\n")}
print(json.dumps(read()))
gc.collect()
"""
_LISTEN = """
import asyncio, gc, json, time
import board, clock, measure, parts
from sensors.gnss import Receiver
SURE = 1000
troubles, drivers, gnss, azimuths = {}, {}, {"satellites": None}, set()
def say(**told):
    print("@" + json.dumps(told))
class Counting(Receiver):
    def _gga(self, fields, uptime):
        gnss["satellites"] = int(fields[7] or b"0")
        super()._gga(fields, uptime)
class Listening(measure.Measured):
    def trouble(self, source, error):
        troubles[source] = None if error is None else str(error)
async def driven(sensor):
    told = drivers[sensor.name] = [sensor.driver, False, None, 0]
    def trouble(text):
        told[1] = told[1] or text is None
        told[2] = text
    def detected(*_, **__):
        told[3] += 1
    try:
        await sensor.module.watch(sensor.settings, detected, trouble)
    except Exception as error:
        told[2] = repr(error)
def settled(elapsed):
    for driver, alive, trouble, seen in drivers.values():
        if driver == "pir" and not seen or driver not in ("pir", "optics") and not alive and trouble is None:
            return False
    timed = measured.clock.source == "gnss" or elapsed > gnss.get("fix_ms", elapsed) + 1500
    return "fix_ms" in gnss and timed and (measured.board is not None or elapsed > 2000)
async def listen(listen_ms, turn_ms):
    global measured
    receiver = Counting(board.gnss_uart())
    measured = Listening(settings, receiver, *parts._chips(settings))
    if settings.earliest_unix_ms:
        measured.clock.provision(settings.earliest_unix_ms, clock.uptime_ms())
    tasks = [asyncio.create_task(receiver.run())]
    for sensor in settings.sensors:
        tasks.append(asyncio.create_task(driven(sensor)))
    begun, said, level = time.ticks_ms(), -1000, None
    while True:
        uptime = clock.uptime_ms()
        measured.step(uptime)
        elapsed = time.ticks_diff(time.ticks_ms(), begun)
        if receiver.sentences and "first_ms" not in gnss:
            gnss["first_ms"] = elapsed
        if receiver.fix and "fix_ms" not in gnss:
            gnss["fix_ms"] = elapsed
        here = measured.board
        if here and level is None and elapsed > SURE:
            level = here
        if here and here[0] is not None and turn_ms:
            azimuths.add(here[0] // 1000)
        if elapsed - said >= (250 if turn_ms else 1000):
            said = elapsed
            say(now={"ms": elapsed, "azimuth_cdeg": here and here[0], "turned": len(azimuths)})
        if turn_ms:
            if elapsed >= turn_ms or len(azimuths) == 36 and settled(elapsed):
                break
        elif elapsed >= listen_ms or elapsed > SURE + 500 and settled(elapsed):
            break
        await asyncio.sleep_ms(100)
    for task in tasks:
        task.cancel()
    fix = receiver.fix
    if fix:
        gnss["fix"] = [fix.latitude_e7, fix.longitude_e7, fix.height_cm, fix.sigma_cm]
    gnss["sentences"], gnss["bad"] = receiver.sentences, receiver.bad
    field, pull = measured.field.vector(uptime), measured.acceleration.vector(uptime)
    say(gnss=gnss, azimuths=len(azimuths), drivers=drivers, compass={
        "driver": settings.compass, "needed": settings.watch or bool(
            [sensor for sensor in settings.sensors if sensor.azimuth_source == "compass"]),
        "trouble": troubles.get("compass"), "tilt_trouble": troubles.get("accelerometer"),
        "field": field and [value >> 8 for value in field], "pull": pull and [value >> 8 for value in pull],
        "board": measured.board, "level": level, "listened_ms": elapsed})
"""
_BATTERY = """
import battery
say(battery={"kind": settings.battery[0], "mv": battery.read(settings), "low_mv": settings.low_mv,
    "critical_mv": settings.critical_mv})
gc.collect()
"""
_NETWORK = """
import mqtt
from log import once
class Way:
    wlan, network, failed, futile, saving = None, 0, 0, 0, False
    def save_power(self, saving):
        pass
async def network():
    way, utc, notes = Way(), measured.clock, []
    way.config = settings
    if settings.wifi:
        import wifi
        wifi.log = lambda source, text: notes.append(str(text))
        try:
            await wifi.joined(way)
        except OSError:
            say(wifi={"joined": False, "notes": notes})
            return
        say(wifi={"joined": True, "notes": notes[-1:], "rssi_dbm": way.wlan.status("rssi")})
    if settings.ntp and utc.source in ("none", "provisioned"):
        await once("ntp").told(utc, settings.ntp, settings.ntp_port, 64000)
    say(clock={"source": utc.source, "unix_ms": utc.at(clock.uptime_ms()), "ntp": bool(settings.ntp)})
    told = {"host": settings.host, "port": settings.port, "user": settings.user, "tls": bool(settings.tls)}
    try:
        wrap = None
        if settings.tls:
            wrap = await once("secure").wrapper(settings.tls, settings.host, utc)
        client = mqtt.Client(lambda *_: None)
        name = "%s-%s-bench" % (settings.wall, settings.node)
        await client.connect(
            settings.host, settings.port, name, settings.keepalive_s, settings.user, settings.password, None, wrap)
        await client.disconnect()
        told["error"] = None
    except (OSError, mqtt.MqttError) as error:
        told["error"], told["refused"] = str(error), getattr(error, "refused", 0)
    say(broker=told)
asyncio.run(network())
"""


def digests(repl: Repl, board: Board, names: Sequence[str]) -> dict[str, str | None]:
    """{name: SHA-256 in hexadecimal, None where the board has none} of these files of its firmware."""
    repl.run(transfer.HELPERS)
    folder = board.path.rstrip("/")
    found = transfer.digests(repl, [f"{folder}/{name}" for name in names])
    return {name: found[f"{folder}/{name}"] for name in names}


def settings_on(repl: Repl) -> Settings:
    """{"problems", "wall", "node"} of the board's config.json by its own firmware, which must be on its path; a problem
    is without what came.
    """
    found: Settings = repl.answer(_CONFIG, Settings)
    if not (found["problems"] or ("wall" in found and "node" in found)):
        raise BoardError(f"{repl.port}: the board does not say which node it is; `dronewall node provision` it again")
    lines = [line.partition(", not ")[0] for line in found["problems"]]
    found["problems"] = lines[1:] if len(lines) > 1 else lines
    return found


def heard(repl: Repl, listen_s: float, turn_s: float, now: Callable[[Now], None]) -> Facts:
    """What its receiver, compass and sensors said within that time [s], and how far Wi-Fi and broker let it in. After
    `settings_on` has found no problem. turn_s: over 0 where a person turns the board for so long; `now` is given each
    moment's {"ms", "azimuth_cdeg", "turned"}.

    A part that fails where no error was expected leaves its reason under "broken", and what comes after it is missing.
    """
    found: Facts = {}

    def take(line: str) -> None:
        if line.startswith("@"):
            told: Facts = repl.told(line[1:], Facts)
            if "now" in told:
                now(told["now"])
            found.update(told)

    listen = f"asyncio.run(listen({round(1000 * listen_s)}, {round(1000 * turn_s)}))\n"
    for source in (_LISTEN + listen, _BATTERY, _NETWORK):
        try:
            repl.run(source, _SILENT_S, take)
        except ProgramError as error:
            found["broken"] = error.said.strip().splitlines()[-1]
            break
    return found
