"""The keys of the query language: what values each takes, and what they become in the tree that database and page evaluate.

A leaf of the tree is {"f": field} with one of
- "like": the text's parts between `*`, lower case in ASCII: ["db", ""] is db*, ["", "db", ""] contains db;
- "cmp": [[">=", number], …], all must hold (KiB, seconds, numbers);
- "is": one word of a list, true or false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.guests.words import FILTERS

Node = dict[str, Any]

MOST_STARS = 3
"""Of a pattern: each is one more way to fit, and somebody chooses the names that it is tried on."""
LARGEST = 2**53
"""What a script can count."""

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)([KMGT])(?:i?B)?", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|min|h|d|w)", re.IGNORECASE)
_KIB = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ADDRESS = re.compile(r"[0-9a-f.:*]+")
_WHOLE_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_UUID = re.compile(r"[0-9a-f-]{1,36}")
_UUID_WORD = re.compile(r"[0-9a-f-]{4,36}")


class WrongValue(ValueError):
    """What a key cannot be asked for; the sentence says what it takes."""


@dataclass(frozen=True)
class Value:
    """One value as it was typed, and where."""

    text: str
    operator: str = ""
    quoted: bool = False
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Field:
    """One key: how its values are read, what it takes in plain words, and the values there can be (if they are few)."""

    read: Callable[[Value], Node]
    label: Promise
    wants: str | Promise
    values: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()


def ascii_lower(text: str) -> str:
    """Lower case of the letters A to Z: what SQLite, PostgreSQL and the page's script can all do alike."""
    return text.translate(_LOWER)


def parts_of(value: Value, *, whole: bool) -> list[str]:
    """The pattern of a text: `*` stands for anything; without one it is the whole text or, if not `whole`, a part of it."""
    text = ascii_lower(value.text)
    if value.operator not in ("", "="):
        raise WrongValue(_("Texts are not larger or smaller: leave %(sign)s out.") % {"sign": value.operator})
    if value.quoted or "*" not in text:
        return [text] if whole or value.operator else ["", text, ""]
    parts = re.sub(r"\*+", "*", text).split("*")
    if len(parts) > MOST_STARS + 1:
        raise WrongValue(_("At most %(n)d * in a pattern.") % {"n": MOST_STARS})
    return parts


def _at_the_ends(parts: list[str], key: str) -> list[str]:
    if sum(bool(part) for part in parts) > 1:
        raise WrongValue(_("%(key)s: a * may stand at the beginning and at the end only.") % {"key": key})
    return parts


def _text(name: str, *, whole: bool = False) -> Callable[[Value], Node]:
    return lambda value: {"f": name, "like": parts_of(value, whole=whole)}


def _owner(value: Value) -> Node:
    if not value.operator and not value.quoted and ascii_lower(value.text) == "me":
        return {"f": "owner", "is": "me"}
    return {"f": "owner", "like": parts_of(value, whole=True)}


def _tag(value: Value) -> Node:
    if re.search(r"\s", value.text):
        raise WrongValue(_("tag: no tag has a space in it. Several tags have a comma between: tag:web,db"))
    return {"f": "tag", "like": _at_the_ends(parts_of(value, whole=True), "tag")}


def _ip(value: Value) -> Node:
    text = ascii_lower(value.text)
    if not _ADDRESS.fullmatch(text) or value.operator not in ("", "="):
        raise WrongValue(_("ip: wants an address or its beginning, such as 192.0.2.7, 192.0.2. or 2001:db8:*"))
    if "*" in text:
        return {"f": "ip", "like": _at_the_ends(parts_of(value, whole=True), "ip")}
    exact = value.quoted or value.operator or _WHOLE_ADDRESS.fullmatch(text)
    return {"f": "ip", "like": [text] if exact else [text, ""]}


def _uuid(value: Value) -> Node:
    text = ascii_lower(value.text)
    if not _UUID.fullmatch(text) or value.operator not in ("", "="):
        raise WrongValue(_("uuid: wants a UUID or its beginning, such as 6ba7b810"))
    return {"f": "uuid", "like": [_dashed(text), ""]}


def _dashed(text: str) -> str:
    """The beginning of a UUID with its dashes in place."""
    digits = text.replace("-", "")[:32]
    groups = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(group for group in groups if group)


def _choice(name: str, words: Mapping[str, Any], wants: Promise | str) -> Callable[[Value], Node]:
    def read(value: Value) -> Node:
        word = ascii_lower(value.text)
        if word not in words or value.operator not in ("", "="):
            raise WrongValue(str(wants))
        return {"f": name, "is": words[word]}

    return read


def _measure(name: str, number: Callable[[str], float | None], wants: Promise | str, *, bare: bool = True) -> Any:
    """Comparisons and ranges (`2..8`); a bare number is "exactly" where that makes sense."""

    def one(text: str) -> int:
        found = number(text)
        if found is None or found > LARGEST:
            raise WrongValue(str(wants))
        return round(found)

    def read(value: Value) -> Node:
        if value.operator:
            return {"f": name, "cmp": [[value.operator, one(value.text)]]}
        low, dots, high = value.text.partition("..")
        if not dots:
            if not bare:
                raise WrongValue(str(wants))
            return {"f": name, "cmp": [["=", one(value.text)]]}
        if not low and not high:
            raise WrongValue(str(wants))
        bounds = [[">=", one(low)]] if low else []
        return {"f": name, "cmp": bounds + ([["<=", one(high)]] if high else [])}

    return read


