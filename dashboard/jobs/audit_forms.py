"""The form by which the audit log is searched; everything in it stands in the address."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.models import AUDIT_WORDS, User
from dashboard.jobs.audit_log import ENDS, Filters, choices

MINUTE = "%Y-%m-%dT%H:%M"
RESULTS = ("ok", *ENDS, "denied")


def _text(label: Any, **attributes: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", **attributes})
    return forms.CharField(label=label, required=False, max_length=255, widget=widget)


def _moment(label: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(format=MINUTE, attrs={"type": "datetime-local", "class": "form-control"})
    return forms.DateTimeField(label=label, required=False, input_formats=[MINUTE, f"{MINUTE}:%S"], widget=widget)


def _actions() -> list[tuple[str, Any]]:
    return [("", _("Everything")), *choices()]


def _results() -> list[tuple[str, Any]]:
    return [("", _("All")), *((name, AUDIT_WORDS[name]) for name in RESULTS)]


class AuditForm(forms.Form):
    """What is looked for."""

    q = forms.CharField(
        label=_("Search the audit log"),
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"type": "search", "class": "form-control", "placeholder": _("Person, action, object, host, address")}
        ),
    )
    person = _text(_("Person"), list="audit-people")
    action = forms.ChoiceField(
        label=_("What"), required=False, choices=_actions, widget=forms.Select(attrs={"class": "form-select"})
    )
    object = _text(_("On what (name or UUID)"))
    host = _text(_("Host"), list="audit-hosts")
    result = forms.ChoiceField(
        label=_("Result"), required=False, choices=_results, widget=forms.Select(attrs={"class": "form-select"})
    )
    since = _moment(_("Since"))
    until = _moment(_("Until"))

    def clean(self) -> dict[str, Any]:
        """A span of time ends after it begins."""
        data = super().clean() or {}
        if data.get("since") and data.get("until") and data["since"] > data["until"]:
            self.add_error("until", _("This is before the beginning: choose a later time."))
        return data

    def filters(self) -> Filters:
        """What is usable of what was given. The last minute counts whole; a person is found whatever the case."""
        data = {name: value for name, value in self.cleaned_data.items() if value}
        if "until" in data:
            data["until"] += timedelta(minutes=1)
        if "person" in data:
            known = User.objects.filter(username__iexact=data["person"]).values_list("username", flat=True)
            data["person"] = (
                next((one for one in known if one == data["person"]), None) or known.first() or data["person"]
            )
        return Filters(**data)
