"""Hosts' credentials sealed for a public key: the web process takes them in and cannot read them again."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PURPOSE = b"kvmweb host credentials 1"
NONCE = bytes(12)
"""Each sealed text has a key of its own, so one nonce will do."""
KEY = 32


class Unreadable(ValueError):
    """Sealed for another key than those that are here."""


def make_key() -> str:
    """A new private key, as it is kept."""
    return base64.urlsafe_b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()


def derived(secret: str) -> str:
    """The private key that belongs to another secret of the installation."""
    key = HKDF(hashes.SHA256(), KEY, salt=None, info=PURPOSE + b" derived").derive(secret.encode())
    return base64.urlsafe_b64encode(key).decode()


def public_half(private: str) -> str:
    """The public key that belongs to a private one."""
    return base64.urlsafe_b64encode(_private(private).public_key().public_bytes_raw()).decode()


def seal(public: str, text: str, context: str) -> str:
    """The text, for whoever has the private key and knows the context."""
    theirs = base64.urlsafe_b64decode(public)
    mine = X25519PrivateKey.generate()
    half = mine.public_key().public_bytes_raw()
    shared = mine.exchange(X25519PublicKey.from_public_bytes(theirs))
    sealed = _cipher(shared, half, theirs).encrypt(NONCE, text.encode(), context.encode())
    return base64.urlsafe_b64encode(half + sealed).decode()


def unseal(privates: Iterable[str], sealed: str, context: str) -> str:
    """The text in clear. Raises Unreadable without its key."""
    try:
        data = base64.urlsafe_b64decode(sealed)
        sender = X25519PublicKey.from_public_bytes(data[:KEY])
    except (binascii.Error, ValueError) as error:
        raise Unreadable from error
    for private in map(_private, privates):
        mine = private.public_key().public_bytes_raw()
        shared = private.exchange(sender)
        try:
            return _cipher(shared, data[:KEY], mine).decrypt(NONCE, data[KEY:], context.encode()).decode()
        except InvalidTag:
            continue
    raise Unreadable


def _private(text: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(text))


def _cipher(shared: bytes, sender: bytes, receiver: bytes) -> ChaCha20Poly1305:
    derived = HKDF(hashes.SHA256(), KEY, salt=None, info=PURPOSE + sender + receiver).derive(shared)
    return ChaCha20Poly1305(derived)
