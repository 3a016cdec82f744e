"""Who hears what on the live stream: by grants on hosts, tags and guests, as tags come and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError

from dashboard.accounts.access import Rights, Scope
from dashboard.live import consumer
from dashboard.live import hub as hubs
from dashboard.live.client import SIGNED_OUT, TRY_AGAIN, Client
from dashboard.live.hub import Hub
from dashboard.live.tags import REMEMBERED, Tags

SEE = frozenset({"guest.view", "job.view"})
WEB = Scope(1, Rights(tags={"web": SEE}))
ALPHA = Scope(2, Rights(hosts={1: SEE | {"host.view"}}))
ONE = Scope(3, Rights(guests={(1, "u1"): SEE}))
ALL = Scope(4, Rights(everywhere=SEE | {"host.view"}))
NOBODY = Scope(5, Rights())


def guest(uuid: str, *tags: str, host: int = 1, op: str = "set") -> dict[str, Any]:
    row = (
        {"uuid": uuid, "host": host, "name": f"name of {uuid}", "tags": list(tags)}
        if op == "set"
        else {"uuid": uuid, "host": host}
    )
    return {"k": "guest", "host": host, "uuid": uuid, "op": op, "row": row}


def job(uuid: str, host: int = 1, user: int = 99) -> dict[str, Any]:
    return {"k": "job", "host": host, "uuid": uuid, "user": user, "row": {"object_kind": "guest", "id": "j"}}


class House:
    """A hub that reads nothing by itself, and the stream that it is told from."""

    last = "0-1"

    def __init__(self, *rows: tuple[int, str, tuple[str, ...]]) -> None:
        self.hub = Hub.__new__(Hub)
        self.hub._clients, self.hub._tags, self.hub._recheck = set(), Tags(), asyncio.Event()
        self.hub._stream = self  # type: ignore[assignment]
        self.hub._read, self.hub._stale, self.hub._begun = (0, 0), False, asyncio.Event()
        self.hub._full = []
        self.hub._begun.set()
        self.hub._tags.begin(rows)
        self.number = 0
        self.log: list[tuple[str, str]] = []

    def open(self, scope: Scope) -> Client:
        client = Client(f"key {scope.user_id}", scope)
        client.replayed([], (0, 0))
        self.hub._clients.add(client)
        return client

    def say(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.write(message)
            self.read()

    def write(self, *messages: dict[str, Any]) -> None:
        """Messages that the hub has not read yet."""
        for message in messages:
            self.number += 1
            self.log.append((f"{self.number}-0", json.dumps(message)))

    def read(self) -> None:
        """The hub reads what it has not read yet."""
        for entry in self.log[self.hub._read[0] :]:
            self.hub._deliver(hubs._Message(entry))

    async def missed(self, since: str) -> list[tuple[str, str]]:
        """What the stream tells a page that comes back."""
        return self.log[int(since.partition("-")[0]) :]

    async def replay(self, scope: Scope, since: int) -> list[str]:
        """What a page hears that comes back after having heard so many, until the hub has read everything."""
        client = Client("again", scope)
        await self.hub.join(client, f"{since}-0")
        self.read()
        self.hub.leave(client)
        return heard(client)


def heard_texts(texts: list[str]) -> list[str]:
    found = []
    for text in texts:
        if text and "m" in json.loads(text):
            message = json.loads(text)["m"]
            found.append(
                f"{message.get('k', 'resync')} {message.get('uuid', message.get('host'))} {message.get('op', '')}".strip()
            )
    return found


def heard(client: Client) -> list[str]:
    texts = []
    while not client._queue.empty():
        texts.append(client._queue.get_nowait())
    return heard_texts(texts)


async def test_each_hears_of_the_guests_that_they_were_granted_and_of_no_other() -> None:
    house = House((1, "u1", ()), (2, "u2", ("Web",)))
    pages = {scope.user_id: house.open(scope) for scope in (WEB, ALPHA, ONE, ALL, NOBODY)}
    house.say(guest("u1"), guest("u2", "Web", host=2), guest("u3", "db"), job("u1"), job("u2", host=2), job("u3"))
    assert heard(pages[1]) == ["guest u2 set", "job u2"]
    assert heard(pages[2]) == ["guest u1 set", "guest u3 set", "job u1", "job u3"]
    assert heard(pages[3]) == ["guest u1 set", "job u1"]
    assert heard(pages[4]) == ["guest u1 set", "guest u2 set", "guest u3 set", "job u1", "job u2", "job u3"]
    assert heard(pages[5]) == []


async def test_a_guest_that_gets_the_tag_appears_and_one_that_loses_it_is_gone() -> None:
    house = House()
    page = house.open(WEB)
    house.say(guest("u1"), guest("u1", "web"), guest("u1", "WEB", "more"), job("u1"))
    assert heard(page) == ["guest u1 set", "guest u1 set", "job u1"]
    house.say(guest("u1", "more"), guest("u1", "more"), job("u1"))
    assert heard(page) == ["guest u1 gone"], "once, and nothing more of it"
    assert house.hub._tags.there(1) == {"more"}


async def test_what_is_told_of_a_guest_that_is_out_of_sight_now_says_nothing_of_it() -> None:
    house = House((1, "u1", ("web",)))
    page = house.open(WEB)
    house.say(guest("u1", "secret"))
    text = page._queue.get_nowait()
    assert "name of u1" not in text and "secret" not in text


async def test_who_saw_a_guest_hears_that_it_went_and_others_do_not() -> None:
    house = House((1, "u1", ("web",)), (1, "u2", ("db",)))
    page = house.open(WEB)
    house.say(guest("u1", op="gone"), guest("u2", op="gone"), job("u1"), job("u2"))
    assert heard(page) == ["guest u1 gone", "job u1"], "its last job may end after it"


async def test_figures_are_told_guest_by_guest() -> None:
    house = House((1, "u1", ("web",)), (1, "u2", ("db",)))
    web, alpha, nobody = house.open(WEB), house.open(ALPHA), house.open(NOBODY)
    for page in (web, alpha, nobody):
        page.watch(["1/u1", "1/u2"])
    figures = {"k": "metrics", "host": 1, "t": 5, "rows": {"u1": [1], "u2": [2], "u3": [3]}}
    house.hub._deliver_figures(("1-0", json.dumps(figures)))
    assert json.loads(web._queue.get_nowait())["m"]["rows"] == {"u1": [1]}
    assert json.loads(alpha._queue.get_nowait())["m"]["rows"] == {"u1": [1], "u2": [2]}
    assert nobody._queue.empty()
    house.say(guest("u1"))
    heard(web)
    house.hub._deliver_figures(("2-0", json.dumps(figures)))
    assert web._queue.empty(), "the tag is gone, and the figures with it"


async def test_of_a_host_on_which_one_sees_guests_only_one_learns_its_name_and_state() -> None:
    row = {"id": 1, "name": "alpha", "status": "down", "last_seen": 5, "address": "10.0.0.1", "libvirt_version": "9"}
    house = House((1, "u1", ("web",)), (2, "u2", ("db",)))
    web, one, alpha, nobody = house.open(WEB), house.open(ONE), house.open(ALPHA), house.open(NOBODY)
    house.say(
        {"k": "host", "host": 1, "op": "set", "row": row},
        {"k": "host", "host": 2, "op": "set", "row": {**row, "id": 2}},
    )
    for page in (web, one):
        assert json.loads(page._queue.get_nowait())["m"]["row"] == {
            "id": 1,
            "name": "alpha",
            "status": "down",
            "last_seen": 5,
        }
        assert page._queue.empty(), "nothing of the other host"
    assert json.loads(alpha._queue.get_nowait())["m"]["row"] == row
    assert nobody._queue.empty()


async def test_a_host_that_is_removed_takes_its_guests_tags_along() -> None:
    house = House((1, "u1", ("web",)), (2, "u1", ("web",)))
    page = house.open(WEB)
    house.say({"k": "host", "host": 1, "op": "gone", "row": {"id": 1}})
    assert heard(page) == ["host 1 gone"]
    assert not house.hub._tags.there(1) and house.hub._tags.there(2) == {"web"}


async def test_pools_networks_and_volumes_are_their_hosts() -> None:
    house = House((1, "u1", ("web",)))
    keeper = house.open(Scope(6, Rights(hosts={1: frozenset({"storage.view"})})))
    web = house.open(WEB)
    house.say(*({"k": kind, "host": host, "uuid": "p"} for kind in ("pool", "volume", "network") for host in (1, 2)))
    assert heard(keeper) == ["pool p", "volume p"]
    assert heard(web) == []


async def test_a_page_that_comes_back_hears_the_same_as_one_that_stayed() -> None:
    house = House((1, "u2", ("web",)))
    pages = {scope.user_id: house.open(scope) for scope in (WEB, ALPHA, ONE, ALL)}
    house.say(
        guest("u1", "web"),
        guest("u1"),
        guest("u2", "db"),
        guest("u1"),
        guest("u3"),
        guest("u1", "web"),
        guest("u1", op="gone"),
    )
    house.say(guest("u2", op="gone"), guest("u4", "web", host=2), guest("u4", "web", "x", host=2))
    for scope in (WEB, ALPHA, ONE, ALL):
        stayed = heard(pages[scope.user_id])
        assert await house.replay(scope, 0) == stayed
        later = await house.replay(scope, 4)
        assert stayed[len(stayed) - len(later) :] == later


async def test_a_page_that_comes_back_before_the_hub_has_read_everything_hears_the_same() -> None:
    """What the hub has not read yet rests on tags that it does not know yet: it follows in its turn, once."""
    said = [guest("u1", "web"), guest("u1"), guest("u1", "Web"), job("u1"), guest("u1", op="gone"), guest("u2", "db")]
    host = {"k": "host", "host": 1, "op": "set", "row": {"id": 1, "name": "alpha"}}
    for read in range(len(said) + 1):
        house = House()
        stayed = house.open(WEB)
        house.say(*said[:read])
        house.write(*said[read:], guest("u3", "web"), host)
        back = await house.replay(WEB, 0)
        assert back == heard(stayed)
        assert back[:3] == ["guest u1 set", "guest u1 gone", "guest u1 set"] and back[-1] == "host 1 set"
        assert await house.replay(WEB, 3) == back[3:]


async def test_a_scope_by_a_token_narrows_what_is_heard() -> None:
    house = House((1, "u1", ("web",)), (1, "u2", ("db",)))
    page = house.open(Scope(4, ALL.rights, limits=WEB.rights))
    house.say(
        guest("u1", "web"), guest("u2", "db"), {"k": "host", "host": 1, "op": "set", "row": {"id": 1, "address": "x"}}
    )
    assert heard(page) == ["guest u1 set", "host 1 set"]


async def test_a_token_hears_of_its_owners_jobs_what_its_scope_covers_and_what_it_made_itself() -> None:
    house = House((1, "u1", ("web",)), (1, "u2", ("db",)))
    script = house.open(Scope(4, ALL.rights, limits=WEB.rights, token="t1"))
    browser = house.open(Scope(4, Rights()))
    by_page, by_another = job("u2", user=4), {**job("u2", user=4), "token": "t2"}
    by_itself, covered = {**job("u2", user=4), "token": "t1"}, job("u1", user=4)
    house.say(by_page, by_another, by_itself, covered)
    assert heard(script) == ["job u2", "job u1"]
    assert len(heard(browser)) == 4, "one's own, whatever made them"


async def test_that_somebodys_rights_changed_is_the_hubs_affair_alone() -> None:
    house = House()
    mine, others = house.open(WEB), house.open(ALL)
    house.say({"k": "rights", "user": 1})
    assert heard(mine) == heard(others) == []
    assert house.hub._recheck.is_set(), "sessions are looked at again at once"


class Look:
    """The database, asked who stands behind which session: it answers when it is told to."""

    def __init__(self, house: House) -> None:
        self.asked: asyncio.Queue[set[str]] = asyncio.Queue()
        self.answers: asyncio.Queue[dict[str, Scope] | Exception] = asyncio.Queue()
        house.hub._ask_database = self  # type: ignore[method-assign]

    async def __call__(self, keys: set[str]) -> dict[str, Scope]:
        await self.asked.put(keys)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def look() -> AsyncIterator[tuple[House, Look]]:
    house = House()
    found = Look(house)
    checking = asyncio.create_task(house.hub._check())
    yield house, found
    assert not checking.done(), "it goes on checking"
    checking.cancel()


async def test_who_joins_while_sessions_are_looked_up_is_not_signed_out(look: tuple[House, Look]) -> None:
    house, database = look
    there, ended = house.open(WEB), house.open(ONE)
    house.hub._recheck.set()
    assert await database.asked.get() == {there.session_key, ended.session_key}
    joined = house.open(ALL)
    await database.answers.put({there.session_key: WEB})
    assert await asyncio.wait_for(ended.ended, 5) == SIGNED_OUT
    assert not there.ended.done() and not joined.ended.done()
    house.hub._recheck.set()
    assert joined.session_key in await database.asked.get(), "the next look is at it, too"


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection is closed")])
async def test_a_look_that_fails_signs_nobody_out_and_is_repeated(look: tuple[House, Look], error: Exception) -> None:
    house, database = look
    page = house.open(WEB)
    for answer in (error, error, {}):
        house.hub._recheck.set()
        await database.asked.get()
        assert not page.ended.done()
        await database.answers.put(answer)
    assert await asyncio.wait_for(page.ended, 5) == SIGNED_OUT


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection is closed")])
async def test_a_page_whose_session_cannot_be_read_is_told_to_try_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    house = House()
    database = Look(house)
    await database.answers.put(error)
    monkeypatch.setattr(consumer, "hub", lambda: house.hub)
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    cookie = f"{settings.SESSION_COOKIE_NAME}=abc".encode()
    await consumer.live({"headers": [(b"origin", settings.PUBLIC_URL.encode()), (b"cookie", cookie)]}, receive, send)
    assert said[-1] == {"type": "websocket.close", "code": TRY_AGAIN}
    assert SIGNED_OUT not in [message.get("code") for message in said]


def test_what_is_remembered_of_the_past_is_bounded() -> None:
    tags = Tags()
    for number in range(REMEMBERED + 10):
        tags.learn((number, 0), guest(f"u{number}", "web"))
        tags.learn((number, 1), guest(f"u{number}", op="gone"))
    assert len(tags._gone) == REMEMBERED and len(tags._before) == REMEMBERED
    assert not tags._now and not tags.there(1)
