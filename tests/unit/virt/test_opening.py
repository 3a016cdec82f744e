"""Few connections are opened at once, and waiting for one's turn is no fault of the host."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from dashboard.virt import connection
from dashboard.virt.connection import OPENING_AT_ONCE, open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.uri import HostSpec

HOST = HostSpec(key="opening", transport="test")


@pytest.fixture
def others() -> Iterator[None]:
    """As many as may be opened at once are being opened."""
    for _ in range(OPENING_AT_ONCE):
        assert connection._opening.acquire(timeout=5)
    yield
    for _ in range(OPENING_AT_ONCE):
        connection._opening.release()


def _finish_one(after: float) -> threading.Timer:
    """One of the others is done; somebody else takes its place when the test ends."""
    timer = threading.Timer(after, connection._opening.release)
    timer.start()
    return timer


def test_who_does_not_want_to_wait_is_told_that_others_are_being_opened(others: None) -> None:
    with pytest.raises(VirtError, match="other connections were being opened") as refused:
        open_connection(HOST, deadline=0.1)
    assert refused.value.code == "timeout"


def test_waiting_in_line_does_not_take_the_hosts_own_time(others: None) -> None:
    began = time.monotonic()
    timer = _finish_one(1.0)
    try:
        opened = open_connection(HOST, deadline=0.5, in_line=10)
        assert time.monotonic() - began >= 1.0
        assert opened.alive()
        opened.close()
    finally:
        timer.join()
        assert connection._opening.acquire(timeout=5)


def test_the_line_has_an_end(others: None) -> None:
    began = time.monotonic()
    with pytest.raises(VirtError, match="other connections"):
        open_connection(HOST, deadline=0.1, in_line=0.3)
    assert 0.3 <= time.monotonic() - began < 5


def test_hosts_without_a_socket_do_not_take_turns_with_each_other() -> None:
    assert connection._turn_of(set()) is not connection._turn_of(set())
    assert connection._turn_of({"unix:/a"}) is connection._turn_of({"unix:/a"})
    assert connection._turn_of({"unix:/a"}) is not connection._turn_of({"unix:/b"})
