"""The API as its callers have it: the real web process on a socket, tokens, event streams."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dashboard.accounts import tokens
from dashboard.accounts.models import ApiToken, User
from tests.integration.inventory.fixtures import mirror
from tests.integration.inventory.mirror import Mirror

__all__ = ["mirror"]

Event = dict[str, Any]


class Connection(http.client.HTTPConnection):
    """HTTP over the web process's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1:8000", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(str(self.path))


class Stream:
    """An open event stream."""

    def __init__(self, connection: Connection, answer: http.client.HTTPResponse) -> None:
        self.connection, self.answer = connection, answer
        self.heard: list[Event] = []

    def next(self, seconds: float = 10) -> Event | None:
        """The next event, without comments and without what is said of the monitor, which does not run; None at the end."""
        event: dict[str, str] = {}
        sock = self.connection.sock or self.answer.fp.raw._sock  # type: ignore[attr-defined]
        sock.settimeout(seconds)
        while True:
            line = self.answer.readline().decode()
            if not line:
                return None
            name, _colon, value = line.rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif event.get("event", "monitor") != "monitor":
                found: Event = {**event, "data": json.loads(event["data"])}
                self.heard.append(found)
                return found
            else:
                event = {}

    def hears(self, wanted: Callable[[Event], object], seconds: float = 10) -> Event:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                event = self.next(left)
            except TimeoutError:
                break
            assert event is not None, f"the stream ended; heard {self.heard}"
            if wanted(event):
                return event
        raise AssertionError(f"not heard within {seconds} s; heard {self.heard[-20:]}")

    def ends(self, seconds: float = 6) -> list[Event]:
        """What comes until the server ends it."""
        until = time.monotonic() + seconds
        found: list[Event] = []
        while (event := self.next(max(0.1, until - time.monotonic()))) is not None:
            found.append(event)
        return found

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


class Caller:
    """Somebody with a token (or a session) at the web process's door."""

    def __init__(self, mirror: Mirror, things: ExitStack) -> None:
        self.mirror, self.things = mirror, things

    def token(self, user: User, **scope: Any) -> tuple[ApiToken, dict[str, str]]:
        token, text = tokens.issue(user, "test", **scope)
        return token, {"Authorization": f"Bearer {text}"}

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: Any = None
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        connection = Connection(self.mirror.folder / "web.sock")
        sent = {"Content-Type": "application/json", **headers} if body is not None else headers
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status not in (500, 503), (answer.status, text, self.mirror.logs())
        return answer.status, json.loads(text) if text else None, answer.headers

    def listen(self, headers: dict[str, str], query: str = "", status: int = 200) -> Stream:
        """Open an event stream and wait for its hello."""
        connection = Connection(self.mirror.folder / "web.sock")
        self.things.callback(connection.close)
        connection.request("GET", f"/api/v1/events{query}", headers={"Accept": "text/event-stream", **headers})
        answer = connection.getresponse()
        assert answer.status == status, (answer.read(), self.mirror.logs())
        stream = Stream(connection, answer)
        self.things.callback(answer.close)
        if status == 200:
            assert stream.hears(lambda event: True)["event"] == "hello"
        return stream


@pytest.fixture
def caller(mirror: Mirror) -> Iterator[Caller]:
    mirror.web()
    with ExitStack() as things:
        yield Caller(mirror, things)
