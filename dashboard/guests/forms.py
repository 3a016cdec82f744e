"""Forms that are no operations: a guest's notes, a search that is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.models import User
from dashboard.guests import search, searches
from dashboard.guests.models import SavedSearch


class NotesForm(forms.Form):
    """Notes in Markdown."""

    text = forms.CharField(
        label=_("Notes"),
        required=False,
        max_length=64 * 1024,
        widget=forms.Textarea(attrs={"class": "form-control mono", "rows": 14, "spellcheck": "true"}),
        help_text=_("Markdown: **bold**, *italic*, `code`, lists, links, tables."),
    )


class SearchForm(forms.ModelForm):  # type: ignore[type-arg]
    """A search with the name under which it is kept."""

    class Meta:
        model = SavedSearch
        fields = ("name", "query", "shared")
        labels = {"name": _("Name"), "query": _("Search"), "shared": _("Show it to everybody")}
        help_texts = {"shared": _("They see it above their list, and find with it only what they may see.")}
        widgets = {
            "name": forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
            "query": forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.new = self.instance.pk is None
        if not searches.may_share(user):
            del self.fields["shared"]

    def clean_query(self) -> str:
        """One that can be read."""
        text = str(self.cleaned_data["query"]).strip()
        try:
            search.parse(text)
        except search.SearchError as error:
            raise forms.ValidationError(error.message) from error
        return text

    def clean(self) -> dict[str, Any]:
        """Names are each owner's own, and there are not too many of them."""
        data = super().clean() or {}
        theirs = SavedSearch.objects.filter(owner=self.instance.owner).exclude(pk=self.instance.pk)
        if theirs.filter(name=data.get("name", "")).exists():
            self.add_error("name", _("There is a search of this name already: choose another."))
        elif self.new and theirs.count() >= searches.MOST:
            self.add_error(None, _("That is one search too many: delete one that you do not need."))
        return data
