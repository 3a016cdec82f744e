"""The view-only filter: reads what a VNC client sends and lets through only what looks, never what acts."""

from __future__ import annotations

import struct
from collections.abc import Generator

PIXELS = {0, 1, 2, 4, 5, 6, 7, 8, 16, 21, 50, -260}
"""Raw, copy, RRE, CoRRE, hextile, zlib, tight, zlibhex, ZRLE, JPEG, H.264, tight PNG."""
NEWS = {-223, -224, -232, -239, -240, -258, -261, -307, -308, -312, -313, 0x574D5664}
"""Screen size, cursors, keyboard lamps, desktop name, fence, continuous updates."""
LOOKING_ENCODINGS = frozenset(PIXELS | NEWS | set(range(-32, -22)) | set(range(-256, -246)))
"""Encodings that a watcher may ask for. Left out: those that switch on client messages which act or whose length
differs (xvp power control, extended mouse buttons, GII, clipboard, audio)."""

FORBIDDEN_FIXED = {4: 8, 5: 6, 250: 4}
"""Key, pointer, xvp: dropped whole."""
ALLOWED_FIXED = {0: 20, 3: 10, 150: 10}
"""Pixel format, update request, continuous updates."""
MOST_BUFFERED = 1 << 19

Parser = Generator[int, bytes, None]


class ProtocolViolation(Exception):
    """The client does not speak RFB as the filter knows it; nothing of it may pass."""


class ViewOnlyFilter:
    """Feed it the client's bytes in any pieces; it returns the bytes that may go on to the server."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._out = bytearray()
        self._skip = 0
        self._parser = self._parse()
        self._wanted = next(self._parser)

    def feed(self, data: bytes) -> bytes:
        """What of `data` (and of what was held back) may pass now."""
        self._buffer += data
        while True:
            self._drop_skipped()
            if self._skip or len(self._buffer) < self._wanted:
                break
            message = bytes(self._buffer[: self._wanted])
            del self._buffer[: self._wanted]
            self._wanted = self._parser.send(message)
        passed = bytes(self._out)
        self._out.clear()
        return passed

    def _drop_skipped(self) -> None:
        count = min(self._skip, len(self._buffer))
        del self._buffer[:count]
        self._skip -= count

    def _parse(self) -> Parser:
        """Yields how many bytes it needs next, is sent them, appends what may pass to `_out`."""
        version = yield 12
        if version not in (b"RFB 003.007\n", b"RFB 003.008\n"):
            # In 3.3 the server chooses the security type alone, which this side of the stream cannot see.
            raise ProtocolViolation("version")
        self._out += version
        yield from self._security()
        yield 1
        self._out += b"\x01"  # shared: a watcher never throws others out
        while True:
            kind = yield 1
            yield from self._message(kind)

    def _security(self) -> Parser:
        chosen = yield 1
        if chosen not in (b"\x01", b"\x02"):
            raise ProtocolViolation("security type")
        self._out += chosen
        if chosen == b"\x02":
            self._out += yield 16

    def _message(self, kind: bytes) -> Parser:
        number = kind[0]
        if number in ALLOWED_FIXED:
            self._out += kind + (yield ALLOWED_FIXED[number] - 1)
        elif number in FORBIDDEN_FIXED:
            yield FORBIDDEN_FIXED[number] - 1
        elif number == 2:
            yield from self._encodings()
        elif number == 6:
            head = yield 7
            # A negative length marks the extended clipboard; its size is the absolute value.
            self._skip = abs(struct.unpack(">i", head[3:])[0])
        elif number == 248:
            head = yield 8
            self._out += kind + head + (yield head[7])
        elif number == 251:
            head = yield 7
            self._skip = 16 * head[5]
        elif number == 255:
            yield from self._qemu()
        else:
            raise ProtocolViolation(f"message {number}")

    def _encodings(self) -> Parser:
        head = yield 3
        (count,) = struct.unpack(">H", head[1:])
        if 4 * count > MOST_BUFFERED:
            raise ProtocolViolation("too many encodings")
        asked = struct.unpack(f">{count}i", (yield 4 * count))
        kept = [encoding for encoding in asked if encoding in LOOKING_ENCODINGS]
        self._out += struct.pack(f">BxH{len(kept)}i", 2, len(kept), *kept)

    def _qemu(self) -> Parser:
        kind = yield 1
        if kind == b"\x00":
            yield 10  # extended key
        elif kind == b"\x01":
            operation = yield 2
            if operation == b"\x00\x02":
                yield 6  # audio format
        else:
            raise ProtocolViolation(f"QEMU message {kind[0]}")
