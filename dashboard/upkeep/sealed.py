"""A file under a passphrase: ChaCha20-Poly1305 in pieces, so that neither a cut nor a swapped piece goes unnoticed."""

from __future__ import annotations

import os
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAGIC = b"kvmweb sealed 1\n"
PIECE = 1 << 20
TAG = 16
SALT = 16


class WrongPassphrase(Exception):
    """The passphrase does not open the file, or the file is damaged."""


def is_sealed(file: BinaryIO) -> bool:
    """Whether the file begins like a sealed one; reads from where it stands and goes back there."""
    here = file.tell()
    begins = file.read(len(MAGIC)) == MAGIC
    file.seek(here)
    return begins


def _cipher(passphrase: str, salt: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(passphrase.encode()))


def _nonce(number: int, *, last: bool) -> bytes:
    """The key belongs to this file alone, so counting is enough; the last piece is marked as such."""
    return number.to_bytes(11, "big") + bytes([last])


class Sealer:
    """What is written to it comes sealed into `file`; `close` writes the end and leaves the file open."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        salt = os.urandom(SALT)
        self._file, self._cipher = file, _cipher(passphrase, salt)
        self._waiting, self._number = bytearray(), 0
        file.write(MAGIC + salt)

    def write(self, data: bytes) -> int:
        """Take some bytes."""
        self._waiting += data
        while len(self._waiting) > PIECE:
            self._put(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]
        return len(data)

    def close(self) -> None:
        """Write what is left as the last piece."""
        self._put(bytes(self._waiting), last=True)

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), piece, None))
        self._number += 1


class Opener:
    """Reads what a Sealer wrote. Raises WrongPassphrase at the first piece that does not fit."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        head = file.read(len(MAGIC) + SALT)
        if len(head) != len(MAGIC) + SALT:
            raise WrongPassphrase
        self._file, self._cipher = file, _cipher(passphrase, head[len(MAGIC) :])
        self._ready, self._number, self._ended = bytearray(), 0, False

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; none at the end."""
        while not self._ended and (size < 0 or len(self._ready) < size):
            self._ready += self._next()
        taken = bytes(self._ready) if size < 0 else bytes(self._ready[:size])
        del self._ready[: len(taken)]
        return taken

    def _next(self) -> bytes:
        piece = self._file.read(PIECE + TAG)
        self._ended = len(piece) < PIECE + TAG or not self._more()
        try:
            plain = self._cipher.decrypt(_nonce(self._number, last=self._ended), piece, None)
        except InvalidTag as error:
            raise WrongPassphrase from error
        self._number += 1
        return plain

    def _more(self) -> bool:
        here = self._file.tell()
        more = bool(self._file.read(1))
        self._file.seek(here)
        return more
