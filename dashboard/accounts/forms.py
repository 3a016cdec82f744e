"""Forms of people: the first administrator, adding, changing, own preferences."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.grant_forms import role_choices
from dashboard.accounts.models import User
from dashboard.accounts.permissions import VIEWER

LANGUAGES = [("", _("The browser's")), ("en", "English"), ("zh-hans", "简体中文")]


class FirstAdministratorForm(forms.Form):
    """A name and a password, twice."""

    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label=_("Password"),
        help_text=_("At least 10 characters; a sentence is good."),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label=_("Password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_username(self) -> str:
        """Refuse a name that is taken, whatever its case."""
        name = str(self.cleaned_data["username"])
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(_("Somebody has this name already: choose another."))
        return name

    def clean(self) -> dict[str, Any]:
        """Both passwords are the same and strong enough."""
        data = super().clean() or {}
        if data.get("password") and data.get("again") and data["password"] != data["again"]:
            self.add_error("again", _("The two passwords differ: type the same one twice."))
        elif data.get("password"):
            try:
                validate_password(data["password"], User(username=data.get("username", "")))
            except forms.ValidationError as error:
                self.add_error("password", error)
        return data


class PersonForm(FirstAdministratorForm):
    """A new person with a role on everything; grants on less are given on the person's page."""

    role = forms.ChoiceField(
        label=_("Role"),
        required=False,
        initial=VIEWER,
        help_text=_("On everything. Choose none to grant a role on a host, a tag or a virtual machine only."),
    )
    field_order = ("username", "role", "password", "again")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [("", _("None")), *role_choices()]  # type: ignore[attr-defined]


class PersonChangeForm(forms.ModelForm):  # type: ignore[type-arg]
    """A person's role on everything, and whether they may sign in."""

    role = forms.ChoiceField(label=_("Role"), required=False, help_text=_("On everything."))
    field_order = ("role", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [("", _("None")), *role_choices()]  # type: ignore[attr-defined]

    class Meta:
        model = User
        fields = ("is_active",)
        labels = {"is_active": _("May sign in")}
        help_texts = {"is_active": ""}


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]
    """One's own language, theme and keyboard."""

    class Meta:
        model = User
        fields = ("language", "theme", "shortcuts")
        labels = {"language": _("Language"), "theme": _("Theme"), "shortcuts": _("Single keys are shortcuts")}
        help_texts = {"shortcuts": _("Such as / for searching and j and k for moving through lists. ? lists them all.")}
        widgets = {
            "language": forms.Select(choices=LANGUAGES),
            "theme": forms.Select(choices=[("", _("As the system")), ("light", _("Light")), ("dark", _("Dark"))]),
        }
