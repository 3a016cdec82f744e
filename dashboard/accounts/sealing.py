"""Sealing texts with the installation's encryption keys, so that the database alone gives no secret away."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(ValueError):
    """Sealed with a key that is no longer in KVMWEB_ENCRYPTION_KEYS."""


def seal(text: str) -> str:
    """The text, encrypted with the newest key."""
    return _fernet().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """The text in clear. Raises Unreadable without its key."""
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in settings.ENCRYPTION_KEYS])
