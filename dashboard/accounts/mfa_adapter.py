"""How allauth keeps second factors here: sealed in the database, named after our public address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.models import User
from dashboard.accounts.sealing import Unreadable, seal, unseal


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Seals secrets; says who we are to authenticator apps and passkeys."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": _("This code is not right, or was used already. Wait for the next one and try again."),
        "passkey_failed": _("This passkey was not accepted. Try again, or use another way to sign in."),
    }

    def encrypt(self, text: str) -> str:
        """Seal the secret of an authenticator app and the seed of recovery codes."""
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Unseal; a secret whose key is gone fits no code, and an administrator resets it."""
        try:
            return unseal(encrypted_text)
        except Unreadable as error:
            raise self.validation_error("incorrect_code") from error

    def get_totp_issuer(self) -> str:
        """What the authenticator app shows: our name and address."""
        return f"kvmweb {urlsplit(settings.PUBLIC_URL).hostname}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Passkeys belong to the host of our public address, whatever the request says."""
        return {"id": urlsplit(settings.PUBLIC_URL).hostname or "", "name": "kvmweb"}

    def generate_authenticator_name(self, user: User, type: Any) -> str:
        """No invented names: a key without one is called a passkey."""
        return str(_("Passkey"))
