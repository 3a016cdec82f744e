"""Messages that are lost before they are read: every page looks again and ends with what is true."""

from __future__ import annotations

import time

from dashboard.inventory import bus
from dashboard.inventory.publish import publish, publish_many
from tests.integration.inventory.mirror import Mirror


def message(number: int) -> dict[str, object]:
    return {"k": "guest", "host": 1, "uuid": f"u{number}", "op": "set", "row": {"name": f"g{number}"}}


def test_a_message_that_is_lost_before_it_is_read_makes_pages_look_again(mirror: Mirror) -> None:
    """Written and flushed away in one go: nobody can have read it."""
    mirror.web()
    page = mirror.open()
    publish(message(1))
    page.hears(lambda one: "m" in one)
    pipe = bus.client().pipeline(transaction=True)
    pipe.xadd(bus.LIVE, {"m": '{"k":"guest","host":1,"uuid":"lost","op":"set","row":{}}'})
    pipe.flushall()
    pipe.xadd(bus.LIVE, {"m": '{"k":"guest","host":1,"uuid":"u2","op":"set","row":{"name":"g2"}}'})
    pipe.execute()
    page.hears(lambda one: one.get("resync"), 10)
    publish(message(3))
    assert page.hears(lambda one: "m" in one and one["m"]["uuid"] != "u2")["m"]["uuid"] == "u3"
    assert "lost" not in str(page.said)


def test_a_flushed_redis_goes_on_and_pages_that_come_back_look_again(mirror: Mirror) -> None:
    mirror.web()
    page = mirror.open()
    publish(message(1))
    since = page.hears(lambda one: "m" in one)["id"]
    bus.client().flushall()
    again = mirror.open(since=since)
    again.hears(lambda one: one.get("resync"))
    publish(message(2))
    assert again.hears(lambda one: "m" in one)["m"]["uuid"] == "u2"
    page.hears(lambda one: one.get("resync"), 10)


def test_a_laptop_that_slept_is_told_what_it_missed_or_to_look_again(mirror: Mirror) -> None:
    mirror.web()
    page = mirror.open()
    publish(message(0))
    since = page.hears(lambda one: "m" in one)["id"]
    page.socket.close()
    publish_many([message(number) for number in range(1, 300)])
    awake = mirror.open(since=since)
    heard = [awake.hears(lambda one: "m" in one)["m"]["uuid"] for _ in range(299)]
    assert heard == [f"u{number}" for number in range(1, 300)]
    last = awake.said[-1]["id"]
    awake.socket.close()
    for start in range(0, 2400, 300):
        publish_many([message(start + number) for number in range(300)])
    begun = time.monotonic()
    late = mirror.open(since=last)
    late.hears(lambda one: one.get("resync"))
    assert time.monotonic() - begun < 5
    assert not [one for one in late.said if "m" in one]
    publish({**message(9), "uuid": "afterwards"})
    late.hears(lambda one: one.get("m", {}).get("uuid") == "afterwards")
