"""What Schemathesis cannot know from a description: which of the allowed values mean something."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import schemathesis

PLACES: dict[str, list[tuple[str, int, str]]] = json.loads(os.environ["ATTACK_PLACES"])
"""First word of a path → what is there: (key, host, name)."""

_numbers = itertools.count(1)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Put values with a meaning in place of allowed ones without: each would be 422, and rightly.

    What is not allowed stays as it is: it must be refused.
    """
    number = next(_numbers)
    query, headers = case.query or {}, case.headers
    if isinstance(query.get("cursor"), str) and len(query["cursor"]) <= 2048:
        query["cursor"] = ""  # only what the API itself gave is a cursor
    if isinstance(query.get("q"), str) and 0 < len(query["q"]) <= 500:
        query["q"] = "name:*"  # a language of its own: tests/unit/guests
    if str(query.get("wait", "")).isdecimal() and int(query["wait"]) <= 30:
        query["wait"] = 0  # nobody works on these jobs
    if "Idempotency-Key" in headers and len(str(headers["Idempotency-Key"])) <= 128:
        headers["Idempotency-Key"] = f"key-{number}"  # one key for two wishes is refused
    # As if each came from elsewhere: wrong tokens of one address are 429 in the end (tests/unit/api/test_door.py).
    headers["X-Forwarded-For"] = f"198.18.{number // 250 % 250}.{number % 250}"
    if case.meta.generation.mode.is_positive:
        _exist(case, number)
        if isinstance(case.body, dict):
            _mean(case.path, case.body, number)


def _exist(case: Any, number: int) -> None:
    """Four of five times something that is there, so that more than 404 is seen."""
    known = PLACES.get(case.path.removeprefix("/api/v1/").partition("/")[0])
    name = next((name for name in ("key", "uuid", "pk") if name in (case.path_parameters or {})), "")
    if known and name and number % 5:
        key, host, called = known[number % len(known)]
        case.path_parameters[name] = key
        if case.query and "host" in case.query:
            case.query["host"] = host
        if case.path.endswith("{key}/operations/delete") and isinstance(case.body, dict):
            case.body |= {"name": called, "volumes": []}  # its name typed again; it has no disks


def _mean(path: str, body: dict[str, Any], number: int) -> None:
    if "/guests/operations/" in path:
        body.pop("but", None)
        body |= {"q": None, "guests": body.get("guests") or []}  # machines or a search, not both
    if path.endswith("/operations/create"):
        # Pools and networks by the names that there are; one name, one machine.
        body |= {"name": f"n{number}", "source": "none", "disk_gib": 0, "network": ""}
    if path.endswith("/operations/rename"):
        body["name"] = f"r{number}"
    if path.endswith("/operations/retag"):
        of_one = body if "{key}" in path else body["params"]
        # Something is to be done, and nothing both ways.
        of_one |= {"add": of_one.get("add") or ["a"], "remove": []}
