"""A page that has been open for long says that kvmweb is read-only when something is full, and that it is over."""

from __future__ import annotations

from collections.abc import Callable

import redis
from playwright.sync_api import expect

from tests.e2e.browser import Person, no_navigation
from tests.e2e.stack import Stack

SECONDS = 20_000


def test_an_open_page_learns_that_it_is_read_only_and_that_there_is_room_again(
    people: Callable[..., Person], stack: Stack
) -> None:
    page = people().open("/guests/")
    expect(page.locator('#live-indicator[data-status="live"]')).to_be_visible()
    banner = page.locator("#full-banner")
    same = no_navigation(page)
    with redis.Redis(unix_socket_path=str(stack.state / "run" / "redis.sock"), decode_responses=True) as client:
        most = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", "1")
        try:
            expect(banner).to_contain_text("Redis is out of memory", timeout=SECONDS)
        finally:
            client.config_set("maxmemory", most)
        expect(banner).to_have_count(0, timeout=SECONDS)
    assert same()
