"""The bounded queue of one page."""

from __future__ import annotations

from dashboard.accounts.access import Rights, Scope
from dashboard.live.client import QUEUE, TRY_AGAIN, Client

NOBODY = Scope(user_id=1, rights=Rights())


def drained(client: Client) -> list[str]:
    found = []
    while not client._queue.empty():
        found.append(client._queue.get_nowait())
    return found


async def test_what_comes_during_the_replay_follows_it_once() -> None:
    client = Client("key", NOBODY)
    client.offer((5, 0), "five")
    client.offer((6, 0), "six")
    client.replayed(["four", "five"], (5, 0))
    client.offer((5, 0), "five again")
    client.offer((7, 0), "seven")
    assert drained(client) == ["four", "five", "six", "seven"]


async def test_a_page_too_far_behind_is_given_up() -> None:
    client = Client("key", NOBODY)
    client.replayed([], (0, 0))
    for number in range(QUEUE):
        client.offer((number + 1, 0), "x")
    assert not client.ended.done()
    client.offer((QUEUE + 1, 0), "x")
    assert client.ended.result() == TRY_AGAIN


async def test_a_replay_that_never_ends_is_given_up_too() -> None:
    client = Client("key", NOBODY)
    for number in range(QUEUE + 1):
        client.offer((number, 0), "x")
    assert client.ended.result() == TRY_AGAIN


async def test_the_first_reason_to_end_counts() -> None:
    client = Client("key", NOBODY)
    client.end(4401)
    client.end(1013)
    assert client.ended.result() == 4401
