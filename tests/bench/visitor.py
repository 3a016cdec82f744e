"""A browser without a screen: one connection that stays open, cookies, and how long each answer took."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urljoin, urlsplit

from tests.bench.measure import BenchError


@dataclass(frozen=True)
class Answer:
    """What came back; `ms` from the request until its last byte."""

    status: int
    body: bytes
    ms: float
    location: str = ""


class Visitor:
    """Asks one server; keeps the cookies that it sets."""

    def __init__(self, url: str, cookies: Mapping[str, str] | None = None, *, patience: float = 60) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise BenchError(f"not an address of a server: {url}")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.cookies = dict(cookies or {})
        self._http = kind(parts.netloc, timeout=patience)

    def get(self, path: str) -> Answer:
        """One page, which must be there."""
        answer = self.ask("GET", path)
        if answer.status != 200:
            raise BenchError(f"{self.url}{path}: {answer.status} {answer.location}")
        return answer

    def post_form(self, path: str, fields: Mapping[str, str]) -> Answer:
        """Send a form as a browser does."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.url, "Referer": self.url + path}
        return self.ask("POST", path, urlencode(fields), headers)

    def ask(self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request; a connection that the server closed meanwhile is opened anew, before the clock starts."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Accept": "text/html, application/json", **({"Cookie": cookie} if cookie else {}), **(headers or {})}
        for last in (False, True):
            fresh = self._http.sock is None
            if fresh:
                self._http.connect()
            began = time.perf_counter()
            try:
                self._http.request(method, path, body, sent)
                got = self._http.getresponse()
                content = got.read()
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected) as error:
                self._http.close()
                if fresh or last:
                    raise BenchError(f"{self.url}{path}: {error}") from error
                continue
            took = (time.perf_counter() - began) * 1000
            for line in got.headers.get_all("Set-Cookie") or ():
                self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
            where = urlsplit(urljoin(path, got.headers.get("Location", "")))
            location = (where.path + (f"?{where.query}" if where.query else "")) if got.headers.get("Location") else ""
            return Answer(got.status, content, took, location)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Hang up."""
        self._http.close()
