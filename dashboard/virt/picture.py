"""Screenshots: a PPM as PNG, with nothing but zlib; and a small picture made anew from whatever a guest's host sent."""

from __future__ import annotations

import io
import re
import struct
import zlib

WIDTH = 320
LARGEST = 8192
"""Pixels a side; a screen has fewer."""
QUALITY = 60

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)
"""What decoding damaged pictures ends with."""
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


def thumbnail(data: bytes) -> bytes:
    """The picture at most 320 pixels wide as WebP: decoded and encoded anew, so that nothing of what came goes on.

    Raises ValueError for anything but a PNG of at most 8192 pixels a side.
    """
    from PIL import Image  # 10 MiB that an idle monitor does without

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
            if max(opened.size) > LARGEST:
                raise ValueError("it is too large")
            picture = opened.convert("RGB")
        picture.thumbnail((WIDTH, WIDTH))
        small = io.BytesIO()
        picture.save(small, "WEBP", quality=QUALITY, method=2)
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise ValueError(f"the screenshot cannot be read: {error}") from error
    return small.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
