"""`kvm events`: the live stream on a terminal, going on where it was when the connection broke."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode

from . import show
from .client import Api
from .errors import DONE, REFUSED, UNREACHABLE, CommandError

AGAIN = 3.0


def listen(api: Api, kinds: str, host: str, *, as_json: bool) -> int:
    """Print events until Ctrl-C."""
    place = ""
    query = urlencode({name: value for name, value in (("kinds", kinds), ("host", host)) if value})
    while True:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": place} if place else {})}
        try:
            connection, answer = api.open("GET", f"/events?{query}", None, headers)
        except CommandError as error:
            if error.code != UNREACHABLE or not place:
                raise
            time.sleep(AGAIN)
            continue
        except KeyboardInterrupt:
            return DONE
        try:
            for kind, found, data in _events(answer):
                place = found or place
                _print(kind, place, data, as_json=as_json)
                if kind == "end" and data.get("reason") == "signed_out":
                    raise CommandError("The token is not valid any more.", REFUSED)
        except (OSError, http.client.HTTPException):
            show.complain("The connection broke; trying again.")
        except KeyboardInterrupt:
            return DONE
        finally:
            connection.close()
        time.sleep(AGAIN)


def _events(answer: http.client.HTTPResponse) -> Any:
    """(kind, id, data) of each event."""
    fields: dict[str, str] = {}
    while line := answer.readline():
        text = line.decode().rstrip("\r\n")
        if text:
            name, _colon, value = text.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            if "event" in fields:
                yield fields["event"], fields.get("id", ""), json.loads(fields.get("data", "{}"))
            fields = {}


def _print(kind: str, place: str, data: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show.say(json.dumps({"event": kind, "id": place, "data": data}, ensure_ascii=False))
        return
    row = data.get("row") or {}
    what = [kind, data.get("op", ""), row.get("name") or row.get("object_name") or data.get("uuid", "")]
    what += [row.get("label", ""), row.get("state") or row.get("status") or ""]
    show.say(f"{time.strftime('%H:%M:%S')}  " + "  ".join(show.plain(part) for part in what if part))
