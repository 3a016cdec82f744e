"""GET /events, served by the real web process: what is heard, from where it goes on, and what ends it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session

from dashboard.accounts import tokens
from dashboard.accounts.models import Grant, User
from dashboard.api.events import Wanted
from dashboard.inventory import metrics
from dashboard.inventory.models import Guest, Host
from dashboard.inventory.publish import publish, publish_many
from dashboard.jobs.models import Job
from dashboard.live.hub import MOST_PER_PERSON
from tests.integration.api.conftest import Caller


def guest(number: int = 1, host: int = 1, **row: Any) -> dict[str, Any]:
    return {"k": "guest", "host": host, "uuid": f"u{number}", "op": "set", "row": {"name": f"g{number}", **row}}


def test_changes_are_heard_as_they_happen_each_with_its_place(caller: Caller) -> None:
    stream = caller.listen(caller.token(caller.mirror.person())[1])
    headers = stream.answer.headers
    assert headers["Content-Type"].startswith("text/event-stream")
    assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-store")
    ids = publish_many([guest(number) for number in range(50)])
    heard = [stream.hears(lambda event: event["event"] == "guest") for _ in range(50)]
    assert [event["data"]["uuid"] for event in heard] == [f"u{number}" for number in range(50)]
    assert [event["id"] for event in heard] == ids
    assert heard[0]["data"]["row"]["name"] == "g0"


def test_a_stream_goes_on_after_the_last_event_that_was_heard(caller: Caller) -> None:
    headers = caller.token(caller.mirror.person())[1]
    first = caller.listen(headers)
    ids = publish_many([guest(number) for number in range(10)])
    first.hears(lambda event: event.get("id") == ids[3])
    first.close()
    publish(guest(10))
    again = caller.listen({**headers, "Last-Event-ID": ids[3]})
    heard = [again.hears(lambda event: True)["data"]["uuid"] for _ in range(7)]
    assert heard == [f"u{number}" for number in range(4, 11)]


@pytest.mark.parametrize("place", ["1-1", "nonsense", "9999999999999-0", "-", "$"])
def test_a_place_that_is_not_known_any_more_is_a_resync(caller: Caller, place: str) -> None:
    publish(guest())
    stream = caller.listen({**caller.token(caller.mirror.person())[1], "Last-Event-ID": place})
    assert stream.hears(lambda event: event["event"] == "resync")
    publish(guest(2))
    stream.hears(lambda event: event["event"] == "guest" and event["data"]["uuid"] == "u2")


def test_only_the_kinds_and_the_host_that_are_wanted_are_heard(caller: Caller) -> None:
    headers = caller.token(caller.mirror.person())[1]
    of_kind, of_host = caller.listen(headers, "?kinds=host,job"), caller.listen(headers, "?host=2")
    publish_many([guest(1), guest(2, host=2), {"k": "host", "host": 2, "op": "set", "row": {"id": 2}}])
    assert of_kind.hears(lambda event: True)["event"] == "host"
    assert [of_host.hears(lambda event: True)["event"] for _ in range(2)] == ["guest", "host"]
    status, told, _ = caller.ask("GET", "/api/v1/events?kinds=pets", {**headers, "Accept": "text/event-stream"})
    assert (status, list(told["errors"])) == (422, ["kinds"])


def test_a_job_speaks_the_readers_language_and_no_other(caller: Caller) -> None:
    person = caller.mirror.person()
    User.objects.filter(pk=person.pk).update(language="zh-hans")
    stream = caller.listen(caller.token(person)[1])
    row = {"id": "1", "label": "Start", "object_kind": "guest", "i18n": {"zh-hans": {"label": "启动"}}}
    publish({"k": "job", "host": 1, "uuid": "u", "user": person.pk, "row": row})
    heard = stream.hears(lambda event: event["event"] == "job")["data"]["row"]
    assert heard == {"id": "1", "label": "启动", "object_kind": "guest"}


def test_people_and_tokens_hear_only_what_they_may_see(caller: Caller) -> None:
    hosts = [Host.objects.create(name=name, transport="test", status="live") for name in ("alpha", "beta")]
    for number, host in enumerate(hosts):
        Guest.objects.create(
            host=host, uuid=f"0000000000000000000000000000000{number}", name=f"g{number}", state="running"
        )
    operator, viewer = caller.mirror.person(), caller.mirror.person("vera", role="viewer")
    all_of_it = caller.listen(caller.token(operator)[1])
    looking = caller.listen(caller.token(viewer)[1])
    scoped = caller.listen(caller.token(operator, place="host", key=str(hosts[1].pk))[1])
    publish({"k": "job", "host": hosts[1].pk, "uuid": "u", "user": 999, "row": {"object_kind": "host"}})
    for number, host in enumerate(hosts):
        publish({"k": "host", "host": host.pk, "op": "set", "row": {"id": host.pk}})
        uuid = f"00000000-0000-0000-0000-00000000000{number}"
        publish({"k": "guest", "host": host.pk, "uuid": uuid, "op": "set", "row": {"name": f"g{number}", "tags": []}})
    for stream in (all_of_it, looking, scoped):
        stream.hears(lambda event: event["event"] == "guest" and event["data"]["row"]["name"] == "g1")
    kinds = [[event["event"] for event in stream.heard[1:]] for stream in (all_of_it, looking, scoped)]
    assert kinds == [
        ["job", "host", "guest", "host", "guest"],
        ["host", "guest", "host", "guest"],
        ["job", "host", "guest"],
    ]


def test_a_revoked_token_a_disabled_person_and_a_session_that_ended_end_their_streams(caller: Caller) -> None:
    one, two, three = (caller.mirror.person(name) for name in ("anna", "bert", "cleo"))
    token, headers = caller.token(one)
    key = caller.mirror.session(three)
    streams = [
        caller.listen(headers),
        caller.listen(caller.token(two)[1]),
        caller.listen({"Cookie": f"{settings.SESSION_COOKIE_NAME}={key}"}),
    ]
    begun = time.monotonic()
    tokens.revoke(token, actor=one)
    User.objects.filter(pk=two.pk).update(is_active=False)
    Session.objects.filter(session_key=key).delete()
    for stream in streams:
        assert stream.ends()[-1] == {"event": "end", "data": {"reason": "signed_out"}}
    assert time.monotonic() - begun < 5.5
    assert caller.ask("GET", "/api/v1/events", {**headers, "Accept": "text/event-stream"})[0] == 401


def test_a_right_that_is_lost_is_not_heard_any_more(caller: Caller) -> None:
    person = caller.mirror.person()
    stream = caller.listen(caller.token(person)[1])
    Grant.objects.filter(user=person).delete()
    stream.hears(lambda event: event["event"] == "resync", 5)
    publish(guest())
    Grant.objects.create(user=person, role="viewer")
    stream.hears(lambda event: event["event"] == "resync", 5)
    publish(guest(2))
    assert stream.hears(lambda event: event["event"] == "guest")["data"]["uuid"] == "u2"


def test_one_person_does_not_take_all_the_room_and_who_goes_leaves_their_place(caller: Caller) -> None:
    person = caller.mirror.person("carl")
    headers = caller.token(person)[1]
    caller.mirror.connect(caller.mirror.session(person))
    streams = [caller.listen(headers) for _ in range(MOST_PER_PERSON - 1)]
    status, told, _ = caller.ask("GET", "/api/v1/events", {**headers, "Accept": "text/event-stream"})
    assert (status, told["code"]) == (429, "too_many")
    streams.pop().close()

    def room() -> bool:
        try:
            caller.listen(headers)
        except AssertionError:
            return False
        return True

    caller.mirror.until(room, 5, "a stream that was closed leaves its place")


def test_a_reader_that_does_not_read_is_cut_when_it_may_not_listen_any_more(caller: Caller) -> None:
    person = caller.mirror.person()
    token, headers = caller.token(person)
    stream = caller.listen(headers)
    big = "x" * 20_000
    for _ in range(10):
        publish_many([guest(number, note=big) for number in range(100)])
    tokens.revoke(token, actor=person)
    caller.mirror.until(lambda: "that nobody read is cut" in caller.mirror.logs(), 10, "the stream is cut")
    assert caller.mirror.processes["web"].poll() is None
    assert stream.heard[0]["event"] == "hello"


def test_figures_come_for_the_guests_that_are_watched(caller: Caller) -> None:
    stream = caller.listen(caller.token(caller.mirror.person())[1], "?watch=7/aa&kinds=metrics")
    caller.mirror.until(lambda: metrics.watched([7]), 5, "the monitor is told to read often")
    metrics.record(7, 1, {"aa": [1, 0.5, None, 3, 0, 0, 0, 0], "bb": [1, 1, 1, 1, 1, 1, 1, 1]}, [], tell=True)
    assert list(stream.hears(lambda event: event["event"] == "metrics")["data"]["rows"]) == ["aa"]


def test_a_stream_over_which_nothing_comes_is_kept_open_by_comments() -> None:
    assert Wanted("", None, "en").event('{"ping":1}') == b": ping\n\n"


def test_a_job_can_be_waited_for_without_asking_again_and_again(caller: Caller) -> None:
    person = caller.mirror.person()
    headers = caller.token(person)[1]
    job = Job.objects.create(operation="guest.start", created_by=person, state="running")
    begun = time.monotonic()
    status, told, _ = caller.ask("GET", f"/api/v1/jobs/{job.pk}?wait=1", headers)
    assert (status, told["state"]) == (200, "running")
    assert 0.9 < time.monotonic() - begun < 3
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(caller.ask, "GET", f"/api/v1/jobs/{job.pk}?wait=20", headers)
        time.sleep(1)
        Job.objects.filter(pk=job.pk).update(state="succeeded")
        begun = time.monotonic()
        status, told, _ = asked.result()
    assert (status, told["state"], told["lines"]) == (200, "succeeded", [])
    assert time.monotonic() - begun < 3
    assert caller.ask("GET", f"/api/v1/jobs/{job.pk}?wait=31", headers)[0] == 422
