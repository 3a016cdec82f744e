"""A VNC client for measuring: asks for whole raw pictures and for an answer that QEMU gives at once; TCP or WebSocket."""

from __future__ import annotations

import base64
import os
import socket
import struct
from typing import Protocol

CHUNK = 1 << 18
RAW, EXTENDED_KEYS = 0, -258


class Stream(Protocol):
    """Bytes in both directions."""

    def read(self, count: int) -> bytes:
        """Exactly so many."""
        ...

    def skip(self, count: int) -> None:
        """Read and forget so many."""
        ...

    def send(self, data: bytes) -> None:
        """Send all."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Plain:
    """A socket as it is."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(20)
        self.sock = sock
        self._buffer = bytearray()
        self._room = bytearray(CHUNK)

    def _receive(self) -> memoryview:
        count = self.sock.recv_into(self._room)
        if not count:
            raise EOFError("the display hung up")
        return memoryview(self._room)[:count]

    def _payload(self) -> memoryview:
        return self._receive()

    def read(self, count: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._buffer) < count:
            self._buffer += self._payload()
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def skip(self, count: int) -> None:
        """Read and forget so many."""
        count -= (had := min(count, len(self._buffer)))
        del self._buffer[:had]
        while count > 0:
            part = self._payload()
            if len(part) > count:
                self._buffer += part[count:]
            count -= len(part)

    def send(self, data: bytes) -> None:
        """Send all."""
        self.sock.sendall(data)

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


class WebSocket(Plain):
    """The same inside binary WebSocket frames."""

    def __init__(self, sock: socket.socket, path: str, headers: dict[str, str]) -> None:
        super().__init__(sock)
        self._wire = bytearray()
        self._left = 0
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        sock.sendall(text.encode())
        while b"\r\n\r\n" not in self._wire:
            self._wire += self._receive()
        head, _, rest = bytes(self._wire).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise EOFError(head.decode(errors="replace"))
        self._wire = bytearray(rest)

    def _need(self, count: int) -> None:
        while len(self._wire) < count:
            self._wire += self._receive()

    def _payload(self) -> memoryview:
        if self._left == 0:
            self._begin_frame()
        if self._wire:
            part = bytes(self._wire[: self._left])
            del self._wire[: self._left]
            self._left -= len(part)
            return memoryview(part)
        part_ = self._receive()
        if len(part_) > self._left:
            self._wire += part_[self._left :]
            part_ = part_[: self._left]
        self._left -= len(part_)
        return part_

    def _begin_frame(self) -> None:
        while self._left == 0:
            self._need(2)
            kind, length = self._wire[0] & 15, self._wire[1] & 127
            size = 2 + {126: 2, 127: 8}.get(length, 0)
            self._need(size)
            if size > 2:
                length = int.from_bytes(self._wire[2:size], "big")
            if kind == 8:
                raise EOFError("the gateway closed")
            if kind == 9:  # a ping: its few bytes are dropped unanswered
                self._need(size + length)
                size, length = size + length, 0
            del self._wire[:size]
            self._left = length

    def send(self, data: bytes) -> None:
        """One masked frame (with the mask of zeros, which changes nothing)."""
        length = len(data)
        size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack(">H", length)
        super().send(b"\x82" + size + bytes(4) + data)


class Screen:
    """One VNC session."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        stream.send(stream.read(12))
        kinds = stream.read(stream.read(1)[0])
        if 1 not in kinds:
            raise EOFError(f"the display wants a password: {list(kinds)}")
        stream.send(b"\x01")
        if stream.read(4) != bytes(4):
            raise EOFError("the display refuses")
        stream.send(b"\x01")
        self.width, self.height, bits, *_, name = struct.unpack(">HHB15sI", stream.read(24))
        stream.skip(name)
        self.pixel = bits // 8
        self.ask_for_acknowledgement()

    def ask_for_acknowledgement(self) -> None:
        """SetEncodings with raw pictures and QEMU's extended keys, which QEMU acknowledges at once; wait for that.

        A picture of one pixel would be answered by QEMU's refresh timer, 30 ms to 3 s later, whoever carries it.
        """
        self.stream.send(struct.pack(">BxHii", 2, 2, RAW, EXTENDED_KEYS))
        while EXTENDED_KEYS not in self._update():
            pass

    def picture(self) -> int:
        """Ask for the whole picture and read it; its bytes."""
        self.stream.send(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        self.bytes = 0
        while self.bytes < self.width * self.height * self.pixel:
            self._update()
        return self.bytes

    bytes = 0

    def _update(self) -> list[int]:
        """Read one FramebufferUpdate; its encodings."""
        kind, count = struct.unpack(">BxH", self.stream.read(4))
        if kind != 0:
            raise EOFError(f"message {kind} was not expected")
        found = []
        for _ in range(count):
            _x, _y, width, height, encoding = struct.unpack(">HHHHi", self.stream.read(12))
            found.append(encoding)
            if encoding == RAW:
                self.bytes += (size := width * height * self.pixel)
                self.stream.skip(size)
        return found

    def close(self) -> None:
        """Leave."""
        self.stream.close()
