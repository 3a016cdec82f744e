"""allauth's forms of the second factor, with our words, and codes that work once even at the turn of half a minute."""

from __future__ import annotations

from typing import Any

from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.core.cache import cache
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.models import User

NAME_LENGTH = 64


def _spend(user: User, code: str) -> bool:
    """Use a time-based code up. False: it was used before. allauth itself remembers it for 30 s, but takes it for 90."""
    valid_for = app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)
    return cache.add(f"totp-spent:{user.pk}:{normalize_user_code(code)}", "spent", timeout=valid_for)


def _code_field(label: Any) -> forms.CharField:
    attributes = {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True, "maxlength": "32"}
    return forms.CharField(label=label, max_length=32, widget=forms.TextInput(attrs=attributes))


class _OnceOnly:
    """Refuses a time-based code that was used."""

    authenticator: Authenticator
    user: User

    def clean_code(self) -> str:
        """Check the code, then use it up."""
        code: str = super().clean_code()  # type: ignore[misc]
        if self.authenticator.type == Authenticator.Type.TOTP and not _spend(self.user, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class SignInCodeForm(_OnceOnly, AuthenticateForm):  # type: ignore[misc]
    """The code after the password: of the app, or one of the recovery codes."""

    code = _code_field(_("Code of your authenticator app, or a recovery code"))


class ConfirmCodeForm(_OnceOnly, ReauthenticateForm):  # type: ignore[misc]
    """The code that confirms that it is still the same person."""

    code = _code_field(_("Code of your authenticator app, or a recovery code"))


class SetUpAppForm(ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new authenticator app; it does not sign in again."""

    code = _code_field(_("Code that the app shows"))

    def clean_code(self) -> str:
        """Check the code, then use it up."""
        code: str = super().clean_code()
        if not _spend(self.user, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey with its name."""

    name = forms.CharField(
        label=_("Name"),
        help_text=_("By which you know it again, like “Phone”."),
        max_length=NAME_LENGTH,
        required=False,
    )
    passwordless = forms.BooleanField(
        label=_("Sign in with it alone, without name and password"),
        help_text=_("It then asks for your finger, face or PIN. Off: only as second step after the password."),
        required=False,
        initial=True,
    )


class RenamePasskeyForm(EditWebAuthnForm):  # type: ignore[misc]
    """Another name for a passkey."""

    name = forms.CharField(label=_("Name"), max_length=NAME_LENGTH)
