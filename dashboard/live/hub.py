"""The hub of one web process: reads the streams once and hands each message to every open page that may see it."""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections import Counter
from collections.abc import Set
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from django.db import Error as DatabaseError  # an InterfaceError is no DatabaseError of Django's

from dashboard.accounts.access import Scope
from dashboard.inventory import bus, clocks, fullness, metrics
from dashboard.live import sessions, tags
from dashboard.live.client import SIGNED_OUT, Client, Position
from dashboard.live.stream import Entry, Stream, position_of
from dashboard.live.tags import Tags

log = logging.getLogger(__name__)

CHECK_SECONDS = 3.0
PING_SECONDS = 20.0
WATCH_SECONDS = 4.0
BEAT_SECONDS = 3.0
MOST_PER_PERSON = 100
"""Open pages of one person: nginx has room for about a thousand sockets of everybody's."""
GLIMPSE = ("id", "name", "status", "last_seen")
"""What people learn of a host when they may see guests there, but not the host."""


class Hub:
    """Belongs to one event loop; runs while that loop does."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()
        self._seats: Counter[int] = Counter()
        self._stream = Stream()
        self._tags = Tags()
        self._read: Position = (0, 0)
        """Everything up to here was delivered."""
        self._unlearnt = False
        self._stale: bool | None = None
        self._full: list[str] = []
        self._recheck = asyncio.Event()
        self._rewatch = asyncio.Event()
        self._begun = asyncio.Event()
        # One thread: one database connection, and no page waits for it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live")
        self._tasks = [
            asyncio.create_task(work()) for work in (self._follow, self._check, self._ping, self._watch, self._beat)
        ]

    # -- for the consumer

    async def scope_of(self, session_key: str) -> Scope | None:
        """What the person behind a session may see; None for nobody."""
        return (await self._ask_database({session_key})).get(session_key)

    def take_seat(self, user_id: int) -> bool:
        """Count one more page of a person; False when there are too many. Every True is followed by a `leave_seat`."""
        if self._seats[user_id] >= MOST_PER_PERSON:
            return False
        self._seats[user_id] += 1
        return True

    def leave_seat(self, user_id: int) -> None:
        """One page of a person less."""
        self._seats[user_id] -= 1
        if self._seats[user_id] <= 0:
            del self._seats[user_id]

    async def join(self, client: Client, since: str) -> None:
        """Add a page, with everything that it missed since it was made, or "resync" if that is not known."""
        self._clients.add(client)
        client.tell(self._pages())
        if self._stale:
            client.tell(_monitor(stale=True))
        # What is said between its replay and our first reading would be heard by nobody.
        await self._begun.wait()
        try:
            missed = await self._stream.missed(since)
        except bus.BusError:
            missed = None
        if missed is None:
            client.replayed([self._resync()], (0, 0))
            return
        # What was said already but not read here yet follows in its turn, when the tags are known that it rests on.
        shaped = [message for entry in missed if (message := _Message(entry)).position <= self._read]
        for message in shaped:
            message.again(self._tags)
        until = shaped[-1].position if shaped else position_of(since)
        told = [message.for_client(client) for message in shaped]
        client.replayed([text for text in told if text], until)

    def leave(self, client: Client) -> None:
        """Forget a page."""
        self._clients.discard(client)

    def watch(self, client: Client, wanted: Any) -> None:
        """Take over what figures a page wants."""
        before = client.watching.keys()
        client.watch(wanted)
        if client.watching.keys() - before:
            self._rewatch.set()

    # -- following the stream

    async def _follow(self) -> None:
        pause = 0.05
        while True:
            try:
                whole = await self._stream.begin()
                await self._learn()
                self._read = position_of(self._stream.last)
                if not whole:
                    self._tell_all(self._resync())
                self._begun.set()
                while True:
                    changes, figures = await self._stream.read()
                    pause = 0.05
                    if (self._unlearnt or self._stream.gap) and await self._learn():
                        self._tell_all(self._resync())
                    for entry in changes:
                        message = _Message(entry)
                        if message.content.get("k") == "resync":
                            await self._learn()
                        self._deliver(message)
                    for entry in figures:
                        self._deliver_figures(entry)
            except bus.BusError as error:
                log.warning("Redis is away, pages are not live: %s", error)
                await asyncio.sleep(pause)
                pause = min(2.0, pause * 2)

    async def _learn(self) -> bool:
        """Take all tags from the database; nothing is read from the stream meanwhile, so no message is overtaken."""
        try:
            self._tags.begin(await asyncio.get_running_loop().run_in_executor(self._thread, tags.tagged_guests))
        except DatabaseError as error:
            log.warning("Tags cannot be read, trying again: %s", error)
            self._unlearnt = True
            return False
        self._unlearnt = False
        return True

    def _deliver(self, message: _Message) -> None:
        message.live(self._tags)
        self._read = message.position
        if message.content.get("k") == "rights":
            self._recheck.set()
        for client in list(self._clients):
            if text := message.for_client(client):
                client.offer(message.position, text)

    def _deliver_figures(self, entry: Entry) -> None:
        """Each page gets the figures of the guests that it watches, under the position that the hub has reached."""
        content = _Message(entry).content
        host, rows = int(content.get("host") or 0), content.get("rows") or {}
        parts = {uuid: f"{json.dumps(uuid)}:{json.dumps(row, separators=(',', ':'))}" for uuid, row in rows.items()}
        head = (
            f'{{"id":"{self._stream.last}","m":{{"k":"metrics","host":{host},"t":{int(content.get("t") or 0)},"rows":{{'
        )
        for client in list(self._clients):
            wanted = [
                uuid for uuid in client.watching.get(host, frozenset()) & parts.keys() if self._sees(client, host, uuid)
            ]
            if wanted:
                client.tell(head + ",".join(parts[uuid] for uuid in wanted) + "}}}")

    def _sees(self, client: Client, host: int, uuid: str) -> bool:
        return client.scope.sees({"k": "metrics", "host": host, "uuid": uuid}, self._tags.of(host, uuid))

    def _resync(self) -> str:
        """What makes a page fetch everything anew, with the position from where its updates go on."""
        return json.dumps({"id": self._stream.last, "resync": True} if self._stream.last else {"resync": True})

    def _tell_all(self, text: str) -> None:
        for client in list(self._clients):
            client.tell(text)

    # -- regular work

    async def _check(self) -> None:
        """Every few seconds, and at once when rights change: sessions that ended close, changed roles take effect."""
        while True:
            await _either(self._recheck, CHECK_SECONDS)
            # Who joins while the database is asked was let in by a look of their own, and is not in this answer.
            asked = list(self._clients)
            if not asked:
                continue
            try:
                found = await self._ask_database({client.session_key for client in asked})
            except DatabaseError as error:
                log.warning("Sessions cannot be checked, trying again: %s", error)
                continue
            for client in asked:
                scope = found.get(client.session_key)
                if scope is None or scope.user_id != client.scope.user_id:
                    client.end(SIGNED_OUT)
                elif scope != client.scope:
                    client.scope = scope
                    client.tell(self._resync())

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            self._tell_all(self._pages())

    def _pages(self) -> str:
        """A sign of life, with how many pages are open: the more there are, the less they hurry back after a restart.

        While something is full, its names are in it, too.
        """
        return json.dumps({"ping": len(self._clients)} | ({"full": self._full} if self._full else {}))

    async def _watch(self) -> None:
        """Tell the monitor whose figures are wanted, as long as they are."""
        while True:
            await _either(self._rewatch, WATCH_SECONDS)
            hosts = sorted({host for client in self._clients for host in client.watching})
            if hosts:
                await asyncio.get_running_loop().run_in_executor(self._thread, metrics.watch, *hosts)

    async def _beat(self) -> None:
        """Notice when the monitor stops and when it is back; when something is full and when there is room again."""
        while True:
            if self._clients or self._stale is None:
                try:
                    stale = await self._stream.beat_age() > bus.HEARTBEAT_STALE
                except bus.BusError:
                    stale = True
                if stale != (self._stale or False):
                    self._tell_all(_monitor(stale=stale))
                self._stale = stale
                full = await asyncio.get_running_loop().run_in_executor(self._thread, _look)
                if full != self._full:
                    self._full = full
                    self._tell_all(self._pages())
            await asyncio.sleep(BEAT_SECONDS)

    async def _ask_database(self, session_keys: set[str]) -> dict[str, Scope]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, sessions.scopes, session_keys)


class _Message:
    """One entry of the stream, read once for all pages, with the tags by which it is told who may see it."""

    def __init__(self, entry: Entry) -> None:
        self.id, self._raw = entry
        self.position: Position = position_of(self.id)
        self.content: dict[str, Any] = json.loads(self._raw)
        self._before: tags.Words = ()
        self._tags: tags.Words = ()
        self._there: Set[str] = frozenset()

    @cached_property
    def text(self) -> str:
        """As it is sent to who may see all of it."""
        resync = self.content.get("k") == "resync"
        return f'{{"id":"{self.id}","resync":true}}' if resync else f'{{"id":"{self.id}","m":{self._raw}}}'

    @cached_property
    def _gone(self) -> str:
        """As it is sent to who saw the guest until its tags changed."""
        host, uuid = self.content.get("host"), self.content.get("uuid")
        gone = {"k": "guest", "host": host, "uuid": uuid, "op": "gone", "row": {"uuid": uuid, "host": host}}
        return json.dumps({"id": self.id, "m": gone}, separators=(",", ":"))

    @cached_property
    def _glimpse(self) -> str:
        """As it is sent to who sees guests of the host, but not the host."""
        row = self.content.get("row") or {}
        seen = {**self.content, "row": {name: row[name] for name in GLIMPSE if name in row}}
        return json.dumps({"id": self.id, "m": seen}, separators=(",", ":"), ensure_ascii=False)

    def live(self, known: Tags) -> None:
        """Now is its turn: the tags before and after it are those of the hub, which learns from it."""
        host, uuid = self.content.get("host"), self.content.get("uuid")
        self._before, self._there = known.of(host, uuid), frozenset(known.there(host))
        known.learn(self.position, self.content)
        self._tags = known.of(host, uuid)

    def again(self, known: Tags) -> None:
        """It was read before, and is told again to a page that missed it."""
        host, uuid = self.content.get("host"), self.content.get("uuid")
        self._before = known.before(self.position, self.content)
        told = self.content.get("k") == "guest" and self.content.get("op") == "set"
        self._tags = tags.told_tags(self.content) if told else self._before or known.of(host, uuid)
        self._there = frozenset(known.there(host))

    def for_client(self, client: Client) -> str:
        """What the page is told of it; "" if its person may not know of it."""
        kind, scope = self.content.get("k"), client.scope
        if kind == "rights":
            return ""  # the hub's own affair
        if kind == "resync" or scope.sees(self.content, self._tags):
            return self.text
        if kind == "guest" and scope.sees(self.content, self._before):
            return self._gone
        if kind == "host" and scope.glimpses(int(self.content.get("host") or 0), self._there):
            return self._glimpse
        return ""


def _look() -> list[str]:
    """Note down our clock; what is full."""
    clocks.note("web")
    return sorted({trouble.what for trouble in fullness.full()})


def _monitor(*, stale: bool) -> str:
    return json.dumps({"monitor": not stale})


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event or for some seconds."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
    event.clear()


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop, started with its first page."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def open_pages() -> int:
    """How many pages and event streams are open in this process."""
    return sum(len(one._clients) for one in list(_hubs.values()))
