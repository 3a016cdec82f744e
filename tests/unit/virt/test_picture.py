"""A PPM becomes a PNG with the same pixels."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.virt.picture import to_png


@given(width=st.integers(1, 9), height=st.integers(1, 9), data=st.data())
def test_every_pixel_is_kept(width: int, height: int, data: st.DataObject) -> None:
    pixels = data.draw(st.binary(min_size=width * height * 3, max_size=width * height * 3))
    png = to_png(b"P6\n# made by hand\n%d %d\n255\n" % (width, height) + pixels)
    assert _decode(png) == (width, height, pixels)


@pytest.mark.parametrize(
    "data", [b"", b"P5\n1 1\n255\n\0", b"P6\n2 2\n255\n\0\0\0", b"P6\n0 1\n255\n", b"P6\n1 1\n65535\n" + b"\0" * 6]
)
def test_what_is_no_complete_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="screenshot"):
        to_png(data)


def _decode(png: bytes) -> tuple[int, int, bytes]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + size
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour, chunks[b"IEND"]) == (8, 2, b"")
    lines, row = zlib.decompress(chunks[b"IDAT"]), width * 3 + 1
    return width, height, b"".join(lines[at + 1 : at + row] for at in range(0, row * height, row))
