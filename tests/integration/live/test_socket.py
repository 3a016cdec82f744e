"""The page's socket, served by the real web process: who gets in, what is heard, what ends it."""

from __future__ import annotations

import socket as sockets
import time
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dashboard.accounts.models import Grant, Role, User
from dashboard.inventory import bus, metrics
from dashboard.inventory.models import Guest, Host
from dashboard.inventory.publish import publish, publish_many
from dashboard.live.hub import MOST_PER_PERSON
from tests.integration.inventory.mirror import ORIGIN, Mirror, Page


def guest(number: int = 1, **row: Any) -> dict[str, Any]:
    return {"k": "guest", "host": 1, "uuid": f"u{number}", "op": "set", "row": {"name": f"g{number}", **row}}


def closed(page: Page, seconds: float = 6) -> int:
    """The code with which the server closes the page."""
    until = time.monotonic() + seconds
    while True:
        try:
            page.socket.recv(timeout=max(0.0, until - time.monotonic()))
        except ConnectionClosed as error:
            assert error.rcvd is not None
            return error.rcvd.code


def test_a_page_of_another_origin_gets_no_socket(mirror: Mirror) -> None:
    mirror.web()
    twins = ("https://127.0.0.1:8000", "http://127.0.0.1:8001", "http://sub.127.0.0.1:8000")
    for origin in (*twins, "http://evil.example", "null", None):
        with pytest.raises(InvalidStatus) as refused:
            mirror.open(origin=origin)
        assert refused.value.response.status_code == 403


def test_nobody_gets_in_without_a_session_that_lives(mirror: Mirror) -> None:
    mirror.web()
    with pytest.raises(InvalidStatus):
        mirror.connect("")
    assert closed(mirror.connect("0" * 32)) == 4401
    disabled = mirror.person("dora")
    key = mirror.session(disabled)
    User.objects.filter(pk=disabled.pk).update(is_active=False)
    assert closed(mirror.connect(key)) == 4401
    changed = mirror.person("paul")
    key = mirror.session(changed)
    changed.set_password("another one")
    changed.save()
    assert closed(mirror.connect(key)) == 4401


def test_one_person_does_not_take_all_the_room_there_is(mirror: Mirror) -> None:
    mirror.web()
    crowd = mirror.session(mirror.person("carl"))
    pages = [mirror.connect(crowd) for _ in range(MOST_PER_PERSON)]
    with pytest.raises(InvalidStatus) as refused:
        mirror.connect(crowd)
    assert refused.value.response.status_code == 403
    mirror.connect(mirror.session(mirror.person("anna"))).socket.close()
    pages.pop().socket.close()
    until = time.monotonic() + 5
    while True:
        try:
            mirror.connect(crowd)
            break
        except InvalidStatus:
            assert time.monotonic() < until, "a page that closed leaves its place"
            time.sleep(0.1)


def test_a_page_hears_what_was_said_since_it_was_made_then_everything_once_and_in_order(mirror: Mirror) -> None:
    mirror.web()
    since = mirror.last_id()
    publish_many([guest(number) for number in range(50)])
    page = mirror.open(since=since)
    publish_many([guest(number) for number in range(50, 100)])
    heard = [page.hears(lambda one: "m" in one) for _ in range(100)]
    assert [one["m"]["uuid"] for one in heard] == [f"u{number}" for number in range(100)]
    again = mirror.open(since=heard[59]["id"])
    assert again.hears(lambda one: "m" in one)["m"]["uuid"] == "u60"


def test_a_page_whose_position_is_not_known_is_told_to_look_again(mirror: Mirror) -> None:
    mirror.web()
    for since in ("", "nonsense", "1-1", "9999999999999-0", "-", "+", "$", "1-1-1", "1" * 5000):
        publish(guest())
        page = mirror.open(since=since)
        told = page.hears(lambda one: one.get("resync"))
        last = mirror.last_id()
        if told["id"] != last:  # the reader had not read the newest yet: the page hears it next
            page.hears(lambda one, last=last: one.get("id") == last)
        publish(guest(2))
        assert page.hears(lambda one: "m" in one)["m"]["uuid"] == "u2"


def test_nothing_is_lost_between_the_first_page_and_the_first_reading(mirror: Mirror) -> None:
    mirror.web()
    since = mirror.last_id()
    page = mirror.connect(mirror.session(mirror.person()))
    page.say(since=since)
    for number in range(200):
        publish(guest(number))
    assert [page.hears(lambda one: "m" in one)["m"]["uuid"] for _ in range(200)] == [
        f"u{number}" for number in range(200)
    ]


