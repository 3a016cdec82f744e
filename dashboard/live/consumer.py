"""The page's WebSocket `/live/`: who may open one, what it may say, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError  # an InterfaceError is no DatabaseError of Django's

from dashboard.live.client import SIGNED_OUT, TRY_AGAIN, Client
from dashboard.live.hub import Hub, hub
from dashboard.live.sessions import session_key

log = logging.getLogger(__name__)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

FIRST_MESSAGE_SECONDS = 10.0
LONGEST_MESSAGE = 65_536
POLICY = 1008


async def live(scope: Message, receive: Receive, send: Send) -> None:
    """Serve one socket. A plain ASGI application: nothing here waits for the database once the socket is open."""
    await receive()  # websocket.connect
    key = session_key(scope["headers"])
    if not _own_origin(scope["headers"]) or not key:
        await send({"type": "websocket.close", "code": POLICY})
        return
    here = hub()
    try:
        rights = await here.scope_of(key)
    except DatabaseError as error:
        log.warning("A page could not be let in: %s", error)
        await send({"type": "websocket.close", "code": TRY_AGAIN})
        return
    if rights is None:
        # Accepted first, so that the page learns why: a refused handshake tells a script nothing.
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": SIGNED_OUT})
        return
    if not here.take_seat(rights.user_id):
        log.warning("Person %s has too many pages open", rights.user_id)
        await send({"type": "websocket.close", "code": POLICY})  # not accepted: the page asks again ever more slowly
        return
    try:
        await send({"type": "websocket.accept"})
        await _serve(here, Client(key, rights), receive, send)
    finally:
        here.leave_seat(rights.user_id)


def _own_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the page that opens the socket is one of ours: exactly our scheme, host and port, and not absent."""
    origins = [value.decode("latin-1") for name, value in headers if name.lower() == b"origin"]
    return origins == [settings.PUBLIC_URL]


async def _serve(here: Hub, client: Client, receive: Receive, send: Send) -> None:
    listening = asyncio.create_task(_listen(here, client, receive))
    sending = asyncio.create_task(_send(client, send))
    try:
        waiting: set[asyncio.Future[Any]] = {listening, sending, client.ended}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        here.leave(client)
        for task in (listening, sending):
            task.cancel()
        for result in await asyncio.gather(listening, sending, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, OSError | RuntimeError):
                log.error("A page's socket failed", exc_info=result)
    if client.ended.done():
        log.info("A page is closed with code %s", client.ended.result())
        # A page that does not read does not take the close frame either.
        with suppress(TimeoutError, OSError, RuntimeError):
            await asyncio.wait_for(send({"type": "websocket.close", "code": client.ended.result()}), 1.0)


async def _send(client: Client, send: Send) -> None:
    while True:
        await send({"type": "websocket.send", "text": await client.next()})


async def _listen(here: Hub, client: Client, receive: Receive) -> None:
    """Hear what the page says: first from where it goes on, then what it watches."""
    try:
        first = await asyncio.wait_for(_hear(client, receive), FIRST_MESSAGE_SECONDS)
    except TimeoutError:
        client.end(POLICY)
        return
    if first is None:
        return
    await here.join(client, str(first.get("since", "")))
    message: Message | None = first
    while message is not None:
        if "watch" in message:
            here.watch(client, message["watch"])
        message = await _hear(client, receive)


async def _hear(client: Client, receive: Receive) -> Message | None:
    """The page's next message; None when it is gone or says what no page of ours says."""
    event = await receive()
    if event["type"] == "websocket.disconnect":
        return None
    text = event.get("text") or ""
    with suppress(ValueError, RecursionError):
        said = json.loads(text) if len(text) <= LONGEST_MESSAGE else None
        if isinstance(said, dict):
            return said
    client.end(POLICY)
    return None
