"""A running installation whose disk, database or Redis a test can fill: web process, worker, and a visitor's requests."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.integration.inventory.mirror import Mirror

CSRF = "a" * 32


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def filled(folder: Path, leave: int = 0) -> Iterator[None]:
    """While the block runs, at most `leave` bytes are left where `folder` is."""
    file = folder / "filling"
    with file.open("wb", buffering=0) as out:
        while (free := os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize) > leave:
            try:
                out.write(b"x" * min(free - leave, 1 << 20))
            except OSError:
                break
    try:
        yield
    finally:
        file.unlink()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the web process's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1:8000", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self.path))


class Visitor:
    """Somebody signed in, without a browser."""

    def __init__(self, mirror: Mirror, session: str) -> None:
        self.socket = mirror.folder / "web.sock"
        self.cookies = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={CSRF}"

    def ask(
        self, method: str, path: str, body: Any = None, *, form: bool = False, **headers: str
    ) -> tuple[int, Message, str]:
        """One request; its status, headers and text."""
        sent = {"Cookie": self.cookies, "X-CSRFToken": CSRF, "Origin": settings.PUBLIC_URL, **headers}
        content = None
        if form:
            content, sent["Content-Type"] = body, "application/x-www-form-urlencoded"
        elif body is not None:
            content, sent["Content-Type"] = json.dumps(body), "application/json"
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, content, sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def page(self, path: str) -> str:
        """A page, which must load."""
        status, _headers, text = self.ask("GET", path, **{"Accept": "text/html"})
        assert status == 200, (path, status, text[:2000])
        return text

    def health(self) -> dict[str, Any]:
        status, _headers, text = self.ask("GET", "/healthz")
        assert status == 200, text[:2000]
        found: dict[str, Any] = json.loads(text)
        return found