def test_a_flood_is_told_as_look_again(mirror: Mirror) -> None:
    mirror.web()
    page = mirror.open()
    publish_many([guest(number) for number in range(501)])
    page.hears(lambda one: one.get("resync"))
    assert not [one for one in page.said if "m" in one]


def test_people_hear_only_what_they_may_see(mirror: Mirror) -> None:
    mirror.web()
    viewer = mirror.open(mirror.session(mirror.person("vera", role="viewer")))
    operator = mirror.open()
    publish({"k": "job", "host": 1, "uuid": "u", "user": 999, "row": {}})
    publish({"k": "unheard of", "row": {}})
    publish(guest())
    viewer.hears(lambda one: one.get("m", {}).get("k") == "guest")
    operator.hears(lambda one: one.get("m", {}).get("k") == "guest")
    assert [one["m"]["k"] for one in viewer.said if "m" in one] == ["guest"]
    assert [one["m"]["k"] for one in operator.said if "m" in one] == ["job", "guest"]


def test_figures_come_only_for_what_the_page_watches(mirror: Mirror) -> None:
    mirror.web()
    page, other = mirror.open(), mirror.open()
    page.say(watch=["7/aa", "7/bb"])
    mirror.until(lambda: metrics.watched([7]), 5, "the monitor is told to read often")
    rows = {uuid: [1, 0.5, None, 3, 0, 0, 0, 0] for uuid in ("aa", "bb", "cc")}
    metrics.record(7, 1, rows, [], tell=True)
    heard = page.hears(lambda one: one.get("m", {}).get("k") == "metrics")
    assert heard["m"] == {"k": "metrics", "host": 7, "t": 1, "rows": {"aa": rows["aa"], "bb": rows["bb"]}}
    assert heard["id"]
    publish(guest())
    other.hears(lambda one: one.get("m", {}).get("k") == "guest")
    assert not [one for one in other.said if one.get("m", {}).get("k") == "metrics"]
    page.socket.close()
    mirror.until(lambda: not metrics.watched([7]), 15, "nobody watches any more")


def test_a_session_that_ends_closes_its_pages_within_five_seconds(mirror: Mirror) -> None:
    mirror.web()
    people = [mirror.person(name) for name in ("signed-out", "disabled", "expired", "changed")]
    keys = [mirror.session(person) for person in people]
    pages, stays = [mirror.open(key) for key in keys], mirror.open()
    publish(guest())
    for page in pages:
        page.hears(lambda one: "m" in one)
    begun = time.monotonic()
    Session.objects.filter(session_key=keys[0]).delete()
    User.objects.filter(pk=people[1].pk).update(is_active=False)
    Session.objects.filter(session_key=keys[2]).update(expire_date="2020-01-01T00:00:00Z")
    people[3].set_password("another one")
    people[3].save()
    assert [closed(page) for page in pages] == [4401] * 4
    assert time.monotonic() - begun < 5
    publish(guest(2))
    stays.hears(lambda one: one.get("m", {}).get("uuid") == "u2")


def test_rights_that_change_take_effect_at_once_when_it_is_said(mirror: Mirror) -> None:
    mirror.web()
    person = mirror.person("vera")
    page = mirror.open(mirror.session(person))
    publish(guest())
    page.hears(lambda one: "m" in one)
    Grant.objects.filter(user=person).update(role="nothing")  # this way nobody is told
    begun = time.monotonic()
    publish({"k": "rights", "user": person.pk})
    page.hears(lambda one: one.get("resync"), 2)
    assert time.monotonic() - begun < 1
    page.said.clear()
    publish(guest(3))
    with pytest.raises(AssertionError):
        page.hears(lambda one: one.get("m", {}).get("k") == "guest", 1)


def test_a_change_of_grants_groups_or_roles_is_felt_at_once_by_itself(mirror: Mirror) -> None:
    mirror.web()
    Role.objects.create(slug="watchers", name="Watchers", permissions=["guest.view"])
    group = Group.objects.create(name="watchers")
    person = mirror.person("gina", role="")
    page = mirror.open(mirror.session(person))
    for change, sees in (
        (lambda: Grant.objects.create(group=group, role="watchers", place="host", key="1"), False),
        (lambda: person.groups.add(group), True),
        (lambda: Role.objects.get(slug="watchers").delete(), False),
        (lambda: Grant.objects.create(user=person, role="viewer", place="guest", key="1/u7"), True),
        (lambda: Grant.objects.get(user=person).delete(), False),
    ):
        page.said.clear()
        begun = time.monotonic()
        change()
        if sees or page.said:
            page.hears(lambda one: one.get("resync"), 3)
            assert time.monotonic() - begun < 2
        time.sleep(0.3)
        publish(guest(7))
        if sees:
            page.hears(lambda one: one.get("m", {}).get("uuid") == "u7", 2)
        else:
            with pytest.raises(AssertionError):
                page.hears(lambda one: one.get("m", {}).get("uuid") == "u7", 1)


