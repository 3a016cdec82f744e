"""What a page has to say when it asks for a console ticket."""

from __future__ import annotations

from django import forms


class TicketForm(forms.Form):
    """Which guest, which console, and whether only to watch."""

    host = forms.IntegerField(min_value=1, max_value=2**63 - 1)
    uuid = forms.UUIDField()
    kind = forms.ChoiceField(choices=[("vnc", "vnc"), ("serial", "serial")])
    view_only = forms.BooleanField(required=False)
