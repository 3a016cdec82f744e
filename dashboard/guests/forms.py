"""Forms that are no operations: a guest's notes."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class NotesForm(forms.Form):
    """Notes in Markdown."""

    text = forms.CharField(
        label=_("Notes"),
        required=False,
        max_length=64 * 1024,
        widget=forms.Textarea(attrs={"class": "form-control mono", "rows": 14, "spellcheck": "true"}),
        help_text=_("Markdown: **bold**, *italic*, `code`, lists, links, tables."),
    )
