"""Forms of rights: a grant, a group, a member, a role of one's own making."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from dashboard.accounts import places
from dashboard.accounts.explain import all_roles
from dashboard.accounts.models import Grant, Role, User
from dashboard.accounts.permissions import PERMISSIONS, ROLES

OFFERED = 100
"""Places that are in the page from the start; typing finds the others."""
AREAS = {
    "host": _("Hosts"),
    "guest": _("Virtual machines"),
    "storage": _("Storage"),
    "network": _("Networks"),
    "job": _("Jobs"),
    "people": _("People"),
    "metrics": _("Figures"),
    "audit": _("Audit log"),
}
"""By the first word of a permission's name."""


def role_choices() -> list[tuple[str, str]]:
    """Every role by slug and name."""
    return [(slug, name) for slug, (name, _allows) in all_roles().items()]


class PlaceField(forms.CharField):
    """The key of a place of one kind, chosen from a searchable list that the server fills."""

    def __init__(self, kind: str, label: Any) -> None:
        super().__init__(label=label, required=False, max_length=128)
        self.kind = kind
        self.widget = forms.Select(attrs={"data-module": "combobox", "data-from": f"/people/places/{kind}.json"})

    def offer(self, chosen: str = "") -> None:
        """Fill the list with the first places of the kind, and with what was chosen."""
        found = places.KINDS[self.kind].find("", OFFERED)
        if chosen and chosen not in dict(found):
            found = [*places.KINDS[self.kind].names([chosen]).items(), *found]
        self.widget.choices = [("", "–"), *found]


class GrantForm(forms.Form):
    """A role on everything, a host, a tag or a virtual machine."""

    role = forms.ChoiceField(label=_("Role"))
    place = forms.ChoiceField(
        label=_("On"), choices=Grant.Where.choices, initial=Grant.Where.EVERYTHING, widget=forms.RadioSelect
    )
    host = PlaceField("host", _("Host"))
    tag = PlaceField("tag", _("Tag"))
    guest = PlaceField("guest", _("Virtual machine"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = role_choices()  # type: ignore[attr-defined]
        self.fields["role"].widget.attrs["id"] = "id_grant_role"
        for kind in ("host", "tag", "guest"):
            field = self.fields[kind]
            assert isinstance(field, PlaceField)  # noqa: S101
            field.offer(str(self.data.get(kind, "")))

    def clean(self) -> dict[str, Any]:
        """The place that was named is there; its key stands under "key"."""
        data = super().clean() or {}
        place = data.get("place", "")
        key = "" if place == Grant.Where.EVERYTHING else str(data.get(place, ""))
        if place and not places.exists(place, key):
            self.add_error(place if place in self.fields else None, _("Choose one from the list."))
        data["key"] = key
        return data


class GroupForm(forms.Form):
    """A group's name."""

    name = forms.CharField(label=_("Name"), max_length=150)

    def clean_name(self) -> str:
        """Refuse a name that is taken, whatever its case."""
        name = str(self.cleaned_data["name"])
        if Group.objects.filter(name__iexact=name).exists():
            raise forms.ValidationError(_("There is a group of this name already."))
        return name


class MemberForm(forms.Form):
    """Somebody who is to join a group."""

    person = forms.ModelChoiceField(
        label=_("Person"),
        queryset=User.objects.none(),
        empty_label="–",
        widget=forms.Select(attrs={"data-module": "combobox"}),
    )

    def __init__(self, group: Group, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = User.objects.exclude(groups=group).order_by("username")
        self.fields["person"].queryset = others  # type: ignore[attr-defined]


class JoinForm(forms.Form):
    """A group that somebody is to join."""

    group = forms.ModelChoiceField(label=_("Group"), queryset=Group.objects.none(), empty_label="–")

    def __init__(self, person: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Group.objects.exclude(user=person).order_by("name")
        self.fields["group"].queryset = others  # type: ignore[attr-defined]


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A role's name and what it allows."""

    permissions = forms.MultipleChoiceField(
        label=_("What it allows"),
        choices=list(PERMISSIONS.items()),
        error_messages={"required": _("Choose at least one permission.")},
    )

    class Meta:
        model = Role
        fields = ("name", "permissions")
        labels = {"name": _("Name")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = True

    def clean_name(self) -> str:
        """Refuse a name that another role has."""
        name = str(self.cleaned_data["name"])
        others = {
            slug: label.casefold() for slug, (label, _allows) in all_roles().items() if slug != self.instance.slug
        }
        if name.casefold() in others.values():
            raise forms.ValidationError(_("There is a role of this name already."))
        return name

    def chosen(self) -> Role:
        """The role as it is to be, not yet written; a new one gets a slug that no other has."""
        role = Role(pk=self.instance.pk, slug=self.instance.slug, second_factor=self.instance.second_factor)
        role.name, role.permissions = self.cleaned_data["name"], sorted(self.cleaned_data["permissions"])
        if not role.slug:
            wanted = slugify(role.name)[:20] or "role"
            taken = wanted in ROLES or Role.objects.filter(slug=wanted).exists()
            role.slug = f"{wanted}-{secrets.token_hex(3)}" if taken or wanted == "role" else wanted
        return role

    def areas(self) -> list[dict[str, Any]]:
        """The permissions as checkboxes, grouped by what they are about."""
        chosen = set(self["permissions"].value() or ())
        found: dict[str, list[dict[str, Any]]] = {area: [] for area in AREAS}
        for name, label in PERMISSIONS.items():
            found[name.partition(".")[0]].append({"name": name, "label": label, "chosen": name in chosen})
        return [{"label": AREAS[area], "permissions": some} for area, some in found.items() if some]