def test_tags_decide_at_each_delivery_and_a_page_that_comes_back_learns_of_no_other(mirror: Mirror) -> None:
    host = Host.objects.create(pk=1, name="alpha", transport="test", status="live")
    known = uuid.uuid4()
    Guest.objects.create(host=host, uuid=known, name="known", state="running", tags=["Web"], tags_text=" Web ")
    mirror.web()
    person = mirror.person("tess", role="")
    Grant.objects.create(user=person, role="operator", place="tag", key="web")
    key = mirror.session(person)
    page = mirror.open(key)
    since = mirror.last_id()
    publish({"k": "job", "host": 1, "uuid": str(known), "user": 999, "row": {"object_kind": "guest"}})
    publish_many(
        [
            guest(1),
            guest(2, tags=["web"]),
            guest(2, tags=[]),
            guest(3, tags=["db"]),
            guest(2, tags=[]),
            guest(4, tags=["WEB"]),
        ]
    )

    def told(one: Page) -> list[tuple[str, str, str]]:
        one.hears(lambda message: message.get("m", {}).get("uuid") == "u4")
        return [(said["m"]["k"], said["m"]["uuid"], said["m"].get("op", "")) for said in one.said if "m" in said]

    wanted = [("job", str(known), ""), ("guest", "u2", "set"), ("guest", "u2", "gone"), ("guest", "u4", "set")]
    assert told(page) == wanted
    assert told(mirror.open(key, since=since)) == wanted


def test_a_page_that_does_not_read_is_dropped_and_disturbs_no_other(mirror: Mirror) -> None:
    mirror.web()
    key = mirror.session(mirror.person("slow"))
    slow = stalled(mirror, key)
    page = mirror.open()
    worst = 0.0
    for number in range(60):
        begun = time.monotonic()
        publish_many([guest(number, filler="x" * 2000) for _ in range(100)])
        for _ in range(100):
            page.hears(lambda one: "m" in one)
        page.said.clear()
        worst = max(worst, time.monotonic() - begun)
    print(f"slowest 100 messages beside a page that does not read: {worst * 1000:.0f} ms")
    assert worst < 2
    mirror.until(lambda: "closed with code 1013" in mirror.logs(), 10, "the page that does not read is dropped")
    slow.close()


def stalled(mirror: Mirror, key: str) -> sockets.socket:
    """A handshake and a first message by hand, and then no reading."""
    slow = sockets.socket(sockets.AF_UNIX)
    slow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    slow.connect(str(mirror.folder / "web.sock"))
    lines = [
        "GET /live/ HTTP/1.1", "Host: 127.0.0.1:8000", "Upgrade: websocket", "Connection: Upgrade", f"Origin: {ORIGIN}",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", f"Cookie: kvmweb={key}", "", "",
    ]  # fmt: skip
    slow.sendall("\r\n".join(lines).encode())
    assert b"101" in slow.recv(500)
    text = f'{{"since":"{mirror.last_id()}"}}'.encode()
    slow.sendall(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text)
    return slow


def test_a_page_that_talks_nonsense_is_shut_out(mirror: Mirror) -> None:
    mirror.web()
    key = mirror.session(mirror.person())
    for said in ("no json", "[1]", '"x"', '{"since": "' + "x" * 70_000 + '"}'):
        page = mirror.connect(key)
        page.socket.send(said)
        assert closed(page) == 1008


def test_what_is_no_list_of_guests_watches_nothing(mirror: Mirror) -> None:
    mirror.web()
    page = mirror.open()
    for wanted in (5, None, {"a": 1}, ["x"], ["1/"], [[1]], ["²/a"], ["1/" + "x" * 100]):
        page.say(watch=wanted)
        publish(guest())
        page.hears(lambda one: one.get("m", {}).get("k") == "guest")


def test_redis_killed_and_started_again_makes_pages_look_again(mirror: Mirror) -> None:
    mirror.web()
    page = mirror.open()
    publish(guest())
    page.hears(lambda one: "m" in one)
    mirror.redis.stop()
    time.sleep(0.5)
    mirror.redis.start()
    page.hears(lambda one: one.get("resync"), 10)
    publish(guest(5))
    page.hears(lambda one: one.get("m", {}).get("uuid") == "u5")
    assert bus.client().exists(bus.LIVE)
