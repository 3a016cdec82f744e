"""What a hub knows of guests' tags: by them it tells who may see what is said about a guest, and who no longer may."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Set
from typing import Any

from dashboard.inventory.database import tidy
from dashboard.inventory.models import Guest
from dashboard.live.client import Position

REMEMBERED = 5000
"""Changes of tags and guests that went, as many as a page may have missed and more."""

Key = tuple[int, str]
Words = tuple[str, ...]


class Tags:
    """The tags of all tagged guests: taken from the database once, then kept by the messages that are read, in order."""

    def __init__(self) -> None:
        self._now: dict[Key, Words] = {}
        self._there: dict[int, Counter[str]] = {}
        self._gone: OrderedDict[Key, Words] = OrderedDict()
        self._before: OrderedDict[Position, Words] = OrderedDict()

    def begin(self, rows: Iterable[tuple[int, str, Words]]) -> None:
        """Start anew from what the database holds now."""
        self._now, self._there = {}, {}
        for host, uuid, tags in rows:
            self._set((host, uuid), tags)

    def of(self, host: Any, uuid: Any) -> Words:
        """The guest's tags; those that it had last for one that went."""
        key = (host, str(uuid or ""))
        found = self._now.get(key)
        return self._gone.get(key, ()) if found is None else found

    def there(self, host: Any) -> Set[str]:
        """All tags of all guests of a host, in lower case."""
        return self._there.get(host, Counter()).keys()

    def before(self, position: Position, message: dict[str, Any]) -> Words:
        """The tags that a guest had before this message, which was learnt from already."""
        host, uuid = message.get("host"), message.get("uuid")
        known = self._before.get(position)
        if known is not None:
            return known
        return told_tags(message) if message.get("op") == "set" else self.of(host, uuid)

    def learn(self, position: Position, message: dict[str, Any]) -> None:
        """Take over what a message says of a guest or host."""
        kind, op, host = message.get("k"), message.get("op"), message.get("host")
        if kind == "host" and op == "gone":
            for key in [key for key in self._now if key[0] == host]:
                self._forget(key)
        if kind != "guest" or not isinstance(host, int):
            return
        key = (host, str(message.get("uuid") or ""))
        old, new = self.of(*key), told_tags(message) if op == "set" else ()
        if old != new:
            _keep(self._before, position, old)
        if op == "set":
            self._set(key, new)
        else:
            self._forget(key)

    def _set(self, key: Key, tags: Words) -> None:
        self._forget(key)
        self._gone.pop(key, None)
        if tags:
            self._now[key] = tags
            self._there.setdefault(key[0], Counter()).update({tag.lower() for tag in tags})

    def _forget(self, key: Key) -> None:
        tags = self._now.pop(key, ())
        if not tags:
            return
        _keep(self._gone, key, tags)
        there = self._there.get(key[0], Counter())
        for tag in {tag.lower() for tag in tags}:
            there[tag] -= 1
            if there[tag] <= 0:
                del there[tag]


def told_tags(message: dict[str, Any]) -> Words:
    """The tags in a guest's message."""
    return tuple((message.get("row") or {}).get("tags") or ())


def tagged_guests() -> list[tuple[int, str, Words]]:
    """(host, UUID, tags) of every guest that has tags; one query."""
    rows = Guest.objects.exclude(tags_text="").order_by().values_list("host_id", "uuid", "tags")
    try:
        return [(host, str(uuid), tuple(tags)) for host, uuid, tags in rows.iterator()]
    finally:
        tidy()


def _keep(kept: OrderedDict[Any, Words], key: Any, value: Words) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
