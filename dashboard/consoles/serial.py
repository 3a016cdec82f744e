"""The serial console process: an ASGI application that carries guests' serial lines into browsers."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

import django
from django.apps import apps

if not apps.ready:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvmweb.settings_consoles")
    django.setup()

from django.db import DatabaseError, connections

from dashboard.consoles.admission import Admission, admit, same_origin
from dashboard.consoles.lines import Line, Watcher
from dashboard.consoles.refusals import PROTOCOL, RESTART, Refused, Why
from dashboard.consoles.seats import Seat
from dashboard.consoles.switchboard import Switchboard
from dashboard.consoles.tickets import PATHS
from dashboard.consoles.trace import remember
from dashboard.inventory.bus import BusError

log = logging.getLogger(__name__)

CUT_SECONDS = 2.0
"""How long a browser may take to read why it is sent away."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_switchboard: Switchboard | None = None


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """ASGI: lifespan and the one WebSocket path; everything else does not exist."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _websocket(scope, receive, send)
    else:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            if _switchboard is not None:
                await _switchboard.close()
            return


def _board() -> Switchboard:
    """Made at the first console: only then is there a loop that it can live on."""
    global _switchboard
    if _switchboard is None:
        _switchboard = Switchboard()
    return _switchboard


def _headers(scope: dict[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def _websocket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    protocols = _headers(scope, b"sec-websocket-protocol")
    if scope["path"] != PATHS["serial"] or not same_origin(_headers(scope, b"origin")):
        log.info("serial console refused: wrong path, foreign or missing Origin")
        await send({"type": "websocket.close"})  # before accepting: an HTTP 403
        return
    await send({"type": "websocket.accept", "subprotocol": "binary" if "binary" in scope["subprotocols"] else None})
    try:
        admission, seat = await asyncio.to_thread(_admit, _headers(scope, b"cookie"), protocols)
    except Refused as refused:
        log.info("serial console refused: %s", refused)
        await _close(send, refused.why)
        return
    try:
        await _Session(admission, seat, receive, send).run()
    finally:
        await asyncio.to_thread(seat.leave)


def _admit(cookies: list[str], protocols: list[str]) -> tuple[Admission, Seat]:
    """On a thread: everything that asks the database or Redis."""
    try:
        admission = admit(cookies=cookies, protocols=protocols, kind="serial")
        seat = Seat(user=admission.ticket.user, host=admission.ticket.host, uuid=admission.ticket.uuid)
        seat.take()
        remember(admission)
    except (DatabaseError, BusError) as error:
        raise Refused(RESTART, str(error)) from error
    finally:
        connections.close_all()
    return admission, seat


async def _close(send: Send, why: Why) -> None:
    await send({"type": "websocket.close", "code": why.code, "reason": why.word})


class _Session:
    """One browser at a line."""

    def __init__(self, admission: Admission, seat: Seat, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._watcher = Watcher(admission.user.get_username(), may_write=admission.ticket.may_write)
        self._line: Line = _board().join(self._watcher, admission.grant, seat)

    async def run(self) -> None:
        """Carry both ways until the browser goes or has to."""
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        ender = asyncio.create_task(self._cut_off())
        try:
            await asyncio.wait({reader, writer, ender}, return_when=asyncio.FIRST_COMPLETED)
            if self._watcher.why is not None:  # say it, unless the browser does not read
                await asyncio.wait({writer, ender}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            _board().leave(self._watcher, self._line)
            for task in (reader, writer, ender):
                task.cancel()
            await asyncio.gather(reader, writer, ender, return_exceptions=True)

    async def _cut_off(self) -> None:
        await self._watcher.ended.wait()
        await asyncio.sleep(CUT_SECONDS)

    async def _write(self) -> None:
        """Send what waits; the outbox is bounded, so a browser that does not read holds up only itself."""
        watcher = self._watcher
        while True:
            await watcher.wake.wait()
            watcher.wake.clear()
            while watcher.outbox and watcher.why is None:
                item = watcher.outbox.popleft()
                watcher.queued -= len(item)
                kind = "text" if isinstance(item, str) else "bytes"
                await self._send({"type": "websocket.send", kind: item})
            if watcher.why is not None:
                await _close(self._send, watcher.why)
                return

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes") is not None:
                self._line.write(self._watcher, message["bytes"])
            elif not self._control(message.get("text") or ""):
                self._watcher.end(PROTOCOL)
                return

    def _control(self, text: str) -> bool:
        """A wish in JSON: {"take": true}, {"retry": true}, {"force": true}. False for anything else."""
        try:
            wish = json.loads(text)
        except (ValueError, RecursionError):
            return False
        if not isinstance(wish, dict):
            return False
        if wish.get("take") is True:
            self._line.take_over(self._watcher)
        elif wish.get("retry") is True or wish.get("force") is True:
            self._line.retry_now(self._watcher, force=wish.get("force") is True)
        else:
            return False
        return True
