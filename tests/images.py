"""MicroPython images by Espressif's documented format, small, whole, and accepted by esptool's own `image-info`.

The format: esptool's documentation, "Firmware Image Format"; ESP-IDF's, "Application Image Format" (the descriptor,
`esp_app_desc_t`) and "Partition Tables"; the partitions are those of MicroPython's 4 MB boards (ports/esp32,
partitions-4MiBplus.csv) [check].
"""

import functools
import hashlib
import operator
import struct

IDS = {"esp32": 0, "esp32c3": 5, "esp32s3": 9}
BOOT = {"esp32": 0x1000, "esp32c3": 0, "esp32s3": 0}
_LOADED = {"esp32": 0x3F400020, "esp32c3": 0x3C000020, "esp32s3": 0x3C000020}  # constants in the flash, as mapped
_RUN = {"esp32": 0x3FFF0000, "esp32c3": 0x3FC90000, "esp32s3": 0x3FC90000}  # in RAM


def application(chip: str, segments: list[tuple[int, bytes]]) -> bytes:
    """One image: header of 24 bytes, segments, checksum, SHA-256."""
    data = struct.pack("<BBBBIB3sHBHH4sB", 0xE9, len(segments), 2, 0x20, 0x40080000, 0xEE, bytes(3), IDS[chip], 0, 0,
                       0xFFFF, bytes(4), 1)  # fmt: skip
    for address, content in segments:
        content += bytes(-len(content) % 4)
        data += struct.pack("<II", address, len(content)) + content
    checksum = functools.reduce(operator.xor, b"".join(content for _, content in segments), 0xEF)
    data += bytes(-(len(data) + 1) % 16) + bytes([checksum])
    return data + hashlib.sha256(data).digest()


def descriptor(project: str, version: str) -> bytes:
    words = struct.pack("<II8s32s32s", 0xABCD5432, 0, bytes(8), version.encode(), project.encode())
    return words + struct.pack("<16s16s32s32s80s", b"12:00:00", b"Jun  1 2026", b"v5.5.1", bytes(32), bytes(80))


def partitions(flash_bytes: int = 4 << 20) -> bytes:
    rows = [(1, 2, 0x9000, 0x6000, b"nvs"), (1, 1, 0xF000, 0x1000, b"phy_init"), (0, 0, 0x10000, 0x1F0000, b"factory"),
            (1, 0x81, 0x200000, flash_bytes - 0x200000, b"vfs")]  # fmt: skip
    table = b"".join(struct.pack("<2sBBII16sI", b"\xaa\x50", *row, 0) for row in rows)
    table += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table).digest()
    return table.ljust(0xC00, b"\xff")


def image(
    chip: str = "esp32",
    release: str = "1.29.0",
    project: str = "micropython",
    flash_bytes: int = 4 << 20,
    more: int = 9000,
) -> bytes:
    """The flash from the chip's boot address on: bootloader, partition table, application. `more`: bytes of code."""
    words = f"MicroPython v{release} on 2026-06-01; Generic module".encode()
    code = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(more // 32))
    parts = [(_LOADED[chip], descriptor(project, f"v{release}") + words), (_RUN[chip], code)]
    boot = application(chip, [(_RUN[chip], b"bootloader")])
    at = BOOT[chip]
    flash = boot.ljust(0x8000 - at, b"\xff") + partitions(flash_bytes)
    return flash.ljust(0x10000 - at, b"\xff") + application(chip, parts)
