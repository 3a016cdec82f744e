"""The places on which a role can be granted, by name: hosts, tags and guests, told by the room that has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from django.utils.translation import gettext as _

from dashboard.accounts.models import Grant

Choice = tuple[str, str]
"""(key of a grant, name)"""


@dataclass(frozen=True)
class Kind:
    """One kind of place."""

    find: Callable[[str, int], list[Choice]]
    """(words, how many) → the places whose names hold the words."""
    names: Callable[[Collection[str]], dict[str, str]]
    """Keys → the names of those that are there."""


class Somewhere(Protocol):
    """A grant or a token: anything with a place and its key."""

    place: str
    key: str


KINDS: dict[str, Kind] = {}


def register(place: str, kind: Kind) -> None:
    """Tell how places of a kind are found and named."""
    KINDS[place] = kind


def names_of(things: Iterable[Somewhere]) -> dict[tuple[str, str], str]:
    """(place, key) → what people call it; one query for each kind of place among them. Keys of what is gone stay keys."""
    keys: dict[str, set[str]] = {}
    for one in things:
        keys.setdefault(one.place, set()).add(one.key)
    found: dict[tuple[str, str], str] = {}
    for place, wanted in keys.items():
        known = KINDS[place].names(wanted) if place in KINDS else {}
        for key in wanted:
            found[place, key] = _worded(place, known.get(key, key))
    return found


def _worded(place: str, name: str) -> str:
    if place == Grant.Where.EVERYTHING:
        return _("everything")
    if place == Grant.Where.HOST:
        return _("the host %(name)s") % {"name": name}
    if place == Grant.Where.TAG:
        return _("the tag %(name)s") % {"name": name}
    return _("the virtual machine %(name)s") % {"name": name}


def exists(place: str, key: str) -> bool:
    """Whether there is such a place now. Any word may become a tag one day."""
    if place == Grant.Where.EVERYTHING:
        return not key
    if place == Grant.Where.TAG:
        return bool(key) and len(key) <= 50 and not any(letter.isspace() for letter in key)
    return place in KINDS and key in KINDS[place].names([key])
