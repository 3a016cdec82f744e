"""The query language of the list: `state:running host:alpha mem:>4G name:db* -tag:old words`, read into terms.

One term after another, all must fit; `,` between values is "or", `-` before a term is "not", quotes keep spaces and signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from dashboard.guests.search_fields import FIELDS, Node, Value, WrongValue, plain

if TYPE_CHECKING:
    from django.db.models import Q

    from dashboard.accounts.models import User

LONGEST = 500
MOST_TERMS = 12
MOST_VALUES = 40

_SPACE = re.compile(r"\s*")
_KEY = re.compile(r"([A-Za-z]+):")
_ADDRESS = re.compile(r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(?=[\s,]|$)")
"""An IPv6 or MAC address may look as if it began with a key ("fd::1", "de:ad:…"). No key is made of these letters."""
_OPERATOR = re.compile(r">=|<=|>|<|=")
_BARE = re.compile(r"[^\s,]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SIMPLE = re.compile(r'[^\s,"<>=*\\]+')


class SearchError(ValueError):
    """A search that cannot be read: a sentence that says what is allowed, and the part of the text it is about."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.message, self.start, self.end = message, start, end


@dataclass(frozen=True)
class Term:
    """One condition. `key` is "" for plain words."""

    key: str
    negative: bool
    values: tuple[Value, ...]
    start: int
    end: int

    @cached_property
    def node(self) -> Node:
        """What it asks for, as JSON: {"f": field, …}, {"any": […]} or {"not": …}."""
        nodes: list[Node] = []
        for value in self.values:
            try:
                node = FIELDS[self.key].read(value) if self.key else plain(value)
            except WrongValue as error:
                raise SearchError(str(error), value.start, value.end) from error
            if node not in nodes:
                nodes.append(node)
        node = nodes[0] if len(nodes) == 1 else {"any": nodes}
        return {"not": node} if self.negative else node


@dataclass(frozen=True)
class Query:
    """A search that was understood."""

    text: str
    terms: tuple[Term, ...]

    @property
    def tree(self) -> Node:
        """The whole as JSON, as the page's script evaluates it (static/js/search_match.js)."""
        nodes = [term.node for term in self.terms]
        return {"all": [node for place, node in enumerate(nodes) if node not in nodes[:place]]}

    def q(self, user: User) -> Q:
        """The filter over guests; what `user` may see at all is another matter."""
        from dashboard.guests.search_sql import filter_of

        return filter_of(self.tree, user)

    def only(self, key: str) -> str:
        """The value of a key that stands there once, alone and not denied; "" otherwise."""
        found = [term for term in self.terms if term.key == key]
        if len(found) != 1 or found[0].negative or len(found[0].values) != 1 or found[0].values[0].operator:
            return ""
        return found[0].values[0].text

    def without(self, *keys: str) -> Query:
        """The same without what it says of these keys."""
        kept = [term for term in self.terms if term.key not in keys]
        return Query(" ".join(self.text[term.start : term.end] for term in kept), tuple(kept))

    def saying(self, key: str, value: str) -> str:
        """The text of the same with one value of a key in place of whatever it says of it; "" leaves the key out."""
        rest = self.without(key).text
        return f"{rest} {term_text(key, value)}".strip() if value else rest


def term_text(key: str, value: str) -> str:
    """A condition as one types it, quoted where it must be."""
    if _SIMPLE.fullmatch(value):
        return f"{key}:{value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}:"{escaped}"'


def parse(text: str) -> Query:
    """Read a search. Raises SearchError, in the active language."""
    if len(text) > LONGEST:
        raise SearchError(_("A search has at most %(n)d characters.") % {"n": LONGEST}, LONGEST, len(text))
    if "\0" in text:
        raise SearchError(_("A search cannot hold this character."), text.index("\0"), text.index("\0") + 1)
    terms = tuple(_terms(text))
    if len(terms) > MOST_TERMS:
        raise SearchError(
            _("A search has at most %(n)d conditions.") % {"n": MOST_TERMS}, terms[MOST_TERMS].start, len(text)
        )
    if sum(len(term.values) for term in terms) > MOST_VALUES:
        raise SearchError(_("A search has at most %(n)d values.") % {"n": MOST_VALUES}, 0, len(text))
    query = Query(text, terms)
    _tree = query.tree  # says now what is wrong with a value
    return query


def _terms(text: str) -> Iterator[Term]:
    at = _skip(text, 0)
    while at < len(text):
        start = at
        negative = text[at] == "-" and at + 1 < len(text) and not text[at + 1].isspace()
        at += negative
        key, at = _key(text, at)
        values, at = _values(text, key, start, at)
        yield Term(key, negative, tuple(values), start, at)
        at = _skip(text, at)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _key(text: str, at: int) -> tuple[str, int]:
    found = _KEY.match(text, at)
    if found is None or _ADDRESS.match(text, at):
        return "", at
    key = found[1].lower()
    if key not in FIELDS:
        said = {"word": found[1], "keys": ", ".join(FIELDS)}
        message = _("“%(word)s:” is not known. Known are %(keys)s. In quotes it is a plain word.") % said
        raise SearchError(message, at, found.end())
    return key, found.end()


def _values(text: str, key: str, start: int, at: int) -> tuple[list[Value], int]:
    """One value or several with commas between."""
    values: list[Value] = []
    while True:
        value = _value(text, key, at)
        if value is None:
            # "mem:" before its value was typed; a comma with nothing after it.
            message = str(FIELDS[key].wants) if key else _("Something is missing beside the comma.")
            raise SearchError(message, start, max(at, start + 1))
        values.append(value)
        at = value.end
        if at >= len(text) or text[at] != ",":
            return values, at
        at += 1


def _value(text: str, key: str, at: int) -> Value | None:
    start, operator = at, ""
    if key and (sign := _OPERATOR.match(text, at)):
        operator, at = sign[0], sign.end()
    if text.startswith('"', at):
        quoted = _QUOTED.match(text, at)
        if quoted is None:
            raise SearchError(_("This quotation mark has no second one."), at, at + 1)
        if quoted.end() < len(text) and text[quoted.end()] not in ", \t\r\n\u3000":
            raise SearchError(_("After a quotation a space or a comma must stand."), quoted.end(), quoted.end() + 1)
        content = re.sub(r"\\(.)", r"\1", quoted[1])
        return Value(content, operator, True, start, quoted.end()) if content else None
    bare = _BARE.match(text, at)
    return Value(bare[0], operator, False, start, bare.end()) if bare else None
