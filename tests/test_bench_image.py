"""dronewall.bench.image: which files are MicroPython's images, and for which board; esptool says so, too."""

import os
import subprocess
import sys

import pytest

from dronewall.bench import image as images_of
from dronewall.bench.image import ImageError, keep, kept, read
from images import BOOT, application, descriptor, image, partitions


@pytest.fixture
def file(tmp_path):
    return tmp_path / "i.bin"


@pytest.mark.parametrize("chip", sorted(BOOT))
def test_an_image_says_chip_version_and_where_it_goes(file, chip):
    file.write_bytes(image(chip))
    found = read(file)
    # Boot addresses: esptool's documentation, "Flash Modes"/"write-flash": 0x1000 on the ESP32, 0 on S3 and C3.
    assert (found.chip, found.version, found.boot) == (chip, "1.29.0", {"esp32": 0x1000}.get(chip, 0))
    assert found.end == 4 << 20
    found.check(chip, 4 << 20)


@pytest.mark.needs("esptool")
def test_esptool_finds_in_it_what_we_do(file):
    file.write_bytes(image("esp32s3")[0x10000:])
    words = [sys.executable, "-m", "esptool", "image-info", str(file)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 0, ran.stderr
    for said in ("Chip ID: 9 (ESP32-S3)", "(valid)", "Project name: micropython", "App version: v1.29.0"):
        assert said in ran.stdout
    assert "invalid" not in ran.stdout


def _flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


ESP32 = image()
LAST = len(ESP32) - 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an image"),
        (b"\x7fELF" + bytes(100), "begins with 7f454c46"),
        (b"UF2\n" + bytes(600), "not an image"),
        (image("esp32s3")[0x10000:], "no partition table at 0x8000: an application alone"),
        (ESP32[:5], "cut short|another chip"),
        (ESP32[:0x3000], "no partition table"),
        (ESP32[:0xE000], "cut short: 57344 bytes, the application begins at 61440"),
        (ESP32[:-40], "cut short"),
        (ESP32[:-1], "cut short"),
        (_flipped(ESP32, LAST), "SHA-256 of its application is wrong"),
        (_flipped(ESP32, LAST - 40), "damaged: the checksum of its application"),
        (_flipped(ESP32, 40), "damaged: the checksum of its bootloader"),
        (image(project="esp-at"), "its application is 'esp-at', not MicroPython"),
        (ESP32[:12] + b"\x0d" + ESP32[13:], r"another chip \(id 13\)"),
    ],
)
def test_what_is_no_whole_image_of_micropython_is_refused(file, content, said):
    file.write_bytes(content)
    with pytest.raises(ImageError, match=said) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert "ESP32_GENERIC" in str(raised.value)


def test_two_chips_in_one_file_are_refused(file):
    file.write_bytes(ESP32[: 0x10000 - 0x1000] + application("esp32c3", [(0x3C000020, descriptor("micropython", "1"))]))
    with pytest.raises(ImageError, match="its bootloader is for esp32, its application is not"):
        read(file)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read(tmp_path / "none.bin")


@pytest.mark.parametrize(
    ("made", "chip", "flash", "said"),
    [
        ({}, "esp32c3", 4 << 20, r"for esp32, the board is an esp32c3; get ESP32_GENERIC_C3 v1\.29\.0 .*--image"),
        ({"release": "1.27.0"}, "esp32", 4 << 20, r"MicroPython 1\.27\.0, the nodes run 1\.29\.0"),
        ({}, "esp32", 2 << 20, "needs 4096 KB of flash, the board has 2048 KB"),
        ({"flash_bytes": 8 << 20}, "esp32", 4 << 20, "needs 8192 KB of flash"),
    ],
)
def test_an_image_for_another_board_is_refused_and_the_right_one_named(file, made, chip, flash, said):
    file.write_bytes(image(**made))
    with pytest.raises(ImageError, match=said):
        read(file).check(chip, flash)


def test_an_image_that_was_used_is_kept_for_its_chip(file, tmp_path, monkeypatch):
    monkeypatch.setenv("DRONEWALL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ImageError, match=r"no image of MicroPython 1\.29\.0 for an esp32 here; get ESP32_GENERIC"):
        kept("esp32")
    file.write_bytes(image())
    keep(read(file))
    assert kept("esp32").content == image()
    with pytest.raises(ImageError, match="ESP32_GENERIC_S3"):
        kept("esp32s3")
    assert len(list((tmp_path / "cache" / "images").iterdir())) == 1
    kept("esp32").path.write_bytes(image()[:-5])  # a full disk, a copy of half of it
    with pytest.raises(ImageError, match="kept from an earlier flash"):
        kept("esp32")


def test_a_cache_that_cannot_be_written_keeps_nothing(file, tmp_path, monkeypatch):
    monkeypatch.setenv("DRONEWALL_CACHE", str(file))
    file.write_bytes(image())
    keep(read(file))
    with pytest.raises(ImageError, match="no image"):
        kept("esp32")


def test_the_partitions_are_read_up_to_their_checksum():
    assert [each[2] for each in images_of._partitions(partitions())] == [0x9000, 0xF000, 0x10000, 0x200000]
    assert images_of._partitions(b"\xff" * 0xC00) == []


def test_an_image_that_ends_anywhere_in_its_heads_is_cut_short(file):
    whole = image("esp32s3")
    for start in (0, 0x8000, 0x10000):
        for size in range(start, start + 60):
            file.write_bytes(whole[:size])
            with pytest.raises(ImageError):
                read(file)


def test_sizes_and_addresses_that_lead_out_of_an_image_are_refused(file):
    # The sizes of the first segment and of the partition, and the partition's address: before, behind, far away.
    whole = image("esp32s3")
    for at in (0x1C, 0x1001C, *range(0x8004, 0x8060, 32)):
        for value in (0xFFFFFFFF, 0x80000000, 0xFFFFF000, 0x7FFFFFFF):
            file.write_bytes(whole[:at] + value.to_bytes(4, "little") + whole[at + 4 :])
            with pytest.raises(ImageError):
                read(file).check("esp32s3", 4 << 20)


def test_a_pipe_a_folder_and_a_file_of_gigabytes_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.write(b"\xe9")
        sparse.truncate(4 << 30)
    for path, words in ((tmp_path / "pipe", "not a regular file"), (tmp_path, "a folder"),
                        (tmp_path / "none", "no such file"), (tmp_path / "sparse", "over 16 MB")):  # fmt: skip
        with pytest.raises(ImageError, match=words):
            read(path)
