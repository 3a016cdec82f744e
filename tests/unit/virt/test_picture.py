"""A PPM becomes a PNG with the same pixels, and any screenshot a small picture of our own making."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from dashboard.virt.picture import thumbnail, to_png


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


def _png(width: int, height: int, colour: tuple[int, int, int] = (10, 200, 30)) -> bytes:
    return to_png(b"P6\n%d %d\n255\n" % (width, height) + bytes(colour) * (width * height))


def test_a_small_picture_is_made_anew_and_shows_the_same() -> None:
    with Image.open(io.BytesIO(thumbnail(_png(1024, 768)))) as small:
        assert (small.format, small.size) == ("WEBP", (320, 240))
        red, green, blue = small.convert("RGB").split()
        assert max(abs(band.getpixel((5, 5)) - wanted) for band, wanted in ((red, 10), (green, 200), (blue, 30))) < 12  # type: ignore[operator]
    with Image.open(io.BytesIO(thumbnail(_png(16, 9)))) as small:
        assert small.size == (16, 9)


def test_what_a_host_hides_in_a_picture_does_not_go_on() -> None:
    png = _png(64, 64)
    hidden = b"<script>alert(1)</script>"
    chunk = b"tEXt" + b"Comment\0" + hidden
    with_text = png[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]
    assert hidden not in thumbnail(with_text + hidden)


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a" + b"\0" * 50, b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", _png(9000, 1)],
    ids=["nothing", "another format", "a beginning", "SVG", "too wide"],
)
def test_what_is_no_picture_of_a_screen_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="screenshot"):
        thumbnail(data)


@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400))
@example(at=11, byte=0, cut=0)  # a header that says that it is shorter than headers are
def test_a_damaged_picture_is_refused_or_shown_and_nothing_else(at: int, byte: int, cut: int) -> None:
    damaged = bytearray(_png(40, 30))
    damaged[at % len(damaged)] = byte
    for data in (bytes(damaged), bytes(damaged[: -(cut % len(damaged)) or None])):
        try:
            assert thumbnail(data)[:4] == b"RIFF"
        except ValueError as error:
            assert "screenshot" in str(error)
