"""One open page: what it may see, what it watches, and the bounded queue of what it is still to be sent."""

from __future__ import annotations

import asyncio
from typing import Any

from dashboard.accounts.access import Scope

QUEUE = 1500
"""Messages that a page may be behind; more, and it is dropped and fetches everything anew."""
SIGNED_OUT, TRY_AGAIN = 4401, 1013

Position = tuple[int, int]


class Client:
    """Belongs to one event loop; the hub offers, the consumer sends."""

    def __init__(self, session_key: str, scope: Scope) -> None:
        self.session_key = session_key
        self.scope = scope
        self.watching: dict[int, frozenset[str]] = {}
        """Host id → UUIDs of the guests whose figures it wants."""
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Done with the close code once the hub gives it up."""
        self._queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
        self._held: list[tuple[Position, str]] | None = []
        """Messages that came while older ones are still being replayed."""
        self._after: Position = (0, 0)
        """It has been sent everything up to here; the replay may have run ahead of the hub's own reading."""

    def offer(self, position: Position, text: str) -> None:
        """Queue a message; a page that is too far behind is given up."""
        if self._held is not None:
            self._held.append((position, text))
            if len(self._held) > QUEUE:
                self.end(TRY_AGAIN)
        elif position > self._after:
            self._put(text)

    def tell(self, text: str) -> None:
        """Queue something that has no place in the stream (a ping, figures, the monitor's state)."""
        self._put(text)

    def replayed(self, messages: list[str], until: Position) -> None:
        """Send what it missed, then what came meanwhile."""
        held, self._held, self._after = self._held or [], None, until
        for text in [*messages, *(text for position, text in held if position > until)]:
            self._put(text)

    def watch(self, wanted: Any) -> None:
        """Take over its list of "<host>/<uuid>"; what is no such list is an empty one."""
        found: dict[int, set[str]] = {}
        for item in wanted[:500] if isinstance(wanted, list) else []:
            host, _, uuid = str(item).partition("/")
            if host.isascii() and host.isdigit() and len(host) < 12 and 0 < len(uuid) <= 36:
                found.setdefault(int(host), set()).add(uuid)
        self.watching = {host: frozenset(uuids) for host, uuids in found.items()}

    def end(self, code: int) -> None:
        """Give it up; the consumer closes the socket with this code."""
        if not self.ended.done():
            self.ended.set_result(code)

    async def next(self) -> str:
        """The next message to send."""
        return await self._queue.get()

    def _put(self, text: str) -> None:
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self.end(TRY_AGAIN)
