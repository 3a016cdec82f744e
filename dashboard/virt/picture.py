"""A screenshot's PPM as PNG, with nothing but zlib."""

from __future__ import annotations

import re
import struct
import zlib

_HEADER = re.compile(rb"P6\s+(?:#[^\n]*\n\s*)*(\d{1,5})\s+(\d{1,5})\s+255\s")


def to_png(ppm: bytes) -> bytes:
    """The same picture as PNG (8 bits RGB). Raises ValueError for anything but a complete binary PPM with 255 levels."""
    found = _HEADER.match(ppm)
    if found is None:
        raise ValueError("the screenshot is neither PNG nor PPM")
    width, height = int(found[1]), int(found[2])
    row = width * 3
    pixels = memoryview(ppm)[found.end() :]
    if not width or not height or len(pixels) < row * height:
        raise ValueError("the screenshot is incomplete")
    lines = b"".join(b"\0" + bytes(pixels[at : at + row]) for at in range(0, row * height, row))  # 0: no line filter
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(lines, 6)) + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
