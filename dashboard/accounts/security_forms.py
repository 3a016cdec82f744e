"""Forms of one's own tokens, and of a password that is set by a one-time link."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.models import Grant, Role, User
from dashboard.accounts.own_places import key_of
from dashboard.accounts.permissions import ROLE_LABELS, ROLES

DAYS = [("1", _("1 day")), ("7", _("7 days")), ("30", _("30 days")), ("90", _("90 days")), ("365", _("1 year")), ("", _("Never"))]  # fmt: skip


def _roles() -> list[tuple[str, Any]]:
    own = [(role.slug, str(role)) for role in Role.objects.exclude(slug__in=ROLES)]
    return [("", _("All that I may do myself")), *ROLE_LABELS.items(), *own]


class TokenForm(forms.Form):
    """A new token: name, scope, end."""

    name = forms.CharField(label=_("Name"), max_length=64, help_text=_("What will use it, like “backup script”."))
    role = forms.ChoiceField(
        label=_("May do at most what this role may"),
        choices=_roles,
        required=False,
        help_text=_("Never more than you may do yourself at that moment."),
    )
    place = forms.ChoiceField(label=_("On"), choices=Grant.Where.choices, initial=Grant.Where.EVERYTHING)
    which = forms.CharField(
        label=_("Which host, tag or virtual machine"),
        max_length=255,
        required=False,
        help_text=_("Its name, or a virtual machine's UUID. Leave it empty for everything."),
    )
    days = forms.ChoiceField(label=_("Ends after"), choices=DAYS, initial="30", required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean(self) -> dict[str, Any]:
        """Find what the place is called for."""
        data = super().clean() or {}
        try:
            data["key"] = key_of(self.user, data.get("place", ""), data.get("which", "")) if "place" in data else ""
        except forms.ValidationError as error:
            self.add_error("which", error)
        return data

    @property
    def expires_at(self) -> datetime | None:
        """When the token ends."""
        days = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=int(days)) if days else None


class SetPasswordForm(forms.Form):
    """A new password, twice."""

    password = forms.CharField(
        label=_("New password"),
        help_text=_("At least 10 characters; a sentence is good."),
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "autofocus": True}),
    )
    again = forms.CharField(
        label=_("New password again"),
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean(self) -> dict[str, Any]:
        """Both are the same and strong enough."""
        data = super().clean() or {}
        if data.get("password") and data.get("again") and data["password"] != data["again"]:
            self.add_error("again", _("The two passwords differ: type the same one twice."))
        elif data.get("password"):
            try:
                validate_password(data["password"], self.person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return data
