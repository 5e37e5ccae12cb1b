"""`dronewall node provision`: from a site file and a folder of secrets onto a board, and no secret anywhere else."""

import base64
import fcntl
import hashlib
import json
import os
import pty
import re
import shlex
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from conftest import ROOT
from dronewall.bench.keyring import Keyring
from dronewall.cli import main
from dronewall.live.devices import devices
from dronewall.scenario import read as read_site
from fake_board import FakeBoard
from fake_node import config, fake_node, fill, read
from processes import until
from test_firmware_link import certificates, openssl  # noqa: F401

SITE = ROOT / "examples" / "jacksboro.toml"
DOCUMENT = ROOT / "docs" / "provisioning.md"
WIFI = "correct horse battery"
WALL = """
[[wifi]]
ssid = "wall"
password_file = "wifi.password"

[broker]
host = "127.0.0.1"

[config]
declination_cdeg = -520
"""


def blocks(document):
    """(kind, text) of each fenced block."""
    return re.findall(r"^```([a-z]+)\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE)


def secrets_in(folder, wall=WALL):
    """A folder of secrets."""
    folder.mkdir(mode=0o700)
    (folder / "wall.toml").write_text(wall)
    write(folder / "wifi.password", f"{WIFI}\n".encode())
    return folder


def write(path, content, mode=0o600):
    path.write_bytes(content)
    path.chmod(mode)


@pytest.fixture
def secrets(tmp_path):
    return secrets_in(tmp_path / "secrets")


def told(folder):
    """Every form in which a secret of the folder could get out."""
    found = [WIFI]
    for path in folder.iterdir():
        if path.suffix == ".key":
            found += [base64.b64encode(path.read_bytes()).decode()[:20], path.read_bytes().hex()[:20]]
            found.append(repr(path.read_bytes())[2:20])
        if path.suffix == ".password":
            found.append(path.read_text().strip())
            found.append(base64.b64encode(path.read_bytes().strip()).decode()[:16])
    return [secret for secret in found if secret]


def quiet(port):
    """Returns once nobody has the port: a fake board forks within this process, and for a moment its child has ours."""
    until(lambda: not Path(port).exists() or not _taken(port), 10)


def _taken(port):
    try:
        file = os.open(port, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False  # the command says why
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def provision(node, port, folder, *words, site=SITE):
    """(exit status, all that was said), which has no secret in it."""
    quiet(port)
    ran = CliRunner().invoke(
        main, ["node", "provision", str(site), node, "--port", str(port), "--secrets", str(folder), *words]
    )
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.output
    if folder.is_dir():
        for secret in told(folder):
            assert secret not in ran.output
    return ran.exit_code, ran.output


def test_a_board_gets_what_a_simulated_node_has_and_its_own_keys(secrets, tmp_path):
    before = time.time() * 1000
    with fake_node(tmp_path / "b") as board:
        status, said = provision("P1", board.port, secrets, "-vv")
        assert status == 0, said
        board.unplug()
        files = read(tmp_path / "b")
        board.plug()
    found = json.loads(files["config.json"])
    # The site file says P1: 36.64149, -84.17938, mast 6 m; a survey is good to a metre.
    position = found["position"]
    assert (position["latitude_e7"], position["longitude_e7"]) == (366414900, -841793800)
    scenario = read_site(SITE)
    ground = position["height_amsl_cm"] / 100 - 6
    assert 300 < ground < 1100  # Pine Mountain rises from the Powell valley (300 m) to 1000 m
    simulated = devices(scenario, "h", 1, lambda *_: ground, lambda _: [], position_source="survey")[0].config
    for key in ("wall", "node", "period_s", "valid_s", "power", "moving", "position", "height_agl_cm", "format"):
        assert found[key] == simulated[key], key
    for mine, theirs in zip(found["sensors"], simulated["sensors"], strict=True):
        assert {**mine, "pin": 0} == {**{k: v for k, v in theirs.items() if k != "settle_s"}, "pin": 0}
    assert f"pir: wired to pin {found['sensors'][1]['pin']}" in said
    assert found["wifi"] == [{"ssid": "wall", "password": WIFI}]
    mqtt = found["mqtt"]
    assert (mqtt["host"], mqtt["port"], mqtt["user"], mqtt["tls"]) == ("127.0.0.1", 1883, "P1", None)
    assert mqtt["password"] == (secrets / "P1.password").read_text().strip()
    assert before - 60_000 <= found["clock"]["earliest_unix_ms"] <= time.time() * 1000
    assert files["update.key"] == (secrets / "P1.key").read_bytes()
    assert len(files["update.key"]) == 32
    assert not [name for name in files if name.endswith(".part")]
    for name in ("P1.key", "P1.password", "boards.json", "mosquitto.passwords"):
        assert stat.S_IMODE((secrets / name).stat().st_mode) == 0o600, name
    assert Keyring(secrets).boards()["24:0a:c4:00:00:01"]["node"] == "P1"


def test_what_is_there_already_is_kept(secrets, tmp_path):
    iron = [120, -45, 7]
    write(secrets / "P2.key", bytes(range(32)))
    write(secrets / "P2.password", b"of this node alone\n")
    old = {"wall": "jacksboro", "node": "P2", "compass": {"hard_iron": iron}}
    with fake_node(tmp_path / "b", files={"config.json": json.dumps(old).encode()}) as board:
        assert provision("P2", board.port, secrets)[0] == 0
        lines = (secrets / "mosquitto.passwords").read_text()
        assert provision("P2", board.port, secrets)[0] == 0
    assert (secrets / "mosquitto.passwords").read_text() == lines  # the same password is not hashed anew
    files = read(tmp_path / "b")
    found = json.loads(files["config.json"])
    assert found["compass"]["hard_iron"] == iron
    assert found["declination_cdeg"] == -520
    assert (files["update.key"], found["mqtt"]["password"]) == (bytes(range(32)), "of this node alone")


def test_what_the_site_file_does_not_know_stands_in_wall_toml(tmp_path):
    more = """
power = { battery = "adc", divider_milli = 4000 }
[config.sensors.pir]
stuck_s = 120
[nodes.P1.sensors.pir]
pin = 33
model = { glimpse_ms = 1500 }
[nodes.P1.position]
source = "gnss"
"""
    secrets = secrets_in(tmp_path / "s", WALL + more)
    with fake_node(tmp_path / "b") as board:
        status, said = provision("P1", board.port, secrets)
    assert (status, "wired to pin 33" in said) == (0, True), said
    found = config(tmp_path / "b")
    assert found["power"] == {"mode": "active", "battery": "adc", "divider_milli": 4000}
    assert (found["sensors"][1]["pin"], found["sensors"][1]["stuck_s"]) == (33, 120)
    model = found["sensors"][1]["model"]
    assert (model["glimpse_ms"], model["range_cm"]) == (1500, [0, 800, 1000, 1200])  # the rest as it was
    assert found["position"] == {"source": "gnss"}


def test_the_command_and_the_folder_of_the_document_make_a_node(tmp_path):
    (wall,) = (text for kind, text in blocks(DOCUMENT) if kind == "toml")
    secrets = secrets_in(tmp_path / "secrets", wall)
    (line,) = re.findall(r"^    (dronewall node provision .*)$", DOCUMENT.read_text(), re.MULTILINE)
    with fake_node(tmp_path / "b") as board:
        places = {"site.toml": SITE, "secrets/": secrets, "/dev/ttyUSB0": board.port}
        ran = CliRunner().invoke(main, [str(places.get(word, word)) for word in shlex.split(line)[1:]])
        assert ran.exit_code == 0, ran.output
    found = config(tmp_path / "b")
    assert (found["node"], found["declination_cdeg"], found["power"]["battery"]) == ("P4", -520, "adc")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda folder: (folder / "wifi.password").chmod(0o640), "wifi.password: others may read it; chmod 600"),
        (lambda folder: write(folder / "P1.key", bytes(32), 0o604), "P1.key: others may read it; chmod 600"),
        (lambda folder: write(folder / "P1.password", b"x\n", 0o660), "P1.password: others may read it; chmod 600"),
        (lambda folder: (folder / "wall.toml").chmod(0o666), "wall.toml: others may write it; chmod 600"),
        (lambda folder: folder.chmod(0o777), "others may write into it; chmod 700"),
        (lambda folder: write(folder / "P1.key", b"short"), "P1.key: 5 bytes, a key of 32 expected"),
        (lambda folder: write(folder / "wifi.password", b"short\n"), "5 characters; expected 8 to 63"),
        (lambda folder: write(folder / "wifi.password", b"\n"), "no password in its first line"),
        (lambda folder: (folder / "wifi.password").unlink(), "wifi.password: no such file or directory; expected by"),
        (lambda folder: (folder / "wall.toml").unlink(), "wall.toml: no such file; the least that it has to say"),
        (lambda folder: shutil.rmtree(folder), "no such folder; make it with `mkdir -m 700`"),
        (lambda folder: (folder / "boards.json").write_text("[]"), "boards.json: not a book of boards"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_as_it_should_be_is_refused(secrets, tmp_path, spoil, expected):
    spoil(secrets)
    # The book is read once a board is there; the rest is said before.
    if expected.startswith("boards"):
        with fake_node(tmp_path / "b") as board:
            status, said = provision("P1", board.port, secrets)
    else:
        status, said = provision("P1", "/dev/none", secrets)
    assert status == 2
    assert expected in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_secret_that_is_another_users_is_refused(secrets):
    os.chown(secrets / "wifi.password", 12345, -1)
    status, said = provision("P1", "/dev/none", secrets)
    assert (status, "belongs to another user (12345)" in said) == (2, True)


@pytest.mark.parametrize(
    ("node", "wall", "expected"),
    [
        ("P99", WALL, "has no node 'P99'"),
        ("P1", WALL.replace("host", "hots"), 'unknown key'),
        ("P1", WALL.replace('"127.0.0.1"', '"h"\nlogin = "pasword"'), 'did you mean "password"?'),
        ("P2", WALL.replace("declination_cdeg = -520", ""), "no declination_cdeg, and P2/cam looks by the compass"),
        ("P1", WALL + "[nodes.P77]\nperiod_s = 5\n", "[nodes.P77]: no such node; did you mean P7?"),
        ("P1", WALL + "[nodes.P1.sensors.pri]\npin = 5\n", "'pri' is no sensor, expected [... sensors.NAME]; did you"),
        ("P1", WALL + '[nodes.P1]\nwifi = "x"\n', "wifi is not set here"),
        ("P1", WALL.replace('"127.0.0.1"', '"h"\nlogin = "certificate"'), "TLS whom to trust"),
        ("P1", "config = 5\n" + WALL.partition("[config]")[0], "not a table"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_before_a_board_is_asked(tmp_path, node, wall, expected):
    status, said = provision(node, "/dev/none", secrets_in(tmp_path / "s", wall))
    assert (status, expected in said) == (2, True), said


def test_a_site_file_with_mistakes_is_refused_with_all_of_them(secrets, tmp_path):
    (tmp_path / "site.toml").write_text(SITE.read_text().replace("mast_m = 6.0", "mats_m = 6.0"))
    status, said = provision("P1", "/dev/none", secrets, site=tmp_path / "site.toml")
    assert (status, "did you mean mast_m?" in said) == (2, True), said


def test_a_board_without_firmware_is_told_to_be_flashed_first(secrets, tmp_path):
    with FakeBoard(tmp_path / "b") as board:
        status, said = provision("P1", board.port, secrets)
    assert (status, "dronewall node flash --port" in said) == (2, True), said
    assert not (secrets / "boards.json").exists()


def test_settings_that_the_boards_firmware_refuses_leave_it_as_it_was(tmp_path):
    more = "[config]\ndeclination_cdeg = 0\nconfirm_s = 7\n[nodes.P1.sensors.pir]\npin = 6\n"
    secrets = secrets_in(tmp_path / "s", WALL.partition("[config]")[0] + more)
    with fake_node(tmp_path / "b", files={"config.json": b'{"kept": 1}', "update.key": b"k" * 32}) as board:
        status, said = provision("P1", board.port, secrets)
    assert status == 2
    assert "confirm_s: integer from 30 to 3600 expected" in said
    assert "sensors[1].pin: a free pin expected" in said
    assert read(tmp_path / "b").keys() - {"boot", "faults.log"} == {"config.json", "update.key", "main.py", "slots"}
    assert config(tmp_path / "b") == {"kept": 1}


def test_a_full_flash_is_told_and_keeps_what_it_had(secrets, tmp_path):
    node = fake_node(tmp_path / "b", blocks=96, files={"config.json": b'{"kept": 1}'})
    fill(tmp_path / "b")
    with node as board:
        status, said = provision("P1", board.port, secrets)
    assert (status, "its flash is full" in said) == (2, True), said
    assert config(tmp_path / "b") == {"kept": 1}


def test_a_board_or_a_name_that_is_taken_is_asked_about(secrets, tmp_path):
    with fake_node(tmp_path / "b1") as one, fake_node(tmp_path / "b2", mac="240ac4000002") as other:
        assert provision("P1", one.port, secrets)[0] == 0
        status, said = provision("P1", other.port, secrets)
        assert status == 2
        assert "P1 is board 24:0a:c4:00:00:01 since" in said
        status, said = provision("P3", one.port, secrets)
        assert status == 2
        assert "this board is jacksboro/P1 now" in said
        assert Keyring(secrets).boards().keys() == {"24:0a:c4:00:00:01"}
        status, said = provision("P1", other.port, secrets, "--yes")
        assert status == 0, said
    assert Keyring(secrets).boards().keys() == {"24:0a:c4:00:00:02"}
    assert config(tmp_path / "b2")["node"] == "P1"


def test_a_person_at_a_terminal_is_asked_and_a_no_changes_nothing(secrets, tmp_path):
    old = {"config.json": b'{"wall": "jacksboro", "node": "P3"}'}
    with fake_node(tmp_path / "b", files=old) as board:
        ours, theirs = pty.openpty()
        words = ["node", "provision", str(SITE), "P1", "--port", board.port, "--secrets", str(secrets)]
        process = subprocess.Popen(
            [sys.executable, "-m", "dronewall", *words], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
        )
        os.close(theirs)
        heard = b""
        while b"Go on? [y/N]" not in heard:
            heard += os.read(ours, 4096)
        assert b"this board is jacksboro/P3 now" in heard
        os.write(ours, b"n\n")
        assert process.wait(60) == 2
        assert b"nothing was changed" in os.read(ours, 4096)
        os.close(ours)
    assert config(tmp_path / "b") == json.loads(old["config.json"])
    assert not (secrets / "boards.json").exists()


def test_many_at_once_are_all_noted(secrets):
    def note(number):
        Keyring(secrets).noted(f"24:0a:c4:00:00:{number:02x}", "jacksboro", f"P{number}", "2026-01-01T00:00:00+00:00")

    threads = [threading.Thread(target=note, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {entry["node"] for entry in Keyring(secrets).boards().values()} == {f"P{number}" for number in range(20)}
    assert not [path for path in secrets.iterdir() if path.name.startswith(".")]


def test_certificates_go_onto_the_board_as_der_and_a_new_one_takes_the_place(certificates, tmp_path):  # noqa: F811
    secrets = secrets_in(tmp_path / "s", WALL.replace('"127.0.0.1"', '"localhost"\nlogin = "certificate"'))
    shutil.copy(certificates / "ca.crt", secrets / "ca.pem")
    status, said = provision("P1", "/dev/none", secrets)
    assert (status, "no P1.certificate.pem" in said) == (2, True)
    shutil.copy(certificates / "P4.crt", secrets / "P1.certificate.pem")
    write(secrets / "P1.certificate-key.pem", (certificates / "server.key").read_bytes())
    assert "not the key of P1.certificate.pem" in provision("P1", "/dev/none", secrets)[1]
    write(secrets / "P1.certificate-key.pem", (certificates / "P4.key").read_bytes(), 0o644)
    assert "P1.certificate-key.pem: others may read it" in provision("P1", "/dev/none", secrets)[1]
    (secrets / "P1.certificate-key.pem").chmod(0o600)
    with fake_node(tmp_path / "b") as board:
        assert provision("P1", board.port, secrets)[0] == 0
        first = read(tmp_path / "b")
        tls = json.loads(first["config.json"])["mqtt"]["tls"]
        assert json.loads(first["config.json"])["mqtt"]["port"] == 8883
        # What openssl makes of the same files.
        assert first[tls["ca"]] == (certificates / "ca.der").read_bytes()
        assert first[tls["certificate"]] == (certificates / "P4.der").read_bytes()
        openssl(certificates, "pkcs8", "-topk8", "-nocrypt", "-in", "P4.key", "-outform", "der", "-out", "p8.der")
        assert first[tls["key"]] in ((certificates / "P4.key.der").read_bytes(), (certificates / "p8.der").read_bytes())
        (secrets / "ca.pem").unlink()
        shutil.copy(certificates / "other.der", secrets / "ca.der")
        assert provision("P1", board.port, secrets)[0] == 0
        then = read(tmp_path / "b")
    assert tls["ca"] not in then
    assert then[json.loads(then["config.json"])["mqtt"]["tls"]["ca"]] == (certificates / "other.der").read_bytes()
    (secrets / "ca.der").write_bytes((certificates / "ca.crt").read_bytes())
    assert "ca.der: not DER" in provision("P1", "/dev/none", secrets)[1]
    (secrets / "ca.der").unlink()
    (secrets / "ca.pem").write_bytes((certificates / "ca.crt").read_bytes() * 2)
    assert "2 of BEGIN ... CERTIFICATE in it; expected one" in provision("P1", "/dev/none", secrets)[1]


OLD = {"config.json": b'{"wall": "jacksboro", "node": "P1", "old": 1}', "update.key": b"k" * 32}


def cut_short(folder, secrets, pull):
    """A provisioning that `pull` stops, and another one; what stood in config.json in between."""
    with fake_node(folder, files=OLD) as board:
        pull(board)
        status, said = provision("P1", board.port, secrets)
        if status:
            assert status == 2, said
            assert "unplugged" in said, said
        board.unplug()
        between = read(folder)
        board.plug()
        status, said = provision("P1", board.port, secrets)
        assert status == 0, said
    after = read(folder)
    assert json.loads(after["config.json"])["mqtt"]["user"] == "P1"
    assert not [name for name in after if name.endswith(".part")]
    return between


@pytest.mark.parametrize("words", [b"update.part", b"config.part", b"config.read", b"config.tried"])
def test_a_board_that_is_unplugged_has_its_old_settings_whole_and_the_second_try_works(secrets, tmp_path, words):
    between = cut_short(tmp_path / "b", secrets, lambda board: board.unplug_at(words))
    assert between["config.json"] == OLD["config.json"]
    assert between["update.key"] == OLD["update.key"]


@pytest.mark.soak
def test_a_board_that_is_unplugged_anywhere_has_its_old_settings_or_its_new_ones(tmp_path):
    secrets = secrets_in(tmp_path / "s")
    seen = set()
    with fake_node(tmp_path / "whole", files=OLD) as board:
        before = board.taken
        assert provision("P1", board.port, secrets)[0] == 0
        total = board.taken - before
    new = json.loads(read(tmp_path / "whole")["config.json"])
    for count in range(1, total, total // 60):
        between = cut_short(tmp_path / f"b{count}", secrets, lambda board, count=count: board.unplug_after(count))
        found = json.loads(between["config.json"])
        assert found in (json.loads(OLD["config.json"]), {**new, "clock": found.get("clock")})
        seen.add("old" in found)
        shutil.rmtree(tmp_path / f"b{count}")
    assert seen == {True, False}


def test_a_board_that_echoes_what_it_is_told_gives_a_message_without_it(secrets, tmp_path):
    with fake_node(tmp_path / "b", files=OLD) as board:
        heard = []

        def spoil(data, towards):
            # As a board does that has started again in the middle.
            if towards == "board" and not heard and b"put('ey" in data:  # {" in base64: the configuration
                heard.append(data[-900:])
            elif towards == "host" and len(heard) == 1:
                heard.append(b"")
                return heard[0]
            return data

        board.spoil = spoil
        status, said = provision("P1", board.port, secrets)
        assert heard
        assert (status, "it keeps the settings that it had" in said) == (2, True), said
        for start in range(0, len(heard[0]) - 16, 16):
            assert heard[0][start : start + 16].decode() not in said
        board.spoil = lambda data, towards: data
        assert provision("P1", board.port, secrets)[0] == 0


def test_the_line_for_mosquitto_is_what_mosquitto_hashes(secrets):
    write(secrets / "P1.password", b"of this node alone\n")
    (secrets / "mosquitto.passwords").write_text("host:$7$101$c2FsdA==$eA==\n")
    ring = Keyring(secrets)
    assert ring.told_to_mosquitto("P1") == secrets / "mosquitto.passwords"
    host, line = (secrets / "mosquitto.passwords").read_text().splitlines()
    assert host == "host:$7$101$c2FsdA==$eA=="
    name, _, rest = line.partition(":")
    _, kind, rounds, salt, digest = rest.split("$")
    assert (name, kind, rounds) == ("P1", "7", "101")
    made = hashlib.pbkdf2_hmac("sha512", b"of this node alone", base64.b64decode(salt), 101)
    assert base64.b64decode(digest) == made