def _kib(text: str) -> float | None:
    found = _SIZE.fullmatch(text)
    return float(found[1]) * _KIB[found[2].upper()] if found else None


def _seconds(text: str) -> float | None:
    found = _TIME.fullmatch(text)
    seconds = float(found[1]) * _SECONDS[found[2].lower()] if found else None
    return seconds if seconds is None or seconds < 100_000 * 86_400 else None


def _count(text: str) -> float | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else None


def plain(value: Value) -> Node:
    """A word without a key: in a name, title, tag, host name or address, or at the beginning of the UUID."""
    inside = parts_of(value, whole=False)
    if not value.quoted and "*" in value.text:
        inside = [""] + [part for part in inside if part] + [""]
    nodes: list[Node] = [{"f": name, "like": inside} for name in ("name", "title", "host")]
    text = "".join(inside)
    if len(inside) == 3 and not re.search(r"\s", text):
        nodes.append({"f": "tag", "like": inside})
    if len(inside) == 3 and _ADDRESS.fullmatch(text):
        nodes.append({"f": "ip", "like": inside})
    if _UUID_WORD.fullmatch(ascii_lower(value.text)):
        nodes.append({"f": "uuid", "like": [_dashed(text), ""]})
    return {"any": nodes}


YES_NO = {"yes": True, "no": False}
STATES = {state: state for state in FILTERS} | {"off": "shutoff"}
DISPLAYS = {"vnc": "vnc", "spice": "spice", "none": ""}
JOBS = {"active": "active", "failed": "failed"}

_SIZES = gettext_lazy("mem: wants a size such as 4G or 512M, with > or < before it if you like, or a range: 2G..8G")
_NUMBERS = gettext_lazy("vcpus: wants a number such as 4, with > or < before it if you like, or a range: 2..8")
_TIMES = gettext_lazy("uptime: wants > or < and a time such as >3d, <2h or <30min, or a range: 1d..7d")
_STATES = format_lazy("{} {}", gettext_lazy("state: takes"), ", ".join(STATES))
_DISPLAYS = format_lazy("{} {}", gettext_lazy("display: takes"), ", ".join(DISPLAYS))
_JOBS = format_lazy("{} {}", gettext_lazy("job: takes"), ", ".join(JOBS))
_AUTOSTART = gettext_lazy("autostart: takes yes or no")
_AGENT = gettext_lazy("agent: takes yes or no")

FIELDS: dict[str, Field] = {
    "state": Field(_choice("state", STATES, _STATES), gettext_lazy("what it is doing"), _STATES, tuple(STATES)),
    "host": Field(
        _text("host", whole=True), gettext_lazy("the host it is on"), gettext_lazy("host: wants a host's name")
    ),
    "tag": Field(_tag, gettext_lazy("a tag that it has"), gettext_lazy("tag: wants a tag, or several: tag:web,db")),
    "name": Field(
        _text("name"), gettext_lazy("a part of its name"), gettext_lazy("name: wants a part of a name, or db*"),
        samples=("db*",),
    ),
    "title": Field(_text("title"), gettext_lazy("a part of its title"), gettext_lazy("title: wants a part of a title")),
    "mem": Field(
        _measure("mem", _kib, _SIZES), gettext_lazy("its memory"), _SIZES, samples=(">4G", "<=512M", "2G..8G")
    ),
    "vcpus": Field(
        _measure("vcpus", _count, _NUMBERS), gettext_lazy("its virtual CPUs"), _NUMBERS, samples=("4", ">2", "2..8")
    ),
    "uptime": Field(
        _measure("uptime", _seconds, _TIMES, bare=False), gettext_lazy("how long it has been running"), _TIMES,
        samples=(">3d", "<2h", "1d..7d"),
    ),
    "ip": Field(_ip, gettext_lazy("an address of it"), gettext_lazy("ip: wants an address or its beginning")),
    "uuid": Field(_uuid, gettext_lazy("the beginning of its UUID"), gettext_lazy("uuid: wants a UUID or its beginning")),
    "os": Field(_text("os"), gettext_lazy("its operating system, as noted"), gettext_lazy("os: wants a part of a name")),
    "owner": Field(
        _owner, gettext_lazy("who made it"),
        gettext_lazy("owner: wants a person's name, or me"), samples=("me",),
    ),
    "autostart": Field(
        _choice("autostart", YES_NO, _AUTOSTART), gettext_lazy("whether it starts with its host"), _AUTOSTART,
        tuple(YES_NO),
    ),
    "agent": Field(
        _choice("agent", YES_NO, _AGENT), gettext_lazy("whether its guest agent answers"), _AGENT, tuple(YES_NO)
    ),
    "display": Field(
        _choice("display", DISPLAYS, _DISPLAYS), gettext_lazy("the kind of its screen"), _DISPLAYS, tuple(DISPLAYS)
    ),
    "job": Field(
        _choice("job", JOBS, _JOBS), gettext_lazy("a job on it: going on, or failed within a day"), _JOBS, tuple(JOBS)
    ),
}  # fmt: skip
"""Every key, in the order in which they are offered. None is made of the letters a to f alone: see `search._ADDRESS`."""
