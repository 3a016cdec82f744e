"""Talks to the API over TCP, TLS or a UNIX socket; says what went wrong in one sentence and an exit code."""

from __future__ import annotations

import http.client
import json
import locale
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from .errors import REFUSED, UNREACHABLE, USAGE, CommandError

SECONDS = 65.0
"""More than the server lets anybody wait."""
PART = 200
"""Rows that are asked for at once."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, host: str) -> None:
        super().__init__(host, timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


class Api:
    """One kvmweb, asked with one token."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "unix"):
            raise CommandError(f"{url}: an address begins with https://, http:// or unix:/", USAGE)
        self._parts, self.url = parts, url
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", **_language()}

    def get(self, path: str, **query: Any) -> Any:
        """The JSON below /api/v1."""
        wanted = {name: value for name, value in query.items() if value not in (None, "")}
        return self._ask("GET", path + (f"?{urlencode(wanted)}" if wanted else ""))

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every row of a list, part by part."""
        cursor = ""
        while True:
            part = self.get(path, **{"limit": PART, **query, "cursor": cursor})
            yield from part["items"]
            cursor = part.get("next") or ""
            if not cursor:
                return

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON that a change answers with."""
        return self._ask("POST", path, None if body is None else json.dumps(body), headers)

    def open(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send a request; its answer, still unread. An error of the API's ends the command."""
        connection = self._connection()
        sent = {
            **self._headers,
            **({"Content-Type": "application/json"} if body is not None else {}),
            **(headers or {}),
        }
        try:
            connection.request(method, f"/api/v1{path}", body, sent)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise _refused(answer, answer.read(1_000_000))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise CommandError(f"{self.url} cannot be reached: {error}", UNREACHABLE) from error
        except CommandError:
            connection.close()
            raise
        return connection, answer

    def _ask(self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Any:
        connection, answer = self.open(method, path, body, headers)
        try:
            return json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandError(f"{self.url}: the answer broke off: {error}", UNREACHABLE) from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = self._parts
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, parse_qs(parts.query).get("host", ["localhost"])[0])
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=SECONDS, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=SECONDS)


def _language() -> dict[str, str]:
    spoken = (locale.getlocale()[0] or "").replace("_", "-")
    return {"Accept-Language": spoken} if spoken and spoken != "C" else {}


def _refused(answer: http.client.HTTPResponse, body: bytes) -> CommandError:
    """What the API says is wrong, field by field, and how the command ends by it."""
    status = answer.status
    if status < 400:
        where = answer.headers.get("Location", "elsewhere")
        return CommandError(f"kvmweb's address is {where.partition('/api/')[0]}: set KVMWEB_URL to it.", USAGE)
    try:
        told: dict[str, Any] = json.loads(body)
    except ValueError:
        told = {}
    lines = [str(told.get("detail") or f"{status} {answer.reason}")]
    for field, texts in (told.get("errors") or {}).items():
        lines += [f"  {field}: {text}" if field else f"  {text}" for text in texts]
    if job := told.get("job"):
        lines.append(f"  {job['label']}: job {job['id']}")
    code = UNREACHABLE if status == 429 or status >= 500 else USAGE if status in (400, 415, 422) else REFUSED
    return CommandError("\n".join(lines), code)
