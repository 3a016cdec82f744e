"""Forms of hosts: adding one, never with a raw URI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate
from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from dashboard.inventory.models import Host, Transport
from dashboard.virt.uri import valid_address, valid_user

KEY_MAKE, KEY_GIVEN, PASSWORD = "make", "key", "password"
NEEDS: dict[str, tuple[str, ...]] = {
    Transport.LOCAL: (),
    Transport.TEST: (),
    Transport.SSH: ("address", "user", "sign_in"),
    Transport.TLS: ("address", "ca", "client_cert", "client_key"),
    Transport.TCP: ("address", "user", "password"),
}
"""The fields that each transport cannot do without."""


def _area(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "autocomplete": "off", "class": "code"})


class HostForm(forms.Form):
    """How to reach a host, as fields; secrets are write-only and never shown again."""

    name = forms.CharField(
        label=_("Name"),
        max_length=63,
        help_text=_("As people call it here: letters, digits, dots, hyphens."),
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9][A-Za-z0-9._-]*$", _("Letters, digits, dots, hyphens; a letter or digit first.")
            )
        ],
    )
    transport = forms.ChoiceField(label=_("Reached by"), choices=Transport.choices, initial=Transport.SSH)
    address = forms.CharField(
        label=_("Address"), max_length=255, required=False, help_text=_("Host name or IP address, without a port.")
    )
    port = forms.IntegerField(
        label=_("Port"),
        min_value=1,
        max_value=65535,
        required=False,
        help_text=_("Empty: the usual one (SSH 22, TLS 16514, TCP 16509)."),
    )
    user = forms.CharField(label=_("User"), max_length=32, required=False, initial="root")
    sign_in = forms.ChoiceField(
        label=_("Sign in with"),
        choices=[
            (KEY_MAKE, _("A new key that kvmweb makes for this host (recommended)")),
            (KEY_GIVEN, _("A private key that I paste")),
            (PASSWORD, _("A password")),
        ],
        initial=KEY_MAKE,
        required=False,
    )
    private_key = forms.CharField(
        label=_("Private key"),
        required=False,
        strip=False,
        widget=_area(4),
        help_text=_("OpenSSH or PEM, without a passphrase. Encrypted here, never shown again."),
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    ca = forms.CharField(
        label=_("CA certificate"), required=False, widget=_area(3), help_text=_("PEM, as in /etc/pki/CA/cacert.pem.")
    )
    client_cert = forms.CharField(label=_("Client certificate"), required=False, widget=_area(3))
    client_key = forms.CharField(label=_("Client key"), required=False, strip=False, widget=_area(3))

    def clean_name(self) -> str:
        """Refuse a name that another host has."""
        name = str(self.cleaned_data["name"])
        if Host.objects.filter(name__iexact=name).exists():
            raise forms.ValidationError(_("Another host has this name: choose a different one."))
        return name

    def clean_address(self) -> str:
        """The address in its normal form."""
        return self._checked("address", valid_address)

    def clean_user(self) -> str:
        """A user name that can stand in a URI and on a command line."""
        return self._checked("user", valid_user)

    def clean_private_key(self) -> str:
        """A private key that opens without a passphrase."""
        text = str(self.cleaned_data.get("private_key") or "").replace("\r\n", "\n").strip()
        if not text:
            return ""
        load = serialization.load_ssh_private_key if "OPENSSH" in text else serialization.load_pem_private_key
        try:
            load(text.encode() + b"\n", password=None)
        except TypeError as error:
            raise forms.ValidationError(
                _("This key has a passphrase: give one without, made for this host.")
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise forms.ValidationError(
                _("This is not a private key: paste the whole file, from BEGIN to END.")
            ) from error
        return text + "\n"

    def clean_ca(self) -> str:
        """A certificate in PEM."""
        return self._certificate("ca")

    def clean_client_cert(self) -> str:
        """A certificate in PEM."""
        return self._certificate("client_cert")

    def clean(self) -> dict[str, Any]:
        """What the chosen transport needs is there; what it does not use is dropped."""
        data = super().clean() or {}
        transport = data.get("transport", "")
        needed = list(NEEDS.get(transport, ()))
        if transport == Transport.SSH:
            needed += {KEY_GIVEN: ["private_key"], PASSWORD: ["password"]}.get(data.get("sign_in", ""), [])
        for field in needed:
            if not data.get(field) and field not in self.errors:
                self.add_error(field, _("This is needed for the chosen way to reach the host."))
        used = {"name", "transport", "port", *needed}
        if transport == Transport.LOCAL and Host.objects.filter(transport=Transport.LOCAL).exists():
            self.add_error("transport", _("This machine is enrolled already."))
        return {key: value for key, value in data.items() if key in used}

    def _checked(self, field: str, check: Callable[[str], str]) -> str:
        value = str(self.cleaned_data.get(field) or "")
        if not value:
            return ""
        try:
            return check(value)
        except ValueError as error:
            raise forms.ValidationError(_(str(error))) from error

    def _certificate(self, field: str) -> str:
        text = str(self.cleaned_data.get(field) or "").replace("\r\n", "\n").strip()
        if not text:
            return ""
        try:
            load_pem_x509_certificate(text.encode())
        except ValueError as error:
            raise forms.ValidationError(
                _("This is not a certificate in PEM: paste the whole file, from BEGIN to END.")
            ) from error
        return text + "\n"
