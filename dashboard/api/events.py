"""GET /events: the live stream as server-sent events, for scripts as pages have it on their WebSocket."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from ninja import Router
from ninja.params.functions import Header
from pydantic import Field

from dashboard.api.door import by_header
from dashboard.api.problems import Refusal
from dashboard.api.reads import Id, user_of
from dashboard.api.reads_jobs import release_database
from dashboard.inventory import publish
from dashboard.live.client import SIGNED_OUT, Client
from dashboard.live.hub import Hub, hub
from dashboard.live.sessions import key_of_token

log = logging.getLogger(__name__)
router = Router()

KINDS = ("guest", "host", "pool", "volume", "network", "job", "metrics")
PATIENCE = 2.0
"""Seconds that a reader who is given up has for taking what was sent; then its connection is cut."""
EVENTS = {
    "responses": {
        "200": {
            "description": "Events until the reader goes. `event`: one of the kinds; `hello` first; `resync`: something"
            " was missed, read anew; `monitor`: whether the monitor runs; `end`: one may not listen any more."
            " `data` is JSON, `id` the place from which `Last-Event-ID` goes on.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    }
}


class Wanted:
    """Which events one reader wants."""

    def __init__(self, kinds: str, host: int | None, language: str) -> None:
        named = [kind.strip() for kind in kinds.split(",") if kind.strip()]
        if unknown := [kind for kind in named if kind not in KINDS]:
            said = _("There is no kind “%(kind)s”: %(kinds)s.") % {"kind": unknown[0], "kinds": ", ".join(KINDS)}
            raise Refusal(422, "invalid", _("Please correct what is marked."), errors={"kinds": [said]})
        self.kinds = frozenset(named or KINDS)
        self.host, self.language = host, language

    def event(self, text: str) -> bytes | None:
        """A message of the hub as an event; None for what is not wanted."""
        said: dict[str, Any] = json.loads(text)
        if "ping" in said:
            return b": ping\n\n"
        if "monitor" in said:
            return _event("monitor", "", {"running": said["monitor"]})
        place = str(said.get("id", ""))
        if said.get("resync"):
            return _event("resync", place, {})
        message = said.get("m") or {}
        kind = message.pop("k", "")
        if kind not in self.kinds or (self.host is not None and message.get("host") != self.host):
            return None
        if kind == "job":
            row = message.get("row") or {}
            row |= row.pop("i18n", {}).get(self.language, {})
        return _event(kind, place, message)


def _event(kind: str, place: str, data: dict[str, Any]) -> bytes:
    """One event. JSON has no line ends of its own."""
    head = f"id: {place}\n" if place else ""
    return f"event: {kind}\n{head}data: {json.dumps(data, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()


@router.get("/events", tags=["events"], openapi_extra=EVENTS)
async def listen(
    request: HttpRequest,
    kinds: Annotated[str, Field(max_length=200, description=f"Only these, by commas: {', '.join(KINDS)}")] = "",
    host: Id | None = None,
    watch: Annotated[str, Field(max_length=20_000, description="Guests whose figures are wanted: host/uuid,…")] = "",
    last_event_id: Annotated[str, Field(max_length=64)] = Header("", alias="Last-Event-ID"),
) -> Any:
    """What changes, as it happens (server-sent events), of all that one may see."""
    wanted = Wanted(kinds, host, get_language() or settings.LANGUAGE_CODE)
    since = last_event_id or await sync_to_async(publish.last_id)()
    user = user_of(request)
    key = await sync_to_async(_key_of)(request)
    here = hub()
    scope = await here.scope_of(key)
    if scope is None:
        raise Refusal(401, "unauthenticated", _("Sign in first, or send a token: Authorization: Bearer …"))
    if not here.take_seat(user.pk):
        raise Refusal(429, "too_many", _("You have too many live pages and event streams open."))
    client = Client(key, scope)
    here.watch(client, watch.split(",") if watch else [])
    answer = StreamingHttpResponse(_Stream(here, client, wanted, since, user.pk), content_type="text/event-stream")
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"  # nginx hands each event on as it comes
    return answer


def _key_of(request: HttpRequest) -> str:
    """By what the hub looks the person up again every few seconds; no connection to the database stays open here."""
    key = key_of_token(user_of(request)) if by_header(request) else str(request.session.session_key or "")
    release_database()
    return key


class _Stream:
    """The body of the answer; its seat is given back when it ends, also when nobody ever begins to read it."""

    def __init__(self, here: Hub, client: Client, wanted: Wanted, since: str, user_id: int) -> None:
        self._here, self._client, self._wanted, self._since, self._user = here, client, wanted, since, user_id
        self._seated = True

    def close(self) -> None:
        """Called by Django when the answer is over; on another thread."""
        loop = self._client.ended.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if self._seated:
            self._seated = False
            self._here.leave(self._client)
            self._here.leave_seat(self._user)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        joining = asyncio.create_task(self._here.join(self._client, self._since))
        watching = asyncio.create_task(self._cut(asyncio.current_task()))
        try:
            yield b"retry: 3000\n\n" + _event("hello", self._since, {})
            async for text in self._said():
                event = self._wanted.event(text)
                if event is not None:
                    yield event
            over = self._client.ended.result() == SIGNED_OUT
            yield _event("end", "", {"reason": "signed_out" if over else "try_again"})
        finally:
            joining.cancel()
            watching.cancel()
            self._leave()

    async def _said(self) -> AsyncIterator[str]:
        """Messages until the hub gives the reader up."""
        ended = self._client.ended
        while not ended.done():
            following = asyncio.create_task(self._client.next())
            either: set[asyncio.Future[Any]] = {following, ended}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    yield following.result()
            finally:
                following.cancel()

    async def _cut(self, serving: asyncio.Task[Any] | None) -> None:
        """End the connection of a reader who does not take what is sent, once the hub has given it up."""
        await asyncio.shield(self._client.ended)
        await asyncio.sleep(PATIENCE)
        if serving is not None:
            log.info("An event stream that nobody read is cut")
            serving.cancel()
