"""The process's one connection to Redis."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dashboard.inventory import bus


def test_threads_that_ask_first_at_once_get_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one would close its connections when it is thrown away, under a thread that uses them."""
    make, both = bus._new, threading.Barrier(2, timeout=0.3)
    made: list[Any] = []

    def slowly() -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
        made.append(make())
        return made[-1]

    monkeypatch.setattr(bus, "_client", None)
    monkeypatch.setattr(bus, "_new", slowly)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _number: bus.client(), range(2))
    assert first is second
    assert len(made) == 1
