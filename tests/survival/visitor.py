"""Somebody who signs in and sends what the page sends, without a browser."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from tests.e2e.stack import ROOT, Stack


class Visitor:
    """Somebody who signs in and sends what the page sends, without a browser."""

    def __init__(self, url: str, trusted: str | None = None) -> None:
        """`trusted`: the certificate to believe, for an https address."""
        self.url = url
        self.cookies = http.cookiejar.CookieJar()
        self._cookie = "__Host-kvmweb" if url.startswith("https") else "kvmweb"
        self.tls = ssl.create_default_context(cadata=trusted)
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.cookies), urllib.request.HTTPSHandler(context=self.tls)
        )

    def sign_in(self, name: str, password: str) -> None:
        self.ask("/accounts/login/")
        self.ask("/accounts/login/", urlencode({"login": name, "password": password}).encode())
        assert any(cookie.name == self._cookie for cookie in self.cookies), f"{name} could not sign in"

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """GET, or POST of a body; OSError where nobody answers."""
        token = next((str(cookie.value) for cookie in self.cookies if cookie.name == f"{self._cookie}-csrf"), "")
        headers = {"X-CSRFToken": token, "Origin": self.url, "Accept": "application/json"} | headers
        request = urllib.request.Request(self.url + path, data=body, headers=headers)  # noqa: S310 - our own stack
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except http.client.HTTPException as error:
            raise OSError(f"{path}: {error!r}") from error

    def operate(self, name: str, target: dict[str, Any], params: dict[str, Any], key: str = "") -> tuple[int, Any]:
        """Ask for an operation as the page does; the answer's status and JSON. OSError: nobody took it, ask again."""
        kind = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        status, said = self.ask(f"/operations/{name}/", json.dumps({**target, "params": params}).encode(), **kind)
        if status >= 500 or status in (401, 429) or (status == 409 and b"host does not answer" in said):
            raise OSError(f"{status}: {said[:200]!r}")
        return status, json.loads(said) if said.startswith(b"{") else {}

    def create(self, params: dict[str, Any], host: str) -> str:
        """The job's id. Asked again, it is the same job."""
        key = f"survival {params['name']}"
        status, said = self.operate("guest.create", {"kind": "host", "key": host}, params, key)
        assert status == 202, said
        return str(said["job"]["id"])

    def on_guest(self, name: str, uuid: str, host: str, key: str = "", /, **params: Any) -> tuple[int, Any]:
        """Ask for an operation on a guest."""
        return self.operate(name, {"kind": "guest", "key": uuid, "host": host}, params, key)


def make_administrator(stack: Stack, password: str) -> Visitor:
    """An administrator of a new installation."""
    argv = [sys.executable, "manage.py", "create_admin", "--username", "cutter", "--password-file", "-"]
    subprocess.run(argv, cwd=ROOT, env=stack.env, input=password.encode(), check=True, capture_output=True)
    visitor = Visitor(stack.url)
    visitor.sign_in("cutter", password)
    return visitor
