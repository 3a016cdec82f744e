"""A reading on the side leaves no connection behind, also when its session ends while the connection is being opened."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dashboard.inventory import side
from dashboard.inventory.side import PoolsRead, Side
from dashboard.virt.uri import HostSpec


class Opened:
    """A connection that counts how often it was closed."""

    def __init__(self) -> None:
        self.conn, self.ended = object(), threading.Event()

    def alive(self) -> bool:
        return not self.ended.is_set()

    def close(self, _seconds: float) -> None:
        self.ended.set()


def test_a_connection_that_opens_after_the_end_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opening, go_on, opened = threading.Event(), threading.Event(), Opened()

    def slow(_spec: HostSpec) -> Any:
        opening.set()
        go_on.wait(5)
        return opened

    monkeypatch.setattr(side, "open_connection", slow)
    heard: list[Any] = []
    reading = Side(HostSpec(key="1", transport="local"), "pools", heard.append)
    assert reading.start(lambda conn: PoolsRead([]))
    assert opening.wait(5)
    reading.close()
    go_on.set()
    reading.wait(5)
    assert opened.ended.wait(5)
    assert not heard
