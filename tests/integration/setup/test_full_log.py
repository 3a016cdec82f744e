"""The disk of the logs and of what the launcher prints is full: everything goes on, read-only, and says why."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.setup.test_stack import Stack, until
from tests.integration.upkeep.site import filled, small_disk

EVERYTHING = (
    "redis-server", "nginx: master", "kvmweb.asgi", "kvmweb.worker", "manage.py monitor", "console_gateway", "serial:app",
)  # fmt: skip
PAGE = 4096


@pytest.fixture
def stack() -> Iterator[tuple[Stack, Path]]:
    """A stack whose logs and output go to a disk of 2 MiB."""
    folder = Path(tempfile.mkdtemp(prefix="kvmweb-log-", dir="/tmp"))
    made = Stack(folder)
    with small_disk(made.state / "log", "2m") as disk:
        made.folder = disk
        made.environ["KVMWEB_LOG_LEVEL"] = "DEBUG"
        made.start()
        try:
            yield made, disk
        finally:
            if made.process.poll() is None:
                made.process.terminate()
                made.process.wait(40)
            until(lambda: not made.processes(), 20, "nothing is left")
            made.database.forget()
    shutil.rmtree(folder)


def ask(stack: Stack, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_nothing_ends_because_its_words_find_no_room(stack: tuple[Stack, Path]) -> None:
    made, disk = stack
    until(lambda: all(made.find(words) for words in EVERYTHING), 30, "everything runs")
    before = {words: made.find(words) for words in EVERYTHING}
    with filled(disk):
        until(lambda: json.loads(ask(made, "/healthz")[1]).get("full") == ["log"], 20, "it says what is full")
        for number in range(50):  # each is a line of the access log
            assert ask(made, f"/accounts/login/?{number}")[0] == 200
        status, page = ask(made, "/accounts/login/")
        assert status == 200
        assert 'id="full-banner"' in page
        victim = made.find("kvmweb.worker")
        assert victim
        victim.kill()  # respawn says so, to nobody
        until(lambda: made.find("kvmweb.worker") not in (None, victim), 30, "it is back")
        until(lambda: made.output.stat().st_size % PAGE == 0, 30, "not one more byte of what it says finds room")
        assert made.process.poll() is None
        for words in set(EVERYTHING) - {"kvmweb.worker"}:
            assert made.find(words) == before[words], words
    until(lambda: json.loads(ask(made, "/healthz")[1]) == {"status": "ok"}, 20, "it is as before")
    victim = made.find("kvmweb.worker")
    assert victim
    said = made.output.stat().st_size
    victim.kill()
    until(lambda: made.output.stat().st_size > said, 30, "it speaks again")
