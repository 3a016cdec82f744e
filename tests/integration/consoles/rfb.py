"""A VNC client of a few lines for tests, over an open WebSocket."""

from __future__ import annotations

import struct

from websockets.sync.client import ClientConnection

NEW_SIZE = -223
"""The pseudo-encoding DesktopSize."""


class Rfb:
    """Shakes hands without a password; `width` and `height` are known afterwards."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self._buffer = b""
        assert self.read(12) == b"RFB 003.008\n"
        ws.send(b"RFB 003.008\n")
        assert 1 in self.read(self.read(1)[0])
        ws.send(b"\x01")
        assert self.read(4) == bytes(4)
        ws.send(b"\x01")
        self.width, self.height = struct.unpack(">HH", self.read(4))
        self.read(16)
        self.name = self.read(struct.unpack(">I", self.read(4))[0]).decode()

    def read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.ws.recv(timeout=15)
            assert isinstance(data, bytes)
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def picture(self) -> bytes:
        """The whole screen, raw, four bytes a pixel; follows a screen that changes its size while the guest boots."""
        self.ws.send(struct.pack(">BxHii", 2, 2, 0, NEW_SIZE))
        screen, got = self._ask()
        while got < self.width * self.height:
            kind, count = struct.unpack(">BxH", self.read(4))
            assert kind == 0
            for _ in range(count):
                x, y, width, height, encoding = struct.unpack(">HHHHi", self.read(12))
                if encoding == NEW_SIZE:
                    self.width, self.height = width, height
                    screen, got = self._ask()
                    continue
                assert encoding == 0
                data = self.read(4 * width * height)
                for row in range(height):
                    start = 4 * ((y + row) * self.width + x)
                    screen[start : start + 4 * width] = data[4 * width * row : 4 * width * (row + 1)]
                got += width * height
        return bytes(screen)

    def _ask(self) -> tuple[bytearray, int]:
        self.ws.send(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        return bytearray(4 * self.width * self.height), 0

    def key(self, keysym: int) -> None:
        for down in (1, 0):
            self.ws.send(struct.pack(">BBxxI", 4, down, keysym))

    def type(self, text: str) -> None:
        """Plain small letters, digits, and what needs Shift on a US keyboard: > only."""
        for character in text:
            if character == ">":
                self.ws.send(struct.pack(">BBxxI", 4, 1, 0xFFE1))
            self.key({"\n": 0xFF0D}.get(character, ord(character)))
            if character == ">":
                self.ws.send(struct.pack(">BBxxI", 4, 0, 0xFFE1))
